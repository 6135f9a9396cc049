/* Recording instances: rows, counts, identity, races. SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "tests/unit/record/fixture.h"

static void instance__is_found_where_it_was_put(void **state)
{
    struct fixture *f = *state;
    struct sample *sample = sample_new(1, "00100020", "P1", "00100010", "Doe^John", NULL);
    memset(sample->row.digest_received, 0xAB, 16);
    memset(sample->row.location.digest_stored, 0xCD, 16);
    sample->row.location.dataset_offset = 132;
    struct hl_stored stored, again;
    struct hl_instance *row = &sample->row;
    assert_int_equal(hl_record_instances(f->record, &row, 1), HILUM_OK);
    assert_int_equal(row->outcome, HL_OUTCOME_STORED);
    assert_true(row->is_new_study);
    assert_false(row->is_provisional);
    assert_int_equal(hl_record_stored(f->record, "1.2.826.4.1", &stored), HILUM_OK);
    assert_int_equal(stored.instance_id, row->instance_id);
    assert_string_equal(stored.location.store, "fs");
    assert_string_equal(stored.location.key, "k1");
    assert_int_equal(stored.location.length, 1000);
    assert_int_equal(stored.location.dataset_offset, 132);
    assert_memory_equal(stored.digest_received, row->digest_received, 16);
    assert_memory_equal(stored.location.digest_stored, row->location.digest_stored, 16);
    assert_string_equal(stored.transfer_syntax, "1.2.840.10008.1.2.1");
    assert_int_equal(hl_record_stored_by_id(f->record, row->instance_id, &again), HILUM_OK);
    assert_string_equal(again.sop_instance, "1.2.826.4.1");
    assert_int_equal(hl_record_stored(f->record, "9.9", &stored), HILUM_ENOTFOUND);
    sample_free(sample);
}

static void key__is_known_once_recorded(void **state)
{
    struct fixture *f = *state;
    bool has = true;
    assert_int_equal(hl_record_has_key(f->record, "fs", "k1", &has), HILUM_OK);
    assert_false(has);
    sample_store(f, sample_new(1, "00100020", "P1", NULL));
    assert_int_equal(hl_record_has_key(f->record, "fs", "k1", &has), HILUM_OK);
    assert_true(has);
}

static void second_time__exists_and_writes_nothing(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(sample_store(f, sample_new(1, "00100020", "P1", NULL)), HL_OUTCOME_STORED);
    int64_t journal = sql_int(f, "SELECT count(*) FROM journal");
    struct sample *again = sample_new(1, "00100020", "P1", "0020000D", "1.2.99", NULL);
    assert_int_equal(sample_store(f, again), HL_OUTCOME_EXISTS);
    assert_int_equal(sql_int(f, "SELECT count(*) FROM journal"), journal);
    assert_int_equal(sql_int(f, "SELECT count(*) FROM study"), 1);
}

static void missing_uid__is_einval_and_nothing_of_the_batch_stays(void **state)
{
    struct fixture *f = *state;
    struct sample *good = sample_new(1, "00100020", "P1", NULL);
    struct sample *bad = sample_new(2, "00100020", "P1", "0020000E", "", NULL);
    struct hl_instance *rows[] = {&good->row, &bad->row};
    assert_int_equal(hl_record_instances(f->record, rows, 2), HILUM_EINVAL);
    assert_int_equal(sql_int(f, "SELECT count(*) FROM instance"), 0);
    sample_free(good);
    sample_free(bad);
}

static void counts__follow_what_is_stored(void **state)
{
    struct fixture *f = *state;
    struct sample *samples[6];
    struct hl_instance *rows[6];
    for (unsigned i = 0; i < 6; i++) {
        samples[i] = sample_new(i, "00100020", "P1", "0020000D", "1.2.2", "0020000E",
                                i < 4 ? "1.2.3.1" : "1.2.3.2", "00080060", i < 4 ? "CT" : "SR",
                                "00080016", i < 4 ? "1.2.840.10008.5.1.4.1.1.2" : "1.2.3.4", NULL);
        rows[i] = &samples[i]->row;
    }
    assert_int_equal(hl_record_instances(f->record, rows, 5), HILUM_OK);
    assert_int_equal(hl_record_instances(f->record, rows + 5, 1), HILUM_OK);
    assert_string_equal(find_text(f, 2, 0x00201206, NULL), "2");
    assert_string_equal(find_text(f, 2, 0x00201208, NULL), "6");
    assert_string_equal(find_text(f, 2, 0x00080061, NULL), "CT\\SR");
    assert_string_equal(find_text(f, 2, 0x00080062, NULL), "1.2.840.10008.5.1.4.1.1.2\\1.2.3.4");
    assert_string_equal(find_text(f, 3, 0x00201209, NULL), "4 2");
    assert_string_equal(find_text(f, 1, 0x00201200, NULL), "1");
    assert_string_equal(find_text(f, 1, 0x00201202, NULL), "2");
    assert_string_equal(find_text(f, 1, 0x00201204, NULL), "6");
    assert_int_equal(sql_int(f, "SELECT instances FROM totals"), 6);
    assert_int_equal(sql_int(f, "SELECT bytes FROM totals"), 6000);
    for (unsigned i = 0; i < 6; i++)
        sample_free(samples[i]);
}

static void arrival__is_journaled_and_audited(void **state)
{
    struct fixture *f = *state;
    sample_store(f, sample_new(1, "00100020", "P1", NULL));
    sample_store(f, sample_new(2, "00100020", "P1", "0020000D", "1.2.826.2.1", NULL));
    assert_int_equal(sql_int(f, "SELECT count(*) FROM journal WHERE event='study.created'"), 1);
    assert_int_equal(sql_int(f, "SELECT count(*) FROM journal WHERE event='instance.stored'"), 2);
    assert_int_equal(sql_int(f, "SELECT count(*) FROM audit WHERE action='instance.store'"), 2);
}

static void same_patient__needs_issuer_and_id(void **state)
{
    struct fixture *f = *state;
    sample_store(f, sample_new(1, "00100020", "P1", "00100010", "Doe^J", NULL));
    sample_store(f, sample_new(2, "00100020", "P1", "00100010", "DOE^J", NULL));
    sample_store(f, sample_new(3, "00100020", "P1", "00100021", "OTHER", "00100010", "X", NULL));
    assert_int_equal(sql_int(f, "SELECT count(*) FROM patient"), 2);
    assert_string_equal(find_text(f, 2, HL_STUDY_INSTANCE_UID, "00100021", "HOSPITAL", NULL),
                        "1.2.826.2.1 1.2.826.2.2");
}

static void contradiction__hangs_the_study_on_a_provisional_patient(void **state)
{
    struct fixture *f = *state;
    static const char *const other[][2] = {
        {"00100010", "Roe^R"}, {"00100030", "19700101"}, {"00100040", "F"}};
    sample_store(f, sample_new(1, "00100020", "P1", "00100010", "Doe^J", "00100030", "19600101",
                               "00100040", "M", NULL));
    for (unsigned i = 0; i < 3; i++) {
        struct sample *s = sample_new(10 + i, "00100020", "P1", "00100010", "Doe^J", "00100030",
                                      "19600101", "00100040", "M", NULL);
        struct hl_instance *row = &s->row;
        hl_attrs_set(&s->attrs, (uint32_t)strtoul(other[i][0], NULL, 16), other[i][1]);
        assert_int_equal(hl_record_instances(f->record, &row, 1), HILUM_OK);
        assert_true(row->is_provisional);
        sample_free(s);
    }
    assert_int_equal(sql_int(f, "SELECT count(*) FROM conflict"), 3);
    assert_int_equal(sql_int(f, "SELECT count(*) FROM journal WHERE event='patient.conflicted'"),
                     3);
    assert_int_equal(sql_int(f, "SELECT n_studies FROM patient WHERE standing = 0"), 1);
}

static void newcomer__that_contradicts_alike_joins_the_provisional_patient(void **state)
{
    struct fixture *f = *state;
    sample_store(f, sample_new(1, "00100020", "P1", "00100010", "Doe^J", NULL));
    sample_store(f, sample_new(2, "00100020", "P1", "00100010", "Roe^R", NULL));
    sample_store(f, sample_new(3, "00100020", "P1", "00100010", "Roe^R", NULL));
    assert_int_equal(sql_int(f, "SELECT count(*) FROM conflict"), 1);
    assert_int_equal(sql_int(f, "SELECT n_studies FROM patient WHERE standing = 1"), 2);
}

static void empty_values__contradict_nothing_and_are_filled(void **state)
{
    struct fixture *f = *state;
    sample_store(f, sample_new(1, "00100020", "P1", NULL));
    sample_store(f, sample_new(2, "00100020", "P1", "00100010", "Doe^J", "00100030", "19600101",
                               "00100040", "M", NULL));
    assert_string_equal(find_text(f, 1, HL_PATIENT_NAME, NULL), "Doe^J");
    assert_string_equal(find_text(f, 1, HL_PATIENT_BIRTH_DATE, NULL), "19600101");
    assert_string_equal(find_text(f, 1, HL_PATIENT_ID, "00100010", "doe*", NULL), "P1");
}

static void empty_id__is_a_patient_for_each_study(void **state)
{
    struct fixture *f = *state;
    sample_store(f, sample_new(1, "00100010", "Doe^J", NULL));
    sample_store(f, sample_new(2, "00100010", "Doe^J", "0020000D", "1.2.826.2.1", NULL));
    sample_store(f, sample_new(3, "00100010", "Doe^J", NULL));
    assert_int_equal(sql_int(f, "SELECT count(*) FROM patient WHERE standing = 3"), 2);
    assert_int_equal(sql_int(f, "SELECT count(*) FROM conflict"), 0);
}

static void study__keeps_its_patient(void **state)
{
    struct fixture *f = *state;
    sample_store(f, sample_new(1, "00100020", "P1", "00100010", "Doe^J", NULL));
    sample_store(
        f, sample_new(2, "00100020", "P2", "00100010", "Roe^R", "0020000D", "1.2.826.2.1", NULL));
    assert_int_equal(sql_int(f, "SELECT count(*) FROM patient"), 1);
}

static void series_uid__used_in_two_studies_is_two_series(void **state)
{
    struct fixture *f = *state;
    sample_store(f, sample_new(1, "00100020", "P1", "0020000E", "1.2.3", NULL));
    sample_store(f, sample_new(2, "00100020", "P1", "0020000E", "1.2.3", NULL));
    assert_int_equal(sql_int(f, "SELECT count(*) FROM series"), 2);
}

enum { SENDERS = 8, EACH = 50 };

struct sender {
    struct fixture *f;
    pthread_barrier_t *start;
    unsigned number;
    int stored;
};

static void *send_all(void *arg)
{
    struct sender *sender = arg;
    pthread_barrier_wait(sender->start);
    for (unsigned i = 0; i < EACH; i++) {
        struct sample *s = sample_new(sender->number * EACH + i, "00100020", "P1", "00100010",
                                      "Doe^J", "0020000D", "1.2.2", "0020000E", "1.2.3", NULL);
        sender->stored += sample_store(sender->f, s) == HL_OUTCOME_STORED;
    }
    return NULL;
}

static void racing_senders__of_one_study_make_one_study(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[SENDERS];
    struct sender senders[SENDERS];
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, SENDERS);
    for (unsigned i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){.f = f, .start = &start, .number = i};
        pthread_create(&threads[i], NULL, send_all, &senders[i]);
    }
    for (unsigned i = 0; i < SENDERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(senders[i].stored, EACH);
    }
    assert_int_equal(sql_int(f, "SELECT count(*) FROM study"), 1);
    assert_int_equal(sql_int(f, "SELECT count(*) FROM patient"), 1);
    assert_int_equal(sql_int(f, "SELECT n_instances FROM study"), SENDERS * EACH);
    assert_int_equal(sql_int(f, "SELECT count(*) FROM instance"), SENDERS * EACH);
    pthread_barrier_destroy(&start);
}

static void reopened__has_what_was_acknowledged(void **state)
{
    struct fixture *f = *state;
    struct hl_stored stored;
    sample_store(f, sample_new(1, "00100020", "P1", NULL));
    hl_record_close(f->record);
    assert_int_equal(fixture_open(f), HILUM_OK);
    assert_int_equal(hl_record_stored(f->record, "1.2.826.4.1", &stored), HILUM_OK);
}

static void newer_database__is_refused_with_both_versions(void **state)
{
    struct fixture *f = *state;
    void *session;
    hl_record_close(f->record);
    f->record = NULL;
    assert_int_equal(f->db->open(f->instance, HILUM_DB_WRITE, NULL, &session), HILUM_OK);
    f->db->exec(session, "INSERT INTO hilum_schema VALUES (9999, 'future', 0)");
    f->db->close(session);
    assert_int_equal(fixture_open(f), HILUM_EUNSUP);
    assert_non_null(strstr(hl_error(), "9999"));
}

static void audit__cannot_be_changed(void **state)
{
    struct fixture *f = *state;
    void *session;
    assert_int_equal(hl_record_audit(f->record, "root", "test", "x", NULL, "{}"), HILUM_OK);
    hl_record_close(f->record);
    assert_int_equal(f->db->open(f->instance, HILUM_DB_WRITE, NULL, &session), HILUM_OK);
    assert_true(f->db->exec(session, "UPDATE audit SET who = 'me'") < 0);
    assert_true(f->db->exec(session, "DELETE FROM audit") < 0);
    f->db->close(session);
    assert_int_equal(fixture_open(f), HILUM_OK);
}

/* Reads the rest from within: deeper than there are reading sessions. */
struct nested {
    struct hl_record *record;
    int depth;
    int64_t last;
    bool is_found;
};

enum { NESTED = 64 };

static hilum_rc read_within(void *arg, const struct hl_audit_row *row)
{
    static const struct hl_audit_filter all = {.limit = 10};
    struct nested *nested = arg;
    nested->last = row->id;
    if (++nested->depth > NESTED)
        return HILUM_ECANCELLED;
    return nested->is_found
               ? hl_record_audit_find(nested->record, &all, read_within, nested)
               : hl_record_audit_rows(nested->record, row->id, INT64_MAX, read_within, nested);
}

static void audit_rows__are_told_without_a_session(void **state)
{
    struct fixture *f = *state;
    sql_run(f, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) "
               "INSERT INTO audit (at_us, who, action, what) SELECT i, 'a', 'b', 'c' FROM n;");
    struct nested nested = {.record = f->record};
    assert_int_equal(hl_record_audit_rows(f->record, 0, INT64_MAX, read_within, &nested),
                     HILUM_ECANCELLED);
    assert_int_equal(nested.last, NESTED + 1);
    nested = (struct nested){.record = f->record, .is_found = true};
    assert_int_equal(hl_record_audit_find(f->record, &(struct hl_audit_filter){.limit = 10},
                                          read_within, &nested),
                     HILUM_ECANCELLED);
}

struct counted {
    int64_t last, step;
    unsigned n;
};

static hilum_rc count_row(void *arg, const struct hl_audit_row *row)
{
    struct counted *counted = arg;
    assert_int_equal(row->id, counted->last + counted->step);
    assert_int_equal(strlen(row->after), 3000);
    counted->last = row->id;
    counted->n++;
    return HILUM_OK;
}

/* 1,200 rows of 3 kB: more than a page by number, and by bytes. */
static void audit_rows__are_all_told_once(void **state)
{
    struct fixture *f = *state;
    sql_run(f, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200) "
               "INSERT INTO audit (at_us, who, action, what, after_json) "
               "SELECT i, 'a', 'b', 'c', printf('%3000d', i) FROM n;");
    struct counted counted = {.step = 1};
    assert_int_equal(hl_record_audit_rows(f->record, 0, INT64_MAX, count_row, &counted), HILUM_OK);
    assert_int_equal(counted.n, 1200);
    counted = (struct counted){.last = 1201, .step = -1};
    assert_int_equal(hl_record_audit_find(f->record, &(struct hl_audit_filter){.limit = 1100},
                                          count_row, &counted),
                     HILUM_OK);
    assert_int_equal(counted.n, 1100);
}

int main(void)
{
#define RECORD(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        RECORD(instance__is_found_where_it_was_put),
        RECORD(key__is_known_once_recorded),
        RECORD(second_time__exists_and_writes_nothing),
        RECORD(missing_uid__is_einval_and_nothing_of_the_batch_stays),
        RECORD(counts__follow_what_is_stored),
        RECORD(arrival__is_journaled_and_audited),
        RECORD(same_patient__needs_issuer_and_id),
        RECORD(contradiction__hangs_the_study_on_a_provisional_patient),
        RECORD(newcomer__that_contradicts_alike_joins_the_provisional_patient),
        RECORD(empty_values__contradict_nothing_and_are_filled),
        RECORD(empty_id__is_a_patient_for_each_study),
        RECORD(study__keeps_its_patient),
        RECORD(series_uid__used_in_two_studies_is_two_series),
        RECORD(racing_senders__of_one_study_make_one_study),
        RECORD(reopened__has_what_was_acknowledged),
        RECORD(newer_database__is_refused_with_both_versions),
        RECORD(audit__cannot_be_changed),
        RECORD(audit_rows__are_told_without_a_session),
        RECORD(audit_rows__are_all_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
