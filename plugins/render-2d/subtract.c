/* A frame minus its mask, in a space logarithmic to the X-rays' intensity (PS3.4 N.2.1, N.2.5): means of frames, the mask moved
 * by parts of a pixel, as a whole or region by region (PS3.3 C.7.6.10.1.2, C.11.19.1.2). What is subtracted is mask.c's.
 *
 * Single precision: it holds every sample of 16 bits exactly, and differences of means have
 * fractions. One plane for each side and one frame as it was read are in memory, however many
 * frames are averaged.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "render.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A region is looked at for each row of the frame: so many of so many corners cost a second at most. */
enum { REGIONS_MAX = 32, CORNERS_MAX = 256, ITEMS_MAX = 1000, PREFIX = 160 };
#define LUTS "PixelIntensityRelationshipLUTSequence"

struct job {
    const struct scene *scene;
    const struct mask *mask;
    const struct samples *shown;
    bool is_of_state;
    size_t n; /* pixels */
};

/* ---- to logarithms ---- */

/* What a stored value becomes: an entry of the table, or a straight line, or a logarithm of our own. */
struct curve {
    struct table table;
    double slope, intercept;
    double least, log_scale; /* log_scale 0: no logarithm */
};

static double curve_value(const struct curve *curve, double stored)
{
    if (curve->table.n > 0)
        return table_entry(&curve->table, stored);
    if (curve->log_scale > 0)
        return curve->log_scale * log(fmax(stored - curve->least, 0) + 1);
    return stored * curve->slope + curve->intercept;
}

static hilum_rc item_table(const struct job *job, uint32_t i, const char *item, struct table *out)
{
    char descriptor[ATTRIBUTE_PATH], data[ATTRIBUTE_PATH];
    snprintf(descriptor, sizeof descriptor, "%sLUTDescriptor", item);
    snprintf(data, sizeof data, "%sLUTData", item);
    bool is_signed = job->shown->frame.sample_type == HILUM_SAMPLE_SIGNED;
    return table_read(job->scene, i, descriptor, data, is_signed, out);
}

/* The table of a sequence below `prefix` that is for the frame. HILUM_ENOTFOUND: none is. */
static hilum_rc find_table(const struct job *job, uint32_t i, const char *prefix, uint32_t frame,
                           struct table *out)
{
    char path[ATTRIBUTE_PATH], item[PREFIX + 60];
    snprintf(path, sizeof path, "%s" LUTS, prefix);
    uint64_t n = attribute_items(job->scene, i, path);
    for (unsigned k = 0; k < n && k < ITEMS_MAX; k++) {
        snprintf(item, sizeof item, "%s" LUTS "[%u].", prefix, k);
        snprintf(path, sizeof path, "%sLUTFunction", item);
        const char *function = attribute(job->scene, i, path);
        if (function != NULL && strcmp(function, "TO_LOG") != 0)
            continue;
        snprintf(path, sizeof path, "%sLUTFrameRange", item);
        if (frame_in_ranges(job->scene, i, path, frame))
            return item_table(job, i, item, out);
    }
    return HILUM_ENOTFOUND;
}

static hilum_rc modality_curve(const struct job *job, uint32_t slice, struct curve *out)
{
    const uint32_t state = job->mask->of;
    char item[MODALITY_ITEM], path[MODALITY_ITEM + 40];
    struct hilum_slice described;
    hilum_rc rc = scene_describe(job->scene, slice, &described);
    if (rc != HILUM_OK)
        return rc;
    ramp_modality_item(job->scene, state, &described, "", item);
    snprintf(path, sizeof path, "%sModalityLUTSequence[0].", item);
    rc = item_table(job, state, path, &out->table);
    snprintf(path, sizeof path, "%sRescaleSlope", item);
    if (rc != HILUM_ENOTFOUND || attribute(job->scene, state, path) == NULL)
        return rc;
    out->slope = attribute_number(job->scene, state, path, 1);
    snprintf(path, sizeof path, "%sRescaleIntercept", item);
    out->intercept = attribute_number(job->scene, state, path, 0);
    return HILUM_OK;
}

/* Of a state: with the item, or for all of them; its modality's otherwise. */
static hilum_rc state_curve(const struct job *job, uint32_t slice, uint32_t frame,
                            struct curve *out)
{
    const uint32_t state = job->mask->of;
    hilum_rc rc = find_table(job, state, job->mask->item, frame, &out->table);
    if (rc == HILUM_ENOTFOUND)
        rc = find_table(job, state, "", frame, &out->table);
    return rc == HILUM_ENOTFOUND ? modality_curve(job, slice, out) : rc;
}

static hilum_rc image_curve(const struct job *job, uint32_t slice, uint32_t frame,
                            struct curve *out)
{
    char prefix[PREFIX];
    snprintf(prefix, sizeof prefix, "PerFrameFunctionalGroupsSequence[%u].", frame - 1);
    hilum_rc rc = find_table(job, slice, prefix, frame, &out->table);
    if (rc == HILUM_ENOTFOUND)
        rc = find_table(job, slice, "SharedFunctionalGroupsSequence[0].", frame, &out->table);
    return rc;
}

/* Where neither says how, values proportional to intensity get a logarithm over their whole range;
 * others are logarithmic, or as good as can be had. The image's own Modality LUT leads away from
 * logarithms and counts for nothing here (PS3.4 N.2.1). */
static hilum_rc curve_make(const struct job *job, uint32_t slice, uint32_t frame, struct curve *out)
{
    *out = (struct curve){.slope = 1};
    hilum_rc rc = job->is_of_state ? state_curve(job, slice, frame, out)
                                   : image_curve(job, slice, frame, out);
    if (rc != HILUM_ENOTFOUND)
        return rc;
    const char *relation = attribute_grouped(job->scene, slice, "FramePixelDataPropertiesSequence",
                                             "PixelIntensityRelationship");
    const struct hilum_frame *kind = &job->shown->frame;
    if (relation == NULL || strcmp(relation, "LIN") != 0 || kind->sample_type == HILUM_SAMPLE_FLOAT)
        return HILUM_OK;
    double most = exp2(kind->bits_stored > 0 && kind->bits_stored < 64 ? kind->bits_stored : 16);
    out->least = kind->sample_type == HILUM_SAMPLE_SIGNED ? -most / 2 : 0;
    out->log_scale = (most - 1) / log(most);
    return HILUM_OK;
}

/* ---- means ---- */

static hilum_rc add_frame(const struct job *job, uint32_t slice, const struct samples *samples,
                          float *sum)
{
    struct curve curve;
    uint32_t frame = job->mask->frame + slice - job->mask->slice;
    hilum_rc rc = curve_make(job, slice, frame, &curve);
    for (size_t k = 0; rc == HILUM_OK && k < job->n; k++)
        sum[k] += (float)curve_value(&curve, sample_value(samples, k));
    table_fini(&curve.table);
    return rc;
}

static hilum_rc add_other(const struct job *job, uint32_t slice, float *sum)
{
    struct hilum_slice described;
    struct samples samples = {.pixels = NULL};
    if (slice == job->mask->slice)
        return add_frame(job, slice, job->shown, sum);
    hilum_rc rc = scene_describe(job->scene, slice, &described);
    if (rc == HILUM_OK)
        rc = samples_read(job->scene, slice, &described, 0, &samples);
    if (rc == HILUM_OK && (samples.frame.columns != job->shown->frame.columns ||
                           samples.frame.rows != job->shown->frame.rows))
        rc = render_fail(job->scene->render, HILUM_EUNSUP, "a mask of another size than its frame");
    if (rc == HILUM_OK)
        rc = add_frame(job, slice, &samples, sum);
    samples_fini(&samples);
    return rc;
}

/* Allocates *out, the caller's to free in every case. */
static hilum_rc mean_of(const struct job *job, const uint32_t *slices, uint32_t n, float **out)
{
    hilum_rc rc = HILUM_OK;
    *out = calloc(job->n + 1, sizeof **out);
    if (*out == NULL)
        return render_fail(job->scene->render, HILUM_ENOMEM, "no memory to subtract a mask");
    for (uint32_t k = 0; rc == HILUM_OK && k < n; k++)
        rc = add_other(job, slices[k], *out);
    for (size_t k = 0; rc == HILUM_OK && n > 1 && k < job->n; k++)
        (*out)[k] /= (float)n;
    return rc;
}

/* ---- shifts ---- */

/* Pixels that the mask is moved by, to lower rows and to the left. */
struct shift {
    double down, left;
};

/* Which shift each pixel has: map NULL, the first; else shifts[map[pixel]], 0 being none at all. */
struct shifts {
    struct shift shift[REGIONS_MAX + 1];
    uint8_t *map;
};

static bool read_shift(const struct job *job, uint32_t i, const char *path, struct shift *out)
{
    double pair[2] = {0, 0};
    bool is_there = attribute_numbers(attribute(job->scene, i, path), pair, 2) == 2;
    *out = (struct shift){pair[0], pair[1]};
    return is_there;
}

/* Of an enhanced image: the frame's shift for this item, which counts instead of the item's own
 * (PS3.3 C.7.6.16.2.14). */
static bool grouped_shift(const struct job *job, const char *group, struct shift *out)
{
    const uint32_t slice = job->mask->slice;
    char path[ATTRIBUTE_PATH];
    snprintf(path, sizeof path, "%sSubtractionItemID", job->mask->item);
    double id = attribute_number(job->scene, slice, path, -1);
    snprintf(path, sizeof path, "%s.FramePixelShiftSequence", group);
    uint64_t n = attribute_items(job->scene, slice, path);
    for (unsigned k = 0; k < n && k < ITEMS_MAX; k++) {
        snprintf(path, sizeof path, "%s.FramePixelShiftSequence[%u].SubtractionItemID", group, k);
        if (attribute_number(job->scene, slice, path, -2) != id)
            continue;
        snprintf(path, sizeof path, "%s.FramePixelShiftSequence[%u].MaskSubPixelShift", group, k);
        return read_shift(job, slice, path, out);
    }
    return false;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Where the outline crosses a row; rows that only touch a corner count with the pixels above them,
 * or below. */
static size_t crossings(const double *corners, size_t n, double row, bool is_from_above,
                        double *out)
{
    size_t found = 0;
    for (size_t k = 0; k < n; k++) {
        const double *a = corners + 2 * k, *b = corners + 2 * ((k + 1) % n);
        bool is_crossed =
            is_from_above ? (a[0] < row) != (b[0] < row) : (a[0] <= row) != (b[0] <= row);
        if (is_crossed)
            out[found++] = a[1] + (row - a[0]) * (b[1] - a[1]) / (b[0] - a[0]);
    }
    qsort(out, found, sizeof *out, by_value);
    return found;
}

/* Pixels whose centres lie within the outline or on it; corners are row, column from 1. */
static void fill_region(const struct job *job, const double *corners, size_t n, uint8_t number,
                        uint8_t *map)
{
    const struct hilum_frame *frame = &job->shown->frame;
    double at[CORNERS_MAX];
    for (uint32_t y = 0; y < frame->rows; y++)
        for (int side = 0; side < 2; side++) {
            size_t found = crossings(corners, n, y + 1.0, side == 1, at);
            for (size_t k = 0; k + 1 < found; k += 2) {
                double from = fmax(ceil(at[k]), 1), to = fmin(floor(at[k + 1]), frame->columns);
                if (from <= to)
                    memset(map + (size_t)y * frame->columns + (size_t)from - 1, number,
                           (size_t)(to - from) + 1);
            }
        }
}

/* A region after the other: the last one counts where several are (PS3.3 C.11.19.1.2). One
 * without corners is the whole frame. */
static hilum_rc read_regions(const struct job *job, const char *item, struct shifts *out)
{
    char path[ATTRIBUTE_PATH];
    double corners[2 * (CORNERS_MAX + 1)];
    snprintf(path, sizeof path, "%sRegionPixelShiftSequence", item);
    uint64_t n = attribute_items(job->scene, job->mask->of, path);
    out->map = calloc(1, job->n + 1);
    if (out->map == NULL)
        return render_fail(job->scene->render, HILUM_ENOMEM, "no memory to subtract a mask");
    if (n > REGIONS_MAX)
        return render_fail(job->scene->render, HILUM_EUNSUP,
                           "%sRegion Pixel Shift Sequence (0028,9502): more than %d regions", item,
                           REGIONS_MAX);
    for (unsigned k = 0; k < n; k++) {
        snprintf(path, sizeof path, "%sRegionPixelShiftSequence[%u].MaskSubPixelShift", item, k);
        read_shift(job, job->mask->of, path, &out->shift[k + 1]);
        snprintf(path, sizeof path, "%sRegionPixelShiftSequence[%u].VerticesOfTheRegion", item, k);
        const char *text = attribute(job->scene, job->mask->of, path);
        size_t found = attribute_numbers(text, corners, sizeof corners / sizeof *corners) / 2;
        if (text == NULL)
            memset(out->map, (int)(k + 1), job->n);
        else if (found >= 3 && found <= CORNERS_MAX)
            fill_region(job, corners, found, (uint8_t)(k + 1), out->map);
        else
            return render_fail(
                job->scene->render, HILUM_EUNSUP,
                "%s: Vertices of the Region (0028,9503) has %zu corners, not 3 to %d", path, found,
                CORNERS_MAX);
    }
    return HILUM_OK;
}

/* Of a state frame by frame and region by region, or one for all; of an image in its groups, or one for all. */
static hilum_rc read_shifts(const struct job *job, struct shifts *out)
{
    char path[ATTRIBUTE_PATH], item[PREFIX];
    *out = (struct shifts){.map = NULL};
    snprintf(path, sizeof path, "%sPixelShiftSequence", job->mask->item);
    uint64_t n = attribute_items(job->scene, job->mask->of, path);
    for (unsigned k = 0; job->is_of_state && k < n && k < ITEMS_MAX; k++) {
        snprintf(item, sizeof item, "%sPixelShiftSequence[%u].", job->mask->item, k);
        snprintf(path, sizeof path, "%sPixelShiftFrameRange", item);
        if (frame_in_ranges(job->scene, job->mask->of, path, job->mask->frame))
            return read_regions(job, item, out);
    }
    snprintf(item, sizeof item, "PerFrameFunctionalGroupsSequence[%u]", job->mask->frame - 1);
    if (!job->is_of_state &&
        (grouped_shift(job, item, &out->shift[0]) ||
         grouped_shift(job, "SharedFunctionalGroupsSequence[0]", &out->shift[0])))
        return HILUM_OK;
    snprintf(path, sizeof path, "%sMaskSubPixelShift", job->mask->item);
    read_shift(job, job->mask->of, path, &out->shift[0]);
    return HILUM_OK;
}

/* ---- the difference ---- */

/* Between four pixels; beyond the border its value, so that a moved mask leaves no frame. */
static float plane_at(const float *plane, const struct hilum_frame *frame, double x, double y)
{
    double right = frame->columns - 1.0, bottom = frame->rows - 1.0;
    x = x > 0 ? (x < right ? x : right) : 0;
    y = y > 0 ? (y < bottom ? y : bottom) : 0;
    uint32_t x0 = (uint32_t)x, y0 = (uint32_t)y;
    uint32_t x1 = x0 < right ? x0 + 1 : x0, y1 = y0 < bottom ? y0 + 1 : y0;
    float tx = (float)(x - x0), ty = (float)(y - y0);
    const float *top = plane + (size_t)y0 * frame->columns;
    const float *low = plane + (size_t)y1 * frame->columns;
    return (top[x0] * (1 - tx) + top[x1] * tx) * (1 - ty) +
           (low[x0] * (1 - tx) + low[x1] * tx) * ty;
}

/* Into the contrast's plane. Padding is marked: -INFINITY is no difference there can be. */
static hilum_rc difference(const struct job *job, float *plane, const float *mask)
{
    const struct hilum_frame *frame = &job->shown->frame;
    struct shifts shifts;
    struct ramp padding;
    hilum_rc rc = read_shifts(job, &shifts);
    if (rc == HILUM_OK)
        rc = ramp_padding(job->scene, job->mask->slice, &padding);
    for (size_t k = 0; rc == HILUM_OK && k < job->n; k++) {
        const struct shift *s = &shifts.shift[shifts.map != NULL ? shifts.map[k] : 0];
        uint32_t x = (uint32_t)(k % frame->columns), y = (uint32_t)(k / frame->columns);
        bool is_still = s->down == 0 && s->left == 0;
        float other = is_still ? mask[k] : plane_at(mask, frame, x + s->left, y - s->down);
        plane[k] -= (float)job->mask->weight * other;
        if (ramp_is_padding(&padding, sample_value(job->shown, k)))
            plane[k] = -INFINITY;
    }
    free(shifts.map);
    return rc;
}

hilum_rc subtract_mask(const struct scene *scene, const struct mask *mask, struct samples *samples)
{
    struct job job = {.scene = scene,
                      .mask = mask,
                      .shown = samples,
                      .is_of_state = mask->of >= scene->source->n_slices,
                      .n = (size_t)samples->frame.columns * samples->frame.rows};
    uint32_t contrasts[AVERAGED_MAX];
    float *plane = NULL, *other = NULL;
    if (samples->frame.samples != 1 || samples->frame.photometric == HILUM_PHOTO_PALETTE)
        return render_fail(scene->render, HILUM_EUNSUP,
                           "a mask (0028,6100) is subtracted from grey frames only");
    for (uint32_t k = 0; k < mask->n_contrasts; k++)
        contrasts[k] = mask->slice + k;
    hilum_rc rc = mean_of(&job, contrasts, mask->n_contrasts, &plane);
    if (rc == HILUM_OK)
        rc = mean_of(&job, mask->masks, mask->n_masks, &other);
    if (rc == HILUM_OK)
        rc = difference(&job, plane, other);
    free(other);
    if (rc != HILUM_OK) {
        free(plane);
        return rc;
    }
    samples_replace(samples, plane, job.n * sizeof *plane);
    samples->shift = 0;
    samples->frame.bits_allocated = samples->frame.bits_stored = 32;
    samples->frame.sample_type = HILUM_SAMPLE_FLOAT;
    samples->is_masked = true;
    return HILUM_OK;
}
