/* An object that is encoded as it leaves: all of it, before its first byte.
 *
 * It cannot be otherwise: the offset table stands before the frames (PS3.5 A.4), and a frame that
 * cannot be encoded must be known before anything has left. What is encoded waits in a spool.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/store/outgoing_internal.h"

#include "core/base/error.h"
#include "core/dicom/uid.h"

/* The digest of what is stored is compared on the way, so what was encoded is what was stored. */
static hilum_rc feed_all(struct hl_outgoing *outgoing, struct hl_pack *pack)
{
    hilum_rc rc = HILUM_OK;
    for (bool is_last = false; rc == HILUM_OK && !is_last;) {
        const uint8_t *bytes = NULL;
        size_t n = 0;
        rc = hl_outgoing_next_native(outgoing, &bytes, &n);
        is_last = hl_outgoing_is_end(outgoing);
        if (rc == HILUM_OK && n == 0 && !is_last)
            rc = hl_fail(HILUM_ECORRUPT, "stored object ends earlier than recorded");
        if (rc == HILUM_OK && n > 0)
            rc = hl_pack_feed(pack, bytes, n);
    }
    return rc == HILUM_OK ? hl_pack_end(pack) : rc;
}

hilum_rc hl_outgoing_encode(struct hl_outgoing *outgoing, const struct hl_pack_wish *wish)
{
    const char *stored = outgoing->stored.transfer_syntax;
    struct hl_pack *pack = NULL;
    if (hl_repack_can(stored, wish->transfer_syntax))
        return hl_outgoing_repack(outgoing, wish->transfer_syntax);
    hilum_rc rc =
        hl_pack_can(stored, wish->transfer_syntax, wish->may_lose)
            ? hl_outgoing_to_native(outgoing, wish->keeps_elements)
            : hl_fail(HILUM_EUNSUP, "no encoding to %s", hl_uid_name(wish->transfer_syntax));
    if (rc == HILUM_OK)
        rc = hl_pack_new(outgoing->store->options.codecs, &outgoing->store->spool, wish, &pack);
    if (rc == HILUM_OK)
        rc = feed_all(outgoing, pack);
    if (rc == HILUM_OK) {
        outgoing->pack = pack;
        return HILUM_OK;
    }
    hl_pack_free(pack);
    hl_outgoing_reset(outgoing);
    return hl_fail_in(rc, "%s stays %s", outgoing->stored.sop_instance, hl_uid_name(stored));
}
