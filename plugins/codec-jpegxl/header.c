/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include <jxl/decode.h>

#include "jxl.h"

/* LAYERS_MAX: laid on each other in one picture; encoders of images write one. */
enum { LAYERS_MAX = 16 };

static hilum_rc check_kind(void *self, const JxlBasicInfo *info)
{
    if (info->have_animation)
        return codec_fail(self, HILUM_EUNSUP, "JPEG XL: an animation is no frame");
    if (info->num_extra_channels)
        return codec_fail(self, HILUM_EUNSUP, "JPEG XL of %u extra channels",
                          info->num_extra_channels);
    if (info->exponent_bits_per_sample)
        return codec_fail(self, HILUM_EUNSUP, "JPEG XL of floating point samples");
    if (info->bits_per_sample > JXL_BITS_MAX)
        return codec_fail(self, HILUM_EUNSUP, "JPEG XL of %u bits: libjxl keeps %d",
                          info->bits_per_sample, JXL_BITS_MAX);
    if (info->xsize > CODEC_SIDE_MAX || info->ysize > CODEC_SIDE_MAX)
        return codec_fail(self, HILUM_EUNSUP, "JPEG XL of %ux%u pixels", info->xsize, info->ysize);
    return HILUM_OK;
}

/* Up to the basic information; what comes before it tells of a JPEG to be had back. */
static bool read_until_info(JxlDecoder *decoder, const struct codec_bytes *stream,
                            JxlBasicInfo *info, bool *is_jpeg)
{
    JxlDecoderStatus status = JXL_DEC_ERROR;
    if (JxlDecoderSubscribeEvents(decoder, JXL_DEC_BASIC_INFO | JXL_DEC_JPEG_RECONSTRUCTION) ||
        JxlDecoderSetKeepOrientation(decoder, JXL_TRUE) ||
        JxlDecoderSetInput(decoder, stream->at, stream->n))
        return false;
    JxlDecoderCloseInput(decoder);
    while ((status = JxlDecoderProcessInput(decoder)) == JXL_DEC_JPEG_RECONSTRUCTION)
        *is_jpeg = true;
    return status == JXL_DEC_BASIC_INFO && !JxlDecoderGetBasicInfo(decoder, info);
}

/* The signature first, by our own hand: what is no JPEG XL at all never reaches the library. */
hilum_rc jxl_header_read(void *self, const struct codec_bytes *stream, struct jxl_header *out)
{
    JxlBasicInfo info;
    JxlSignature signature = JxlSignatureCheck(stream->at, stream->n);
    memset(&info, 0, sizeof info);
    *out = (struct jxl_header){0};
    if (signature != JXL_SIG_CODESTREAM && signature != JXL_SIG_CONTAINER)
        return codec_fail(self, HILUM_ECORRUPT, "no JPEG XL: it begins with other bytes");
    JxlDecoder *decoder = JxlDecoderCreate(NULL);
    if (!decoder)
        return codec_fail(self, HILUM_ENOMEM, "no memory for a JPEG XL decoder");
    bool is_read = read_until_info(decoder, stream, &info, &out->is_jpeg);
    JxlDecoderDestroy(decoder);
    if (!is_read)
        return codec_fail(self, HILUM_ECORRUPT, "JPEG XL header: cut short or damaged");
    out->columns = info.xsize;
    out->rows = info.ysize;
    out->samples = info.num_color_channels;
    out->bits = info.bits_per_sample;
    out->is_xyb = !info.uses_original_profile;
    return check_kind(self, &info);
}

/* Each layer is decoded whole and laid on those before, and of one colour it takes thirty bytes: a stream of a few
 * kilobytes would keep a worker until it is ended, and with the fifth such call the codec is in
 * quarantine for everybody. Counting goes from header to header and decodes nothing; what is wrong with a stream is for
 * decoding to find. */
hilum_rc jxl_check_layers(void *self, const struct codec_bytes *stream)
{
    JxlDecoder *decoder = JxlDecoderCreate(NULL);
    unsigned n = 0;
    if (!decoder)
        return codec_fail(self, HILUM_ENOMEM, "no memory for a JPEG XL decoder");
    if (!JxlDecoderSubscribeEvents(decoder, JXL_DEC_FRAME) &&
        !JxlDecoderSetCoalescing(decoder, JXL_FALSE) &&
        !JxlDecoderSetInput(decoder, stream->at, stream->n)) {
        JxlDecoderCloseInput(decoder);
        while (n <= LAYERS_MAX && JxlDecoderProcessInput(decoder) == JXL_DEC_FRAME)
            n++;
    }
    JxlDecoderDestroy(decoder);
    return n > LAYERS_MAX
               ? codec_fail(self, HILUM_EUNSUP, "JPEG XL of more than %d layers", LAYERS_MAX)
               : HILUM_OK;
}

/* The library turns YCbCr of a JPEG, and its own XYB, into RGB; three samples of a pixel are whole in any case. */
hilum_rc jxl_frame_of(void *self, const struct hilum_coded *coded, const struct jxl_header *header,
                      const struct hilum_decode *wanted, struct hilum_frame *out)
{
    const struct codec_shape shape = {.columns = header->columns,
                                      .rows = header->rows,
                                      .samples = header->samples,
                                      .bits = header->bits};
    hilum_rc rc = codec_frame_of(self, coded, &shape, wanted, out);
    if (!rc && out->samples == 3 &&
        (header->is_jpeg || header->is_xyb || out->photometric != HILUM_PHOTO_YBR_FULL))
        out->photometric = HILUM_PHOTO_RGB;
    return rc;
}

/* Stretched to a whole type and back, 7 bits in 8 and 15 in 16 have no room for one more rounding of the library's; the next
 * larger type has. */
struct hilum_frame jxl_layout_of(const struct hilum_frame *frame, uint32_t bits)
{
    struct hilum_frame layout = *frame;
    layout.bits_stored = bits;
    layout.bits_allocated = bits < 7 || bits == 8 ? 8 : bits < 15 || bits == 16 ? 16 : 32;
    layout.is_planar = 0;
    layout.sample_type = HILUM_SAMPLE_UNSIGNED;
    return layout;
}

JxlPixelFormat jxl_format_of(const struct hilum_frame *layout)
{
    uint32_t bits = layout->bits_allocated;
    return (JxlPixelFormat){.num_channels = layout->samples,
                            .data_type = bits == 8    ? JXL_TYPE_UINT8
                                         : bits == 16 ? JXL_TYPE_UINT16
                                                      : JXL_TYPE_FLOAT,
                            .endianness = bits == 32 ? JXL_NATIVE_ENDIAN : JXL_LITTLE_ENDIAN};
}

bool jxl_is_direct(const struct hilum_frame *frame, const struct hilum_frame *layout)
{
    return frame->bits_allocated == layout->bits_allocated && !frame->is_planar;
}
