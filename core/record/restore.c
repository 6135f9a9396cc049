/* A lost catalogue comes back: lines that save.c wrote are kept in the table `saved`, the newest of each thing, and become
 * rows: persons before the objects, what objects say on the way, jobs and journal after. Each step is done once, whatever
 * crashes. Knows nothing of where lines lie.
 *
 * Steps, in the order core/store/rebuild.c takes them: begin (from now on decisions are refused);
 * put every line of the logs; persons; then the objects themselves, through hl_record_instances
 * with is_restored, which look up here what was saved of them; rest (studies, jobs, events,
 * counts); end.
 *
 * Numbers of rows are of the database that wrote the line. `saved.new_id` says what became of
 * a thing, and a line that refers to it finds it by the name "CATALOGUE:NUMBER".
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/hex.h"
#include "core/record/record_private.h"
#include "core/record/restore.h"

enum { PAGE = 200 };

/* ---- lines ------------------------------------------------------------------------------------------------ */

const char *hl_line_text(const json_t *row, size_t i)
{
    const char *text = json_string_value(json_array_get(row, i));
    return text ? text : "";
}

int64_t hl_line_int(const json_t *row, size_t i)
{
    return (int64_t)json_integer_value(json_array_get(row, i));
}

/* Which database wrote the line: numbers mean something within one database only. */
static const char *catalogue_of(const json_t *line)
{
    const char *text = json_string_value(json_object_get(line, "c"));
    return text ? text : "";
}

void hl_line_name(const json_t *line, int64_t id, char out[64])
{
    snprintf(out, 64, "%.24s:%lld", catalogue_of(line), (long long)id);
}

/* What a line is about: objects and studies by what they are called everywhere, all else by
 * its number in the database that wrote it. False: nothing that comes back. Lines of two
 * databases, both lost, may come together: their numbers must not be mixed. */
static bool name_of(const json_t *line, int kind, char out[300])
{
    const json_t *v = json_object_get(line, "v");
    switch (kind) {
    case HL_FACT_OBJECT:
        snprintf(out, 300, "%.31s/%.200s", hl_line_text(v, 0), hl_line_text(v, 1));
        return v != NULL;
    case HL_FACT_STUDY: snprintf(out, 300, "%.64s", hl_line_text(v, 0)); return v != NULL;
    case HL_FACT_UNTIL: snprintf(out, 300, "%.24s", catalogue_of(line)); return v != NULL;
    default:
        hl_line_name(line, (int64_t)json_integer_value(json_object_get(line, "id")), out);
        return (kind > HL_FACT_OBJECT && kind <= HL_FACT_ENTRY) || kind == HL_FACT_COMPRESSION;
    }
}

/* The triggers look for this row: within the unit, so that no other unit is ever silent. */
hilum_rc hl_restore_silence(struct hl_session *session, bool is_silent)
{
    return hl_session_run(session,
                          is_silent ? "INSERT INTO kv VALUES ('record', 'silent', '1') "
                                      "ON CONFLICT DO NOTHING"
                                    : "DELETE FROM kv WHERE space = 'record' AND name = 'silent'",
                          "");
}

/* ---- begin and end ------------------------------------------------------------------------------------------ */

/* A row, so that a server that dies in the middle knows at its next start. */
static hilum_rc begin_write(struct hl_session *session, void *arg)
{
    (void)arg;
    return hl_session_run(
        session, "INSERT INTO kv VALUES ('record', 'rebuild', '1') ON CONFLICT DO NOTHING", "");
}

static hilum_rc end_write(struct hl_session *session, void *arg)
{
    (void)arg;
    hilum_rc rc = hl_session_run(session, "DELETE FROM saved", "");
    return rc == HILUM_OK
               ? hl_session_run(session,
                                "DELETE FROM kv WHERE space = 'record' AND name = 'rebuild'", "")
               : rc;
}

hilum_rc hl_record_restore_begin(struct hl_record *record)
{
    hilum_rc rc = hl_writer_run(record->writer, HL_LANE_OTHER, begin_write, NULL);
    if (rc == HILUM_OK)
        atomic_store(&record->is_restoring, true);
    return rc;
}

hilum_rc hl_record_restore_end(struct hl_record *record)
{
    hilum_rc rc = hl_writer_run(record->writer, HL_LANE_OTHER, end_write, NULL);
    if (rc == HILUM_OK)
        atomic_store(&record->is_restoring, false);
    return rc;
}

bool hl_record_is_restoring(struct hl_record *record)
{
    return atomic_load(&record->is_restoring);
}

hilum_rc hl_restore_check(struct hl_record *record)
{
    return !atomic_load(&record->is_restoring)
               ? HILUM_OK
               : hl_fail(HILUM_ECONFLICT, "the catalogue was lost and is not whole again: run "
                                          "`hilum archive rebuild` to its end, then decide");
}

hilum_rc hl_record_is_empty(struct hl_record *record, bool *out)
{
    struct hl_session *session = NULL;
    int64_t id = 0;
    hilum_rc rc = hl_readers_get(record->readers, &session);
    if (rc != HILUM_OK)
        return rc;
    rc = hl_session_int(session, &id, "SELECT id FROM instance LIMIT 1", "");
    hl_readers_put(record->readers, session, rc);
    *out = rc == HILUM_ENOTFOUND;
    return rc == HILUM_ENOTFOUND ? HILUM_OK : rc;
}

/* ---- put ------------------------------------------------------------------------------------------------------ */

struct put {
    struct hl_record *record;
    uint64_t number;
    const char *lines;
    size_t n;
};

/* Of this very database nothing has to come back. The newest line of each thing wins (`number`
 * grows with the log); one that was done is done again when a newer one comes. A tie keeps the
 * one that was first: within one object of the log lines are in order of writing, and a thing
 * is in it once. */
static hilum_rc line_put(struct put *put, struct hl_session *session, const char *text, size_t n)
{
    char name[300];
    json_t *line = json_loadb(text, n, 0, NULL);
    int kind = (int)json_integer_value(json_object_get(line, "f"));
    bool is_ours = strcmp(catalogue_of(line), put->record->catalogue) == 0;
    hilum_rc rc = HILUM_OK;
    if (!line)
        return hl_fail(HILUM_ECORRUPT, "log beside the objects: a line is no JSON");
    if (!is_ours && name_of(line, kind, name)) {
        char *copy = strndup(text, n);
        rc = copy ? hl_session_run(session,
                                   "INSERT INTO saved (kind, name, number, line) "
                                   "VALUES (?1, ?2, ?3, ?4) ON CONFLICT (kind, name) DO UPDATE SET "
                                   "number = excluded.number, line = excluded.line, is_done = 0 "
                                   "WHERE excluded.number > saved.number",
                                   "dtit", kind, name, (int64_t)put->number, copy)
                  : hl_fail(HILUM_ENOMEM, "out of memory");
        free(copy);
    }
    json_decref(line);
    return rc;
}

/* One piece of the log is one unit; put again after a crash it changes nothing. */
static hilum_rc put_write(struct hl_session *session, void *arg)
{
    struct put *put = arg;
    hilum_rc rc = HILUM_OK;
    for (const char *at = put->lines, *end = at + put->n; at < end && rc == HILUM_OK;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t n = stop ? (size_t)(stop - at) : (size_t)(end - at);
        rc = n > 0 ? line_put(put, session, at, n) : HILUM_OK;
        at += n + 1;
    }
    return rc;
}

hilum_rc hl_record_restore_put(struct hl_record *record, uint64_t number, const char *lines,
                               size_t n)
{
    struct put put = {.record = record, .number = number, .lines = lines, .n = n};
    return hl_writer_run(record->writer, HL_LANE_OTHER, put_write, &put);
}

/* ---- what is known of one thing -------------------------------------------------------------------------------- */

/* NULL with HILUM_OK: nothing. A line that is no JSON any more is taken as none. */
static hilum_rc line_read(struct hl_session *session, int kind, const char *name, json_t **out)
{
    struct hl_stmt *stmt = NULL;
    *out = NULL;
    hilum_rc rc = hl_session_ask(
        session, &stmt, "SELECT line FROM saved WHERE kind = ?1 AND name = ?2", "dt", kind, name);
    if (rc == HILUM_OK)
        rc = hl_stmt_step(stmt);
    if (rc == 1)
        *out = json_loads(hl_stmt_text(stmt, 0), 0, NULL);
    hl_stmt_done(stmt);
    return rc > 0 ? HILUM_OK : rc;
}

hilum_rc hl_restore_new_id(struct hl_session *session, int kind, const char *name, int64_t *out)
{
    *out = 0;
    hilum_rc rc = hl_session_int(
        session, out, "SELECT new_id FROM saved WHERE kind = ?1 AND name = ?2", "dt", kind, name);
    return rc == HILUM_ENOTFOUND ? HILUM_OK : rc;
}

/* Marked in the transaction that made the rows: a crash repeats no line. */
static hilum_rc done_write(struct hl_session *session, int kind, const char *name, int64_t new_id)
{
    return hl_session_run(session,
                          "UPDATE saved SET is_done = 1, new_id = ?3 WHERE kind = ?1 AND name = ?2",
                          "dti", kind, name, new_id);
}

/* Anything but 32 digits leaves zeros, which no digest equals. */
static void digest_read(const char *hex, uint8_t out[16])
{
    if (strlen(hex) == 32)
        (void)hl_hex_read(hex, 16, out);
}

/* The saved line of an object that is found in a store; out->line NULL: none, and the object
 * is simply current. The caller lets go of the line, which the texts of *out point into. By
 * store and key, the only names an object has without a catalogue. */
hilum_rc hl_restore_object(struct hl_session *session, const struct hl_location *at,
                           struct hl_restored *out)
{
    char name[300];
    json_t *line = NULL;
    *out = (struct hl_restored){0};
    snprintf(name, sizeof name, "%s/%s", at->store, at->key);
    hilum_rc rc = line_read(session, HL_FACT_OBJECT, name, &line);
    if (!line)
        return rc;
    const json_t *v = json_object_get(line, "v");
    *out = (struct hl_restored){.line = line,
                                .state = hl_line_int(v, 2),
                                .is_held = hl_line_int(v, 3) != 0,
                                .received_us = hl_line_int(v, 4),
                                .is_erasing = strcmp(hl_line_text(v, 6), "erasing") == 0,
                                .due_us = hl_line_int(v, 7),
                                .why = hl_line_text(v, 8),
                                .peer = hl_line_text(v, 9),
                                .calling_aet = hl_line_text(v, 10),
                                .called_aet = hl_line_text(v, 11),
                                .address = hl_line_text(v, 12),
                                .fields = hl_line_text(v, 13),
                                .received_as = hl_line_text(v, 14),
                                .version = hl_line_int(v, 15)};
    digest_read(hl_line_text(v, 5), out->digest_received);
    return HILUM_OK;
}

void hl_restored_fini(struct hl_restored *restored)
{
    json_decref(restored->line);
    *restored = (struct hl_restored){0};
}

/* Quarantine and erasure of an object that has just got its row. What was to be erased stays
 * so, with the due time it had. instance_id 0: a bad copy that had been replaced; it gets a
 * location to be erased and no row. */
hilum_rc hl_restore_aside(struct hl_session *session, const struct hl_restored *restored,
                          const struct hl_instance *row)
{
    const struct hl_location *at = &row->location;
    const json_t *item;
    size_t i;
    hilum_rc rc = HILUM_OK;
    json_array_foreach(json_object_get(restored->line, "a"), i, item)
    {
        if (rc == HILUM_OK && row->instance_id)
            rc = hl_session_run(
                session,
                "INSERT INTO quarantine (id, instance, entry, rule, reason, state, at_us, who, "
                "decided_us) VALUES (" HL_ID_SQL("quarantine") ", ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                "iiittiiti", hl_line_int(item, 0), row->instance_id, row->journal_id,
                hl_line_text(item, 1), hl_line_text(item, 2), hl_line_int(item, 3),
                hl_line_int(item, 4), hl_line_text(item, 5), hl_line_int(item, 6));
    }
    if (rc != HILUM_OK || !restored->is_erasing)
        return rc;
    rc = hl_session_run(session,
                        "INSERT INTO erasure (store, object_key, due_us, why) "
                        "VALUES (?1, ?2, ?3, ?4)",
                        "ttit", at->store, at->key,
                        restored->due_us ? restored->due_us : hl_now_us(), restored->why);
    return rc == HILUM_OK
               ? hl_session_run(session,
                                "INSERT INTO location (store, object_key, instance, state, bytes, "
                                "dataset_offset, digest, since_us) "
                                "VALUES (?1, ?2, ?3, 'erasing', ?4, ?5, ?6, ?7) ON CONFLICT "
                                "(store, object_key) DO UPDATE SET "
                                "state = 'erasing'",
                                "ttiiibi", at->store, at->key, row->instance_id,
                                (int64_t)at->length, (int64_t)at->dataset_offset,
                                (const void *)at->digest_stored, sizeof at->digest_stored,
                                hl_now_us())
               : rc;
}

/* The person was made by hl_record_restore_persons; one that was not is nobody's decision, and
 * the study finds its patient as a new one does. */
hilum_rc hl_restore_patient(struct hl_session *session, const char *study_uid, int64_t *patient,
                            int64_t *standing)
{
    char name[64];
    json_t *line = NULL;
    hilum_rc rc = line_read(session, HL_FACT_STUDY, study_uid, &line);
    *patient = 0;
    if (line) {
        hl_line_name(line, hl_line_int(json_object_get(line, "v"), 1), name);
        rc = hl_restore_new_id(session, HL_FACT_PATIENT, name, patient);
    }
    if (rc == HILUM_OK && *patient)
        rc = hl_session_int(session, standing, "SELECT standing FROM patient WHERE id = ?1", "i",
                            *patient);
    json_decref(line);
    return rc;
}

static hilum_rc overlay_row(struct hl_session *session, int64_t study, const json_t *item)
{
    return hl_session_run(session,
                          "INSERT INTO overlay (seq, study, tag, text, old_text, who, why, at_us) "
                          "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                          "iiitttti", hl_line_int(item, 0), study, hl_line_int(item, 1),
                          json_string_value(json_array_get(item, 2)), hl_line_text(item, 3),
                          hl_line_text(item, 4), hl_line_text(item, 5), hl_line_int(item, 6));
}

/* Deleted first: the study may have come again, and its line been applied, before. */
static hilum_rc study_rows(struct hl_session *session, const json_t *line, int64_t study)
{
    const json_t *item;
    size_t i;
    hilum_rc rc = hl_session_run(session, "DELETE FROM overlay WHERE study = ?1", "i", study);
    json_array_foreach(json_object_get(line, "a"), i, item)
    {
        if (rc == HILUM_OK)
            rc = overlay_row(session, study, item);
    }
    json_array_foreach(json_object_get(line, "b"), i, item)
    {
        if (rc == HILUM_OK)
            rc = hl_session_run(session,
                                "INSERT INTO label VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                                "iti", study, hl_line_text(item, 0), hl_line_int(item, 1));
    }
    return rc;
}

hilum_rc hl_restore_study(struct hl_session *session, const char *study_uid, int64_t study)
{
    json_t *line = NULL;
    hilum_rc rc = line_read(session, HL_FACT_STUDY, study_uid, &line);
    if (rc == HILUM_OK && line)
        rc = study_rows(session, line, study);
    if (rc == HILUM_OK && line)
        rc = done_write(session, HL_FACT_STUDY, study_uid, study);
    json_decref(line);
    return rc;
}

/* A study that came again before the rebuild did. */
hilum_rc hl_restore_known_study(struct hl_restoring *restoring, struct hl_session *session,
                                const json_t *line, int64_t *study)
{
    int64_t patient = 0, standing = 0;
    const char *uid = hl_line_text(json_object_get(line, "v"), 0);
    (void)restoring;
    hilum_rc rc = hl_session_int(session, study, "SELECT id FROM study WHERE uid = ?1", "t", uid);
    if (rc == HILUM_ENOTFOUND)
        return HILUM_OK; /* none of its objects is there any more */
    if (rc == HILUM_OK)
        rc = hl_restore_patient(session, uid, &patient, &standing);
    if (rc == HILUM_OK && patient)
        rc = hl_session_run(session, "UPDATE study SET patient = ?2 WHERE id = ?1", "ii", *study,
                            patient);
    return rc == HILUM_OK ? study_rows(session, line, *study) : rc;
}

/* One number out of lines, without a unit: asked before anything is written. */
static hilum_rc number_read(struct hl_record *record, const char *sql, int kind, const char *name,
                            size_t at, bool is_least, int64_t *out)
{
    struct hl_session *session = NULL;
    struct hl_stmt *stmt = NULL;
    hilum_rc rc = hl_readers_get(record->readers, &session);
    if (rc != HILUM_OK)
        return rc;
    rc = hl_session_ask(session, &stmt, sql, "dt", kind, name);
    while (rc == HILUM_OK && (rc = hl_stmt_step(stmt)) == 1) {
        json_t *line = json_loads(hl_stmt_text(stmt, 0), 0, NULL);
        int64_t found = hl_line_int(json_object_get(line, "v"), at);
        *out = is_least && *out < found ? *out : found;
        json_decref(line);
        rc = HILUM_OK;
    }
    hl_stmt_done(stmt);
    hl_readers_put(record->readers, session, rc);
    return rc;
}

/* The least of several databases' lines: what is not sure to be handled is handled again. */
hilum_rc hl_record_restore_until(struct hl_record *record, int64_t *until_us)
{
    *until_us = INT64_MAX;
    return number_read(record, "SELECT line FROM saved WHERE kind = ?1 AND name <> ?2",
                       HL_FACT_UNTIL, "", 0, true, until_us);
}

hilum_rc hl_record_restore_received(struct hl_record *record, const char *store, const char *key,
                                    int64_t *received_us)
{
    char name[300];
    snprintf(name, sizeof name, "%s/%s", store, key);
    *received_us = 0;
    return number_read(record, "SELECT line FROM saved WHERE kind = ?1 AND name = ?2",
                       HL_FACT_OBJECT, name, 4, false, received_us);
}

/* ---- pages ------------------------------------------------------------------------------------------------------- */

/* Copied out of the statement, since applying a line writes to the table it reads. */
static hilum_rc page_collect(struct hl_restoring *restoring, struct hl_session *session,
                             json_t *lines)
{
    struct hl_stmt *stmt = NULL;
    hilum_rc rc = hl_session_ask(session, &stmt,
                                 "SELECT name, line FROM saved WHERE kind = ?1 AND is_done = 0 "
                                 "ORDER BY number, name LIMIT ?2",
                                 "dd", restoring->kind, (int)PAGE);
    restoring->n = 0;
    while (rc == HILUM_OK && (rc = hl_stmt_step(stmt)) == 1) {
        json_array_append_new(lines, json_string(hl_stmt_text(stmt, 0)));
        json_array_append_new(lines, json_loads(hl_stmt_text(stmt, 1), 0, NULL));
        restoring->n++;
        rc = HILUM_OK;
    }
    hl_stmt_done(stmt);
    return rc;
}

/* One page of lines in one transaction, marked as silent: what comes from the log must not be
 * written to it again. A line without "v" says that its thing was gone: marked as done,
 * nothing made. */
static hilum_rc page_write(struct hl_session *session, void *arg)
{
    struct hl_restoring *restoring = arg;
    json_t *lines = json_array();
    hilum_rc rc = page_collect(restoring, session, lines);
    if (rc == HILUM_OK)
        rc = hl_restore_silence(session, true);
    for (size_t i = 0; i < restoring->n && rc == HILUM_OK; i++) {
        const json_t *line = json_array_get(lines, 2 * i + 1);
        int64_t new_id = 0;
        if (json_object_get(line, "v")) /* else it was gone */
            rc = restoring->apply(restoring, session, line, &new_id);
        if (rc == HILUM_OK)
            rc = done_write(session, restoring->kind,
                            json_string_value(json_array_get(lines, 2 * i)), new_id);
    }
    json_decref(lines);
    hl_places_forget(restoring->record->places);
    hl_writer_note(restoring->record->writer, restoring->notes);
    return rc == HILUM_OK ? hl_restore_silence(session, false) : rc;
}

hilum_rc hl_restore_pages(struct hl_record *record, int kind, hl_restore_fn apply, unsigned notes)
{
    struct hl_restoring restoring = {
        .record = record, .kind = kind, .apply = apply, .notes = notes, .n = PAGE};
    hilum_rc rc = HILUM_OK;
    while (rc == HILUM_OK && restoring.n == PAGE)
        rc = hl_writer_run(record->writer, HL_LANE_OTHER, page_write, &restoring);
    return rc;
}
