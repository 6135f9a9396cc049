/* The audit record read: in order for seals and checks, the newest first for people.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/base/error.h"
#include "core/record/record_private.h"

/* Rows read while one session is held. */
enum { PAGE = 500 };

#define COLUMNS "SELECT id, at_us, who, action, what, before_json, after_json FROM audit "

static struct hl_audit_row row_of(struct hl_stmt *stmt)
{
    return (struct hl_audit_row){.id = hl_stmt_int(stmt, 0),
                                 .at_us = hl_stmt_int(stmt, 1),
                                 .who = hl_stmt_text(stmt, 2),
                                 .action = hl_stmt_text(stmt, 3),
                                 .what = hl_stmt_text(stmt, 4),
                                 .before = hl_stmt_text_or_null(stmt, 5),
                                 .after = hl_stmt_text_or_null(stmt, 6)};
}

/* *last and *n tell where the page ended and whether it was full, also when the callback ends
 * it. */
static hilum_rc each_row(struct hl_stmt *stmt, hl_audit_cb each, void *arg, int64_t *last,
                         unsigned *n)
{
    hilum_rc rc;
    while ((rc = hl_stmt_step(stmt)) == 1) {
        const struct hl_audit_row row = row_of(stmt);
        *last = row.id;
        ++*n;
        rc = each(arg, &row);
        if (rc != HILUM_OK)
            return rc;
    }
    return rc;
}

/* Numbers are never given twice and only the oldest ever go, so "above the last number" misses
 * nothing between two pages. */
hilum_rc hl_record_audit_rows(struct hl_record *record, int64_t after, int64_t until,
                              hl_audit_cb each, void *arg)
{
    unsigned n = PAGE;
    hilum_rc rc = HILUM_OK;
    while (rc == HILUM_OK && n == PAGE) {
        struct hl_session *session = NULL;
        struct hl_stmt *stmt = NULL;
        n = 0;
        rc = hl_readers_get(record->readers, &session);
        if (rc != HILUM_OK)
            return rc;
        rc = hl_session_ask(session, &stmt,
                            COLUMNS "WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3", "iii", after,
                            until, (int64_t)PAGE);
        if (rc == HILUM_OK)
            rc = each_row(stmt, each, arg, &after, &n);
        hl_stmt_done(stmt);
        hl_readers_put(record->readers, session, rc);
    }
    return rc;
}

hilum_rc hl_record_audit_find(struct hl_record *record, const struct hl_audit_filter *filter,
                              hl_audit_cb each, void *arg)
{
    struct hl_session *session = NULL;
    struct hl_stmt *stmt = NULL;
    int64_t last = 0;
    unsigned n = 0;
    hilum_rc rc = hl_readers_get(record->readers, &session);
    if (rc != HILUM_OK)
        return rc;
    rc =
        hl_session_ask(session, &stmt,
                       COLUMNS "WHERE (?1 IS NULL OR who LIKE ?1 || '%') AND (?2 IS NULL OR action "
                               "= ?2) AND (?3 IS NULL OR what = ?3) ORDER BY id DESC LIMIT ?4",
                       "ttti", filter->who, filter->action, filter->what, filter->limit);
    if (rc == HILUM_OK)
        rc = each_row(stmt, each, arg, &last, &n);
    hl_stmt_done(stmt);
    hl_readers_put(record->readers, session, rc);
    return rc;
}
