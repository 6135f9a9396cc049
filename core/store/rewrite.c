/* A transform's edits reach the stored bytes, and a rule's choice of a store is met: the object as received is
 * durable nowhere yet, so it is written once more, its header spliced, and the first writing is dropped.
 *
 * Two writings and one extra flush are the price of edits, paid by the objects that a rule
 * edits and by no other. The second is neither synced nor committed here: the group does that.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/store/store_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/store/origin.h"

/* A rule's edits as corrections, so that they are told in the object the same way. */
static hilum_rc overlays_from(const struct hl_ingest *ingest, struct hl_overlays *overlays)
{
    const struct hl_attrs *edits = &ingest->edits;
    overlays->items = calloc(edits->n, sizeof *overlays->items); /* freed by hl_overlays_fini */
    if (overlays->items == NULL)
        return hl_fail(HILUM_ENOMEM, "no memory for edits");
    for (size_t i = 0; i < edits->n; i++) {
        overlays->items[overlays->n++] = (struct hl_overlay){
            .tag = edits->items[i].tag,
            .text = edits->items[i].text,
            .old_text = hl_attrs_get(&ingest->attrs, edits->items[i].tag),
            .when_us = hl_now_us(),
            .who = "rule",
            .why = "edited on arrival",
        };
    }
    return HILUM_OK;
}

/* The digest and the length become those of what is written now. The head is written anew and says
 * the digest as received now, so dataset_offset is another, too. */
static hilum_rc copy(struct hl_ingest *ingest, struct hl_outgoing *outgoing,
                     const struct hl_store_provider *to, const char *key, void *txn)
{
    const struct hilum_store *table = to->table;
    struct hl_buf meta = {0}, origin = {0};
    hl_origin_write(&ingest->source, ingest->digest_received, &origin);
    hl_meta_write(ingest->sop_class, ingest->sop_instance, ingest->transfer_syntax,
                  ingest->source.calling_aet, &origin, &meta);
    hilum_rc rc = meta.failed ? hl_fail(HILUM_ENOMEM, "no memory for a meta header")
                              : table->append(to->instance, txn, meta.data, meta.len);
    ingest->dataset_offset = meta.len;
    hl_buf_fini(&origin);
    hl_buf_fini(&meta);
    XXH3_128bits_reset(ingest->hash);
    ingest->length = 0;
    for (size_t n = 1; rc == HILUM_OK && n > 0;) {
        const void *bytes = NULL;
        rc = hl_outgoing_next(outgoing, &bytes, &n);
        if (rc == HILUM_OK && n > 0) {
            rc = table->append(to->instance, txn, bytes, n);
            XXH3_128bits_update(ingest->hash, bytes, n);
            ingest->length += n;
        }
    }
    snprintf(ingest->key, sizeof ingest->key, "%s", key);
    return rc;
}

/* The first writing as if it were catalogued; instance_id 0 says that it is not. */
static void stored_from(const struct hl_ingest *ingest, struct hl_stored *stored)
{
    *stored = (struct hl_stored){0};
    snprintf(stored->sop_instance, sizeof stored->sop_instance, "%s", ingest->sop_instance);
    snprintf(stored->transfer_syntax, sizeof stored->transfer_syntax, "%s",
             ingest->transfer_syntax);
    snprintf(stored->location.store, sizeof stored->location.store, "%s", ingest->provider->name);
    snprintf(stored->location.key, sizeof stored->location.key, "%s", ingest->key);
    stored->location.length = ingest->dataset_offset + ingest->length;
    stored->location.dataset_offset = ingest->dataset_offset;
    hl_digest_final(ingest->hash, stored->location.digest_stored);
}

/* The second writing: begun, filled, or undone. */
static hilum_rc write_again(struct hl_ingest *ingest, struct hl_outgoing *outgoing,
                            const struct hl_store_provider *to, void **txn)
{
    char key[201];
    hl_key_make(key);
    hilum_rc rc = to->table->begin(to->instance, key, 0, txn);
    if (rc != HILUM_OK)
        return rc;
    rc = copy(ingest, outgoing, to, key, *txn);
    if (rc != HILUM_OK)
        to->table->abort(to->instance, *txn);
    return rc;
}

/* On failure the ingest still has its first writing, to be aborted. */
hilum_rc hl_rewrite(struct hl_ingest *ingest, const struct hl_store_provider **failed)
{
    const struct hl_store_provider *provider = ingest->provider;
    const struct hl_store_provider *to = ingest->chosen != NULL ? ingest->chosen : provider;
    struct hl_overlays overlays = {0};
    struct hl_outgoing *outgoing = NULL;
    struct hl_stored stored;
    void *first = ingest->txn, *second = NULL;
    stored_from(ingest, &stored);
    /* Only what is synced can be read back. Edits are rare: the extra flush is theirs. */
    hilum_rc rc = provider->table->sync(provider->instance, &first, 1);
    *failed = rc != HILUM_OK ? provider : NULL;
    if (rc == HILUM_OK && ingest->edits.n > 0)
        rc = overlays_from(ingest, &overlays);
    if (rc == HILUM_OK)
        rc = hl_outgoing_of(ingest->store, &stored, &overlays, &outgoing);
    if (rc == HILUM_OK) {
        rc = write_again(ingest, outgoing, to, &second);
        *failed = rc != HILUM_OK ? to : NULL;
    }
    hl_outgoing_close(outgoing);
    hl_overlays_fini(&overlays);
    if (rc != HILUM_OK)
        return rc;
    /* Only now that the second is whole. If the process ends in between both are pending
     * without rows, and both are erased. */
    provider->table->abort(provider->instance, first);
    ingest->txn = second;
    ingest->provider = to;
    for (size_t i = 0; i < ingest->edits.n && rc == HILUM_OK; i++)
        rc = hl_attrs_set(&ingest->attrs, ingest->edits.items[i].tag, ingest->edits.items[i].text);
    return rc;
}
