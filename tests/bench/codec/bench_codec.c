/* What a codec plugin adds to its library, a 512x512 frame at a time, both in turn on one core: bench_codec PLUGINS.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/bench/codec/bare.h"
#include "tests/contract/codec/pictures.h"
#include "tests/fake_host.h"

enum { SIDE = 512, ROUNDS = 15 };

struct row {
    const char *plugin, *syntax;
    struct hilum_frame frame;
    int (*bare)(const uint8_t *stream, size_t n, void *pixels, size_t size);
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
    stream->at = realloc(stream->at, (size_t)(stream->n + n));
    if (!stream->at)
        abort();
    memcpy(stream->at + stream->n, bytes, (size_t)n);
    stream->n += n;
    return HILUM_OK;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static struct stream encode(const struct hilum_codec *codec, void *self, const struct row *row)
{
    struct stream stream = {0};
    struct hilum_sink sink = {sizeof sink, 0, keep, &stream};
    struct hilum_encode wanted = {.size = sizeof wanted, .transfer_syntax = row->syntax};
    struct hilum_encoded done = {.size = sizeof done};
    void *pixels = picture_make(&row->frame, PICTURE_SMOOTH);
    if (codec->encode(self, &row->frame, pixels, hilum_frame_bytes(&row->frame), &wanted, &sink,
                      &done))
        abort();
    free(pixels);
    return stream;
}

static void measure(const struct hilum_codec *codec, void *self, const struct row *row)
{
    struct stream stream = encode(codec, self, row);
    struct hilum_fragment fragment = {stream.at, stream.n};
    struct hilum_coded coded = {.size = sizeof coded,
                                .n_fragments = 1,
                                .fragments = &fragment,
                                .transfer_syntax = row->syntax,
                                .declared = &row->frame};
    size_t size = (size_t)hilum_frame_bytes(&row->frame);
    void *pixels = calloc(1, size);
    double ours[ROUNDS], bare[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        struct hilum_frame out = {.size = sizeof out};
        double start = now();
        if (!pixels || codec->decode(self, &coded, NULL, pixels, size, &out))
            abort();
        double middle = now();
        if (row->bare(stream.at, (size_t)stream.n, pixels, size))
            abort();
        ours[i] = middle - start;
        bare[i] = now() - middle;
    }
    qsort(ours, ROUNDS, sizeof *ours, order);
    qsort(bare, ROUNDS, sizeof *bare, order);
    printf("%s decode: %.2f of the bare library's rate (%.2f ms beside %.2f)\n", row->plugin,
           bare[ROUNDS / 2] / ours[ROUNDS / 2], ours[ROUNDS / 2], bare[ROUNDS / 2]);
    free(pixels);
    free(stream.at);
}

int main(int argc, char **argv)
{
    const struct row rows[] = {{"codec-jpegls", "1.2.840.10008.1.2.4.80", ct, bare_jpegls},
                               {"codec-jpeg2000", "1.2.840.10008.1.2.4.90", ct, bare_jpeg2000},
                               {"codec-jpeg", "1.2.840.10008.1.2.4.50", colour, bare_jpeg}};
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
