/* An object that leaves in another compressed syntax with its very code streams: JPEG within JPEG XL and out of it, byte for
 * byte. Nothing is decoded and nothing lost, so it stays the object it was, whatever its pixels have been through before.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/store/outgoing_internal.h"

#include <stdio.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/base/error.h"
#include "core/dicom/uid.h"
#include "core/store/frames.h"
#include "core/store/pixels.h"
#include "core/store/scan_head.h"

/* A pack takes explicit little endian, as all compressed data sets should be and some are not. */
static hilum_rc check_coding(struct hl_outgoing *outgoing)
{
    struct hl_coding coding = {0};
    uint8_t head[HL_HEAD_PEEK];
    bool is_explicit = outgoing->length >= sizeof head &&
                       hl_outgoing_read_stored(outgoing, 0, head, sizeof head) == HILUM_OK &&
                       !hl_head_sniff(head, &coding);
    return is_explicit ? HILUM_OK
                       : hl_fail(HILUM_EUNSUP, "its data set is not in explicit little endian");
}

static hilum_rc feed_all(struct hl_outgoing *outgoing, struct hl_pack *pack)
{
    struct hl_outgoing_cursor cursor = {0};
    hilum_rc rc = HILUM_OK;
    while (rc == HILUM_OK && !hl_outgoing_at_end(outgoing, &cursor)) {
        const uint8_t *bytes = NULL;
        size_t n = 0;
        rc = hl_outgoing_take(outgoing, &cursor, HL_OUTGOING_PIECE, &bytes, &n);
        if (rc == HILUM_OK)
            rc = hl_pack_feed(pack, bytes, n);
    }
    return rc;
}

/* *buf is cleared first; its fragments one behind the other. */
static hilum_rc read_frame(struct hl_outgoing *outgoing, const struct hl_frames *frames, uint64_t i,
                           struct hl_buf *buf)
{
    hilum_rc rc = HILUM_OK;
    hl_buf_clear(buf);
    for (size_t k = frames->starts[i]; rc == HILUM_OK && k < frames->starts[i + 1]; k++) {
        const struct hl_fragment_place *place = &frames->fragments[k];
        if (place->n > HL_FRAME_MAX - buf->len)
            return hl_fail(HILUM_EUNSUP, "a code stream of more than 2 GiB");
        if (!hl_buf_reserve(buf, (size_t)place->n))
            return hl_fail(HILUM_ENOMEM, "no memory for a code stream");
        rc = hl_outgoing_read_stored(outgoing, place->at, buf->data + buf->len, place->n);
        buf->len += (size_t)place->n;
    }
    return rc;
}

static hilum_rc add_frames(struct hl_outgoing *outgoing, const struct hl_frames *frames,
                           struct hl_pack *pack)
{
    struct hl_buf buf = {0};
    hilum_rc rc = HILUM_OK;
    for (uint64_t i = 0; rc == HILUM_OK && i < frames->n; i++) {
        rc = read_frame(outgoing, frames, i, &buf);
        if (rc == HILUM_OK)
            rc = hl_pack_add_coded(pack, outgoing->stored.transfer_syntax, buf.data, buf.len);
    }
    hl_buf_fini(&buf);
    return rc;
}

/* The digest has been compared by the scan before a fragment is looked at. */
static hilum_rc fill(struct hl_outgoing *outgoing, struct hl_scan *scan, struct hl_pack *pack)
{
    struct hl_frame_source source = {hl_outgoing_reader, outgoing};
    struct hl_frames frames = {0};
    hilum_rc rc = hl_outgoing_scan_leaving(outgoing, true, scan);
    if (rc == HILUM_OK)
        rc = hl_pack_open_coded(pack, scan);
    if (rc != HILUM_OK)
        return rc;
    const struct hl_element *pixels = hl_scan_find(scan, HL_TAG_PIXEL_DATA);
    rc = hl_frames_map(scan, hl_outgoing_shift_at(&outgoing->splice, pixels->offset),
                       outgoing->stored.transfer_syntax, &source, &frames);
    if (rc == HILUM_OK)
        rc = feed_all(outgoing, pack);
    if (rc == HILUM_OK)
        rc = add_frames(outgoing, &frames, pack);
    if (rc == HILUM_OK)
        rc = hl_pack_end(pack);
    hl_frames_fini(&frames);
    return rc;
}

hilum_rc hl_outgoing_repack(struct hl_outgoing *outgoing, const char *transfer_syntax)
{
    struct hl_pack_wish wish = {0};
    struct hl_pack *pack = NULL;
    struct hl_scan *scan = NULL;
    snprintf(wish.transfer_syntax, sizeof wish.transfer_syntax, "%s", transfer_syntax);
    hilum_rc rc = check_coding(outgoing);
    if (rc == HILUM_OK)
        rc = hl_scan_new(outgoing->stored.transfer_syntax, NULL, &scan);
    if (rc == HILUM_OK)
        rc = hl_pack_new(outgoing->store->options.codecs, &outgoing->store->spool, &wish, &pack);
    if (rc == HILUM_OK)
        rc = fill(outgoing, scan, pack);
    hl_scan_free(scan);
    if (rc == HILUM_OK) {
        outgoing->pack = pack;
        return HILUM_OK;
    }
    hl_pack_free(pack);
    hl_outgoing_reset(outgoing);
    return hl_fail_in(rc, "%s stays %s", outgoing->stored.sop_instance,
                      hl_uid_name(outgoing->stored.transfer_syntax));
}

/* ---- the same, when it comes back ---- */

static hilum_rc doubt(const char *what)
{
    return hl_fail(HILUM_ECONFLICT, "not the same when taken out: %s", what);
}

/* One of the two objects that are compared. */
struct side {
    struct hl_outgoing *outgoing;
    struct hl_scan *scan;
    struct hl_frames frames;
    struct hl_buf frame; /* the code stream being looked at */
};

static hilum_rc side_open(struct hl_outgoing *outgoing, struct side *out)
{
    struct hl_frame_source source = {hl_outgoing_reader, outgoing};
    *out = (struct side){.outgoing = outgoing};
    hilum_rc rc = hl_scan_new(outgoing->stored.transfer_syntax, NULL, &out->scan);
    if (rc == HILUM_OK)
        rc = hl_outgoing_scan(outgoing, out->scan); /* with its digest */
    if (rc == HILUM_OK)
        rc = hl_frames_map(out->scan, 0, outgoing->stored.transfer_syntax, &source, &out->frames);
    return rc == HILUM_OK && out->frames.is_native ? doubt("pixel data is not in fragments") : rc;
}

static void side_close(struct side *side)
{
    hl_scan_free(side->scan);
    hl_frames_fini(&side->frames);
    hl_buf_fini(&side->frame);
}

static bool is_about_fragments(uint32_t tag)
{
    return tag == HL_TAG_EXTENDED_TABLE || tag == HL_TAG_EXTENDED_LENGTHS ||
           tag == HL_TAG_TOTAL_LENGTH || tag == HL_TAG_PIXEL_DATA;
}

static const struct hl_element *next_kept(const struct side *side, size_t *i)
{
    while (*i < hl_scan_count(side->scan) && is_about_fragments(hl_scan_at(side->scan, *i)->tag))
        ++*i;
    return *i < hl_scan_count(side->scan) ? hl_scan_at(side->scan, (*i)++) : NULL;
}

static hilum_rc element_compare(const struct side *a, const struct hl_element *e,
                                const struct side *b, const struct hl_element *f)
{
    uint8_t one[4096], other[sizeof one];
    uint64_t left = e->header_length + e->length;
    if (e->tag != f->tag || e->header_length != f->header_length || e->length != f->length)
        return doubt("elements");
    for (uint64_t done = 0; done < left; done += sizeof one) {
        size_t n = left - done < sizeof one ? (size_t)(left - done) : sizeof one;
        hilum_rc rc = hl_outgoing_read_stored(a->outgoing, e->offset + done, one, n);
        if (rc == HILUM_OK)
            rc = hl_outgoing_read_stored(b->outgoing, f->offset + done, other, n);
        if (rc == HILUM_OK && memcmp(one, other, n) != 0)
            rc = doubt("the value of an element");
        if (rc != HILUM_OK)
            return rc;
    }
    return HILUM_OK;
}

static hilum_rc elements_compare(const struct side *a, const struct side *b)
{
    for (size_t i = 0, k = 0;;) {
        const struct hl_element *e = next_kept(a, &i), *f = next_kept(b, &k);
        if (!e || !f)
            return e == f ? HILUM_OK : doubt("the number of elements");
        hilum_rc rc = element_compare(a, e, b, f);
        if (rc != HILUM_OK)
            return rc;
    }
}

/* Frame i of `b` back through the codec, beside that of `a`. */
static hilum_rc stream_compare(struct side *a, struct side *b, const struct hilum_frame *declared,
                               uint64_t i, struct hl_buf *back)
{
    hilum_rc rc = read_frame(a->outgoing, &a->frames, i, &a->frame);
    if (rc == HILUM_OK)
        rc = read_frame(b->outgoing, &b->frames, i, &b->frame);
    if (rc == HILUM_OK) {
        const struct hl_code_stream given = {b->outgoing->stored.transfer_syntax, declared,
                                             b->frame.data, b->frame.len};
        rc = hl_repack_frame(b->outgoing->store->options.codecs, &given,
                             a->outgoing->stored.transfer_syntax, back);
    }
    if (rc == HILUM_OK && back->len % 2)
        hl_buf_byte(back, 0); /* as it lies in an item */
    if (rc == HILUM_OK &&
        (back->len != a->frame.len || memcmp(back->data, a->frame.data, back->len) != 0))
        rc = doubt("code streams");
    return rc == HILUM_OK ? rc : hl_fail_in(rc, "frame %llu", (unsigned long long)i + 1);
}

static hilum_rc streams_compare(struct side *a, struct side *b)
{
    struct hilum_frame declared;
    struct hl_buf back = {0};
    hl_pixels_declared(b->scan, &declared);
    hilum_rc rc = a->frames.n == b->frames.n ? HILUM_OK : doubt("the number of frames");
    for (uint64_t i = 0; rc == HILUM_OK && i < a->frames.n; i++)
        rc = stream_compare(a, b, &declared, i, &back);
    hl_buf_fini(&back);
    return rc;
}

hilum_rc hl_verify_repacked(struct hl_outgoing *a, struct hl_outgoing *b)
{
    struct side one = {0}, other = {0};
    hilum_rc rc = side_open(a, &one);
    if (rc == HILUM_OK)
        rc = side_open(b, &other);
    if (rc == HILUM_OK)
        rc = elements_compare(&one, &other);
    if (rc == HILUM_OK)
        rc = streams_compare(&one, &other);
    side_close(&one);
    side_close(&other);
    return rc;
}
