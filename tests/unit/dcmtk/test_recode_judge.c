/* Every sound shared file without compression, converted by us and by DCMTK. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/base/error.h"
#include "core/dicom/dcmtk/dataset.h"
#include "core/dicom/uid.h"
#include "core/store/recode.h"
#include "core/store/scan.h"
#include "tests/unit/dcmtk/recode_judge.h"
#include "tests/unit/store/data_files.h"

enum { FILE_MAX = 24 << 20 };

static const char *const targets[] = {
    HL_UID_IMPLICIT_LITTLE_ENDIAN,
    HL_UID_EXPLICIT_LITTLE_ENDIAN,
    HL_UID_EXPLICIT_BIG_ENDIAN,
    HL_UID_DEFLATED_LITTLE_ENDIAN,
};

struct tally {
    int judged, wrong, refused;
};

static hilum_rc convert(const uint8_t *bytes, size_t n, size_t chunk, const char *from,
                        const char *to, struct hl_buf *out)
{
    struct hl_recode *recode;
    assert_int_equal(hl_recode_new(from, to, hl_dict_vr, &recode), HILUM_OK);
    hilum_rc rc = HILUM_OK;
    for (size_t at = 0; at < n && rc == HILUM_OK; at += chunk)
        rc = hl_recode_feed(recode, bytes + at, n - at < chunk ? n - at : chunk, out);
    if (rc == HILUM_OK)
        rc = hl_recode_end(recode, out);
    hl_recode_free(recode);
    return rc;
}

/* What only asks whether it can be done says the same without seeing the values, and how long it gets. */
static hilum_rc check_only(const uint8_t *bytes, size_t n, const char *from, const char *to,
                           uint64_t *length)
{
    struct hl_recode *recode;
    struct hl_buf out = {0};
    assert_int_equal(hl_recode_new(from, to, hl_dict_vr, &recode), HILUM_OK);
    hilum_rc rc = HILUM_OK;
    for (size_t at = 0; at < n && rc == HILUM_OK;) {
        uint64_t ahead = hl_recode_ahead(recode);
        size_t take = ahead ? (ahead < n - at ? (size_t)ahead : n - at) : 1;
        if (ahead)
            hl_recode_skip(recode, take);
        else
            rc = hl_recode_feed(recode, bytes + at, take, &out);
        at += take;
        *length += out.len;
        hl_buf_clear(&out);
    }
    if (rc == HILUM_OK)
        rc = hl_recode_end(recode, &out);
    *length += out.len + hl_recode_skipped(recode);
    hl_buf_fini(&out);
    hl_recode_free(recode);
    return rc;
}

static void judge_target(const char *path, const uint8_t *bytes, size_t n, const char *from,
                         const char *to, struct tally *tally)
{
    struct hl_buf whole = {0}, pieces = {0};
    bool is_deflated = strcmp(to, HL_UID_DEFLATED_LITTLE_ENDIAN) == 0;
    uint64_t length = 0;
    hilum_rc rc = convert(bytes, n, n, from, to, &whole);
    assert_int_equal(convert(bytes, n, 1013, from, to, &pieces), rc);
    assert_int_equal(check_only(bytes, n, from, to, &length), rc);
    if (rc != HILUM_OK) {
        print_message("refused: %s: %s\n", path, hl_error());
        tally->refused++;
    } else {
        assert_true(is_deflated || whole.len == pieces.len);
        assert_true(is_deflated || whole.len == length);
        const char *verdict = recode_judge(bytes, n, from, pieces.data, pieces.len, to);
        bool is_judged = strcmp(verdict, "not judged") != 0;
        tally->judged += is_judged;
        tally->wrong += is_judged && verdict[0];
        if (verdict[0])
            print_error("%s: %s to %s: %s\n", path, hl_uid_name(from), hl_uid_name(to), verdict);
    }
    hl_buf_fini(&whole);
    hl_buf_fini(&pieces);
}

static void judge_file(const char *path, void *arg)
{
    size_t n = 0;
    uint8_t *bytes = read_file(path, &n);
    struct hl_part10 head;
    assert_non_null(bytes);
    bool is_sound =
        !strstr(path, "/malformed") && n < FILE_MAX && hl_part10_read(bytes, n, &head) == HILUM_OK;
    for (size_t i = 0; is_sound && i < sizeof targets / sizeof targets[0]; i++)
        if (hl_recode_can(head.transfer_syntax, targets[i]) &&
            strcmp(head.transfer_syntax, targets[i]) != 0)
            judge_target(path, bytes + head.dataset_offset, n - head.dataset_offset,
                         head.transfer_syntax, targets[i], arg);
    free(bytes);
}

static void shared_files__are_what_dcmtk_makes_of_them(void **state)
{
    (void)state;
    const char *folder = data_folder();
    if (!folder)
        skip();
    assert_int_equal(hl_dicom_init(), HILUM_OK);
    struct tally tally = {0};
    each_file(folder, judge_file, &tally);
    print_message("%d judged, %d wrong, %d refused\n", tally.judged, tally.wrong, tally.refused);
    assert_true(tally.judged > 0);
    assert_int_equal(tally.wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shared_files__are_what_dcmtk_makes_of_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
