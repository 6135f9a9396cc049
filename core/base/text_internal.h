/* What the text*.c files share. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_BASE_TEXT_INTERNAL_H
#define HL_BASE_TEXT_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/buf.h"

enum { HL_TEXT_MAX = 1 << 20 }; /* longer texts are not folded */

/* Appends one code point as UTF-8; it must not be a surrogate or above U+10FFFF. */
void hl_utf8_add(int32_t point, struct hl_buf *out);
/* Is it a Han character (Unicode's Ideographic, from U+2E80)? -1 is none. */
bool hl_is_han(int32_t point);
/* The character that stands for all that are one with this in a name: traditional, simplified, old and new Japanese
 * forms. By itself; any other as it is. */
int32_t hl_han_common(int32_t point);
/* As hl_text_fold, but Han characters stay as they are: some are read otherwise than the one that stands for them. */
void hl_text_fold_as_written(const char *utf8, struct hl_buf *out);

#endif
