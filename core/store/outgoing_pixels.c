/* An object whose compressed pixels are decoded as it leaves.
 *
 * Two splices then lie over each other: corrections over the stored bytes, and over what they
 * make the new description of the pixels (hl_splice_compose). Frames themselves are read past
 * both, where they lie.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/store/outgoing_internal.h"

#include "core/base/error.h"

/* Fragments are looked for where they lie in the store, whatever has been spliced around them. */
hilum_rc hl_outgoing_reader(void *arg, uint64_t at, void *dst, uint64_t n)
{
    return hl_outgoing_read_stored(arg, at, dst, n);
}

/* The data set as it leaves: with corrections applied, if there are any. Frames asked for while it is leaving must not
 * disturb the digest of what has left. */
hilum_rc hl_outgoing_scan_leaving(struct hl_outgoing *outgoing, bool is_digested,
                                  struct hl_scan *scan)
{
    struct hl_outgoing_cursor cursor = {0};
    hilum_rc rc = HILUM_OK;
    if (is_digested && outgoing->splice.count == 0)
        return hl_outgoing_scan(outgoing, scan);
    while (rc == HILUM_OK && !hl_outgoing_at_end(outgoing, &cursor)) {
        const uint8_t *bytes = NULL;
        size_t n = 0;
        rc = hl_outgoing_take(outgoing, &cursor, HL_OUTGOING_PIECE, &bytes, &n);
        if (rc == HILUM_OK)
            rc = hl_scan_feed(scan, bytes, n);
    }
    return rc == HILUM_OK ? hl_scan_end(scan) : rc;
}

/* From a place in the data set as it leaves to the same in the stored one. No correction changes pixels. */
int64_t hl_outgoing_shift_at(const struct hl_splice *splice, uint64_t place)
{
    uint64_t at = 0;
    for (size_t i = 0; i < splice->count; i++) {
        const struct hl_piece *piece = &splice->pieces[i];
        if (place >= at && place - at < piece->length)
            return (int64_t)piece->offset - (int64_t)at;
        at += piece->length;
    }
    return 0;
}

/* Lays the splice that decodes over the one that corrects, which must live on under it. */
static hilum_rc plan(struct hl_outgoing *outgoing, const struct hl_scan *scan,
                     struct hl_unpack *unpack)
{
    struct hl_splice over;
    const struct hl_edit *edits;
    size_t n = hl_unpack_edits(unpack, &edits);
    hilum_rc rc = hl_splice_plan(scan, edits, n, &over);
    if (rc == HILUM_OK)
        rc = hl_splice_compose(&outgoing->splice, hl_unpack_length(unpack), false, &over);
    if (rc != HILUM_OK)
        return rc;
    outgoing->under = outgoing->splice;
    outgoing->splice = over;
    return HILUM_OK;
}

static hilum_rc unpack_scanned(struct hl_outgoing *outgoing, const struct hl_scan *scan,
                               bool is_whole)
{
    const struct hl_element *pixels = hl_scan_find(scan, HL_TAG_PIXEL_DATA);
    struct hl_frame_source source = {hl_outgoing_reader, outgoing};
    struct hl_unpack *unpack = NULL;
    int64_t shift = pixels ? hl_outgoing_shift_at(&outgoing->splice, pixels->offset) : 0;
    hilum_rc rc =
        hl_unpack_new(outgoing->store->options.codecs, outgoing->stored.transfer_syntax, scan,
                      shift, &source, is_whole ? &outgoing->store->spool : NULL, &unpack);
    if (rc == HILUM_OK)
        rc = plan(outgoing, scan, unpack);
    if (rc == HILUM_OK)
        outgoing->unpack = unpack;
    else
        hl_unpack_free(unpack);
    return rc;
}

hilum_rc hl_outgoing_unpack(struct hl_outgoing *outgoing, bool is_whole)
{
    struct hl_scan *scan = NULL;
    hilum_rc rc = hl_scan_new(outgoing->stored.transfer_syntax, NULL, &scan);
    if (rc == HILUM_OK)
        rc = hl_outgoing_scan_leaving(outgoing, true, scan);
    if (rc == HILUM_OK)
        rc = unpack_scanned(outgoing, scan, is_whole);
    hl_scan_free(scan);
    return rc;
}
