/* The proxy of a route: the exchange stays here. The request's body is read before a worker is
 * taken, so that a slow client holds none; its answer comes through a window of the shared
 * memory; a body made while it leaves is pulled piece by piece, and nobody waits in between.
 *
 * http pulls a body only after run() has returned, so source_next and source_close never meet
 * the call that began it. SPDX-License-Identifier: Apache-2.0 */
#include "hilum/route.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/plugin/remote/state.h"

enum { WINDOW = 1024 * 1024, READ = 256 * 1024, MAX_BODY = HL_WIRE_DOCUMENT };

struct remote_route {
    struct hilum_route table;
    struct hl_remote *remote;
    uint32_t index;
};

/* A body that leaves while a worker makes it. */
struct remote_source {
    const struct remote_route *route;
    struct hl_place place;
    uint32_t number;       /* there */
    bool is_within;        /* the call that began it is still under way, in that worker */
    unsigned char *window; /* of the last piece */
};

struct exchange {
    const struct remote_route *route;
    const struct hilum_http_api *api;
    hilum_http *http;
    struct hl_process *process;
    uint64_t window_at;
};

/* ---- bodies that leave ---- */

/* A call of its own, of the worker that has the body; in another life of it the body is lost. */
static hilum_rc source_next(void *arg, const void **bytes, uint64_t *n)
{
    struct remote_source *s = arg;
    hilum_rc rc = HILUM_OK;
    *n = 0;
    if (!s->window && !(s->window = malloc(WINDOW)))
        return hl_fail(HILUM_ENOMEM, "no memory for a piece of a body");
    struct hl_process *process = hl_remote_begin_at(s->route->remote, &s->place, HL_OP_ROUTE_NEXT,
                                                    s->route->index, WINDOW, &rc);
    if (!process)
        return rc;
    struct hl_wire *wire = hl_process_wire(process);
    if (hl_process_place(process).birth != s->place.birth) {
        hl_remote_end(process);
        return hl_fail(HILUM_ECLOSED, "the worker that made this body has ended");
    }
    hl_wire_put_u32(wire, s->number);
    hl_wire_put_u64(wire, WINDOW);
    if (hl_remote_run(process, &rc) && rc == HILUM_OK) {
        uint64_t got = hl_wire_u64(wire);
        if (wire->bad || got > WINDOW)
            rc = hl_remote_nonsense(process, "a piece longer than its window");
        else
            memcpy(s->window, hl_process_memory(process), (size_t)(*n = got));
    }
    hl_remote_end(process);
    *bytes = s->window;
    return rc;
}

static void source_free(struct remote_source *s)
{
    free(s->window);
    free(s);
}

/* On a thread of the host's pool. */
static void close_there(void *arg)
{
    struct remote_source *s = arg;
    hilum_rc rc;
    struct hl_process *process = hl_remote_begin_at(s->route->remote, &s->place, HL_OP_ROUTE_CLOSE,
                                                    s->route->index, WINDOW, &rc);
    if (process && hl_process_place(process).birth == s->place.birth) {
        hl_wire_put_u32(hl_process_wire(process), s->number);
        hl_remote_run(process, &rc);
    }
    if (process)
        hl_remote_end(process);
    source_free(s);
}

/* On any thread, also one that moves everybody's bytes: waiting for the worker is a task of its own. */
static void source_close(void *arg)
{
    struct remote_source *s = arg;
    if (s->is_within) { /* the server did not take it: the worker closes it when it hears so */
        source_free(s);
        return;
    }
    struct hilum_self *plugin = s->route->remote->plugin;
    if (hl_plugins_run_task(plugin->host, plugin, close_there, s) != HILUM_OK)
        source_free(s); /* the host is ending, and the worker with it */
}

/* What the server refuses it closes at once, while is_within still says that the worker knows. */
static hilum_rc begin_stream(struct exchange *e, struct hl_wire *question)
{
    uint32_t status = hl_wire_u32(question);
    const char *media_type = hl_wire_text(question);
    uint64_t length = hl_wire_u64(question);
    struct remote_source *s = calloc(1, sizeof *s);
    if (!s)
        return hl_fail(HILUM_ENOMEM, "no memory for a body");
    *s = (struct remote_source){.route = e->route,
                                .place = hl_process_place(e->process),
                                .number = hl_wire_u32(question),
                                .is_within = true};
    const struct hilum_http_source source = {
        .size = sizeof source, .next = source_next, .close = source_close, .arg = s};
    if (question->bad) {
        source_free(s);
        return hl_fail(HILUM_EINVAL, "a question that cannot be read");
    }
    hilum_rc rc = e->api->stream(e->http, status, media_type, length, &source);
    if (rc == HILUM_OK)
        s->is_within = false;
    return rc;
}

/* ---- what a worker asks ---- */

/* Texts of the request; absent ones are answered with NULL. */
static hilum_rc ask_request(struct exchange *e, uint32_t what, struct hl_wire *question,
                            struct hl_wire *answer)
{
    const char *name = what == HL_ASK_HTTP_QUERY_AT ? "" : hl_wire_text(question);
    uint32_t i = hl_wire_u32(question);
    const char *key = NULL, *value = NULL;
    if (!name || question->bad)
        return hl_fail(HILUM_EINVAL, "a question that cannot be read");
    if (what == HL_ASK_HTTP_QUERY_AT) {
        hilum_rc rc = e->api->query_at(e->http, i, &key, &value);
        hl_wire_put_text(answer, key);
        hl_wire_put_text(answer, value);
        return rc;
    }
    hl_wire_put_text(answer, what == HL_ASK_HTTP_PARAM   ? e->api->param(e->http, name)
                             : what == HL_ASK_HTTP_QUERY ? e->api->query(e->http, name, i)
                                                         : e->api->header(e->http, name));
    return HILUM_OK;
}

/* Straight out of the window: its bytes are the worker's to choose anyway. */
static hilum_rc ask_write(struct exchange *e, uint64_t n)
{
    return n <= WINDOW ? e->api->write(e->http, hl_process_memory(e->process) + e->window_at, n)
                       : hl_fail(HILUM_EINVAL, "a piece longer than its window");
}

static hilum_rc ask_begin(struct exchange *e, struct hl_wire *question)
{
    uint32_t status = hl_wire_u32(question);
    const char *media_type = hl_wire_text(question);
    uint64_t length = hl_wire_u64(question);
    return question->bad ? hl_fail(HILUM_EINVAL, "a question that cannot be read")
                         : e->api->begin(e->http, status, media_type, length);
}

static hilum_rc ask_problem(struct exchange *e, struct hl_wire *question)
{
    uint32_t status = hl_wire_u32(question), rc = hl_wire_u32(question);
    const char *detail = hl_wire_text(question);
    return question->bad ? hl_fail(HILUM_EINVAL, "a question that cannot be read")
                         : e->api->problem(e->http, status, (hilum_rc)rc, detail);
}

static hilum_rc ask_two(struct exchange *e, uint32_t what, struct hl_wire *question)
{
    const char *first = hl_wire_text(question), *second = hl_wire_text(question);
    if (question->bad || !first || (!second && what == HL_ASK_HTTP_ADD_HEADER))
        return hl_fail(HILUM_EINVAL, "a question that cannot be read");
    return what == HL_ASK_HTTP_ALLOW ? e->api->allow(e->http, first, second)
                                     : e->api->add_header(e->http, first, second);
}

static hilum_rc ask(void *arg, uint32_t what, struct hl_wire *question, struct hl_wire *answer)
{
    struct exchange *e = arg;
    switch (what) {
    case HL_ASK_HTTP_PARAM:
    case HL_ASK_HTTP_QUERY:
    case HL_ASK_HTTP_QUERY_AT:
    case HL_ASK_HTTP_HEADER: return ask_request(e, what, question, answer);
    case HL_ASK_HTTP_ALLOW:
    case HL_ASK_HTTP_ADD_HEADER: return ask_two(e, what, question);
    case HL_ASK_GO_ON:
        return HILUM_HAS(struct hilum_http_api, e->api->size, go_on) && e->api->go_on
                   ? e->api->go_on(e->http)
                   : HILUM_OK;
    case HL_ASK_HTTP_BEGIN: return ask_begin(e, question);
    case HL_ASK_HTTP_WRITE: return ask_write(e, hl_wire_u64(question));
    case HL_ASK_HTTP_END: return e->api->end(e->http);
    case HL_ASK_HTTP_PROBLEM: return ask_problem(e, question);
    case HL_ASK_HTTP_STREAM: return begin_stream(e, question);
    default: return hl_fail(HILUM_EINVAL, "an exchange is not asked for that");
    }
}

/* ---- the call ---- */

/* Bounded by the route's body_max, which the http server enforces, and by MAX_BODY. */
static hilum_rc read_body(struct exchange *e, struct hl_buf *body)
{
    uint64_t got = 1;
    hilum_rc rc = HILUM_OK;
    while (rc == HILUM_OK && got > 0 && e->route->table.body_max > 0) {
        if (!hl_buf_reserve(body, READ))
            return hl_fail(HILUM_ENOMEM, "no memory for the body of a request");
        rc = e->api->read(e->http, body->data + body->len, READ, &got);
        body->len += rc == HILUM_OK ? (size_t)got : 0;
        if (body->len > MAX_BODY)
            rc = hl_fail(HILUM_EFULL,
                         "a route in a process of its own takes bodies of up to %d "
                         "bytes",
                         MAX_BODY);
    }
    return rc;
}

static void write_request(struct hl_wire *wire, const struct hilum_http_request *asked)
{
    const char *const texts[] = {asked->method,    asked->path,     asked->query,
                                 asked->base_url,  asked->remote,   asked->content_type,
                                 asked->languages, asked->trace_id, asked->user};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        hl_wire_put_text(wire, texts[i]);
}

/* A response that was begun and not ended is the http server's to finish, as for any route that
 * fails. */
static hilum_rc run(void *self, const struct hilum_http_api *api, hilum_http *http)
{
    const struct remote_route *route = self;
    struct exchange e = {.route = route, .api = api, .http = http};
    struct hl_buf body = {0};
    hilum_rc rc = read_body(&e, &body);
    if (rc == HILUM_OK) {
        e.window_at = hl_wire_align(body.len);
        e.process = hl_remote_begin(route->remote, HL_OP_ROUTE_RUN, route->index,
                                    e.window_at + WINDOW, &rc);
    }
    if (e.process) {
        struct hl_wire *wire = hl_process_wire(e.process);
        if (body.len)
            memcpy(hl_process_memory(e.process), body.data, body.len);
        hl_wire_put_u64(wire, body.len);
        hl_wire_put_u64(wire, e.window_at);
        hl_wire_put_u64(wire, WINDOW);
        write_request(wire, api->request(http));
        hl_remote_answers(e.process, ask, &e);
        hl_remote_run(e.process, &rc);
        hl_remote_end(e.process);
    }
    hl_buf_fini(&body);
    return rc;
}

/* ---- the table ---- */

hilum_rc hl_remote_route(struct hl_remote *remote, uint32_t index, const char *name,
                         struct hl_wire *wire, const struct hilum_cap **cap, void **instance)
{
    struct hl_arena *arena = hl_remote_arena(remote);
    struct remote_route *r = hl_arena_alloc(arena, sizeof *r);
    bool is_whole = hl_wire_u32(wire) != 0;
    if (!r)
        return hl_fail(HILUM_ENOMEM, "worker: no memory");
    r->remote = remote;
    r->index = index;
    r->table.cap = (struct hilum_cap){.size = sizeof r->table,
                                      .kind = HILUM_CAP_ROUTE,
                                      .threads = HILUM_PARALLEL,
                                      .name = hl_arena_strdup(arena, name ? name : "")};
    r->table.methods = hl_remote_copy(remote, wire);
    r->table.pattern = hl_remote_copy(remote, wire);
    r->table.permission = hl_remote_copy(remote, wire);
    r->table.summary = hl_remote_copy(remote, wire);
    r->table.body_max = hl_wire_u64(wire);
    r->table.flags = hl_wire_u32(wire);
    r->table.run = is_whole ? run : NULL;
    if (r->table.body_max > MAX_BODY) /* the server says 413 by itself */
        r->table.body_max = MAX_BODY;
    if (wire->bad || !r->table.cap.name)
        return hl_fail(HILUM_EINVAL, "route %s: a table that cannot be read", name ? name : "");
    *cap = &r->table.cap;
    *instance = r;
    return HILUM_OK;
}
