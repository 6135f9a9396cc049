/* A group into the log: its records written next to each other, past the page cache where the file system can, and flushed
 * once.
 *
 * Groups are written one after the other (write_lock) and flushed one after the other
 * (sync_lock), each by the thread that leads it in the host. What is durable when: nothing
 * before segment_sync returns; then all records written to that segment before the flush
 * began, of this group and of others.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "intake.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* Below IOV_MAX (1024); a group of 64 slices in two or three chunks each fits. */
enum { RUN_PIECES = 256 };

/* Records that follow each other in one segment and are written at once. */
struct run {
    int segment;
    uint64_t at, size; /* in the segment */
    struct iovec pieces[RUN_PIECES];
    int n_pieces;
    void *const *txns; /* some of them may be files by now */
    uint64_t n_txns;
};

static uint64_t record_size(const struct fs_txn *txn)
{
    return (INTAKE_BLOCK + txn->length + INTAKE_BLOCK - 1) & ~(uint64_t)(INTAKE_BLOCK - 1);
}

static bool is_for_log(const struct fs_txn *txn)
{
    return txn->entry != NULL && txn->state == FS_OPEN;
}

/* Where the record goes: the active segment, or the next. -1: none is free. Never back to an
 * earlier one: a segment that is FULL only empties. */
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

/* false: it needs a run of its own. Padding is zeroed: what the memory held before is another
 * object's. */
static bool run_add(struct fs_intake *intake, struct run *run, struct fs_txn *txn)
{
    const struct segment *segment = &intake->segments[run->segment];
    int n = 0;
    for (const struct fs_chunk *chunk = txn->first; chunk != NULL; chunk = chunk->next)
        n++;
    if (n == 0 || run->n_pieces + n > RUN_PIECES ||
        run->at + run->size + record_size(txn) > segment->size)
        return false;
    txn->entry->length = txn->length;
    fs_record_head(intake, run->segment, txn->entry, txn->first->bytes);
    for (const struct fs_chunk *chunk = txn->first; chunk != NULL; chunk = chunk->next) {
        uint32_t whole = (chunk->used + INTAKE_BLOCK - 1) & ~(uint32_t)(INTAKE_BLOCK - 1);
        memset(chunk->bytes + chunk->used, 0, whole - chunk->used);
        run->pieces[run->n_pieces++] = (struct iovec){chunk->bytes, whole};
    }
    run->size += record_size(txn);
    return true;
}

/* What a direct write left over (a device that wants other borders, a medium nearly full) goes
 * the usual way, which says why if it cannot. Direct first: the bytes are read by the cutter
 * once and by nobody else as a rule, so the page cache is spared for what is viewed. */
static bool run_put(struct segment *segment, const struct run *run)
{
    ssize_t put = -1;
    if (segment->direct_fd > 0)
        put = pwritev(segment->direct_fd, run->pieces, run->n_pieces, (off_t)run->at);
    if (put < 0 && (segment->direct_fd <= 0 || errno == EINVAL))
        put = pwritev(segment->fd, run->pieces, run->n_pieces, (off_t)run->at);
    if (put < 0 && errno != EINTR)
        return false;
    uint64_t done = put > 0 ? (uint64_t)put : 0, at = run->at;
    for (int i = 0; i < run->n_pieces; i++) {
        const struct iovec *piece = &run->pieces[i];
        uint64_t skip = done < piece->iov_len ? done : piece->iov_len;
        done -= skip;
        if (!fs_write_all(segment->fd, (const uint8_t *)piece->iov_base + skip,
                          piece->iov_len - skip, at + skip))
            return false;
        at += piece->iov_len;
    }
    return true;
}

static void entry_place(struct segment *segment, int i, struct fs_txn *txn)
{
    struct fs_entry *entry = txn->entry;
    entry->segment = i;
    entry->offset = segment->used + INTAKE_BLOCK;
    entry->next_in_segment = segment->entries;
    segment->entries = entry;
    segment->live++;
    segment->used += record_size(txn);
}

/* Records are counted only once they are written whole, so the next take the place of failed ones. */
static hilum_rc run_write(struct fs_intake *intake, const struct run *run)
{
    struct segment *segment = &intake->segments[run->segment];
    const struct fs_txn *first = run->txns[0];
    if (!run_put(segment, run))
        return fs_fail_errno(intake->fs, "write intake segment for", first->key);
    pthread_mutex_lock(&intake->lock);
    for (uint64_t k = 0; k < run->n_txns; k++) {
        if (is_for_log(run->txns[k]))
            entry_place(segment, run->segment, run->txns[k]);
    }
    pthread_mutex_unlock(&intake->lock);
    return HILUM_OK;
}

/* From the first of n on as many as fit; *taken counts them. `used` is read without `lock`,
 * for only the holder of write_lock raises it. */
static hilum_rc some_write(struct fs_intake *intake, void *const txns[], uint64_t n,
                           uint64_t *taken, uint64_t *touched)
{
    struct fs_txn *first = txns[0];
    struct run run = {.txns = txns};
    *taken = 1;
    if (!is_for_log(first))
        return HILUM_OK;
    run.segment = segment_for(intake, record_size(first));
    if (run.segment < 0)
        return fs_intake_spill(intake, first);
    *touched |= (uint64_t)1 << run.segment;
    run.at = intake->segments[run.segment].used;
    run_add(intake, &run, first);
    while (*taken < n && (!is_for_log(txns[*taken]) || run_add(intake, &run, txns[*taken])))
        (*taken)++;
    run.n_txns = *taken;
    return run_write(intake, &run);
}

/* Writes the group's records; touched gets a bit per segment. */
static hilum_rc group_write(struct fs_intake *intake, void *const txns[], uint64_t n,
                            uint64_t *touched)
{
    hilum_rc rc = HILUM_OK;
    pthread_mutex_lock(&intake->write_lock);
    for (uint64_t k = 0, taken = 0; k < n && rc == HILUM_OK; k += taken)
        rc = some_write(intake, txns + k, n - k, &taken, touched);
    pthread_mutex_unlock(&intake->write_lock);
    return rc;
}

/* After a failed flush the kernel may call lost pages clean. The segment takes no more
 * records, and whoever flushes it next, in line behind the lock, fails too. Each group flushes
 * for itself, in line: a flush that began before its records were written would not cover
 * them. */
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

/* Chunks go back only when all is well: of a group that failed each transaction keeps its own
 * until it is aborted. */
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
        fs_chunks_give(intake, txns[k]);
    return rc;
}
