/* Merging, defaults, getters, and the files we ship. SPDX-License-Identifier: Apache-2.0 */
#include "site.h"

#include "core/config/schema.h"

static void nothing_configured__gives_the_schemas_defaults(void **state)
{
    struct site *site = *state;
    site_load(site);
    assert_no_faults(site);
    assert_string_equal(hl_config_text(site->config, "dicom.aet"), "HILUM");
    assert_int_equal(hl_config_int(site->config, "dicom.trace"), 20);
    assert_int_equal(hl_config_bytes(site->config, "storage.min_free"), 1 << 30);
    assert_int_equal(hl_config_ms(site->config, "journal.keep"), 90ll * 86400000);
    assert_int_equal(hl_config_ms(site->config, "audit.keep"), 0);
    assert_false(hl_config_bool(site->config, "dicom.accept_unknown_sop_classes"));
    assert_null(hl_config_text(site->config, "storage.data"));
    assert_null(hl_config_node(site->config, "peers"));
    const struct hl_node *listen = hl_config_node(site->config, "dicom.listen");
    assert_int_equal(listen->n_children, 1);
    assert_string_equal(listen->children[0]->text, "127.0.0.1:11112");
    assert_string_equal(hl_config_site_dir(site->config), site->dir);
}

static void later_file__changes_one_key_of_a_group(void **state)
{
    struct site *site = *state;
    site_write(site, "10.cfg",
               "dicom = { aet = \"A\"; limits = { max_pdu = 20000; max_threads = 3; }; };");
    site_write(site, "20.cfg", "\n\ndicom = { limits = { max_pdu = 30000; }; };");
    site_load(site);
    assert_no_faults(site);
    assert_string_equal(hl_config_text(site->config, "dicom.aet"), "A");
    assert_int_equal(hl_config_int(site->config, "dicom.limits.max_threads"), 3);
    assert_int_equal(hl_config_bytes(site->config, "dicom.limits.max_pdu"), 30000);
    const struct hl_node *node = hl_config_node(site->config, "dicom.limits.max_pdu");
    assert_int_equal(node->line, 3);
    assert_non_null(strstr(node->file, "/20.cfg"));
}

static void lists_of_groups__merge_by_name_and_append_the_unnamed(void **state)
{
    struct site *site = *state;
    site_write(site, "1.cfg",
               "peers = ( {name=\"A\"; aet=\"A\"; host=\"::1\"; port=1;},"
               " {name=\"B\"; aet=\"B\"; host=\"::1\";} );\n"
               "routes = ( {send=(\"A\");} );");
    site_write(site, "2.cfg",
               "peers = ( {name=\"A\"; port=2;}, {name=\"C\"; aet=\"C\"; host=\"::1\";} );\n"
               "routes = ( {send=(\"B\");} );");
    site_load(site);
    assert_no_faults(site);
    const struct hl_node *peers = hl_config_node(site->config, "peers");
    assert_int_equal(peers->n_children, 3);
    assert_int_equal(hl_node_int(peers->children[0], "port", 0), 2);
    assert_string_equal(hl_node_text(peers->children[0], "aet", ""), "A");
    assert_int_equal(hl_config_node(site->config, "routes")->n_children, 2);
}

static void other_lists__are_replaced(void **state)
{
    struct site *site = *state;
    site_write(site, "1.cfg",
               "dicom = { aets = (\"A\", \"B\"); listen = ( {address=\":1\";} ); };");
    site_write(site, "2.cfg", "dicom = { aets = (\"C\"); listen = ( {address=\":2\";} ); };");
    site_load(site);
    assert_no_faults(site);
    const struct hl_node *aets = hl_config_node(site->config, "dicom.aets");
    assert_int_equal(aets->n_children, 1);
    assert_string_equal(aets->children[0]->text, "C");
    assert_int_equal(hl_config_node(site->config, "dicom.listen")->n_children, 1);
}

static void disabled_entry__is_gone_after_loading(void **state)
{
    struct site *site = *state;
    site_write(site, "1.cfg", "plugins = ( {name=\"x\";}, {name=\"y\";} );");
    site_write(site, "2.cfg", "plugins = ( {name=\"x\"; enabled=false;} );");
    site_load(site);
    assert_no_faults(site);
    const struct hl_node *plugins = hl_config_node(site->config, "plugins");
    assert_int_equal(plugins->n_children, 1);
    assert_string_equal(hl_node_text(plugins->children[0], "name", ""), "y");
}

static void plugin_options__are_free(void **state)
{
    struct site *site = *state;
    site_load_text(site, "plugins = ( {name=\"p\"; options={ any={thing=(1,2.5,\"x\");}; "
                         "wait=\"5s\"; size=\"1KiB\"; }; } );");
    assert_no_faults(site);
    const struct hl_node *plugin = hl_config_node(site->config, "plugins")->children[0];
    const struct hl_node *options = hl_node_get(plugin, "options");
    assert_int_equal(hl_node_ms(options, "wait", 0), 5000);
    assert_int_equal(hl_node_bytes(options, "size", 0), 1024);
    assert_int_equal(hl_node_ms(options, "absent", 7), 7);
    assert_int_equal(hl_node_get(hl_node_get(options, "any"), "thing")->n_children, 3);
}

static void file_path__counts_from_the_file_that_names_it(void **state)
{
    struct site *site = *state;
    char expected[128];
    site_write(site, "ca.pem", "x");
    site_load_text(site, "dicom = { tls = { ca = \"ca.pem\"; }; };");
    assert_no_faults(site);
    snprintf(expected, sizeof expected, "%s/ca.pem", site->dir);
    assert_string_equal(hl_config_text(site->config, "dicom.tls.ca"), expected);
}

static void byte_order_mark__is_skipped(void **state)
{
    struct site *site = *state;
    site_load_text(site, "\xEF\xBB\xBF"
                         "dicom = { aet = \"X\"; };");
    assert_no_faults(site);
    assert_string_equal(hl_config_text(site->config, "dicom.aet"), "X");
}

static void hidden_and_other_files__are_not_read(void **state)
{
    struct site *site = *state;
    site_write(site, ".a.cfg", "nonsense");
    site_write(site, "a.cfg~", "nonsense");
    site_write(site, "README", "nonsense");
    site_load(site);
    assert_no_faults(site);
}

static void extra_file__comes_after_all_others(void **state)
{
    struct site *site = *state;
    char path[128];
    site_write(site, "z.cfg", "dicom = { aet = \"SITE\"; trace = 5; };");
    site_write(site, "extra", "dicom = { aet = \"LINE\"; };");
    snprintf(path, sizeof path, "%s/extra", site->dir);
    struct hl_config_paths paths = {.site_dir = site->dir, .extra = path};
    site->rc = hl_config_load(&paths, &site->faults, &site->config);
    assert_no_faults(site);
    assert_string_equal(hl_config_text(site->config, "dicom.aet"), "LINE");
    assert_int_equal(hl_config_int(site->config, "dicom.trace"), 5);
}

static void compare__tells_reload_from_restart(void **state)
{
    struct site *site = *state;
    struct hl_buf applied = {0}, restart = {0};
    site_load_text(site, "dicom = { aet = \"A\"; listen = (\":1\"); trace = 20; };");
    struct hl_config *before = site->config;
    site_load_text(site, "dicom = { aet = \"B\"; listen = (\":2\"); trace = 20; };\n"
                         "peers = ( {name=\"P\"; aet=\"P\"; host=\"::1\";} );");
    assert_no_faults(site);
    hl_config_compare(before, site->config, &applied, &restart);
    assert_string_equal(hl_buf_str(&applied), "dicom.aet, peers");
    assert_string_equal(hl_buf_str(&restart), "dicom.listen");
    hl_buf_fini(&applied);
    hl_buf_fini(&restart);
    hl_config_unref(before);
}

static void compare__takes_a_listeners_certificate_for_reloadable(void **state)
{
    struct site *site = *state;
    struct hl_buf applied = {0}, restart = {0};
    site_load_text(site, "dicom = { listen = ( \":1\", \":2\" ); };");
    struct hl_config *before = site->config;
    site_load_text(site, "dicom = { listen = ( \":1\", { address = \":2\"; tls = true; } ); };");
    assert_no_faults(site);
    hl_config_compare(before, site->config, &applied, &restart);
    assert_string_equal(hl_buf_str(&applied), "dicom.listen");
    assert_string_equal(hl_buf_str(&restart), "");
    hl_buf_fini(&applied);
    hl_config_unref(before);
}

static void shipped_files__have_no_fault(void **state)
{
    struct site *site = *state;
    struct hl_config_paths paths = {.main = SOURCE_DIR "/etc/hilum.cfg",
                                    .conf_dir = SOURCE_DIR "/etc/conf.d",
                                    .site_dir = SOURCE_DIR "/etc/local.d"};
    site->rc = hl_config_load(&paths, &site->faults, &site->config);
    assert_no_faults(site);
    assert_true(hl_config_node(site->config, "plugins")->n_children >= 3);
}

static char *read_whole(const char *path)
{
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    char *text = calloc(1, 1 << 18);
    size_t n = fread(text, 1, (1 << 18) - 1, f);
    text[n] = 0;
    fclose(f);
    return text;
}

/* What is written there must be what the code does without the file. */
static void shipped_values__are_the_schemas_defaults(void **state)
{
    struct site *site = *state;
    struct hl_config_paths none = {0}, shipped = {.main = SOURCE_DIR "/etc/hilum.cfg"};
    struct hl_config *empty;
    assert_int_equal(hl_config_load(&none, &site->faults, &empty), HILUM_OK);
    assert_int_equal(hl_config_load(&shipped, &site->faults, &site->config), HILUM_OK);
    for (size_t i = 0; i < hl_options_count; i++) {
        const char *path = hl_options[i].path;
        if (strchr(path, '[') || !strchr(path, '.') || (hl_options[i].flags & HL_OPTION_LIST))
            continue;
        const char *want = hl_config_text(empty, path), *have = hl_config_text(site->config, path);
        assert_int_equal(hl_config_int(empty, path), hl_config_int(site->config, path));
        assert_int_equal(hl_config_bool(empty, path), hl_config_bool(site->config, path));
        assert_int_equal(hl_config_bytes(empty, path), hl_config_bytes(site->config, path));
        assert_int_equal(hl_config_ms(empty, path), hl_config_ms(site->config, path));
        if (hl_options[i].kind != HL_KIND_MS && hl_options[i].kind != HL_KIND_BYTES &&
            (want || have))
            assert_string_equal(want, have);
    }
    hl_config_unref(empty);
}

static void shipped_file__explains_every_key(void **state)
{
    (void)state;
    char *text = read_whole(SOURCE_DIR "/etc/hilum.cfg");
    for (size_t i = 0; i < hl_options_count; i++) {
        const char *dot = strrchr(hl_options[i].path, '.');
        if (!strstr(text, dot ? dot + 1 : hl_options[i].path))
            fail_msg("etc/hilum.cfg does not mention %s", hl_options[i].path);
    }
    free(text);
}

/* HILUM_WRITE_OPTIONS=1 writes the file anew. */
static void option_list__is_the_generated_one(void **state)
{
    (void)state;
    struct hl_buf text = {0};
    hl_config_document(&text);
    if (getenv("HILUM_WRITE_OPTIONS")) {
        FILE *f = fopen(SOURCE_DIR "/etc/OPTIONS.md", "w");
        assert_non_null(f);
        fputs(hl_buf_str(&text), f);
        fclose(f);
    }
    char *have = read_whole(SOURCE_DIR "/etc/OPTIONS.md");
    assert_string_equal(have, hl_buf_str(&text));
    free(have);
    hl_buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        site_test(nothing_configured__gives_the_schemas_defaults),
        site_test(later_file__changes_one_key_of_a_group),
        site_test(lists_of_groups__merge_by_name_and_append_the_unnamed),
        site_test(other_lists__are_replaced),
        site_test(disabled_entry__is_gone_after_loading),
        site_test(plugin_options__are_free),
        site_test(file_path__counts_from_the_file_that_names_it),
        site_test(byte_order_mark__is_skipped),
        site_test(hidden_and_other_files__are_not_read),
        site_test(extra_file__comes_after_all_others),
        site_test(compare__tells_reload_from_restart),
        site_test(compare__takes_a_listeners_certificate_for_reloadable),
        site_test(shipped_files__have_no_fault),
        site_test(shipped_values__are_the_schemas_defaults),
        cmocka_unit_test(shipped_file__explains_every_key),
        cmocka_unit_test(option_list__is_the_generated_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
