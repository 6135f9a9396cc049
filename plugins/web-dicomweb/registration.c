/* Where an image lies once a Spatial Registration object has moved it (PS3.3 A.39, C.20.2): matrices only, what bends is
 * refused.
 *
 * Whoever blends sees slices that are in their registered place already, so that no renderer has
 * to know of these objects.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "registration.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* MATRICES_MAX: of one registration, IMAGES_MAX: named in an object. */
enum { MATRICES_MAX = 16, IMAGES_MAX = 20000, PATH = 200 };
#define REGISTRATION "1.2.840.10008.5.1.4.1.1.66.1"
#define DEFORMABLE   "1.2.840.10008.5.1.4.1.1.66.3"

static const char *text(const struct web_call *call, hilum_object *object, const char *path)
{
    const char *value = call->web->host->objects->text(object, path);
    return value != NULL && *value != '\0' ? value : NULL;
}

bool web_numbers(const struct web_call *call, hilum_object *object, const char *path, double *out,
                 int n)
{
    const char *p = call->web->host->objects->text(object, path);
    for (int k = 0; k < n; k++) {
        char *end = NULL;
        if (p == NULL)
            return false;
        out[k] = strtod(p, &end);
        if (end == p || !isfinite(out[k]))
            return false;
        end += strspn(end, " "); /* each may be padded (PS3.5 6.2) */
        p = *end == '\\' ? end + 1 : NULL;
    }
    return true;
}

/* ---- read once ---- */

static hilum_rc check_class(const struct web_call *call, hilum_object *registration)
{
    const struct web *web = call->web;
    struct hilum_object_names names = {.size = sizeof names};
    hilum_rc rc = web->host->objects->names(registration, &names);
    if (rc != HILUM_OK || strcmp(names.sop_class, REGISTRATION) == 0)
        return rc;
    if (strcmp(names.sop_class, DEFORMABLE) == 0)
        return web->host->fail(web->self, HILUM_EUNSUP,
                               "the registration is deformable (0064,0002): images are moved and "
                               "turned here, never bent, so this is not drawn");
    return web->host->fail(web->self, HILUM_EUNSUP,
                           "Referenced Spatial Registration Sequence (0070,0404) names an object "
                           "of another kind");
}

static int by_instance(const void *a, const void *b)
{
    const struct web_registered_image *x = a, *y = b;
    int order = strcmp(x->instance, y->instance);
    return order != 0 ? order : (x->item > y->item) - (x->item < y->item);
}

static hilum_rc add_image(const struct web_call *call, struct web_registered *out,
                          const char *instance, unsigned item)
{
    if (out->n_images == IMAGES_MAX)
        return call->web->host->fail(call->web->self, HILUM_EUNSUP,
                                     "the registration names more than 20000 images: not drawn");
    if (out->n_images == out->room) {
        size_t room = out->room > 0 ? 2 * out->room : 256;
        struct web_registered_image *grown = realloc(out->images, room * sizeof *grown);
        if (grown == NULL)
            return HILUM_ENOMEM;
        out->images = grown;
        out->room = room;
    }
    struct web_registered_image *image = &out->images[out->n_images++];
    snprintf(image->instance, sizeof image->instance, "%s", instance);
    image->item = item;
    return HILUM_OK;
}

/* Item k; *is_end: there is none. */
static hilum_rc read_item(const struct web_call *call, unsigned k, struct web_registered *out,
                          bool *is_end)
{
    char path[PATH];
    hilum_rc rc = HILUM_OK;
    snprintf(path, sizeof path, "RegistrationSequence[%u].FrameOfReferenceUID", k);
    const char *reference = text(call, out->object, path), *named = NULL;
    *is_end = reference == NULL;
    snprintf(out->items[k].reference, sizeof out->items[k].reference, "%s",
             reference != NULL ? reference : "");
    for (unsigned i = 0; rc == HILUM_OK; i++) {
        if (i % 64 == 0 && (rc = call->api->go_on(call->http)) != HILUM_OK)
            return rc;
        snprintf(path, sizeof path,
                 "RegistrationSequence[%u].ReferencedImageSequence[%u].ReferencedSOPInstanceUID", k,
                 i);
        named = text(call, out->object, path);
        if (named == NULL)
            return HILUM_OK;
        *is_end = false;
        out->items[k].has_images = true;
        rc = add_image(call, out, named, k);
    }
    return rc;
}

hilum_rc web_registered_read(const struct web_call *call, hilum_object *registration,
                             struct web_registered **made)
{
    struct web_registered *out = calloc(1, sizeof *out);
    bool is_end = false;
    *made = out;
    if (out == NULL)
        return HILUM_ENOMEM;
    out->object = registration;
    hilum_rc rc = check_class(call, registration);
    const char *to = text(call, registration, "FrameOfReferenceUID");
    snprintf(out->reference, sizeof out->reference, "%s", to != NULL ? to : "");
    while (rc == HILUM_OK && out->n_items < WEB_REGISTERED_MAX && !is_end) {
        rc = read_item(call, out->n_items, out, &is_end);
        out->n_items += !is_end;
    }
    if (out->n_images > 0)
        qsort(out->images, out->n_images, sizeof *out->images, by_instance);
    return rc;
}

void web_registered_free(struct web_registered *registered)
{
    if (registered == NULL)
        return;
    free(registered->images);
    free(registered);
}

/* ---- which item ---- */

/* The first of those that name the image, or are for all of its frame of reference; n_items: none is. */
static unsigned find_item(const struct web_registered *registered, const char *instance,
                          const char *reference)
{
    unsigned found = registered->n_items;
    size_t low = 0, high = registered->n_images;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(registered->images[middle].instance, instance) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < registered->n_images && strcmp(registered->images[low].instance, instance) == 0)
        found = registered->images[low].item;
    for (unsigned k = 0; k < found; k++)
        if (!registered->items[k].has_images && registered->items[k].reference[0] != '\0' &&
            strcmp(registered->items[k].reference, reference) == 0)
            return k;
    return found;
}

/* ---- its matrices ---- */

static void multiply(const double a[12], const double b[12], double out[12])
{
    for (size_t row = 0; row < 3; row++)
        for (size_t column = 0; column < 4; column++) {
            double sum = column == 3 ? a[4 * row + 3] : 0;
            for (size_t k = 0; k < 3; k++)
                sum += a[4 * row + k] * b[4 * k + column];
            out[4 * row + column] = sum;
        }
}

/* Do its axes stay at right angles, and is there anything left of them? Turned, mirrored or larger images are images; a
 * sheared one would need a volume. */
static bool keeps_angles(const double m[12])
{
    for (size_t a = 0; a < 3; a++)
        for (size_t b = a; b < 3; b++) {
            double dot = 0, of_a = 0, of_b = 0;
            for (size_t row = 0; row < 3; row++) {
                dot += m[4 * row + a] * m[4 * row + b];
                of_a += m[4 * row + a] * m[4 * row + a];
                of_b += m[4 * row + b] * m[4 * row + b];
            }
            if (!(of_a > 1e-12) || (a != b && fabs(dot) > 0.001 * sqrt(of_a * of_b)))
                return false;
        }
    return true;
}

/* In the order of multiplication: the last item is applied first (C.20.2.1.1). */
static hilum_rc read_matrices(const struct web_call *call, hilum_object *registration, unsigned k,
                              double out[12])
{
    const struct web *web = call->web;
    char path[PATH];
    double read[16], product[12];
    unsigned n = 0;
    for (; n < MATRICES_MAX; n++) {
        snprintf(path, sizeof path,
                 "RegistrationSequence[%u].MatrixRegistrationSequence[0].MatrixSequence[%u]."
                 "FrameOfReferenceTransformationMatrix",
                 k, n);
        if (text(call, registration, path) == NULL)
            break;
        if (!web_numbers(call, registration, path, read, 16) || fabs(read[12]) > 1e-6 ||
            fabs(read[13]) > 1e-6 || fabs(read[14]) > 1e-6 || fabs(read[15] - 1) > 1e-6)
            return web->host->fail(web->self, HILUM_EINVAL,
                                   "registration: Frame of Reference Transformation Matrix "
                                   "(3006,00C6) is no 16 numbers that end with 0, 0, 0, 1");
        multiply(out, read, product);
        memcpy(out, product, sizeof product);
    }
    if (n == 0)
        return web->host->fail(web->self, HILUM_EINVAL,
                               "registration: an item without Frame of Reference Transformation "
                               "Matrix (3006,00C6)");
    return keeps_angles(out)
               ? HILUM_OK
               : web->host->fail(web->self, HILUM_EUNSUP,
                                 "registration: Frame of Reference Transformation Matrix "
                                 "(3006,00C6) shears or flattens: not drawn");
}

hilum_rc web_registration_read(const struct web_call *call, const struct web_registered *registered,
                               hilum_object *image, struct web_registration *out)
{
    const struct web *web = call->web;
    struct hilum_object_names names = {.size = sizeof names};
    char reference[65] = "";
    *out = (struct web_registration){.matrix = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0}};
    if (registered == NULL)
        return HILUM_OK;
    hilum_rc rc = web->host->objects->names(image, &names);
    if (rc != HILUM_OK)
        return rc;
    const char *of_image = text(call, image, "FrameOfReferenceUID");
    snprintf(reference, sizeof reference, "%s", of_image != NULL ? of_image : "");
    snprintf(out->reference, sizeof out->reference, "%s", registered->reference);
    unsigned item = find_item(registered, names.sop_instance, reference);
    if (item < registered->n_items)
        return read_matrices(call, registered->object, item, out->matrix);
    if (reference[0] == '\0' || strcmp(reference, out->reference) != 0)
        out->reference[0] = '\0';
    return HILUM_OK;
}

/* ---- applied ---- */

static void turn(const double m[12], const double axis[3], double step, double out[3],
                 double *out_step)
{
    double length = 0;
    for (size_t row = 0; row < 3; row++) {
        out[row] =
            step * (m[4 * row] * axis[0] + m[4 * row + 1] * axis[1] + m[4 * row + 2] * axis[2]);
        length += out[row] * out[row];
    }
    length = sqrt(length);
    for (size_t row = 0; row < 3 && length > 0; row++)
        out[row] /= length;
    *out_step = length;
}

void web_registration_move(const struct web_registration *r, const double in[3], double out[3])
{
    const double *m = r->matrix;
    for (size_t row = 0; row < 3; row++)
        out[row] =
            m[4 * row] * in[0] + m[4 * row + 1] * in[1] + m[4 * row + 2] * in[2] + m[4 * row + 3];
}

/* Pixels without a size are taken as of a millimetre for their direction, and stay without. An
 * image of no place is at the origin, its rows along x (PS3.17 O.1). */
void web_registration_apply(const struct web_registration *r, struct hilum_slice *slice)
{
    struct hilum_slice was = *slice;
    static const double axes[6] = {1, 0, 0, 0, 1, 0};
    if (r->reference[0] == '\0')
        return;
    if (!was.has_position) {
        memcpy(was.orientation, axes, sizeof axes);
        memset(was.position, 0, sizeof was.position);
        slice->has_position = 1;
    }
    web_registration_move(r, was.position, slice->position);
    for (size_t axis = 0; axis < 2; axis++) {
        double step = was.spacing[1 - axis] > 0 ? was.spacing[1 - axis] : 1, length;
        turn(r->matrix, was.orientation + 3 * axis, step, slice->orientation + 3 * axis, &length);
        if (was.spacing[1 - axis] > 0)
            slice->spacing[1 - axis] = length;
    }
}
