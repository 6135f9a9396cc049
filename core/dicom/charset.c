/* Reading: the code extension state of ISO 2022 as DICOM uses it, and the repair of what is not
 * as it says. It knows nothing of data sets and VRs.
 *
 * Works on bytes a modality sent, so nothing is trusted: an escape that is cut, a half of a
 * pair, a set that was never declared all come out as U+FFFD or as a repair, never as invalid
 * UTF-8 and never as a failure of the whole. SPDX-License-Identifier: Apache-2.0 */
#include "core/dicom/charset.h"

#include <string.h>
#include <strings.h>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/dicom/charset_terms.h"

enum { ESC = 0x1B };

static const char REPLACEMENT[] = "\xEF\xBF\xBD";

/* What the two halves of the code table mean at this byte. */
struct decoder {
    const struct hl_terms *terms;
    const struct hl_set *g0, *g1; /* g1 NULL: bytes over 0x7F mean nothing */
    struct hl_buf *out;
    bool is_clean;
};

/* Most text is ASCII, the same in every set. */
static bool is_plain(const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((uint8_t)bytes[i] >= 0x80 || bytes[i] == ESC)
            return false;
    return true;
}

/* Sets whose characters have the high bit set: they are brought into the right half of the code
 * table (PS3.5 6.1.2.5). */
static bool has_g1(const struct hl_set *set)
{
    return set->kind == HL_SET_SINGLE || set->kind == HL_SET_DOUBLE || set->number == 13;
}

static bool is_two_byte_g0(const struct hl_set *set)
{
    return set->kind == HL_SET_KANJI || set->kind == HL_SET_KANJI2;
}

/* The initial state. A set in G1 that only an escape should bring in stands in where the initial
 * set leaves G1 empty: senders forget the escape, above all after a delimiter. */
static void reset(struct decoder *d, bool is_start)
{
    const struct hl_set *first = d->terms->sets[0];
    d->g0 = first;
    if (has_g1(first))
        d->g1 = first;
    for (size_t i = 1; is_start && !d->g1 && i < d->terms->n; i++)
        if (d->terms->sets[i]->kind == HL_SET_DOUBLE)
            d->g1 = d->terms->sets[i];
    if (is_two_byte_g0(first))
        d->g0 = NULL;
}

/* One mark a byte: the reader of a name sees how much is missing. */
static void replace_byte(struct decoder *d)
{
    hl_buf_text(d->out, REPLACEMENT);
    d->is_clean = false;
}

/* Sets that were not declared are taken too: the escape is the stronger statement. */
static size_t take_escape(struct decoder *d, const char *p, size_t n)
{
    size_t length = 0;
    const struct hl_set *set = hl_set_by_escape(p + 1, n - 1, &length);
    if (!set) {
        replace_byte(d);
        return 1;
    }
    if (has_g1(set))
        d->g1 = set;
    else
        d->g0 = set;
    return 1 + length;
}

/* ICU knows these rows as EUC-JP, where both bytes have the high bit. */
static size_t take_kanji(struct decoder *d, const char *p, size_t n)
{
    if (n < 2 || (uint8_t)p[0] < 0x21 || (uint8_t)p[1] < 0x21) {
        replace_byte(d);
        return 1;
    }
    bool is_second = d->g0->kind == HL_SET_KANJI2;
    const char euc[3] = {(char)0x8F, (char)(p[0] | 0x80), (char)(p[1] | 0x80)};
    d->is_clean &=
        hl_charset_convert(d->g0->icu, is_second ? euc : euc + 1, is_second ? 3 : 2, false, d->out);
    return 2;
}

/* A byte of the left half. Delimiters end all extensions of a component or value (PS3.5
 * 6.1.2.5.3). */
static size_t take_low(struct decoder *d, const char *p, size_t n)
{
    uint8_t byte = (uint8_t)*p;
    bool is_romaji = d->g0 && d->g0->kind == HL_SET_KANA;
    if (d->g0 && is_two_byte_g0(d->g0) && byte > 0x20)
        return take_kanji(d, p, n);
    /* 0x5C is the delimiter of values before it is a yen sign. */
    if (is_romaji && byte == 0x7E)
        hl_buf_text(d->out, "\xE2\x80\xBE");
    else
        hl_buf_byte(d->out, byte);
    if (hl_charset_is_delimiter(byte))
        reset(d, false);
    return 1;
}

/* Half-width katakana are one block of Unicode in the same order. */
static size_t take_kana(struct decoder *d, uint8_t byte)
{
    if (byte < 0xA1 || byte > 0xDF) {
        replace_byte(d);
        return 1;
    }
    unsigned point = 0xFF61u + byte - 0xA1u;
    const char utf8[] = {(char)(0xE0 | point >> 12), (char)(0x80 | (point >> 6 & 0x3F)),
                         (char)(0x80 | (point & 0x3F))};
    hl_buf_add(d->out, utf8, sizeof utf8);
    return 1;
}

/* A whole run at once: converters cost more to open than to use. */
static size_t take_high(struct decoder *d, const char *p, size_t n)
{
    if (!d->g1) {
        replace_byte(d);
        return 1;
    }
    if (d->g1->kind == HL_SET_KANA)
        return take_kana(d, (uint8_t)*p);
    size_t run = 0;
    while (run < n && (uint8_t)p[run] >= 0x80)
        run++;
    /* The second byte of the supersets may be a letter. */
    if (d->g1->kind == HL_SET_DOUBLE && run % 2 && run < n &&
        !hl_charset_is_delimiter((uint8_t)p[run]) && p[run] > ' ')
        run++;
    d->is_clean &= hl_charset_convert(d->g1->icu, p, run, false, d->out);
    return run;
}

static bool decode_extended(const char *p, size_t n, const struct hl_terms *terms,
                            struct hl_buf *out)
{
    struct decoder d = {.terms = terms, .out = out, .is_clean = true};
    reset(&d, true);
    while (n) {
        size_t used;
        if (*p == ESC)
            used = take_escape(&d, p, n);
        else if ((uint8_t)*p < 0x80)
            used = take_low(&d, p, n);
        else
            used = take_high(&d, p, n);
        p += used;
        n -= used;
    }
    return d.is_clean;
}

/* UTF-8, GB18030 and GBK have no code extensions (PS3.3 C.12.1.1.2): ICU reads the whole at once. */
static bool decode(const char *p, size_t n, const struct hl_terms *terms, struct hl_buf *out)
{
    if (terms->sets[0]->kind == HL_SET_WHOLE)
        return hl_charset_convert(terms->sets[0]->icu, p, n, false, out);
    return decode_extended(p, n, terms, out);
}

/* Declares next to nothing: what is said of such a source by its administrator comes first. */
static bool is_vague(const struct hl_terms *terms)
{
    return terms->n == 1 && (terms->sets[0]->kind == HL_SET_ASCII || terms->sets[0]->number == 100);
}

/* Escapes are never part of UTF-8 text, so their presence ends the suspicion. */
static bool is_hidden_utf8(const char *p, size_t n, const struct hl_terms *terms)
{
    const struct hl_set *first = terms->sets[0];
    bool may_be = first->kind == HL_SET_ASCII || first->may_be_utf8;
    return may_be && !memchr(p, ESC, n) && hl_utf8_is_valid(p, n);
}

/* All or nothing: half a repair would mix two alphabets in one name. */
static bool repair_with(const char *repair, const char *p, size_t n, struct hl_buf *out)
{
    /* Who writes C1 controls means the Windows code page. */
    const char *icu = strcasecmp(repair, "latin1") == 0 ? "windows-1252" : repair;
    return hl_charset_convert(icu, p, n, true, out);
}

static void cut(struct hl_buf *out, size_t length)
{
    out->len = length;
    if (out->data)
        out->data[length] = '\0';
}

/* Returns whether anything was repaired. */
static bool decode_or_repair(const char *p, size_t n, const char *declared, const char *repair,
                             struct hl_buf *out)
{
    struct hl_terms terms;
    hl_terms_parse(declared, &terms);
    if (is_hidden_utf8(p, n, &terms)) {
        hl_buf_add(out, p, n);
        return true;
    }
    bool is_mute = repair && is_vague(&terms) && !memchr(p, ESC, n);
    if (is_mute && repair_with(repair, p, n, out))
        return true;
    size_t start = out->len;
    if (decode(p, n, &terms, out))
        return false;
    struct hl_buf other = {0};
    bool is_utf8 = !memchr(p, ESC, n) && hl_utf8_is_valid(p, n);
    if (is_utf8)
        hl_buf_add(&other, p, n);
    if (is_utf8 || (repair && repair_with(repair, p, n, &other))) {
        cut(out, start);
        hl_buf_add(out, other.data, other.len);
    }
    out->failed |= other.failed;
    hl_buf_fini(&other);
    return true;
}

hilum_rc hl_charset_to_utf8(const char *bytes, size_t n, const char *declared, const char *repair,
                            struct hl_buf *out, bool *was_repaired)
{
    bool is_repaired = false;
    if (is_plain(bytes, n))
        hl_buf_add(out, bytes, n);
    else
        is_repaired = decode_or_repair(bytes, n, declared, repair, out);
    if (was_repaired)
        *was_repaired = is_repaired;
    return out->failed ? hl_fail(HILUM_ENOMEM, "character set: no memory") : HILUM_OK;
}

bool hl_charset_is_known(const char *declared)
{
    struct hl_terms terms;
    hl_terms_parse(declared, &terms);
    return !terms.has_unknown;
}
