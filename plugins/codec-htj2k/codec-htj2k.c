/* codec-htj2k: High-Throughput JPEG 2000 (PS3.5 A.4.9; ISO 15444-15) with OpenJPH: lossless, lossless with the
 * progression .202 wants, and lossy. The library ends its process on some damaged streams: it belongs into a worker.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "work.h"

#define LOSSLESS      CODEC_UID("4.201")
#define LOSSLESS_RPCL CODEC_UID("4.202")
#define LOSSY         CODEC_UID("4.203")
/* OpenJPH 0.9 has 32 bits for a coefficient: 20 bits are what comes back from any picture of one sample. */
enum { BITS_MAX = 20, BITS_COLOUR = 16, BITS_DECODED_MAX = 31, LEVELS_DEFAULT = 5 };
static const double ratio_default = 10.0; /* where loss is allowed and nobody says how much */

static hilum_rc failed(void *self, hilum_rc rc, const struct ht_work *work)
{
    return codec_fail(self, rc, "HTJ2K: %s", rc == HILUM_ENOMEM ? "no memory" : work->complaint);
}

static hilum_rc info(void *self, const struct hilum_coded *coded, struct hilum_code_info *out)
{
    return j2k_info(self, coded, true, out);
}

/* ---- decoding ---- */

static hilum_rc decode_stream(void *self, const struct codec_bytes *stream,
                              const struct ht_request *request, void *dst)
{
    struct ht_work work = {.in = stream->at,
                           .in_size = stream->n,
                           .out = dst,
                           .out_size = hilum_frame_bytes(&request->frame)};
    if (request->header.bits > BITS_DECODED_MAX)
        return codec_fail(self, HILUM_EUNSUP, "HTJ2K samples of %u bits", request->header.bits);
    hilum_rc rc = ht_decode_frame(&work, request);
    return rc ? failed(self, rc, &work) : HILUM_OK;
}

static hilum_rc decode(void *self, const struct hilum_coded *coded,
                       const struct hilum_decode *wanted, void *dst, uint64_t dst_size,
                       struct hilum_frame *out)
{
    struct codec_bytes stream;
    struct ht_request request = {0};
    hilum_rc rc = codec_gather(self, coded, &stream);
    if (!rc)
        rc = j2k_header_read(self, &stream, &request.header);
    if (!rc)
        rc = j2k_check_part(self, &request.header, true);
    if (!rc)
        rc = j2k_part_of(self, &request.header, wanted, &request.part);
    if (!rc && !request.part.is_whole)
        rc = codec_fail(self, HILUM_EUNSUP, "no regions of HTJ2K");
    if (!rc)
        rc = j2k_frame_of(self, coded, &request.header, &request.part, wanted, out);
    if (!rc)
        rc = codec_check_room(self, out, dst_size);
    if (!rc) {
        request.frame = *out;
        rc = decode_stream(self, &stream, &request, dst);
    }
    codec_bytes_fini(&stream);
    return rc;
}

/* ---- encoding ---- */

/* As deep as the shorter side allows: below a pixel there is nothing to halve. */
static uint32_t levels_of(const struct hilum_frame *frame, const struct hilum_encode *wanted)
{
    uint32_t side = frame->columns < frame->rows ? frame->columns : frame->rows;
    uint32_t levels = wanted->levels == HILUM_NONE ? 0
                      : wanted->levels             ? wanted->levels
                                                   : LEVELS_DEFAULT;
    uint32_t most = 0;
    while (side >> (most + 1))
        most++;
    return levels < most ? levels : most;
}

static hilum_rc check_wanted(void *self, const struct hilum_encode *wanted)
{
    if (wanted->max_error || wanted->quality)
        return codec_fail(self, HILUM_EUNSUP, "HTJ2K is told its loss by ratio or psnr");
    if (wanted->ratio < 0 || wanted->ratio > 10000 || wanted->psnr < 0 || wanted->psnr > 200)
        return codec_fail(self, HILUM_EINVAL, "HTJ2K ratio up to 10000, psnr up to 200");
    return HILUM_OK;
}

/* What was not asked for (ratio, psnr) is told apart by 0. */
static hilum_rc request_of(void *self, const struct hilum_frame *frame, const void *src,
                           const struct hilum_encode *wanted, struct ht_request *out)
{
    hilum_rc rc = check_wanted(self, wanted);
    if (rc)
        return rc;
    *out = (struct ht_request){.is_lossy = codec_is_syntax(wanted->transfer_syntax, LOSSY),
                               .frame = *frame,
                               .levels = levels_of(frame, wanted),
                               .tile_width = wanted->tile_width,
                               .tile_height = wanted->tile_height,
                               .ratio = wanted->ratio,
                               .psnr = wanted->psnr};
    out->is_mixed = frame->samples == 3 && frame->photometric == HILUM_PHOTO_RGB &&
                    wanted->photometric != HILUM_PHOTO_RGB;
    out->bits = out->is_lossy ? frame->bits_stored : codec_bits_used(frame, src);
    if (out->is_lossy && !(out->ratio > 0) && !(out->psnr > 0))
        out->ratio = ratio_default;
    if (out->bits > (frame->samples == 1 ? BITS_MAX : BITS_COLOUR))
        return codec_fail(self, HILUM_EUNSUP,
                          "HTJ2K encoding of %u bits: OpenJPH keeps 20, of colours 16", out->bits);
    return HILUM_OK;
}

/* Noise takes a little more than it has, and every code block a few bytes. */
static hilum_rc encode_frame(void *self, const struct ht_request *request, const void *src,
                             uint64_t n, struct hilum_sink *out, uint64_t *written)
{
    struct ht_work work = {.in = src, .in_size = n, .out_size = 2 * n + 65536};
    work.out = malloc((size_t)work.out_size);
    hilum_rc rc = work.out ? ht_encode_frame(&work, request) : HILUM_ENOMEM;
    rc = rc ? failed(self, rc, &work) : codec_write(out, work.out, work.written);
    *written = work.written;
    free(work.out);
    return rc;
}

/* photometric: the colour transform renames the colours (PS3.3 C.7.6.3.1.2). */
static hilum_rc encode(void *self, const struct hilum_frame *frame, const void *src, uint64_t n,
                       const struct hilum_encode *wanted, struct hilum_sink *out,
                       struct hilum_encoded *done)
{
    struct ht_request request;
    uint64_t written = 0;
    hilum_rc rc = codec_check_source(self, frame, n);
    if (!rc)
        rc = request_of(self, frame, src, wanted, &request);
    if (!rc)
        rc = encode_frame(self, &request, src, n, out, &written);
    if (rc)
        return rc;
    uint32_t mixed = request.is_lossy ? HILUM_PHOTO_YBR_ICT : HILUM_PHOTO_YBR_RCT;
    codec_done(done, request.is_mixed ? mixed : frame->photometric, n, written,
               request.is_lossy ? "ISO_15444_15" : NULL);
    return HILUM_OK;
}

/* ---- the plugin ---- */

enum {
    BOTH = HILUM_CODEC_DECODES | HILUM_CODEC_ENCODES | HILUM_CODEC_REDUCES,
    KEEPS = BOTH | HILUM_CODEC_LOSSLESS
};

static const struct hilum_codec_syntax syntaxes[] = {
    {LOSSLESS, KEEPS, 100}, {LOSSLESS_RPCL, KEEPS, 100}, {LOSSY, BOTH, 100}, {0}};

static const struct hilum_codec table = {.cap = {.size = sizeof table,
                                                 .kind = HILUM_CAP_CODEC,
                                                 .threads = HILUM_PARALLEL,
                                                 .name = "htj2k"},
                                         .syntaxes = syntaxes,
                                         .info = info,
                                         .decode = decode,
                                         .encode = encode};

CODEC_PLUGIN("codec-htj2k", table)
