/* What the text*.c files share. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_BASE_TEXT_INTERNAL_H
#define HL_BASE_TEXT_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/buf.h"

enum { HL_TEXT_MAX = 1 << 20 }; /* longer texts are not folded */

void hl_utf8_add(int32_t point, struct hl_buf *out);
bool hl_is_han(int32_t point);

#endif
