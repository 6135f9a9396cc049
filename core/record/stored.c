/* What is stored and where. Knows nothing of how it came.
 *
 * Where an instance is: read for whoever serves it, and what becomes of it when it comes again
 * or its copy is found bad.
 *
 * Locations: one `current` of an instance at most, beside it any number of `erasing` ones that
 * wait for their grace. A location with a transfer syntax of its own is an original beside
 * what it was compressed to. Nothing here looks at a store: what a row says of a digest is
 * what was written, not what is there.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/record/record_private.h"
#include "hilum/catalog.h"

#define STORED_COLUMNS                                                                             \
    "SELECT i.id, i.sop_class, i.uid, e.uid, s.uid, CASE WHEN l.transfer_syntax <> '' THEN "       \
    "l.transfer_syntax ELSE i.transfer_syntax END, i.digest_received, "                            \
    "i.is_held, l.store, l.object_key, l.bytes, l.dataset_offset, l.digest, CASE WHEN EXISTS "     \
    "(SELECT 1 FROM overlay o WHERE o.study = s.id) THEN 1 ELSE 0 END FROM instance i "            \
    "JOIN series e ON e.id = i.series JOIN study s ON s.id = e.study "                             \
    "JOIN location l ON l.instance = i.id "

enum { LOCATIONS_PAGE = 256 }; /* as in the statement */

static void text_copy(struct hl_stmt *stmt, unsigned i, char *out, size_t size)
{
    snprintf(out, size, "%s", hl_stmt_text(stmt, i));
}

/* Five columns from `first`: store, key, bytes, offset, digest. Used with two statements,
 * hence the offset. */
static void location_read(struct hl_stmt *stmt, unsigned first, struct hl_location *out)
{
    text_copy(stmt, first, out->store, sizeof out->store);
    text_copy(stmt, first + 1, out->key, sizeof out->key);
    out->length = (uint64_t)hl_stmt_int(stmt, first + 2);
    out->dataset_offset = (uint64_t)hl_stmt_int(stmt, first + 3);
    hl_stmt_blob(stmt, first + 4, out->digest_stored, sizeof out->digest_stored);
}

static void stored_read(struct hl_stmt *stmt, struct hl_stored *out)
{
    out->instance_id = hl_stmt_int(stmt, 0);
    text_copy(stmt, 1, out->sop_class, sizeof out->sop_class);
    text_copy(stmt, 2, out->sop_instance, sizeof out->sop_instance);
    text_copy(stmt, 3, out->series_uid, sizeof out->series_uid);
    text_copy(stmt, 4, out->study_uid, sizeof out->study_uid);
    text_copy(stmt, 5, out->transfer_syntax, sizeof out->transfer_syntax);
    hl_stmt_blob(stmt, 6, out->digest_received, sizeof out->digest_received);
    out->is_held = hl_stmt_int(stmt, 7) != 0;
    location_read(stmt, 8, &out->location);
    out->is_corrected = hl_stmt_int(stmt, 13) != 0;
}

static hilum_rc stored_query(struct hl_record *record, const char *sql,
                             const struct hilum_value *keys, unsigned n_keys, struct hl_stored *out)
{
    struct hl_session *session = NULL;
    struct hl_stmt *stmt = NULL;
    hilum_rc rc = hl_readers_get(record->readers, &session);
    if (rc != HILUM_OK)
        return rc;
    rc = hl_session_query(session, sql, keys, n_keys, &stmt);
    if (rc == HILUM_OK)
        rc = hl_stmt_step(stmt);
    if (rc == 1)
        stored_read(stmt, out);
    hl_stmt_done(stmt);
    hl_readers_put(record->readers, session, rc);
    if (rc == 0)
        return HILUM_ENOTFOUND;
    return rc > 0 ? HILUM_OK : rc;
}

hilum_rc hl_record_stored(struct hl_record *record, const char *sop_instance, struct hl_stored *out)
{
    struct hilum_value key = hl_value_text(sop_instance);
    hilum_rc rc = stored_query(
        record, STORED_COLUMNS "AND l.state = 'current' WHERE i.uid = ?1 AND i.state = 0", &key, 1,
        out);
    return rc == HILUM_ENOTFOUND ? hl_fail(rc, "instance %.64s: not in the catalogue", sop_instance)
                                 : rc;
}

/* Without a state of the instance: an earlier version and one in quarantine are read the same
 * way. */
hilum_rc hl_record_stored_by_id(struct hl_record *record, int64_t instance_id,
                                struct hl_stored *out)
{
    struct hilum_value key = hl_value_int(instance_id);
    uint64_t asked = hl_recent_now(record->recent);
    if (hl_recent_stored(record->recent, instance_id, out))
        return HILUM_OK;
    /* 'current' sorts before 'erasing' */
    hilum_rc rc = stored_query(record, STORED_COLUMNS "WHERE i.id = ?1 ORDER BY l.state LIMIT 1",
                               &key, 1, out);
    if (rc == HILUM_OK)
        hl_recent_keep_stored(record->recent, asked, out);
    return rc == HILUM_ENOTFOUND
               ? hl_fail(rc, "instance number %lld: not in the catalogue", (long long)instance_id)
               : rc;
}

/* The oldest: an object may have been compressed twice within one grace. */
hilum_rc hl_record_stored_original(struct hl_record *record, int64_t instance_id,
                                   struct hl_stored *out)
{
    struct hilum_value key = hl_value_int(instance_id);
    hilum_rc rc = stored_query(
        record,
        STORED_COLUMNS "AND l.state = 'erasing' AND l.transfer_syntax <> '' WHERE i.id = ?1 "
                       "ORDER BY l.since_us LIMIT 1",
        &key, 1, out);
    return rc == HILUM_ENOTFOUND ? hl_record_stored_by_id(record, instance_id, out) : rc;
}

/* `state <> 0` names the partial index of rows that are not current. */
hilum_rc hl_record_stored_aside(struct hl_record *record, const char *sop_instance,
                                const uint8_t digest_received[16], struct hl_stored *out)
{
    const struct hilum_value keys[] = {hl_value_text(sop_instance),
                                       hl_value_blob(digest_received, 16)};
    return stored_query(record,
                        STORED_COLUMNS "AND l.state = 'current' WHERE i.uid = ?1 AND i.state <> 0 "
                                       "AND i.state IN (1, 3) AND i.digest_received = ?2 LIMIT 1",
                        keys, 2, out);
}

/* Asked for every object that is to be owed, so of the index alone. */
hilum_rc hl_record_is_current(struct hl_record *record, const char *sop_instance, bool *out)
{
    struct hl_session *session = NULL;
    int64_t id;
    hilum_rc rc = hl_readers_try(record->readers, &session);
    if (rc != HILUM_OK)
        return rc;
    rc = hl_session_int(session, &id, "SELECT id FROM instance WHERE uid = ?1 AND state = 0", "t",
                        sop_instance);
    hl_readers_put(record->readers, session, rc);
    *out = rc == HILUM_OK;
    return rc == HILUM_ENOTFOUND ? HILUM_OK : rc;
}

hilum_rc hl_record_has_key(struct hl_record *record, const char *store, const char *key, bool *out)
{
    struct hl_session *session = NULL;
    int64_t instance;
    hilum_rc rc = hl_readers_get(record->readers, &session);
    if (rc != HILUM_OK)
        return rc;
    rc = hl_session_int(session, &instance,
                        "SELECT instance FROM location WHERE store = ?1 AND object_key = ?2", "tt",
                        store, key);
    hl_readers_put(record->readers, session, rc);
    *out = rc == HILUM_OK;
    return rc == HILUM_ENOTFOUND ? HILUM_OK : rc;
}

/* ---- visiting all locations --------------------------------------------------------------------------- */

struct visit {
    int64_t instance;
    struct hl_location location;
    char state[16];
};

/* Above the last key: no snapshot is held, and what is added behind is seen. 256 stands in the
 * text, since the statement is looked up by it. */
static hilum_rc locations_page(struct hl_record *record, const char *store, const char *after,
                               struct visit *visits, unsigned *n)
{
    struct hl_session *session = NULL;
    struct hl_stmt *stmt = NULL;
    hilum_rc rc = hl_readers_get(record->readers, &session);
    if (rc != HILUM_OK)
        return rc;
    rc = hl_session_ask(session, &stmt,
                        "SELECT instance, state, store, object_key, bytes, dataset_offset, digest "
                        "FROM location WHERE store = ?1 AND object_key > ?2 "
                        "ORDER BY object_key LIMIT 256",
                        "tt", store, after);
    for (*n = 0; rc == HILUM_OK && *n < LOCATIONS_PAGE && (rc = hl_stmt_step(stmt)) == 1; ++*n) {
        visits[*n].instance = hl_stmt_int(stmt, 0);
        text_copy(stmt, 1, visits[*n].state, sizeof visits[*n].state);
        location_read(stmt, 2, &visits[*n].location);
        rc = HILUM_OK;
    }
    hl_stmt_done(stmt);
    hl_readers_put(record->readers, session, rc);
    return rc;
}

hilum_rc hl_record_locations(struct hl_record *record, const char *store, hl_location_cb each,
                             void *arg)
{
    struct visit *visits = malloc(LOCATIONS_PAGE * sizeof *visits);
    char after[sizeof visits->location.key] = "";
    unsigned n = LOCATIONS_PAGE;
    hilum_rc rc = visits ? HILUM_OK : hl_fail(HILUM_ENOMEM, "record: out of memory");
    while (rc == HILUM_OK && n == LOCATIONS_PAGE) {
        rc = locations_page(record, store, after, visits, &n);
        for (unsigned i = 0; i < n && rc == HILUM_OK; i++)
            rc = each(arg, visits[i].instance, &visits[i].location, visits[i].state);
        if (rc == HILUM_OK && n > 0)
            memcpy(after, visits[n - 1].location.key, sizeof after);
    }
    free(visits);
    return rc;
}

/* ---- the one that counts ------------------------------------------------------------------------------ */

hilum_rc hl_held_read(struct hl_session *session, int64_t instance, struct hl_held *out)
{
    struct hl_stmt *stmt = NULL;
    hilum_rc rc = hl_session_ask(
        session, &stmt,
        "SELECT l.object_key, i.uid, s.uid, l.bytes, e.id, s.id, i.state FROM instance i JOIN "
        "series e ON e.id = i.series JOIN study s ON s.id = e.study JOIN location l ON l.instance "
        "= i.id AND l.state = 'current' WHERE i.id = ?1",
        "i", instance);
    if (rc == HILUM_OK)
        rc = hl_stmt_step(stmt);
    if (rc == 1) {
        text_copy(stmt, 0, out->key, sizeof out->key);
        text_copy(stmt, 1, out->uid, sizeof out->uid);
        text_copy(stmt, 2, out->study_uid, sizeof out->study_uid);
        out->bytes = hl_stmt_int(stmt, 3);
        out->series = hl_stmt_int(stmt, 4);
        out->study = hl_stmt_int(stmt, 5);
        out->is_counted = hl_stmt_int(stmt, 6) == 0;
    }
    hl_stmt_done(stmt);
    if (rc == 0)
        return hl_fail(HILUM_ENOTFOUND, "instance number %lld: not in the catalogue",
                       (long long)instance);
    return rc > 0 ? HILUM_OK : rc;
}

/* No index refuses a second current one: whoever calls this for an instance that has one has
 * retired it in the same unit. */
hilum_rc hl_location_add(struct hl_session *session, int64_t instance, const struct hl_location *at,
                         const char *received_as)
{
    return hl_session_run(session,
                          "INSERT INTO location (store, object_key, instance, state, bytes, "
                          "dataset_offset, digest, since_us, received_as) "
                          "VALUES (?1, ?2, ?3, 'current', ?4, ?5, ?6, ?7, ?8)",
                          "ttiiibit", at->store, at->key, instance, (int64_t)at->length,
                          (int64_t)at->dataset_offset, (const void *)at->digest_stored,
                          sizeof at->digest_stored, hl_now_us(), received_as ? received_as : "");
}

/* The object is untouched until the housekeeper comes for it (housekeep.c). */
hilum_rc hl_erasure_add(struct hl_session *session, int64_t instance, int64_t due_us,
                        const char *why)
{
    hilum_rc rc = hl_session_run(session,
                                 "INSERT INTO erasure (store, object_key, due_us, why) "
                                 "SELECT store, object_key, ?2, ?3 FROM location "
                                 "WHERE instance = ?1 AND state = 'current'",
                                 "iit", instance, due_us, why);
    if (rc == HILUM_OK)
        rc = hl_session_run(session,
                            "UPDATE location SET state = 'erasing', since_us = ?2 "
                            "WHERE instance = ?1 AND state = 'current'",
                            "ii", instance, hl_now_us());
    return rc;
}

int64_t hl_erasure_due(const struct hl_record *record)
{
    return hl_now_us() + record->erase_grace_us;
}

/* `more` may be negative. */
hilum_rc hl_sizes_add(struct hl_session *session, int64_t series, int64_t study, int64_t more)
{
    hilum_rc rc = hl_session_run(session, "UPDATE series SET bytes = bytes + ?2 WHERE id = ?1",
                                 "ii", series, more);
    if (rc == HILUM_OK)
        rc = hl_session_run(session, "UPDATE study SET bytes = bytes + ?2 WHERE id = ?1", "ii",
                            study, more);
    return rc == HILUM_OK
               ? hl_session_run(session, "UPDATE totals SET bytes = bytes + ?1 WHERE id = 1", "i",
                                more)
               : rc;
}

/* ---- a resend, a repair ---------------------------------------------------------------------------------- */

/* Arguments of both units below. */
struct duplicate {
    struct hl_record *record;
    int64_t instance;
    const char *peer;
    bool is_repaired;
    const struct hl_location *to;
    const char *transfer_syntax, *received_as;
};

/* Event and audit name the study, so that both are found in its story. */
static hilum_rc duplicate_write(struct hl_session *session, void *arg)
{
    struct duplicate *d = arg;
    struct hl_held held = {0};
    char who[128];
    struct hl_buf fields = {0};
    int64_t id;
    hilum_rc rc = hl_held_read(session, d->instance, &held);
    snprintf(who, sizeof who, "%s%s", d->peer && *d->peer ? "peer " : "unknown peer",
             d->peer ? d->peer : "");
    hl_buf_text(&fields, "{\"SOPInstanceUID\":");
    hl_buf_json_string(&fields, held.uid);
    hl_buf_text(&fields, ",\"StudyInstanceUID\":");
    hl_buf_json_string(&fields, held.study_uid);
    hl_buf_text(&fields, ",\"peer\":");
    hl_buf_json_string(&fields, d->peer ? d->peer : "");
    hl_buf_printf(&fields, ",\"repaired\":%d}", d->is_repaired);
    const struct hl_entry entry = {.event = "instance.duplicated",
                                   .study_uid = held.study_uid,
                                   .fields = hl_buf_str(&fields),
                                   .instance = d->instance};
    if (rc == HILUM_OK)
        rc = hl_journal_add(d->record, session, &entry, &id);
    if (rc == HILUM_OK)
        rc = hl_audit_add(session, who, "instance.duplicate", held.study_uid, NULL,
                          hl_buf_str(&fields));
    hl_buf_fini(&fields);
    return rc;
}

hilum_rc hl_record_duplicate(struct hl_record *record, int64_t instance_id, const char *peer,
                             bool repaired)
{
    struct duplicate d = {
        .record = record, .instance = instance_id, .peer = peer, .is_repaired = repaired};
    return hl_writer_run(record->writer, HL_LANE_INGEST, duplicate_write, &d);
}

/* The old location is marked before the new one is made: an instance has one current location at
 * any time. */
static hilum_rc relocate_write(struct hl_session *session, void *arg)
{
    struct duplicate *d = arg;
    struct hl_held held = {0};
    hilum_rc rc = hl_held_read(session, d->instance, &held);
    hl_writer_note(d->record->writer,
                   HL_NOTE_SAVE); /* else a rebuild would take the bad copy for the good one */
    if (rc == HILUM_OK)
        rc = hl_erasure_add(session, d->instance, hl_erasure_due(d->record),
                            "replaced by a sound copy");
    if (rc == HILUM_OK)
        rc = hl_location_add(session, d->instance, d->to, d->received_as);
    if (rc == HILUM_OK)
        rc = hl_session_run(session, "UPDATE instance SET transfer_syntax = ?2 WHERE id = ?1", "it",
                            d->instance, d->transfer_syntax);
    if (rc == HILUM_OK && held.is_counted)
        rc = hl_sizes_add(session, held.series, held.study, (int64_t)d->to->length - held.bytes);
    if (rc == HILUM_OK)
        rc = hl_audit_add(session, "kernel", "instance.relocate", held.uid, NULL, NULL);
    return rc;
}

hilum_rc hl_record_relocate(struct hl_record *record, int64_t instance_id,
                            const struct hl_location *to, const char *transfer_syntax,
                            const char *received_as)
{
    struct duplicate d = {.record = record,
                          .instance = instance_id,
                          .to = to,
                          .transfer_syntax = transfer_syntax,
                          .received_as = received_as};
    return hl_writer_run(record->writer, HL_LANE_OTHER, relocate_write, &d);
}
