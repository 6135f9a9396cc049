/* Jobs and the outbox: lanes, leases, retries. Knows nothing of what a job does.
 *
 * A job is waiting, running under a lease, or ended. A lease that runs out makes it due again,
 * which is how the work of a process that died is taken up; nothing else is kept in memory.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/record/record_private.h"

enum { WAITING, RUNNING, DONE, FAILED, CANCELLED };
/* Jobs claimed at once, rows of a list, newest jobs a grouped list without a state looks at.
 * GROUPED_MAX bounds a grouping on a catalogue with millions of ended jobs. */
enum { CLAIM_MAX = 1000, LIST_MAX = 10000, GROUPED_MAX = 200000 };

static const char *const state_names[] = {"waiting", "running", "done", "failed", "cancelled"};

/* ---- claiming ----------------------------------------------------------------------------------------- */

/* What one claim is for and what it got; jobs and their texts live in the arena until all have
 * been handed out. */
struct claim {
    const char *lane;
    unsigned limit, n;
    int64_t now, lease_us;
    struct hl_arena arena;
    struct hl_job *jobs;
};

/* Due from the moment the lease ended, so that an old job does not lose its place. Within the
 * claim: no timer of its own is needed. */
static hilum_rc leases_expire(struct hl_session *session, int64_t now)
{
    return hl_session_run(session,
                          "UPDATE job SET state = 0, due_us = lease_us WHERE state = 1 "
                          "AND lease_us <= ?1",
                          "i", now);
}

/* attempts + 1: the one that is beginning is counted by claim_write. */
static hilum_rc job_read(struct claim *claim, struct hl_stmt *stmt)
{
    struct hl_job *job = &claim->jobs[claim->n];
    job->id = hl_stmt_int(stmt, 0);
    snprintf(job->type, sizeof job->type, "%s", hl_stmt_text(stmt, 1));
    snprintf(job->lane, sizeof job->lane, "%s", claim->lane);
    job->instance_id = hl_stmt_int(stmt, 2);
    job->as_of = hl_stmt_int(stmt, 3);
    job->attempts = (unsigned)hl_stmt_int(stmt, 4) + 1;
    job->priority = (int)hl_stmt_int(stmt, 5);
    job->arguments = hl_arena_strdup(&claim->arena, hl_stmt_text(stmt, 6));
    if (!job->arguments)
        return hl_fail(HILUM_ENOMEM, "jobs: out of memory");
    claim->n++;
    return HILUM_OK;
}

/* One priority after the other, so that each step is a walk along the index and none a sort.
 * An index on (lane, priority, due) of waiting jobs serves it. */
static hilum_rc priority_read(struct hl_session *session, struct claim *claim, int64_t priority)
{
    struct hl_stmt *stmt = NULL;
    hilum_rc rc =
        hl_session_ask(session, &stmt,
                       "SELECT id, type, instance, as_of, attempts, priority, arguments "
                       "FROM job WHERE state = 0 AND lane = ?1 AND priority = ?2 "
                       "AND due_us <= ?3 ORDER BY due_us, id LIMIT ?4",
                       "tiid", claim->lane, priority, claim->now, (int)(claim->limit - claim->n));
    while (rc == HILUM_OK && claim->n < claim->limit && (rc = hl_stmt_step(stmt)) == 1)
        rc = job_read(claim, stmt);
    hl_stmt_done(stmt);
    return rc > 0 ? HILUM_OK : rc;
}

/* The highest priority waiting in the lane below `below`. HILUM_ENOTFOUND. */
static hilum_rc priority_next(struct hl_session *session, const char *lane, int64_t below,
                              int64_t *out)
{
    return hl_session_int(session, out,
                          "SELECT priority FROM job WHERE state = 0 AND lane = ?1 "
                          "AND priority < ?2 ORDER BY priority DESC LIMIT 1",
                          "ti", lane, below);
}

/* Read and marked in one transaction: no job is ever claimed twice. May run twice when a
 * neighbour fails the group: n and the jobs begin anew. */
static hilum_rc claim_write(struct hl_session *session, void *arg)
{
    struct claim *claim = arg;
    int64_t priority = INT64_MAX;
    hilum_rc rc = leases_expire(session, claim->now);
    claim->n = 0;
    while (rc == HILUM_OK && claim->n < claim->limit &&
           (rc = priority_next(session, claim->lane, priority, &priority)) == HILUM_OK)
        rc = priority_read(session, claim, priority);
    if (rc == HILUM_ENOTFOUND)
        rc = HILUM_OK;
    for (unsigned i = 0; i < claim->n && rc == HILUM_OK; i++)
        rc = hl_session_run(session,
                            "UPDATE job SET state = 1, lease_us = ?2, attempts = attempts + 1 "
                            "WHERE id = ?1",
                            "ii", claim->jobs[i].id, claim->now + claim->lease_us);
    return rc;
}

hilum_rc hl_record_jobs_claim(struct hl_record *record, const char *lane, unsigned limit,
                              int64_t lease_ms,
                              hilum_rc (*each)(void *arg, const struct hl_job *job), void *arg)
{
    struct claim claim = {.lane = lane,
                          .limit = limit < CLAIM_MAX ? limit : CLAIM_MAX,
                          .now = hl_now_us(),
                          .lease_us = lease_ms * 1000};
    claim.jobs = hl_arena_alloc(&claim.arena, (claim.limit + 1) * sizeof *claim.jobs);
    hilum_rc rc = claim.jobs ? hl_writer_run(record->writer, HL_LANE_OTHER, claim_write, &claim)
                             : hl_fail(HILUM_ENOMEM, "jobs: out of memory");
    for (unsigned i = 0; i < claim.n && rc == HILUM_OK; i++)
        rc = each(arg, &claim.jobs[i]);
    hl_arena_fini(&claim.arena);
    return rc;
}

/* ---- lanes ----------------------------------------------------------------------------------------------- */

/* What the scheduler asks: which lanes have something to do, and when to ask again. */
struct lanes {
    struct hl_buf due; /* names, NUL-terminated */
    int64_t next_us;
};

static void next_at(struct lanes *lanes, int64_t us)
{
    if (lanes->next_us == 0 || us < lanes->next_us)
        lanes->next_us = us;
}

/* The first lane after `lane`, into it, and when its first job is due. 1, 0: none. A jump
 * along the index, which holds a lane's jobs together. */
static hilum_rc lane_next(struct hl_session *session, struct hl_buf *lane, int64_t *due)
{
    struct hl_stmt *stmt = NULL;
    hilum_rc rc = hl_session_ask(session, &stmt,
                                 "SELECT lane, due_us FROM job WHERE state = 0 AND lane > ?1 "
                                 "ORDER BY lane, due_us LIMIT 1",
                                 "t", hl_buf_str(lane));
    if (rc == HILUM_OK)
        rc = hl_stmt_step(stmt);
    if (rc == 1) {
        const char *name = hl_stmt_text(stmt, 0);
        hl_buf_clear(lane);
        hl_buf_text(lane, name);
        *due = hl_stmt_int(stmt, 1);
    }
    hl_stmt_done(stmt);
    return rc;
}

/* From lane to lane along the index, whatever number of jobs each holds. A million waiting
 * jobs of one lane cost as much as one. */
static hilum_rc lanes_read(struct hl_session *session, struct lanes *lanes)
{
    int64_t now = hl_now_us(), due, lease;
    struct hl_buf lane = {0};
    hilum_rc rc;
    while ((rc = lane_next(session, &lane, &due)) == 1) {
        if (due <= now)
            hl_buf_add(&lanes->due, lane.data, lane.len + 1);
        else if (due < INT64_MAX) /* those of quarantined instances wait for a person */
            next_at(lanes, due);
    }
    hl_buf_fini(&lane);
    if (rc != HILUM_OK)
        return rc;
    rc = hl_session_int(session, &lease,
                        "SELECT lease_us FROM job WHERE state = 1 ORDER BY lease_us LIMIT 1", "");
    if (rc == HILUM_OK)
        next_at(lanes, lease);
    return rc == HILUM_ENOTFOUND ? HILUM_OK : rc;
}

static hilum_rc expire_write(struct hl_session *session, void *arg)
{
    (void)arg;
    return leases_expire(session, hl_now_us());
}

static hilum_rc lanes_query(struct hl_record *record, struct lanes *lanes)
{
    struct hl_session *session = NULL;
    hilum_rc rc = hl_readers_get(record->readers, &session);
    if (rc != HILUM_OK)
        return rc;
    rc = lanes_read(session, lanes);
    hl_readers_put(record->readers, session, rc);
    return rc;
}

/* Only where a lease has run out is anything written; the usual look is a read. */
hilum_rc hl_record_lanes_due(struct hl_record *record,
                             hilum_rc (*each)(void *arg, const char *lane), void *arg,
                             int64_t *next_due_us)
{
    struct lanes lanes = {0};
    hilum_rc rc = lanes_query(record, &lanes);
    if (rc == HILUM_OK && lanes.next_us && lanes.next_us <= hl_now_us()) {
        /* A lease has run out: its lane is due too. */
        hl_buf_fini(&lanes.due);
        lanes = (struct lanes){0};
        rc = hl_writer_run(record->writer, HL_LANE_OTHER, expire_write, NULL);
        if (rc == HILUM_OK)
            rc = lanes_query(record, &lanes);
    }
    const char *end = lanes.due.data + lanes.due.len;
    for (const char *lane = lanes.due.data; rc == HILUM_OK && lane < end; lane += strlen(lane) + 1)
        rc = each(arg, lane);
    *next_due_us = lanes.next_us;
    hl_buf_fini(&lanes.due);
    return rc;
}

/* ---- ending ------------------------------------------------------------------------------------------------ */

struct ends {
    struct hl_record *record;
    const struct hl_job_end *ends;
    size_t n;
    struct hl_sent sent;
};

/* The journal tells it once, durable with the job's end, so that an alert can be a rule. Also
 * for jobs about no study: its lane in the journal is then "". */
static hilum_rc failed_event(struct ends *ends, struct hl_session *session,
                             const struct hl_job_end *end)
{
    struct hl_stmt *stmt = NULL;
    struct hl_buf fields = {0};
    char study[65] = "";
    struct hl_entry entry = {.event = "job.failed", .study_uid = study};
    int64_t id;
    hilum_rc rc = hl_session_ask(session, &stmt,
                                 "SELECT type, lane, study_uid, instance FROM job WHERE id = ?1",
                                 "i", end->id);
    if (rc == HILUM_OK)
        rc = hl_stmt_step(stmt);
    if (rc == 1) {
        hl_buf_printf(&fields, "{\"job\":%lld,\"type\":", (long long)end->id);
        hl_buf_json_string(&fields, hl_stmt_text(stmt, 0));
        hl_buf_text(&fields, ",\"lane\":");
        hl_buf_json_string(&fields, hl_stmt_text(stmt, 1));
        hl_buf_text(&fields, ",\"reason\":");
        hl_buf_json_string(&fields, end->result ? end->result : "");
        hl_buf_byte(&fields, '}');
        snprintf(study, sizeof study, "%s", hl_stmt_text(stmt, 2));
        entry.instance = hl_stmt_int(stmt, 3);
    }
    hl_stmt_done(stmt);
    entry.fields = hl_buf_str(&fields);
    if (rc == 1)
        rc = hl_journal_add(ends->record, session, &entry, &id);
    hl_buf_fini(&fields);
    return rc;
}

/* A job that was cancelled meanwhile stays so. State 1 only where it is to be tried again: an
 * end of an expired lease must not wake what another has done meanwhile. */
static hilum_rc end_write(struct ends *ends, struct hl_session *session,
                          const struct hl_job_end *end)
{
    const char *result = end->result ? end->result : "";
    if (!end->is_done && end->retry_us > 0)
        return hl_session_run(session,
                              "UPDATE job SET state = 0, due_us = ?2, lease_us = 0, result = ?3, "
                              "attempts = attempts - ?4 WHERE id = ?1 AND state = 1",
                              "iitd", end->id, end->retry_us, result, end->is_uncounted ? 1 : 0);
    hilum_rc rc =
        hl_session_run(session,
                       "UPDATE job SET state = ?2, lease_us = 0, result = ?3, "
                       "ended_us = ?4 WHERE id = ?1 AND state <= 1",
                       "idti", end->id, end->is_done ? DONE : FAILED, result, hl_now_us());
    if (rc != HILUM_OK || hl_session_changes(session) == 0)
        return rc;
    return end->is_done ? hl_sent_add(&ends->sent, session, end->id)
                        : failed_event(ends, session, end);
}

static hilum_rc ends_write(struct hl_session *session, void *arg)
{
    struct ends *ends = arg;
    hilum_rc rc = HILUM_OK;
    ends->sent = (struct hl_sent){0}; /* a unit may run twice */
    for (size_t i = 0; i < ends->n && rc == HILUM_OK; i++)
        rc = end_write(ends, session, &ends->ends[i]);
    if (rc == HILUM_OK)
        rc = hl_sent_flush(&ends->sent, session);
    hl_writer_note(ends->record->writer, HL_NOTE_JOBS);
    return rc;
}

hilum_rc hl_record_jobs_end(struct hl_record *record, const struct hl_job_end *ends, size_t n)
{
    struct ends all = {.record = record, .ends = ends, .n = n};
    return hl_writer_run(record->writer, HL_LANE_OTHER, ends_write, &all);
}

/* Attempts stay counted: a job that kills its process must come to an end. */
static hilum_rc release_write(struct hl_session *session, void *arg)
{
    return hl_session_run(session,
                          "UPDATE job SET state = 0, due_us = ?1, lease_us = 0 WHERE state = 1",
                          "i", *(int64_t *)arg);
}

hilum_rc hl_record_jobs_release(struct hl_record *record)
{
    int64_t now = hl_now_us();
    return hl_writer_run(record->writer, HL_LANE_OTHER, release_write, &now);
}

/* ---- adding -------------------------------------------------------------------------------------------------- */

struct add {
    struct hl_record *record;
    const char *type, *lane, *arguments;
    int64_t instance, as_of, due_us, id;
};

/* The study is looked up here, so that a job's story is found under it. HL_NOTE_SAVE: nobody's
 * event tells of it, so a lost catalogue could not plan it again. */
static hilum_rc add_write(struct hl_session *session, void *arg)
{
    struct add *add = arg;
    hilum_rc rc = hl_session_run(
        session,
        "INSERT INTO job (type, lane, due_us, instance, study_uid, as_of, arguments, created_us) "
        "VALUES (?1, ?2, ?3, ?4, coalesce((SELECT s.uid FROM instance i "
        "JOIN series e ON e.id = i.series JOIN study s ON s.id = e.study WHERE i.id = ?4), ''), "
        "?5, ?6, ?7)",
        "ttiiiti", add->type, add->lane, add->due_us, add->instance, add->as_of, add->arguments,
        hl_now_us());
    if (rc == HILUM_OK)
        add->id = hl_session_last_id(session);
    hl_writer_note(add->record->writer, HL_NOTE_JOBS | HL_NOTE_SAVE);
    return rc;
}

hilum_rc hl_record_job_add(struct hl_record *record, const char *type, const char *lane,
                           int64_t instance_id, int64_t as_of, const char *arguments_json,
                           int64_t due_us, int64_t *id)
{
    struct add add = {.record = record,
                      .type = type,
                      .lane = lane,
                      .arguments = arguments_json ? arguments_json : "{}",
                      .instance = instance_id,
                      .as_of = as_of,
                      .due_us = due_us};
    hilum_rc rc = hl_writer_run(record->writer, HL_LANE_OTHER, add_write, &add);
    if (rc == HILUM_OK && id)
        *id = add.id;
    return rc;
}

/* ---- people ---------------------------------------------------------------------------------------------------- */

/* NULL and "" mean any: -1. */
static hilum_rc state_of(const char *name, int *out)
{
    *out = -1;
    if (!name || !*name)
        return HILUM_OK;
    for (int i = 0; i <= CANCELLED; i++)
        if (strcmp(state_names[i], name) == 0)
            *out = i;
    return *out >= 0 ? HILUM_OK
                     : hl_fail(HILUM_EINVAL,
                               "job state %.16s: expected waiting, running, done, failed or "
                               "cancelled",
                               name);
}

static hilum_rc job_json(struct hl_stmt *stmt, void *unused, struct hl_buf *json)
{
    static const char *const texts[] = {"type", "lane", "StudyInstanceUID", "result", "rule"};
    char when[32];
    int state = (int)hl_stmt_int(stmt, 1);
    hl_buf_printf(json, "{\"id\":%lld,\"state\":\"%s\",\"attempts\":%lld,\"instance\":%lld",
                  (long long)hl_stmt_int(stmt, 0), state_names[state],
                  (long long)hl_stmt_int(stmt, 2), (long long)hl_stmt_int(stmt, 3));
    hl_buf_printf(json, ",\"created\":\"%s\"",
                  hl_time_text(hl_stmt_int(stmt, 4), when, sizeof when));
    if (state == WAITING && hl_stmt_int(stmt, 5) < INT64_MAX)
        hl_buf_printf(json, ",\"due\":\"%s\"",
                      hl_time_text(hl_stmt_int(stmt, 5), when, sizeof when));
    for (unsigned i = 0; i < 5; i++) {
        hl_buf_printf(json, ",\"%s\":", texts[i]);
        hl_buf_json_string(json, hl_stmt_text(stmt, 6 + i));
    }
    hl_buf_byte(json, '}');
    (void)unused;
    return HILUM_OK;
}

hilum_rc hl_record_jobs_list(struct hl_record *record, const char *state, unsigned limit,
                             struct hl_buf *json)
{
    struct hl_session *session = NULL;
    struct hl_stmt *stmt = NULL;
    int number;
    hilum_rc rc = state_of(state, &number);
    if (rc == HILUM_OK)
        rc = hl_readers_get(record->readers, &session);
    if (rc != HILUM_OK)
        return rc;
    rc = hl_session_ask(session, &stmt,
                        "SELECT id, state, attempts, instance, created_us, due_us, type, lane, "
                        "study_uid, result, coalesce(rule, '') FROM job "
                        "WHERE ?1 < 0 OR state = ?1 ORDER BY id DESC LIMIT ?2",
                        "dd", number, (int)(limit && limit < LIST_MAX ? limit : LIST_MAX));
    rc = hl_stmt_array(stmt, rc, job_json, NULL, json);
    hl_readers_put(record->readers, session, rc);
    return rc;
}

/* ---- by destination and study ---- */

static hilum_rc group_json(struct hl_stmt *stmt, void *unused, struct hl_buf *json)
{
    static const char *const texts[] = {"type", "lane", "StudyInstanceUID", "result"};
    char when[32];
    hl_buf_printf(json, "{\"objects\":%lld", (long long)hl_stmt_int(stmt, 4));
    for (int i = 0; i <= CANCELLED; i++)
        if (hl_stmt_int(stmt, 5 + (unsigned)i) > 0)
            hl_buf_printf(json, ",\"%s\":%lld", state_names[i],
                          (long long)hl_stmt_int(stmt, 5 + (unsigned)i));
    hl_buf_printf(json, ",\"bytes\":%lld,\"attempts\":%lld", (long long)hl_stmt_int(stmt, 10),
                  (long long)hl_stmt_int(stmt, 11));
    hl_buf_printf(json, ",\"created\":\"%s\"",
                  hl_time_text(hl_stmt_int(stmt, 12), when, sizeof when));
    if (hl_stmt_int(stmt, 5) > 0 && hl_stmt_int(stmt, 13) < INT64_MAX)
        hl_buf_printf(json, ",\"due\":\"%s\"",
                      hl_time_text(hl_stmt_int(stmt, 13), when, sizeof when));
    for (unsigned i = 0; i < 4; i++) {
        hl_buf_printf(json, ",\"%s\":", texts[i]);
        hl_buf_json_string(json, hl_stmt_text(stmt, i));
    }
    hl_buf_byte(json, '}');
    (void)unused;
    return HILUM_OK;
}

/* The state is written out: an index on rows of one state serves no parameter. Numbers are
 * ours, so writing them into the text is safe. */
static void groups_sql(int state, char *sql, size_t size)
{
    char where[96];
    if (state >= 0)
        snprintf(where, sizeof where, "j.state = %d", state);
    else
        snprintf(where, sizeof where, "j.id > (SELECT coalesce(max(id), 0) - %d FROM job)",
                 GROUPED_MAX);
    snprintf(sql, size,
             "SELECT j.type, j.lane, j.study_uid, max(j.result), count(*), "
             "sum(CASE j.state WHEN 0 THEN 1 ELSE 0 END), "
             "sum(CASE j.state WHEN 1 THEN 1 ELSE 0 END), "
             "sum(CASE j.state WHEN 2 THEN 1 ELSE 0 END), "
             "sum(CASE j.state WHEN 3 THEN 1 ELSE 0 END), "
             "sum(CASE j.state WHEN 4 THEN 1 ELSE 0 END), coalesce(sum(l.bytes), 0), "
             "max(j.attempts), min(j.created_us), "
             "min(CASE j.state WHEN 0 THEN j.due_us ELSE ?2 END) FROM job j "
             "LEFT JOIN location l ON l.instance = j.instance AND l.state = 'current' WHERE %s "
             "GROUP BY j.type, j.lane, j.study_uid ORDER BY max(j.id) DESC LIMIT ?1",
             where);
}

hilum_rc hl_record_jobs_groups(struct hl_record *record, const char *state, unsigned limit,
                               struct hl_buf *json)
{
    struct hl_session *session = NULL;
    struct hl_stmt *stmt = NULL;
    char sql[1024];
    int number;
    hilum_rc rc = state_of(state, &number);
    if (rc == HILUM_OK)
        rc = hl_readers_get(record->readers, &session);
    if (rc != HILUM_OK)
        return rc;
    groups_sql(number, sql, sizeof sql);
    rc = hl_session_ask(session, &stmt, sql, "di",
                        (int)(limit && limit < LIST_MAX ? limit : LIST_MAX), INT64_MAX);
    rc = hl_stmt_array(stmt, rc, group_json, NULL, json);
    hl_readers_put(record->readers, session, rc);
    return rc;
}

struct decide {
    struct hl_record *record;
    int64_t id;
    const char *who;
    bool is_retry;
};

/* id 0 with is_retry: every failed one. A job in hand may be cancelled too; what it is doing
 * is not interrupted. Cancelled ones may be retried by number, not all at once. */
static hilum_rc decide_write(struct hl_session *session, void *arg)
{
    struct decide *decide = arg;
    char what[32];
    hilum_rc rc = hl_session_run(
        session,
        decide->is_retry ? "UPDATE job SET state = 0, due_us = 0, attempts = 0 "
                           "WHERE state IN (3, 4) AND (id = ?1 OR (?1 = 0 AND state = 3))"
                         : "UPDATE job SET state = 4 WHERE state IN (0, 1, 3) AND id = ?1",
        "i", decide->id);
    if (rc != HILUM_OK)
        return rc;
    if (hl_session_changes(session) == 0 && decide->id != 0)
        return hl_fail(HILUM_ENOTFOUND, "job %lld: not there, or not in a state to %s",
                       (long long)decide->id, decide->is_retry ? "retry" : "cancel");
    snprintf(what, sizeof what, "job:%lld", (long long)decide->id);
    hl_writer_note(decide->record->writer, HL_NOTE_JOBS | HL_NOTE_SAVE);
    return hl_audit_add(session, decide->who, decide->is_retry ? "job.retry" : "job.cancel", what,
                        NULL, NULL);
}

hilum_rc hl_record_job_retry(struct hl_record *record, int64_t id, const char *who)
{
    struct decide decide = {.record = record, .id = id, .who = who, .is_retry = true};
    return hl_writer_run(record->writer, HL_LANE_OTHER, decide_write, &decide);
}

hilum_rc hl_record_job_cancel(struct hl_record *record, int64_t id, const char *who)
{
    struct decide decide = {.record = record, .id = id, .who = who};
    return hl_writer_run(record->writer, HL_LANE_OTHER, decide_write, &decide);
}
