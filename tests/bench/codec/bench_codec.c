/* What a codec plugin adds to its library, a 512x512 frame at a time, both in turn: bench_codec PLUGINS. On one core by the
 * thread's own time; linked with workers instead, by the clock, and then the difference is a worker's.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/bench/codec/bare.h"
#include "tests/contract/codec/pictures.h"
#include "tests/fake_host.h"

#ifndef BENCH_CLOCK
#define BENCH_CLOCK CLOCK_THREAD_CPUTIME_ID
#endif
enum { SIDE = 512, ROUNDS = 25, ROOM = SIDE * SIDE * 4 };

struct row {
    const char *plugin, *syntax;
    struct hilum_frame frame;
    int (*bare)(const uint8_t *stream, size_t n, void *pixels, size_t size);
    int (*bare_encode)(const struct bare_picture *picture, void *out, size_t room, size_t *n);
};

static const struct hilum_frame
    ct = {sizeof ct, SIDE, SIDE, 1, 16, 16, HILUM_SAMPLE_UNSIGNED, 0, HILUM_PHOTO_MONOCHROME2, 0},
    colour = {sizeof colour, SIDE, SIDE, 3, 8, 8, HILUM_SAMPLE_UNSIGNED, 0, HILUM_PHOTO_RGB, 0};

struct stream {
    uint8_t *at;
    uint64_t n;
};

static hilum_rc keep(void *ctx, const void *bytes, uint64_t n)
{
    struct stream *stream = ctx;
    if (n > ROOM - stream->n)
        abort();
    memcpy(stream->at + stream->n, bytes, (size_t)n);
    stream->n += n;
    return HILUM_OK;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(BENCH_CLOCK, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print(const struct row *row, const char *what, double *ours, double *bare)
{
    qsort(ours, ROUNDS, sizeof *ours, order);
    qsort(bare, ROUNDS, sizeof *bare, order);
    /* The first quarter: what comes after it is what else the machine did. */
    double a = ours[ROUNDS / 4], b = bare[ROUNDS / 4];
    printf("%-15s %s: %.2f of the bare library's rate (%.2f ms beside %.2f, %+.0f us)\n",
           row->plugin, what, b / a, a, b, (a - b) * 1e3);
}

static void encode(const struct hilum_codec *codec, void *self, const struct row *row,
                   const void *pixels, struct stream *stream)
{
    struct hilum_sink sink = {sizeof sink, 0, keep, stream};
    struct hilum_encode wanted = {.size = sizeof wanted, .transfer_syntax = row->syntax};
    struct hilum_encoded done = {.size = sizeof done};
    stream->n = 0;
    if (codec->encode(self, &row->frame, pixels, hilum_frame_bytes(&row->frame), &wanted, &sink,
                      &done))
        abort();
}

static void measure_encode(const struct hilum_codec *codec, void *self, const struct row *row,
                           const void *pixels, struct stream *stream)
{
    const struct bare_picture picture = {pixels, SIDE, SIDE, row->frame.bits_stored};
    double ours[ROUNDS], bare[ROUNDS];
    void *out = malloc(ROOM);
    size_t n = 0;
    for (int i = 0; i < ROUNDS; i++) {
        double start = now();
        encode(codec, self, row, pixels, stream);
        double middle = now();
        if (!out || row->bare_encode(&picture, out, ROOM, &n))
            abort();
        ours[i] = middle - start;
        bare[i] = now() - middle;
    }
    free(out);
    print(row, "encode", ours, bare);
}

static void measure(const struct hilum_codec *codec, void *self, const struct row *row)
{
    void *source = picture_make(&row->frame, PICTURE_SMOOTH), *pixels = NULL;
    struct stream stream = {malloc(ROOM), 0};
    size_t size = (size_t)hilum_frame_bytes(&row->frame);
    double ours[ROUNDS], bare[ROUNDS];
    pixels = calloc(1, size);
    if (!source || !pixels || !stream.at)
        abort();
    if (row->bare_encode)
        measure_encode(codec, self, row, source, &stream);
    else
        encode(codec, self, row, source, &stream);
    struct hilum_fragment fragment = {stream.at, stream.n};
    struct hilum_coded coded = {.size = sizeof coded,
                                .n_fragments = 1,
                                .fragments = &fragment,
                                .transfer_syntax = row->syntax,
                                .declared = &row->frame};
    for (int i = 0; i < ROUNDS; i++) {
        struct hilum_frame out = {.size = sizeof out};
        double start = now();
        if (codec->decode(self, &coded, NULL, pixels, size, &out))
            abort();
        double middle = now();
        if (row->bare(stream.at, (size_t)stream.n, pixels, size))
            abort();
        ours[i] = middle - start;
        bare[i] = now() - middle;
    }
    print(row, "decode", ours, bare);
    free(source);
    free(pixels);
    free(stream.at);
}

int main(int argc, char **argv)
{
    const struct row rows[] = {
        {"codec-jpegls", "1.2.840.10008.1.2.4.80", ct, bare_jpegls, bare_encode_jpegls},
        {"codec-jpeg2000", "1.2.840.10008.1.2.4.90", ct, bare_jpeg2000, bare_encode_jpeg2000},
        {"codec-htj2k", "1.2.840.10008.1.2.4.201", ct, bare_htj2k, bare_encode_htj2k},
        {"codec-jpegxl", "1.2.840.10008.1.2.4.110", ct, bare_jpegxl, bare_encode_jpegxl},
        {"codec-jpeg", "1.2.840.10008.1.2.4.50", colour, bare_jpeg, NULL}};
    for (size_t i = 0; argc > 1 && i < sizeof rows / sizeof rows[0]; i++) {
        char path[4096];
        void *self;
        snprintf(path, sizeof path, "%s/%s.so", argv[1], rows[i].plugin);
        hilum_self *host = fake_host_open(path, "/nonexistent", NULL);
        if (!host)
            return 1;
        const struct hilum_codec *codec = fake_host_cap(host, HILUM_CAP_CODEC, &self);
        measure(codec, self, &rows[i]);
        fake_host_close(host);
    }
    return 0;
}
