/* An object's way in: part -> pending name -> final name.
 *
 * Files, one an object: what the intake log does not take (too large, no memory, no free
 * segment, `intake = "files"`).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "intake.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Dirty pages of a large object go to the disk while it still arrives: the group's flush stays
 * short. */
enum { EARLY_FLUSH = 32 * 1024 * 1024 };

/* Not looked for where this process knows of none: a name that is nowhere is the dearest to look up, and objects in the
 * log never have one. */
static bool is_pending(struct fs *fs, const char *key)
{
    char name[FS_NAME_SIZE];
    if (atomic_load(&fs->n_named) <= 0)
        return false;
    fs_name_pending(key, name);
    return faccessat(fs->pending_fd, name, F_OK, 0) == 0;
}

/* A look and no reservation: keys are random, and the O_EXCL of the part file and the rename
 * that never replaces decide. */
static bool is_taken(struct fs *fs, const char *key)
{
    if (fs->intake != NULL) {
        pthread_mutex_lock(&fs->intake->lock);
        bool is_known = fs_entry_find(fs->intake, key) != NULL;
        pthread_mutex_unlock(&fs->intake->lock);
        if (is_known)
            return true;
    }
    return is_pending(fs, key) || faccessat(fs->objects_fd, key, F_OK, 0) == 0;
}

hilum_rc fs_part_create(struct fs *fs, struct fs_txn *txn)
{
    char name[FS_NAME_SIZE];
    fs_name_part(txn->key, name);
    txn->fd = openat(fs->pending_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    return txn->fd >= 0 ? HILUM_OK : fs_fail_errno(fs, "create", txn->key);
}

hilum_rc fs_begin(void *self, const char *key, uint64_t length_hint, void **out)
{
    struct fs *fs = self;
    (void)
        length_hint; /* posix_fallocate costs more than it saves: unwritten extents are converted */
    hilum_rc rc = fs_key_check(fs, key);
    if (rc != HILUM_OK)
        return rc;
    if (is_taken(fs, key))
        return fs_fail(fs, HILUM_EEXISTS, "is there already", key);
    struct fs_txn *txn = calloc(1, sizeof *txn);
    if (txn == NULL)
        return fs_fail(fs, HILUM_ENOMEM, "no memory", key);
    snprintf(txn->key, sizeof txn->key, "%s", key);
    txn->fd = -1;
    if (fs->intake == NULL || !fs_intake_begin(fs->intake, txn))
        rc = fs_part_create(fs, txn);
    if (rc != HILUM_OK) {
        free(txn);
        return rc;
    }
    *out = txn;
    return HILUM_OK;
}

/* Begun and not waited for; the last 32 MiB are the group's. */
static void flush_early(struct fs_txn *txn)
{
    if (txn->length - txn->flushed < EARLY_FLUSH)
        return;
    sync_file_range(txn->fd, (off_t)txn->flushed, (off_t)(txn->length - txn->flushed),
                    SYNC_FILE_RANGE_WRITE);
    txn->flushed = txn->length;
}

/* A write that failed leaves the object broken: how many of its bytes are there nobody knows. */
hilum_rc fs_append(void *self, void *handle, const void *bytes, uint64_t n)
{
    struct fs *fs = self;
    struct fs_txn *txn = handle;
    if (txn->state != FS_OPEN)
        return fs_fail(fs, HILUM_EINVAL, "append after sync or after a failure", txn->key);
    if (txn->entry != NULL) {
        hilum_rc rc = fs_intake_append(fs->intake, txn, bytes, n);
        if (rc != HILUM_OK)
            txn->state = FS_BROKEN;
        return rc;
    }
    if (!fs_write_all(txn->fd, bytes, n, txn->length)) {
        txn->state = FS_BROKEN;
        return fs_fail_errno(fs, "write", txn->key);
    }
    txn->length += n;
    flush_early(txn);
    return HILUM_OK;
}

static hilum_rc name_pending(struct fs *fs, struct fs_txn *txn)
{
    char part[FS_NAME_SIZE], pending[FS_NAME_SIZE];
    fs_name_part(txn->key, part);
    fs_name_pending(txn->key, pending);
    /* Before it is there, so that nobody overlooks it. */
    atomic_fetch_add(&fs->n_named, 1);
    if (fs_rename(fs->pending_fd, part, fs->pending_fd, pending) != 0) {
        atomic_fetch_sub(&fs->n_named, 1);
        return fs_fail_errno(fs, "rename", txn->key);
    }
    txn->state = FS_NAMED;
    return HILUM_OK;
}

/* The name comes first and the data after: fdatasync of a new file commits the journal
 * transaction that holds its name too, so that the directory's fsync finds nothing left to
 * write. A crash in between leaves a pending name without a row, which start-up erases. One at
 * a time they would cost a journal commit each; begun together the device orders them. */
static hilum_rc sync_files(struct fs *fs, void *const txns[], uint64_t n)
{
    uint64_t files = 0;
    for (uint64_t i = 0; i < n; i++) {
        struct fs_txn *txn = txns[i];
        hilum_rc rc = txn->fd >= 0 ? name_pending(fs, txn) : HILUM_OK;
        if (rc != HILUM_OK)
            return rc;
        files += txn->fd >= 0;
    }
    if (files == 0)
        return HILUM_OK;
    for (uint64_t i = 0; files > 1 && i < n; i++) {
        struct fs_txn *txn = txns[i];
        if (txn->fd >= 0) /* all under way before one is awaited */
            sync_file_range(txn->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    }
    for (uint64_t i = 0; i < n; i++) {
        struct fs_txn *txn = txns[i];
        if (txn->fd >= 0 && fdatasync(txn->fd) != 0)
            return fs_fail_errno(fs, "fdatasync", txn->key);
    }
    if (fsync(fs->pending_fd) != 0)
        return fs_fail_errno(fs, "fsync directory", "pending");
    return HILUM_OK;
}

static hilum_rc states_check(struct fs *fs, void *const txns[], uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        const struct fs_txn *txn = txns[i];
        if (txn->state != FS_OPEN)
            return fs_fail(fs, HILUM_EINVAL, "sync twice or after a failure", txn->key);
    }
    return HILUM_OK;
}

hilum_rc fs_sync(void *self, void *const txns[], uint64_t n)
{
    if (n == 0)
        return HILUM_OK;
    struct fs *fs = self;
    hilum_rc rc = states_check(fs, txns, n);
    if (rc == HILUM_OK && fs->intake != NULL)
        rc = fs_intake_sync(fs->intake, txns, n);
    if (rc == HILUM_OK)
        rc = sync_files(fs, txns, n);
    for (uint64_t i = 0; i < n; i++) {
        struct fs_txn *txn = txns[i];
        /* After a failed flush the page cache may call the pages clean: no second try may succeed.
         */
        if (rc == HILUM_OK)
            txn->state = FS_SYNCED;
        else if (txn->state == FS_OPEN)
            txn->state = FS_BROKEN;
    }
    return rc;
}

static void txn_free(struct fs_txn *txn)
{
    if (txn->fd >= 0)
        close(txn->fd);
    free(txn);
}

/* Called by commit, finish and nobody else; any thread. */
hilum_rc fs_finalise(struct fs *fs, const char *key)
{
    char pending[FS_NAME_SIZE];
    fs_name_pending(key, pending);
    for (int attempt = 0; attempt < 2; attempt++) {
        hilum_rc rc = fs_dirs_make(fs, key);
        if (rc != HILUM_OK)
            return rc;
        if (fs_rename(fs->pending_fd, pending, fs->objects_fd, key) == 0) {
            atomic_fetch_sub(&fs->n_named, 1);
            return HILUM_OK;
        }
        if (errno != ENOENT)
            break;
        if (faccessat(fs->objects_fd, key, F_OK, 0) == 0)
            return HILUM_OK; /* final already */
        /* erase may have taken the empty directory away meanwhile */
        pthread_mutex_lock(&fs->lock);
        fs->last_dir[0] = '\0';
        pthread_mutex_unlock(&fs->lock);
        errno = ENOENT;
    }
    return fs_fail_errno(fs, "rename to its final name", key);
}

/* Not synced: whichever of the two names survives a power loss, start-up finds the object. */
hilum_rc fs_commit(void *self, void *handle)
{
    struct fs *fs = self;
    struct fs_txn *txn = handle;
    if (txn->state != FS_SYNCED) {
        hilum_rc rc = fs_fail(fs, HILUM_EINVAL, "commit before sync", txn->key);
        fs_abort(self, handle);
        return rc;
    }
    hilum_rc rc = HILUM_OK;
    if (txn->entry != NULL)
        fs_intake_commit(fs->intake, txn);
    else
        rc = fs_finalise(fs, txn->key);
    txn_free(txn);
    return rc;
}

/* The file goes without a flush: after a power loss the start removes parts, and the host
 * erases pending names without rows. */
void fs_abort(void *self, void *handle)
{
    struct fs *fs = self;
    struct fs_txn *txn = handle;
    char name[FS_NAME_SIZE];
    if (txn->entry != NULL) {
        fs_intake_abort(fs->intake, txn);
        txn_free(txn);
        return;
    }
    if (txn->state == FS_NAMED || txn->state == FS_SYNCED) {
        fs_pending_unlink(fs, txn->key);
    } else {
        fs_name_part(txn->key, name);
        unlinkat(fs->pending_fd, name, 0);
    }
    txn_free(txn);
}
