/* What happens when the medium does not: full, read-only, locked, gone. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "tests/unit/record/fixture.h"

static int store_one(struct fixture *f, unsigned number)
{
    return sample_store(f, sample_new(number, "00100020", "P1", "0020000D", "1.2", NULL));
}

static bool is_readable(struct fixture *f)
{
    return strcmp(find_text(f, 2, HL_STUDY_INSTANCE_UID, NULL), "1.2") == 0;
}

/* The probe runs every second: waits for what it sets, at most 15 s. */
static hilum_rc health_become(struct fixture *f, hilum_rc wanted)
{
    int64_t until = hl_mono_ms() + 15000;
    hilum_rc rc;
    while ((rc = hl_record_health(f->record)) != wanted && hl_mono_ms() < until)
        poll(NULL, 0, 20);
    return rc;
}

static void database_locked_by_another_process__is_eagain_and_recovers(void **state)
{
    struct fixture *f = *state;
    char path[192], byte = 0;
    int ready[2], release[2];
    assert_int_equal(store_one(f, 1), HL_OUTCOME_STORED);
    assert_int_equal(pipe(ready) | pipe(release), 0);
    snprintf(path, sizeof path, "%s", f->dir);
    pid_t child = fork();
    if (child == 0) {
        /* Opens the database as this test does, in a process of its own, and sits on the write lock. */
        struct fixture *other = fixture_new(path, NULL);
        void *session = NULL;
        other->db->open(other->instance, HILUM_DB_WRITE, NULL, &session);
        byte = other->db->begin(session) == HILUM_OK ? 'y' : 'n';
        ssize_t n = write(ready[1], &byte, 1);
        n += read(release[0], &byte, 1);
        _exit(n == 2 ? 0 : 1);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    assert_int_equal(store_one(f, 2), HILUM_EAGAIN);
    assert_int_equal(hl_record_health(f->record), HILUM_EAGAIN);
    assert_true(is_readable(f));
    int64_t start = hl_mono_ms();
    assert_int_equal(store_one(f, 2),
                     HILUM_EAGAIN); /* at once, but for a probe that is under way */
    assert_in_range(hl_mono_ms() - start, 0, 5000);
    assert_int_equal(write(release[1], &byte, 1), 1);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(health_become(f, HILUM_OK), HILUM_OK);
    assert_int_equal(store_one(f, 2), HL_OUTCOME_STORED);
    for (unsigned i = 0; i < 2; i++) {
        close(ready[i]);
        close(release[i]);
    }
}

static void file_moved_away__is_eio_and_back_again_is_well(void **state)
{
    struct fixture *f = *state;
    char path[192], away[200];
    snprintf(path, sizeof path, "%s/catalog.db", f->dir);
    snprintf(away, sizeof away, "%s.away", path);
    assert_int_equal(store_one(f, 1), HL_OUTCOME_STORED);
    assert_int_equal(rename(path, away), 0);
    assert_int_equal(store_one(f, 2), HILUM_EIO);
    assert_int_equal(rename(away, path), 0);
    assert_int_equal(health_become(f, HILUM_OK), HILUM_OK);
    assert_int_equal(store_one(f, 2), HL_OUTCOME_STORED);
    assert_int_equal(sql_int(f, "SELECT count(*) FROM instance"), 2);
}

/* ---- a file system of its own ----------------------------------------------------------------------------- */

static int tmpfs_set_up(void **state)
{
    char dir[] = "/tmp/hilum-record-XXXXXX";
    *state = NULL;
    assert_non_null(mkdtemp(dir));
    if (mount("tmpfs", dir, "tmpfs", 0, "size=6m,mode=0700") != 0) {
        print_message("no mount (%s): these cases need root\n", strerror(errno));
        rmdir(dir);
        return 0;
    }
    struct fixture *f = fixture_new(dir, NULL);
    assert_int_equal(fixture_open(f), HILUM_OK);
    *state = f;
    return 0;
}

static int tmpfs_tear_down(void **state)
{
    struct fixture *f = *state;
    char dir[128];
    if (!f)
        return 0;
    snprintf(dir, sizeof dir, "%s", f->dir);
    fixture_free(f);
    umount2(dir, MNT_DETACH);
    return rmdir(dir);
}

static void filler_write(const char *path)
{
    static const char block[65536];
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    while (fwrite(block, 1, sizeof block, file) == sizeof block && fflush(file) == 0)
        ;
    fclose(file);
}

static void full_medium__is_efull_reads_go_on_and_space_recovers(void **state)
{
    struct fixture *f = *state;
    char filler[192];
    unsigned n = 1;
    int rc = HL_OUTCOME_STORED;
    if (!f)
        skip();
    assert_int_equal(store_one(f, 0), HL_OUTCOME_STORED);
    snprintf(filler, sizeof filler, "%s/filler", f->dir);
    filler_write(filler);
    while (rc == HL_OUTCOME_STORED && n < 5000)
        rc = store_one(f, n++);
    assert_int_equal(rc, HILUM_EFULL);
    assert_int_equal(hl_record_health(f->record), HILUM_EFULL);
    assert_true(is_readable(f));
    assert_int_equal(unlink(filler), 0);
    assert_int_equal(health_become(f, HILUM_OK), HILUM_OK);
    assert_int_equal(store_one(f, n), HL_OUTCOME_STORED);
    /* Whatever was refused is not there; whatever was acknowledged is. */
    assert_int_equal(sql_int(f, "SELECT count(*) FROM instance"), n);
    assert_int_equal(sql_int(f, "SELECT n_instances FROM study"), n);
}

static void read_only_medium__is_told_at_open(void **state)
{
    struct fixture *f = *state;
    if (!f)
        skip();
    assert_int_equal(store_one(f, 1), HL_OUTCOME_STORED);
    hl_record_close(f->record);
    f->record = NULL;
    assert_int_equal(mount(NULL, f->dir, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
    hilum_rc rc = fixture_open(f);
    assert_true(rc == HILUM_EDENIED || rc == HILUM_EIO);
    assert_int_equal(mount(NULL, f->dir, NULL, MS_REMOUNT, NULL), 0);
    assert_int_equal(fixture_open(f), HILUM_OK);
    assert_int_equal(store_one(f, 2), HL_OUTCOME_STORED);
}

/* ---- a file that may not grow ------------------------------------------------------------------------------ */

static void file_size_limit__fails_and_recovers(void **state)
{
    struct fixture *f = *state;
    struct rlimit old, small;
    unsigned n = 0;
    int rc = HL_OUTCOME_STORED;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    small = (struct rlimit){.rlim_cur = 600 * 1024, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    while (rc == HL_OUTCOME_STORED && n < 5000)
        rc = store_one(f, n++);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_true(rc == HILUM_EIO || rc == HILUM_EFULL);
    assert_int_equal(health_become(f, HILUM_OK), HILUM_OK);
    assert_int_equal(store_one(f, n), HL_OUTCOME_STORED);
    assert_int_equal(sql_int(f, "SELECT count(*) FROM instance"), n);
}

/* ---- a flush that fails ------------------------------------------------------------------------------------ */

static atomic_bool is_flush_failing;

/* In the place of the C library's, for the database's too (the program exports its symbols). */
static int flush(long number, int fd)
{
    if (!atomic_load(&is_flush_failing))
        return (int)syscall(number, fd);
    errno = EIO;
    return -1;
}

__attribute__((visibility("default"))) int fdatasync(int fd);
int fdatasync(int fd)
{
    return flush(SYS_fdatasync, fd);
}

__attribute__((visibility("default"))) int fsync(int fd);
int fsync(int fd)
{
    return flush(SYS_fsync, fd);
}

/* Of what was committed before: the commit that asks for it has nothing of its own to be flushed. */
static void flush_of_earlier_commits_that_fails__is_eio_with_its_reason(void **state)
{
    struct fixture *f = *state;
    struct sample *sample = sample_new(1, "00100020", "P1", "0020000D", "1.2", NULL);
    struct hl_instance *row = &sample->row;
    uint64_t ticket = 0;
    assert_int_equal(hl_record_instances_logged(f->record, &row, 1, &ticket), HILUM_OK);
    assert_int_not_equal(ticket, 0);
    sample_free(sample);
    atomic_store(&is_flush_failing, true);
    hilum_rc rc = hl_record_flush(f->record);
    atomic_store(&is_flush_failing, false);
    assert_int_equal(rc, HILUM_EIO);
    assert_non_null(strstr(fake_host_reason(), strerror(EIO)));
    assert_int_equal(health_become(f, HILUM_OK), HILUM_OK);
    assert_int_equal(hl_record_flush(f->record), HILUM_OK);
    assert_true(is_readable(f));
}

static void no_database__is_ecorrupt(void **state)
{
    char dir[] = "/tmp/hilum-record-XXXXXX", path[64], command[64];
    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/catalog.db", dir);
    FILE *file = fopen(path, "w");
    for (unsigned i = 0; i < 1000; i++)
        fputs("this is no database ", file);
    fclose(file);
    struct fixture *f = fixture_new(dir, NULL);
    assert_int_equal(fixture_open(f), HILUM_ECORRUPT);
    fixture_free(f);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
}

/* ---- units that share a transaction -------------------------------------------------------------------------- */

struct mixed {
    struct fixture *f;
    unsigned number;
    unsigned good, bad;
};

static void *mix(void *arg)
{
    struct mixed *m = arg;
    for (unsigned i = 0; i < 40; i++) {
        m->good += store_one(m->f, m->number * 1000 + i) == HL_OUTCOME_STORED;
        m->bad += hl_record_job_cancel(m->f->record, 12345, "x") == HILUM_ENOTFOUND;
        find_text(m->f, 1, HL_PATIENT_ID, "00100020", "P1", NULL);
    }
    return NULL;
}

static void unit_that_fails__does_not_sink_the_others(void **state)
{
    enum { THREADS = 4 };
    struct fixture *f = *state;
    pthread_t threads[THREADS];
    struct mixed all[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        all[i] = (struct mixed){.f = f, .number = i + 1};
        pthread_create(&threads[i], NULL, mix, &all[i]);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(all[i].good, 40);
        assert_int_equal(all[i].bad, 40);
    }
    assert_int_equal(hl_record_health(f->record), HILUM_OK);
    assert_int_equal(sql_int(f, "SELECT n_instances FROM study"), THREADS * 40);
}

/* ---- kill -9 -------------------------------------------------------------------------------------------------- */

static void killed_writer__leaves_what_it_acknowledged(void **state)
{
    struct fixture *f = *state;
    char dir[128];
    int acknowledged[2];
    unsigned number, last = 0;
    snprintf(dir, sizeof dir, "%s", f->dir);
    hl_record_close(f->record);
    f->record = NULL;
    assert_int_equal(pipe(acknowledged), 0);
    pid_t child = fork();
    if (child == 0) {
        struct fixture *other = fixture_new(dir, NULL);
        if (fixture_open(other) != HILUM_OK)
            _exit(1);
        for (number = 1;; number++)
            if (store_one(other, number) != HL_OUTCOME_STORED ||
                write(acknowledged[1], &number, sizeof number) < 0)
                _exit(1);
    }
    close(acknowledged[1]);
    while (last < 50 && read(acknowledged[0], &last, sizeof last) > 0)
        ;
    kill(child, SIGKILL);
    while (read(acknowledged[0], &number, sizeof number) == (ssize_t)sizeof number)
        last = number;
    waitpid(child, NULL, 0);
    close(acknowledged[0]);
    assert_true(last >= 50);
    assert_int_equal(fixture_open(f), HILUM_OK);
    int64_t rows = sql_int(f, "SELECT count(*) FROM instance");
    assert_in_range(rows, last, last + 1);
    assert_int_equal(sql_int(f, "SELECT n_instances FROM study"), rows);
    assert_int_equal(sql_int(f, "SELECT count(*) FROM journal WHERE event = 'instance.stored'"),
                     rows);
}

int main(void)
{
#define RECORD(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
#define TMPFS(name)  cmocka_unit_test_setup_teardown(name, tmpfs_set_up, tmpfs_tear_down)
    const struct CMUnitTest tests[] = {
        RECORD(killed_writer__leaves_what_it_acknowledged),
        RECORD(database_locked_by_another_process__is_eagain_and_recovers),
        RECORD(file_moved_away__is_eio_and_back_again_is_well),
        RECORD(file_size_limit__fails_and_recovers),
        RECORD(flush_of_earlier_commits_that_fails__is_eio_with_its_reason),
        RECORD(unit_that_fails__does_not_sink_the_others),
        TMPFS(full_medium__is_efull_reads_go_on_and_space_recovers),
        TMPFS(read_only_medium__is_told_at_open),
        cmocka_unit_test(no_database__is_ecorrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
