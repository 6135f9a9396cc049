/* Listening sockets from addresses as people write them. It knows no connection.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/base/error.h"
#include "core/dicom/ul/server.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BACKLOG = 511 };

/* "[host]:port" or "host:port"; host may be empty. */
static bool split(const char *address, char *host, size_t size, const char **port)
{
    const char *colon = strrchr(address, ':');
    if (!colon || !colon[1])
        return false;
    size_t n = (size_t)(colon - address);
    const char *start = address;
    if (n >= 2 && address[0] == '[' && colon[-1] == ']') {
        start++;
        n -= 2;
    } else if (memchr(address, ':', n)) {
        return false; /* an IPv6 address without brackets: which colon ends it? */
    }
    if (n >= size)
        return false;
    memcpy(host, start, n);
    host[n] = 0;
    *port = colon + 1;
    return true;
}

/* V6ONLY off: "[::]" serves IPv4 peers too, who then appear as mapped addresses. */
static int bind_one(const struct addrinfo *info)
{
    int one = 1, zero = 0;
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (info->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    if (bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int reason = errno;
    close(fd);
    errno = reason;
    return -1;
}

/* Port 0 lets the system choose; callers and tests need to know what it chose. */
static uint16_t port_of(int fd)
{
    struct sockaddr_storage bound = {0};
    socklen_t n = sizeof bound;
    char text[64];
    uint16_t port = 0;
    if (getsockname(fd, (void *)&bound, &n) == 0)
        hl_ul_address_text(&bound, text, sizeof text, &port);
    return port;
}

/* Addresses are numeric by the schema; getaddrinfo is used for its parsing. Main thread, at
 * start. */
hilum_rc hl_ul_listen_open(const char *address, int *fd, uint16_t *port)
{
    char host[256];
    const char *service;
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    if (!split(address, host, sizeof host, &service))
        return hl_fail(HILUM_EINVAL,
                       "listen %s: write \"host:port\", \"[IPv6 address]:port\" or \":port\"",
                       address);
    int failed = getaddrinfo(host[0] ? host : "::", service, &hints, &list);
    if (failed)
        return hl_fail(HILUM_EINVAL, "listen %s: %s", address, gai_strerror(failed));
    *fd = bind_one(list);
    freeaddrinfo(list);
    if (*fd < 0 && !host[0] && errno == EAFNOSUPPORT && /* a kernel without IPv6 */
        getaddrinfo("0.0.0.0", service, &hints, &list) == 0) {
        *fd = bind_one(list);
        freeaddrinfo(list);
    }
    if (*fd < 0)
        return hl_fail(HILUM_EINVAL, "listen %s: %s", address, strerror(errno));
    *port = port_of(*fd);
    return HILUM_OK;
}
