/* Pictures as JPEG (JFIF) by libjpeg-turbo. SPDX-License-Identifier: Apache-2.0 */
#include "render.h"

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

#include <jerror.h>

enum { LINES = 16, ROOM = 64 * 1024 }; /* lines handed over at once; bytes to begin with */

/* The file as it grows. Ours, not jpeg_mem_dest(): what that one has grown into is lost, and our
 * pointer to it stale, when the library gives up in the middle. */
struct file {
    struct jpeg_destination_mgr base; /* first: the library only knows this */
    unsigned char *bytes;
    size_t n, room;
};

static void file_begin(j_compress_ptr jpeg)
{
    struct file *file = (struct file *)jpeg->dest;
    file->base.next_output_byte = file->bytes;
    file->base.free_in_buffer = file->room;
}

/* Called when it is full, all of it. */
static boolean file_grow(j_compress_ptr jpeg)
{
    struct file *file = (struct file *)jpeg->dest;
    unsigned char *larger = realloc(file->bytes, 2 * file->room);
    if (larger == NULL)
        ERREXIT1(jpeg, JERR_OUT_OF_MEMORY, 0);
    file->bytes = larger;
    file->base.next_output_byte = larger + file->room;
    file->base.free_in_buffer = file->room;
    file->room *= 2;
    return TRUE;
}

static void file_end(j_compress_ptr jpeg)
{
    struct file *file = (struct file *)jpeg->dest;
    file->n = file->room - file->base.free_in_buffer;
}

/* base is first: libjpeg hands back a pointer to it. */
struct failure {
    struct jpeg_error_mgr base;
    jmp_buf back;
    char why[JMSG_LENGTH_MAX];
};

static void fail(j_common_ptr common)
{
    struct failure *failure = (struct failure *)common->err;
    common->err->format_message(common, failure->why);
    longjmp(failure->back, 1);
}

static void say_nothing(j_common_ptr common)
{
    (void)common;
}

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
    density(jpeg, spacing);
}

/* longjmp comes back here: nothing between holds anything but what is static in memory. */
static hilum_rc compress(const struct picture *picture, uint32_t quality,
                         const struct labels *labels, struct file *file, struct failure *failure)
{
    struct jpeg_compress_struct jpeg = {.err = jpeg_std_error(&failure->base)};
    failure->base.error_exit = fail;
    failure->base.output_message = say_nothing;
    jpeg_create_compress(&jpeg);
    if (setjmp(failure->back) != 0) {
        jpeg_destroy_compress(&jpeg);
        return HILUM_EINTERNAL;
    }
    jpeg.dest = &file->base;
    settings(&jpeg, picture, quality, labels->spacing);
    jpeg_start_compress(&jpeg, TRUE);
    if (labels->profile != NULL)
        jpeg_write_icc_profile(&jpeg, labels->profile, labels->n_profile);
    size_t row = (size_t)picture->width * picture->channels;
    while (jpeg.next_scanline < jpeg.image_height) {
        JSAMPROW lines[LINES];
        JDIMENSION filled = 0;
        for (; filled < LINES && jpeg.next_scanline + filled < jpeg.image_height; filled++)
            lines[filled] = (JSAMPROW)picture->pixels + (jpeg.next_scanline + filled) * row;
        jpeg_write_scanlines(&jpeg, lines, filled);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    return HILUM_OK;
}

/* The file is in memory before its first byte leaves: a failure is still an answer. */
hilum_rc encode_jpeg(const struct render *render, const struct picture *picture, uint32_t quality,
                     const struct labels *labels, struct hilum_sink *out)
{
    struct failure failure;
    if (picture->depth != 8)
        return render_fail(render, HILUM_EUNSUP, "JPEG has 8 bits: ask for image/png");
    struct file file = {.base = {.init_destination = file_begin,
                                 .empty_output_buffer = file_grow,
                                 .term_destination = file_end},
                        .bytes = malloc(ROOM),
                        .room = ROOM};
    if (file.bytes == NULL)
        return render_fail(render, HILUM_ENOMEM, "no memory for a JPEG");
    hilum_rc rc = compress(picture, quality, labels, &file, &failure);
    if (rc != HILUM_OK)
        rc = render_fail(render, rc, "JPEG: %s", failure.why);
    else
        rc = out->write(out->ctx, file.bytes, file.n);
    free(file.bytes);
    return rc;
}
