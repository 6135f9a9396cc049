/* Messages: what was put is read, and nothing is read past what came. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/clock.h"
#include "core/worker/wire.h"

static struct hl_wire wire;

static void wire__reads_what_was_put(void **state)
{
    (void)state;
    const struct hilum_frame frame = {.size = sizeof frame, .rows = 5};
    struct hilum_frame out = {.size = sizeof out};
    hl_wire_begin(&wire, HL_WIRE_CALL, 7, 0);
    hl_wire_put_u32(&wire, 1);
    hl_wire_put_u64(&wire, UINT64_MAX);
    hl_wire_put_text(&wire, "text");
    hl_wire_put_text(&wire, NULL);
    hl_wire_put_text(&wire, "");
    hl_wire_put_frame(&wire, &frame);
    wire.at = sizeof(struct hl_wire_head);
    assert_int_equal(hl_wire_u32(&wire), 1);
    assert_true(hl_wire_u64(&wire) == UINT64_MAX);
    assert_string_equal(hl_wire_text(&wire), "text");
    assert_null(hl_wire_text(&wire));
    assert_string_equal(hl_wire_text(&wire), "");
    hl_wire_frame(&wire, &out);
    assert_int_equal(out.rows, 5);
    assert_false(wire.bad);
    assert_int_equal(hl_wire_u32(&wire), 0);
    assert_true(wire.bad);
}

static void wire__a_text_that_lies_about_its_length_is_none(void **state)
{
    (void)state;
    static const uint32_t lengths[] = {2, 4, 5, 1000, 0xFFFFFFFE};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        hl_wire_begin(&wire, HL_WIRE_REPLY, 1, 0);
        hl_wire_put_u32(&wire, lengths[i]);
        hl_wire_put_bytes(&wire, "abc", 4);
        wire.at = sizeof(struct hl_wire_head);
        assert_null(hl_wire_text(&wire));
        assert_true(wire.bad);
    }
}

static void wire__too_much_is_not_sent(void **state)
{
    (void)state;
    static char text[HL_WIRE_TEXT_MAX + 2];
    int pair[2];
    memset(text, 'x', sizeof text - 1);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    hl_wire_begin(&wire, HL_WIRE_CALL, 1, 0);
    hl_wire_put_text(&wire, text);
    assert_int_equal(hl_wire_send(pair[0], &wire), HILUM_EFULL);
    for (int i = 0; i < 3; i++)
        hl_wire_put_bytes(&wire, text, HL_WIRE_TEXT_MAX);
    assert_true(wire.bad);
    close(pair[0]);
    close(pair[1]);
}

static void wire__strange_datagrams_are_refused(void **state)
{
    (void)state;
    static char large[HL_WIRE_MAX + 100];
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    assert_int_equal(hl_wire_receive(pair[0], &wire, hl_mono_ms()), HILUM_ETIMEDOUT);
    assert_int_equal(write(pair[1], "abc", 3), 3);
    assert_int_equal(hl_wire_receive(pair[0], &wire, INT64_MAX), HILUM_ECORRUPT);
    assert_int_equal(write(pair[1], large, sizeof large), sizeof large);
    assert_int_equal(hl_wire_receive(pair[0], &wire, INT64_MAX), HILUM_ECORRUPT);
    close(pair[1]);
    assert_int_equal(hl_wire_receive(pair[0], &wire, INT64_MAX), HILUM_ECLOSED);
    close(pair[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wire__reads_what_was_put),
        cmocka_unit_test(wire__a_text_that_lies_about_its_length_is_none),
        cmocka_unit_test(wire__too_much_is_not_sent),
        cmocka_unit_test(wire__strange_datagrams_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
