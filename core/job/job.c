/* The runner as a whole: options, types, start, stop. Knows nothing of entries and lanes.
 *
 * Options are under the lock and read as a copy; types are fixed once started, so they are read
 * without one. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/job/internal.h"

int64_t hl_jobs_after(int64_t ms)
{
    return hl_now_us() + ms * 1000;
}

/* With `lock` held. May return early, like any condition: callers look again. */
void hl_jobs_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t ms)
{
    if (ms <= 0) {
        pthread_cond_wait(cond, lock);
        return;
    }
    struct timespec until = hl_mono_timespec(hl_mono_ms() + ms);
    pthread_cond_timedwait(cond, lock, &until);
}

/* Nothing runs: types are registered between this and the start. */
hilum_rc hl_jobs_new(struct hl_record *record, struct hl_bus *bus,
                     const struct hl_jobs_options *options, const struct hl_jobs_env *env,
                     struct hl_jobs **out)
{
    struct hl_jobs *jobs = calloc(1, sizeof *jobs);
    if (!jobs) {
        return hl_fail(HILUM_ENOMEM, "jobs: no memory");
    }
    jobs->record = record;
    jobs->bus = bus;
    if (env) {
        jobs->env = *env;
    }
    pthread_mutex_init(&jobs->lock, NULL);
    hl_jobs_configure(jobs, options);
    *out = jobs;
    return HILUM_OK;
}

/* Zero and nonsense become defaults here, so that nobody below divides or waits by them. */
void hl_jobs_configure(struct hl_jobs *jobs, const struct hl_jobs_options *options)
{
    struct hl_jobs_options o = *options;
    o.retry_first_ms = o.retry_first_ms > 0 ? o.retry_first_ms : 10000;
    o.retry_max_ms = o.retry_max_ms >= o.retry_first_ms ? o.retry_max_ms : o.retry_first_ms;
    o.max_lanes = o.max_lanes ? o.max_lanes : 16;
    o.notify_threads = o.notify_threads ? o.notify_threads : 2;
    o.notify_retry_ms = o.notify_retry_ms > 0 ? o.notify_retry_ms : 1000;
    pthread_mutex_lock(&jobs->lock);
    jobs->options = o;
    pthread_mutex_unlock(&jobs->lock);
}

struct hl_jobs_options hl_jobs_options_now(struct hl_jobs *jobs)
{
    pthread_mutex_lock(&jobs->lock);
    struct hl_jobs_options options = jobs->options;
    pthread_mutex_unlock(&jobs->lock);
    return options;
}

/* Before the start only, on one thread: lanes read the table without a lock. */
hilum_rc hl_jobs_register(struct hl_jobs *jobs, const struct hl_job_type *type)
{
    if (jobs->lanes) {
        return hl_fail(HILUM_EDENIED, "job type %s: declared after the start", type->type);
    }
    for (size_t i = 0; i < jobs->n_types; i++) {
        if (strcmp(jobs->types[i].type, type->type) == 0) {
            return hl_fail(HILUM_EEXISTS, "job type %s: declared twice", type->type);
        }
    }
    if (jobs->n_types == HL_JOB_TYPES) {
        return hl_fail(HILUM_ENOMEM, "job type %s: there are %d already", type->type, HL_JOB_TYPES);
    }
    struct hl_job_type *slot = &jobs->types[jobs->n_types++];
    *slot = *type;
    slot->batch = slot->batch ? slot->batch : 1;
    slot->per_lane = slot->per_lane ? slot->per_lane : 1;
    return HILUM_OK;
}

/* Lanes first: what the journal plans finds them there. */
hilum_rc hl_jobs_start(struct hl_jobs *jobs)
{
    hilum_rc rc = hl_lanes_start(jobs, &jobs->lanes);
    return rc < 0 ? rc : hl_notify_start(jobs, &jobs->notify);
}

void hl_jobs_nudge(struct hl_jobs *jobs, const char *lane)
{
    if (jobs->lanes) {
        hl_lanes_nudge(jobs->lanes, lane);
    }
}

/* Before the start there is nothing to tell, and after the stop the halves are still there. */
void hl_jobs_status(struct hl_jobs *jobs, struct hl_buf *json)
{
    hl_buf_text(json, "{\"notify\":");
    if (jobs->notify) {
        hl_notify_status(jobs->notify, json);
    } else {
        hl_buf_text(json, "null");
    }
    hl_buf_text(json, ",\"lanes\":");
    if (jobs->lanes) {
        hl_lanes_status(jobs->lanes, json);
    } else {
        hl_buf_text(json, "[]");
    }
    hl_buf_byte(json, '}');
}

/* The journal runner plans no more while lanes finish; `ms` is for both together. */
void hl_jobs_stop(struct hl_jobs *jobs, uint32_t ms)
{
    int64_t until = hl_mono_ms() + ms;
    if (jobs->notify) {
        hl_notify_stop(jobs->notify);
    }
    if (jobs->lanes) {
        hl_lanes_stop(jobs->lanes);
        hl_lanes_wait(jobs->lanes, until);
    }
    if (jobs->notify) {
        hl_notify_wait(jobs->notify, until);
    }
}

void hl_jobs_free(struct hl_jobs *jobs)
{
    if (!jobs) {
        return;
    }
    hl_notify_free(jobs->notify);
    hl_lanes_free(jobs->lanes);
    pthread_mutex_destroy(&jobs->lock);
    free(jobs);
}
