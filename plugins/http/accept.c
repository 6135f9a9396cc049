/* Who takes connections from a listening socket: a thread for each, which hands them to the library's event loops.
 *
 * Why not the library: a version that is swapped has to stop accepting while its loops go on, and the library's own way
 * (MHD_quiesce_daemon) races with its loops for the socket's place in their epoll sets; whoever comes second ends the
 * process. Here the door is ours, and the library has no listening socket at all.
 *
 * At the limit of connections nobody is accepted and nobody refused: who comes waits in the socket's queue, as it would with
 * the library. SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* PAUSE_MS: how soon it looks again where there is no room, or no descriptor. */
enum { PAUSE_MS = 20 };

static bool is_full(const struct http_listener *listener)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(listener->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
    return info != NULL && info->num_connections >= listener->max_connections;
}

/* The library closes what it does not take: one connection too many of an address, or no memory. */
static bool one_accept(const struct http_listener *listener)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    int fd =
        accept4(listener->fd, (struct sockaddr *)&address, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
        (void)MHD_add_connection(listener->daemon, fd, (struct sockaddr *)&address, size);
    return fd >= 0;
}

/* Another version may be at the same socket, so accept may find nothing where poll found something. What fails otherwise (no
 * descriptor, no memory) passes. */
static void *accept_run(void *arg)
{
    struct http_listener *listener = arg;
    struct pollfd fds[] = {{.fd = listener->stop_fd, .events = POLLIN},
                           {.fd = listener->fd, .events = POLLIN}};
    bool is_paused = false;
    for (;;) {
        fds[1].events = is_paused ? 0 : POLLIN;
        int n = poll(fds, 2, is_paused ? PAUSE_MS : -1);
        if (fds[0].revents != 0)
            return NULL;
        is_paused = is_full(listener);
        if (n > 0 && fds[1].revents != 0 && !is_paused && !one_accept(listener))
            is_paused = errno != EAGAIN && errno != EINTR && errno != ECONNABORTED;
    }
}

/* The socket is shared with other versions: none may block in accept. */
bool http_accept_start(struct http_listener *listener)
{
    int flags = fcntl(listener->fd, F_GETFL);
    listener->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    listener->is_accepting = listener->stop_fd >= 0 && flags >= 0 &&
                             fcntl(listener->fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
                             pthread_create(&listener->acceptor, NULL, accept_run, listener) == 0;
    if (!listener->is_accepting && listener->stop_fd >= 0)
        close(listener->stop_fd);
    return listener->is_accepting;
}

void http_accept_stop(struct http_listener *listener)
{
    const uint64_t one = 1;
    if (!listener->is_accepting)
        return;
    ssize_t n = write(listener->stop_fd, &one, sizeof one);
    (void)n; /* an eventfd that was never written takes it */
    pthread_join(listener->acceptor, NULL);
    close(listener->stop_fd);
    close(listener->fd);
    listener->is_accepting = false;
}
