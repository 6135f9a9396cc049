/* Peers that are slow, silent, lying or cut: each ends by deadline or abort with a reason, and a
 * good peer beside them notices nothing. SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/ul/kit.h"
#include "core/base/error.h"

#include <poll.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { CROWD = 300, DELAY_MS = 100 };

/* Sanitizers slow everything down; what is asserted then is the order of magnitude. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SLOWNESS = 10 };
#else
enum { SLOWNESS = 1 };
#endif

static void send_all(int fd, const void *bytes, size_t n)
{
    assert_int_equal(send(fd, bytes, n, MSG_NOSIGNAL), (ssize_t)n);
}

/* Reads up to n bytes or the end; returns what came. */
static size_t receive(int fd, uint8_t *out, size_t n)
{
    size_t sum = 0;
    ssize_t got;
    while (sum < n && (got = recv(fd, out + sum, n - sum, 0)) > 0)
        sum += (size_t)got;
    return sum;
}

static int associated(const struct kit *kit)
{
    struct hl_buf request = {0};
    uint8_t answer[4096];
    int fd = kit_socket(kit);
    kit_request(&request);
    send_all(fd, request.data, request.len);
    assert_int_equal(receive(fd, answer, 6), 6);
    assert_int_equal(answer[0], HL_PDU_ASSOCIATE_AC);
    size_t n = hl_ul_be32(answer + 2);
    assert_true(n < sizeof answer);
    assert_int_equal(receive(fd, answer, n), n);
    hl_buf_fini(&request);
    return fd;
}

/* One byte each 10 ms until the server has had enough; false if it never had. */
static bool drip(int fd, const void *bytes, size_t n)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < n; i++) {
        struct pollfd end = {.fd = fd, .events = POLLIN};
        if (poll(&end, 1, 10) > 0 || send(fd, at + i, 1, MSG_NOSIGNAL) != 1)
            return true;
    }
    return false;
}

static void expect_abort(int fd, uint8_t source, uint8_t reason)
{
    uint8_t pdu[HL_UL_SHORT_PDU];
    assert_int_equal(receive(fd, pdu, sizeof pdu), sizeof pdu);
    assert_int_equal(pdu[0], HL_PDU_ABORT);
    assert_int_equal(pdu[8], source);
    assert_int_equal(pdu[9], reason);
}

static int64_t echo_time(const struct kit *kit)
{
    struct hl_ul_assoc *assoc;
    int64_t start = kit_now_ms();
    if (kit_open(kit, "127.0.0.1", NULL, &assoc))
        fail_msg("%s", hl_error());
    assert_int_equal(kit_echo(assoc), 0);
    hl_ul_release(assoc);
    return kit_now_ms() - start;
}

/* A whole association with an echo; asserts that it was not delayed. A busy machine may take its
 * time once, a server that is held up does so again. */
static void good_peer(const struct kit *kit)
{
    int64_t took = echo_time(kit);
    for (int i = 0; i < 2 && took >= DELAY_MS * SLOWNESS; i++)
        took = echo_time(kit);
    if (took >= DELAY_MS * SLOWNESS)
        fail_msg("a good peer was delayed by %d ms", (int)took);
}

static void expect_told(struct kit *kit, const char *reason)
{
    if (!kit_was_told(kit, reason))
        fail_msg("expected \"%s\", told \"%s\"", reason, kit->whys[0]);
}

static void crowd_of_silent_connections__delays_nobody_and_ends(void **state)
{
    struct kit kit = {0};
    int fds[CROWD];
    (void)state;
    kit_start(&kit, "127.0.0.1:0", &kit_limits, NULL);
    for (int i = 0; i < CROWD; i++)
        fds[i] = kit_socket(&kit);
    good_peer(&kit);
    assert_true(kit_await_ends(&kit, CROWD + 1));
    expect_told(&kit, "no complete A-ASSOCIATE-RQ in time");
    good_peer(&kit);
    for (int i = 0; i < CROWD; i++)
        close(fds[i]);
    kit_stop(&kit);
}

static void crowd_beyond_max_connecting__cannot_lock_out_a_good_peer(void **state)
{
    struct kit kit = {0};
    struct hl_ul_limits limits = kit_limits;
    int fds[50];
    (void)state;
    limits.max_connecting = 20;
    limits.negotiate_ms = 60 * 1000;
    kit_start(&kit, "127.0.0.1:0", &limits, NULL);
    for (int i = 0; i < 50; i++)
        fds[i] = kit_socket(&kit);
    good_peer(&kit);
    assert_true(kit_await_ends(&kit, 31));
    expect_told(&kit, "too many connections without an association request");
    for (int i = 0; i < 50; i++)
        close(fds[i]);
    kit_stop(&kit);
}

static void association_beyond_a_limit__is_rejected_for_now(const struct hl_ul_limits *limits)
{
    struct kit kit = {0};
    struct hl_ul_assoc *first, *second;
    kit_start(&kit, "127.0.0.1:0", limits, NULL);
    assert_int_equal(kit_open(&kit, "127.0.0.1", NULL, &first), HILUM_OK);
    assert_int_equal(kit_open(&kit, "127.0.0.1", NULL, &second), HILUM_EDENIED);
    assert_non_null(strstr(hl_error(), "local limit exceeded (2/3/2)"));
    hl_ul_release(first);
    assert_true(kit_await_ends(&kit, 2));
    good_peer(&kit);
    kit_stop(&kit);
}

static void max_associations__rejects_the_next_one_for_now(void **state)
{
    struct hl_ul_limits limits = kit_limits;
    (void)state;
    limits.max_associations = 1;
    association_beyond_a_limit__is_rejected_for_now(&limits);
}

static void max_per_address__rejects_the_next_one_for_now(void **state)
{
    struct hl_ul_limits limits = kit_limits;
    (void)state;
    limits.max_per_address = 1;
    association_beyond_a_limit__is_rejected_for_now(&limits);
}

static void half_a_request_head__ends_by_deadline(void **state)
{
    struct kit kit = {0};
    (void)state;
    kit_start(&kit, "127.0.0.1:0", &kit_limits, NULL);
    int fd = kit_socket(&kit);
    send_all(fd, "\1\0\0", 3);
    good_peer(&kit);
    assert_true(kit_await_ends(&kit, 2));
    expect_told(&kit, "no complete A-ASSOCIATE-RQ in time");
    close(fd);
    kit_stop(&kit);
}

static void dripping_request__ends_by_deadline(void **state)
{
    struct kit kit = {0};
    struct hl_buf request = {0};
    (void)state;
    kit_start(&kit, "127.0.0.1:0", &kit_limits, NULL);
    kit_request(&request);
    int fd = kit_socket(&kit);
    assert_true(drip(fd, request.data, request.len));
    assert_true(kit_await_ends(&kit, 1));
    expect_told(&kit, "no complete A-ASSOCIATE-RQ in time");
    good_peer(&kit);
    close(fd);
    hl_buf_fini(&request);
    kit_stop(&kit);
}

static void silent_association__is_aborted_when_idle_for_too_long(void **state)
{
    struct kit kit = {0};
    (void)state;
    kit_start(&kit, "127.0.0.1:0", &kit_limits, NULL);
    int fd = associated(&kit);
    expect_abort(fd, HL_ABORT_BY_PROVIDER, HL_ABORT_NOT_SPECIFIED);
    assert_true(kit_await_ends(&kit, 1));
    expect_told(&kit, "idle for too long");
    close(fd);
    kit_stop(&kit);
}

static void half_a_pdu_head__ends_by_the_deadline_of_a_pdu(void **state)
{
    struct kit kit = {0};
    (void)state;
    kit_start(&kit, "127.0.0.1:0", &kit_limits, NULL);
    int fd = associated(&kit);
    send_all(fd, "\4\0\0", 3);
    good_peer(&kit);
    expect_abort(fd, HL_ABORT_BY_PROVIDER, HL_ABORT_NOT_SPECIFIED);
    assert_true(kit_await_ends(&kit, 2));
    expect_told(&kit, "a PDU did not complete in time");
    close(fd);
    kit_stop(&kit);
}

static void dripping_data__ends_by_the_deadline_of_a_pdu(void **state)
{
    struct kit kit = {0};
    struct hl_buf echo = {0};
    (void)state;
    kit_start(&kit, "127.0.0.1:0", &kit_limits, NULL);
    kit_echo_pdu(&echo);
    int fd = associated(&kit);
    assert_true(drip(fd, echo.data, echo.len));
    expect_abort(fd, HL_ABORT_BY_PROVIDER, HL_ABORT_NOT_SPECIFIED);
    assert_true(kit_await_ends(&kit, 1));
    expect_told(&kit, "a PDU did not complete in time");
    close(fd);
    hl_buf_fini(&echo);
    kit_stop(&kit);
}

static void head_then_silence__holds_a_thread_no_longer_than_a_pdu(void **state)
{
    struct kit kit = {0};
    struct hl_buf echo = {0};
    int fds[50];
    (void)state;
    kit_start(&kit, "127.0.0.1:0", &kit_limits, NULL);
    kit_echo_pdu(&echo);
    for (int i = 0; i < 50; i++) {
        fds[i] = associated(&kit);
        send_all(fds[i], echo.data, 20);
    }
    good_peer(&kit);
    assert_true(kit_await_ends(&kit, 51));
    expect_told(&kit, "a PDU did not complete in time");
    for (int i = 0; i < 50; i++)
        close(fds[i]);
    hl_buf_fini(&echo);
    kit_stop(&kit);
}

/* Whole PDUs of two bytes of data, each in time: only the rate gives the peer away. */
static void data_below_the_minimum_rate__ends(void **state)
{
    static const uint8_t fragment[] = {4, 0, 0, 0, 0, 8, 0, 0, 0, 4, 1, 1, 'a', 'b'};
    struct kit kit = {0};
    struct hl_ul_limits limits = kit_limits;
    struct pollfd end = {.events = POLLIN};
    (void)state;
    limits.min_rate = 10000;
    kit_start(&kit, "127.0.0.1:0", &limits, NULL);
    end.fd = associated(&kit);
    int64_t start = kit_now_ms();
    while (poll(&end, 1, 20) == 0 && kit_now_ms() - start < 5000)
        send_all(end.fd, fragment, sizeof fragment);
    expect_abort(end.fd, HL_ABORT_BY_PROVIDER, HL_ABORT_NOT_SPECIFIED);
    assert_true(kit_await_ends(&kit, 1));
    expect_told(&kit, "below 10000 bytes a second");
    close(end.fd);
    kit_stop(&kit);
}

static void peer_that_takes_nothing__ends_by_the_write_deadline(void **state)
{
    struct kit kit = {.flood = 64u << 20};
    struct hl_buf echo = {0};
    (void)state;
    kit_start(&kit, "127.0.0.1:0", &kit_limits, NULL);
    kit_echo_pdu(&echo);
    int fd = associated(&kit);
    send_all(fd, echo.data, echo.len);
    assert_true(kit_await_ends(&kit, 1));
    expect_told(&kit, "the peer takes no data");
    close(fd);
    hl_buf_fini(&echo);
    kit_stop(&kit);
}

static void peer_that_takes_data_below_the_minimum_rate__ends(void **state)
{
    struct kit kit = {.flood = 64u << 20};
    struct hl_ul_limits limits = kit_limits;
    struct hl_buf echo = {0};
    uint8_t bytes[64 * 1024];
    (void)state;
    limits.min_rate = 100u << 20;
    kit_start(&kit, "127.0.0.1:0", &limits, NULL);
    kit_echo_pdu(&echo);
    int fd = associated(&kit);
    send_all(fd, echo.data, echo.len);
    while (!kit_was_told(&kit, "") && recv(fd, bytes, sizeof bytes, 0) > 0)
        poll(NULL, 0, 10);
    assert_true(kit_await_ends(&kit, 1));
    expect_told(&kit, "the peer takes data below");
    close(fd);
    hl_buf_fini(&echo);
    kit_stop(&kit);
}

/* What a stranger sends, after associating or instead of it, and the abort it is given. */
static const struct violation {
    const char *what, *bytes;
    size_t n;
    bool is_associated;
    uint8_t reason;
    const char *told;
} violations[] = {
    {"request of 2 GB", "\1\0\x7f\xff\xff\xff", 6, false, 6, "longer than 1 MiB"},
    {"request too short", "\1\0\0\0\0\2\0\1", 8, false, 6, "association body of 2 bytes"},
    {"rubbish", "GET / HTTP/1.1\r\n", 16, false, 1, "unrecognized PDU type"},
    {"data before the request", "\4\0\0\0\0\4\0\0\0\0", 10, false, 2, "another PDU before"},
    {"release before the request", "\5\0\0\0\0\4\0\0\0\0", 10, false, 2, "another PDU before"},
    {"data of 2 GB", "\4\0\x7f\xff\xff\xff", 6, true, 6, "longer than the maximum"},
    {"data without a PDV", "\4\0\0\0\0\2\0\0", 8, true, 6, "without a PDV"},
    {"PDV longer than its PDU", "\4\0\0\0\0\x8\0\0\0\x9\1\3ab", 14, true, 6, "longer than its"},
    {"PDV of 2 GB", "\4\0\0\0\0\x8\x7f\xff\xff\xff\1\3ab", 14, true, 6, "longer than its"},
    {"PDV of length 0", "\4\0\0\0\0\x6\0\0\0\0\1\3", 12, true, 6, "shorter than its head"},
    {"PDV of odd length", "\4\0\0\0\0\x7\0\0\0\3\1\3a", 13, true, 6, "odd length"},
    {"cut PDV head", "\4\0\0\0\0\xb\0\0\0\4\1\1ab\0\0\0", 17, true, 6, "cut PDV head"},
    {"context not accepted", "\4\0\0\0\0\x8\0\0\0\4\x9\3ab", 14, true, 6, "not accepted"},
    {"even context", "\4\0\0\0\0\x8\0\0\0\4\2\3ab", 14, true, 6, "not accepted"},
    {"second request", "\1\0\0\0\0\4\0\0\0\0", 10, true, 2, "inside an association"},
    {"release response unasked", "\6\0\0\0\0\4\0\0\0\0", 10, true, 2, "inside an association"},
    {"unknown PDU", "\x2a\0\0\0\0\4\0\0\0\0", 10, true, 1, "unrecognized PDU type"},
};

static void violation__is_aborted_with_its_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof violations / sizeof *violations; i++) {
        const struct violation *v = &violations[i];
        struct kit kit = {0};
        kit_start(&kit, "127.0.0.1:0", &kit_limits, NULL);
        print_message("%s\n", v->what);
        int fd = v->is_associated ? associated(&kit) : kit_socket(&kit);
        send_all(fd, v->bytes, v->n);
        expect_abort(fd, HL_ABORT_BY_PROVIDER, v->reason);
        assert_true(kit_await_ends(&kit, 1));
        expect_told(&kit, v->told);
        close(fd);
        kit_stop(&kit);
    }
}

static void unknown_protocol_version__is_rejected(void **state)
{
    struct kit kit = {0};
    struct hl_buf request = {0};
    uint8_t answer[HL_UL_SHORT_PDU];
    (void)state;
    kit_start(&kit, "127.0.0.1:0", &kit_limits, NULL);
    kit_request(&request);
    request.data[7] = 2;
    int fd = kit_socket(&kit);
    send_all(fd, request.data, request.len);
    assert_int_equal(receive(fd, answer, sizeof answer), sizeof answer);
    assert_memory_equal(answer, "\3\0\0\0\0\4\0\1\2\2", sizeof answer);
    assert_true(kit_await_ends(&kit, 1));
    assert_int_equal(kit.negotiated, 0);
    close(fd);
    hl_buf_fini(&request);
    kit_stop(&kit);
}

/* A good session as one run of bytes: request, echo, release. */
static void whole_session(struct hl_buf *out)
{
    struct hl_buf part = {0};
    kit_request(&part);
    hl_buf_add(out, part.data, part.len);
    kit_echo_pdu(&part);
    hl_buf_add(out, part.data, part.len);
    kit_release_pdu(&part);
    hl_buf_add(out, part.data, part.len);
    hl_buf_fini(&part);
}

static void association_cut_at_every_byte__ends_and_nobody_notices(void **state)
{
    struct kit kit = {0};
    struct hl_buf session = {0};
    (void)state;
    kit_start(&kit, "127.0.0.1:0", &kit_limits, NULL);
    whole_session(&session);
    for (size_t n = 0; n < session.len; n++) {
        int fd = kit_socket(&kit);
        if (n > 0)
            send_all(fd, session.data, n);
        close(fd);
    }
    good_peer(&kit);
    assert_true(kit_await_ends(&kit, (unsigned)session.len + 1));
    hl_buf_fini(&session);
    kit_stop(&kit);
}

/* All PDUs in one segment: nothing is lost between request, message and release. */
static void pipelined_session__is_served_to_its_release(void **state)
{
    struct kit kit = {0};
    struct hl_buf session = {0};
    uint8_t bytes[8192];
    (void)state;
    kit_start(&kit, "127.0.0.1:0", &kit_limits, NULL);
    whole_session(&session);
    int fd = kit_socket(&kit);
    send_all(fd, session.data, session.len);
    size_t n = receive(fd, bytes, sizeof bytes);
    assert_true(n > HL_UL_SHORT_PDU);
    assert_int_equal(bytes[n - HL_UL_SHORT_PDU], HL_PDU_RELEASE_RP);
    assert_true(kit_await_ends(&kit, 1));
    expect_told(&kit, "released");
    assert_int_equal(kit.messages, 1);
    close(fd);
    hl_buf_fini(&session);
    kit_stop(&kit);
}

/* The deadline of a PDU counts the peer's time, not the handler's. */
static void slow_handler__does_not_cost_the_peer_its_association(void **state)
{
    struct kit kit = {.hold_ms = 400};
    struct hl_ul_assoc *assoc;
    (void)state;
    kit_start(&kit, "127.0.0.1:0", &kit_limits, NULL);
    assert_int_equal(kit_open(&kit, "127.0.0.1", NULL, &assoc), HILUM_OK);
    assert_int_equal(kit_echo(assoc), 0);
    assert_int_equal(kit_echo(assoc), 0);
    hl_ul_release(assoc);
    kit_stop(&kit);
}

static void stop__cuts_a_peer_that_stalls_in_a_message(void **state)
{
    struct kit kit = {0};
    struct hl_ul_limits limits = kit_limits;
    struct hl_buf echo = {0};
    uint32_t open, busy = 0, connecting;
    (void)state;
    limits.pdu_ms = 60 * 1000;
    kit_start(&kit, "127.0.0.1:0", &limits, NULL);
    kit_echo_pdu(&echo);
    int fd = associated(&kit);
    send_all(fd, echo.data, 20);
    while (busy == 0)
        hl_ul_server_count(kit.server, &open, &busy, &connecting);
    int64_t start = kit_now_ms();
    kit_stop(&kit);
    assert_true(kit_now_ms() - start < 2000);
    expect_abort(fd, HL_ABORT_BY_PROVIDER, HL_ABORT_NOT_SPECIFIED);
    assert_int_equal(kit.closed, 1);
    assert_string_equal(kit.whys[0], "the server stops");
    close(fd);
    hl_buf_fini(&echo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crowd_of_silent_connections__delays_nobody_and_ends),
        cmocka_unit_test(crowd_beyond_max_connecting__cannot_lock_out_a_good_peer),
        cmocka_unit_test(max_associations__rejects_the_next_one_for_now),
        cmocka_unit_test(max_per_address__rejects_the_next_one_for_now),
        cmocka_unit_test(half_a_request_head__ends_by_deadline),
        cmocka_unit_test(dripping_request__ends_by_deadline),
        cmocka_unit_test(silent_association__is_aborted_when_idle_for_too_long),
        cmocka_unit_test(half_a_pdu_head__ends_by_the_deadline_of_a_pdu),
        cmocka_unit_test(dripping_data__ends_by_the_deadline_of_a_pdu),
        cmocka_unit_test(head_then_silence__holds_a_thread_no_longer_than_a_pdu),
        cmocka_unit_test(data_below_the_minimum_rate__ends),
        cmocka_unit_test(peer_that_takes_nothing__ends_by_the_write_deadline),
        cmocka_unit_test(peer_that_takes_data_below_the_minimum_rate__ends),
        cmocka_unit_test(violation__is_aborted_with_its_reason),
        cmocka_unit_test(unknown_protocol_version__is_rejected),
        cmocka_unit_test(association_cut_at_every_byte__ends_and_nobody_notices),
        cmocka_unit_test(pipelined_session__is_served_to_its_release),
        cmocka_unit_test(slow_handler__does_not_cost_the_peer_its_association),
        cmocka_unit_test(stop__cuts_a_peer_that_stalls_in_a_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
