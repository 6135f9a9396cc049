/* Which frames a state's film has, and how long each is seen (playback.c). SPDX-License-Identifier: Apache-2.0 */
#ifndef WEB_PLAYBACK_H
#define WEB_PLAYBACK_H

#include "web.h"

enum { WEB_FILM_MAX = 20000 }; /* pictures: eleven minutes at 30 a second */

struct web_shot {
    uint64_t frame; /* from 1 */
    uint32_t times; /* pictures that it is seen for */
};
struct web_playback {
    struct web_shot *shots;
    size_t n, cap;
    double rate; /* pictures a second */
};

/* What a state of XA recommends of the image's n_frames (PS3.3 C.11.21); all of them at `rate` where it says nothing.
 * HILUM_EUNSUP: more than a film may have, or none at all. Free with web_playback_fini in every case. */
hilum_rc web_playback_read(const struct web_call *call, hilum_object *image, hilum_object *state,
                           uint64_t n_frames, double rate, struct web_playback *out);
void web_playback_fini(struct web_playback *playback);

#endif
