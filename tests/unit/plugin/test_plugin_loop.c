/* The loop thread of plugins, and what they count. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/plugin/loop.h"
#include "core/plugin/metrics.h"

/* ---- the loop ---- */

static struct {
    struct hl_loop *loop;
    atomic_int inside, slow;
    int pipe[2], other[2];
    sem_t told;
    atomic_uint times;
    _Atomic uint32_t events;
    uint64_t id, other_id;
    bool reads, blocks;
} bench;
static char owner, stranger;

static void before(void *arg, void *of)
{
    (void)arg, (void)of;
    atomic_fetch_add(&bench.inside, 1);
}

static void after(void *arg, void *of, int64_t ns)
{
    (void)arg, (void)of;
    atomic_fetch_sub(&bench.inside, 1);
    if (ns > 5000000)
        atomic_fetch_add(&bench.slow, 1);
}

static int setup(void **state)
{
    const struct hl_loop_user user = {before, after, NULL};
    (void)state;
    memset(&bench, 0, sizeof bench);
    sem_init(&bench.told, 0, 0);
    return pipe(bench.pipe) == 0 && pipe(bench.other) == 0 &&
                   hl_loop_new(&user, &bench.loop) == HILUM_OK
               ? 0
               : -1;
}

static int teardown(void **state)
{
    (void)state;
    hl_loop_free(bench.loop);
    assert_int_equal(atomic_load(&bench.inside), 0);
    for (int i = 0; i < 2; i++) {
        close(bench.pipe[i]);
        close(bench.other[i]);
    }
    sem_destroy(&bench.told);
    return 0;
}

static void on_event(void *arg, uint32_t events)
{
    char byte;
    (void)arg;
    bench.events = events;
    atomic_fetch_add(&bench.times, 1);
    if (bench.reads && events & HILUM_READABLE)
        assert_int_equal(read(bench.pipe[0], &byte, 1), 1);
    if (bench.blocks)
        usleep(20000);
    if (events & HILUM_HUNG_UP)
        hl_loop_unwatch(bench.loop, &owner, bench.id); /* from within */
    sem_post(&bench.told);
}

static void watch(uint32_t events)
{
    assert_int_equal(
        hl_loop_watch(bench.loop, &owner, bench.pipe[0], events, on_event, NULL, &bench.id),
        HILUM_OK);
}

static void loop__tells_what_can_be_read_until_it_has_been(void **state)
{
    (void)state;
    bench.reads = true;
    watch(HILUM_READABLE);
    assert_int_equal(write(bench.pipe[1], "ab", 2), 2);
    sem_wait(&bench.told);
    sem_wait(&bench.told);
    assert_int_equal(bench.events, HILUM_READABLE);
    usleep(30000); /* nothing is left to be told */
    assert_int_equal(atomic_load(&bench.times), 2);
    close(bench.pipe[1]);
    bench.pipe[1] = open("/dev/null", O_RDONLY);
    sem_wait(&bench.told);
    assert_true(bench.events & HILUM_HUNG_UP);
    assert_int_equal(hl_loop_unwatch(bench.loop, &owner, bench.id), HILUM_ENOTFOUND);
}

static void loop__is_quiet_while_nothing_is_asked(void **state)
{
    (void)state;
    bench.reads = true;
    watch(0);
    assert_int_equal(write(bench.pipe[1], "a", 1), 1);
    usleep(30000);
    assert_int_equal(atomic_load(&bench.times), 0);
    assert_int_equal(hl_loop_rewatch(bench.loop, &stranger, bench.id, HILUM_READABLE),
                     HILUM_ENOTFOUND);
    assert_int_equal(hl_loop_rewatch(bench.loop, &owner, bench.id, HILUM_READABLE), HILUM_OK);
    sem_wait(&bench.told);
    assert_int_equal(hl_loop_rewatch(bench.loop, &owner, bench.id, HILUM_WRITABLE), HILUM_OK);
    assert_int_equal(hl_loop_unwatch(bench.loop, &owner, bench.id), HILUM_OK);
}

static void loop__unwatch_waits_for_a_call_under_way(void **state)
{
    (void)state;
    bench.blocks = true;
    watch(HILUM_READABLE);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(write(bench.pipe[1], "a", 1), 1);
        sem_wait(&bench.told);
        assert_int_equal(hl_loop_unwatch(bench.loop, &owner, bench.id), HILUM_OK);
        unsigned times = atomic_load(&bench.times);
        usleep(5000);
        assert_int_equal(atomic_load(&bench.times), times);
        watch(HILUM_READABLE);
    }
    assert_true(atomic_load(&bench.slow) > 0);
}

/* The one that is told first takes the other away, though the kernel has told of both. */
static void rob(void *arg, uint32_t events)
{
    (void)events;
    atomic_fetch_add(&bench.times, 1);
    hl_loop_unwatch(bench.loop, &owner, *(uint64_t *)arg);
    hl_loop_unwatch(bench.loop, &owner, arg == &bench.id ? bench.other_id : bench.id);
    sem_post(&bench.told);
}

static void loop__what_was_taken_away_is_not_told(void **state)
{
    (void)state;
    assert_int_equal(write(bench.pipe[1], "a", 1) + write(bench.other[1], "a", 1), 2);
    hl_loop_watch(bench.loop, &owner, bench.pipe[0], 0, rob, &bench.other_id, &bench.id);
    hl_loop_watch(bench.loop, &owner, bench.other[0], 0, rob, &bench.id, &bench.other_id);
    hl_loop_rewatch(bench.loop, &owner, bench.id, HILUM_READABLE);
    hl_loop_rewatch(bench.loop, &owner, bench.other_id, HILUM_READABLE);
    sem_wait(&bench.told);
    usleep(30000);
    assert_int_equal(atomic_load(&bench.times), 1);
}

static void loop__is_bounded_and_says_why_not(void **state)
{
    (void)state;
    uint64_t id;
    int file = open("/proc/self/exe", O_RDONLY), fds[HL_LOOP_WATCHES + 1];
    watch(HILUM_READABLE);
    assert_int_equal(
        hl_loop_watch(bench.loop, &owner, bench.pipe[0], HILUM_READABLE, on_event, NULL, &id),
        HILUM_EEXISTS);
    assert_int_equal(hl_loop_watch(bench.loop, &owner, file, HILUM_READABLE, on_event, NULL, &id),
                     HILUM_EINVAL); /* a file can always be read */
    int n = 0;
    hilum_rc rc = HILUM_OK;
    for (; n <= HL_LOOP_WATCHES && rc == HILUM_OK; n++) {
        fds[n] = dup(bench.other[0]);
        rc = hl_loop_watch(bench.loop, &owner, fds[n], 0, on_event, NULL, &id);
    }
    assert_int_equal(rc, HILUM_EFULL);
    assert_int_equal(n, HL_LOOP_WATCHES);
    assert_int_equal(hl_loop_watch(bench.loop, &stranger, fds[0], 0, on_event, NULL, &id),
                     HILUM_OK); /* another's places are his own */
    hl_loop_forget(bench.loop, &owner);
    assert_int_equal(hl_loop_unwatch(bench.loop, &stranger, id), HILUM_OK);
    while (n > 0)
        close(fds[--n]);
    close(file);
}

static char order[8];
static void task(void *arg)
{
    strncat(order, arg, 1);
    if (*(const char *)arg == 'c')
        sem_post(&bench.told);
}

static void loop__runs_tasks_in_their_order_and_forgets(void **state)
{
    (void)state;
    order[0] = '\0';
    hl_loop_run(bench.loop, &owner, task, "a");
    hl_loop_run(bench.loop, &owner, task, "b");
    hl_loop_run(bench.loop, &owner, task, "c");
    sem_wait(&bench.told);
    assert_string_equal(order, "abc");
    bench.blocks = true;
    watch(HILUM_READABLE); /* holds the thread up while tasks come and go */
    assert_int_equal(write(bench.pipe[1], "a", 1), 1);
    sem_wait(&bench.told);
    hl_loop_run(bench.loop, &stranger, task, "x");
    hl_loop_run(bench.loop, &owner, task, "y");
    hl_loop_forget(bench.loop, &stranger);
    hl_loop_run(bench.loop, &owner, task, "c");
    hl_loop_unwatch(bench.loop, &owner, bench.id);
    while (strlen(order) < 5)
        sem_wait(&bench.told);
    assert_null(strchr(order, 'x'));
}

/* ---- metrics ---- */

static struct hl_metrics *metrics;

static int metrics_setup(void **state)
{
    (void)state;
    return (metrics = hl_metrics_new()) ? 0 : -1;
}

static int metrics_teardown(void **state)
{
    (void)state;
    hl_metrics_free(metrics);
    return 0;
}

static hilum_rc define(const char *name, uint32_t type, const char *labels, uint32_t *number)
{
    static const double bounds[] = {1, 5};
    const struct hilum_metric metric = {.size = sizeof metric,
                                        .type = type,
                                        .name = name,
                                        .labels = labels,
                                        .bounds = bounds,
                                        .n_bounds = type == HILUM_METRIC_HISTOGRAM ? 2 : 0};
    return hl_metrics_define(metrics, "acme-x", &metric, number);
}

static void assert_text(const char *expected)
{
    struct hl_buf text = {0};
    hl_metrics_write(metrics, &text);
    assert_string_equal(hl_buf_str(&text), expected);
    hl_buf_fini(&text);
}

static hilum_rc change(uint32_t number, enum hl_metric_change how, const char *label, double value)
{
    const char *const labels[] = {label, "2"};
    return hl_metrics_change(metrics, "acme-x", number, how, labels, value);
}

static void metrics__are_written_as_prometheus_reads_them(void **state)
{
    (void)state;
    uint32_t counter, gauge, histogram;
    assert_int_equal(define("a_total", HILUM_METRIC_COUNTER, "peer,n", &counter), HILUM_OK);
    assert_int_equal(define("b", HILUM_METRIC_GAUGE, NULL, &gauge), HILUM_OK);
    assert_int_equal(define("c", HILUM_METRIC_HISTOGRAM, "peer", &histogram), HILUM_OK);
    assert_int_equal(change(counter, HL_METRIC_ADD, "A\nB", 1.5), HILUM_OK);
    assert_int_equal(change(counter, HL_METRIC_ADD, "A\nB", 1), HILUM_OK);
    assert_int_equal(hl_metrics_change(metrics, "acme-x", gauge, HL_METRIC_SET, NULL, 7), HILUM_OK);
    assert_int_equal(hl_metrics_change(metrics, "acme-x", gauge, HL_METRIC_ADD, NULL, -9),
                     HILUM_OK);
    for (int i = 1; i < 8; i += 2)
        assert_int_equal(change(histogram, HL_METRIC_ADD, "A", i), HILUM_OK);
    assert_text("# TYPE hilum_plugin_acme_x_a_total counter\n"
                "hilum_plugin_acme_x_a_total{peer=\"A_B\",n=\"2\"} 2.5\n"
                "# TYPE hilum_plugin_acme_x_b gauge\n"
                "hilum_plugin_acme_x_b -2\n"
                "# TYPE hilum_plugin_acme_x_c histogram\n"
                "hilum_plugin_acme_x_c_bucket{peer=\"A\",le=\"1\"} 1\n"
                "hilum_plugin_acme_x_c_bucket{peer=\"A\",le=\"5\"} 3\n"
                "hilum_plugin_acme_x_c_bucket{peer=\"A\",le=\"+Inf\"} 4\n"
                "hilum_plugin_acme_x_c_sum{peer=\"A\"} 16\n"
                "hilum_plugin_acme_x_c_count{peer=\"A\"} 4\n");
}

static void metrics__of_many_labels_are_counted_as_others(void **state)
{
    (void)state;
    uint32_t number;
    struct hl_buf text = {0};
    char label[200];
    assert_int_equal(define("a_total", HILUM_METRIC_COUNTER, "peer", &number), HILUM_OK);
    for (int i = 0; i < HL_METRIC_SERIES + 50; i++) {
        snprintf(label, sizeof label, "%d", i);
        assert_int_equal(change(number, HL_METRIC_ADD, label, 1), HILUM_OK);
    }
    memset(label, 'x', sizeof label - 1);
    label[sizeof label - 1] = '\0';
    assert_int_equal(change(number, HL_METRIC_ADD, "255", 1), HILUM_OK);
    assert_int_equal(change(number, HL_METRIC_ADD, label, 1), HILUM_OK);
    hl_metrics_write(metrics, &text);
    assert_non_null(strstr(hl_buf_str(&text), "{peer=\"other\"} 51\n"));
    assert_non_null(strstr(hl_buf_str(&text), "{peer=\"255\"} 2\n"));
    hl_buf_fini(&text);
}

static void metrics__that_make_no_sense_are_refused(void **state)
{
    (void)state;
    uint32_t a, b, number;
    assert_int_equal(define("a", HILUM_METRIC_COUNTER, "x", &a), HILUM_OK);
    assert_int_equal(define("a", HILUM_METRIC_COUNTER, "x", &b), HILUM_OK);
    assert_int_equal(a, b);
    assert_int_equal(define("a", HILUM_METRIC_GAUGE, "x", &b), HILUM_ECONFLICT);
    assert_int_equal(define("A", HILUM_METRIC_GAUGE, NULL, &b), HILUM_EINVAL);
    assert_int_equal(define("", HILUM_METRIC_GAUGE, NULL, &b), HILUM_EINVAL);
    assert_int_equal(define("b", 9, NULL, &b), HILUM_EINVAL);
    assert_int_equal(define("b", HILUM_METRIC_GAUGE, "x,x", &b), HILUM_EINVAL);
    assert_int_equal(define("b", HILUM_METRIC_GAUGE, "le", &b), HILUM_EINVAL);
    assert_int_equal(define("b", HILUM_METRIC_GAUGE, "a,b,c,d,e", &b), HILUM_EINVAL);
    assert_int_equal(define("b", HILUM_METRIC_GAUGE, "a\"", &b), HILUM_EINVAL);
    assert_int_equal(change(a, HL_METRIC_ADD, "x", -1), HILUM_EINVAL);
    assert_int_equal(change(a, HL_METRIC_ADD, "x", (double)NAN), HILUM_EINVAL);
    assert_int_equal(change(a, HL_METRIC_SET, "x", 1), HILUM_EINVAL);
    assert_int_equal(change(99, HL_METRIC_ADD, "x", 1), HILUM_ENOTFOUND);
    assert_int_equal(hl_metrics_change(metrics, "other", a, HL_METRIC_ADD, NULL, 1),
                     HILUM_ENOTFOUND);
    const struct hilum_metric same = {
        .size = sizeof same, .type = HILUM_METRIC_COUNTER, .name = "x_a"};
    assert_int_equal(hl_metrics_define(metrics, "acme", &same, &number), HILUM_ECONFLICT);
    hilum_rc rc = HILUM_OK;
    for (int i = 0; rc == HILUM_OK && i < 100; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%d", i);
        rc = define(name, HILUM_METRIC_GAUGE, NULL, &b);
    }
    assert_int_equal(rc, HILUM_EFULL);
}

#define LOOP(f)    cmocka_unit_test_setup_teardown(f, setup, teardown)
#define METRICS(f) cmocka_unit_test_setup_teardown(f, metrics_setup, metrics_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP(loop__tells_what_can_be_read_until_it_has_been),
        LOOP(loop__is_quiet_while_nothing_is_asked),
        LOOP(loop__unwatch_waits_for_a_call_under_way),
        LOOP(loop__what_was_taken_away_is_not_told),
        LOOP(loop__is_bounded_and_says_why_not),
        LOOP(loop__runs_tasks_in_their_order_and_forgets),
        METRICS(metrics__are_written_as_prometheus_reads_them),
        METRICS(metrics__of_many_labels_are_counted_as_others),
        METRICS(metrics__that_make_no_sense_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
