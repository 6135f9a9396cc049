/* Objects whose rows are recorded and not flushed yet, or owed (owed.c). Their bytes and the note that says their
 * row are durable in the store's log, so they are answered; only when the record has flushed may
 * the log forget them.
 *
 * `unflushed_lock` guards the list; stores and record are called without it. A node belongs to
 * its job until hl_unflushed_recorded, then to the list, until the record says that it has
 * flushed.
 *
 * Why this detour: a flush of the catalogue costs as much as one of the objects, and would
 * come after it. With the note both are durable by one flush, and the catalogue is flushed now
 * and then for many groups at once. A ticket is the record's count of commits; flushed() hears
 * up to which one they are durable.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/store/store_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/store/note.h"

/* A second, during which objects under way at the mark get recorded; an erasure that still
 * meets one is tried again later. */
enum { MARK_TRIES = 1000 }; /* of a millisecond */

bool hl_notes_has(const struct hl_store_provider *provider)
{
    const struct hilum_store *table = provider->table;
    return HILUM_HAS(struct hilum_store, table->cap.size, note_read) && table->note != NULL &&
           table->note_kept != NULL && table->note_read != NULL;
}

/* With the lock held. Later than every note before, whatever the clock does. Notes are
 * replayed by this time and compared with the mark, so two must never be equal. */
static int64_t time_next(struct hl_store *store)
{
    int64_t now = hl_now_us();
    store->note_time = now > store->note_time ? now : store->note_time + 1;
    return store->note_time;
}

/* With the lock held. */
static void unlink_node(struct hl_unflushed *node)
{
    *node->at = node->next;
    if (node->next != NULL)
        node->next->at = node->at;
}

void hl_unflushed_free(struct hl_store *store, struct hl_unflushed *node)
{
    pthread_mutex_lock(&store->unflushed_lock);
    unlink_node(node);
    pthread_mutex_unlock(&store->unflushed_lock);
    free(node);
}

/* The note is in the list before it is durable: a mark that is set meanwhile waits for it.
 * Never fails: an object without a note is flushed with its row, as before there were notes.
 * Quarantined ones go that way, as a note cannot tell whom they collided with, and so do those
 * that are durable already, for their log is written. */
void hl_unflushed_note(struct hl_store *store, struct hl_commit_job *job)
{
    struct hl_buf note = {0};
    job->noted = NULL;
    if (job->is_synced || job->row->quarantine_of != NULL || !hl_notes_has(job->provider))
        return;
    struct hl_unflushed *node = calloc(1, sizeof *node);
    if (node == NULL)
        return;
    node->provider = job->provider;
    pthread_mutex_lock(&store->unflushed_lock);
    node->time = time_next(store);
    node->at = &store->unflushed;
    node->next = store->unflushed;
    if (node->next != NULL)
        node->next->at = &node->next;
    store->unflushed = node;
    pthread_mutex_unlock(&store->unflushed_lock);
    /* What could not be read back whole would be erased at the next start, promised or not. */
    if (hl_note_write(job->row, node->time, &note) && note.len <= HL_NOTE_BYTES_MAX &&
        job->row->n_plan <= HL_NOTE_PLAN_MAX &&
        job->provider->table->note(job->provider->instance, job->txn, note.data, note.len) ==
            HILUM_OK)
        job->noted = node;
    else
        hl_unflushed_free(store, node); /* then its row is flushed */
    hl_buf_fini(&note);
}

/* A store may find at the sync that it had no room for the note: then the row is flushed before
 * the answer. */
void hl_unflushed_check(struct hl_store *store, struct hl_commit_job *job)
{
    if (job->noted == NULL ||
        job->provider->table->note_kept(job->provider->instance, job->txn) == HILUM_OK)
        return;
    hl_unflushed_drop(store, job);
}

void hl_unflushed_drop(struct hl_store *store, struct hl_commit_job *job)
{
    if (job->noted != NULL)
        hl_unflushed_free(store, job->noted);
    job->noted = NULL;
}

/* An object whose row failed is refused: its note would bring it back at the next start. It
 * need not be durable at once: if the power goes before, the sender was told a failure and
 * sends again, and finds its object there. */
void hl_unflushed_withdraw(const struct hl_commit_job *job)
{
    const struct hl_store_provider *provider = job->provider;
    if (job->noted != NULL &&
        provider->table->note(provider->instance, job->txn, NULL, 0) != HILUM_OK)
        hl_log(HL_WARN, "store", "a refused object may be there after the next start: %s",
               hl_error());
}

static void final_give(const struct hl_store_provider *provider, void *txn)
{
    if (provider->table->commit(provider->instance, txn) != HILUM_OK)
        hl_log(HL_WARN, "store", "an object stays pending until the next start: %s", hl_error());
}

/* With the lock held for both looks: the record may flush between its commit and now, on
 * another thread, and would not tell again. */
void hl_unflushed_recorded(struct hl_store *store, struct hl_unflushed *node, void *txn,
                           uint64_t ticket)
{
    pthread_mutex_lock(&store->unflushed_lock);
    bool is_flushed = ticket <= store->flushed_ticket; /* between the recording and now */
    node->txn = txn;
    node->ticket = ticket;
    if (is_flushed)
        unlink_node(node);
    pthread_mutex_unlock(&store->unflushed_lock);
    if (is_flushed) {
        final_give(node->provider, txn);
        free(node);
    }
}

/* By the record, on the thread that flushed. Final names are given here and not at the answer:
 * as long as the object is pending the store keeps its note, and the note may be all that
 * tells of the row. Out of the lock, since it is one rename an object. */
static void flushed(void *arg, uint64_t ticket)
{
    struct hl_store *store = arg;
    struct hl_unflushed *done = NULL;
    pthread_mutex_lock(&store->unflushed_lock);
    store->flushed_ticket = ticket;
    for (struct hl_unflushed *node = store->unflushed, *next; node != NULL; node = next) {
        next = node->next;
        if (node->ticket == 0 || node->ticket > ticket)
            continue;
        unlink_node(node);
        node->next = done;
        done = node;
    }
    pthread_mutex_unlock(&store->unflushed_lock);
    while (done != NULL) {
        struct hl_unflushed *node = done;
        done = node->next;
        final_give(node->provider, node->txn);
        free(node);
    }
}

/* ---- the mark: notes up to that time are spent ---- */

static bool has_older(struct hl_store *store, int64_t time)
{
    bool has = false;
    pthread_mutex_lock(&store->unflushed_lock);
    for (const struct hl_unflushed *node = store->unflushed; node != NULL && !has;
         node = node->next)
        has = node->time <= time;
    pthread_mutex_unlock(&store->unflushed_lock);
    return has;
}

/* An object that is erased leaves its note in the log for a while; the mark says that such
 * notes are spent, or a replay would bring the row back. The order: a time later than all
 * notes so far, everything before it recorded and flushed, then the mark, which is a row
 * itself. Only then may the caller erase. */
hilum_rc hl_unflushed_mark(struct hl_store *store)
{
    char value[32];
    pthread_mutex_lock(&store->unflushed_lock);
    bool is_marked = store->note_time == store->marked_time;
    int64_t time = is_marked ? 0 : time_next(store);
    pthread_mutex_unlock(&store->unflushed_lock);
    if (is_marked)
        return HILUM_OK; /* nothing has come since */
    hilum_rc rc = hl_record_flush(store->record);
    for (int i = 0; i < MARK_TRIES && rc == HILUM_OK && has_older(store, time); i++) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        rc = hl_record_flush(store->record);
    }
    if (rc == HILUM_OK && has_older(store, time))
        rc = hl_fail(HILUM_EAGAIN, "objects are being recorded");
    snprintf(value, sizeof value, "%lld", (long long)time);
    if (rc == HILUM_OK)
        rc = hl_record_kv_set(store->record, HL_MARK_SPACE, HL_MARK_NAME, value);
    pthread_mutex_lock(&store->unflushed_lock);
    if (rc == HILUM_OK)
        store->marked_time = time;
    pthread_mutex_unlock(&store->unflushed_lock);
    return rc;
}

/* ---- life ---- */

void hl_unflushed_open(struct hl_store *store)
{
    pthread_mutex_init(&store->unflushed_lock, NULL);
    hl_record_on_durable(store->record, flushed, store);
}

void hl_store_flush(struct hl_store *store)
{
    if (store != NULL && hl_record_flush(store->record) != HILUM_OK)
        hl_log(HL_WARN, "store", "objects stay pending until the next start: %s", hl_error());
}

void hl_unflushed_close(struct hl_store *store)
{
    hl_store_flush(store);
    hl_record_on_durable(store->record, NULL, NULL);
    while (store->unflushed != NULL) { /* what could not be flushed stays pending */
        struct hl_unflushed *node = store->unflushed;
        store->unflushed = node->next;
        free(node);
    }
    pthread_mutex_destroy(&store->unflushed_lock);
}
