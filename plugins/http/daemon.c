/* The HTTP library: listeners, connections, and the two threads' worth of a request that run on its event loops.
 * Nothing here blocks: a request waits suspended until a worker has its answer.
 *
 * Suspending: a request whose answer is not there is taken out of the loop's epoll
 * (wait_for_worker) and comes back by http_wake, under request->lock in both cases, so that a
 * wake-up between the look and the suspension cannot be lost.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tls.h"

/* A client that is still sending when it is refused would see a broken connection instead of
 * the answer. */
enum { SWALLOW_MAX = 1024 * 1024 }; /* of a body nobody wants, so that the answer is heard */

/* ---- connections ---- */

/* ::ffff:a.b.c.d is written as IPv4: rules and limits by address are to see one client,
 * whichever socket it came by. */
static void address_text(const struct sockaddr *address, struct http_conn *conn)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
    if (address->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
        inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], conn->address, sizeof conn->address);
        conn->is_loopback = v6->sin6_addr.s6_addr[12] == 127;
    } else if (address->sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &v6->sin6_addr, conn->address, sizeof conn->address);
        conn->is_loopback = IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
    } else if (address->sa_family == AF_INET) {
        inet_ntop(AF_INET, &v4->sin_addr, conn->address, sizeof conn->address);
        conn->is_loopback = (ntohl(v4->sin_addr.s_addr) >> 24) == 127;
    }
}

/* On whichever loop accepted it; the list is for the watcher and for drain. */
static void conn_link(struct http_server *server, struct http_conn *conn)
{
    pthread_mutex_lock(&server->lock);
    conn->next = server->conns;
    if (conn->next != NULL)
        conn->next->previous = conn;
    server->conns = conn;
    server->n_conns++;
    pthread_mutex_unlock(&server->lock);
}

static void conn_unlink(struct http_server *server, struct http_conn *conn)
{
    pthread_mutex_lock(&server->lock);
    if (conn->next != NULL)
        conn->next->previous = conn->previous;
    if (conn->previous != NULL)
        conn->previous->next = conn->next;
    else
        server->conns = conn->next;
    server->n_conns--;
    pthread_mutex_unlock(&server->lock);
}

/* TCP_NODELAY: head and body of an answer are written apart by the library. */
static void conn_open(struct http_server *server, struct MHD_Connection *connection, void **context)
{
    const union MHD_ConnectionInfo *info;
    int one = 1;
    struct http_conn *conn = calloc(1, sizeof *conn);
    *context = conn;
    if (conn == NULL)
        return;
    conn->server = server;
    info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    conn->fd = info != NULL ? info->connect_fd : -1;
    info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (info != NULL)
        address_text(info->client_addr, conn);
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    http_conn_phase(conn, HTTP_WAITING);
    conn_link(server, conn);
}

/* MHD tells of each connection twice, at its beginning and at its end: the structure is good
 * in between. */
static void on_connection(void *arg, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http_server *server = arg;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        conn_open(server, connection, context);
    } else if (*context != NULL) {
        conn_unlink(server, *context);
        free(*context);
        *context = NULL;
    }
}

/* ---- a request's life on the loop thread ---- */

/* For people to quote: unique enough, and no secret. */
static void trace_make(char out[17])
{
    static atomic_uint_fast64_t count;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t mixed = ((uint64_t)now.tv_sec << 30 ^ (uint64_t)now.tv_nsec) +
                     atomic_fetch_add(&count, 1) * UINT64_C(0x9E3779B97F4A7C15);
    snprintf(out, 17, "%016llx", (unsigned long long)mixed);
}

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Of exchanges, not connections: what max_requests_per_user and drain look at. */
static void active_link(struct http_server *server, struct hilum_http *request)
{
    pthread_mutex_lock(&server->lock);
    request->next_active = server->active;
    if (request->next_active != NULL)
        request->next_active->previous_active = request;
    server->active = request;
    server->n_active++;
    pthread_mutex_unlock(&server->lock);
}

/* Wakes who waits for the last request (server->idle), in drain. */
static void active_unlink(struct http_server *server, struct hilum_http *request)
{
    pthread_mutex_lock(&server->lock);
    if (request->next_active != NULL)
        request->next_active->previous_active = request->previous_active;
    if (request->previous_active != NULL)
        request->previous_active->next_active = request->next_active;
    else
        server->active = request->next_active;
    server->n_active--;
    pthread_cond_broadcast(&server->idle);
    pthread_mutex_unlock(&server->lock);
}

/* On the thread of the connection's loop, before the body or a worker is there; linked last,
 * when all of it is set. calloc: everything not named is nothing. */
static struct hilum_http *request_new(struct http_server *server, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct hilum_http *request = calloc(1, sizeof *request);
    if (request == NULL || info == NULL || info->socket_context == NULL) {
        free(request);
        return NULL;
    }
    request->server = server;
    request->connection = connection;
    request->conn = info->socket_context;
    memcpy(request->address, request->conn->address, sizeof request->address);
    memcpy(request->peer, request->conn->address, sizeof request->peer);
    request->is_loopback = request->conn->is_loopback;
    request->is_tls = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_PROTOCOL) != NULL;
    http_client_certificate(request);
    request->last_header = &request->headers;
    request->last_shown = &request->shown;
    request->begun_us = now_us();
    trace_make(request->trace);
    pthread_mutex_init(&request->lock, NULL);
    pthread_cond_init(&request->changed, NULL);
    active_link(server, request);
    return request;
}

/* The query is read by query_read. The library would keep each parameter in the connection's memory and, once that is full,
 * answer nothing at all (0.9.75: the connection hangs until it is idle for too long), so it gets to see none. The text is
 * its read buffer, no constant. */
static void hide_query(const char *query)
{
    *(char *)(uintptr_t)query = '\0';
}

/* Called with the raw request target before anything is parsed: the only place that sees it
 * whole. The library would decode the path before splitting it, and a %2F would become a
 * separator. */
static void *on_target(void *arg, const char *target, struct MHD_Connection *connection)
{
    struct hilum_http *request = request_new(arg, connection);
    if (request == NULL)
        return NULL;
    const char *mark = strchr(target, '?');
    request->asked.path = http_arena_text(&request->arena, target,
                                          mark != NULL ? (size_t)(mark - target) : strlen(target));
    request->asked.query =
        mark != NULL ? http_arena_text(&request->arena, mark + 1, strlen(mark + 1)) : "";
    if (mark != NULL)
        hide_query(mark + 1);
    return request;
}

/* Unlinked first: the lists and the drain must not find one that is half gone. Nobody else
 * holds it any more: MHD has told that the exchange is over. */
static void request_free(struct hilum_http *request)
{
    struct http_server *server = request->server;
    active_unlink(server, request);
    http_pieces_drop(request);
    if (request->who != NULL)
        server->host->principal_free(request->who);
    if (request->response != NULL)
        MHD_destroy_response(request->response);
    free(request->ring);
    http_arena_fini(&request->arena);
    pthread_mutex_destroy(&request->lock);
    pthread_cond_destroy(&request->changed);
    free(request);
}

static uint64_t bytes_sent(const struct hilum_http *request)
{
    return request->has_source ? request->sent : request->total;
}

/* No patient data: the route's pattern stands for the path. Written when all has left, or the
 * client has gone; `bytes` are what was handed to the library. */
static void access_log(const struct hilum_http *request)
{
    const struct http_server *server = request->server;
    const struct http_route *route = request->match.route;
    char line[320];
    if (!server->conf->access_log)
        return;
    snprintf(line, sizeof line, "%s %s %u %llu bytes %lld ms %s%s%s trace %s",
             request->asked.method != NULL ? request->asked.method : "-",
             route != NULL ? route->table->pattern : "-", request->status,
             (unsigned long long)bytes_sent(request),
             (long long)(now_us() - request->begun_us) / 1000, request->address,
             request->user[0] != '\0' ? " user " : "", request->user, request->trace);
    server->host->log(server->self, HILUM_LOG_INFO, line);
}

/* status / 100 % 6: a status from a plugin out of range counts somewhere, never outside the
 * array. */
static void count(struct hilum_http *request)
{
    struct http_route *route = request->match.route;
    atomic_fetch_add(&request->server->statuses[request->status / 100 % 6], 1);
    if (route == NULL)
        return;
    atomic_fetch_add(&route->requests, 1);
    atomic_fetch_add(&route->failures, request->status >= 500);
    uint64_t micros = (uint64_t)(now_us() - request->begun_us);
    atomic_fetch_add(&route->micros, micros);
    http_took(route, micros);
    atomic_fetch_add(&route->bytes, bytes_sent(request));
}

/* Exactly once for each exchange. Without a method it was refused before it was one: nothing
 * is counted or logged. */
void http_request_end(struct hilum_http *request)
{
    if (request->asked.method != NULL) {
        access_log(request);
        count(request);
    }
    request_free(request);
}

/* The library is done with it. A worker that is still reading its body hears that the client
 * has gone, and frees the request when it lets go. Also for a connection that broke off. Loop
 * thread. */
static void on_completed(void *arg, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode code)
{
    struct hilum_http *request = *context;
    (void)arg;
    (void)connection;
    (void)code;
    *context = NULL;
    if (request == NULL)
        return;
    http_conn_phase(request->conn, HTTP_WAITING);
    pthread_mutex_lock(&request->lock);
    bool is_busy = request->is_pulling || (request->is_queued && !request->is_answered);
    request->is_gone = true;
    request->is_suspended = false;
    request->conn = NULL;
    pthread_cond_broadcast(&request->changed);
    pthread_mutex_unlock(&request->lock);
    if (!is_busy)
        http_request_end(request);
}

void http_wake(struct hilum_http *request)
{
    if (!request->is_suspended)
        return;
    request->is_suspended = false;
    MHD_resume_connection(request->connection);
}

/* Holds request->lock. */
static void wait_for_worker(struct hilum_http *request)
{
    request->is_suspended = true;
    MHD_suspend_connection(request->connection);
}

/* "Connection: close" once the server is leaving: whoever asks next opens a new one, at the
 * next version. */
static enum MHD_Result answer(struct hilum_http *request)
{
    enum MHD_Result queued = MHD_NO;
    http_conn_phase(request->conn, HTTP_SENDING);
    http_conn_buffer(request->conn, request->total);
    if (request->response != NULL && atomic_load(&request->server->says_close))
        MHD_add_response_header(request->response, MHD_HTTP_HEADER_CONNECTION, "close");
    if (request->response != NULL)
        queued = MHD_queue_response(request->connection, request->status, request->response);
    return queued;
}

/* Answered here and now, without a worker. */
static enum MHD_Result refuse(struct hilum_http *request, uint32_t status, const char *why)
{
    http_problem(request, status, HILUM_OK, why);
    http_build(request);
    request->is_answered = true;
    return answer(request);
}

/* ---- the head ---- */

/* Kept: the library's own die with the connection, and a worker may still be at work then. */
static enum MHD_Result shown_add(void *arg, enum MHD_ValueKind kind, const char *key,
                                 const char *value)
{
    struct hilum_http *request = arg;
    struct http_header *header = http_arena_take(&request->arena, sizeof *header);
    (void)kind;
    if (header == NULL)
        return MHD_NO;
    *header = (struct http_header){
        NULL, http_arena_text(&request->arena, key, strlen(key)),
        http_arena_text(&request->arena, value != NULL ? value : "", value ? strlen(value) : 0)};
    if (header->name == NULL || header->value == NULL)
        return MHD_NO;
    *request->last_shown = header;
    request->last_shown = &header->next;
    return MHD_YES;
}

static const char *header_of(const struct hilum_http *request, const char *name)
{
    const char *value = http_shown(request, name);
    return value != NULL ? value : "";
}

/* One "name=value" of n bytes, or a name alone. Names and values are decoded here once, '+' as a space: handlers see text. */
static bool query_add(struct hilum_http *request, const char *text, size_t n)
{
    const char *equals = memchr(text, '=', n);
    size_t name_length = equals != NULL ? (size_t)(equals - text) : n;
    size_t value_length = equals != NULL ? n - name_length - 1 : 0;
    char *name = http_arena_text(&request->arena, text, name_length);
    char *value = http_arena_text(&request->arena, text + n - value_length, value_length);
    ptrdiff_t name_end = name != NULL ? http_decode(name, name_length, true) : -1;
    ptrdiff_t end = value != NULL ? http_decode(value, value_length, true) : -1;
    if (name_end < 0 || end < 0)
        return false;
    name[name_end] = '\0';
    value[end] = '\0';
    request->query[request->n_query].name = name;
    request->query[request->n_query++].value = value;
    return true;
}

/* NULL, or why the query is not taken. A parameter too many is refused, not dropped: a search without one of its conditions
 * finds what nobody asked for. */
static const char *query_read(struct hilum_http *request)
{
    for (const char *p = request->asked.query; *p != '\0'; p += *p == '&') {
        size_t n = strcspn(p, "&");
        if (n > 0 && request->n_query == HTTP_QUERY)
            return "more parameters than are taken";
        if (n > 0 && !query_add(request, p, n))
            return "the path or a parameter is not well-formed";
        p += n;
    }
    return NULL;
}

/* Digits alone (RFC 9110 8.6): a sign or a space is read differently by different servers. */
static bool is_true_length(const char *text, uint64_t *out)
{
    char *end = NULL;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0;
}

/* A message that says twice how long it is ends at one place for a proxy and at another for us, and what lies between is
 * somebody's second request (RFC 9112 6.1, 6.3); of two hosts a proxy may have judged the other (3.2). Nothing is answered
 * to it. */
static bool is_ambiguous(const struct hilum_http *request)
{
    unsigned lengths = 0, encodings = 0, hosts = 0;
    for (const struct http_header *h = request->shown; h != NULL; h = h->next) {
        lengths += strcasecmp(h->name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0;
        encodings += strcasecmp(h->name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0;
        hosts += strcasecmp(h->name, MHD_HTTP_HEADER_HOST) == 0;
    }
    return lengths + encodings > 1 || hosts > 1;
}

/* False: 400. Two lengths, or a length beside chunks, are refused and not decided (RFC 9112
 * 6.3): a proxy before us may have decided otherwise. */
static bool head_read(struct hilum_http *request, const char *method)
{
    struct hilum_http_request *asked = &request->asked;
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, shown_add, request);
    if (is_ambiguous(request))
        return false;
    const char *length = header_of(request, MHD_HTTP_HEADER_CONTENT_LENGTH);
    asked->size = sizeof *asked;
    asked->method = http_arena_text(&request->arena, method, strlen(method));
    request->is_head = strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
    asked->content_type = header_of(request, MHD_HTTP_HEADER_CONTENT_TYPE);
    asked->languages = header_of(request, MHD_HTTP_HEADER_ACCEPT_LANGUAGE);
    asked->trace_id = request->trace;
    asked->remote = request->address;
    asked->user = "";
    if (*header_of(request, MHD_HTTP_HEADER_TRANSFER_ENCODING) != '\0')
        asked->content_length = HILUM_LENGTH_UNKNOWN;
    else if (*length != '\0' && !is_true_length(length, &asked->content_length))
        return false;
    return asked->method != NULL && asked->path != NULL && asked->query != NULL;
}

/* 0, or the status that refuses it before anybody looks at who asks. In this order the
 * cheapest and least telling comes first; whether somebody may is asked by a worker, since it
 * may take time. */
static uint32_t head_check(struct hilum_http *request, const char *method, const char **why)
{
    char *path = http_arena_text(&request->arena, request->asked.path, strlen(request->asked.path));
    *why = "the path or a parameter is not well-formed";
    if (path == NULL || !http_path_split(path, request->segments, &request->n_segments))
        return MHD_HTTP_BAD_REQUEST;
    const char *query_fault = query_read(request);
    if (query_fault != NULL) {
        *why = query_fault;
        return MHD_HTTP_BAD_REQUEST;
    }
    http_routes_match(request->server, method, request->segments, request->n_segments,
                      &request->match);
    const struct http_route *route = request->match.route;
    *why = "nothing is served here";
    if (route == NULL && !request->match.is_other_method)
        return MHD_HTTP_NOT_FOUND;
    *why = "this method is not served here; see Allow";
    if (route == NULL)
        return MHD_HTTP_METHOD_NOT_ALLOWED;
    const char *coding = header_of(request, MHD_HTTP_HEADER_CONTENT_ENCODING);
    *why = "bodies are taken as they are: without Content-Encoding";
    if (*coding != '\0' && strcasecmp(coding, "identity") != 0)
        return MHD_HTTP_UNSUPPORTED_MEDIA_TYPE;
    uint64_t length = request->asked.content_length, max = route->table->body_max;
    *why = max == 0 ? "this resource takes no body" : "the body is longer than this resource takes";
    return length != HILUM_LENGTH_UNKNOWN && length > max ? MHD_HTTP_CONTENT_TOO_LARGE : 0;
}

static bool has_body(const struct hilum_http *request)
{
    return request->asked.content_length > 0;
}

/* 503 with Retry-After: the client may try again, and a balancer goes elsewhere. */
static void queue_or_refuse(struct hilum_http *request)
{
    pthread_mutex_lock(&request->lock);
    request->is_eof = request->is_eof || !has_body(request);
    request->is_queued = true;
    pthread_mutex_unlock(&request->lock);
    if (http_enqueue(request))
        return;
    request->is_queued = false;
    http_header_add(request, "Retry-After", "1");
    http_problem(request, MHD_HTTP_SERVICE_UNAVAILABLE, HILUM_EAGAIN,
                 "too many requests are waiting");
    http_build(request);
    request->is_answered = true;
}

static bool is_preflight(const struct hilum_http *request, const char *method)
{
    return strcmp(method, MHD_HTTP_METHOD_OPTIONS) == 0 && request->match.is_other_method;
}

/* Answered for every path and method that exist, whoever asks: a browser sends no credentials
 * with it (Fetch, CORS preflight). */
static enum MHD_Result preflight(struct hilum_http *request)
{
    http_header_add(request, MHD_HTTP_HEADER_ALLOW, request->match.allow);
    http_header_add(request, "Access-Control-Allow-Methods", request->match.allow);
    http_header_add(
        request, "Access-Control-Allow-Headers",
        "Accept, Authorization, Content-Type, If-None-Match, If-Range, Range, X-Hilum-CSRF");
    http_header_add(request, "Access-Control-Max-Age", "600");
    request->status = MHD_HTTP_NO_CONTENT;
    request->is_begun = request->is_ended = true;
    http_build(request);
    request->is_answered = true;
    return answer(request);
}

/* The header is complete. A short body (up to HTTP_RING) is read whole before a worker is
 * asked for: a slow sender of a form costs memory and no thread. */
static enum MHD_Result begin(struct hilum_http *request, const char *method)
{
    const char *why = NULL;
    if (!head_read(request, method))
        return MHD_NO;
    uint32_t status = head_check(request, method, &why);
    if (is_preflight(request, method))
        return preflight(request);
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        http_header_add(request, MHD_HTTP_HEADER_ALLOW, request->match.allow);
    if (status != 0)
        return refuse(request, status, why);
    http_conn_phase(request->conn, has_body(request) ? HTTP_RECEIVING : HTTP_WORKING);
    if (has_body(request) && (request->ring = malloc(HTTP_RING)) == NULL)
        return refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, "no memory");
    request->is_long_body = request->asked.content_length > HTTP_RING;
    if (request->is_long_body || !has_body(request))
        queue_or_refuse(request);
    return MHD_YES; /* a short body comes first, so that no thread waits for its sender */
}

/* ---- the body ---- */

/* Lock held. In two pieces where it goes around the end; less than n where it is full, and the
 * rest stays with the library until a worker has read. */
static size_t ring_put(struct hilum_http *request, const char *bytes, size_t n)
{
    size_t end = (request->ring_at + request->ring_fill) % HTTP_RING;
    size_t take = n < HTTP_RING - request->ring_fill ? n : HTTP_RING - request->ring_fill;
    size_t first = take < HTTP_RING - end ? take : HTTP_RING - end;
    memcpy(request->ring + end, bytes, first);
    memcpy(request->ring, bytes + first, take - first);
    request->ring_fill += take;
    return take;
}

/* Nobody wants it any more: a little is read so that the client gets to hear why. MHD_NO
 * closes the connection. */
static enum MHD_Result swallow(struct hilum_http *request, size_t *n)
{
    request->received += *n;
    *n = 0;
    return request->received > SWALLOW_MAX ? MHD_NO : MHD_YES;
}

/* The ring is full: the socket is not read until the route has taken half of it (api_read),
 * and TCP slows the sender down. */
static enum MHD_Result body(struct hilum_http *request, const char *bytes, size_t *n)
{
    pthread_mutex_lock(&request->lock);
    if (request->is_answered) {
        enum MHD_Result go_on = swallow(request, n);
        pthread_mutex_unlock(&request->lock);
        return go_on;
    }
    size_t taken = ring_put(request, bytes, *n);
    request->received += taken;
    *n -= taken;
    if (request->received > request->match.route->table->body_max)
        request->is_too_long = true;
    if (taken > 0)
        pthread_cond_broadcast(&request->changed);
    if (*n > 0) { /* the reader is slower than the peer: not the peer's fault */
        http_conn_phase(request->conn, HTTP_WORKING);
        wait_for_worker(request);
    } else if (atomic_load(&request->conn->phase) != HTTP_RECEIVING) {
        http_conn_phase(request->conn, HTTP_RECEIVING);
    }
    pthread_mutex_unlock(&request->lock);
    return MHD_YES;
}

/* The body is whole. The worker may have been given the request before (it reads while bytes
 * come): then it is only told; else it is put into the queue now. */
static enum MHD_Result finish(struct hilum_http *request)
{
    pthread_mutex_lock(&request->lock);
    if (!request->is_eof) {
        request->is_eof = true;
        http_conn_phase(request->conn, HTTP_WORKING);
        pthread_cond_broadcast(&request->changed);
    }
    bool is_to_queue = !request->is_queued && !request->is_answered;
    pthread_mutex_unlock(&request->lock);
    if (is_to_queue)
        queue_or_refuse(request);
    pthread_mutex_lock(&request->lock);
    if (!request->is_answered) {
        wait_for_worker(request);
        pthread_mutex_unlock(&request->lock);
        return MHD_YES;
    }
    pthread_mutex_unlock(&request->lock);
    return answer(request);
}

/* MHD calls it once with the head, then for each piece of the body, then with none left; every
 * call on the connection's loop. */
static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *bytes,
                                  size_t *n, void **context)
{
    struct hilum_http *request = *context;
    (void)arg;
    (void)connection;
    (void)url;
    if (request == NULL)
        return MHD_NO;
    request->may_be_interim = strcmp(version, MHD_HTTP_VERSION_1_1) == 0;
    if (request->asked.method == NULL)
        return begin(request, method);
    return *n > 0 ? body(request, bytes, n) : finish(request);
}

/* ---- listeners ---- */

/* Escapes are decoded by url.c, after the path is split. */
static size_t keep_escapes(void *arg, struct MHD_Connection *connection, char *text)
{
    (void)arg;
    (void)connection;
    return strlen(text);
}

/* For who debugs: what clients do wrong is no news to an administrator. */
__attribute__((format(printf, 2, 0))) static void library_log(void *arg, const char *format,
                                                              va_list arguments)
{
    struct http_server *server = arg;
    char line[256];
    int n = vsnprintf(line, sizeof line, format, arguments);
    if (n > 0 && (size_t)n < sizeof line && line[n - 1] == '\n')
        line[n - 1] = '\0';
    server->host->log(server->self, HILUM_LOG_DEBUG, line);
}

/* With advice: a port that is taken is what a first start fails of. */
static hilum_rc fail_listen(struct http_server *server, const char *where, const char *why)
{
    char text[256];
    bool is_taken = strstr(why, strerror(EADDRINUSE)) != NULL;
    snprintf(text, sizeof text, "listen %s: %s (listen of plugin http%s)", where, why,
             is_taken ? "; `ss -ltnp` tells who has a port" : "");
    return server->host->fail(server->self, HILUM_EIO, text);
}

/* What was bound, not what was configured: port 0 has become a number by now. */
static void url_write(struct http_listener *listener)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    char host[64] = "", port[8] = "";
    if (getsockname(listener->fd, (struct sockaddr *)&address, &size) == 0)
        getnameinfo((struct sockaddr *)&address, size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(listener->url, sizeof listener->url,
             address.ss_family == AF_INET6 ? "%s://[%s]:%s" : "%s://%s:%s",
             listener->is_tls ? "https" : "http", host, port);
}

/* max_header is the library's memory of one connection, which has to hold the head.
 * STRICT_FOR_CLIENT: what RFC 9112 forbids is refused and not guessed at. */
static hilum_rc daemon_start(struct http_server *server, struct http_listener *listener)
{
    const struct http_conf *conf = server->conf;
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ITC |
                     MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG |
                     (listener->is_tls ? MHD_USE_TLS : 0);
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)library_log, server},
        {MHD_OPTION_THREAD_POOL_SIZE, conf->threads, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, conf->max_connections, NULL},
        {MHD_OPTION_PER_IP_CONNECTION_LIMIT, conf->max_per_address, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, conf->max_header, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, (conf->idle_timeout + 999) / 1000, NULL},
        {MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)keep_escapes, server},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)on_target, server},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, server},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, server},
        {MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL},
        {MHD_OPTION_END, 0, NULL},
        {MHD_OPTION_END, 0, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    if (listener->is_tls) {
        options[sizeof options / sizeof *options - 3] = http_tls_option(server);
        options[sizeof options / sizeof *options - 2] = http_client_ca_option(server);
    }
    listener->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, server, MHD_OPTION_ARRAY,
                                        options, MHD_OPTION_END);
    listener->max_connections = (unsigned)conf->max_connections;
    if (listener->daemon != NULL && http_accept_start(listener))
        return HILUM_OK;
    if (listener->daemon != NULL)
        MHD_stop_daemon(listener->daemon);
    close(listener->fd);
    return fail_listen(server, listener->url, "libmicrohttpd does not start");
}

/* The host would give one socket to both, and each connection to whichever is quicker. */
static bool is_twice(const struct http_server *server, const char *address)
{
    size_t n = strlen(address);
    for (unsigned i = 0; i < server->n_listeners; i++)
        if (strcmp(server->listeners[i].address, address) == 0)
            return n < 2 || strcmp(address + n - 2, ":0") != 0;
    return false;
}

/* The socket is the host's: a newer version of this plugin goes on with it, and whoever connects in between waits. */
static hilum_rc listen_one(struct http_server *server, const char *where)
{
    char why[192];
    uint16_t port;
    struct http_listener *listener = &server->listeners[server->n_listeners];
    if (server->n_listeners == HTTP_LISTENERS)
        return fail_listen(server, where, "too many listeners");
    listener->is_tls = strncmp(where, "tls:", 4) == 0;
    if (listener->is_tls && server->tls == NULL)
        return fail_listen(server, where, "tls: needs certificate and key");
    const char *address = listener->is_tls ? where + 4 : where;
    if (is_twice(server, address))
        return fail_listen(server, where, "this address is listened on already");
    snprintf(listener->address, sizeof listener->address, "%s", address);
    hilum_rc rc = server->host->listen(server->self, address, &listener->fd, &port);
    if (rc != HILUM_OK) {
        snprintf(why, sizeof why, "%s", server->host->reason(server->self));
        return fail_listen(server, where, why);
    }
    url_write(listener);
    rc = daemon_start(server, listener);
    if (rc == HILUM_OK)
        server->n_listeners++;
    return rc;
}

hilum_rc http_listen(struct http_server *server)
{
    char *list = strdup(server->conf->listen), *rest = NULL;
    hilum_rc rc = list != NULL ? HILUM_OK : HILUM_ENOMEM;
    for (char *one = list != NULL ? strtok_r(list, ", ", &rest) : NULL;
         one != NULL && rc == HILUM_OK; one = strtok_r(NULL, ", ", &rest))
        rc = listen_one(server, one);
    free(list);
    return rc;
}

/* The listening socket itself stays open in the host: whoever connects now waits for the next
 * version. */
void http_quiesce(struct http_server *server)
{
    for (unsigned i = 0; i < server->n_listeners; i++)
        http_accept_stop(&server->listeners[i]);
}

void http_unlisten(struct http_server *server)
{
    http_quiesce(server);
    for (unsigned i = 0; i < server->n_listeners; i++)
        MHD_stop_daemon(server->listeners[i].daemon);
    server->n_listeners = 0;
}
