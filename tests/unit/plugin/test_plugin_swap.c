/* A plugin is replaced under those who use it: no call is lost, none reaches an old version after it ended, and a
 * version that fails goes back. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/plugin/plugin.h"

static struct hl_bus *bus;
static struct hl_config *config;
static struct hl_plugins *plugins;
static struct hl_faults faults;
static char directory[64];
static const struct hilum_codec *codec;
static void *instance;
static char last_event[256];
static pthread_mutex_t event_lock = PTHREAD_MUTEX_INITIALIZER;

static int setup(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/hilum-test-XXXXXX");
    faults = (struct hl_faults){0};
    plugins = NULL;
    config = NULL;
    last_event[0] = '\0';
    return mkdtemp(directory) ? hl_bus_new(&bus) : -1;
}

static int teardown(void **state)
{
    char command[128];
    (void)state;
    if (plugins)
        hl_plugins_drain(plugins, 5000);
    hl_plugins_close(plugins);
    hl_config_unref(config);
    hl_bus_free(bus);
    hl_faults_fini(&faults);
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    return system(command);
}

static hilum_rc publish(void *arg, const char *plugin, const char *event, const char *fields_json)
{
    (void)arg;
    (void)plugin;
    pthread_mutex_lock(&event_lock);
    snprintf(last_event, sizeof last_event, "%s %s", event, fields_json);
    pthread_mutex_unlock(&event_lock);
    return HILUM_OK;
}

static void load_config(const char *entries)
{
    char path[128];
    snprintf(path, sizeof path, "%s/test.cfg", directory);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "worker_program = \"%s\"; plugins = ( %s );\n", WORKER_PROGRAM, entries);
    assert_int_equal(fclose(f), 0);
    struct hl_config_paths paths = {.main = path};
    hl_config_unref(config);
    assert_int_equal(hl_config_load(&paths, &faults, &config), HILUM_OK);
}

static void bring_up(const char *version, const char *extra)
{
    char entry[512];
    snprintf(entry, sizeof entry,
             "{ name = \"versioned\"; file = \"%s/version-%s.so\"; trust = \"in-process\"; %s }",
             TEST_PLUGIN_DIR, version, extra);
    load_config(entry);
    assert_int_equal(hl_plugins_open(config, "/nowhere", directory, bus, &faults, &plugins),
                     HILUM_OK);
    assert_int_equal(hl_plugins_init(plugins, &faults), HILUM_OK);
    hl_plugins_set_publish(plugins, publish, NULL);
    assert_int_equal(hl_plugins_start(plugins), HILUM_OK);
    /* Looked up once and held, as callers do. */
    codec = hl_plugins_codec_for(plugins, "1.2.3.4", HILUM_CODEC_DECODES, 0, &instance);
    assert_non_null(codec);
}

static hilum_rc swap(const char *version)
{
    char file[256];
    snprintf(file, sizeof file, "%s/version-%s.so", TEST_PLUGIN_DIR, version);
    return hl_plugins_swap(plugins, "versioned", file);
}

static void assert_swaps(const char *version)
{
    hilum_rc rc = swap(version);
    if (rc != HILUM_OK)
        fail_msg("swap to %s: %s: %s", version, hl_rc_name(rc), hl_error());
}

static void assert_refused(hilum_rc rc, hilum_rc expected, const char *part)
{
    if (rc != expected || !strstr(hl_error(), part))
        fail_msg("%s: %s; expected %s with \"%s\"", hl_rc_name(rc), hl_error(),
                 hl_rc_name(expected), part);
}

/* The version that answers, or a negative code. */
static int answer(void)
{
    unsigned char byte = 0;
    struct hilum_frame out = {.size = sizeof out};
    const struct hilum_fragment fragment = {"x", 1};
    const struct hilum_frame declared = {.size = sizeof declared,
                                         .columns = 1,
                                         .rows = 1,
                                         .samples = 1,
                                         .bits_allocated = 8,
                                         .bits_stored = 8};
    const struct hilum_coded coded = {.size = sizeof coded,
                                      .n_fragments = 1,
                                      .fragments = &fragment,
                                      .transfer_syntax = "1.2.3.4",
                                      .declared = &declared};
    hilum_rc rc = codec->decode(instance, &coded, NULL, &byte, 1, &out);
    return rc < 0 ? rc : byte;
}

static hilum_rc collect(void *ctx, const void *bytes, uint64_t n)
{
    memcpy(ctx, bytes, n);
    return HILUM_OK;
}

static int command_answer(const struct hilum_decl *decl)
{
    char text[16] = "";
    struct hilum_call call = {
        .size = sizeof call,
        .arguments = "{}",
        .result = {.size = sizeof call.result, .write = collect, .ctx = text}};
    hilum_rc rc = decl->run(decl->arg, &call);
    return rc < 0 ? rc : atoi(text);
}

static int hook_answer(void)
{
    struct hl_verdict verdict;
    hilum_event *event = hl_event_new("instance.received");
    hl_bus_dispatch(bus, event, HILUM_FILTER, &verdict);
    hl_event_free(event);
    return verdict.verdict == HILUM_HOLD ? atoi(verdict.reason) : -1;
}

static void assert_listed(const char *part)
{
    struct hl_buf json = {0};
    hl_plugins_list(plugins, &json);
    if (!strstr(hl_buf_str(&json), part))
        fail_msg("\"%s\" is not in %s", part, hl_buf_str(&json));
    hl_buf_fini(&json);
}

static void swap__all_it_gave_changes_under_those_who_hold_it(void **state)
{
    (void)state;
    const char *owner;
    bring_up("one", "");
    const struct hilum_decl *decl =
        hl_plugins_decl_find(plugins, HILUM_DECL_COMMAND, "versioned ask", &owner);
    assert_non_null(decl);
    assert_int_equal(answer(), 1);
    assert_swaps("two");
    assert_int_equal(answer(), 2);
    assert_int_equal(command_answer(decl), 2);
    assert_int_equal(hook_answer(), 2);
    assert_listed("\"version\":\"two\"");
    assert_listed("\"on_probation\":true");
    assert_non_null(strstr(last_event, "plugin.swapped"));
    assert_non_null(strstr(last_event, "version two after one"));
    assert_swaps("one");
    assert_int_equal(answer(), 1);
    assert_swaps("serial");
    assert_int_equal(answer(), 3);
}

static void swap__is_kept_after_200_good_calls(void **state)
{
    (void)state;
    bring_up("one", "");
    assert_swaps("two");
    for (int i = 0; i < 210; i++)
        assert_int_equal(answer(), 2);
    for (int64_t end = hl_mono_ms() + 10000; hl_mono_ms() < end; usleep(1000)) {
        struct hl_buf json = {0};
        hl_plugins_list(plugins, &json);
        bool is_over = !strstr(hl_buf_str(&json), "on_probation");
        hl_buf_fini(&json);
        if (is_over)
            break;
    }
    assert_listed("\"calls\":210,\"errors\":0");
    assert_int_equal(answer(), 2);
}

static void swap__a_version_that_fails_goes_back(void **state)
{
    (void)state;
    bring_up("one", "");
    for (int i = 0; i < 20; i++)
        assert_int_equal(answer(), 1);
    assert_swaps("bad");
    int errors = 0;
    for (int64_t end = hl_mono_ms() + 10000; hl_mono_ms() < end; usleep(1000)) {
        int got = answer();
        if (got == 1)
            break;
        assert_int_equal(got, HILUM_EIO);
        errors++;
    }
    assert_in_range(errors, 5, 1000);
    assert_int_equal(answer(), 1);
    assert_int_equal(hook_answer(), 1);
    /* Told after the gates were turned. */
    for (int64_t end = hl_mono_ms() + 10000; hl_mono_ms() < end; usleep(1000)) {
        pthread_mutex_lock(&event_lock);
        bool is_told = strstr(last_event, "version bad rolled back to one") != NULL;
        pthread_mutex_unlock(&event_lock);
        if (is_told)
            break;
    }
    assert_non_null(strstr(last_event, "version bad rolled back to one"));
    assert_swaps("two");
    assert_int_equal(answer(), 2);
}

/* "Not for me" is an answer, not a failure. */
static void swap__refusals_do_not_count(void **state)
{
    (void)state;
    bring_up("one", "");
    assert_swaps("refusing");
    for (int i = 0; i < 50; i++)
        assert_int_equal(answer(), HILUM_EUNSUP);
    assert_listed("\"version\":\"refusing\"");
    assert_listed("\"calls\":50,\"errors\":0");
}

static void swap__what_does_not_fit_changes_nothing(void **state)
{
    (void)state;
    bring_up("one", "");
    assert_refused(swap("failing"), HILUM_EINVAL, "no init today");
    assert_refused(swap("restarting"), HILUM_EUNSUP, "says swap = restart");
    assert_refused(swap("speaking"), HILUM_EUNSUP, "\"versioned tell\" is declared by version");
    assert_refused(swap("nowhere"), HILUM_EINVAL, "no such file");
    assert_refused(hl_plugins_swap(plugins, "nobody", NULL), HILUM_ENOTFOUND, "no such plugin");
    assert_int_equal(answer(), 1);
    assert_int_equal(hook_answer(), 1);
    assert_swaps("two");
    assert_int_equal(answer(), 2);
}

static void swap__in_workers(void **state)
{
    (void)state;
    bring_up("plain-one", "isolation = \"process\";");
    assert_int_equal(answer(), 1);
    assert_swaps("plain-two");
    assert_int_equal(answer(), 2);
    assert_swaps("plain-one");
    assert_int_equal(answer(), 1);
}

static void disable__and_enable(void **state)
{
    (void)state;
    bring_up("one", "");
    assert_int_equal(hl_plugins_disable(plugins, "versioned"), HILUM_OK);
    assert_refused(answer(), HILUM_ECLOSED, "hilum plugin enable versioned");
    assert_int_equal(hook_answer(), -1);
    assert_listed("\"state\":\"disabled\"");
    void *none;
    assert_null(hl_plugins_codec_for(plugins, "1.2.3.4", HILUM_CODEC_DECODES, 0, &none));
    assert_int_equal(hl_plugins_enable(plugins, "versioned"), HILUM_OK);
    assert_int_equal(answer(), 1);
    assert_int_equal(hook_answer(), 1);
}

static void drain__and_load(void **state)
{
    (void)state;
    bring_up("one", "");
    assert_refused(hl_plugins_load(plugins, config, "versioned"), HILUM_EEXISTS, "plugin swap");
    assert_int_equal(hl_plugins_drain_one(plugins, "versioned"), HILUM_OK);
    assert_int_equal(answer(), HILUM_ECLOSED);
    assert_listed("\"state\":\"stopped\"");
    assert_int_equal(hl_plugins_load(plugins, config, "versioned"), HILUM_OK);
    /* Those who held it from before reach it again. */
    assert_int_equal(answer(), 1);
    assert_int_equal(hook_answer(), 1);
}

static void load__one_that_was_added_since(void **state)
{
    (void)state;
    char entries[1024];
    const struct hilum_cap *cap;
    void *self;
    bring_up("one", "");
    assert_refused(hl_plugins_load(plugins, config, "test-good"), HILUM_ENOTFOUND,
                   "not in the configuration");
    snprintf(
        entries, sizeof entries,
        "{ name = \"versioned\"; file = \"%s/version-one.so\"; trust = \"in-process\"; }, { name = "
        "\"test-other\"; file = \"%s/test-other.so\"; trust = \"in-process\"; }",
        TEST_PLUGIN_DIR, TEST_PLUGIN_DIR);
    load_config(entries);
    assert_int_equal(hl_plugins_load(plugins, config, "test-other"), HILUM_OK);
    assert_int_equal(hl_plugins_acquire(plugins, HILUM_CAP_STORE, "disk", &cap, &self), HILUM_OK);
    hl_plugins_unpin(plugins, cap);
    /* The kernel may hold a store for as long as it runs. */
    assert_refused(hl_plugins_drain_one(plugins, "test-other"), HILUM_EUNSUP, "provides a store");
    assert_refused(hl_plugins_swap(plugins, "test-other", NULL), HILUM_EUNSUP, "provides a store");
}

static void required__is_not_taken_away(void **state)
{
    (void)state;
    bring_up("one", "required = true;");
    assert_refused(hl_plugins_disable(plugins, "versioned"), HILUM_EDENIED, "required");
    assert_refused(hl_plugins_drain_one(plugins, "versioned"), HILUM_EDENIED, "required");
    assert_swaps("two");
    assert_int_equal(answer(), 2);
}

/* ---- under load ---- */

static atomic_bool has_ended;
static atomic_int expected;          /* the version swapped to last */
static atomic_uint n_begun, n_ended; /* swaps */

struct asked {
    unsigned answers, missing, old;
};

/* While no swap is under way an answer is the version's swapped to last: an old one would be a call that was led past
 * the gate. */
static void *ask_all_the_time(void *arg)
{
    struct asked *asked = arg;
    while (!atomic_load(&has_ended)) {
        unsigned begun = atomic_load(&n_begun);
        bool is_quiet = atomic_load(&n_ended) == begun;
        int wanted = atomic_load(&expected), got = answer();
        asked->answers++;
        asked->missing += got != 1 && got != 2;
        asked->old += is_quiet && atomic_load(&n_begun) == begun && got != wanted;
    }
    return NULL;
}

static long rss_kib(void)
{
    long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%ld %ld", &pages, &resident) != 2)
        resident = 0;
    if (f)
        fclose(f);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static void load__no_call_is_lost_and_none_comes_late(void **state)
{
    (void)state;
    int swaps = getenv("HILUM_LONG") ? 1000 : 100;
    pthread_t threads[3];
    struct asked asked[3] = {{0}};
    bring_up("one", "");
    atomic_store(&has_ended, false);
    atomic_store(&expected, 1);
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, ask_all_the_time, &asked[i]);
    /* A version that is called after its fini aborts or is a use after free. */
    for (int i = 0; i < swaps; i++) {
        atomic_fetch_add(&n_begun, 1);
        assert_swaps(i % 2 ? "one" : "two");
        atomic_store(&expected, i % 2 ? 1 : 2);
        atomic_fetch_add(&n_ended, 1);
        assert_int_equal(answer(), atomic_load(&expected));
        usleep(200); /* the others' turn */
    }
    atomic_store(&has_ended, true);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(asked[i].missing, 0);
        assert_int_equal(asked[i].old, 0);
    }
    print_message("%d swaps, %u answers, %ld KiB resident\n", swaps,
                  asked[0].answers + asked[1].answers + asked[2].answers, rss_kib());
}

/* A build that differs in a byte is another object to the loader and stays mapped. */
static void make_build(int i, char *file, size_t size)
{
    char command[512];
    snprintf(file, size, "%s/build-%d.so", directory, i);
    snprintf(command, sizeof command, "cp '%s/version-%s.so' '%s' && printf '%%d' %d >>'%s'",
             TEST_PLUGIN_DIR, i % 2 ? "one" : "two", file, i, file);
    assert_int_equal(system(command), 0);
}

static void load__distinct_builds_cost_what_is_mapped(void **state)
{
    (void)state;
    enum { FIRST = 5 };
    int builds = getenv("HILUM_LONG") ? 50 : 15;
    char file[128];
    long before = 0;
    bring_up("one", "");
    for (int i = 0; i < builds; i++) {
        make_build(i, file, sizeof file);
        assert_int_equal(hl_plugins_swap(plugins, "versioned", file), HILUM_OK);
        assert_int_equal(answer(), i % 2 ? 1 : 2);
        if (i == FIRST)
            before = rss_kib();
    }
    long each = (rss_kib() - before) / (builds - FIRST);
    print_message("%d builds: %ld KiB resident, %ld KiB each\n", builds, rss_kib(), each);
    assert_in_range(each < 0 ? 0 : each, 0, 2048);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(swap__all_it_gave_changes_under_those_who_hold_it),
        T(swap__is_kept_after_200_good_calls),
        T(swap__a_version_that_fails_goes_back),
        T(swap__refusals_do_not_count),
        T(swap__what_does_not_fit_changes_nothing),
        T(swap__in_workers),
        T(disable__and_enable),
        T(drain__and_load),
        T(load__one_that_was_added_since),
        T(required__is_not_taken_away),
        T(load__no_call_is_lost_and_none_comes_late),
        T(load__distinct_builds_cost_what_is_mapped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
