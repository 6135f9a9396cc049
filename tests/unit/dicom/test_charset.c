/* Character sets to UTF-8 and back. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <jansson.h>
#include <cmocka.h>

#include "core/base/text.h"
#include "core/dicom/charset.h"
#include "core/store/scan.h"
#include "tests/unit/store/data_files.h"

static char text[1024];
static bool was_repaired;

static const char *decode(const char *bytes, const char *declared, const char *repair)
{
    struct hl_buf out = {0};
    assert_int_equal(
        hl_charset_to_utf8(bytes, strlen(bytes), declared, repair, &out, &was_repaired), 0);
    snprintf(text, sizeof text, "%s", hl_buf_str(&out));
    assert_true(hl_utf8_is_valid(text, strlen(text)));
    hl_buf_fini(&out);
    return text;
}

static hilum_rc encode(const char *utf8, const char *wanted)
{
    struct hl_buf out = {0};
    hilum_rc rc = hl_charset_from_utf8(utf8, strlen(utf8), wanted, &out);
    snprintf(text, sizeof text, "%s", hl_buf_str(&out));
    hl_buf_fini(&out);
    return rc;
}

static void declared_sets__give_their_text(void **state)
{
    (void)state;
    assert_string_equal(decode("Buc^J\xE9r\xF4me", "ISO_IR 100", NULL), "Buc^Jérôme");
    assert_string_equal(decode("\xBB\xEE\xDA\x63\x65\xDC\xD1yp\xD3", "ISO_IR 144", NULL),
                        "Люкceмбypг");
    assert_string_equal(decode("\xD4\xCF\xC0\xDE^\xC0\xDB\xB3", "ISO_IR 13", NULL), "ﾔﾏﾀﾞ^ﾀﾛｳ");
    assert_string_equal(decode("\xCD\xF5^\xD0\xA1", "GBK", NULL), "王^小");
    assert_string_equal(decode("王^小", "ISO_IR 192", NULL), "王^小");
    assert_false(was_repaired);
}

/* The examples of PS3.5 annexes H and I. */
static void code_extensions__are_followed(void **state)
{
    (void)state;
    assert_string_equal(decode("Yamada^Tarou=\x1B$B;3ED\x1B(B^\x1B$BB@O:\x1B(B=\x1B$B$d$^$@\x1B(B^"
                               "\x1B$B$?$m$&\x1B(B",
                               "\\ISO 2022 IR 87", NULL),
                        "Yamada^Tarou=山田^太郎=やまだ^たろう");
    assert_string_equal(decode("\xD4\xCF\xC0\xDE^\xC0\xDB\xB3=\x1B$B;3ED\x1B(J^\x1B$BB@O:\x1B(J",
                               "ISO 2022 IR 13\\ISO 2022 IR 87", NULL),
                        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎");
    assert_string_equal(
        decode("Hong^Gildong=\x1B$)C\xFB\xF3^\x1B$)C\xD1\xCE\xD4\xD7", "\\ISO 2022 IR 149", NULL),
        "Hong^Gildong=洪^吉洞");
    assert_false(was_repaired);
}

static void forgotten_escape_after_a_delimiter__is_understood(void **state)
{
    (void)state;
    assert_string_equal(decode("\x1B$)C\xFB\xF3^\xD1\xCE", "\\ISO 2022 IR 149", NULL), "洪^吉");
    assert_string_equal(decode("\xFB\xF3^\xD1\xCE", "\\ISO 2022 IR 149", NULL), "洪^吉");
}

static void undeclared_bytes__are_repaired_or_replaced(void **state)
{
    (void)state;
    assert_string_equal(decode("王^小", NULL, NULL), "王^小");
    assert_true(was_repaired);
    assert_string_equal(decode("王^小", "ISO_IR 100", NULL), "王^小");
    assert_true(was_repaired);
    assert_string_equal(decode("\xCD\xF5^A", "", "GB18030"), "王^A");
    assert_true(was_repaired);
    assert_string_equal(decode("\xCD\xF5^A", "ISO_IR 100", "GB18030"), "王^A");
    assert_string_equal(decode("\xE9^A", "", "latin1"), "é^A");
    assert_string_equal(decode("\xE9^A", "", NULL), "\xEF\xBF\xBD^A");
    assert_true(was_repaired);
    assert_string_equal(decode("\xCD\xF5", "ISO_IR 192", "GBK"), "王");
    assert_string_equal(decode("Doe^Jane", "ISO_IR 999", NULL), "Doe^Jane");
    assert_false(was_repaired);
}

static void misspelt_terms__are_understood(void **state)
{
    (void)state;
    assert_string_equal(decode("\xE9", "ISO-IR 100", NULL), "é");
    assert_string_equal(decode("\xE9", "iso_ir_100", NULL), "é");
    assert_string_equal(decode("王", "UTF-8", NULL), "王");
    assert_true(hl_charset_is_known("\\ISO 2022 IR 87"));
    assert_false(hl_charset_is_known("ISO_IR 999"));
}

static void writing__gives_what_reading_takes(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"Buñuel^José", "ISO_IR 100"},
        {"Yamada^Tarou=山田^太郎=やまだ^たろう", "\\ISO 2022 IR 87"},
        {"ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎", "ISO 2022 IR 13\\ISO 2022 IR 87"},
        {"Hong^Gildong=洪^吉洞=홍^길동", "\\ISO 2022 IR 149"},
        {"Zhang^XiaoDong=张^小东", "\\ISO 2022 IR 58"},
        {"王^小东\\李^四", "GB18030"},
        {"赵𠮷^A", "GB18030"},
        {"Διονυσιος", "ISO_IR 126"},
        {"Люкceмбypг=A^é", "ISO 2022 IR 144\\ISO 2022 IR 100"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(encode(cases[i][0], cases[i][1]), HILUM_OK);
        char coded[1024];
        memcpy(coded, text, sizeof coded);
        assert_string_equal(decode(coded, cases[i][1], NULL), cases[i][0]);
        assert_false(was_repaired);
    }
    assert_int_equal(encode("Yamada=山田^太", "\\ISO 2022 IR 87"), HILUM_OK);
    assert_string_equal(text, "Yamada=\x1B$B;3ED\x1B(B^\x1B$BB@\x1B(B");
}

static void what_a_set_cannot_say__becomes_a_question_mark(void **state)
{
    (void)state;
    assert_int_equal(encode("王^A", "ISO_IR 100"), 1);
    assert_string_equal(text, "?^A");
    assert_int_equal(encode("é", ""), 1);
    assert_string_equal(text, "?");
    assert_int_equal(encode("A\xFF", "ISO_IR 192"), 1);
}

static void raw_value(const struct hl_scan *scan, uint32_t tag, char *out, size_t size)
{
    hl_scan_text(scan, tag, out, size);
}

static struct hl_scan *scan_file(const char *path)
{
    size_t n = 0;
    uint8_t *bytes = read_file(path, &n);
    assert_non_null(bytes);
    struct hl_part10 head;
    struct hl_scan *scan;
    assert_int_equal(hl_part10_read(bytes, n, &head), HILUM_OK);
    assert_int_equal(hl_scan_new(head.transfer_syntax, NULL, &scan), HILUM_OK);
    hl_scan_feed(scan, bytes + head.dataset_offset, n - head.dataset_offset);
    free(bytes);
    return scan;
}

static const char *name_of(const char *path)
{
    struct hl_scan *scan = scan_file(path);
    char declared[128], name[512];
    raw_value(scan, 0x00080005, declared, sizeof declared);
    raw_value(scan, 0x00100010, name, sizeof name);
    hl_scan_free(scan);
    return decode(name, declared, NULL);
}

static void shared_files__give_the_names_expected(void **state)
{
    (void)state;
    const char *folder = data_folder();
    if (!folder)
        skip();
    char path[8192];
    snprintf(path, sizeof path, "%s/charset_synth/expected.json", folder);
    json_t *root = json_load_file(path, 0, NULL);
    assert_non_null(root);
    const char *file;
    json_t *facts;
    json_object_foreach(root, file, facts)
    {
        const char *expected = json_string_value(json_object_get(facts, "PatientName_utf8"));
        snprintf(path, sizeof path, "%s/charset_synth/%s", folder, file);
        const char *name = name_of(path);
        if (expected)
            assert_string_equal(name, expected);
    }
    json_decref(root);
}

static void real_files__give_text_without_repair(void **state)
{
    (void)state;
    const char *folder = data_folder();
    if (!folder)
        skip();
    static const char *const files[][2] = {
        {"chrArab", "قباني^لنزار"},
        {"chrFren", "Buc^Jérôme"},
        {"chrGerm", "Äneas^Rüdiger"},
        {"chrGreek", "Διονυσιος"},
        {"chrH31", "Yamada^Tarou=山田^太郎=やまだ^たろう"},
        {"chrHbrw", "שרון^דבורה"},
        {"chrRuss", "Люкceмбypг"},
        {"chrX1", "Wang^XiaoDong=王^小東"},
        {"chrX2", "Wang^XiaoDong=王^小东"},
        {"chrKoreanMulti", "김희중"},
        {"chrGB2312", NULL},
        {"chrJapMulti", "やまだ^たろう"},
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[8192];
        snprintf(path, sizeof path, "%s/charset_real/%s.dcm", folder, files[i][0]);
        const char *name = name_of(path);
        if (getenv("CHARSET_SHOW"))
            print_message("%s: %s\n", files[i][0], name);
        assert_false(was_repaired);
        if (files[i][1] && strncmp(name, files[i][1], strlen(files[i][1])) != 0)
            fail_msg("%s: %s", files[i][0], name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(declared_sets__give_their_text),
        cmocka_unit_test(code_extensions__are_followed),
        cmocka_unit_test(forgotten_escape_after_a_delimiter__is_understood),
        cmocka_unit_test(undeclared_bytes__are_repaired_or_replaced),
        cmocka_unit_test(misspelt_terms__are_understood),
        cmocka_unit_test(writing__gives_what_reading_takes),
        cmocka_unit_test(what_a_set_cannot_say__becomes_a_question_mark),
        cmocka_unit_test(shared_files__give_the_names_expected),
        cmocka_unit_test(real_files__give_text_without_repair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
