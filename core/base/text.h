/* Text of the whole world: validity, folding for search, pinyin. ICU inside; it knows nothing of
 * DICOM but the shape of a person name (PS3.5 6.2.1: components by ^, groups by =).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_BASE_TEXT_H
#define HL_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/buf.h"
#include "hilum/abi.h"

/* RFC 3629: nothing overlong, no surrogates, nothing above U+10FFFF. NUL bytes are valid. */
bool hl_utf8_is_valid(const char *bytes, size_t n);
/* The next code point of *n > 0 bytes, moving on; -1 for a byte that begins none, one byte on. */
int32_t hl_utf8_next(const char **text, size_t *n);

/* Case- and accent-insensitive key: NFKD, marks dropped, case folded, full width to half, kana to
 * hiragana, ß to ss, Han variants (traditional, simplified, Japanese, of families) to one of them; runs of spaces to one. Appends to out. "Müller^JÜRGEN" -> "muller^jurgen". */
void hl_text_fold(const char *utf8, struct hl_buf *out);

/* Pinyin search keys of a name's Han characters: every reading of polyphonic surnames, full and
 * initials, separated by '|' with one at both ends: "单^小明" ->
 * "|shan xiaoming|sxm|dan xiaoming|dxm|". Empty for a name without Han. At most 16 readings. */
void hl_text_pinyin(const char *utf8_name, struct hl_buf *out);

/* Overlapping pairs of the folded name's non-Latin characters plus singles, for search by one or
 * two Chinese characters: "王小明" -> " 王 小 明 王小 小明 ". */
void hl_text_bigrams(const char *utf8_name, struct hl_buf *out);

/* Do two person names mean the same person by spelling? Component groups, order, case, accents,
 * pinyin of any reading, empty trailing components are normalised away ("WANG^XIAOMING" ~
 * "王^小明"). */
bool hl_text_same_name(const char *a, const char *b);

#endif
