/* From a stored value to a shade: modality LUT or rescale, VOI window or LUT, presentation LUT, as the image or a
 * presentation state has them (PS3.3 C.11.1, C.11.2, C.11.6; PS3.4 N.2). SPDX-License-Identifier: Apache-2.0 */
#include "render.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ITEMS_MAX: of a list of a state, which bounds what it can cost. */
enum { ITEMS_MAX = 1000 };
#define VARIABLE_MODALITY "00283001"

/* ---- applied ---- */

double ramp_value(const struct ramp *ramp, double stored)
{
    if (ramp->modality.n > 0)
        return table_entry(&ramp->modality, stored);
    return stored * ramp->slope + ramp->intercept;
}

/* PS3.3 C.11.2.1.2 and C.11.2.1.3; window 0 is a threshold. LINEAR counts between whole stored
 * values, hence the halves and w - 1; LINEAR_EXACT does not. */
static double windowed(const struct ramp *ramp, double x)
{
    double w = ramp->window, c = ramp->level;
    switch (ramp->function) {
    case VOI_LINEAR_EXACT: return w > 0 ? (x - c) / w + 0.5 : x > c;
    case VOI_SIGMOID: return w > 0 ? 1 / (1 + exp(-4 * (x - c) / w)) : x > c;
    default: return w > 1 ? (x - (c - 0.5)) / (w - 1) + 0.5 : x > c - 0.5;
    }
}

/* Between 0 and 1 at each step, as the next one's table has no entries beyond. */
double ramp_shade(const struct ramp *ramp, double stored)
{
    double x = ramp_value(ramp, stored), y;
    if (ramp->voi.n > 0)
        y = table_entry(&ramp->voi, x) * ramp->voi.scale;
    else
        y = windowed(ramp, x);
    y = y > 0 ? (y < 1 ? y : 1) : 0; /* what is no number is black */
    if (ramp->presentation.n > 1) {
        double at = y * (ramp->presentation.n - 1);
        y = ramp->presentation.entries[(uint32_t)(at + 0.5)] * ramp->presentation.scale;
    }
    return ramp->is_inverse ? 1 - y : y;
}

bool ramp_is_padding(const struct ramp *ramp, double stored)
{
    return ramp->has_padding && stored >= ramp->padding[0] && stored <= ramp->padding[1];
}

/* ---- read ---- */

static bool is_signed(const struct hilum_slice *slice)
{
    return slice->frame->sample_type == HILUM_SAMPLE_SIGNED;
}

/* A table below the first item of a sequence, of the state or else of the image. */
static hilum_rc sequence_table(const struct scene *scene, uint32_t i, const char *sequence,
                               bool is_of_signed, struct table *out)
{
    char descriptor[ATTRIBUTE_PATH], data[ATTRIBUTE_PATH];
    snprintf(descriptor, sizeof descriptor, "%s[0].LUTDescriptor", sequence);
    snprintf(data, sizeof data, "%s[0].LUTData", sequence);
    hilum_rc rc = table_read(scene, i, descriptor, data, is_of_signed, out);
    return rc == HILUM_ENOTFOUND ? HILUM_OK : rc;
}

/* Of a blending state the item that is of this picture; else the state itself. */
static const char *state_path(const struct request *request, const char *name,
                              char path[ATTRIBUTE_PATH])
{
    snprintf(path, ATTRIBUTE_PATH, "%s%s", request->state_item, name);
    return path;
}

/* Of a state that has a transformation for each of several images the item that names this one (PS3.3 C.11.35), else where
 * all of it is. Few dictionaries know its name yet. */
void ramp_modality_item(const struct scene *scene, uint32_t state, const struct hilum_slice *slice,
                        const char *otherwise, char out[MODALITY_ITEM])
{
    snprintf(out, MODALITY_ITEM, "%s", otherwise);
    uint64_t n = attribute_items(scene, state, VARIABLE_MODALITY);
    for (unsigned k = 0; k < n && k < ITEMS_MAX; k++) {
        char item[MODALITY_ITEM];
        snprintf(item, sizeof item, VARIABLE_MODALITY "[%u].", k);
        if (state_names(scene, state, item, slice)) {
            memcpy(out, item, sizeof item);
            return;
        }
    }
}

/* The state's transformation stands in the place of the image's as a whole. */
static hilum_rc read_modality(const struct scene *scene, const struct request *request,
                              const struct hilum_slice *slice, struct ramp *out)
{
    uint32_t state;
    char path[ATTRIBUTE_PATH], item[MODALITY_ITEM];
    hilum_rc rc = HILUM_OK;
    out->slope = slice->slope != 0 && !request->is_masked ? slice->slope : 1;
    out->intercept = request->is_masked ? 0 : slice->intercept;
    if (request->is_masked) /* differences are in output units already */
        return HILUM_OK;
    if (scene_state(scene, &state)) {
        ramp_modality_item(scene, state, slice, request->state_item, item);
        snprintf(path, sizeof path, "%sModalityLUTSequence", item);
        rc = sequence_table(scene, state, path, is_signed(slice), &out->modality);
        snprintf(path, sizeof path, "%sRescaleIntercept", item);
        out->intercept = attribute_number(scene, state, path, out->intercept);
        snprintf(path, sizeof path, "%sRescaleSlope", item);
        out->slope = attribute_number(scene, state, path, out->slope);
        if (rc != HILUM_OK || out->modality.n > 0 || attribute(scene, state, path))
            return rc;
    }
    return sequence_table(scene, request->slice, "ModalityLUTSequence", is_signed(slice),
                          &out->modality);
}

static enum voi_function function_of(const char *name)
{
    if (name != NULL && strcmp(name, "SIGMOID") == 0)
        return VOI_SIGMOID;
    return name != NULL && strcmp(name, "LINEAR_EXACT") == 0 ? VOI_LINEAR_EXACT : VOI_LINEAR;
}

struct voi_place {
    const struct scene *scene;
    uint32_t i;
    bool is_masked;
    char prefix[96]; /* of a state's VOI; "": the image's own */
};

/* Without a prefix: the frame's own functional group, or the data set (attribute_grouped). */
static const char *voi_text(const struct voi_place *place, const char *name)
{
    char path[ATTRIBUTE_PATH];
    if (place->prefix[0] == '\0')
        return attribute_grouped(place->scene, place->i, "FrameVOILUTSequence", name);
    snprintf(path, sizeof path, "%s%s", place->prefix, name);
    return attribute(place->scene, place->i, path);
}

/* The wanted one of several windows, or the last there is. Width 0 or less is no window. */
static bool take_window(const struct voi_place *place, uint32_t index, struct ramp *out)
{
    double levels[16], windows[16];
    size_t n = attribute_numbers(voi_text(place, "WindowCenter"), levels, 16);
    size_t m = attribute_numbers(voi_text(place, "WindowWidth"), windows, 16);
    n = n < m ? n : m;
    if (n == 0)
        return false;
    size_t at = index < n ? index : n - 1;
    out->level = levels[at];
    out->window = windows[at];
    return out->window > 0;
}

/* A window before a table where an object has both: it is what people set. */
static hilum_rc read_voi_at(const struct voi_place *place, const struct hilum_slice *slice,
                            uint32_t index, struct ramp *out, bool *is_found)
{
    char sequence[ATTRIBUTE_PATH];
    *is_found = take_window(place, index, out);
    if (*is_found) {
        const char *function = voi_text(place, "VOILUTFunction");
        out->function = function_of(function);
        /* LINEAR counts in whole numbers; real ones that lie between 0 and 1 would all be black or white. */
        if (function == NULL && slice->frame->sample_type == HILUM_SAMPLE_FLOAT)
            out->function = VOI_LINEAR_EXACT;
        return HILUM_OK;
    }
    snprintf(sequence, sizeof sequence, "%sVOILUTSequence", place->prefix);
    bool is_negative =
        place->is_masked || (out->modality.n == 0 && (is_signed(slice) || out->intercept < 0));
    hilum_rc rc = sequence_table(place->scene, place->i, sequence, is_negative, &out->voi);
    *is_found = out->voi.n > 0;
    return rc;
}

/* The first item that is for this image. */
static hilum_rc read_state_voi(const struct scene *scene, const struct request *request,
                               const struct hilum_slice *slice, struct ramp *out, bool *is_found)
{
    struct voi_place place = {.scene = scene, .is_masked = request->is_masked};
    char path[ATTRIBUTE_PATH];
    hilum_rc rc = HILUM_OK;
    *is_found = false;
    if (!scene_state(scene, &place.i))
        return HILUM_OK;
    uint64_t n =
        attribute_items(scene, place.i, state_path(request, "SoftcopyVOILUTSequence", path));
    for (unsigned k = 0; rc == HILUM_OK && !*is_found && k < n && k < ITEMS_MAX; k++) {
        snprintf(place.prefix, sizeof place.prefix, "%sSoftcopyVOILUTSequence[%u].",
                 request->state_item, k);
        if (state_names(scene, place.i, place.prefix, slice))
            rc = read_voi_at(&place, slice, 0, out, is_found);
    }
    return rc;
}

/* Who asks for a window gets it, whatever is recorded. */
static hilum_rc read_voi(const struct scene *scene, const struct request *request,
                         const struct hilum_slice *slice, struct ramp *out)
{
    struct voi_place own = {.scene = scene, .i = request->slice};
    bool is_found = false;
    if (request->window > 0) {
        out->window = request->window;
        out->level = request->level;
        out->function = request->function != VOI_AS_RECORDED
                            ? request->function
                            : function_of(voi_text(&own, "VOILUTFunction"));
        return HILUM_OK;
    }
    hilum_rc rc = read_state_voi(scene, request, slice, out, &is_found);
    if (rc == HILUM_OK && !is_found && !request->is_masked)
        rc = read_voi_at(&own, slice, request->voi, out, &is_found);
    if (rc == HILUM_OK && !is_found && !request->is_masked &&
        slice->window > 0) { /* a source that tells no attributes */
        out->window = slice->window;
        out->level = slice->level;
    }
    if (request->function != VOI_AS_RECORDED)
        out->function = request->function;
    return rc;
}

/* MONOCHROME1 is said once more by many objects as INVERSE: either of them inverts, both
 * together do not invert twice. */
static hilum_rc read_presentation(const struct scene *scene, const struct request *request,
                                  const struct hilum_slice *slice, struct ramp *out)
{
    uint32_t i = request->slice, state;
    bool has_state = scene_state(scene, &state);
    bool is_one = slice->frame->photometric == HILUM_PHOTO_MONOCHROME1;
    if (has_state)
        i = state;
    out->is_inverse = attribute_is(scene, i, "PresentationLUTShape", "INVERSE");
    if (!has_state) /* an image says it twice, a state says it instead */
        out->is_inverse = out->is_inverse || is_one;
    out->is_inverse = out->is_inverse != request->is_inverted;
    return sequence_table(scene, i, "PresentationLUTSequence", false, &out->presentation);
}

/* PS3.3 C.7.5.1.1.2: what no picture was taken of. Two's complement may stand in an unsigned VR and the other way. */
static void read_padding(const struct scene *scene, uint32_t i, const struct hilum_slice *slice,
                         struct ramp *out)
{
    double from, to, turn = 65536;
    if (attribute_numbers(attribute(scene, i, "PixelPaddingValue"), &from, 1) != 1)
        return;
    to = attribute_number(scene, i, "PixelPaddingRangeLimit", from);
    if (is_signed(slice)) {
        from -= from > 32767 ? turn : 0;
        to -= to > 32767 ? turn : 0;
    } else {
        from += from < 0 ? turn : 0;
        to += to < 0 ? turn : 0;
    }
    out->has_padding = true;
    out->padding[0] = from < to ? from : to;
    out->padding[1] = from < to ? to : from;
}

hilum_rc ramp_padding(const struct scene *scene, uint32_t slice, struct ramp *out)
{
    struct hilum_slice described;
    *out = (struct ramp){.slope = 1};
    hilum_rc rc = scene_describe(scene, slice, &described);
    if (rc == HILUM_OK)
        read_padding(scene, slice, &described, out);
    return rc;
}

hilum_rc ramp_read(const struct scene *scene, const struct request *request,
                   const struct hilum_slice *slice, struct ramp *out)
{
    *out = (struct ramp){.slope = 1, .function = VOI_LINEAR};
    hilum_rc rc = read_modality(scene, request, slice, out);
    if (rc == HILUM_OK && request->is_suv) {
        double factor = suv_factor(scene, request->slice);
        if (factor == 0)
            return render_fail(scene->render, HILUM_EUNSUP,
                               "SUV needs PET with Units BQML, weight, dose and times");
        out->slope *= factor;
        out->intercept *= factor;
    }
    if (rc == HILUM_OK)
        rc = read_voi(scene, request, slice, out);
    if (rc == HILUM_OK)
        rc = read_presentation(scene, request, slice, out);
    read_padding(scene, request->slice, slice, out);
    if (request->is_suv && request->window == 0) { /* what is recorded is in other units */
        table_fini(&out->voi);
        out->window = out->level = 0;
    }
    return rc;
}

void ramp_fini(struct ramp *ramp)
{
    table_fini(&ramp->modality);
    table_fini(&ramp->voi);
    table_fini(&ramp->presentation);
}
