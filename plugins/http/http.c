/* http: the web face. Sockets, TLS, limits and the access log are here; what is served are routes of other plugins.
 * The plugin's options and life.
 *
 * Order of a start: sessions and our own routes at init; at ready, when all plugins run,
 * routes are collected, then TLS, workers, the watcher, and the sockets last. Back in reverse.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

/* A route that does not return keeps everything it uses: nothing is freed then, the process is
 * about to end. */
enum {
    SILENT_MAX_MS = 10000, /* after the door is closed */
    CUT_MAX_MS = 3000,     /* for connections to notice that they are cut */
    FINI_MAX_MS = 5000     /* after the drain: routes that still do not return are given up */
};

#define AT(member) offsetof(struct http_conf, member)

static const struct hilum_option options[] = {
    {"listen", HILUM_OPT_STR, AT(listen), "127.0.0.1:8080", NULL,
     "Where to listen: \"ADDRESS:PORT\", \"tls:[::]:8443\", several by comma; port 0: any free "
     "one."},
    {"certificate", HILUM_OPT_PATH, AT(certificate), NULL, NULL,
     "Our certificate with intermediates, PEM; read again when it changes."},
    {"key", HILUM_OPT_PATH, AT(key), NULL, NULL, "Its private key, PEM."},
    {"client_ca", HILUM_OPT_PATH, AT(client_ca), NULL, NULL,
     "PEM bundle that vouches for certificates of clients; they sign in whoever an account names."},
    {"unknown_clients", HILUM_OPT_STR, AT(unknown_clients), "refuse", "refuse|accept",
     "Clients that do not sign in: \"refuse\" them, or \"accept\" those of this machine."},
    {"public_url", HILUM_OPT_STR, AT(public_url), "", NULL,
     "How clients call us, \"https://pacs.example/hilum\"; empty: as they did."},
    {"proxies", HILUM_OPT_STR, AT(proxies), "", NULL,
     "Addresses of our own proxies, by comma: their X-Forwarded-* headers are believed."},
    {"cors", HILUM_OPT_STR, AT(cors), "", NULL,
     "Origins whose pages may ask, by comma, \"https://viewer.example\"; \"*\": all, without "
     "sign-in."},
    {"plain_sign_in", HILUM_OPT_STR, AT(plain_sign_in), "refuse", "refuse|accept",
     "Passwords and tokens from other machines without TLS: \"refuse\" or \"accept\" them."},
    {"session_idle", HILUM_OPT_MSEC, AT(session_idle), "30m", "1m..24h",
     "A session nobody uses ends after this."},
    {"session_life", HILUM_OPT_MSEC, AT(session_life), "12h", "1m..30d",
     "Any session ends after this."},
    {"max_sign_in_failures", HILUM_OPT_INT, AT(max_sign_in_failures), "20", "1..100000",
     "Failed sign-ins from one address in five minutes; then it waits."},
    {"threads", HILUM_OPT_INT, AT(threads), "2", "1..64", "Threads that move bytes."},
    {"workers", HILUM_OPT_INT, AT(workers), "16", "1..256", "Requests in work at once."},
    {"bodies", HILUM_OPT_INT, AT(bodies), "100", "2..2000",
     "Long bodies that arrive at once, half of them from one address; one more waits."},
    {"queue", HILUM_OPT_INT, AT(queue), "1000", "1..100000",
     "Requests that wait for a worker; one more hears 503."},
    {"max_connections", HILUM_OPT_INT, AT(max_connections), "4000", "1..100000",
     "Connections at once, of each listener."},
    {"max_per_address", HILUM_OPT_INT, AT(max_per_address), "500", "1..100000",
     "Connections at once from one address."},
    {"max_requests_per_user", HILUM_OPT_INT, AT(max_requests_per_user), "100", "1..100000",
     "Requests in work at once of one user; one more hears 429. Streams of events that wait are as "
     "many again."},
    {"header_timeout", HILUM_OPT_MSEC, AT(header_timeout), "20s", "1s..10m",
     "From the connection to the first request's whole header."},
    {"idle_timeout", HILUM_OPT_MSEC, AT(idle_timeout), "60s", "1s..24h",
     "From one answer to the next request's whole header."},
    {"body_grace", HILUM_OPT_MSEC, AT(body_grace), "20s", "1s..10m",
     "After this long a body, in or out, must move at min_rate, and again in each four times as "
     "long."},
    {"min_rate", HILUM_OPT_BYTES, AT(min_rate), "1KiB", "0..1GiB",
     "Bytes a second a body must make; 0: none."},
    {"max_header", HILUM_OPT_BYTES, AT(max_header), "24KiB", "4KiB..1MiB",
     "Memory of one connection: a header that does not fit is refused."},
    {"max_response", HILUM_OPT_BYTES, AT(max_response), "256MiB", "1MiB..16GiB",
     "Of one response built in memory."},
    {"access_log", HILUM_OPT_BOOL, AT(access_log), "true", NULL, "One line a request."},
    {NULL, 0, 0, NULL, NULL, NULL},
};

/* What is waited for with a deadline goes by the monotonic clock: setting the time of day ends
 * no wait. */
static void locks_init(struct http_server *server)
{
    pthread_condattr_t monotonic;
    pthread_mutex_init(&server->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&server->watched, &monotonic);
    pthread_cond_init(&server->idle, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

/* Routes are only declared: nothing listens before start(). */
static hilum_rc http_init(const struct hilum_host *host, hilum_self *self, const void *conf,
                          void **state)
{
    struct http_server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return host->fail(self, HILUM_ENOMEM, "http: no memory");
    server->host = host;
    server->self = self;
    server->conf = conf;
    locks_init(server);
    hilum_rc rc = http_sessions_new(server);
    if (rc == HILUM_OK)
        rc = http_own_routes(server);
    if (rc == HILUM_OK)
        rc = http_signin_routes(server);
    if (rc == HILUM_OK)
        rc = http_metrics_route(server);
    if (rc != HILUM_OK) {
        http_sessions_free(server);
        free(server);
    } else {
        *state = server;
    }
    return rc;
}

/* Routes are called from here on, so all plugins that provide them must run. The first address
 * is announced, for READY lines and for commands that ask where we are. */
static hilum_rc http_ready(void *state)
{
    struct http_server *server = state;
    hilum_rc rc = http_routes_load(server);
    http_sessions_load(server);
    if (rc == HILUM_OK)
        rc = http_tls_open(server);
    if (rc == HILUM_OK)
        rc = http_client_ca_load(server);
    if (rc == HILUM_OK)
        rc = http_workers_start(server);
    if (rc == HILUM_OK)
        rc = http_watch_start(server);
    if (rc == HILUM_OK)
        rc = http_listen(server);
    for (unsigned i = 0; rc == HILUM_OK && i < server->n_listeners; i++) {
        char line[128];
        snprintf(line, sizeof line, "listening on %s", server->listeners[i].url);
        server->host->log(server->self, HILUM_LOG_INFO, line);
        if (i == 0)
            rc = server->host->announce(server->self, "http", server->listeners[i].url);
    }
    return rc;
}

/* Waits until no request is under way. Holds server->lock. */
static void wait_idle(struct http_server *server, uint32_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    while (server->n_active > 0 &&
           pthread_cond_timedwait(&server->idle, &server->lock, &until) != ETIMEDOUT) {
    }
}

/* Those that read a body hear that its client has gone; what leaves piece by piece gets no
 * further one, and its connection ends. Holds server->lock. is_too_long wakes who reads a
 * body; shutdown() wakes the loop. */
static void cut(struct http_server *server)
{
    server->is_draining = server->is_cut = true;
    for (struct hilum_http *r = server->active; r != NULL; r = r->next_active) {
        pthread_mutex_lock(&r->lock);
        r->is_eof = r->is_too_long = true;
        pthread_cond_broadcast(&r->changed);
        pthread_mutex_unlock(&r->lock);
    }
    for (struct http_conn *conn = server->conns; conn != NULL; conn = conn->next)
        shutdown(conn->fd, SHUT_RDWR);
}

/* Requests under way end; their clients hear the answer. What has not ended by then is cut: objects it reads from
 * belong to a store that closes next. */
static void http_drain(void *state, uint32_t deadline_ms)
{
    struct http_server *server = state;
    http_leave(server);
    http_leave_idle(server);
    if (http_leave_wait(server, deadline_ms, true))
        return;
    pthread_mutex_lock(&server->lock);
    cut(server);
    wait_idle(server, CUT_MAX_MS);
    pthread_mutex_unlock(&server->lock);
}

/* What takes long goes on here while the next version answers already. Asked again with
 * deadline 0 until all have left (HILUM_EAGAIN: some have not). Sessions are saved at the
 * first call, before the next version loads them. Who is silent may be a command at work, such as
 * the one that asked for this swap; after a while it is who listens to events, and comes again. */
static hilum_rc http_hand_over(void *state, uint32_t deadline_ms)
{
    struct http_server *server = state;
    http_leave(server);
    bool is_left =
        deadline_ms == 0 ? http_is_left(server) : http_leave_wait(server, deadline_ms, false);
    if (deadline_ms > 0)
        http_sessions_save(server);
    else if (http_now_ms() - server->left_ms > SILENT_MAX_MS)
        http_leave_idle(server);
    return is_left ? HILUM_OK : HILUM_EAGAIN;
}

static void cut_readers(struct http_server *server)
{
    pthread_mutex_lock(&server->lock);
    cut(server);
    pthread_mutex_unlock(&server->lock);
    http_streams_ask(server);
}

/* The library must not be stopped while it holds a suspended connection, so workers end first. */
static void http_fini(void *state)
{
    struct http_server *server = state;
    cut_readers(server);
    if (!http_workers_stop(server, FINI_MAX_MS)) {
        server->host->log(server->self, HILUM_LOG_ERROR,
                          "a route does not return: its thread is left behind");
        return;
    }
    http_watch_stop(server);
    http_unlisten(server);
    http_tls_close(server);
    http_client_ca_free(server);
    http_routes_free(server);
    http_sessions_free(server);
    pthread_cond_destroy(&server->idle);
    pthread_cond_destroy(&server->watched);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

static const char *const provides[] = {"route:", NULL};

/* HANDOVER: the port can be held by one version only; what is under way with the old one goes
 * on beside the new. */
static const struct hilum_plugin plugin = {
    .magic = HILUM_MAGIC,
    .size = sizeof(struct hilum_plugin),
    .abi_major = HILUM_ABI_MAJOR,
    .abi_minor = HILUM_ABI_MINOR,
    .conf_size = sizeof(struct http_conf),
    .id = "http",
    .version = HILUM_VERSION,
    .vendor = "Hilum",
    .licence = "Apache-2.0",
    .options = options,
    .init = http_init,
    .ready = http_ready,
    .hand_over = http_hand_over,
    .drain = http_drain,
    .fini = http_fini,
    .swap = HILUM_SWAP_HANDOVER,
    .provides = provides,
};

const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major, uint16_t host_minor)
{
    (void)host_minor;
    return host_major == HILUM_ABI_MAJOR ? &plugin : NULL;
}
