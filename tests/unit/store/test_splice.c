/* Edits over a scanned data set. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "core/base/error.h"
#include "core/dicom/uid.h"
#include "core/store/scan.h"
#include "core/store/splice.h"
#include "tests/unit/store/data_files.h"
#include "tests/unit/store/dataset_builder.h"

static struct hl_scan *scan_of(const struct hl_buf *b, const char *syntax)
{
    struct hl_scan *scan;
    assert_int_equal(hl_scan_new(syntax, NULL, &scan), HILUM_OK);
    assert_int_equal(hl_scan_feed(scan, b->data, b->len), HILUM_OK);
    assert_int_equal(hl_scan_end(scan), HILUM_OK);
    return scan;
}

static void join(const struct hl_splice *s, const void *stored, struct hl_buf *out)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct hl_piece *p = &s->pieces[i];
        hl_buf_add(out, p->bytes ? p->bytes : (const uint8_t *)stored + p->offset, p->length);
    }
    assert_int_equal(out->len, s->length);
}

static struct hl_edit set(uint32_t tag, const char *vr, const char *text)
{
    struct hl_edit e = {.tag = tag, .value = (const uint8_t *)text, .length = strlen(text)};
    memcpy(e.vr, vr, 2);
    return e;
}

static struct hl_edit drop(uint32_t tag)
{
    return (struct hl_edit){.tag = tag, .is_delete = true};
}

static void assert_edited(const struct hl_buf *before, const char *syntax,
                          const struct hl_edit *edits, size_t n, const struct hl_buf *expected)
{
    struct hl_scan *scan = scan_of(before, syntax);
    struct hl_splice splice;
    struct hl_buf after = {0};
    assert_int_equal(hl_splice_plan(scan, edits, n, &splice), HILUM_OK);
    join(&splice, before->data, &after);
    assert_int_equal(after.len, expected->len);
    assert_memory_equal(after.data, expected->data, after.len);
    hl_buf_fini(&after);
    hl_splice_fini(&splice);
    hl_scan_free(scan);
}

static void edits__land_in_tag_order_and_leave_the_rest(void **state)
{
    (void)state;
    struct hl_buf before = {0}, expected = {0};
    put_text(&before, 0x00080060, "CS", "CT");
    put_text(&before, 0x00100010, "PN", "Old^Name");
    put_text(&before, 0x00100040, "CS", "F ");
    put_text(&before, 0x7FE00010, "OW", "pixels");
    const struct hl_edit edits[] = {set(0x00080050, "SH", "A1"),
                                    set(0x00100010, "PN", "New^N"),
                                    set(0x00100020, "LO", "77"),
                                    drop(0x00100040),
                                    drop(0x00104000),
                                    set(0xFFFCFFFC, "OB", "x")};
    put_text(&expected, 0x00080050, "SH", "A1");
    put_text(&expected, 0x00080060, "CS", "CT");
    put_text(&expected, 0x00100010, "PN", "New^N ");
    put_text(&expected, 0x00100020, "LO", "77");
    put_text(&expected, 0x7FE00010, "OW", "pixels");
    put_head(&expected, 0xFFFCFFFC, "OB", 2, false);
    hl_buf_add(&expected, "x", 2);
    assert_edited(&before, HL_UID_EXPLICIT_LITTLE_ENDIAN, edits, 6, &expected);
    hl_buf_fini(&before);
    hl_buf_fini(&expected);
}

static void implicit_data_set__is_edited_implicitly(void **state)
{
    (void)state;
    struct hl_buf before = {0}, expected = {0};
    put_implicit(&before, 0x00080060, "CT");
    put_implicit(&expected, 0x00080060, "CT");
    put_implicit(&expected, 0x00100020, "77");
    const struct hl_edit edits[] = {set(0x00100020, "LO", "77")};
    assert_edited(&before, HL_UID_IMPLICIT_LITTLE_ENDIAN, edits, 1, &expected);
    hl_buf_fini(&before);
    hl_buf_fini(&expected);
}

static void big_endian_data_set__is_edited_big_endian(void **state)
{
    (void)state;
    struct hl_buf before = {0}, expected = {0};
    put_us(&before, 0x00280010, 5, true);
    put_head(&expected, 0x00100020, "LO", 2, true);
    hl_buf_text(&expected, "77");
    put_us(&expected, 0x00280010, 5, true);
    const struct hl_edit edits[] = {set(0x00100020, "LO", "77")};
    assert_edited(&before, HL_UID_EXPLICIT_BIG_ENDIAN, edits, 1, &expected);
    hl_buf_fini(&before);
    hl_buf_fini(&expected);
}

static void group_length_of_an_edited_group__is_dropped(void **state)
{
    (void)state;
    struct hl_buf before = {0}, expected = {0};
    put_head(&before, 0x00080000, "UL", 4, false);
    put32(&before, 10, false);
    put_text(&before, 0x00080060, "CS", "CT");
    hl_buf_add(&expected, before.data, before.len);
    put_head(&before, 0x00100000, "UL", 4, false);
    put32(&before, 10, false);
    put_text(&before, 0x00100020, "LO", "12");
    put_text(&expected, 0x00100020, "LO", "3456");
    const struct hl_edit edits[] = {set(0x00100020, "LO", "3456")};
    assert_edited(&before, HL_UID_EXPLICIT_LITTLE_ENDIAN, edits, 1, &expected);
    hl_buf_fini(&before);
    hl_buf_fini(&expected);
}

static void disorder_and_repeats__end_with_one_new_value(void **state)
{
    (void)state;
    struct hl_buf before = {0}, expected = {0};
    put_text(&before, 0x00100020, "LO", "12");
    put_text(&before, 0x00080060, "CS", "CT");
    put_text(&before, 0x00100020, "LO", "12");
    put_text(&expected, 0x00100020, "LO", "34");
    put_text(&expected, 0x00080060, "CS", "CT");
    const struct hl_edit edits[] = {set(0x00100020, "LO", "34")};
    assert_edited(&before, HL_UID_EXPLICIT_LITTLE_ENDIAN, edits, 1, &expected);
    hl_buf_fini(&before);
    hl_buf_fini(&expected);
}

static void long_text_in_a_short_vr__becomes_un(void **state)
{
    (void)state;
    struct hl_buf text = {0}, coded = {0};
    for (int i = 0; i < 70000; i++)
        hl_buf_byte(&text, 'x');
    struct hl_edit edit = set(0x00100020, "LO", hl_buf_str(&text));
    assert_int_equal(hl_edit_encode(&edit, (struct hl_coding){0}, &coded), HILUM_OK);
    assert_memory_equal(coded.data + 4, "UN\0\0\x70\x11\x01\0", 8);
    hl_buf_fini(&text);
    hl_buf_fini(&coded);
}

static void wrong_use__is_refused(void **state)
{
    (void)state;
    struct hl_buf b = {0};
    put_text(&b, 0x00080060, "CS", "CT");
    put_head(&b, 0x7FE00010, "OW", 100, false);
    struct hl_scan *scan = scan_of(&b, HL_UID_EXPLICIT_LITTLE_ENDIAN);
    struct hl_splice splice;
    const struct hl_edit disorder[] = {drop(0x00100020), drop(0x00100010)};
    assert_int_equal(hl_splice_plan(scan, disorder, 2, &splice), HILUM_EINVAL);
    const struct hl_edit behind[] = {set(0xFFFCFFFC, "OB", "xx")};
    assert_int_equal(hl_splice_plan(scan, behind, 1, &splice), HILUM_EUNSUP);
    hl_scan_free(scan);
    assert_int_equal(hl_scan_new(HL_UID_DEFLATED_LITTLE_ENDIAN, NULL, &scan), HILUM_OK);
    assert_int_equal(hl_splice_plan(scan, behind, 1, &splice), HILUM_EUNSUP);
    hl_scan_free(scan);
    hl_buf_fini(&b);
}

/* A correction as the catalogue makes it; twice, so that the second item joins the first. */
static void correct(struct hl_buf *dataset, const char *syntax, const char *name)
{
    struct hl_scan *scan = scan_of(dataset, syntax);
    const struct hl_element *e = hl_scan_find(scan, 0x04000561);
    const struct hl_edit old[] = {set(0x00100010, "PN", "Old^Name"), drop(0x00100020)};
    const struct hl_original item = {old, 2, "MODALITY", "HILUM", "20261123120000", "CORRECT"};
    struct hl_buf value = {0}, after = {0};
    const uint8_t *bytes = (const uint8_t *)dataset->data;
    assert_int_equal(hl_original_add(scan, e ? bytes + e->offset + e->header_length : NULL,
                                     e ? e->length : 0, &item, &value),
                     HILUM_OK);
    const struct hl_edit edits[] = {
        set(0x00100010, "PN", name),
        {.tag = 0x04000561, .vr = "SQ", .value = (uint8_t *)value.data, .length = value.len}};
    struct hl_splice splice;
    assert_int_equal(hl_splice_plan(scan, edits, 2, &splice), HILUM_OK);
    join(&splice, bytes, &after);
    hl_splice_fini(&splice);
    hl_scan_free(scan);
    hl_buf_fini(&value);
    hl_buf_fini(dataset);
    *dataset = after;
}

static void original_attributes__gather_item_by_item(void **state)
{
    (void)state;
    struct hl_buf b = {0};
    put_text(&b, 0x00100010, "PN", "Old^Name");
    put_head(&b, 0x04000561, "SQ", HL_LENGTH_UNDEFINED, false);
    put_item(&b, HL_TAG_SEQUENCE_END, 0);
    correct(&b, HL_UID_EXPLICIT_LITTLE_ENDIAN, "New^Name");
    size_t once = b.len;
    correct(&b, HL_UID_EXPLICIT_LITTLE_ENDIAN, "Any^Name");
    struct hl_scan *scan = scan_of(&b, HL_UID_EXPLICIT_LITTLE_ENDIAN);
    const struct hl_element *e = hl_scan_find(scan, 0x04000561);
    assert_false(e->is_undefined);
    assert_int_equal(e->length, 2 * (b.len - once));
    hl_scan_free(scan);
    hl_buf_fini(&b);
}

/* An independent reader takes the result, and a validator finds no fault it did not find before. */
static void correct_file(const char *path, void *arg)
{
    size_t n = 0;
    uint8_t *bytes = read_file(path, &n);
    struct hl_part10 head;
    assert_int_equal(hl_part10_read(bytes, n, &head), HILUM_OK);
    struct hl_buf dataset = {0};
    hl_buf_add(&dataset, bytes + head.dataset_offset, n - head.dataset_offset);
    struct hl_scan *scan = scan_of(&dataset, head.transfer_syntax);
    bool is_deflated = hl_scan_is_deflated(scan);
    hl_scan_free(scan);
    if (!is_deflated) {
        correct(&dataset, head.transfer_syntax, "New^Name");
        FILE *f = fopen("splice_judge.dcm", "wb");
        fwrite(bytes, 1, head.dataset_offset, f);
        fwrite(dataset.data, 1, dataset.len, f);
        fclose(f);
        if (system(
                "dcmdump -q +P 0010,0010 +P 0400,0565 splice_judge.dcm >splice_judge.txt 2>&1 && "
                "grep -q New.Name splice_judge.txt && grep -q CORRECT splice_judge.txt") != 0) {
            print_error("%s: not readable after the edit\n", path);
            ++*(int *)arg;
        }
    }
    hl_buf_fini(&dataset);
    free(bytes);
}

static void edited_files__are_read_by_others(void **state)
{
    (void)state;
    const char *folder = data_folder();
    if (!folder || system("dcmdump --version >/dev/null 2>&1") != 0)
        skip();
    int bad = 0;
    const char *const samples[] = {"small", "mr", "us", "enhanced", "rt", "sr_ko_pr_doc"};
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        char path[8192];
        snprintf(path, sizeof path, "%s/%s", folder, samples[i]);
        each_file(path, correct_file, &bad);
    }
    remove("splice_judge.dcm");
    remove("splice_judge.txt");
    assert_int_equal(bad, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edits__land_in_tag_order_and_leave_the_rest),
        cmocka_unit_test(implicit_data_set__is_edited_implicitly),
        cmocka_unit_test(big_endian_data_set__is_edited_big_endian),
        cmocka_unit_test(group_length_of_an_edited_group__is_dropped),
        cmocka_unit_test(disorder_and_repeats__end_with_one_new_value),
        cmocka_unit_test(long_text_in_a_short_vr__becomes_un),
        cmocka_unit_test(wrong_use__is_refused),
        cmocka_unit_test(original_attributes__gather_item_by_item),
        cmocka_unit_test(edited_files__are_read_by_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
