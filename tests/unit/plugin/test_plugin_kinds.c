/* What the host asks of each kind of capability, and how providers are found where a name is not enough.
 * SPDX-License-Identifier: Apache-2.0 */
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

static struct hl_bus *bus;
static struct hl_config *config;
static struct hl_plugins *plugins;
static struct hl_faults faults;
static char directory[64];

static int setup(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/hilum-test-XXXXXX");
    faults = (struct hl_faults){0};
    plugins = NULL;
    config = NULL;
    return mkdtemp(directory) ? hl_bus_new(&bus) : -1;
}

static int teardown(void **state)
{
    char command[128];
    (void)state;
    hl_plugins_close(plugins);
    hl_config_unref(config);
    hl_bus_free(bus);
    hl_faults_fini(&faults);
    snprintf(command, sizeof command, "rm -r '%s'", directory);
    return system(command);
}

/* Names of plugins in this test's folder, which `plugin_dir` makes our own or a stranger's. */
static void bring_up(const char *plugin_dir, const char *extra, const char *const *names)
{
    char path[128];
    snprintf(path, sizeof path, "%s/test.cfg", directory);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "plugins = (");
    for (size_t i = 0; names[i]; i++)
        fprintf(f, "%s { name = \"%s\"; file = \"%s/%s.so\"; %s }", i ? "," : "", names[i],
                TEST_PLUGIN_DIR, names[i], extra);
    fprintf(f, " );\n");
    assert_int_equal(fclose(f), 0);
    struct hl_config_paths paths = {.main = path};
    assert_int_equal(hl_config_load(&paths, &faults, &config), HILUM_OK);
    assert_int_equal(hl_plugins_open(config, plugin_dir, directory, bus, &faults, &plugins),
                     HILUM_OK);
    assert_int_equal(hl_plugins_init(plugins, &faults), HILUM_OK);
}

static void assert_listed(const char *part)
{
    struct hl_buf json = {0};
    hl_plugins_list(plugins, &json);
    if (!strstr(hl_buf_str(&json), part))
        fail_msg("\"%s\" is not in %s", part, hl_buf_str(&json));
    hl_buf_fini(&json);
}

static void codec__is_found_by_transfer_syntax_what_it_does_and_priority(void **state)
{
    (void)state;
    void *instance;
    bring_up(TEST_PLUGIN_DIR, "",
             (const char *[]){"kind-codec-50", "kind-codec-200", "kind-codec-50b", NULL});
    static const char *const order[] = {"kind-codec-200", "kind-codec-50", "kind-codec-50b"};
    for (uint32_t rank = 0; rank < 3; rank++) {
        const struct hilum_codec *codec =
            hl_plugins_codec_for(plugins, "1.2.3.4", HILUM_CODEC_DECODES, rank, &instance);
        assert_non_null(codec);
        assert_string_equal(codec->cap.name, order[rank]);
    }
    assert_null(hl_plugins_codec_for(plugins, "1.2.3.4", HILUM_CODEC_DECODES, 3, &instance));
    assert_null(hl_plugins_codec_for(plugins, "1.2.3.4", HILUM_CODEC_ENCODES, 0, &instance));
    assert_null(hl_plugins_codec_for(plugins, "1.2.3.5", HILUM_CODEC_DECODES, 0, &instance));
    assert_non_null(hl_plugins_codec_for(plugins, "1.2.3.4",
                                         HILUM_CODEC_DECODES | HILUM_CODEC_REGIONS, 0, &instance));
}

static void codec__that_promises_what_it_does_not_have_is_refused(void **state)
{
    (void)state;
    bring_up(TEST_PLUGIN_DIR, "", (const char *[]){"kind-codec-liar", NULL});
    assert_listed("says that it encodes 1.2.3.4; encode is missing");
}

static void route__one_per_method_and_pattern_whatever_its_names(void **state)
{
    (void)state;
    bring_up(TEST_PLUGIN_DIR, "",
             (const char *[]){"kind-route-a", "kind-route-b", "kind-route-post",
                              "kind-route-longer", "kind-route-open", NULL});
    assert_listed(
        "route PUT,GET /studies/{uid} is served by plugins kind-route-a and kind-route-b");
    assert_listed("route \\\"kind-route-open\\\": permission is missing");
    assert_listed("\"route:kind-route-post\"");
    assert_listed("\"route:kind-route-longer\"");
}

static void auth__is_a_chain_by_its_order(void **state)
{
    (void)state;
    static const char *const order[] = {"kind-auth-1", "kind-auth-100", "kind-auth-300"};
    const struct hilum_cap *cap;
    void *instance;
    bring_up(TEST_PLUGIN_DIR, "",
             (const char *[]){"kind-auth-300", "kind-auth-1", "kind-auth-100", NULL});
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(hl_plugins_nth(plugins, HILUM_CAP_AUTH, i, &cap, &instance), HILUM_OK);
        assert_string_equal(cap->name, order[i]);
        hl_plugins_unpin(plugins, cap);
    }
    assert_int_equal(hl_plugins_nth(plugins, HILUM_CAP_AUTH, 3, &cap, &instance), HILUM_ENOTFOUND);
}

static void preview__from_outside_our_folder_needs_to_be_accepted(void **state)
{
    (void)state;
    const char *const names[] = {"kind-auth-1", NULL};
    bring_up(directory, "trust = \"in-process\";", names);
    assert_listed("auth is a preview interface that may change with any release; write "
                  "allow_preview = true beside name = \\\"kind-auth-1\\\"");
    hl_plugins_close(plugins);
    hl_config_unref(config);
    bring_up(directory, "trust = \"in-process\"; allow_preview = true;", names);
    assert_listed("\"state\":\"ready\"");
}

static void preview__what_cannot_be_isolated_also_needs_trust(void **state)
{
    (void)state;
    bring_up(directory, "allow_preview = true;", (const char *[]){"kind-auth-1", NULL});
    assert_listed("auth from outside Hilum's own folder can stop the server; write trust = ");
}

static void stable__isolatable_kinds_from_elsewhere_need_no_word(void **state)
{
    (void)state;
    bring_up(directory, "", (const char *[]){"kind-codec-50", NULL});
    assert_listed("\"state\":\"ready\"");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(codec__is_found_by_transfer_syntax_what_it_does_and_priority),
        TEST(codec__that_promises_what_it_does_not_have_is_refused),
        TEST(route__one_per_method_and_pattern_whatever_its_names),
        TEST(auth__is_a_chain_by_its_order),
        TEST(preview__from_outside_our_folder_needs_to_be_accepted),
        TEST(preview__what_cannot_be_isolated_also_needs_trust),
        TEST(stable__isolatable_kinds_from_elsewhere_need_no_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
