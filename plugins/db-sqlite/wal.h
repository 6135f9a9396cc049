/* The layer between SQLite and the file system: see wal.c. SPDX-License-Identifier: Apache-2.0 */
#ifndef DB_SQLITE_WAL_H
#define DB_SQLITE_WAL_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

struct db_wal_layer;

/* Registers the layer over SQLite's default file system, under a name of its own. NULL: no memory. Any thread. */
struct db_wal_layer *db_wal_layer_new(void);
/* For sqlite3_open_v2; valid until db_wal_layer_free. */
const char *db_wal_layer_name(const struct db_wal_layer *layer);

/* The log of a connection that writes. NULL: it has none (yet). */
struct db_wal_file;
struct db_wal_file *db_wal_of(sqlite3 *handle);
/* While held, commits are written only; the next sync that is passed on flushes them too. Never held over a checkpoint:
 * that must not run ahead of the log. */
void db_wal_hold(struct db_wal_file *file, bool is_held);
/* Flushes what is not. SQLite's result. */
int db_wal_flush(struct db_wal_file *file);
/* What the system said to the last call on the log that failed; 0: nothing. */
int db_wal_errno(struct db_wal_file *file);
/* A flush failed over commits that others have seen: the kernel may call their pages clean. Nothing may be added to this log
 * before it has been copied back and begun anew. */
bool db_wal_is_suspect(const struct db_wal_file *file);
int db_wal_begun_anew(struct db_wal_file *file);
/* No connection may be open any more. NULL is fine. */
void db_wal_layer_free(struct db_wal_layer *layer);

#endif
