/* Hexadecimal digits, there and back. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/hex.h"

static void digits__are_lower_case_and_read_back(void **state)
{
    (void)state;
    const uint8_t bytes[] = {0x00, 0x1F, 0xA9, 0xFF};
    uint8_t back[sizeof bytes] = {0};
    char hex[2 * sizeof bytes + 1];
    hl_hex(bytes, sizeof bytes, hex);
    assert_string_equal(hex, "001fa9ff");
    assert_true(hl_hex_read(hex, sizeof back, back));
    assert_memory_equal(back, bytes, sizeof back);
    hl_hex(bytes, 0, hex);
    assert_string_equal(hex, "");
}

static void what_is_no_digit__changes_nothing(void **state)
{
    (void)state;
    static const char *const bad[] = {"001g", "0x00", "00A0", "001", "00 1", "00-1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint8_t out[2] = {7, 7};
        assert_false(hl_hex_read(bad[i], sizeof out, out));
        assert_int_equal(out[0], 7);
        assert_int_equal(out[1], 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digits__are_lower_case_and_read_back),
        cmocka_unit_test(what_is_no_digit__changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
