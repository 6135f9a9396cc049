/* The store opens, settles what an earlier process left, tells how it is, and closes.
 *
 * Order at start: threads, the log beside the objects (is the catalogue the right one?), then
 * pending objects of each store. A store whose medium fails is sick from the start and does not
 * keep the others from opening.
 *
 * How the folder works together. On the way in ingest.c leads and asks the others in this order:
 * rules.c and choose.c (what a site's rules want of the object), scan*.c (bytes become elements),
 * header.c (elements become text), derive.c, rewrite.c and compress.c (what is changed before it
 * is kept), unflushed.c and commit.c (noted, durable, recorded, answered), duplicate.c (its UID
 * was known). refuse.c makes an answer of every failure; health.c keeps objects from a store that
 * cannot take them.
 *
 * On the way out outgoing*.c lead: overlay.c and splice.c lay corrections over the header,
 * recode*.c, unpack.c and pack.c make another syntax of it, frames.c and frame_map.c find
 * single frames. Beside both, what makes a crash or a lost catalogue harmless: replay.c,
 * log*.c, rebuild.c, adopt.c, fsck.c, verified.c.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/store/store_internal.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/store/mappings.h"

struct settling {
    struct hl_store *store;
    const struct hl_store_provider *provider;
    struct hl_replay *replay;
    uint64_t kept, erased;
};

/* A row exists: the sender was told success, or will find it by a resend. None, and no note in the log that tells what the row
 * was to say: nobody was told, unless the catalogue was lost: then every one may have been promised, and a rebuild looks at it. */
static hilum_rc settle_one(void *arg, const char *key, const struct hilum_object_info *info)
{
    struct settling *settling = arg;
    const struct hl_store_provider *provider = settling->provider;
    bool has_row = false;
    (void)info;
    hilum_rc rc = hl_record_has_key(settling->store->record, provider->name, key, &has_row);
    has_row = has_row || (hl_record_is_restoring(settling->store->record) &&
                          strncmp(key, HL_PROBE_KEYS, strlen(HL_PROBE_KEYS)) != 0);
    if (rc == HILUM_OK && !has_row && hl_replay_take(settling->replay, key))
        return rc;
    if (rc == HILUM_OK)
        rc = provider->table->finish(provider->instance, key, has_row);
    if (rc == HILUM_OK && has_row)
        settling->kept++;
    else if (rc == HILUM_OK)
        settling->erased++;
    return rc;
}

/* Rows that the log alone knows are recorded again before the last object is judged. */
static hilum_rc settle_provider(struct hl_store *store, const struct hl_store_provider *provider)
{
    struct settling settling = {
        .store = store, .provider = provider, .replay = hl_replay_new(store, provider)};
    if (settling.replay == NULL)
        return hl_fail(HILUM_ENOMEM, "store: no memory");
    hilum_rc rc = provider->table->pending(provider->instance, settle_one, &settling);
    if (rc == HILUM_OK)
        rc = hl_replay_run(settling.replay, &settling.kept, &settling.erased);
    if (settling.kept + settling.erased > 0)
        hl_log(HL_INFO, "store", "%s: %llu pending objects kept, %llu without a row erased",
               provider->name, (unsigned long long)settling.kept,
               (unsigned long long)settling.erased);
    hl_replay_free(settling.replay);
    return rc;
}

/* Per store, so that one whose disk is gone does not keep the others' objects pending; any
 * other failure (the record's, memory) ends the start. */
static hilum_rc settle(struct hl_store *store)
{
    hilum_rc rc = HILUM_OK;
    for (size_t i = 0; i < store->n_providers && rc == HILUM_OK; i++) {
        rc = settle_provider(store, &store->providers[i]);
        if (rc == HILUM_EDENIED || rc == HILUM_EFULL || rc == HILUM_EIO) {
            hl_health_fail(store, &store->providers[i],
                           rc); /* reads go on; what is pending stays so */
            rc = HILUM_OK;
        }
    }
    return rc;
}

hilum_rc hl_store_open(const struct hl_store_provider *stores, size_t n, struct hl_record *record,
                       struct hl_bus *bus, const struct hl_store_options *options,
                       struct hl_store **out)
{
    if (n == 0 || n > HL_PROVIDERS_MAX)
        return hl_fail(HILUM_EINVAL,
                       "store: %zu stores, expected 1 to %d: name one under `plugins`", n,
                       HL_PROVIDERS_MAX);
    struct hl_store *store = calloc(1, sizeof *store);
    if (store == NULL)
        return hl_fail(HILUM_ENOMEM, "store: no memory");
    /* Copied, since committers and readers compare providers by address for the life of the
     * store. */
    memcpy(store->providers, stores, n * sizeof *stores);
    store->n_providers = n;
    store->record = record;
    store->bus = bus;
    store->options = *options;
    store->spool.dir = options->spool_dir;
    hl_store_set_limits(store, &options->limits);
    atomic_init(&store->duplicates_policy, (unsigned)options->duplicates);
    pthread_mutex_init(&store->holds_lock, NULL);
    store->verified = hl_verified_new();
    pthread_mutex_init(&store->compress_lock, NULL);
    pthread_mutex_init(&store->log_lock, NULL);
    /* Locks and threads of all parts are made before anything may fail for good:
     * hl_store_close takes every part down and cannot tell which of them had been opened.
     * unflushed goes first, as the replay in settle() records rows whose flush it must hear
     * of. */
    hl_unflushed_open(store);
    hilum_rc rc = hl_health_open(store);
    hilum_rc committers = hl_commit_open(store);
    if (rc == HILUM_OK)
        rc = hl_mappings_new(&store->mappings);
    if (rc == HILUM_OK)
        rc = hl_frames_open(store);
    if (rc == HILUM_OK)
        rc = committers;
    if (rc == HILUM_OK) {
        /* Before settle(): only the log tells a catalogue that was lost from one that is new,
         * and with a lost one no object without a row may be erased. */
        rc = hl_log_open(store);
        if (rc == HILUM_EDENIED || rc == HILUM_EFULL || rc == HILUM_EIO) {
            hl_health_fail(store, &store->providers[0], rc);
            rc = HILUM_OK;
        }
    }
    if (rc == HILUM_OK)
        rc = settle(store);
    if (rc != HILUM_OK) {
        hl_store_close(store);
        return rc;
    }
    *out = store;
    return HILUM_OK;
}

bool hl_store_has(const struct hl_store *store, const char *name)
{
    return hl_provider_find(store, name) != NULL;
}

enum hl_duplicate_policy hl_store_duplicates(struct hl_store *store)
{
    return (enum hl_duplicate_policy)atomic_load(&store->duplicates_policy);
}

void hl_store_set_duplicates(struct hl_store *store, enum hl_duplicate_policy policy)
{
    atomic_store(&store->duplicates_policy, (unsigned)policy);
}

void hl_store_set_limits(struct hl_store *store, const struct hl_store_limits *limits)
{
    atomic_store(&store->spool.min_free, limits->min_free);
    atomic_store(&store->max_object, limits->max_object);
    atomic_store(&store->header_limit, limits->header_limit);
}

void hl_store_close(struct hl_store *store)
{
    if (store == NULL)
        return;
    /* Committers first: they record, name and put into doubt; then what is owed. Then the record's writer must
     * not come back with lines for the log; then doubts, then the last flush, after which
     * objects get their final names; locks last. */
    hl_commit_close(store);
    hl_record_settle(store->record);
    hl_record_on_save(store->record, NULL);
    hl_health_close(store);
    hl_unflushed_close(store);
    pthread_mutex_destroy(&store->holds_lock);
    hl_verified_free(store->verified);
    pthread_mutex_destroy(&store->compress_lock);
    pthread_mutex_destroy(&store->log_lock);
    hl_frames_close(store);
    hl_mappings_free(store->mappings);
    free(store);
}

/* How each store is, by name. */
static void media_status(struct hl_store *store, struct hl_buf *json)
{
    hl_buf_text(json, ",\"stores\":[");
    for (size_t i = 0; i < store->n_providers; i++) {
        /* It may find a failure just now (free space): the status says what the next sender
         * would be told. The reason is the thread's, so it is taken before the next look. */
        hilum_rc rc = hl_health_medium(store, &store->providers[i]);
        hl_buf_text(json, i > 0 ? ",{\"store\":" : "{\"store\":");
        hl_buf_json_string(json, store->providers[i].name);
        hl_buf_printf(json, ",\"accepting\":%s,\"reason\":", rc == HILUM_OK ? "true" : "false");
        hl_buf_json_string(json, rc == HILUM_OK ? "" : hl_error());
        hl_buf_byte(json, '}');
    }
    hl_buf_byte(json, ']');
}

void hl_store_status(struct hl_store *store, struct hl_buf *json)
{
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {
        {"objects", atomic_load(&store->objects)},
        {"bytes", atomic_load(&store->bytes)},
        {"refused", atomic_load(&store->refused)},
        {"duplicates", atomic_load(&store->duplicates)},
        {"superseded", atomic_load(&store->superseded)},
        {"held", atomic_load(&store->held)},
        {"discarded", atomic_load(&store->discarded)},
        {"repaired", atomic_load(&store->repaired)},
        {"groups", atomic_load(&store->groups)},
    };
    uint64_t groups = atomic_load(&store->groups), grouped = atomic_load(&store->grouped);
    hilum_rc rc = hl_store_health(store);
    hl_buf_text(json, "{");
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        hl_buf_printf(json, "\"%s\":%llu,", counts[i].name, (unsigned long long)counts[i].value);
    hl_buf_printf(json, "\"group_mean\":%.2f,\"accepting\":%s,\"reason\":",
                  groups > 0 ? (double)grouped / (double)groups : 0.0,
                  rc == HILUM_OK ? "true" : "false");
    hl_buf_json_string(json, rc == HILUM_OK ? "" : hl_error());
    hl_frames_status(store, json);
    media_status(store, json);
    hl_buf_text(json, "}");
}
