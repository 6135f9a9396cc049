/* A lost catalogue comes back from the objects, then from the log beside them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/store/store_internal.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/error.h"
#include "core/base/log.h"

enum { BATCH = 64, LINE_MAX_BYTES = 1024 * 1024 };

struct rebuilding {
    struct hl_store *store;
    const struct hl_store_provider *provider;
    hilum_rc (*progress)(void *arg, uint64_t done);
    void *arg;
    struct hl_adopted *batch; /* BATCH of them */
    size_t n;
    uint64_t done, broken, twice;
    struct found *found;
    size_t n_found, cap_found;
    struct hl_arena arena; /* their keys */
};

/* An object of the store. All are known before the first is recorded: of two under one UID the one that came
 * first is the one the lost catalogue had. Price: some 70 bytes an object while it runs. */
struct found {
    const char *key;
    uint64_t length;
    int64_t mtime_ns;
};

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

static hilum_rc object_find(void *arg, const char *key, const struct hilum_object_info *info)
{
    struct rebuilding *rebuilding = arg;
    if (hl_key_is_aside(key))
        return HILUM_OK;
    char *copy = hl_arena_strdup(&rebuilding->arena, key);
    if (!copy || !hl_grow(&rebuilding->found, &rebuilding->cap_found, rebuilding->n_found,
                          sizeof *rebuilding->found))
        return hl_fail(HILUM_ENOMEM, "no memory for the list of objects");
    rebuilding->found[rebuilding->n_found++] = (struct found){copy, info->length, info->mtime_ns};
    return HILUM_OK;
}

/* By the minute of arrival, which the key has; within it by the time of writing. */
static int arrival_order(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    const char *slash = strrchr(x->key, '/');
    size_t n = slash ? (size_t)(slash - x->key) : 0;
    int minute = strncmp(x->key, y->key, n);
    if (minute != 0)
        return minute;
    return x->mtime_ns != y->mtime_ns ? (x->mtime_ns < y->mtime_ns ? -1 : 1)
                                      : strcmp(x->key, y->key);
}

static hilum_rc object_take(struct rebuilding *rebuilding, const char *key, uint64_t length)
{
    struct hl_adopted *next = &rebuilding->batch[rebuilding->n];
    bool has_row = false;
    hilum_rc rc =
        hl_record_has_key(rebuilding->store->record, rebuilding->provider->name, key, &has_row);
    if (rc != HILUM_OK || has_row)
        return rc;
    rc = hl_adopt_read(rebuilding->provider, key, length, next);
    next->row.is_history = true;
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

static hilum_rc objects_take(struct rebuilding *rebuilding)
{
    hilum_rc rc = rebuilding->provider->table->list(rebuilding->provider->instance, "", object_find,
                                                    rebuilding);
    if (rebuilding->n_found > 0)
        qsort(rebuilding->found, rebuilding->n_found, sizeof *rebuilding->found, arrival_order);
    for (size_t i = 0; rc == HILUM_OK && i < rebuilding->n_found; i++)
        rc = object_take(rebuilding, rebuilding->found[i].key, rebuilding->found[i].length);
    hilum_rc last = batch_record(rebuilding);
    free(rebuilding->found);
    rebuilding->found = NULL;
    rebuilding->n_found = rebuilding->cap_found = 0;
    hl_arena_fini(&rebuilding->arena);
    return rc == HILUM_OK ? last : rc;
}

/* ---- the log ---- */

struct log_keys {
    char (*keys)[201];
    size_t n, cap;
};

static hilum_rc key_collect(void *arg, const char *key, const struct hilum_object_info *info)
{
    struct log_keys *keys = arg;
    (void)info;
    if (!hl_grow(&keys->keys, &keys->cap, keys->n, sizeof *keys->keys))
        return hl_fail(HILUM_ENOMEM, "no memory for the log's keys");
    snprintf(keys->keys[keys->n++], 201, "%s", key);
    return HILUM_OK;
}

static int key_order(const void *a, const void *b)
{
    return strcmp(a, b);
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

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

static hilum_rc line_apply(struct rebuilding *rebuilding, const char *key, char *text)
{
    uint64_t got = 0;
    hilum_rc rc = rebuilding->provider->table->read(rebuilding->provider->instance, key, 0, text,
                                                    LINE_MAX_BYTES, &got);
    if (rc != HILUM_OK)
        return rc;
    json_t *line = json_loadb(text, (size_t)got, 0, NULL);
    if (line == NULL)
        rc = hl_fail(HILUM_ECORRUPT, "%s: no JSON line", key);
    else if (strcmp(text_of(line, "verb"), "patient.edit") == 0)
        rc = edit_apply(rebuilding->store->record, line);
    else
        rc = hl_fail(HILUM_EUNSUP, "%s: unknown verb %s", key, text_of(line, "verb"));
    json_decref(line);
    return rc;
}

/* What cannot be applied is said and does not stop the rest. */
static hilum_rc log_apply(struct rebuilding *rebuilding)
{
    struct log_keys keys = {0};
    char *text = malloc(LINE_MAX_BYTES);
    hilum_rc rc = text == NULL ? hl_fail(HILUM_ENOMEM, "no memory")
                               : rebuilding->provider->table->list(rebuilding->provider->instance,
                                                                   HL_LOG_KEYS, key_collect, &keys);
    if (rc == HILUM_OK && keys.n > 0)
        qsort(keys.keys, keys.n, sizeof *keys.keys, key_order);
    for (size_t i = 0; rc == HILUM_OK && i < keys.n; i++) {
        if (line_apply(rebuilding, keys.keys[i], text) != HILUM_OK)
            hl_log(HL_WARN, "store", "rebuild: not restored: %s", hl_error());
    }
    free(keys.keys);
    free(text);
    return rc;
}

hilum_rc hl_store_rebuild(struct hl_store *store, hilum_rc (*progress)(void *arg, uint64_t done),
                          void *arg)
{
    struct rebuilding rebuilding = {.store = store, .progress = progress, .arg = arg};
    rebuilding.batch = calloc(BATCH, sizeof *rebuilding.batch);
    hilum_rc rc =
        rebuilding.batch != NULL ? HILUM_OK : hl_fail(HILUM_ENOMEM, "no memory to rebuild");
    for (size_t i = 0; i < store->n_providers && rc == HILUM_OK; i++) {
        rebuilding.provider = &store->providers[i];
        rc = objects_take(&rebuilding);
        if (rc == HILUM_OK)
            rc = log_apply(&rebuilding);
    }
    hl_log(
        rebuilding.broken > 0 ? HL_WARN : HL_INFO, "store",
        "rebuild: %llu objects, of these %llu under a UID known before; %llu broken ones left out; "
        "peers, quarantine and jobs are not restored",
        (unsigned long long)rebuilding.done, (unsigned long long)rebuilding.twice,
        (unsigned long long)rebuilding.broken);
    free(rebuilding.batch);
    return rc;
}
