/* Runner and outbox over the real record: from an instance stored to a job done, and over a crash.
 * SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/bus/bus.h"
#include "core/config/config.h"
#include "core/job/job.h"
#include "tests/unit/record/fixture.h"

static int32_t plan_two(void *arg, hilum_event *event)
{
    (void)arg;
    hl_event_plan(event, "tag", "{\"label\":\"seen\"}");
    return hl_event_plan(event, "send", "{\"to\":\"ARCHIVE\",\"priority\":1}");
}

struct sender {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned sent, refuse;
    int die_after; /* this process, without a word; -1: never */
};

static void sender_run(void *arg, const char *lane, struct hl_job_attempt *attempts, size_t n)
{
    struct sender *sender = arg;
    (void)lane;
    pthread_mutex_lock(&sender->lock);
    for (size_t i = 0; i < n; i++) {
        if (sender->die_after >= 0 && (int)sender->sent >= sender->die_after) {
            kill(getpid(), SIGKILL);
        }
        if (sender->refuse > 0) {
            sender->refuse--;
            attempts[i].rc = HILUM_EIO;
            continue;
        }
        attempts[i].rc = HILUM_OK;
        snprintf(attempts[i].result, sizeof attempts[i].result, "accepted");
        sender->sent++;
    }
    pthread_cond_broadcast(&sender->changed);
    pthread_mutex_unlock(&sender->lock);
}

static void sender_init(struct sender *sender)
{
    *sender = (struct sender){
        .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .die_after = -1};
}

static void sender_wait(struct sender *sender, unsigned n)
{
    struct timespec until;
    int rc = 0;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 30;
    pthread_mutex_lock(&sender->lock);
    while (sender->sent < n && rc == 0) {
        rc = pthread_cond_timedwait(&sender->changed, &sender->lock, &until);
    }
    unsigned sent = sender->sent;
    pthread_mutex_unlock(&sender->lock);
    assert_true(sent >= n);
}

struct runner {
    struct hl_bus *bus;
    struct hl_jobs *jobs;
    struct hl_faults faults;
};

static void runner_start(struct runner *runner, struct hl_record *record, struct sender *sender)
{
    const struct hl_jobs_options options = {
        .retry_first_ms = 1, .retry_max_ms = 10, .notify_threads = 2, .notify_retry_ms = 5};
    const struct hl_hook_source hook = {.hook = {.size = sizeof(struct hilum_hook),
                                                 .phase = HILUM_NOTIFY,
                                                 .event = "instance.stored",
                                                 .name = "site/plan",
                                                 .run = plan_two,
                                                 .threads = HILUM_PARALLEL}};
    const struct hl_job_type type = {"send", 8, 2, sender_run, sender};
    hl_log_set_output(-1, true);
    *runner = (struct runner){0};
    assert_int_equal(hl_bus_new(&runner->bus), HILUM_OK);
    assert_int_equal(
        hl_bus_replace(runner->bus, "rules", &hook, 1, NULL, NULL, false, &runner->faults),
        HILUM_OK);
    assert_int_equal(hl_jobs_new(record, runner->bus, &options, NULL, &runner->jobs), HILUM_OK);
    assert_int_equal(hl_jobs_register(runner->jobs, &type), HILUM_OK);
    assert_int_equal(hl_jobs_start(runner->jobs), HILUM_OK);
}

static void runner_stop(struct runner *runner)
{
    hl_jobs_stop(runner->jobs, 10000);
    hl_jobs_free(runner->jobs);
    hl_bus_free(runner->bus);
    hl_faults_fini(&runner->faults);
}

static void instance__stored_is_tagged_and_sent(void **state)
{
    struct fixture *f = *state;
    struct sender sender;
    struct runner runner;
    sender_init(&sender);
    sender.refuse = 3;
    runner_start(&runner, f->record, &sender);
    for (unsigned i = 1; i <= 50; i++) {
        assert_int_equal(sample_store(f, sample_new(i, NULL)), HL_OUTCOME_STORED);
    }
    sender_wait(&sender, 50);
    runner_stop(&runner);
    assert_int_equal(sender.sent, 50);
    assert_int_equal(sql_int(f, "SELECT count(*) FROM job WHERE state = 2"), 50);
    assert_true(sql_int(f, "SELECT count(*) FROM label WHERE label = 'seen'") >= 1);
    assert_int_equal(
        sql_int(f, "SELECT count(*) FROM journal WHERE state = 0 AND event = 'instance.stored'"),
        0);
}

/* A rule on study.complete sends the study, not a row without an object; twice run, once sent. */
static void study__is_sent_object_by_object(void **state)
{
    struct fixture *f = *state;
    const struct hl_plan_step steps[] = {
        {"site/study", 0, "send", "{\"to\":\"ARCHIVE\"}"},
        {"site/study", 1, "send", "{\"to\":\"SECOND\",\"delay_ms\":60000}"}};
    const struct hl_hook_result result = {.hook = "site/study", .plan = steps, .n_plan = 2};
    int64_t id;
    for (unsigned i = 1; i <= 5; i++) {
        sample_store(f, sample_new(i, "0020000D", "1.2.3.4", NULL));
    }
    assert_int_equal(hl_record_journal_append(f->record, "study.complete", "1.2.3.4", "{}", &id),
                     HILUM_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(hl_record_journal_done(f->record, id, &result, 1, 0), HILUM_OK);
    }
    assert_int_equal(sql_int(f, "SELECT count(DISTINCT instance) FROM job WHERE lane = 'ARCHIVE'"),
                     5);
    assert_int_equal(sql_int(f, "SELECT count(*) FROM job"), 10);
    assert_int_equal(
        sql_int(f, "SELECT count(*) FROM job WHERE lane = 'SECOND' AND due_us > created_us"), 5);
    assert_int_equal(hl_record_journal_append(f->record, "disk.low", "", "{}", &id), HILUM_OK);
    assert_int_equal(hl_record_journal_done(f->record, id, &result, 1, 0), HILUM_EINVAL);
}

/* Killed in the middle of sending, several times: what was stored is sent, and no row is there twice. */
static void crash__loses_no_job(void **state)
{
    struct fixture *f = *state;
    struct sender sender;
    struct runner runner;
    sender_init(&sender);
    for (unsigned i = 1; i <= 60; i++) {
        sample_store(f, sample_new(i, NULL));
    }
    hl_record_close(f->record);
    f->record = NULL;
    for (int round = 0; round < 3; round++) {
        int status;
        pid_t pid = fork();
        if (pid == 0) {
            sender.die_after = 5 + round * 7;
            if (fixture_open(f) == HILUM_OK) {
                runner_start(&runner, f->record, &sender);
                sender_wait(&sender, 1000);
            }
            _exit(1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
    }
    assert_int_equal(fixture_open(f), HILUM_OK);
    unsigned open = (unsigned)(60 - sql_int(f, "SELECT count(*) FROM job WHERE state = 2"));
    assert_true(open > 0);
    runner_start(&runner, f->record, &sender);
    sender_wait(&sender, open);
    runner_stop(&runner);
    assert_int_equal(sql_int(f, "SELECT count(*) FROM job"), 60);
    assert_int_equal(sql_int(f, "SELECT count(*) FROM job WHERE state = 2"), 60);
}

static void rate(struct fixture *f, bool with_plan, unsigned n)
{
    struct sender sender;
    struct runner runner;
    int64_t id;
    sender_init(&sender);
    for (unsigned i = 1; i <= (with_plan ? 50 : 1); i++) {
        sample_store(f, sample_new(i, NULL));
    }
    for (unsigned i = 0; i < n; i++) {
        char study[32];
        snprintf(study, sizeof study, "1.2.3.%u", i % 20);
        assert_int_equal(hl_record_journal_append(f->record,
                                                  with_plan ? "instance.stored" : "instance.edited",
                                                  study, "{\"Modality\":\"CT\"}", &id),
                         HILUM_OK);
    }
    int64_t start = hl_mono_ms();
    runner_start(&runner, f->record, &sender);
    while (sql_int(f, "SELECT count(*) FROM journal WHERE state = 0 AND event LIKE 'instance.%'") >
               0 &&
           hl_mono_ms() - start < 30000) {
        usleep(1000);
    }
    int64_t ms = hl_mono_ms() - start;
    runner_stop(&runner);
    print_message("%s plan: %u entries in %lld ms\n", with_plan ? "with" : "without", n,
                  (long long)ms);
    assert_true(ms < 30000);
}

static void entries__come_to_an_end_at_a_rate_that_is_printed(void **state)
{
    rate(*state, false, 2000);
    rate(*state, true, 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(instance__stored_is_tagged_and_sent, fixture_set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(study__is_sent_object_by_object, fixture_set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(crash__loses_no_job, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(entries__come_to_an_end_at_a_rate_that_is_printed,
                                        fixture_set_up, fixture_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
