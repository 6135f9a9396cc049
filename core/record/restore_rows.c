/* Lines of the log become rows: persons, decisions, jobs, events; then all counts are made again. Each runs within a unit
 * of restore.c. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/record/restore.h"

enum { COUNT_PAGE = 2000 };

/* ---- persons ------------------------------------------------------------------------------------------------ */

/* Somebody of that issuer and ID who came again before the rebuild did. Standing 1 and 2 are
 * always made anew: several of one issuer and ID exist by decision. */
static hilum_rc patient_known(struct hl_session *session, const json_t *v, int64_t *id)
{
    hilum_rc rc = HILUM_OK;
    *id = 0;
    if (hl_line_int(v, 0) == 0)
        rc = hl_session_int(session, id,
                            "SELECT id FROM patient WHERE issuer = ?1 AND patient_id = ?2 "
                            "AND standing = 0",
                            "tt", hl_line_text(v, 3), hl_line_text(v, 2));
    else if (hl_line_int(v, 0) == 3)
        rc = hl_session_int(session, id,
                            "SELECT id FROM patient WHERE standing = 3 AND study_key = ?1", "t",
                            hl_line_text(v, 1));
    return rc == HILUM_ENOTFOUND ? HILUM_OK : rc;
}

static hilum_rc patient_insert(struct hl_session *session, const json_t *line, int64_t *id)
{
    const json_t *v = json_object_get(line, "v");
    int64_t was = (int64_t)json_integer_value(json_object_get(line, "id"));
    hilum_rc rc = hl_session_run(
        session,
        "INSERT INTO patient (id, standing, study_key, patient_id, issuer, created_us) "
        "VALUES (" HL_ID_SQL("patient") ", ?2, ?3, ?4, ?5, ?6)",
        "iitttd", was, hl_line_int(v, 0), hl_line_text(v, 1), hl_line_text(v, 2),
        hl_line_text(v, 3), 0);
    *id = hl_session_last_id(session);
    return rc;
}

/* A person may have come again before the rebuild did; the saved line knows more (corrections),
 * so it is written over that row. */
static hilum_rc patient_apply(struct hl_restoring *restoring, struct hl_session *session,
                              const json_t *line, int64_t *id)
{
    const json_t *v = json_object_get(line, "v");
    struct hl_buf folded = {0};
    (void)restoring;
    hilum_rc rc = patient_known(session, v, id);
    if (rc == HILUM_OK && *id == 0)
        rc = patient_insert(session, line, id);
    hl_name_keys_joined(hl_line_text(v, 9), &folded);
    if (rc == HILUM_OK)
        rc = hl_session_run(
            session,
            "UPDATE patient SET name = ?2, birth_date = ?3, birth_time = ?4, sex = ?5, "
            "other_ids = ?6, other_names = ?7, other_names_f = ?8, ethnic_group = ?9, "
            "comments = ?10, created_us = ?11 WHERE id = ?1",
            "ittttttttti", *id, hl_line_text(v, 4), hl_line_text(v, 5), hl_line_text(v, 6),
            hl_line_text(v, 7), hl_line_text(v, 8), hl_line_text(v, 9), hl_buf_str(&folded),
            hl_line_text(v, 10), hl_line_text(v, 11), hl_line_int(v, 12));
    hl_buf_fini(&folded);
    return rc == HILUM_OK ? hl_identity_keys(session, *id, hl_line_text(v, 4)) : rc;
}

/* 0 where that person's line never came: what refers to it is dropped or goes without. */
static hilum_rc person_of(struct hl_session *session, const json_t *line, int64_t was, int64_t *out)
{
    char name[64];
    hl_line_name(line, was, name);
    return hl_restore_new_id(session, HL_FACT_PATIENT, name, out);
}

/* Nothing to do where the person has not come back: there is nobody to be recognised. */
static hilum_rc former_apply(struct hl_restoring *restoring, struct hl_session *session,
                             const json_t *line, int64_t *id)
{
    const json_t *v = json_object_get(line, "v");
    int64_t patient = 0;
    (void)restoring;
    hilum_rc rc = person_of(session, line, hl_line_int(v, 0), &patient);
    if (rc != HILUM_OK || patient == 0)
        return rc;
    rc = hl_session_run(
        session,
        "INSERT INTO former_identity (id, patient, patient_id, issuer, name, birth_date, sex, "
        "changes, who, why, at_us) VALUES (" HL_ID_SQL(
            "former_identity") ", ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        "iitttttttti", (int64_t)json_integer_value(json_object_get(line, "id")), patient,
        hl_line_text(v, 1), hl_line_text(v, 2), hl_line_text(v, 3), hl_line_text(v, 4),
        hl_line_text(v, 5), hl_line_text(v, 6), hl_line_text(v, 7), hl_line_text(v, 8),
        hl_line_int(v, 9));
    *id = hl_session_last_id(session);
    return rc;
}

/* One that is decided stays for its number: it is not given again. */
static hilum_rc conflict_apply(struct hl_restoring *restoring, struct hl_session *session,
                               const json_t *line, int64_t *id)
{
    const json_t *v = json_object_get(line, "v");
    int64_t provisional = 0, known = 0;
    (void)restoring;
    hilum_rc rc = person_of(session, line, hl_line_int(v, 0), &provisional);
    if (rc == HILUM_OK)
        rc = person_of(session, line, hl_line_int(v, 1), &known);
    if (rc == HILUM_OK)
        rc = hl_session_run(
            session,
            "INSERT INTO conflict (id, provisional, known, differs, state, at_us, who, "
            "decided_us) VALUES (" HL_ID_SQL("conflict") ", ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            "iiitiiti", (int64_t)json_integer_value(json_object_get(line, "id")), provisional,
            known, hl_line_text(v, 2), hl_line_int(v, 3), hl_line_int(v, 4), hl_line_text(v, 5),
            hl_line_int(v, 6));
    *id = hl_session_last_id(session);
    return rc;
}

hilum_rc hl_record_restore_persons(struct hl_record *record)
{
    hilum_rc rc = hl_restore_pages(record, HL_FACT_PATIENT, patient_apply, 0);
    if (rc == HILUM_OK)
        rc = hl_restore_pages(record, HL_FACT_FORMER, former_apply, 0);
    return rc == HILUM_OK ? hl_restore_pages(record, HL_FACT_CONFLICT, conflict_apply, 0) : rc;
}

/* ---- jobs and events ------------------------------------------------------------------------------------------ */

/* Whichever of its locations the line named. */
static hilum_rc instance_of(struct hl_session *session, const char *store, const char *key,
                            int64_t *out)
{
    *out = 0;
    hilum_rc rc = *key ? hl_session_int(session, out,
                                        "SELECT instance FROM location WHERE store = ?1 "
                                        "AND object_key = ?2",
                                        "tt", store, key)
                       : HILUM_OK;
    return rc == HILUM_ENOTFOUND ? HILUM_OK : rc;
}

/* The event of the object a job was planned by, so that a rule that sees it again plans nothing twice. */
static hilum_rc entry_of(struct hl_session *session, int64_t instance, const char *study,
                         const char *event, int64_t *out)
{
    *out = 0;
    hilum_rc rc =
        instance && *event
            ? hl_session_int(session, out,
                             "SELECT id FROM journal WHERE study_uid = ?1 AND instance = ?2 "
                             "AND event = ?3 ORDER BY id DESC LIMIT 1",
                             "tit", study, instance, event)
            : HILUM_OK;
    return rc == HILUM_ENOTFOUND ? HILUM_OK : rc;
}

/* Of a job in hand nobody knows how far it came: it is done again. What waited for a release
 * still does. ON CONFLICT: a rule that ran again before the rebuild may have planned the same.
 * Due times of the past are "at once"; attempts stay counted. */
static hilum_rc job_apply(struct hl_restoring *restoring, struct hl_session *session,
                          const json_t *line, int64_t *id)
{
    const json_t *v = json_object_get(line, "v");
    int64_t instance = 0, entry = 0, state = hl_line_int(v, 2), due = hl_line_int(v, 4);
    const char *rule = json_string_value(json_array_get(v, 6));
    (void)restoring;
    hilum_rc rc = instance_of(session, hl_line_text(v, 9), hl_line_text(v, 10), &instance);
    if (rc == HILUM_OK)
        rc = entry_of(session, instance, hl_line_text(v, 11), hl_line_text(v, 8), &entry);
    if (rc != HILUM_OK || (instance == 0 && *hl_line_text(v, 10)))
        return rc; /* about an object that is not there any more */
    rc = hl_session_run(
        session,
        "INSERT INTO job (id, type, lane, state, priority, due_us, attempts, entry, rule, ordinal, "
        "instance, study_uid, as_of, arguments, result, created_us, ended_us) VALUES "
        "(" HL_ID_SQL("job") ", ?2, ?3, ?4, ?5, ?6, ?7, nullif(?8, 0), ?9, "
                             "CASE WHEN ?9 IS NULL THEN NULL ELSE ?10 END, ?11, ?12, ?13, ?14, "
                             "?15, ?16, ?17) "
                             "ON CONFLICT (entry, rule, ordinal) DO NOTHING",
        "ittiiiiitiitittii", (int64_t)json_integer_value(json_object_get(line, "id")),
        hl_line_text(v, 0), hl_line_text(v, 1), state == 1 ? (int64_t)0 : state, hl_line_int(v, 3),
        due == INT64_MAX ? due : (int64_t)0, hl_line_int(v, 5), entry, rule, hl_line_int(v, 7),
        instance, hl_line_text(v, 11), hl_line_int(v, 12), hl_line_text(v, 13), hl_line_text(v, 14),
        hl_line_int(v, 15), hl_line_int(v, 16));
    *id = hl_session_last_id(session);
    return rc;
}

/* Events of studies and persons only: those of objects come with the objects. */
static hilum_rc entry_apply(struct hl_restoring *restoring, struct hl_session *session,
                            const json_t *line, int64_t *id)
{
    const json_t *v = json_object_get(line, "v");
    int64_t instance = 0;
    (void)restoring;
    hilum_rc rc = instance_of(session, hl_line_text(v, 2), hl_line_text(v, 3), &instance);
    if (rc == HILUM_OK)
        rc = hl_session_run(session,
                            "INSERT INTO journal (event, study_uid, instance, fields, attempts, "
                            "failed, created_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                            "ttititi", hl_line_text(v, 0), hl_line_text(v, 1), instance,
                            hl_line_text(v, 4), hl_line_int(v, 5), hl_line_text(v, 6),
                            hl_line_int(v, 7));
    *id = hl_session_last_id(session);
    return rc;
}

/* ---- sums of compression ---------------------------------------------------------------------------------------- */

/* Added, for the new catalogue may have some already; of two lost ones both count. */
static hilum_rc compression_apply(struct hl_restoring *restoring, struct hl_session *session,
                                  const json_t *line, int64_t *id)
{
    const json_t *item;
    size_t i;
    hilum_rc rc = HILUM_OK;
    (void)restoring;
    *id = 0;
    json_array_foreach(json_object_get(line, "a"), i, item)
    {
        struct hl_compression_sum sum = {.done = (uint64_t)hl_line_int(item, 2),
                                         .kept = (uint64_t)hl_line_int(item, 3),
                                         .bytes_before = (uint64_t)hl_line_int(item, 4),
                                         .bytes_after = (uint64_t)hl_line_int(item, 5),
                                         .work_us = hl_line_int(item, 6)};
        snprintf(sum.rule, sizeof sum.rule, "%s", hl_line_text(item, 0));
        snprintf(sum.syntax, sizeof sum.syntax, "%s", hl_line_text(item, 1));
        snprintf(sum.last_kept, sizeof sum.last_kept, "%s", hl_line_text(item, 8));
        if (rc == HILUM_OK)
            rc = hl_compression_sum_add(session, &sum, hl_line_int(item, 7));
    }
    return rc;
}

/* ---- counts --------------------------------------------------------------------------------------------------- */

/* Rows ?1 < id <= ?2 of each level, from the level below. Made again instead of added up on
 * the way: that is right whatever was cut short. */
static const char *const counts[] = {
    "UPDATE series SET n_instances = (SELECT count(*) FROM instance i WHERE i.series = series.id "
    "AND i.state = 0), bytes = (SELECT coalesce(sum(l.bytes), 0) FROM instance i JOIN location l "
    "ON l.instance = i.id AND l.state = 'current' WHERE i.series = series.id AND i.state = 0) "
    "WHERE id > ?1 AND id <= ?2",
    "UPDATE study SET n_series = (SELECT count(*) FROM series e WHERE e.study = study.id "
    "AND e.n_instances > 0), n_instances = (SELECT coalesce(sum(e.n_instances), 0) FROM series e "
    "WHERE e.study = study.id), bytes = (SELECT coalesce(sum(e.bytes), 0) FROM series e "
    "WHERE e.study = study.id) WHERE id > ?1 AND id <= ?2",
    "UPDATE patient SET n_studies = (SELECT count(*) FROM study s WHERE s.patient = patient.id "
    "AND s.n_instances > 0), n_series = (SELECT coalesce(sum(s.n_series), 0) FROM study s "
    "WHERE s.patient = patient.id), n_instances = (SELECT coalesce(sum(s.n_instances), 0) "
    "FROM study s WHERE s.patient = patient.id) WHERE id > ?1 AND id <= ?2"};
static const char *const highest[] = {"SELECT coalesce(max(id), 0) FROM series",
                                      "SELECT coalesce(max(id), 0) FROM study",
                                      "SELECT coalesce(max(id), 0) FROM patient"};

/* A page of rows of one level. */
struct counting {
    struct hl_record *record;
    unsigned level;
    int64_t after, last;
};

/* By ranges of numbers, so a page costs what it holds. */
static hilum_rc count_write(struct hl_session *session, void *arg)
{
    struct counting *counting = arg;
    hilum_rc rc = hl_session_int(session, &counting->last, highest[counting->level], "");
    return rc == HILUM_OK ? hl_session_run(session, counts[counting->level], "ii", counting->after,
                                           counting->after + COUNT_PAGE)
                          : rc;
}

/* Last of all: only now are events of objects due, since rules that see them find everything
 * that belongs to them. */
static hilum_rc totals_write(struct hl_session *session, void *arg)
{
    struct hl_record *record = arg;
    hilum_rc rc = hl_session_run(session,
                                 "UPDATE totals SET patients = (SELECT count(*) FROM patient), "
                                 "studies = (SELECT count(*) FROM study WHERE n_instances > 0), "
                                 "series = (SELECT count(*) FROM series WHERE n_instances > 0), "
                                 "instances = (SELECT coalesce(sum(n_instances), 0) FROM study), "
                                 "bytes = (SELECT coalesce(sum(bytes), 0) FROM study) WHERE id = 1",
                                 "");
    /* Everything that belongs to the events of objects is there: rules may see them. */
    if (rc == HILUM_OK)
        rc =
            hl_session_run(session, "UPDATE journal SET due_us = 0 WHERE state = 0 AND due_us = ?1",
                           "i", INT64_MAX);
    hl_writer_note(record->writer, HL_NOTE_JOURNAL | HL_NOTE_JOBS);
    return rc;
}

static hilum_rc count_all(struct hl_record *record)
{
    hilum_rc rc = HILUM_OK;
    for (unsigned level = 0; level < 3 && rc == HILUM_OK; level++) {
        struct counting counting = {.record = record, .level = level, .last = 1};
        for (; counting.after < counting.last && rc == HILUM_OK; counting.after += COUNT_PAGE)
            rc = hl_writer_run(record->writer, HL_LANE_OTHER, count_write, &counting);
    }
    return rc == HILUM_OK ? hl_writer_run(record->writer, HL_LANE_OTHER, totals_write, record) : rc;
}

/* Studies before jobs and events, which refer to them; counts when all rows are there. */
hilum_rc hl_record_restore_rest(struct hl_record *record)
{
    hilum_rc rc = hl_restore_pages(record, HL_FACT_STUDY, hl_restore_known_study, 0);
    if (rc == HILUM_OK)
        rc = hl_restore_pages(record, HL_FACT_JOB, job_apply, HL_NOTE_JOBS);
    if (rc == HILUM_OK)
        rc = hl_restore_pages(record, HL_FACT_ENTRY, entry_apply, HL_NOTE_JOURNAL);
    if (rc == HILUM_OK)
        rc = hl_restore_pages(record, HL_FACT_COMPRESSION, compression_apply, 0);
    return rc == HILUM_OK ? count_all(record) : rc;
}
