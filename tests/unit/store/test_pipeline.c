/* The pipeline over the real record, database and store: what the parts promise each other holds.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/record/fixture.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/store/ingest.h"
#include "tests/contract/store/provider.h"
#include "tests/unit/store/dataset_builder.h"

#define CT_IMAGE    "1.2.840.10008.5.1.4.1.1.2"
#define EXPLICIT_LE "1.2.840.10008.1.2.1"

struct whole {
    struct fixture *f;
    struct provider provider;
    struct hl_store *store;
    char root[160];
};

static void whole_open(struct whole *w)
{
    static const char *const options[] = {"segment=2MiB", "segments=3", "memory=4MiB"};
    struct hl_store_options store_options = {.memory_budget = 64 << 20};
    if (provider_open(&w->provider, STORE_FS_SO, w->root, options, 3) != HILUM_OK)
        fail_msg("store-fs: %s", provider_reason());
    struct hl_store_provider provider = {"fs", w->provider.table, w->provider.instance};
    if (hl_store_open(&provider, 1, w->f->record, NULL, &store_options, &w->store) != HILUM_OK)
        fail_msg("store: %s", hl_error());
}

static void whole_close(struct whole *w)
{
    hl_store_close(w->store);
    provider_close(&w->provider);
}

static int setup(void **state)
{
    struct whole *w = calloc(1, sizeof *w);
    hl_log_set_output(-1, false);
    if (fixture_set_up((void **)&w->f) != 0)
        return -1;
    snprintf(w->root, sizeof w->root, "%s/objects", w->f->dir);
    whole_open(w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct whole *w = *state;
    whole_close(w);
    void *f = w->f;
    free(w);
    return fixture_tear_down(&f);
}

/* ---- sending ------------------------------------------------------------------------------------- */

static void even(struct hl_buf *b, uint32_t tag, const char *vr, const char *text)
{
    char padded[80] = {0};
    size_t n = strlen(text);
    memcpy(padded, text, n);
    if (n & 1 && strcmp(vr, "UI") != 0)
        padded[n] = ' ';
    put_head(b, tag, vr, (uint32_t)(n + (n & 1)), false);
    hl_buf_add(b, padded, n + (n & 1));
}

static const char *study_of_image = "1.2.3", *patient_of_image = "P1";

static void image_build(struct hl_buf *b, const char *sop, unsigned seed, uint32_t pixels)
{
    char number[16];
    snprintf(number, sizeof number, "%u", seed);
    even(b, 0x00080016, "UI", CT_IMAGE);
    even(b, 0x00080018, "UI", sop);
    even(b, 0x00080060, "CS", "CT");
    even(b, 0x00100010, "PN", "Before^Edit");
    even(b, 0x00100020, "LO", patient_of_image);
    even(b, 0x0020000D, "UI", study_of_image);
    even(b, 0x0020000E, "UI", "1.2.3.1");
    even(b, 0x00200013, "IS", number);
    put_head(b, 0x7FE00010, "OW", pixels, false);
    for (uint32_t i = 0; i < pixels; i++)
        hl_buf_byte(b, (uint8_t)(i * 3 + seed));
}

static hilum_rc send_image(struct whole *w, const char *sop, unsigned seed, uint32_t pixels,
                           struct hl_ingest_result *result)
{
    static const struct hl_ingest_source source = {.peer = "CT1",
                                                   .calling_aet = "CT1",
                                                   .called_aet = "HILUM",
                                                   .address = "::1",
                                                   .kind = "dimse"};
    struct hl_buf bytes = {0};
    struct hl_ingest *ingest = NULL;
    image_build(&bytes, sop, seed, pixels);
    hilum_rc rc = hl_ingest_begin(w->store, &source, CT_IMAGE, sop, EXPLICIT_LE, &ingest, result);
    if (rc == HILUM_OK) {
        hl_ingest_data(ingest, bytes.data, bytes.len);
        rc = hl_ingest_end(ingest, result);
    }
    hl_buf_fini(&bytes);
    return rc;
}

static hilum_rc fault_count(void *arg, const char *fault, const char *store, const char *key,
                            int64_t id)
{
    print_message("fsck: %s %s %s %d\n", fault, store, key, (int)id);
    (*(unsigned *)arg)++;
    return HILUM_OK;
}

static unsigned faults(struct whole *w)
{
    unsigned n = 0;
    assert_int_equal(hl_store_fsck(w->store, false, fault_count, &n), HILUM_OK);
    return n;
}

static void outgoing_read(struct whole *w, int64_t id, struct hl_buf *out)
{
    struct hl_outgoing *outgoing = NULL;
    size_t n = 1;
    if (hl_outgoing_open(w->store, id, 0, &outgoing) != HILUM_OK)
        fail_msg("%s", hl_error());
    while (n > 0) {
        const void *bytes = NULL;
        assert_int_equal(hl_outgoing_next(outgoing, &bytes, &n), HILUM_OK);
        hl_buf_add(out, bytes, n);
    }
    hl_outgoing_close(outgoing);
}

/* ---- tests --------------------------------------------------------------------------------------- */

static void image__sent_is_found_and_returned_bit_for_bit(void **state)
{
    struct whole *w = *state;
    static const uint32_t sizes[] = {0, 5000, 600000, 6000000};
    for (unsigned i = 0; i < 4; i++) {
        char uid[32];
        struct hl_ingest_result result;
        struct hl_buf sent = {0}, got = {0};
        snprintf(uid, sizeof uid, "1.2.3.1.%u", i);
        image_build(&sent, uid, i, sizes[i]);
        assert_int_equal(send_image(w, uid, i, sizes[i], &result), HILUM_OK);
        assert_int_equal(result.status, 0);
        outgoing_read(w, result.instance_id, &got);
        assert_int_equal(got.len, sent.len);
        assert_memory_equal(got.data, sent.data, sent.len);
        hl_buf_fini(&sent);
        hl_buf_fini(&got);
    }
    assert_int_equal(faults(w), 0);
}

struct racer {
    struct whole *w;
    unsigned id;
    unsigned faults, stored, duplicates;
};

static void *racer_run(void *arg)
{
    struct racer *racer = arg;
    for (unsigned i = 0; i < 12; i++) {
        char uid[32];
        struct hl_ingest_result result;
        snprintf(uid, sizeof uid, "1.2.3.1.%u", i);
        if (send_image(racer->w, uid, i, 30000, &result) != HILUM_OK || result.status != 0)
            racer->faults++;
        racer->stored += !result.is_duplicate;
        racer->duplicates += result.is_duplicate && !result.is_held;
    }
    return NULL;
}

static void racing__senders_store_each_instance_once(void **state)
{
    struct whole *w = *state;
    struct racer racers[8], all = {0};
    pthread_t threads[8];
    for (unsigned i = 0; i < 8; i++) {
        racers[i] = (struct racer){.w = w, .id = i};
        assert_int_equal(pthread_create(&threads[i], NULL, racer_run, &racers[i]), 0);
    }
    for (unsigned i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        all.faults += racers[i].faults;
        all.stored += racers[i].stored;
        all.duplicates += racers[i].duplicates;
    }
    assert_int_equal(all.faults, 0);
    assert_int_equal(all.stored, 12);
    assert_int_equal(all.duplicates, 84);
    assert_int_equal(faults(w), 0);
}

static void stranger__under_a_known_uid_waits_in_quarantine(void **state)
{
    struct whole *w = *state;
    struct hl_ingest_result result;
    struct hl_stored stored;
    struct hl_buf list = {0};
    assert_int_equal(send_image(w, "1.2.3.1.9", 1, 5000, &result), HILUM_OK);
    int64_t first = result.instance_id;
    assert_int_equal(send_image(w, "1.2.3.1.9", 2, 5000, &result), HILUM_OK);
    assert_int_equal(result.status, 0);
    assert_true(result.is_held);
    assert_int_not_equal(result.instance_id, first);
    assert_int_equal(hl_record_stored(w->f->record, "1.2.3.1.9", &stored), HILUM_OK);
    assert_int_equal(stored.instance_id, first);
    assert_int_equal(hl_record_quarantine_list(w->f->record, &list), HILUM_OK);
    assert_non_null(strstr(hl_buf_str(&list), "1.2.3.1.9"));
    hl_buf_fini(&list);
    assert_int_equal(faults(w), 0);
}

static void edit__of_a_patient_reaches_what_leaves(void **state)
{
    struct whole *w = *state;
    struct hl_ingest_result result;
    struct hl_attrs changes = {0};
    struct hl_buf before = {0}, after = {0};
    assert_int_equal(send_image(w, "1.2.3.1.7", 1, 5000, &result), HILUM_OK);
    outgoing_read(w, result.instance_id, &before);
    hl_attrs_set(&changes, 0x00100010, "After^Edit");
    if (hl_record_edit_patient(w->f->record, "P1", NULL, &changes, "root", "typo") != HILUM_OK)
        fail_msg("%s", hl_error());
    hl_attrs_fini(&changes);
    outgoing_read(w, result.instance_id, &after);
    assert_non_null(memmem(after.data, after.len, "After^Edit", 10));
    assert_memory_equal(after.data + after.len - 5000, before.data + before.len - 5000, 5000);
    hl_buf_fini(&before);
    hl_buf_fini(&after);
}

static int64_t bytes_now(struct whole *w)
{
    return sql_int(w->f, "SELECT bytes FROM series WHERE uid = '1.2.3.1'");
}

static hilum_rc erase(void *arg, const char *store, const char *key)
{
    return hl_store_erase(arg, store, key);
}

static void housekeep(struct whole *w)
{
    assert_int_equal(hl_record_housekeep(w->f->record, INT64_MAX / 2000, erase, w->store),
                     HILUM_OK);
}

static void replace__makes_the_newcomer_current_and_erases_the_old_one_later(void **state)
{
    struct whole *w = *state;
    struct hl_ingest_result first, second;
    struct hl_buf bytes = {0}, sent = {0};
    struct hl_outgoing *reader = NULL;
    assert_int_equal(send_image(w, "1.2.3.1.9", 1, 5000, &first), HILUM_OK);
    assert_int_equal(send_image(w, "1.2.3.1.8", 7, 5000, &second), HILUM_OK);
    int64_t before = bytes_now(w);
    hl_store_set_duplicates(w->store, HL_REPLACE);
    assert_int_equal(hl_outgoing_open(w->store, first.instance_id, 0, &reader), HILUM_OK);
    assert_int_equal(send_image(w, "1.2.3.1.9", 2, 6000, &second), HILUM_OK);
    assert_int_equal(second.status, 0);
    assert_false(second.is_held || second.is_duplicate);
    image_build(&sent, "1.2.3.1.9", 2, 6000);
    outgoing_read(w, second.instance_id, &bytes);
    assert_int_equal(bytes.len, sent.len);
    assert_memory_equal(bytes.data, sent.data, sent.len);
    assert_string_equal(find_text(w->f, 4, 0x00200013, "00080018", "1.2.3.1.9", NULL), "2");
    assert_string_equal(find_text(w->f, 2, 0x00201208, "0020000D", "1.2.3", NULL), "2");
    assert_int_equal(bytes_now(w), before + 1000);
    assert_int_equal(sql_int(w->f, "SELECT count(*) FROM audit WHERE action = 'instance.replace' "
                                   "AND what = '1.2.3' AND before_json LIKE '%1.2.3.1.9%'"),
                     1);
    /* erase_grace is 0 in this fixture, but somebody reads */
    housekeep(w);
    assert_int_equal(sql_int(w->f, "SELECT count(*) FROM erasure"), 1);
    hl_outgoing_close(reader);
    whole_close(w);
    sql_run(w->f, "UPDATE erasure SET due_us = 0"); /* it was put off by an hour */
    whole_open(w);
    housekeep(w);
    assert_int_equal(sql_int(w->f, "SELECT count(*) FROM erasure"), 0);
    assert_int_equal(hl_outgoing_open(w->store, first.instance_id, 0, &reader), HILUM_ENOTFOUND);
    assert_int_equal(faults(w), 0);
    hl_buf_fini(&bytes);
    hl_buf_fini(&sent);
}

static void replaced__one_is_still_read_by_who_had_listed_it(void **state)
{
    struct whole *w = *state;
    struct hl_ingest_result first, second;
    struct hl_buf bytes = {0}, sent = {0};
    assert_int_equal(send_image(w, "1.2.3.1.9", 1, 5000, &first), HILUM_OK);
    hl_store_set_duplicates(w->store, HL_REPLACE);
    assert_int_equal(send_image(w, "1.2.3.1.9", 2, 6000, &second), HILUM_OK);
    image_build(&sent, "1.2.3.1.9", 1, 5000);
    outgoing_read(w, first.instance_id, &bytes);
    assert_int_equal(bytes.len, sent.len);
    assert_memory_equal(bytes.data, sent.data, sent.len);
    hl_buf_fini(&bytes);
    hl_buf_fini(&sent);
}

static void version__keeps_both_and_lists_them(void **state)
{
    struct whole *w = *state;
    struct hl_ingest_result result;
    struct hl_stored stored;
    struct hl_attrs changes = {0};
    struct hl_buf bytes = {0}, list = {0};
    hl_store_set_duplicates(w->store, HL_VERSION);
    for (unsigned i = 1; i <= 3; i++)
        assert_int_equal(send_image(w, "1.2.3.1.9", i, 5000 + i, &result), HILUM_OK);
    assert_false(result.is_duplicate);
    /* a retry of an earlier content changes nothing */
    assert_int_equal(send_image(w, "1.2.3.1.9", 2, 5002, &result), HILUM_OK);
    assert_true(result.is_duplicate);
    assert_string_equal(find_text(w->f, 4, 0x00200013, "00080018", "1.2.3.1.9", NULL), "3");
    assert_int_equal(hl_record_versions(w->f->record, "1.2.3", &list), HILUM_OK);
    assert_non_null(strstr(hl_buf_str(&list), "\"version\":1,\"state\":\"earlier\""));
    assert_non_null(strstr(hl_buf_str(&list), "\"version\":2,\"state\":\"earlier\""));
    assert_non_null(strstr(hl_buf_str(&list), "\"version\":3,\"state\":\"current\""));
    hl_attrs_set(&changes, 0x00100010, "After^Edit");
    assert_int_equal(hl_record_edit_patient(w->f->record, "P1", NULL, &changes, "root", "typo"),
                     HILUM_OK);
    hl_attrs_fini(&changes);
    assert_int_equal(hl_record_version(w->f->record, "1.2.3.1.9", 1, &stored), HILUM_OK);
    outgoing_read(w, stored.instance_id, &bytes);
    assert_non_null(memmem(bytes.data, bytes.len, "After^Edit", 10));
    assert_int_equal(hl_record_version(w->f->record, "1.2.3.1.9", 4, &stored), HILUM_ENOTFOUND);
    housekeep(w);
    assert_int_equal(faults(w), 0);
    hl_buf_fini(&bytes);
    hl_buf_fini(&list);
}

static void stranger__of_another_study_or_patient_is_never_put_in_place(void **state)
{
    struct whole *w = *state;
    struct hl_ingest_result result;
    struct hl_buf list = {0};
    hl_store_set_duplicates(w->store, HL_REPLACE);
    assert_int_equal(send_image(w, "1.2.3.1.9", 1, 5000, &result), HILUM_OK);
    study_of_image = "1.2.4";
    assert_int_equal(send_image(w, "1.2.3.1.9", 2, 5000, &result), HILUM_OK);
    study_of_image = "1.2.3";
    assert_true(result.is_held);
    patient_of_image = "P2";
    assert_int_equal(send_image(w, "1.2.3.1.9", 3, 5000, &result), HILUM_OK);
    patient_of_image = "P1";
    assert_true(result.is_held);
    assert_int_equal(hl_record_quarantine_list(w->f->record, &list), HILUM_OK);
    assert_non_null(strstr(hl_buf_str(&list), "in another study"));
    assert_non_null(strstr(hl_buf_str(&list), "of another patient"));
    assert_string_equal(find_text(w->f, 4, 0x00200013, "00080018", "1.2.3.1.9", NULL), "1");
    assert_int_equal(faults(w), 0);
    hl_buf_fini(&list);
}

/* The child replaces one object again and again and is killed: one content is current, whole, and not older than
 * the last one answered. */
static void kill__while_replacing_leaves_one_whole_content(void **state)
{
    struct whole *w = *state;
    int answers[2];
    whole_close(w);
    hl_record_close(w->f->record);
    w->f->record = NULL;
    assert_int_equal(pipe(answers), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (fixture_open(w->f) != HILUM_OK)
            _exit(1);
        whole_open(w);
        hl_store_set_duplicates(w->store, HL_REPLACE);
        for (uint32_t i = 1;; i++) {
            struct hl_ingest_result result;
            if (send_image(w, "1.2.3.1.9", i, 50000, &result) != HILUM_OK ||
                write(answers[1], &i, sizeof i) != (ssize_t)sizeof i)
                _exit(1);
        }
    }
    close(answers[1]);
    uint32_t last = 0;
    while (last < 20 && read(answers[0], &last, sizeof last) == (ssize_t)sizeof last)
        ;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    while (read(answers[0], &last, sizeof last) == (ssize_t)sizeof last)
        ;
    close(answers[0]);
    assert_true(last >= 20);
    assert_int_equal(fixture_open(w->f), HILUM_OK);
    whole_open(w);
    assert_int_equal(sql_int(w->f, "SELECT count(*) FROM instance WHERE state = 0"), 1);
    assert_true(atoi(find_text(w->f, 4, 0x00200013, "00080018", "1.2.3.1.9", NULL)) >= (int)last);
    assert_int_equal(faults(w), 0);
}

/* A child is killed while it stores; what it was told is stored must be there. */
static void kill__in_the_middle_loses_nothing_that_was_answered(void **state)
{
    struct whole *w = *state;
    int answers[2];
    whole_close(w);
    hl_record_close(w->f->record);
    w->f->record = NULL;
    assert_int_equal(pipe(answers), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (fixture_open(w->f) != HILUM_OK)
            _exit(1);
        whole_open(w);
        for (uint32_t i = 0;; i++) {
            char uid[32];
            struct hl_ingest_result result;
            snprintf(uid, sizeof uid, "1.2.3.1.%u", i);
            if (send_image(w, uid, i, 100000, &result) != HILUM_OK ||
                write(answers[1], &i, sizeof i) != (ssize_t)sizeof i)
                _exit(1);
        }
    }
    close(answers[1]);
    uint32_t last = 0;
    while (last < 40 && read(answers[0], &last, sizeof last) == (ssize_t)sizeof last)
        ;
    kill(pid, SIGKILL);
    int status = 0;
    waitpid(pid, &status, 0);
    while (read(answers[0], &last, sizeof last) == (ssize_t)sizeof last)
        ;
    close(answers[0]);
    assert_true(WIFSIGNALED(status));
    assert_true(last >= 40);
    assert_int_equal(fixture_open(w->f), HILUM_OK);
    whole_open(w);
    for (uint32_t i = 0; i <= last; i++) {
        char uid[32];
        struct hl_stored stored;
        snprintf(uid, sizeof uid, "1.2.3.1.%u", i);
        assert_int_equal(hl_record_stored(w->f->record, uid, &stored), HILUM_OK);
    }
    assert_int_equal(faults(w), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(image__sent_is_found_and_returned_bit_for_bit),
        TEST(racing__senders_store_each_instance_once),
        TEST(stranger__under_a_known_uid_waits_in_quarantine),
        TEST(edit__of_a_patient_reaches_what_leaves),
        TEST(replace__makes_the_newcomer_current_and_erases_the_old_one_later),
        TEST(replaced__one_is_still_read_by_who_had_listed_it),
        TEST(version__keeps_both_and_lists_them),
        TEST(stranger__of_another_study_or_patient_is_never_put_in_place),
        TEST(kill__while_replacing_leaves_one_whole_content),
        TEST(kill__in_the_middle_loses_nothing_that_was_answered),
    };
    return cmocka_run_group_tests_name("pipeline", tests, NULL, NULL);
}
