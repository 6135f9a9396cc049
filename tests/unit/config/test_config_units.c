/* Units and nearest words. SPDX-License-Identifier: Apache-2.0 */
#include "core/base/clock.h"
#include "site.h"

static void sizes__are_binary_and_need_an_exact_unit(void **state)
{
    (void)state;
    uint64_t n = 1;
    assert_int_equal(hl_parse_bytes("0", &n), HILUM_OK);
    assert_int_equal(n, 0);
    assert_int_equal(hl_parse_bytes("64KiB", &n), HILUM_OK);
    assert_int_equal(n, 65536);
    assert_int_equal(hl_parse_bytes("3TiB", &n), HILUM_OK);
    assert_int_equal(n, 3ull << 40);
    static const char *const bad[] = {"",      "GiB",    "1GB",        "1 GiB",
                                      "-1",    "1.5GiB", "9999999TiB", "99999999999999999999",
                                      "1KiBs", "0x10"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(hl_parse_bytes(bad[i], &n), HILUM_EINVAL);
    assert_non_null(strstr(hl_error(), "expected a size such as"));
    assert_int_equal(hl_parse_bytes(NULL, &n), HILUM_EINVAL);
}

static void durations__need_a_unit_except_zero(void **state)
{
    (void)state;
    int64_t ms = 1;
    assert_int_equal(hl_parse_ms("0", &ms), HILUM_OK);
    assert_int_equal(ms, 0);
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {{"200ms", 200},    {"5s", 5000},      {"10m", 600000},
                {"24h", 86400000}, {"7d", 604800000}, {"0s", 0}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(hl_parse_ms(good[i].text, &ms), HILUM_OK);
        assert_int_equal(ms, good[i].ms);
    }
    static const char *const bad[] = {"",
                                      "5",
                                      "s",
                                      "5 s",
                                      "-5s",
                                      "5sec",
                                      "1.5h",
                                      "999999999999999999d",
                                      "36501d",
                                      "3153600000001ms",
                                      "106751991168d"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(hl_parse_ms(bad[i], &ms), HILUM_EINVAL);
    assert_non_null(strstr(hl_error(), "at most \"36500d\""));
    /* The longest is still a moment in microseconds, on either side of now. */
    assert_int_equal(hl_parse_ms("36500d", &ms), HILUM_OK);
    assert_int_equal(ms, HL_MS_MAX);
    int64_t us;
    assert_false(__builtin_mul_overflow(ms, 1000, &us));
    assert_false(__builtin_add_overflow(us, hl_now_us(), &us));
}

static void durations__are_shown_in_their_largest_unit(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {{0, "0"},        {1500, "1500ms"},  {60000, "1m"},        {90000, "90s"},
                 {3600000, "1h"}, {172800000, "2d"}, {HL_MS_MAX, "36500d"}};
    char text[32];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(hl_ms_text(cases[i].ms, text, sizeof text), cases[i].text);
}

static void times_of_day__are_two_digits_each(void **state)
{
    (void)state;
    static const char *const bad[] = {"24:00", "02:60", "2:30",     "02:3",
                                      "0230",  "+2:30", "2 o'clock"};
    int minute = 0;
    assert_int_equal(hl_parse_day_minute("02:30", &minute), HILUM_OK);
    assert_int_equal(minute, 150);
    assert_int_equal(hl_parse_day_minute("23:59", &minute), HILUM_OK);
    assert_int_equal(minute, 1439);
    assert_int_equal(hl_parse_day_minute("", &minute), HILUM_OK);
    assert_int_equal(minute, -1);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(hl_parse_day_minute(bad[i], &minute), HILUM_EINVAL);
}

static void nearest__is_found_within_reason_only(void **state)
{
    (void)state;
    static const char *const words[] = {"listen", "aet", "aets", "limits"};
    assert_string_equal(hl_nearest("listn", words, 4), "listen");
    assert_string_equal(hl_nearest("Listen", words, 4), "listen");
    assert_string_equal(hl_nearest("limtis", words, 4), "limits");
    assert_string_equal(hl_nearest("ate", words, 4), "aet");
    static const char *const longer[] = {"idle", "connect_timeout"};
    assert_string_equal(hl_nearest("idle_timeout", longer, 2), "idle");
    assert_string_equal(hl_nearest("timeout", longer, 2), "connect_timeout");
    assert_null(hl_nearest("idleness", longer, 2));
    assert_null(hl_nearest("x", words, 4));
    assert_null(hl_nearest("port", words, 4));
    assert_null(hl_nearest("", words, 4));
    assert_null(hl_nearest("listen", words, 0));
    char long_word[300];
    memset(long_word, 'l', sizeof long_word - 1);
    long_word[sizeof long_word - 1] = 0;
    assert_null(hl_nearest(long_word, words, 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes__are_binary_and_need_an_exact_unit),
        cmocka_unit_test(durations__need_a_unit_except_zero),
        cmocka_unit_test(durations__are_shown_in_their_largest_unit),
        cmocka_unit_test(times_of_day__are_two_digits_each),
        cmocka_unit_test(nearest__is_found_within_reason_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
