/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/store/fake_record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"

struct hl_record *fake_record_new(void)
{
    struct hl_record *record = calloc(1, sizeof *record);
    record->rows = calloc(FAKE_ROWS, sizeof *record->rows);
    record->last_owed = &record->owed;
    pthread_mutex_init(&record->lock, NULL);
    return record;
}

void fake_record_free(struct hl_record *record)
{
    pthread_mutex_destroy(&record->lock);
    free(record->rows);
    free(record);
}

hilum_rc hl_record_health(struct hl_record *record)
{
    pthread_mutex_lock(&record->lock);
    hilum_rc rc = record->health;
    pthread_mutex_unlock(&record->lock);
    return rc == HILUM_OK ? rc : hl_fail(rc, "the record is unwell");
}

static struct fake_row *row_find(struct hl_record *record, const char *uid)
{
    for (size_t i = 0; i < record->n; i++) {
        if (!record->rows[i].is_quarantined &&
            strcmp(record->rows[i].stored.sop_instance, uid) == 0)
            return &record->rows[i];
    }
    return NULL;
}

static void row_write(struct hl_record *record, struct hl_instance *in)
{
    struct fake_row *row = &record->rows[record->n++];
    struct hl_stored *stored = &row->stored;
    *row = (struct fake_row){.n_plan = in->n_plan, .is_quarantined = in->quarantine_of != NULL};
    stored->instance_id = (int64_t)record->n;
    snprintf(stored->sop_class, 65, "%s", hl_attrs_text(in->attrs, 0x00080016));
    snprintf(stored->sop_instance, 65, "%s", hl_attrs_text(in->attrs, 0x00080018));
    snprintf(stored->study_uid, 65, "%s", hl_attrs_text(in->attrs, 0x0020000D));
    snprintf(stored->series_uid, 65, "%s", hl_attrs_text(in->attrs, 0x0020000E));
    snprintf(stored->transfer_syntax, 65, "%s", in->transfer_syntax);
    stored->location = in->location;
    memcpy(stored->digest_received, in->digest_received, 16);
    in->is_held = in->is_held || in->quarantine_of != NULL;
    stored->is_held = in->is_held;
    snprintf(row->remark, sizeof row->remark, "%s", in->remark_text != NULL ? in->remark_text : "");
    snprintf(row->patient, sizeof row->patient, "%s", hl_attrs_text(in->attrs, 0x00100010));
    snprintf(row->peer, sizeof row->peer, "%s", in->peer != NULL ? in->peer : "");
    snprintf(row->held_by, sizeof row->held_by, "%s", in->held_by != NULL ? in->held_by : "");
    in->instance_id = stored->instance_id;
    in->outcome = in->is_held ? HL_OUTCOME_QUARANTINED : HL_OUTCOME_STORED;
}

hilum_rc hl_record_instances(struct hl_record *record, struct hl_instance *const rows[], size_t n)
{
    pthread_mutex_lock(&record->lock);
    hilum_rc rc = record->fail_with;
    if (rc == HILUM_OK || record->fail_after) {
        record->transactions++;
        for (size_t i = 0; i < n; i++) {
            struct fake_row *known = row_find(record, hl_attrs_text(rows[i]->attrs, 0x00080018));
            if (known != NULL && rows[i]->quarantine_of == NULL) {
                rows[i]->outcome = HL_OUTCOME_EXISTS;
                rows[i]->instance_id = known->stored.instance_id;
            } else {
                row_write(record, rows[i]);
            }
        }
    }
    pthread_mutex_unlock(&record->lock);
    return rc == HILUM_OK ? rc : hl_fail(rc, "commit: told to fail");
}

hilum_rc hl_record_instances_logged(struct hl_record *record, struct hl_instance *const rows[],
                                    size_t n, uint64_t *ticket)
{
    hilum_rc rc = hl_record_instances(record, rows, n);
    pthread_mutex_lock(&record->lock);
    *ticket = record->has_flush && rc == HILUM_OK ? ++record->tickets : 0;
    pthread_mutex_unlock(&record->lock);
    return rc;
}

static void owed_write(struct hl_record *record, struct hl_owed *owed)
{
    uint64_t ticket = 0;
    hilum_rc rc = hl_record_instances_logged(record, &owed->row, 1, &ticket);
    owed->recorded(owed, rc, ticket);
}

/* At once, or by hl_record_settle. */
void hl_record_owe(struct hl_record *record, struct hl_owed *owed)
{
    if (!record->is_late) {
        owed_write(record, owed);
        return;
    }
    pthread_mutex_lock(&record->lock);
    owed->next = NULL;
    *record->last_owed = owed;
    record->last_owed = &owed->next;
    pthread_mutex_unlock(&record->lock);
}

bool hl_record_may_pass(hilum_rc rc)
{
    return rc != HILUM_EINVAL;
}

bool hl_record_may_owe(struct hl_record *record)
{
    return !record->is_restoring && hl_record_health(record) == HILUM_OK;
}

void hl_record_settle(struct hl_record *record)
{
    pthread_mutex_lock(&record->lock);
    struct hl_owed *owed = record->owed;
    record->owed = NULL;
    record->last_owed = &record->owed;
    pthread_mutex_unlock(&record->lock);
    while (owed != NULL) {
        struct hl_owed *next = owed->next;
        owed_write(record, owed);
        owed = next;
    }
}

hilum_rc hl_record_is_current(struct hl_record *record, const char *sop_instance, bool *out)
{
    pthread_mutex_lock(&record->lock);
    *out = !record->is_blind && row_find(record, sop_instance) != NULL;
    pthread_mutex_unlock(&record->lock);
    return HILUM_OK;
}

void hl_record_on_durable(struct hl_record *record, void (*tell)(void *arg, uint64_t ticket),
                          void *arg)
{
    record->on_durable = tell;
    record->on_durable_arg = arg;
}

hilum_rc hl_record_flush(struct hl_record *record)
{
    pthread_mutex_lock(&record->lock);
    record->flushed = record->tickets;
    pthread_mutex_unlock(&record->lock);
    if (record->on_durable)
        record->on_durable(record->on_durable_arg, record->flushed);
    return HILUM_OK;
}

hilum_rc hl_record_kv_get(struct hl_record *record, const char *space, const char *key,
                          struct hl_buf *out)
{
    (void)space;
    (void)key;
    hl_buf_text(out, record->kv);
    return *record->kv ? HILUM_OK : HILUM_ENOTFOUND;
}

hilum_rc hl_record_kv_set(struct hl_record *record, const char *space, const char *key,
                          const char *value)
{
    (void)space;
    (void)key;
    snprintf(record->kv, sizeof record->kv, "%s", value);
    return hl_record_flush(record);
}

hilum_rc hl_record_stored(struct hl_record *record, const char *sop_instance, struct hl_stored *out)
{
    pthread_mutex_lock(&record->lock);
    const struct fake_row *row = row_find(record, sop_instance);
    if (row != NULL)
        *out = row->stored;
    pthread_mutex_unlock(&record->lock);
    return row != NULL ? HILUM_OK : HILUM_ENOTFOUND;
}

hilum_rc hl_record_stored_aside(struct hl_record *record, const char *sop_instance,
                                const uint8_t digest_received[16], struct hl_stored *out)
{
    hilum_rc rc = HILUM_ENOTFOUND;
    pthread_mutex_lock(&record->lock);
    for (size_t i = 0; i < record->n; i++) {
        const struct fake_row *row = &record->rows[i];
        if (row->is_quarantined && strcmp(row->stored.sop_instance, sop_instance) == 0 &&
            memcmp(row->stored.digest_received, digest_received, 16) == 0) {
            *out = row->stored;
            rc = HILUM_OK;
        }
    }
    pthread_mutex_unlock(&record->lock);
    return rc;
}

hilum_rc hl_record_stored_by_id(struct hl_record *record, int64_t instance_id,
                                struct hl_stored *out)
{
    if (instance_id < 1 || (size_t)instance_id > record->n)
        return hl_fail(HILUM_ENOTFOUND, "no instance");
    *out = record->rows[instance_id - 1].stored;
    out->is_corrected = record->n_overlays > 0;
    return HILUM_OK;
}

hilum_rc hl_record_has_key(struct hl_record *record, const char *store, const char *key, bool *out)
{
    *out = false;
    pthread_mutex_lock(&record->lock);
    for (size_t i = 0; i < record->n; i++) {
        const struct hl_location *at = &record->rows[i].stored.location;
        *out = *out || (strcmp(at->store, store) == 0 && strcmp(at->key, key) == 0);
    }
    pthread_mutex_unlock(&record->lock);
    return HILUM_OK;
}

hilum_rc hl_record_duplicate(struct hl_record *record, int64_t instance_id, const char *peer,
                             bool repaired)
{
    (void)instance_id;
    (void)peer;
    pthread_mutex_lock(&record->lock);
    record->duplicates++;
    record->repaired += repaired;
    pthread_mutex_unlock(&record->lock);
    return HILUM_OK;
}

hilum_rc hl_record_relocate(struct hl_record *record, int64_t instance_id,
                            const struct hl_location *to, const char *transfer_syntax,
                            const char *received_as)
{
    (void)transfer_syntax;
    (void)received_as;
    record->rows[instance_id - 1].stored.location = *to;
    return HILUM_OK;
}

hilum_rc hl_record_locations(struct hl_record *record, const char *store, hl_location_cb each,
                             void *arg)
{
    hilum_rc rc = HILUM_OK;
    for (size_t i = 0; i < record->n && rc == HILUM_OK; i++) {
        if (strcmp(record->rows[i].stored.location.store, store) == 0)
            rc = each(arg, (int64_t)i + 1, &record->rows[i].stored.location, "present");
    }
    return rc;
}

hilum_rc hl_record_overlays(struct hl_record *record, int64_t instance_id, int64_t as_of,
                            struct hl_overlays *out)
{
    (void)instance_id;
    (void)as_of;
    *out = (struct hl_overlays){.n = record->n_overlays};
    out->items = calloc(out->n + 1, sizeof *out->items);
    if (out->n > 0)
        memcpy(out->items, record->overlays, out->n * sizeof *out->items);
    return HILUM_OK;
}

/* As the real one: whoever fills the list must have taken it from malloc. */
void hl_overlays_fini(struct hl_overlays *overlays)
{
    free(overlays->items);
    hl_arena_fini(&overlays->arena);
}

hilum_rc hl_record_journal_append(struct hl_record *record, const char *event,
                                  const char *study_uid, const char *fields_json, int64_t *id)
{
    (void)study_uid;
    (void)fields_json;
    *id = 1;
    pthread_mutex_lock(&record->lock);
    size_t n = strlen(record->journal);
    snprintf(record->journal + n, sizeof record->journal - n, "%s\n", event);
    pthread_mutex_unlock(&record->lock);
    return HILUM_OK;
}

hilum_rc hl_record_refusal(struct hl_record *record, const struct hl_refusal *refusal,
                           char reference[16])
{
    pthread_mutex_lock(&record->lock);
    record->refusals++;
    snprintf(record->last_why, sizeof record->last_why, "%s", refusal->why);
    pthread_mutex_unlock(&record->lock);
    snprintf(reference, 16, "TEST-0001");
    return HILUM_OK;
}

hilum_rc hl_record_audit(struct hl_record *record, const char *who, const char *action,
                         const char *what, const char *before, const char *after)
{
    (void)who;
    (void)action;
    (void)what;
    (void)before;
    (void)after;
    pthread_mutex_lock(&record->lock);
    record->audits++;
    pthread_mutex_unlock(&record->lock);
    return HILUM_OK;
}

hilum_rc hl_record_edit_patient(struct hl_record *record, const char *patient_id,
                                const char *issuer, const struct hl_attrs *changes, const char *who,
                                const char *why)
{
    (void)patient_id;
    (void)issuer;
    (void)who;
    (void)why;
    pthread_mutex_lock(&record->lock);
    for (size_t i = 0; i < record->n; i++)
        snprintf(record->rows[i].patient, 128, "%s", hl_attrs_text(changes, 0x00100010));
    pthread_mutex_unlock(&record->lock);
    return HILUM_OK;
}

/* ---- what is saved beside the objects: nothing here ---- */

void hl_record_on_save(struct hl_record *record, const struct hl_saver *saver)
{
    (void)record;
    (void)saver;
}

hilum_rc hl_record_save_all(struct hl_record *record,
                            hilum_rc (*write)(void *arg, const char *lines, size_t n), void *arg)
{
    (void)record;
    return write(arg, "{}\n", 3);
}

const char *hl_record_catalogue(struct hl_record *record)
{
    (void)record;
    return "fake";
}

hilum_rc hl_record_restore_begin(struct hl_record *record)
{
    record->is_restoring = true;
    return HILUM_OK;
}

hilum_rc hl_record_restore_put(struct hl_record *record, uint64_t number, const char *lines,
                               size_t n)
{
    (void)record;
    (void)number;
    (void)lines;
    (void)n;
    return HILUM_OK;
}

hilum_rc hl_record_restore_persons(struct hl_record *record)
{
    (void)record;
    return HILUM_OK;
}

hilum_rc hl_record_restore_until(struct hl_record *record, int64_t *until_us)
{
    (void)record;
    *until_us = INT64_MAX;
    return HILUM_OK;
}

hilum_rc hl_record_restore_received(struct hl_record *record, const char *store, const char *key,
                                    int64_t *received_us)
{
    (void)record;
    (void)store;
    (void)key;
    *received_us = 0;
    return HILUM_OK;
}

hilum_rc hl_record_restore_rest(struct hl_record *record)
{
    (void)record;
    return HILUM_OK;
}

hilum_rc hl_record_restore_end(struct hl_record *record)
{
    record->is_restoring = false;
    return HILUM_OK;
}

bool hl_record_is_restoring(struct hl_record *record)
{
    return record->is_restoring;
}

hilum_rc hl_record_is_empty(struct hl_record *record, bool *out)
{
    *out = record->n == 0;
    return HILUM_OK;
}

int64_t hl_record_save_round(struct hl_record *record)
{
    (void)record;
    return 0;
}

hilum_rc hl_record_save_health(struct hl_record *record)
{
    (void)record;
    return HILUM_OK;
}

hilum_rc hl_record_compressed(struct hl_record *record, const struct hl_compressed_row *row)
{
    pthread_mutex_lock(&record->lock);
    for (size_t i = 0; i < record->n; i++)
        if (record->rows[i].stored.instance_id == row->instance_id) {
            record->rows[i].stored.location = *row->to;
            snprintf(record->rows[i].stored.transfer_syntax,
                     sizeof record->rows[i].stored.transfer_syntax, "%s", row->syntax);
        }
    pthread_mutex_unlock(&record->lock);
    return HILUM_OK;
}

hilum_rc hl_record_compression_tried(struct hl_record *record, int64_t instance_id,
                                     const char *syntax)
{
    (void)record, (void)instance_id, (void)syntax;
    return HILUM_OK;
}

hilum_rc hl_record_compression_add(struct hl_record *record, const struct hl_compression_sum *items,
                                   size_t n)
{
    (void)record, (void)items, (void)n;
    return HILUM_OK;
}

hilum_rc hl_record_stored_original(struct hl_record *record, int64_t instance_id,
                                   struct hl_stored *out)
{
    return hl_record_stored_by_id(record, instance_id, out);
}
