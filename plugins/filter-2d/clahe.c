/* Contrast-limited adaptive histogram equalisation: tiles with a curve each, blended between their centres.
 *
 * Zuiderveld 1994. A curve for each tile takes contrast from where there is little to tell to
 * where there is much; the limit keeps noise in flat tiles from becoming a texture. Tiles are
 * blended, or their borders would show.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "filter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* 1024 curves of 1024 bins: 4 MiB. 10 bits are finer than a screen shows. */
enum { TILES_MAX = 32, BINS = 1024 };

struct clahe {
    uint32_t tiles;    /* a side */
    double clip;       /* times the mean of a bin */
    float least, most; /* of the samples */
    float *curves;     /* tiles * tiles * BINS: from 0 to 1 */
};

static uint32_t bin_of(const struct clahe *c, float value)
{
    float at = (value - c->least) / (c->most - c->least) * (BINS - 1) + 0.5f;
    return at > 0 ? (at < BINS ? (uint32_t)at : BINS - 1) : 0;
}

/* What rises above the limit is spread over all bins, as often as that lifts others above it.
 * Eight rounds at most: what is still above the limit then is little. */
static void clip_bins(float *bins, double limit)
{
    for (int round = 0; round < 8; round++) {
        double above = 0;
        for (int k = 0; k < BINS; k++)
            if (bins[k] > limit) {
                above += bins[k] - limit;
                bins[k] = (float)limit;
            }
        if (above < 1)
            return;
        for (int k = 0; k < BINS; k++)
            bins[k] += (float)(above / BINS);
    }
}

/* Bounds by the same division for neighbours: no pixel is left out or counted twice. In the
 * middle of a bin (here / 2): black stays near black. */
static void make_curve(const struct clahe *c, const struct plane *plane, uint32_t tx, uint32_t ty)
{
    float *bins = c->curves + ((size_t)ty * c->tiles + tx) * BINS;
    uint32_t x0 = (uint32_t)((uint64_t)tx * plane->width / c->tiles);
    uint32_t x1 = (uint32_t)((tx + (uint64_t)1) * plane->width / c->tiles);
    uint32_t y0 = (uint32_t)((uint64_t)ty * plane->height / c->tiles);
    uint32_t y1 = (uint32_t)((ty + (uint64_t)1) * plane->height / c->tiles);
    for (uint32_t y = y0; y < y1; y++)
        for (uint32_t x = x0; x < x1; x++)
            bins[bin_of(c, plane->values[(size_t)y * plane->width + x])] += 1;
    double n = (double)(x1 - x0) * (y1 - y0), sum = 0;
    clip_bins(bins, c->clip * n / BINS * 4); /* of the bins that are in use, a quarter as a rule */
    for (int k = 0; k < BINS; k++) {
        double here = bins[k];
        bins[k] = (float)((sum + here / 2) / (n > 0 ? n : 1));
        sum += here;
    }
}

/* The two tiles beside a place and how much of it is the second's. Beyond the outermost
 * centres the outermost tile's curve alone. */
static void between(uint32_t at, uint32_t side, uint32_t tiles, uint32_t *a, uint32_t *b, float *t)
{
    float place = ((float)at + 0.5f) * (float)tiles / (float)side - 0.5f;
    float low = floorf(place);
    *a = low < 0 ? 0 : (uint32_t)low;
    *b = low + 1 < (float)tiles ? (uint32_t)(low + 1) : tiles - 1;
    *t = low < 0 ? 0 : place - low;
}

/* Four curves a pixel, weighed by how near their tiles' centres are. */
static void bend(const struct clahe *c, struct plane *plane)
{
    for (uint32_t y = 0; y < plane->height; y++) {
        uint32_t ya, yb;
        float ty;
        between(y, plane->height, c->tiles, &ya, &yb, &ty);
        float *row = plane->values + (size_t)y * plane->width;
        for (uint32_t x = 0; x < plane->width; x++) {
            uint32_t xa, xb, bin = bin_of(c, row[x]);
            float tx;
            between(x, plane->width, c->tiles, &xa, &xb, &tx);
            const float *top = c->curves + (size_t)ya * c->tiles * BINS + bin;
            const float *low = c->curves + (size_t)yb * c->tiles * BINS + bin;
            float above = top[(size_t)xa * BINS] * (1 - tx) + top[(size_t)xb * BINS] * tx;
            float below = low[(size_t)xa * BINS] * (1 - tx) + low[(size_t)xb * BINS] * tx;
            row[x] = c->least + (above * (1 - ty) + below * ty) * (c->most - c->least);
        }
    }
}

/* curves are this call's own: the parameters are shared by channels and may not be changed. */
static hilum_rc clahe_plane(const struct filter *filter, struct plane *plane, const void *arg)
{
    struct clahe c = *(const struct clahe *)arg;
    c.curves = calloc((size_t)c.tiles * c.tiles * BINS, sizeof *c.curves);
    if (c.curves == NULL)
        return filter_fail(filter, HILUM_ENOMEM, "no memory for histograms");
    for (uint32_t ty = 0; ty < c.tiles; ty++)
        for (uint32_t tx = 0; tx < c.tiles; tx++)
            make_curve(&c, plane, tx, ty);
    bend(&c, plane);
    free(c.curves);
    return HILUM_OK;
}

/* Fewer tiles than asked for where the picture is small: a tile has a pixel at least. */
static hilum_rc apply(const struct filter *filter, const json_t *parameters,
                      const struct hilum_image *in, void *dst)
{
    struct clahe c = {.tiles = 8};
    double tiles = 8;
    if (in->frame->samples != 1)
        return filter_fail(filter, HILUM_EUNSUP, "clahe: pictures with colours are not equalised");
    hilum_rc rc = filter_number(filter, parameters, "tiles", 1, TILES_MAX, 8, &tiles);
    if (rc == HILUM_OK)
        rc = filter_number(filter, parameters, "clip", 1, 100, 2.5, &c.clip);
    uint32_t side = in->frame->columns < in->frame->rows ? in->frame->columns : in->frame->rows;
    c.tiles = tiles < side ? (uint32_t)tiles : side;
    plane_range(in->frame, &c.least, &c.most);
    return rc == HILUM_OK ? filter_channels(filter, in, dst, clahe_plane, &c) : rc;
}

const struct filter_kind filter_clahe = {
    .table =
        OPERATOR("clahe", "Local contrast", 1,
                 OBJECT(NUMBER("tiles", "1", "32", "8") "," NUMBER("clip", "1", "100", "2.5"))),
    .apply = apply,
};
