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

static void image_build(struct hl_buf *b, const char *sop, unsigned seed, uint32_t pixels)
{
    even(b, 0x00080016, "UI", CT_IMAGE);
    even(b, 0x00080018, "UI", sop);
    even(b, 0x00080060, "CS", "CT");
    even(b, 0x00100010, "PN", "Before^Edit");
    even(b, 0x00100020, "LO", "P1");
    even(b, 0x0020000D, "UI", "1.2.3");
    even(b, 0x0020000E, "UI", "1.2.3.1");
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
        TEST(kill__in_the_middle_loses_nothing_that_was_answered),
    };
    return cmocka_run_group_tests_name("pipeline", tests, NULL, NULL);
}
