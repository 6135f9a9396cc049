/* Attributes of what is drawn.
 *
 * Paths are keywords with items,
 * "SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing", or tags for what
 * has no keyword.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "render.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A state that names more images than this is none of a person's; the rest are not looked at. */
enum { REFERENCED_MAX = 10000 };

hilum_rc scene_describe(const struct scene *scene, uint32_t i, struct hilum_slice *out)
{
    *out = (struct hilum_slice){.size = sizeof *out};
    return scene->source->describe(scene->source->ctx, i, out);
}

hilum_rc scene_go_on(const struct scene *scene)
{
    const struct hilum_source *source = scene->source;
    bool is_asked = HILUM_HAS(struct hilum_source, source->size, go_on) && source->go_on != NULL;
    return is_asked ? source->go_on(source->ctx) : HILUM_OK;
}

const char *attribute(const struct scene *scene, uint32_t i, const char *path)
{
    const char *value = scene->source->text(scene->source->ctx, i, path);
    return value != NULL && *value != '\0' ? value : NULL;
}

/* The functional group is the newer word where an object has both. By the frame's number in its object: slices of several
 * objects are numbered on. */
const char *attribute_grouped(const struct scene *scene, uint32_t i, const char *group,
                              const char *name)
{
    char path[ATTRIBUTE_PATH];
    struct hilum_slice slice;
    bool is_numbered = scene_describe(scene, i, &slice) == HILUM_OK && slice.frame_number > 0;
    snprintf(path, sizeof path, "PerFrameFunctionalGroupsSequence[%u].%s[0].%s",
             is_numbered ? slice.frame_number - 1 : i, group, name);
    const char *value = attribute(scene, i, path);
    if (value != NULL)
        return value;
    snprintf(path, sizeof path, "SharedFunctionalGroupsSequence[0].%s[0].%s", group, name);
    value = attribute(scene, i, path);
    return value != NULL ? value : attribute(scene, i, name);
}

/* Up to the first that is no finite number: what comes after it is in no known place. */
size_t attribute_numbers(const char *value, double *out, size_t max)
{
    size_t n = 0;
    for (const char *p = value; p != NULL && n < max; n++) {
        char *end = NULL;
        double number = strtod(p, &end);
        if (end == p || !isfinite(number))
            break;
        out[n] = number;
        end += strspn(end, " "); /* each may be padded (PS3.5 6.2) */
        p = *end == '\\' ? end + 1 : NULL;
    }
    return n;
}

double attribute_number(const struct scene *scene, uint32_t i, const char *path, double otherwise)
{
    double value = otherwise;
    attribute_numbers(attribute(scene, i, path), &value, 1);
    return value;
}

bool attribute_is(const struct scene *scene, uint32_t i, const char *path, const char *value)
{
    const char *text = attribute(scene, i, path);
    return text != NULL && strcmp(text, value) == 0;
}

/* Sources of an older host tell text only: no tables, no states then. */
static bool is_whole(const struct scene *scene)
{
    return HILUM_HAS(struct hilum_source, scene->source->size, items) &&
           scene->source->items != NULL && scene->source->bytes != NULL;
}

hilum_rc attribute_bytes(const struct scene *scene, uint32_t i, const char *path,
                         const void **bytes, uint64_t *n)
{
    return is_whole(scene) ? scene->source->bytes(scene->source->ctx, i, path, bytes, n)
                           : HILUM_ENOTFOUND;
}

uint64_t attribute_items(const struct scene *scene, uint32_t i, const char *path)
{
    return is_whole(scene) ? scene->source->items(scene->source->ctx, i, path) : 0;
}

/* States follow the slices in the source's numbering. */
bool scene_state(const struct scene *scene, uint32_t *i)
{
    *i = scene->source->n_slices;
    return is_whole(scene) && scene->source->n_states > 0;
}

/* Is it one of the numbers listed? No list means all. */
static bool is_listed(const struct scene *scene, uint32_t i, const char *path, uint32_t number)
{
    const char *list = attribute(scene, i, path);
    double value;
    if (list == NULL)
        return true;
    for (const char *p = list; p != NULL; p = strchr(p, '\\')) {
        p += *p == '\\';
        if (attribute_numbers(p, &value, 1) == 1 && value == number)
            return true;
    }
    return false;
}

/* Without a list of images an item is for all of the series (PS3.3 C.11.8); with frames named,
 * for those. */
bool state_names(const struct scene *scene, uint32_t state, const char *item,
                 const struct hilum_slice *slice)
{
    char path[ATTRIBUTE_PATH];
    snprintf(path, sizeof path, "%sReferencedImageSequence", item);
    uint64_t n = attribute_items(scene, state, path);
    for (unsigned k = 0; k < n && k < REFERENCED_MAX && slice->sop_instance != NULL; k++) {
        snprintf(path, sizeof path, "%sReferencedImageSequence[%u].ReferencedSOPInstanceUID", item,
                 k);
        if (!attribute_is(scene, state, path, slice->sop_instance))
            continue;
        snprintf(path, sizeof path, "%sReferencedImageSequence[%u].ReferencedFrameNumber", item, k);
        if (is_listed(scene, state, path, slice->frame_number))
            return true;
    }
    return n == 0;
}
