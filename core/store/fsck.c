/* Rows and objects compared, both ways.
 *
 * Rows are walked first, then objects. Runs beside everything else: an object that arrives
 * meanwhile has its row before its name, so it is no orphan. One thread.
 *
 * It holds no lock and stops nobody: a row may go while it is looked at, which then reads as
 * missing. A fault that a second run does not find was one of those.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/store/store_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"

enum { COPY_PIECE = 256 * 1024 };

struct checking {
    struct hl_store *store;
    const struct hl_store_provider *provider;
    bool is_repairing;
    hl_fsck_cb each;
    void *arg;
};

static hilum_rc fault(struct checking *checking, const char *what, const char *key,
                      int64_t instance_id)
{
    return checking->each(checking->arg, what, checking->provider->name, key, instance_id);
}

/* ---- rows without their object ---- */

/* NULL: sound. Cheap looks first; the digest reads the whole object. */
static const char *location_fault(const struct hl_store_provider *provider,
                                  const struct hl_location *location)
{
    struct hilum_object_info info = {0};
    uint8_t digest[16];
    hilum_rc rc = provider->table->stat(provider->instance, location->key, &info);
    if (rc == HILUM_ENOTFOUND)
        return "missing";
    if (rc != HILUM_OK)
        return "unreadable";
    if (info.length != location->length || location->dataset_offset > info.length)
        return "length";
    rc = hl_digest_object(provider, location->key, location->dataset_offset,
                          location->length - location->dataset_offset, digest);
    if (rc != HILUM_OK)
        return "unreadable";
    return memcmp(digest, location->digest_stored, 16) == 0 ? NULL : "digest";
}

/* Faults are told and never repaired here: the only other copy is the sender's, whose resend
 * heals (duplicate.c). */
static hilum_rc row_check(void *arg, int64_t instance_id, const struct hl_location *location,
                          const char *state)
{
    struct checking *checking = arg;
    struct hl_stored stored;
    if (strncmp(state, "eras", 4) == 0)
        return HILUM_OK; /* erased, or waiting to be */
    const char *what = location_fault(checking->provider, location);
    if (what == NULL)
        return HILUM_OK;
    if (hl_record_stored_by_id(checking->store->record, instance_id, &stored) == HILUM_OK)
        hl_corrupted_publish(checking->store, &stored, what);
    return fault(checking, what, location->key, instance_id);
}

/* ---- objects without their row ---- */

/* `length` bytes as they lie, torn or not. */
static hilum_rc bytes_copy(const struct hl_store_provider *provider, const char *key,
                           uint64_t length, void *txn)
{
    uint8_t *piece = malloc(COPY_PIECE);
    hilum_rc rc = piece != NULL ? HILUM_OK : hl_fail(HILUM_ENOMEM, "no memory");
    uint64_t got = 1;
    for (uint64_t at = 0; rc == HILUM_OK && at < length && got > 0; at += got) {
        rc = provider->table->read(provider->instance, key, at, piece, COPY_PIECE, &got);
        if (rc == HILUM_OK)
            rc = provider->table->append(provider->instance, txn, piece, got);
    }
    free(piece);
    return rc;
}

/* Under another key, out of the way of later checks; never erased by us. Copy, sync, commit,
 * and only then erase: broken as they are, these bytes may be the only ones of a patient. */
static hilum_rc set_aside(const struct hl_store_provider *provider, const char *key,
                          uint64_t length)
{
    char aside[201];
    void *txn = NULL;
    if (snprintf(aside, sizeof aside, HL_ASIDE "%s", key) >= (int)sizeof aside)
        return hl_fail(HILUM_EINVAL, "key %s is too long to be set aside", key);
    hilum_rc rc = provider->table->begin(provider->instance, aside, length, &txn);
    if (rc != HILUM_OK)
        return rc;
    rc = bytes_copy(provider, key, length, txn);
    if (rc == HILUM_OK)
        rc = provider->table->sync(provider->instance, &txn, 1);
    if (rc != HILUM_OK) {
        provider->table->abort(provider->instance, txn);
        return rc;
    }
    rc = provider->table->commit(provider->instance, txn);
    return rc == HILUM_OK ? provider->table->erase(provider->instance, key) : rc;
}

/* It is held in any case where the UID is known: nobody can tell which of the two the sender
 * meant. */
static hilum_rc orphan_adopt(struct checking *checking, struct hl_adopted *adopted)
{
    struct hl_instance *row = &adopted->row;
    hilum_rc rc = hl_record_instances(checking->store->record, &row, 1);
    if (rc != HILUM_OK || row->outcome != HL_OUTCOME_EXISTS)
        return rc;
    /* another object has its UID: whoever decides sees both */
    row->quarantine_of = hl_attrs_text(&adopted->attrs, HL_TAG(0x0008, 0x0018));
    row->is_held = true;
    row->held_by = "core/fsck";
    row->held_reason = "orphan under a known SOP Instance UID";
    return hl_record_instances(checking->store->record, &row, 1);
}

/* A broken one is copied under aside/ and kept for a person; only then does it leave its place. */
static hilum_rc orphan(struct checking *checking, const char *key, uint64_t length)
{
    struct hl_adopted adopted;
    hilum_rc read = hl_adopt_read(checking->provider, key, length, &adopted);
    hilum_rc rc = fault(checking, read == HILUM_OK ? "orphan" : "broken orphan", key, 0);
    if (rc == HILUM_OK && checking->is_repairing && read == HILUM_OK)
        rc = orphan_adopt(checking, &adopted);
    if (rc == HILUM_OK && checking->is_repairing && read == HILUM_ECORRUPT)
        rc = set_aside(checking->provider, key, length);
    hl_adopt_fini(&adopted);
    return rc;
}

static hilum_rc object_check(void *arg, const char *key, const struct hilum_object_info *info)
{
    struct checking *checking = arg;
    bool has_row = false;
    if (hl_key_is_aside(key))
        return HILUM_OK;
    hilum_rc rc =
        hl_record_has_key(checking->store->record, checking->provider->name, key, &has_row);
    return rc == HILUM_OK && !has_row ? orphan(checking, key, info->length) : rc;
}

hilum_rc hl_store_fsck(struct hl_store *store, bool repair, hl_fsck_cb each, void *arg)
{
    hilum_rc rc = HILUM_OK;
    for (size_t i = 0; i < store->n_providers && rc == HILUM_OK; i++) {
        struct checking checking = {.store = store,
                                    .provider = &store->providers[i],
                                    .is_repairing = repair,
                                    .each = each,
                                    .arg = arg};
        rc = hl_record_locations(store->record, checking.provider->name, row_check, &checking);
        if (rc == HILUM_OK)
            rc = checking.provider->table->list(checking.provider->instance, "", object_check,
                                                &checking);
    }
    return rc;
}
