/* Reading and checking UTF-8 (RFC 3629). SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>

#include "core/base/text.h"

/* Length by the first byte, and what the second must lie in to be neither overlong, a surrogate nor
 * above U+10FFFF. 0: never a first byte. */
static size_t sequence_of(uint8_t first, uint8_t *low, uint8_t *high)
{
    *low = 0x80;
    *high = 0xBF;
    if (first < 0x80)
        return 1;
    if (first >= 0xC2 && first <= 0xDF)
        return 2;
    if (first >= 0xE0 && first <= 0xEF) {
        *low = first == 0xE0 ? 0xA0 : 0x80;
        *high = first == 0xED ? 0x9F : 0xBF;
        return 3;
    }
    if (first >= 0xF0 && first <= 0xF4) {
        *low = first == 0xF0 ? 0x90 : 0x80;
        *high = first == 0xF4 ? 0x8F : 0xBF;
        return 4;
    }
    return 0;
}

int32_t hl_utf8_next(const char **text, size_t *n)
{
    const uint8_t *p = (const uint8_t *)*text;
    uint8_t low, high;
    size_t size = sequence_of(p[0], &low, &high);
    bool is_valid = size && size <= *n && (size == 1 || (p[1] >= low && p[1] <= high));
    uint32_t point = size == 1 ? p[0] : p[0] & (0xFFu >> (size + 1));
    for (size_t i = 1; is_valid && i < size; i++) {
        is_valid = (p[i] & 0xC0) == 0x80;
        point = point << 6 | (p[i] & 0x3Fu);
    }
    *text += is_valid ? size : 1;
    *n -= is_valid ? size : 1;
    return is_valid ? (int32_t)point : -1;
}

bool hl_utf8_is_valid(const char *bytes, size_t n)
{
    while (n)
        if (hl_utf8_next(&bytes, &n) < 0)
            return false;
    return true;
}
