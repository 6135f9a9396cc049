/* The outbox: lanes that do not wait for each other, attempts and backoff, what a crash leaves behind.
 * SPDX-License-Identifier: Apache-2.0 */
#include "fake_record.h"

struct bench {
    struct hl_record *record;
    struct hl_bus *bus;
    struct hl_jobs *jobs;
};

static void bench_open(struct bench *bench, const struct hl_job_type *type,
                       const struct hl_jobs_options *options)
{
    hl_log_set_output(-1, true);
    *bench = (struct bench){.record = fake_new()};
    assert_int_equal(hl_bus_new(&bench->bus), HILUM_OK);
    assert_int_equal(hl_jobs_new(bench->record, bench->bus, options, NULL, &bench->jobs), HILUM_OK);
    assert_int_equal(hl_jobs_register(bench->jobs, type), HILUM_OK);
}

static void bench_close(struct bench *bench)
{
    hl_jobs_stop(bench->jobs, 60000);
    hl_jobs_free(bench->jobs);
    hl_bus_free(bench->bus);
    fake_free(bench->record);
}

static void add(struct bench *bench, const char *lane, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        hl_record_job_add(bench->record, "send", lane, (int64_t)i, 0, "{}", 0, NULL);
    }
}

/* What the runs do, by lane: DEAD cannot be reached, SLOW waits for `gate`, BAD refuses `refusals` times,
 * NEVER refuses for good, HELD waits for `gate` and was not reached the first time, everything else succeeds. */
struct world {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_gate_open, is_dead;
    unsigned held_calls, dead_calls, dead_jobs, slow_calls, refusals, calls, at_once, at_once_max;
};

static void result(struct hl_job_attempt *attempt, hilum_rc rc, const char *text)
{
    attempt->rc = rc;
    snprintf(attempt->result, sizeof attempt->result, "%s", text);
}

static void world_slow(struct world *world)
{
    world->slow_calls++;
    world->at_once++;
    world->at_once_max = world->at_once > world->at_once_max ? world->at_once : world->at_once_max;
    pthread_cond_broadcast(&world->changed);
    while (!world->is_gate_open) {
        pthread_cond_wait(&world->changed, &world->lock);
    }
    world->at_once--;
}

static void world_run(void *arg, const char *lane, struct hl_job_attempt *attempts, size_t n)
{
    struct world *world = arg;
    pthread_mutex_lock(&world->lock);
    world->calls++;
    if (strncmp(lane, "SLOW", 4) == 0) {
        world_slow(world);
    }
    world->dead_calls += strcmp(lane, "DEAD") == 0;
    bool is_first_held = strcmp(lane, "HELD") == 0 && world->held_calls++ == 0;
    if (is_first_held) {
        world_slow(world);
    }
    for (size_t i = 0; i < n; i++) {
        if (is_first_held) {
            attempts[i].is_unreachable = true;
            result(&attempts[i], HILUM_ECLOSED, "connection refused");
        } else if (strcmp(lane, "DEAD") == 0 && world->is_dead) {
            world->dead_jobs++;
            attempts[i].is_unreachable = true;
            result(&attempts[i], HILUM_ECLOSED, "connection refused");
        } else if (strcmp(lane, "BAD") == 0 && world->refusals > 0) {
            world->refusals--;
            result(&attempts[i], HILUM_EIO, "refused");
        } else if (strcmp(lane, "NEVER") == 0) {
            attempts[i].is_permanent = true;
            result(&attempts[i], HILUM_EUNSUP, "no such class");
        } else {
            result(&attempts[i], HILUM_OK, "sent");
        }
    }
    pthread_cond_broadcast(&world->changed);
    pthread_mutex_unlock(&world->lock);
}

static void world_init(struct world *world)
{
    *world = (struct world){.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
}

static void world_wait(struct world *world, const unsigned *count, unsigned n)
{
    struct timespec until;
    int rc = 0;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 60; /* what does not come; a busy machine is not at fault */
    pthread_mutex_lock(&world->lock);
    while (*count < n && rc == 0) {
        rc = pthread_cond_timedwait(&world->changed, &world->lock, &until);
    }
    assert_true(*count >= n);
    pthread_mutex_unlock(&world->lock);
}

static void world_open_gate(struct world *world)
{
    pthread_mutex_lock(&world->lock);
    world->is_gate_open = true;
    world->is_dead = false;
    pthread_cond_broadcast(&world->changed);
    pthread_mutex_unlock(&world->lock);
}

static const struct hl_jobs_options quick = {
    .retry_first_ms = 1, .retry_max_ms = 4, .max_lanes = 8};

/* ---- tests ------------------------------------------------------------------------------------------ */

static void lane__jobs_are_done_in_batches(void **unused)
{
    (void)unused;
    struct world world;
    struct bench bench;
    world_init(&world);
    const struct hl_job_type type = {"send", 16, 1, world_run, &world};
    bench_open(&bench, &type, &quick);
    add(&bench, "A", 160);
    assert_int_equal(hl_jobs_start(bench.jobs), HILUM_OK);
    fake_wait(bench.record, &bench.record->n_done, 160);
    assert_int_equal(world.calls, 10);
    assert_string_equal(bench.record->jobs[0].result, "sent");
    bench_close(&bench);
}

/* A destination that hangs and one that is gone: the third gets everything meanwhile. */
static void lane__slow_and_dead_ones_delay_nobody(void **unused)
{
    (void)unused;
    struct world world;
    struct bench bench;
    world_init(&world);
    world.is_dead = true;
    const struct hl_job_type type = {"send", 4, 1, world_run, &world};
    const struct hl_jobs_options options = {
        .retry_first_ms = 60000, .retry_max_ms = 60000, .max_lanes = 8};
    bench_open(&bench, &type, &options);
    add(&bench, "SLOW", 20);
    add(&bench, "DEAD", 20);
    add(&bench, "A", 500);
    assert_int_equal(hl_jobs_start(bench.jobs), HILUM_OK);
    fake_wait(bench.record, &bench.record->n_done, 500);
    world_wait(&world, &world.slow_calls, 1);
    world_wait(&world, &world.dead_calls, 1);
    assert_int_equal(world.slow_calls, 1);
    assert_int_equal(world.dead_calls, 1); /* the lane waits as a whole */
    world_open_gate(&world);
    hl_jobs_nudge(bench.jobs, NULL); /* they are back, whichever: no minute is waited for */
    fake_wait(bench.record, &bench.record->n_done, 540);
    bench_close(&bench);
}

/* The destination comes back while an attempt at it is failing: what is known last holds. */
static void lane__nudged_amid_a_failing_attempt_does_not_wait(void **unused)
{
    (void)unused;
    struct world world;
    struct bench bench;
    world_init(&world);
    const struct hl_job_type type = {"send", 4, 1, world_run, &world};
    const struct hl_jobs_options options = {
        .retry_first_ms = 60000, .retry_max_ms = 60000, .max_lanes = 8};
    bench_open(&bench, &type, &options);
    add(&bench, "HELD", 1);
    assert_int_equal(hl_jobs_start(bench.jobs), HILUM_OK);
    world_wait(&world, &world.slow_calls, 1);
    hl_jobs_nudge(bench.jobs, "HELD");
    world_open_gate(&world);
    fake_wait(bench.record, &bench.record->n_done, 1);
    bench_close(&bench);
}

static void lane__unreachable_costs_no_attempts_and_probes_with_one_job(void **unused)
{
    (void)unused;
    struct world world;
    struct bench bench;
    world_init(&world);
    world.is_dead = true;
    const struct hl_job_type type = {"send", 8, 2, world_run, &world};
    const struct hl_jobs_options options = {
        .retry_first_ms = 1, .retry_max_ms = 2, .max_lanes = 4, .max_attempts = 2};
    bench_open(&bench, &type, &options);
    add(&bench, "DEAD", 32);
    assert_int_equal(hl_jobs_start(bench.jobs), HILUM_OK);
    world_wait(&world, &world.dead_calls, 10);
    pthread_mutex_lock(&world.lock);
    /* Two workers may have had a batch in hand when the first failure came. */
    assert_true(world.dead_jobs <= 2 * 8 + world.dead_calls);
    pthread_mutex_unlock(&world.lock);
    assert_int_equal(bench.record->n_failed, 0);
    world_open_gate(&world);
    fake_wait(bench.record, &bench.record->n_done, 32);
    bench_close(&bench);
}

static void job__refused_is_tried_again_until_it_is_done(void **unused)
{
    (void)unused;
    struct world world;
    struct bench bench;
    world_init(&world);
    world.refusals = 5;
    const struct hl_job_type type = {"send", 1, 1, world_run, &world};
    bench_open(&bench, &type, &quick);
    add(&bench, "BAD", 1);
    assert_int_equal(hl_jobs_start(bench.jobs), HILUM_OK);
    fake_wait(bench.record, &bench.record->n_done, 1);
    assert_int_equal(bench.record->jobs[0].job.attempts, 6);
    bench_close(&bench);
}

static void job__out_of_attempts_or_permanent_has_failed(void **unused)
{
    (void)unused;
    struct world world;
    struct bench bench;
    world_init(&world);
    world.refusals = 1000;
    const struct hl_job_type type = {"send", 1, 1, world_run, &world};
    const struct hl_jobs_options options = {
        .retry_first_ms = 1, .retry_max_ms = 2, .max_lanes = 4, .max_attempts = 3};
    bench_open(&bench, &type, &options);
    add(&bench, "BAD", 1);
    add(&bench, "NEVER", 1);
    assert_int_equal(hl_jobs_start(bench.jobs), HILUM_OK);
    fake_wait(bench.record, &bench.record->n_failed, 2);
    assert_int_equal(bench.record->jobs[0].job.attempts, 3);
    assert_int_equal(bench.record->jobs[1].job.attempts, 1);
    assert_string_equal(bench.record->jobs[1].result, "no such class");
    bench_close(&bench);
}

static void backoff__doubles_up_to_the_maximum(void **unused)
{
    (void)unused;
    struct world world;
    struct bench bench;
    int64_t waits[4];
    world_init(&world);
    world.refusals = 1;
    const struct hl_job_type type = {"send", 1, 1, world_run, &world};
    const struct hl_jobs_options options = {
        .retry_first_ms = 100000, .retry_max_ms = 400000, .max_lanes = 4};
    bench_open(&bench, &type, &options);
    add(&bench, "BAD", 4);
    for (unsigned i = 0; i < 4; i++) { /* attempts behind it: 0 to 3 */
        bench.record->jobs[i].job.attempts = i;
    }
    world.refusals = 4;
    assert_int_equal(hl_jobs_start(bench.jobs), HILUM_OK);
    world_wait(&world, &world.calls, 4);
    hl_jobs_stop(bench.jobs, 60000);
    for (unsigned i = 0; i < 4; i++) {
        static const int64_t expected[] = {100000, 200000, 400000, 400000};
        waits[i] = (bench.record->jobs[i].due_us - hl_now_us()) / 1000;
        assert_in_range(waits[i], expected[i] * 7 / 10, expected[i] * 13 / 10);
    }
    bench_close(&bench);
}

/* Jobs a killed process had in hand do not wait for their lease. */
static void crash__running_jobs_are_due_again_at_start(void **unused)
{
    (void)unused;
    struct world world;
    struct bench bench;
    world_init(&world);
    const struct hl_job_type type = {"send", 4, 1, world_run, &world};
    bench_open(&bench, &type, &quick);
    add(&bench, "A", 8);
    for (unsigned i = 0; i < 4; i++) {
        bench.record->jobs[i].state = FAKE_RUNNING;
        bench.record->jobs[i].lease_us = hl_now_us() + (i < 2 ? -1 : 3600000000);
    }
    assert_int_equal(hl_jobs_start(bench.jobs), HILUM_OK);
    fake_wait(bench.record, &bench.record->n_done, 8);
    bench_close(&bench);
}

/* A job that outlives its lease is handed out again by the record; the runner must not run it twice. */
static void lease__that_ends_under_a_running_job_runs_it_once(void **unused)
{
    (void)unused;
    struct world world;
    struct bench bench;
    world_init(&world);
    const struct hl_job_type type = {"send", 1, 3, world_run, &world};
    bench_open(&bench, &type, &quick);
    add(&bench, "SLOW", 1);
    assert_int_equal(hl_jobs_start(bench.jobs), HILUM_OK);
    world_wait(&world, &world.slow_calls, 1);
    pthread_mutex_lock(&bench.record->lock);
    bench.record->jobs[0].lease_us = 1;
    pthread_mutex_unlock(&bench.record->lock);
    add(&bench, "SLOW", 1);
    fake_wake_jobs(bench.record);
    world_wait(&world, &world.slow_calls, 2);
    world_open_gate(&world);
    fake_wait(bench.record, &bench.record->n_done, 2);
    assert_int_equal(world.slow_calls, 2);
    bench_close(&bench);
}

static void lane__per_lane_limits_the_calls_at_once(void **unused)
{
    (void)unused;
    struct world world;
    struct bench bench;
    world_init(&world);
    const struct hl_job_type type = {"send", 1, 3, world_run, &world};
    bench_open(&bench, &type, &quick);
    add(&bench, "SLOW", 12);
    assert_int_equal(hl_jobs_start(bench.jobs), HILUM_OK);
    world_wait(&world, &world.slow_calls, 3);
    world_open_gate(&world);
    fake_wait(bench.record, &bench.record->n_done, 12);
    assert_int_equal(world.at_once_max, 3);
    bench_close(&bench);
}

/* One thread for four lanes with much work each: none waits for another to be empty. */
static void lanes__share_too_few_threads(void **unused)
{
    (void)unused;
    struct world world;
    struct bench bench;
    world_init(&world);
    const struct hl_job_type type = {"send", 1, 1, world_run, &world};
    const struct hl_jobs_options options = {.retry_first_ms = 1, .retry_max_ms = 2, .max_lanes = 1};
    bench_open(&bench, &type, &options);
    for (unsigned i = 0; i < 4; i++) {
        char lane[8];
        snprintf(lane, sizeof lane, "L%u", i);
        add(&bench, lane, 100);
    }
    assert_int_equal(hl_jobs_start(bench.jobs), HILUM_OK);
    fake_wait(bench.record, &bench.record->n_done, 100);
    hl_jobs_stop(bench.jobs, 60000);
    for (unsigned i = 0; i < 4; i++) {
        unsigned done = 0;
        for (unsigned j = 0; j < 100; j++) {
            done += bench.record->jobs[i * 100 + j].state == FAKE_DONE;
        }
        assert_true(done >= 10);
    }
    bench_close(&bench);
}

static void end__that_is_not_written_is_tried_again_and_the_job_is_not(void **unused)
{
    (void)unused;
    struct world world;
    struct bench bench;
    world_init(&world);
    const struct hl_job_type type = {"send", 4, 1, world_run, &world};
    bench_open(&bench, &type, &quick);
    add(&bench, "A", 4);
    bench.record->fail_ends = 1;
    assert_int_equal(hl_jobs_start(bench.jobs), HILUM_OK);
    fake_wait(bench.record, &bench.record->n_done, 4);
    assert_int_equal(world.calls, 1);
    bench_close(&bench);
}

/* Readers that are open still show due work when the database has lost its file: the lane asked again
 * thousands of times a second and wrote a line in the log each time. */
static void claim__that_fails_is_not_tried_again_at_once(void **unused)
{
    (void)unused;
    struct world world;
    struct bench bench;
    world_init(&world);
    const struct hl_job_type type = {"send", 1, 1, world_run, &world};
    bench_open(&bench, &type, &quick);
    bench.record->fail_claims = 3;
    add(&bench, "A", 1);
    int64_t started = hl_mono_ms();
    assert_int_equal(hl_jobs_start(bench.jobs), HILUM_OK);
    fake_wait(bench.record, &bench.record->n_done, 1);
    assert_true(hl_mono_ms() - started >= 2900);
    pthread_mutex_lock(&bench.record->lock);
    unsigned n_claims = bench.record->n_claims;
    pthread_mutex_unlock(&bench.record->lock);
    assert_in_range(n_claims, 4, 6); /* the last may have looked for more */
    bench_close(&bench);
}

static void type__nobody_does_waits_with_a_reason(void **unused)
{
    (void)unused;
    struct world world;
    struct bench bench;
    world_init(&world);
    const struct hl_job_type type = {"send", 1, 1, world_run, &world};
    const struct hl_jobs_options options = {
        .retry_first_ms = 1, .retry_max_ms = 2, .max_lanes = 1, .max_attempts = 2};
    bench_open(&bench, &type, &options);
    hl_record_job_add(bench.record, "compress", "job:compress", 0, 0, "{}", 0, NULL);
    assert_int_equal(hl_jobs_register(bench.jobs, &type), HILUM_EEXISTS);
    assert_int_equal(hl_jobs_start(bench.jobs), HILUM_OK);
    fake_wait(bench.record, &bench.record->n_failed, 1);
    assert_string_equal(bench.record->jobs[0].result, "nothing loaded does jobs of type compress");
    struct hl_buf json = {0};
    hl_jobs_status(bench.jobs, &json);
    assert_non_null(strstr(hl_buf_str(&json), "\"lane\":\"job:compress\""));
    hl_buf_fini(&json);
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lane__jobs_are_done_in_batches),
        cmocka_unit_test(lane__slow_and_dead_ones_delay_nobody),
        cmocka_unit_test(lane__nudged_amid_a_failing_attempt_does_not_wait),
        cmocka_unit_test(lane__unreachable_costs_no_attempts_and_probes_with_one_job),
        cmocka_unit_test(job__refused_is_tried_again_until_it_is_done),
        cmocka_unit_test(job__out_of_attempts_or_permanent_has_failed),
        cmocka_unit_test(backoff__doubles_up_to_the_maximum),
        cmocka_unit_test(crash__running_jobs_are_due_again_at_start),
        cmocka_unit_test(lease__that_ends_under_a_running_job_runs_it_once),
        cmocka_unit_test(lane__per_lane_limits_the_calls_at_once),
        cmocka_unit_test(lanes__share_too_few_threads),
        cmocka_unit_test(end__that_is_not_written_is_tried_again_and_the_job_is_not),
        cmocka_unit_test(claim__that_fails_is_not_tried_again_at_once),
        cmocka_unit_test(type__nobody_does_waits_with_a_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
