/* Lines of text in the order and the forms they are seen in: FriBidi says which way each part goes, HarfBuzz which glyphs of
 * a font stand for it. SPDX-License-Identifier: Apache-2.0 */
#include "letters.h"

#include <stdlib.h>
#include <string.h>

#include <fribidi.h>

/* Characters of one font, script and direction. */
struct run {
    size_t at, n;
    unsigned face;
    hb_script_t script;
    int level; /* odd: from right to left */
};

/* From letters to glyphs: each step fills what the next one reads. pen: where the next glyph
 * goes, pixels. */
struct line {
    const struct letters *letters;
    const uint32_t *text;
    size_t n;
    FriBidiLevel *levels;
    struct run *runs;
    size_t n_runs;
    struct glyph *glyphs;
    size_t n_glyphs, cap;
    double pen;
};

/* ---- which way ---- */

/* The paragraph's direction is that of its first strong character. */
static bool find_levels(struct line *line)
{
    FriBidiCharType *types = calloc(line->n, sizeof *types);
    FriBidiBracketType *brackets = calloc(line->n, sizeof *brackets);
    FriBidiParType direction = FRIBIDI_PAR_ON;
    int n = (int)line->n;
    line->levels = calloc(line->n, sizeof *line->levels);
    bool is_good = types != NULL && brackets != NULL && line->levels != NULL;
    if (is_good) {
        fribidi_get_bidi_types(line->text, n, types);
        fribidi_get_bracket_types(line->text, n, types, brackets);
        is_good =
            fribidi_get_par_embedding_levels_ex(types, brackets, n, &direction, line->levels) != 0;
    }
    free(types);
    free(brackets);
    return is_good;
}

/* ---- runs ---- */

static bool has(const struct letters *letters, unsigned face, uint32_t c)
{
    return FT_Get_Char_Index(letters->faces[face], c) != 0;
}

/* The first font that has it; what belongs to any script stays with its neighbour, so that
 * runs are long. None has it: the first font's own sign for that. */
static unsigned face_of(const struct letters *letters, uint32_t c, bool is_anybodys, unsigned face)
{
    if (is_anybodys && has(letters, face, c))
        return face;
    for (unsigned i = 0; i < letters->n; i++)
        if (has(letters, i, c))
            return i;
    return is_anybodys ? face : 0;
}

static bool is_anybodys(hb_script_t script)
{
    return script == HB_SCRIPT_COMMON || script == HB_SCRIPT_INHERITED ||
           script == HB_SCRIPT_UNKNOWN;
}

/* A run has one font, one script and one direction, which is all HarfBuzz takes at a time.
 * Digits and punctuation (anybody's) join the run they stand in; a run that began with them
 * takes the script of the first letter. */
static bool split(struct line *line)
{
    hb_unicode_funcs_t *unicode = hb_unicode_funcs_get_default();
    line->runs = calloc(line->n, sizeof *line->runs);
    if (line->runs == NULL)
        return false;
    struct run *run = line->runs;
    *run = (struct run){.script = HB_SCRIPT_COMMON, .level = (uint8_t)line->levels[0]};
    for (size_t i = 0; i < line->n; i++) {
        hb_script_t script = hb_unicode_script(unicode, line->text[i]);
        unsigned face = face_of(line->letters, line->text[i], is_anybodys(script), run->face);
        if (is_anybodys(script) || (run->n > 0 && is_anybodys(run->script)))
            script = is_anybodys(script) ? run->script : script;
        if (run->n > 0 && is_anybodys(run->script))
            run->script = script;
        if (run->n > 0 && (face != run->face || script != run->script ||
                           (uint8_t)line->levels[i] != run->level)) {
            run++;
            *run = (struct run){.at = i};
        }
        run->face = face;
        run->script = script;
        run->level = (uint8_t)line->levels[i];
        run->n++;
    }
    line->n_runs = (size_t)(run - line->runs) + 1;
    return true;
}

static void reverse(struct run *runs, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) {
        struct run held = runs[i];
        runs[i] = runs[n - 1 - i];
        runs[n - 1 - i] = held;
    }
}

/* Rule L2: from the highest level down to the lowest odd one, what is at it or above is turned round. */
static void reorder(struct line *line)
{
    int highest = 0;
    for (size_t i = 0; i < line->n_runs; i++)
        if (line->runs[i].level > highest)
            highest = line->runs[i].level;
    for (int level = highest; level > 0; level--)
        for (size_t i = 0; i < line->n_runs;) {
            size_t end = i;
            while (end < line->n_runs && line->runs[end].level >= level)
                end++;
            reverse(line->runs + i, end - i);
            i = end > i ? end : i + 1;
        }
}

/* ---- glyphs ---- */

/* HarfBuzz counts in 64ths of a pixel. */
static bool take(struct line *line, hb_buffer_t *buffer, FT_Face face)
{
    unsigned n = hb_buffer_get_length(buffer);
    const hb_glyph_info_t *infos = hb_buffer_get_glyph_infos(buffer, NULL);
    const hb_glyph_position_t *places = hb_buffer_get_glyph_positions(buffer, NULL);
    if (n > line->cap - line->n_glyphs) {
        size_t cap = (line->n_glyphs + n) * 2;
        struct glyph *grown = realloc(line->glyphs, cap * sizeof *grown);
        if (grown == NULL)
            return false;
        line->glyphs = grown;
        line->cap = cap;
    }
    for (unsigned i = 0; i < n; i++) {
        line->glyphs[line->n_glyphs++] =
            (struct glyph){face, infos[i].codepoint, line->pen + places[i].x_offset / 64.0,
                           places[i].y_offset / 64.0};
        line->pen += places[i].x_advance / 64.0;
    }
    return true;
}

/* With the context of the whole line, so that letters join over the border of two runs. */
static bool shape_run(struct line *line, hb_buffer_t *buffer, const struct run *run)
{
    hb_buffer_clear_contents(buffer);
    hb_buffer_add_utf32(buffer, line->text, (int)line->n, (unsigned)run->at, (int)run->n);
    hb_buffer_set_direction(buffer, run->level % 2 ? HB_DIRECTION_RTL : HB_DIRECTION_LTR);
    hb_buffer_set_script(buffer, is_anybodys(run->script) ? HB_SCRIPT_LATIN : run->script);
    hb_buffer_set_language(buffer, hb_language_from_string("und", -1));
    hb_shape(line->letters->shapers[run->face], buffer, NULL, 0);
    return hb_buffer_allocation_successful(buffer) &&
           take(line, buffer, line->letters->faces[run->face]);
}

/* Unicode's order: levels of direction, runs, runs reordered, each shaped. *out is the
 * caller's, NULL without text. */
hilum_rc shape_line(const struct letters *letters, const uint32_t *text, size_t n,
                    struct glyph **out, size_t *n_out, double *width)
{
    struct line line = {.letters = letters, .text = text, .n = n};
    hb_buffer_t *buffer = n > 0 ? hb_buffer_create() : NULL;
    bool is_good = n == 0 || (find_levels(&line) && split(&line));
    if (is_good && n > 0)
        reorder(&line);
    for (size_t i = 0; is_good && i < line.n_runs; i++)
        is_good = shape_run(&line, buffer, &line.runs[i]);
    hb_buffer_destroy(buffer);
    free(line.levels);
    free(line.runs);
    if (!is_good)
        free(line.glyphs);
    *out = is_good ? line.glyphs : NULL;
    *n_out = is_good ? line.n_glyphs : 0;
    *width = line.pen;
    return is_good ? HILUM_OK : HILUM_ENOMEM;
}
