/* Writing: UTF-8 into a wanted Specific Character Set, with escapes. It knows nothing of data
 * sets and VRs.
 *
 * Code points go one by one into the first declared set that has them; the state of both halves
 * is kept as a reader of charset.c keeps it, so that what one writes the other reads.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include <unicode/utf16.h>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/dicom/charset.h"
#include "core/dicom/charset_terms.h"

struct encoder {
    struct hl_terms terms;
    UConverter *converters[HL_CHARSET_TERMS]; /* of the sets; NULL: needs none */
    const struct hl_set *g0, *g1;             /* designated now */
    struct hl_buf *out;
    bool is_lossy;
};

/* Strict ones: what the declared set lacks must not slip in by a superset. */
static void open_converters(struct encoder *e)
{
    for (size_t i = 0; i < e->terms.n; i++) {
        UErrorCode status = U_ZERO_ERROR;
        if (!e->terms.sets[i]->icu_out)
            continue;
        e->converters[i] = ucnv_open(e->terms.sets[i]->icu_out, &status);
        if (U_FAILURE(status)) {
            e->converters[i] = NULL;
            continue;
        }
        ucnv_setFromUCallBack(e->converters[i], UCNV_FROM_U_CALLBACK_STOP, NULL, NULL, NULL,
                              &status);
    }
}

static void close_converters(struct encoder *e)
{
    for (size_t i = 0; i < e->terms.n; i++)
        if (e->converters[i])
            ucnv_close(e->converters[i]);
}

/* Two-byte sets are never there at the start; they come by escape each time. */
static const struct hl_set *initial_g1(const struct encoder *e)
{
    enum hl_set_kind kind = e->terms.sets[0]->kind;
    return kind == HL_SET_SINGLE || kind == HL_SET_KANA ? e->terms.sets[0] : NULL;
}

/* Sets designated to the left half; the others go to the right. */
static bool is_g0(const struct hl_set *set)
{
    return set->kind == HL_SET_KANJI || set->kind == HL_SET_KANJI2 || set->kind == HL_SET_ASCII;
}

/* An escape only when the state changes, as the examples of the standard have it. */
static void designate(struct encoder *e, const struct hl_set *set)
{
    const struct hl_set **half = is_g0(set) ? &e->g0 : &e->g1;
    if (*half == set)
        return;
    *half = set;
    hl_buf_byte(e->out, 0x1B);
    hl_buf_text(e->out, set->escape);
}

/* Back to one byte a character in G0, as before delimiters and the end (PS3.5 6.1.2.5.3). */
static void leave_g0(struct encoder *e)
{
    if (!e->g0)
        return;
    bool is_romaji = e->terms.sets[0]->kind == HL_SET_KANA;
    hl_buf_text(e->out, is_romaji ? "\x1B(J" : "\x1B(B");
    e->g0 = NULL;
}

/* Bytes of one code point, 0 when the converter has none for it. Eight are more than any set
 * needs. */
static int32_t encode_by_icu(UConverter *converter, UChar32 c, char bytes[8])
{
    UChar text[2];
    int32_t n = 0;
    if (c > 0xFFFF)
        text[n++] = U16_LEAD(c);
    text[n++] = c > 0xFFFF ? U16_TRAIL(c) : (UChar)c;
    UErrorCode status = U_ZERO_ERROR;
    int32_t size = ucnv_fromUChars(converter, bytes, 8, text, n, &status);
    return U_SUCCESS(status) ? size : 0;
}

/* Bytes of c in the set, as they stand in its half of the table; 0: it has no c. */
static int32_t encode_in(const struct encoder *e, size_t i, UChar32 c, char bytes[8])
{
    enum hl_set_kind kind = e->terms.sets[i]->kind;
    if (kind == HL_SET_KANA) {
        bytes[0] = (char)(c - 0xFF61 + 0xA1);
        return c >= 0xFF61 && c <= 0xFF9F;
    }
    if (!e->converters[i])
        return 0;
    int32_t n = encode_by_icu(e->converters[i], c, bytes);
    if (kind == HL_SET_SINGLE || kind == HL_SET_WHOLE || kind == HL_SET_ASCII)
        return n;
    if (kind == HL_SET_DOUBLE)
        return n == 2 ? n : 0;
    bool is_second = n == 3 && (uint8_t)bytes[0] == 0x8F;
    if (kind == HL_SET_KANJI2 ? !is_second : n != 2 || (uint8_t)bytes[0] < 0xA1)
        return 0;
    const char *pair = bytes + n - 2;
    char low[2] = {(char)(pair[0] & 0x7F), (char)(pair[1] & 0x7F)};
    memcpy(bytes, low, 2);
    return 2;
}

/* Readers forget G1 at a delimiter, so do we, and say it again after. */
static void put_ascii(struct encoder *e, uint8_t byte)
{
    if (e->terms.sets[0]->kind != HL_SET_WHOLE)
        leave_g0(e);
    hl_buf_byte(e->out, byte);
    if (hl_charset_is_delimiter(byte))
        e->g1 = initial_g1(e);
}

/* The first set that has it, in the declared order: the initial one needs no escape. */
static void put_other(struct encoder *e, UChar32 c)
{
    for (size_t i = 0; i < e->terms.n; i++) {
        char bytes[8];
        int32_t n = encode_in(e, i, c, bytes);
        if (n <= 0)
            continue;
        const struct hl_set *set = e->terms.sets[i];
        if (set->kind != HL_SET_WHOLE)
            designate(e, set);
        hl_buf_add(e->out, bytes, (size_t)n);
        return;
    }
    e->is_lossy = true;
    put_ascii(e, '?');
}

static void encode(struct encoder *e, const char *utf8, size_t n)
{
    while (n) {
        UChar32 c = hl_utf8_next(&utf8, &n);
        if (c >= 0 && c < 0x80) {
            put_ascii(e, (uint8_t)c);
        } else if (c < 0) {
            e->is_lossy = true;
            put_ascii(e, '?');
        } else {
            put_other(e, c);
        }
    }
    if (e->terms.sets[0]->kind != HL_SET_WHOLE)
        leave_g0(e);
}

hilum_rc hl_charset_from_utf8(const char *utf8, size_t n, const char *wanted, struct hl_buf *out)
{
    struct encoder e = {.out = out};
    hl_terms_parse(wanted, &e.terms);
    open_converters(&e);
    e.g1 = initial_g1(&e);
    encode(&e, utf8, n);
    close_converters(&e);
    if (out->failed)
        return hl_fail(HILUM_ENOMEM, "character set: no memory");
    return e.is_lossy ? 1 : HILUM_OK;
}
