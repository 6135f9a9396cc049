/* JPEG streams inside JPEG XL and out of it again. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include <jxl/decode.h>
#include <jxl/encode.h>

#include "jxl.h"

#define JPEG_BASELINE CODEC_UID("4.50")
#define JPEG_EXTENDED CODEC_UID("4.51")
enum { PIECE = 1 << 16, SPARE = 1 << 20 };

/* Grows up to `most`. free(at). */
struct grown {
    uint8_t *at;
    size_t n, room, most;
};

static hilum_rc grow(void *self, struct grown *grown)
{
    size_t room = grown->room ? 2 * grown->room : PIECE;
    if (room > grown->most)
        room = grown->most;
    if (room <= grown->room)
        return codec_fail(self, HILUM_EUNSUP, "JPEG XL: the stream is larger than its picture");
    uint8_t *at = realloc(grown->at, room);
    if (!at)
        return codec_fail(self, HILUM_ENOMEM, "no memory for a stream of %zu bytes", room);
    grown->at = at;
    grown->room = room;
    return HILUM_OK;
}

/* ---- out ---- */

static hilum_rc no_jpeg(void *self)
{
    return codec_fail(self, HILUM_EUNSUP, "JPEG XL: no JPEG can be had back from it");
}

static hilum_rc give_room(void *self, JxlDecoder *decoder, struct grown *out)
{
    hilum_rc rc = out->room - out->n < PIECE / 2 ? grow(self, out) : HILUM_OK;
    if (!rc && JxlDecoderSetJPEGBuffer(decoder, out->at + out->n, out->room - out->n))
        rc = codec_fail(self, HILUM_EUNSUP, "JPEG XL: the decoder takes no memory");
    return rc;
}

/* Of a picture that no JPEG went into the library decodes pixels instead, which is not asked for here. */
static hilum_rc unpack_with(void *self, JxlDecoder *decoder, const struct codec_bytes *stream,
                            struct grown *out)
{
    hilum_rc rc = HILUM_OK;
    if (JxlDecoderSubscribeEvents(decoder, JXL_DEC_JPEG_RECONSTRUCTION | JXL_DEC_FULL_IMAGE) ||
        JxlDecoderSetInput(decoder, stream->at, stream->n))
        return codec_fail(self, HILUM_EUNSUP, "JPEG XL: the decoder cannot be set up");
    JxlDecoderCloseInput(decoder);
    while (!rc) {
        JxlDecoderStatus status = JxlDecoderProcessInput(decoder);
        bool is_full = status == JXL_DEC_JPEG_NEED_MORE_OUTPUT,
             is_end = status == JXL_DEC_FULL_IMAGE;
        if (status == JXL_DEC_NEED_IMAGE_OUT_BUFFER || (is_end && !out->room))
            return no_jpeg(self);
        if (is_full || is_end)
            out->n = out->room - JxlDecoderReleaseJPEGBuffer(decoder);
        if (is_end)
            return HILUM_OK;
        if (!is_full && status != JXL_DEC_JPEG_RECONSTRUCTION)
            return codec_fail(self, HILUM_ECORRUPT, "JPEG XL: the stream is damaged");
        rc = give_room(self, decoder, out);
    }
    return rc;
}

static hilum_rc unpack(void *self, const struct codec_bytes *stream, struct grown *out)
{
    if (JxlSignatureCheck(stream->at, stream->n) != JXL_SIG_CONTAINER)
        return no_jpeg(self); /* what that takes lies in a box */
    JxlDecoder *decoder = JxlDecoderCreate(NULL);
    if (!decoder)
        return codec_fail(self, HILUM_ENOMEM, "no memory for a JPEG XL decoder");
    hilum_rc rc = unpack_with(self, decoder, stream, out);
    JxlDecoderDestroy(decoder);
    return rc;
}

/* The process by its frame header (ISO 10918-1 B.2.2): 0xC0 baseline, 0xC1 extended; 0: none of them. */
static unsigned process_of(const uint8_t *p, size_t n)
{
    size_t at = 2;
    if (!p || n < 4 || codec_be16(p) != 0xFFD8)
        return 0;
    while (at + 4 <= n && p[at] == 0xFF) {
        unsigned marker = p[at + 1];
        bool is_frame =
            marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
        if (is_frame)
            return marker <= 0xC1 ? marker : 0;
        at += marker == 0xFF ? 1 : 2 + codec_be16(p + at + 2);
    }
    return 0;
}

/* What a syntax promises is held: no progressive stream leaves as baseline. */
static hilum_rc check_process(void *self, const struct grown *jpeg, const char *to)
{
    unsigned process = process_of(jpeg->at, jpeg->n);
    bool is_right = codec_is_syntax(to, JPEG_BASELINE) ? process == 0xC0 : process != 0;
    return is_right ? HILUM_OK
                    : codec_fail(self, HILUM_EUNSUP, "the JPEG in it is of another process");
}

static hilum_rc to_jpeg(void *self, const struct codec_bytes *stream, const char *to,
                        struct grown *out)
{
    hilum_rc rc = jxl_check_layers(self, stream); /* all would be decoded where there is no JPEG */
    if (!rc)
        rc = unpack(self, stream, out);
    return rc ? rc : check_process(self, out, to);
}

/* ---- in ---- */

static hilum_rc refused(void *self, JxlEncoder *encoder)
{
    return JxlEncoderGetError(encoder) == JXL_ENC_ERR_OOM
               ? codec_fail(self, HILUM_ENOMEM, "no memory to pack a JPEG")
               : codec_fail(self, HILUM_EUNSUP, "libjxl does not take this JPEG");
}

static hilum_rc take_output(void *self, JxlEncoder *encoder, struct grown *out)
{
    JxlEncoderStatus status = JXL_ENC_NEED_MORE_OUTPUT;
    while (status == JXL_ENC_NEED_MORE_OUTPUT) {
        hilum_rc rc = grow(self, out);
        if (rc)
            return rc;
        uint8_t *at = out->at + out->n;
        size_t left = out->room - out->n;
        status = JxlEncoderProcessOutput(encoder, &at, &left);
        out->n = out->room - left;
    }
    return status == JXL_ENC_SUCCESS ? HILUM_OK : refused(self, encoder);
}

static hilum_rc pack_with(void *self, JxlEncoder *encoder, const struct codec_bytes *jpeg,
                          struct grown *out)
{
    if (JxlEncoderUseContainer(encoder, JXL_TRUE) || JxlEncoderStoreJPEGMetadata(encoder, JXL_TRUE))
        return refused(self, encoder);
    JxlEncoderFrameSettings *settings = JxlEncoderFrameSettingsCreate(encoder, NULL);
    if (!settings || JxlEncoderAddJPEGFrame(settings, jpeg->at, jpeg->n))
        return refused(self, encoder);
    JxlEncoderCloseInput(encoder);
    return take_output(self, encoder, out);
}

static bool is_same(const struct grown *a, const struct codec_bytes *b)
{
    return a->at && a->n == b->n && memcmp(a->at, b->at, b->n) == 0;
}

/* Proven before it is believed: the JPEG that comes out again is compared with the one that went in. */
static hilum_rc from_jpeg(void *self, const struct codec_bytes *jpeg, struct grown *out)
{
    struct grown back = {.most = jpeg->n + SPARE};
    if (!process_of(jpeg->at, jpeg->n))
        return codec_fail(self, HILUM_EUNSUP, "no JPEG of the baseline or extended process");
    JxlEncoder *encoder = JxlEncoderCreate(NULL);
    if (!encoder)
        return codec_fail(self, HILUM_ENOMEM, "no memory for a JPEG XL encoder");
    hilum_rc rc = pack_with(self, encoder, jpeg, out);
    JxlEncoderDestroy(encoder);
    if (rc)
        return rc;
    const struct codec_bytes made = {out->at, out->n, NULL};
    rc = unpack(self, &made, &back);
    if (rc != HILUM_ENOMEM && (rc || !is_same(&back, jpeg)))
        rc = codec_fail(self, HILUM_EUNSUP, "this JPEG does not come back as it was");
    free(back.at);
    return rc;
}

/* ---- the member ---- */

/* Padding of a fragment is kept as all that lies behind the end of a JPEG, so that what comes back has the length it had. */
hilum_rc jxl_repack(void *self, const struct hilum_coded *coded, const char *to,
                    struct hilum_sink *out, struct hilum_encoded *done)
{
    struct codec_bytes stream;
    uint64_t native = coded->declared ? hilum_frame_bytes(coded->declared) : 0;
    bool is_in = codec_is_syntax(to, JXL_OF_JPEG);
    if (!is_in && !codec_is_syntax(to, JPEG_BASELINE) && !codec_is_syntax(to, JPEG_EXTENDED))
        return codec_fail(self, HILUM_EUNSUP, "JPEG XL repacks JPEG baseline and extended only");
    hilum_rc rc = codec_gather(self, coded, &stream);
    if (rc)
        return rc;
    struct grown grown = {.most = 2 * (stream.n > native ? stream.n : (size_t)native) + SPARE};
    rc = is_in ? from_jpeg(self, &stream, &grown) : to_jpeg(self, &stream, to, &grown);
    if (!rc)
        rc = codec_write(out, grown.at, grown.n);
    if (!rc)
        codec_done(done, coded->declared ? coded->declared->photometric : HILUM_PHOTO_UNKNOWN,
                   stream.n, grown.n, NULL);
    free(grown.at);
    codec_bytes_fini(&stream);
    return rc;
}
