/* Compression where objects lie, over the real record, database and store: nothing counts before it is proven, and a crash
 * between any two steps leaves an object that is what came. SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/record/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/dicom/uid.h"
#include "core/job/schedule.h"
#include "core/store/compress.h"
#include "tests/contract/store/provider.h"
#include "tests/unit/store/dataset_builder.h"

#define CT_IMAGE "1.2.840.10008.5.1.4.1.1.2"

enum { ROWS = 32, COLUMNS = 24, LENGTH = ROWS * COLUMNS * 2, FRAMES = 2, DIES = 77 };

/* Where the child dies: before or after the n-th call of a kind. */
enum step {
    NOWHERE,
    AFTER_BEGIN,
    AFTER_APPEND,
    BEFORE_SYNC,
    AFTER_SYNC,
    BEFORE_COMMIT,
    AFTER_COMMIT,
    N_STEPS
};

static struct {
    struct hilum_store table; /* the real one with doors to die in */
    const struct hilum_store *inner;
    enum step at;
    const struct hilum_codec *rle;
    void *rle_instance;
    hilum_self *host;
    int lie; /* 0: none; 1: a bit above the stored ones is lost; 2: the encoder fails; 3: the stream is cut */
    hilum_rc refusal;     /* of the encoder */
    hilum_rc read_only;   /* of the store */
    struct whole *racing; /* the object gets another place while it is encoded */
} world;

static void replace_meanwhile(struct whole *w);

static void door(enum step step)
{
    if (world.at == step)
        _exit(DIES);
}

static hilum_rc begin(void *self, const char *key, uint64_t expected, void **txn)
{
    if (world.read_only != HILUM_OK)
        return hl_fail(world.read_only, "the medium is read-only");
    hilum_rc rc = world.inner->begin(self, key, expected, txn);
    door(AFTER_BEGIN);
    if (world.racing != NULL)
        replace_meanwhile(world.racing);
    return rc;
}

static hilum_rc append(void *self, void *txn, const void *bytes, uint64_t n)
{
    hilum_rc rc = world.inner->append(self, txn, bytes, n);
    door(AFTER_APPEND);
    return rc;
}

static hilum_rc sync_all(void *self, void *const *txns, uint64_t n)
{
    door(BEFORE_SYNC);
    hilum_rc rc = world.inner->sync(self, txns, n);
    door(AFTER_SYNC);
    return rc;
}

static hilum_rc commit(void *self, void *txn)
{
    door(BEFORE_COMMIT);
    hilum_rc rc = world.inner->commit(self, txn);
    door(AFTER_COMMIT);
    return rc;
}

/* ---- a codec that may lie ---- */

static hilum_rc encode(void *self, const struct hilum_frame *frame, const void *src, uint64_t n,
                       const struct hilum_encode *wanted, struct hilum_sink *out,
                       struct hilum_encoded *done)
{
    uint8_t changed[LENGTH];
    if (world.refusal != HILUM_OK)
        return hl_fail(world.refusal, "the worker rests");
    assert_true(n <= sizeof changed);
    memcpy(changed, src, n);
    if (world.lie == 1)
        changed[2 * 100 + 1] &= 0x7F;
    if (world.lie == 2)
        return hl_fail(HILUM_EUNSUP, "no such pixels");
    if (world.lie != 3)
        return world.rle->encode(self, frame, changed, n, wanted, out, done);
    hilum_rc rc = world.rle->encode(self, frame, changed, n / 2, wanted, out, done);
    return rc == HILUM_OK ? rc : out->write(out->ctx, changed, 100);
}

static const struct hilum_codec *find(void *arg, const char *syntax, uint32_t flags, uint32_t rank,
                                      void **instance)
{
    static struct hilum_codec liar;
    (void)arg;
    liar = *world.rle;
    liar.encode = encode;
    *instance = world.rle_instance;
    if (rank > 0 || strcmp(syntax, HL_UID_RLE_LOSSLESS) != 0)
        return NULL;
    return flags & HILUM_CODEC_ENCODES ? &liar : world.rle;
}

static void nothing(void *arg, const struct hilum_cap *cap)
{
    (void)arg;
    (void)cap;
}

static const struct hl_codecs codecs = {find, nothing, nothing, NULL};

/* ---- a server without its network ---- */

struct whole {
    struct fixture *f;
    struct provider provider;
    struct hl_store *store;
    char root[160], derived[160];
};

static const char *vr_of(uint32_t tag)
{
    return tag == 0x7FE00010 ? "OW" : tag >> 16 == 0x0028 ? "US" : "LO";
}

static void whole_open(struct whole *w)
{
    struct hl_store_options options = {.memory_budget = 64 << 20,
                                       .codecs = &codecs,
                                       .vr = vr_of,
                                       .spool_dir = "/tmp",
                                       .derived = w->derived,
                                       .frame_cache = 1 << 20};
    if (provider_open(&w->provider, STORE_FS_SO, w->root, NULL, 0) != HILUM_OK)
        fail_msg("store-fs: %s", provider_reason());
    world.inner = w->provider.table;
    world.table = *world.inner;
    world.table.begin = begin;
    world.table.append = append;
    world.table.sync = sync_all;
    world.table.commit = commit;
    struct hl_store_provider provider = {"fs", &world.table, w->provider.instance};
    if (hl_store_open(&provider, 1, w->f->record, NULL, &options, &w->store) != HILUM_OK)
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
    world.host = fake_host_open(CODEC_RLE_SO, "/nonexistent", NULL);
    if (!w || !world.host || fixture_set_up((void **)&w->f) != 0)
        return -1;
    world.rle = fake_host_cap(world.host, HILUM_CAP_CODEC, &world.rle_instance);
    world.lie = 0;
    world.refusal = world.read_only = HILUM_OK;
    world.racing = NULL;
    world.at = NOWHERE;
    snprintf(w->root, sizeof w->root, "%s/objects", w->f->dir);
    snprintf(w->derived, sizeof w->derived, "%s/derived", w->f->dir);
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
    fake_host_close(world.host);
    return fixture_tear_down(&f);
}

/* ---- an object ---- */

/* 12 bits stored; something lives above some of them. */
static void build(struct hl_buf *b)
{
    put_head(b, 0x00080016, "UI", sizeof CT_IMAGE, false);
    hl_buf_add(b, CT_IMAGE, sizeof CT_IMAGE);
    put_text(b, 0x00080018, "UI", "1.2.3.45");
    put_text(b, 0x00100020, "LO", "P1");
    put_text(b, 0x0020000D, "UI", "1.2.34");
    put_text(b, 0x0020000E, "UI", "1.2.34.1");
    put_us(b, 0x00280002, 1, false);
    put_text(b, 0x00280004, "CS", "MONOCHROME2 ");
    put_text(b, 0x00280008, "IS", "2 ");
    put_us(b, 0x00280010, ROWS, false);
    put_us(b, 0x00280011, COLUMNS, false);
    put_us(b, 0x00280100, 16, false);
    put_us(b, 0x00280101, 12, false);
    put_us(b, 0x00280102, 11, false);
    put_us(b, 0x00280103, 0, false);
    put_head(b, 0x7FE00010, "OW", FRAMES * LENGTH, false);
    for (unsigned i = 0; i < FRAMES * LENGTH / 2; i++)
        put16(b, i / 8 % 4096 | (i >= 90 && i < 200 ? 0x8000u : 0), false);
}

static int64_t store_one(struct whole *w)
{
    const struct hl_ingest_source source = {
        .peer = "", .calling_aet = "T", .called_aet = "H", .address = "", .kind = "dimse"};
    struct hl_ingest *ingest = NULL;
    struct hl_ingest_result result;
    struct hl_buf b = {0};
    build(&b);
    if (hl_ingest_begin(w->store, &source, CT_IMAGE, "1.2.3.45", HL_UID_EXPLICIT_LITTLE_ENDIAN,
                        &ingest, &result) != HILUM_OK ||
        hl_ingest_data(ingest, b.data, b.len) != HILUM_OK ||
        hl_ingest_end(ingest, &result) != HILUM_OK)
        fail_msg("%04x %s: %s", result.status, result.comment, hl_error());
    hl_buf_fini(&b);
    return result.instance_id;
}

static struct hl_compress wish_of(int64_t keep_ms)
{
    struct hl_compress wish = {.rule = "site/small", .keep_ms = keep_ms};
    strcpy(wish.pack.transfer_syntax, HL_UID_RLE_LOSSLESS);
    return wish;
}

/* Every bit of it, whatever lies in the store. */
static void expect_object(struct whole *w, int64_t id, int64_t as_of)
{
    struct hl_outgoing *outgoing = NULL;
    struct hl_buf b = {0};
    struct hilum_frame frame = {.size = sizeof frame};
    const void *pixels = NULL;
    uint64_t n = 0;
    build(&b);
    assert_int_equal(hl_outgoing_open(w->store, id, as_of, &outgoing), HILUM_OK);
    if (hl_outgoing_frame(outgoing, 0, &frame, &pixels, &n) != HILUM_OK)
        fail_msg("%s", hl_error());
    assert_int_equal(n, LENGTH);
    assert_memory_equal(pixels, b.data + b.len - FRAMES * LENGTH, LENGTH);
    hl_outgoing_close(outgoing);
    hl_buf_fini(&b);
}

static hilum_rc count_fault(void *arg, const char *fault, const char *store, const char *key,
                            int64_t instance)
{
    (void)store, (void)instance;
    print_message("%s %s\n", fault, key);
    ++*(unsigned *)arg;
    return HILUM_OK;
}

static unsigned faults(struct whole *w)
{
    unsigned n = 0;
    assert_int_equal(hl_store_fsck(w->store, false, count_fault, &n), HILUM_OK);
    return n;
}

static const char *syntax_of(struct whole *w, int64_t id)
{
    static struct hl_stored stored;
    assert_int_equal(hl_record_stored_by_id(w->f->record, id, &stored), HILUM_OK);
    return stored.transfer_syntax;
}

/* ---- tests ---- */

static void what_is_proven_takes_the_place(void **state)
{
    struct whole *w = *state;
    struct hl_compress wish = wish_of(1000);
    int64_t id = store_one(w);
    int64_t before = sql_int(w->f, "SELECT bytes FROM totals");
    if (hl_store_compress(w->store, id, &wish) != HILUM_OK)
        fail_msg("%s", hl_error());
    assert_string_equal(syntax_of(w, id), HL_UID_RLE_LOSSLESS);
    assert_true(sql_int(w->f, "SELECT bytes FROM totals") < before);
    expect_object(w, id, 0);
    expect_object(w, id, HL_AS_ORIGINAL);
    struct hl_stored original;
    assert_int_equal(hl_record_stored_original(w->f->record, id, &original), HILUM_OK);
    assert_string_equal(original.transfer_syntax, HL_UID_EXPLICIT_LITTLE_ENDIAN);
    assert_int_equal(hl_store_compress(w->store, id, &wish),
                     HILUM_OK); /* once more: nothing to do */
    assert_int_equal(sql_int(w->f, "SELECT count(*) FROM location"), 2);
    assert_int_equal(sql_int(w->f, "SELECT count(*) FROM erasure"), 1);
    assert_int_equal(faults(w), 0);
    assert_int_equal(hl_compress_flush(w->store), HILUM_OK);
    assert_int_equal(sql_int(w->f, "SELECT done FROM compression WHERE rule = 'site/small'"), 1);
}

/* Each original waits in the row of the syntax it became. */
static void a_rule_that_changed_its_syntax_has_two_rows(void **state)
{
    struct whole *w = *state;
    struct hl_compress wish = wish_of(100000);
    const struct hl_compression_sum before = {
        .rule = "site/small", .syntax = HL_UID_JPEG_LS_LOSSLESS, .done = 1};
    struct hl_buf json = {0};
    assert_int_equal(hl_store_compress(w->store, store_one(w), &wish), HILUM_OK);
    assert_int_equal(hl_compress_flush(w->store), HILUM_OK);
    assert_int_equal(hl_record_compression_add(w->f->record, &before, 1), HILUM_OK);
    assert_int_equal(hl_record_compression_report(w->f->record, &json), HILUM_OK);
    const char *none = strstr(hl_buf_str(&json), "\"waiting\":0,\"waiting_bytes\":0}");
    const char *one = strstr(hl_buf_str(&json), "\"waiting\":1,");
    assert_non_null(none);
    assert_non_null(one);
    assert_null(strstr(one + 1, "\"waiting\":1,"));
    hl_buf_fini(&json);
}

static void a_codec_that_lies_changes_nothing(void **state)
{
    struct whole *w = *state;
    struct hl_compress wish = wish_of(1000);
    int64_t id = store_one(w);
    for (world.lie = 1; world.lie <= 3; world.lie++) {
        assert_int_equal(hl_store_compress(w->store, id, &wish), HILUM_EUNSUP);
        assert_string_equal(syntax_of(w, id), HL_UID_EXPLICIT_LITTLE_ENDIAN);
        expect_object(w, id, 0);
        assert_int_equal(sql_int(w->f, "SELECT count(*) FROM location"), 1);
        assert_int_equal(faults(w), 0);
    }
    assert_int_equal(sql_int(w->f, "SELECT count(*) FROM location WHERE tried <> ''"), 1);
}

/* Neither a map nor a frame: what is being proven may never count, and has no right to what viewers look at. */
static void a_proof_keeps_nothing(void **state)
{
    struct whole *w = *state;
    struct hl_compress wish = wish_of(1000);
    struct hl_buf status = {0};
    int64_t id = store_one(w);
    for (world.lie = 1; world.lie >= 0; world.lie--) {
        assert_int_equal(hl_store_compress(w->store, id, &wish),
                         world.lie ? HILUM_EUNSUP : HILUM_OK);
        assert_int_not_equal(access(w->derived, F_OK), 0);
        hl_buf_clear(&status);
        hl_store_status(w->store, &status);
        assert_non_null(strstr(hl_buf_str(&status), "\"frames_kept\":0,"));
        assert_non_null(strstr(hl_buf_str(&status), "\"frame_misses\":0,"));
    }
    hl_buf_fini(&status);
    expect_object(w, id, 0); /* somebody asks for it */
    assert_int_equal(access(w->derived, F_OK), 0);
}

/* Of the medium, the worker or the record, not of the object: the next schedule tries it again. */
static void what_passes_is_tried_again(void **state)
{
    static const hilum_rc passing[] = {HILUM_EDENIED, HILUM_ECLOSED, HILUM_ECANCELLED, HILUM_EIO};
    struct whole *w = *state;
    struct hl_compress wish = wish_of(1000);
    int64_t id = store_one(w);
    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++) {
        world.read_only = passing[i];
        assert_int_equal(hl_store_compress(w->store, id, &wish), passing[i]);
        world.read_only = HILUM_OK;
        world.refusal = passing[i];
        assert_int_equal(hl_store_compress(w->store, id, &wish), passing[i]);
        world.refusal = HILUM_OK;
    }
    assert_int_equal(sql_int(w->f, "SELECT count(*) FROM location WHERE tried <> ''"), 0);
    assert_int_equal(hl_store_compress(w->store, id, &wish), HILUM_OK);
}

static void replace_meanwhile(struct whole *w)
{
    struct hl_stored stored;
    world.racing = NULL;
    assert_int_equal(hl_record_stored(w->f->record, "1.2.3.45", &stored), HILUM_OK);
    strcat(stored.location.key, "x");
    assert_int_equal(hl_record_relocate(w->f->record, stored.instance_id, &stored.location,
                                        HL_UID_EXPLICIT_LITTLE_ENDIAN, NULL),
                     HILUM_OK);
}

/* What was encoded is of an object that no longer counts; the one that does was never tried. */
static void an_object_replaced_meanwhile_was_not_tried(void **state)
{
    struct whole *w = *state;
    struct hl_compress wish = wish_of(1000);
    int64_t id = store_one(w);
    world.racing = w;
    assert_int_equal(hl_store_compress(w->store, id, &wish), HILUM_ECONFLICT);
    assert_int_equal(sql_int(w->f, "SELECT count(*) FROM location WHERE tried <> ''"), 0);
}

static void what_loses_never_replaces(void **state)
{
    struct whole *w = *state;
    struct hl_compress wish = wish_of(1000);
    int64_t id = store_one(w);
    strcpy(wish.pack.transfer_syntax, HL_UID_JPEG_BASELINE);
    wish.pack.may_lose = true;
    assert_int_equal(hl_store_compress(w->store, id, &wish), HILUM_EUNSUP);
    assert_string_equal(syntax_of(w, id), HL_UID_EXPLICIT_LITTLE_ENDIAN);
    wish = wish_of(1000);
    wish.min_bytes = 1 << 20;
    assert_int_equal(hl_store_compress(w->store, id, &wish), HILUM_EUNSUP);
}

/* The child dies at each step of the store's; before the exchange the original counts, behind it the encoded one. */
static void a_crash_at_any_step_leaves_the_object(void **state)
{
    struct whole *w = *state;
    int64_t id = store_one(w);
    for (enum step at = AFTER_BEGIN; at < N_STEPS; at++) {
        int status = 0;
        whole_close(w);
        hl_record_close(w->f->record);
        w->f->record = NULL;
        pid_t pid = fork();
        if (pid == 0) {
            struct hl_compress wish = wish_of(1000);
            if (fixture_open(w->f) != HILUM_OK)
                _exit(1);
            whole_open(w);
            world.at = at;
            (void)hl_store_compress(w->store, id, &wish);
            _exit(2);
        }
        waitpid(pid, &status, 0);
        assert_int_equal(fixture_open(w->f), HILUM_OK);
        whole_open(w);
        bool is_exchanged = at >= BEFORE_COMMIT;
        assert_int_equal(WEXITSTATUS(status), at > BEFORE_COMMIT ? 2 : DIES);
        assert_string_equal(syntax_of(w, id),
                            is_exchanged ? HL_UID_RLE_LOSSLESS : HL_UID_EXPLICIT_LITTLE_ENDIAN);
        expect_object(w, id, 0);
        expect_object(w, id, HL_AS_ORIGINAL);
        assert_int_equal(faults(w), 0);
    }
}

/* ---- times ---- */

static void schedules_have_times_of_day(void **state)
{
    const int64_t hour = INT64_C(3600) * 1000000, day = 24 * hour, noon = 20000 * day + 12 * hour;
    struct hl_schedule nightly = {"n", 86400000, 150}, often = {"o", 60000, -1};
    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    assert_int_equal(hl_schedule_next(&nightly, 0, noon),
                     20001 * day + 150 * 60 * INT64_C(1000000));
    assert_int_equal(hl_schedule_next(&nightly, 0, 20000 * day),
                     20000 * day + 150 * 60 * INT64_C(1000000));
    nightly.every_ms = 3 * 86400000;
    assert_int_equal(hl_schedule_next(&nightly, 20000 * day + 5 * hour / 2, noon),
                     20003 * day + 5 * hour / 2);
    assert_int_equal(hl_schedule_next(&often, 0, noon), noon + 60 * 1000000);
    assert_int_equal(hl_schedule_next(&often, noon - hour, noon),
                     noon + 60 * 1000000); /* missed: once */
}

static void a_time_is_journaled_once(void **state)
{
    struct whole *w = *state;
    const struct hl_schedule often = {"often", 60000, -1};
    const int64_t now = INT64_C(1700000000) * 1000000, minute = 60 * INT64_C(1000000);
    const char *count = "SELECT count(*) FROM journal WHERE event = 'schedule.due'";
    assert_int_equal(hl_schedules_tick(w->f->record, &often, 1, now), HILUM_OK);
    assert_int_equal(sql_int(w->f, count), 0); /* new: waits for its first time */
    assert_int_equal(hl_schedules_tick(w->f->record, &often, 1, now + minute), HILUM_OK);
    assert_int_equal(hl_schedules_tick(w->f->record, &often, 1, now + minute + 1), HILUM_OK);
    assert_int_equal(sql_int(w->f, count), 1);
    assert_int_equal(hl_schedules_tick(w->f->record, &often, 1, now + 100 * minute), HILUM_OK);
    assert_int_equal(hl_schedules_tick(w->f->record, &often, 1, now + 100 * minute + 1), HILUM_OK);
    assert_int_equal(sql_int(w->f, count), 2); /* ninety-eight were missed: due once */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_proven_takes_the_place, setup, teardown),
        cmocka_unit_test_setup_teardown(a_rule_that_changed_its_syntax_has_two_rows, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_codec_that_lies_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_proof_keeps_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(what_passes_is_tried_again, setup, teardown),
        cmocka_unit_test_setup_teardown(an_object_replaced_meanwhile_was_not_tried, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_loses_never_replaces, setup, teardown),
        cmocka_unit_test_setup_teardown(a_crash_at_any_step_leaves_the_object, setup, teardown),
        cmocka_unit_test(schedules_have_times_of_day),
        cmocka_unit_test_setup_teardown(a_time_is_journaled_once, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
