/* Every shared test file through the header scan, whole and in pieces.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <cmocka.h>

#include "core/base/error.h"
#include "core/store/scan.h"
#include "tests/unit/store/data_files.h"

struct tally {
    int files, failed, chunked_differently, mute;
};

static hilum_rc scan_pieces(const uint8_t *bytes, size_t n, const char *syntax, size_t piece,
                            struct hl_scan **out)
{
    assert_int_equal(hl_scan_new(syntax, NULL, out), HILUM_OK);
    for (size_t at = 0; at < n; at += piece) {
        hilum_rc rc = hl_scan_feed(*out, bytes + at, n - at < piece ? n - at : piece);
        if (rc != HILUM_OK)
            return rc;
    }
    return hl_scan_end(*out);
}

static bool is_same_value(const struct hl_element *a, const struct hl_element *b)
{
    if (!a->value || !b->value)
        return a->value == b->value;
    return memcmp(a->value, b->value, a->length) == 0;
}

static bool is_same_element(const struct hl_element *a, const struct hl_element *b)
{
    return a->tag == b->tag && a->offset == b->offset && a->length == b->length &&
           a->header_length == b->header_length && a->is_undefined == b->is_undefined &&
           strcmp(a->vr, b->vr) == 0 && is_same_value(a, b);
}

static bool is_same_scan(const struct hl_scan *a, const struct hl_scan *b)
{
    if (hl_scan_count(a) != hl_scan_count(b) || hl_scan_remarks(a) != hl_scan_remarks(b) ||
        hl_scan_length(a) != hl_scan_length(b))
        return false;
    for (size_t i = 0; i < hl_scan_count(a); i++)
        if (!is_same_element(hl_scan_at(a, i), hl_scan_at(b, i)))
            return false;
    return true;
}

static void compare_pieces(const char *path, const uint8_t *bytes, size_t n, const char *syntax,
                           struct tally *tally)
{
    struct hl_scan *whole = NULL, *pieces = NULL;
    size_t piece = n < 200000 ? 1 : 4093;
    hilum_rc a = scan_pieces(bytes, n, syntax, n ? n : 1, &whole);
    char reason[512];
    snprintf(reason, sizeof reason, "%s", hl_error());
    hilum_rc b = scan_pieces(bytes, n, syntax, piece, &pieces);
    if (a != b || (a != HILUM_OK && a != HILUM_EFULL && strcmp(reason, hl_error()) != 0) ||
        (a == HILUM_OK && !is_same_scan(whole, pieces))) {
        tally->chunked_differently++;
        print_error("%s: %d (%s) whole, %d (%s) in pieces\n", path, a, reason, b, hl_error());
    }
    if (getenv("SCAN_SHOW"))
        print_message("%s: %d %x %s\n", path, a, hl_scan_remarks(whole), a ? reason : "");
    if (a != HILUM_OK) {
        tally->failed++;
        tally->mute += !strstr(reason, "offset") || !strchr(reason, ',');
        if (!strstr(path, "/malformed"))
            print_error("%s: %s\n", path, reason);
    }
    hl_scan_free(whole);
    hl_scan_free(pieces);
}

static void scan_file(const char *path, void *arg)
{
    struct tally *tally = arg;
    size_t n = 0;
    uint8_t *bytes = read_file(path, &n);
    assert_non_null(bytes);
    struct hl_part10 head;
    tally->files++;
    if (hl_part10_read(bytes, n < 132 * 1024 ? n : 132 * 1024, &head) == HILUM_OK) {
        compare_pieces(path, bytes + head.dataset_offset, n - head.dataset_offset,
                       head.transfer_syntax, tally);
    } else {
        tally->failed++;
        if (getenv("SCAN_SHOW"))
            print_message("%s: %s\n", path, hl_error());
    }
    free(bytes);
}

static void sound_files__all_scan_whatever_the_chunking(void **state)
{
    (void)state;
    const char *folder = data_folder();
    if (!folder)
        skip();
    DIR *dir = opendir(folder);
    struct tally tally = {0};
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        char path[8192];
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (e->d_name[0] != '.' && strncmp(e->d_name, "malformed", 9) != 0)
            each_file(path, scan_file, &tally);
    }
    closedir(dir);
    assert_true(tally.files > 0);
    assert_int_equal(tally.failed, 0);
    assert_int_equal(tally.chunked_differently, 0);
}

static void malformed_files__end_in_remarks_or_in_a_named_place(void **state)
{
    (void)state;
    const char *folder = data_folder();
    if (!folder)
        skip();
    struct tally tally = {0};
    char path[8192];
    snprintf(path, sizeof path, "%s/malformed", folder);
    each_file(path, scan_file, &tally);
    snprintf(path, sizeof path, "%s/malformed_synth", folder);
    each_file(path, scan_file, &tally);
    assert_true(tally.files > 0);
    assert_int_equal(tally.mute, 0);
    assert_int_equal(tally.chunked_differently, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound_files__all_scan_whatever_the_chunking),
        cmocka_unit_test(malformed_files__end_in_remarks_or_in_a_named_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
