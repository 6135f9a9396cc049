/* store-fs: objects as files below one directory. The plugin's descriptor, options and life; it
 * knows nothing of how an object gets in or out. SPDX-License-Identifier: Apache-2.0 */
#include "intake.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct hilum_option options[] = {
    {"root", HILUM_OPT_PATH, offsetof(struct fs_conf, root), "objects", NULL,
     "Directory of the objects; relative to the data directory."},
    {"store", HILUM_OPT_STR, offsetof(struct fs_conf, store), "fs", NULL,
     "Name of the store: what rules and the location table call it."},
    {"intake", HILUM_OPT_STR, offsetof(struct fs_conf, intake), "log", "files|log",
     "How objects arrive: each in its file, or in a log that is cut into files in the background."},
    {"segment", HILUM_OPT_BYTES, offsetof(struct fs_conf, segment), "64MiB", "1MiB..1GiB",
     "Size of one segment of the intake log; written once in full when it is made."},
    {"segments", HILUM_OPT_INT, offsetof(struct fs_conf, segments), "12", "2..64",
     "Segments of the intake log: what a burst may bring before files take over."},
    {"memory", HILUM_OPT_BYTES, offsetof(struct fs_conf, memory), "48MiB", "1MiB..1GiB",
     "Objects held until their group is in the intake log; beyond, files take over."},
    {NULL, 0, 0, NULL, NULL, NULL},
};

static const struct hilum_store store_table = {
    .cap = {.size = sizeof(struct hilum_store),
            .kind = HILUM_CAP_STORE,
            .threads = HILUM_PARALLEL,
            .name = "fs"},
    .begin = fs_begin,
    .append = fs_append,
    .sync = fs_sync,
    .commit = fs_commit,
    .abort = fs_abort,
    .stat = fs_stat,
    .read = fs_read,
    .erase = fs_erase,
    .list = fs_list,
    .pending = fs_pending,
    .finish = fs_finish,
    .open_fd = fs_open_fd,
    .space = fs_space,
    .note = fs_note,
    .note_kept = fs_note_kept,
    .note_read = fs_note_read,
};

/* Makes the directories of a path as `mkdir -p` does. On a read-only medium what is there is
 * served: EROFS is left to the opening. */
static bool root_make(const char *root)
{
    char path[4096];
    size_t n = strlen(root);
    if (n >= sizeof path) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(path, root, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        path[i] = '\0';
        if (mkdir(path, 0750) != 0 && errno != EEXIST && errno != EROFS)
            return false;
        path[i] = root[i];
    }
    return true;
}

/* What was not flushed here, because the medium is read-only, cannot be written later either. */
static void parent_sync(int root_fd)
{
    int fd = openat(root_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

/* -1 with errno. */
static int subdir_open(int root_fd, const char *name)
{
    if (mkdirat(root_fd, name, 0750) == 0)
        fsync(root_fd); /* if this cannot be done, the first sync will say so */
    else if (errno != EEXIST && errno != EROFS)
        return -1;
    return openat(root_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* The lock ends with the process, however it ends. A second server on the same tree would
 * erase the first one's parts as remains. */
static hilum_rc open_dirs(struct fs *fs)
{
    const char *root = fs->conf->root;
    if (!root_make(root))
        return fs_fail_errno(fs, "mkdir", ".");
    fs->root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fs->root_fd < 0)
        return fs_fail_errno(fs, "open directory", ".");
    parent_sync(fs->root_fd);
    if (flock(fs->root_fd, LOCK_EX | LOCK_NB) != 0)
        return fs_fail_errno(fs, "lock (is another server using it?)", ".");
    fs->objects_fd = subdir_open(fs->root_fd, "objects");
    if (fs->objects_fd < 0)
        return fs_fail_errno(fs, "open directory", "objects");
    fs->pending_fd = subdir_open(fs->root_fd, "pending");
    if (fs->pending_fd < 0)
        return fs_fail_errno(fs, "open directory", "pending");
    return fs_parts_clear(fs);
}

/* What a log left by an earlier configuration holds is served and cut, whatever the option
 * says now. A log that cannot be used costs speed and no object, so it is a warning; one that
 * holds objects and cannot be read fails the plugin. */
static hilum_rc intake_open(struct fs *fs)
{
    bool is_log = fs->conf->intake != NULL && strcmp(fs->conf->intake, "log") == 0;
    if (!is_log && faccessat(fs->root_fd, "intake/segment-00", F_OK, 0) != 0)
        return HILUM_OK;
    hilum_rc rc = fs_intake_open(fs);
    if (rc == HILUM_OK || fs->intake == NULL)
        return rc;
    fs->host->log(fs->self, HILUM_LOG_WARN, fs->host->reason(fs->self));
    return HILUM_OK;
}

/* Also after a failed init, whatever was opened by then. */
static void fs_fini(void *state)
{
    struct fs *fs = state;
    if (fs->intake != NULL)
        fs_intake_close(fs->intake);
    if (fs->pending_fd >= 0)
        close(fs->pending_fd);
    if (fs->objects_fd >= 0)
        close(fs->objects_fd);
    if (fs->root_fd >= 0)
        close(fs->root_fd);
    pthread_mutex_destroy(&fs->lock);
    free(fs);
}

static hilum_rc fs_init(const struct hilum_host *host, hilum_self *self, const void *conf,
                        void **state)
{
    struct fs *fs = calloc(1, sizeof *fs);
    if (fs == NULL)
        return host->fail(self, HILUM_ENOMEM, "store-fs: no memory");
    fs->host = host;
    fs->self = self;
    fs->conf = conf;
    fs->root_fd = fs->objects_fd = fs->pending_fd = -1;
    fs->table = store_table;
    fs->table.cap.name = fs->conf->store;
    pthread_mutex_init(&fs->lock, NULL);
    hilum_rc rc = open_dirs(fs);
    if (rc == HILUM_OK)
        rc = intake_open(fs);
    if (rc == HILUM_OK)
        rc = host->provide(self, &fs->table.cap, fs);
    if (rc != HILUM_OK) {
        fs_fini(fs);
        return rc;
    }
    *state = fs;
    return HILUM_OK;
}

static hilum_rc fs_start(void *state)
{
    (void)state;
    return HILUM_OK;
}

/* Cuts what is final into files, so that a stopped server's archive is one of files only. The
 * log stays in use for what still arrives. */
static void fs_drain(void *state, uint32_t deadline_ms)
{
    struct fs *fs = state;
    (void)deadline_ms; /* at most what a few segments hold */
    if (fs->intake != NULL)
        fs_intake_drain(fs->intake);
}

static const char *const provides[] = {"store:{store}", NULL};

/* RESTART: the intake log has one writer, whose memory says what is in it. */
static const struct hilum_plugin plugin = {
    .magic = HILUM_MAGIC,
    .size = sizeof(struct hilum_plugin),
    .abi_major = HILUM_ABI_MAJOR,
    .abi_minor = HILUM_ABI_MINOR,
    .conf_size = sizeof(struct fs_conf),
    .id = "store-fs",
    .version = HILUM_VERSION,
    .vendor = "Hilum",
    .licence = "Apache-2.0",
    .options = options,
    .init = fs_init,
    .start = fs_start,
    .drain = fs_drain,
    .fini = fs_fini,
    .swap = HILUM_SWAP_RESTART,
    .provides = provides,
};

const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major, uint16_t host_minor)
{
    (void)host_minor;
    return host_major == HILUM_ABI_MAJOR ? &plugin : NULL;
}
