/* The examples people copy: all load together, and each does what its comment says.
 * SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>

#include "rules.h"

static const char PEERS[] =
    "peers = ( { name = \"TELERAD\"; aet = \"TELERAD\"; host = \"127.0.0.1\"; port = 106; },\n"
    "  { name = \"READING\"; aet = \"READING\"; host = \"127.0.0.1\"; port = 107; },\n"
    "  { name = \"NEURO\"; aet = \"NEURO\"; host = \"127.0.0.1\"; port = 108; },\n"
    "  { name = \"DOSE\"; aet = \"DOSE\"; host = \"127.0.0.1\"; port = 109; } );\n";

static void copy_file(const struct site *site, const char *from, const char *name)
{
    char path[512], text[16384];
    snprintf(path, sizeof path, "%s/%s", from, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t n = fread(text, 1, sizeof text - 1, file);
    text[n] = '\0';
    fclose(file);
    snprintf(path, sizeof path, "rules/%s", name);
    site_write(site, path, text);
}

static unsigned copy_examples(const struct site *site)
{
    unsigned n = 0;
    DIR *dir = opendir(HILUM_SCRIPTS "/examples");
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (strstr(entry->d_name, ".lua")) {
            copy_file(site, HILUM_SCRIPTS "/examples", entry->d_name);
            n++;
        }
    }
    closedir(dir);
    return n;
}

static void examples_open(struct site *site)
{
    site_open(site, NULL);
    site_write(site, "more.cfg", PEERS);
    site_configure(site, "");
    site_write(site, "tables/departments.csv", "part,peer\nHEAD,NEURO\n");
    assert_true(copy_examples(site) >= 8);
    hilum_rc rc =
        hl_script_load(site->script, site->config, HILUM_SCRIPTS "/core", false, &site->faults);
    for (const struct hl_fault *f = site->faults.first; f; f = f->next) {
        print_message("%s\n", f->text);
    }
    assert_int_equal(rc, HILUM_OK);
}

/* "rule:verb arguments" of every step, a line each. */
static void plan_text(hilum_event *event, struct hl_buf *out)
{
    for (size_t i = 0; i < hl_event_plan_count(event); i++) {
        const struct hl_plan_step *step = hl_event_plan_at(event, i);
        hl_buf_printf(out, "%s:%s %s\n", step->rule, step->verb, step->arguments);
    }
}

static void check_plan(struct site *site, hilum_event *event, const char *const *has,
                       const char *has_not)
{
    struct hl_verdict verdict;
    struct hl_buf text = {0};
    hl_bus_dispatch(site->bus, event, HILUM_NOTIFY, &verdict);
    assert_string_equal(verdict.reason, "");
    plan_text(event, &text);
    for (; *has; has++) {
        if (!strstr(hl_buf_str(&text), *has)) {
            fail_msg("no \"%s\" in:\n%s", *has, hl_buf_str(&text));
        }
    }
    if (strstr(hl_buf_str(&text), has_not)) {
        fail_msg("\"%s\" in:\n%s", has_not, hl_buf_str(&text));
    }
    hl_buf_fini(&text);
    hl_event_free(event);
}

static void examples__plan_what_they_promise(void **unused)
{
    (void)unused;
    static const char *const chest[] = {"site/ct-fan-out:send {\"to\":\"ARCHIVE\"}",
                                        "site/ct-fan-out:send {\"to\":\"AI_LUNG\",\"priority\":1}",
                                        "site/by-body-part:send {\"to\":\"READING\"}",
                                        "site/tag-by-device:tag {\"label\":\"emergency\"}", NULL};
    static const char *const head[] = {"site/by-body-part:send {\"to\":\"NEURO\"}",
                                       "site/primary-only:send {\"to\":\"AI_LUNG\"}", NULL};
    static const char *const dose[] = {"site/dose-report:send {\"to\":\"DOSE\"}", NULL};
    struct site site;
    examples_open(&site);
    check_plan(&site, ct_event("instance.stored"), chest, "primary-only");
    hilum_event *event = ct_event("instance.stored");
    hl_event_set_text(event, "BodyPartExamined", "HEAD");
    hl_event_set_text(event, "ImageType", "ORIGINAL\\PRIMARY\\AXIAL");
    hl_event_set_text(event, "SliceThickness", "1.0");
    check_plan(&site, event, head, "READING");
    event = ct_event("instance.stored");
    hl_event_set_text(event, "Modality", "SR");
    hl_event_set_text(event, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.88.67");
    check_plan(&site, event, dose, "ARCHIVE");
    site_close(&site);
}

static void examples__refuse_and_hold_what_they_promise(void **unused)
{
    (void)unused;
    struct site site;
    struct hl_verdict verdict;
    examples_open(&site);
    hilum_event *event = ct_event("instance.received");
    hl_bus_dispatch(site.bus, event, HILUM_FILTER, &verdict);
    assert_int_equal(verdict.verdict, HILUM_REJECT);
    assert_string_equal(verdict.hook, "site/require-patient-id");
    hl_event_free(event);
    event = ct_event("instance.received");
    hl_event_set_text(event, "PatientID", "P1");
    hl_bus_dispatch(site.bus, event, HILUM_FILTER, &verdict);
    assert_int_equal(verdict.verdict, HILUM_HOLD);
    assert_string_equal(verdict.hook, "site/hold-unknown-sender");
    hl_event_set_text(event, "calling_aet", "ARCH");
    hl_bus_dispatch(site.bus, event, HILUM_FILTER, &verdict);
    assert_int_equal(verdict.verdict, HILUM_PASS);
    hl_event_free(event);
    site_close(&site);
}

static void files__are_regular_and_may_have_a_mark(void **unused)
{
    (void)unused;
    struct site site;
    char path[256];
    site_open(&site, NULL);
    site_rules(&site, "\xEF\xBB\xBF-- saved by an editor of Windows\r\n");
    site_write(&site, "tables/t.csv", "a,b\n1,2\n");
    snprintf(path, sizeof path, "%s/tables/pipe.csv", site.dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(site_load(&site, true), HILUM_EINVAL); /* and does not wait for a writer */
    assert_non_null(strstr(site.text, "pipe.csv: expected a regular file"));
    assert_int_equal(unlink(path), 0);
    snprintf(path, sizeof path, "%s/rules/pipe.lua", site.dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(site_load(&site, true), HILUM_EINVAL);
    assert_non_null(strstr(site.text, "pipe.lua: expected a regular file"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(site_load(&site, true), HILUM_OK);
    site_close(&site);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files__are_regular_and_may_have_a_mark),
        cmocka_unit_test(examples__plan_what_they_promise),
        cmocka_unit_test(examples__refuse_and_hold_what_they_promise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
