/* Two pictures in one: a state names one image below and one that is laid over it in the colours of its palette (PS3.3 A.33.4,
 * C.11.14). They lie where their positions in the patient say. SPDX-License-Identifier: Apache-2.0 */
#include "render.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* SERIES_MAX: of the sets of a state that are looked through for the one a picture is of.
 * UNNAMED_MAX: whether a state names a slice takes as long as its list, so one that names none
 * of many ends the search. BLENDED_MAX: pixels of an image that is laid on another, a dozen bytes each. */
enum { SERIES_MAX = 16, UNNAMED_MAX = 16, BLENDED_MAX = 1 << 25, UID = 65 };

/* ---- which ---- */

/* Does the k-th item of the state name the picture? */
static bool item_names(const struct scene *scene, uint32_t state, unsigned k,
                       const struct hilum_slice *slice)
{
    char path[ATTRIBUTE_PATH];
    snprintf(path, sizeof path, "BlendingSequence[%u].ReferencedSeriesSequence", k);
    uint64_t n = attribute_items(scene, state, path);
    for (unsigned i = 0; i < n && i < SERIES_MAX; i++) {
        snprintf(path, sizeof path, "BlendingSequence[%u].ReferencedSeriesSequence[%u].", k, i);
        if (state_names(scene, state, path, slice))
            return true;
    }
    return false;
}

/* The nearest slice that the item names. Nearest by the distance of planes; without positions
 * the first one that is named. */
static bool find_over(const struct scene *scene, uint32_t state, unsigned item, uint32_t under,
                      uint32_t *out)
{
    struct hilum_slice below, slice;
    double least = INFINITY;
    char shown[UID];
    unsigned unnamed = 0;
    if (scene_describe(scene, under, &below) != HILUM_OK)
        return false;
    snprintf(shown, sizeof shown, "%s", below.sop_instance != NULL ? below.sop_instance : "");
    for (uint32_t i = 0; i < scene->source->n_slices && unnamed < UNNAMED_MAX; i++) {
        if (scene_describe(scene, i, &slice) != HILUM_OK || slice.sop_instance == NULL ||
            strcmp(slice.sop_instance, shown) == 0) /* another frame of the lower one */
            continue;
        double far = align_distance(&below, &slice);
        if (!(far < least))
            continue;
        if (item_names(scene, state, item, &slice)) {
            least = far;
            *out = i;
        } else {
            unnamed++;
        }
    }
    return isfinite(least);
}

/* RelativeOpacity is that of the upper picture (PS3.3 C.11.14). */
hilum_rc blend_find(const struct scene *scene, uint32_t slice, struct blend *out)
{
    char path[ATTRIBUTE_PATH];
    struct hilum_slice shown;
    unsigned over = 2;
    if (!scene_state(scene, &out->state) ||
        attribute_items(scene, out->state, "BlendingSequence") < 2)
        return HILUM_ENOTFOUND;
    for (unsigned k = 0; k < 2; k++) {
        snprintf(path, sizeof path, "BlendingSequence[%u].BlendingPosition", k);
        if (attribute_is(scene, out->state, path, "SUPERIMPOSED"))
            over = k;
    }
    hilum_rc rc = scene_describe(scene, slice, &shown);
    if (rc != HILUM_OK)
        return rc;
    if (over == 2 || !item_names(scene, out->state, 1 - over, &shown))
        return render_fail(scene->render, HILUM_EUNSUP,
                           "the state lays nothing over this image: ask for one of those below");
    snprintf(out->under_item, sizeof out->under_item, "BlendingSequence[%u].", 1 - over);
    snprintf(out->over_item, sizeof out->over_item, "BlendingSequence[%u].", over);
    out->opacity = attribute_number(scene, out->state, "RelativeOpacity", 0.5);
    if (!(out->opacity >= 0 && out->opacity <= 1))
        return render_fail(scene->render, HILUM_EINVAL, "relative opacity is from 0 to 1");
    if (!find_over(scene, out->state, over, slice, &out->over))
        return render_fail(scene->render, HILUM_EUNSUP,
                           "the image that is to be laid over this one is not here");
    return HILUM_OK;
}

/* ---- mixed ---- */

/* Between the four pixels around; false: beside the picture. Half a pixel beyond the centres
 * of the border: there the pixel still is. */
static bool colour_at(const struct picture *picture, double x, double y, double out[3])
{
    if (!(x >= -0.5 && y >= -0.5 && x <= picture->width - 0.5 && y <= picture->height - 0.5))
        return false;
    x = x < 0 ? 0 : x > picture->width - 1 ? picture->width - 1 : x;
    y = y < 0 ? 0 : y > picture->height - 1 ? picture->height - 1 : y;
    uint32_t x0 = (uint32_t)x, y0 = (uint32_t)y;
    uint32_t x1 = x0 + 1 < picture->width ? x0 + 1 : x0;
    uint32_t y1 = y0 + 1 < picture->height ? y0 + 1 : y0;
    const uint8_t *top = (const uint8_t *)picture->pixels + (size_t)y0 * picture->width * 3;
    const uint8_t *bottom = (const uint8_t *)picture->pixels + (size_t)y1 * picture->width * 3;
    double fx = x - x0, fy = y - y0;
    for (int c = 0; c < 3; c++) {
        double above =
            top[3 * (size_t)x0 + (size_t)c] * (1 - fx) + top[3 * (size_t)x1 + (size_t)c] * fx;
        double below =
            bottom[3 * (size_t)x0 + (size_t)c] * (1 - fx) + bottom[3 * (size_t)x1 + (size_t)c] * fx;
        out[c] = above * (1 - fy) + below * fy;
    }
    return true;
}

/* For each pixel of the lower picture the place in the upper one; beyond its edge the lower
 * shows alone. */
static hilum_rc mix(const struct scene *scene, struct picture *picture, const struct picture *over,
                    const struct affine *affine, double opacity)
{
    uint8_t *p = picture->pixels;
    hilum_rc rc = HILUM_OK;
    for (uint32_t y = 0; rc == HILUM_OK && y < picture->height; y++) {
        if (y % 16 == 0)
            rc = scene_go_on(scene);
        for (uint32_t x = 0; x < picture->width; x++, p += 3) {
            double u, v, colour[3];
            affine_apply(affine, x, y, &u, &v);
            if (!colour_at(over, u, v, colour))
                continue;
            for (int c = 0; c < 3; c++)
                p[c] = (uint8_t)(colour[c] * opacity + p[c] * (1 - opacity) + 0.5);
        }
    }
    return rc;
}

/* The upper image by its own item of the state, nothing of what the caller wished for the
 * lower one. 16 bits of shade, so that a palette of 4096 colours loses none. */
static hilum_rc over_picture(const struct scene *scene, const struct blend *blend,
                             struct picture *out)
{
    uint32_t state;
    bool has_palette = scene_state(scene, &state) && palette_is_there(scene, state, "");
    struct request own = {.slice = blend->over, .depth = has_palette ? 16 : 8};
    snprintf(own.state_item, sizeof own.state_item, "%s", blend->over_item);
    hilum_rc rc = slice_picture(scene, &own, NULL, out);
    if (rc == HILUM_OK && out->channels == 1 && has_palette)
        rc = palette_shades(scene, state, "", out);
    return rc == HILUM_OK ? picture_colour(scene->render, out) : rc;
}

hilum_rc blended_check(const struct scene *scene, uint32_t slice, const char *item)
{
    struct hilum_slice described;
    hilum_rc rc = scene_describe(scene, slice, &described);
    if (rc == HILUM_OK && (uint64_t)described.frame->columns * described.frame->rows > BLENDED_MAX)
        return render_fail(scene->render, HILUM_EUNSUP,
                           "%s: images of over 32 million pixels are not blended", item);
    return rc;
}

/* The lower picture must have colours before the two are mixed: the upper one is shown in a
 * palette as a rule. */
hilum_rc blend_apply(const struct scene *scene, const struct request *request,
                     const struct blend *blend, struct picture *picture)
{
    struct picture over = {.pixels = NULL};
    struct affine affine;
    hilum_rc rc = blended_check(scene, blend->over, blend->over_item);
    if (rc == HILUM_OK)
        rc = over_picture(scene, blend, &over);
    if (rc == HILUM_OK)
        rc = picture_colour(scene->render, picture);
    if (rc == HILUM_OK)
        rc = align_find(scene, request->slice, blend->over, picture, &over, &affine);
    if (rc == HILUM_OK)
        rc = mix(scene, picture, &over, &affine, blend->opacity);
    picture_fini(&over);
    return rc;
}
