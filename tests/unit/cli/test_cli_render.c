/* JSON for people. SPDX-License-Identifier: Apache-2.0 */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/cli/cli.h"

static void assert_rendered(const char *json, const char *expected)
{
    struct hl_buf out = {0};
    json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);
    assert_non_null(value);
    hl_cli_render(value, 0, &out);
    assert_string_equal(hl_buf_str(&out), expected);
    hl_buf_fini(&out);
    json_decref(value);
}

static void width__counts_terminal_columns(void **state)
{
    (void)state;
    assert_int_equal(hl_cli_width("abc"), 3);
    assert_int_equal(hl_cli_width("王小明"), 6);
    assert_int_equal(hl_cli_width("Müller"), 6);
    assert_int_equal(hl_cli_width("Mu\xCC\x88ller"), 6);
    assert_int_equal(hl_cli_width("ﾔﾏﾀﾞ"), 4);
    assert_int_equal(hl_cli_width(""), 0);
    assert_int_equal(hl_cli_width("\xFF"), 1);
}

static void table__aligns_numbers_right_and_text_left(void **state)
{
    (void)state;
    assert_rendered(
        "[{\"name\":\"山田^太郎\",\"n\":5},{\"name\":\"X\",\"n\":1234,\"extra_key\":true}]",
        "name          n  extra key\n山田^太郎     5\nX          1234  yes\n");
}

static void object__aligns_its_values_and_nests(void **state)
{
    (void)state;
    assert_rendered(
        "{\"state\":\"ok\",\"free_bytes\":12,\"list\":[1,2],\"rows\":[{\"a\":1}],\"sub\":{\"x\":"
        "null,\"y\":\"z\"},\"exit_code\":1}",
        "state:      ok\nfree bytes: 12\nlist:       1, 2\nrows:\n  a\n  1\nsub:\n  y: z\n");
}

static void scalars_and_empty_values__are_lines(void **state)
{
    (void)state;
    assert_rendered("\"text\"", "text\n");
    assert_rendered("12", "12\n");
    assert_rendered("[]", "none\n");
    assert_rendered("{}", "");
    assert_rendered("null", "");
    assert_rendered("[\"a\",\"b\"]", "a\nb\n");
    assert_rendered("[{}]", "");
    assert_rendered("[{\"a\":{\"b\":1,\"c\":[1,\"x\"]}}]", "a\nb=1 c=1, x\n");
}

static void table__empty_columns_are_left_out_and_lists_of_objects_counted(void **state)
{
    (void)state;
    assert_rendered("[{\"a\":1,\"why\":\"\",\"list\":[]},{\"a\":2,\"list\":[{\"x\":1},{\"x\":2}]}]",
                    "a  list\n1\n2     2\n");
}

static void table__fits_the_terminal_and_cuts_no_uid(void **state)
{
    (void)state;
    struct hl_buf out = {0};
    json_t *rows =
        json_loads("[{\"StudyDate\":\"20260105\",\"PatientName\":\"Wang^Xiaoming=王^小明\","
                   "\"Series\":2,\"StudyInstanceUID\":\"2.25.3107444443881428535729\"}]",
                   0, NULL);
    hl_cli_render(rows, 32, &out);
    assert_string_equal(hl_buf_str(&out), "StudyDate  PatientName    Series\n"
                                          "20260105   Wang^Xiaomin…       2\n"
                                          "  StudyInstanceUID 2.25.3107444443881428535729\n");
    hl_buf_fini(&out);
    hl_cli_cut("王小明", 5, &out);
    assert_string_equal(hl_buf_str(&out), "王小…");
    hl_buf_fini(&out);
    json_decref(rows);
}

static void control_characters__never_reach_the_terminal(void **state)
{
    (void)state;
    assert_rendered("{\"name\":\"a\\u001b[2Jb\\u009bc\\u202ed\\n\"}",
                    "name: a\xEF\xBF\xBD[2Jb\xEF\xBF\xBD"
                    "c\xEF\xBF\xBD"
                    "d\xEF\xBF\xBD\n");
}

static void deep_nesting__ends(void **state)
{
    (void)state;
    struct hl_buf out = {0};
    json_t *value = json_integer(1);
    for (int i = 0; i < 1000; i++)
        value = json_pack("{s:o}", "k", value);
    hl_cli_render(value, 0, &out);
    assert_true(out.len < 1000);
    hl_buf_fini(&out);
    json_decref(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(width__counts_terminal_columns),
        cmocka_unit_test(table__aligns_numbers_right_and_text_left),
        cmocka_unit_test(object__aligns_its_values_and_nests),
        cmocka_unit_test(scalars_and_empty_values__are_lines),
        cmocka_unit_test(table__empty_columns_are_left_out_and_lists_of_objects_counted),
        cmocka_unit_test(table__fits_the_terminal_and_cuts_no_uid),
        cmocka_unit_test(control_characters__never_reach_the_terminal),
        cmocka_unit_test(deep_nesting__ends),
    };
    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
