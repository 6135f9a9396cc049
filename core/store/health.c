/* Safe mode and its end, free space, the global memory budget.
 *
 * A medium that fails takes nothing until a probe succeeds: senders are told A700 at once and
 * keep their objects, instead of each finding out for itself. The prober is one thread that
 * sleeps while all is well. `health_lock` guards media, doubts and the prober's flags; it is not
 * held while a store or the record is asked. SPDX-License-Identifier: Apache-2.0 */
#include "core/store/store_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"

/* A probe a second: a disk that was full for a moment costs a sender's one retry. Free space 5
 * times a second is 200 ms of a gigabit line, 25 MB, well below any useful min_free. Five
 * seconds of waiting for memory are below every association timeout. */
enum { PROBE_MS = 1000, SPACE_MS = 200, MEMORY_WAIT_MS = 5000, PROBE_BYTES = 4096 };

/* ---- the medium ---- */

static struct hl_medium *medium_of(struct hl_store *store, const struct hl_store_provider *provider)
{
    return &store->media[provider - store->providers];
}

/* min_free is kept for what is under way and for the database, which may lie on the same medium. */
static hilum_rc space_check(const struct hl_store *store, const struct hl_store_provider *provider)
{
    uint64_t available = 0, total = 0;
    hilum_rc rc = provider->table->space(provider->instance, &available, &total);
    uint64_t wanted = store->spool.min_free;
    if (rc == HILUM_OK && available < wanted)
        rc = hl_fail(HILUM_EFULL,
                     "store %s: %llu MiB free of %llu, storage.min_free wants %llu: free space "
                     "there, or lower min_free",
                     provider->name, (unsigned long long)available >> 20,
                     (unsigned long long)total >> 20, (unsigned long long)wanted >> 20);
    return rc;
}

/* Writes, flushes and removes a small object: what the next sender's object would need. Never
 * committed, so it never gets a name; one that a crash leaves is pending without a row and
 * erased at the start. */
static hilum_rc medium_probe(const struct hl_store *store, const struct hl_store_provider *provider)
{
    static const uint8_t bytes[PROBE_BYTES];
    char key[201], object[201];
    void *txn = NULL;
    hl_key_make(object);
    snprintf(key, sizeof key, HL_PROBE_KEYS "%s", strrchr(object, '/') + 1);
    hilum_rc rc = space_check(store, provider);
    if (rc == HILUM_OK)
        rc = provider->table->begin(provider->instance, key, sizeof bytes, &txn);
    if (rc != HILUM_OK)
        return rc;
    rc = provider->table->append(provider->instance, txn, bytes, sizeof bytes);
    if (rc == HILUM_OK)
        rc = provider->table->sync(provider->instance, &txn, 1);
    provider->table->abort(provider->instance, txn);
    return rc;
}

/* Said in the log when it changes, not per object. `hl_error()` is the failure of the calling
 * thread just now. */
static void health_set(struct hl_store *store, const struct hl_store_provider *provider,
                       hilum_rc rc)
{
    struct hl_medium *medium = medium_of(store, provider);
    pthread_mutex_lock(&store->health_lock);
    bool is_news = medium->rc != rc;
    medium->rc = rc;
    if (rc != HILUM_OK)
        snprintf(medium->reason, sizeof medium->reason, "%s", hl_error());
    pthread_cond_signal(&store->health_changed);
    pthread_mutex_unlock(&store->health_lock);
    if (is_news && rc != HILUM_OK)
        hl_log(HL_ERROR, "store", "%s: no objects are accepted, reads go on: %s", provider->name,
               hl_error());
    else if (is_news)
        hl_log(HL_INFO, "store", "%s: objects are accepted again", provider->name);
}

/* Only what the medium says: a full, read-only or broken one. Anything else was this object's. */
void hl_health_fail(struct hl_store *store, const struct hl_store_provider *provider, hilum_rc rc)
{
    if (rc == HILUM_EFULL || rc == HILUM_EDENIED || rc == HILUM_EIO)
        health_set(store, provider, rc);
}

/* Free space is asked for at most every SPACE_MS: statvfs per object is not free. */
hilum_rc hl_health_medium(struct hl_store *store, const struct hl_store_provider *provider)
{
    struct hl_medium *medium = medium_of(store, provider);
    int64_t now = hl_mono_ms();
    pthread_mutex_lock(&store->health_lock);
    hilum_rc rc = medium->rc;
    bool is_due = now - medium->space_checked_ms >= SPACE_MS;
    if (is_due)
        medium->space_checked_ms = now;
    if (rc != HILUM_OK)
        hl_fail(rc, "%s", medium->reason);
    pthread_mutex_unlock(&store->health_lock);
    if (rc == HILUM_OK && is_due) {
        rc = space_check(store, provider);
        hl_health_fail(store, provider, rc);
    }
    return rc;
}

hilum_rc hl_health_check(struct hl_store *store, const struct hl_store_provider *provider)
{
    unsigned n_owed = atomic_load(&store->n_owed_failed);
    hilum_rc rc = hl_health_medium(store, provider);
    if (rc == HILUM_OK)
        rc = hl_record_health(store->record);
    if (rc == HILUM_OK && n_owed > 0) /* what was promised comes first */
        rc = hl_fail(HILUM_EAGAIN, "%u stored objects wait for the catalogue", n_owed);
    return rc;
}

hilum_rc hl_store_health(struct hl_store *store)
{
    return hl_health_check(store, &store->providers[0]);
}

/* ---- rows in doubt ---- */

static void doubt_add(struct hl_store *store, struct hl_doubt *doubt)
{
    pthread_mutex_lock(&store->health_lock);
    doubt->next = store->doubts;
    store->doubts = doubt;
    pthread_cond_signal(&store->health_changed);
    pthread_mutex_unlock(&store->health_lock);
}

static void doubt_free(struct hl_store *store, struct hl_doubt *doubt)
{
    atomic_fetch_sub(&store->n_owed_failed, doubt->is_failed);
    free(doubt);
}

/* The list is not bounded but by the record: while it fails, safe mode lets no object begin; and of answered objects there are no
 * more than those that were owed when it began to fail, and whoever was at the end of its own just then. */
void hl_health_doubt(struct hl_store *store, const struct hl_commit_job *job)
{
    struct hl_doubt *doubt = calloc(1, sizeof *doubt);
    if (doubt == NULL)
        return; /* the object stays pending: start-up settles it */
    doubt->provider = job->provider;
    doubt->txn = job->txn;
    snprintf(doubt->key, sizeof doubt->key, "%s", job->row->location.key);
    doubt_add(store, doubt);
}

void hl_health_owe(struct hl_store *store, struct hl_owed_object *object, bool is_failed)
{
    struct hl_doubt *doubt = calloc(1, sizeof *doubt);
    if (doubt == NULL) {
        hl_owed_leave(object); /* it stays pending: start-up replays its note */
        return;
    }
    doubt->owed = object;
    doubt->is_failed = is_failed;
    atomic_fetch_add(&store->n_owed_failed, is_failed);
    doubt_add(store, doubt);
}

/* A transaction that failed with an I/O error may be found committed after all: only the
 * record, once it works again, knows whether the object is wanted. false: it is in doubt still. The flush comes last and before the commit: a row that was only read
 * back from memory would not do. Anything that fails leaves it a doubt; nothing is lost
 * meanwhile, the object stays pending. */
static bool refused_settle(struct hl_store *store, struct hl_doubt *doubt)
{
    bool has_row = false;
    const struct hilum_store *table = doubt->provider->table;
    if (hl_record_health(store->record) != HILUM_OK ||
        hl_record_has_key(store->record, doubt->provider->name, doubt->key, &has_row) != HILUM_OK ||
        hl_record_flush(store->record) != HILUM_OK)
        return false;
    if (!has_row)
        table->abort(doubt->provider->instance, doubt->txn);
    else if (table->commit(doubt->provider->instance, doubt->txn) != HILUM_OK)
        hl_log(HL_WARN, "store", "%s stays pending: %s", doubt->key, hl_error());
    return true;
}

/* Each is taken off the list first, so that the lock is not held while the record is asked;
 * those that are still in doubt are put back. */
static void doubts_settle(struct hl_store *store)
{
    pthread_mutex_lock(&store->health_lock);
    struct hl_doubt *doubts = store->doubts;
    store->doubts = NULL;
    pthread_mutex_unlock(&store->health_lock);
    while (doubts != NULL) {
        struct hl_doubt *next = doubts->next;
        bool is_settled =
            doubts->owed != NULL ? hl_owed_again(doubts->owed) : refused_settle(store, doubts);
        if (is_settled)
            doubt_free(store, doubts);
        else
            doubt_add(store, doubts);
        doubts = next;
    }
}

/* ---- the prober ---- */

/* With the lock held. */
static bool is_well(const struct hl_store *store)
{
    for (size_t i = 0; i < store->n_providers; i++)
        if (store->media[i].rc != HILUM_OK)
            return false;
    return store->doubts == NULL;
}

/* Only sick ones. */
static void media_probe(struct hl_store *store)
{
    for (size_t i = 0; i < store->n_providers; i++) {
        pthread_mutex_lock(&store->health_lock);
        bool is_sick = store->media[i].rc != HILUM_OK && !store->is_closing;
        pthread_mutex_unlock(&store->health_lock);
        if (is_sick)
            health_set(store, &store->providers[i], medium_probe(store, &store->providers[i]));
    }
}

/* Waits a whole PROBE_MS from the first bad news on, however often it is woken meanwhile. So a
 * medium that flaps is probed once a second and no oftener. Both steps run without the lock: a
 * probe of a hanging disk must not hold up who asks after the others. */
static void *prober_run(void *arg)
{
    struct hl_store *store = arg;
    pthread_mutex_lock(&store->health_lock);
    while (!store->is_closing) {
        if (is_well(store)) {
            pthread_cond_wait(&store->health_changed, &store->health_lock);
            continue;
        }
        struct timespec deadline = hl_mono_timespec(hl_mono_ms() + PROBE_MS);
        int waited = 0;
        while (!store->is_closing && waited != ETIMEDOUT)
            waited = pthread_cond_timedwait(&store->health_changed, &store->health_lock, &deadline);
        bool is_closing = store->is_closing;
        pthread_mutex_unlock(&store->health_lock);
        if (!is_closing) {
            media_probe(store);
            doubts_settle(store);
        }
        pthread_mutex_lock(&store->health_lock);
    }
    pthread_mutex_unlock(&store->health_lock);
    return NULL;
}

/* The locks are made even if the thread is not: hl_health_close destroys them. */
hilum_rc hl_health_open(struct hl_store *store)
{
    pthread_mutex_init(&store->health_lock, NULL);
    pthread_mutex_init(&store->memory_lock, NULL);
    hl_mono_cond_init(&store->health_changed);
    hl_mono_cond_init(&store->memory_freed);
    if (pthread_create(&store->prober, NULL, prober_run, store) != 0)
        return hl_fail(HILUM_ENOMEM, "store: no thread for the prober");
    store->has_prober = true;
    return HILUM_OK;
}

/* A doubt that cannot be settled now stays pending, and the next start settles it. */
void hl_health_close(struct hl_store *store)
{
    pthread_mutex_lock(&store->health_lock);
    store->is_closing = true;
    pthread_cond_signal(&store->health_changed);
    pthread_mutex_unlock(&store->health_lock);
    if (store->has_prober)
        pthread_join(store->prober, NULL);
    doubts_settle(store);
    while (store->doubts != NULL) {
        struct hl_doubt *doubt = store->doubts;
        store->doubts = doubt->next;
        if (doubt->owed != NULL)
            hl_owed_leave(doubt->owed);
        doubt_free(store, doubt);
    }
    pthread_cond_destroy(&store->health_changed);
    pthread_cond_destroy(&store->memory_freed);
    pthread_mutex_destroy(&store->health_lock);
    pthread_mutex_destroy(&store->memory_lock);
}

/* ---- memory ---- */

/* Charges anew what the ingest holds in all; 0 gives everything back. Its own former charge is
 * given up while it waits, or two that grow could wait for each other. */
hilum_rc hl_memory_charge(struct hl_ingest *ingest, uint64_t held)
{
    struct hl_store *store = ingest->store;
    struct timespec deadline = {0};
    int waited = 0;
    pthread_mutex_lock(&store->memory_lock);
    store->memory_used -= ingest->charged;
    ingest->charged = 0;
    uint64_t budget = store->options.memory_budget;
    /* Who holds nothing yet is let in when nobody else does: one object may always go on. */
    while (held > 0 && budget > 0 && store->memory_used > 0 && store->memory_used + held > budget &&
           waited != ETIMEDOUT) {
        if (deadline.tv_sec == 0)
            deadline = hl_mono_timespec(hl_mono_ms() + MEMORY_WAIT_MS);
        waited = pthread_cond_timedwait(&store->memory_freed, &store->memory_lock, &deadline);
    }
    if (waited != ETIMEDOUT) {
        ingest->charged = held;
        store->memory_used += held;
    }
    pthread_cond_broadcast(&store->memory_freed);
    pthread_mutex_unlock(&store->memory_lock);
    return waited != ETIMEDOUT
               ? HILUM_OK
               : hl_fail(HILUM_ENOMEM, "headers in flight hold %llu bytes, the budget",
                         (unsigned long long)budget);
}
