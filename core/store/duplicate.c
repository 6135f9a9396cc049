/* A SOP Instance UID that is known already: a resend, a resend that heals, or a stranger.
 *
 * Runs on the sender's thread after the group: the newcomer is durable under its own key and has
 * no row. It is dropped, or it takes the broken one's place, or it is recorded as the policy
 * says.
 *
 * Why bytes are compared at all, where a digest of 128 bits would do: the answer "stored" ends
 * the sender's duty to keep the object, and so is given about what can be read, not about what
 * was written once. A resend is the one cheap moment at which rot heals by itself.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/store/store_internal.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/log.h"

/* Two pieces, 256 KiB: the comparing thread is the sender's, up to a thousand at once. */
#define COMPARE_PIECE ((size_t)128 * 1024)
enum likeness { LIKE_SAME, LIKE_DIFFERENT, LIKE_STORED_BROKEN };

/* All n bytes, or HILUM_ECORRUPT. */
static hilum_rc piece_read(const struct hl_store_provider *provider, const char *key, uint64_t at,
                           uint8_t *piece, uint64_t n)
{
    uint64_t got = 0;
    hilum_rc rc = provider->table->read(provider->instance, key, at, piece, n, &got);
    if (rc == HILUM_OK && got != n)
        rc = hl_fail(HILUM_ECORRUPT, "object %s is shorter than recorded", key);
    return rc;
}

/* HILUM_ECORRUPT, HILUM_ENOTFOUND or HILUM_EIO: the stored one cannot be read. */
static hilum_rc bytes_compare(const struct hl_ingest *ingest,
                              const struct hl_store_provider *theirs, const struct hl_location *at,
                              bool *is_equal)
{
    uint8_t *pieces = malloc(2 * COMPARE_PIECE);
    hilum_rc rc = pieces != NULL ? HILUM_OK : hl_fail(HILUM_ENOMEM, "no memory to compare");
    *is_equal = true;
    for (uint64_t done = 0; rc == HILUM_OK && *is_equal && done < ingest->length;) {
        uint64_t left = ingest->length - done, n = left < COMPARE_PIECE ? left : COMPARE_PIECE;
        rc = piece_read(ingest->provider, ingest->key, ingest->dataset_offset + done, pieces, n);
        if (rc == HILUM_OK)
            rc = piece_read(theirs, at->key, at->dataset_offset + done, pieces + COMPARE_PIECE, n);
        *is_equal = rc != HILUM_OK || memcmp(pieces, pieces + COMPARE_PIECE, n) == 0;
        done += n;
    }
    free(pieces);
    return rc;
}

/* Equal digests are not trusted alone: a resend is dropped only when the stored bytes, read
 * now, are the ones that came. Unequal bytes under equal digests mean the stored copy rotted -
 * or that a rule edited one of the two on its way in, which its own digest tells. Three looks,
 * the cheap one first: the digests as received; the bytes as they lie, which differ where
 * either was edited or encoded on arrival; then the stored one's digest of its own, which
 * alone tells rot from an edit. */
static enum likeness likeness_of(struct hl_ingest *ingest, const struct hl_stored *stored)
{
    const struct hl_store_provider *theirs =
        hl_provider_find(ingest->store, stored->location.store);
    uint64_t length = stored->location.length - stored->location.dataset_offset;
    uint8_t digest[16];
    bool is_equal = false;
    if (memcmp(stored->digest_received, ingest->digest_received, 16) != 0)
        return LIKE_DIFFERENT;
    if (theirs == NULL)
        return LIKE_STORED_BROKEN;
    if (length == ingest->length &&
        bytes_compare(ingest, theirs, &stored->location, &is_equal) == HILUM_OK && is_equal)
        return LIKE_SAME;
    if (hl_digest_object(theirs, stored->location.key, stored->location.dataset_offset, length,
                         digest) != HILUM_OK ||
        memcmp(digest, stored->location.digest_stored, 16) != 0)
        return LIKE_STORED_BROKEN;
    bool is_encoded = ingest->received_as[0] != '\0' ||
                      strcmp(stored->transfer_syntax, ingest->transfer_syntax) != 0;
    return ingest->edits.n > 0 || is_encoded || length != ingest->length ? LIKE_SAME
                                                                         : LIKE_DIFFERENT;
}

/* The newcomer goes; the known one stays. It was made durable with its group before the UID
 * was found to be known: the price of not asking the catalogue for every object first. */
static void drop(struct hl_ingest *ingest)
{
    ingest->provider->table->abort(ingest->provider->instance, ingest->txn);
    ingest->txn = NULL;
}

/* Success, with the number of the known one: to the sender a resend is stored. */
static hilum_rc same_answer(struct hl_ingest *ingest, const struct hl_stored *stored,
                            bool is_repaired)
{
    if (hl_record_duplicate(ingest->store->record, stored->instance_id, ingest->source.peer,
                            is_repaired) != HILUM_OK)
        hl_log(HL_WARN, "store", "%s: resend not journaled: %s", ingest->sop_instance, hl_error());
    atomic_fetch_add(&ingest->store->duplicates, 1);
    ingest->result.instance_id = stored->instance_id;
    ingest->result.is_duplicate = true;
    ingest->result.is_held = stored->is_held;
    return HILUM_OK;
}

/* The newcomer takes the broken one's place: it is durable already, the location row makes it
 * so. The broken one is not erased with it: its location is marked in the same unit and goes
 * when the grace for erasures is over, so that a wrong judgement here can still be looked
 * into. */
static hilum_rc repair(struct hl_ingest *ingest, const struct hl_commit_job *job,
                       const struct hl_stored *stored)
{
    /* Before the repair: afterwards nothing would tell that there was rot. */
    hl_corrupted_publish(ingest->store, stored, "found by a resend, which replaces it");
    hilum_rc rc =
        hl_record_relocate(ingest->store->record, stored->instance_id, &job->row->location,
                           ingest->transfer_syntax, job->row->received_as);
    if (rc != HILUM_OK)
        return hl_ingest_fail(ingest, NULL, rc, "cannot repair");
    atomic_fetch_add(&ingest->store->repaired, 1);
    rc = ingest->provider->table->commit(ingest->provider->instance, ingest->txn);
    ingest->txn = NULL;
    if (rc != HILUM_OK)
        hl_log(HL_WARN, "store", "%s stays pending until the next start: %s", ingest->key,
               hl_error());
    return same_answer(ingest, stored, true);
}

enum hl_duplicate_policy hl_duplicate_policy_of(const struct hl_ingest *ingest)
{
    if (ingest->has_policy)
        return ingest->policy;
    return (enum hl_duplicate_policy)atomic_load(&ingest->store->duplicates_policy);
}

/* The log line is what a site has to find out that a modality reuses UIDs. */
static hilum_rc superseded_answer(struct hl_ingest *ingest, const struct hl_instance *row)
{
    hl_log(HL_INFO, "store", "%s from %s: other content, %s", ingest->sop_instance,
           ingest->source.calling_aet,
           row->on_known == HL_KNOWN_VERSION ? "the known one stays as an earlier version"
                                             : "the known one is replaced");
    atomic_fetch_add(&ingest->store->superseded, 1);
    atomic_fetch_add(&ingest->store->objects, 1);
    atomic_fetch_add(&ingest->store->bytes, row->location.length);
    return HILUM_OK;
}

static void quarantined_answer(struct hl_ingest *ingest, const struct hl_instance *row)
{
    hl_log(HL_WARN, "store", "%s from %s: %s, quarantined", ingest->sop_instance,
           ingest->source.calling_aet, row->held_reason != NULL ? row->held_reason : "");
    atomic_fetch_add(&ingest->store->held, 1);
    ingest->result.is_duplicate = ingest->result.is_held = true;
}

/* By the policy: aside until a person decides, or at once in the place of the known one.
 * Either way it is stored and answered with success. A second commit of the same job, now with
 * quarantine_of: its object is synced, so only the row is wanted. */
static hilum_rc stranger_keep(struct hl_ingest *ingest, struct hl_commit_job *job)
{
    static const enum hl_known_uid ways[] = {[HL_KEEP_FIRST] = HL_KNOWN_ASIDE,
                                             [HL_REPLACE] = HL_KNOWN_REPLACE,
                                             [HL_VERSION] = HL_KNOWN_VERSION,
                                             [HL_QUARANTINE] = HL_KNOWN_ASIDE};
    struct hl_instance *row = job->row;
    row->quarantine_of = ingest->sop_instance;
    row->on_known = ways[hl_duplicate_policy_of(ingest)];
    hilum_rc rc = hl_commit_run(ingest->store, job);
    ingest->txn = job->txn;
    if (rc != HILUM_OK)
        return hl_ingest_fail(ingest, hl_commit_medium(job), rc, "cannot make it durable");
    ingest->result.instance_id = row->instance_id;
    if (row->outcome == HL_OUTCOME_SUPERSEDED)
        return superseded_answer(ingest, row);
    if (row->outcome == HL_OUTCOME_QUARANTINED)
        quarantined_answer(ingest, row);
    return HILUM_OK;
}

/* Content that waits in quarantine already, or is an earlier version: a sender's retry adds nothing. */
static bool is_kept_aside(struct hl_ingest *ingest, struct hl_stored *stored)
{
    return hl_record_stored_aside(ingest->store->record, ingest->sop_instance,
                                  ingest->digest_received, stored) == HILUM_OK &&
           likeness_of(ingest, stored) == LIKE_SAME;
}

/* HILUM_EAGAIN with A700 where the known one has gone meanwhile. job->txn went back to the
 * ingest before (outcome_take): every way out of here drops it, commits it, or leaves it to
 * ingest_free. */
hilum_rc hl_duplicate_settle(struct hl_ingest *ingest, struct hl_commit_job *job)
{
    struct hl_stored stored;
    hilum_rc rc = hl_record_stored(ingest->store->record, ingest->sop_instance, &stored);
    if (rc == HILUM_ENOTFOUND) /* erased between the two looks: the sender may try again */
        return hl_ingest_refuse(ingest, HILUM_EAGAIN, 0xA700, 0, "changed meanwhile");
    if (rc != HILUM_OK)
        return hl_ingest_fail(ingest, NULL, rc, "cannot look up the known instance");
    /* Whatever study the newcomer names, the known one is of that one. */
    rc = hl_ingest_may(ingest, stored.study_uid);
    if (rc != HILUM_OK)
        return rc;
    switch (likeness_of(ingest, &stored)) {
    case LIKE_SAME: drop(ingest); return same_answer(ingest, &stored, false);
    case LIKE_STORED_BROKEN: return repair(ingest, job, &stored);
    default: break;
    }
    if (!is_kept_aside(ingest, &stored))
        return stranger_keep(ingest, job);
    drop(ingest);
    return same_answer(ingest, &stored, false);
}

/* Its sender was told success, so whatever differs is kept, aside, for a person. HILUM_ENOTFOUND: the known one has gone
 * meanwhile. */
hilum_rc hl_duplicate_owed(struct hl_ingest *ingest, bool *is_wanted)
{
    struct hl_stored stored;
    hilum_rc rc = hl_record_stored(ingest->store->record, ingest->sop_instance, &stored);
    if (rc != HILUM_OK)
        return rc;
    *is_wanted = likeness_of(ingest, &stored) != LIKE_SAME && !is_kept_aside(ingest, &stored);
    return *is_wanted ? HILUM_OK : same_answer(ingest, &stored, false);
}
