/* Pictures in memory. SPDX-License-Identifier: Apache-2.0 */
#include "render.h"

#include <stdlib.h>
#include <string.h>

size_t picture_bytes(const struct picture *picture)
{
    return (size_t)picture->width * picture->height * picture->channels * (picture->depth / 8);
}

/* A byte more than asked for, so that no size is an allocation of nothing. */
static hilum_rc make(const struct render *render, void *(*take)(size_t), struct picture *out)
{
    if ((uint64_t)out->width * out->height > (uint64_t)1 << 30) {
        render_fail(render, HILUM_EUNSUP, "a picture of %ux%u pixels", out->width, out->height);
        return HILUM_EUNSUP;
    }
    out->pixels = take(picture_bytes(out) + 1);
    if (out->pixels != NULL)
        return HILUM_OK;
    render_fail(render, HILUM_ENOMEM, "no memory for %ux%u pixels", out->width, out->height);
    return HILUM_ENOMEM;
}

static void *cleared(size_t n)
{
    return calloc(1, n);
}

hilum_rc picture_make(const struct render *render, uint32_t width, uint32_t height,
                      uint32_t channels, uint32_t depth, struct picture *out)
{
    *out = (struct picture){width, height, channels, depth, NULL};
    return make(render, cleared, out);
}

hilum_rc picture_room(const struct render *render, uint32_t width, uint32_t height,
                      uint32_t channels, uint32_t depth, struct picture *out)
{
    *out = (struct picture){width, height, channels, depth, NULL};
    return make(render, malloc, out);
}

void picture_fini(struct picture *picture)
{
    free(picture->pixels);
    picture->pixels = NULL;
}

/* The picture is replaced: its pixels move. */
hilum_rc picture_colour(const struct render *render, struct picture *picture)
{
    struct picture colours;
    if (picture->channels == 3)
        return HILUM_OK;
    hilum_rc rc =
        picture_room(render, picture->width, picture->height, 3, picture->depth, &colours);
    if (rc != HILUM_OK)
        return rc;
    size_t unit = picture->depth / 8, n = (size_t)picture->width * picture->height;
    const uint8_t *from = picture->pixels;
    uint8_t *to = colours.pixels;
    for (size_t i = 0; i < n; i++, from += unit)
        for (int c = 0; c < 3; c++, to += unit)
            memcpy(to, from, unit);
    picture_fini(picture);
    *picture = colours;
    return HILUM_OK;
}
