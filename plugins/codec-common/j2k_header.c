/* SPDX-License-Identifier: Apache-2.0 */
#include "j2k_header.h"

#include <string.h>

/* COMPONENTS_MAX: of the standard (A.5.1). PRECINCTS_MAX: each is a structure in memory
 * (has_sane_precincts). */
enum {
    SOC = 0xFF4F,
    CAP = 0xFF50,
    SIZ = 0xFF51,
    COD = 0xFF52,
    COC = 0xFF53,
    SOT = 0xFF90,
    SOD = 0xFF93,
    EOC = 0xFFD9,
    BOX_HEAD = 8,
    SIZ_FIXED = 38, /* up to the components */
    TILES_MAX = 65535,
    COMPONENTS_MAX = 16384,
    PRECINCTS_MAX = 1 << 20,
    PART_SPARE = 1 << 16 /* heads and headers of packets */
};

/* ---- the code stream of a JP2 file ---- */

static bool is_code_stream(const uint8_t *p, size_t n)
{
    return n >= 4 && codec_be16(p) == SOC && codec_be16(p + 2) == SIZ;
}

/* Boxes are lengths and names (ISO 15444-1 I.4); length 0 runs to the end, 1 has 64 bits more. */
static bool find_in_boxes(const uint8_t *p, size_t n, size_t *from)
{
    size_t at = 0;
    while (n - at >= BOX_HEAD) {
        uint64_t length = codec_be32(p + at);
        size_t head = BOX_HEAD;
        if (length == 1 && n - at >= 16) {
            length = (uint64_t)codec_be32(p + at + 8) << 32 | codec_be32(p + at + 12);
            head = 16;
        }
        if (memcmp(p + at + 4, "jp2c", 4) == 0) {
            *from = at + head;
            return *from < n && is_code_stream(p + *from, n - *from);
        }
        if (length < head || length > n - at)
            return false;
        at += (size_t)length;
    }
    return false;
}

/* The rest of the file (boxes with colours and metadata) is not looked at: the data set has
 * those. */
static hilum_rc unwrap(void *self, struct codec_bytes *stream)
{
    size_t from = 0;
    if (is_code_stream(stream->at, stream->n))
        return HILUM_OK;
    if (!find_in_boxes(stream->at, stream->n, &from))
        return codec_fail(self, HILUM_ECORRUPT, "no JPEG 2000 code stream in %zu bytes", stream->n);
    stream->at += from;
    stream->n -= from;
    return HILUM_OK;
}

/* ---- markers ---- */

static hilum_rc check_siz(void *self, const struct j2k_header *header, uint32_t tx0, uint32_t ty0)
{
    if (header->x1 <= header->x0 || header->y1 <= header->y0 || !header->tile_width ||
        !header->tile_height || tx0 > header->x0 || ty0 > header->y0 ||
        (uint64_t)tx0 + header->tile_width <= header->x0 ||
        (uint64_t)ty0 + header->tile_height <= header->y0 || !header->components)
        return codec_fail(self, HILUM_ECORRUPT, "JPEG 2000 picture size contradicts itself");
    if (header->x1 - header->x0 > CODEC_SIDE_MAX || header->y1 - header->y0 > CODEC_SIDE_MAX ||
        header->x1 > INT32_MAX || header->y1 > INT32_MAX)
        return codec_fail(self, HILUM_EUNSUP, "JPEG 2000 picture of more than %d pixels a side",
                          CODEC_SIDE_MAX);
    if (header->n_tiles > TILES_MAX)
        return codec_fail(self, HILUM_ECORRUPT, "JPEG 2000 picture of more than %d tiles",
                          TILES_MAX);
    return HILUM_OK;
}

/* No subsampling (XRsiz, YRsiz 1) and one depth: PS3.5 8.2.4 has no other. */
static hilum_rc read_components(void *self, const uint8_t *p, size_t n, struct j2k_header *out)
{
    if (out->components > COMPONENTS_MAX || n < 3 * (size_t)out->components)
        return codec_fail(self, HILUM_ECORRUPT, "JPEG 2000 header of %u components",
                          out->components);
    for (uint32_t i = 0; i < out->components; i++, p += 3) {
        if (p[0] != (uint8_t)((out->is_signed ? 0x80 : 0) | (out->bits - 1)) || p[1] != 1 ||
            p[2] != 1)
            return codec_fail(self, HILUM_EUNSUP, "JPEG 2000 components that differ");
    }
    return HILUM_OK;
}

/* A.5.1. n_tiles is TILES_MAX + 1 for "too many", and 0 where the fields make none; check_siz
 * refuses both. */
static hilum_rc read_siz(void *self, const uint8_t *p, size_t n, struct j2k_header *out)
{
    if (n < SIZ_FIXED - 2 + 3)
        return codec_fail(self, HILUM_ECORRUPT, "JPEG 2000 size marker of %zu bytes", n);
    uint32_t tx0 = codec_be32(p + 26), ty0 = codec_be32(p + 30);
    out->x1 = codec_be32(p + 2);
    out->y1 = codec_be32(p + 6);
    out->x0 = codec_be32(p + 10);
    out->y0 = codec_be32(p + 14);
    out->tile_width = codec_be32(p + 18);
    out->tile_height = codec_be32(p + 22);
    out->components = codec_be16(p + 34);
    out->is_signed = p[36] & 0x80;
    out->bits = (p[36] & 0x7Fu) + 1;
    if (out->tile_width && out->tile_height && out->x1 > tx0 && out->y1 > ty0) {
        uint64_t across = ((uint64_t)out->x1 - tx0 + out->tile_width - 1) / out->tile_width;
        uint64_t down = ((uint64_t)out->y1 - ty0 + out->tile_height - 1) / out->tile_height;
        bool is_absurd = across > TILES_MAX || down > TILES_MAX || across * down > TILES_MAX;
        out->n_tiles = is_absurd ? TILES_MAX + 1 : (uint32_t)(across * down);
    }
    hilum_rc rc = check_siz(self, out, tx0, ty0);
    return rc ? rc : read_components(self, p + 36, n - 36, out);
}

/* Every precinct is a structure in memory before a pixel is seen: a stream may not ask for a million. p: their
 * sizes, a byte a resolution, smallest picture first. */
static bool has_sane_precincts(const uint8_t *p, size_t n, const struct j2k_header *header)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i <= header->levels && i < n; i++) {
        uint64_t width = codec_reduced(header->x1 - header->x0, header->levels - i);
        uint64_t height = codec_reduced(header->y1 - header->y0, header->levels - i);
        total += ((width >> (p[i] & 15)) + 1) * ((height >> (p[i] >> 4)) + 1);
    }
    return n > header->levels && total * header->components <= PRECINCTS_MAX;
}

/* A.6.1. Sums and limits of blocks are the standard's (table A.18): at most 1024 a side, 4096
 * in all. */
static hilum_rc read_cod(void *self, const uint8_t *p, size_t n, struct j2k_header *out)
{
    if (n < 10)
        return codec_fail(self, HILUM_ECORRUPT, "JPEG 2000 coding style of %zu bytes", n);
    out->layers = codec_be16(p + 2);
    out->has_colour_transform = p[4] == 1;
    out->levels = p[5];
    uint32_t block_x = p[6] + 2u, block_y = p[7] + 2u;
    if (out->levels > 32 || block_x > 10 || block_y > 10 || block_x + block_y > 12 ||
        !out->layers || !out->components ||
        (p[0] & 1 && !has_sane_precincts(p + 10, n - 10, out)) ||
        (out->has_colour_transform && out->components < 3))
        return codec_fail(self, HILUM_ECORRUPT, "JPEG 2000 coding style contradicts itself");
    out->block_width = 1u << block_x;
    out->block_height = 1u << block_y;
    out->is_high_throughput |= (p[8] & 0x40) != 0;
    out->is_reversible = p[9] == 1;
    return HILUM_OK;
}

/* What a tile says for itself may bring the other block coder in: one library must never see the other's. */
static bool has_throughput_bit(const uint8_t *p, size_t length, uint32_t marker,
                               const struct j2k_header *header)
{
    size_t at = marker == COD ? 8 : header->components < 257 ? 5 : 6;
    return (marker == COD || marker == COC) && length > at && (p[at] & 0x40) != 0;
}

/* Marker segments up to the first tile; *at moves on. COC, QCD and the rest are the library's;
 * only what tells the kind of block coder is looked at. */
static hilum_rc read_marker(void *self, const struct codec_bytes *stream, uint32_t marker,
                            size_t at, size_t length, struct j2k_header *out)
{
    const uint8_t *p = stream->at + at;
    if (marker == SIZ)
        return read_siz(self, p, length, out);
    if (marker == COD)
        return read_cod(self, p, length, out);
    out->is_high_throughput |= has_throughput_bit(p, length, marker, out);
    if (marker == CAP && length >= 4)
        out->is_high_throughput |= (codec_be32(p) & 0x00020000u) != 0; /* Pcap15 */
    return HILUM_OK;
}

/* Markers of one tile part from `at` on to its data. */
static bool tile_has_throughput(const struct codec_bytes *stream, size_t at,
                                const struct j2k_header *header)
{
    while (stream->n - at >= 4) {
        uint32_t marker = codec_be16(stream->at + at), length = codec_be16(stream->at + at + 2);
        if (marker == SOD || length < 2 || length > stream->n - at - 2)
            return false;
        if (has_throughput_bit(stream->at + at + 4, length - 2, marker, header))
            return true;
        at += 2 + (size_t)length;
    }
    return false;
}

/* From tile part to tile part by their lengths (Psot); stops at what does not add up, which
 * the library will find. */
static bool any_tile_has_throughput(const struct codec_bytes *stream, size_t at,
                                    const struct j2k_header *header)
{
    while (stream->n - at >= 12 && codec_be16(stream->at + at) == SOT) {
        uint32_t length = codec_be32(stream->at + at + 6);
        if (tile_has_throughput(stream, at, header))
            return true;
        if (length < 12 || length > stream->n - at)
            return false;
        at += length;
    }
    return false;
}

/* A library makes room for what a tile part says it holds before it sees that the stream has less. One that was cut may say
 * more than came, but none needs more than some times the picture's own size. */
static bool has_sane_parts(const struct codec_bytes *stream, size_t at,
                           const struct j2k_header *header)
{
    uint64_t most = (uint64_t)(header->x1 - header->x0) * (header->y1 - header->y0) *
                        header->components * ((header->bits + 7) / 8) * 4 +
                    PART_SPARE;
    while (stream->n - at >= 12 && codec_be16(stream->at + at) == SOT) {
        uint32_t length = codec_be32(stream->at + at + 6);
        if (length > stream->n - at)
            return length <= most;
        if (length < 12)
            return true;
        at += length;
    }
    return true;
}

hilum_rc j2k_header_read(void *self, struct codec_bytes *stream, struct j2k_header *out)
{
    *out = (struct j2k_header){0};
    hilum_rc rc = unwrap(self, stream);
    for (size_t at = 2; !rc && stream->n - at >= 4;) {
        uint32_t marker = codec_be16(stream->at + at), length = codec_be16(stream->at + at + 2);
        if (marker == SOT && out->components && out->layers) {
            out->is_high_throughput |= any_tile_has_throughput(stream, at, out);
            return has_sane_parts(stream, at, out)
                       ? HILUM_OK
                       : codec_fail(self, HILUM_ECORRUPT, "JPEG 2000 tile larger than its picture");
        }
        if (marker < 0xFF00 || marker == SOT || marker == SOD || marker == EOC || length < 2 ||
            length > stream->n - at - 2)
            return codec_fail(self, HILUM_ECORRUPT, "JPEG 2000 header broken at byte %zu", at);
        rc = read_marker(self, stream, marker, at + 4, length - 2, out);
        at += 2 + (size_t)length;
    }
    return rc ? rc : codec_fail(self, HILUM_ECORRUPT, "JPEG 2000 header is cut short");
}

bool j2k_is_cut(const struct codec_bytes *stream)
{
    size_t at = 2;
    while (stream->n - at >= 12) {
        uint32_t marker = codec_be16(stream->at + at);
        size_t length = codec_be16(stream->at + at + 2) + 2u;
        if (marker == EOC)
            return false;
        if (marker == SOT)
            length = codec_be32(stream->at + at + 6);
        if (marker == SOT && length == 0)
            return false; /* up to the end */
        if (length > stream->n - at)
            return true;
        at += length < 2 ? 2 : length;
    }
    return false;
}

hilum_rc j2k_check_part(void *self, const struct j2k_header *header, bool is_high_throughput)
{
    if (header->is_high_throughput == is_high_throughput)
        return HILUM_OK;
    return codec_fail(self, HILUM_EUNSUP, "code stream is of %s, not of %s",
                      is_high_throughput ? "JPEG 2000" : "HTJ2K",
                      is_high_throughput ? "HTJ2K" : "JPEG 2000");
}

/* ---- parts ---- */

static uint32_t floor_to(uint32_t n, uint32_t reduce)
{
    return n >> reduce << reduce;
}

static uint32_t ceil_to(uint32_t n, uint32_t reduce, uint32_t limit)
{
    uint64_t up = (uint64_t)codec_reduced(n, reduce) << reduce;
    return up > limit ? limit : (uint32_t)up;
}

/* To whole steps of the reduction, outwards: the region may become larger than asked for,
 * never smaller, and its corners fall on pixels of the smaller picture. */
hilum_rc j2k_part_of(void *self, const struct j2k_header *header, const struct hilum_decode *wanted,
                     struct j2k_part *out)
{
    uint32_t width = header->x1 - header->x0, height = header->y1 - header->y0;
    uint32_t reduce = wanted ? wanted->reduce : 0;
    *out = (struct j2k_part){header->x0, header->y0, header->x1, header->y1, 0, 0, reduce, true};
    if (reduce > header->levels)
        return codec_fail(self, HILUM_EUNSUP, "the stream can be halved %u times, not %u",
                          header->levels, reduce);
    if (wanted && wanted->width) {
        if (!wanted->height || wanted->x >= width || wanted->y >= height ||
            wanted->width > width - wanted->x || wanted->height > height - wanted->y)
            return codec_fail(self, HILUM_EINVAL, "a region outside of the picture");
        out->x0 = header->x0 + floor_to(wanted->x, reduce);
        out->y0 = header->y0 + floor_to(wanted->y, reduce);
        out->x1 = header->x0 + ceil_to(wanted->x + wanted->width, reduce, width);
        out->y1 = header->y0 + ceil_to(wanted->y + wanted->height, reduce, height);
        out->is_whole = false;
    }
    out->columns = codec_reduced(out->x1, reduce) - codec_reduced(out->x0, reduce);
    out->rows = codec_reduced(out->y1, reduce) - codec_reduced(out->y0, reduce);
    return HILUM_OK;
}

/* Decoding undoes the colour transform, so its names become RGB; every other declared one stands. */
hilum_rc j2k_frame_of(void *self, const struct hilum_coded *coded, const struct j2k_header *header,
                      const struct j2k_part *part, const struct hilum_decode *wanted,
                      struct hilum_frame *out)
{
    struct codec_shape shape = {part->columns, part->rows, header->components, header->bits,
                                header->is_signed};
    hilum_rc rc = codec_frame_of(self, coded, &shape, wanted, out);
    if (rc)
        return rc;
    if (out->photometric == HILUM_PHOTO_YBR_ICT || out->photometric == HILUM_PHOTO_YBR_RCT ||
        out->photometric == HILUM_PHOTO_YBR_FULL_422 ||
        out->photometric == HILUM_PHOTO_YBR_PARTIAL_420)
        out->photometric = HILUM_PHOTO_RGB;
    return HILUM_OK;
}

/* The header only: no pixel is decoded. */
hilum_rc j2k_info(void *self, const struct hilum_coded *coded, bool is_high_throughput,
                  struct hilum_code_info *out)
{
    struct codec_bytes stream;
    struct j2k_header header;
    struct j2k_part part;
    hilum_rc rc = codec_gather(self, coded, &stream);
    if (!rc)
        rc = j2k_header_read(self, &stream, &header);
    codec_bytes_fini(&stream);
    if (!rc)
        rc = j2k_check_part(self, &header, is_high_throughput);
    if (!rc)
        rc = j2k_part_of(self, &header, NULL, &part);
    if (!rc)
        rc = j2k_frame_of(self, coded, &header, &part, NULL, out->frame);
    if (rc)
        return rc;
    /* A reversible stream may have been cut by layers: only the irreversible kind tells for sure. */
    out->is_lossless = header.is_reversible ? -1 : 0;
    out->levels = header.levels;
    out->layers = header.layers;
    out->tile_width = header.tile_width < part.columns ? header.tile_width : part.columns;
    out->tile_height = header.tile_height < part.rows ? header.tile_height : part.rows;
    out->photometric = !header.has_colour_transform ? out->frame->photometric
                       : header.is_reversible       ? HILUM_PHOTO_YBR_RCT
                                                    : HILUM_PHOTO_YBR_ICT;
    return HILUM_OK;
}
