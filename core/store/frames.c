/* Where the frames of an object lie. Encapsulated ones are looked for in this order, the first
 * answer that fits counts: one frame (all fragments are its), as many fragments as frames (one
 * each), the extended offset table, the basic one, the first bytes of each fragment. Tables come
 * late because many are wrong or empty and the two cases before them need none; each offset is
 * only believed where a fragment begins.
 *
 * Nothing of the data set is trusted: every number is checked against the bytes there are,
 * since what comes out is used to read without further looks.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/store/frames.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/base/error.h"
#include "core/dicom/uid.h"
#include "core/store/pixels.h"
#include "core/store/scan_head.h"

enum {
    ITEM_HEAD = 8,
    FRAGMENTS_MAX = 1 << 22, /* a day of video at a fragment a frame; 64 MiB of places */
    SIGNATURE = 16
};

/* An encapsulated object being mapped. */
struct mapping {
    const struct hl_scan *scan;
    const struct hl_frame_source *source;
    int64_t shift;
    struct hl_frames *out;
    uint64_t end;                   /* of the data set; 0: where the pixel data end is known */
    bool is_xl;                     /* JPEG XL: its bare streams begin with two bytes only */
    struct hl_fragment_place table; /* the basic offset table's bytes */
};

static int64_t number_of(const struct hl_scan *scan, uint32_t tag, int64_t fallback)
{
    int64_t value = 0;
    return hl_scan_int(scan, tag, &value) == HILUM_OK ? value : fallback;
}

static hilum_rc read_at(const struct mapping *mapping, uint64_t at, void *dst, uint64_t n)
{
    return mapping->source->read(mapping->source->arg, at, dst, n);
}

/* ---- native ---- */

/* 65535: Rows and Columns are US. YBR_FULL_422 shares its colours between two pixels: two
 * thirds of the bytes (PS3.3 C.7.6.3.1.2). */
static hilum_rc map_native(const struct mapping *mapping, const struct hl_element *pixels)
{
    const struct hl_scan *scan = mapping->scan;
    struct hl_frames *out = mapping->out;
    char photometric[17];
    uint64_t rows = (uint64_t)number_of(scan, HL_TAG_ROWS, 0);
    uint64_t columns = (uint64_t)number_of(scan, HL_TAG_COLUMNS, 0);
    uint64_t samples = (uint64_t)number_of(scan, HL_TAG_SAMPLES, 1);
    uint64_t bits = (uint64_t)number_of(scan, HL_TAG_ALLOCATED, 0);
    if (rows > 65535 || columns > 65535 || samples > 4 || bits > 64)
        return hl_fail(HILUM_ECORRUPT, "pixels of impossible dimensions");
    hl_scan_text(scan, HL_TAG_PHOTOMETRIC, photometric, sizeof photometric);
    out->is_native = true;
    out->first = (uint64_t)((int64_t)(pixels->offset + pixels->header_length) + mapping->shift);
    out->bits = rows * columns * samples * bits;
    if (strcmp(photometric, "YBR_FULL_422") == 0)
        out->bits = out->bits / 3 * 2;
    if (!out->bits || pixels->length / out->n < out->bits / 8 ||
        pixels->length < (out->bits * out->n + 7) / 8)
        return hl_fail(HILUM_ECORRUPT, "%llu frames do not fit into %llu bytes of pixels",
                       (unsigned long long)out->n, (unsigned long long)pixels->length);
    return HILUM_OK;
}

/* ---- fragments ---- */

static hilum_rc add_fragment(struct mapping *mapping, uint64_t at, uint64_t n)
{
    struct hl_frames *out = mapping->out;
    if (out->n_fragments == FRAGMENTS_MAX)
        return hl_fail(HILUM_EUNSUP, "pixel data of more than %d fragments", FRAGMENTS_MAX);
    if (!hl_grow(&out->fragments, &out->cap_fragments, out->n_fragments, sizeof *out->fragments))
        return hl_fail(HILUM_ENOMEM, "frame map: no memory");
    out->fragments[out->n_fragments++] = (struct hl_fragment_place){at, n};
    return HILUM_OK;
}

/* Heads of items only: the first is the basic offset table, which may be empty. One small read
 * a fragment, from the page cache as a rule. Without a delimiter it ends where the data set
 * ends: some writers forget it. */
static hilum_rc walk_items(struct mapping *mapping, uint64_t at, uint64_t end)
{
    hilum_rc rc = HILUM_OK;
    for (bool is_first = true; rc == HILUM_OK && end - at >= ITEM_HEAD; is_first = false) {
        uint8_t head[ITEM_HEAD];
        rc = read_at(mapping, at, head, sizeof head);
        if (rc != HILUM_OK)
            return rc;
        uint32_t tag = hl_get_tag(head, false), n = hl_get32(head + 4, false);
        at += ITEM_HEAD;
        if (tag == HL_TAG_SEQUENCE_END)
            return HILUM_OK;
        if (tag != HL_TAG_ITEM || n > end - at)
            return hl_fail(HILUM_ECORRUPT, "fragment %zu of the pixel data leads nowhere",
                           mapping->out->n_fragments + 1);
        if (is_first)
            mapping->table = (struct hl_fragment_place){at, n};
        else
            rc = add_fragment(mapping, at, n);
        at += n;
    }
    return rc;
}

/* ---- tables ---- */

/* Frames begin where a table says, and a fragment begins there too; false: the table is not to
 * be believed. Both lists ascend, so one pass does. */
static bool starts_from(struct mapping *mapping, const uint8_t *table, size_t width)
{
    struct hl_frames *out = mapping->out;
    uint64_t base = out->fragments[0].at - ITEM_HEAD;
    size_t fragment = 0;
    for (uint64_t i = 0; i < out->n; i++) {
        uint64_t offset = hl_get32(table + i * width, false);
        if (width == 8)
            offset |= (uint64_t)hl_get32(table + i * width + 4, false) << 32;
        while (fragment < out->n_fragments &&
               out->fragments[fragment].at - ITEM_HEAD - base < offset)
            fragment++;
        if (fragment == out->n_fragments ||
            out->fragments[fragment].at - ITEM_HEAD - base != offset ||
            (i > 0 && fragment <= out->starts[i - 1]) || (i == 0 && fragment != 0))
            return false;
        out->starts[i] = fragment;
    }
    return true;
}

static bool try_table(struct mapping *mapping, uint64_t at, uint64_t n, size_t width)
{
    bool is_good = false;
    if (n < mapping->out->n * width)
        return false;
    uint8_t *table = malloc((size_t)(mapping->out->n * width) + 1);
    if (table && read_at(mapping, at, table, mapping->out->n * width) == HILUM_OK)
        is_good = starts_from(mapping, table, width);
    free(table);
    return is_good;
}

static bool try_tables(struct mapping *mapping)
{
    const struct hl_element *extended = hl_scan_find(mapping->scan, HL_TAG_EXTENDED_TABLE);
    if (extended && try_table(mapping,
                              (uint64_t)((int64_t)(extended->offset + extended->header_length) +
                                         mapping->shift),
                              extended->length, 8))
        return true;
    return mapping->table.n && try_table(mapping, mapping->table.at, mapping->table.n, 4);
}

/* ---- code streams ---- */

/* A bare stream of JPEG XL or its box; of the former two bytes only, which say nothing in other syntaxes. */
static bool begins_xl(const uint8_t *p)
{
    static const uint8_t bare[] = {0xFF, 0x0A}, box[] = {0, 0, 0, 12, 'J', 'X', 'L', ' '};
    return memcmp(p, bare, sizeof bare) == 0 || memcmp(p, box, sizeof box) == 0;
}

/* SOI of JPEG and JPEG-LS with the next marker, SOC and SIZ of JPEG 2000, the box of JP2; RLE
 * says 1 to 15 segments of which the first begins behind its head of 64 bytes (PS3.5 G.5). In
 * the middle of a stream these are next to impossible, and too many found is an error. */
static bool begins_stream(const uint8_t *p, size_t n, bool is_xl)
{
    static const uint8_t jpeg[] = {0xFF, 0xD8, 0xFF}, j2k[] = {0xFF, 0x4F, 0xFF, 0x51},
                         jp2[] = {0, 0, 0, 12, 'j', 'P', ' ', ' '};
    if (n < SIGNATURE)
        return false;
    if (is_xl)
        return begins_xl(p);
    bool is_rle =
        hl_get32(p, false) >= 1 && hl_get32(p, false) <= 15 && hl_get32(p + 4, false) == 64;
    return is_rle || memcmp(p, jpeg, sizeof jpeg) == 0 || memcmp(p, j2k, sizeof j2k) == 0 ||
           memcmp(p, jp2, sizeof jp2) == 0;
}

/* No table: a frame begins in each fragment that begins a code stream. */
static hilum_rc find_streams(struct mapping *mapping)
{
    struct hl_frames *out = mapping->out;
    uint64_t found = 0;
    for (size_t i = 0; i < out->n_fragments; i++) {
        uint8_t head[SIGNATURE] = {0};
        size_t n = out->fragments[i].n < sizeof head ? (size_t)out->fragments[i].n : sizeof head;
        hilum_rc rc = read_at(mapping, out->fragments[i].at, head, n);
        if (rc != HILUM_OK)
            return rc;
        if (i > 0 && !begins_stream(head, n, mapping->is_xl))
            continue;
        if (found < out->n)
            out->starts[found] = i;
        found++;
    }
    if (found != out->n)
        return hl_fail(HILUM_EUNSUP, "%llu frames in %zu fragments cannot be told apart",
                       (unsigned long long)out->n, out->n_fragments);
    return HILUM_OK;
}

static hilum_rc find_starts(struct mapping *mapping)
{
    struct hl_frames *out = mapping->out;
    if (out->n > out->n_fragments)
        return hl_fail(HILUM_ECORRUPT, "%llu frames in %zu fragments", (unsigned long long)out->n,
                       out->n_fragments);
    out->starts = calloc((size_t)out->n + 1, sizeof *out->starts);
    if (!out->starts)
        return hl_fail(HILUM_ENOMEM, "frame map: no memory");
    out->starts[out->n] = out->n_fragments;
    if (out->n == 1) /* starts at the first */
        return HILUM_OK;
    for (uint64_t i = 0; i < out->n && out->n == out->n_fragments; i++)
        out->starts[i] = (size_t)i;
    if (out->n == out->n_fragments || try_tables(mapping))
        return HILUM_OK;
    return find_streams(mapping);
}

static hilum_rc map_encapsulated(struct mapping *mapping, const struct hl_element *pixels,
                                 const char *transfer_syntax)
{
    const struct hl_syntax *syntax = hl_uid_syntax(transfer_syntax);
    uint64_t at = (uint64_t)((int64_t)(pixels->offset + pixels->header_length) + mapping->shift);
    if (syntax &&
        syntax->flags & HL_SYNTAX_VIDEO) /* one stream, whatever its fragments (PS3.5 8.2.7) */
        mapping->out->n = 1;
    mapping->is_xl = strncmp(transfer_syntax, HL_UID_JPEG_XL, strlen(HL_UID_JPEG_XL)) == 0;
    uint64_t end = mapping->end > at ? mapping->end : at + pixels->length;
    hilum_rc rc = walk_items(mapping, at, end);
    return rc == HILUM_OK ? find_starts(mapping) : rc;
}

hilum_rc hl_frames_map(const struct hl_scan *scan, int64_t shift, const char *transfer_syntax,
                       const struct hl_frame_source *source, struct hl_frames *out)
{
    return hl_frames_map_to(scan, shift, transfer_syntax, source, 0, out);
}

hilum_rc hl_frames_map_to(const struct hl_scan *scan, int64_t shift, const char *transfer_syntax,
                          const struct hl_frame_source *source, uint64_t end, struct hl_frames *out)
{
    struct mapping mapping = {
        .scan = scan, .source = source, .shift = shift, .out = out, .end = end};
    const struct hl_element *pixels = hl_pixels_element(scan);
    *out = (struct hl_frames){.n = hl_pixels_frames(scan)};
    if (!pixels)
        return hl_fail(HILUM_ENOTFOUND, "object has no pixel data");
    hilum_rc rc = pixels->is_undefined ? map_encapsulated(&mapping, pixels, transfer_syntax)
                                       : map_native(&mapping, pixels);
    if (rc != HILUM_OK)
        hl_frames_fini(out);
    return rc;
}

void hl_frames_fini(struct hl_frames *frames)
{
    free(frames->fragments);
    free(frames->starts);
    frames->fragments = NULL;
    frames->starts = NULL;
}
