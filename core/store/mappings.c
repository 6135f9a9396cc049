/* A kept map is as good as a new one. While it is there its inode is, and no other file can have that number: so device and
 * inode name a file's very bytes, and whoever maps it again would get the same pages, also of a file that was written to
 * meanwhile. Whether they are what was stored is asked by who opens, of the descriptor, each time (outgoing.c).
 *
 * The budget counts what nobody has taken, by size and number. It is no memory of ours, for the pages are the page
 * cache's and the kernel takes them back when it wants to; but they show in the resident size, and unmapped files that
 * were erased would keep their space: hence it is small, and short (AGE_MS).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/store/mappings.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/error.h"

/* KEPT_BYTES: 120 CT. KEPT_MAX: of small ones; the kernel has 65,530 maps for a process (vm.max_map_count). SHARED_MAX: what is
 * larger is mapped for its one reader: to keep it would push out many, and faulting it in at once would make the first byte
 * wait. PAGE: the smallest there is. */
enum {
    BUCKETS = 256,
    KEPT_BYTES = 64 * 1024 * 1024,
    KEPT_MAX = 1024,
    SHARED_MAX = 4 * 1024 * 1024,
    AGE_MS = 2000,
    PAGE = 4096
};

struct entry {
    struct hl_mapping map; /* first: given back by it */
    dev_t device;
    ino_t inode;
    uint64_t start;
    struct entry *next;          /* of the bucket; those that are not shared are in none */
    struct entry *newer, *older; /* of those that nobody has taken */
    int64_t given_ms;
    unsigned takers;
    bool is_shared;
    atomic_bool is_loaded; /* all pages were faulted in once */
};

struct hl_mappings {
    pthread_mutex_t
        lock; /* of all below and in entries; never held while a file is mapped or unmapped */
    struct entry *buckets[BUCKETS];
    struct entry *newest, *oldest;
    struct hl_mappings_counts counts;
};

hilum_rc hl_mappings_new(struct hl_mappings **out)
{
    struct hl_mappings *mappings = calloc(1, sizeof *mappings);
    *out = mappings;
    if (mappings == NULL)
        return hl_fail(HILUM_ENOMEM, "no memory for mapped files");
    pthread_mutex_init(&mappings->lock, NULL);
    return HILUM_OK;
}

static void entry_free(struct entry *entry)
{
    munmap((void *)(uintptr_t)entry->map.at, entry->map.size);
    free(entry);
}

/* ---- lists; within the lock ---- */

static struct entry **bucket_of(struct hl_mappings *mappings, ino_t inode, uint64_t start)
{
    uint64_t hash = ((uint64_t)inode ^ start) * UINT64_C(0x9E3779B97F4A7C15);
    return &mappings->buckets[(hash >> 32) % BUCKETS];
}

static struct entry *find(struct hl_mappings *mappings, const struct stat *st, uint64_t start,
                          size_t size)
{
    struct entry *entry = *bucket_of(mappings, st->st_ino, start);
    while (entry != NULL && (entry->inode != st->st_ino || entry->device != st->st_dev ||
                             entry->start != start || entry->map.size != size))
        entry = entry->next;
    return entry;
}

static void age_remove(struct hl_mappings *mappings, struct entry *entry)
{
    *(entry->newer != NULL ? &entry->newer->older : &mappings->newest) = entry->older;
    *(entry->older != NULL ? &entry->older->newer : &mappings->oldest) = entry->newer;
    entry->newer = entry->older = NULL;
    mappings->counts.kept--;
    mappings->counts.bytes -= entry->map.size;
}

static void age_first(struct hl_mappings *mappings, struct entry *entry)
{
    entry->older = mappings->newest;
    *(mappings->newest != NULL ? &mappings->newest->newer : &mappings->oldest) = entry;
    mappings->newest = entry;
    mappings->counts.kept++;
    mappings->counts.bytes += entry->map.size;
}

/* Out of both lists, into one of those to be unmapped once the lock is gone. */
static void drop_oldest(struct hl_mappings *mappings, struct entry **dropped)
{
    struct entry *entry = mappings->oldest;
    struct entry **at = bucket_of(mappings, entry->inode, entry->start);
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    age_remove(mappings, entry);
    entry->next = *dropped;
    *dropped = entry;
}

static void entries_free(struct entry *entry)
{
    for (struct entry *next; entry != NULL; entry = next) {
        next = entry->next;
        entry_free(entry);
    }
}

static void take(struct hl_mappings *mappings, struct entry *entry)
{
    if (entry->takers++ == 0)
        age_remove(mappings, entry);
}

/* ---- taken and given back ---- */

/* The kernel may drop early what has left, so that one large object does not push others out of memory. */
static struct entry *entry_new(int fd, const struct stat *st, uint64_t start, size_t size)
{
    struct entry *entry = calloc(1, sizeof *entry);
    void *at =
        entry != NULL ? mmap(NULL, size, PROT_READ, MAP_SHARED, fd, (off_t)start) : MAP_FAILED;
    if (at == MAP_FAILED) {
        free(entry);
        return NULL;
    }
    madvise(at, size, MADV_SEQUENTIAL);
    *entry = (struct entry){.map = {at, size},
                            .device = st->st_dev,
                            .inode = st->st_ino,
                            .start = start,
                            .takers = 1,
                            .is_shared = size <= SHARED_MAX};
    return entry;
}

/* Mapped without the lock: of two who map the same file at once both maps are good, and the second one is its reader's
 * alone. */
static void share(struct hl_mappings *mappings, struct entry *entry, const struct stat *st)
{
    pthread_mutex_lock(&mappings->lock);
    mappings->counts.misses++;
    entry->is_shared =
        entry->is_shared && find(mappings, st, entry->start, entry->map.size) == NULL;
    if (entry->is_shared) {
        struct entry **at = bucket_of(mappings, entry->inode, entry->start);
        entry->next = *at;
        *at = entry;
    }
    pthread_mutex_unlock(&mappings->lock);
}

const struct hl_mapping *hl_mappings_take(struct hl_mappings *mappings, int fd,
                                          const struct stat *st, uint64_t start, size_t size)
{
    pthread_mutex_lock(&mappings->lock);
    struct entry *entry = find(mappings, st, start, size);
    if (entry != NULL) {
        take(mappings, entry);
        mappings->counts.hits++;
    }
    pthread_mutex_unlock(&mappings->lock);
    if (entry == NULL && (entry = entry_new(fd, st, start, size)) != NULL)
        share(mappings, entry, st);
    return entry != NULL ? &entry->map : NULL;
}

void hl_mappings_give(struct hl_mappings *mappings, const struct hl_mapping *mapping)
{
    struct entry *entry = (struct entry *)(uintptr_t)mapping, *dropped = NULL;
    if (!entry->is_shared) {
        entry_free(entry);
        return;
    }
    pthread_mutex_lock(&mappings->lock);
    if (--entry->takers == 0) {
        entry->given_ms = hl_mono_ms();
        age_first(mappings, entry);
    }
    while (mappings->counts.bytes > KEPT_BYTES || mappings->counts.kept > KEPT_MAX)
        drop_oldest(mappings, &dropped);
    pthread_mutex_unlock(&mappings->lock);
    entries_free(dropped);
}

/* Are all its pages in memory? Of a file that is not ours the kernel does not tell and says yes: then they come as they are
 * touched. */
static bool is_resident(const struct hl_mapping *mapping)
{
    unsigned char pages[SHARED_MAX / PAGE];
    if (mincore((void *)(uintptr_t)mapping->at, mapping->size, pages) != 0)
        return false;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t i = 0; i * page < mapping->size; i++)
        if ((pages[i] & 1) == 0)
            return false;
    return true;
}

/* One fault, not many. Without MADV_POPULATE_READ (before Linux 5.14) it fails, and pages come one by one as ever. */
void hl_mapping_load(const struct hl_mapping *mapping)
{
    struct entry *entry = (struct entry *)(uintptr_t)mapping;
    if (mapping->size > SHARED_MAX || (atomic_load(&entry->is_loaded) && is_resident(mapping)))
        return;
    madvise((void *)(uintptr_t)mapping->at, mapping->size, MADV_POPULATE_READ);
    atomic_store(&entry->is_loaded, true);
}

/* ---- what goes ---- */

static void drop_before(struct hl_mappings *mappings, int64_t ms)
{
    struct entry *dropped = NULL;
    pthread_mutex_lock(&mappings->lock);
    while (mappings->oldest != NULL && mappings->oldest->given_ms < ms)
        drop_oldest(mappings, &dropped);
    pthread_mutex_unlock(&mappings->lock);
    entries_free(dropped);
}

void hl_mappings_age(struct hl_mappings *mappings)
{
    drop_before(mappings, hl_mono_ms() - AGE_MS);
}

void hl_mappings_drop(struct hl_mappings *mappings)
{
    drop_before(mappings, INT64_MAX);
}

void hl_mappings_free(struct hl_mappings *mappings)
{
    if (mappings == NULL)
        return;
    hl_mappings_drop(mappings);
    pthread_mutex_destroy(&mappings->lock);
    free(mappings);
}

void hl_mappings_count(struct hl_mappings *mappings, struct hl_mappings_counts *out)
{
    pthread_mutex_lock(&mappings->lock);
    *out = mappings->counts;
    pthread_mutex_unlock(&mappings->lock);
}
