/* bench-render: 512x512 CT frames to JPEG and PNG by the renderer's call, and the first pixels of a mammogram of 4664x3064 in
 * JPEG 2000, decoded reduced and whole. Prints milliseconds, the least and the median. SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "hilum/codec.h"
#include "hilum/renderer.h"
#include "tests/fake_host.h"

enum { RUNS = 200, LARGE_RUNS = 7 };

struct subject {
    struct hilum_frame frame;
    unsigned char *pixels;
    uint32_t levels;
    const char *modality;
    const struct hilum_codec *codec; /* NULL: pixels are there */
    void *codec_self;
    struct hilum_coded coded;
};

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static hilum_rc describe(void *ctx, uint32_t i, struct hilum_slice *out)
{
    const struct subject *s = ctx;
    (void)i;
    *out = (struct hilum_slice){.size = out->size,
                                .frame_number = 1,
                                .frame = &s->frame,
                                .slope = 1,
                                .intercept = -1024,
                                .window = 1500,
                                .level = 300,
                                .levels = s->levels};
    return HILUM_OK;
}

static hilum_rc read_frame(void *ctx, uint32_t i, void *dst, uint64_t n)
{
    const struct subject *s = ctx;
    struct hilum_frame out = {.size = sizeof out};
    (void)i;
    if (s->codec)
        return s->codec->decode(s->codec_self, &s->coded, NULL, dst, n, &out);
    memcpy(dst, s->pixels, n);
    return HILUM_OK;
}

static hilum_rc read_reduced(void *ctx, uint32_t i, uint32_t reduce, void *dst, uint64_t n)
{
    const struct subject *s = ctx;
    const struct hilum_decode wanted = {.size = sizeof wanted, .reduce = reduce};
    struct hilum_frame out = {.size = sizeof out};
    (void)i;
    return s->codec->decode(s->codec_self, &s->coded, &wanted, dst, n, &out);
}

static const char *no_text(void *ctx, uint32_t i, const char *path)
{
    (void)ctx, (void)i, (void)path;
    return NULL;
}

static hilum_rc no_bytes(void *ctx, uint32_t i, const char *path, const void **bytes, uint64_t *n)
{
    (void)ctx, (void)i, (void)path, (void)bytes, (void)n;
    return HILUM_ENOTFOUND;
}

static uint64_t no_items(void *ctx, uint32_t i, const char *path)
{
    (void)ctx, (void)i, (void)path;
    return 0;
}

static hilum_rc count(void *ctx, const void *bytes, uint64_t n)
{
    (void)bytes;
    *(uint64_t *)ctx += n;
    return HILUM_OK;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(const char *what, hilum_self *host, struct subject *s, const char *media_type,
                    uint32_t side, int runs)
{
    static double times[RUNS];
    void *self = NULL, *scene = NULL;
    uint64_t bytes = 0;
    const struct hilum_renderer *renderer = fake_host_cap(host, HILUM_CAP_RENDERER, &self);
    const struct hilum_source source = {.size = sizeof source,
                                        .n_slices = 1,
                                        .modality = s->modality,
                                        .describe = describe,
                                        .read = read_frame,
                                        .text = no_text,
                                        .ctx = s,
                                        .bytes = no_bytes,
                                        .items = no_items,
                                        .read_reduced = s->codec ? read_reduced : NULL};
    const struct hilum_view view = {
        .size = sizeof view, .media_type = media_type, .width = side, .height = side};
    struct hilum_sink sink = {.size = sizeof sink, .write = count, .ctx = &bytes};
    for (int i = 0; i < runs; i++) {
        struct hilum_rendered done = {.size = sizeof done};
        double begun = now_ms();
        bytes = 0;
        if (renderer->open(self, &source, &scene) != HILUM_OK ||
            renderer->render(self, scene, &view, &sink, &done) != HILUM_OK) {
            fprintf(stderr, "%s: %s\n", what, fake_host_reason());
            exit(1);
        }
        renderer->close(self, scene);
        times[i] = now_ms() - begun;
    }
    qsort(times, (size_t)runs, sizeof *times, by_value);
    printf("%-46s %8.2f ms least, %8.2f median (%.0f/s), %llu bytes\n", what, times[0],
           times[runs / 2], 1000 / times[runs / 2], (unsigned long long)bytes);
}

/* A body in noise: what JPEG has to work for. */
static void draw(struct subject *s, uint32_t columns, uint32_t rows)
{
    uint32_t state = 1;
    s->frame = (struct hilum_frame){.size = sizeof s->frame,
                                    .columns = columns,
                                    .rows = rows,
                                    .samples = 1,
                                    .bits_allocated = 16,
                                    .bits_stored = 12,
                                    .photometric = HILUM_PHOTO_MONOCHROME2};
    s->pixels = malloc((size_t)columns * rows * 2);
    if (!s->pixels)
        exit(1);
    for (uint32_t y = 0; y < rows; y++)
        for (uint32_t x = 0; x < columns; x++) {
            double u = (x + 0.5) / columns * 2 - 1, v = (y + 0.5) / rows * 2 - 1;
            state = state * 1664525u + 1013904223u;
            double value = u * u + v * v < 0.8
                               ? 1000 + 300 * sin(9 * u) * cos(7 * v) + (state >> 26)
                               : 20 + (state >> 28);
            unsigned char *p = s->pixels + 2 * ((size_t)y * columns + x);
            p[0] = (unsigned char)(unsigned)value;
            p[1] = (unsigned char)((unsigned)value >> 8);
        }
}

struct stream {
    unsigned char *bytes;
    uint64_t n;
};

static hilum_rc keep(void *ctx, const void *bytes, uint64_t n)
{
    struct stream *stream = ctx;
    unsigned char *grown = realloc(stream->bytes, stream->n + n);
    if (!grown)
        return HILUM_ENOMEM;
    memcpy(grown + stream->n, bytes, n);
    stream->bytes = grown;
    stream->n += n;
    return HILUM_OK;
}

static void encode(struct subject *s, hilum_self *host, struct stream *stream,
                   struct hilum_fragment *fragment)
{
    static const char syntax[] = "1.2.840.10008.1.2.4.90";
    const struct hilum_encode wanted = {.size = sizeof wanted, .transfer_syntax = syntax};
    struct hilum_encoded done = {.size = sizeof done};
    struct hilum_sink sink = {.size = sizeof sink, .write = keep, .ctx = stream};
    s->codec = fake_host_cap(host, HILUM_CAP_CODEC, &s->codec_self);
    if (s->codec->encode(s->codec_self, &s->frame, s->pixels, hilum_frame_bytes(&s->frame), &wanted,
                         &sink, &done) != HILUM_OK)
        exit(1);
    *fragment = (struct hilum_fragment){stream->bytes, stream->n};
    s->coded = (struct hilum_coded){.size = sizeof s->coded,
                                    .n_fragments = 1,
                                    .fragments = fragment,
                                    .transfer_syntax = syntax,
                                    .declared = &s->frame};
    s->levels = 5;
}

int main(void)
{
    struct subject ct = {.modality = "CT"}, mammogram = {.modality = "MG"};
    struct stream stream = {NULL, 0};
    struct hilum_fragment fragment;
    hilum_self *render = fake_host_open(RENDER_PLUGIN, "/tmp", NULL);
    hilum_self *codec = fake_host_open(J2K_PLUGIN, "/tmp", NULL);
    if (!render || !codec)
        return 1;
    draw(&ct, 512, 512);
    measure("CT 512x512 to JPEG", render, &ct, "image/jpeg", 0, RUNS);
    measure("CT 512x512 to PNG", render, &ct, "image/png", 0, RUNS);
    ct.frame.bits_stored = 16; /* of which a CT uses some thousand values */
    measure("CT 512x512 of 16 bits to JPEG", render, &ct, "image/jpeg", 0, RUNS);
    measure("CT 512x512 to JPEG of 256x256", render, &ct, "image/jpeg", 256, RUNS);
    draw(&mammogram, 3064, 4664);
    encode(&mammogram, codec, &stream, &fragment);
    measure("mammogram 3064x4664 J2K, within 256x256", render, &mammogram, "image/jpeg", 256,
            LARGE_RUNS);
    measure("mammogram 3064x4664 J2K, within 512x512", render, &mammogram, "image/jpeg", 512,
            LARGE_RUNS);
    measure("mammogram 3064x4664 J2K, whole", render, &mammogram, "image/jpeg", 0, LARGE_RUNS);
    free(ct.pixels);
    free(mammogram.pixels);
    free(stream.bytes);
    fake_host_close(codec);
    fake_host_close(render);
    return 0;
}
