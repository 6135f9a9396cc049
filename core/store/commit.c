/* Committing: groups of finished objects become durable, then recorded, then answered. Whoever
 * finds a place free leads its own; what queues up meanwhile forms the committers' groups;
 * nobody waits for company.
 *
 * Order of durability: the objects' bytes (and their notes) are synced, then their rows are
 * recorded, then the senders are answered, then objects get their final names. Rows that may be owed
 * (owed.c) are recorded after the answer: the note alone tells of them until then. A crash between
 * any two is settled at the next start: an object without a row and a note was promised to nobody,
 * a row always has its object. `queue_lock` guards the queue and is_syncing; it is not held while
 * anything is synced, recorded or named. A job's end is its semaphore. SPDX-License-Identifier: Apache-2.0 */
#include "core/store/store_internal.h"

#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/log.h"

/* Lives on the leader's stack; the jobs are their senders' and stay valid until `done` is
 * posted, and not a moment longer. */
struct group {
    struct hl_commit_job *jobs[HL_GROUP_MAX];
    size_t n;
    uint64_t ticket; /* not 0: recorded, not flushed */
};

/* With the lock. The oldest first; HL_GROUP_MAX bounds how long the first of them waits for the
 * last. */
static void queue_take(struct hl_store *store, struct group *group)
{
    *group = (struct group){.n = 0};
    while (store->head != NULL && group->n < HL_GROUP_MAX) {
        group->jobs[group->n++] = store->head;
        store->head = store->head->next;
    }
    if (store->head == NULL)
        store->tail = NULL;
}

/* The reason belongs to the leader's thread; the job's own thread gets a copy. */
static void job_fail(struct hl_commit_job *job, hilum_rc rc)
{
    job->rc = rc;
    snprintf(job->reason, sizeof job->reason, "%s", hl_error());
}

/* One sync for each store that has objects in the group. A store that fails its sync fails its
 * own jobs only. The transactions stay with them: their senders abort them. */
static void group_sync(struct hl_store *store, struct group *group)
{
    for (size_t p = 0; p < store->n_providers; p++) {
        const struct hl_store_provider *provider = &store->providers[p];
        void *txns[HL_GROUP_MAX];
        size_t n = 0;
        for (size_t i = 0; i < group->n; i++) {
            if (group->jobs[i]->provider == provider && !group->jobs[i]->is_synced)
                txns[n++] = group->jobs[i]->txn;
        }
        hilum_rc rc = n > 0 ? provider->table->sync(provider->instance, txns, n) : HILUM_OK;
        for (size_t i = 0; i < group->n; i++) {
            struct hl_commit_job *job = group->jobs[i];
            if (job->provider != provider || job->is_synced)
                continue;
            job->is_synced = rc == HILUM_OK;
            if (rc != HILUM_OK)
                job_fail(job, rc);
            else
                hl_unflushed_check(store, job);
        }
    }
}

/* Objects whose rows may be owed have all they are promised by: they are answered at once, and leave the group, with their notes
 * and transactions; their own threads see to the rows (owed.c). */
static void owed_answer(struct group *group)
{
    size_t n = 0;
    for (size_t i = 0; i < group->n; i++) {
        struct hl_commit_job *job = group->jobs[i];
        if (job->may_owe && job->noted != NULL && job->rc == HILUM_OK)
            sem_post(&job->done); /* the job is its ingest's again */
        else
            group->jobs[n++] = job;
    }
    group->n = n;
}

/* Where the log says every row of the group, the record need not be flushed before the
 * answers. All rows or none: a group is one transaction of the record. When it fails, nobody
 * knows whether it was written (an I/O error in the commit leaves that open), so the objects
 * are neither erased nor named but put into doubt, and their notes are taken back first, since
 * the senders are told that it failed. */
static void group_record(struct hl_store *store, struct group *group)
{
    struct hl_instance *rows[HL_GROUP_MAX];
    size_t n = 0, n_noted = 0;
    hilum_rc rc = HILUM_OK;
    for (size_t i = 0; i < group->n; i++) {
        if (group->jobs[i]->rc == HILUM_OK)
            rows[n++] = group->jobs[i]->row;
        n_noted += group->jobs[i]->rc == HILUM_OK && group->jobs[i]->noted != NULL;
    }
    /* One row without a note and all must be flushed: the record flushes everything or
     * nothing. */
    if (n > 0 && n_noted == n)
        rc = hl_record_instances_logged(store->record, rows, n, &group->ticket);
    else if (n > 0)
        rc = hl_record_instances(store->record, rows, n);
    for (size_t i = 0; i < group->n && rc != HILUM_OK; i++) {
        struct hl_commit_job *job = group->jobs[i];
        if (job->rc != HILUM_OK)
            continue;
        job_fail(job, rc);
        hl_unflushed_withdraw(job);
        hl_health_doubt(store, job);
        job->txn = NULL;
    }
}

/* Known UIDs are not: their object is not named, and duplicate.c decides on the sender's thread. */
static bool is_recorded(const struct hl_commit_job *job)
{
    return job->rc == HILUM_OK && job->row->outcome != HL_OUTCOME_EXISTS;
}

/* Before the answers: from here on the note may be all that tells of the row. A job that was
 * flushed with its group (ticket 0) needs its node no more. */
static void unflushed_keep(struct hl_store *store, struct group *group)
{
    for (size_t i = 0; i < group->n; i++) {
        struct hl_commit_job *job = group->jobs[i];
        if (job->noted != NULL && is_recorded(job) && group->ticket != 0) {
            hl_unflushed_recorded(store, job->noted, job->txn, group->ticket);
            job->noted = NULL;
            job->txn = NULL;
        }
        hl_unflushed_drop(store, job);
    }
}

/* Takes the transactions of recorded objects away from their jobs, wakes their threads, and only then gives
 * the final names: the answer does not wait for what start-up could do as well. */
static void group_answer(struct hl_store *store, struct group *group)
{
    const struct hl_store_provider *providers[HL_GROUP_MAX];
    void *txns[HL_GROUP_MAX];
    size_t n = 0;
    unflushed_keep(store, group);
    for (size_t i = 0; i < group->n; i++) {
        struct hl_commit_job *job = group->jobs[i];
        if (job->txn != NULL && is_recorded(job)) {
            providers[n] = job->provider;
            txns[n++] = job->txn;
            job->txn = NULL;
        }
        /* From here on `job` may be gone: providers and txns were copied for that. */
        sem_post(&job->done); /* the job is its ingest's again */
    }
    for (size_t i = 0; i < n; i++) {
        if (providers[i]->table->commit(providers[i]->instance, txns[i]) != HILUM_OK)
            hl_log(HL_WARN, "store", "an object stays pending until the next start: %s",
                   hl_error());
    }
}

/* With the lock held; it is given up meanwhile. One group at a time is flushed: two flushes at once would share the
 * medium and split what came in between them. The next begins while this one's rows are written. */
static void group_lead(struct hl_store *store)
{
    struct group group;
    queue_take(store, &group);
    store->is_syncing = true;
    pthread_mutex_unlock(&store->queue_lock);
    atomic_fetch_add(&store->groups, 1);
    atomic_fetch_add(&store->grouped, group.n);
    group_sync(store, &group);
    pthread_mutex_lock(&store->queue_lock);
    store->is_syncing = false;
    bool has_more = store->head != NULL;
    /* Woken without the lock, or the woken one would wait for it at once. */
    pthread_mutex_unlock(&store->queue_lock);
    if (has_more)
        pthread_cond_signal(&store->queue_filled);
    owed_answer(&group);
    group_record(store, &group);
    group_answer(store, &group);
    pthread_mutex_lock(&store->queue_lock);
}

/* With the lock. */
static bool may_lead(const struct hl_store *store)
{
    return store->head != NULL && !store->is_syncing;
}

/* Leads what senders' threads leave: when a group ends and more have come, none of them is
 * awake. Goes on until the queue is empty, also at a stop. */
static void *committer_run(void *arg)
{
    struct hl_store *store = arg;
    pthread_mutex_lock(&store->queue_lock);
    while (!store->is_stopping || store->head != NULL) {
        if (may_lead(store))
            group_lead(store);
        else
            pthread_cond_wait(&store->queue_filled, &store->queue_lock);
    }
    pthread_mutex_unlock(&store->queue_lock);
    return NULL;
}

/* The caller's thread leads its group where nothing is being synced: a lone sender pays for no
 * switch of threads. The caller waits on its own semaphore and not on a condition with the
 * lock, so that 64 answered senders do not queue up for one lock. A note is written before the
 * queue is joined: the group's one sync makes it durable with the object. */
hilum_rc hl_commit_run(struct hl_store *store, struct hl_commit_job *job)
{
    job->next = NULL;
    job->rc = HILUM_OK;
    sem_init(&job->done, 0, 0);
    hl_unflushed_note(store, job);
    pthread_mutex_lock(&store->queue_lock);
    if (store->tail != NULL)
        store->tail->next = job;
    else
        store->head = job;
    store->tail = job;
    if (may_lead(store))
        group_lead(store);
    pthread_mutex_unlock(&store->queue_lock);
    while (sem_wait(&job->done) != 0) { /* a signal */
    }
    sem_destroy(&job->done);
    return job->rc == HILUM_OK ? HILUM_OK : hl_fail(job->rc, "%s", job->reason);
}

const struct hl_store_provider *hl_commit_medium(const struct hl_commit_job *job)
{
    return job->is_synced ? NULL : job->provider;
}

hilum_rc hl_commit_open(struct hl_store *store)
{
    pthread_mutex_init(&store->queue_lock, NULL);
    pthread_cond_init(&store->queue_filled, NULL);
    for (; store->n_committers < HL_COMMITTERS; store->n_committers++) {
        if (pthread_create(&store->committers[store->n_committers], NULL, committer_run, store) !=
            0)
            return hl_fail(HILUM_ENOMEM, "store: no thread for a committer");
    }
    return HILUM_OK;
}

/* Nobody may call hl_commit_run any more. Idle committers leave; a busy one finishes what is
 * queued. */
void hl_commit_close(struct hl_store *store)
{
    pthread_mutex_lock(&store->queue_lock);
    store->is_stopping = true;
    pthread_cond_broadcast(&store->queue_filled);
    pthread_mutex_unlock(&store->queue_lock);
    while (store->n_committers > 0)
        pthread_join(store->committers[--store->n_committers], NULL);
    pthread_cond_destroy(&store->queue_filled);
    pthread_mutex_destroy(&store->queue_lock);
}
