/* One sending shared by several associations (C-MOVE). The first association has to come about;
 * the others are a gift: a receiver that serves one at a time lets them wait, and nobody waits
 * for them here.
 *
 * Workers run in scu->pool, the caller in follow(). Everything shared is under `lock`; it is not
 * held while a peer or the caller's progress is called. Invariant: an index enters `ended`
 * exactly once, and the caller returns when all n are there, after which no worker touches
 * `items`. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/pool.h"
#include "core/dicom/scu_internal.h"

/* How often the caller is asked whether to go on while little ends, after how many ends it is woken before that, and the most
 * objects a worker takes at once. */
enum { ASK_EVERY_MS = 100, TELL_EVERY = 8, CHUNK_MAX = 32 };

/* Lives until the last worker has left, which may be long after the call returned; `items` only while one of
 * them is under way. */
struct shared {
    pthread_mutex_t lock;
    pthread_cond_t news;
    unsigned references;
    struct hl_scu *scu;
    struct hl_arena arena;
    struct hl_peer peer;   /* a copy: the caller's may go before the last worker */
    struct hl_pairs pairs; /* what the further associations are opened with */
    struct hl_send_options options;
    char originator[HL_AE_MAX];
    struct hl_send_item *items;
    size_t n, next, chunk;
    size_t *ended, n_ended; /* indexes in the order of their ends */
    hilum_rc broken;        /* the first association failed: nothing more is taken */
    char why[160];
    bool is_stopped;
};

/* One association's thread. `n_ended` is its own and needs no lock. */
struct worker {
    struct shared *shared;
    bool is_first;
    size_t n_ended; /* of its chunk */
};

static void unref(struct shared *shared)
{
    pthread_mutex_lock(&shared->lock);
    unsigned left = --shared->references;
    pthread_mutex_unlock(&shared->lock);
    if (left)
        return;
    pthread_cond_destroy(&shared->news);
    pthread_mutex_destroy(&shared->lock);
    hl_arena_fini(&shared->arena);
    free(shared->ended);
    free(shared);
}

/* ---- workers ---------------------------------------------------------------------------------- */

/* The next chunk; false when there is none or nothing more is to be begun. */
static bool take(struct shared *shared, size_t *start, size_t *n)
{
    pthread_mutex_lock(&shared->lock);
    *start = shared->next;
    *n = shared->is_stopped || shared->broken ? 0 : shared->n - shared->next;
    if (*n > shared->chunk)
        *n = shared->chunk;
    shared->next += *n;
    pthread_mutex_unlock(&shared->lock);
    return *n > 0;
}

/* Progress of hl_scu_store_over, on the worker's thread: files the end and passes a stop on. */
static hilum_rc note_end(void *arg, const struct hl_send_item *item)
{
    struct worker *worker = arg;
    struct shared *shared = worker->shared;
    pthread_mutex_lock(&shared->lock);
    shared->ended[shared->n_ended++] = (size_t)(item - shared->items);
    worker->n_ended++;
    bool is_stopped = shared->is_stopped, is_failed = item->rc != HILUM_OK;
    /* The first brings more hands; of the others each would only wake the caller in order to be counted. */
    if (shared->n_ended % TELL_EVERY == 1 || shared->n_ended == shared->n || is_failed)
        pthread_cond_signal(&shared->news);
    pthread_mutex_unlock(&shared->lock);
    return is_stopped ? HILUM_ECANCELLED : HILUM_OK;
}

/* Objects the worker took and was stopped before. Once all of a chunk have ended, the items may be gone. */
static void give_back(struct worker *worker, size_t start, size_t n)
{
    struct shared *shared = worker->shared;
    if (worker->n_ended == n)
        return;
    pthread_mutex_lock(&shared->lock);
    for (size_t i = start; i < start + n; i++)
        if (shared->items[i].rc == HILUM_ECANCELLED)
            shared->ended[shared->n_ended++] = i;
    pthread_cond_signal(&shared->news);
    pthread_mutex_unlock(&shared->lock);
}

/* Only the first worker's: failing to get a second association is no failure. */
static void note_broken(struct shared *shared, hilum_rc rc)
{
    pthread_mutex_lock(&shared->lock);
    if (!shared->broken) {
        shared->broken = rc;
        snprintf(shared->why, sizeof shared->why, "%s", hl_error());
    }
    pthread_cond_signal(&shared->news);
    pthread_mutex_unlock(&shared->lock);
}

static void send_chunks(struct worker *worker, struct hl_link **link)
{
    struct shared *shared = worker->shared;
    struct hl_send_options options = shared->options;
    options.arg = worker;
    size_t start, n;
    while (take(shared, &start, &n)) {
        worker->n_ended = 0;
        hilum_rc rc =
            hl_scu_store_over(shared->scu, &shared->peer, shared->items + start, n, &options, link);
        give_back(worker, start, n);
        if (rc && worker->is_first)
            note_broken(shared, rc);
        if (rc)
            break;
    }
}

static void run_worker(void *arg)
{
    struct worker *worker = arg;
    struct shared *shared = worker->shared;
    struct hl_link *link = NULL;
    /* The first opens its association with what its objects need, and failing is its result. */
    if (worker->is_first ||
        hl_link_get(shared->scu, &shared->peer, &shared->pairs, false, &link) == HILUM_OK)
        send_chunks(worker, &link);
    /* One that came about when the work was done would keep a receiver that serves one at a time from the next. */
    if (link && !worker->is_first && link->answered == 0)
        hl_link_release(link);
    else if (link)
        hl_link_put(shared->scu, &shared->peer, link);
    free(worker);
    unref(shared);
}

/* The reference is taken for the worker before it can run, and given back by whoever ends up not
 * running. */
static hilum_rc start_worker(struct shared *shared, bool is_first)
{
    struct worker *worker = malloc(sizeof *worker);
    if (!worker)
        return hl_fail(HILUM_ENOMEM, "peer %s: out of memory", shared->peer.name);
    *worker = (struct worker){.shared = shared, .is_first = is_first};
    pthread_mutex_lock(&shared->lock);
    shared->references++;
    pthread_mutex_unlock(&shared->lock);
    hilum_rc rc = hl_pool_run(shared->scu->pool, run_worker, worker);
    if (rc) {
        free(worker);
        unref(shared);
    }
    return rc;
}

/* ---- the caller ------------------------------------------------------------------------------- */

static void wait_for_news(struct shared *shared)
{
    int64_t due_ms = hl_mono_ms() + ASK_EVERY_MS;
    struct timespec due = {due_ms / 1000, due_ms % 1000 * 1000000};
    pthread_cond_timedwait(&shared->news, &shared->lock, &due);
}

/* What nobody took because the work was stopped or broke. Lock held. So the sum of ends is n
 * on every way out, and follow() cannot wait for ever. */
static void end_rest(struct shared *shared)
{
    if (!shared->is_stopped && !shared->broken)
        return;
    for (; shared->next < shared->n; shared->next++) {
        struct hl_send_item *item = &shared->items[shared->next];
        item->rc = shared->broken ? shared->broken : HILUM_ECANCELLED;
        item->status = 0;
        snprintf(item->detail, sizeof item->detail, "%s",
                 shared->broken ? shared->why : "stopped before this object");
        shared->ended[shared->n_ended++] = shared->next;
    }
}

/* More hands, once the first association has carried an object: they must not take its place at a receiver
 * that allows few. */
static void start_others(struct shared *shared, unsigned connections)
{
    for (unsigned i = 1; i < connections && i * shared->chunk < shared->n && shared->pairs.n; i++)
        if (start_worker(shared, false))
            break;
}

/* Reports ends until there are n of them. The lock is not held while the user is told. */
static void follow(struct shared *shared, const struct hl_send_options *options)
{
    bool is_stopped = false;
    pthread_mutex_lock(&shared->lock);
    for (size_t told = 0; told < shared->n;) {
        end_rest(shared);
        if (told == shared->n_ended)
            wait_for_news(shared);
        const struct hl_send_item *item =
            told < shared->n_ended ? &shared->items[shared->ended[told]] : NULL;
        told += item != NULL;
        pthread_mutex_unlock(&shared->lock);
        if (item && told == 1 && item->rc == HILUM_OK)
            start_others(shared, options->connections);
        bool is_silent = is_stopped || !options->progress || (item && item->rc == HILUM_ECANCELLED);
        if (!is_silent && options->progress(options->arg, item))
            is_stopped = true;
        pthread_mutex_lock(&shared->lock);
        shared->is_stopped = is_stopped;
    }
    pthread_mutex_unlock(&shared->lock);
}

static const char *keep(struct shared *shared, const char *text)
{
    return text ? hl_arena_strdup(&shared->arena, text) : NULL;
}

static void copy_syntaxes(struct shared *shared, const struct hl_peer *peer)
{
    size_t n = peer->n_transfer_syntaxes;
    const char **copy = n ? hl_arena_alloc(&shared->arena, n * sizeof *copy) : NULL;
    shared->peer.transfer_syntaxes = copy;
    shared->peer.n_transfer_syntaxes = copy ? n : 0;
    for (size_t i = 0; copy && i < n; i++)
        copy[i] = keep(shared, peer->transfer_syntaxes[i]);
}

/* What an association needs of a peer; its other lists are for those who call us. A worker may
 * be waiting for its association (connect_timeout) long after the call has returned. */
static void copy_peer(struct shared *shared, const struct hl_peer *peer)
{
    struct hl_peer *copy = &shared->peer;
    *copy = *peer;
    copy->name = keep(shared, peer->name);
    copy->aet = keep(shared, peer->aet);
    copy->own_aet = keep(shared, peer->own_aet);
    copy->host = keep(shared, peer->host);
    copy->tls.certificate = keep(shared, peer->tls.certificate);
    copy->tls.key = keep(shared, peer->tls.key);
    copy->tls.ca = keep(shared, peer->tls.ca);
    copy->tls.server_name = keep(shared, peer->tls.server_name);
    copy_syntaxes(shared, peer);
    shared->pairs.peer = copy;
}

/* One object of every chunk tells: series are of one class and one syntax. */
static void sample_pairs(struct shared *shared)
{
    struct hl_stored stored;
    for (size_t i = 0; i < shared->n; i += shared->chunk)
        if (hl_record_stored_by_id(shared->scu->record, shared->items[i].instance_id, &stored) ==
                HILUM_OK &&
            !hl_pairs_add(&shared->pairs, stored.sop_class, stored.transfer_syntax, NULL))
            break;
}

static void init_news(struct shared *shared)
{
    pthread_mutex_init(&shared->lock, NULL);
    hl_mono_cond_init(&shared->news);
}

/* Chunks are small enough that every association gets several, so that a slow one does not end
 * last with many left. */
static struct shared *new_shared(struct hl_scu *scu, const struct hl_peer *peer,
                                 struct hl_send_item *items, size_t n,
                                 const struct hl_send_options *options)
{
    struct shared *shared = calloc(1, sizeof *shared);
    size_t *ended = calloc(n + 1, sizeof *ended);
    if (!shared || !ended) {
        free(shared);
        free(ended);
        return NULL;
    }
    init_news(shared);
    copy_peer(shared, peer);
    shared->references = 1;
    shared->scu = scu;
    shared->items = items;
    shared->n = n;
    shared->ended = ended;
    shared->chunk = n / ((size_t)options->connections * 4) + 1;
    if (shared->chunk > CHUNK_MAX)
        shared->chunk = CHUNK_MAX;
    snprintf(shared->originator, sizeof shared->originator, "%s",
             options->originator_aet ? options->originator_aet : "");
    shared->options = (struct hl_send_options){.as_of = options->as_of,
                                               .originator_aet = shared->originator,
                                               .originator_id = options->originator_id,
                                               .priority = options->priority,
                                               .progress = note_end};
    sample_pairs(shared);
    return shared;
}

/* Returns when every item has ended; workers whose association is still being asked for may
 * outlive the call. */
hilum_rc hl_scu_store_shared(struct hl_scu *scu, const struct hl_peer *peer,
                             struct hl_send_item *items, size_t n,
                             const struct hl_send_options *options)
{
    struct shared *shared = new_shared(scu, peer, items, n, options);
    hilum_rc rc = shared ? start_worker(shared, true)
                         : hl_fail(HILUM_ENOMEM, "peer %s: out of memory", peer->name);
    if (!rc) {
        follow(shared, options);
        pthread_mutex_lock(&shared->lock);
        rc = shared->broken;
        pthread_mutex_unlock(&shared->lock);
        if (rc)
            (void)hl_fail(rc, "%s", shared->why);
    }
    if (shared)
        unref(shared);
    return rc;
}
