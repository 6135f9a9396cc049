/* Commands by HTTP: one answer, or the lines of the control socket as they come.
 *
 * Two ways to answer. Whole: the worker runs the command and waits, for a minute at most, and
 * one JSON object leaves; for scripts and pages. Lines: a thread runs it, its lines are put
 * into a buffer, and the stream takes them out as the client reads; a client that goes away is
 * noticed by writing to it and ends the command (is_gone), one that reads slowly slows it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "admin.h"

#include <stdio.h>
#include <time.h>

/* 16 MiB is what one answer may cost; whoever wants more takes lines. PENDING_MAX: of lines
 * not yet taken. BEAT_MS: how soon a client that went away is noticed. */
enum { COLLECT_MAX = 16 << 20, COLLECT_S = 60, PENDING_MAX = 256 << 10, BEAT_MS = 2000 };

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- the list ---- */

/* Grows up to max; cap is what is allocated. */
struct text {
    char *bytes;
    size_t n, cap, max;
};

static hilum_rc text_add(void *arg, const void *bytes, uint64_t n)
{
    struct text *text = arg;
    if (n > text->max - text->n)
        return HILUM_EFULL;
    if (text->cap - text->n < n) {
        size_t cap = text->cap > 0 ? 2 * text->cap : 4096;
        while (cap - text->n < n)
            cap *= 2;
        char *grown = realloc(text->bytes, cap);
        if (grown == NULL)
            return HILUM_ENOMEM;
        text->bytes = grown;
        text->cap = cap;
    }
    if (n > 0) /* an empty body is no pointer to copy to */
        memcpy(text->bytes + text->n, bytes, (size_t)n);
    text->n += (size_t)n;
    return HILUM_OK;
}

static hilum_rc list_text(const struct admin *admin, struct text *out)
{
    struct hilum_sink sink = {.size = sizeof sink, .write = text_add, .ctx = out};
    return admin->host->commands->list(admin->self, &sink);
}

json_t *admin_commands(const struct admin *admin)
{
    struct text text = {.max = COLLECT_MAX};
    json_t *list =
        list_text(admin, &text) == HILUM_OK ? json_loadb(text.bytes, text.n, 0, NULL) : NULL;
    free(text.bytes);
    return list;
}

const json_t *admin_command(const json_t *list, const char *name)
{
    size_t i;
    json_t *command;
    json_array_foreach(json_object_get(list, "commands"), i, command)
    {
        const char *its = json_string_value(json_object_get(command, "name"));
        if (its != NULL && strcmp(its, name) == 0)
            return command;
    }
    return NULL;
}

hilum_rc admin_list(void *self, const struct hilum_http_api *api, hilum_http *http)
{
    const struct admin *admin = self;
    struct text text = {.max = COLLECT_MAX};
    hilum_rc rc = list_text(admin, &text);
    if (rc == HILUM_OK)
        rc = api->respond(http, 200, "application/json", text.bytes, text.n);
    free(text.bytes);
    return rc;
}

/* ---- what is asked ---- */

/* "study/find" is "study find". */
static bool name_of(const char *path, char *name, size_t size)
{
    size_t n = strlen(path);
    if (n == 0 || n >= size)
        return false;
    for (size_t i = 0; i <= n; i++)
        name[i] = (char)(path[i] == '/' ? ' ' : path[i]);
    return true;
}

/* Whether its action is allowed is asked before the body is read, and by the command again. So
 * that a body of a megabyte is not read from somebody who may not run it. */
static uint32_t refused(const struct admin *admin, const struct hilum_http_api *api,
                        hilum_http *http, const char *name, const char **why)
{
    json_t *list = admin_commands(admin);
    const json_t *command = admin_command(list, name);
    const char *action = json_string_value(json_object_get(command, "action"));
    bool is_by_study = json_is_true(json_object_get(command, "by_study"));
    uint32_t status = 0;
    *why = "no such command; GET /api/commands lists them";
    if (action == NULL) {
        status = 404;
    } else if (api->allow(http, action, is_by_study ? "" : NULL) != HILUM_OK) {
        *why = admin->host->reason(admin->self);
        status = 403;
    }
    json_decref(list);
    return status;
}

/* With a NUL: arguments are a text. */
static hilum_rc body_read(const struct hilum_http_api *api, hilum_http *http, struct text *out)
{
    char piece[16384];
    uint64_t got = 1;
    hilum_rc rc = HILUM_OK;
    while (rc == HILUM_OK && got > 0) {
        rc = api->read(http, piece, sizeof piece, &got);
        if (rc == HILUM_OK)
            rc = text_add(out, piece, got);
    }
    return rc == HILUM_OK ? text_add(out, "", 1) : rc;
}

static bool wants_lines(const struct hilum_http_api *api, hilum_http *http)
{
    const char *accept = api->header(http, "Accept");
    return accept != NULL && strstr(accept, "application/x-ndjson") != NULL;
}

/* ---- one answer ---- */

struct collected {
    json_t *answer; /* {"result": ..., "items": [...]} */
    size_t bytes;
    int64_t until_ms;
    bool is_too_long;
};

/* Progress is for who watches, and views are for terminals. */
static hilum_rc collect(void *arg, const char *json, uint64_t n)
{
    struct collected *all = arg;
    all->bytes += (size_t)n;
    all->is_too_long = all->bytes > COLLECT_MAX;
    if (all->is_too_long)
        return HILUM_EFULL;
    json_t *line = json_loadb(json, (size_t)n, 0, NULL), *item = json_object_get(line, "item");
    json_t *items = json_object_get(all->answer, "items");
    if (item != NULL && items == NULL) {
        items = json_array();
        json_object_set_new(all->answer, "items", items);
    }
    if (item != NULL)
        json_array_append(items, item);
    if (json_object_get(line, "result") != NULL)
        json_object_set(all->answer, "result", json_object_get(line, "result"));
    json_decref(line);
    return HILUM_OK;
}

static int32_t is_late(void *arg)
{
    const struct collected *all = arg;
    return now_ms() > all->until_ms;
}

/* A command that is late or too long is ended by is_gone or by the error of collect(); what it
 * did until then is done. */
static hilum_rc answer_whole(const struct admin *admin, const struct hilum_http_api *api,
                             hilum_http *http, const char *name, const char *arguments)
{
    struct collected all = {.answer = json_object(),
                            .until_ms = now_ms() + (int64_t)COLLECT_S * 1000};
    const struct hilum_command_run run = {.size = sizeof run,
                                          .name = name,
                                          .arguments = arguments,
                                          .who = api->request(http)->who,
                                          .line = collect,
                                          .is_gone = is_late,
                                          .arg = &all};
    hilum_rc rc = admin->host->commands->run(admin->self, &run);
    if (all.is_too_long || is_late(&all)) {
        json_decref(all.answer);
        return api->problem(http, all.is_too_long ? 413 : 504, HILUM_OK,
                            "too long for one answer: ask with Accept: application/x-ndjson");
    }
    char *text = rc >= HILUM_OK ? json_dumps(all.answer, JSON_COMPACT) : NULL;
    json_decref(all.answer);
    if (rc < HILUM_OK)
        return api->problem(http, 0, rc, admin->host->reason_of(admin->self, rc));
    if (text == NULL)
        return admin->host->fail(admin->self, HILUM_ENOMEM, "no memory for an answer");
    rc = api->respond(http, 200, "application/json", text, strlen(text));
    free(text);
    return rc;
}

/* ---- lines as they come ---- */

/* Shared by the thread that runs the command and the exchange; freed by whichever is last. Who
 * holds it: the thread until is_ended, the exchange until is_closed. leaving is lent to http
 * while pending fills; the two change places. */
struct stream {
    struct admin *admin;
    const struct hilum_http_api *api;
    hilum_http *http;
    hilum_principal *who;
    char name[100], *arguments;
    pthread_mutex_t lock;
    pthread_cond_t taken;
    struct text pending, leaving; /* leaving: the exchange's until its next call */
    bool is_ended, is_closed;
    int64_t last_ms;
};

/* admin_fini waits until n_runs is 0: nothing of admin is touched after that. */
static void stream_free(struct stream *stream)
{
    stream->admin->host->principal_free(stream->who);
    atomic_fetch_sub(&stream->admin->n_runs, 1);
    pthread_cond_destroy(&stream->taken);
    pthread_mutex_destroy(&stream->lock);
    free(stream->pending.bytes);
    free(stream->leaving.bytes);
    free(stream->arguments);
    free(stream);
}

/* wake() within the lock: after is_closed the exchange is gone, and must not be woken. */
static hilum_rc stream_line(void *arg, const char *json, uint64_t n)
{
    struct stream *stream = arg;
    pthread_mutex_lock(&stream->lock);
    /* Who reads slowly makes the command slow, not the server large. */
    while (!stream->is_closed && stream->pending.n > 0 && stream->pending.n + n > PENDING_MAX)
        pthread_cond_wait(&stream->taken, &stream->lock);
    hilum_rc rc = stream->is_closed ? HILUM_ECLOSED : text_add(&stream->pending, json, n);
    if (!stream->is_closed)
        stream->api->wake(stream->http);
    pthread_mutex_unlock(&stream->lock);
    return rc;
}

static int32_t stream_is_gone(void *arg)
{
    struct stream *stream = arg;
    pthread_mutex_lock(&stream->lock);
    bool is_closed = stream->is_closed;
    pthread_mutex_unlock(&stream->lock);
    return is_closed;
}

/* Detached: nobody joins it, n_runs tells that it has ended. */
static void *stream_run(void *arg)
{
    struct stream *stream = arg;
    const struct hilum_command_run run = {.size = sizeof run,
                                          .name = stream->name,
                                          .arguments = stream->arguments,
                                          .who = stream->who,
                                          .line = stream_line,
                                          .is_gone = stream_is_gone,
                                          .arg = stream};
    (void)stream->admin->host->commands->run(stream->admin->self, &run); /* told in its last line */
    pthread_mutex_lock(&stream->lock);
    stream->is_ended = true;
    bool is_last = stream->is_closed;
    if (!is_last)
        stream->api->wake(stream->http);
    pthread_mutex_unlock(&stream->lock);
    if (is_last)
        stream_free(stream);
    return NULL;
}

/* An empty line now and then: only by writing is it found out that a client has gone. */
static hilum_rc stream_next(void *arg, const void **bytes, uint64_t *n)
{
    struct stream *stream = arg;
    hilum_rc rc = HILUM_OK;
    pthread_mutex_lock(&stream->lock);
    if (stream->pending.n > 0) {
        struct text emptied = stream->leaving;
        stream->leaving = stream->pending;
        stream->pending = emptied;
        stream->pending.n = 0;
        *bytes = stream->leaving.bytes;
        *n = stream->leaving.n;
        pthread_cond_signal(&stream->taken);
    } else if (stream->is_ended) {
        *n = 0;
    } else if (now_ms() - stream->last_ms >= BEAT_MS) {
        *bytes = "\n";
        *n = 1;
    } else {
        rc = HILUM_EAGAIN;
    }
    if (rc == HILUM_OK)
        stream->last_ms = now_ms();
    pthread_mutex_unlock(&stream->lock);
    return rc;
}

static void stream_close(void *arg)
{
    struct stream *stream = arg;
    pthread_mutex_lock(&stream->lock);
    stream->is_closed = true;
    bool is_last = stream->is_ended;
    pthread_cond_signal(&stream->taken);
    pthread_mutex_unlock(&stream->lock);
    if (is_last)
        stream_free(stream);
}

/* keep(): a principal that outlives the handler, with the session's rights as they are now. */
static struct stream *stream_new(struct admin *admin, const struct hilum_http_api *api,
                                 hilum_http *http, const char *name, const char *arguments)
{
    struct stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL)
        return NULL;
    stream->admin = admin;
    stream->api = api;
    stream->http = http;
    stream->pending.max = stream->leaving.max = COLLECT_MAX;
    stream->last_ms = now_ms();
    stream->arguments = strdup(arguments);
    snprintf(stream->name, sizeof stream->name, "%s", name);
    pthread_mutex_init(&stream->lock, NULL);
    pthread_cond_init(&stream->taken, NULL);
    if (stream->arguments == NULL ||
        admin->host->commands->keep(admin->self, api->request(http)->who, &stream->who) !=
            HILUM_OK) {
        atomic_fetch_add(&admin->n_runs, 1);
        stream_free(stream);
        return NULL;
    }
    return stream;
}

static hilum_rc answer_lines(struct admin *admin, const struct hilum_http_api *api,
                             hilum_http *http, const char *name, const char *arguments)
{
    pthread_t thread;
    if (atomic_fetch_add(&admin->n_runs, 1) >= admin->conf->max_runs) {
        atomic_fetch_sub(&admin->n_runs, 1);
        return api->problem(http, 503, HILUM_OK, "too many commands are running; try again");
    }
    struct stream *stream = stream_new(admin, api, http, name, arguments);
    if (stream == NULL) {
        atomic_fetch_sub(&admin->n_runs, 1);
        return admin->host->fail(admin->self, HILUM_ENOMEM, "no memory for a command");
    }
    const struct hilum_http_source source = {
        .size = sizeof source, .next = stream_next, .close = stream_close, .arg = stream};
    if (pthread_create(&thread, NULL, stream_run, stream) != 0) {
        stream_free(stream);
        return admin->host->fail(admin->self, HILUM_ENOMEM, "no thread for a command");
    }
    pthread_detach(thread);
    return api->stream(http, 200, "application/x-ndjson", HILUM_LENGTH_UNKNOWN, &source);
}

/* Not found before not allowed: which commands there are is told to everybody who is served. */
hilum_rc admin_run(void *self, const struct hilum_http_api *api, hilum_http *http)
{
    struct admin *admin = self;
    struct text body = {.max = 1 << 20};
    char name[100];
    const char *why = "no such command; GET /api/commands lists them";
    uint32_t status = name_of(api->param(http, "command"), name, sizeof name)
                          ? refused(admin, api, http, name, &why)
                          : 404;
    if (status != 0)
        return api->problem(http, status, HILUM_OK, why);
    hilum_rc rc = body_read(api, http, &body);
    if (rc == HILUM_OK)
        rc = wants_lines(api, http) ? answer_lines(admin, api, http, name, body.bytes)
                                    : answer_whole(admin, api, http, name, body.bytes);
    free(body.bytes);
    return rc;
}
