/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/hex.h"

#include <stdint.h>

void hl_hex(const void *bytes, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *p = bytes;
    for (size_t i = 0; i < n; i++) {
        *out++ = digits[p[i] >> 4];
        *out++ = digits[p[i] & 15];
    }
    *out = '\0';
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hl_hex_read(const char *hex, size_t n, void *out)
{
    uint8_t *p = out;
    for (size_t i = 0; i < 2 * n; i++)
        if (digit(hex[i]) < 0)
            return false;
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(digit(hex[2 * i]) * 16 + digit(hex[2 * i + 1]));
    return true;
}
