/* What the two halves of core/job share. Nothing outside this folder includes it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_JOB_INTERNAL_H
#define HL_JOB_INTERNAL_H

#include <pthread.h>

#include "core/job/job.h"

enum { HL_JOB_TYPES = 64 };

struct hl_notify;
struct hl_lanes;

struct hl_jobs {
    struct hl_record *record;
    struct hl_bus *bus;
    struct hl_jobs_env env;
    struct hl_job_type types[HL_JOB_TYPES]; /* fixed once started */
    size_t n_types;
    pthread_mutex_t lock; /* options */
    struct hl_jobs_options options;
    struct hl_notify *notify;
    struct hl_lanes *lanes;
};

/* A copy: hl_jobs_configure may change them meanwhile. */
struct hl_jobs_options hl_jobs_options_now(struct hl_jobs *jobs);
/* Wall-clock time `ms` from now, for records. */
int64_t hl_jobs_after(int64_t ms);
/* Waits on a monotonic condition until woken or `ms` have passed; 0: until woken. */
void hl_jobs_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t ms);

/* ---- notify.c --------------------------------------------------------------------------------- */
/* Starts the feeder and the workers. On failure too *out may be set: hl_notify_free takes what
 * there is. */
hilum_rc hl_notify_start(struct hl_jobs *jobs, struct hl_notify **out);
void hl_notify_stop(struct hl_notify *notify); /* asks; returns at once */
bool hl_notify_wait(struct hl_notify *notify, int64_t until_ms);
void hl_notify_free(struct hl_notify *notify); /* joins */
void hl_notify_status(struct hl_notify *notify, struct hl_buf *json);

/* ---- entry.c: one journal entry through its hooks ---------------------------------------------- */
struct hl_entry {
    struct hl_journal_entry journal; /* its texts follow in the same allocation */
    struct hl_entry *next, *next_in_table;
    struct hl_study *study;
    /* after running */
    hilum_event *event;
    struct hl_arena arena;
    struct hl_hook_result *results;
    size_t n_results;
    int64_t retry_us;
    unsigned failed; /* hooks */
};
/* NULL: no memory. Owned by whoever has it in hand: feeder, queue of its study, or a worker's
 * batch. */
struct hl_entry *hl_entry_copy(const struct hl_journal_entry *journal);
void hl_entry_free(struct hl_entry *entry);
/* Runs the hooks that match (or, in a retry, those that failed) and fills the results. */
void hl_entry_run(struct hl_jobs *jobs, struct hl_entry *entry);
/* Writes the ends of n entries. false: nothing was written and they must be read again later. */
bool hl_entries_end(struct hl_jobs *jobs, struct hl_entry *const *entries, size_t n);

/* ---- lanes.c ---------------------------------------------------------------------------------- */
/* As hl_notify_start. Jobs a process that is gone had in hand are due at once. */
hilum_rc hl_lanes_start(struct hl_jobs *jobs, struct hl_lanes **out);
/* Something may be due: looked for now. Any thread, also under the record's wake_lock: it takes
 * the lanes' lock and no other. */
void hl_lanes_wake(struct hl_lanes *lanes);
/* Opens a lane that waits for its destination, and looks. */
void hl_lanes_nudge(struct hl_lanes *lanes, const char *lane);
/* Asks; returns at once. hl_lanes_wait: true when no lane is at work any more; hl_lanes_free
 * joins. */
void hl_lanes_stop(struct hl_lanes *lanes);
bool hl_lanes_wait(struct hl_lanes *lanes, int64_t until_ms);
void hl_lanes_free(struct hl_lanes *lanes);
void hl_lanes_status(struct hl_lanes *lanes, struct hl_buf *json);

#endif
