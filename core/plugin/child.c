/* One child process on behalf of a plugin: pipes, limits, a deadline, and no zombie left. Runs
 * on the calling thread, which waits; many at once. The child gets nothing of the server: no
 * descriptor, no environment, no signal mask, no way to more rights.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/plugin/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/error.h"

/* 127 is the shells' word for "could not be run", 256 + n stands for signal n, beyond any exit
 * status (HILUM_CHILD_SIGNAL). */
enum { DEFAULT_MS = 60000, LONGEST_MS = 3600000, PIECE = 65536, SIGNALLED = 256, LOOK_MS = 100 };
#define DEFAULT_MEMORY (UINT64_C(1) << 30)
#define DEFAULT_OUTPUT (UINT64_C(64) << 20)

/* One child and our ends of its pipes; -1: closed. */
struct running {
    const struct hilum_child *child;
    pid_t pid;
    int in, out, err;
    uint64_t fed, printed;
    int64_t deadline;
    hilum_rc (*go_on)(void *arg); /* the child's, where it has one */
};

static void close_end(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* ---- in the child: nothing but what may be called between fork and exec of a program with threads ---- */

static void limit(__rlimit_resource_t resource, uint64_t value)
{
    const struct rlimit both = {value, value};
    (void)setrlimit(resource, &both);
}

/* Every failure ends the child with 127, as shells do for a program that cannot be run. Only
 * async-signal-safe calls: other threads may have held any lock of libc at the fork. HOME
 * leads nowhere, so that no program reads a configuration of somebody's. */
static void become(const struct hilum_child *child, const int ends[3])
{
    static char *const environment[] = {"PATH=/usr/bin:/bin", "LANG=C.UTF-8", "HOME=/nonexistent",
                                        NULL};
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)setpgid(0, 0); /* so that its own children end with it */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    for (int i = 0; i < 3; i++)
        if (dup2(ends[i], i) < 0)
            _exit(127);
    if (close_range(3, ~0u, 0) != 0 || chdir("/") != 0)
        _exit(127);
    limit(RLIMIT_AS, child->memory_max ? child->memory_max : DEFAULT_MEMORY);
    limit(RLIMIT_CORE, 0);
    /* argv is the caller's and not written to: execve's type is older than const. */
    execve(child->argv[0], (char *const *)(uintptr_t)child->argv, environment);
    _exit(127);
}

/* ---- here ---- */

/* Our own ends are closed on exec in every other child that is started meanwhile (O_CLOEXEC).
 * Pipes as they are, whatever fails: the caller closes and reaps. fork, not posix_spawn, for
 * the limits and the group. */
static hilum_rc spawn(struct running *run)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1};
    hilum_rc rc = HILUM_OK;
    run->pid = -1;
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0)
        rc = hl_fail(HILUM_EAGAIN, "%s: no pipes: %s", run->child->argv[0], strerror(errno));
    if (rc == HILUM_OK)
        run->pid = fork();
    if (run->pid == 0)
        become(run->child, (const int[]){in[0], out[1], err[1]});
    if (rc == HILUM_OK && run->pid < 0)
        rc = hl_fail(HILUM_EAGAIN, "%s: fork: %s", run->child->argv[0], strerror(errno));
    close_end(&in[0]);
    close_end(&out[1]);
    close_end(&err[1]);
    run->in = in[1];
    run->out = out[0];
    run->err = err[0];
    if (run->in >= 0)
        (void)fcntl(run->in, F_SETFL, O_NONBLOCK);
    return rc;
}

/* SIGPIPE is ignored by the server, so a program that has ended is an error of write(). Not
 * blocking: a program that writes before it reads would else stand still with us. */
static hilum_rc feed(struct running *run)
{
    const struct hilum_child *child = run->child;
    ssize_t n = run->fed < child->n
                    ? write(run->in, (const char *)child->input + run->fed, child->n - run->fed)
                    : 0;
    if (n > 0)
        run->fed += (uint64_t)n;
    /* A program that does not want all of its input is none of our business. */
    if (run->fed == child->n || (n < 0 && errno != EAGAIN && errno != EINTR))
        close_end(&run->in);
    return HILUM_OK;
}

/* `printed` counts both outputs. A NULL sink: read and dropped, so that the program does not
 * stand still. */
static hilum_rc drain(struct running *run, int *fd, struct hilum_sink *sink)
{
    static const char too_much[] = "%s: prints more than %llu bytes";
    char piece[PIECE];
    ssize_t n = read(*fd, piece, sizeof piece);
    if (n <= 0) {
        close_end(fd);
        return HILUM_OK;
    }
    uint64_t most = run->child->output_max ? run->child->output_max : DEFAULT_OUTPUT;
    run->printed += (uint64_t)n;
    if (run->printed > most)
        return hl_fail(HILUM_EFULL, too_much, run->child->argv[0], (unsigned long long)most);
    return sink ? sink->write(sink->ctx, piece, (uint64_t)n) : HILUM_OK;
}

/* Until it has closed both of its outputs. */
static hilum_rc converse(struct running *run)
{
    hilum_rc rc = HILUM_OK;
    while (rc == HILUM_OK && (run->out >= 0 || run->err >= 0)) {
        struct pollfd fds[3] = {
            {run->in, POLLOUT, 0}, {run->out, POLLIN, 0}, {run->err, POLLIN, 0}};
        int64_t left = run->deadline - hl_mono_ms();
        bool is_look = run->go_on && left > LOOK_MS;
        if (run->go_on && (rc = run->go_on(run->child->go_on_arg)) != HILUM_OK)
            return rc;
        int n = left > 0 ? poll(fds, 3, is_look ? LOOK_MS : (int)left) : 0;
        if ((n < 0 && errno == EINTR) || (n == 0 && is_look))
            continue;
        if (n <= 0)
            return hl_fail(HILUM_ETIMEDOUT, "%s: is not done in time", run->child->argv[0]);
        if (fds[0].revents)
            rc = feed(run);
        if (rc == HILUM_OK && fds[1].revents)
            rc = drain(run, &run->out, run->child->output);
        if (rc == HILUM_OK && fds[2].revents)
            rc = drain(run, &run->err, run->child->errors);
    }
    return rc;
}

/* It may close its outputs and go on: polled, since waiting has no deadline of its own. What it left behind is killed
 * while it is not buried yet: as long as it is there no other group can have its number. */
static hilum_rc reap(struct running *run, int *status)
{
    const struct timespec tick = {.tv_nsec = 1000000};
    siginfo_t ended = {.si_pid = 0};
    while (waitid(P_PID, (id_t)run->pid, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           ended.si_pid == 0) {
        if (hl_mono_ms() >= run->deadline)
            return hl_fail(HILUM_ETIMEDOUT, "%s: is not done in time", run->child->argv[0]);
        nanosleep(&tick, NULL);
    }
    (void)kill(-run->pid, SIGKILL);
    (void)waitpid(run->pid, status, 0);
    run->pid = -1;
    return HILUM_OK;
}

/* Of one that is not done: HILUM_EFULL, a sink that failed, the deadline. After SIGKILL
 * waiting cannot last. */
static void kill_all(struct running *run)
{
    if (run->pid <= 0)
        return;
    (void)kill(-run->pid, SIGKILL); /* the group: before setpgid it has none, hence both */
    (void)kill(run->pid, SIGKILL);
    (void)waitpid(run->pid, NULL, 0);
}

/* Whatever happens, its group is killed at the end (reap, kill_all): a program may have left children behind. */
hilum_rc hl_child_run(const struct hilum_child *child, int32_t *status)
{
    uint32_t ms = child->deadline_ms ? child->deadline_ms : DEFAULT_MS;
    struct running run = {.child = child, .in = -1, .out = -1, .err = -1};
    if (HILUM_HAS(struct hilum_child, child->size, go_on_arg))
        run.go_on = child->go_on;
    int raw = 0;
    run.deadline = hl_mono_ms() + (ms < LONGEST_MS ? ms : LONGEST_MS);
    if (access(child->argv[0], X_OK) != 0)
        return hl_fail(HILUM_ENOTFOUND, "%s: %s", child->argv[0], strerror(errno));
    hilum_rc rc = spawn(&run);
    if (rc == HILUM_OK)
        rc = converse(&run);
    close_end(&run.in);
    close_end(&run.out);
    close_end(&run.err);
    if (rc == HILUM_OK)
        rc = reap(&run, &raw);
    kill_all(&run);
    if (rc == HILUM_OK)
        *status = WIFSIGNALED(raw) ? SIGNALLED + WTERMSIG(raw) : WEXITSTATUS(raw);
    return rc;
}
