/* Deadlines of calls in workers: who computes has the processor's time of them, who sleeps the clock's, and whom others keep from the
 * processor is not blamed. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <pthread.h>
#include <sched.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "hilum/codec.h"
#include "tests/unit/isolation/bench.h"

enum { SIDE = 16, PIXELS = SIDE * SIDE, HOGS = 6, TRIES = 5 };

static hilum_rc decode(const char *word)
{
    static const struct hilum_frame frame = {.size = sizeof frame,
                                             .columns = SIDE,
                                             .rows = SIDE,
                                             .samples = 1,
                                             .bits_allocated = 8,
                                             .bits_stored = 8,
                                             .photometric = HILUM_PHOTO_MONOCHROME2};
    void *instance = NULL;
    const struct hilum_codec *codec =
        hl_plugins_codec_for(plugins, "1.2.3.4", HILUM_CODEC_DECODES, 0, &instance);
    unsigned char stream[PIXELS], pixels[PIXELS];
    struct hilum_frame out = {.size = sizeof out};
    memset(stream, ' ', sizeof stream);
    memcpy(stream, word, strlen(word));
    const struct hilum_fragment fragment = {stream, sizeof stream};
    const struct hilum_coded coded = {.size = sizeof coded,
                                      .n_fragments = 1,
                                      .fragments = &fragment,
                                      .transfer_syntax = "1.2.3.4",
                                      .declared = &frame};
    return codec->decode(instance, &coded, NULL, pixels, sizeof pixels, &out);
}

/* ---- a processor that is wanted by others ---- */

static atomic_bool is_over;

static cpu_set_t first_processor(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(0, &set);
    return set;
}

static void *hog(void *arg)
{
    const cpu_set_t set = first_processor();
    (void)arg;
    (void)sched_setaffinity(0, sizeof set, &set);
    while (!atomic_load(&is_over)) {
    }
    return NULL;
}

/* The only worker goes there too. */
static void move_worker(void)
{
    struct hl_buf json = {0};
    const cpu_set_t set = first_processor();
    hl_plugins_list(plugins, &json);
    const char *at = strstr(hl_buf_str(&json), "\"workers\":[");
    assert_non_null(at);
    assert_int_equal(sched_setaffinity(atoi(at + strlen("\"workers\":[")), sizeof set, &set), 0);
    hl_buf_fini(&json);
}

static void be_busy(pthread_t hogs[], int n)
{
    atomic_store(&is_over, false);
    for (int i = 0; i < n; i++)
        assert_int_equal(pthread_create(&hogs[i], NULL, hog, NULL), 0);
}

static void be_quiet(pthread_t hogs[], int n)
{
    atomic_store(&is_over, true);
    for (int i = 0; i < n; i++)
        pthread_join(hogs[i], NULL);
}

/* ---- the tests ---- */

static void late__in_sleep_ends_by_the_clock(void **state)
{
    (void)state;
    bench_bring_up("hostile", "isolation = \"process\"; limits = { deadline = \"2s\"; };");
    int64_t begun = hl_mono_ms();
    assert_int_equal(decode("nap"), HILUM_ETIMEDOUT);
    assert_in_range(hl_mono_ms() - begun, 2000, 7900); /* before what a computing one may have */
    assert_int_equal(n_crashed, 1);
}

static void late__with_its_own_work_ends_by_the_processor(void **state)
{
    (void)state;
    bench_bring_up("hostile", "isolation = \"process\"; limits = { deadline = \"500ms\"; };");
    for (int i = 0; n_crashed == 0 && i < TRIES; i++) /* unless this machine is as busy as below */
        (void)decode("loop");
    assert_int_equal(n_crashed, 1);
    assert_non_null(strstr(hl_error(), "took longer than 500 ms"));
}

/* 220 ms of work beside another who works: 440 ms, over a deadline of 400. */
static void late__of_half_a_processor_is_no_fault(void **state)
{
    pthread_t hogs[1];
    hilum_rc rc = HILUM_EAGAIN;
    (void)state;
    bench_bring_up("hostile",
                   "isolation = \"process\"; limits = { deadline = \"400ms\"; workers = 1; };");
    for (int i = 0; rc == HILUM_EAGAIN && i < TRIES; i++) {
        assert_int_equal(decode("good"), HILUM_OK);
        move_worker();
        be_busy(hogs, 1);
        rc = decode("compute");
        be_quiet(hogs, 1);
    }
    assert_int_equal(rc, HILUM_OK);
    assert_int_equal(n_crashed, 0);
}

static void late__for_others_is_told_as_that_and_not_remembered(void **state)
{
    pthread_t hogs[HOGS];
    (void)state;
    bench_bring_up("hostile",
                   "isolation = \"process\"; limits = { deadline = \"500ms\"; workers = 1; };");
    assert_int_equal(decode("good"), HILUM_OK);
    move_worker();
    be_busy(hogs, HOGS);
    int64_t begun = hl_mono_ms();
    hilum_rc rc = decode("loop");
    be_quiet(hogs, HOGS);
    assert_int_equal(rc, HILUM_EAGAIN);
    assert_non_null(strstr(hl_error(), "the machine is too busy"));
    assert_true(hl_mono_ms() - begun >= 2000);
    assert_int_equal(decode("good"), HILUM_OK);
    assert_int_equal(n_crashed, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(late__in_sleep_ends_by_the_clock),
        T(late__with_its_own_work_ends_by_the_processor),
        T(late__of_half_a_processor_is_no_fault),
        T(late__for_others_is_told_as_that_and_not_remembered),
    };
    if (!has_landlock()) {
        printf("skipped: this kernel has no Landlock, without which isolation = \"process\" "
               "refuses to start\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
