/* A lost catalogue comes back from the objects, then from the log beside them.
 *
 * One at a time, on the thread of the command, beside a server that receives. May be cut short
 * and run again: objects with a row are skipped, and the end is noted only when all of it is
 * done.
 *
 * The order: the log's lines are read first, as they hold what the objects do not know
 * (corrections, holds, who sent what); then persons, so that objects find them; then the
 * objects; then what refers to objects. The record keeps lines that wait for their object.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/store/store_internal.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/arena.h"
#include "core/base/error.h"
#include "core/base/log.h"

/* A flush for 64 objects. LINE_MAX_BYTES: of an earlier Hilum's lines, one an object. */
enum { BATCH = 64, LINE_MAX_BYTES = 1024 * 1024 };
#define MINUTE_US (60 * INT64_C(1000000))

struct rebuilding {
    struct hl_store *store;
    const struct hl_store_provider *provider;
    hilum_rc (*progress)(void *arg, uint64_t done);
    void *arg;
    struct hl_adopted *batch; /* BATCH of them */
    size_t n;
    uint64_t done, broken, twice;
    int64_t until_us; /* events of what began to arrive before are handled */
    struct found *found;
    size_t n_found, cap_found;
    struct hl_arena arena; /* their keys */
};

/* An object of the store. All are known before the first is recorded: of two under one UID the one that came
 * first is the one the lost catalogue had. Price: some 70 bytes an object while it runs. */
struct found {
    const char *key;
    uint64_t length;
    int64_t received_us;
};

/* BATCH rows in one transaction: a flush per object would take days. */
static hilum_rc batch_record(struct rebuilding *rebuilding)
{
    struct hl_instance *rows[BATCH];
    for (size_t i = 0; i < rebuilding->n; i++)
        rows[i] = &rebuilding->batch[i].row;
    hilum_rc rc = rebuilding->n > 0
                      ? hl_record_instances(rebuilding->store->record, rows, rebuilding->n)
                      : HILUM_OK;
    for (size_t i = 0; i < rebuilding->n; i++) {
        /* cppcheck-suppress uninitvar ; rows[0..n) were filled above */
        rebuilding->twice += rc == HILUM_OK && rows[i]->outcome == HL_OUTCOME_EXISTS;
        hl_adopt_fini(&rebuilding->batch[i]);
    }
    rebuilding->done += rebuilding->n;
    rebuilding->n = 0;
    if (rc == HILUM_OK && rebuilding->progress != NULL)
        rc = rebuilding->progress(rebuilding->arg, rebuilding->done);
    return rc;
}

/* As the log says, or the key; for keys of an earlier Hilum when the file was written, unless
 * the store wrote it again later (a log cut into files). The order of arrival decides which of
 * two objects under one UID is the one that counts, so a wrong time must not come from a copy
 * of the store: the time of a file is used within the minute of its key only. */
static hilum_rc received_find(struct rebuilding *rebuilding, struct found *found, int64_t mtime_us)
{
    hilum_rc rc = hl_record_restore_received(rebuilding->store->record, rebuilding->provider->name,
                                             found->key, &found->received_us);
    int64_t minute = 0, began_us = 0;
    hl_key_time(found->key, &minute, &began_us);
    if (rc != HILUM_OK || found->received_us != 0)
        return rc;
    if (began_us != 0)
        mtime_us = began_us;
    found->received_us = mtime_us;
    if (minute > 0 && mtime_us > minute + MINUTE_US)
        found->received_us = minute + MINUTE_US;
    if (mtime_us < minute)
        found->received_us = minute;
    return HILUM_OK;
}

static hilum_rc object_find(void *arg, const char *key, const struct hilum_object_info *info)
{
    struct rebuilding *rebuilding = arg;
    if (hl_key_is_aside(key))
        return HILUM_OK;
    char *copy = hl_arena_strdup(&rebuilding->arena, key);
    if (!copy || !hl_grow(&rebuilding->found, &rebuilding->cap_found, rebuilding->n_found,
                          sizeof *rebuilding->found))
        return hl_fail(HILUM_ENOMEM, "no memory for the list of objects");
    struct found *found = &rebuilding->found[rebuilding->n_found++];
    *found = (struct found){.key = copy, .length = info->length};
    return received_find(rebuilding, found, info->mtime_ns / 1000);
}

/* By time, then by key, so that two runs agree. */
static int arrival_order(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    if (x->received_us != y->received_us)
        return x->received_us < y->received_us ? -1 : 1;
    return strcmp(x->key, y->key);
}

/* What began to arrive in a minute that was over by then is known to rules. */
static bool is_handled(const struct rebuilding *rebuilding, const char *key)
{
    int64_t minute = 0, began_us = 0;
    hl_key_time(key, &minute, &began_us);
    return minute == 0 || rebuilding->until_us == INT64_MAX ||
           minute + MINUTE_US <= rebuilding->until_us;
}

/* A broken object is left out and told; fsck sets it aside. */
static hilum_rc object_take(struct rebuilding *rebuilding, const struct found *found)
{
    const char *key = found->key;
    struct hl_adopted *next = &rebuilding->batch[rebuilding->n];
    bool has_row = false;
    hilum_rc rc =
        hl_record_has_key(rebuilding->store->record, rebuilding->provider->name, key, &has_row);
    if (rc != HILUM_OK || has_row)
        return rc;
    rc = hl_adopt_read(rebuilding->provider, key, found->length, next);
    next->row.is_restored = true;
    next->row.is_history = is_handled(rebuilding, key);
    next->row.received_us = found->received_us;
    if (rc == HILUM_OK)
        rebuilding->n++;
    else
        hl_adopt_fini(next);
    if (rc == HILUM_ECORRUPT) {
        hl_log(HL_WARN, "store", "rebuild: %s", hl_error());
        rebuilding->broken++;
        rc = HILUM_OK;
    }
    return rc == HILUM_OK && rebuilding->n == BATCH ? batch_record(rebuilding) : rc;
}

/* All keys of a store first, then in order of arrival. */
static hilum_rc objects_take(struct rebuilding *rebuilding)
{
    hilum_rc rc = rebuilding->provider->table->list(rebuilding->provider->instance, "", object_find,
                                                    rebuilding);
    if (rebuilding->n_found > 0)
        qsort(rebuilding->found, rebuilding->n_found, sizeof *rebuilding->found, arrival_order);
    for (size_t i = 0; rc == HILUM_OK && i < rebuilding->n_found; i++)
        rc = object_take(rebuilding, &rebuilding->found[i]);
    hilum_rc last = batch_record(rebuilding);
    free(rebuilding->found);
    rebuilding->found = NULL;
    rebuilding->n_found = rebuilding->cap_found = 0;
    hl_arena_fini(&rebuilding->arena);
    return rc == HILUM_OK ? last : rc;
}

/* ---- lines of an earlier Hilum: one an object, corrections only ---- */

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

/* A correction as an earlier Hilum wrote it: {"changes": {"00100010": "..."}}. */
static hilum_rc edit_apply(struct hl_record *record, const json_t *line)
{
    struct hl_attrs changes = {0};
    const char *tag = NULL;
    json_t *value = NULL;
    hilum_rc rc = HILUM_OK;
    json_t *object = json_object_get(line, "changes");
    json_object_foreach(object, tag, value)
    {
        if (rc == HILUM_OK && json_is_string(value))
            rc = hl_attrs_set(&changes, (uint32_t)strtoul(tag, NULL, 16), json_string_value(value));
    }
    if (rc == HILUM_OK)
        rc = hl_record_edit_patient(record, text_of(line, "patient_id"), text_of(line, "issuer"),
                                    &changes, text_of(line, "who"), text_of(line, "why"));
    hl_attrs_fini(&changes);
    return rc;
}

static hilum_rc line_apply(struct hl_record *record, const struct hl_log_key *key, char *text)
{
    uint64_t got = 0;
    hilum_rc rc = key->provider->table->read(key->provider->instance, key->key, 0, text,
                                             LINE_MAX_BYTES, &got);
    if (rc != HILUM_OK)
        return rc;
    json_t *line = json_loadb(text, (size_t)got, 0, NULL);
    if (line == NULL)
        rc = hl_fail(HILUM_ECORRUPT, "%s: no JSON line", key->key);
    else if (strcmp(text_of(line, "verb"), "patient.edit") == 0)
        rc = edit_apply(record, line);
    else
        rc = hl_fail(HILUM_EUNSUP, "%s: unknown verb %s", key->key, text_of(line, "verb"));
    json_decref(line);
    return rc;
}

/* What cannot be applied is said and does not stop the rest. */
static hilum_rc old_lines_apply(struct hl_store *store, const struct hl_log_keys *keys)
{
    char *text = malloc(LINE_MAX_BYTES);
    if (text == NULL)
        return hl_fail(HILUM_ENOMEM, "no memory");
    for (size_t i = 0; i < keys->n && keys->items[i].number == 0; i++) {
        if (line_apply(store->record, &keys->items[i], text) != HILUM_OK)
            hl_log(HL_WARN, "store", "rebuild: not restored: %s", hl_error());
    }
    free(text);
    return HILUM_OK;
}

/* ---- the whole ---- */

static hilum_rc all_objects_take(struct rebuilding *rebuilding)
{
    hilum_rc rc = hl_record_restore_until(rebuilding->store->record, &rebuilding->until_us);
    for (size_t i = 0; i < rebuilding->store->n_providers && rc == HILUM_OK; i++) {
        rebuilding->provider = &rebuilding->store->providers[i];
        rc = objects_take(rebuilding);
    }
    return rc;
}

/* The log is written anew before the end is noted: from then on it is this catalogue's. Every
 * step may be done twice: what is there stays. So a crash anywhere is mended by running it
 * again. */
static hilum_rc rebuild(struct rebuilding *rebuilding)
{
    struct hl_store *store = rebuilding->store;
    struct hl_log_keys keys = {0};
    bool has_whole = false;
    hilum_rc rc = hl_record_restore_begin(store->record);
    if (rc == HILUM_OK)
        rc = hl_log_list(store, &keys);
    if (rc == HILUM_OK)
        rc = hl_log_put(store, &keys, &has_whole);
    if (rc == HILUM_OK)
        rc = hl_record_restore_persons(store->record);
    if (rc == HILUM_OK)
        rc = all_objects_take(rebuilding);
    if (rc == HILUM_OK)
        rc = hl_record_restore_rest(store->record);
    if (rc == HILUM_OK && has_whole)
        rc = hl_log_whole(store);
    if (rc == HILUM_OK)
        rc = hl_record_restore_end(store->record);
    if (rc == HILUM_OK && !has_whole) { /* decisions are verbs there: possible only now */
        rc = old_lines_apply(store, &keys);
        if (rc == HILUM_OK)
            rc = hl_log_whole(store);
    }
    free(keys.items);
    return rc;
}

hilum_rc hl_store_rebuild(struct hl_store *store, hilum_rc (*progress)(void *arg, uint64_t done),
                          void *arg)
{
    struct rebuilding rebuilding = {.store = store, .progress = progress, .arg = arg};
    if (atomic_exchange(&store->is_rebuilding, true))
        return hl_fail(HILUM_EAGAIN, "archive rebuild: it runs already");
    rebuilding.batch = calloc(BATCH, sizeof *rebuilding.batch);
    hilum_rc rc = rebuilding.batch != NULL ? rebuild(&rebuilding)
                                           : hl_fail(HILUM_ENOMEM, "no memory to rebuild");
    hl_log(
        rebuilding.broken > 0 ? HL_WARN : HL_INFO, "store",
        "rebuild: %llu objects, of these %llu under a UID known before; %llu broken ones left out",
        (unsigned long long)rebuilding.done, (unsigned long long)rebuilding.twice,
        (unsigned long long)rebuilding.broken);
    free(rebuilding.batch);
    atomic_store(&store->is_rebuilding, false);
    return rc;
}
