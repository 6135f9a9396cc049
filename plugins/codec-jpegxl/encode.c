/* SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jxl/encode.h>

#include "jxl.h"

/* EFFORT_*: libjxl's own default (7) takes ten times as long as 3 and wins two per cent. Distances are Butteraugli's: 1 is
 * where a loss is just seen. TRIES: halvings of their logarithm. */
enum { EFFORT_LOSSLESS = 3, EFFORT_LOSSY = 5, TRIES = 8, PIECE = 1 << 16 };
static const double distance_default = 1.0, finest = 0.05, coarsest = 15.0;

/* One encoding of a frame in the library's layout. */
struct job {
    void *self;
    const struct hilum_frame *layout;
    const void *pixels;
    double distance; /* 0: without loss */
    uint32_t effort;
    struct hilum_sink *out; /* NULL: only the size is asked for */
    uint64_t written;
};

/* ---- samples ---- */

/* The whole range of the type is what the library takes them for (decode.c). */
static void stretch8(uint8_t *p, uint64_t n, uint32_t most)
{
    for (uint64_t i = 0; i < n; i++)
        p[i] = (uint8_t)((p[i] * 255u + most / 2) / most);
}

static void stretch16(uint8_t *p, uint64_t n, uint32_t most)
{
    for (uint64_t i = 0; i < n; i++) {
        uint16_t value;
        memcpy(&value, p + 2 * i, sizeof value);
        value = htole16((uint16_t)((le16toh(value) * 65535u + most / 2) / most));
        memcpy(p + 2 * i, &value, sizeof value);
    }
}

static void stretch_float(uint8_t *p, uint64_t n, uint32_t most)
{
    for (uint64_t i = 0; i < n; i++) {
        uint32_t value;
        memcpy(&value, p + 4 * i, sizeof value);
        float part = (float)((double)le32toh(value) / most);
        memcpy(p + 4 * i, &part, sizeof part);
    }
}

static void stretch(const struct hilum_frame *layout, uint8_t *pixels)
{
    uint32_t bits = layout->bits_stored, most = (1u << bits) - 1;
    uint64_t n = (uint64_t)layout->columns * layout->rows * layout->samples;
    if (layout->bits_allocated == 32)
        stretch_float(pixels, n, most);
    else if (layout->bits_allocated == 16)
        stretch16(pixels, n, most);
    else
        stretch8(pixels, n, most);
}

/* *made is the caller's to free; NULL: the frame's own bytes will do. */
static hilum_rc pixels_of(void *self, const struct hilum_frame *frame, const void *src,
                          const struct hilum_frame *layout, void **made)
{
    bool is_whole = layout->bits_stored == layout->bits_allocated && layout->bits_allocated < 32;
    *made = NULL;
    if (is_whole && jxl_is_direct(frame, layout))
        return HILUM_OK;
    *made = calloc(1, (size_t)hilum_frame_bytes(layout) + 1);
    if (!*made)
        return codec_fail(self, HILUM_ENOMEM, "no memory for a frame");
    hilum_rc rc = codec_convert(self, frame, src, layout, *made);
    if (!rc && !is_whole)
        stretch(layout, *made);
    return rc;
}

/* ---- the library ---- */

static hilum_rc failed(const struct job *job, JxlEncoder *encoder, const char *what)
{
    hilum_rc rc =
        encoder && JxlEncoderGetError(encoder) != JXL_ENC_ERR_OOM ? HILUM_EUNSUP : HILUM_ENOMEM;
    return codec_fail(job->self, rc, "JPEG XL encoding: %s", what);
}

/* The original profile: samples stay what they are, colours too, no curve of the eye is laid over greys. */
static bool set_picture(JxlEncoder *encoder, const struct hilum_frame *layout)
{
    JxlBasicInfo info;
    JxlColorEncoding colours;
    JxlEncoderInitBasicInfo(&info);
    info.xsize = layout->columns;
    info.ysize = layout->rows;
    info.bits_per_sample = layout->bits_stored;
    info.num_color_channels = layout->samples;
    info.uses_original_profile = JXL_TRUE;
    JxlColorEncodingSetToSRGB(&colours, layout->samples == 1);
    return (layout->bits_stored <= 16 || !JxlEncoderSetCodestreamLevel(encoder, 10)) &&
           !JxlEncoderSetBasicInfo(encoder, &info) &&
           !JxlEncoderSetColorEncoding(encoder, &colours);
}

static bool add_frame(JxlEncoder *encoder, const struct job *job)
{
    const struct hilum_frame *layout = job->layout;
    const JxlPixelFormat format = jxl_format_of(layout);
    JxlEncoderFrameSettings *settings = JxlEncoderFrameSettingsCreate(encoder, NULL);
    bool is_lossless = job->distance <= 0;
    if (!settings ||
        JxlEncoderFrameSettingsSetOption(settings, JXL_ENC_FRAME_SETTING_EFFORT, job->effort) ||
        (is_lossless ? JxlEncoderSetFrameLossless(settings, JXL_TRUE)
                     : JxlEncoderSetFrameDistance(settings, (float)job->distance)) ||
        JxlEncoderAddImageFrame(settings, &format, job->pixels, (size_t)hilum_frame_bytes(layout)))
        return false;
    JxlEncoderCloseInput(encoder);
    return true;
}

static hilum_rc take_output(struct job *job, JxlEncoder *encoder)
{
    uint8_t *piece = malloc(PIECE);
    hilum_rc rc = piece ? HILUM_OK : failed(job, NULL, "no memory");
    for (bool is_end = false; !rc && !is_end;) {
        uint8_t *at = piece;
        size_t left = PIECE;
        JxlEncoderStatus status = JxlEncoderProcessOutput(encoder, &at, &left);
        is_end = status == JXL_ENC_SUCCESS;
        if (!is_end && status != JXL_ENC_NEED_MORE_OUTPUT)
            rc = failed(job, encoder, "the library failed");
        else if (job->out && left < PIECE)
            rc = codec_write(job->out, piece, PIECE - left);
        job->written += PIECE - left;
    }
    free(piece);
    return rc;
}

static hilum_rc encode_once(struct job *job)
{
    JxlEncoder *encoder = JxlEncoderCreate(NULL);
    job->written = 0;
    if (!encoder)
        return failed(job, NULL, "no memory");
    hilum_rc rc = set_picture(encoder, job->layout) && add_frame(encoder, job)
                      ? HILUM_OK
                      : failed(job, encoder, "the library does not take this picture");
    if (!rc)
        rc = take_output(job, encoder);
    JxlEncoderDestroy(encoder);
    return rc;
}

/* ---- loss ---- */

static hilum_rc check_wanted(void *self, const struct hilum_encode *wanted)
{
    if (wanted->max_error || wanted->psnr > 0)
        return codec_fail(self, HILUM_EUNSUP, "JPEG XL is told its loss by quality or ratio");
    if (wanted->ratio < 0 || wanted->ratio > 10000 || wanted->quality > 100)
        return codec_fail(self, HILUM_EINVAL, "JPEG XL quality up to 100, ratio up to 10000");
    return HILUM_OK;
}

/* A tenth a point: 90 is where a loss is just seen. */
static double distance_of(const struct hilum_encode *wanted)
{
    double distance = wanted->quality ? (100 - (int)wanted->quality) / 10.0 : distance_default;
    return distance < finest ? finest : distance;
}

/* The library knows distances only, so the finest that reaches the ratio is searched. */
static hilum_rc encode_to_ratio(struct job *job, double ratio)
{
    struct hilum_sink *out = job->out;
    double fine = log(finest), coarse = log(coarsest),
           native = (double)hilum_frame_bytes(job->layout);
    hilum_rc rc = HILUM_OK;
    job->out = NULL;
    for (int i = 0; !rc && i < TRIES; i++) {
        double middle = (fine + coarse) / 2;
        job->distance = exp(middle);
        rc = encode_once(job);
        if ((double)job->written * ratio > native)
            fine = middle;
        else
            coarse = middle;
    }
    job->out = out;
    job->distance = exp(coarse);
    return rc ? rc : encode_once(job);
}

/* ---- the member ---- */

/* With loss no negatives: two's complement jumps between -1 and 0, and a small error there is a large one. */
static hilum_rc bits_of(void *self, const struct hilum_frame *frame, const void *src, bool is_lossy,
                        uint32_t *bits)
{
    uint32_t most = is_lossy              ? JXL_BITS_LOSSY
                    : frame->samples == 1 ? JXL_BITS_MAX
                                          : JXL_BITS_COLOUR;
    *bits = is_lossy ? frame->bits_stored : codec_bits_used(frame, src);
    if (frame->samples != 1 && frame->samples != 3)
        return codec_fail(self, HILUM_EUNSUP, "JPEG XL of %u samples", frame->samples);
    if (*bits > most)
        return codec_fail(self, HILUM_EUNSUP, "JPEG XL encoding of %u bits: libjxl keeps %u", *bits,
                          most);
    if (is_lossy && codec_has_negative(frame, src))
        return codec_fail(self, HILUM_EUNSUP, "JPEG XL with loss has no negative samples");
    return HILUM_OK;
}

hilum_rc jxl_encode(void *self, const struct hilum_frame *frame, const void *src, uint64_t n,
                    const struct hilum_encode *wanted, struct hilum_sink *out,
                    struct hilum_encoded *done)
{
    bool is_lossy = codec_is_syntax(wanted->transfer_syntax, JXL_ANY);
    uint32_t bits = 0;
    void *made = NULL;
    hilum_rc rc = codec_check_source(self, frame, n);
    if (!rc && !is_lossy && !codec_is_syntax(wanted->transfer_syntax, JXL_LOSSLESS))
        rc = codec_fail(self, HILUM_EUNSUP, "this syntax holds JPEG streams, not pixels");
    if (!rc)
        rc = check_wanted(self, wanted);
    if (!rc)
        rc = bits_of(self, frame, src, is_lossy, &bits);
    if (rc)
        return rc;
    struct hilum_frame layout = jxl_layout_of(frame, bits);
    rc = pixels_of(self, frame, src, &layout, &made);
    struct job job = {.self = self,
                      .layout = &layout,
                      .pixels = made ? made : src,
                      .distance = is_lossy ? distance_of(wanted) : 0,
                      .effort = is_lossy ? EFFORT_LOSSY : EFFORT_LOSSLESS,
                      .out = out};
    if (wanted->effort)
        job.effort = wanted->effort < 9 ? wanted->effort : 9;
    if (!rc)
        rc = is_lossy && wanted->ratio > 0 ? encode_to_ratio(&job, wanted->ratio)
                                           : encode_once(&job);
    free(made);
    if (!rc)
        codec_done(done, frame->photometric, n, job.written, is_lossy ? "ISO_18181_1" : NULL);
    return rc;
}
