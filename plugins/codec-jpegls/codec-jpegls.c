/* codec-jpegls: JPEG-LS lossless and near-lossless (PS3.5 A.4.3; ISO 14495-1) with CharLS. Streams carry
 * samples of 2 to 16 bits without a sign: two's complement goes through bit by bit and gets its sign back.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include <charls/charls_jpegls_decoder.h>
#include <charls/charls_jpegls_encoder.h>

#include "codec_common.h"

#define LOSSLESS CODEC_UID("4.80")
#define NEAR     CODEC_UID("4.81")
/* NEAR_DEFAULT: two grey levels at most. Beyond 16 bits the standard has nothing. */
enum { BITS_MAX = 16, NEAR_DEFAULT = 2 };

static hilum_rc failed(void *self, charls_jpegls_errc code, const char *what)
{
    hilum_rc rc = HILUM_ECORRUPT;
    if (code == CHARLS_JPEGLS_ERRC_PARAMETER_VALUE_NOT_SUPPORTED ||
        code == CHARLS_JPEGLS_ERRC_ENCODING_NOT_SUPPORTED ||
        code == CHARLS_JPEGLS_ERRC_COLOR_TRANSFORM_NOT_SUPPORTED ||
        code == CHARLS_JPEGLS_ERRC_BIT_DEPTH_FOR_TRANSFORM_NOT_SUPPORTED)
        rc = HILUM_EUNSUP;
    if (code == CHARLS_JPEGLS_ERRC_NOT_ENOUGH_MEMORY)
        rc = HILUM_ENOMEM;
    return codec_fail(self, rc, "JPEG-LS %s: %s", what, charls_get_error_message(code));
}

/* ---- decoding ---- */

/* A decoder that has read the header, and what that says. */
struct reading {
    charls_jpegls_decoder *decoder;
    struct codec_bytes stream;
    charls_frame_info info;
    charls_interleave_mode interleave;
    int32_t near_lossless;
};

/* In the order CharLS demands: a SPIFF header may be there and is passed over. */
static charls_jpegls_errc read_header(struct reading *reading)
{
    charls_spiff_header spiff;
    int32_t has_spiff = 0;
    charls_jpegls_errc code = charls_jpegls_decoder_set_source_buffer(
        reading->decoder, reading->stream.at, reading->stream.n);
    if (!code)
        code = charls_jpegls_decoder_read_spiff_header(reading->decoder, &spiff, &has_spiff);
    if (!code)
        code = charls_jpegls_decoder_read_header(reading->decoder);
    if (!code)
        code = charls_jpegls_decoder_get_frame_info(reading->decoder, &reading->info);
    if (!code)
        code = charls_jpegls_decoder_get_interleave_mode(reading->decoder, &reading->interleave);
    if (!code)
        code =
            charls_jpegls_decoder_get_near_lossless(reading->decoder, 0, &reading->near_lossless);
    return code;
}

static void reading_close(struct reading *reading)
{
    if (reading->decoder)
        charls_jpegls_decoder_destroy(reading->decoder);
    codec_bytes_fini(&reading->stream);
}

/* On error too: reading_close. */
static hilum_rc reading_open(void *self, const struct hilum_coded *coded,
                             const struct hilum_decode *wanted, struct reading *out,
                             struct hilum_frame *frame)
{
    *out = (struct reading){0};
    hilum_rc rc = codec_gather(self, coded, &out->stream);
    if (!rc) /* CharLS 2.4 never returns from some streams that end in the middle of their bits */
        rc = codec_end_with_marker(self, &out->stream);
    if (rc)
        return rc;
    out->decoder = charls_jpegls_decoder_create();
    if (!out->decoder)
        return codec_fail(self, HILUM_ENOMEM, "no memory for a JPEG-LS decoder");
    charls_jpegls_errc code = read_header(out);
    if (code)
        return failed(self, code, "header");
    struct codec_shape shape = {.columns = out->info.width,
                                .rows = out->info.height,
                                .samples = (uint32_t)out->info.component_count,
                                .bits = (uint32_t)out->info.bits_per_sample};
    return codec_frame_of(self, coded, &shape, wanted, frame);
}

/* The header only. */
static hilum_rc info(void *self, const struct hilum_coded *coded, struct hilum_code_info *out)
{
    struct reading reading;
    hilum_rc rc = reading_open(self, coded, NULL, &reading, out->frame);
    reading_close(&reading);
    if (rc)
        return rc;
    out->is_lossless = reading.near_lossless == 0;
    out->levels = out->layers = 0;
    out->tile_width = out->frame->columns;
    out->tile_height = out->frame->rows;
    out->photometric = out->frame->photometric;
    return HILUM_OK;
}

/* How CharLS lays out what it decodes: bytes up to 8 bits, planes where the stream has them. */
static struct hilum_frame layout_of(const struct reading *reading, const struct hilum_frame *frame)
{
    struct hilum_frame layout = *frame;
    layout.bits_allocated = reading->info.bits_per_sample <= 8 ? 8 : 16;
    layout.is_planar = frame->samples > 1 && reading->interleave == CHARLS_INTERLEAVE_MODE_NONE;
    layout.sample_type = HILUM_SAMPLE_UNSIGNED;
    return layout;
}

static bool is_same_layout(const struct hilum_frame *a, const struct hilum_frame *b)
{
    return a->bits_allocated == b->bits_allocated && a->is_planar == b->is_planar;
}

static hilum_rc decode_pixels(void *self, const struct reading *reading, void *dst, uint64_t n)
{
    charls_jpegls_errc code =
        charls_jpegls_decoder_decode_to_buffer(reading->decoder, dst, (size_t)n, 0);
    return code ? failed(self, code, "pixels") : HILUM_OK;
}

/* Straight into dst where CharLS lays it out as wanted; signs are extended in place then,
 * which codec_convert does row by row. */
static hilum_rc decode_frame(void *self, const struct reading *reading,
                             const struct hilum_frame *frame, void *dst)
{
    struct hilum_frame layout = layout_of(reading, frame);
    uint64_t n = hilum_frame_bytes(&layout);
    bool is_direct = is_same_layout(&layout, frame);
    memset(dst, 0, (size_t)hilum_frame_bytes(frame));
    void *pixels = is_direct ? dst : calloc(1, (size_t)n);
    if (!pixels)
        return codec_fail(self, HILUM_ENOMEM, "no memory for a frame of %llu bytes",
                          (unsigned long long)n);
    hilum_rc rc = decode_pixels(self, reading, pixels, n);
    bool is_extended =
        frame->sample_type == HILUM_SAMPLE_SIGNED && frame->bits_stored < frame->bits_allocated;
    hilum_rc converted =
        !is_direct || is_extended ? codec_convert(self, &layout, pixels, frame, dst) : HILUM_OK;
    if (!is_direct)
        free(pixels);
    return rc ? rc : converted;
}

static hilum_rc decode(void *self, const struct hilum_coded *coded,
                       const struct hilum_decode *wanted, void *dst, uint64_t dst_size,
                       struct hilum_frame *out)
{
    struct reading reading = {0};
    hilum_rc rc = codec_check_whole(self, wanted);
    if (rc)
        return rc;
    rc = reading_open(self, coded, wanted, &reading, out);
    if (!rc)
        rc = codec_check_room(self, out, dst_size);
    if (!rc)
        rc = decode_frame(self, &reading, out, dst);
    reading_close(&reading);
    return rc;
}

/* ---- encoding ---- */

/* The error allowed; 0: none. ISO 14495-1 C.2.3: NEAR is at most 255 and at most half of the
 * range. */
static hilum_rc near_of(void *self, const struct hilum_encode *wanted, uint32_t bits, int32_t *out)
{
    uint32_t most = bits >= 9 ? 255 : ((1u << bits) - 1) / 2;
    *out = 0;
    if (!codec_is_syntax(wanted->transfer_syntax, NEAR))
        return HILUM_OK;
    if (wanted->ratio > 0 || wanted->psnr > 0 || wanted->quality)
        return codec_fail(self, HILUM_EUNSUP, "JPEG-LS is told its loss by max_error only");
    uint32_t usual = NEAR_DEFAULT < most ? NEAR_DEFAULT : most;
    uint32_t near_lossless = wanted->max_error ? wanted->max_error : usual;
    if (near_lossless > most)
        return codec_fail(self, HILUM_EINVAL, "max_error %u of %u bits: at most %u", near_lossless,
                          bits, most);
    *out = (int32_t)near_lossless;
    return HILUM_OK;
}

/* By sample for colours: native pixels lie in that order too. */
static charls_jpegls_errc set_up(charls_jpegls_encoder *encoder, const struct hilum_frame *frame,
                                 int32_t near_lossless)
{
    charls_frame_info info = {.width = frame->columns,
                              .height = frame->rows,
                              .bits_per_sample = (int32_t)frame->bits_stored,
                              .component_count = (int32_t)frame->samples};
    charls_jpegls_errc code = charls_jpegls_encoder_set_frame_info(encoder, &info);
    if (!code)
        code = charls_jpegls_encoder_set_near_lossless(encoder, near_lossless);
    if (!code)
        code = charls_jpegls_encoder_set_interleave_mode(
            encoder,
            frame->samples > 1 ? CHARLS_INTERLEAVE_MODE_SAMPLE : CHARLS_INTERLEAVE_MODE_NONE);
    return code;
}

static charls_jpegls_errc encode_once(const struct hilum_frame *frame, const void *src, uint64_t n,
                                      int32_t near_lossless, void *to, size_t room, size_t *written)
{
    charls_jpegls_encoder *encoder = charls_jpegls_encoder_create();
    if (!encoder)
        return CHARLS_JPEGLS_ERRC_NOT_ENOUGH_MEMORY;
    charls_jpegls_errc code = set_up(encoder, frame, near_lossless);
    if (!code)
        code = charls_jpegls_encoder_set_destination_buffer(encoder, to, room);
    if (!code)
        code = charls_jpegls_encoder_encode_from_buffer(encoder, src, (size_t)n, 0);
    if (!code)
        code = charls_jpegls_encoder_get_bytes_written(encoder, written);
    charls_jpegls_encoder_destroy(encoder);
    return code;
}

/* Nearly all pictures become smaller; noise may take four bytes a byte (its longest code is 32
 * bits). First with room for the frame and an eighth, which is enough for every picture but
 * noise; then with four times that. */
static hilum_rc encode_pixels(void *self, const struct hilum_frame *frame, const void *src,
                              int32_t near_lossless, struct hilum_sink *out, uint64_t *written)
{
    uint64_t n = hilum_frame_bytes(frame);
    charls_jpegls_errc code = CHARLS_JPEGLS_ERRC_DESTINATION_BUFFER_TOO_SMALL;
    hilum_rc rc = HILUM_OK;
    for (unsigned k = 1; !rc && code == CHARLS_JPEGLS_ERRC_DESTINATION_BUFFER_TOO_SMALL && k <= 4;
         k *= 4) {
        size_t room = (size_t)n * k + n / 8 + 1024, size = 0;
        void *to = malloc(room);
        if (!to)
            return codec_fail(self, HILUM_ENOMEM, "no memory for %zu bytes of JPEG-LS", room);
        code = encode_once(frame, src, n, near_lossless, to, room, &size);
        if (!code)
            rc = codec_write(out, to, size);
        *written = size;
        free(to);
    }
    return code ? failed(self, code, "encoding") : rc;
}

/* What CharLS can read where it lies: samples without a sign above them, pixel by pixel. */
static bool is_direct(const struct hilum_frame *frame, const struct hilum_frame *layout)
{
    bool is_clean =
        frame->sample_type != HILUM_SAMPLE_SIGNED || layout->bits_stored == layout->bits_allocated;
    return is_clean && is_same_layout(frame, layout);
}

/* bits: what must come back. Two's complement of n bits is encoded as if it were unsigned,
 * hence no loss where there is a negative: near its wrap an error of one would be one of all. */
static hilum_rc encode(void *self, const struct hilum_frame *frame, const void *src, uint64_t n,
                       const struct hilum_encode *wanted, struct hilum_sink *out,
                       struct hilum_encoded *done)
{
    int32_t near_lossless;
    uint64_t written = 0;
    hilum_rc rc = codec_check_source(self, frame, n);
    if (rc)
        return rc;
    struct hilum_frame layout = *frame;
    uint32_t bits = codec_bits_used(frame, src);
    if (bits > BITS_MAX)
        return codec_fail(self, HILUM_EUNSUP, "JPEG-LS has no samples of %u bits", bits);
    layout.bits_stored = bits < 2 ? 2 : bits;
    layout.bits_allocated = bits <= 8 ? 8 : 16;
    layout.is_planar = 0;
    layout.sample_type = HILUM_SAMPLE_UNSIGNED;
    rc = near_of(self, wanted, layout.bits_stored, &near_lossless);
    if (!rc && near_lossless && codec_has_negative(frame, src))
        rc = codec_fail(self, HILUM_EUNSUP, "JPEG-LS with loss has no negative samples");
    if (rc)
        return rc;
    void *pixels = NULL;
    if (!is_direct(frame, &layout)) {
        pixels = calloc(1, (size_t)hilum_frame_bytes(&layout) + 1);
        rc = pixels ? codec_convert(self, frame, src, &layout, pixels)
                    : codec_fail(self, HILUM_ENOMEM, "no memory for a frame");
    }
    if (!rc)
        rc = encode_pixels(self, &layout, pixels ? pixels : src, near_lossless, out, &written);
    free(pixels);
    if (!rc)
        codec_done(done, frame->photometric, n, written, near_lossless ? "ISO_14495_1" : NULL);
    return rc;
}

/* ---- the plugin ---- */

static const struct hilum_codec_syntax syntaxes[] = {
    {LOSSLESS, HILUM_CODEC_DECODES | HILUM_CODEC_ENCODES | HILUM_CODEC_LOSSLESS, 100},
    {NEAR, HILUM_CODEC_DECODES | HILUM_CODEC_ENCODES, 100},
    {0}};

static const struct hilum_codec table = {.cap = {.size = sizeof table,
                                                 .kind = HILUM_CAP_CODEC,
                                                 .threads = HILUM_PARALLEL,
                                                 .name = "jpegls"},
                                         .syntaxes = syntaxes,
                                         .info = info,
                                         .decode = decode,
                                         .encode = encode};

CODEC_PLUGIN("codec-jpegls", table)
