/* The UID registry. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "core/dicom/uid.h"

static void storage_classes__are_sorted_so_that_search_finds_all(void **state)
{
    (void)state;
    const struct hl_uid_entry *all;
    size_t n = hl_uid_storage_classes(&all);
    assert_true(n > 150);
    for (size_t i = 0; i < n; i++) {
        assert_true(i == 0 || strcmp(all[i - 1].uid, all[i].uid) < 0);
        assert_true(hl_uid_is_valid(all[i].uid));
        assert_string_equal(hl_uid_name(all[i].uid), all[i].name);
    }
    assert_string_equal(hl_uid_name("1.2.840.10008.5.1.4.1.1.2"), "CTImageStorage");
}

static void storage__includes_classes_newer_than_the_table(void **state)
{
    (void)state;
    assert_true(hl_uid_is_storage("1.2.840.10008.5.1.4.1.1.2"));
    assert_true(hl_uid_is_storage("1.2.840.10008.5.1.4.1.1.999.1"));
    assert_true(hl_uid_is_storage("1.2.840.10008.5.1.4.34.7"));
    assert_true(hl_uid_is_storage("1.2.840.10008.5.1.4.39.1")); /* a colour palette */
    assert_false(hl_uid_is_storage(HL_UID_VERIFICATION));
    assert_false(hl_uid_is_storage(HL_UID_STUDY_ROOT_FIND));
}

static unsigned flags(const char *uid)
{
    const struct hl_syntax *syntax = hl_uid_syntax(uid);
    assert_non_null(syntax);
    return syntax->flags;
}

static void syntaxes__have_their_properties(void **state)
{
    (void)state;
    assert_int_equal(flags(HL_UID_IMPLICIT_LITTLE_ENDIAN), HL_SYNTAX_IMPLICIT);
    assert_int_equal(flags(HL_UID_EXPLICIT_LITTLE_ENDIAN), 0);
    assert_true(flags(HL_UID_EXPLICIT_BIG_ENDIAN) & HL_SYNTAX_BIG_ENDIAN);
    assert_int_equal(flags(HL_UID_DEFLATED_LITTLE_ENDIAN), HL_SYNTAX_DEFLATED);
    assert_true(flags(HL_UID_JPEG_BASELINE) & HL_SYNTAX_LOSSY);
    assert_false(flags(HL_UID_HTJ2K_LOSSLESS) & HL_SYNTAX_LOSSY);
    assert_true(flags("1.2.840.10008.1.2.4.203") & HL_SYNTAX_LOSSY);
    assert_true(flags("1.2.840.10008.1.2.4.102") & HL_SYNTAX_VIDEO);
    assert_true(flags("1.2.840.10008.1.2.4.110") & HL_SYNTAX_ENCAPSULATED);
    assert_null(hl_uid_syntax("1.2.3"));
}

static void validity__is_that_of_the_standard(void **state)
{
    (void)state;
    assert_true(hl_uid_is_valid("1.2.840.0.5"));
    assert_true(hl_uid_is_valid("0"));
    assert_false(hl_uid_is_valid(""));
    assert_true(hl_uid_is_usable("1.02.840.")); /* such are about */
    assert_false(hl_uid_is_usable(""));
    assert_false(hl_uid_is_usable("1.2.x"));
    assert_false(hl_uid_is_valid("1..2"));
    assert_false(hl_uid_is_valid(".1"));
    assert_false(hl_uid_is_valid("1."));
    assert_false(hl_uid_is_valid("1.02"));
    assert_false(hl_uid_is_valid("1.2/../3"));
    assert_false(
        hl_uid_is_valid("1.2.3.4.5.6.7.8.9.1.2.3.4.5.6.7.8.9.1.2.3.4.5.6.7.8.9.1.2.3.4.5.6"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(storage_classes__are_sorted_so_that_search_finds_all),
        cmocka_unit_test(storage__includes_classes_newer_than_the_table),
        cmocka_unit_test(syntaxes__have_their_properties),
        cmocka_unit_test(validity__is_that_of_the_standard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
