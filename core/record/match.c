/* One key of PS3.4 C.2.2.2 as a condition on one column. All texts are bound, never written into
 * the statement.
 *
 * What matches how is the standard's (C.2.2.2.1 single value, .2 list of UID, .3 universal, .4
 * wild card, .5 range, .6 sequence, which is not kept); what it leaves open is decided for
 * what people mean, and said where it is. Cost: equality and prefixes use indexes, everything
 * else filters what leads.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/record/match.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"

/* Values of a peer are bounded: a key longer than this is no key, a list longer than this no
 * list. UIDS_MAX: clients list the series of a study. */
enum { KEY_BYTES_MAX = 1024, UIDS_MAX = 16384, VALUES_MAX = 64 };

/* SQLite takes 32,766 parameters unless it was built for more, PostgreSQL 65,535. */
enum { PARAMETERS_MAX = 30000 };

/* A part of the key's text. */
struct slice {
    const char *text;
    size_t n;
};

void hl_sql_fini(struct hl_sql *sql)
{
    hl_buf_fini(&sql->text);
    hl_arena_fini(&sql->arena);
    free(sql->values);
}

/* Parameters are numbered in the order they are written. After a failure the numbers are
 * wrong, but `failed` keeps the statement from being run. */
static void value_bind(struct hl_sql *sql, struct hilum_value value)
{
    if (sql->n == PARAMETERS_MAX) {
        sql->too_many = true;
        return;
    }
    if (!hl_grow(&sql->values, &sql->cap, sql->n, sizeof *sql->values)) {
        sql->failed = true;
        return;
    }
    sql->values[sql->n++] = value;
    hl_buf_printf(&sql->text, "?%zu", sql->n);
}

hilum_rc hl_sql_check(const struct hl_sql *sql)
{
    if (sql->failed || sql->text.failed)
        return hl_fail(HILUM_ENOMEM, "query: out of memory");
    if (sql->too_many)
        return hl_fail(HILUM_EFULL, "more than %d values to match: ask in parts", PARAMETERS_MAX);
    return HILUM_OK;
}

/* Copied: the key's memory is the caller's, and pages are asked for long after. */
void hl_sql_bind_text(struct hl_sql *sql, const char *text, size_t n)
{
    const char *copy = hl_arena_strndup(&sql->arena, text, n);
    sql->failed = sql->failed || !copy;
    value_bind(sql, hl_value_text(copy ? copy : ""));
}

void hl_sql_bind_int(struct hl_sql *sql, int64_t integer)
{
    value_bind(sql, hl_value_int(integer));
}

/* ---- form of keys ----------------------------------------------------------------------------------- */

/* Spaces too: some clients send a blank for "nothing asked". */
bool hl_match_is_universal(const struct hilum_catalog_key *key)
{
    return !key->value || key->value[strspn(key->value, "* ")] == '\0';
}

bool hl_match_has_wildcard(const char *text, size_t n)
{
    return memchr(text, '*', n) || memchr(text, '?', n);
}

bool hl_match_is_exact(const struct hl_column *column, const struct hilum_catalog_key *key)
{
    if (hl_match_is_universal(key))
        return false;
    return column->kind == HL_KIND_UID ||
           (!hl_match_has_wildcard(key->value, strlen(key->value)) && !strchr(key->value, '\\'));
}

/* The next of the values between backslashes, without spaces around; false at the end. Spaces
 * around a value are padding (PS3.5 6.2). */
static bool next_value(const char **rest, struct slice *out)
{
    if (!*rest)
        return false;
    size_t n = strcspn(*rest, "\\");
    *out = (struct slice){*rest, n};
    *rest = (*rest)[n] ? *rest + n + 1 : NULL;
    while (out->n > 0 && *out->text == ' ') {
        out->text++;
        out->n--;
    }
    while (out->n > 0 && out->text[out->n - 1] == ' ')
        out->n--;
    return true;
}

/* ---- text ------------------------------------------------------------------------------------------- */

/* Wild cards of DICOM as those of LIKE, with '!' before what LIKE would take for one. "**" is
 * one '*': a row of wild cards would cost LIKE a lot of time and mean nothing else. */
static void like_pattern(const char *text, size_t n, struct hl_buf *out)
{
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (c == '*' && i > 0 && text[i - 1] == '*')
            continue;
        if (c == '%' || c == '_' || c == '!')
            hl_buf_byte(out, '!');
        hl_buf_byte(out, (uint8_t)(c == '*' ? '%' : c == '?' ? '_' : c));
    }
}

/* Both databases are set to compare LIKE by case (db-sqlite's pragma; PostgreSQL does). */
static void like_add(struct hl_sql *sql, const char *ref, const struct hl_buf *pattern)
{
    hl_buf_printf(&sql->text, "%s LIKE ", ref);
    hl_sql_bind_text(sql, hl_buf_str(pattern), pattern->len);
    hl_buf_text(&sql->text, " ESCAPE '!'");
}

/* What stands before the first wild card. */
static size_t literal_prefix(const char *text, size_t n)
{
    size_t i = 0;
    while (i < n && text[i] != '*' && text[i] != '?')
        i++;
    return i;
}

/* ref >= prefix AND ref < prefix + the last character there is: what an index can do of a
 * LIKE. U+10FFFF sorts behind every character in UTF-8's byte order, by which text is compared
 * here. */
static void prefix_add(struct hl_sql *sql, const char *ref, const char *prefix, size_t n)
{
    struct hl_buf end = {0};
    hl_buf_add(&end, prefix, n);
    hl_buf_text(&end, "\xF4\x8F\xBF\xBF");
    hl_buf_printf(&sql->text, "%s >= ", ref);
    hl_sql_bind_text(sql, prefix, n);
    hl_buf_printf(&sql->text, " AND %s < ", ref);
    hl_sql_bind_text(sql, hl_buf_str(&end), end.len);
    hl_buf_fini(&end);
}

/* "CT*" needs no LIKE at all: the two bounds say it. */
static void wildcard_add(struct hl_sql *sql, const char *ref, const char *text, size_t n)
{
    struct hl_buf pattern = {0};
    size_t prefix = literal_prefix(text, n);
    hl_buf_byte(&sql->text, '(');
    if (prefix > 0)
        prefix_add(sql, ref, text, prefix);
    bool is_prefix_only = prefix > 0 && strspn(text + prefix, "*") >= n - prefix;
    if (prefix > 0 && !is_prefix_only)
        hl_buf_text(&sql->text, " AND ");
    like_pattern(text, n, &pattern);
    if (!is_prefix_only)
        like_add(sql, ref, &pattern);
    hl_buf_byte(&sql->text, ')');
    hl_buf_fini(&pattern);
}

/* `before` and `after` are the marks between the values of the column. No index serves this:
 * columns with several values filter what something else has found. */
static void among_add(struct hl_sql *sql, const char *ref, const struct slice *value,
                      const char *mark)
{
    struct hl_buf pattern = {0};
    hl_buf_printf(&pattern, "%%%s", mark);
    like_pattern(value->text, value->n, &pattern);
    hl_buf_printf(&pattern, "%s%%", mark);
    like_add(sql, ref, &pattern);
    hl_buf_fini(&pattern);
}

/* Single value and wild card matching (C.2.2.2.1, C.2.2.2.4); of several values any may match.
 * Case-sensitive, as C.2.2.2.1 has it for everything but names. */
static hilum_rc text_add(struct hl_sql *sql, const struct hl_column *column, const char *ref,
                         const struct slice *value)
{
    char marked[96];
    if (column->flags & HL_COLUMN_MANY) {
        snprintf(marked, sizeof marked, "('\\' || %s || '\\')", ref);
        among_add(sql, marked, value, "\\");
    } else if (hl_match_has_wildcard(value->text, value->n)) {
        wildcard_add(sql, ref, value->text, value->n);
    } else {
        hl_buf_printf(&sql->text, "%s = ", ref);
        hl_sql_bind_text(sql, value->text, value->n);
    }
    return HILUM_OK;
}

/* Names of physicians: any component group, case and accents aside. The '^' at the end goes
 * where a '*' stands before it: "SMITH*" is to find "SMITH^JOHN". */
static hilum_rc name_add(struct hl_sql *sql, const char *ref, const struct slice *value)
{
    struct hl_buf folded = {0};
    char column[80];
    snprintf(column, sizeof column, "%s_f", ref);
    hl_name_key(value->text, value->n, &folded);
    if (folded.len > 1 && folded.data[folded.len - 2] == '*')
        folded.len--;
    const struct slice key = {hl_buf_str(&folded), folded.len};
    among_add(sql, column, &key, "=");
    hl_buf_fini(&folded);
    return HILUM_OK;
}

void hl_match_physician_add(struct hl_sql *sql, const char *ref, const char *name, size_t n)
{
    struct hl_buf key = {0}, pattern = {0};
    const char *caret = memchr(name, '^', n);
    char column[80];
    snprintf(column, sizeof column, "%s_f", ref);
    hl_name_key(name, n, &key);
    hl_buf_text(&pattern, "%=");
    like_pattern(hl_buf_str(&key), key.len, &pattern);
    /* "WANG^LI" is also "WANG^LI^^DR"; but "WANG" is not every Wang. */
    hl_buf_text(&pattern, caret != NULL && caret + 1 < name + n ? "%" : "=%");
    if (n > 0)
        like_add(sql, column, &pattern);
    else
        hl_buf_text(&sql->text, "1 = 0");
    hl_buf_fini(&key);
    hl_buf_fini(&pattern);
}

/* ---- numbers, dates, times -------------------------------------------------------------------------- */

/* The keyword and never the value, which may be a patient's. It is refused, and not answered
 * with "no match", which would be believed. */
static hilum_rc bad_form(const struct hl_column *column)
{
    static const char *const forms[] = {
        [HL_KIND_UID] = "UIDs",
        [HL_KIND_TEXT] = "fewer values",
        [HL_KIND_NAME] = "fewer values",
        [HL_KIND_DATE] = "20260105 or 20260101-20260131",
        [HL_KIND_TIME] = "143000 or 080000-120000",
        [HL_KIND_DATETIME] = "20260105143000 or a range of such",
        [HL_KIND_INT] = "a number",
    };
    return hl_fail(HILUM_EINVAL, "matching key %04x,%04x %s: expected %s", column->tag >> 16,
                   column->tag & 0xffff, column->keyword, forms[column->kind]);
}

static hilum_rc int_add(struct hl_sql *sql, const struct hl_column *column, const char *ref,
                        const struct slice *value)
{
    int64_t number;
    if (!hl_int_parse(value->text, value->n, &number))
        return bad_form(column);
    hl_buf_printf(&sql->text, "%s = ", ref);
    hl_sql_bind_int(sql, number);
    return HILUM_OK;
}

struct range {
    struct slice low, high; /* n == 0: open */
    bool is_range;
};

/* Where the hyphen between the ends is. In DT one before four digits may be a zone (PS3.5
 * 6.2). Offsets go from -1200 to +1400: four digits behind a hyphen that are less than 1500
 * are one, beyond that they are a year. */
static struct range range_split(const struct slice *value, bool is_datetime)
{
    struct range range = {.low = *value, .high = *value};
    for (size_t i = 0; i < value->n; i++) {
        size_t after = value->n - i - 1;
        bool is_zone = is_datetime && i > 4 && after == 4 && memcmp(value->text + i, "-14", 3) <= 0;
        if (value->text[i] != '-' || is_zone)
            continue;
        range.is_range = true;
        range.low.n = i;
        range.high = (struct slice){value->text + i + 1, after};
        break;
    }
    return range;
}

/* Both ends belong to the range (C.2.2.2.5). Texts compare as dates do, since they are padded.
 * Equal ends are written as an equality, which an index serves better. */
static void bounds_add(struct hl_sql *sql, const char *ref, const char *low, const char *high)
{
    hl_buf_byte(&sql->text, '(');
    if (strcmp(low, high) == 0) {
        hl_buf_printf(&sql->text, "%s = ", ref);
        hl_sql_bind_text(sql, low, strlen(low));
    } else {
        /* With the begin open still more than "": an absent value is in no range. */
        hl_buf_printf(&sql->text, "%s %s ", ref, *low ? ">=" : ">");
        hl_sql_bind_text(sql, low, strlen(low));
        if (*high) {
            hl_buf_printf(&sql->text, " AND %s <= ", ref);
            hl_sql_bind_text(sql, high, strlen(high));
        }
    }
    hl_buf_byte(&sql->text, ')');
}

/* Both ends open ("-") is no form. */
static hilum_rc date_bounds(const struct hl_column *column, const struct slice *value, char low[9],
                            char high[9])
{
    struct range range = range_split(value, false);
    *low = *high = '\0';
    if (range.low.n && !hl_date_normal(range.low.text, range.low.n, low))
        return bad_form(column);
    if (range.high.n && !hl_date_normal(range.high.text, range.high.n, high))
        return bad_form(column);
    return range.low.n || range.high.n ? HILUM_OK : bad_form(column);
}

static hilum_rc date_add(struct hl_sql *sql, const struct hl_column *column, const char *ref,
                         const struct slice *value)
{
    char low[9], high[9];
    hilum_rc rc = date_bounds(column, value, low, high);
    if (rc == HILUM_OK)
        bounds_add(sql, ref, low, high);
    return rc;
}

/* The upper end of a range is the end of the period it names; a single time is its begin. */
static hilum_rc time_bounds(const struct hl_column *column, const struct slice *value, char low[14],
                            char high[14])
{
    struct range range = range_split(value, false);
    *low = *high = '\0';
    if (range.low.n && !hl_time_normal(range.low.text, range.low.n, false, low))
        return bad_form(column);
    if (range.high.n && !hl_time_normal(range.high.text, range.high.n, range.is_range, high))
        return bad_form(column);
    return range.low.n || range.high.n ? HILUM_OK : bad_form(column);
}

/* Stored as received; padded to compare. Colons of old TM values are taken out. Computed for
 * each row: times filter, they never lead. */
static void time_ref(const char *ref, char *out, size_t size)
{
    char plain[96];
    snprintf(plain, sizeof plain, "replace(%s, ':', '')", ref);
    snprintf(out, size,
             "CASE %s WHEN '' THEN '' ELSE substr(%s || substr('000000.000000', length(%s) + 1), "
             "1, 13) END",
             ref, plain, plain);
}

static hilum_rc time_add(struct hl_sql *sql, const struct hl_column *column, const char *ref,
                         const struct slice *value)
{
    char low[14], high[14], padded[384];
    hilum_rc rc = time_bounds(column, value, low, high);
    time_ref(ref, padded, sizeof padded);
    if (rc == HILUM_OK)
        bounds_add(sql, padded, low, high);
    return rc;
}

/* Digits and point of a DT, its zone aside, padded to microseconds. */
static bool datetime_normal(const struct slice *value, bool is_end, char out[22])
{
    static const char begin[] = "00000101000000.000000", end[] = "99991231235959.999999";
    size_t n = 0;
    while (n < value->n && n < 21 && strchr(n == 14 ? "." : "0123456789", value->text[n]))
        n++;
    if (n < 4 || (n < 14 && n % 2 != 0) || (n < value->n && !strchr("+-", value->text[n])))
        return false;
    memcpy(out, value->text, n);
    memcpy(out + n, (is_end ? end : begin) + n, 22 - n);
    return true;
}

/* Zones are left aside on both sides: (0008,0201) of the key and of the row would have to be
 * known. */
static hilum_rc datetime_add(struct hl_sql *sql, const struct hl_column *column, const char *ref,
                             const struct slice *value)
{
    char low[22] = "", high[22] = "", plain[384], padded[1024];
    struct range range = range_split(value, true);
    if (range.low.n && !datetime_normal(&range.low, false, low))
        return bad_form(column);
    if (range.high.n && !datetime_normal(&range.high, range.is_range, high))
        return bad_form(column);
    if (!range.low.n && !range.high.n)
        return bad_form(column);
    /* The zone is five characters at the end; times are compared as their senders wrote them. */
    snprintf(plain, sizeof plain,
             "CASE WHEN %s LIKE '%%+____' OR %s LIKE '%%-____' THEN substr(%s, 1, length(%s) - 5) "
             "ELSE %s END",
             ref, ref, ref, ref, ref);
    snprintf(padded, sizeof padded,
             "CASE %s WHEN '' THEN '' ELSE substr((%s) || substr('00000101000000.000000', "
             "length(%s) + 1), 1, 21) END",
             ref, plain, plain);
    bounds_add(sql, padded, low, high);
    return HILUM_OK;
}

/* ---- a key -------------------------------------------------------------------------------------------- */

/* List of UID matching (C.2.2.2.2). More than UIDS_MAX is refused, not cut: a cut list would
 * answer less than was asked. */
static hilum_rc uids_add(struct hl_sql *sql, const char *ref, const char *values)
{
    struct slice value;
    unsigned n = 0;
    hl_buf_printf(&sql->text, " AND %s IN (", ref);
    while (n < UIDS_MAX && next_value(&values, &value)) {
        hl_buf_text(&sql->text, n++ ? ", " : "");
        hl_sql_bind_text(sql, value.text, value.n);
    }
    hl_buf_byte(&sql->text, ')');
    return values && n == UIDS_MAX
               ? hl_fail(HILUM_EFULL, "more than %d UIDs in one key: ask in parts", UIDS_MAX)
               : HILUM_OK;
}

static hilum_rc value_add(struct hl_sql *sql, const struct hl_column *column, const char *ref,
                          const struct slice *value)
{
    switch (column->kind) {
    case HL_KIND_NAME: return name_add(sql, ref, value);
    case HL_KIND_DATE: return date_add(sql, column, ref, value);
    case HL_KIND_TIME: return time_add(sql, column, ref, value);
    case HL_KIND_DATETIME: return datetime_add(sql, column, ref, value);
    case HL_KIND_INT: return int_add(sql, column, ref, value);
    default: return text_add(sql, column, ref, value);
    }
}

/* One edge of a period of days and times: later than the day, or on it and later than the
 * time. Without a time the whole day is within the edge. */
static void edge_add(struct hl_sql *sql, const char *refs[2], const char *day, const char *time,
                     bool is_low)
{
    char compare = is_low ? '>' : '<';
    if (!*day)
        return;
    hl_buf_printf(&sql->text, " AND (%s %c ", refs[0], compare);
    hl_sql_bind_text(sql, day, 8);
    hl_buf_printf(&sql->text, " OR (%s = ", refs[0]);
    hl_sql_bind_text(sql, day, 8);
    if (*time) {
        hl_buf_printf(&sql->text, " AND %s %c= ", refs[1], compare);
        hl_sql_bind_text(sql, time, strlen(time));
    }
    hl_buf_text(&sql->text, "))");
}

/* Date and time ranges as one period (PS3.4 C.2.2.2.5, only when negotiated). The date key
 * adds its own condition, by which the index is found. The time's own condition would be wrong
 * here: 23:00 of the first day to 01:00 of the last is a period of hours, not two ranges. */
static hilum_rc combined_add(struct hl_sql *sql, const struct hl_column *column, const char *ref,
                             const struct hilum_catalog_key *key,
                             const struct hilum_catalog_key *date)
{
    const struct hl_column *day = hl_column_find(column->level, date->tag);
    char day_ref[64], time_padded[384], days[2][9], times[2][14];
    const struct slice day_value = {date->value, strlen(date->value)};
    const struct slice time_value = {key->value, strlen(key->value)};
    hilum_rc rc = date_bounds(day, &day_value, days[0], days[1]);
    if (rc == HILUM_OK)
        rc = time_bounds(column, &time_value, times[0], times[1]);
    if (rc != HILUM_OK)
        return rc;
    snprintf(day_ref, sizeof day_ref, "%c.%s", ref[0], day->name);
    time_ref(ref, time_padded, sizeof time_padded);
    const char *refs[2] = {day_ref, time_padded};
    edge_add(sql, refs, days[0], times[0], true);
    edge_add(sql, refs, days[1], times[1], false);
    return HILUM_OK;
}

/* Several values are ORed: for all but UIDs the standard leaves them open, and this is what
 * people mean. `ref` is ours, made of the table's letter and the column's name: never a peer's
 * text. */
hilum_rc hl_match_add(struct hl_sql *sql, const struct hl_column *column, const char *ref,
                      const struct hilum_catalog_key *key, const struct hilum_catalog_key *date)
{
    const char *rest = key->value;
    struct slice value;
    hilum_rc rc = HILUM_OK;
    if (column->kind == HL_KIND_UID)
        return uids_add(sql, ref, rest);
    if (strlen(rest) > KEY_BYTES_MAX)
        return bad_form(column);
    if (date)
        return combined_add(sql, column, ref, key, date);
    hl_buf_text(&sql->text, " AND (");
    for (unsigned n = 0; rc == HILUM_OK && next_value(&rest, &value); n++) {
        hl_buf_text(&sql->text, n ? " OR " : "");
        rc = n < VALUES_MAX ? value_add(sql, column, ref, &value) : bad_form(column);
    }
    hl_buf_byte(&sql->text, ')');
    return rc;
}
