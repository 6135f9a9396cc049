/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/store/probe.h"

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/clock.h"

struct probe {
    const char *dir;
    const void *bytes;
    size_t size;
    unsigned n, threads, next, waiting, faults;
    int dir_fd;
    sqlite3 *db;
    pthread_mutex_t lock;
    pthread_barrier_t group; /* a group of 4 shares one commit, as performance.md asks */
};

static bool object_write(struct probe *probe, unsigned i)
{
    char part[300], name[300];
    snprintf(part, sizeof part, "%s/%u.part", probe->dir, i);
    snprintf(name, sizeof name, "%s/%u", probe->dir, i);
    int fd = open(part, O_WRONLY | O_CREAT | O_EXCL, 0640);
    bool is_good = fd >= 0 && write(fd, probe->bytes, probe->size) == (ssize_t)probe->size &&
                   fdatasync(fd) == 0 && rename(part, name) == 0 && fsync(probe->dir_fd) == 0;
    if (fd >= 0)
        close(fd);
    return is_good;
}

static void commit(struct probe *probe)
{
    if (sqlite3_exec(probe->db, "BEGIN; INSERT INTO t VALUES(NULL, randomblob(200)); COMMIT;", NULL,
                     NULL, NULL) != SQLITE_OK)
        probe->faults++;
}

static void *probe_thread(void *arg)
{
    struct probe *probe = arg;
    unsigned rounds = probe->n / probe->threads;
    for (unsigned r = 0; r < rounds; r++) {
        pthread_mutex_lock(&probe->lock);
        unsigned i = probe->next++;
        pthread_mutex_unlock(&probe->lock);
        if (!object_write(probe, i))
            __atomic_fetch_add(&probe->faults, 1, __ATOMIC_RELAXED);
        int leader = pthread_barrier_wait(&probe->group);
        if (leader == PTHREAD_BARRIER_SERIAL_THREAD)
            commit(probe);
        pthread_barrier_wait(&probe->group);
    }
    return NULL;
}

double probe_run(const char *dir, const void *bytes, size_t size, unsigned n, unsigned threads)
{
    struct probe probe = {.dir = dir, .bytes = bytes, .size = size, .n = n, .threads = threads};
    char path[300];
    pthread_t ids[64];
    snprintf(path, sizeof path, "%s/probe.db", dir);
    probe.dir_fd = open(dir, O_RDONLY | O_DIRECTORY);
    pthread_mutex_init(&probe.lock, NULL);
    pthread_barrier_init(&probe.group, NULL, threads);
    if (probe.dir_fd < 0 || sqlite3_open(path, &probe.db) != SQLITE_OK ||
        sqlite3_exec(probe.db,
                     "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t(id INTEGER "
                     "PRIMARY KEY, b BLOB);",
                     NULL, NULL, NULL) != SQLITE_OK)
        return -1;
    int64_t start = hl_mono_ns();
    for (unsigned t = 0; t < threads; t++)
        pthread_create(&ids[t], NULL, probe_thread, &probe);
    for (unsigned t = 0; t < threads; t++)
        pthread_join(ids[t], NULL);
    double seconds = (double)(hl_mono_ns() - start) / 1e9;
    sqlite3_close(probe.db);
    close(probe.dir_fd);
    pthread_barrier_destroy(&probe.group);
    pthread_mutex_destroy(&probe.lock);
    return probe.faults == 0 ? (double)(n / threads * threads) / seconds : -1;
}
