/* Threads are detached and counted; the last thing one does is to take itself off the count and
 * wake who frees the pool. Invariant under `lock`: backlog is the length of the queue, idle the
 * number of threads waiting in next_task, and a task is queued only while a thread is there to
 * come for it. SPDX-License-Identifier: Apache-2.0 */
#include "core/base/pool.h"
#include "core/base/clock.h"
#include "core/base/error.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How long a thread waits for work before it ends, and its stack: hundreds of peers must not
 * reserve 8 MiB each. */
enum { IDLE_SECONDS = 10, STACK_BYTES = 1024 * 1024 };

struct task {
    struct task *next;
    void (*run)(void *arg);
    void *arg;
};

/* `last` points to the end of the queue: to `first` while that is empty. */
struct hl_pool {
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    struct task *first, **last;
    unsigned threads, idle, paused, max, backlog;
    bool stopping;
    char name[12];
};

/* With the lock held. NULL: nothing came for IDLE_SECONDS, or the pool stops and its queue is
 * empty, and the calling thread ends. A task that came together with the timeout is still taken,
 * for nobody else was woken for it. */
static struct task *next_task(struct hl_pool *pool)
{
    struct timespec until = hl_mono_timespec(hl_mono_ms() + (int64_t)IDLE_SECONDS * 1000);
    int waited = 0;
    pool->idle++;
    while (!pool->first && !pool->stopping && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&pool->work, &pool->lock, &until);
    pool->idle--;
    struct task *task = pool->first;
    if (task) {
        pool->first = task->next;
        if (!pool->first)
            pool->last = &pool->first;
        pool->backlog--;
    }
    return task;
}

static void *worker(void *arg)
{
    struct hl_pool *pool = arg;
    pthread_setname_np(pthread_self(), pool->name);
    pthread_mutex_lock(&pool->lock);
    for (struct task *task; (task = next_task(pool));) {
        pthread_mutex_unlock(&pool->lock);
        task->run(task->arg);
        free(task);
        pthread_mutex_lock(&pool->lock);
    }
    pool->threads--;
    pthread_cond_broadcast(&pool->done);
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

hilum_rc hl_pool_new(const char *name, unsigned max, struct hl_pool **out)
{
    struct hl_pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return hl_fail(HILUM_ENOMEM, "thread pool %s: out of memory", name);
    pthread_mutex_init(&pool->lock, NULL);
    hl_mono_cond_init(&pool->work);
    hl_mono_cond_init(&pool->done);
    pool->last = &pool->first;
    pool->max = max ? max : 1;
    snprintf(pool->name, sizeof pool->name, "%s", name);
    *out = pool;
    return HILUM_OK;
}

/* With the lock held. A pool that cannot start its first thread reports it; later ones queue. */
static hilum_rc add_thread(struct hl_pool *pool)
{
    pthread_attr_t attr;
    pthread_t thread;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    int failed = pthread_create(&thread, &attr, worker, pool);
    pthread_attr_destroy(&attr);
    if (failed && pool->threads == 0)
        return hl_fail(HILUM_ENOMEM, "thread pool %s: start thread: %s", pool->name,
                       strerror(failed));
    if (!failed)
        pool->threads++;
    return HILUM_OK;
}

/* With the lock held: tasks that wait for somebody outside do not count. A task that paused
 * still has its thread, which is why `paused` is added to the limit. */
static bool has_place(const struct hl_pool *pool)
{
    return pool->threads < pool->max + pool->paused;
}

hilum_rc hl_pool_run(struct hl_pool *pool, void (*run)(void *arg), void *arg)
{
    struct task *task = malloc(sizeof *task);
    if (!task)
        return hl_fail(HILUM_ENOMEM, "thread pool %s: out of memory", pool->name);
    *task = (struct task){.run = run, .arg = arg};
    hilum_rc rc = HILUM_OK;
    pthread_mutex_lock(&pool->lock);
    if (pool->stopping)
        rc = hl_fail(HILUM_ECLOSED, "thread pool %s: stopping", pool->name);
    else if (pool->backlog >= pool->idle && has_place(pool))
        rc = add_thread(pool);
    if (rc == HILUM_OK) {
        *pool->last = task;
        pool->last = &task->next;
        pool->backlog++;
        pthread_cond_signal(&pool->work);
    }
    pthread_mutex_unlock(&pool->lock);
    if (rc)
        free(task);
    return rc;
}

void hl_pool_pause(struct hl_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->paused++;
    /* A thread that cannot be started is not missed more than before. */
    if (pool->backlog > pool->idle && has_place(pool))
        (void)add_thread(pool);
    pthread_mutex_unlock(&pool->lock);
}

void hl_pool_resume(struct hl_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->paused--;
    pthread_mutex_unlock(&pool->lock);
}

unsigned hl_pool_backlog(struct hl_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    unsigned n = pool->backlog;
    pthread_mutex_unlock(&pool->lock);
    return n;
}

void hl_pool_free(struct hl_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->work);
    while (pool->threads > 0)
        pthread_cond_wait(&pool->done, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->work);
    pthread_cond_destroy(&pool->done);
    free(pool);
}
