/* For valgrind, which does not know pidfds (3.19): a preloaded library that gives the same three calls by older ones. The
 * descriptor is a socket into which a thread writes once the child has died. SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))

enum { FDS = 4096 };

static _Atomic int pids[FDS], writers[FDS]; /* by descriptor */

static void *wait_for_death(void *arg)
{
    siginfo_t info;
    int fd = (int)(intptr_t)arg, writer = writers[fd];
    while (waitid(P_PID, (id_t)pids[fd], &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
    }
    (void)send(writer, "d", 1, MSG_NOSIGNAL); /* the host may have closed its end */
    close(writer);
    return NULL;
}

PUBLIC int pidfd_open(pid_t pid, unsigned flags)
{
    int ends[2];
    pthread_t thread;
    (void)flags;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return -1;
    if (ends[0] >= FDS) {
        errno = EMFILE;
        return -1;
    }
    pids[ends[0]] = pid;
    writers[ends[0]] = ends[1];
    if (pthread_create(&thread, NULL, wait_for_death, (void *)(intptr_t)ends[0]) != 0)
        return -1;
    pthread_detach(thread);
    return ends[0];
}

PUBLIC int pidfd_send_signal(int fd, int number, siginfo_t *info, unsigned flags)
{
    (void)info, (void)flags;
    return kill(pids[fd], number);
}

PUBLIC int waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
    static int (*real)(idtype_t, id_t, siginfo_t *, int);
    if (!real)
        *(void **)(&real) = dlsym(RTLD_NEXT, "waitid");
    return type == P_PIDFD ? real(P_PID, (id_t)pids[id], info, options)
                           : real(type, id, info, options);
}
