/* Smooth, sharpen, unsharp mask, edges. SPDX-License-Identifier: Apache-2.0 */
#include "filter.h"

#include <math.h>
#include <stdlib.h>

#include <simde/x86/sse2.h>

/* ---- smooth ---- */

/* The plane is replaced: a blur cannot be made in place. */
static hilum_rc smooth_plane(const struct filter *filter, struct plane *plane, const void *arg)
{
    struct plane soft;
    hilum_rc rc = plane_blur(filter, plane, *(const double *)arg, &soft);
    if (rc == HILUM_OK) {
        plane_fini(plane);
        *plane = soft;
    }
    return rc;
}

static hilum_rc smooth(const struct filter *filter, const json_t *parameters,
                       const struct hilum_image *in, void *dst)
{
    double sigma;
    hilum_rc rc = filter_number(filter, parameters, "sigma", 0.3, 20, 1, &sigma);
    return rc == HILUM_OK ? filter_channels(filter, in, dst, smooth_plane, &sigma) : rc;
}

const struct filter_kind filter_smooth = {
    .table = OPERATOR("smooth", "Smooth", 1, OBJECT(NUMBER("sigma", "0.3", "20", "1"))),
    .apply = smooth,
};

/* ---- unsharp mask ---- */

struct unsharp {
    double sigma, amount, threshold;
};

/* value + amount * (value - soft), where the difference is more than the threshold. Threshold
 * in stored values; a mask instead of a branch. */
static void add_difference(float *values, const float *soft, size_t n, float amount,
                           float threshold)
{
    const simde__m128 a = simde_mm_set1_ps(amount), t = simde_mm_set1_ps(threshold);
    const simde__m128 sign = simde_mm_set1_ps(-0.0f);
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        simde__m128 value = simde_mm_loadu_ps(values + i);
        simde__m128 difference = simde_mm_sub_ps(value, simde_mm_loadu_ps(soft + i));
        simde__m128 mask = simde_mm_cmpge_ps(simde_mm_andnot_ps(sign, difference), t);
        simde__m128 more = simde_mm_and_ps(mask, simde_mm_mul_ps(difference, a));
        simde_mm_storeu_ps(values + i, simde_mm_add_ps(value, more));
    }
    for (; i < n; i++)
        if (fabsf(values[i] - soft[i]) >= threshold)
            values[i] += amount * (values[i] - soft[i]);
}

static hilum_rc unsharp_plane(const struct filter *filter, struct plane *plane, const void *arg)
{
    const struct unsharp *u = arg;
    struct plane soft;
    hilum_rc rc = plane_blur(filter, plane, u->sigma, &soft);
    if (rc == HILUM_OK)
        add_difference(plane->values, soft.values, (size_t)plane->width * plane->height,
                       (float)u->amount, (float)u->threshold);
    plane_fini(&soft);
    return rc;
}

static hilum_rc unsharp(const struct filter *filter, const json_t *parameters,
                        const struct hilum_image *in, void *dst)
{
    struct unsharp u;
    hilum_rc rc = filter_number(filter, parameters, "sigma", 0.3, 20, 2, &u.sigma);
    if (rc == HILUM_OK)
        rc = filter_number(filter, parameters, "amount", 0, 10, 1, &u.amount);
    if (rc == HILUM_OK)
        rc = filter_number(filter, parameters, "threshold", 0, 65535, 0, &u.threshold);
    return rc == HILUM_OK ? filter_channels(filter, in, dst, unsharp_plane, &u) : rc;
}

const struct filter_kind filter_unsharp = {
    .table = OPERATOR("unsharp", "Unsharp mask", 1,
                      OBJECT(NUMBER("sigma", "0.3", "20", "2") "," NUMBER(
                          "amount", "0", "10", "1") "," NUMBER("threshold", "0", "65535", "0"))),
    .apply = unsharp,
};

/* ---- three rows at a time ---- */

/* A row's neighbours, borders repeated; each has one value before and one behind. */
struct rows {
    float *above, *here, *below;
};

static void row_take(const struct plane *plane, int64_t y, float *out)
{
    int64_t last = (int64_t)plane->height - 1;
    plane_widen(plane, (uint32_t)(y < 0 ? 0 : y > last ? last : y), 1, out);
}

/* Three rows go round: each is widened once. */
static hilum_rc each_row(const struct filter *filter, struct plane *plane, double amount,
                         void (*run)(const struct rows *rows, float amount, float *out, size_t n))
{
    size_t wide = plane->width + 2u;
    float *memory = malloc(3 * wide * sizeof *memory);
    struct plane out;
    if (memory == NULL)
        return filter_fail(filter, HILUM_ENOMEM, "no memory for a row");
    hilum_rc rc = plane_make(filter, plane->width, plane->height, &out);
    if (rc != HILUM_OK) {
        free(memory);
        return rc;
    }
    struct rows rows = {memory, memory + wide, memory + 2 * wide};
    row_take(plane, -1, rows.above);
    row_take(plane, 0, rows.here);
    for (uint32_t y = 0; y < plane->height; y++) {
        float *first = rows.above;
        row_take(plane, (int64_t)y + 1, rows.below);
        run(&rows, (float)amount, out.values + (size_t)y * plane->width, plane->width);
        rows = (struct rows){rows.here, rows.below, first};
    }
    free(memory);
    plane_fini(plane);
    *plane = out;
    return HILUM_OK;
}

/* ---- sharpen: the Laplacian of four neighbours ---- */

/* Neighbours beside it in the same row are loads at other offsets; the last pixels go one by
 * one. */
static void sharpen_row(const struct rows *r, float amount, float *out, size_t n)
{
    const simde__m128 four = simde_mm_set1_ps(4), a = simde_mm_set1_ps(amount / 4);
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        simde__m128 here = simde_mm_loadu_ps(r->here + i + 1);
        simde__m128 around = simde_mm_add_ps(
            simde_mm_add_ps(simde_mm_loadu_ps(r->above + i + 1),
                            simde_mm_loadu_ps(r->below + i + 1)),
            simde_mm_add_ps(simde_mm_loadu_ps(r->here + i), simde_mm_loadu_ps(r->here + i + 2)));
        simde__m128 edge = simde_mm_sub_ps(simde_mm_mul_ps(here, four), around);
        simde_mm_storeu_ps(out + i, simde_mm_add_ps(here, simde_mm_mul_ps(edge, a)));
    }
    for (; i < n; i++)
        out[i] = r->here[i + 1] + amount / 4 *
                                      (4 * r->here[i + 1] - r->above[i + 1] - r->below[i + 1] -
                                       r->here[i] - r->here[i + 2]);
}

static hilum_rc sharpen_plane(const struct filter *filter, struct plane *plane, const void *arg)
{
    return each_row(filter, plane, *(const double *)arg, sharpen_row);
}

static hilum_rc sharpen(const struct filter *filter, const json_t *parameters,
                        const struct hilum_image *in, void *dst)
{
    double amount;
    hilum_rc rc = filter_number(filter, parameters, "amount", 0, 10, 1, &amount);
    return rc == HILUM_OK ? filter_channels(filter, in, dst, sharpen_plane, &amount) : rc;
}

const struct filter_kind filter_sharpen = {
    .table = OPERATOR("sharpen", "Sharpen", 1, OBJECT(NUMBER("amount", "0", "10", "1"))),
    .apply = sharpen,
};

/* ---- edges: the length of Sobel's gradient ---- */

/* Divided by 4: a step of one value yields one. */
static void edge_row(const struct rows *r, float amount, float *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float across = r->above[i + 2] - r->above[i] + 2 * (r->here[i + 2] - r->here[i]) +
                       r->below[i + 2] - r->below[i];
        float down = r->below[i] + 2 * r->below[i + 1] + r->below[i + 2] - r->above[i] -
                     2 * r->above[i + 1] - r->above[i + 2];
        out[i] = amount / 4 * sqrtf(across * across + down * down);
    }
}

static hilum_rc edge_plane(const struct filter *filter, struct plane *plane, const void *arg)
{
    return each_row(filter, plane, *(const double *)arg, edge_row);
}

static hilum_rc edge(const struct filter *filter, const json_t *parameters,
                     const struct hilum_image *in, void *dst)
{
    double gain;
    hilum_rc rc = filter_number(filter, parameters, "gain", 0.01, 100, 1, &gain);
    return rc == HILUM_OK ? filter_channels(filter, in, dst, edge_plane, &gain) : rc;
}

const struct filter_kind filter_edge = {
    .table = OPERATOR("edge", "Edges", 1, OBJECT(NUMBER("gain", "0.01", "100", "1"))),
    .apply = edge,
};
