/* Statements are prepared once a session and found by their text. A statement is in use from
 * query to done; the cache starts over only when none is. One thread at a time uses a session;
 * it knows no table.
 *
 * Preparing costs more than running most statements here; a session that records one instance
 * uses some ten of them. That is why texts are few and everything that varies is a parameter.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/record/session.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "core/base/error.h"

/* Fixed statements are about 150; find() makes the others. A full cache starts over. SLOTS is
 * twice CACHE_MAX, so that open addressing finds an empty one soon; 32 parameters are more
 * than any fixed statement has. */
enum { CACHE_MAX = 256, SLOTS = 512, PARAMETERS_MAX = 32 };

/* Longer texts are queries with hundreds of values, which nobody asks the same way again: kept, they would be
 * as much memory as a peer likes. */
enum { KEPT_TEXT_MAX = 16384 };

/* One prepared statement. Never freed while in use. */
struct hl_stmt {
    struct hl_session *session;
    char *sql;
    uint64_t hash;
    void *handle;
    unsigned in_use;
    bool is_loose; /* in no slot: ends with its use */
};

struct hl_session {
    const struct hilum_database *db;
    void *handle;
    struct hl_stmt *slots[SLOTS]; /* open addressing by hash of the text */
    unsigned n;
};

hilum_rc hl_session_open(const struct hilum_database *db, void *instance, uint32_t mode,
                         struct hl_session **out)
{
    struct hl_session *session = calloc(1, sizeof *session);
    if (!session)
        return hl_fail(HILUM_ENOMEM, "database session: out of memory");
    session->db = db;
    hilum_rc rc = db->open(instance, mode, NULL, &session->handle);
    if (rc != HILUM_OK) {
        free(session);
        return rc;
    }
    *out = session;
    return HILUM_OK;
}

static void stmt_free(struct hl_stmt *stmt)
{
    stmt->session->db->finish(stmt->handle);
    free(stmt->sql);
    free(stmt);
}

/* Open addressing cannot delete single entries, and starting over is rare. */
static void cache_clear(struct hl_session *session)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        struct hl_stmt *stmt = session->slots[i];
        if (!stmt)
            continue;
        stmt_free(stmt);
        session->slots[i] = NULL;
    }
    session->n = 0;
}

void hl_session_close(struct hl_session *session)
{
    if (!session)
        return;
    cache_clear(session);
    session->db->close(session->handle);
    free(session);
}

void hl_session_interrupt(struct hl_session *session)
{
    session->db->interrupt(session->handle);
}

hilum_rc hl_session_begin(struct hl_session *session)
{
    return session->db->begin(session->handle);
}

hilum_rc hl_session_commit(struct hl_session *session)
{
    return session->db->commit(session->handle);
}

/* Databases from before the pair of members commit as ever. */
static bool has_flush(const struct hilum_database *db)
{
    return HILUM_HAS(struct hilum_database, db->cap.size, flush) && db->commit_unflushed &&
           db->flush;
}

hilum_rc hl_session_commit_unflushed(struct hl_session *session, bool *is_durable)
{
    *is_durable = !has_flush(session->db);
    return *is_durable ? session->db->commit(session->handle)
                       : session->db->commit_unflushed(session->handle);
}

hilum_rc hl_session_flush(struct hl_session *session)
{
    return has_flush(session->db) ? session->db->flush(session->handle) : HILUM_OK;
}

void hl_session_rollback(struct hl_session *session)
{
    session->db->rollback(session->handle);
}

hilum_rc hl_session_checkpoint(struct hl_session *session)
{
    return session->db->checkpoint(session->handle);
}

uint64_t hl_session_changes(struct hl_session *session)
{
    return session->db->changes(session->handle);
}

int64_t hl_session_last_id(struct hl_session *session)
{
    return session->db->last_id(session->handle);
}

/* ---- statements ----------------------------------------------------------------------------------- */

static hilum_rc stmt_make(struct hl_session *session, const char *sql, uint64_t hash,
                          struct hl_stmt **slot)
{
    struct hl_stmt *stmt = calloc(1, sizeof *stmt);
    char *copy = strdup(sql);
    hilum_rc rc = stmt && copy ? session->db->prepare(session->handle, sql, &stmt->handle)
                               : hl_fail(HILUM_ENOMEM, "database statement: out of memory");
    if (rc != HILUM_OK) {
        free(copy);
        free(stmt);
        return rc;
    }
    stmt->session = session;
    stmt->sql = copy;
    stmt->hash = hash;
    *slot = stmt;
    return HILUM_OK;
}

static unsigned in_use(const struct hl_session *session)
{
    unsigned n = 0;
    for (unsigned i = 0; i < SLOTS; i++)
        n += session->slots[i] && session->slots[i]->in_use;
    return n;
}

/* The slot of this text, filled if it was empty. Never full: an empty slot ends every search.
 * Statements in use are on the stack of somebody up there: while there is one the cache may
 * grow beyond CACHE_MAX, up to its slots. */
static hilum_rc stmt_find(struct hl_session *session, const char *sql, size_t n,
                          struct hl_stmt **out)
{
    uint64_t hash = XXH3_64bits(sql, n); /* equal ones are compared as texts */
    if (session->n >= CACHE_MAX && in_use(session) == 0)
        cache_clear(session);
    if (session->n >= SLOTS - 1)
        return hl_fail(HILUM_EINTERNAL, "database session: too many statements in use");
    unsigned at = (unsigned)hash % SLOTS;
    while (session->slots[at] &&
           (session->slots[at]->hash != hash || strcmp(session->slots[at]->sql, sql) != 0))
        at = (at + 1) % SLOTS;
    hilum_rc rc = HILUM_OK;
    if (!session->slots[at]) {
        rc = stmt_make(session, sql, hash, &session->slots[at]);
        session->n += rc == HILUM_OK;
    }
    *out = session->slots[at];
    return rc;
}

/* One text is in use once at a time: a statement that is read while another round of it runs
 * would give both the same rows. */
hilum_rc hl_session_query(struct hl_session *session, const char *sql,
                          const struct hilum_value *values, unsigned n, struct hl_stmt **out)
{
    struct hl_stmt *stmt = NULL;
    size_t length = strlen(sql);
    bool is_loose = length > KEPT_TEXT_MAX;
    hilum_rc rc =
        is_loose ? stmt_make(session, sql, 0, &stmt) : stmt_find(session, sql, length, &stmt);
    if (rc == HILUM_OK)
        stmt->is_loose = is_loose;
    if (rc == HILUM_OK && stmt->in_use)
        rc = hl_fail(HILUM_EINTERNAL, "database statement is in use: %.60s", sql);
    if (rc == HILUM_OK)
        rc = session->db->bind(stmt->handle, values, n);
    if (rc != HILUM_OK && is_loose && stmt)
        stmt_free(stmt);
    if (rc != HILUM_OK)
        return rc;
    stmt->in_use = 1;
    *out = stmt;
    return HILUM_OK;
}

/* The letters are ours, never a caller's from outside: their number is bounded by the array.
 * int and int64_t are different letters because va_arg takes what was passed, not what fits. */
static unsigned values_read(const char *letters, va_list args, struct hilum_value *values)
{
    unsigned n = 0;
    for (; *letters && n < PARAMETERS_MAX; letters++, n++) {
        const void *bytes;
        switch (*letters) {
        case 'i': values[n] = hl_value_int(va_arg(args, int64_t)); break;
        case 'd': values[n] = hl_value_int(va_arg(args, int)); break;
        case 'b':
            bytes = va_arg(args, const void *);
            values[n] = hl_value_blob(bytes, va_arg(args, size_t));
            break;
        default: values[n] = hl_value_text(va_arg(args, const char *)); break;
        }
    }
    return n;
}

hilum_rc hl_session_ask(struct hl_session *session, struct hl_stmt **out, const char *sql,
                        const char *letters, ...)
{
    struct hilum_value values[PARAMETERS_MAX];
    va_list args;
    va_start(args, letters);
    unsigned n = values_read(letters, args, values);
    va_end(args);
    return hl_session_query(session, sql, values, n, out);
}

hilum_rc hl_session_run(struct hl_session *session, const char *sql, const char *letters, ...)
{
    struct hilum_value values[PARAMETERS_MAX];
    struct hl_stmt *stmt = NULL;
    va_list args;
    va_start(args, letters);
    unsigned n = values_read(letters, args, values);
    va_end(args);
    hilum_rc rc = hl_session_query(session, sql, values, n, &stmt);
    if (rc == HILUM_OK)
        rc = hl_stmt_step(stmt);
    hl_stmt_done(stmt);
    return rc > 0 ? HILUM_OK : rc;
}

/* The first column of the first row; HILUM_ENOTFOUND, without a reason, where there is no row. */
hilum_rc hl_session_int(struct hl_session *session, int64_t *out, const char *sql,
                        const char *letters, ...)
{
    struct hilum_value values[PARAMETERS_MAX];
    struct hl_stmt *stmt = NULL;
    va_list args;
    va_start(args, letters);
    unsigned n = values_read(letters, args, values);
    va_end(args);
    hilum_rc rc = hl_session_query(session, sql, values, n, &stmt);
    if (rc == HILUM_OK)
        rc = hl_stmt_step(stmt);
    if (rc == 1 && stmt)
        *out = hl_stmt_int(stmt, 0);
    hl_stmt_done(stmt);
    if (rc == 0)
        return HILUM_ENOTFOUND;
    return rc > 0 ? HILUM_OK : rc;
}

hilum_rc hl_stmt_step(struct hl_stmt *stmt)
{
    return stmt->session->db->step(stmt->handle);
}

struct hilum_value hl_stmt_value(struct hl_stmt *stmt, unsigned i)
{
    struct hilum_value value = {0};
    stmt->session->db->column(stmt->handle, i, &value);
    return value;
}

int64_t hl_stmt_int(struct hl_stmt *stmt, unsigned i)
{
    return hl_stmt_value(stmt, i).integer;
}

const char *hl_stmt_text_or_null(struct hl_stmt *stmt, unsigned i)
{
    struct hilum_value value = hl_stmt_value(stmt, i);
    return value.type == HILUM_DB_TEXT ? value.bytes : NULL;
}

const char *hl_stmt_text(struct hl_stmt *stmt, unsigned i)
{
    const char *text = hl_stmt_text_or_null(stmt, i);
    return text ? text : "";
}

void hl_stmt_blob(struct hl_stmt *stmt, unsigned i, void *out, size_t n)
{
    struct hilum_value value = hl_stmt_value(stmt, i);
    memset(out, 0, n);
    if (value.type == HILUM_DB_BLOB && value.bytes)
        memcpy(out, value.bytes, value.n < n ? value.n : n);
}

/* The statement is done in any case, and the array is closed, so that what is half-built is
 * still JSON. */
hilum_rc hl_stmt_array(struct hl_stmt *stmt, hilum_rc rc,
                       hilum_rc (*row)(struct hl_stmt *stmt, void *arg, struct hl_buf *json),
                       void *arg, struct hl_buf *json)
{
    hl_buf_byte(json, '[');
    for (bool is_first = true; rc == HILUM_OK && (rc = hl_stmt_step(stmt)) == 1; is_first = false) {
        hl_buf_text(json, is_first ? "" : ",");
        rc = row(stmt, arg, json);
    }
    hl_buf_byte(json, ']');
    hl_stmt_done(stmt);
    return rc;
}

/* Rewinds: until then the session keeps its read transaction open, and with it the log. */
void hl_stmt_done(struct hl_stmt *stmt)
{
    if (!stmt)
        return;
    stmt->session->db->reset(stmt->handle);
    stmt->in_use = 0;
    if (stmt->is_loose)
        stmt_free(stmt);
}

struct hilum_value hl_value_int(int64_t integer)
{
    return (struct hilum_value){.type = HILUM_DB_INT, .integer = integer};
}

struct hilum_value hl_value_text(const char *text)
{
    if (!text)
        return (struct hilum_value){.type = HILUM_DB_NULL};
    return (struct hilum_value){.type = HILUM_DB_TEXT, .bytes = text, .n = strlen(text)};
}

struct hilum_value hl_value_blob(const void *bytes, size_t n)
{
    return (struct hilum_value){.type = HILUM_DB_BLOB, .bytes = bytes, .n = n};
}

/* ---- a plugin's statements: compiled anew each time, since the cache is the kernel's ---- */

/* Rows that are returned are read and dropped: a unit writes. finish, not kept: texts of
 * plugins would fill the kernel's cache. */
static hilum_rc step_run(struct hl_session *session, const struct hilum_record_step *step)
{
    void *stmt = NULL;
    hilum_rc rc = session->db->prepare(session->handle, step->sql, &stmt);
    if (rc == HILUM_OK)
        rc = session->db->bind(stmt, step->values, step->n_values);
    if (rc == HILUM_OK)
        while ((rc = session->db->step(stmt)) == 1)
            ;
    if (rc == HILUM_OK && step->rows >= 0 &&
        session->db->changes(session->handle) != (uint64_t)step->rows)
        rc = hl_fail(HILUM_ECONFLICT, "%.60s: changed %llu rows, expected %lld", step->sql,
                     (unsigned long long)session->db->changes(session->handle),
                     (long long)step->rows);
    if (stmt)
        session->db->finish(stmt);
    return rc;
}

/* The confinement is lifted before anything else runs in this session, also after an error. */
hilum_rc hl_session_unit(struct hl_session *session, const char *scope,
                         const struct hilum_record_step *steps, uint32_t n, uint32_t ms)
{
    const struct hilum_database *db = session->db;
    if (!HILUM_HAS(struct hilum_database, db->cap.size, confine) || !db->confine)
        return hl_fail(HILUM_EUNSUP, "database %s does not confine plugins", db->cap.name);
    hilum_rc rc = db->confine(session->handle, scope, ms);
    for (uint32_t i = 0; i < n && rc == HILUM_OK; i++)
        rc = step_run(session, &steps[i]);
    (void)db->confine(session->handle, NULL, 0);
    return rc == HILUM_ECANCELLED ? hl_fail(HILUM_ETIMEDOUT, "took more than %u ms", ms) : rc;
}
