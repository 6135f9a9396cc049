/* The audit record read: in order for seals and checks, the newest first for people.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/base/error.h"
#include "core/record/record_private.h"

/* Rows, and about how many bytes of them, in memory at once. */
enum { PAGE = 500, PAGE_BYTES = 1024 * 1024 };

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

/* Rows copied out of the database, so that each() may wait (for a collector, for a slow client) while nobody waits for
 * its session. */
struct page {
    struct hl_arena arena;
    struct hl_audit_row *rows;
    unsigned n, cap;
    bool is_last; /* the statement had no more */
};

static hilum_rc row_copy(struct page *page, const struct hl_audit_row *row)
{
    const char *const from[] = {row->who, row->action, row->what, row->before, row->after};
    char *to[5] = {NULL};
    for (size_t i = 0; i < 5; i++)
        if (from[i] != NULL && (to[i] = hl_arena_strdup(&page->arena, from[i])) == NULL)
            return HILUM_ENOMEM;
    page->rows[page->n++] = (struct hl_audit_row){.id = row->id,
                                                  .at_us = row->at_us,
                                                  .who = to[0],
                                                  .action = to[1],
                                                  .what = to[2],
                                                  .before = to[3],
                                                  .after = to[4]};
    return HILUM_OK;
}

/* Both bounds, since a row may hold a correction of any size. At least one row always fits. */
static hilum_rc page_fill(struct page *page, struct hl_stmt *stmt)
{
    hilum_rc rc = HILUM_OK;
    page->rows = hl_arena_alloc(&page->arena, page->cap * sizeof *page->rows);
    if (page->rows == NULL)
        return HILUM_ENOMEM;
    while (rc == HILUM_OK && page->n < page->cap && page->arena.used < PAGE_BYTES) {
        rc = hl_stmt_step(stmt);
        page->is_last = rc == 0;
        if (rc <= 0)
            break;
        const struct hl_audit_row row = row_of(stmt);
        rc = row_copy(page, &row);
    }
    return rc;
}

/* *last: the row told last, also where each() ends it. Where each() ends it, the next call
 * goes on behind that row. */
static hilum_rc page_tell(const struct page *page, hl_audit_cb each, void *arg, int64_t *last)
{
    hilum_rc rc = HILUM_OK;
    for (unsigned i = 0; rc == HILUM_OK && i < page->n; i++) {
        *last = page->rows[i].id;
        rc = each(arg, &page->rows[i]);
    }
    return rc;
}

static hilum_rc rows_read(struct hl_record *record, int64_t after, int64_t until, struct page *page)
{
    struct hl_session *session = NULL;
    struct hl_stmt *stmt = NULL;
    hilum_rc rc = hl_readers_get(record->readers, &session);
    if (rc != HILUM_OK)
        return rc;
    rc = hl_session_ask(session, &stmt, COLUMNS "WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3",
                        "iii", after, until, (int64_t)page->cap);
    if (rc == HILUM_OK)
        rc = page_fill(page, stmt);
    hl_stmt_done(stmt);
    hl_readers_put(record->readers, session, rc);
    return rc;
}

/* Numbers are never given twice and only the oldest ever go, so "above the last number" misses
 * nothing between two pages. */
hilum_rc hl_record_audit_rows(struct hl_record *record, int64_t after, int64_t until,
                              hl_audit_cb each, void *arg)
{
    hilum_rc rc = HILUM_OK;
    bool is_over = false;
    while (rc == HILUM_OK && !is_over) {
        struct page page = {.cap = PAGE};
        rc = rows_read(record, after, until, &page);
        if (rc == HILUM_OK)
            rc = page_tell(&page, each, arg, &after);
        is_over = page.is_last;
        hl_arena_fini(&page.arena);
    }
    return rc;
}

/* A walk backwards along the numbers: rows are many, and the newest are wanted. */
static hilum_rc found_read(struct hl_record *record, const struct hl_audit_filter *filter,
                           int64_t before, struct page *page)
{
    struct hl_session *session = NULL;
    struct hl_stmt *stmt = NULL;
    hilum_rc rc = hl_readers_search(record->readers, &session);
    if (rc != HILUM_OK)
        return rc;
    rc = hl_session_ask(
        session, &stmt,
        COLUMNS "WHERE (?1 IS NULL OR who LIKE ?1 || '%') AND (?2 IS NULL OR action "
                "= ?2) AND (?3 IS NULL OR what = ?3) AND id < ?4 ORDER BY id DESC LIMIT ?5",
        "tttii", filter->who, filter->action, filter->what, before, (int64_t)page->cap);
    if (rc == HILUM_OK)
        rc = page_fill(page, stmt);
    hl_stmt_done(stmt);
    hl_readers_put(record->readers, session, rc);
    return hl_search_told(rc);
}

hilum_rc hl_record_audit_find(struct hl_record *record, const struct hl_audit_filter *filter,
                              hl_audit_cb each, void *arg)
{
    hilum_rc rc = HILUM_OK;
    int64_t before = INT64_MAX, left = filter->limit;
    bool is_over = false;
    while (rc == HILUM_OK && left > 0 && !is_over) {
        struct page page = {.cap = left < PAGE ? (unsigned)left : PAGE};
        rc = found_read(record, filter, before, &page);
        if (rc == HILUM_OK)
            rc = page_tell(&page, each, arg, &before);
        left -= page.n;
        is_over = page.is_last;
        hl_arena_fini(&page.arena);
    }
    return rc;
}
