/* What is written into the corners: patient, technique (PS3.18 8.3.5.1.1), and a bar of known length.
 * SPDX-License-Identifier: Apache-2.0 */
#include "render.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Bytes of all lines of a corner. */
enum { LINES = 1024 };

/* In proportion to the picture, legible from a thumbnail to a print. */
static double letter_height(const struct picture *picture)
{
    double height = picture->height / 36.0;
    return height < 10 ? 10 : height > 40 ? 40 : height;
}

/* A line with the value, if there is one. */
static void add(char *lines, const char *before, const char *value)
{
    size_t n = strlen(lines);
    if (value != NULL && n < LINES)
        snprintf(lines + n, LINES - n, "%s%s%s", n > 0 ? "\n" : "", before, value);
}

/* The ideographic group of a name if there is one, without carets. For eyes: in the patient's
 * own script where the name has it (PS3.5 6.2.1). */
static const char *name_of(const char *value, char *out, size_t size)
{
    if (value == NULL)
        return NULL;
    const char *second = strchr(value, '=');
    if (second != NULL && second[1] != '\0' && second[1] != '=')
        value = second + 1;
    snprintf(out, size, "%.*s", (int)strcspn(value, "="), value);
    for (char *p = out; *p != '\0'; p++)
        if (*p == '^')
            *p = ' ';
    return out;
}

static void patient_lines(const struct scene *scene, uint32_t i, char *lines)
{
    char name[256];
    add(lines, "", name_of(attribute(scene, i, "PatientName"), name, sizeof name));
    add(lines, "", attribute(scene, i, "PatientID"));
    add(lines, "", attribute(scene, i, "PatientBirthDate"));
    add(lines, "", attribute(scene, i, "PatientSex"));
}

/* What is not there has no line (add). */
static void technique_lines(const struct scene *scene, uint32_t i, char *lines)
{
    add(lines, "", attribute(scene, i, "InstitutionName"));
    add(lines, "", attribute(scene, i, "StudyDate"));
    add(lines, "", attribute(scene, i, "Modality"));
    add(lines, "", attribute(scene, i, "SeriesDescription"));
    add(lines, "Im ", attribute(scene, i, "InstanceNumber"));
    add(lines, "kV ", attribute(scene, i, "KVP"));
    add(lines, "mA ", attribute(scene, i, "XRayTubeCurrent"));
    add(lines, "mm ", attribute(scene, i, "SliceThickness"));
}

/* Measured first: text on the right ends at the margin, and never begins left of the picture. */
static hilum_rc corner(const struct scene *scene, struct picture *picture, const char *lines,
                       bool is_right)
{
    static const struct ink white = {1, 1, 1, 1};
    double height = letter_height(picture), width, total;
    if (*lines == '\0')
        return HILUM_OK;
    hilum_rc rc = letters_measure(scene->render, height, lines, &width, &total);
    if (rc != HILUM_OK)
        return rc;
    double x = is_right ? picture->width - width - height / 2 : height / 2;
    const struct text_place place = {x < 0 ? 0 : x, height / 2, height, width, is_right ? 1 : 0};
    return letters_draw(scene->render, picture, &place, lines, &white);
}

/* ---- the bar ---- */

/* The longest of 1, 2, 5 times a power of ten that takes at most a third of the width. */
static double bar_length(double width)
{
    static const double steps[] = {5, 2, 1};
    double most = width / 3, power = pow(10, floor(log10(most)));
    for (int i = 0; i < 3; i++)
        if (steps[i] * power <= most)
            return steps[i] * power;
    return power;
}

/* Black below white, so that it is seen on both. */
static hilum_rc draw_bar(const struct scene *scene, const struct layout *layout,
                         struct picture *picture)
{
    static const struct ink black = {0, 0, 0, 4}, white = {1, 1, 1, 2};
    char label[32];
    double spacing = layout->spacing[1], height = letter_height(picture);
    if (!(spacing > 0))
        return render_fail(scene->render, HILUM_EUNSUP,
                           "a scale needs pixel spacing, which this image does not have");
    double length = bar_length(picture->width * spacing), across = length / spacing;
    double x = height, y = picture->height - height;
    snprintf(label, sizeof label, length >= 10 ? "%g cm" : "%g mm",
             length >= 10 ? length / 10 : length);
    for (int pass = 0; pass < 2; pass++) {
        const struct ink *ink = pass == 0 ? &black : &white;
        draw_line(picture, x, y, x + across, y, ink);
        for (int tick = 0; tick <= 5; tick++)
            draw_line(picture, x + across * tick / 5, y, x + across * tick / 5,
                      y - height / (tick % 5 == 0 ? 2 : 4), ink);
    }
    const struct text_place place = {x + across + height / 2, y - height * 0.9, height, 0, 0};
    return letters_draw(scene->render, picture, &place, label, &white);
}

/* Last of all marks: nothing may cover whose picture it is. */
hilum_rc legend_draw(const struct scene *scene, const struct request *request,
                     const struct layout *layout, struct picture *picture)
{
    char left[LINES] = "", right[LINES] = "";
    hilum_rc rc = HILUM_OK;
    if (request->has_patient)
        patient_lines(scene, request->slice, left);
    if (request->has_technique)
        technique_lines(scene, request->slice, right);
    rc = corner(scene, picture, left, false);
    if (rc == HILUM_OK)
        rc = corner(scene, picture, right, true);
    if (rc == HILUM_OK && request->has_scale_bar)
        rc = draw_bar(scene, layout, picture);
    return rc;
}
