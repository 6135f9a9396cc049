/* What every `renderer` must do (hilum/renderer.h). SPDX-License-Identifier: Apache-2.0 */
#include "tests/contract/contract.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hilum/renderer.h"

enum { SLICES = 5 };

/* A stack of CT slices 2 mm apart; one of them cannot be decoded where `broken` says so. */
struct stack {
    struct hilum_frame frame;
    uint32_t n_slices, broken; /* broken: from 1, 0: none */
};

static hilum_rc describe(void *ctx, uint32_t i, struct hilum_slice *out)
{
    struct stack *stack = ctx;
    if (i >= stack->n_slices)
        return HILUM_ENOTFOUND;
    uint32_t size = out->size;
    memset(out, 0, size < sizeof *out ? size : sizeof *out);
    *out = (struct hilum_slice){.size = size,
                                .frame_number = 1,
                                .sop_instance = "1.2.3",
                                .frame = &stack->frame,
                                .position = {-16, -16, 2.0 * i},
                                .orientation = {1, 0, 0, 0, 1, 0},
                                .spacing = {1, 1},
                                .thickness = 2,
                                .slope = 1,
                                .intercept = -1024,
                                .window = 400,
                                .level = 40,
                                .unit = "HU",
                                .has_position = 1};
    return HILUM_OK;
}

static hilum_rc read_slice(void *ctx, uint32_t i, void *dst, uint64_t n)
{
    struct stack *stack = ctx;
    if (i + 1 == stack->broken)
        return HILUM_ECORRUPT;
    assert_true(i < stack->n_slices);
    assert_int_equal(n, hilum_frame_bytes(&stack->frame));
    unsigned char *bytes = dst;
    for (uint64_t k = 0; k < n; k++)
        bytes[k] = (unsigned char)(k % 2 ? k / 64 % 8 : k * 7 + i);
    return HILUM_OK;
}

static const char *no_text(void *ctx, uint32_t i, const char *path)
{
    (void)ctx, (void)i, (void)path;
    return NULL;
}

static struct stack stack_of(uint32_t n, uint32_t broken)
{
    return (struct stack){.frame = {.size = sizeof(struct hilum_frame),
                                    .columns = 32,
                                    .rows = 32,
                                    .samples = 1,
                                    .bits_allocated = 16,
                                    .bits_stored = 12,
                                    .photometric = HILUM_PHOTO_MONOCHROME2},
                          .n_slices = n,
                          .broken = broken};
}

static struct hilum_source source_of(struct stack *stack)
{
    return (struct hilum_source){.size = sizeof(struct hilum_source),
                                 .n_slices = stack->n_slices,
                                 .study_uid = "1.2",
                                 .series_uid = "1.2.1",
                                 .modality = "CT",
                                 .frame_of_reference = "1.2.9",
                                 .describe = describe,
                                 .read = read_slice,
                                 .text = no_text,
                                 .ctx = stack};
}

static void first_of(const char *list, char out[64])
{
    snprintf(out, 64, "%.*s", (int)strcspn(list, ","), list);
}

static hilum_rc render(struct provided *p, struct stack *stack, struct hilum_view *view,
                       struct kept *kept, struct hilum_rendered *done)
{
    const struct hilum_renderer *t = p->table;
    struct hilum_source source = source_of(stack);
    struct hilum_sink sink = kept_sink(kept);
    char mode[64], media[64];
    void *scene = NULL;
    hilum_rc rc = t->open(p->self, &source, &scene);
    if (rc != HILUM_OK)
        return rc;
    first_of(t->modes, mode);
    first_of(t->media_types, media);
    view->mode = mode;
    view->media_type = media;
    rc = t->render(p->self, scene, view, &sink, done);
    t->close(p->self, scene);
    return rc;
}

static void render__draws_the_first_mode_twice_alike(void **state)
{
    struct stack stack = stack_of(SLICES, 0);
    struct hilum_view view = {.size = sizeof view, .width = 32, .height = 32, .slice = 2};
    struct hilum_rendered done = {.size = sizeof done}, again = {.size = sizeof again};
    struct kept first = {0}, second = {0};
    hilum_rc rc = render(*state, &stack, &view, &first, &done);
    if (rc == HILUM_EUNSUP) {
        print_message("this renderer does not draw a CT stack\n");
        skip();
    }
    assert_int_equal(rc, HILUM_OK);
    assert_true(first.n > 0 && done.width > 0 && done.height > 0);
    assert_int_equal(render(*state, &stack, &view, &second, &again), HILUM_OK);
    assert_int_equal(first.n, second.n);
    assert_memory_equal(first.bytes, second.bytes, first.n);
    kept_free(&first);
    kept_free(&second);
}

static void render__survives_views_of_any_form(void **state)
{
    static const struct hilum_view views[] = {
        {.slice = 1000000},  {.width = 1, .height = 1},  {.window = -5, .level = 1e300},
        {.parameters = "{"}, {.zoom = 1e30, .slab = -1}, {.quality = 4000000000u}};
    for (unsigned i = 0; i < sizeof views / sizeof *views; i++) {
        struct stack stack = stack_of(SLICES, 0);
        struct hilum_view view = views[i];
        struct hilum_rendered done = {.size = sizeof done};
        struct kept kept = {0};
        view.size = sizeof view;
        assert_true(render(*state, &stack, &view, &kept, &done) <= 0);
        kept_free(&kept);
    }
}

static void render__tells_of_broken_frames_and_gone_readers(void **state)
{
    struct stack broken = stack_of(1, 1), sound = stack_of(SLICES, 0);
    struct hilum_view view = {.size = sizeof view, .width = 32, .height = 32};
    struct hilum_rendered done = {.size = sizeof done};
    struct kept kept = {0}, small = {.limit = 1};
    hilum_rc rc = render(*state, &broken, &view, &kept, &done);
    assert_true(rc < 0 || kept.n > 0); /* fails, or draws without it: never an empty success */
    assert_true(render(*state, &sound, &view, &small, &done) < 0);
    kept_free(&kept);
    kept_free(&small);
}

static void open__of_an_empty_series_is_refused_or_closed_again(void **state)
{
    struct provided *p = *state;
    const struct hilum_renderer *t = p->table;
    struct stack stack = stack_of(0, 0);
    struct hilum_source source = source_of(&stack);
    void *scene = NULL;
    if (t->open(p->self, &source, &scene) == HILUM_OK)
        t->close(p->self, scene);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        PROVIDED_TEST(render__draws_the_first_mode_twice_alike),
        PROVIDED_TEST(render__survives_views_of_any_form),
        PROVIDED_TEST(render__tells_of_broken_frames_and_gone_readers),
        PROVIDED_TEST(open__of_an_empty_series_is_refused_or_closed_again)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return contract_main(argc, argv, HILUM_CAP_RENDERER, run);
}
