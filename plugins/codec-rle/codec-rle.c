/* codec-rle: RLE Lossless (PS3.5 A.4.2, Annex G). Each byte of a sample is a segment of its own, the most
 * significant first, packed row by row. The stream knows no dimensions: the data set's are taken. Any
 * allocation of whole bytes goes through, floats too, bit by bit; so does one bit a pixel.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "codec_common.h"

/* Of 16 numbers of 32 bits: how many segments, and where each of at most 15 begins (G.5). */
enum { HEADER = 64, SEGMENTS_MAX = 15, RUN_MAX = 128 };

/* One frame as segments: how many, and how many bytes each of them unpacks to. */
struct layout {
    uint32_t bytes; /* of a sample; 1 where eight pixels share one */
    uint32_t segments;
    size_t pixels; /* bytes of a segment, unpacked */
    size_t row;    /* of them, a row */
    uint32_t samples;
    bool is_planar;
};

/* segments is at most 15: three samples of 32 bits take 12, four of them do not fit. */
static hilum_rc layout_of(void *self, const struct hilum_frame *frame, struct layout *out)
{
    uint64_t n = hilum_frame_bytes(frame);
    bool is_bits = frame->bits_allocated == 1;
    *out = (struct layout){.bytes = is_bits ? 1 : frame->bits_allocated / 8,
                           .samples = frame->samples,
                           .is_planar = frame->is_planar};
    out->segments = out->bytes * frame->samples;
    out->pixels = out->segments ? (size_t)(n / out->segments) : 0;
    /* Bits run on over the ends of rows, so rows of bytes are told only where they exist. */
    out->row = is_bits && frame->columns % 8 ? out->pixels
               : is_bits                     ? frame->columns / 8
                                             : frame->columns;
    if (!n || !out->row || out->segments > SEGMENTS_MAX ||
        frame->photometric == HILUM_PHOTO_YBR_FULL_422 ||
        frame->photometric == HILUM_PHOTO_YBR_PARTIAL_420)
        return codec_fail(self, HILUM_EUNSUP, "RLE has no form for %u samples of %u bits",
                          frame->samples, frame->bits_allocated);
    return HILUM_OK;
}

/* Where the bytes of segment i lie in the native frame, and how far apart. Byte 0 of a
 * segment's sample is the most significant, of a native one the least. */
static size_t place_of(const struct layout *layout, uint32_t i, size_t *step)
{
    uint32_t sample = i / layout->bytes, byte = layout->bytes - 1 - i % layout->bytes;
    if (layout->is_planar) {
        *step = layout->bytes;
        return sample * layout->pixels * layout->bytes + byte;
    }
    *step = (size_t)layout->bytes * layout->samples;
    return (size_t)sample * layout->bytes + byte;
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put32(uint8_t *p, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(value >> (8 * i));
}

/* ---- decoding ---- */

/* Unpacks up to `want` bytes; returns how many there were. PackBits (G.3.2): 0 to 127 literal
 * bytes more, 129 to 255 repeats, 128 nothing. Counts are cut to what is wanted and to what
 * there is. */
static size_t unpack(const uint8_t *p, const uint8_t *end, size_t want, uint8_t *to, size_t step)
{
    size_t done = 0;
    while (p < end && done < want) {
        uint8_t head = *p++;
        size_t count = head < 128 ? head + 1u : 257u - head;
        if (head == 128)
            continue;
        if (count > want - done)
            count = want - done;
        if (head < 128) {
            if (count > (size_t)(end - p))
                count = (size_t)(end - p);
            for (size_t i = 0; i < count; i++, to += step)
                *to = p[i];
            p += count;
        } else {
            if (p == end)
                break;
            for (size_t i = 0; i < count; i++, to += step)
                *to = *p;
            p++;
        }
        done += count;
    }
    return done;
}

/* The bounds of segment i; false: the header is no header. The end of one is where the next
 * begins: the header has no lengths. */
static bool segment_of(const struct codec_bytes *stream, uint32_t segments, uint32_t i,
                       const uint8_t **begin, const uint8_t **end)
{
    size_t from = get32(stream->at + 4 + 4 * (size_t)i), to = stream->n;
    if (i + 1 < segments)
        to = get32(stream->at + 8 + 4 * (size_t)i);
    if (to > stream->n)
        to = stream->n; /* cut short */
    if (from < HEADER || from > to)
        return false;
    *begin = stream->at + from;
    *end = stream->at + to;
    return true;
}

/* Goes on after a damaged segment: the other bytes or colours are still a picture. */
static hilum_rc decode_segments(void *self, const struct codec_bytes *stream,
                                const struct layout *layout, uint8_t *dst)
{
    if (stream->n < HEADER)
        return codec_fail(self, HILUM_ECORRUPT, "RLE header of %zu bytes", stream->n);
    if (get32(stream->at) != layout->segments)
        return codec_fail(self, HILUM_ECORRUPT, "%u RLE segments, the pixels want %u",
                          get32(stream->at), layout->segments);
    hilum_rc rc = HILUM_OK;
    for (uint32_t i = 0; i < layout->segments; i++) {
        const uint8_t *begin, *end;
        size_t step, at = place_of(layout, i, &step), got = 0;
        if (segment_of(stream, layout->segments, i, &begin, &end))
            got = unpack(begin, end, layout->pixels, dst + at, step);
        if (got < layout->pixels && !rc)
            rc = codec_fail(self, HILUM_ECORRUPT, "RLE segment %u: %zu of %zu bytes", i + 1, got,
                            layout->pixels);
    }
    return rc;
}

/* All of it is the data set's word: the stream has only a number of segments to hold against
 * it. */
static hilum_rc frame_of(void *self, const struct hilum_coded *coded,
                         const struct hilum_decode *wanted, struct hilum_frame *out)
{
    uint32_t size = out->size;
    if (!coded->declared)
        return codec_fail(self, HILUM_EINVAL, "RLE cannot be read without its dimensions");
    *out = *coded->declared;
    out->size = size ? size : (uint32_t)sizeof *out;
    out->is_planar = out->samples > 1 && wanted && wanted->is_planar;
    return HILUM_OK;
}

static hilum_rc info(void *self, const struct hilum_coded *coded, struct hilum_code_info *out)
{
    hilum_rc rc = frame_of(self, coded, NULL, out->frame);
    if (rc)
        return rc;
    out->is_lossless = 1;
    out->levels = out->layers = 0;
    out->tile_width = out->frame->columns;
    out->tile_height = out->frame->rows;
    out->photometric = out->frame->photometric;
    return HILUM_OK;
}

/* Zero first: what is missing of a damaged segment is black, not what was in the memory. */
static hilum_rc decode(void *self, const struct hilum_coded *coded,
                       const struct hilum_decode *wanted, void *dst, uint64_t dst_size,
                       struct hilum_frame *out)
{
    struct layout layout;
    struct codec_bytes stream;
    hilum_rc rc = codec_check_whole(self, wanted);
    if (!rc)
        rc = frame_of(self, coded, wanted, out);
    if (!rc)
        rc = layout_of(self, out, &layout);
    if (!rc)
        rc = codec_check_room(self, out, dst_size);
    if (rc)
        return rc;
    memset(dst, 0, (size_t)hilum_frame_bytes(out));
    rc = codec_gather(self, coded, &stream);
    if (!rc)
        rc = decode_segments(self, &stream, &layout, dst);
    codec_bytes_fini(&stream);
    return rc;
}

/* ---- encoding ---- */

static size_t run_at(const uint8_t *p, const uint8_t *end)
{
    size_t n = 1;
    while (p + n < end && n < RUN_MAX && p[n] == *p)
        n++;
    return n;
}

/* One row; a run of two bytes is worth a packet of its own only where no literal is open. A
 * row at a time: a packet may not go over its end (G.3.1). */
static uint8_t *pack_row(const uint8_t *p, const uint8_t *end, uint8_t *to)
{
    uint8_t *literal = NULL; /* head of the open literal packet */
    while (p < end) {
        size_t run = run_at(p, end);
        if (run >= 3 || (run == 2 && !literal)) {
            *to++ = (uint8_t)(257 - run);
            *to++ = *p;
            p += run;
            literal = NULL;
            continue;
        }
        if (!literal || *literal == RUN_MAX - 1) {
            literal = to++;
            *literal = (uint8_t)-1;
        }
        ++*literal;
        *to++ = *p++;
    }
    return to;
}

/* Of even length (G.3). */
static uint8_t *pack_segment(const struct layout *layout, const uint8_t *src, uint32_t i,
                             uint8_t *plane, uint8_t *to)
{
    size_t step;
    const uint8_t *from = src + place_of(layout, i, &step);
    uint8_t *begin = to;
    for (size_t k = 0; k < layout->pixels; k++)
        plane[k] = from[k * step];
    for (size_t k = 0; k < layout->pixels; k += layout->row)
        to = pack_row(plane + k, plane + k + layout->row, to);
    if ((to - begin) % 2)
        *to++ = 0;
    return to;
}

/* Offsets count from the header's beginning (G.5). */
static hilum_rc encode_segments(void *self, const struct layout *layout, const void *src,
                                uint8_t *buffer, uint8_t *plane, struct hilum_sink *out,
                                uint64_t *written)
{
    uint8_t *to = buffer + HEADER;
    memset(buffer, 0, HEADER);
    put32(buffer, layout->segments);
    for (uint32_t i = 0; i < layout->segments; i++) {
        if ((uint64_t)(to - buffer) > UINT32_MAX)
            return codec_fail(self, HILUM_EUNSUP, "a frame beyond what RLE offsets can say");
        put32(buffer + 4 + 4 * (size_t)i, (uint32_t)(to - buffer));
        to = pack_segment(layout, src, i, plane, to);
    }
    *written = (uint64_t)(to - buffer);
    return codec_write(out, buffer, *written);
}

static hilum_rc encode(void *self, const struct hilum_frame *frame, const void *src, uint64_t n,
                       const struct hilum_encode *wanted, struct hilum_sink *out,
                       struct hilum_encoded *done)
{
    struct layout layout;
    uint64_t written = 0;
    (void)wanted;
    if (!n || hilum_frame_bytes(frame) != n)
        return codec_fail(self, HILUM_EINVAL, "%llu bytes are no frame of %ux%u pixels",
                          (unsigned long long)n, frame->columns, frame->rows);
    hilum_rc rc = layout_of(self, frame, &layout);
    if (rc)
        return rc;
    /* A literal packet costs a byte in 128 and there may be one begun at every row's end. */
    size_t worst = layout.pixels + layout.pixels / RUN_MAX + layout.pixels / layout.row + 2;
    uint8_t *buffer = malloc(HEADER + worst * layout.segments);
    uint8_t *plane = calloc(1, layout.pixels + 1);
    rc = buffer && plane ? encode_segments(self, &layout, src, buffer, plane, out, &written)
                         : codec_fail(self, HILUM_ENOMEM, "no memory for %llu bytes of pixels",
                                      (unsigned long long)n);
    free(buffer);
    free(plane);
    if (!rc)
        codec_done(done, frame->photometric, n, written, NULL);
    return rc;
}

/* ---- the plugin ---- */

static const struct hilum_codec_syntax syntaxes[] = {
    {CODEC_UID("5"), HILUM_CODEC_DECODES | HILUM_CODEC_ENCODES | HILUM_CODEC_LOSSLESS, 100}, {0}};

static const struct hilum_codec table = {.cap = {.size = sizeof table,
                                                 .kind = HILUM_CAP_CODEC,
                                                 .threads = HILUM_PARALLEL,
                                                 .name = "rle"},
                                         .syntaxes = syntaxes,
                                         .info = info,
                                         .decode = decode,
                                         .encode = encode};

CODEC_PLUGIN("codec-rle", table)
