/* Capability `route`: one HTTP resource served by a plugin. The `http` plugin owns sockets, TLS,
 * limits, sessions and the access log; a route sees one request and answers it. It knows nothing of the HTTP
 * library. SPDX-License-Identifier: MIT */
#ifndef HILUM_ROUTE_H
#define HILUM_ROUTE_H

#include "hilum/catalog.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hilum_http hilum_http; /* one request and its response */

/* A header of a response. Element of arrays: frozen for the major. */
struct hilum_http_header {
    const char *name, *value; /* a value with CR, LF or NUL is refused: HILUM_EINVAL */
};

/* What was asked. Borrowed for the exchange; texts are never NULL. */
struct hilum_http_request {
    uint32_t size, reserved;
    const char *method; /* "GET"; a HEAD is shown as GET to routes that have no HEAD of their own */
    const char *path;   /* decoded, normalised: no "..", no "//" */
    const char *query;  /* as sent, without '?' */
    const char
        *base_url; /* as the client sees us, proxies considered: "https://pacs.example/hilum" */
    const char *remote;         /* address of the client, "192.0.2.7" */
    const char *content_type;   /* "" if none */
    const char *languages;      /* Accept-Language as sent */
    const char *trace_id;       /* the same in the access log: worth putting into an error */
    uint64_t content_length;    /* HILUM_LENGTH_UNKNOWN: chunked; 0: no body */
    const hilum_principal *who; /* signed in, token, certificate, or anonymous; never NULL */
    const char *user;           /* its name for a page's corner, "" when anonymous */
    /* 1: has signed in, or is served without; 0: hears 401 of every route that is not anonymous. */
    uint32_t is_admitted, reserved2;
    /* since 1.1: append here */
};

/* A body that is made while it leaves. All but close() on threads of the server's workers, never two at once; none
 * of them waits while the client is slow. */
struct hilum_http_source {
    uint32_t size, reserved;
    /* The next bytes, borrowed until the next call or close(); *n 0: the end. An error cuts the connection, so that
     * the client does not take a part for the whole; before the first byte it becomes the answer. HILUM_EAGAIN: nothing
     * yet; it is called again when somebody calls wake(), and after a second at the latest. */
    hilum_rc (*next)(void *arg, const void **bytes, uint64_t *n);
    void (*close)(void *arg); /* exactly once, in every case, on any thread; may be NULL */
    void *arg;
    /* Before the first next(), at most once: it begins at this byte of the body. With it, and a length that is known, the
     * server answers Range; without it says that it does not. An error becomes the answer. May be NULL. */
    hilum_rc (*seek)(void *arg, uint64_t at);
};

/* What a route can do with its exchange. All functions: on the thread that runs run(), or, after suspend(),
 * on one thread at a time. A response is begun at most once; a second one is HILUM_EINVAL. */
struct hilum_http_api {
    uint32_t size, reserved;

    /* ---- the request; answers are borrowed for the exchange ---- */
    /* Never NULL. */
    const struct hilum_http_request *(*request)(hilum_http *http);
    /* Value of {name} in the pattern, percent-decoded, checked to be UTF-8. NULL: no such name. */
    const char *(*param)(hilum_http *http, const char *name);
    /* The i-th value of a query parameter, decoded. NULL: there is none, or no more. */
    const char *(*query)(hilum_http *http, const char *name, uint32_t i);
    /* The i-th parameter in the order sent. HILUM_ENOTFOUND past the last. */
    hilum_rc (*query_at)(hilum_http *http, uint32_t i, const char **name, const char **value);
    /* A header without regard to case, several joined by ", "; NULL: absent. Credentials (Authorization,
     * Cookie) are not shown to routes. */
    const char *(*header)(hilum_http *http, const char *name);
    /* The next bytes of the body, at most n; *got 0: the end. Waits. HILUM_EFULL: longer than body_max (the
     * client gets 413), HILUM_ETIMEDOUT, HILUM_ECLOSED: return them from run(). */
    hilum_rc (*read)(hilum_http *http, void *dst, uint64_t n, uint64_t *got);
    /* May whoever asks do this? As hilum_host.allow for request()->who; resource: a StudyInstanceUID, NULL: any,
     * "": some study, of which it is asked again. */
    hilum_rc (*allow)(hilum_http *http, const char *action, const char *resource);

    /* ---- the response ---- */
    /* Adds a header; before the response ends. Content-Length, Transfer-Encoding, Connection and Date are
     * the server's. */
    hilum_rc (*add_header)(hilum_http *http, const char *name, const char *value);
    /* A whole response from memory; copied. The server compresses and answers If-None-Match where there is
     * an ETag. */
    hilum_rc (*respond)(hilum_http *http, uint32_t status, const char *media_type,
                        const void *bytes, uint64_t n);
    /* A whole response from a file: the server sends `length` bytes from `offset` without copying them, answers
     * Range where there is an ETag or Last-Modified, and closes fd in every case. */
    hilum_rc (*respond_fd)(hilum_http *http, uint32_t status, const char *media_type, int32_t fd,
                           uint64_t offset, uint64_t length);
    /* A response put together piece by piece: begin, write..., end; it leaves at end(), so that its length
     * is known, ranges of it can be asked for, and no thread waits for a slow client. write() copies:
     * HILUM_EFULL beyond the server's max_response; longer bodies are lent or lie in files. */
    hilum_rc (*begin)(hilum_http *http, uint32_t status, const char *media_type, uint64_t length);
    hilum_rc (*write)(hilum_http *http, const void *bytes, uint64_t n);
    hilum_rc (*end)(hilum_http *http);
    /* A part of the body that lies in a file, between begin and end (multipart/related): closes fd. */
    hilum_rc (*write_fd)(hilum_http *http, int32_t fd, uint64_t offset, uint64_t length);
    /* An error as application/problem+json (RFC 9457): status 0 is derived from rc; detail is for the
     * client's eyes and may name what it asked for. Returning an error from run() without a response does
     * the same with the recorded reason kept in the log and a reference in the answer. */
    hilum_rc (*problem)(hilum_http *http, uint32_t status, hilum_rc rc, const char *detail);

    /* ---- later ---- */
    /* Keeps the exchange beyond run(), which then returns HILUM_OK: any thread may respond later, and must
     * within deadline_ms, after which the client hears 504. on_gone(arg) is called at most once, when the
     * client has gone or the deadline has passed: the exchange is then over once resume() is called. */
    hilum_rc (*suspend)(hilum_http *http, uint32_t deadline_ms, void (*on_gone)(void *arg),
                        void *arg);
    /* Ends a suspension: exactly once, after the response (or without one: an error). http is invalid
     * afterwards. */
    void (*resume)(hilum_http *http);
    /* A part of the body that is the caller's memory and stays so until done(arg), called exactly once, in every
     * case: sent without a copy. Between begin and end. */
    hilum_rc (*lend)(hilum_http *http, const void *bytes, uint64_t n, void (*done)(void *arg),
                     void *arg);
    /* A whole response whose bytes come from `source` (copied) as the client takes them: memory of one piece, whatever
     * the length. length: HILUM_LENGTH_UNKNOWN is sent chunked. No compression; ranges where the source can seek(), the
     * length is known and there is an ETag. Closes the source in every case, also when it fails. */
    hilum_rc (*stream)(hilum_http *http, uint32_t status, const char *media_type, uint64_t length,
                       const struct hilum_http_source *source);
    /* A whole response from a static bundle: the file `path`, as the client asked for it, below the directory `root`,
     * with the media type of its ending, an entity tag, and NAME.gz in its place where that is there and taken. A
     * name that carries a hash (app-7KQX2MNB.js, 0ddf166f7a343eda.wasm) is kept by clients for good. Links, names
     * that begin with '.', and whatever is not below root are not there. HILUM_ENOTFOUND: no such file, and no
     * response was begun. */
    hilum_rc (*respond_file)(hilum_http *http, const char *root, const char *path);
    /* For a source whose next() had nothing yet: it has now, or has ended. Any thread, from run() until the source is
     * closed; it calls nothing of the source on this thread. */
    void (*wake)(hilum_http *http);
    /* HILUM_OK: the client is there, as far as anybody can know. HILUM_ECLOSED: it has gone, and nothing of an answer will
     * arrive: return it from run(), or from a source's next(). For work that takes long, between its steps: the socket is
     * looked at every 50 ms at most. Of a client that has ended its side and still reads: HILUM_OK, where that can be
     * told (HTTP without TLS). */
    hilum_rc (*go_on)(hilum_http *http);
    /* since 1.1: append here */
};

enum {
    HILUM_ROUTE_ANONYMOUS = 1, /* without signing in: sign-in itself, health, static bundles */
    HILUM_ROUTE_NO_CSRF =
        2, /* writes that carry their own proof, such as a signed form; of pages of this site */
    HILUM_ROUTE_ADMITTED = 4 /* whoever is served at all (is_admitted); run() asks access itself */
};

enum { HILUM_IN_QUERY = 1, HILUM_IN_HEADER = 2 };

/* A parameter that a route understands, for OpenAPI; those of the pattern describe themselves. Element of arrays. */
struct hilum_route_param {
    const char *name; /* NULL ends the array */
    uint32_t in;      /* HILUM_IN_* */
    const char *
        type; /* of JSON: "string", "integer", "boolean"; "object": any others, each by its own name */
    const char *summary;
    uint32_t is_required;
};

/* One route per method and pattern in the server: a second provider is refused. Threads: as cap.threads
 * says, SERIAL is one request at a time. Isolatable. */
struct hilum_route {
    struct hilum_cap cap; /* name: "dicomweb/studies", shown in metrics */
    const char *methods;  /* "GET,POST"; OPTIONS and HEAD are the server's unless named */
    const char *
        pattern; /* "/studies/{study}/series/{series}"; a last {name...} takes the rest of the path.
                             * A literal segment wins over a {name} */
    const char
        *permission; /* action asked of access before run(); NULL only with HILUM_ROUTE_ANONYMOUS
                      * or HILUM_ROUTE_ADMITTED */
    const char *summary; /* one sentence for OpenAPI */
    uint64_t
        body_max;   /* bytes of a request body; 0: bodies are refused. HILUM_LENGTH_UNKNOWN: any */
    uint32_t flags; /* HILUM_ROUTE_* */
    uint32_t reserved;
    /* Answers one request. HILUM_OK after a response was made, begun and ended, or suspended; otherwise an
     * error, which the server answers. */
    hilum_rc (*run)(void *self, const struct hilum_http_api *api, hilum_http *http);
    /* What it takes and gives, for OpenAPI; NULL: not said. Media types by comma, without parameters. */
    const char *takes, *gives;
    const struct hilum_route_param *params;
    /* since 1.1: append here */
};

#ifdef __cplusplus
}
#endif
#endif
