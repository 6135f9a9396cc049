/* A record in memory: the functions of core/record that core/job calls, with the same promises, so that the
 * runner is tested without a database and with failures on demand. SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_FAKE_RECORD_H
#define TEST_FAKE_RECORD_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/job/job.h"

enum { FAKE_ENTRIES = 60000, FAKE_JOBS = 5000, FAKE_STEPS = 20000 };

struct fake_entry {
    struct hl_journal_entry journal;
    char fields[64], failed[256];
    int64_t due_us;
    bool is_over;
};
struct fake_job {
    struct hl_job job;
    char arguments[64], result[192];
    int64_t due_us, lease_us;
    enum { FAKE_WAITING, FAKE_RUNNING, FAKE_DONE, FAKE_FAILED } state;
};
struct fake_step { /* a row of a plan; unique like the table's */
    int64_t entry;
    char rule[96], arguments[64];
    unsigned ordinal;
};

struct hl_record {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* anything ended */
    struct fake_entry *entries;
    size_t n_entries, n_over;
    struct fake_job *jobs;
    size_t n_jobs, n_done, n_failed;
    struct fake_step *steps;
    size_t n_steps;
    size_t n_transactions, n_traces;
    unsigned fail_ends;             /* so many calls of journal_end, jobs_end fail with EIO */
    unsigned fail_claims, n_claims; /* so many calls of jobs_claim fail with EIO; all calls */
    unsigned refuse;    /* plans with this ordinal + 1 are refused with EINVAL; 0: none */
    bool is_unique_off; /* count replays */
    void (*on_journal)(void *);
    void *on_journal_arg;
    void (*on_jobs)(void *);
    void *on_jobs_arg;
};

static inline struct hl_record *fake_new(void)
{
    struct hl_record *record = calloc(1, sizeof *record);
    pthread_mutex_init(&record->lock, NULL);
    pthread_cond_init(&record->changed, NULL);
    record->entries = calloc(FAKE_ENTRIES, sizeof *record->entries);
    record->jobs = calloc(FAKE_JOBS, sizeof *record->jobs);
    record->steps = calloc(FAKE_STEPS, sizeof *record->steps);
    return record;
}

static inline void fake_free(struct hl_record *record)
{
    pthread_mutex_destroy(&record->lock);
    pthread_cond_destroy(&record->changed);
    free(record->entries);
    free(record->jobs);
    free(record->steps);
    free(record);
}

static inline void fake_wake_journal(struct hl_record *record)
{
    pthread_mutex_lock(&record->lock);
    if (record->on_journal) {
        record->on_journal(record->on_journal_arg);
    }
    pthread_mutex_unlock(&record->lock);
}

static inline void fake_wake_jobs(struct hl_record *record)
{
    pthread_mutex_lock(&record->lock);
    if (record->on_jobs) {
        record->on_jobs(record->on_jobs_arg);
    }
    pthread_mutex_unlock(&record->lock);
}

/* Waits until count() of the record has reached n; fails after a minute. */
static inline void fake_wait(struct hl_record *record, const size_t *count, size_t n)
{
    struct timespec until;
    int rc = 0;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 60; /* what does not come; a busy machine is not at fault */
    pthread_mutex_lock(&record->lock);
    while (*count < n && rc == 0) {
        rc = pthread_cond_timedwait(&record->changed, &record->lock, &until);
    }
    size_t have = *count;
    pthread_mutex_unlock(&record->lock);
    if (have < n) {
        fail_msg("waited for %zu, have %zu", n, have);
    }
}

/* ---- the contract -------------------------------------------------------------------------------- */

hilum_rc hl_record_journal_append(struct hl_record *record, const char *event,
                                  const char *study_uid, const char *fields_json, int64_t *id)
{
    pthread_mutex_lock(&record->lock);
    assert_true(record->n_entries < FAKE_ENTRIES);
    struct fake_entry *entry = &record->entries[record->n_entries++];
    entry->journal.id = *id = (int64_t)record->n_entries;
    snprintf(entry->journal.event, sizeof entry->journal.event, "%s", event);
    snprintf(entry->journal.study_uid, sizeof entry->journal.study_uid, "%s", study_uid);
    snprintf(entry->fields, sizeof entry->fields, "%s",
             strlen(fields_json) < sizeof entry->fields ? fields_json : "{}");
    pthread_mutex_unlock(&record->lock);
    return HILUM_OK;
}

hilum_rc hl_record_journal_due(struct hl_record *record, int64_t after, unsigned limit,
                               hilum_rc (*each)(void *arg, const struct hl_journal_entry *entry),
                               void *arg)
{
    hilum_rc rc = HILUM_OK;
    struct fake_entry *page = calloc(limit, sizeof *page);
    unsigned n = 0;
    pthread_mutex_lock(&record->lock);
    for (size_t i = (size_t)after; i < record->n_entries && n < limit; i++) {
        if (!record->entries[i].is_over && record->entries[i].due_us <= hl_now_us()) {
            page[n++] = record->entries[i];
        }
    }
    pthread_mutex_unlock(&record->lock);
    for (unsigned i = 0; i < n && rc >= 0; i++) {
        page[i].journal.fields = page[i].fields;
        page[i].journal.failed = page[i].failed;
        rc = each(arg, &page[i].journal);
    }
    free(page);
    return rc;
}

static inline hilum_rc fake_plan(struct hl_record *record, int64_t id,
                                 const struct hl_plan_step *step)
{
    if (record->refuse && step->ordinal + 1 == record->refuse) {
        return hl_fail(HILUM_EINVAL, "plan refused");
    }
    for (size_t i = record->n_steps; i > 0 && record->steps[i - 1].entry >= id - 1000; i--) {
        struct fake_step *row = &record->steps[i - 1];
        if (row->entry == id && row->ordinal == step->ordinal &&
            strcmp(row->rule, step->rule) == 0) {
            return HILUM_OK;
        }
    }
    assert_true(record->n_steps < FAKE_STEPS);
    struct fake_step *row = &record->steps[record->n_steps++];
    row->entry = id;
    row->ordinal = step->ordinal;
    snprintf(row->rule, sizeof row->rule, "%s", step->rule);
    snprintf(row->arguments, sizeof row->arguments, "%s", step->arguments);
    return HILUM_OK;
}

static inline hilum_rc fake_end(struct hl_record *record, const struct hl_journal_end *end)
{
    struct fake_entry *entry = &record->entries[end->id - 1];
    hilum_rc rc = HILUM_OK;
    size_t n = 0;
    entry->failed[0] = '\0';
    for (size_t i = 0; i < end->n && rc >= 0; i++) {
        const struct hl_hook_result *result = &end->results[i];
        record->n_traces++;
        for (size_t j = 0; result->verdict >= 0 && j < result->n_plan && rc >= 0; j++) {
            rc = fake_plan(record, end->id, &result->plan[j]);
        }
        if (result->verdict < 0) {
            n += (size_t)snprintf(entry->failed + n, sizeof entry->failed - n, "%s%s",
                                  n ? "\n" : "", result->hook);
        }
    }
    if (rc >= 0 && end->retry_us) {
        entry->journal.attempts++;
        entry->due_us = end->retry_us;
    } else if (rc >= 0 && !entry->is_over) {
        entry->is_over = true;
        record->n_over++;
    }
    return rc;
}

hilum_rc hl_record_journal_end(struct hl_record *record, const struct hl_journal_end *ends,
                               size_t n)
{
    hilum_rc rc = HILUM_OK;
    pthread_mutex_lock(&record->lock);
    size_t steps = record->n_steps, traces = record->n_traces;
    if (record->fail_ends) {
        record->fail_ends--;
        pthread_mutex_unlock(&record->lock);
        return hl_fail(HILUM_EIO, "fake: disk");
    }
    for (size_t i = 0; i < n && rc >= 0; i++) {
        /* Refusals are seen before anything is written: tests have one refused entry a batch. */
        for (size_t j = 0; j < ends[i].n; j++) {
            for (size_t k = 0; k < ends[i].results[j].n_plan; k++) {
                if (record->refuse && ends[i].results[j].plan[k].ordinal + 1 == record->refuse) {
                    rc = hl_fail(HILUM_EINVAL, "plan refused");
                }
            }
        }
    }
    for (size_t i = 0; i < n && rc >= 0; i++) {
        rc = fake_end(record, &ends[i]);
    }
    if (rc < 0) {
        record->n_steps = steps;
        record->n_traces = traces;
    }
    record->n_transactions++;
    pthread_cond_broadcast(&record->changed);
    pthread_mutex_unlock(&record->lock);
    return rc;
}

void hl_record_on_wanted(struct hl_record *record, bool (*wants)(void *arg, const char *event),
                         void *arg)
{
    (void)record, (void)wants, (void)arg; /* every entry here is due: the runner judges */
}

void hl_record_on_journal(struct hl_record *record, void (*wake)(void *arg), void *arg)
{
    pthread_mutex_lock(&record->lock);
    record->on_journal = wake;
    record->on_journal_arg = arg;
    pthread_mutex_unlock(&record->lock);
}

void hl_record_on_jobs(struct hl_record *record, void (*wake)(void *arg), void *arg)
{
    pthread_mutex_lock(&record->lock);
    record->on_jobs = wake;
    record->on_jobs_arg = arg;
    pthread_mutex_unlock(&record->lock);
}

hilum_rc hl_record_job_add(struct hl_record *record, const char *type, const char *lane,
                           int64_t instance_id, int64_t as_of, const char *arguments_json,
                           int64_t due_us, int64_t *id)
{
    pthread_mutex_lock(&record->lock);
    assert_true(record->n_jobs < FAKE_JOBS);
    struct fake_job *job = &record->jobs[record->n_jobs++];
    job->job.id = (int64_t)record->n_jobs;
    job->job.instance_id = instance_id;
    job->job.as_of = as_of;
    job->due_us = due_us;
    snprintf(job->job.type, sizeof job->job.type, "%s", type);
    snprintf(job->job.lane, sizeof job->job.lane, "%s", lane);
    snprintf(job->arguments, sizeof job->arguments, "%s", arguments_json);
    if (id) {
        *id = job->job.id;
    }
    pthread_mutex_unlock(&record->lock);
    return HILUM_OK;
}

static inline bool fake_is_due(const struct fake_job *job, int64_t now)
{
    return (job->state == FAKE_WAITING && job->due_us <= now) ||
           (job->state == FAKE_RUNNING && job->lease_us <= now);
}

hilum_rc hl_record_jobs_claim(struct hl_record *record, const char *lane, unsigned limit,
                              int64_t lease_ms,
                              hilum_rc (*each)(void *arg, const struct hl_job *job), void *arg)
{
    struct hl_job claimed[64];
    unsigned n = 0;
    hilum_rc rc = HILUM_OK;
    int64_t now = hl_now_us();
    pthread_mutex_lock(&record->lock);
    record->n_claims++;
    if (record->fail_claims > 0) {
        record->fail_claims--;
        pthread_mutex_unlock(&record->lock);
        return hl_fail(HILUM_EIO, "database: unable to open database file");
    }
    for (size_t i = 0; i < record->n_jobs && n < limit; i++) {
        struct fake_job *job = &record->jobs[i];
        if (strcmp(job->job.lane, lane) == 0 && fake_is_due(job, now)) {
            job->state = FAKE_RUNNING;
            job->job.attempts++;
            job->lease_us = now + lease_ms * 1000;
            claimed[n] = job->job;
            claimed[n++].arguments = job->arguments;
        }
    }
    pthread_mutex_unlock(&record->lock);
    for (unsigned i = 0; i < n && rc >= 0; i++) {
        rc = each(arg, &claimed[i]);
    }
    return rc;
}

hilum_rc hl_record_lanes_due(struct hl_record *record,
                             hilum_rc (*each)(void *arg, const char *lane), void *arg,
                             int64_t *next_due_us)
{
    char lanes[64][64];
    size_t n = 0;
    int64_t now = hl_now_us();
    *next_due_us = 0;
    pthread_mutex_lock(&record->lock);
    for (size_t i = 0; i < record->n_jobs; i++) {
        const struct fake_job *job = &record->jobs[i];
        int64_t due = job->state == FAKE_WAITING   ? job->due_us
                      : job->state == FAKE_RUNNING ? job->lease_us
                                                   : 0;
        size_t j = 0;
        while (j < n && strcmp(lanes[j], job->job.lane) != 0) {
            j++;
        }
        if (fake_is_due(job, now) && j == n && n < 64) {
            memcpy(lanes[n++], job->job.lane, sizeof lanes[0]);
        } else if (due > now && (*next_due_us == 0 || due < *next_due_us)) {
            *next_due_us = due;
        }
    }
    pthread_mutex_unlock(&record->lock);
    for (size_t i = 0; i < n; i++) {
        hilum_rc rc = each(arg, lanes[i]);
        if (rc < 0) {
            return rc;
        }
    }
    return HILUM_OK;
}

hilum_rc hl_record_jobs_release(struct hl_record *record)
{
    pthread_mutex_lock(&record->lock);
    for (size_t i = 0; i < record->n_jobs; i++) {
        if (record->jobs[i].state == FAKE_RUNNING) {
            record->jobs[i].state = FAKE_WAITING;
        }
    }
    pthread_mutex_unlock(&record->lock);
    return HILUM_OK;
}

hilum_rc hl_record_jobs_end(struct hl_record *record, const struct hl_job_end *ends, size_t n)
{
    pthread_mutex_lock(&record->lock);
    if (record->fail_ends) {
        record->fail_ends--;
        pthread_mutex_unlock(&record->lock);
        return hl_fail(HILUM_EIO, "fake: disk");
    }
    for (size_t i = 0; i < n; i++) {
        struct fake_job *job = &record->jobs[ends[i].id - 1];
        snprintf(job->result, sizeof job->result, "%s", ends[i].result);
        job->job.attempts -= ends[i].is_uncounted ? 1 : 0;
        if (ends[i].is_done) {
            job->state = FAKE_DONE;
            record->n_done++;
        } else if (ends[i].retry_us) {
            job->state = FAKE_WAITING;
            job->due_us = ends[i].retry_us;
        } else {
            job->state = FAKE_FAILED;
            record->n_failed++;
        }
    }
    pthread_cond_broadcast(&record->changed);
    pthread_mutex_unlock(&record->lock);
    fake_wake_jobs(record);
    return HILUM_OK;
}

#endif
