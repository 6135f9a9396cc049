/* Rows that are owed: written soon by themselves, before anybody looks, and whatever becomes of one of them.
 * SPDX-License-Identifier: Apache-2.0 */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "tests/unit/record/fixture.h"

/* One owed row; how often and with what it was told. */
struct debt {
    struct hl_owed owed; /* first */
    struct sample *sample;
    atomic_int n_told;
    hilum_rc rc;
    uint64_t ticket;
};

static void recorded(struct hl_owed *owed, hilum_rc rc, uint64_t ticket)
{
    struct debt *debt = (struct debt *)owed;
    debt->rc = rc;
    debt->ticket = ticket;
    atomic_fetch_add(&debt->n_told, 1);
}

static void debt_make(struct debt *debt, struct sample *sample)
{
    *debt = (struct debt){.sample = sample};
    debt->owed = (struct hl_owed){.row = &sample->row, .recorded = recorded};
}

static bool is_current(struct fixture *f, const char *uid)
{
    bool is_current = false;
    assert_int_equal(hl_record_is_current(f->record, uid, &is_current), HILUM_OK);
    return is_current;
}

static void owed_row__is_found_by_whoever_looks(void **state)
{
    struct fixture *f = *state;
    struct debt debts[3];
    struct hl_stored stored;
    for (unsigned i = 0; i < 3; i++) {
        debt_make(&debts[i], sample_new(i + 1, "00100020", "P1", "0020000D", "1.2", NULL));
        hl_record_owe(f->record, &debts[i].owed);
    }
    assert_int_equal(hl_record_stored(f->record, "1.2.826.4.3", &stored), HILUM_OK);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(atomic_load(&debts[i].n_told), 1);
        assert_int_equal(debts[i].rc, HILUM_OK);
        assert_int_equal(debts[i].sample->row.outcome, HL_OUTCOME_STORED);
        sample_free(debts[i].sample);
    }
    assert_string_equal(find_text(f, 2, HL_STUDY_INSTANCE_UID, NULL), "1.2");
    assert_int_equal(sql_int(f, "SELECT n_instances FROM study"), 3);
    assert_int_equal(sql_int(f, "SELECT instances FROM totals"), 3);
}

/* What writes finds it too: this one comes for a UID that is owed. */
static void owed_row__counts_for_what_comes_after_it(void **state)
{
    struct fixture *f = *state;
    struct debt debt;
    debt_make(&debt, sample_new(1, "00100020", "P1", NULL));
    hl_record_owe(f->record, &debt.owed);
    assert_int_equal(sample_store(f, sample_new(1, "00100020", "P1", NULL)), HL_OUTCOME_EXISTS);
    assert_int_equal(atomic_load(&debt.n_told), 1);
    assert_int_equal(debt.sample->row.outcome, HL_OUTCOME_STORED);
    sample_free(debt.sample);
}

/* hl_record_is_current has nothing written: here nobody asks. */
static void owed_row__is_written_though_nobody_asks(void **state)
{
    struct fixture *f = *state;
    struct debt debt;
    int64_t until = hl_mono_ms() + 10000;
    debt_make(&debt, sample_new(1, "00100020", "P1", NULL));
    hl_record_owe(f->record, &debt.owed);
    while (!is_current(f, "1.2.826.4.1") && hl_mono_ms() < until)
        poll(NULL, 0, 1);
    assert_true(is_current(f, "1.2.826.4.1"));
    hl_record_settle(f->record);
    assert_int_equal(atomic_load(&debt.n_told), 1);
    sample_free(debt.sample);
}

static void row_that_cannot_be_written__costs_the_others_nothing(void **state)
{
    struct fixture *f = *state;
    struct debt debts[3];
    debt_make(&debts[0], sample_new(1, "00100020", "P1", NULL));
    debt_make(&debts[1], sample_new(2, "0020000D", "", "00100020", "P1", NULL));
    debt_make(&debts[2], sample_new(3, "00100020", "P1", NULL));
    for (unsigned i = 0; i < 3; i++)
        hl_record_owe(f->record, &debts[i].owed);
    hl_record_settle(f->record);
    assert_int_equal(debts[0].rc, HILUM_OK);
    assert_int_equal(debts[1].rc, HILUM_EINVAL);
    assert_int_equal(debts[2].rc, HILUM_OK);
    assert_int_equal(sql_int(f, "SELECT count(*) FROM instance"), 2);
    for (unsigned i = 0; i < 3; i++)
        sample_free(debts[i].sample);
}

static void uid_that_was_taken_meanwhile__is_told(void **state)
{
    struct fixture *f = *state;
    struct debt debts[2];
    for (unsigned i = 0; i < 2; i++) {
        debt_make(&debts[i], sample_new(1, "00100020", "P1", NULL));
        hl_record_owe(f->record, &debts[i].owed);
    }
    hl_record_settle(f->record);
    assert_int_equal(debts[0].sample->row.outcome, HL_OUTCOME_STORED);
    assert_int_equal(debts[1].rc, HILUM_OK);
    assert_int_equal(debts[1].sample->row.outcome, HL_OUTCOME_EXISTS);
    for (unsigned i = 0; i < 2; i++)
        sample_free(debts[i].sample);
}

static void tickets__are_flushed_like_any(void **state)
{
    struct fixture *f = *state;
    struct debt debt;
    debt_make(&debt, sample_new(1, "00100020", "P1", NULL));
    hl_record_owe(f->record, &debt.owed);
    hl_record_settle(f->record);
    assert_int_equal(debt.rc, HILUM_OK);
    assert_true(debt.ticket > 0); /* recorded, and not flushed */
    sample_free(debt.sample);
}

static void closing__writes_what_is_owed(void **state)
{
    struct fixture *f = *state;
    struct debt debts[40];
    for (unsigned i = 0; i < 40; i++) {
        debt_make(&debts[i], sample_new(i + 1, "00100020", "P1", NULL));
        hl_record_owe(f->record, &debts[i].owed);
    }
    hl_record_close(f->record);
    for (unsigned i = 0; i < 40; i++) {
        assert_int_equal(atomic_load(&debts[i].n_told), 1);
        assert_int_equal(debts[i].rc, HILUM_OK);
        sample_free(debts[i].sample);
    }
    f->record = NULL;
    assert_int_equal(fixture_open(f), HILUM_OK);
    assert_int_equal(sql_int(f, "SELECT count(*) FROM instance"), 40);
}

/* In a child: the catalogue's write lock, until a byte comes. */
static pid_t lock_elsewhere(const char *dir, const int ready[2], const int release[2])
{
    pid_t child = fork();
    if (child != 0)
        return child;
    void *session = NULL;
    struct fixture *other = fixture_new(dir, NULL);
    char byte = 'y';
    other->db->open(other->instance, HILUM_DB_WRITE, NULL, &session);
    bool is_good = other->db->begin(session) == HILUM_OK && write(ready[1], &byte, 1) == 1 &&
                   read(release[0], &byte, 1) == 1;
    _exit(is_good ? 0 : 1);
}

static void row_that_waits__ends_promises_until_it_is_written(void **state)
{
    struct fixture *f = *state;
    struct debt debt;
    int ready[2], release[2], status = 1;
    char byte = 0;
    assert_int_equal(pipe(ready) | pipe(release), 0);
    assert_true(hl_record_may_owe(f->record));
    pid_t child = lock_elsewhere(f->dir, ready, release);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    debt_make(&debt, sample_new(1, "00100020", "P1", NULL));
    hl_record_owe(f->record, &debt.owed);
    int64_t until = hl_mono_ms() + 10000;
    while (hl_record_may_owe(f->record) && hl_mono_ms() < until)
        poll(NULL, 0, 5);
    bool may_owe = hl_record_may_owe(f->record);
    int n_told = atomic_load(&debt.n_told);
    assert_int_equal(write(release[1], &byte, 1), 1); /* before anything can end the test */
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_false(may_owe);
    assert_int_equal(n_told, 0);
    hl_record_settle(f->record);
    assert_int_equal(debt.rc, HILUM_OK);
    assert_true(hl_record_may_owe(f->record));
    sample_free(debt.sample);
    for (unsigned i = 0; i < 2; i++) {
        close(ready[i]);
        close(release[i]);
    }
}

struct one_more {
    struct fixture *f;
    struct debt debt;
    atomic_bool is_owed;
};

static void *one_more_main(void *arg)
{
    struct one_more *more = arg;
    hl_record_owe(more->f->record, &more->debt.owed);
    atomic_store(&more->is_owed, true);
    return NULL;
}

/* Those that are being written are owed still. */
static void no_more_than_64__are_owed(void **state)
{
    struct fixture *f = *state;
    struct debt debts[64];
    struct one_more more = {.f = f};
    int ready[2], release[2];
    char byte = 0;
    pthread_t thread;
    assert_int_equal(pipe(ready) | pipe(release), 0);
    pid_t child = lock_elsewhere(f->dir, ready, release);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    for (unsigned i = 0; i < 64; i++) {
        debt_make(&debts[i], sample_new(i + 1, "00100020", "P1", NULL));
        hl_record_owe(f->record, &debts[i].owed);
    }
    debt_make(&more.debt, sample_new(65, "00100020", "P1", NULL));
    assert_int_equal(pthread_create(&thread, NULL, one_more_main, &more), 0);
    poll(NULL, 0, 200); /* for what must not happen there is nothing to wait for */
    bool is_early = atomic_load(&more.is_owed);
    assert_int_equal(write(release[1], &byte, 1), 1); /* before anything can end the test */
    assert_int_equal(waitpid(child, NULL, 0), child);
    pthread_join(thread, NULL);
    assert_false(is_early);
    hl_record_settle(f->record);
    assert_int_equal(more.debt.rc, HILUM_OK);
    sample_free(more.debt.sample);
    for (unsigned i = 0; i < 64; i++) {
        assert_int_equal(debts[i].rc, HILUM_OK);
        sample_free(debts[i].sample);
    }
    for (unsigned i = 0; i < 2; i++) {
        close(ready[i]);
        close(release[i]);
    }
}

/* ---- several at once ---- */

enum { SENDERS = 4, OBJECTS = 250 };

struct sender {
    struct fixture *f;
    unsigned first, n_missed;
    pthread_t thread;
    struct debt debts[OBJECTS];
};

/* More than may be owed, so they wait; each seventh row is looked for as soon as it is owed. */
static void *sender_main(void *arg)
{
    struct sender *sender = arg;
    struct hl_stored stored;
    char uid[65];
    for (unsigned i = 0; i < OBJECTS; i++) {
        unsigned number = sender->first + i;
        debt_make(&sender->debts[i], sample_new(number, "00100020", "P1", NULL));
        hl_record_owe(sender->f->record, &sender->debts[i].owed);
        snprintf(uid, sizeof uid, "1.2.826.4.%u", number);
        if (number % 7 == 0 && hl_record_stored(sender->f->record, uid, &stored) != HILUM_OK)
            sender->n_missed++;
    }
    return NULL;
}

static void many_senders__are_each_found_and_told_once(void **state)
{
    struct fixture *f = *state;
    static struct sender senders[SENDERS];
    for (unsigned i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){.f = f, .first = 1 + i * OBJECTS};
        assert_int_equal(pthread_create(&senders[i].thread, NULL, sender_main, &senders[i]), 0);
    }
    for (unsigned i = 0; i < SENDERS; i++)
        pthread_join(senders[i].thread, NULL);
    hl_record_settle(f->record);
    for (unsigned i = 0; i < SENDERS; i++) {
        assert_int_equal(senders[i].n_missed, 0);
        for (unsigned k = 0; k < OBJECTS; k++) {
            assert_int_equal(atomic_load(&senders[i].debts[k].n_told), 1);
            assert_int_equal(senders[i].debts[k].rc, HILUM_OK);
            sample_free(senders[i].debts[k].sample);
        }
    }
    assert_int_equal(sql_int(f, "SELECT count(*) FROM instance"), SENDERS * OBJECTS);
    assert_int_equal(sql_int(f, "SELECT sum(n_instances) FROM study"), SENDERS * OBJECTS);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        T(owed_row__is_found_by_whoever_looks),
        T(owed_row__counts_for_what_comes_after_it),
        T(owed_row__is_written_though_nobody_asks),
        T(row_that_cannot_be_written__costs_the_others_nothing),
        T(uid_that_was_taken_meanwhile__is_told),
        T(tickets__are_flushed_like_any),
        T(closing__writes_what_is_owed),
        T(row_that_waits__ends_promises_until_it_is_written),
        T(no_more_than_64__are_owed),
        T(many_senders__are_each_found_and_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
