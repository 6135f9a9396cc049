/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/contract/codec/pictures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FRAME(columns, rows, samples, allocated, stored, type, planar, photometric)                \
    {                                                                                              \
        sizeof(struct hilum_frame), columns, rows, samples, allocated, stored,                     \
            HILUM_SAMPLE_##type, planar, HILUM_PHOTO_##photometric, 0                              \
    }
const struct hilum_frame picture_frames[] = {
    FRAME(64, 48, 1, 8, 8, UNSIGNED, 0, MONOCHROME2),
    FRAME(33, 17, 1, 8, 7, UNSIGNED, 0, MONOCHROME1),
    FRAME(1, 1, 1, 8, 8, UNSIGNED, 0, MONOCHROME2),
    FRAME(257, 3, 1, 8, 8, UNSIGNED, 0, PALETTE),
    FRAME(40, 31, 1, 8, 8, SIGNED, 0, MONOCHROME2),
    FRAME(40, 31, 1, 8, 6, SIGNED, 0, MONOCHROME2),
    FRAME(64, 48, 1, 16, 16, UNSIGNED, 0, MONOCHROME2),
    FRAME(64, 48, 1, 16, 16, SIGNED, 0, MONOCHROME2),
    FRAME(65, 47, 1, 16, 12, UNSIGNED, 0, MONOCHROME2),
    FRAME(65, 47, 1, 16, 12, SIGNED, 0, MONOCHROME2),
    FRAME(30, 20, 1, 16, 10, UNSIGNED, 0, MONOCHROME2),
    FRAME(30, 20, 1, 16, 8, UNSIGNED, 0, MONOCHROME2),
    FRAME(30, 20, 1, 16, 1, UNSIGNED, 0, MONOCHROME2),
    FRAME(1, 77, 1, 16, 14, SIGNED, 0, MONOCHROME2),
    FRAME(77, 1, 1, 16, 15, UNSIGNED, 0, MONOCHROME2),
    FRAME(31, 33, 3, 8, 8, UNSIGNED, 0, RGB),
    FRAME(31, 33, 3, 8, 8, UNSIGNED, 1, RGB),
    FRAME(32, 16, 3, 8, 8, UNSIGNED, 0, YBR_FULL),
    FRAME(32, 16, 3, 16, 12, UNSIGNED, 0, RGB),
    FRAME(21, 16, 3, 16, 16, UNSIGNED, 1, RGB),
    FRAME(20, 10, 1, 32, 32, UNSIGNED, 0, MONOCHROME2),
    FRAME(20, 10, 1, 32, 24, SIGNED, 0, MONOCHROME2),
    FRAME(20, 10, 1, 32, 20, UNSIGNED, 0, MONOCHROME2),
    FRAME(20, 10, 1, 32, 32, FLOAT, 0, MONOCHROME2),
    FRAME(20, 10, 1, 64, 64, FLOAT, 0, MONOCHROME2),
    FRAME(24, 10, 1, 1, 1, UNSIGNED, 0, MONOCHROME2),
    FRAME(13, 5, 1, 1, 1, UNSIGNED, 0, MONOCHROME2),
    {0},
};

/* 16 x 16 greys, baseline, and the byte that makes its length even. */
const uint8_t picture_jpeg[PICTURE_JPEG] = {
    0xFF, 0xD8, 0xFF, 0xE0, 0x00, 0x10, 0x4A, 0x46, 0x49, 0x46, 0x00, 0x01, 0x01, 0x00, 0x00, 0x01,
    0x00, 0x01, 0x00, 0x00, 0xFF, 0xDB, 0x00, 0x43, 0x00, 0x0D, 0x09, 0x0A, 0x0B, 0x0A, 0x08, 0x0D,
    0x0B, 0x0A, 0x0B, 0x0E, 0x0E, 0x0D, 0x0F, 0x13, 0x20, 0x15, 0x13, 0x12, 0x12, 0x13, 0x27, 0x1C,
    0x1E, 0x17, 0x20, 0x2E, 0x29, 0x31, 0x30, 0x2E, 0x29, 0x2D, 0x2C, 0x33, 0x3A, 0x4A, 0x3E, 0x33,
    0x36, 0x46, 0x37, 0x2C, 0x2D, 0x40, 0x57, 0x41, 0x46, 0x4C, 0x4E, 0x52, 0x53, 0x52, 0x32, 0x3E,
    0x5A, 0x61, 0x5A, 0x50, 0x60, 0x4A, 0x51, 0x52, 0x4F, 0xFF, 0xC0, 0x00, 0x0B, 0x08, 0x00, 0x10,
    0x00, 0x10, 0x01, 0x01, 0x11, 0x00, 0xFF, 0xC4, 0x00, 0x16, 0x00, 0x01, 0x01, 0x01, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x07, 0x03, 0x06, 0xFF, 0xC4,
    0x00, 0x1E, 0x10, 0x00, 0x02, 0x02, 0x02, 0x02, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x02, 0x03, 0x00, 0x01, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x62, 0xFF, 0xDA,
    0x00, 0x08, 0x01, 0x01, 0x00, 0x00, 0x3F, 0x00, 0xCC, 0xA7, 0x82, 0xF8, 0x90, 0x11, 0x8A, 0x27,
    0xC5, 0xE3, 0xE2, 0x20, 0x9F, 0x96, 0xC5, 0x21, 0x21, 0xAE, 0xCC, 0x69, 0x50, 0x8D, 0x6E, 0xF5,
    0x5B, 0xBB, 0xF1, 0xEE, 0xE1, 0x98, 0x8C, 0xFF, 0xD9, 0x00};
const struct hilum_frame picture_jpeg_frame = FRAME(16, 16, 1, 8, 8, UNSIGNED, 0, MONOCHROME2);
const uint8_t picture_jpeg_corners[4] = {2, 55, 237, 70};

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

uint64_t picture_samples(const struct hilum_frame *frame)
{
    return (uint64_t)frame->columns * frame->rows * frame->samples;
}

static uint64_t value_at(const struct hilum_frame *frame, uint64_t i, enum picture_kind kind,
                         uint64_t *state)
{
    uint64_t pixels = (uint64_t)frame->columns * frame->rows;
    uint64_t pixel = frame->is_planar ? i % pixels : i / frame->samples;
    double x = (double)(pixel % frame->columns) / frame->columns;
    double y = (double)(pixel / frame->columns) / frame->rows;
    double most = ldexp(1.0, (int)(frame->bits_stored < 62 ? frame->bits_stored : 62)) - 1;
    if (kind == PICTURE_NOISE)
        return next_random(state);
    if (kind == PICTURE_FLAT)
        return 1;
    double wave = 0.4 + 0.25 * x + 0.2 * y + 0.02 * ((double)(next_random(state) % 100) / 100);
    if (frame->sample_type == HILUM_SAMPLE_SIGNED)
        return (uint64_t)(int64_t)((wave - 0.6) * most); /* around zero */
    return (uint64_t)(wave * most);
}

/* Bits above those stored are the sign of signed samples. */
static uint64_t framed(const struct hilum_frame *frame, uint64_t value)
{
    uint32_t bits = frame->bits_stored;
    if (bits >= 64)
        return value;
    uint64_t mask = (1ull << bits) - 1;
    value &= mask;
    if (frame->sample_type == HILUM_SAMPLE_SIGNED && value >> (bits - 1) & 1)
        value |= ~mask;
    return value;
}

static void make_bits(const struct hilum_frame *frame, enum picture_kind kind, uint8_t *to,
                      uint64_t *state)
{
    for (uint64_t i = 0; i < picture_samples(frame); i++)
        if (kind == PICTURE_NOISE ? next_random(state) & 1 : i / 3 % 2)
            to[i / 8] |= (uint8_t)(1u << i % 8);
}

void *picture_make(const struct hilum_frame *frame, enum picture_kind kind)
{
    uint64_t state = 88172645463325252u + (uint64_t)kind;
    uint32_t bytes = frame->bits_allocated / 8;
    uint8_t *pixels = calloc(1, (size_t)hilum_frame_bytes(frame));
    if (!pixels)
        abort();
    if (frame->bits_allocated == 1)
        make_bits(frame, kind, pixels, &state);
    for (uint64_t i = 0; bytes && i < picture_samples(frame); i++) {
        uint64_t value = framed(frame, value_at(frame, i, kind, &state));
        for (uint32_t k = 0; k < bytes; k++)
            pixels[i * bytes + k] = (uint8_t)(value >> (8 * k));
    }
    return pixels;
}

int picture_soil(const struct hilum_frame *frame, void *pixels)
{
    uint32_t bytes = frame->bits_allocated / 8;
    uint8_t *p = pixels;
    if (frame->bits_stored >= frame->bits_allocated)
        return 0;
    for (uint64_t i = 0; i < picture_samples(frame); i += 5)
        p[i * bytes + bytes - 1] ^= (uint8_t)(1u << (7 - i % 2));
    return 1;
}

int64_t picture_sample(const struct hilum_frame *frame, const void *pixels, uint64_t i)
{
    uint32_t bytes = frame->bits_allocated / 8;
    const uint8_t *p = (const uint8_t *)pixels + i * bytes;
    uint64_t value = 0;
    for (uint32_t k = 0; k < bytes; k++)
        value |= (uint64_t)p[k] << (8 * k);
    if (frame->sample_type == HILUM_SAMPLE_SIGNED && bytes < 8 && value >> (8 * bytes - 1) & 1)
        value |= ~0ull << (8 * bytes);
    return (int64_t)value;
}

double picture_psnr(const struct hilum_frame *frame, const void *a, const void *b)
{
    double sum = 0, most = ldexp(1.0, (int)frame->bits_stored) - 1;
    uint64_t n = picture_samples(frame);
    for (uint64_t i = 0; i < n; i++) {
        double d = (double)(picture_sample(frame, a, i) - picture_sample(frame, b, i));
        sum += d * d;
    }
    return sum > 0 ? 10 * log10(most * most * (double)n / sum) : 999;
}
