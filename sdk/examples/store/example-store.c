/* example-store: one file an object in one folder; '/' of a key is written '%'. What is being written ends in
 * '~', what is pending in '#'. It knows the SDK only. SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "hilum/host.h"
#include "hilum/store.h"

enum { NAME = 256 };

/* Filled in by the host before init; read-only. */
struct conf {
    const char *root;
};

struct store {
    const struct hilum_host *host;
    hilum_self *self;
    int folder; /* open for *at() calls and for flushing names */
};

struct txn {
    int fd, is_synced;
    hilum_rc broken; /* what failed once is never taken as durable */
    char key[NAME];
};

/* Records why for the log and the administrator; the code is for the host. */
static hilum_rc failed(const struct store *store, int number)
{
    char why[128];
    hilum_rc rc = HILUM_EIO;
    if (number == ENOENT)
        return HILUM_ENOTFOUND; /* an answer, not a failure */
    if (number == EEXIST)
        rc = HILUM_EEXISTS;
    else if (number == ENOSPC || number == EDQUOT)
        rc = HILUM_EFULL;
    else if (number == EROFS || number == EACCES)
        rc = HILUM_EDENIED;
    snprintf(why, sizeof why, "folder of objects: %s", strerror(number));
    return store->host->fail(store->self, rc, why);
}

/* hilum/store.h says which; no folder of ours is ever left, whatever the caller sends. */
static int is_key(const char *key)
{
    size_t n = strlen(key);
    if (n < 1 || n > 200 ||
        strspn(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                    "0123456789._/-") != n)
        return 0;
    if (key[0] == '/' || key[n - 1] == '/' || strstr(key, "//") || strstr(key, ".."))
        return 0;
    return strcmp(key, ".") != 0 && strncmp(key, "./", 2) != 0 && !strstr(key, "/./");
}

static void name_of(const char *key, const char *end, char out[NAME])
{
    snprintf(out, NAME, "%s%s", key, end);
    for (char *c = out; *c; c++)
        if (*c == '/')
            *c = '%';
}

static int is_there(const struct store *store, const char *key, const char *end)
{
    char name[NAME];
    name_of(key, end, name);
    return faccessat(store->folder, name, F_OK, 0) == 0;
}

static hilum_rc move(const struct store *store, const char *key, const char *from, const char *to)
{
    char old_name[NAME], new_name[NAME];
    name_of(key, from, old_name);
    name_of(key, to, new_name);
    return renameat(store->folder, old_name, store->folder, new_name) == 0 ? HILUM_OK
                                                                           : failed(store, errno);
}

static hilum_rc erase_name(const struct store *store, const char *key, const char *end)
{
    char name[NAME];
    name_of(key, end, name);
    return unlinkat(store->folder, name, 0) == 0 ? HILUM_OK : failed(store, errno);
}

static hilum_rc begin(void *instance, const char *key, uint64_t length_hint, void **out)
{
    struct store *store = instance;
    char name[NAME];
    (void)length_hint;
    if (!is_key(key))
        return HILUM_EINVAL;
    if (is_there(store, key, "") || is_there(store, key, "#"))
        return HILUM_EEXISTS;
    struct txn *txn = calloc(1, sizeof *txn);
    if (!txn)
        return HILUM_ENOMEM;
    snprintf(txn->key, NAME, "%s", key);
    name_of(key, "~", name);
    txn->fd = openat(store->folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (txn->fd < 0) {
        free(txn);
        return failed(store, errno);
    }
    *out = txn;
    return HILUM_OK;
}

static hilum_rc append(void *instance, void *opened, const void *bytes, uint64_t n)
{
    const struct store *store = instance;
    struct txn *txn = opened;
    for (uint64_t done = 0; done < n && txn->broken == HILUM_OK;) {
        ssize_t m = write(txn->fd, (const char *)bytes + done, (size_t)(n - done));
        if (m < 0 && errno != EINTR)
            txn->broken = failed(store, errno);
        done += m > 0 ? (uint64_t)m : 0;
    }
    return txn->broken;
}

/* Data first, then the names of all of them with one flush: after this a power loss takes nothing. */
static hilum_rc sync_all(void *instance, void *const txns[], uint64_t n)
{
    const struct store *store = instance;
    hilum_rc rc = HILUM_OK;
    for (uint64_t i = 0; rc == HILUM_OK && i < n; i++) {
        struct txn *txn = txns[i];
        if (txn->broken == HILUM_OK && fdatasync(txn->fd) != 0)
            txn->broken = failed(store, errno);
        rc = txn->broken;
    }
    for (uint64_t i = 0; rc == HILUM_OK && i < n; i++) {
        struct txn *txn = txns[i];
        rc = move(store, txn->key, "~", "#");
        txn->is_synced = rc == HILUM_OK;
    }
    if (rc == HILUM_OK && n > 0 && fsync(store->folder) != 0)
        rc = failed(store, errno);
    return rc;
}

static void abort_(void *instance, void *opened)
{
    struct txn *txn = opened;
    close(txn->fd);
    (void)erase_name(instance, txn->key, txn->is_synced ? "#" : "~");
    free(txn);
}

static hilum_rc commit(void *instance, void *opened)
{
    struct txn *txn = opened;
    if (!txn->is_synced) {
        abort_(instance, txn);
        return HILUM_EINVAL;
    }
    hilum_rc rc = move(instance, txn->key, "#", "");
    close(txn->fd);
    free(txn);
    return rc;
}

/* The final object of a key, or the pending one. */
static int open_object(const struct store *store, const char *key)
{
    char name[NAME];
    name_of(key, is_there(store, key, "") ? "" : "#", name);
    return openat(store->folder, name, O_RDONLY | O_CLOEXEC);
}

static hilum_rc describe(const struct store *store, const char *name,
                         struct hilum_object_info *info)
{
    struct stat st;
    if (fstatat(store->folder, name, &st, 0) != 0)
        return failed(store, errno);
    info->flags = name[strlen(name) - 1] == '#' ? HILUM_OBJECT_PENDING : 0;
    info->length = (uint64_t)st.st_size;
    info->mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    return HILUM_OK;
}

static hilum_rc stat_(void *instance, const char *key, struct hilum_object_info *info)
{
    char name[NAME];
    if (!is_key(key))
        return HILUM_EINVAL;
    name_of(key, is_there(instance, key, "") ? "" : "#", name);
    return describe(instance, name, info);
}

static hilum_rc read_(void *instance, const char *key, uint64_t at, void *dst, uint64_t n,
                      uint64_t *got)
{
    *got = 0;
    if (!is_key(key))
        return HILUM_EINVAL;
    const struct store *store = instance;
    int fd = open_object(store, key);
    if (fd < 0)
        return failed(store, errno);
    ssize_t m = 1;
    while (m > 0 && *got < n && at <= INT64_MAX - n) { /* past every file there can be: none */
        m = pread(fd, (char *)dst + *got, (size_t)(n - *got), (off_t)(at + *got));
        *got += m > 0 ? (uint64_t)m : 0;
    }
    hilum_rc rc = m < 0 ? failed(store, errno) : HILUM_OK;
    close(fd);
    return rc;
}

static hilum_rc erase(void *instance, const char *key)
{
    if (!is_key(key))
        return HILUM_EINVAL;
    hilum_rc rc = erase_name(instance, key, "");
    return rc == HILUM_ENOTFOUND ? erase_name(instance, key, "#") : rc;
}

/* Every name that ends as asked, as a key. */
static hilum_rc walk(const struct store *store, const char *prefix, int is_pending,
                     hilum_key_cb each, void *arg)
{
    hilum_rc rc = HILUM_OK;
    int fd = openat(store->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir)
        return failed(store, errno);
    for (struct dirent *entry; rc == HILUM_OK && (entry = readdir(dir));) {
        struct hilum_object_info info = {.size = sizeof info};
        char key[NAME];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            strchr(entry->d_name, '~') || describe(store, entry->d_name, &info) != HILUM_OK ||
            (info.flags == HILUM_OBJECT_PENDING) != is_pending)
            continue;
        snprintf(key, sizeof key, "%s", entry->d_name);
        key[strcspn(key, "#")] = '\0';
        for (char *c = key; (c = strchr(c, '%'));)
            *c = '/';
        if (strncmp(key, prefix, strlen(prefix)) == 0)
            rc = each(arg, key, &info);
    }
    closedir(dir);
    return rc;
}

static hilum_rc list(void *instance, const char *prefix, hilum_key_cb each, void *arg)
{
    return walk(instance, prefix, 0, each, arg);
}

static hilum_rc pending(void *instance, hilum_key_cb each, void *arg)
{
    return walk(instance, "", 1, each, arg);
}

/* Twice is as good as once. */
static hilum_rc finish(void *instance, const char *key, int32_t keep)
{
    if (!is_key(key))
        return HILUM_EINVAL;
    hilum_rc rc = keep ? move(instance, key, "#", "") : erase_name(instance, key, "#");
    if (rc == HILUM_ENOTFOUND && (!keep || is_there(instance, key, "")))
        rc = HILUM_OK;
    return rc;
}

static hilum_rc space(void *instance, uint64_t *available, uint64_t *total)
{
    const struct store *store = instance;
    struct statvfs vfs;
    if (fstatvfs(store->folder, &vfs) != 0)
        return failed(store, errno);
    *available = (uint64_t)vfs.f_bavail * vfs.f_frsize;
    *total = (uint64_t)vfs.f_blocks * vfs.f_frsize;
    return HILUM_OK;
}

static const struct hilum_store table = {
    .cap = {.size = sizeof table,
            .kind = HILUM_CAP_STORE,
            .threads = HILUM_PARALLEL,
            .name = "example-store"},
    .begin = begin,
    .append = append,
    .sync = sync_all,
    .commit = commit,
    .abort = abort_,
    .stat = stat_,
    .read = read_,
    .erase = erase,
    .list = list,
    .pending = pending,
    .finish = finish,
    .space = space,
};

/* What was being written when the last server ended was never promised to anybody. */
static void forget_unfinished(const struct store *store)
{
    int fd = openat(store->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (strchr(entry->d_name, '~'))
            (void)unlinkat(store->folder, entry->d_name, 0);
    if (dir)
        closedir(dir);
}

static hilum_rc open_folder(struct store *store, const char *root)
{
    (void)mkdir(root, 0750);
    store->folder = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->folder < 0)
        return store->host->fail(store->self, HILUM_EIO, "root: the folder cannot be opened");
    if (flock(store->folder, LOCK_EX | LOCK_NB) != 0)
        return store->host->fail(store->self, HILUM_EAGAIN, "root: another server has this folder");
    forget_unfinished(store);
    return HILUM_OK;
}

static hilum_rc init(const struct hilum_host *host, hilum_self *self, const void *options,
                     void **state)
{
    const struct conf *conf = options;
    struct store *store = calloc(1, sizeof *store);
    if (!store)
        return host->fail(self, HILUM_ENOMEM, "no memory");
    store->host = host;
    store->self = self;
    hilum_rc rc = open_folder(store, conf->root);
    if (rc == HILUM_OK)
        rc = host->provide(self, &table.cap, store);
    if (rc == HILUM_OK) {
        *state = store;
        return HILUM_OK;
    }
    if (store->folder >= 0)
        close(store->folder);
    free(store);
    return rc;
}

static void fini(void *state)
{
    close(((struct store *)state)->folder);
    free(state);
}

HILUM_EXPORT const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major, uint16_t host_minor)
{
    static const struct hilum_option options[] = {
        {"root", HILUM_OPT_PATH, offsetof(struct conf, root), "example-store", NULL,
         "The folder of the objects; relative to the data directory."},
        {0},
    };
    static const char *const provides[] = {"store:example-store", NULL};
    static const struct hilum_plugin plugin = {
        .magic = HILUM_MAGIC,
        .size = sizeof plugin,
        .abi_major = HILUM_ABI_MAJOR,
        .abi_minor = HILUM_ABI_MINOR,
        .conf_size = sizeof(struct conf),
        .id = "example-store",
        .version = "1.0.0",
        .vendor = "Example",
        .licence = "MIT",
        .options = options,
        .init = init,
        .fini = fini,
        .provides = provides,
    };
    (void)host_major;
    (void)host_minor;
    return &plugin;
}
