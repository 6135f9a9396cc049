/* What is held until somebody decides: by a rule, or because other content came under a known
 * UID.
 *
 * A held instance has its row and is counted and found like any other; of other content under a
 * known UID only the row is there (state 1). Both wait with their jobs until somebody releases
 * or discards them. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/record/record_private.h"

/* Rows shown, and instances one decision may be about: it is one transaction. */
enum { LIST_MAX = 10000, RELEASE_MAX = 100000 };

static hilum_rc held_json(struct hl_stmt *stmt, void *unused, struct hl_buf *json)
{
    static const char *const names[] = {"SOPInstanceUID", "StudyInstanceUID", "rule", "reason"};
    char when[32];
    (void)unused;
    hl_buf_printf(json, "{\"number\":%lld,\"when\":\"%s\",\"kind\":\"%s\"",
                  (long long)hl_stmt_int(stmt, 0),
                  hl_time_text(hl_stmt_int(stmt, 1), when, sizeof when),
                  hl_stmt_int(stmt, 2) ? "other content" : "held");
    for (unsigned i = 0; i < 4; i++) {
        hl_buf_printf(json, ",\"%s\":", names[i]);
        hl_buf_json_string(json, hl_stmt_text(stmt, 3 + i));
    }
    hl_buf_byte(json, '}');
    return HILUM_OK;
}

hilum_rc hl_record_quarantine_list(struct hl_record *record, struct hl_buf *json)
{
    struct hl_session *session = NULL;
    struct hl_stmt *stmt = NULL;
    hilum_rc rc = hl_readers_get(record->readers, &session);
    if (rc != HILUM_OK)
        return rc;
    rc = hl_session_ask(session, &stmt,
                        "SELECT q.id, q.at_us, i.state, i.uid, s.uid, q.rule, q.reason "
                        "FROM quarantine q JOIN instance i ON i.id = q.instance "
                        "JOIN series e ON e.id = i.series JOIN study s ON s.id = e.study "
                        "WHERE q.state = 0 ORDER BY q.id LIMIT ?1",
                        "d", LIST_MAX);
    rc = hl_stmt_array(stmt, rc, held_json, NULL, json);
    hl_readers_put(record->readers, session, rc);
    return rc;
}

/* ---- deciding ------------------------------------------------------------------------------------------------ */

/* One held instance with all that a decision changes. Read before anything is changed: the
 * first step may change what the next would read. */
struct item {
    int64_t id, instance, entry, series, study, patient, bytes;
    bool is_other; /* other content under a known UID */
    char uid[65], study_uid[65];
};

struct decision {
    struct hl_record *record;
    const char *which, *who;
    bool is_release;
    enum hl_known_uid how; /* what becomes of the content a released one contradicted */
    struct item *items;
    size_t n, cap;
};

static hilum_rc item_read(struct decision *d, struct hl_stmt *stmt)
{
    if (!hl_grow(&d->items, &d->cap, d->n, sizeof *d->items))
        return hl_fail(HILUM_ENOMEM, "quarantine: out of memory");
    struct item *item = &d->items[d->n++];
    *item = (struct item){.id = hl_stmt_int(stmt, 0),
                          .instance = hl_stmt_int(stmt, 1),
                          .entry = hl_stmt_int(stmt, 2),
                          .series = hl_stmt_int(stmt, 3),
                          .study = hl_stmt_int(stmt, 4),
                          .patient = hl_stmt_int(stmt, 5),
                          .bytes = hl_stmt_int(stmt, 6),
                          .is_other = hl_stmt_int(stmt, 7) == 1};
    snprintf(item->uid, sizeof item->uid, "%s", hl_stmt_text(stmt, 8));
    snprintf(item->study_uid, sizeof item->study_uid, "%s", hl_stmt_text(stmt, 9));
    return HILUM_OK;
}

/* By number, by SOP Instance UID or by Study Instance UID: text that is no number is no number
 * here. Matched as a number and as a UID at once: a UID begins with digits, but strtoll stops
 * at its first dot, so it is not taken for one. */
static hilum_rc items_read(struct decision *d, struct hl_session *session)
{
    struct hl_stmt *stmt = NULL;
    char *end;
    int64_t number = strtoll(d->which, &end, 10);
    hilum_rc rc = hl_session_ask(
        session, &stmt,
        "SELECT q.id, i.id, q.entry, e.id, s.id, s.patient, l.bytes, i.state, i.uid, s.uid "
        "FROM quarantine q JOIN instance i ON i.id = q.instance "
        "JOIN series e ON e.id = i.series JOIN study s ON s.id = e.study "
        "JOIN location l ON l.instance = i.id AND l.state = 'current' "
        "WHERE q.state = 0 AND (q.id = ?1 OR i.uid = ?2 OR s.uid = ?2) ORDER BY q.id LIMIT ?3",
        "itd", *end ? 0 : number, d->which, RELEASE_MAX);
    while (rc == HILUM_OK && (rc = hl_stmt_step(stmt)) == 1)
        rc = item_read(d, stmt);
    hl_stmt_done(stmt);
    if (rc == HILUM_OK && d->n == 0)
        return hl_fail(HILUM_ENOTFOUND,
                       "quarantine %.64s: nothing is held under this number or UID", d->which);
    return rc;
}

/* Takes one instance from all counters, and from its study's and patient's what is empty then.
 * From the bottom up: each level looks whether the one below is empty by now. */
static hilum_rc uncount(struct hl_session *session, const struct item *item)
{
    hilum_rc rc = hl_session_run(session,
                                 "UPDATE series SET n_instances = n_instances - 1, "
                                 "bytes = bytes - ?2 WHERE id = ?1",
                                 "ii", item->series, item->bytes);
    if (rc == HILUM_OK)
        rc = hl_session_run(session,
                            "UPDATE study SET n_instances = n_instances - 1, bytes = bytes - ?3, "
                            "n_series = n_series - (SELECT CASE n_instances WHEN 0 THEN 1 ELSE 0 "
                            "END FROM series WHERE id = ?2) WHERE id = ?1",
                            "iii", item->study, item->series, item->bytes);
    if (rc == HILUM_OK)
        rc = hl_session_run(session,
                            "UPDATE patient SET n_instances = n_instances - 1, "
                            "n_series = n_series - (SELECT CASE n_instances WHEN 0 THEN 1 ELSE 0 "
                            "END FROM series WHERE id = ?2), "
                            "n_studies = n_studies - (SELECT CASE n_instances WHEN 0 THEN 1 ELSE 0 "
                            "END FROM study WHERE id = ?3) WHERE id = ?1",
                            "iii", item->patient, item->series, item->study);
    if (rc == HILUM_OK)
        rc = hl_session_run(session,
                            "UPDATE totals SET instances = instances - 1, bytes = bytes - ?3, "
                            "series = series - (SELECT CASE n_instances WHEN 0 THEN 1 ELSE 0 END "
                            "FROM series WHERE id = ?1), "
                            "studies = studies - (SELECT CASE n_instances WHEN 0 THEN 1 ELSE 0 END "
                            "FROM study WHERE id = ?2) WHERE id = 1",
                            "iii", item->series, item->study, item->bytes);
    return rc;
}

/* What is released is announced as if it had just been stored, with the fields it came with:
 * rules that wait for it see no difference. The story shows both: when it was held, and when
 * it was let go. */
static hilum_rc stored_event(struct decision *d, struct hl_session *session,
                             const struct item *item)
{
    struct hl_stmt *stmt = NULL;
    struct hl_buf fields = {0};
    int64_t id;
    hilum_rc rc = hl_session_ask(session, &stmt, "SELECT fields FROM journal WHERE id = ?1", "i",
                                 item->entry);
    if (rc == HILUM_OK)
        rc = hl_stmt_step(stmt);
    hl_buf_text(&fields, rc == 1 ? hl_stmt_text(stmt, 0) : "{}");
    hl_stmt_done(stmt);
    const struct hl_entry entry = {.event = "instance.stored",
                                   .study_uid = item->study_uid,
                                   .fields = hl_buf_str(&fields),
                                   .instance = item->instance};
    if (rc >= 0)
        rc = hl_journal_add(d->record, session, &entry, &id);
    hl_buf_fini(&fields);
    return rc;
}

/* The newcomer takes the place of what it contradicted. Nothing is current any more where that
 * was discarded meanwhile: then there is nothing to retire. */
static hilum_rc replace(struct decision *d, struct hl_session *session, const struct item *item)
{
    struct hl_known known = {0};
    int64_t old = 0;
    hilum_rc rc = hl_session_int(
        session, &old, "SELECT id FROM instance WHERE uid = ?1 AND state = 0", "t", item->uid);
    if (rc == HILUM_OK)
        rc = hl_known_read(session, old, &known);
    if (rc == HILUM_OK)
        rc = hl_known_retire(d->record, session, &known,
                             d->how == HL_KNOWN_VERSION ? HL_KNOWN_VERSION : HL_KNOWN_REPLACE);
    if (rc == HILUM_OK)
        rc = hl_known_recount(session, &known, item->bytes);
    if (rc == HILUM_OK)
        rc = hl_known_jobs(session, &known, item->instance);
    if (rc == HILUM_ENOTFOUND)
        rc = HILUM_OK;
    if (rc == HILUM_OK)
        rc = hl_session_run(session, "UPDATE instance SET state = 0 WHERE id = ?1", "i",
                            item->instance);
    return rc;
}

/* From now on its event reaches rules and its jobs are due. Jobs planned when it came carry
 * due INT64_MAX (instances.c, event_write). */
static hilum_rc release(struct decision *d, struct hl_session *session, const struct item *item)
{
    hilum_rc rc = item->is_other ? replace(d, session, item) : HILUM_OK;
    if (rc == HILUM_OK)
        rc = hl_session_run(session, "UPDATE instance SET is_held = 0 WHERE id = ?1", "i",
                            item->instance);
    if (rc == HILUM_OK)
        rc = hl_session_run(session, "UPDATE job SET due_us = 0 WHERE entry = ?1 AND state = 0",
                            "i", item->entry);
    hl_writer_note(d->record->writer, HL_NOTE_JOBS);
    return rc == HILUM_OK ? stored_event(d, session, item) : rc;
}

/* The object goes after the grace like any other; the row stays, so that it can be explained.
 * Its jobs are cancelled, not deleted: they are part of the story. */
static hilum_rc discard(struct decision *d, struct hl_session *session, const struct item *item)
{
    hilum_rc rc = item->is_other ? HILUM_OK : uncount(session, item);
    if (rc == HILUM_OK)
        rc = hl_erasure_add(session, item->instance, hl_erasure_due(d->record),
                            "discarded from quarantine");
    if (rc == HILUM_OK)
        rc = hl_session_run(session, "UPDATE instance SET state = 2 WHERE id = ?1", "i",
                            item->instance);
    if (rc == HILUM_OK)
        rc = hl_session_run(session, "UPDATE job SET state = 4 WHERE entry = ?1 AND state = 0", "i",
                            item->entry);
    return rc;
}

/* The study's row, like every other row with a UID: who looks for what happened to it finds this. */
static hilum_rc decision_audit(const struct decision *d, struct hl_session *session,
                               const struct item *item)
{
    char after[100];
    snprintf(after, sizeof after, "{\"SOPInstanceUID\":\"%s\"}", item->uid);
    return hl_audit_add(session, d->who,
                        d->is_release ? "quarantine.release" : "quarantine.discard",
                        item->study_uid, NULL, after);
}

/* May run twice: items are read anew each time. */
static hilum_rc decision_write(struct hl_session *session, void *arg)
{
    struct decision *d = arg;
    d->n = 0;
    hl_writer_note(d->record->writer, HL_NOTE_SAVE);
    hilum_rc rc = items_read(d, session);
    for (size_t i = 0; i < d->n && rc == HILUM_OK; i++) {
        const struct item *item = &d->items[i];
        rc = d->is_release ? release(d, session, item) : discard(d, session, item);
        if (rc == HILUM_OK)
            rc = hl_session_run(session,
                                "UPDATE quarantine SET state = ?2, who = ?3, decided_us = ?4 "
                                "WHERE id = ?1",
                                "idti", item->id, d->is_release ? 1 : 2, d->who, hl_now_us());
        if (rc == HILUM_OK)
            rc = decision_audit(d, session, item);
    }
    return rc;
}

/* With HL_NOTE_SAVE: a decision is beside the objects when its caller hears of it. */
static hilum_rc decide(struct hl_record *record, const char *which, const char *who,
                       bool is_release, enum hl_known_uid how, uint64_t *n)
{
    struct decision d = {
        .record = record, .which = which, .who = who, .is_release = is_release, .how = how};
    hilum_rc rc = hl_restore_check(record);
    if (rc == HILUM_OK)
        rc = hl_writer_run(record->writer, HL_LANE_OTHER, decision_write, &d);
    if (rc == HILUM_OK && n)
        *n = d.n;
    free(d.items);
    return rc;
}

hilum_rc hl_record_quarantine_release(struct hl_record *record, const char *which, const char *who,
                                      enum hl_known_uid how, uint64_t *n)
{
    return decide(record, which, who, true, how, n);
}

hilum_rc hl_record_quarantine_discard(struct hl_record *record, const char *which, const char *who,
                                      uint64_t *n)
{
    return decide(record, which, who, false, HL_KNOWN_ASIDE, n);
}
