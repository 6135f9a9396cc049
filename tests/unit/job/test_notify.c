/* The journal runner: order within a study, studies side by side, retries of what failed and nothing else.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/config/config.h"
#include "fake_record.h"

struct bench {
    struct hl_record *record;
    struct hl_bus *bus;
    struct hl_jobs *jobs;
    struct hl_faults faults;
};

static void bench_open(struct bench *bench, const struct hl_hook_source *hooks, size_t n)
{
    hl_log_set_output(-1, true);
    *bench = (struct bench){.record = fake_new()};
    assert_int_equal(hl_bus_new(&bench->bus), HILUM_OK);
    assert_int_equal(
        hl_bus_replace(bench->bus, "test", hooks, n, NULL, NULL, false, &bench->faults), HILUM_OK);
}

static void bench_start(struct bench *bench, unsigned threads)
{
    const struct hl_jobs_options options = {
        .retry_first_ms = 1, .retry_max_ms = 10, .notify_threads = threads, .notify_retry_ms = 1};
    assert_int_equal(hl_jobs_new(bench->record, bench->bus, &options, NULL, &bench->jobs),
                     HILUM_OK);
    assert_int_equal(hl_jobs_start(bench->jobs), HILUM_OK);
}

static void bench_stop(struct bench *bench)
{
    if (bench->jobs) {
        hl_jobs_stop(bench->jobs, 5000);
    }
    hl_jobs_free(bench->jobs);
    bench->jobs = NULL;
}

static void bench_close(struct bench *bench)
{
    bench_stop(bench);
    hl_bus_free(bench->bus);
    hl_faults_fini(&bench->faults);
    fake_free(bench->record);
}

static void journal(struct bench *bench, const char *event, unsigned study, unsigned n)
{
    char uid[32], fields[64];
    int64_t id;
    snprintf(uid, sizeof uid, "1.2.%u", study);
    snprintf(fields, sizeof fields, "{\"study\":%u,\"n\":%u,\"Modality\":\"CT\"}", study, n);
    hl_record_journal_append(bench->record, event, uid, fields, &id);
}

static struct hl_hook_source hook(const char *name, int32_t (*run)(void *, hilum_event *),
                                  void *arg, const char *where)
{
    return (struct hl_hook_source){.hook = {.size = sizeof(struct hilum_hook),
                                            .phase = HILUM_NOTIFY,
                                            .event = "instance.stored",
                                            .name = name,
                                            .where = where,
                                            .run = run,
                                            .arg = arg,
                                            .threads = HILUM_PARALLEL}};
}

/* ---- hooks ------------------------------------------------------------------------------------------ */

static int32_t plan_one(void *arg, hilum_event *event)
{
    char json[64];
    (void)arg;
    snprintf(json, sizeof json, "{\"to\":\"%s.%s\"}", hl_event_text(event, "study"),
             hl_event_text(event, "n"));
    return hl_event_plan(event, "send", json);
}

struct order {
    pthread_mutex_t lock;
    int last[8];
    unsigned wrong, seen;
};

static int32_t check_order(void *arg, hilum_event *event)
{
    struct order *order = arg;
    int64_t study = 0, n = 0;
    hl_event_int(event, "study", &study);
    hl_event_int(event, "n", &n);
    pthread_mutex_lock(&order->lock);
    order->wrong += order->last[study] != (int)n;
    order->last[study] = (int)n + 1;
    order->seen++;
    pthread_mutex_unlock(&order->lock);
    return HILUM_PASS;
}

struct failing {
    atomic_uint calls;
    unsigned times; /* fails so often */
};

static int32_t fail_sometimes(void *arg, hilum_event *event)
{
    struct failing *failing = arg;
    hl_event_plan(event, "send", "{\"to\":\"LOST\"}");
    if (atomic_fetch_add(&failing->calls, 1) < failing->times) {
        return hl_fail(HILUM_EINVAL, "not yet");
    }
    return HILUM_PASS;
}

/* Two studies meet: neither could pass if they ran one after the other. */
static int32_t meet(void *arg, hilum_event *event)
{
    (void)event;
    int rc = pthread_barrier_wait(arg);
    return rc == 0 || rc == PTHREAD_BARRIER_SERIAL_THREAD ? HILUM_PASS : HILUM_EINTERNAL;
}

/* ---- tests ------------------------------------------------------------------------------------------ */

static void study__entries_run_in_order_and_plans_too(void **unused)
{
    (void)unused;
    struct order order = {.lock = PTHREAD_MUTEX_INITIALIZER};
    const struct hl_hook_source hooks[] = {hook("a/order", check_order, &order, NULL),
                                           hook("a/plan", plan_one, NULL, NULL)};
    struct bench bench;
    bench_open(&bench, hooks, 2);
    bench_start(&bench, 4);
    for (unsigned n = 0; n < 500; n++) {
        for (unsigned study = 0; study < 8; study++) {
            journal(&bench, "instance.stored", study, n);
        }
        if (n % 50 == 0) {
            fake_wake_journal(bench.record);
        }
    }
    fake_wake_journal(bench.record);
    fake_wait(bench.record, &bench.record->n_over, 4000);
    assert_int_equal(order.wrong, 0);
    assert_int_equal(order.seen, 4000);
    assert_int_equal(bench.record->n_steps, 4000);
    int last[8] = {0};
    for (size_t i = 0; i < bench.record->n_steps; i++) {
        unsigned study, n;
        assert_int_equal(sscanf(bench.record->steps[i].arguments, "{\"to\":\"%u.%u\"}", &study, &n),
                         2);
        assert_int_equal(last[study], n);
        last[study]++;
    }
    bench_close(&bench);
}

static void studies__run_side_by_side(void **unused)
{
    (void)unused;
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, 2);
    const struct hl_hook_source hooks[] = {hook("a/meet", meet, &barrier, NULL)};
    struct bench bench;
    bench_open(&bench, hooks, 1);
    journal(&bench, "instance.stored", 1, 0);
    journal(&bench, "instance.stored", 2, 0);
    bench_start(&bench, 2);
    fake_wait(bench.record, &bench.record->n_over, 2);
    bench_close(&bench);
    pthread_barrier_destroy(&barrier);
}

static void hook__that_fails_is_retried_alone_and_others_keep_their_plans(void **unused)
{
    (void)unused;
    struct failing failing = {.times = 2};
    const struct hl_hook_source hooks[] = {hook("a/bad", fail_sometimes, &failing, NULL),
                                           hook("a/good", plan_one, NULL, NULL)};
    struct bench bench;
    bench_open(&bench, hooks, 2);
    journal(&bench, "instance.stored", 1, 0);
    bench_start(&bench, 2);
    fake_wait(bench.record, &bench.record->n_over, 1);
    assert_int_equal(failing.calls, 3);
    assert_int_equal(bench.record->n_traces, 4); /* good once, bad three times */
    assert_int_equal(bench.record->n_steps, 2);
    assert_string_equal(bench.record->steps[0].rule, "a/good");
    assert_string_equal(bench.record->steps[1].rule, "a/bad");
    bench_close(&bench);
}

static void hook__that_fails_for_good_is_an_event_after_three_retries(void **unused)
{
    (void)unused;
    struct failing failing = {.times = 1000};
    const struct hl_hook_source hooks[] = {hook("a/bad", fail_sometimes, &failing, NULL)};
    struct bench bench;
    bench_open(&bench, hooks, 1);
    journal(&bench, "instance.stored", 1, 0);
    bench_start(&bench, 1);
    fake_wait(bench.record, &bench.record->n_entries, 2);
    fake_wake_journal(bench.record);
    fake_wait(bench.record, &bench.record->n_over, 2);
    assert_int_equal(failing.calls, 4);
    assert_int_equal(bench.record->n_steps, 0);
    assert_string_equal(bench.record->entries[1].journal.event, "rule.failed");
    assert_string_equal(bench.record->entries[0].failed, "a/bad");
    bench_close(&bench);
}

static int32_t plan_twice(void *arg, hilum_event *event)
{
    plan_one(arg, event);
    return plan_one(arg, event);
}

static void plan__the_record_refuses_fails_its_entry_and_no_other(void **unused)
{
    (void)unused;
    const struct hl_hook_source hooks[] = {hook("a/one", plan_one, NULL, "n=0"),
                                           hook("a/two", plan_twice, NULL, "n=1")};
    struct bench bench;
    bench_open(&bench, hooks, 2);
    for (unsigned n = 0; n < 8; n++) {
        journal(&bench, "instance.stored", n, n == 3 ? 1 : 0);
    }
    bench.record->refuse = 2;
    bench_start(&bench, 1);
    fake_wait(bench.record, &bench.record->n_over, 8);
    bench_stop(&bench);
    assert_int_equal(bench.record->n_steps, 7);
    assert_string_equal(bench.record->entries[3].failed, "a/two");
    bench_close(&bench);
}

static void end__that_is_not_written_runs_again_and_plans_once(void **unused)
{
    (void)unused;
    struct failing counting = {.times = 0};
    const struct hl_hook_source hooks[] = {hook("a/count", fail_sometimes, &counting, NULL)};
    struct bench bench;
    bench_open(&bench, hooks, 1);
    journal(&bench, "instance.stored", 1, 0);
    bench.record->fail_ends = 1;
    bench_start(&bench, 1);
    fake_wait(bench.record, &bench.record->n_over, 1);
    assert_int_equal(counting.calls, 2);
    assert_int_equal(bench.record->n_steps, 1);
    bench_close(&bench);
}

/* A crash after the hooks ran and before their end was written: the next process runs them again, and the
 * plan's uniqueness keeps one row. */
static void crash__between_plan_and_end_sends_nothing_twice(void **unused)
{
    (void)unused;
    const struct hl_hook_source hooks[] = {hook("a/plan", plan_one, NULL, NULL)};
    struct bench bench;
    bench_open(&bench, hooks, 1);
    for (unsigned n = 0; n < 20; n++) {
        journal(&bench, "instance.stored", 1, n);
    }
    bench_start(&bench, 2);
    fake_wait(bench.record, &bench.record->n_over, 20);
    bench_stop(&bench);
    for (size_t i = 0; i < 20; i++) { /* plans are there, ends are lost */
        bench.record->entries[i].is_over = false;
    }
    bench.record->n_over = 0;
    bench_start(&bench, 2);
    fake_wait(bench.record, &bench.record->n_over, 20);
    assert_int_equal(bench.record->n_steps, 20);
    bench_close(&bench);
}

static void entries__nobody_wants_are_closed_in_batches(void **unused)
{
    (void)unused;
    struct bench bench;
    bench_open(&bench, NULL, 0);
    for (unsigned n = 0; n < 50000; n++) {
        journal(&bench, "instance.stored", n % 100, n);
    }
    int64_t start = hl_mono_ms();
    bench_start(&bench, 2);
    fake_wait(bench.record, &bench.record->n_over, 50000);
    print_message("%lld entries/s without a hook\n", 50000000LL / (hl_mono_ms() - start + 1));
    assert_true(bench.record->n_transactions <= 50000 / 256 + 2);
    bench_close(&bench);
}

static void entries__with_plans_are_ended_many_to_a_transaction(void **unused)
{
    (void)unused;
    const struct hl_hook_source hooks[] = {hook("a/plan", plan_one, NULL, "Modality=CT")};
    struct bench bench;
    bench_open(&bench, hooks, 1);
    for (unsigned n = 0; n < 10000; n++) {
        journal(&bench, "instance.stored", n % 50, n);
    }
    int64_t start = hl_mono_ms();
    bench_start(&bench, 2);
    fake_wait(bench.record, &bench.record->n_over, 10000);
    print_message("%lld entries/s with a plan\n", 10000000LL / (hl_mono_ms() - start + 1));
    assert_int_equal(bench.record->n_steps, 10000);
    assert_true(bench.record->n_transactions < 2500);
    bench_close(&bench);
}

static bool resolve_size(void *arg, const struct hl_journal_entry *entry, const char *keyword,
                         struct hl_buf *out)
{
    (void)arg;
    if (strcmp(keyword, "BodyPartExamined") != 0) {
        return false;
    }
    hl_buf_text(out, entry->study_uid[4] == '1' ? "CHEST" : "HEAD");
    return true;
}

static void where__reads_attributes_through_the_resolver(void **unused)
{
    (void)unused;
    const struct hl_hook_source hooks[] = {
        hook("a/chest", plan_one, NULL, "BodyPartExamined=CHEST")};
    const struct hl_jobs_env env = {.resolve = resolve_size};
    const struct hl_jobs_options options = {.notify_threads = 1};
    struct bench bench;
    bench_open(&bench, hooks, 1);
    journal(&bench, "instance.stored", 1, 0);
    journal(&bench, "instance.stored", 2, 0);
    assert_int_equal(hl_jobs_new(bench.record, bench.bus, &options, &env, &bench.jobs), HILUM_OK);
    assert_int_equal(hl_jobs_start(bench.jobs), HILUM_OK);
    fake_wait(bench.record, &bench.record->n_over, 2);
    assert_int_equal(bench.record->n_steps, 1);
    assert_int_equal(bench.record->steps[0].entry, 1);
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(study__entries_run_in_order_and_plans_too),
        cmocka_unit_test(studies__run_side_by_side),
        cmocka_unit_test(hook__that_fails_is_retried_alone_and_others_keep_their_plans),
        cmocka_unit_test(hook__that_fails_for_good_is_an_event_after_three_retries),
        cmocka_unit_test(plan__the_record_refuses_fails_its_entry_and_no_other),
        cmocka_unit_test(end__that_is_not_written_runs_again_and_plans_once),
        cmocka_unit_test(crash__between_plan_and_end_sends_nothing_twice),
        cmocka_unit_test(entries__nobody_wants_are_closed_in_batches),
        cmocka_unit_test(entries__with_plans_are_ended_many_to_a_transaction),
        cmocka_unit_test(where__reads_attributes_through_the_resolver),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
