/* A study of 300 CT, 512x512x16, from explicit little endian to a compressed syntax and back, as objects leave, on both cores,
 * beside the bare libraries on both cores: bench_transcode PLUGIN.so... And the memory that a multi-frame of 2 GiB takes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "core/base/clock.h"
#include "core/store/pack.h"
#include "tests/bench/codec/bare.h"
#include "tests/contract/codec/files.h"
#include "tests/contract/codec/pictures.h"
#include "tests/unit/store/dataset_builder.h"

enum {
    SIDE = 512,
    BYTES = SIDE * SIDE * 2,
    FRAMES = 300,
    THREADS = 2,
    PICTURES = 8,
    ROOM = BYTES * 2
};

struct way {
    const char *name, *syntax;
    int (*encode)(const struct bare_picture *picture, void *out, size_t room, size_t *n);
    int (*decode)(const uint8_t *stream, size_t n, void *pixels, size_t size);
    unsigned frames; /* of the 300: the slow one is tried with fewer */
};
static const struct way ways[] = {
    {"JPEG-LS", "1.2.840.10008.1.2.4.80", bare_encode_jpegls, bare_jpegls, FRAMES},
    {"HTJ2K", "1.2.840.10008.1.2.4.201", bare_encode_htj2k, bare_htj2k, FRAMES},
    {"JPEG 2000", "1.2.840.10008.1.2.4.90", bare_encode_jpeg2000, bare_jpeg2000, FRAMES / 6}};

static struct {
    struct hl_codecs codecs;
    struct hl_buf objects[PICTURES]; /* explicit little endian */
    struct file coded[PICTURES];
    uint8_t *streams[PICTURES];
    size_t lengths[PICTURES];
} study;

/* ---- objects ---- */

static void put_header(struct hl_buf *b, const char *frames, uint32_t length)
{
    put_text(b, 0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.77");
    put_text(b, 0x00080018, "UI", "1.2.3.45");
    put_us(b, 0x00280002, 1, false);
    put_text(b, 0x00280004, "CS", "MONOCHROME2 ");
    put_text(b, 0x00280008, "IS", frames);
    put_us(b, 0x00280010, SIDE, false);
    put_us(b, 0x00280011, SIDE, false);
    put_us(b, 0x00280100, 16, false);
    put_us(b, 0x00280101, 16, false);
    put_us(b, 0x00280103, 0, false);
    put_head(b, 0x7FE00010, "OW", length, false);
}

static void make_study(void)
{
    const struct hilum_frame ct = {
        sizeof ct, SIDE, SIDE, 1, 16, 16, HILUM_SAMPLE_UNSIGNED, 0, HILUM_PHOTO_MONOCHROME2, 0};
    uint16_t *pixels = picture_make(&ct, PICTURE_SMOOTH);
    for (unsigned i = 0; pixels && i < PICTURES; i++) {
        for (size_t k = 0; k < BYTES / 2; k++) /* a CT: 12 bits with the noise of one */
            pixels[k] = (uint16_t)((pixels[k] >> 4 & 0xFF0u) + (k * 2654435761u >> 28) + i);
        put_header(&study.objects[i], "1 ", BYTES);
        hl_buf_add(&study.objects[i], pixels, BYTES);
    }
    free(pixels);
}

static const uint16_t *pixels_of(unsigned i)
{
    return (const uint16_t *)(const void *)(study.objects[i].data + study.objects[i].len - BYTES);
}

/* ---- one object, ours and bare ---- */

static void ours_encode(const struct way *way, unsigned i, void *scratch)
{
    struct hl_pack_wish wish = {0};
    struct hl_pack *pack = NULL;
    (void)scratch;
    strcpy(wish.transfer_syntax, way->syntax);
    if (hl_pack_new(&study.codecs, NULL, &wish, &pack) ||
        hl_pack_feed(pack, study.objects[i].data, study.objects[i].len) || hl_pack_end(pack))
        abort();
    for (size_t n = 1; n > 0;) {
        const uint8_t *bytes;
        if (hl_pack_next(pack, &bytes, &n))
            abort();
    }
    hl_pack_free(pack);
}

static void bare_encode(const struct way *way, unsigned i, void *scratch)
{
    const struct bare_picture picture = {pixels_of(i), SIDE, SIDE, 16};
    size_t n;
    if (way->encode(&picture, scratch, ROOM, &n))
        abort();
}

static void ours_decode(const struct way *way, unsigned i, void *scratch)
{
    struct hl_unpack *unpack = NULL;
    (void)way;
    (void)scratch;
    if (file_open(&study.codecs, &study.coded[i], &unpack))
        abort();
    for (uint64_t at = 0; at < hl_unpack_length(unpack);) {
        const uint8_t *bytes;
        size_t n = 256 * 1024;
        if (hl_unpack_bytes(unpack, at, &n, &bytes))
            abort();
        at += n;
    }
    hl_unpack_free(unpack);
}

static void bare_decode(const struct way *way, unsigned i, void *scratch)
{
    if (way->decode(study.streams[i], study.lengths[i], scratch, BYTES))
        abort();
}

/* ---- a study on both cores ---- */

struct lot {
    pthread_t thread;
    const struct way *way;
    void (*one)(const struct way *way, unsigned i, void *scratch);
};

static void *run_lot(void *arg)
{
    const struct lot *lot = arg;
    void *scratch = malloc(ROOM);
    for (unsigned i = 0; scratch && i < lot->way->frames / THREADS; i++)
        lot->one(lot->way, i % PICTURES, scratch);
    free(scratch);
    return NULL;
}

static double rate(const struct way *way, void (*one)(const struct way *, unsigned, void *))
{
    struct lot lots[THREADS];
    int64_t began = hl_mono_ns();
    for (int i = 0; i < THREADS; i++) {
        lots[i] = (struct lot){.way = way, .one = one};
        if (pthread_create(&lots[i].thread, NULL, run_lot, &lots[i]))
            abort();
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(lots[i].thread, NULL);
    return way->frames / ((double)(hl_mono_ns() - began) / 1e9);
}

static void compare(const struct way *way, const char *what,
                    void (*ours)(const struct way *, unsigned, void *),
                    void (*bare)(const struct way *, unsigned, void *))
{
    double a = 0, b = 0;
    for (int round = 0; round < 2; round++) { /* the best of each: in turns, on a shared machine */
        double x = rate(way, ours), y = rate(way, bare);
        a = x > a ? x : a;
        b = y > b ? y : b;
    }
    printf("%-10s %s: %.0f frames/s, bare libraries %.0f: %.2f\n", way->name, what, a, b, a / b);
}

static void prepare(const struct way *way)
{
    for (unsigned i = 0; i < PICTURES; i++) {
        const struct bare_picture picture = {pixels_of(i), SIDE, SIDE, 16};
        struct hl_buf object = {0};
        study.streams[i] = realloc(study.streams[i], ROOM);
        if (!study.streams[i] || way->encode(&picture, study.streams[i], ROOM, &study.lengths[i]))
            abort();
        put_header(&object, "1 ", 0xFFFFFFFF);
        put_item(&object, HL_TAG_ITEM, 0);
        put_item(&object, HL_TAG_ITEM, (uint32_t)(study.lengths[i] + study.lengths[i] % 2));
        hl_buf_add(&object, study.streams[i], study.lengths[i] + study.lengths[i] % 2);
        put_item(&object, HL_TAG_SEQUENCE_END, 0);
        file_free(&study.coded[i]);
        study.coded[i] = (struct file){.n = object.len};
        study.coded[i].bytes = (uint8_t *)hl_buf_take(&object);
        strcpy(study.coded[i].head.transfer_syntax, way->syntax);
    }
}

/* ---- 2 GiB ---- */

static long resident_kib(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

static void large(void)
{
    const struct hl_spool_place place = {.dir = "/tmp"};
    struct hl_pack_wish wish = {.transfer_syntax = "1.2.840.10008.1.2.5"};
    struct hl_pack *pack = NULL;
    struct hl_buf head = {0};
    uint8_t *frame = calloc(1, BYTES);
    enum { MANY = 4095 };
    long before = resident_kib();
    int64_t began = hl_mono_ns();
    put_header(&head, "4095", (uint32_t)MANY * BYTES);
    if (!frame || hl_pack_new(&study.codecs, &place, &wish, &pack) ||
        hl_pack_feed(pack, head.data, head.len))
        abort();
    for (unsigned i = 0; i < MANY; i++) {
        for (size_t k = i % 7; k < BYTES; k += 97)
            frame[k] = (uint8_t)(k * i);
        if (hl_pack_feed(pack, frame, BYTES))
            abort();
    }
    if (hl_pack_end(pack))
        abort();
    uint64_t native, coded;
    hl_pack_sizes(pack, &native, &coded);
    printf("2 GiB of %d frames to RLE: %.1f s, %llu MiB of code streams, %ld MiB more resident at "
           "most\n",
           MANY, (double)(hl_mono_ns() - began) / 1e9, (unsigned long long)(coded >> 20),
           (resident_kib() - before) / 1024);
    hl_pack_free(pack);
    hl_buf_fini(&head);
    free(frame);
}

int main(int argc, char **argv)
{
    struct codecs codecs;
    if (argc < 2 || !codecs_open(&codecs, argv + 1, argc - 1))
        return 2;
    study.codecs = codecs_lent(&codecs);
    setvbuf(stdout, NULL, _IOLBF, 0);
    make_study();
    large();
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        prepare(&ways[i]);
        compare(&ways[i], "explicit to it", ours_encode, bare_encode);
        compare(&ways[i], "it to explicit", ours_decode, bare_decode);
    }
    for (unsigned i = 0; i < PICTURES; i++) {
        hl_buf_fini(&study.objects[i]);
        file_free(&study.coded[i]);
        free(study.streams[i]);
    }
    codecs_close(&codecs);
    return 0;
}
