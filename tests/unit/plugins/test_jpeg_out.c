/* JPEG in memory: a file larger than the room it begins with, and another one after the library has given up in the middle
 * of the first. SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "jpeg_out.h"

enum { SIDE = 600 };

static void fill(JSAMPLE *line, uint32_t row)
{
    uint32_t noise = row;
    for (size_t x = 0; x < SIDE; x++) {
        noise = noise * 1664525 + 1013904223;
        line[x] = (JSAMPLE)(noise >> 24);
    }
}

/* Rows of noise up to `rows`; false: libjpeg left. */
static bool write_noise(struct jpeg_out *out, struct jpeg_compress_struct *jpeg, JDIMENSION rows)
{
    JSAMPLE line[SIDE];
    JSAMPROW lines[] = {line};
    if (setjmp(out->way_out))
        return false;
    jpeg_out_begin(out, jpeg);
    jpeg->image_width = jpeg->image_height = SIDE;
    jpeg->input_components = 1;
    jpeg->in_color_space = JCS_GRAYSCALE;
    jpeg_set_defaults(jpeg);
    jpeg_set_quality(jpeg, 100, TRUE);
    jpeg_start_compress(jpeg, TRUE);
    while (jpeg->next_scanline < rows) {
        fill(line, jpeg->next_scanline);
        jpeg_write_scanlines(jpeg, lines, 1);
    }
    jpeg_finish_compress(jpeg);
    return true;
}

static bool write_file(struct jpeg_out *out, JDIMENSION rows)
{
    struct jpeg_compress_struct jpeg = {.err = NULL};
    bool is_written = write_noise(out, &jpeg, rows);
    jpeg_destroy_compress(&jpeg);
    return is_written;
}

static void assert_whole(const struct jpeg_out *out)
{
    static const unsigned char begin[] = {0xFF, 0xD8}, end[] = {0xFF, 0xD9};
    assert_in_range(out->n, 200000, out->room);
    assert_memory_equal(out->bytes, begin, sizeof begin);
    assert_memory_equal(out->bytes + out->n - sizeof end, end, sizeof end);
}

static void a_file_grows(void **state)
{
    struct jpeg_out out;
    (void)state;
    assert_true(jpeg_out_init(&out));
    assert_in_range(out.room, 1, 100000);
    assert_true(write_file(&out, SIDE));
    assert_whole(&out);
    jpeg_out_fini(&out);
}

/* Grown by then, so that the room is not the one it began with. */
static void an_error_leaves_with_its_reason(void **state)
{
    struct jpeg_out out;
    (void)state;
    assert_true(jpeg_out_init(&out));
    assert_false(write_file(&out, SIDE / 2)); /* finished too early */
    assert_non_null(strstr(out.why, "few scanlines"));
    assert_true(out.room > 100000);
    assert_true(write_file(&out, SIDE));
    assert_whole(&out);
    jpeg_out_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_grows),
        cmocka_unit_test(an_error_leaves_with_its_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
