/* Letters by FreeType, in the order and forms that shape.c finds, from the first font that has them.
 *
 * FreeType faces have state (size, the glyph loaded last), so all writing is under one lock:
 * some milliseconds a picture.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "letters.h"

#include <stdlib.h>
#include <string.h>

#include <hb-ft.h>

enum { NAME_MAX_LENGTH = 512 };

/* Fonts are opened with the first text: most pictures have none. */
struct letters *letters_new(const char *paths)
{
    struct letters *letters = calloc(1, sizeof *letters);
    if (letters == NULL)
        return NULL;
    letters->paths = strdup(paths);
    if (letters->paths == NULL) {
        free(letters);
        return NULL;
    }
    pthread_mutex_init(&letters->lock, NULL);
    return letters;
}

/* Shapers before faces: they refer to them. */
void letters_free(struct letters *letters)
{
    if (letters == NULL)
        return;
    for (unsigned i = 0; i < letters->n; i++) {
        hb_font_destroy(letters->shapers[i]);
        FT_Done_Face(letters->faces[i]);
    }
    if (letters->library != NULL)
        FT_Done_FreeType(letters->library);
    pthread_mutex_destroy(&letters->lock);
    free(letters->paths);
    free(letters);
}

/* Of a collection the face for simplified Chinese, so that Han characters do not come out Japanese. */
static bool face_open(struct letters *letters, const char *path, FT_Face *out)
{
    if (FT_New_Face(letters->library, path, 0, out) != 0)
        return false;
    for (FT_Long i = 1; i < (*out)->num_faces && i < 16; i++) {
        FT_Face other;
        if (FT_New_Face(letters->library, path, i, &other) != 0)
            continue;
        size_t n = other->family_name != NULL ? strlen(other->family_name) : 0;
        if (n > 3 && strcmp(other->family_name + n - 3, " SC") == 0) {
            FT_Done_Face(*out);
            *out = other;
            return true;
        }
        FT_Done_Face(other);
    }
    return true;
}

static void fonts_open(struct letters *letters)
{
    char path[NAME_MAX_LENGTH];
    letters->is_open = true;
    if (FT_Init_FreeType(&letters->library) != 0) {
        letters->library = NULL;
        return;
    }
    for (const char *p = letters->paths; *p != '\0' && letters->n < FACES;) {
        size_t n = strcspn(p, ":");
        if (n > 0 && n < sizeof path) {
            memcpy(path, p, n);
            path[n] = '\0';
            if (face_open(letters, path, &letters->faces[letters->n])) {
                letters->shapers[letters->n] = hb_ft_font_create(letters->faces[letters->n], NULL);
                letters->n++;
            }
        }
        p += n + (p[n] == ':');
    }
}

/* ---- characters ---- */

/* The next character of UTF-8; what is none is the replacement character. */
static uint32_t next_character(const char **text)
{
    const unsigned char *p = (const unsigned char *)*text;
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    unsigned more = *p < 0x80 ? 0 : *p >= 0xF0 && *p < 0xF5 ? 3 : *p >= 0xE0 ? 2 : 1;
    uint32_t c = more == 0 ? *p : *p & (0x3Fu >> more);
    bool is_good = *p < 0x80 || (*p >= 0xC2 && *p < 0xF5);
    p++;
    for (unsigned k = 0; is_good && k < more; k++, p++) {
        is_good = (*p & 0xC0) == 0x80;
        if (!is_good)
            break;
        c = c << 6 | (*p & 0x3F);
    }
    *text = (const char *)p;
    return is_good && c >= least[more] ? c : 0xFFFD;
}

/* Holds the letters' lock: bitmap belongs to the face. Coverage of 0 to 255 is the ink's
 * weight. */
static void stamp(struct picture *picture, const FT_Bitmap *bitmap, double x, double y,
                  const struct ink *ink)
{
    for (unsigned row = 0; row < bitmap->rows; row++)
        for (unsigned column = 0; column < bitmap->width; column++) {
            double px = x + column, py = y + row;
            uint8_t cover = bitmap->buffer[(size_t)row * (size_t)abs(bitmap->pitch) + column];
            if (cover > 0 && px >= 0 && py >= 0 && px < SIDE_MAX && py < SIDE_MAX)
                draw_pixel(picture, (uint32_t)px, (uint32_t)py, cover / 255.0, ink);
        }
}

/* A line's characters, up to its end; control characters are left out. */
static size_t read_line(const char **utf8, uint32_t *out, size_t max)
{
    size_t n = 0;
    while (**utf8 != '\0' && **utf8 != '\n') {
        uint32_t c = next_character(utf8);
        if (c >= ' ' && n < max)
            out[n++] = c;
    }
    *utf8 += **utf8 == '\n';
    return n;
}

/* A glyph that cannot be loaded is left out. Whole pixels: glyphs are hinted for those. */
static void draw_glyphs(struct picture *picture, double x, double y, const struct glyph *glyphs,
                        size_t n, const struct ink *ink)
{
    for (size_t i = 0; i < n; i++) {
        FT_GlyphSlot slot = glyphs[i].face->glyph;
        if (FT_Load_Glyph(glyphs[i].face, glyphs[i].index, FT_LOAD_RENDER) == 0 &&
            slot->bitmap.pixel_mode == FT_PIXEL_MODE_GRAY)
            stamp(picture, &slot->bitmap, (int)(x + glyphs[i].x + slot->bitmap_left),
                  (int)(y - glyphs[i].y - slot->bitmap_top), ink);
    }
}

/* A piece of text being drawn; picture NULL: only measured. */
struct writing {
    const struct letters *letters;
    struct picture *picture;
    double x, y, height, align; /* of `within`: 0 to the left, 1 to the right */
    double within, widest;
    const struct ink *ink;
};

/* Four copies in black, a pixel off each way. */
static void draw_shadowed(const struct writing *w, double x, double y, const struct glyph *glyphs,
                          size_t n)
{
    static const struct ink shadow = {0, 0, 0, 0};
    if (w->ink->red + w->ink->green + w->ink->blue > 1) /* legible on white too */
        for (int k = 0; k < 4; k++)
            draw_glyphs(w->picture, x + (k & 1 ? 1 : -1), y + (k & 2 ? 1 : -1), glyphs, n, &shadow);
    draw_glyphs(w->picture, x, y, glyphs, n, w->ink);
}

/* TEXT_MAX characters in all: a text object may hold a book. */
static hilum_rc write_lines(struct writing *w, const char *utf8)
{
    uint32_t *line = malloc(TEXT_MAX * sizeof *line);
    double ground = w->y + w->height * 0.85;
    hilum_rc rc = line != NULL ? HILUM_OK : HILUM_ENOMEM;
    for (size_t left = TEXT_MAX; rc == HILUM_OK && *utf8 != '\0' && left > 0;) {
        struct glyph *glyphs = NULL;
        size_t n_glyphs = 0, n = read_line(&utf8, line, left);
        double width = 0;
        rc = shape_line(w->letters, line, n, &glyphs, &n_glyphs, &width);
        w->widest = width > w->widest ? width : w->widest;
        if (rc == HILUM_OK && w->picture != NULL)
            draw_shadowed(w, w->x + w->align * (w->within - width), ground, glyphs, n_glyphs);
        free(glyphs);
        ground += w->height * 1.2;
        left -= n < left ? n + (n == 0) : left; /* empty lines count too */
    }
    free(line);
    return rc;
}

/* Takes the fonts' lock and sets their size. */
static hilum_rc fonts_take(const struct render *render, double height)
{
    struct letters *letters = render->letters;
    pthread_mutex_lock(&letters->lock);
    if (!letters->is_open)
        fonts_open(letters);
    for (unsigned i = 0; i < letters->n; i++) {
        FT_Set_Pixel_Sizes(letters->faces[i], 0,
                           (FT_UInt)(height < 4     ? 4
                                     : height > 500 ? 500
                                                    : height));
        hb_ft_font_changed(letters->shapers[i]);
    }
    if (letters->n > 0)
        return HILUM_OK;
    pthread_mutex_unlock(&letters->lock);
    return render_fail(
        render, HILUM_EUNSUP,
        "no font to write with: install fonts-noto-cjk or fonts-wqy-microhei, or name "
        "one in the option fonts");
}

/* fonts_take() returns with the lock held, or not at all: FreeType's faces have a size, which
 * is whoever draws' for the time. */
hilum_rc letters_draw(const struct render *render, struct picture *picture,
                      const struct text_place *place, const char *utf8, const struct ink *ink)
{
    struct writing w = {.letters = render->letters,
                        .picture = picture,
                        .x = place->x,
                        .y = place->y,
                        .height = place->height,
                        .align = place->align,
                        .within = place->width,
                        .ink = ink};
    hilum_rc rc = fonts_take(render, place->height);
    if (rc != HILUM_OK)
        return rc;
    rc = write_lines(&w, utf8);
    pthread_mutex_unlock(&render->letters->lock);
    return rc == HILUM_OK ? rc : render_fail(render, rc, "no memory for a line of text");
}

/* The same way through as drawing, without a picture: what is measured is what will be drawn. */
hilum_rc letters_measure(const struct render *render, double height, const char *utf8,
                         double *width, double *total_height)
{
    struct writing w = {.letters = render->letters, .height = height};
    *width = 0;
    *total_height = height * 1.2;
    hilum_rc rc = fonts_take(render, height);
    if (rc != HILUM_OK)
        return rc;
    rc = write_lines(&w, utf8);
    pthread_mutex_unlock(&render->letters->lock);
    *width = w.widest;
    for (const char *p = utf8; *p != '\0'; p++)
        *total_height += *p == '\n' ? height * 1.2 : 0;
    return rc == HILUM_OK ? rc : render_fail(render, rc, "no memory for a line of text");
}
