/* Are two forms of an object the same object: every element but those that an encoding changes, and every allocated bit
 * of every pixel (overlays and padding live above Bits Stored)?
 *
 * Asked before an encoded object takes the place of the original (compress.c), and so without
 * any of the shortcuts the encoding took: what was written is read back from the store and
 * decoded by the codec a reader would get. Pixels are compared as samples, in either planar
 * configuration.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/store/compress.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/dicom/uid.h"
#include "core/store/outgoing_internal.h"
#include "core/store/pixels.h"
#include "core/store/spool.h"

/* The native form: its elements, without the value of the pixel data. Fed in the order of the
 * data set, once. */
struct plain {
    struct hl_scan *scan;
    struct hl_spool rest;
    uint64_t seen, value_at, value_length; /* value_length 0: no pixel data yet */
};

static hilum_rc doubt(const char *what)
{
    return hl_fail(HILUM_ECONFLICT, "not the same when decoded: %s", what);
}

/* ---- elements ---- */

/* Pixel data is not spooled, frames are compared on their own; all else is, since the scan knows
 * places only when it has ended. */
static hilum_rc plain_feed(struct plain *plain, const uint8_t *p, size_t n)
{
    hilum_rc rc = hl_scan_feed(plain->scan, p, n);
    const struct hl_element *pixels =
        plain->value_length ? NULL : hl_scan_find(plain->scan, HL_TAG_PIXEL_DATA);
    if (pixels) {
        plain->value_at = pixels->offset + pixels->header_length;
        plain->value_length = pixels->length;
    }
    uint64_t end = plain->value_at + plain->value_length;
    while (n > 0 && rc == HILUM_OK) {
        bool is_before = !plain->value_length || plain->seen < plain->value_at;
        bool is_value = !is_before && plain->seen < end;
        uint64_t until = is_value                               ? end
                         : is_before && plain->value_length > 0 ? plain->value_at
                                                                : UINT64_MAX;
        size_t used = n < until - plain->seen ? n : (size_t)(until - plain->seen);
        rc = is_value ? HILUM_OK : hl_spool_add(&plain->rest, p, used);
        plain->seen += used;
        p += used;
        n -= used;
    }
    return rc;
}

static hilum_rc plain_read(struct hl_outgoing *outgoing, bool is_raw, struct plain *plain)
{
    plain->rest.place = &outgoing->store->spool;
    hilum_rc rc = hl_scan_new(HL_UID_EXPLICIT_LITTLE_ENDIAN, NULL, &plain->scan);
    if (rc == HILUM_OK)
        rc = hl_outgoing_to_native(outgoing, is_raw);
    for (bool is_last = false; rc == HILUM_OK && !is_last;) {
        const uint8_t *bytes = NULL;
        size_t n = 0;
        rc = hl_outgoing_next_native(outgoing, &bytes, &n);
        is_last = hl_outgoing_is_end(outgoing);
        if (rc == HILUM_OK && n > 0)
            rc = plain_feed(plain, bytes, n);
        else if (rc == HILUM_OK && !is_last)
            rc = hl_fail(HILUM_ECORRUPT, "stored object ends earlier than recorded");
    }
    return rc == HILUM_OK ? hl_scan_end(plain->scan) : rc;
}

/* What an encoding may change about the description of pixels (PS3.5 8.2, PS3.3 C.7.6.3.1.2);
 * everything else must be there as it was. */
static bool is_changed(uint32_t tag)
{
    return tag == HL_TAG_PHOTOMETRIC || tag == HL_TAG_PLANAR || tag == HL_TAG_EXTENDED_TABLE ||
           tag == HL_TAG_EXTENDED_LENGTHS || tag == HL_TAG_TOTAL_LENGTH || tag == HL_TAG_PIXEL_DATA;
}

static const struct hl_element *next_kept(const struct hl_scan *scan, size_t *i)
{
    while (*i < hl_scan_count(scan) && is_changed(hl_scan_at(scan, *i)->tag))
        ++*i;
    return *i < hl_scan_count(scan) ? hl_scan_at(scan, (*i)++) : NULL;
}

/* Head and value, as they lie. */
static hilum_rc element_compare(struct plain *a, const struct hl_element *e, struct hl_outgoing *b,
                                const struct hl_element *f)
{
    uint8_t theirs[4096];
    uint64_t left = e->header_length + e->length;
    uint64_t at = e->offset >= a->value_at + a->value_length && a->value_length
                      ? e->offset - a->value_length
                      : e->offset;
    if (e->tag != f->tag || e->header_length != f->header_length || e->length != f->length)
        return doubt("elements");
    for (uint64_t done = 0; done < left;) {
        const uint8_t *ours = NULL;
        size_t n = left - done < sizeof theirs ? (size_t)(left - done) : sizeof theirs;
        hilum_rc rc = hl_spool_read(&a->rest, at + done, &n, &ours);
        if (rc == HILUM_OK && n == 0)
            rc = hl_fail(HILUM_EINTERNAL, "an element ends early");
        if (rc == HILUM_OK)
            rc = hl_outgoing_read_stored(b, f->offset + done, theirs, n);
        if (rc == HILUM_OK && memcmp(ours, theirs, n) != 0)
            rc = doubt("the value of an element");
        if (rc != HILUM_OK)
            return rc;
        done += n;
    }
    return HILUM_OK;
}

static hilum_rc elements_compare(struct plain *a, struct hl_outgoing *b, const struct hl_scan *scan)
{
    hilum_rc rc = HILUM_OK;
    for (size_t i = 0, k = 0; rc == HILUM_OK;) {
        const struct hl_element *e = next_kept(a->scan, &i), *f = next_kept(scan, &k);
        if (!e || !f)
            return e == f ? HILUM_OK : doubt("the number of elements");
        rc = element_compare(a, e, b, f);
    }
    return rc;
}

/* ---- pixels ---- */

static bool is_same_planes(const struct hilum_frame *a, const uint8_t *p,
                           const struct hilum_frame *b, const uint8_t *q)
{
    size_t bytes = a->bits_allocated / 8, pixels = (size_t)a->columns * a->rows;
    for (size_t i = 0; i < pixels; i++)
        for (size_t k = 0; k < a->samples; k++) {
            size_t at = a->is_planar ? k * pixels + i : i * a->samples + k;
            size_t to = b->is_planar ? k * pixels + i : i * b->samples + k;
            if (memcmp(p + at * bytes, q + to * bytes, bytes) != 0)
                return false;
        }
    return true;
}

static hilum_rc frame_compare(struct hl_outgoing *a, struct hl_outgoing *b, uint64_t i)
{
    struct hilum_frame one = {.size = sizeof one}, other = {.size = sizeof other};
    const void *p = NULL, *q = NULL;
    uint64_t n = 0, m = 0;
    hilum_rc rc = hl_outgoing_frame(a, i, &one, &p, &n);
    if (rc == HILUM_OK)
        rc = hl_outgoing_frame(b, i, &other, &q, &m);
    if (rc != HILUM_OK)
        return rc;
    if (n != m || one.columns != other.columns || one.rows != other.rows ||
        one.samples != other.samples || one.bits_allocated != other.bits_allocated ||
        one.photometric != other.photometric || one.sample_type != other.sample_type)
        return doubt("the kind of frames");
    bool is_same = one.samples > 1 && one.is_planar != other.is_planar
                       ? is_same_planes(&one, p, &other, q)
                       : memcmp(p, q, (size_t)n) == 0;
    return is_same ? HILUM_OK
                   : hl_fail_in(doubt("pixels"), "frame %llu", (unsigned long long)i + 1);
}

/* One frame more must not be there either. */
static hilum_rc pixels_compare(struct hl_outgoing *a, struct hl_outgoing *b, uint64_t frames)
{
    struct hilum_frame ignored = {.size = sizeof ignored};
    const void *p = NULL;
    uint64_t n = 0;
    hilum_rc rc = HILUM_OK;
    for (uint64_t i = 0; rc == HILUM_OK && i < frames; i++)
        rc = frame_compare(a, b, i);
    if (rc == HILUM_OK && hl_outgoing_frame(b, frames, &ignored, &p, &n) == HILUM_OK)
        rc = doubt("the number of frames");
    return rc;
}

/* ---- all of it ---- */

hilum_rc hl_verify_same(struct hl_outgoing *a, struct hl_outgoing *b, bool is_raw)
{
    struct plain plain = {0};
    struct hl_scan *scan = NULL;
    hilum_rc rc = plain_read(a, is_raw, &plain);
    if (rc == HILUM_OK)
        rc = hl_scan_new(b->stored.transfer_syntax, NULL, &scan);
    if (rc == HILUM_OK)
        rc = hl_outgoing_scan(b, scan); /* with its digest */
    if (rc == HILUM_OK)
        rc = elements_compare(&plain, b, scan);
    if (rc == HILUM_OK)
        rc = pixels_compare(a, b, hl_pixels_frames(plain.scan));
    hl_scan_free(scan);
    hl_scan_free(plain.scan);
    hl_spool_fini(&plain.rest);
    return rc;
}
