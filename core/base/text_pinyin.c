/* Pinyin keys of names: surnames by table, everything else by ICU. It knows nothing of records.
 *
 * A name is folded as written, its first group with Han characters is cut into points, each
 * point gets its readings, and every combination of readings becomes two keys. All bounds are
 * fixed: a name of a peer costs at most KEYS_MAX keys however it is made.
 * SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <unicode/ustring.h>
#include <unicode/utrans.h>

#include "core/base/text.h"
#include "core/base/text_internal.h"
#include "core/base/text_surnames.h"

enum { CHARS_MAX = 12, READINGS_MAX = 4, READING_SIZE = 12, KEYS_MAX = 16 };

/* One character of a name and how it may be read; Latin ones read as themselves. */
struct syllable {
    char readings[READINGS_MAX][READING_SIZE];
    unsigned n;
};

struct name {
    int32_t points[CHARS_MAX];
    struct syllable syllables[CHARS_MAX];
    unsigned n, family; /* points[0..family) are the surname */
};

/* Making a transliterator takes milliseconds, and using one is not safe from two threads. */
static pthread_mutex_t transliterator_lock = PTHREAD_MUTEX_INITIALIZER;
static UTransliterator *transliterator;

static UTransliterator *han_to_latin(void)
{
    static const UChar id[] = u"Han-Latin; NFD";
    UErrorCode status = U_ZERO_ERROR;
    if (!transliterator)
        transliterator = utrans_openU(id, -1, UTRANS_FORWARD, NULL, 0, NULL, &status);
    return transliterator;
}

/* Units of the reading of one character in `text`; 0: none. Points over U+FFFF go in as a
 * surrogate pair, since ICU's texts are UTF-16. */
static int32_t transliterate(int32_t point, UChar *text, int32_t room)
{
    int32_t n = 0, limit;
    if (point > 0xFFFF)
        text[n++] = (UChar)(0xD7C0 + (point >> 10));
    text[n++] = point > 0xFFFF ? (UChar)(0xDC00 | (point & 0x3FF)) : (UChar)point;
    limit = n;
    UErrorCode status = U_ZERO_ERROR;
    pthread_mutex_lock(&transliterator_lock);
    UTransliterator *latin = han_to_latin();
    if (latin)
        utrans_transUChars(latin, text, &n, room, 0, &limit, &status);
    pthread_mutex_unlock(&transliterator_lock);
    return latin && U_SUCCESS(status) ? n : 0;
}

/* Once each: a surname whose usual reading is its own would double all keys. */
static void add_reading(struct syllable *s, const char *reading, size_t n)
{
    for (unsigned i = 0; i < s->n; i++)
        if (strlen(s->readings[i]) == n && memcmp(s->readings[i], reading, n) == 0)
            return;
    if (s->n == READINGS_MAX || n == 0 || n >= READING_SIZE)
        return;
    memcpy(s->readings[s->n], reading, n);
    s->readings[s->n++][n] = '\0';
}

/* ü is typed as v, as u and as yu. */
static void add_with_umlaut(struct syllable *s, const char *reading)
{
    const char *umlaut = strchr(reading, 'v');
    add_reading(s, reading, strlen(reading));
    if (!umlaut)
        return;
    char other[READING_SIZE + 2];
    snprintf(other, sizeof other, "%.*su%s", (int)(umlaut - reading), reading, umlaut + 1);
    add_reading(s, other, strlen(other));
    snprintf(other, sizeof other, "%.*syu%s", (int)(umlaut - reading), reading, umlaut + 1);
    add_reading(s, other, strlen(other));
}

/* Tone marks are other characters after NFD and fall away here. */
static void read_by_icu(int32_t point, struct syllable *s)
{
    enum { DIAERESIS = 0x308, ROOM = 32 };
    UChar text[ROOM];
    char reading[READING_SIZE];
    size_t n = 0;
    int32_t size = transliterate(point, text, ROOM);
    for (int32_t i = 0; i < size && n < sizeof reading - 1; i++) {
        if (text[i] == DIAERESIS && n && reading[n - 1] == 'u')
            reading[n - 1] = 'v';
        else if (text[i] >= 'a' && text[i] <= 'z')
            reading[n++] = (char)text[i];
    }
    reading[n] = '\0';
    add_with_umlaut(s, reading);
}

/* "shan dan" up to `end`. */
static void read_by_table(const char *readings, const char *end, struct syllable *s)
{
    while (readings < end) {
        char one[READING_SIZE];
        size_t n = strcspn(readings, " ,");
        snprintf(one, sizeof one, "%.*s", (int)n, readings);
        add_with_umlaut(s, one);
        readings += n + 1;
    }
}

/* The table's entry for the first `count` characters, or NULL. */
static const char *surname_readings(const struct name *name, unsigned count)
{
    struct hl_buf han = {0};
    const char *found = NULL;
    for (unsigned i = 0; i < count; i++)
        hl_utf8_add(name->points[i], &han);
    for (size_t i = 0; i < sizeof surnames / sizeof surnames[0] && !found; i++)
        if (strcmp(surnames[i].han, hl_buf_str(&han)) == 0)
            found = surnames[i].readings;
    hl_buf_fini(&han);
    return found;
}

static void read_surname(struct name *name)
{
    const char *readings = name->n >= 2 ? surname_readings(name, 2) : NULL;
    /* A component of its own says how long the surname is. */
    if (readings && (name->family == 2 || name->family == 0)) {
        const char *comma = strchr(readings, ',');
        read_by_table(readings, comma, &name->syllables[0]);
        read_by_table(comma + 1, comma + strlen(comma), &name->syllables[1]);
        name->family = 2;
        return;
    }
    readings = name->n ? surname_readings(name, 1) : NULL;
    if (readings && name->family <= 1)
        read_by_table(readings, readings + strlen(readings), &name->syllables[0]);
    if (name->family == 0)
        name->family = 1;
}

/* Characters that are read by nothing (kana, Hangul) leave no trace in the keys. */
static void read_all(struct name *name)
{
    read_surname(name);
    for (unsigned i = 0; i < name->n; i++) {
        struct syllable *s = &name->syllables[i];
        if (s->n)
            continue;
        if (hl_is_han(name->points[i]))
            read_by_icu(name->points[i], s);
        else if (name->points[i] < 0x80)
            add_reading(s, (const char[]){(char)name->points[i]}, 1);
    }
}

/* The first group with Han characters: family, given and middle name. False without any. */
static bool take_name(const char *folded, struct name *name)
{
    bool has_han = false;
    unsigned components = 0;
    size_t left = strlen(folded);
    *name = (struct name){0};
    while (left) {
        int32_t c = hl_utf8_next(&folded, &left);
        if (c == '=' && has_han)
            break;
        if (c == '=') {
            *name = (struct name){0};
            components = 0;
        } else if (c == '^' && ++components == 1) {
            name->family = name->n;
        } else if (c > ' ' && c != '^' && components < 3 && name->n < CHARS_MAX) {
            name->points[name->n++] = c;
            has_han |= hl_is_han(c);
        }
    }
    /* The whole name in the first component is parted by the table. */
    if (name->family == name->n)
        name->family = 0;
    return has_han;
}

/* The full reading as people type it, and the initials for those in a hurry. */
static void add_keys(const struct name *name, const unsigned *choice, struct hl_buf *out)
{
    struct hl_buf full = {0}, initials = {0};
    for (unsigned i = 0; i < name->n; i++) {
        if (i == name->family && i)
            hl_buf_byte(&full, ' ');
        const char *reading = name->syllables[i].n ? name->syllables[i].readings[choice[i]] : "";
        hl_buf_text(&full, reading);
        if (*reading)
            hl_buf_byte(&initials, (uint8_t)*reading);
    }
    hl_buf_printf(out, "%s|%s|", hl_buf_str(&full), hl_buf_str(&initials));
    hl_buf_fini(&full);
    hl_buf_fini(&initials);
}

/* The next combination, the surname's readings turning first; false after the last. */
static bool next_choice(const struct name *name, unsigned *choice)
{
    for (unsigned i = 0; i < name->n; i++) {
        if (++choice[i] < name->syllables[i].n)
            return true;
        choice[i] = 0;
    }
    return false;
}

void hl_text_pinyin(const char *utf8_name, struct hl_buf *out)
{
    struct hl_buf folded = {0};
    struct name name;
    hl_text_fold_as_written(utf8_name, &folded);
    if (take_name(hl_buf_str(&folded), &name)) {
        unsigned choice[CHARS_MAX] = {0};
        read_all(&name);
        hl_buf_byte(out, '|');
        for (int i = 0; i < KEYS_MAX; i++) {
            add_keys(&name, choice, out);
            if (!next_choice(&name, choice))
                break;
        }
    }
    out->failed |= folded.failed;
    hl_buf_fini(&folded);
}
