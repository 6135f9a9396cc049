/* HTTP/1.0 over TLS: a request, an answer that ends with the connection. The least that does it, so that `hilum` needs no
 * HTTP library. SPDX-License-Identifier: Apache-2.0 */
#include "core/cli/remote.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "core/base/clock.h"
#include "core/base/error.h"

enum { CONNECT_MS = 10000, HEAD_MS = 60000, HEAD_MAX = 65536, BODY_MAX = 1 << 28 };

struct hl_remote {
    char host[256], port[8], prefix[512]; /* prefix: path of the URL without a last '/' */
    char token[512];
    bool is_tls;
    SSL_CTX *context;
    SSL *tls;
    int fd;
};

/* ---- the URL and what goes with it ---- */

static hilum_rc bad_url(const char *url)
{
    return hl_fail(HILUM_EINVAL, "--server %s: expected https://HOST[:PORT][/PATH]", url);
}

static hilum_rc parse_authority(struct hl_remote *remote, const char *url, const char *from,
                                size_t n)
{
    const char *close = *from == '[' ? memchr(from, ']', n) : NULL;
    const char *host = close ? from + 1 : from, *rest = close ? close + 1 : from;
    size_t length = close ? (size_t)(close - host) : strcspn(from, ":/");
    if (!close)
        rest = from + (length < n ? length : n);
    size_t left = n - (size_t)(rest - from);
    if (length == 0 || length >= sizeof remote->host || (left > 0 && *rest != ':') ||
        left > sizeof remote->port || memchr(from, '@', n))
        return bad_url(url);
    snprintf(remote->host, sizeof remote->host, "%.*s", (int)(length < n ? length : n), host);
    if (left > 1)
        snprintf(remote->port, sizeof remote->port, "%.*s", (int)(left - 1), rest + 1);
    bool is_number = strspn(remote->port, "0123456789") == strlen(remote->port);
    return is_number && *remote->port ? HILUM_OK : bad_url(url);
}

static hilum_rc parse_url(struct hl_remote *remote, const char *url)
{
    remote->is_tls = strncmp(url, "https://", 8) == 0;
    if (!remote->is_tls && strncmp(url, "http://", 7) != 0)
        return bad_url(url);
    const char *from = url + (remote->is_tls ? 8 : 7), *path = from + strcspn(from, "/?#");
    if (*path == '?' || *path == '#' || strpbrk(path, " \r\n") ||
        strlen(path) >= sizeof remote->prefix)
        return bad_url(url);
    snprintf(remote->port, sizeof remote->port, "%s", remote->is_tls ? "443" : "80");
    snprintf(remote->prefix, sizeof remote->prefix, "%s", path);
    for (size_t n = strlen(remote->prefix); n > 0 && remote->prefix[n - 1] == '/'; n--)
        remote->prefix[n - 1] = '\0';
    return parse_authority(remote, url, from, (size_t)(path - from));
}

/* A secret in the arguments is seen by everybody on this machine, so it comes by a file or the environment. */
static hilum_rc read_token(struct hl_remote *remote, const char *path)
{
    const char *from_env = getenv("HILUM_TOKEN");
    char text[512] = "";
    FILE *file = path ? fopen(path, "re") : NULL;
    if (path && !file)
        return hl_fail(HILUM_EINVAL, "--token-file %s: %s", path, strerror(errno));
    size_t n = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file)
        fclose(file);
    text[n] = '\0';
    text[strcspn(text, "\r\n")] = '\0';
    snprintf(remote->token, sizeof remote->token, "%s", path ? text : from_env ? from_env : "");
    OPENSSL_cleanse(text, sizeof text);
    if (!*remote->token || strpbrk(remote->token, " \t\r\n"))
        return hl_fail(HILUM_EINVAL,
                       "--server needs a token (hilum token create, on the server): name "
                       "its file with --token-file, or set $HILUM_TOKEN");
    return HILUM_OK;
}

static hilum_rc load_authorities(struct hl_remote *remote, const char *ca)
{
    if (!remote->is_tls)
        return HILUM_OK;
    remote->context = SSL_CTX_new(TLS_client_method());
    if (!remote->context)
        return hl_fail(HILUM_ENOMEM, "TLS");
    SSL_CTX_set_min_proto_version(remote->context, TLS1_2_VERSION);
    SSL_CTX_set_verify(remote->context, SSL_VERIFY_PEER, NULL);
    int is_loaded = ca ? SSL_CTX_load_verify_locations(remote->context, ca, NULL)
                       : SSL_CTX_set_default_verify_paths(remote->context);
    return is_loaded ? HILUM_OK
                     : hl_fail(HILUM_EINVAL, "--ca %s: expected certificates as PEM", ca ? ca : "");
}

hilum_rc hl_remote_new(const struct hl_cli_options *options, struct hl_remote **out)
{
    struct hl_remote *remote = calloc(1, sizeof *remote);
    *out = NULL;
    if (!remote)
        return hl_fail(HILUM_ENOMEM, "a connection");
    remote->fd = -1;
    hilum_rc rc = parse_url(remote, options->server);
    if (rc == HILUM_OK)
        rc = read_token(remote, options->token_file);
    if (rc == HILUM_OK)
        rc = load_authorities(remote, options->ca);
    if (rc == HILUM_OK)
        *out = remote;
    else
        hl_remote_free(remote);
    return rc;
}

static void disconnect(struct hl_remote *remote)
{
    SSL_free(remote->tls);
    remote->tls = NULL;
    if (remote->fd >= 0)
        close(remote->fd);
    remote->fd = -1;
}

void hl_remote_free(struct hl_remote *remote)
{
    if (!remote)
        return;
    disconnect(remote);
    SSL_CTX_free(remote->context);
    OPENSSL_cleanse(remote->token, sizeof remote->token);
    free(remote);
}

/* ---- connecting ---- */

/* Non-blocking for as long as connecting takes, which is otherwise minutes to a host that is not there. */
static int connect_one(const struct addrinfo *at)
{
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error = 0;
    socklen_t n = sizeof error;
    if (fd < 0)
        return -1;
    bool is_up = connect(fd, at->ai_addr, at->ai_addrlen) == 0;
    struct pollfd ready = {fd, POLLOUT, 0};
    if (!is_up && errno == EINPROGRESS && poll(&ready, 1, CONNECT_MS) == 1)
        is_up = getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) == 0 && error == 0;
    if (!is_up) {
        close(fd);
        errno = error ? error : errno;
        return -1;
    }
    struct timeval patience = {HEAD_MS / 1000, 0}; /* of what is sent, and of the handshake */
    int flags = 0;
    (void)ioctl(fd, FIONBIO, &flags);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
}

/* A token in the clear is for this machine only. */
static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(
            &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
    const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)address;
    return address->sa_family == AF_INET && (ntohl(four->sin_addr.s_addr) >> 24) == 127;
}

static hilum_rc connect_tcp(struct hl_remote *remote)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *all = NULL;
    int failed = getaddrinfo(remote->host, remote->port, &hints, &all);
    if (failed)
        return hl_fail(HILUM_ECLOSED, "%s: %s", remote->host, gai_strerror(failed));
    bool is_clear = false;
    errno = 0;
    for (const struct addrinfo *at = all; at && remote->fd < 0; at = at->ai_next) {
        is_clear = !remote->is_tls && !is_loopback(at->ai_addr);
        remote->fd = is_clear ? -1 : connect_one(at);
    }
    freeaddrinfo(all);
    if (remote->fd >= 0)
        return HILUM_OK;
    if (is_clear)
        return hl_fail(HILUM_EINVAL,
                       "--server http://%s: a token is sent by https only, but to this machine",
                       remote->host);
    return hl_fail(HILUM_ECLOSED, "no server answers at %s port %s: %s", remote->host, remote->port,
                   strerror(errno));
}

static hilum_rc refuse_server(const struct hl_remote *remote)
{
    long verdict = SSL_get_verify_result(remote->tls);
    unsigned long code = ERR_peek_last_error();
    const char *why = verdict != X509_V_OK ? X509_verify_cert_error_string(verdict)
                      : code               ? ERR_reason_error_string(code)
                                           : "it does not speak TLS";
    return hl_fail(HILUM_EDENIED, "%s is not trusted: %s%s", remote->host, why ? why : "",
                   verdict != X509_V_OK ? "; name its authority with --ca FILE" : "");
}

static hilum_rc start_tls(struct hl_remote *remote)
{
    struct in6_addr number;
    remote->tls = SSL_new(remote->context);
    if (!remote->tls)
        return hl_fail(HILUM_ENOMEM, "TLS");
    bool is_number = inet_pton(AF_INET, remote->host, &number) == 1 ||
                     inet_pton(AF_INET6, remote->host, &number) == 1;
    int is_set = is_number
                     ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(remote->tls), remote->host)
                     : SSL_set1_host(remote->tls, remote->host) &&
                           SSL_set_tlsext_host_name(remote->tls, remote->host);
    if (!is_set || !SSL_set_fd(remote->tls, remote->fd))
        return hl_fail(HILUM_ENOMEM, "TLS");
    return SSL_connect(remote->tls) == 1 ? HILUM_OK : refuse_server(remote);
}

/* ---- a request ---- */

static hilum_rc write_bytes(struct hl_remote *remote, const char *bytes, size_t n)
{
    for (size_t at = 0; at < n;) {
        size_t left = n - at < 65536 ? n - at : 65536;
        ssize_t sent = remote->tls ? SSL_write(remote->tls, bytes + at, (int)left)
                                   : send(remote->fd, bytes + at, left, MSG_NOSIGNAL);
        if (sent <= 0)
            return hl_fail(HILUM_ECLOSED, "the connection to %s was lost", remote->host);
        at += (size_t)sent;
    }
    return HILUM_OK;
}

static hilum_rc write_all(struct hl_remote *remote, const struct hl_buf *bytes)
{
    if (bytes->failed)
        return hl_fail(HILUM_ENOMEM, "the request");
    return write_bytes(remote, bytes->data, bytes->len);
}

/* Behind the request line. */
static void put_head(const struct hl_remote *remote, const char *accept, struct hl_buf *request)
{
    bool is_six = strchr(remote->host, ':') != NULL;
    hl_buf_printf(request,
                  " HTTP/1.0\r\nHost: %s%s%s:%s\r\nAuthorization: Bearer %s\r\n"
                  "Accept: %s\r\nUser-Agent: hilum/" HILUM_VERSION "\r\n",
                  is_six ? "[" : "", remote->host, is_six ? "]" : "", remote->port, remote->token,
                  accept);
}

/* "commands" has a resource of its own, which everybody who is served may read. */
static hilum_rc write_request(struct hl_remote *remote, const char *command, json_t *args)
{
    bool is_list = strcmp(command, "commands") == 0;
    char *body = is_list ? strdup("") : json_dumps(args, JSON_COMPACT);
    struct hl_buf request = {0};
    if (!body)
        return hl_fail(HILUM_EINVAL, "the arguments are not UTF-8");
    hl_buf_printf(&request, "%s %s/api/commands%s", is_list ? "GET" : "POST", remote->prefix,
                  is_list ? "" : "/");
    for (const char *p = is_list ? "" : command; *p; p++)
        hl_buf_byte(&request, (uint8_t)(*p == ' ' ? '/' : *p));
    put_head(remote, is_list ? "application/json" : "application/x-ndjson", &request);
    if (!is_list)
        hl_buf_printf(&request, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
                      strlen(body));
    hl_buf_printf(&request, "\r\n%s", body);
    free(body);
    hilum_rc rc = write_all(remote, &request);
    OPENSSL_cleanse(request.data, request.len);
    hl_buf_fini(&request);
    return rc;
}

/* ---- its answer ---- */

hilum_rc hl_remote_more(struct hl_remote *remote, int64_t ms, struct hl_buf *in)
{
    struct pollfd fd = {remote->fd, POLLIN, 0};
    bool is_here = remote->tls && SSL_pending(remote->tls) > 0;
    int ready = is_here ? 1 : poll(&fd, 1, (int)ms);
    if (ready < 0 && errno == EINTR)
        return HILUM_OK;
    if (ready <= 0)
        return hl_fail(HILUM_ETIMEDOUT, "%s does not answer", remote->host);
    if (in->len > BODY_MAX || !hl_buf_reserve(in, 65536))
        return hl_fail(HILUM_ENOMEM, "the answer is too long");
    ssize_t n = remote->tls ? SSL_read(remote->tls, in->data + in->len, 65536)
                            : recv(remote->fd, in->data + in->len, 65536, 0);
    if (n <= 0)
        return hl_fail(HILUM_ECLOSED, "%s closed the connection; see its log", remote->host);
    in->len += (size_t)n;
    return HILUM_OK;
}

/* Bytes of the head with its empty line; 0: it is not whole yet. */
static size_t head_length(const struct hl_buf *in)
{
    const char *end = in->len > 0 ? memmem(in->data, in->len, "\r\n\r\n", 4) : NULL;
    return end ? (size_t)(end - in->data) + 4 : 0;
}

static hilum_rc read_head(struct hl_remote *remote, struct hl_buf *in, int *status)
{
    hilum_rc rc = HILUM_OK;
    while (rc == HILUM_OK && head_length(in) == 0 && in->len < HEAD_MAX)
        rc = hl_remote_more(remote, HEAD_MS, in);
    size_t n = head_length(in);
    if (rc == HILUM_OK && (n == 0 || strncmp(in->data, "HTTP/1.", 7) != 0 || in->len < 13))
        rc = hl_fail(HILUM_ECLOSED, "what answers at %s is not hilumd", remote->host);
    if (rc != HILUM_OK)
        return rc;
    *status = (int)strtol(in->data + 9, NULL, 10);
    in->len -= n;
    memmove(in->data, in->data + n, in->len);
    return HILUM_OK;
}

static void read_rest(struct hl_remote *remote, struct hl_buf *in)
{
    while (hl_remote_more(remote, HEAD_MS, in) == HILUM_OK) {
    }
}

/* The whole body becomes one line of the control socket: a result, or why not. */
static hilum_rc wrap(const struct hl_remote *remote, int status, struct hl_buf *in)
{
    json_t *body = json_loadb(in->data ? in->data : "", in->len, 0, NULL), *line;
    const char *detail = json_string_value(json_object_get(body, "detail"));
    if (status == 200)
        line = json_pack("{s:O}", "result", body);
    else
        line = json_pack("{s:{s:s, s:s}}", "error", "code",
                         status == 401 || status == 403 ? "HILUM_EDENIED" : "HILUM_EINVAL", "text",
                         detail ? detail : "the server refused");
    char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
    json_decref(line);
    json_decref(body);
    in->len = 0;
    if (!text || (status == 404 && !detail))
        hl_fail(HILUM_ECLOSED, "%s serves no commands: is web-admin among its plugins?",
                remote->host);
    else
        hl_buf_printf(in, "%s\n", text);
    bool is_good = in->len > 0;
    free(text);
    return is_good ? HILUM_OK : HILUM_ECLOSED;
}

static hilum_rc reach(struct hl_remote *remote)
{
    disconnect(remote);
    hilum_rc rc = connect_tcp(remote);
    return rc == HILUM_OK && remote->is_tls ? start_tls(remote) : rc;
}

static hilum_rc write_file(struct hl_remote *remote, const struct hl_remote_file *file)
{
    char piece[65536];
    uint64_t left = file->n;
    hilum_rc rc = HILUM_OK;
    while (rc == HILUM_OK && left > 0) {
        ssize_t n = read(file->fd, piece, left < sizeof piece ? left : sizeof piece);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return hl_fail(HILUM_EIO, "%s", n < 0 ? strerror(errno) : "it became shorter");
        rc = write_bytes(remote, piece, (size_t)n);
        left -= (uint64_t)n;
    }
    return rc;
}

hilum_rc hl_remote_post(struct hl_remote *remote, const struct hl_remote_file *file, int *status,
                        struct hl_buf *in)
{
    struct hl_buf request = {0};
    in->len = 0;
    hl_buf_printf(&request, "POST %s%s", remote->prefix, file->path);
    put_head(remote, file->accept, &request);
    hl_buf_printf(&request, "Content-Type: %s\r\nContent-Length: %llu\r\n\r\n", file->type,
                  (unsigned long long)file->n);
    hilum_rc rc = reach(remote);
    if (rc == HILUM_OK)
        rc = write_all(remote, &request);
    OPENSSL_cleanse(request.data, request.len);
    hl_buf_fini(&request);
    if (rc == HILUM_OK)
        rc = write_file(remote, file);
    /* Who refuses before it has read all closes: its reason may be there already. */
    if (rc == HILUM_OK || rc == HILUM_ECLOSED)
        rc = read_head(remote, in, status);
    if (rc == HILUM_OK)
        read_rest(remote, in);
    disconnect(remote);
    return rc;
}

hilum_rc hl_remote_send(struct hl_remote *remote, const char *command, json_t *args,
                        struct hl_buf *in)
{
    int status = 0;
    in->len = 0;
    hilum_rc rc = reach(remote);
    if (rc == HILUM_OK)
        rc = write_request(remote, command, args);
    if (rc == HILUM_OK)
        rc = read_head(remote, in, &status);
    if (rc != HILUM_OK || (status == 200 && strcmp(command, "commands") != 0))
        return rc;
    read_rest(remote, in);
    return wrap(remote, status, in);
}
