/* A host with one plugin in workers, for the tests of this folder; each is one program. SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_ISOLATION_BENCH_H
#define TESTS_ISOLATION_BENCH_H

#include <linux/landlock.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/plugin/plugin.h"

static struct hl_bus *bus;
static struct hl_config *config;
static struct hl_plugins *plugins;
static struct hl_faults faults;
static char directory[64];
static atomic_int n_crashed, n_quarantined;

/* Of hilum_decode.go_on. */
static inline hilum_rc nobody_waits(void *arg)
{
    (void)arg;
    return HILUM_ECLOSED;
}

static int setup(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/hilum-test-XXXXXX");
    faults = (struct hl_faults){0};
    plugins = NULL;
    config = NULL;
    n_crashed = n_quarantined = 0;
    return mkdtemp(directory) ? hl_bus_new(&bus) : -1;
}

static int teardown(void **state)
{
    char command[128];
    (void)state;
    if (plugins)
        hl_plugins_drain(plugins, 1000);
    hl_plugins_close(plugins);
    hl_config_unref(config);
    hl_bus_free(bus);
    hl_faults_fini(&faults);
    snprintf(command, sizeof command, "rm -r '%s'", directory);
    return system(command);
}

static hilum_rc publish(void *arg, const char *plugin, const char *event, const char *fields_json)
{
    (void)arg;
    assert_non_null(strstr(fields_json, plugin));
    assert_non_null(strstr(fields_json, "\"reason\":"));
    n_crashed += strcmp(event, "plugin.crashed") == 0;
    n_quarantined += strcmp(event, "plugin.quarantined") == 0;
    return HILUM_OK;
}

/* Without it isolation = "process" refuses to start. Valgrind does not know the call: its script asks beforehand. */
static bool has_landlock(void)
{
    return getenv("HILUM_HAS_LANDLOCK") ||
           syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0;
}

/* The folder is not our own, so nothing here is trusted. */
static void bench_bring_up(const char *name, const char *extra)
{
    char path[128];
    snprintf(path, sizeof path, "%s/test.cfg", directory);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f,
            "worker_program = \"%s\"; plugins = ( { name = \"%s\"; file = \"%s/%s.so\"; "
            "allow_preview = true; %s } );\n",
            WORKER_PROGRAM, name, TEST_PLUGIN_DIR, name, extra);
    assert_int_equal(fclose(f), 0);
    struct hl_config_paths paths = {.main = path};
    assert_int_equal(hl_config_load(&paths, &faults, &config), HILUM_OK);
    assert_int_equal(hl_plugins_open(config, directory, directory, bus, &faults, &plugins),
                     HILUM_OK);
    assert_int_equal(hl_plugins_init(plugins, &faults), HILUM_OK);
    hl_plugins_set_publish(plugins, publish, NULL);
    assert_int_equal(hl_plugins_start(plugins), HILUM_OK);
}

#endif
