/* Memory of the intake log: chunks that hold objects until their group is written. The one given back last is taken first:
 * its bytes are still in the processor's cache. SPDX-License-Identifier: Apache-2.0 */
#include "intake.h"

#include <stdlib.h>

enum { SPARE_CHUNKS = 16 };

static struct fs_chunk *chunk_make(void)
{
    void *bytes = NULL;
    struct fs_chunk *chunk = calloc(1, sizeof *chunk);
    if (chunk == NULL || posix_memalign(&bytes, INTAKE_BLOCK, INTAKE_CHUNK) != 0) {
        free(chunk);
        return NULL;
    }
    chunk->bytes = bytes;
    return chunk;
}

/* NULL when the budget is used up: the object goes to a file instead. */
static struct fs_chunk *chunk_take(struct fs_intake *intake)
{
    pthread_mutex_lock(&intake->lock);
    struct fs_chunk *chunk = intake->chunks;
    bool may_make = chunk == NULL && intake->n_chunks < intake->max_chunks;
    if (chunk != NULL)
        intake->chunks = chunk->next;
    intake->n_chunks += may_make;
    pthread_mutex_unlock(&intake->lock);
    if (!may_make)
        return chunk;
    chunk = chunk_make();
    pthread_mutex_lock(&intake->lock);
    intake->n_chunks -= chunk == NULL;
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
        chunk->next = intake->chunks;
        intake->chunks = chunk;
    }
    pthread_mutex_unlock(&intake->lock);
    txn->last = NULL;
}

void fs_chunks_trim(struct fs_intake *intake)
{
    struct fs_chunk **at = &intake->chunks;
    for (unsigned n = 0; *at != NULL && n < SPARE_CHUNKS; n++)
        at = &(*at)->next;
    while (*at != NULL) {
        struct fs_chunk *chunk = *at;
        *at = chunk->next;
        intake->n_chunks--;
        free(chunk->bytes);
        free(chunk);
    }
}
