/* Grey to colours by a named scale. SPDX-License-Identifier: Apache-2.0 */
#include "filter.h"

#include <string.h>

enum { STOPS = 7 };

/* Colours at equal distances, with straight lines between them. */
struct colours {
    const char *name;
    uint8_t rgb[STOPS][3];
};

/* By the names of PS3.6 B.1 where a scale is like one there (hot iron); drawn with seven
 * stops, not its 256 entries. */
static const struct colours scales[] = {
    {"hot-iron",
     {{0, 0, 0},
      {85, 0, 0},
      {170, 0, 0},
      {255, 0, 0},
      {255, 100, 30},
      {255, 180, 128},
      {255, 255, 255}}},
    {"rainbow",
     {{0, 0, 0},
      {0, 0, 255},
      {0, 200, 255},
      {0, 220, 0},
      {255, 255, 0},
      {255, 120, 0},
      {255, 0, 0}}},
    {"cool",
     {{0, 0, 0},
      {0, 20, 80},
      {0, 60, 160},
      {0, 120, 210},
      {60, 190, 240},
      {150, 230, 255},
      {255, 255, 255}}},
    {"diverging",
     {{20, 60, 200},
      {90, 140, 230},
      {180, 205, 245},
      {245, 245, 245},
      {245, 190, 170},
      {230, 100, 80},
      {180, 10, 40}}},
    {"green",
     {{0, 0, 0},
      {0, 40, 10},
      {0, 80, 25},
      {0, 130, 45},
      {40, 180, 80},
      {130, 225, 150},
      {255, 255, 255}}},
};

static const struct colours *scale_of(const json_t *parameters)
{
    const json_t *value = json_object_get(parameters, "scale");
    const char *name = json_string_value(value);
    if (value == NULL)
        return &scales[0];
    for (size_t i = 0; name != NULL && i < sizeof scales / sizeof *scales; i++)
        if (strcmp(scales[i].name, name) == 0)
            return &scales[i];
    return NULL;
}

/* Over all bits: 16 where there were 12, so that steps of colour are as fine as those of grey. */
static hilum_rc plan(const struct filter *filter, const json_t *parameters,
                     const struct hilum_frame *in, struct hilum_frame *out)
{
    if (in->samples != 1)
        return filter_fail(filter, HILUM_EUNSUP, "pseudocolour: this picture has colours");
    if (scale_of(parameters) == NULL)
        return filter_fail(
            filter, HILUM_EINVAL,
            "pseudocolour: expected scale hot-iron, rainbow, cool, diverging or green");
    out->samples = 3;
    out->photometric = HILUM_PHOTO_RGB;
    out->sample_type = HILUM_SAMPLE_UNSIGNED;
    out->bits_stored = out->bits_allocated;
    return HILUM_OK;
}

/* shade: 0 to 1. */
static float colour_at(const struct colours *scale, float shade, uint32_t channel)
{
    float at = shade * (STOPS - 1);
    uint32_t k = at < STOPS - 2 ? (uint32_t)at : STOPS - 2;
    float t = at - (float)k, a = scale->rgb[k][channel], b = scale->rgb[k + 1][channel];
    return (a + (b - a) * t) / 255;
}

/* A plane of one colour at a time: three would be 12 bytes a pixel. */
static hilum_rc apply(const struct filter *filter, const json_t *parameters,
                      const struct hilum_image *in, void *dst)
{
    const struct colours *scale = scale_of(parameters);
    struct hilum_frame out = *in->frame;
    struct plane grey, channel;
    float least, most, full;
    hilum_rc rc = plan(filter, parameters, in->frame, &out);
    if (rc == HILUM_OK)
        rc = plane_load(filter, in, 0, &grey);
    if (rc != HILUM_OK)
        return rc;
    rc = plane_make(filter, grey.width, grey.height, &channel);
    plane_range(in->frame, &least, &most);
    full = (float)((1u << out.bits_stored) - 1);
    size_t n = (size_t)grey.width * grey.height;
    for (uint32_t c = 0; rc == HILUM_OK && c < 3; c++) {
        for (size_t i = 0; i < n; i++)
            channel.values[i] =
                colour_at(scale, (grey.values[i] - least) / (most - least), c) * full;
        plane_store(&channel, &out, c, dst);
    }
    plane_fini(&channel);
    plane_fini(&grey);
    return rc;
}

const struct filter_kind filter_pseudocolour = {
    .table = OPERATOR("pseudocolour", "Pseudo-colour", 1,
                      OBJECT("\"scale\":{\"enum\":[\"hot-iron\",\"rainbow\",\"cool\",\"diverging\","
                             "\"green\"],\"default\":\"hot-iron\"}")),
    .plan = plan,
    .apply = apply,
};
