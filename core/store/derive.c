/* UIDs for objects that were made before there were any (ACR-NEMA): stable, so that importing a file twice
 * gives one instance. SPDX-License-Identifier: Apache-2.0 */
#include "core/store/store_internal.h"

#include <stdio.h>

void hl_derive_uid(const void *bytes, size_t n, char out[65])
{
    XXH128_hash_t hash = XXH3_128bits(bytes, n);
    __extension__ unsigned __int128 value = hash.high64;
    char digits[40];
    size_t at = sizeof digits - 1;
    value = value << 64 | hash.low64;
    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + (int)(value % 10));
        value /= 10;
    } while (value != 0);
    snprintf(out, 65, "2.25.%s", digits + at);
}

/* What an object says of itself stays. */
static hilum_rc absent_set(struct hl_attrs *attrs, uint32_t tag, const char *uid, bool *is_derived)
{
    if (hl_attrs_get(attrs, tag) != NULL)
        return HILUM_OK;
    *is_derived = true;
    return hl_attrs_set(attrs, tag, uid);
}

/* Objects of one patient, day and study number come into one study. Two different ones that
 * say the same would, too: that is the price of filing what has no UID at all. The seed is
 * text with line ends between values, so that "A" "BC" is not "AB" "C". The list of attributes
 * must never change: an object imported again would get other UIDs. */
hilum_rc hl_derive_identity(struct hl_attrs *attrs, const char *sop_class, const char *sop_instance,
                            bool *is_derived)
{
    static const uint32_t study[] = {0x00100010, 0x00100020, 0x00080020, 0x00080030, 0x00200010};
    static const uint32_t series[] = {0x00080060, 0x00200011, 0x00080021, 0x0008103E};
    struct hl_buf seed = {0};
    char study_uid[65], series_uid[65];
    for (size_t i = 0; i < sizeof study / sizeof study[0]; i++)
        hl_buf_printf(&seed, "%s\n", hl_attrs_text(attrs, study[i]));
    hl_derive_uid(hl_buf_str(&seed), seed.len, study_uid);
    hl_buf_text(&seed, hl_attrs_text(attrs, HL_TAG(0x0020, 0x000D)));
    for (size_t i = 0; i < sizeof series / sizeof series[0]; i++)
        hl_buf_printf(&seed, "\n%s", hl_attrs_text(attrs, series[i]));
    hl_derive_uid(hl_buf_str(&seed), seed.len, series_uid);
    hilum_rc rc = seed.failed ? HILUM_ENOMEM : HILUM_OK;
    hl_buf_fini(&seed);
    if (rc == HILUM_OK)
        rc = absent_set(attrs, HL_TAG(0x0008, 0x0016), sop_class, is_derived);
    if (rc == HILUM_OK)
        rc = absent_set(attrs, HL_TAG(0x0008, 0x0018), sop_instance, is_derived);
    if (rc == HILUM_OK)
        rc = absent_set(attrs, HL_TAG(0x0020, 0x000D), study_uid, is_derived);
    return rc == HILUM_OK ? absent_set(attrs, HL_TAG(0x0020, 0x000E), series_uid, is_derived) : rc;
}
