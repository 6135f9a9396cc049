/* Pictures as JPEG (JFIF) by libjpeg-turbo. SPDX-License-Identifier: Apache-2.0 */
#include "render.h"

#include <math.h>

#include "jpeg_out.h"

enum { LINES = 16 }; /* handed over at once; a multiple of DCTSIZE */

/* JFIF has whole dots a centimetre; what does not fit is not said. */
static void density(struct jpeg_compress_struct *jpeg, const double spacing[2])
{
    double across = spacing[1] > 0 ? 10 / spacing[1] : 0,
           down = spacing[0] > 0 ? 10 / spacing[0] : 0;
    if (across < 1 || down < 1 || across > 65535 || down > 65535)
        return;
    jpeg->density_unit = 2; /* a centimetre */
    jpeg->X_density = (UINT16)lround(across);
    jpeg->Y_density = (UINT16)lround(down);
}

/* Shades whose lines are whole blocks go to the transform from where they lie: what libjpeg does before (a copy a value, then
 * another) is a twentieth of a picture's time. Below the last line it is repeated, as libjpeg does it. */
static bool is_in_blocks(const struct picture *picture)
{
    return picture->channels == 1 && picture->width % DCTSIZE == 0;
}

/* Below 85 colours are halved, as libjpeg does by itself. */
static void settings(struct jpeg_compress_struct *jpeg, const struct picture *picture,
                     uint32_t quality, const double spacing[2])
{
    jpeg->image_width = picture->width;
    jpeg->image_height = picture->height;
    jpeg->input_components = (int)picture->channels;
    jpeg->in_color_space = picture->channels == 3 ? JCS_RGB : JCS_GRAYSCALE;
    jpeg_set_defaults(jpeg);
    jpeg_set_quality(jpeg, quality < 1 ? 1 : quality > 100 ? 100 : (int)quality, TRUE);
    if (picture->channels == 3 && quality >= 85) { /* thin coloured lines stay coloured */
        jpeg->comp_info[0].h_samp_factor = 1;
        jpeg->comp_info[0].v_samp_factor = 1;
    }
    jpeg->raw_data_in = is_in_blocks(picture);
    density(jpeg, spacing);
}

static bool is_wanted(const struct scene *scene, JDIMENSION line)
{
    return line % LINES != 0 || scene_go_on(scene) == HILUM_OK;
}

/* Both end early where nobody waits. */
static void write_blocks(const struct scene *scene, struct jpeg_compress_struct *jpeg,
                         const struct picture *picture)
{
    while (jpeg->next_scanline < jpeg->image_height && is_wanted(scene, jpeg->next_scanline)) {
        JSAMPROW lines[DCTSIZE], *plane = lines;
        for (JDIMENSION k = 0; k < DCTSIZE; k++) {
            JDIMENSION line = jpeg->next_scanline + k, last = picture->height - 1;
            lines[k] =
                (JSAMPROW)picture->pixels + (size_t)(line < last ? line : last) * picture->width;
        }
        jpeg_write_raw_data(jpeg, &plane, DCTSIZE);
    }
}

static void write_lines(const struct scene *scene, struct jpeg_compress_struct *jpeg,
                        const struct picture *picture)
{
    size_t row = (size_t)picture->width * picture->channels;
    while (jpeg->next_scanline < jpeg->image_height && is_wanted(scene, jpeg->next_scanline)) {
        JSAMPROW lines[LINES];
        JDIMENSION filled = 0;
        for (; filled < LINES && jpeg->next_scanline + filled < jpeg->image_height; filled++)
            lines[filled] = (JSAMPROW)picture->pixels + (jpeg->next_scanline + filled) * row;
        jpeg_write_scanlines(jpeg, lines, filled);
    }
}

/* longjmp comes back here: nothing between holds anything but what is static in memory. */
static hilum_rc compress(const struct scene *scene, const struct picture *picture, uint32_t quality,
                         const struct labels *labels, struct jpeg_out *file)
{
    struct jpeg_compress_struct jpeg = {.err = NULL};
    if (setjmp(file->way_out) != 0) {
        jpeg_destroy_compress(&jpeg);
        return HILUM_EINTERNAL;
    }
    jpeg_out_begin(file, &jpeg);
    settings(&jpeg, picture, quality, labels->spacing);
    jpeg_start_compress(&jpeg, TRUE);
    if (labels->profile != NULL)
        jpeg_write_icc_profile(&jpeg, labels->profile, labels->n_profile);
    if (jpeg.raw_data_in)
        write_blocks(scene, &jpeg, picture);
    else
        write_lines(scene, &jpeg, picture);
    bool is_whole = jpeg.next_scanline >= jpeg.image_height;
    if (is_whole)
        jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    return is_whole ? HILUM_OK : HILUM_ECLOSED;
}

/* The file is in memory before its first byte leaves: a failure is still an answer. */
hilum_rc encode_jpeg(const struct scene *scene, const struct picture *picture, uint32_t quality,
                     const struct labels *labels, struct hilum_sink *out)
{
    const struct render *render = scene->render;
    struct jpeg_out file;
    if (picture->depth != 8)
        return render_fail(render, HILUM_EUNSUP, "JPEG has 8 bits: ask for image/png");
    if (!jpeg_out_init(&file))
        return render_fail(render, HILUM_ENOMEM, "no memory for a JPEG");
    hilum_rc rc = compress(scene, picture, quality, labels, &file);
    if (rc == HILUM_EINTERNAL)
        rc = render_fail(render, rc, "JPEG: %s", file.why);
    else if (rc == HILUM_OK)
        rc = out->write(out->ctx, file.bytes, file.n);
    jpeg_out_fini(&file);
    return rc;
}
