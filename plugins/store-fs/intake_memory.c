/* Memory of the intake log: chunks that hold objects until their group is written. The one given back last is taken first:
 * its bytes are still in the processor's cache.
 *
 * The budget (option `memory`) is in chunks, handed out under `lock`; memory is taken from the
 * system a slab at a time and given back when it is quiet.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "intake.h"

#include <stdlib.h>
#include <sys/mman.h>

/* Chunks are cut from slabs of a huge page: the device is given few long pieces instead of a
 * page at a time. SPARE_SLABS: 4 MiB stay for the next slices. */
enum { SLAB_SIZE = 2 * 1024 * 1024, SLAB_CHUNKS = SLAB_SIZE / INTAKE_CHUNK, SPARE_SLABS = 2 };

struct fs_slab {
    struct fs_slab *next;
    uint8_t *bytes;
    unsigned n, n_free;
    struct fs_chunk chunks[SLAB_CHUNKS]; /* the first n */
};

/* Aligned to its size, so that one huge page can back it, and every chunk to what direct I/O
 * asks for. */
static struct fs_slab *slab_new(unsigned n)
{
    void *bytes = NULL;
    struct fs_slab *slab = calloc(1, sizeof *slab);
    if (slab == NULL || posix_memalign(&bytes, SLAB_SIZE, SLAB_SIZE) != 0) {
        free(slab);
        return NULL;
    }
    madvise(bytes, SLAB_SIZE, MADV_HUGEPAGE);
    slab->bytes = bytes;
    slab->n = n;
    for (unsigned i = 0; i < n; i++)
        slab->chunks[i] =
            (struct fs_chunk){.slab = slab, .bytes = slab->bytes + (size_t)i * INTAKE_CHUNK};
    return slab;
}

static void slab_free(struct fs_slab *slab)
{
    free(slab->bytes);
    free(slab);
}

/* Under lock. */
static void chunk_put(struct fs_intake *intake, struct fs_chunk *chunk)
{
    chunk->slab->n_free++;
    chunk->next = intake->chunks;
    intake->chunks = chunk;
}

/* Under lock. NULL: none is free. */
static struct fs_chunk *chunk_pop(struct fs_intake *intake)
{
    struct fs_chunk *chunk = intake->chunks;
    if (chunk == NULL)
        return NULL;
    intake->chunks = chunk->next;
    chunk->slab->n_free--;
    return chunk;
}

/* Under lock, which is given up meanwhile. */
static void slab_add(struct fs_intake *intake)
{
    unsigned left = intake->max_chunks - intake->n_chunks;
    unsigned n = left < SLAB_CHUNKS ? left : SLAB_CHUNKS;
    intake->n_chunks += n;
    pthread_mutex_unlock(&intake->lock);
    struct fs_slab *slab = slab_new(n);
    pthread_mutex_lock(&intake->lock);
    if (slab == NULL) {
        intake->n_chunks -= n;
        return;
    }
    slab->next = intake->slabs;
    intake->slabs = slab;
    for (unsigned i = n; i-- > 0;)
        chunk_put(intake, &slab->chunks[i]);
}

/* NULL when the budget is used up: the object goes to a file instead. */
static struct fs_chunk *chunk_take(struct fs_intake *intake)
{
    pthread_mutex_lock(&intake->lock);
    if (intake->chunks == NULL && intake->n_chunks < intake->max_chunks)
        slab_add(intake);
    struct fs_chunk *chunk = chunk_pop(intake);
    pthread_mutex_unlock(&intake->lock);
    return chunk;
}

bool fs_chunk_add(struct fs_intake *intake, struct fs_txn *txn)
{
    struct fs_chunk *chunk = chunk_take(intake);
    if (chunk == NULL)
        return false;
    chunk->next = NULL;
    chunk->used = 0;
    if (txn->last != NULL)
        txn->last->next = chunk;
    else
        txn->first = chunk;
    txn->last = chunk;
    return true;
}

void fs_chunks_give(struct fs_intake *intake, struct fs_txn *txn)
{
    pthread_mutex_lock(&intake->lock);
    while (txn->first != NULL) {
        struct fs_chunk *chunk = txn->first;
        txn->first = chunk->next;
        chunk_put(intake, chunk);
    }
    pthread_mutex_unlock(&intake->lock);
    txn->last = NULL;
}

/* Under lock. */
static void slab_unlist(struct fs_intake *intake, const struct fs_slab *slab)
{
    struct fs_chunk **at = &intake->chunks;
    while (*at != NULL) {
        if ((*at)->slab == slab)
            *at = (*at)->next;
        else
            at = &(*at)->next;
    }
    intake->n_chunks -= slab->n;
}

/* Slabs with every chunk free go, but for the spare ones. */
void fs_chunks_trim(struct fs_intake *intake)
{
    unsigned n_kept = 0;
    struct fs_slab **at = &intake->slabs;
    while (*at != NULL) {
        struct fs_slab *slab = *at;
        if (slab->n_free < slab->n || n_kept++ < SPARE_SLABS) {
            at = &slab->next;
            continue;
        }
        *at = slab->next;
        slab_unlist(intake, slab);
        slab_free(slab);
    }
}

void fs_chunks_close(struct fs_intake *intake)
{
    while (intake->slabs != NULL) {
        struct fs_slab *slab = intake->slabs;
        intake->slabs = slab->next;
        slab_free(slab);
    }
}
