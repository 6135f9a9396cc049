/* Start, exchange, death of one worker.
 *
 * Used by one thread at a time, the one that has made it busy; no lock of its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/plugin/remote/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"

enum {
    TEXT_SIZE = 4096,   /* of what a worker writes to its standard error */
    MAX_LOG_LINES = 64, /* that one call may write */
    GRACE_MS = 100,     /* a reply sent in time and read late is one */
    DYING_MS = 500,     /* between a closed socket and the end of the process */
    LOW_FD = 16,        /* descriptors for the child lie above those it will have */
    LOOK_MS = 50        /* between two looks whether anybody waits */
};

/* ---- start ---- */

/* posix_spawn duplicates to 0..4 one after the other: a source among them would be overwritten. */
static int above(int fd)
{
    int moved = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, LOW_FD);
    if (fd >= 0)
        close(fd);
    return moved;
}

/* A file without a name, -1 with errno. Shrinking is sealed: the server reads this memory, and a
 * page that is gone would be its own SIGBUS. */
static int new_memory(const char *name, off_t size, int seals)
{
    int fd = above(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (fd >= 0 && ((size && ftruncate(fd, size) != 0) || fcntl(fd, F_ADD_SEALS, seals) != 0)) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Of a process that has ended and been waited for. */
static void close_all(struct hl_process *process)
{
    int *fds[] = {&process->pidfd, &process->sock, &process->memory_fd, &process->text_fd};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
    if (process->memory)
        munmap(process->memory, process->memory_size);
    process->memory = NULL;
    process->memory_size = 0;
    process->pid = 0;
    process->cpu_ns = -1;
}

static hilum_rc make_parts(struct hl_process *process, struct hl_spawn *spawn)
{
    int pair[2] = {-1, -1};
    process->memory_fd = new_memory("hilum-call", 0, F_SEAL_SHRINK);
    process->text_fd = new_memory("hilum-stderr", TEXT_SIZE, F_SEAL_SHRINK | F_SEAL_GROW);
    spawn->null_fd = above(open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0) {
        process->sock = pair[0];
        spawn->sock = above(pair[1]);
    }
    spawn->memory_fd = process->memory_fd;
    spawn->text_fd = process->text_fd;
    if (process->memory_fd < 0 || process->text_fd < 0 || spawn->null_fd < 0 || spawn->sock < 0)
        return hl_fail(hl_rc_from_errno(errno), "worker: %s", strerror(errno));
    return HILUM_OK;
}

hilum_rc hl_process_start(struct hl_process *process, struct hl_keeper *keeper, const char *program)
{
    struct hl_spawn spawn = {.program = program, .null_fd = -1, .sock = -1};
    process->birth++;
    memset(process->metrics, 0, sizeof process->metrics);
    process->pidfd = process->sock = process->memory_fd = process->text_fd = -1;
    hilum_rc rc = make_parts(process, &spawn);
    if (rc == HILUM_OK) {
        hl_keeper_spawn(keeper, &spawn);
        if (spawn.error)
            rc = hl_fail(hl_rc_from_errno(spawn.error), "%s: %s", program, strerror(spawn.error));
        process->pid = spawn.pid;
    }
    /* It is our child and nobody has waited for it, so its number cannot be another's yet. */
    if (rc == HILUM_OK && (process->pidfd = pidfd_open(process->pid, 0)) < 0)
        rc = hl_fail(HILUM_EUNSUP, "pidfd_open: %s", strerror(errno));
    if (spawn.null_fd >= 0)
        close(spawn.null_fd);
    if (spawn.sock >= 0)
        close(spawn.sock);
    if (rc != HILUM_OK) {
        if (process->pid > 0 && kill(process->pid, SIGKILL) == 0)
            waitpid(process->pid, NULL, 0);
        close_all(process);
    }
    return rc;
}

/* ---- calls ---- */

/* Grows only. The file first, then the mapping: the worker maps the same size when the call
 * arrives. */
hilum_rc hl_process_share(struct hl_process *process, uint64_t size)
{
    size = hl_wire_align(size ? size : 1);
    if (size <= process->memory_size)
        return HILUM_OK;
    if (process->memory)
        munmap(process->memory, process->memory_size);
    process->memory = NULL;
    process->memory_size = 0;
    if (ftruncate(process->memory_fd, (off_t)size) != 0)
        return hl_fail(HILUM_ENOMEM, "shared memory of %llu bytes: %s", (unsigned long long)size,
                       strerror(errno));
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, process->memory_fd, 0);
    if (memory == MAP_FAILED)
        return hl_fail(HILUM_ENOMEM, "shared memory of %llu bytes: %s", (unsigned long long)size,
                       strerror(errno));
    process->memory = memory;
    process->memory_size = size;
    return HILUM_OK;
}

/* The text is a stranger's; hl_log makes it one line. */
static void log_line(struct hl_process *process, const char *id)
{
    static const enum hl_log_level levels[] = {HL_DEBUG, HL_INFO, HL_WARN, HL_ERROR};
    int32_t level = hl_wire_head(&process->wire).rc;
    const char *line = hl_wire_text(&process->wire);
    if (line)
        hl_log(level >= 0 && level <= 3 ? levels[level] : HL_ERROR, id, "%s", line);
}

/* An answer is a reply too: its outcome is the plugin's to deal with, not the end of the call.
 * Programs may be asked for in any exchange, everything else only where the caller has said who
 * answers. */
static hilum_rc answer(struct hl_process *process, uint32_t what)
{
    hl_wire_begin_reply(&process->answer, HL_WIRE_ANSWER, what);
    hilum_rc rc = what >= HL_ASK_CHILD_INPUT && what <= HL_ASK_CHILD_MORE
                      ? hl_remote_ask_child(process, what, &process->answer)
                  : process->ask
                      ? process->ask(process->ask_arg, what, &process->wire, &process->answer)
                      : hl_fail(HILUM_EDENIED, "this call may not ask");
    hl_wire_finish_reply(&process->answer, rc, hl_error_of(rc));
    return hl_wire_send(process->sock, &process->answer);
}

/* The next message of the worker, until the deadline, which may be put off meanwhile. A decoder asks nobody whether it
 * should go on, so we do. */
static hilum_rc receive(struct hl_process *process)
{
    for (;;) {
        int64_t until = process->deadline_ms, look = hl_mono_ms() + LOOK_MS;
        hilum_rc rc = hl_wire_receive(process->sock, &process->wire,
                                      process->go_on && look < until ? look : until);
        if (rc != HILUM_ETIMEDOUT)
            return rc;
        if (process->go_on && process->go_on(process->go_on_arg) != HILUM_OK)
            return hl_fail(HILUM_ECANCELLED, "nobody waits for this any more");
        if (hl_mono_ms() >= until)
            rc = hl_process_more_time(process);
        else
            rc = HILUM_OK;
        if (rc != HILUM_OK)
            return rc;
    }
}

/* false: the worker must be ended, whatever it is doing: HILUM_ETIMEDOUT, HILUM_ECLOSED (it
 * died), HILUM_ECORRUPT, HILUM_ECANCELLED or HILUM_EAGAIN (the machine is too busy). Everything
 * between request and reply is bounded by the deadline. */
bool hl_process_exchange(struct hl_process *process, const char *id, int64_t deadline_ms,
                         hilum_rc *rc)
{
    unsigned lines = 0;
    hl_process_begin(process, deadline_ms);
    *rc = hl_wire_send(process->sock, &process->wire);
    /* Our own message was too long: the worker has not seen it and is well. */
    if (*rc == HILUM_EFULL)
        return true;
    while (*rc == HILUM_OK) {
        *rc = receive(process);
        if (*rc != HILUM_OK)
            return false;
        /* Whoever never stops talking gets no more time than whoever says nothing. */
        if (hl_mono_ms() >= process->deadline_ms + GRACE_MS) {
            *rc = hl_fail(HILUM_ETIMEDOUT, "it talked until the deadline");
            return false;
        }
        struct hl_wire_head head = hl_wire_head(&process->wire);
        if (head.type == HL_WIRE_REPLY && head.number == process->number) {
            *rc = hl_wire_outcome(&process->wire);
            if (process->wire.bad)
                *rc = hl_fail(HILUM_ECORRUPT, "a reply that ends early");
            return !process->wire.bad;
        }
        if (head.type == HL_WIRE_ASK)
            *rc = hl_mono_ms() < process->deadline_ms
                      ? answer(process, head.number)
                      : hl_fail(HILUM_ETIMEDOUT, "it asked until the deadline");
        else if (head.type == HL_WIRE_METRIC)
            *rc = hl_remote_count(process);
        else if (head.type != HL_WIRE_LOG)
            *rc = hl_fail(HILUM_ECORRUPT, "a message of type %u", head.type);
        else if (lines++ < MAX_LOG_LINES)
            log_line(process, id);
    }
    return false;
}

/* ---- death ---- */

/* The first line that says something of what it wrote to its standard error: libc and sanitisers tell there what they
 * found, the latter below a line of signs. */
static void append_text(const struct hl_process *process, char *why, size_t size)
{
    char text[320] = "";
    size_t at = strlen(why), n = 0;
    ssize_t got = pread(process->text_fd, text, sizeof text - 1, 0);
    text[got > 0 ? got : 0] = '\0';
    const char *line = text;
    while (line[strspn(line, "=-*# ")] == '\n')
        line += strcspn(line, "\n") + 1;
    char said[160];
    for (; n < sizeof said - 1 && line[n] != '\0' && line[n] != '\n'; n++)
        said[n] =
            (char)((unsigned char)line[n] < 0x20 || (unsigned char)line[n] > 0x7E ? '?' : line[n]);
    said[n] = '\0';
    if (n)
        snprintf(why + at, size - at, " (%s)", said);
}

/* "ended by signal 11 (Segmentation fault)", and what it wrote last. */
static void describe_death(const struct hl_process *process, const siginfo_t *info, char *why)
{
    enum { WHY = 256 };
    if (info->si_code == CLD_EXITED)
        snprintf(why, WHY, "ended by itself with status %d", info->si_status);
    else if (info->si_status == SIGSYS)
        snprintf(why, WHY,
                 "tried what no worker may (start a process, run a program, change "
                 "rights)");
    else
        snprintf(why, WHY, "ended by signal %d (%s)", info->si_status, strsignal(info->si_status));
    append_text(process, why, WHY);
}

/* SIGKILL, since a worker has nothing to save. Waits for it, so that no zombie is left and the
 * number is not reused while we hold it. */
void hl_process_stop(struct hl_process *process, char *why)
{
    siginfo_t info = {0};
    struct pollfd death = {.fd = process->pidfd, .events = POLLIN};
    if (process->pid <= 0)
        return;
    /* Somebody who asks how it ended has seen its socket close: it may have a moment left to die of its own. */
    if (!why || poll(&death, 1, DYING_MS) <= 0)
        pidfd_send_signal(process->pidfd, SIGKILL, NULL, 0);
    while (waitid(P_PIDFD, (id_t)process->pidfd, &info, WEXITED) != 0 && errno == EINTR) {
    }
    if (why)
        describe_death(process, &info, why);
    close_all(process);
}

/* Processor time of all its threads; -1: it cannot be had. */
int64_t hl_process_cpu_ns(const struct hl_process *process)
{
    clockid_t clock;
    struct timespec used;
    if (clock_getcpuclockid(process->pid, &clock) != 0 || clock_gettime(clock, &used) != 0)
        return -1;
    return (int64_t)used.tv_sec * 1000000000 + used.tv_nsec;
}
