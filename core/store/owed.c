/* Objects that are answered before their rows are written: durable, with a note in their store's log that tells the row. The
 * record writes it a moment later (core/record/owed.c); from the answer on the object is the record's thread's, or the
 * prober's where the row could not be written.
 *
 * Only what nobody has to decide about is owed: new, held by no rule, with no plan that must be beside the objects before the
 * answer. That its UID is new is asked before: no other object of that UID on its way, none in the catalogue. What
 * comes between (a release from quarantine) is found when the row is written; then the newcomer is put aside for a person,
 * since its sender was told success.
 *
 * A crash at any point: the note is replayed at the next start, as for rows that were not flushed. A row that cannot be
 * written now is tried again each second, and its note stays; until it is there nothing new is accepted. SPDX-License-Identifier: Apache-2.0 */
#include "core/store/store_internal.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/error.h"
#include "core/base/log.h"

struct hl_owed_object {
    struct hl_owed owed; /* the first member: the record knows no other */
    struct hl_ingest *ingest;
    struct hl_instance row;
    struct hl_arena texts; /* of the row: the association may be gone when it is written */
};

/* false: no memory. */
static bool text_keep(struct hl_arena *arena, const char **text)
{
    if (*text == NULL)
        return true;
    *text = hl_arena_strdup(arena, *text);
    return *text != NULL;
}

/* What it borrowed from others than the ingest. */
static bool texts_keep(struct hl_owed_object *object)
{
    struct hl_instance *row = &object->row;
    return text_keep(&object->texts, &row->peer) && text_keep(&object->texts, &row->calling_aet) &&
           text_keep(&object->texts, &row->called_aet) &&
           text_keep(&object->texts, &row->address) &&
           text_keep(&object->texts, &row->default_issuer) &&
           text_keep(&object->texts, &row->remark_text);
}

/* Is another object of that UID on its way, or in the catalogue? Of two at once at least one finds the other: each is listed
 * until its row is written. What cannot be found out counts as known, and takes the long way. */
static bool is_known(struct hl_ingest *ingest)
{
    struct hl_store *store = ingest->store;
    bool is_known = false, is_current = true;
    uint64_t sum = atomic_load(&ingest->uid_sum);
    pthread_mutex_lock(&store->memory_lock);
    for (const struct hl_ingest *other = store->ingests; other != NULL && !is_known;
         other = other->older)
        is_known = other != ingest && atomic_load(&other->uid_sum) == sum;
    pthread_mutex_unlock(&store->memory_lock);
    if (is_known || hl_record_is_current(store->record, ingest->sop_instance, &is_current) != 0)
        return true;
    return is_current;
}

void hl_owed_drop(struct hl_ingest *ingest)
{
    if (ingest->owed == NULL)
        return;
    hl_arena_fini(&ingest->owed->texts);
    free(ingest->owed);
    ingest->owed = NULL;
}

/* In doubt like a row whose transaction failed, but nobody can be told any more: it is tried until it is written. */
static void recorded(struct hl_owed *owed, hilum_rc rc, uint64_t ticket)
{
    struct hl_owed_object *object = (struct hl_owed_object *)owed;
    struct hl_ingest *ingest = object->ingest;
    if (rc != HILUM_OK || object->row.outcome == HL_OUTCOME_EXISTS) {
        hl_log(HL_WARN, "store", "%s is stored, its row has to be written again: %s",
               ingest->sop_instance, rc != HILUM_OK ? hl_error() : "its UID was taken meanwhile");
        hl_health_owe(ingest->store, object, rc != HILUM_OK);
        return;
    }
    hl_unflushed_recorded(ingest->store, ingest->noted, ingest->txn, ticket);
    ingest->txn = NULL;
    hl_ingest_free(ingest); /* and with it the object */
}

void hl_owed_prepare(struct hl_ingest *ingest, const struct hl_instance *row)
{
    if (!ingest->source.may_owe || row->is_held || row->n_plan > 0 || ingest->is_synced ||
        !hl_notes_has(ingest->provider) || atomic_load(&ingest->store->n_owed_failed) > 0 ||
        !hl_record_may_owe(ingest->store->record) || is_known(ingest))
        return;
    struct hl_owed_object *object = calloc(1, sizeof *object);
    if (object == NULL)
        return;
    object->ingest = ingest;
    object->row = *row;
    object->row.plan = NULL; /* it is empty, and on the caller's stack */
    object->owed = (struct hl_owed){.row = &object->row, .recorded = recorded};
    ingest->owed = object;
    if (!texts_keep(object))
        hl_owed_drop(ingest);
}

/* What the row does not need goes at once; what it needs is not borrowed any more. */
static void slim(struct hl_ingest *ingest)
{
    const struct hl_instance *row = &ingest->owed->row;
    if (ingest->charged > 0)
        hl_memory_charge(ingest, 0);
    hl_scan_free(ingest->scan);
    XXH3_freeState(ingest->hash);
    ingest->scan = NULL;
    ingest->hash = NULL;
    ingest->source = (struct hl_ingest_source){.peer = row->peer,
                                               .calling_aet = row->calling_aet,
                                               .called_aet = row->called_aet,
                                               .address = row->address,
                                               .kind = ingest->source.kind};
}

void hl_owed_hand(struct hl_ingest *ingest)
{
    slim(ingest);
    hl_record_owe(ingest->store->record, &ingest->owed->owed);
}

/* ---- again: on the prober's thread ---- */

/* A row, written and flushed, by one of three ways: as it was to be; aside, where its UID was taken; or none, where the
 * same content is there already (*is_wanted false). */
static hilum_rc row_again(struct hl_owed_object *object, bool *is_wanted)
{
    struct hl_instance *row = &object->row;
    struct hl_record *record = object->ingest->store->record;
    *is_wanted = true;
    hilum_rc rc = hl_record_instances(record, &row, 1);
    if (rc != HILUM_OK || row->outcome != HL_OUTCOME_EXISTS)
        return rc;
    rc = hl_duplicate_owed(object->ingest, is_wanted);
    if (rc != HILUM_OK || !*is_wanted)
        return rc;
    row->quarantine_of = object->ingest->sop_instance;
    row->on_known = HL_KNOWN_ASIDE;
    return hl_record_instances(record, &row, 1);
}

bool hl_owed_again(struct hl_owed_object *object)
{
    struct hl_ingest *ingest = object->ingest;
    struct hl_store *store = ingest->store;
    bool has_row = false, is_wanted = true;
    hilum_rc rc = hl_record_health(store->record);
    if (rc == HILUM_OK) /* the transaction that failed may have been written after all */
        rc = hl_record_has_key(store->record, ingest->provider->name, ingest->key, &has_row);
    if (rc == HILUM_OK && !has_row)
        rc = row_again(object, &is_wanted);
    if (rc == HILUM_OK)
        rc = hl_record_flush(store->record);
    /* ENOTFOUND: what had its UID has gone meanwhile */
    if (rc == HILUM_ENOTFOUND || (rc != HILUM_OK && hl_record_may_pass(rc)))
        return false;
    if (rc != HILUM_OK)
        hl_log(HL_ERROR, "store", "%s stays in the log, its row could not be written: %s",
               ingest->key, hl_error());
    else if (is_wanted)
        hl_unflushed_recorded(store, ingest->noted, ingest->txn, 0);
    else
        hl_unflushed_free(store, ingest->noted);
    if (rc != HILUM_OK || is_wanted)
        ingest->txn = NULL; /* else it is aborted with the ingest */
    hl_ingest_free(ingest); /* and with it the object */
    return true;
}

/* The next start finds its note. */
void hl_owed_leave(struct hl_owed_object *object)
{
    struct hl_ingest *ingest = object->ingest;
    ingest->txn = NULL;
    hl_ingest_free(ingest); /* and with it the object */
}
