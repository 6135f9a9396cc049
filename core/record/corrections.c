/* Corrections as versioned overlays: objects stay as received, what leaves is corrected. Knows nothing of how
 * an overlay is applied to bytes.
 *
 * An overlay is (seq, study, tag, text): of several for one tag the highest seq up to `as_of`
 * counts. seq is a version of the whole catalogue, so one number freezes what a retrieval of
 * many studies sends. Texts are UTF-8; core/store/overlay.c writes them in the object's
 * character set.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/record/former.h"
#include "hilum/catalog.h"

/* ---- reading ---------------------------------------------------------------------------------------------- */

/* Original Attributes Sequence (PS3.3 C.12.1.1.9) wants what was received, not what an earlier
 * correction had made of it. */
static hilum_rc overlay_read(struct hl_overlays *out, struct hl_stmt *stmt, size_t *cap)
{
    uint32_t tag = (uint32_t)hl_stmt_int(stmt, 0);
    const char *text = hl_stmt_text_or_null(stmt, 1);
    /* Rows come by tag, oldest first: the last one of a tag counts, the first one's old text. */
    bool is_same = out->n > 0 && out->items[out->n - 1].tag == tag;
    if (!is_same && !hl_grow(&out->items, cap, out->n, sizeof *out->items))
        return hl_fail(HILUM_ENOMEM, "overlays: out of memory");
    if (!is_same)
        out->items[out->n++] = (struct hl_overlay){
            .tag = tag, .old_text = hl_arena_strdup(&out->arena, hl_stmt_text(stmt, 2))};
    struct hl_overlay *item = &out->items[out->n - 1];
    item->text = text ? hl_arena_strdup(&out->arena, text) : NULL;
    item->when_us = hl_stmt_int(stmt, 3);
    item->who = hl_arena_strdup(&out->arena, hl_stmt_text(stmt, 4));
    item->why = hl_arena_strdup(&out->arena, hl_stmt_text(stmt, 5));
    bool is_whole = item->old_text && item->who && item->why && (item->text || !text);
    return is_whole ? HILUM_OK : hl_fail(HILUM_ENOMEM, "overlays: out of memory");
}

/* By study, since corrections are made per patient and a study has one; `as_of` keeps a
 * retrieval under way consistent. */
static hilum_rc overlays_query(struct hl_session *session, int64_t instance, int64_t as_of,
                               struct hl_overlays *out)
{
    struct hl_stmt *stmt = NULL;
    size_t cap = 0;
    hilum_rc rc =
        hl_session_ask(session, &stmt,
                       "SELECT o.tag, o.text, o.old_text, o.at_us, o.who, o.why FROM instance i "
                       "JOIN series e ON e.id = i.series JOIN overlay o ON o.study = e.study "
                       "WHERE i.id = ?1 AND o.seq <= ?2 ORDER BY o.tag, o.seq, o.id",
                       "ii", instance, as_of ? as_of : INT64_MAX);
    while (rc == HILUM_OK && (rc = hl_stmt_step(stmt)) == 1)
        rc = overlay_read(out, stmt, &cap);
    hl_stmt_done(stmt);
    return rc;
}

hilum_rc hl_record_overlays(struct hl_record *record, int64_t instance_id, int64_t as_of,
                            struct hl_overlays *out)
{
    struct hl_session *session = NULL;
    *out = (struct hl_overlays){0};
    hilum_rc rc = hl_readers_get(record->readers, &session);
    if (rc != HILUM_OK)
        return rc;
    rc = overlays_query(session, instance_id, as_of, out);
    hl_readers_put(record->readers, session, rc);
    if (rc != HILUM_OK)
        hl_overlays_fini(out);
    return rc;
}

void hl_overlays_fini(struct hl_overlays *overlays)
{
    free(overlays->items);
    hl_arena_fini(&overlays->arena);
    *overlays = (struct hl_overlays){0};
}

/* ---- writing, within a unit --------------------------------------------------------------------------------- */

/* With the turn, so no two edits get one number. */
hilum_rc hl_overlay_seq_next(struct hl_session *session, int64_t *out)
{
    return hl_session_int(session, out, "SELECT coalesce(max(seq), 1) + 1 FROM overlay", "");
}

hilum_rc hl_overlay_add(struct hl_session *session, const struct hl_correction *c, int64_t patient,
                        uint32_t tag, const char *text, const char *old_text)
{
    return hl_session_run(session,
                          "INSERT INTO overlay (seq, study, tag, text, old_text, who, why, at_us) "
                          "SELECT ?1, id, ?3, ?4, ?5, ?6, ?7, ?8 FROM study WHERE patient = ?2",
                          "iiitttti", c->seq, patient, (int64_t)tag, text, old_text, c->who, c->why,
                          hl_now_us());
}

/* ---- editing a patient ---------------------------------------------------------------------------------------- */

/* before and after are JSON in the making, closed by edit_write. */
struct edit {
    struct hl_record *record;
    const char *patient_id, *issuer;
    const struct hl_attrs *changes;
    struct hl_correction correction;
    int64_t patient;
    struct hl_buf before, after;
};

/* Group 0010 is the patient's. Study, series and instance attributes have no editing verb, and
 * UIDs must never have one. HILUM_EINVAL otherwise; the command checks it too
 * (core/server/commands_catalog.c). */
static bool may_edit(uint32_t tag)
{
    return tag >> 16 == 0x0010;
}

static hilum_rc changes_check(const struct hl_attrs *changes)
{
    if (changes->n == 0)
        return hl_fail(HILUM_EINVAL, "patient edit: nothing to change");
    for (size_t i = 0; i < changes->n; i++) {
        uint32_t tag = changes->items[i].tag;
        if (!may_edit(tag))
            return hl_fail(HILUM_EINVAL,
                           "patient edit: attribute %04x,%04x: expected one of the patient's",
                           tag >> 16, tag & 0xffff);
        if (tag == HL_PATIENT_ID && !*changes->items[i].text)
            return hl_fail(HILUM_EINVAL, "patient edit: PatientID: expected a value");
    }
    return HILUM_OK;
}

/* A known patient before a provisional one of the same ID. Standing 3 has no ID by which it
 * could be named. */
static hilum_rc patient_find(struct edit *edit, struct hl_session *session)
{
    hilum_rc rc = hl_session_int(session, &edit->patient,
                                 "SELECT id FROM patient WHERE patient_id = ?1 AND issuer = ?2 "
                                 "AND standing IN (0, 1, 2) ORDER BY standing, id LIMIT 1",
                                 "tt", edit->patient_id, edit->issuer);
    if (rc != HILUM_ENOTFOUND)
        return rc;
    return hl_fail(rc, "%.64s: no patient with this PatientID%s%.64s", edit->patient_id,
                   *edit->issuer ? " of issuer " : " and no issuer", edit->issuer);
}

/* The new issuer and ID must be nobody else's: two patients becoming one is a merge. Also a
 * provisional one: that conflict is decided first. */
static hilum_rc key_check(struct edit *edit, struct hl_session *session)
{
    const char *id = hl_attrs_get(edit->changes, HL_PATIENT_ID);
    const char *issuer = hl_attrs_get(edit->changes, HL_ISSUER_OF_PATIENT_ID);
    int64_t other;
    if (!id && !issuer)
        return HILUM_OK;
    hilum_rc rc = hl_session_int(session, &other,
                                 "SELECT id FROM patient WHERE patient_id = ?1 AND issuer = ?2 "
                                 "AND id <> ?3 LIMIT 1",
                                 "tti", id ? id : edit->patient_id, issuer ? issuer : edit->issuer,
                                 edit->patient);
    if (rc == HILUM_ENOTFOUND)
        return HILUM_OK;
    return rc ? rc
              : hl_fail(HILUM_ECONFLICT,
                        "patient edit: the new PatientID belongs to another patient: merge them");
}

/* For the audit row: keywords where we have one, hexadecimal tags otherwise. */
static void json_field(struct hl_buf *out, const char *keyword, uint32_t tag, const char *text)
{
    hl_buf_byte(out, out->len ? ',' : '{');
    if (keyword)
        hl_buf_printf(out, "\"%s\":", keyword);
    else
        hl_buf_printf(out, "\"%08X\":", tag);
    hl_buf_json_string(out, text);
}

/* NULL: an attribute that is corrected in what leaves but not kept in the catalogue. */
static const struct hl_column *patient_column(uint32_t tag)
{
    const struct hl_column *column = hl_column_find(HILUM_LEVEL_PATIENT, tag);
    return column && column->kind != HL_KIND_INT ? column : NULL;
}

static hilum_rc old_text(struct hl_session *session, int64_t patient,
                         const struct hl_column *column, struct hl_buf *out)
{
    struct hl_stmt *stmt = NULL;
    char sql[96];
    snprintf(sql, sizeof sql, "SELECT %s FROM patient WHERE id = ?1", column->name);
    hilum_rc rc = hl_session_ask(session, &stmt, sql, "i", patient);
    if (rc == HILUM_OK)
        rc = hl_stmt_step(stmt);
    if (rc == 1)
        hl_buf_text(out, hl_stmt_text(stmt, 0));
    hl_stmt_done(stmt);
    return rc > 0 ? HILUM_OK : rc;
}

/* Names carry their search keys with them: a patient must be found under the new name at once,
 * and not under the old. */
static hilum_rc column_set(struct hl_session *session, int64_t patient,
                           const struct hl_column *column, const char *text)
{
    char sql[160];
    struct hl_buf folded = {0};
    hilum_rc rc;
    if (column->kind == HL_KIND_NAME && column->tag != HL_PATIENT_NAME) {
        hl_name_keys_joined(text, &folded);
        snprintf(sql, sizeof sql, "UPDATE patient SET %s = ?2, %s_f = ?3 WHERE id = ?1",
                 column->name, column->name);
        rc = hl_session_run(session, sql, "itt", patient, text, hl_buf_str(&folded));
    } else {
        snprintf(sql, sizeof sql, "UPDATE patient SET %s = ?2 WHERE id = ?1", column->name);
        rc = hl_session_run(session, sql, "it", patient, text);
    }
    if (rc == HILUM_OK && column->tag == HL_PATIENT_NAME)
        rc = hl_identity_keys(session, patient, text);
    hl_buf_fini(&folded);
    return rc;
}

/* Overlay for what leaves, row for what is found, JSON for the audit: one change, in one
 * transaction. The overlay's old text is the catalogue's: objects of several senders may have
 * said it differently. */
static hilum_rc change_write(struct edit *edit, struct hl_session *session,
                             const struct hl_attr *change)
{
    const struct hl_column *column = patient_column(change->tag);
    const char *keyword = column ? column->keyword : NULL;
    struct hl_buf old = {0};
    hilum_rc rc = column ? old_text(session, edit->patient, column, &old) : HILUM_OK;
    json_field(&edit->before, keyword, change->tag, hl_buf_str(&old));
    json_field(&edit->after, keyword, change->tag, change->text);
    if (rc == HILUM_OK)
        rc = hl_overlay_add(session, &edit->correction, edit->patient, change->tag, change->text,
                            hl_buf_str(&old));
    if (rc == HILUM_OK && column)
        rc = column_set(session, edit->patient, column, change->text);
    hl_buf_fini(&old);
    return rc;
}

/* One transaction: the former identity, an overlay for each change, the patient's own row,
 * audit. Places are forgotten since patients may have changed below them. The former identity
 * is written first, from the row as it still is. */
static hilum_rc edit_write(struct hl_session *session, void *arg)
{
    struct edit *edit = arg;
    char what[32];
    hilum_rc rc = patient_find(edit, session);
    hl_writer_note(edit->record->writer, HL_NOTE_SAVE);
    if (rc == HILUM_OK)
        rc = key_check(edit, session);
    if (rc == HILUM_OK)
        rc = hl_overlay_seq_next(session, &edit->correction.seq);
    if (rc == HILUM_OK)
        rc = hl_former_add(session, edit->patient, edit->patient, edit->changes, &edit->correction);
    for (size_t i = 0; i < edit->changes->n && rc == HILUM_OK; i++)
        rc = change_write(edit, session, &edit->changes->items[i]);
    hl_buf_byte(&edit->before, '}');
    hl_buf_byte(&edit->after, '}');
    snprintf(what, sizeof what, "patient:%lld", (long long)edit->patient);
    hl_places_forget(edit->record->places);
    if (rc == HILUM_OK)
        rc = hl_audit_add(session, edit->correction.who, "patient.edit", what,
                          hl_buf_str(&edit->before), hl_buf_str(&edit->after));
    return rc;
}

hilum_rc hl_record_edit_patient(struct hl_record *record, const char *patient_id,
                                const char *issuer, const struct hl_attrs *changes, const char *who,
                                const char *why)
{
    struct edit edit = {.record = record,
                        .patient_id = patient_id,
                        .issuer = issuer ? issuer : record->default_issuer,
                        .changes = changes,
                        .correction = {.who = who, .why = why ? why : ""}};
    hilum_rc rc = changes_check(changes);
    if (rc == HILUM_OK)
        rc = hl_restore_check(record);
    if (rc == HILUM_OK)
        rc = hl_writer_run(record->writer, HL_LANE_OTHER, edit_write, &edit);
    hl_buf_fini(&edit.before);
    hl_buf_fini(&edit.after);
    return rc;
}
