/* The contract of capability `codec` (sdk/include/hilum/codec.h), whoever provides it. What a codec refuses with
 * HILUM_EUNSUP is not held against it, but counted: each syntax must take the number of pictures told on the
 * command line. SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/contract/codec/pictures.h"
#include "tests/fake_host.h"

enum { OPTIONS = 16, CANARY = 64, MUTATIONS = 40, MUTATIONS_APART = 5 };
static const double psnr_least = 30; /* of what a codec loses when nobody says how much */
static const char baseline[] = "1.2.840.10008.1.2.4.50";

static const char *so_path;
static char *
    *wanted_counts; /* "4.50=9": of 1.2.840.10008.1.2.4.50; all others are options of the plugin */
static int n_wanted;

struct provider {
    hilum_self *host;
    const struct hilum_codec *codec;
    void *self;
};

struct bytes {
    uint8_t *at;
    uint64_t n;
};

static hilum_rc keep(void *ctx, const void *bytes, uint64_t n)
{
    struct bytes *kept = ctx;
    kept->at = realloc(kept->at, (size_t)(kept->n + n + 1));
    memcpy(kept->at + kept->n, bytes, (size_t)n);
    kept->n += n;
    return HILUM_OK;
}

static int set_up(void **state)
{
    static struct provider provider;
    struct fake_option options[OPTIONS + 1] = {{0}};
    static char keys[OPTIONS][32];
    for (int i = 0; i < n_wanted && i < OPTIONS; i++) {
        size_t n = strcspn(wanted_counts[i], "=");
        snprintf(keys[i], sizeof keys[i], "%.*s", (int)n, wanted_counts[i]);
        options[i] =
            (struct fake_option){keys[i], wanted_counts[i] + n + (wanted_counts[i][n] == '=')};
    }
    provider.host = fake_host_open(so_path, "/nonexistent", options);
    if (!provider.host)
        return -1;
    provider.codec = fake_host_cap(provider.host, HILUM_CAP_CODEC, &provider.self);
    *state = &provider;
    return 0;
}

static int tear_down(void **state)
{
    struct provider *provider = *state;
    fake_host_close(provider->host);
    return 0;
}

/* ---- the two ways ---- */

static hilum_rc encode(const struct provider *provider, const struct hilum_frame *frame,
                       const void *pixels, const struct hilum_encode *wanted, struct bytes *out,
                       struct hilum_encoded *done)
{
    struct hilum_sink sink = {.size = sizeof sink, .write = keep, .ctx = out};
    *out = (struct bytes){0};
    *done = (struct hilum_encoded){.size = sizeof *done};
    return provider->codec->encode(provider->self, frame, pixels, hilum_frame_bytes(frame), wanted,
                                   &sink, done);
}

static struct hilum_coded coded_of(const struct hilum_frame *declared, const char *syntax,
                                   const struct hilum_fragment *fragments, uint32_t n)
{
    return (struct hilum_coded){.size = sizeof(struct hilum_coded),
                                .n_fragments = n,
                                .fragments = fragments,
                                .transfer_syntax = syntax,
                                .declared = declared};
}

/* Decodes into exactly `room` bytes with a canary behind them. *pixels: free(). */
static hilum_rc decode_into(const struct provider *provider, const struct hilum_coded *coded,
                            const struct hilum_decode *wanted, uint64_t room, uint8_t **pixels,
                            struct hilum_frame *out)
{
    *out = (struct hilum_frame){.size = sizeof *out};
    *pixels = malloc((size_t)room + CANARY);
    memset(*pixels, 0xA5, (size_t)room + CANARY);
    hilum_rc rc = provider->codec->decode(provider->self, coded, wanted, *pixels, room, out);
    for (int i = 0; i < CANARY; i++)
        assert_int_equal((*pixels)[room + (uint64_t)i], 0xA5);
    return rc;
}

/* Halved colour differences are in the stream only: decoding gives three whole samples. */
static uint64_t room_of(const struct hilum_frame *declared)
{
    struct hilum_frame native = *declared;
    native.photometric = HILUM_PHOTO_UNKNOWN;
    return hilum_frame_bytes(&native);
}

static hilum_rc decode(const struct provider *provider, const struct hilum_frame *declared,
                       const char *syntax, const struct bytes *stream, uint8_t **pixels,
                       struct hilum_frame *out)
{
    struct hilum_fragment fragment = {stream->at, stream->n};
    struct hilum_coded coded = coded_of(declared, syntax, &fragment, 1);
    return decode_into(provider, &coded, NULL, room_of(declared), pixels, out);
}

/* ---- round trips ---- */

static uint32_t flags_of(const struct provider *provider, const char *syntax)
{
    for (const struct hilum_codec_syntax *s = provider->codec->syntaxes; s->uid; s++)
        if (!strcmp(s->uid, syntax))
            return s->flags;
    return 0;
}

/* The picture pixel by pixel, as decoding gives it when nobody wishes planes. */
static uint8_t *interleaved(const struct hilum_frame *frame, const uint8_t *pixels)
{
    uint64_t n = hilum_frame_bytes(frame), pixel_count = (uint64_t)frame->columns * frame->rows;
    uint8_t *out = malloc((size_t)n);
    uint32_t bytes = frame->bits_allocated / 8;
    memcpy(out, pixels, (size_t)n);
    for (uint64_t i = 0; frame->is_planar && i < pixel_count * frame->samples; i++) {
        uint64_t from = i % frame->samples * pixel_count + i / frame->samples;
        memcpy(out + i * bytes, pixels + from * bytes, bytes);
    }
    return out;
}

static void check_same_kind(const struct hilum_frame *frame, const struct hilum_frame *out)
{
    assert_int_equal(out->columns, frame->columns);
    assert_int_equal(out->rows, frame->rows);
    assert_int_equal(out->samples, frame->samples);
    assert_int_equal(out->bits_allocated, frame->bits_allocated);
    assert_int_equal(out->sample_type, frame->sample_type);
    assert_int_equal(out->is_planar, 0);
}

static int is_lossless(const struct provider *provider, const char *syntax)
{
    return (flags_of(provider, syntax) & HILUM_CODEC_LOSSLESS) != 0;
}

static void check_pixels(const struct provider *provider, const char *syntax,
                         const struct hilum_frame *frame, enum picture_kind kind,
                         const uint8_t *pixels, const uint8_t *decoded)
{
    uint8_t *expected = interleaved(frame, pixels);
    struct hilum_frame plain = *frame;
    plain.is_planar = 0;
    if (is_lossless(provider, syntax))
        assert_memory_equal(decoded, expected, (size_t)hilum_frame_bytes(frame));
    else if (kind == PICTURE_SMOOTH && frame->columns >= 64 && frame->rows > 16) {
        double psnr = picture_psnr(&plain, expected, decoded);
        if (psnr < psnr_least)
            fail_msg("%s %ux%u of %u bits: %.1f dB", syntax, frame->columns, frame->rows,
                     frame->bits_stored, psnr);
    }
    free(expected);
}

/* 1: the codec takes this picture. */
static int round_trip(const struct provider *provider, const char *syntax,
                      const struct hilum_frame *frame, enum picture_kind kind, int is_soiled)
{
    struct hilum_encode wanted = {.size = sizeof wanted, .transfer_syntax = syntax};
    struct hilum_encoded done;
    struct hilum_frame out, declared = *frame;
    struct bytes stream;
    uint8_t *pixels = picture_make(frame, kind), *decoded = NULL;
    if (is_soiled && !picture_soil(frame, pixels)) {
        free(pixels);
        return 0;
    }
    hilum_rc rc = encode(provider, frame, pixels, &wanted, &stream, &done);
    if (rc == HILUM_OK) {
        assert_int_equal(done.is_lossy, !is_lossless(provider, syntax));
        assert_int_equal(done.method[0] != 0, done.is_lossy);
        declared.photometric = done.photometric;
        rc = decode(provider, &declared, syntax, &stream, &decoded, &out);
        if (rc)
            fail_msg("%s %ux%u: %s", syntax, frame->columns, frame->rows, fake_host_reason());
        check_same_kind(frame, &out);
        check_pixels(provider, syntax, frame, is_soiled ? PICTURE_FLAT : kind, pixels, decoded);
        rc = 1;
    } else if (rc != HILUM_EUNSUP) {
        fail_msg("%s %ux%u: %d %s", syntax, frame->columns, frame->rows, rc, fake_host_reason());
    }
    free(decoded);
    free(pixels);
    free(stream.at);
    return rc == 1;
}

static int least_of(const char *syntax)
{
    static const char standard[] = "1.2.840.10008.1.2.";
    bool is_standard = strncmp(syntax, standard, sizeof standard - 1) == 0;
    for (int i = 0; is_standard && i < n_wanted; i++) {
        size_t n = strcspn(wanted_counts[i], "=");
        const char *end = syntax + sizeof standard - 1;
        if (strlen(end) == n && !strncmp(end, wanted_counts[i], n))
            return atoi(wanted_counts[i] + n + 1);
    }
    return 1;
}

static void every_picture_comes_back(void **state)
{
    const struct provider *provider = *state;
    for (const struct hilum_codec_syntax *s = provider->codec->syntaxes; s->uid; s++) {
        int n = 0, n_soiled = 0;
        if (!(s->flags & HILUM_CODEC_ENCODES))
            continue;
        for (const struct hilum_frame *frame = picture_frames; frame->columns; frame++) {
            n += round_trip(provider, s->uid, frame, PICTURE_SMOOTH, 0);
            (void)round_trip(provider, s->uid, frame, PICTURE_NOISE, 0);
            (void)round_trip(provider, s->uid, frame, PICTURE_FLAT, 0);
            n_soiled += round_trip(provider, s->uid, frame, PICTURE_SMOOTH, 1);
        }
        print_message("%s: %d kinds of pixels, %d with bits above those stored\n", s->uid, n,
                      n_soiled);
        assert_true(n >= least_of(s->uid));
    }
}

/* Y Y Cb Cr of two pixels of a row: JPEG baseline has colours like that, so luminance comes back nearly as it was, and the
 * two pixels of a pair share theirs. */
static void halved_colours_become_baseline(void **state)
{
    const struct provider *provider = *state;
    const char *syntax = baseline;
    const struct hilum_frame frame = {.size = sizeof frame,
                                      .columns = 64,
                                      .rows = 32,
                                      .samples = 3,
                                      .bits_allocated = 8,
                                      .bits_stored = 8,
                                      .photometric = HILUM_PHOTO_YBR_FULL_422};
    const struct hilum_encode wanted = {.size = sizeof wanted, .transfer_syntax = syntax};
    struct hilum_frame declared = frame, out;
    struct hilum_encoded done;
    struct bytes stream;
    uint8_t pixels[64 * 32 * 2], *decoded = NULL;
    if (!(flags_of(provider, syntax) & HILUM_CODEC_ENCODES))
        return;
    for (size_t i = 0; i < sizeof pixels; i += 4) {
        size_t x = i / 2 % 64, y = i / 128;
        pixels[i] = (uint8_t)(100 + x);
        pixels[i + 1] = (uint8_t)(101 + x);
        pixels[i + 2] = (uint8_t)(100 + y);
        pixels[i + 3] = (uint8_t)(150 - y);
    }
    assert_int_equal(encode(provider, &frame, pixels, &wanted, &stream, &done), HILUM_OK);
    assert_int_equal(done.photometric, HILUM_PHOTO_YBR_FULL_422);
    declared.photometric = done.photometric;
    assert_int_equal(decode(provider, &declared, syntax, &stream, &decoded, &out), HILUM_OK);
    assert_int_equal(out.photometric, HILUM_PHOTO_RGB);
    for (size_t i = 0; i < 64 * 32; i++) {
        const uint8_t *p = pixels + i / 2 * 4, *rgb = decoded + 3 * i;
        double y = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2];
        assert_true(fabs(y - p[i % 2]) < 4);
        assert_true(fabs(128 + (rgb[2] - y) / 1.772 - p[2]) < 4);
        assert_true(fabs(128 + (rgb[0] - y) / 1.402 - p[3]) < 4);
    }
    free(decoded);
    free(stream.at);
}

/* JPEG lossless and JPEG-LS end at 16 bits by their own standards, and have no colours that pixels share. */
static bool must_refuse(const char *syntax)
{
    static const char *const sixteen[] = {"4.57", "4.70", "4.80"};
    for (size_t k = 0; k < sizeof sixteen / sizeof *sixteen; k++)
        if (strcmp(syntax + strlen(syntax) - 4, sixteen[k]) == 0)
            return true;
    return false;
}

static void kept_or_refused(const struct provider *provider, const char *syntax,
                            const struct hilum_frame *frame)
{
    const struct hilum_encode wanted = {.size = sizeof wanted, .transfer_syntax = syntax};
    struct hilum_frame out;
    struct hilum_encoded done;
    struct bytes stream;
    uint8_t pixels[24 * 10 * 4], *decoded = NULL;
    for (size_t k = 0; k < sizeof pixels; k++)
        pixels[k] = (uint8_t)(k * 167 % 251);
    hilum_rc rc = encode(provider, frame, pixels, &wanted, &stream, &done);
    if (rc == HILUM_OK) {
        assert_false(must_refuse(syntax));
        assert_int_equal(decode(provider, frame, syntax, &stream, &decoded, &out), HILUM_OK);
        assert_memory_equal(decoded, pixels, (size_t)hilum_frame_bytes(frame));
    } else {
        assert_int_equal(rc, HILUM_EUNSUP);
        assert_true(strlen(fake_host_reason()) > 10);
    }
    free(decoded);
    free(stream.at);
}

/* Samples of 32 bits and colours that two pixels share: to the last bit, or it is said why not. */
static void what_is_not_kept_is_refused_with_a_reason(void **state)
{
    const struct provider *provider = *state;
    struct hilum_frame frame = {.size = sizeof frame, .columns = 24, .rows = 10};
    for (const struct hilum_codec_syntax *s = provider->codec->syntaxes; s->uid; s++) {
        if (!(s->flags & HILUM_CODEC_LOSSLESS))
            continue;
        frame.samples = 1;
        frame.bits_allocated = frame.bits_stored = 32;
        frame.photometric = HILUM_PHOTO_MONOCHROME2;
        kept_or_refused(provider, s->uid, &frame);
        frame.samples = 3;
        frame.bits_allocated = frame.bits_stored = 8;
        frame.photometric = HILUM_PHOTO_YBR_FULL_422;
        kept_or_refused(provider, s->uid, &frame);
    }
}

/* ---- streams within streams ---- */

static hilum_rc repack(const struct provider *provider, const char *from, const char *to,
                       const void *stream, uint64_t n, struct bytes *out)
{
    const struct hilum_fragment fragment = {stream, n};
    const struct hilum_coded coded = coded_of(&picture_jpeg_frame, from, &fragment, 1);
    struct hilum_sink sink = {.size = sizeof sink, .write = keep, .ctx = out};
    struct hilum_encoded done = {.size = sizeof done};
    *out = (struct bytes){0};
    hilum_rc rc = provider->codec->repack(provider->self, &coded, to, &sink, &done);
    if (rc == HILUM_OK) {
        assert_false(done.is_lossy);
        assert_int_equal(done.photometric, HILUM_PHOTO_MONOCHROME2);
    }
    return rc;
}

/* Damaged anywhere, it is an error or some other JPEG, and never the end of the process. */
static void check_damaged_packs(const struct provider *provider, const char *syntax,
                                const struct bytes *packed)
{
    struct bytes out;
    for (uint64_t i = 0; i < packed->n; i += packed->n / 40 + 1) {
        uint8_t kept = packed->at[i];
        packed->at[i] ^= 0x55;
        (void)repack(provider, syntax, baseline, packed->at, packed->n, &out);
        free(out.at);
        packed->at[i] = kept;
        assert_true(repack(provider, syntax, baseline, packed->at, i, &out) != HILUM_OK ||
                    (out.n == PICTURE_JPEG && !memcmp(out.at, picture_jpeg, out.n)));
        free(out.at);
    }
}

/* Byte for byte, the padding too; and what lies in between has the pixels. */
static void what_is_repacked_comes_back(void **state)
{
    const struct provider *provider = *state;
    for (const struct hilum_codec_syntax *s = provider->codec->syntaxes; s->uid; s++) {
        struct hilum_frame out;
        struct bytes packed, back;
        uint8_t *pixels;
        if (!(s->flags & HILUM_CODEC_REPACKS))
            continue;
        assert_int_equal(repack(provider, baseline, s->uid, picture_jpeg, PICTURE_JPEG, &packed),
                         HILUM_OK);
        assert_int_equal(repack(provider, s->uid, baseline, packed.at, packed.n, &back), HILUM_OK);
        assert_int_equal(back.n, PICTURE_JPEG);
        assert_memory_equal(back.at, picture_jpeg, PICTURE_JPEG);
        free(back.at);
        assert_int_equal(decode(provider, &picture_jpeg_frame, s->uid, &packed, &pixels, &out),
                         HILUM_OK);
        check_same_kind(&picture_jpeg_frame, &out);
        for (size_t i = 0; i < sizeof picture_jpeg_corners; i++)
            assert_in_range(pixels[(i / 2 * 16 + i % 2) * 15] + 3, picture_jpeg_corners[i],
                            picture_jpeg_corners[i] + 6);
        free(pixels);
        assert_int_equal(repack(provider, baseline, "1.2.3", picture_jpeg, PICTURE_JPEG, &back),
                         HILUM_EUNSUP);
        assert_true(repack(provider, baseline, s->uid, "no JPEG at all..", 16, &back) < 0);
        check_damaged_packs(provider, s->uid, &packed);
        free(packed.at);
    }
}

/* ---- streams for the rest ---- */

/* The first frame of the table that the syntax takes; a stream of it. */
static const struct hilum_frame *some_stream(const struct provider *provider, const char *syntax,
                                             const struct hilum_frame *from, struct bytes *stream,
                                             struct hilum_frame *declared)
{
    struct hilum_encode wanted = {.size = sizeof wanted, .transfer_syntax = syntax};
    struct hilum_encoded done;
    for (const struct hilum_frame *frame = from; frame->columns; frame++) {
        uint8_t *pixels = picture_make(frame, PICTURE_SMOOTH);
        hilum_rc rc = encode(provider, frame, pixels, &wanted, stream, &done);
        free(pixels);
        if (rc == HILUM_OK) {
            *declared = *frame;
            declared->photometric = done.photometric;
            return frame;
        }
        free(stream->at);
    }
    return NULL;
}

/* Calls back with one stream of each kind of frame and each syntax. */
static void each_stream(const struct provider *provider,
                        void (*check)(const struct provider *provider, const char *syntax,
                                      const struct hilum_frame *declared,
                                      const struct bytes *stream))
{
    for (const struct hilum_codec_syntax *s = provider->codec->syntaxes; s->uid; s++) {
        const struct hilum_frame *next = picture_frames;
        struct hilum_frame declared;
        struct bytes stream;
        while ((s->flags & HILUM_CODEC_ENCODES) &&
               (next = some_stream(provider, s->uid, next, &stream, &declared)) != NULL) {
            check(provider, s->uid, &declared, &stream);
            free(stream.at);
            next++;
        }
    }
}

static void check_info(const struct provider *provider, const char *syntax,
                       const struct hilum_frame *declared, const struct bytes *stream)
{
    struct hilum_frame frame = {.size = sizeof frame}, out;
    struct hilum_code_info info = {.size = sizeof info, .frame = &frame};
    struct hilum_fragment fragment = {stream->at, stream->n};
    struct hilum_coded coded = coded_of(declared, syntax, &fragment, 1);
    uint8_t *pixels;
    assert_int_equal(provider->codec->info(provider->self, &coded, &info), HILUM_OK);
    assert_int_equal(decode(provider, declared, syntax, stream, &pixels, &out), HILUM_OK);
    free(pixels);
    assert_memory_equal(&frame, &out, sizeof frame);
    assert_true(info.tile_width >= 1 && info.tile_width <= frame.columns);
    assert_true(info.is_lossless != 0 || !is_lossless(provider, syntax));
}

static void info_tells_what_decoding_yields(void **state)
{
    each_stream(*state, check_info);
}

static void check_fragments(const struct provider *provider, const char *syntax,
                            const struct hilum_frame *declared, const struct bytes *stream)
{
    uint64_t n = stream->n, size = room_of(declared);
    struct hilum_fragment pieces[] = {
        {stream->at, n / 3}, {stream->at + n / 3, 0}, {stream->at + n / 3, n - n / 3}};
    struct hilum_coded coded = coded_of(declared, syntax, pieces, 3);
    struct hilum_frame out;
    uint8_t *whole, *joined;
    assert_int_equal(decode(provider, declared, syntax, stream, &whole, &out), HILUM_OK);
    assert_int_equal(decode_into(provider, &coded, NULL, size, &joined, &out), HILUM_OK);
    assert_memory_equal(whole, joined, (size_t)size);
    free(whole);
    free(joined);
}

static void fragments_are_one_stream(void **state)
{
    each_stream(*state, check_fragments);
}

static void check_room(const struct provider *provider, const char *syntax,
                       const struct hilum_frame *declared, const struct bytes *stream)
{
    struct hilum_fragment fragment = {stream->at, stream->n};
    struct hilum_coded coded = coded_of(declared, syntax, &fragment, 1);
    struct hilum_frame out;
    uint8_t *pixels;
    uint64_t need = room_of(declared);
    assert_int_equal(decode_into(provider, &coded, NULL, need - 1, &pixels, &out), HILUM_EFULL);
    assert_int_equal(hilum_frame_bytes(&out), need);
    free(pixels);
}

static void a_buffer_too_small_says_what_is_needed(void **state)
{
    each_stream(*state, check_room);
}

static void check_planes(const struct provider *provider, const char *syntax,
                         const struct hilum_frame *declared, const struct bytes *stream)
{
    struct hilum_decode wanted = {.size = sizeof wanted, .is_planar = 1};
    struct hilum_fragment fragment = {stream->at, stream->n};
    struct hilum_coded coded = coded_of(declared, syntax, &fragment, 1);
    uint64_t need = room_of(declared);
    struct hilum_frame out;
    uint8_t *plain, *planes;
    assert_int_equal(decode(provider, declared, syntax, stream, &plain, &out), HILUM_OK);
    assert_int_equal(decode_into(provider, &coded, &wanted, need, &planes, &out), HILUM_OK);
    if (out.is_planar) {
        uint8_t *back = interleaved(&out, planes);
        assert_memory_equal(back, plain, (size_t)need);
        free(back);
    } else {
        assert_memory_equal(planes, plain, (size_t)need);
    }
    free(plain);
    free(planes);
}

static void planes_hold_the_same_pixels(void **state)
{
    each_stream(*state, check_planes);
}

/* ---- parts ---- */

/* Halved pictures have the size that the contract names, and are refused where the stream ends or the codec has no such thing. */
static void check_reduced(const struct provider *provider, const char *syntax,
                          const struct hilum_frame *declared, const struct bytes *stream)
{
    struct hilum_frame frame = {.size = sizeof frame}, out;
    struct hilum_code_info info = {.size = sizeof info, .frame = &frame};
    struct hilum_fragment fragment = {stream->at, stream->n};
    struct hilum_coded coded = coded_of(declared, syntax, &fragment, 1);
    assert_int_equal(provider->codec->info(provider->self, &coded, &info), HILUM_OK);
    for (uint32_t reduce = 1; reduce <= info.levels + 1 && reduce < 8; reduce++) {
        struct hilum_decode wanted = {.size = sizeof wanted, .reduce = reduce};
        uint32_t half = (1u << reduce) - 1;
        uint8_t *pixels;
        hilum_rc rc = decode_into(provider, &coded, &wanted, room_of(declared), &pixels, &out);
        free(pixels);
        if (!(flags_of(provider, syntax) & HILUM_CODEC_REDUCES) || reduce > info.levels) {
            assert_int_equal(rc, HILUM_EUNSUP);
            continue;
        }
        assert_int_equal(rc, HILUM_OK);
        assert_int_equal(out.columns, (declared->columns + half) >> reduce);
        assert_int_equal(out.rows, (declared->rows + half) >> reduce);
    }
}

static void pictures_can_be_halved(void **state)
{
    each_stream(*state, check_reduced);
}

static void check_region(const struct provider *provider, const char *syntax,
                         const struct hilum_frame *declared, const struct bytes *stream)
{
    struct hilum_decode wanted = {.size = sizeof wanted, .x = 5, .y = 3, .width = 11, .height = 7};
    struct hilum_fragment fragment = {stream->at, stream->n};
    struct hilum_coded coded = coded_of(declared, syntax, &fragment, 1);
    uint64_t need = room_of(declared);
    size_t pixel = declared->bits_allocated / 8 * (size_t)declared->samples;
    struct hilum_frame out;
    uint8_t *whole, *part;
    if (declared->columns < 16 || declared->rows < 10)
        return;
    hilum_rc rc = decode_into(provider, &coded, &wanted, need, &part, &out);
    if (!(flags_of(provider, syntax) & HILUM_CODEC_REGIONS)) {
        assert_int_equal(rc, HILUM_EUNSUP);
        free(part);
        return;
    }
    assert_int_equal(rc, HILUM_OK);
    assert_int_equal(out.columns, 11);
    assert_int_equal(out.rows, 7);
    assert_int_equal(decode(provider, declared, syntax, stream, &whole, &out), HILUM_OK);
    for (uint32_t y = 0; y < 7 && is_lossless(provider, syntax); y++)
        assert_memory_equal(part + y * 11 * pixel,
                            whole + ((3 + y) * (size_t)declared->columns + 5) * pixel, 11 * pixel);
    free(whole);
    free(part);
    wanted.x = declared->columns - 5;
    assert_int_equal(decode_into(provider, &coded, &wanted, need, &part, &out), HILUM_EINVAL);
    free(part);
}

static void regions_are_parts_of_the_whole(void **state)
{
    each_stream(*state, check_region);
}

/* ---- streams that are broken ---- */

/* As much as there is, and an error: a cut stream never passes for a whole picture. */
static void check_cut(const struct provider *provider, const char *syntax,
                      const struct hilum_frame *declared, const struct bytes *stream)
{
    uint8_t *whole, *pixels;
    struct hilum_frame out;
    uint64_t step = stream->n / 25 + 1, size = room_of(declared);
    assert_int_equal(decode(provider, declared, syntax, stream, &whole, &out), HILUM_OK);
    for (uint64_t n = 0; n < stream->n; n += step) {
        struct bytes cut = {malloc((size_t)n + 1), n}; /* exact, for the sanitizers to see */
        memcpy(cut.at, stream->at, (size_t)n);
        hilum_rc rc = decode(provider, declared, syntax, &cut, &pixels, &out);
        if (rc == HILUM_OK && memcmp(whole, pixels, (size_t)size) != 0)
            fail_msg("%s %ux%u cut to %llu of %llu bytes passes for whole", syntax,
                     declared->columns, declared->rows, (unsigned long long)n,
                     (unsigned long long)stream->n);
        free(pixels);
        free(cut.at);
    }
    free(whole);
}

static void a_stream_cut_short_is_an_error(void **state)
{
    each_stream(*state, check_cut);
}

/* A codec that is to run in a worker (--worker) may end its process, and nobody else's. */
static bool may_crash;

static void decode_apart(const struct provider *provider, const char *syntax,
                         const struct hilum_frame *declared, const struct bytes *stream)
{
    struct hilum_frame out;
    uint8_t *pixels;
    pid_t pid = may_crash ? fork() : 0;
    if (pid == 0) {
        if (may_crash) {
            alarm(20);
            (void)!freopen("/dev/null", "w", stderr); /* its last words are no news */
        }
        (void)decode(provider, declared, syntax, stream, &pixels, &out);
        free(pixels);
        if (may_crash)
            _exit(0);
        return;
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* Any answer will do, as long as it is one: the canary and the sanitizers watch. */
static void check_damaged(const struct provider *provider, const char *syntax,
                          const struct hilum_frame *declared, const struct bytes *stream)
{
    uint64_t state = 0x9E3779B97F4A7C15u + stream->n;
    uint8_t *copy = malloc((size_t)stream->n);
    for (int i = 0; i < (may_crash ? MUTATIONS_APART : MUTATIONS); i++) {
        struct bytes damaged = {copy, stream->n};
        memcpy(copy, stream->at, (size_t)stream->n);
        for (int k = 0; k <= i % 4; k++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            uint64_t among = i % 2 && stream->n > 100 ? 100 : stream->n;
            copy[(state >> 33) % among] = (uint8_t)(state >> 20);
        }
        decode_apart(provider, syntax, declared, &damaged);
    }
    free(copy);
}

static void a_damaged_stream_never_ends_the_process(void **state)
{
    each_stream(*state, check_damaged);
}

static void garbage_is_refused(void **state)
{
    const struct provider *provider = *state;
    static const char *const garbage[] = {"", "\xFF", "GARBAGE, not a code stream",
                                          "\xFF\xD8\xFF\xD9"};
    for (const struct hilum_codec_syntax *s = provider->codec->syntaxes; s->uid; s++)
        for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
            struct bytes stream = {(uint8_t *)strdup(garbage[i]), strlen(garbage[i])};
            struct hilum_frame out;
            uint8_t *pixels;
            assert_true(decode(provider, &picture_frames[0], s->uid, &stream, &pixels, &out) < 0);
            free(pixels);
            free(stream.at);
        }
}

static void a_frame_of_the_wrong_size_is_invalid(void **state)
{
    const struct provider *provider = *state;
    for (const struct hilum_codec_syntax *s = provider->codec->syntaxes; s->uid; s++) {
        struct hilum_encode wanted = {.size = sizeof wanted, .transfer_syntax = s->uid};
        struct hilum_encoded done = {.size = sizeof done};
        struct bytes out = {0};
        struct hilum_sink sink = {.size = sizeof sink, .write = keep, .ctx = &out};
        uint8_t pixels[64 * 48] = {0};
        if (s->flags & HILUM_CODEC_ENCODES)
            assert_int_equal(provider->codec->encode(provider->self, &picture_frames[0], pixels,
                                                     sizeof pixels - 1, &wanted, &sink, &done),
                             HILUM_EINVAL);
        free(out.at);
    }
}

/* ---- all cores at once ---- */

struct worker {
    const struct provider *provider;
    const char *syntax;
    int n;
};

static void *work(void *arg)
{
    struct worker *worker = arg;
    for (int i = 0; i < 5; i++)
        worker->n +=
            round_trip(worker->provider, worker->syntax, &picture_frames[0], PICTURE_SMOOTH, 0);
    return NULL;
}

static void calls_run_in_parallel(void **state)
{
    const struct provider *provider = *state;
    enum { THREADS = 4 };
    struct worker workers[THREADS];
    pthread_t threads[THREADS];
    if (provider->codec->cap.threads != HILUM_PARALLEL)
        skip();
    for (const struct hilum_codec_syntax *s = provider->codec->syntaxes; s->uid; s++) {
        if (!(s->flags & HILUM_CODEC_ENCODES))
            continue;
        for (int i = 0; i < THREADS; i++) {
            workers[i] = (struct worker){provider, s->uid, 0};
            assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
        }
        for (int i = 0; i < THREADS; i++) {
            pthread_join(threads[i], NULL);
            assert_int_equal(workers[i].n, workers[0].n);
        }
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_picture_comes_back),
        cmocka_unit_test(halved_colours_become_baseline),
        cmocka_unit_test(what_is_not_kept_is_refused_with_a_reason),
        cmocka_unit_test(what_is_repacked_comes_back),
        cmocka_unit_test(info_tells_what_decoding_yields),
        cmocka_unit_test(fragments_are_one_stream),
        cmocka_unit_test(a_buffer_too_small_says_what_is_needed),
        cmocka_unit_test(planes_hold_the_same_pixels),
        cmocka_unit_test(pictures_can_be_halved),
        cmocka_unit_test(regions_are_parts_of_the_whole),
        cmocka_unit_test(a_stream_cut_short_is_an_error),
        cmocka_unit_test(a_damaged_stream_never_ends_the_process),
        cmocka_unit_test(garbage_is_refused),
        cmocka_unit_test(a_frame_of_the_wrong_size_is_invalid),
        cmocka_unit_test(calls_run_in_parallel),
    };
    if (argc < 2) {
        fprintf(stderr, "usage: %s PLUGIN.so [--worker] [SYNTAX=COUNT...] [key=value...]\n",
                argv[0]);
        return 2;
    }
    so_path = argv[1];
    may_crash = (argc > 2 && !strcmp(argv[2], "--worker")) || getenv("HILUM_CHECK_WORKER");
    wanted_counts = argv + 2;
    n_wanted = argc - 2;
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
