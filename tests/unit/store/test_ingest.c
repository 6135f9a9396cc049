/* The way in: every answer, every failure, and what is left behind. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/config/config.h"
#include "core/store/store_internal.h"
#include "tests/unit/store/dataset_builder.h"
#include "tests/unit/store/ingest_fixture.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, pipeline_setup, pipeline_teardown)

static void image_bytes(unsigned seed, const char *uid, struct hl_buf *out)
{
    dataset_build(&(struct dataset){.sop_instance = uid,
                                    .study = "1.2.3",
                                    .series = "1.2.3.4",
                                    .seed = seed,
                                    .pixels = 20000},
                  out);
}

static void outgoing_check(struct pipeline *p, int64_t id, const struct hl_buf *expected)
{
    struct hl_outgoing *outgoing = NULL;
    struct hl_buf got = {0};
    size_t n = 1;
    assert_int_equal(hl_outgoing_open(p->store, id, 0, &outgoing), HILUM_OK);
    assert_int_equal(hl_outgoing_length(outgoing), expected->len);
    while (n > 0) {
        const void *bytes = NULL;
        assert_int_equal(hl_outgoing_next(outgoing, &bytes, &n), HILUM_OK);
        hl_buf_add(&got, bytes, n);
    }
    assert_int_equal(got.len, expected->len);
    assert_memory_equal(got.data, expected->data, got.len);
    hl_buf_fini(&got);
    hl_outgoing_close(outgoing);
}

/* ---- accepted -------------------------------------------------------------------------------------- */

static void object__whole_is_stored_recorded_and_returned_bit_for_bit(void **state)
{
    struct pipeline *p = *state;
    struct hl_ingest_result result;
    struct hl_buf bytes = {0};
    image_bytes(1, "1.2.3.4.5", &bytes);
    assert_int_equal(dataset_send(p, "1.2.3.4.5", &bytes, &result), HILUM_OK);
    assert_int_equal(result.status, 0);
    assert_string_equal(result.comment, "");
    assert_int_equal(result.instance_id, 1);
    assert_false(result.is_duplicate || result.is_held);
    assert_string_equal(p->record->rows[0].patient, "Test^Patient");
    outgoing_check(p, 1, &bytes);
    hl_buf_fini(&bytes);
}

static void object__is_a_part10_file_that_import_reads_as_the_same_instance(void **state)
{
    struct pipeline *p = *state;
    struct hl_ingest_result result;
    char path[128];
    image_send(p, "1.2.9", 1, &result);
    snprintf(path, sizeof path, "%s.dcm", p->root);
    assert_int_equal(hl_outgoing_export(p->store, result.instance_id, 0, path), HILUM_OK);
    assert_int_equal(hl_store_import_file(p->store, &p->source, path, &result), HILUM_OK);
    assert_true(result.is_duplicate);
    assert_int_equal(p->record->n, 1);
    unlink(path);
}

static void pixel_data__cut_short_is_stored_with_a_warning(void **state)
{
    struct pipeline *p = *state;
    struct hl_ingest_result result;
    struct hl_buf bytes = {0};
    image_bytes(1, "1.2.3", &bytes);
    bytes.len -= 5000;
    assert_int_equal(dataset_send(p, "1.2.3", &bytes, &result), HILUM_OK);
    assert_int_equal(result.status, 0xB007);
    assert_int_equal(p->record->n, 1);
    assert_non_null(strstr(p->record->rows[0].remark, "cut short"));
    hl_buf_fini(&bytes);
}

static void text__in_an_undeclared_set_is_repaired_by_the_source(void **state)
{
    struct pipeline *p = *state;
    struct hl_ingest_result result;
    struct hl_buf bytes = {0};
    p->source.charset_repair = "GB18030";
    dataset_build(&(struct dataset){.sop_instance = "1.2",
                                    .study = "1.1",
                                    .series = "1.3",
                                    .patient = "\xCD\xF5^\xD0\xA1\xB6\xAB"},
                  &bytes);
    assert_int_equal(dataset_send(p, "1.2", &bytes, &result), HILUM_OK);
    assert_string_equal(p->record->rows[0].patient, "王^小东");
    assert_non_null(strstr(p->record->rows[0].remark, "character set"));
    hl_buf_fini(&bytes);
}

/* Senders out of order say who it is behind the pixels. */
static void attributes__after_the_pixels_are_catalogued_too(void **state)
{
    struct pipeline *p = *state;
    struct hl_ingest_result result;
    struct hl_buf bytes = {0};
    static uint8_t pixels[70000];
    put_text(&bytes, 0x00080016, "UI", CT_IMAGE);
    put_text(&bytes, 0x00080018, "UI", "1.2");
    put_text(&bytes, 0x0020000D, "UI", "1.1");
    put_text(&bytes, 0x0020000E, "UI", "1.3");
    put_head(&bytes, 0x7FE00010, "OW", sizeof pixels, false);
    hl_buf_add(&bytes, pixels, sizeof pixels);
    put_text(&bytes, 0x00100010, "PN", "Late^Name");
    assert_int_equal(dataset_send(p, "1.2", &bytes, &result), HILUM_OK);
    assert_string_equal(p->record->rows[0].patient, "Late^Name");
    hl_buf_fini(&bytes);
}

/* ---- refused ---------------------------------------------------------------------------------------- */

struct refusal {
    const char *command_uid, *sop, *study, *series;
    uint16_t status;
    uint32_t offending;
};

static void identity__missing_or_wrong_is_refused_with_its_element(void **state)
{
    struct pipeline *p = *state;
    static const char long_uid[] =
        "1.2.345678901234567890123456789012345678901234567890123456789012345";
    const struct refusal cases[] = {
        {"1.5", "1.6", "1.1", "1.3", 0xA900, 0x00080018},
        {"1.5", "1.5", "1.1x", "1.3", 0xC000, 0x0020000D},
        {"1.5", "1.5", "1.1", "1.3\\1.4", 0xC000, 0x0020000E},
        {"1.5x", "1.5x", "1.1", "1.3", 0xC000, 0x00080018},
        {"", "1.5", "1.1", "1.3", 0xC000, 0x00080018},
        {"1.5", "1.5", long_uid, "1.3", 0xC000, 0x0020000D},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct hl_ingest_result result;
        struct hl_buf bytes = {0};
        dataset_build(&(struct dataset){.sop_instance = cases[i].sop,
                                        .study = cases[i].study,
                                        .series = cases[i].series},
                      &bytes);
        assert_true(dataset_send(p, cases[i].command_uid, &bytes, &result) < 0);
        assert_int_equal(result.status, cases[i].status);
        assert_int_equal(result.offending, cases[i].offending);
        assert_non_null(strstr(result.comment, "ref TEST-0001"));
        assert_string_equal(result.reference, "TEST-0001");
        assert_int_equal(result.instance_id, 0);
        hl_buf_fini(&bytes);
    }
    assert_int_equal(p->record->n, 0);
    assert_int_equal(pipeline_objects(p), 0);
}

/* A palette has no study, and some senders forget UIDs: kept, told, and alike objects come together. What ends before
 * the place of the UIDs is cut off, and refused. */
static void identity__left_out_is_derived_but_not_when_cut_off(void **state)
{
    struct pipeline *p = *state;
    const struct dataset cases[] = {{.sop_instance = NULL, .study = "1.1", .series = "1.3"},
                                    {.sop_instance = "1.5.1", .study = NULL, .series = "1.3"},
                                    {.sop_instance = "1.5.2", .study = "1.1", .series = NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct hl_ingest_result result;
        struct hl_buf bytes = {0};
        char uid[16];
        snprintf(uid, sizeof uid, "1.5.%zu", i);
        dataset_build(&cases[i], &bytes);
        assert_int_equal(dataset_send(p, uid, &bytes, &result), HILUM_OK);
        assert_int_equal(p->record->n, i + 1);
        assert_non_null(strstr(p->record->rows[i].remark, "UIDs derived by Hilum"));
        bytes.len -= 10 + 12; /* rows and empty pixel data: now it ends with group 0020 or before */
        assert_true(dataset_send(p, uid, &bytes, &result) < 0);
        assert_int_equal(result.status, 0xC000);
        assert_int_equal(p->record->n, i + 1);
        hl_buf_fini(&bytes);
    }
}

static void garbage__is_refused_swallowed_and_leaves_nothing(void **state)
{
    struct pipeline *p = *state;
    struct hl_ingest_result result;
    struct hl_buf bytes = {0};
    for (int i = 0; i < 100000; i++)
        hl_buf_byte(&bytes, 0xFF);
    assert_true(dataset_send(p, "1.2.3", &bytes, &result) < 0);
    assert_int_equal(result.status, 0xC000);
    assert_int_equal(pipeline_objects(p), 0);
    hl_buf_fini(&bytes);
}

static void data_set__cut_before_its_end_is_refused(void **state)
{
    struct pipeline *p = *state;
    struct hl_ingest_result result;
    struct hl_buf bytes = {0};
    image_bytes(1, "1.2.3", &bytes);
    bytes.len = 100;
    assert_true(dataset_send(p, "1.2.3", &bytes, &result) < 0);
    assert_int_equal(result.status, 0xC000);
    hl_buf_clear(&bytes);
    assert_true(dataset_send(p, "1.2.3", &bytes, &result) < 0);
    assert_int_equal(result.status, 0xC000);
    assert_int_equal(pipeline_objects(p), 0);
    hl_buf_fini(&bytes);
}

static void object__over_its_limit_is_refused(void **state)
{
    struct pipeline *p = *state;
    struct hl_ingest_result result;
    p->options.limits.max_object = 10000;
    pipeline_restart(p);
    assert_true(image_send(p, "1.2.3", 1, &result) < 0);
    assert_int_equal(result.status, 0xA700);
    assert_int_equal(pipeline_objects(p), 0);
}

static void abort__leaves_nothing(void **state)
{
    struct pipeline *p = *state;
    struct hl_ingest *ingest = NULL;
    struct hl_ingest_result result;
    struct hl_buf bytes = {0};
    image_bytes(1, "1.2.3", &bytes);
    for (size_t at = 0; at < bytes.len; at += 1531) {
        assert_int_equal(
            hl_ingest_begin(p->store, &p->source, CT_IMAGE, "1.2.3", EXPLICIT_LE, &ingest, &result),
            HILUM_OK);
        hl_ingest_data(ingest, bytes.data, at);
        hl_ingest_abort(ingest);
    }
    assert_int_equal(pipeline_objects(p), 0);
    assert_int_equal(p->record->n, 0);
    hl_buf_fini(&bytes);
}

/* ---- duplicates --------------------------------------------------------------------------------------- */

static void resend__of_the_same_bytes_is_success_and_kept_once(void **state)
{
    struct pipeline *p = *state;
    struct hl_ingest_result result;
    assert_int_equal(image_send(p, "1.2.3", 1, &result), HILUM_OK);
    assert_int_equal(image_send(p, "1.2.3", 1, &result), HILUM_OK);
    assert_int_equal(result.status, 0);
    assert_true(result.is_duplicate);
    assert_false(result.is_held);
    assert_int_equal(result.instance_id, 1);
    assert_int_equal(p->record->n, 1);
    assert_int_equal(p->record->duplicates, 1);
    assert_int_equal(pipeline_objects(p), 1);
}

static void stranger__under_a_known_uid_is_success_and_quarantined(void **state)
{
    struct pipeline *p = *state;
    struct hl_ingest_result result;
    struct hl_buf first = {0};
    image_bytes(1, "1.2.3", &first);
    assert_int_equal(dataset_send(p, "1.2.3", &first, &result), HILUM_OK);
    assert_int_equal(image_send(p, "1.2.3", 2, &result), HILUM_OK);
    assert_int_equal(result.status, 0);
    assert_true(result.is_held);
    assert_int_equal(p->record->n, 2);
    assert_true(p->record->rows[1].is_quarantined);
    assert_int_equal(pipeline_objects(p), 2);
    outgoing_check(p, 1, &first); /* the first is kept */
    hl_buf_fini(&first);
}

/* A restart gives every object its file. */
static void stored_overwrite(struct pipeline *p, size_t row)
{
    char path[400];
    pipeline_restart(p);
    snprintf(path, sizeof path, "%s/objects/%s", p->root, p->record->rows[row].stored.location.key);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, -100, SEEK_END), 0);
    fputc('!', file);
    fclose(file);
}

static void resend__repairs_a_stored_copy_that_rotted(void **state)
{
    struct pipeline *p = *state;
    struct hl_ingest_result result;
    struct hl_buf bytes = {0};
    image_bytes(1, "1.2.3", &bytes);
    assert_int_equal(dataset_send(p, "1.2.3", &bytes, &result), HILUM_OK);
    stored_overwrite(p, 0);
    assert_int_equal(dataset_send(p, "1.2.3", &bytes, &result), HILUM_OK);
    assert_true(result.is_duplicate);
    assert_int_equal(p->record->repaired, 1);
    assert_non_null(strstr(p->record->journal, "instance.corrupted"));
    outgoing_check(p, 1, &bytes);
    hl_buf_fini(&bytes);
}

static void outgoing__of_a_rotten_object_never_ends_well(void **state)
{
    struct pipeline *p = *state;
    struct hl_ingest_result result;
    struct hl_outgoing *outgoing = NULL;
    const void *bytes = NULL;
    size_t n = 1;
    hilum_rc rc = HILUM_OK;
    image_send(p, "1.2.3", 1, &result);
    stored_overwrite(p, 0);
    assert_int_equal(hl_outgoing_open(p->store, 1, 0, &outgoing), HILUM_OK);
    while (rc == HILUM_OK && n > 0)
        rc = hl_outgoing_next(outgoing, &bytes, &n);
    assert_int_equal(rc, HILUM_ECORRUPT);
    assert_non_null(strstr(p->record->journal, "instance.corrupted"));
    hl_outgoing_close(outgoing);
}

struct racer {
    struct pipeline *p;
    unsigned seed;
    int faults;
};

static void *racer_run(void *arg)
{
    struct racer *racer = arg;
    for (unsigned i = 0; i < 10; i++) {
        char uid[32];
        struct hl_ingest_result result;
        snprintf(uid, sizeof uid, "1.9.%u", i);
        if (image_send(racer->p, uid, racer->seed, &result) != HILUM_OK || result.status != 0)
            racer->faults++;
    }
    return NULL;
}

static void racing__senders_of_one_uid_give_one_row_and_one_object(void **state)
{
    struct pipeline *p = *state;
    struct racer racers[8];
    pthread_t threads[8];
    for (unsigned i = 0; i < 8; i++) {
        racers[i] = (struct racer){.p = p, .seed = 5};
        assert_int_equal(pthread_create(&threads[i], NULL, racer_run, &racers[i]), 0);
    }
    for (unsigned i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(racers[i].faults, 0);
    }
    assert_int_equal(p->record->n, 10);
    assert_int_equal(p->record->duplicates, 70);
    assert_int_equal(pipeline_objects(p), 10);
}

/* ---- failures ------------------------------------------------------------------------------------------ */

static void store__failing_anywhere_never_gives_success_and_leaves_nothing(void **state)
{
    struct pipeline *p = *state;
    static const int calls[] = {FAULTY_BEGIN, FAULTY_APPEND, FAULTY_SYNC};
    static const int codes[] = {HILUM_EFULL, HILUM_EIO, HILUM_EDENIED};
    for (size_t c = 0; c < 3; c++) {
        for (int skip = 0; skip < (calls[c] == FAULTY_APPEND ? 4 : 1); skip++) {
            struct hl_ingest_result result;
            atomic_store(&p->faulty.rc, codes[(c + (size_t)skip) % 3]);
            atomic_store(&p->faulty.countdown, skip);
            atomic_store(&p->faulty.call, calls[c]);
            assert_true(image_send(p, "1.2.3", 1, &result) < 0);
            assert_int_equal(result.status, 0xA700);
            assert_int_equal(result.instance_id, 0);
            assert_int_equal(p->record->n, 0);
            atomic_store(&p->faulty.call, FAULTY_NONE);
            assert_true(pipeline_wait(p, true));
            assert_int_equal(pipeline_objects(p), 0);
        }
    }
    struct hl_ingest_result result;
    assert_int_equal(image_send(p, "1.2.3", 1, &result), HILUM_OK);
}

static void commit__failing_after_the_row_is_still_success_and_settled_at_start(void **state)
{
    struct pipeline *p = *state;
    struct hl_ingest_result result;
    atomic_store(&p->faulty.rc, HILUM_EIO);
    atomic_store(&p->faulty.call, FAULTY_COMMIT);
    assert_int_equal(image_send(p, "1.2.3", 1, &result), HILUM_OK);
    assert_int_equal(result.status, 0);
    atomic_store(&p->faulty.call, FAULTY_NONE);
    pipeline_restart(p);
    assert_int_equal(pipeline_objects(p), 1);
    assert_int_equal(image_send(p, "1.2.3", 1, &result), HILUM_OK);
    assert_true(result.is_duplicate);
}

static void record__failing_is_no_success_and_the_object_goes_when_it_is_well(void **state)
{
    struct pipeline *p = *state;
    struct hl_ingest_result result;
    p->record->fail_with = HILUM_EIO;
    assert_true(image_send(p, "1.2.3", 1, &result) < 0);
    assert_int_equal(result.status, 0xA700);
    assert_int_equal(result.instance_id, 0);
    p->record->fail_with = HILUM_OK;
    assert_true(pipeline_wait(p, true));
    pipeline_restart(p);
    assert_int_equal(pipeline_objects(p), 0);
}

static void record__failing_after_its_commit_leaves_row_and_object_together(void **state)
{
    struct pipeline *p = *state;
    struct hl_ingest_result result;
    p->record->fail_with = HILUM_EIO;
    p->record->fail_after = true;
    assert_true(image_send(p, "1.2.3", 1, &result) < 0);
    assert_int_equal(result.status, 0xA700);
    p->record->fail_with = HILUM_OK;
    assert_true(pipeline_wait(p, true));
    assert_int_equal(image_send(p, "1.2.3", 1, &result), HILUM_OK); /* the sender tries again */
    assert_true(result.is_duplicate);
    pipeline_restart(p);
    assert_int_equal(p->record->n, 1);
    assert_int_equal(pipeline_objects(p), 1);
}

static void record__unwell_refuses_before_a_byte_is_stored(void **state)
{
    struct pipeline *p = *state;
    struct hl_ingest_result result;
    p->record->health = HILUM_EAGAIN;
    assert_int_equal(hl_store_health(p->store), HILUM_EAGAIN);
    assert_true(image_send(p, "1.2.3", 1, &result) < 0);
    assert_int_equal(result.status, 0xA700);
    p->record->health = HILUM_OK;
    assert_int_equal(image_send(p, "1.2.3", 1, &result), HILUM_OK);
}

static void medium__full_is_safe_mode_with_reads_and_ends_by_itself(void **state)
{
    struct pipeline *p = *state;
    struct hl_ingest_result result;
    struct hl_buf bytes = {0};
    image_bytes(1, "1.2.3", &bytes);
    assert_int_equal(dataset_send(p, "1.2.3", &bytes, &result), HILUM_OK);
    atomic_store(&p->faulty.rc, HILUM_EFULL);
    atomic_store(&p->faulty.call, FAULTY_APPEND);
    assert_true(image_send(p, "1.2.4", 1, &result) < 0);
    assert_int_equal(hl_store_health(p->store), HILUM_EFULL);
    assert_true(image_send(p, "1.2.5", 1, &result) < 0);
    assert_int_equal(result.status, 0xA700);
    outgoing_check(p, 1, &bytes);
    atomic_store(&p->faulty.call, FAULTY_NONE);
    assert_true(pipeline_wait(p, true));
    assert_true(atomic_load(&p->faulty.probes) > 0);
    assert_int_equal(image_send(p, "1.2.5", 1, &result), HILUM_OK);
    hl_buf_fini(&bytes);
}

static void medium__below_its_reserve_is_refused(void **state)
{
    struct pipeline *p = *state;
    struct hl_ingest_result result;
    p->options.limits.min_free = 1000;
    pipeline_restart(p);
    atomic_store(&p->faulty.rc, HILUM_EFULL);
    atomic_store(&p->faulty.call, FAULTY_SPACE);
    assert_true(pipeline_wait(p, false));
    assert_true(image_send(p, "1.2.3", 1, &result) < 0);
    assert_int_equal(result.status, 0xA700);
    atomic_store(&p->faulty.call, FAULTY_NONE);
    assert_true(pipeline_wait(p, true));
}

/* ---- memory ----------------------------------------------------------------------------------------------- */

static long rss_kib(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (fscanf(file, "%*d %ld", &pages) != 1)
        pages = 0;
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void header__of_300_megabytes_without_pixels_is_streamed(void **state)
{
    struct pipeline *p = *state;
    struct hl_ingest *ingest = NULL;
    struct hl_ingest_result result;
    struct hl_buf head = {0};
    static uint8_t item[65536];
    hl_buf_clear(&head);
    dataset_build(
        &(struct dataset){.sop_instance = "1.2.3", .study = "1.2", .series = "1.4", .pixels = 0},
        &head);
    head.len -= 12; /* no pixel data */
    put_head(&head, 0x30060039, "SQ", 0xFFFFFFFF, false);
    hl_ingest_begin(p->store, &p->source, CT_IMAGE, "1.2.3", EXPLICIT_LE, &ingest, &result);
    assert_int_equal(hl_ingest_data(ingest, head.data, head.len), HILUM_OK);
    long before = rss_kib();
    struct hl_buf piece = {0}; /* one for all: a sanitizer keeps what is freed */
    for (unsigned i = 0; i < 300 * 16; i++) {
        hl_buf_clear(&piece);
        put_item(&piece, 0xFFFEE000, sizeof item + 12);
        put_head(&piece, 0x30060050, "UN", sizeof item, false);
        hl_buf_add(&piece, item, sizeof item);
        assert_int_equal(hl_ingest_data(ingest, piece.data, piece.len), HILUM_OK);
    }
    hl_buf_fini(&piece);
    hl_buf_clear(&head);
    put_item(&head, 0xFFFEE0DD, 0);
    assert_int_equal(hl_ingest_data(ingest, head.data, head.len), HILUM_OK);
    assert_true(rss_kib() - before < 32 * 1024);
    assert_int_equal(hl_ingest_end(ingest, &result), HILUM_OK);
    hl_buf_fini(&head);
}

static void header__over_its_limit_is_out_of_resources(void **state)
{
    struct pipeline *p = *state;
    struct hl_ingest_result result;
    struct hl_buf bytes = {0};
    p->options.limits.header_limit = 100000;
    pipeline_restart(p);
    put_text(&bytes, 0x00080016, "UI", CT_IMAGE);
    for (uint32_t i = 0; i < 100; i++) {
        static uint8_t value[60000];
        put_head(&bytes, 0x00091000 + i, "OB", sizeof value, false);
        hl_buf_add(&bytes, value, sizeof value);
    }
    assert_true(dataset_send(p, "1.2.3", &bytes, &result) < 0);
    assert_int_equal(result.status, 0xA700);
    assert_int_equal(pipeline_objects(p), 0);
    hl_buf_fini(&bytes);
}

static void headers_make(struct hl_buf *bytes)
{
    static uint8_t value[60000];
    dataset_build(&(struct dataset){.sop_instance = "1.2.3", .study = "1.2", .series = "1.4"},
                  bytes);
    bytes->len -= 12; /* no pixel data */
    for (uint32_t i = 0; i < 8; i++) {
        put_head(bytes, 0x30091000 + i, "OB", sizeof value, false);
        hl_buf_add(bytes, value, sizeof value);
    }
}

struct late {
    struct pipeline *p;
    const struct hl_buf *bytes;
    struct hl_ingest_result result;
    hilum_rc rc;
    atomic_bool is_done;
};

static void *late_send(void *arg)
{
    struct late *late = arg;
    late->rc = dataset_send(late->p, "1.2.3", late->bytes, &late->result);
    atomic_store(&late->is_done, true);
    return NULL;
}

/* One object holds the budget: the next waits for it, and is told to come again when that takes too long. */
static void headers__over_the_budget_of_all_wait_then_come_again(void **state)
{
    struct pipeline *p = *state;
    struct hl_buf bytes = {0};
    headers_make(&bytes);
    p->options.memory_budget = 600000;
    pipeline_restart(p);
    for (unsigned is_too_long = 0; is_too_long < 2; is_too_long++) {
        struct hl_ingest_result result;
        struct hl_ingest *first = NULL;
        struct late late = {.p = p, .bytes = &bytes};
        pthread_t thread;
        assert_int_equal(
            hl_ingest_begin(p->store, &p->source, CT_IMAGE, "1.2.9", EXPLICIT_LE, &first, &result),
            HILUM_OK);
        assert_int_equal(hl_ingest_data(first, bytes.data, bytes.len), HILUM_OK);
        assert_int_equal(pthread_create(&thread, NULL, late_send, &late), 0);
        usleep(300000); /* it does not come through: nothing to wait for */
        assert_false(atomic_load(&late.is_done));
        if (!is_too_long)
            hl_ingest_abort(first);
        pthread_join(thread, NULL);
        assert_int_equal(late.result.status, is_too_long ? 0xA700 : 0);
        if (is_too_long)
            hl_ingest_abort(first);
    }
    assert_int_equal(pipeline_objects(p), 1);
    hl_buf_fini(&bytes);
}

/* ---- integrity -------------------------------------------------------------------------------------------------- */

struct faults {
    char text[2048];
    unsigned n;
};

static hilum_rc fault_add(void *arg, const char *fault, const char *store, const char *key,
                          int64_t id)
{
    struct faults *faults = arg;
    size_t n = strlen(faults->text);
    (void)store;
    (void)key;
    snprintf(faults->text + n, sizeof faults->text - n, "%s %d\n", fault, (int)id);
    faults->n++;
    return HILUM_OK;
}

static void fsck__finds_rot_loss_and_orphans_and_repairs_what_it_can(void **state)
{
    struct pipeline *p = *state;
    struct hl_ingest_result result;
    struct faults sound = {0}, faults = {0}, repaired = {0}, after = {0};
    for (unsigned i = 1; i <= 4; i++) {
        char uid[16];
        snprintf(uid, sizeof uid, "1.2.%u", i);
        image_send(p, uid, i, &result);
    }
    assert_int_equal(hl_store_fsck(p->store, false, fault_add, &sound), HILUM_OK);
    assert_int_equal(sound.n, 0);
    stored_overwrite(p, 0);
    p->provider.table->erase(p->provider.instance, p->record->rows[1].stored.location.key);
    p->record->n = 3; /* the fourth loses its row */
    void *txn = NULL;
    p->provider.table->begin(p->provider.instance, "junk", 0, &txn);
    p->provider.table->append(p->provider.instance, txn, "junk", 4);
    p->provider.table->sync(p->provider.instance, &txn, 1);
    p->provider.table->commit(p->provider.instance, txn);
    assert_int_equal(hl_store_fsck(p->store, false, fault_add, &faults), HILUM_OK);
    assert_int_equal(faults.n, 4);
    assert_non_null(strstr(faults.text, "digest 1\n"));
    assert_non_null(strstr(faults.text, "missing 2\n"));
    assert_non_null(strstr(faults.text, "\norphan 0\n"));
    assert_non_null(strstr(faults.text, "broken orphan 0\n"));
    assert_int_equal(p->record->n, 3);
    assert_int_equal(hl_store_fsck(p->store, true, fault_add, &repaired), HILUM_OK);
    assert_int_equal(p->record->n, 4);
    assert_int_equal(hl_store_fsck(p->store, false, fault_add, &after), HILUM_OK);
    assert_int_equal(after.n, 2); /* what needs a second copy stays a fault */
}

/* A correction as the first Hilum noted it beside the objects. */
static void old_line_write(struct pipeline *p, const char *line)
{
    const struct hilum_store *table = p->provider.table;
    void *txn = NULL;
    assert_int_equal(
        table->begin(p->provider.instance, "log/00064f0000000000-000000.json", 0, &txn), HILUM_OK);
    assert_int_equal(table->append(p->provider.instance, txn, line, strlen(line)), HILUM_OK);
    assert_int_equal(table->sync(p->provider.instance, &txn, 1), HILUM_OK);
    assert_int_equal(table->commit(p->provider.instance, txn), HILUM_OK);
}

static void rebuild__fills_an_empty_record_and_applies_the_log(void **state)
{
    struct pipeline *p = *state;
    struct hl_ingest_result result;
    for (unsigned i = 1; i <= 70; i++) {
        char uid[16];
        snprintf(uid, sizeof uid, "1.2.%u", i);
        image_send(p, uid, i, &result);
    }
    old_line_write(
        p, "{\"verb\":\"patient.edit\",\"patient_id\":\"P1\",\"issuer\":\"\",\"who\":\"root\","
           "\"why\":\"a \\\"typo\\\"\",\"changes\":{\"00100010\":\"Right^Name\"}}\n");
    p->record->n = 0;
    assert_int_equal(hl_store_rebuild(p->store, NULL, NULL), HILUM_OK);
    assert_int_equal(p->record->n, 70);
    assert_string_equal(p->record->rows[69].patient, "Right^Name");
    struct faults faults = {0};
    assert_int_equal(hl_store_fsck(p->store, false, fault_add, &faults), HILUM_OK);
    assert_int_equal(faults.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(object__whole_is_stored_recorded_and_returned_bit_for_bit),
        TEST(object__is_a_part10_file_that_import_reads_as_the_same_instance),
        TEST(pixel_data__cut_short_is_stored_with_a_warning),
        TEST(text__in_an_undeclared_set_is_repaired_by_the_source),
        TEST(attributes__after_the_pixels_are_catalogued_too),
        TEST(identity__missing_or_wrong_is_refused_with_its_element),
        TEST(identity__left_out_is_derived_but_not_when_cut_off),
        TEST(garbage__is_refused_swallowed_and_leaves_nothing),
        TEST(data_set__cut_before_its_end_is_refused),
        TEST(object__over_its_limit_is_refused),
        TEST(abort__leaves_nothing),
        TEST(resend__of_the_same_bytes_is_success_and_kept_once),
        TEST(stranger__under_a_known_uid_is_success_and_quarantined),
        TEST(resend__repairs_a_stored_copy_that_rotted),
        TEST(outgoing__of_a_rotten_object_never_ends_well),
        TEST(racing__senders_of_one_uid_give_one_row_and_one_object),
        TEST(store__failing_anywhere_never_gives_success_and_leaves_nothing),
        TEST(commit__failing_after_the_row_is_still_success_and_settled_at_start),
        TEST(record__failing_is_no_success_and_the_object_goes_when_it_is_well),
        TEST(record__failing_after_its_commit_leaves_row_and_object_together),
        TEST(record__unwell_refuses_before_a_byte_is_stored),
        TEST(medium__full_is_safe_mode_with_reads_and_ends_by_itself),
        TEST(medium__below_its_reserve_is_refused),
        TEST(header__of_300_megabytes_without_pixels_is_streamed),
        TEST(header__over_its_limit_is_out_of_resources),
        TEST(headers__over_the_budget_of_all_wait_then_come_again),
        TEST(fsck__finds_rot_loss_and_orphans_and_repairs_what_it_can),
        TEST(rebuild__fills_an_empty_record_and_applies_the_log),
    };
    return cmocka_run_group_tests_name("ingest", tests, NULL, NULL);
}
