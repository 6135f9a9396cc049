/* The append-only record of who did what, and key-value. Knows nothing of the catalogue.
 *
 * Rows are never changed; only what is sealed and older than audit.keep goes (housekeep.c).
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/record/record_private.h"

/* Within a unit, so that what was done and that it was done are durable together, or neither is. */
hilum_rc hl_audit_add(struct hl_session *session, const char *who, const char *action,
                      const char *what, const char *before, const char *after)
{
    return hl_session_run(session,
                          "INSERT INTO audit (at_us, who, action, what, before_json, after_json) "
                          "VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                          "ittttt", hl_now_us(), who, action, what, before, after);
}

/* The arguments of a unit, borrowed from the caller, who waits for it. */
struct texts {
    const char *text[5];
    int64_t number;
};

static hilum_rc audit_write(struct hl_session *session, void *arg)
{
    struct texts *t = arg;
    return hl_audit_add(session, t->text[0], t->text[1], t->text[2], t->text[3], t->text[4]);
}

hilum_rc hl_record_audit(struct hl_record *record, const char *who, const char *action,
                         const char *what, const char *before, const char *after)
{
    struct texts t = {.text = {who, action, what, before, after}};
    return hl_writer_run_beside(record->writer, HL_LANE_OTHER, audit_write, &t);
}

/* ---- key-value ---------------------------------------------------------------------------------------------- */

hilum_rc hl_record_kv_get(struct hl_record *record, const char *space, const char *key,
                          struct hl_buf *out)
{
    struct hl_session *session = NULL;
    struct hl_stmt *stmt = NULL;
    hilum_rc rc = hl_readers_get(record->readers, &session);
    if (rc != HILUM_OK)
        return rc;
    rc = hl_session_ask(session, &stmt, "SELECT value FROM kv WHERE space = ?1 AND name = ?2", "tt",
                        space, key);
    if (rc == HILUM_OK)
        rc = hl_stmt_step(stmt);
    if (rc == 1)
        hl_buf_text(out, hl_stmt_text(stmt, 0));
    hl_stmt_done(stmt);
    hl_readers_put(record->readers, session, rc);
    if (rc == 0)
        return hl_fail(HILUM_ENOTFOUND, "key-value %s/%s: not set", space, key);
    return rc > 0 ? HILUM_OK : rc;
}

hilum_rc hl_kv_write(struct hl_session *session, const char *space, const char *key,
                     const char *value)
{
    if (!value)
        return hl_session_run(session, "DELETE FROM kv WHERE space = ?1 AND name = ?2", "tt", space,
                              key);
    return hl_session_run(session,
                          "INSERT INTO kv VALUES (?1, ?2, ?3) ON CONFLICT (space, name) "
                          "DO UPDATE SET value = excluded.value",
                          "ttt", space, key, value);
}

static hilum_rc kv_write(struct hl_session *session, void *arg)
{
    const struct texts *t = arg;
    return hl_kv_write(session, t->text[0], t->text[1], t->text[2]);
}

hilum_rc hl_record_kv_set(struct hl_record *record, const char *space, const char *key,
                          const char *value)
{
    struct texts t = {.text = {space, key, value}};
    return hl_writer_run(record->writer, HL_LANE_OTHER, kv_write, &t);
}
