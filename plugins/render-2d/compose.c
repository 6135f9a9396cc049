/* Pictures of several inputs, step by step (PS3.3 A.33.7, C.11.33, C.11.34; PS3.4 N.2.6): each input in colours of its own,
 * without what its thresholds leave out, laid on the others where their places in the patient say.
 *
 * A layer is a picture and which of its pixels there are. Steps name inputs and other steps by
 * number, so layers are made by going down from the last step; each is given back as soon as it
 * is mixed.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "render.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A step may name steps, so deep at most, and one may be named often: so many layers in all.
 * PIXELS_MAX: four bytes each, for each layer that is kept meanwhile. PIXELS_ALL: of all inputs as they are drawn, at some
 * ten nanoseconds each. UNNAMED_MAX as in blend.c. */
enum {
    INPUTS_MAX = 16,
    DEEP_MAX = 6,
    LAYERS_MAX = 64,
    THRESHOLDS_MAX = 32,
    PIXELS_MAX = 1 << 24,
    PIXELS_ALL = 1 << 27,
    UNNAMED_MAX = 64,
    ITEM = 64,
    UID = 65
};
#define INPUTS "AdvancedBlendingSequence"
#define STEPS  "BlendingDisplaySequence"

struct layer {
    struct picture picture; /* RGB, 8 bits */
    uint8_t *is_seen;       /* a byte a pixel */
};

struct composer {
    const struct scene *scene;
    const struct request *request;
    uint32_t state;
    uint32_t width, height; /* of what comes out */
    unsigned n_made;
    uint64_t n_pixels; /* of inputs that were drawn */
};

static hilum_rc refuse(const struct composer *c, hilum_rc code, const char *item, const char *why)
{
    return render_fail(c->scene->render, code, "%s: %s", item, why);
}

static size_t count(const struct layer *layer)
{
    return (size_t)layer->picture.width * layer->picture.height;
}

static void layer_fini(struct layer *layer)
{
    picture_fini(&layer->picture);
    free(layer->is_seen);
    layer->is_seen = NULL;
}

static hilum_rc layer_make(const struct composer *c, struct layer *out)
{
    *out = (struct layer){.is_seen = calloc(1, (size_t)c->width * c->height + 1)};
    if (out->is_seen == NULL)
        return refuse(c, HILUM_ENOMEM, STEPS, "no memory");
    return picture_make(c->scene->render, c->width, c->height, 3, 8, &out->picture);
}

/* ---- which slice an input shows ---- */

/* Those of the series, or of these images of it where any are named. */
static bool input_names(const struct scene *scene, uint32_t state, const char *item, uint32_t slice)
{
    struct hilum_slice described;
    char path[ATTRIBUTE_PATH], series[UID];
    snprintf(path, sizeof path, "%sSeriesInstanceUID", item);
    const char *wanted = attribute(scene, state, path);
    snprintf(series, sizeof series, "%s", wanted != NULL ? wanted : "");
    return attribute_is(scene, slice, "SeriesInstanceUID", series) &&
           scene_describe(scene, slice, &described) == HILUM_OK &&
           state_names(scene, state, item, &described);
}

/* Nearer than a slice is thick, of either of the two; what is further away is not there. Without
 * a thickness the nearest will do. */
static bool is_near(const struct hilum_slice *a, const struct hilum_slice *b, double far)
{
    double thick = fmax(a->thickness, b->thickness);
    return !(thick > 0) || far <= thick;
}

/* HILUM_ENOTFOUND: its nearest slice is too far away, hence nothing of it is seen here. */
static hilum_rc input_slice(const struct composer *c, const char *item, uint32_t *out)
{
    struct hilum_slice shown = {.size = 0}, slice, best = {.size = 0};
    double least = INFINITY;
    unsigned unnamed = 0;
    *out = c->request->slice;
    if (input_names(c->scene, c->state, item, *out))
        return HILUM_OK;
    hilum_rc rc = scene_describe(c->scene, c->request->slice, &shown);
    for (uint32_t i = 0; rc == HILUM_OK && i < c->scene->source->n_slices && unnamed < UNNAMED_MAX;
         i++) {
        double far = scene_describe(c->scene, i, &slice) == HILUM_OK
                         ? align_distance(&shown, &slice)
                         : INFINITY;
        if (!(far < least))
            continue;
        if (input_names(c->scene, c->state, item, i)) {
            best = slice;
            least = far;
            *out = i;
        } else {
            unnamed++;
        }
    }
    if (rc == HILUM_OK && !isfinite(least))
        return refuse(c, HILUM_EUNSUP, item, "none of the images of this input is here");
    if (rc != HILUM_OK || is_near(&shown, &best, least))
        return rc;
    /* Distances across frames of reference mean nothing; align_find() says so. */
    return align_is_of_one_frame(c->scene, c->request->slice, *out) ? HILUM_ENOTFOUND : HILUM_OK;
}

/* ---- thresholds ---- */

enum comparison { INCLUDED, EXCLUDED, AT_LEAST, AT_MOST, OVER, UNDER };

struct threshold {
    enum comparison how;
    double from, to;
};

static bool passes(const struct threshold *t, double value)
{
    switch (t->how) {
    case INCLUDED: return value >= t->from && value <= t->to;
    case EXCLUDED: return value < t->from || value > t->to;
    case AT_LEAST: return value >= t->from;
    case AT_MOST: return value <= t->from;
    case OVER: return value > t->from;
    default: return value < t->from;
    }
}

static hilum_rc read_threshold(const struct composer *c, const char *item, struct threshold *out)
{
    static const char *const names[] = {"RANGE_INCL",    "RANGE_EXCL",   "GREATER_OR_EQUAL",
                                        "LESS_OR_EQUAL", "GREATER_THAN", "LESS_THAN"};
    char path[ATTRIBUTE_PATH];
    double values[2] = {NAN, NAN};
    unsigned how = 0, n_values = 1;
    snprintf(path, sizeof path, "%sThresholdType", item);
    while (how < 6 && !attribute_is(c->scene, c->state, path, names[how]))
        how++;
    if (how == 6)
        return refuse(c, HILUM_EUNSUP, item, "Threshold Type (0070,1B13) is none that is known");
    n_values += how == INCLUDED || how == EXCLUDED;
    for (unsigned k = 0; k < n_values; k++) {
        snprintf(path, sizeof path, "%sThresholdValueSequence[%u].ThresholdValue", item, k);
        values[k] = attribute_number(c->scene, c->state, path, NAN);
        if (isnan(values[k]))
            return refuse(c, HILUM_EINVAL, item, "Threshold Value (0070,1B14) is missing");
    }
    *out = (struct threshold){(enum comparison)how, values[0], values[1]};
    if (n_values == 2 && values[0] > values[1])
        *out = (struct threshold){(enum comparison)how, values[1], values[0]};
    return HILUM_OK;
}

static hilum_rc read_thresholds(const struct composer *c, const char *item, struct threshold *out,
                                unsigned *n)
{
    char path[ATTRIBUTE_PATH];
    hilum_rc rc = HILUM_OK;
    snprintf(path, sizeof path, "%sThresholdSequence", item);
    uint64_t found = attribute_items(c->scene, c->state, path);
    *n = (unsigned)found;
    if (found > THRESHOLDS_MAX)
        return refuse(c, HILUM_EUNSUP, path, "more than 32 thresholds (0070,1B11)");
    for (unsigned k = 0; rc == HILUM_OK && k < *n; k++) {
        snprintf(path, sizeof path, "%sThresholdSequence[%u].", item, k);
        rc = read_threshold(c, path, &out[k]);
    }
    return rc;
}

/* Padding is no pixel; nor is what no threshold lets through, values as the modality means them
 * (PS3.3 C.11.33.1.2). */
static hilum_rc read_seen(const struct composer *c, const struct request *own, const char *item,
                          const struct samples *samples, struct layer *layer)
{
    struct threshold thresholds[THRESHOLDS_MAX];
    struct hilum_slice slice;
    struct ramp ramp;
    unsigned n = 0;
    hilum_rc rc = read_thresholds(c, item, thresholds, &n);
    bool is_grey = samples->frame.samples == 1 && samples->frame.photometric != HILUM_PHOTO_PALETTE;
    if (rc == HILUM_OK && n > 0 && !is_grey)
        return refuse(c, HILUM_EUNSUP, item, "thresholds (0070,1B11) are of grey images only");
    memset(layer->is_seen, 1, count(layer));
    if (rc != HILUM_OK || !is_grey)
        return rc;
    rc = scene_describe(c->scene, own->slice, &slice);
    if (rc == HILUM_OK)
        rc = ramp_read(c->scene, own, &slice, &ramp);
    if (rc != HILUM_OK)
        return rc;
    for (size_t i = 0; i < count(layer); i++) {
        double stored = sample_value(samples, i), value = ramp_value(&ramp, stored);
        bool is_shown = n == 0;
        for (unsigned k = 0; !is_shown && k < n; k++)
            is_shown = passes(&thresholds[k], value);
        layer->is_seen[i] = is_shown && !ramp_is_padding(&ramp, stored);
    }
    ramp_fini(&ramp);
    return HILUM_OK;
}

/* ---- an input as a layer ---- */

/* Its colours in the item, or in a sequence of it. */
static bool find_palette(const struct composer *c, const char *item, char out[ITEM + 40])
{
    snprintf(out, ITEM + 40, "%s", item);
    if (palette_is_there(c->scene, c->state, out))
        return true;
    snprintf(out, ITEM + 40, "%sPaletteColorLookupTableSequence[0].", item);
    return palette_is_there(c->scene, c->state, out);
}

/* Before it is read: an input may be larger than what is shown, and may be named by many steps. */
static hilum_rc take_pixels(struct composer *c, const char *item, uint32_t slice)
{
    struct hilum_slice described;
    hilum_rc rc = blended_check(c->scene, slice, item);
    if (rc == HILUM_OK)
        rc = scene_describe(c->scene, slice, &described);
    if (rc != HILUM_OK)
        return rc;
    c->n_pixels += (uint64_t)described.frame->columns * described.frame->rows;
    return c->n_pixels <= PIXELS_ALL
               ? HILUM_OK
               : refuse(c, HILUM_EUNSUP, STEPS " (0070,1B04)",
                        "the inputs that its steps name have over 128 million pixels");
}

/* By its own item of the state; a window that somebody asks for is that of the image below. Of the slice's own size. */
static hilum_rc draw_input(const struct composer *c, const char *item, uint32_t slice,
                           struct layer *out)
{
    char palette[ITEM + 40];
    struct samples samples = {.pixels = NULL};
    bool has_palette = find_palette(c, item, palette);
    struct request own = {.slice = slice, .depth = has_palette ? 16 : 8};
    snprintf(own.state_item, sizeof own.state_item, "%s", item);
    if (slice == c->request->slice) {
        own.window = c->request->window;
        own.level = c->request->level;
        own.function = c->request->function;
    }
    *out = (struct layer){.is_seen = NULL};
    hilum_rc rc = slice_picture(c->scene, &own, &samples, &out->picture);
    if (rc == HILUM_OK) {
        out->is_seen = calloc(1, count(out) + 1);
        rc = out->is_seen != NULL ? read_seen(c, &own, item, &samples, out)
                                  : refuse(c, HILUM_ENOMEM, item, "no memory");
    }
    samples_fini(&samples);
    if (rc == HILUM_OK && has_palette && out->picture.channels == 1)
        rc = palette_shades(c->scene, c->state, palette, &out->picture);
    return rc == HILUM_OK ? picture_colour(c->scene->render, &out->picture) : rc;
}

/* Between the four pixels around, of those that there are; false: beside the picture, or most of
 * what is around is not there. */
static bool layer_at(const struct layer *layer, double x, double y, uint8_t out[3])
{
    const uint32_t width = layer->picture.width, height = layer->picture.height;
    double sum[3] = {0, 0, 0}, weight = 0;
    if (!(x >= -0.5 && y >= -0.5 && x <= width - 0.5 && y <= height - 0.5))
        return false;
    x = x > 0 ? (x < width - 1.0 ? x : width - 1.0) : 0;
    y = y > 0 ? (y < height - 1.0 ? y : height - 1.0) : 0;
    for (unsigned k = 0; k < 4; k++) {
        uint32_t column = (uint32_t)x + (k & 1), row = (uint32_t)y + (k >> 1);
        double w = (1 - fabs(x - column)) * (1 - fabs(y - row));
        size_t at = (size_t)row * width + column;
        if (column >= width || row >= height || !(w > 0) || !layer->is_seen[at])
            continue;
        for (int i = 0; i < 3; i++)
            sum[i] += w * ((const uint8_t *)layer->picture.pixels)[3 * at + (size_t)i];
        weight += w;
    }
    for (int i = 0; weight >= 0.5 && i < 3; i++)
        out[i] = (uint8_t)(sum[i] / weight + 0.5);
    return weight >= 0.5;
}

static hilum_rc resample(const struct composer *c, const struct layer *from,
                         const struct affine *affine, struct layer *to)
{
    uint8_t *p = to->picture.pixels, *is_seen = to->is_seen;
    hilum_rc rc = HILUM_OK;
    for (uint32_t y = 0; rc == HILUM_OK && y < to->picture.height; y++) {
        if (y % 16 == 0)
            rc = scene_go_on(c->scene);
        for (uint32_t x = 0; x < to->picture.width; x++, p += 3, is_seen++) {
            double u, v;
            affine_apply(affine, x, y, &u, &v);
            *is_seen = layer_at(from, u, v, p);
        }
    }
    return rc;
}

static hilum_rc input_layer(struct composer *c, unsigned k, struct layer *out)
{
    char item[ITEM];
    uint32_t slice;
    struct layer own;
    struct affine affine;
    snprintf(item, sizeof item, INPUTS "[%u].", k);
    *out = (struct layer){.is_seen = NULL};
    hilum_rc rc = input_slice(c, item, &slice);
    if (rc == HILUM_ENOTFOUND)
        return layer_make(c, out);
    if (rc == HILUM_OK)
        rc = take_pixels(c, item, slice);
    if (rc == HILUM_OK && slice == c->request->slice)
        return draw_input(c, item, slice, out);
    if (rc != HILUM_OK)
        return rc;
    rc = draw_input(c, item, slice, &own);
    if (rc == HILUM_OK)
        rc = layer_make(c, out);
    if (rc == HILUM_OK)
        rc = align_find(c->scene, c->request->slice, slice, &out->picture, &own.picture, &affine);
    if (rc == HILUM_OK)
        rc = resample(c, &own, &affine, out);
    layer_fini(&own);
    return rc;
}

/* ---- steps ---- */

static hilum_rc numbered_layer(struct composer *c, double number, unsigned deep, struct layer *out);

/* The number of a step's k-th input; NAN: it has none. */
static double input_number(const struct composer *c, const char *step, unsigned k)
{
    char path[ATTRIBUTE_PATH];
    snprintf(path, sizeof path, "%sBlendingDisplayInputSequence[%u].BlendingInputNumber", step, k);
    return attribute_number(c->scene, c->state, path, NAN);
}

/* The first one over the second, which show alone where the other is not. */
static hilum_rc foreground(struct composer *c, const char *step, unsigned deep, struct layer *out)
{
    char path[ATTRIBUTE_PATH];
    struct layer under = {.is_seen = NULL};
    snprintf(path, sizeof path, "%sRelativeOpacity", step);
    double opacity = attribute_number(c->scene, c->state, path, NAN);
    if (!(opacity >= 0 && opacity <= 1))
        return refuse(c, HILUM_EINVAL, step, "Relative Opacity (0070,0403) is from 0 to 1");
    hilum_rc rc = numbered_layer(c, input_number(c, step, 0), deep, out);
    if (rc == HILUM_OK)
        rc = numbered_layer(c, input_number(c, step, 1), deep, &under);
    for (size_t i = 0; rc == HILUM_OK && i < count(out); i++) {
        uint8_t *p = (uint8_t *)out->picture.pixels + 3 * i;
        const uint8_t *q = (const uint8_t *)under.picture.pixels + 3 * i;
        double share = !under.is_seen[i] ? 1 : out->is_seen[i] ? opacity : 0;
        for (int k = 0; k < 3; k++)
            p[k] = (uint8_t)(p[k] * share + q[k] * (1 - share) + 0.5);
        out->is_seen[i] |= under.is_seen[i];
    }
    layer_fini(&under);
    return rc;
}

/* Sums of 16 bits have room for INPUTS_MAX layers; is_seen counts them meanwhile. */
static void add_layer(const struct layer *one, uint16_t *sums, struct layer *out)
{
    const uint8_t *p = one->picture.pixels;
    for (size_t i = 0; i < count(out); i++) {
        if (!one->is_seen[i])
            continue;
        for (size_t k = 3 * i; k < 3 * i + 3; k++)
            sums[k] = (uint16_t)(sums[k] + p[k]);
        out->is_seen[i]++;
    }
}

static void divide(const uint16_t *sums, struct layer *out)
{
    uint8_t *p = out->picture.pixels;
    for (size_t i = 0; i < count(out); i++) {
        unsigned seen = out->is_seen[i];
        for (size_t k = 3 * i; seen > 0 && k < 3 * i + 3; k++)
            p[k] = (uint8_t)((sums[k] + seen / 2) / seen);
        out->is_seen[i] = seen > 0;
    }
}

/* The mean of those that there are. */
static hilum_rc equal(struct composer *c, const char *step, unsigned n, unsigned deep,
                      struct layer *out)
{
    hilum_rc rc = layer_make(c, out);
    uint16_t *sums = calloc(3 * (size_t)c->width * c->height + 1, sizeof *sums);
    if (rc == HILUM_OK && sums == NULL)
        rc = refuse(c, HILUM_ENOMEM, step, "no memory");
    for (unsigned k = 0; rc == HILUM_OK && k < n; k++) {
        struct layer one;
        rc = numbered_layer(c, input_number(c, step, k), deep, &one);
        if (rc == HILUM_OK && one.is_seen != NULL)
            add_layer(&one, sums, out);
        layer_fini(&one);
    }
    if (rc == HILUM_OK)
        divide(sums, out);
    free(sums);
    return rc;
}

static hilum_rc step_layer(struct composer *c, unsigned k, unsigned deep, struct layer *out)
{
    char path[ATTRIBUTE_PATH], step[ITEM];
    snprintf(step, sizeof step, STEPS "[%u].", k);
    snprintf(path, sizeof path, "%sBlendingDisplayInputSequence", step);
    uint64_t n = attribute_items(c->scene, c->state, path);
    snprintf(path, sizeof path, "%sBlendingMode", step);
    if (attribute_is(c->scene, c->state, path, "FOREGROUND"))
        return n == 2 ? foreground(c, step, deep, out)
                      : refuse(c, HILUM_EINVAL, step,
                               "FOREGROUND is of two inputs (0070,1B03), no more and no less");
    if (!attribute_is(c->scene, c->state, path, "EQUAL"))
        return refuse(c, HILUM_EUNSUP, step,
                      "Blending Mode (0070,1B06) is neither EQUAL nor FOREGROUND");
    if (n < 1 || n > INPUTS_MAX)
        return refuse(c, HILUM_EUNSUP, step, "EQUAL is of 1 to 16 inputs (0070,1B03) here");
    return equal(c, step, (unsigned)n, deep, out);
}

/* The item of a sequence with this Blending Input Number; n: there is none. */
static unsigned find_number(const struct composer *c, const char *sequence, unsigned n,
                            double number)
{
    char path[ATTRIBUTE_PATH];
    unsigned k = 0;
    for (; k < n; k++) {
        snprintf(path, sizeof path, "%s[%u].BlendingInputNumber", sequence, k);
        if (attribute_number(c->scene, c->state, path, NAN) == number)
            break;
    }
    return k;
}

static unsigned items_of(const struct composer *c, const char *sequence)
{
    uint64_t n = attribute_items(c->scene, c->state, sequence);
    return n < LAYERS_MAX ? (unsigned)n : LAYERS_MAX;
}

/* Of an input, or of what a step makes. The caller gives it back in every case. */
static hilum_rc numbered_layer(struct composer *c, double number, unsigned deep, struct layer *out)
{
    unsigned n_inputs = items_of(c, INPUTS), n_steps = items_of(c, STEPS);
    *out = (struct layer){.is_seen = NULL};
    if (deep == DEEP_MAX || c->n_made++ == LAYERS_MAX)
        return refuse(c, HILUM_EUNSUP, STEPS " (0070,1B04)",
                      "steps go round, or there are too many of them");
    hilum_rc rc = scene_go_on(c->scene);
    if (rc != HILUM_OK)
        return rc;
    unsigned k = find_number(c, INPUTS, n_inputs, number);
    if (k < n_inputs)
        return input_layer(c, k, out);
    k = find_number(c, STEPS, n_steps, number);
    if (k < n_steps)
        return step_layer(c, k, deep + 1, out);
    return render_fail(c->scene->render, HILUM_EINVAL,
                       STEPS ": no input and no step has Blending Input Number (0070,1B02) %g",
                       number);
}

/* ---- the picture ---- */

/* The picture has the geometry of an input that says so; where none does, of any (PS3.3 C.11.33.1.1). */
hilum_rc compose_check(const struct scene *scene, uint32_t slice)
{
    char path[ATTRIBUTE_PATH], item[ITEM];
    uint32_t state;
    bool is_any = false, is_said = false;
    uint64_t n = scene_state(scene, &state) ? attribute_items(scene, state, INPUTS) : 0;
    if (n == 0)
        return HILUM_ENOTFOUND;
    for (unsigned k = 0; k < n && k < LAYERS_MAX; k++) {
        snprintf(item, sizeof item, INPUTS "[%u].", k);
        snprintf(path, sizeof path, "%sGeometryForDisplay", item);
        bool is_geometry = attribute_is(scene, state, path, "TRUE");
        bool is_named = input_names(scene, state, item, slice);
        if (is_geometry && is_named)
            return HILUM_OK;
        is_said |= is_geometry;
        is_any |= is_named;
    }
    if (is_any && !is_said)
        return HILUM_OK;
    return render_fail(scene->render, HILUM_EUNSUP,
                       "the state shows its images on others than this: ask for one of the input "
                       "with Geometry for Display (0070,1B08)");
}

/* The step without a number is the last; what no input has is black. */
hilum_rc compose_picture(const struct scene *scene, const struct request *request,
                         struct picture *out)
{
    struct composer c = {.scene = scene, .request = request};
    struct hilum_slice slice;
    struct layer layer = {.is_seen = NULL};
    hilum_rc rc = scene_describe(scene, request->slice, &slice);
    if (rc != HILUM_OK || !scene_state(scene, &c.state))
        return rc;
    c.width = slice.frame->columns;
    c.height = slice.frame->rows;
    if ((uint64_t)c.width * c.height > PIXELS_MAX)
        return refuse(&c, HILUM_EUNSUP, STEPS,
                      "pictures of over 16 million pixels are not composed");
    unsigned n = items_of(&c, STEPS), last = 0;
    char path[ATTRIBUTE_PATH];
    for (; last < n; last++) {
        snprintf(path, sizeof path, STEPS "[%u].BlendingInputNumber", last);
        if (attribute(scene, c.state, path) == NULL)
            break;
    }
    if (last == n)
        return refuse(&c, HILUM_EINVAL, STEPS " (0070,1B04)",
                      "no step is the last: each has a Blending Input Number (0070,1B02)");
    rc = step_layer(&c, last, 0, &layer);
    for (size_t i = 0; rc == HILUM_OK && i < count(&layer); i++)
        if (!layer.is_seen[i])
            memset((uint8_t *)layer.picture.pixels + 3 * i, 0, 3);
    if (rc == HILUM_OK) {
        *out = layer.picture;
        layer.picture.pixels = NULL;
    }
    layer_fini(&layer);
    return rc;
}
