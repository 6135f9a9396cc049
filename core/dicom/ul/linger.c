/* Sockets after the last PDU: half-closed, drained, closed. It knows no association.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/base/clock.h"
#include "core/dicom/ul/server.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    LINGER_MS = 1000,
    STOPPING_MS = 100,
    MAX_LINGERS = 512,
    MAX_DISCARDED = 1024 * 1024 /* a peer that keeps sending after that gets a reset */
};

void hl_ul_forget(struct hl_ul_server *server, int fd)
{
    (void)epoll_ctl(server->epoll, EPOLL_CTL_DEL, fd, NULL);
    close(fd);
}

/* With the lock held. */
static void close_one(struct hl_ul_server *server, struct hl_ul_linger *linger)
{
    *(linger->prev ? &linger->prev->next : &server->lingers) = linger->next;
    *(linger->next ? &linger->next->prev : &server->last_linger) = linger->prev;
    server->n_lingers--;
    hl_ul_forget(server, linger->fd);
    free(linger);
}

/* Appended in order of deadline: all linger equally long. */
static void append(struct hl_ul_server *server, struct hl_ul_linger *linger)
{
    linger->prev = server->last_linger;
    *(linger->prev ? &linger->prev->next : &server->lingers) = linger;
    server->last_linger = linger;
    server->n_lingers++;
}

/* Without memory or room the socket is closed at once: the peer may miss our last PDU, no more. */
void hl_ul_linger_start(struct hl_ul_server *server, int fd)
{
    struct hl_ul_linger *linger = malloc(sizeof *linger);
    int64_t ms = server->is_stopping ? STOPPING_MS : LINGER_MS;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = linger};
    if (linger)
        *linger = (struct hl_ul_linger){
            .source = {HL_UL_LINGER}, .fd = fd, .deadline = hl_mono_ms() + ms};
    if (linger && !server->is_over && server->n_lingers < MAX_LINGERS &&
        epoll_ctl(server->epoll, EPOLL_CTL_MOD, fd, &event) == 0) {
        append(server, linger);
    } else {
        hl_ul_forget(server, fd);
        free(linger);
    }
}

/* Bounded in bytes as well as in time, for a peer may send as fast as it likes. */
void hl_ul_linger_event(struct hl_ul_server *server, struct hl_ul_linger *linger)
{
    /* MSG_TRUNC on TCP throws the bytes away without copying them. */
    ssize_t n = recv(linger->fd, NULL, 65536, MSG_TRUNC | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0 && (linger->discarded += (size_t)n) < MAX_DISCARDED)
        return;
    pthread_mutex_lock(&server->lock);
    close_one(server, linger);
    pthread_mutex_unlock(&server->lock);
}

void hl_ul_linger_expire(struct hl_ul_server *server, int64_t now)
{
    pthread_mutex_lock(&server->lock);
    while (server->lingers && server->lingers->deadline <= now)
        close_one(server, server->lingers);
    pthread_mutex_unlock(&server->lock);
}
