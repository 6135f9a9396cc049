/* What comes out of the log: one line a call, whatever was in it. SPDX-License-Identifier: Apache-2.0 */
#include "core/base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <unistd.h>

static size_t logged(bool human, const char *text, char *out, size_t size)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    hl_log_set_output(ends[1], human);
    hl_log(HL_WARN, "ul", "%s", text);
    hl_log_set_output(-1, false);
    close(ends[1]);
    ssize_t n = read(ends[0], out, size - 1);
    close(ends[0]);
    assert_true(n > 0);
    out[n] = '\0';
    return (size_t)n;
}

/* What JSON must escape grows up to six times, and an invalid byte becomes three. */
static void log__a_line_that_grows_in_json_still_ends_with_a_newline(void **state)
{
    (void)state;
    char out[16384], text[1000];
    memset(text, '\xFF', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    size_t n = logged(false, text, out, sizeof out);
    assert_int_equal(strlen(out), n);
    assert_string_equal(out + n - 2, "}\n");
    memset(text, '\x01', sizeof text - 1);
    n = logged(false, text, out, sizeof out);
    assert_string_equal(out + n - 2, "}\n");
}

static void log__a_peer_cannot_write_a_line_of_its_own(void **state)
{
    (void)state;
    char out[4096];
    size_t n =
        logged(true, "calling AE \"A\n12:00:00 info  audit: all is well\x1B[2J\"", out, sizeof out);
    assert_ptr_equal(strchr(out, '\n'), out + n - 1);
    assert_null(strchr(out, '\x1B'));
    n = logged(false, "a\nb", out, sizeof out);
    assert_ptr_equal(strchr(out, '\n'), out + n - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log__a_line_that_grows_in_json_still_ends_with_a_newline),
        cmocka_unit_test(log__a_peer_cannot_write_a_line_of_its_own),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
