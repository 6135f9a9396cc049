/* Deflated data sets, inflated as they come. It knows nothing of elements.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "core/base/error.h"
#include "core/store/scan_internal.h"

/* -15: a bare stream without zlib's head (PS3.5 A.5). 16 KiB on the stack are inflated at
 * once. 64 KiB are free of the ratio. */
enum { RAW_DEFLATE = -15, BLOCK = 16384, FREE_OF_RATIO = 65536 };

hilum_rc hl_scan_inflate_init(struct hl_scan *scan)
{
    scan->inflate = calloc(1, sizeof *scan->inflate);
    if (scan->inflate && inflateInit2(scan->inflate, RAW_DEFLATE) == Z_OK)
        return HILUM_OK;
    free(scan->inflate);
    scan->inflate = NULL;
    return hl_fail(HILUM_ENOMEM, "header scan: no memory to inflate");
}

void hl_scan_inflate_fini(struct hl_scan *scan)
{
    if (!scan->inflate)
        return;
    inflateEnd(scan->inflate);
    free(scan->inflate);
    scan->inflate = NULL;
}

/* For messages: the place in a deflated stream means nothing to anybody. */
static uint32_t last_tag(const struct hl_scan *scan)
{
    return scan->count ? scan->elements[scan->count - 1].tag : 0;
}

/* Small objects may be all zeros; the limit begins where an attack would. */
static hilum_rc check_ratio(struct hl_scan *scan)
{
    uint64_t allowed = FREE_OF_RATIO + (uint64_t)scan->inflate->total_in * scan->limits.max_ratio;
    if (scan->inflate->total_out <= allowed)
        return HILUM_OK;
    return hl_scan_fail(scan, HILUM_EFULL,
                        "deflated data inflates over %u-fold: after (%04X,%04X) at offset %llu",
                        scan->limits.max_ratio, last_tag(scan) >> 16, last_tag(scan) & 0xFFFF,
                        (unsigned long long)scan->offset);
}

/* One block out. What was inflated before a defect counts, so that any chunking ends alike. */
static hilum_rc inflate_block(struct hl_scan *scan, bool *is_hungry)
{
    uint8_t block[BLOCK];
    z_stream *z = scan->inflate;
    z->next_out = block;
    z->avail_out = sizeof block;
    int status = inflate(z, Z_NO_FLUSH);
    hilum_rc rc = hl_scan_consume(scan, block, sizeof block - z->avail_out);
    if (rc == HILUM_OK)
        rc = check_ratio(scan);
    if (rc != HILUM_OK)
        return rc;
    scan->is_inflated = status == Z_STREAM_END;
    *is_hungry = status == Z_BUF_ERROR || (z->avail_in == 0 && z->avail_out != 0);
    if (status == Z_OK || status == Z_BUF_ERROR || status == Z_STREAM_END)
        return HILUM_OK;
    return hl_scan_fail(
        scan, HILUM_EINVAL, "deflated data is damaged: after (%04X,%04X) at offset %llu",
        last_tag(scan) >> 16, last_tag(scan) & 0xFFFF, (unsigned long long)scan->offset);
}

/* One zero pads the stream to even length (PS3.5 A.5). */
static void note_trailing(struct hl_scan *scan, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i])
            scan->remarks |= HL_SCAN_TRAILING;
}

/* avail_in is 32 bits: a larger chunk is taken in parts. */
hilum_rc hl_scan_inflate(struct hl_scan *scan, const uint8_t *p, size_t n)
{
    while (n && !scan->is_inflated) {
        unsigned take = n < UINT32_MAX / 2 ? (unsigned)n : UINT32_MAX / 2;
        scan->inflate->next_in = (Bytef *)(uintptr_t)p;
        scan->inflate->avail_in = take;
        for (bool is_hungry = false; !is_hungry && !scan->is_inflated;) {
            hilum_rc rc = inflate_block(scan, &is_hungry);
            if (rc != HILUM_OK)
                return rc;
        }
        p += take - scan->inflate->avail_in;
        n -= take - scan->inflate->avail_in;
    }
    note_trailing(scan, p, n);
    return HILUM_OK;
}
