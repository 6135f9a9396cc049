/* The pool of threads: places, and tasks that lend theirs. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <semaphore.h>
#include <time.h>

#include "core/base/pool.h"

struct meeting {
    struct hl_pool *pool;
    sem_t begun, go;
};

static void meeting_init(struct meeting *meeting, unsigned max)
{
    assert_int_equal(hl_pool_new("test", max, &meeting->pool), HILUM_OK);
    sem_init(&meeting->begun, 0, 0);
    sem_init(&meeting->go, 0, 0);
}

static void meeting_fini(struct meeting *meeting)
{
    hl_pool_free(meeting->pool);
    sem_destroy(&meeting->begun);
    sem_destroy(&meeting->go);
}

static int comes_within(sem_t *sem, int64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += ms % 1000 * 1000000;
    until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    return sem_timedwait(sem, &until) == 0;
}

static void stay(void *arg)
{
    struct meeting *meeting = arg;
    sem_post(&meeting->begun);
    sem_wait(&meeting->go);
}

static void stay_paused(void *arg)
{
    struct meeting *meeting = arg;
    hl_pool_pause(meeting->pool);
    sem_post(&meeting->begun);
    sem_wait(&meeting->go);
    hl_pool_resume(meeting->pool);
}

static void pool__full_lets_tasks_wait(void **state)
{
    (void)state;
    struct meeting meeting;
    meeting_init(&meeting, 2);
    for (int i = 0; i < 3; i++)
        assert_int_equal(hl_pool_run(meeting.pool, stay, &meeting), HILUM_OK);
    assert_true(comes_within(&meeting.begun, 10000) && comes_within(&meeting.begun, 10000));
    assert_false(comes_within(&meeting.begun, 50));
    assert_int_equal(hl_pool_backlog(meeting.pool), 1);
    for (int i = 0; i < 3; i++)
        sem_post(&meeting.go);
    assert_true(comes_within(&meeting.begun, 10000));
    meeting_fini(&meeting);
}

static void pool__paused_tasks_lend_their_places(void **state)
{
    (void)state;
    struct meeting meeting;
    meeting_init(&meeting, 2);
    for (int i = 0; i < 8; i++)
        assert_int_equal(hl_pool_run(meeting.pool, stay_paused, &meeting), HILUM_OK);
    for (int i = 0; i < 8; i++)
        assert_true(comes_within(&meeting.begun, 10000));
    for (int i = 0; i < 8; i++)
        sem_post(&meeting.go);
    meeting_fini(&meeting);
}

static void pool__pausing_starts_who_waits_already(void **state)
{
    (void)state;
    struct meeting meeting;
    meeting_init(&meeting, 1);
    assert_int_equal(hl_pool_run(meeting.pool, stay, &meeting), HILUM_OK);
    assert_true(comes_within(&meeting.begun, 10000));
    for (int i = 0; i < 4; i++)
        assert_int_equal(hl_pool_run(meeting.pool, stay_paused, &meeting), HILUM_OK);
    sem_post(&meeting.go);
    for (int i = 0; i < 4; i++)
        assert_true(comes_within(&meeting.begun, 10000));
    for (int i = 0; i < 4; i++)
        sem_post(&meeting.go);
    meeting_fini(&meeting);
}

static void stay_resumed(void *arg)
{
    struct meeting *meeting = arg;
    hl_pool_pause(meeting->pool);
    hl_pool_resume(meeting->pool);
    stay(meeting);
}

static void pool__resumed_tasks_take_their_places_back(void **state)
{
    (void)state;
    struct meeting meeting;
    meeting_init(&meeting, 1);
    assert_int_equal(hl_pool_run(meeting.pool, stay_resumed, &meeting), HILUM_OK);
    assert_true(comes_within(&meeting.begun, 10000));
    assert_int_equal(hl_pool_run(meeting.pool, stay, &meeting), HILUM_OK);
    assert_false(comes_within(&meeting.begun, 50));
    sem_post(&meeting.go);
    sem_post(&meeting.go);
    assert_true(comes_within(&meeting.begun, 10000));
    meeting_fini(&meeting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pool__full_lets_tasks_wait),
        cmocka_unit_test(pool__paused_tasks_lend_their_places),
        cmocka_unit_test(pool__pausing_starts_who_waits_already),
        cmocka_unit_test(pool__resumed_tasks_take_their_places_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
