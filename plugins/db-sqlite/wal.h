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
/* No connection may be open any more. NULL is fine. */
void db_wal_layer_free(struct db_wal_layer *layer);

#endif
