/* codec-jpeg: JPEG baseline, extended and lossless (PS3.5 A.4.1; ISO 10918-1): libjpeg-turbo for 8 bits with loss, DCMTK's
 * IJG libraries for the rest. The stream's own header says which, not the UID it comes under.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "jpeg.h"

enum { LEVELS = 3 }; /* a block of 8 pixels halves three times */

/* The faster one, and it halves while decoding, which DCMTK's copies cannot. */
static bool is_turbo(const struct jpeg_header *header)
{
    return !header->is_lossless && header->bits == 8;
}

/* ---- decoding ---- */

/* Streams of luminance and colour differences come out as RGB, or as they are if that is wanted. */
static void set_photometric(const struct jpeg_header *header, const struct hilum_decode *wanted,
                            struct hilum_frame *out)
{
    if (header->components == 1)
        return;
    bool is_kept = !is_turbo(header) || (wanted && wanted->photometric == HILUM_PHOTO_YBR_FULL);
    if (header->components == 3)
        out->photometric = header->is_ycc && is_kept ? HILUM_PHOTO_YBR_FULL : HILUM_PHOTO_RGB;
}

/* On error too the stream is the caller's to free. */
static hilum_rc stream_open(void *self, const struct hilum_coded *coded,
                            const struct hilum_decode *wanted, struct codec_bytes *stream,
                            struct jpeg_header *header, struct hilum_frame *out)
{
    uint32_t reduce = wanted ? wanted->reduce : 0;
    hilum_rc rc = codec_gather(self, coded, stream);
    if (!rc)
        rc = jpeg_header_read(self, stream, coded->declared, header);
    if (rc)
        return rc;
    if (wanted && wanted->width)
        return codec_fail(self, HILUM_EUNSUP, "no regions of JPEG");
    if (reduce > (is_turbo(header) ? LEVELS : 0))
        return codec_fail(self, HILUM_EUNSUP, "this JPEG stream cannot be halved %u times", reduce);
    if (header->is_lossless ? header->bits < 2 || header->bits > 16
                            : header->bits != 8 && header->bits != 12)
        return codec_fail(self, HILUM_EUNSUP, "JPEG samples of %u bits", header->bits);
    struct codec_shape shape = {codec_reduced(header->columns, reduce),
                                codec_reduced(header->rows, reduce), header->components,
                                header->bits, false};
    rc = codec_frame_of(self, coded, &shape, wanted, out);
    if (!rc)
        set_photometric(header, wanted, out);
    return rc;
}

/* The header only. photometric is the stream's, out->frame's what decoding yields. */
static hilum_rc info(void *self, const struct hilum_coded *coded, struct hilum_code_info *out)
{
    struct codec_bytes stream;
    struct jpeg_header header;
    hilum_rc rc = stream_open(self, coded, NULL, &stream, &header, out->frame);
    codec_bytes_fini(&stream);
    if (rc)
        return rc;
    out->is_lossless = header.is_lossless;
    out->levels = is_turbo(&header) ? LEVELS : 0;
    out->layers = 0;
    out->tile_width = out->frame->columns;
    out->tile_height = out->frame->rows;
    out->photometric = !header.is_ycc         ? out->frame->photometric
                       : header.is_subsampled ? HILUM_PHOTO_YBR_FULL_422
                                              : HILUM_PHOTO_YBR_FULL;
    return HILUM_OK;
}

/* hilum_frame_bytes was checked against dst_size before anything is written. */
static hilum_rc decode(void *self, const struct hilum_coded *coded,
                       const struct hilum_decode *wanted, void *dst, uint64_t dst_size,
                       struct hilum_frame *out)
{
    struct codec_bytes stream;
    struct jpeg_header header;
    hilum_rc rc = stream_open(self, coded, wanted, &stream, &header, out);
    if (!rc)
        rc = codec_check_room(self, out, dst_size);
    if (!rc) {
        struct jpeg_job job = {self, &stream, &header, out, wanted ? wanted->reduce : 0, dst};
        memset(dst, 0, (size_t)hilum_frame_bytes(out));
        rc = is_turbo(&header) ? jpeg_turbo_decode(&job) : jpeg_deep_decode(&job);
    }
    codec_bytes_fini(&stream);
    return rc;
}

/* ---- encoding ---- */

/* Y Y Cb Cr for each two pixels of a row: baseline has just that, nothing else has it. */
static hilum_rc check_halved(void *self, const struct hilum_frame *frame, uint64_t n,
                             bool is_baseline)
{
    if (!is_baseline || frame->bits_allocated != 8 || frame->samples != 3 || frame->columns % 2 ||
        frame->sample_type != HILUM_SAMPLE_UNSIGNED || frame->columns > CODEC_SIDE_MAX ||
        frame->rows > CODEC_SIDE_MAX)
        return codec_fail(self, HILUM_EUNSUP,
                          "YBR_FULL_422 of 8 bits and even rows becomes JPEG baseline only");
    return hilum_frame_bytes(frame) == n && n ? HILUM_OK
                                              : codec_fail(self, HILUM_EINVAL, "no frame of 4:2:2");
}

/* Negative samples would wrap to white. */
static hilum_rc check_baseline(void *self, const struct hilum_frame *frame, const void *src)
{
    if (frame->bits_stored > 8)
        return codec_fail(self, HILUM_EUNSUP, "JPEG baseline has no samples of %u bits",
                          frame->bits_stored);
    if (codec_has_negative(frame, src))
        return codec_fail(self, HILUM_EUNSUP, "JPEG with loss has no negative samples");
    return HILUM_OK;
}

/* photometric: what the stream's colours became, which the caller writes into the data set
 * (PS3.5 8.2.1). */
static hilum_rc encode(void *self, const struct hilum_frame *frame, const void *src, uint64_t n,
                       const struct hilum_encode *wanted, struct hilum_sink *out,
                       struct hilum_encoded *done)
{
    bool is_baseline = codec_is_syntax(wanted->transfer_syntax, JPEG_BASELINE);
    bool is_lossy = is_baseline || codec_is_syntax(wanted->transfer_syntax, JPEG_EXTENDED);
    uint32_t photometric = frame->photometric;
    uint64_t written = 0;
    hilum_rc rc = frame->photometric == HILUM_PHOTO_YBR_FULL_422
                      ? check_halved(self, frame, n, is_baseline)
                      : codec_check_source(self, frame, n);
    if (!rc && is_baseline)
        rc = check_baseline(self, frame, src);
    if (!rc)
        rc = is_baseline ? jpeg_turbo_encode(self, frame, src, wanted, out, &written, &photometric)
                         : jpeg_deep_encode(self, frame, src, wanted, out, &written);
    if (!rc)
        codec_done(done, photometric, n, written, is_lossy ? "ISO_10918_1" : NULL);
    return rc;
}

/* ---- the plugin ---- */

enum { BOTH = HILUM_CODEC_DECODES | HILUM_CODEC_ENCODES, KEEPS = BOTH | HILUM_CODEC_LOSSLESS };

static const struct hilum_codec_syntax syntaxes[] = {
    {JPEG_BASELINE, BOTH | HILUM_CODEC_REDUCES, 100},
    {JPEG_EXTENDED, BOTH, 100},
    {JPEG_LOSSLESS, KEEPS, 100},
    {JPEG_LOSSLESS_SV1, KEEPS, 100},
    /* Retired, and still in archives: the same streams and their progressive kind. */
    {CODEC_UID("4.52"), HILUM_CODEC_DECODES, 100},
    {CODEC_UID("4.53"), HILUM_CODEC_DECODES, 100},
    {CODEC_UID("4.55"), HILUM_CODEC_DECODES, 100},
    {0}};

static const struct hilum_codec table = {.cap = {.size = sizeof table,
                                                 .kind = HILUM_CAP_CODEC,
                                                 .threads = HILUM_PARALLEL,
                                                 .name = "jpeg"},
                                         .syntaxes = syntaxes,
                                         .info = info,
                                         .decode = decode,
                                         .encode = encode};

CODEC_PLUGIN("codec-jpeg", table)
