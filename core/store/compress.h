/* Objects that are kept smaller than they came, and prove that nothing is lost before anybody relies on it: on their
 * way in, or later where they lie. Knows stores and the record; nothing of rules. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_STORE_COMPRESS_H
#define HL_STORE_COMPRESS_H

#include "core/store/ingest.h"

struct hl_compress {
    struct hl_pack_wish pack; /* never with loss */
    const char *rule;         /* who wants it */
    int64_t keep_ms;          /* the original stays for so long */
    uint64_t min_bytes;       /* smaller objects stay as they are */
};

/* Encodes a stored object, reads back and decodes what was written, compares every allocated bit, and only then makes it
 * the one that counts; the original is erased after keep_ms. Any thread. HILUM_OK: it is so, or was before;
 * HILUM_EUNSUP: it stays as it was, for a reason that lasts and is remembered (hl_error()); HILUM_ECONFLICT,
 * HILUM_ENOTFOUND: replaced or gone meanwhile; HILUM_EAGAIN and what stores, codecs and the record return: it may be tried
 * again. A crash at any point leaves the original, or both. */
hilum_rc hl_store_compress(struct hl_store *store, int64_t instance_id,
                           const struct hl_compress *wish);

/* ---- for core/store only ---- */

/* Decoded, is b what a is? `a` has not begun to leave; is_raw: b's elements were taken from a as they lie. Any error is a
 * doubt; HILUM_ECONFLICT: they differ. */
hilum_rc hl_verify_same(struct hl_outgoing *a, struct hl_outgoing *b, bool is_raw);
/* As hl_store_compress on the way in (`ingest->compress`): where an encoding was tried, what is to be committed is then durable under
 * its pending key, encoded or not. Only a store that fails is an error. */
hilum_rc hl_compress_arriving(struct hl_ingest *ingest);
/* Counts for the report. `why` NULL: done. */
void hl_compress_count(struct hl_store *store, const struct hl_compress *wish, const char *why,
                       uint64_t before, uint64_t after, int64_t work_us);
hilum_rc hl_compress_flush(struct hl_store *store);

#endif
