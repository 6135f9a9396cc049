/* A view and its JSON parameters (see parameters_schema of render-2d.c). SPDX-License-Identifier: Apache-2.0 */
#include "render.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

static hilum_rc refuse(const struct scene *scene, const char *name, const char *wanted)
{
    return render_fail(scene->render, HILUM_EINVAL, "parameter %s: expected %s", name, wanted);
}

/* Absent leaves what was set before. */
static hilum_rc read_flag(const struct scene *scene, const json_t *from, const char *name,
                          bool *out)
{
    const json_t *value = json_object_get(from, name);
    if (value == NULL)
        return HILUM_OK;
    if (!json_is_boolean(value))
        return refuse(scene, name, "true or false");
    *out = json_is_true(value);
    return HILUM_OK;
}

static hilum_rc read_flags(const struct scene *scene, const json_t *from, struct request *out)
{
    const struct {
        const char *name;
        bool *to;
    } flags[] = {{"suv", &out->is_suv},
                 {"invert", &out->is_inverted},
                 {"overlays", &out->has_overlays},
                 {"scale_bar", &out->has_scale_bar}};
    hilum_rc rc = HILUM_OK;
    for (size_t i = 0; rc == HILUM_OK && i < sizeof flags / sizeof *flags; i++)
        rc = read_flag(scene, from, flags[i].name, flags[i].to);
    return rc;
}

/* Sixteen windows at most are read, so a larger index is the last one there is. */
static hilum_rc read_voi(const struct scene *scene, const json_t *from, struct request *out)
{
    static const char *const names[] = {"", "linear", "linear-exact", "sigmoid"};
    const char *name = json_string_value(json_object_get(from, "voi"));
    const json_t *index = json_object_get(from, "window_index");
    if (json_is_integer(index) && json_integer_value(index) >= 0)
        out->voi = json_integer_value(index) < 16 ? (uint32_t)json_integer_value(index) : 16;
    else if (index != NULL)
        return refuse(scene, "window_index", "a number from 0");
    if (json_object_get(from, "voi") == NULL)
        return HILUM_OK;
    for (unsigned k = 1; name != NULL && k < sizeof names / sizeof *names; k++)
        if (strcmp(name, names[k]) == 0) {
            out->function = (enum voi_function)k;
            return HILUM_OK;
        }
    return refuse(scene, "voi", "linear, linear-exact or sigmoid");
}

/* Negative extents mirror (PS3.18 8.3.5.1.3). */
static hilum_rc read_region(const struct scene *scene, const json_t *from, struct request *out)
{
    const json_t *list = json_object_get(from, "region");
    if (list == NULL)
        return HILUM_OK;
    if (json_array_size(list) != 4)
        return refuse(scene, "region", "x, y, width, height");
    for (size_t i = 0; i < 4; i++) {
        const json_t *value = json_array_get(list, i);
        out->region[i] = json_number_value(value);
        if (!json_is_number(value) || !(fabs(out->region[i]) <= 1e6))
            return refuse(scene, "region", "four numbers");
    }
    out->is_flipped_x = out->region[2] < 0;
    out->is_flipped_y = out->region[3] < 0;
    out->region[2] = fabs(out->region[2]);
    out->region[3] = fabs(out->region[3]);
    if (out->region[2] < 0.01 || out->region[3] < 0.01)
        return refuse(scene, "region", "a width and a height");
    out->has_region = true;
    return HILUM_OK;
}

static hilum_rc read_annotation(const struct scene *scene, const json_t *from, struct request *out)
{
    const json_t *list = json_object_get(from, "annotation"), *item;
    size_t i;
    if (list != NULL && !json_is_array(list))
        return refuse(scene, "annotation", "a list of patient, technique");
    json_array_foreach(list, i, item)
    {
        const char *name = json_string_value(item);
        if (name != NULL && strcmp(name, "patient") == 0)
            out->has_patient = true;
        else if (name != NULL && strcmp(name, "technique") == 0)
            out->has_technique = true;
        else
            return refuse(scene, "annotation", "a list of patient, technique");
    }
    return HILUM_OK;
}

/* mask: a slice by number, from 0; UINT32_MAX: none was named. What operators' parameters mean
 * is their own to check. */
static hilum_rc read_operator(const struct scene *scene, const json_t *item, struct request *out)
{
    const char *name = json_string_value(json_object_get(item, "name"));
    const json_t *mask = json_object_get(item, "mask");
    const json_t *parameters = json_object_get(item, "parameters");
    if (name == NULL || strlen(name) >= sizeof out->operators->name)
        return refuse(scene, "operators", "a list of objects with a name each");
    if (out->n_operators == OPERATORS_MAX)
        return refuse(scene, "operators", "at most eight");
    struct wanted_operator *wanted = &out->operators[out->n_operators++];
    snprintf(wanted->name, sizeof wanted->name, "%s", name);
    wanted->mask = UINT32_MAX;
    if (json_is_integer(mask) && json_integer_value(mask) >= 0)
        wanted->mask = (uint32_t)json_integer_value(mask);
    if (parameters != NULL)
        wanted->parameters = json_dumps(parameters, JSON_COMPACT);
    return HILUM_OK;
}

static hilum_rc read_operators(const struct scene *scene, const json_t *from, struct request *out)
{
    const json_t *list = json_object_get(from, "operators"), *item;
    hilum_rc rc = HILUM_OK;
    size_t i;
    if (list != NULL && !json_is_array(list))
        return refuse(scene, "operators", "a list");
    json_array_foreach(list, i, item)
    {
        rc = read_operator(scene, item, out);
        if (rc != HILUM_OK)
            return rc;
    }
    return rc;
}

static hilum_rc read_mask(const struct scene *scene, const json_t *from, struct request *out)
{
    bool is_wanted = false;
    if (json_object_get(from, "mask") == NULL)
        return HILUM_OK;
    hilum_rc rc = read_flag(scene, from, "mask", &is_wanted);
    out->mask = is_wanted ? MASK_ALWAYS : MASK_NEVER;
    return rc;
}

/* The order of names is that of enum icc_wish. */
static hilum_rc read_icc(const struct scene *scene, const json_t *from, struct request *out)
{
    static const char *const names[] = {"",         "no",      "yes",      "srgb",
                                        "adobergb", "rommrgb", "displayp3"};
    const json_t *wish = json_object_get(from, "icc");
    const char *name = json_string_value(wish);
    for (unsigned k = 1; name != NULL && k < sizeof names / sizeof *names; k++)
        if (strcmp(name, names[k]) == 0) {
            out->icc = (enum icc_wish)k;
            return HILUM_OK;
        }
    return wish == NULL ? HILUM_OK
                        : refuse(scene, "icc", "no, yes, srgb, adobergb, rommrgb or displayp3");
}

/* 16: for who windows it himself. */
static hilum_rc read_depth(const struct scene *scene, const json_t *from, struct request *out)
{
    const json_t *depth = json_object_get(from, "depth");
    if (depth == NULL)
        return HILUM_OK;
    if (json_integer_value(depth) != 8 && json_integer_value(depth) != 16)
        return refuse(scene, "depth", "8 or 16");
    out->depth = (uint32_t)json_integer_value(depth);
    return HILUM_OK;
}

/* Names that are not known are passed over: an older renderer serves a newer caller. */
static hilum_rc read_parameters(const struct scene *scene, const char *text, struct request *out)
{
    static hilum_rc (*const readers[])(const struct scene *, const json_t *, struct request *) = {
        read_flags,     read_voi,   read_region, read_annotation,
        read_operators, read_depth, read_icc,    read_mask};
    json_error_t error;
    json_t *from = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(from)) {
        json_decref(from);
        return render_fail(scene->render, HILUM_EINVAL, "parameters are no JSON object");
    }
    hilum_rc rc = HILUM_OK;
    for (size_t i = 0; rc == HILUM_OK && i < sizeof readers / sizeof *readers; i++)
        rc = readers[i](scene, from, out);
    json_decref(from);
    return rc;
}

/* Numbers that are none (NaN) count as not said. */
hilum_rc request_read(const struct scene *scene, const struct hilum_view *view, struct request *out)
{
    *out = (struct request){.width = view->width,
                            .height = view->height,
                            .slice = view->slice,
                            .depth = 8,
                            .quality = view->quality,
                            .zoom = view->zoom,
                            .has_overlays = true};
    if (out->quality == 0 || out->quality > 100)
        out->quality = (uint32_t)scene->render->conf->quality;
    if (out->width > SIDE_MAX || out->height > SIDE_MAX)
        return render_fail(scene->render, HILUM_EINVAL, "a picture of more than %d pixels a side",
                           SIDE_MAX);
    if (isfinite(view->window) && isfinite(view->level) && view->window > 0) {
        out->window = view->window;
        out->level = view->level;
    }
    if (view->mode != NULL && *view->mode != '\0' && strcmp(view->mode, "flat") != 0)
        return render_fail(scene->render, HILUM_EUNSUP, "the only mode here is flat");
    return view->parameters != NULL ? read_parameters(scene, view->parameters, out) : HILUM_OK;
}

void request_fini(struct request *request)
{
    for (uint32_t i = 0; i < request->n_operators; i++)
        free(request->operators[i].parameters);
}
