/* What the host does for plugins beside hooks: timers, child processes, values. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <pthread.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/plugin/child.h"
#include "core/plugin/plugin.h"
#include "core/plugin/timers.h"

/* ---- timers ---- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t more;
    char order[64];
    unsigned n;
} due = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};

static void on_due(void *due_arg, void *owner, void (*run)(void *arg), void *arg)
{
    (void)due_arg, (void)owner, (void)run;
    pthread_mutex_lock(&due.lock);
    due.order[due.n++] = *(const char *)arg;
    pthread_cond_signal(&due.more);
    pthread_mutex_unlock(&due.lock);
}

static void wait_for_due(unsigned n)
{
    pthread_mutex_lock(&due.lock);
    while (due.n < n)
        pthread_cond_wait(&due.more, &due.lock);
    pthread_mutex_unlock(&due.lock);
}

static struct hl_timers *timers_new(void)
{
    struct hl_timers *timers = NULL;
    memset(due.order, 0, sizeof due.order);
    due.n = 0;
    assert_int_equal(hl_timers_new(on_due, NULL, &timers), HILUM_OK);
    return timers;
}

static void timers__go_off_in_their_order_and_once(void **state)
{
    (void)state;
    struct hl_timers *timers = timers_new();
    uint64_t id[5];
    int owner;
    int64_t began = hl_mono_ms();
    hl_timers_set(timers, &owner, 600, NULL, "c", &id[0]); /* far apart: valgrind is slow */
    hl_timers_set(timers, &owner, 0, NULL, "a", &id[1]);
    hl_timers_set(timers, &owner, 300, NULL, "b", &id[2]);
    hl_timers_set(timers, &owner, 600, NULL, "d", &id[3]);
    hl_timers_set(timers, &owner, 60000, NULL, "x", &id[4]);
    assert_int_equal(hl_timers_cancel(timers, &began, id[4]), HILUM_ENOTFOUND); /* another's */
    assert_int_equal(hl_timers_cancel(timers, &owner, id[4]), HILUM_OK);
    assert_int_equal(hl_timers_cancel(timers, &owner, id[4]), HILUM_ENOTFOUND);
    wait_for_due(4);
    assert_in_range(hl_mono_ms() - began, 600, 20000);
    assert_string_equal(due.order, "abcd");
    assert_int_equal(hl_timers_cancel(timers, &owner, id[0]), HILUM_ENOTFOUND);
    hl_timers_free(timers);
}

static void timers__of_one_owner_are_forgotten_together(void **state)
{
    (void)state;
    struct hl_timers *timers = timers_new();
    uint64_t id;
    int gone, stays;
    for (unsigned i = 0; i < 20; i++)
        hl_timers_set(timers, i % 2 ? &gone : &stays, 10, NULL, i % 2 ? "g" : "s", &id);
    hl_timers_forget(timers, &gone);
    wait_for_due(10);
    hl_timers_set(timers, &stays, 5, NULL, "s", &id);
    wait_for_due(11);
    assert_null(strchr(due.order, 'g'));
    hl_timers_free(timers);
}

static void timers__are_bounded_and_end_with_some_still_set(void **state)
{
    (void)state;
    struct hl_timers *timers = timers_new();
    uint64_t id;
    for (unsigned i = 0; i < HL_TIMERS_MAX; i++)
        assert_int_equal(hl_timers_set(timers, timers, 3600000, NULL, "n", &id), HILUM_OK);
    assert_int_equal(hl_timers_set(timers, timers, 1, NULL, "n", &id), HILUM_EFULL);
    hl_timers_free(timers);
    assert_int_equal(due.n, 0);
}

/* ---- child processes ---- */

static hilum_rc keep(void *ctx, const void *bytes, uint64_t n)
{
    hl_buf_add(ctx, bytes, (size_t)n);
    return HILUM_OK;
}

/* /bin/sh with a script; the answer's outputs. */
static hilum_rc shell(const char *script, struct hilum_child *child, struct hl_buf *out,
                      struct hl_buf *err, int32_t *status)
{
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    struct hilum_sink output = {.size = sizeof output, .write = keep, .ctx = out};
    struct hilum_sink errors = {.size = sizeof errors, .write = keep, .ctx = err};
    child->size = sizeof *child;
    child->argv = argv;
    child->output = &output;
    child->errors = err ? &errors : NULL;
    return hl_child_run(child, status);
}

static void child__is_fed_and_heard_on_both_outputs(void **state)
{
    (void)state;
    size_t n = 3000000; /* far more than a pipe holds, both ways at once */
    char *input = malloc(n);
    struct hl_buf out = {0}, err = {0};
    int32_t status = -1;
    memset(input, 'x', n);
    struct hilum_child child = {.input = input, .n = n};
    assert_int_equal(shell("cat; echo said >&2; exit 7", &child, &out, &err, &status), HILUM_OK);
    assert_int_equal(status, 7);
    assert_int_equal(out.len, n);
    assert_memory_equal(out.data, input, n);
    assert_string_equal(hl_buf_str(&err), "said\n");
    hl_buf_fini(&out);
    hl_buf_fini(&err);
    free(input);
}

static void child__has_nothing_of_ours(void **state)
{
    (void)state;
    struct hl_buf out = {0};
    struct hilum_child child = {0};
    int32_t status = -1;
    int leak = open("/dev/null", 0);
    setenv("HILUM_TEST_SECRET", "word", 1);
    assert_int_equal(shell("pwd; echo ${HILUM_TEST_SECRET-none}; ls /proc/self/fd | wc -l", &child,
                           &out, NULL, &status),
                     HILUM_OK);
    assert_string_equal(hl_buf_str(&out), "/\nnone\n4\n"); /* three and ls's own */
    close(leak);
    hl_buf_fini(&out);
}

/* Dead, or a zombie that is nobody's to bury. */
static bool is_dead_soon(int pid)
{
    char path[64], line[256];
    assert_true(pid > 0);
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    for (int64_t end = hl_mono_ms() + 10000; hl_mono_ms() < end;) {
        FILE *f = fopen(path, "r");
        char *read = f ? fgets(line, sizeof line, f) : NULL;
        if (f)
            fclose(f);
        if (!read || strstr(line, ") Z"))
            return true;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    kill(pid, SIGKILL);
    return false;
}

static void child__past_its_deadline_ends_with_all_its_children(void **state)
{
    (void)state;
    struct hl_buf out = {0};
    struct hilum_child child = {.deadline_ms = 300};
    int32_t status = -1;
    int64_t began = hl_mono_ms();
    assert_int_equal(shell("sleep 1000 & echo $!; sleep 1000", &child, &out, NULL, &status),
                     HILUM_ETIMEDOUT);
    assert_in_range(hl_mono_ms() - began, 300, 20000);
    assert_true(is_dead_soon(atoi(hl_buf_str(&out))));
    hl_buf_fini(&out);
    struct hl_buf none = {0};
    struct hilum_child mute = {.deadline_ms = 300}; /* it closes its outputs and goes on */
    assert_int_equal(shell("exec >&- 2>&-; sleep 1000", &mute, &none, NULL, &status),
                     HILUM_ETIMEDOUT);
}

static hilum_rc leaves(void *arg)
{
    return --*(int *)arg > 0 ? HILUM_OK : hl_fail(HILUM_ECLOSED, "gone");
}

static void child__nobody_waits_for_ends(void **state)
{
    (void)state;
    struct hl_buf out = {0};
    int left = 3, status = -1;
    struct hilum_child child = {.go_on = leaves, .go_on_arg = &left};
    assert_int_equal(shell("echo $$; sleep 1000", &child, &out, NULL, &status), HILUM_ECLOSED);
    assert_true(is_dead_soon(atoi(hl_buf_str(&out))));
    hl_buf_fini(&out);
}

/* One that has closed its outputs is heard of no more, so the program is done before it. */
static void child__that_is_done_leaves_no_children_behind(void **state)
{
    (void)state;
    struct hl_buf out = {0};
    struct hilum_child child = {0};
    int32_t status = -1;
    assert_int_equal(
        shell("sleep 1000 >/dev/null 2>&1 & echo $!; exit 3", &child, &out, NULL, &status),
        HILUM_OK);
    assert_int_equal(status, 3);
    assert_true(is_dead_soon(atoi(hl_buf_str(&out))));
    hl_buf_fini(&out);
}

static void child__is_bounded_in_what_it_prints_and_takes(void **state)
{
    (void)state;
    struct hl_buf out = {0};
    struct hilum_child talker = {.output_max = 100000}, eater = {.memory_max = 100 << 20},
                       dier = {0};
    int32_t status = -1;
    assert_int_equal(
        shell("while :; do echo yyyyyyyyyyyyyyyyyyyy; done", &talker, &out, NULL, &status),
        HILUM_EFULL);
    assert_true(out.len <= 100000);
    assert_int_equal(
        shell("exec /usr/bin/perl -e '$x = q(a) x 300000000'", &eater, &out, NULL, &status),
        HILUM_OK);
    assert_int_not_equal(status, 0);
    assert_int_equal(shell("kill -9 $$", &dier, &out, NULL, &status), HILUM_OK);
    assert_int_equal(status, HILUM_CHILD_SIGNAL + SIGKILL);
    const char *const nothing[] = {"/nowhere/at/all", NULL};
    struct hilum_child missing = {.size = sizeof missing, .argv = nothing};
    assert_int_equal(hl_child_run(&missing, &status), HILUM_ENOTFOUND);
    hl_buf_fini(&out);
}

/* ---- through the host's table ---- */

static struct hl_buf stored; /* "plugin key value" last put */

static hilum_rc value_put(void *arg, const char *plugin, const char *key, const char *value)
{
    (void)arg;
    stored.len = 0;
    hl_buf_printf(&stored, "%s %s %s", plugin, key, value);
    return HILUM_OK;
}

static hilum_rc value_get(void *arg, const char *plugin, const char *key, struct hl_buf *out)
{
    (void)arg;
    hl_buf_printf(out, "%s of %s", key, plugin);
    return HILUM_OK;
}

static hilum_rc start_job(void *arg, const char *type, const char *arguments_json, int64_t *job)
{
    (void)arg;
    assert_string_equal(type, "test-user-job");
    assert_string_equal(arguments_json, "{\"a\": 1}");
    *job = 5;
    return HILUM_OK;
}

static void host__lends_timers_values_and_listed_programs(void **state)
{
    (void)state;
    char directory[] = "/tmp/hilum-test-XXXXXX", path[64], command[80];
    struct hl_bus *bus;
    struct hl_config *config = NULL;
    struct hl_plugins *plugins = NULL;
    struct hl_faults faults = {0};
    struct hl_buf answer = {0};
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/test.cfg", directory);
    FILE *f = fopen(path, "w");
    fputs("plugins = ( { name = \"test-user\"; programs = ( \"/bin/echo\" ); } );\n", f);
    fclose(f);
    struct hl_config_paths paths = {.main = path};
    assert_int_equal(hl_config_load(&paths, &faults, &config), HILUM_OK);
    assert_int_equal(hl_bus_new(&bus), HILUM_OK);
    assert_int_equal(hl_plugins_open(config, TEST_PLUGIN_DIR, directory, bus, &faults, &plugins),
                     HILUM_OK);
    const struct hl_host_services services = {
        .value_put = value_put, .value_get = value_get, .start_job = start_job};
    hl_plugins_set_services(plugins, &services);
    assert_int_equal(hl_plugins_init(plugins, &faults), HILUM_OK);
    assert_int_equal(hl_plugins_start(plugins), HILUM_OK);
    const struct hilum_decl *decl =
        hl_plugins_decl_find(plugins, HILUM_DECL_COMMAND, "test-user run", NULL);
    assert_non_null(decl);
    struct hilum_call call = {
        .size = sizeof call, .result = {.size = sizeof call.result, .write = keep, .ctx = &answer}};
    assert_int_equal(decl->run(decl->arg, &call), HILUM_OK);
    /* echo ran, sh was denied, the timer went off, a far one was cancelled, the value came back */
    assert_string_equal(hl_buf_str(&answer),
                        "hello\n -7 timer 0 -3 last-run of test-user metric 0 loop 0 job 0 -7");
    struct hl_buf numbers = {0};
    hl_plugins_metrics(plugins, &numbers);
    assert_non_null(strstr(hl_buf_str(&numbers), "hilum_plugin_test_user_depth 12\n"));
    hl_buf_fini(&numbers);
    assert_string_equal(hl_buf_str(&stored), "test-user last-run yesterday");
    hl_plugins_drain(plugins, 1000); /* a timer an hour away keeps nobody */
    hl_plugins_close(plugins);
    hl_config_unref(config);
    hl_bus_free(bus);
    hl_faults_fini(&faults);
    hl_buf_fini(&answer);
    hl_buf_fini(&stored);
    snprintf(command, sizeof command, "rm -r %s", directory);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers__go_off_in_their_order_and_once),
        cmocka_unit_test(timers__of_one_owner_are_forgotten_together),
        cmocka_unit_test(timers__are_bounded_and_end_with_some_still_set),
        cmocka_unit_test(child__is_fed_and_heard_on_both_outputs),
        cmocka_unit_test(child__has_nothing_of_ours),
        cmocka_unit_test(child__past_its_deadline_ends_with_all_its_children),
        cmocka_unit_test(child__that_is_done_leaves_no_children_behind),
        cmocka_unit_test(child__nobody_waits_for_ends),
        cmocka_unit_test(child__is_bounded_in_what_it_prints_and_takes),
        cmocka_unit_test(host__lends_timers_values_and_listed_programs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
