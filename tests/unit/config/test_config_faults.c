/* Every kind of fault, by its exact place and words. SPDX-License-Identifier: Apache-2.0 */
#include "site.h"

struct fault_case {
    const char *text, *fault;
};

static const struct fault_case cases[] = {
    /* syntax and raw text */
    {"dicom = {\n  aet = \"X\"\n  trace = = 3;\n};",
     "a.cfg:3: syntax: expected `key = value;`, found something else here or at the end"},
    {"log = { level = \"info\"; };\nlog = { };",
     "a.cfg:2: syntax: expected `key = value;`, found duplicate setting name"},
    {"\ndicom = { trace = 4294967297; };",
     "a.cfg:2: number: expected at most 32 bits, or an L at its end (64 bits), found 4294967297"},
    {"storage = { max_object = 99999999999999999999L; };",
     "a.cfg:1: number: expected at most 32 bits"},
    {"\n@include \"/etc/passwd\"\n", "a.cfg:2: @include: expected settings, found @include; put"},
    {"# \xCD\xF5\n", "a.cfg:1: text: expected UTF-8, found the byte 0xCD; save the file as UTF-8"},
    /* keys */
    {"dicom = {\n listn = ( );\n};",
     "a.cfg:2: dicom.listn: expected a known key, found \"listn\"; did you mean \"listen\"?"},
    {"peeers = ( );",
     "a.cfg:1: peeers: expected a known key, found \"peeers\"; did you mean \"peers\"?"},
    {"xylophone = 1;", "a.cfg:1: xylophone: expected a known key, found \"xylophone\""},
    {"peers = (\n {name=\"A\"; aet=\"A\"; host=\"::1\";\n  prot = 104;}\n);",
     "a.cfg:3: peers[].prot: expected a known key, found \"prot\"; did you mean \"port\"?"},
    {"dicom = { tls = { cert = \"x\"; }; };",
     "a.cfg:1: dicom.tls.cert: expected a known key, found \"cert\""},
    /* types */
    {"dicom = 3;", "a.cfg:1: dicom: expected a group { ... }, found 3"},
    {"dicom = { aet = 3; };",
     "a.cfg:1: dicom.aet: expected an AE title of 1 to 16 ASCII characters, found 3"},
    {"dicom = { aet = \"ABCDEFGHIJKLMNOPQ\"; };",
     "a.cfg:1: dicom.aet: expected an AE title of 1 to 16 ASCII characters, found "
     "\"ABCDEFGHIJKLMNOPQ\""},
    {"dicom = { aets = \"X\"; };", "a.cfg:1: dicom.aets: expected a list ( ... ), each an AE title "
                                   "of 1 to 16 ASCII characters, found \"X\""},
    {"dicom = { aets = ( \"X\",\n 2 ); };",
     "a.cfg:2: dicom.aets: expected an AE title of 1 to 16 ASCII characters, found 2"},
    {"peers = { };", "a.cfg:1: peers: expected a list of groups ( { ... }, ... ), found a group"},
    {"peers = ( 1 );", "a.cfg:1: peers: expected a list of groups ( { ... }, ... ), found 1"},
    {"dicom = { accept_unknown_sop_classes = \"yes\"; };",
     "a.cfg:1: dicom.accept_unknown_sop_classes: expected true or false, found \"yes\""},
    {"plugins = ( { name = \"x\"; options = 1; } );",
     "a.cfg:1: plugins[].options: expected a group { ... }, found 1"},
    /* ranges, units, choices, forms */
    {"dicom = { trace = 1001; };",
     "a.cfg:1: dicom.trace: expected an integer from 0 to 1000, found 1001"},
    {"dicom = { trace = -1; };",
     "a.cfg:1: dicom.trace: expected an integer from 0 to 1000, found -1"},
    {"peers = ( {name=\"A\"; aet=\"A\"; host=\"::1\"; port=65536;} );",
     "a.cfg:1: peers[].port: expected an integer from 1 to 65535, found 65536"},
    {"storage = { study_idle = \"60\"; };",
     "a.cfg:1: storage.study_idle: expected a duration such as \"200ms\", \"5s\", \"10m\", \"24h\" "
     "or \"7d\" from 0 to 36500d, found \"60\""},
    {"storage = { study_idle = 60; };", "a.cfg:1: storage.study_idle: expected a duration such as "
                                        "\"200ms\", \"5s\", \"10m\", \"24h\" or \"7d\" from 0 to "
                                        "36500d, found 60"},
    {"journal = {\n keep = \"99999999999d\"; };",
     "a.cfg:2: journal.keep: expected a duration such as \"200ms\", \"5s\", \"10m\", \"24h\" or "
     "\"7d\" from 0 to 36500d, found \"99999999999d\""},
    {"script = { cpu = \"61s\"; };",
     "a.cfg:1: script.cpu: expected a duration such as \"200ms\", \"5s\", \"10m\", \"24h\" or "
     "\"7d\" from 1ms to 1m, found \"61s\""},
    {"script = { cpu = 0; };", "a.cfg:1: script.cpu: expected a duration"},
    {"schedules = ( { name = \"n\"; every = \"36501d\"; } );",
     "a.cfg:1: schedules[].every: expected a duration"},
    {"storage = { min_free = \"4GB\"; };", "a.cfg:1: storage.min_free: expected a size such as "
                                           "\"64KiB\", \"4GiB\" or 4096, found \"4GB\""},
    /* what makes no sense as nothing, or as more than can be */
    {"storage = { max_object = 0; };", "a.cfg:1: storage.max_object: expected a size such as "
                                       "\"64KiB\", \"4GiB\" or 4096 from 1KiB on, "
                                       "found 0"},
    {"storage = { max_object = -1; };", "a.cfg:1: storage.max_object: expected a size"},
    {"storage = { memory_budget = 0; };", "a.cfg:1: storage.memory_budget: expected a size"},
    {"storage = { header_limit = \"1KiB\"; };", "a.cfg:1: storage.header_limit: expected a size"},
    {"dicom = { limits = { max_pdu = 100; }; };",
     "a.cfg:1: dicom.limits.max_pdu: expected a size such as \"64KiB\", \"4GiB\" or 4096 from 4KiB "
     "to "
     "1MiB, found 100"},
    {"dicom = { limits = { max_pdu = \"2MiB\"; }; };", "a.cfg:1: dicom.limits.max_pdu: expected"},
    {"dicom = { limits = { idle_timeout = 0; }; };",
     "a.cfg:1: dicom.limits.idle_timeout: expected a duration such as \"200ms\", \"5s\", \"10m\", "
     "\"24h\" or \"7d\" from 100ms to 30d, found 0"},
    {"peers = ( {name=\"A\"; aet=\"A\"; host=\"::1\"; max_pdu = 100;} );",
     "a.cfg:1: peers[].max_pdu: expected a size such as \"64KiB\", \"4GiB\" or 4096 from 4KiB to "
     "1MiB, "
     "or 0, found 100"},
    {"peers = ( {name=\"A\"; aet=\"A\"; host=\"::1\"; connect_timeout = 0;} );",
     "a.cfg:1: peers[].connect_timeout: expected a duration"},
    {"outbox = { retry_first = 0; };", "a.cfg:1: outbox.retry_first: expected a duration"},
    {"audit = { seal_every = \"1ms\"; };", "a.cfg:1: audit.seal_every: expected a duration"},
    {"access = { break_glass = 0; };", "a.cfg:1: access.break_glass: expected a duration"},
    {"schedules = ( { name = \"n\"; every = 0; } );", "a.cfg:1: schedules[].every: expected"},
    {"script = { memory = 0; };", "a.cfg:1: script.memory: expected a size"},
    {"plugins = ( { name = \"x\"; limits = { memory = 0; }; } );",
     "a.cfg:1: plugins[].limits.memory: expected a size"},
    {"dicom = { unknown_peers = \"refused\"; };",
     "a.cfg:1: dicom.unknown_peers: expected one of \"refuse\", \"accept\", found \"refused\"; did "
     "you mean \"refuse\"?"},
    {"peers = ( {name=\"A\"; aet=\"A\"; host=\"::1\"; services=(\"stor\");} );",
     "a.cfg:1: peers[].services: expected one of \"echo\", \"store\", \"find\", \"move\", \"get\", "
     "found \"stor\"; did you mean \"store\"?"},
    {"dicom = { listen = ( \"11112\" ); };",
     "a.cfg:1: dicom.listen: expected \"ADDRESS:PORT\" such as \"0.0.0.0:11112\" or \"[::]:104\", "
     "found \"11112\""},
    {"dicom = { listen = ( \"::1:104\" ); };", "a.cfg:1: dicom.listen: expected \"ADDRESS:PORT\""},
    {"dicom = { listen = ( { tls = true; } ); };",
     "a.cfg:1: dicom.listen[].address: expected \"ADDRESS:PORT\" such as \"0.0.0.0:11112\" or "
     "\"[::]:104\", found nothing"},
    {"peers = ( {name=\"A\"; aet=\"A\"; cidr=(\"10.0.0.5/8\");} );",
     "a.cfg:1: peers[].cidr: expected an address range such as \"10.0.0.0/8\" or \"fd00::/8\", "
     "found \"10.0.0.5/8\""},
    {"peers = ( {name=\"A B\"; aet=\"A\"; host=\"::1\";} );",
     "a.cfg:1: peers[].name: expected a name of at most 63 letters, digits and _ . - /, found \"A "
     "B\""},
    {"peers = ( {name=\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"; "
     "aet=\"A\"; host=\"::1\";} );",
     "a.cfg:1: peers[].name: expected a name of at most 63 letters, digits and _ . - /, found"},
    {"peers = ( {name=\"A\"; aet=\"A\"; certificate_sha256=\"ab\";} );",
     "a.cfg:1: peers[].certificate_sha256: expected 64 hexadecimal digits, found \"ab\""},
    {"control = { mode = \"rw\"; };",
     "a.cfg:1: control.mode: expected an octal mode such as \"0600\", found \"rw\""},
    {"dicom = { tls = { ca = \"missing.pem\"; }; };",
     "a.cfg:1: dicom.tls.ca: expected a readable file, found \""},
    {"dicom = { listen = ( { address = \":1\"; tls = 5; } ); };",
     "a.cfg:1: dicom.listen[].tls: expected true, false or a group { ... }, found 5"},
    {"dicom = { private_sop_classes = ( \"1.2.\" ); };",
     "a.cfg:1: dicom.private_sop_classes: expected a UID or its keyword, found \"1.2.\""},
    {"schedules = ( { name = \"n\"; at = \"25:00\"; } );",
     "a.cfg:1: schedules[].at: expected a time of day such as \"02:30\", found \"25:00\""},
    {"schedules = ( { name = \"n\"; at = \"2:30\"; } );",
     "a.cfg:1: schedules[].at: expected a time of day such as \"02:30\", found \"2:30\""},
    /* what must be there, names, references */
    {"\npeers = (\n  { name = \"A\"; host = \"::1\"; }\n);",
     "a.cfg:3: peers[].aet: expected an AE title of 1 to 16 ASCII characters, found nothing"},
    {"peers = ( { name = \"A\"; aet = \"A\"; } );",
     "a.cfg:1: peers[]: expected host, url, cidr or certificate_sha256, found none; cidr = ( "
     "\"0.0.0.0/0\", \"::/0\" ) means any address"},
    {"peers = ( {name=\"A\"; aet=\"A\"; url=\"sftp://x/y\";} );",
     "a.cfg:1: peers[].url: expected \"https://...\" or \"http://...\", found \"sftp://x/y\""},
    {"peers = ( {name=\"A\"; aet=\"A\"; url=\"/x/y\"; via=\"acme-sftp\";} );",
     "a.cfg:1: peers[].url: expected \"SCHEME://...\", found \"/x/y\""},
    {"peers = (\n{name=\"A\"; aet=\"A\"; host=\"::1\";},\n{name=\"A\"; aet=\"B\"; host=\"::1\";} "
     ");",
     "a.cfg:3: name: expected a name not yet used in this list, found \"A\" (first in line 2)"},
    {"peers = ( {name=\"ARCHIVE\"; aet=\"A\"; host=\"::1\";} );\nroutes = (\n {send=(\"ARCHIV\");} "
     ");",
     "a.cfg:3: routes[].send: expected the name of a peer with a host or a url, found \"ARCHIV\"; "
     "did you "
     "mean \"ARCHIVE\"?"},
    {"peers = ( {name=\"X\"; aet=\"A\"; cidr=(\"::1\");} );\nroutes = ( {send=(\"X\");} );",
     "a.cfg:2: routes[].send: expected the name of a peer with a host or a url, found \"X\""},
    {"routes = ( { where = \"\"; } );", "a.cfg:1: routes[].send: expected a list ( ... ), each the "
                                        "name of a peer with a host or a url, found nothing"},
};

static void each_fault__names_file_line_key_expected_and_found(void **state)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct site *site;
        void *fresh;
        site_setup(&fresh);
        site = fresh;
        site_load_text(site, cases[i].text);
        assert_int_equal(site->rc, HILUM_EINVAL);
        assert_non_null(site->config);
        assert_fault(site, cases[i].fault);
        if (site->faults.count != 1 && cases[i].fault[7] != ' ')
            print_message("case %zu has %zu faults\n", i, site->faults.count);
        site_teardown(&fresh);
    }
    (void)state;
}

/* Each is what its help says 0 means. */
static void zero__is_taken_where_it_means_something(void **state)
{
    struct site *site = *state;
    site_load_text(site,
                   "storage = { min_free = 0; frame_cache = 0; erase_grace = 0; keep_original "
                   "= 0; };\njournal = { keep = 0; }; audit = { keep = 0; };\noutbox = { "
                   "attempts = 0; idle = 0; };\ndicom = { trace = 0; limits = { min_rate = 0; "
                   "}; };\npeers = ( {name=\"A\"; aet=\"A\"; host=\"::1\"; max_pdu = 0;} );");
    assert_int_equal(site->rc, HILUM_OK);
}

static void syntax_error_in_one_file__does_not_hide_faults_of_others(void **state)
{
    struct site *site = *state;
    site_write(site, "1.cfg", "dicom = { aet = ; };");
    site_write(site, "2.cfg", "\ndicom = { tracee = 1; };");
    site_write(site, "3.cfg", "log = {\n level = 3; };\noutbox = { attempts = \"x\"; };");
    site_load(site);
    assert_int_equal(site->faults.count, 4);
    assert_fault(site, "1.cfg:1: syntax: expected");
    assert_fault(
        site,
        "2.cfg:2: dicom.tracee: expected a known key, found \"tracee\"; did you mean \"trace\"?");
    assert_fault(site, "3.cfg:2: log.level: expected one of");
    assert_fault(site,
                 "3.cfg:3: outbox.attempts: expected an integer from 0 to 1000000, found \"x\"");
}

static void missing_main_file__is_a_fault_and_defaults_are_loaded(void **state)
{
    struct site *site = *state;
    char path[128];
    snprintf(path, sizeof path, "%s/none.cfg", site->dir);
    struct hl_config_paths paths = {.main = path};
    site->rc = hl_config_load(&paths, &site->faults, &site->config);
    assert_int_equal(site->rc, HILUM_EINVAL);
    assert_fault(site,
                 "none.cfg: file: expected a readable file of at most 1MiB, found: No such file");
    assert_string_equal(hl_config_text(site->config, "dicom.aet"), "HILUM");
}

static void directory_or_fifo_as_file__is_a_fault(void **state)
{
    struct site *site = *state;
    struct hl_config_paths paths = {.main = site->dir, .conf_dir = "/nonexistent/conf.d"};
    site->rc = hl_config_load(&paths, &site->faults, &site->config);
    assert_int_equal(site->faults.count, 2);
    assert_non_null(strstr(site->faults.first->text, "found: Is a directory"));
    assert_non_null(
        strstr(site->faults.first->next->text, "directory: expected a readable directory"));
}

static void nesting_without_end__is_a_fault(void **state)
{
    struct site *site = *state;
    char text[400] = "plugins = ";
    for (int i = 0; i < 60; i++)
        strcat(text, "(");
    for (int i = 0; i < 60; i++)
        strcat(text, ")");
    strcat(text, ";");
    site_load_text(site, text);
    assert_int_equal(site->rc, HILUM_EINVAL);
    assert_fault(site, "a.cfg:1: list: expected at most 10000 members and 16 levels");
}

static void numbers_in_texts_and_comments__are_not_numbers(void **state)
{
    struct site *site = *state;
    site_load_text(site, "# 99999999999\n/* @include\n 99999999999 */ // 99999999999\n"
                         "identity = { default_issuer = \"99999999999 \\\" 99999999999\"; };\n"
                         "storage = { max_object = 99999999999L; min_free = 0x7FFFFFFF; };");
    assert_no_faults(site);
    assert_int_equal(hl_config_bytes(site->config, "storage.max_object"), 99999999999);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_fault__names_file_line_key_expected_and_found),
        site_test(zero__is_taken_where_it_means_something),
        site_test(syntax_error_in_one_file__does_not_hide_faults_of_others),
        site_test(missing_main_file__is_a_fault_and_defaults_are_loaded),
        site_test(directory_or_fifo_as_file__is_a_fault),
        site_test(nesting_without_end__is_a_fault),
        site_test(numbers_in_texts_and_comments__are_not_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
