/* render-2d on its own, given the attributes that peers may send: overlays, states of single frames, palettes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "hilum/renderer.h"
#include "tests/fake_host.h"

enum { SIDE = 64, FRAMES = 100, STATE = FRAMES };

struct said {
    uint32_t of; /* 0 to FRAMES - 1, or STATE */
    const char *path, *text;
    uint64_t n; /* items, or length of bytes */
    const void *bytes;
};

/* A series of FRAMES frames with the same pixels, and perhaps a state. */
struct series {
    struct hilum_frame frame;
    const struct said *said; /* ends with path NULL; those of frame 0 are said of all */
    uint16_t pixels[SIDE * SIDE];
    uint32_t levels;
};

static hilum_self *host;

static int open_host(void **state)
{
    (void)state;
    host = fake_host_open(RENDER_PLUGIN, "/tmp", NULL);
    return host != NULL ? 0 : -1;
}

static int close_host(void **state)
{
    (void)state;
    fake_host_close(host);
    return 0;
}

/* ---- where frames come from ---- */

static const struct said *find(const struct series *series, uint32_t i, const char *path)
{
    static const struct said nothing = {.path = NULL};
    for (const struct said *s = series->said; s != NULL && s->path != NULL; s++)
        if ((s->of == STATE) == (i == STATE) && strcmp(s->path, path) == 0)
            return s;
    return &nothing;
}

static hilum_rc describe(void *ctx, uint32_t i, struct hilum_slice *out)
{
    struct series *series = ctx;
    *out = (struct hilum_slice){.size = out->size,
                                .frame_number = i + 1,
                                .sop_instance = "1.2.3",
                                .frame = &series->frame,
                                .slope = 1,
                                .levels = series->levels};
    return HILUM_OK;
}

static hilum_rc read_frame(void *ctx, uint32_t i, void *dst, uint64_t n)
{
    const struct series *series = ctx;
    (void)i;
    assert_true(n <= sizeof series->pixels);
    memcpy(dst, series->pixels, n);
    return HILUM_OK;
}

/* As a codec halves: bits above the stored ones are gone. */
static hilum_rc read_reduced(void *ctx, uint32_t i, uint32_t reduce, void *dst, uint64_t n)
{
    (void)ctx, (void)i, (void)reduce;
    memset(dst, 0, n);
    return HILUM_OK;
}

static const char *text(void *ctx, uint32_t i, const char *path)
{
    return find(ctx, i, path)->text;
}

static hilum_rc bytes_of(void *ctx, uint32_t i, const char *path, const void **bytes, uint64_t *n)
{
    const struct said *said = find(ctx, i, path);
    *bytes = said->bytes;
    *n = said->n;
    return said->bytes != NULL ? HILUM_OK : HILUM_ENOTFOUND;
}

static uint64_t items(void *ctx, uint32_t i, const char *path)
{
    return find(ctx, i, path)->n;
}

/* ---- pictures ---- */

static struct series *series_of(const struct said *said)
{
    struct series *series = calloc(1, sizeof *series);
    assert_non_null(series);
    series->said = said;
    series->frame = (struct hilum_frame){.size = sizeof series->frame,
                                         .columns = SIDE,
                                         .rows = SIDE,
                                         .samples = 1,
                                         .bits_allocated = 16,
                                         .bits_stored = 12,
                                         .photometric = HILUM_PHOTO_MONOCHROME2};
    return series;
}

struct drawn {
    uint64_t n;
    uint8_t bytes[SIDE * SIDE * 3];
};

static hilum_rc keep(void *ctx, const void *bytes, uint64_t n)
{
    struct drawn *drawn = ctx;
    assert_true(n <= sizeof drawn->bytes - drawn->n);
    memcpy(drawn->bytes + drawn->n, bytes, n);
    drawn->n += n;
    return HILUM_OK;
}

/* Frame i within a square of `side`, bare samples of 8 bits. */
static void draw(struct series *series, uint32_t i, uint32_t side, bool has_state,
                 struct drawn *out)
{
    void *self = NULL, *scene = NULL;
    const struct hilum_renderer *table = fake_host_cap(host, HILUM_CAP_RENDERER, &self);
    const struct hilum_source source = {.size = sizeof source,
                                        .n_slices = FRAMES,
                                        .describe = describe,
                                        .read = read_frame,
                                        .read_reduced = read_reduced,
                                        .text = text,
                                        .bytes = bytes_of,
                                        .items = items,
                                        .n_states = has_state,
                                        .ctx = series};
    const struct hilum_view view = {.size = sizeof view,
                                    .width = side,
                                    .height = side,
                                    .slice = i,
                                    .mode = "flat",
                                    .media_type = "application/octet-stream"};
    struct hilum_sink sink = {.size = sizeof sink, .write = keep, .ctx = out};
    struct hilum_rendered done = {.size = sizeof done};
    out->n = 0;
    assert_int_equal(table->open(self, &source, &scene), HILUM_OK);
    if (table->render(self, scene, &view, &sink, &done) != HILUM_OK)
        fail_msg("%s", fake_host_reason());
    table->close(self, scene);
    assert_int_equal(done.width, side);
}

/* ---- shades ---- */

/* PS3.3 C.11.2.1.2 for a width of 2000 around 100; black where no picture was taken. */
static uint8_t shade_of(int value)
{
    double y = (value - 99.5) / 1999 + 0.5;
    return value == -2000 || y < 0 ? 0 : (uint8_t)((y < 1 ? y : 1) * 255 + 0.5);
}

/* Values from low to high in so many bits, the lowest at `shift`; junk: bits that are none of the pixel's. */
struct form {
    uint32_t bits, shift, junk;
    int low, high;
};

static void fill(const struct form *form, struct series *series, int values[], unsigned n)
{
    static uint32_t random = 1;
    unsigned range = (unsigned)(form->high - form->low + 1), mask = (1u << form->bits) - 1;
    series->frame.bits_stored = form->bits;
    for (unsigned at = 0; at < n; at++) {
        random = random * 1664525u + 1013904223u;
        values[at] = form->low + (int)((random >> 8) % range);
        unsigned stored = ((unsigned)values[at] & mask) << form->shift;
        series->pixels[at] = (uint16_t)(stored | (random >> 4 & form->junk));
    }
}

/* A side whose square is no multiple of anything, and values to either side of 0. */
static void shade__is_that_of_the_stored_bits(void **state)
{
    enum { ODD = SIDE - 1 };
    static const struct said said[] = {
        {.path = "WindowCenter", .text = "100"},        {.path = "WindowWidth", .text = "2000"},
        {.path = "PixelPaddingValue", .text = "-2000"}, {.path = "HighBit", .text = "13"},
        {.path = "BitsStored", .text = "13"},           {.path = NULL}};
    static const struct form forms[] = {{16, 0, 0, -32768, 32767},
                                        {16, 0, 0, -1024, 3071},
                                        {16, 0, 0, 7, 7},
                                        {16, 0, 0, -2000, -1},
                                        {13, 1, 0xC001, -4096, 4095}};
    struct series *series = series_of(said);
    struct drawn drawn;
    int values[ODD * ODD];
    (void)state;
    series->frame.columns = series->frame.rows = ODD;
    series->frame.sample_type = HILUM_SAMPLE_SIGNED;
    for (unsigned k = 0; k < sizeof forms / sizeof *forms; k++) {
        fill(&forms[k], series, values, ODD * ODD);
        draw(series, 0, ODD, false, &drawn);
        assert_int_equal(drawn.n, ODD * ODD);
        for (unsigned at = 0; at < ODD * ODD; at++)
            assert_int_equal(drawn.bytes[at], shade_of(values[at]));
    }
    free(series);
}

/* ---- overlays ---- */

/* Sixteen planes of 4 thousand millions of bits each, of which 8 KiB came. */
static void overlay__costs_what_came_not_what_it_says(void **state)
{
    static struct said said[16 * 3 + 3];
    static char paths[16 * 3][9];
    static uint8_t bits[8192];
    struct drawn drawn;
    (void)state;
    memset(bits, 0xFF, sizeof bits);
    for (unsigned k = 0; k < 16; k++) {
        static const char *const elements[] = {"0010", "0011", "3000"};
        for (unsigned e = 0; e < 3; e++) {
            snprintf(paths[3 * k + e], sizeof paths[0], "%04X%s", 0x6000 + 2 * k, elements[e]);
            said[3 * k + e] = (struct said){.path = paths[3 * k + e], .text = "65535"};
        }
        said[3 * k + 2].text = NULL;
        said[3 * k + 2].bytes = bits;
        said[3 * k + 2].n = sizeof bits;
    }
    said[48] = (struct said){.path = "WindowCenter", .text = "2048"};
    said[49] = (struct said){.path = "WindowWidth", .text = "4096"};
    struct series *series = series_of(said);
    clock_t began = clock();
    draw(series, 0, SIDE, false, &drawn);
    assert_true((double)(clock() - began) / CLOCKS_PER_SEC < 1);
    assert_int_equal(drawn.n, SIDE * SIDE);
    for (unsigned at = 0; at < SIDE * SIDE; at++)
        assert_int_equal(drawn.bytes[at], at <= SIDE ? 255 : 0); /* a row, and a bit of the next */
    free(series);
}

static void overlay__in_bits_of_samples_is_in_thumbnails_too(void **state)
{
    static const struct said said[] = {{.path = "60000010", .text = "64"},
                                       {.path = "60000011", .text = "64"},
                                       {.path = "60000100", .text = "16"},
                                       {.path = "60000102", .text = "15"},
                                       {.path = "WindowCenter", .text = "2048"},
                                       {.path = "WindowWidth", .text = "4096"},
                                       {.path = NULL}};
    struct drawn drawn;
    (void)state;
    struct series *series = series_of(said);
    series->levels = 5;
    for (unsigned y = 16; y < 24; y++)
        for (unsigned x = 16; x < 24; x++)
            series->pixels[y * SIDE + x] = 0x8000;
    draw(series, 0, SIDE / 4, false, &drawn);
    assert_int_equal(drawn.n, SIDE / 4 * SIDE / 4);
    assert_true(drawn.bytes[4 * SIDE / 4 + 4] > 200);
    assert_true(drawn.bytes[12 * SIDE / 4 + 12] < 10);
    free(series);
}

/* ---- states ---- */

/* One window for frames 1 to 70, another for 71 to the last; a third would be for all. */
static void state__has_a_window_for_each_frame(void **state)
{
    static char first[FRAMES * 4], second[FRAMES * 4];
#define VOI(k)   "SoftcopyVOILUTSequence[" k "]."
#define NAMED    "ReferencedImageSequence[0].ReferencedSOPInstanceUID"
#define NUMBERED "ReferencedImageSequence[0].ReferencedFrameNumber"
    static const struct said said[] = {
        {.of = STATE, .path = "SoftcopyVOILUTSequence", .n = 3},
        {.of = STATE, .path = VOI("0") "ReferencedImageSequence", .n = 1},
        {.of = STATE, .path = VOI("0") NAMED, .text = "1.2.3"},
        {.of = STATE, .path = VOI("0") NUMBERED, .text = first},
        {.of = STATE, .path = VOI("0") "WindowCenter", .text = "1000.5"},
        {.of = STATE, .path = VOI("0") "WindowWidth", .text = "2001"},
        {.of = STATE, .path = VOI("1") "ReferencedImageSequence", .n = 1},
        {.of = STATE, .path = VOI("1") NAMED, .text = "1.2.3"},
        {.of = STATE, .path = VOI("1") NUMBERED, .text = second},
        {.of = STATE, .path = VOI("1") "WindowCenter", .text = "2000.5"},
        {.of = STATE, .path = VOI("1") "WindowWidth", .text = "4001"},
        {.of = STATE, .path = VOI("2") "WindowCenter", .text = "100"},
        {.of = STATE, .path = VOI("2") "WindowWidth", .text = "10"},
        {.path = NULL}};
    static const struct {
        uint32_t frame;
        uint8_t shade;
    } expected[] = {{0, 128}, {65, 128}, {70, 64}, {98, 64}, {99, 255}};
    struct drawn drawn;
    (void)state;
    for (int frame = 1; frame < FRAMES; frame++) {
        char *list = frame <= 70 ? first : second;
        snprintf(list + strlen(list), 5, "%s%d", *list != '\0' ? "\\" : "", frame);
    }
    struct series *series = series_of(said);
    for (unsigned at = 0; at < SIDE * SIDE; at++)
        series->pixels[at] = 1000;
    for (unsigned k = 0; k < sizeof expected / sizeof *expected; k++) {
        draw(series, expected[k].frame, SIDE, true, &drawn);
        assert_in_range(drawn.bytes[0], expected[k].shade - 1, expected[k].shade);
    }
    free(series);
}

/* ---- palettes ---- */

/* 40000 entries from 40000 on, in a signed VR though the samples have no sign. */
static void palette__in_segments_is_described_as_any_other(void **state)
{
    static const uint8_t segments[] = {0, 0, 1, 0, 0, 0, 1, 0, 0x3F, 0x9C, 0xFF, 0xFF};
    static const struct said said[] = {
#define CHANNEL(c)                                                                                 \
    {.path = c "PaletteColorLookupTableDescriptor", .text = "-25536\\-25536\\16"},                 \
        {.path = "Segmented" c "PaletteColorLookupTableData",                                      \
         .bytes = segments,                                                                        \
         .n = sizeof segments}
        CHANNEL("Red"), CHANNEL("Green"), CHANNEL("Blue"), {.path = NULL}};
    struct drawn drawn;
    (void)state;
    struct series *series = series_of(said);
    series->frame.photometric = HILUM_PHOTO_PALETTE;
    series->frame.bits_stored = 16;
    for (unsigned at = 0; at < SIDE * SIDE; at++)
        series->pixels[at] = at == 0 ? 0 : 50000;
    draw(series, 0, SIDE, false, &drawn);
    assert_int_equal(drawn.n, SIDE * SIDE * 3);
    assert_int_equal(drawn.bytes[0], 0);
    assert_in_range(drawn.bytes[3], 63, 64); /* a quarter of the way */
    free(series);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shade__is_that_of_the_stored_bits),
        cmocka_unit_test(overlay__in_bits_of_samples_is_in_thumbnails_too),
        cmocka_unit_test(state__has_a_window_for_each_frame),
        cmocka_unit_test(palette__in_segments_is_described_as_any_other),
        cmocka_unit_test(overlay__costs_what_came_not_what_it_says),
    };
    return cmocka_run_group_tests(tests, open_host, close_host);
}
