/* The example does what the tutorial says. SPDX-License-Identifier: Apache-2.0 */
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

static hilum_rc collect(void *ctx, const void *bytes, uint64_t n)
{
    hl_buf_add(ctx, bytes, (size_t)n);
    return HILUM_OK;
}

static struct hl_config *config_of(const char *text)
{
    char path[] = "/tmp/hilum-test-XXXXXX.cfg";
    struct hl_faults faults = {0};
    struct hl_config *config = NULL;
    int fd = mkstemps(path, 4);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    struct hl_config_paths paths = {.main = path};
    assert_int_equal(hl_config_load(&paths, &faults, &config), HILUM_OK);
    unlink(path);
    return config;
}

static void example_hook__counts_ct_and_answers_its_command(void **state)
{
    (void)state;
    struct hl_bus *bus;
    struct hl_plugins *plugins;
    struct hl_faults faults = {0};
    struct hl_verdict verdict;
    struct hl_buf answer = {0};
    struct hl_config *config =
        config_of("plugins = ( { name = \"example-hook\"; required = true; } );\n");
    assert_int_equal(hl_bus_new(&bus), HILUM_OK);
    if (hl_plugins_open(config, EXAMPLE_DIR, "/tmp", bus, &faults, &plugins) != HILUM_OK ||
        hl_plugins_init(plugins, &faults) != HILUM_OK || hl_plugins_start(plugins) != HILUM_OK)
        fail_msg("%s", hl_error());
    for (int i = 0; i < 3; i++) {
        hilum_event *event = hl_event_new("instance.stored");
        hl_event_set_text(event, "Modality", i == 1 ? "MR" : "CT");
        hl_event_set_text(event, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.2");
        hl_bus_dispatch(bus, event, HILUM_NOTIFY, &verdict);
        assert_int_equal(verdict.verdict, HILUM_PASS);
        hl_event_free(event);
    }
    const struct hilum_decl *command =
        hl_plugins_decl_find(plugins, HILUM_DECL_COMMAND, "example-hook count", NULL);
    assert_non_null(command);
    struct hilum_call call = {
        .size = sizeof call,
        .arguments = "{}",
        .result = {.size = sizeof call.result, .write = collect, .ctx = &answer}};
    assert_int_equal(command->run(command->arg, &call), HILUM_OK);
    assert_string_equal(hl_buf_str(&answer), "{\"seen\":2}");
    hl_plugins_drain(plugins, 100);
    hl_plugins_close(plugins);
    hl_bus_free(bus);
    hl_config_unref(config);
    hl_buf_fini(&answer);
    hl_faults_fini(&faults);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(example_hook__counts_ct_and_answers_its_command)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
