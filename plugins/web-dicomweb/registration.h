/* Spatial registrations (registration.c): an image's way into another frame of reference. Knows nothing of states and of
 * drawing. Threads: those of the objects given. SPDX-License-Identifier: Apache-2.0 */
#ifndef WEB_REGISTRATION_H
#define WEB_REGISTRATION_H

#include "hilum/renderer.h"
#include "web.h"

/* From an image's coordinates to those of `reference`: three rows of four, millimetres. */
struct web_registration {
    double matrix[12];
    char reference[65]; /* "": the image stays where it is */
};

enum { WEB_REGISTERED_MAX = 100 };

/* A registration object whose lists were read, once for all images that are asked about. `object` is borrowed. */
struct web_registered {
    hilum_object *object;
    char reference[65]; /* what it registers to */
    unsigned n_items;
    struct {
        char reference[65];
        bool has_images;
    } items[WEB_REGISTERED_MAX];
    struct web_registered_image {
        char instance[65];
        unsigned item;
    } * images; /* by instance, then item */
    size_t n_images, room;
};
/* The caller frees *out in every case. HILUM_EUNSUP: it bends, is of another kind, or names too many images. */
hilum_rc web_registered_read(const struct web_call *call, hilum_object *registration,
                             struct web_registered **out);
void web_registered_free(struct web_registered *registered); /* NULL: nothing */

/* What it says of the image; NULL, or nothing said: that it stays. HILUM_EUNSUP: it shears; HILUM_EINVAL: its matrix
 * makes no sense. */
hilum_rc web_registration_read(const struct web_call *call, const struct web_registered *registered,
                               hilum_object *image, struct web_registration *out);
/* A point. */
void web_registration_move(const struct web_registration *r, const double in[3], double out[3]);
/* A slice's place, directions and spacing (PS3.3 C.20.2.1.1). */
void web_registration_apply(const struct web_registration *r, struct hilum_slice *slice);

/* n finite numbers joined by backslash, of an attribute of the object. */
bool web_numbers(const struct web_call *call, hilum_object *object, const char *path, double *out,
                 int n);

#endif
