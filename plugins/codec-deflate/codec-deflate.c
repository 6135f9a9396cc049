/* codec-deflate: native frames in fragments, deflated one by one (Deflated Image Frame Compression) or as they are
 * (Encapsulated Uncompressed; PS3.5 A.4). The stream knows no dimensions: the data set's are taken. Every bit comes
 * back, whatever it means. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "codec_common.h"

#define DEFLATED CODEC_UID("8.1")
#define PLAIN    CODEC_UID("1.98")
/* Without zlib's head and checksum (RFC 1951), in a window of 32 KiB. */
enum { RAW_DEFLATE = -15, MEMORY_LEVEL = 8 };

/* ---- decoding ---- */

/* The frame as it lies in the stream, planes and all. */
static hilum_rc layout_of(void *self, const struct hilum_coded *coded, struct hilum_frame *out)
{
    uint32_t size = out->size;
    if (!coded->declared)
        return codec_fail(self, HILUM_EINVAL, "such frames cannot be read without dimensions");
    *out = *coded->declared;
    out->size = size ? size : (uint32_t)sizeof *out;
    if (!hilum_frame_bytes(out))
        return codec_fail(self, HILUM_EUNSUP, "a frame of %ux%u pixels, %u samples of %u bits",
                          out->columns, out->rows, out->samples, out->bits_allocated);
    return HILUM_OK;
}

static hilum_rc info(void *self, const struct hilum_coded *coded, struct hilum_code_info *out)
{
    hilum_rc rc = layout_of(self, coded, out->frame);
    if (rc)
        return rc;
    out->frame->is_planar = 0;
    out->is_lossless = 1;
    out->levels = out->layers = 0;
    out->tile_width = out->frame->columns;
    out->tile_height = out->frame->rows;
    out->photometric = out->frame->photometric;
    return HILUM_OK;
}

/* Never more than the frame, whatever the stream would come to. Output is bounded by the
 * frame: a stream that would go on is cut there (Z_BUF_ERROR), and padding behind it does no
 * harm. */
static hilum_rc inflate_frame(void *self, const struct codec_bytes *stream, uint8_t *dst, size_t n)
{
    z_stream z = {.next_in = (uint8_t *)(uintptr_t)stream->at, .next_out = dst};
    if (stream->n > UINT32_MAX || n > UINT32_MAX)
        return codec_fail(self, HILUM_EUNSUP, "deflated frames of more than 4 GiB");
    z.avail_in = (uInt)stream->n;
    z.avail_out = (uInt)n;
    if (inflateInit2(&z, RAW_DEFLATE) != Z_OK)
        return codec_fail(self, HILUM_ENOMEM, "no memory to inflate");
    int code = inflate(&z, Z_FINISH);
    size_t left = z.avail_out;
    inflateEnd(&z);
    if (left || (code != Z_STREAM_END && code != Z_BUF_ERROR && code != Z_OK))
        return codec_fail(self, HILUM_ECORRUPT, "deflated frame: %zu of %zu bytes", n - left, n);
    return HILUM_OK;
}

/* One byte more is padding. */
static hilum_rc copy_frame(void *self, const struct codec_bytes *stream, uint8_t *dst, size_t n)
{
    memcpy(dst, stream->at, stream->n < n ? stream->n : n);
    if (stream->n < n || stream->n > n + 1)
        return codec_fail(self, HILUM_ECORRUPT, "frame of %zu bytes in %zu", n, stream->n);
    return HILUM_OK;
}

static hilum_rc decode_stream(void *self, const struct hilum_coded *coded, uint8_t *dst, size_t n)
{
    struct codec_bytes stream;
    memset(dst, 0, n);
    hilum_rc rc = codec_gather(self, coded, &stream);
    if (!rc)
        rc = codec_is_syntax(coded->transfer_syntax, PLAIN) ? copy_frame(self, &stream, dst, n)
                                                            : inflate_frame(self, &stream, dst, n);
    codec_bytes_fini(&stream);
    return rc;
}

/* Planes are turned into pixels, or the other way round, as is wished. Bits as they are,
 * overlays too: hence all allocated ones count as stored. */
static hilum_rc decode_turned(void *self, const struct hilum_coded *coded,
                              const struct hilum_frame *layout, void *dst,
                              const struct hilum_frame *out)
{
    size_t n = (size_t)hilum_frame_bytes(layout);
    if (!n || layout->bits_allocated % 8 || layout->bits_allocated > 32)
        return codec_fail(self, HILUM_EUNSUP, "planes of %u bits", layout->bits_allocated);
    uint8_t *turned = calloc(1, n);
    if (!turned)
        return codec_fail(self, HILUM_ENOMEM, "no memory for a frame");
    struct hilum_frame from = *layout, to = *out;
    from.bits_stored = to.bits_stored = layout->bits_allocated;
    hilum_rc rc = decode_stream(self, coded, turned, n);
    hilum_rc converted = codec_convert(self, &from, turned, &to, dst);
    free(turned);
    return rc ? rc : converted;
}

static hilum_rc decode(void *self, const struct hilum_coded *coded,
                       const struct hilum_decode *wanted, void *dst, uint64_t dst_size,
                       struct hilum_frame *out)
{
    hilum_rc rc = codec_check_whole(self, wanted);
    if (!rc)
        rc = layout_of(self, coded, out);
    if (!rc)
        rc = codec_check_room(self, out, dst_size);
    if (rc)
        return rc;
    struct hilum_frame layout = *out;
    out->is_planar = out->samples > 1 && wanted && wanted->is_planar;
    if (layout.samples > 1 && layout.is_planar != out->is_planar)
        return decode_turned(self, coded, &layout, dst, out);
    return decode_stream(self, coded, dst, (size_t)hilum_frame_bytes(out));
}

/* ---- encoding ---- */

/* deflateBound: one call is enough. */
static hilum_rc deflate_frame(void *self, const void *src, uint64_t n, uint32_t effort,
                              struct hilum_sink *out, uint64_t *written)
{
    z_stream z = {.next_in = (uint8_t *)(uintptr_t)src, .avail_in = (uInt)n};
    int level = effort ? (int)effort : Z_DEFAULT_COMPRESSION;
    if (n > UINT32_MAX / 2)
        return codec_fail(self, HILUM_EUNSUP, "deflated frames of more than 2 GiB");
    if (effort > 9 ||
        deflateInit2(&z, level, Z_DEFLATED, RAW_DEFLATE, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
        return codec_fail(self, HILUM_EINVAL, "effort is 1 to 9");
    size_t room = deflateBound(&z, (uLong)n) + 1;
    uint8_t *to = malloc(room);
    z.next_out = to;
    z.avail_out = (uInt)room;
    hilum_rc rc = to && deflate(&z, Z_FINISH) == Z_STREAM_END
                      ? codec_write(out, to, z.total_out)
                      : codec_fail(self, HILUM_ENOMEM, "no memory to deflate");
    *written = z.total_out;
    deflateEnd(&z);
    free(to);
    return rc;
}

static hilum_rc encode(void *self, const struct hilum_frame *frame, const void *src, uint64_t n,
                       const struct hilum_encode *wanted, struct hilum_sink *out,
                       struct hilum_encoded *done)
{
    uint64_t written = n;
    if (!n || hilum_frame_bytes(frame) != n)
        return codec_fail(self, HILUM_EINVAL, "%llu bytes are no frame of %ux%u pixels",
                          (unsigned long long)n, frame->columns, frame->rows);
    hilum_rc rc = codec_is_syntax(wanted->transfer_syntax, PLAIN)
                      ? codec_write(out, src, n)
                      : deflate_frame(self, src, n, wanted->effort, out, &written);
    if (rc)
        return rc;
    codec_done(done, frame->photometric, n, written, NULL);
    done->is_planar = frame->is_planar;
    return HILUM_OK;
}

/* ---- the plugin ---- */

enum { KEEPS = HILUM_CODEC_DECODES | HILUM_CODEC_ENCODES | HILUM_CODEC_LOSSLESS };

static const struct hilum_codec_syntax syntaxes[] = {
    {DEFLATED, KEEPS, 100}, {PLAIN, KEEPS, 100}, {0}};

static const struct hilum_codec table = {.cap = {.size = sizeof table,
                                                 .kind = HILUM_CAP_CODEC,
                                                 .threads = HILUM_PARALLEL,
                                                 .name = "deflate"},
                                         .syntaxes = syntaxes,
                                         .info = info,
                                         .decode = decode,
                                         .encode = encode};

CODEC_PLUGIN("codec-deflate", table)
