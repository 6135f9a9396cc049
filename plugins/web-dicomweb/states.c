/* Presentation states (PS3.3 A.33) and the images they are made for: one, or two that are blended, which a renderer is shown
 * as one series.
 *
 * A state is an object of its own and may lie in another series, or study, than what it is for;
 * each object it names is opened by a path as if the user had asked for it, so that a state shows
 * nobody what the user may not see.
 *
 * Blending (PS3.3 A.33.4): two series, of which the renderer is given one image each. It knows
 * a source of slices only, so `both` looks like one: slices of the lower image, then of the
 * upper one, then the states as the first has them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "web.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "hilum/renderer.h"

/* NAMED_MAX: upper images are opened one by one to find the nearest; beyond 300 a request
 * would take seconds. */
enum { NAMED_MAX = 300, PATH = 200, UID = 65 };
#define STATES "1.2.840.10008.5.1.4.1.1.11."

/* PS3.4 B.5: all presentation states are below this root. */
bool web_is_state(const char *sop_class)
{
    return strncmp(sop_class, STATES, strlen(STATES)) == 0;
}

static bool is_state(const struct web *web, hilum_object *object)
{
    struct hilum_object_names names = {.size = sizeof names};
    return web->host->objects->names(object, &names) == HILUM_OK && web_is_state(names.sop_class);
}

/* ---- images a state names ---- */

static bool read_uid(const struct web_call *call, hilum_object *object, const char *path,
                     char out[UID])
{
    const char *value = call->web->host->objects->text(object, path);
    snprintf(out, UID, "%s", value != NULL ? value : "");
    return web_is_uid(out);
}

/* Of a blending state the item of this position, 0 or 1; negative: it is none. */
static int blending_item(const struct web_call *call, hilum_object *state, const char *position)
{
    char path[PATH];
    for (int k = 0; k < 2; k++) {
        snprintf(path, sizeof path, "BlendingSequence[%d].BlendingPosition", k);
        const char *value = call->web->host->objects->text(state, path);
        if (value != NULL && strcmp(value, position) == 0)
            return k;
    }
    return -1;
}

/* Where the state names no study it is that of the request. The tag is thrown away: the
 * state's own object is in the answer's. */
static hilum_rc open_named(const struct web_call *call, const char *study, const char *series,
                           const char *instance, hilum_object **out)
{
    struct web_call other = *call;
    struct web_tag tag = {0};
    if (study != NULL && web_is_uid(study))
        other.uids[0] = study;
    other.uids[1] = series;
    other.uids[2] = instance;
    return web_open_one(&other, out, &tag);
}

struct named {
    char study[UID], series[UID], image[UID];
};

/* The k-th image of the first series below an item ("", "BlendingSequence[0]."); false: fewer are named. */
static bool image_named(const struct web_call *call, hilum_object *state, const char *item,
                        unsigned k, struct named *out)
{
    char path[PATH];
    snprintf(path, sizeof path, "%sStudyInstanceUID", item);
    read_uid(call, state, path, out->study);
    snprintf(path, sizeof path, "%sReferencedSeriesSequence[0].SeriesInstanceUID", item);
    if (!read_uid(call, state, path, out->series))
        return false;
    snprintf(path, sizeof path,
             "%sReferencedSeriesSequence[0].ReferencedImageSequence[%u].ReferencedSOPInstanceUID",
             item, k);
    return read_uid(call, state, path, out->image);
}

/* The first image a state is made for: of two that are blended the lower one. */
static hilum_rc open_first(const struct web_call *call, hilum_object *state, hilum_object **out)
{
    char item[32] = "";
    struct named named;
    int under = blending_item(call, state, "UNDERLYING");
    if (under >= 0)
        snprintf(item, sizeof item, "BlendingSequence[%d].", under);
    if (!image_named(call, state, item, 0, &named))
        return call->web->host->fail(call->web->self, HILUM_ENOTFOUND,
                                     "the presentation state names no image");
    return open_named(call, named.study, named.series, named.image, out);
}

/* ---- which image lies on which ---- */

static bool numbers(const struct web_call *call, hilum_object *object, const char *name,
                    double *out, int n)
{
    const char *p = call->web->host->objects->text(object, name);
    for (int k = 0; k < n; k++) {
        char *end = NULL;
        if (p == NULL)
            return false;
        out[k] = strtod(p, &end);
        if (end == p || !isfinite(out[k]))
            return false;
        p = *end == '\\' ? end + 1 : NULL;
    }
    return true;
}

/* Millimetres between the planes of two images; 0 where one has no place. Along the normal of
 * a's plane (PS3.3 C.7.6.2.1.1): the cross product of its row and column, which are unit
 * vectors. */
static double distance(const struct web_call *call, hilum_object *a, hilum_object *b)
{
    double o[6], from[3], to[3];
    if (!numbers(call, a, "ImageOrientationPatient", o, 6) ||
        !numbers(call, a, "ImagePositionPatient", from, 3) ||
        !numbers(call, b, "ImagePositionPatient", to, 3))
        return 0;
    return fabs((o[1] * o[5] - o[2] * o[4]) * (to[0] - from[0]) +
                (o[2] * o[3] - o[0] * o[5]) * (to[1] - from[1]) +
                (o[0] * o[4] - o[1] * o[3]) * (to[2] - from[2]));
}

/* Of the images that are laid over others the nearest one to this. NULL: the state blends
 * none, or they are not here. The first of equals; what cannot be opened counts as infinitely
 * far. At most two are open at once. */
static hilum_object *open_over(const struct web_call *call, hilum_object *state,
                               hilum_object *image)
{
    const struct hilum_object_api *objects = call->web->host->objects;
    hilum_object *best = NULL;
    struct named named;
    char item[32];
    double least = INFINITY;
    int over = blending_item(call, state, "SUPERIMPOSED");
    snprintf(item, sizeof item, "BlendingSequence[%d].", over);
    for (unsigned k = 0; over >= 0 && k < NAMED_MAX && image_named(call, state, item, k, &named);
         k++) {
        hilum_object *next = NULL;
        hilum_rc rc = open_named(call, named.study, named.series, named.image, &next);
        double far = rc == HILUM_OK ? distance(call, image, next) : INFINITY;
        if (far < least) {
            hilum_object *held = best;
            best = next;
            next = held;
            least = far;
        }
        objects->close(next);
    }
    return best;
}

/* ---- two sources as one: slices of the first, of the second, then the states of the first ---- */

/* table first: a renderer is given its address. a and b outlive it. */
struct both {
    struct hilum_source table;
    const struct hilum_source *a, *b;
};

/* *of: the number within the source. States are numbered behind the slices, hence those of a
 * move up by the slices of b. */
static const struct hilum_source *source_of(const struct both *both, uint32_t i, uint32_t *of)
{
    uint32_t n = both->a->n_slices;
    bool is_second = i >= n && i - n < both->b->n_slices;
    *of = i < n ? i : is_second ? i - n : i - both->b->n_slices;
    return is_second ? both->b : both->a;
}

static hilum_rc both_describe(void *ctx, uint32_t i, struct hilum_slice *out)
{
    uint32_t of;
    const struct hilum_source *source = source_of(ctx, i, &of);
    return source->describe(source->ctx, of, out);
}

static hilum_rc both_read(void *ctx, uint32_t i, void *dst, uint64_t n)
{
    uint32_t of;
    const struct hilum_source *source = source_of(ctx, i, &of);
    return source->read(source->ctx, of, dst, n);
}

static const char *both_text(void *ctx, uint32_t i, const char *path)
{
    uint32_t of;
    const struct hilum_source *source = source_of(ctx, i, &of);
    return source->text(source->ctx, of, path);
}

static hilum_rc both_bytes(void *ctx, uint32_t i, const char *path, const void **bytes, uint64_t *n)
{
    uint32_t of;
    const struct hilum_source *source = source_of(ctx, i, &of);
    return source->bytes(source->ctx, of, path, bytes, n);
}

static uint64_t both_items(void *ctx, uint32_t i, const char *path)
{
    uint32_t of;
    const struct hilum_source *source = source_of(ctx, i, &of);
    return source->items(source->ctx, of, path);
}

/* Frames are chosen among those of the first. read_reduced would tell sizes of one source for
 * the other: without it the renderer reads whole slices. The second source lives as long as
 * `over` is open. */
static hilum_rc draw_both(const struct web_call *call, const struct hilum_source *source,
                          hilum_object *over, const struct web_view *view, uint64_t frame,
                          struct web_picture *out)
{
    const struct hilum_source *second = NULL;
    struct both both = {.table = *source, .a = source};
    hilum_rc rc = call->web->host->objects->source(over, NULL, &second);
    if (rc != HILUM_OK)
        return rc;
    if (frame > source->n_slices)
        return call->web->host->fail(call->web->self, HILUM_ENOTFOUND,
                                     "the instance has fewer frames");
    both.b = second;
    both.table.n_slices = source->n_slices + second->n_slices;
    both.table.describe = both_describe;
    both.table.read = both_read;
    both.table.text = both_text;
    both.table.bytes = both_bytes;
    both.table.items = both_items;
    both.table.read_reduced = NULL;
    both.table.ctx = &both;
    return web_picture_draw_source(call->web, &both.table, view,
                                   frame > 0 ? frame : web_representative(source) + 1, out);
}

/* ---- the picture ---- */

static hilum_rc draw_state(const struct web_call *call, hilum_object *image, hilum_object *state,
                           const struct web_view *view, uint64_t frame, struct web_picture *out)
{
    const struct hilum_object_api *objects = call->web->host->objects;
    const struct hilum_source *source = NULL;
    hilum_object *over = state != NULL ? open_over(call, state, image) : NULL;
    hilum_rc rc = objects->source(image, state, &source);
    if (rc == HILUM_OK)
        rc = over != NULL ? draw_both(call, source, over, view, frame, out)
                          : web_picture_draw_source(call->web, source, view, frame, out);
    objects->close(over);
    return rc;
}

/* A video is drawn by ffmpeg and knows no states. */
hilum_rc web_picture_draw(const struct web_call *call, hilum_object *object,
                          const struct web_view *view, uint64_t frame, struct web_picture *out)
{
    const struct hilum_object_api *objects = call->web->host->objects;
    hilum_object *image = NULL, *state = NULL;
    hilum_rc rc = HILUM_OK;
    if (web_is_video(call->web, object))
        return web_video_still(call->web, object, view, out);
    if (view->state != NULL)
        rc = open_named(call, NULL, view->state_series, view->state, &state);
    else if (is_state(call->web, object))
        rc = open_first(call, object, &image);
    if (rc == HILUM_OK)
        rc = draw_state(call, image != NULL ? image : object, image != NULL ? object : state, view,
                        frame, out);
    objects->close(image);
    objects->close(state);
    return rc;
}
