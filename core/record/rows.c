/* INSERT statements made from the list of columns. Knows nothing of what a row means.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "core/base/error.h"
#include "core/record/record_private.h"
#include "hilum/catalog.h"

/* A value longer than any VR that is matched may be; the object itself keeps the whole.
 * VALUES_MAX: columns of one row, the record's own included. */
enum { TEXT_MAX = 4096, VALUES_MAX = 64 };

/* Order and number are those of `fixed` in places.c, identity.c and instances.c. */
const char *const hl_row_fixed[5] = {
    NULL,
    "standing,study_key,patient_id,issuer,created_us",
    "patient,uid,modalities,sop_classes,created_us,last_arrival_us",
    "study,uid,created_us",
    ("series,state,is_held,uid,transfer_syntax,digest_received,source,remarks,remark_text,"
     "received_us"),
};

/* Columns of the level that come from the header; the others are the record's own. */
static bool is_copied(const struct hl_column *column, unsigned level)
{
    return column->level == level && !(column->flags & HL_COLUMN_KEPT);
}

/* The patient's own name has a table of its own. */
static bool has_folded(const struct hl_column *column)
{
    return column->kind == HL_KIND_NAME && column->tag != HL_PATIENT_NAME;
}

static unsigned fixed_count(unsigned level)
{
    unsigned n = 1;
    for (const char *c = hl_row_fixed[level]; *c; c++)
        n += *c == ',';
    return n;
}

/* Names and their folded form stand side by side, as columns_add gives their values. */
static char *insert_make(unsigned level)
{
    struct hl_buf sql = {0};
    unsigned n = fixed_count(level);
    hl_buf_printf(&sql, "INSERT INTO %s (%s", hl_level_table(level), hl_row_fixed[level]);
    for (size_t i = 0; i < hl_columns_count; i++) {
        if (!is_copied(&hl_columns[i], level))
            continue;
        hl_buf_printf(&sql, ",%s", hl_columns[i].name);
        n++;
        if (has_folded(&hl_columns[i])) {
            hl_buf_printf(&sql, ",%s_f", hl_columns[i].name);
            n++;
        }
    }
    hl_buf_text(&sql, ") VALUES (");
    for (unsigned i = 1; i <= n; i++)
        hl_buf_printf(&sql, "%s?%u", i > 1 ? "," : "", i);
    hl_buf_byte(&sql, ')');
    return hl_buf_take(&sql);
}

/* Once at start: the texts are the same for every instance, and sessions cache by text. */
hilum_rc hl_inserts_make(struct hl_record *record)
{
    for (unsigned level = HILUM_LEVEL_PATIENT; level <= HILUM_LEVEL_IMAGE; level++) {
        record->inserts[level] = insert_make(level);
        if (!record->inserts[level])
            return hl_fail(HILUM_ENOMEM, "record: out of memory");
    }
    return HILUM_OK;
}

/* At most TEXT_MAX bytes, not in the middle of a character. A peer may send a value of any
 * length; a row must not grow without bound by it. */
static struct hilum_value text_value(const char *text)
{
    struct hilum_value value = hl_value_text(text);
    if (value.n > TEXT_MAX) {
        value.n = TEXT_MAX;
        while (value.n > 0 && ((unsigned char)text[value.n] & 0xC0) == 0x80)
            value.n--;
    }
    return value;
}

/* Numbers and dates in the form they are compared in; a date that is none stays as it came and
 * is found by nothing but itself. Of an IS with several values the first is taken (PS3.4 has
 * none among the keys kept). */
static struct hilum_value column_value(struct hl_arena *arena, const struct hl_column *column,
                                       const char *text)
{
    char date[9];
    int64_t number = HL_NO_NUMBER;
    switch (column->kind) {
    case HL_KIND_INT: hl_int_parse(text, strcspn(text, "\\"), &number); return hl_value_int(number);
    case HL_KIND_DATE:
        if (!hl_date_normal(text, strlen(text), date))
            return text_value(text);
        text = hl_arena_strdup(arena, date);
        return hl_value_text(text ? text : "");
    default: return text_value(text);
    }
}

/* Without memory it is empty: the row is found by everything but this name. */
static struct hilum_value folded_value(struct hl_arena *arena, const char *name)
{
    struct hl_buf folded = {0};
    hl_name_keys_joined(name, &folded);
    const char *copy = hl_arena_strdup(arena, hl_buf_str(&folded));
    hl_buf_fini(&folded);
    return text_value(copy ? copy : "");
}

/* Values of the level's columns, in their order, from values[n] on; the new n. */
static unsigned columns_add(struct hl_arena *arena, unsigned level, const struct hl_attrs *attrs,
                            struct hilum_value *values, unsigned n)
{
    for (size_t i = 0; i < hl_columns_count; i++) {
        if (!is_copied(&hl_columns[i], level))
            continue;
        const char *text = hl_attrs_text(attrs, hl_columns[i].tag);
        values[n++] = column_value(arena, &hl_columns[i], text);
        if (has_folded(&hl_columns[i]))
            values[n++] = folded_value(arena, text);
    }
    return n;
}

/* What is made on the way (dates, folded names) lives in the arena until the statement has
 * run: values are bound, not copied. */
hilum_rc hl_row_insert(struct hl_record *record, struct hl_session *session, unsigned level,
                       const struct hilum_value *fixed, const struct hl_attrs *attrs, int64_t *id)
{
    struct hilum_value values[VALUES_MAX];
    struct hl_arena arena = {0};
    struct hl_stmt *stmt = NULL;
    unsigned n = fixed_count(level);
    memcpy(values, fixed, n * sizeof *fixed);
    n = columns_add(&arena, level, attrs, values, n);
    hilum_rc rc = hl_session_query(session, record->inserts[level], values, n, &stmt);
    if (rc == HILUM_OK)
        rc = hl_stmt_step(stmt);
    if (rc == HILUM_OK)
        *id = hl_session_last_id(session);
    hl_stmt_done(stmt);
    hl_arena_fini(&arena);
    return rc;
}

/* The text is the same for each level, so the session's cache has it after the first time. */
hilum_rc hl_row_update(struct hl_session *session, unsigned level, int64_t id,
                       const struct hl_attrs *attrs)
{
    struct hilum_value values[VALUES_MAX] = {hl_value_int(id)};
    struct hl_arena arena = {0};
    struct hl_buf sql = {0};
    struct hl_stmt *stmt = NULL;
    unsigned n = columns_add(&arena, level, attrs, values, 1), at = 2;
    hl_buf_printf(&sql, "UPDATE %s SET ", hl_level_table(level));
    for (size_t i = 0; i < hl_columns_count; i++) {
        if (!is_copied(&hl_columns[i], level))
            continue;
        hl_buf_printf(&sql, "%s%s = ?%u", at > 2 ? "," : "", hl_columns[i].name, at);
        at++;
        if (has_folded(&hl_columns[i]))
            hl_buf_printf(&sql, ",%s_f = ?%u", hl_columns[i].name, at++);
    }
    hl_buf_text(&sql, " WHERE id = ?1");
    hilum_rc rc = sql.failed ? hl_fail(HILUM_ENOMEM, "record: out of memory")
                             : hl_session_query(session, sql.data, values, n, &stmt);
    if (rc == HILUM_OK)
        rc = hl_stmt_step(stmt);
    hl_stmt_done(stmt);
    hl_buf_fini(&sql);
    hl_arena_fini(&arena);
    return rc;
}
