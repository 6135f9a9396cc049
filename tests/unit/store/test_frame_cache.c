/* The cache of decoded frames, and the kept maps of where frames lie. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/store/frame_cache.h"
#include "core/store/frame_map.h"

enum { FRAME = 1000, VIEWERS = 10 };

/* A decoder that counts, waits to be let go, and fails where it is told to. */
struct decoder {
    atomic_uint n;
    atomic_bool is_closed; /* waits while it is */
    hilum_rc rc;
    uint64_t frame;
};

static hilum_rc decode(void *arg, const struct hl_wish *wish, struct hl_cached_frame *out)
{
    struct decoder *decoder = arg;
    atomic_fetch_add(&decoder->n, 1);
    while (atomic_load(&decoder->is_closed))
        if (usleep(1000) == 0 && hl_wish_ask(wish) != HILUM_OK)
            return hl_fail(HILUM_ECANCELLED, "nobody waits");
    if (decoder->rc != HILUM_OK)
        return hl_fail(decoder->rc, "frame %llu: the stream is broken",
                       (unsigned long long)decoder->frame);
    out->pixels = malloc(FRAME);
    assert_non_null(out->pixels);
    memset(out->pixels, (int)decoder->frame, FRAME);
    out->n = FRAME;
    return HILUM_OK;
}

static hilum_rc get_while(struct hl_frame_cache *cache, struct decoder *decoder, uint64_t frame,
                          const struct hl_wish *wish)
{
    const struct hl_frame_key key = {.digest = {1, 2, 3}, .frame = frame};
    const struct hl_cached_frame *got = NULL;
    decoder->frame = frame;
    hilum_rc rc = hl_frame_cache_get(cache, &key, decode, decoder, wish, &got);
    if (rc == HILUM_OK) {
        assert_int_equal(got->n, FRAME);
        assert_int_equal(((uint8_t *)got->pixels)[FRAME - 1], (uint8_t)frame);
    }
    hl_frame_cache_release(cache, got);
    return rc;
}

static hilum_rc get(struct hl_frame_cache *cache, struct decoder *decoder, uint64_t frame)
{
    return get_while(cache, decoder, frame, NULL);
}

static void cache__keeps_what_was_used_last_within_its_budget(void **state)
{
    struct hl_frame_cache *cache = NULL;
    struct hl_frame_cache_counts counts;
    struct decoder decoder = {0};
    (void)state;
    assert_int_equal(hl_frame_cache_new(3 * FRAME, &cache), HILUM_OK);
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(get(cache, &decoder, i), HILUM_OK);
    assert_int_equal(get(cache, &decoder, 0), HILUM_OK); /* 1 is the oldest now */
    assert_int_equal(atomic_load(&decoder.n), 3);
    assert_int_equal(get(cache, &decoder, 3), HILUM_OK);
    assert_int_equal(get(cache, &decoder, 0), HILUM_OK);
    assert_int_equal(atomic_load(&decoder.n), 4);
    assert_int_equal(get(cache, &decoder, 1), HILUM_OK);
    assert_int_equal(atomic_load(&decoder.n), 5);
    hl_frame_cache_count(cache, &counts);
    assert_int_equal(counts.bytes, 3 * FRAME);
    assert_int_equal(counts.frames, 3);
    assert_int_equal(counts.hits, 2);
    hl_frame_cache_free(cache);
}

static void cache__tells_contents_and_sizes_apart(void **state)
{
    struct hl_frame_cache *cache = NULL;
    struct decoder decoder = {.frame = 7};
    struct hl_frame_key key = {.digest = {1}, .frame = 7};
    const struct hl_cached_frame *a, *b, *c;
    (void)state;
    assert_int_equal(hl_frame_cache_new(100 * FRAME, &cache), HILUM_OK);
    assert_int_equal(hl_frame_cache_get(cache, &key, decode, &decoder, NULL, &a), HILUM_OK);
    key.reduce = 1;
    assert_int_equal(hl_frame_cache_get(cache, &key, decode, &decoder, NULL, &b), HILUM_OK);
    key.digest[15] = 9;
    assert_int_equal(hl_frame_cache_get(cache, &key, decode, &decoder, NULL, &c), HILUM_OK);
    assert_int_equal(atomic_load(&decoder.n), 3);
    hl_frame_cache_release(cache, a);
    hl_frame_cache_release(cache, b);
    hl_frame_cache_release(cache, c);
    hl_frame_cache_free(cache);
}

static void cache__without_a_budget_lends_what_it_does_not_keep(void **state)
{
    struct hl_frame_cache *cache = NULL;
    struct decoder decoder = {0};
    (void)state;
    assert_int_equal(hl_frame_cache_new(0, &cache), HILUM_OK);
    assert_int_equal(get(cache, &decoder, 1), HILUM_OK);
    assert_int_equal(get(cache, &decoder, 1), HILUM_OK);
    assert_int_equal(atomic_load(&decoder.n), 2);
    hl_frame_cache_free(cache);
}

/* ---- together ---- */

struct viewer {
    struct hl_frame_cache *cache;
    struct decoder *decoder;
    hilum_rc rc;
    char why[200];
    atomic_bool has_left, is_done;
};

static hilum_rc is_there(void *arg)
{
    return atomic_load(&((struct viewer *)arg)->has_left) ? HILUM_ECLOSED : HILUM_OK;
}

static void *look(void *arg)
{
    struct viewer *viewer = arg;
    const struct hl_wish wish = {is_there, viewer};
    viewer->rc = get_while(viewer->cache, viewer->decoder, 5, &wish);
    snprintf(viewer->why, sizeof viewer->why, "%s", hl_error());
    atomic_store(&viewer->is_done, true);
    return NULL;
}

/* Ten ask for one frame while it is being decoded. */
static void look_together(struct hl_frame_cache *cache, struct decoder *decoder,
                          struct viewer viewers[VIEWERS])
{
    struct hl_frame_cache_counts counts;
    pthread_t threads[VIEWERS];
    atomic_store(&decoder->is_closed, true);
    for (int i = 0; i < VIEWERS; i++) {
        viewers[i] = (struct viewer){.cache = cache, .decoder = decoder};
        assert_int_equal(pthread_create(&threads[i], NULL, look, &viewers[i]), 0);
    }
    do {
        usleep(1000);
        hl_frame_cache_count(cache, &counts);
    } while (counts.shared < VIEWERS - 1);
    atomic_store(&decoder->is_closed, false);
    for (int i = 0; i < VIEWERS; i++)
        pthread_join(threads[i], NULL);
}

static void cache__decodes_once_for_ten_viewers(void **state)
{
    struct hl_frame_cache *cache = NULL;
    struct decoder decoder = {0};
    struct viewer viewers[VIEWERS];
    (void)state;
    assert_int_equal(hl_frame_cache_new(FRAME, &cache), HILUM_OK);
    look_together(cache, &decoder, viewers);
    assert_int_equal(atomic_load(&decoder.n), 1);
    for (int i = 0; i < VIEWERS; i++)
        assert_int_equal(viewers[i].rc, HILUM_OK);
    hl_frame_cache_free(cache);
}

static void cache__tells_all_who_wait_of_a_failure_and_tries_again_later(void **state)
{
    struct hl_frame_cache *cache = NULL;
    struct decoder decoder = {.rc = HILUM_ECORRUPT};
    struct viewer viewers[VIEWERS];
    (void)state;
    assert_int_equal(hl_frame_cache_new(FRAME, &cache), HILUM_OK);
    look_together(cache, &decoder, viewers);
    assert_int_equal(atomic_load(&decoder.n), 1);
    for (int i = 0; i < VIEWERS; i++) {
        assert_int_equal(viewers[i].rc, HILUM_ECORRUPT);
        assert_string_equal(viewers[i].why, "frame 5: the stream is broken");
    }
    decoder.rc = HILUM_OK;
    assert_int_equal(get(cache, &decoder, 5), HILUM_OK);
    assert_int_equal(atomic_load(&decoder.n), 2);
    hl_frame_cache_free(cache);
}

/* The first decodes, the second waits for it. */
static void look_at_once(struct hl_frame_cache *cache, struct decoder *decoder,
                         struct viewer viewers[2], pthread_t threads[2])
{
    struct hl_frame_cache_counts counts = {0};
    atomic_store(&decoder->is_closed, true);
    for (int i = 0; i < 2; i++) {
        viewers[i] = (struct viewer){.cache = cache, .decoder = decoder};
        assert_int_equal(pthread_create(&threads[i], NULL, look, &viewers[i]), 0);
        while (counts.misses + counts.shared < (unsigned)i + 1) {
            usleep(1000);
            hl_frame_cache_count(cache, &counts);
        }
    }
}

static void cache__decodes_on_for_who_stays(void **state)
{
    struct hl_frame_cache *cache = NULL;
    struct decoder decoder = {0};
    struct viewer viewers[2];
    pthread_t threads[2];
    (void)state;
    assert_int_equal(hl_frame_cache_new(FRAME, &cache), HILUM_OK);
    look_at_once(cache, &decoder, viewers, threads);
    atomic_store(&viewers[0].has_left, true);
    usleep(300000);
    assert_false(atomic_load(&viewers[0].is_done)); /* his decoding is the other's now */
    atomic_store(&decoder.is_closed, false);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(viewers[1].rc, HILUM_OK);
    assert_int_equal(atomic_load(&decoder.n), 1);
    hl_frame_cache_free(cache);
}

static void cache__decodes_no_more_once_all_have_left(void **state)
{
    struct hl_frame_cache *cache = NULL;
    struct decoder decoder = {0};
    struct viewer viewers[2];
    pthread_t threads[2];
    (void)state;
    assert_int_equal(hl_frame_cache_new(FRAME, &cache), HILUM_OK);
    look_at_once(cache, &decoder, viewers, threads);
    for (int i = 2; i-- > 0;) { /* who waits lets go at once, and then who decodes ends */
        atomic_store(&viewers[i].has_left, true);
        pthread_join(threads[i], NULL);
        assert_int_equal(viewers[i].rc, HILUM_ECANCELLED);
        assert_int_equal(atomic_load(&viewers[0].is_done), i == 0);
    }
    atomic_store(&decoder.is_closed, false);
    assert_int_equal(get(cache, &decoder, 5), HILUM_OK); /* nothing of it is left */
    assert_int_equal(atomic_load(&decoder.n), 2);
    hl_frame_cache_free(cache);
}

/* A decoder that gives up of itself, and one who waits for it: he decodes himself. */
static void cache__decodes_again_for_who_came_as_it_was_given_up(void **state)
{
    struct hl_frame_cache *cache = NULL;
    struct decoder decoder = {.rc = HILUM_ECANCELLED};
    struct viewer viewers[2];
    pthread_t threads[2];
    (void)state;
    assert_int_equal(hl_frame_cache_new(FRAME, &cache), HILUM_OK);
    look_at_once(cache, &decoder, viewers, threads);
    atomic_store(&decoder.is_closed, false);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&decoder.n), 2);
    assert_int_equal(viewers[1].rc, HILUM_ECANCELLED); /* of his own: not a third time */
    hl_frame_cache_free(cache);
}

/* ---- maps ---- */

static const uint8_t digest[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

static struct hl_frame_map map_make(void)
{
    struct hl_frame_map map = {.frames = {.n = 2, .n_fragments = 3},
                               .declared = {.size = sizeof map.declared, .columns = 512}};
    map.frames.fragments = calloc(3, sizeof *map.frames.fragments);
    map.frames.starts = calloc(3, sizeof *map.frames.starts);
    assert_true(map.frames.fragments != NULL && map.frames.starts != NULL);
    for (size_t i = 0; i < 3; i++)
        map.frames.fragments[i] = (struct hl_fragment_place){1000 * (i + 1), 10 + i};
    map.frames.starts[1] = 2;
    map.frames.starts[2] = 3;
    return map;
}

static void spoil(const char *folder, long at)
{
    char command[300];
    snprintf(command, sizeof command,
             "f=$(find %s -name '*.map') && printf x | dd of=$f bs=1 seek=%ld conv=notrunc "
             "status=none",
             folder, at);
    assert_int_equal(system(command), 0);
}

static void map__comes_back_as_it_was_saved(void **state)
{
    char folder[] = "/tmp/hilum-maps-XXXXXX", command[100];
    assert_non_null(mkdtemp(folder));
    struct hl_frame_map_of of = {folder, "fs", "a/b/c.dcm", 5000, digest};
    struct hl_frame_map map = map_make(), got;
    (void)state;
    assert_int_equal(hl_frame_map_load(&of, &got), HILUM_ENOTFOUND);
    assert_int_equal(hl_frame_map_save(&of, &map), HILUM_OK);
    assert_int_equal(hl_frame_map_load(&of, &got), HILUM_OK);
    assert_int_equal(got.frames.n, 2);
    assert_int_equal(got.declared.columns, 512);
    assert_memory_equal(got.frames.fragments, map.frames.fragments,
                        3 * sizeof *got.frames.fragments);
    assert_memory_equal(got.frames.starts, map.frames.starts, 3 * sizeof *got.frames.starts);
    hl_frames_fini(&got.frames);
    of.length++; /* something else lies there now */
    assert_int_equal(hl_frame_map_load(&of, &got), HILUM_ENOTFOUND);
    of.length--;
    spoil(folder, 200);
    assert_int_equal(hl_frame_map_load(&of, &got), HILUM_ENOTFOUND);
    assert_int_equal(hl_frame_map_save(&of, &map), HILUM_OK);
    hl_frame_map_erase(folder, "fs", "a/b/c.dcm");
    assert_int_equal(hl_frame_map_load(&of, &got), HILUM_ENOTFOUND);
    of.folder = NULL;
    assert_int_equal(hl_frame_map_save(&of, &map), HILUM_OK);
    hl_frames_fini(&map.frames);
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cache__keeps_what_was_used_last_within_its_budget),
        cmocka_unit_test(cache__tells_contents_and_sizes_apart),
        cmocka_unit_test(cache__without_a_budget_lends_what_it_does_not_keep),
        cmocka_unit_test(cache__decodes_once_for_ten_viewers),
        cmocka_unit_test(cache__tells_all_who_wait_of_a_failure_and_tries_again_later),
        cmocka_unit_test(cache__decodes_on_for_who_stays),
        cmocka_unit_test(cache__decodes_no_more_once_all_have_left),
        cmocka_unit_test(cache__decodes_again_for_who_came_as_it_was_given_up),
        cmocka_unit_test(map__comes_back_as_it_was_saved)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
