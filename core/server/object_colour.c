/* Decoded frames in the colours their data set promises: codecs decode to what suits them, but a client that gets a frame
 * without its data set has only metadata to go by, which are of the stored form.
 *
 * Only what a WADO-RS client asks for as frames, uncompressed or encoded anew, comes this way;
 * renderers take what the codec gives. 8 bits a sample only: colours of more are rare, and refused rather
 * than guessed.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/server/objects.h"

#include "core/base/error.h"

/* Native form of what PS3.5 8.2 names for compressed data. ICT and RCT are transforms inside
 * of JPEG 2000: outside of it the same pixels are RGB. */
static uint32_t wanted_of(const struct hilum_frame *declared)
{
    uint32_t photometric = declared->photometric;
    bool is_inner = photometric == HILUM_PHOTO_YBR_ICT || photometric == HILUM_PHOTO_YBR_RCT;
    return is_inner ? HILUM_PHOTO_RGB : photometric;
}

static uint8_t clamp(int32_t value)
{
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* PS3.3 C.7.6.3.1.2, in 16 bits of fraction. 19595, 38470, 7471: 0.299, 0.587, 0.114 times
 * 65536; the chroma rows alike, about 128. `half` rounds. */
static void rgb_to_ybr(const uint8_t in[3], uint8_t out[3])
{
    int32_t r = in[0], g = in[1], b = in[2], half = 32768, middle = 128 << 16;
    out[0] = clamp((19595 * r + 38470 * g + 7471 * b + half) >> 16);
    out[1] = clamp((-11059 * r - 21709 * g + 32768 * b + middle + half) >> 16);
    out[2] = clamp((32768 * r - 27439 * g - 5329 * b + middle + half) >> 16);
}

/* Its inverse: 1.402, 0.344136 and 0.714136, 1.772 times 65536. */
static void ybr_to_rgb(const uint8_t in[3], uint8_t out[3])
{
    int32_t y = (in[0] << 16) + 32768, b = in[1] - 128, r = in[2] - 128;
    out[0] = clamp((y + 91881 * r) >> 16);
    out[1] = clamp((y - 22554 * b - 46802 * r) >> 16);
    out[2] = clamp((y + 116130 * b) >> 16);
}

struct turning {
    const uint8_t *from;
    uint64_t n; /* pixels */
    bool is_planar, to_ybr, to_rgb;
};

static void pixel_at(const struct turning *t, uint64_t i, uint8_t out[3])
{
    uint8_t in[3];
    for (uint64_t c = 0; c < 3; c++)
        in[c] = t->from[t->is_planar ? c * t->n + i : 3 * i + c];
    if (t->to_ybr)
        rgb_to_ybr(in, out);
    else if (t->to_rgb)
        ybr_to_rgb(in, out);
    for (int c = 0; c < 3 && !t->to_ybr && !t->to_rgb; c++)
        out[c] = in[c];
}

static void write_whole(const struct turning *t, bool is_planar, uint8_t *to)
{
    for (uint64_t i = 0; i < t->n; i++) {
        uint8_t pixel[3];
        pixel_at(t, i, pixel);
        for (uint64_t c = 0; c < 3; c++)
            to[is_planar ? c * t->n + i : 3 * i + c] = pixel[c];
    }
}

/* Y Y Cb Cr of two pixels of a row. One Cb and Cr for two neighbours, their mean. Rows have an
 * even number of pixels here, so no pair reaches over a row's end. */
static void write_halved(const struct turning *t, uint8_t *to)
{
    for (uint64_t i = 0; i + 1 < t->n; i += 2, to += 4) {
        uint8_t a[3], b[3];
        pixel_at(t, i, a);
        pixel_at(t, i + 1, b);
        to[0] = a[0];
        to[1] = b[0];
        to[2] = (uint8_t)((a[1] + b[1] + 1) / 2);
        to[3] = (uint8_t)((a[2] + b[2] + 1) / 2);
    }
}

/* Back: the Cb and Cr of a pair are both pixels'. Nothing is lost, and halving it again yields the same. */
static void write_doubled(const uint8_t *from, uint64_t pairs, uint8_t *to)
{
    for (uint64_t i = 0; i < pairs; i++, from += 4, to += 6) {
        to[0] = from[0];
        to[3] = from[1];
        to[1] = to[4] = from[2];
        to[2] = to[5] = from[3];
    }
}

static bool is_ybr(uint32_t photometric)
{
    return photometric == HILUM_PHOTO_YBR_FULL || photometric == HILUM_PHOTO_YBR_FULL_422;
}

/* The new length is known before: planes and order change no size, 4:2:2 has two thirds. */
hilum_rc hl_object_as_declared(const struct hilum_frame *declared, const struct hilum_frame *frame,
                               const void **pixels, uint64_t *n, struct hl_buf *out)
{
    uint32_t wanted = wanted_of(declared), is = frame->photometric;
    bool is_planar = declared->is_planar != 0 && wanted != HILUM_PHOTO_YBR_FULL_422;
    if (frame->samples == 1 || (wanted == is && is_planar == (frame->is_planar != 0)))
        return HILUM_OK;
    if (frame->samples != 3 || frame->bits_allocated != 8 ||
        (is != HILUM_PHOTO_RGB && is != HILUM_PHOTO_YBR_FULL) ||
        (wanted != HILUM_PHOTO_RGB && !is_ybr(wanted)) ||
        (wanted == HILUM_PHOTO_YBR_FULL_422 && frame->columns % 2))
        return hl_fail(HILUM_EUNSUP, "frames whose colours change when they are decoded");
    const struct turning turning = {.from = *pixels,
                                    .n = (uint64_t)frame->columns * frame->rows,
                                    .is_planar = frame->is_planar != 0,
                                    .to_ybr = is == HILUM_PHOTO_RGB && is_ybr(wanted),
                                    .to_rgb = is_ybr(is) && wanted == HILUM_PHOTO_RGB};
    hl_buf_clear(out);
    if (!hl_buf_reserve(out, (size_t)*n))
        return hl_fail(HILUM_ENOMEM, "no memory for a frame");
    if (wanted == HILUM_PHOTO_YBR_FULL_422)
        write_halved(&turning, (uint8_t *)out->data);
    else
        write_whole(&turning, is_planar, (uint8_t *)out->data);
    *n = wanted == HILUM_PHOTO_YBR_FULL_422 ? *n / 3 * 2 : *n;
    out->len = (size_t)*n;
    *pixels = out->data;
    return HILUM_OK;
}

static hilum_rc doubled(const struct hilum_frame *frame, const void **pixels, uint64_t *n,
                        struct hl_buf *out)
{
    uint64_t pairs = *n / 4, bytes = pairs * 6;
    if (frame->bits_allocated != 8 || frame->columns % 2 || *n != hilum_frame_bytes(frame))
        return hl_fail(HILUM_EUNSUP, "halved colours of an odd kind");
    hl_buf_clear(out);
    if (!hl_buf_reserve(out, (size_t)bytes))
        return hl_fail(HILUM_ENOMEM, "no memory for a frame");
    write_doubled(*pixels, pairs, (uint8_t *)out->data);
    out->len = (size_t)bytes;
    *pixels = out->data;
    *n = bytes;
    return HILUM_OK;
}

hilum_rc hl_object_as_encoded(const struct hilum_frame *declared, struct hilum_frame *frame,
                              const void **pixels, uint64_t *n, struct hl_buf *out)
{
    struct hilum_frame wanted = *declared;
    hilum_rc rc = HILUM_OK;
    wanted.is_planar = frame->is_planar;
    if (wanted.photometric == HILUM_PHOTO_YBR_FULL_422)
        wanted.photometric = HILUM_PHOTO_YBR_FULL;
    if (frame->photometric == HILUM_PHOTO_YBR_FULL_422)
        rc = doubled(frame, pixels, n, out);
    else
        rc = hl_object_as_declared(&wanted, frame, pixels, n, out);
    if (rc == HILUM_OK && frame->samples > 1)
        frame->photometric = wanted_of(&wanted);
    return rc;
}
