/* Listing of final and of pending objects.
 *
 * A listing is no snapshot: what comes or goes meanwhile may be told or not, but nothing that
 * is there all the time is left out or told twice. The log is listed first, since an object
 * may become a file, and never the other way.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "intake.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One path, written over: its length is `at` at each depth. */
struct walk {
    struct fs *fs;
    const char *prefix;
    hilum_key_cb each;
    void *arg;
    const struct fs_listed *listed; /* told already, from the intake log; sorted */
    size_t n_listed;
    char path[FS_KEY_MAX + 2]; /* of the entry at hand, below objects/ */
};

static hilum_rc info_of(struct fs *fs, int dir_fd, const char *name, struct stat *st,
                        struct hilum_object_info *info)
{
    if (fstatat(dir_fd, name, st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? HILUM_ENOTFOUND : fs_fail_errno(fs, "stat", name);
    *info = (struct hilum_object_info){
        .size = sizeof *info,
        .length = (uint64_t)st->st_size,
        .mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec,
    };
    return HILUM_OK;
}

/* Could a key below or at `path` begin with the prefix? */
static bool may_match(const struct walk *walk, size_t n)
{
    size_t prefix = strlen(walk->prefix);
    return strncmp(walk->path, walk->prefix, n < prefix ? n : prefix) == 0;
}

static hilum_rc walk_dir(struct walk *walk, int dir_fd, size_t at);

static int key_order(const void *key, const void *listed)
{
    return strcmp(key, ((const struct fs_listed *)listed)->key);
}

/* Was in the log when the listing began and became a file since. */
static bool is_listed(const struct walk *walk)
{
    return walk->n_listed > 0 && bsearch(walk->path, walk->listed, walk->n_listed,
                                         sizeof *walk->listed, key_order) != NULL;
}

/* Objects in the intake log; *out stays for is_listed. */
static hilum_rc log_list(struct fs *fs, bool is_final, const char *prefix, struct walk *walk,
                         struct fs_listed **out)
{
    *out = NULL;
    if (fs->intake == NULL)
        return HILUM_OK;
    hilum_rc rc = fs_intake_list(fs->intake, is_final, out, &walk->n_listed);
    walk->listed = *out;
    for (size_t i = 0; rc == HILUM_OK && i < walk->n_listed; i++) {
        if (strncmp((*out)[i].key, prefix, strlen(prefix)) == 0)
            rc = walk->each(walk->arg, (*out)[i].key, &(*out)[i].info);
    }
    return rc;
}

/* Links are not followed: what is told is in the tree. */
static hilum_rc walk_entry(struct walk *walk, int dir_fd, const char *name, size_t at)
{
    size_t n = strlen(name);
    struct stat st;
    struct hilum_object_info info;
    if (at + n > FS_KEY_MAX)
        return HILUM_OK; /* no object of ours has such a name */
    memcpy(walk->path + at, name, n + 1);
    if (!may_match(walk, at + n))
        return HILUM_OK;
    hilum_rc rc = info_of(walk->fs, dir_fd, name, &st, &info);
    if (rc != HILUM_OK)
        return rc == HILUM_ENOTFOUND ? HILUM_OK : rc;
    if (S_ISREG(st.st_mode)) {
        bool is_wanted = at + n >= strlen(walk->prefix) && !is_listed(walk);
        return is_wanted ? walk->each(walk->arg, walk->path, &info) : HILUM_OK;
    }
    if (!S_ISDIR(st.st_mode))
        return HILUM_OK;
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? HILUM_OK : fs_fail_errno(walk->fs, "open directory", walk->path);
    walk->path[at + n] = '/';
    return walk_dir(walk, fd, at + n + 1);
}

/* Recursion is as deep as a key has components: at most 100. Closes dir_fd. Folders are read
 * as they are: the order is the file system's. */
static hilum_rc walk_dir(struct walk *walk, int dir_fd, size_t at)
{
    DIR *dir = fdopendir(dir_fd);
    if (dir == NULL) {
        close(dir_fd);
        return fs_fail_errno(walk->fs, "open directory", walk->path);
    }
    hilum_rc rc = HILUM_OK;
    struct dirent *entry = NULL;
    while (rc == HILUM_OK && (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            rc = walk_entry(walk, dirfd(dir), entry->d_name, at);
    }
    closedir(dir);
    return rc;
}

hilum_rc fs_list(void *self, const char *prefix, hilum_key_cb each, void *arg)
{
    struct walk walk = {.fs = self, .prefix = prefix, .each = each, .arg = arg};
    struct fs_listed *listed = NULL;
    hilum_rc rc = log_list(walk.fs, true, prefix, &walk, &listed);
    int fd =
        rc == HILUM_OK ? openat(walk.fs->objects_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (rc == HILUM_OK && fd < 0)
        rc = fs_fail_errno(walk.fs, "open directory", "objects");
    if (rc == HILUM_OK)
        rc = walk_dir(&walk, fd, 0);
    free(listed);
    return rc;
}

/* Calls each(name) for the names of the pending directory. */
static hilum_rc pending_names(struct fs *fs,
                              hilum_rc (*each)(void *arg, struct fs *fs, const char *name),
                              void *arg)
{
    int fd = openat(fs->pending_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        hilum_rc rc = fs_fail_errno(fs, "open directory", "pending");
        if (fd >= 0)
            close(fd);
        return rc;
    }
    hilum_rc rc = HILUM_OK;
    struct dirent *entry = NULL;
    while (rc == HILUM_OK && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != '.' || strlen(entry->d_name) > 2)
            rc = each(arg, fs, entry->d_name);
    }
    closedir(dir);
    return rc;
}

static hilum_rc pending_each(void *arg, struct fs *fs, const char *name)
{
    const struct walk *walk = arg;
    char key[FS_NAME_SIZE];
    struct stat st;
    struct hilum_object_info info;
    if (name[0] == '+' || strlen(name) > FS_KEY_MAX)
        return HILUM_OK;
    hilum_rc rc = info_of(fs, fs->pending_fd, name, &st, &info);
    if (rc != HILUM_OK)
        return rc == HILUM_ENOTFOUND ? HILUM_OK : rc;
    if (!S_ISREG(st.st_mode))
        return HILUM_OK;
    info.flags = HILUM_OBJECT_PENDING;
    fs_name_to_key(name, key);
    return walk->each(walk->arg, key, &info);
}

hilum_rc fs_pending(void *self, hilum_key_cb each, void *arg)
{
    struct walk walk = {.fs = self, .each = each, .arg = arg};
    struct fs_listed *listed = NULL;
    hilum_rc rc = log_list(walk.fs, false, "", &walk, &listed);
    free(listed);
    return rc == HILUM_OK ? pending_names(self, pending_each, &walk) : rc;
}

static hilum_rc part_clear(void *arg, struct fs *fs, const char *name)
{
    (void)arg;
    atomic_fetch_add(&fs->n_named, name[0] != '+');
    if (name[0] == '+' && unlinkat(fs->pending_fd, name, 0) != 0 && errno != ENOENT &&
        errno != EROFS)
        return fs_fail_errno(fs, "unlink", name);
    return HILUM_OK;
}

/* At the start, under the tree's lock: whatever has a '+' belongs to a process that is gone; the others are counted. */
hilum_rc fs_parts_clear(struct fs *fs)
{
    return pending_names(fs, part_clear, NULL);
}
