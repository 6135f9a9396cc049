/* A layer over SQLite's file system: the frames of a commit go to the write-ahead log in one write instead of two a page.
 * It knows the log's layout (a head of 24 bytes before each page) and nothing of transactions.
 *
 * Two more things are done here because only here they can be: syncs of commits that need none
 * yet are held back (commit_unflushed), and a sync that fails after that is remembered as
 * `suspect`, since the kernel may have dropped the pages and would call the next sync a success.
 *
 * One connection writes the log at a time, so the fields of a file need no lock; the two flags
 * of the layer are shared by all connections of the database.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "wal.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 32 bytes of head begin the file, with the salts that frames are checked by. */
enum {
    LOG_HEAD = 32,
    FRAME_HEAD = 24, /* bytes before each page; bytes 4 to 7 say whether the commit ends here */
    /* A larger commit goes in several writes. SQLite's file system takes 17 bits of a length: of 128 KiB it writes nothing
     * and calls the disk full. */
    GATHER_MAX = 124 * 1024
};

struct db_wal_layer {
    sqlite3_vfs vfs; /* a copy of the one below but for name and xOpen */
    sqlite3_vfs *below;
    char name[40];
    atomic_bool is_unflushed; /* commits were written that a sync was not passed on for */
    atomic_bool is_suspect;   /* a sync failed over such commits */
};

/* The log as SQLite sees it; the file below follows in the same allocation. */
struct db_wal_file {
    sqlite3_file base;
    sqlite3_file *below;
    uint8_t *bytes; /* GATHER_MAX; NULL until the first write */
    int n;          /* gathered; they end at `next` */
    sqlite3_int64 next;
    struct db_wal_layer *layer;
    bool is_last; /* the last write was the head of a commit's last frame */
    bool is_held; /* syncs are not passed on */
};

static struct db_wal_file *log_of(sqlite3_file *file)
{
    return (struct db_wal_file *)(void *)file;
}

/* What was gathered is gone even if it could not be written: SQLite gives the transaction up, and the next one takes its
 * place in the log. */
static int gathered_write(struct db_wal_file *log)
{
    int n = log->n;
    log->n = 0;
    return n > 0 ? log->below->pMethods->xWrite(log->below, log->bytes, n, log->next - n)
                 : SQLITE_OK;
}

/* ---- methods of the log's file: whatever is not a write sees what was written ---------------------- */

/* Frames of a commit are not in memory any more; others are nobody's. What was gathered and
 * not written is of a transaction that was given up. */
static int log_close(sqlite3_file *file)
{
    struct db_wal_file *log = log_of(file);
    free(log->bytes);
    log->bytes = NULL;
    return log->below->pMethods->xClose(log->below);
}

static int log_read(sqlite3_file *file, void *to, int n, sqlite3_int64 at)
{
    struct db_wal_file *log = log_of(file);
    int rc = gathered_write(log);
    return rc == SQLITE_OK ? log->below->pMethods->xRead(log->below, to, n, at) : rc;
}

static bool is_commit_head(const uint8_t *head)
{
    return (head[4] | head[5] | head[6] | head[7]) != 0;
}

/* Only what follows what came before is gathered: a frame written anew in its place, or checksums, go straight. */
static bool may_gather(struct db_wal_file *log, int n, sqlite3_int64 at)
{
    if (log->bytes == NULL)
        log->bytes = malloc(GATHER_MAX);
    return log->bytes != NULL && at == log->next && n <= GATHER_MAX - log->n;
}

/* Order within a commit: frame heads and pages, the last head marked with the size of the
 * database. The index in shared memory, which readers go by, is changed by SQLite after that
 * write returns. */
static int log_write(sqlite3_file *file, const void *from, int n, sqlite3_int64 at)
{
    struct db_wal_file *log = log_of(file);
    bool was_last = log->is_last, is_gathered = may_gather(log, n, at);
    int rc = SQLITE_OK;
    log->is_last = n == FRAME_HEAD && is_commit_head(from);
    if (is_gathered) {
        memcpy(log->bytes + log->n, from, (size_t)n);
        log->n += n;
    } else {
        rc = gathered_write(log);
        if (rc == SQLITE_OK)
            rc = log->below->pMethods->xWrite(log->below, from, n, at);
    }
    log->next = at + n;
    /* After the page of a commit's last frame readers may be told of it: it has to be in the file by then. */
    return was_last && rc == SQLITE_OK ? gathered_write(log) : rc;
}

static int log_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    struct db_wal_file *log = log_of(file);
    int rc = gathered_write(log);
    return rc == SQLITE_OK ? log->below->pMethods->xTruncate(log->below, size) : rc;
}

/* Held back are syncs of commits, never that of the head of a log begun anew. SQLite syncs the
 * log before it copies it back (a checkpoint), and that sync is passed on. */
static int log_sync(sqlite3_file *file, int flags)
{
    struct db_wal_file *log = log_of(file);
    struct db_wal_layer *layer = log->layer;
    int rc = gathered_write(log);
    /* The head of a log begun anew has to be there before its frames, or a crash may mix them with old ones. */
    if (log->is_held && log->next > LOG_HEAD) {
        atomic_store(&layer->is_unflushed, true);
        return rc;
    }
    if (rc == SQLITE_OK)
        rc = log->below->pMethods->xSync(log->below, flags);
    if (rc == SQLITE_OK)
        atomic_store(&layer->is_unflushed, false);
    else if (atomic_load(&layer->is_unflushed))
        atomic_store(&layer->is_suspect, true);
    return rc;
}

static int log_size(sqlite3_file *file, sqlite3_int64 *out)
{
    struct db_wal_file *log = log_of(file);
    int rc = gathered_write(log);
    return rc == SQLITE_OK ? log->below->pMethods->xFileSize(log->below, out) : rc;
}

static int log_lock(sqlite3_file *file, int level)
{
    return log_of(file)->below->pMethods->xLock(log_of(file)->below, level);
}

static int log_unlock(sqlite3_file *file, int level)
{
    return log_of(file)->below->pMethods->xUnlock(log_of(file)->below, level);
}

static int log_is_reserved(sqlite3_file *file, int *out)
{
    return log_of(file)->below->pMethods->xCheckReservedLock(log_of(file)->below, out);
}

static int log_control(sqlite3_file *file, int what, void *arg)
{
    return log_of(file)->below->pMethods->xFileControl(log_of(file)->below, what, arg);
}

static int log_sector(sqlite3_file *file)
{
    return log_of(file)->below->pMethods->xSectorSize(log_of(file)->below);
}

static int log_device(sqlite3_file *file)
{
    return log_of(file)->below->pMethods->xDeviceCharacteristics(log_of(file)->below);
}

/* Version 1: SQLite neither maps the log nor keeps its index in it. */
static const sqlite3_io_methods log_methods = {
    .iVersion = 1,
    .xClose = log_close,
    .xRead = log_read,
    .xWrite = log_write,
    .xTruncate = log_truncate,
    .xSync = log_sync,
    .xFileSize = log_size,
    .xLock = log_lock,
    .xUnlock = log_unlock,
    .xCheckReservedLock = log_is_reserved,
    .xFileControl = log_control,
    .xSectorSize = log_sector,
    .xDeviceCharacteristics = log_device,
};

/* ---- for the session --------------------------------------------------------------------------------- */

struct db_wal_file *db_wal_of(sqlite3 *handle)
{
    sqlite3_file *file = NULL;
    sqlite3_file_control(handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file);
    return file != NULL && file->pMethods == &log_methods ? log_of(file) : NULL;
}

void db_wal_hold(struct db_wal_file *file, bool is_held)
{
    file->is_held = is_held;
}

int db_wal_flush(struct db_wal_file *file)
{
    bool is_due = atomic_load(&file->layer->is_unflushed);
    return is_due ? log_sync(&file->base, SQLITE_SYNC_NORMAL) : SQLITE_OK;
}

int db_wal_errno(struct db_wal_file *file)
{
    int number = 0;
    (void)log_control(&file->base, SQLITE_FCNTL_LAST_ERRNO, &number);
    return number;
}

bool db_wal_is_suspect(const struct db_wal_file *file)
{
    return atomic_load(&file->layer->is_suspect);
}

int db_wal_begun_anew(struct db_wal_file *file)
{
    int rc = log_sync(&file->base, SQLITE_SYNC_NORMAL);
    if (rc == SQLITE_OK)
        atomic_store(&file->layer->is_suspect, false);
    return rc;
}

/* ---- the layer ------------------------------------------------------------------------------------- */

/* Every file but the log is the file system's own. The log's file object is larger by ours in
 * front: szOsFile says so. */
static int layer_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
    struct db_wal_layer *layer = (struct db_wal_layer *)(void *)vfs;
    sqlite3_vfs *below = layer->below;
    struct db_wal_file *log = log_of(file);
    if (!(flags & SQLITE_OPEN_WAL))
        return below->xOpen(below, name, file, flags, out);
    memset(log, 0, sizeof *log);
    log->below = (sqlite3_file *)(void *)(log + 1);
    log->layer = layer;
    log->next = -1;
    int rc = below->xOpen(below, name, log->below, flags, out);
    if (log->below->pMethods != NULL) /* then it is to be closed, also after a failure */
        log->base.pMethods = &log_methods;
    return rc;
}

/* Not the default of the process: another user of SQLite is not touched. */
struct db_wal_layer *db_wal_layer_new(void)
{
    sqlite3_vfs *below = sqlite3_vfs_find(NULL);
    struct db_wal_layer *layer = below != NULL ? calloc(1, sizeof *layer) : NULL;
    if (layer == NULL)
        return NULL;
    layer->below = below;
    layer->vfs = *below;
    layer->vfs.pNext = NULL;
    layer->vfs.szOsFile = below->szOsFile + (int)sizeof(struct db_wal_file);
    layer->vfs.xOpen = layer_open;
    layer->vfs.zName = layer->name;
    snprintf(layer->name, sizeof layer->name, "hilum-%p", (void *)layer);
    if (sqlite3_vfs_register(&layer->vfs, 0) == SQLITE_OK)
        return layer;
    free(layer);
    return NULL;
}

const char *db_wal_layer_name(const struct db_wal_layer *layer)
{
    return layer->name;
}

void db_wal_layer_free(struct db_wal_layer *layer)
{
    if (layer == NULL)
        return;
    sqlite3_vfs_unregister(&layer->vfs);
    free(layer);
}
