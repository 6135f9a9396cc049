/* Matching the patient's name through its search keys (table patient_name): case, accents and character set
 * aside; with HILUM_KEY_FUZZY also any order of components.
 *
 * A name key is turned into terms, each an equality, a prefix or a pattern on
 * patient_name.folded. Kinds of keys: 0 whole component groups, 1 single components, pinyin
 * and initials, 2 one and two Han characters. An exact key asks kinds up to 0, a fuzzy one up
 * to 1, so that "LI" finds everybody called Li in a fuzzy search only.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/record/match.h"

/* Bounds on what a peer may ask: bytes of the key, values in it. */
enum { NAME_BYTES_MAX = 1024, VALUES_MAX = 64 };

/* Is it one or two characters of the kind bigrams are made of? Made the same way as the stored
 * ones are and compared: there is no second opinion on what a Han character is. */
static bool is_gram(const char *text, size_t n)
{
    struct hl_buf plain = {0}, grams = {0};
    hl_buf_byte(&plain, ' ');
    hl_buf_add(&plain, text, n);
    hl_buf_byte(&plain, ' ');
    size_t characters = 0;
    for (size_t i = 0; i < n; i++)
        characters += ((unsigned char)text[i] & 0xC0) != 0x80;
    if (characters >= 1 && characters <= 2)
        hl_text_bigrams(hl_buf_str(&plain) + 1, &grams);
    bool is_one = grams.len > 0 && strstr(hl_buf_str(&grams), hl_buf_str(&plain));
    hl_buf_fini(&plain);
    hl_buf_fini(&grams);
    return is_one;
}

/* NULL: there are enough; more words of a fuzzy key would only narrow the answer, so they are
 * not asked. Freed by hl_name_match_fini. */
static struct hl_name_term *term_new(struct hl_name_match *match)
{
    if (match->n == HL_NAME_TERMS)
        return NULL;
    struct hl_name_term *term = &match->terms[match->n++];
    *term = (struct hl_name_term){0};
    return term;
}

/* `max_kind`: 0 whole names, 1 parts of them too. The pattern ends in '^' like the stored
 * keys; behind a '*' it is taken off, which is at "length - 2", as hl_name_key has added it. */
static void term_add(struct hl_name_match *match, const char *text, size_t n, int max_kind)
{
    struct hl_name_term *term = n ? term_new(match) : NULL;
    if (!term)
        return;
    term->max_kind = max_kind;
    hl_name_key(text, n, &term->pattern);
    size_t length = term->pattern.len;
    char *data = term->pattern.data;
    /* "*小明*": by the key of those two characters instead of reading every name. */
    bool is_inside = length > 3 && data[0] == '*' && data[length - 2] == '*';
    if (is_inside && is_gram(data + 1, length - 3)) {
        memmove(data, data + 1, length - 3);
        term->pattern.len = length - 3;
        term->is_gram = true;
    } else if (length > 1 && data[length - 2] == '*') {
        term->pattern.len--;
    }
    data[term->pattern.len] = '\0';
}

/* Every word may stand anywhere in the name. A comma and a space separate too: people type
 * "Wang, Xiaoming". */
static void fuzzy_terms(struct hl_name_match *match, const char *value, size_t n)
{
    static const char separators[] = "^=, ";
    size_t at = 0;
    while (at < n) {
        size_t word = 0;
        while (at + word < n && !strchr(separators, value[at + word]))
            word++;
        if (is_gram(value + at, word)) {
            struct hl_name_term *term = term_new(match);
            if (term) {
                hl_buf_add(&term->pattern, value + at, word);
                term->is_gram = true;
            }
        } else {
            term_add(match, value + at, word, 1);
        }
        at += word + 1;
    }
}

/* Borrows nothing: the key may go. */
void hl_name_match_init(struct hl_name_match *match, const char *value, size_t n, bool is_fuzzy)
{
    match->n = 0;
    if (is_fuzzy) {
        fuzzy_terms(match, value, n);
        return;
    }
    /* Groups given must each match a group; an empty one asks nothing. */
    while (n > 0) {
        const char *equals = memchr(value, '=', n);
        size_t group = equals ? (size_t)(equals - value) : n;
        term_add(match, value, group, 0);
        size_t taken = group + (equals ? 1 : 0);
        value += taken;
        n -= taken;
    }
}

void hl_name_match_fini(struct hl_name_match *match)
{
    for (unsigned i = 0; i < match->n; i++)
        hl_buf_fini(&match->terms[i].pattern);
}

/* Else every name would have to be read. */
bool hl_name_term_has_prefix(const struct hl_name_term *term)
{
    return term->is_gram || (term->pattern.len > 0 && !strchr("*?", term->pattern.data[0]));
}

/* As any text key: the folded column is plain text, and what is to be ignored was folded away
 * before. */
void hl_name_term_add(struct hl_sql *sql, const struct hl_name_term *term, char letter)
{
    char ref[16];
    const char *text = hl_buf_str(&term->pattern);
    const struct hl_column folded = {.kind = HL_KIND_TEXT, .keyword = "PatientName"};
    const struct hilum_catalog_key key = {.value = text};
    snprintf(ref, sizeof ref, "%c.folded", letter);
    if (term->is_gram) {
        hl_buf_printf(&sql->text, "(%s = ", ref);
        hl_sql_bind_text(sql, text, term->pattern.len);
        hl_buf_byte(&sql->text, ')');
        return;
    }
    hl_buf_printf(&sql->text, "(%c.kind <= %d", letter, term->max_kind);
    hl_match_add(sql, &folded, ref, &key, NULL);
    hl_buf_byte(&sql->text, ')');
}

/* Every term must match some key of the patient, not all the same one: "Wang Xiao" matches
 * family and given name. */
static void one_value_add(struct hl_sql *sql, const struct hl_name_match *match, unsigned skip)
{
    hl_buf_byte(&sql->text, '(');
    for (unsigned i = skip; i < match->n; i++) {
        hl_buf_printf(&sql->text,
                      "%sEXISTS (SELECT 1 FROM patient_name m WHERE m.patient = p.id AND ",
                      i > skip ? " AND " : "");
        hl_name_term_add(sql, &match->terms[i], 'm');
        hl_buf_byte(&sql->text, ')');
    }
    hl_buf_text(&sql->text, skip >= match->n ? "1 = 1)" : ")");
}

/* Several values, separated by a backslash, are alternatives. skip: terms the leading table
 * has matched already. HILUM_EINVAL without the value in its text: names are not for logs. */
hilum_rc hl_match_name_add(struct hl_sql *sql, const struct hilum_catalog_key *key, unsigned skip)
{
    const char *rest = key->value;
    if (strlen(rest) > NAME_BYTES_MAX)
        return hl_fail(HILUM_EINVAL, "matching key 0010,0010 PatientName: longer than %d bytes",
                       NAME_BYTES_MAX);
    hl_buf_text(&sql->text, " AND (");
    for (unsigned n = 0; *rest; n++) {
        /* Values left out would be answers left out, and nobody would know. */
        if (n == VALUES_MAX)
            return hl_fail(HILUM_EINVAL, "matching key 0010,0010 PatientName: more than %d values",
                           VALUES_MAX);
        struct hl_name_match match;
        size_t length = strcspn(rest, "\\");
        hl_buf_text(&sql->text, n ? " OR " : "");
        hl_name_match_init(&match, rest, length, key->flags & HILUM_KEY_FUZZY);
        one_value_add(sql, &match, skip);
        hl_name_match_fini(&match);
        rest += length + (rest[length] != '\0');
    }
    hl_buf_byte(&sql->text, ')');
    return HILUM_OK;
}
