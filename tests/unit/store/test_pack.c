/* Native pixels become compressed ones: what comes back is what went in, the rest of the data set stays, loss is told.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/error.h"
#include "core/dicom/uid.h"
#include "core/store/pack.h"
#include "core/store/pixels.h"
#include "core/store/unpack.h"
#include "tests/fake_host.h"
#include "tests/unit/store/dataset_builder.h"

#define NEAR "1.2.840.10008.1.2.4.81"

enum { N_CODECS = 2, ROWS = 5, COLUMNS = 7, PIXELS = ROWS * COLUMNS };

static struct {
    hilum_self *host;
    const struct hilum_codec *codec;
    void *instance;
} providers[N_CODECS];

static const struct hilum_codec *find(void *arg, const char *syntax, uint32_t flags, uint32_t rank,
                                      void **instance)
{
    (void)arg;
    for (int i = 0; i < N_CODECS; i++)
        for (const struct hilum_codec_syntax *s = providers[i].codec->syntaxes; s->uid; s++)
            if (strcmp(s->uid, syntax) == 0 && (s->flags & flags) == flags && rank-- == 0) {
                *instance = providers[i].instance;
                return providers[i].codec;
            }
    return NULL;
}

static void nothing(void *arg, const struct hilum_cap *cap)
{
    (void)arg;
    (void)cap;
}

static const struct hl_codecs codecs = {find, nothing, nothing, NULL};

/* ---- data sets ---- */

struct picture {
    const char *frames; /* "3 " */
    uint32_t allocated, stored;
    uint32_t length;   /* of the pixel data */
    const char *ratio; /* of an earlier loss; NULL: none */
};

static void put_dataset(struct hl_buf *b, const struct picture *picture)
{
    put_text(b, 0x00080008, "CS", "ORIGINAL\\PRIMARY\\AXIAL");
    put_text(b, 0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.77");
    put_text(b, 0x00080018, "UI", "1.2.3.45");
    put_text(b, 0x00091001, "LO", "private ");
    put_us(b, 0x00280002, 1, false);
    put_text(b, 0x00280004, "CS", "MONOCHROME2 ");
    put_text(b, 0x00280008, "IS", picture->frames);
    put_us(b, 0x00280010, ROWS, false);
    put_us(b, 0x00280011, COLUMNS, false);
    put_us(b, 0x00280100, picture->allocated, false);
    put_us(b, 0x00280101, picture->stored, false);
    put_us(b, 0x00280103, 0, false);
    if (picture->ratio)
        put_text(b, HL_TAG_LOSSY_RATIO, "DS", picture->ratio);
    put_head(b, 0x60003000, "OW", 8, false);
    hl_buf_add(b, "overlay!", 8);
    put_head(b, HL_TAG_PIXEL_DATA, "OW", picture->length, false);
    for (uint32_t i = 0; i < picture->length; i++)
        hl_buf_byte(b, i % PIXELS == 0 && i + 1 == picture->length /* padding */
                           ? 0
                           : (uint8_t)(i * i * 7 + i / 3));
    put_head(b, 0xFFFCFFFC, "OB", 4, false);
    hl_buf_add(b, "tail", 4);
}

static hilum_rc pack_dataset(const struct hl_buf *b, const struct hl_pack_wish *wish, size_t step,
                             struct hl_pack **out)
{
    assert_int_equal(hl_pack_new(&codecs, NULL, wish, out), HILUM_OK);
    for (size_t at = 0; at < b->len; at += step) {
        hilum_rc rc = hl_pack_feed(*out, b->data + at, b->len - at < step ? b->len - at : step);
        if (rc != HILUM_OK)
            return rc;
    }
    return hl_pack_end(*out);
}

static void take_all(struct hl_pack *pack, struct hl_buf *out)
{
    for (size_t n = 1; n > 0;) {
        const uint8_t *bytes;
        assert_int_equal(hl_pack_next(pack, &bytes, &n), HILUM_OK);
        hl_buf_add(out, bytes, n);
    }
    assert_true(hl_pack_is_end(pack));
    assert_int_equal(out->len, hl_pack_length(pack));
}

static struct hl_pack_wish wish_of(const char *syntax)
{
    struct hl_pack_wish wish = {0};
    strcpy(wish.transfer_syntax, syntax);
    return wish;
}

/* The encoded data set. */
static void encode(const struct picture *picture, const struct hl_pack_wish *wish, size_t step,
                   struct hl_buf *b, struct hl_buf *out)
{
    struct hl_pack *pack = NULL;
    put_dataset(b, picture);
    if (pack_dataset(b, wish, step, &pack) != HILUM_OK)
        fail_msg("%s", hl_error());
    take_all(pack, out);
    hl_pack_free(pack);
}

static struct hl_scan *scan_of(const struct hl_buf *b, const char *syntax)
{
    struct hl_scan *scan;
    assert_int_equal(hl_scan_new(syntax, NULL, &scan), HILUM_OK);
    assert_int_equal(hl_scan_feed(scan, b->data, b->len), HILUM_OK);
    assert_int_equal(hl_scan_end(scan), HILUM_OK);
    assert_int_equal(hl_scan_remarks(scan), 0);
    return scan;
}

static hilum_rc read_buf(void *arg, uint64_t at, void *dst, uint64_t n)
{
    const struct hl_buf *b = arg;
    assert_true(at <= b->len && n <= b->len - at);
    memcpy(dst, b->data + at, (size_t)n);
    return HILUM_OK;
}

static void expect_same_pixels(struct hl_buf *coded, const struct hl_buf *native,
                               const struct picture *picture, const char *syntax)
{
    struct hl_scan *scan = scan_of(coded, syntax);
    struct hl_scan *before = scan_of(native, HL_UID_EXPLICIT_LITTLE_ENDIAN);
    const struct hl_element *pixels = hl_scan_find(before, HL_TAG_PIXEL_DATA);
    struct hl_frame_source source = {read_buf, coded};
    struct hl_unpack *unpack;
    assert_int_equal(hl_unpack_new(&codecs, syntax, scan, 0, &source, NULL, &unpack), HILUM_OK);
    assert_int_equal(hl_unpack_length(unpack), picture->length);
    for (uint64_t at = 0; at < picture->length;) {
        const uint8_t *bytes;
        size_t n = 11;
        assert_int_equal(hl_unpack_bytes(unpack, at, &n, &bytes), HILUM_OK);
        assert_memory_equal(bytes, native->data + pixels->offset + pixels->header_length + at, n);
        at += n;
    }
    hl_unpack_free(unpack);
    hl_scan_free(scan);
    hl_scan_free(before);
}

static void expect_same_rest(const struct hl_buf *coded, const struct hl_buf *native,
                             const char *syntax)
{
    struct hl_scan *scan = scan_of(coded, syntax);
    struct hl_scan *before = scan_of(native, HL_UID_EXPLICIT_LITTLE_ENDIAN);
    for (size_t i = 0; i < hl_scan_count(before); i++) {
        const struct hl_element *e = hl_scan_at(before, i), *f = hl_scan_find(scan, e->tag);
        assert_non_null(f);
        if (e->tag == HL_TAG_PIXEL_DATA)
            continue;
        assert_int_equal(e->length, f->length);
        assert_memory_equal(native->data + e->offset, coded->data + f->offset,
                            e->header_length + e->length);
    }
    assert_int_equal(hl_scan_count(scan), hl_scan_count(before));
    hl_scan_free(scan);
    hl_scan_free(before);
}

static void round_trip(const struct picture *picture, const char *syntax, size_t step)
{
    struct hl_buf native = {0}, coded = {0};
    struct hl_pack_wish wish = wish_of(syntax);
    encode(picture, &wish, step, &native, &coded);
    expect_same_rest(&coded, &native, syntax);
    expect_same_pixels(&coded, &native, picture, syntax);
    hl_buf_fini(&native);
    hl_buf_fini(&coded);
}

/* ---- tests ---- */

static void what_comes_back_is_what_went_in(void **state)
{
    static const struct picture pictures[] = {
        {"1 ", 8, 8, PIXELS + 1, NULL},
        {"3 ", 8, 8, 3 * PIXELS + 1, NULL},
        {"3 ", 16, 16, 3 * 2 * PIXELS, NULL},
        {"3 ", 16, 12, 3 * 2 * PIXELS, NULL}, /* with bits above those stored */
    };
    static const size_t steps[] = {1, 7, 100000};
    (void)state;
    for (size_t i = 0; i < sizeof pictures / sizeof *pictures; i++)
        for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) {
            round_trip(&pictures[i], HL_UID_RLE_LOSSLESS, steps[k]);
            round_trip(&pictures[i], HL_UID_JPEG_LS_LOSSLESS, steps[k]);
        }
}

/* 35 bits a frame: the second begins at bit 3 of byte 4. The last byte has bits that belong to no frame. */
static void frames_of_bits_begin_anywhere(void **state)
{
    struct picture picture = {"3 ", 1, 1, 14, NULL};
    struct hl_buf native = {0}, coded = {0};
    struct hl_pack_wish wish = wish_of(HL_UID_RLE_LOSSLESS);
    (void)state;
    encode(&picture, &wish, 5, &native, &coded);
    struct hl_scan *scan = scan_of(&coded, HL_UID_RLE_LOSSLESS);
    struct hl_scan *before = scan_of(&native, HL_UID_EXPLICIT_LITTLE_ENDIAN);
    const struct hl_element *pixels = hl_scan_find(before, HL_TAG_PIXEL_DATA);
    const uint8_t *were = (const uint8_t *)native.data + pixels->offset + pixels->header_length;
    struct hl_frame_source source = {read_buf, &coded};
    struct hl_unpack *unpack;
    assert_int_equal(hl_unpack_new(&codecs, HL_UID_RLE_LOSSLESS, scan, 0, &source, NULL, &unpack),
                     HILUM_OK);
    assert_int_equal(hl_unpack_length(unpack), 14);
    const uint8_t *bytes;
    size_t n = 14;
    assert_int_equal(hl_unpack_bytes(unpack, 0, &n, &bytes), HILUM_OK);
    assert_int_equal(n, 14);
    for (unsigned bit = 0; bit < 3 * PIXELS; bit++)
        assert_int_equal(bytes[bit / 8] >> bit % 8 & 1, were[bit / 8] >> bit % 8 & 1);
    assert_int_equal(bytes[13] >> 1, 0);
    struct hilum_frame frame;
    const void *one;
    uint64_t size;
    assert_int_equal(hl_unpack_frame(unpack, 1, &frame, &one, &size), HILUM_OK);
    assert_int_equal(((const uint8_t *)one)[0], (uint8_t)(were[4] >> 3 | were[5] << 5));
    hl_unpack_free(unpack);
    hl_scan_free(scan);
    hl_scan_free(before);
    hl_buf_fini(&native);
    hl_buf_fini(&coded);
}

static void offsets_lead_to_the_frames(void **state)
{
    struct picture picture = {"3 ", 16, 16, 3 * 2 * PIXELS, NULL};
    struct hl_buf native = {0}, coded = {0};
    struct hl_pack_wish wish = wish_of(HL_UID_JPEG_LS_LOSSLESS);
    (void)state;
    encode(&picture, &wish, 64, &native, &coded);
    struct hl_scan *scan = scan_of(&coded, wish.transfer_syntax);
    const struct hl_element *pixels = hl_scan_find(scan, HL_TAG_PIXEL_DATA);
    assert_true(pixels->is_undefined);
    assert_memory_equal(coded.data + pixels->offset + 4, "OB", 2);
    const uint8_t *value = (const uint8_t *)coded.data + pixels->offset + pixels->header_length;
    assert_int_equal(hl_get32(value + 4, false), 12);
    const uint8_t *first = value + 8 + 12;
    for (unsigned i = 0; i < 3; i++) {
        const uint8_t *item = first + hl_get32(value + 8 + 4 * i, false);
        assert_int_equal(hl_get_tag(item, false), HL_TAG_ITEM);
        assert_int_equal(hl_get32(item + 4, false) % 2, 0);
        assert_memory_equal(item + 8, "\xFF\xD8\xFF", 3);
    }
    hl_scan_free(scan);
    hl_buf_fini(&native);
    hl_buf_fini(&coded);
}

static void expect_text(const struct hl_scan *scan, uint32_t tag, const char *text)
{
    char found[300];
    hl_scan_text(scan, tag, found, sizeof found);
    assert_string_equal(found, text);
}

/* PS3.3 C.7.6.1.1.5: another object, derived; what was lost before stays told. */
static void loss_makes_another_object(void **state)
{
    struct picture picture = {"1 ", 16, 16, 2 * PIXELS, "12.5"};
    struct hl_buf native = {0}, coded = {0}, again = {0};
    struct hl_pack_wish wish = wish_of(NEAR);
    struct hl_pack *pack = NULL;
    char uid[65], text[300];
    (void)state;
    wish.may_lose = true;
    wish.max_error = 3;
    encode(&picture, &wish, 64, &native, &coded);
    struct hl_scan *scan = scan_of(&coded, NEAR);
    expect_text(scan, 0x00080008, "DERIVED\\PRIMARY\\AXIAL");
    expect_text(scan, HL_TAG_LOSSY, "01");
    expect_text(scan, HL_TAG_LOSSY_METHOD, "ISO_14495_1");
    hl_scan_text(scan, HL_TAG_LOSSY_RATIO, text, sizeof text);
    assert_memory_equal(text, "12.5\\", 5);
    hl_scan_text(scan, 0x00080018, uid, sizeof uid);
    assert_memory_equal(uid, "2.25.", 5);
    hl_scan_text(scan, 0x00082111, text, sizeof text);
    assert_non_null(strstr(text, "Lossy compression, JPEGLSNearLossless"));
    assert_non_null(hl_scan_find(scan, 0x00082112));
    assert_non_null(hl_scan_find(scan, 0x00089215));
    /* Encoded once more it is the same object; lossless it is the old one. */
    assert_int_equal(pack_dataset(&native, &wish, 10000, &pack), HILUM_OK);
    assert_string_equal(hl_pack_sop_instance(pack), uid);
    hl_pack_free(pack);
    wish = wish_of(HL_UID_JPEG_LS_LOSSLESS);
    assert_int_equal(pack_dataset(&native, &wish, 10000, &pack), HILUM_OK);
    assert_string_equal(hl_pack_sop_instance(pack), "");
    hl_pack_free(pack);
    hl_scan_free(scan);
    hl_buf_fini(&native);
    hl_buf_fini(&coded);
    hl_buf_fini(&again);
}

static hilum_rc refused(const struct picture *picture, const char *syntax)
{
    struct hl_buf b = {0};
    struct hl_pack *pack = NULL;
    struct hl_pack_wish wish = wish_of(syntax);
    put_dataset(&b, picture);
    hilum_rc rc = pack_dataset(&b, &wish, 1000, &pack);
    hl_pack_free(pack);
    hl_buf_fini(&b);
    return rc;
}

static void what_cannot_be_kept_is_refused(void **state)
{
    static const struct picture good = {"3 ", 16, 16, 3 * 2 * PIXELS, NULL},
                                more = {"4 ", 16, 16, 3 * 2 * PIXELS, NULL},
                                fewer = {"2 ", 16, 16, 3 * 2 * PIXELS, NULL};
    struct hl_buf b = {0};
    struct hl_pack *pack = NULL;
    struct hl_pack_wish wish = wish_of(HL_UID_RLE_LOSSLESS);
    (void)state;
    assert_int_equal(refused(&good, HL_UID_RLE_LOSSLESS), HILUM_OK);
    assert_int_equal(refused(&more, HL_UID_RLE_LOSSLESS), HILUM_ECORRUPT);
    assert_int_equal(refused(&fewer, HL_UID_RLE_LOSSLESS), HILUM_EUNSUP);
    assert_int_equal(refused(&good, HL_UID_JPEG_2000_LOSSLESS), HILUM_EUNSUP); /* no codec */
    assert_int_equal(refused(&good, NEAR), HILUM_EUNSUP); /* nobody allowed it */
    put_text(&b, 0x00080016, "UI", "1.2");
    assert_int_equal(pack_dataset(&b, &wish, 1000, &pack), HILUM_ENOTFOUND);
    hl_pack_free(pack);
    hl_buf_clear(&b);
    put_dataset(&b, &good);
    b.len -= 20; /* cut in the last frame */
    assert_int_equal(pack_dataset(&b, &wish, 1000, &pack), HILUM_ECORRUPT);
    hl_pack_free(pack);
    hl_buf_fini(&b);
}

/* ---- spools ---- */

static void a_spool_outgrows_memory(void **state)
{
    const struct hl_spool_place place = {.dir = "/tmp"};
    struct hl_spool spool = {.place = &place}, small = {0};
    enum { PIECE = 1 << 20, N = 35 };
    uint8_t *piece = malloc(PIECE);
    (void)state;
    assert_non_null(piece);
    for (unsigned i = 0; i < N; i++) {
        memset(piece, (int)i, PIECE);
        assert_int_equal(hl_spool_add(&spool, piece, PIECE), HILUM_OK);
        hilum_rc rc = hl_spool_add(&small, piece, PIECE);
        assert_int_equal(rc, i <= HL_SPOOL_MEMORY / PIECE - 1 ? HILUM_OK : HILUM_EFULL);
        if (rc != HILUM_OK)
            hl_spool_fini(&small);
        if (rc != HILUM_OK)
            break;
    }
    for (unsigned i = (unsigned)(spool.length / PIECE); i < N; i++) {
        memset(piece, (int)i, PIECE);
        assert_int_equal(hl_spool_add(&spool, piece, PIECE), HILUM_OK);
    }
    assert_int_equal(spool.length, (uint64_t)N * PIECE);
    for (unsigned i = 0; i < N; i++) {
        const uint8_t *bytes;
        size_t n = 100;
        unsigned k = (i * 17 + 5) % N;
        assert_int_equal(hl_spool_read(&spool, (uint64_t)k * PIECE + PIECE / 2, &n, &bytes),
                         HILUM_OK);
        assert_int_equal(n, 100);
        assert_int_equal(bytes[99], k);
    }
    free(piece);
    hl_spool_fini(&spool);
    hl_spool_fini(&small);
}

static void a_spool_leaves_the_medium_its_room(void **state)
{
    const struct hl_spool_place place = {.dir = "/tmp", .min_free = UINT64_MAX / 2};
    struct hl_spool spool = {.place = &place};
    uint8_t *piece = calloc(1, HL_SPOOL_MEMORY + 1);
    (void)state;
    assert_non_null(piece);
    assert_int_equal(hl_spool_add(&spool, piece, HL_SPOOL_MEMORY + 1), HILUM_EFULL);
    free(piece);
    hl_spool_fini(&spool);
}

static int set_up(void **state)
{
    static const char *const files[N_CODECS] = {CODEC_RLE_SO, CODEC_JPEGLS_SO};
    (void)state;
    for (int i = 0; i < N_CODECS; i++) {
        providers[i].host = fake_host_open(files[i], "/nonexistent", NULL);
        if (!providers[i].host)
            return -1;
        providers[i].codec =
            fake_host_cap(providers[i].host, HILUM_CAP_CODEC, &providers[i].instance);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < N_CODECS; i++)
        fake_host_close(providers[i].host);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_comes_back_is_what_went_in),
        cmocka_unit_test(frames_of_bits_begin_anywhere),
        cmocka_unit_test(offsets_lead_to_the_frames),
        cmocka_unit_test(loss_makes_another_object),
        cmocka_unit_test(what_cannot_be_kept_is_refused),
        cmocka_unit_test(a_spool_outgrows_memory),
        cmocka_unit_test(a_spool_leaves_the_medium_its_room),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
