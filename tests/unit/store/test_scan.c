/* The header scan on data sets written by hand. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <zlib.h>
#include <cmocka.h>

#include "core/base/error.h"
#include "core/dicom/uid.h"
#include "core/store/scan.h"
#include "tests/unit/store/dataset_builder.h"

#define UNDEFINED HL_LENGTH_UNDEFINED
#define ITEM      HL_TAG_ITEM
#define ITEM_END  HL_TAG_ITEM_END
#define SEQ_END   HL_TAG_SEQUENCE_END
#define PIXELS    HL_TAG_PIXEL_DATA

static struct hl_scan *scan;
static struct hl_buf bytes;

static int setup(void **state)
{
    (void)state;
    bytes = (struct hl_buf){0};
    scan = NULL;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hl_buf_fini(&bytes);
    hl_scan_free(scan);
    return 0;
}

/* Scans `bytes` one by one, then leaves the scan of the whole in `scan`. */
static hilum_rc scan_as(const char *syntax)
{
    assert_int_equal(hl_scan_new(syntax, NULL, &scan), HILUM_OK);
    hilum_rc single = HILUM_OK;
    for (size_t i = 0; i < bytes.len && single == HILUM_OK; i++)
        single = hl_scan_feed(scan, bytes.data + i, 1);
    single = hl_scan_end(scan);
    unsigned remarks = hl_scan_remarks(scan);
    size_t count = hl_scan_count(scan);
    hl_scan_free(scan);
    assert_int_equal(hl_scan_new(syntax, NULL, &scan), HILUM_OK);
    hl_scan_feed(scan, bytes.data, bytes.len);
    hilum_rc rc = hl_scan_end(scan);
    assert_int_equal(single, rc);
    assert_int_equal(remarks, hl_scan_remarks(scan));
    assert_int_equal(count, hl_scan_count(scan));
    return rc;
}

static void assert_text(uint32_t tag, const char *expected)
{
    char text[256];
    hl_scan_text(scan, tag, text, sizeof text);
    assert_string_equal(text, expected);
}

static void assert_int(uint32_t tag, int64_t expected)
{
    int64_t value = -1;
    assert_int_equal(hl_scan_int(scan, tag, &value), HILUM_OK);
    assert_int_equal(value, expected);
}

static void explicit_little__gives_places_and_values(void **state)
{
    (void)state;
    put_text(&bytes, 0x00080060, "CS", "CT");
    put_text(&bytes, 0x00100010, "PN", "A^B ");
    put_us(&bytes, 0x00280010, 512, false);
    put_head(&bytes, PIXELS, "OW", 4, false);
    hl_buf_text(&bytes, "abcd");
    assert_int_equal(scan_as(HL_UID_EXPLICIT_LITTLE_ENDIAN), HILUM_OK);
    assert_int_equal(hl_scan_remarks(scan), 0);
    assert_int_equal(hl_scan_count(scan), 4);
    assert_text(0x00100010, "A^B");
    assert_int(0x00280010, 512);
    const struct hl_element *e = hl_scan_find(scan, PIXELS);
    assert_null(e->value);
    assert_int_equal(e->length, 4);
    assert_memory_equal(bytes.data + e->offset + e->header_length, "abcd", 4);
    assert_int_equal(hl_scan_length(scan), bytes.len);
}

static void explicit_big__gives_values(void **state)
{
    (void)state;
    put_head(&bytes, 0x00080060, "CS", 2, true);
    hl_buf_text(&bytes, "MR");
    put_us(&bytes, 0x00280010, 512, true);
    assert_int_equal(scan_as(HL_UID_EXPLICIT_BIG_ENDIAN), HILUM_OK);
    assert_true(hl_scan_is_big_endian(scan));
    assert_int(0x00280010, 512);
}

static void implicit_little__gives_values_without_vr(void **state)
{
    (void)state;
    put_implicit(&bytes, 0x00080060, "CT");
    put_implicit(&bytes, 0x00200013, "12 ");
    put_implicit(&bytes, 0x00280010, "\x01\x02");
    assert_int_equal(scan_as(HL_UID_IMPLICIT_LITTLE_ENDIAN), HILUM_OK);
    assert_string_equal(hl_scan_at(scan, 0)->vr, "");
    assert_int(0x00200013, 12);
    assert_int(0x00280010, 513);
}

static void first_element_in_another_syntax__is_read_and_remarked(void **state)
{
    (void)state;
    put_text(&bytes, 0x00080060, "CS", "CT");
    assert_int_equal(scan_as(HL_UID_IMPLICIT_LITTLE_ENDIAN), HILUM_OK);
    assert_int_equal(hl_scan_remarks(scan), HL_SCAN_WRONG_SYNTAX);
    assert_false(hl_scan_is_implicit(scan));
    hl_scan_free(scan);
    assert_int_equal(scan_as(HL_UID_EXPLICIT_BIG_ENDIAN), HILUM_OK);
    assert_text(0x00080060, "CT");
    hl_scan_free(scan);
    hl_buf_clear(&bytes);
    put_implicit(&bytes, 0x00080060, "CT");
    assert_int_equal(scan_as(HL_UID_EXPLICIT_LITTLE_ENDIAN), HILUM_OK);
    assert_true(hl_scan_is_implicit(scan));
    assert_text(0x00080060, "CT");
}

static void unknown_syntax__is_read_as_explicit_little(void **state)
{
    (void)state;
    put_text(&bytes, 0x00080060, "CS", "CT");
    assert_int_equal(scan_as("1.2.3.4"), HILUM_OK);
    assert_int_equal(hl_scan_remarks(scan), HL_SCAN_UNKNOWN_SYNTAX);
}

/* Two levels of undefined length, with a fake pixel data tag inside. */
static void put_nested(void)
{
    put_head(&bytes, 0x00400275, "SQ", UNDEFINED, false);
    put_item(&bytes, ITEM, UNDEFINED);
    put_text(&bytes, 0x00400009, "SH", "X1");
    put_head(&bytes, 0x00400260, "SQ", UNDEFINED, false);
    put_item(&bytes, ITEM, 4);
    hl_buf_text(&bytes, "....");
    put_item(&bytes, SEQ_END, 0);
    put_item(&bytes, ITEM_END, 0);
    put_item(&bytes, SEQ_END, 0);
}

static void nested_sequence__is_one_element_up_to_its_delimiter(void **state)
{
    (void)state;
    put_nested();
    size_t end = bytes.len;
    put_text(&bytes, 0x00401001, "SH", "R1");
    assert_int_equal(scan_as(HL_UID_EXPLICIT_LITTLE_ENDIAN), HILUM_OK);
    assert_int_equal(hl_scan_count(scan), 2);
    const struct hl_element *e = hl_scan_at(scan, 0);
    assert_true(e->is_undefined);
    assert_int_equal(e->offset + e->header_length + e->length, end);
    assert_text(0x00401001, "R1");
}

static void un_of_undefined_length__is_implicit_inside(void **state)
{
    (void)state;
    put_head(&bytes, 0x00091010, "UN", UNDEFINED, false);
    put_item(&bytes, ITEM, UNDEFINED);
    put_implicit(&bytes, 0x00091011, "abcd");
    put_item(&bytes, ITEM_END, 0);
    put_item(&bytes, SEQ_END, 0);
    put_text(&bytes, 0x00100020, "LO", "ID");
    assert_int_equal(scan_as(HL_UID_EXPLICIT_LITTLE_ENDIAN), HILUM_OK);
    assert_int_equal(hl_scan_remarks(scan), 0);
    assert_text(0x00100020, "ID");
}

static void encapsulated_pixel_data__ends_at_its_delimiter(void **state)
{
    (void)state;
    put_head(&bytes, PIXELS, "OB", UNDEFINED, false);
    put_item(&bytes, ITEM, 0);
    put_item(&bytes, ITEM, 4);
    hl_buf_text(&bytes, "jpeg");
    put_item(&bytes, SEQ_END, 0);
    put_text(&bytes, 0xFFFCFFFC, "OB", "0000");
    assert_int_equal(scan_as(HL_UID_JPEG_BASELINE), HILUM_OK);
    assert_int_equal(hl_scan_find(scan, PIXELS)->length, 28);
    assert_non_null(hl_scan_find(scan, 0xFFFCFFFC));
}

static void pixel_data_cut_short__is_accepted_with_a_remark(void **state)
{
    (void)state;
    put_head(&bytes, PIXELS, "OW", 100, false);
    hl_buf_text(&bytes, "abcd");
    assert_int_equal(scan_as(HL_UID_EXPLICIT_LITTLE_ENDIAN), HILUM_OK);
    assert_int_equal(hl_scan_remarks(scan), HL_SCAN_TRUNCATED);
    assert_int_equal(hl_scan_find(scan, PIXELS)->length, 4);
}

static void padding_cut_short__is_accepted_with_a_remark(void **state)
{
    (void)state;
    put_text(&bytes, PIXELS, "OW", "0000");
    put_head(&bytes, 0xFFFCFFFC, "OB", 100, false);
    hl_buf_text(&bytes, "00");
    assert_int_equal(scan_as(HL_UID_EXPLICIT_LITTLE_ENDIAN), HILUM_OK);
    assert_int_equal(hl_scan_remarks(scan), HL_SCAN_TRUNCATED);
}

static void value_cut_short__fails_by_tag_and_offset(void **state)
{
    (void)state;
    put_text(&bytes, 0x00080060, "CS", "CT");
    put_head(&bytes, 0x00100010, "PN", 8, false);
    hl_buf_text(&bytes, "A^B");
    assert_int_equal(scan_as(HL_UID_EXPLICIT_LITTLE_ENDIAN), HILUM_EINVAL);
    assert_non_null(strstr(hl_error(), "(0010,0010) at offset 10"));
    assert_int_equal(hl_scan_feed(scan, "x", 1), HILUM_EINVAL);
    assert_non_null(strstr(hl_error(), "(0010,0010)"));
}

static void missing_sequence_delimiter__is_seen_at_the_next_element(void **state)
{
    (void)state;
    put_head(&bytes, 0x00081140, "SQ", UNDEFINED, false);
    put_item(&bytes, ITEM, 0);
    size_t end = bytes.len;
    put_text(&bytes, 0x00100020, "LO", "ID");
    assert_int_equal(scan_as(HL_UID_EXPLICIT_LITTLE_ENDIAN), HILUM_OK);
    assert_int_equal(hl_scan_remarks(scan), HL_SCAN_DELIMITER);
    const struct hl_element *e = hl_scan_at(scan, 0);
    assert_int_equal(e->offset + e->header_length + e->length, end);
    assert_text(0x00100020, "ID");
}

static void odd_length_bad_vr_disorder_and_repeat__are_remarked(void **state)
{
    (void)state;
    put_text(&bytes, 0x00100020, "LO", "odd");
    put_text(&bytes, 0x00100010, "Q!", "A^B ");
    put_text(&bytes, 0x00100020, "LO", "second");
    assert_int_equal(scan_as(HL_UID_EXPLICIT_LITTLE_ENDIAN), HILUM_OK);
    assert_int_equal(hl_scan_remarks(scan),
                     HL_SCAN_ODD_LENGTH | HL_SCAN_BAD_VR | HL_SCAN_TAG_ORDER | HL_SCAN_DUPLICATE);
    assert_text(0x00100010, "A^B");
    assert_text(0x00100020, "odd");
}

static void implicit_element_among_explicit_ones__is_followed(void **state)
{
    (void)state;
    put_text(&bytes, 0x00080060, "CS", "CT");
    put_implicit(&bytes, 0x00091001, "private.");
    put_text(&bytes, 0x00100020, "LO", "ID");
    assert_int_equal(scan_as(HL_UID_EXPLICIT_LITTLE_ENDIAN), HILUM_OK);
    assert_int_equal(hl_scan_remarks(scan), HL_SCAN_WRONG_SYNTAX | HL_SCAN_BAD_VR);
    assert_text(0x00100020, "ID");
}

static void group_length__is_remarked_only_when_wrong(void **state)
{
    (void)state;
    for (uint32_t said = 10; said <= 12; said += 2) {
        hl_buf_clear(&bytes);
        put_head(&bytes, 0x00080000, "UL", 4, false);
        put32(&bytes, said, false);
        put_text(&bytes, 0x00080060, "CS", "CT");
        put_text(&bytes, 0x00100020, "LO", "ID");
        assert_int_equal(scan_as(HL_UID_EXPLICIT_LITTLE_ENDIAN), HILUM_OK);
        assert_int_equal(hl_scan_remarks(scan), said == 10 ? 0 : HL_SCAN_GROUP_LENGTH);
        hl_scan_free(scan);
        scan = NULL;
    }
}

static void trailing_zeros__are_remarked_and_other_bytes_refused(void **state)
{
    (void)state;
    put_text(&bytes, 0x00080060, "CS", "CT");
    for (int i = 0; i < 21; i++)
        hl_buf_byte(&bytes, 0);
    assert_int_equal(scan_as(HL_UID_EXPLICIT_LITTLE_ENDIAN), HILUM_OK);
    assert_int_equal(hl_scan_remarks(scan), HL_SCAN_TRAILING);
    hl_scan_free(scan);
    hl_buf_byte(&bytes, 1);
    assert_int_equal(scan_as(HL_UID_EXPLICIT_LITTLE_ENDIAN), HILUM_EINVAL);
}

static void value_over_64_KiB__is_known_by_place_only(void **state)
{
    (void)state;
    put_head(&bytes, 0x00420011, "OB", HL_SCAN_VALUE_MAX + 2, false);
    for (int i = 0; i < HL_SCAN_VALUE_MAX + 2; i++)
        hl_buf_byte(&bytes, 'x');
    assert_int_equal(scan_as(HL_UID_EXPLICIT_LITTLE_ENDIAN), HILUM_OK);
    assert_null(hl_scan_at(scan, 0)->value);
    assert_int_equal(hl_scan_at(scan, 0)->length, HL_SCAN_VALUE_MAX + 2);
}

static void header_over_the_budget__is_refused(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 1000; i++)
        put_text(&bytes, 0x00100000 + i, "LO", "0123456789012345");
    struct hl_scan_limits limits = {.max_held = 8192};
    assert_int_equal(hl_scan_new(HL_UID_EXPLICIT_LITTLE_ENDIAN, &limits, &scan), HILUM_OK);
    assert_int_equal(hl_scan_feed(scan, bytes.data, bytes.len), HILUM_ENOMEM);
}

static void nesting_over_the_limit__is_refused(void **state)
{
    (void)state;
    for (int i = 0; i < 65; i++) {
        put_head(&bytes, 0x0040A730, "SQ", UNDEFINED, false);
        put_item(&bytes, ITEM, UNDEFINED);
    }
    assert_int_equal(scan_as(HL_UID_EXPLICIT_LITTLE_ENDIAN), HILUM_EINVAL);
    assert_non_null(strstr(hl_error(), "nested over 64 deep"));
}

static void deflate_buf(struct hl_buf *in, struct hl_buf *out)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY), Z_OK);
    uLong bound = deflateBound(&z, in->len);
    assert_true(hl_buf_reserve(out, bound));
    z.next_in = (Bytef *)in->data;
    z.avail_in = (unsigned)in->len;
    z.next_out = (Bytef *)out->data;
    z.avail_out = (unsigned)bound;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    out->len = z.total_out;
    deflateEnd(&z);
}

static void deflated__is_scanned_as_inflated(void **state)
{
    (void)state;
    struct hl_buf plain = {0};
    put_text(&plain, 0x00080060, "CS", "CT");
    put_text(&plain, 0x00100020, "LO", "ID");
    deflate_buf(&plain, &bytes);
    assert_int_equal(scan_as(HL_UID_DEFLATED_LITTLE_ENDIAN), HILUM_OK);
    assert_true(hl_scan_is_deflated(scan));
    assert_int_equal(hl_scan_length(scan), plain.len);
    assert_text(0x00100020, "ID");
    hl_scan_free(scan);
    bytes.len -= 4;
    assert_int_equal(scan_as(HL_UID_DEFLATED_LITTLE_ENDIAN), HILUM_EINVAL);
    hl_buf_fini(&plain);
}

static void deflate_bomb__is_refused(void **state)
{
    (void)state;
    struct hl_buf plain = {0};
    put_head(&plain, PIXELS, "OB", 32u << 20, false);
    for (int i = 0; i < 32 << 20; i += 8)
        hl_buf_add(&plain, "\0\0\0\0\0\0\0\0", 8);
    deflate_buf(&plain, &bytes);
    assert_int_equal(hl_scan_new(HL_UID_DEFLATED_LITTLE_ENDIAN, NULL, &scan), HILUM_OK);
    assert_int_equal(hl_scan_feed(scan, bytes.data, bytes.len), HILUM_EFULL);
    hl_buf_fini(&plain);
}

static void text__of_absent_and_cut_values(void **state)
{
    (void)state;
    put_text(&bytes, 0x00100020, "LO", " 0123456789 ");
    put_text(&bytes, 0x00100040, "CS", "");
    assert_int_equal(scan_as(HL_UID_EXPLICIT_LITTLE_ENDIAN), HILUM_OK);
    char text[5];
    assert_int_equal(hl_scan_text(scan, 0x00100020, text, sizeof text), 10);
    assert_string_equal(text, "0123");
    assert_int_equal(hl_scan_text(scan, 0x00100040, text, sizeof text), 0);
    assert_int_equal(hl_scan_text(scan, 0x00100010, text, sizeof text), 0);
    assert_string_equal(text, "");
    int64_t value;
    assert_int_equal(hl_scan_int(scan, 0x00100040, &value), HILUM_ENOTFOUND);
}

static void part10__gives_syntax_and_place(void **state)
{
    (void)state;
    for (int i = 0; i < 128; i++)
        hl_buf_byte(&bytes, 0);
    hl_buf_text(&bytes, "DICM");
    put_text(&bytes, 0x00020002, "UI", "1.2.840");
    hl_buf_byte(&bytes, 0);
    bytes.data[132 + 6] = 8;
    put_text(&bytes, 0x00020010, "UI", "1.2.840.10008.1.2.1");
    bytes.data[bytes.len - 21] = 20;
    hl_buf_byte(&bytes, 0);
    size_t dataset = bytes.len;
    put_text(&bytes, 0x00080060, "CS", "CT");
    struct hl_part10 head;
    assert_int_equal(hl_part10_read((uint8_t *)bytes.data, bytes.len, &head), HILUM_OK);
    assert_int_equal(head.dataset_offset, dataset);
    assert_string_equal(head.transfer_syntax, HL_UID_EXPLICIT_LITTLE_ENDIAN);
    assert_string_equal(head.sop_class, "1.2.840");
    assert_int_equal(head.remarks, 0);
    assert_int_equal(hl_part10_read((uint8_t *)bytes.data, 160, &head), HILUM_EINVAL);
}

static void bare_data_set__has_its_syntax_guessed(void **state)
{
    (void)state;
    struct hl_part10 head;
    put_implicit(&bytes, 0x00080010, "ACR-NEMA 2.0");
    assert_int_equal(hl_part10_read((uint8_t *)bytes.data, bytes.len, &head), HILUM_OK);
    assert_string_equal(head.transfer_syntax, HL_UID_IMPLICIT_LITTLE_ENDIAN);
    assert_int_equal(head.remarks, HL_SCAN_ACR_NEMA);
    hl_buf_clear(&bytes);
    put_head(&bytes, 0x00080060, "CS", 2, true);
    hl_buf_text(&bytes, "MR");
    assert_int_equal(hl_part10_read((uint8_t *)bytes.data, bytes.len, &head), HILUM_OK);
    assert_string_equal(head.transfer_syntax, HL_UID_EXPLICIT_BIG_ENDIAN);
    assert_int_equal(hl_part10_read((const uint8_t *)"plain text", 10, &head), HILUM_EINVAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(explicit_little__gives_places_and_values),
        TEST(explicit_big__gives_values),
        TEST(implicit_little__gives_values_without_vr),
        TEST(first_element_in_another_syntax__is_read_and_remarked),
        TEST(unknown_syntax__is_read_as_explicit_little),
        TEST(nested_sequence__is_one_element_up_to_its_delimiter),
        TEST(un_of_undefined_length__is_implicit_inside),
        TEST(encapsulated_pixel_data__ends_at_its_delimiter),
        TEST(pixel_data_cut_short__is_accepted_with_a_remark),
        TEST(padding_cut_short__is_accepted_with_a_remark),
        TEST(value_cut_short__fails_by_tag_and_offset),
        TEST(missing_sequence_delimiter__is_seen_at_the_next_element),
        TEST(odd_length_bad_vr_disorder_and_repeat__are_remarked),
        TEST(implicit_element_among_explicit_ones__is_followed),
        TEST(group_length__is_remarked_only_when_wrong),
        TEST(trailing_zeros__are_remarked_and_other_bytes_refused),
        TEST(value_over_64_KiB__is_known_by_place_only),
        TEST(header_over_the_budget__is_refused),
        TEST(nesting_over_the_limit__is_refused),
        TEST(deflated__is_scanned_as_inflated),
        TEST(deflate_bomb__is_refused),
        TEST(text__of_absent_and_cut_values),
        TEST(part10__gives_syntax_and_place),
        TEST(bare_data_set__has_its_syntax_guessed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
