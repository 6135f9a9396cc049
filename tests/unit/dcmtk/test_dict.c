/* The data dictionary. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/dicom/dcmtk/dataset.h"

static void keywords_and_digits__give_tags(void **state)
{
    (void)state;
    assert_int_equal(hl_dicom_init(), HILUM_OK);
    assert_int_equal(hl_dict_tag("PatientID"), 0x00100020);
    assert_int_equal(hl_dict_tag("BodyPartExamined"), 0x00180015);
    assert_int_equal(hl_dict_tag("(0010,0020)"), 0x00100020);
    assert_int_equal(hl_dict_tag("0010,0020"), 0x00100020);
    assert_int_equal(hl_dict_tag("00091abc"), 0x00091ABC);
    assert_int_equal(hl_dict_tag("OverlayData"), 0x60003000);
    assert_int_equal(hl_dict_tag("StudyComments"), 0x00324000);
    assert_int_equal(hl_dict_tag("patientid"), 0);
    assert_int_equal(hl_dict_tag(""), 0);
    assert_int_equal(hl_dict_tag("0010002"), 0);
    assert_int_equal(hl_dict_tag("0010,0020x"), 0);
}

static void tags__give_keywords_and_vrs(void **state)
{
    (void)state;
    assert_string_equal(hl_dict_keyword(0x00100010), "PatientName");
    assert_string_equal(hl_dict_vr(0x00100010), "PN");
    assert_string_equal(hl_dict_keyword(0x60023000), "OverlayData");
    assert_string_equal(hl_dict_vr(0x00400275), "SQ");
    assert_string_equal(hl_dict_vr(0x7FE00010), "OW");
    assert_string_equal(hl_dict_vr(0x00280106), "US");
    assert_string_equal(hl_dict_vr(0x00080000), "UL");
    assert_string_equal(hl_dict_vr(0x00090010), "LO");
    assert_string_equal(hl_dict_vr(0x00091001), "UN");
    assert_null(hl_dict_keyword(0x00091001));
    assert_null(hl_dict_keyword(0x00089999));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keywords_and_digits__give_tags),
        cmocka_unit_test(tags__give_keywords_and_vrs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
