/* Planes, and the one kernel everything is made of: sums of weighted rows, four values at a time. simde makes of it SSE,
 * NEON or plain C. SPDX-License-Identifier: Apache-2.0 */
#include "filter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <simde/x86/sse2.h>

/* Palettes are numbers of colours: their neighbours mean nothing to each other. */
bool plane_takes(const struct hilum_frame *frame)
{
    uint32_t bits = frame->bits_allocated;
    bool is_grey = frame->samples == 1 && frame->photometric != HILUM_PHOTO_PALETTE;
    bool is_rgb = frame->samples == 3 && frame->photometric == HILUM_PHOTO_RGB && !frame->is_planar;
    return (bits == 8 || bits == 16) && frame->bits_stored >= 1 && frame->bits_stored <= bits &&
           frame->sample_type != HILUM_SAMPLE_FLOAT && (is_grey || is_rgb);
}

void plane_range(const struct hilum_frame *frame, float *least, float *most)
{
    float values = (float)(1u << frame->bits_stored);
    bool is_signed = frame->sample_type == HILUM_SAMPLE_SIGNED;
    *least = is_signed ? -values / 2 : 0;
    *most = is_signed ? values / 2 - 1 : values - 1;
}

/* Not set to anything: whoever makes one fills it. */
hilum_rc plane_make(const struct filter *filter, uint32_t width, uint32_t height, struct plane *out)
{
    *out = (struct plane){width, height, NULL};
    out->values = malloc((size_t)width * height * sizeof *out->values + 16);
    return out->values != NULL
               ? HILUM_OK
               : filter_fail(filter, HILUM_ENOMEM, "no memory for %ux%u pixels", width, height);
}

void plane_fini(struct plane *plane)
{
    free(plane->values);
    plane->values = NULL;
}

/* Bits above the stored ones may hold overlays. Single precision is exact up to 24 bits. */
static float value_of(const struct hilum_frame *frame, const uint8_t *p)
{
    uint32_t raw = frame->bits_allocated == 8 ? p[0] : p[0] | (uint32_t)p[1] << 8;
    uint32_t sign = 1u << (frame->bits_stored - 1);
    raw &= sign | (sign - 1);
    if (frame->sample_type == HILUM_SAMPLE_SIGNED && raw & sign)
        return (float)raw - 2 * (float)sign;
    return (float)raw;
}

/* plane_fini is the caller's in every case. */
hilum_rc plane_load(const struct filter *filter, const struct hilum_image *image, uint32_t channel,
                    struct plane *out)
{
    const struct hilum_frame *frame = image->frame;
    size_t unit = frame->bits_allocated / 8, step = unit * frame->samples;
    const uint8_t *p = (const uint8_t *)image->pixels + channel * unit;
    hilum_rc rc = plane_make(filter, frame->columns, frame->rows, out);
    size_t n = rc == HILUM_OK ? (size_t)frame->columns * frame->rows : 0;
    for (size_t i = 0; i < n; i++, p += step)
        out->values[i] = value_of(frame, p);
    return rc;
}

/* "value > least ? ..." also catches NaN: it becomes the least value, not anything. Bits above
 * the stored ones become the sign, or zero. */
void plane_store(const struct plane *plane, const struct hilum_frame *frame, uint32_t channel,
                 void *dst)
{
    size_t unit = frame->bits_allocated / 8, step = unit * frame->samples;
    size_t n = (size_t)plane->width * plane->height;
    uint8_t *p = (uint8_t *)dst + channel * unit;
    float least, most;
    plane_range(frame, &least, &most);
    for (size_t i = 0; i < n; i++, p += step) {
        float value = plane->values[i];
        value = value > least ? (value < most ? value : most) : least;
        int32_t whole = (int32_t)floorf(value + 0.5f);
        p[0] = (uint8_t)whole;
        if (unit == 2)
            p[1] = (uint8_t)((uint32_t)whole >> 8);
    }
}

/* ---- sums of rows ---- */

/* sum += weight * from. The one loop that all blurring spends its time in. Unaligned loads:
 * rows begin anywhere. */
static void add_row(const float *from, float weight, size_t n, float *sum)
{
    const simde__m128 w = simde_mm_set1_ps(weight);
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        simde_mm_storeu_ps(sum + i,
                           simde_mm_add_ps(simde_mm_loadu_ps(sum + i),
                                           simde_mm_mul_ps(simde_mm_loadu_ps(from + i), w)));
    for (; i < n; i++)
        sum[i] += weight * from[i];
}

/* Weights of one half, the middle first; all of them together are 1. Returns the radius. Cut
 * at three sigma and made to sum to 1, so that flat areas keep their value. */
static int gaussian(double sigma, float weights[RADIUS_MAX + 1])
{
    int radius = (int)ceil(3 * sigma);
    double sum = 0, exact[RADIUS_MAX + 1];
    radius = radius < 1 ? 1 : radius > RADIUS_MAX ? RADIUS_MAX : radius;
    for (int k = 0; k <= radius; k++) {
        exact[k] = exp(-k * k / (2 * sigma * sigma));
        sum += k == 0 ? exact[k] : 2 * exact[k];
    }
    for (int k = 0; k <= radius; k++)
        weights[k] = (float)(exact[k] / sum);
    return radius;
}

void plane_widen(const struct plane *plane, uint32_t y, int radius, float *out)
{
    const float *row = plane->values + (size_t)y * plane->width;
    for (int k = 0; k < radius; k++) {
        out[k] = row[0];
        out[radius + (int)plane->width + k] = row[plane->width - 1];
    }
    memcpy(out + radius, row, plane->width * sizeof *out);
}

/* The row is widened first, so that the loop needs no bounds. */
static void blur_across(struct plane *plane, const float *weights, int radius, float *wide)
{
    for (uint32_t y = 0; y < plane->height; y++) {
        float *row = plane->values + (size_t)y * plane->width;
        plane_widen(plane, y, radius, wide);
        memset(row, 0, plane->width * sizeof *row);
        for (int k = -radius; k <= radius; k++)
            add_row(wide + radius + k, weights[k < 0 ? -k : k], plane->width, row);
    }
}

/* Rows as wholes: memory is read along, never down. */
static void blur_down(const struct plane *from, const float *weights, int radius, struct plane *out)
{
    int64_t last = (int64_t)from->height - 1;
    for (int64_t y = 0; y <= last; y++) {
        float *row = out->values + (size_t)y * from->width;
        memset(row, 0, from->width * sizeof *row);
        for (int64_t k = -radius; k <= radius; k++) {
            int64_t at = y + k < 0 ? 0 : y + k > last ? last : y + k;
            add_row(from->values + (size_t)at * from->width, weights[k < 0 ? -k : k], from->width,
                    row);
        }
    }
}

/* Down first, into out, then across in place: one plane beside the input's. */
hilum_rc plane_blur(const struct filter *filter, const struct plane *from, double sigma,
                    struct plane *out)
{
    float weights[RADIUS_MAX + 1];
    int radius = gaussian(sigma, weights);
    hilum_rc rc = plane_make(filter, from->width, from->height, out);
    if (rc != HILUM_OK)
        return rc;
    float *wide = malloc((from->width + 2 * (size_t)radius) * sizeof *wide);
    if (wide == NULL) {
        plane_fini(out);
        return filter_fail(filter, HILUM_ENOMEM, "no memory for a row");
    }
    blur_down(from, weights, radius, out);
    blur_across(out, weights, radius, wide);
    free(wide);
    return HILUM_OK;
}

/* Each channel for itself: colours are filtered as three greys. */
hilum_rc filter_channels(const struct filter *filter, const struct hilum_image *in, void *dst,
                         hilum_rc (*change)(const struct filter *filter, struct plane *plane,
                                            const void *arg),
                         const void *arg)
{
    hilum_rc rc = HILUM_OK;
    for (uint32_t c = 0; rc == HILUM_OK && c < in->frame->samples; c++) {
        struct plane plane;
        rc = plane_load(filter, in, c, &plane);
        if (rc == HILUM_OK)
            rc = change(filter, &plane, arg);
        if (rc == HILUM_OK)
            plane_store(&plane, in->frame, c, dst);
        plane_fini(&plane);
    }
    return rc;
}
