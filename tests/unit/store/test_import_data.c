/* Import over real files of all kinds, when they are there: each is stored or refused with a reason.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/store/ingest_fixture.h"

static struct pipeline *pipeline; /* nftw passes nothing on */
static unsigned stored, duplicates, held, warned, refused, malformed_refused;

static int file_import(const char *path, const struct stat *st, int type, struct FTW *at)
{
    struct hl_ingest_result result;
    (void)st;
    (void)at;
    const char *name = strrchr(path, '/') + 1;
    if (type != FTW_F || strcmp(name, "DICOMDIR") == 0)
        return 0;
    size_t n = strlen(name);
    if (n > 5 && (strcmp(name + n - 5, ".json") == 0 || strcmp(name + n - 4, ".tsv") == 0 ||
                  strcmp(name + n - 4, ".txt") == 0 || strcmp(name + n - 3, ".md") == 0))
        return 0;
    hilum_rc rc = hl_store_import_file(pipeline->store, &pipeline->source, path, &result);
    if (rc == HILUM_OK) {
        stored += !result.is_duplicate;
        duplicates += result.is_duplicate;
        held += result.is_held;
        warned += result.status != 0;
        assert_int_not_equal(result.instance_id, 0);
        return 0;
    }
    assert_true(result.status >= 0xA700 || result.status == 0x0110);
    assert_true(strlen(result.comment) > 0);
    if (strstr(path, "malformed") != NULL || strstr(path, "/dicomdir/") != NULL)
        malformed_refused++;
    else
        print_message("refused %04X %s: %s\n", result.status, result.comment, path);
    refused++;
    return 0;
}

static void files__of_all_kinds_are_stored_or_refused_with_a_reason(void **state)
{
    pipeline = *state;
    const char *data = getenv("HILUM_SHARED_DATA");
    char dicom[512];
    snprintf(dicom, sizeof dicom, "%s/dicom", data != NULL ? data : SHARED_DATA);
    if (access(dicom, R_OK) != 0) {
        print_message("skipped: no %s\n", dicom);
        skip();
    }
    pipeline->source.kind = "import";
    assert_int_equal(nftw(dicom, file_import, 16, FTW_PHYS), 0);
    print_message(
        "%u stored, %u known before (%u held), %u with a warning, %u refused (%u malformed)\n",
        stored, duplicates, held, warned, refused, malformed_refused);
    assert_int_equal(refused, malformed_refused);
    assert_true(stored > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files__of_all_kinds_are_stored_or_refused_with_a_reason,
                                        pipeline_setup, pipeline_teardown),
    };
    return cmocka_run_group_tests_name("import_data", tests, NULL, NULL);
}
