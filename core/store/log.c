/* The log beside the objects: what only the catalogue knows, as lines in objects of the default
 * store, so that it is as durable as they are. "log/nNUMBER.lines" holds what changed;
 * "log/nNUMBER.whole" holds everything, and what has a smaller number is erased then. Every
 * object ends with its digest: one cut short by a crash was promised to nobody.
 *
 * Written on the record's writer thread (what changed) and the housekeeper's (everything anew);
 * `log_lock` guards the counts only. The first line of each object names the catalogue and the
 * round of saving, so that a start finds out whether catalogue and log belong together.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/store/compress.h"
#include "core/store/mappings.h"
#include "core/store/store_internal.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/hex.h"
#include "core/base/log.h"

/* It came from a backup: rows of then, objects and log of now. Nothing may overwrite what only the log knows. */
static const char STALE[] =
    "the catalogue is older than the log beside the objects (a backup?): decisions made since are "
    "not in it; stop the "
    "server, move catalog.db* away, start it and run `hilum archive rebuild`";
/* 256 bytes hold the first line. Writing anew is due at 8 MiB of changes or as much as
 * everything is, at 500 objects that are an eighth of that, or at 4000 however small, since a
 * start lists them all. */
enum { FIRST_BYTES = 256, MANY_OBJECTS = 500 };
#define LITTLE_BYTES ((uint64_t)8 * 1024 * 1024)

/* ---- which are there ------------------------------------------------------------------------------------------ */

static hilum_rc key_note(void *arg, const char *key, const struct hilum_object_info *info)
{
    struct hl_log_keys *keys = arg;
    struct hl_log_key *item = NULL;
    if (strncmp(key, HL_LOG_KEYS, strlen(HL_LOG_KEYS)) != 0)
        return HILUM_OK;
    if (!hl_grow(&keys->items, &keys->cap, keys->n, sizeof *keys->items))
        return hl_fail(HILUM_ENOMEM, "no memory for the log's keys");
    item = &keys->items[keys->n++];
    *item = (struct hl_log_key){.provider = keys->provider, .length = info ? info->length : 0};
    snprintf(item->key, sizeof item->key, "%s", key);
    const char *name = key + strlen(HL_LOG_KEYS);
    if (*name == 'n')
        item->number = strtoull(name + 1, NULL, 10);
    item->is_whole = strstr(name, ".whole") != NULL;
    return HILUM_OK;
}

/* By number: the order of writing. Those of an earlier Hilum (number 0) come first. */
static int key_order(const void *a, const void *b)
{
    const struct hl_log_key *x = a, *y = b;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return strcmp(x->key, y->key);
}

hilum_rc hl_log_list(struct hl_store *store, struct hl_log_keys *out)
{
    *out = (struct hl_log_keys){0};
    hilum_rc rc = HILUM_OK;
    for (size_t i = 0; i < store->n_providers && rc == HILUM_OK; i++) {
        out->provider = &store->providers[i];
        rc = out->provider->table->list(out->provider->instance, HL_LOG_KEYS, key_note, out);
    }
    if (out->n > 0)
        qsort(out->items, out->n, sizeof *out->items, key_order);
    return rc;
}

/* What the next number is, and how much there is; only once, with nobody else about or with the lock held. */
static void log_count(struct hl_store *store, const struct hl_log_keys *keys)
{
    store->log_next = 1;
    for (size_t i = 0; i < keys->n; i++) {
        store->log_next = keys->items[i].number + 1;
        store->has_whole = store->has_whole || keys->items[i].is_whole;
        store->log_objects++;
        store->log_bytes += keys->items[i].length;
    }
}

/* ---- writing one object ------------------------------------------------------------------------------------- */

struct writing {
    const struct hl_store_provider *provider;
    void *txn;
    XXH3_state_t *hash;
    uint64_t bytes;
};

static hilum_rc writing_add(void *arg, const char *lines, size_t n)
{
    struct writing *writing = arg;
    const struct hl_store_provider *provider = writing->provider;
    XXH3_128bits_update(writing->hash, lines, n);
    writing->bytes += n;
    return provider->table->append(provider->instance, writing->txn, lines, n);
}

/* `round`: of the saving this belongs to. */
static hilum_rc writing_begin(struct hl_store *store, const char *key, int64_t round,
                              struct writing *writing)
{
    char head[96];
    *writing = (struct writing){.provider = &store->providers[0], .hash = XXH3_createState()};
    const struct hl_store_provider *provider = writing->provider;
    if (writing->hash == NULL)
        return hl_fail(HILUM_ENOMEM, "no memory for the log");
    XXH3_128bits_reset(writing->hash);
    hilum_rc rc = provider->table->begin(provider->instance, key, 0, &writing->txn);
    snprintf(head, sizeof head, "{\"f\":9,\"c\":\"%s\",\"g\":%lld}\n",
             hl_record_catalogue(store->record), (long long)round);
    return rc == HILUM_OK ? writing_add(writing, head, strlen(head)) : rc;
}

/* Durable, or not there. The digest's line is appended last and synced with all before it: an
 * object that ends with its own digest was durable when its writer went on. */
static hilum_rc writing_end(struct writing *writing, hilum_rc rc)
{
    const struct hl_store_provider *provider = writing->provider;
    const struct hilum_store *table = provider->table;
    uint8_t digest[16];
    char end[96] = "", hex[33];
    if (rc == HILUM_OK) {
        hl_digest_final(writing->hash, digest);
        hl_hex(digest, sizeof digest, hex);
        snprintf(end, sizeof end, HL_LOG_END "%" PRIu64 ",\"d\":\"%s\"}\n", writing->bytes, hex);
        rc = table->append(provider->instance, writing->txn, end, strlen(end));
    }
    if (rc == HILUM_OK)
        rc = table->sync(provider->instance, &writing->txn, 1);
    XXH3_freeState(writing->hash);
    if (rc == HILUM_OK) {
        if (table->commit(provider->instance, writing->txn) != HILUM_OK) /* durable all the same */
            hl_log(HL_WARN, "store", "a log object stays pending: %s", hl_error());
    } else if (writing->txn != NULL)
        table->abort(provider->instance, writing->txn);
    return rc;
}

/* Numbers ascend for ever; one that was taken and not written leaves a gap, which is no harm.
 * The lock is held over the listing: two numbers from two listings could be the same. */
static hilum_rc number_take(struct hl_store *store, uint64_t *number)
{
    hilum_rc rc = HILUM_OK;
    pthread_mutex_lock(&store->log_lock);
    if (store->log_next ==
        0) { /* it could not be listed at the start: a number below the last would count for nothing */
        struct hl_log_keys keys;
        rc = hl_log_list(store, &keys);
        if (rc == HILUM_OK)
            log_count(store, &keys);
        free(keys.items);
    }
    *number = rc == HILUM_OK ? store->log_next++ : 0;
    pthread_mutex_unlock(&store->log_lock);
    return rc;
}

/* Of the record's writer: what changed. Durable on return (hl_saver): for decisions of people
 * the record waits for it before it answers. */
static hilum_rc lines_write(void *arg, const char *lines, size_t n)
{
    struct hl_store *store = arg;
    struct writing writing;
    char key[64];
    uint64_t number = 0;
    hilum_rc rc = number_take(store, &number);
    if (rc != HILUM_OK)
        return rc;
    snprintf(key, sizeof key, HL_LOG_KEYS "n%015" PRIu64 ".lines", number);
    rc = writing_begin(store, key, hl_record_save_round(store->record) + 1, &writing);
    if (rc == HILUM_OK && n > 0)
        rc = writing_add(&writing, lines, n);
    rc = writing_end(&writing, rc);
    pthread_mutex_lock(&store->log_lock);
    store->log_objects++;
    store->log_bytes += n;
    pthread_mutex_unlock(&store->log_lock);
    return rc;
}

/* ---- everything anew ------------------------------------------------------------------------------------------ */

/* The oldest first: a line that says that something is gone outlives the line that says it is
 * there. A failure leaves more than is needed, which the next whole one erases. */
static void older_erase(struct hl_store *store, uint64_t number)
{
    struct hl_log_keys keys;
    hilum_rc rc = hl_log_list(store, &keys);
    for (size_t i = 0; i < keys.n && rc == HILUM_OK && keys.items[i].number < number; i++) {
        const struct hl_store_provider *provider = keys.items[i].provider;
        rc = provider->table->erase(provider->instance, keys.items[i].key);
        rc = rc == HILUM_ENOTFOUND ? HILUM_OK : rc;
    }
    if (rc != HILUM_OK)
        hl_log(HL_WARN, "store", "the log beside the objects keeps old parts: %s", hl_error());
    free(keys.items);
}

/* The new one is durable before an old one goes: a crash in between leaves more than is needed. */
hilum_rc hl_log_whole(struct hl_store *store)
{
    struct writing writing;
    char key[64];
    uint64_t number = 0;
    hilum_rc rc = number_take(store, &number);
    if (rc != HILUM_OK)
        return rc;
    snprintf(key, sizeof key, HL_LOG_KEYS "n%015" PRIu64 ".whole", number);
    rc = writing_begin(store, key, hl_record_save_round(store->record), &writing);
    if (rc == HILUM_OK)
        rc = hl_record_save_all(store->record, writing_add, &writing);
    rc = writing_end(&writing, rc);
    if (rc != HILUM_OK)
        return rc;
    pthread_mutex_lock(&store->log_lock);
    store->log_objects = 0;
    store->log_bytes = 0;
    store->log_whole_bytes = writing.bytes;
    store->has_whole = true;
    pthread_mutex_unlock(&store->log_lock);
    older_erase(store, number);
    return HILUM_OK;
}

/* Writing everything costs no more than what was written since, twice. */
hilum_rc hl_store_tidy(struct hl_store *store)
{
    hl_mappings_age(store->mappings);
    hilum_rc counted = hl_compress_flush(store);
    if (counted != HILUM_OK)
        return counted;
    pthread_mutex_lock(&store->log_lock);
    uint64_t enough = store->log_whole_bytes > LITTLE_BYTES ? store->log_whole_bytes : LITTLE_BYTES;
    bool is_due = !store->has_whole || store->log_bytes > enough ||
                  (store->log_objects > MANY_OBJECTS && store->log_bytes > enough / 8) ||
                  store->log_objects / 8 > MANY_OBJECTS;
    pthread_mutex_unlock(&store->log_lock);
    if (!is_due || store->is_stale || hl_record_is_restoring(store->record) ||
        hl_health_medium(store, &store->providers[0]) != HILUM_OK)
        return HILUM_OK;
    return hl_log_whole(store);
}

/* ---- at start -------------------------------------------------------------------------------------------------- */

/* A key that is pending needs no row to be wanted. */
static hilum_rc pending_finish(struct hl_store *store)
{
    struct hl_log_keys keys = {0};
    hilum_rc rc = HILUM_OK;
    for (size_t i = 0; i < store->n_providers && rc == HILUM_OK; i++) {
        keys.provider = &store->providers[i];
        rc = keys.provider->table->pending(keys.provider->instance, key_note, &keys);
    }
    for (size_t i = 0; i < keys.n && rc == HILUM_OK; i++) {
        const struct hl_store_provider *provider = keys.items[i].provider;
        rc = provider->table->finish(provider->instance, keys.items[i].key, true);
    }
    free(keys.items);
    return rc;
}

/* Is the catalogue the one that wrote it? *is_newer: yes, but when it was younger than it is
 * now. What cannot be read is taken for ours: a sick disk must not start a rebuild. */
static bool is_ours(struct hl_store *store, const struct hl_log_key *key, bool *is_newer)
{
    char first[FIRST_BYTES + 1] = "";
    uint64_t got = 0;
    if (key->provider->table->read(key->provider->instance, key->key, 0, first, FIRST_BYTES,
                                   &got) != HILUM_OK)
        return true;
    first[got] = '\0';
    first[strcspn(first, "\n")] = '\0';
    json_t *line = json_loads(first, 0, NULL);
    const char *catalogue = json_string_value(json_object_get(line, "c"));
    bool is = catalogue == NULL || strcmp(catalogue, hl_record_catalogue(store->record)) == 0;
    *is_newer = is && json_integer_value(json_object_get(line, "g")) >
                          hl_record_save_round(store->record) + 1;
    json_decref(line);
    return is;
}

static hilum_rc object_seen(void *arg, const char *key, const struct hilum_object_info *info)
{
    (void)info;
    *(bool *)arg = !hl_key_is_aside(key);
    return *(bool *)arg ? HILUM_ECANCELLED : HILUM_OK;
}

/* Of instances, named or pending, in any store. */
static bool has_objects(struct hl_store *store)
{
    bool has = false;
    for (size_t i = 0; i < store->n_providers && !has; i++) {
        const struct hl_store_provider *provider = &store->providers[i];
        (void)provider->table->list(provider->instance, "", object_seen, &has);
        if (!has)
            (void)provider->table->pending(provider->instance, object_seen, &has);
    }
    return has;
}

/* The log is another catalogue's, or there are objects and neither rows nor a log. */
static bool is_lost(struct hl_store *store, const struct hl_log_key *newest)
{
    bool is_empty = false;
    if (newest != NULL && newest->number > 0)
        return !is_ours(store, newest, &store->is_stale);
    return hl_record_is_empty(store->record, &is_empty) == HILUM_OK && is_empty &&
           has_objects(store);
}

/* An empty log object is written for a new catalogue at once: its loss must be told from a
 * first start. The saver is registered last, also after a failure: what is decided from now on
 * has to be written as soon as the medium is well. */
hilum_rc hl_log_open(struct hl_store *store)
{
    const struct hl_saver saver = {
        .arg = store, .write = lines_write, .oldest_us = hl_ingest_oldest};
    struct hl_log_keys keys = {0};
    hilum_rc rc = pending_finish(store);
    hilum_rc listed = hl_log_list(store, &keys);
    if (listed == HILUM_OK)
        log_count(store, &keys);
    bool has_log = keys.n > 0 && keys.items[keys.n - 1].number > 0;
    if (listed == HILUM_OK && is_lost(store, keys.n > 0 ? &keys.items[keys.n - 1] : NULL))
        listed = hl_record_restore_begin(store->record);
    else if (rc == HILUM_OK && listed == HILUM_OK && !has_log)
        rc = lines_write(store, "", 0); /* so that its loss is noticed before the first decision */
    if (rc == HILUM_OK)
        rc = listed;
    free(keys.items);
    if (store->is_stale)
        hl_log(HL_ERROR, "store", "%s", STALE);
    hl_record_on_save(store->record, &saver);
    return rc;
}

hilum_rc hl_store_log_health(struct hl_store *store)
{
    return store->is_stale ? hl_fail(HILUM_ECONFLICT, "%s", STALE)
                           : hl_record_save_health(store->record);
}
