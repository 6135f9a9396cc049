/* Data sets behind the C header. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>
#include <jansson.h>
#include <cmocka.h>

#include "core/base/buf.h"
#include "core/base/error.h"
#include "core/dicom/dcmtk/dataset.h"
#include "core/dicom/uid.h"
#include "tests/unit/store/data_files.h"
#include "tests/unit/store/dataset_builder.h"

static struct hl_dataset *set;
static struct hl_buf bytes;
static char text[512];

static int setup(void **state)
{
    (void)state;
    bytes = (struct hl_buf){0};
    return hl_dataset_new(&set);
}

static int teardown(void **state)
{
    (void)state;
    hl_dataset_free(set);
    hl_buf_fini(&bytes);
    return 0;
}

static const char *get(const struct hl_dataset *from, const char *path)
{
    return hl_dataset_text(from, path, text, sizeof text);
}

static void put(const char *path, const char *value)
{
    assert_int_equal(hl_dataset_put(set, path, value), HILUM_OK);
}

static void values__come_back_by_path(void **state)
{
    (void)state;
    put("SpecificCharacterSet", "ISO_IR 192");
    put("PatientName", "王^小明");
    put("Rows", "512");
    put("RequestAttributesSequence[0].ScheduledProcedureStepID", "S1");
    put("RequestAttributesSequence[1].(0040,0009)", "S2");
    put("StudyID", "");
    assert_string_equal(get(set, "PatientName"), "王^小明");
    assert_string_equal(get(set, "(0010,0010)"), "王^小明");
    assert_string_equal(get(set, "Rows"), "512");
    assert_string_equal(get(set, "RequestAttributesSequence.ScheduledProcedureStepID"), "S1");
    assert_string_equal(get(set, "RequestAttributesSequence[1].00400009"), "S2");
    assert_string_equal(get(set, "RequestAttributesSequence[2].00400009"), "");
    assert_int_equal(hl_dataset_items(set, "RequestAttributesSequence"), 2);
    assert_true(hl_dataset_has(set, "StudyID"));
    assert_false(hl_dataset_has(set, "PatientID"));
    assert_int_equal(hl_dataset_get(set, "PatientID", &bytes), HILUM_ENOTFOUND);
}

static void wrong_paths_and_values__are_refused(void **state)
{
    (void)state;
    assert_int_equal(hl_dataset_put(set, "NoSuchThing", "x"), HILUM_EINVAL);
    assert_int_equal(hl_dataset_put(set, "", "x"), HILUM_EINVAL);
    assert_int_equal(hl_dataset_put(set, "PatientID.", "x"), HILUM_EINVAL);
    assert_int_equal(hl_dataset_put(set, "RequestAttributesSequence[1].StudyID", "x"),
                     HILUM_EINVAL);
    assert_int_equal(hl_dataset_put(set, "RequestAttributesSequence[x].StudyID", "x"),
                     HILUM_EINVAL);
    assert_int_equal(hl_dataset_put(set, "RequestAttributesSequence", "x"), HILUM_EINVAL);
    assert_int_equal(hl_dataset_put(set, "Rows", "many"), HILUM_EINVAL);
    assert_non_null(strstr(hl_error(), "(0028,0010)"));
}

static void removal__is_of_elements_and_items(void **state)
{
    (void)state;
    put("PatientID", "1");
    put("RequestAttributesSequence[0].StudyID", "a");
    put("RequestAttributesSequence[1].StudyID", "b");
    assert_int_equal(hl_dataset_remove(set, "PatientID"), HILUM_OK);
    assert_int_equal(hl_dataset_remove(set, "PatientID"), HILUM_ENOTFOUND);
    assert_int_equal(hl_dataset_remove(set, "RequestAttributesSequence[0]"), HILUM_OK);
    assert_string_equal(get(set, "RequestAttributesSequence[0].StudyID"), "b");
}

static void written_bytes__parse_to_the_same_in_every_native_syntax(void **state)
{
    (void)state;
    static const char *const syntaxes[] = {
        HL_UID_IMPLICIT_LITTLE_ENDIAN, HL_UID_EXPLICIT_LITTLE_ENDIAN, HL_UID_EXPLICIT_BIG_ENDIAN,
        HL_UID_DEFLATED_LITTLE_ENDIAN, HL_UID_JPEG_BASELINE};
    put("SpecificCharacterSet", "ISO_IR 100");
    put("PatientName", "Buc^Jérôme");
    put("Rows", "512");
    put("RequestAttributesSequence[0].StudyID", "a");
    for (size_t i = 0; i < sizeof syntaxes / sizeof syntaxes[0]; i++) {
        struct hl_dataset *copy;
        hl_buf_clear(&bytes);
        assert_int_equal(hl_dataset_write(set, syntaxes[i], &bytes), HILUM_OK);
        assert_int_equal(hl_dataset_parse(bytes.data, bytes.len, syntaxes[i], &copy), HILUM_OK);
        assert_int_equal(hl_dataset_count(copy), 4);
        assert_string_equal(get(copy, "PatientName"), "Buc^Jérôme");
        assert_string_equal(get(copy, "Rows"), "512");
        assert_string_equal(get(copy, "RequestAttributesSequence[0].StudyID"), "a");
        hl_dataset_free(copy);
    }
}

static void explicit_bytes_said_to_be_implicit__are_understood(void **state)
{
    (void)state;
    struct hl_dataset *parsed;
    put_text(&bytes, 0x00080060, "CS", "CT");
    assert_int_equal(
        hl_dataset_parse(bytes.data, bytes.len, HL_UID_IMPLICIT_LITTLE_ENDIAN, &parsed), 0);
    assert_string_equal(get(parsed, "Modality"), "CT");
    hl_dataset_free(parsed);
}

static void cut_and_oversized_and_deep_bytes__are_refused(void **state)
{
    (void)state;
    const char *syntax = HL_UID_EXPLICIT_LITTLE_ENDIAN;
    struct hl_dataset *parsed;
    put_text(&bytes, 0x00100010, "PN", "Doe^Jane");
    assert_int_equal(hl_dataset_parse(bytes.data, bytes.len - 2, syntax, &parsed), HILUM_EINVAL);
    assert_int_equal(hl_dataset_parse(bytes.data, HL_DATASET_MAX + 1, syntax, &parsed),
                     HILUM_EFULL);
    for (uint32_t undefined = 0; undefined < 2; undefined++) {
        hl_buf_clear(&bytes);
        for (uint32_t i = 0; i < 100000; i++) {
            uint32_t rest = (100000 - i) * 20;
            put_head(&bytes, 0x0040A730, "SQ", undefined ? 0xFFFFFFFF : rest - 12, false);
            put_item(&bytes, HL_TAG_ITEM, undefined ? 0xFFFFFFFF : rest - 20);
        }
        assert_int_equal(hl_dataset_parse(bytes.data, bytes.len, syntax, &parsed), HILUM_EINVAL);
        assert_non_null(strstr(hl_error(), "nested"));
    }
}

static void charset_that_cannot_say_it__gives_way_to_utf8(void **state)
{
    (void)state;
    put("SpecificCharacterSet", "ISO_IR 192");
    put("PatientName", "Müller");
    put("RequestAttributesSequence[0].RequestedProcedureDescription", "Schädel");
    assert_int_equal(hl_dataset_set_charset(set, "ISO_IR 100"), HILUM_OK);
    assert_string_equal(get(set, "SpecificCharacterSet"), "ISO_IR 100");
    assert_string_equal(get(set, "PatientName"), "Müller");
    assert_string_equal(get(set, "RequestAttributesSequence.RequestedProcedureDescription"),
                        "Schädel");
    struct hl_field field;
    assert_true(hl_dataset_at(set, 1, &field));
    assert_int_equal(field.tag, 0x00100010);
    assert_string_equal(field.vr, "PN");
    assert_memory_equal(field.raw, "M\xFCller", 6);
    assert_int_equal(hl_dataset_set_charset(set, "ISO_IR 144"), 1);
    assert_string_equal(get(set, "SpecificCharacterSet"), "ISO_IR 192");
    assert_string_equal(get(set, "PatientName"), "Müller");
    assert_false(hl_dataset_at(set, 3, &field));
}

static void json__is_the_dicom_model(void **state)
{
    (void)state;
    put("SpecificCharacterSet", "ISO_IR 100");
    put("PatientName", "Müller^A");
    put("Rows", "512");
    put("ImageType", "ORIGINAL\\\\AXIAL");
    put("PixelSpacing", "0.5\\0.25");
    put("RequestAttributesSequence[0].StudyID", "a");
    assert_int_equal(hl_dataset_json(set, &bytes), HILUM_OK);
    assert_string_equal(bytes.data,
                        "{\"00080005\":{\"vr\":\"CS\",\"Value\":[\"ISO_IR 192\"]},"
                        "\"00080008\":{\"vr\":\"CS\",\"Value\":[\"ORIGINAL\",null,\"AXIAL\"]},"
                        "\"00100010\":{\"vr\":\"PN\",\"Value\":[{\"Alphabetic\":\"Müller^A\"}]},"
                        "\"00280010\":{\"vr\":\"US\",\"Value\":[512]},"
                        "\"00280030\":{\"vr\":\"DS\",\"Value\":[0.5,0.25]},"
                        "\"00400275\":{\"vr\":\"SQ\",\"Value\":[{\"00200010\":{\"vr\":\"SH\","
                        "\"Value\":[\"a\"]}}]}}");
}

/* The digits of a decimal string are the patient's: a double would tell others. */
static void json__numbers_keep_their_digits(void **state)
{
    (void)state;
    put("PixelSpacing", "0.10\\+.5");
    put("SliceThickness", "0.1000000000000001");
    put("SliceLocation", "-007.");
    put("PatientWeight", "1.e2");
    put("SeriesNumber", "+012");
    put("InstanceNumber", "9007199254740993");
    put("EchoTime", "12 ms");
    assert_int_equal(hl_dataset_json(set, &bytes), HILUM_OK);
    assert_non_null(strstr(bytes.data, "\"Value\":[0.10,0.5]"));
    assert_non_null(strstr(bytes.data, "\"Value\":[0.1000000000000001]"));
    assert_non_null(strstr(bytes.data, "\"Value\":[-7]"));
    assert_non_null(strstr(bytes.data, "\"Value\":[1e2]"));
    assert_non_null(strstr(bytes.data, "\"Value\":[12]"));
    assert_non_null(strstr(bytes.data, "\"Value\":[9007199254740993]"));
    assert_non_null(strstr(bytes.data, "\"Value\":[\"12 ms\"]"));
}

static void open_and_tell(const char *path, void *arg)
{
    char syntax[65];
    struct hl_dataset *opened;
    if (hl_dataset_open(path, 0, syntax, &opened) != HILUM_OK) {
        if (!strstr(path, "/malformed"))
            print_error("%s: %s\n", path, hl_error());
        *(int *)arg += !strstr(path, "/malformed");
        return;
    }
    struct hl_buf json = {0};
    assert_int_equal(hl_dataset_json(opened, &json), HILUM_OK);
    json_error_t error;
    json_t *root = json_loadb(json.data, json.len, JSON_REJECT_DUPLICATES, &error);
    if (!root && !strstr(path, "/malformed")) {
        print_error("%s: %s\n", path, error.text);
        ++*(int *)arg;
    }
    json_decref(root);
    hl_buf_fini(&json);
    if (!strstr(path, "/malformed") && hl_dataset_has(opened, "PixelData")) {
        print_error("%s: read the pixel data\n", path);
        ++*(int *)arg;
    }
    hl_dataset_free(opened);
}

static void shared_files__open_and_are_valid_json(void **state)
{
    (void)state;
    const char *folder = data_folder();
    if (!folder)
        skip();
    int bad = 0;
    each_file(folder, open_and_tell, &bad);
    assert_int_equal(bad, 0);
}

/* A sequence of n items of one UID each, as the references of a presentation state are. */
static void build_references(unsigned n)
{
    put_head(&bytes, 0x00081140, "SQ", n * 20, false);
    for (unsigned i = 0; i < n; i++) {
        put_tag(&bytes, 0xFFFEE000, false);
        put32(&bytes, 12, false);
        char uid[5];
        snprintf(uid, sizeof uid, "1.%u", 10 + i % 90);
        put_text(&bytes, 0x00081155, "UI", uid);
    }
}

static double cpu_seconds(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

/* Twice as many take twice as long, not four times; walked from the start each time, they took minutes. */
static void items__of_a_long_sequence_are_not_walked_for_each(void **state)
{
    (void)state;
    enum { N = 100000 };
    struct hl_dataset *parsed = NULL;
    char path[100];
    build_references(N);
    assert_int_equal(
        hl_dataset_parse(bytes.data, bytes.len, HL_UID_EXPLICIT_LITTLE_ENDIAN, &parsed), HILUM_OK);
    assert_int_equal(hl_dataset_items(parsed, "ReferencedImageSequence"), N);
    double began = cpu_seconds();
    for (unsigned i = 0; i < N; i++) {
        char uid[5];
        snprintf(uid, sizeof uid, "1.%u", 10 + i % 90);
        snprintf(path, sizeof path, "ReferencedImageSequence[%u].ReferencedSOPInstanceUID", i);
        assert_string_equal(get(parsed, path), uid);
        if (i % 1000 == 0 && cpu_seconds() - began > 20)
            fail_msg("%u of %u items took 20 s", i, N);
    }
    assert_string_equal(get(parsed, "ReferencedImageSequence[100000].ReferencedSOPInstanceUID"),
                        "");
    /* What was remembered of it is forgotten with a change. */
    assert_int_equal(hl_dataset_remove(parsed, "ReferencedImageSequence[0]"), HILUM_OK);
    assert_string_equal(get(parsed, "ReferencedImageSequence[0].ReferencedSOPInstanceUID"), "1.11");
    assert_int_equal(hl_dataset_remove(parsed, "ReferencedImageSequence"), HILUM_OK);
    assert_string_equal(get(parsed, "ReferencedImageSequence[0].ReferencedSOPInstanceUID"), "");
    hl_dataset_free(parsed);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(values__come_back_by_path),
        TEST(items__of_a_long_sequence_are_not_walked_for_each),
        TEST(wrong_paths_and_values__are_refused),
        TEST(removal__is_of_elements_and_items),
        TEST(written_bytes__parse_to_the_same_in_every_native_syntax),
        TEST(explicit_bytes_said_to_be_implicit__are_understood),
        TEST(cut_and_oversized_and_deep_bytes__are_refused),
        TEST(charset_that_cannot_say_it__gives_way_to_utf8),
        TEST(json__is_the_dicom_model),
        TEST(json__numbers_keep_their_digits),
        TEST(shared_files__open_and_are_valid_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
