/* States that blend (PS3.3 A.33.4, A.33.7): from each of their inputs the image that lies nearest to the one that is shown,
 * and all of them as one source of slices, each where its registration puts it.
 *
 * A renderer knows a source of slices only, so `many` looks like one: slices of the image itself,
 * then those of the others, then the states as the first has them. Images are looked at one
 * after the other: of each input at most two are open at once, and one in the end.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "blended.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "registration.h"

/* OPENED_MAX: images of all inputs are opened one by one to find the nearest, which takes a millisecond or two each. FEW are
 * all looked at. NAMED_MAX: in a list of the state, which costs no more than a look. */
enum { OPENED_MAX = 1000, FEW = 64, NAMED_MAX = 10000, INPUTS_MAX = 16, PATH = 200 };
#define ADVANCED "AdvancedBlendingSequence"

/* One of a state's sets of images. */
struct input {
    char item[64];   /* "AdvancedBlendingSequence[0]." */
    char images[96]; /* below which its images are listed */
    char registration[64];
    char study[WEB_UID], series[WEB_UID];
    bool is_listed; /* images are; else all of the series are meant */
    bool is_below;  /* it has the geometry of what is shown */
};

static bool has_value(const struct web_call *call, hilum_object *object, const char *item,
                      const char *name, const char *wanted)
{
    char path[PATH];
    snprintf(path, sizeof path, "%s%s", item, name);
    const char *value = call->web->host->objects->text(object, path);
    return value != NULL && strcmp(value, wanted) == 0;
}

/* The k-th image of a list; false: fewer are named. */
static bool image_named(const struct web_call *call, hilum_object *state, const struct input *input,
                        unsigned k, char out[WEB_UID])
{
    char path[PATH];
    snprintf(path, sizeof path, "%sReferencedImageSequence[%u].ReferencedSOPInstanceUID",
             input->images, k);
    return web_state_uid(call, state, path, out);
}

static bool read_input(const struct web_call *call, hilum_object *state, bool is_advanced,
                       unsigned k, struct input *out)
{
    char path[PATH], first[WEB_UID];
    *out = (struct input){.is_listed = false};
    if (is_advanced) {
        snprintf(out->item, sizeof out->item, ADVANCED "[%u].", k);
        snprintf(out->images, sizeof out->images, "%s", out->item);
        snprintf(out->registration, sizeof out->registration, "%s", out->item);
        out->is_below = has_value(call, state, out->item, "GeometryForDisplay", "TRUE");
    } else {
        snprintf(out->item, sizeof out->item, "BlendingSequence[%u].", k);
        snprintf(out->images, sizeof out->images, "%sReferencedSeriesSequence[0].", out->item);
        out->is_below = has_value(call, state, out->item, "BlendingPosition", "UNDERLYING");
    }
    snprintf(path, sizeof path, "%sStudyInstanceUID", out->item);
    web_state_uid(call, state, path, out->study);
    snprintf(path, sizeof path, "%sSeriesInstanceUID", out->images);
    out->is_listed = image_named(call, state, out, 0, first);
    return web_state_uid(call, state, path, out->series);
}

/* How many; 0: the state blends nothing. */
static unsigned read_inputs(const struct web_call *call, hilum_object *state,
                            struct input out[INPUTS_MAX])
{
    unsigned n = 0;
    while (n < INPUTS_MAX && read_input(call, state, true, n, &out[n]))
        n++;
    if (n > 0)
        return n;
    while (n < 2 && read_input(call, state, false, n, &out[n]))
        n++;
    return n;
}

bool web_blends(const struct web_call *call, hilum_object *state)
{
    struct input input;
    return read_input(call, state, true, 0, &input) || read_input(call, state, false, 0, &input);
}

/* ---- an input's images, one after the other ---- */

struct images {
    const struct web_call *call;
    hilum_object *state;
    const struct input *input;
    struct web_list *list; /* NULL where they are listed in the state */
};

/* Free with images_fini in every case. */
static hilum_rc images_begin(const struct web_call *call, hilum_object *state,
                             const struct input *input, struct images *out)
{
    struct web_call series = *call;
    *out = (struct images){.call = call, .state = state, .input = input};
    if (input->is_listed)
        return HILUM_OK;
    out->list = calloc(1, sizeof *out->list);
    if (out->list == NULL)
        return HILUM_ENOMEM;
    if (web_is_uid(input->study))
        series.uids[0] = input->study;
    series.uids[1] = input->series;
    series.uids[2] = NULL;
    return web_list_make(&series, out->list);
}

static void images_fini(struct images *images)
{
    if (images->list != NULL)
        web_list_fini(images->list);
    free(images->list);
}

/* How many there are, of a list no more than are looked for. */
static size_t images_count(const struct images *images)
{
    char image[WEB_UID];
    unsigned n = 0;
    if (images->list != NULL)
        return images->list->n;
    while (n < NAMED_MAX && image_named(images->call, images->state, images->input, n, image))
        n++;
    return n;
}

/* HILUM_ENOTFOUND: there are fewer, or this one is not here. */
static hilum_rc images_open(const struct images *images, unsigned k, hilum_object **out)
{
    const struct web_call *call = images->call;
    const struct web *web = call->web;
    char image[WEB_UID];
    *out = NULL;
    if (images->list != NULL ? k >= images->list->n
                             : !image_named(call, images->state, images->input, k, image))
        return HILUM_ENOTFOUND;
    if (images->list == NULL)
        return web_state_open(call, images->input->study, images->input->series, image, out);
    hilum_rc rc =
        web->host->objects->open(web->self, call->api->request(call->http)->who,
                                 images->list->items[k].instance, images->list->as_of, out);
    if (rc == HILUM_OK)
        web_for_client(call, *out);
    return rc;
}

static bool has_image(const struct web_call *call, hilum_object *state, const struct input *input,
                      hilum_object *image)
{
    struct hilum_object_names names = {.size = sizeof names};
    char named[WEB_UID];
    if (call->web->host->objects->names(image, &names) != HILUM_OK)
        return false;
    if (!input->is_listed)
        return strcmp(names.series_uid, input->series) == 0;
    for (unsigned k = 0; k < NAMED_MAX && image_named(call, state, input, k, named); k++)
        if (strcmp(named, names.sop_instance) == 0)
            return true;
    return false;
}

/* Of the input that has the geometry of what is shown, of the first where none says so: the first
 * image of a list, the one in the middle of a series. */
hilum_rc web_blend_first(const struct web_call *call, hilum_object *state, hilum_object **out)
{
    struct input inputs[INPUTS_MAX];
    struct images images;
    unsigned n = read_inputs(call, state, inputs), below = 0;
    if (n == 0)
        return HILUM_ENOTFOUND;
    for (unsigned k = n; k-- > 0;)
        below = inputs[k].is_below ? k : below;
    hilum_rc rc = images_begin(call, state, &inputs[below], &images);
    if (rc == HILUM_OK)
        rc = images_open(&images, images.list != NULL ? (unsigned)(images.list->n / 2) : 0, out);
    images_fini(&images);
    return rc;
}

/* ---- the nearest of them ---- */

/* An image of an input that is drawn with others. registration and object are ours, unless it is the image itself. */
struct part {
    hilum_object *object;
    hilum_object *registration; /* NULL: none is named */
    struct web_registered *registered;
    struct web_registration place;
    const struct hilum_source *source;
};

/* Into part->registration and part->registered; given back with close_registration() in every case. */
static hilum_rc open_registration(const struct web_call *call, hilum_object *state,
                                  const struct input *input, struct part *part)
{
    const struct web *web = call->web;
    char path[PATH], study[WEB_UID], series[WEB_UID], instance[WEB_UID];
    snprintf(path, sizeof path, "%sReferencedSpatialRegistrationSequence[0].StudyInstanceUID",
             input->registration);
    web_state_uid(call, state, path, study);
    snprintf(path, sizeof path,
             "%sReferencedSpatialRegistrationSequence[0].ReferencedSeriesSequence[0]."
             "SeriesInstanceUID",
             input->registration);
    if (!web_state_uid(call, state, path, series))
        return HILUM_OK;
    snprintf(path, sizeof path,
             "%sReferencedSpatialRegistrationSequence[0].ReferencedSeriesSequence[0]."
             "ReferencedSOPSequence[0].ReferencedSOPInstanceUID",
             input->registration);
    if (web_state_uid(call, state, path, instance) &&
        web_state_open(call, study, series, instance, &part->registration) == HILUM_OK)
        return web_registered_read(call, part->registration, &part->registered);
    return web->host->fail(
        web->self, HILUM_EUNSUP,
        "the registration that the state refers to (0070,0404) is not here: where "
        "its images lie is not known");
}

static void close_registration(const struct web_call *call, struct part *part)
{
    web_registered_free(part->registered);
    call->web->host->objects->close(part->registration);
    part->registered = NULL;
    part->registration = NULL;
}

/* Place and directions where the registration puts them; false: it has none. */
static bool read_plane(const struct web_call *call, hilum_object *object,
                       const struct web_registration *place, struct hilum_slice *out)
{
    *out = (struct hilum_slice){.size = sizeof *out};
    out->has_position = web_numbers(call, object, "ImageOrientationPatient", out->orientation, 6) &&
                        web_numbers(call, object, "ImagePositionPatient", out->position, 3);
    web_registration_apply(place, out);
    return out->has_position;
}

/* Millimetres from a to b along the normal of a (PS3.3 C.7.6.2.1.1), negative on its other side: the cross product of its row
 * and column, which are unit vectors. */
static double distance(const struct hilum_slice *a, const struct hilum_slice *b)
{
    const double *o = a->orientation, *from = a->position, *to = b->position;
    return (o[1] * o[5] - o[2] * o[4]) * (to[0] - from[0]) +
           (o[2] * o[3] - o[0] * o[5]) * (to[1] - from[1]) +
           (o[0] * o[4] - o[1] * o[3]) * (to[2] - from[2]);
}

static const char too_many[] =
    "the inputs of the state have more than 1000 images that are not in the order of their places: "
    "Referenced Image Sequence (0008,1140) can name those that are meant";

/* A search for the image that lies nearest. */
struct search {
    const struct images *images;
    const struct hilum_slice *shown; /* what it is to be near to */
    struct part *part;               /* the best so far */
    unsigned *n_opened;              /* for all inputs */
    double least, far;               /* of the best; of the one looked at last, signed */
    size_t at;                       /* the best's number */
};

/* Looks at the k-th image. What cannot be opened is passed over: the renderer says so if none is left. */
static hilum_rc look_at(struct search *s, size_t k)
{
    const struct web_call *call = s->images->call;
    struct hilum_slice plane;
    struct web_registration place;
    hilum_object *next = NULL;
    s->far = NAN;
    if ((*s->n_opened)++ == OPENED_MAX)
        return call->web->host->fail(call->web->self, HILUM_EUNSUP, too_many);
    hilum_rc rc = call->api->go_on(call->http);
    if (rc != HILUM_OK)
        return rc;
    if (images_open(s->images, (unsigned)k, &next) != HILUM_OK)
        return HILUM_OK;
    rc = web_registration_read(call, s->part->registered, next, &place);
    s->far = 0;
    if (rc == HILUM_OK && s->shown->has_position && read_plane(call, next, &place, &plane))
        s->far = distance(s->shown, &plane);
    if (rc == HILUM_OK && fabs(s->far) < s->least) {
        hilum_object *held = s->part->object;
        s->part->object = next;
        s->part->place = place;
        next = held;
        s->least = fabs(s->far);
        s->at = k;
    }
    call->web->host->objects->close(next);
    return rc;
}

/* Every step-th: does each lie further on than the one before, in the same direction? */
static hilum_rc look_over(struct search *s, size_t n, size_t step, bool *is_ordered)
{
    double last = NAN, way = 0;
    hilum_rc rc = HILUM_OK;
    *is_ordered = true;
    for (size_t k = 0; rc == HILUM_OK && *is_ordered && k < n; k += step) {
        rc = look_at(s, k);
        double on = s->far - last;
        if (k > 0)
            *is_ordered = on * way > 0 || (way == 0 && on != 0 && !isnan(on));
        way = k > 0 ? on : 0;
        last = s->far;
    }
    return rc;
}

/* Around the best, ever closer. */
static hilum_rc look_closer(struct search *s, size_t n, size_t step)
{
    hilum_rc rc = HILUM_OK;
    while (rc == HILUM_OK && step > 1 && s->least > 0) {
        size_t next = (step + 7) / 8, from = s->at > step ? s->at - step : 0;
        size_t to = s->at + step < n ? s->at + step : n;
        for (size_t k = from; rc == HILUM_OK && k < to; k += next)
            rc = look_at(s, k);
        step = next;
    }
    return rc;
}

/* Each of a few, or of those that are in no order; of many that lie one behind the other as they are
 * numbered some, and then those around the nearest. The first of equals; without a place 0 counts. */
static hilum_rc find_nearest(const struct web_call *call, hilum_object *state,
                             const struct input *input, const struct hilum_slice *shown,
                             unsigned *n_opened, struct part *out)
{
    struct images images;
    struct search search = {
        .images = &images, .shown = shown, .part = out, .n_opened = n_opened, .least = INFINITY};
    bool is_ordered = false;
    hilum_rc rc = images_begin(call, state, input, &images);
    size_t n = rc == HILUM_OK ? images_count(&images) : 0, step = (n + FEW / 2 - 1) / (FEW / 2);
    if (rc == HILUM_ENOTFOUND) /* none of the series is here */
        rc = HILUM_OK;
    if (n > FEW)
        rc = look_over(&search, n, step, &is_ordered);
    if (rc == HILUM_OK && is_ordered)
        rc = look_closer(&search, n, step);
    for (size_t k = 0; rc == HILUM_OK && !is_ordered && k < n; k++)
        rc = look_at(&search, k);
    images_fini(&images);
    return rc;
}

/* ---- sources as one ---- */

/* table first: a renderer is given its address. What the parts are of outlives it. */
struct many {
    struct hilum_source table;
    unsigned n_opened;                 /* images, in search of the nearest */
    struct part parts[INPUTS_MAX + 1]; /* the first is the image itself */
    unsigned n;
};

/* The part of slice i, *of its number there; states are numbered behind all slices and are the first part's. */
static const struct part *part_of(const struct many *many, uint32_t i, uint32_t *of)
{
    *of = i;
    for (unsigned k = 0; k < many->n; k++) {
        uint32_t n = many->parts[k].source->n_slices;
        if (*of < n)
            return &many->parts[k];
        *of -= n;
    }
    *of += many->parts[0].source->n_slices;
    return &many->parts[0];
}

static hilum_rc many_describe(void *ctx, uint32_t i, struct hilum_slice *out)
{
    uint32_t of;
    const struct part *part = part_of(ctx, i, &of);
    hilum_rc rc = part->source->describe(part->source->ctx, of, out);
    if (rc == HILUM_OK)
        web_registration_apply(&part->place, out);
    return rc;
}

static hilum_rc many_read(void *ctx, uint32_t i, void *dst, uint64_t n)
{
    uint32_t of;
    const struct part *part = part_of(ctx, i, &of);
    return part->source->read(part->source->ctx, of, dst, n);
}

static hilum_rc many_lend(void *ctx, uint32_t i, const void **pixels, uint64_t n)
{
    uint32_t of;
    const struct part *part = part_of(ctx, i, &of);
    return part->source->lend(part->source->ctx, of, pixels, n);
}

static hilum_rc many_go_on(void *ctx)
{
    const struct hilum_source *first = ((const struct many *)ctx)->parts[0].source;
    return first->go_on(first->ctx);
}

/* What is registered is in the frame of reference that it is registered to. */
static const char *many_text(void *ctx, uint32_t i, const char *path)
{
    const struct many *many = ctx;
    uint32_t of;
    const struct part *part = part_of(many, i, &of);
    if (i < many->table.n_slices && part->place.reference[0] != '\0' &&
        strcmp(path, "FrameOfReferenceUID") == 0)
        return part->place.reference;
    return part->source->text(part->source->ctx, of, path);
}

static hilum_rc many_bytes(void *ctx, uint32_t i, const char *path, const void **bytes, uint64_t *n)
{
    uint32_t of;
    const struct part *part = part_of(ctx, i, &of);
    return part->source->bytes(part->source->ctx, of, path, bytes, n);
}

static uint64_t many_items(void *ctx, uint32_t i, const char *path)
{
    uint32_t of;
    const struct part *part = part_of(ctx, i, &of);
    return part->source->items(part->source->ctx, of, path);
}

/* read_reduced would tell sizes of one source for another: without it the renderer reads whole slices. */
static hilum_rc many_join(const struct web *web, struct many *many)
{
    uint64_t slices = 0;
    for (unsigned k = 0; k < many->n; k++)
        slices += many->parts[k].source->n_slices;
    if (slices > UINT32_MAX - 2)
        return web->host->fail(web->self, HILUM_EUNSUP, "too many frames");
    many->table = *many->parts[0].source;
    many->table.n_slices = (uint32_t)slices;
    many->table.describe = many_describe;
    many->table.read = many_read;
    many->table.text = many_text;
    many->table.bytes = many_bytes;
    many->table.items = many_items;
    many->table.read_reduced = NULL;
    many->table.lend = many_lend;
    many->table.go_on = many_go_on;
    many->table.ctx = many;
    return HILUM_OK;
}

/* ---- drawn ---- */

/* Adds the input's image, unless that is the one that is shown: then where that lies. */
static hilum_rc add_input(const struct web_call *call, hilum_object *state,
                          const struct input *input, const struct hilum_slice *shown,
                          struct many *many)
{
    const struct hilum_object_api *objects = call->web->host->objects;
    if (has_image(call, state, input, many->parts[0].object))
        return HILUM_OK;
    struct part *part = &many->parts[many->n];
    *part = (struct part){.object = NULL};
    hilum_rc rc = open_registration(call, state, input, part);
    if (rc == HILUM_OK)
        rc = find_nearest(call, state, input, shown, &many->n_opened, part);
    if (rc == HILUM_OK && part->object != NULL)
        rc = objects->source(part->object, NULL, &part->source);
    close_registration(call, part);
    if (rc == HILUM_OK && part->object != NULL)
        many->n++;
    else
        objects->close(part->object);
    return rc;
}

/* Where the image itself lies: as the first of the inputs that it is of says. */
static hilum_rc place_shown(const struct web_call *call, hilum_object *state,
                            const struct input *inputs, unsigned n, struct part *part)
{
    unsigned k = 0;
    while (k < n && !has_image(call, state, &inputs[k], part->object))
        k++;
    hilum_rc rc = k < n ? open_registration(call, state, &inputs[k], part) : HILUM_OK;
    if (rc == HILUM_OK)
        rc = web_registration_read(call, part->registered, part->object, &part->place);
    close_registration(call, part);
    return rc;
}

/* What a renderer holds beside the picture itself, at most. One of the others at a time: its frame, another where it is
 * decoded, and of each pixel two bytes of shade, three of colour, one that says whether it is there. And of each step of an
 * advanced state that others are made for, a layer or two of the picture's size with their sums. */
static uint64_t bytes_laid(const struct many *many)
{
    enum { OF_INPUT = 6, OF_STEP = 14, DEEP_MAX = 6 };
    const struct hilum_source *all = &many->table;
    uint64_t largest = 0, shown = 0;
    for (unsigned k = 0; k < many->n; k++) {
        const struct hilum_source *source = many->parts[k].source;
        struct hilum_slice slice = {.size = sizeof slice};
        if (source->describe(source->ctx, 0, &slice) != HILUM_OK)
            continue;
        uint64_t pixels = (uint64_t)slice.frame->columns * slice.frame->rows;
        uint64_t bytes = 2 * hilum_frame_bytes(slice.frame) + OF_INPUT * pixels;
        shown = k == 0 ? pixels : shown;
        largest = bytes > largest ? bytes : largest;
    }
    uint64_t steps = all->items(all->ctx, all->n_slices, "BlendingDisplaySequence");
    return largest + OF_STEP * shown * (steps < DEEP_MAX ? steps : DEEP_MAX);
}

static hilum_rc draw_many(const struct web_call *call, struct many *many,
                          const struct web_view *view, uint64_t frame, struct web_picture *out)
{
    const struct hilum_source *first = many->parts[0].source;
    if (frame > first->n_slices)
        return call->web->host->fail(call->web->self, HILUM_ENOTFOUND,
                                     "the instance has fewer frames");
    hilum_rc rc = many_join(call->web, many);
    if (rc != HILUM_OK)
        return rc;
    return web_picture_draw_source(call->web, &many->table, view,
                                   frame > 0 ? frame : web_representative(first) + 1,
                                   bytes_laid(many), out);
}

hilum_rc web_blend_draw(const struct web_call *call, hilum_object *image, hilum_object *state,
                        const struct web_view *view, uint64_t frame, struct web_picture *out)
{
    const struct hilum_object_api *objects = call->web->host->objects;
    struct input inputs[INPUTS_MAX];
    struct hilum_slice shown;
    struct many many = {.n = 1, .parts = {{.object = image}}};
    unsigned n = read_inputs(call, state, inputs);
    hilum_rc rc = place_shown(call, state, inputs, n, &many.parts[0]);
    if (rc == HILUM_OK)
        rc = objects->source(image, state, &many.parts[0].source);
    if (rc == HILUM_OK)
        read_plane(call, image, &many.parts[0].place, &shown);
    for (unsigned k = 0; rc == HILUM_OK && k < n; k++)
        rc = add_input(call, state, &inputs[k], &shown, &many);
    if (rc == HILUM_OK)
        rc = draw_many(call, &many, view, frame, out);
    for (unsigned k = 1; k < many.n; k++)
        objects->close(many.parts[k].object);
    return rc;
}
