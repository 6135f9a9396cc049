/* 12 bits with loss and everything without: frames in the shape that DCMTK's IJG libraries work on.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "jpeg.h"

enum { QUALITY_DEFAULT = 90 };

/* The library that is taken: of 8, 12 or 16 bits. */
static uint32_t depth_of(uint32_t bits)
{
    return bits <= 8 ? 8 : bits <= 12 ? 12 : 16;
}

/* Pixel by pixel, without a sign, as wide as the library's samples. */
static struct hilum_frame layout_of(const struct hilum_frame *frame, uint32_t depth, uint32_t bits)
{
    struct hilum_frame layout = *frame;
    layout.is_planar = 0;
    layout.bits_allocated = depth == 8 ? 8 : 16;
    layout.bits_stored = bits;
    layout.sample_type = HILUM_SAMPLE_UNSIGNED;
    return layout;
}

/* Sides fit 16 bits: codec_check_source and the header see to that. */
static struct ijg_pixels pixels_of(const struct hilum_frame *layout, uint32_t depth)
{
    return (struct ijg_pixels){.columns = (uint16_t)layout->columns,
                               .rows = (uint16_t)layout->rows,
                               .samples = (uint16_t)layout->samples,
                               .depth = depth,
                               .size = hilum_frame_bytes(layout)};
}

/* The library waits for more of a stream that is cut, which is how it is found out; with a
 * marker at its end it gives what there is and says nothing. Twice, the second time for what
 * can be had; the complaint is the first's. */
static hilum_rc decode_pixels(const struct jpeg_job *job, const struct ijg_pixels *pixels)
{
    const struct codec_bytes *stream = job->stream;
    char complaint[160] = "", second[160];
    if (!ijg_decode(stream->at, stream->n, pixels, job->header->is_ycc, complaint))
        return HILUM_OK;
    struct codec_bytes ended = {stream->at, stream->n, NULL};
    if (!codec_end_with_marker(job->self, &ended) && ended.copy)
        (void)ijg_decode(ended.at, ended.n, pixels, job->header->is_ycc, second);
    codec_bytes_fini(&ended);
    return codec_fail(job->self, HILUM_ECORRUPT, "JPEG: %s", complaint);
}

/* Sizes in 32 bits are DCMTK's. What was decoded before an error is converted all the same. */
hilum_rc jpeg_deep_decode(const struct jpeg_job *job)
{
    uint32_t depth = depth_of(job->header->bits);
    struct hilum_frame layout = layout_of(job->frame, depth, job->header->bits);
    struct ijg_pixels pixels = pixels_of(&layout, depth);
    if (pixels.size > UINT32_MAX || job->stream->n > UINT32_MAX - 2)
        return codec_fail(job->self, HILUM_EUNSUP, "JPEG frames of more than 4 GiB");
    pixels.pixels = calloc(1, (size_t)pixels.size + 1);
    if (!pixels.pixels)
        return codec_fail(job->self, HILUM_ENOMEM, "no memory for a frame");
    hilum_rc rc = decode_pixels(job, &pixels);
    hilum_rc converted = codec_convert(job->self, &layout, pixels.pixels, job->frame, job->dst);
    free(pixels.pixels);
    return rc ? rc : converted;
}

/* Lossless streams have the depth of their library, so a sign has to fill it. */
static hilum_rc bits_of(void *self, const struct hilum_frame *frame, const void *src, bool is_lossy,
                        uint32_t *depth, uint32_t *bits)
{
    *bits = is_lossy ? frame->bits_stored : codec_bits_used(frame, src);
    *depth = is_lossy ? 12 : depth_of(*bits);
    if (*bits > 16)
        return codec_fail(self, HILUM_EUNSUP, "JPEG has no samples of %u bits", *bits);
    if (is_lossy && (*bits > 12 || *bits <= 8 || frame->samples > 1))
        return codec_fail(self, HILUM_EUNSUP, "JPEG extended is for 9 to 12 bits, one sample");
    if (is_lossy && codec_has_negative(frame, src))
        return codec_fail(self, HILUM_EUNSUP, "JPEG with loss has no negative samples");
    *bits = *depth;
    return HILUM_OK;
}

/* *written is set also where writing failed: the caller does not use it then. */
static hilum_rc encode_pixels(void *self, const struct ijg_pixels *pixels, uint32_t quality,
                              struct hilum_sink *out, uint64_t *written)
{
    char complaint[160] = "";
    uint8_t *bytes = NULL;
    int code = ijg_encode(pixels, quality, &bytes, written, complaint);
    hilum_rc rc = code ? codec_fail(self, HILUM_EUNSUP, "JPEG: %s", complaint)
                       : codec_write(out, bytes, *written);
    ijg_free(bytes);
    return rc;
}

/* The sign goes into the pattern of bits: what loses nothing returns it, what loses has been
 * refused (bits_of). */
hilum_rc jpeg_deep_encode(void *self, const struct hilum_frame *frame, const void *src,
                          const struct hilum_encode *wanted, struct hilum_sink *out,
                          uint64_t *written)
{
    bool is_lossy = codec_is_syntax(wanted->transfer_syntax, JPEG_EXTENDED);
    uint32_t quality = wanted->quality ? wanted->quality : QUALITY_DEFAULT, depth, bits;
    if (is_lossy && (wanted->max_error || wanted->psnr > 0 || wanted->ratio > 0 || quality > 100))
        return codec_fail(self, HILUM_EUNSUP, "JPEG extended is told its loss by quality");
    hilum_rc rc = bits_of(self, frame, src, is_lossy, &depth, &bits);
    if (rc)
        return rc;
    struct hilum_frame layout = layout_of(frame, depth, bits);
    struct ijg_pixels pixels = pixels_of(&layout, depth);
    if (pixels.size > UINT32_MAX / 2)
        return codec_fail(self, HILUM_EUNSUP, "JPEG frames of more than 2 GiB");
    pixels.pixels = calloc(1, (size_t)pixels.size + 1);
    rc = pixels.pixels ? codec_convert(self, frame, src, &layout, pixels.pixels)
                       : codec_fail(self, HILUM_ENOMEM, "no memory for a frame");
    if (!rc)
        rc = encode_pixels(self, &pixels, is_lossy ? quality : 0, out, written);
    free(pixels.pixels);
    return rc;
}
