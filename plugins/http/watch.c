/* Deadlines on progress: a header must be complete in time, a body must move. The kernel's own counts of the socket
 * tell, so that nothing is counted on the way of the bytes.
 *
 * TCP_INFO counts bytes acknowledged by the peer's kernel: what a proxy has taken counts as
 * sent.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

int64_t http_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* What the peer has acknowledged, not what was written: a client that reads nothing
 * acknowledges until its buffer is full, and then nothing. */
uint64_t http_conn_moved(const struct http_conn *conn, enum http_phase phase)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    if (getsockopt(conn->fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0)
        return 0;
    return phase == HTTP_SENDING ? info.tcpi_bytes_acked : info.tcpi_bytes_received;
}

/* Atomics: the watcher reads them without a lock and may see a phase a moment late. */
void http_conn_phase(struct http_conn *conn, enum http_phase phase)
{
    if (conn == NULL)
        return;
    if (phase == HTTP_WAITING && atomic_load(&conn->since_ms) != 0)
        conn->has_asked = true;
    if (phase != HTTP_WORKING)
        atomic_store(&conn->moved, http_conn_moved(conn, phase));
    atomic_store(&conn->since_ms, http_now_ms());
    atomic_store(&conn->phase, (int)phase);
}

/* The rate is that of a window of some times body_grace: a short stall after a fast start is forgiven, and a gigabyte that
 * went quickly is no credit for days. */
enum { WINDOW = 4 };

static bool is_late(const struct http_server *server, struct http_conn *conn, int64_t now)
{
    const struct http_conf *conf = server->conf;
    enum http_phase phase = (enum http_phase)atomic_load(&conn->phase);
    int64_t took = now - atomic_load(&conn->since_ms);
    if (phase == HTTP_WAITING)
        return took > (conn->has_asked ? conf->idle_timeout : conf->header_timeout);
    if (phase == HTTP_WORKING || took < conf->body_grace)
        return false;
    uint64_t moved = http_conn_moved(conn, phase), bytes = moved - atomic_load(&conn->moved);
    if (bytes * 1000 < (uint64_t)conf->min_rate * (uint64_t)took)
        return true;
    if (took >= WINDOW * conf->body_grace) {
        atomic_store(&conn->moved, moved);
        atomic_store(&conn->since_ms, now);
    }
    return false;
}

static void look(struct http_server *server)
{
    int64_t now = http_now_ms();
    pthread_mutex_lock(&server->lock);
    for (struct http_conn *conn = server->conns; conn != NULL; conn = conn->next) {
        if (conn->is_cut || !is_late(server, conn, now))
            continue;
        conn->is_cut = true;
        atomic_fetch_add(&server->cuts, 1);
        /* Not close(): the descriptor is the library's, which sees the end and cleans up. */
        shutdown(conn->fd, SHUT_RDWR);
    }
    pthread_mutex_unlock(&server->lock);
}

/* One kept exchange whose time is over; false: none. It cannot go away meanwhile: it is freed after resume(). */
static bool end_one_kept(struct http_server *server)
{
    void (*on_gone)(void *arg) = NULL;
    void *arg = NULL;
    int64_t now = http_now_ms();
    pthread_mutex_lock(&server->lock);
    for (struct hilum_http *r = server->active; r != NULL && on_gone == NULL; r = r->next_active) {
        pthread_mutex_lock(&r->lock);
        if (r->is_kept && (r->is_gone || now > r->kept_until_ms || server->is_draining)) {
            on_gone = r->on_gone;
            arg = r->gone_arg;
            r->on_gone = NULL;
        }
        pthread_mutex_unlock(&r->lock);
    }
    pthread_mutex_unlock(&server->lock);
    if (on_gone != NULL)
        on_gone(arg);
    return on_gone != NULL;
}

/* ---- has the client gone? ---- */

enum { LOOK_MS = 50, PROBE_MS = 1000 };

/* A FIN says that nothing more comes, not that nobody reads: a client may end its side and wait for the answer, and the
 * kernel tells it apart from one that has gone only when something is sent. That is what an interim answer is for, which
 * every client of HTTP/1.1 has to pass over (RFC 9110 15.2): one that has gone resets the connection. Within TLS nobody
 * ends one side only, and before 1.1 nobody knows interim answers: there it is gone, and here it stays. */
static bool is_half_open(struct hilum_http *request, int64_t now)
{
    static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (request->is_tls)
        return false;
    if (!request->may_be_interim || request->is_answered || now - request->probed_ms < PROBE_MS)
        return true;
    request->probed_ms = now;
    (void)send(request->conn->fd, interim, sizeof interim - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    return true;
}

/* Holds request->lock, without which the connection could be closed meanwhile. A server that leaves ends the reading side
 * itself (leave.c). */
static bool is_hung_up(struct hilum_http *request, int64_t now)
{
    struct pollfd peer = {.fd = request->conn->fd, .events = POLLRDHUP};
    if (poll(&peer, 1, 0) <= 0)
        return false;
    if (peer.revents & (POLLHUP | POLLERR | POLLNVAL))
        return true;
    return !atomic_load(&request->server->says_close) && !is_half_open(request, now);
}

hilum_rc http_go_on(struct hilum_http *request)
{
    const struct http_server *server = request->server;
    pthread_mutex_lock(&request->lock);
    int64_t now = http_now_ms();
    bool is_gone = request->is_gone || request->conn == NULL || request->is_hung_up;
    if (!is_gone && now - request->looked_ms >= LOOK_MS) {
        request->looked_ms = now;
        is_gone = is_hung_up(request, now);
    }
    request->is_hung_up = is_gone;
    pthread_mutex_unlock(&request->lock);
    return is_gone ? server->host->fail(server->self, HILUM_ECLOSED, "the client has gone")
                   : HILUM_OK;
}

/* ---- the watcher ---- */

/* A second between two looks: no deadline here is shorter. */
static void *watch(void *arg)
{
    struct http_server *server = arg;
    struct timespec until;
    pthread_mutex_lock(&server->lock);
    while (!server->is_watched_out) {
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += 1;
        pthread_cond_timedwait(&server->watched, &server->lock, &until);
        pthread_mutex_unlock(&server->lock);
        look(server);
        http_tls_look(server);
        http_streams_ask(server);
        while (end_one_kept(server)) {
        }
        pthread_mutex_lock(&server->lock);
    }
    pthread_mutex_unlock(&server->lock);
    return NULL;
}

hilum_rc http_watch_start(struct http_server *server)
{
    if (pthread_create(&server->watcher, NULL, watch, server) != 0)
        return server->host->fail(server->self, HILUM_ENOMEM, "http: no thread for deadlines");
    server->has_watcher = true;
    return HILUM_OK;
}

/* Joined: after this nobody walks the list of connections. */
void http_watch_stop(struct http_server *server)
{
    if (!server->has_watcher)
        return;
    pthread_mutex_lock(&server->lock);
    server->is_watched_out = true;
    pthread_cond_broadcast(&server->watched);
    pthread_mutex_unlock(&server->lock);
    pthread_join(server->watcher, NULL);
    server->has_watcher = false;
}
