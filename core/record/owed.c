/* Rows that are owed. Their objects are durable with a note that tells the row, so their senders were answered; the rows are
 * written a moment later, many in one transaction by a thread of its own. Whoever reads the catalogue or writes to
 * it has what is owed written first (hl_owing_settle), so nobody can tell the difference but by the time it takes.
 *
 * Why: a transaction for each object is half of what the catalogue costs; most of its pages and all of its sums are the same for
 * the next object of the series. And a sender that waits for its answer need not wait for it.
 *
 * `lock` guards the list and the two flags. It is not held while rows are written or told. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/record/record_private.h"

/* OWED_MS: one transaction in so long, when nobody asks for its rows; the first after a pause is made at once. OWED_MAX: what
 * is owed at most, in memory and to the log; whoever brings more waits until it is written. STALL_MS: a row that waits so long
 * tells that the catalogue is locked, or its medium slow: until it is written nothing more is promised. */
enum { OWED_MS = 20, OWED_MAX = 64, STALL_MS = 100 };

struct hl_owing {
    struct hl_record *record;
    pthread_mutex_t lock;
    pthread_cond_t news, settled; /* for the thread; for who waits for it */
    struct hl_owed *first, **last;
    unsigned n; /* in the list */
    int64_t first_ms, due_ms,
        wrote_ms; /* when its first came and is due; when the last ones were taken */
    atomic_int_fast64_t oldest_ms; /* since when something is owed; 0: nothing is */
    bool is_hurried, is_stopping, has_thread;
    atomic_uint_fast64_t owed, written; /* since the start; equal: nothing is owed */
    pthread_t thread;
};

bool hl_record_may_pass(hilum_rc rc)
{
    return hl_writer_is_fatal(rc) || rc == HILUM_ECLOSED;
}

/* All together, or where one of them cannot be written, each alone: its neighbours are not to suffer from it. A row is its owner's again when it was told. */
static void rows_write(struct hl_record *record, struct hl_owed *list)
{
    struct hl_instance *rows[OWED_MAX] = {NULL};
    uint64_t ticket = 0;
    size_t n = 0;
    for (struct hl_owed *owed = list; owed; owed = owed->next)
        rows[n++] = owed->row;
    hilum_rc rc = hl_instances_write(record, rows, n, &ticket);
    bool is_each = n > 1 && rc != HILUM_OK && !hl_record_may_pass(rc);
    for (struct hl_owed *owed = list, *next; owed; owed = next) {
        next = owed->next;
        if (is_each)
            rc = hl_instances_write(record, &owed->row, 1, &ticket);
        owed->recorded(owed, rc, ticket);
    }
}

/* With the lock. */
static bool is_due(const struct hl_owing *owing)
{
    return owing->n > 0 && (owing->n >= OWED_MAX / 2 || owing->is_hurried || owing->is_stopping ||
                            hl_mono_ms() >= owing->due_ms);
}

/* With the lock held; it is given up meanwhile. */
static void turn(struct hl_owing *owing)
{
    struct hl_owed *list = owing->first;
    unsigned n = owing->n;
    owing->first = NULL;
    owing->last = &owing->first;
    owing->n = 0;
    owing->is_hurried = false;
    owing->wrote_ms = hl_mono_ms();
    pthread_mutex_unlock(&owing->lock);
    rows_write(owing->record, list);
    pthread_mutex_lock(&owing->lock);
    atomic_fetch_add(&owing->written, n);
    atomic_store(&owing->oldest_ms, owing->n > 0 ? owing->first_ms : 0);
    pthread_cond_broadcast(&owing->settled);
}

static void *owing_main(void *arg)
{
    struct hl_owing *owing = arg;
    pthread_setname_np(pthread_self(), "record-owed");
    pthread_mutex_lock(&owing->lock);
    while (!owing->is_stopping || owing->n > 0) {
        if (is_due(owing)) {
            turn(owing);
        } else if (owing->n == 0) {
            pthread_cond_wait(&owing->news, &owing->lock);
        } else {
            struct timespec until = hl_mono_timespec(owing->due_ms);
            pthread_cond_timedwait(&owing->news, &owing->lock, &until);
        }
    }
    pthread_mutex_unlock(&owing->lock);
    return NULL;
}

/* The list is in order, so of two rows the one that was answered first is written first. */
void hl_record_owe(struct hl_record *record, struct hl_owed *owed)
{
    struct hl_owing *owing = record->owing;
    pthread_mutex_lock(&owing->lock);
    while (atomic_load(&owing->owed) - atomic_load(&owing->written) >= OWED_MAX)
        pthread_cond_wait(&owing->settled, &owing->lock);
    owed->next = NULL;
    *owing->last = owed;
    owing->last = &owed->next;
    if (++owing->n == 1) {
        owing->first_ms = hl_mono_ms();
        owing->due_ms = owing->wrote_ms + OWED_MS;
        if (atomic_load(&owing->oldest_ms) == 0)
            atomic_store(&owing->oldest_ms, owing->first_ms);
    }
    bool is_news = owing->n == 1 || owing->n == OWED_MAX / 2;
    atomic_fetch_add(&owing->owed, 1);
    pthread_mutex_unlock(&owing->lock);
    if (is_news)
        pthread_cond_signal(&owing->news);
}

/* What was owed when it was called; what comes meanwhile is not waited for. The thread that writes never waits for itself. */
void hl_owing_settle(struct hl_owing *owing)
{
    uint64_t until = owing ? atomic_load(&owing->owed) : 0; /* NULL: the record is closing */
    if (until == 0 || atomic_load(&owing->written) >= until ||
        pthread_equal(pthread_self(), owing->thread))
        return;
    pthread_mutex_lock(&owing->lock);
    while (atomic_load(&owing->written) < until) {
        owing->is_hurried = owing->n > 0;
        pthread_cond_signal(&owing->news);
        pthread_cond_wait(&owing->settled, &owing->lock);
    }
    pthread_mutex_unlock(&owing->lock);
}

void hl_record_settle(struct hl_record *record)
{
    hl_owing_settle(record->owing);
}

/* While a rebuild goes on, what comes back and what comes must be told apart row by row. */
bool hl_record_may_owe(struct hl_record *record)
{
    int64_t oldest_ms = atomic_load(&record->owing->oldest_ms);
    bool is_stalled = oldest_ms != 0 && hl_mono_ms() - oldest_ms > STALL_MS;
    return !is_stalled && !hl_record_is_restoring(record) && hl_record_health(record) == HILUM_OK;
}

/* ---- life ---- */

hilum_rc hl_owing_new(struct hl_record *record, struct hl_owing **out)
{
    struct hl_owing *owing = calloc(1, sizeof *owing);
    if (!owing)
        return hl_fail(HILUM_ENOMEM, "record: out of memory");
    owing->record = record;
    owing->last = &owing->first;
    pthread_mutex_init(&owing->lock, NULL);
    hl_mono_cond_init(&owing->news);
    hl_mono_cond_init(&owing->settled);
    owing->has_thread = pthread_create(&owing->thread, NULL, owing_main, owing) == 0;
    *out = owing;
    return owing->has_thread ? HILUM_OK : hl_fail(HILUM_ENOMEM, "record: start a thread");
}

/* Writes what is owed. Nobody may call hl_record_owe any more. */
void hl_owing_free(struct hl_owing *owing)
{
    if (!owing)
        return;
    pthread_mutex_lock(&owing->lock);
    owing->is_stopping = true;
    pthread_cond_signal(&owing->news);
    pthread_mutex_unlock(&owing->lock);
    if (owing->has_thread)
        pthread_join(owing->thread, NULL);
    pthread_cond_destroy(&owing->news);
    pthread_cond_destroy(&owing->settled);
    pthread_mutex_destroy(&owing->lock);
    free(owing);
}
