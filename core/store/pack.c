/* Native pixels become compressed ones, as the data set streams through: what is not pixel
 * data goes into one spool (rest), each frame is gathered, encoded and put into another
 * (coded) as soon as it is whole. At the end the new description of the pixels is known
 * (pack_attributes.c), and a splice over `rest` with the coded items in the place of the
 * pixels is the result. So memory is a frame and its code stream, whatever the size of the
 * object.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/store/pack_internal.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/dicom/uid.h"
#include "core/store/encode.h"

enum { ITEM_HEAD = 8 };

hilum_rc hl_pack_new(const struct hl_codecs *codecs, const struct hl_spool_place *place,
                     const struct hl_pack_wish *wish, struct hl_pack **out)
{
    struct hl_pack *pack = calloc(1, sizeof *pack);
    *out = NULL;
    if (!pack)
        return hl_fail(HILUM_ENOMEM, "no memory to encode an object");
    pack->codecs = codecs;
    pack->wish = *wish;
    pack->rest.place = pack->coded.place = place;
    hilum_rc rc = hl_scan_new(HL_UID_EXPLICIT_LITTLE_ENDIAN, NULL, &pack->scan);
    if (rc == HILUM_OK)
        *out = pack;
    else
        hl_pack_free(pack);
    return rc;
}

void hl_pack_free(struct hl_pack *pack)
{
    if (!pack)
        return;
    hl_scan_free(pack->scan);
    hl_spool_fini(&pack->rest);
    hl_spool_fini(&pack->coded);
    hl_buf_fini(&pack->stream);
    hl_buf_fini(&pack->table);
    hl_splice_fini(&pack->splice);
    hl_arena_fini(&pack->arena);
    free(pack->items);
    free(pack->pixels);
    free(pack);
}

/* ---- a frame ---- */

static hilum_rc encode(struct hl_pack *pack, struct hilum_encoded *done)
{
    const struct hl_pack_wish *wish = &pack->wish;
    const struct hilum_encode wanted = {.size = sizeof wanted,
                                        .transfer_syntax = wish->transfer_syntax,
                                        .max_error = wish->max_error,
                                        .ratio = wish->ratio,
                                        .quality = wish->quality,
                                        .effort = wish->effort};
    const struct hl_native native = {&pack->frame, pack->pixels, pack->frame_bytes};
    return hl_encode_frame(pack->codecs, &native, &wanted, wish->may_lose, &pack->stream, done);
}

/* One fragment a frame, as the standard asks for where there is an extended table, and what
 * every reader copes with. The offset is that of the item's head from the first frame's (PS3.5
 * A.4). */
static hilum_rc add_item(struct hl_pack *pack)
{
    size_t n = pack->stream.len, odd = n % 2;
    uint8_t head[ITEM_HEAD] = {0xFE, 0xFF, 0x00, 0xE0};
    if (!hl_grow(&pack->items, &pack->cap_items, pack->n_items, sizeof *pack->items))
        return hl_fail(HILUM_ENOMEM, "no memory for the offsets of frames");
    pack->items[pack->n_items++] = (struct hl_pack_item){pack->coded.length, n};
    if (odd)
        hl_buf_byte(&pack->stream, 0);
    for (unsigned i = 0; i < 4; i++)
        head[4 + i] = (uint8_t)((n + odd) >> (8 * i));
    hilum_rc rc = hl_spool_add(&pack->coded, head, sizeof head);
    return rc == HILUM_OK ? hl_spool_add(&pack->coded, pack->stream.data, n + odd) : rc;
}

/* The header describes all frames at once, so they have to come out alike. */
static hilum_rc end_frame(struct hl_pack *pack)
{
    struct hilum_encoded done = {.size = sizeof done};
    hilum_rc rc = encode(pack, &done);
    if (rc == HILUM_OK && pack->n_items == 0)
        pack->encoded = done;
    if (rc == HILUM_OK && (done.photometric != pack->encoded.photometric ||
                           done.is_planar != pack->encoded.is_planar))
        rc = hl_fail(HILUM_EUNSUP, "frames are not all encoded alike");
    if (rc != HILUM_OK)
        return hl_fail_in(rc, "frame %zu", pack->n_items + 1);
    pack->encoded.is_lossy |= done.is_lossy;
    pack->native_bytes += pack->frame_bytes;
    pack->coded_bytes += pack->stream.len;
    pack->filled = 0;
    return add_item(pack);
}

/* ---- native pixels ---- */

/* Frames that begin at bytes. */
static hilum_rc take_bytes(struct hl_pack *pack, const uint8_t *p, size_t n)
{
    hilum_rc rc = HILUM_OK;
    while (n > 0 && rc == HILUM_OK && pack->n_items < pack->n_frames) {
        uint64_t filled = pack->filled / 8, left = pack->frame_bytes - filled;
        size_t used = n < left ? n : (size_t)left;
        memcpy(pack->pixels + filled, p, used);
        pack->filled += (uint64_t)used * 8;
        p += used;
        n -= used;
        if (used == left)
            rc = end_frame(pack);
    }
    return rc;
}

/* Frames of 1-bit pixels that begin anywhere in a byte (PS3.5 8.1.1). */
static hilum_rc take_bits(struct hl_pack *pack, const uint8_t *p, size_t n)
{
    hilum_rc rc = HILUM_OK;
    for (size_t i = 0; i < n; i++) {
        for (unsigned k = 0; k < 8 && rc == HILUM_OK && pack->n_items < pack->n_frames; k++) {
            uint64_t at = pack->filled++;
            if (at % 8 == 0)
                pack->pixels[at / 8] = 0;
            pack->pixels[at / 8] |= (uint8_t)((p[i] >> k & 1) << (at % 8));
            if (pack->filled == pack->bits)
                rc = end_frame(pack);
        }
    }
    return rc;
}

/* One byte more than the frames is padding; anything else beyond them would be lost. Nothing
 * is dropped unseen: an object with bytes behind its last frame stays as it is. */
static hilum_rc check_length(const struct hl_pack *pack)
{
    uint64_t n = pack->n_frames;
    uint64_t needed = n < UINT64_MAX / pack->bits - 8 ? (pack->bits * n + 7) / 8 : UINT64_MAX;
    if (needed > pack->value_length)
        return hl_fail(HILUM_ECORRUPT, "%llu frames do not fit into %llu bytes of pixels",
                       (unsigned long long)n, (unsigned long long)pack->value_length);
    if (pack->value_length - needed > 1)
        return hl_fail(HILUM_EUNSUP, "%llu bytes of pixels behind the last frame",
                       (unsigned long long)(pack->value_length - needed));
    return HILUM_OK;
}

static hilum_rc open_pixels(struct hl_pack *pack, const struct hl_element *pixels)
{
    struct hilum_frame *frame = &pack->frame;
    if (pixels->is_undefined)
        return hl_fail(HILUM_EUNSUP, "pixel data is in fragments already");
    pack->has_pixels = true;
    pack->value_at = pixels->offset + pixels->header_length;
    pack->value_length = pixels->length;
    pack->n_frames = hl_pixels_frames(pack->scan);
    hl_pixels_declared(pack->scan, frame);
    pack->frame_bytes = hilum_frame_bytes(frame);
    pack->bits =
        frame->bits_allocated == 1 ? (uint64_t)frame->columns * frame->rows : pack->frame_bytes * 8;
    if (!pack->frame_bytes || pack->frame_bytes > HL_FRAME_MAX || frame->bits_allocated > 64 ||
        frame->bits_stored > frame->bits_allocated)
        return hl_fail(HILUM_EUNSUP, "frames of %llu bytes, %u bits stored in %u",
                       (unsigned long long)pack->frame_bytes, frame->bits_stored,
                       frame->bits_allocated);
    hilum_rc rc = check_length(pack);
    if (rc == HILUM_OK && !(pack->pixels = malloc((size_t)pack->frame_bytes)))
        rc = hl_fail(HILUM_ENOMEM, "no memory for a frame of %llu bytes",
                     (unsigned long long)pack->frame_bytes);
    return rc;
}

static hilum_rc take_pixels(struct hl_pack *pack, const uint8_t *p, size_t n)
{
    if (pack->is_coded)
        return HILUM_OK; /* come by hl_pack_add_coded */
    return pack->bits % 8 ? take_bits(pack, p, n) : take_bytes(pack, p, n);
}

/* The pixel data's head is known to the scan before its first byte of value comes, as the scan
 * has taken these bytes already. */
hilum_rc hl_pack_feed(struct hl_pack *pack, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    uint64_t end = UINT64_MAX;
    hilum_rc rc = hl_scan_feed(pack->scan, bytes, n);
    const struct hl_element *pixels =
        pack->has_pixels ? NULL : hl_scan_find(pack->scan, HL_TAG_PIXEL_DATA);
    if (rc == HILUM_OK && pixels)
        rc = open_pixels(pack, pixels);
    if (pack->has_pixels)
        end = pack->value_at + pack->value_length;
    while (n > 0 && rc == HILUM_OK) {
        bool is_value = pack->has_pixels && pack->seen >= pack->value_at && pack->seen < end;
        uint64_t until = is_value                                          ? end
                         : pack->has_pixels && pack->seen < pack->value_at ? pack->value_at
                                                                           : UINT64_MAX;
        size_t used = n < until - pack->seen ? n : (size_t)(until - pack->seen);
        rc = is_value ? take_pixels(pack, p, used) : hl_spool_add(&pack->rest, p, used);
        pack->seen += used;
        p += used;
        n -= used;
    }
    return rc;
}

/* ---- code streams that become others ---- */

hilum_rc hl_pack_open_coded(struct hl_pack *pack, const struct hl_scan *scan)
{
    const struct hl_element *pixels = hl_scan_find(scan, HL_TAG_PIXEL_DATA);
    if (!pixels || !pixels->is_undefined)
        return hl_fail(HILUM_EUNSUP, "pixel data is not in fragments");
    pack->has_pixels = pack->is_coded = true;
    pack->value_at = pixels->offset + pixels->header_length;
    pack->value_length = pixels->length;
    pack->n_frames = hl_pixels_frames(scan);
    hl_pixels_declared(scan, &pack->frame);
    pack->encoded = (struct hilum_encoded){.size = sizeof pack->encoded,
                                           .photometric = pack->frame.photometric,
                                           .is_planar = pack->frame.is_planar};
    return HILUM_OK;
}

hilum_rc hl_pack_add_coded(struct hl_pack *pack, const char *transfer_syntax, const void *bytes,
                           uint64_t n)
{
    const struct hl_code_stream given = {transfer_syntax, &pack->frame, bytes, n};
    hilum_rc rc = hl_repack_frame(pack->codecs, &given, pack->wish.transfer_syntax, &pack->stream);
    if (rc != HILUM_OK)
        return hl_fail_in(rc, "frame %zu", pack->n_items + 1);
    pack->native_bytes += n;
    pack->coded_bytes += pack->stream.len;
    return add_item(pack);
}

/* ---- the result ---- */

hilum_rc hl_pack_end(struct hl_pack *pack)
{
    hilum_rc rc = hl_scan_end(pack->scan);
    if (rc == HILUM_OK && !pack->has_pixels)
        rc = hl_fail(HILUM_ENOTFOUND, "object has no pixel data that could be encoded");
    if (rc == HILUM_OK && pack->n_items < pack->n_frames)
        rc = hl_fail(HILUM_ECORRUPT, "pixels end in frame %zu of %llu", pack->n_items + 1,
                     (unsigned long long)pack->n_frames);
    if (rc == HILUM_OK)
        rc = hl_pack_describe(pack);
    if (rc == HILUM_OK)
        rc = hl_splice_plan(pack->scan, pack->edits, pack->n_edits, &pack->splice);
    if (rc == HILUM_OK)
        rc = hl_splice_compose(NULL, pack->table.len + pack->coded.length + ITEM_HEAD, true,
                               &pack->splice);
    hl_buf_fini(&pack->stream);
    free(pack->pixels);
    pack->pixels = NULL;
    return rc;
}

/* The value of the pixel data: the table's item, the frames' items, the delimiter. */
static hilum_rc coded_at(struct hl_pack *pack, uint64_t at, size_t *n, const uint8_t **bytes)
{
    static const uint8_t delimiter[ITEM_HEAD] = {0xFE, 0xFF, 0xDD, 0xE0};
    uint64_t coded = at - pack->table.len, behind = coded - pack->coded.length;
    if (at < pack->table.len) {
        *bytes = (const uint8_t *)pack->table.data + at;
        *n = *n < pack->table.len - at ? *n : (size_t)(pack->table.len - at);
        return HILUM_OK;
    }
    if (coded < pack->coded.length)
        return hl_spool_read(&pack->coded, coded, n, bytes);
    *bytes = delimiter + behind;
    *n = *n < ITEM_HEAD - behind ? *n : (size_t)(ITEM_HEAD - behind);
    return HILUM_OK;
}

static hilum_rc rest_at(struct hl_pack *pack, uint64_t at, size_t *n, const uint8_t **bytes)
{
    if (at >= pack->value_at + pack->value_length)
        at -= pack->value_length;
    return hl_spool_read(&pack->rest, at, n, bytes);
}

hilum_rc hl_pack_next(struct hl_pack *pack, const uint8_t **bytes, size_t *n)
{
    const struct hl_splice *splice = &pack->splice;
    *n = 0;
    while (pack->piece < splice->count && pack->at == splice->pieces[pack->piece].length) {
        pack->piece++;
        pack->at = 0;
    }
    if (pack->piece == splice->count)
        return HILUM_OK;
    const struct hl_piece *piece = &splice->pieces[pack->piece];
    uint64_t left = piece->length - pack->at;
    hilum_rc rc = HILUM_OK;
    *n = left < HL_SPOOL_WINDOW ? (size_t)left : HL_SPOOL_WINDOW;
    if (hl_piece_is_pixels(piece))
        rc = coded_at(pack, pack->at, n, bytes);
    else if (piece->bytes)
        *bytes = piece->bytes + pack->at;
    else
        rc = rest_at(pack, piece->offset + pack->at, n, bytes);
    if (rc == HILUM_OK && *n == 0)
        rc = hl_fail(HILUM_EINTERNAL, "an encoded data set ends early");
    pack->at += *n;
    return rc;
}

void hl_pack_skip(struct hl_pack *pack, uint64_t n)
{
    const struct hl_splice *splice = &pack->splice;
    while (n > 0 && pack->piece < splice->count) {
        uint64_t left = splice->pieces[pack->piece].length - pack->at;
        uint64_t step = n < left ? n : left;
        pack->at += step;
        n -= step;
        if (n > 0) {
            pack->piece++;
            pack->at = 0;
        }
    }
}

bool hl_pack_is_end(const struct hl_pack *pack)
{
    const struct hl_splice *splice = &pack->splice;
    return pack->piece == splice->count ||
           (pack->piece == splice->count - 1 && pack->at == splice->pieces[pack->piece].length);
}

uint64_t hl_pack_length(const struct hl_pack *pack)
{
    return pack->splice.length;
}

const char *hl_pack_sop_instance(const struct hl_pack *pack)
{
    return pack->sop_instance;
}

void hl_pack_sizes(const struct hl_pack *pack, uint64_t *native, uint64_t *coded)
{
    *native = pack->native_bytes;
    *coded = pack->coded_bytes;
}
