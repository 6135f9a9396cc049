/* The journal runner: a feeder reads what is due, workers take a study at a time, ends are
 * written in batches. Entries of one study run in order; studies run side by side. Knows nothing
 * of what hooks do.
 *
 * An entry is in the table `entries` from when it was read until its end is durable, which is
 * how a page that still shows it does not run it again. A study is with one worker at a time
 * (is_busy) and freed only after the ends of its entries are written: that keeps the order
 * within a study. The lock covers tables and queues and is never held over a hook or the record.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/job/internal.h"

enum {
    PAGE = 256,         /* entries read at once */
    BATCH = 256,        /* entries ended at once */
    BATCH_MS = 20,      /* a batch that took so long is ended as it is */
    PENDING_MAX = 4096, /* entries in memory */
    TABLE = 4096,       /* buckets; a power of two */
    RESCAN_MS = 10000,  /* entries due again are found by then even if nobody woke us */
    TROUBLE_MS = 1000,  /* after the record failed */
    GATHER_MS = 50, /* between two readings: their ends share a flush that ingest would wait for */
    THREADS_MAX = 64
};

struct hl_study {
    char key[80]; /* the UID; "#id" for an entry without a study, which waits for nobody */
    struct hl_entry *first, *last;
    bool is_busy; /* with a worker, until the ends of its entries are written */
    struct hl_study *next_in_table, *next_ready;
};

struct hl_notify {
    struct hl_jobs *jobs;
    pthread_mutex_t lock; /* everything below */
    pthread_cond_t feed, work, idle;
    struct hl_study *studies[TABLE];
    struct hl_entry *entries[TABLE];
    struct hl_study *ready, *ready_last;
    struct hl_entry *over; /* ended while the feeder was reading */
    size_t n_pending;
    bool is_reading, is_woken, is_stopping;
    bool has_feeder;   /* its thread was started: only then it is joined */
    int64_t rescan_ms; /* monotonic */
    int64_t read_ms;   /* monotonic, of the last reading */
    unsigned n_threads, n_alive;
    pthread_t feeder, threads[THREADS_MAX];
    uint64_t n_handled, n_unwanted, n_retried, n_failed;
};

/* ---- tables (lock held) -------------------------------------------------------------------------- */

static size_t hash_text(const char *text)
{
    uint64_t hash = 1469598103934665603u; /* FNV-1a */
    for (; *text; text++) {
        hash = (hash ^ (unsigned char)*text) * 1099511628211u;
    }
    return (size_t)(hash & (TABLE - 1));
}

/* Read already: in a queue, with a worker, or ended while the page was read. */
static bool is_in_flight(const struct hl_notify *notify, int64_t id)
{
    const struct hl_entry *entry = notify->entries[(uint64_t)id & (TABLE - 1)];
    while (entry && entry->journal.id != id) {
        entry = entry->next_in_table;
    }
    return entry != NULL;
}

/* NULL: no memory. */
static struct hl_study *study_obtain(struct hl_notify *notify, const struct hl_entry *entry)
{
    char key[80];
    if (entry->journal.study_uid[0]) {
        snprintf(key, sizeof key, "%s", entry->journal.study_uid);
    } else {
        snprintf(key, sizeof key, "#%lld", (long long)entry->journal.id);
    }
    struct hl_study **bucket = &notify->studies[hash_text(key)];
    for (struct hl_study *study = *bucket; study; study = study->next_in_table) {
        if (strcmp(study->key, key) == 0) {
            return study;
        }
    }
    struct hl_study *study = calloc(1, sizeof *study);
    if (study) {
        memcpy(study->key, key, sizeof key);
        study->next_in_table = *bucket;
        *bucket = study;
    }
    return study;
}

/* Only when it has no entries and no worker. */
static void study_drop(struct hl_notify *notify, struct hl_study *study)
{
    struct hl_study **at = &notify->studies[hash_text(study->key)];
    while (*at != study) {
        at = &(*at)->next_in_table;
    }
    *at = study->next_in_table;
    free(study);
}

/* At the end of the line: studies take turns. */
static void study_ready(struct hl_notify *notify, struct hl_study *study)
{
    study->next_ready = NULL;
    if (notify->ready) {
        notify->ready_last->next_ready = study;
    } else {
        notify->ready = study;
    }
    notify->ready_last = study;
    pthread_cond_signal(&notify->work);
}

/* Lock held. false: no memory, and nothing was changed: the entry is read again. */
static bool entry_queue(struct hl_notify *notify, struct hl_entry *entry)
{
    struct hl_study *study = study_obtain(notify, entry);
    if (!study) {
        return false;
    }
    struct hl_entry **bucket = &notify->entries[(uint64_t)entry->journal.id & (TABLE - 1)];
    entry->next_in_table = *bucket;
    *bucket = entry;
    entry->study = study;
    bool was_empty = !study->first;
    if (was_empty) {
        study->first = entry;
    } else {
        study->last->next = entry;
    }
    study->last = entry;
    notify->n_pending++;
    if (was_empty && !study->is_busy) {
        study_ready(notify, study);
    }
    return true;
}

static void entry_drop(struct hl_notify *notify, struct hl_entry *entry)
{
    struct hl_entry **at = &notify->entries[(uint64_t)entry->journal.id & (TABLE - 1)];
    while (*at != entry) {
        at = &(*at)->next_in_table;
    }
    *at = entry->next_in_table;
    hl_entry_free(entry);
}

/* A page being read may show the entry as it was before its end: it stays known until the page is sorted,
 * or its hooks would run twice. */
static void entry_over(struct hl_notify *notify, struct hl_entry *entry)
{
    notify->n_pending--;
    if (notify->is_reading) {
        entry->next = notify->over;
        notify->over = entry;
    } else {
        entry_drop(notify, entry);
    }
}

/* The page has been sorted: what ended meanwhile is known to nobody any more. */
static void reading_done(struct hl_notify *notify)
{
    notify->is_reading = false;
    while (notify->over) {
        struct hl_entry *entry = notify->over;
        notify->over = entry->next;
        entry_drop(notify, entry);
    }
}

/* ---- feeder -------------------------------------------------------------------------------------- */

struct page {
    struct hl_entry *entries[PAGE];
    size_t n;
    int64_t last;
};

/* A page that could not be copied whole is used as far as it goes; the rest is read again. */
static hilum_rc page_add(void *arg, const struct hl_journal_entry *journal)
{
    struct page *page = arg;
    struct hl_entry *entry = page->n < PAGE ? hl_entry_copy(journal) : NULL;
    if (!entry) {
        return hl_fail(HILUM_ENOMEM, "journal: no memory for entry %lld", (long long)journal->id);
    }
    page->entries[page->n++] = entry;
    page->last = journal->id;
    return HILUM_OK;
}

/* Sorts a page: wanted entries to their studies, the others, which need no hook and no order, are ended
 * here together. */
static bool page_place(struct hl_notify *notify, struct page *page)
{
    struct hl_entry *unwanted[PAGE];
    size_t n = 0;
    bool is_good = true;
    pthread_mutex_lock(&notify->lock);
    for (size_t i = 0; i < page->n; i++) {
        struct hl_entry *entry = page->entries[i];
        if (is_in_flight(notify, entry->journal.id)) {
            hl_entry_free(entry);
        } else if (!hl_bus_wants(notify->jobs->bus, entry->journal.event, HILUM_NOTIFY)) {
            unwanted[n++] = entry;
        } else if (!entry_queue(notify, entry)) {
            hl_entry_free(entry);
            is_good = false;
        }
    }
    notify->n_unwanted += n;
    reading_done(notify);
    pthread_mutex_unlock(&notify->lock);
    if (n > 0) {
        is_good &= hl_entries_end(notify->jobs, unwanted, n);
    }
    for (size_t i = 0; i < n; i++) {
        hl_entry_free(unwanted[i]);
    }
    return is_good;
}

/* Reads from *after to the end of what is due. false: the record is in trouble. */
static bool feed_pages(struct hl_notify *notify, int64_t *after)
{
    for (;;) {
        pthread_mutex_lock(&notify->lock);
        while (notify->n_pending > PENDING_MAX && !notify->is_stopping) {
            hl_jobs_wait(&notify->feed, &notify->lock, 0);
        }
        bool is_over = notify->is_stopping;
        notify->is_reading = !is_over;
        pthread_mutex_unlock(&notify->lock);
        if (is_over) {
            return true;
        }
        struct page page = {.n = 0, .last = *after};
        hilum_rc rc = hl_record_journal_due(notify->jobs->record, *after, PAGE, page_add, &page);
        if (rc < 0) {
            hl_log(HL_ERROR, "job", "journal: %s", hl_error());
        }
        bool is_good = page_place(notify, &page) && rc >= 0;
        *after = page.last;
        if (!is_good || page.n < PAGE) {
            return is_good;
        }
    }
}

/* Waits for news; true when the journal must be read from its beginning: an entry is due again. */
static bool feeder_wait(struct hl_notify *notify)
{
    bool is_rescan = false;
    pthread_mutex_lock(&notify->lock);
    while (!notify->is_stopping && !notify->is_woken) {
        int64_t left = notify->rescan_ms - hl_mono_ms();
        if (left <= 0) {
            break;
        }
        hl_jobs_wait(&notify->feed, &notify->lock, left);
    }
    /* The first entry after a pause is read at once, those of a stream together. */
    for (int64_t left; (left = notify->read_ms + GATHER_MS - hl_mono_ms()) > 0;) {
        if (notify->is_stopping) {
            break;
        }
        hl_jobs_wait(&notify->feed, &notify->lock, left);
    }
    notify->read_ms = hl_mono_ms();
    notify->is_woken = false;
    if (hl_mono_ms() >= notify->rescan_ms) {
        notify->rescan_ms = hl_mono_ms() + RESCAN_MS;
        is_rescan = true;
    }
    pthread_mutex_unlock(&notify->lock);
    return is_rescan;
}

/* The journal is read from its beginning after at most so long. */
static void rescan_in(struct hl_notify *notify, int64_t ms)
{
    int64_t at = hl_mono_ms() + (ms > 0 ? ms : 0);
    pthread_mutex_lock(&notify->lock);
    if (at < notify->rescan_ms) {
        notify->rescan_ms = at;
        pthread_cond_signal(&notify->feed);
    }
    pthread_mutex_unlock(&notify->lock);
}

static void thread_ends(struct hl_notify *notify)
{
    pthread_mutex_lock(&notify->lock);
    notify->n_alive--;
    pthread_cond_broadcast(&notify->idle);
    pthread_mutex_unlock(&notify->lock);
}

static bool is_stopping(struct hl_notify *notify)
{
    pthread_mutex_lock(&notify->lock);
    bool answer = notify->is_stopping;
    pthread_mutex_unlock(&notify->lock);
    return answer;
}

/* `after` moves on with what was read, so a wake-up costs a page of news and not the whole
 * journal; entries that are due again lie behind it and are found by a rescan. */
static void *feeder_main(void *arg)
{
    struct hl_notify *notify = arg;
    int64_t after = 0;
    while (!is_stopping(notify)) {
        if (feeder_wait(notify)) {
            after = 0;
        }
        if (!feed_pages(notify, &after)) {
            rescan_in(notify, TROUBLE_MS);
        }
    }
    thread_ends(notify);
    return NULL;
}

/* ---- workers ------------------------------------------------------------------------------------- */

/* What one worker has in hand: its entries in order, and the studies they belong to. */
struct batch {
    struct hl_entry *entries[BATCH];
    size_t n;
    struct hl_study *studies[BATCH];
    size_t n_studies;
    int64_t start_ms;
};

/* The next ready study and as many of its entries as the batch has room for. Lock held. */
static size_t batch_take(struct hl_notify *notify, struct batch *batch)
{
    struct hl_study *study = notify->ready;
    size_t from = batch->n;
    notify->ready = study->next_ready;
    study->is_busy = true;
    batch->studies[batch->n_studies++] = study;
    while (study->first && batch->n < BATCH) {
        batch->entries[batch->n++] = study->first;
        study->first = study->first->next;
    }
    return from;
}

static bool batch_is_open(const struct hl_notify *notify, const struct batch *batch)
{
    return notify->ready && !notify->is_stopping && batch->n < BATCH &&
           (batch->n == 0 || hl_mono_ms() - batch->start_ms < BATCH_MS);
}

/* Studies become free only now: an entry that follows must not be ended before those ahead of it. */
static void batch_release(struct hl_notify *notify, struct batch *batch, bool is_good)
{
    int64_t now = hl_now_us();
    for (size_t i = 0; i < batch->n; i++) {
        struct hl_entry *entry = batch->entries[i];
        notify->n_handled += is_good && !entry->retry_us;
        notify->n_retried += entry->retry_us != 0;
        notify->n_failed += entry->failed && !entry->retry_us;
        if (entry->retry_us) {
            int64_t at = hl_mono_ms() + (entry->retry_us - now) / 1000 + 1;
            notify->rescan_ms = at < notify->rescan_ms ? at : notify->rescan_ms;
        }
        entry_over(notify, entry);
    }
    for (size_t i = 0; i < batch->n_studies; i++) {
        struct hl_study *study = batch->studies[i];
        study->is_busy = false;
        if (study->first) {
            study_ready(notify, study);
        } else {
            study_drop(notify, study);
        }
    }
    if (!is_good) {
        int64_t at = hl_mono_ms() + TROUBLE_MS;
        notify->rescan_ms = at < notify->rescan_ms ? at : notify->rescan_ms;
    }
    pthread_cond_signal(&notify->feed);
}

/* Studies are added while the batch is young, so that a flush ends many entries, and old ones do
 * not wait for it. */
static void *worker_main(void *arg)
{
    struct hl_notify *notify = arg;
    struct batch batch;
    pthread_mutex_lock(&notify->lock);
    while (!notify->is_stopping) {
        if (!notify->ready) {
            hl_jobs_wait(&notify->work, &notify->lock, 0);
            continue;
        }
        batch.n = batch.n_studies = 0;
        batch.start_ms = hl_mono_ms();
        while (batch_is_open(notify, &batch)) {
            size_t from = batch_take(notify, &batch);
            pthread_mutex_unlock(&notify->lock);
            for (size_t i = from; i < batch.n; i++) {
                hl_entry_run(notify->jobs, batch.entries[i]);
            }
            pthread_mutex_lock(&notify->lock);
        }
        pthread_mutex_unlock(&notify->lock);
        bool is_good = hl_entries_end(notify->jobs, batch.entries, batch.n);
        pthread_mutex_lock(&notify->lock);
        batch_release(notify, &batch, is_good);
    }
    pthread_mutex_unlock(&notify->lock);
    thread_ends(notify);
    return NULL;
}

/* ---- life ---------------------------------------------------------------------------------------- */

/* Called by whoever commits, under the record's wake lock: a flag and a signal, nothing that
 * waits. */
static void journal_wake(void *arg)
{
    struct hl_notify *notify = arg;
    pthread_mutex_lock(&notify->lock);
    if (!notify->is_woken) /* once a reading, not once a commit */
        pthread_cond_signal(&notify->feed);
    notify->is_woken = true;
    pthread_mutex_unlock(&notify->lock);
}

/* Called by whoever journals, under the same lock. While the runner stops, hooks may be gone that are there again at the
 * next start: their entries stay due. */
static bool journal_wants(void *arg, const char *event)
{
    struct hl_notify *notify = arg;
    bool is_wanted = hl_bus_wants(notify->jobs->bus, event, HILUM_NOTIFY);
    if (is_wanted)
        return true;
    pthread_mutex_lock(&notify->lock);
    is_wanted = notify->is_stopping;
    notify->n_unwanted += !is_wanted;
    pthread_mutex_unlock(&notify->lock);
    return is_wanted;
}

/* *out is set before the first thing that can fail: whoever called frees it in every case.
 * Fewer threads than wanted is no failure, none is. */
hilum_rc hl_notify_start(struct hl_jobs *jobs, struct hl_notify **out)
{
    struct hl_notify *notify = calloc(1, sizeof *notify);
    if (!notify) {
        return hl_fail(HILUM_ENOMEM, "journal runner: no memory");
    }
    notify->jobs = jobs;
    pthread_mutex_init(&notify->lock, NULL);
    hl_mono_cond_init(&notify->feed);
    hl_mono_cond_init(&notify->work);
    hl_mono_cond_init(&notify->idle);
    unsigned wanted = hl_jobs_options_now(jobs).notify_threads;
    wanted = wanted < THREADS_MAX ? wanted : THREADS_MAX;
    *out = notify;
    hl_record_on_journal(jobs->record, journal_wake, notify);
    hl_record_on_wanted(jobs->record, journal_wants, notify);
    if (pthread_create(&notify->feeder, NULL, feeder_main, notify) != 0) {
        return hl_fail(HILUM_ENOMEM, "journal runner: no thread");
    }
    pthread_mutex_lock(&notify->lock);
    notify->has_feeder = true;
    notify->n_alive++;
    while (notify->n_threads < wanted &&
           pthread_create(&notify->threads[notify->n_threads], NULL, worker_main, notify) == 0) {
        notify->n_threads++;
        notify->n_alive++;
    }
    pthread_mutex_unlock(&notify->lock);
    return notify->n_threads ? HILUM_OK : hl_fail(HILUM_ENOMEM, "journal runner: no thread");
}

void hl_notify_stop(struct hl_notify *notify)
{
    pthread_mutex_lock(&notify->lock);
    notify->is_stopping = true;
    pthread_cond_broadcast(&notify->feed);
    pthread_cond_broadcast(&notify->work);
    pthread_mutex_unlock(&notify->lock);
}

bool hl_notify_wait(struct hl_notify *notify, int64_t until_ms)
{
    pthread_mutex_lock(&notify->lock);
    for (int64_t left; notify->n_alive && (left = until_ms - hl_mono_ms()) > 0;) {
        hl_jobs_wait(&notify->idle, &notify->lock, left);
    }
    bool is_idle = notify->n_alive == 0;
    pthread_mutex_unlock(&notify->lock);
    return is_idle;
}

/* The record's callbacks are taken back first; then the threads; what is left in the tables is
 * still due in the journal. */
void hl_notify_free(struct hl_notify *notify)
{
    if (!notify) {
        return;
    }
    hl_notify_stop(notify);
    hl_record_on_journal(notify->jobs->record, NULL, NULL);
    hl_record_on_wanted(notify->jobs->record, NULL, NULL);
    if (notify->has_feeder) {
        pthread_join(notify->feeder, NULL);
    }
    for (unsigned i = 0; i < notify->n_threads; i++) {
        pthread_join(notify->threads[i], NULL);
    }
    notify->over = NULL; /* still in the table, and freed with it */
    for (size_t i = 0; i < TABLE; i++) {
        while (notify->entries[i]) {
            entry_drop(notify, notify->entries[i]);
        }
        while (notify->studies[i]) {
            study_drop(notify, notify->studies[i]);
        }
    }
    pthread_cond_destroy(&notify->feed);
    pthread_cond_destroy(&notify->work);
    pthread_cond_destroy(&notify->idle);
    pthread_mutex_destroy(&notify->lock);
    free(notify);
}

void hl_notify_status(struct hl_notify *notify, struct hl_buf *json)
{
    pthread_mutex_lock(&notify->lock);
    hl_buf_printf(json,
                  "{\"pending\":%zu,\"handled\":%llu,\"unwanted\":%llu,\"retried\":%llu,"
                  "\"failed\":%llu}",
                  notify->n_pending, (unsigned long long)notify->n_handled,
                  (unsigned long long)notify->n_unwanted, (unsigned long long)notify->n_retried,
                  (unsigned long long)notify->n_failed);
    pthread_mutex_unlock(&notify->lock);
}
