/* Frames as code streams of another syntax than the stored one, for clients that decode that and nothing else.
 *
 * A client has metadata to go by, which are of the stored form: what its decoder yields has to
 * be what they tell of. So colours are those declared (object_colour.c), and JPEG with RGB keeps
 * RGB inside, which it says with its Adobe marker: a reader that goes by the marker and one that goes
 * by metadata both are right. Transforms inside of JPEG 2000 are every decoder's own business.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/server/objects.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/dicom/uid.h"
#include "core/store/pixels.h"

/* A frame being made. Borrowed from who asks: it is made on his thread. */
struct coding {
    hilum_object *object;
    uint64_t i;
    struct hilum_encode wanted;
    struct hilum_frame declared;
};

/* Deflated and big endian objects are read as explicit little endian, piece by piece: their frames lie nowhere as they
 * are. */
static hilum_rc gather(hilum_object *object, uint64_t i, const void **pixels, uint64_t *n)
{
    struct hl_buf *all = &object->gathered;
    const void *bytes = NULL;
    uint64_t got = 1;
    hilum_rc rc = hl_object_frame(object, i);
    hl_buf_clear(all);
    all->failed = false;
    while (rc == HILUM_OK && got > 0) {
        rc = hl_object_next_part(object, &bytes, &got);
        if (rc == HILUM_OK && got > HL_FRAME_MAX - all->len)
            rc = hl_fail(HILUM_EUNSUP, "a frame of more than 2 GiB");
        else if (rc == HILUM_OK)
            hl_buf_add(all, bytes, (size_t)got);
    }
    if (rc == HILUM_OK && all->failed)
        rc = hl_fail(HILUM_ENOMEM, "no memory for a frame");
    *pixels = all->data;
    *n = all->len;
    return rc;
}

/* As of frames that are mapped (core/store/unpack.c): how many bytes a data set gives a frame need not be what its kind
 * takes, and all that follows goes by the kind. */
static hilum_rc check_length(hilum_object *object, const struct hilum_frame *kind)
{
    struct hilum_frames frames;
    uint64_t n = hilum_frame_bytes(kind);
    hilum_rc rc = hl_object_frames(object, &frames);
    if (rc == HILUM_OK && (n == 0 || n > HL_FRAME_MAX || n != frames.length))
        rc = hl_fail(HILUM_EUNSUP, "frames of %llu bytes", (unsigned long long)frames.length);
    return rc;
}

static hilum_rc native_pixels(const struct coding *coding, struct hilum_frame *frame,
                              const void **pixels, uint64_t *n)
{
    hilum_object *object = coding->object;
    *frame = coding->declared;
    if (object->is_native_anew) {
        hilum_rc rc = check_length(object, frame);
        return rc == HILUM_OK ? gather(object, coding->i, pixels, n) : rc;
    }
    return hl_object_decoded(hl_outgoing_frame(object->out, coding->i, frame, pixels, n));
}

/* PS3.5 8.2.1: .50 to .59 are the image/jpeg with loss. */
static bool is_jpeg_with_loss(const char *syntax)
{
    return strncmp(syntax, "1.2.840.10008.1.2.4.5", 21) == 0 &&
           hl_uid_syntax(syntax)->flags & HL_SYNTAX_LOSSY;
}

/* HILUM_EUNSUP: by its pixels, then. */
static hilum_rc make_as_it_is(struct coding *coding, struct hl_buf *stream)
{
    hilum_object *object = coding->object;
    const char *to = coding->wanted.transfer_syntax;
    const void *bytes = NULL;
    uint64_t n = 0;
    if (!hl_repack_can(hl_outgoing_stored(object->out)->transfer_syntax, to))
        return HILUM_EUNSUP;
    hilum_rc rc = gather(object, coding->i, &bytes, &n);
    return rc == HILUM_OK ? hl_object_decoded(hl_outgoing_repack_frame(
                                object->out, &coding->declared, bytes, n, to, stream))
                          : rc;
}

static hilum_rc make_of_pixels(struct coding *coding, struct hl_buf *stream)
{
    struct hilum_frame frame;
    const void *pixels = NULL;
    uint64_t n = 0;
    hilum_rc rc = native_pixels(coding, &frame, &pixels, &n);
    if (rc == HILUM_OK)
        rc = hl_object_go_on(coding->object);
    if (rc == HILUM_OK)
        rc = hl_object_as_encoded(&coding->declared, &frame, &pixels, &n, &coding->object->colours);
    if (rc == HILUM_OK) {
        const struct hl_native native = {&frame, pixels, n};
        if (frame.photometric == HILUM_PHOTO_RGB &&
            is_jpeg_with_loss(coding->wanted.transfer_syntax))
            coding->wanted.photometric = HILUM_PHOTO_RGB;
        rc = hl_object_decoded(
            hl_outgoing_code(coding->object->out, &native, &coding->wanted, stream));
    }
    return rc;
}

/* One for the cache: exactly as large as its stream. Its frame is decoded for this object's own asker, and whoever waits
 * for the stream as well makes it then. */
static hilum_rc make(void *arg, const struct hl_wish *wish, struct hl_cached_frame *out)
{
    struct coding *coding = arg;
    struct hl_buf stream = {0};
    hilum_rc rc = hl_wish_ask(wish);
    if (rc == HILUM_OK)
        rc = make_as_it_is(coding, &stream);
    if (rc == HILUM_EUNSUP)
        rc = make_of_pixels(coding, &stream);
    if (rc == HILUM_ECLOSED)
        rc = hl_fail(HILUM_ECANCELLED, "nobody waits for this any more");
    out->n = stream.len;
    out->pixels = rc == HILUM_OK ? malloc(stream.len) : NULL;
    if (out->pixels != NULL)
        memcpy(out->pixels, stream.data, stream.len);
    else if (rc == HILUM_OK)
        rc = hl_fail(HILUM_ENOMEM, "no memory for a code stream");
    hl_buf_fini(&stream);
    return rc;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9E3779B97F4A7C15);
    return hash ^ hash >> 29;
}

/* All that the stream depends on beside the stored bytes: a correction could change what they are called. A ratio in
 * thousandths, decibels likewise. */
static uint64_t form_of(const struct coding *coding)
{
    const struct hilum_encode *wanted = &coding->wanted;
    const uint64_t numbers[] = {wanted->max_error,
                                wanted->quality,
                                wanted->photometric,
                                wanted->effort,
                                (uint64_t)(wanted->ratio * 1000),
                                (uint64_t)(wanted->psnr * 1000),
                                coding->declared.photometric,
                                coding->declared.bits_stored,
                                coding->declared.sample_type};
    uint64_t hash = 0;
    for (const char *p = wanted->transfer_syntax; *p != '\0'; p++)
        hash = mix(hash, (uint8_t)*p);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        hash = mix(hash, numbers[i]);
    return hash | 1;
}

hilum_rc hl_object_encoded_frame(hilum_object *object, uint64_t i,
                                 const struct hilum_encode *wanted)
{
    struct hilum_frames frames;
    const void *bytes = NULL;
    uint64_t n = 0;
    hilum_rc rc = hl_object_frames(object, &frames);
    if (rc != HILUM_OK)
        return rc;
    if (wanted->size < sizeof *wanted)
        return hl_fail(HILUM_EINVAL, "an encoding is told in %zu bytes", sizeof *wanted);
    if (i >= frames.n)
        return hl_fail(HILUM_ENOTFOUND, "there are %llu frames", (unsigned long long)frames.n);
    if (strcmp(frames.transfer_syntax, wanted->transfer_syntax) == 0)
        return hl_object_frame(object, i);
    struct coding coding = {.object = object, .i = i, .wanted = *wanted};
    hl_pixels_declared(object->scan, &coding.declared);
    rc = hl_object_decoded(
        hl_outgoing_made(object->out, i, form_of(&coding), make, &coding, &bytes, &n));
    hl_object_give(object, rc == HILUM_OK ? bytes : NULL, n);
    return rc;
}
