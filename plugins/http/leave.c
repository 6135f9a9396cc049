/* How those who are connected are let go when the server stops or a newer version takes over: the door is closed, each answer
 * says that it is the last one of its connection, connections nobody uses are closed, and what takes long goes on.
 * SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <sys/socket.h>
#include <time.h>

enum {
    UNUSED_MS = 300, /* without a byte of a next request: whoever asks all the time asks sooner */
    HEAD_MS = 2000,  /* for the rest of a header, or a TLS handshake, that has begun */
    STEP_MS = 10
};

/* Bytes moved tell a client that has begun its next request from one that keeps a connection
 * for later. */
static bool is_unused(const struct http_conn *conn, int64_t now)
{
    int64_t since = now - atomic_load(&conn->since_ms);
    if (atomic_load(&conn->phase) != HTTP_WAITING || since < UNUSED_MS)
        return false;
    return since > HEAD_MS || http_conn_moved(conn, HTTP_WAITING) == atomic_load(&conn->moved);
}

/* For reading only: a request that has come all the same is still read and answered. Holds server->lock. */
static void close_unused(struct http_server *server)
{
    int64_t now = http_now_ms();
    for (struct http_conn *conn = server->conns; conn != NULL; conn = conn->next)
        if (!conn->is_left && is_unused(conn, now)) {
            conn->is_left = true;
            shutdown(conn->fd, SHUT_RD);
        }
}

/* Whoever is left has been at it for a while, and no next request will come. Holds
 * server->lock. Younger than UNUSED_MS: it may be over in a moment. */
static bool only_long_ones(const struct http_server *server)
{
    int64_t now = http_now_ms();
    for (const struct http_conn *conn = server->conns; conn != NULL; conn = conn->next)
        if (atomic_load(&conn->phase) == HTTP_WAITING && !conn->is_left)
            return false;
    for (const struct hilum_http *r = server->active; r != NULL; r = r->next_active)
        if (now - r->begun_us / 1000 < UNUSED_MS)
            return false;
    return true;
}

/* Asked again and again while the server drains: connections that wait for a request are
 * closed by asking. */
bool http_is_left(struct http_server *server)
{
    pthread_mutex_lock(&server->lock);
    close_unused(server);
    bool is_left = server->n_conns == 0 && server->n_active == 0;
    pthread_mutex_unlock(&server->lock);
    return is_left;
}

void http_leave(struct http_server *server)
{
    if (atomic_exchange(&server->says_close, true))
        return;
    server->left_ms = http_now_ms();
    http_quiesce(server);
}

/* Streams that wait for something are asked once more, so that they notice the drain. */
void http_leave_idle(struct http_server *server)
{
    pthread_mutex_lock(&server->lock);
    server->is_draining = true;
    pthread_cond_broadcast(&server->watched);
    pthread_mutex_unlock(&server->lock);
    http_streams_ask(server);
}

/* Polled: connections end on the loop's threads, which signal nothing for it. */
bool http_leave_wait(struct http_server *server, uint32_t ms, bool for_long_ones)
{
    const struct timespec step = {.tv_nsec = STEP_MS * 1000000L};
    int64_t end = http_now_ms() + ms;
    while (!http_is_left(server)) {
        pthread_mutex_lock(&server->lock);
        bool is_enough = !for_long_ones && only_long_ones(server);
        pthread_mutex_unlock(&server->lock);
        if (is_enough || http_now_ms() >= end)
            return false;
        nanosleep(&step, NULL);
    }
    return true;
}
