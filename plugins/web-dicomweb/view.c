/* What a picture is to look like: the rendering parameters of WADO-RS (PS3.18 8.3.5) and of WADO-URI (9.4.1.2) as the
 * view of a renderer (hilum/renderer.h).
 *
 * Two protocols have other names for the same wishes; both end in a struct hilum_view and a
 * JSON object of parameters, which is what renderers know. What is malformed is HILUM_EINVAL
 * with what was expected; what a renderer does not know of `parameters` is its own to refuse.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "web.h"

#include <math.h>
#include <stdlib.h>

#include <jansson.h>

/* PS3.18 sets no limit; 16,384 squared is the largest detector with room to spare, and 256 MiB
 * of grey while it is drawn. */
enum { SIDE_MAX = 16384 };

static const char *query(const struct web_call *call, const char *name)
{
    const char *value = call->api->query(call->http, name, 0);
    return value != NULL && *value != '\0' ? value : NULL;
}

static hilum_rc refuse(const struct web_call *call, const char *why)
{
    return call->web->host->fail(call->web->self, HILUM_EINVAL, why);
}

/* The number before a comma or the end; NAN: nothing stands there. strtod also takes "inf" and
 * "nan": neither is a place in a picture. */
static bool number_next(const char **text, double *out)
{
    char *end = NULL;
    *out = NAN;
    if (**text != ',' && **text != '\0') {
        *out = strtod(*text, &end);
        if (end == *text || !isfinite(*out) || (*end != ',' && *end != '\0'))
            return false;
        *text = end;
    }
    *text += **text == ',';
    return true;
}

/* ---- WADO-RS ---- */

/* vw,vh or vw,vh,sx,sy,sw,sh; what of the last four is empty is as it is without. PS3.18
 * 8.3.5.1.3: sw and sh default to the picture's own extent, which is not known here; so either
 * both or none. */
static hilum_rc read_viewport(const struct web_call *call, const char *text, struct web_view *out)
{
    static const char why[] = "viewport: expected width,height or width,height,x,y,width,height";
    double v[6] = {NAN, NAN, NAN, NAN, NAN, NAN};
    for (size_t i = 0; *text != '\0'; i++)
        if (i == 6 || !number_next(&text, &v[i]))
            return refuse(call, why);
    if (!(v[0] >= 1 && v[0] <= SIDE_MAX && v[1] >= 1 && v[1] <= SIDE_MAX))
        return refuse(call, why);
    out->view.width = (uint32_t)v[0];
    out->view.height = (uint32_t)v[1];
    if (isnan(v[2]) && isnan(v[3]) && isnan(v[4]) && isnan(v[5]))
        return HILUM_OK;
    if (isnan(v[4]) || isnan(v[5]))
        return refuse(call, "viewport: a region needs its width and height");
    for (size_t i = 0; i < 4; i++)
        out->region[i] = isnan(v[i + 2]) ? 0 : v[i + 2];
    out->region_in = WEB_IN_PIXELS;
    return HILUM_OK;
}

/* PS3.18 8.3.5.1.4 names all three; a client that leaves out the function gets linear (PS3.3
 * C.11.2.1.2). */
static hilum_rc read_window(const struct web_call *call, const char *text, json_t *parameters,
                            struct hilum_view *view)
{
    static const char why[] =
        "window: expected centre,width,function with linear, linear-exact or sigmoid";
    const char *function = NULL;
    double v[2];
    for (size_t i = 0; i < 2; i++)
        if (!number_next(&text, &v[i]) || isnan(v[i]))
            return refuse(call, why);
    if (!(v[1] > 0))
        return refuse(call, "window: the width is to be over 0");
    view->level = v[0];
    view->window = v[1];
    if (*text != '\0')
        function = text;
    if (function != NULL && strcmp(function, "linear") != 0 &&
        strcmp(function, "linear-exact") != 0 && strcmp(function, "sigmoid") != 0)
        return refuse(call, why);
    json_object_set_new(parameters, "voi", json_string(function != NULL ? function : "linear"));
    return HILUM_OK;
}

static hilum_rc read_quality(const struct web_call *call, const char *text, struct hilum_view *view)
{
    char *end = NULL;
    unsigned long quality = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || quality < 1 || quality > 100)
        return refuse(call, "quality: expected a number from 1 to 100");
    view->quality = (uint32_t)quality;
    return HILUM_OK;
}

/* "patient,technique"; what is unknown is left out (PS3.18 8.3.5.1.1). */
static void read_annotation(const char *text, json_t *parameters)
{
    json_t *list = json_array();
    if (strstr(text, "patient") != NULL)
        json_array_append_new(list, json_string("patient"));
    if (strstr(text, "technique") != NULL)
        json_array_append_new(list, json_string("technique"));
    json_object_set_new(parameters, "annotation", list);
}

/* PS3.18 8.3.5.1.5: what the renderer knows by the same words. */
static hilum_rc read_profile(const struct web_call *call, json_t *parameters)
{
    static const char *const names[] = {"no", "yes", "srgb", "adobergb", "rommrgb", "displayp3"};
    const char *wish = query(call, "iccprofile");
    if (wish == NULL)
        return HILUM_OK;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(wish, names[i]) == 0) {
            json_object_set_new(parameters, "icc", json_string(wish));
            return HILUM_OK;
        }
    return refuse(call, "iccprofile: expected no, yes, srgb, adobergb, rommrgb or displayp3");
}

/* Hilum's own: any parameters of the renderer as a JSON object; what is named in the
 * standard's way comes on top. Duplicates are refused: two parsers would take two different
 * ones. */
static hilum_rc parameters_new(const struct web_call *call, json_t **out)
{
    const char *own = query(call, "parameters");
    *out = own != NULL ? json_loads(own, JSON_REJECT_DUPLICATES, NULL) : json_object();
    if (own != NULL && !json_is_object(*out)) {
        json_decref(*out);
        *out = NULL;
        return refuse(call, "parameters: expected a JSON object");
    }
    return *out != NULL ? HILUM_OK : HILUM_ENOMEM;
}

/* Takes `parameters`. With JSON_COMPACT: region_place puts its member behind the '{', and
 * looks for '}' there. */
static hilum_rc finish(json_t *parameters, hilum_rc rc, struct web_view *out)
{
    if (rc == HILUM_OK) {
        out->parameters = json_dumps(parameters, JSON_COMPACT);
        out->view.parameters = out->parameters;
        rc = out->parameters != NULL ? HILUM_OK : HILUM_ENOMEM;
    }
    json_decref(parameters);
    return rc;
}

hilum_rc web_view_read(const struct web_call *call, struct web_view *out)
{
    json_t *parameters = NULL;
    const char *viewport = query(call, "viewport"), *window = query(call, "window");
    const char *quality = query(call, "quality"), *annotation = query(call, "annotation");
    *out = (struct web_view){.view = {.size = sizeof out->view, .mode = "flat"}};
    hilum_rc rc = parameters_new(call, &parameters);
    if (rc == HILUM_OK && viewport != NULL)
        rc = read_viewport(call, viewport, out);
    if (rc == HILUM_OK && window != NULL)
        rc = read_window(call, window, parameters, &out->view);
    if (rc == HILUM_OK && quality != NULL)
        rc = read_quality(call, quality, &out->view);
    if (rc == HILUM_OK && annotation != NULL)
        read_annotation(annotation, parameters);
    if (rc == HILUM_OK)
        rc = read_profile(call, parameters);
    return finish(parameters, rc, out);
}

/* ---- WADO-URI ---- */

/* 0: not named, and up to the renderer. */
static hilum_rc read_side(const struct web_call *call, const char *name, uint32_t *out)
{
    const char *text = query(call, name);
    char *end = NULL;
    if (text == NULL)
        return HILUM_OK;
    unsigned long side = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || side < 1 || side > SIDE_MAX)
        return refuse(call, "rows, columns: expected a number of pixels");
    *out = (uint32_t)side;
    return HILUM_OK;
}

static hilum_rc read_center(const struct web_call *call, struct hilum_view *view)
{
    const char *center = query(call, "windowCenter"), *width = query(call, "windowWidth");
    if (center == NULL && width == NULL)
        return HILUM_OK;
    if (center == NULL || width == NULL)
        return refuse(call, "windowCenter and windowWidth go together");
    if (!number_next(&center, &view->level) || !number_next(&width, &view->window) ||
        !(view->window > 0) || isnan(view->level))
        return refuse(call, "windowCenter, windowWidth: expected numbers");
    return HILUM_OK;
}

static hilum_rc read_frame_number(const struct web_call *call, uint64_t *out)
{
    const char *text = query(call, "frameNumber");
    char *end = NULL;
    if (text == NULL)
        return HILUM_OK;
    *out = strtoull(text, &end, 10);
    if (*text < '1' || *text > '9' || *end != '\0')
        return refuse(call, "frameNumber: expected a number from 1");
    return HILUM_OK;
}

/* xmin,ymin,xmax,ymax from 0 to 1, of what would be drawn; pixels are known later. Two corners
 * become a corner and an extent, as in WADO-RS. */
static hilum_rc read_region(const struct web_call *call, struct web_view *out)
{
    const char *text = query(call, "region");
    double *v = out->region;
    if (text == NULL)
        return HILUM_OK;
    for (size_t i = 0; i < 4; i++)
        if (!number_next(&text, &v[i]) || !(v[i] >= 0 && v[i] <= 1))
            return refuse(call, "region: expected four numbers from 0 to 1");
    if (!(v[2] > v[0] && v[3] > v[1]) || *text != '\0')
        return refuse(call, "region: is empty");
    v[2] -= v[0];
    v[3] -= v[1];
    out->region_in = WEB_IN_PARTS;
    return HILUM_OK;
}

static hilum_rc read_state(const struct web_call *call, struct web_view *out)
{
    out->state = query(call, "presentationUID");
    out->state_series = query(call, "presentationSeriesUID");
    if (out->state == NULL && out->state_series == NULL)
        return HILUM_OK;
    if (out->state == NULL || out->state_series == NULL || !web_is_uid(out->state) ||
        !web_is_uid(out->state_series))
        return refuse(call, "presentationUID and presentationSeriesUID go together, each a UID");
    return HILUM_OK;
}

hilum_rc web_view_read_uri(const struct web_call *call, struct web_view *out)
{
    json_t *parameters = NULL;
    const char *quality = query(call, "imageQuality"), *annotation = query(call, "annotation");
    *out = (struct web_view){.view = {.size = sizeof out->view, .mode = "flat"}};
    hilum_rc rc = parameters_new(call, &parameters);
    if (rc == HILUM_OK)
        rc = read_side(call, "rows", &out->view.height);
    if (rc == HILUM_OK)
        rc = read_side(call, "columns", &out->view.width);
    if (rc == HILUM_OK)
        rc = read_center(call, &out->view);
    if (rc == HILUM_OK)
        rc = read_frame_number(call, &out->frame);
    if (rc == HILUM_OK)
        rc = read_region(call, out);
    if (rc == HILUM_OK)
        rc = read_state(call, out);
    if (rc == HILUM_OK && quality != NULL)
        rc = read_quality(call, quality, &out->view);
    if (rc == HILUM_OK && annotation != NULL)
        read_annotation(annotation, parameters);
    if (rc == HILUM_OK)
        rc = read_profile(call, parameters);
    return finish(parameters, rc, out);
}

void web_view_fini(struct web_view *view)
{
    free(view->parameters);
    view->parameters = NULL;
}
