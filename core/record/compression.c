/* Objects that become smaller where they lie: which of them may, the exchange of one location for another, and what it
 * has saved. Knows no pixels.
 *
 * The order that loses nothing is core/store/compress.c's: encode, decode and compare, write
 * durable, then exchange here, in one transaction. The original stays as a location to be
 * erased, so that what was received can be had for as long as the site said.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/record/record_private.h"

/* ---- one object ------------------------------------------------------------------------------------- */

struct exchange {
    struct hl_record *record;
    const struct hl_compressed_row *row;
};

/* The old location, from now on in a syntax of its own, goes when it is due. */
static hilum_rc old_retire(struct hl_session *session, const struct hl_compressed_row *row,
                           const char *key)
{
    char why[160];
    snprintf(why, sizeof why, "compressed by %.120s", row->rule);
    hilum_rc rc = hl_erasure_add(session, row->instance_id, hl_now_us() + row->keep_us, why);
    return rc == HILUM_OK
               ? hl_session_run(session,
                                "UPDATE location SET transfer_syntax = ?3 WHERE instance = ?1 AND "
                                "object_key = ?2",
                                "itt", row->instance_id, key, row->syntax_before)
               : rc;
}

static hilum_rc new_insert(struct hl_session *session, const struct hl_compressed_row *row)
{
    hilum_rc rc = hl_location_add(session, row->instance_id, row->to, row->syntax_before);
    return rc == HILUM_OK
               ? hl_session_run(session, "UPDATE instance SET transfer_syntax = ?2 WHERE id = ?1",
                                "it", row->instance_id, row->syntax)
               : rc;
}

static hilum_rc exchange_audit(struct hl_session *session, const struct exchange *exchange,
                               const struct hl_held *place)
{
    const struct hl_compressed_row *row = exchange->row;
    struct hl_buf before = {0}, after = {0};
    char who[128];
    snprintf(who, sizeof who, "rule %.100s", row->rule);
    hl_buf_printf(&before, "{\"TransferSyntaxUID\":\"%s\",\"bytes\":%lld}", row->syntax_before,
                  (long long)place->bytes);
    hl_buf_printf(&after, "{\"TransferSyntaxUID\":\"%s\",\"bytes\":%llu}", row->syntax,
                  (unsigned long long)row->to->length);
    hilum_rc rc = hl_audit_add(session, who, "instance.compress", place->uid, hl_buf_str(&before),
                               hl_buf_str(&after));
    hl_buf_fini(&before);
    hl_buf_fini(&after);
    return rc;
}

/* One transaction: old place retired, new one current, sums, audit. HILUM_ECONFLICT: something
 * replaced it meanwhile, and what was encoded is of an object that no longer counts. The key
 * tells whether the object is still the one that was encoded: keys are never used twice. */
static hilum_rc exchange_write(struct hl_session *session, void *arg)
{
    const struct exchange *exchange = arg;
    const struct hl_compressed_row *row = exchange->row;
    struct hl_held place = {0};
    hilum_rc rc = hl_held_read(session, row->instance_id, &place);
    if (rc == HILUM_OK && strcmp(place.key, row->from_key) != 0)
        return hl_fail(HILUM_ECONFLICT, "instance number %lld was replaced meanwhile",
                       (long long)row->instance_id);
    /* Else a rebuild would find two objects of one UID and no word which of them counts. */
    hl_writer_note(exchange->record->writer, HL_NOTE_SAVE);
    if (rc == HILUM_OK)
        rc = old_retire(session, row, place.key);
    if (rc == HILUM_OK)
        rc = new_insert(session, row);
    if (rc == HILUM_OK && place.is_counted)
        rc = hl_sizes_add(session, place.series, place.study,
                          (int64_t)row->to->length - place.bytes);
    return rc == HILUM_OK ? exchange_audit(session, exchange, &place) : rc;
}

hilum_rc hl_record_compressed(struct hl_record *record, const struct hl_compressed_row *row)
{
    struct exchange exchange = {record, row};
    return hl_writer_run(record->writer, HL_LANE_OTHER, exchange_write, &exchange);
}

struct trial {
    int64_t instance;
    const char *syntax;
};

/* On the location, not the instance: other content under the UID is tried anew. */
static hilum_rc trial_write(struct hl_session *session, void *arg)
{
    const struct trial *trial = arg;
    return hl_session_run(
        session, "UPDATE location SET tried = ?2 WHERE instance = ?1 AND state = 'current'", "it",
        trial->instance, trial->syntax);
}

hilum_rc hl_record_compression_tried(struct hl_record *record, int64_t instance_id,
                                     const char *syntax)
{
    struct trial trial = {instance_id, syntax};
    return hl_writer_run(record->writer, HL_LANE_OTHER, trial_write, &trial);
}

/* ---- which objects may ---------------------------------------------------------------------------------- */

/* By number upwards, so that the caller pages by after_id. Left out: what no longer counts
 * (state), is held, has the syntax already, was tried for it in vain, or is the outcome of a
 * compression before. Compressed on its way in (received_as) counts as compressed: nobody
 * encodes twice. */
hilum_rc hl_record_compressible(struct hl_record *record, const struct hl_compressible *query,
                                int64_t *ids, size_t max, size_t *n)
{
    struct hl_session *session = NULL;
    struct hl_stmt *stmt = NULL;
    *n = 0;
    hilum_rc rc = hl_readers_get(record->readers, &session);
    if (rc != HILUM_OK)
        return rc;
    rc = hl_session_ask(
        session, &stmt,
        "SELECT i.id FROM instance i JOIN location l ON l.instance = i.id AND l.state = 'current' "
        "JOIN series e ON e.id = i.series JOIN study s ON s.id = e.study WHERE i.id > ?1 AND "
        "i.state = 0 AND i.is_held = 0 AND "
        "i.received_us < ?2 AND (?3 = '' OR e.modality = ?3) AND l.bytes >= ?4 AND "
        "i.transfer_syntax <> ?5 AND l.tried <> ?5 AND l.received_as = '' AND (?7 = '' OR s.uid = "
        "?7) ORDER BY i.id LIMIT ?6",
        "iititit", query->after_id, query->before_us, query->modality, (int64_t)query->min_bytes,
        query->syntax, (int64_t)max, query->study_uid);
    while (rc == HILUM_OK && *n < max && (rc = hl_stmt_step(stmt)) == 1) {
        ids[(*n)++] = hl_stmt_int(stmt, 0);
        rc = HILUM_OK;
    }
    hl_stmt_done(stmt);
    hl_readers_put(record->readers, session, rc);
    return rc;
}

/* ---- what it has saved ------------------------------------------------------------------------------------ */

struct sums {
    const struct hl_compression_sum *items;
    size_t n;
};

/* Added within the statement: two flushes at once lose nothing. */
hilum_rc hl_compression_sum_add(struct hl_session *session, const struct hl_compression_sum *sum,
                                int64_t at_us)
{
    return hl_session_run(
        session,
        "INSERT INTO compression VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT "
        "(rule, syntax) DO UPDATE SET done = compression.done + excluded.done, kept = "
        "compression.kept + excluded.kept, bytes_before = compression.bytes_before + "
        "excluded.bytes_before, bytes_after = compression.bytes_after + excluded.bytes_after, "
        "work_us = compression.work_us + excluded.work_us, last_us = CASE WHEN excluded.last_us > "
        "compression.last_us THEN excluded.last_us ELSE compression.last_us END, "
        "last_kept = CASE WHEN excluded.last_kept <> '' THEN excluded.last_kept ELSE "
        "compression.last_kept END",
        "ttiiiiiit", sum->rule, sum->syntax, (int64_t)sum->done, (int64_t)sum->kept,
        (int64_t)sum->bytes_before, (int64_t)sum->bytes_after, sum->work_us, at_us, sum->last_kept);
}

static hilum_rc sums_write(struct hl_session *session, void *arg)
{
    const struct sums *sums = arg;
    hilum_rc rc = HILUM_OK;
    for (size_t i = 0; i < sums->n && rc == HILUM_OK; i++)
        rc = hl_compression_sum_add(session, &sums->items[i], hl_now_us());
    return rc;
}

hilum_rc hl_record_compression_add(struct hl_record *record, const struct hl_compression_sum *items,
                                   size_t n)
{
    struct sums sums = {items, n};
    return n ? hl_writer_run(record->writer, HL_LANE_OTHER, sums_write, &sums) : HILUM_OK;
}

/* Originals that wait for their end; a rule may have changed its syntax since some of them. */
#define WAITING                                                                                    \
    " FROM erasure x JOIN location l ON l.store = x.store AND l.object_key = x.object_key JOIN "   \
    "instance i ON i.id = l.instance WHERE x.why = 'compressed by ' || c.rule AND "                \
    "i.transfer_syntax = c.syntax"

static hilum_rc sum_json(struct hl_stmt *stmt, void *unused, struct hl_buf *json)
{
    static const char *const names[] = {"done",        "kept",    "bytes_before",
                                        "bytes_after", "work_us", "last_us"};
    hl_buf_text(json, "{\"rule\":");
    hl_buf_json_string(json, hl_stmt_text(stmt, 0));
    hl_buf_text(json, ",\"syntax\":");
    hl_buf_json_string(json, hl_stmt_text(stmt, 1));
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        hl_buf_printf(json, ",\"%s\":%lld", names[i], (long long)hl_stmt_int(stmt, 2 + i));
    hl_buf_text(json, ",\"last_kept\":");
    hl_buf_json_string(json, hl_stmt_text(stmt, 8));
    hl_buf_printf(json, ",\"waiting\":%lld,\"waiting_bytes\":%lld}",
                  (long long)hl_stmt_int(stmt, 9), (long long)hl_stmt_int(stmt, 10));
    (void)unused;
    return HILUM_OK;
}

hilum_rc hl_record_compression_report(struct hl_record *record, struct hl_buf *json)
{
    struct hl_session *session = NULL;
    struct hl_stmt *stmt = NULL;
    hilum_rc rc = hl_readers_get(record->readers, &session);
    if (rc != HILUM_OK)
        return rc;
    rc = hl_session_ask(
        session, &stmt,
        "SELECT c.rule, c.syntax, c.done, c.kept, c.bytes_before, c.bytes_after, c.work_us, "
        "c.last_us, c.last_kept, (SELECT count(*)" WAITING
        "), (SELECT coalesce(sum(l.bytes), 0)" WAITING
        ") FROM compression c ORDER BY c.rule, c.syntax",
        "");
    rc = hl_stmt_array(stmt, rc, sum_json, NULL, json);
    hl_readers_put(record->readers, session, rc);
    return rc;
}
