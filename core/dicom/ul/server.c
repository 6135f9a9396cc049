/* The acceptor: start, stop, the loop thread with its events and deadlines. It knows no PDU.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/dicom/ul/server.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    EVENTS = 64,
    ACCEPTS = 64, /* in one go, before other connections have their turn */
    CONTROL_THREADS = 32,
    HANDSHAKE_THREADS_MAX = 8,
    MAX_SLEEP_MS = 1000,
    CUT_MS = 200,     /* between cutting a busy association's reads and its writes */
    TRIM_AFTER = 100, /* ended connections, and at most once a second */
    TRIM_MS = 1000,
    FILES_SPARED = 128
};

/* ---- limits -----------------------------------------------------------------------------------
 */

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
    return value ? value : fallback;
}

/* Zero is a default, never "unlimited": everything a peer can hold is bounded. */
static struct hl_ul_limits with_defaults(const struct hl_ul_limits *given)
{
    struct hl_ul_limits limits = *given;
    limits.max_pdu = or_default(limits.max_pdu, HL_UL_MAX_PDU_DEFAULT);
    if (limits.max_pdu > HL_UL_MAX_PDU_CAP)
        limits.max_pdu = HL_UL_MAX_PDU_CAP;
    limits.max_associations = or_default(limits.max_associations, 1024);
    limits.max_per_address = or_default(limits.max_per_address, limits.max_associations);
    limits.max_connecting = or_default(limits.max_connecting, 256);
    limits.negotiate_ms = or_default(limits.negotiate_ms, 30 * 1000);
    limits.pdu_ms = or_default(limits.pdu_ms, 60 * 1000);
    limits.idle_ms = or_default(limits.idle_ms, 10 * 60 * 1000);
    limits.write_ms = or_default(limits.write_ms, 60 * 1000);
    limits.max_threads = or_default(limits.max_threads, limits.max_associations);
    return limits;
}

/* ---- the loop ---------------------------------------------------------------------------------
 */

static void wake_up(struct hl_ul_server *server)
{
    uint64_t one = 1;
    if (write(server->wake, &one, sizeof one) < 0)
        hl_log(HL_ERROR, "ul", "wake the loop: %s", strerror(errno));
}

/* The wake-up carries nothing: the loop looks at everything after each batch anyway. */
static void drain_wake(struct hl_ul_server *server)
{
    uint64_t count;
    while (read(server->wake, &count, sizeof count) > 0)
        ;
}

/* Peers may not take the last descriptors: objects, the catalogue and whoever administers need some (the lowest free number
 * is a new one's, so the number says how many are in use). */
static int files_for_connections(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= INT_MAX)
        return INT_MAX;
    rlim_t spared = files.rlim_cur / 2 < FILES_SPARED ? files.rlim_cur / 2 : FILES_SPARED;
    return (int)(files.rlim_cur - spared);
}

/* Once a second: a flood of peers is no flood of lines. */
static void tell_out_of_files(struct hl_ul_server *server)
{
    int64_t now = hl_mono_ms();
    if (server->told_at && now - server->told_at < 1000)
        return;
    server->told_at = now;
    hl_log(HL_WARN, "ul", "connections refused: out of file descriptors, raise LimitNOFILE");
}

/* No descriptor left: a spare one is given up to take the connection and close it, so that the
 * listener does not stay readable for ever. */
static void shed_one(struct hl_ul_server *server, int listener)
{
    tell_out_of_files(server);
    close(server->spare);
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    server->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Level-triggered and in portions: a flood of connections must not starve those that are there. */
static void accept_some(struct hl_ul_server *server, struct hl_ul_listener *listener)
{
    for (int i = 0; i < ACCEPTS; i++) {
        struct sockaddr_storage from = {0};
        socklen_t n = sizeof from;
        int fd = accept4(listener->fd, (void *)&from, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE)
                shed_one(server, listener->fd);
            return;
        }
        if (fd >= server->files) {
            tell_out_of_files(server);
            close(fd);
            continue;
        }
        hl_ul_conn_accept(listener, server, fd, &from);
    }
}

/* `kind` is the first member of everything registered with epoll. */
static void dispatch(struct hl_ul_server *server, struct hl_ul_source *source)
{
    switch (source->kind) {
    case HL_UL_WAKE: drain_wake(server); break;
    case HL_UL_LISTENER: accept_some(server, (struct hl_ul_listener *)source); break;
    case HL_UL_CONN: hl_ul_conn_event((struct hl_ul_conn *)source); break;
    case HL_UL_LINGER: hl_ul_linger_event(server, (struct hl_ul_linger *)source); break;
    }
}

/* The first of a list whose deadline passed; taken off it if it is parked or a task has it. */
static struct hl_ul_conn *next_due(struct hl_ul_server *server, enum hl_ul_place place, int64_t now)
{
    pthread_mutex_lock(&server->lock);
    struct hl_ul_conn *conn = server->places[place].first;
    if (conn && conn->deadline > now)
        conn = NULL;
    if (conn && place == HL_UL_PARKED)
        hl_ul_conn_move(conn, HL_UL_BUSY, 0);
    if (conn && place == HL_UL_SECURING)
        hl_ul_conn_move(conn, HL_UL_DOOMED, conn->deadline);
    pthread_mutex_unlock(&server->lock);
    return conn;
}

/* Lists are ordered: only what is due is looked at, however many are parked. */
static void expire(struct hl_ul_server *server, int64_t now)
{
    struct hl_ul_conn *conn;
    while ((conn = next_due(server, HL_UL_CONNECTING, now)))
        hl_ul_conn_expire(conn);
    while ((conn = next_due(server, HL_UL_PARKED, now)))
        hl_ul_conn_expire(conn);
    while (next_due(server, HL_UL_SECURING, now))
        ; /* its task sees it */
    hl_ul_linger_expire(server, now);
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Whatever another thread parks meanwhile is due no sooner than the smallest limit from now: the
 * loop sleeps no longer than that and needs no waking for new deadlines. */
static int sleep_ms(struct hl_ul_server *server)
{
    int64_t now = hl_mono_ms();
    pthread_mutex_lock(&server->lock);
    const struct hl_ul_limits *limits = &server->limits;
    int64_t due = now + sooner(MAX_SLEEP_MS, sooner(limits->idle_ms, limits->pdu_ms));
    for (int place = 0; place < HL_UL_PLACES; place++)
        if (place != HL_UL_BUSY && place != HL_UL_DOOMED && server->places[place].first)
            due = sooner(due, server->places[place].first->deadline);
    if (server->lingers)
        due = sooner(due, server->lingers->deadline);
    if (server->is_stopping)
        due = sooner(due, now + 10);
    pthread_mutex_unlock(&server->lock);
    return due > now ? (int)(due - now) : 0;
}

static void trim_task(void *arg)
{
    (void)arg;
    malloc_trim(0);
}

/* glibc keeps what 1000 ended associations freed (78-95 MB measured) until told otherwise. */
static void trim(struct hl_ul_server *server, int64_t now)
{
    if (atomic_load_explicit(&server->ended, memory_order_relaxed) < TRIM_AFTER ||
        now < server->trim_at)
        return;
    atomic_store_explicit(&server->ended, 0, memory_order_relaxed);
    server->trim_at = now + TRIM_MS;
    if (hl_pool_run(server->control, trim_task, NULL))
        hl_log(HL_DEBUG, "ul", "memory not trimmed: %s", hl_error());
}

/* ---- stopping (loop thread) -------------------------------------------------------------------
 */

/* First of all, so that a successor process can bind while we drain. */
static void close_listeners(struct hl_ul_server *server)
{
    for (size_t i = 0; i < server->n_listeners; i++) {
        if (server->listeners[i].fd >= 0)
            hl_ul_forget(server, server->listeners[i].fd);
        server->listeners[i].fd = -1;
    }
}

/* Nothing is in progress there: an A-ABORT tells the peer to try again later. */
static void end_quiet_ones(struct hl_ul_server *server)
{
    struct hl_ul_conn *conn;
    while ((conn = next_due(server, HL_UL_CONNECTING, INT64_MAX)))
        hl_ul_conn_drop(conn, "the server stops");
    while ((conn = next_due(server, HL_UL_PARKED, INT64_MAX)))
        hl_ul_conn_cancel(conn, HL_UL_CANCELLED, "the server stops");
}

/* First the reads end, so that the message fails and an A-ABORT can follow; then the writes. */
static void cut_busy_ones(struct hl_ul_server *server, int64_t now)
{
    pthread_mutex_lock(&server->lock);
    int how = now < server->stop_at + CUT_MS ? SHUT_RD : SHUT_RDWR;
    for (struct hl_ul_conn *conn = server->places[HL_UL_BUSY].first; conn; conn = conn->next) {
        atomic_store_explicit(&conn->assoc.cancelled, true, memory_order_relaxed);
        shutdown(conn->assoc.io.fd, how);
    }
    pthread_mutex_unlock(&server->lock);
}

/* is_over under the same lock: a connection that ends after that closes its socket itself. */
static bool is_empty(struct hl_ul_server *server)
{
    pthread_mutex_lock(&server->lock);
    bool empty = server->n_lingers == 0;
    for (int place = 0; place < HL_UL_PLACES; place++)
        empty = empty && server->places[place].n == 0;
    server->is_over = empty;
    pthread_mutex_unlock(&server->lock);
    return empty;
}

/* One step of stopping; true when nothing is left. */
static bool stop_step(struct hl_ul_server *server)
{
    int64_t now = hl_mono_ms();
    close_listeners(server);
    end_quiet_ones(server);
    if (now >= server->stop_at)
        cut_busy_ones(server, now);
    return is_empty(server);
}

static bool is_stopping(struct hl_ul_server *server)
{
    pthread_mutex_lock(&server->lock);
    bool stopping = server->is_stopping;
    pthread_mutex_unlock(&server->lock);
    return stopping;
}

/* Sockets are armed under the lock: having held it, the loop sees all that was written before. */
static void meet_other_threads(struct hl_ul_server *server)
{
    pthread_mutex_lock(&server->lock);
    pthread_mutex_unlock(&server->lock);
}

static void *loop(void *arg)
{
    struct hl_ul_server *server = arg;
    struct epoll_event events[EVENTS];
    pthread_setname_np(pthread_self(), "ul-loop");
    for (;;) {
        int n = epoll_wait(server->epoll, events, EVENTS, sleep_ms(server));
        meet_other_threads(server);
        for (int i = 0; i < n; i++)
            dispatch(server, events[i].data.ptr);
        int64_t now = hl_mono_ms();
        expire(server, now);
        bool is_done = is_stopping(server) && stop_step(server);
        hl_ul_conn_bury(server);
        if (is_done)
            return NULL;
        trim(server, now);
    }
}

/* ---- life -------------------------------------------------------------------------------------
 */

/* Level-triggered, for listeners and the wake-up; connections are armed one-shot by themselves. */
static hilum_rc watch(struct hl_ul_server *server, int fd, struct hl_ul_source *source)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = source};
    if (epoll_ctl(server->epoll, EPOLL_CTL_ADD, fd, &event) == 0)
        return HILUM_OK;
    return hl_fail(hl_rc_from_errno(errno), "upper layer: epoll: %s", strerror(errno));
}

/* All or none: a server that listens on half of its addresses looks healthy and is not. */
static hilum_rc open_listeners(struct hl_ul_server *server, const struct hl_ul_listen *listen,
                               size_t n, uint16_t *ports)
{
    server->listeners = calloc(n + 1, sizeof *server->listeners);
    if (!server->listeners)
        return hl_fail(HILUM_ENOMEM, "upper layer: out of memory");
    for (; server->n_listeners < n; server->n_listeners++) {
        struct hl_ul_listener *listener = &server->listeners[server->n_listeners];
        uint16_t port;
        listener->source.kind = HL_UL_LISTENER;
        hilum_rc rc = hl_ul_listen_open(listen[server->n_listeners].address, &listener->fd, &port);
        if (rc)
            return rc;
        listener->tls = hl_ul_tls_ref(listen[server->n_listeners].tls);
        if (ports)
            ports[server->n_listeners] = port;
        rc = watch(server, listener->fd, &listener->source);
        if (rc) {
            server->n_listeners++;
            return rc;
        }
    }
    return HILUM_OK;
}

static hilum_rc open_descriptors(struct hl_ul_server *server)
{
    server->epoll = epoll_create1(EPOLL_CLOEXEC);
    server->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    server->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    server->files = files_for_connections();
    if (server->epoll < 0 || server->wake < 0 || server->spare < 0)
        return hl_fail(HILUM_EIO, "upper layer: descriptors: %s", strerror(errno));
    server->wake_source.kind = HL_UL_WAKE;
    return watch(server, server->wake, &server->wake_source);
}

/* Signals are the main thread's: the loop and, through it, the pools start with all blocked. */
static hilum_rc start_loop(struct hl_ul_server *server)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&server->thread, NULL, loop, server);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed)
        return hl_fail(HILUM_ENOMEM, "upper layer: start thread: %s", strerror(failed));
    return HILUM_OK;
}

static void close_one(int fd)
{
    if (fd >= 0)
        close(fd);
}

/* After the loop ended, or before it began. */
static void free_server(struct hl_ul_server *server)
{
    hl_pool_free(server->handshakes); /* first: its tasks hand refusals to control */
    hl_pool_free(server->messages);
    hl_pool_free(server->control);
    close_listeners(server);
    for (size_t i = 0; i < server->n_listeners; i++)
        hl_ul_tls_unref(server->listeners[i].tls);
    free(server->listeners);
    close_one(server->epoll);
    close_one(server->wake);
    close_one(server->spare);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

/* They compute and never wait: half of the processors, so that a flood of them leaves the others to
 * associations. */
static unsigned handshake_threads(void)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (processors < 2)
        return 1;
    return processors / 2 < HANDSHAKE_THREADS_MAX ? (unsigned)processors / 2
                                                  : HANDSHAKE_THREADS_MAX;
}

/* The pools before the loop: its first event may need them. */
hilum_rc hl_ul_server_start(const struct hl_ul_listen *listen, size_t n,
                            const struct hl_ul_limits *limits, const struct hl_ul_handler *handler,
                            uint16_t *ports, struct hl_ul_server **out)
{
    struct hl_ul_server *server = calloc(1, sizeof *server);
    if (!server)
        return hl_fail(HILUM_ENOMEM, "upper layer: out of memory");
    pthread_mutex_init(&server->lock, NULL);
    server->handler = *handler;
    server->limits = with_defaults(limits);
    server->epoll = server->wake = server->spare = -1;
    hilum_rc rc = open_descriptors(server);
    rc = rc ? rc : open_listeners(server, listen, n, ports);
    rc = rc ? rc : hl_pool_new("ul-message", server->limits.max_threads, &server->messages);
    rc = rc ? rc : hl_pool_new("ul-control", CONTROL_THREADS, &server->control);
    rc = rc ? rc : hl_pool_new("ul-tls", handshake_threads(), &server->handshakes);
    rc = rc ? rc : start_loop(server);
    if (rc)
        free_server(server);
    else
        *out = server;
    return rc;
}

hilum_rc hl_ul_server_reload(struct hl_ul_server *server, const struct hl_ul_limits *limits,
                             const struct hl_ul_renewal *renewals)
{
    pthread_mutex_lock(&server->lock);
    server->limits = with_defaults(limits);
    for (size_t i = 0; i < server->n_listeners; i++) {
        struct hl_ul_tls *before = server->listeners[i].tls;
        if (!renewals[i].is_renewed)
            continue;
        server->listeners[i].tls = hl_ul_tls_ref(renewals[i].tls);
        hl_ul_tls_unref(before);
    }
    pthread_mutex_unlock(&server->lock);
    wake_up(server);
    return HILUM_OK;
}

/* The loop does the stopping: it alone may touch connecting and parked connections. */
void hl_ul_server_stop(struct hl_ul_server *server, uint32_t ms)
{
    if (!server)
        return;
    pthread_mutex_lock(&server->lock);
    server->is_stopping = true;
    server->stop_at = hl_mono_ms() + ms;
    pthread_mutex_unlock(&server->lock);
    wake_up(server);
    pthread_join(server->thread, NULL);
    free_server(server);
}

void hl_ul_server_count(struct hl_ul_server *server, uint32_t *open, uint32_t *busy,
                        uint32_t *connecting)
{
    pthread_mutex_lock(&server->lock);
    *busy = server->places[HL_UL_BUSY].n;
    *open = *busy + server->places[HL_UL_PARKED].n;
    *connecting = server->places[HL_UL_CONNECTING].n + server->places[HL_UL_SECURING].n +
                  server->places[HL_UL_DOOMED].n;
    pthread_mutex_unlock(&server->lock);
}
