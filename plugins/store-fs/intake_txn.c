/* Objects into the log: gathered in memory, written with their group, flushed once.
 * SPDX-License-Identifier: Apache-2.0 */
#include "intake.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* ---- memory ---- */

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
    if (chunk == NULL && may_make) {
        void *bytes = NULL;
        chunk = calloc(1, sizeof *chunk);
        if (chunk == NULL || posix_memalign(&bytes, INTAKE_BLOCK, INTAKE_CHUNK) != 0) {
            free(chunk);
            return NULL;
        }
        chunk->bytes = bytes;
    }
    if (chunk != NULL) {
        chunk->next = NULL;
        chunk->used = 0;
    }
    return chunk;
}

static void chunks_give(struct fs_intake *intake, struct fs_txn *txn)
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

static bool chunk_add(struct fs_intake *intake, struct fs_txn *txn)
{
    struct fs_chunk *chunk = chunk_take(intake);
    if (chunk == NULL)
        return false;
    if (txn->last != NULL)
        txn->last->next = chunk;
    else
        txn->first = chunk;
    txn->last = chunk;
    return true;
}

/* ---- begin, append ---- */

bool fs_intake_begin(struct fs_intake *intake, struct fs_txn *txn)
{
    if (!chunk_add(intake, txn))
        return false;
    txn->first->used = INTAKE_BLOCK; /* the record's head comes before the bytes */
    pthread_mutex_lock(&intake->lock);
    txn->entry = fs_entry_add(intake, txn->key);
    intake->last_sync_ms = fs_mono_ms();
    pthread_mutex_unlock(&intake->lock);
    if (txn->entry == NULL)
        chunks_give(intake, txn);
    return txn->entry != NULL;
}

static void entry_leave(struct fs_intake *intake, struct fs_txn *txn)
{
    if (txn->entry == NULL)
        return;
    pthread_mutex_lock(&intake->lock);
    fs_entry_drop(intake, txn->entry);
    pthread_mutex_unlock(&intake->lock);
    txn->entry = NULL;
}

/* The object becomes a file after all: too large, no memory, or no segment. */
static hilum_rc spill(struct fs_intake *intake, struct fs_txn *txn)
{
    uint64_t at = 0;
    hilum_rc rc = fs_part_create(intake->fs, txn);
    uint32_t skip = INTAKE_BLOCK;
    for (struct fs_chunk *chunk = txn->first; chunk != NULL && rc == HILUM_OK;
         chunk = chunk->next) {
        if (!fs_write_all(txn->fd, chunk->bytes + skip, chunk->used - skip, at))
            rc = fs_fail_errno(intake->fs, "write", txn->key);
        at += chunk->used - skip;
        skip = 0;
    }
    chunks_give(intake, txn);
    entry_leave(intake, txn);
    return rc;
}

static uint64_t object_max(const struct fs_intake *intake)
{
    uint64_t half = (uint64_t)intake->fs->conf->segment / 2;
    return half < INTAKE_OBJECT_MAX ? half : INTAKE_OBJECT_MAX;
}

hilum_rc fs_intake_append(struct fs_intake *intake, struct fs_txn *txn, const void *bytes,
                          uint64_t n)
{
    const uint8_t *p = bytes;
    uint64_t left = txn->length + n <= object_max(intake) ? n : 0;
    bool is_spilling = left < n;
    while (left > 0 && !is_spilling) {
        struct fs_chunk *chunk = txn->last;
        if (chunk->used == INTAKE_CHUNK) {
            is_spilling = !chunk_add(intake, txn);
            continue;
        }
        uint64_t room = INTAKE_CHUNK - chunk->used, part = left < room ? left : room;
        memcpy(chunk->bytes + chunk->used, p, part);
        chunk->used += (uint32_t)part;
        txn->length += part;
        p += part;
        left -= part;
    }
    if (!is_spilling)
        return HILUM_OK;
    left = n - (uint64_t)(p - (const uint8_t *)bytes);
    hilum_rc rc = spill(intake, txn);
    if (rc == HILUM_OK && !fs_write_all(txn->fd, p, left, txn->length))
        rc = fs_fail_errno(intake->fs, "write", txn->key);
    if (rc == HILUM_OK)
        txn->length += left;
    return rc;
}

/* ---- sync ---- */

static uint64_t record_size(const struct fs_txn *txn)
{
    return (INTAKE_BLOCK + txn->length + INTAKE_BLOCK - 1) & ~(uint64_t)(INTAKE_BLOCK - 1);
}

/* Where the record goes: the active segment, or the next. -1: none is free. */
static int segment_for(struct fs_intake *intake, uint64_t size)
{
    pthread_mutex_lock(&intake->lock);
    int i = intake->active;
    if (i >= 0 && intake->segments[i].used + size > intake->segments[i].size) {
        intake->segments[i].state = SEGMENT_FULL;
        intake->active = i = -1;
        pthread_cond_broadcast(&intake->changed);
    }
    if (i < 0 && fs_segment_activate(intake))
        i = intake->active;
    if (i >= 0 && intake->segments[i].used + size > intake->segments[i].size)
        i = -1; /* one made by an earlier configuration, smaller than this object */
    pthread_mutex_unlock(&intake->lock);
    return i;
}

static bool chunks_write(const struct segment *segment, const struct fs_txn *txn)
{
    uint64_t at = segment->used;
    for (const struct fs_chunk *chunk = txn->first; chunk != NULL; chunk = chunk->next) {
        uint32_t n = (chunk->used + INTAKE_BLOCK - 1) & ~(uint32_t)(INTAKE_BLOCK - 1);
        memset(chunk->bytes + chunk->used, 0, n - chunk->used);
        if (!fs_write_all(segment->fd, chunk->bytes, n, at))
            return false;
        at += n;
    }
    return true;
}

/* A record is counted only once it is written whole, so the next one takes the place of a failed one. */
static hilum_rc record_write(struct fs_intake *intake, struct fs_txn *txn, int i)
{
    struct segment *segment = &intake->segments[i];
    struct fs_entry *entry = txn->entry;
    entry->length = txn->length;
    fs_record_head(intake, i, entry, txn->first->bytes);
    if (!chunks_write(segment, txn))
        return fs_fail_errno(intake->fs, "write intake segment for", txn->key);
    pthread_mutex_lock(&intake->lock);
    entry->segment = i;
    entry->offset = segment->used + INTAKE_BLOCK;
    entry->next_in_segment = segment->entries;
    segment->entries = entry;
    segment->live++;
    segment->used += record_size(txn);
    pthread_mutex_unlock(&intake->lock);
    return HILUM_OK;
}

/* Writes the group's records; touched gets a bit per segment. */
static hilum_rc group_write(struct fs_intake *intake, void *const txns[], uint64_t n,
                            uint64_t *touched)
{
    hilum_rc rc = HILUM_OK;
    pthread_mutex_lock(&intake->write_lock);
    for (uint64_t k = 0; k < n && rc == HILUM_OK; k++) {
        struct fs_txn *txn = txns[k];
        if (txn->entry == NULL || txn->state != FS_OPEN)
            continue;
        int i = segment_for(intake, record_size(txn));
        rc = i < 0 ? spill(intake, txn) : record_write(intake, txn, i);
        if (i >= 0)
            *touched |= (uint64_t)1 << i;
    }
    pthread_mutex_unlock(&intake->write_lock);
    return rc;
}

/* After a failed flush the kernel may call lost pages clean. The segment takes no more records, and whoever
 * flushes it next, in line behind the lock, fails too. */
static hilum_rc segment_sync(struct fs_intake *intake, int i)
{
    struct segment *segment = &intake->segments[i];
    pthread_mutex_lock(&intake->sync_lock);
    hilum_rc rc = segment->is_bad ? HILUM_EIO : HILUM_OK;
    if (rc == HILUM_OK && fdatasync(segment->fd) != 0)
        rc = fs_fail_errno(intake->fs, "fdatasync intake segment", "intake");
    else if (rc != HILUM_OK)
        fs_fail(intake->fs, rc, "an earlier flush of its segment did not succeed", "intake");
    if (rc != HILUM_OK)
        segment->is_bad = true;
    pthread_mutex_unlock(&intake->sync_lock);
    if (rc == HILUM_OK)
        return rc;
    pthread_mutex_lock(&intake->lock);
    if (intake->active == i)
        intake->active = -1;
    segment->state = SEGMENT_FULL;
    pthread_mutex_unlock(&intake->lock);
    return rc;
}

hilum_rc fs_intake_sync(struct fs_intake *intake, void *const txns[], uint64_t n)
{
    uint64_t touched = 0;
    pthread_mutex_lock(&intake->lock);
    intake->syncing++; /* a slow flush is no pause */
    pthread_mutex_unlock(&intake->lock);
    hilum_rc rc = group_write(intake, txns, n, &touched);
    for (int i = 0; i < intake->n_segments && rc == HILUM_OK; i++) {
        if (touched >> i & 1)
            rc = segment_sync(intake, i);
    }
    pthread_mutex_lock(&intake->lock);
    intake->last_sync_ms = fs_mono_ms();
    intake->syncing--;
    for (uint64_t k = 0; k < n && rc == HILUM_OK; k++) {
        struct fs_txn *txn = txns[k];
        if (txn->entry != NULL)
            txn->entry->state = ENTRY_PENDING;
    }
    pthread_mutex_unlock(&intake->lock);
    for (uint64_t k = 0; k < n && rc == HILUM_OK; k++)
        chunks_give(intake, txns[k]);
    return rc;
}

/* ---- the end ---- */

void fs_intake_commit(struct fs_intake *intake, struct fs_txn *txn)
{
    pthread_mutex_lock(&intake->lock);
    txn->entry->state = ENTRY_FINAL;
    pthread_mutex_unlock(&intake->lock);
    txn->entry = NULL;
}

void fs_intake_abort(struct fs_intake *intake, struct fs_txn *txn)
{
    chunks_give(intake, txn);
    entry_leave(intake, txn);
}
