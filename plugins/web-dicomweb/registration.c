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

/* ITEMS_MAX: of registrations in an object, MATRICES_MAX of one, IMAGES_MAX that one names. */
enum { ITEMS_MAX = 100, MATRICES_MAX = 16, IMAGES_MAX = 1000, PATH = 200 };
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
        p = *end == '\\' ? end + 1 : NULL;
    }
    return true;
}

/* ---- which item ---- */

/* Does item k name the image? Without a list of images it is for all of its frame of reference. */
static bool names_image(const struct web_call *call, hilum_object *registration, unsigned k,
                        const char *instance, const char *reference)
{
    char path[PATH];
    for (unsigned i = 0; i < IMAGES_MAX; i++) {
        snprintf(path, sizeof path,
                 "RegistrationSequence[%u].ReferencedImageSequence[%u].ReferencedSOPInstanceUID", k,
                 i);
        const char *named = text(call, registration, path);
        if (named == NULL && i > 0)
            return false;
        if (named == NULL)
            break;
        if (strcmp(named, instance) == 0)
            return true;
    }
    snprintf(path, sizeof path, "RegistrationSequence[%u].FrameOfReferenceUID", k);
    const char *of = text(call, registration, path);
    return of != NULL && strcmp(of, reference) == 0;
}

static bool has_item(const struct web_call *call, hilum_object *registration, unsigned k)
{
    char path[PATH];
    snprintf(path, sizeof path, "RegistrationSequence[%u].FrameOfReferenceUID", k);
    if (text(call, registration, path) != NULL)
        return true;
    snprintf(path, sizeof path,
             "RegistrationSequence[%u].ReferencedImageSequence[0].ReferencedSOPInstanceUID", k);
    return text(call, registration, path) != NULL;
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

hilum_rc web_registration_read(const struct web_call *call, hilum_object *registration,
                               hilum_object *image, struct web_registration *out)
{
    const struct web *web = call->web;
    struct hilum_object_names names = {.size = sizeof names};
    char reference[65] = "";
    *out = (struct web_registration){.matrix = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0}};
    if (registration == NULL)
        return HILUM_OK;
    hilum_rc rc = check_class(call, registration);
    if (rc == HILUM_OK)
        rc = web->host->objects->names(image, &names);
    if (rc != HILUM_OK)
        return rc;
    const char *of_image = text(call, image, "FrameOfReferenceUID");
    snprintf(reference, sizeof reference, "%s", of_image != NULL ? of_image : "");
    const char *to = text(call, registration, "FrameOfReferenceUID");
    snprintf(out->reference, sizeof out->reference, "%s", to != NULL ? to : "");
    for (unsigned k = 0; k < ITEMS_MAX && has_item(call, registration, k); k++)
        if (names_image(call, registration, k, names.sop_instance, reference))
            return read_matrices(call, registration, k, out->matrix);
    if (reference[0] != '\0' && strcmp(reference, out->reference) == 0)
        return HILUM_OK;
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
