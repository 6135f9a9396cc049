/* Conversion between the uncompressed syntaxes: byte for byte what PS3.5 says, whatever the chunks.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "core/base/error.h"
#include "core/dicom/uid.h"
#include "core/store/recode.h"
#include "core/store/scan.h"
#include "tests/unit/store/dataset_builder.h"

#define IMPLICIT HL_UID_IMPLICIT_LITTLE_ENDIAN
#define EXPLICIT HL_UID_EXPLICIT_LITTLE_ENDIAN
#define BIG      HL_UID_EXPLICIT_BIG_ENDIAN
#define DEFLATED HL_UID_DEFLATED_LITTLE_ENDIAN

static const char *vr(uint32_t tag)
{
    static const struct {
        uint32_t tag;
        const char *vr;
    } known[] = {{0x00080060, "CS"}, {0x00081032, "SQ"}, {0x00080100, "SH"}, {0x00280103, "US"},
                 {0x00280106, "US"}, {0x7FE00010, "OW"}, {0x00189073, "FD"}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i].tag == tag)
            return known[i].vr;
    return "UN";
}

static hilum_rc convert(const struct hl_buf *in, size_t chunk, const char *from, const char *to,
                        struct hl_buf *out)
{
    struct hl_recode *recode;
    hilum_rc rc = hl_recode_new(from, to, vr, &recode);
    assert_int_equal(rc, HILUM_OK);
    for (size_t at = 0; at < in->len && rc == HILUM_OK; at += chunk)
        rc =
            hl_recode_feed(recode, in->data + at, in->len - at < chunk ? in->len - at : chunk, out);
    if (rc == HILUM_OK)
        rc = hl_recode_end(recode, out);
    hl_recode_free(recode);
    return rc;
}

static void assert_becomes(const struct hl_buf *in, const char *from, const char *to,
                           const struct hl_buf *expected)
{
    static const size_t chunks[] = {1, 2, 3, 7, 11, 1000000};
    for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++) {
        struct hl_buf out = {0};
        assert_int_equal(convert(in, chunks[i], from, to, &out), HILUM_OK);
        assert_int_equal(out.len, expected->len);
        assert_memory_equal(out.data, expected->data, out.len);
        hl_buf_fini(&out);
    }
}

static void assert_refused(const struct hl_buf *in, const char *from, const char *to, hilum_rc rc,
                           const char *why)
{
    struct hl_buf out = {0};
    assert_int_equal(convert(in, 5, from, to, &out), rc);
    assert_non_null(strstr(hl_error(), why));
    hl_buf_fini(&out);
}

static void put_number(struct hl_buf *b, uint32_t tag, uint32_t value)
{
    put_tag(b, tag, false);
    put32(b, 2, false);
    put16(b, value, false);
}

static void implicit__gets_its_vrs_from_the_dictionary_and_the_pixels(void **state)
{
    (void)state;
    struct hl_buf in = {0}, out = {0};
    put_implicit(&in, 0x00080060, "CT");
    put_number(&in, 0x00280103, 1);
    put_number(&in, 0x00280106, 0xFFFE);
    put_implicit(&in, 0x00191001, "private");
    put_text(&out, 0x00080060, "CS", "CT");
    put_us(&out, 0x00280103, 1, false);
    put_head(&out, 0x00280106, "SS", 2, false);
    put16(&out, 0xFFFE, false);
    put_head(&out, 0x00191001, "UN", 8, false); /* made even */
    hl_buf_add(&out, "private\0", 8);
    assert_becomes(&in, IMPLICIT, EXPLICIT, &out);
    hl_buf_fini(&in);
    hl_buf_fini(&out);
}

/* One item of defined length with a nested UN of undefined length, whose items are implicit. */
static void put_nested(struct hl_buf *b)
{
    struct hl_buf item = {0};
    put_text(&item, 0x00080100, "SH", "CODE");
    put_head(&item, 0x00191002, "UN", 0xFFFFFFFF, false);
    put_item(&item, HL_TAG_ITEM, 10);
    put_implicit(&item, 0x00080060, "MR");
    put_item(&item, HL_TAG_SEQUENCE_END, 0);
    put_head(b, 0x00081032, "SQ", (uint32_t)item.len + 8, false);
    put_item(b, HL_TAG_ITEM, (uint32_t)item.len);
    hl_buf_add(b, item.data, item.len);
    hl_buf_fini(&item);
}

static void sequences__lose_their_lengths_and_keep_their_items(void **state)
{
    (void)state;
    struct hl_buf in = {0}, out = {0};
    put_nested(&in);
    put_text(&in, 0x00200010, "SH", "ID");
    put_tag(&out, 0x00081032, false);
    put32(&out, 0xFFFFFFFF, false);
    put_item(&out, HL_TAG_ITEM, 0xFFFFFFFF);
    put_implicit(&out, 0x00080100, "CODE");
    put_tag(&out, 0x00191002, false);
    put32(&out, 0xFFFFFFFF, false);
    put_item(&out, HL_TAG_ITEM, 0xFFFFFFFF);
    put_implicit(&out, 0x00080060, "MR");
    put_item(&out, HL_TAG_ITEM_END, 0);
    put_item(&out, HL_TAG_SEQUENCE_END, 0);
    put_item(&out, HL_TAG_ITEM_END, 0);
    put_item(&out, HL_TAG_SEQUENCE_END, 0);
    put_implicit(&out, 0x00200010, "ID");
    assert_becomes(&in, EXPLICIT, IMPLICIT, &out);
    hl_buf_fini(&in);
    hl_buf_fini(&out);
}

static void big_endian__turns_numbers_by_their_width(void **state)
{
    (void)state;
    struct hl_buf in = {0}, out = {0};
    put_head(&in, 0x00080000, "UL", 4, false); /* group length: goes */
    put32(&in, 20, false);
    put_text(&in, 0x00080060, "CS", "CT");
    put_head(&in, 0x00189073, "FD", 8, false);
    hl_buf_add(&in, "12345678", 8);
    put_head(&in, 0x00720069, "UN", 4, false);
    hl_buf_add(&in, "abcd", 4);
    put_head(&in, 0x7FE00010, "OW", 4, false);
    hl_buf_add(&in, "abcd", 4);

    put_head(&out, 0x00080060, "CS", 2, true);
    hl_buf_text(&out, "CT");
    put_head(&out, 0x00189073, "FD", 8, true);
    hl_buf_add(&out, "87654321", 8);
    put_head(&out, 0x00720069, "UN", 4, true);
    hl_buf_add(&out, "abcd", 4);
    put_head(&out, 0x7FE00010, "OW", 4, true);
    hl_buf_add(&out, "badc", 4);
    assert_becomes(&in, EXPLICIT, BIG, &out);
    hl_buf_fini(&in);
    hl_buf_fini(&out);
}

static void deflated__comes_back_as_it_was(void **state)
{
    (void)state;
    struct hl_buf in = {0}, deflated = {0};
    put_text(&in, 0x00080060, "CS", "CT");
    for (uint32_t i = 0; i < 2000; i++)
        put_text(&in, 0x00190000 + 0x1000 + i, "UN", "some thirty bytes of no interest");
    assert_int_equal(convert(&in, 999, EXPLICIT, DEFLATED, &deflated), HILUM_OK);
    assert_true(deflated.len % 2 == 0 && deflated.len < in.len / 10);
    assert_becomes(&deflated, DEFLATED, EXPLICIT, &in);
    hl_buf_fini(&in);
    hl_buf_fini(&deflated);
}

static void damaged_nesting__is_refused_by_tag(void **state)
{
    (void)state;
    struct hl_buf b = {0};
    put_head(&b, 0x00081032, "SQ", 20, false); /* its item is longer than it is */
    put_item(&b, HL_TAG_ITEM, 40);
    put_text(&b, 0x00080100, "SH", "CODE");
    put_text(&b, 0x00200010, "SH", "and much more behind it");
    assert_refused(&b, EXPLICIT, IMPLICIT, HILUM_EINVAL, "(0008,1032)");
    hl_buf_clear(&b);
    put_head(&b, 0x00081032, "SQ", 10, false);
    put_text(&b, 0x00080100, "SH", "no item"); /* an element where an item has to be */
    assert_refused(&b, EXPLICIT, IMPLICIT, HILUM_EINVAL, "(0008,0100)");
    hl_buf_clear(&b);
    put_head(&b, 0x00081032, "SQ", 0xFFFFFFFF, false);
    put_item(&b, HL_TAG_ITEM, 0xFFFFFFFF);
    assert_refused(&b, EXPLICIT, IMPLICIT, HILUM_EINVAL, "cut short");
    hl_buf_clear(&b);
    for (int i = 0; i < 200; i++) {
        put_head(&b, 0x00081032, "SQ", 0xFFFFFFFF, false);
        put_item(&b, HL_TAG_ITEM, 0xFFFFFFFF);
    }
    assert_refused(&b, EXPLICIT, IMPLICIT, HILUM_EINVAL, "too deep");
    hl_buf_fini(&b);
}

static void compressed__is_not_converted(void **state)
{
    (void)state;
    struct hl_buf b = {0};
    struct hl_recode *recode;
    assert_false(hl_recode_can(HL_UID_JPEG_BASELINE, EXPLICIT));
    assert_false(hl_recode_can(EXPLICIT, "1.2.3"));
    assert_int_equal(hl_recode_new(HL_UID_RLE_LOSSLESS, EXPLICIT, vr, &recode), HILUM_EUNSUP);
    /* nor what lies about it */
    put_head(&b, 0x7FE00010, "OB", 0xFFFFFFFF, false);
    put_item(&b, HL_TAG_ITEM, 0);
    assert_refused(&b, EXPLICIT, IMPLICIT, HILUM_EUNSUP, "fragments");
    hl_buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(implicit__gets_its_vrs_from_the_dictionary_and_the_pixels),
        cmocka_unit_test(sequences__lose_their_lengths_and_keep_their_items),
        cmocka_unit_test(big_endian__turns_numbers_by_their_width),
        cmocka_unit_test(deflated__comes_back_as_it_was),
        cmocka_unit_test(damaged_nesting__is_refused_by_tag),
        cmocka_unit_test(compressed__is_not_converted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
