/* Searches that read the whole catalogue: others read beside them, and those who wait end them. SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/record/session.h"
#include "tests/unit/record/fixture.h"

struct endless {
    struct hl_readers *readers;
    pthread_t thread;
    hilum_rc got, ended;
};

/* A query that never comes to its first row, as one does over ever more rows that do not match. */
static void *search(void *arg)
{
    static const char sql[] =
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c";
    struct endless *endless = arg;
    struct hl_session *session = NULL;
    struct hl_stmt *stmt = NULL;
    endless->got = hl_readers_search(endless->readers, &session);
    if (endless->got != HILUM_OK)
        return NULL;
    endless->ended = hl_session_query(session, sql, NULL, 0, &stmt);
    if (endless->ended == HILUM_OK)
        endless->ended = hl_stmt_step(stmt);
    hl_stmt_done(stmt);
    hl_readers_put(endless->readers, session, endless->ended);
    return NULL;
}

/* How long reads that know where to look wait at most, within a second. */
static int64_t longest_wait(struct hl_readers *readers)
{
    struct hl_session *session = NULL;
    int64_t began_ms = hl_mono_ms(), longest_ms = 0, one = 0;
    while (hl_mono_ms() - began_ms < 1000) {
        int64_t before_ms = hl_mono_ms();
        assert_int_equal(hl_readers_get(readers, &session), HILUM_OK);
        assert_int_equal(hl_session_int(session, &one, "SELECT 1", ""), HILUM_OK);
        hl_readers_put(readers, session, HILUM_OK);
        int64_t took_ms = hl_mono_ms() - before_ms;
        longest_ms = took_ms > longest_ms ? took_ms : longest_ms;
    }
    return longest_ms;
}

static void settled(void *arg)
{
    atomic_fetch_add((atomic_uint *)arg, 1);
}

static void searches__leave_a_session_and_end_where_others_wait(void **state)
{
    struct fixture *f = *state;
    struct hl_readers *readers = NULL;
    struct hl_session *sessions[2] = {NULL, NULL};
    struct endless all[2] = {0};
    atomic_uint n_settled = 0;
    assert_int_equal(hl_readers_new(f->db, f->instance, 3, settled, &n_settled, &readers),
                     HILUM_OK);
    for (unsigned i = 0; i < 2; i++) {
        all[i].readers = readers;
        assert_int_equal(pthread_create(&all[i].thread, NULL, search, &all[i]), 0);
    }
    assert_true(longest_wait(readers) < 900);
    assert_true(n_settled > 2); /* once for each session given out */
    unsigned before = n_settled;
    assert_int_equal(hl_readers_try(readers, &sessions[0]), HILUM_OK); /* the one that is left */
    assert_int_equal(hl_readers_try(readers, &sessions[1]), HILUM_EAGAIN);
    hl_readers_put(readers, sessions[0], HILUM_OK);
    assert_int_equal(n_settled, before);
    /* Both are at it by now; each of these waits until it may end one. */
    for (unsigned i = 0; i < 2; i++) {
        hilum_rc rc = HILUM_EAGAIN;
        for (unsigned tries = 0; rc == HILUM_EAGAIN && tries < 3; tries++)
            rc = hl_readers_search(readers, &sessions[i]);
        assert_int_equal(rc, HILUM_OK);
    }
    assert_true(longest_wait(readers) < 900);
    for (unsigned i = 0; i < 2; i++) {
        hl_readers_put(readers, sessions[i], HILUM_OK);
        pthread_join(all[i].thread, NULL);
        assert_int_equal(all[i].got, HILUM_OK);
        assert_int_equal(all[i].ended, HILUM_ECANCELLED);
    }
    hl_readers_free(readers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(searches__leave_a_session_and_end_where_others_wait,
                                        fixture_set_up, fixture_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
