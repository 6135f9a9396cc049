/* The requestor against acceptors that are silent, slow, lying or refuse; and many associations at
 * once. SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/ul/kit.h"
#include "core/base/error.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* An acceptor of one connection: reads the request, says its bytes and waits for the end. */
struct actor {
    int listener;
    uint16_t port;
    const void *bytes;
    size_t n;
    bool drips;
    void *(*act)(void *actor); /* NULL: as told above */
    uint8_t last[16];          /* what came after the request */
    size_t n_last;
    pthread_t thread;
};

static void say(struct actor *actor, int fd)
{
    const uint8_t *at = actor->bytes;
    if (!actor->drips) {
        if (actor->n)
            assert_int_equal(send(fd, at, actor->n, MSG_NOSIGNAL), (ssize_t)actor->n);
        return;
    }
    for (size_t i = 0; i < actor->n; i++) {
        struct pollfd end = {.fd = fd, .events = POLLIN};
        if (poll(&end, 1, 10) > 0 || send(fd, at + i, 1, MSG_NOSIGNAL) != 1)
            return;
    }
}

static void *act(void *arg)
{
    struct actor *actor = arg;
    uint8_t request[4096];
    int fd = accept(actor->listener, NULL, NULL);
    assert_true(recv(fd, request, 6, MSG_WAITALL) == 6);
    size_t n = hl_ul_be32(request + 2);
    assert_true(n < sizeof request);
    assert_true(recv(fd, request, n, MSG_WAITALL) == (ssize_t)n);
    say(actor, fd);
    ssize_t got;
    while ((got = recv(fd, actor->last + actor->n_last, sizeof actor->last - actor->n_last, 0)) > 0)
        actor->n_last += (size_t)got;
    close(fd);
    return NULL;
}

static void enter(struct actor *actor)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t n = sizeof at;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    actor->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(actor->listener, (void *)&at, sizeof at), 0);
    assert_int_equal(listen(actor->listener, 5), 0);
    assert_int_equal(getsockname(actor->listener, (void *)&at, &n), 0);
    actor->port = ntohs(at.sin_port);
    assert_int_equal(pthread_create(&actor->thread, NULL, actor->act ? actor->act : act, actor), 0);
}

static void leave(struct actor *actor)
{
    pthread_join(actor->thread, NULL);
    close(actor->listener);
}

static hilum_rc open_to(const struct actor *actor, struct hl_ul_assoc **out)
{
    const struct hl_ul_connect how = {.host = "127.0.0.1",
                                      .port = actor->port,
                                      .propose = kit_proposal(),
                                      .connect_ms = 300,
                                      .negotiate_ms = 300,
                                      .pdu_ms = 300,
                                      .write_ms = 300};
    return hl_ul_open(&how, out);
}

static const struct answer {
    const char *what, *bytes;
    size_t n;
    bool drips;
    hilum_rc rc;
    const char *told;
    int abort_reason; /* the A-ABORT it gets; -1 for none */
} answers[] = {
    {"silence", "", 0, false, HILUM_ETIMEDOUT, "no complete answer in time", 0},
    {"half a head", "\2\0\0", 3, false, HILUM_ETIMEDOUT, "no complete answer in time", 0},
    {"dripping", "\2\0\0\0\1\0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 60, true,
     HILUM_ETIMEDOUT, "no complete answer in time", 0},
    {"accept of 2 GB", "\2\0\x7f\xff\xff\xff", 6, false, HILUM_EINVAL, "longer than 1 MiB", 6},
    {"accept too short", "\2\0\0\0\0\2\0\1", 8, false, HILUM_EINVAL, "body of 2 bytes", 6},
    {"data", "\4\0\0\0\0\4\0\0\0\0", 10, false, HILUM_EINVAL, "another PDU instead", 2},
    {"rubbish", "HTTP/1.1 400\r\n", 14, false, HILUM_EINVAL, "unrecognized PDU type", 1},
    {"reject", "\3\0\0\0\0\4\0\2\3\1", 10, false, HILUM_EDENIED,
     "rejected for now by the service provider (presentation): temporary congestion (2/3/1)", -1},
    {"abort", "\7\0\0\0\0\4\0\0\2\1", 10, false, HILUM_ECLOSED,
     "aborted by the peer: service provider, unrecognized PDU (2/1)", -1},
};

static void open__against_an_unfit_answer_ends_with_its_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        const struct answer *answer = &answers[i];
        struct actor actor = {.bytes = answer->bytes, .n = answer->n, .drips = answer->drips};
        struct hl_ul_assoc *assoc;
        print_message("%s\n", answer->what);
        enter(&actor);
        assert_int_equal(open_to(&actor, &assoc), answer->rc);
        if (!strstr(hl_error(), answer->told))
            fail_msg("told: %s", hl_error());
        leave(&actor);
        assert_int_equal(actor.n_last, answer->abort_reason < 0 ? 0 : HL_UL_SHORT_PDU);
        if (answer->abort_reason >= 0) {
            assert_int_equal(actor.last[0], HL_PDU_ABORT);
            assert_int_equal(actor.last[9], answer->abort_reason);
        }
    }
}

/* An A-ASSOCIATE-AC is whole without items for the proposed contexts: none of them is accepted then. */
static void open__context_that_is_not_answered_is_not_accepted(void **state)
{
    static const char answer[6 + 68] = "\2\0\0\0\0\x44\0\1";
    struct actor actor = {.bytes = answer, .n = sizeof answer};
    struct hl_ul_assoc *assoc;
    (void)state;
    enter(&actor);
    assert_int_equal(open_to(&actor, &assoc), HILUM_OK);
    const struct hl_ul_params *params = hl_ul_params(assoc);
    assert_true(params->n_contexts > 0);
    for (size_t i = 0; i < params->n_contexts; i++) {
        assert_int_equal(params->contexts[i].result, HL_UL_NOT_ANSWERED);
        assert_null(hl_ul_context(assoc, params->contexts[i].id));
    }
    hl_ul_abort(assoc);
    leave(&actor);
}

static void open__where_nothing_answers_ends_by_deadline(void **state)
{
    struct hl_ul_assoc *assoc;
    const struct hl_ul_connect how = {
        .host = "host.invalid", .port = 104, .propose = kit_proposal(), .connect_ms = 300};
    (void)state;
    int64_t start = kit_now_ms();
    assert_true(hl_ul_open(&how, &assoc) < 0);
    assert_non_null(strstr(hl_error(), "resolve host.invalid"));
    assert_true(kit_now_ms() - start < 3000);
}

/* ---- an acceptor that never stops sending
 * ----------------------------------------------------- */

static const uint8_t accept_one[] = {
    2,           0,   0,   0,   0,   97,  0,   1, /* head, version; titles follow */
    [74] = 0x21, 0,   0,   25,  1,   0,   0,   0,   0x40, 0,   0,   17, /* context 1 accepted */
    '1',         '.', '2', '.', '8', '4', '0', '.', '1',  '0', '0', '0', '8', '.', '1', '.', '2'};

/* PDUs of two bytes of data: they are sent faster than any reader can look at each. */
static void *flood(void *arg)
{
    struct actor *actor = arg;
    static uint8_t data[14 * 10000];
    uint8_t request[4096];
    int fd = accept(actor->listener, NULL, NULL);
    assert_true(recv(fd, request, 6, MSG_WAITALL) == 6);
    size_t n = hl_ul_be32(request + 2);
    assert_true(n < sizeof request && recv(fd, request, n, MSG_WAITALL) == (ssize_t)n);
    for (size_t i = 0; i < sizeof data; i += 14)
        memcpy(data + i, (uint8_t[]){HL_PDU_DATA, 0, 0, 0, 0, 8, 0, 0, 0, 4, 1, 0}, 12);
    assert_int_equal(send(fd, accept_one, sizeof accept_one, MSG_NOSIGNAL), sizeof accept_one);
    int64_t until = kit_now_ms() + 5000;
    while (kit_now_ms() < until && send(fd, data, sizeof data, MSG_NOSIGNAL) > 0)
        ;
    close(fd);
    return NULL;
}

static void release__from_a_peer_that_goes_on_sending_ends_by_deadline(void **state)
{
    (void)state;
    for (int reads = 0; reads < 2; reads++) {
        struct actor actor = {.act = flood};
        struct hl_ul_assoc *assoc;
        struct hl_ul_pdv pdv;
        enter(&actor);
        assert_int_equal(open_to(&actor, &assoc), HILUM_OK);
        if (reads)
            assert_int_equal(hl_ul_read(assoc, &pdv), HILUM_OK);
        int64_t start = kit_now_ms();
        hl_ul_release(assoc);
        assert_true(kit_now_ms() - start < 2000);
        leave(&actor);
    }
}

/* ---- many at once
 * ----------------------------------------------------------------------------- */

enum { THREADS = 8, ROUNDS = 25 };

static void *echo_often(void *arg)
{
    const struct kit *kit = arg;
    for (int i = 0; i < ROUNDS; i++) {
        struct hl_ul_assoc *assoc;
        if (kit_open(kit, i % 2 ? "127.0.0.1" : "::1", NULL, &assoc))
            return "open failed";
        if (kit_echo(assoc) != 0 || kit_echo(assoc) != 0)
            return "echo failed";
        if (i % 5 == 0)
            hl_ul_abort(assoc);
        else
            hl_ul_release(assoc);
    }
    return NULL;
}

static void many_associations__at_once_are_all_served(void **state)
{
    static struct kit kit;
    const struct hl_ul_limits limits = {0};
    pthread_t threads[THREADS];
    (void)state;
    kit_start(&kit, ":0", &limits, NULL);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, echo_often, &kit), 0);
    for (int i = 0; i < THREADS; i++) {
        void *failure;
        pthread_join(threads[i], &failure);
        if (failure)
            fail_msg("%s", (char *)failure);
    }
    assert_true(kit_await_ends(&kit, THREADS * ROUNDS));
    assert_int_equal(kit_messages(&kit), 2 * THREADS * ROUNDS);
    kit_stop(&kit);
    assert_int_equal(kit.closed, THREADS * ROUNDS);
    assert_int_equal(kit.refused, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open__against_an_unfit_answer_ends_with_its_reason),
        cmocka_unit_test(open__context_that_is_not_answered_is_not_accepted),
        cmocka_unit_test(open__where_nothing_answers_ends_by_deadline),
        cmocka_unit_test(release__from_a_peer_that_goes_on_sending_ends_by_deadline),
        cmocka_unit_test(many_associations__at_once_are_all_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
