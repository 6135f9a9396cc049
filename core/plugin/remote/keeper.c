/* The thread that starts workers and looks after those that nobody calls.
 *
 * Lock order: the keeper's lock, then a remote's. Nobody may hold a remote's lock and ask the
 * keeper for anything; hl_keeper_spawn is called with none. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/plugin/remote/process.h"

enum { CHECK_MS = 1000 };

struct hl_keeper {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct hl_spawn *wanted; /* one at a time; NULL: none */
    bool done, stopping;
    struct hl_remote **remotes; /* those to be looked after */
    size_t n_remotes, cap_remotes;
};

/* ---- starting ---- */

/* Not the server's environment, which may hold secrets. A sanitiser's hunt for leaks at exit needs a process of its
 * own, which a worker may not start. */
static char locale[] = "LC_ALL=C", sanitiser[] = "ASAN_OPTIONS=detect_leaks=0";
static char *const environment[] = {locale, sanitiser, NULL};

/* 0 /dev/null, 1 and 2 the text file, 3 the socket, 4 the shared memory, and nothing else: a
 * descriptor of the server's that came along would be a way out of the jail. */
static int add_descriptors(posix_spawn_file_actions_t *actions, const struct hl_spawn *spawn)
{
    const int fds[] = {spawn->null_fd, spawn->text_fd, spawn->text_fd, spawn->sock,
                       spawn->memory_fd};
    int rc = 0;
    for (int i = 0; rc == 0 && i < 5; i++)
        rc = posix_spawn_file_actions_adddup2(actions, fds[i], i);
    return rc ? rc : posix_spawn_file_actions_addclosefrom_np(actions, 5);
}

static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(attributes, &none);
    posix_spawnattr_setsigdefault(attributes, &all);
    /* A group of its own: Ctrl-C at a terminal is for the server, which ends them in order. */
    posix_spawnattr_setpgroup(attributes, 0);
    return posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                    POSIX_SPAWN_SETPGROUP);
}

static void start(struct hl_spawn *spawn)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    char parent[16];
    char *arguments[] = {(char[]){"hilum-worker"}, parent, NULL};
    snprintf(parent, sizeof parent, "%d", (int)getpid());
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    spawn->error = add_descriptors(&actions, spawn);
    if (!spawn->error)
        spawn->error = set_attributes(&attributes);
    if (!spawn->error)
        spawn->error =
            posix_spawn(&spawn->pid, spawn->program, &actions, &attributes, arguments, environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
}

/* Hands the order to the thread and waits for its answer. */
void hl_keeper_spawn(struct hl_keeper *keeper, struct hl_spawn *spawn)
{
    pthread_mutex_lock(&keeper->lock);
    while (keeper->wanted)
        pthread_cond_wait(&keeper->changed, &keeper->lock);
    keeper->wanted = spawn;
    keeper->done = false;
    pthread_cond_broadcast(&keeper->changed);
    while (!keeper->done)
        pthread_cond_wait(&keeper->changed, &keeper->lock);
    keeper->wanted = NULL;
    keeper->done = false;
    pthread_cond_broadcast(&keeper->changed);
    pthread_mutex_unlock(&keeper->lock);
}

/* ---- the thread ---- */

hilum_rc hl_keeper_add(struct hl_keeper *keeper, struct hl_remote *remote)
{
    hilum_rc rc = HILUM_OK;
    pthread_mutex_lock(&keeper->lock);
    if (hl_grow(&keeper->remotes, &keeper->cap_remotes, keeper->n_remotes, sizeof remote))
        keeper->remotes[keeper->n_remotes++] = remote;
    else
        rc = hl_fail(HILUM_ENOMEM, "worker: no memory");
    pthread_mutex_unlock(&keeper->lock);
    return rc;
}

void hl_keeper_remove(struct hl_keeper *keeper, const struct hl_remote *remote)
{
    pthread_mutex_lock(&keeper->lock);
    for (size_t i = 0; i < keeper->n_remotes; i++)
        if (keeper->remotes[i] == remote)
            keeper->remotes[i] = keeper->remotes[--keeper->n_remotes];
    pthread_mutex_unlock(&keeper->lock);
}

/* Orders first, then once a second a look at idle workers. */
static void *keep(void *arg)
{
    struct hl_keeper *keeper = arg;
    int64_t next = hl_mono_ms() + CHECK_MS;
    pthread_mutex_lock(&keeper->lock);
    while (!keeper->stopping) {
        struct timespec until = hl_mono_timespec(next);
        if (keeper->wanted && !keeper->done) {
            start(keeper->wanted);
            keeper->done = true;
            pthread_cond_broadcast(&keeper->changed);
        } else if (hl_mono_ms() >= next) {
            /* With the lock, so that none of them goes away meanwhile; each takes microseconds. */
            for (size_t i = 0; i < keeper->n_remotes; i++)
                hl_remote_check_idle(keeper->remotes[i]);
            next = hl_mono_ms() + CHECK_MS;
        } else {
            pthread_cond_timedwait(&keeper->changed, &keeper->lock, &until);
        }
    }
    pthread_mutex_unlock(&keeper->lock);
    return NULL;
}

hilum_rc hl_keeper_new(struct hl_keeper **out)
{
    struct hl_keeper *keeper = calloc(1, sizeof *keeper);
    sigset_t all, before;
    if (!keeper)
        return hl_fail(HILUM_ENOMEM, "worker: no memory");
    pthread_mutex_init(&keeper->lock, NULL);
    hl_mono_cond_init(&keeper->changed);
    /* Signals are for the server's own threads. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&keeper->thread, NULL, keep, keeper);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error) {
        free(keeper);
        return hl_fail(hl_rc_from_errno(error), "worker: thread: %s", strerror(error));
    }
    *out = keeper;
    return HILUM_OK;
}

void hl_keeper_free(struct hl_keeper *keeper)
{
    if (!keeper)
        return;
    pthread_mutex_lock(&keeper->lock);
    keeper->stopping = true;
    pthread_cond_broadcast(&keeper->changed);
    pthread_mutex_unlock(&keeper->lock);
    pthread_join(keeper->thread, NULL);
    pthread_cond_destroy(&keeper->changed);
    pthread_mutex_destroy(&keeper->lock);
    free(keeper->remotes);
    free(keeper);
}
