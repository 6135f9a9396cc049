/* Objects that are answered before their rows are written: what may be owed, and that each comes to its row whatever becomes of
 * the association, the record or the process. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/store/store_internal.h"
#include "tests/unit/store/ingest_fixture.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, pipeline_teardown)

static int setup(void **state)
{
    int rc = pipeline_setup(state);
    struct pipeline *p = *state;
    p->source.may_owe = true;
    p->record->is_late = true;
    return rc;
}

/* Also asked by the prober's thread. */
static void record_fails(struct pipeline *p, hilum_rc rc)
{
    pthread_mutex_lock(&p->record->lock);
    p->record->fail_with = rc;
    pthread_mutex_unlock(&p->record->lock);
}

static size_t rows_of(struct pipeline *p)
{
    pthread_mutex_lock(&p->record->lock);
    size_t n = p->record->n;
    pthread_mutex_unlock(&p->record->lock);
    return n;
}

static void must_send(struct pipeline *p, const char *uid, unsigned seed,
                      struct hl_ingest_result *result)
{
    assert_int_equal(image_send(p, uid, seed, result), HILUM_OK);
    assert_int_equal(result->status, 0);
}

/* Nothing is on its way any more: ten seconds; the prober comes each second. */
static void work_ends(struct pipeline *p)
{
    int64_t until = hl_mono_ms() + 10000;
    while ((hl_ingest_oldest(p->store) != 0 || atomic_load(&p->store->n_owed_failed) > 0) &&
           hl_mono_ms() < until)
        poll(NULL, 0, 10);
    assert_int_equal(hl_ingest_oldest(p->store), 0);
    assert_int_equal(atomic_load(&p->store->n_owed_failed), 0);
}

static void row__comes_after_the_answer_and_outlives_the_association(void **state)
{
    struct pipeline *p = *state;
    struct hl_ingest_result result;
    char *peer = strdup("CT1");
    p->source.peer = peer;
    must_send(p, "1.2.3", 1, &result);
    memset(peer, 'x', 3);
    free(peer);
    p->source.peer = "";
    assert_int_equal(rows_of(p), 0);
    assert_string_not_equal(result.study_uid, "");
    hl_record_settle(p->record);
    assert_int_equal(rows_of(p), 1);
    assert_string_equal(p->record->rows[0].peer, "CT1");
    pipeline_restart(p);
    assert_int_equal(pipeline_objects(p), 1);
}

static void row__is_written_before_the_answer_where_that_tells_its_number(void **state)
{
    struct pipeline *p = *state;
    struct hl_ingest_result result;
    p->source.may_owe = false;
    must_send(p, "1.2.3", 1, &result);
    assert_int_equal(rows_of(p), 1);
    assert_int_equal(result.instance_id, 1);
}

static void known_uid__is_decided_before_the_answer(void **state)
{
    struct pipeline *p = *state;
    struct hl_ingest_result result;
    must_send(p, "1.2.3", 1, &result);
    hl_record_settle(p->record);
    must_send(p, "1.2.3", 1, &result);
    assert_true(result.is_duplicate);
    must_send(p, "1.2.3", 2, &result);
    assert_true(result.is_held);
}

/* The second is decided as if the first had its row: the record writes that before. */
static void uid_that_is_owed__is_decided_before_the_answer(void **state)
{
    struct pipeline *p = *state;
    struct hl_ingest_result result;
    struct dataset dataset = {"1.2.3", "1.2", "1.2.1", "P", 1, 1000};
    struct hl_buf bytes = {0};
    struct hl_ingest *first = NULL;
    dataset_build(&dataset, &bytes);
    assert_int_equal(
        hl_ingest_begin(p->store, &p->source, CT_IMAGE, "1.2.3", EXPLICIT_LE, &first, &result),
        HILUM_OK);
    assert_int_equal(hl_ingest_data(first, bytes.data, bytes.len), HILUM_OK);
    must_send(p, "1.2.3", 2, &result); /* another one of that UID is on its way */
    assert_int_equal(rows_of(p), 1);
    assert_int_equal(hl_ingest_end(first, &result), HILUM_OK); /* it came second */
    assert_true(result.is_held);
    hl_buf_fini(&bytes);
}

static void failing_record__is_tried_until_it_writes(void **state)
{
    struct pipeline *p = *state;
    struct hl_ingest_result result;
    must_send(p, "1.2.3", 1, &result);
    record_fails(p, HILUM_EFULL);
    hl_record_settle(p->record);
    assert_int_equal(rows_of(p), 0);
    assert_true(image_send(p, "1.2.4", 2, &result) < 0); /* nothing more is promised meanwhile */
    assert_int_equal(result.status, 0xA700);
    record_fails(p, HILUM_OK);
    work_ends(p);
    pipeline_restart(p);
    assert_int_equal(rows_of(p), 1);
    assert_int_equal(pipeline_objects(p), 1);
}

static void transaction_that_was_written_after_all__is_not_written_twice(void **state)
{
    struct pipeline *p = *state;
    struct hl_ingest_result result;
    must_send(p, "1.2.3", 1, &result);
    record_fails(p, HILUM_EIO);
    p->record->fail_after = true;
    hl_record_settle(p->record);
    record_fails(p, HILUM_OK);
    work_ends(p);
    pipeline_restart(p);
    assert_int_equal(rows_of(p), 1);
    assert_int_equal(pipeline_objects(p), 1);
}

/* What hl_record_is_current could not see: a release from quarantine between the look and the row. */
static void uid_that_was_taken_meanwhile__keeps_what_differs_and_drops_what_does_not(void **state)
{
    struct pipeline *p = *state;
    struct hl_ingest_result result;
    must_send(p, "1.2.3", 1, &result);
    hl_record_settle(p->record);
    p->record->is_blind = true;
    must_send(p, "1.2.3", 1, &result);
    assert_false(result.is_duplicate);
    hl_record_settle(p->record);
    work_ends(p);
    assert_int_equal(atomic_load(&p->store->duplicates), 1);
    must_send(p, "1.2.3", 2, &result);
    assert_false(result.is_held);
    hl_record_settle(p->record);
    work_ends(p);
    assert_int_equal(rows_of(p), 2);
    assert_true(p->record->rows[1].is_quarantined);
    pipeline_restart(p);
    assert_int_equal(rows_of(p), 2);
    assert_int_equal(pipeline_objects(p), 2);
}

static void unwritable_send(struct pipeline *p)
{
    struct hl_ingest_result result;
    must_send(p, "1.2.3", 1, &result);
    record_fails(p, HILUM_EINVAL);
    hl_record_settle(p->record);
    work_ends(p); /* it has been given up */
}

static void row_that_cannot_be_written__stays_in_the_log_for_the_next_start(void **state)
{
    struct pipeline *p = *state;
    pipeline_child(p, unwritable_send);
    pipeline_open(p);
    assert_int_equal(rows_of(p), 1);
    assert_int_equal(pipeline_objects(p), 1);
}

static void send_and_stop(struct pipeline *p)
{
    struct hl_ingest_result result;
    must_send(p, "1.2.3", 1, &result);
    record_fails(p, HILUM_EIO);
    pipeline_close(p);
}

static void stop_while_the_record_fails__leaves_it_to_the_next_start(void **state)
{
    struct pipeline *p = *state;
    pipeline_child(p, send_and_stop);
    pipeline_open(p);
    assert_int_equal(rows_of(p), 1);
    assert_int_equal(pipeline_objects(p), 1);
}

static void send_and_die(struct pipeline *p)
{
    struct hl_ingest_result result;
    must_send(p, "1.2.3", 1, &result);
    must_send(p, "1.2.4", 2, &result);
}

static void crash_before_the_rows__replays_them(void **state)
{
    struct pipeline *p = *state;
    pipeline_child(p, send_and_die);
    pipeline_open(p);
    assert_int_equal(rows_of(p), 2);
    assert_int_equal(pipeline_objects(p), 2);
}

static void unwell_record__is_asked_before_the_answer(void **state)
{
    struct pipeline *p = *state;
    struct hl_ingest_result result;
    p->record->is_restoring = true;
    must_send(p, "1.2.3", 1, &result);
    assert_int_equal(rows_of(p), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(row__comes_after_the_answer_and_outlives_the_association),
        TEST(row__is_written_before_the_answer_where_that_tells_its_number),
        TEST(known_uid__is_decided_before_the_answer),
        TEST(uid_that_is_owed__is_decided_before_the_answer),
        TEST(failing_record__is_tried_until_it_writes),
        TEST(transaction_that_was_written_after_all__is_not_written_twice),
        TEST(uid_that_was_taken_meanwhile__keeps_what_differs_and_drops_what_does_not),
        TEST(row_that_cannot_be_written__stays_in_the_log_for_the_next_start),
        TEST(stop_while_the_record_fails__leaves_it_to_the_next_start),
        TEST(crash_before_the_rows__replays_them),
        TEST(unwell_record__is_asked_before_the_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
