/* Objects that are there: reading, erasing, settling. SPDX-License-Identifier: Apache-2.0 */
#include "intake.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* final, then pending, then final again: commit renames between two looks. -1 with errno.
 * O_NOFOLLOW: a link in the place of an object is none. */
static int object_open(struct fs *fs, const char *key, uint32_t *flags)
{
    char pending[FS_NAME_SIZE];
    fs_name_pending(key, pending);
    *flags = 0;
    int fd = openat(fs->objects_fd, key, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 || errno != ENOENT)
        return fd;
    fd = openat(fs->pending_fd, pending, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0) {
        *flags = HILUM_OBJECT_PENDING;
        return fd;
    }
    return errno == ENOENT ? openat(fs->objects_fd, key, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
}

/* Opens a regular file; a key that names a directory of other keys is no object. */
static hilum_rc object_find(struct fs *fs, const char *key, int *fd, struct hilum_object_info *info)
{
    uint32_t flags = 0;
    struct stat st;
    hilum_rc rc = fs_key_check(fs, key);
    if (rc != HILUM_OK)
        return rc;
    *fd = object_open(fs, key, &flags);
    if (*fd < 0)
        return fs_fail_errno(fs, "open", key);
    if (fstat(*fd, &st) != 0) {
        rc = fs_fail_errno(fs, "stat", key);
    } else if (!S_ISREG(st.st_mode)) {
        rc = fs_fail(fs, HILUM_ENOTFOUND, "is a directory, not an object", key);
    } else if (info != NULL) {
        info->size = sizeof *info;
        info->flags = flags;
        info->length = (uint64_t)st.st_size;
        info->mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    }
    if (rc != HILUM_OK)
        close(*fd);
    return rc;
}

hilum_rc fs_stat(void *self, const char *key, struct hilum_object_info *info)
{
    struct fs *fs = self;
    int fd = -1;
    if (fs->intake != NULL && fs_intake_stat(fs->intake, key, info) == HILUM_OK)
        return HILUM_OK;
    hilum_rc rc = object_find(fs, key, &fd, info);
    if (rc == HILUM_OK)
        close(fd);
    return rc;
}

static hilum_rc read_all(struct fs *fs, int fd, const char *key, uint64_t at, void *dst, uint64_t n,
                         uint64_t *got)
{
    while (*got < n) {
        uint64_t want = n - *got > (1u << 30) ? 1u << 30 : n - *got;
        ssize_t r = pread(fd, (char *)dst + *got, (size_t)want, (off_t)(at + *got));
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return fs_fail_errno(fs, "read", key);
        if (r == 0)
            break;
        *got += (uint64_t)r;
    }
    return HILUM_OK;
}

/* A look-up a call; the host maps large objects instead (open_fd). */
hilum_rc fs_read(void *self, const char *key, uint64_t at, void *dst, uint64_t n, uint64_t *got)
{
    struct fs *fs = self;
    int fd = -1;
    *got = 0;
    hilum_rc rc =
        fs->intake != NULL ? fs_intake_read(fs->intake, key, at, dst, n, got) : HILUM_EAGAIN;
    if (rc != HILUM_EAGAIN)
        return rc;
    rc = object_find(fs, key, &fd, NULL);
    if (rc != HILUM_OK)
        return rc;
    if (at <= INT64_MAX)
        rc = read_all(fs, fd, key, at, dst, n, got);
    close(fd);
    return rc;
}

/* The file may be erased while it is mapped: its pages live until the last map is gone. */
hilum_rc fs_open_fd(void *self, const char *key, int32_t *fd, uint64_t *offset)
{
    struct fs *fs = self;
    *offset = 0;
    /* A segment is written over once it is cut, which a descriptor given away would not notice. */
    if (fs->intake != NULL && fs_intake_stat(fs->intake, key, NULL) == HILUM_OK)
        return fs_fail(fs, HILUM_EUNSUP, "is still in the intake log: read it", key);
    return object_find(fs, key, fd, NULL);
}

/* Takes away directories that became empty, so that an archive that moved on leaves no husks. */
static void dirs_prune(struct fs *fs, const char *key)
{
    char path[FS_KEY_MAX + 1];
    snprintf(path, sizeof path, "%s", key);
    pthread_mutex_lock(&fs->lock);
    for (char *slash = strrchr(path, '/'); slash != NULL; slash = strrchr(path, '/')) {
        *slash = '\0';
        if (strcmp(path, fs->last_dir) == 0 || unlinkat(fs->objects_fd, path, AT_REMOVEDIR) != 0)
            break;
    }
    pthread_mutex_unlock(&fs->lock);
}

/* Not flushed: an object that comes back after a power loss has no row, and fsck tells it. */
hilum_rc fs_erase(void *self, const char *key)
{
    struct fs *fs = self;
    hilum_rc rc = fs_key_check(fs, key);
    if (rc != HILUM_OK)
        return rc;
    if (fs->intake != NULL && fs_intake_erase(fs->intake, key) == HILUM_OK)
        return HILUM_OK;
    if (fs_pending_unlink(fs, key) == 0)
        return HILUM_OK;
    if (errno != ENOENT || unlinkat(fs->objects_fd, key, 0) != 0) {
        errno = errno == EISDIR ? ENOENT : errno;
        return fs_fail_errno(fs, "unlink", key);
    }
    dirs_prune(fs, key);
    return HILUM_OK;
}

/* Idempotent, as a start may be cut short and run again. */
hilum_rc fs_finish(void *self, const char *key, int32_t keep)
{
    struct fs *fs = self;
    hilum_rc rc = fs_key_check(fs, key);
    if (rc != HILUM_OK)
        return rc;
    if (fs->intake != NULL && fs_intake_finish(fs->intake, key, keep) == HILUM_OK)
        return HILUM_OK;
    if (keep)
        return fs_finalise(fs, key);
    if (fs_pending_unlink(fs, key) != 0 && errno != ENOENT)
        return fs_fail_errno(fs, "unlink", key);
    return HILUM_OK;
}

/* f_bavail, what is left to others than root. */
hilum_rc fs_space(void *self, uint64_t *available, uint64_t *total)
{
    struct fs *fs = self;
    struct statvfs vfs;
    if (fstatvfs(fs->root_fd, &vfs) != 0)
        return fs_fail_errno(fs, "statvfs", ".");
    *available = (uint64_t)vfs.f_bavail * vfs.f_frsize;
    *total = (uint64_t)vfs.f_blocks * vfs.f_frsize;
    return HILUM_OK;
}
