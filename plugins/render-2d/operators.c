/* Operators by name (hilum/operator.h), from whichever plugin provides them: those of two inputs work on stored samples,
 * the others on the picture.
 *
 * An operator is foreign code: what it says it will give (plan) is bounded before anything is
 * allocated, and what it gives is checked against that.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "render.h"

#include "hilum/operator.h"

#include <stdio.h>
#include <stdlib.h>

/* cap is what is given back; table is the same, as what it is. */
struct applied {
    const struct hilum_operator *table;
    const struct hilum_cap *cap;
    void *instance;
};

/* Acquired for the call and given back: an operator may be swapped between two renderings. */
static hilum_rc take(const struct scene *scene, const struct wanted_operator *wanted,
                     struct applied *out)
{
    const struct render *render = scene->render;
    hilum_rc rc = render->host->acquire(render->self, HILUM_CAP_OPERATOR, wanted->name, &out->cap,
                                        &out->instance);
    if (rc == HILUM_ENOTFOUND)
        return render_fail(render, HILUM_EINVAL, "no operator is called %s", wanted->name);
    out->table = (const struct hilum_operator *)(const void *)out->cap;
    return rc;
}

/* Applies it to n images, all of the same kind as the first. Allocates *pixels. */
static hilum_rc apply(const struct scene *scene, const struct wanted_operator *wanted,
                      const struct applied *op, const struct hilum_image *images, uint32_t n,
                      struct hilum_frame *frame, uint8_t **pixels)
{
    *frame = (struct hilum_frame){.size = sizeof *frame};
    *pixels = NULL;
    hilum_rc rc = op->table->plan(op->instance, wanted->parameters, images[0].frame, frame);
    uint64_t size = rc == HILUM_OK ? hilum_frame_bytes(frame) : 0;
    if (rc == HILUM_OK && (size == 0 || size > (uint64_t)1 << 31))
        return render_fail(scene->render, HILUM_EUNSUP, "%s: an impossible picture", wanted->name);
    if (rc != HILUM_OK)
        return rc;
    *pixels = malloc((size_t)size);
    if (*pixels == NULL)
        return render_fail(scene->render, HILUM_ENOMEM, "no memory for %s", wanted->name);
    rc = op->table->apply(op->instance, wanted->parameters, images, n, *pixels, size);
    if (rc != HILUM_OK) {
        free(*pixels);
        *pixels = NULL;
    }
    return rc;
}

typedef hilum_rc run_function(const struct scene *scene, const struct wanted_operator *wanted,
                              const struct applied *op, void *target);

/* In the order they were asked for, those that take so many images. */
static hilum_rc run_those_of(const struct scene *scene, const struct request *request,
                             uint32_t n_inputs, run_function *run, void *target)
{
    hilum_rc rc = HILUM_OK;
    for (uint32_t i = 0; rc == HILUM_OK && i < request->n_operators; i++) {
        struct applied op;
        rc = scene_go_on(scene);
        if (rc == HILUM_OK)
            rc = take(scene, &request->operators[i], &op);
        if (rc != HILUM_OK)
            return rc;
        if (op.table->n_inputs == n_inputs)
            rc = run(scene, &request->operators[i], &op, target);
        scene->render->host->unpin(scene->render->self, op.cap);
    }
    return rc;
}

/* ---- on stored samples ---- */

/* The mask is another frame of the same object, as in angiography (PS3.3 C.7.6.10). */
static hilum_rc subtract(const struct scene *scene, const struct wanted_operator *wanted,
                         const struct applied *op, void *target)
{
    struct samples *samples = target;
    uint32_t mask = wanted->mask != UINT32_MAX ? wanted->mask : 0;
    struct hilum_frame frame;
    uint8_t *other = malloc((size_t)samples->n), *pixels = NULL;
    if (other == NULL)
        return render_fail(scene->render, HILUM_ENOMEM, "no memory for a mask");
    hilum_rc rc = mask < scene->source->n_slices
                      ? scene->source->read(scene->source->ctx, mask, other, samples->n)
                      : render_fail(scene->render, HILUM_EINVAL, "%s: there is no frame %u",
                                    wanted->name, mask + 1);
    const struct hilum_image images[] = {
        {.size = sizeof *images, .frame = &samples->frame, .pixels = samples->pixels},
        {.size = sizeof *images, .frame = &samples->frame, .pixels = other}};
    if (rc == HILUM_OK)
        rc = apply(scene, wanted, op, images, 2, &frame, &pixels);
    free(other);
    if (rc != HILUM_OK)
        return rc;
    samples_replace(samples, pixels, hilum_frame_bytes(&frame));
    samples->frame = frame;
    samples->shift = 0;
    samples->is_difference = true;
    return HILUM_OK;
}

hilum_rc operators_samples(const struct scene *scene, const struct request *request,
                           struct samples *samples)
{
    return run_those_of(scene, request, 2, subtract, samples);
}

/* ---- on the picture ---- */

/* It may make colours of grey, and nothing else of the picture may change, since layout and
 * marks are made for it. */
static hilum_rc filter(const struct scene *scene, const struct wanted_operator *wanted,
                       const struct applied *op, void *target)
{
    struct picture *picture = target;
    const struct hilum_frame in = {.size = sizeof in,
                                   .columns = picture->width,
                                   .rows = picture->height,
                                   .samples = picture->channels,
                                   .bits_allocated = picture->depth,
                                   .bits_stored = picture->depth,
                                   .photometric = picture->channels == 3 ? HILUM_PHOTO_RGB
                                                                         : HILUM_PHOTO_MONOCHROME2};
    const struct hilum_image image = {
        .size = sizeof image, .frame = &in, .pixels = picture->pixels};
    struct hilum_frame out;
    uint8_t *pixels = NULL;
    hilum_rc rc = apply(scene, wanted, op, &image, 1, &out, &pixels);
    if (rc != HILUM_OK)
        return rc;
    if (out.columns != in.columns || out.rows != in.rows || out.is_planar ||
        (out.samples != 1 && out.samples != 3) || out.bits_allocated != in.bits_allocated) {
        free(pixels);
        return render_fail(scene->render, HILUM_EUNSUP, "%s changes the kind of picture",
                           wanted->name);
    }
    picture_fini(picture);
    picture->pixels = pixels;
    picture->channels = out.samples;
    return HILUM_OK;
}

/* A sigma of two pixels, and at full strength as much again as the edge has: PS3.3 C.11.21 leaves both to who draws. */
hilum_rc operators_enhance(const struct scene *scene, double strength, struct picture *picture)
{
    const struct render *render = scene->render;
    char parameters[64];
    struct wanted_operator wanted = {.name = "unsharp", .parameters = parameters};
    struct applied op;
    snprintf(parameters, sizeof parameters, "{\"sigma\":2,\"amount\":%.4f}", strength);
    hilum_rc rc =
        render->host->acquire(render->self, HILUM_CAP_OPERATOR, wanted.name, &op.cap, &op.instance);
    if (rc != HILUM_OK) {
        render->host->log(render->self, HILUM_LOG_WARN,
                          "a state's edge enhancement is left out: no operator is called unsharp");
        return HILUM_OK;
    }
    op.table = (const struct hilum_operator *)(const void *)op.cap;
    rc = filter(scene, &wanted, &op, picture);
    render->host->unpin(render->self, op.cap);
    return rc;
}

hilum_rc operators_picture(const struct scene *scene, const struct request *request,
                           struct picture *picture)
{
    return run_those_of(scene, request, 1, filter, picture);
}
