/* Where frames lie, and compressed objects decoded frame by frame through the RLE codec.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/base/error.h"
#include "core/dicom/uid.h"
#include "core/store/pixels.h"
#include "core/store/unpack.h"
#include "tests/fake_host.h"
#include "tests/unit/store/dataset_builder.h"

enum { ROWS = 3, COLUMNS = 5 };

/* ---- objects by hand ---- */

static void put_header(struct hl_buf *b, const char *frames, uint32_t allocated)
{
    put_us(b, 0x00280002, 1, false);
    put_text(b, 0x00280004, "CS", "MONOCHROME2 ");
    put_text(b, 0x00280008, "IS", frames);
    put_us(b, 0x00280010, ROWS, false);
    put_us(b, 0x00280011, COLUMNS, false);
    put_us(b, 0x00280100, allocated, false);
    put_us(b, 0x00280101, allocated, false);
    put_us(b, 0x00280103, 0, false);
}

static void put_pixel_head(struct hl_buf *b)
{
    put_head(b, HL_TAG_PIXEL_DATA, "OB", HL_LENGTH_UNDEFINED, false);
}

static void put_table(struct hl_buf *b, const uint32_t *offsets, uint32_t n)
{
    put_item(b, HL_TAG_ITEM, 4 * n);
    for (uint32_t i = 0; i < n; i++)
        put32(b, offsets[i], false);
}

/* 16 bytes that begin a JPEG stream, or go on with one. */
static void put_fragment(struct hl_buf *b, bool is_first)
{
    put_item(b, HL_TAG_ITEM, 16);
    hl_buf_add(b, is_first ? "\xFF\xD8\xFF\xE0" : "more", 4);
    hl_buf_add(b, "123456789012", 12);
}

static void put_end(struct hl_buf *b)
{
    put_item(b, HL_TAG_SEQUENCE_END, 0);
}

static hilum_rc read_buf(void *arg, uint64_t at, void *dst, uint64_t n)
{
    const struct hl_buf *b = arg;
    if (at > b->len || n > b->len - at)
        return hl_fail(HILUM_EINVAL, "read beyond the end");
    memcpy(dst, b->data + at, n);
    return HILUM_OK;
}

static struct hl_scan *scan_of(const struct hl_buf *b, const char *syntax)
{
    struct hl_scan *scan;
    assert_int_equal(hl_scan_new(syntax, NULL, &scan), HILUM_OK);
    assert_int_equal(hl_scan_feed(scan, b->data, b->len), HILUM_OK);
    assert_int_equal(hl_scan_end(scan), HILUM_OK);
    return scan;
}

static hilum_rc map_of(struct hl_buf *b, const char *syntax, struct hl_frames *out)
{
    struct hl_frame_source source = {read_buf, b};
    struct hl_scan *scan = scan_of(b, syntax);
    hilum_rc rc = hl_frames_map(scan, 0, syntax, &source, out);
    hl_scan_free(scan);
    hl_buf_fini(b);
    return rc;
}

static void expect_starts(const struct hl_frames *frames, const size_t *starts, size_t n)
{
    assert_int_equal(frames->n, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(frames->starts[i], starts[i]);
    assert_int_equal(frames->starts[n], frames->n_fragments);
}

/* ---- the map ---- */

static void native_frames_are_counted_in_bits(void **state)
{
    (void)state;
    struct hl_buf b = {0};
    struct hl_frames frames;
    put_header(&b, "2 ", 1);
    uint64_t first = b.len + 12;
    put_head(&b, HL_TAG_PIXEL_DATA, "OB", 4, false);
    hl_buf_add(&b, "\1\2\3\4", 4);
    assert_int_equal(map_of(&b, HL_UID_EXPLICIT_LITTLE_ENDIAN, &frames), HILUM_OK);
    assert_true(frames.is_native);
    assert_int_equal(frames.first, first);
    assert_int_equal(frames.bits, ROWS * COLUMNS);
    hl_frames_fini(&frames);
}

static void too_few_native_pixels_are_no_frames(void **state)
{
    (void)state;
    struct hl_buf b = {0};
    struct hl_frames frames;
    put_header(&b, "2 ", 8);
    put_head(&b, HL_TAG_PIXEL_DATA, "OW", 28, false);
    hl_buf_add(&b, "1234567890123456789012345678", 28);
    assert_int_equal(map_of(&b, HL_UID_EXPLICIT_LITTLE_ENDIAN, &frames), HILUM_ECORRUPT);
}

static void a_single_frame_is_all_fragments(void **state)
{
    (void)state;
    struct hl_buf b = {0};
    struct hl_frames frames;
    put_header(&b, "1 ", 8);
    put_pixel_head(&b);
    put_table(&b, NULL, 0);
    for (int i = 0; i < 3; i++)
        put_fragment(&b, i == 0);
    put_end(&b);
    assert_int_equal(map_of(&b, HL_UID_JPEG_BASELINE, &frames), HILUM_OK);
    expect_starts(&frames, (size_t[]){0}, 1);
    assert_int_equal(frames.n_fragments, 3);
    assert_int_equal(frames.fragments[2].n, 16);
    hl_frames_fini(&frames);
}

/* Three frames of 1, 2 and 1 fragments with that table. */
static hilum_rc map_three(const uint32_t *table, uint32_t n_table, struct hl_frames *out)
{
    struct hl_buf b = {0};
    put_header(&b, "3 ", 8);
    put_pixel_head(&b);
    put_table(&b, table, n_table);
    put_fragment(&b, true);
    put_fragment(&b, true);
    put_fragment(&b, false);
    put_fragment(&b, true);
    put_end(&b);
    return map_of(&b, HL_UID_JPEG_BASELINE, out);
}

static void frames_are_found_by_table_or_without(void **state)
{
    (void)state;
    static const uint32_t good[] = {0, 24, 72}, lying[] = {0, 24, 50}, behind[] = {0, 24, 7200},
                          late[] = {24, 48, 72};
    const uint32_t *tables[] = {good, lying, behind, late, NULL};
    for (size_t i = 0; i < 5; i++) {
        struct hl_frames frames;
        assert_int_equal(map_three(tables[i], tables[i] ? 3 : 0, &frames), HILUM_OK);
        expect_starts(&frames, (size_t[]){0, 1, 3}, 3);
        hl_frames_fini(&frames);
    }
}

static void a_good_table_is_believed_before_streams(void **state)
{
    (void)state;
    static const uint32_t other[] = {0, 48, 72};
    struct hl_frames frames;
    assert_int_equal(map_three(other, 3, &frames), HILUM_OK);
    expect_starts(&frames, (size_t[]){0, 2, 3}, 3);
    hl_frames_fini(&frames);
}

static void the_extended_table_comes_first(void **state)
{
    (void)state;
    struct hl_buf b = {0};
    struct hl_frames frames;
    put_header(&b, "2 ", 8);
    put_head(&b, 0x7FE00001, "OV", 16, false);
    for (uint32_t i = 0; i < 2; i++) {
        put32(&b, i * 48, false);
        put32(&b, 0, false);
    }
    put_pixel_head(&b);
    put_table(&b, NULL, 0);
    for (int i = 0; i < 3; i++)
        put_fragment(&b, true);
    put_end(&b);
    assert_int_equal(map_of(&b, HL_UID_JPEG_BASELINE, &frames), HILUM_OK);
    expect_starts(&frames, (size_t[]){0, 2}, 2);
    hl_frames_fini(&frames);
}

static void put_sixteen(struct hl_buf *b, const char *begin, size_t n)
{
    put_item(b, HL_TAG_ITEM, 16);
    hl_buf_add(b, begin, n);
    hl_buf_add(b, "1234567890123456", 16 - n);
}

/* Bare streams and boxes of JPEG XL; the two bytes of the former say nothing in other syntaxes. */
static void frames_of_jpeg_xl_are_found(void **state)
{
    (void)state;
    struct hl_frames frames;
    for (int is_xl = 0; is_xl < 2; is_xl++) {
        struct hl_buf b = {0};
        put_header(&b, "2 ", 8);
        put_pixel_head(&b);
        put_table(&b, NULL, 0);
        put_sixteen(&b, "\xFF\x0A", 2);
        put_sixteen(&b, "more", 4);
        put_sixteen(&b, "\0\0\0\x0CJXL ", 8);
        put_end(&b);
        hilum_rc rc = map_of(&b, is_xl ? "1.2.840.10008.1.2.4.110" : HL_UID_JPEG_BASELINE, &frames);
        assert_int_equal(rc, is_xl ? HILUM_OK : HILUM_EUNSUP);
    }
    expect_starts(&frames, (size_t[]){0, 2}, 2);
    hl_frames_fini(&frames);
}

static void what_cannot_be_told_apart_is_refused(void **state)
{
    (void)state;
    struct hl_frames frames;
    struct hl_buf b = {0};
    put_header(&b, "2 ", 8);
    put_pixel_head(&b);
    put_table(&b, NULL, 0);
    for (int i = 0; i < 3; i++)
        put_fragment(&b, true);
    put_end(&b);
    assert_int_equal(map_of(&b, HL_UID_JPEG_BASELINE, &frames), HILUM_EUNSUP);

    put_header(&b, "4 ", 8);
    put_pixel_head(&b);
    put_table(&b, NULL, 0);
    put_fragment(&b, true);
    put_end(&b);
    assert_int_equal(map_of(&b, HL_UID_JPEG_BASELINE, &frames), HILUM_ECORRUPT);

    put_header(&b, "1 ", 8);
    assert_int_equal(map_of(&b, HL_UID_JPEG_BASELINE, &frames), HILUM_ENOTFOUND);
}

/* ---- decoding ---- */

struct provider {
    const struct hilum_codec *codec;
    void *instance;
};

static const struct hilum_codec *find(void *arg, const char *syntax, uint32_t flags, uint32_t rank,
                                      void **instance)
{
    const struct provider *provider = arg;
    (void)flags;
    *instance = provider->instance;
    return rank == 0 && strcmp(syntax, HL_UID_RLE_LOSSLESS) == 0 ? provider->codec : NULL;
}

static void nothing(void *arg, const struct hilum_cap *cap)
{
    (void)arg;
    (void)cap;
}

static hilum_rc keep(void *ctx, const void *bytes, uint64_t n)
{
    hl_buf_add(ctx, bytes, n);
    return HILUM_OK;
}

static void put_rle(struct hl_buf *b, const struct provider *provider, uint8_t first)
{
    struct hilum_frame frame = {
        sizeof frame, COLUMNS, ROWS, 1, 8, 8, HILUM_SAMPLE_UNSIGNED, 0, HILUM_PHOTO_MONOCHROME2, 0};
    struct hilum_encode wanted = {.size = sizeof wanted, .transfer_syntax = HL_UID_RLE_LOSSLESS};
    struct hilum_encoded done = {.size = sizeof done};
    struct hl_buf stream = {0};
    struct hilum_sink sink = {sizeof sink, 0, keep, &stream};
    uint8_t pixels[ROWS * COLUMNS];
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(first + i);
    assert_int_equal(provider->codec->encode(provider->instance, &frame, pixels, sizeof pixels,
                                             &wanted, &sink, &done),
                     HILUM_OK);
    put_item(b, HL_TAG_ITEM, (uint32_t)stream.len);
    hl_buf_add(b, stream.data, stream.len);
    hl_buf_fini(&stream);
}

/* Three frames, the last one broken if asked for. */
static void put_object(struct hl_buf *b, const struct provider *provider, bool is_broken)
{
    put_header(b, "3 ", 8);
    put_pixel_head(b);
    put_table(b, NULL, 0);
    for (uint8_t i = 0; i < 3; i++)
        put_rle(b, provider, (uint8_t)(100 * i));
    if (is_broken)
        memset(b->data + b->len - 10, 0x80, 10);
    put_end(b);
}

static struct hl_unpack *unpack_at(struct hl_buf *b, const struct hl_codecs *codecs,
                                   const struct hl_spool_place *place)
{
    struct hl_frame_source source = {read_buf, b};
    struct hl_scan *scan = scan_of(b, HL_UID_RLE_LOSSLESS);
    struct hl_unpack *unpack = NULL;
    hilum_rc rc = hl_unpack_new(codecs, HL_UID_RLE_LOSSLESS, scan, 0, &source, place, &unpack);
    hl_scan_free(scan);
    if (rc != HILUM_OK)
        print_message("%s\n", hl_error());
    return unpack;
}

static struct hl_unpack *unpack_of(struct hl_buf *b, const struct hl_codecs *codecs)
{
    return unpack_at(b, codecs, NULL);
}

static void frames_come_in_any_order(void **state)
{
    struct provider *provider = *state;
    struct hl_codecs codecs = {find, nothing, nothing, provider};
    struct hl_buf b = {0};
    struct hilum_frame frame;
    const void *pixels;
    uint64_t n;
    put_object(&b, provider, false);
    struct hl_unpack *unpack = unpack_of(&b, &codecs);
    assert_non_null(unpack);
    assert_int_equal(hl_unpack_frames(unpack), 3);
    for (unsigned i = 0; i < 6; i++) {
        unsigned k = (5 * i + 2) % 3;
        assert_int_equal(hl_unpack_frame(unpack, k, &frame, &pixels, &n), HILUM_OK);
        assert_int_equal(n, ROWS * COLUMNS);
        assert_int_equal(((const uint8_t *)pixels)[14], (uint8_t)(100 * k + 14));
    }
    assert_int_equal(hl_unpack_frame(unpack, 3, &frame, &pixels, &n), HILUM_ENOTFOUND);
    hl_unpack_free(unpack);
    hl_buf_fini(&b);
}

static void bytes_run_over_frames_and_end_even(void **state)
{
    struct provider *provider = *state;
    struct hl_codecs codecs = {find, nothing, nothing, provider};
    struct hl_buf b = {0}, all = {0};
    put_object(&b, provider, false);
    struct hl_unpack *unpack = unpack_of(&b, &codecs);
    assert_int_equal(hl_unpack_length(unpack), 3 * 15 + 1);
    for (uint64_t at = 0; at < hl_unpack_length(unpack);) {
        const uint8_t *bytes;
        size_t n = 7;
        assert_int_equal(hl_unpack_bytes(unpack, at, &n, &bytes), HILUM_OK);
        assert_true(n > 0);
        hl_buf_add(&all, bytes, n);
        at += n;
    }
    assert_int_equal(all.len, 46);
    for (size_t i = 0; i < 45; i++)
        assert_int_equal((uint8_t)all.data[i], (uint8_t)(100 * (i / 15) + i % 15));
    assert_int_equal(all.data[45], 0);
    hl_unpack_free(unpack);
    hl_buf_fini(&b);
    hl_buf_fini(&all);
}

static void a_broken_frame_is_an_error_and_not_zeros(void **state)
{
    struct provider *provider = *state;
    struct hl_codecs codecs = {find, nothing, nothing, provider};
    struct hl_buf b = {0};
    struct hilum_frame frame;
    const void *pixels;
    uint64_t n;
    put_object(&b, provider, true);
    struct hl_unpack *unpack = unpack_of(&b, &codecs);
    assert_int_equal(hl_unpack_frame(unpack, 1, &frame, &pixels, &n), HILUM_OK);
    assert_int_equal(hl_unpack_frame(unpack, 2, &frame, &pixels, &n), HILUM_ECORRUPT);
    assert_non_null(strstr(hl_error(), "frame 3"));
    hl_unpack_free(unpack);
    hl_buf_fini(&b);
}

static unsigned asked; /* codecs, for a frame */

static void count(void *arg, const struct hilum_cap *cap)
{
    (void)arg;
    (void)cap;
    asked++;
}

/* Whether frames are kept or there are too many for that. */
static void a_broken_frame_is_known_before_anything_leaves(void **state)
{
    const struct hl_spool_place places[] = {{.dir = "/tmp"}, {.dir = "/tmp", .most = 30}};
    struct provider *provider = *state;
    struct hl_codecs codecs = {find, count, nothing, provider};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        struct hl_buf b = {0}, sound = {0};
        put_object(&b, provider, true);
        assert_null(unpack_at(&b, &codecs, &places[i]));
        assert_non_null(strstr(hl_error(), "frame 3"));
        put_object(&sound, provider, false);
        struct hl_unpack *unpack = unpack_at(&sound, &codecs, &places[i]);
        assert_non_null(unpack);
        asked = 0;
        for (uint64_t at = 0; at < hl_unpack_length(unpack);) {
            const uint8_t *bytes;
            size_t n = 64;
            assert_int_equal(hl_unpack_bytes(unpack, at, &n, &bytes), HILUM_OK);
            assert_true(at >= 45 || bytes[0] == (uint8_t)(100 * (at / 15)));
            at += n;
        }
        assert_int_equal(asked, places[i].most ? 3 : 0); /* decoded again, or from the spool */
        hl_unpack_free(unpack);
        hl_buf_fini(&b);
        hl_buf_fini(&sound);
    }
}

/* Three frames of 15 bits each, one after the other: 1s at 0, at 15 + 3 and at 30 + 14. */
static void native_bits_come_from_the_middle_of_bytes(void **state)
{
    static const unsigned ones[3] = {0, 3, 14};
    (void)state;
    struct hl_buf b = {0};
    uint8_t packed[6] = {0};
    for (unsigned i = 0; i < 3; i++)
        packed[(15 * i + ones[i]) / 8] |= (uint8_t)(1u << (15 * i + ones[i]) % 8);
    put_header(&b, "3 ", 1);
    put_head(&b, HL_TAG_PIXEL_DATA, "OB", 6, false);
    hl_buf_add(&b, (const char *)packed, 6);
    struct hl_frame_source source = {read_buf, &b};
    struct hl_scan *scan = scan_of(&b, HL_UID_EXPLICIT_LITTLE_ENDIAN);
    struct hl_unpack *view = NULL;
    struct hl_frame_map map = {{0}, {0}};
    assert_int_equal(hl_frames_map(scan, 0, HL_UID_EXPLICIT_LITTLE_ENDIAN, &source, &map.frames),
                     HILUM_OK);
    hl_pixels_declared(scan, &map.declared);
    assert_int_equal(hl_unpack_view(NULL, HL_UID_EXPLICIT_LITTLE_ENDIAN, &map, &source, &view),
                     HILUM_OK);
    hl_scan_free(scan);
    for (unsigned i = 3; i-- > 0;) {
        struct hilum_frame frame;
        const void *pixels;
        uint64_t n;
        assert_int_equal(hl_unpack_frame(view, i, &frame, &pixels, &n), HILUM_OK);
        assert_int_equal(n, 2);
        const uint8_t *p = pixels;
        assert_int_equal(p[0] | p[1] << 8, 1u << ones[i]);
    }
    hl_unpack_free(view);
    hl_frames_fini(&map.frames);
    hl_buf_fini(&b);
}

/* They are of their own element, whatever PixelRepresentation says. */
static void real_numbers_are_declared_as_such(void **state)
{
    (void)state;
    struct hl_buf b = {0};
    const float value = 1.5F;
    struct hilum_frame declared;
    put_header(&b, "1 ", 32);
    put_head(&b, HL_TAG_FLOAT_PIXELS, "OF", sizeof value, false);
    hl_buf_add(&b, (const char *)&value, sizeof value);
    struct hl_scan *scan = scan_of(&b, HL_UID_EXPLICIT_LITTLE_ENDIAN);
    hl_pixels_declared(scan, &declared);
    assert_int_equal(declared.sample_type, HILUM_SAMPLE_FLOAT);
    hl_scan_free(scan);
    hl_buf_fini(&b);
}

static void without_a_codec_it_stays_compressed(void **state)
{
    struct provider *provider = *state;
    struct hl_buf b = {0};
    put_object(&b, provider, false);
    assert_null(unpack_of(&b, NULL));
    assert_non_null(strstr(hl_error(), "no codec decodes RLELossless"));
    hl_buf_fini(&b);
}

static void the_data_set_says_what_the_pixels_are(void **state)
{
    struct provider *provider = *state;
    struct hl_codecs codecs = {find, nothing, nothing, provider};
    struct hl_buf b = {0};
    const struct hl_edit *edits;
    put_object(&b, provider, false);
    struct hl_unpack *unpack = unpack_of(&b, &codecs);
    assert_int_equal(hl_unpack_edits(unpack, &edits), 1); /* nothing changes but the pixels */
    assert_int_equal(edits[0].tag, HL_TAG_PIXEL_DATA);
    assert_string_equal(edits[0].vr, "OB");
    hl_unpack_free(unpack);
    hl_buf_fini(&b);
}

static void syntaxes_that_can_be_decoded(void **state)
{
    (void)state;
    assert_true(hl_unpack_can(HL_UID_JPEG_LS_LOSSLESS, HL_UID_IMPLICIT_LITTLE_ENDIAN));
    assert_true(hl_unpack_can("1.2.840.10008.1.2.4.111", HL_UID_IMPLICIT_LITTLE_ENDIAN));
    assert_true(hl_unpack_can(HL_UID_HTJ2K_LOSSLESS, HL_UID_DEFLATED_LITTLE_ENDIAN));
    assert_false(hl_unpack_can(HL_UID_JPEG_LS_LOSSLESS, HL_UID_JPEG_2000_LOSSLESS));
    assert_false(hl_unpack_can("1.2.840.10008.1.2.4.102", HL_UID_EXPLICIT_LITTLE_ENDIAN));
    assert_false(hl_unpack_can("1.2.840.10008.1.2.4.94", HL_UID_EXPLICIT_LITTLE_ENDIAN));
    assert_false(hl_unpack_can(HL_UID_EXPLICIT_LITTLE_ENDIAN, HL_UID_IMPLICIT_LITTLE_ENDIAN));
    assert_false(hl_unpack_can("1.2.3.4", HL_UID_IMPLICIT_LITTLE_ENDIAN));
}

static hilum_self *host;

static int set_up(void **state)
{
    static struct provider provider;
    host = fake_host_open(CODEC_RLE_SO, "/nonexistent", NULL);
    if (!host)
        return -1;
    provider.codec = fake_host_cap(host, HILUM_CAP_CODEC, &provider.instance);
    *state = &provider;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fake_host_close(host);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(native_frames_are_counted_in_bits),
        cmocka_unit_test(too_few_native_pixels_are_no_frames),
        cmocka_unit_test(a_single_frame_is_all_fragments),
        cmocka_unit_test(frames_are_found_by_table_or_without),
        cmocka_unit_test(a_good_table_is_believed_before_streams),
        cmocka_unit_test(the_extended_table_comes_first),
        cmocka_unit_test(frames_of_jpeg_xl_are_found),
        cmocka_unit_test(what_cannot_be_told_apart_is_refused),
        cmocka_unit_test(frames_come_in_any_order),
        cmocka_unit_test(bytes_run_over_frames_and_end_even),
        cmocka_unit_test(a_broken_frame_is_an_error_and_not_zeros),
        cmocka_unit_test(a_broken_frame_is_known_before_anything_leaves),
        cmocka_unit_test(native_bits_come_from_the_middle_of_bytes),
        cmocka_unit_test(real_numbers_are_declared_as_such),
        cmocka_unit_test(without_a_codec_it_stays_compressed),
        cmocka_unit_test(the_data_set_says_what_the_pixels_are),
        cmocka_unit_test(syntaxes_that_can_be_decoded),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
