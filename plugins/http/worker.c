/* Threads that run routes: identify, permission, run, response. Requests wait in a bounded queue.
 *
 * Three queues: pieces of what leaves come first, then requests, then long bodies that arrive.
 * The last have threads of their own (option `bodies`), because each waits for its sender;
 * half of them at most for one address, so that one slow site does not keep others out.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- one request ---- */

/* The reason recorded with this failure; "": none was. What was recorded last may be another failure's. */
static const char *reason_of(const struct hilum_http *request, hilum_rc rc)
{
    return request->server->host->reason_of(request->server->self, rc);
}

/* The client gets the trace, the log has the reason: neither tells the other's part. Where nobody recorded one the last
 * of this request may help who looks for it. */
static void log_failure(struct hilum_http *request, hilum_rc rc)
{
    struct http_server *server = request->server;
    const char *reason = reason_of(request, rc), *last = server->host->reason(server->self);
    char line[600];
    snprintf(line, sizeof line, "%s %s: error %d: %s%s (trace %s)", request->asked.method,
             request->match.route->table->pattern, rc,
             *reason != '\0' ? "" : "no reason was given; what failed before it: ",
             *reason != '\0' ? reason
             : *last != '\0' ? last
                             : "nothing",
             request->trace);
    server->host->log(server->self, HILUM_LOG_WARN, line);
}

/* What may be said of a failure that is no fault of the client: the kind of it, nothing of the
 * inside. The trace leads to the reason in the log; a client's user can do nothing with it. Also
 * of one that is the client's where nobody said why. */
static const char *detail_of(hilum_rc rc)
{
    switch (rc) {
    case HILUM_EINVAL: return "something in this request makes no sense here";
    case HILUM_ENOTFOUND: return "what this request names is not here";
    case HILUM_EDENIED: return "this is not allowed";
    case HILUM_EUNSUP: return "this cannot be had here";
    case HILUM_EFULL: return "this is more than is taken or given at once: ask for less";
    case HILUM_EAGAIN:
        return "there is too much to do just now: ask again in a moment; see the server's log for "
               "this trace";
    case HILUM_ETIMEDOUT:
        return "this took too long and was ended; nothing else is lost; see the server's log for "
               "this trace";
    case HILUM_ECORRUPT:
        return "what is stored is damaged or contradicts itself; see the server's log for this "
               "trace";
    case HILUM_ENOMEM:
        return "there is no memory for this now: ask for less, or later; see the server's log for "
               "this trace";
    default:
        return "something broke while this was made; nothing else is lost; see the server's log "
               "for this trace";
    }
}

/* What was not answered, or not to its end, becomes an error the client can quote. What the
 * route had collected is dropped: half an answer is none. */
static void error_answer(struct hilum_http *request, hilum_rc rc)
{
    char reason[512];
    snprintf(reason, sizeof reason, "%s", reason_of(request, rc));
    http_pieces_drop(request);
    request->headers = NULL;
    request->last_header = &request->headers;
    request->is_begun = request->is_ended = false;
    if (rc == HILUM_EAGAIN)
        http_header_add(request, "Retry-After", "2");
    bool is_theirs = rc == HILUM_EINVAL || rc == HILUM_ENOTFOUND || rc == HILUM_EDENIED ||
                     rc == HILUM_EUNSUP || rc == HILUM_EFULL;
    uint32_t status = rc == HILUM_ECLOSED && request->is_hung_up ? HTTP_CLIENT_GONE : 0;
    http_problem(request, status, rc, is_theirs && *reason != '\0' ? reason : detail_of(rc));
}

/* Too many at once for one user: the next waits its turn at the client. Itself included, hence
 * ">". Streams that have nothing to say are as many again: a ward whose pages all listen under one
 * account would else be shut out by them. */
static bool is_over_user_limit(struct hilum_http *request)
{
    struct http_server *server = request->server;
    int64_t n = 0, n_idle = 0, most = server->conf->max_requests_per_user;
    if (request->user[0] == '\0')
        return false;
    pthread_mutex_lock(&server->lock);
    for (struct hilum_http *r = server->active; r != NULL; r = r->next_active) {
        if (strcmp(r->user, request->user) != 0)
            continue;
        pthread_mutex_lock(&r->lock);
        n_idle += r->is_idle;
        n += !r->is_idle;
        pthread_mutex_unlock(&r->lock);
    }
    pthread_mutex_unlock(&server->lock);
    return n > most || n + n_idle > 2 * most;
}

/* 0: go on. 401 and 403 are told apart by identify; a permission that is missing is 403. */
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

/* A serial plugin's requests wait here, and each keeps a worker. What failed for who asked before on this thread is nobody
 * else's to hear. */
static hilum_rc run(struct hilum_http *request)
{
    struct http_route *route = request->match.route;
    request->server->host->fail(request->server->self, HILUM_OK, "");
    if (route->serial != NULL)
        pthread_mutex_lock(route->serial);
    hilum_rc rc = route->table->run(route->instance, &http_api, request);
    if (route->serial != NULL)
        pthread_mutex_unlock(route->serial);
    return rc;
}

/* What a handler kept (suspend) is finished by whoever resumes it, perhaps before run() has
 * returned here: hence the lock, and nothing of the request is touched after. */
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

/* HILUM_ECLOSED: the client has gone, and nothing is logged for that. */
void http_finish(struct hilum_http *request, hilum_rc rc)
{
    if (rc >= 0 && request->has_source)
        rc = http_range_stream(request);
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

/* ---- queues ---- */

static void put(struct hilum_http ***last, struct hilum_http *request)
{
    request->queue_next = NULL;
    **last = request;
    *last = &request->queue_next;
}

/* Takes out what *at points to. */
static struct hilum_http *unlink_at(struct hilum_http **at, struct hilum_http ***last)
{
    struct hilum_http *request = *at;
    *at = request->queue_next;
    if (*last == &request->queue_next)
        *last = at;
    return request;
}

/* ---- threads with nothing to do ---- */

/* On the stack of its thread. Whoever takes it out of the list posts, once: the thread leaves only then. */
struct http_sleeper {
    struct http_sleeper *next;
    sem_t woken;
};

/* The one that fell asleep last: its stack and its memory are still in the processor's cache. Holds server->lock; NULL:
 * all are at work, and look again before they sleep. */
static struct http_sleeper *sleeper_take(struct http_server *server)
{
    struct http_sleeper *sleeper = server->sleepers;
    if (sleeper != NULL)
        server->sleepers = sleeper->next;
    return sleeper;
}

/* Without server->lock: who wakes would wait for it at once. */
static void sleeper_wake(struct http_sleeper *sleeper)
{
    if (sleeper != NULL)
        sem_post(&sleeper->woken);
}

/* Holds server->lock, which they want first. */
static void all_wake(struct http_server *server)
{
    for (struct http_sleeper *sleeper; (sleeper = sleeper_take(server)) != NULL;)
        sleeper_wake(sleeper);
}

/* Holds server->lock, but not while it sleeps. */
static void sleep_until_woken(struct http_server *server)
{
    struct http_sleeper self = {.next = server->sleepers};
    sem_init(&self.woken, 0, 0);
    /* cppcheck-suppress autoVariables ; whoever wakes it has taken it out of the list */
    server->sleepers = &self;
    pthread_mutex_unlock(&server->lock);
    while (sem_wait(&self.woken) != 0 && errno == EINTR)
        ;
    sem_destroy(&self.woken);
    pthread_mutex_lock(&server->lock);
}

/* ---- what comes, and who does it ---- */

static void *work(void *arg);

/* As many threads as have something to do at most: who reads a long body waits for its sender.
 * Holds server->lock. Never fewer: threads that were made stay until the stop. */
static hilum_rc threads_make(struct http_server *server)
{
    unsigned bodies = server->n_bodies + server->n_body_queue;
    unsigned limit = (unsigned)server->conf->bodies;
    unsigned wanted = (unsigned)server->conf->workers + (bodies < limit ? bodies : limit);
    for (; server->n_workers < wanted; server->n_workers++)
        if (pthread_create(&server->workers[server->n_workers], NULL, work, server) != 0)
            return HILUM_ENOMEM;
    return HILUM_OK;
}

bool http_enqueue(struct hilum_http *request)
{
    struct http_server *server = request->server;
    pthread_mutex_lock(&server->lock);
    unsigned n = server->n_queue + server->n_body_queue;
    bool fits = !server->is_stopping && !server->is_cut && n < (unsigned)server->conf->queue;
    if (fits && request->is_long_body) {
        put(&server->last_body, request);
        server->n_body_queue++;
        (void)threads_make(server); /* without one more it waits for one of those there are */
    } else if (fits) {
        put(&server->last, request);
        server->n_queue++;
    }
    struct http_sleeper *sleeper = fits ? sleeper_take(server) : NULL;
    pthread_mutex_unlock(&server->lock);
    sleeper_wake(sleeper);
    return fits;
}

/* Before new requests: a body under way holds a client's connection and somebody's objects. */
bool http_enqueue_pull(struct hilum_http *request)
{
    struct http_server *server = request->server;
    pthread_mutex_lock(&server->lock);
    bool goes_on = !server->is_cut;
    if (goes_on)
        put(&server->last_pull, request);
    struct http_sleeper *sleeper = goes_on ? sleeper_take(server) : NULL;
    pthread_mutex_unlock(&server->lock);
    sleeper_wake(sleeper);
    return goes_on;
}

/* Slow handlers keep workers busy; some are left for what leaves. Two of 16 are kept free for
 * pieces: else slow routes would stop every download. */
static bool may_run(const struct http_server *server)
{
    unsigned n = (unsigned)server->conf->workers, spared = n >= 8 ? 2 : n > 1 ? 1 : 0;
    return server->first != NULL && server->n_running < n - spared;
}

static unsigned bodies_of(const struct http_server *server, const char *address)
{
    unsigned n = 0;
    for (const struct hilum_http *r = server->active; r != NULL; r = r->next_active)
        n += r->is_reading_body && strcmp(r->peer, address) == 0;
    return n;
}

/* The first whose address does not send half of all that may. NULL: none. */
static struct hilum_http *take_body(struct http_server *server)
{
    unsigned limit = (unsigned)server->conf->bodies;
    for (struct hilum_http **at = &server->first_body; *at != NULL; at = &(*at)->queue_next) {
        if (server->n_bodies == limit || bodies_of(server, (*at)->peer) >= limit / 2)
            continue;
        (*at)->is_reading_body = true;
        server->n_bodies++;
        server->n_body_queue--;
        return unlink_at(at, &server->last_body);
    }
    return NULL;
}

/* Holds server->lock. NULL: nothing to do now. Whatever a thread was made for, it does what is
 * due. */
static struct hilum_http *take(struct http_server *server, bool *is_pull)
{
    *is_pull = server->first_pull != NULL;
    if (*is_pull)
        return unlink_at(&server->first_pull, &server->last_pull);
    if (!may_run(server))
        return take_body(server);
    server->n_queue--;
    server->n_running++;
    return unlink_at(&server->first, &server->last);
}

static bool has_waiting(const struct http_server *server)
{
    return server->first != NULL || server->first_body != NULL;
}

/* NULL: the server stops and nothing waits any more. */
static struct hilum_http *dequeue(struct http_server *server, bool *is_pull)
{
    struct hilum_http *request;
    pthread_mutex_lock(&server->lock);
    while ((request = take(server, is_pull)) == NULL &&
           (!server->is_stopping || has_waiting(server)))
        sleep_until_woken(server);
    pthread_mutex_unlock(&server->lock);
    return request;
}

/* ---- threads ---- */

static void serve_counted(struct http_server *server, struct hilum_http *request)
{
    bool is_body = request->is_long_body;
    serve(request); /* may free it */
    pthread_mutex_lock(&server->lock);
    if (is_body)
        server->n_bodies--;
    else
        server->n_running--;
    struct http_sleeper *sleeper = has_waiting(server) ? sleeper_take(server) : NULL;
    if (server->is_stopping)
        all_wake(server);
    pthread_mutex_unlock(&server->lock);
    sleeper_wake(sleeper);
}

/* The whole life of a worker. A handler may block it; that is what there are several for. */
static void *work(void *arg)
{
    struct http_server *server = arg;
    bool is_pull = false;
    for (struct hilum_http *request; (request = dequeue(server, &is_pull)) != NULL;) {
        if (is_pull)
            http_stream_pull(request);
        else
            serve_counted(server, request);
    }
    return NULL;
}

/* The lock is held until all are made: none of them runs before the lists are whole. */
hilum_rc http_workers_start(struct http_server *server)
{
    server->last = &server->first;
    server->last_pull = &server->first_pull;
    server->last_body = &server->first_body;
    server->workers =
        calloc((size_t)(server->conf->workers + server->conf->bodies), sizeof *server->workers);
    hilum_rc rc = HILUM_ENOMEM;
    if (server->workers != NULL) {
        pthread_mutex_lock(&server->lock);
        rc = threads_make(server);
        pthread_mutex_unlock(&server->lock);
    }
    return rc == HILUM_OK ? rc
                          : server->host->fail(server->self, rc, "http: no threads for workers");
}

/* By CLOCK_REALTIME, as pthread_timedjoin_np wants it. */
bool http_workers_stop(struct http_server *server, unsigned ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000;
    pthread_mutex_lock(&server->lock);
    server->is_stopping = server->is_draining = true; /* no thread is made from here on */
    unsigned n = server->n_workers;
    all_wake(server);
    pthread_mutex_unlock(&server->lock);
    for (; n > 0; n--)
        if (pthread_timedjoin_np(server->workers[n - 1], NULL, &until) != 0)
            return false;
    server->n_workers = 0;
    free(server->workers);
    server->workers = NULL;
    return true;
}
