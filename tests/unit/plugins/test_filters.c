/* Filters of filter-2d against pictures whose answer is known. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "hilum/operator.h"
#include "tests/fake_host.h"

enum { SIDE = 37 }; /* no multiple of four: rows have a rest */

static hilum_self *host;

static int open_host(void **state)
{
    (void)state;
    host = fake_host_open(FILTER_PLUGIN, "/tmp", NULL);
    return host != NULL ? 0 : -1;
}

static int close_host(void **state)
{
    (void)state;
    fake_host_close(host);
    return 0;
}

static const struct hilum_operator *find(const char *name, void **instance)
{
    for (unsigned i = 0; i < host->n_caps; i++)
        if (host->caps[i].cap->kind == HILUM_CAP_OPERATOR &&
            strcmp(host->caps[i].cap->name, name) == 0) {
            *instance = host->caps[i].instance;
            return (const struct hilum_operator *)(const void *)host->caps[i].cap;
        }
    fail_msg("no operator %s", name);
    return NULL;
}

static struct hilum_frame grey(uint32_t allocated, uint32_t stored, uint32_t sample_type)
{
    return (struct hilum_frame){.size = sizeof(struct hilum_frame),
                                .columns = SIDE,
                                .rows = SIDE,
                                .samples = 1,
                                .bits_allocated = allocated,
                                .bits_stored = stored,
                                .sample_type = sample_type,
                                .photometric = HILUM_PHOTO_MONOCHROME2};
}

/* Runs it over n pictures of one kind; the answer is to be freed. */
static hilum_rc run(const char *name, const char *parameters, const struct hilum_frame *frame,
                    const void *const *pixels, uint32_t n, struct hilum_frame *out, void **dst)
{
    void *instance = NULL;
    const struct hilum_operator *op = find(name, &instance);
    struct hilum_image images[2] = {{.size = sizeof *images, .frame = frame, .pixels = pixels[0]},
                                    {.size = sizeof *images, .frame = frame}};
    if (n > 1)
        images[1].pixels = pixels[1];
    *out = (struct hilum_frame){.size = sizeof *out};
    *dst = NULL;
    hilum_rc rc = op->plan(instance, parameters, frame, out);
    if (rc != HILUM_OK)
        return rc;
    uint64_t size = hilum_frame_bytes(out);
    *dst = malloc((size_t)size);
    assert_non_null(*dst);
    rc = op->apply(instance, parameters, images, n, *dst, size);
    if (rc != HILUM_OK) {
        free(*dst);
        *dst = NULL;
    }
    return rc;
}

static uint8_t *run8(const char *name, const char *parameters, const uint8_t *pixels)
{
    const struct hilum_frame frame = grey(8, 8, HILUM_SAMPLE_UNSIGNED);
    const void *in[] = {pixels};
    struct hilum_frame out;
    void *dst = NULL;
    assert_int_equal(run(name, parameters, &frame, in, 1, &out, &dst), HILUM_OK);
    assert_int_equal(hilum_frame_bytes(&out), SIDE * SIDE);
    return dst;
}

static void noise(uint8_t *out, size_t n)
{
    uint32_t state = 12345;
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        out[i] = (uint8_t)(60 + (state >> 24) / 2);
    }
}

/* ---- linear ones ---- */

static void linear__leave_an_even_picture_as_it_is(void **state)
{
    static const char *const names[] = {"smooth", "sharpen", "unsharp"};
    uint8_t even[SIDE * SIDE];
    (void)state;
    memset(even, 77, sizeof even);
    for (size_t i = 0; i < 3; i++) {
        uint8_t *out = run8(names[i], NULL, even);
        assert_memory_equal(out, even, sizeof even);
        free(out);
    }
    uint8_t *edges = run8("edge", NULL, even);
    for (size_t i = 0; i < sizeof even; i++)
        assert_int_equal(edges[i], 0);
    free(edges);
}

static void smooth__is_a_gaussian(void **state)
{
    uint8_t point[SIDE * SIDE] = {0};
    double sum = 0, expected[7];
    (void)state;
    point[SIDE * 18 + 18] = 255;
    uint8_t *out = run8("smooth", "{\"sigma\":1}", point);
    for (int k = -3; k <= 3; k++)
        sum += expected[k + 3] = exp(-k * k / 2.0);
    for (int y = -3; y <= 3; y++)
        for (int x = -3; x <= 3; x++) {
            double wanted = 255 * expected[x + 3] * expected[y + 3] / (sum * sum);
            assert_true(fabs(out[SIDE * (18 + y) + 18 + x] - wanted) <= 0.51);
        }
    free(out);
}

static void sharpen__is_the_laplacian(void **state)
{
    uint8_t in[SIDE * SIDE];
    (void)state;
    noise(in, sizeof in);
    uint8_t *out = run8("sharpen", "{\"amount\":0.5}", in);
    for (int y = 1; y < SIDE - 1; y++)
        for (int x = 1; x < SIDE - 1; x++) {
            const uint8_t *p = in + y * SIDE + x;
            double wanted = p[0] + 0.125 * (4.0 * p[0] - p[1] - p[-1] - p[SIDE] - p[-SIDE]);
            wanted = wanted < 0 ? 0 : wanted > 255 ? 255 : wanted;
            assert_true(fabs(out[y * SIDE + x] - wanted) <= 0.51);
        }
    free(out);
}

static void unsharp__adds_what_smoothing_takes(void **state)
{
    uint8_t in[SIDE * SIDE];
    (void)state;
    noise(in, sizeof in);
    uint8_t *soft = run8("smooth", "{\"sigma\":2}", in);
    uint8_t *out = run8("unsharp", "{\"sigma\":2,\"amount\":1}", in);
    uint8_t *same = run8("unsharp", "{\"amount\":3,\"threshold\":255}", in);
    assert_memory_equal(same, in, sizeof in);
    for (size_t i = 0; i < sizeof in; i++) {
        int wanted = 2 * in[i] - soft[i];
        wanted = wanted < 0 ? 0 : wanted > 255 ? 255 : wanted;
        assert_true(abs(out[i] - wanted) <= 1);
    }
    free(soft);
    free(out);
    free(same);
}

static void edge__is_as_high_as_the_step(void **state)
{
    uint8_t step[SIDE * SIDE];
    (void)state;
    for (int i = 0; i < SIDE * SIDE; i++)
        step[i] = i % SIDE < 20 ? 10 : 110;
    uint8_t *out = run8("edge", NULL, step);
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            assert_int_equal(out[y * SIDE + x], x == 19 || x == 20 ? 100 : 0);
    free(out);
}

static void smooth__keeps_signs_and_drops_what_lies_above(void **state)
{
    const struct hilum_frame frame = grey(16, 12, HILUM_SAMPLE_SIGNED);
    uint16_t in[SIDE * SIDE];
    const void *pixels[] = {in};
    struct hilum_frame out;
    void *dst = NULL;
    (void)state;
    for (int i = 0; i < SIDE * SIDE; i++)
        in[i] = (uint16_t)(0xF000 | (-1000 & 0x0FFF)); /* an overlay in the upper bits */
    in[0] &= 0x0FFF;
    assert_int_equal(run("smooth", NULL, &frame, pixels, 1, &out, &dst), HILUM_OK);
    for (int i = 0; i < SIDE * SIDE; i++)
        assert_int_equal(((int16_t *)dst)[i], -1000);
    free(dst);
}

/* ---- the others ---- */

static void clahe__spreads_a_narrow_range_and_keeps_its_order(void **state)
{
    uint8_t in[SIDE * SIDE];
    int least = 255, most = 0;
    (void)state;
    for (int i = 0; i < SIDE * SIDE; i++)
        in[i] = (uint8_t)(100 + i % SIDE / 2);
    uint8_t *out = run8("clahe", "{\"tiles\":1,\"clip\":100}", in);
    for (int i = 0; i < SIDE * SIDE; i++) {
        least = out[i] < least ? out[i] : least;
        most = out[i] > most ? out[i] : most;
        assert_true(i % SIDE == 0 || out[i] >= out[i - 1]);
    }
    assert_true(most - least > 3 * 18);
    free(out);
}

static void pseudocolour__runs_from_black_to_white(void **state)
{
    const struct hilum_frame frame = grey(8, 8, HILUM_SAMPLE_UNSIGNED);
    uint8_t in[SIDE * SIDE] = {0};
    const void *pixels[] = {in};
    struct hilum_frame out;
    void *dst = NULL;
    (void)state;
    in[1] = 255;
    in[2] = 128;
    assert_int_equal(run("pseudocolour", "{\"scale\":\"hot-iron\"}", &frame, pixels, 1, &out, &dst),
                     HILUM_OK);
    const uint8_t *p = dst;
    assert_true(p[0] == 0 && p[1] == 0 && p[2] == 0);
    assert_true(p[3] == 255 && p[4] == 255 && p[5] == 255);
    assert_true(p[6] == 255 && p[7] < 20 && p[8] < 20);
    assert_int_equal(out.samples, 3);
    assert_int_equal(out.photometric, HILUM_PHOTO_RGB);
    free(dst);
    assert_int_equal(run("pseudocolour", "{\"scale\":\"pink\"}", &frame, pixels, 1, &out, &dst),
                     HILUM_EINVAL);
}

static void subtract__leaves_the_difference_around_the_middle(void **state)
{
    const struct hilum_frame frame = grey(8, 8, HILUM_SAMPLE_UNSIGNED);
    uint8_t image[SIDE * SIDE], mask[SIDE * SIDE];
    const void *pixels[] = {image, mask};
    struct hilum_frame out;
    void *dst = NULL;
    (void)state;
    noise(mask, sizeof mask);
    memcpy(image, mask, sizeof image);
    image[100] = (uint8_t)(mask[100] - 30);
    assert_int_equal(run("subtract", "{\"gain\":2}", &frame, pixels, 2, &out, &dst), HILUM_OK);
    assert_int_equal(out.bits_allocated, 16);
    for (int i = 0; i < SIDE * SIDE; i++)
        assert_int_equal(((uint16_t *)dst)[i], i == 100 ? 32768 - 60 : 32768);
    free(dst);
    for (int i = SIDE * SIDE - 1; i > 0; i--) /* one to the right */
        image[i] = mask[i - 1];
    assert_int_equal(run("subtract", "{\"dx\":1}", &frame, pixels, 2, &out, &dst), HILUM_OK);
    for (int i = 0; i < SIDE * SIDE; i++)
        assert_true(i % SIDE == 0 || ((uint16_t *)dst)[i] == 32768);
    free(dst);
    assert_int_equal(run("subtract", "{\"log\":true}", &frame, pixels, 2, &out, &dst), HILUM_OK);
    free(dst);
}

static void all__refuse_what_they_do_not_know(void **state)
{
    struct hilum_frame frame = grey(8, 8, HILUM_SAMPLE_UNSIGNED), out;
    uint8_t in[SIDE * SIDE * 4] = {0};
    const void *pixels[] = {in, in};
    void *dst = NULL;
    (void)state;
    assert_int_equal(run("smooth", "{\"sigma\":0}", &frame, pixels, 1, &out, &dst), HILUM_EINVAL);
    assert_int_equal(run("smooth", "{\"sigma\":\"a\"}", &frame, pixels, 1, &out, &dst),
                     HILUM_EINVAL);
    assert_int_equal(run("smooth", "[", &frame, pixels, 1, &out, &dst), HILUM_EINVAL);
    assert_int_equal(run("subtract", NULL, &frame, pixels, 1, &out, &dst), HILUM_EINVAL);
    frame.bits_allocated = frame.bits_stored = 32;
    assert_int_equal(run("edge", NULL, &frame, pixels, 1, &out, &dst), HILUM_EUNSUP);
    frame = grey(8, 8, HILUM_SAMPLE_UNSIGNED);
    frame.samples = 3;
    frame.photometric = HILUM_PHOTO_YBR_FULL;
    assert_int_equal(run("smooth", NULL, &frame, pixels, 1, &out, &dst), HILUM_EUNSUP);
    frame.photometric = HILUM_PHOTO_RGB;
    assert_int_equal(run("smooth", NULL, &frame, pixels, 1, &out, &dst), HILUM_OK);
    free(dst);
    assert_int_equal(run("clahe", NULL, &frame, pixels, 1, &out, &dst), HILUM_EUNSUP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear__leave_an_even_picture_as_it_is),
        cmocka_unit_test(smooth__is_a_gaussian),
        cmocka_unit_test(sharpen__is_the_laplacian),
        cmocka_unit_test(unsharp__adds_what_smoothing_takes),
        cmocka_unit_test(edge__is_as_high_as_the_step),
        cmocka_unit_test(smooth__keeps_signs_and_drops_what_lies_above),
        cmocka_unit_test(clahe__spreads_a_narrow_range_and_keeps_its_order),
        cmocka_unit_test(pseudocolour__runs_from_black_to_white),
        cmocka_unit_test(subtract__leaves_the_difference_around_the_middle),
        cmocka_unit_test(all__refuse_what_they_do_not_know)};
    return cmocka_run_group_tests(tests, open_host, close_host);
}
