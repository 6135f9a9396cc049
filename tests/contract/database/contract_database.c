/* Contract suite of capability `database` (sdk/include/hilum/database.h), run against the provider
 * whose .so is the argument. Knows nothing of how it stores. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hilum/database.h"
#include "tests/fake_host.h"

static const char *so_path;

struct fixture {
    char dir[64];
    hilum_self *host;
    const struct hilum_database *db;
    void *instance, *writer, *reader;
};

static int set_up_with(void **state, const struct fake_option *options)
{
    struct fixture *f = calloc(1, sizeof *f);
    snprintf(f->dir, sizeof f->dir, "/tmp/hilum-db-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->host = fake_host_open(so_path, f->dir, options);
    assert_non_null(f->host);
    f->db = fake_host_cap(f->host, HILUM_CAP_DATABASE, &f->instance);
    assert_int_equal(f->db->open(f->instance, HILUM_DB_WRITE, NULL, &f->writer), HILUM_OK);
    assert_int_equal(f->db->exec(f->writer, "CREATE TABLE t (id BIGINT PRIMARY KEY, a TEXT UNIQUE, "
                                            "b BLOB, r DOUBLE PRECISION);"),
                     HILUM_OK);
    assert_int_equal(f->db->open(f->instance, HILUM_DB_READ, NULL, &f->reader), HILUM_OK);
    *state = f;
    return 0;
}

static int set_up(void **state)
{
    return set_up_with(state, NULL);
}

/* A provider that has no such options takes them for nothing. */
static int set_up_small(void **state)
{
    static const struct fake_option options[] = {{"cache_size", "1MiB"}, {NULL, NULL}};
    return set_up_with(state, options);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char command[128];
    f->db->close(f->reader);
    f->db->close(f->writer);
    fake_host_close(f->host);
    snprintf(command, sizeof command, "rm -rf %s", f->dir);
    int rc = system(command);
    free(f);
    return rc;
}

static struct hilum_value text_value(const char *text)
{
    return (struct hilum_value){.type = HILUM_DB_TEXT, .bytes = text, .n = strlen(text)};
}

static hilum_rc insert(struct fixture *f, int64_t id, const char *a)
{
    void *statement;
    struct hilum_value values[] = {{.type = HILUM_DB_INT, .integer = id}, text_value(a)};
    hilum_rc rc = f->db->prepare(f->writer, "INSERT INTO t (id, a) VALUES (?1, ?2)", &statement);
    assert_int_equal(rc, HILUM_OK);
    rc = f->db->bind(statement, values, 2);
    if (rc == HILUM_OK)
        rc = f->db->step(statement);
    f->db->finish(statement);
    return rc;
}

static int64_t count(struct fixture *f, void *session)
{
    void *statement;
    struct hilum_value n;
    assert_int_equal(f->db->prepare(session, "SELECT count(*) FROM t", &statement), HILUM_OK);
    assert_int_equal(f->db->bind(statement, NULL, 0), HILUM_OK);
    assert_int_equal(f->db->step(statement), 1);
    assert_int_equal(f->db->column(statement, 0, &n), HILUM_OK);
    f->db->finish(statement);
    return n.integer;
}

static void values__come_back_as_bound(void **state)
{
    struct fixture *f = *state;
    void *in, *out;
    struct hilum_value got, values[] = {{.type = HILUM_DB_INT, .integer = INT64_MIN},
                                        text_value("\xE7\x8E\x8B'; DROP TABLE t; --"),
                                        {.type = HILUM_DB_BLOB, .bytes = "\0\1\2", .n = 3},
                                        {.type = HILUM_DB_REAL, .real = 0.5}};
    assert_int_equal(f->db->prepare(f->writer, "INSERT INTO t VALUES (?1,?2,?3,?4)", &in), 0);
    assert_int_equal(f->db->bind(in, values, 4), HILUM_OK);
    assert_int_equal(f->db->step(in), HILUM_OK);
    assert_int_equal(f->db->changes(f->writer), 1);
    f->db->finish(in);
    assert_int_equal(f->db->prepare(f->reader, "SELECT id,a,b,r,NULL FROM t", &out), HILUM_OK);
    assert_int_equal(f->db->bind(out, NULL, 0), HILUM_OK);
    assert_int_equal(f->db->step(out), 1);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(f->db->column(out, i, &got), HILUM_OK);
        assert_int_equal(got.type, values[i].type);
        assert_int_equal(got.n, values[i].n);
        if (got.n)
            assert_memory_equal(got.bytes, values[i].bytes, got.n);
    }
    assert_int_equal(f->db->column(out, 4, &got), HILUM_OK);
    assert_int_equal(got.type, HILUM_DB_NULL);
    assert_int_equal(f->db->column(out, 5, &got), HILUM_EINVAL);
    assert_int_equal(f->db->step(out), 0);
    f->db->finish(out);
}

static void bind__rewinds_and_wants_every_parameter(void **state)
{
    struct fixture *f = *state;
    void *statement;
    struct hilum_value id = {.type = HILUM_DB_INT, .integer = 1};
    assert_int_equal(f->db->prepare(f->writer, "INSERT INTO t (id) VALUES (?1)", &statement), 0);
    assert_int_equal(f->db->bind(statement, NULL, 0), HILUM_EINVAL);
    for (id.integer = 1; id.integer <= 3; id.integer++) {
        assert_int_equal(f->db->bind(statement, &id, 1), HILUM_OK);
        assert_int_equal(f->db->step(statement), HILUM_OK);
    }
    f->db->finish(statement);
    assert_int_equal(count(f, f->reader), 3);
}

static void transaction__is_seen_by_others_only_after_commit(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(f->db->begin(f->writer), HILUM_OK);
    assert_int_equal(insert(f, 1, "x"), HILUM_OK);
    assert_int_equal(count(f, f->reader), 0);
    assert_int_equal(f->db->commit(f->writer), HILUM_OK);
    assert_int_equal(count(f, f->reader), 1);
}

static void rollback__undoes_and_is_harmless_without_a_transaction(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(f->db->begin(f->writer), HILUM_OK);
    assert_int_equal(insert(f, 1, "x"), HILUM_OK);
    assert_int_equal(f->db->rollback(f->writer), HILUM_OK);
    assert_int_equal(f->db->rollback(f->writer), HILUM_OK);
    assert_int_equal(count(f, f->reader), 0);
}

static void savepoint__undoes_a_part(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(f->db->begin(f->writer), HILUM_OK);
    assert_int_equal(insert(f, 1, "x"), HILUM_OK);
    assert_int_equal(f->db->exec(f->writer, "SAVEPOINT u"), HILUM_OK);
    assert_int_equal(insert(f, 2, "y"), HILUM_OK);
    assert_int_equal(f->db->exec(f->writer, "ROLLBACK TO u; RELEASE u"), HILUM_OK);
    assert_int_equal(f->db->commit(f->writer), HILUM_OK);
    assert_int_equal(count(f, f->reader), 1);
}

static void unique__is_eexists_with_a_reason(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(insert(f, 1, "x"), HILUM_OK);
    assert_int_equal(insert(f, 2, "x"), HILUM_EEXISTS);
    assert_non_null(strstr(fake_host_reason(), "t.a"));
    assert_int_equal(insert(f, 1, "y"), HILUM_EEXISTS);
}

static void statement__that_makes_no_sense_is_einval(void **state)
{
    struct fixture *f = *state;
    void *statement = NULL;
    assert_int_equal(f->db->prepare(f->reader, "SELEKT 1", &statement), HILUM_EINVAL);
    assert_int_equal(f->db->prepare(f->reader, "SELECT x FROM nowhere", &statement), HILUM_EINVAL);
    assert_int_equal(f->db->prepare(f->reader, "", &statement), HILUM_EINVAL);
    assert_int_equal(f->db->exec(f->writer, "CREATE TABLE u (a TEXT); nonsense"), HILUM_EINVAL);
}

static void reader__may_not_write(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(f->db->exec(f->reader, "INSERT INTO t (id) VALUES (1)"), HILUM_EDENIED);
}

static void second_writer__is_eagain(void **state)
{
    struct fixture *f = *state;
    void *second = NULL;
    assert_int_equal(f->db->open(f->instance, HILUM_DB_WRITE, NULL, &second), HILUM_EAGAIN);
    f->db->close(f->writer);
    assert_int_equal(f->db->open(f->instance, HILUM_DB_WRITE, NULL, &f->writer), HILUM_OK);
}

static void like__distinguishes_case(void **state)
{
    struct fixture *f = *state;
    void *statement;
    struct hilum_value n;
    assert_int_equal(insert(f, 1, "Abc"), HILUM_OK);
    assert_int_equal(insert(f, 2, "abc"), HILUM_OK);
    assert_int_equal(f->db->prepare(f->reader,
                                    "SELECT count(*) FROM t WHERE a LIKE 'a%' ESCAPE '!'",
                                    &statement),
                     HILUM_OK);
    assert_int_equal(f->db->bind(statement, NULL, 0), HILUM_OK);
    assert_int_equal(f->db->step(statement), 1);
    assert_int_equal(f->db->column(statement, 0, &n), HILUM_OK);
    assert_int_equal(n.integer, 1);
    f->db->finish(statement);
}

struct endless {
    struct fixture *f;
    pthread_barrier_t begun;
    hilum_rc rc;
};

static void *run_endless(void *arg)
{
    struct endless *e = arg;
    void *statement;
    e->rc = e->f->db->prepare(e->f->reader,
                              "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) "
                              "SELECT count(*) FROM n",
                              &statement);
    e->f->db->bind(statement, NULL, 0);
    pthread_barrier_wait(&e->begun);
    e->rc = e->f->db->step(statement);
    e->f->db->finish(statement);
    return NULL;
}

static void interrupt__ends_a_running_statement(void **state)
{
    struct fixture *f = *state;
    struct endless e = {.f = f};
    pthread_t thread;
    pthread_barrier_init(&e.begun, NULL, 2);
    pthread_create(&thread, NULL, run_endless, &e);
    pthread_barrier_wait(&e.begun);
    /* An interrupt before step() begins is without effect: repeated until the thread has ended. */
    do {
        f->db->interrupt(f->reader);
        usleep(1000);
    } while (pthread_tryjoin_np(thread, NULL) != 0);
    assert_int_equal(e.rc, HILUM_ECANCELLED);
    pthread_barrier_destroy(&e.begun);
}

static void *open_scoped(struct fixture *f, const char *scope)
{
    void *session = NULL;
    f->db->close(f->writer);
    f->writer = NULL;
    assert_int_equal(f->db->open(f->instance, HILUM_DB_WRITE, scope, &session), HILUM_OK);
    f->writer = session;
    return session;
}

static void scoped_session__has_tables_of_its_own(void **state)
{
    struct fixture *f = *state;
    void *scoped = open_scoped(f, "hl7-mllp");
    const char *script = "CREATE TABLE \"p_hl7-mllp_queue\" (id BIGINT PRIMARY KEY, a TEXT);"
                         "CREATE INDEX \"p_hl7-mllp_queue_a\" ON \"p_hl7-mllp_queue\" (a);"
                         "INSERT INTO \"p_hl7-mllp_queue\" VALUES (1, upper('x'));"
                         "UPDATE \"p_hl7-mllp_queue\" SET a = 'y';"
                         "DELETE FROM \"p_hl7-mllp_queue\"; DROP TABLE \"p_hl7-mllp_queue\";";
    assert_int_equal(f->db->exec(scoped, script), HILUM_OK);
}

static void scoped_session__sees_nothing_else(void **state)
{
    struct fixture *f = *state;
    static const char *const denied[] = {
        "SELECT * FROM t",
        "SELECT (SELECT count(*) FROM t)",
        "INSERT INTO t (id) VALUES (9)",
        "UPDATE t SET a = NULL",
        "DELETE FROM t",
        "DROP TABLE t",
        "CREATE TABLE other (a TEXT)",
        "CREATE TABLE p_a_copy AS SELECT * FROM t",
        "CREATE TABLE p_a_names AS SELECT sql FROM sqlite_master",
        "CREATE INDEX p_a_i ON t (a)",
        "CREATE VIEW p_a_v AS SELECT 1",
        "CREATE TEMP TABLE p_a_t (a TEXT)",
        "ATTACH 'x' AS y",
        "PRAGMA journal_mode = DELETE",
        "SELECT sql FROM sqlite_master",
        "SELECT * FROM \"p_a-b_x\"",
    };
    assert_int_equal(f->db->exec(f->writer, "CREATE TABLE \"p_a-b_x\" (a TEXT)"), HILUM_OK);
    void *scoped = open_scoped(f, "a");
    for (size_t i = 0; i < sizeof denied / sizeof *denied; i++) {
        if (f->db->exec(scoped, denied[i]) != HILUM_EDENIED)
            fail_msg("allowed: %s", denied[i]);
    }
}

static void scope__that_is_no_plugin_id_is_einval(void **state)
{
    struct fixture *f = *state;
    void *session;
    assert_int_equal(f->db->open(f->instance, HILUM_DB_READ, "", &session), HILUM_EINVAL);
    assert_int_equal(f->db->open(f->instance, HILUM_DB_READ, "a_b", &session), HILUM_EINVAL);
    assert_int_equal(f->db->open(f->instance, HILUM_DB_READ, "a'b", &session), HILUM_EINVAL);
}

static void checkpoint__keeps_what_was_committed(void **state)
{
    struct fixture *f = *state;
    for (int64_t i = 0; i < 50; i++)
        assert_int_equal(insert(f, i, (char[]){(char)('0' + i), 0}), HILUM_OK);
    assert_int_equal(f->db->checkpoint(f->writer), HILUM_OK);
    assert_int_equal(f->db->checkpoint(f->writer), HILUM_OK);
    assert_int_equal(count(f, f->reader), 50);
}

/* What a power loss takes is for the fault tests; here: seen at once, by others too, and flushing is no fault at any time. */
static void commit_unflushed__is_seen_and_can_be_flushed(void **state)
{
    struct fixture *f = *state;
    if (!HILUM_HAS(struct hilum_database, f->db->cap.size, flush) || !f->db->flush)
        skip();
    assert_int_equal(f->db->flush(f->writer), HILUM_OK);
    for (int64_t i = 0; i < 3; i++) {
        assert_int_equal(f->db->begin(f->writer), HILUM_OK);
        assert_int_equal(insert(f, i, (char[]){(char)('0' + i), 0}), HILUM_OK);
        assert_int_equal(f->db->commit_unflushed(f->writer), HILUM_OK);
        assert_int_equal(count(f, f->reader), i + 1);
    }
    assert_int_equal(f->db->flush(f->writer), HILUM_OK);
    assert_int_equal(f->db->begin(f->writer), HILUM_OK);
    assert_int_equal(f->db->commit_unflushed(f->writer), HILUM_OK); /* nothing written */
    assert_int_equal(f->db->begin(f->writer), HILUM_OK);
    assert_int_equal(f->db->commit(f->writer), HILUM_OK);
    assert_int_equal(f->db->checkpoint(f->writer), HILUM_OK);
    assert_int_equal(count(f, f->reader), 3);
}

/* n bytes that tell one row, and one place in it, from another. */
static void pattern(uint8_t *bytes, size_t n, int64_t id)
{
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)((i >> 8) * 31 + i + (size_t)id * 7);
}

static void blob_insert(struct fixture *f, int64_t id, uint8_t *bytes, size_t n)
{
    void *statement;
    struct hilum_value values[] = {{.type = HILUM_DB_INT, .integer = id},
                                   {.type = HILUM_DB_BLOB, .bytes = bytes, .n = n}};
    pattern(bytes, n, id);
    assert_int_equal(f->db->prepare(f->writer, "INSERT INTO t (id, b) VALUES (?1, ?2)", &statement),
                     HILUM_OK);
    assert_int_equal(f->db->bind(statement, values, 2), HILUM_OK);
    assert_int_equal(f->db->step(statement), HILUM_OK);
    f->db->finish(statement);
}

static void assert_blob(struct fixture *f, int64_t id, uint8_t *bytes, size_t n)
{
    void *statement;
    struct hilum_value got, wanted = {.type = HILUM_DB_INT, .integer = id};
    pattern(bytes, n, id);
    assert_int_equal(f->db->prepare(f->reader, "SELECT b FROM t WHERE id = ?1", &statement),
                     HILUM_OK);
    assert_int_equal(f->db->bind(statement, &wanted, 1), HILUM_OK);
    assert_int_equal(f->db->step(statement), 1);
    assert_int_equal(f->db->column(statement, 0, &got), HILUM_OK);
    assert_int_equal(got.n, n);
    assert_memory_equal(got.bytes, bytes, n);
    f->db->finish(statement);
}

static hilum_rc any_commit(struct fixture *f, bool is_flushed)
{
    bool has_choice = HILUM_HAS(struct hilum_database, f->db->cap.size, flush) && f->db->flush;
    return is_flushed || !has_choice ? f->db->commit(f->writer)
                                     : f->db->commit_unflushed(f->writer);
}

/* From one page to more than any cache holds, each seen by others as soon as it is committed; a part that is undone first
 * leaves pages that were already given to the log. */
static void commit__of_any_size_is_read_whole(void **state)
{
    static const size_t sizes[] = {1,      2,      4000,   60000,  110000,  122880,
                                   126976, 131072, 135168, 262144, 1000000, 6000000};
    struct fixture *f = *state;
    uint8_t *bytes = malloc(6000000);
    int64_t id = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        assert_int_equal(f->db->begin(f->writer), HILUM_OK);
        blob_insert(f, ++id, bytes, 3000000);
        assert_int_equal(f->db->rollback(f->writer), HILUM_OK);
        assert_int_equal(f->db->begin(f->writer), HILUM_OK);
        assert_int_equal(f->db->exec(f->writer, "SAVEPOINT s"), HILUM_OK);
        blob_insert(f, id, bytes, 3000000);
        assert_int_equal(f->db->exec(f->writer, "ROLLBACK TO s; RELEASE s"), HILUM_OK);
        blob_insert(f, id, bytes, sizes[i]);
        assert_int_equal(any_commit(f, id % 2), HILUM_OK);
        assert_blob(f, id, bytes, sizes[i]);
    }
    assert_int_equal(f->db->checkpoint(f->writer), HILUM_OK);
    for (int64_t k = 1; k <= id; k++)
        assert_blob(f, k, bytes, sizes[k - 1]);
    free(bytes);
}

static void files__are_nobody_elses(void **state)
{
    struct fixture *f = *state;
    struct stat info;
    char path[128];
    assert_int_equal(insert(f, 1, "x"), HILUM_OK);
    static const char *const names[] = {"catalog.db", "catalog.db-wal", "catalog.db-shm"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", f->dir, names[i]);
        if (stat(path, &info) == 0) /* another provider has no such files */
            assert_int_equal(info.st_mode & 0777, 0600);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s provider.so\n", argv[0]);
        return 2;
    }
    so_path = argv[1];
#define CONTRACT(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CONTRACT(values__come_back_as_bound),
        CONTRACT(bind__rewinds_and_wants_every_parameter),
        CONTRACT(transaction__is_seen_by_others_only_after_commit),
        CONTRACT(rollback__undoes_and_is_harmless_without_a_transaction),
        CONTRACT(savepoint__undoes_a_part),
        CONTRACT(unique__is_eexists_with_a_reason),
        CONTRACT(statement__that_makes_no_sense_is_einval),
        CONTRACT(reader__may_not_write),
        CONTRACT(second_writer__is_eagain),
        CONTRACT(like__distinguishes_case),
        CONTRACT(interrupt__ends_a_running_statement),
        CONTRACT(scoped_session__has_tables_of_its_own),
        CONTRACT(scoped_session__sees_nothing_else),
        CONTRACT(scope__that_is_no_plugin_id_is_einval),
        CONTRACT(checkpoint__keeps_what_was_committed),
        CONTRACT(files__are_nobody_elses),
        CONTRACT(commit__of_any_size_is_read_whole),
        CONTRACT(commit_unflushed__is_seen_and_can_be_flushed),
        cmocka_unit_test_setup_teardown(commit__of_any_size_is_read_whole, set_up_small, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
