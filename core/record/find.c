/* Makes the statement of a query: which table leads, how the others join it, in what order, from where. The
 * leading table is chosen here and not by the database, because the order of answers and the keyset cursor
 * follow from it.
 *
 * A statement has this shape, with the tables between the leading one and the level of the
 * answer on either side of it: SELECT order columns, return keys FROM lead CROSS JOIN ...
 * WHERE joins, matching keys, grants, (order columns) > (where the last page ended) ORDER BY
 * order columns LIMIT page. The order columns are an index of the leading table, so a page
 * costs what it holds and not what matches.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/record/find.h"

#include <stdio.h>
#include <string.h>

#include "core/base/error.h"

/* Up to so many days a date range leads; beyond, a name prefix finds fewer rows. */
enum { SHORT_RANGE_DAYS = 31 };

/* On hl_find_write's stack; `name` has to be let go of where is_name. */
struct lead {
    unsigned level;     /* of the leading table */
    const char *column; /* it is read in this order; NULL: by row number */
    bool is_name;       /* table patient_name leads, then patient */
    struct hl_name_match name;
};

static const struct hilum_catalog_key *key_of(const struct hl_find *find, uint32_t tag)
{
    for (unsigned i = 0; i < find->n_keys; i++)
        if (find->keys[i].tag == tag)
            return &find->keys[i];
    return NULL;
}

/* ---- which table leads ------------------------------------------------------------------------------ */

/* A UID, an accession number or an ID by itself finds few rows: whatever else is asked filters
 * those. From the lowest level up: the more is named, the fewer rows there are. */
static bool lead_by_unique(const struct hl_find *find, struct lead *lead)
{
    static const struct {
        uint32_t tag;
        unsigned level;
    } uniques[] = {{HL_SOP_INSTANCE_UID, HILUM_LEVEL_IMAGE},
                   {HL_SERIES_INSTANCE_UID, HILUM_LEVEL_SERIES},
                   {HL_STUDY_INSTANCE_UID, HILUM_LEVEL_STUDY},
                   {HL_ACCESSION_NUMBER, HILUM_LEVEL_STUDY},
                   {HL_PATIENT_ID, HILUM_LEVEL_PATIENT}};
    for (size_t i = 0; i < sizeof uniques / sizeof *uniques; i++) {
        const struct hilum_catalog_key *key = key_of(find, uniques[i].tag);
        const struct hl_column *column = hl_column_find(find->level, uniques[i].tag);
        if (!key || !hl_match_is_exact(column, key))
            continue;
        lead->level = uniques[i].level;
        return true;
    }
    return false;
}

/* Grows with the date and by one a day within a month: enough to tell a short range from a
 * long one. Not a calendar: months have 31 days here, so a range over a month's end counts a
 * day or three too long. */
static int days_of(const char *date)
{
    return ((date[0] - '0') * 1000 + (date[1] - '0') * 100 + (date[2] - '0') * 10 + date[3] - '0') *
               372 +
           ((date[4] - '0') * 10 + date[5] - '0') * 31 + (date[6] - '0') * 10 + date[7] - '0';
}

/* 0: no date key; 1: a range; 2: few days. Only above patients: at that level there is no
 * study date to match (PS3.4 C.6.1.1.2). */
static int date_kind(const struct hl_find *find)
{
    const struct hilum_catalog_key *key =
        find->level >= HILUM_LEVEL_STUDY ? key_of(find, HL_STUDY_DATE) : NULL;
    char low[9], high[9];
    if (!key)
        return 0;
    size_t n = strlen(key->value);
    if (hl_date_normal(key->value, n, low))
        return 2;
    bool is_closed = n == 17 && key->value[8] == '-' && hl_date_normal(key->value, 8, low) &&
                     hl_date_normal(key->value + 9, 8, high);
    return is_closed && days_of(high) - days_of(low) <= SHORT_RANGE_DAYS ? 2 : 1;
}

/* Several names by backslash cannot lead: the keys of one would be read after those of the
 * other, and the order of answers would be none. */
static bool lead_by_name(const struct hl_find *find, struct lead *lead)
{
    const struct hilum_catalog_key *key = key_of(find, HL_PATIENT_NAME);
    if (!key || strchr(key->value, '\\'))
        return false;
    hl_name_match_init(&lead->name, key->value, strlen(key->value), key->flags & HILUM_KEY_FUZZY);
    lead->is_name = lead->name.n > 0 && hl_name_term_has_prefix(&lead->name.terms[0]);
    lead->level = lead->is_name ? HILUM_LEVEL_PATIENT : lead->level;
    if (!lead->is_name)
        hl_name_match_fini(&lead->name);
    return lead->is_name;
}

/* PatientID or AccessionNumber that begins with something before its wild card. An exact one
 * has led already (lead_by_unique), so here there is a wild card. */
static bool lead_by_prefix(const struct hl_find *find, struct lead *lead)
{
    static const struct {
        uint32_t tag;
        unsigned level;
        const char *column;
    } ordered[] = {{HL_PATIENT_ID, HILUM_LEVEL_PATIENT, "patient_id"},
                   {HL_ACCESSION_NUMBER, HILUM_LEVEL_STUDY, "accession"}};
    for (size_t i = 0; i < sizeof ordered / sizeof *ordered; i++) {
        const struct hilum_catalog_key *key = key_of(find, ordered[i].tag);
        if (!key || strchr("*?", key->value[0]) || strchr(key->value, '\\'))
            continue;
        lead->level = ordered[i].level;
        lead->column = ordered[i].column;
        return true;
    }
    return false;
}

/* Few rows first: exact keys, a short range of days, a prefix, a name; else the newest
 * studies, or all rows by number. A short range of days before a prefix: a hospital has some
 * hundred studies a day, and any number of people called WANG. */
static void lead_choose(const struct hl_find *find, struct lead *lead)
{
    int date = date_kind(find);
    *lead = (struct lead){.level = find->level};
    if (lead_by_unique(find, lead))
        return;
    if (date != 2 && (lead_by_prefix(find, lead) || lead_by_name(find, lead)))
        return;
    bool is_newest = find->order == HILUM_ORDER_NEWEST && find->level >= HILUM_LEVEL_STUDY;
    if (date || is_newest) {
        lead->level = HILUM_LEVEL_STUDY;
        lead->column = "study_date";
    }
}

/* ---- order ------------------------------------------------------------------------------------------- */

/* A column the answers are sorted by, which the keyset position is made of. */
static void order_add(struct hl_order *order, char letter, const char *column, bool is_text)
{
    snprintf(order->columns[order->n].ref, sizeof order->columns[0].ref, "%c.%s", letter, column);
    order->columns[order->n++].is_text = is_text;
}

/* Newest first: by the day of the study. Otherwise as the leading table is read, and below it
 * by series and instance number. The signature tells positions of one order from those of
 * another (cursor.c). */
static void order_make(struct hl_find *find, const struct lead *lead)
{
    struct hl_order *order = &find->by;
    unsigned level = lead->level;
    *order = (struct hl_order){.signature = (char)(lead->is_name ? 'n' : lead->column ? 'c' : 'r')};
    order->is_down = find->order == HILUM_ORDER_NEWEST;
    if (order->is_down && find->level >= HILUM_LEVEL_STUDY) {
        order->signature = 'd';
        order_add(order, 's', "study_date", true);
        order_add(order, 's', "id", false);
        level = HILUM_LEVEL_STUDY;
    } else if (lead->is_name) {
        order_add(order, 'n', "folded", true);
        order_add(order, 'n', "patient", false);
    } else {
        if (lead->column)
            order_add(order, hl_level_letter(level), lead->column, true);
        order_add(order, hl_level_letter(level), "id", false);
    }
    for (unsigned l = level + 1; l <= find->level; l++) {
        if (l >= HILUM_LEVEL_SERIES)
            order_add(order, hl_level_letter(l), "number", false);
        order_add(order, hl_level_letter(l), "id", false);
    }
}

/* Row values, (a, b) > (x, y): one comparison along the index instead of a chain of ORs.
 * SQLite and PostgreSQL both seek with row values where the order is one index. */
static void after_add(struct hl_sql *sql, const struct hl_order *order,
                      const struct hilum_value *after)
{
    hl_buf_text(&sql->text, " AND (");
    for (unsigned i = 0; i < order->n; i++)
        hl_buf_printf(&sql->text, "%s%s", i ? ", " : "", order->columns[i].ref);
    hl_buf_printf(&sql->text, ") %c (", order->is_down ? '<' : '>');
    for (unsigned i = 0; i < order->n; i++) {
        hl_buf_text(&sql->text, i ? ", " : "");
        if (order->columns[i].is_text)
            hl_sql_bind_text(sql, after[i].bytes, after[i].n);
        else
            hl_sql_bind_int(sql, after[i].integer);
    }
    hl_buf_byte(&sql->text, ')');
}

/* ---- the statement ------------------------------------------------------------------------------------ */

/* How much a patient has of what is withheld is withheld, too. */
static bool is_withheld(const struct hl_find *find, const struct hl_column *column)
{
    return find->filter.n > 0 && column->level == HILUM_LEVEL_PATIENT &&
           strncmp(column->name, "n_", 2) == 0;
}

/* The order columns first, then what was asked for in its order: cursor.c counts on it. NULL
 * where it is not kept or withheld: the count of columns stays what cursor.c expects. */
static void select_add(struct hl_sql *sql, const struct hl_find *find)
{
    hl_buf_text(&sql->text, "SELECT ");
    for (unsigned i = 0; i < find->by.n; i++)
        hl_buf_printf(&sql->text, "%s%s", i ? ", " : "", find->by.columns[i].ref);
    for (unsigned i = 0; i < find->n_returns; i++) {
        const struct hl_column *column = hl_column_find(find->level, find->returns[i]);
        if (!column || is_withheld(find, column))
            hl_buf_text(&sql->text, ", NULL");
        else if (column->flags & HL_COLUMN_CONSTANT)
            hl_buf_printf(&sql->text, ", '%s'", column->name);
        else
            hl_buf_printf(&sql->text, ", %c.%s", hl_level_letter(column->level), column->name);
    }
}

static void level_min(const struct hl_column *column, unsigned *level)
{
    bool is_row = column && !(column->flags & HL_COLUMN_CONSTANT);
    if (is_row && column->level < *level)
        *level = column->level;
}

/* The highest table anything is asked of. Tables above it are left out: a query for series of
 * a study by its UID needs no patient. */
static unsigned top_of(const struct hl_find *find, const struct lead *lead)
{
    unsigned top = lead->level < find->level ? lead->level : find->level;
    for (unsigned i = 0; i < find->n_keys; i++)
        level_min(find->columns[i], &top);
    for (unsigned i = 0; i < find->n_returns; i++)
        level_min(hl_column_find(find->level, find->returns[i]), &top);
    if ((find->by.signature == 'd' || find->filter.n > 0) && top > HILUM_LEVEL_STUDY)
        top = HILUM_LEVEL_STUDY;
    return top;
}

static void table_add(struct hl_sql *sql, unsigned level)
{
    hl_buf_printf(&sql->text, " CROSS JOIN %s %c", hl_level_table(level), hl_level_letter(level));
}

/* CROSS JOIN keeps SQLite from choosing another order of tables. Joins are conditions in
 * WHERE, since CROSS JOIN has no ON in front of which the order could change. */
static void from_add(struct hl_sql *sql, const struct hl_find *find, const struct lead *lead)
{
    unsigned top = top_of(find, lead);
    hl_buf_printf(&sql->text, " FROM %s", lead->is_name ? "patient_name n CROSS JOIN " : "");
    hl_buf_printf(&sql->text, "%s %c", hl_level_table(lead->level), hl_level_letter(lead->level));
    for (unsigned level = lead->level; level > top; level--)
        table_add(sql, level - 1);
    for (unsigned level = lead->level + 1; level <= find->level; level++)
        table_add(sql, level);
    hl_buf_text(&sql->text, lead->is_name ? " WHERE p.id = n.patient" : " WHERE 1 = 1");
    for (unsigned level = top + 1; level <= find->level; level++) {
        hl_buf_printf(&sql->text, " AND %c.%s = %c.id", hl_level_letter(level),
                      hl_level_table(level - 1), hl_level_letter(level - 1));
    }
    /* Of what people have discarded rows remain, to explain. */
    if (find->level == HILUM_LEVEL_IMAGE)
        hl_buf_text(&sql->text, " AND i.state = 0");
    else
        hl_buf_printf(&sql->text, " AND %c.n_instances > 0", hl_level_letter(find->level));
}

/* A patient whose name matches by several keys is answered under the first of them. NOT EXISTS
 * instead of DISTINCT: the latter would have to see all rows before it gives one. */
static void lead_name_add(struct hl_sql *sql, const struct lead *lead)
{
    const struct hl_name_term *term = &lead->name.terms[0];
    hl_buf_text(&sql->text, " AND ");
    hl_name_term_add(sql, term, 'n');
    if (term->is_gram)
        return;
    hl_buf_text(&sql->text, " AND NOT EXISTS (SELECT 1 FROM patient_name o WHERE "
                            "o.patient = n.patient AND o.folded < n.folded AND ");
    hl_name_term_add(sql, term, 'o');
    hl_buf_byte(&sql->text, ')');
}

/* With HILUM_KEY_COMBINED: the range of days this time belongs to. Both must be ranges: a
 * single day with a range of times is two keys each for itself anyway. */
static const struct hilum_catalog_key *date_of(const struct hl_find *find,
                                               const struct hilum_catalog_key *key)
{
    static const uint32_t pairs[][2] = {{0x00080030, 0x00080020}, {0x00080031, 0x00080021},
                                        {0x00080032, 0x00080022}, {0x00080033, 0x00080023},
                                        {0x00400245, 0x00400244}, {0x00100032, 0x00100030}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        const struct hilum_catalog_key *date =
            key->tag == pairs[i][0] ? key_of(find, pairs[i][1]) : NULL;
        if (date && (key->flags & HILUM_KEY_COMBINED) && strchr(date->value, '-') &&
            strchr(key->value, '-'))
            return date;
    }
    return NULL;
}

/* The first term of a leading name is a condition on n already; the others are filters. */
static hilum_rc keys_add(struct hl_sql *sql, const struct hl_find *find, const struct lead *lead)
{
    hilum_rc rc = HILUM_OK;
    for (unsigned i = 0; i < find->n_keys && rc == HILUM_OK; i++) {
        const struct hl_column *column = find->columns[i];
        const struct hilum_catalog_key *key = &find->keys[i];
        char ref[64];
        snprintf(ref, sizeof ref, "%c.%s", hl_level_letter(column->level), column->name);
        if (key->tag != HL_PATIENT_NAME)
            rc = hl_match_add(sql, column, ref, key, date_of(find, key));
        else if (!lead->is_name || lead->name.n > 1)
            rc = hl_match_name_add(sql, key, lead->is_name ? 1 : 0);
    }
    return rc;
}

/* A patient is seen by whoever sees one of his studies. */
static void filter_add(struct hl_sql *sql, const struct hl_find *find)
{
    if (find->filter.n == 0)
        return;
    if (find->level >= HILUM_LEVEL_STUDY) {
        hl_filter_add(sql, &find->filter, 's');
        return;
    }
    hl_buf_text(&sql->text, " AND EXISTS (SELECT 1 FROM study v WHERE v.patient = p.id AND "
                            "v.n_instances > 0");
    hl_filter_add(sql, &find->filter, 'v');
    hl_buf_byte(&sql->text, ')');
}

/* Parameters only: no text of a peer becomes part of the statement. The same shape of query
 * gives the same text, so sessions find it in their cache. find->by is set first: the caller
 * needs it to read a position even where the statement is not run. */
hilum_rc hl_find_write(struct hl_find *find, const struct hilum_value *after, unsigned limit,
                       struct hl_sql *sql)
{
    struct lead lead;
    lead_choose(find, &lead);
    order_make(find, &lead);
    select_add(sql, find);
    from_add(sql, find, &lead);
    if (lead.is_name)
        lead_name_add(sql, &lead);
    hilum_rc rc = keys_add(sql, find, &lead);
    filter_add(sql, find);
    if (after)
        after_add(sql, &find->by, after);
    hl_buf_text(&sql->text, " ORDER BY ");
    for (unsigned i = 0; i < find->by.n; i++)
        hl_buf_printf(&sql->text, "%s%s%s", i ? ", " : "", find->by.columns[i].ref,
                      find->by.is_down ? " DESC" : "");
    hl_buf_text(&sql->text, " LIMIT ");
    hl_sql_bind_int(sql, limit);
    if (lead.is_name)
        hl_name_match_fini(&lead.name);
    return rc == HILUM_OK ? hl_sql_check(sql) : rc;
}
