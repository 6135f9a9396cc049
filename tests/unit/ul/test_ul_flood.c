/* A flood of real TLS handshakes with a costly signature: who is associated already notices
 * nothing, too many make room, a stop waits for none. SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/ul/certs.h"
#include "tests/unit/ul/kit.h"
#include "core/base/error.h"

#include <openssl/ssl.h>
#include <stdarg.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

/* Sanitizers slow everything down; what is asserted then is the order of magnitude. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { ECHO_MS = 1000 };
#else
enum { ECHO_MS = 100 };
#endif
enum { CROWD = 100, FLOODS = 5 };

static struct certs certs;

/* Nobody is late here: what is measured is who waits for whom. */
static const struct hl_ul_limits patient = {.max_connecting = 2 * CROWD,
                                            .negotiate_ms = 60000,
                                            .pdu_ms = 60000,
                                            .idle_ms = 60000,
                                            .write_ms = 60000};

struct crowd {
    pthread_t threads[CROWD];
    pthread_barrier_t start;
    SSL_CTX *context;
    const struct kit *kit;
    atomic_uint secured, failed;
};

/* SIGPIPE only here, where OpenSSL writes to sockets that the server gave up. */
static void *shake_hands(void *arg)
{
    struct crowd *crowd = arg;
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, NULL);
    const struct kit at = {.port = crowd->kit->tls_port};
    const struct timeval patience = {.tv_sec = 60};
    int fd = kit_socket(&at);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    SSL *ssl = SSL_new(crowd->context);
    SSL_set_fd(ssl, fd);
    pthread_barrier_wait(&crowd->start);
    atomic_fetch_add(SSL_connect(ssl) == 1 ? &crowd->secured : &crowd->failed, 1);
    SSL_free(ssl);
    close(fd);
    return NULL;
}

/* Returns when all are connected and about to say hello. */
static void flood(struct crowd *crowd, const struct kit *kit)
{
    crowd->context = SSL_CTX_new(TLS_client_method());
    crowd->kit = kit;
    atomic_store(&crowd->secured, 0);
    atomic_store(&crowd->failed, 0);
    pthread_barrier_init(&crowd->start, NULL, CROWD + 1);
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(pthread_create(&crowd->threads[i], NULL, shake_hands, crowd), 0);
    pthread_barrier_wait(&crowd->start);
}

static bool is_over(struct crowd *crowd)
{
    return atomic_load(&crowd->secured) + atomic_load(&crowd->failed) == CROWD;
}

static void gather(struct crowd *crowd)
{
    for (int i = 0; i < CROWD; i++)
        pthread_join(crowd->threads[i], NULL);
    pthread_barrier_destroy(&crowd->start);
    SSL_CTX_free(crowd->context);
}

static void start(struct kit *kit, const struct hl_ul_limits *limits)
{
    const struct hl_ul_tls_config config = {.certificate = certs.slow};
    struct hl_ul_tls *tls;
    if (hl_ul_tls_new(&config, true, &tls))
        fail_msg("%s", hl_error());
    kit_start_both(kit, limits, tls);
    hl_ul_tls_unref(tls);
}

/* The longest echo while a flood lasts. */
static int64_t slowest_echo(const struct kit *kit, struct hl_ul_assoc *assoc)
{
    struct crowd crowd;
    int64_t slowest = 0;
    unsigned echoes = 0;
    flood(&crowd, kit);
    do {
        int64_t before = kit_now_ms();
        assert_int_equal(kit_echo(assoc), 0);
        int64_t took = kit_now_ms() - before;
        slowest = took > slowest ? took : slowest;
        echoes++;
    } while (!is_over(&crowd));
    gather(&crowd);
    assert_int_equal(crowd.secured, CROWD);
    printf("%u echoes during %d handshakes, the slowest %lld ms\n", echoes, CROWD,
           (long long)slowest);
    return slowest;
}

/* The machine may have other work: one undisturbed flood of several is proof. On the loop thread
 * each takes 200 ms and more. */
static void flood_of_handshakes__delays_no_established_association(void **state)
{
    struct kit kit = {0};
    struct hl_ul_assoc *assoc;
    (void)state;
    start(&kit, &patient);
    if (kit_open(&kit, "127.0.0.1", NULL, &assoc))
        fail_msg("%s", hl_error());
    int64_t slowest = slowest_echo(&kit, assoc);
    for (int i = 1; i < FLOODS && slowest > ECHO_MS; i++)
        slowest = slowest_echo(&kit, assoc);
    assert_true(slowest <= ECHO_MS);
    hl_ul_release(assoc);
    kit_stop(&kit);
}

/* Those that make room have their handshake waiting or under way: each ends once, with a reason,
 * and the next good peer is served. */
static void handshakes_too_many__make_room_and_are_told(void **state)
{
    struct hl_ul_limits few = patient;
    struct kit kit = {0};
    struct crowd crowd;
    struct hl_ul_assoc *assoc;
    uint32_t open, busy, connecting;
    (void)state;
    few.max_connecting = 8;
    start(&kit, &few);
    flood(&crowd, &kit);
    gather(&crowd);
    assert_true(kit_await_ends(&kit, CROWD));
    assert_int_equal(kit.refused, CROWD);
    assert_true(crowd.failed == 0 || kit_was_told(&kit, "too many connections without"));
    hl_ul_server_count(kit.server, &open, &busy, &connecting);
    assert_int_equal(open + busy + connecting, 0);
    assert_int_equal(kit_open(&kit, "127.0.0.1", NULL, &assoc), HILUM_OK);
    assert_int_equal(kit_echo(assoc), 0);
    hl_ul_release(assoc);
    kit_stop(&kit);
}

/* A handshake that waits for its turn longer than it may is given up when its time is over. */
static void handshakes_late__end_by_the_deadline_of_their_connection(void **state)
{
    struct hl_ul_limits hasty = patient;
    struct kit kit = {0};
    struct crowd crowd;
    (void)state;
    hasty.negotiate_ms = 100;
    start(&kit, &hasty);
    flood(&crowd, &kit);
    gather(&crowd);
    assert_true(kit_await_ends(&kit, CROWD));
    assert_int_equal(kit.refused, CROWD);
    assert_true(crowd.failed > 0);
    assert_true(kit_was_told(&kit, "TLS handshake not complete in time"));
    kit_stop(&kit);
}

static void stop__in_the_middle_of_a_flood_ends_every_handshake(void **state)
{
    struct kit kit = {0};
    struct crowd crowd;
    (void)state;
    start(&kit, &patient);
    flood(&crowd, &kit);
    int64_t before = kit_now_ms();
    kit_stop(&kit);
    assert_true(kit_now_ms() - before < 5000);
    gather(&crowd);
    assert_true(is_over(&crowd));
}

static int set_up(void **state)
{
    (void)state;
    certs_make(&certs);
    certs_make_slow(&certs);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    certs_remove(&certs);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flood_of_handshakes__delays_no_established_association),
        cmocka_unit_test(handshakes_too_many__make_room_and_are_told),
        cmocka_unit_test(handshakes_late__end_by_the_deadline_of_their_connection),
        cmocka_unit_test(stop__in_the_middle_of_a_flood_ends_every_handshake),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
