/* What a worker says is a stranger's word: answers that end early, that come after its memory has gone, that never end.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/error.h"
#include "core/plugin/plugin.h"
#include "hilum/codec.h"
#include "hilum/hl7.h"
#include "tests/unit/isolation/bench.h"

static void bring_up(const char *name)
{
    bench_bring_up(name, "isolation = \"process\";");
}

static void reply__that_ends_early_skips_the_plugin(void **state)
{
    (void)state;
    struct hl_buf json = {0};
    bring_up("hostile-short");
    hl_plugins_list(plugins, &json);
    if (!strstr(hl_buf_str(&json), "in init its worker sent a reply that ends early"))
        fail_msg("%s", hl_buf_str(&json));
    hl_buf_fini(&json);
}

struct hilum_hl7_message {
    int unused;
};

static const char *hl7_text(hilum_hl7_message *message, const char *path)
{
    (void)message;
    return path;
}

static uint32_t hl7_count(hilum_hl7_message *message, const char *path)
{
    (void)message;
    (void)path;
    return 1;
}

static const void *hl7_bytes(hilum_hl7_message *message, uint64_t *n)
{
    (void)message;
    *n = 4;
    return "MSH|";
}

static const char *hl7_word(hilum_hl7_message *message)
{
    (void)message;
    return "ADT^A08";
}

static hilum_rc add(void *ctx, const void *bytes, uint64_t n)
{
    hl_buf_add(ctx, bytes, (size_t)n);
    return HILUM_OK;
}

/* A worker that is out of memory is replaced; what it answered last is read before it goes. */
static void answer__of_a_worker_without_memory_is_read(void **state)
{
    (void)state;
    const struct hilum_cap *cap;
    void *self;
    const struct hilum_hl7_api api = {.size = sizeof api,
                                      .text = hl7_text,
                                      .count = hl7_count,
                                      .bytes = hl7_bytes,
                                      .type = hl7_word,
                                      .source = hl7_word};
    struct hilum_hl7_message message = {0};
    struct hl_buf text = {0}, segments = {0};
    struct hilum_hl7_answer answer = {
        .size = sizeof answer,
        .text = {.size = sizeof answer.text, .write = add, .ctx = &text},
        .segments = {.size = sizeof answer.segments, .write = add, .ctx = &segments}};
    bring_up("hostile");
    assert_int_equal(hl_plugins_acquire(plugins, HILUM_CAP_HL7, "full", &cap, &self), HILUM_OK);
    const struct hilum_hl7 *hl7 = (const struct hilum_hl7 *)(const void *)cap;
    for (int i = 0; i < 2; i++) { /* and the next call finds a fresh one */
        hl_buf_clear(&segments);
        assert_int_equal(hl7->receive(self, &api, &message, &answer), HILUM_ENOMEM);
        assert_string_equal(hl_buf_str(&segments), "NTE|1||still here\r");
    }
    hl_buf_fini(&text);
    hl_buf_fini(&segments);
    hl_plugins_unpin(plugins, cap);
}

static void metrics__defined_again_and_again_are_nonsense(void **state)
{
    (void)state;
    unsigned char pixels[16];
    void *self;
    struct hilum_frame out = {.size = sizeof out};
    const struct hilum_frame frame = {.size = sizeof frame,
                                      .columns = 4,
                                      .rows = 4,
                                      .samples = 1,
                                      .bits_allocated = 8,
                                      .bits_stored = 8};
    const struct hilum_fragment fragment = {"metrics ", 8};
    const struct hilum_coded coded = {.size = sizeof coded,
                                      .n_fragments = 1,
                                      .fragments = &fragment,
                                      .transfer_syntax = "1.2.3.4",
                                      .declared = &frame};
    bring_up("hostile");
    const struct hilum_codec *codec =
        hl_plugins_codec_for(plugins, "1.2.3.4", HILUM_CODEC_DECODES, 0, &self);
    assert_int_equal(codec->decode(self, &coded, NULL, pixels, sizeof pixels, &out),
                     HILUM_EINTERNAL);
    assert_non_null(strstr(hl_error(), "metric 60 defined again"));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(reply__that_ends_early_skips_the_plugin),
        T(answer__of_a_worker_without_memory_is_read),
        T(metrics__defined_again_and_again_are_nonsense),
    };
    if (!has_landlock()) {
        printf("skipped: this kernel has no Landlock, without which isolation = \"process\" "
               "refuses to start\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
