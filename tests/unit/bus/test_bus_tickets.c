/* A hook suspends its event, somebody settles it: once, in time, or too late. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/bus/bus.h"

/* A hook that suspends, and a thread that settles what it was given. */
struct part {
    uint32_t deadline_ms, wait_ms;
    int32_t answer;  /* of the hook */
    int32_t verdict; /* settled with */
    const char *why;
    unsigned settles;
    hilum_rc results[4];
    uint64_t ticket;
    pthread_t thread;
    atomic_uint cancelled;
    hilum_rc second; /* a second suspend in the same hook */
};

static struct hl_bus *bus;
static hilum_event *event;
static struct hl_verdict verdict;

static void *settle_later(void *arg)
{
    struct part *part = arg;
    usleep(part->wait_ms * 1000);
    for (unsigned i = 0; i < part->settles; i++)
        part->results[i] = hl_bus_settle(bus, part->ticket, part->verdict, part->why);
    return NULL;
}

static void on_cancel(void *arg)
{
    atomic_fetch_add(&((struct part *)arg)->cancelled, 1);
}

static int32_t suspend(void *arg, hilum_event *given)
{
    struct part *part = arg;
    uint64_t other;
    assert_int_equal(hl_event_suspend(given, part->deadline_ms, on_cancel, part, &part->ticket),
                     HILUM_OK);
    part->second = hl_event_suspend(given, 1, on_cancel, part, &other);
    pthread_create(&part->thread, NULL, settle_later, part);
    return part->answer;
}

static int setup(void **state)
{
    (void)state;
    event = hl_event_new("instance.received");
    return event ? hl_bus_new(&bus) : -1;
}

static int teardown(void **state)
{
    (void)state;
    hl_event_free(event);
    hl_bus_free(bus);
    return 0;
}

static int32_t dispatch(struct part *part, unsigned phase, uint32_t threads)
{
    struct hl_hook_source hook = {.hook = {.size = sizeof hook.hook,
                                           .phase = phase,
                                           .event = "instance.received",
                                           .name = "site/slow",
                                           .run = suspend,
                                           .arg = part,
                                           .deadline_ms = 1000,
                                           .threads = threads}};
    assert_int_equal(hl_bus_replace(bus, "rules", &hook, 1, NULL, NULL, false, NULL), HILUM_OK);
    hl_bus_dispatch(bus, event, phase, &verdict);
    pthread_join(part->thread, NULL);
    return verdict.verdict;
}

static void suspend__takes_the_settled_verdict_and_its_reason(void **state)
{
    (void)state;
    struct part part = {.deadline_ms = 20000,
                        .wait_ms = 1200,
                        .answer = HILUM_SUSPEND,
                        .verdict = HILUM_REJECT,
                        .why = "wrong department",
                        .settles = 1};
    assert_int_equal(dispatch(&part, HILUM_FILTER, HILUM_SERIAL), HILUM_REJECT);
    assert_string_equal(verdict.reason, "wrong department");
    assert_int_equal(part.results[0], HILUM_OK);
    assert_int_equal(part.second, HILUM_EDENIED);
    assert_int_equal(part.cancelled, 0);
    assert_int_equal(verdict.overran, 0); /* 1.2 s of somebody else */
}

static void settle__counts_once_whatever_a_plugin_does(void **state)
{
    (void)state;
    struct part part = {
        .deadline_ms = 20000, .answer = HILUM_SUSPEND, .verdict = HILUM_PASS, .settles = 3};
    assert_int_equal(dispatch(&part, HILUM_FILTER, HILUM_PARALLEL), HILUM_PASS);
    assert_int_equal(part.results[0], HILUM_OK);
    assert_int_equal(part.results[1], HILUM_ENOTFOUND);
    assert_int_equal(part.results[2], HILUM_ENOTFOUND);
    assert_int_equal(hl_bus_settle(bus, part.ticket, HILUM_PASS, NULL), HILUM_ENOTFOUND);
    assert_int_equal(hl_bus_settle(bus, 0, HILUM_PASS, NULL), HILUM_ENOTFOUND);
    assert_int_equal(hl_bus_settle(bus, 1u << 30, HILUM_PASS, NULL), HILUM_ENOTFOUND);
}

static void suspend__past_its_deadline_fails_and_cancels(void **state)
{
    (void)state;
    struct part part = {.deadline_ms = 20,
                        .wait_ms = 80,
                        .answer = HILUM_SUSPEND,
                        .verdict = HILUM_PASS,
                        .settles = 1};
    int64_t began = hl_mono_ms();
    assert_int_equal(dispatch(&part, HILUM_FILTER, HILUM_SERIAL), HILUM_HOLD);
    assert_in_range(hl_mono_ms() - began, 20, 5000);
    assert_non_null(strstr(verdict.reason, "HILUM_ETIMEDOUT"));
    assert_int_equal(part.cancelled, 1);
    assert_int_equal(part.results[0], HILUM_ENOTFOUND);
}

static void suspend__without_the_verdict_is_a_failure(void **state)
{
    (void)state;
    struct part part = {.deadline_ms = 20000, .answer = HILUM_PASS, .verdict = HILUM_PASS};
    assert_int_equal(dispatch(&part, HILUM_FILTER, HILUM_SERIAL), HILUM_HOLD);
    assert_int_equal(part.cancelled, 1);
}

static void settle__with_what_the_phase_does_not_know_is_a_failure(void **state)
{
    (void)state;
    static const int32_t strange[] = {HILUM_REJECT, 31, 1000, HILUM_EIO};
    for (unsigned i = 0; i < sizeof strange / sizeof *strange; i++) {
        struct part part = {
            .deadline_ms = 20000, .answer = HILUM_SUSPEND, .verdict = strange[i], .settles = 1};
        assert_int_equal(dispatch(&part, HILUM_TRANSFORM, HILUM_SERIAL), HILUM_HOLD);
        assert_int_equal(verdict.failed, 1);
    }
    struct part again = {
        .deadline_ms = 20, .answer = HILUM_SUSPEND, .verdict = HILUM_SUSPEND, .settles = 1};
    assert_int_equal(dispatch(&again, HILUM_FILTER, HILUM_SERIAL), HILUM_HOLD);
    assert_int_equal(again.results[0], HILUM_EINVAL);
}

static void suspend__outside_of_a_hook_is_denied(void **state)
{
    (void)state;
    uint64_t ticket;
    assert_int_equal(hl_event_suspend(event, 10, NULL, NULL, &ticket), HILUM_EDENIED);
}

/* A SERIAL hook that waits does not keep others out. */
static void *dispatch_one(void *arg)
{
    struct hl_verdict *out = arg;
    hilum_event *own = hl_event_new("instance.received");
    hl_bus_dispatch(bus, own, HILUM_FILTER, out);
    hl_event_free(own);
    return NULL;
}

static atomic_uint entered;
static uint64_t tickets[2];

static int32_t suspend_both(void *arg, hilum_event *given)
{
    (void)arg;
    static atomic_uint next;
    assert_int_equal(
        hl_event_suspend(given, 20000, NULL, NULL, &tickets[atomic_fetch_add(&next, 1) % 2]),
        HILUM_OK);
    atomic_fetch_add(&entered, 1);
    return HILUM_SUSPEND;
}

static void suspend__of_a_serial_hook_lets_others_in(void **state)
{
    (void)state;
    struct hl_hook_source hook = {.hook = {.size = sizeof hook.hook,
                                           .phase = HILUM_FILTER,
                                           .event = "instance.received",
                                           .name = "site/slow",
                                           .run = suspend_both}};
    struct hl_verdict out[2];
    pthread_t threads[2];
    atomic_store(&entered, 0);
    assert_int_equal(hl_bus_replace(bus, "rules", &hook, 1, NULL, NULL, false, NULL), HILUM_OK);
    for (unsigned i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, dispatch_one, &out[i]);
    for (int64_t end = hl_mono_ms() + 10000; atomic_load(&entered) < 2;)
        assert_true(hl_mono_ms() < end);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(hl_bus_settle(bus, tickets[i], HILUM_ACCEPT, NULL), HILUM_OK);
    for (unsigned i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(out[i].verdict, HILUM_ACCEPT);
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {TEST(suspend__takes_the_settled_verdict_and_its_reason),
                                       TEST(settle__counts_once_whatever_a_plugin_does),
                                       TEST(suspend__past_its_deadline_fails_and_cancels),
                                       TEST(suspend__without_the_verdict_is_a_failure),
                                       TEST(settle__with_what_the_phase_does_not_know_is_a_failure),
                                       TEST(suspend__outside_of_a_hook_is_denied),
                                       TEST(suspend__of_a_serial_hook_lets_others_in)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
