/* The defined terms of Specific Character Set (PS3.3 C.12.1.1.2) and their code elements, shared by
 * decoding and encoding. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_DICOM_CHARSET_TERMS_H
#define HL_DICOM_CHARSET_TERMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <unicode/ucnv.h>

#include "core/base/buf.h"

enum { HL_CHARSET_TERMS = 8 }; /* of one value; more are ignored */

/* What a set of characters is made of. */
enum hl_set_kind {
    HL_SET_ASCII,
    HL_SET_SINGLE, /* 96 characters in G1 over ASCII in G0 */
    HL_SET_KANA,   /* JIS X 0201: romaji in G0, half-width katakana in G1 */
    HL_SET_KANJI,  /* JIS X 0208, two bytes in G0 */
    HL_SET_KANJI2, /* JIS X 0212, two bytes in G0 */
    HL_SET_DOUBLE, /* KS X 1001, GB 2312: two bytes in G1 */
    HL_SET_WHOLE   /* UTF-8, GB18030, GBK: no code extensions */
};

struct hl_set {
    uint16_t number; /* ISO-IR registration; 0: none */
    enum hl_set_kind kind;
    const char *icu;     /* converter for reading; lenient supersets */
    const char *icu_out; /* for writing; strict */
    const char *escape;  /* what designates it, without ESC; "" none */
    bool may_be_utf8;    /* no text of words in it looks like UTF-8 */
};

/* The parsed value: sets[0] is the initial one. */
struct hl_terms {
    const struct hl_set *sets[HL_CHARSET_TERMS];
    size_t n;
    bool has_unknown;
};

/* NULL and "" give ASCII alone. */
void hl_terms_parse(const char *declared, struct hl_terms *out);
/* The set an escape sequence (after ESC) designates and the bytes it takes; NULL: unknown. */
const struct hl_set *hl_set_by_escape(const char *bytes, size_t n, size_t *length);

/* PS3.5 6.1.2.5.3: where code extensions end. */
bool hl_charset_is_delimiter(uint8_t byte);

/* Appends n bytes read with the ICU converter of that name. Bad bytes become U+FFFD. Returns false
 * when there were any, and then nothing is appended if `is_strict`. */
bool hl_charset_convert(const char *icu, const char *bytes, size_t n, bool is_strict,
                        struct hl_buf *out);

#endif
