/* Lines and areas on a picture, with soft edges. SPDX-License-Identifier: Apache-2.0 */
#include "render.h"

#include <math.h>
#include <stdlib.h>

/* ---- a pixel ---- */

static double blended(double old, double new, double cover, double most)
{
    return old + (new *most - old) * cover + 0.5;
}

/* `cover`: 0 to 1, how much of the pixel the mark has. Outside the picture nothing happens, so
 * callers need not clip. */
void draw_pixel(struct picture *picture, uint32_t x, uint32_t y, double cover,
                const struct ink *ink)
{
    const double colours[] = {ink->red, ink->green, ink->blue};
    const double grey = 0.299 * ink->red + 0.587 * ink->green + 0.114 * ink->blue;
    if (x >= picture->width || y >= picture->height)
        return;
    size_t at = ((size_t)y * picture->width + x) * picture->channels;
    for (uint32_t c = 0; c < picture->channels; c++, at++) {
        double wanted = picture->channels == 3 ? colours[c] : grey;
        if (picture->depth == 8) {
            uint8_t *p = (uint8_t *)picture->pixels + at;
            *p = (uint8_t)blended(*p, wanted, cover, 255);
        } else {
            uint16_t *p = (uint16_t *)picture->pixels + at;
            *p = (uint16_t)blended(*p, wanted, cover, 65535);
        }
    }
}

/* ---- lines ---- */

/* Whole pixels from low to high that lie within a side of n. Written so that what is no number
 * (NaN) spans nothing. */
static bool span(double low, double high, uint32_t n, uint32_t *from, uint32_t *to)
{
    if (!(high >= 0) || !(low < n))
        return false;
    *from = low > 0 ? (uint32_t)low : 0;
    *to = high < n - 1 ? (uint32_t)ceil(high) : n - 1;
    return true;
}

/* How far the centre of a pixel is from the piece of line. */
static double distance(double px, double py, double x0, double y0, double x1, double y1)
{
    double dx = x1 - x0, dy = y1 - y0, length = dx * dx + dy * dy;
    double t = length > 0 ? ((px - x0) * dx + (py - y0) * dy) / length : 0;
    t = t < 0 ? 0 : t > 1 ? 1 : t;
    return hypot(px - x0 - t * dx, py - y0 - t * dy);
}

/* Rows outside are passed over and of the others only what is near the line: a line of a
 * million pixels costs what is seen of it. */
void draw_line(struct picture *picture, double x0, double y0, double x1, double y1,
               const struct ink *ink)
{
    double reach = ink->width / 2 + 1;
    uint32_t top, bottom, left, right;
    if (!span(fmin(y0, y1) - reach, fmax(y0, y1) + reach, picture->height, &top, &bottom))
        return;
    for (uint32_t y = top; y <= bottom; y++) {
        double low = fmin(x0, x1), high = fmax(x0, x1), py = y + 0.5;
        if (fabs(y1 - y0) > 1) { /* only what of the line is near this row */
            double a = x0 + (py - reach - y0) * (x1 - x0) / (y1 - y0);
            double b = x0 + (py + reach - y0) * (x1 - x0) / (y1 - y0);
            low = fmax(low, fmin(a, b));
            high = fmin(high, fmax(a, b));
        }
        if (!span(low - reach, high + reach, picture->width, &left, &right))
            continue;
        for (uint32_t x = left; x <= right; x++) {
            double cover = ink->width / 2 + 0.5 - distance(x + 0.5, py, x0, y0, x1, y1);
            if (cover > 0)
                draw_pixel(picture, x, y, cover < 1 ? cover : 1, ink);
        }
    }
}

/* Two points are not closed: the way back would be drawn over the way there. */
void draw_lines(struct picture *picture, const double *points, size_t n, bool is_closed,
                const struct ink *ink)
{
    for (size_t i = 0; i + 1 < n; i++)
        draw_line(picture, points[2 * i], points[2 * i + 1], points[2 * i + 2], points[2 * i + 3],
                  ink);
    if (is_closed && n > 2)
        draw_line(picture, points[2 * n - 2], points[2 * n - 1], points[0], points[1], ink);
}

/* ---- areas ---- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Where the outline crosses the height y; how often. */
static size_t crossings(const double *points, size_t n, double y, double *out)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        const double *a = points + 2 * i, *b = points + 2 * ((i + 1) % n);
        if ((a[1] <= y) != (b[1] <= y))
            out[found++] = a[0] + (y - a[1]) * (b[0] - a[0]) / (b[1] - a[1]);
    }
    qsort(out, found, sizeof *out, by_value);
    return found;
}

/* Even-odd, by scan lines through the pixels' centres. */
hilum_rc draw_filled(struct picture *picture, const double *points, size_t n, const struct ink *ink)
{
    double *at = n > 2 ? malloc(n * sizeof *at) : NULL;
    if (at == NULL)
        return n > 2 ? HILUM_ENOMEM : HILUM_OK;
    for (uint32_t y = 0; y < picture->height; y++) {
        size_t found = crossings(points, n, y + 0.5, at);
        for (size_t k = 0; k + 1 < found; k += 2) {
            double from = at[k] > 0 ? at[k] + 0.5 : 0;
            double to = at[k + 1] < picture->width ? at[k + 1] + 0.5 : picture->width;
            for (uint32_t x = from < picture->width ? (uint32_t)from : picture->width;
                 x + 0.0 < floor(to); x++)
                draw_pixel(picture, x, y, 1, ink);
        }
    }
    free(at);
    return HILUM_OK;
}
