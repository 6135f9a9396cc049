/* Search keys of names, made again after the way they are folded has changed. A page a unit, so that ingest passes
 * between. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/record/record_private.h"
#include "hilum/catalog.h"

enum { PAGE = 100 };

struct row {
    int64_t id;
    const char *name;
};

/* One unit's worth: the level it is at and the rows of the page. Rows of a page are read
 * before any is written: a statement is not changed under its own feet. */
struct pass {
    struct hl_arena arena;
    struct row rows[PAGE];
    unsigned n;
    int64_t level, done_id;
    bool is_over;
};

static bool is_plain(const char *text)
{
    while (*text && (unsigned char)*text < 0x80)
        text++;
    return *text == '\0';
}

static hilum_rc rows_read(struct hl_session *session, struct pass *pass, const char *column)
{
    struct hl_stmt *stmt = NULL;
    char sql[160];
    snprintf(sql, sizeof sql, "SELECT id, %s FROM %s WHERE id > ?1 ORDER BY id LIMIT %d", column,
             hl_level_table((unsigned)pass->level), PAGE);
    pass->n = 0;
    hilum_rc rc = hl_session_ask(session, &stmt, sql, "i", pass->done_id);
    while (rc == HILUM_OK && pass->n < PAGE && (rc = hl_stmt_step(stmt)) == 1) {
        struct row *row = &pass->rows[pass->n++];
        row->id = hl_stmt_int(stmt, 0);
        row->name = hl_arena_strdup(&pass->arena, hl_stmt_text(stmt, 1));
        rc = row->name ? HILUM_OK : hl_fail(HILUM_ENOMEM, "record: out of memory");
    }
    hl_stmt_done(stmt);
    return rc;
}

/* Patients' names have a table of keys, all other names a folded column beside them. */
static hilum_rc column_derive(struct hl_session *session, const struct pass *pass,
                              const struct hl_column *column, const struct row *row)
{
    char sql[128];
    struct hl_buf folded = {0};
    if (column->tag == HL_PATIENT_NAME)
        return hl_identity_keys(session, row->id, row->name);
    hl_name_keys_joined(row->name, &folded);
    snprintf(sql, sizeof sql, "UPDATE %s SET %s_f = ?2 WHERE id = ?1",
             hl_level_table((unsigned)pass->level), column->name);
    hilum_rc rc = hl_session_run(session, sql, "it", row->id, hl_buf_str(&folded));
    hl_buf_fini(&folded);
    return rc;
}

/* The same rows, once for each of their columns that hold names. */
static hilum_rc page_derive(struct hl_session *session, struct pass *pass)
{
    hilum_rc rc = HILUM_OK;
    for (size_t c = 0; c < hl_columns_count && rc == HILUM_OK; c++) {
        const struct hl_column *column = &hl_columns[c];
        if (column->level != pass->level || column->kind != HL_KIND_NAME)
            continue;
        rc = rows_read(session, pass, column->name);
        for (unsigned i = 0; i < pass->n && rc == HILUM_OK; i++)
            if (!is_plain(pass->rows[i].name)) /* ASCII folds as it always did */
                rc = column_derive(session, pass, column, &pass->rows[i]);
    }
    return rc;
}

/* The table `derivation` has a row for each level that is not done: a stop in between costs one
 * page. */
static hilum_rc pass_read(struct hl_session *session, struct pass *pass)
{
    struct hl_stmt *stmt = NULL;
    hilum_rc rc = hl_session_ask(
        session, &stmt, "SELECT level, done_id FROM derivation ORDER BY level LIMIT 1", "");
    if (rc == HILUM_OK)
        rc = hl_stmt_step(stmt);
    pass->is_over = rc == 0;
    if (rc == 1) {
        pass->level = hl_stmt_int(stmt, 0);
        pass->done_id = hl_stmt_int(stmt, 1);
    }
    hl_stmt_done(stmt);
    return rc > 0 ? HILUM_OK : rc;
}

/* The page and how far it went in one unit: a crash does it again, which changes nothing. */
static hilum_rc pass_write(struct hl_session *session, void *arg)
{
    struct pass *pass = arg;
    hilum_rc rc = pass_read(session, pass);
    if (rc == HILUM_OK && !pass->is_over)
        rc = page_derive(session, pass);
    if (rc != HILUM_OK || pass->is_over)
        return rc;
    if (pass->n < PAGE)
        return hl_session_run(session, "DELETE FROM derivation WHERE level = ?1", "i", pass->level);
    return hl_session_run(session, "UPDATE derivation SET done_id = ?2 WHERE level = ?1", "ii",
                          pass->level, pass->rows[PAGE - 1].id);
}

/* On the housekeeper's thread; is_derived spares the question on every later round. */
hilum_rc hl_derive_again(struct hl_record *record)
{
    hilum_rc rc = HILUM_OK;
    bool is_over = record->is_derived;
    while (!is_over && rc == HILUM_OK && !atomic_load(&record->is_ending)) {
        struct pass pass = {.is_over = false};
        rc = hl_writer_run(record->writer, HL_LANE_OTHER, pass_write, &pass);
        is_over = pass.is_over;
        hl_arena_fini(&pass.arena);
    }
    record->is_derived = is_over;
    return rc;
}
