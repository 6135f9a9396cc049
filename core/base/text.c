/* Folding for search, bigrams, and whether two names are one. It knows nothing of records and of
 * character sets.
 *
 * Everything works on code points and is stateless; ICU's normalizers are shared constants of
 * the library, so any thread may call. SPDX-License-Identifier: Apache-2.0 */
#include "core/base/text.h"

#include <stdlib.h>
#include <string.h>

#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/uscript.h>
#include <unicode/ustring.h>

#include "core/base/text_internal.h"

/* The two combining marks of kana (U+3099, U+309A), and how far katakana lie above hiragana. */
enum { VOICED = 0x3099, SEMI_VOICED = 0x309A, TO_HIRAGANA = 0x60 };

/* Appends the UTF-8 of a point, which must be one: callers pass what hl_utf8_next or ICU gave. */
void hl_utf8_add(int32_t point, struct hl_buf *out)
{
    uint32_t c = (uint32_t)point;
    if (c < 0x80) {
        hl_buf_byte(out, (uint8_t)c);
        return;
    }
    if (c >= 0x10000) {
        hl_buf_byte(out, (uint8_t)(0xF0 | c >> 18));
        hl_buf_byte(out, (uint8_t)(0x80 | (c >> 12 & 0x3F)));
    } else if (c >= 0x800) {
        hl_buf_byte(out, (uint8_t)(0xE0 | c >> 12));
    }
    hl_buf_byte(out, (uint8_t)(c >= 0x800 ? 0x80 | (c >> 6 & 0x3F) : 0xC0 | c >> 6));
    hl_buf_byte(out, (uint8_t)(0x80 | (c & 0x3F)));
}

/* Ideographs begin at U+2E80; the comparison spares ICU's look-up for Latin text, which is most
 * of it. */
bool hl_is_han(int32_t point)
{
    return point >= 0x2E80 && u_hasBinaryProperty(point, UCHAR_IDEOGRAPHIC);
}

/* ---- folding ---- */

static bool is_ascii(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] >= 0x80)
            return false;
    return true;
}

/* The spaces of all scripts: a full-width one (U+3000) in a Japanese name is as good as ours. */
static bool is_space(int32_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x80 && u_isUWhiteSpace(c));
}

/* Adds c, a run of spaces as one. */
static void add_folded(int32_t c, size_t start, struct hl_buf *out)
{
    if (!is_space(c))
        hl_utf8_add(c, out);
    else if (out->len == start || out->data[out->len - 1] != ' ')
        hl_buf_byte(out, ' ');
}

/* Most names of most hospitals: no copy to UTF-16 and no ICU. */
static void fold_ascii(const char *text, size_t n, struct hl_buf *out)
{
    size_t start = out->len;
    for (size_t i = 0; i < n; i++)
        add_folded(text[i] >= 'A' && text[i] <= 'Z' ? text[i] + 32 : text[i], start, out);
}

/* Letters with a stroke or joined ones do not decompose, yet people type the plain ones. */
static const char *plain_letter(int32_t c)
{
    switch (c) {
    case 0xF8: return "o";
    case 0x111: return "d";
    case 0x127: return "h";
    case 0x131: return "i";
    case 0x142: return "l";
    case 0x167: return "t";
    case 0xE6: return "ae";
    case 0x153: return "oe";
    case 0xF0: return "d";
    case 0xFE: return "th";
    default: return NULL;
    }
}

/* ICU's macro for it converts signs. */
static int32_t utf16_next(const UChar *text, int32_t n, int32_t *i)
{
    int32_t c = text[(*i)++];
    if (c >= 0xD800 && c < 0xDC00 && *i < n)
        c = 0x10000 + ((c - 0xD800) << 10) + (text[(*i)++] - 0xDC00);
    return c;
}

/* Marks go but for those that make another kana; with them the selectors that say which glyph of a Han character a
 * family uses (U+E0100 on, two units each). */
static int32_t drop_marks(UChar *text, int32_t n)
{
    int32_t kept = 0;
    for (int32_t i = 0; i < n;) {
        int32_t from = i;
        int32_t c = utf16_next(text, n, &i);
        bool is_mark = u_charType(c) == U_NON_SPACING_MARK;
        if (is_mark && c != VOICED && c != SEMI_VOICED)
            continue;
        while (from < i)
            text[kept++] = text[from++];
    }
    return kept;
}

/* The last step, per code point: katakana to hiragana, Han variants to one, letters that do not
 * decompose, spaces. */
static void add_utf16(const UChar *text, int32_t n, bool is_han_one, struct hl_buf *out)
{
    size_t start = out->len;
    for (int32_t i = 0; i < n;) {
        int32_t c = utf16_next(text, n, &i);
        if (c >= 0x30A1 && c <= 0x30F6)
            c -= TO_HIRAGANA;
        if (is_han_one && hl_is_han(c))
            c = hl_han_common(c);
        const char *plain = plain_letter(c);
        if (plain)
            hl_buf_text(out, plain);
        else
            add_folded(c, start, out);
    }
}

/* NFKD, no marks, folded, NFC: `a` and `b` have room for `room` units each. */
static void fold_units(const char *utf8, size_t n, UChar *a, UChar *b, int32_t room,
                       bool is_han_one, struct hl_buf *out)
{
    UErrorCode status = U_ZERO_ERROR;
    int32_t size = 0;
    const UNormalizer2 *apart = unorm2_getNFKDInstance(&status);
    const UNormalizer2 *together = unorm2_getNFCInstance(&status);
    u_strFromUTF8WithSub(a, room, &size, utf8, (int32_t)n, 0xFFFD, NULL, &status);
    size = unorm2_normalize(apart, a, size, b, room, &status);
    if (U_FAILURE(status))
        return;
    size = drop_marks(b, size);
    size = u_strFoldCase(a, room, b, size, U_FOLD_CASE_DEFAULT, &status);
    size = unorm2_normalize(together, a, size, b, room, &status);
    if (U_SUCCESS(status))
        add_utf16(b, size, is_han_one, out);
}

static void fold(const char *utf8, bool is_han_one, struct hl_buf *out)
{
    size_t n = strlen(utf8);
    if (is_ascii(utf8, n)) {
        fold_ascii(utf8, n, out);
        return;
    }
    /* NFKD makes at most 18 units of one. */
    size_t room = n * 18 + 16;
    UChar *units = n < HL_TEXT_MAX ? malloc(room * 2 * sizeof *units) : NULL;
    if (units)
        fold_units(utf8, n, units, units + room, (int32_t)room, is_han_one, out);
    else if (n < HL_TEXT_MAX)
        out->failed = true;
    free(units);
}

void hl_text_fold(const char *utf8, struct hl_buf *out)
{
    fold(utf8, true, out);
}

void hl_text_fold_as_written(const char *utf8, struct hl_buf *out)
{
    fold(utf8, false, out);
}

/* ---- bigrams ---- */

/* Letters of scripts written without spaces or found by parts; Latin words are found by their
 * beginning instead. */
static bool is_gram(int32_t c)
{
    UErrorCode status = U_ZERO_ERROR;
    return c >= 0x80 && u_isalnum(c) && uscript_getScript(c, &status) != USCRIPT_LATIN;
}

/* Singles (pairs == false) or pairs of neighbours. Components join, groups and Latin letters
 * part. */
static void add_grams(const struct hl_buf *folded, bool pairs, struct hl_buf *out)
{
    const char *at = hl_buf_str(folded);
    size_t n = folded->len;
    int32_t before = 0;
    while (n) {
        int32_t c = hl_utf8_next(&at, &n);
        if (c == '^' || c == ' ')
            continue;
        if (is_gram(c) && (!pairs || before)) {
            if (pairs)
                hl_utf8_add(before, out);
            hl_utf8_add(c, out);
            hl_buf_byte(out, ' ');
        }
        before = is_gram(c) ? c : 0;
    }
}

void hl_text_bigrams(const char *utf8_name, struct hl_buf *out)
{
    struct hl_buf folded = {0}, grams = {0};
    hl_text_fold(utf8_name, &folded);
    add_grams(&folded, false, &grams);
    add_grams(&folded, true, &grams);
    if (grams.len) {
        hl_buf_byte(out, ' ');
        hl_buf_add(out, grams.data, grams.len);
    }
    out->failed |= folded.failed || grams.failed;
    hl_buf_fini(&folded);
    hl_buf_fini(&grams);
}

/* ---- the same name ---- */

/* Letters and digits of a component, the rest is spelling. */
static void add_letters(const char *text, size_t n, struct hl_buf *out)
{
    while (n) {
        int32_t c = hl_utf8_next(&text, &n);
        if (c >= 0 && u_isalnum(c))
            hl_utf8_add(c, out);
    }
}

/* "|" family " " given of one folded group, the lesser first: some write the given name before. */
static void add_key(const char *group, size_t n, struct hl_buf *out)
{
    struct hl_buf family = {0}, given = {0};
    const char *end = group + n;
    char by = memchr(group, '^', n) ? '^' : ' ';
    const char *cut = memchr(group, by, n);
    cut = cut ? cut : end;
    add_letters(group, (size_t)(cut - group), &family);
    /* Given and middle name; prefix and suffix are titles. */
    const char *stop = cut;
    for (int i = 0; i < 2 && stop < end; i++) {
        const char *next = memchr(stop + 1, '^', (size_t)(end - stop - 1));
        stop = next ? next : end;
    }
    add_letters(cut, (size_t)(stop - cut), &given);
    const char *first = hl_buf_str(&family), *second = hl_buf_str(&given);
    bool is_swapped = strcmp(first, second) > 0;
    if (family.len || given.len)
        hl_buf_printf(out, "|%s %s|", is_swapped ? second : first, is_swapped ? first : second);
    hl_buf_fini(&family);
    hl_buf_fini(&given);
}

static bool has_han(const char *text, size_t n)
{
    while (n)
        if (hl_is_han(hl_utf8_next(&text, &n)))
            return true;
    return false;
}

/* Keys of all groups (`han`: of those with Han characters only). */
static void add_group_keys(const char *folded, bool han, struct hl_buf *out)
{
    for (const char *at = folded; *at;) {
        size_t n = strcspn(at, "=");
        if (!han || has_han(at, n))
            add_key(at, n, out);
        at += n + (at[n] != '\0');
    }
}

/* Every second piece of "|shan xiaoming|sxm|" is a reading. */
static void add_pinyin_keys(const char *name, struct hl_buf *out)
{
    struct hl_buf pinyin = {0};
    hl_text_pinyin(name, &pinyin);
    const char *at = hl_buf_str(&pinyin);
    for (size_t i = 0; *at; i++) {
        at++;
        size_t n = strcspn(at, "|");
        if (i % 2 == 0 && n)
            add_key(at, n, out);
        at += n;
    }
    hl_buf_fini(&pinyin);
}

/* Keys are bracketed by bars, so that one is never found inside a longer one. */
static bool share_key(const struct hl_buf *a, const struct hl_buf *b)
{
    for (const char *at = hl_buf_str(a); *at;) {
        size_t n = strcspn(at + 1, "|") + 2;
        if (b->len && memmem(b->data, b->len, at, n))
            return true;
        at += n;
    }
    return false;
}

/* Two names without any key (empty, or punctuation only) are the same name: neither says
 * anything against it. */
static bool share_keys_of(const char *a, const char *b, bool han)
{
    struct hl_buf folded_a = {0}, folded_b = {0}, keys_a = {0}, keys_b = {0};
    hl_text_fold(a, &folded_a);
    hl_text_fold(b, &folded_b);
    add_group_keys(hl_buf_str(&folded_a), han, &keys_a);
    add_group_keys(hl_buf_str(&folded_b), han, &keys_b);
    if (!han) {
        add_pinyin_keys(a, &keys_a);
        add_pinyin_keys(b, &keys_b);
    }
    bool is_shared = share_key(&keys_a, &keys_b) || (keys_a.len == 0 && keys_b.len == 0);
    hl_buf_fini(&folded_a);
    hl_buf_fini(&folded_b);
    hl_buf_fini(&keys_a);
    hl_buf_fini(&keys_b);
    return is_shared;
}

bool hl_text_same_name(const char *a, const char *b)
{
    /* Where both are known in Han, those decide: many names share one pinyin. */
    bool both_han = has_han(a, strlen(a)) && has_han(b, strlen(b));
    return share_keys_of(a, b, both_han);
}
