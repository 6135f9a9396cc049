/* Mapped files kept for who opens them again. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/store/mappings.h"

enum { SIZE = 10000, LARGE = 4 * 1024 * 1024, KEPT = 64 * 1024 * 1024, THREADS = 4, ROUNDS = 2000 };

struct place {
    struct hl_mappings *mappings;
    char dir[64], path[96];
};

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    assert_non_null(place);
    snprintf(place->dir, sizeof place->dir, "/tmp/hilum-mappings-XXXXXX");
    assert_non_null(mkdtemp(place->dir));
    snprintf(place->path, sizeof place->path, "%s/object", place->dir);
    assert_int_equal(hl_mappings_new(&place->mappings), HILUM_OK);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    hl_mappings_free(place->mappings);
    unlink(place->path);
    assert_int_equal(rmdir(place->dir), 0);
    free(place);
    return 0;
}

static void file_write(const char *path, char byte, size_t n)
{
    char *bytes = malloc(n);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_non_null(bytes);
    assert_true(fd >= 0);
    memset(bytes, byte, n);
    assert_int_equal(write(fd, bytes, n), n);
    close(fd);
    free(bytes);
}

/* As a reader does: open, look, map, close. */
static const struct hl_mapping *take(struct place *place, size_t size)
{
    struct stat st;
    int fd = open(place->path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    const struct hl_mapping *map = hl_mappings_take(place->mappings, fd, &st, 0, size);
    close(fd);
    assert_non_null(map);
    return map;
}

static void taken__twice_is_one_map_and_stays_for_a_while(void **state)
{
    struct place *place = *state;
    struct hl_mappings_counts counts;
    file_write(place->path, 'a', SIZE);
    const struct hl_mapping *first = take(place, SIZE), *second = take(place, SIZE);
    assert_ptr_equal(first, second);
    hl_mapping_load(first);
    hl_mapping_load(first);
    assert_int_equal(first->at[SIZE - 1], 'a');
    hl_mappings_give(place->mappings, first);
    hl_mappings_count(place->mappings, &counts);
    assert_int_equal(counts.kept, 0); /* somebody has it */
    hl_mappings_give(place->mappings, second);
    hl_mappings_age(place->mappings); /* not yet */
    hl_mappings_give(place->mappings, take(place, SIZE));
    hl_mappings_count(place->mappings, &counts);
    assert_int_equal(counts.kept, 1);
    assert_int_equal(counts.bytes, SIZE);
    assert_int_equal(counts.hits, 2);
    assert_int_equal(counts.misses, 1);
    hl_mappings_drop(place->mappings);
    hl_mappings_count(place->mappings, &counts);
    assert_int_equal(counts.kept + counts.bytes, 0);
}

static void taken__is_the_file_as_it_is_now(void **state)
{
    struct place *place = *state;
    char other[128];
    file_write(place->path, 'a', SIZE);
    hl_mappings_give(place->mappings, take(place, SIZE));
    file_write(place->path, 'b', SIZE); /* in place */
    const struct hl_mapping *written = take(place, SIZE);
    assert_int_equal(written->at[0], 'b');
    snprintf(other, sizeof other, "%s.new", place->path);
    file_write(other, 'c', SIZE);
    assert_int_equal(rename(other, place->path), 0);
    const struct hl_mapping *another = take(place, SIZE);
    assert_int_equal(another->at[0], 'c');
    assert_int_equal(written->at[0], 'b'); /* read to its end */
    hl_mappings_give(place->mappings, written);
    hl_mappings_give(place->mappings, another);
    assert_int_equal(unlink(place->path), 0);
    file_write(place->path, 'd', SIZE);
    const struct hl_mapping *again = take(place, SIZE);
    assert_int_equal(again->at[0], 'd');
    hl_mappings_give(place->mappings, again);
}

static void kept__is_bounded_and_nothing_large(void **state)
{
    struct place *place = *state;
    struct hl_mappings_counts counts;
    const struct hl_mapping *maps[20];
    for (unsigned i = 0; i < 20; i++) {
        unlink(place->path);
        file_write(place->path, 'a', 1);
        assert_int_equal(truncate(place->path, LARGE), 0);
        maps[i] = take(place, LARGE);
    }
    for (unsigned i = 0; i < 20; i++)
        hl_mappings_give(place->mappings, maps[i]);
    hl_mappings_count(place->mappings, &counts);
    assert_int_equal(counts.bytes, KEPT);
    assert_int_equal(counts.kept, KEPT / LARGE);
    hl_mappings_drop(place->mappings);
    assert_int_equal(truncate(place->path, LARGE + SIZE), 0);
    const struct hl_mapping *first = take(place, LARGE + SIZE), *second = take(place, LARGE + SIZE);
    assert_ptr_not_equal(first, second);
    hl_mappings_give(place->mappings, first);
    hl_mapping_load(second);
    assert_int_equal(second->at[LARGE], 0);
    hl_mappings_give(place->mappings, second);
    hl_mappings_count(place->mappings, &counts);
    assert_int_equal(counts.kept, 0);
}

static void *read_often(void *arg)
{
    struct place *place = arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        const struct hl_mapping *map = take(place, SIZE);
        hl_mapping_load(map);
        if (map->at[i % SIZE] != 'a')
            return arg;
        hl_mappings_give(place->mappings, map);
        if (i % 16 == 0)
            hl_mappings_drop(place->mappings);
    }
    return NULL;
}

static void many__share_it_while_it_is_dropped(void **state)
{
    struct place *place = *state;
    pthread_t threads[THREADS];
    void *failed = NULL;
    file_write(place->path, 'a', SIZE);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_often, place), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(taken__twice_is_one_map_and_stays_for_a_while, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(taken__is_the_file_as_it_is_now, set_up, tear_down),
        cmocka_unit_test_setup_teardown(kept__is_bounded_and_nothing_large, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many__share_it_while_it_is_dropped, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
