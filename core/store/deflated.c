/* Deflated data sets (PS3.5 A.5) that have corrections: inflated, spliced and deflated again in memory, which
 * bounds their size. SPDX-License-Identifier: Apache-2.0 */
#include "core/store/store_internal.h"

#include <string.h>
#include <zlib.h>

#include "core/base/error.h"

enum { STEP = 256 * 1024 };

hilum_rc hl_inflate_whole(const struct hl_buf *deflated, size_t max, struct hl_buf *out)
{
    z_stream stream = {.next_in = (Bytef *)deflated->data, .avail_in = (uInt)deflated->len};
    int state = inflateInit2(&stream, -MAX_WBITS);
    if (state != Z_OK)
        return hl_fail(HILUM_ENOMEM, "no memory to inflate");
    while (state == Z_OK && out->len <= max && hl_buf_reserve(out, STEP)) {
        stream.next_out = (Bytef *)out->data + out->len;
        stream.avail_out = STEP;
        state = inflate(&stream, Z_NO_FLUSH);
        out->len += STEP - stream.avail_out;
    }
    inflateEnd(&stream);
    if (out->failed)
        return hl_fail(HILUM_ENOMEM, "no memory to inflate");
    if (out->len > max)
        return hl_fail(HILUM_EUNSUP, "deflated data set over %zu bytes cannot be corrected", max);
    return state == Z_STREAM_END ? HILUM_OK
                                 : hl_fail(HILUM_ECORRUPT, "deflated data set: not whole");
}

static hilum_rc piece_deflate(z_stream *stream, const void *bytes, size_t n, int flush,
                              struct hl_buf *out)
{
    int state = Z_OK;
    stream->next_in = (Bytef *)bytes;
    stream->avail_in = (uInt)n;
    do {
        if (!hl_buf_reserve(out, STEP))
            return hl_fail(HILUM_ENOMEM, "no memory to deflate");
        stream->next_out = (Bytef *)out->data + out->len;
        stream->avail_out = STEP;
        state = deflate(stream, flush);
        out->len += STEP - stream->avail_out;
    } while (state == Z_OK && stream->avail_out == 0);
    return state == Z_OK || state == Z_STREAM_END || state == Z_BUF_ERROR
               ? HILUM_OK
               : hl_fail(HILUM_EINTERNAL, "deflate: %d", state);
}

hilum_rc hl_deflate_splice(const struct hl_splice *splice, const struct hl_buf *inflated,
                           struct hl_buf *out)
{
    z_stream stream = {0};
    if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return hl_fail(HILUM_ENOMEM, "no memory to deflate");
    hilum_rc rc = HILUM_OK;
    for (size_t i = 0; i < splice->count && rc == HILUM_OK; i++) {
        const struct hl_piece *piece = &splice->pieces[i];
        const void *bytes =
            piece->bytes != NULL ? (const void *)piece->bytes : inflated->data + piece->offset;
        rc = piece_deflate(&stream, bytes, (size_t)piece->length, Z_NO_FLUSH, out);
    }
    if (rc == HILUM_OK)
        rc = piece_deflate(&stream, "", 0, Z_FINISH, out);
    deflateEnd(&stream);
    if (out->len & 1) /* PS3.5 A.5: padded to an even length */
        hl_buf_byte(out, 0);
    return rc == HILUM_OK && out->failed ? hl_fail(HILUM_ENOMEM, "no memory to deflate") : rc;
}
