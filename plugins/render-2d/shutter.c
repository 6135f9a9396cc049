/* Shutters (PS3.3 C.7.6.11): what lies outside is covered. SPDX-License-Identifier: Apache-2.0 */
#include "render.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* GROUPS_MAX: of frames; what comes behind is not looked at. */
enum { CORNERS_MAX = 1000, GROUPS_MAX = 1000 };

/* In pixels of the frame, counted from 1; an absent one lets everything through. */
struct shutter {
    bool has_rectangle, has_circle;
    double left, right, top, bottom, centre[2], radius;
    double *corners; /* row, column ... */
    size_t n_corners;
};

/* Whose shutter: of slice or state i, at the top level or in an item. */
struct place {
    const struct scene *scene;
    uint32_t i;
    char prefix[100];
};

static const char *text_at(const struct place *place, const char *name)
{
    char path[ATTRIBUTE_PATH];
    snprintf(path, sizeof path, "%s%s", place->prefix, name);
    return attribute(place->scene, place->i, path);
}

static double number_at(const struct place *place, const char *name, double otherwise)
{
    attribute_numbers(text_at(place, name), &otherwise, 1);
    return otherwise;
}

/* No memory: no corners, and no polygon. Rows before columns, as the attribute has them (PS3.3
 * C.7.6.11). */
static void read_polygon(const struct place *place, struct shutter *out)
{
    out->corners = malloc(2 * (size_t)CORNERS_MAX * sizeof *out->corners);
    if (out->corners != NULL)
        out->n_corners = attribute_numbers(text_at(place, "VerticesOfThePolygonalShutter"),
                                           out->corners, 2 * (size_t)CORNERS_MAX) /
                         2;
}

/* Several shapes: what all of them let through (PS3.3 C.7.6.11). */
static bool read_shutter(const struct place *place, struct shutter *out)
{
    char shapes[64] = "";
    const char *value = text_at(place, "ShutterShape");
    *out = (struct shutter){.right = INFINITY};
    if (value == NULL)
        return false;
    snprintf(shapes, sizeof shapes, "%s", value);
    out->has_rectangle = strstr(shapes, "RECTANGULAR") != NULL;
    out->left = number_at(place, "ShutterLeftVerticalEdge", -INFINITY);
    out->right = number_at(place, "ShutterRightVerticalEdge", INFINITY);
    out->top = number_at(place, "ShutterUpperHorizontalEdge", -INFINITY);
    out->bottom = number_at(place, "ShutterLowerHorizontalEdge", INFINITY);
    out->radius = number_at(place, "RadiusOfCircularShutter", 0);
    out->has_circle =
        strstr(shapes, "CIRCULAR") != NULL && out->radius > 0 &&
        attribute_numbers(text_at(place, "CenterOfCircularShutter"), out->centre, 2) == 2;
    if (strstr(shapes, "POLYGONAL") != NULL)
        read_polygon(place, out);
    return out->has_rectangle || out->has_circle || out->n_corners > 2;
}

struct ink shutter_ink(const struct scene *scene, uint32_t i)
{
    double grey =
        fmin(fmax(attribute_number(scene, i, "ShutterPresentationValue", 0) / 65535, 0), 1);
    struct ink ink = {grey, grey, grey, 1};
    ink_of_lab(scene, i, "ShutterPresentationColorCIELabValue", &ink);
    return ink;
}

/* Even-odd: how often a ray along the row crosses an edge. (a > row) != (b > row) also keeps
 * the division from 0. */
static bool in_polygon(const struct shutter *s, double row, double column)
{
    bool is_inside = false;
    for (size_t i = 0; i < s->n_corners; i++) {
        const double *a = s->corners + 2 * i, *b = s->corners + 2 * ((i + 1) % s->n_corners);
        if ((a[0] > row) != (b[0] > row) &&
            column < a[1] + (row - a[0]) * (b[1] - a[1]) / (b[0] - a[0]))
            is_inside = !is_inside;
    }
    return is_inside;
}

/* Edges belong to what is shown. */
static bool is_covered(const struct shutter *s, double column, double row)
{
    if (s->has_rectangle &&
        (column < s->left || column > s->right || row < s->top || row > s->bottom))
        return true;
    if (s->has_circle && hypot(row - s->centre[0], column - s->centre[1]) > s->radius)
        return true;
    return s->n_corners > 2 && !in_polygon(s, row, column);
}

/* From the picture back to the frame. */
static struct affine inverse(const struct affine *of)
{
    const double *m = of->m;
    double det = m[0] * m[4] - m[1] * m[3];
    det = det != 0 ? det : 1;
    return (struct affine){{m[4] / det, -m[1] / det, (m[1] * m[5] - m[4] * m[2]) / det, -m[3] / det,
                            m[0] / det, (m[3] * m[2] - m[0] * m[5]) / det}};
}

/* In the picture and not the frame, so that its edge is sharp at any size. */
static void cover(const struct shutter *shutter, const struct ink *ink, const struct layout *layout,
                  struct picture *picture)
{
    const struct affine back = inverse(&layout->affine);
    for (uint32_t y = 0; y < picture->height; y++)
        for (uint32_t x = 0; x < picture->width; x++) {
            double column, row;
            affine_apply(&back, x + 0.5, y + 0.5, &column, &row);
            if (is_covered(shutter, column + 0.5, row + 0.5))
                draw_pixel(picture, x, y, 1, ink);
        }
}

static void draw_at(const struct place *place, const struct layout *layout, struct picture *picture)
{
    struct shutter shutter;
    const struct ink ink = shutter_ink(place->scene, place->i);
    if (read_shutter(place, &shutter))
        cover(&shutter, &ink, layout, picture);
    free(shutter.corners);
}

/* Groups of frames have shutters of their own in states of XA (PS3.3 C.11.20), frames in enhanced
 * images (C.7.6.16.2.16): the first item that is for this frame. What is said at the top level is for all. */
hilum_rc shutter_draw(const struct scene *scene, uint32_t i, const struct hilum_slice *slice,
                      const struct layout *layout, struct picture *picture)
{
    struct place place = {.scene = scene, .i = i};
    draw_at(&place, layout, picture);
    uint64_t n = attribute_items(scene, i, "FrameDisplayShutterSequence");
    for (unsigned k = 0; k < n && k < GROUPS_MAX; k++) {
        snprintf(place.prefix, sizeof place.prefix, "FrameDisplayShutterSequence[%u].", k);
        if (state_names(scene, i, place.prefix, slice)) {
            draw_at(&place, layout, picture);
            return HILUM_OK;
        }
    }
    snprintf(place.prefix, sizeof place.prefix,
             "PerFrameFunctionalGroupsSequence[%u].FrameDisplayShutterSequence[0].",
             slice->frame_number - 1);
    if (text_at(&place, "ShutterShape") == NULL)
        snprintf(place.prefix, sizeof place.prefix,
                 "SharedFunctionalGroupsSequence[0].FrameDisplayShutterSequence[0].");
    draw_at(&place, layout, picture);
    return HILUM_OK;
}
