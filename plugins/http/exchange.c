/* struct hilum_http_api: what a route does with its request. On the thread of a worker, or of whoever resumes a
 * kept exchange.
 *
 * One thread at a time has an exchange; only read() shares with the loop, under request->lock.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

/* ---- memory of a request ---- */

/* Most requests need one. */
enum { CHUNK = 4096 };

/* Newest first; a large one has a chunk of its own size. */
struct http_chunk {
    struct http_chunk *next;
    size_t used, size;
    _Alignas(16) char bytes[];
};

/* For what lives as long as the exchange: nothing is freed alone. Aligned to 16 bytes. */
void *http_arena_take(struct http_arena *arena, size_t n)
{
    struct http_chunk *chunk = arena->first;
    n = (n + 15) & ~(size_t)15;
    if (chunk == NULL || chunk->size - chunk->used < n) {
        size_t size = n > CHUNK ? n : CHUNK;
        chunk = malloc(sizeof *chunk + size);
        if (chunk == NULL)
            return NULL;
        chunk->next = arena->first;
        chunk->used = 0;
        chunk->size = size;
        arena->first = chunk;
    }
    void *taken = chunk->bytes + chunk->used;
    chunk->used += n;
    return taken;
}

char *http_arena_text(struct http_arena *arena, const char *text, size_t n)
{
    char *copy = http_arena_take(arena, n + 1);
    if (copy == NULL)
        return NULL;
    memcpy(copy, text, n);
    copy[n] = '\0';
    return copy;
}

void http_arena_fini(struct http_arena *arena)
{
    while (arena->first != NULL) {
        struct http_chunk *next = arena->first->next;
        free(arena->first);
        arena->first = next;
    }
}

static hilum_rc fail(struct hilum_http *http, hilum_rc rc, const char *why)
{
    return http->server->host->fail(http->server->self, rc, why);
}

static hilum_rc no_memory(struct hilum_http *http)
{
    return fail(http, HILUM_ENOMEM, "no memory for a response");
}

/* ---- the request ---- */

const char *http_shown(const struct hilum_http *request, const char *name)
{
    for (const struct http_header *h = request->shown; h != NULL; h = h->next)
        if (strcasecmp(h->name, name) == 0)
            return h->value;
    return NULL;
}

static const struct hilum_http_request *api_request(hilum_http *http)
{
    return &http->asked;
}

/* Names are not NUL-terminated: they point into the pattern. */
static const char *api_param(hilum_http *http, const char *name)
{
    size_t n = strlen(name);
    for (unsigned i = 0; i < http->match.n_params; i++)
        if (http->match.params[i].n == n && strncmp(http->match.params[i].name, name, n) == 0)
            return http->match.params[i].value;
    return NULL;
}

static const char *api_query(hilum_http *http, const char *name, uint32_t i)
{
    for (unsigned at = 0; at < http->n_query; at++)
        if (strcmp(http->query[at].name, name) == 0 && i-- == 0)
            return http->query[at].value;
    return NULL;
}

static hilum_rc api_query_at(hilum_http *http, uint32_t i, const char **name, const char **value)
{
    if (i >= http->n_query)
        return HILUM_ENOTFOUND;
    *name = http->query[i].name;
    *value = http->query[i].value;
    return HILUM_OK;
}

/* Fields of one name are one list (RFC 9110 5.3), joined with ", ". */
static size_t joined_length(const hilum_http *http, const char *name, unsigned *n)
{
    size_t length = 0;
    *n = 0;
    for (const struct http_header *h = http->shown; h != NULL; h = h->next)
        if (strcasecmp(h->name, name) == 0) {
            length += strlen(h->value) + 2;
            ++*n;
        }
    return length;
}

/* Authorization and Cookie are the server's business and no route's. */
static const char *api_header(hilum_http *http, const char *name)
{
    unsigned n;
    size_t length = joined_length(http, name, &n);
    if (strcasecmp(name, "Authorization") == 0 || strcasecmp(name, "Cookie") == 0 || n == 0)
        return NULL;
    if (n == 1)
        return http_shown(http, name);
    char *joined = http_arena_take(&http->arena, length + 1), *at = joined;
    if (joined == NULL)
        return NULL;
    for (const struct http_header *h = http->shown; h != NULL; h = h->next)
        if (strcasecmp(h->name, name) == 0)
            at += sprintf(at, "%s%s", at == joined ? "" : ", ", h->value);
    return joined;
}

/* The other end of ring_put, under the same lock. */
static size_t ring_take(hilum_http *http, void *dst, uint64_t n)
{
    size_t take = n < http->ring_fill ? (size_t)n : http->ring_fill;
    size_t first = take < HTTP_RING - http->ring_at ? take : HTTP_RING - http->ring_at;
    memcpy(dst, http->ring + http->ring_at, first);
    memcpy((char *)dst + first, http->ring, take - first);
    http->ring_at = (http->ring_at + take) % HTTP_RING;
    http->ring_fill -= take;
    return take;
}

/* No deadline of its own: a peer that is too slow is cut by watch.c, and is_gone ends the
 * wait. Half a ring is free before the socket is read again: fewer and longer turns of the
 * loop. */
static hilum_rc api_read(hilum_http *http, void *dst, uint64_t n, uint64_t *got)
{
    hilum_rc rc = HILUM_OK;
    *got = 0;
    pthread_mutex_lock(&http->lock);
    while (http->ring_fill == 0 && !http->is_eof && !http->is_gone && !http->is_too_long)
        pthread_cond_wait(&http->changed, &http->lock);
    if (http->is_too_long)
        rc = HILUM_EFULL;
    else if (http->ring_fill == 0 && !http->is_eof)
        rc = HILUM_ECLOSED;
    else if (http->ring != NULL)
        *got = ring_take(http, dst, n);
    if (http->ring_fill < HTTP_RING / 2 || rc != HILUM_OK)
        http_wake(http);
    pthread_mutex_unlock(&http->lock);
    if (rc == HILUM_EFULL)
        return fail(http, rc, "the body is longer than this resource takes");
    return rc == HILUM_ECLOSED ? fail(http, rc, "the client has gone or was too slow") : rc;
}

static hilum_rc api_allow(hilum_http *http, const char *action, const char *resource)
{
    return http->server->host->allow(http->server->self, http->who, action, resource);
}

/* ---- the response ---- */

/* No CR and LF, which would let a value of a client's begin a header of its own (response
 * splitting). */
hilum_rc http_header_add(struct hilum_http *http, const char *name, const char *value)
{
    static const char *const ours[] = {"Content-Length", "Transfer-Encoding", "Connection", "Date"};
    if (!http_is_field_value(value) || *name == '\0' ||
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") !=
            strlen(name))
        return fail(http, HILUM_EINVAL, "a header of the response holds control characters");
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (strcasecmp(ours[i], name) == 0)
            return fail(http, HILUM_EINVAL, "this header is the server's own");
    struct http_header *header = http_arena_take(&http->arena, sizeof *header);
    if (header == NULL)
        return no_memory(http);
    *header = (struct http_header){NULL, http_arena_text(&http->arena, name, strlen(name)),
                                   http_arena_text(&http->arena, value, strlen(value))};
    if (header->name == NULL || header->value == NULL)
        return no_memory(http);
    *http->last_header = header;
    http->last_header = &header->next;
    return HILUM_OK;
}

/* The media type is checked: a line break in it would be a header of its own. */
hilum_rc http_response_begin(struct hilum_http *http, uint32_t status, const char *media_type)
{
    if (http->is_begun)
        return fail(http, HILUM_EINVAL, "the response was begun before");
    if (status < 200 || status > 599 || (media_type != NULL && !http_is_field_value(media_type)))
        return fail(http, HILUM_EINVAL, "expected a status from 200 to 599 and a media type");
    http->is_begun = true;
    http->status = status;
    http->media_type =
        media_type != NULL ? http_arena_text(&http->arena, media_type, strlen(media_type)) : NULL;
    return HILUM_OK;
}

/* NULL: no memory. */
static struct http_piece *piece_add(hilum_http *http)
{
    if (http->n_pieces == http->cap_pieces) {
        unsigned cap = http->cap_pieces > 0 ? 2 * http->cap_pieces : 8;
        struct http_piece *grown = realloc(http->pieces, cap * sizeof *grown);
        if (grown == NULL)
            return NULL;
        http->pieces = grown;
        http->cap_pieces = cap;
    }
    struct http_piece *piece = &http->pieces[http->n_pieces++];
    *piece = (struct http_piece){.fd = -1};
    http->open_piece = 0;
    return piece;
}

static void free_bytes(void *arg, void *bytes)
{
    (void)arg;
    free(bytes);
}

/* Doubling, up to max_response. */
static bool piece_grow(hilum_http *http, struct http_piece *piece, uint64_t n)
{
    if (http->open_cap - piece->length >= n)
        return true;
    size_t cap = http->open_cap > 0 ? 2 * http->open_cap : 1024;
    while (cap - piece->length < n)
        cap *= 2;
    void *grown = realloc((void *)(uintptr_t)piece->bytes, cap);
    if (grown == NULL)
        return false;
    piece->bytes = grown;
    http->open_cap = cap;
    return true;
}

static hilum_rc writable(hilum_http *http)
{
    return http->is_begun && !http->is_ended
               ? HILUM_OK
               : fail(http, HILUM_EINVAL, "no response is begun, or it has ended");
}

/* Pieces that are written one after the other grow one buffer; lend() and write_fd() close it
 * (open_piece 0). */
static hilum_rc api_write(hilum_http *http, const void *bytes, uint64_t n)
{
    hilum_rc rc = writable(http);
    if (rc != HILUM_OK || n == 0)
        return rc;
    if (n > (uint64_t)http->server->conf->max_response - http->copied)
        return fail(http, HILUM_EFULL, "the response is longer than max_response");
    if (http->open_piece == 0) {
        struct http_piece *piece = piece_add(http);
        if (piece == NULL)
            return no_memory(http);
        piece->release = free_bytes;
        http->open_piece = http->n_pieces;
        http->open_cap = 0;
    }
    struct http_piece *piece = &http->pieces[http->open_piece - 1];
    if (!piece_grow(http, piece, n))
        return no_memory(http);
    assert(piece->bytes);
    memcpy((char *)(uintptr_t)piece->bytes + piece->length, bytes, (size_t)n);
    piece->length += n;
    http->copied += n;
    return HILUM_OK;
}

/* The descriptor is ours from the call on, also when it fails. */
static hilum_rc api_write_fd(hilum_http *http, int32_t fd, uint64_t offset, uint64_t length)
{
    hilum_rc rc = writable(http);
    struct http_piece *piece = rc == HILUM_OK && length > 0 ? piece_add(http) : NULL;
    if (piece == NULL) {
        close(fd);
        return rc != HILUM_OK || length == 0 ? rc : no_memory(http);
    }
    piece->fd = fd;
    piece->offset = offset;
    piece->length = length;
    return HILUM_OK;
}

/* Sent without a copy; released when all has left, or never will, on whatever thread that is. */
static hilum_rc api_lend(hilum_http *http, const void *bytes, uint64_t n,
                         void (*release)(void *arg), void *arg)
{
    hilum_rc rc = writable(http);
    struct http_piece *piece = rc == HILUM_OK ? piece_add(http) : NULL;
    if (piece == NULL) {
        if (release != NULL)
            release(arg);
        return rc != HILUM_OK ? rc : no_memory(http);
    }
    piece->bytes = bytes;
    piece->length = n;
    piece->done = release;
    piece->arg = arg;
    return HILUM_OK;
}

/* Responses from memory have a length, as all of it is there when they end. */
static hilum_rc api_begin(hilum_http *http, uint32_t status, const char *media_type,
                          uint64_t length)
{
    (void)length; /* known when it ends */
    return http_response_begin(http, status, media_type);
}

static hilum_rc api_end(hilum_http *http)
{
    hilum_rc rc = writable(http);
    if (rc == HILUM_OK)
        http->is_ended = true;
    return rc;
}

static hilum_rc api_respond(hilum_http *http, uint32_t status, const char *media_type,
                            const void *bytes, uint64_t n)
{
    hilum_rc rc = http_response_begin(http, status, media_type);
    if (rc == HILUM_OK)
        rc = api_write(http, bytes, n);
    return rc == HILUM_OK ? api_end(http) : rc;
}

/* Whatever happens fd is closed, here or by the piece it became. */
static hilum_rc api_respond_fd(hilum_http *http, uint32_t status, const char *media_type,
                               int32_t fd, uint64_t offset, uint64_t length)
{
    hilum_rc rc = http_response_begin(http, status, media_type);
    if (rc != HILUM_OK) {
        close(fd);
        return rc;
    }
    rc = api_write_fd(http, fd, offset, length);
    return rc == HILUM_OK ? api_end(http) : rc;
}

/* ---- errors ---- */

/* EDENIED is 403: who has not signed in was told 401 before the route ran. */
static uint32_t status_of(hilum_rc rc)
{
    switch (rc) {
    case HILUM_EINVAL: return 400;
    case HILUM_EDENIED: return 403;
    case HILUM_ENOTFOUND: return 404;
    case HILUM_EEXISTS:
    case HILUM_ECONFLICT: return 409;
    case HILUM_EFULL: return 413;
    case HILUM_EUNSUP: return 501;
    case HILUM_EAGAIN:
    case HILUM_ENOMEM: return 503;
    case HILUM_ETIMEDOUT: return 504;
    default: return 500;
    }
}

/* RFC 9110's own words; a status without one here is told as a fault of ours. */
static const char *title_of(uint32_t status)
{
    switch (status) {
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 409: return "Conflict";
    case 413: return "Content Too Large";
    case 415: return "Unsupported Media Type";
    case 429: return "Too Many Requests";
    case HTTP_CLIENT_GONE: return "Client Closed Request";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    default: return "Internal Server Error";
    }
}

/* As a JSON text into out, cut where it does not fit. */
static void json_text(const char *text, char *out, size_t size)
{
    size_t at = 0;
    for (const unsigned char *p = (const unsigned char *)text; *p && at + 7 < size; p++) {
        if (*p == '"' || *p == '\\')
            at += (size_t)snprintf(out + at, size - at, "\\%c", *p);
        else if (*p < 0x20)
            at += (size_t)snprintf(out + at, size - at, "\\u%04x", *p);
        else
            out[at++] = (char)*p;
    }
    out[at] = '\0';
}

/* RFC 9457. */
hilum_rc http_problem(struct hilum_http *http, uint32_t status, hilum_rc rc, const char *detail)
{
    char body[2048], quoted[1500];
    if (status == 0)
        status = status_of(rc);
    json_text(detail != NULL ? detail : "", quoted, sizeof quoted);
    int n = snprintf(body, sizeof body,
                     "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%u,\"detail\":\"%s\","
                     "\"instance\":\"urn:trace:%s\"}\n",
                     title_of(status), status, quoted, http->trace);
    return api_respond(http, status, "application/problem+json", body, (uint64_t)n);
}

/* ---- later ---- */

/* The route may return; the exchange stays, counted as active, until resume or on_gone. */
static hilum_rc api_suspend(hilum_http *http, uint32_t deadline_ms, void (*on_gone)(void *arg),
                            void *arg)
{
    if (http->is_kept)
        return fail(http, HILUM_EINVAL, "the exchange is suspended already");
    pthread_mutex_lock(&http->lock);
    http->is_kept = true;
    http->kept_until_ms = http_now_ms() + deadline_ms;
    http->on_gone = on_gone;
    http->gone_arg = arg;
    pthread_mutex_unlock(&http->lock);
    return HILUM_OK;
}

/* Any thread, once. */
static void api_resume(hilum_http *http)
{
    pthread_mutex_lock(&http->lock);
    http->is_kept = false;
    http->on_gone = NULL;
    pthread_mutex_unlock(&http->lock);
    http_finish(http, http->is_begun ? HILUM_OK : HILUM_EINTERNAL);
}

const struct hilum_http_api http_api = {
    .size = sizeof http_api,
    .request = api_request,
    .param = api_param,
    .query = api_query,
    .query_at = api_query_at,
    .header = api_header,
    .read = api_read,
    .allow = api_allow,
    .add_header = http_header_add,
    .respond = api_respond,
    .respond_fd = api_respond_fd,
    .begin = api_begin,
    .write = api_write,
    .end = api_end,
    .write_fd = api_write_fd,
    .problem = http_problem,
    .suspend = api_suspend,
    .resume = api_resume,
    .lend = api_lend,
    .stream = http_stream,
    .respond_file = http_respond_file,
    .wake = http_stream_wake,
    .go_on = http_go_on,
};
