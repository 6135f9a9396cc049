/* One SOP Instance UID, several contents: the newcomer takes the place of the known one, which is erased later or
 * kept as an earlier version. Knows nothing of bytes.
 *
 * States: 0 current, 1 kept aside (quarantine), 2 gone (to be erased, or erased), 3 an earlier
 * version. One instance of a UID is current at most. What counts in sums, searches and
 * retrievals is state 0 only.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/hex.h"
#include "core/record/record_private.h"
#include "hilum/catalog.h"

enum { GONE = 2, EARLIER = 3, LIST_MAX = 10000 };

static void text_copy(struct hl_stmt *stmt, unsigned i, char out[65])
{
    snprintf(out, 65, "%s", hl_stmt_text(stmt, i));
}

/* ---- who is there already ---------------------------------------------------------------------------------- */

/* LEFT JOIN: one whose location is gone has a row all the same. */
hilum_rc hl_known_read(struct hl_session *session, int64_t id, struct hl_known *out)
{
    struct hl_stmt *stmt = NULL;
    uint8_t digest[16];
    hilum_rc rc = hl_session_ask(
        session, &stmt,
        "SELECT i.series, e.study, s.patient, coalesce(l.bytes, 0), i.received_us, i.is_held, "
        "e.n_instances, s.n_instances, i.sop_class, e.uid, s.uid, i.digest_received "
        "FROM instance i JOIN series e ON e.id = i.series JOIN study s ON s.id = e.study "
        "LEFT JOIN location l ON l.instance = i.id AND l.state = 'current' WHERE i.id = ?1 LIMIT 1",
        "i", id);
    if (rc == HILUM_OK)
        rc = hl_stmt_step(stmt);
    if (rc == 1) {
        *out = (struct hl_known){.id = id,
                                 .series = hl_stmt_int(stmt, 0),
                                 .study = hl_stmt_int(stmt, 1),
                                 .patient = hl_stmt_int(stmt, 2),
                                 .bytes = hl_stmt_int(stmt, 3),
                                 .received_us = hl_stmt_int(stmt, 4),
                                 .is_held = hl_stmt_int(stmt, 5) != 0,
                                 .is_only_in_series = hl_stmt_int(stmt, 6) == 1,
                                 .is_only_in_study = hl_stmt_int(stmt, 7) == 1};
        text_copy(stmt, 8, out->sop_class);
        text_copy(stmt, 9, out->series_uid);
        text_copy(stmt, 10, out->study_uid);
        hl_stmt_blob(stmt, 11, digest, sizeof digest);
        hl_hex(digest, sizeof digest, out->digest);
    }
    hl_stmt_done(stmt);
    if (rc == 0)
        return hl_fail(HILUM_ENOTFOUND, "instance number %lld: not in the catalogue",
                       (long long)id);
    return rc > 0 ? HILUM_OK : rc;
}

/* An object that changes its study, series, class or person is more than new content: counts, rights, corrections
 * and retrievals under way of two places would change at a sender's word. That is for a person. */
hilum_rc hl_known_compare(struct hl_record *record, struct hl_session *session,
                          const struct hl_known *known, const struct hl_instance *row,
                          const char **why)
{
    bool is_same = false;
    *why = NULL;
    if (known->is_held)
        *why = "other content for an instance that is held itself";
    else if (strcmp(hl_attrs_text(row->attrs, HL_STUDY_INSTANCE_UID), known->study_uid) != 0)
        *why = "other content for a known instance, in another study";
    else if (strcmp(hl_attrs_text(row->attrs, HL_SERIES_INSTANCE_UID), known->series_uid) != 0)
        *why = "other content for a known instance, in another series";
    else if (strcmp(hl_attrs_text(row->attrs, HL_SOP_CLASS_UID), known->sop_class) != 0)
        *why = "other content for a known instance, of another SOP class";
    if (*why)
        return HILUM_OK;
    hilum_rc rc = hl_identity_is(record, session, known->patient, row, &is_same);
    if (rc == HILUM_OK && !is_same)
        *why = "other content for a known instance, of another patient";
    return rc;
}

/* ---- in its place -------------------------------------------------------------------------------------------- */

/* Before the newcomer's row: an index allows one current row a UID. */
hilum_rc hl_known_retire(struct hl_record *record, struct hl_session *session,
                         const struct hl_known *known, enum hl_known_uid how)
{
    bool is_kept = how == HL_KNOWN_VERSION;
    hilum_rc rc = is_kept ? HILUM_OK
                          : hl_erasure_add(session, known->id, hl_erasure_due(record),
                                           "replaced by other content");
    if (rc == HILUM_OK)
        rc = hl_session_run(session, "UPDATE instance SET state = ?2 WHERE id = ?1", "id",
                            known->id, is_kept ? EARLIER : GONE);
    return rc;
}

/* The study had news: it is incomplete again until it is quiet. One instance leaves and one
 * comes: numbers stay, sizes change. */
hilum_rc hl_known_recount(struct hl_session *session, const struct hl_known *known, int64_t bytes)
{
    hilum_rc rc = hl_sizes_add(session, known->series, known->study, bytes - known->bytes);
    return rc == HILUM_OK
               ? hl_session_run(session,
                                "UPDATE study SET last_arrival_us = ?2, state = 0 WHERE id = ?1",
                                "ii", known->study, hl_now_us())
               : rc;
}

/* What waits to be sent is the current content, whichever it was when the job was planned.
 * Waiting and failed ones; what is being sent now ends with the content it began with. */
hilum_rc hl_known_jobs(struct hl_session *session, const struct hl_known *known, int64_t heir)
{
    return hl_session_run(session,
                          "UPDATE job SET instance = ?3 WHERE study_uid = ?1 AND instance = ?2 "
                          "AND state IN (0, 3)",
                          "tii", known->study_uid, known->id, heir);
}

/* Attributes of the levels above are the first instance's; where the known one was the only
 * one, the newcomer is that now. Else a series of one object would be found under what that
 * object no longer says. */
static hilum_rc levels_update(struct hl_session *session, const struct hl_known *known,
                              const struct hl_attrs *attrs)
{
    hilum_rc rc = HILUM_OK;
    if (known->is_only_in_series)
        rc = hl_row_update(session, HILUM_LEVEL_SERIES, known->series, attrs);
    if (rc == HILUM_OK && known->is_only_in_study)
        rc = hl_row_update(session, HILUM_LEVEL_STUDY, known->study, attrs);
    if (rc == HILUM_OK && known->is_only_in_study)
        rc = hl_session_run(session, "UPDATE study SET modalities = ?2 WHERE id = ?1", "it",
                            known->study, hl_attrs_text(attrs, HL_MODALITY));
    return rc;
}

/* Only where the UID was known before, and only if the newcomer is the one current object there:
 * else what others said of series and study stays. */
hilum_rc hl_known_levels(struct hl_session *session, const struct hl_place *place,
                         const struct hl_instance *row)
{
    int64_t in_series = 0, in_study = 0, before = 0;
    hilum_rc rc = hl_session_int(session, &before,
                                 "SELECT count(*) FROM instance WHERE uid = ?1 AND state <> 0", "t",
                                 hl_attrs_text(row->attrs, HL_SOP_INSTANCE_UID));
    if (rc != HILUM_OK || before == 0)
        return rc;
    rc = hl_session_int(session, &in_series,
                        "SELECT count(*) FROM (SELECT 1 FROM instance WHERE series = ?1 AND "
                        "state = 0 LIMIT 2)",
                        "i", place->series);
    if (rc == HILUM_OK)
        rc = hl_session_int(session, &in_study,
                            "SELECT count(*) FROM (SELECT 1 FROM series e JOIN instance i "
                            "ON i.series = e.id AND i.state = 0 WHERE e.study = ?1 LIMIT 2)",
                            "i", place->study);
    const struct hl_known known = {.series = place->series,
                                   .study = place->study,
                                   .is_only_in_series = in_series == 1,
                                   .is_only_in_study = in_study == 1};
    return rc == HILUM_OK ? levels_update(session, &known, row->attrs) : rc;
}

static void content_json(struct hl_buf *out, const char *sop, const char *digest, int64_t bytes,
                         int64_t received_us)
{
    char when[32];
    hl_buf_text(out, "{\"SOPInstanceUID\":");
    hl_buf_json_string(out, sop);
    hl_buf_printf(out, ",\"digest\":\"%s\",\"bytes\":%lld,\"received\":\"%s\"}", digest,
                  (long long)bytes, hl_time_text(received_us, when, sizeof when));
}

/* Digests of both: whoever has a copy can tell which of them it is. */
static hilum_rc supersede_audit(struct hl_session *session, const struct hl_known *known,
                                const struct hl_instance *row, const char *who)
{
    struct hl_buf before = {0}, after = {0};
    char digest[33];
    const char *sop = hl_attrs_text(row->attrs, HL_SOP_INSTANCE_UID);
    hl_hex(row->digest_received, sizeof row->digest_received, digest);
    content_json(&before, sop, known->digest, known->bytes, known->received_us);
    content_json(&after, sop, digest, (int64_t)row->location.length, hl_now_us());
    hilum_rc rc = hl_audit_add(
        session, who, row->on_known == HL_KNOWN_VERSION ? "instance.version" : "instance.replace",
        known->study_uid, hl_buf_str(&before), hl_buf_str(&after));
    hl_buf_fini(&before);
    hl_buf_fini(&after);
    return rc;
}

/* After the newcomer's row is there: jobs are to refer to it. */
hilum_rc hl_known_succeed(struct hl_session *session, const struct hl_known *known,
                          const struct hl_instance *row, const char *who)
{
    hilum_rc rc = hl_known_recount(session, known, (int64_t)row->location.length);
    if (rc == HILUM_OK)
        rc = hl_known_jobs(session, known, row->instance_id);
    if (rc == HILUM_OK)
        rc = levels_update(session, known, row->attrs);
    return rc == HILUM_OK ? supersede_audit(session, known, row, who) : rc;
}

/* One more than any content that came before, whether its row is still there or not. */
hilum_rc hl_known_number(struct hl_session *session, const struct hl_instance *row, int64_t number)
{
    const char *uid = hl_attrs_text(row->attrs, HL_SOP_INSTANCE_UID);
    hilum_rc rc = HILUM_OK;
    if (number == 0)
        rc = hl_session_int(session, &number,
                            "SELECT 1 + CASE WHEN count(*) > coalesce(max(version), 0) THEN "
                            "count(*) ELSE max(version) END FROM (SELECT version FROM instance "
                            "WHERE uid = ?1 AND state = 0 AND id <> ?2 UNION ALL SELECT version "
                            "FROM instance WHERE uid = ?1 AND state <> 0 AND id <> ?2) z",
                            "ti", uid, row->instance_id);
    return rc == HILUM_OK
               ? hl_session_run(session, "UPDATE instance SET version = ?2 WHERE id = ?1", "ii",
                                row->instance_id, number)
               : rc;
}

/* ---- shown and fetched ----------------------------------------------------------------------------------------- */

/* Numbers count everything that ever came under the UID; rows of instances are never deleted. */
#define NUMBERED                                                                                   \
    "SELECT i.id, i.uid, i.state, i.received_us, i.source, i.digest_received, "                    \
    "CASE WHEN i.version > 0 THEN i.version ELSE row_number() OVER (PARTITION BY i.uid "           \
    "ORDER BY i.id) END AS number FROM instance i WHERE i.uid "                                    \
    "IN "

/* The location decides before the state: a row outlives its object. */
static const char *state_name(int64_t state, const char *location)
{
    if (!*location)
        return "erased";
    switch (state) {
    case 0: return "current";
    case 1: return "quarantine";
    case EARLIER: return "earlier";
    default: return "to be erased";
    }
}

static hilum_rc version_json(struct hl_stmt *stmt, void *unused, struct hl_buf *json)
{
    static const char *const texts[] = {"peer", "calling_aet"};
    uint8_t digest[16];
    char when[32], hex[33];
    hl_stmt_blob(stmt, 6, digest, sizeof digest);
    hl_hex(digest, sizeof digest, hex);
    hl_buf_text(json, "{\"SOPInstanceUID\":");
    hl_buf_json_string(json, hl_stmt_text(stmt, 0));
    hl_buf_printf(
        json, ",\"version\":%lld,\"state\":\"%s\",\"received\":\"%s\",\"bytes\":%lld",
        (long long)hl_stmt_int(stmt, 1), state_name(hl_stmt_int(stmt, 2), hl_stmt_text(stmt, 8)),
        hl_time_text(hl_stmt_int(stmt, 3), when, sizeof when), (long long)hl_stmt_int(stmt, 7));
    for (unsigned i = 0; i < 2; i++) {
        hl_buf_printf(json, ",\"%s\":", texts[i]);
        hl_buf_json_string(json, hl_stmt_text(stmt, 4 + i));
    }
    hl_buf_printf(json, ",\"digest\":\"%s\"", hex);
    if (hl_stmt_int(stmt, 9) > 0)
        hl_buf_printf(json, ",\"erased_after\":\"%s\"",
                      hl_time_text(hl_stmt_int(stmt, 9), when, sizeof when));
    hl_buf_byte(json, '}');
    (void)unused;
    return HILUM_OK;
}

/* UIDs with a single content are left out: row_number() over a whole study would say 1 to
 * each. */
hilum_rc hl_record_versions(struct hl_record *record, const char *which, struct hl_buf *json)
{
    struct hl_session *session = NULL;
    struct hl_stmt *stmt = NULL;
    hilum_rc rc = hl_readers_get(record->readers, &session);
    if (rc != HILUM_OK)
        return rc;
    rc = hl_session_ask(
        session, &stmt,
        "SELECT v.uid, v.number, v.state, v.received_us, o.peer, o.calling_aet, v.digest_received, "
        "coalesce(l.bytes, 0), coalesce(l.state, ''), coalesce(x.due_us, 0) FROM (" NUMBERED
        "(SELECT a.uid FROM instance a WHERE a.uid = ?1 AND a.state <> 0 UNION "
        "SELECT b.uid FROM study s JOIN series e ON e.study = s.id JOIN instance b "
        "ON b.series = e.id AND b.state <> 0 WHERE s.uid = ?1)) v JOIN source o ON o.id = v.source "
        "LEFT JOIN location l ON l.instance = v.id "
        "LEFT JOIN erasure x ON x.store = l.store AND x.object_key = l.object_key "
        "ORDER BY v.uid, v.number, l.state LIMIT ?2",
        "td", which, LIST_MAX);
    rc = hl_stmt_array(stmt, rc, version_json, NULL, json);
    hl_readers_put(record->readers, session, rc);
    return rc;
}

hilum_rc hl_record_version(struct hl_record *record, const char *sop_instance, int64_t number,
                           struct hl_stored *out)
{
    struct hl_session *session = NULL;
    int64_t id = 0;
    hilum_rc rc = hl_readers_get(record->readers, &session);
    if (rc != HILUM_OK)
        return rc;
    rc = hl_session_int(session, &id, "SELECT v.id FROM (" NUMBERED "(?1)) v WHERE v.number = ?2",
                        "ti", sop_instance, number);
    hl_readers_put(record->readers, session, rc);
    if (rc == HILUM_OK)
        rc = hl_record_stored_by_id(record, id, out);
    if (rc == HILUM_ENOTFOUND)
        return hl_fail(rc, "instance %.64s: no version %lld, or it is erased", sop_instance,
                       (long long)number);
    return rc;
}
