/* Keys to names, names to directories. SPDX-License-Identifier: Apache-2.0 */
#include "fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* EFULL, EDENIED and EIO are what puts the host into safe mode; the rest is this object's. */
static hilum_rc rc_from_errno(int number)
{
    switch (number) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return HILUM_EFULL;
    case EROFS:
    case EACCES:
    case EPERM: return HILUM_EDENIED;
    case ENOENT:
    case ENOTDIR: return HILUM_ENOTFOUND;
    case EEXIST: return HILUM_EEXISTS;
    case ENOMEM: return HILUM_ENOMEM;
    case EMFILE:
    case ENFILE: return HILUM_EAGAIN;
    default: return HILUM_EIO;
    }
}

hilum_rc fs_fail(struct fs *fs, hilum_rc rc, const char *what, const char *key)
{
    char line[512];
    snprintf(line, sizeof line, "%s %s", key, what);
    return fs->host->fail(fs->self, rc, line);
}

hilum_rc fs_fail_errno(struct fs *fs, const char *what, const char *key)
{
    int number = errno;
    char line[512];
    snprintf(line, sizeof line, "%s %s below %s: %s", what, key, fs->conf->root, strerror(number));
    return fs->host->fail(fs->self, rc_from_errno(number), line);
}

/* No '+', which stands for '/' in the pending folder, and nothing a shell or another file
 * system would read otherwise. */
static bool is_key_byte(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           strchr("._/-", c) != NULL;
}

/* An empty or dot component would be a second name of another key's file. */
static bool is_component(const char *at)
{
    size_t n = strcspn(at, "/");
    return n > 0 && !(n == 1 && at[0] == '.');
}

/* Keys come from the host and from its catalogue, which may have been tampered with: no path
 * of it may leave the tree. */
hilum_rc fs_key_check(struct fs *fs, const char *key)
{
    size_t n = key != NULL ? strnlen(key, FS_KEY_MAX + 1) : 0;
    if (n == 0 || n > FS_KEY_MAX)
        return fs->host->fail(fs->self, HILUM_EINVAL, "key: expected 1 to 200 bytes");
    if (strstr(key, "..") != NULL || !is_component(key))
        return fs->host->fail(fs->self, HILUM_EINVAL, "key: empty, '.' or '..' component");
    for (size_t i = 0; i < n; i++) {
        if (!is_key_byte(key[i]))
            return fs->host->fail(fs->self, HILUM_EINVAL, "key: byte outside [A-Za-z0-9._/-]");
        if (key[i] == '/' && !is_component(key + i + 1))
            return fs->host->fail(fs->self, HILUM_EINVAL, "key: empty, '.' or '..' component");
    }
    return HILUM_OK;
}

static void flatten(const char *key, char *out)
{
    size_t i = 0;
    for (; i < FS_KEY_MAX && key[i] != '\0'; i++)
        out[i] = (char)(key[i] == '/' ? '+' : key[i]);
    out[i] = '\0';
}

void fs_name_pending(const char *key, char out[FS_NAME_SIZE])
{
    flatten(key, out);
}

void fs_name_part(const char *key, char out[FS_NAME_SIZE])
{
    out[0] = '+';
    flatten(key, out + 1);
}

void fs_name_to_key(const char *name, char out[FS_NAME_SIZE])
{
    size_t i = 0;
    for (; i < FS_NAME_SIZE - 1 && name[i] != '\0'; i++)
        out[i] = (char)(name[i] == '+' ? '/' : name[i]);
    out[i] = '\0';
}

int fs_pending_unlink(struct fs *fs, const char *key)
{
    char pending[FS_NAME_SIZE];
    fs_name_pending(key, pending);
    if (unlinkat(fs->pending_fd, pending, 0) != 0)
        return -1;
    atomic_fetch_sub(&fs->n_named, 1);
    return 0;
}

static hilum_rc dir_sync(struct fs *fs, const char *path)
{
    int fd =
        openat(fs->objects_fd, path[0] != '\0' ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fs_fail_errno(fs, "open directory", path);
    hilum_rc rc = fsync(fd) == 0 ? HILUM_OK : fs_fail_errno(fs, "fsync directory", path);
    close(fd);
    return rc;
}

/* `path` is cut at `end`; its parent is path up to the slash before. One that is there already
 * was synced by who made it, this process or an earlier one. */
static hilum_rc dir_make(struct fs *fs, char *path)
{
    if (mkdirat(fs->objects_fd, path, 0750) != 0)
        return errno == EEXIST ? HILUM_OK : fs_fail_errno(fs, "mkdir", path);
    char *slash = strrchr(path, '/');
    if (slash == NULL)
        return dir_sync(fs, "");
    *slash = '\0';
    hilum_rc rc = dir_sync(fs, path);
    *slash = '/';
    return rc;
}

hilum_rc fs_dir_sync_of(struct fs *fs, const char *key)
{
    char path[FS_KEY_MAX + 1];
    const char *slash = strrchr(key, '/');
    size_t n = slash != NULL ? (size_t)(slash - key) : 0;
    memcpy(path, key, n);
    path[n] = '\0';
    return dir_sync(fs, path);
}

/* A directory made and not synced would take its committed files with it when the power goes,
 * so each new one is synced in its parent; the last directory is remembered, since the host's
 * keys follow the clock. With the lock over the I/O: two threads in a new minute make it once,
 * and the second relies on its durability. */
hilum_rc fs_dirs_make(struct fs *fs, const char *key)
{
    const char *slash = strrchr(key, '/');
    if (slash == NULL)
        return HILUM_OK;
    char path[FS_KEY_MAX + 1];
    size_t n = (size_t)(slash - key);
    memcpy(path, key, n);
    path[n] = '\0';

    pthread_mutex_lock(&fs->lock);
    hilum_rc rc = HILUM_OK;
    if (strcmp(fs->last_dir, path) != 0) {
        for (size_t i = 1; i <= n && rc == HILUM_OK; i++) {
            if (key[i] != '/')
                continue;
            path[i] = '\0';
            rc = dir_make(fs, path);
            if (i < n)
                path[i] = '/';
        }
        if (rc == HILUM_OK)
            memcpy(fs->last_dir, path, n + 1);
    }
    pthread_mutex_unlock(&fs->lock);
    return rc;
}

int fs_rename(int from_fd, const char *from, int to_fd, const char *to)
{
    if (renameat2(from_fd, from, to_fd, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    /* A file system without RENAME_NOREPLACE (some network ones): link does not replace either. */
    if (linkat(from_fd, from, to_fd, to, 0) != 0)
        return -1;
    return unlinkat(from_fd, from, 0);
}

bool fs_write_all(int fd, const void *bytes, uint64_t n, uint64_t at)
{
    const char *p = bytes;
    while (n > 0) {
        size_t piece = n > (1u << 30) ? 1u << 30 : (size_t)n;
        ssize_t put = pwrite(fd, p, piece, (off_t)at);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0) {
            errno = put == 0 ? ENOSPC : errno;
            return false;
        }
        p += put;
        at += (uint64_t)put;
        n -= (uint64_t)put;
    }
    return true;
}
