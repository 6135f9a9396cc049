/* Presentation states (PS3.3 A.33) and the images they are made for. What blends several is blended.c's.
 *
 * A state is an object of its own and may lie in another series, or study, than what it is for;
 * each object it names is opened by a path as if the user had asked for it, so that a state shows
 * nobody what the user may not see.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "blended.h"

#include <stdio.h>

#include "hilum/renderer.h"

#define STATES "1.2.840.10008.5.1.4.1.1.11."

/* PS3.4 B.5: all presentation states are below this root. */
bool web_is_state(const char *sop_class)
{
    return strncmp(sop_class, STATES, strlen(STATES)) == 0;
}

static bool is_state(const struct web *web, hilum_object *object)
{
    struct hilum_object_names names = {.size = sizeof names};
    return web->host->objects->names(object, &names) == HILUM_OK && web_is_state(names.sop_class);
}

/* ---- images a state names ---- */

bool web_state_uid(const struct web_call *call, hilum_object *object, const char *path,
                   char out[WEB_UID])
{
    const char *value = call->web->host->objects->text(object, path);
    snprintf(out, WEB_UID, "%s", value != NULL ? value : "");
    return web_is_uid(out);
}

/* Where the state names no study it is that of the request. The tag is thrown away: the
 * state's own object is in the answer's. */
hilum_rc web_state_open(const struct web_call *call, const char *study, const char *series,
                        const char *instance, hilum_object **out)
{
    struct web_call other = *call;
    struct web_tag tag = {0};
    if (study != NULL && web_is_uid(study))
        other.uids[0] = study;
    other.uids[1] = series;
    other.uids[2] = instance;
    hilum_rc rc = web_open_one(&other, out, &tag);
    if (rc == HILUM_OK)
        web_for_client(call, *out);
    return rc;
}

/* The first image a state is made for: of several that are blended one that the others are laid on. */
hilum_rc web_state_image(const struct web_call *call, hilum_object *state, hilum_object **out)
{
    char study[WEB_UID], series[WEB_UID], image[WEB_UID];
    if (web_blends(call, state))
        return web_blend_first(call, state, out);
    web_state_uid(call, state, "StudyInstanceUID", study);
    if (!web_state_uid(call, state, "ReferencedSeriesSequence[0].SeriesInstanceUID", series) ||
        !web_state_uid(
            call, state,
            "ReferencedSeriesSequence[0].ReferencedImageSequence[0].ReferencedSOPInstanceUID",
            image))
        return call->web->host->fail(call->web->self, HILUM_ENOTFOUND,
                                     "the presentation state names no image");
    return web_state_open(call, study, series, image, out);
}

/* ---- the picture ---- */

hilum_rc web_state_draw(const struct web_call *call, hilum_object *image, hilum_object *state,
                        const struct web_view *view, uint64_t frame, struct web_picture *out)
{
    const struct hilum_source *source = NULL;
    if (state != NULL && web_blends(call, state))
        return web_blend_draw(call, image, state, view, frame, out);
    hilum_rc rc = call->web->host->objects->source(image, state, &source);
    return rc == HILUM_OK ? web_picture_draw_source(call->web, source, view, frame, 0, out) : rc;
}

/* A video is drawn by ffmpeg and knows no states. */
hilum_rc web_picture_draw(const struct web_call *call, hilum_object *object,
                          const struct web_view *view, uint64_t frame, struct web_picture *out)
{
    const struct hilum_object_api *objects = call->web->host->objects;
    hilum_object *image = NULL, *state = NULL;
    hilum_rc rc = HILUM_OK;
    web_for_client(call, object);
    if (web_is_video(call->web, object))
        return web_video_still(call->web, object, view, out);
    if (view->state != NULL)
        rc = web_state_open(call, NULL, view->state_series, view->state, &state);
    else if (is_state(call->web, object))
        rc = web_state_image(call, object, &image);
    if (rc == HILUM_OK)
        rc = web_state_draw(call, image != NULL ? image : object, image != NULL ? object : state,
                            view, frame, out);
    objects->close(image);
    objects->close(state);
    return rc;
}
