/* What the files of db-sqlite share. Knows nothing of any schema. SPDX-License-Identifier:
 * Apache-2.0 */
#ifndef DB_SQLITE_H
#define DB_SQLITE_H

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "hilum/database.h"
#include "hilum/host.h"
#include "wal.h"

/* Filled by the host from `options`. */
struct conf {
    const char *path;
    int64_t cache_size, mmap_size, wal_limit, busy_timeout;
};

/* Shared by all sessions. has_writer: there is one at a time, by this flag and not by SQLite's
 * lock, so that a second is a reason and not a wait. */
struct db {
    const struct hilum_host *host;
    hilum_self *self;
    const struct conf *conf;
    struct db_wal_layer *layer;
    atomic_bool has_writer;
};

/* One connection, used by one thread at a time. Opened by the record, or for a plugin
 * (prefix). `is_unit` and `until_ms` are for a while within the kernel's own transaction
 * (host->record). */
struct session {
    struct db *db;
    sqlite3 *handle;
    sqlite3_stmt *begin, *commit; /* compiled at their first use */
    bool is_writer;
    int wal_frames;  /* after the last commit, from the WAL hook */
    char prefix[80]; /* "p_<scope>_"; "" for the kernel */
    bool is_unit;    /* confined for a while: the transaction is the kernel's */
    int64_t until_ms;
    char verb[8]; /* first word of the statement being compiled, upper case */
};

struct statement {
    struct session *session;
    sqlite3_stmt *stmt;
};

extern const struct hilum_database db_sqlite_table;

/* The nearest HILUM_E* of what the connection reports, recorded with its text under `what`. */
hilum_rc db_sqlite_fail(struct session *session, const char *what);

/* Confines the session to tables named p_<scope>_*. HILUM_EINVAL: not the name of a plugin. */
hilum_rc db_sqlite_confine(struct session *session, const char *scope);
/* Asks what is compiled from now on whether it may: set once, since setting it makes SQLite compile everything anew. */
void db_sqlite_watch(struct session *session);
/* hilum_database.confine. */
hilum_rc db_sqlite_confine_for(void *session, const char *scope, uint32_t ms);
/* Notes the verb of the statement that is about to be compiled, for the authorizer. */
void db_sqlite_note_verb(struct session *session, const char *sql);

#endif
