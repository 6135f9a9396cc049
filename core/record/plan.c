/* Steps of plans as rows: `send` to the outbox, `tag` to a label, others to jobs. Knows nothing of who
 * planned.
 *
 * A plan hangs on its journal entry, rule and ordinal (the step's place in the plan). That
 * triple is unique: a plan that is written again after a crash finds its rows there and adds
 * nothing.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/bus/bus.h"
#include "core/record/record_private.h"

/* The journal entry a plan hangs on. */
struct context {
    struct hl_record *record;
    struct hl_session *session;
    int64_t entry, instance, due_us;
    char study_uid[65];
};

/* What the steps are about is that of the journal entry, never what a rule says. A rule can
 * name no other object than the one it was asked about. */
static hilum_rc context_read(struct context *context)
{
    struct hl_stmt *stmt = NULL;
    hilum_rc rc = hl_session_ask(context->session, &stmt,
                                 "SELECT instance, study_uid FROM journal WHERE id = ?1", "i",
                                 context->entry);
    if (rc == HILUM_OK)
        rc = hl_stmt_step(stmt);
    if (rc == 1) {
        context->instance = hl_stmt_int(stmt, 0);
        snprintf(context->study_uid, sizeof context->study_uid, "%s", hl_stmt_text(stmt, 1));
    }
    hl_stmt_done(stmt);
    if (rc == 0)
        return hl_fail(HILUM_ENOTFOUND, "journal entry %lld: not there", (long long)context->entry);
    return rc > 0 ? HILUM_OK : rc;
}

/* A label twice is one. An event about no study adds no label: SELECT finds no row. */
static hilum_rc label_add(const struct context *context, const json_t *arguments)
{
    const char *label = json_string_value(json_object_get(arguments, "label"));
    if (!label)
        return hl_fail(HILUM_EINVAL, "verb tag: argument label: expected a text");
    return hl_session_run(context->session,
                          "INSERT INTO label SELECT id, ?2, ?3 FROM study WHERE uid = ?1 "
                          "ON CONFLICT DO NOTHING",
                          "tti", context->study_uid, label, hl_now_us());
}

/* What a rule remembers, in the transaction of its plan: a replay writes the same again. */
static hilum_rc value_keep(const struct context *context, const json_t *arguments)
{
    const char *key = json_string_value(json_object_get(arguments, "key"));
    const char *value = json_string_value(json_object_get(arguments, "value"));
    return key ? hl_kv_write(context->session, "rules", key, value)
               : hl_fail(HILUM_EINVAL, "verb kv: argument key: expected a text");
}

/* One row of the step, about the object the event is about. */
static const char JOB_SQL[] =
    "INSERT INTO job (type, lane, priority, due_us, entry, rule, ordinal, instance, "
    "study_uid, arguments, created_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) "
    "ON CONFLICT (entry, rule, ordinal) DO NOTHING";
/* `send` on an event of a study: a row for each of its objects. Ordinals stay unique: a million for each
 * step, counted in order of arrival, so that a replay finds the same rows. */
static const char STUDY_SQL[] =
    "INSERT INTO job (type, lane, priority, due_us, entry, rule, ordinal, instance, "
    "study_uid, arguments, created_us) SELECT ?1, ?2, ?3, ?4, ?5, ?6, "
    "(?7 + 1) * 1000000 + row_number() OVER (ORDER BY i.id), i.id + ?8, ?9, ?10, ?11 "
    "FROM study s JOIN series e ON e.study = s.id JOIN instance i ON i.series = e.id "
    "WHERE s.uid = ?9 AND i.state = 0 AND i.is_held = 0 "
    "ON CONFLICT (entry, rule, ordinal) DO NOTHING";

/* A longer delay of a rule is a slip; cut, since a failing plan would hold up what it belongs to. */
#define DELAY_MAX_MS (INT64_C(86400000) * 3650)

/* 72 bytes, so that a name that is too long is refused here and never cut. */
static hilum_rc lane_of(const struct hl_plan_step *step, const json_t *arguments, char lane[72])
{
    bool is_send = strcmp(step->verb, "send") == 0,
         is_retrieve = strcmp(step->verb, "retrieve") == 0;
    const char *key = is_send ? "to" : "from";
    const char *peer = json_string_value(json_object_get(arguments, key));
    size_t most = is_send ? HL_LANE_MAX : HL_LANE_PEER_MAX;
    if ((is_send || is_retrieve) && (!peer || !*peer || strlen(peer) >= most))
        return hl_fail(HILUM_EINVAL, "verb %s: argument %s: expected the name of a peer",
                       step->verb, key);
    snprintf(lane, 72, "%s%s",
             is_send       ? ""
             : is_retrieve ? HL_LANE_RETRIEVE
                           : HL_LANE_JOB,
             is_send || is_retrieve ? peer : step->verb);
    return HILUM_OK;
}

/* A send of an object or of a whole study (one row an object, by one statement) goes to the lane
 * of its peer, all else to a lane of its type. What a rule says wrongly is
 * HILUM_EINVAL, which undoes the unit that the plan is a part of. */
static hilum_rc job_write(const struct context *context, const struct hl_plan_step *step,
                          const json_t *arguments)
{
    bool is_send = strcmp(step->verb, "send") == 0;
    bool is_study = is_send && context->instance == 0;
    int priority = (int)json_integer_value(json_object_get(arguments, "priority"));
    int64_t delay = json_integer_value(json_object_get(arguments, "delay_ms"));
    int64_t due = context->due_us;
    char lane[72];
    if (delay > DELAY_MAX_MS)
        delay = DELAY_MAX_MS;
    if (delay > 0 && due < INT64_MAX) /* INT64_MAX: waits for release from quarantine */
        due = hl_now_us() + delay * 1000;
    if (is_study && !context->study_uid[0])
        return hl_fail(HILUM_EINVAL, "verb send: the event is about no object and no study");
    hilum_rc rc = lane_of(step, arguments, lane);
    if (rc == HILUM_OK)
        rc = hl_session_run(context->session, is_study ? STUDY_SQL : JOB_SQL, "ttdiitditti",
                            step->verb, lane, priority, due, context->entry, step->rule,
                            (int)step->ordinal, context->instance, context->study_uid,
                            step->arguments ? step->arguments : "{}", hl_now_us());
    if (rc == HILUM_OK)
        hl_writer_note(context->record->writer, HL_NOTE_JOBS);
    return rc;
}

/* What is fetched is the event's own study unless another is named. The arguments are written
 * out again, since the study was added to them. */
static hilum_rc retrieve_write(const struct context *context, const struct hl_plan_step *step,
                               json_t *arguments)
{
    struct hl_plan_step whole = *step;
    if (!json_object_get(arguments, "study"))
        json_object_set_new(arguments, "study", json_string(context->study_uid));
    char *text = json_dumps(arguments, JSON_COMPACT);
    if (!text)
        return hl_fail(HILUM_ENOMEM, "verb retrieve: out of memory");
    whole.arguments = text;
    hilum_rc rc = job_write(context, &whole, arguments);
    free(text);
    return rc;
}

/* A verb nobody knows is a job of that type: a plugin may bring it with the next start. */
static hilum_rc step_write(const struct context *context, const struct hl_plan_step *step)
{
    json_error_t error;
    json_t *arguments = json_loads(step->arguments ? step->arguments : "{}", 0, &error);
    hilum_rc rc;
    if (!json_is_object(arguments))
        rc = hl_fail(HILUM_EINVAL, "verb %s: arguments: expected a JSON object", step->verb);
    else if (strcmp(step->verb, "tag") == 0)
        rc = label_add(context, arguments);
    else if (strcmp(step->verb, "kv") == 0)
        rc = value_keep(context, arguments);
    else if (strcmp(step->verb, "retrieve") == 0)
        rc = retrieve_write(context, step, arguments);
    else
        rc = job_write(context, step, arguments);
    json_decref(arguments);
    return rc == HILUM_OK ? rc : hl_fail_in(rc, "plan of %s", step->rule);
}

hilum_rc hl_plan_write(struct hl_record *record, struct hl_session *session, int64_t entry,
                       const struct hl_plan_step *plan, size_t n, int64_t due_us)
{
    struct context context = {
        .record = record, .session = session, .entry = entry, .due_us = due_us};
    hilum_rc rc = n ? context_read(&context) : HILUM_OK;
    for (size_t i = 0; i < n && rc == HILUM_OK; i++)
        rc = step_write(&context, &plan[i]);
    return rc;
}
