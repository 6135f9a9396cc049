/* What every provider of `store` must do (hilum/store.h), told by behaviour only: nothing here
 * knows where a provider keeps its bytes. Usage: contract_store PLUGIN.so [key=value...].
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/contract/store/provider.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *so;
static const char *const *options;
static int n_options;

struct fixture {
    char root[64];
    struct provider provider;
    const struct hilum_store *t;
    void *self;
};

static void store_open(struct fixture *f)
{
    hilum_rc rc = provider_open(&f->provider, so, f->root, options, n_options);
    if (rc != HILUM_OK)
        fail_msg("open: %d %s", rc, provider_reason());
    f->t = f->provider.table;
    f->self = f->provider.instance;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    strcpy(f->root, "/tmp/hilum-store-XXXXXX");
    assert_non_null(mkdtemp(f->root));
    store_open(f);
    *state = f;
    return 0;
}

static void tree_remove(const char *root)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    assert_int_equal(system(command), 0);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    provider_close(&f->provider);
    while (umount2(f->root, MNT_DETACH) == 0) { /* of a test that failed in the middle */
    }
    tree_remove(f->root);
    free(f);
    return 0;
}

/* A byte pattern in which a lost or swapped block shows. */
static uint8_t byte_at(unsigned seed, uint64_t i)
{
    return (uint8_t)((i * 31 + (i >> 12) * 7 + seed * 101) & 0xFF);
}

static void *txn_of(struct fixture *f, const char *key, unsigned seed, uint64_t n)
{
    void *txn = NULL;
    uint8_t piece[16384];
    if (f->t->begin(f->self, key, 0, &txn) != HILUM_OK)
        fail_msg("begin %s: %s", key, provider_reason());
    for (uint64_t at = 0; at < n;) {
        uint64_t m = n - at < sizeof piece ? n - at : sizeof piece;
        for (uint64_t i = 0; i < m; i++)
            piece[i] = byte_at(seed, at + i);
        assert_int_equal(f->t->append(f->self, txn, piece, m), HILUM_OK);
        at += m;
    }
    return txn;
}

static void object_put(struct fixture *f, const char *key, unsigned seed, uint64_t n)
{
    void *txn = txn_of(f, key, seed, n);
    assert_int_equal(f->t->sync(f->self, &txn, 1), HILUM_OK);
    assert_int_equal(f->t->commit(f->self, txn), HILUM_OK);
}

static void object_check(struct fixture *f, const char *key, unsigned seed, uint64_t n)
{
    uint8_t *bytes = malloc(n + 1);
    uint64_t got = 0;
    struct hilum_object_info info = {0};
    assert_int_equal(f->t->stat(f->self, key, &info), HILUM_OK);
    assert_int_equal(info.length, n);
    assert_int_equal(f->t->read(f->self, key, 0, bytes, n + 1, &got), HILUM_OK);
    assert_int_equal(got, n);
    for (uint64_t i = 0; i < n; i++) {
        if (bytes[i] != byte_at(seed, i))
            fail_msg("%s: byte %llu differs", key, (unsigned long long)i);
    }
    free(bytes);
}

struct listing {
    char keys[64][201];
    uint32_t flags[64];
    size_t n, stop_at;
};

static hilum_rc listed(void *arg, const char *key, const struct hilum_object_info *info)
{
    struct listing *l = arg;
    assert_true(l->n < 64);
    snprintf(l->keys[l->n], sizeof l->keys[0], "%s", key);
    l->flags[l->n++] = info->flags;
    return l->stop_at != 0 && l->n == l->stop_at ? HILUM_ECANCELLED : HILUM_OK;
}

static bool has(const struct listing *l, const char *key)
{
    for (size_t i = 0; i < l->n; i++) {
        if (strcmp(l->keys[i], key) == 0)
            return true;
    }
    return false;
}

/* ---- the way in
 * ---------------------------------------------------------------------------------- */

static void object__begun_synced_committed_is_read_back(void **state)
{
    struct fixture *f = *state;
    static const uint64_t sizes[] = {0, 1, 511, 4095, 4096, 4097, 70000, 525000, 5000000};
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char key[32];
        snprintf(key, sizeof key, "2026/11/o%u", i);
        object_put(f, key, i, sizes[i]);
        object_check(f, key, i, sizes[i]);
    }
}

static void object__not_committed_is_pending_and_readable(void **state)
{
    struct fixture *f = *state;
    struct listing final = {0}, pending = {0};
    void *txn = txn_of(f, "a/pending", 3, 9000);
    assert_int_equal(f->t->sync(f->self, &txn, 1), HILUM_OK);
    object_check(f, "a/pending", 3, 9000);
    assert_int_equal(f->t->list(f->self, "", listed, &final), HILUM_OK);
    assert_int_equal(final.n, 0);
    assert_int_equal(f->t->pending(f->self, listed, &pending), HILUM_OK);
    assert_int_equal(pending.n, 1);
    assert_string_equal(pending.keys[0], "a/pending");
    assert_int_equal(pending.flags[0] & HILUM_OBJECT_PENDING, HILUM_OBJECT_PENDING);
    assert_int_equal(f->t->commit(f->self, txn), HILUM_OK);
    object_check(f, "a/pending", 3, 9000);
}

static void object__in_the_making_is_in_no_list(void **state)
{
    struct fixture *f = *state;
    struct listing l = {0};
    void *txn = txn_of(f, "half", 1, 100000);
    assert_int_equal(f->t->list(f->self, "", listed, &l), HILUM_OK);
    assert_int_equal(f->t->pending(f->self, listed, &l), HILUM_OK);
    assert_int_equal(l.n, 0);
    f->t->abort(f->self, txn);
}

static void abort__at_any_point_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct hilum_object_info info;
    struct listing l = {0};
    f->t->abort(f->self, txn_of(f, "x/1", 1, 0));
    f->t->abort(f->self, txn_of(f, "x/1", 1, 6000000));
    void *txn = txn_of(f, "x/1", 1, 4000);
    assert_int_equal(f->t->sync(f->self, &txn, 1), HILUM_OK);
    f->t->abort(f->self, txn);
    assert_int_equal(f->t->stat(f->self, "x/1", &info), HILUM_ENOTFOUND);
    assert_int_equal(f->t->list(f->self, "", listed, &l), HILUM_OK);
    assert_int_equal(f->t->pending(f->self, listed, &l), HILUM_OK);
    assert_int_equal(l.n, 0);
    object_put(f, "x/1", 9, 500); /* the key is free again */
    object_check(f, "x/1", 9, 500);
}

static void sync__of_a_group_makes_every_object_of_it_pending(void **state)
{
    struct fixture *f = *state;
    void *txns[20];
    struct listing l = {0};
    for (unsigned i = 0; i < 20; i++) {
        char key[32];
        snprintf(key, sizeof key, "g%u/o%u", i % 3, i);
        txns[i] = txn_of(f, key, i, 1000 * i);
    }
    assert_int_equal(f->t->sync(f->self, txns, 20), HILUM_OK);
    assert_int_equal(f->t->pending(f->self, listed, &l), HILUM_OK);
    assert_int_equal(l.n, 20);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(f->t->commit(f->self, txns[i]), HILUM_OK);
    for (unsigned i = 0; i < 20; i++) {
        char key[32];
        snprintf(key, sizeof key, "g%u/o%u", i % 3, i);
        object_check(f, key, i, 1000 * i);
    }
}

static void sync__of_nothing_succeeds(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(f->t->sync(f->self, NULL, 0), HILUM_OK);
}

static void commit__before_sync_is_refused_and_never_final(void **state)
{
    struct fixture *f = *state;
    struct listing l = {0};
    void *txn = txn_of(f, "early", 1, 10);
    assert_int_equal(f->t->commit(f->self, txn), HILUM_EINVAL);
    assert_int_equal(f->t->list(f->self, "", listed, &l), HILUM_OK);
    assert_int_equal(l.n, 0);
}

static void begin__with_a_known_key_is_refused(void **state)
{
    struct fixture *f = *state;
    void *txn = NULL, *second = NULL;
    object_put(f, "same", 1, 10);
    assert_int_equal(f->t->begin(f->self, "same", 0, &txn), HILUM_EEXISTS);
    txn = txn_of(f, "other", 1, 10);
    assert_int_equal(f->t->begin(f->self, "other", 0, &second), HILUM_EEXISTS);
    assert_int_equal(f->t->sync(f->self, &txn, 1), HILUM_OK);
    assert_int_equal(f->t->begin(f->self, "other", 0, &second), HILUM_EEXISTS);
    f->t->abort(f->self, txn);
    object_check(f, "same", 1, 10);
}

static void key__of_invalid_form_is_refused_everywhere(void **state)
{
    struct fixture *f = *state;
    char longest[202];
    memset(longest, 'k', sizeof longest);
    longest[201] = '\0';
    const char *const bad[] = {"",      "/a",  "..",   "a/../b", "a..b", "a b",
                               "a\\b",  "a+b", "a/",   "a//b",   ".",    "./a",
                               "a/./b", "ä",   "a\nb", "a:b",    "a*b",  longest};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        void *txn = NULL;
        struct hilum_object_info info;
        uint64_t got = 0;
        char byte = 0;
        assert_int_equal(f->t->begin(f->self, bad[i], 0, &txn), HILUM_EINVAL);
        assert_int_equal(f->t->stat(f->self, bad[i], &info), HILUM_EINVAL);
        assert_int_equal(f->t->read(f->self, bad[i], 0, &byte, 1, &got), HILUM_EINVAL);
        assert_int_equal(f->t->erase(f->self, bad[i]), HILUM_EINVAL);
        assert_int_equal(f->t->finish(f->self, bad[i], 1), HILUM_EINVAL);
        assert_int_equal(f->t->finish(f->self, bad[i], 0), HILUM_EINVAL);
    }
    longest[200] = '\0';
    object_put(f, longest, 4, 44);
    object_check(f, longest, 4, 44);
}

/* ---- what is there
 * -------------------------------------------------------------------------------- */

static void read__of_a_range_gives_those_bytes_and_less_only_at_the_end(void **state)
{
    struct fixture *f = *state;
    static const struct {
        uint64_t at, n, got;
    } cases[] = {{0, 10, 10},        {4090, 20, 20},    {9999, 1, 1},           {9999, 100, 1},
                 {10000, 5, 0},      {20000, 5, 0},     {UINT64_MAX - 1, 5, 0}, {0, 0, 0},
                 {5000, 5000, 5000}, {5000, 5001, 5000}};
    object_put(f, "r", 5, 10000);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t bytes[6000];
        uint64_t got = 77;
        assert_int_equal(f->t->read(f->self, "r", cases[i].at, bytes, cases[i].n, &got), HILUM_OK);
        assert_int_equal(got, cases[i].got);
        for (uint64_t k = 0; k < got; k++)
            assert_int_equal(bytes[k], byte_at(5, cases[i].at + k));
    }
}

static void open_fd__where_offered_gives_the_object_at_its_offset(void **state)
{
    struct fixture *f = *state;
    object_put(f, "fd", 6, 12345);
    int32_t fd = -1;
    uint64_t offset = 0;
    uint8_t bytes[12345];
    hilum_rc rc = f->t->open_fd != NULL ? f->t->open_fd(f->self, "fd", &fd, &offset) : HILUM_EUNSUP;
    if (rc == HILUM_EUNSUP)
        return; /* optional, also for a single object: read() serves it */
    assert_int_equal(rc, HILUM_OK);
    assert_int_equal(pread(fd, bytes, sizeof bytes, (off_t)offset), sizeof bytes);
    for (uint64_t i = 0; i < sizeof bytes; i++)
        assert_int_equal(bytes[i], byte_at(6, i));
    assert_int_equal(f->t->erase(f->self, "fd"), HILUM_OK);
    assert_int_equal(pread(fd, bytes, 10, (off_t)offset), 10); /* an open one outlives its name */
    assert_int_equal(bytes[9], byte_at(6, 9));
    close(fd);
}

static void list__gives_final_objects_below_the_prefix_and_stops_when_told(void **state)
{
    struct fixture *f = *state;
    static const char *const keys[] = {"2026/11/22/a", "2026/11/23/a", "2026/11/23/b", "2025/x",
                                       "z"};
    for (unsigned i = 0; i < 5; i++)
        object_put(f, keys[i], i, 10 + i);
    struct listing all = {0}, day = {0}, part = {0}, none = {0}, stopped = {.stop_at = 2};
    assert_int_equal(f->t->list(f->self, "", listed, &all), HILUM_OK);
    assert_int_equal(all.n, 5);
    assert_int_equal(f->t->list(f->self, "2026/11/23/", listed, &day), HILUM_OK);
    assert_int_equal(day.n, 2);
    assert_true(has(&day, "2026/11/23/a") && has(&day, "2026/11/23/b"));
    assert_int_equal(f->t->list(f->self, "2026/11/2", listed, &part), HILUM_OK);
    assert_int_equal(part.n, 3);
    assert_int_equal(f->t->list(f->self, "2024", listed, &none), HILUM_OK);
    assert_int_equal(none.n, 0);
    assert_int_equal(f->t->list(f->self, "", listed, &stopped), HILUM_ECANCELLED);
    assert_int_equal(stopped.n, 2);
}

static void erase__removes_final_and_pending_objects_and_knows_the_absent(void **state)
{
    struct fixture *f = *state;
    struct hilum_object_info info;
    struct listing l = {0};
    object_put(f, "d/e/f", 1, 100);
    object_put(f, "d/e/g", 2, 100);
    assert_int_equal(f->t->erase(f->self, "d/e/f"), HILUM_OK);
    assert_int_equal(f->t->erase(f->self, "d/e/f"), HILUM_ENOTFOUND);
    assert_int_equal(f->t->stat(f->self, "d/e/f", &info), HILUM_ENOTFOUND);
    object_check(f, "d/e/g", 2, 100);
    assert_int_equal(f->t->erase(f->self, "d/e/g"), HILUM_OK);
    assert_int_equal(f->t->list(f->self, "", listed, &l), HILUM_OK);
    assert_int_equal(l.n, 0);
    assert_int_equal(f->t->erase(f->self, "d/e"), HILUM_ENOTFOUND);
    object_put(f, "d/e/h", 3, 100);
    object_check(f, "d/e/h", 3, 100);
}

static void space__is_told(void **state)
{
    struct fixture *f = *state;
    uint64_t available = 0, total = 0;
    assert_int_equal(f->t->space(f->self, &available, &total), HILUM_OK);
    assert_true(total > 0 && available <= total);
}

/* ---- a process ends
 * -------------------------------------------------------------------------------- */

/* Runs body in a process that is killed at its end, between two lives of the store. */
static void in_killed_process(struct fixture *f, void (*body)(struct fixture *f))
{
    provider_close(&f->provider);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (provider_open(&f->provider, so, f->root, options, n_options) != HILUM_OK)
            _exit(1);
        f->t = f->provider.table;
        f->self = f->provider.instance;
        body(f);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    store_open(f);
}

static void three_lives(struct fixture *f)
{
    void *txns[3];
    object_put(f, "k/final", 1, 5000);
    txns[0] = txn_of(f, "k/synced", 2, 70000);
    txns[1] = txn_of(f, "k/synced2", 4, 3);
    if (f->t->sync(f->self, txns, 2) != HILUM_OK)
        _exit(2);
    txns[2] = txn_of(f, "k/open", 3, 5000);
}

static void start__after_a_kill_lists_the_synced_keeps_the_final_forgets_the_open(void **state)
{
    struct fixture *f = *state;
    struct listing l = {0}, none = {0};
    struct hilum_object_info info;
    in_killed_process(f, three_lives);
    assert_int_equal(f->t->pending(f->self, listed, &l), HILUM_OK);
    assert_true(has(&l, "k/synced") && has(&l, "k/synced2"));
    assert_false(has(&l, "k/open"));
    assert_int_equal(f->t->stat(f->self, "k/open", &info), HILUM_ENOTFOUND);
    object_check(f, "k/synced", 2, 70000);
    void *second = NULL; /* a name of an earlier life is taken, too */
    assert_int_equal(f->t->begin(f->self, "k/synced2", 0, &second), HILUM_EEXISTS);
    for (size_t i = 0; i < l.n; i++) { /* the host has rows for two of them */
        int32_t keep = strcmp(l.keys[i], "k/synced2") != 0;
        assert_int_equal(f->t->finish(f->self, l.keys[i], keep), HILUM_OK);
        assert_int_equal(f->t->finish(f->self, l.keys[i], keep), HILUM_OK);
    }
    object_check(f, "k/final", 1, 5000);
    object_check(f, "k/synced", 2, 70000);
    assert_int_equal(f->t->stat(f->self, "k/synced2", &info), HILUM_ENOTFOUND);
    assert_int_equal(f->t->pending(f->self, listed, &none), HILUM_OK);
    assert_int_equal(none.n, 0);
    assert_int_equal(f->t->list(f->self, "k/", listed, &none), HILUM_OK);
    assert_int_equal(none.n, 2);
    assert_int_equal(f->t->finish(f->self, "k/never", 1), HILUM_ENOTFOUND);
    object_put(f, "k/synced2", 5, 10); /* free again */
    assert_int_equal(f->t->begin(f->self, "k/synced", 0, &second), HILUM_EEXISTS);
}

static void start__after_a_stop_has_every_committed_object(void **state)
{
    struct fixture *f = *state;
    struct listing l = {0};
    for (unsigned i = 0; i < 30; i++) {
        char key[32];
        snprintf(key, sizeof key, "s/%u", i);
        object_put(f, key, i, 20000 + i);
    }
    provider_close(&f->provider);
    store_open(f);
    assert_int_equal(f->t->pending(f->self, listed, &l), HILUM_OK);
    assert_int_equal(l.n, 0);
    for (unsigned i = 0; i < 30; i++) {
        char key[32];
        snprintf(key, sizeof key, "s/%u", i);
        object_check(f, key, i, 20000 + i);
    }
}

static void start__of_a_second_server_on_the_same_medium_is_refused(void **state)
{
    struct fixture *f = *state;
    struct provider second;
    assert_true(provider_open(&second, so, f->root, options, n_options) < 0);
    object_put(f, "still", 1, 10);
}

/* ---- many threads
 * ----------------------------------------------------------------------------------- */

struct worker {
    struct fixture *f;
    unsigned id;
    int faults;
};

static void *worker_run(void *arg)
{
    struct worker *w = arg;
    const struct hilum_store *t = w->f->t;
    for (unsigned i = 0; i < 40; i++) {
        char key[32];
        uint8_t bytes[3000], back[3000];
        void *txn = NULL;
        uint64_t got = 0;
        snprintf(key, sizeof key, "w/%u/%u", i % 5, w->id * 1000 + i);
        memset(bytes, (int)(w->id * 40 + i), sizeof bytes);
        if (t->begin(w->f->self, key, 0, &txn) != HILUM_OK ||
            t->append(w->f->self, txn, bytes, sizeof bytes) != HILUM_OK ||
            t->sync(w->f->self, &txn, 1) != HILUM_OK) {
            w->faults++;
            continue;
        }
        if (i % 4 == 3) {
            t->abort(w->f->self, txn);
            continue;
        }
        if (t->commit(w->f->self, txn) != HILUM_OK ||
            t->read(w->f->self, key, 0, back, sizeof back, &got) != HILUM_OK ||
            got != sizeof back || memcmp(bytes, back, sizeof back) != 0)
            w->faults++;
        if (i % 4 == 2 && t->erase(w->f->self, key) != HILUM_OK)
            w->faults++;
    }
    return NULL;
}

static hilum_rc counted(void *arg, const char *key, const struct hilum_object_info *info)
{
    (void)key;
    (void)info;
    (*(unsigned *)arg)++;
    return HILUM_OK;
}

static void threads__work_on_different_keys_without_disturbing_each_other(void **state)
{
    struct fixture *f = *state;
    struct worker workers[8];
    pthread_t threads[8];
    unsigned count = 0;
    for (unsigned i = 0; i < 8; i++) {
        workers[i] = (struct worker){.f = f, .id = i};
        assert_int_equal(pthread_create(&threads[i], NULL, worker_run, &workers[i]), 0);
    }
    for (unsigned i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].faults, 0);
    }
    assert_int_equal(f->t->list(f->self, "", counted, &count), HILUM_OK);
    assert_int_equal(count, 8 * 20);
}

/* ---- media that fail
 * --------------------------------------------------------------------------------- */

/* A medium of 8 MiB; false (with a skip) where mounting is not allowed. */
static bool small_medium(struct fixture *f)
{
    provider_close(&f->provider);
    if (mount("tmpfs", f->root, "tmpfs", 0, "size=8m,mode=0755") != 0) {
        print_message("skipped: mount tmpfs: %s\n", strerror(errno));
        store_open(f);
        return false;
    }
    store_open(f);
    return true;
}

static void medium__full_is_told_and_left_as_before_and_recovers(void **state)
{
    struct fixture *f = *state;
    static uint8_t block[1 << 20];
    if (!small_medium(f))
        skip();
    object_put(f, "before", 1, 100000);
    void *txn = NULL;
    hilum_rc rc = f->t->begin(f->self, "big", 0, &txn);
    assert_int_equal(rc, HILUM_OK);
    for (unsigned i = 0; i < 12 && rc == HILUM_OK; i++)
        rc = f->t->append(f->self, txn, block, sizeof block);
    if (rc == HILUM_OK)
        rc = f->t->sync(f->self, &txn, 1);
    assert_int_equal(rc, HILUM_EFULL);
    assert_true(strlen(provider_reason()) > 0);
    assert_true(f->t->sync(f->self, &txn, 1) < 0); /* broken stays broken */
    f->t->abort(f->self, txn);
    object_check(f, "before", 1, 100000);
    object_put(f, "after", 2, 100000);
    object_check(f, "after", 2, 100000);
    provider_close(&f->provider);
    assert_int_equal(umount2(f->root, MNT_DETACH), 0);
    store_open(f);
}

static void medium__read_only_is_told_while_reads_go_on(void **state)
{
    struct fixture *f = *state;
    void *txn = NULL;
    if (!small_medium(f))
        skip();
    object_put(f, "before", 1, 100000);
    provider_close(&f->provider);
    assert_int_equal(mount("tmpfs", f->root, NULL, MS_REMOUNT | MS_RDONLY, ""), 0);
    store_open(f);
    hilum_rc rc = f->t->begin(f->self, "x", 0, &txn);
    if (rc == HILUM_OK) {
        rc = f->t->append(f->self, txn, "abc", 3);
        if (rc == HILUM_OK)
            rc = f->t->sync(f->self, &txn, 1);
        f->t->abort(f->self, txn);
    }
    assert_int_equal(rc, HILUM_EDENIED);
    assert_int_equal(f->t->erase(f->self, "before"), HILUM_EDENIED);
    object_check(f, "before", 1, 100000);
    assert_int_equal(mount("tmpfs", f->root, NULL, MS_REMOUNT, ""), 0);
    object_put(f, "after", 2, 1000);
    object_check(f, "after", 2, 1000);
    provider_close(&f->provider);
    assert_int_equal(umount2(f->root, MNT_DETACH), 0);
    store_open(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s PLUGIN.so [key=value...]\n", argv[0]);
        return 2;
    }
    so = argv[1];
    options = (const char *const *)argv + 2;
    n_options = argc - 2;
    const struct CMUnitTest tests[] = {
        TEST(object__begun_synced_committed_is_read_back),
        TEST(object__not_committed_is_pending_and_readable),
        TEST(object__in_the_making_is_in_no_list),
        TEST(abort__at_any_point_leaves_nothing),
        TEST(sync__of_a_group_makes_every_object_of_it_pending),
        TEST(sync__of_nothing_succeeds),
        TEST(commit__before_sync_is_refused_and_never_final),
        TEST(begin__with_a_known_key_is_refused),
        TEST(key__of_invalid_form_is_refused_everywhere),
        TEST(read__of_a_range_gives_those_bytes_and_less_only_at_the_end),
        TEST(open_fd__where_offered_gives_the_object_at_its_offset),
        TEST(list__gives_final_objects_below_the_prefix_and_stops_when_told),
        TEST(erase__removes_final_and_pending_objects_and_knows_the_absent),
        TEST(space__is_told),
        TEST(start__after_a_kill_lists_the_synced_keeps_the_final_forgets_the_open),
        TEST(start__after_a_stop_has_every_committed_object),
        TEST(start__of_a_second_server_on_the_same_medium_is_refused),
        TEST(threads__work_on_different_keys_without_disturbing_each_other),
        TEST(medium__full_is_told_and_left_as_before_and_recovers),
        TEST(medium__read_only_is_told_while_reads_go_on),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
