/* Replacing hooks under load: nobody runs a released hook, everything is released once, SERIAL
 * hooks never overlap. Meant to be run under ThreadSanitizer too. SPDX-License-Identifier:
 * Apache-2.0 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/bus/bus.h"
#include "core/config/config.h"

enum { THREADS = 4, ROUNDS = 2000 };

/* What the hooks of one generation use: freed by release, so that a late call is seen by every
 * sanitizer, and by `alive` without one. */
struct world {
    atomic_int alive;
    atomic_int inside;
};

static struct hl_bus *bus;
static atomic_int released, wrong, stop;
static atomic_long calls;

static int32_t visit(void *arg, hilum_event *event)
{
    struct world *world = arg;
    (void)event;
    if (atomic_load(&world->alive) != 1)
        atomic_fetch_add(&wrong, 1);
    if (atomic_fetch_add(&world->inside, 1) != 0)
        atomic_fetch_add(&wrong, 1); /* two at once in a SERIAL hook */
    atomic_fetch_sub(&world->inside, 1);
    atomic_fetch_add(&calls, 1);
    return HILUM_PASS;
}

static void release_world(void *arg)
{
    struct world *world = arg;
    atomic_store(&world->alive, 0);
    free(world);
    atomic_fetch_add(&released, 1);
}

static struct hl_hook_source source(struct world *world)
{
    return (struct hl_hook_source){.hook = {.size = sizeof(struct hilum_hook),
                                            .phase = HILUM_FILTER,
                                            .event = "instance.received",
                                            .name = "site/visit",
                                            .where = "Modality=CT",
                                            .run = visit,
                                            .arg = world,
                                            .threads = HILUM_SERIAL}};
}

static struct world *world_new(void)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    atomic_store(&world->alive, 1);
    return world;
}

static void *keep_dispatching(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop)) {
        struct hl_verdict verdict;
        hilum_event *event = hl_event_new("instance.received");
        hl_event_set_text(event, "Modality", "CT");
        hl_bus_dispatch(bus, event, HILUM_FILTER, &verdict);
        if (verdict.matched != 1)
            atomic_fetch_add(&wrong, 1);
        hl_event_free(event);
    }
    return NULL;
}

static void replace_many(struct world **current)
{
    for (int i = 0; i < ROUNDS; i++) {
        struct world *next = world_new();
        struct hl_hook_source hook = source(next);
        hilum_rc rc;
        do
            rc = hl_bus_replace(bus, "rules", &hook, 1, release_world, *current, false, NULL);
        while (rc == HILUM_EAGAIN);
        assert_int_equal(rc, HILUM_OK);
        *current = next;
    }
}

static void replace__under_dispatch_releases_every_set_once_and_never_early(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    struct world *current = world_new();
    struct hl_hook_source hook = source(current);
    assert_int_equal(hl_bus_new(&bus), HILUM_OK);
    assert_int_equal(hl_bus_replace(bus, "rules", &hook, 1, NULL, NULL, false, NULL), HILUM_OK);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, keep_dispatching, NULL), 0);
    replace_many(&current);
    while (atomic_load(&calls) < 1000)
        sched_yield();
    atomic_store(&stop, 1);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&wrong), 0);
    assert_int_equal(atomic_load(&released), ROUNDS);
    assert_int_equal(hl_bus_replace(bus, "rules", NULL, 0, release_world, current, false, NULL),
                     HILUM_OK);
    assert_int_equal(atomic_load(&released), ROUNDS + 1);
    hl_bus_free(bus);
}

static void count(void *arg)
{
    (*(int *)arg)++;
}

static int32_t replace_self(void *arg, hilum_event *event)
{
    (void)event;
    int *count_seen = arg;
    assert_int_equal(hl_bus_replace(bus, "rules", NULL, 0, count, arg, false, NULL), HILUM_OK);
    assert_int_equal(*count_seen, 0); /* this very call still uses the hook */
    return HILUM_PASS;
}

static void replace__from_within_a_hook_releases_when_the_hook_is_left(void **state)
{
    (void)state;
    int seen = 0;
    struct hl_verdict verdict;
    struct hl_hook_source hook = source(NULL);
    hook.hook.run = replace_self;
    hook.hook.arg = &seen;
    hook.hook.where = NULL;
    assert_int_equal(hl_bus_new(&bus), HILUM_OK);
    assert_int_equal(hl_bus_replace(bus, "rules", &hook, 1, NULL, NULL, false, NULL), HILUM_OK);
    hilum_event *event = hl_event_new("instance.received");
    hl_bus_dispatch(bus, event, HILUM_FILTER, &verdict);
    assert_int_equal(seen, 1);
    assert_false(hl_bus_wants(bus, "instance.received", HILUM_FILTER));
    hl_event_free(event);
    hl_bus_free(bus);
}

static void replace__refused_set_releases_nothing(void **state)
{
    (void)state;
    int seen = 0;
    struct hl_hook_source hook = source(NULL);
    hook.hook.where = "=";
    assert_int_equal(hl_bus_new(&bus), HILUM_OK);
    assert_int_equal(hl_bus_replace(bus, "rules", &hook, 1, count, &seen, false, NULL),
                     HILUM_EINVAL);
    assert_int_equal(seen, 0);
    hl_bus_free(bus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replace__under_dispatch_releases_every_set_once_and_never_early),
        cmocka_unit_test(replace__from_within_a_hook_releases_when_the_hook_is_left),
        cmocka_unit_test(replace__refused_set_releases_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
