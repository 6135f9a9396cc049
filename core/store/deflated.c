/* Deflated data sets (PS3.5 A.5) that have corrections: read inflated, at any place, and deflated again as they
 * leave. Memory is the same whatever the size. It knows nothing of elements. SPDX-License-Identifier: Apache-2.0 */
#include "core/store/store_internal.h"

#include <stdlib.h>
#include <zlib.h>

#include "core/base/error.h"

/* No zlib head and no checksum: PS3.5 A.5 wants a bare stream (RFC 1951), which zlib calls by
 * a negative window. A wrong digest of the stored object is found before (deflated_open), so
 * damage here means that it was sent damaged. */
enum { RAW_DEFLATE = -15, MEMORY_LEVEL = 8, INPUT = 64 * 1024, STEP = 64 * 1024 };

/* ---- inflated ---- */

/* Some 130 KiB and zlib's 40. */
struct hl_inflated {
    struct hl_outgoing *outgoing;
    z_stream stream;
    uint64_t taken, at; /* stored bytes handed to zlib; inflated bytes given */
    bool is_end;
    uint8_t input[INPUT];
    uint8_t skipped[STEP];
};

hilum_rc hl_inflated_new(struct hl_outgoing *outgoing, struct hl_inflated **out)
{
    struct hl_inflated *inflated = calloc(1, sizeof *inflated);
    *out = NULL;
    if (inflated == NULL || inflateInit2(&inflated->stream, RAW_DEFLATE) != Z_OK) {
        free(inflated);
        return hl_fail(HILUM_ENOMEM, "no memory to inflate");
    }
    inflated->outgoing = outgoing;
    *out = inflated;
    return HILUM_OK;
}

void hl_inflated_free(struct hl_inflated *inflated)
{
    if (inflated == NULL)
        return;
    inflateEnd(&inflated->stream);
    free(inflated);
}

/* The next piece of stored bytes, if zlib has used up the last one and there are any. */
static hilum_rc input_fill(struct hl_inflated *inflated)
{
    uint64_t left = hl_outgoing_stored_length(inflated->outgoing) - inflated->taken;
    size_t n = left < INPUT ? (size_t)left : INPUT;
    if (inflated->stream.avail_in > 0 || n == 0)
        return HILUM_OK; /* without more of it, zlib may still hold output back */
    hilum_rc rc = hl_outgoing_read_stored(inflated->outgoing, inflated->taken, inflated->input, n);
    inflated->taken += n;
    inflated->stream.next_in = inflated->input;
    inflated->stream.avail_in = (uInt)n;
    return rc;
}

/* STEP bounds a call of zlib, whose lengths are 32 bits. */
hilum_rc hl_inflated_next(struct hl_inflated *inflated, void *dst, size_t max, size_t *n)
{
    z_stream *stream = &inflated->stream;
    hilum_rc rc = HILUM_OK;
    for (*n = 0; rc == HILUM_OK && *n < max && !inflated->is_end;) {
        rc = input_fill(inflated);
        if (rc != HILUM_OK)
            break;
        size_t left = max - *n;
        uInt room = left < STEP ? (uInt)left : STEP;
        stream->next_out = (Bytef *)dst + *n;
        stream->avail_out = room;
        int state = inflate(stream, Z_NO_FLUSH);
        bool is_stuck = stream->avail_in == 0 && stream->avail_out == room &&
                        inflated->taken == hl_outgoing_stored_length(inflated->outgoing);
        *n += room - stream->avail_out;
        inflated->is_end = state == Z_STREAM_END;
        if (state != Z_OK && state != Z_STREAM_END && state != Z_BUF_ERROR)
            rc = hl_fail(HILUM_ECORRUPT, "deflated data set: damaged");
        else if (is_stuck && !inflated->is_end)
            rc = hl_fail(HILUM_ECORRUPT, "deflated data set: not whole");
    }
    inflated->at += *n;
    return rc;
}

/* Backwards is from the start again: only few and small parts of a header are read so. */
static hilum_rc go_to(struct hl_inflated *inflated, uint64_t at)
{
    hilum_rc rc = HILUM_OK;
    if (at < inflated->at) {
        inflateReset(&inflated->stream);
        inflated->stream.avail_in = 0;
        inflated->taken = inflated->at = 0;
        inflated->is_end = false;
    }
    while (rc == HILUM_OK && inflated->at < at && !inflated->is_end) {
        uint64_t ahead = at - inflated->at;
        size_t n = 0;
        rc = hl_inflated_next(inflated, inflated->skipped, ahead < STEP ? (size_t)ahead : STEP, &n);
    }
    return rc;
}

/* HILUM_EINVAL: fewer than n bytes are left. */
hilum_rc hl_inflated_read(struct hl_inflated *inflated, uint64_t at, void *dst, size_t n)
{
    size_t got = 0;
    hilum_rc rc = go_to(inflated, at);
    if (rc == HILUM_OK)
        rc = hl_inflated_next(inflated, dst, n, &got);
    if (rc == HILUM_OK && got != n)
        rc = hl_fail(HILUM_EINVAL, "read beyond an inflated data set");
    return rc;
}

/* ---- deflated ---- */

struct hl_deflating {
    z_stream stream;
};

hilum_rc hl_deflating_new(struct hl_deflating **out)
{
    struct hl_deflating *deflating = calloc(1, sizeof *deflating);
    *out = NULL;
    if (deflating == NULL || deflateInit2(&deflating->stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED,
                                          RAW_DEFLATE, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK) {
        free(deflating);
        return hl_fail(HILUM_ENOMEM, "no memory to deflate");
    }
    *out = deflating;
    return HILUM_OK;
}

void hl_deflating_free(struct hl_deflating *deflating)
{
    if (deflating == NULL)
        return;
    deflateEnd(&deflating->stream);
    free(deflating);
}

/* Until zlib has room left over: then it holds nothing back that it could give. */
static hilum_rc deflate_some(struct hl_deflating *deflating, const void *bytes, size_t n, int flush,
                             struct hl_buf *out)
{
    z_stream *stream = &deflating->stream;
    stream->next_in = (Bytef *)bytes;
    stream->avail_in = (uInt)n;
    do {
        if (!hl_buf_reserve(out, STEP))
            return hl_fail(HILUM_ENOMEM, "no memory to deflate");
        stream->next_out = (Bytef *)out->data + out->len;
        stream->avail_out = STEP;
        (void)deflate(stream, flush); /* fails only for misuse */
        out->len += STEP - stream->avail_out;
    } while (stream->avail_out == 0);
    return HILUM_OK;
}

hilum_rc hl_deflating_feed(struct hl_deflating *deflating, const void *bytes, size_t n,
                           struct hl_buf *out)
{
    return deflate_some(deflating, bytes, n, Z_NO_FLUSH, out);
}

hilum_rc hl_deflating_end(struct hl_deflating *deflating, struct hl_buf *out)
{
    hilum_rc rc = deflate_some(deflating, "", 0, Z_FINISH, out);
    if (rc == HILUM_OK && deflating->stream.total_out % 2) /* PS3.5 A.5: padded to even length */
        hl_buf_byte(out, 0);
    return rc == HILUM_OK && out->failed ? hl_fail(HILUM_ENOMEM, "no memory to deflate") : rc;
}
