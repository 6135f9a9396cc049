/* What the memory of associations keeps, by itself. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/dicom/trace.h"

static const struct hl_ul_reject accepted;

static uint64_t add(struct hl_trace *trace, const char *peer, bool is_outbound, unsigned keep)
{
    struct hl_ul_context context = {
        .id = 1, .result = HL_UL_NOT_ANSWERED, .abstract_syntax = "1.2.840.10008.1.1"};
    struct hl_ul_params params = {
        .calling_aet = "US", .called_aet = "THEM", .contexts = &context, .n_contexts = 1};
    struct hl_trace_note note = {.peer = peer,
                                 .is_outbound = is_outbound,
                                 .params = &params,
                                 .reject = &accepted,
                                 .keep = keep};
    return hl_trace_add(trace, &note);
}

static unsigned count(struct hl_trace *trace, const char *peer, const char *text)
{
    struct hl_buf json = {0};
    unsigned n = 0;
    hl_trace_json(trace, peer, &json);
    for (const char *at = hl_buf_str(&json); (at = strstr(at, text)); at++)
        n++;
    hl_buf_fini(&json);
    return n;
}

static void keeps__the_last_of_each_peer_and_direction(void **state)
{
    struct hl_trace *trace;
    (void)state;
    assert_int_equal(hl_trace_new(&trace), HILUM_OK);
    (void)add(trace, "ct", true, 3);
    for (int i = 0; i < 10; i++) {
        (void)add(trace, "ct", false, 3);
        (void)add(trace, "mr", true, 3);
    }
    assert_int_equal(count(trace, "ct", "\"direction\":\"in\""), 3);
    assert_int_equal(count(trace, "ct", "\"direction\":\"out\""), 1);
    assert_int_equal(count(trace, "mr", "\"direction\":\"out\""), 3);
    assert_int_equal(add(trace, "none", true, 0), 0);
    assert_int_equal(count(trace, "none", "time"), 0);
    hl_trace_free(trace);
}

/* Of an unknown peer the title counts: his when he calls, his when we do. */
static void finds__what_we_requested_by_the_title_we_called(void **state)
{
    struct hl_trace *trace;
    (void)state;
    assert_int_equal(hl_trace_new(&trace), HILUM_OK);
    (void)add(trace, NULL, true, 3);
    assert_int_equal(count(trace, "THEM", "time"), 1);
    assert_int_equal(count(trace, "US", "time"), 0);
    assert_int_equal(count(trace, "THEM", "the peer did not answer to it"), 1);
    hl_trace_free(trace);
}

static void end__closes_it_with_what_was_said_meanwhile(void **state)
{
    struct hl_trace *trace;
    (void)state;
    assert_int_equal(hl_trace_new(&trace), HILUM_OK);
    uint64_t number = add(trace, "ct", true, 3);
    assert_int_equal(count(trace, "ct", "\"open\":true"), 1);
    for (int i = 0; i < 100; i++) /* 16 are kept */
        hl_trace_say(trace, number, "a word");
    hl_trace_end(trace, number, "released", 7);
    hl_trace_end(trace, 4711, "of nobody", 1);
    assert_int_equal(count(trace, "ct", "\"open\""), 0);
    assert_int_equal(count(trace, "ct", "a word"), 16);
    assert_int_equal(count(trace, "ct", "\"ended\":\"released\",\"messages\":7"), 1);
    hl_trace_free(trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps__the_last_of_each_peer_and_direction),
        cmocka_unit_test(finds__what_we_requested_by_the_title_we_called),
        cmocka_unit_test(end__closes_it_with_what_was_said_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
