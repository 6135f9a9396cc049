/* What writes letters (text.c) and what puts them in order (shape.c) share. SPDX-License-Identifier: Apache-2.0 */
#ifndef RENDER_2D_LETTERS_H
#define RENDER_2D_LETTERS_H

#include "render.h"

#include <pthread.h>

#include <ft2build.h>
#include FT_FREETYPE_H
#include <hb.h>

/* TEXT_MAX: letters of a text; an annotation is never so long, a file from outside may be. */
enum { FACES = 16, TEXT_MAX = 16384 };

/* Fonts are opened at the first letter, and used by one thread at a time: faces keep state. */
struct letters {
    pthread_mutex_t lock;
    char *paths;
    bool is_open;
    FT_Library library;
    FT_Face faces[FACES];
    hb_font_t *shapers[FACES]; /* of each face */
    unsigned n;
};

/* A letter as it is drawn: where its pen stands, from the beginning of the line and above its ground. */
struct glyph {
    FT_Face face;
    FT_UInt index;
    double x, y;
};

/* A line in the order it is seen: directions by the Unicode Bidirectional Algorithm, forms and marks by the font that has the
 * characters, at the size faces are set to. HILUM_ENOMEM. With the lock of letters; *out is the caller's to free. */
hilum_rc shape_line(const struct letters *letters, const uint32_t *text, size_t n,
                    struct glyph **out, size_t *n_out, double *width);

#endif
