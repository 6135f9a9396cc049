/* A compressed object leaves decoded, with corrections or without, and its frames can be had while it leaves.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/error.h"
#include "core/dicom/uid.h"
#include "core/store/scan.h"
#include "tests/fake_host.h"
#include "tests/unit/store/dataset_builder.h"
#include "tests/unit/store/ingest_fixture.h"

enum { SIDE = 7, FRAMES = 3, FRAME = SIDE * SIDE, TAG_NAME = 0x00100010 };

static struct hl_codecs codecs;
static const struct hilum_codec *rle;
static void *rle_instance;
static hilum_self *host;

static const struct hilum_codec *find(void *arg, const char *syntax, uint32_t flags, uint32_t rank,
                                      void **instance)
{
    (void)arg;
    (void)flags;
    *instance = rle_instance;
    return rank == 0 && strcmp(syntax, HL_UID_RLE_LOSSLESS) == 0 ? rle : NULL;
}

static void nothing(void *arg, const struct hilum_cap *cap)
{
    (void)arg;
    (void)cap;
}

/* ---- the object ---- */

static uint8_t pixel_of(unsigned frame, unsigned i)
{
    return (uint8_t)(frame * 50 + i * i);
}

static hilum_rc keep(void *ctx, const void *bytes, uint64_t n)
{
    hl_buf_add(ctx, bytes, n);
    return HILUM_OK;
}

static void put_frame(struct hl_buf *b, unsigned number)
{
    struct hilum_frame frame = {
        sizeof frame, SIDE, SIDE, 1, 8, 8, HILUM_SAMPLE_UNSIGNED, 0, HILUM_PHOTO_MONOCHROME2, 0};
    struct hilum_encode wanted = {.size = sizeof wanted, .transfer_syntax = HL_UID_RLE_LOSSLESS};
    struct hilum_encoded done = {.size = sizeof done};
    struct hl_buf stream = {0};
    struct hilum_sink sink = {sizeof sink, 0, keep, &stream};
    uint8_t pixels[FRAME];
    for (unsigned i = 0; i < FRAME; i++)
        pixels[i] = pixel_of(number, i);
    assert_int_equal(rle->encode(rle_instance, &frame, pixels, FRAME, &wanted, &sink, &done),
                     HILUM_OK);
    put_item(b, HL_TAG_ITEM, (uint32_t)stream.len);
    hl_buf_add(b, stream.data, stream.len);
    hl_buf_fini(&stream);
}

static void put_pixels(struct hl_buf *b, bool is_native)
{
    if (is_native) {
        put_head(b, HL_TAG_PIXEL_DATA, "OW", FRAMES * FRAME + 1, false);
        for (unsigned i = 0; i < FRAMES * FRAME; i++)
            hl_buf_add(b, &(uint8_t){pixel_of(i / FRAME, i % FRAME)}, 1);
        hl_buf_add(b, "", 1);
        return;
    }
    put_head(b, HL_TAG_PIXEL_DATA, "OB", HL_LENGTH_UNDEFINED, false);
    put_item(b, HL_TAG_ITEM, 0);
    for (unsigned i = 0; i < FRAMES; i++)
        put_frame(b, i);
    put_item(b, HL_TAG_SEQUENCE_END, 0);
}

static void object_build(struct hl_buf *b, bool is_native)
{
    struct dataset head = {.sop_instance = "1.2.5", .study = "1.2.3", .series = "1.2.3.4"};
    dataset_build(&head, b);
    b->len -= 12 + 10; /* its Rows and empty pixel data */
    put_us(b, 0x00280002, 1, false);
    put_text(b, 0x00280004, "CS", "MONOCHROME2 ");
    put_text(b, 0x00280008, "IS", "3 ");
    put_us(b, 0x00280010, SIDE, false);
    put_us(b, 0x00280011, SIDE, false);
    put_us(b, 0x00280100, 8, false);
    put_us(b, 0x00280101, 8, false);
    put_us(b, 0x00280103, 0, false);
    put_pixels(b, is_native);
}

static int64_t object_store_as(struct pipeline *p, bool is_native)
{
    struct hl_ingest *ingest = NULL;
    struct hl_ingest_result result;
    struct hl_buf b = {0};
    object_build(&b, is_native);
    assert_int_equal(
        hl_ingest_begin(p->store, &p->source, CT_IMAGE, "1.2.5",
                        is_native ? HL_UID_EXPLICIT_LITTLE_ENDIAN : HL_UID_RLE_LOSSLESS, &ingest,
                        &result),
        HILUM_OK);
    assert_int_equal(hl_ingest_data(ingest, b.data, b.len), HILUM_OK);
    assert_int_equal(hl_ingest_end(ingest, &result), HILUM_OK);
    hl_buf_fini(&b);
    return result.instance_id;
}

static int64_t object_store(struct pipeline *p)
{
    return object_store_as(p, false);
}

/* ---- what leaves ---- */

static struct hl_outgoing *leave(struct pipeline *p, int64_t id, const char *syntax)
{
    struct hl_outgoing *outgoing = NULL;
    assert_int_equal(hl_outgoing_open(p->store, id, 0, &outgoing), HILUM_OK);
    if (hl_outgoing_recode(outgoing, syntax) != HILUM_OK)
        fail_msg("%s: %s", syntax, hl_error());
    return outgoing;
}

static void take_all(struct hl_outgoing *outgoing, struct hl_buf *out)
{
    for (size_t n = 1; n > 0;) {
        const void *bytes = NULL;
        assert_int_equal(hl_outgoing_next(outgoing, &bytes, &n), HILUM_OK);
        hl_buf_add(out, bytes, n);
        if (hl_outgoing_is_end(outgoing))
            break;
    }
}

static void check_leaving(struct pipeline *p, int64_t id, const char *syntax, const char *name)
{
    struct hl_buf got = {0};
    struct hl_scan *scan;
    char text[65];
    struct hl_outgoing *outgoing = leave(p, id, syntax);
    take_all(outgoing, &got);
    hl_outgoing_close(outgoing);
    assert_int_equal(hl_scan_new(syntax, NULL, &scan), HILUM_OK);
    assert_int_equal(hl_scan_feed(scan, got.data, got.len), HILUM_OK);
    assert_int_equal(hl_scan_end(scan), HILUM_OK);
    assert_int_equal(hl_scan_remarks(scan), 0);
    hl_scan_text(scan, TAG_NAME, text, sizeof text);
    assert_string_equal(text, name);
    const struct hl_element *pixels = hl_scan_find(scan, HL_TAG_PIXEL_DATA);
    assert_non_null(pixels);
    assert_false(pixels->is_undefined);
    assert_int_equal(pixels->length, FRAMES * FRAME + 1);
    const uint8_t *at = (const uint8_t *)got.data + pixels->offset + pixels->header_length;
    for (unsigned i = 0; i < FRAMES * FRAME; i++)
        assert_int_equal(at[i], pixel_of(i / FRAME, i % FRAME));
    hl_scan_free(scan);
    hl_buf_fini(&got);
}

static void compressed_objects_leave_in_plain_syntaxes(void **state)
{
    struct pipeline *p = *state;
    int64_t id = object_store(p);
    check_leaving(p, id, HL_UID_EXPLICIT_LITTLE_ENDIAN, "Test^Patient");
    check_leaving(p, id, HL_UID_IMPLICIT_LITTLE_ENDIAN, "Test^Patient");
    check_leaving(p, id, HL_UID_EXPLICIT_BIG_ENDIAN, "Test^Patient");
}

/* Corrections before the pixels move them: frames are still found. */
static void corrections_are_applied_to_what_leaves_decoded(void **state)
{
    struct pipeline *p = *state;
    int64_t id = object_store(p);
    p->record->overlays[0] =
        (struct hl_overlay){.tag = TAG_NAME, .text = "Somebody^With a longer name"};
    p->record->n_overlays = 1;
    check_leaving(p, id, HL_UID_EXPLICIT_LITTLE_ENDIAN, "Somebody^With a longer name");
    check_leaving(p, id, HL_UID_IMPLICIT_LITTLE_ENDIAN, "Somebody^With a longer name");
}

static void check_frame(struct hl_outgoing *outgoing, unsigned i)
{
    struct hilum_frame frame = {.size = sizeof frame};
    const void *pixels;
    uint64_t n;
    assert_int_equal(hl_outgoing_frame(outgoing, i, &frame, &pixels, &n), HILUM_OK);
    assert_int_equal(n, FRAME);
    assert_int_equal(((const uint8_t *)pixels)[FRAME - 1], pixel_of(i, FRAME - 1));
}

static void frames_do_not_disturb_what_leaves(void **state)
{
    struct pipeline *p = *state;
    int64_t id = object_store(p);
    struct hl_outgoing *outgoing = NULL;
    const void *bytes;
    size_t n = 0;
    assert_int_equal(hl_outgoing_open(p->store, id, 0, &outgoing), HILUM_OK);
    check_frame(outgoing, 2);
    assert_int_equal(hl_outgoing_next(outgoing, &bytes, &n), HILUM_OK); /* digested: all of it */
    assert_true(hl_outgoing_is_end(outgoing));
    check_frame(outgoing, 0);
    hl_outgoing_close(outgoing);
    outgoing = leave(p, id, HL_UID_EXPLICIT_LITTLE_ENDIAN);
    check_frame(outgoing, 1);
    hl_outgoing_close(outgoing);
}

/* Corrections move what lies behind them, and not what is lent. */
static void frames_are_lent_where_they_lie(void **state)
{
    struct pipeline *p = *state;
    struct hl_outgoing *outgoing = NULL;
    const void *pixels = NULL;
    setenv("HILUM_TEST_INTAKE", "intake=files", 1); /* what is in the log yet is not mapped */
    pipeline_restart(p);
    unsetenv("HILUM_TEST_INTAKE");
    int64_t id = object_store_as(p, true);
    p->record->overlays[0] = (struct hl_overlay){.tag = TAG_NAME, .text = "Somebody^Else"};
    p->record->n_overlays = 1;
    assert_int_equal(hl_outgoing_open(p->store, id, 0, &outgoing), HILUM_OK);
    for (unsigned i = FRAMES; i-- > 0;) {
        assert_int_equal(hl_outgoing_frame_lent(outgoing, i, &pixels, FRAME), HILUM_OK);
        for (unsigned k = 0; k < FRAME; k++)
            assert_int_equal(((const uint8_t *)pixels)[k], pixel_of(i, k));
    }
    assert_int_equal(hl_outgoing_frame_lent(outgoing, 0, &pixels, FRAME + 1), HILUM_EUNSUP);
    assert_int_equal(hl_outgoing_frame_lent(outgoing, FRAMES, &pixels, FRAME), HILUM_EUNSUP);
    assert_int_equal(hl_outgoing_frame_lent(outgoing, UINT64_MAX, &pixels, FRAME), HILUM_EUNSUP);
    hl_outgoing_close(outgoing);
}

static void compressed_frames_are_not_lent(void **state)
{
    struct pipeline *p = *state;
    struct hl_outgoing *outgoing = NULL;
    const void *pixels = NULL;
    int64_t id = object_store(p);
    assert_int_equal(hl_outgoing_open(p->store, id, 0, &outgoing), HILUM_OK);
    assert_int_equal(hl_outgoing_frame_lent(outgoing, 0, &pixels, FRAME), HILUM_EUNSUP);
    hl_outgoing_close(outgoing);
}

static void without_codecs_it_only_leaves_as_stored(void **state)
{
    struct pipeline *p = *state;
    struct hl_outgoing *outgoing = NULL;
    const void *bytes;
    size_t n = 0;
    p->options.codecs = NULL;
    pipeline_restart(p);
    int64_t id = object_store(p);
    assert_int_equal(hl_outgoing_open(p->store, id, 0, &outgoing), HILUM_OK);
    assert_int_equal(hl_outgoing_recode(outgoing, HL_UID_EXPLICIT_LITTLE_ENDIAN), HILUM_EUNSUP);
    assert_int_equal(hl_outgoing_next(outgoing, &bytes, &n), HILUM_OK);
    assert_int_equal(n, hl_outgoing_length(outgoing));
    hl_outgoing_close(outgoing);
}

static const char *vr_of(uint32_t tag)
{
    return tag == TAG_NAME            ? "PN"
           : tag == HL_TAG_PIXEL_DATA ? "OW"
           : tag >> 16 == 0x0400      ? "SQ"
           : tag >> 16 == 0x0028      ? "US"
                                      : "LO";
}

static int set_up(void **state)
{
    host = fake_host_open(CODEC_RLE_SO, "/nonexistent", NULL);
    if (!host || pipeline_setup(state) != 0)
        return -1;
    struct pipeline *p = *state;
    rle = fake_host_cap(host, HILUM_CAP_CODEC, &rle_instance);
    codecs = (struct hl_codecs){find, nothing, nothing, NULL};
    p->options.codecs = &codecs;
    p->options.vr = vr_of;
    pipeline_restart(p);
    return 0;
}

static int tear_down(void **state)
{
    fake_host_close(host);
    return pipeline_teardown(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(compressed_objects_leave_in_plain_syntaxes, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(corrections_are_applied_to_what_leaves_decoded, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(frames_do_not_disturb_what_leaves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(frames_are_lent_where_they_lie, set_up, tear_down),
        cmocka_unit_test_setup_teardown(compressed_frames_are_not_lent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_codecs_it_only_leaves_as_stored, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
