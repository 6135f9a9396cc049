/* Acceptor and requestor of the upper layer against each other over loopback.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/ul/kit.h"
#include "core/base/error.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static void echo_over(const char *listen, const char *host)
{
    struct kit kit = {0};
    struct hl_ul_assoc *assoc;
    kit_start(&kit, listen, &kit_limits, NULL);
    if (kit_open(&kit, host, NULL, &assoc))
        fail_msg("%s", hl_error());
    assert_int_equal(kit_echo(assoc), 0);
    assert_int_equal(kit_echo(assoc), 0);
    hl_ul_release(assoc);
    assert_true(kit_await_ends(&kit, 1));
    assert_string_equal(kit.whys[0], "released");
    assert_int_equal(kit_messages(&kit), 2);
    kit_stop(&kit);
}

static void echo__over_ipv4_is_answered(void **state)
{
    (void)state;
    echo_over("127.0.0.1:0", "127.0.0.1");
}

static void echo__over_ipv6_is_answered(void **state)
{
    (void)state;
    echo_over("[::1]:0", "::1");
}

static void dual_stack_listener__takes_both_families(void **state)
{
    (void)state;
    echo_over(":0", "127.0.0.1");
    echo_over("[::]:0", "::1");
    echo_over("[::]:0", "localhost");
}

static void negotiation__tells_the_requestor_what_was_accepted(void **state)
{
    struct kit kit = {0};
    struct hl_ul_assoc *assoc;
    (void)state;
    kit_start(&kit, "127.0.0.1:0", &kit_limits, NULL);
    assert_int_equal(kit_open(&kit, "127.0.0.1", NULL, &assoc), HILUM_OK);
    const struct hl_ul_params *params = hl_ul_params(assoc);
    assert_int_equal(params->n_contexts, 2);
    assert_int_equal(params->max_pdu, HL_UL_MAX_PDU_DEFAULT);
    assert_string_equal(params->implementation_class, HL_UL_IMPLEMENTATION_CLASS);
    assert_string_equal(params->address, "127.0.0.1");
    assert_string_equal(hl_ul_context(assoc, 3)->abstract_syntax, KIT_CT);
    assert_string_equal(hl_ul_context(assoc, 3)->transfer_syntax, KIT_IMPLICIT);
    assert_null(hl_ul_context(assoc, 5));
    assert_null(hl_ul_context(assoc, 2));
    hl_ul_release(assoc);
    kit_stop(&kit);
}

static void rejection__reaches_the_requestor_in_words(void **state)
{
    struct kit kit = {.reject = {1, 1, 7}};
    struct hl_ul_assoc *assoc;
    (void)state;
    kit_start(&kit, "127.0.0.1:0", &kit_limits, NULL);
    assert_int_equal(kit_open(&kit, "127.0.0.1", NULL, &assoc), HILUM_EDENIED);
    assert_non_null(strstr(hl_error(), "called AE title not recognized (1/1/7)"));
    assert_true(kit_await_ends(&kit, 1));
    assert_true(kit_was_told(&kit, "called AE title not recognized"));
    kit_stop(&kit);
}

/* A C-STORE-RQ's worth of fragments: more than one PDU, more than one buffer. */
static void large_data_set__arrives_whole(void **state)
{
    static const uint8_t command[] = {0, 0, 0, 1, 2, 0, 0, 0, 1, 0, 0, 0, 0, 8, 2, 0, 0, 0, 0, 0};
    enum { SIZE = 5 * 1000 * 1000 + 2 };
    struct kit kit = {0};
    struct hl_ul_assoc *assoc;
    struct hl_ul_pdv pdv;
    uint8_t *data = calloc(1, SIZE);
    (void)state;
    kit_start(&kit, "127.0.0.1:0", &kit_limits, NULL);
    assert_int_equal(kit_open(&kit, "127.0.0.1", NULL, &assoc), HILUM_OK);
    assert_int_equal(hl_ul_write(assoc, 3, true, command, sizeof command, true), HILUM_OK);
    assert_int_equal(hl_ul_write(assoc, 3, false, data, SIZE - 2, false), HILUM_OK);
    assert_int_equal(hl_ul_write(assoc, 3, false, data, 2, false), HILUM_OK);
    assert_int_equal(hl_ul_write(assoc, 3, false, NULL, 0, true), HILUM_OK);
    assert_int_equal(hl_ul_read(assoc, &pdv), HILUM_OK);
    assert_true(pdv.is_command && pdv.is_last);
    assert_int_equal(kit.bytes, SIZE);
    assert_int_equal(hl_ul_write(assoc, 3, true, command, sizeof command, true), HILUM_OK);
    assert_int_equal(hl_ul_write(assoc, 3, false, data, 20001, true),
                     HILUM_OK); /* malformed, odd */
    assert_int_equal(hl_ul_read(assoc, &pdv), HILUM_OK);
    assert_int_equal(kit.bytes, SIZE + 20001);
    hl_ul_release(assoc);
    kit_stop(&kit);
    free(data);
}

static void requestor_abort__is_told_with_its_source(void **state)
{
    struct kit kit = {0};
    struct hl_ul_assoc *assoc;
    (void)state;
    kit_start(&kit, "127.0.0.1:0", &kit_limits, NULL);
    assert_int_equal(kit_open(&kit, "127.0.0.1", NULL, &assoc), HILUM_OK);
    hl_ul_abort(assoc);
    assert_true(kit_await_ends(&kit, 1));
    assert_true(kit_was_told(&kit, "aborted by the peer: service user (0/0)"));
    kit_stop(&kit);
}

static void poll__sees_nothing_then_an_answer(void **state)
{
    struct kit kit = {.hold_ms = 100};
    struct hl_ul_assoc *assoc;
    struct hl_buf echo = {0};
    struct hl_ul_pdv pdv;
    (void)state;
    kit_start(&kit, "127.0.0.1:0", &kit_limits, NULL);
    assert_int_equal(kit_open(&kit, "127.0.0.1", NULL, &assoc), HILUM_OK);
    assert_int_equal(hl_ul_poll(assoc, 0), 0);
    kit_echo_pdu(&echo);
    assert_int_equal(hl_ul_write(assoc, 1, true, echo.data + 12, echo.len - 12, true), HILUM_OK);
    assert_int_equal(hl_ul_poll(assoc, 1), 0);
    assert_int_equal(hl_ul_poll(assoc, 5000), 1);
    assert_int_equal(hl_ul_read(assoc, &pdv), HILUM_OK);
    hl_ul_release(assoc);
    hl_buf_fini(&echo);
    kit_stop(&kit);
}

/* A kept association whose peer has gone is noticed before anything is sent on it. */
static void poll__on_an_association_the_peer_ended_says_so(void **state)
{
    struct kit kit = {0};
    struct hl_ul_assoc *assoc;
    (void)state;
    kit_start(&kit, "127.0.0.1:0", &kit_limits, NULL); /* idle for 600 ms: aborted */
    assert_int_equal(kit_open(&kit, "127.0.0.1", NULL, &assoc), HILUM_OK);
    assert_int_equal(hl_ul_poll(assoc, 5000), HILUM_ECLOSED);
    assert_non_null(strstr(hl_error(), "aborted by the peer: service provider"));
    hl_ul_release(assoc);
    kit_stop(&kit);
}

static void release__with_an_answer_unread_is_still_a_release(void **state)
{
    struct kit kit = {0};
    struct hl_ul_assoc *assoc;
    struct hl_buf echo = {0};
    (void)state;
    kit_start(&kit, "127.0.0.1:0", &kit_limits, NULL);
    assert_int_equal(kit_open(&kit, "127.0.0.1", NULL, &assoc), HILUM_OK);
    kit_echo_pdu(&echo);
    assert_int_equal(hl_ul_write(assoc, 1, true, echo.data + 12, echo.len - 12, true), HILUM_OK);
    assert_int_equal(hl_ul_poll(assoc, 5000), 1);
    hl_ul_release(assoc);
    assert_true(kit_await_ends(&kit, 1));
    assert_string_equal(kit.whys[0], "released");
    hl_buf_fini(&echo);
    kit_stop(&kit);
}

static void write__on_a_context_not_accepted_is_refused_here(void **state)
{
    struct kit kit = {0};
    struct hl_ul_assoc *assoc;
    (void)state;
    kit_start(&kit, "127.0.0.1:0", &kit_limits, NULL);
    assert_int_equal(kit_open(&kit, "127.0.0.1", NULL, &assoc), HILUM_OK);
    assert_int_equal(hl_ul_write(assoc, 7, true, "ab", 2, true), HILUM_EINVAL);
    assert_int_equal(hl_ul_write(assoc, 1, true, "a", 1, false), HILUM_EINVAL);
    assert_int_equal(kit_echo(assoc), 0);
    hl_ul_release(assoc);
    kit_stop(&kit);
}

static void stop__lets_a_message_in_progress_finish_and_aborts_idle_ones(void **state)
{
    struct kit kit = {.hold_ms = 200};
    struct hl_ul_assoc *idle, *busy;
    struct hl_buf echo = {0};
    struct hl_ul_pdv pdv;
    uint32_t open, n_busy, connecting;
    (void)state;
    kit_start(&kit, "127.0.0.1:0", &kit_limits, NULL);
    assert_int_equal(kit_open(&kit, "127.0.0.1", NULL, &idle), HILUM_OK);
    assert_int_equal(kit_open(&kit, "127.0.0.1", NULL, &busy), HILUM_OK);
    kit_echo_pdu(&echo);
    assert_int_equal(hl_ul_write(busy, 1, true, echo.data + 12, echo.len - 12, true), HILUM_OK);
    kit_await_message(&kit);
    hl_ul_server_count(kit.server, &open, &n_busy, &connecting);
    assert_int_equal(open, 2);
    assert_true(n_busy >= 1);
    hl_ul_server_stop(kit.server, 2000);
    assert_int_equal(hl_ul_read(busy, &pdv), HILUM_OK);
    assert_int_equal(hl_ul_read(busy, &pdv), HILUM_ECLOSED);
    assert_int_equal(hl_ul_read(idle, &pdv), HILUM_ECLOSED);
    assert_non_null(strstr(hl_error(), "aborted by the peer"));
    assert_int_equal(kit.closed, 2);
    hl_ul_release(idle);
    hl_ul_release(busy);
    hl_buf_fini(&echo);
}

static void listener__in_use_is_named_with_its_cause(void **state)
{
    struct kit kit = {0};
    struct hl_ul_server *server;
    char address[32];
    (void)state;
    kit_start(&kit, "127.0.0.1:0", &kit_limits, NULL);
    snprintf(address, sizeof address, "127.0.0.1:%u", kit.port);
    const struct hl_ul_listen listen[] = {{"127.0.0.1:0", NULL}, {address, NULL}};
    const struct hl_ul_handler handler = {0};
    assert_int_equal(hl_ul_server_start(listen, 2, &kit_limits, &handler, NULL, &server),
                     HILUM_EINVAL);
    assert_non_null(strstr(hl_error(), address));
    assert_non_null(strstr(hl_error(), "in use"));
    kit_stop(&kit);
}

static void open__where_nobody_listens_tells_the_address(void **state)
{
    struct kit kit = {0};
    struct hl_ul_assoc *assoc;
    (void)state;
    kit_start(&kit, "127.0.0.1:0", &kit_limits, NULL);
    kit_stop(&kit);
    assert_int_equal(kit_open(&kit, "127.0.0.1", NULL, &assoc), HILUM_EIO);
    assert_non_null(strstr(hl_error(), "refused"));
}

/* A descriptor more of the server's end of the only association there is, as a child has it between fork and exec. */
static int held_by_a_child(uint16_t port)
{
    for (int fd = 3; fd < 256; fd++) {
        struct sockaddr_in own = {0}, other = {0};
        socklen_t n = sizeof own, m = sizeof other;
        if (getsockname(fd, (struct sockaddr *)&own, &n) == 0 &&
            getpeername(fd, (struct sockaddr *)&other, &m) == 0 && own.sin_family == AF_INET &&
            own.sin_port == htons(port))
            return fcntl(fd, F_DUPFD_CLOEXEC, 256);
    }
    return -1;
}

/* Closed here it is still open there, and epoll tells of it for as long: what it pointed to was freed. */
static void socket__that_a_child_still_holds_is_told_of_no_more(void **state)
{
    struct kit kit = {0};
    struct hl_ul_assoc *assoc;
    (void)state;
    kit_start(&kit, "127.0.0.1:0", &(struct hl_ul_limits){0}, NULL);
    assert_int_equal(kit_open(&kit, "127.0.0.1", NULL, &assoc), HILUM_OK);
    int held = held_by_a_child(kit.port);
    assert_true(held >= 0);
    hl_ul_release(assoc);
    assert_true(kit_await_ends(&kit, 1));
    for (unsigned i = 0; i < 20; i++) { /* the loop goes round: a second is all a socket lingers */
        assert_int_equal(kit_open(&kit, "127.0.0.1", NULL, &assoc), HILUM_OK);
        assert_int_equal(kit_echo(assoc), 0);
        hl_ul_release(assoc);
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    close(held);
    kit_stop(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(echo__over_ipv4_is_answered),
        cmocka_unit_test(echo__over_ipv6_is_answered),
        cmocka_unit_test(dual_stack_listener__takes_both_families),
        cmocka_unit_test(negotiation__tells_the_requestor_what_was_accepted),
        cmocka_unit_test(rejection__reaches_the_requestor_in_words),
        cmocka_unit_test(large_data_set__arrives_whole),
        cmocka_unit_test(requestor_abort__is_told_with_its_source),
        cmocka_unit_test(poll__sees_nothing_then_an_answer),
        cmocka_unit_test(poll__on_an_association_the_peer_ended_says_so),
        cmocka_unit_test(release__with_an_answer_unread_is_still_a_release),
        cmocka_unit_test(write__on_a_context_not_accepted_is_refused_here),
        cmocka_unit_test(stop__lets_a_message_in_progress_finish_and_aborts_idle_ones),
        cmocka_unit_test(socket__that_a_child_still_holds_is_told_of_no_more),
        cmocka_unit_test(listener__in_use_is_named_with_its_cause),
        cmocka_unit_test(open__where_nobody_listens_tells_the_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
