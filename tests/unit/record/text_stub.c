/* Stands in for core/base/text where that is not linked: ASCII folding only.
 * SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <string.h>

#include "core/base/text.h"

__attribute__((weak)) void hl_text_fold(const char *utf8, struct hl_buf *out)
{
    for (; *utf8; utf8++)
        hl_buf_byte(out, (uint8_t)tolower((unsigned char)*utf8));
}

__attribute__((weak)) void hl_text_pinyin(const char *utf8_name, struct hl_buf *out)
{
    (void)utf8_name;
    (void)out;
}

__attribute__((weak)) void hl_text_bigrams(const char *utf8_name, struct hl_buf *out)
{
    (void)utf8_name;
    (void)out;
}

__attribute__((weak)) bool hl_text_same_name(const char *a, const char *b)
{
    return strcasecmp(a, b) == 0;
}
