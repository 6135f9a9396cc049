/* Identity conflicts: shown to people, decided by people.
 *
 * Two people under one ID: listed for a person, and decided by one. Until then the newcomer's
 * studies hang on a provisional patient and leave with what they came with.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/record/former.h"

/* A list for people; more are reached by deciding these. */
enum { LIST_MAX = 1000 };

/* ---- the list ------------------------------------------------------------------------------------------------ */

static void person_json(struct hl_stmt *stmt, unsigned first, struct hl_buf *json)
{
    static const char *const names[] = {"PatientName", "PatientBirthDate", "PatientSex"};
    for (unsigned i = 0; i < 3; i++) {
        hl_buf_printf(json, "%c\"%s\":", i ? ',' : '{', names[i]);
        hl_buf_json_string(json, hl_stmt_text(stmt, first + i));
    }
    hl_buf_byte(json, '}');
}

static hilum_rc uid_json(struct hl_stmt *stmt, void *unused, struct hl_buf *json)
{
    (void)unused;
    hl_buf_json_string(json, hl_stmt_text(stmt, 0));
    return HILUM_OK;
}

/* A hundred are enough for a person to see who it is. */
static hilum_rc studies_json(struct hl_session *session, int64_t patient, struct hl_buf *json)
{
    struct hl_stmt *stmt = NULL;
    hilum_rc rc = hl_session_ask(session, &stmt,
                                 "SELECT uid FROM study WHERE patient = ?1 ORDER BY id LIMIT 100",
                                 "i", patient);
    return hl_stmt_array(stmt, rc, uid_json, NULL, json);
}

static hilum_rc conflict_json(struct hl_stmt *stmt, void *session, struct hl_buf *json)
{
    char when[32];
    hl_buf_printf(
        json, "{\"conflict\":%lld,\"when\":\"%s\",\"PatientID\":", (long long)hl_stmt_int(stmt, 0),
        hl_time_text(hl_stmt_int(stmt, 1), when, sizeof when));
    hl_buf_json_string(json, hl_stmt_text(stmt, 3));
    hl_buf_text(json, ",\"IssuerOfPatientID\":");
    hl_buf_json_string(json, hl_stmt_text(stmt, 4));
    hl_buf_text(json, ",\"differs\":");
    hl_buf_json_string(json, hl_stmt_text(stmt, 2));
    hl_buf_text(json, ",\"newcomer\":");
    person_json(stmt, 5, json);
    hl_buf_text(json, ",\"known\":");
    person_json(stmt, 8, json);
    hl_buf_text(json, ",\"studies\":");
    hilum_rc rc = studies_json(session, hl_stmt_int(stmt, 11), json);
    hl_buf_byte(json, '}');
    return rc;
}

hilum_rc hl_record_conflicts(struct hl_record *record, struct hl_buf *json)
{
    struct hl_session *session = NULL;
    struct hl_stmt *stmt = NULL;
    hilum_rc rc = hl_readers_get(record->readers, &session);
    if (rc != HILUM_OK)
        return rc;
    rc = hl_session_ask(session, &stmt,
                        "SELECT c.id, c.at_us, c.differs, n.patient_id, n.issuer, n.name, "
                        "n.birth_date, n.sex, k.name, k.birth_date, k.sex, n.id FROM conflict c "
                        "JOIN patient n ON n.id = c.provisional JOIN patient k ON k.id = c.known "
                        "WHERE c.state = 0 ORDER BY c.id LIMIT ?1",
                        "d", LIST_MAX);
    rc = hl_stmt_array(stmt, rc, conflict_json, session, json);
    hl_readers_put(record->readers, session, rc);
    return rc;
}

/* ---- the decision ---------------------------------------------------------------------------------------------- */

/* `correction` is how what follows is told: by whom, why, and as which version of the overlays. */
struct decision {
    struct hl_record *record;
    int64_t conflict, provisional, known;
    bool is_same;
    struct hl_correction correction;
};

/* Read again within the transaction: two people may decide at once, and the second finds nothing
 * open. */
static hilum_rc decision_read(struct decision *d, struct hl_session *session)
{
    struct hl_stmt *stmt = NULL;
    hilum_rc rc = hl_session_ask(session, &stmt,
                                 "SELECT provisional, known FROM conflict "
                                 "WHERE id = ?1 AND state = 0",
                                 "i", d->conflict);
    if (rc == HILUM_OK)
        rc = hl_stmt_step(stmt);
    if (rc == 1) {
        d->provisional = hl_stmt_int(stmt, 0);
        d->known = hl_stmt_int(stmt, 1);
    }
    hl_stmt_done(stmt);
    if (rc == 0)
        return hl_fail(HILUM_ENOTFOUND, "conflict %lld: not open", (long long)d->conflict);
    return rc > 0 ? HILUM_OK : rc;
}

/* What the studies say otherwise than the known patient leaves corrected from now on; and who
 * comes again under the name that was decided about is known. What the known row does not say
 * corrects nothing: the newcomer's value stays in its objects. */
static hilum_rc differences_overlay(struct decision *d, struct hl_session *session)
{
    struct hl_attrs changes = {0};
    static const struct {
        uint32_t tag;
        const char *sql;
    } attributes[] = {
        {HL_PATIENT_NAME, "SELECT k.name, n.name FROM patient k, patient n "
                          "WHERE k.id = ?1 AND n.id = ?2 AND k.name <> '' AND k.name <> n.name"},
        {HL_PATIENT_BIRTH_DATE, "SELECT k.birth_date, n.birth_date FROM patient k, patient n WHERE "
                                "k.id = ?1 AND n.id = ?2 "
                                "AND k.birth_date <> '' AND k.birth_date <> n.birth_date"},
        {HL_PATIENT_SEX, "SELECT k.sex, n.sex FROM patient k, patient n "
                         "WHERE k.id = ?1 AND n.id = ?2 AND k.sex <> '' AND k.sex <> n.sex"}};
    hilum_rc rc = HILUM_OK;
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes && rc == HILUM_OK; i++) {
        struct hl_stmt *stmt = NULL;
        rc = hl_session_ask(session, &stmt, attributes[i].sql, "ii", d->known, d->provisional);
        if (rc == HILUM_OK)
            rc = hl_stmt_step(stmt);
        bool is_different = rc == 1;
        if (is_different)
            rc = hl_overlay_add(session, &d->correction, d->provisional, attributes[i].tag,
                                hl_stmt_text(stmt, 0), hl_stmt_text(stmt, 1));
        if (rc == HILUM_OK && is_different)
            rc = hl_attrs_set(&changes, attributes[i].tag, hl_stmt_text(stmt, 0));
        hl_stmt_done(stmt);
    }
    if (rc == HILUM_OK)
        rc = hl_former_add(session, d->provisional, d->known, &changes, &d->correction);
    hl_attrs_fini(&changes);
    return rc;
}

/* Counts before the studies move, while both rows still have theirs. The provisional row goes;
 * its conflict row stays for the story. Overlays before the studies move: they are found by
 * the provisional patient. */
static hilum_rc studies_join(struct decision *d, struct hl_session *session)
{
    hilum_rc rc = hl_overlay_seq_next(session, &d->correction.seq);
    if (rc == HILUM_OK)
        rc = differences_overlay(d, session);
    if (rc == HILUM_OK)
        rc =
            hl_session_run(session,
                           "UPDATE patient SET "
                           "n_studies = n_studies + (SELECT n_studies FROM patient WHERE id = ?2), "
                           "n_series = n_series + (SELECT n_series FROM patient WHERE id = ?2), "
                           "n_instances = n_instances + "
                           "(SELECT n_instances FROM patient WHERE id = ?2) WHERE id = ?1",
                           "ii", d->known, d->provisional);
    if (rc == HILUM_OK)
        rc = hl_session_run(session, "UPDATE study SET patient = ?1 WHERE patient = ?2", "ii",
                            d->known, d->provisional);
    if (rc == HILUM_OK)
        rc = hl_former_move(session, d->provisional, d->known);
    if (rc == HILUM_OK)
        rc = hl_session_run(session, "DELETE FROM patient_name WHERE patient = ?1", "i",
                            d->provisional);
    if (rc == HILUM_OK)
        rc = hl_session_run(session, "DELETE FROM patient WHERE id = ?1", "i", d->provisional);
    if (rc == HILUM_OK)
        rc = hl_session_run(session, "UPDATE totals SET patients = patients - 1 WHERE id = 1", "");
    return rc;
}

static hilum_rc decision_event(struct decision *d, struct hl_session *session)
{
    char fields[64];
    int64_t id;
    snprintf(fields, sizeof fields, "{\"conflict\":%lld}", (long long)d->conflict);
    const struct hl_entry entry = {.event = "patient.merged", .study_uid = "", .fields = fields};
    return hl_journal_add(d->record, session, &entry, &id);
}

/* A decision is nobody's event, so it is noted to be saved beside the objects before its
 * caller is told (HL_NOTE_SAVE). "Another person" changes no study: standing 2 only keeps the
 * two apart from now on. */
static hilum_rc decision_write(struct hl_session *session, void *arg)
{
    struct decision *d = arg;
    char what[32];
    hilum_rc rc = decision_read(d, session);
    hl_writer_note(d->record->writer, HL_NOTE_SAVE);
    if (rc == HILUM_OK)
        rc =
            hl_session_run(session,
                           "UPDATE conflict SET state = ?2, who = ?3, decided_us = ?4 "
                           "WHERE id = ?1",
                           "idti", d->conflict, d->is_same ? 1 : 2, d->correction.who, hl_now_us());
    if (rc == HILUM_OK && d->is_same)
        rc = studies_join(d, session);
    if (rc == HILUM_OK && d->is_same)
        rc = decision_event(d, session);
    if (rc == HILUM_OK && !d->is_same)
        rc = hl_session_run(session, "UPDATE patient SET standing = 2 WHERE id = ?1", "i",
                            d->provisional);
    hl_places_forget(d->record->places);
    snprintf(what, sizeof what, "conflict:%lld", (long long)d->conflict);
    if (rc == HILUM_OK)
        rc = hl_audit_add(session, d->correction.who, "patient.resolve", what, NULL,
                          d->is_same ? "{\"same_person\":true}" : "{\"same_person\":false}");
    return rc;
}

hilum_rc hl_record_resolve_conflict(struct hl_record *record, int64_t conflict_id, bool same_person,
                                    const char *who)
{
    struct decision d = {.record = record,
                         .conflict = conflict_id,
                         .is_same = same_person,
                         .correction = {.who = who, .why = "identity conflict decided"}};
    hilum_rc rc = hl_restore_check(record);
    return rc == HILUM_OK ? hl_writer_run(record->writer, HL_LANE_OTHER, decision_write, &d) : rc;
}
