/* What is sent, for the audit record: asked for by people, and carried out by the outbox. Knows nothing of lanes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/record/record_private.h"

/* ---- carried out ------------------------------------------------------------------------------------------- */

hilum_rc hl_sent_flush(struct hl_sent *sent, struct hl_session *session)
{
    struct hl_buf after = {0};
    char who[112];
    if (!sent->n)
        return HILUM_OK;
    snprintf(who, sizeof who, "%s%s", *sent->rule ? "rule " : "outbox", sent->rule);
    hl_buf_text(&after, "{\"to\":");
    hl_buf_json_string(&after, sent->lane);
    hl_buf_printf(&after, ",\"instances\":%u}", sent->n);
    hilum_rc rc =
        hl_audit_add(session, who, "instance.send", sent->study, NULL, hl_buf_str(&after));
    hl_buf_fini(&after);
    sent->n = 0;
    return rc;
}

static bool is_same(const struct hl_sent *a, const struct hl_sent *b)
{
    return !strcmp(a->lane, b->lane) && !strcmp(a->study, b->study) && !strcmp(a->rule, b->rule);
}

/* Rows are merged as long as lane, study and rule stay the same; the caller flushes the last.
 * Jobs of other types than `send` have no such row: what they do they audit themselves. */
hilum_rc hl_sent_add(struct hl_sent *sent, struct hl_session *session, int64_t job)
{
    struct hl_sent now = {.n = 1};
    struct hl_stmt *stmt = NULL;
    hilum_rc rc = hl_session_ask(session, &stmt,
                                 "SELECT lane, study_uid, coalesce(rule, '') FROM job "
                                 "WHERE id = ?1 AND type = 'send'",
                                 "i", job);
    if (rc == HILUM_OK)
        rc = hl_stmt_step(stmt);
    if (rc == 1) {
        snprintf(now.lane, sizeof now.lane, "%s", hl_stmt_text(stmt, 0));
        snprintf(now.study, sizeof now.study, "%s", hl_stmt_text(stmt, 1));
        snprintf(now.rule, sizeof now.rule, "%s", hl_stmt_text(stmt, 2));
    }
    hl_stmt_done(stmt);
    if (rc != 1)
        return rc;
    if (sent->n && is_same(sent, &now)) {
        sent->n++;
        return HILUM_OK;
    }
    rc = hl_sent_flush(sent, session);
    *sent = now;
    return rc;
}

/* ---- asked for ---------------------------------------------------------------------------------------------- */

/* One request of a person: all its jobs and its audit row in one transaction. */
struct asked {
    struct hl_record *record;
    const struct hl_send_request *request;
};

static hilum_rc job_write(struct hl_session *session, const struct hl_send_request *request,
                          int64_t instance)
{
    return hl_session_run(session,
                          "INSERT INTO job (type, lane, due_us, instance, study_uid, as_of, "
                          "arguments, created_us) VALUES ('send', ?1, 0, ?2, ?3, ?4, '{}', ?5)",
                          "titii", request->to, instance, request->study_uid, request->as_of,
                          hl_now_us());
}

/* Priority 0 and due at once, as a rule's without further words. */
static hilum_rc asked_write(struct hl_session *session, void *arg)
{
    const struct asked *asked = arg;
    const struct hl_send_request *request = asked->request;
    struct hl_buf after = {0};
    hilum_rc rc = HILUM_OK;
    for (size_t i = 0; i < request->n && rc == HILUM_OK; i++)
        rc = job_write(session, request, request->instances[i]);
    hl_buf_text(&after, "{\"to\":");
    hl_buf_json_string(&after, request->to);
    hl_buf_printf(&after, ",\"instances\":%zu}", request->n);
    if (rc == HILUM_OK)
        rc = hl_audit_add(session, request->who, "study.send", request->study_uid, NULL,
                          hl_buf_str(&after));
    hl_buf_fini(&after);
    hl_writer_note(asked->record->writer, HL_NOTE_JOBS | HL_NOTE_SAVE);
    return rc;
}

hilum_rc hl_record_send_add(struct hl_record *record, const struct hl_send_request *request)
{
    struct asked asked = {record, request};
    return hl_writer_run(record->writer, HL_LANE_OTHER, asked_write, &asked);
}
