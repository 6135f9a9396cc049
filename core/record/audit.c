/* The append-only record of who did what, reference numbers of refusals, and key-value. Knows nothing of the
 * catalogue. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/record/record_private.h"

hilum_rc hl_audit_add(struct hl_session *session, const char *who, const char *action,
                      const char *what, const char *before, const char *after)
{
    return hl_session_run(session,
                          "INSERT INTO audit (at_us, who, action, what, before_json, after_json) "
                          "VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                          "ittttt", hl_now_us(), who, action, what, before, after);
}

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
    return hl_writer_run(record->writer, HL_LANE_OTHER, audit_write, &t);
}

/* ---- references ------------------------------------------------------------------------------------------- */

/* Without letters and digits that are taken for one another on a telephone. */
static void reference_make(char out[16])
{
    static const char letters[] = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
    unsigned char random[8] = {0};
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        memcpy(random, &(int64_t){hl_mono_ns()}, sizeof random);
    for (int i = 0; i < 9; i++)
        out[i] = i == 4 ? '-' : letters[random[i < 4 ? i : i - 1] % 32];
    out[9] = '\0';
}

static hilum_rc refusal_write(struct hl_session *session, void *arg)
{
    struct texts *t = arg;
    return hl_session_run(session, "INSERT INTO refusal VALUES (?1, ?2, ?3, ?4, ?5)", "tittt",
                          t->text[0], t->number, t->text[1], t->text[2], t->text[3]);
}

hilum_rc hl_record_refusal(struct hl_record *record, const char *peer, const char *what,
                           const char *why, char reference[16])
{
    hilum_rc rc = HILUM_EEXISTS;
    for (int attempt = 0; attempt < 3 && rc == HILUM_EEXISTS; attempt++) {
        reference_make(reference);
        struct texts t = {.text = {reference, peer ? peer : "", what, why}, .number = hl_now_us()};
        rc = hl_writer_run(record->writer, HL_LANE_OTHER, refusal_write, &t);
    }
    return rc;
}

static void reference_json(struct hl_stmt *stmt, const char *reference, struct hl_buf *json)
{
    static const char *const names[] = {"peer", "what", "why"};
    char when[32];
    hl_buf_text(json, "{\"reference\":");
    hl_buf_json_string(json, reference);
    hl_buf_printf(json, ",\"when\":\"%s\"", hl_time_text(hl_stmt_int(stmt, 0), when, sizeof when));
    for (unsigned i = 0; i < 3; i++) {
        hl_buf_printf(json, ",\"%s\":", names[i]);
        hl_buf_json_string(json, hl_stmt_text(stmt, i + 1));
    }
    hl_buf_byte(json, '}');
}

hilum_rc hl_record_explain_reference(struct hl_record *record, const char *reference,
                                     struct hl_buf *json)
{
    struct hl_session *session = NULL;
    struct hl_stmt *stmt = NULL;
    hilum_rc rc = hl_readers_get(record->readers, &session);
    if (rc != HILUM_OK)
        return rc;
    rc = hl_session_ask(session, &stmt,
                        "SELECT at_us, peer, what, why FROM refusal WHERE reference = upper(?1)",
                        "t", reference);
    if (rc == HILUM_OK)
        rc = hl_stmt_step(stmt);
    if (rc == 1)
        reference_json(stmt, reference, json);
    hl_stmt_done(stmt);
    hl_readers_put(record->readers, session, rc);
    if (rc == 0)
        return hl_fail(HILUM_ENOTFOUND, "reference %.32s: not known (kept for 90 days)", reference);
    return rc > 0 ? HILUM_OK : rc;
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

static hilum_rc kv_write(struct hl_session *session, void *arg)
{
    struct texts *t = arg;
    if (!t->text[2])
        return hl_session_run(session, "DELETE FROM kv WHERE space = ?1 AND name = ?2", "tt",
                              t->text[0], t->text[1]);
    return hl_session_run(session,
                          "INSERT INTO kv VALUES (?1, ?2, ?3) ON CONFLICT (space, name) "
                          "DO UPDATE SET value = excluded.value",
                          "ttt", t->text[0], t->text[1], t->text[2]);
}

hilum_rc hl_record_kv_set(struct hl_record *record, const char *space, const char *key,
                          const char *value)
{
    struct texts t = {.text = {space, key, value}};
    return hl_writer_run(record->writer, HL_LANE_OTHER, kv_write, &t);
}
