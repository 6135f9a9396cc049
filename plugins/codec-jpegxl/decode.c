/* SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jxl/decode.h>

#include "jxl.h"

/* ---- samples ---- */

/* libjxl 0.7 knows the whole range of a type only: 12 bits come stretched to 16, exactly so that rounding brings them
 * back. */
static void shrink8(uint8_t *p, uint64_t n, uint32_t most)
{
    for (uint64_t i = 0; i < n; i++)
        p[i] = (uint8_t)((p[i] * most + 127) / 255);
}

static void shrink16(uint8_t *p, uint64_t n, uint32_t most)
{
    for (uint64_t i = 0; i < n; i++) {
        uint16_t value;
        memcpy(&value, p + 2 * i, sizeof value);
        value = htole16((uint16_t)((le16toh(value) * most + 32767) / 65535));
        memcpy(p + 2 * i, &value, sizeof value);
    }
}

/* Deeper ones come as floats from 0 to 1, which may overshoot. */
static void shrink_float(uint8_t *p, uint64_t n, uint32_t most)
{
    for (uint64_t i = 0; i < n; i++) {
        float value;
        memcpy(&value, p + 4 * i, sizeof value);
        double whole = rint((double)value * most);
        uint32_t kept = whole > 0 ? whole < most ? (uint32_t)whole : most : 0; /* NaN: 0 */
        kept = htole32(kept);
        memcpy(p + 4 * i, &kept, sizeof kept);
    }
}

static void shrink(const struct hilum_frame *layout, uint8_t *pixels)
{
    uint32_t bits = layout->bits_stored, most = (1u << bits) - 1;
    uint64_t n = (uint64_t)layout->columns * layout->rows * layout->samples;
    if (layout->bits_allocated == 32)
        shrink_float(pixels, n, most);
    else if (layout->bits_allocated == 16 && bits < 16)
        shrink16(pixels, n, most);
    else if (layout->bits_allocated == 8 && bits < 8)
        shrink8(pixels, n, most);
}

/* ---- the library ---- */

static bool give_buffer(JxlDecoder *decoder, const struct hilum_frame *layout, void *pixels)
{
    const JxlPixelFormat format = jxl_format_of(layout);
    uint64_t room = hilum_frame_bytes(layout);
    size_t need = 0;
    return !JxlDecoderImageOutBufferSize(decoder, &format, &need) && need == room &&
           !JxlDecoderSetImageOutBuffer(decoder, &format, pixels, need);
}

/* NULL: a picture. Of what is cut short the library paints what it has, where it has anything. */
static const char *decode_with(JxlDecoder *decoder, const struct codec_bytes *stream,
                               const struct hilum_frame *layout, void *pixels)
{
    if (JxlDecoderSubscribeEvents(decoder, JXL_DEC_FULL_IMAGE) ||
        JxlDecoderSetKeepOrientation(decoder, JXL_TRUE) ||
        JxlDecoderSetInput(decoder, stream->at, stream->n))
        return "the decoder cannot be set up";
    JxlDecoderCloseInput(decoder);
    for (bool has_buffer = false;;) {
        JxlDecoderStatus status = JxlDecoderProcessInput(decoder);
        if (status == JXL_DEC_FULL_IMAGE)
            return NULL;
        if (status == JXL_DEC_NEED_IMAGE_OUT_BUFFER && !has_buffer) {
            has_buffer = give_buffer(decoder, layout, pixels);
            if (!has_buffer)
                return "the picture is not of the size that its header says";
            continue;
        }
        if (has_buffer)
            (void)JxlDecoderFlushImage(decoder);
        return status == JXL_DEC_ERROR ? "the stream is damaged" : "the stream is cut short";
    }
}

static hilum_rc decode_pixels(void *self, const struct codec_bytes *stream,
                              const struct hilum_frame *layout, void *pixels)
{
    JxlDecoder *decoder = JxlDecoderCreate(NULL);
    if (!decoder)
        return codec_fail(self, HILUM_ENOMEM, "no memory for a JPEG XL decoder");
    const char *why = decode_with(decoder, stream, layout, pixels);
    JxlDecoderDestroy(decoder);
    shrink(layout, pixels);
    return why ? codec_fail(self, HILUM_ECORRUPT, "JPEG XL: %s", why) : HILUM_OK;
}

/* Straight into dst where the library lays it out as wanted; signs are extended in place then, row by row. dst is zero
 * first: what a broken stream does not paint is black. */
static hilum_rc decode_frame(void *self, const struct codec_bytes *stream,
                             const struct jxl_header *header, const struct hilum_frame *frame,
                             void *dst)
{
    struct hilum_frame layout = jxl_layout_of(frame, header->bits);
    bool is_direct = jxl_is_direct(frame, &layout);
    bool is_extended =
        frame->sample_type == HILUM_SAMPLE_SIGNED && frame->bits_stored < frame->bits_allocated;
    memset(dst, 0, (size_t)hilum_frame_bytes(frame));
    void *pixels = is_direct ? dst : calloc(1, (size_t)hilum_frame_bytes(&layout) + 1);
    if (!pixels)
        return codec_fail(self, HILUM_ENOMEM, "no memory for a frame");
    hilum_rc rc = decode_pixels(self, stream, &layout, pixels);
    hilum_rc converted =
        !is_direct || is_extended ? codec_convert(self, &layout, pixels, frame, dst) : HILUM_OK;
    if (!is_direct)
        free(pixels);
    return rc ? rc : converted;
}

hilum_rc jxl_decode(void *self, const struct hilum_coded *coded, const struct hilum_decode *wanted,
                    void *dst, uint64_t dst_size, struct hilum_frame *out)
{
    struct codec_bytes stream;
    struct jxl_header header;
    hilum_rc rc = codec_check_whole(self, wanted);
    if (rc)
        return rc;
    rc = codec_gather(self, coded, &stream);
    if (!rc)
        rc = jxl_header_read(self, &stream, &header);
    if (!rc)
        rc = jxl_frame_of(self, coded, &header, wanted, out);
    if (!rc)
        rc = jxl_check_layers(self, &stream);
    if (!rc)
        rc = codec_check_room(self, out, dst_size);
    if (!rc)
        rc = decode_frame(self, &stream, &header, out, dst);
    codec_bytes_fini(&stream);
    return rc;
}
