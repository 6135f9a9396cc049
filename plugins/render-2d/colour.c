/* Samples of three channels to RGB of 8 bits (PS3.3 C.7.6.3.1.2).
 *
 * Codecs deliver RGB or YBR_FULL of 8 bits as a rule; planar order, deeper samples and halved
 * colours come from native pixel data.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "render.h"

#include <string.h>

static uint8_t clamp(int32_t value)
{
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* YBR_FULL: BT.601 of the full range, in 16 bits of fraction. Whole numbers: the same on every
 * machine, and what other viewers show to the bit. */
static void ybr_to_rgb(int32_t y, int32_t b, int32_t r, uint8_t *out)
{
    b -= 128;
    r -= 128;
    y = (y << 16) + 32768;
    out[0] = clamp((y + 91881 * r) >> 16);
    out[1] = clamp((y - 22554 * b - 46802 * r) >> 16);
    out[2] = clamp((y + 116130 * b) >> 16);
}

/* YBR_PARTIAL: 16 to 235 and 16 to 240. */
static void partial_to_rgb(int32_t y, int32_t b, int32_t r, uint8_t *out)
{
    y = (y - 16) * 76309 + 32768;
    b -= 128;
    r -= 128;
    out[0] = clamp((y + 104597 * r) >> 16);
    out[1] = clamp((y - 25675 * b - 53279 * r) >> 16);
    out[2] = clamp((y + 132201 * b) >> 16);
}

/* The upper eight of the stored bits. */
static uint8_t byte_at(const struct samples *s, uint64_t i)
{
    uint32_t allocated = s->frame.bits_allocated, bits = s->frame.bits_stored;
    if (bits == 0 || bits > allocated)
        bits = allocated;
    if (allocated == 8)
        return (uint8_t)((uint32_t)s->pixels[i] << (8 - bits));
    uint64_t value = 0;
    for (uint32_t k = allocated / 8; k-- > 0;)
        value = value << 8 | s->pixels[i * (allocated / 8) + k];
    value >>= s->shift;
    return (uint8_t)(bits >= 8 ? value >> (bits - 8) : value << (8 - bits));
}

/* The branch on the colour model is the same for all pixels of a picture: processors learn it. */
static void convert(const struct samples *s, uint8_t *to)
{
    uint64_t n = (uint64_t)s->frame.columns * s->frame.rows;
    uint64_t step = s->frame.is_planar ? 1 : s->frame.samples;
    uint64_t plane = s->frame.is_planar ? n : 1;
    bool is_ybr = s->frame.photometric == HILUM_PHOTO_YBR_FULL;
    for (uint64_t i = 0; i < n; i++, to += 3) {
        uint8_t a = byte_at(s, i * step), b = byte_at(s, i * step + plane),
                c = byte_at(s, i * step + 2 * plane);
        if (is_ybr) {
            ybr_to_rgb(a, b, c, to);
        } else {
            to[0] = a;
            to[1] = b;
            to[2] = c;
        }
    }
}

/* Native 4:2:2: Y Y Cb Cr for two pixels of a row. */
static void convert_422(const struct samples *s, uint8_t *to)
{
    uint64_t pairs = (uint64_t)s->frame.columns * s->frame.rows / 2;
    for (uint64_t i = 0; i < pairs; i++, to += 6) {
        uint8_t b = byte_at(s, 4 * i + 2), r = byte_at(s, 4 * i + 3);
        ybr_to_rgb(byte_at(s, 4 * i), b, r, to);
        ybr_to_rgb(byte_at(s, 4 * i + 1), b, r, to + 3);
    }
}

/* Planes of Y, and of Cb and Cr at half the size. */
static void convert_420(const struct samples *s, uint8_t *to)
{
    uint32_t width = s->frame.columns, height = s->frame.rows;
    const uint8_t *y = s->pixels, *b = y + (size_t)width * height;
    const uint8_t *r = b + (size_t)(width / 2) * (height / 2);
    for (uint32_t row = 0; row < height; row++)
        for (uint32_t column = 0; column < width; column++, to += 3) {
            size_t half = (size_t)(row / 2) * (width / 2) + column / 2;
            partial_to_rgb(y[(size_t)row * width + column], b[half], r[half], to);
        }
}

/* The plain case is one copy. */
hilum_rc colour_picture(const struct scene *scene, const struct samples *samples,
                        struct picture *out)
{
    const struct hilum_frame *frame = &samples->frame;
    if (frame->sample_type == HILUM_SAMPLE_FLOAT || frame->bits_allocated < 8)
        return render_fail(scene->render, HILUM_EUNSUP, "colours of this kind of sample");
    bool is_422 = frame->photometric == HILUM_PHOTO_YBR_FULL_422;
    bool is_420 = frame->photometric == HILUM_PHOTO_YBR_PARTIAL_420;
    if ((is_422 && frame->columns % 2) ||
        (is_420 && (frame->columns % 2 || frame->rows % 2 || frame->bits_allocated != 8)))
        return render_fail(scene->render, HILUM_EUNSUP, "halved colours of an odd size");
    hilum_rc rc = picture_make(scene->render, frame->columns, frame->rows, 3, 8, out);
    if (rc != HILUM_OK)
        return rc;
    if (is_422)
        convert_422(samples, out->pixels);
    else if (is_420)
        convert_420(samples, out->pixels);
    else if (frame->photometric == HILUM_PHOTO_RGB && frame->bits_allocated == 8 &&
             frame->samples == 3 && !frame->is_planar && frame->bits_stored == 8)
        memcpy(out->pixels, samples->pixels, picture_bytes(out));
    else
        convert(samples, out->pixels);
    return HILUM_OK;
}
