/* example-codec: a private transfer syntax in which a frame is kept as runs: a count of 1..255 and a byte. It
 * knows the SDK only. SPDX-License-Identifier: MIT */
#include <string.h>

#include "hilum/codec.h"
#include "hilum/host.h"

/* Your own root goes here: a UID of your organisation, not this one. */
#define RUNS "2.25.219084714094612984319867290312465841174"

/* The code stream lies in pieces: read byte by byte over their borders. */
struct reader {
    const struct hilum_coded *coded;
    uint32_t fragment;
    uint64_t at;
};

static int next(struct reader *reader)
{
    while (reader->fragment < reader->coded->n_fragments) {
        const struct hilum_fragment *fragment = &reader->coded->fragments[reader->fragment];
        if (reader->at < fragment->n)
            return ((const unsigned char *)fragment->bytes)[reader->at++];
        reader->fragment++;
        reader->at = 0;
    }
    return -1;
}

/* Runs say nothing of the picture: what the data set declares is all there is. */
static hilum_rc info(void *instance, const struct hilum_coded *coded, struct hilum_code_info *out)
{
    (void)instance;
    if (!coded->declared || !hilum_frame_bytes(coded->declared))
        return HILUM_EUNSUP;
    out->is_lossless = 1;
    out->levels = out->layers = 0;
    out->tile_width = coded->declared->columns;
    out->tile_height = coded->declared->rows;
    out->photometric = coded->declared->photometric;
    *out->frame = *coded->declared;
    out->frame->is_planar = 0;
    return HILUM_OK;
}

/* Streams come from anybody: no count leads outside dst, and every call ends. */
static hilum_rc decode(void *instance, const struct hilum_coded *coded,
                       const struct hilum_decode *wanted, void *dst, uint64_t dst_size,
                       struct hilum_frame *out)
{
    struct reader reader = {.coded = coded};
    uint64_t n, done = 0;
    unsigned char *to = dst;
    (void)instance;
    if (!coded->declared || (wanted && (wanted->reduce || wanted->width)))
        return HILUM_EUNSUP;
    n = hilum_frame_bytes(coded->declared);
    *out = *coded->declared;
    out->is_planar = 0; /* encode() takes no planes */
    if (!n || dst_size < n)
        return n ? HILUM_EFULL : HILUM_EUNSUP;
    while (done < n) {
        int count = next(&reader), byte = next(&reader);
        if (count < 1 || byte < 0 || (uint64_t)count > n - done)
            break;
        memset(to + done, byte, (size_t)count);
        done += (uint64_t)count;
    }
    memset(to + done, 0, n - done);
    return done == n ? HILUM_OK : HILUM_ECORRUPT;
}

static hilum_rc encode(void *instance, const struct hilum_frame *frame, const void *src, uint64_t n,
                       const struct hilum_encode *wanted, struct hilum_sink *out,
                       struct hilum_encoded *done)
{
    const unsigned char *from = src;
    uint64_t coded = 0;
    (void)instance, (void)wanted;
    if (n != hilum_frame_bytes(frame))
        return HILUM_EINVAL;
    if (frame->is_planar && frame->samples > 1)
        return HILUM_EUNSUP; /* another codec is asked, or the host brings it into order */
    for (uint64_t at = 0; at < n;) {
        unsigned char run[2] = {0, from[at]};
        while (at < n && from[at] == run[1] && run[0] < 255)
            at++, run[0]++;
        hilum_rc rc = out->write(out->ctx, run, sizeof run);
        if (rc != HILUM_OK)
            return rc;
        coded += sizeof run;
    }
    done->photometric = frame->photometric;
    done->is_lossy = 0;
    done->is_planar = 0;
    done->ratio = (double)n / (double)coded;
    done->method = "";
    return HILUM_OK;
}

static hilum_rc init(const struct hilum_host *host, hilum_self *self, const void *conf,
                     void **state)
{
    static const struct hilum_codec_syntax syntaxes[] = {
        {RUNS, HILUM_CODEC_DECODES | HILUM_CODEC_ENCODES | HILUM_CODEC_LOSSLESS, 50},
        {0},
    };
    static const struct hilum_codec table = {
        .cap = {.size = sizeof table,
                .kind = HILUM_CAP_CODEC,
                .threads = HILUM_PARALLEL,
                .name = "example-codec"},
        .syntaxes = syntaxes,
        .info = info,
        .decode = decode,
        .encode = encode,
    };
    (void)conf;
    *state = NULL;
    return host->provide(self, &table.cap, NULL);
}

HILUM_EXPORT const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major, uint16_t host_minor)
{
    static const struct hilum_plugin plugin = {
        .magic = HILUM_MAGIC,
        .size = sizeof plugin,
        .abi_major = HILUM_ABI_MAJOR,
        .abi_minor = HILUM_ABI_MINOR,
        .id = "example-codec",
        .version = "1.0.0",
        .vendor = "Example",
        .licence = "MIT",
        .init = init,
    };
    (void)host_major;
    (void)host_minor;
    return &plugin;
}
