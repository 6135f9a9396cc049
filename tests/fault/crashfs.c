/* crashfs BACKING MOUNT LOG: a FUSE file system that passes everything through and records every change and
 * every sync in order, so that replay.py can build what a disk may hold after power was cut at any point.
 * Knows nothing of Hilum. SPDX-License-Identifier: Apache-2.0 */
#define FUSE_USE_VERSION 31
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Records of the log; replay.py has the same numbers. */
enum { CREATE = 1, WRITE, TRUNCATE, RENAME, UNLINK, MKDIR, RMDIR, FSYNC, FSYNCDIR };

struct head {
    uint32_t op, path_length, to_length, reserved;
    uint64_t offset, size; /* size: of the data that follows; of the file for TRUNCATE (no data) */
};

/* The mount's own state: fuse_get_context()->private_data. */
struct recorder {
    char backing[2048];
    FILE *log;
    pthread_mutex_t lock;
};

static struct recorder *recorder(void)
{
    return fuse_get_context()->private_data;
}

static void record(uint32_t op, const char *path, const char *to, uint64_t offset, const void *data,
                   uint64_t size)
{
    struct recorder *r = recorder();
    struct head head = {.op = op, .offset = offset, .size = size};
    if (!path)
        return; /* unlinked while open: nothing a crash could bring back */
    head.path_length = (uint32_t)strlen(path);
    head.to_length = to ? (uint32_t)strlen(to) : 0;
    pthread_mutex_lock(&r->lock);
    fwrite(&head, sizeof head, 1, r->log);
    fwrite(path, 1, head.path_length, r->log);
    fwrite(to ? to : "", 1, head.to_length, r->log);
    if (data)
        fwrite(data, 1, size, r->log);
    fflush(r->log);
    pthread_mutex_unlock(&r->lock);
}

static char *real(const char *path, char out[4096])
{
    snprintf(out, 4096, "%s%s", recorder()->backing, path);
    return out;
}

static int result(int value)
{
    return value < 0 ? -errno : 0;
}

static void *fs_init(struct fuse_conn_info *conn, struct fuse_config *config)
{
    (void)conn;
    config->hard_remove = 1;
    config->use_ino = 1;
    config->attr_timeout = config->entry_timeout = 0;
    return recorder();
}

static int fs_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
    char p[4096];
    return result(fi ? fstat((int)fi->fh, st) : lstat(real(path, p), st));
}

static int fs_readdir(const char *path, void *buf, fuse_fill_dir_t fill, off_t offset,
                      struct fuse_file_info *fi, enum fuse_readdir_flags flags)
{
    char p[4096];
    DIR *dir = opendir(real(path, p));
    (void)offset, (void)fi, (void)flags;
    if (!dir)
        return -errno;
    for (struct dirent *e; (e = readdir(dir));)
        fill(buf, e->d_name, NULL, 0, 0);
    closedir(dir);
    return 0;
}

static int fs_create(const char *path, mode_t mode, struct fuse_file_info *fi)
{
    char p[4096];
    int existed = access(real(path, p), F_OK) == 0;
    int fd = open(p, (fi->flags & ~O_DIRECT) | O_CREAT, mode);
    if (fd < 0)
        return -errno;
    fi->fh = (uint64_t)fd;
    if (!existed)
        record(CREATE, path, NULL, 0, NULL, 0);
    return 0;
}

static int fs_open(const char *path, struct fuse_file_info *fi)
{
    char p[4096];
    int fd = open(real(path, p), fi->flags & ~(O_DIRECT | O_CREAT | O_EXCL));
    if (fd < 0)
        return -errno;
    fi->fh = (uint64_t)fd;
    if (fi->flags & O_TRUNC)
        record(TRUNCATE, path, NULL, 0, NULL, 0);
    return 0;
}

static int fs_read(const char *path, char *buf, size_t size, off_t offset,
                   struct fuse_file_info *fi)
{
    (void)path;
    ssize_t n = pread((int)fi->fh, buf, size, offset);
    return n < 0 ? -errno : (int)n;
}

static int fs_write(const char *path, const char *buf, size_t size, off_t offset,
                    struct fuse_file_info *fi)
{
    ssize_t n = pwrite((int)fi->fh, buf, size, offset);
    if (n < 0)
        return -errno;
    record(WRITE, path, NULL, (uint64_t)offset, buf, (uint64_t)n);
    return (int)n;
}

static int fs_truncate(const char *path, off_t size, struct fuse_file_info *fi)
{
    char p[4096];
    int rc = result(fi ? ftruncate((int)fi->fh, size) : truncate(real(path, p), size));
    if (rc == 0)
        record(TRUNCATE, path, NULL, 0, NULL, (uint64_t)size);
    return rc;
}

static int fs_fallocate(const char *path, int mode, off_t offset, off_t length,
                        struct fuse_file_info *fi)
{
    struct stat st;
    if (mode != 0)
        return -EOPNOTSUPP;
    int failed = posix_fallocate((int)fi->fh, offset, length);
    if (failed)
        return -failed;
    if (fstat((int)fi->fh, &st) == 0)
        record(TRUNCATE, path, NULL, 0, NULL, (uint64_t)st.st_size);
    return 0;
}

static int fs_rename(const char *from, const char *to, unsigned flags)
{
    char a[4096], b[4096];
    if (flags & ~(unsigned)RENAME_NOREPLACE)
        return -EINVAL;
    int rc = result(renameat2(AT_FDCWD, real(from, a), AT_FDCWD, real(to, b), flags));
    if (rc == 0)
        record(RENAME, from, to, 0, NULL, 0);
    return rc;
}

static int fs_unlink(const char *path)
{
    char p[4096];
    int rc = result(unlink(real(path, p)));
    if (rc == 0)
        record(UNLINK, path, NULL, 0, NULL, 0);
    return rc;
}

static int fs_mkdir(const char *path, mode_t mode)
{
    char p[4096];
    int rc = result(mkdir(real(path, p), mode));
    if (rc == 0)
        record(MKDIR, path, NULL, 0, NULL, 0);
    return rc;
}

static int fs_rmdir(const char *path)
{
    char p[4096];
    int rc = result(rmdir(real(path, p)));
    if (rc == 0)
        record(RMDIR, path, NULL, 0, NULL, 0);
    return rc;
}

static int fs_fsync(const char *path, int is_data, struct fuse_file_info *fi)
{
    (void)is_data,
        (void)fi; /* the replay decides what was durable: the backing disk need not sync */
    record(FSYNC, path, NULL, 0, NULL, 0);
    return 0;
}

static int fs_fsyncdir(const char *path, int is_data, struct fuse_file_info *fi)
{
    (void)is_data, (void)fi;
    record(FSYNCDIR, path, NULL, 0, NULL, 0);
    return 0;
}

static int fs_release(const char *path, struct fuse_file_info *fi)
{
    (void)path;
    return result(close((int)fi->fh));
}

static int fs_statfs(const char *path, struct statvfs *st)
{
    char p[4096];
    return result(statvfs(real(path, p), st));
}

static int fs_chmod(const char *path, mode_t mode, struct fuse_file_info *fi)
{
    char p[4096];
    (void)fi;
    return result(chmod(real(path, p), mode));
}

static int fs_utimens(const char *path, const struct timespec times[2], struct fuse_file_info *fi)
{
    char p[4096];
    (void)fi;
    return result(utimensat(AT_FDCWD, real(path, p), times, 0));
}

static int fs_mknod(const char *path, mode_t mode, dev_t device)
{
    char p[4096];
    return result(mknod(real(path, p), mode, device)); /* sockets: not part of what must survive */
}

int main(int argc, char **argv)
{
    static const struct fuse_operations operations = {
        .init = fs_init,
        .getattr = fs_getattr,
        .readdir = fs_readdir,
        .create = fs_create,
        .open = fs_open,
        .read = fs_read,
        .write = fs_write,
        .truncate = fs_truncate,
        .fallocate = fs_fallocate,
        .rename = fs_rename,
        .unlink = fs_unlink,
        .mkdir = fs_mkdir,
        .rmdir = fs_rmdir,
        .fsync = fs_fsync,
        .fsyncdir = fs_fsyncdir,
        .release = fs_release,
        .statfs = fs_statfs,
        .chmod = fs_chmod,
        .utimens = fs_utimens,
        .mknod = fs_mknod,
    };
    struct recorder r = {.lock = PTHREAD_MUTEX_INITIALIZER};
    if (argc != 4) {
        fprintf(stderr, "usage: crashfs BACKING MOUNT LOG\n");
        return 2;
    }
    snprintf(r.backing, sizeof r.backing, "%s", argv[1]);
    r.log = fopen(argv[3], "wb");
    if (!r.log) {
        perror(argv[3]);
        return 1;
    }
    char *args[] = {argv[0], argv[2], "-f", "-s", NULL};
    return fuse_main(4, args, &operations, &r);
}
