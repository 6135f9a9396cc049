/* acme-ring: objects one after another in a ring of files of one size. Who writes has a file of the ring to himself; a file
 * in which nothing is left is used again. Nothing is ever overwritten that was not erased: a full ring says so.
 * SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "hilum/host.h"
#include "hilum/store.h"

enum { KEY = 208, ALIGN = 256, BUCKETS = 65536, MAGIC = 0x474E4952 };
/* WRITTEN is only ever the last one of a file: nobody was promised it. */
enum { WRITTEN = 0, PENDING = 1, FINAL = 2, ERASED = 3 };

struct conf {
    const char *root;
    int64_t files, file_size;
};

/* Before each object, in one sector: it is there whole or not at all. */
struct head {
    uint32_t magic, state;
    uint64_t length;
    int64_t mtime_ns;
    char key[KEY];
    char reserved[ALIGN - KEY - 24];
};

struct slot { /* a file of the ring */
    int fd, is_claimed;
    unsigned n_live, n_readers;
    uint64_t end;
};

struct object {
    struct object *next;
    struct slot *slot;
    uint64_t at, length;
    int64_t mtime_ns;
    uint32_t state;
    char key[KEY];
};

struct store {
    const struct hilum_host *host;
    hilum_self *self;
    const struct conf *conf;
    int folder;
    struct slot *slots;
    unsigned next; /* where the ring goes on */
    struct object *buckets[BUCKETS];
    pthread_mutex_t lock; /* of all above and of what objects say; not held while bytes are moved */
};

struct txn {
    struct object *object;
    hilum_rc broken;
    int is_synced;
};

static hilum_rc failed(const struct store *store, int number)
{
    char why[128];
    hilum_rc rc = number == ENOSPC || number == EDQUOT  ? HILUM_EFULL
                  : number == EROFS || number == EACCES ? HILUM_EDENIED
                                                        : HILUM_EIO;
    snprintf(why, sizeof why, "ring of files: %s", strerror(number));
    return store->host->fail(store->self, rc, why);
}

/* hilum/store.h says which. */
static int is_key(const char *key)
{
    size_t n = strlen(key), from = 0;
    if (n < 1 || n > 200 || strstr(key, "..") ||
        strspn(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._/-") != n)
        return 0;
    for (size_t i = 0; i <= n; i++)
        if (key[i] == '/' || key[i] == '\0') {
            if (i == from || (i == from + 1 && key[from] == '.'))
                return 0;
            from = i + 1;
        }
    return 1;
}

/* ---- bytes ---- */

/* One that was opened while the medium could only be read is opened again. */
static int reopen(int fd)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int again = open(path, O_RDWR | O_CLOEXEC);
    int is_done = again >= 0 && dup3(again, fd, O_CLOEXEC) == fd, number = errno;
    if (again >= 0)
        close(again);
    errno = number;
    return is_done;
}

static int put(int fd, const void *bytes, uint64_t n, uint64_t at)
{
    for (uint64_t done = 0; done < n;) {
        ssize_t m = pwrite(fd, (const char *)bytes + done, (size_t)(n - done), (off_t)(at + done));
        if (m < 0 && errno != EINTR && !(errno == EBADF && reopen(fd)))
            return 0;
        done += m > 0 ? (uint64_t)m : 0;
    }
    return 1;
}

static int put_head(const struct object *o, uint32_t state)
{
    struct head head = {
        .magic = MAGIC, .state = state, .length = o->length, .mtime_ns = o->mtime_ns};
    memcpy(head.key, o->key, KEY);
    return put(o->slot->fd, &head, sizeof head, o->at);
}

/* ---- the index; under the lock ---- */

static struct object **place(struct store *store, const char *key)
{
    uint32_t hash = 2166136261u;
    for (const char *c = key; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 16777619u;
    struct object **at = &store->buckets[hash % BUCKETS];
    while (*at && strcmp((*at)->key, key) != 0)
        at = &(*at)->next;
    return at;
}

static struct object *find(struct store *store, const char *key)
{
    struct object *o = *place(store, key);
    return o && o->state != WRITTEN ? o : NULL;
}

/* A file nobody needs any more begins anew. */
static void rewind_slot(struct slot *slot)
{
    if (slot->n_live == 0 && slot->n_readers == 0 && !slot->is_claimed && slot->end > 0 &&
        ftruncate(slot->fd, 0) == 0)
        slot->end = 0;
}

static void forget(struct store *store, struct object *o)
{
    *place(store, o->key) = o->next;
    o->slot->n_live--;
    rewind_slot(o->slot);
    free(o);
}

static uint64_t padded(uint64_t n)
{
    return (n + ALIGN - 1) / ALIGN * ALIGN;
}

/* The next file of the ring with room, that nobody writes. NULL: the ring is full. */
static struct slot *claim(struct store *store, uint64_t length_hint)
{
    uint64_t room = ALIGN + padded(length_hint > 0 ? length_hint : 1);
    unsigned n = (unsigned)store->conf->files;
    for (unsigned i = 0; i < n; i++) {
        struct slot *slot = &store->slots[(store->next + i) % n];
        if (slot->is_claimed || slot->end + room > (uint64_t)store->conf->file_size)
            continue;
        store->next = (store->next + i + 1) % n;
        slot->is_claimed = 1;
        return slot;
    }
    return NULL;
}

/* ---- writing ---- */

static hilum_rc enter(struct store *store, const char *key, uint64_t length_hint,
                      struct object **out)
{
    struct timespec now;
    struct object **at = place(store, key);
    if (*at)
        return HILUM_EEXISTS;
    struct slot *slot = claim(store, length_hint);
    if (!slot)
        return store->host->fail(store->self, HILUM_EFULL, "ring of files: no room is left");
    struct object *o = calloc(1, sizeof *o);
    if (!o) {
        slot->is_claimed = 0;
        return HILUM_ENOMEM;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    *o = (struct object){.slot = slot, .at = slot->end};
    o->mtime_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    snprintf(o->key, KEY, "%s", key);
    slot->n_live++;
    *at = *out = o;
    return HILUM_OK;
}

static hilum_rc begin(void *instance, const char *key, uint64_t length_hint, void **out)
{
    struct store *store = instance;
    if (!is_key(key))
        return HILUM_EINVAL;
    struct txn *txn = calloc(1, sizeof *txn);
    if (!txn)
        return HILUM_ENOMEM;
    pthread_mutex_lock(&store->lock);
    hilum_rc rc = enter(store, key, length_hint, &txn->object);
    pthread_mutex_unlock(&store->lock);
    if (rc != HILUM_OK)
        free(txn);
    else
        *out = txn;
    return rc;
}

static hilum_rc append(void *instance, void *opened, const void *bytes, uint64_t n)
{
    const struct store *store = instance;
    struct txn *txn = opened;
    struct object *o = txn->object;
    uint64_t at = o->at + ALIGN + o->length;
    if (txn->broken != HILUM_OK)
        return txn->broken;
    if (at + n > (uint64_t)store->conf->file_size)
        return txn->broken = store->host->fail(store->self, HILUM_EFULL,
                                               "ring of files: a file has no room for it");
    if (!put(o->slot->fd, bytes, n, at))
        return txn->broken = failed(store, errno);
    o->length += n;
    return HILUM_OK;
}

/* Bytes, then the heads that say they are there; each with one flush a file. */
static hilum_rc flush(const struct store *store, void *const txns[], uint64_t n, int with_heads)
{
    for (uint64_t i = 0; i < n; i++) {
        struct txn *txn = txns[i];
        if (txn->broken != HILUM_OK)
            return txn->broken;
        if (with_heads && !put_head(txn->object, PENDING))
            return txn->broken = failed(store, errno);
        if (fdatasync(txn->object->slot->fd) != 0)
            return txn->broken = failed(store, errno);
    }
    return HILUM_OK;
}

static hilum_rc sync_all(void *instance, void *const txns[], uint64_t n)
{
    struct store *store = instance;
    hilum_rc rc = flush(store, txns, n, 0);
    if (rc == HILUM_OK)
        rc = flush(store, txns, n, 1);
    if (rc != HILUM_OK)
        return rc;
    pthread_mutex_lock(&store->lock);
    for (uint64_t i = 0; i < n; i++) {
        struct txn *txn = txns[i];
        struct object *o = txn->object;
        txn->is_synced = 1;
        o->state = PENDING;
        o->slot->end = o->at + ALIGN + padded(o->length);
        o->slot->is_claimed = 0;
    }
    pthread_mutex_unlock(&store->lock);
    return HILUM_OK;
}

/* Of one that was never synced nothing is left: the next object begins where it began. */
static void abort_(void *instance, void *opened)
{
    struct store *store = instance;
    struct txn *txn = opened;
    struct object *o = txn->object;
    pthread_mutex_lock(&store->lock);
    if (txn->is_synced) {
        (void)put_head(o, ERASED);
    } else {
        (void)!ftruncate(o->slot->fd, (off_t)o->at);
        o->slot->is_claimed = 0;
    }
    forget(store, o);
    pthread_mutex_unlock(&store->lock);
    free(txn);
}

static hilum_rc mark_final(struct store *store, struct object *o)
{
    if (!put_head(o, FINAL))
        return failed(store, errno);
    o->state = FINAL;
    return HILUM_OK;
}

static hilum_rc commit(void *instance, void *opened)
{
    struct store *store = instance;
    struct txn *txn = opened;
    if (!txn->is_synced) {
        abort_(store, txn);
        return HILUM_EINVAL;
    }
    pthread_mutex_lock(&store->lock);
    hilum_rc rc = mark_final(store, txn->object);
    pthread_mutex_unlock(&store->lock);
    free(txn);
    return rc;
}

/* ---- reading ---- */

static void describe(const struct object *o, struct hilum_object_info *info)
{
    info->flags = o->state == PENDING ? HILUM_OBJECT_PENDING : 0;
    info->length = o->length;
    info->mtime_ns = o->mtime_ns;
}

static hilum_rc stat_(void *instance, const char *key, struct hilum_object_info *info)
{
    struct store *store = instance;
    if (!is_key(key))
        return HILUM_EINVAL;
    pthread_mutex_lock(&store->lock);
    const struct object *o = find(store, key);
    if (o)
        describe(o, info);
    pthread_mutex_unlock(&store->lock);
    return o ? HILUM_OK : HILUM_ENOTFOUND;
}

static hilum_rc copy_out(const struct store *store, const struct slot *slot, uint64_t at, void *dst,
                         uint64_t n, uint64_t *got)
{
    while (*got < n) {
        ssize_t m = pread(slot->fd, (char *)dst + *got, (size_t)(n - *got), (off_t)(at + *got));
        if (m == 0 || (m < 0 && errno != EINTR))
            return m < 0 ? failed(store, errno) : HILUM_ECORRUPT;
        *got += m > 0 ? (uint64_t)m : 0;
    }
    return HILUM_OK;
}

/* While somebody reads in a file it does not begin anew. */
static hilum_rc read_(void *instance, const char *key, uint64_t at, void *dst, uint64_t n,
                      uint64_t *got)
{
    struct store *store = instance;
    *got = 0;
    if (!is_key(key))
        return HILUM_EINVAL;
    pthread_mutex_lock(&store->lock);
    struct object *o = find(store, key);
    struct slot *slot = o ? o->slot : NULL;
    uint64_t left = o && at < o->length ? o->length - at : 0, from = o ? o->at + ALIGN + at : 0;
    if (slot)
        slot->n_readers++;
    pthread_mutex_unlock(&store->lock);
    if (!slot)
        return HILUM_ENOTFOUND;
    hilum_rc rc = copy_out(store, slot, from, dst, n < left ? n : left, got);
    pthread_mutex_lock(&store->lock);
    slot->n_readers--;
    rewind_slot(slot);
    pthread_mutex_unlock(&store->lock);
    return rc;
}

static hilum_rc erase(void *instance, const char *key)
{
    struct store *store = instance;
    if (!is_key(key))
        return HILUM_EINVAL;
    pthread_mutex_lock(&store->lock);
    struct object *o = find(store, key);
    hilum_rc rc = o ? HILUM_OK : HILUM_ENOTFOUND;
    if (o && !put_head(o, ERASED))
        rc = failed(store, errno);
    if (rc == HILUM_OK)
        forget(store, o);
    pthread_mutex_unlock(&store->lock);
    return rc;
}

/* ---- lists: of copies, as whoever is told may call us ---- */

static hilum_rc tell(struct object *copies, hilum_rc rc, hilum_key_cb each, void *arg)
{
    for (struct object *o = copies, *next; o; o = next) {
        struct hilum_object_info info = {.size = sizeof info};
        next = o->next;
        describe(o, &info);
        if (rc == HILUM_OK)
            rc = each(arg, o->key, &info);
        free(o);
    }
    return rc;
}

static hilum_rc walk(struct store *store, const char *prefix, uint32_t state, hilum_key_cb each,
                     void *arg)
{
    struct object *copies = NULL;
    hilum_rc rc = HILUM_OK;
    pthread_mutex_lock(&store->lock);
    for (size_t i = 0; i < BUCKETS; i++)
        for (const struct object *o = store->buckets[i]; o && rc == HILUM_OK; o = o->next) {
            if (o->state != state || strncmp(o->key, prefix, strlen(prefix)) != 0)
                continue;
            struct object *copy = malloc(sizeof *copy);
            if (!copy) {
                rc = HILUM_ENOMEM;
                break;
            }
            *copy = *o;
            copy->next = copies;
            copies = copy;
        }
    pthread_mutex_unlock(&store->lock);
    return tell(copies, rc, each, arg);
}

static hilum_rc list(void *instance, const char *prefix, hilum_key_cb each, void *arg)
{
    return walk(instance, prefix, FINAL, each, arg);
}

static hilum_rc pending(void *instance, hilum_key_cb each, void *arg)
{
    return walk(instance, "", PENDING, each, arg);
}

static hilum_rc finish(void *instance, const char *key, int32_t keep)
{
    struct store *store = instance;
    hilum_rc rc = HILUM_OK;
    if (!is_key(key))
        return HILUM_EINVAL;
    pthread_mutex_lock(&store->lock);
    struct object *o = find(store, key);
    if (o && o->state == PENDING && keep)
        rc = mark_final(store, o);
    else if (o && o->state == PENDING && !put_head(o, ERASED))
        rc = failed(store, errno);
    else if (o && o->state == PENDING)
        forget(store, o);
    else if (!o && keep)
        rc = HILUM_ENOTFOUND;
    pthread_mutex_unlock(&store->lock);
    return rc;
}

static hilum_rc space(void *instance, uint64_t *available, uint64_t *total)
{
    struct store *store = instance;
    const struct conf *conf = store->conf;
    *total = (uint64_t)conf->files * (uint64_t)conf->file_size;
    *available = *total;
    pthread_mutex_lock(&store->lock);
    for (int64_t i = 0; i < conf->files; i++)
        *available -= store->slots[i].end;
    pthread_mutex_unlock(&store->lock);
    return HILUM_OK;
}

/* ---- life ---- */

static hilum_rc remember(struct store *store, struct slot *slot, const struct head *head)
{
    struct object *o = calloc(1, sizeof *o);
    if (!o)
        return HILUM_ENOMEM;
    *o = (struct object){.slot = slot,
                         .at = slot->end,
                         .length = head->length,
                         .mtime_ns = head->mtime_ns,
                         .state = head->state};
    snprintf(o->key, KEY, "%s", head->key);
    *place(store, o->key) = o;
    slot->n_live++;
    return HILUM_OK;
}

/* What a file holds, up to the first that nobody was promised. */
static hilum_rc scan(struct store *store, struct slot *slot)
{
    struct head head;
    struct stat st;
    hilum_rc rc = fstat(slot->fd, &st) == 0 ? HILUM_OK : failed(store, errno);
    while (rc == HILUM_OK && pread(slot->fd, &head, sizeof head, (off_t)slot->end) == sizeof head &&
           head.magic == MAGIC && head.state >= PENDING && head.state <= ERASED &&
           head.length <= (uint64_t)st.st_size - slot->end - ALIGN) {
        head.key[KEY - 1] = '\0';
        if (head.state != ERASED)
            rc = remember(store, slot, &head);
        slot->end += ALIGN + padded(head.length);
    }
    /* On a medium that can only be read, what was never promised just stays out of the index. */
    if (rc == HILUM_OK && ftruncate(slot->fd, (off_t)slot->end) != 0 && errno != EINVAL)
        rc = failed(store, errno);
    rewind_slot(slot);
    return rc;
}

static hilum_rc open_ring(struct store *store)
{
    hilum_rc rc = HILUM_OK;
    (void)mkdir(store->conf->root, 0750);
    store->folder = open(store->conf->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->folder < 0)
        return failed(store, errno);
    if (flock(store->folder, LOCK_EX | LOCK_NB) != 0)
        return store->host->fail(store->self, HILUM_EAGAIN, "root: another server has this ring");
    for (int64_t i = 0; rc == HILUM_OK && i < store->conf->files; i++) {
        char name[32];
        snprintf(name, sizeof name, "ring-%05lld", (long long)i);
        store->slots[i].fd = openat(store->folder, name, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
        if (store->slots[i].fd < 0 && errno == EROFS)
            store->slots[i].fd = openat(store->folder, name, O_RDONLY | O_CLOEXEC);
        rc = store->slots[i].fd < 0 ? failed(store, errno) : scan(store, &store->slots[i]);
    }
    return rc == HILUM_OK && fsync(store->folder) != 0 && errno != EROFS ? failed(store, errno)
                                                                         : rc;
}

static void fini(void *state)
{
    struct store *store = state;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct object *o = store->buckets[i], *next; o; o = next) {
            next = o->next;
            free(o);
        }
    for (int64_t i = 0; store->slots && i < store->conf->files; i++)
        if (store->slots[i].fd >= 0)
            close(store->slots[i].fd);
    if (store->folder >= 0)
        close(store->folder);
    pthread_mutex_destroy(&store->lock);
    free(store->slots);
    free(store);
}

static const struct hilum_store table = {
    .cap = {.size = sizeof table,
            .kind = HILUM_CAP_STORE,
            .threads = HILUM_PARALLEL,
            .name = "acme-ring"},
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

static hilum_rc init(const struct hilum_host *host, hilum_self *self, const void *options,
                     void **state)
{
    const struct conf *conf = options;
    struct store *store = calloc(1, sizeof *store);
    if (!store)
        return host->fail(self, HILUM_ENOMEM, "no memory");
    *store = (struct store){.host = host, .self = self, .conf = conf, .folder = -1};
    pthread_mutex_init(&store->lock, NULL);
    store->slots = calloc((size_t)conf->files, sizeof *store->slots);
    for (int64_t i = 0; store->slots && i < conf->files; i++)
        store->slots[i].fd = -1;
    hilum_rc rc = store->slots ? open_ring(store) : HILUM_ENOMEM;
    if (rc == HILUM_OK)
        rc = host->provide(self, &table.cap, store);
    if (rc == HILUM_OK)
        *state = store;
    else
        fini(store);
    return rc;
}

HILUM_EXPORT const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major, uint16_t host_minor)
{
    static const struct hilum_option options[] = {
        {"root", HILUM_OPT_PATH, offsetof(struct conf, root), "acme-ring", NULL,
         "The folder of the ring; relative to the data directory."},
        {"files", HILUM_OPT_INT, offsetof(struct conf, files), "256", "2..4096",
         "Files of the ring: as many objects are written at once at most."},
        {"file_size", HILUM_OPT_BYTES, offsetof(struct conf, file_size), "64MiB", "1MiB..1TiB",
         "Of each; no object may be longer."},
        {0},
    };
    static const struct hilum_plugin plugin = {
        .magic = HILUM_MAGIC,
        .size = sizeof plugin,
        .abi_major = HILUM_ABI_MAJOR,
        .abi_minor = HILUM_ABI_MINOR,
        .conf_size = sizeof(struct conf),
        .id = "acme-ring",
        .version = "1.0.0",
        .vendor = "Acme",
        .licence = "MIT",
        .options = options,
        .init = init,
        .fini = fini,
    };
    (void)host_major;
    (void)host_minor;
    return &plugin;
}
