/* Overlay planes 60xx: of their own, or in unused bits of the samples (PS3.3 C.9.2). SPDX-License-Identifier: Apache-2.0 */
#include "render.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Sixteen overlays, even groups (PS3.3 C.9.2). */
enum { GROUP_FIRST = 0x6000, GROUP_LAST = 0x601E };

struct plane {
    uint32_t rows, columns;
    int64_t x, y; /* of its first pixel, from 0 */
    const uint8_t *bits;
    uint64_t n_bits, first; /* bits in all, the frame's first */
    uint32_t position;      /* in the sample; 0: a plane of its own */
};

static double number(const struct scene *scene, uint32_t i, unsigned group, unsigned element,
                     double otherwise)
{
    char path[20];
    snprintf(path, sizeof path, "%04X%04X", group, element);
    return attribute_number(scene, i, path, otherwise);
}

/* Which bit of the samples it lies in; 0: it has a plane of its own. */
static uint32_t position_of(const struct scene *scene, uint32_t i, unsigned group)
{
    double position = 0;
    if (number(scene, i, group, 0x100, 1) > 1)
        position = number(scene, i, group, 0x102, 0);
    return position >= 1 && position <= 65535 ? (uint32_t)position : 0;
}

bool overlay_is_embedded(const struct scene *scene, uint32_t i)
{
    for (unsigned group = GROUP_FIRST; group <= GROUP_LAST; group += 2)
        if (position_of(scene, i, group) > 0)
            return true;
    return false;
}

/* False: there is none of this group, or none for this frame. Overlay Origin counts from 1 and
 * may lie outside (PS3.3 C.9.2). */
static bool read_plane(const struct scene *scene, uint32_t i, uint32_t frame, unsigned group,
                       struct plane *out)
{
    double origin[2] = {1, 1};
    char path[20];
    double rows = number(scene, i, group, 0x10, 0);
    if (!(rows >= 1 && rows <= 65535))
        return false;
    double columns = number(scene, i, group, 0x11, 0);
    if (!(columns >= 1 && columns <= 65535))
        return false;
    snprintf(path, sizeof path, "%04X0050", group);
    attribute_numbers(attribute(scene, i, path), origin, 2);
    double n = number(scene, i, group, 0x15, 1), from = number(scene, i, group, 0x51, 1);
    if (n > 1 && (frame + 1 < from || frame + 1 >= from + n))
        return false;
    *out = (struct plane){.rows = (uint32_t)rows,
                          .columns = (uint32_t)columns,
                          .x = (int64_t)origin[1] - 1,
                          .y = (int64_t)origin[0] - 1};
    out->position = position_of(scene, i, group);
    if (n > 1)
        out->first = (uint64_t)(frame + 1 - from) * out->rows * out->columns;
    return true;
}

static bool bit_of(const struct plane *plane, uint32_t x, uint32_t y)
{
    uint64_t at = plane->first + (uint64_t)y * plane->columns + x;
    return at < plane->n_bits && plane->bits[at / 8] >> at % 8 & 1;
}

/* Rows that did not come, or lie beside the picture, cost nothing, whatever the plane says of its size. */
static void draw_plane(const struct plane *plane, uint32_t reduce, const struct ink *ink,
                       struct picture *picture)
{
    for (uint32_t y = 0;
         y < plane->rows && plane->first + (uint64_t)y * plane->columns < plane->n_bits; y++) {
        int64_t py = plane->y + y;
        if (py < 0 || py >> reduce >= picture->height)
            continue;
        for (uint32_t x = 0; x < plane->columns; x++) {
            int64_t px = plane->x + x;
            if (px >= 0 && bit_of(plane, x, y))
                draw_pixel(picture, (uint32_t)(px >> reduce), (uint32_t)(py >> reduce), 1, ink);
        }
    }
}

/* Bits above those of the pixel, in samples of 16 bits as they were stored. Retired and still
 * about: the bits are in the samples that were read, unless these were reduced or changed. */
static void draw_embedded(const struct plane *plane, const struct samples *samples,
                          const struct ink *ink, struct picture *picture)
{
    const struct hilum_frame *frame = &samples->frame;
    if (frame->bits_allocated != 16 || plane->position > 15 || samples->reduce > 0 ||
        samples->is_difference)
        return;
    for (uint32_t y = 0; y < frame->rows; y++)
        for (uint32_t x = 0; x < frame->columns; x++) {
            const uint8_t *p = samples->pixels + 2 * ((size_t)y * frame->columns + x);
            if ((p[0] | p[1] << 8) >> plane->position & 1)
                draw_pixel(picture, x, y, 1, ink);
        }
}

/* The plane of one group, wherever its bits are. */
static void draw_group(const struct scene *scene, uint32_t i, uint32_t frame, unsigned group,
                       const struct samples *samples, const struct ink *ink,
                       struct picture *picture)
{
    char path[20];
    struct plane plane;
    const void *bytes = NULL;
    uint64_t n = 0;
    if (!read_plane(scene, i, frame, group, &plane))
        return;
    snprintf(path, sizeof path, "%04X3000", group);
    if (attribute_bytes(scene, i, path, &bytes, &n) == HILUM_OK) {
        plane.bits = bytes;
        plane.n_bits = n * 8;
        draw_plane(&plane, samples->reduce, ink, picture);
    } else if (plane.position > 0) {
        draw_embedded(&plane, samples, ink, picture);
    }
}

/* With a state: the layer it puts the plane on is what it is seen by; none, and it is not seen. */
static bool activated_ink(const struct scene *scene, unsigned group, struct ink *out)
{
    uint32_t state;
    char path[20], layer[65];
    *out = (struct ink){1, 1, 1, 1};
    if (!scene_state(scene, &state))
        return true;
    snprintf(path, sizeof path, "%04X1001", group);
    const char *name = attribute(scene, state, path);
    if (name == NULL)
        return false;
    snprintf(layer, sizeof layer, "%s", name);
    layer_ink(scene, state, layer, out);
    return true;
}

/* The group a bitmap shutter of i has; 0: it has none. PS3.3 C.7.6.15: such a plane covers and
 * is no drawing. */
static unsigned shutter_group(const struct scene *scene, uint32_t i)
{
    double group = attribute_number(scene, i, "ShutterOverlayGroup", 0);
    const char *shape = attribute(scene, i, "ShutterShape");
    bool is_bitmap = shape != NULL && strstr(shape, "BITMAP") != NULL;
    return is_bitmap && group >= GROUP_FIRST && group <= GROUP_LAST ? (unsigned)group & ~1u : 0;
}

/* A group used as a shutter is not drawn as well (overlay_shutter does it). */
void overlay_draw(const struct scene *scene, uint32_t i, uint32_t frame,
                  const struct samples *samples, struct picture *picture)
{
    unsigned shutter = shutter_group(scene, i);
    for (unsigned group = GROUP_FIRST; group <= GROUP_LAST; group += 2) {
        struct ink ink;
        if (group != shutter && activated_ink(scene, group, &ink))
            draw_group(scene, i, frame, group, samples, &ink, picture);
    }
}

void overlay_shutter(const struct scene *scene, uint32_t i, const struct request *request,
                     const struct samples *samples, struct picture *picture)
{
    unsigned group = shutter_group(scene, i);
    if (group == 0)
        return;
    const struct ink ink = shutter_ink(scene, i);
    draw_group(scene, i, i == request->slice ? request->slice : 0, group, samples, &ink, picture);
    if (i != request->slice) /* a state may mean a plane of the image */
        draw_group(scene, request->slice, request->slice, group, samples, &ink, picture);
}
