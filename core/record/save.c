/* What only the catalogue knows (decisions, quarantine, labels, jobs) as lines of text, written beside the objects by
 * whoever took that on: a lost catalogue is made again from both. A line is the whole state of one thing; of two, the
 * later one counts. Knows nothing of where lines lie.
 *
 * Cycle: triggers (009_saved) mark in `unsaved` what changed, within the transaction that changed
 * it. After the commit its lines are written (save). The next transaction takes the marks off
 * (hl_save_began) and stores the round, so a crash anywhere in between writes some lines twice
 * and loses none.
 *
 * Two numbers guard against a database that was restored from an old copy: its name (every
 * line says which database wrote it) and the round. A log that knows a later round has seen
 * more than this database knows.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/hex.h"
#include "core/base/log.h"
#include "core/record/record_private.h"

/* Pause between two savings, and between two lines that say only until when events are
 * handled; bytes of a piece, rows of a page. A second is what a crash of both, database and
 * machine, may cost of what no caller waited for. */
enum { SAVE_MS = 1000, UNTIL_MS = 30000, CHUNK = 1 << 20, PAGE = 2000 };
/* Ended jobs are told for so long after all events of their time were handled, so that none is planned twice. */
#define ENDED_US   (180 * INT64_C(1000000))
#define OF_OBJECTS "'instance.stored', 'instance.quarantined'"

/* ---- one line --------------------------------------------------------------------------------------------- */

/* What a line of each kind holds: a row of `main` as "v", rows of `lists` as "a" and "b". */
static const struct {
    const char *main, *lists[2];
    const char
        *all; /* numbers above ?1 in order, ?2 of them; ?3: where ended jobs begin to count */
} facts[] = {
    [HL_FACT_OBJECT] =
        {"SELECT l.store, l.object_key, i.state, i.is_held, i.received_us, i.digest_received, "
         "l.state, "
         "coalesce(x.due_us, 0), coalesce(x.why, ''), o.peer, o.calling_aet, o.called_aet, "
         "o.address, "
         "coalesce((SELECT j.fields FROM quarantine q JOIN journal j ON j.id = q.entry "
         "WHERE q.instance = i.id ORDER BY q.id DESC LIMIT 1), ''), l.received_as, "
         "CASE WHEN i.version > 0 THEN i.version ELSE (SELECT count(*) FROM instance z "
         "WHERE z.uid = i.uid AND z.state = 0 AND z.id <= i.id) + (SELECT count(*) FROM instance z "
         "WHERE z.uid = i.uid AND z.state <> 0 AND z.id <= i.id) END FROM instance i "
         "JOIN location l ON l.instance = i.id JOIN source o ON o.id = i.source "
         "LEFT JOIN erasure x ON x.store = l.store AND x.object_key = l.object_key WHERE i.id = ?1",
         {"SELECT id, rule, reason, state, at_us, who, decided_us FROM quarantine "
          "WHERE instance = ?1 ORDER BY id",
          NULL},
         "SELECT id FROM (SELECT id FROM instance WHERE state <> 0 "
         "UNION SELECT c.id FROM instance i JOIN instance c ON c.uid = i.uid AND c.state = 0 "
         "WHERE i.state <> 0 UNION SELECT instance FROM quarantine "
         "UNION SELECT l.instance FROM erasure x JOIN location l ON l.store = x.store "
         "AND l.object_key = x.object_key UNION SELECT instance FROM location WHERE received_as <> "
         "'') "
         "WHERE id > ?1 AND ?3 = ?3 ORDER BY id LIMIT ?2"},
    [HL_FACT_PATIENT] =
        {"SELECT standing, study_key, patient_id, issuer, name, birth_date, birth_time, sex, "
         "other_ids, "
         "other_names, ethnic_group, comments, created_us FROM patient WHERE id = ?1",
         {NULL, NULL},
         "SELECT id FROM (SELECT id FROM patient WHERE standing IN (1, 2) "
         "UNION SELECT patient FROM former_identity UNION SELECT known FROM conflict "
         "UNION SELECT s.patient FROM overlay o JOIN study s ON s.id = o.study) "
         "WHERE id > ?1 AND ?3 = ?3 ORDER BY id LIMIT ?2"},
    [HL_FACT_STUDY] =
        {"SELECT uid, patient FROM study WHERE id = ?1",
         {"SELECT seq, tag, text, old_text, who, why, at_us FROM overlay WHERE study = ?1 ORDER BY "
          "id",
          "SELECT label, since_us FROM label WHERE study = ?1 ORDER BY label"},
         "SELECT id FROM (SELECT study AS id FROM overlay UNION SELECT study FROM label "
         "UNION SELECT s.id FROM patient p JOIN study s ON s.patient = p.id "
         "WHERE p.standing IN (1, 2)) WHERE id > ?1 AND ?3 = ?3 ORDER BY id LIMIT ?2"},
    [HL_FACT_FORMER] =
        {"SELECT patient, patient_id, issuer, name, birth_date, sex, changes, who, why, "
         "at_us FROM former_identity WHERE id = ?1",
         {NULL, NULL},
         "SELECT id FROM former_identity WHERE id > ?1 AND ?3 = ?3 ORDER BY id LIMIT ?2"},
    [HL_FACT_CONFLICT] = {"SELECT provisional, known, differs, state, at_us, who, decided_us "
                          "FROM conflict WHERE id = ?1",
                          {NULL, NULL},
                          "SELECT id FROM conflict WHERE id > ?1 AND ?3 = ?3 ORDER BY id LIMIT ?2"},
    [HL_FACT_JOB] =
        {"SELECT j.type, j.lane, j.state, j.priority, j.due_us, j.attempts, j.rule, "
         "coalesce(j.ordinal, 0), coalesce(e.event, ''), coalesce(l.store, ''), "
         "coalesce(l.object_key, ''), j.study_uid, j.as_of, j.arguments, j.result, j.created_us, "
         "j.ended_us FROM job j LEFT JOIN journal e ON e.id = j.entry "
         "LEFT JOIN location l ON l.instance = j.instance AND l.state = 'current' WHERE j.id = ?1",
         {NULL, NULL},
         /* each part along an index; the newest from behind */
         "SELECT id FROM (SELECT id FROM job WHERE state = 0 UNION SELECT id FROM job WHERE "
         "state = 1 UNION SELECT id FROM job WHERE state = 3 UNION SELECT id FROM job WHERE id > "
         "coalesce((SELECT id FROM job WHERE created_us < ?3 ORDER BY id DESC LIMIT 1), 0)) "
         "WHERE id > ?1 ORDER BY id LIMIT ?2"},
    [HL_FACT_ENTRY] =
        {"SELECT j.event, j.study_uid, coalesce(l.store, ''), coalesce(l.object_key, ''), "
         "j.fields, "
         "j.attempts, j.failed, j.created_us FROM journal j "
         "LEFT JOIN location l ON l.instance = j.instance AND l.state = 'current' "
         "WHERE j.id = ?1 AND j.state = 0",
         {NULL, NULL},
         "SELECT id FROM journal WHERE state = 0 AND id > ?1 AND event NOT IN (" OF_OBJECTS
         ") AND ?3 = ?3 ORDER BY id LIMIT ?2"},
    [HL_FACT_COMPRESSION] =
        {"SELECT count(*) FROM compression WHERE ?1 = ?1",
         {"SELECT rule, syntax, done, kept, bytes_before, bytes_after, work_us, last_us, last_kept "
          "FROM compression WHERE ?1 = ?1 ORDER BY rule, syntax",
          NULL},
         "SELECT id FROM (SELECT 1 AS id) one WHERE id > ?1 AND EXISTS (SELECT 1 FROM compression) "
         "AND ?3 = ?3 LIMIT ?2"},
};

/* Numbers beyond 2^53 are exact here: jansson reads integers as 64 bits. */
static void value_json(struct hilum_value value, struct hl_buf *out)
{
    const uint8_t *bytes = value.bytes;
    switch (value.type) {
    case HILUM_DB_INT: hl_buf_printf(out, "%lld", (long long)value.integer); return;
    case HILUM_DB_TEXT: hl_buf_json_string(out, value.bytes); return;
    case HILUM_DB_BLOB:
        hl_buf_byte(out, '"');
        for (uint64_t i = 0; i < value.n; i++)
            hl_buf_printf(out, "%02x", bytes[i]);
        hl_buf_byte(out, '"');
        return;
    default: hl_buf_text(out, "null");
    }
}

/* The columns of a row, until there are no more. */
static hilum_rc row_json(struct hl_stmt *stmt, void *columns, struct hl_buf *out)
{
    hl_buf_byte(out, '[');
    for (unsigned i = 0; i < *(const unsigned *)columns; i++) {
        hl_buf_text(out, i ? "," : "");
        value_json(hl_stmt_value(stmt, i), out);
    }
    hl_buf_byte(out, ']');
    return HILUM_OK;
}

/* Rows of a thing that has several: quarantine rows, overlays, labels. */
static hilum_rc list_json(struct hl_session *session, const char *sql, unsigned columns, int64_t id,
                          struct hl_buf *out)
{
    struct hl_stmt *stmt = NULL;
    hilum_rc rc = hl_session_ask(session, &stmt, sql, "i", id);
    return hl_stmt_array(stmt, rc, row_json, &columns, out);
}

/* Columns of a SELECT as it is written above: the commas outside of parentheses before its
 * FROM. So that the tables above need no numbers that somebody would forget to change. */
static unsigned columns_of(const char *sql)
{
    unsigned n = 1;
    int depth = 0;
    for (; *sql && (depth > 0 || strncmp(sql, " FROM ", 6) != 0); sql++) {
        depth += (*sql == '(') - (*sql == ')');
        n += *sql == ',' && depth == 0;
    }
    return n;
}

static void head_json(struct hl_record *record, int kind, int64_t id, struct hl_buf *out)
{
    hl_buf_printf(out, "{\"f\":%d,\"c\":\"%s\",\"id\":%lld", kind, record->catalogue,
                  (long long)id);
}

/* The lines of one thing; without a row one that says that it is gone. An object with two
 * locations (an original beside it) has two lines, each named by its key. */
static hilum_rc fact_write(struct hl_record *record, struct hl_session *session, int kind,
                           int64_t id, struct hl_buf *out)
{
    static const char *const keys[] = {",\"a\":", ",\"b\":"};
    struct hl_stmt *stmt = NULL;
    bool has_row = false;
    hilum_rc rc = hl_session_ask(session, &stmt, facts[kind].main, "i", id);
    while (rc == HILUM_OK && (rc = hl_stmt_step(stmt)) == 1) {
        has_row = true;
        rc = HILUM_OK;
        head_json(record, kind, id, out);
        hl_buf_text(out, ",\"v\":");
        unsigned columns = columns_of(facts[kind].main);
        row_json(stmt, &columns, out);
        for (unsigned i = 0; i < 2 && facts[kind].lists[i] && rc == HILUM_OK; i++) {
            hl_buf_text(out, keys[i]);
            rc =
                list_json(session, facts[kind].lists[i], columns_of(facts[kind].lists[i]), id, out);
        }
        hl_buf_text(out, "}\n");
    }
    hl_stmt_done(stmt);
    if (rc == HILUM_OK && !has_row) {
        head_json(record, kind, id, out);
        hl_buf_text(out, "}\n");
    }
    return rc;
}

/* ---- handled until ------------------------------------------------------------------------------------------ */

/* Events of objects that began to arrive before are handled: none waits, and no object of that
 * time is on its way. What arrives first, then the journal: an object that is recorded between
 * the two looks is in the first. */
static hilum_rc until_read(struct hl_record *record, struct hl_session *session, int64_t *out)
{
    int64_t waiting = 0, arriving = record->saving.saver.oldest_us
                                        ? record->saving.saver.oldest_us(record->saving.saver.arg)
                                        : 0;
    int64_t now = hl_now_us();
    hilum_rc rc = hl_session_int(session, &waiting,
                                 "SELECT created_us FROM journal WHERE state = 0 ORDER BY id "
                                 "LIMIT 1",
                                 "");
    *out = rc == HILUM_OK && waiting < now ? waiting : now;
    if (arriving > 0 && arriving < *out)
        *out = arriving;
    return rc == HILUM_ENOTFOUND ? HILUM_OK : rc;
}

static void until_json(struct hl_record *record, int64_t until_us, struct hl_buf *out)
{
    head_json(record, HL_FACT_UNTIL, 0, out);
    hl_buf_printf(out, ",\"v\":[%lld]}\n", (long long)until_us);
}

/* ---- after a commit ------------------------------------------------------------------------------------------- */

/* What a power loss could still undo is flushed first: a line tells of nothing that never was. */
static hilum_rc chunk_write(struct hl_saving *saving, struct hl_session *session,
                            struct hl_buf *lines)
{
    hilum_rc rc = lines->failed ? hl_fail(HILUM_ENOMEM, "out of memory") : HILUM_OK;
    if (rc == HILUM_OK && lines->len > 0)
        rc = hl_session_flush(session);
    if (rc == HILUM_OK && lines->len > 0)
        rc = saving->saver.write(saving->saver.arg, lines->data, lines->len);
    hl_buf_clear(lines);
    return rc;
}

/* In pieces: after a decision about 100,000 objects the lines are some dozen megabytes. */
static hilum_rc unsaved_write(struct hl_record *record, struct hl_session *session,
                              struct hl_buf *lines, bool *has_any)
{
    struct hl_stmt *stmt = NULL;
    hilum_rc rc =
        hl_session_ask(session, &stmt, "SELECT kind, id FROM unsaved ORDER BY kind, id", "");
    while (rc == HILUM_OK && (rc = hl_stmt_step(stmt)) == 1) {
        int kind = (int)hl_stmt_int(stmt, 0);
        *has_any = true;
        /* A study that came again before its corrections did must not hide them: the end of a rebuild saves all. */
        rc = kind == HL_FACT_STUDY && atomic_load(&record->is_restoring)
                 ? HILUM_OK
                 : fact_write(record, session, kind, hl_stmt_int(stmt, 1), lines);
        if (rc == HILUM_OK && lines->len >= CHUNK)
            rc = chunk_write(&record->saving, session, lines);
    }
    hl_stmt_done(stmt);
    return rc;
}

/* Everything that changed, and until when events are handled where that is news. is_saved only
 * where there was something: else the next transaction would write for nothing. */
static hilum_rc save(struct hl_record *record, struct hl_session *session, int64_t now_ms)
{
    struct hl_saving *saving = &record->saving;
    struct hl_buf lines = {0};
    bool has_any = false;
    int64_t until = 0;
    hilum_rc rc = unsaved_write(record, session, &lines, &has_any);
    if (rc == HILUM_OK)
        rc = until_read(record, session, &until);
    if (rc == HILUM_OK && until > saving->until_us && (has_any || now_ms >= saving->until_ms)) {
        until_json(record, until, &lines);
        saving->until_us = until;
        saving->until_ms = now_ms + UNTIL_MS;
    }
    if (rc == HILUM_OK)
        rc = chunk_write(saving, session, &lines);
    hl_buf_fini(&lines);
    saving->is_saved = rc == HILUM_OK && has_any;
    if (saving->is_saved)
        atomic_fetch_add(&saving->round, 1);
    return rc;
}

/* Told once when it begins and once when it ends, not every second. */
static void health_set(struct hl_saving *saving, hilum_rc rc)
{
    pthread_mutex_lock(&saving->health_lock);
    bool is_news = saving->health != rc;
    saving->health = rc;
    snprintf(saving->why, sizeof saving->why, "%s", rc == HILUM_OK ? "" : hl_error());
    pthread_mutex_unlock(&saving->health_lock);
    if (is_news && rc != HILUM_OK)
        hl_log(HL_ERROR, "record", "decisions and jobs are not beside the objects, tried again: %s",
               saving->why);
    else if (is_news)
        hl_log(HL_INFO, "record", "decisions and jobs are beside the objects again");
}

/* Both belong together: marks that are gone, and the round in which they went. */
hilum_rc hl_save_began(struct hl_record *record, struct hl_session *session)
{
    if (!record->saving.is_saved)
        return HILUM_OK;
    hilum_rc rc = hl_session_run(session, "DELETE FROM unsaved", "");
    return rc == HILUM_OK
               ? hl_session_run(session,
                                "INSERT INTO kv VALUES ('record', 'round', ?1) ON CONFLICT "
                                "(space, name) DO UPDATE SET value = excluded.value",
                                "i", (int64_t)atomic_load(&record->saving.round))
               : rc;
}

/* With the turn, after each commit. HL_NOTE_SAVE writes before the caller is told; all else
 * within SAVE_MS. What could not be written stays in the table `unsaved`, also over a restart,
 * and is tried again. saving->lock is held while lines are written, so that whoever takes his
 * saver back knows that no write is under way. */
void hl_save_committed(struct hl_record *record, struct hl_session *session, unsigned notes,
                       bool is_idle)
{
    struct hl_saving *saving = &record->saving;
    int64_t now_ms = hl_mono_ms();
    bool is_due = (notes & HL_NOTE_SAVE) || is_idle || now_ms >= saving->next_ms;
    if (!is_idle) {
        saving->is_saved = false; /* they are deleted */
        saving->is_behind = true;
    }
    if (!is_due || !saving->is_behind)
        return;
    saving->next_ms = now_ms + SAVE_MS;
    pthread_mutex_lock(&saving->lock);
    bool has_saver = saving->saver.write != NULL;
    hilum_rc rc = has_saver ? save(record, session, now_ms) : HILUM_OK;
    pthread_mutex_unlock(&saving->lock);
    saving->is_behind = !has_saver || rc != HILUM_OK;
    if (has_saver)
        health_set(saving, rc);
}

static hilum_rc nothing_write(struct hl_session *session, void *arg)
{
    struct hl_record *record = arg;
    (void)session;
    hl_writer_note(record->writer, HL_NOTE_SAVE);
    return HILUM_OK;
}

/* An empty unit with the note: returns when the lines are durable. The unit changes nothing,
 * so it costs a flush and what is unsaved. */
hilum_rc hl_record_save_now(struct hl_record *record)
{
    hilum_rc rc = hl_writer_run(record->writer, HL_LANE_OTHER, nothing_write, record);
    return rc == HILUM_OK ? hl_record_save_health(record) : rc;
}

hilum_rc hl_record_save_health(struct hl_record *record)
{
    struct hl_saving *saving = &record->saving;
    char why[sizeof saving->why];
    pthread_mutex_lock(&saving->health_lock);
    hilum_rc rc = saving->health;
    snprintf(why, sizeof why, "%s", saving->why);
    pthread_mutex_unlock(&saving->health_lock);
    return rc == HILUM_OK ? rc : hl_fail(rc, "%s", why);
}

/* The last lines are written with the old saver, before it goes. */
void hl_record_on_save(struct hl_record *record, const struct hl_saver *saver)
{
    if (!saver)
        (void)hl_record_save_now(record); /* the last word; what fails is tried at the next start */
    pthread_mutex_lock(&record->saving.lock);
    record->saving.saver = saver ? *saver : (struct hl_saver){0};
    pthread_mutex_unlock(&record->saving.lock);
}

/* ---- everything ------------------------------------------------------------------------------------------------- */

static hilum_rc page_read(struct hl_record *record, struct hl_session *session, int kind,
                          int64_t since_us, int64_t *after, struct hl_buf *out)
{
    struct hl_stmt *stmt = NULL;
    unsigned n = 0;
    hilum_rc rc =
        hl_session_ask(session, &stmt, facts[kind].all, "idi", *after, (int)PAGE, since_us);
    while (rc == HILUM_OK && (rc = hl_stmt_step(stmt)) == 1) {
        *after = hl_stmt_int(stmt, 0);
        rc = fact_write(record, session, kind, *after, out);
        n++;
    }
    hl_stmt_done(stmt);
    return rc == HILUM_OK ? n == PAGE : rc; /* 1: there is more */
}

/* A page is written out before the next is read: no session is held over the saver's I/O. What
 * changes while the pages are read has younger lines of its own, and the younger counts. */
static hilum_rc kind_write(struct hl_record *record, int kind, int64_t since_us,
                           hilum_rc (*write)(void *arg, const char *lines, size_t n), void *arg)
{
    struct hl_buf lines = {0};
    int64_t after = 0;
    hilum_rc more = 1, rc = HILUM_OK;
    while (rc == HILUM_OK && more == 1) {
        struct hl_session *session = NULL;
        rc = hl_readers_get(record->readers, &session);
        if (rc != HILUM_OK)
            break;
        more = page_read(record, session, kind, since_us, &after, &lines);
        hl_readers_put(record->readers, session, more < 0 ? more : HILUM_OK);
        rc = more < 0 ? more : HILUM_OK;
        if (rc == HILUM_OK && lines.failed)
            rc = hl_fail(HILUM_ENOMEM, "out of memory");
        if (rc == HILUM_OK && lines.len > 0)
            rc = write(arg, lines.data, lines.len);
        hl_buf_clear(&lines);
    }
    hl_buf_fini(&lines);
    return rc;
}

hilum_rc hl_record_save_all(struct hl_record *record,
                            hilum_rc (*write)(void *arg, const char *lines, size_t n), void *arg)
{
    struct hl_session *session = NULL;
    struct hl_buf lines = {0};
    int64_t until = 0;
    hilum_rc rc = hl_readers_get(record->readers, &session);
    if (rc != HILUM_OK)
        return rc;
    /* First: what is planned after this look is told by the pages, or by lines that are younger than all this. */
    rc = until_read(record, session, &until);
    hl_readers_put(record->readers, session, rc);
    until_json(record, until, &lines);
    if (rc == HILUM_OK)
        rc = write(arg, lines.data, lines.len);
    hl_buf_fini(&lines);
    for (int kind = HL_FACT_OBJECT; kind <= HL_FACT_ENTRY && rc == HILUM_OK; kind++)
        rc = kind_write(record, kind, until - ENDED_US, write, arg);
    return rc == HILUM_OK ? kind_write(record, HL_FACT_COMPRESSION, until - ENDED_US, write, arg)
                          : rc;
}

/* ---- this database ------------------------------------------------------------------------------------------------ */

static hilum_rc name_write(struct hl_session *session, void *arg)
{
    return hl_session_run(
        session, "INSERT INTO kv VALUES ('record', 'catalogue', ?1) ON CONFLICT DO NOTHING", "t",
        arg);
}

/* Not a secret, only to be another than that of the catalogue before. */
static void name_make(char out[17])
{
    uint8_t random[8];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        int64_t now = hl_now_us();
        memcpy(random, &now, sizeof random);
    }
    hl_hex(random, sizeof random, out);
}

/* At start, before any other thread uses the record. The name made here tells lines of this
 * database from those of one that was lost. */
hilum_rc hl_save_open(struct hl_record *record)
{
    struct hl_buf text = {0};
    char made[17] = "";
    hilum_rc rc = hl_record_kv_get(record, "record", "catalogue", &text);
    if (rc == HILUM_ENOTFOUND) {
        name_make(made);
        rc = hl_writer_run(record->writer, HL_LANE_OTHER, name_write, made);
        hl_buf_text(&text, made);
    }
    snprintf(record->catalogue, sizeof record->catalogue, "%s", hl_buf_str(&text));
    hl_buf_clear(&text);
    if (rc == HILUM_OK) {
        rc = hl_record_kv_get(record, "record", "rebuild", &text);
        atomic_store(&record->is_restoring, rc == HILUM_OK);
        rc = rc == HILUM_ENOTFOUND ? HILUM_OK : rc;
    }
    hl_buf_clear(&text);
    if (rc == HILUM_OK) {
        rc = hl_record_kv_get(record, "record", "round", &text);
        atomic_store(&record->saving.round, strtoll(hl_buf_str(&text), NULL, 10));
        rc = rc == HILUM_ENOTFOUND ? HILUM_OK : rc;
    }
    hl_buf_fini(&text);
    return rc;
}

int64_t hl_record_save_round(struct hl_record *record)
{
    return atomic_load(&record->saving.round);
}

const char *hl_record_catalogue(struct hl_record *record)
{
    return record->catalogue;
}
