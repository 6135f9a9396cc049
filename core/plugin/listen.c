/* Listening sockets that belong to the host and are lent to plugins, so that a newer version goes on with the socket of the
 * older one: who connects in between waits in its queue. It knows nothing of what is said there.
 *
 * Why the host owns them: the queue of the kernel belongs to a socket as long as one copy of it
 * is open. The host's copy stays open between two versions, so a client that connects then is
 * answered by the next one.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/plugin/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/error.h"

/* 16 addresses a plugin: enough for every interface of a machine, and no way to use up
 * descriptors. */
enum { EACH = 16, ADDRESS = 128 };

struct hl_listening {
    struct hl_listening *next;
    char owner[80], address[ADDRESS];
    const void *taker; /* the version that has it; compared only */
    int fd;
};

/* getaddrinfo would take 99999, and listen on what is left of it in 16 bits. */
static bool is_port(const char *text)
{
    size_t n = strlen(text);
    return n > 0 && n <= 5 && strspn(text, "0123456789") == n && strtol(text, NULL, 10) <= 65535;
}

/* "127.0.0.1:8080", "[::]:8080", ":0". Numbers only: a name would ask the network. */
static hilum_rc resolve(const char *address, struct addrinfo **out)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV};
    char host[ADDRESS];
    const char *colon = strrchr(address, ':');
    bool is_bracketed = colon && *address == '[' && colon[-1] == ']';
    if (!colon || strlen(address) >= ADDRESS)
        return hl_fail(HILUM_EINVAL, "listen \"%.128s\": expected ADDRESS:PORT", address);
    if (!is_port(colon + 1))
        return hl_fail(HILUM_EINVAL, "listen \"%s\": expected a port from 0 to 65535", address);
    snprintf(host, sizeof host, "%.*s", (int)(colon - address) - 2 * is_bracketed,
             address + is_bracketed);
    int code = getaddrinfo(*host ? host : NULL, colon + 1, &hints, out);
    return code ? hl_fail(HILUM_EINVAL, "listen \"%s\": expected a numeric ADDRESS:PORT: %s",
                          address, gai_strerror(code))
                : HILUM_OK;
}

/* Close-on-exec, so that workers and children have no copy; not blocking, as plugins poll. */
static hilum_rc open_socket(const char *address, int *out)
{
    const int yes = 1, no = 0;
    struct addrinfo *where = NULL;
    *out = -1;
    hilum_rc rc = resolve(address, &where);
    if (rc != HILUM_OK)
        return rc;
    int fd = socket(where->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        if (where->ai_family == AF_INET6) /* [::] takes IPv4 too */
            (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
    }
    if (fd < 0 || bind(fd, where->ai_addr, where->ai_addrlen) != 0 || listen(fd, SOMAXCONN) != 0) {
        rc = hl_fail(hl_rc_from_errno(errno), "listen on %s: %s", address, strerror(errno));
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    freeaddrinfo(where);
    *out = fd;
    return rc;
}

static uint16_t port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } name;
    socklen_t size = sizeof name;
    memset(&name, 0, sizeof name);
    if (getsockname(fd, &name.any, &size) != 0)
        return 0;
    return ntohs(name.any.sa_family == AF_INET6 ? name.in6.sin6_port : name.in.sin_port);
}

/* NULL: no memory, or it cannot listen there; *rc says why. */
static struct hl_listening *listening_new(const char *owner, const char *address, hilum_rc *rc)
{
    struct hl_listening *l = calloc(1, sizeof *l);
    if (!l) {
        *rc = hl_fail(HILUM_ENOMEM, "listen on %s: no memory", address);
        return NULL;
    }
    *rc = open_socket(address, &l->fd);
    if (*rc != HILUM_OK) {
        free(l);
        return NULL;
    }
    snprintf(l->owner, sizeof l->owner, "%s", owner);
    snprintf(l->address, sizeof l->address, "%s", address);
    return l;
}

static bool is_any_port(const char *address)
{
    const char *colon = strrchr(address, ':');
    return colon && strcmp(colon, ":0") == 0;
}

/* The oldest is the last of the list, so that ports come in the order they were made. */
hilum_rc hl_listen(struct hl_listening **list, const char *owner, const void *taker,
                   const char *address, int32_t *fd, uint16_t *port)
{
    struct hl_listening *found = NULL;
    hilum_rc rc = HILUM_OK;
    unsigned n = 0;
    for (struct hl_listening *l = *list; l; l = l->next) {
        n += strcmp(l->owner, owner) == 0;
        if (strcmp(l->owner, owner) == 0 && strcmp(l->address, address) == 0 &&
            (l->taker != taker || !is_any_port(address)))
            found = l;
    }
    *fd = -1;
    if (!found && n == EACH)
        return hl_fail(HILUM_EFULL, "a plugin listens on at most %d addresses", EACH);
    if (!found && (found = listening_new(owner, address, &rc))) {
        found->next = *list;
        *list = found;
    }
    if (!found)
        return rc;
    found->taker = taker;
    *fd = fcntl(found->fd, F_DUPFD_CLOEXEC, 0);
    *port = port_of(found->fd);
    return *fd >= 0
               ? HILUM_OK
               : hl_fail(hl_rc_from_errno(errno), "listen on %s: %s", address, strerror(errno));
}

void hl_listen_forget(struct hl_listening **list, const char *owner)
{
    for (struct hl_listening **at = list; *at;) {
        struct hl_listening *l = *at;
        if (owner && strcmp(l->owner, owner) != 0) {
            at = &l->next;
            continue;
        }
        *at = l->next;
        close(l->fd);
        free(l);
    }
}
