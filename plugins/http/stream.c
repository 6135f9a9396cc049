/* Bodies that are made while they leave: a worker fetches a piece, the loop sends it, and nobody waits for a slow
 * client.
 *
 * Who has the piece: the loop while !is_pulling, a worker while it is. The library calls give()
 * for more bytes; when the piece is used up, the connection is suspended and the request queued
 * before all others (http_enqueue_pull), so what has begun to leave does not wait behind new
 * requests.
 *
 * A source may have nothing yet (HILUM_EAGAIN: events to come). Then nobody has it: it waits
 * as `is_idle` until its owner wakes it, or the watcher asks once a second.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <microhttpd.h>
#include <stdio.h>
#include <string.h>

/* What the library asks for at once. */
enum { BLOCK = 128 * 1024, TOUCH = 4096 };

/* is_ended: nothing can be written beside a source. total may be HILUM_LENGTH_UNKNOWN: chunks. */
hilum_rc http_stream(struct hilum_http *request, uint32_t status, const char *media_type,
                     uint64_t length, const struct hilum_http_source *source)
{
    hilum_rc rc = http_response_begin(request, status, media_type);
    if (rc != HILUM_OK) {
        if (source->close != NULL)
            source->close(source->arg);
        return rc;
    }
    request->source = (struct hilum_http_source){0};
    memcpy(&request->source, source,
           source->size < sizeof request->source ? source->size : sizeof request->source);
    request->source_left = UINT64_MAX;
    request->has_source = true;
    request->total = length;
    request->is_ended = true;
    return HILUM_OK;
}

void http_stream_drop(struct hilum_http *request)
{
    if (request->has_source && request->source.close != NULL)
        request->source.close(request->source.arg);
    request->has_source = false;
    request->piece_left = 0;
}

/* Mapped files are read here: a loop that met a page not in memory would hold up every other
 * client. A byte of each page, on the worker: the page fault is its wait. */
static void touch(const uint8_t *bytes, uint64_t n)
{
    volatile uint8_t sum = 0;
    for (uint64_t at = 0; at < n; at += TOUCH)
        sum = (uint8_t)(sum + bytes[at]);
}

/* The piece is the source's memory, lent until the next call: it is not asked for more before
 * MHD has taken all of it. */
static hilum_rc fetch(struct hilum_http *request)
{
    const void *bytes = NULL;
    uint64_t n = 0;
    hilum_rc rc = request->source.next(request->source.arg, &bytes, &n);
    if (n > request->source_left) /* what is asked for ends here */
        n = request->source_left;
    if (rc == HILUM_OK)
        touch(bytes, n);
    request->source_left -= rc == HILUM_OK ? n : 0;
    request->piece = bytes;
    request->piece_left = rc == HILUM_OK ? n : 0;
    request->is_source_end = rc == HILUM_OK && n == 0;
    request->is_source_failed = rc != HILUM_OK && rc != HILUM_EAGAIN;
    return rc;
}

/* What has nothing yet is begun all the same: its head leaves. */
hilum_rc http_stream_first(struct hilum_http *request)
{
    hilum_rc rc = fetch(request);
    return rc == HILUM_EAGAIN ? HILUM_OK : rc;
}

/* ---- sources that have nothing yet ---- */

/* A worker's turn for a source that may have something by now. */
static void pull_again(struct hilum_http *request)
{
    if (http_enqueue_pull(request))
        return;
    pthread_mutex_lock(&request->lock);
    request->is_pulling = false;
    request->is_source_failed = true;
    http_wake(request);
    pthread_mutex_unlock(&request->lock);
}

/* Woken while a worker pulls: is_woken makes that one pull again, so nothing is lost between
 * its look and its going idle. */
void http_stream_wake(struct hilum_http *request)
{
    pthread_mutex_lock(&request->lock);
    bool was_idle = request->is_idle;
    request->is_idle = false;
    request->is_woken = !was_idle;
    pthread_mutex_unlock(&request->lock);
    if (was_idle)
        pull_again(request);
}

/* One that waits; NULL: none. It is nobody else's then. idle_round: each source is asked once
 * a round, also one that goes idle again at once. */
static struct hilum_http *take_idle(struct http_server *server)
{
    struct hilum_http *found = NULL;
    pthread_mutex_lock(&server->lock);
    for (struct hilum_http *r = server->active; r != NULL && found == NULL; r = r->next_active) {
        pthread_mutex_lock(&r->lock);
        if (r->is_idle && r->idle_round != server->idle_round) {
            r->is_idle = false;
            found = r;
        }
        pthread_mutex_unlock(&r->lock);
    }
    pthread_mutex_unlock(&server->lock);
    return found;
}

/* Once a second, by the watcher: for sources that nobody wakes. */
void http_streams_ask(struct http_server *server)
{
    pthread_mutex_lock(&server->lock);
    server->idle_round++;
    pthread_mutex_unlock(&server->lock);
    for (struct hilum_http *r; (r = take_idle(server)) != NULL;)
        pull_again(r);
}

/* Nothing yet: the connection stays suspended until somebody wakes it. True: it is his now. A
 * wake-up that came while the source was being asked (is_woken) means another turn. */
static bool is_left_idle(struct hilum_http *request, bool is_draining, uint64_t round)
{
    pthread_mutex_lock(&request->lock);
    bool is_left = !is_draining && !request->is_woken;
    request->is_source_end = is_draining;
    request->is_idle = is_left;
    request->idle_round = round;
    pthread_mutex_unlock(&request->lock);
    return is_left;
}

/* The pattern, not the path: paths name studies. */
static void log_cut(const struct hilum_http *request, hilum_rc rc)
{
    const struct http_server *server = request->server;
    char line[512];
    snprintf(line, sizeof line, "%s %s: cut short: %s (trace %s)", request->asked.method,
             request->match.route->table->pattern, server->host->reason_of(server->self, rc),
             request->trace);
    server->host->log(server->self, HILUM_LOG_WARN, line);
}

/* False: it waits, or another turn has been asked for; the request is not this thread's any more. */
static bool pull(struct hilum_http *request)
{
    struct http_server *server = request->server;
    pthread_mutex_lock(&server->lock);
    bool is_cut = server->is_cut, is_draining = server->is_draining;
    uint64_t round = server->idle_round;
    pthread_mutex_unlock(&server->lock);
    pthread_mutex_lock(&request->lock);
    bool is_gone = request->is_gone;
    request->is_woken = false;
    pthread_mutex_unlock(&request->lock);
    if (is_cut)
        request->is_source_failed = true;
    server->host->fail(server->self, HILUM_OK, ""); /* of whoever was served by this thread */
    hilum_rc rc = is_cut || is_gone ? HILUM_OK : fetch(request);
    bool is_left = rc == HILUM_ECLOSED && request->is_hung_up;
    if (rc != HILUM_OK && rc != HILUM_EAGAIN && !is_left)
        log_cut(request, rc);
    if (rc != HILUM_EAGAIN)
        return true;
    if (is_left_idle(request, is_draining, round))
        return false;
    if (is_draining)
        return true;
    pull_again(request);
    return false;
}

/* A worker's turn; when the client went away during it, ending the request fell to this
 * thread. */
void http_stream_pull(struct hilum_http *request)
{
    if (!pull(request))
        return;
    pthread_mutex_lock(&request->lock);
    request->is_pulling = false;
    bool is_gone = request->is_gone;
    if (!is_gone) {
        http_conn_phase(request->conn, HTTP_SENDING);
        http_wake(request);
    }
    pthread_mutex_unlock(&request->lock);
    if (is_gone)
        http_request_end(request);
}

/* ---- on the loop ---- */

/* The peer owes nothing while a worker fetches. */
static ssize_t wait_for_piece(struct hilum_http *request)
{
    pthread_mutex_lock(&request->lock);
    request->is_pulling = request->is_suspended = true;
    http_conn_phase(request->conn, HTTP_WORKING);
    MHD_suspend_connection(request->connection);
    pthread_mutex_unlock(&request->lock);
    if (http_enqueue_pull(request))
        return 0;
    pthread_mutex_lock(&request->lock);
    request->is_pulling = false;
    request->is_source_failed = true;
    http_wake(request);
    pthread_mutex_unlock(&request->lock);
    return 0;
}

/* An error ends the connection, not the body: a client must not take a part for the whole. */
static ssize_t give(void *arg, uint64_t at, char *out, size_t max)
{
    struct hilum_http *request = arg;
    if (request->piece_left > 0) {
        size_t n = request->piece_left < max ? (size_t)request->piece_left : max;
        memcpy(out, request->piece, n);
        request->piece += n;
        request->piece_left -= n;
        request->sent = at + n;
        return (ssize_t)n;
    }
    if (request->is_source_failed)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    return request->is_source_end ? MHD_CONTENT_READER_END_OF_STREAM : wait_for_piece(request);
}

struct MHD_Response *http_stream_respond(struct hilum_http *request)
{
    return MHD_create_response_from_callback(
        request->total == HILUM_LENGTH_UNKNOWN ? MHD_SIZE_UNKNOWN : request->total, BLOCK, give,
        request, NULL);
}
