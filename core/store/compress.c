/* Objects made smaller: later, where they lie (threads of jobs), or on the way in (the thread that receives). The order is
 * what keeps them: encode, write and sync under a pending key, read back and compare bit by bit, and only then exchange the
 * locations in the record; the pending key becomes final last. A crash before the record's commit leaves a pending key that
 * the next start erases; after it, one that the next start settles. compress_lock guards the sums for the report only, and
 * neither store nor record is called under it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/store/compress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/dicom/uid.h"
#include "core/store/origin.h"
#include "core/store/outgoing_internal.h"

/* An encoded object on its way into a store. */
struct written {
    const struct hl_store_provider *provider;
    void *txn; /* NULL: none, or given away */
    struct hl_stored stored;
};

/* ---- counts ---- */

/* Summed in memory, at most HL_COMPRESS_SUMS rules by syntax; what finds no place is not
 * counted. A crash loses what was not flushed: numbers only. */
void hl_compress_count(struct hl_store *store, const struct hl_compress *wish, const char *why,
                       uint64_t before, uint64_t after, int64_t work_us)
{
    pthread_mutex_lock(&store->compress_lock);
    struct hl_compression_sum *sum = store->compressed;
    size_t i = 0;
    while (i < store->n_compressed && (strcmp(sum[i].rule, wish->rule) != 0 ||
                                       strcmp(sum[i].syntax, wish->pack.transfer_syntax) != 0))
        i++;
    if (i == store->n_compressed && i < HL_COMPRESS_SUMS) {
        sum[store->n_compressed++] = (struct hl_compression_sum){0};
        snprintf(sum[i].rule, sizeof sum[i].rule, "%s", wish->rule);
        snprintf(sum[i].syntax, sizeof sum[i].syntax, "%s", wish->pack.transfer_syntax);
    }
    if (i < store->n_compressed) {
        sum[i].work_us += work_us;
        sum[i].done += why == NULL;
        sum[i].kept += why != NULL;
        sum[i].bytes_before += why == NULL ? before : 0;
        sum[i].bytes_after += why == NULL ? after : 0;
        if (why != NULL)
            snprintf(sum[i].last_kept, sizeof sum[i].last_kept, "%s", why);
    }
    pthread_mutex_unlock(&store->compress_lock);
}

hilum_rc hl_compress_flush(struct hl_store *store)
{
    struct hl_compression_sum sums[HL_COMPRESS_SUMS];
    pthread_mutex_lock(&store->compress_lock);
    size_t n = store->n_compressed;
    memcpy(sums, store->compressed, n * sizeof *sums);
    store->n_compressed = 0;
    pthread_mutex_unlock(&store->compress_lock);
    return hl_record_compression_add(store->record, sums, n);
}

/* ---- encode ---- */

/* JPEG streams go into JPEG XL, and not out of it: that would make them larger. What they have lost stays lost, and nothing
 * is added to it. */
static bool is_repack(const struct hl_stored *stored, const struct hl_compress *wish)
{
    return strcmp(wish->pack.transfer_syntax, HL_UID_JPEG_XL_OF_JPEG) == 0 &&
           hl_repack_can(stored->transfer_syntax, wish->pack.transfer_syntax);
}

/* What was lost once is in the pixels; encoding it without loss makes it larger. Deflated ones
 * are small already and their header would have to be inflated for every look. */
static hilum_rc check_wish(const struct hl_stored *stored, const struct hl_compress *wish)
{
    const struct hl_syntax *target = hl_uid_syntax(wish->pack.transfer_syntax);
    const struct hl_syntax *source = hl_uid_syntax(stored->transfer_syntax);
    bool is_repacked = is_repack(stored, wish);
    if (target == NULL || (target->flags & HL_SYNTAX_LOSSY && !is_repacked) || wish->pack.may_lose)
        return hl_fail(HILUM_EUNSUP, "%s loses, and never replaces an original",
                       hl_uid_name(wish->pack.transfer_syntax));
    if (source == NULL ||
        (!is_repacked &&
         (source->flags & (HL_SYNTAX_LOSSY | HL_SYNTAX_VIDEO | HL_SYNTAX_DEFLATED) ||
          !hl_pack_can(stored->transfer_syntax, wish->pack.transfer_syntax, false))))
        return hl_fail(HILUM_EUNSUP, "%s is left as it is", hl_uid_name(stored->transfer_syntax));
    if (stored->location.length < wish->min_bytes)
        return hl_fail(HILUM_EUNSUP, "%llu bytes: smaller than the rule wants",
                       (unsigned long long)stored->location.length);
    return HILUM_OK;
}

/* With corrections none and elements kept as they lie: the stored object must decode to what
 * came, bit by bit, while corrections stay in the catalogue. */
static hilum_rc encode(struct hl_store *store, const struct hl_stored *stored,
                       const struct hl_compress *wish, struct hl_outgoing **out)
{
    const struct hl_overlays none = {0};
    struct hl_pack_wish pack = wish->pack;
    pack.keeps_elements = true;
    hilum_rc rc = hl_outgoing_of(store, stored, &none, out);
    if (rc == HILUM_OK)
        rc = hl_outgoing_encode(*out, &pack);
    if (rc == HILUM_OK &&
        hl_outgoing_length(*out) >= stored->location.length - stored->location.dataset_offset)
        rc = hl_fail(HILUM_EUNSUP, "encoded it is not smaller");
    return rc;
}

/* ---- write ---- */

/* The stored form: meta header, then the data set; digest and length are of what was handed to
 * the store. */
static hilum_rc append_all(struct written *written, struct hl_outgoing *outgoing,
                           const char *source_aet, const struct hl_buf *origin)
{
    const struct hilum_store *table = written->provider->table;
    struct hl_stored *to = &written->stored;
    struct hl_buf meta = {0};
    XXH3_state_t *hash = XXH3_createState();
    hl_meta_write(to->sop_class, to->sop_instance, to->transfer_syntax, source_aet, origin, &meta);
    hilum_rc rc = meta.failed || hash == NULL ? hl_fail(HILUM_ENOMEM, "no memory for a meta header")
                                              : table->append(written->provider->instance,
                                                              written->txn, meta.data, meta.len);
    to->location.dataset_offset = to->location.length = meta.len;
    hl_buf_fini(&meta);
    if (hash != NULL)
        XXH3_128bits_reset(hash);
    for (size_t n = 1; rc == HILUM_OK && n > 0;) {
        const void *bytes = NULL;
        rc = hl_outgoing_next(outgoing, &bytes, &n);
        if (rc != HILUM_OK || n == 0)
            break;
        rc = table->append(written->provider->instance, written->txn, bytes, n);
        XXH3_128bits_update(hash, bytes, n);
        to->location.length += n;
    }
    if (hash != NULL)
        hl_digest_final(hash, to->location.digest_stored);
    XXH3_freeState(hash);
    return rc;
}

static void written_drop(struct written *written)
{
    if (written->txn != NULL)
        written->provider->table->abort(written->provider->instance, written->txn);
    written->txn = NULL;
}

/* Durable under its pending key: a start erases it unless a row says otherwise. */
static hilum_rc write_encoded(struct written *written, struct hl_outgoing *outgoing,
                              const char *syntax, const char *source_aet,
                              const struct hl_buf *origin)
{
    const struct hl_stored *from = hl_outgoing_stored(outgoing);
    written->stored = *from;
    hl_key_make(written->stored.location.key);
    snprintf(written->stored.transfer_syntax, sizeof written->stored.transfer_syntax, "%s", syntax);
    hilum_rc rc = written->provider->table->begin(written->provider->instance,
                                                  written->stored.location.key, 0, &written->txn);
    if (rc != HILUM_OK) {
        written->txn = NULL;
        return rc;
    }
    rc = append_all(written, outgoing, source_aet, origin);
    if (rc == HILUM_OK)
        rc = written->provider->table->sync(written->provider->instance, &written->txn, 1);
    if (rc != HILUM_OK)
        written_drop(written);
    return rc;
}

/* What was written, read back, decoded and compared with what it was made from. */
static hilum_rc prove(struct hl_store *store, const struct hl_stored *before,
                      const struct written *written)
{
    const struct hl_overlays none = {0};
    struct hl_outgoing *a = NULL, *b = NULL;
    struct hl_stored after = written->stored;
    after.instance_id = 0; /* a fault of it is nobody's corruption */
    hilum_rc rc = hl_outgoing_of(store, before, &none, &a);
    if (rc == HILUM_OK)
        rc = hl_outgoing_of(store, &after, &none, &b);
    if (rc == HILUM_OK)
        rc = hl_repack_can(before->transfer_syntax, after.transfer_syntax)
                 ? hl_verify_repacked(a, b)
                 : hl_verify_same(a, b, true);
    hl_outgoing_close(a);
    hl_outgoing_close(b);
    return rc;
}

/* Encoded, durable, proven; or nothing. */
static hilum_rc make(struct hl_store *store, const struct hl_stored *stored,
                     const struct hl_compress *wish, const char *source_aet,
                     const struct hl_buf *origin, struct written *written)
{
    struct hl_outgoing *outgoing = NULL;
    hilum_rc rc = check_wish(stored, wish);
    if (rc == HILUM_OK)
        rc = encode(store, stored, wish, &outgoing);
    if (rc == HILUM_OK)
        rc = write_encoded(written, outgoing, wish->pack.transfer_syntax, source_aet, origin);
    hl_outgoing_close(outgoing);
    if (rc == HILUM_OK)
        rc = prove(store, stored, written);
    if (rc != HILUM_OK)
        written_drop(written);
    return rc;
}

/* ---- later, where it lies ---- */

/* What is in the object: trying again would end as before. All else (a store that takes nothing now, a codec's worker at
 * rest, ...) may pass. */
static bool is_lasting(hilum_rc rc)
{
    return rc == HILUM_EUNSUP || rc == HILUM_ECORRUPT || rc == HILUM_ECONFLICT ||
           rc == HILUM_ENOTFOUND || rc == HILUM_EINVAL;
}

/* Whether the record has taken it is unknown: nothing may be erased until it answers again, which
 * the store's prober (health.c) waits for, as for a received object. */
static void doubt(struct hl_store *store, struct written *written)
{
    struct hl_instance row = {.location = written->stored.location};
    const struct hl_commit_job job = {
        .provider = written->provider, .txn = written->txn, .row = &row};
    hl_health_doubt(store, &job);
    written->txn = NULL;
}

/* The digest as received stays in the row, so a resend of the original is still known as one. */
static hilum_rc exchange(struct hl_store *store, const struct hl_stored *stored,
                         const struct hl_compress *wish, struct written *written)
{
    const struct hl_compressed_row row = {.instance_id = stored->instance_id,
                                          .from_key = stored->location.key,
                                          .to = &written->stored.location,
                                          .syntax = wish->pack.transfer_syntax,
                                          .syntax_before = stored->transfer_syntax,
                                          .rule = wish->rule,
                                          .keep_us = wish->keep_ms * 1000};
    hilum_rc rc = hl_record_compressed(store->record, &row);
    if (rc != HILUM_OK) {
        if (rc == HILUM_ECONFLICT || rc == HILUM_ENOTFOUND)
            written_drop(written);
        else
            doubt(store, written); /* a failed record may have written all the same */
        return rc;
    }
    if (written->provider->table->commit(written->provider->instance, written->txn) != HILUM_OK)
        hl_log(HL_WARN, "store", "%s stays pending until the next start: %s", row.to->key,
               hl_error());
    written->txn = NULL;
    return HILUM_OK;
}

/* Left as it was: remembered, so that no schedule tries again. */
static hilum_rc leave(struct hl_store *store, const struct hl_stored *stored,
                      const struct hl_compress *wish, hilum_rc rc, int64_t work_us)
{
    char why[256];
    snprintf(why, sizeof why, "%s", hl_error());
    if (!is_lasting(rc))
        return rc;
    if (rc == HILUM_ECONFLICT)
        hl_log(HL_ERROR, "store", "%s stays as it is: %s", stored->sop_instance, why);
    hl_compress_count(store, wish, why, 0, 0, work_us);
    hilum_rc noted =
        hl_record_compression_tried(store->record, stored->instance_id, wish->pack.transfer_syntax);
    return noted == HILUM_OK ? hl_fail(HILUM_EUNSUP, "%s", why) : noted;
}

/* What the object says of its arrival goes along. An object without it is none the worse. */
static hilum_rc origin_copy(const struct hl_store_provider *provider,
                            const struct hl_stored *stored, struct hl_buf *out)
{
    struct hl_part10 head;
    uint64_t got = 0, n = stored->location.dataset_offset;
    uint8_t *bytes = n > 0 && n <= HL_PART10_HEAD ? malloc((size_t)n) : NULL;
    hilum_rc rc = bytes == NULL ? HILUM_OK
                                : provider->table->read(provider->instance, stored->location.key, 0,
                                                        bytes, n, &got);
    if (rc == HILUM_OK && got > 0 && hl_part10_read(bytes, (size_t)got, &head) == HILUM_OK)
        hl_buf_add(out, bytes + head.origin_at, head.origin_length);
    free(bytes);
    return rc;
}

/* No lock over all of it: an object that is replaced or erased meanwhile makes
 * hl_record_compressed fail by from_key, and what was written is dropped. */
hilum_rc hl_store_compress(struct hl_store *store, int64_t instance_id,
                           const struct hl_compress *wish)
{
    struct hl_stored stored;
    int64_t began_us = hl_mono_ns() / 1000;
    hilum_rc rc = hl_record_is_restoring(store->record)
                      ? hl_fail(HILUM_EAGAIN, "the catalogue is not whole: archive rebuild first")
                      : hl_record_stored_by_id(store->record, instance_id, &stored);
    if (rc != HILUM_OK || strcmp(stored.transfer_syntax, wish->pack.transfer_syntax) == 0)
        return rc;
    struct written written = {.provider = hl_provider_find(store, stored.location.store)};
    if (written.provider == NULL)
        return HILUM_ENOTFOUND;
    rc = hl_health_check(store, written.provider);
    if (rc != HILUM_OK)
        return hl_fail_in(HILUM_EAGAIN, "store %s", written.provider->name);
    struct hl_buf origin = {0};
    rc = origin_copy(written.provider, &stored, &origin);
    if (rc == HILUM_OK)
        rc = make(store, &stored, wish, "", &origin, &written);
    hl_buf_fini(&origin);
    if (rc == HILUM_OK && (rc = exchange(store, &stored, wish, &written)) != HILUM_OK)
        return rc; /* replaced meanwhile, or the record's trouble: says nothing of the object */
    int64_t work_us = hl_mono_ns() / 1000 - began_us;
    if (rc != HILUM_OK)
        return leave(store, &stored, wish, rc, work_us);
    hl_compress_count(store, wish, NULL, stored.location.length, written.stored.location.length,
                      work_us);
    return HILUM_OK;
}

/* ---- on the way in ---- */

static void arriving_stored(const struct hl_ingest *ingest, struct hl_stored *out)
{
    *out = (struct hl_stored){0};
    snprintf(out->sop_class, sizeof out->sop_class, "%s", ingest->sop_class);
    snprintf(out->sop_instance, sizeof out->sop_instance, "%s", ingest->sop_instance);
    snprintf(out->transfer_syntax, sizeof out->transfer_syntax, "%s", ingest->transfer_syntax);
    snprintf(out->location.store, sizeof out->location.store, "%s", ingest->provider->name);
    snprintf(out->location.key, sizeof out->location.key, "%s", ingest->key);
    out->location.length = ingest->dataset_offset + ingest->length;
    out->location.dataset_offset = ingest->dataset_offset;
    hl_digest_final(ingest->hash, out->location.digest_stored);
}

/* The encoded object is the one that is committed. */
static void take_over(struct hl_ingest *ingest, struct written *written)
{
    const struct hl_stored *to = &written->stored;
    ingest->provider->table->abort(ingest->provider->instance, ingest->txn);
    ingest->txn = written->txn;
    written->txn = NULL;
    snprintf(ingest->received_as, sizeof ingest->received_as, "%s", ingest->transfer_syntax);
    snprintf(ingest->transfer_syntax, sizeof ingest->transfer_syntax, "%s", to->transfer_syntax);
    snprintf(ingest->key, sizeof ingest->key, "%s", to->location.key);
    ingest->dataset_offset = to->location.dataset_offset;
    ingest->length = to->location.length - to->location.dataset_offset;
    ingest->has_digest = true;
    memcpy(ingest->digest_stored, to->location.digest_stored, sizeof ingest->digest_stored);
}

/* A failure to encode is counted and no failure of the object: it is stored as it came. */
hilum_rc hl_compress_arriving(struct hl_ingest *ingest)
{
    struct hl_store *store = ingest->store;
    struct written written = {.provider = ingest->provider};
    const struct hl_compress wish = {
        .pack = ingest->compress, .rule = ingest->compress_rule, .min_bytes = ingest->compress_min};
    struct hl_stored stored;
    int64_t began_us = hl_mono_ns() / 1000;
    arriving_stored(ingest, &stored);
    hilum_rc rc = check_wish(&stored, &wish);
    if (rc != HILUM_OK) { /* stays as it came, and is synced with its group */
        hl_compress_count(store, &wish, hl_error(), 0, 0, hl_mono_ns() / 1000 - began_us);
        return HILUM_OK;
    }
    /* Only what is synced can be read. */
    rc = ingest->provider->table->sync(ingest->provider->instance, &ingest->txn, 1);
    if (rc != HILUM_OK)
        return rc;
    ingest->is_synced = true;
    struct hl_buf origin = {0};
    hl_origin_write(&ingest->source, ingest->digest_received, &origin);
    rc = make(store, &stored, &wish, ingest->source.calling_aet, &origin, &written);
    hl_buf_fini(&origin);
    int64_t work_us = hl_mono_ns() / 1000 - began_us;
    if (rc == HILUM_ECONFLICT)
        hl_log(HL_ERROR, "store", "%s is kept as it came: %s", ingest->sop_instance, hl_error());
    if (rc == HILUM_OK)
        take_over(ingest, &written);
    hl_compress_count(store, &wish, rc == HILUM_OK ? NULL : hl_error(), stored.location.length,
                      ingest->dataset_offset + ingest->length, work_us);
    return HILUM_OK;
}
