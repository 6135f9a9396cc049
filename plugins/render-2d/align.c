/* Where one slice lies on another, by their places in the patient (PS3.3 C.7.6.2). SPDX-License-Identifier: Apache-2.0 */
#include "render.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { UID = 65 };

static double dot(const double a[3], const double b[3])
{
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

static void normal_of(const struct hilum_slice *slice, double out[3])
{
    const double *r = slice->orientation, *c = r + 3;
    out[0] = r[1] * c[2] - r[2] * c[1];
    out[1] = r[2] * c[0] - r[0] * c[2];
    out[2] = r[0] * c[1] - r[1] * c[0];
}

/* Millimetres from plane to plane; 0 where nobody knows. */
double align_distance(const struct hilum_slice *a, const struct hilum_slice *b)
{
    double normal[3], way[3];
    if (!a->has_position || !b->has_position)
        return 0;
    normal_of(a, normal);
    for (int k = 0; k < 3; k++)
        way[k] = b->position[k] - a->position[k];
    return fabs(dot(normal, way));
}

static void name_of(const struct scene *scene, uint32_t i, char out[UID])
{
    const char *uid = attribute(scene, i, "FrameOfReferenceUID");
    snprintf(out, UID, "%s", uid != NULL ? uid : "");
}

bool align_is_of_one_frame(const struct scene *scene, uint32_t a, uint32_t b)
{
    char of_a[UID], of_b[UID];
    name_of(scene, a, of_a);
    name_of(scene, b, of_b);
    return strcmp(of_a, of_b) == 0;
}

/* From pixels of the lower picture to those of the upper one, centres at whole numbers.
 * Parallel planes of one frame of reference only (within 2.5 degrees): anything else would
 * need a volume. Without any position pictures of one size lie on each other as they are. */
hilum_rc align_find(const struct scene *scene, uint32_t under, uint32_t over,
                    const struct picture *below, const struct picture *above, struct affine *out)
{
    struct hilum_slice a, b;
    double na[3], nb[3], way[3];
    if (scene_describe(scene, under, &a) != HILUM_OK || scene_describe(scene, over, &b) != HILUM_OK)
        return render_fail(scene->render, HILUM_EINVAL,
                           "one of the images that lie on each other has no description");
    *out = (struct affine){{1, 0, 0, 0, 1, 0}};
    if (!a.has_position && !b.has_position && below->width == above->width &&
        below->height == above->height)
        return HILUM_OK;
    normal_of(&a, na);
    normal_of(&b, nb);
    bool is_known = a.has_position && b.has_position && a.spacing[0] > 0 && a.spacing[1] > 0 &&
                    b.spacing[0] > 0 && b.spacing[1] > 0 &&
                    align_is_of_one_frame(scene, under, over);
    if (!is_known || fabs(dot(na, nb)) < 0.999)
        return render_fail(scene->render, HILUM_EUNSUP,
                           "where one image lies on the other is not known: not parallel, not of "
                           "one frame of reference, or without position and spacing");
    for (int k = 0; k < 3; k++)
        way[k] = a.position[k] - b.position[k];
    for (size_t line = 0; line < 2; line++) { /* of b: along its rows, then its columns */
        const double *axis = b.orientation + 3 * line;
        double step = b.spacing[1 - line], *m = out->m + 3 * line;
        m[0] = dot(a.orientation, axis) * a.spacing[1] / step;
        m[1] = dot(a.orientation + 3, axis) * a.spacing[0] / step;
        m[2] = dot(way, axis) / step;
    }
    return HILUM_OK;
}
