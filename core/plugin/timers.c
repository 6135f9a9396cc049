/* One sorted list; thousands of timers at most, set and cancelled far more often than due.
 * `lock` guards it and is held while due() hands one out, which only queues.
 *
 * A list, not a heap: setting walks at most HL_TIMERS_MAX entries, some microseconds, and
 * cancelling would have to walk in any case.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/plugin/timers.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/base/error.h"

struct timer {
    struct timer *next; /* in the order they go off */
    int64_t at_ms;
    uint64_t id;
    void *owner;
    void (*run)(void *arg);
    void *arg;
};

struct hl_timers {
    void (*due)(void *due_arg, void *owner, void (*run)(void *arg), void *arg);
    void *due_arg;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct timer *first;
    size_t n;
    uint64_t last;
    bool has_thread, is_over;
};

hilum_rc hl_timers_new(void (*due)(void *due_arg, void *owner, void (*run)(void *arg), void *arg),
                       void *due_arg, struct hl_timers **out)
{
    struct hl_timers *timers = calloc(1, sizeof *timers);
    *out = timers;
    if (!timers)
        return hl_fail(HILUM_ENOMEM, "no memory for timers");
    timers->due = due;
    timers->due_arg = due_arg;
    pthread_mutex_init(&timers->lock, NULL);
    hl_mono_cond_init(&timers->changed);
    return HILUM_OK;
}

/* A due() under way ends first, as it is called by that thread. Timers that were set and never
 * went off are dropped. */
void hl_timers_free(struct hl_timers *timers)
{
    if (!timers)
        return;
    pthread_mutex_lock(&timers->lock);
    timers->is_over = true;
    pthread_cond_broadcast(&timers->changed);
    pthread_mutex_unlock(&timers->lock);
    if (timers->has_thread)
        pthread_join(timers->thread, NULL);
    while (timers->first) {
        struct timer *timer = timers->first;
        timers->first = timer->next;
        free(timer);
    }
    pthread_cond_destroy(&timers->changed);
    pthread_mutex_destroy(&timers->lock);
    free(timers);
}

/* Under the lock, until something is due or the end has come; what is due is taken out. */
static struct timer *wait_for_due(struct hl_timers *timers)
{
    while (!timers->is_over) {
        struct timer *timer = timers->first;
        if (!timer) {
            pthread_cond_wait(&timers->changed, &timers->lock);
            continue;
        }
        if (timer->at_ms <= hl_mono_ms()) {
            timers->first = timer->next;
            timers->n--;
            return timer;
        }
        struct timespec until = hl_mono_timespec(timer->at_ms);
        pthread_cond_timedwait(&timers->changed, &timers->lock, &until);
    }
    return NULL;
}

static void *timers_main(void *arg)
{
    struct hl_timers *timers = arg;
    pthread_mutex_lock(&timers->lock);
    for (struct timer *timer; (timer = wait_for_due(timers)) != NULL;) {
        /* Within the lock: after hl_timers_forget() nothing of that owner is handed out any more. */
        timers->due(timers->due_arg, timer->owner, timer->run, timer->arg);
        free(timer);
    }
    pthread_mutex_unlock(&timers->lock);
    return NULL;
}

/* Under the lock. */
static hilum_rc ensure_thread(struct hl_timers *timers)
{
    if (timers->has_thread)
        return HILUM_OK;
    if (pthread_create(&timers->thread, NULL, timers_main, timers) != 0)
        return hl_fail(HILUM_EAGAIN, "no thread for timers");
    (void)pthread_setname_np(timers->thread, "timers");
    timers->has_thread = true;
    return HILUM_OK;
}

static void insert(struct hl_timers *timers, struct timer *timer)
{
    struct timer **at = &timers->first;
    while (*at && (*at)->at_ms <= timer->at_ms) /* those of one moment in the order they were set */
        at = &(*at)->next;
    timer->next = *at;
    *at = timer;
    timers->n++;
}

hilum_rc hl_timers_set(struct hl_timers *timers, void *owner, uint32_t after_ms,
                       void (*run)(void *arg), void *arg, uint64_t *id)
{
    struct timer *timer = malloc(sizeof *timer);
    if (!timer)
        return hl_fail(HILUM_ENOMEM, "no memory for a timer");
    *timer =
        (struct timer){.at_ms = hl_mono_ms() + after_ms, .owner = owner, .run = run, .arg = arg};
    pthread_mutex_lock(&timers->lock);
    hilum_rc rc = timers->n < HL_TIMERS_MAX
                      ? ensure_thread(timers)
                      : hl_fail(HILUM_EFULL, "%d timers are set already", HL_TIMERS_MAX);
    if (rc == HILUM_OK) {
        *id = timer->id = ++timers->last;
        insert(timers, timer);
        pthread_cond_signal(&timers->changed);
    }
    pthread_mutex_unlock(&timers->lock);
    if (rc != HILUM_OK)
        free(timer);
    return rc;
}

/* Takes out what is this owner's: the one of this id, or (id 0) all. Counts them. */
static size_t take_out(struct hl_timers *timers, void *owner, uint64_t id)
{
    size_t taken = 0;
    pthread_mutex_lock(&timers->lock);
    for (struct timer **at = &timers->first; *at;) {
        struct timer *timer = *at;
        if (timer->owner != owner || (id && timer->id != id)) {
            at = &timer->next;
            continue;
        }
        *at = timer->next;
        timers->n--;
        taken++;
        free(timer);
    }
    pthread_mutex_unlock(&timers->lock);
    return taken;
}

hilum_rc hl_timers_cancel(struct hl_timers *timers, void *owner, uint64_t id)
{
    if (id && take_out(timers, owner, id))
        return HILUM_OK;
    return hl_fail(HILUM_ENOTFOUND, "timer %llu: it has gone off, or there is none",
                   (unsigned long long)id);
}

void hl_timers_forget(struct hl_timers *timers, void *owner)
{
    (void)take_out(timers, owner, 0);
}
