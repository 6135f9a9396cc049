/* The story of a study, and the counts of the whole, as JSON for people. Knows nothing of how they are shown.
 *
 * A study's story is put together from what each part has written for itself, by the study's
 * UID. No text is made here: people get what was recorded, in the words it was recorded in.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/record/record_private.h"

/* Rows of one section at most: equal ones are folded before. */
enum { SECTION_MAX = 1000 };

/* ---- rows as JSON objects ------------------------------------------------------------------------------------- */

/* Names of a section's columns; a first letter tells how it is shown: '@' a time, '#' a number, '{' JSON as
 * it is, otherwise text. */
static void column_json(struct hl_stmt *stmt, unsigned i, const char *name, struct hl_buf *json)
{
    char when[32];
    size_t plain = strspn(name, "@#{");
    hl_buf_printf(json, "\"%s\":", name + plain);
    const char *text = hl_stmt_text(stmt, i);
    if (*name == '@')
        hl_buf_printf(json, "\"%s\"", hl_time_text(hl_stmt_int(stmt, i), when, sizeof when));
    else if (*name == '#')
        hl_buf_printf(json, "%lld", (long long)hl_stmt_int(stmt, i));
    else if (*name == '{')
        hl_buf_text(json, *text ? text : "null");
    else
        hl_buf_json_string(json, text);
}

static hilum_rc row_json(struct hl_stmt *stmt, void *arg, struct hl_buf *json)
{
    const char *const *names = *(const char *const **)arg;
    hl_buf_byte(json, '{');
    for (unsigned i = 0; names[i]; i++) {
        hl_buf_text(json, i ? "," : "");
        column_json(stmt, i, names[i], json);
    }
    hl_buf_byte(json, '}');
    return HILUM_OK;
}

/* One query of the story with the names of its columns, ended by NULL. */
struct section {
    const char *title, *sql; /* ?1: the study's UID, ?2: most rows */
    const char *names[10];
};

/* Another story is one more row in `sections`, not one more function. */
static hilum_rc section_json(struct hl_session *session, const struct section *section,
                             const char *study_uid, struct hl_buf *json)
{
    struct hl_stmt *stmt = NULL;
    hilum_rc rc = hl_session_ask(session, &stmt, section->sql, "td", study_uid, SECTION_MAX);
    const char *const *names = section->names;
    hl_buf_printf(json, ",\"%s\":", section->title);
    return hl_stmt_array(stmt, rc, row_json, &names, json);
}

/* ---- a study --------------------------------------------------------------------------------------------------- */

static const struct section sections[] = {
    {"arrivals",
     "SELECT o.peer, o.calling_aet, o.called_aet, o.address, count(*), min(i.received_us), "
     "max(i.received_us), max(i.remark_text) FROM study s JOIN series e ON e.study = s.id "
     "JOIN instance i ON i.series = e.id JOIN source o ON o.id = i.source WHERE s.uid = ?1 "
     "GROUP BY o.id, o.peer, o.calling_aet, o.called_aet, o.address ORDER BY 6 LIMIT ?2",
     {"peer", "calling_aet", "called_aet", "address", "#instances", "@first", "@last",
      "non_conformance"}},
    {"events",
     "SELECT event, count(*), min(created_us), max(created_us), "
     "sum(CASE state WHEN 0 THEN 1 ELSE 0 END) FROM journal WHERE study_uid = ?1 "
     "GROUP BY event ORDER BY 3 LIMIT ?2",
     {"event", "#count", "@first", "@last", "#unhandled"}},
    {"rules",
     "SELECT j.event, t.hook, t.version, t.verdict, t.reason, t.plan, count(*), min(t.at_us), "
     "max(t.at_us) FROM journal j JOIN hook_trace t ON t.entry = j.id WHERE j.study_uid = ?1 "
     "GROUP BY j.event, t.hook, t.version, t.verdict, t.reason, t.plan ORDER BY 8 LIMIT ?2",
     {"event", "rule", "version", "#verdict", "reason", "{plan", "#count", "@first", "@last"}},
    {"jobs",
     "SELECT type, lane, coalesce(rule, ''), CASE state WHEN 0 THEN 'waiting' WHEN 1 THEN "
     "'running' WHEN 2 THEN 'done' WHEN 3 THEN 'failed' ELSE 'cancelled' END, result, count(*), "
     "max(attempts), min(created_us), max(ended_us) FROM job WHERE study_uid = ?1 "
     "GROUP BY type, lane, rule, state, result ORDER BY 8 LIMIT ?2",
     {"type", "lane", "rule", "state", "result", "#count", "#attempts", "@created", "@ended"}},
    {"edits",
     "SELECT o.at_us, o.who, o.why, o.tag, o.seq FROM overlay o JOIN study s ON s.id = o.study "
     "WHERE s.uid = ?1 ORDER BY o.id LIMIT ?2",
     {"@when", "who", "why", "#tag", "#version"}},
    {"quarantine",
     "SELECT i.uid, q.rule, q.reason, CASE q.state WHEN 0 THEN 'open' WHEN 1 THEN 'released' "
     "ELSE 'discarded' END, q.at_us, q.who FROM quarantine q JOIN instance i ON i.id = q.instance "
     "JOIN series e ON e.id = i.series JOIN study s ON s.id = e.study WHERE s.uid = ?1 "
     "ORDER BY q.id LIMIT ?2",
     {"SOPInstanceUID", "rule", "reason", "state", "@when", "who"}},
    {"audit",
     "SELECT at_us, who, action, before_json, after_json FROM audit WHERE what = ?1 "
     "ORDER BY id LIMIT ?2",
     {"@when", "who", "action", "{before", "{after"}},
    {"labels",
     "SELECT l.label, l.since_us FROM label l JOIN study s ON s.id = l.study WHERE s.uid = ?1 "
     "ORDER BY l.label LIMIT ?2",
     {"label", "@since"}},
};

/* By accession number the newest study: numbers are reused by some systems after years. */
static hilum_rc study_json(struct hl_session *session, const char *which, char uid[65],
                           struct hl_buf *json)
{
    static const char *const columns[] = {
        "StudyInstanceUID", "AccessionNumber", "StudyDate", "ModalitiesInStudy",
        "#series",          "#instances",      "#bytes",    "@created",
        "@last_arrival",    "#complete",       NULL};
    const char *const *names = columns;
    struct hl_stmt *stmt = NULL;
    hilum_rc rc = hl_session_ask(
        session, &stmt,
        "SELECT uid, accession, study_date, modalities, n_series, n_instances, bytes, created_us, "
        "last_arrival_us, state FROM study WHERE uid = ?1 OR (accession = ?1 AND accession <> '') "
        "ORDER BY id DESC LIMIT 1",
        "t", which);
    if (rc == HILUM_OK)
        rc = hl_stmt_step(stmt);
    if (rc == 1) {
        snprintf(uid, 65, "%s", hl_stmt_text(stmt, 0));
        hl_buf_text(json, "{\"study\":");
        row_json(stmt, &names, json);
    }
    hl_stmt_done(stmt);
    if (rc == 0)
        return hl_fail(HILUM_ENOTFOUND,
                       "study %.64s: no such Study Instance UID or accession number", which);
    return rc > 0 ? HILUM_OK : rc;
}

/* One session for all sections; they are short, and a page of each is all there is. */
hilum_rc hl_record_explain_study(struct hl_record *record, const char *which, struct hl_buf *json)
{
    struct hl_session *session = NULL;
    char uid[65] = "";
    hilum_rc rc = hl_readers_get(record->readers, &session);
    if (rc != HILUM_OK)
        return rc;
    rc = study_json(session, which, uid, json);
    for (size_t i = 0; i < sizeof sections / sizeof *sections && rc == HILUM_OK; i++)
        rc = section_json(session, &sections[i], uid, json);
    if (rc == HILUM_OK)
        hl_buf_byte(json, '}');
    hl_readers_put(record->readers, session, rc);
    return rc;
}

/* ---- the whole -------------------------------------------------------------------------------------------------- */

/* Sums are kept, the rest is counted along partial indexes of what waits: `status` and
 * /metrics are asked often. */
static const struct {
    const char *name, *sql;
} counts[] = {
    {"patients", "SELECT patients FROM totals"},
    {"studies", "SELECT studies FROM totals"},
    {"series", "SELECT series FROM totals"},
    {"instances", "SELECT instances FROM totals"},
    {"bytes", "SELECT bytes FROM totals"},
    {"journal_waiting", "SELECT count(*) FROM journal WHERE state = 0"},
    {"jobs_waiting", "SELECT count(*) FROM job WHERE state = 0"},
    {"jobs_running", "SELECT count(*) FROM job WHERE state = 1"},
    {"jobs_failed", "SELECT count(*) FROM job WHERE state = 3"},
    {"conflicts", "SELECT count(*) FROM conflict WHERE state = 0"},
    {"quarantine", "SELECT count(*) FROM quarantine WHERE state = 0"},
    {"erasures", "SELECT count(*) FROM erasure"},
};

/* The health is told even where nothing can be read. */
hilum_rc hl_record_status(struct hl_record *record, struct hl_buf *json)
{
    struct hl_session *session = NULL;
    int64_t value;
    hilum_rc health = hl_record_health(record);
    hl_buf_printf(json, "{\"health\":\"%s\",\"reason\":", hl_rc_name(health));
    hl_buf_json_string(json, health == HILUM_OK ? "" : hl_error());
    hilum_rc rc = hl_readers_get(record->readers, &session);
    if (rc != HILUM_OK)
        return rc;
    for (size_t i = 0; i < sizeof counts / sizeof *counts && rc == HILUM_OK; i++) {
        rc = hl_session_int(session, &value, counts[i].sql, "");
        hl_buf_printf(json, ",\"%s\":%lld", counts[i].name, (long long)value);
    }
    hl_buf_byte(json, '}');
    hl_readers_put(record->readers, session, rc);
    return rc;
}
