/* 8 bits with loss, encoded by libjpeg-turbo. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "jpeg.h"
#include "jpeg_out.h"

enum { QUALITY_DEFAULT = 90 };

/* A frame on its way, and the stream it becomes. */
struct coding {
    const struct hilum_frame *frame;
    const void *src;
    uint32_t photometric; /* inside the stream */
    int quality;
    JSAMPLE *line;
    int32_t *values;
    struct jpeg_out out;
};

static J_COLOR_SPACE source_space(const struct hilum_frame *frame)
{
    if (frame->samples == 1)
        return JCS_GRAYSCALE;
    return frame->photometric == HILUM_PHOTO_RGB ? JCS_RGB : JCS_YCbCr;
}

/* Huffman tables are made for the picture (optimize_coding): smaller, and 4:2:2 halves the
 * differences across only, which is what PS3.5 8.2.1 has. */
static void set_up(struct jpeg_compress_struct *encoder, const struct coding *coding)
{
    const struct hilum_frame *frame = coding->frame;
    encoder->image_width = frame->columns;
    encoder->image_height = frame->rows;
    encoder->input_components = (int)frame->samples;
    encoder->in_color_space = source_space(frame);
    jpeg_set_defaults(encoder);
    jpeg_set_quality(encoder, coding->quality, TRUE);
    encoder->optimize_coding = TRUE;
    if (frame->samples == 1)
        return;
    jpeg_set_colorspace(encoder, coding->photometric == HILUM_PHOTO_RGB ? JCS_RGB : JCS_YCbCr);
    encoder->comp_info[0].h_samp_factor = coding->photometric == HILUM_PHOTO_YBR_FULL_422 ? 2 : 1;
    encoder->comp_info[0].v_samp_factor = 1;
}

/* The colours of two pixels are given to both: halving them again yields the same. */
static void get_halved(const struct coding *coding, uint32_t row)
{
    const uint8_t *p = (const uint8_t *)coding->src + (size_t)row * coding->frame->columns * 2;
    JSAMPLE *to = coding->line;
    for (uint32_t x = 0; x + 1 < coding->frame->columns; x += 2, p += 4, to += 6) {
        to[0] = p[0];
        to[3] = p[1];
        to[1] = to[4] = p[2];
        to[2] = to[5] = p[3];
    }
}

static void get_line(const struct coding *coding, uint32_t row)
{
    const struct hilum_frame *frame = coding->frame;
    if (frame->photometric == HILUM_PHOTO_YBR_FULL_422) {
        get_halved(coding, row);
        return;
    }
    for (uint32_t sample = 0; sample < frame->samples; sample++) {
        codec_row_get(frame, coding->src, row, sample, frame->bits_stored, coding->values);
        for (uint32_t x = 0; x < frame->columns; x++)
            coding->line[(size_t)x * frame->samples + sample] = (JSAMPLE)coding->values[x];
    }
}

/* Left by longjmp() on errors: everything it changes is behind `coding`. */
static bool run(struct coding *coding, struct jpeg_compress_struct *encoder)
{
    if (setjmp(coding->out.way_out))
        return false;
    jpeg_out_begin(&coding->out, encoder);
    set_up(encoder, coding);
    jpeg_start_compress(encoder, TRUE);
    while (encoder->next_scanline < encoder->image_height) {
        JSAMPROW line = coding->line;
        get_line(coding, encoder->next_scanline);
        (void)jpeg_write_scanlines(encoder, &line, 1);
    }
    jpeg_finish_compress(encoder);
    return true;
}

/* A new encoder each time: one that failed is in no known state. */
static hilum_rc encode_once(void *self, struct coding *coding)
{
    struct jpeg_compress_struct encoder = {0};
    bool is_done = run(coding, &encoder);
    jpeg_destroy_compress(&encoder);
    return is_done ? HILUM_OK : codec_fail(self, HILUM_EUNSUP, "JPEG: %s", coding->out.why);
}

/* The best quality that is small enough, by halving. */
static hilum_rc encode_to_ratio(void *self, struct coding *coding, double ratio)
{
    double most = (double)hilum_frame_bytes(coding->frame) / ratio;
    int low = 1, high = 100;
    hilum_rc rc = HILUM_OK;
    while (!rc && low < high) {
        coding->quality = (low + high + 1) / 2;
        rc = encode_once(self, coding);
        if ((double)coding->out.n <= most)
            low = coding->quality;
        else
            high = coding->quality - 1;
    }
    coding->quality = low;
    return rc ? rc : encode_once(self, coding);
}

static hilum_rc photometric_of(void *self, const struct hilum_frame *frame, uint32_t wanted,
                               uint32_t *out)
{
    *out = frame->photometric;
    if (frame->samples == 1 || frame->photometric == HILUM_PHOTO_YBR_FULL_422)
        return HILUM_OK;
    if (frame->samples != 3 ||
        (frame->photometric != HILUM_PHOTO_RGB && frame->photometric != HILUM_PHOTO_YBR_FULL))
        return codec_fail(self, HILUM_EUNSUP, "JPEG of %u samples in these colours",
                          frame->samples);
    *out = wanted ? wanted : HILUM_PHOTO_YBR_FULL_422;
    bool is_known = *out == HILUM_PHOTO_YBR_FULL || *out == HILUM_PHOTO_YBR_FULL_422 ||
                    (*out == HILUM_PHOTO_RGB && frame->photometric == HILUM_PHOTO_RGB);
    return is_known ? HILUM_OK
                    : codec_fail(self, HILUM_EUNSUP, "JPEG is YBR_FULL, YBR_FULL_422 or RGB");
}

static hilum_rc encode_coding(void *self, struct coding *coding, const struct hilum_encode *wanted,
                              struct hilum_sink *out)
{
    if (!coding->line || !coding->values || !coding->out.bytes)
        return codec_fail(self, HILUM_ENOMEM, "no memory for a frame as JPEG");
    coding->quality = wanted->quality ? (int)wanted->quality : QUALITY_DEFAULT;
    hilum_rc rc = wanted->ratio > 0 ? encode_to_ratio(self, coding, wanted->ratio)
                                    : encode_once(self, coding);
    return rc ? rc : codec_write(out, coding->out.bytes, coding->out.n);
}

hilum_rc jpeg_turbo_encode(void *self, const struct hilum_frame *frame, const void *src,
                           const struct hilum_encode *wanted, struct hilum_sink *out,
                           uint64_t *written, uint32_t *photometric)
{
    struct coding coding = {.frame = frame, .src = src};
    if (wanted->max_error || wanted->psnr > 0 || wanted->quality > 100)
        return codec_fail(self, HILUM_EUNSUP, "JPEG is told its loss by quality or ratio");
    hilum_rc rc = photometric_of(self, frame, wanted->photometric, &coding.photometric);
    if (rc)
        return rc;
    coding.line = calloc(frame->columns, frame->samples);
    coding.values = calloc(frame->columns, sizeof *coding.values);
    (void)jpeg_out_init(&coding.out);
    rc = encode_coding(self, &coding, wanted, out);
    *written = rc ? 0 : coding.out.n;
    *photometric = coding.photometric;
    free(coding.line);
    free(coding.values);
    jpeg_out_fini(&coding.out);
    return rc;
}
