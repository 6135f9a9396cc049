/* Order from names, and every fault that keeps a set of hooks from being published.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "core/bus/bus.h"
#include "core/config/config.h"

static int32_t pass(void *arg, hilum_event *event)
{
    (void)arg;
    (void)event;
    return HILUM_PASS;
}

#define STORED(hook_name, ...)                                                                     \
    {                                                                                              \
        .hook = {.size = sizeof(struct hilum_hook),                                                \
                 .phase = HILUM_NOTIFY,                                                            \
                 .event = "instance.stored",                                                       \
                 .name = hook_name,                                                                \
                 .run = pass,                                                                      \
                 __VA_ARGS__},                                                                     \
        .file = "site.lua", .line = 7                                                              \
    }
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct hl_bus *bus;
static struct hl_faults faults;

static int setup(void **state)
{
    (void)state;
    faults = (struct hl_faults){0};
    return hl_bus_new(&bus);
}

static int teardown(void **state)
{
    (void)state;
    hl_faults_fini(&faults);
    hl_bus_free(bus);
    return 0;
}

static hilum_rc put(const char *owner, const struct hl_hook_source *hooks, size_t n)
{
    return hl_bus_replace(bus, owner, hooks, n, NULL, NULL, false, &faults);
}

static void assert_order(const char *expected)
{
    struct hl_buf names = {0};
    hilum_event *event = hl_event_new("instance.stored");
    hl_bus_matching(bus, event, HILUM_NOTIFY, &names);
    assert_string_equal(hl_buf_str(&names), expected);
    hl_event_free(event);
    hl_buf_fini(&names);
}

static void assert_fault(const char *part)
{
    for (const struct hl_fault *fault = faults.first; fault; fault = fault->next)
        if (strstr(fault->text, part))
            return;
    fail_msg("no fault contains \"%s\"; the first is \"%s\"", part,
             faults.first ? faults.first->text : "none");
}

static void order__without_names_is_core_then_owner_then_registration(void **state)
{
    (void)state;
    struct hl_hook_source rules[] = {STORED("site/z"), STORED("site/a")};
    struct hl_hook_source plugin[] = {STORED("acme/m")};
    struct hl_hook_source core[] = {STORED("core/quota")};
    assert_int_equal(put("rules", rules, 2), HILUM_OK);
    assert_int_equal(put("plugin:acme", plugin, 1), HILUM_OK);
    assert_int_equal(put("core", core, 1), HILUM_OK);
    assert_order("core/quota\nacme/m\nsite/z\nsite/a");
}

static void order__before_and_after_hold_across_owners(void **state)
{
    (void)state;
    struct hl_hook_source core[] = {STORED("core/quota")};
    struct hl_hook_source rules[] = {
        STORED("site/last", .after = "site/first, acme/m"),
        STORED("site/first", .before = "core/quota,acme/m"),
    };
    struct hl_hook_source plugin[] = {STORED("acme/m", .before = "?site/last")};
    assert_int_equal(put("core", core, 1), HILUM_OK);
    assert_int_equal(put("plugin:acme", plugin, 1), HILUM_OK);
    assert_int_equal(put("rules", rules, 2), HILUM_OK);
    assert_order("site/first\ncore/quota\nacme/m\nsite/last");
}

static void order__a_cycle_is_a_fault_that_shows_it_and_nothing_changes(void **state)
{
    (void)state;
    struct hl_hook_source good[] = {STORED("site/good")};
    struct hl_hook_source bad[] = {
        STORED("site/free"),
        STORED("site/a", .after = "site/c"),
        STORED("site/b", .after = "site/a"),
        STORED("site/c", .after = "site/b"),
    };
    assert_int_equal(put("rules", good, 1), HILUM_OK);
    assert_int_equal(put("rules", bad, COUNT(bad)), HILUM_EINVAL);
    assert_fault("site/a after site/c after site/b after site/a");
    assert_fault("site.lua:7");
    assert_order("site/good");
}

static void order__a_hook_before_itself_is_a_cycle(void **state)
{
    (void)state;
    struct hl_hook_source bad[] = {STORED("site/a", .before = "site/a")};
    assert_int_equal(put("rules", bad, 1), HILUM_EINVAL);
    assert_fault("cycle: site/a after site/a");
}

static void order__unknown_name_is_a_fault_unless_optional(void **state)
{
    (void)state;
    struct hl_hook_source optional[] = {STORED("site/a", .after = "?site/nobody")};
    struct hl_hook_source bad[] = {STORED("site/archive"),
                                   STORED("site/b", .after = "site/archiv")};
    assert_int_equal(put("rules", optional, 1), HILUM_OK);
    assert_int_equal(put("rules", bad, 2), HILUM_EINVAL);
    assert_fault("found \"site/archiv\"");
    assert_fault("did you mean \"site/archive\"?");
}

static void order__name_of_another_phase_is_told_as_such(void **state)
{
    (void)state;
    struct hl_hook_source bad[] = {STORED("site/a", .after = "site/b"), STORED("site/b")};
    bad[0].hook.event = bad[1].hook.event = "instance.received";
    bad[0].hook.phase = HILUM_FILTER;
    bad[1].hook.phase = HILUM_TRANSFORM;
    assert_int_equal(put("rules", bad, 2), HILUM_EINVAL);
    assert_fault("expected a hook of phase filter, found \"site/b\" of phase transform");
}

static void order__removing_a_named_hook_of_another_owner_is_a_fault(void **state)
{
    (void)state;
    struct hl_hook_source plugin[] = {STORED("acme/m")};
    struct hl_hook_source rules[] = {STORED("site/a", .after = "acme/m")};
    assert_int_equal(put("plugin:acme", plugin, 1), HILUM_OK);
    assert_int_equal(put("rules", rules, 1), HILUM_OK);
    assert_int_equal(put("plugin:acme", NULL, 0), HILUM_EINVAL);
    assert_order("acme/m\nsite/a");
    assert_int_equal(put("rules", NULL, 0), HILUM_OK);
    assert_int_equal(put("plugin:acme", NULL, 0), HILUM_OK);
    assert_order("");
}

static void replace__reports_every_fault_at_once(void **state)
{
    (void)state;
    struct hl_hook_source bad[] = {
        STORED("site/a", .where = "Modality CT"),
        STORED("site/b"),
        STORED("core/mine"),
        STORED("site/c"),
        STORED("site/d"),
    };
    bad[1].hook.event = "instance.stord";
    bad[3].hook.phase = HILUM_FILTER;
    bad[4].hook.run = NULL;
    assert_int_equal(put("rules", bad, COUNT(bad)), HILUM_EINVAL);
    assert_int_equal(faults.count, COUNT(bad));
    assert_fault("site/a: where: column 10");
    assert_fault("did you mean \"instance.stored\"?");
    assert_fault("core/");
    assert_fault("site/c: phase: expected notify for event instance.stored, found filter");
    assert_fault("site/d: run: expected a function");
}

static void replace__two_hooks_of_one_name_are_a_fault(void **state)
{
    (void)state;
    struct hl_hook_source plugin[] = {STORED("acme/m")};
    struct hl_hook_source rules[] = {STORED("acme/m")};
    assert_int_equal(put("plugin:acme", plugin, 1), HILUM_OK);
    assert_int_equal(put("rules", rules, 1), HILUM_EINVAL);
    assert_fault("acme/m: name: expected one hook of this name on instance.stored");
}

static void replace__dry_run_checks_and_changes_nothing(void **state)
{
    (void)state;
    struct hl_hook_source hooks[] = {STORED("site/a")};
    struct hl_hook_source bad[] = {STORED("site/a", .after = "site/b")};
    assert_int_equal(hl_bus_replace(bus, "rules", hooks, 1, NULL, NULL, true, &faults), HILUM_OK);
    assert_false(hl_bus_wants(bus, "instance.stored", HILUM_NOTIFY));
    assert_int_equal(hl_bus_replace(bus, "rules", bad, 1, NULL, NULL, true, NULL), HILUM_EINVAL);
}

static void declare__new_event_can_be_hooked_and_only_once_declared(void **state)
{
    (void)state;
    struct hl_hook_source hooks[] = {STORED("site/a")};
    hooks[0].hook.event = "hl7.received";
    assert_int_equal(put("rules", hooks, 1), HILUM_EINVAL);
    assert_int_equal(hl_bus_declare(bus, "hl7.received", 1u << HILUM_NOTIFY), HILUM_OK);
    assert_int_equal(hl_bus_declare(bus, "hl7.received", 1u << HILUM_NOTIFY), HILUM_EEXISTS);
    assert_int_equal(hl_bus_declare(bus, "nodot", 1u << HILUM_NOTIFY), HILUM_EINVAL);
    assert_true(hl_bus_has_event(bus, "hl7.received"));
    assert_true(hl_bus_has_event(bus, "schedule.due"));
    assert_int_equal(put("rules", hooks, 1), HILUM_OK);
    assert_true(hl_bus_wants(bus, "hl7.received", HILUM_NOTIFY));
    assert_false(hl_bus_wants(bus, "hl7.received", HILUM_FILTER));
}

static void describe__lists_phase_name_where_owner_in_order(void **state)
{
    (void)state;
    struct hl_hook_source rules[] = {
        STORED("site/n", .where = "Modality=CT"),
        STORED("site/m", .before = "site/n"),
    };
    struct hl_buf text = {0};
    assert_int_equal(put("rules", rules, 2), HILUM_OK);
    hl_bus_describe(bus, "instance.stored", &text);
    assert_string_equal(hl_buf_str(&text),
                        "notify site/m * rules\nnotify site/n Modality=CT rules\n");
    hl_buf_fini(&text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(order__without_names_is_core_then_owner_then_registration),
        TEST(order__before_and_after_hold_across_owners),
        TEST(order__a_cycle_is_a_fault_that_shows_it_and_nothing_changes),
        TEST(order__a_hook_before_itself_is_a_cycle),
        TEST(order__unknown_name_is_a_fault_unless_optional),
        TEST(order__name_of_another_phase_is_told_as_such),
        TEST(order__removing_a_named_hook_of_another_owner_is_a_fault),
        TEST(replace__reports_every_fault_at_once),
        TEST(replace__two_hooks_of_one_name_are_a_fault),
        TEST(replace__dry_run_checks_and_changes_nothing),
        TEST(declare__new_event_can_be_hooked_and_only_once_declared),
        TEST(describe__lists_phase_name_where_owner_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
