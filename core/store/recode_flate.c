/* The way in and out of a conversion, through inflate and deflate where the syntax says so (PS3.5 A.5).
 * It knows nothing of elements.
 *
 * hl_recode_feed and hl_recode_end are here because deflate is the outermost layer on both
 * sides: source bytes are inflated into the state machine, and what that writes goes through
 * recode->plain to the deflated output.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "core/base/error.h"
#include "core/store/recode_internal.h"

enum { RAW_DEFLATE = -15, BLOCK = 16384, MEMORY_LEVEL = 8 };

static hilum_rc no_memory(void)
{
    return hl_fail(HILUM_ENOMEM, "conversion: no memory");
}

hilum_rc hl_recode_inflate_init(struct hl_recode *recode)
{
    recode->inflate = calloc(1, sizeof *recode->inflate);
    if (recode->inflate && inflateInit2(recode->inflate, RAW_DEFLATE) == Z_OK)
        return HILUM_OK;
    free(recode->inflate);
    recode->inflate = NULL;
    return no_memory();
}

hilum_rc hl_recode_deflate_init(struct hl_recode *recode)
{
    recode->deflate = calloc(1, sizeof *recode->deflate);
    if (recode->deflate && deflateInit2(recode->deflate, Z_DEFAULT_COMPRESSION, Z_DEFLATED,
                                        RAW_DEFLATE, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) == Z_OK)
        return HILUM_OK;
    free(recode->deflate);
    recode->deflate = NULL;
    return no_memory();
}

void hl_recode_flate_fini(struct hl_recode *recode)
{
    if (recode->inflate)
        inflateEnd(recode->inflate);
    if (recode->deflate)
        deflateEnd(recode->deflate);
    free(recode->inflate);
    free(recode->deflate);
    hl_buf_fini(&recode->plain);
}

/* ---- in ---- */

/* *is_hungry: zlib has given all it could without more input. */
static hilum_rc inflate_block(struct hl_recode *recode, bool *is_hungry)
{
    uint8_t block[BLOCK];
    z_stream *z = recode->inflate;
    z->next_out = block;
    z->avail_out = sizeof block;
    int status = inflate(z, Z_NO_FLUSH);
    recode->is_inflated = status == Z_STREAM_END;
    *is_hungry = status == Z_BUF_ERROR || (z->avail_in == 0 && z->avail_out != 0);
    if (status != Z_OK && status != Z_BUF_ERROR && status != Z_STREAM_END)
        return recode->rc = hl_fail(HILUM_EINVAL, "conversion: deflated data is damaged");
    return hl_recode_consume(recode, block, sizeof block - z->avail_out);
}

/* Bytes behind the end of the deflated stream are padding. */
static hilum_rc inflate_chunk(struct hl_recode *recode, const uint8_t *p, size_t n)
{
    z_stream *z = recode->inflate;
    z->next_in = (Bytef *)(uintptr_t)p;
    z->avail_in = (unsigned)n;
    hilum_rc rc = recode->rc;
    for (bool is_hungry = false; rc == HILUM_OK && !is_hungry && !recode->is_inflated;)
        rc = inflate_block(recode, &is_hungry);
    return rc;
}

/* ---- out ---- */

/* What was converted leaves recode->plain and is deflated to `out`. */
static hilum_rc deflate_plain(struct hl_recode *recode, int flush, struct hl_buf *out)
{
    z_stream *z = recode->deflate;
    z->next_in = (Bytef *)recode->plain.data;
    z->avail_in = (unsigned)recode->plain.len;
    do {
        if (!hl_buf_reserve(out, BLOCK))
            return no_memory();
        z->next_out = (Bytef *)out->data + out->len;
        z->avail_out = BLOCK;
        (void)deflate(z, flush); /* fails only for misuse */
        out->len += BLOCK - z->avail_out;
    } while (z->avail_out == 0);
    hl_buf_clear(&recode->plain);
    return HILUM_OK;
}

/* A failed buffer shows only here. */
static hilum_rc deliver(struct hl_recode *recode, hilum_rc rc, int flush, struct hl_buf *out)
{
    if (rc == HILUM_OK && recode->out->failed)
        rc = recode->rc = no_memory();
    return rc == HILUM_OK && recode->deflate ? deflate_plain(recode, flush, out) : rc;
}

hilum_rc hl_recode_feed(struct hl_recode *recode, const void *bytes, size_t n, struct hl_buf *out)
{
    recode->out = recode->deflate ? &recode->plain : out;
    hilum_rc rc =
        recode->inflate ? inflate_chunk(recode, bytes, n) : hl_recode_consume(recode, bytes, n);
    return deliver(recode, rc, Z_NO_FLUSH, out);
}

hilum_rc hl_recode_end(struct hl_recode *recode, struct hl_buf *out)
{
    recode->out = recode->deflate ? &recode->plain : out;
    hilum_rc rc = hl_recode_finish(recode);
    if (rc == HILUM_OK && recode->inflate && !recode->is_inflated)
        rc = recode->rc = hl_fail(HILUM_EINVAL, "conversion: deflated data cut short");
    rc = deliver(recode, rc, Z_FINISH, out);
    if (rc == HILUM_OK && recode->deflate && recode->deflate->total_out % 2)
        hl_buf_byte(out, 0); /* PS3.5 A.5: padded to an even length */
    return rc;
}
