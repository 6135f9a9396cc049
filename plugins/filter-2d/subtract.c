/* Digital subtraction: a picture minus a mask, linear or of logarithms, the mask shifted by parts of a pixel
 * (PS3.3 C.7.6.10). SPDX-License-Identifier: Apache-2.0 */
#include "filter.h"

#include <math.h>
#include <stdlib.h>

enum { MIDDLE = 32768 }; /* of the output: no difference */

struct subtraction {
    double gain, dx, dy;
    bool is_log;
};

static hilum_rc read_parameters(const struct filter *filter, const json_t *parameters,
                                struct subtraction *out)
{
    const json_t *is_log = json_object_get(parameters, "log");
    if (is_log != NULL && !json_is_boolean(is_log))
        return filter_fail(filter, HILUM_EINVAL, "log: expected true or false");
    out->is_log = json_is_true(is_log);
    hilum_rc rc = filter_number(filter, parameters, "gain", 0.01, 1000, 1, &out->gain);
    if (rc == HILUM_OK)
        rc = filter_number(filter, parameters, "dx", -64, 64, 0, &out->dx);
    if (rc == HILUM_OK)
        rc = filter_number(filter, parameters, "dy", -64, 64, 0, &out->dy);
    return rc;
}

/* Unsigned with the middle for nothing: contrast may go both ways. */
static hilum_rc plan(const struct filter *filter, const json_t *parameters,
                     const struct hilum_frame *in, struct hilum_frame *out)
{
    struct subtraction s;
    if (in->samples != 1)
        return filter_fail(filter, HILUM_EUNSUP, "subtract: grey pictures only");
    out->bits_allocated = out->bits_stored = 16;
    out->sample_type = HILUM_SAMPLE_UNSIGNED;
    out->photometric = HILUM_PHOTO_MONOCHROME2;
    return read_parameters(filter, parameters, &s);
}

/* Bilinear; outside the border's value, so that a shifted mask leaves no frame. */
static float at(const struct plane *plane, double x, double y)
{
    double right = plane->width - 1.0, bottom = plane->height - 1.0;
    x = x < 0 ? 0 : x > right ? right : x;
    y = y < 0 ? 0 : y > bottom ? bottom : y;
    uint32_t x0 = (uint32_t)x, y0 = (uint32_t)y;
    uint32_t x1 = x0 < right ? x0 + 1 : x0, y1 = y0 < bottom ? y0 + 1 : y0;
    float tx = (float)(x - x0), ty = (float)(y - y0);
    const float *top = plane->values + (size_t)y0 * plane->width;
    const float *low = plane->values + (size_t)y1 * plane->width;
    return (top[x0] * (1 - tx) + top[x1] * tx) * (1 - ty) +
           (low[x0] * (1 - tx) + low[x1] * tx) * ty;
}

/* Logarithms of what is over 0, scaled so that full contrast is as large as in the linear
 * case. Of attenuation: the logarithm of what came through is the thickness of what is in
 * between. */
static void to_logarithms(struct plane *plane, const struct hilum_frame *frame)
{
    float least, most;
    plane_range(frame, &least, &most);
    float scale = most / logf(most - least + 1);
    for (size_t i = 0; i < (size_t)plane->width * plane->height; i++)
        plane->values[i] = scale * logf(plane->values[i] - least + 1);
}

/* A shifted mask costs four values a pixel, an unshifted one a value. */
static void subtract(struct plane *image, const struct plane *mask, const struct subtraction *s)
{
    bool is_shifted = s->dx != 0 || s->dy != 0;
    for (uint32_t y = 0; y < image->height; y++) {
        float *row = image->values + (size_t)y * image->width;
        const float *other = mask->values + (size_t)y * image->width;
        for (uint32_t x = 0; x < image->width; x++) {
            float value = is_shifted ? at(mask, x - s->dx, y - s->dy) : other[x];
            row[x] = MIDDLE + (float)s->gain * (row[x] - value);
        }
    }
}

/* in[0] is the picture, in[1] the mask: of one size, of any depth each. */
static hilum_rc apply(const struct filter *filter, const json_t *parameters,
                      const struct hilum_image *in, void *dst)
{
    struct hilum_frame out = *in->frame;
    struct plane image, mask;
    struct subtraction s = {.gain = 1};
    hilum_rc rc = plan(filter, parameters, in->frame, &out);
    if (rc == HILUM_OK && (in[1].frame->columns != out.columns || in[1].frame->rows != out.rows))
        rc = filter_fail(filter, HILUM_EINVAL, "subtract: pictures of different size");
    if (rc == HILUM_OK)
        rc = read_parameters(filter, parameters, &s);
    if (rc == HILUM_OK)
        rc = plane_load(filter, &in[0], 0, &image);
    if (rc != HILUM_OK)
        return rc;
    rc = plane_load(filter, &in[1], 0, &mask);
    if (rc == HILUM_OK && s.is_log) {
        to_logarithms(&image, in[0].frame);
        to_logarithms(&mask, in[1].frame);
    }
    if (rc == HILUM_OK) {
        subtract(&image, &mask, &s);
        plane_store(&image, &out, 0, dst);
    }
    plane_fini(&mask);
    plane_fini(&image);
    return rc;
}

const struct filter_kind filter_subtract = {
    .table =
        OPERATOR("subtract", "Subtraction (DSA)", 2,
                 OBJECT("\"log\":{\"type\":\"boolean\",\"default\":false}," NUMBER(
                     "gain", "0.01", "1000",
                     "1") "," NUMBER("dx", "-64", "64", "0") "," NUMBER("dy", "-64", "64", "0"))),
    .plan = plan,
    .apply = apply,
};
