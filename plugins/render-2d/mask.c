/* What is subtracted from a frame, and how it is recommended to be seen: the Mask Module of an image or a state (PS3.3
 * C.7.6.10, C.11.13, C.11.19) and what is said of ranges of frames (C.8.19.7, C.11.21). The arithmetic is subtract.c's.
 *
 * A state that has a mask is drawn subtracted: that is what it was saved for. An image by itself
 * is drawn as it was stored unless who asks wants its mask.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "render.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ITEMS_MAX: of any list here; what comes behind is not looked at. */
enum { ITEMS_MAX = 1000, SERIES_MAX = 16, UID = 65, PREFIX = 100 };

/* ---- ranges of frames ---- */

/* Pairs of a first and a last frame, from 1. Absent: all. *nth: how many frames of the ranges lie before this one. */
static bool is_in_ranges(const struct scene *scene, uint32_t i, const char *path, double frame,
                         double *nth)
{
    const char *list = attribute(scene, i, path);
    double pair[2], before = 0;
    for (const char *p = list; p != NULL;) {
        if (attribute_numbers(p, pair, 2) != 2)
            return false;
        if (frame >= pair[0] && frame <= pair[1]) {
            *nth = before + frame - pair[0];
            return true;
        }
        before += pair[1] >= pair[0] ? pair[1] - pair[0] + 1 : 0;
        p = strchr(strchr(p, '\\') + 1, '\\');
        if (p != NULL)
            p++;
    }
    *nth = frame - 1;
    return list == NULL;
}

bool frame_in_ranges(const struct scene *scene, uint32_t i, const char *path, uint32_t frame)
{
    double nth;
    return is_in_ranges(scene, i, path, frame, &nth);
}

/* ---- what is recommended of a frame ---- */

/* Of the item of a Frame Display Sequence below `prefix` that has the frame. A percentage that is none is 0. */
static void read_display(const struct scene *scene, uint32_t i, const char *prefix, uint32_t frame,
                         struct display *out)
{
    char path[ATTRIBUTE_PATH], item[PREFIX + 40];
    snprintf(path, sizeof path, "%sFrameDisplaySequence", prefix);
    uint64_t n = attribute_items(scene, i, path);
    for (unsigned k = 0; k < n && k < ITEMS_MAX; k++) {
        snprintf(item, sizeof item, "%sFrameDisplaySequence[%u].", prefix, k);
        snprintf(path, sizeof path, "%sStartTrim", item);
        double first = attribute_number(scene, i, path, 1);
        snprintf(path, sizeof path, "%sStopTrim", item);
        if (frame < first || frame > attribute_number(scene, i, path, first))
            continue;
        snprintf(path, sizeof path, "%sRecommendedViewingMode", item);
        out->is_native = attribute_is(scene, i, path, "NAT");
        snprintf(path, sizeof path, "%sMaskVisibilityPercentage", item);
        double visible = attribute_number(scene, i, path, 0);
        out->visibility = visible > 0 && visible <= 100 ? visible / 100 : 0;
        snprintf(path, sizeof path, "%sDisplayFilterPercentage", item);
        double filter = attribute_number(scene, i, path, 0);
        out->filter = filter > 0 && filter <= 100 ? filter / 100 : 0;
        return;
    }
}

void display_read(const struct scene *scene, uint32_t slice, const struct hilum_slice *described,
                  struct display *out)
{
    uint32_t state;
    char prefix[PREFIX];
    *out = (struct display){.is_native = false};
    if (!scene_state(scene, &state)) {
        read_display(scene, slice, "", described->frame_number, out);
        out->filter = 0; /* a picture without a state is as it was stored */
        return;
    }
    out->is_native = attribute_is(scene, state, "RecommendedViewingMode", "NAT");
    uint64_t n = attribute_items(scene, state, "MultiFramePresentationSequence");
    for (unsigned k = 0; k < n && k < ITEMS_MAX; k++) {
        snprintf(prefix, sizeof prefix, "MultiFramePresentationSequence[%u].", k);
        if (state_names(scene, state, prefix, described)) {
            read_display(scene, state, prefix, described->frame_number, out);
            return;
        }
    }
}

/* ---- the item that is of this frame ---- */

/* Frame 1 of the object whose `shown` is described, as a slice. */
static uint32_t first_slice(uint32_t slice, const struct hilum_slice *shown)
{
    return shown->frame_number > 0 && shown->frame_number - 1 <= slice
               ? slice - (shown->frame_number - 1)
               : slice;
}

/* Frame `number` of the same object; false: it has none. */
static bool find_frame(const struct scene *scene, const char *instance, uint32_t first,
                       double number, uint32_t *out)
{
    struct hilum_slice slice;
    if (!(number >= 1 && number <= (double)scene->source->n_slices - first))
        return false;
    *out = first + (uint32_t)number - 1;
    return scene_describe(scene, *out, &slice) == HILUM_OK && slice.sop_instance != NULL &&
           strcmp(slice.sop_instance, instance) == 0;
}

static const char *of_item(const struct mask *mask, const char *name, char path[ATTRIBUTE_PATH])
{
    snprintf(path, ATTRIBUTE_PATH, "%s%s", mask->item, name);
    return path;
}

/* Any frame of the object, in any order, as often as it is named. */
static hilum_rc read_numbers(const struct scene *scene, const char *instance, uint32_t first,
                             struct mask *mask)
{
    char path[ATTRIBUTE_PATH];
    double numbers[AVERAGED_MAX + 1];
    size_t n =
        attribute_numbers(attribute(scene, mask->of, of_item(mask, "MaskFrameNumbers", path)),
                          numbers, AVERAGED_MAX + 1);
    if (n == 0 || n > AVERAGED_MAX)
        return render_fail(scene->render, HILUM_EINVAL,
                           "%s: AVG_SUB needs Mask Frame Numbers (0028,6110), from 1 to %d of them",
                           mask->item, AVERAGED_MAX);
    for (size_t k = 0; k < n; k++)
        if (!find_frame(scene, instance, first, numbers[k], &mask->masks[mask->n_masks++]))
            return render_fail(scene->render, HILUM_EINVAL,
                               "%s: Mask Frame Numbers (0028,6110) has %g: the image has no such "
                               "frame",
                               mask->item, numbers[k]);
    return HILUM_OK;
}

/* Frames from this one on that are averaged. Without ranges the last ones have too few behind them
 * and are no contrast frames then (PS3.3 C.7.6.10.1.1); with ranges what there is is taken. */
static bool read_contrasts(const struct scene *scene, const char *instance, uint32_t slice,
                           bool has_ranges, struct mask *mask)
{
    char path[ATTRIBUTE_PATH];
    uint32_t found;
    double n = attribute_number(scene, mask->of, of_item(mask, "ContrastFrameAveraging", path), 1);
    uint32_t wanted = !(n >= 1) ? 1 : n > AVERAGED_MAX ? AVERAGED_MAX : (uint32_t)n;
    mask->n_contrasts = 1;
    while (mask->n_contrasts < wanted &&
           find_frame(scene, instance, slice, mask->n_contrasts + 1.0, &found))
        mask->n_contrasts++;
    return has_ranges || mask->n_contrasts == wanted;
}

/* AVG_SUB: the mean of the frames that are listed. HILUM_ENOTFOUND: not for this frame. */
static hilum_rc read_average(const struct scene *scene, const char *instance, uint32_t slice,
                             uint32_t first, struct mask *mask)
{
    char path[ATTRIBUTE_PATH];
    bool has_ranges =
        attribute(scene, mask->of, of_item(mask, "ApplicableFrameRange", path)) != NULL;
    if (!read_contrasts(scene, instance, slice, has_ranges, mask))
        return HILUM_ENOTFOUND;
    return read_numbers(scene, instance, first, mask);
}

/* TID: a frame so many before this one; REV_TID: one more than that and two more for each frame of the ranges. */
static hilum_rc read_interval(const struct scene *scene, const char *instance, uint32_t first,
                              double steps, struct mask *mask)
{
    char path[ATTRIBUTE_PATH];
    double frame = mask->frame;
    double offset = attribute_number(scene, mask->of, of_item(mask, "TIDOffset", path), 1);
    bool has_ranges =
        attribute(scene, mask->of, of_item(mask, "ApplicableFrameRange", path)) != NULL;
    mask->n_contrasts = mask->n_masks = 1;
    if (find_frame(scene, instance, first, frame - offset - 2 * steps, &mask->masks[0]))
        return HILUM_OK;
    if (!has_ranges)
        return HILUM_ENOTFOUND;
    return render_fail(
        scene->render, HILUM_EINVAL,
        "%s: TID Offset (0028,6120) leads from frame %g to %g: the image has no such "
        "frame",
        mask->item, frame, frame - offset - 2 * steps);
}

static hilum_rc read_item(const struct scene *scene, const char *instance, uint32_t slice,
                          uint32_t first, double nth, struct mask *mask)
{
    char path[ATTRIBUTE_PATH], operation[17] = "";
    const char *name = attribute(scene, mask->of, of_item(mask, "MaskOperation", path));
    snprintf(operation, sizeof operation, "%s", name != NULL ? name : "");
    if (strcmp(operation, "NONE") == 0)
        return HILUM_ENOTFOUND;
    if (strcmp(operation, "AVG_SUB") == 0)
        return read_average(scene, instance, slice, first, mask);
    if (strcmp(operation, "TID") == 0)
        return read_interval(scene, instance, first, 0, mask);
    if (strcmp(operation, "REV_TID") == 0)
        return read_interval(scene, instance, first, nth, mask);
    return render_fail(scene->render, HILUM_EUNSUP,
                       "%s: Mask Operation (0028,6101) is neither AVG_SUB nor TID nor REV_TID",
                       mask->item);
}

/* Is the frame one that the state is for? One of greyscale has no ranges in its item: the frames it
 * refers to are those that are subtracted (PS3.3 C.11.13). */
static bool is_referred(const struct scene *scene, uint32_t state, const struct hilum_slice *slice)
{
    char item[48];
    uint64_t n = attribute_items(scene, state, "ReferencedSeriesSequence");
    for (unsigned k = 0; k < n && k < SERIES_MAX; k++) {
        snprintf(item, sizeof item, "ReferencedSeriesSequence[%u].", k);
        if (state_names(scene, state, item, slice))
            return true;
    }
    return n == 0;
}

/* The first item that names the image and has the frame in its ranges. Of a state, or of the image. */
static hilum_rc find_item(const struct scene *scene, uint32_t slice,
                          const struct hilum_slice *shown, bool is_of_state, struct mask *mask)
{
    char path[ATTRIBUTE_PATH], instance[UID];
    struct hilum_slice own = *shown; /* whose name outlives that other slices are looked at */
    uint32_t first = first_slice(slice, shown);
    uint64_t n = attribute_items(scene, mask->of, "MaskSubtractionSequence");
    snprintf(instance, sizeof instance, "%s",
             shown->sop_instance != NULL ? shown->sop_instance : "");
    own.sop_instance = instance;
    mask->frame = slice - first + 1;
    if (is_of_state && !is_referred(scene, mask->of, &own))
        return HILUM_ENOTFOUND;
    for (unsigned k = 0; k < n && k < ITEMS_MAX; k++) {
        double nth;
        snprintf(mask->item, sizeof mask->item, "MaskSubtractionSequence[%u].", k);
        if ((is_of_state && !state_names(scene, mask->of, mask->item, &own)) ||
            !is_in_ranges(scene, mask->of, of_item(mask, "ApplicableFrameRange", path), mask->frame,
                          &nth))
            continue;
        mask->n_masks = mask->n_contrasts =
            0; /* of the item before, which was not for this frame */
        hilum_rc rc = read_item(scene, instance, slice, first, nth, mask);
        if (rc != HILUM_ENOTFOUND)
            return rc;
    }
    return HILUM_ENOTFOUND;
}

hilum_rc mask_find(const struct scene *scene, const struct request *request,
                   const struct display *display, struct mask *out)
{
    struct hilum_slice shown;
    *out = (struct mask){.slice = request->slice, .weight = 1 - display->visibility};
    bool is_of_state = scene_state(scene, &out->of) &&
                       attribute_items(scene, out->of, "MaskSubtractionSequence") > 0;
    if (!is_of_state)
        out->of = request->slice;
    if (request->mask == MASK_NEVER ||
        (request->mask == MASK_AS_SAID && (!is_of_state || display->is_native)))
        return HILUM_ENOTFOUND;
    hilum_rc rc = scene_describe(scene, request->slice, &shown);
    if (rc == HILUM_OK)
        rc = find_item(scene, request->slice, &shown, is_of_state, out);
    if (rc == HILUM_ENOTFOUND && request->mask == MASK_ALWAYS &&
        attribute_items(scene, out->of, "MaskSubtractionSequence") == 0)
        return render_fail(
            scene->render, HILUM_EUNSUP,
            "the image has no mask: Mask Subtraction Sequence (0028,6100) is absent");
    return rc;
}
