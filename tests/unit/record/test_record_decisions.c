/* Edits, identity conflicts and quarantine: what people decide. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/bus/bus.h"
#include "tests/unit/record/fixture.h"

static hilum_rc edit(struct fixture *f, const char *id, uint32_t tag, const char *text)
{
    struct hl_attrs changes = {0};
    hl_attrs_set(&changes, tag, text);
    hilum_rc rc = hl_record_edit_patient(f->record, id, NULL, &changes, "root", "typing error");
    hl_attrs_fini(&changes);
    return rc;
}

static hilum_rc collect(void *arg, const struct hilum_object_ref *object)
{
    char *text = arg;
    size_t n = strlen(text);
    snprintf(text + n, 512 - n, "%s ", strrchr(object->sop_instance, '.') + 1);
    return HILUM_OK;
}

static int64_t objects(struct fixture *f, const char *study, char text[512])
{
    const struct hilum_catalog_key key = {.tag = HL_STUDY_INSTANCE_UID, .value = study};
    int64_t as_of = 0;
    text[0] = '\0';
    assert_int_equal(hl_record_objects(f->record, &key, 1, NULL, &as_of, collect, text), HILUM_OK);
    return as_of;
}

static void objects__come_by_series_and_instance_number(void **state)
{
    struct fixture *f = *state;
    static const char *const rows[][3] = {/* series uid, series number, instance number */
                                          {"1.3.2", "2", "1"},
                                          {"1.3.1", "1", "10"},
                                          {"1.3.1", "1", "9"},
                                          {"1.3.3", "", "1"},
                                          {"1.3.1", "1", ""}};
    char text[512];
    for (unsigned i = 0; i < 5; i++)
        sample_store(f, sample_new(i, "00100020", "P1", "0020000D", "1.2", "0020000E", rows[i][0],
                                   "00200011", rows[i][1], "00200013", rows[i][2], NULL));
    sample_store(f, sample_new(9, "00100020", "P1", NULL));
    objects(f, "1.2", text);
    assert_string_equal(text, "2 1 4 0 3 ");
    objects(f, "9.9", text);
    assert_string_equal(text, "");
    int64_t as_of;
    const struct hilum_catalog_key keys[] = {
        {.tag = HL_STUDY_INSTANCE_UID, .value = "1.2"},
        {.tag = HL_SOP_INSTANCE_UID, .value = "1.2.826.4.0\\1.2.826.4.4\\1.2.826.4.9"}};
    assert_int_equal(hl_record_objects(f->record, keys, 2, NULL, &as_of, collect, text), HILUM_OK);
    assert_string_equal(text, "4 0 ");
    assert_int_equal(hl_record_objects(f->record, keys, 0, NULL, &as_of, collect, text),
                     HILUM_EINVAL);
}

static void edit__is_seen_in_answers_and_in_overlays_from_then_on(void **state)
{
    struct fixture *f = *state;
    struct hl_overlays overlays;
    char text[512];
    int64_t id = sample_store_id(
        f, sample_new(1, "00100020", "P1", "00100010", "Smyth^Jon", "00100030", "19600101", NULL));
    int64_t before = objects(f, "1.2.826.2.1", text);
    assert_int_equal(edit(f, "P1", HL_PATIENT_NAME, "Smith^John"), HILUM_OK);
    int64_t between = objects(f, "1.2.826.2.1", text);
    assert_int_equal(edit(f, "P1", HL_PATIENT_NAME, "Smith^Johnny"), HILUM_OK);
    assert_true(before > 0 && between > before);
    assert_string_equal(find_text(f, 2, HL_PATIENT_NAME, "00100010", "smith*", NULL),
                        "Smith^Johnny");
    assert_string_equal(find_text(f, 2, HL_PATIENT_NAME, "00100010", "smyth*", NULL), "");
    assert_int_equal(hl_record_overlays(f->record, id, before, &overlays), HILUM_OK);
    assert_int_equal(overlays.n, 0);
    hl_overlays_fini(&overlays);
    assert_int_equal(hl_record_overlays(f->record, id, between, &overlays), HILUM_OK);
    assert_int_equal(overlays.n, 1);
    assert_string_equal(overlays.items[0].text, "Smith^John");
    hl_overlays_fini(&overlays);
    assert_int_equal(hl_record_overlays(f->record, id, 0, &overlays), HILUM_OK);
    assert_int_equal(overlays.n, 1);
    assert_string_equal(overlays.items[0].text, "Smith^Johnny");
    assert_string_equal(overlays.items[0].old_text, "Smyth^Jon");
    assert_string_equal(overlays.items[0].who, "root");
    hl_overlays_fini(&overlays);
    assert_int_equal(sql_int(f, "SELECT count(*) FROM audit WHERE action = 'patient.edit' AND "
                                "before_json LIKE '%Smyth^Jon%' AND after_json LIKE '%John%'"),
                     1);
}

static void edit__of_the_id_may_not_take_anothers(void **state)
{
    struct fixture *f = *state;
    sample_store(f, sample_new(1, "00100020", "P1", NULL));
    sample_store(f, sample_new(2, "00100020", "P2", NULL));
    assert_int_equal(edit(f, "P1", HL_PATIENT_ID, "P2"), HILUM_ECONFLICT);
    assert_int_equal(edit(f, "P1", HL_PATIENT_ID, "P3"), HILUM_OK);
    assert_int_equal(edit(f, "P1", HL_PATIENT_ID, "P4"), HILUM_ENOTFOUND);
    assert_int_equal(edit(f, "P3", HL_PATIENT_ID, ""), HILUM_EINVAL);
    assert_int_equal(edit(f, "P3", HL_STUDY_INSTANCE_UID, "1"), HILUM_EINVAL);
    assert_string_equal(find_text(f, 2, HL_STUDY_INSTANCE_UID, "00100020", "P3", NULL),
                        "1.2.826.2.1");
}

/* The overlay of one tag for an instance, "" without one. */
static const char *corrected(struct fixture *f, int64_t id, uint32_t tag)
{
    static char text[128];
    struct hl_overlays overlays;
    text[0] = '\0';
    assert_int_equal(hl_record_overlays(f->record, id, 0, &overlays), HILUM_OK);
    for (size_t i = 0; i < overlays.n; i++)
        if (overlays.items[i].tag == tag)
            snprintf(text, sizeof text, "%s<%s", overlays.items[i].text,
                     overlays.items[i].old_text);
    hl_overlays_fini(&overlays);
    return text;
}

static int64_t arrive(struct fixture *f, unsigned number, const char *id, const char *name,
                      const char *birth)
{
    return sample_store_id(f, sample_new(number, "00100020", id, "00100010", name, "00100030",
                                         birth, "00100040", "M", NULL));
}

static void late_study__under_the_old_name_is_corrected_too(void **state)
{
    struct fixture *f = *state;
    struct hl_buf story = {0};
    arrive(f, 1, "P1", "Smyth^Jon", "19600101");
    assert_int_equal(edit(f, "P1", HL_PATIENT_NAME, "Smith^John"), HILUM_OK);
    int64_t late = arrive(f, 2, "P1", "SMYTH^JON^^", "19600101");
    assert_int_equal(sql_int(f, "SELECT count(*) FROM conflict"), 0);
    assert_string_equal(find_text(f, 2, HL_PATIENT_NAME, NULL), "Smith^John Smith^John");
    assert_string_equal(corrected(f, late, HL_PATIENT_NAME), "Smith^John<SMYTH^JON^^");
    assert_int_equal(hl_record_explain_study(f->record, "1.2.826.2.2", &story), HILUM_OK);
    static const char *const told[] = {"arrived under the former identity: typing error",
                                       "\"who\":\"root\"", "patient.recognise", "Smith^John"};
    for (size_t i = 0; i < 4; i++)
        if (!strstr(hl_buf_str(&story), told[i]))
            fail_msg("%s not in %s", told[i], hl_buf_str(&story));
    hl_buf_fini(&story);
    /* the corrected name as it stands needs nothing */
    int64_t good = arrive(f, 3, "P1", "Smith^John", "19600101");
    assert_string_equal(corrected(f, good, HL_PATIENT_NAME), "");
    assert_int_equal(sql_int(f, "SELECT count(*) FROM patient"), 1);
}

static void late_study__of_anybody_else_is_still_a_conflict(void **state)
{
    struct fixture *f = *state;
    arrive(f, 1, "P1", "Smyth^Jon", "19600101");
    assert_int_equal(edit(f, "P1", HL_PATIENT_NAME, "Smith^John"), HILUM_OK);
    arrive(f, 2, "P1", "Smyth^Jon", "19610101");
    assert_int_equal(sql_int(f, "SELECT count(*) FROM conflict"), 1);
    arrive(f, 3, "P1", "Smythe^Jon", "19600101");
    assert_int_equal(sql_int(f, "SELECT count(*) FROM conflict"), 2);
}

static void late_study__follows_several_corrections_and_a_new_id(void **state)
{
    struct fixture *f = *state;
    arrive(f, 1, "P1", "Smyth^Jon", "19600101");
    assert_int_equal(edit(f, "P1", HL_PATIENT_NAME, "Smith^Jon"), HILUM_OK);
    assert_int_equal(edit(f, "P1", HL_PATIENT_ID, "P7"), HILUM_OK);
    assert_int_equal(edit(f, "P7", HL_PATIENT_NAME, "Smith^John"), HILUM_OK);
    int64_t first = arrive(f, 2, "P1", "Smyth^Jon", "");
    assert_string_equal(corrected(f, first, HL_PATIENT_NAME), "Smith^John<Smyth^Jon");
    assert_string_equal(corrected(f, first, HL_PATIENT_ID), "P7<P1");
    int64_t second = arrive(f, 3, "P7", "Smith^Jon", "19600101");
    assert_string_equal(corrected(f, second, HL_PATIENT_NAME), "Smith^John<Smith^Jon");
    assert_string_equal(corrected(f, second, HL_PATIENT_ID), "");
    assert_int_equal(sql_int(f, "SELECT count(*) FROM patient"), 1);
    /* the old number with another name is somebody new */
    arrive(f, 4, "P1", "Other^Person", "19700101");
    assert_int_equal(sql_int(f, "SELECT count(*) FROM patient WHERE patient_id = 'P1'"), 1);
    assert_int_equal(sql_int(f, "SELECT count(*) FROM conflict"), 0);
}

static void late_study__that_two_were_called_so_is_nobodys(void **state)
{
    struct fixture *f = *state;
    arrive(f, 1, "P1", "Smyth^Jon", "19600101");
    assert_int_equal(edit(f, "P1", HL_PATIENT_ID, "P2"), HILUM_OK);
    arrive(f, 2, "P1", "Smyth^Jon", "19700101"); /* not the same: another birth date */
    assert_int_equal(edit(f, "P1", HL_PATIENT_ID, "P3"), HILUM_OK);
    int64_t third = arrive(f, 3, "P1", "Smyth^Jon", "");
    assert_string_equal(corrected(f, third, HL_PATIENT_ID), "");
    assert_int_equal(sql_int(f, "SELECT count(*) FROM patient"), 3);
}

static void conflict_set(struct fixture *f, int64_t *instance)
{
    sample_store(f, sample_new(1, "00100020", "P1", "00100010", "Doe^J", "00100040", "M", NULL));
    *instance = sample_store_id(
        f, sample_new(2, "00100020", "P1", "00100010", "Roe^R", "00100040", "F", NULL));
}

static void conflict__is_listed_with_both_sides(void **state)
{
    struct fixture *f = *state;
    struct hl_buf json = {0};
    int64_t instance;
    conflict_set(f, &instance);
    assert_int_equal(hl_record_conflicts(f->record, &json), HILUM_OK);
    static const char *const parts[] = {"\"conflict\":1", "\"differs\":\"PatientName,PatientSex\"",
                                        "\"newcomer\":{\"PatientName\":\"Roe^R\"",
                                        "\"known\":{\"PatientName\":\"Doe^J\"", "1.2.826.2.2"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!strstr(hl_buf_str(&json), parts[i]))
            fail_msg("%s not in %s", parts[i], hl_buf_str(&json));
    hl_buf_fini(&json);
}

static void same_person__joins_the_study_and_corrects_what_leaves(void **state)
{
    struct fixture *f = *state;
    struct hl_overlays overlays;
    int64_t instance;
    conflict_set(f, &instance);
    assert_int_equal(hl_record_resolve_conflict(f->record, 1, true, "root"), HILUM_OK);
    assert_string_equal(find_text(f, 1, 0x00201200, NULL), "2");
    assert_string_equal(find_text(f, 2, HL_PATIENT_NAME, NULL), "Doe^J Doe^J");
    assert_int_equal(hl_record_overlays(f->record, instance, 0, &overlays), HILUM_OK);
    assert_int_equal(overlays.n, 2);
    assert_string_equal(overlays.items[0].text, "Doe^J");
    assert_string_equal(overlays.items[1].text, "M");
    hl_overlays_fini(&overlays);
    assert_int_equal(hl_record_resolve_conflict(f->record, 1, true, "root"), HILUM_ENOTFOUND);
    assert_int_equal(sql_int(f, "SELECT patients FROM totals"), 1);
}

static void same_person__decided_once_is_known_next_time(void **state)
{
    struct fixture *f = *state;
    int64_t instance;
    conflict_set(f, &instance);
    assert_int_equal(hl_record_resolve_conflict(f->record, 1, true, "root"), HILUM_OK);
    int64_t next = sample_store_id(
        f, sample_new(3, "00100020", "P1", "00100010", "Roe^R", "00100040", "F", NULL));
    assert_int_equal(sql_int(f, "SELECT count(*) FROM conflict WHERE state = 0"), 0);
    assert_string_equal(corrected(f, next, HL_PATIENT_NAME), "Doe^J<Roe^R");
}

static void another_person__stays_apart_and_is_known_next_time(void **state)
{
    struct fixture *f = *state;
    int64_t instance;
    conflict_set(f, &instance);
    assert_int_equal(hl_record_resolve_conflict(f->record, 1, false, "root"), HILUM_OK);
    struct sample *third =
        sample_new(3, "00100020", "P1", "00100010", "Roe^R", "00100040", "F", NULL);
    struct hl_instance *row = &third->row;
    assert_int_equal(hl_record_instances(f->record, &row, 1), HILUM_OK);
    assert_false(row->is_provisional);
    sample_free(third);
    assert_int_equal(sql_int(f, "SELECT count(*) FROM conflict WHERE state = 0"), 0);
    assert_int_equal(sql_int(f, "SELECT count(*) FROM patient"), 2);
}

static void hold(struct fixture *f, unsigned number)
{
    const struct hl_plan_step step = {"site/a", 0, "send", "{\"to\":\"A\"}"};
    struct sample *sample = sample_new(number, "00100020", "P1", "0020000D", "1.2", NULL);
    sample->row.is_held = true;
    sample->row.held_by = "site/check";
    sample->row.held_reason = "no accession";
    sample->row.plan = &step;
    sample->row.n_plan = 1;
    assert_int_equal(sample_store(f, sample), HL_OUTCOME_QUARANTINED);
}

static hilum_rc no_job(void *arg, const struct hl_job *job)
{
    (void)job;
    ++*(unsigned *)arg;
    return HILUM_OK;
}

static void held_instance__is_found_but_not_announced_until_released(void **state)
{
    struct fixture *f = *state;
    struct hl_buf json = {0};
    unsigned jobs = 0;
    uint64_t n = 0;
    hold(f, 1);
    hold(f, 2);
    assert_string_equal(find_text(f, 2, 0x00201208, NULL), "2");
    assert_int_equal(sql_int(f, "SELECT count(*) FROM journal WHERE event='instance.stored'"), 0);
    hl_record_jobs_claim(f->record, "A", 10, 1000, no_job, &jobs);
    assert_int_equal(jobs, 0);
    assert_int_equal(hl_record_quarantine_list(f->record, &json), HILUM_OK);
    assert_non_null(strstr(hl_buf_str(&json), "\"rule\":\"site/check\""));
    hl_buf_fini(&json);
    assert_int_equal(hl_record_quarantine_release(f->record, "1.2", "root", HL_KNOWN_REPLACE, &n),
                     HILUM_OK);
    assert_int_equal(n, 2);
    assert_int_equal(sql_int(f, "SELECT count(*) FROM journal WHERE event='instance.stored'"), 2);
    hl_record_jobs_claim(f->record, "A", 10, 1000, no_job, &jobs);
    assert_int_equal(jobs, 2);
    assert_int_equal(hl_record_quarantine_release(f->record, "1.2", "root", HL_KNOWN_REPLACE, &n),
                     HILUM_ENOTFOUND);
}

static hilum_rc erase_any(void *arg, const char *store, const char *key)
{
    (void)store;
    snprintf(arg, 32, "%s", key);
    return HILUM_OK;
}

static void discarded_instance__is_gone_and_may_come_again(void **state)
{
    struct fixture *f = *state;
    struct hl_stored stored;
    char erased[32] = "";
    uint64_t n;
    hold(f, 1);
    assert_int_equal(hl_record_quarantine_discard(f->record, "1", "root", &n), HILUM_OK);
    assert_int_equal(hl_record_stored(f->record, "1.2.826.4.1", &stored), HILUM_ENOTFOUND);
    for (unsigned level = 1; level <= 4; level++)
        assert_string_equal(find_text(f, level, HL_PATIENT_ID, NULL), "");
    assert_int_equal(sql_int(f, "SELECT instances + series + studies + bytes FROM totals"), 0);
    assert_int_equal(hl_record_housekeep(f->record, 86400000, erase_any, erased), HILUM_OK);
    assert_string_equal(erased, "k1");
    assert_int_equal(sample_store(f, sample_new(1, "00100020", "P1", "0020000D", "1.2", NULL)),
                     HL_OUTCOME_STORED);
    assert_string_equal(find_text(f, 2, 0x00201206, NULL), "1");
    assert_string_equal(find_text(f, 1, 0x00201200, NULL), "1");
}

static struct sample *other_content(void)
{
    struct sample *sample = sample_new(1, "00100020", "P1", NULL);
    sample->row.quarantine_of = "1.2.826.4.1";
    sample->row.held_reason = "different content";
    snprintf(sample->row.location.key, sizeof sample->row.location.key, "other");
    return sample;
}

static void other_content__is_kept_aside_and_replaces_when_released(void **state)
{
    struct fixture *f = *state;
    struct hl_stored stored;
    uint64_t n;
    bool has;
    sample_store(f, sample_new(1, "00100020", "P1", NULL));
    assert_int_equal(sample_store(f, other_content()), HL_OUTCOME_QUARANTINED);
    assert_string_equal(find_text(f, 2, 0x00201208, NULL), "1");
    assert_string_equal(find_text(f, 4, HL_SOP_INSTANCE_UID, NULL), "1.2.826.4.1");
    hl_record_stored(f->record, "1.2.826.4.1", &stored);
    assert_string_equal(stored.location.key, "k1");
    hl_record_has_key(f->record, "fs", "other", &has);
    assert_true(has);
    assert_int_equal(
        hl_record_quarantine_release(f->record, "1.2.826.4.1", "root", HL_KNOWN_REPLACE, &n),
        HILUM_OK);
    hl_record_stored(f->record, "1.2.826.4.1", &stored);
    assert_string_equal(stored.location.key, "other");
    assert_string_equal(find_text(f, 2, 0x00201208, NULL), "1");
    assert_int_equal(sql_int(f, "SELECT count(*) FROM erasure WHERE object_key = 'k1'"), 1);
}

static void
other_content__released_leaves_the_first_as_a_version_where_versions_are_kept(void **state)
{
    struct fixture *f = *state;
    struct hl_stored stored;
    uint64_t n;
    sample_store(f, sample_new(1, "00100020", "P1", NULL));
    sample_store(f, other_content());
    assert_int_equal(
        hl_record_quarantine_release(f->record, "1.2.826.4.1", "root", HL_KNOWN_VERSION, &n),
        HILUM_OK);
    assert_int_equal(hl_record_version(f->record, "1.2.826.4.1", 1, &stored), HILUM_OK);
    assert_string_equal(stored.location.key, "k1");
    assert_int_equal(hl_record_version(f->record, "1.2.826.4.1", 2, &stored), HILUM_OK);
    assert_string_equal(stored.location.key, "other");
    assert_int_equal(sql_int(f, "SELECT count(*) FROM erasure"), 0);
}

static void other_content__discarded_leaves_the_first(void **state)
{
    struct fixture *f = *state;
    struct hl_stored stored;
    uint64_t n;
    sample_store(f, sample_new(1, "00100020", "P1", NULL));
    sample_store(f, other_content());
    assert_int_equal(hl_record_quarantine_discard(f->record, "1.2.826.4.1", "root", &n), HILUM_OK);
    hl_record_stored(f->record, "1.2.826.4.1", &stored);
    assert_string_equal(stored.location.key, "k1");
    assert_string_equal(find_text(f, 2, 0x00201208, NULL), "1");
    assert_int_equal(sql_int(f, "SELECT count(*) FROM erasure WHERE object_key = 'other'"), 1);
}

static hilum_rc count_location(void *arg, int64_t id, const struct hl_location *location,
                               const char *state)
{
    assert_true(id > 0 && *location->key);
    assert_string_equal(state, "current");
    ++*(unsigned *)arg;
    return HILUM_OK;
}

static void locations__are_all_visited(void **state)
{
    struct fixture *f = *state;
    unsigned n = 0;
    for (unsigned i = 0; i < 300; i++)
        sample_store(f, sample_new(i, "00100020", "P1", "0020000D", "1.2", NULL));
    assert_int_equal(hl_record_locations(f->record, "fs", count_location, &n), HILUM_OK);
    assert_int_equal(n, 300);
}

int main(void)
{
#define RECORD(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        RECORD(objects__come_by_series_and_instance_number),
        RECORD(edit__is_seen_in_answers_and_in_overlays_from_then_on),
        RECORD(edit__of_the_id_may_not_take_anothers),
        RECORD(late_study__under_the_old_name_is_corrected_too),
        RECORD(late_study__of_anybody_else_is_still_a_conflict),
        RECORD(late_study__follows_several_corrections_and_a_new_id),
        RECORD(late_study__that_two_were_called_so_is_nobodys),
        RECORD(same_person__decided_once_is_known_next_time),
        RECORD(conflict__is_listed_with_both_sides),
        RECORD(same_person__joins_the_study_and_corrects_what_leaves),
        RECORD(another_person__stays_apart_and_is_known_next_time),
        RECORD(held_instance__is_found_but_not_announced_until_released),
        RECORD(discarded_instance__is_gone_and_may_come_again),
        RECORD(other_content__is_kept_aside_and_replaces_when_released),
        RECORD(other_content__released_leaves_the_first_as_a_version_where_versions_are_kept),
        RECORD(other_content__discarded_leaves_the_first),
        RECORD(locations__are_all_visited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
