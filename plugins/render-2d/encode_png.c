/* Pictures as PNG by libpng, and bare. SPDX-License-Identifier: Apache-2.0 */
#include "render.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>

#include <png.h>

/* zlib's 2 with the SUB filter: shades of a picture gain little by more, and the caller waits. */
enum { LEVEL = 2, PIECE = 65536 };

struct writer {
    const struct scene *scene;
    struct hilum_sink *out;
    hilum_rc rc; /* of the sink, where that failed */
};

static void put(png_structp png, png_bytep bytes, png_size_t n)
{
    struct writer *writer = png_get_io_ptr(png);
    writer->rc = writer->out->write(writer->out->ctx, bytes, n);
    if (writer->rc != HILUM_OK)
        png_error(png, "the reader has gone");
}

static void flush(png_structp png)
{
    (void)png;
}

/* libpng wants no return from here. */
static void fail(png_structp png, png_const_charp why)
{
    struct writer *writer = png_get_error_ptr(png);
    if (writer->rc == HILUM_OK)
        writer->rc = render_fail(writer->scene->render, HILUM_EINTERNAL, "PNG: %s", why);
    longjmp(*png_set_longjmp_fn(png, longjmp, sizeof(jmp_buf)), 1);
}

static void warn(png_structp png, png_const_charp why)
{
    (void)png;
    (void)why;
}

/* pHYs are pixels a metre. */
static void head(png_structp png, png_infop info, const struct picture *picture,
                 const struct labels *labels)
{
    png_set_IHDR(png, info, picture->width, picture->height, (int)picture->depth,
                 picture->channels == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    const double *spacing = labels->spacing;
    if (labels->profile != NULL)
        png_set_iCCP(png, info, "ICC", PNG_COMPRESSION_TYPE_BASE, labels->profile,
                     labels->n_profile);
    if (spacing[0] > 1e-5 && spacing[1] > 1e-5)
        png_set_pHYs(png, info, (png_uint_32)lround(1000 / spacing[1]),
                     (png_uint_32)lround(1000 / spacing[0]), PNG_RESOLUTION_METER);
    png_set_compression_level(png, LEVEL);
    png_set_filter(png, 0, PNG_FILTER_SUB);
    png_write_info(png, info);
    if (picture->depth == 16 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
        png_set_swap(png);
}

/* Returns, or leaves by longjmp() to encode_png. */
static void write_all(png_structp png, png_infop info, const struct picture *picture,
                      const struct labels *labels)
{
    struct writer *writer = png_get_io_ptr(png);
    size_t row = (size_t)picture->width * picture->channels * (picture->depth / 8);
    head(png, info, picture, labels);
    for (uint32_t y = 0; y < picture->height; y++) {
        if (y % 16 == 0 && (writer->rc = scene_go_on(writer->scene)) != HILUM_OK)
            png_error(png, "nobody waits");
        png_write_row(png, (png_const_bytep)picture->pixels + y * row);
    }
    png_write_end(png, info);
}

/* libpng ends by longjmp(): nothing that must be freed is made between setjmp and here, but
 * for what png_destroy_write_struct frees. writer.rc says what went wrong. */
hilum_rc encode_png(const struct scene *scene, const struct picture *picture,
                    const struct labels *labels, struct hilum_sink *out)
{
    struct writer writer = {scene, out, HILUM_OK};
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &writer, fail, warn);
    png_infop info = png != NULL ? png_create_info_struct(png) : NULL;
    if (info == NULL) {
        png_destroy_write_struct(&png, NULL);
        return render_fail(scene->render, HILUM_ENOMEM, "no memory for a PNG");
    }
    if (setjmp(png_jmpbuf(png)) == 0) {
        png_set_write_fn(png, &writer, put, flush);
        write_all(png, info, picture, labels);
    }
    png_destroy_write_struct(&png, &info);
    return writer.rc;
}

/* Little endian on every machine, as the caller was told. */
hilum_rc encode_raw(const struct render *render, const struct picture *picture,
                    struct hilum_sink *out)
{
    size_t n = picture_bytes(picture);
    uint8_t piece[PIECE];
    if (picture->depth == 8 || __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
        return out->write(out->ctx, picture->pixels, n);
    (void)render;
    const uint16_t *from = picture->pixels;
    hilum_rc rc = HILUM_OK;
    for (size_t at = 0; rc == HILUM_OK && at < n / 2;) {
        size_t k = 0;
        for (; k < PIECE / 2 && at < n / 2; k++, at++) {
            piece[2 * k] = (uint8_t)from[at];
            piece[2 * k + 1] = (uint8_t)(from[at] >> 8);
        }
        rc = out->write(out->ctx, piece, 2 * k);
    }
    return rc;
}
