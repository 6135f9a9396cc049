/* XXH3-128 of what arrives and of what is kept.
 *
 * The digest is of the data set, without the head we write: the same object from two senders, or
 * written again, has the same.
 *
 * XXH3 finds rot and tells a resend from a stranger; it is no proof against forgery, for which
 * the audit trail has its own chain.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/store/store_internal.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/log.h"

enum { DIGEST_PIECE = 256 * 1024 };

/* Canonical, so that catalogues of any machine agree. */
void hl_digest_final(const XXH3_state_t *state, uint8_t out[16])
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state));
    memcpy(out, canonical.digest, 16);
}

/* Reads through the store's table, as any reader would. */
hilum_rc hl_digest_object(const struct hl_store_provider *provider, const char *key, uint64_t at,
                          uint64_t n, uint8_t out[16])
{
    uint8_t *piece = malloc(DIGEST_PIECE);
    XXH3_state_t *state = XXH3_createState();
    hilum_rc rc = piece != NULL && state != NULL ? HILUM_OK : hl_fail(HILUM_ENOMEM, "no memory");
    if (rc == HILUM_OK)
        XXH3_128bits_reset(state);
    for (uint64_t done = 0; rc == HILUM_OK && done < n;) {
        uint64_t want = n - done < DIGEST_PIECE ? n - done : DIGEST_PIECE, got = 0;
        rc = provider->table->read(provider->instance, key, at + done, piece, want, &got);
        if (rc == HILUM_OK && got == 0)
            rc = hl_fail(HILUM_ECORRUPT, "object %s ends %llu bytes early", key,
                         (unsigned long long)(n - done));
        if (rc == HILUM_OK)
            XXH3_128bits_update(state, piece, got);
        done += got;
    }
    if (rc == HILUM_OK)
        hl_digest_final(state, out);
    XXH3_freeState(state);
    free(piece);
    return rc;
}

const struct hl_store_provider *hl_provider_find(const struct hl_store *store, const char *name)
{
    for (size_t i = 0; i < store->n_providers; i++) {
        if (strcmp(store->providers[i].name, name) == 0)
            return &store->providers[i];
    }
    hl_fail(HILUM_ENOTFOUND, "store %s: not configured", name);
    return NULL;
}

/* Also in the journal: a rule may tell a person. Nothing is remembered as sound after that. */
void hl_corrupted_publish(struct hl_store *store, const struct hl_stored *stored, const char *why)
{
    struct hl_buf fields = {0};
    int64_t id = 0;
    hl_buf_text(&fields, "{\"SOPInstanceUID\":");
    hl_buf_json_string(&fields, stored->sop_instance);
    hl_buf_text(&fields, ",\"store\":");
    hl_buf_json_string(&fields, stored->location.store);
    hl_buf_text(&fields, ",\"key\":");
    hl_buf_json_string(&fields, stored->location.key);
    hl_buf_text(&fields, ",\"why\":");
    hl_buf_json_string(&fields, why);
    hl_buf_text(&fields, "}");
    hl_log(HL_ERROR, "store", "%s at %s:%s is not what was stored: %s", stored->sop_instance,
           stored->location.store, stored->location.key, why);
    hl_verified_forget(store->verified);
    if (hl_record_journal_append(store->record, "instance.corrupted", stored->study_uid,
                                 hl_buf_str(&fields), &id) != HILUM_OK)
        hl_log(HL_ERROR, "store", "instance.corrupted not journaled: %s", hl_error());
    hl_buf_fini(&fields);
}
