/* Events: fields, cached attributes, JSON. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/error.h"
#include "core/bus/bus.h"

struct attributes {
    unsigned asked;
    const char *name;
};

static bool resolve(void *arg, const char *keyword, struct hl_buf *out)
{
    struct attributes *attributes = arg;
    attributes->asked++;
    if (strcmp(keyword, "InstanceNumber") == 0)
        hl_buf_text(out, "42 ");
    if (strcmp(keyword, "EmptyOne") == 0)
        return true;
    return out->len > 0;
}

static void event__text_and_int_read_back_in_both_forms(void **state)
{
    (void)state;
    hilum_event *event = hl_event_new("job.failed");
    int64_t n = 0;
    hl_event_set_int(event, "tries", -3);
    hl_event_set_text(event, "label", "telerad");
    hl_event_set_text(event, "count", "12");
    assert_string_equal(hl_event_text(event, "tries"), "-3");
    assert_true(hl_event_int(event, "tries", &n));
    assert_int_equal(n, -3);
    assert_true(hl_event_int(event, "count", &n));
    assert_int_equal(n, 12);
    assert_false(hl_event_int(event, "label", &n));
    assert_null(hl_event_text(event, "absent"));
    hl_event_set_text(event, "label", "second");
    assert_string_equal(hl_event_text(event, "label"), "second");
    hl_event_free(event);
}

static void event__many_and_long_fields_stay_readable(void **state)
{
    (void)state;
    char name[16], value[300];
    hilum_event *event = hl_event_new("demo.made");
    hl_event_set_text(event, "first", "kept");
    const char *first = hl_event_text(event, "first");
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "f%d", i);
        hl_event_set_text(event, name, value);
    }
    assert_string_equal(hl_event_text(event, "f0"), value);
    assert_string_equal(hl_event_text(event, "f299"), value);
    assert_string_equal(first, "kept"); /* borrowed until the event is freed */
    hl_event_free(event);
}

static void event__attribute_is_asked_once_also_when_absent(void **state)
{
    (void)state;
    struct attributes attributes = {0};
    int64_t n;
    hilum_event *event = hl_event_new("instance.received");
    hl_event_set_resolver(event, resolve, NULL, &attributes);
    assert_true(hl_event_int(event, "InstanceNumber", &n));
    assert_int_equal(n, 42);
    assert_string_equal(hl_event_text(event, "InstanceNumber"), "42 ");
    assert_null(hl_event_text(event, "PatientID"));
    assert_null(hl_event_text(event, "PatientID"));
    assert_string_equal(hl_event_text(event, "EmptyOne"), "");
    assert_int_equal(attributes.asked, 3);
    hl_event_free(event);
}

static void event__json_carries_own_fields_only_and_returns_them(void **state)
{
    (void)state;
    struct attributes attributes = {0};
    struct hl_buf json = {0};
    int64_t n;
    hilum_event *event = hl_event_new("demo.made");
    hl_event_set_resolver(event, resolve, NULL, &attributes);
    hl_event_set_text(event, "text", "quote \" newline \n Müller 王");
    hl_event_set_int(event, "big", INT64_MAX);
    hl_event_set_id(event, 77);
    assert_string_equal(hl_event_text(event, "event_id"), "77");
    assert_non_null(hl_event_text(event, "InstanceNumber"));
    hl_event_to_json(event, &json);
    hl_event_free(event);
    event = hl_event_from_json("demo.made", hl_buf_str(&json));
    assert_non_null(event);
    assert_string_equal(hl_event_name(event), "demo.made");
    assert_string_equal(hl_event_text(event, "text"), "quote \" newline \n Müller 王");
    assert_true(hl_event_int(event, "big", &n));
    assert_int_equal(n, INT64_MAX);
    assert_null(hl_event_text(event, "InstanceNumber"));
    assert_null(hl_event_text(event, "event_id"));
    hl_event_free(event);
    hl_buf_fini(&json);
}

static void event__json_of_another_form_is_refused_with_the_field(void **state)
{
    (void)state;
    assert_null(hl_event_from_json("demo.made", "[1]"));
    assert_null(hl_event_from_json("demo.made", "{\"a\":"));
    assert_null(hl_event_from_json("demo.made", "{\"deep\":{}}"));
    assert_non_null(strstr(hl_error(), "deep"));
    hilum_event *event = hl_event_from_json("demo.made", "{\"yes\":true,\"none\":null}");
    assert_string_equal(hl_event_text(event, "yes"), "1");
    assert_null(hl_event_text(event, "none"));
    hl_event_free(event);
}

static void event__too_many_fields_from_json_are_refused(void **state)
{
    (void)state;
    struct hl_buf json = {0};
    hl_buf_byte(&json, '{');
    for (int i = 0; i < 1000; i++)
        hl_buf_printf(&json, "%s\"f%d\":%d", i ? "," : "", i, i);
    hl_buf_byte(&json, '}');
    assert_null(hl_event_from_json("demo.made", hl_buf_str(&json)));
    hl_buf_fini(&json);
}

static void event__plan_and_edit_outside_a_hook_are_denied(void **state)
{
    (void)state;
    hilum_event *event = hl_event_new("instance.received");
    assert_int_equal(hl_event_plan(event, "send", "{}"), HILUM_EDENIED);
    assert_int_equal(hl_event_edit(event, "PatientID", "1"), HILUM_EDENIED);
    hl_event_free(event);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(event__text_and_int_read_back_in_both_forms),
        cmocka_unit_test(event__many_and_long_fields_stay_readable),
        cmocka_unit_test(event__attribute_is_asked_once_also_when_absent),
        cmocka_unit_test(event__json_carries_own_fields_only_and_returns_them),
        cmocka_unit_test(event__json_of_another_form_is_refused_with_the_field),
        cmocka_unit_test(event__too_many_fields_from_json_are_refused),
        cmocka_unit_test(event__plan_and_edit_outside_a_hook_are_denied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
