/* The plain half of the I/O table and what every socket of ours is set to: non-blocking,
 * TCP_NODELAY, keep-alive. It knows no PDU; waiting is the association's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/base/error.h"
#include "core/dicom/ul/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* After a system call that returned -1. A signal is as good as "not now": the caller polls and
 * comes again. */
static ssize_t failed(struct hl_ul_io *io, short want)
{
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
        io->want = want;
        return HL_UL_IO_AGAIN;
    }
    hl_fail(hl_rc_from_errno(errno), "%s", strerror(errno));
    return HL_UL_IO_FAILED;
}

static ssize_t plain_read(struct hl_ul_io *io, void *out, size_t n)
{
    ssize_t got = recv(io->fd, out, n, 0);
    return got >= 0 ? got : failed(io, POLLIN);
}

/* MSG_NOSIGNAL: a peer that has gone is an error code here, not a SIGPIPE for the process. */
static ssize_t plain_write(struct hl_ul_io *io, const struct iovec *iov, int n)
{
    struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n};
    ssize_t sent = sendmsg(io->fd, &message, MSG_NOSIGNAL | (io->is_more ? MSG_MORE : 0));
    return sent >= 0 ? sent : failed(io, POLLOUT);
}

/* Nothing to negotiate: the tables stay alike, their users know no difference. */
static int plain_handshake(struct hl_ul_io *io)
{
    (void)io;
    return 1;
}

static void plain_finish(struct hl_ul_io *io)
{
    (void)io;
}

static const struct hl_ul_io_ops plain = {plain_read, plain_write, plain_handshake, plain_finish};

/* Failing socket options cost speed, not correctness: not reported. */
hilum_rc hl_ul_io_init(struct hl_ul_io *io, int fd, struct hl_ul_tls *tls)
{
    int one = 1;
    *io = (struct hl_ul_io){.ops = &plain, .fd = fd, .want = POLLIN};
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    hl_ul_io_quickack(io);
    return tls ? hl_ul_tls_attach(io, tls) : HILUM_OK;
}

/* Not sticky: Linux clears it by itself, so it is set again before each wait and after each
 * write. */
void hl_ul_io_quickack(const struct hl_ul_io *io)
{
    int one = 1;
    setsockopt(io->fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof one);
}

/* For the requestor; an accepted socket lingers instead (linger.c). */
void hl_ul_io_close(struct hl_ul_io *io)
{
    if (!io->ops)
        return;
    io->ops->finish(io);
    close(io->fd);
    *io = (struct hl_ul_io){.fd = -1};
}

/* An IPv4 peer of a dual-stack listener must match rules written for its IPv4 address. */
void hl_ul_address_text(const struct sockaddr_storage *from, char *text, size_t size,
                        uint16_t *port)
{
    const struct sockaddr_in6 *v6 = (const void *)from;
    const struct sockaddr_in *v4 = (const void *)from;
    struct sockaddr_storage plain_v4 = {.ss_family = AF_INET};
    *port = ntohs(from->ss_family == AF_INET6 ? v6->sin6_port : v4->sin_port);
    if (from->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
        memcpy(&((struct sockaddr_in *)&plain_v4)->sin_addr, &v6->sin6_addr.s6_addr[12], 4);
        from = &plain_v4;
    }
    socklen_t n = from->ss_family == AF_INET6 ? sizeof *v6 : sizeof *v4;
    if (getnameinfo((const void *)from, n, text, (socklen_t)size, NULL, 0, NI_NUMERICHOST) != 0)
        snprintf(text, size, "?");
}
