/* The conversion of uncompressed data sets under arbitrary bytes and chunking: both feeds agree, nothing grows
 * beyond its bound, and what came out is converted again. SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/dicom/uid.h"
#include "core/store/recode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const syntaxes[] = {
    HL_UID_EXPLICIT_LITTLE_ENDIAN,
    HL_UID_IMPLICIT_LITTLE_ENDIAN,
    HL_UID_EXPLICIT_BIG_ENDIAN,
    HL_UID_DEFLATED_LITTLE_ENDIAN,
};
enum { N = sizeof syntaxes / sizeof syntaxes[0], DEFLATED = 3 };

static const char *vr(uint32_t tag)
{
    static const char *const some[] = {"SQ", "US", "OW", "LO", "UN", "FD"};
    return tag >> 16 == 0x0008 ? "SQ" : some[tag % (sizeof some / sizeof some[0])];
}

static hilum_rc run(unsigned from, unsigned to, const uint8_t *p, size_t n, size_t chunk,
                    struct hl_buf *out)
{
    struct hl_recode *recode;
    if (hl_recode_new(syntaxes[from], syntaxes[to], vr, &recode) != HILUM_OK)
        abort();
    hilum_rc rc = HILUM_OK;
    for (size_t at = 0; at < n && rc == HILUM_OK; at += chunk)
        rc = hl_recode_feed(recode, p + at, n - at < chunk ? n - at : chunk, out);
    if (rc == HILUM_OK)
        rc = hl_recode_end(recode, out);
    hl_recode_free(recode);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 1 << 20)
        return 0;
    unsigned from = data[0] % N, to = data[0] / N % N;
    struct hl_buf whole = {0}, pieces = {0}, again = {0};
    hilum_rc a = run(from, to, data + 2, size - 2, size, &whole);
    hilum_rc b = run(from, to, data + 2, size - 2, (size_t)data[1] % 37 + 1, &pieces);
    if (a != b)
        abort();
    if (a == HILUM_OK && to != DEFLATED &&
        (whole.len != pieces.len || (whole.len && memcmp(whole.data, pieces.data, whole.len) != 0)))
        abort();
    if (from != DEFLATED && to != DEFLATED && whole.len > 2 * size + 4096)
        abort();
    if (a == HILUM_OK && whole.len)
        (void)run(to, from, (const uint8_t *)whole.data, whole.len, 4096, &again);
    hl_buf_fini(&whole);
    hl_buf_fini(&pieces);
    hl_buf_fini(&again);
    return 0;
}
