/* Letters by FreeType: left to right, a glyph a character, from the first font that has it. What needs shaping (Arabic,
 * Indic scripts) is not shaped. SPDX-License-Identifier: Apache-2.0 */
#include "render.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <ft2build.h>
#include FT_FREETYPE_H

enum { FACES = 4, NAME_MAX_LENGTH = 512, TEXT_MAX = 16384 };

/* Fonts are opened at the first letter, and used by one thread at a time: FreeType's faces keep state. */
struct letters {
    pthread_mutex_t lock;
    char *paths;
    bool is_open;
    FT_Library library;
    FT_Face faces[FACES];
    unsigned n;
};

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

void letters_free(struct letters *letters)
{
    if (letters == NULL)
        return;
    for (unsigned i = 0; i < letters->n; i++)
        FT_Done_Face(letters->faces[i]);
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
            letters->n += face_open(letters, path, &letters->faces[letters->n]);
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

/* The glyph of a character, drawn; NULL: no font has it, and none has a stand-in. */
static FT_GlyphSlot glyph_of(const struct letters *letters, uint32_t c, double height)
{
    FT_Face face = letters->faces[0];
    FT_UInt index = 0;
    for (unsigned i = 0; i < letters->n && index == 0; i++) {
        index = FT_Get_Char_Index(letters->faces[i], c);
        if (index != 0)
            face = letters->faces[i];
    }
    if (FT_Set_Pixel_Sizes(face, 0,
                           (FT_UInt)(height < 4     ? 4
                                     : height > 500 ? 500
                                                    : height)) != 0 ||
        FT_Load_Glyph(face, index, FT_LOAD_RENDER) != 0)
        return NULL;
    return face->glyph;
}

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

/* Draws, or with picture NULL only measures. */
static void run(const struct letters *letters, struct picture *picture, double x, double y,
                double height, const char *utf8, const struct ink *ink, double *width)
{
    double pen = x, line = y + height * 0.85;
    for (unsigned n = 0; *utf8 != '\0' && n < TEXT_MAX; n++) {
        uint32_t c = next_character(&utf8);
        if (c == '\n') {
            pen = x;
            line += height * 1.2;
        }
        FT_GlyphSlot glyph = c >= ' ' ? glyph_of(letters, c, height) : NULL;
        if (glyph == NULL)
            continue;
        if (picture != NULL && glyph->bitmap.pixel_mode == FT_PIXEL_MODE_GRAY)
            stamp(picture, &glyph->bitmap, (int)(pen + glyph->bitmap_left),
                  (int)(line - glyph->bitmap_top), ink);
        pen += (double)glyph->advance.x / 64;
        *width = pen - x > *width ? pen - x : *width;
    }
}

static hilum_rc fonts_take(const struct render *render)
{
    struct letters *letters = render->letters;
    pthread_mutex_lock(&letters->lock);
    if (!letters->is_open)
        fonts_open(letters);
    if (letters->n > 0)
        return HILUM_OK;
    pthread_mutex_unlock(&letters->lock);
    return render_fail(
        render, HILUM_EUNSUP,
        "no font to write with: install fonts-noto-cjk or fonts-wqy-microhei, or name "
        "one in the option fonts");
}

hilum_rc letters_draw(const struct render *render, struct picture *picture, double x, double y,
                      double height, const char *utf8, const struct ink *ink)
{
    static const struct ink shadow = {0, 0, 0, 0};
    double width = 0;
    hilum_rc rc = fonts_take(render);
    if (rc != HILUM_OK)
        return rc;
    if (ink->red + ink->green + ink->blue > 1) /* legible on white too */
        for (int k = 0; k < 4; k++)
            run(render->letters, picture, x + (k & 1 ? 1 : -1), y + (k & 2 ? 1 : -1), height, utf8,
                &shadow, &width);
    run(render->letters, picture, x, y, height, utf8, ink, &width);
    pthread_mutex_unlock(&render->letters->lock);
    return HILUM_OK;
}

hilum_rc letters_measure(const struct render *render, double height, const char *utf8,
                         double *width, double *total_height)
{
    hilum_rc rc = fonts_take(render);
    *width = 0;
    *total_height = height * 1.2;
    if (rc != HILUM_OK)
        return rc;
    run(render->letters, NULL, 0, 0, height, utf8, NULL, width);
    for (const char *p = utf8; *p != '\0'; p++)
        *total_height += *p == '\n' ? height * 1.2 : 0;
    pthread_mutex_unlock(&render->letters->lock);
    return HILUM_OK;
}
