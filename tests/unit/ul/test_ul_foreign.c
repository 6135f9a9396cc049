/* DCMTK's tools against the upper layer, in both directions, plain and TLS. Skipped where they are
 * not installed. SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/ul/certs.h"
#include "tests/unit/ul/kit.h"
#include "core/base/error.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static struct certs certs;

static bool has(const char *tool)
{
    char command[128];
    snprintf(command, sizeof command, "command -v %s >/dev/null 2>&1", tool);
    return system(command) == 0;
}

#define NEEDS(tool)                                                                                \
    do {                                                                                           \
        if (!has(tool)) {                                                                          \
            print_message("no %s here: install dcmtk\n", tool);                                    \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

static int run(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int run(const char *format, ...)
{
    char command[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void start(struct kit *kit, const char *listen, struct hl_ul_tls *tls)
{
    const struct hl_ul_limits limits = {0};
    kit_start(kit, listen, &limits, tls);
    hl_ul_tls_unref(tls);
}

static void echoscu__is_answered(void **state)
{
    struct kit kit = {0};
    (void)state;
    NEEDS("echoscu");
    start(&kit, ":0", NULL);
    assert_int_equal(run("echoscu --repeat 5 127.0.0.1 %u 2>/dev/null", kit.port), 0);
    assert_true(kit_await_ends(&kit, 1));
    assert_string_equal(kit.whys[0], "released");
    assert_int_equal(kit_messages(&kit), 5);
    kit_stop(&kit);
}

static void echoscu__proposing_128_contexts_of_38_syntaxes_is_answered(void **state)
{
    struct kit kit = {0};
    (void)state;
    NEEDS("echoscu");
    start(&kit, "127.0.0.1:0", NULL);
    assert_int_equal(run("echoscu -ppc 128 -pts 38 127.0.0.1 %u 2>/dev/null", kit.port), 0);
    kit_stop(&kit);
}

static void echoscu__aborting_is_told(void **state)
{
    struct kit kit = {0};
    (void)state;
    NEEDS("echoscu");
    start(&kit, "127.0.0.1:0", NULL);
    run("echoscu --abort 127.0.0.1 %u 2>/dev/null", kit.port);
    assert_true(kit_await_ends(&kit, 1));
    assert_true(kit_was_told(&kit, "aborted by the peer"));
    kit_stop(&kit);
}

static void echoscu__rejected_reads_our_reason(void **state)
{
    struct kit kit = {.reject = {1, 1, 7}};
    (void)state;
    NEEDS("echoscu");
    start(&kit, "127.0.0.1:0", NULL);
    assert_int_equal(
        run("echoscu 127.0.0.1 %u 2>&1 | grep -q 'Called AE Title Not Recognized'", kit.port), 0);
    kit_stop(&kit);
}

static struct hl_ul_tls *acceptor(bool is_mutual)
{
    const struct hl_ul_tls_config config = {.certificate = certs.server,
                                            .ca = is_mutual ? certs.ca : NULL,
                                            .require_peer_certificate = is_mutual};
    struct hl_ul_tls *tls;
    if (hl_ul_tls_new(&config, true, &tls))
        fail_msg("%s", hl_error());
    return tls;
}

static void echoscu__over_tls_is_answered(void **state)
{
    struct kit kit = {0};
    (void)state;
    NEEDS("echoscu");
    start(&kit, "127.0.0.1:0", acceptor(false));
    assert_int_equal(run("echoscu +tla +cf %s 127.0.0.1 %u 2>/dev/null", certs.ca, kit.port), 0);
    assert_true(kit_await_ends(&kit, 1));
    assert_string_equal(kit.whys[0], "released");
    kit_stop(&kit);
}

static void echoscu__over_mutual_tls_needs_its_certificate(void **state)
{
    struct kit kit = {0};
    (void)state;
    NEEDS("echoscu");
    start(&kit, "127.0.0.1:0", acceptor(true));
    assert_int_not_equal(run("echoscu +tla +cf %s 127.0.0.1 %u 2>/dev/null", certs.ca, kit.port),
                         0);
    assert_int_equal(run("echoscu +tls %s %s +cf %s 127.0.0.1 %u 2>/dev/null", certs.client,
                         certs.client, certs.ca, kit.port),
                     0);
    assert_true(kit_await_ends(&kit, 2));
    assert_string_equal(kit.subject, "CN=client");
    kit_stop(&kit);
}

/* A port nobody listens on, below those the system hands out: one of those may be another test's, or an
 * outgoing connection's, before the tool has it (tests/lib/free_port.py). */
static uint16_t free_port(void)
{
    enum { LOWEST = 12000, HIGHEST = 32000, TRIES = 1000 };
    uint32_t seed = (uint32_t)getpid() * 2654435761u ^ (uint32_t)kit_now_ms();
    for (unsigned i = 0; i < TRIES; i++) {
        seed = seed * 1664525u + 1013904223u;
        uint16_t port = (uint16_t)(LOWEST + (seed >> 8) % (HIGHEST - LOWEST));
        const struct sockaddr_in here = {
            .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool is_free = fd >= 0 && bind(fd, (const struct sockaddr *)&here, sizeof here) == 0;
        if (fd >= 0)
            close(fd);
        if (is_free)
            return port;
    }
    fail_msg("no free port");
    return 0;
}

static pid_t spawn(char *const argv[])
{
    pid_t child = fork();
    if (child == 0) {
        if (!freopen("/dev/null", "w", stderr) || !freopen("/dev/null", "w", stdout))
            _exit(126);
        execvp(argv[0], argv);
        _exit(127);
    }
    return child;
}

static bool has_ended(pid_t child)
{
    siginfo_t how = {0};
    return waitid(P_PID, (id_t)child, &how, WEXITED | WNOHANG | WNOWAIT) != 0 ||
           how.si_pid == child;
}

/* Until the tool listens, which is no event that could be waited for: on a busy machine it takes
 * seconds to read its dictionary. It listens before it answers, so that an answer may be late, too. */
static hilum_rc open_soon(const struct kit *kit, pid_t child, struct hl_ul_tls *tls,
                          struct hl_ul_assoc **out)
{
    int64_t until = kit_now_ms() + 60000;
    hilum_rc rc;
    do {
        rc = kit_open(kit, "127.0.0.1", tls, out);
    } while ((rc == HILUM_EIO || rc == HILUM_ETIMEDOUT || rc == HILUM_ECLOSED) &&
             kit_now_ms() < until && !has_ended(child) &&
             nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL) == 0);
    return rc;
}

static void echo_to(char *const argv[], uint16_t port, struct hl_ul_tls *tls)
{
    struct kit to = {.port = port};
    struct hl_ul_assoc *assoc;
    pid_t child = spawn(argv);
    hilum_rc rc = open_soon(&to, child, tls, &assoc);
    int status = rc ? -1 : kit_echo(assoc);
    const char *accepted = rc ? "" : hl_ul_context(assoc, 1) ? "yes" : "no";
    if (rc == HILUM_OK)
        hl_ul_release(assoc);
    kill(child, SIGTERM);
    waitpid(child, NULL, 0);
    if (rc)
        fail_msg("%s", hl_error());
    assert_int_equal(status, 0);
    assert_string_equal(accepted, "yes");
}

static void storescp__answers_our_echo(void **state)
{
    char port[8];
    (void)state;
    NEEDS("storescp");
    uint16_t number = free_port();
    snprintf(port, sizeof port, "%u", number);
    char *const argv[] = {"storescp", "--ignore", port, NULL};
    echo_to(argv, number, NULL);
}

static void storescp__answers_our_echo_over_tls(void **state)
{
    char port[8];
    const struct hl_ul_tls_config config = {.certificate = certs.client, .ca = certs.ca};
    struct hl_ul_tls *tls;
    (void)state;
    NEEDS("storescp");
    uint16_t number = free_port();
    snprintf(port, sizeof port, "%u", number);
    assert_int_equal(hl_ul_tls_new(&config, false, &tls), HILUM_OK);
    char *const argv[] = {"storescp", "--ignore", "+tls", certs.server, certs.server,
                          "+cf",      certs.ca,   port,   NULL};
    echo_to(argv, number, tls);
    hl_ul_tls_unref(tls);
}

static int set_up(void **state)
{
    (void)state;
    certs_make(&certs);
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
        cmocka_unit_test(echoscu__is_answered),
        cmocka_unit_test(echoscu__proposing_128_contexts_of_38_syntaxes_is_answered),
        cmocka_unit_test(echoscu__aborting_is_told),
        cmocka_unit_test(echoscu__rejected_reads_our_reason),
        cmocka_unit_test(echoscu__over_tls_is_answered),
        cmocka_unit_test(echoscu__over_mutual_tls_needs_its_certificate),
        cmocka_unit_test(storescp__answers_our_echo),
        cmocka_unit_test(storescp__answers_our_echo_over_tls),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
