/* Metadata of instances as they were sent last, so that a series that is opened again costs no reading: objects never
 * change, and corrections have numbers (as_of).
 *
 * A table of open addressing without chains: an instance has PROBES places it may lie in, and the
 * one looked at longest ago of them makes room. There is no order to keep and nothing to rebuild;
 * what is lost is read from the object again.
 *
 * The key is the instance and the number of corrections it was read at: a correction finds
 * nothing, and the old text leaves in time without anybody having to be told. URLs in it begin
 * with a mark, for which the name the client uses for us is put in as it leaves (metadata.c).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "web.h"

#include <stdlib.h>

/* 1.5 MiB of table, for 32,768 instances: some 60 series of 500. Few probes keep a miss cheap;
 * a full neighbourhood only loses its oldest. */
enum { SLOTS = 32768, PROBES = 4 };

struct blob {
    int64_t instance, as_of;
    char *text; /* NULL: free */
    size_t n;
    uint64_t used; /* a count of looks: the least recent of a few makes room */
};

/* One lock for all: it is held for a copy of some kilobytes, and what it saves is reading an
 * object. */
struct web_blobs {
    pthread_mutex_t lock;
    uint64_t bytes, max, looks;
    struct blob slots[SLOTS];
};

struct web_blobs *web_blobs_new(uint64_t max)
{
    struct web_blobs *blobs = max > 0 ? calloc(1, sizeof *blobs) : NULL;
    if (blobs == NULL)
        return NULL;
    blobs->max = max;
    pthread_mutex_init(&blobs->lock, NULL);
    return blobs;
}

void web_blobs_free(struct web_blobs *blobs)
{
    if (blobs == NULL)
        return;
    for (size_t i = 0; i < SLOTS; i++)
        free(blobs->slots[i].text);
    pthread_mutex_destroy(&blobs->lock);
    free(blobs);
}

static bool is_same(const struct blob *a, int64_t instance, int64_t as_of)
{
    return a->text != NULL && a->instance == instance && a->as_of == as_of;
}

static struct blob *slot(struct web_blobs *blobs, int64_t instance, unsigned probe)
{
    uint64_t hash = (uint64_t)instance * UINT64_C(0x9E3779B97F4A7C15);
    return &blobs->slots[((hash >> 40) + probe) % SLOTS];
}

/* The sink is called with the lock held: it copies into memory and may not ask anything of
 * blobs. */
hilum_rc web_blobs_find(struct web_blobs *blobs, int64_t instance, int64_t as_of,
                        const struct hilum_sink *sink)
{
    hilum_rc rc = HILUM_ENOTFOUND;
    if (blobs == NULL)
        return rc;
    pthread_mutex_lock(&blobs->lock);
    for (unsigned i = 0; i < PROBES && rc == HILUM_ENOTFOUND; i++) {
        struct blob *blob = slot(blobs, instance, i);
        if (!is_same(blob, instance, as_of))
            continue;
        blob->used = ++blobs->looks;
        rc = sink->write(sink->ctx, blob->text, blob->n);
    }
    pthread_mutex_unlock(&blobs->lock);
    return rc;
}

static void drop(struct web_blobs *blobs, struct blob *blob)
{
    if (blob->text != NULL)
        blobs->bytes -= blob->n;
    free(blob->text);
    *blob = (struct blob){0};
}

/* Those of all its states: whatever it looked like, it is gone. */
void web_blobs_forget(struct web_blobs *blobs, int64_t instance)
{
    if (blobs == NULL)
        return;
    pthread_mutex_lock(&blobs->lock);
    for (unsigned i = 0; i < PROBES; i++)
        if (slot(blobs, instance, i)->instance == instance)
            drop(blobs, slot(blobs, instance, i));
    pthread_mutex_unlock(&blobs->lock);
}

/* Holds the lock. The free one, or the one looked at longest ago. */
static struct blob *room(struct web_blobs *blobs, int64_t instance)
{
    struct blob *best = slot(blobs, instance, 0);
    for (unsigned i = 1; i < PROBES; i++)
        if (slot(blobs, instance, i)->used < best->used)
            best = slot(blobs, instance, i);
    drop(blobs, best);
    return best;
}

/* One text of over a sixteenth of all would throw out everything for itself: it is not kept.
 * The copy is made before the lock is taken. */
void web_blobs_keep(struct web_blobs *blobs, int64_t instance, int64_t as_of, const char *text,
                    size_t n)
{
    char *copy = blobs != NULL && n <= blobs->max / 16 ? malloc(n) : NULL;
    if (copy == NULL)
        return;
    memcpy(copy, text, n);
    pthread_mutex_lock(&blobs->lock);
    struct blob *blob = room(blobs, instance);
    /* Full: what lies beside makes room, wherever that is; it is a memory, not an index. */
    for (size_t i = 0; i < SLOTS && blobs->bytes + n > blobs->max; i++)
        drop(blobs, &blobs->slots[(blobs->looks++ + i) % SLOTS]);
    *blob = (struct blob){instance, as_of, copy, n, ++blobs->looks};
    blobs->bytes += n;
    pthread_mutex_unlock(&blobs->lock);
}
