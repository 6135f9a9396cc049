/* Pictures at another size: a cubic kernel (Catmull-Rom) as wide as the coarser of the two grids, across and down one
 * after the other.
 *
 * Across and down separately costs the sum of two kernels and not their product. Making
 * smaller, the kernel is as wide as a pixel of the result, so nothing is skipped: a thin
 * fracture must not fall between two samples.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "render.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What of a row or column one pixel is made of. */
struct taps {
    uint32_t first, n; /* n 0: it lies outside */
    const float *weights;
};

struct kernel {
    struct taps *taps; /* of every pixel */
    float *weights;
};

static double cubic(double x)
{
    x = fabs(x);
    if (x < 1)
        return 1.5 * x * x * x - 2.5 * x * x + 1;
    return x < 2 ? -0.5 * x * x * x + 2.5 * x * x - 4 * x + 2 : 0;
}

static uint32_t inside(int64_t at, uint32_t n)
{
    return at < 0 ? 0 : at >= n ? n - 1 : (uint32_t)at;
}

/* Weights of one pixel; those beyond the border count for the last pixel there is. Weights sum
 * to one, so that flat areas stay what they are. */
static void taps_make(double centre, double stretch, uint32_t n, struct taps *taps, float *weights)
{
    int64_t from = (int64_t)ceil(centre - 0.5 - 2 * stretch);
    int64_t to = (int64_t)floor(centre - 0.5 + 2 * stretch);
    double sum = 0;
    taps->first = inside(from, n);
    taps->n = inside(to, n) - taps->first + 1;
    taps->weights = weights;
    memset(weights, 0, taps->n * sizeof *weights);
    for (int64_t at = from; at <= to; at++)
        sum += cubic(((double)at + 0.5 - centre) / stretch);
    for (int64_t at = from; at <= to; at++)
        weights[inside(at, n) - taps->first] +=
            (float)(cubic(((double)at + 0.5 - centre) / stretch) / sum);
}

/* A pixel whose centre lies outside the picture has no taps and stays black. */
static bool kernel_make(double origin, double length, uint32_t n_in, uint32_t n_out,
                        struct kernel *out)
{
    double step = length / n_out, stretch = step > 1 ? step : 1;
    size_t most = (size_t)ceil(4 * stretch) + 2;
    if (most > n_in)
        most = n_in;
    out->taps = calloc(n_out, sizeof *out->taps);
    out->weights = malloc(n_out * most * sizeof *out->weights);
    if (out->taps == NULL || out->weights == NULL)
        return false;
    for (uint32_t i = 0; i < n_out; i++) {
        double centre = origin + (i + 0.5) * step;
        if (centre >= 0 && centre < n_in)
            taps_make(centre, stretch, n_in, &out->taps[i], out->weights + i * most);
    }
    return true;
}

static void kernel_fini(struct kernel *kernel)
{
    free(kernel->taps);
    free(kernel->weights);
}

/* ---- rows ---- */

static void add_row8(const uint8_t *from, float weight, size_t n, float *sum)
{
    for (size_t i = 0; i < n; i++)
        sum[i] += weight * (float)from[i];
}

static void add_row16(const uint16_t *from, float weight, size_t n, float *sum)
{
    for (size_t i = 0; i < n; i++)
        sum[i] += weight * (float)from[i];
}

/* In floats: sums of 16 bits by weights would round with each row. */
static void blend_rows(const struct picture *from, const struct taps *down, float *sum)
{
    size_t n = (size_t)from->width * from->channels;
    memset(sum, 0, n * sizeof *sum);
    for (uint32_t k = 0; k < down->n; k++) {
        size_t row = (size_t)(down->first + k) * n;
        if (from->depth == 8)
            add_row8((const uint8_t *)from->pixels + row, down->weights[k], n, sum);
        else
            add_row16((const uint16_t *)from->pixels + row, down->weights[k], n, sum);
    }
}

/* One channel at a time: p goes by pixels. */
static float blend_across(const float *row, const struct taps *across, uint32_t channels,
                          uint32_t channel)
{
    float sum = 0;
    const float *p = row + (size_t)across->first * channels + channel;
    for (uint32_t k = 0; k < across->n; k++, p += channels)
        sum += across->weights[k] * *p;
    return sum;
}

/* Catmull-Rom overshoots at edges, hence the bounds. */
static void write_row(const struct picture *to, uint32_t y, const float *row,
                      const struct kernel *across)
{
    size_t at = (size_t)y * to->width * to->channels;
    float most = to->depth == 8 ? 255 : 65535;
    for (uint32_t x = 0; x < to->width; x++)
        for (uint32_t c = 0; c < to->channels; c++, at++) {
            float value = blend_across(row, &across->taps[x], to->channels, c) + 0.5f;
            value = value < 0 ? 0 : value > most ? most : value;
            if (to->depth == 8)
                ((uint8_t *)to->pixels)[at] = (uint8_t)value;
            else
                ((uint16_t *)to->pixels)[at] = (uint16_t)value;
        }
}

bool picture_is_all(const struct picture *from, const double region[4], uint32_t width,
                    uint32_t height)
{
    return region[0] == 0 && region[1] == 0 && region[2] == from->width &&
           region[3] == from->height && width == from->width && height == from->height;
}

/* Rows first, then columns: each output row is one pass over memory in order. A row without
 * taps lies outside the region and stays black. */
hilum_rc picture_scale(const struct scene *scene, const struct picture *from,
                       const double region[4], uint32_t width, uint32_t height, struct picture *out)
{
    struct kernel across = {NULL, NULL}, down = {NULL, NULL};
    hilum_rc rc = picture_make(scene->render, width, height, from->channels, from->depth, out);
    if (rc != HILUM_OK)
        return rc;
    float *row = malloc((size_t)from->width * from->channels * sizeof *row);
    bool is_ready = row != NULL && kernel_make(region[0], region[2], from->width, width, &across) &&
                    kernel_make(region[1], region[3], from->height, height, &down);
    if (!is_ready)
        rc = render_fail(scene->render, HILUM_ENOMEM, "no memory to scale a picture");
    for (uint32_t y = 0; is_ready && rc == HILUM_OK && y < height; y++) {
        if (y % 16 == 0)
            rc = scene_go_on(scene);
        if (down.taps[y].n == 0)
            continue;
        blend_rows(from, &down.taps[y], row);
        write_row(out, y, row, &across);
    }
    free(row);
    kernel_fini(&across);
    kernel_fini(&down);
    return rc;
}
