/* What a presentation state draws: graphics and texts (PS3.3 C.10.5).
 *
 * A state that is damaged in part draws what can be read: an annotation less is better than no
 * picture, but text that cannot be written for want of a font is said.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "render.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bounds on what an object can make us draw. 96 points of a curve are smooth at any size of
 * screen. */
enum { POINTS_MAX = 20000, CURVE = 96, STEPS = 12, OBJECTS_MAX = 2000 };

/* An annotation being drawn. */
struct drawing {
    const struct scene *scene;
    const struct layout *layout;
    struct picture *picture;
    uint32_t state;
    char item[80]; /* "GraphicAnnotationSequence[0]." */
    struct ink ink, fill;
};

static const char *text_of(const struct drawing *d, const char *object, const char *name)
{
    char path[ATTRIBUTE_PATH];
    snprintf(path, sizeof path, "%s%s%s", d->item, object, name);
    return attribute(d->scene, d->state, path);
}

static bool is_of(const struct drawing *d, const char *object, const char *name, const char *value)
{
    const char *text = text_of(d, object, name);
    return text != NULL && strcmp(text, value) == 0;
}

/* From what a coordinate counts in to the picture's pixels: PIXEL of the frame, DISPLAY of the area shown. */
static void place(const struct drawing *d, bool is_display, const double in[2], double out[2])
{
    if (is_display) {
        out[0] = in[0] * d->picture->width;
        out[1] = in[1] * d->picture->height;
    } else {
        affine_apply(&d->layout->affine, in[0], in[1], &out[0], &out[1]);
    }
}

/* The colour an object's own style has (PS3.3 C.10.5.1.1). Of object k; its layer's where it
 * has none. */
static struct ink styled(const struct drawing *d, const char *object, const char *style)
{
    char path[ATTRIBUTE_PATH];
    struct ink ink = d->ink;
    snprintf(path, sizeof path, "%s%s%s", d->item, object, style);
    ink_of_lab(d->scene, d->state, path, &ink);
    return ink;
}

/* ---- graphics ---- */

/* Counted by backslashes first: one allocation, bounded. */
static size_t read_points(const char *text, double **out)
{
    *out = NULL;
    size_t most = 2;
    for (const char *p = text; p != NULL && *p != '\0'; p++)
        most += *p == '\\';
    if (text == NULL || most > POINTS_MAX)
        return 0;
    *out = malloc(most * sizeof **out);
    return *out != NULL ? attribute_numbers(text, *out, most) / 2 : 0;
}

/* Centre and a point of a circle; ends of both axes of an ellipse: as many points on it. */
static void curve(const double *p, bool is_circle, double out[2 * CURVE])
{
    double cx = is_circle ? p[0] : (p[0] + p[2]) / 2, cy = is_circle ? p[1] : (p[1] + p[3]) / 2;
    double ax = is_circle ? p[2] - p[0] : (p[2] - p[0]) / 2;
    double ay = is_circle ? p[3] - p[1] : (p[3] - p[1]) / 2;
    double bx = is_circle ? -ay : (p[6] - p[4]) / 2, by = is_circle ? ax : (p[7] - p[5]) / 2;
    for (size_t k = 0; k < CURVE; k++) {
        double angle = 2 * 3.14159265358979323846 * (double)k / CURVE;
        out[2 * k] = cx + ax * cos(angle) + bx * sin(angle);
        out[2 * k + 1] = cy + ay * cos(angle) + by * sin(angle);
    }
}

/* No memory: the shape is left out, the picture stands. */
static void draw_shape(const struct drawing *d, const double *points, size_t n, bool is_closed,
                       bool is_display, bool is_filled)
{
    double *placed = n > 0 ? malloc(n * 2 * sizeof *placed) : NULL;
    if (placed == NULL)
        return;
    for (size_t i = 0; i < n; i++)
        place(d, is_display, points + 2 * i, placed + 2 * i);
    if (is_filled)
        draw_filled(d->picture, placed, n, &d->fill);
    draw_lines(d->picture, placed, n, is_closed, &d->ink);
    free(placed);
}

/* One of four points of a curve through the two in the middle, at t from 0 to 1 (Catmull and Rom). */
static double between(const double *const p[4], int axis, double t)
{
    double a = p[0][axis], b = p[1][axis], c = p[2][axis], e = p[3][axis];
    return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - e + t * (3 * (b - c) + e - a)));
}

/* INTERPOLATED: a smooth curve through its points. */
static void draw_smooth(const struct drawing *d, const double *points, size_t n, bool is_display,
                        bool is_filled)
{
    bool is_closed = points[0] == points[2 * n - 2] && points[1] == points[2 * n - 1];
    double *on = malloc(((n - 1) * STEPS + 1) * 2 * sizeof *on);
    size_t m = 0;
    for (size_t i = 0; on != NULL && i + 1 < n; i++) {
        size_t before = i > 0 ? i - 1 : is_closed ? n - 2 : 0;
        size_t behind = i + 2 < n ? i + 2 : is_closed ? 1 : n - 1;
        const double *const p[] = {points + 2 * before, points + 2 * i, points + 2 * i + 2,
                                   points + 2 * behind};
        for (int k = 0; k < STEPS; k++, m++) {
            on[2 * m] = between(p, 0, (double)k / STEPS);
            on[2 * m + 1] = between(p, 1, (double)k / STEPS);
        }
    }
    if (on != NULL) {
        memcpy(on + 2 * m, points + 2 * n - 2, 2 * sizeof *on);
        draw_shape(d, on, m + 1, is_closed, is_display, is_filled && is_closed);
    }
    free(on);
}

static void draw_point(const struct drawing *d, const double *point, bool is_display)
{
    double at[2], reach = 3 + d->ink.width;
    place(d, is_display, point, at);
    draw_line(d->picture, at[0] - reach, at[1], at[0] + reach, at[1], &d->ink);
    draw_line(d->picture, at[0], at[1] - reach, at[0], at[1] + reach, &d->ink);
}

/* What is no other type is a line through its points: POLYLINE, and what nobody knows yet. */
static void draw_graphic(const struct drawing *of, unsigned k)
{
    struct drawing styled_one = *of, *d = &styled_one;
    char object[64], type[17] = "";
    double *points, on[2 * CURVE];
    snprintf(object, sizeof object, "GraphicObjectSequence[%u].", k);
    d->ink = styled(of, object, "LineStyleSequence[0].PatternOnColorCIELabValue");
    d->fill = styled(d, object, "FillStyleSequence[0].PatternOnColorCIELabValue");
    const char *name = text_of(d, object, "GraphicType");
    snprintf(type, sizeof type, "%s", name != NULL ? name : "");
    bool is_display = is_of(d, object, "GraphicAnnotationUnits", "DISPLAY");
    bool is_filled = is_of(d, object, "GraphicFilled", "Y");
    size_t n = read_points(text_of(d, object, "GraphicData"), &points);
    bool is_circle = strcmp(type, "CIRCLE") == 0, is_ellipse = strcmp(type, "ELLIPSE") == 0;
    if (strcmp(type, "POINT") == 0 && n >= 1) {
        draw_point(d, points, is_display);
    } else if ((is_circle && n >= 2) || (is_ellipse && n >= 4)) {
        curve(points, is_circle, on);
        draw_shape(d, on, CURVE, true, is_display, is_filled);
    } else if (strcmp(type, "INTERPOLATED") == 0 && n >= 3) {
        draw_smooth(d, points, n, is_display, is_filled);
    } else if (n >= 2) {
        bool is_closed = points[0] == points[2 * n - 2] && points[1] == points[2 * n - 1];
        draw_shape(d, points, n, is_closed, is_display, is_filled && is_closed);
    }
    free(points);
}

/* ---- texts ---- */

static double letter_height(const struct drawing *d)
{
    double height = d->picture->height / 32.0;
    return height < 12 ? 12 : height > 48 ? 48 : height;
}

/* Where a text stands: in its box, as that says, or beside what it points at. */
struct label {
    double box[4], anchor[2];
    bool has_box, has_anchor;
    struct text_place place;
};

/* PS3.3 C.10.5: a box says where the text lies, an anchor what it is about; with the anchor
 * alone the text stands beside it. */
static void place_label(const struct drawing *d, const char *object, struct label *out)
{
    double height = letter_height(d), *box = out->box;
    bool is_display = is_of(d, object, "BoundingBoxAnnotationUnits", "DISPLAY");
    bool is_anchored = is_of(d, object, "AnchorPointAnnotationUnits", "DISPLAY");
    out->has_box =
        attribute_numbers(text_of(d, object, "BoundingBoxTopLeftHandCorner"), box, 2) == 2 &&
        attribute_numbers(text_of(d, object, "BoundingBoxBottomRightHandCorner"), box + 2, 2) == 2;
    out->has_anchor = attribute_numbers(text_of(d, object, "AnchorPoint"), out->anchor, 2) == 2;
    out->place = (struct text_place){.height = height};
    if (out->has_anchor)
        place(d, is_anchored, out->anchor, out->anchor);
    if (out->has_box) {
        place(d, is_display, box, box);
        place(d, is_display, box + 2, box + 2);
        out->place.x = fmin(box[0], box[2]);
        out->place.y = fmin(box[1], box[3]);
        out->place.width = fabs(box[2] - box[0]);
        if (is_of(d, object, "BoundingBoxTextHorizontalJustification", "RIGHT"))
            out->place.align = 1;
        else if (is_of(d, object, "BoundingBoxTextHorizontalJustification", "CENTER"))
            out->place.align = 0.5;
    } else {
        out->place.x = out->anchor[0] + height / 2;
        out->place.y = out->anchor[1] - height / 2;
    }
}

/* A text that runs over the edge is half a finding: it is moved as far as it needs and the picture allows. */
static hilum_rc keep_inside(const struct drawing *d, const char *text, struct text_place *place)
{
    double width = 0, height = 0;
    hilum_rc rc = letters_measure(d->scene->render, place->height, text, &width, &height);
    double left = place->x + place->align * (place->width - width);
    double right = left + width - d->picture->width, below = place->y + height - d->picture->height;
    place->x -= right > 0 ? fmin(right, fmax(left, 0)) : left < 0 ? left : 0;
    place->y -= below > 0 ? fmin(below, fmax(place->y, 0)) : 0;
    return rc;
}

/* A text and, where it points at something, a line to that. */
static hilum_rc draw_text(const struct drawing *d, unsigned k)
{
    char object[64], *text;
    struct label label = {.has_box = false};
    snprintf(object, sizeof object, "TextObjectSequence[%u].", k);
    place_label(d, object, &label);
    bool is_visible = is_of(d, object, "AnchorPointVisibility", "Y");
    const char *value = text_of(d, object, "UnformattedTextValue");
    if (value == NULL || (!label.has_box && !label.has_anchor))
        return HILUM_OK;
    text = strdup(value);
    if (text == NULL)
        return HILUM_ENOMEM;
    for (char *p = text; *p != '\0'; p++) /* CR LF and CR are line ends (PS3.5 6.1.3) */
        if (*p == '\r')
            *p = p[1] == '\n' ? ' ' : '\n';
    if (label.has_anchor && is_visible && label.has_box)
        draw_line(d->picture, label.anchor[0], label.anchor[1], label.place.x,
                  label.place.y + label.place.height / 2, &d->ink);
    struct ink ink = styled(d, object, "TextStyleSequence[0].TextColorCIELabValue");
    hilum_rc rc = keep_inside(d, text, &label.place);
    if (rc == HILUM_OK)
        rc = letters_draw(d->scene->render, d->picture, &label.place, text, &ink);
    free(text);
    return rc;
}

/* ---- annotations ---- */

/* CIELab after grey: where both are there colour is meant. out stays as it was where the layer
 * says nothing. */
void layer_ink(const struct scene *scene, uint32_t state, const char *layer, struct ink *out)
{
    char path[ATTRIBUTE_PATH];
    uint64_t n = attribute_items(scene, state, "GraphicLayerSequence");
    for (unsigned k = 0; k < n && k < 256; k++) {
        snprintf(path, sizeof path, "GraphicLayerSequence[%u].GraphicLayer", k);
        if (!attribute_is(scene, state, path, layer))
            continue;
        snprintf(path, sizeof path,
                 "GraphicLayerSequence[%u].GraphicLayerRecommendedDisplayGrayscaleValue", k);
        double grey = attribute_number(scene, state, path, -1);
        if (grey >= 0 && grey <= 65535)
            out->red = out->green = out->blue = grey / 65535;
        snprintf(path, sizeof path,
                 "GraphicLayerSequence[%u].GraphicLayerRecommendedDisplayCIELabValue", k);
        ink_of_lab(scene, state, path, out);
    }
}

/* The colour its layer recommends; yellow, where pictures have colours, or white. */
static void choose_ink(struct drawing *d)
{
    char layer[65] = "";
    const char *name = text_of(d, "", "GraphicLayer");
    snprintf(layer, sizeof layer, "%s", name != NULL ? name : "");
    d->ink = (struct ink){1, 1, d->picture->channels == 3 ? 0.2 : 1, 1.5};
    layer_ink(d->scene, d->state, layer, &d->ink);
}

/* OBJECTS_MAX bounds each list: a state is a file from outside. */
hilum_rc state_draw(const struct scene *scene, const struct hilum_slice *slice,
                    const struct layout *layout, struct picture *picture)
{
    struct drawing d = {.scene = scene, .layout = layout, .picture = picture};
    char path[ATTRIBUTE_PATH];
    hilum_rc rc = HILUM_OK;
    if (!scene_state(scene, &d.state))
        return HILUM_OK;
    uint64_t n = attribute_items(scene, d.state, "GraphicAnnotationSequence");
    for (unsigned k = 0; rc == HILUM_OK && k < n && k < OBJECTS_MAX; k++) {
        snprintf(d.item, sizeof d.item, "GraphicAnnotationSequence[%u].", k);
        if (!state_names(scene, d.state, d.item, slice))
            continue;
        choose_ink(&d);
        snprintf(path, sizeof path, "%sGraphicObjectSequence", d.item);
        uint64_t graphics = attribute_items(scene, d.state, path);
        for (unsigned g = 0; g < graphics && g < OBJECTS_MAX; g++)
            draw_graphic(&d, g);
        snprintf(path, sizeof path, "%sTextObjectSequence", d.item);
        uint64_t texts = attribute_items(scene, d.state, path);
        for (unsigned t = 0; rc == HILUM_OK && t < texts && t < OBJECTS_MAX; t++)
            rc = draw_text(&d, t);
    }
    return rc;
}
