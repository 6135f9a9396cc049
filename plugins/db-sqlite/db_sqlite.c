/* Plugin db-sqlite: the capability `database` in one SQLite file. This file is the descriptor and
 * its options; it knows nothing of tables. SPDX-License-Identifier: Apache-2.0 */
#include "db_sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SAVEPOINT_MEMORY = 2 * 1024 * 1024 };

/* mmap is off by default because a page that cannot be read is a signal and not an error: a
 * failing disk would end the server instead of failing a query. */
static const struct hilum_option options[] = {
    {"path", HILUM_OPT_PATH, offsetof(struct conf, path), "catalog.db", NULL,
     "The database file; its -wal and -shm files lie beside it."},
    {"cache_size", HILUM_OPT_BYTES, offsetof(struct conf, cache_size), "32MiB", "1MiB..16GiB",
     "Page cache of the writing session; each reading session has a quarter of it."},
    {"mmap_size", HILUM_OPT_BYTES, offsetof(struct conf, mmap_size), "0", "0..1TiB",
     "How much of the file readers map: quicker by a little, but a failing disk then ends the "
     "server."},
    {"wal_limit", HILUM_OPT_BYTES, offsetof(struct conf, wal_limit), "16MiB", "1MiB..4GiB",
     "The write-ahead log is copied back when it has grown to this, or when the server is idle."},
    {"busy_timeout", HILUM_OPT_MSEC, offsetof(struct conf, busy_timeout), "1s", "0ms..60s",
     "How long to wait for another process that holds the file before saying so."},
    {NULL, 0, 0, NULL, NULL, NULL},
};

/* SQLite would create the file with the process's umask; names of patients are nobody else's. The
 * -wal and -shm files inherit this mode. A read-only medium is no fault here: opening tells. */
static hilum_rc file_create(struct db *db)
{
    int fd = open(db->conf->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    if (fd >= 0 || errno == EROFS || errno == EACCES)
        return HILUM_OK;
    char why[512];
    snprintf(why, sizeof why, "open database %s: %s: check option path of db-sqlite",
             db->conf->path, strerror(errno));
    return db->host->fail(db->self, HILUM_EIO, why);
}

static void plugin_fini(void *state)
{
    struct db *db = state;
    db_wal_layer_free(db->layer);
    free(db);
}

/* The database itself is opened by each session: a file that is missing or broken is told to
 * the record, which knows how to say so. */
static hilum_rc plugin_init(const struct hilum_host *host, hilum_self *self, const void *conf,
                            void **state)
{
    struct db *db = calloc(1, sizeof *db);
    if (!db)
        return host->fail(self, HILUM_ENOMEM, "db-sqlite: out of memory");
    /* Counting memory takes a lock at every allocation; nobody asks for the count. Too late is no fault. */
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    /* What a savepoint may have to undo stays in memory so far; beyond 64 KiB, as shipped, it was a file made and erased a commit. */
    sqlite3_config(SQLITE_CONFIG_STMTJRNL_SPILL, SAVEPOINT_MEMORY);
    db->host = host;
    db->self = self;
    db->conf = conf;
    db->layer = db_wal_layer_new();
    hilum_rc rc =
        db->layer ? file_create(db) : host->fail(self, HILUM_ENOMEM, "db-sqlite: out of memory");
    if (rc == HILUM_OK)
        rc = host->provide(self, &db_sqlite_table.cap, db);
    if (rc != HILUM_OK) {
        plugin_fini(db);
        return rc;
    }
    *state = db;
    return HILUM_OK;
}

static const char *const provides[] = {"database:sqlite", NULL};

/* RESTART: one process writes the file, by one connection. */
static const struct hilum_plugin plugin = {
    .magic = HILUM_MAGIC,
    .size = sizeof plugin,
    .abi_major = HILUM_ABI_MAJOR,
    .abi_minor = 0,
    .conf_size = sizeof(struct conf),
    .id = "db-sqlite",
    .version = "0.1.0",
    .vendor = "Hilum",
    .licence = "Apache-2.0",
    .options = options,
    .init = plugin_init,
    .fini = plugin_fini,
    .swap = HILUM_SWAP_RESTART,
    .provides = provides,
};

const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major, uint16_t host_minor)
{
    (void)host_minor;
    return host_major == HILUM_ABI_MAJOR ? &plugin : NULL;
}
