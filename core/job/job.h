/* What happens after the answer: the journal runner (notify hooks, at least once, in order per study) and the
 * outbox (independent lanes per destination, retry with backoff). It knows the record, the bus and a table
 * of job types; it knows nothing of Lua and of DICOM. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_JOB_H
#define HL_JOB_H

#include "core/bus/bus.h"
#include "core/record/record.h"

struct hl_jobs;

/* Does jobs of one type. Gets up to `batch` claimed jobs of one lane; fills ends[i] (same order). retry_us of a
 * failed end is computed by the runner unless `is_permanent` is set. */
struct hl_job_attempt {
    struct hl_job job;   /* strings owned by the runner; arguments: JSON, "{}" where it has none */
    hilum_rc rc;         /* out */
    bool is_permanent;   /* out: no retry makes sense */
    bool is_unreachable; /* out: the destination could not be reached at all: the whole lane
                                    * waits, and this counts as no attempt of the job */
    char result[192];    /* out: proof or reason */
};
struct hl_job_type {
    const char *type;
    unsigned batch;    /* jobs of a lane handed over at once */
    unsigned per_lane; /* calls at once for one lane */
    void (*run)(void *arg, const char *lane, struct hl_job_attempt *attempts, size_t n);
    void *arg;
};

struct hl_jobs_options {
    int64_t retry_first_ms, retry_max_ms; /* backoff doubles, with jitter */
    unsigned max_attempts;                /* 0: for ever */
    unsigned max_lanes;      /* lanes at work at once; each has a thread while it has work */
    unsigned notify_threads; /* journal entries of different studies at once */
    int64_t notify_retry_ms;
};

/* How the runner reads attributes of the instance an event is about, by DICOM keyword (UTF-8 into out; false if
 * absent). Called on the runner's threads. May be NULL. */
struct hl_jobs_env {
    bool (*resolve)(void *arg, const struct hl_journal_entry *entry, const char *keyword,
                    struct hl_buf *out);
    void *arg;
    /* Replaces retry_first_ms, retry_max_ms and max_attempts for a lane (a peer's own). May be NULL. */
    void (*tune)(void *arg, const char *lane, struct hl_jobs_options *options);
    /* The version of the rule behind a hook, for traces. May be NULL; false: none. */
    bool (*version)(void *arg, const char *hook, char out[17]);
};

/* Does nothing yet. `env` may be NULL; what it and `record`, `bus` point to must outlive the
 * runner. HILUM_ENOMEM. */
hilum_rc hl_jobs_new(struct hl_record *record, struct hl_bus *bus,
                     const struct hl_jobs_options *options, const struct hl_jobs_env *env,
                     struct hl_jobs **out);
hilum_rc hl_jobs_register(struct hl_jobs *jobs, const struct hl_job_type *type); /* before start */
/* Starts the threads. HILUM_ENOMEM; hl_jobs_free is due in any case. */
hilum_rc hl_jobs_start(struct hl_jobs *jobs);
/* New options for what begins from now on. Any thread. */
void hl_jobs_configure(struct hl_jobs *jobs, const struct hl_jobs_options *options);
/* A destination is known to be back (it answered an echo): its lane is due now. NULL: all are, since somebody says so. */
void hl_jobs_nudge(struct hl_jobs *jobs, const char *lane);
/* Appends counts of the journal runner and of each lane as one JSON object. Any thread. */
void hl_jobs_status(struct hl_jobs *jobs, struct hl_buf *json);
/* Stops taking work, waits up to ms for what runs; unfinished jobs are due again after their lease. */
void hl_jobs_stop(struct hl_jobs *jobs, uint32_t ms);
/* Joins all threads, so it may wait for a job at work. No other call may be under way. NULL is
 * fine. */
void hl_jobs_free(struct hl_jobs *jobs);

#endif
