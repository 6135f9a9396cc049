/* Palettes: one channel of numbers to RGB of 8 bits; and the supplemental one, which colours a part of a grey range.
 * SPDX-License-Identifier: Apache-2.0 */
#include "render.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct palette {
    struct table channel[3];
    uint8_t *rgb; /* n colours */
    uint32_t n;
    int32_t first;
};

static void palette_fini(struct palette *palette)
{
    for (int c = 0; c < 3; c++)
        table_fini(&palette->channel[c]);
    free(palette->rgb);
}

/* A channel in segments, where it is not written out. PS3.3 C.7.9: what is smooth is told by a
 * few points. */
static hilum_rc read_segmented(const struct scene *scene, uint32_t i, const char *prefix,
                               const char *colour, bool is_signed, struct table *out)
{
    char path[ATTRIBUTE_PATH];
    const void *bytes = NULL;
    uint64_t length = 0;
    uint32_t n, bits; /* segments are of words in any case */
    snprintf(path, sizeof path, "%s%sPaletteColorLookupTableDescriptor", prefix, colour);
    if (!table_descriptor(scene, i, path, is_signed, &n, &bits, &out->first))
        return render_fail(scene->render, HILUM_EINVAL, "palette without a descriptor");
    snprintf(path, sizeof path, "%sSegmented%sPaletteColorLookupTableData", prefix, colour);
    if (attribute_bytes(scene, i, path, &bytes, &length) != HILUM_OK)
        return render_fail(scene->render, HILUM_EINVAL, "palette without entries");
    out->n = n;
    out->scale = 1.0 / 65535;
    return table_expand(scene, bytes, length, out->n, &out->entries);
}

/* Plain data first: a data set with both means the plain one. */
static hilum_rc read_channel(const struct scene *scene, uint32_t i, const char *prefix,
                             const char *colour, bool is_signed, struct table *out)
{
    char descriptor[ATTRIBUTE_PATH], data[ATTRIBUTE_PATH];
    snprintf(descriptor, sizeof descriptor, "%s%sPaletteColorLookupTableDescriptor", prefix,
             colour);
    snprintf(data, sizeof data, "%s%sPaletteColorLookupTableData", prefix, colour);
    hilum_rc rc = table_read(scene, i, descriptor, data, is_signed, out);
    if (rc == HILUM_ENOTFOUND)
        rc = read_segmented(scene, i, prefix, colour, is_signed, out);
    return rc;
}

/* Channels of different lengths keep their last entry. */
static hilum_rc palette_read(const struct scene *scene, uint32_t i, const char *prefix,
                             bool is_signed, struct palette *out)
{
    static const char *const colours[] = {"Red", "Green", "Blue"};
    hilum_rc rc = HILUM_OK;
    *out = (struct palette){.n = 0};
    for (int c = 0; rc == HILUM_OK && c < 3; c++)
        rc = read_channel(scene, i, prefix, colours[c], is_signed, &out->channel[c]);
    if (rc != HILUM_OK)
        return rc;
    out->n = out->channel[0].n;
    out->first = out->channel[0].first;
    out->rgb = malloc((size_t)out->n * 3);
    if (out->rgb == NULL)
        return render_fail(scene->render, HILUM_ENOMEM, "no memory for a palette");
    for (uint32_t k = 0; k < out->n; k++)
        for (int c = 0; c < 3; c++) {
            const struct table *t = &out->channel[c];
            double entry = t->entries[k < t->n ? k : t->n - 1] * t->scale;
            out->rgb[3 * (size_t)k + (size_t)c] = (uint8_t)(entry * 255 + 0.5);
        }
    return HILUM_OK;
}

/* Signed where the data set says so: palettes may begin below 0. */
static int32_t index_at(const struct samples *s, uint64_t i)
{
    uint32_t bits = s->frame.bits_stored, allocated = s->frame.bits_allocated;
    uint32_t raw = allocated == 8
                       ? s->pixels[i]
                       : (uint32_t)s->pixels[2 * i] | (uint32_t)s->pixels[2 * i + 1] << 8;
    if (bits == 0 || bits > allocated)
        bits = allocated;
    raw = raw >> s->shift & ((1u << bits) - 1);
    bool is_negative = s->frame.sample_type == HILUM_SAMPLE_SIGNED && raw >> (bits - 1);
    return is_negative ? (int32_t)raw - (int32_t)(1u << bits) : (int32_t)raw;
}

static bool is_indexed(const struct samples *s)
{
    return s->frame.bits_allocated == 8 || s->frame.bits_allocated == 16;
}

/* Below the first and above the last entry those count (PS3.3 C.7.6.3.1.5). */
hilum_rc palette_picture(const struct scene *scene, uint32_t slice, const struct samples *samples,
                         struct picture *out)
{
    struct palette palette;
    uint64_t n = (uint64_t)samples->frame.columns * samples->frame.rows;
    if (!is_indexed(samples))
        return render_fail(scene->render, HILUM_EUNSUP, "a palette of %u bits",
                           samples->frame.bits_allocated);
    hilum_rc rc =
        palette_read(scene, slice, "", samples->frame.sample_type == HILUM_SAMPLE_SIGNED, &palette);
    if (rc == HILUM_OK)
        rc = picture_make(scene->render, samples->frame.columns, samples->frame.rows, 3, 8, out);
    for (uint64_t i = 0; rc == HILUM_OK && i < n; i++) {
        int64_t at = (int64_t)index_at(samples, i) - palette.first;
        at = at < 0 ? 0 : at >= palette.n ? palette.n - 1 : at;
        memcpy((uint8_t *)out->pixels + 3 * i, palette.rgb + 3 * at, 3);
    }
    palette_fini(&palette);
    return rc;
}

bool palette_is_there(const struct scene *scene, uint32_t i, const char *prefix)
{
    char path[ATTRIBUTE_PATH];
    snprintf(path, sizeof path, "%sRedPaletteColorLookupTableDescriptor", prefix);
    return attribute(scene, i, path) != NULL;
}

/* The palette is spread over all shades: a state's palette is of presentation values (PS3.3
 * A.33.3). */
hilum_rc palette_shades(const struct scene *scene, uint32_t state, const char *prefix,
                        struct picture *picture)
{
    struct palette palette;
    struct picture colours = {.pixels = NULL};
    uint64_t n = (uint64_t)picture->width * picture->height;
    hilum_rc rc = palette_read(scene, state, prefix, false, &palette);
    if (rc == HILUM_OK)
        rc = picture_make(scene->render, picture->width, picture->height, 3, 8, &colours);
    for (uint64_t i = 0; rc == HILUM_OK && i < n; i++) {
        uint64_t shade = ((const uint16_t *)picture->pixels)[i];
        uint64_t at = (shade * (palette.n - 1) + 32767) / 65535;
        memcpy((uint8_t *)colours.pixels + 3 * i, palette.rgb + 3 * at, 3);
    }
    palette_fini(&palette);
    if (rc != HILUM_OK)
        return rc;
    picture_fini(picture);
    *picture = colours;
    return HILUM_OK;
}

/* PS3.3 C.7.6.3.1.5 and C.8.16.2.1.1.1: stored values within the palette are colours, all
 * others stay grey. */
hilum_rc palette_supplement(const struct scene *scene, uint32_t slice,
                            const struct samples *samples, struct picture *picture)
{
    struct palette palette;
    uint64_t n = (uint64_t)samples->frame.columns * samples->frame.rows;
    const char *kind = attribute(scene, slice, "PixelPresentation");
    if (kind == NULL || (strcmp(kind, "COLOR") != 0 && strcmp(kind, "MIXED") != 0) ||
        attribute(scene, slice, "RedPaletteColorLookupTableDescriptor") == NULL ||
        samples->is_difference || !is_indexed(samples) || picture->depth != 8)
        return HILUM_OK;
    hilum_rc rc =
        palette_read(scene, slice, "", samples->frame.sample_type == HILUM_SAMPLE_SIGNED, &palette);
    if (rc == HILUM_OK)
        rc = picture_colour(scene->render, picture);
    for (uint64_t i = 0; rc == HILUM_OK && i < n; i++) {
        int64_t at = (int64_t)index_at(samples, i) - palette.first;
        if (at >= 0 && at < palette.n)
            memcpy((uint8_t *)picture->pixels + 3 * i, palette.rgb + 3 * at, 3);
    }
    palette_fini(&palette);
    return rc;
}
