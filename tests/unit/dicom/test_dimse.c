/* Command sets against bytes written from PS3.7 annex E. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/base/error.h"
#include "core/dicom/dimse.h"

#define VERIFICATION "1.2.840.10008.1.1"

/* C-ECHO-RQ, message 7, as PS3.7 9.3.5.1 lists it. */
static const uint8_t echo_rq[] = {
    0,   0,   0x00, 0x00, 4,   0,   0,   0,   56,   0,    0,   0, /* group length */
    0,   0,   0x02, 0x00, 18,  0,   0,   0,   '1',  '.',  '2', '.', '8',
    '4', '0', '.',  '1',  '0', '0', '0', '8', '.',  '1',  '.', '1', 0, /* Affected SOP Class UID */
    0,   0,   0x00, 0x01, 2,   0,   0,   0,   0x30, 0x00,              /* Command Field */
    0,   0,   0x10, 0x01, 2,   0,   0,   0,   0x07, 0x00,              /* Message ID */
    0,   0,   0x00, 0x08, 2,   0,   0,   0,   0x01, 0x01};             /* no data set */

static struct hl_dimse round_trip(const struct hl_dimse *message)
{
    struct hl_buf bytes = {0};
    struct hl_dimse out;
    hl_dimse_encode(message, &bytes);
    assert_false(bytes.failed);
    assert_int_equal(hl_dimse_parse((const uint8_t *)bytes.data, bytes.len, &out), HILUM_OK);
    hl_buf_fini(&bytes);
    return out;
}

/* Offset of an element in an encoded command set, -1 if it is not there. */
static long find(const struct hl_buf *bytes, uint16_t element)
{
    const uint8_t *p = (const uint8_t *)bytes->data;
    for (size_t at = 0; at + 8 <= bytes->len; at += 8u + p[at + 4] + 256u * p[at + 5])
        if (p[at + 2] + 256 * p[at + 3] == element)
            return (long)at;
    return -1;
}

static void encode__echo_request_gives_the_bytes_of_the_standard(void **state)
{
    (void)state;
    struct hl_dimse message = {
        .command_field = HL_C_ECHO_RQ, .message_id = 7, .sop_class = VERIFICATION};
    struct hl_buf bytes = {0};
    hl_dimse_encode(&message, &bytes);
    assert_int_equal(bytes.len, sizeof echo_rq);
    assert_memory_equal(bytes.data, echo_rq, sizeof echo_rq);
    hl_buf_fini(&bytes);
}

static void parse__echo_request_gives_its_fields(void **state)
{
    (void)state;
    struct hl_dimse message;
    assert_int_equal(hl_dimse_parse(echo_rq, sizeof echo_rq, &message), HILUM_OK);
    assert_int_equal(message.command_field, HL_C_ECHO_RQ);
    assert_int_equal(message.message_id, 7);
    assert_string_equal(message.sop_class, VERIFICATION);
    assert_false(message.has_dataset);
    assert_false(message.has_counts);
}

static void parse__every_cut_is_refused_or_read_within_bounds(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof echo_rq; n++) {
        uint8_t *copy = test_malloc(n + 1);
        memcpy(copy, echo_rq, n);
        struct hl_dimse message;
        hilum_rc rc = hl_dimse_parse(copy, n, &message);
        assert_true(rc == HILUM_OK || rc == HILUM_EINVAL);
        if (rc == HILUM_OK)
            assert_int_equal(message.command_field, HL_C_ECHO_RQ);
        test_free(copy);
    }
}

static void store_request__keeps_originator_and_priority(void **state)
{
    (void)state;
    struct hl_dimse message = {.command_field = HL_C_STORE_RQ,
                               .message_id = 65535,
                               .priority = 2,
                               .has_dataset = true,
                               .originator_id = 9,
                               .sop_class = "1.2.3",
                               .sop_instance = "1.2.3.4",
                               .originator_aet = "WS"};
    struct hl_dimse out = round_trip(&message);
    assert_int_equal(out.message_id, 65535);
    assert_int_equal(out.priority, 2);
    assert_true(out.has_dataset);
    assert_int_equal(out.originator_id, 9);
    assert_string_equal(out.originator_aet, "WS");
    assert_string_equal(out.sop_instance, "1.2.3.4");
}

static void response__carries_status_comment_and_offending_element(void **state)
{
    (void)state;
    struct hl_dimse message = {.command_field = HL_C_STORE_RQ | HL_RSP,
                               .message_id_responded = 3,
                               .status = 0xC000,
                               .offending = {0x0020000D, 0x00100020},
                               .comment = "H7K2-4MQX no UID"};
    struct hl_dimse out = round_trip(&message);
    assert_int_equal(out.status, 0xC000);
    assert_int_equal(out.offending[0], 0x0020000D);
    assert_int_equal(out.offending[1], 0x00100020);
    assert_int_equal(out.offending[2], 0);
    assert_string_equal(out.comment, "H7K2-4MQX no UID");
    assert_int_equal(out.message_id_responded, 3);
}

/* A command set has no character set, and an Error Comment ends up in logs and in the catalogue. */
static void text__that_is_not_printable_ascii_is_not_passed_on(void **state)
{
    (void)state;
    static const uint8_t response[] = {0, 0, 0, 1, 2, 0, 0, 0, 1,   0x80, /* C-STORE-RSP */
                                       0, 0, 2, 9, 6, 0, 0, 0, 'a', '\n', 0xFF, 'b', 0x1B, ' '};
    struct hl_dimse message;
    assert_int_equal(hl_dimse_parse(response, sizeof response, &message), HILUM_OK);
    assert_string_equal(message.comment, "a??b?");
}

static void move_response__states_remaining_only_while_pending_or_cancelled(void **state)
{
    (void)state;
    static const struct {
        uint16_t status;
        bool has_remaining;
    } table[] = {{0xFF00, true}, {0xFE00, true}, {0x0000, false}, {0xB000, false}, {0xA702, false}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct hl_dimse message = {.command_field = HL_C_MOVE_RQ | HL_RSP,
                                   .status = table[i].status,
                                   .has_counts = true,
                                   .remaining = 1,
                                   .completed = 2};
        struct hl_buf bytes = {0};
        hl_dimse_encode(&message, &bytes);
        assert_int_equal(find(&bytes, 0x1020) >= 0, table[i].has_remaining);
        assert_true(find(&bytes, 0x1021) > 0);
        assert_true(find(&bytes, 0x1023) > 0); /* a count of 0 is written too */
        hl_buf_fini(&bytes);
    }
}

static void cancel_request__names_the_cancelled_message_and_no_status(void **state)
{
    (void)state;
    struct hl_dimse message = {.command_field = HL_C_CANCEL_RQ, .message_id_responded = 12};
    struct hl_buf bytes = {0};
    hl_dimse_encode(&message, &bytes);
    assert_true(find(&bytes, 0x0120) > 0);
    assert_int_equal(find(&bytes, 0x0110), -1);
    assert_int_equal(find(&bytes, 0x0900), -1);
    hl_buf_fini(&bytes);
}

static void action_request__speaks_of_requested_uids(void **state)
{
    (void)state;
    struct hl_dimse message = {.command_field = HL_N_ACTION_RQ,
                               .message_id = 1,
                               .sop_class = "1.2.3",
                               .sop_instance = "1.2.3.4",
                               .action_type = 1};
    struct hl_buf bytes = {0};
    hl_dimse_encode(&message, &bytes);
    assert_true(find(&bytes, 0x0003) > 0);
    assert_true(find(&bytes, 0x1001) > 0);
    assert_int_equal(find(&bytes, 0x0002), -1);
    hl_buf_fini(&bytes);
    struct hl_dimse out = round_trip(&message);
    assert_string_equal(out.sop_class, "1.2.3");
    assert_int_equal(out.action_type, 1);
}

struct bad {
    const char *what;
    uint8_t bytes[24];
    size_t n;
};

static void parse__malformed_sets_are_refused_with_a_reason(void **state)
{
    (void)state;
    static const struct bad table[] = {
        {"empty: no command field", {0}, 0},
        {"length beyond the end", {0, 0, 0, 1, 0xFF, 0, 0, 0, 0x30, 0}, 10},
        {"length of 4 GiB", {0, 0, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF, 0x30, 0}, 10},
        {"number of one byte", {0, 0, 0, 1, 1, 0, 0, 0, 0x30}, 9},
        {"another group", {8, 0, 0x16, 0, 2, 0, 0, 0, '1', '.'}, 10},
        {"stray bytes", {0, 0, 0, 1, 2, 0, 0, 0, 0x30, 0, 0, 0, 0}, 13},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct hl_dimse message;
        if (hl_dimse_parse(table[i].bytes, table[i].n, &message) != HILUM_EINVAL)
            fail_msg("accepted: %s", table[i].what);
        assert_non_null(strstr(hl_error(), "command set"));
    }
}

static void parse__uid_too_long_is_refused_not_cut(void **state)
{
    (void)state;
    struct hl_buf bytes = {0};
    hl_buf_add(&bytes, "\0\0\2\0\102\0\0\0", 8);
    for (int i = 0; i < 66; i++)
        hl_buf_byte(&bytes, '1');
    hl_buf_add(&bytes, "\0\0\0\1\2\0\0\0\60\0", 10);
    struct hl_dimse message;
    assert_int_equal(hl_dimse_parse((const uint8_t *)bytes.data, bytes.len, &message),
                     HILUM_EINVAL);
    hl_buf_fini(&bytes);
}

static void status__is_that_of_the_service(void **state)
{
    (void)state;
    static const struct {
        hilum_rc rc;
        uint16_t command, status;
    } table[] = {
        {HILUM_OK, HL_C_STORE_RQ, 0x0000},       {HILUM_EFULL, HL_C_STORE_RQ, 0xA700},
        {HILUM_EINVAL, HL_C_STORE_RQ, 0xC000},   {HILUM_EDENIED, HL_C_STORE_RQ, 0x0124},
        {HILUM_EINVAL, HL_C_FIND_RQ, 0xA900},    {HILUM_ENOMEM, HL_C_FIND_RQ, 0xA700},
        {HILUM_ENOTFOUND, HL_C_MOVE_RQ, 0xA801}, {HILUM_ENOMEM, HL_C_GET_RQ, 0xA702},
        {HILUM_ECANCELLED, HL_C_GET_RQ, 0xFE00}, {HILUM_EUNSUP, HL_N_GET_RQ, 0x0211},
        {HILUM_EINTERNAL, HL_C_FIND_RQ, 0x0110}, {-12345, HL_C_STORE_RQ, 0x0110},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        assert_int_equal(hl_dimse_status(table[i].rc, table[i].command), table[i].status);
        assert_int_equal(hl_dimse_status(table[i].rc, table[i].command | HL_RSP), table[i].status);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encode__echo_request_gives_the_bytes_of_the_standard),
        cmocka_unit_test(parse__echo_request_gives_its_fields),
        cmocka_unit_test(parse__every_cut_is_refused_or_read_within_bounds),
        cmocka_unit_test(store_request__keeps_originator_and_priority),
        cmocka_unit_test(response__carries_status_comment_and_offending_element),
        cmocka_unit_test(text__that_is_not_printable_ascii_is_not_passed_on),
        cmocka_unit_test(move_response__states_remaining_only_while_pending_or_cancelled),
        cmocka_unit_test(cancel_request__names_the_cancelled_message_and_no_status),
        cmocka_unit_test(action_request__speaks_of_requested_uids),
        cmocka_unit_test(parse__malformed_sets_are_refused_with_a_reason),
        cmocka_unit_test(parse__uid_too_long_is_refused_not_cut),
        cmocka_unit_test(status__is_that_of_the_service),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
