/* Answers of the catalogue that are kept, and no longer than they hold. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "core/record/record_private.h"
#include "tests/unit/record/fixture.h"

#define STUDY  "1.2.826.2.1"
#define SERIES "1.2.826.3.1"
#define SOP    "1.2.826.4.1"

static void kept__holds_until_a_commit_begins(void **state)
{
    struct hl_recent *recent = NULL;
    struct hl_stored stored = {.instance_id = 7, .sop_instance = SOP}, got;
    struct hl_recent_object object = {.instance = 7, .sop_instance = SOP, .as_of = 3}, found;
    (void)state;
    assert_int_equal(hl_recent_new(&recent), HILUM_OK);
    assert_false(hl_recent_stored(recent, 7, &got));
    assert_false(hl_recent_stored(recent, 0, &got));
    assert_false(hl_recent_object(recent, "", "", "", &found));
    uint64_t asked = hl_recent_now(recent);
    hl_recent_keep_stored(recent, asked, &stored);
    hl_recent_keep_object(recent, asked, &object);
    assert_true(hl_recent_stored(recent, 7, &got));
    assert_string_equal(got.sop_instance, SOP);
    assert_true(hl_recent_object(recent, "", "", SOP, &found));
    assert_int_equal(found.as_of, 3);
    assert_false(hl_recent_object(recent, STUDY, "", SOP, &found)); /* another study's */
    hl_recent_commits(recent);
    assert_false(hl_recent_stored(recent, 7, &got));
    hl_recent_keep_stored(recent, asked, &stored);                 /* of before */
    hl_recent_keep_stored(recent, hl_recent_now(recent), &stored); /* of nobody knows when */
    assert_false(hl_recent_stored(recent, 7, &got));
    hl_recent_commits(recent);
    assert_false(hl_recent_stored(recent, 7, &got));
    assert_false(hl_recent_object(recent, "", "", SOP, &found));
    hl_recent_keep_stored(recent, asked, &stored);
    assert_false(hl_recent_stored(recent, 7, &got));
    hl_recent_free(recent);
}

static hilum_rc count(void *arg, const struct hilum_object_ref *object)
{
    assert_string_equal(object->sop_instance, SOP);
    assert_string_equal(object->study_uid, STUDY);
    assert_string_equal(object->transfer_syntax, "1.2.840.10008.1.2.1");
    assert_int_equal(object->length, 1000);
    ++*(unsigned *)arg;
    return HILUM_OK;
}

/* As a viewer asks for a frame; with the version of the catalogue. */
static unsigned objects(struct fixture *f, const char *series, int64_t *as_of)
{
    const struct hilum_catalog_key keys[] = {{HL_STUDY_INSTANCE_UID, 0, STUDY},
                                             {HL_SERIES_INSTANCE_UID, 0, series},
                                             {HL_SOP_INSTANCE_UID, 0, SOP}};
    unsigned n = 0;
    assert_int_equal(hl_record_objects(f->record, keys, 3, NULL, as_of, count, &n), HILUM_OK);
    return n;
}

static hilum_rc run(struct hl_session *session, void *arg)
{
    return hl_session_run(session, arg, "");
}

/* As a unit that says it changes no answer, and does: what is answered then was kept. */
static void behind(struct fixture *f, const char *sql)
{
    assert_int_equal(
        hl_writer_run_beside(f->record->writer, HL_LANE_OTHER, run, (void *)(uintptr_t)sql),
        HILUM_OK);
}

static void asked__again_is_told_without_the_database_until_something_changes(void **state)
{
    struct fixture *f = *state;
    struct hl_stored stored;
    int64_t as_of = 0, id = sample_store_id(f, sample_new(1, "00100020", "P1", NULL));
    assert_int_equal(objects(f, SERIES, &as_of), 1);
    assert_int_equal(objects(f, "1.2.826.3.2", &as_of), 0);
    assert_int_equal(hl_record_stored_by_id(f->record, id, &stored), HILUM_OK);
    assert_string_equal(stored.location.key, "k1");
    behind(f, "UPDATE location SET object_key = 'moved'");
    behind(f, "UPDATE instance SET state = 2");
    assert_int_equal(hl_record_audit(f->record, "user 0", "retrieve", STUDY, NULL, NULL), HILUM_OK);
    assert_int_equal(hl_record_stored_by_id(f->record, id, &stored), HILUM_OK);
    assert_string_equal(stored.location.key, "k1");
    assert_int_equal(objects(f, SERIES, &as_of), 1);
    assert_int_equal(hl_record_kv_set(f->record, "test", "any", "commit"), HILUM_OK);
    assert_int_equal(hl_record_stored_by_id(f->record, id, &stored), HILUM_OK);
    assert_string_equal(stored.location.key, "moved");
    assert_int_equal(objects(f, SERIES, &as_of), 0);
}

static void asked__after_a_correction_is_another_answer(void **state)
{
    struct fixture *f = *state;
    struct hl_stored stored;
    struct hl_attrs changes = {0};
    int64_t before = 0, after = 0;
    int64_t id = sample_store_id(f, sample_new(1, "00100020", "P1", "00100010", "Smyth", NULL));
    assert_int_equal(objects(f, SERIES, &before), 1);
    assert_int_equal(hl_record_stored_by_id(f->record, id, &stored), HILUM_OK);
    assert_false(stored.is_corrected);
    hl_attrs_set(&changes, HL_PATIENT_NAME, "Smith");
    assert_int_equal(hl_record_edit_patient(f->record, "P1", NULL, &changes, "root", "typing"),
                     HILUM_OK);
    hl_attrs_fini(&changes);
    assert_int_equal(objects(f, SERIES, &after), 1);
    assert_true(after > before);
    assert_int_equal(hl_record_stored_by_id(f->record, id, &stored), HILUM_OK);
    assert_true(stored.is_corrected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept__holds_until_a_commit_begins),
        cmocka_unit_test_setup_teardown(
            asked__again_is_told_without_the_database_until_something_changes, fixture_set_up,
            fixture_tear_down),
        cmocka_unit_test_setup_teardown(asked__after_a_correction_is_another_answer, fixture_set_up,
                                        fixture_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
