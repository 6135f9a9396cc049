/* `where`: grammar and matching, from the rules in hilum/event.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/error.h"
#include "core/bus/bus.h"

static bool resolve(void *arg, const char *keyword, struct hl_buf *out)
{
    unsigned *asked = arg;
    (*asked)++;
    if (strcmp(keyword, "StationName") == 0)
        hl_buf_text(out, "ER_1");
    if (strcmp(keyword, "PatientName") == 0)
        hl_buf_text(out, "王^小明");
    return out->len > 0;
}

static void where__each_condition_gives_the_documented_answer(void **state)
{
    (void)state;
    static const struct {
        const char *where;
        bool expected;
    } cases[] = {
        {"", true},
        {"Modality=CT", true},
        {"Modality=CT,MR", true},
        {"Modality=MR,CT", true},
        {" Modality = MR , CT ", true},
        {"Modality=MR", false},
        {"Modality=C", false},
        {"Modality=ct", false},
        {"Modality!=CT", false},
        {"Modality!=MR", true},
        {"Modality!=MR,CT", false},
        {"Modality=CT;calling_aet=SCANNER1", true},
        {"Modality=CT;calling_aet=OTHER", false},
        {"Modality=CT;", true},
        {"calling_aet~SCAN*", true},
        {"calling_aet~*1", true},
        {"calling_aet~*AN*R?", true},
        {"calling_aet~SCANNER?", true},
        {"calling_aet~SCANNER", false},
        {"calling_aet~X*,SC*", true},
        {"calling_aet!~SC*", false},
        {"calling_aet!~X*", true},
        {"StationName~ER_*", true},
        {"PatientName~?^小*", true},
        {"PatientName~??^小*", false},
        {"size>100", true},
        {"size>512", false},
        {"size>=512", true},
        {"size<1e3", true},
        {"size<=511.5", false},
        {"size>99", true},
        {"date>=20260101", true},
        {"date<2026-01-15", false},
        {"calling_aet<T", true},
        {"calling_aet<S", false},
        {"absent=", true},
        {"absent!=", false},
        {"Modality!=", true},
        {"Modality=", false},
        {"absent=x", false},
        {"absent!=x", true},
        {"absent~*", false},
        {"absent!~*", true},
        {"absent<5", false},
        {"absent>5", false},
    };
    unsigned asked = 0;
    hilum_event *event = hl_event_new("instance.received");
    hl_event_set_text(event, "Modality", "CT");
    hl_event_set_text(event, "calling_aet", "SCANNER1");
    hl_event_set_text(event, "date", "20260115");
    hl_event_set_int(event, "size", 512);
    hl_event_set_resolver(event, resolve, NULL, &asked);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct hl_where *where;
        assert_int_equal(hl_where_parse(cases[i].where, &where), HILUM_OK);
        if (hl_where_match(where, event) != cases[i].expected)
            fail_msg("\"%s\" expected %d", cases[i].where, cases[i].expected);
        hl_where_free(where);
    }
    assert_int_equal(asked, 3); /* StationName, PatientName, absent: each once */
    hl_event_free(event);
}

static void where__null_matches_always(void **state)
{
    (void)state;
    struct hl_where *where;
    assert_int_equal(hl_where_parse(NULL, &where), HILUM_OK);
    hilum_event *event = hl_event_new("study.created");
    assert_true(hl_where_match(where, event));
    hl_event_free(event);
    hl_where_free(where);
}

static void where__a_fault_names_the_column_and_what_was_expected(void **state)
{
    (void)state;
    static const struct {
        const char *where, *column, *expected;
    } cases[] = {
        {"Modality", "column 9", "an operator"},
        {"=CT", "column 1", "a field name"},
        {"Modality==CT", "column 10", "a value"},
        {"a=b;;c=d", "column 5", "a field name"},
        {"size<", "column 6", "a value"},
        {"size<1,", "column 8", "a value"},
        {"Modality CT", "column 10", "an operator"},
        {"a!b", "column 2", "an operator"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct hl_where *where;
        assert_int_equal(hl_where_parse(cases[i].where, &where), HILUM_EINVAL);
        assert_null(where);
        assert_non_null(strstr(hl_error(), cases[i].column));
        assert_non_null(strstr(hl_error(), cases[i].expected));
    }
}

static void where__over_its_limits_is_refused(void **state)
{
    (void)state;
    char text[5000];
    struct hl_where *where;
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    memcpy(text, "x=", 2);
    assert_int_equal(hl_where_parse(text, &where), HILUM_EINVAL);
    memset(text, ',', 400);
    memcpy(text, "x=", 2);
    text[400] = '\0';
    assert_int_equal(hl_where_parse(text, &where), HILUM_EINVAL);
    for (size_t i = 0; i < 65; i++)
        memcpy(text + 4 * i, "x=1;", 5);
    assert_int_equal(hl_where_parse(text, &where), HILUM_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(where__each_condition_gives_the_documented_answer),
        cmocka_unit_test(where__null_matches_always),
        cmocka_unit_test(where__a_fault_names_the_column_and_what_was_expected),
        cmocka_unit_test(where__over_its_limits_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
