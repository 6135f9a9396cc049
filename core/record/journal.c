/* The journal: events that survive, until each hook that wants one has had it. Knows nothing of
 * hooks.
 *
 * An entry is handled when every hook that wanted it has had it; until then it is due, in the
 * order of its number. Entries of one study are kept in order by the runner (core/job), not
 * here. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/bus/bus.h"
#include "core/record/record_private.h"

/* Entries read at once: with their texts some megabytes at most. */
enum { DUE_MAX = 1000 };

/* An entry that nobody wants would be read, found unwanted and ended in another transaction, 50 ms later: an object in the
 * index of what is due, out of it again, and a flush. What is due later is judged then. */
static bool is_unwanted(struct hl_record *record, const struct hl_entry *entry)
{
    if (entry->due_us != 0)
        return false;
    pthread_mutex_lock(&record->wake_lock);
    bool is_wanted = !record->wants || record->wants(record->wants_arg, entry->event);
    pthread_mutex_unlock(&record->wake_lock);
    return !is_wanted;
}

/* Within the unit that makes what it tells: an event is never told of something that was
 * undone. The runner is woken after the commit (HL_NOTE_JOURNAL), never before: it would find
 * nothing. */
hilum_rc hl_journal_add(struct hl_record *record, struct hl_session *session,
                        const struct hl_entry *entry, int64_t *id)
{
    bool is_handled = entry->is_handled || is_unwanted(record, entry);
    hilum_rc rc = hl_session_run(
        session,
        "INSERT INTO journal (event, study_uid, instance, fields, state, due_us, created_us) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        "ttitdii", entry->event, entry->study_uid, entry->instance, entry->fields, (int)is_handled,
        entry->due_us, hl_now_us());
    if (rc == HILUM_OK)
        *id = hl_session_last_id(session);
    if (rc == HILUM_OK && !is_handled)
        hl_writer_note(record->writer, HL_NOTE_JOURNAL);
    return rc;
}

struct append {
    struct hl_record *record;
    struct hl_entry entry;
    int64_t id;
};

static hilum_rc append_write(struct hl_session *session, void *arg)
{
    struct append *append = arg;
    return hl_journal_add(append->record, session, &append->entry, &append->id);
}

hilum_rc hl_record_journal_append(struct hl_record *record, const char *event,
                                  const char *study_uid, const char *fields_json, int64_t *id)
{
    struct append append = {.record = record,
                            .entry = {.event = event,
                                      .study_uid = study_uid ? study_uid : "",
                                      .fields = fields_json ? fields_json : "{}"}};
    hilum_rc rc = hl_writer_run(record->writer, HL_LANE_OTHER, append_write, &append);
    if (rc == HILUM_OK && id)
        *id = append.id;
    return rc;
}

/* ---- what is due ------------------------------------------------------------------------------------------ */

/* A page of entries: read first, then handed out without a session. */
struct due {
    struct hl_arena arena;
    struct hl_journal_entry *entries;
    unsigned n, max;
};

/* Texts may be long (fields of an HL7 message): in the arena. */
static hilum_rc due_read(struct hl_stmt *stmt, struct due *due)
{
    struct hl_journal_entry *entry = &due->entries[due->n];
    entry->id = hl_stmt_int(stmt, 0);
    snprintf(entry->event, sizeof entry->event, "%s", hl_stmt_text(stmt, 1));
    snprintf(entry->study_uid, sizeof entry->study_uid, "%s", hl_stmt_text(stmt, 2));
    entry->instance_id = hl_stmt_int(stmt, 3);
    entry->attempts = (unsigned)hl_stmt_int(stmt, 4);
    entry->fields = hl_arena_strdup(&due->arena, hl_stmt_text(stmt, 5));
    entry->failed = hl_arena_strdup(&due->arena, hl_stmt_text(stmt, 6));
    if (!entry->fields || !entry->failed)
        return hl_fail(HILUM_ENOMEM, "journal: out of memory");
    due->n++;
    return HILUM_OK;
}

static hilum_rc due_page(struct hl_session *session, int64_t after, struct due *due)
{
    struct hl_stmt *stmt = NULL;
    hilum_rc rc = hl_session_ask(session, &stmt,
                                 "SELECT id, event, study_uid, instance, attempts, fields, failed "
                                 "FROM journal WHERE state = 0 AND id > ?1 AND due_us <= ?2 "
                                 "ORDER BY id LIMIT ?3",
                                 "iid", after, hl_now_us(), (int)due->max);
    while (rc == HILUM_OK && due->n < due->max && (rc = hl_stmt_step(stmt)) == 1)
        rc = due_read(stmt, due);
    hl_stmt_done(stmt);
    return rc;
}

/* A page is copied before the first callback, so no session is held while hooks run. `after`
 * is where the runner has read to: what it has in hand is not given twice. */
hilum_rc hl_record_journal_due(struct hl_record *record, int64_t after, unsigned limit,
                               hilum_rc (*each)(void *arg, const struct hl_journal_entry *entry),
                               void *arg)
{
    struct due due = {.max = limit < DUE_MAX ? limit : DUE_MAX};
    struct hl_session *session = NULL;
    due.entries = hl_arena_alloc(&due.arena, (due.max + 1) * sizeof *due.entries);
    hilum_rc rc = due.entries ? hl_readers_get(record->readers, &session)
                              : hl_fail(HILUM_ENOMEM, "journal: out of memory");
    if (rc == HILUM_OK) {
        rc = due_page(session, after, &due);
        hl_readers_put(record->readers, session, rc);
    }
    for (unsigned i = 0; i < due.n && rc == HILUM_OK; i++)
        rc = each(arg, &due.entries[i]);
    hl_arena_fini(&due.arena);
    return rc;
}

/* ---- what became of an entry -------------------------------------------------------------------------------- */

struct done {
    struct hl_record *record;
    int64_t id, retry_us;
    const struct hl_hook_result *results;
    size_t n;
};

/* For the trace: "" where there was no plan. Arguments are JSON by now: a plan whose arguments
 * are not was refused when it was made. */
static void plan_json(const struct hl_hook_result *result, struct hl_buf *out)
{
    for (size_t i = 0; i < result->n_plan; i++) {
        const struct hl_plan_step *step = &result->plan[i];
        hl_buf_text(out, i ? ",{\"verb\":" : "[{\"verb\":");
        hl_buf_json_string(out, step->verb);
        hl_buf_printf(out, ",\"arguments\":%s}", step->arguments ? step->arguments : "{}");
    }
    hl_buf_text(out, result->n_plan ? "]" : "");
}

/* What a plan came to is in jobs and labels; the trace keeps what was planned. */
static hilum_rc result_write(struct done *done, struct hl_session *session,
                             const struct hl_hook_result *result)
{
    struct hl_buf plan = {0};
    plan_json(result, &plan);
    hilum_rc rc = hl_session_run(
        session,
        "INSERT INTO hook_trace (entry, hook, version, verdict, reason, plan, at_us) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        "ittdtti", done->id, result->hook, result->version ? result->version : "",
        (int)result->verdict, result->reason ? result->reason : "", hl_buf_str(&plan), hl_now_us());
    hl_buf_fini(&plan);
    /* A hook that failed loses its plan. */
    if (rc == HILUM_OK && result->verdict >= 0)
        rc = hl_plan_write(done->record, session, done->id, result->plan, result->n_plan, 0);
    return rc;
}

/* Traces, plans and the mark in one transaction: a crash between them would run a hook again
 * whose plan is there. Failing hooks are kept by name: the next attempt runs those only. */
static hilum_rc done_write(struct hl_session *session, void *arg)
{
    struct done *done = arg;
    struct hl_buf failed = {0};
    hilum_rc rc = HILUM_OK;
    for (size_t i = 0; i < done->n && rc == HILUM_OK; i++) {
        rc = result_write(done, session, &done->results[i]);
        if (done->results[i].verdict < 0)
            hl_buf_printf(&failed, "%s%s", failed.len ? "\n" : "", done->results[i].hook);
    }
    if (rc == HILUM_OK && done->retry_us > 0)
        rc = hl_session_run(session,
                            "UPDATE journal SET due_us = ?2, attempts = attempts + 1, failed = ?3 "
                            "WHERE id = ?1 AND state = 0",
                            "iit", done->id, done->retry_us, hl_buf_str(&failed));
    else if (rc == HILUM_OK)
        rc = hl_session_run(session, "UPDATE journal SET state = 1, failed = ?2 WHERE id = ?1",
                            "it", done->id, hl_buf_str(&failed));
    hl_buf_fini(&failed);
    return rc;
}

hilum_rc hl_record_journal_done(struct hl_record *record, int64_t id,
                                const struct hl_hook_result *results, size_t n, int64_t retry_us)
{
    struct done done = {
        .record = record, .id = id, .retry_us = retry_us, .results = results, .n = n};
    return hl_writer_run(record->writer, HL_LANE_OTHER, done_write, &done);
}

struct ends {
    struct hl_record *record;
    const struct hl_journal_end *ends;
    size_t n;
};

/* All of a batch or none: a plan that is refused undoes the ends of its neighbours, which are
 * tried again one by one (core/job/entry.c). */
static hilum_rc ends_write(struct hl_session *session, void *arg)
{
    const struct ends *ends = arg;
    hilum_rc rc = HILUM_OK;
    for (size_t i = 0; i < ends->n && rc == HILUM_OK; i++) {
        const struct hl_journal_end *end = &ends->ends[i];
        struct done done = {.record = ends->record,
                            .id = end->id,
                            .retry_us = end->retry_us,
                            .results = end->results,
                            .n = end->n};
        rc = done_write(session, &done);
    }
    return rc;
}

hilum_rc hl_record_journal_end(struct hl_record *record, const struct hl_journal_end *ends,
                               size_t n)
{
    struct ends arg = {.record = record, .ends = ends, .n = n};
    return hl_writer_run(record->writer, HL_LANE_OTHER, ends_write, &arg);
}

/* ---- schedules ---- */

struct schedule {
    struct hl_record *record;
    const char *name, *value, *fields;
};

/* Once for each time it is due, whatever happens between two steps. */
static hilum_rc schedule_write(struct hl_session *session, void *arg)
{
    struct schedule *schedule = arg;
    int64_t id = 0;
    const struct hl_entry entry = {
        .event = "schedule.due", .study_uid = "", .fields = schedule->fields};
    hilum_rc rc = hl_kv_write(session, "schedule", schedule->name, schedule->value);
    return rc == HILUM_OK && schedule->fields
               ? hl_journal_add(schedule->record, session, &entry, &id)
               : rc;
}

hilum_rc hl_record_schedule_due(struct hl_record *record, const char *name, int64_t next_us,
                                const char *fields_json)
{
    char value[32];
    snprintf(value, sizeof value, "%lld", (long long)next_us);
    struct schedule schedule = {record, name, value, fields_json};
    return hl_writer_run(record->writer, HL_LANE_OTHER, schedule_write, &schedule);
}
