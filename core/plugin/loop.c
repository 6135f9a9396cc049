/* One thread for the descriptors of all plugins (epoll), started with the first watch or task.
 * `lock` guards lists and counts and is not held while code of a plugin runs. A watch is known
 * by a number, not by its address or descriptor, so that an event that was already fetched
 * cannot meet a newer watch.
 *
 * Why one thread for all: watches are for waiting, and what takes longer than 5 ms is told to
 * its plugin in the log. The price is that one plugin can hold the others up, which a worker
 * thread is there for.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/plugin/loop.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "hilum/host.h"

/* More would only make the first wait for the last. */
enum { AT_ONCE = 32 }; /* events taken from the kernel in one go */

struct watch {
    struct watch *next;
    uint64_t id; /* never 0, never used again */
    void *owner;
    int fd;
    bool
        is_asked; /* in the epoll set: not while events is 0, since a hang-up would be told for ever */
    bool is_gone; /* taken away while run() was under way: freed after it */
    void (*run)(void *arg, uint32_t events);
    void *arg;
};

struct task {
    struct task *next;
    void *owner;
    void (*run)(void *arg);
    void *arg;
};

struct hl_loop {
    struct hl_loop_user user;
    int epoll, wake;
    pthread_t thread;
    bool has_thread, is_over;
    pthread_mutex_t lock;
    pthread_cond_t returned; /* a run() has */
    struct watch *watches, *running;
    struct task *first, **last;
    size_t n_tasks;
    uint64_t last_id;
};

/* ---- life ---- */

hilum_rc hl_loop_new(const struct hl_loop_user *user, struct hl_loop **out)
{
    struct hl_loop *loop = calloc(1, sizeof *loop);
    *out = NULL;
    if (!loop)
        return hl_fail(HILUM_ENOMEM, "loop of plugins: no memory");
    loop->user = *user;
    loop->last = &loop->first;
    pthread_mutex_init(&loop->lock, NULL);
    pthread_cond_init(&loop->returned, NULL);
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    loop->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN}; /* data 0: the wake-up */
    if (loop->epoll < 0 || loop->wake < 0 ||
        epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->wake, &event) != 0) {
        hilum_rc rc = hl_fail(HILUM_EIO, "loop of plugins: %s", strerror(errno));
        hl_loop_free(loop);
        return rc;
    }
    *out = loop;
    return HILUM_OK;
}

/* An eventfd that is full is as good: the loop is about to read it. */
static void wake(const struct hl_loop *loop)
{
    const uint64_t one = 1;
    while (write(loop->wake, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

void hl_loop_free(struct hl_loop *loop)
{
    if (!loop)
        return;
    hl_loop_forget(loop, NULL);
    pthread_mutex_lock(&loop->lock);
    loop->is_over = true;
    pthread_mutex_unlock(&loop->lock);
    if (loop->has_thread) {
        wake(loop);
        pthread_join(loop->thread, NULL);
    }
    if (loop->epoll >= 0)
        close(loop->epoll);
    if (loop->wake >= 0)
        close(loop->wake);
    pthread_cond_destroy(&loop->returned);
    pthread_mutex_destroy(&loop->lock);
    free(loop);
}

/* ---- the thread ---- */

/* With the lock. */
static struct watch *find(const struct hl_loop *loop, uint64_t id)
{
    struct watch *watch = loop->watches;
    while (watch && watch->id != id)
        watch = watch->next;
    return watch;
}

/* Several events came at once: what an earlier one's run() has taken away is not found any
 * more. `before` within the lock, `after` without: see hl_loop_user. Between the two `running`
 * keeps the watch from being freed under its own call. */
static void tell(struct hl_loop *loop, uint64_t id, uint32_t events)
{
    uint32_t told = (events & EPOLLIN ? HILUM_READABLE : 0u) |
                    (events & EPOLLOUT ? HILUM_WRITABLE : 0u) |
                    (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP) ? HILUM_HUNG_UP : 0u);
    pthread_mutex_lock(&loop->lock);
    struct watch *watch = find(loop, id);
    if (!watch || !watch->is_asked) {
        pthread_mutex_unlock(&loop->lock);
        return;
    }
    void *owner = watch->owner;
    loop->running = watch;
    loop->user.before(loop->user.arg, owner);
    pthread_mutex_unlock(&loop->lock);
    int64_t since = hl_mono_ns();
    watch->run(watch->arg, told);
    int64_t ns = hl_mono_ns() - since;
    pthread_mutex_lock(&loop->lock);
    loop->running = NULL;
    if (watch->is_gone)
        free(watch);
    pthread_cond_broadcast(&loop->returned);
    pthread_mutex_unlock(&loop->lock);
    loop->user.after(loop->user.arg, owner, ns);
}

/* With the lock. */
static struct task *take_task(struct hl_loop *loop)
{
    struct task *task = loop->first;
    if (task && !(loop->first = task->next))
        loop->last = &loop->first;
    loop->n_tasks -= task != NULL;
    return task;
}

/* Those that are there now: one that asks for the next must not keep descriptors from being heard. */
static void run_tasks(struct hl_loop *loop)
{
    uint64_t times;
    ssize_t n = read(loop->wake, &times, sizeof times);
    (void)n;
    pthread_mutex_lock(&loop->lock);
    size_t left = loop->n_tasks;
    pthread_mutex_unlock(&loop->lock);
    for (; left > 0; left--) {
        pthread_mutex_lock(&loop->lock);
        struct task *task = take_task(loop);
        if (task)
            loop->user.before(loop->user.arg, task->owner);
        pthread_mutex_unlock(&loop->lock);
        if (!task)
            return;
        int64_t since = hl_mono_ns();
        task->run(task->arg);
        loop->user.after(loop->user.arg, task->owner, hl_mono_ns() - since);
        free(task);
    }
}

/* n < 0 is a signal; the loop asks again. */
static void *loop_main(void *arg)
{
    struct hl_loop *loop = arg;
    struct epoll_event events[AT_ONCE];
    bool is_over = false;
    while (!is_over) {
        int n = epoll_wait(loop->epoll, events, AT_ONCE, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.u64 == 0)
                run_tasks(loop);
            else
                tell(loop, events[i].data.u64, events[i].events);
        }
        pthread_mutex_lock(&loop->lock);
        is_over = loop->is_over;
        pthread_mutex_unlock(&loop->lock);
    }
    return NULL;
}

/* With the lock. */
static hilum_rc ensure_thread(struct hl_loop *loop)
{
    sigset_t all, before;
    if (loop->has_thread)
        return HILUM_OK;
    /* Signals are for the server's own threads. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    loop->has_thread = pthread_create(&loop->thread, NULL, loop_main, loop) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!loop->has_thread)
        return hl_fail(HILUM_EAGAIN, "no thread for the loop of plugins");
    (void)pthread_setname_np(loop->thread, "plugin-loop");
    return HILUM_OK;
}

/* ---- watches ---- */

/* With the lock. HILUM_EEXISTS: the descriptor is watched already. Level-triggered: what has
 * not been read is told again, so no event is lost by a plugin that reads little. */
static hilum_rc ask(const struct hl_loop *loop, struct watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = (events & HILUM_READABLE ? EPOLLIN : 0u) |
                                          (events & HILUM_WRITABLE ? EPOLLOUT : 0u),
                                .data.u64 = watch->id};
    int op = !events ? EPOLL_CTL_DEL : watch->is_asked ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    int failed =
        op == EPOLL_CTL_DEL && !watch->is_asked ? 0 : epoll_ctl(loop->epoll, op, watch->fd, &event);
    if (!failed || op == EPOLL_CTL_DEL) { /* closed before unwatch: the kernel has forgotten it */
        watch->is_asked = events != 0;
        return HILUM_OK;
    }
    return hl_fail(errno == EEXIST ? HILUM_EEXISTS : HILUM_EINVAL, "watch of descriptor %d: %s",
                   watch->fd, errno == EEXIST ? "it is watched already" : strerror(errno));
}

static size_t count(const struct hl_loop *loop, const void *owner)
{
    size_t n = 0;
    for (const struct watch *watch = loop->watches; watch; watch = watch->next)
        n += watch->owner == owner;
    return n;
}

hilum_rc hl_loop_watch(struct hl_loop *loop, void *owner, int fd, uint32_t events,
                       void (*run)(void *arg, uint32_t events), void *arg, uint64_t *id)
{
    struct watch *watch = calloc(1, sizeof *watch);
    *id = 0;
    if (!watch)
        return hl_fail(HILUM_ENOMEM, "watch of descriptor %d: no memory", fd);
    *watch = (struct watch){.owner = owner, .fd = fd, .run = run, .arg = arg};
    pthread_mutex_lock(&loop->lock);
    hilum_rc rc =
        count(loop, owner) < HL_LOOP_WATCHES
            ? ensure_thread(loop)
            : hl_fail(HILUM_EFULL, "a plugin watches at most %d descriptors", HL_LOOP_WATCHES);
    watch->id = ++loop->last_id;
    if (rc == HILUM_OK)
        rc = ask(loop, watch, events);
    if (rc == HILUM_OK) {
        *id = watch->id;
        watch->next = loop->watches;
        loop->watches = watch;
    }
    pthread_mutex_unlock(&loop->lock);
    if (rc != HILUM_OK)
        free(watch);
    return rc;
}

static hilum_rc no_watch(uint64_t id)
{
    return hl_fail(HILUM_ENOTFOUND, "watch %llu: is none of this plugin", (unsigned long long)id);
}

hilum_rc hl_loop_rewatch(struct hl_loop *loop, void *owner, uint64_t id, uint32_t events)
{
    pthread_mutex_lock(&loop->lock);
    struct watch *watch = find(loop, id);
    hilum_rc rc = watch && watch->owner == owner ? ask(loop, watch, events) : no_watch(id);
    pthread_mutex_unlock(&loop->lock);
    return rc;
}

/* With the lock: off the list and out of the set; freed unless its run() is under way, which then frees it. */
static void take_away(struct hl_loop *loop, struct watch **at)
{
    struct watch *watch = *at;
    *at = watch->next;
    (void)ask(loop, watch, 0);
    if (loop->running == watch)
        watch->is_gone = true;
    else
        free(watch);
}

/* When it returns, run() is not under way and will not be called, so `arg` may be freed. From
 * run() itself it does not wait, of course. */
hilum_rc hl_loop_unwatch(struct hl_loop *loop, void *owner, uint64_t id)
{
    pthread_mutex_lock(&loop->lock);
    struct watch **at = &loop->watches;
    while (*at && (*at)->id != id)
        at = &(*at)->next;
    struct watch *watch = *at;
    if (!watch || watch->owner != owner) {
        pthread_mutex_unlock(&loop->lock);
        return no_watch(id);
    }
    bool is_running = loop->running == watch;
    take_away(loop, at);
    /* Its address may be another's once it is freed, but only that thread frees it, and it wakes us then. */
    while (is_running && !pthread_equal(pthread_self(), loop->thread) && loop->running == watch)
        pthread_cond_wait(&loop->returned, &loop->lock);
    pthread_mutex_unlock(&loop->lock);
    return HILUM_OK;
}

/* ---- tasks ---- */

hilum_rc hl_loop_run(struct hl_loop *loop, void *owner, void (*run)(void *arg), void *arg)
{
    struct task *task = malloc(sizeof *task);
    if (!task)
        return hl_fail(HILUM_ENOMEM, "no memory for a task");
    *task = (struct task){.owner = owner, .run = run, .arg = arg};
    pthread_mutex_lock(&loop->lock);
    hilum_rc rc =
        loop->n_tasks < HL_LOOP_TASKS
            ? ensure_thread(loop)
            : hl_fail(HILUM_EFULL, "%d tasks wait for the loop of plugins", HL_LOOP_TASKS);
    if (rc == HILUM_OK) {
        *loop->last = task;
        loop->last = &task->next;
        loop->n_tasks++;
    }
    pthread_mutex_unlock(&loop->lock);
    if (rc != HILUM_OK)
        free(task);
    else
        wake(loop);
    return rc;
}

void hl_loop_forget(struct hl_loop *loop, void *owner)
{
    pthread_mutex_lock(&loop->lock);
    for (struct watch **at = &loop->watches; *at;)
        if (!owner || (*at)->owner == owner)
            take_away(loop, at);
        else
            at = &(*at)->next;
    for (struct task **at = &loop->first; *at;) {
        struct task *task = *at;
        if (owner && task->owner != owner) {
            at = &task->next;
            continue;
        }
        *at = task->next;
        loop->n_tasks--;
        free(task);
    }
    loop->last = &loop->first;
    while (*loop->last)
        loop->last = &(*loop->last)->next;
    pthread_mutex_unlock(&loop->lock);
}
