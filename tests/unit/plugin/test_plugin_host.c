/* The plugin host against plugins that do one thing right or wrong (variant.c).
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/error.h"
#include "core/plugin/plugin.h"
#include "hilum/store.h"

#define GOOD_OPTIONS                                                                               \
    "options = { name = \"b\"; count = 7; size = 4096; wait = \"1500ms\"; flag = true; };"
#define GOOD        "{ name = \"test-good\"; " GOOD_OPTIONS " }"
#define NAMED(name) "{ name = \"" name "\"; }"

static struct hl_bus *bus;
static struct hl_config *config;
static struct hl_plugins *plugins;
static struct hl_faults faults;
static struct hl_buf steps; /* "id:step " as they happen */
static char directory[64], published[128];

static hilum_rc tell(void *arg, const char *plugin, const hilum_principal *who, const char *action,
                     const char *resource)
{
    (void)arg;
    (void)who;
    (void)resource;
    hl_buf_printf(&steps, "%s:%s ", plugin, action);
    return HILUM_OK;
}

static hilum_rc publish(void *arg, const char *plugin, const char *event, const char *fields)
{
    (void)arg;
    snprintf(published, sizeof published, "%s %s %s", plugin, event, fields);
    return HILUM_OK;
}

static int setup(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/hilum-test-XXXXXX");
    faults = (struct hl_faults){0};
    steps = (struct hl_buf){0};
    plugins = NULL;
    config = NULL;
    published[0] = '\0';
    return mkdtemp(directory) ? hl_bus_new(&bus) : -1;
}

static void in_directory(char *out, size_t size, const char *name)
{
    snprintf(out, size, "%s/%s", directory, name);
}

static int teardown(void **state)
{
    char command[128];
    (void)state;
    hl_plugins_close(plugins);
    hl_config_unref(config);
    hl_bus_free(bus);
    hl_faults_fini(&faults);
    hl_buf_fini(&steps);
    snprintf(command, sizeof command, "rm -r '%s'", directory);
    return system(command);
}

static void load_config(const char *entries)
{
    char path[128];
    in_directory(path, sizeof path, "test.cfg");
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "plugins = ( %s );\n", entries);
    assert_int_equal(fclose(f), 0);
    struct hl_config_paths paths = {.main = path};
    if (hl_config_load(&paths, &faults, &config) != HILUM_OK)
        fail_msg("%s", faults.first ? faults.first->text : "?");
}

static hilum_rc open_these(const char *entries)
{
    load_config(entries);
    hilum_rc rc = hl_plugins_open(config, TEST_PLUGIN_DIR, directory, bus, &faults, &plugins);
    assert_non_null(plugins);
    struct hl_host_services services = {.allow = tell};
    hl_plugins_set_services(plugins, &services);
    hl_plugins_set_publish(plugins, publish, NULL);
    return rc;
}

static void assert_fault(const char *part)
{
    for (const struct hl_fault *fault = faults.first; fault; fault = fault->next)
        if (strstr(fault->text, part))
            return;
    fail_msg("no fault contains \"%s\"; the first is \"%s\"", part,
             faults.first ? faults.first->text : "none");
}

static void assert_listed(const char *part)
{
    struct hl_buf json = {0};
    hl_plugins_list(plugins, &json);
    if (!strstr(hl_buf_str(&json), part))
        fail_msg("\"%s\" is not in %s", part, hl_buf_str(&json));
    hl_buf_fini(&json);
}

/* ---- opening ---- */

static void open__what_is_wrong_with_a_file_is_a_fault_that_says_so(void **state)
{
    (void)state;
    static const struct {
        const char *entry, *said;
    } cases[] = {
        {NAMED("test-magic"), "magic: expected 0x4d4c4948, found 0x12345678"},
        {NAMED("test-major"), "built for ABI 2.0, this host is 1.0"},
        {NAMED("test-minor"), "built for ABI 1.7, this host is 1.0: update Hilum"},
        {NAMED("test-short"), "found size = 40"},
        {NAMED("test-tagged"), "built for the fork \"fork\""},
        {NAMED("test-refusing"), "cannot work with ABI 1.0"},
        {NAMED("test-liar"), "calls itself \"somebody-else\""},
        {NAMED("test-lazy"), "link it with -Wl,-z,now"},
        {NAMED("test-exporting"), "(helper_everybody_sees); build it with -fvisibility=hidden"},
        {NAMED("test-nowhere"), "no such file"},
        {NAMED("test-absentee"), "needs plugin test-absent; add { name = \"test-absent\"; }"},
        {NAMED("test-previewer"), "needs \"wavelet:jpeg\", a kind of capability that is not built"},
        {"{ name = \"test-plain\"; isolation = \"process\"; }",
         "this program runs isolated plugins and is not there; install it, or name it as "
         "worker_program"},
        {NAMED("test-cycle-a") ", " NAMED("test-cycle-b"), "test-cycle-b: needs itself"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(open_these(cases[i].entry), HILUM_OK); /* none is required */
        assert_fault(cases[i].said);
        assert_fault("test.cfg:1: plugins.test-");
        assert_listed("\"state\":\"skipped\"");
        assert_int_equal(hl_plugins_init(plugins, &faults), HILUM_OK);
        assert_string_equal(hl_buf_str(&steps), ""); /* none of its code ran */
        hl_plugins_close(plugins);
        hl_config_unref(config);
        hl_faults_fini(&faults);
        faults = (struct hl_faults){0};
    }
    plugins = NULL;
    config = NULL;
}

static void open__a_required_plugin_that_cannot_be_used_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(open_these("{ name = \"test-magic\"; required = true; }"), HILUM_EINVAL);
    assert_non_null(strstr(hl_error(), "required plugin test-magic: magic"));
}

/* Copies a plugin out of its folder and writes the entry that names the copy. A new file each time: one that
 * is written while it is mapped takes the process with it. */
static void copied(const char *name, mode_t mode, const char *more, char *entry, size_t size)
{
    char command[512], file[64], path[128];
    snprintf(file, sizeof file, "%s.so", name);
    in_directory(path, sizeof path, file);
    snprintf(command, sizeof command, "cp --remove-destination '%s/%s' '%s'", TEST_PLUGIN_DIR, file,
             path);
    assert_int_equal(system(command), 0);
    assert_int_equal(chmod(path, mode), 0);
    snprintf(entry, size, "{ name = \"%s\"; file = \"%s\"; %s }", name, path, more);
}

static void open__a_file_others_may_write_is_refused(void **state)
{
    (void)state;
    char entry[256];
    copied("test-plain", 0666, "", entry, sizeof entry);
    assert_int_equal(open_these(entry), HILUM_OK);
    assert_fault("mode 0666 lets others write it; run chmod go-w");
}

static void open__runs_no_code_of_the_plugin(void **state)
{
    (void)state;
    assert_int_equal(open_these(GOOD), HILUM_OK);
    assert_int_equal(faults.count, 0);
    assert_string_equal(hl_buf_str(&steps), "");
    assert_listed("\"state\":\"opened\"");
}

/* ---- options ---- */

static void options__every_fault_names_file_line_key_and_what_was_expected(void **state)
{
    (void)state;
    assert_int_equal(open_these("{ name = \"test-good\"; options = { name = \"c\"; count = 65;\n"
                                "size = \"2GiB\"; wait = 5; flag = \"yes\"; rot = \"x\";\n"
                                "password = 3; }; }"),
                     HILUM_OK);
    assert_fault("test.cfg:1: plugins.test-good.options.name: expected a|b, found \"c\"");
    assert_fault("test.cfg:1: plugins.test-good.options.count: expected 1..64, found 65");
    assert_fault("test.cfg:2: plugins.test-good.options.size: expected 1KiB..1MiB, found \"2GiB\"");
    assert_fault("options.wait: expected a duration such as \"5s\", at most \"36500d\", found 5");
    assert_fault("options.flag: expected true or false, found text");
    assert_fault("options.rot: expected an option of this plugin (did you mean \"root\"?)");
    assert_fault(
        "test.cfg:3: plugins.test-good.options.password: expected text in quotes, found 3");
    assert_int_equal(faults.count, 7);
    assert_listed("its options have faults");
}

static void options__a_missing_one_without_default_is_a_fault(void **state)
{
    (void)state;
    assert_int_equal(open_these(NAMED("test-good")), HILUM_OK);
    assert_fault("options.count: expected an integer, found nothing");
    assert_int_equal(faults.count, 2);
}

/* ---- life ---- */

static void life__runs_in_order_of_needs_and_back(void **state)
{
    (void)state;
    assert_int_equal(open_these(NAMED("test-storeneedy") ", " NAMED(
                         "test-needy") ", " GOOD ", " NAMED("test-plain")),
                     HILUM_OK);
    assert_int_equal(hl_plugins_init(plugins, &faults), HILUM_OK);
    assert_int_equal(hl_plugins_start(plugins), HILUM_OK);
    hl_plugins_drain(plugins, 1000);
    hl_plugins_close(plugins);
    plugins = NULL;
    assert_string_equal(hl_buf_str(&steps),
                        "test-good:init test-storeneedy:init test-plain:init test-needy:init "
                        "test-good:start test-storeneedy:start test-plain:start test-needy:start "
                        "test-needy:drain test-plain:drain test-storeneedy:drain test-good:drain "
                        "test-needy:fini test-plain:fini test-storeneedy:fini test-good:fini ");
    assert_int_equal(faults.count, 0);
}

static void life__a_door_opens_last_and_closes_first(void **state)
{
    (void)state;
    assert_int_equal(open_these(NAMED("test-door") ", " NAMED("test-plain")), HILUM_OK);
    assert_int_equal(hl_plugins_init(plugins, &faults), HILUM_OK);
    assert_int_equal(hl_plugins_start(plugins), HILUM_OK);
    hl_plugins_drain(plugins, 1000);
    hl_plugins_close(plugins);
    plugins = NULL;
    assert_string_equal(hl_buf_str(&steps),
                        "test-door:init test-plain:init test-door:start test-plain:start "
                        "test-door:ready test-door:drain test-plain:drain "
                        "test-door:fini test-plain:fini ");
}

static void life__a_failing_init_skips_the_plugin_with_its_reason(void **state)
{
    (void)state;
    assert_int_equal(open_these(NAMED("test-failing") ", " NAMED("test-plain")), HILUM_OK);
    assert_int_equal(hl_plugins_init(plugins, &faults), HILUM_OK);
    assert_listed("\"reason\":\"init: HILUM_EIO: the disk is on fire\"");
    assert_string_equal(hl_buf_str(&steps), "test-failing:init test-plain:init ");
}

/* The bus sees the gate's function, which is always there. */
static void life__a_hook_without_a_function_is_refused(void **state)
{
    (void)state;
    assert_int_equal(open_these(NAMED("test-runless")), HILUM_OK);
    assert_int_equal(hl_plugins_init(plugins, &faults), HILUM_OK);
    assert_listed("hook test-runless/stored: name, event or run is missing");
}

static void options__of_an_absurd_size_skip_the_plugin(void **state)
{
    (void)state;
    assert_int_equal(open_these(NAMED("test-greedy")), HILUM_OK);
    assert_fault("plugins.test-greedy: expected conf_size of at most");
}

/* "store:{name}", and nothing but carriers beside it; before any init. */
static void promise__tells_what_will_be_provided(void **state)
{
    (void)state;
    struct hl_buf known = {0};
    assert_int_equal(
        open_these("{ name = \"test-promising\"; options = { name = \"b\"; count = 7; }; }"),
        HILUM_OK);
    assert_true(hl_plugins_may_provide(plugins, config, HILUM_CAP_STORE, "b", &known));
    assert_string_equal(hl_buf_str(&known), "\"b\"");
    assert_true(hl_plugins_may_provide(plugins, config, HILUM_CAP_STORE, NULL, NULL));
    assert_false(hl_plugins_may_provide(plugins, config, HILUM_CAP_STORE, "a", NULL));
    assert_true(hl_plugins_may_provide(plugins, config, HILUM_CAP_CARRIER, "any", NULL));
    assert_false(hl_plugins_may_provide(plugins, config, HILUM_CAP_DATABASE, NULL, NULL));
    hl_buf_fini(&known);
}

static void promise__of_nothing_lets_anything_come_until_init(void **state)
{
    (void)state;
    assert_int_equal(open_these(GOOD), HILUM_OK);
    assert_true(hl_plugins_may_provide(plugins, config, HILUM_CAP_DATABASE, NULL, NULL));
    assert_int_equal(hl_plugins_init(plugins, &faults), HILUM_OK);
    assert_true(hl_plugins_may_provide(plugins, config, HILUM_CAP_STORE, "mem", NULL));
    assert_false(hl_plugins_may_provide(plugins, config, HILUM_CAP_STORE, "disk", NULL));
    assert_false(hl_plugins_may_provide(plugins, config, HILUM_CAP_DATABASE, NULL, NULL));
}

static void promise__that_is_broken_skips_the_plugin(void **state)
{
    (void)state;
    assert_int_equal(open_these(NAMED("test-promiseless")), HILUM_OK);
    assert_int_equal(hl_plugins_init(plugins, &faults), HILUM_OK);
    assert_listed("store:mem is not among what its descriptor says it provides");
}

/* Told by the check, which runs no init. */
static void promise__tells_before_init_that_a_need_is_not_met(void **state)
{
    (void)state;
    assert_int_equal(open_these("{ name = \"test-promising\"; options = { name = \"b\"; count = 7; "
                                "}; }, " NAMED("test-storeneedy")),
                     HILUM_OK);
    assert_fault("test-storeneedy: needs store:mem, which no plugin that runs provides");
}

static void life__a_failing_init_of_a_required_plugin_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(open_these("{ name = \"test-failing\"; required = true; }"), HILUM_OK);
    assert_int_equal(hl_plugins_init(plugins, &faults), HILUM_EINVAL);
    assert_non_null(strstr(hl_error(), "required plugin test-failing: init: HILUM_EIO: the disk"));
}

static void life__a_need_nobody_provides_skips_the_plugin(void **state)
{
    (void)state;
    assert_int_equal(open_these(GOOD ", " NAMED("test-storeless")), HILUM_OK);
    assert_int_equal(hl_plugins_init(plugins, &faults), HILUM_OK);
    assert_fault("test-storeless: needs store:nowhere, which no plugin that runs provides");
    assert_string_equal(hl_buf_str(&steps), "test-good:init ");
}

static void life__a_failing_start_takes_back_what_it_gave_and_still_gets_fini(void **state)
{
    (void)state;
    const struct hilum_cap *cap;
    void *instance;
    assert_int_equal(open_these(NAMED("test-stumbling")), HILUM_OK);
    assert_int_equal(hl_plugins_init(plugins, &faults), HILUM_OK);
    assert_true(hl_bus_wants(bus, "instance.stored", HILUM_NOTIFY));
    assert_int_equal(hl_plugins_start(plugins), HILUM_OK);
    assert_false(hl_bus_wants(bus, "instance.stored", HILUM_NOTIFY));
    assert_int_equal(hl_plugins_acquire(plugins, HILUM_CAP_STORE, "stumbling", &cap, &instance),
                     HILUM_ENOTFOUND);
    assert_listed("\"reason\":\"start: HILUM_EIO: the port is taken\"");
    hl_plugins_close(plugins);
    plugins = NULL;
    assert_string_equal(hl_buf_str(&steps),
                        "test-stumbling:init test-stumbling:start test-stumbling:fini ");
}

static void life__registration_after_init_is_denied(void **state)
{
    (void)state;
    assert_int_equal(open_these(NAMED("test-late")), HILUM_OK);
    assert_int_equal(hl_plugins_init(plugins, &faults), HILUM_OK);
    assert_int_equal(hl_plugins_start(plugins), HILUM_OK);
    assert_string_equal(hl_buf_str(&steps), "test-late:init test-late:start test-late:denied ");
}

/* ---- capabilities ---- */

static void capability__is_acquired_by_name_or_as_the_only_one(void **state)
{
    (void)state;
    const struct hilum_cap *cap;
    void *instance;
    assert_int_equal(open_these(GOOD ", " NAMED("test-other")), HILUM_OK);
    assert_int_equal(hl_plugins_acquire(plugins, HILUM_CAP_STORE, "mem", &cap, &instance),
                     HILUM_ENOTFOUND); /* before init */
    assert_int_equal(hl_plugins_init(plugins, &faults), HILUM_OK);
    assert_int_equal(hl_plugins_acquire(plugins, HILUM_CAP_STORE, "disk", &cap, &instance),
                     HILUM_OK);
    assert_string_equal(cap->name, "disk");
    hl_plugins_enter(plugins, cap);
    hl_plugins_leave(plugins, cap);
    hl_plugins_unpin(plugins, cap);
    assert_int_equal(hl_plugins_acquire(plugins, HILUM_CAP_STORE, NULL, &cap, &instance),
                     HILUM_ECONFLICT);
    assert_int_equal(hl_plugins_acquire(plugins, HILUM_CAP_SERVICE, NULL, &cap, &instance),
                     HILUM_OK);
    assert_int_equal(hl_plugins_acquire(plugins, HILUM_CAP_DATABASE, NULL, &cap, &instance),
                     HILUM_ENOTFOUND);
    assert_non_null(strstr(hl_error(), "database: no plugin that runs provides it"));
}

static void capability__service_is_found_by_sop_class(void **state)
{
    (void)state;
    void *instance = NULL;
    assert_int_equal(open_these(GOOD), HILUM_OK);
    assert_null(hl_plugins_service_for(plugins, "1.2.840.10008.5.1.4.31", &instance));
    assert_int_equal(hl_plugins_init(plugins, &faults), HILUM_OK);
    const struct hilum_service *service =
        hl_plugins_service_for(plugins, "1.2.840.10008.5.1.4.31", &instance);
    assert_non_null(service);
    assert_non_null(instance);
    assert_int_equal(service->handle(instance, NULL), HILUM_OK);
    assert_null(hl_plugins_service_for(plugins, "1.2.3", &instance));
}

static void capability__a_duplicate_names_both_plugins(void **state)
{
    (void)state;
    assert_int_equal(open_these(GOOD ", " NAMED("test-twin") ", " NAMED("test-rival")), HILUM_OK);
    assert_int_equal(hl_plugins_init(plugins, &faults), HILUM_OK);
    /* test-twin ignored the refusal: the host does not. */
    assert_listed("store:mem is provided by plugins test-good and test-twin; remove one");
    assert_listed("SOP class 1.2.840.10008.5.1.4.31 is served by plugins test-good and test-rival");
    assert_string_equal(hl_buf_str(&steps),
                        "test-good:init test-twin:init test-twin:fini test-rival:init ");
}

static void capability__of_an_unknown_kind_is_said_to_be_not_built(void **state)
{
    (void)state;
    assert_int_equal(open_these(NAMED("test-newkind")), HILUM_OK);
    assert_int_equal(hl_plugins_init(plugins, &faults), HILUM_OK);
    assert_listed("capability of kind 77 is not built yet in this host");
}

static void trust__a_foreign_store_needs_the_word_of_a_person(void **state)
{
    (void)state;
    char entry[256];
    copied("test-other", 0644, "", entry, sizeof entry);
    assert_int_equal(open_these(entry), HILUM_OK);
    assert_int_equal(hl_plugins_init(plugins, &faults), HILUM_OK);
    assert_listed("store from outside Hilum's own folder can stop the server; write trust = ");
    hl_plugins_close(plugins);
    hl_config_unref(config);
    copied("test-other", 0644, "trust = \"in-process\";", entry, sizeof entry);
    assert_int_equal(open_these(entry), HILUM_OK);
    assert_int_equal(hl_plugins_init(plugins, &faults), HILUM_OK);
    assert_listed("\"state\":\"ready\"");
}

static void trust__a_foreign_notify_hook_needs_none(void **state)
{
    (void)state;
    char entry[256];
    copied("test-ordered-b", 0644, "", entry, sizeof entry);
    assert_int_equal(open_these(entry), HILUM_OK);
    assert_int_equal(hl_plugins_init(plugins, &faults), HILUM_OK);
    assert_true(hl_bus_wants(bus, "instance.stored", HILUM_NOTIFY));
}

/* ---- events and declarations ---- */

static void hooks__run_through_the_bus_and_plan(void **state)
{
    (void)state;
    struct hl_verdict verdict;
    assert_int_equal(open_these(GOOD), HILUM_OK);
    assert_int_equal(hl_plugins_init(plugins, &faults), HILUM_OK);
    hilum_event *event = hl_event_new("instance.stored");
    hl_bus_dispatch(bus, event, HILUM_NOTIFY, &verdict);
    assert_int_equal(verdict.verdict, HILUM_EINVAL);
    assert_string_equal(verdict.reason, "HILUM_EINVAL: no modality");
    hl_event_set_text(event, "Modality", "CT");
    hl_bus_dispatch(bus, event, HILUM_NOTIFY, &verdict);
    assert_int_equal(verdict.verdict, HILUM_PASS);
    assert_int_equal(hl_event_plan_count(event), 1);
    assert_string_equal(hl_event_plan_at(event, 0)->rule, "test-good/stored");
    assert_string_equal(hl_buf_str(&steps), "test-good:init test-good:CT ");
    hl_event_free(event);
}

static void hooks__may_name_those_of_a_later_plugin(void **state)
{
    (void)state;
    struct hl_buf names = {0};
    assert_int_equal(open_these(NAMED("test-ordered-a") ", " NAMED("test-ordered-b")), HILUM_OK);
    assert_int_equal(hl_plugins_init(plugins, &faults), HILUM_OK);
    assert_int_equal(faults.count, 0);
    hilum_event *event = hl_event_new("instance.stored");
    hl_bus_matching(bus, event, HILUM_NOTIFY, &names);
    assert_string_equal(hl_buf_str(&names), "test-ordered-b/stored\ntest-ordered-a/stored");
    hl_event_free(event);
    hl_buf_fini(&names);
    hl_plugins_close(plugins);
    plugins = NULL;
    assert_false(hl_bus_wants(bus, "instance.stored", HILUM_NOTIFY));
}

static void hooks__with_an_unknown_name_are_a_fault_and_not_in_force(void **state)
{
    (void)state;
    assert_int_equal(open_these(NAMED("test-unhooked")), HILUM_OK);
    assert_int_equal(hl_plugins_init(plugins, &faults), HILUM_OK);
    assert_fault("plugin:test-unhooked: test-unhooked/stored: after: expected a hook");
    assert_listed("its hooks are not in force");
    assert_false(hl_bus_wants(bus, "instance.stored", HILUM_NOTIFY));
}

static void count_decl(void *arg, const struct hilum_decl *decl, const char *plugin)
{
    (*(unsigned *)arg)++;
    assert_string_equal(decl->name, "good.made");
    assert_string_equal(plugin, "test-good");
}

static void declarations__are_found_and_events_published_between_start_and_drain(void **state)
{
    (void)state;
    unsigned n = 0;
    const char *plugin = NULL;
    struct hilum_call call = {.size = sizeof call};
    assert_int_equal(open_these(GOOD), HILUM_OK);
    assert_int_equal(hl_plugins_init(plugins, &faults), HILUM_OK);
    assert_true(hl_bus_has_event(bus, "good.made"));
    hl_plugins_decl_each(plugins, HILUM_DECL_EVENT, count_decl, &n);
    assert_int_equal(n, 1);
    assert_null(hl_plugins_decl_find(plugins, HILUM_DECL_VERB, "good make", NULL));
    const struct hilum_decl *decl =
        hl_plugins_decl_find(plugins, HILUM_DECL_COMMAND, "good make", &plugin);
    assert_non_null(decl);
    assert_string_equal(plugin, "test-good");
    assert_int_equal(decl->run(decl->arg, &call), HILUM_EDENIED);
    assert_int_equal(hl_plugins_start(plugins), HILUM_OK);
    assert_int_equal(decl->run(decl->arg, &call), HILUM_OK);
    assert_string_equal(published, "test-good good.made {\"n\":1}");
    hl_plugins_drain(plugins, 100);
    assert_int_equal(decl->run(decl->arg, &call), HILUM_EDENIED);
}

static void list__tells_what_a_person_asks(void **state)
{
    (void)state;
    assert_int_equal(open_these(GOOD), HILUM_OK);
    assert_int_equal(hl_plugins_init(plugins, &faults), HILUM_OK);
    assert_int_equal(hl_plugins_start(plugins), HILUM_OK);
    assert_listed("{\"id\":\"test-good\",\"state\":\"running\",\"reason\":null,");
    assert_listed("\"version\":\"1.2.3\",\"vendor\":\"Test\",\"licence\":\"Apache-2.0\"");
    assert_listed("\"provides\":[\"store:mem\",\"service:test-good\"]");
    assert_listed("{\"key\":\"size\",\"type\":\"bytes\",\"default\":\"4KiB\","
                  "\"range\":\"1KiB..1MiB\",\"help\":\"How big.\",\"required\":false}");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(open__what_is_wrong_with_a_file_is_a_fault_that_says_so),
        TEST(open__a_required_plugin_that_cannot_be_used_is_an_error),
        TEST(open__a_file_others_may_write_is_refused),
        TEST(open__runs_no_code_of_the_plugin),
        TEST(options__every_fault_names_file_line_key_and_what_was_expected),
        TEST(options__a_missing_one_without_default_is_a_fault),
        TEST(life__runs_in_order_of_needs_and_back),
        TEST(life__a_failing_init_skips_the_plugin_with_its_reason),
        TEST(life__a_hook_without_a_function_is_refused),
        TEST(options__of_an_absurd_size_skip_the_plugin),
        TEST(promise__tells_what_will_be_provided),
        TEST(promise__of_nothing_lets_anything_come_until_init),
        TEST(promise__that_is_broken_skips_the_plugin),
        TEST(promise__tells_before_init_that_a_need_is_not_met),
        TEST(life__a_failing_init_of_a_required_plugin_is_an_error),
        TEST(life__a_need_nobody_provides_skips_the_plugin),
        TEST(life__a_door_opens_last_and_closes_first),
        TEST(life__a_failing_start_takes_back_what_it_gave_and_still_gets_fini),
        TEST(life__registration_after_init_is_denied),
        TEST(capability__is_acquired_by_name_or_as_the_only_one),
        TEST(capability__service_is_found_by_sop_class),
        TEST(capability__a_duplicate_names_both_plugins),
        TEST(capability__of_an_unknown_kind_is_said_to_be_not_built),
        TEST(trust__a_foreign_store_needs_the_word_of_a_person),
        TEST(trust__a_foreign_notify_hook_needs_none),
        TEST(hooks__run_through_the_bus_and_plan),
        TEST(hooks__may_name_those_of_a_later_plugin),
        TEST(hooks__with_an_unknown_name_are_a_fault_and_not_in_force),
        TEST(declarations__are_found_and_events_published_between_start_and_drain),
        TEST(list__tells_what_a_person_asks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
