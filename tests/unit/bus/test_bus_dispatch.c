/* What hooks' answers add up to, phase by phase. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "core/base/error.h"
#include "core/bus/bus.h"
#include "core/config/config.h"

/* A hook that does as told and leaves a mark that it ran. */
struct script {
    int32_t verdict;
    const char *reason;
    const char *verb; /* appended to the plan */
    unsigned spin_ms;
    unsigned plans; /* steps, until one is refused */
    bool reenter;
    unsigned ran;
};

static struct hl_bus *bus;
static hilum_event *event;
static struct hl_verdict verdict;

static void spin(unsigned ms)
{
    struct timespec from, now;
    clock_gettime(CLOCK_MONOTONIC, &from);
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while ((now.tv_sec - from.tv_sec) * 1000 + (now.tv_nsec - from.tv_nsec) / 1000000 < (long)ms);
}

static int32_t act(void *arg, hilum_event *given)
{
    struct script *script = arg;
    script->ran++;
    if (script->reenter) {
        struct hl_verdict inner;
        script->reenter = false;
        hl_bus_dispatch(bus, given, HILUM_FILTER, &inner);
        return inner.failed ? HILUM_HOLD : HILUM_PASS;
    }
    if (script->plans > 0) {
        int32_t rc = HILUM_PASS;
        for (unsigned i = 0; i < script->plans && rc == HILUM_PASS; i++)
            rc = hl_event_plan(given, "send", "{}");
        return rc;
    }
    if (script->verb) {
        assert_int_equal(hl_event_plan(given, script->verb, "{\"n\":1}"), HILUM_OK);
        assert_int_equal(hl_event_plan(given, script->verb, "{\"n\":2}"), HILUM_OK);
    }
    spin(script->spin_ms);
    if (script->verdict < 0)
        return script->reason ? hl_fail(script->verdict, "%s", script->reason) : script->verdict;
    if (script->reason)
        hl_event_reason(given, script->reason);
    return script->verdict;
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

static void put(const char *owner, const char *event_name, unsigned phase, struct script *scripts,
                size_t n)
{
    static const char *const names[2][4] = {{"site/a", "site/b", "site/c", "site/d"},
                                            {"core/a", "core/b", "core/c", "core/d"}};
    struct hl_hook_source hooks[4] = {0};
    for (size_t i = 0; i < n; i++)
        hooks[i].hook = (struct hilum_hook){.size = sizeof(struct hilum_hook),
                                            .phase = phase,
                                            .event = event_name,
                                            .name = names[strcmp(owner, "core") == 0][i],
                                            .run = act,
                                            .arg = &scripts[i],
                                            .deadline_ms = scripts[i].spin_ms / 2};
    assert_int_equal(hl_bus_replace(bus, owner, hooks, n, NULL, NULL, false, NULL), HILUM_OK);
}

static int32_t filter(struct script *scripts, size_t n)
{
    put("rules", "instance.received", HILUM_FILTER, scripts, n);
    hl_bus_dispatch(bus, event, HILUM_FILTER, &verdict);
    return verdict.verdict;
}

/* ---- filter ---- */

static void filter__nobody_listening_is_pass(void **state)
{
    (void)state;
    hl_bus_dispatch(bus, event, HILUM_FILTER, &verdict);
    assert_int_equal(verdict.verdict, HILUM_PASS);
    assert_int_equal(verdict.matched, 0);
    assert_string_equal(verdict.hook, "");
}

static void filter__reject_defer_and_discard_end_the_phase(void **state)
{
    (void)state;
    static const int32_t ends[] = {HILUM_REJECT, HILUM_DEFER, HILUM_DISCARD};
    for (size_t i = 0; i < 3; i++) {
        struct script s[] = {{.verdict = HILUM_PASS},
                             {.verdict = ends[i], .reason = "no such patient"},
                             {.verdict = HILUM_PASS}};
        assert_int_equal(filter(s, 3), ends[i]);
        assert_string_equal(verdict.hook, "site/b");
        assert_string_equal(verdict.reason, "no such patient");
        assert_int_equal(s[2].ran, 0);
        assert_int_equal(verdict.matched, 2);
    }
}

static void filter__hold_is_remembered_and_the_rest_goes_on(void **state)
{
    (void)state;
    struct script s[] = {{.verdict = HILUM_HOLD, .reason = "first"},
                         {.verdict = HILUM_ACCEPT},
                         {.verdict = HILUM_PASS}};
    struct script core[] = {{.verdict = HILUM_HOLD, .reason = "second"}};
    put("core", "instance.received", HILUM_FILTER, core, 1);
    assert_int_equal(filter(s, 3), HILUM_HOLD);
    assert_string_equal(verdict.hook, "core/a"); /* core goes first and its reason is the first */
    assert_int_equal(s[1].ran, 1);
    assert_int_equal(s[2].ran, 0);
}

static void filter__a_later_reject_overrides_hold(void **state)
{
    (void)state;
    struct script s[] = {{.verdict = HILUM_HOLD}, {.verdict = HILUM_REJECT, .reason = "banned"}};
    assert_int_equal(filter(s, 2), HILUM_REJECT);
    assert_string_equal(verdict.reason, "banned");
}

static void filter__accept_ends_site_hooks_only(void **state)
{
    (void)state;
    struct script site[] = {{.verdict = HILUM_ACCEPT}, {.verdict = HILUM_REJECT}};
    struct script guard = {.verdict = HILUM_PASS};
    struct hl_hook_source core = {.hook = {.size = sizeof(struct hilum_hook),
                                           .phase = HILUM_FILTER,
                                           .event = "instance.received",
                                           .name = "core/guard",
                                           .after = "?site/a",
                                           .run = act,
                                           .arg = &guard}};
    assert_int_equal(hl_bus_replace(bus, "core", &core, 1, NULL, NULL, false, NULL), HILUM_OK);
    assert_int_equal(filter(site, 2), HILUM_ACCEPT);
    assert_string_equal(verdict.hook, "site/a");
    assert_int_equal(site[1].ran, 0);
    assert_int_equal(guard.ran, 1);
    guard.verdict = HILUM_REJECT;
    hl_bus_dispatch(bus, event, HILUM_FILTER, &verdict);
    assert_int_equal(verdict.verdict, HILUM_REJECT);
    assert_string_equal(verdict.hook, "core/guard");
}

static void filter__failing_hook_is_hold_and_its_plan_steps_are_dropped(void **state)
{
    (void)state;
    struct script s[] = {{.verdict = HILUM_PASS, .verb = "send"},
                         {.verdict = HILUM_EIO, .reason = "disk went", .verb = "tag"},
                         {.verdict = HILUM_PASS, .verb = "alert"}};
    assert_int_equal(filter(s, 3), HILUM_HOLD);
    assert_int_equal(verdict.failed, 1);
    assert_string_equal(verdict.hook, "site/b");
    assert_string_equal(verdict.reason, "HILUM_EIO: disk went");
    assert_int_equal(s[2].ran, 1);
    assert_int_equal(hl_event_plan_count(event), 4);
    const struct hl_plan_step *last = hl_event_plan_at(event, 3);
    assert_string_equal(last->rule, "site/c");
    assert_string_equal(last->verb, "alert");
    assert_int_equal(last->ordinal, 1);
    assert_string_equal(last->arguments, "{\"n\":2}");
    assert_string_equal(hl_event_plan_at(event, 1)->rule, "site/a");
    assert_int_equal(hl_event_plan_at(event, 2)->ordinal, 0);
    assert_null(hl_event_plan_at(event, 4));
}

static void filter__failure_without_a_reason_does_not_borrow_an_old_one(void **state)
{
    (void)state;
    struct script s[] = {{.verdict = HILUM_EIO}};
    hl_fail(HILUM_EIO, "something else long ago");
    assert_int_equal(filter(s, 1), HILUM_HOLD);
    assert_string_equal(verdict.reason, "HILUM_EIO");
}

static void filter__reason_of_one_hook_is_not_told_of_the_next(void **state)
{
    (void)state;
    struct script s[] = {{.verdict = HILUM_PASS, .reason = "left over"}, {.verdict = HILUM_HOLD}};
    assert_int_equal(filter(s, 2), HILUM_HOLD);
    assert_string_equal(verdict.reason, "");
}

static void filter__verdict_outside_the_phase_counts_as_failure(void **state)
{
    (void)state;
    static const int32_t strange[] = {HILUM_SUSPEND, 7, 31, 32, 1000};
    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++) {
        struct script s[] = {{.verdict = strange[i], .verb = "send"}};
        assert_int_equal(filter(s, 1), HILUM_HOLD);
        assert_int_equal(verdict.failed, 1);
        assert_int_equal(hl_event_plan_count(event), 0);
    }
}

static void filter__overrun_is_counted_and_the_verdict_stands(void **state)
{
    (void)state;
    struct script s[] = {{.verdict = HILUM_REJECT, .spin_ms = 40}};
    assert_int_equal(filter(s, 1), HILUM_REJECT);
    assert_int_equal(verdict.overran, 1);
    assert_int_equal(verdict.failed, 0);
}

static void filter__serial_hook_that_reenters_itself_fails_instead_of_hanging(void **state)
{
    (void)state;
    struct script s[] = {{.reenter = true}};
    assert_int_equal(filter(s, 1), HILUM_HOLD);
    assert_int_equal(s[0].ran, 1);
}

static void filter__where_keeps_a_hook_from_being_entered(void **state)
{
    (void)state;
    struct script s = {.verdict = HILUM_REJECT};
    struct hl_hook_source hook = {.hook = {.phase = HILUM_FILTER,
                                           .event = "instance.received",
                                           .name = "site/mr",
                                           .where = "Modality=MR",
                                           .run = act,
                                           .arg = &s}};
    assert_int_equal(hl_bus_replace(bus, "rules", &hook, 1, NULL, NULL, false, NULL), HILUM_OK);
    hl_event_set_text(event, "Modality", "CT");
    hl_bus_dispatch(bus, event, HILUM_FILTER, &verdict);
    assert_int_equal(verdict.verdict, HILUM_PASS);
    assert_int_equal(s.ran, 0);
    assert_int_equal(hl_bus_dispatch_one(bus, event, HILUM_FILTER, "site/mr", &verdict), HILUM_OK);
    assert_int_equal(s.ran, 0);
}

/* ---- the other phases ---- */

static int editor_calls;
static hilum_rc edit(void *arg, const char *keyword, const char *utf8)
{
    (void)arg;
    (void)utf8;
    editor_calls++;
    return strcmp(keyword, "SOPInstanceUID") == 0 ? hl_fail(HILUM_EDENIED, "a UID") : HILUM_OK;
}

static char station[16] = "OLD";
static bool resolve(void *arg, const char *keyword, struct hl_buf *out)
{
    (void)arg;
    (void)keyword;
    hl_buf_text(out, station);
    return true;
}

static int32_t edit_station(void *arg, hilum_event *given)
{
    (void)arg;
    assert_string_equal(hl_event_text(given, "StationName"), "OLD");
    strcpy(station, "NEW");
    assert_int_equal(hl_event_edit(given, "StationName", "NEW"), HILUM_OK);
    assert_string_equal(hl_event_text(given, "StationName"), "NEW");
    assert_int_equal(hl_event_edit(given, "SOPInstanceUID", "1"), HILUM_EDENIED);
    return HILUM_PASS;
}

static void transform__edit_is_seen_by_later_reads(void **state)
{
    (void)state;
    struct hl_hook_source hook = {.hook = {.phase = HILUM_TRANSFORM,
                                           .event = "instance.received",
                                           .name = "site/edit",
                                           .run = edit_station}};
    assert_int_equal(hl_bus_replace(bus, "rules", &hook, 1, NULL, NULL, false, NULL), HILUM_OK);
    hl_event_set_resolver(event, resolve, edit, NULL);
    hl_bus_dispatch(bus, event, HILUM_TRANSFORM, &verdict);
    assert_int_equal(verdict.verdict, HILUM_PASS);
    assert_int_equal(editor_calls, 2);
    assert_int_equal(hl_event_edit(event, "StationName", "X"), HILUM_EDENIED);
}

static void transform__reject_is_no_verdict_of_it_and_becomes_hold(void **state)
{
    (void)state;
    struct script s[] = {{.verdict = HILUM_REJECT}};
    put("rules", "instance.received", HILUM_TRANSFORM, s, 1);
    hl_bus_dispatch(bus, event, HILUM_TRANSFORM, &verdict);
    assert_int_equal(verdict.verdict, HILUM_HOLD);
    assert_non_null(strstr(verdict.reason, "verdict 2 is not one of phase transform"));
}

static void commit__failure_is_defer_since_the_work_was_not_done(void **state)
{
    (void)state;
    struct script s[] = {{.verdict = HILUM_EFULL}, {.verdict = HILUM_PASS}};
    put("rules", "instance.received", HILUM_COMMIT, s, 2);
    hl_bus_dispatch(bus, event, HILUM_COMMIT, &verdict);
    assert_int_equal(verdict.verdict, HILUM_DEFER);
    assert_int_equal(s[1].ran, 0);
}

static void notify__first_failure_is_told_after_all_others_ran(void **state)
{
    (void)state;
    struct script s[] = {{.verdict = HILUM_ACCEPT},
                         {.verdict = HILUM_EIO, .reason = "mail host", .verb = "send"},
                         {.verdict = HILUM_EFULL},
                         {.verdict = HILUM_PASS}};
    hl_event_free(event);
    event = hl_event_new("instance.stored");
    put("rules", "instance.stored", HILUM_NOTIFY, s, 4);
    hl_bus_dispatch(bus, event, HILUM_NOTIFY, &verdict);
    assert_int_equal(verdict.verdict, HILUM_EIO);
    assert_string_equal(verdict.hook, "site/b");
    assert_int_equal(verdict.failed, 2);
    assert_int_equal(s[3].ran, 1);
    assert_int_equal(hl_event_plan_count(event), 0);
}

static void notify__one_hook_can_be_run_by_itself(void **state)
{
    (void)state;
    struct script s[] = {{.verdict = HILUM_PASS}, {.verdict = HILUM_PASS, .verb = "send"}};
    hl_event_free(event);
    event = hl_event_new("instance.stored");
    put("rules", "instance.stored", HILUM_NOTIFY, s, 2);
    assert_int_equal(hl_bus_dispatch_one(bus, event, HILUM_NOTIFY, "site/b", &verdict), HILUM_OK);
    assert_int_equal(s[0].ran, 0);
    assert_int_equal(s[1].ran, 1);
    assert_int_equal(hl_bus_dispatch_one(bus, event, HILUM_NOTIFY, "site/b", &verdict), HILUM_OK);
    assert_int_equal(hl_event_plan_at(event, 2)->ordinal, 2); /* (event, rule, ordinal) is unique */
    assert_int_equal(hl_bus_dispatch_one(bus, event, HILUM_NOTIFY, "site/x", &verdict),
                     HILUM_ENOTFOUND);
}

static void plan__arguments_that_are_no_object_are_refused(void **state)
{
    (void)state;
    struct script s[] = {{.verdict = HILUM_PASS}};
    put("rules", "instance.received", HILUM_FILTER, s, 1);
    hl_bus_dispatch(bus, event, HILUM_FILTER, &verdict);
    assert_int_equal(s[0].ran, 1);
    assert_int_equal(hl_event_plan(event, "send", "[]"), HILUM_EDENIED);
}

/* Two events of an object go into one row: what did not fit there was lost without a word. */
static void plan__too_long_fails_its_hook_and_leaves_nothing(void **state)
{
    (void)state;
    struct script s[] = {{.plans = HL_EVENT_PLAN_MAX - 1}, {.plans = 2}, {.plans = 1}};
    put("rules", "instance.received", HILUM_FILTER, s, 3);
    hl_bus_dispatch(bus, event, HILUM_FILTER, &verdict);
    assert_int_equal(verdict.failed, 1);
    assert_int_equal(verdict.verdict, HILUM_HOLD);
    assert_int_equal(hl_event_plan_count(event), HL_EVENT_PLAN_MAX);
    assert_string_equal(hl_event_plan_at(event, HL_EVENT_PLAN_MAX - 1)->rule, "site/c");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(filter__nobody_listening_is_pass),
        TEST(filter__reject_defer_and_discard_end_the_phase),
        TEST(filter__hold_is_remembered_and_the_rest_goes_on),
        TEST(filter__a_later_reject_overrides_hold),
        TEST(filter__accept_ends_site_hooks_only),
        TEST(filter__failing_hook_is_hold_and_its_plan_steps_are_dropped),
        TEST(filter__failure_without_a_reason_does_not_borrow_an_old_one),
        TEST(filter__reason_of_one_hook_is_not_told_of_the_next),
        TEST(filter__verdict_outside_the_phase_counts_as_failure),
        TEST(filter__overrun_is_counted_and_the_verdict_stands),
        TEST(filter__serial_hook_that_reenters_itself_fails_instead_of_hanging),
        TEST(filter__where_keeps_a_hook_from_being_entered),
        TEST(transform__edit_is_seen_by_later_reads),
        TEST(transform__reject_is_no_verdict_of_it_and_becomes_hold),
        TEST(commit__failure_is_defer_since_the_work_was_not_done),
        TEST(notify__first_failure_is_told_after_all_others_ran),
        TEST(notify__one_hook_can_be_run_by_itself),
        TEST(plan__too_long_fails_its_hook_and_leaves_nothing),
        TEST(plan__arguments_that_are_no_object_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
