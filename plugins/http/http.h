/* What the files of `http` share: a server of listeners, routes and workers, a connection, a request.
 * Only daemon.c, respond.c and stream.c know the HTTP library, and tls.c and clientcert.c what of TLS it hands through.
 *
 * A request's way and its threads. The library's loop threads (option `threads`) read the head
 * (daemon.c), find the route and queue it (worker.c); short bodies are read first, long ones
 * while the route runs. A worker identifies the client (identify.c), asks for the permission,
 * runs the route with struct hilum_http_api (exchange.c), and builds the library's response
 * (respond.c), which the loop sends. Bodies made while they leave come back to a worker for each
 * piece (stream.c). A watcher (watch.c) ends whoever is too slow.
 *
 * Locks: server->lock for the lists and counts, request->lock for what loop and worker share
 * of one request; where both are held, the server's is taken first. Neither is held while a
 * route, a provider or the host is called.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_HTTP_H
#define PLUGIN_HTTP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "hilum/host.h"
#include "hilum/route.h"

struct MHD_Connection;
struct MHD_Daemon;
struct MHD_Response;

/* HTTP_RING: what one long body may be ahead of its reader. HTTP_SEGMENTS: DICOMweb's longest
 * resource has 10. */
enum {
    HTTP_LISTENERS = 8,
    HTTP_ROUTES = 256,
    HTTP_SEGMENTS = 16,     /* of a path */
    HTTP_PARAMS = 12,       /* {names} of a pattern */
    HTTP_QUERY = 256,       /* parameters of a request */
    HTTP_BUCKETS = 7,       /* of a histogram */
    HTTP_RING = 256 * 1024, /* bytes of a body between the socket and its reader */
    HTTP_CLIENT_GONE =
        499 /* no status of RFC 9110: of an answer that nobody hears, as other servers log it */
};

/* Filled by the host from http.c's options and constant; lists are texts with commas, times in
 * milliseconds. */
struct http_conf {
    const char *listen, *certificate, *key, *client_ca, *unknown_clients, *public_url, *proxies,
        *cors;
    int64_t threads, workers, bodies, queue, max_connections, max_per_address,
        max_requests_per_user;
    const char *plain_sign_in;
    int64_t session_idle, session_life, max_sign_in_failures;
    int64_t header_timeout, idle_timeout, body_grace, min_rate, max_header, max_response;
    int32_t access_log;
};

/* ---- text that lives as long as a request ---- */

struct http_chunk;
/* Given back as a whole, with the request: nothing in it is freed by itself. */
struct http_arena {
    struct http_chunk *first;
};
/* NULL: no memory. */
void *http_arena_take(struct http_arena *arena, size_t n);
char *http_arena_text(struct http_arena *arena, const char *text, size_t n);
void http_arena_fini(struct http_arena *arena);

/* ---- URLs (url.c): no state, fuzzed ---- */

/* Percent-decodes n bytes in place; '+' is a space where is_form. The length, or -1: a bad escape, a NUL, or not
 * UTF-8. */
ptrdiff_t http_decode(char *text, size_t n, bool is_form);
/* Splits a path in place into decoded segments. False: no leading '/', a segment "." or ".." or with a '/' in
 * it, too many, or not decodable. An empty segment is one only at the end ("/a/" is "a", ""). */
bool http_path_split(char *path, const char *segments[HTTP_SEGMENTS], unsigned *n);
/* "bytes=a-b" of `total` bytes. 1: *first and *length are set; 0: no range, several, or not understood: all is
 * sent; -1: not satisfiable (RFC 9110 14.1.2). */
int http_range(const char *header, uint64_t total, uint64_t *first, uint64_t *length);
/* Is `etag` among those of an If-None-Match header? Weak comparison (RFC 9110 13.1.2). */
bool http_etag_matches(const char *header, const char *etag);
/* Quality of `coding` in an Accept-Encoding header in thousandths; 0: not acceptable. */
int http_accepts_coding(const char *header, const char *coding);
/* Can it stand in a header? No control characters. */
bool http_is_field_value(const char *value);
bool http_is_host(const char *host); /* of a Host header */

/* ---- routes (router.c) ---- */

/* Constant after load but for the counters, which workers add to and metrics.c reads. */
struct http_route {
    const struct hilum_route *table;
    void *instance;
    unsigned n_segments;
    const char *segments[HTTP_SEGMENTS]; /* "{name}", "{name...}" or literal; in `text` */
    char *text;
    pthread_mutex_t *serial; /* of the instance; NULL: parallel */
    atomic_uint_fast64_t requests, failures, micros, bytes, took[HTTP_BUCKETS];
};

struct http_param {
    const char *name, *value; /* name is not terminated: `n` bytes */
    size_t n;
};

struct http_server;

/* Filled on the loop thread, read by the worker afterwards. */
struct http_match {
    struct http_route *route; /* NULL: none */
    bool is_other_method;     /* the path is known, the method is not: see `allow` */
    char allow[96];
    char rest[1024]; /* of {name...} */
    struct http_param params[HTTP_PARAMS];
    unsigned n_params;
};

/* Takes every `route` of the server. HILUM_EINVAL names a pattern that cannot be. */
hilum_rc http_routes_load(struct http_server *server);
void http_routes_free(struct http_server *server);
void http_routes_match(const struct http_server *server, const char *method,
                       const char *const *segments, unsigned n, struct http_match *out);

/* ---- who signed in (session.c) ---- */

/* 32 random bytes in hex, and a NUL. */
enum { HTTP_SECRET_TEXT = 65 };

/* A copy of a struct hilum_identity. */
struct http_identity {
    char user[80], display[160], roles[512], departments[512], scope[512];
    uint32_t flags;
    int64_t expires;
};

struct http_sessions;
hilum_rc http_sessions_new(struct http_server *server);
void http_sessions_free(struct http_server *server);
/* Sessions go from a version to the next one of the same process, by a file that is there for that long only. */
void http_sessions_save(struct http_server *server);
void http_sessions_load(struct http_server *server);
/* Asks the providers. HILUM_EDENIED: nobody takes it; HILUM_EAGAIN: a directory cannot be reached. */
hilum_rc http_check(struct http_server *server, struct hilum_credentials *shown,
                    struct http_identity *out);
/* A basic sign-in that was right a moment ago need not be hashed again. False: not known. */
bool http_recall(struct http_server *server, const char *basic, struct http_identity *out);
void http_remember(struct http_server *server, const char *basic,
                   const struct http_identity *identity);
/* A new session: the cookie's value, and what pages send back against forgery. HILUM_EFULL: too many. */
hilum_rc http_session_begin(struct http_server *server, const struct http_identity *identity,
                            char cookie[HTTP_SECRET_TEXT], char csrf[HTTP_SECRET_TEXT]);
/* False: there is none, it is over, or its account is closed. */
bool http_session_find(struct http_server *server, const char *cookie, struct http_identity *out,
                       char csrf[HTTP_SECRET_TEXT]);
void http_session_end(struct http_server *server, const char *cookie);
/* All of a user's: after a new password. */
void http_sessions_end(struct http_server *server, const char *user);
/* Failed sign-ins from an address: noted, and whether there were too many lately. */
void http_failure_note(struct http_server *server, const char *address);
bool http_failures_are_many(struct http_server *server, const char *address);

/* ---- connections and requests ---- */

/* What a connection is waiting for, and so whose delay it is: the peer's in all but WORKING. */
enum http_phase {
    HTTP_WAITING,   /* for a request's header to be complete */
    HTTP_RECEIVING, /* its body */
    HTTP_WORKING,   /* the peer owes nothing */
    HTTP_SENDING
};

/* The library's thread makes and frees it; the watcher reads it under server->lock, hence the
 * atomics. */
struct http_conn {
    struct http_conn *next, *previous;
    struct http_server *server;
    int fd;
    bool is_cut, is_left, has_asked; /* left: its next request, if there is one, is not read */
    _Atomic int phase;
    _Atomic int64_t since_ms;
    _Atomic uint64_t moved; /* the socket's count when the phase began */
    char address[48];
    bool is_loopback, is_small; /* small: its buffer (buffer.c); the loop's */
    enum { HTTP_CERTIFICATE_NEW, HTTP_CERTIFICATE_GOOD, HTTP_CERTIFICATE_BAD } certificate;
};

/* A part of a response's body: memory of ours, memory that is lent, or a range of a file. */
struct http_piece {
    const void *bytes; /* NULL: in fd */
    uint64_t length, offset;
    uint64_t skip;                           /* bytes before those a range asks for */
    int fd;                                  /* -1: none */
    void (*release)(void *arg, void *bytes); /* ours: of write() */
    void (*done)(void *arg);                 /* of lend(); may be NULL */
    void *arg;
};

/* In the request's arena, in the order they came or were added. */
struct http_header {
    struct http_header *next;
    const char *name, *value;
};

/* One request, from its first line to its last byte. Whoever has it last frees it
 * (http_request_end): the loop, unless a worker still had it when the client went. */
struct hilum_http {
    struct http_server *server;
    struct MHD_Connection *connection; /* the loop thread's */
    struct http_conn *conn;            /* likewise; NULL once it has gone */
    struct http_arena arena;
    struct hilum_http *queue_next;                    /* of the workers */
    struct hilum_http *next_active, *previous_active; /* of all; under the server's lock */
    struct http_header *shown, **last_shown;          /* what the client sent */
    char peer[48];              /* whose connection it is: a proxy of ours, or the client */
    char address[48], user[80]; /* user: under the server's lock */
    bool is_loopback, is_tls, is_proxied;
    bool is_private;           /* nobody on the way reads along: TLS, or this machine */
    const char *cookie, *csrf; /* of its session; NULL: none */
    const void *certificate;   /* DER of the client's, verified; NULL: none */
    size_t certificate_length;
    uint32_t identity_flags;
    struct http_match match;
    struct hilum_http_request asked;
    hilum_principal *who;
    const char *segments[HTTP_SEGMENTS];
    unsigned n_segments, n_query;
    struct {
        const char *name, *value;
    } query[HTTP_QUERY];
    char trace[17];
    int64_t begun_us;
    bool is_head;

    /* ---- between the socket's thread and a worker, under lock ---- */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint8_t *ring;
    size_t ring_at, ring_fill;
    uint64_t received;
    bool is_eof, is_gone, is_suspended, is_queued,
        is_answered;      /* answered: response may be queued */
    bool is_long_body;    /* read while it arrives: by a thread of its own */
    bool is_reading_body; /* has one; under the server's lock */
    bool may_be_interim;  /* speaks HTTP/1.1: hears of a 100 what it is */
    bool is_hung_up;      /* found by http_go_on */
    int64_t looked_ms, probed_ms;

    /* ---- the response: the worker's until is_answered ---- */
    uint32_t status;
    bool is_begun, is_ended, is_too_long;
    const char *media_type;
    struct http_header *headers, **last_header;
    struct http_piece *pieces;
    unsigned n_pieces, cap_pieces;
    size_t open_piece; /* index + 1 of the piece write() appends to; 0: none */
    size_t open_cap;
    uint64_t total, copied;
    struct MHD_Response *response;
    uint64_t sent;

    /* ---- stream(): the piece is the loop thread's while !is_pulling ---- */
    struct hilum_http_source source;
    uint64_t source_left; /* bytes that may still be taken of it: a range ends before it does */
    bool has_source, is_pulling, is_source_end, is_source_failed;
    bool is_idle, is_woken; /* under lock: it had nothing; somebody said that it has */
    uint64_t idle_round;    /* when it was found to have nothing */
    const uint8_t *piece;
    uint64_t piece_left;

    /* ---- suspend() ---- */
    bool is_kept;
    int64_t kept_until_ms;
    void (*on_gone)(void *arg);
    void *gone_arg;
};

/* fd is the host's (hilum_host.listen): it stays open while one version hands over to the
 * next. */
struct http_listener {
    struct MHD_Daemon *daemon;
    int fd, stop_fd; /* closed with the acceptor */
    pthread_t acceptor;
    bool is_accepting, is_tls;
    unsigned max_connections;
    char url[80], address[64]; /* as it was configured */
};

struct http_tls;

/* Four groups: constant after start; under `lock`; the watcher's; counters. A request's own
 * lock is taken within `lock` where both are needed. */
struct http_server {
    const struct hilum_host *host;
    hilum_self *self;
    const struct http_conf *conf;
    struct http_route routes[HTTP_ROUTES];
    unsigned n_routes;
    struct http_listener listeners[HTTP_LISTENERS];
    unsigned n_listeners;
    char *client_ca; /* PEM; NULL: no certificates are asked for */
    struct http_tls *tls;
    struct http_sessions *sessions;

    pthread_mutex_t lock;          /* of connections, queue and counters below */
    pthread_cond_t idle, watched;  /* by CLOCK_MONOTONIC */
    struct http_sleeper *sleepers; /* workers with nothing to do, the last one first (worker.c) */
    struct http_conn *conns;
    struct hilum_http *first, **last;
    struct hilum_http *first_pull, **last_pull; /* bodies that leave: before all others */
    struct hilum_http *first_body, **last_body; /* long bodies that arrive: beside all others */
    struct hilum_http *active;
    unsigned n_running;                  /* requests, neither pulls nor long bodies, in work */
    unsigned n_bodies, n_body_queue;     /* long bodies in work, and waiting */
    unsigned n_conns, n_queue, n_active; /* active: requests begun and not completed */
    uint64_t idle_round;                 /* how often all that wait were asked */
    bool is_draining, is_stopping, is_watched_out;
    bool is_cut;                 /* bodies that still leave are cut short */
    atomic_bool says_close;      /* each answer is the last one of its connection */
    int64_t left_ms;             /* since when */
    pthread_t *workers, watcher; /* threads are made as they are wanted: up to workers + bodies */
    unsigned n_workers;
    bool has_watcher;
    atomic_uint_fast64_t statuses[6], cuts, refused;
};

extern const struct hilum_http_api http_api; /* exchange.c */

/* daemon.c */
hilum_rc http_listen(struct http_server *server);
void http_quiesce(struct http_server *server); /* no new connections */
/* accept.c: a thread of its own; false: none could be made. */
bool http_accept_start(struct http_listener *listener);
void http_accept_stop(struct http_listener *listener); /* closes the socket; twice is fine */
void http_unlisten(struct http_server *server);
/* Lets the socket's thread go on with a request that waits. Holds request->lock. */
void http_wake(struct hilum_http *request);
/* Logs, counts and frees it: whoever has it last, the loop or a worker. */
void http_request_end(struct hilum_http *request);
/* What the client sent under this name; NULL: nothing. */
const char *http_shown(const struct hilum_http *request, const char *name);

/* worker.c */
hilum_rc http_workers_start(struct http_server *server);
/* False: one of them still runs a route after that long; nothing it uses may be freed. */
bool http_workers_stop(struct http_server *server, unsigned ms);
/* False: the queue is full. Loop threads only. The answer comes by http_finish. */
bool http_enqueue(struct hilum_http *request);
/* For the next piece of a body under way, however many wait. False: bodies are being cut. */
bool http_enqueue_pull(struct hilum_http *request);
/* The response is complete (or an error is made of rc): from run() or resume(). */
void http_finish(struct hilum_http *request, hilum_rc rc);

/* exchange.c: checks and begins a response */
hilum_rc http_response_begin(struct hilum_http *request, uint32_t status, const char *media_type);

/* bundle.c: a file below a directory, as hilum_http_api.respond_file */
hilum_rc http_respond_file(struct hilum_http *request, const char *root, const char *path);
const char *http_media_type(const char *path); /* of a file's ending; never NULL */
bool http_is_immutable(const char *path);      /* does its name carry a hash of its content? */

/* respond.c: of a body that is made while it leaves, the range that is asked for. Before its first byte. */
hilum_rc http_range_stream(struct hilum_http *request);
/* respond.c: builds request->response of what the route gave. Never fails: at worst an empty 500. */
void http_build(struct hilum_http *request);
/* Drops what was collected for a body. */
void http_pieces_drop(struct hilum_http *request);
/* An answer without a route: 404, 413 ... */
hilum_rc http_problem(struct hilum_http *request, uint32_t status, hilum_rc rc, const char *detail);
hilum_rc http_header_add(struct hilum_http *request, const char *name, const char *value);

/* stream.c: a body made while it leaves */
hilum_rc http_stream(struct hilum_http *request, uint32_t status, const char *media_type,
                     uint64_t length, const struct hilum_http_source *source);
/* The first piece, before anything is sent: its failure is still an answer. */
hilum_rc http_stream_first(struct hilum_http *request);
/* A worker's turn: the next piece, and the client goes on. May free the request. */
void http_stream_pull(struct hilum_http *request);
void http_stream_drop(struct hilum_http *request);
/* As hilum_http_api.wake. */
void http_stream_wake(struct hilum_http *request);
/* Every source that had nothing is asked once more; while draining they end. */
void http_streams_ask(struct http_server *server);
struct MHD_Response *http_stream_respond(struct hilum_http *request); /* NULL: no memory */

/* compress.c: gzip or zstd of n bytes; NULL: not worth it. Free with free(). */
void *http_compress(const char *coding, const void *bytes, size_t n, size_t *out);

/* watch.c */
hilum_rc http_watch_start(struct http_server *server);
void http_watch_stop(struct http_server *server);
/* Any thread; NULL is fine. */
void http_conn_phase(struct http_conn *conn, enum http_phase phase);
/* Bytes the peer has sent so far, or taken where we send. */
uint64_t http_conn_moved(const struct http_conn *conn, enum http_phase phase);
int64_t http_now_ms(void);
/* As hilum_http_api.go_on. */
hilum_rc http_go_on(struct hilum_http *request);

/* buffer.c: fits the socket's buffer to an answer of that many bytes (HILUM_LENGTH_UNKNOWN: a long one) that is about to
 * leave. The loop's thread. */
void http_conn_buffer(struct http_conn *conn, uint64_t length);

/* leave.c: no new connections, and those there are end one by one; once, the rest of the server goes on. */
void http_leave(struct http_server *server);
/* Bodies that have nothing to say, and exchanges that are kept, end too. */
void http_leave_idle(struct http_server *server);
/* True: all have left. False: ms have passed, or (not for_long_ones) those who are left take long. */
bool http_leave_wait(struct http_server *server, uint32_t ms, bool for_long_ones);
bool http_is_left(struct http_server *server);

/* identify.c: request->who of what the client shows. HILUM_EDENIED with the status to answer. */
hilum_rc http_identify(struct hilum_http *request, uint32_t *status);

/* signin.c: /auth/... */
hilum_rc http_signin_routes(struct http_server *server);

/* metrics.c: /metrics; and a request's time for it */
hilum_rc http_metrics_route(struct http_server *server);
void http_took(struct http_route *route, uint64_t micros);

/* own.c: /health and /ready */
hilum_rc http_own_routes(struct http_server *server);

/* tls.c */
hilum_rc http_tls_open(struct http_server *server);
void http_tls_close(struct http_server *server);
/* Certificates of clients (clientcert.c). */
hilum_rc http_client_ca_load(struct http_server *server);
void http_client_ca_free(struct http_server *server);
/* Keeps what the client has shown with its request. The loop's thread. */
void http_client_certificate(struct hilum_http *request);
/* Reads certificate and key again if their files have changed. The watcher's thread. */
void http_tls_look(struct http_server *server);

#endif
