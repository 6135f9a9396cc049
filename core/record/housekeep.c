/* What is done now and then: studies gone idle, erasures that are due, pruning. In small units,
 * so that ingest passes between them.
 *
 * Runs on the housekeeper's thread; every page is a unit of its own in the lane behind ingest.
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/record/record_private.h"

/* How much one unit does: a sender may have to wait for one, so it is little. */
enum { STUDIES_PAGE = 64, ERASURES_PAGE = 64, PRUNE_PAGE = 500 };
#define RETRY_ERASE_US (3600 * INT64_C(1000000))

/* After a bulk load there are thousands of pages to do; a stop waits for one. */
static bool may_go_on(struct hl_record *record)
{
    return !atomic_load(&record->is_ending);
}

void hl_record_end_housekeeping(struct hl_record *record)
{
    atomic_store(&record->is_ending, true);
}

/* ---- studies gone idle ---------------------------------------------------------------------------------------- */

struct idle {
    struct hl_record *record;
    int64_t before_us;
    struct {
        int64_t id;
        char uid[65];
    } studies[STUDIES_PAGE];
    unsigned n;
};

/* Along the index of studies that are arriving: complete ones cost nothing. */
static hilum_rc idle_read(struct hl_session *session, struct idle *idle)
{
    struct hl_stmt *stmt = NULL;
    idle->n = 0;
    hilum_rc rc = hl_session_ask(session, &stmt,
                                 "SELECT id, uid FROM study WHERE state = 0 "
                                 "AND last_arrival_us <= ?1 ORDER BY last_arrival_us LIMIT ?2",
                                 "id", idle->before_us, STUDIES_PAGE);
    while (rc == HILUM_OK && idle->n < STUDIES_PAGE && (rc = hl_stmt_step(stmt)) == 1) {
        idle->studies[idle->n].id = hl_stmt_int(stmt, 0);
        snprintf(idle->studies[idle->n++].uid, 65, "%s", hl_stmt_text(stmt, 1));
        rc = HILUM_OK;
    }
    hl_stmt_done(stmt);
    return rc;
}

/* Event and state in one unit: a study is told complete once for each time it has been quiet. */
static hilum_rc study_complete(struct hl_record *record, struct hl_session *session, int64_t id,
                               const char *uid)
{
    struct hl_buf fields = {0};
    int64_t entry_id;
    hl_buf_text(&fields, "{\"StudyInstanceUID\":");
    hl_buf_json_string(&fields, uid);
    hl_buf_byte(&fields, '}');
    const struct hl_entry entry = {
        .event = "study.complete", .study_uid = uid, .fields = hl_buf_str(&fields)};
    hilum_rc rc = hl_session_run(session, "UPDATE study SET state = 1 WHERE id = ?1", "i", id);
    if (rc == HILUM_OK)
        rc = hl_journal_add(record, session, &entry, &entry_id);
    hl_buf_fini(&fields);
    return rc;
}

static hilum_rc idle_write(struct hl_session *session, void *arg)
{
    struct idle *idle = arg;
    hilum_rc rc = idle_read(session, idle);
    for (unsigned i = 0; i < idle->n && rc == HILUM_OK; i++)
        rc = study_complete(idle->record, session, idle->studies[i].id, idle->studies[i].uid);
    return rc;
}

/* A study that gets objects again is incomplete again (instances.c) and will be told complete
 * once more. */
static hilum_rc studies_complete(struct hl_record *record)
{
    struct idle idle = {
        .record = record, .before_us = hl_now_us() - record->study_idle_us, .n = STUDIES_PAGE};
    hilum_rc rc = HILUM_OK;
    while (rc == HILUM_OK && idle.n == STUDIES_PAGE && may_go_on(record))
        rc = hl_writer_run(record->writer, HL_LANE_OTHER, idle_write, &idle);
    return rc;
}

/* ---- erasures --------------------------------------------------------------------------------------------------- */

/* An object whose time has come, and whether the store has let go of it. */
struct erasure {
    int64_t id;
    char store[32], key[201];
    bool is_done;
};

/* On the heap: some 16 KiB. */
struct erasures {
    struct hl_record *record;
    struct erasure items[ERASURES_PAGE];
    unsigned n;
};

/* By a reader: the store is asked outside of any transaction, since erasing may take long. */
static hilum_rc erasures_read(struct hl_record *record, struct erasures *out)
{
    struct hl_session *session = NULL;
    struct hl_stmt *stmt = NULL;
    out->n = 0;
    hilum_rc rc = hl_readers_get(record->readers, &session);
    if (rc != HILUM_OK)
        return rc;
    rc = hl_session_ask(session, &stmt,
                        "SELECT id, store, object_key FROM erasure WHERE due_us <= ?1 "
                        "ORDER BY due_us, id LIMIT ?2",
                        "id", hl_now_us(), ERASURES_PAGE);
    while (rc == HILUM_OK && out->n < ERASURES_PAGE && (rc = hl_stmt_step(stmt)) == 1) {
        struct erasure *item = &out->items[out->n++];
        item->id = hl_stmt_int(stmt, 0);
        snprintf(item->store, sizeof item->store, "%s", hl_stmt_text(stmt, 1));
        snprintf(item->key, sizeof item->key, "%s", hl_stmt_text(stmt, 2));
        rc = HILUM_OK;
    }
    hl_stmt_done(stmt);
    hl_readers_put(record->readers, session, rc);
    return rc;
}

/* `,"instance":N,"SOPInstanceUID":"..."` where nothing is left of it, so that what was made of it
 * can go too. One that was compressed lives on in another object. Before its row is taken away. */
static hilum_rc last_of_write(struct hl_session *session, const struct erasure *item,
                              struct hl_buf *fields)
{
    struct hl_stmt *stmt = NULL;
    hilum_rc rc = hl_session_ask(
        session, &stmt,
        "SELECT i.id, i.uid FROM location l JOIN instance i ON i.id = l.instance "
        "WHERE l.store = ?1 AND l.object_key = ?2 AND l.state = 'erasing' AND NOT EXISTS "
        "(SELECT 1 FROM location o WHERE o.instance = l.instance AND o.state = 'current')",
        "tt", item->store, item->key);
    if (rc == HILUM_OK && (rc = hl_stmt_step(stmt)) == 1) {
        hl_buf_printf(fields,
                      ",\"instance\":%" PRId64 ",\"SOPInstanceUID\":", hl_stmt_int(stmt, 0));
        hl_buf_json_string(fields, hl_stmt_text(stmt, 1));
    }
    hl_stmt_done(stmt);
    return rc < 0 ? rc : HILUM_OK;
}

/* Row, event and audit go together; the object is gone already. The instance's row stays
 * (state 2): what is gone can be explained. */
static hilum_rc erased_write(struct hl_record *record, struct hl_session *session,
                             const struct erasure *item)
{
    struct hl_buf fields = {0};
    int64_t id;
    hl_buf_text(&fields, "{\"store\":");
    hl_buf_json_string(&fields, item->store);
    hl_buf_text(&fields, ",\"key\":");
    hl_buf_json_string(&fields, item->key);
    hilum_rc rc = last_of_write(session, item, &fields);
    hl_buf_byte(&fields, '}');
    const struct hl_entry entry = {
        .event = "object.erased", .study_uid = "", .fields = hl_buf_str(&fields)};
    if (rc == HILUM_OK)
        rc = hl_session_run(session, "DELETE FROM erasure WHERE id = ?1", "i", item->id);
    if (rc == HILUM_OK)
        rc = hl_session_run(session,
                            "DELETE FROM location WHERE store = ?1 AND object_key = ?2 "
                            "AND state = 'erasing'",
                            "tt", item->store, item->key);
    if (rc == HILUM_OK)
        rc = hl_journal_add(record, session, &entry, &id);
    if (rc == HILUM_OK)
        rc = hl_audit_add(session, "kernel", "object.erase", item->key, NULL, NULL);
    hl_buf_fini(&fields);
    return rc;
}

static hilum_rc erasures_write(struct hl_session *session, void *arg)
{
    struct erasures *all = arg;
    hilum_rc rc = HILUM_OK;
    for (unsigned i = 0; i < all->n && rc == HILUM_OK; i++) {
        if (all->items[i].is_done)
            rc = erased_write(all->record, session, &all->items[i]);
        else
            rc = hl_session_run(session, "UPDATE erasure SET due_us = ?2 WHERE id = ?1", "ii",
                                all->items[i].id, hl_now_us() + RETRY_ERASE_US);
    }
    return rc;
}

/* The object goes first: a row without an object is found by the next round, the reverse by
 * nobody. An error of one object holds up no other. */
static hilum_rc erase_due(struct hl_record *record,
                          hilum_rc (*erase)(void *arg, const char *store, const char *key),
                          void *arg)
{
    struct erasures *all = calloc(1, sizeof *all);
    if (!all)
        return hl_fail(HILUM_ENOMEM, "housekeeping: out of memory");
    all->record = record;
    all->n = ERASURES_PAGE;
    hilum_rc rc = HILUM_OK;
    while (rc == HILUM_OK && all->n == ERASURES_PAGE && may_go_on(record)) {
        rc = erasures_read(record, all);
        for (unsigned i = 0; i < all->n && rc == HILUM_OK; i++) {
            hilum_rc erased = erase(arg, all->items[i].store, all->items[i].key);
            all->items[i].is_done = erased == HILUM_OK || erased == HILUM_ENOTFOUND;
            if (!all->items[i].is_done)
                hl_log(HL_WARN, "record", "erase %s: %s: tried again in an hour", all->items[i].key,
                       hl_error());
        }
        if (rc == HILUM_OK && all->n > 0)
            rc = hl_writer_run(record->writer, HL_LANE_OTHER, erasures_write, all);
    }
    free(all);
    return rc;
}

/* ---- pruning ------------------------------------------------------------------------------------------------------ */

/* `find` tells the time of the first row from a number on, `remove` takes a page below a number. */
struct prune {
    const char *find, *remove;
    int64_t before_us, last_id;
    uint64_t changes;
};

/* Numbers and times grow together: the last row older than before_us by halving, without an
 * index. 48 looks at most. A clock that went backwards makes the boundary wrong by as much,
 * never the rows that are waiting. */
static hilum_rc boundary_find(struct hl_session *session, struct prune *prune)
{
    int64_t low = 0, high = INT64_C(1) << 48;
    while (low < high) {
        int64_t middle = low + (high - low) / 2, at = 0;
        hilum_rc rc = hl_session_int(session, &at, prune->find, "i", middle);
        if (rc != HILUM_OK && rc != HILUM_ENOTFOUND)
            return rc;
        if (rc == HILUM_OK && at < prune->before_us)
            low = middle + 1;
        else
            high = middle;
    }
    prune->last_id = low;
    return HILUM_OK;
}

/* The boundary is found once a table; last_id -1 says that it was not. */
static hilum_rc prune_write(struct hl_session *session, void *arg)
{
    struct prune *prune = arg;
    hilum_rc rc = prune->last_id < 0 ? boundary_find(session, prune) : HILUM_OK;
    if (rc == HILUM_OK)
        rc = hl_session_run(session, prune->remove, "id", prune->last_id, PRUNE_PAGE);
    prune->changes = hl_session_changes(session);
    return rc;
}

static hilum_rc refusals_prune(struct hl_session *session, void *arg)
{
    struct prune *prune = arg;
    hilum_rc rc = hl_session_run(session,
                                 "DELETE FROM refusal WHERE reference IN (SELECT reference FROM "
                                 "refusal WHERE at_us < ?1 ORDER BY at_us LIMIT ?2)",
                                 "id", prune->before_us, PRUNE_PAGE);
    prune->changes = hl_session_changes(session);
    return rc;
}

struct audit_prune {
    int64_t until;
    uint64_t changes;
};

/* The trigger of 012_audit_prune aborts the unit if rows beyond kv audit/pruned_to are among
 * them. */
static hilum_rc audit_prune_write(struct hl_session *session, void *arg)
{
    struct audit_prune *prune = arg;
    hilum_rc rc = hl_session_run(session,
                                 "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE "
                                 "id <= ?1 ORDER BY id LIMIT ?2)",
                                 "id", prune->until, PRUNE_PAGE);
    prune->changes = hl_session_changes(session);
    return rc;
}

hilum_rc hl_record_audit_prune(struct hl_record *record, int64_t until)
{
    struct audit_prune prune = {.until = until, .changes = PRUNE_PAGE};
    hilum_rc rc = HILUM_OK;
    while (rc == HILUM_OK && prune.changes == PRUNE_PAGE && may_go_on(record))
        rc = hl_writer_run(record->writer, HL_LANE_OTHER, audit_prune_write, &prune);
    return rc;
}

/* What still waits (journal state 0, jobs waiting, running or failed) stays however old it is.
 * Traces before the entries they hang on. */
static hilum_rc prune_all(struct hl_record *record, int64_t before_us)
{
    static const char *const tables[][2] = {
        {"SELECT at_us FROM hook_trace WHERE id >= ?1 ORDER BY id LIMIT 1",
         "DELETE FROM hook_trace WHERE id IN (SELECT id FROM hook_trace WHERE id < ?1 "
         "ORDER BY id LIMIT ?2)"},
        {"SELECT created_us FROM journal WHERE id >= ?1 ORDER BY id LIMIT 1",
         "DELETE FROM journal WHERE id IN (SELECT id FROM journal WHERE id < ?1 AND state = 1 "
         "ORDER BY id LIMIT ?2)"},
        {"SELECT created_us FROM job WHERE id >= ?1 ORDER BY id LIMIT 1",
         "DELETE FROM job WHERE id IN (SELECT id FROM job WHERE id < ?1 AND state IN (2, 4) "
         "ORDER BY id LIMIT ?2)"}};
    struct prune prune = {.before_us = before_us, .changes = PRUNE_PAGE};
    hilum_rc rc = HILUM_OK;
    for (size_t i = 0; i < sizeof tables / sizeof *tables && rc == HILUM_OK; i++) {
        prune = (struct prune){.find = tables[i][0],
                               .remove = tables[i][1],
                               .before_us = before_us,
                               .last_id = -1,
                               .changes = PRUNE_PAGE};
        while (rc == HILUM_OK && prune.changes == PRUNE_PAGE && may_go_on(record))
            rc = hl_writer_run(record->writer, HL_LANE_OTHER, prune_write, &prune);
    }
    prune.changes = PRUNE_PAGE;
    while (rc == HILUM_OK && prune.changes == PRUNE_PAGE && may_go_on(record))
        rc = hl_writer_run(record->writer, HL_LANE_OTHER, refusals_prune, &prune);
    return rc;
}

/* What makes events first: rules may be waiting for a complete study. */
hilum_rc hl_record_housekeep(struct hl_record *record, int64_t keep_ms,
                             hilum_rc (*erase)(void *arg, const char *store, const char *key),
                             void *arg)
{
    hilum_rc rc = studies_complete(record);
    if (rc == HILUM_OK)
        rc = hl_derive_again(record);
    if (rc == HILUM_OK)
        rc = erase_due(record, erase, arg);
    if (rc == HILUM_OK)
        rc = hl_refusals_write(record, false);
    if (rc == HILUM_OK && keep_ms != 0 && keep_ms < INT64_MAX / 1000)
        rc = prune_all(record, hl_now_us() - keep_ms * 1000);
    return rc;
}
