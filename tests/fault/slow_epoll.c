/* A preloaded library under which a listening socket takes its time to leave an epoll set: what a version of a plugin that is
 * swapped must not close, others may still be about to take out. SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

enum { LATE_MS = 30 };

__attribute__((visibility("default"))) int epoll_ctl(int epfd, int op, int fd,
                                                     struct epoll_event *event)
{
    int (*next)(int, int, int, struct epoll_event *) = dlsym(RTLD_NEXT, "epoll_ctl");
    int listens = 0;
    socklen_t n = sizeof listens;
    if (op == EPOLL_CTL_DEL && getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n) == 0 &&
        listens != 0)
        nanosleep(&(struct timespec){.tv_nsec = LATE_MS * 1000000L}, NULL);
    return next(epfd, op, fd, event);
}
