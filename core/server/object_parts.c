/* Parts of stored objects: attributes as JSON, bulk data, frames. Pixels are found by their
 * place and never held.
 *
 * One object is used by one thread at a time. Everything here comes from a stored data set, that
 * is, from a peer: lengths and offsets are checked against what can be read, numbers of items
 * are bounded.
 *
 * Three ways to find a place: the header scan for elements at the top level, the parsed data
 * set for what lies in sequences, and the frame map (core/store) for fragments of compressed
 * pixels. All of them are of the data set as it leaves, so that a byte range in a URL means
 * the same for everybody.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/server/objects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/dicom/uid.h"
#include "core/store/scan_head.h"

/* STEP: how much of a header is read at once; most fit. BULK_MIN: from here on a binary value
 * is not written into JSON but referred to (PS3.18 F.2.6; the size is the server's to choose).
 * FRAGMENTS_MAX: 16 MiB of ranges. */
enum {
    STEP = 16 * 1024,
    BULK_MIN = 1024,
    FRAGMENTS_MAX = 1 << 20,
    PART = 8 * 1024 * 1024, /* of a mapped object; read ones come in smaller pieces */
    FIRST_PIXELS = 0x7FE00008
};

void hl_object_parts_close(struct hilum_object *object)
{
    hl_object_source_free(object->source);
    hl_outgoing_close(object->anew);
    hl_scan_free(object->scan);
    hl_dataset_free(object->data);
    free(object->bulk);
    free(object->ranges);
}

/* ---- bytes ---- */

/* Deflated and big endian objects are read as explicit little endian: what is asked for in
 * parts is in that byte order, and elements of a deflated stream have no place in it. From the
 * beginning each time it must go back: a stream cannot be rewound. */
static hilum_rc anew_open(struct hilum_object *object)
{
    hl_outgoing_close(object->anew);
    object->anew = NULL;
    object->piece_length = 0;
    object->piece_at = 0;
    hilum_rc rc = hl_outgoing_open(object->store, object->instance, object->as_of, &object->anew);
    return rc == HILUM_OK ? hl_outgoing_recode(object->anew, HL_UID_EXPLICIT_LITTLE_ENDIAN) : rc;
}

/* Pieces of the stream are skipped up to `at`; each borrowed until the next is taken. Readers
 * go forwards, so a conversion runs once for an object that is read to its end. */
static hilum_rc anew_read(struct hilum_object *object, uint64_t at, size_t max,
                          const uint8_t **bytes, size_t *n)
{
    hilum_rc rc = HILUM_OK;
    *n = 0;
    if (object->anew == NULL || at < object->piece_at)
        rc = anew_open(object);
    while (rc == HILUM_OK && at >= object->piece_at + object->piece_length) {
        const void *next = NULL;
        object->piece_at += object->piece_length;
        object->piece_length = 0;
        rc = hl_outgoing_next(object->anew, &next, &object->piece_length);
        object->piece = next;
        if (object->piece_length == 0)
            return rc;
    }
    if (rc != HILUM_OK)
        return rc;
    size_t skip = (size_t)(at - object->piece_at);
    *bytes = object->piece + skip;
    *n = object->piece_length - skip < max ? object->piece_length - skip : max;
    return HILUM_OK;
}

hilum_rc hl_object_read(struct hilum_object *object, uint64_t at, size_t max, const uint8_t **bytes,
                        size_t *n)
{
    const void *found = NULL;
    if (object->is_native_anew)
        return anew_read(object, at, max, bytes, n);
    hilum_rc rc = hl_outgoing_at(object->out, at, max, &found, n);
    *bytes = found;
    return rc;
}

/* Exactly n bytes into out. */
hilum_rc hl_object_read_all(struct hilum_object *object, uint64_t at, void *out, size_t n)
{
    for (size_t got = 0, step = 0; got < n; got += step) {
        const uint8_t *bytes = NULL;
        hilum_rc rc = hl_object_read(object, at + got, n - got, &bytes, &step);
        if (rc != HILUM_OK)
            return rc;
        if (step == 0)
            return hl_fail(HILUM_EINVAL, "the data set ends inside a value");
        memcpy((char *)out + got, bytes, step);
    }
    return HILUM_OK;
}

/* ---- the attributes ---- */

/* The scan stops behind the header of the pixel data: their bytes are not needed to know where
 * they are. */
static bool has_pixels(const struct hl_scan *scan)
{
    size_t n = hl_scan_count(scan);
    return n > 0 && hl_scan_at(scan, n - 1)->tag >= FIRST_PIXELS;
}

static const char *parts_syntax(const struct hilum_object *object)
{
    return object->is_native_anew ? HL_UID_EXPLICIT_LITTLE_ENDIAN
                                  : hl_outgoing_stored(object->out)->transfer_syntax;
}

/* Up to the pixel data; what follows them, padding and signatures, is nobody's metadata. Once
 * per object. `is_native_anew` is decided here, before the first byte is read, and holds for
 * all places that are told afterwards. */
static hilum_rc scan_make(struct hilum_object *object)
{
    const struct hl_syntax *syntax =
        hl_uid_syntax(hl_outgoing_stored(object->out)->transfer_syntax);
    if (object->scan != NULL)
        return HILUM_OK;
    object->is_native_anew =
        syntax != NULL && syntax->flags & (HL_SYNTAX_DEFLATED | HL_SYNTAX_BIG_ENDIAN);
    hilum_rc rc = hl_scan_new(parts_syntax(object), NULL, &object->scan);
    for (uint64_t at = 0; rc == HILUM_OK && !has_pixels(object->scan);) {
        const uint8_t *bytes = NULL;
        size_t n = 0;
        rc = hl_object_read(object, at, STEP, &bytes, &n);
        if (rc == HILUM_OK && n == 0)
            return hl_scan_end(object->scan);
        if (rc == HILUM_OK)
            rc = hl_scan_feed(object->scan, bytes, n);
        at += n;
    }
    return rc;
}

static const char *vr_of(const struct hl_element *e)
{
    return e->vr[0] != '\0' ? e->vr : hl_dict_vr(e->tag);
}

/* Of the VRs PS3.18 F.2.6 allows the binary ones: text stays in the JSON whatever its length,
 * and a sequence is metadata itself. */
static bool is_bulk(const struct hl_element *e)
{
    static const char *const kinds[] = {"OB", "OW", "OF", "OD", "OL", "OV", "UN"};
    const char *vr = vr_of(e);
    if (e->tag >= FIRST_PIXELS)
        return true;
    if (e->is_undefined || e->length <= BULK_MIN)
        return false;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(vr, kinds[i]) == 0)
            return true;
    return false;
}

static hilum_rc bulk_add(struct hilum_object *object, const struct hl_element *e)
{
    if (!hl_grow(&object->bulk, &object->cap_bulk, object->n_bulk, sizeof *object->bulk))
        return hl_fail(HILUM_ENOMEM, "no memory for an object's attributes");
    struct hl_json_bulk *bulk = &object->bulk[object->n_bulk++];
    bulk->tag = e->tag;
    snprintf(bulk->vr, sizeof bulk->vr, "%s", vr_of(e));
    return HILUM_OK;
}

/* With its header, as it lies: the copies behind each other are a data set again. */
static hilum_rc element_copy(struct hilum_object *object, const struct hl_element *e,
                             struct hl_buf *out)
{
    uint64_t n = e->header_length + e->length;
    if (n > HL_DATASET_MAX - out->len)
        return hl_fail(HILUM_EFULL, "over %d MiB of attributes", HL_DATASET_MAX >> 20);
    if (!hl_buf_reserve(out, (size_t)n))
        return hl_fail(HILUM_ENOMEM, "no memory for an object's attributes");
    hilum_rc rc = hl_object_read_all(object, e->offset, out->data + out->len, (size_t)n);
    if (rc == HILUM_OK)
        out->len += (size_t)n;
    return rc;
}

/* A data set of what is small, and a list of what is not. */
static hilum_rc data_make(struct hilum_object *object)
{
    struct hl_buf small = {0};
    hilum_rc rc = object->data == NULL ? scan_make(object) : HILUM_OK;
    if (rc != HILUM_OK || object->data != NULL)
        return rc;
    for (size_t i = 0; rc == HILUM_OK && i < hl_scan_count(object->scan); i++) {
        const struct hl_element *e = hl_scan_at(object->scan, i);
        rc = is_bulk(e) ? bulk_add(object, e) : element_copy(object, e, &small);
        if (e->tag >= FIRST_PIXELS)
            break;
    }
    if (rc == HILUM_OK)
        rc = hl_dataset_parse(hl_buf_str(&small), small.len, parts_syntax(object), &object->data);
    hl_buf_fini(&small);
    return rc;
}

hilum_rc hl_object_data(hilum_object *object, struct hl_dataset **out)
{
    hilum_rc rc = data_make(object);
    *out = object->data;
    return rc;
}

hilum_rc hl_object_json(hilum_object *object, const char *bulk_url, const struct hilum_sink *sink)
{
    struct hl_buf json = {0};
    hilum_rc rc = data_make(object);
    if (rc == HILUM_OK) {
        const struct hl_json_options options = {bulk_url, BULK_MIN, object->bulk, object->n_bulk};
        rc = hl_dataset_json_bulk(object->data, &options, &json);
    }
    if (rc == HILUM_OK)
        rc = sink->write(sink->ctx, hl_buf_str(&json), json.len);
    hl_buf_fini(&json);
    return rc;
}

/* ---- a value by path ---- */

/* "54000100/0/54001010" as the path of core/dicom: "54000100[0].54001010". False: no such
 * form. 24 is more than a step of a path adds: eight digits, up to six of an item in brackets,
 * a point. */
static bool path_translate(const char *path, char *out, size_t size)
{
    size_t at = 0;
    for (const char *p = path; at + 24 < size;) {
        size_t n = strcspn(p, "/");
        if (n != 8 || strspn(p, "0123456789ABCDEFabcdef") < 8)
            return false;
        at += (size_t)snprintf(out + at, size - at, "%.8s", p);
        p += n;
        if (*p == '\0')
            return true;
        n = strspn(++p, "0123456789");
        if (n == 0 || n > 6 || p[n] != '/')
            return false;
        at += (size_t)snprintf(out + at, size - at, "[%.*s].", (int)n, p);
        p += n + 1;
    }
    return false;
}

/* The value is in the parsed data set already, so there is no range to read: `nested` is given
 * whole. */
static hilum_rc find_nested(hilum_object *object, const char *path, struct hilum_extent *out)
{
    char translated[512];
    const void *bytes = NULL;
    hilum_rc rc = data_make(object);
    if (!path_translate(path, translated, sizeof translated))
        return hl_fail(HILUM_EINVAL, "expected a tag, or tag/item/tag");
    if (rc == HILUM_OK)
        rc = hl_dataset_raw(object->data, translated, &bytes, &object->n_nested);
    object->nested = bytes;
    *out = (struct hilum_extent){.size = sizeof *out, .vr = "UN", .length = object->n_nested};
    return rc;
}

/* Eight characters are a tag at the top level, found by the scan of where elements lie; anything
 * else is a path into sequences, which needs the parsed data set. */
hilum_rc hl_object_find(hilum_object *object, const char *path, struct hilum_extent *out)
{
    hilum_rc rc = scan_make(object);
    uint32_t tag = strlen(path) == 8 ? (uint32_t)strtoul(path, NULL, 16) : 0;
    object->nested = NULL;
    if (rc != HILUM_OK)
        return rc;
    if (tag == 0)
        return find_nested(object, path, out);
    const struct hl_element *e = hl_scan_find(object->scan, tag);
    if (e == NULL)
        return hl_fail(HILUM_ENOTFOUND, "%s is not in this object", path);
    if (strcmp(vr_of(e), "SQ") == 0)
        return hl_fail(HILUM_EINVAL, "%s is a sequence: name an element of an item", path);
    *out = (struct hilum_extent){
        .size = sizeof *out, .offset = e->offset + e->header_length, .length = e->length};
    snprintf(out->vr, sizeof out->vr, "%s", vr_of(e));
    return HILUM_OK;
}

/* ---- frames ---- */

/* Missing, not a number, or not positive: `otherwise`. For US and IS alike: what a sender
 * leaves out or garbles must not become a size of 0. */
static uint64_t number(const struct hl_scan *scan, uint32_t tag, uint64_t otherwise)
{
    int64_t value = 0;
    return hl_scan_int(scan, tag, &value) == HILUM_OK && value > 0 ? (uint64_t)value : otherwise;
}

/* (7FE0,0008), (7FE0,0009) or (7FE0,0010): float, double or integer pixels (PS3.3 C.7.6.24,
 * C.7.6.25, C.7.6.3). An object has one of the three at most; the first found counts. */
static const struct hl_element *pixels_of(const struct hilum_object *object)
{
    size_t n = hl_scan_count(object->scan);
    for (size_t i = 0; i < n; i++) {
        uint32_t tag = hl_scan_at(object->scan, i)->tag;
        if (tag >= FIRST_PIXELS && tag <= HL_TAG_PIXEL_DATA)
            return hl_scan_at(object->scan, i);
    }
    return NULL;
}

/* In bits, since frames of one bit a pixel do not begin at bytes (PS3.5 8.1.1). A garbled size
 * makes a garbled length, which is checked against the bytes that are there before anything is
 * given. */
static uint64_t native_bits(const struct hl_scan *scan)
{
    char photometric[17] = "";
    uint64_t bits =
        number(scan, HL_TAG(0x0028, 0x0010), 0) * number(scan, HL_TAG(0x0028, 0x0011), 0) *
        number(scan, HL_TAG(0x0028, 0x0002), 1) * number(scan, HL_TAG(0x0028, 0x0100), 0);
    hl_scan_text(scan, HL_TAG(0x0028, 0x0004), photometric, sizeof photometric);
    if (strcmp(photometric, "YBR_FULL_422") == 0) /* two of three (PS3.3 C.7.6.3.1.2) */
        bits = bits / 3 * 2;
    return bits;
}

/* How many there are is the map's word where they are compressed: a video is one stream. */
static hilum_rc count_frames(hilum_object *object, struct hilum_frames *out)
{
    const struct hl_frame_map *map = NULL;
    out->n = number(object->scan, HL_TAG(0x0028, 0x0008), 1);
    if (!out->is_encapsulated)
        return HILUM_OK;
    hilum_rc rc = hl_outgoing_map(object->out, &map);
    if (rc == HILUM_OK)
        out->n = map->frames.n;
    return rc;
}

/* Native frames are cut out by length (in memory where they do not begin at whole bytes);
 * encapsulated ones have a length each, and 0 stands here. */
hilum_rc hl_object_frames(hilum_object *object, struct hilum_frames *out)
{
    hilum_rc rc = scan_make(object);
    *out = (struct hilum_frames){.size = sizeof *out};
    const struct hl_element *pixels = rc == HILUM_OK ? pixels_of(object) : NULL;
    if (pixels == NULL)
        return rc;
    out->is_encapsulated = pixels->is_undefined;
    out->transfer_syntax = pixels->is_undefined ? hl_outgoing_stored(object->out)->transfer_syntax
                                                : HL_UID_EXPLICIT_LITTLE_ENDIAN;
    out->length = pixels->is_undefined ? 0 : (native_bits(object->scan) + 7) / 8;
    if (!pixels->is_undefined && out->length == 0)
        return hl_fail(HILUM_EINVAL, "nothing tells the size of these frames");
    return count_frames(object, out);
}

/* FRAGMENTS_MAX bounds what a stream of empty fragments could make us keep. What lies beyond the end of an object that was
 * cut is told before the first byte leaves. */
static hilum_rc range_add(struct hilum_object *object, uint64_t offset, uint64_t length)
{
    uint64_t total = object->is_native_anew ? UINT64_MAX : hl_outgoing_length(object->out);
    if (length > total || offset > total - length)
        return hl_fail(HILUM_ECORRUPT, "the object ends before its frames or values do");
    if (object->n_ranges == FRAGMENTS_MAX)
        return hl_fail(HILUM_EINVAL, "over %d fragments", FRAGMENTS_MAX);
    if (!hl_grow(&object->ranges, &object->cap_ranges, object->n_ranges, sizeof *object->ranges))
        return hl_fail(HILUM_ENOMEM, "no memory for fragments");
    object->ranges[object->n_ranges++] = (struct hl_range){offset, length};
    return HILUM_OK;
}

static void ranges_clear(struct hilum_object *object)
{
    object->n_ranges = object->range = 0;
    object->range_at = 0;
    object->nested = NULL;
}

void hl_object_give(hilum_object *object, const void *bytes, uint64_t n)
{
    ranges_clear(object);
    object->nested = bytes;
    object->n_nested = (size_t)n;
}

/* Its fragments, one range each, where they are in the data set as it leaves. The map is in
 * places of the stored data set; corrections before the pixels may have moved them. */
static hilum_rc encapsulated_frame(hilum_object *object, uint64_t i)
{
    const struct hl_frame_map *map = NULL;
    hilum_rc rc = hl_outgoing_map(object->out, &map);
    for (size_t k = rc == HILUM_OK ? map->frames.starts[i] : 0;
         rc == HILUM_OK && k < map->frames.starts[i + 1]; k++) {
        const struct hl_fragment_place *fragment = &map->frames.fragments[k];
        uint64_t at = 0;
        if (fragment->n > 0 && !hl_outgoing_place(object->out, fragment->at, &at))
            return hl_fail(HILUM_EINTERNAL, "a fragment that does not leave");
        rc = range_add(object, at, fragment->n);
    }
    return rc;
}

/* Decoded, or put together from bits: lies in memory. One frame at a time: the next call
 * reuses its memory. */
static hilum_rc frame_in_memory(hilum_object *object, uint64_t i)
{
    const struct hl_frame_map *map = NULL;
    struct hilum_frame frame = {.size = sizeof frame};
    const void *pixels = NULL;
    uint64_t n = 0;
    hilum_rc rc = hl_object_decoded(hl_outgoing_frame(object->out, i, &frame, &pixels, &n));
    if (rc == HILUM_OK)
        rc = hl_outgoing_map(object->out, &map);
    if (rc == HILUM_OK)
        rc = hl_object_as_declared(&map->declared, &frame, &pixels, &n, &object->colours);
    hl_object_give(object, rc == HILUM_OK ? pixels : NULL, n);
    return rc;
}

/* i counts from 0. HILUM_ENOTFOUND past the last frame, also where the pixel data are shorter
 * than the header promises: a short read would look like a frame. */
hilum_rc hl_object_frame(hilum_object *object, uint64_t i)
{
    struct hilum_frames frames;
    hilum_rc rc = hl_object_frames(object, &frames);
    ranges_clear(object);
    if (rc != HILUM_OK)
        return rc;
    const struct hl_element *pixels = pixels_of(object);
    if (i >= frames.n || pixels == NULL)
        return hl_fail(HILUM_ENOTFOUND, "there are %llu frames", (unsigned long long)frames.n);
    if (frames.is_encapsulated)
        return encapsulated_frame(object, i);
    /* Frames that begin inside of a byte are shifted into memory; a range could not say it. */
    if (native_bits(object->scan) % 8 != 0 && frames.n > 1)
        return frame_in_memory(object, i);
    uint64_t at = i * frames.length;
    if (pixels->length < frames.length || at > pixels->length - frames.length)
        return hl_fail(HILUM_ENOTFOUND, "the pixel data end before frame %llu",
                       (unsigned long long)i + 1);
    return range_add(object, pixels->offset + pixels->header_length + at, frames.length);
}

/* Decoded where it is compressed, in the colours the data set declares (object_colour.c). */
hilum_rc hl_object_native_frame(hilum_object *object, uint64_t i)
{
    struct hilum_frames frames;
    hilum_rc rc = hl_object_frames(object, &frames);
    if (rc != HILUM_OK || !frames.is_encapsulated)
        return rc == HILUM_OK ? hl_object_frame(object, i) : rc;
    return frame_in_memory(object, i);
}

/* What find told last is what is given: the extent of a nested value has no place of its own. */
hilum_rc hl_object_part(hilum_object *object, const struct hilum_extent *extent)
{
    const uint8_t *nested = object->nested;
    ranges_clear(object);
    object->nested = nested;
    return nested != NULL ? HILUM_OK : range_add(object, extent->offset, extent->length);
}

/* In pieces of PART at most, read as they are asked for; *n 0 is the end. Bytes hold until the
 * next call. PART bounds what one write of a web server holds up; a mapped object costs no
 * copy at any size. */
hilum_rc hl_object_next_part(hilum_object *object, const void **bytes, uint64_t *n)
{
    const uint8_t *found = NULL;
    size_t got = 0;
    *n = 0;
    if (object->nested != NULL) {
        *bytes = object->nested;
        *n = object->n_nested;
        object->n_nested = 0;
        return HILUM_OK;
    }
    while (object->range < object->n_ranges &&
           object->range_at == object->ranges[object->range].length) {
        object->range++;
        object->range_at = 0;
    }
    if (object->range == object->n_ranges)
        return HILUM_OK;
    const struct hl_range *range = &object->ranges[object->range];
    uint64_t left = range->length - object->range_at;
    hilum_rc rc = hl_object_read(object, range->offset + object->range_at,
                                 left < PART ? (size_t)left : PART, &found, &got);
    if (rc == HILUM_OK && got == 0)
        return hl_fail(HILUM_ECORRUPT, "the data set ends inside a value");
    object->range_at += got;
    *bytes = found;
    *n = got;
    return rc;
}

hilum_rc hl_object_part_length(hilum_object *object, uint64_t *n)
{
    *n = object->nested != NULL ? object->n_nested : 0;
    for (size_t i = 0; object->nested == NULL && i < object->n_ranges; i++)
        *n += object->ranges[i].length;
    return HILUM_OK;
}

/* Before the first next_part(), so that the ranges are whole. */
hilum_rc hl_object_skip_part(hilum_object *object, uint64_t n)
{
    uint64_t total = 0;
    hilum_rc rc = hl_object_part_length(object, &total);
    if (rc == HILUM_OK && n > total)
        return hl_fail(HILUM_EINVAL, "it ends after %llu bytes", (unsigned long long)total);
    if (object->nested != NULL) {
        object->nested += n;
        object->n_nested -= (size_t)n;
        return rc;
    }
    for (; n > 0 && n >= object->ranges[object->range].length; object->range++)
        n -= object->ranges[object->range].length;
    object->range_at = n;
    return rc;
}
