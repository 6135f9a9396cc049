/* Patient, study and series an instance hangs on: found, cached or made. Knows nothing of
 * objects.
 *
 * A cache of the series lately written to spares three look-ups an instance. It belongs to
 * whoever has the writer's turn and is emptied whenever a transaction is undone or a patient,
 * study or series changes its place. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/record/former.h"
#include "hilum/catalog.h"

void hl_places_forget(struct hl_places *places)
{
    for (unsigned i = 0; i < HL_PLACES; i++)
        places->entries[i].series_uid[0] = '\0';
    places->source_key[0] = '\0';
}

/* Two series of one slot push each other out, which costs a look-up and no more. */
static unsigned slot_of(const char *uid)
{
    unsigned hash = 5381;
    for (; *uid; uid++)
        hash = hash * 33 + (unsigned char)*uid;
    return hash % HL_PLACES;
}

/* Appends value to a backslash list in a column of a study unless it is in it. Marks on both
 * sides, so that "CT" is not found in "CTX"; the statements give and take the list without
 * them. */
static hilum_rc list_add(struct hl_session *session, const char *select, const char *update,
                         int64_t id, const char *value)
{
    struct hl_stmt *stmt = NULL;
    struct hl_buf list = {0}, probe = {0};
    hilum_rc rc = hl_session_ask(session, &stmt, select, "i", id);
    if (rc == HILUM_OK)
        rc = hl_stmt_step(stmt);
    if (rc == 1)
        hl_buf_printf(&list, "\\%s\\", hl_stmt_text(stmt, 0));
    hl_stmt_done(stmt);
    hl_buf_printf(&probe, "\\%s\\", value);
    if (rc == 1 && *value && !strstr(hl_buf_str(&list), hl_buf_str(&probe))) {
        hl_buf_text(&list, value);
        const char *text = hl_buf_str(&list) + 1;
        rc = hl_session_run(session, update, "it", id, *text == '\\' ? text + 1 : text);
    }
    hl_buf_fini(&list);
    hl_buf_fini(&probe);
    return rc > 0 ? HILUM_OK : rc;
}

/* study.created, durable with the study. Told once for a study, whatever comes later; a
 * rebuild tells it as handled. */
static hilum_rc study_event(struct hl_record *record, struct hl_session *session,
                            const struct hl_instance *instance, const char *uid)
{
    struct hl_buf fields = {0};
    int64_t id;
    hl_buf_text(&fields, "{\"StudyInstanceUID\":");
    hl_buf_json_string(&fields, uid);
    hl_buf_text(&fields, ",\"peer\":");
    hl_buf_json_string(&fields, instance->peer ? instance->peer : "");
    hl_buf_byte(&fields, '}');
    const struct hl_entry entry = {.event = "study.created",
                                   .study_uid = uid,
                                   .fields = hl_buf_str(&fields),
                                   .is_handled = instance->is_history};
    hilum_rc rc = hl_journal_add(record, session, &entry, &id);
    hl_buf_fini(&fields);
    return rc;
}

/* The one moment that decides whose a study is. A restored study hangs on the person it was
 * decided to be, whatever its header says (save.c). */
static hilum_rc study_make(struct hl_record *record, struct hl_session *session,
                           struct hl_instance *instance, struct hl_place *place)
{
    const char *uid = hl_attrs_text(instance->attrs, HL_STUDY_INSTANCE_UID);
    int64_t now = hl_now_us(), standing = 0;
    hilum_rc rc = HILUM_OK;
    if (instance->is_restored)
        rc = hl_restore_patient(session, uid, &place->patient, &standing);
    place->is_provisional = standing == 1;
    if (rc == HILUM_OK && !place->patient)
        rc = hl_identity_find(record, session, instance, place);
    const struct hilum_value fixed[] = {
        hl_value_int(place->patient),
        hl_value_text(uid),
        hl_value_text(hl_attrs_text(instance->attrs, HL_MODALITY)),
        hl_value_text(hl_attrs_text(instance->attrs, HL_SOP_CLASS_UID)),
        hl_value_int(now),
        hl_value_int(now)};
    if (rc == HILUM_OK)
        rc = hl_row_insert(record, session, HILUM_LEVEL_STUDY, fixed, instance->attrs,
                           &place->study);
    if (rc == HILUM_OK && place->former)
        rc = hl_former_correct(session, place->former, place->study, instance->attrs);
    if (rc == HILUM_OK && instance->is_restored)
        rc = hl_restore_study(session, uid, place->study);
    if (rc == HILUM_OK)
        rc = study_event(record, session, instance, uid);
    instance->is_new_study = place->is_new = true;
    return rc;
}

/* A study that exists keeps its patient, whatever later instances say. Standing 3, without an
 * ID, is provisional too: somebody may still say who it is. */
static hilum_rc study_find(struct hl_record *record, struct hl_session *session,
                           struct hl_instance *instance, struct hl_place *place)
{
    struct hl_stmt *stmt = NULL;
    hilum_rc rc = hl_session_ask(session, &stmt,
                                 "SELECT s.id, s.patient, p.standing FROM study s "
                                 "JOIN patient p ON p.id = s.patient WHERE s.uid = ?1",
                                 "t", hl_attrs_text(instance->attrs, HL_STUDY_INSTANCE_UID));
    if (rc == HILUM_OK)
        rc = hl_stmt_step(stmt);
    if (rc == 1) {
        place->study = hl_stmt_int(stmt, 0);
        place->patient = hl_stmt_int(stmt, 1);
        place->is_provisional = hl_stmt_int(stmt, 2) == 1 || hl_stmt_int(stmt, 2) == 3;
    }
    hl_stmt_done(stmt);
    if (rc == 0)
        rc = study_make(record, session, instance, place);
    return rc > 0 ? HILUM_OK : rc;
}

static hilum_rc series_make(struct hl_record *record, struct hl_session *session,
                            const struct hl_instance *instance, struct hl_place *place)
{
    const struct hilum_value fixed[] = {
        hl_value_int(place->study),
        hl_value_text(hl_attrs_text(instance->attrs, HL_SERIES_INSTANCE_UID)),
        hl_value_int(hl_now_us())};
    hilum_rc rc =
        hl_row_insert(record, session, HILUM_LEVEL_SERIES, fixed, instance->attrs, &place->series);
    /* A study just made began with this instance's. */
    if (rc == HILUM_OK && !place->is_new)
        rc = list_add(session, "SELECT modalities FROM study WHERE id = ?1",
                      "UPDATE study SET modalities = ?2 WHERE id = ?1", place->study,
                      hl_attrs_text(instance->attrs, HL_MODALITY));
    return rc;
}

/* A series is looked up within its study: a series UID used in two studies is two series here.
 * UIDs of series should be unique in the world (PS3.5 9) and are not. */
static hilum_rc place_look_up(struct hl_record *record, struct hl_session *session,
                              struct hl_instance *instance, struct hl_place *place)
{
    hilum_rc rc = study_find(record, session, instance, place);
    if (rc != HILUM_OK)
        return rc;
    rc = hl_session_int(session, &place->series,
                        "SELECT id FROM series WHERE uid = ?1 AND study = ?2", "ti",
                        hl_attrs_text(instance->attrs, HL_SERIES_INSTANCE_UID), place->study);
    if (rc == HILUM_ENOTFOUND)
        rc = series_make(record, session, instance, place);
    return rc;
}

/* The table of places spares a look-up for each object of a series; it is the writer's, and
 * hl_places_forget empties it whenever a transaction is undone. An entry is taken over by the
 * series that comes last to its slot. The class of the last object is part of an entry: only a
 * new one needs a look at the study's list. */
hilum_rc hl_place_find(struct hl_record *record, struct hl_session *session,
                       struct hl_instance *instance, struct hl_place *out)
{
    const char *series = hl_attrs_text(instance->attrs, HL_SERIES_INSTANCE_UID);
    const char *study = hl_attrs_text(instance->attrs, HL_STUDY_INSTANCE_UID);
    const char *sop_class = hl_attrs_text(instance->attrs, HL_SOP_CLASS_UID);
    unsigned at = slot_of(series);
    bool is_known = *series && strcmp(record->places->entries[at].series_uid, series) == 0 &&
                    strcmp(record->places->entries[at].study_uid, study) == 0;
    hilum_rc rc = HILUM_OK;
    *out = (struct hl_place){0};
    if (is_known)
        *out = record->places->entries[at].place;
    else
        rc = place_look_up(record, session, instance, out);
    is_known = is_known && strcmp(record->places->entries[at].sop_class, sop_class) == 0;
    if (rc != HILUM_OK || is_known)
        return rc;
    if (!out->is_new)
        rc = list_add(session, "SELECT sop_classes FROM study WHERE id = ?1",
                      "UPDATE study SET sop_classes = ?2 WHERE id = ?1", out->study, sop_class);
    snprintf(record->places->entries[at].series_uid, 65, "%s", series);
    snprintf(record->places->entries[at].study_uid, 65, "%s", study);
    snprintf(record->places->entries[at].sop_class, 65, "%s", sop_class);
    record->places->entries[at].place = *out;
    record->places->entries[at].place.is_new = false;
    return rc;
}
