/* Calls of a route: the request's line and body are here, its parameters and headers are asked
 * for, the answer leaves through a window of the shared memory. Who may ask has been decided by
 * the server.
 *
 * One thread, as for every call; a body that leaves later (stream) is asked for in calls of its
 * own, between those of other exchanges. SPDX-License-Identifier: Apache-2.0 */
#include "hilum/route.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/base/sized.h"
#include "core/worker/worker.h"

/* What a route sees as its exchange. */
struct hilum_http {
    struct hilum_self *self;
    struct hilum_http_request request;
    const unsigned char *body;
    uint64_t n, at;
    struct worker_target window; /* written and not yet sent */
};

/* A body that is made while it leaves, between its pulls. */
struct worker_source {
    struct hilum_http_source source;
    const unsigned char *bytes; /* of the last piece, not yet taken */
    uint64_t left;
};

/* ---- the request ---- */

static const struct hilum_http_request *request(hilum_http *http)
{
    return &http->request;
}

/* NULL: absent, or more texts than a call may keep. */
static const char *ask_text(hilum_http *http, enum hl_wire_ask what, const char *name, uint32_t i)
{
    struct hilum_self *self = http->self;
    worker_ask(self, what);
    hl_wire_put_text(&self->ask, name);
    hl_wire_put_u32(&self->ask, i);
    return worker_ask_send(self) == HILUM_OK ? worker_keep(self, hl_wire_text(&self->ask)) : NULL;
}

static const char *param(hilum_http *http, const char *name)
{
    return ask_text(http, HL_ASK_HTTP_PARAM, name, 0);
}

static const char *query(hilum_http *http, const char *name, uint32_t i)
{
    return ask_text(http, HL_ASK_HTTP_QUERY, name, i);
}

static const char *header(hilum_http *http, const char *name)
{
    return ask_text(http, HL_ASK_HTTP_HEADER, name, 0);
}

/* Texts are kept until the call returns, as the contract says; a loop over more than
 * WORKER_MAX_KEPT of them fails. */
static hilum_rc query_at(hilum_http *http, uint32_t i, const char **name, const char **value)
{
    struct hilum_self *self = http->self;
    worker_ask(self, HL_ASK_HTTP_QUERY_AT);
    hl_wire_put_u32(&self->ask, i);
    hilum_rc rc = worker_ask_send(self);
    if (rc != HILUM_OK)
        return rc;
    *name = worker_keep(self, hl_wire_text(&self->ask));
    *value = worker_keep(self, hl_wire_text(&self->ask));
    return *name && *value ? HILUM_OK
                           : hl_fail(HILUM_ENOMEM, "more than %d texts in a call, or no memory",
                                     WORKER_MAX_KEPT);
}

/* The whole body came with the call. */
static hilum_rc read_body(hilum_http *http, void *dst, uint64_t n, uint64_t *got)
{
    uint64_t left = http->n - http->at;
    *got = n < left ? n : left;
    memcpy(dst, http->body + http->at, (size_t)*got);
    http->at += *got;
    return HILUM_OK;
}

/* The server knows the principal of this exchange. */
static hilum_rc allow(hilum_http *http, const char *action, const char *resource)
{
    worker_ask(http->self, HL_ASK_HTTP_ALLOW);
    hl_wire_put_text(&http->self->ask, action);
    hl_wire_put_text(&http->self->ask, resource);
    return worker_ask_send(http->self);
}

/* ---- the response ---- */

static hilum_rc add_header(hilum_http *http, const char *name, const char *value)
{
    worker_ask(http->self, HL_ASK_HTTP_ADD_HEADER);
    hl_wire_put_text(&http->self->ask, name);
    hl_wire_put_text(&http->self->ask, value);
    return worker_ask_send(http->self);
}

static hilum_rc begin(hilum_http *http, uint32_t status, const char *media_type, uint64_t length)
{
    worker_ask(http->self, HL_ASK_HTTP_BEGIN);
    hl_wire_put_u32(&http->self->ask, status);
    hl_wire_put_text(&http->self->ask, media_type);
    hl_wire_put_u64(&http->self->ask, length);
    return worker_ask_send(http->self);
}

/* The server reads the window before it answers, so it may be filled again at once. */
static hilum_rc flush(hilum_http *http)
{
    if (http->window.n == 0)
        return HILUM_OK;
    worker_ask(http->self, HL_ASK_HTTP_WRITE);
    hl_wire_put_u64(&http->self->ask, http->window.n);
    http->window.n = 0;
    return worker_ask_send(http->self);
}

/* Sent when the window is full, not per write: each question is a round trip. */
static hilum_rc write_bytes(hilum_http *http, const void *bytes, uint64_t n)
{
    struct worker_target *window = &http->window;
    const unsigned char *from = bytes;
    hilum_rc rc = HILUM_OK;
    while (rc == HILUM_OK && n > 0) {
        uint64_t room = window->size - window->n, take = n < room ? n : room;
        memcpy(window->bytes + window->n, from, (size_t)take);
        window->n += take;
        from += take;
        n -= take;
        if (window->n == window->size)
            rc = flush(http);
    }
    return rc;
}

static hilum_rc end(hilum_http *http)
{
    hilum_rc rc = flush(http);
    if (rc != HILUM_OK)
        return rc;
    worker_ask(http->self, HL_ASK_HTTP_END);
    return worker_ask_send(http->self);
}

static hilum_rc respond(hilum_http *http, uint32_t status, const char *media_type,
                        const void *bytes, uint64_t n)
{
    hilum_rc rc = begin(http, status, media_type, n);
    if (rc == HILUM_OK)
        rc = write_bytes(http, bytes, n);
    return rc == HILUM_OK ? end(http) : rc;
}

/* The server has no descriptor of ours: what is in the file is copied. */
static hilum_rc write_fd(hilum_http *http, int32_t fd, uint64_t offset, uint64_t length)
{
    unsigned char piece[HL_WIRE_CHUNK];
    hilum_rc rc = HILUM_OK;
    while (rc == HILUM_OK && length > 0) {
        size_t n = length < sizeof piece ? (size_t)length : sizeof piece;
        ssize_t got = pread(fd, piece, n, (off_t)offset);
        rc = got > 0 ? write_bytes(http, piece, (uint64_t)got)
                     : hl_fail(HILUM_EIO, "a file that ends before the response does");
        offset += got > 0 ? (uint64_t)got : 0;
        length -= got > 0 ? (uint64_t)got : 0;
    }
    close(fd);
    return rc;
}

static hilum_rc respond_fd(hilum_http *http, uint32_t status, const char *media_type, int32_t fd,
                           uint64_t offset, uint64_t length)
{
    hilum_rc rc = begin(http, status, media_type, length);
    if (rc != HILUM_OK) {
        close(fd);
        return rc;
    }
    rc = write_fd(http, fd, offset, length);
    return rc == HILUM_OK ? end(http) : rc;
}

static hilum_rc problem(hilum_http *http, uint32_t status, hilum_rc rc, const char *detail)
{
    worker_ask(http->self, HL_ASK_HTTP_PROBLEM);
    hl_wire_put_u32(&http->self->ask, status);
    hl_wire_put_u32(&http->self->ask, (uint32_t)rc);
    hl_wire_put_text(&http->self->ask, detail);
    return worker_ask_send(http->self);
}

static hilum_rc go_on(hilum_http *http)
{
    return worker_ask_go_on(http->self);
}

static hilum_rc lend(hilum_http *http, const void *bytes, uint64_t n, void (*done)(void *arg),
                     void *arg)
{
    hilum_rc rc = write_bytes(http, bytes, n);
    if (done)
        done(arg);
    return rc;
}

static hilum_rc suspend(hilum_http *http, uint32_t deadline_ms, void (*on_gone)(void *arg),
                        void *arg)
{
    (void)http, (void)deadline_ms, (void)on_gone, (void)arg;
    return hl_fail(HILUM_EUNSUP, "in a process of its own a route answers before it returns");
}

/* A body that has nothing yet is asked for once a second; waking it does not cross the border. */
static void wake(hilum_http *http)
{
    (void)http;
}

/* Files are the server's to find and to cache; this process sees few of them, and the server would read for it what the jail
 * keeps from it. */
static hilum_rc respond_file(hilum_http *http, const char *root, const char *path)
{
    (void)http, (void)root;
    return hl_fail(HILUM_EUNSUP, "%s: in a process of its own a route serves no files of pages",
                   path);
}

static void resume(hilum_http *http)
{
    (void)http;
}

/* ---- bodies made while they leave ---- */

/* Of a number that is not in use: nothing. */
static void close_source(struct hilum_self *self, uint32_t i)
{
    struct worker_source *s = self->sources[i];
    self->sources[i] = NULL;
    if (s && s->source.close)
        s->source.close(s->source.arg);
    free(s);
}

/* The source stays here until the server closes it (HL_OP_ROUTE_CLOSE) or refuses it now. */
static hilum_rc stream(hilum_http *http, uint32_t status, const char *media_type, uint64_t length,
                       const struct hilum_http_source *source)
{
    struct hilum_self *self = http->self;
    uint32_t i = 0;
    while (i < WORKER_MAX_SOURCES && self->sources[i])
        i++;
    struct worker_source *s = i < WORKER_MAX_SOURCES ? calloc(1, sizeof *s) : NULL;
    if (!s) {
        if (source->close)
            source->close(source->arg);
        return hl_fail(HILUM_EFULL, "more than %d bodies leave one worker", WORKER_MAX_SOURCES);
    }
    hl_sized_copy(&s->source, sizeof s->source, source, source->size);
    self->sources[i] = s;
    worker_ask(self, HL_ASK_HTTP_STREAM);
    hl_wire_put_u32(&self->ask, status);
    hl_wire_put_text(&self->ask, media_type);
    hl_wire_put_u64(&self->ask, length);
    hl_wire_put_u32(&self->ask, i);
    hilum_rc rc = worker_ask_send(self);
    if (rc != HILUM_OK)
        close_source(self, i);
    return rc;
}

/* A piece longer than the window goes in several. */
static hilum_rc next(struct hilum_self *self)
{
    uint32_t i = hl_wire_u32(&self->in);
    uint64_t size = hl_wire_u64(&self->in);
    struct worker_source *s = i < WORKER_MAX_SOURCES ? self->sources[i] : NULL;
    unsigned char *window = worker_memory(self, 0, size);
    hilum_rc rc = HILUM_OK;
    if (self->in.bad || !s || !window)
        return hl_fail(HILUM_EINVAL, "a body that is not open");
    if (s->left == 0) {
        const void *bytes = NULL;
        rc = s->source.next(s->source.arg, &bytes, &s->left);
        s->bytes = bytes;
    }
    uint64_t n = rc == HILUM_OK && s->left < size ? s->left : rc == HILUM_OK ? size : 0;
    if (n)
        memcpy(window, s->bytes, (size_t)n);
    s->bytes += n;
    s->left = rc == HILUM_OK ? s->left - n : 0;
    hl_wire_put_u64(&self->out, n);
    return rc;
}

/* ---- calls ---- */

static const struct hilum_http_api api = {.size = sizeof api,
                                          .request = request,
                                          .param = param,
                                          .query = query,
                                          .query_at = query_at,
                                          .header = header,
                                          .read = read_body,
                                          .allow = allow,
                                          .add_header = add_header,
                                          .respond = respond,
                                          .respond_fd = respond_fd,
                                          .begin = begin,
                                          .write = write_bytes,
                                          .end = end,
                                          .write_fd = write_fd,
                                          .problem = problem,
                                          .suspend = suspend,
                                          .resume = resume,
                                          .lend = lend,
                                          .stream = stream,
                                          .respond_file = respond_file,
                                          .wake = wake,
                                          .go_on = go_on};

static const char *text_of(struct hilum_self *self)
{
    const char *text = hl_wire_text(&self->in);
    return text ? text : "";
}

static hilum_rc run(const struct hilum_route *route, void *instance, struct hilum_self *self)
{
    struct hilum_http http = {.self = self, .n = hl_wire_u64(&self->in)};
    uint64_t at = hl_wire_u64(&self->in), size = hl_wire_u64(&self->in);
    /* In the order of the server's write_request(). */
    http.request = (struct hilum_http_request){.size = sizeof http.request};
    http.request.method = text_of(self);
    http.request.path = text_of(self);
    http.request.query = text_of(self);
    http.request.base_url = text_of(self);
    http.request.remote = text_of(self);
    http.request.content_type = text_of(self);
    http.request.languages = text_of(self);
    http.request.trace_id = text_of(self);
    http.request.user = text_of(self);
    http.request.content_length = http.n;
    /* Nobody here can look into it; it is somebody to be named to allow(). */
    http.request.who = (const hilum_principal *)(const void *)&http;
    http.body = worker_memory(self, 0, http.n);
    http.window = (struct worker_target){worker_memory(self, at, size), 0, size};
    if (self->in.bad || !http.body || !http.window.bytes || !size)
        return hl_fail(HILUM_EINVAL, "a call that cannot be read");
    self->http = &http;
    hilum_rc rc = route->run(instance, &api, &http);
    self->http = NULL;
    return rc;
}

/* who is the address of our own exchange: no other principal can be named from here. */
hilum_rc worker_allow(hilum_self *self, const hilum_principal *who, const char *action,
                      const char *resource)
{
    if (who && self->http && who == self->http->request.who)
        return allow(self->http, action, resource);
    return hl_fail(HILUM_EDENIED, "%s: nobody here can allow it", action);
}

/* NEXT and CLOSE come for exchanges whose run() returned long ago, between calls of others. */
hilum_rc worker_route(const struct worker_cap *cap, uint32_t op, struct hilum_self *self)
{
    uint32_t i;
    switch (op) {
    case HL_OP_ROUTE_RUN:
        return run((const struct hilum_route *)(const void *)cap->cap, cap->instance, self);
    case HL_OP_ROUTE_NEXT: return next(self);
    case HL_OP_ROUTE_CLOSE:
        i = hl_wire_u32(&self->in);
        if (i < WORKER_MAX_SOURCES)
            close_source(self, i);
        return HILUM_OK;
    default: return hl_fail(HILUM_EUNSUP, "operation %u is none of a route", op);
    }
}
