/* What a state blends, as one series of slices (blended.c), and the way to objects that it names (states.c).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef WEB_BLENDED_H
#define WEB_BLENDED_H

#include "hilum/renderer.h"
#include "web.h"

/* The UID at that path of a state; false: there is none, or what is there is no UID. (states.c) */
enum { WEB_UID = 65 };
bool web_state_uid(const struct web_call *call, hilum_object *object, const char *path,
                   char out[WEB_UID]);

/* An object that a state names, opened as if the user had asked for it; the caller closes it. study NULL or "": that of the
 * request. (states.c) */
hilum_rc web_state_open(const struct web_call *call, const char *study, const char *series,
                        const char *instance, hilum_object **out);

/* Is this a state of several inputs? */
bool web_blends(const struct web_call *call, hilum_object *state);
/* An image that it is drawn on; the caller closes it. HILUM_ENOTFOUND: it names none, or blends nothing. */
hilum_rc web_blend_first(const struct web_call *call, hilum_object *state, hilum_object **out);
/* Draws a frame (from 1; 0: the one that stands for all) of the image with what the state lays on it. HILUM_EUNSUP: also where
 * a registration is not drawn, or not here. */
hilum_rc web_blend_draw(const struct web_call *call, hilum_object *image, hilum_object *state,
                        const struct web_view *view, uint64_t frame, struct web_picture *out);

#endif
