/* Every sound shared file: the header scan against DCMTK. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/base/error.h"
#include "tests/fuzz/scan/judge.h"
#include "tests/unit/store/data_files.h"

struct tally {
    int judged, wrong;
};

static void judge_bytes(const char *path, const uint8_t *bytes, size_t n, const char *syntax,
                        struct tally *tally)
{
    struct hl_scan *scan;
    struct hl_dataset *dataset = NULL;
    assert_int_equal(hl_scan_new(syntax, NULL, &scan), HILUM_OK);
    bool is_read = hl_scan_feed(scan, bytes, n) == HILUM_OK && hl_scan_end(scan) == HILUM_OK &&
                   hl_dataset_parse(bytes, n, syntax, &dataset) == HILUM_OK;
    /* DCMTK sorts, drops what comes twice, and reads no further than a file goes. */
    unsigned unlike = HL_SCAN_TAG_ORDER | HL_SCAN_DUPLICATE | HL_SCAN_TRUNCATED;
    if (is_read && !(hl_scan_remarks(scan) & unlike)) {
        const char *verdict = judge(scan, dataset);
        tally->judged++;
        tally->wrong += verdict[0] != '\0';
        if (verdict[0])
            print_error("%s: %s\n", path, verdict);
    } else if (!is_read) {
        print_message("not judged: %s: %s\n", path, hl_error());
    }
    hl_dataset_free(dataset);
    hl_scan_free(scan);
}

static void judge_file(const char *path, void *arg)
{
    size_t n = 0;
    uint8_t *bytes = read_file(path, &n);
    assert_non_null(bytes);
    struct hl_part10 head;
    if (!strstr(path, "/malformed") && n < HL_DATASET_MAX &&
        hl_part10_read(bytes, n, &head) == HILUM_OK)
        judge_bytes(path, bytes + head.dataset_offset, n - head.dataset_offset,
                    head.transfer_syntax, arg);
    free(bytes);
}

static void shared_files__have_the_elements_dcmtk_sees(void **state)
{
    (void)state;
    const char *folder = data_folder();
    if (!folder)
        skip();
    struct tally tally = {0};
    each_file(folder, judge_file, &tally);
    print_message("%d judged\n", tally.judged);
    assert_true(tally.judged > 0);
    assert_int_equal(tally.wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shared_files__have_the_elements_dcmtk_sees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
