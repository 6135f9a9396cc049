/* What every `operator` must do (hilum/operator.h). SPDX-License-Identifier: Apache-2.0 */
#include "tests/contract/contract.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "hilum/operator.h"

enum { GUARD = 64 };

static const struct hilum_frame frames[] = {
    {.columns = 1,
     .rows = 1,
     .samples = 1,
     .bits_allocated = 8,
     .bits_stored = 8,
     .photometric = HILUM_PHOTO_MONOCHROME2},
    {.columns = 37,
     .rows = 11,
     .samples = 1,
     .bits_allocated = 16,
     .bits_stored = 12,
     .photometric = HILUM_PHOTO_MONOCHROME1},
    {.columns = 37,
     .rows = 11,
     .samples = 1,
     .bits_allocated = 16,
     .bits_stored = 16,
     .sample_type = HILUM_SAMPLE_SIGNED,
     .photometric = HILUM_PHOTO_MONOCHROME2},
    {.columns = 8,
     .rows = 9,
     .samples = 3,
     .bits_allocated = 8,
     .bits_stored = 8,
     .photometric = HILUM_PHOTO_RGB},
    {.columns = 9,
     .rows = 7,
     .samples = 3,
     .bits_allocated = 8,
     .bits_stored = 8,
     .is_planar = 1,
     .photometric = HILUM_PHOTO_RGB},
    {.columns = 5,
     .rows = 5,
     .samples = 1,
     .bits_allocated = 32,
     .bits_stored = 32,
     .sample_type = HILUM_SAMPLE_FLOAT,
     .photometric = HILUM_PHOTO_MONOCHROME2},
    {.columns = 17,
     .rows = 3,
     .samples = 1,
     .bits_allocated = 1,
     .bits_stored = 1,
     .photometric = HILUM_PHOTO_MONOCHROME2},
};
enum { N_FRAMES = sizeof frames / sizeof *frames };

static void *pixels_of(const struct hilum_frame *frame, unsigned seed)
{
    uint64_t n = hilum_frame_bytes(frame);
    unsigned char *pixels = malloc((size_t)n);
    assert_non_null(pixels);
    for (uint64_t i = 0; i < n; i++)
        pixels[i] = (unsigned char)(i * 37 + seed * 101 + (i >> 5));
    return pixels;
}

/* Applies it once with inputs of one kind; false: it says that it does not know this kind. */
static bool apply(struct provided *p, const struct hilum_frame *kind, unsigned char **out,
                  uint64_t *n)
{
    const struct hilum_operator *t = p->table;
    struct hilum_frame in = *kind, planned = {.size = sizeof planned};
    struct hilum_image images[4];
    in.size = sizeof in;
    hilum_rc rc = t->plan(p->self, "{}", &in, &planned);
    if (rc == HILUM_EUNSUP)
        return false;
    assert_int_equal(rc, HILUM_OK);
    *n = hilum_frame_bytes(&planned);
    assert_true(*n > 0);
    *out = malloc((size_t)*n + GUARD);
    memset(*out, 0xA5, (size_t)*n + GUARD);
    for (uint32_t i = 0; i < t->n_inputs; i++)
        images[i] = (struct hilum_image){
            .size = sizeof images[i], .frame = &in, .pixels = pixels_of(&in, i)};
    assert_int_equal(t->apply(p->self, "{}", images, t->n_inputs, *out, *n), HILUM_OK);
    for (uint32_t i = 0; i < t->n_inputs; i++) {
        void *untouched = pixels_of(&in, i);
        assert_memory_equal(images[i].pixels, untouched, hilum_frame_bytes(&in));
        free(untouched);
        free((void *)(uintptr_t)images[i].pixels);
    }
    for (unsigned i = 0; i < GUARD; i++)
        assert_int_equal((*out)[*n + i], 0xA5);
    return true;
}

static void table__says_what_it_is(void **state)
{
    const struct hilum_operator *t = ((struct provided *)*state)->table;
    assert_true(t->title && *t->title);
    assert_in_range(t->n_inputs, 1, 4);
}

static void apply__stays_within_its_output_and_leaves_the_input(void **state)
{
    unsigned known = 0;
    for (unsigned i = 0; i < N_FRAMES; i++) {
        unsigned char *out = NULL;
        uint64_t n;
        known += apply(*state, &frames[i], &out, &n);
        free(out);
    }
    assert_true(known > 0); /* an operator for no picture at all is none */
}

static void apply__gives_the_same_for_the_same(void **state)
{
    for (unsigned i = 0; i < N_FRAMES; i++) {
        unsigned char *first = NULL, *second = NULL;
        uint64_t n, m;
        if (!apply(*state, &frames[i], &first, &n))
            continue;
        assert_true(apply(*state, &frames[i], &second, &m));
        assert_int_equal(n, m);
        assert_memory_equal(first, second, n);
        free(first);
        free(second);
    }
}

/* The host passes on what a person wrote: nonsense is refused or ignored, never believed. */
static void plan__survives_parameters_of_any_form(void **state)
{
    static const char *const texts[] = {"",
                                        "{",
                                        "[]",
                                        "null",
                                        "{\"radius\":1e308}",
                                        "{\"radius\":-1}",
                                        "{\"amount\":\"\xff\xfe\"}",
                                        "{\"a\":{\"a\":{\"a\":[[[[]]]]}}}"};
    struct provided *p = *state;
    const struct hilum_operator *t = p->table;
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct hilum_frame in = frames[1], planned = {.size = sizeof planned};
        in.size = sizeof in;
        hilum_rc rc = t->plan(p->self, texts[i], &in, &planned);
        assert_true(rc == HILUM_OK || rc == HILUM_EINVAL || rc == HILUM_EUNSUP);
    }
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        PROVIDED_TEST(table__says_what_it_is),
        PROVIDED_TEST(apply__stays_within_its_output_and_leaves_the_input),
        PROVIDED_TEST(apply__gives_the_same_for_the_same),
        PROVIDED_TEST(plan__survives_parameters_of_any_form)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return contract_main(argc, argv, HILUM_CAP_OPERATOR, run);
}
