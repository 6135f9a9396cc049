/* Which part of a frame is drawn, turned and flipped how, how large: what the caller wants, what a presentation state
 * says (PS3.3 C.10.4, C.10.6), what the pixels' shape asks for. SPDX-License-Identifier: Apache-2.0 */
#include "render.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of DisplayedAreaSelectionSequence: one for each picture of a series, at most so many. */
enum { SELECTIONS_MAX = 1000 };

void affine_apply(const struct affine *affine, double x, double y, double *out_x, double *out_y)
{
    const double *m = affine->m;
    *out_x = m[0] * x + m[1] * y + m[2];
    *out_y = m[3] * x + m[4] * y + m[5];
}

/* after(before(x)). */
static struct affine compose(const struct affine *after, const struct affine *before)
{
    const double *a = after->m, *b = before->m;
    return (struct affine){{a[0] * b[0] + a[1] * b[3], a[0] * b[1] + a[1] * b[4],
                            a[0] * b[2] + a[1] * b[5] + a[2], a[3] * b[0] + a[4] * b[3],
                            a[3] * b[1] + a[4] * b[4], a[3] * b[2] + a[4] * b[5] + a[5]}};
}

/* ---- turning ---- */

/* Clockwise: a row becomes a column from the right. */
static void turn_once(const struct picture *from, struct picture *to)
{
    size_t unit = (size_t)from->channels * (from->depth / 8);
    const uint8_t *source = from->pixels;
    uint8_t *target = to->pixels;
    for (uint32_t y = 0; y < from->height; y++)
        for (uint32_t x = 0; x < from->width; x++, source += unit)
            memcpy(target + ((size_t)x * to->width + (from->height - 1 - y)) * unit, source, unit);
}

/* held: three channels of 16 bits. */
static void flip(struct picture *picture)
{
    size_t unit = (size_t)picture->channels * (picture->depth / 8), row = unit * picture->width;
    uint8_t held[6];
    for (uint32_t y = 0; y < picture->height; y++) {
        uint8_t *left = (uint8_t *)picture->pixels + y * row, *right = left + row - unit;
        for (; left < right; left += unit, right -= unit) {
            memcpy(held, left, unit);
            memcpy(left, right, unit);
            memcpy(right, held, unit);
        }
    }
}

/* Quarter turns first, the mirror then, as PS3.3 C.10.6 has them applied. */
hilum_rc picture_turn(const struct render *render, struct picture *picture, uint32_t turns,
                      bool is_flipped)
{
    for (uint32_t k = 0; k < turns % 4; k++) {
        struct picture turned;
        hilum_rc rc = picture_make(render, picture->height, picture->width, picture->channels,
                                   picture->depth, &turned);
        if (rc != HILUM_OK)
            return rc;
        turn_once(picture, &turned);
        picture_fini(picture);
        *picture = turned;
    }
    if (is_flipped)
        flip(picture);
    return HILUM_OK;
}

/* ---- the layout ---- */

/* PS3.3 C.10.6: the rotation comes before the flip. */
static void read_turn(const struct scene *scene, uint32_t state, struct layout *out)
{
    int degrees = (int)attribute_number(scene, state, "ImageRotation", 0) % 360;
    out->turns = (uint32_t)((degrees + 360) % 360 / 90);
    out->is_flipped = attribute_is(scene, state, "ImageHorizontalFlip", "Y");
}

/* Built as picture_turn turns, step by step, so that marks land where the pixels do. */
static void turn_affine(struct layout *layout)
{
    double width = layout->columns, height = layout->rows;
    layout->affine = (struct affine){{1, 0, 0, 0, 1, 0}};
    for (uint32_t k = 0; k < layout->turns; k++) {
        const struct affine quarter = {{0, -1, height, 1, 0, 0}};
        layout->affine = compose(&quarter, &layout->affine);
        double swapped = width;
        width = height;
        height = swapped;
    }
    const struct affine mirror = {{-1, 0, width, 0, 1, 0}};
    if (layout->is_flipped)
        layout->affine = compose(&mirror, &layout->affine);
    layout->region[0] = layout->region[1] = 0;
    layout->region[2] = width;
    layout->region[3] = height;
}

/* What a state shows of this picture: the first selection that names it, or all. */
struct selection {
    const struct scene *scene;
    uint32_t state;
    char item[48]; /* "": there is none */
};

static struct selection select_area(const struct scene *scene, const struct hilum_slice *slice)
{
    struct selection found = {.scene = scene};
    char item[48];
    if (!scene_state(scene, &found.state))
        return found;
    uint64_t n = attribute_items(scene, found.state, "DisplayedAreaSelectionSequence");
    for (unsigned k = 0; k < n && k < SELECTIONS_MAX && found.item[0] == '\0'; k++) {
        snprintf(item, sizeof item, "DisplayedAreaSelectionSequence[%u].", k);
        if (state_names(scene, found.state, item, slice))
            memcpy(found.item, item, sizeof item);
    }
    return found;
}

static size_t selected(const struct selection *selection, const char *name, double *out, size_t max)
{
    char path[ATTRIBUTE_PATH];
    if (selection->item[0] == '\0')
        return 0;
    snprintf(path, sizeof path, "%s%s", selection->item, name);
    return attribute_numbers(attribute(selection->scene, selection->state, path), out, max);
}

/* The displayed area in pixels of the frame, counted from 1, becomes the region. */
static void read_area(const struct selection *selection, struct layout *out)
{
    double a[2], b[2], x0, y0, x1, y1;
    if (selected(selection, "DisplayedAreaTopLeftHandCorner", a, 2) != 2 ||
        selected(selection, "DisplayedAreaBottomRightHandCorner", b, 2) != 2)
        return;
    affine_apply(&out->affine, fmin(a[0], b[0]) - 1, fmin(a[1], b[1]) - 1, &x0, &y0);
    affine_apply(&out->affine, fmax(a[0], b[0]), fmax(a[1], b[1]), &x1, &y1);
    if (fabs(x1 - x0) < 1 || fabs(y1 - y0) < 1 || fabs(x1 - x0) > 1e6 || fabs(y1 - y0) > 1e6)
        return;
    out->region[0] = fmin(x0, x1);
    out->region[1] = fmin(y0, y1);
    out->region[2] = fabs(x1 - x0);
    out->region[3] = fabs(y1 - y0);
}

/* Around the middle of the region. What makes no sense is no zoom. */
static void zoom_in(double zoom, double region[4])
{
    if (!(zoom > 0) || zoom == 1 || zoom > 1000 || zoom < 0.001)
        return;
    for (int axis = 0; axis < 2; axis++) {
        region[axis] += region[axis + 2] * (1 - 1 / zoom) / 2;
        region[axis + 2] /= zoom;
    }
}

/* Height over width of a pixel. Pixel Aspect Ratio is vertical over horizontal (PS3.3
 * C.7.6.3.1.7), and so is spacing; a state's word counts (C.10.4). */
static double aspect_of(const struct scene *scene, const struct request *request,
                        const struct hilum_slice *slice, const struct selection *selection)
{
    double ratio[2];
    if ((selected(selection, "PresentationPixelSpacing", ratio, 2) == 2 ||
         selected(selection, "PresentationPixelAspectRatio", ratio, 2) == 2) &&
        ratio[0] > 0 && ratio[1] > 0)
        return ratio[0] / ratio[1];
    if (attribute_numbers(attribute(scene, request->slice, "PixelAspectRatio"), ratio, 2) == 2 &&
        ratio[0] > 0 && ratio[1] > 0)
        return ratio[0] / ratio[1];
    if (slice->spacing[0] > 0 && slice->spacing[1] > 0)
        return slice->spacing[0] / slice->spacing[1];
    return 1;
}

/* A state may show any area and magnify it as it likes, which costs its maker nothing: a picture of this side, or of the
 * frame's, is the most where nobody asks for a size. */
static const double MAGNIFIED_MAX = 4096;

static uint32_t side_of(double pixels)
{
    return !(pixels >= 1) ? 1 : pixels > SIDE_MAX ? SIDE_MAX : (uint32_t)(pixels + 0.5);
}

/* Without a size pixels are drawn one to one, whatever their shape; within a size their shape
 * counts. Within the size, never stretched to it (PS3.18 8.3.5.1.3). */
static void fit(const struct request *request, double aspect, double magnified, struct layout *out)
{
    double width = out->region[2], height = out->region[3], scale = magnified;
    double most = fmax(MAGNIFIED_MAX, fmax(out->columns, out->rows));
    if (request->width > 0 || request->height > 0 || magnified != 1) {
        if (aspect < 0.02 || aspect > 50)
            aspect = 1;
        height *= aspect;
    }
    if (request->width > 0 || request->height > 0) {
        double across = request->width > 0 ? request->width / width : INFINITY;
        double down = request->height > 0 ? request->height / height : INFINITY;
        scale = fmin(across, down);
    } else if (fmax(width, height) * scale > most) {
        scale = most / fmax(width, height);
    }
    out->width = side_of(width * scale);
    out->height = side_of(height * scale);
}

/* From the turned frame to the picture. The picture's spacing is what a ruler on it would
 * measure. */
static void finish(const struct hilum_slice *slice, struct layout *out)
{
    double across = out->width / out->region[2], down = out->height / out->region[3];
    const struct affine scale = {
        {across, 0, -out->region[0] * across, 0, down, -out->region[1] * down}};
    const struct affine mirror = {
        {out->is_mirrored_x ? -1 : 1, 0, out->is_mirrored_x ? out->width : 0, 0,
         out->is_mirrored_y ? -1 : 1, out->is_mirrored_y ? out->height : 0}};
    double spacing[2] = {slice->spacing[0], slice->spacing[1]};
    out->affine = compose(&scale, &out->affine);
    out->affine = compose(&mirror, &out->affine);
    if (out->turns % 2 == 1) {
        spacing[0] = slice->spacing[1];
        spacing[1] = slice->spacing[0];
    }
    out->spacing[0] = spacing[0] / down;
    out->spacing[1] = spacing[1] / across;
}

/* Order: how the image is turned, what part of it is displayed (a region that was asked for
 * outranks the state's), how far it is zoomed, and what size that comes to. Everything later
 * is drawn by the layout's affine alone. */
hilum_rc layout_make(const struct scene *scene, const struct request *request,
                     const struct hilum_slice *slice, struct layout *out)
{
    uint32_t state;
    double magnified = 1;
    *out = (struct layout){.columns = slice->frame->columns,
                           .rows = slice->frame->rows,
                           .is_mirrored_x = request->is_flipped_x,
                           .is_mirrored_y = request->is_flipped_y};
    const struct selection selection = select_area(scene, slice);
    if (scene_state(scene, &state))
        read_turn(scene, state, out);
    turn_affine(out);
    read_area(&selection, out);
    selected(&selection, "PresentationPixelMagnificationRatio", &magnified, 1);
    if (!(magnified > 0.001 && magnified < 1000))
        magnified = 1;
    if (request->has_region)
        memcpy(out->region, request->region, sizeof out->region);
    zoom_in(request->zoom, out->region);
    double aspect = aspect_of(scene, request, slice, &selection);
    fit(request, out->turns % 2 == 1 ? 1 / aspect : aspect, magnified, out);
    finish(slice, out);
    return HILUM_OK;
}
