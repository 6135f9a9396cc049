/* swap = handover: a plugin with a port of its own is replaced, and nobody who connects is turned away.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/plugin/plugin.h"

static struct hl_bus *bus;
static struct hl_config *config;
static struct hl_plugins *plugins;
static struct hl_faults faults;
static char directory[64];
static const struct hilum_decl *tell;
static _Atomic uint16_t port;

static hilum_rc keep(void *ctx, const void *bytes, uint64_t n)
{
    hl_buf_add(ctx, bytes, n);
    return HILUM_OK;
}

/* The version that answers the command, 0 where it fails; learns the port. */
static int command(void)
{
    struct hl_buf answer = {0};
    struct hilum_call call = {
        .size = sizeof call, .result = {.size = sizeof call.result, .write = keep, .ctx = &answer}};
    int version = 0;
    if (tell->run(tell->arg, &call) == HILUM_OK) {
        version = answer.data[0];
        port = (uint16_t)((unsigned char)answer.data[1] << 8 | (unsigned char)answer.data[2]);
    }
    hl_buf_fini(&answer);
    return version;
}

static int setup(void **state)
{
    char path[128];
    (void)state;
    strcpy(directory, "/tmp/hilum-test-XXXXXX");
    faults = (struct hl_faults){0};
    if (!mkdtemp(directory) || hl_bus_new(&bus) != HILUM_OK)
        return -1;
    snprintf(path, sizeof path, "%s/test.cfg", directory);
    FILE *f = fopen(path, "w");
    fprintf(f, "plugins = ( { name = \"door\"; file = \"%s/door-one.so\"; } );\n", TEST_PLUGIN_DIR);
    fclose(f);
    struct hl_config_paths paths = {.main = path};
    assert_int_equal(hl_config_load(&paths, &faults, &config), HILUM_OK);
    assert_int_equal(hl_plugins_open(config, "/nowhere", directory, bus, &faults, &plugins),
                     HILUM_OK);
    assert_int_equal(hl_plugins_init(plugins, &faults), HILUM_OK);
    assert_int_equal(hl_plugins_start(plugins), HILUM_OK);
    tell = hl_plugins_decl_find(plugins, HILUM_DECL_COMMAND, "door tell", NULL);
    assert_non_null(tell);
    assert_int_equal(command(), 1);
    return 0;
}

static int teardown(void **state)
{
    char line[128];
    (void)state;
    if (plugins)
        hl_plugins_drain(plugins, 5000);
    hl_plugins_close(plugins);
    hl_config_unref(config);
    hl_bus_free(bus);
    hl_faults_fini(&faults);
    snprintf(line, sizeof line, "rm -rf '%s'", directory);
    return system(line);
}

static hilum_rc swap(const char *version)
{
    char file[256];
    snprintf(file, sizeof file, "%s/door-%s.so", TEST_PLUGIN_DIR, version);
    return hl_plugins_swap(plugins, "door", file);
}

/* The byte the door says; 0: hung up without one; -1: turned away. */
static int knock(void)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    char byte = 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), said = -1;
    if (connect(fd, (const struct sockaddr *)&to, sizeof to) == 0)
        said = recv(fd, &byte, 1, 0) == 1 ? byte : 0;
    close(fd);
    return said;
}

static atomic_bool is_over;
static atomic_uint n_said[8], n_lost;

static void *knock_often(void *arg)
{
    (void)arg;
    while (!atomic_load(&is_over)) {
        int said = knock();
        if (said > 0 && said < 8)
            atomic_fetch_add(&n_said[said], 1);
        else
            atomic_fetch_add(&n_lost, 1);
    }
    return NULL;
}

static void handover__turns_nobody_away(void **state)
{
    (void)state;
    pthread_t threads[4];
    atomic_store(&is_over, false);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, knock_often, NULL);
    for (int i = 0; i < 10; i++) {
        usleep(20000);
        uint16_t before = port;
        if (swap(i % 2 ? "one" : "two") != HILUM_OK)
            fail_msg("%s", hl_error());
        assert_int_equal(command(), i % 2 ? 1 : 2);
        assert_int_equal(port, before); /* the same socket */
        assert_int_equal(knock(), i % 2 ? 1 : 2);
    }
    atomic_store(&is_over, true);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&n_lost), 0);
    assert_true(atomic_load(&n_said[1]) > 10 && atomic_load(&n_said[2]) > 10);
}

static void handover__a_version_that_cannot_open_leaves_the_old_one(void **state)
{
    (void)state;
    uint16_t before = port;
    assert_int_not_equal(swap("failing"), HILUM_OK);
    assert_non_null(strstr(hl_error(), "no door today"));
    assert_int_equal(command(), 1);
    assert_int_equal(port, before);
    assert_int_equal(knock(), 1);
    assert_int_equal(swap("two"), HILUM_OK);
    assert_int_equal(knock(), 2);
}

static void handover__a_version_that_does_worse_gives_way(void **state)
{
    (void)state;
    assert_int_equal(swap("bad"), HILUM_OK);
    assert_int_equal(knock(), 3);
    for (int64_t end = hl_mono_ms() + 10000; hl_mono_ms() < end && command() != 1; usleep(1000)) {
    }
    assert_int_equal(command(), 1);
    /* Commands go to the old version a moment before it has begun anew with its door. */
    for (int64_t end = hl_mono_ms() + 10000; hl_mono_ms() < end && knock() != 1; usleep(1000)) {
    }
    assert_int_equal(knock(), 1);
}

/* What a version that lingered wrote in its end; "": it has not ended. */
static const char *ended(void)
{
    static char text[64];
    char path[128];
    snprintf(path, sizeof path, "%s/ended", directory);
    FILE *f = fopen(path, "r");
    text[0] = '\0';
    if (f && fgets(text, sizeof text, f) == NULL)
        text[0] = '\0';
    if (f)
        fclose(f);
    return text;
}

static void handover__what_takes_long_goes_on_beside_the_next_version(void **state)
{
    (void)state;
    assert_int_equal(swap("lingering"), HILUM_OK);
    assert_int_equal(knock(), 5);
    int64_t begun = hl_mono_ms();
    assert_int_equal(swap("two"), HILUM_OK);
    assert_true(hl_mono_ms() - begun < 5000);
    assert_int_equal(knock(), 2); /* while the other still has something to say */
    assert_string_equal(ended(), "");
    for (int64_t end = hl_mono_ms() + 10000; hl_mono_ms() < end && !*ended(); usleep(1000)) {
    }
    assert_string_equal(ended(), "asked 6 drained 1");
    assert_int_equal(knock(), 2);
}

static void handover__what_goes_on_ends_with_the_server(void **state)
{
    (void)state;
    assert_int_equal(swap("endless"), HILUM_OK);
    assert_int_equal(swap("two"), HILUM_OK);
    hl_plugins_drain(plugins, 1000);
    hl_plugins_close(plugins);
    plugins = NULL;
    assert_non_null(strstr(ended(), "drained 1"));
}

static void handover__ends_with_the_server(void **state)
{
    (void)state;
    assert_int_equal(swap("two"), HILUM_OK);
    hl_plugins_drain(plugins, 1000);
    assert_int_equal(knock(), -1); /* no queue is left that nobody reads */
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(handover__turns_nobody_away),
        TEST(handover__a_version_that_cannot_open_leaves_the_old_one),
        TEST(handover__a_version_that_does_worse_gives_way),
        TEST(handover__what_takes_long_goes_on_beside_the_next_version),
        TEST(handover__what_goes_on_ends_with_the_server),
        TEST(handover__ends_with_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
