/* An object whose compressed pixels are decoded as it leaves. SPDX-License-Identifier: Apache-2.0 */
#include "core/store/outgoing_internal.h"

#include "core/base/error.h"

/* Fragments are looked for where they lie in the store, whatever has been spliced around them. */
static hilum_rc read_stored(void *arg, uint64_t at, void *dst, uint64_t n)
{
    return hl_outgoing_read_stored(arg, at, dst, n);
}

/* The data set as it leaves: with corrections applied, if there are any. Frames asked for while it is leaving must not
 * disturb the digest of what has left. */
static hilum_rc scan_leaving(struct hl_outgoing *outgoing, bool is_digested, struct hl_scan *scan)
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
static int64_t shift_at(const struct hl_splice *splice, uint64_t place)
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
    struct hl_frame_source source = {read_stored, outgoing};
    struct hl_unpack *unpack = NULL;
    int64_t shift = pixels ? shift_at(&outgoing->splice, pixels->offset) : 0;
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
        rc = scan_leaving(outgoing, true, scan);
    if (rc == HILUM_OK)
        rc = unpack_scanned(outgoing, scan, is_whole);
    hl_scan_free(scan);
    return rc;
}

/* ---- frames ---- */

static hilum_rc view_open(struct hl_outgoing *outgoing)
{
    struct hl_frame_source source = {read_stored, outgoing};
    struct hl_scan *scan = NULL;
    hilum_rc rc = hl_scan_new(outgoing->stored.transfer_syntax, NULL, &scan);
    if (rc == HILUM_OK)
        rc = scan_leaving(outgoing, false, scan);
    const struct hl_element *pixels = rc == HILUM_OK ? hl_scan_find(scan, HL_TAG_PIXEL_DATA) : NULL;
    if (rc == HILUM_OK)
        rc = hl_unpack_view(outgoing->store->options.codecs, outgoing->stored.transfer_syntax, scan,
                            pixels ? shift_at(&outgoing->splice, pixels->offset) : 0, &source,
                            &outgoing->view);
    hl_scan_free(scan);
    return rc;
}

hilum_rc hl_outgoing_frame(struct hl_outgoing *outgoing, uint64_t i, struct hilum_frame *out,
                           const void **pixels, uint64_t *n)
{
    if (outgoing->unpack != NULL)
        return hl_unpack_frame(outgoing->unpack, i, out, pixels, n);
    hilum_rc rc = outgoing->view != NULL ? HILUM_OK : view_open(outgoing);
    return rc == HILUM_OK ? hl_unpack_frame(outgoing->view, i, out, pixels, n) : rc;
}

hilum_rc hl_outgoing_kind(struct hl_outgoing *outgoing, struct hilum_frame *out, uint32_t *levels,
                          uint64_t *n_frames)
{
    hilum_rc rc = outgoing->view != NULL ? HILUM_OK : view_open(outgoing);
    if (rc != HILUM_OK)
        return rc;
    *levels = hl_unpack_kind(outgoing->view, out);
    *n_frames = hl_unpack_frames(outgoing->view);
    return HILUM_OK;
}

hilum_rc hl_outgoing_reduced(struct hl_outgoing *outgoing, uint64_t i, uint32_t reduce, void *dst,
                             uint64_t n)
{
    hilum_rc rc = outgoing->view != NULL ? HILUM_OK : view_open(outgoing);
    return rc == HILUM_OK ? hl_unpack_reduced(outgoing->view, i, reduce, dst, n) : rc;
}
