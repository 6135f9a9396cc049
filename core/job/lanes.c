/* The outbox: a lane per destination, with a thread while it has work. A destination that cannot
 * be reached stops its own lane and no other. Knows nothing of what a job does.
 *
 * One scheduler thread looks at what is due and gives lanes workers from a pool; a worker claims
 * a batch, runs it, writes its ends and goes on while there is more. Everything in a lane is
 * under the one lock, which is never held over a job or the record. A job is in `running` from
 * its claim until its end is written, so that an expired lease does not run it twice.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/base/pool.h"
#include "core/job/internal.h"

enum {
    LEASE_MS = 30000, /* what a crash costs; a longer job is safe, see attempts_claim */
    BATCH_MAX = 64,
    TICK_MS = 10000,   /* due work is found by then even if nobody woke us */
    TROUBLE_MS = 1000, /* after the record failed */
    RUNNING_MAX = 256  /* jobs of one lane at work */
};

/* Made when a job of that name is first due, and kept: failures and counts are its memory. */
struct lane {
    struct hl_lanes *lanes;
    struct lane *next;
    char name[64];
    unsigned active;         /* workers */
    unsigned failures;       /* in a row: the destination was not reached */
    int64_t closed_until_ms; /* monotonic */
    unsigned nudges;         /* so often it was said that its destination is back */
    uint64_t served; /* turn in which it last got a worker: the longest waiting comes first */
    bool is_due;
    int64_t running[RUNNING_MAX];
    size_t n_running;
    uint64_t n_done, n_failed, n_retried;
    char error[128];
};

struct hl_lanes {
    struct hl_jobs *jobs;
    struct hl_pool *pool;
    pthread_mutex_t lock; /* everything below, and the lanes */
    pthread_cond_t wake, idle;
    pthread_t scheduler;
    struct lane *all;
    unsigned n_active;
    uint64_t turn;
    bool is_woken, is_stopping, is_started;
    bool is_starved; /* lanes wait for a thread: workers give theirs back after a batch */
};

static void lane_main(void *arg);

/* ---- lanes (lock held) ---------------------------------------------------------------------------- */

static struct lane *lane_find(struct hl_lanes *lanes, const char *name)
{
    struct lane *lane = lanes->all;
    while (lane && strcmp(lane->name, name) != 0) {
        lane = lane->next;
    }
    return lane;
}

/* NULL: no memory. */
static struct lane *lane_obtain(struct hl_lanes *lanes, const char *name)
{
    struct lane *lane = lane_find(lanes, name);
    if (!lane && (lane = calloc(1, sizeof *lane))) {
        lane->lanes = lanes;
        snprintf(lane->name, sizeof lane->name, "%s", name);
        lane->next = lanes->all;
        lanes->all = lane;
    }
    return lane;
}

static const struct hl_job_type *type_find(struct hl_jobs *jobs, const char *type)
{
    for (size_t i = 0; i < jobs->n_types; i++) {
        if (strcmp(jobs->types[i].type, type) == 0) {
            return &jobs->types[i];
        }
    }
    return NULL;
}

static const struct hl_job_type *type_of_lane(struct hl_jobs *jobs, const char *lane)
{
    if (hl_lane_peer(lane) != lane)
        return type_find(jobs, "retrieve");
    size_t n = strlen(HL_LANE_JOB);
    return type_find(jobs, strncmp(lane, HL_LANE_JOB, n) == 0 ? lane + n : "send");
}

/* A lane whose destination was away sends one job ahead before it sends the rest. */
static unsigned lane_workers(const struct lane *lane)
{
    const struct hl_job_type *type = type_of_lane(lane->lanes->jobs, lane->name);
    return type && lane->failures == 0 ? type->per_lane : 1;
}

static unsigned lane_batch(const struct lane *lane)
{
    const struct hl_job_type *type = type_of_lane(lane->lanes->jobs, lane->name);
    unsigned batch = type && lane->failures == 0 ? type->batch : 1;
    return batch < BATCH_MAX ? batch : BATCH_MAX;
}

/* A peer's own values over the common ones. */
static struct hl_jobs_options options_of(struct hl_jobs *jobs, const char *lane)
{
    struct hl_jobs_options options = hl_jobs_options_now(jobs);
    if (jobs->env.tune) {
        jobs->env.tune(jobs->env.arg, lane, &options);
    }
    return options;
}

/* Doubling, up to the maximum, a fifth more or less: destinations that went away together shall not be
 * asked together. */
static int64_t backoff_ms(const struct hl_jobs_options *options, unsigned attempts, uint64_t seed)
{
    int64_t ms = options->retry_first_ms;
    for (unsigned i = 0; i < attempts && ms < options->retry_max_ms; i++) {
        ms *= 2;
    }
    ms = ms < options->retry_max_ms ? ms : options->retry_max_ms;
    seed ^= (uint64_t)hl_mono_ns();
    seed = (seed ^ (seed >> 33)) * 0xff51afd7ed558ccdu;
    seed ^= seed >> 33;
    return ms * (int64_t)(80 + seed % 41) / 100;
}

/* ---- scheduler ------------------------------------------------------------------------------------ */

/* Callback of the record, on the scheduler's thread. */
static hilum_rc due_mark(void *arg, const char *name)
{
    struct hl_lanes *lanes = arg;
    pthread_mutex_lock(&lanes->lock);
    struct lane *lane = lane_obtain(lanes, name);
    if (lane) {
        lane->is_due = true;
    }
    pthread_mutex_unlock(&lanes->lock);
    return lane ? HILUM_OK : hl_fail(HILUM_ENOMEM, "lane %s: no memory", name);
}

/* The due lane that may start and has waited longest. Lock held. */
static struct lane *lane_next(struct hl_lanes *lanes, int64_t now)
{
    struct lane *best = NULL;
    for (struct lane *lane = lanes->all; lane; lane = lane->next) {
        if (lane->is_due && lane->closed_until_ms <= now && lane->active < lane_workers(lane) &&
            (!best || lane->served < best->served)) {
            best = lane;
        }
    }
    return best;
}

static void lane_start(struct hl_lanes *lanes, struct lane *lane)
{
    lane->is_due = false;
    lane->served = ++lanes->turn;
    if (hl_pool_run(lanes->pool, lane_main, lane) < 0) {
        hl_log(HL_ERROR, "job", "lane %s: %s", lane->name, hl_error());
        return; /* the next tick tries again */
    }
    lane->active++;
    lanes->n_active++;
}

/* Starts what may start; returns in how many ms a closed lane opens. Lock held. */
static int64_t lanes_start(struct hl_lanes *lanes, unsigned max)
{
    int64_t now = hl_mono_ms(), soonest = TICK_MS;
    struct lane *lane;
    while (lanes->n_active < max && (lane = lane_next(lanes, now))) {
        lane_start(lanes, lane);
    }
    lanes->is_starved = lane_next(lanes, now) != NULL;
    for (lane = lanes->all; lane; lane = lane->next) {
        int64_t left = lane->closed_until_ms - now;
        if (lane->is_due && left > 0 && left < soonest) {
            soonest = left;
        }
        lane->is_due = false; /* asked anew next time */
    }
    return soonest;
}

/* One look at what is due; returns when to look again. */
static int64_t schedule(struct hl_lanes *lanes)
{
    int64_t next_due_us = 0;
    unsigned max = hl_jobs_options_now(lanes->jobs).max_lanes;
    hilum_rc rc = hl_record_lanes_due(lanes->jobs->record, due_mark, lanes, &next_due_us);
    if (rc < 0) {
        hl_log(HL_ERROR, "job", "outbox: %s", hl_error());
        return TROUBLE_MS;
    }
    pthread_mutex_lock(&lanes->lock);
    int64_t soonest = lanes_start(lanes, max);
    pthread_mutex_unlock(&lanes->lock);
    int64_t due_ms = (next_due_us - hl_now_us()) / 1000 + 1;
    return next_due_us > 0 && due_ms > 0 && due_ms < soonest ? due_ms : soonest;
}

/* is_woken is cleared before looking: what becomes due while it looks makes it look again. */
static void *scheduler_main(void *arg)
{
    struct hl_lanes *lanes = arg;
    pthread_mutex_lock(&lanes->lock);
    while (!lanes->is_stopping) {
        lanes->is_woken = false;
        pthread_mutex_unlock(&lanes->lock);
        int64_t until = hl_mono_ms() + schedule(lanes);
        pthread_mutex_lock(&lanes->lock);
        for (int64_t left;
             !lanes->is_stopping && !lanes->is_woken && (left = until - hl_mono_ms()) > 0;) {
            hl_jobs_wait(&lanes->wake, &lanes->lock, left);
        }
    }
    pthread_mutex_unlock(&lanes->lock);
    return NULL;
}

void hl_lanes_wake(struct hl_lanes *lanes)
{
    pthread_mutex_lock(&lanes->lock);
    lanes->is_woken = true;
    pthread_cond_signal(&lanes->wake);
    pthread_mutex_unlock(&lanes->lock);
}

/* ---- one batch ------------------------------------------------------------------------------------ */

/* One batch. `ends` are in the order of `attempts`; texts are in the arena. */
struct claim {
    struct lane *lane;
    struct hl_job_attempt attempts[BATCH_MAX];
    struct hl_job_end ends[BATCH_MAX];
    size_t n, limit;
    unsigned nudges; /* of the lane, when it began */
    struct hl_arena arena;
};

/* A lease that ran out under a job still at work hands the same job out again: that renews the lease, and
 * the job is not run twice. */
static hilum_rc attempts_claim(void *arg, const struct hl_job *job)
{
    struct claim *claim = arg;
    struct lane *lane = claim->lane;
    const char *arguments = hl_arena_strdup(&claim->arena, job->arguments ? job->arguments : "{}");
    if (!arguments) {
        return hl_fail(HILUM_ENOMEM, "job %lld: no memory", (long long)job->id);
    }
    pthread_mutex_lock(&lane->lanes->lock);
    bool is_mine = claim->n < BATCH_MAX && lane->n_running < RUNNING_MAX;
    for (size_t i = 0; i < lane->n_running && is_mine; i++) {
        is_mine = lane->running[i] != job->id;
    }
    if (is_mine) {
        lane->running[lane->n_running++] = job->id;
    }
    pthread_mutex_unlock(&lane->lanes->lock);
    if (is_mine) {
        struct hl_job_attempt *attempt = &claim->attempts[claim->n++];
        *attempt = (struct hl_job_attempt){.job = *job, .rc = HILUM_EINTERNAL};
        attempt->job.arguments = arguments;
    }
    return HILUM_OK;
}

/* Hands neighbours of one type over together. */
static void attempts_run(struct hl_jobs *jobs, struct claim *claim)
{
    for (size_t i = 0, n; i < claim->n; i += n) {
        struct hl_job_attempt *first = &claim->attempts[i];
        for (n = 1; i + n < claim->n && strcmp(first[n].job.type, first->job.type) == 0; n++) {
        }
        const struct hl_job_type *type = type_find(jobs, first->job.type);
        if (type) {
            type->run(type->arg, claim->lane->name, first, n);
            continue;
        }
        for (size_t j = 0; j < n; j++) {
            first[j].rc = HILUM_EUNSUP;
            snprintf(first[j].result, sizeof first[j].result, "nothing loaded does jobs of type %s",
                     first->job.type);
        }
    }
}

/* What an attempt came to: done, tried again at a time, or failed for good. Attempts count from
 * 1, this one included. */
static struct hl_job_end end_of(const struct hl_job_attempt *attempt,
                                const struct hl_jobs_options *options)
{
    struct hl_job_end end = {
        .id = attempt->job.id, .is_done = attempt->rc >= 0, .result = attempt->result};
    if (end.is_done) {
        return end;
    }
    if (attempt->is_unreachable) {
        end.is_uncounted = true;
        end.retry_us = hl_now_us(); /* due: what waits is the lane, which a nudge opens */
        return end;
    }
    bool is_last = options->max_attempts && attempt->job.attempts >= options->max_attempts;
    if (!attempt->is_permanent && !is_last) {
        unsigned before = attempt->job.attempts ? attempt->job.attempts - 1 : 0;
        end.retry_us = hl_jobs_after(backoff_ms(options, before, (uint64_t)attempt->job.id));
    }
    return end;
}

/* Ends that are not written are done again after the lease: try for as long as there is time. */
static void ends_write(struct hl_lanes *lanes, const struct claim *claim)
{
    bool is_over = false;
    while (hl_record_jobs_end(lanes->jobs->record, claim->ends, claim->n) < 0 && !is_over) {
        hl_log(HL_ERROR, "job", "lane %s: ends of %zu jobs: %s", claim->lane->name, claim->n,
               hl_error());
        pthread_mutex_lock(&lanes->lock);
        if (!lanes->is_stopping) {
            hl_jobs_wait(&lanes->idle, &lanes->lock, TROUBLE_MS);
        }
        is_over = lanes->is_stopping;
        pthread_mutex_unlock(&lanes->lock);
    }
}

/* Lock held. Order means nothing, so the last one takes the place. */
static void running_remove(struct lane *lane, int64_t id)
{
    for (size_t i = 0; i < lane->n_running; i++) {
        if (lane->running[i] == id) {
            lane->running[i] = lane->running[--lane->n_running];
            return;
        }
    }
}

/* What the batch says about the lane. Lock held. */
static void lane_learn(struct lane *lane, const struct claim *claim,
                       const struct hl_jobs_options *options)
{
    size_t unreached = 0;
    for (size_t i = 0; i < claim->n; i++) {
        const struct hl_job_attempt *attempt = &claim->attempts[i];
        const struct hl_job_end *end = &claim->ends[i];
        running_remove(lane, attempt->job.id);
        unreached += attempt->is_unreachable && !end->is_done;
        lane->n_done += end->is_done;
        lane->n_retried += !end->is_done && end->retry_us;
        lane->n_failed += !end->is_done && !end->retry_us;
        if (!end->is_done) {
            snprintf(lane->error, sizeof lane->error, "%s", attempt->result);
        }
    }
    if (unreached < claim->n) {
        lane->failures = 0;
        lane->closed_until_ms = 0;
        return;
    }
    uint64_t seed = (uint64_t)claim->attempts[0].job.id;
    /* A nudge while it failed is younger than the attempt, and is not undone by it. */
    if (claim->nudges == lane->nudges) {
        lane->closed_until_ms = hl_mono_ms() + backoff_ms(options, lane->failures, seed);
    }
    lane->failures++;
}

/* A reader may still see due work that the writer cannot claim (a database that went away): without
 * a pause the scheduler would offer it again at once, and again. */
static void lane_pause(struct lane *lane)
{
    pthread_mutex_lock(&lane->lanes->lock);
    int64_t until = hl_mono_ms() + TROUBLE_MS;
    lane->closed_until_ms = lane->closed_until_ms > until ? lane->closed_until_ms : until;
    pthread_mutex_unlock(&lane->lanes->lock);
}

/* false: there is nothing (more) to do now. */
static bool batch_run(struct hl_lanes *lanes, struct lane *lane, unsigned limit)
{
    struct claim claim = {.lane = lane, .limit = limit};
    struct hl_jobs_options options = options_of(lanes->jobs, lane->name);
    pthread_mutex_lock(&lanes->lock);
    claim.nudges = lane->nudges;
    pthread_mutex_unlock(&lanes->lock);
    hilum_rc rc = hl_record_jobs_claim(lanes->jobs->record, lane->name, limit, LEASE_MS,
                                       attempts_claim, &claim);
    if (rc < 0) {
        hl_log(HL_ERROR, "job", "lane %s: %s", lane->name, hl_error());
        lane_pause(lane);
    }
    bool is_full = claim.n == limit;
    if (claim.n > 0) {
        if (is_full) {
            hl_lanes_wake(lanes); /* there may be work for a second worker of this lane */
        }
        attempts_run(lanes->jobs, &claim);
        for (size_t i = 0; i < claim.n; i++) {
            claim.ends[i] = end_of(&claim.attempts[i], &options);
        }
        ends_write(lanes, &claim);
        pthread_mutex_lock(&lanes->lock);
        lane_learn(lane, &claim, &options);
        pthread_mutex_unlock(&lanes->lock);
    }
    hl_arena_fini(&claim.arena);
    return is_full && rc >= 0;
}

/* A worker ends when there is nothing more, when its lane is closed, when others starve, or when
 * the lane has more workers than it may have. */
static void lane_main(void *arg)
{
    struct lane *lane = arg;
    struct hl_lanes *lanes = lane->lanes;
    bool has_more = true;
    pthread_mutex_lock(&lanes->lock);
    while (has_more && !lanes->is_stopping && lane->closed_until_ms <= hl_mono_ms()) {
        unsigned limit = lane_batch(lane);
        pthread_mutex_unlock(&lanes->lock);
        has_more = batch_run(lanes, lane, limit);
        pthread_mutex_lock(&lanes->lock);
        has_more = has_more && !lanes->is_starved && lane->active <= lane_workers(lane);
    }
    lane->active--;
    lanes->n_active--;
    lanes->is_woken = true; /* a thread is free, or this lane has a time to wait for */
    pthread_cond_signal(&lanes->wake);
    pthread_cond_broadcast(&lanes->idle);
    pthread_mutex_unlock(&lanes->lock);
}

/* ---- life ----------------------------------------------------------------------------------------- */

/* Of the record, after a commit: under its wake_lock, so it only sets a flag and signals. */
static void jobs_wake(void *arg)
{
    hl_lanes_wake(arg);
}

hilum_rc hl_lanes_start(struct hl_jobs *jobs, struct hl_lanes **out)
{
    struct hl_lanes *lanes = calloc(1, sizeof *lanes);
    if (!lanes) {
        return hl_fail(HILUM_ENOMEM, "outbox: no memory");
    }
    lanes->jobs = jobs;
    pthread_mutex_init(&lanes->lock, NULL);
    hl_mono_cond_init(&lanes->wake);
    hl_mono_cond_init(&lanes->idle);
    *out = lanes;
    /* More threads than lanes may be at work, so that a raised limit needs no restart. */
    hilum_rc rc = hl_pool_new("lane", 256, &lanes->pool);
    if (rc < 0) {
        return rc;
    }
    rc = hl_record_jobs_release(jobs->record);
    if (rc < 0) {
        hl_log(HL_WARN, "job", "jobs of an earlier process wait for their lease: %s", hl_error());
    }
    hl_record_on_jobs(jobs->record, jobs_wake, lanes);
    if (pthread_create(&lanes->scheduler, NULL, scheduler_main, lanes) != 0) {
        return hl_fail(HILUM_ENOMEM, "outbox: no thread");
    }
    lanes->is_started = true;
    return HILUM_OK;
}

void hl_lanes_nudge(struct hl_lanes *lanes, const char *name)
{
    pthread_mutex_lock(&lanes->lock);
    for (struct lane *lane = lanes->all; lane; lane = lane->next) {
        if (!name || strcmp(lane->name, name) == 0) {
            lane->closed_until_ms = 0;
            lane->nudges++;
        }
    }
    lanes->is_woken = true;
    pthread_cond_signal(&lanes->wake);
    pthread_mutex_unlock(&lanes->lock);
}

void hl_lanes_stop(struct hl_lanes *lanes)
{
    pthread_mutex_lock(&lanes->lock);
    lanes->is_stopping = true;
    pthread_cond_broadcast(&lanes->wake);
    pthread_cond_broadcast(&lanes->idle);
    pthread_mutex_unlock(&lanes->lock);
}

bool hl_lanes_wait(struct hl_lanes *lanes, int64_t until_ms)
{
    pthread_mutex_lock(&lanes->lock);
    for (int64_t left; lanes->n_active && (left = until_ms - hl_mono_ms()) > 0;) {
        hl_jobs_wait(&lanes->idle, &lanes->lock, left);
    }
    bool is_idle = lanes->n_active == 0;
    pthread_mutex_unlock(&lanes->lock);
    return is_idle;
}

/* The record first, so that it wakes nobody who is gone; then the scheduler, who gives out work;
 * then the workers. */
void hl_lanes_free(struct hl_lanes *lanes)
{
    if (!lanes) {
        return;
    }
    hl_lanes_stop(lanes);
    hl_record_on_jobs(lanes->jobs->record, NULL, NULL);
    if (lanes->is_started) {
        pthread_join(lanes->scheduler, NULL);
    }
    hl_pool_free(lanes->pool);
    while (lanes->all) {
        struct lane *lane = lanes->all;
        lanes->all = lane->next;
        free(lane);
    }
    pthread_cond_destroy(&lanes->wake);
    pthread_cond_destroy(&lanes->idle);
    pthread_mutex_destroy(&lanes->lock);
    free(lanes);
}

/* closed_ms: until the lane tries again. */
void hl_lanes_status(struct hl_lanes *lanes, struct hl_buf *json)
{
    int64_t now = hl_mono_ms();
    hl_buf_byte(json, '[');
    pthread_mutex_lock(&lanes->lock);
    for (const struct lane *lane = lanes->all; lane; lane = lane->next) {
        int64_t left = lane->closed_until_ms - now;
        hl_buf_text(json, "{\"lane\":");
        hl_buf_json_string(json, lane->name);
        hl_buf_printf(json,
                      ",\"running\":%zu,\"done\":%llu,\"retried\":%llu,\"failed\":%llu,"
                      "\"unreachable\":%u,\"closed_ms\":%lld,\"error\":",
                      lane->n_running, (unsigned long long)lane->n_done,
                      (unsigned long long)lane->n_retried, (unsigned long long)lane->n_failed,
                      lane->failures, (long long)(left > 0 ? left : 0));
        hl_buf_json_string(json, lane->error);
        hl_buf_text(json, lane->next ? "}," : "}");
    }
    pthread_mutex_unlock(&lanes->lock);
    hl_buf_byte(json, ']');
}
