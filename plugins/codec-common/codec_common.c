/* SPDX-License-Identifier: Apache-2.0 */
#include "codec_common.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the plugin ---- */

hilum_rc codec_init(const struct hilum_host *host, hilum_self *self,
                    const struct hilum_codec *table, void **state)
{
    struct codec *codec = calloc(1, sizeof *codec);
    if (!codec)
        return host->fail(self, HILUM_ENOMEM, "no memory for a codec");
    codec->host = host;
    codec->self = self;
    hilum_rc rc = host->provide(self, &table->cap, codec);
    if (rc) {
        free(codec);
        return rc;
    }
    *state = codec;
    return HILUM_OK;
}

void codec_fini(void *state)
{
    free(state);
}

hilum_rc codec_fail(void *self, hilum_rc rc, const char *format, ...)
{
    const struct codec *codec = self;
    char why[256];
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    return codec->host->fail(codec->self, rc, why);
}

/* ---- code streams ---- */

/* A stream of no bytes is damage; half of SIZE_MAX leaves callers room to add. */
static hilum_rc total_of(void *self, const struct hilum_coded *coded, size_t *out)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < coded->n_fragments; i++) {
        if (coded->fragments[i].n > SIZE_MAX / 2 - total)
            return codec_fail(self, HILUM_EINVAL, "fragments of more bytes than memory has");
        total += coded->fragments[i].n;
    }
    *out = (size_t)total;
    return total ? HILUM_OK : codec_fail(self, HILUM_ECORRUPT, "code stream is empty");
}

hilum_rc codec_gather(void *self, const struct hilum_coded *coded, struct codec_bytes *out)
{
    *out = (struct codec_bytes){0};
    hilum_rc rc = total_of(self, coded, &out->n);
    if (rc)
        return rc;
    if (coded->n_fragments == 1) {
        out->at = coded->fragments[0].bytes;
        return HILUM_OK;
    }
    uint8_t *to = out->copy = malloc(out->n + 1);
    if (!to)
        return codec_fail(self, HILUM_ENOMEM, "no memory for %zu bytes of fragments", out->n);
    out->at = to;
    for (uint32_t i = 0; i < coded->n_fragments; i++) {
        if (coded->fragments[i].n)
            memcpy(to, coded->fragments[i].bytes, coded->fragments[i].n);
        to += coded->fragments[i].n;
    }
    return HILUM_OK;
}

void codec_bytes_fini(struct codec_bytes *bytes)
{
    free(bytes->copy);
    *bytes = (struct codec_bytes){0};
}

/* Padding behind it is looked past (PS3.5 A.4: fragments are even). */
hilum_rc codec_end_with_marker(void *self, struct codec_bytes *stream)
{
    enum { EOI_1 = 0xFF, EOI_2 = 0xD9 };
    size_t n = stream->n;
    while (n && stream->n - n < 2 && !stream->at[n - 1])
        n--; /* padding */
    if (n >= 2 && stream->at[n - 2] == EOI_1 && stream->at[n - 1] == EOI_2)
        return HILUM_OK;
    uint8_t *longer = malloc(stream->n + 2);
    if (!longer)
        return codec_fail(self, HILUM_ENOMEM, "no memory for %zu bytes of JPEG", stream->n);
    memcpy(longer, stream->at, stream->n);
    longer[stream->n] = EOI_1;
    longer[stream->n + 1] = EOI_2;
    free(stream->copy);
    *stream = (struct codec_bytes){longer, stream->n + 2, longer};
    return HILUM_OK;
}

bool codec_is_syntax(const char *syntax, const char *uid)
{
    return syntax && strcmp(syntax, uid) == 0;
}

/* ---- frames ---- */

/* What the data set allocates, so that a decoded frame fits its header, where that is whole
 * bytes and wide enough. */
static uint32_t allocation_of(const struct hilum_frame *declared, uint32_t bits)
{
    uint32_t least = bits <= 8 ? 8 : bits <= 16 ? 16 : 32;
    bool is_usable = declared && declared->bits_allocated % 8 == 0 &&
                     declared->bits_allocated >= least && declared->bits_allocated <= 32;
    return is_usable ? declared->bits_allocated : least;
}

hilum_rc codec_frame_of(void *self, const struct hilum_coded *coded,
                        const struct codec_shape *shape, const struct hilum_decode *wanted,
                        struct hilum_frame *out)
{
    const struct hilum_frame *declared = coded->declared;
    uint32_t size = out->size ? out->size : (uint32_t)sizeof *out;
    if (!shape->columns || !shape->rows || !shape->samples || !shape->bits)
        return codec_fail(self, HILUM_ECORRUPT, "code stream of %ux%u pixels, %u samples, %u bits",
                          shape->columns, shape->rows, shape->samples, shape->bits);
    if (shape->samples > CODEC_SAMPLES_MAX || shape->samples == 2 || shape->bits > 32)
        return codec_fail(self, HILUM_EUNSUP, "code stream of %u samples of %u bits",
                          shape->samples, shape->bits);
    *out = (struct hilum_frame){.size = size,
                                .columns = shape->columns,
                                .rows = shape->rows,
                                .samples = shape->samples,
                                .bits_allocated = allocation_of(declared, shape->bits),
                                .bits_stored = shape->bits};
    bool is_signed = declared ? declared->sample_type == HILUM_SAMPLE_SIGNED : shape->is_signed;
    /* Some streams are deeper than the samples in them: the sign is where the data set has it. */
    if (is_signed && declared && declared->bits_stored && declared->bits_stored < shape->bits &&
        shape->bits < out->bits_allocated)
        out->bits_stored = declared->bits_stored;
    out->sample_type = is_signed ? HILUM_SAMPLE_SIGNED : HILUM_SAMPLE_UNSIGNED;
    out->is_planar = shape->samples > 1 && wanted && wanted->is_planar;
    if (shape->samples == 1)
        out->photometric = declared && declared->samples <= 1 && declared->photometric
                               ? declared->photometric
                               : HILUM_PHOTO_MONOCHROME2;
    else
        out->photometric = declared && declared->samples > 1 && declared->photometric
                               ? declared->photometric
                               : HILUM_PHOTO_RGB;
    return HILUM_OK;
}

hilum_rc codec_check_whole(void *self, const struct hilum_decode *wanted)
{
    if (wanted && (wanted->reduce || wanted->width))
        return codec_fail(self, HILUM_EUNSUP, "only whole frames are decoded from this syntax");
    return HILUM_OK;
}

/* No bytes at all: hilum_frame_bytes is 0 where the product does not fit 64 bits or has no
 * form. */
hilum_rc codec_check_room(void *self, const struct hilum_frame *frame, uint64_t size)
{
    uint64_t need = hilum_frame_bytes(frame);
    if (!need)
        return codec_fail(self, HILUM_EUNSUP, "a frame of %ux%u pixels, %u samples of %u bits",
                          frame->columns, frame->rows, frame->samples, frame->bits_allocated);
    if (need > size)
        return codec_fail(self, HILUM_EFULL, "frame of %llu bytes, room for %llu",
                          (unsigned long long)need, (unsigned long long)size);
    return HILUM_OK;
}

/* Reasons are read by people who look why an object stayed as it was. */
static hilum_rc check_kind(void *self, const struct hilum_frame *frame)
{
    uint32_t allocated = frame->bits_allocated;
    if (frame->sample_type == HILUM_SAMPLE_FLOAT)
        return codec_fail(self, HILUM_EUNSUP, "this syntax has no floating point samples");
    if (frame->photometric == HILUM_PHOTO_YBR_FULL_422 ||
        frame->photometric == HILUM_PHOTO_YBR_PARTIAL_420)
        return codec_fail(self, HILUM_EUNSUP,
                          "pixels that share their colours (4:2:2, 4:2:0) are kept as they are by "
                          "deflated and encapsulated uncompressed frames only");
    if ((allocated != 8 && allocated != 16 && allocated != 32) || frame->samples == 2)
        return codec_fail(self, HILUM_EUNSUP, "this syntax has no %u samples of %u allocated bits",
                          frame->samples, allocated);
    if (frame->columns > CODEC_SIDE_MAX || frame->rows > CODEC_SIDE_MAX)
        return codec_fail(self, HILUM_EUNSUP, "a frame of %ux%u pixels", frame->columns,
                          frame->rows);
    return HILUM_OK;
}

hilum_rc codec_check_source(void *self, const struct hilum_frame *frame, uint64_t n)
{
    uint32_t allocated = frame->bits_allocated;
    if (hilum_frame_bytes(frame) != n || !n)
        return codec_fail(self, HILUM_EINVAL, "%llu bytes are no frame of %ux%u pixels",
                          (unsigned long long)n, frame->columns, frame->rows);
    hilum_rc rc = check_kind(self, frame);
    if (rc)
        return rc;
    if (!frame->bits_stored || frame->bits_stored > allocated)
        return codec_fail(self, HILUM_EINVAL, "%u bits stored of %u allocated", frame->bits_stored,
                          allocated);
    return HILUM_OK;
}

/* 1, 2 or 4 bytes: 3 are not allocated by anybody. */
static uint32_t sample_at(const uint8_t *p, uint32_t bytes)
{
    uint32_t value = p[0];
    if (bytes > 1)
        value |= (uint32_t)p[1] << 8;
    if (bytes > 2)
        value |= (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    return value;
}

/* Sign extension without a branch: the sign bit is turned and subtracted. */
static int32_t extended(uint32_t value, uint32_t bits)
{
    uint32_t sign = 1u << (bits ? bits - 1 : 0), mask = sign | (sign - 1);
    return (int32_t)(((value & mask) ^ sign) - sign);
}

static uint32_t mask_of(uint32_t bits)
{
    return bits >= 32 ? 0xFFFFFFFFu : (1u << bits) - 1;
}

/* Are the bits above only the sign, or zero? Without a branch a sample. */
static bool is_above_sign16(const uint8_t *p, uint64_t n, uint32_t bits, bool is_signed)
{
    uint32_t shift = 32 - bits, differs = 0;
    for (uint64_t i = 0; i < n; i++) {
        uint16_t value;
        memcpy(&value, p + 2 * i, sizeof value);
        uint32_t v = le16toh(value);
        uint32_t kept =
            is_signed ? (uint32_t)((int32_t)(v << shift) >> shift) & 0xFFFFu : v << shift >> shift;
        differs |= v ^ kept;
    }
    return differs == 0;
}

/* Bits above the stored ones may hold overlays (retired, and still in archives) and are part
 * of what "lossless" promises. */
uint32_t codec_bits_used(const struct hilum_frame *frame, const void *src)
{
    uint32_t bytes = frame->bits_allocated / 8, bits = frame->bits_stored;
    uint32_t above = mask_of(frame->bits_allocated) & ~mask_of(bits);
    uint64_t n = bytes ? hilum_frame_bytes(frame) / bytes : 0;
    bool is_signed = frame->sample_type == HILUM_SAMPLE_SIGNED;
    const uint8_t *p = src;
    if (above && bytes == 2)
        return is_above_sign16(p, n, bits, is_signed) ? bits : frame->bits_allocated;
    for (uint64_t i = 0; above && i < n; i++, p += bytes) {
        uint32_t value = sample_at(p, bytes);
        uint32_t wanted = is_signed && value >> (bits - 1) & 1 ? above : 0;
        if ((value & above) != wanted)
            return frame->bits_allocated;
    }
    return bits;
}

/* By the sign within bits_stored. */
bool codec_has_negative(const struct hilum_frame *frame, const void *src)
{
    uint32_t bytes = frame->bits_allocated / 8;
    uint64_t n = bytes ? hilum_frame_bytes(frame) / bytes : 0;
    const uint8_t *p = src;
    if (frame->sample_type != HILUM_SAMPLE_SIGNED)
        return false;
    for (uint64_t i = 0; i < n; i++, p += bytes)
        if (sample_at(p, bytes) >> (frame->bits_stored - 1) & 1)
            return true;
    return false;
}

/* Where a row of a sample begins, and bytes from one of its values to the next. */
static size_t row_at(const struct hilum_frame *frame, uint32_t row, uint32_t sample, size_t *step)
{
    size_t bytes = frame->bits_allocated / 8, columns = frame->columns;
    if (frame->is_planar) {
        *step = bytes;
        return ((size_t)sample * frame->rows + row) * columns * bytes;
    }
    *step = bytes * frame->samples;
    return ((size_t)row * columns * frame->samples + sample) * bytes;
}

/* Samples of 16 bits, one beside the other, which is nearly everything a hospital has: loops without a branch, which
 * compilers make wide. A tenth of what HTJ2K takes for a frame was the general loop (2026-11-30). */
static void row_get16(const uint8_t *p, uint32_t n, uint32_t bits, bool is_signed, int32_t *values)
{
    uint32_t shift = 32 - bits;
    uint16_t value;
    for (uint32_t x = 0; x < n; x++) {
        memcpy(&value, p + 2 * (size_t)x, sizeof value);
        values[x] = (int32_t)((uint32_t)le16toh(value) << shift);
    }
    if (is_signed)
        for (uint32_t x = 0; x < n; x++)
            values[x] = values[x] >> shift;
    else
        for (uint32_t x = 0; x < n; x++)
            values[x] = (int32_t)((uint32_t)values[x] >> shift);
}

static void row_put16(uint8_t *p, uint32_t n, uint32_t bits, bool is_signed, const int32_t *values)
{
    uint32_t shift = 32 - bits, mask = mask_of(bits);
    if (is_signed)
        for (uint32_t x = 0; x < n; x++) {
            uint16_t value = htole16((uint16_t)((int32_t)((uint32_t)values[x] << shift) >> shift));
            memcpy(p + 2 * (size_t)x, &value, sizeof value);
        }
    else
        for (uint32_t x = 0; x < n; x++) {
            uint16_t value = htole16((uint16_t)((uint32_t)values[x] & mask));
            memcpy(p + 2 * (size_t)x, &value, sizeof value);
        }
}

void codec_row_get(const struct hilum_frame *frame, const void *src, uint32_t row, uint32_t sample,
                   uint32_t bits, int32_t *values)
{
    size_t step;
    const uint8_t *p = (const uint8_t *)src + row_at(frame, row, sample, &step);
    uint32_t bytes = frame->bits_allocated / 8, mask = mask_of(bits);
    bool is_signed = frame->sample_type == HILUM_SAMPLE_SIGNED;
    if (bytes == 2 && step == 2 && bits >= 1 && bits <= 16) {
        row_get16(p, frame->columns, bits, is_signed, values);
        return;
    }
    for (uint32_t x = 0; x < frame->columns; x++, p += step) {
        uint32_t value = sample_at(p, bytes);
        values[x] = is_signed ? extended(value, bits) : (int32_t)(value & mask);
    }
}

void codec_row_put(const struct hilum_frame *frame, void *dst, uint32_t row, uint32_t sample,
                   const int32_t *values)
{
    size_t step;
    uint8_t *p = (uint8_t *)dst + row_at(frame, row, sample, &step);
    uint32_t bytes = frame->bits_allocated / 8, bits = frame->bits_stored, mask = mask_of(bits);
    bool is_signed = frame->sample_type == HILUM_SAMPLE_SIGNED;
    if (bytes == 2 && step == 2 && bits >= 1 && bits <= 16) {
        row_put16(p, frame->columns, bits, is_signed, values);
        return;
    }
    for (uint32_t x = 0; x < frame->columns; x++, p += step) {
        uint32_t value = (uint32_t)values[x];
        value = is_signed ? (uint32_t)extended(value, bits) : value & mask;
        p[0] = (uint8_t)value;
        if (bytes > 1)
            p[1] = (uint8_t)(value >> 8);
        if (bytes > 2) {
            p[2] = (uint8_t)(value >> 16);
            p[3] = (uint8_t)(value >> 24);
        }
    }
}

/* Is there a sample of each kind for each pixel? Of 4:2:2 and 4:2:0 there is not, whatever else a data set says. */
static bool is_full(const struct hilum_frame *frame)
{
    return hilum_frame_bytes(frame) ==
           (uint64_t)frame->columns * frame->rows * frame->samples * (frame->bits_allocated / 8);
}

/* bits: as many as either stores, so that a sign that is only in the wider one is not lost. */
hilum_rc codec_convert(void *self, const struct hilum_frame *from, const void *src,
                       const struct hilum_frame *to, void *dst)
{
    if (!is_full(from) || !is_full(to))
        return codec_fail(self, HILUM_EUNSUP, "planes of pixels that share samples");
    uint32_t bits = from->bits_stored < to->bits_stored ? to->bits_stored : from->bits_stored;
    if (bits > from->bits_allocated)
        bits = from->bits_allocated;
    int32_t *values = calloc(from->columns, sizeof *values);
    if (!values)
        return codec_fail(self, HILUM_ENOMEM, "no memory for a row of %u pixels", from->columns);
    for (uint32_t sample = 0; sample < from->samples; sample++) {
        for (uint32_t row = 0; row < from->rows; row++) {
            codec_row_get(from, src, row, sample, bits, values);
            codec_row_put(to, dst, row, sample, values);
        }
    }
    free(values);
    return HILUM_OK;
}

uint32_t codec_reduced(uint32_t side, uint32_t reduce)
{
    return reduce >= 32 ? 1 : (uint32_t)(((uint64_t)side + (1ull << reduce) - 1) >> reduce);
}

/* ---- output ---- */

hilum_rc codec_write(struct hilum_sink *out, const void *bytes, uint64_t n)
{
    return out->write(out->ctx, bytes, n);
}

void codec_done(struct hilum_encoded *done, uint32_t photometric, uint64_t native, uint64_t written,
                const char *method)
{
    done->photometric = photometric;
    done->is_lossy = method != NULL;
    done->is_planar = 0;
    done->ratio = written ? (double)native / (double)written : 0;
    done->method = method ? method : "";
}
