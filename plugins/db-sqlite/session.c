/* Sessions and statements of db-sqlite: the capability table over SQLite connections. Knows nothing
 * of what the statements mean.
 *
 * One connection writes, any number read; each has its own, opened without SQLite's mutex. WAL
 * mode: readers see the last commit and block nobody. synchronous = FULL: a commit returns
 * when the log is flushed, but for commit_unflushed.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "db_sqlite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* SQLite's default since 3.12, and what file systems write at once. */
enum { PAGE_BYTES = 4096 };

/* EAGAIN for a lock another process holds, so that the record tries again; INTERRUPT is
 * db_sqlite_confine_for's deadline or the host's interrupt. */
static hilum_rc code_of(int extended)
{
    if (extended == SQLITE_CONSTRAINT_UNIQUE || extended == SQLITE_CONSTRAINT_PRIMARYKEY)
        return HILUM_EEXISTS;
    switch (extended & 0xff) {
    case SQLITE_FULL: return HILUM_EFULL;
    case SQLITE_READONLY:
    case SQLITE_AUTH:
    case SQLITE_PERM: return HILUM_EDENIED;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return HILUM_EAGAIN;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_PROTOCOL: return HILUM_EIO;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return HILUM_ECORRUPT;
    case SQLITE_CONSTRAINT: return HILUM_ECONFLICT;
    case SQLITE_INTERRUPT: return HILUM_ECANCELLED;
    case SQLITE_NOMEM: return HILUM_ENOMEM;
    default: return HILUM_EINVAL;
    }
}

hilum_rc db_sqlite_fail(struct session *session, const char *what)
{
    struct db *db = session->db;
    hilum_rc rc = code_of(sqlite3_extended_errcode(session->handle));
    char why[512];
    int number = rc == HILUM_EIO || rc == HILUM_EFULL ? sqlite3_system_errno(session->handle) : 0;
    snprintf(why, sizeof why, "database %s: %s: %s%s%s", db->conf->path, what,
             sqlite3_errmsg(session->handle), number ? ": " : "", number ? strerror(number) : "");
    return db->host->fail(db->self, rc, why);
}

/* The log is flushed past the connection, which knows nothing of the failure: `result` is the layer's. */
static hilum_rc flush_fail(struct session *session, struct db_wal_file *log, int result)
{
    struct db *db = session->db;
    int number = db_wal_errno(log);
    char why[512];
    snprintf(why, sizeof why, "database %s: flush of its log: %s%s%s", db->conf->path,
             sqlite3_errstr(result), number ? ": " : "", number ? strerror(number) : "");
    return db->host->fail(db->self, code_of(result), why);
}

/* ---- opening ------------------------------------------------------------------------------------
 */

static int wal_grew(void *arg, sqlite3 *handle, const char *name, int frames)
{
    struct session *session = arg;
    (void)handle;
    (void)name;
    session->wal_frames = frames;
    return SQLITE_OK;
}

static hilum_rc run(struct session *session, const char *sql)
{
    if (sqlite3_exec(session->handle, sql, NULL, NULL, NULL) != SQLITE_OK)
        return db_sqlite_fail(session, sql);
    return HILUM_OK;
}

static hilum_rc pragma(struct session *session, const char *name, int64_t value)
{
    char sql[128];
    snprintf(sql, sizeof sql, "PRAGMA %s = %lld", name, (long long)value);
    return run(session, sql);
}

/* journal_size_limit gives the disk back what a burst has left. */
static hilum_rc configure_writer(struct session *session)
{
    const struct conf *conf = session->db->conf;
    /* The hook also switches SQLite's own checkpoints off: commit() and checkpoint() bound the log.
     */
    sqlite3_wal_hook(session->handle, wal_grew, session);
    hilum_rc rc = run(session, "PRAGMA journal_mode = WAL");
    if (rc == HILUM_OK)
        rc = pragma(session, "synchronous", 2);
    if (rc == HILUM_OK)
        rc = pragma(session, "cache_size", -conf->cache_size / 1024);
    if (rc == HILUM_OK)
        rc = pragma(session, "journal_size_limit", conf->wal_limit);
    return rc;
}

static hilum_rc configure_reader(struct session *session)
{
    const struct conf *conf = session->db->conf;
    hilum_rc rc = pragma(session, "query_only", 1);
    if (rc == HILUM_OK)
        rc = pragma(session, "mmap_size", conf->mmap_size);
    if (rc == HILUM_OK)
        rc = pragma(session, "cache_size", -conf->cache_size / 4096);
    return rc;
}

/* Lookaside: 256 slots of 1200 bytes spare malloc most calls while statements are compiled.
 * SQLite takes -N as KiB of cache. */
static hilum_rc configure(struct session *session, const char *scope)
{
    sqlite3_db_config(session->handle, SQLITE_DBCONFIG_LOOKASIDE, NULL, 1200, 256);
    sqlite3_busy_timeout(session->handle, (int)session->db->conf->busy_timeout);
    /* LIKE distinguishes case as in every other database; the kernel folds where it wants folding.
     */
    hilum_rc rc = pragma(session, "case_sensitive_like", 1);
    if (rc == HILUM_OK)
        rc = pragma(session, "foreign_keys", 1);
    if (rc == HILUM_OK)
        rc = pragma(session, "secure_delete", 0);
    if (rc == HILUM_OK)
        rc = session->is_writer ? configure_writer(session) : configure_reader(session);
    if (rc == HILUM_OK && scope)
        rc = db_sqlite_confine(session, scope);
    if (rc == HILUM_OK && (scope || session->is_writer))
        db_sqlite_watch(session);
    return rc;
}

static void session_close(void *arg)
{
    struct session *session = arg;
    if (!session)
        return;
    sqlite3_finalize(session->begin);
    sqlite3_finalize(session->commit);
    sqlite3_close_v2(session->handle);
    if (session->is_writer)
        atomic_store(&session->db->has_writer, false);
    free(session);
}

/* One writer at a time, over the whole process: a second one would only find out in BEGIN that
 * it has to wait. */
static hilum_rc session_open(void *self, uint32_t mode, const char *scope, void **out)
{
    struct db *db = self;
    bool is_writer = mode == HILUM_DB_WRITE;
    bool was_open = is_writer && atomic_exchange(&db->has_writer, true);
    if (was_open)
        return db->host->fail(db->self, HILUM_EAGAIN, "database: a writing session is open");
    struct session *session = calloc(1, sizeof *session);
    if (!session) {
        if (is_writer)
            atomic_store(&db->has_writer, false);
        return db->host->fail(db->self, HILUM_ENOMEM, "database session: out of memory");
    }
    session->db = db;
    session->is_writer = is_writer;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    hilum_rc rc = HILUM_OK;
    if (sqlite3_open_v2(db->conf->path, &session->handle, flags, db_wal_layer_name(db->layer)) !=
        SQLITE_OK)
        rc = db_sqlite_fail(session, "open");
    else
        rc = configure(session, scope);
    if (rc != HILUM_OK) {
        session_close(session);
        return rc;
    }
    *out = session;
    return HILUM_OK;
}

/* ---- statements ---------------------------------------------------------------------------------
 */

static hilum_rc compile(struct session *session, const char *sql, unsigned flags,
                        sqlite3_stmt **stmt, const char **tail)
{
    db_sqlite_note_verb(session, sql);
    if (sqlite3_prepare_v3(session->handle, sql, -1, flags, stmt, tail) != SQLITE_OK)
        return db_sqlite_fail(session, "prepare");
    return HILUM_OK;
}

/* Several statements, one after the other; rows are passed over. */
static hilum_rc session_exec(void *arg, const char *sql)
{
    struct session *session = arg;
    hilum_rc rc = HILUM_OK;
    while (rc == HILUM_OK && *sql) {
        sqlite3_stmt *stmt = NULL;
        int step = SQLITE_ROW;
        rc = compile(session, sql, 0, &stmt, &sql);
        while (rc == HILUM_OK && stmt && step == SQLITE_ROW)
            step = sqlite3_step(stmt);
        if (rc == HILUM_OK && stmt && step != SQLITE_DONE)
            rc = db_sqlite_fail(session, "exec");
        sqlite3_finalize(stmt);
    }
    return rc;
}

static hilum_rc session_prepare(void *arg, const char *sql, void **out)
{
    struct session *session = arg;
    struct db *db = session->db;
    sqlite3_stmt *stmt = NULL;
    hilum_rc rc = compile(session, sql, SQLITE_PREPARE_PERSISTENT, &stmt, NULL);
    if (rc != HILUM_OK)
        return rc;
    struct statement *statement = stmt ? calloc(1, sizeof *statement) : NULL;
    if (!statement) {
        sqlite3_finalize(stmt);
        return db->host->fail(db->self, stmt ? HILUM_ENOMEM : HILUM_EINVAL,
                              stmt ? "statement: out of memory" : "statement: empty");
    }
    statement->session = session;
    statement->stmt = stmt;
    *out = statement;
    return HILUM_OK;
}

/* SQLITE_STATIC: the caller's bytes stay until the next bind or the end (contract), so nothing
 * is copied. */
static int bind_value(sqlite3_stmt *stmt, int i, const struct hilum_value *value)
{
    /* A NULL pointer would bind SQL NULL; an empty text is not that. */
    const void *bytes = value->bytes ? value->bytes : "";
    switch (value->type) {
    case HILUM_DB_INT: return sqlite3_bind_int64(stmt, i, value->integer);
    case HILUM_DB_REAL: return sqlite3_bind_double(stmt, i, value->real);
    case HILUM_DB_TEXT:
        return sqlite3_bind_text64(stmt, i, bytes, value->n, SQLITE_STATIC, SQLITE_UTF8);
    case HILUM_DB_BLOB: return sqlite3_bind_blob64(stmt, i, bytes, value->n, SQLITE_STATIC);
    default: return sqlite3_bind_null(stmt, i);
    }
}

static hilum_rc statement_bind(void *arg, const struct hilum_value *values, uint32_t n)
{
    struct statement *statement = arg;
    struct db *db = statement->session->db;
    sqlite3_reset(statement->stmt);
    if ((uint32_t)sqlite3_bind_parameter_count(statement->stmt) != n)
        return db->host->fail(db->self, HILUM_EINVAL, "statement: wrong number of parameters");
    for (uint32_t i = 0; i < n; i++)
        if (bind_value(statement->stmt, (int)i + 1, &values[i]) != SQLITE_OK)
            return db_sqlite_fail(statement->session, "bind");
    return HILUM_OK;
}

static hilum_rc statement_step(void *arg)
{
    struct statement *statement = arg;
    int rc = sqlite3_step(statement->stmt);
    if (rc == SQLITE_ROW)
        return 1;
    if (rc == SQLITE_DONE)
        return HILUM_OK;
    return db_sqlite_fail(statement->session, "step");
}

/* Borrowed from SQLite until the next step or reset. */
static hilum_rc statement_column(void *arg, uint32_t i, struct hilum_value *out)
{
    struct statement *statement = arg;
    struct db *db = statement->session->db;
    sqlite3_stmt *stmt = statement->stmt;
    *out = (struct hilum_value){.type = HILUM_DB_NULL};
    if (i >= (uint32_t)sqlite3_data_count(stmt))
        return db->host->fail(db->self, HILUM_EINVAL, "statement: no such column, or no row");
    switch (sqlite3_column_type(stmt, (int)i)) {
    case SQLITE_INTEGER:
        out->type = HILUM_DB_INT;
        out->integer = sqlite3_column_int64(stmt, (int)i);
        break;
    case SQLITE_FLOAT:
        out->type = HILUM_DB_REAL;
        out->real = sqlite3_column_double(stmt, (int)i);
        break;
    case SQLITE_TEXT:
        out->type = HILUM_DB_TEXT;
        out->bytes = sqlite3_column_text(stmt, (int)i);
        break;
    case SQLITE_BLOB:
        out->type = HILUM_DB_BLOB;
        out->bytes = sqlite3_column_blob(stmt, (int)i);
        break;
    default: return HILUM_OK;
    }
    if (out->type >= HILUM_DB_TEXT)
        out->n = (uint64_t)sqlite3_column_bytes(stmt, (int)i);
    return HILUM_OK;
}

static void statement_reset(void *arg)
{
    struct statement *statement = arg;
    sqlite3_reset(statement->stmt);
}

static void statement_finish(void *arg)
{
    struct statement *statement = arg;
    if (!statement)
        return;
    sqlite3_finalize(statement->stmt);
    free(statement);
}

/* ---- transactions -------------------------------------------------------------------------------
 */

/* The pages of a log that could not be flushed are still right in memory: copied back and flushed there they are safe,
 * and the log begins anew, empty and flushed. */
static hilum_rc log_renew(struct session *session, struct db_wal_file *log)
{
    if (sqlite3_wal_checkpoint_v2(session->handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) !=
        SQLITE_OK)
        return db_sqlite_fail(session, "copy back a log that could not be flushed");
    int result = db_wal_begun_anew(log);
    return result == SQLITE_OK ? HILUM_OK : flush_fail(session, log, result);
}

/* A commit a group: compiling its two statements anew was a tenth of what SQLite does for it. */
static hilum_rc run_kept(struct session *session, sqlite3_stmt **stmt, const char *sql)
{
    hilum_rc rc = *stmt ? HILUM_OK : compile(session, sql, SQLITE_PREPARE_PERSISTENT, stmt, NULL);
    if (rc != HILUM_OK)
        return rc;
    if (sqlite3_step(*stmt) != SQLITE_DONE)
        rc = db_sqlite_fail(session, sql);
    sqlite3_reset(*stmt);
    return rc;
}

/* Locks at once where it will write: a lock upgraded in the middle cannot wait for another
 * process. A log whose flush failed is renewed here, before anything is added to it. */
static hilum_rc session_begin(void *arg)
{
    struct session *session = arg;
    struct db_wal_file *log = session->is_writer ? db_wal_of(session->handle) : NULL;
    if (log && db_wal_is_suspect(log)) {
        hilum_rc rc = log_renew(session, log);
        if (rc != HILUM_OK)
            return rc;
    }
    return run_kept(session, &session->begin, session->is_writer ? "BEGIN IMMEDIATE" : "BEGIN");
}

static hilum_rc session_rollback(void *arg)
{
    struct session *session = arg;
    /* Some errors (full, device) have rolled back already. */
    return sqlite3_get_autocommit(session->handle) ? HILUM_OK : run(session, "ROLLBACK");
}

/* TRUNCATE waits for readers (not long: they hold no snapshot over a pause) only when the log
 * has outgrown its bound; otherwise what can be copied without waiting is. Four times the
 * limit, because a reader that is busy now is not waited for at once. */
static hilum_rc log_copy_back(struct session *session)
{
    int64_t bytes = (int64_t)session->wal_frames * PAGE_BYTES;
    bool is_over = bytes > 4 * session->db->conf->wal_limit;
    int left = 0, copied = 0;
    int rc = sqlite3_wal_checkpoint_v2(
        session->handle, NULL, is_over ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE,
        &left, &copied);
    if (rc == SQLITE_BUSY || rc == SQLITE_LOCKED)
        return HILUM_OK;
    if (rc != SQLITE_OK)
        return db_sqlite_fail(session, "checkpoint");
    session->wal_frames = left > copied ? left - copied : 0;
    return HILUM_OK;
}

static hilum_rc session_checkpoint(void *arg)
{
    struct session *session = arg;
    return session->wal_frames > 0 ? log_copy_back(session) : HILUM_OK;
}

/* A deleted file would go on taking commits until the last descriptor closes, and lose them
 * all. One stat a commit. */
static bool is_gone(struct session *session)
{
    int moved = 0;
    return sqlite3_file_control(session->handle, NULL, SQLITE_FCNTL_HAS_MOVED, &moved) ==
               SQLITE_OK &&
           moved;
}

/* `held`: the log of a commit that need not be flushed. What it has written is covered by the
 * next flush of any kind. */
static hilum_rc commit(struct session *session, struct db_wal_file *held)
{
    struct db *db = session->db;
    if (session->is_writer && is_gone(session)) {
        char why[512];
        session_rollback(session);
        snprintf(why, sizeof why, "database %s: moved or deleted while in use: put it back",
                 db->conf->path);
        return db->host->fail(db->self, HILUM_EIO, why);
    }
    if (held)
        db_wal_hold(held, true);
    hilum_rc rc = run_kept(session, &session->commit, "COMMIT");
    if (held)
        db_wal_hold(held, false);
    if (rc != HILUM_OK)
        return rc;
    /* Without changes of its own it has flushed nothing, but covers what came before all the same. */
    struct db_wal_file *log = session->is_writer && !held ? db_wal_of(session->handle) : NULL;
    int flushed = log ? db_wal_flush(log) : SQLITE_OK;
    if (flushed != SQLITE_OK)
        return flush_fail(session, log, flushed);
    /* The commit is done: what the copying back meets is told by the next commit or checkpoint.
     */
    if (session->is_writer && (int64_t)session->wal_frames * PAGE_BYTES > db->conf->wal_limit)
        log_copy_back(session);
    return HILUM_OK;
}

static hilum_rc session_commit(void *arg)
{
    return commit(arg, NULL);
}

/* A session that has not read or written yet has no log to hold: it is flushed. */
static hilum_rc session_commit_unflushed(void *arg)
{
    struct session *session = arg;
    return commit(session, session->is_writer ? db_wal_of(session->handle) : NULL);
}

static hilum_rc session_flush(void *arg)
{
    struct session *session = arg;
    struct db_wal_file *log = session->is_writer ? db_wal_of(session->handle) : NULL;
    int flushed = !log                     ? SQLITE_OK
                  : db_wal_is_suspect(log) ? SQLITE_IOERR_FSYNC
                                           : db_wal_flush(log);
    return flushed == SQLITE_OK ? HILUM_OK : flush_fail(session, log, flushed);
}

static uint64_t session_changes(void *arg)
{
    struct session *session = arg;
    return (uint64_t)sqlite3_changes64(session->handle);
}

static int64_t session_last_id(void *arg)
{
    struct session *session = arg;
    return sqlite3_last_insert_rowid(session->handle);
}

static void session_interrupt(void *arg)
{
    struct session *session = arg;
    sqlite3_interrupt(session->handle);
}

const struct hilum_database db_sqlite_table = {
    .cap = {.size = sizeof db_sqlite_table,
            .kind = HILUM_CAP_DATABASE,
            .threads = HILUM_PARALLEL,
            .name = "sqlite"},
    .dialect = "sqlite",
    .open = session_open,
    .close = session_close,
    .exec = session_exec,
    .prepare = session_prepare,
    .bind = statement_bind,
    .step = statement_step,
    .column = statement_column,
    .reset = statement_reset,
    .finish = statement_finish,
    .begin = session_begin,
    .commit = session_commit,
    .rollback = session_rollback,
    .changes = session_changes,
    .last_id = session_last_id,
    .interrupt = session_interrupt,
    .checkpoint = session_checkpoint,
    .commit_unflushed = session_commit_unflushed,
    .flush = session_flush,
    .confine = db_sqlite_confine_for,
};
