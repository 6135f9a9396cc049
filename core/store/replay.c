/* After a power loss or a crash: objects whose rows were recorded but not flushed, or still owed, get them from
 * their notes in the store's log.
 *
 * At start, before anything is accepted; one store at a time. An object is kept if its bytes are
 * what the note says; then its row is recorded again, in the old order, and flushed before the
 * log may forget the note.
 *
 * Where it stands in the start: the store lists its pending keys, and settle_one (store.c)
 * gives each one without a row to hl_replay_take. Those with a note are judged together in
 * hl_replay_run, because their order matters; those without are erased at once.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/store/store_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/store/note.h"

/* char key[201]: as the contract of stores bounds it (hilum/store.h). */
struct item {
    char key[201];
    int64_t time;
    int32_t keep; /* -1: undecided, stays pending */
};

struct hl_replay {
    struct hl_store *store;
    const struct hl_store_provider *provider;
    struct item *items;
    size_t n, cap;
    int64_t
        mark; /* notes up to then are spent: their rows were flushed, and perhaps erased since */
    uint64_t recorded;
};

static hilum_rc note_get(const struct hl_store_provider *provider, const char *key,
                         struct hl_note *note)
{
    uint8_t bytes[HL_NOTE_BYTES_MAX];
    uint64_t got = 0;
    *note = (struct hl_note){0};
    hilum_rc rc = provider->table->note_read(provider->instance, key, bytes, sizeof bytes, &got);
    return rc == HILUM_OK ? hl_note_read(bytes, (size_t)got, note) : rc;
}

/* 0: nothing was ever marked. */
static int64_t mark_get(struct hl_store *store)
{
    struct hl_buf value = {0};
    hilum_rc rc = hl_record_kv_get(store->record, HL_MARK_SPACE, HL_MARK_NAME, &value);
    int64_t mark = rc == HILUM_OK ? strtoll(hl_buf_str(&value), NULL, 10) : 0;
    hl_buf_fini(&value);
    return mark;
}

/* NULL: no memory. */
struct hl_replay *hl_replay_new(struct hl_store *store, const struct hl_store_provider *provider)
{
    struct hl_replay *replay = calloc(1, sizeof *replay);
    if (replay == NULL)
        return NULL;
    *replay = (struct hl_replay){.store = store, .provider = provider, .mark = mark_get(store)};
    if (replay->mark > store->note_time)
        store->note_time = store->marked_time = replay->mark;
    return replay;
}

/* false: no note, a spent one, or one that cannot be read. The note is read twice, here for
 * its time only: 4 KiB of each of 100000 pending objects would be 400 MB. */
bool hl_replay_take(struct hl_replay *replay, const char *key)
{
    struct hl_note *note = malloc(sizeof *note);
    bool is_taken = false;
    if (note != NULL && hl_notes_has(replay->provider) &&
        note_get(replay->provider, key, note) == HILUM_OK && note->row.received_us > replay->mark &&
        hl_grow(&replay->items, &replay->cap, replay->n, sizeof *replay->items)) {
        struct item *item = &replay->items[replay->n++];
        *item = (struct item){.time = note->row.received_us, .keep = -1};
        snprintf(item->key, sizeof item->key, "%s", key);
        is_taken = true;
    }
    if (note != NULL)
        hl_note_fini(note);
    free(note);
    return is_taken;
}

static int item_order(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    return (x->time > y->time) - (x->time < y->time);
}

/* A crash before the flush leaves bytes that are not the object's: nobody was told of it. What
 * the note says is not believed without this: the object's bytes and its note may lie in
 * different blocks of a torn write. */
static bool is_whole(const struct hl_replay *replay, const struct hl_instance *row)
{
    uint8_t digest[16];
    const struct hl_location *at = &row->location;
    return at->length >= at->dataset_offset &&
           hl_digest_object(replay->provider, at->key, at->dataset_offset,
                            at->length - at->dataset_offset, digest) == HILUM_OK &&
           memcmp(digest, at->digest_stored, sizeof digest) == 0;
}

/* A UID that is known already is a row that was flushed after all, or a resend: the second
 * object goes. */
static hilum_rc item_record(struct hl_replay *replay, struct item *item, struct hl_note *note)
{
    struct hl_instance *row = &note->row;
    uint64_t ticket = 0;
    hilum_rc rc = note_get(replay->provider, item->key, note);
    if (rc != HILUM_OK)
        return rc;
    snprintf(row->location.store, sizeof row->location.store, "%s", replay->provider->name);
    snprintf(row->location.key, sizeof row->location.key, "%s", item->key);
    item->keep = 0;
    if (!is_whole(replay, row))
        return HILUM_OK;
    item->keep = -1;
    rc = hl_record_instances_logged(replay->store->record, &row, 1, &ticket);
    if (rc == HILUM_OK)
        item->keep = row->outcome != HL_OUTCOME_EXISTS;
    replay->recorded += rc == HILUM_OK && item->keep;
    return rc;
}

/* In order of arrival, so that of two with one UID the first is first again. What the record refuses for a reason of its
 * own stays in the log, for people to see. */
static hilum_rc items_record(struct hl_replay *replay)
{
    struct hl_note *note = malloc(sizeof *note);
    hilum_rc rc = note != NULL ? HILUM_OK : hl_fail(HILUM_ENOMEM, "no memory to replay");
    for (size_t i = 0; i < replay->n && rc == HILUM_OK; i++) {
        rc = item_record(replay, &replay->items[i], note);
        if (rc == HILUM_EINVAL || rc == HILUM_ECONFLICT || rc == HILUM_ECORRUPT) {
            hl_log(HL_ERROR, "store",
                   "%s stays in the log, its row could not be recorded again: %s",
                   replay->items[i].key, hl_error());
            rc = HILUM_OK;
        }
        hl_note_fini(note);
    }
    free(note);
    return rc;
}

/* Nothing is named or erased before all rows are flushed. */
hilum_rc hl_replay_run(struct hl_replay *replay, uint64_t *kept, uint64_t *erased)
{
    const struct hl_store_provider *provider = replay->provider;
    if (replay->n == 0)
        return HILUM_OK;
    qsort(replay->items, replay->n, sizeof *replay->items, item_order);
    hilum_rc rc = items_record(replay);
    if (rc == HILUM_OK)
        rc = hl_record_flush(replay->store->record);
    for (size_t i = 0; i < replay->n && rc == HILUM_OK; i++) {
        const struct item *item = &replay->items[i];
        if (item->keep >= 0)
            rc = provider->table->finish(provider->instance, item->key, item->keep);
        *kept += item->keep == 1;
        *erased += item->keep == 0;
    }
    if (replay->recorded > 0)
        hl_log(HL_INFO, "store", "%s: %llu rows recorded again from the log", provider->name,
               (unsigned long long)replay->recorded);
    return rc;
}

void hl_replay_free(struct hl_replay *replay)
{
    if (replay != NULL)
        free(replay->items);
    free(replay);
}
