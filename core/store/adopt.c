/* An object that lies in a store gets (back) its row: for orphans and for a lost catalogue.
 *
 * Reads every byte once: the digest that is recorded is that of what lies there now. Used by
 * fsck and by a rebuild, one object at a time, on their thread.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/store/store_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/store/origin.h"

struct reading {
    const struct hl_store_provider *provider;
    const char *key;
    uint64_t length;
    uint8_t *piece; /* HL_PART10_HEAD */
    XXH3_state_t *hash;
    struct hl_scan *scan;
    struct hl_part10 head;
};

/* Only what we have written has both UIDs in its head; anything else in the store is not ours to
 * adopt. */
static hilum_rc head_read(struct reading *reading)
{
    uint64_t got = 0;
    hilum_rc rc = reading->provider->table->read(reading->provider->instance, reading->key, 0,
                                                 reading->piece, HL_PART10_HEAD, &got);
    if (rc == HILUM_OK && hl_part10_read(reading->piece, (size_t)got, &reading->head) != HILUM_OK)
        rc = hl_fail_in(HILUM_ECORRUPT, "object %s", reading->key);
    if (rc == HILUM_OK &&
        (reading->head.sop_instance[0] == '\0' || reading->head.sop_class[0] == '\0'))
        rc = hl_fail(HILUM_ECORRUPT, "object %s: no file meta information of ours", reading->key);
    return rc;
}

/* Scan and digest in one pass. The scan must come to its end: a torn object is no whole one. */
static hilum_rc dataset_read(struct reading *reading)
{
    hilum_rc rc = hl_scan_new(reading->head.transfer_syntax, NULL, &reading->scan);
    uint64_t got = 1;
    for (uint64_t at = reading->head.dataset_offset; rc == HILUM_OK && at < reading->length;
         at += got) {
        rc = reading->provider->table->read(reading->provider->instance, reading->key, at,
                                            reading->piece, HL_PART10_HEAD, &got);
        if (rc == HILUM_OK && got == 0)
            rc = hl_fail(HILUM_ECORRUPT, "object %s ends early", reading->key);
        if (rc != HILUM_OK)
            break;
        XXH3_128bits_update(reading->hash, reading->piece, got);
        if (hl_scan_feed(reading->scan, reading->piece, got) != HILUM_OK)
            rc = hl_fail_in(HILUM_ECORRUPT, "object %s", reading->key);
    }
    if (rc == HILUM_OK && hl_scan_end(reading->scan) != HILUM_OK)
        rc = hl_fail_in(HILUM_ECORRUPT, "object %s", reading->key);
    return rc;
}

/* Texts point into the origin, which lives as long as the row. */
static void origin_fill(struct hl_adopted *out)
{
    out->row.peer = hl_origin_text(out->origin, "peer");
    out->row.calling_aet = hl_origin_text(out->origin, "calling");
    out->row.called_aet = hl_origin_text(out->origin, "called");
    out->row.address = hl_origin_text(out->origin, "address");
    out->row.default_issuer = hl_origin_text(out->origin, "issuer");
    (void)hl_origin_digest(out->origin, out->row.digest_received);
}

static void row_fill(const struct reading *reading, bool is_repaired, bool is_derived,
                     struct hl_adopted *out)
{
    struct hl_location *location = &out->row.location;
    snprintf(out->transfer_syntax, sizeof out->transfer_syntax, "%s",
             reading->head.transfer_syntax);
    snprintf(location->store, sizeof location->store, "%s", reading->provider->name);
    snprintf(location->key, sizeof location->key, "%s", reading->key);
    location->length = reading->length;
    location->dataset_offset = reading->head.dataset_offset;
    hl_digest_final(reading->hash, location->digest_stored);
    /* As it lies there, unless the object says that it came otherwise. */
    XXH3_128bits_update(reading->hash, out->transfer_syntax, strlen(out->transfer_syntax));
    hl_digest_final(reading->hash, out->row.digest_received);
    out->row.attrs = &out->attrs;
    out->row.transfer_syntax = out->transfer_syntax;
    origin_fill(out);
    out->row.remarks = hl_scan_remarks(reading->scan);
    hl_header_remarks(out->row.remarks, is_repaired, is_derived, &out->remark);
    out->row.remark_text = out->remark.len > 0 ? hl_buf_str(&out->remark) : NULL;
}

/* The head's UIDs stand in for what the data set lacks, as at its first arrival. */
hilum_rc hl_adopt_read(const struct hl_store_provider *provider, const char *key, uint64_t length,
                       struct hl_adopted *out)
{
    struct reading reading = {.provider = provider,
                              .key = key,
                              .length = length,
                              .piece = malloc(HL_PART10_HEAD),
                              .hash = XXH3_createState()};
    bool is_repaired = false, is_derived = false;
    memset(out, 0, sizeof *out);
    hilum_rc rc = reading.piece != NULL && reading.hash != NULL
                      ? HILUM_OK
                      : hl_fail(HILUM_ENOMEM, "no memory");
    if (rc == HILUM_OK) {
        XXH3_128bits_reset(reading.hash);
        rc = head_read(&reading);
    }
    if (rc == HILUM_OK)
        out->origin = hl_origin_read(reading.piece, &reading.head);
    const char *charset = hl_origin_text(out->origin, "charset");
    if (rc == HILUM_OK)
        rc = dataset_read(&reading);
    if (rc == HILUM_OK)
        rc = hl_header_read(reading.scan, charset[0] ? charset : NULL, &out->attrs, &is_repaired);
    if (rc == HILUM_OK)
        rc = hl_derive_identity(&out->attrs, reading.head.sop_class, reading.head.sop_instance,
                                &is_derived);
    if (rc == HILUM_OK)
        row_fill(&reading, is_repaired, is_derived, out);
    hl_scan_free(reading.scan);
    XXH3_freeState(reading.hash);
    free(reading.piece);
    return rc;
}

void hl_adopt_fini(struct hl_adopted *adopted)
{
    json_decref(adopted->origin);
    hl_attrs_fini(&adopted->attrs);
    hl_buf_fini(&adopted->remark);
}

bool hl_key_is_aside(const char *key)
{
    return strncmp(key, HL_ASIDE, strlen(HL_ASIDE)) == 0 ||
           strncmp(key, HL_LOG_KEYS, strlen(HL_LOG_KEYS)) == 0 ||
           strncmp(key, HL_PROBE_KEYS, strlen(HL_PROBE_KEYS)) == 0;
}
