/* durable-probe DIR OBJECTS BYTES GROUP: what durability itself costs, and nothing else. GROUP threads each
 * write + fdatasync + rename + directory fsync an object, then one SQLite FULL commit for the group.
 * Prints objects per second. SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct lane {
    pthread_t thread;
    pthread_barrier_t *begin, *end;
    const char *dir;
    char *bytes;
    size_t size;
    int number, rounds, failed;
};

static int write_object(const struct lane *lane, int round)
{
    char pending[4096], final[4096];
    snprintf(pending, sizeof pending, "%s/p%d-%d", lane->dir, lane->number, round);
    snprintf(final, sizeof final, "%s/o%d-%d", lane->dir, lane->number, round);
    int fd = open(pending, O_WRONLY | O_CREAT | O_EXCL, 0640);
    int bad =
        fd < 0 || write(fd, lane->bytes, lane->size) != (ssize_t)lane->size || fdatasync(fd) != 0;
    if (fd >= 0)
        close(fd);
    int dir = open(lane->dir, O_RDONLY | O_DIRECTORY);
    bad |= rename(pending, final) != 0 || dir < 0 || fsync(dir) != 0;
    if (dir >= 0)
        close(dir);
    return bad;
}

static void *run(void *arg)
{
    struct lane *lane = arg;
    for (int i = 0; i < lane->rounds; i++) {
        pthread_barrier_wait(lane->begin);
        lane->failed |= write_object(lane, i);
        pthread_barrier_wait(lane->end);
    }
    return NULL;
}

static sqlite3 *open_database(const char *dir)
{
    char path[4096];
    sqlite3 *db = NULL;
    snprintf(path, sizeof path, "%s/probe.db", dir);
    if (sqlite3_open(path, &db) != SQLITE_OK ||
        sqlite3_exec(db,
                     "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                     "CREATE TABLE o (id INTEGER PRIMARY KEY, k TEXT, n INTEGER)",
                     NULL, NULL, NULL) != SQLITE_OK)
        return NULL;
    return db;
}

static void commit_group(sqlite3 *db, int group)
{
    sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
    for (int i = 0; i < group; i++)
        sqlite3_exec(db, "INSERT INTO o (k, n) VALUES ('objects/aa/bb/key', 525000)", NULL, NULL,
                     NULL);
    sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: durable-probe DIR OBJECTS BYTES GROUP\n");
        return 2;
    }
    int objects = atoi(argv[2]), group = atoi(argv[4]), failed = 0;
    size_t size = (size_t)atol(argv[3]);
    char *bytes = malloc(size);
    struct lane *lanes = calloc((size_t)group, sizeof *lanes);
    sqlite3 *db = open_database(argv[1]);
    if (!bytes || !lanes || !db)
        return 1;
    memset(bytes, 0x5A, size);
    pthread_barrier_t begin, end;
    pthread_barrier_init(&begin, NULL, (unsigned)group + 1);
    pthread_barrier_init(&end, NULL, (unsigned)group + 1);
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (int i = 0; i < group; i++) {
        lanes[i] = (struct lane){0, &begin, &end, argv[1], bytes, size, i, objects / group, 0};
        pthread_create(&lanes[i].thread, NULL, run, &lanes[i]);
    }
    for (int i = 0; i < objects / group; i++) {
        pthread_barrier_wait(&begin);
        pthread_barrier_wait(&end);
        commit_group(db, group);
    }
    for (int i = 0; i < group; i++) {
        pthread_join(lanes[i].thread, NULL);
        failed |= lanes[i].failed;
    }
    clock_gettime(CLOCK_MONOTONIC, &to);
    sqlite3_close(db);
    double seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
    printf("%.1f\n", objects / seconds);
    return failed;
}
