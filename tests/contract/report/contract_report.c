/* What every `report` must do (hilum/report.h). SPDX-License-Identifier: Apache-2.0 */
#include "tests/contract/contract.h"

#include <string.h>

#include "hilum/report.h"

static const char sound[] =
    "{\"title\":\"Chest "
    "CT\",\"sections\":[{\"heading\":\"Findings\",\"text\":\"\xE7\xBB\x93\xE8\x8A\x82 "
    "a < b & c\"}],\"status\":\"final\"}";

static hilum_rc no_attachment(void *ctx, const char *name, const char *media_type,
                              struct hilum_sink *out)
{
    (void)name, (void)media_type, (void)out;
    (*(unsigned *)ctx)++;
    return HILUM_ENOTFOUND;
}

static hilum_rc no_style(void *ctx, const char *name, struct hilum_sink *out)
{
    (void)name, (void)out;
    (*(unsigned *)ctx)++;
    return HILUM_ENOTFOUND;
}

static hilum_rc write_report(struct provided *p, const char *json, uint64_t n, struct kept *kept)
{
    unsigned asked = 0;
    const struct hilum_report *t = p->table;
    struct hilum_report_source source = {
        .size = sizeof source, .attachment = no_attachment, .style = no_style, .ctx = &asked};
    struct hilum_sink sink = kept_sink(kept);
    return t->write(p->self, json, n, &source, &sink);
}

static void table__says_what_it_writes(void **state)
{
    const struct hilum_report *t = ((struct provided *)*state)->table;
    assert_non_null(strchr(t->media_type, '/'));
    assert_true(!t->file_suffix || t->file_suffix[0] == '.');
}

static void write__gives_the_same_bytes_without_any_style_of_the_site(void **state)
{
    struct kept first = {0}, second = {0};
    assert_int_equal(write_report(*state, sound, sizeof sound - 1, &first), HILUM_OK);
    assert_int_equal(write_report(*state, sound, sizeof sound - 1, &second), HILUM_OK);
    assert_true(first.n > 0);
    assert_int_equal(first.n, second.n);
    assert_memory_equal(first.bytes, second.bytes, first.n);
    kept_free(&first);
    kept_free(&second);
}

static void write__tells_when_the_reader_has_gone(void **state)
{
    struct kept kept = {.limit = 1};
    assert_true(write_report(*state, sound, sizeof sound - 1, &kept) < 0);
    kept_free(&kept);
}

static void write__refuses_what_is_no_report(void **state)
{
    static const char *const texts[] = {"", "{", "\xff\xfe", "null", "[", "12"};
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct kept kept = {0};
        hilum_rc rc = write_report(*state, texts[i], strlen(texts[i]), &kept);
        if (i == 0)
            assert_int_equal(rc, HILUM_EINVAL);
        else
            assert_true(rc <= 0);
        kept_free(&kept);
    }
}

static void parse__where_offered_refuses_rubbish(void **state)
{
    struct provided *p = *state;
    const struct hilum_report *t = p->table;
    struct kept kept = {0};
    struct hilum_sink sink = kept_sink(&kept);
    if (!t->parse)
        skip();
    assert_true(t->parse(p->self, "\0\1\2", 3, &sink) < 0);
    assert_true(t->parse(p->self, "", 0, &sink) < 0);
    kept_free(&kept);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        PROVIDED_TEST(table__says_what_it_writes),
        PROVIDED_TEST(write__gives_the_same_bytes_without_any_style_of_the_site),
        PROVIDED_TEST(write__tells_when_the_reader_has_gone),
        PROVIDED_TEST(write__refuses_what_is_no_report),
        PROVIDED_TEST(parse__where_offered_refuses_rubbish)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return contract_main(argc, argv, HILUM_CAP_REPORT, run);
}
