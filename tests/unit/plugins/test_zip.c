/* Archives of web-dicomweb that no running server can be given in a test: more files than zip has numbers for, files larger
 * than it has lengths for. SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "web.h"

/* Parts of zeros. */
struct zeros {
    struct web_parts parts;
    uint64_t n_files, length, left;
    bool is_known, is_compressed, is_freed;
    uint64_t at;
};

static hilum_rc zeros_begin(struct web_parts *parts, char type[WEB_TYPE_MAX])
{
    struct zeros *zeros = (struct zeros *)parts;
    snprintf(type, WEB_TYPE_MAX, "%s", WEB_DICOM);
    if (zeros->at == zeros->n_files)
        return 0;
    zeros->at++;
    zeros->left = zeros->length;
    return 1;
}

static hilum_rc zeros_read(struct web_parts *parts, const void **bytes, uint64_t *n)
{
    static const char piece[256 * 1024];
    struct zeros *zeros = (struct zeros *)parts;
    *bytes = piece;
    *n = zeros->left < sizeof piece ? zeros->left : sizeof piece;
    zeros->left -= *n;
    return HILUM_OK;
}

static hilum_rc zeros_file(struct web_parts *parts, struct web_file *out)
{
    const struct zeros *zeros = (const struct zeros *)parts;
    snprintf(out->name, sizeof out->name, "1.2/%llu.dcm", (unsigned long long)zeros->at);
    out->length = zeros->is_known ? zeros->length : HILUM_LENGTH_UNKNOWN;
    out->is_compressed = zeros->is_compressed;
    return HILUM_OK;
}

static void zeros_free(struct web_parts *parts)
{
    ((struct zeros *)parts)->is_freed = true;
}

static struct zeros zeros_of(uint64_t n_files, uint64_t length)
{
    return (struct zeros){
        .parts = {.begin = zeros_begin, .read = zeros_read, .file = zeros_file, .free = zeros_free},
        .n_files = n_files,
        .length = length,
        .is_known = true};
}

/* ---- an exchange that takes the source ---- */

static struct hilum_http_source taken;

static hilum_rc add_header(hilum_http *http, const char *name, const char *value)
{
    (void)http;
    assert_string_equal(name, "Content-Disposition");
    assert_string_equal(value, "attachment; filename=\"1.2.zip\"");
    return HILUM_OK;
}

static hilum_rc stream(hilum_http *http, uint32_t status, const char *type, uint64_t length,
                       const struct hilum_http_source *source)
{
    (void)http;
    assert_int_equal(status, 200);
    assert_string_equal(type, WEB_ZIP);
    assert_true(length == HILUM_LENGTH_UNKNOWN);
    taken = *source;
    return HILUM_OK;
}

static const struct hilum_http_api api = {
    .size = sizeof api, .add_header = add_header, .stream = stream};

static void send(struct zeros *zeros)
{
    static struct web web;
    const struct web_call call = {&web, &api, NULL, {NULL}};
    zeros->parts.web = &web;
    assert_int_equal(web_zip_send(&call, 200, "1.2", &zeros->parts), HILUM_OK);
}

/* The next piece; its length. */
static uint64_t piece(const char **bytes)
{
    const void *at = NULL;
    uint64_t n = 0;
    assert_int_equal(taken.next(taken.arg, &at, &n), HILUM_OK);
    *bytes = at;
    return n;
}

static bool holds(const char *bytes, uint64_t n, const char *wanted, size_t length)
{
    return n >= length && memmem(bytes, n, wanted, length) != NULL;
}

static void more_files_than_65535_are_counted_in_64_bits(void **state)
{
    (void)state;
    struct zeros zeros = zeros_of(66000, 2);
    const char *bytes = NULL;
    bool has_end64 = false;
    zeros.is_compressed = true;
    send(&zeros);
    for (uint64_t n; (n = piece(&bytes)) > 0;) {
        static const char count[8] = {(char)0xD0, 0x01, 0x01}; /* 66000 */
        assert_in_range(n, 1, 64 << 20);
        has_end64 = has_end64 || (holds(bytes, n, "PK\6\6", 4) && holds(bytes, n, count, 8));
    }
    taken.close(taken.arg);
    assert_true(has_end64);
    assert_true(zeros.is_freed);
}

static void a_file_over_4_gib_tells_its_length_in_64_bits(void **state)
{
    (void)state;
    struct zeros zeros = zeros_of(1, UINT64_C(5) << 30);
    static const char length[8] = {0, 0, 0, 0x40, 1}; /* 5 GiB */
    const char *bytes = NULL;
    zeros.is_compressed = true;
    send(&zeros);
    uint64_t n = piece(&bytes);
    assert_true(holds(bytes, n, "PK\3\4", 4));
    assert_true(holds(bytes, n, length, sizeof length));
    taken.close(taken.arg); /* the client has gone */
    assert_true(zeros.is_freed);
}

static void memory_does_not_grow_with_what_leaves(void **state)
{
    (void)state;
    struct zeros zeros = zeros_of(2, UINT64_C(200) << 20);
    const char *bytes = NULL;
    zeros.is_known = false;
    zeros.is_compressed = true; /* of an unknown length: deflated all the same */
    send(&zeros);
    uint64_t total = 0;
    for (uint64_t n; (n = piece(&bytes)) > 0;) {
        assert_in_range(n, 1, 1 << 20);
        total += n;
    }
    taken.close(taken.arg);
    assert_in_range(total, 1000, 8 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(more_files_than_65535_are_counted_in_64_bits),
        cmocka_unit_test(a_file_over_4_gib_tells_its_length_in_64_bits),
        cmocka_unit_test(memory_does_not_grow_with_what_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
