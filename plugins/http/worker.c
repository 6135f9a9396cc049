/* Threads that run routes: identify, permission, run, response. Requests wait in a bounded queue.
 * SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- one request ---- */

static void log_failure(struct hilum_http *request, hilum_rc rc)
{
    struct http_server *server = request->server;
    char line[512];
    snprintf(line, sizeof line, "%s %s: error %d: %s (trace %s)", request->asked.method,
             request->match.route->table->pattern, rc, server->host->reason(server->self),
             request->trace);
    server->host->log(server->self, HILUM_LOG_WARN, line);
}

/* What was not answered, or not to its end, becomes an error the client can quote. */
static void error_answer(struct hilum_http *request, hilum_rc rc)
{
    char reason[512];
    snprintf(reason, sizeof reason, "%s", request->server->host->reason(request->server->self));
    http_pieces_drop(request);
    request->headers = NULL;
    request->last_header = &request->headers;
    request->is_begun = request->is_ended = false;
    bool is_theirs = rc == HILUM_EINVAL || rc == HILUM_ENOTFOUND || rc == HILUM_EDENIED ||
                     rc == HILUM_EUNSUP || rc == HILUM_EFULL;
    http_problem(request, 0, rc, is_theirs ? reason : "see the server's log for this trace");
}

/* Too many at once for one user: the next waits its turn at the client. */
static bool is_over_user_limit(struct hilum_http *request)
{
    struct http_server *server = request->server;
    int64_t n = 0;
    if (request->user[0] == '\0')
        return false;
    pthread_mutex_lock(&server->lock);
    for (const struct hilum_http *r = server->active; r != NULL; r = r->next_active)
        n += strcmp(r->user, request->user) == 0;
    pthread_mutex_unlock(&server->lock);
    return n > server->conf->max_requests_per_user;
}

/* 0: go on. */
static uint32_t admit(struct hilum_http *request, const char **why)
{
    struct http_server *server = request->server;
    const struct hilum_route *table = request->match.route->table;
    uint32_t status = 0;
    hilum_rc rc = http_identify(request, &status);
    if (rc == HILUM_OK && table->permission != NULL)
        rc = server->host->allow(server->self, request->who, table->permission, NULL);
    *why = server->host->reason(server->self);
    if (rc != HILUM_OK)
        return status != 0 ? status : 403;
    *why = "too many requests of this user are in work";
    return is_over_user_limit(request) ? 429 : 0;
}

static void refuse(struct hilum_http *request, uint32_t status, const char *why)
{
    char copy[512];
    snprintf(copy, sizeof copy, "%s", why);
    /* A browser would show a dialog of its own for Basic. */
    if (status == 401)
        http_header_add(request, "WWW-Authenticate",
                        http_shown(request, "Sec-Fetch-Mode") != NULL
                            ? "Bearer realm=\"hilum\""
                            : "Bearer realm=\"hilum\", Basic realm=\"hilum\"");
    if (status == 429)
        http_header_add(request, "Retry-After", "10");
    http_problem(request, status, HILUM_OK, copy);
}

static hilum_rc run(struct hilum_http *request)
{
    struct http_route *route = request->match.route;
    if (route->serial != NULL)
        pthread_mutex_lock(route->serial);
    hilum_rc rc = route->table->run(route->instance, &http_api, request);
    if (route->serial != NULL)
        pthread_mutex_unlock(route->serial);
    return rc;
}

static void serve(struct hilum_http *request)
{
    const char *why = NULL;
    uint32_t status = admit(request, &why);
    if (status != 0) {
        refuse(request, status, why);
        http_finish(request, HILUM_OK);
        return;
    }
    hilum_rc rc = run(request);
    pthread_mutex_lock(&request->lock);
    bool is_kept = request->is_kept;
    pthread_mutex_unlock(&request->lock);
    if (!is_kept)
        http_finish(request, rc);
}

void http_finish(struct hilum_http *request, hilum_rc rc)
{
    if (rc >= 0 && request->has_source)
        rc = http_stream_first(request);
    if (!request->is_ended || (rc < 0 && rc != HILUM_ECLOSED)) {
        hilum_rc code = rc < 0 ? rc : HILUM_EINTERNAL;
        if (code != HILUM_ECLOSED)
            log_failure(request, code);
        error_answer(request, code);
    }
    http_build(request);
    pthread_mutex_lock(&request->lock);
    request->is_answered = true;
    bool is_gone = request->is_gone;
    if (!is_gone)
        http_wake(request);
    pthread_mutex_unlock(&request->lock);
    if (is_gone)
        http_request_end(request);
}

/* ---- threads ---- */

bool http_enqueue(struct hilum_http *request)
{
    struct http_server *server = request->server;
    pthread_mutex_lock(&server->lock);
    bool fits = !server->is_draining && server->n_queue < (unsigned)server->conf->queue;
    if (fits) {
        request->queue_next = NULL;
        *server->last = request;
        server->last = &request->queue_next;
        server->n_queue++;
        pthread_cond_signal(&server->queued);
    }
    pthread_mutex_unlock(&server->lock);
    return fits;
}

bool http_enqueue_pull(struct hilum_http *request)
{
    struct http_server *server = request->server;
    pthread_mutex_lock(&server->lock);
    bool goes_on = !server->is_cut;
    if (goes_on) {
        request->queue_next = NULL;
        *server->last_pull = request;
        server->last_pull = &request->queue_next;
        pthread_cond_signal(&server->queued);
    }
    pthread_mutex_unlock(&server->lock);
    return goes_on;
}

/* Slow senders of bodies keep workers waiting; some are left for what leaves. */
static bool may_run(const struct http_server *server)
{
    unsigned n = (unsigned)server->conf->workers, spared = n >= 8 ? 2 : n > 1 ? 1 : 0;
    return server->first != NULL && server->n_running < n - spared;
}

/* Holds server->lock. NULL: nothing to do now. */
static struct hilum_http *take(struct http_server *server, bool *is_pull)
{
    struct hilum_http *request = server->first_pull;
    *is_pull = request != NULL;
    if (request != NULL) {
        server->first_pull = request->queue_next;
        if (server->first_pull == NULL)
            server->last_pull = &server->first_pull;
    } else if (may_run(server)) {
        request = server->first;
        server->first = request->queue_next;
        if (server->first == NULL)
            server->last = &server->first;
        server->n_queue--;
        server->n_running++;
    }
    return request;
}

static struct hilum_http *dequeue(struct http_server *server, bool *is_pull)
{
    struct hilum_http *request;
    pthread_mutex_lock(&server->lock);
    while ((request = take(server, is_pull)) == NULL &&
           (!server->is_stopping || server->first != NULL))
        pthread_cond_wait(&server->queued, &server->lock);
    pthread_mutex_unlock(&server->lock);
    return request;
}

static void *work(void *arg)
{
    struct http_server *server = arg;
    bool is_pull = false;
    for (struct hilum_http *request; (request = dequeue(server, &is_pull)) != NULL;) {
        if (is_pull) {
            http_stream_pull(request);
            continue;
        }
        serve(request);
        pthread_mutex_lock(&server->lock);
        server->n_running--;
        if (server->is_stopping)
            pthread_cond_broadcast(&server->queued);
        else if (server->first != NULL)
            pthread_cond_signal(&server->queued);
        pthread_mutex_unlock(&server->lock);
    }
    return NULL;
}

hilum_rc http_workers_start(struct http_server *server)
{
    server->last = &server->first;
    server->last_pull = &server->first_pull;
    while (server->n_workers < (unsigned)server->conf->workers) {
        if (pthread_create(&server->workers[server->n_workers], NULL, work, server) != 0)
            return server->host->fail(server->self, HILUM_ENOMEM, "http: no threads for workers");
        server->n_workers++;
    }
    return HILUM_OK;
}

bool http_workers_stop(struct http_server *server, unsigned ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000;
    pthread_mutex_lock(&server->lock);
    server->is_stopping = true;
    pthread_cond_broadcast(&server->queued);
    pthread_mutex_unlock(&server->lock);
    for (; server->n_workers > 0; server->n_workers--)
        if (pthread_timedjoin_np(server->workers[server->n_workers - 1], NULL, &until) != 0)
            return false;
    return true;
}
