/* The header scan under arbitrary bytes and arbitrary chunking: both feeds must agree.
 * The first byte picks the syntax, the second the chunk. SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/dicom/uid.h"
#include "core/store/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const syntaxes[] = {
    HL_UID_EXPLICIT_LITTLE_ENDIAN, HL_UID_IMPLICIT_LITTLE_ENDIAN, HL_UID_EXPLICIT_BIG_ENDIAN,
    HL_UID_DEFLATED_LITTLE_ENDIAN, HL_UID_JPEG_BASELINE,
};

static hilum_rc run(const char *syntax, const uint8_t *p, size_t n, size_t chunk,
                    struct hl_scan **out)
{
    struct hl_scan_limits limits = {.max_held = 256 * 1024, .max_depth = 8, .max_ratio = 100};
    if (hl_scan_new(syntax, &limits, out) != HILUM_OK)
        abort();
    for (size_t at = 0; at < n; at += chunk) {
        hilum_rc rc = hl_scan_feed(*out, p + at, n - at < chunk ? n - at : chunk);
        if (rc != HILUM_OK)
            return rc;
    }
    return hl_scan_end(*out);
}

static void check_same(const struct hl_element *a, const struct hl_element *b, uint64_t length)
{
    if (a->tag != b->tag || a->offset != b->offset || a->length != b->length ||
        memcmp(a->vr, b->vr, sizeof a->vr) != 0 || !a->value != !b->value)
        abort();
    if (a->offset + a->header_length + a->length > length)
        abort();
    if (a->value && memcmp(a->value, b->value, a->length) != 0)
        abort();
}

static void compare(const struct hl_scan *a, const struct hl_scan *b)
{
    if (hl_scan_count(a) != hl_scan_count(b) || hl_scan_remarks(a) != hl_scan_remarks(b))
        abort();
    for (size_t i = 0; i < hl_scan_count(a); i++) {
        check_same(hl_scan_at(a, i), hl_scan_at(b, i), hl_scan_length(a));
        int64_t number;
        hl_scan_int(a, hl_scan_at(a, i)->tag, &number);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hl_part10 head;
    hl_part10_read(data, size, &head);
    if (size < 2)
        return 0;
    const char *syntax = syntaxes[data[0] % (sizeof syntaxes / sizeof syntaxes[0])];
    struct hl_scan *whole = NULL, *pieces = NULL;
    hilum_rc a = run(syntax, data + 2, size - 2, size, &whole);
    hilum_rc b = run(syntax, data + 2, size - 2, (size_t)data[1] % 37 + 1, &pieces);
    /* A deflate bomb is noticed at whatever block boundary comes first. */
    if (a != b && a != HILUM_EFULL && b != HILUM_EFULL)
        abort();
    if (a == HILUM_OK && b == HILUM_OK)
        compare(whole, pieces);
    hl_scan_free(whole);
    hl_scan_free(pieces);
    return 0;
}
