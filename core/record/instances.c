/* Recording instances: all rows of a batch in one unit of work. Knows nothing of bytes or peers' protocols.
 *
 * The unit for one batch: look the UID up, find or make patient, study and series (places.c,
 * identity.c), write instance and location, the event with its plan and the quarantine row if
 * it is held; then, once for each series of the batch, the sums above it and one audit row.
 * Everything of it commits together: an answer of success means all of it is there, and a
 * failure leaves none of it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/hex.h"
#include "core/record/record_private.h"
#include "hilum/catalog.h"

/* New instances of one series within a batch: counters are written once. `any` is one of its
 * rows, for the words of the audit. */
struct tally {
    struct hl_place place;
    const struct hl_instance *any;
    int64_t n, bytes;
    int new_series, new_studies;
};

/* `rows` are the callers'; tallies are per series, `sum` is for the totals. */
struct batch {
    struct hl_record *record;
    struct hl_instance *const *rows;
    size_t n;
    struct tally *tallies; /* n */
    size_t n_tallies;
    struct tally sum;
};

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

/* ---- one instance ----------------------------------------------------------------------------------- */

/* One row for each peer, titles and address. The last one is remembered: senders come in
 * bursts. A failing unit makes places.c forget it, so a row that was undone is not referred
 * to. The number is kept with the text it belongs to, '=' in front so that it never equals the
 * empty one. */
static hilum_rc source_find(struct hl_record *record, struct hl_session *session,
                            const struct hl_instance *row, int64_t *out)
{
    struct hl_places *places = record->places;
    char key[sizeof places->source_key];
    const char *peer = or_empty(row->peer), *calling = or_empty(row->calling_aet);
    const char *called = or_empty(row->called_aet), *address = or_empty(row->address);
    snprintf(key, sizeof key, "=%s\n%s\n%s\n%s", peer, calling, called, address);
    *out = places->source;
    if (strcmp(key, places->source_key) == 0)
        return HILUM_OK;
    hilum_rc rc = hl_session_run(session,
                                 "INSERT INTO source (peer, calling_aet, called_aet, address) "
                                 "VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
                                 "tttt", peer, calling, called, address);
    if (rc == HILUM_OK)
        rc = hl_session_int(session, out,
                            "SELECT id FROM source WHERE peer = ?1 AND calling_aet = ?2 "
                            "AND called_aet = ?3 AND address = ?4",
                            "tttt", peer, calling, called, address);
    places->source = *out;
    memcpy(places->source_key, key, sizeof key);
    return rc;
}

/* `state` as in the table. The number of the row is the instance's name inside of the server
 * from here on. */
static hilum_rc row_write(struct batch *batch, struct hl_session *session, struct hl_instance *row,
                          int64_t series, int64_t state)
{
    const struct hl_attrs *attrs = row->attrs;
    int64_t source = 0;
    hilum_rc rc = source_find(batch->record, session, row, &source);
    const struct hilum_value fixed[] = {
        hl_value_int(series),
        hl_value_int(state),
        hl_value_int(row->is_held),
        hl_value_text(hl_attrs_text(attrs, HL_SOP_INSTANCE_UID)),
        hl_value_text(or_empty(row->transfer_syntax)),
        hl_value_blob(row->digest_received, sizeof row->digest_received),
        hl_value_int(source),
        hl_value_int(row->remarks),
        hl_value_text(or_empty(row->remark_text)),
        hl_value_int(row->received_us ? row->received_us : hl_now_us())};
    if (rc == HILUM_OK)
        rc = hl_row_insert(batch->record, session, HILUM_LEVEL_IMAGE, fixed, attrs,
                           &row->instance_id);
    if (rc == HILUM_OK)
        rc = hl_location_add(session, row->instance_id, &row->location, row->received_as);
    return rc;
}

static void field(struct hl_buf *out, const char *name, const char *value)
{
    hl_buf_printf(out, "%c\"%s\":", out->len ? ',' : '{', name);
    hl_buf_json_string(out, or_empty(value));
}

/* What rules and plugins see of the event. No name, no ID: the object itself has them for who
 * may look. They are in the journal, which plugins and logs see. */
static void fields_write(const struct hl_instance *row, struct hl_buf *fields)
{
    const struct hl_attrs *attrs = row->attrs;
    field(fields, "peer", row->peer);
    field(fields, "calling_aet", row->calling_aet);
    field(fields, "called_aet", row->called_aet);
    field(fields, "address", row->address);
    field(fields, "SOPClassUID", hl_attrs_text(attrs, HL_SOP_CLASS_UID));
    field(fields, "SOPInstanceUID", hl_attrs_text(attrs, HL_SOP_INSTANCE_UID));
    field(fields, "SeriesInstanceUID", hl_attrs_text(attrs, HL_SERIES_INSTANCE_UID));
    field(fields, "StudyInstanceUID", hl_attrs_text(attrs, HL_STUDY_INSTANCE_UID));
    field(fields, "Modality", hl_attrs_text(attrs, HL_MODALITY));
    if (row->is_held)
        field(fields, "reason", row->held_reason);
    if (row->outcome == HL_OUTCOME_SUPERSEDED)
        field(fields, "supersedes", row->on_known == HL_KNOWN_VERSION ? "version" : "replace");
    hl_buf_byte(fields, '}');
}

/* `fields` NULL: made from the row. An entry of a restored object is due only when the rebuild
 * has everything that belongs to it (restore_rows.c, totals_write). */
static hilum_rc journal_write(struct batch *batch, struct hl_session *session,
                              struct hl_instance *row, const char *fields)
{
    struct hl_buf made = {0};
    if (fields == NULL)
        fields_write(row, &made);
    const struct hl_entry entry = {.event =
                                       row->is_held ? "instance.quarantined" : "instance.stored",
                                   .study_uid = hl_attrs_text(row->attrs, HL_STUDY_INSTANCE_UID),
                                   .fields = fields ? fields : hl_buf_str(&made),
                                   .instance = row->instance_id,
                                   .is_handled = row->is_history,
                                   .due_us = row->is_restored ? INT64_MAX : 0};
    hilum_rc rc = hl_journal_add(batch->record, session, &entry, &row->journal_id);
    hl_buf_fini(&made);
    return rc;
}

/* The plan of filter and transform rules is durable with the row it is about. What is held
 * aside gets due INT64_MAX: its jobs wait for its release. With HL_NOTE_SAVE the caller waits
 * for one more flush, of the line beside the object: a lost catalogue must not forget that it
 * was held, or what a rule had planned. */
static hilum_rc event_write(struct batch *batch, struct hl_session *session,
                            struct hl_instance *row)
{
    bool is_aside = row->is_held;
    hilum_rc rc = journal_write(batch, session, row, NULL);
    if (rc == HILUM_OK)
        rc = hl_plan_write(batch->record, session, row->journal_id, row->plan, row->n_plan,
                           is_aside ? INT64_MAX : 0);
    if (rc == HILUM_OK && is_aside)
        rc = hl_session_run(session,
                            "INSERT INTO quarantine (instance, entry, rule, reason, at_us) "
                            "VALUES (?1, ?2, ?3, ?4, ?5)",
                            "iitti", row->instance_id, row->journal_id, or_empty(row->held_by),
                            or_empty(row->held_reason), hl_now_us());
    /* What no second look at the object would find out. */
    if (is_aside || row->n_plan > 0 || row->outcome == HL_OUTCOME_SUPERSEDED)
        hl_writer_note(batch->record->writer, HL_NOTE_SAVE);
    return rc;
}

/* Few series in a batch: a scan is shorter than a table. Held instances count too: they are in
 * their series. What is aside does not get here. */
static void tally_add(struct batch *batch, const struct hl_place *place,
                      const struct hl_instance *row)
{
    struct tally *tally = batch->tallies;
    struct tally *end = tally + batch->n_tallies;
    while (tally < end && tally->place.series != place->series)
        tally++;
    if (tally == end) {
        *tally = (struct tally){.place = *place, .any = row};
        batch->n_tallies++;
    }
    tally->n++;
    tally->bytes += (int64_t)row->location.length;
}

/* Different content under a known UID is no part of any study until somebody decides: its row hangs on the
 * series of the instance it contradicts and is not counted. */
static hilum_rc aside_add(struct batch *batch, struct hl_session *session, struct hl_instance *row,
                          const struct hl_known *known)
{
    row->outcome = HL_OUTCOME_QUARANTINED;
    row->is_held = true;
    row->held_by = row->held_by ? row->held_by : "core/duplicate";
    hilum_rc rc = row_write(batch, session, row, known->series, 1);
    if (rc == HILUM_OK)
        rc = hl_known_number(session, row, 0);
    return rc == HILUM_OK ? event_write(batch, session, row) : rc;
}

/* Current in the place of the known one. Its own counts follow: one instance as before, other bytes. */
static hilum_rc superseding_add(struct batch *batch, struct hl_session *session,
                                struct hl_instance *row, const struct hl_known *known)
{
    char who[128];
    row->outcome = HL_OUTCOME_SUPERSEDED;
    hl_instance_who(row, who, sizeof who);
    hilum_rc rc = hl_known_retire(batch->record, session, known, row->on_known);
    if (rc == HILUM_OK)
        rc = row_write(batch, session, row, known->series, 0);
    if (rc == HILUM_OK)
        rc = hl_known_number(session, row, 0);
    if (rc == HILUM_OK)
        rc = hl_known_succeed(session, known, row, who);
    return rc == HILUM_OK ? event_write(batch, session, row) : rc;
}

/* Other content under a known UID: in its place where the rule says so and nothing but the
 * content changed, else aside. A reason of the rule that holds it goes before ours. */
static hilum_rc contradiction_add(struct batch *batch, struct hl_session *session,
                                  struct hl_instance *row, int64_t known_id)
{
    struct hl_known known = {0};
    const char *why = NULL;
    hilum_rc rc = hl_known_read(session, known_id, &known);
    if (rc == HILUM_OK && row->on_known != HL_KNOWN_ASIDE && !row->is_held)
        rc = hl_known_compare(batch->record, session, &known, row, &why);
    if (rc != HILUM_OK)
        return rc;
    if (row->on_known != HL_KNOWN_ASIDE && !row->is_held && !why)
        return superseding_add(batch, session, row, &known);
    if (!row->held_reason)
        row->held_reason = why ? why : "other content under a known SOP Instance UID";
    return aside_add(batch, session, row, &known);
}

/* ---- one that comes back ---------------------------------------------------------------------------- */

/* On the series of the first content under its UID, as it hung before; its own where it is the
 * first. Both halves of the UNION use an index of their own; an OR would use none. */
static hilum_rc restored_place(struct batch *batch, struct hl_session *session,
                               struct hl_instance *row, struct hl_place *place)
{
    struct hl_known first = {0};
    int64_t id = 0;
    hilum_rc rc = hl_session_int(session, &id,
                                 "SELECT min(id) FROM (SELECT id FROM instance WHERE uid = ?1 AND "
                                 "state = 0 UNION SELECT id FROM instance WHERE uid = ?1 AND "
                                 "state <> 0)",
                                 "t", hl_attrs_text(row->attrs, HL_SOP_INSTANCE_UID));
    if (rc != HILUM_OK || id == 0)
        return rc == HILUM_OK ? hl_place_find(batch->record, session, row, place) : rc;
    rc = hl_known_read(session, id, &first);
    *place =
        (struct hl_place){.patient = first.patient, .study = first.study, .series = first.series};
    return rc;
}

/* The row gets the sender, the time and the state that were saved; `row` gets its own texts
 * back before `was` goes. An event is handled unless the object is simply current: of a held
 * one rules hear at its release. */
static hilum_rc restored_write(struct batch *batch, struct hl_session *session,
                               struct hl_instance *row, const struct hl_restored *was)
{
    struct hl_place place = {0};
    const struct hl_instance adopted = *row;
    bool is_open = was->state == 0 || was->is_held;
    row->is_held = was->is_held;
    row->peer = was->peer;
    row->calling_aet = was->calling_aet;
    row->called_aet = was->called_aet;
    row->address = was->address;
    row->received_us = was->received_us;
    row->received_as = was->received_as;
    row->is_history = row->is_history || !is_open || was->is_held;
    memcpy(row->digest_received, was->digest_received, sizeof row->digest_received);
    hilum_rc rc = restored_place(batch, session, row, &place);
    if (rc == HILUM_OK)
        rc = row_write(batch, session, row, place.series, was->state);
    if (rc == HILUM_OK && was->version > 0)
        rc = hl_known_number(session, row, was->version);
    if (rc == HILUM_OK)
        rc = journal_write(batch, session, row, *was->fields ? was->fields : NULL);
    if (rc == HILUM_OK)
        rc = hl_restore_aside(session, was, row);
    if (rc == HILUM_OK && was->state == 0)
        rc = hl_known_levels(session, &place, row);
    row->peer = adopted.peer; /* the texts are gone with `was` */
    row->received_as = NULL;
    row->calling_aet = adopted.calling_aet;
    row->called_aet = adopted.called_aet;
    row->address = adopted.address;
    row->outcome = is_open && !was->is_held ? HL_OUTCOME_STORED : HL_OUTCOME_QUARANTINED;
    if (rc == HILUM_OK && was->state == 0)
        tally_add(batch, &place, row);
    return rc;
}

/* As what was saved of it says. Nothing is known of most: they are current; and where other
 * content is so already, a person decides, since nobody knows any more which came first.
 * *is_done false: nothing is known of it and nothing contradicts it, so it takes the ordinary
 * way. */
static hilum_rc restored_add(struct batch *batch, struct hl_session *session,
                             struct hl_instance *row, int64_t known, bool *is_done)
{
    struct hl_restored was = {0};
    struct hl_known current = {0};
    char digest[33] = "";
    *is_done = true;
    hilum_rc rc = hl_restore_object(session, &row->location, &was);
    if (rc == HILUM_OK && was.line && was.state == 0 && was.is_erasing)
        rc = hl_restore_aside(session, &was, row); /* a copy that was found bad */
    else if (rc == HILUM_OK && was.line && (known == 0 || was.state != 0))
        rc = restored_write(batch, session, row, &was);
    else if (rc == HILUM_OK && known != 0) {
        rc = hl_known_read(session, known, &current);
        hl_hex(row->digest_received, sizeof row->digest_received, digest);
        row->outcome = HL_OUTCOME_EXISTS;
        row->is_history = true;
        row->held_reason = "other content under a known SOP Instance UID, found by a rebuild";
        if (rc == HILUM_OK && strcmp(digest, current.digest) != 0)
            rc = aside_add(batch, session, row, &current);
    } else
        *is_done = false;
    hl_restored_fini(&was);
    return rc;
}

/* Looked up within the transaction: two senders of one UID meet here, and only one is new. An
 * identical resend was told apart before (core/store/duplicate.c), which looked at digests;
 * here only the race of two senders is decided. */
static hilum_rc instance_add(struct batch *batch, struct hl_session *session,
                             struct hl_instance *row)
{
    struct hl_place place = {0};
    int64_t known = 0;
    hilum_rc rc =
        hl_session_int(session, &known, "SELECT id FROM instance WHERE uid = ?1 AND state = 0", "t",
                       hl_attrs_text(row->attrs, HL_SOP_INSTANCE_UID));
    if (row->is_restored && (rc == HILUM_OK || rc == HILUM_ENOTFOUND)) {
        bool is_done = false;
        hilum_rc restored = restored_add(batch, session, row, known, &is_done);
        if (is_done || restored != HILUM_OK)
            return restored;
    }
    if (rc == HILUM_OK && row->quarantine_of)
        return contradiction_add(batch, session, row, known);
    if (rc == HILUM_OK) {
        row->outcome = HL_OUTCOME_EXISTS;
        row->instance_id = known;
        return rc;
    }
    /* What it contradicted has gone meanwhile: an instance like any other. */
    row->quarantine_of = NULL;
    if (rc == HILUM_ENOTFOUND)
        rc = hl_place_find(batch->record, session, row, &place);
    if (rc == HILUM_OK)
        rc = row_write(batch, session, row, place.series, 0);
    if (rc == HILUM_OK)
        rc = event_write(batch, session, row);
    if (rc != HILUM_OK)
        return rc;
    row->is_provisional = place.is_provisional;
    row->outcome = row->is_held ? HL_OUTCOME_QUARANTINED : HL_OUTCOME_STORED;
    tally_add(batch, &place, row);
    return rc;
}

/* ---- the batch --------------------------------------------------------------------------------------- */

/* In the words of hl_principal_text, which is not for this folder. */
void hl_instance_who(const struct hl_instance *row, char *out, size_t size)
{
    if (row->is_restored)
        snprintf(out, size, "rebuild"); /* whoever sent it did so long ago */
    else if (*or_empty(row->peer))
        snprintf(out, size, "peer %s (%s)", row->peer, or_empty(row->address));
    else if (*or_empty(row->address))
        snprintf(out, size, "unknown peer %s (%s)", or_empty(row->calling_aet), row->address);
    else
        snprintf(out, size, "import");
}

/* One audit row a series and batch, not one an instance. */
static hilum_rc tally_audit(struct hl_session *session, const struct tally *tally)
{
    const struct hl_instance *row = tally->any;
    struct hl_buf after = {0};
    char who[128];
    hl_instance_who(row, who, sizeof who);
    hl_buf_printf(&after, "{\"instances\":%lld,\"bytes\":%lld,\"series\":", (long long)tally->n,
                  (long long)tally->bytes);
    hl_buf_json_string(&after, hl_attrs_text(row->attrs, HL_SERIES_INSTANCE_UID));
    hl_buf_byte(&after, '}');
    hilum_rc rc =
        hl_audit_add(session, who, "instance.store",
                     hl_attrs_text(row->attrs, HL_STUDY_INSTANCE_UID), NULL, hl_buf_str(&after));
    hl_buf_fini(&after);
    return rc;
}

/* A series and a study count from their first instance on: also one that had been emptied by
 * people. Read before the sums are written: 0 means that this batch brings the first. */
static hilum_rc firsts_read(struct hl_session *session, struct batch *batch, struct tally *tally)
{
    struct hl_stmt *stmt = NULL;
    hilum_rc rc = hl_session_ask(session, &stmt,
                                 "SELECT e.n_instances, s.n_instances FROM series e "
                                 "JOIN study s ON s.id = e.study WHERE e.id = ?1",
                                 "i", tally->place.series);
    if (rc == HILUM_OK)
        rc = hl_stmt_step(stmt);
    if (rc == 1) {
        tally->new_series = hl_stmt_int(stmt, 0) == 0;
        tally->new_studies = tally->new_series && hl_stmt_int(stmt, 1) == 0;
    }
    hl_stmt_done(stmt);
    batch->sum.new_series += tally->new_series;
    batch->sum.new_studies += tally->new_studies;
    batch->sum.n += tally->n;
    batch->sum.bytes += tally->bytes;
    return rc > 0 ? HILUM_OK : rc;
}

/* Sums of series, study and patient once a batch and series, not once an object: they are the
 * rows all objects of a study contend for. */
static hilum_rc tally_write(struct hl_session *session, struct batch *batch, struct tally *tally)
{
    const struct hl_place *place = &tally->place;
    hilum_rc rc = firsts_read(session, batch, tally);
    if (rc == HILUM_OK)
        rc = hl_session_run(session,
                            "UPDATE series SET n_instances = n_instances + ?2, "
                            "bytes = bytes + ?3 WHERE id = ?1",
                            "iii", place->series, tally->n, tally->bytes);
    if (rc == HILUM_OK)
        rc = hl_session_run(session,
                            "UPDATE study SET n_instances = n_instances + ?2, bytes = bytes + ?3, "
                            "n_series = n_series + ?4, last_arrival_us = ?5, state = ?6 "
                            "WHERE id = ?1",
                            "iiidid", place->study, tally->n, tally->bytes, tally->new_series,
                            hl_now_us(), (int)(tally->any->is_restored && tally->any->is_history));
    if (rc == HILUM_OK)
        rc =
            hl_session_run(session,
                           "UPDATE patient SET n_instances = n_instances + ?2, "
                           "n_series = n_series + ?3, n_studies = n_studies + ?4 WHERE id = ?1",
                           "iidd", place->patient, tally->n, tally->new_series, tally->new_studies);
    return rc == HILUM_OK ? tally_audit(session, tally) : rc;
}

/* One row for the whole archive, so counting is one write a batch and no query. */
static hilum_rc totals_write(struct hl_session *session, const struct tally *sum)
{
    return hl_session_run(session,
                          "UPDATE totals SET instances = instances + ?1, bytes = bytes + ?2, "
                          "series = series + ?3, studies = studies + ?4 WHERE id = 1",
                          "iidd", sum->n, sum->bytes, sum->new_series, sum->new_studies);
}

/* All rows or none. May run twice when a group is undone by another unit's fault, hence nothing
 * is kept from the first time. */
static hilum_rc batch_write(struct hl_session *session, void *arg)
{
    struct batch *batch = arg;
    bool is_restored = batch->rows[0]->is_restored;
    hilum_rc rc = is_restored ? hl_restore_silence(session, true) : HILUM_OK;
    batch->n_tallies = 0; /* a unit may run twice */
    batch->sum = (struct tally){0};
    for (size_t i = 0; i < batch->n && rc == HILUM_OK; i++)
        rc = instance_add(batch, session, batch->rows[i]);
    for (size_t i = 0; i < batch->n_tallies && rc == HILUM_OK; i++)
        rc = tally_write(session, batch, &batch->tallies[i]);
    if (rc == HILUM_OK && batch->n_tallies > 0)
        rc = totals_write(session, &batch->sum);
    return rc == HILUM_OK && is_restored ? hl_restore_silence(session, false) : rc;
}

/* Before anything is queued: a fault of one instance is told to its caller and costs nobody a
 * transaction. */
static hilum_rc row_check(const struct hl_instance *row)
{
    static const uint32_t needed[] = {HL_SOP_INSTANCE_UID, HL_SOP_CLASS_UID, HL_STUDY_INSTANCE_UID,
                                      HL_SERIES_INSTANCE_UID};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        size_t n = strlen(hl_attrs_text(row->attrs, needed[i]));
        if (n == 0 || n > 64)
            return hl_fail(HILUM_EINVAL, "instance: attribute %08x: %s", needed[i],
                           n ? "a UID of more than 64 characters" : "missing");
    }
    return HILUM_OK;
}

/* A ticket is wanted only where a log beside the objects can bring the rows back. */
static hilum_rc batch_run(struct batch *batch, uint64_t *ticket)
{
    hilum_rc rc = HILUM_OK;
    for (size_t i = 0; i < batch->n && rc == HILUM_OK; i++)
        rc = row_check(batch->rows[i]);
    if (rc != HILUM_OK || batch->n == 0)
        return rc;
    batch->tallies = calloc(batch->n, sizeof *batch->tallies);
    if (!batch->tallies)
        return hl_fail(HILUM_ENOMEM, "record: out of memory");
    struct hl_writer *writer = batch->record->writer;
    rc = ticket ? hl_writer_run_logged(writer, HL_LANE_INGEST, batch_write, batch, ticket)
                : hl_writer_run(writer, HL_LANE_INGEST, batch_write, batch);
    free(batch->tallies);
    return rc;
}

hilum_rc hl_record_instances(struct hl_record *record, struct hl_instance *const rows[], size_t n)
{
    struct batch batch = {.record = record, .rows = rows, .n = n};
    return batch_run(&batch, NULL);
}

hilum_rc hl_instances_write(struct hl_record *record, struct hl_instance *const rows[], size_t n,
                            uint64_t *ticket)
{
    struct batch batch = {.record = record, .rows = rows, .n = n};
    *ticket = 0;
    return batch_run(&batch, ticket);
}

hilum_rc hl_record_instances_logged(struct hl_record *record, struct hl_instance *const rows[],
                                    size_t n, uint64_t *ticket)
{
    hl_record_settle(record);
    return hl_instances_write(record, rows, n, ticket);
}
