/* Units of work that plugins record. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/record/record_private.h"
#include "tests/unit/record/fixture.h"

#define STEPS(...)                                                                                 \
    (const struct hilum_record_step[]){__VA_ARGS__},                                               \
        sizeof((struct hilum_record_step[]){__VA_ARGS__}) / sizeof(struct hilum_record_step)

static const struct hilum_record_step create = {
    .sql = "CREATE TABLE IF NOT EXISTS p_acme_seen (id BIGINT PRIMARY KEY, note TEXT)", .rows = -1};

static void unit__is_written_whole_or_not_at_all(void **state)
{
    struct fixture *f = *state;
    const struct hilum_value values[] = {{.type = HILUM_DB_INT, .integer = 1},
                                         {.type = HILUM_DB_TEXT, .bytes = "a", .n = 1}};
    const struct hilum_record_step insert = {.sql = "INSERT INTO p_acme_seen VALUES (?1, ?2)",
                                             .values = values,
                                             .n_values = 2,
                                             .rows = 1};
    const struct hilum_record_step other = {.sql = "INSERT INTO p_acme_seen VALUES (2, 'b')",
                                            .rows = 1};
    const struct hilum_record_step count = {.sql = "UPDATE p_acme_seen SET note = note || '!'",
                                            .rows = 1};
    assert_int_equal(hl_record_unit(f->record, "acme", STEPS(create, insert)), HILUM_OK);
    /* The same key again: the first of the two is undone with it. */
    assert_int_equal(hl_record_unit(f->record, "acme", STEPS(other, insert)), HILUM_EEXISTS);
    assert_int_equal(hl_record_unit(f->record, "acme", STEPS(count)),
                     HILUM_OK); /* one row is there */
    assert_int_equal(hl_record_unit(f->record, "acme", STEPS(other, count)), HILUM_ECONFLICT);
    assert_non_null(strstr(hl_error(), "changed 2 rows, expected 1"));
    assert_int_equal(hl_record_unit(f->record, "acme", STEPS(count)), HILUM_OK);
}

static void unit__reaches_the_plugins_own_tables_only(void **state)
{
    static const char *const denied[] = {
        "DELETE FROM study",
        "SELECT * FROM patient",
        "DELETE FROM audit",
        "CREATE TABLE p_other_x (a INT)",

        "PRAGMA synchronous = 0",
        "COMMIT",
        "ROLLBACK",
        "BEGIN",
        "SAVEPOINT x",
        "ATTACH '/tmp/x' AS x",
        "CREATE TRIGGER t AFTER INSERT ON p_acme_seen BEGIN DELETE FROM study; END"};
    struct fixture *f = *state;
    assert_int_equal(hl_record_unit(f->record, "acme", STEPS(create)), HILUM_OK);
    for (unsigned i = 0; i < sizeof denied / sizeof *denied; i++) {
        const struct hilum_record_step step = {.sql = denied[i], .rows = -1};
        if (hl_record_unit(f->record, "acme", STEPS(step)) != HILUM_EDENIED)
            fail_msg("%s: %s", denied[i], hl_error());
    }
    /* The kernel is not confined afterwards. */
    assert_int_equal(hl_record_kv_set(f->record, "test", "key", "value"), HILUM_OK);
    assert_int_equal(hl_record_unit(f->record, "no_such_name", STEPS(create)), HILUM_EINVAL);
    assert_int_equal(hl_record_kv_set(f->record, "test", "key", "other"), HILUM_OK);
}

static void unit__that_takes_too_long_is_undone_and_delays_nobody(void **state)
{
    static const struct hilum_record_step endless = {
        .sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
               "INSERT INTO p_acme_seen SELECT i, '' FROM n",
        .rows = -1};
    static const struct hilum_record_step first = {.sql = "INSERT INTO p_acme_seen VALUES (-1, '')",
                                                   .rows = 1};
    struct fixture *f = *state;
    assert_int_equal(hl_record_unit(f->record, "acme", STEPS(create)), HILUM_OK);
    int64_t began = hl_mono_ms();
    assert_int_equal(hl_record_unit(f->record, "acme", STEPS(first, endless)), HILUM_ETIMEDOUT);
    assert_in_range(hl_mono_ms() - began, 50, 10000);
    assert_int_equal(hl_record_unit(f->record, "acme", STEPS(first)),
                     HILUM_OK); /* nothing of it was kept */
    assert_int_equal(hl_record_kv_set(f->record, "test", "key", "value"), HILUM_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(unit__is_written_whole_or_not_at_all, fixture_set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(unit__reaches_the_plugins_own_tables_only, fixture_set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(unit__that_takes_too_long_is_undone_and_delays_nobody,
                                        fixture_set_up, fixture_tear_down)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
