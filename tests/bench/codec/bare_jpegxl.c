/* libjxl by itself: 16 bits, one sample, as fast as codec-jpegxl asks it to be. SPDX-License-Identifier: Apache-2.0 */
#include <jxl/decode.h>
#include <jxl/encode.h>

#include "tests/bench/codec/bare.h"

static const JxlPixelFormat format = {
    .num_channels = 1, .data_type = JXL_TYPE_UINT16, .endianness = JXL_LITTLE_ENDIAN};

int bare_jpegxl(const uint8_t *stream, size_t n, void *pixels, size_t size)
{
    JxlDecoder *decoder = JxlDecoderCreate(NULL);
    int code = (int)JxlDecoderSubscribeEvents(decoder, JXL_DEC_FULL_IMAGE) ||
               (int)JxlDecoderSetInput(decoder, stream, n);
    JxlDecoderCloseInput(decoder);
    if (!code)
        code = JxlDecoderProcessInput(decoder) != JXL_DEC_NEED_IMAGE_OUT_BUFFER ||
               JxlDecoderSetImageOutBuffer(decoder, &format, pixels, size) ||
               JxlDecoderProcessInput(decoder) != JXL_DEC_FULL_IMAGE;
    JxlDecoderDestroy(decoder);
    return code;
}

int bare_encode_jpegxl(const struct bare_picture *picture, void *out, size_t room, size_t *n)
{
    enum { EFFORT = 3 };
    JxlEncoder *encoder = JxlEncoderCreate(NULL);
    JxlBasicInfo info;
    JxlColorEncoding grey;
    uint8_t *at = out;
    size_t left = room;
    JxlEncoderInitBasicInfo(&info);
    info.xsize = picture->columns;
    info.ysize = picture->rows;
    info.bits_per_sample = picture->bits;
    info.num_color_channels = 1;
    info.uses_original_profile = JXL_TRUE;
    JxlColorEncodingSetToSRGB(&grey, JXL_TRUE);
    int code = (int)JxlEncoderSetBasicInfo(encoder, &info) ||
               (int)JxlEncoderSetColorEncoding(encoder, &grey);
    JxlEncoderFrameSettings *settings = JxlEncoderFrameSettingsCreate(encoder, NULL);
    if (!code)
        code = JxlEncoderSetFrameLossless(settings, JXL_TRUE) ||
               JxlEncoderFrameSettingsSetOption(settings, JXL_ENC_FRAME_SETTING_EFFORT, EFFORT) ||
               JxlEncoderAddImageFrame(settings, &format, picture->pixels,
                                       (size_t)picture->columns * picture->rows * 2);
    JxlEncoderCloseInput(encoder);
    if (!code)
        code = (int)JxlEncoderProcessOutput(encoder, &at, &left);
    *n = room - left;
    JxlEncoderDestroy(encoder);
    return code;
}
