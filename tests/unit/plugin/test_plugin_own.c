/* Hilum's own plugins as an installation opens them: every .so of the build passes the host's checks, and
 * a server's usual set comes up and goes down. SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/error.h"
#include "core/plugin/plugin.h"

static char directory[64];

static int setup(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/hilum-test-XXXXXX");
    return mkdtemp(directory) ? 0 : -1;
}

static int teardown(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -r '%s'", directory);
    return system(command);
}

static struct hl_config *config_of(const char *entries, struct hl_faults *faults)
{
    char path[128];
    struct hl_config *config = NULL;
    snprintf(path, sizeof path, "%s/test.cfg", directory);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "plugins = ( %s );\n", entries);
    assert_int_equal(fclose(f), 0);
    struct hl_config_paths paths = {.main = path};
    assert_int_equal(hl_config_load(&paths, faults, &config), HILUM_OK);
    return config;
}

static void entries_of_build(struct hl_buf *entries)
{
    DIR *dir = opendir(OWN_PLUGIN_DIR);
    assert_non_null(dir);
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        size_t n = strlen(e->d_name);
        if (n > 3 && strcmp(e->d_name + n - 3, ".so") == 0)
            hl_buf_printf(entries, "%s{ name = \"%.*s\"; }", entries->len ? ", " : "", (int)n - 3,
                          e->d_name);
    }
    closedir(dir);
}

static void own__every_plugin_of_the_build_passes_the_checks(void **state)
{
    (void)state;
    struct hl_bus *bus;
    struct hl_plugins *plugins;
    struct hl_faults faults = {0};
    struct hl_buf entries = {0};
    entries_of_build(&entries);
    struct hl_config *config = config_of(hl_buf_str(&entries), &faults);
    assert_int_equal(hl_bus_new(&bus), HILUM_OK);
    assert_int_equal(hl_plugins_open(config, OWN_PLUGIN_DIR, directory, bus, &faults, &plugins),
                     HILUM_OK);
    if (faults.count)
        fail_msg("%s", faults.first->text);
    hl_plugins_close(plugins);
    hl_bus_free(bus);
    hl_config_unref(config);
    hl_faults_fini(&faults);
    hl_buf_fini(&entries);
}

static void own__store_and_database_come_up_and_go_down(void **state)
{
    (void)state;
    struct hl_bus *bus;
    struct hl_plugins *plugins;
    struct hl_faults faults = {0};
    const struct hilum_cap *cap;
    void *instance;
    struct hl_config *config =
        config_of("{ name = \"store-fs\"; required = true; }, { name = \"db-sqlite\"; required = "
                  "true; }, { name = \"demo-phantom\"; required = true; }",
                  &faults);
    assert_int_equal(hl_bus_new(&bus), HILUM_OK);
    assert_int_equal(hl_plugins_open(config, OWN_PLUGIN_DIR, directory, bus, &faults, &plugins),
                     HILUM_OK);
    if (hl_plugins_init(plugins, &faults) != HILUM_OK)
        fail_msg("%s", hl_error());
    if (hl_plugins_start(plugins) != HILUM_OK)
        fail_msg("%s", hl_error());
    assert_int_equal(hl_plugins_acquire(plugins, HILUM_CAP_STORE, "fs", &cap, &instance), HILUM_OK);
    assert_int_equal(hl_plugins_acquire(plugins, HILUM_CAP_DATABASE, NULL, &cap, &instance),
                     HILUM_OK);
    hl_plugins_unpin(plugins, cap);
    assert_int_equal(faults.count, 0);
    hl_plugins_drain(plugins, 1000);
    hl_plugins_close(plugins);
    hl_bus_free(bus);
    hl_config_unref(config);
    hl_faults_fini(&faults);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(own__every_plugin_of_the_build_passes_the_checks, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(own__store_and_database_come_up_and_go_down, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
