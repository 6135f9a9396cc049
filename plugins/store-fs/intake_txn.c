/* Objects on their way into the log: gathered in memory until their group is written.
 * SPDX-License-Identifier: Apache-2.0 */
#include "intake.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- begin, append ---- */

/* Known by its key from here on, as ENTRY_OPEN, which nobody else sees: so the same key cannot
 * begin twice. */
bool fs_intake_begin(struct fs_intake *intake, struct fs_txn *txn)
{
    if (!fs_chunk_add(intake, txn))
        return false;
    txn->first->used = INTAKE_BLOCK; /* the record's head comes before the bytes */
    pthread_mutex_lock(&intake->lock);
    txn->entry = fs_entry_add(intake, txn->key);
    intake->last_sync_ms = fs_mono_ms();
    pthread_mutex_unlock(&intake->lock);
    if (txn->entry == NULL)
        fs_chunks_give(intake, txn);
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

/* Its bytes go to a part file, and it goes on as any file; its note is lost, which note_kept
 * tells. */
hilum_rc fs_intake_spill(struct fs_intake *intake, struct fs_txn *txn)
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
    fs_chunks_give(intake, txn);
    entry_leave(intake, txn);
    return rc;
}

/* Half a segment, so that at most half of one is wasted by the object that does not fit any
 * more. */
static uint64_t object_max(const struct fs_intake *intake)
{
    uint64_t half = (uint64_t)intake->fs->conf->segment / 2;
    return half < INTAKE_OBJECT_MAX ? half : INTAKE_OBJECT_MAX;
}

/* When it becomes too large everything so far moves to a file first, and the rest of these
 * bytes follow it there. */
hilum_rc fs_intake_append(struct fs_intake *intake, struct fs_txn *txn, const void *bytes,
                          uint64_t n)
{
    const uint8_t *p = bytes;
    uint64_t left = txn->length + n <= object_max(intake) ? n : 0;
    bool is_spilling = left < n;
    while (left > 0 && !is_spilling) {
        struct fs_chunk *chunk = txn->last;
        if (chunk->used == INTAKE_CHUNK) {
            is_spilling = !fs_chunk_add(intake, txn);
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
    hilum_rc rc = fs_intake_spill(intake, txn);
    if (rc == HILUM_OK && !fs_write_all(txn->fd, p, left, txn->length))
        rc = fs_fail_errno(intake->fs, "write", txn->key);
    if (rc == HILUM_OK)
        txn->length += left;
    return rc;
}

/* ---- the end ---- */

/* The final name of an object in the log is a word in memory: on disk the host's row says it. */
void fs_intake_commit(struct fs_intake *intake, struct fs_txn *txn)
{
    pthread_mutex_lock(&intake->lock);
    txn->entry->state = ENTRY_FINAL;
    pthread_mutex_unlock(&intake->lock);
    txn->entry = NULL;
}

/* One that was flushed (a first writing before a rule's edits, a resend) would be found by the next start, and a lost catalogue
 * could not tell which of two counts. */
void fs_intake_abort(struct fs_intake *intake, struct fs_txn *txn)
{
    fs_chunks_give(intake, txn);
    if (txn->entry != NULL && txn->state == FS_SYNCED && txn->entry->segment >= 0)
        fs_record_drop(intake, txn->entry);
    entry_leave(intake, txn);
}
