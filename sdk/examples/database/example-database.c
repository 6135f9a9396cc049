/* example-database: sessions, transactions and statements over SQLite, in one file. A provider of another engine
 * keeps this shape and changes the calls. Longer than other examples, since a database is eighteen functions
 * and a session of a plugin has to be kept from everybody else's tables. It leaves out what is optional: commits that are
 * flushed later, and confine(), without which plugins record nothing. SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hilum/host.h"

/* Filled in by the host before init; read-only. */
struct conf {
    const char *path;
};

struct db {
    const struct hilum_host *host;
    hilum_self *self;
    const struct conf *conf;
    atomic_flag has_writer;
};

struct session {
    struct db *db;
    sqlite3 *handle;
    int is_writer;
    char prefix[80]; /* "p_acme_": a plugin's session; "": the kernel's */
};

static hilum_rc fail(const struct session *s)
{
    int code = sqlite3_extended_errcode(s->handle), kind = code & 0xff;
    hilum_rc rc = code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY
                      ? HILUM_EEXISTS
                  : kind == SQLITE_CONSTRAINT                       ? HILUM_ECONFLICT
                  : kind == SQLITE_AUTH || kind == SQLITE_READONLY  ? HILUM_EDENIED
                  : kind == SQLITE_BUSY || kind == SQLITE_LOCKED    ? HILUM_EAGAIN
                  : kind == SQLITE_INTERRUPT                        ? HILUM_ECANCELLED
                  : kind == SQLITE_FULL                             ? HILUM_EFULL
                  : kind == SQLITE_IOERR || kind == SQLITE_CANTOPEN ? HILUM_EIO
                  : kind == SQLITE_CORRUPT || kind == SQLITE_NOTADB ? HILUM_ECORRUPT
                  : kind == SQLITE_NOMEM                            ? HILUM_ENOMEM
                                                                    : HILUM_EINVAL;
    return s->db->host->fail(s->db->self, rc, sqlite3_errmsg(s->handle));
}

static hilum_rc exec(void *session, const char *sql)
{
    const struct session *s = session;
    return sqlite3_exec(s->handle, sql, NULL, NULL, NULL) == SQLITE_OK ? HILUM_OK : fail(s);
}

/* ---- a plugin's session sees p_<id>_* and nothing else ---- */

/* Asked while a statement is compiled. Definitions of tables are written by SQLite itself; their texts are not read. */
static int authorize(void *arg, int action, const char *first, const char *second,
                     const char *database, const char *trigger)
{
    const struct session *s = arg;
    size_t n = strlen(s->prefix);
    int is_own = first && strncmp(first, s->prefix, n) == 0;
    int on_own = second && strncmp(second, s->prefix, n) == 0;
    int is_schema = first && strcmp(first, "sqlite_master") == 0;
    (void)trigger;
    if (database && strcmp(database, "main") != 0)
        return SQLITE_DENY;
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_RECURSIVE:
    case SQLITE_TRANSACTION:
    case SQLITE_SAVEPOINT: return SQLITE_OK;
    case SQLITE_FUNCTION:
        return second && strcmp(second, "load_extension") ? SQLITE_OK : SQLITE_DENY;
    case SQLITE_READ:
        return is_own || (is_schema && second && strcmp(second, "sql")) ? SQLITE_OK : SQLITE_DENY;
    case SQLITE_INSERT:
    case SQLITE_UPDATE:
    case SQLITE_DELETE: return is_own || is_schema ? SQLITE_OK : SQLITE_DENY;
    case SQLITE_CREATE_TABLE:
    case SQLITE_DROP_TABLE:
    case SQLITE_REINDEX: return is_own ? SQLITE_OK : SQLITE_DENY;
    case SQLITE_CREATE_INDEX:
    case SQLITE_DROP_INDEX: return on_own ? SQLITE_OK : SQLITE_DENY;
    default: return SQLITE_DENY; /* ATTACH, PRAGMA, views, triggers, temporary and virtual tables */
    }
}

/* '_' would let plugin "a" read the tables of "a_b". */
static hilum_rc confine(struct session *s, const char *scope)
{
    size_t n = strspn(scope, "abcdefghijklmnopqrstuvwxyz0123456789-");
    if (n == 0 || n > 64 || scope[n])
        return s->db->host->fail(s->db->self, HILUM_EINVAL, "scope: expected a plugin's id");
    snprintf(s->prefix, sizeof s->prefix, "p_%s_", scope);
    sqlite3_set_authorizer(s->handle, authorize, s);
    return HILUM_OK;
}

/* ---- sessions ---- */

static void session_close(void *session)
{
    struct session *s = session;
    sqlite3_close_v2(s->handle);
    if (s->is_writer)
        atomic_flag_clear(&s->db->has_writer);
    free(s);
}

static hilum_rc session_open(void *self, uint32_t mode, const char *scope, void **session)
{
    struct db *db = self;
    int is_writer = mode == HILUM_DB_WRITE;
    if (is_writer && atomic_flag_test_and_set(&db->has_writer))
        return db->host->fail(db->self, HILUM_EAGAIN, "a writing session is open");
    struct session *s = calloc(1, sizeof *s);
    if (!s) {
        if (is_writer)
            atomic_flag_clear(&db->has_writer);
        return HILUM_ENOMEM;
    }
    s->db = db;
    s->is_writer = is_writer;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
    hilum_rc rc = sqlite3_open_v2(db->conf->path, &s->handle, flags, NULL) ? fail(s) : HILUM_OK;
    /* Durable when commit() returns; LIKE as in every other database. */
    if (rc == HILUM_OK)
        rc = exec(s, is_writer ? "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                                 "PRAGMA foreign_keys = ON; PRAGMA case_sensitive_like = ON"
                               : "PRAGMA query_only = ON; PRAGMA case_sensitive_like = ON");
    if (rc == HILUM_OK && scope)
        rc = confine(s, scope);
    if (rc != HILUM_OK)
        session_close(s);
    *session = rc == HILUM_OK ? s : NULL;
    return rc;
}

static hilum_rc begin(void *session)
{
    const struct session *s = session;
    return exec(session, s->is_writer ? "BEGIN IMMEDIATE" : "BEGIN");
}

static hilum_rc commit(void *session)
{
    return exec(session, "COMMIT");
}

/* Harmless where no transaction is open: whoever gives up need not know how far he came. */
static hilum_rc rollback(void *session)
{
    const struct session *s = session;
    return sqlite3_get_autocommit(s->handle) ? HILUM_OK : exec(session, "ROLLBACK");
}

static uint64_t changes(void *session)
{
    return (uint64_t)sqlite3_changes64(((const struct session *)session)->handle);
}

static int64_t last_id(void *session)
{
    return sqlite3_last_insert_rowid(((const struct session *)session)->handle);
}

static void interrupt(void *session)
{
    sqlite3_interrupt(((const struct session *)session)->handle);
}

static hilum_rc checkpoint(void *session)
{
    const struct session *s = session;
    int code = sqlite3_wal_checkpoint_v2(s->handle, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    return code == SQLITE_OK || code == SQLITE_BUSY ? HILUM_OK : fail(s);
}

/* ---- statements ---- */

struct statement {
    const struct session *session;
    sqlite3_stmt *stmt;
};

static hilum_rc prepare(void *session, const char *sql, void **statement)
{
    const struct session *s = session;
    struct statement *st = calloc(1, sizeof *st);
    if (!st)
        return HILUM_ENOMEM;
    st->session = s;
    hilum_rc rc = sqlite3_prepare_v2(s->handle, sql, -1, &st->stmt, NULL) ? fail(s) : HILUM_OK;
    if (rc == HILUM_OK && !st->stmt)
        rc = s->db->host->fail(s->db->self, HILUM_EINVAL, "an empty statement");
    if (rc != HILUM_OK)
        free(st);
    *statement = rc == HILUM_OK ? st : NULL;
    return rc;
}

static int bind_one(sqlite3_stmt *stmt, int at, const struct hilum_value *v)
{
    switch (v->type) {
    case HILUM_DB_INT: return sqlite3_bind_int64(stmt, at, v->integer);
    case HILUM_DB_REAL: return sqlite3_bind_double(stmt, at, v->real);
    case HILUM_DB_TEXT:
        return sqlite3_bind_text64(stmt, at, v->bytes, v->n, SQLITE_STATIC, SQLITE_UTF8);
    case HILUM_DB_BLOB: return sqlite3_bind_blob64(stmt, at, v->bytes, v->n, SQLITE_STATIC);
    default: return sqlite3_bind_null(stmt, at);
    }
}

static hilum_rc bind(void *statement, const struct hilum_value *values, uint32_t n)
{
    struct statement *st = statement;
    struct db *db = st->session->db;
    sqlite3_reset(st->stmt);
    if ((uint32_t)sqlite3_bind_parameter_count(st->stmt) != n)
        return db->host->fail(db->self, HILUM_EINVAL, "not as many values as parameters");
    for (uint32_t i = 0; i < n; i++)
        if (bind_one(st->stmt, (int)i + 1, &values[i]) != SQLITE_OK)
            return fail(st->session);
    return HILUM_OK;
}

static hilum_rc step(void *statement)
{
    struct statement *st = statement;
    int code = sqlite3_step(st->stmt);
    return code == SQLITE_ROW ? 1 : code == SQLITE_DONE ? HILUM_OK : fail(st->session);
}

static hilum_rc column(void *statement, uint32_t i, struct hilum_value *out)
{
    static const uint32_t types[] = {[SQLITE_INTEGER] = HILUM_DB_INT,
                                     [SQLITE_FLOAT] = HILUM_DB_REAL,
                                     [SQLITE_TEXT] = HILUM_DB_TEXT,
                                     [SQLITE_BLOB] = HILUM_DB_BLOB,
                                     [SQLITE_NULL] = HILUM_DB_NULL};
    struct statement *st = statement;
    int at = (int)i;
    *out = (struct hilum_value){.type = HILUM_DB_NULL};
    if (i >= (uint32_t)sqlite3_column_count(st->stmt))
        return HILUM_EINVAL;
    out->type = types[sqlite3_column_type(st->stmt, at)];
    if (out->type == HILUM_DB_INT)
        out->integer = sqlite3_column_int64(st->stmt, at);
    if (out->type == HILUM_DB_REAL)
        out->real = sqlite3_column_double(st->stmt, at);
    if (out->type == HILUM_DB_TEXT)
        out->bytes = sqlite3_column_text(st->stmt, at);
    if (out->type == HILUM_DB_BLOB)
        out->bytes = sqlite3_column_blob(st->stmt, at);
    if (out->type == HILUM_DB_TEXT || out->type == HILUM_DB_BLOB)
        out->n = (uint64_t)sqlite3_column_bytes(st->stmt, at);
    return HILUM_OK;
}

static void reset(void *statement)
{
    sqlite3_reset(((struct statement *)statement)->stmt);
}

static void finish(void *statement)
{
    sqlite3_finalize(((struct statement *)statement)->stmt);
    free(statement);
}

/* ---- life ---- */

static hilum_rc init(const struct hilum_host *host, hilum_self *self, const void *conf,
                     void **state)
{
    static const struct hilum_database table = {
        .cap = {.size = sizeof table,
                .kind = HILUM_CAP_DATABASE,
                .threads = HILUM_PARALLEL,
                .name = "example"},
        .dialect = "sqlite",
        .open = session_open,
        .close = session_close,
        .exec = exec,
        .prepare = prepare,
        .bind = bind,
        .step = step,
        .column = column,
        .reset = reset,
        .finish = finish,
        .begin = begin,
        .commit = commit,
        .rollback = rollback,
        .changes = changes,
        .last_id = last_id,
        .interrupt = interrupt,
        .checkpoint = checkpoint,
    };
    struct db *db = calloc(1, sizeof *db);
    if (!db)
        return HILUM_ENOMEM;
    db->host = host;
    db->self = self;
    db->conf = conf;
    *state = db;
    /* SQLite would make the file with the process's umask; names of patients are nobody else's. */
    int fd = open(db->conf->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    hilum_rc rc = fd < 0 ? host->fail(self, HILUM_EIO, "option path: the file cannot be opened")
                         : host->provide(self, &table.cap, db);
    if (fd >= 0)
        close(fd);
    if (rc != HILUM_OK)
        free(db);
    return rc;
}

HILUM_EXPORT const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major, uint16_t host_minor)
{
    static const struct hilum_option options[] = {
        {"path", HILUM_OPT_PATH, offsetof(struct conf, path), "example.db", NULL,
         "The database file."},
        {0},
    };
    static const char *const provides[] = {"database:example", NULL};
    static const struct hilum_plugin plugin = {
        .magic = HILUM_MAGIC,
        .size = sizeof plugin,
        .abi_major = HILUM_ABI_MAJOR,
        .abi_minor = HILUM_ABI_MINOR,
        .conf_size = sizeof(struct conf),
        .id = "example-database",
        .version = "1.0.0",
        .vendor = "Example",
        .licence = "MIT",
        .options = options,
        .init = init,
        .fini = free,
        .provides = provides,
    };
    (void)host_major;
    (void)host_minor;
    return &plugin;
}
