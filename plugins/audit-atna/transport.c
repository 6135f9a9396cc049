/* Sockets to the collector: UDP (RFC 5426), TCP with counted octets (RFC 6587), TLS (RFC 5425). Everything has a deadline.
 *
 * Syslog has no answers: that bytes left tells nothing of whether they were taken.
 * transport_settle() asks our own kernel what the other side's has acknowledged (SIOCOUTQ),
 * which is as near as TCP comes; a collector that dies with bytes in its socket loses them.
 * UDP promises nothing at all and is for one machine or a quiet net.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "atna.h"

/* SETTLE_STEP_MS: an acknowledgement takes a round trip; nothing tells of it but asking. */
enum { WHY = 200, SETTLE_STEP_MS = 10 };

/* Open is fd >= 0. context is made once, ssl with each connection. */
struct transport {
    const struct atna_conf *conf;
    enum { UDP, TCP, TLS } kind;
    char host[256], port[8];
    int fd;
    SSL_CTX *context;
    SSL *ssl;
};

static bool failed(char why[WHY], const struct transport *transport, const char *verb,
                   const char *reason)
{
    snprintf(why, WHY, "%s %.100s:%s: %.60s", verb, transport->host, transport->port, reason);
    return false;
}

/* OpenSSL's queue first, then errno; both were emptied before the call. */
static const char *tls_reason(void)
{
    unsigned long code = ERR_get_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    return reason != NULL ? reason : errno != 0 ? strerror(errno) : "connection closed";
}

/* ---- what is configured ---- */

/* The last colon divides: an IPv6 address stands in brackets. */
static bool collector_read(struct transport *transport, const char *text)
{
    static const char *const kinds[] = {"udp:", "tcp:", "tls:"};
    const char *colon = strrchr(text, ':');
    size_t i = 0;
    while (i < 3 && strncmp(text, kinds[i], 4) != 0)
        i++;
    if (i == 3 || colon == text + 3 || strlen(colon + 1) >= sizeof transport->port)
        return false;
    transport->kind = (int)i == 0 ? UDP : (int)i == 1 ? TCP : TLS;
    const char *host = text + 4;
    size_t n = (size_t)(colon - host);
    if (n > 2 && host[0] == '[' && host[n - 1] == ']') {
        host++;
        n -= 2;
    }
    if (n == 0 || n >= sizeof transport->host)
        return false;
    memcpy(transport->host, host, n);
    snprintf(transport->port, sizeof transport->port, "%s", colon + 1);
    return true;
}

/* The collector's certificate is always checked: an audit trail to whoever answers is none. */
static bool context_make(struct transport *transport, char why[WHY])
{
    const struct atna_conf *conf = transport->conf;
    transport->context = SSL_CTX_new(TLS_client_method());
    if (transport->context == NULL)
        return failed(why, transport, "TLS to", tls_reason());
    SSL_CTX_set_min_proto_version(transport->context, TLS1_2_VERSION);
    /* A record that is no data ends a read, instead of waiting for one that is. */
    SSL_CTX_clear_mode(transport->context, SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_verify(transport->context, SSL_VERIFY_PEER, NULL);
    int ok = conf->ca != NULL ? SSL_CTX_load_verify_locations(transport->context, conf->ca, NULL)
                              : SSL_CTX_set_default_verify_paths(transport->context);
    if (ok == 1 && conf->certificate != NULL)
        ok = SSL_CTX_use_certificate_chain_file(transport->context, conf->certificate);
    if (ok == 1 && conf->certificate != NULL)
        ok = SSL_CTX_use_PrivateKey_file(transport->context,
                                         conf->key != NULL ? conf->key : conf->certificate,
                                         SSL_FILETYPE_PEM);
    return ok == 1 || failed(why, transport, "certificates for", tls_reason());
}

/* Nothing is connected: certificates are read, which fails of a configuration and not of the
 * network. */
struct transport *transport_new(const struct atna_conf *conf, char why[WHY])
{
    struct transport *transport = calloc(1, sizeof *transport);
    if (transport == NULL) {
        snprintf(why, WHY, "no memory");
        return NULL;
    }
    transport->conf = conf;
    transport->fd = -1;
    bool is_good = collector_read(transport, conf->collector);
    if (!is_good)
        snprintf(why, WHY,
                 "collector \"%.80s\": expected \"tls:HOST:PORT\", \"tcp:...\" or \"udp:...\"",
                 conf->collector);
    if (is_good && (transport->kind != TLS || context_make(transport, why)))
        return transport;
    transport_free(transport);
    return NULL;
}

/* SSL_free without SSL_shutdown: a collector that does not answer would hold us up, and syslog
 * has no end to confirm. */
void transport_close(struct transport *transport)
{
    if (transport->ssl != NULL)
        SSL_free(transport->ssl);
    transport->ssl = NULL;
    if (transport->fd >= 0)
        close(transport->fd);
    transport->fd = -1;
}

void transport_free(struct transport *transport)
{
    if (transport == NULL)
        return;
    transport_close(transport);
    SSL_CTX_free(transport->context);
    free(transport);
}

bool transport_is_open(const struct transport *transport)
{
    return transport->fd >= 0;
}

/* ---- connecting ---- */

/* On the socket, so that connect, send and TLS's reads and writes all have it. */
static void deadlines_set(const struct transport *transport, int fd)
{
    const struct timeval limit = {.tv_sec = transport->conf->timeout / 1000,
                                  .tv_usec = transport->conf->timeout % 1000 * 1000};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
}

static int connect_any(const struct transport *transport, const struct addrinfo *list)
{
    for (const struct addrinfo *a = list; a != NULL; a = a->ai_next) {
        int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, 0);
        if (fd < 0)
            continue;
        deadlines_set(transport, fd); /* of connect, too */
        if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
            return fd;
        int error = errno;
        close(fd);
        errno = error;
    }
    return -1;
}

/* A name or an address: whichever server_name is must be in the certificate. */
static bool shake_hands(struct transport *transport, char why[WHY])
{
    const char *name = transport->conf->server_name != NULL && *transport->conf->server_name != '\0'
                           ? transport->conf->server_name
                           : transport->host;
    ERR_clear_error();
    transport->ssl = SSL_new(transport->context);
    if (transport->ssl == NULL || SSL_set_fd(transport->ssl, transport->fd) != 1)
        return failed(why, transport, "TLS to", tls_reason());
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(transport->ssl), name) != 1) {
        ERR_clear_error();
        if (SSL_set1_host(transport->ssl, name) != 1 ||
            SSL_set_tlsext_host_name(transport->ssl, name) != 1)
            return failed(why, transport, "TLS to", "not a name");
    }
    return SSL_connect(transport->ssl) == 1 || failed(why, transport, "TLS to", tls_reason());
}

/* Resolved anew each time: collectors move. */
bool transport_open(struct transport *transport, char why[WHY])
{
    const struct addrinfo hints = {.ai_socktype =
                                       transport->kind == UDP ? SOCK_DGRAM : SOCK_STREAM};
    struct addrinfo *list = NULL;
    int error = getaddrinfo(transport->host, transport->port, &hints, &list);
    if (error != 0)
        return failed(why, transport, "find", gai_strerror(error));
    transport->fd = connect_any(transport, list);
    int cause = errno;
    freeaddrinfo(list);
    if (transport->fd < 0)
        return failed(why, transport, "connect to", strerror(cause));
    if (transport->kind == TLS && !shake_hands(transport, why)) {
        transport_close(transport);
        return false;
    }
    return true;
}

/* ---- sending ---- */

/* A collector says nothing; what is there to read is its end. */
static bool has_ended(const struct transport *transport)
{
    struct pollfd fd = {transport->fd, POLLIN, 0};
    char byte;
    if (transport->kind == UDP || poll(&fd, 1, 0) <= 0)
        return false;
    if (transport->ssl == NULL)
        return recv(transport->fd, &byte, 1, MSG_DONTWAIT) == 0 ||
               (fd.revents & (POLLERR | POLLHUP));
    int n = SSL_peek(transport->ssl, &byte, 1); /* a session ticket is read here, too */
    return n <= 0 && SSL_get_error(transport->ssl, n) != SSL_ERROR_WANT_READ;
}

/* A deadline shows as a failed send; what was partly written makes the connection worthless,
 * hence closed by the caller. */
static bool write_all(struct transport *transport, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t put = transport->ssl != NULL ? SSL_write(transport->ssl, bytes, (int)n)
                                             : send(transport->fd, bytes, n, MSG_NOSIGNAL);
        if (put <= 0)
            return false;
        bytes += put;
        n -= (size_t)put;
    }
    return true;
}

bool transport_send(struct transport *transport, const struct text *frame, char why[WHY])
{
    char count[16] = "";
    bool is_sent = true;
    errno = 0;
    ERR_clear_error();
    if (transport->kind != UDP)
        snprintf(count, sizeof count, "%zu ", frame->n);
    if (has_ended(transport))
        is_sent = failed(why, transport, "send to", "the collector closed the connection");
    else if (!write_all(transport, count, strlen(count)) ||
             !write_all(transport, frame->bytes, frame->n))
        is_sent = failed(why, transport, "send to", tls_reason());
    if (!is_sent)
        transport_close(transport);
    return is_sent;
}

bool transport_settle(struct transport *transport, char why[WHY])
{
    int left = 1;
    for (int64_t ms = 0; transport->kind != UDP && left > 0 && ms < transport->conf->timeout;
         ms += SETTLE_STEP_MS) {
        if (ioctl(transport->fd, SIOCOUTQ, &left) != 0 || left == 0)
            break;
        (void)poll(NULL, 0, SETTLE_STEP_MS);
    }
    bool is_settled = transport->kind == UDP || (left == 0 && !has_ended(transport));
    if (!is_settled) {
        failed(why, transport, "send to", "the collector did not take what was sent");
        transport_close(transport);
    }
    return is_settled;
}
