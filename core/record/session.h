/* One database session with its prepared statements, and the pool of those that read. Knows no table.
 *
 * A session belongs to one thread at a time. Errors of a database are returned as they are,
 * with its reason; nothing here adds one (but hl_session_unit) except HILUM_ENOMEM and
 * HILUM_EINTERNAL (a statement used twice at once, which is a defect of the caller).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_RECORD_SESSION_H
#define HL_RECORD_SESSION_H

#include <stdbool.h>

#include "core/base/buf.h"
#include "hilum/database.h"

struct hl_session;

/* `mode` as in hilum_database.open. *out is set on HILUM_OK only. Opening may block on the
 * medium. */
hilum_rc hl_session_open(const struct hilum_database *db, void *instance, uint32_t mode,
                         struct hl_session **out);
void hl_session_close(struct hl_session *session); /* NULL is fine */

/* Any thread, while nobody else can take the session back: what it is running ends with HILUM_ECANCELLED. */
void hl_session_interrupt(struct hl_session *session);
/* No nesting: within a unit savepoints are used. */
hilum_rc hl_session_begin(struct hl_session *session);
/* Durable on return, with everything that was committed before it without a flush. */
hilum_rc hl_session_commit(struct hl_session *session);
/* Others see it; durable with the next commit or flush. A database that cannot tell the two apart commits. *is_durable:
 * which it was. */
hilum_rc hl_session_commit_unflushed(struct hl_session *session, bool *is_durable);
hilum_rc hl_session_flush(struct hl_session *session);
void hl_session_rollback(struct hl_session *session);
/* Copies the log back, so that it stays short; a moment's I/O, for when nobody waits. */
hilum_rc hl_session_checkpoint(struct hl_session *session);
/* Rows changed by the last statement; the number of the last row inserted. */
uint64_t hl_session_changes(struct hl_session *session);
int64_t hl_session_last_id(struct hl_session *session);

/* A statement of the session's cache, bound and rewound. It is the caller's until hl_stmt_done, and one
 * text may be in use once at a time. Texts and bytes bound are borrowed until then. */
struct hl_stmt;
/* `sql` is found by its text, so it should be one of few: what varies is a parameter. */
hilum_rc hl_session_query(struct hl_session *session, const char *sql,
                          const struct hilum_value *values, unsigned n, struct hl_stmt **out);
/* The same with a letter a parameter: i int64_t, d int, t const char * (NULL: NULL), b const void *
 * and size_t. At most 32. */
hilum_rc hl_session_ask(struct hl_session *session, struct hl_stmt **out, const char *sql,
                        const char *letters, ...);
/* Runs a statement without a result. */
hilum_rc hl_session_run(struct hl_session *session, const char *sql, const char *letters, ...);
/* A plugin's statements, confined to its tables, in the transaction that is open; ms for all of them together. HILUM_ECONFLICT,
 * HILUM_ETIMEDOUT, HILUM_EDENIED, HILUM_EUNSUP: this database cannot confine. The caller undoes what they wrote. */
hilum_rc hl_session_unit(struct hl_session *session, const char *scope,
                         const struct hilum_record_step *steps, uint32_t n, uint32_t ms);
/* First column of the first row. HILUM_ENOTFOUND: no row (no reason is recorded). */
hilum_rc hl_session_int(struct hl_session *session, int64_t *out, const char *sql,
                        const char *letters, ...);

/* 1: a row is there; 0: none any more; negative: an error. */
hilum_rc hl_stmt_step(struct hl_stmt *stmt);
int64_t hl_stmt_int(struct hl_stmt *stmt, unsigned i);      /* 0 for NULL and texts */
const char *hl_stmt_text(struct hl_stmt *stmt, unsigned i); /* "" for NULL; until the next step */
/* NULL where SQL has NULL. */
const char *hl_stmt_text_or_null(struct hl_stmt *stmt, unsigned i);
/* Copies at most n bytes, zero-filled. Anything that is no blob leaves zeros. */
void hl_stmt_blob(struct hl_stmt *stmt, unsigned i, void *out, size_t n);
struct hilum_value hl_stmt_value(struct hl_stmt *stmt, unsigned i);
void hl_stmt_done(struct hl_stmt *stmt); /* NULL is fine */
/* The rest of a question's rows as a JSON array behind what `json` holds, each written by `row` (its error ends the list),
 * and the statement done. rc: what hl_session_ask answered; with an error the array is empty and rc is returned. */
hilum_rc hl_stmt_array(struct hl_stmt *stmt, hilum_rc rc,
                       hilum_rc (*row)(struct hl_stmt *stmt, void *arg, struct hl_buf *json),
                       void *arg, struct hl_buf *json);

struct hilum_value hl_value_int(int64_t integer);
struct hilum_value hl_value_text(const char *text); /* NULL: NULL; borrowed */
struct hilum_value hl_value_blob(const void *bytes, size_t n);

/* Sessions for reading, opened when first needed. Any thread. They see what is committed,
 * flushed or not: a row that a power loss could still take away is seen like any other, since
 * the log beside the objects brings it back. */
struct hl_readers;
/* settle: called before a session is given out, to have written what its holder is to find. */
hilum_rc hl_readers_new(const struct hilum_database *db, void *instance, unsigned max,
                        void (*settle)(void *arg), void *settle_arg, struct hl_readers **out);
void hl_readers_free(struct hl_readers *readers); /* none may be out */
/* Waits while all are out, at most 5 s: HILUM_EAGAIN. Hold one for a page of rows, never over a pause. */
hilum_rc hl_readers_get(struct hl_readers *readers, struct hl_session **out);
/* At once and without `settle`, or HILUM_EAGAIN (without a reason): for who asks whether a row is there already that is about to
 * be owed, and can do without. */
hilum_rc hl_readers_try(struct hl_readers *readers, struct hl_session **out);
/* The same for a search, which reads what a peer's keys make it read: one session is always left for reads that know where
 * to look. Whoever waits for a session ends the oldest search once it has run for five seconds; its statement fails
 * with HILUM_ECANCELLED. */
hilum_rc hl_readers_search(struct hl_readers *readers, struct hl_session **out);
/* What a search ended with, for whoever asked: HILUM_ECANCELLED, which would say that he wants no more, becomes
 * HILUM_EAGAIN with the reason; all else as it is. */
hilum_rc hl_search_told(hilum_rc rc);
/* `rc` is what the reading ended with: a session that met a broken device is not used again. */
void hl_readers_put(struct hl_readers *readers, struct hl_session *session, hilum_rc rc);

#endif
