/* Structs of two versions, and what lies behind the shorter. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/sized.h"

struct whole {
    uint32_t size, a;
    uint64_t b, c;
};

/* As it may lie in a plugin's memory: what is behind it is the plugin's. */
struct theirs {
    struct whole is;
    unsigned char behind[512];
};

static const struct whole ours = {sizeof ours, 1, 2, 3};

static void give(struct theirs *theirs, uint32_t size)
{
    memset(theirs, 0xA5, sizeof *theirs);
    theirs->is.size = size;
    hl_sized_give(&theirs->is, &ours, sizeof ours);
}

static void assert_kept(const struct theirs *theirs, size_t from)
{
    for (size_t i = from; i < sizeof *theirs; i++)
        assert_int_equal(((const unsigned char *)theirs)[i], 0xA5);
}

static void give__to_an_older_struct_touches_nothing_behind_it(void **state)
{
    (void)state;
    struct theirs theirs;
    give(&theirs, offsetof(struct whole, c));
    assert_int_equal(theirs.is.size, offsetof(struct whole, c));
    assert_int_equal(theirs.is.a, 1);
    assert_int_equal(theirs.is.b, 2);
    assert_kept(&theirs, offsetof(struct whole, c));
}

static void give__to_a_newer_struct_leaves_zeroes_in_what_we_have_not(void **state)
{
    (void)state;
    struct theirs theirs;
    give(&theirs, sizeof ours + 8);
    assert_int_equal(theirs.is.size, sizeof ours + 8);
    assert_int_equal(theirs.is.c, 3);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(theirs.behind[i], 0);
    assert_kept(&theirs, sizeof ours + 8);
}

/* Before sizes were asked for, nobody had to fill them in. */
static void give__takes_a_size_nobody_can_mean_for_ours(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {0, 3, sizeof ours + 257, 0xA5A5A5A5u};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct theirs theirs;
        give(&theirs, sizes[i]);
        assert_int_equal(theirs.is.size, sizeof ours);
        assert_int_equal(theirs.is.c, 3);
        assert_kept(&theirs, sizeof ours);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(give__to_an_older_struct_touches_nothing_behind_it),
        cmocka_unit_test(give__to_a_newer_struct_leaves_zeroes_in_what_we_have_not),
        cmocka_unit_test(give__takes_a_size_nobody_can_mean_for_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
