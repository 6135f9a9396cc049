/* Rows that were recorded and not flushed come back from the notes in the store's log. A child process receives and ends
 * without a word; its record was in memory, so its rows are gone as after a power loss. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/store/note.h"
#include "core/store/store_internal.h"
#include "tests/unit/store/ingest_fixture.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, pipeline_setup, pipeline_teardown)

static void must_send(struct pipeline *p, const char *uid, unsigned seed)
{
    struct hl_ingest_result result;
    if (image_send(p, uid, seed, &result) != HILUM_OK || result.status != 0)
        _exit(2);
}

static void three_send(struct pipeline *p)
{
    must_send(p, "1.2.3", 1);
    must_send(p, "1.2.4", 2);
    must_send(p, "1.2.4", 2); /* a resend, dropped: its record is in the log too */
    must_send(p, "1.2.5", 3);
    if (p->record->flushed != 0)
        _exit(3); /* then this test would show nothing */
}

static void rows__not_flushed_are_recorded_again_in_order(void **state)
{
    struct pipeline *p = *state;
    struct hl_ingest_result result;
    pipeline_child(p, three_send);
    assert_int_equal(p->record->n, 0);
    pipeline_open(p);
    assert_int_equal(p->record->n, 3);
    assert_string_equal(p->record->rows[0].stored.sop_instance, "1.2.3");
    assert_string_equal(p->record->rows[2].stored.sop_instance, "1.2.5");
    assert_string_equal(p->record->rows[0].patient, "Test^Patient");
    assert_int_equal(pipeline_objects(p), 3);
    assert_int_equal(image_send(p, "1.2.4", 2, &result), HILUM_OK);
    assert_true(result.is_duplicate);
    pipeline_restart(p); /* they are files now, or final: nothing is recorded twice */
    assert_int_equal(p->record->n, 3);
    assert_int_equal(pipeline_objects(p), 3);
}

static void flushed_first(struct pipeline *p)
{
    must_send(p, "1.2.3", 1);
    if (hl_record_flush(p->record) != HILUM_OK)
        _exit(2);
    must_send(p, "1.2.4", 2);
}

/* The first is in the log still, final by then; its row was durable, so in truth it would be there. Here it comes back too. */
static void rows__that_were_flushed_may_be_in_the_log_still(void **state)
{
    struct pipeline *p = *state;
    pipeline_child(p, flushed_first);
    pipeline_open(p);
    assert_int_equal(p->record->n, 2);
}

static void one_refused(struct pipeline *p)
{
    struct hl_ingest_result result;
    p->record->fail_with = HILUM_EFULL;
    if (image_send(p, "1.2.3", 1, &result) == HILUM_OK || result.status != 0xA700)
        _exit(2);
    p->record->fail_with = HILUM_OK;
    must_send(p, "1.2.4", 2);
}

static void object__that_was_refused_does_not_come_back(void **state)
{
    struct pipeline *p = *state;
    pipeline_child(p, one_refused);
    pipeline_open(p);
    assert_int_equal(p->record->n, 1);
    assert_string_equal(p->record->rows[0].stored.sop_instance, "1.2.4");
    assert_int_equal(pipeline_objects(p), 1);
}

static void one_erased(struct pipeline *p)
{
    must_send(p, "1.2.3", 1);
    const struct hl_location *at = &p->record->rows[0].stored.location;
    if (hl_store_erase(p->store, "fs", at->key) != HILUM_OK || p->record->kv[0] == '\0')
        _exit(2);
    must_send(p, "1.2.4", 2);
}

static void object__that_was_erased_does_not_come_back(void **state)
{
    struct pipeline *p = *state;
    pipeline_child(p, one_erased);
    pipeline_open(p);
    assert_int_equal(p->record->n, 1);
    assert_string_equal(p->record->rows[0].stored.sop_instance, "1.2.4");
    assert_int_equal(pipeline_objects(p), 1);
}

/* Flips the first byte of the pixel data wherever it lies in the log. */
static void log_tear(struct pipeline *p, unsigned seed)
{
    static uint8_t bytes[2 * 1024 * 1024];
    uint8_t pixels[64];
    char path[128];
    for (unsigned i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i * 13 + seed * 7);
    snprintf(path, sizeof path, "%s/intake/segment-00", p->root);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    ssize_t n = read(fd, bytes, sizeof bytes);
    const uint8_t *at = memmem(bytes, n > 0 ? (size_t)n : 0, pixels, sizeof pixels);
    assert_non_null(at);
    assert_int_equal(pwrite(fd, "\xFF\xFE\xFD", 3, at - bytes + 8), 3);
    close(fd);
}

static void object__that_is_not_whole_was_promised_to_nobody(void **state)
{
    struct pipeline *p = *state;
    pipeline_child(p, three_send);
    log_tear(p, 3);
    pipeline_open(p);
    assert_int_equal(p->record->n, 2);
    assert_int_equal(pipeline_objects(p), 2);
}

static void note__says_everything_of_a_row_and_bad_ones_say_so(void **state)
{
    const struct hl_plan_step plan[] = {{"ct", 0, "send", "{\"to\":\"A\"}"},
                                        {"ct", 1, "tag", NULL}};
    struct hl_attrs attrs = {0};
    struct hl_buf bytes = {0};
    static struct hl_note note;
    (void)state;
    assert_int_equal(hl_attrs_set(&attrs, 0x00100010, "王^小东"), HILUM_OK);
    assert_int_equal(hl_attrs_set(&attrs, 0x0020000D, "1.2"), HILUM_OK);
    struct hl_instance row = {.attrs = &attrs,
                              .transfer_syntax = EXPLICIT_LE,
                              .location = {.length = 5000000000, .dataset_offset = 352},
                              .peer = "CT1",
                              .remarks = 6,
                              .is_held = true,
                              .held_reason = "why",
                              .plan = plan,
                              .n_plan = 2};
    memset(row.digest_received, 0xA5, 16);
    assert_true(hl_note_write(&row, 77, &bytes));
    assert_int_equal(hl_note_read(bytes.data, bytes.len, &note), HILUM_OK);
    assert_string_equal(hl_attrs_get(&note.attrs, 0x00100010), "王^小东");
    assert_int_equal(note.attrs.n, 2);
    assert_int_equal(note.row.location.length, 5000000000);
    assert_int_equal(note.row.location.dataset_offset, 352);
    assert_memory_equal(note.row.digest_received, row.digest_received, 16);
    assert_int_equal(note.row.received_us, 77);
    assert_int_equal(note.row.remarks, 6);
    assert_true(note.row.is_held);
    assert_string_equal(note.row.held_by, "");
    assert_string_equal(note.row.held_reason, "why");
    assert_null(note.row.remark_text);
    assert_int_equal(note.row.n_plan, 2);
    assert_string_equal(note.row.plan[0].arguments, "{\"to\":\"A\"}");
    assert_string_equal(note.row.plan[1].verb, "tag");
    assert_int_equal(note.row.plan[1].ordinal, 1);
    assert_null(note.row.plan[1].arguments);
    hl_note_fini(&note);
    for (size_t n = 1; n < bytes.len; n++) { /* cut anywhere: refused, or a shorter list */
        hl_note_read(bytes.data, n, &note);
        hl_note_fini(&note);
    }
    hl_buf_fini(&bytes);
    hl_attrs_fini(&attrs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rows__not_flushed_are_recorded_again_in_order),
        TEST(rows__that_were_flushed_may_be_in_the_log_still),
        TEST(object__that_was_refused_does_not_come_back),
        TEST(object__that_was_erased_does_not_come_back),
        TEST(object__that_is_not_whole_was_promised_to_nobody),
        cmocka_unit_test(note__says_everything_of_a_row_and_bad_ones_say_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
