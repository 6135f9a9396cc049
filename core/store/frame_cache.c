/* One lock for all: it is held for look-ups and lists only, never while a frame is decoded. An
 * entry is found by its bucket from the moment somebody begins to load it, so whoever comes
 * second waits for the first instead of decoding as well. It is in the list by age once it is
 * loaded, and out of both when it is dropped; holders keep it alive after that. The budget
 * counts what is listed: frames still held when they were dropped are over it for that long.
 *
 * Who does not wait any longer lets go; who loads goes on as long as there is anybody else. Where
 * he stopped just as somebody came, that one asks again.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/store/frame_cache.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"

/* At 512 KiB a frame and 1 GiB of cache two entries a bucket. */
enum { BUCKETS = 1024, LOOK_MS = 100 };
static const char left[] = "nobody waits for this frame any more";

struct entry {
    struct hl_cached_frame cached; /* first: released by it */
    struct hl_frame_key key;
    struct entry *next;          /* of the bucket */
    struct entry *newer, *older; /* of those that are loaded, whether held or not */
    unsigned holders;            /* those who wait are holders too */
    bool is_loading, is_listed;  /* listed: found in its bucket */
    hilum_rc rc;                 /* of the load, once it is over */
    char why[200];
};

struct hl_frame_cache {
    pthread_mutex_t lock; /* of everything below and in entries */
    pthread_cond_t loaded;
    struct entry *buckets[BUCKETS];
    struct entry *newest, *oldest;
    uint64_t max_bytes;
    struct hl_frame_cache_counts counts;
};

hilum_rc hl_frame_cache_new(uint64_t max_bytes, struct hl_frame_cache **out)
{
    struct hl_frame_cache *cache = calloc(1, sizeof *cache);
    *out = cache;
    if (cache == NULL)
        return hl_fail(HILUM_ENOMEM, "no memory for a cache of frames");
    cache->max_bytes = max_bytes;
    pthread_mutex_init(&cache->lock, NULL);
    hl_mono_cond_init(&cache->loaded);
    return HILUM_OK;
}

/* ---- lists; within the lock ---- */

static struct entry **bucket_of(struct hl_frame_cache *cache, const struct hl_frame_key *key)
{
    uint64_t hash;
    memcpy(&hash, key->digest, sizeof hash); /* digests are random already */
    hash ^= (key->frame + 1) * UINT64_C(0x9E3779B97F4A7C15) ^ key->reduce << 20 ^ key->form;
    return &cache->buckets[(hash >> 20) % BUCKETS];
}

static bool is_same(const struct hl_frame_key *a, const struct hl_frame_key *b)
{
    return a->frame == b->frame && a->reduce == b->reduce && a->form == b->form &&
           memcmp(a->digest, b->digest, sizeof a->digest) == 0;
}

static struct entry *find(struct hl_frame_cache *cache, const struct hl_frame_key *key)
{
    struct entry *entry = *bucket_of(cache, key);
    while (entry != NULL && !is_same(&entry->key, key))
        entry = entry->next;
    return entry;
}

static void unlist(struct hl_frame_cache *cache, struct entry *entry)
{
    struct entry **at = bucket_of(cache, &entry->key);
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    entry->is_listed = false;
}

static void age_remove(struct hl_frame_cache *cache, struct entry *entry)
{
    *(entry->newer != NULL ? &entry->newer->older : &cache->newest) = entry->older;
    *(entry->older != NULL ? &entry->older->newer : &cache->oldest) = entry->newer;
    entry->newer = entry->older = NULL;
}

static void age_first(struct hl_frame_cache *cache, struct entry *entry)
{
    entry->older = cache->newest;
    *(cache->newest != NULL ? &cache->newest->newer : &cache->oldest) = entry;
    cache->newest = entry;
}

static void entry_free(struct entry *entry)
{
    free(entry->cached.pixels);
    free(entry);
}

/* Out of the cache; whoever holds it last frees it. */
static void drop(struct hl_frame_cache *cache, struct entry *entry)
{
    unlist(cache, entry);
    age_remove(cache, entry);
    cache->counts.bytes -= entry->cached.n;
    cache->counts.frames--;
    if (entry->holders == 0)
        entry_free(entry);
}

static void shrink(struct hl_frame_cache *cache)
{
    while (cache->counts.bytes > cache->max_bytes && cache->oldest != NULL)
        drop(cache, cache->oldest);
}

/* ---- loading ---- */

struct loading {
    struct hl_frame_cache *cache;
    const struct entry *entry;
    const struct hl_wish *own; /* of who loads */
};

static hilum_rc is_wanted(void *arg)
{
    const struct loading *loading = arg;
    if (hl_wish_ask(loading->own) == HILUM_OK)
        return HILUM_OK;
    pthread_mutex_lock(&loading->cache->lock);
    bool is_alone = loading->entry->holders == 1;
    pthread_mutex_unlock(&loading->cache->lock);
    return is_alone ? HILUM_ECANCELLED : HILUM_OK;
}

/* Without the lock during the load; the entry cannot go meanwhile, as its holder is this
 * thread. */
static void load_now(struct hl_frame_cache *cache, struct entry *entry, hl_frame_load load,
                     void *arg, const struct hl_wish *own)
{
    struct hl_cached_frame loaded = {.frame = {.size = sizeof loaded.frame}};
    struct loading loading = {cache, entry, own};
    const struct hl_wish wish = {is_wanted, &loading};
    pthread_mutex_unlock(&cache->lock);
    hilum_rc rc = load(arg, &wish, &loaded);
    pthread_mutex_lock(&cache->lock);
    entry->rc = rc;
    entry->is_loading = false;
    if (rc == HILUM_OK) {
        entry->cached = loaded;
        cache->counts.bytes += loaded.n;
        cache->counts.frames++;
        age_first(cache, entry);
        shrink(cache);
    } else {
        snprintf(entry->why, sizeof entry->why, "%s", hl_error());
        unlist(cache, entry);
    }
    pthread_cond_broadcast(&cache->loaded);
}

static struct entry *entry_new(struct hl_frame_cache *cache, const struct hl_frame_key *key)
{
    struct entry *entry = calloc(1, sizeof *entry), **bucket = bucket_of(cache, key);
    if (entry == NULL)
        return NULL;
    entry->key = *key;
    entry->is_loading = entry->is_listed = true;
    entry->next = *bucket;
    *bucket = entry;
    cache->counts.misses++;
    return entry;
}

/* Still listed: it stays, for whoever asks next. */
static void let_go(struct entry *entry)
{
    entry->holders--;
    if (entry->holders == 0 && !entry->is_listed)
        entry_free(entry);
}

/* It is there: kept, or being loaded by somebody else. A broadcast for every load wakes all
 * who wait for any: they are few, and each looks again. False: whoever asked has left. */
static bool await(struct hl_frame_cache *cache, const struct entry *entry,
                  const struct hl_wish *wish)
{
    bool is_there = true;
    cache->counts.shared++;
    while (entry->is_loading && is_there) {
        struct timespec until = hl_mono_timespec(hl_mono_ms() + LOOK_MS);
        if (pthread_cond_timedwait(&cache->loaded, &cache->lock, &until) == 0)
            continue;
        pthread_mutex_unlock(&cache->lock);
        is_there = hl_wish_ask(wish) == HILUM_OK;
        pthread_mutex_lock(&cache->lock);
    }
    return is_there;
}

/* What is asked for, by whom. */
struct wanted {
    const struct hl_frame_key *key;
    hl_frame_load load;
    void *arg;
    const struct hl_wish *wish;
};

/* Within the lock. *is_again: it was given up by another who loaded it. */
static hilum_rc take(struct hl_frame_cache *cache, const struct wanted *wanted, bool *is_again,
                     const struct hl_cached_frame **out)
{
    struct entry *entry = find(cache, wanted->key);
    bool is_mine = entry == NULL, is_there = true;
    *is_again = false;
    if (is_mine && (entry = entry_new(cache, wanted->key)) == NULL)
        return hl_fail(HILUM_ENOMEM, "no memory for a frame");
    entry->holders++;
    if (is_mine) {
        load_now(cache, entry, wanted->load, wanted->arg, wanted->wish);
    } else if (entry->is_loading) {
        is_there = await(cache, entry, wanted->wish);
    } else {
        cache->counts.hits++;
        age_remove(cache, entry);
        age_first(cache, entry);
    }
    if (is_there && entry->rc == HILUM_OK) {
        *out = &entry->cached;
        return HILUM_OK;
    }
    *is_again = is_there && !is_mine && entry->rc == HILUM_ECANCELLED;
    hilum_rc rc = is_there ? hl_fail(entry->rc, "%s", entry->why) : hl_fail(HILUM_ECANCELLED, left);
    let_go(entry);
    return rc;
}

hilum_rc hl_frame_cache_get(struct hl_frame_cache *cache, const struct hl_frame_key *key,
                            hl_frame_load load, void *arg, const struct hl_wish *wish,
                            const struct hl_cached_frame **out)
{
    const struct wanted wanted = {key, load, arg, wish};
    bool is_again = true;
    hilum_rc rc = HILUM_OK;
    *out = NULL;
    pthread_mutex_lock(&cache->lock);
    while (is_again)
        rc = take(cache, &wanted, &is_again, out);
    pthread_mutex_unlock(&cache->lock);
    return rc;
}

void hl_frame_cache_release(struct hl_frame_cache *cache, const struct hl_cached_frame *frame)
{
    if (frame == NULL)
        return;
    struct entry *entry = (struct entry *)(uintptr_t)frame;
    pthread_mutex_lock(&cache->lock);
    let_go(entry);
    pthread_mutex_unlock(&cache->lock);
}

bool hl_frame_cache_has(struct hl_frame_cache *cache, const struct hl_frame_key *key)
{
    pthread_mutex_lock(&cache->lock);
    bool has = find(cache, key) != NULL;
    pthread_mutex_unlock(&cache->lock);
    return has;
}

void hl_frame_cache_count(struct hl_frame_cache *cache, struct hl_frame_cache_counts *out)
{
    pthread_mutex_lock(&cache->lock);
    *out = cache->counts;
    pthread_mutex_unlock(&cache->lock);
}

void hl_frame_cache_free(struct hl_frame_cache *cache)
{
    if (cache == NULL)
        return;
    while (cache->oldest != NULL)
        drop(cache, cache->oldest);
    pthread_cond_destroy(&cache->loaded);
    pthread_mutex_destroy(&cache->lock);
    free(cache);
}
