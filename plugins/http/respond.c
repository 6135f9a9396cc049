/* What a route gave becomes a response of the library: conditions, ranges, compression, files mapped or sent by the
 * kernel, none of it copied. On a worker's thread.
 *
 * Never compressed: files, ranges of them, images (smaller already), and what is streamed.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

/* Below a KiB it is one packet either way. PAGE: a multiple of every page size in use. */
enum { COMPRESS_MIN = 1024, PAGE = 0x10000 };

/* Pieces on their way: outlive the request where the library still sends them. */
struct body {
    struct http_piece *pieces;
    unsigned n_pieces;
    struct MHD_IoVec *vectors;
    unsigned n_vectors;
    struct map {
        void *at;
        size_t n;
    } * maps;
    unsigned n_maps;
};

/* Each piece is released once, whether it left or not. */
static void pieces_free(struct http_piece *pieces, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct http_piece *piece = &pieces[i];
        if (piece->fd >= 0)
            close(piece->fd);
        if (piece->release != NULL)
            piece->release(piece->arg, (void *)(uintptr_t)piece->bytes);
        if (piece->done != NULL)
            piece->done(piece->arg);
    }
    free(pieces);
}

/* For an answer that will not be sent: the exchange may begin another one. */
void http_pieces_drop(struct hilum_http *request)
{
    http_stream_drop(request);
    pieces_free(request->pieces, request->n_pieces);
    request->pieces = NULL;
    request->n_pieces = request->cap_pieces = 0;
    request->open_piece = 0;
    request->total = request->copied = 0;
}

/* Called by MHD when the last byte has left or the client has: on a loop's thread. */
static void body_free(void *arg)
{
    struct body *body = arg;
    for (unsigned i = 0; i < body->n_maps; i++)
        munmap(body->maps[i].at, body->maps[i].n);
    pieces_free(body->pieces, body->n_pieces);
    free(body->maps);
    free(body->vectors);
    free(body);
}

/* ---- headers ---- */

static const char *header_given(const struct hilum_http *request, const char *name)
{
    for (const struct http_header *h = request->headers; h != NULL; h = h->next)
        if (strcasecmp(h->name, name) == 0)
            return h->value;
    return NULL;
}

static void put(struct hilum_http *request, const char *name, const char *value)
{
    MHD_add_response_header(request->response, name, value);
}

/* One origin of the list, or "*" for all: without credentials then, as browsers demand. With a
 * list the one origin is named, and Vary says that the answer depends on it. */
static void cors_add(struct hilum_http *request)
{
    const char *origin = http_shown(request, "Origin"), *list = request->server->conf->cors;
    if (origin == NULL || list == NULL || *list == '\0')
        return;
    size_t n = strlen(origin);
    put(request, "Vary", "Origin");
    for (const char *p = list; *p != '\0'; p += strspn(p, ", ")) {
        size_t length = strcspn(p, ", ");
        bool is_any = length == 1 && *p == '*';
        if (is_any || (length == n && strncmp(p, origin, n) == 0)) {
            put(request, "Access-Control-Allow-Origin", is_any ? "*" : origin);
            if (!is_any)
                put(request, "Access-Control-Allow-Credentials", "true");
            put(request, "Access-Control-Expose-Headers",
                "Accept-Ranges, Content-Location, Content-Range, ETag, Location, Warning, "
                "X-Total-Count");
            return;
        }
        p += length;
    }
}

static bool is_page(const char *media_type)
{
    return media_type != NULL && strncasecmp(media_type, "text/html", 9) == 0;
}

/* A page may use what is ours and nothing else, and be in nobody's frame; what is no page does
 * nothing at all. A page's own Content-Security-Policy and Cache-Control stand. "no-store" by
 * default: answers hold patients' data, and a shared computer's disk is no place for them;
 * with an ETag "no-cache" lets the browser keep it and ask. */
static void headers_add(struct hilum_http *request)
{
    for (const struct http_header *h = request->headers; h != NULL; h = h->next)
        put(request, h->name, h->value);
    if (request->media_type != NULL)
        put(request, MHD_HTTP_HEADER_CONTENT_TYPE, request->media_type);
    if (header_given(request, "Cache-Control") == NULL)
        put(request, MHD_HTTP_HEADER_CACHE_CONTROL,
            header_given(request, "ETag") != NULL ? "private, no-cache" : "no-store");
    put(request, "X-Content-Type-Options", "nosniff");
    put(request, "Referrer-Policy", "no-referrer");
    put(request, "Cross-Origin-Opener-Policy", "same-origin");
    if (request->is_tls)
        put(request, "Strict-Transport-Security", "max-age=31536000");
    if (header_given(request, "Content-Security-Policy") == NULL)
        put(request, "Content-Security-Policy",
            is_page(request->media_type)
                ? "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
                : "default-src 'none'; frame-ancestors 'none'");
    put(request, "X-Request-Id", request->trace);
    cors_add(request);
}

/* ---- compression ---- */

/* Texts of ours only: pictures and DICOM objects are dense already, and compressing them would
 * cost their ranges. */
static bool is_compressible(const char *media_type)
{
    static const char *const types[] = {"application/dicom+json",
                                        "application/json",
                                        "application/problem+json",
                                        "text/",
                                        "image/svg+xml",
                                        "application/javascript",
                                        "application/dicom+xml",
                                        "application/xml"};
    for (size_t i = 0; media_type != NULL && i < sizeof types / sizeof *types; i++)
        if (strncasecmp(media_type, types[i], strlen(types[i])) == 0)
            return true;
    return false;
}

/* "zstd", "gzip" or NULL. zstd where both are as welcome: it is the quicker one. */
static const char *coding_chosen(const struct hilum_http *request)
{
    const char *accepted = http_shown(request, "Accept-Encoding");
    int zstd = accepted != NULL ? http_accepts_coding(accepted, "zstd") : 0;
    int gzip = accepted != NULL ? http_accepts_coding(accepted, "gzip") : 0;
    if (zstd == 0 && gzip == 0)
        return NULL;
    return zstd >= gzip ? "zstd" : "gzip";
}

/* Compressed it is another representation, of the same meaning. */
static void etag_weaken(struct hilum_http *request)
{
    char weak[128];
    for (struct http_header *h = request->headers; h != NULL; h = h->next)
        if (strcasecmp(h->name, "ETag") == 0 && h->value[0] == '"') {
            snprintf(weak, sizeof weak, "W/%s", h->value);
            char *kept = http_arena_text(&request->arena, weak, strlen(weak));
            h->value = kept != NULL ? kept : h->value;
        }
}

/* Only what is one piece of memory: joining several would cost more than it saves. */
static void compress_try(struct hilum_http *request)
{
    struct http_piece *piece = request->pieces;
    if (request->n_pieces != 1 || piece->bytes == NULL || piece->length < COMPRESS_MIN ||
        !is_compressible(request->media_type) || header_given(request, "Content-Encoding") != NULL)
        return;
    http_header_add(request, "Vary", "Accept-Encoding");
    const char *coding = coding_chosen(request);
    size_t n = 0;
    void *small =
        coding != NULL ? http_compress(coding, piece->bytes, (size_t)piece->length, &n) : NULL;
    if (small == NULL)
        return;
    pieces_free(request->pieces, 1);
    request->pieces = NULL;
    request->n_pieces = request->cap_pieces = 0;
    request->is_ended = false;
    request->copied = 0;
    request->open_piece = 0;
    if (http_api.write(request, small, n) == HILUM_OK)
        http_header_add(request, "Content-Encoding", coding);
    etag_weaken(request);
    request->is_ended = true;
    free(small);
}

/* ---- conditions and ranges ---- */

/* RFC 9110 13.1.2; the route has done its work, but nothing is sent. */
static bool is_not_modified(struct hilum_http *request)
{
    const char *etag = header_given(request, "ETag");
    const char *shown = http_shown(request, "If-None-Match");
    return etag != NULL && shown != NULL && request->status == 200 &&
           http_etag_matches(shown, etag);
}

/* Cuts the pieces to [first, first + length). */
static void pieces_slice(struct hilum_http *request, uint64_t first, uint64_t length)
{
    for (unsigned i = 0; i < request->n_pieces; i++) {
        struct http_piece *piece = &request->pieces[i];
        uint64_t skip = first < piece->length ? first : piece->length;
        uint64_t take = piece->length - skip < length ? piece->length - skip : length;
        first -= skip;
        length -= take;
        piece->skip = skip;
        piece->length = take;
    }
}

/* 1: that is asked for; 0: all of it; -1: nothing that there is. If-Range is compared strongly, as RFC 9110 13.1.5 asks. */
static int range_asked(const struct hilum_http *request, uint64_t *first, uint64_t *length)
{
    const char *shown = http_shown(request, "Range"), *condition = http_shown(request, "If-Range");
    if (shown == NULL ||
        (condition != NULL && strcmp(condition, header_given(request, "ETag")) != 0))
        return 0;
    return http_range(shown, request->total, first, length);
}

/* The head of an answer with that much of the body. verdict: of range_asked, not 0. */
static void range_tell(struct hilum_http *request, int verdict, uint64_t first, uint64_t length)
{
    char text[96];
    if (verdict < 0)
        snprintf(text, sizeof text, "bytes */%llu", (unsigned long long)request->total);
    else
        snprintf(text, sizeof text, "bytes %llu-%llu/%llu", (unsigned long long)first,
                 (unsigned long long)(first + length - 1), (unsigned long long)request->total);
    request->total = verdict < 0 ? 0 : length;
    request->status = verdict < 0 ? MHD_HTTP_RANGE_NOT_SATISFIABLE : MHD_HTTP_PARTIAL_CONTENT;
    http_header_add(request, "Content-Range", text);
}

/* Only with an ETag, so that parts of two versions are never put together (RFC 9110 14.2). */
static bool may_range(const struct hilum_http *request)
{
    return request->status == 200 && header_given(request, "ETag") != NULL;
}

static void range_apply(struct hilum_http *request)
{
    uint64_t first = 0, length = 0;
    if (!may_range(request) || request->has_source)
        return;
    http_header_add(request, "Accept-Ranges", "bytes");
    int verdict = range_asked(request, &first, &length);
    if (verdict == 0)
        return;
    range_tell(request, verdict, first, length);
    pieces_slice(request, first, verdict < 0 ? 0 : length);
}

/* Who cannot seek says so: a client then asks for all of it at once. A length that nobody has told is none to cut, but
 * may be told to who asks for a range. */
hilum_rc http_range_stream(struct hilum_http *request)
{
    uint64_t first = 0, length = 0;
    hilum_rc rc = HILUM_OK;
    if (!may_range(request))
        return rc;
    http_header_add(request, "Accept-Ranges", request->source.seek != NULL ? "bytes" : "none");
    int verdict = request->source.seek != NULL && request->total != HILUM_LENGTH_UNKNOWN
                      ? range_asked(request, &first, &length)
                      : 0;
    if (verdict > 0)
        rc = request->source.seek(request->source.arg, first);
    if (verdict == 0 || rc != HILUM_OK)
        return rc;
    range_tell(request, verdict, first, length);
    request->source_left = length;
    if (verdict < 0)
        http_stream_drop(request);
    return rc;
}

/* ---- bodies ---- */

/* From the page it begins in: mmap knows no other offsets. */
static bool map_piece(struct body *body, const struct http_piece *piece, const void **bytes)
{
    uint64_t from = piece->offset + piece->skip, start = from & ~(uint64_t)(PAGE - 1);
    size_t n = (size_t)(from - start + piece->length);
    void *at = mmap(NULL, n, PROT_READ, MAP_SHARED, piece->fd, (off_t)start);
    if (at == MAP_FAILED)
        return false;
    body->maps[body->n_maps++] = (struct map){at, n};
    *bytes = (const char *)at + (from - start);
    return true;
}

/* A piece of a file is mapped: MHD sends vectors of memory only. What is empty is left out,
 * since a vector of nothing ends its loop. */
static bool vectors_fill(struct body *body)
{
    body->vectors = calloc(body->n_pieces + 1, sizeof *body->vectors);
    body->maps = calloc(body->n_pieces + 1, sizeof *body->maps);
    if (body->vectors == NULL || body->maps == NULL)
        return false;
    for (unsigned i = 0; i < body->n_pieces; i++) {
        const struct http_piece *piece = &body->pieces[i];
        const void *bytes = piece->bytes != NULL ? (const char *)piece->bytes + piece->skip : NULL;
        if (piece->length == 0)
            continue;
        if (bytes == NULL && !map_piece(body, piece, &bytes))
            return false;
        body->vectors[body->n_vectors++] = (struct MHD_IoVec){bytes, (size_t)piece->length};
    }
    return true;
}

/* One piece leaves in one call with the head of the answer, which goes alone before several: a packet and a client that wakes
 * for nothing else. */
static struct MHD_Response *vectors_respond(struct body *body)
{
    if (body->n_vectors == 1)
        return MHD_create_response_from_buffer_with_free_callback_cls(
            body->vectors->iov_len, (void *)(uintptr_t)body->vectors->iov_base, body_free, body);
    return MHD_create_response_from_iovec(body->vectors, body->n_vectors, body_free, body);
}

/* The pieces become the response's own. NULL: no memory; they stay the request's. Memory and
 * maps in one writev: the library sends them as they lie. */
static struct MHD_Response *pieces_respond(struct hilum_http *request)
{
    struct body *body = calloc(1, sizeof *body);
    if (body == NULL)
        return NULL;
    body->pieces = request->pieces;
    body->n_pieces = request->n_pieces;
    struct MHD_Response *response = vectors_fill(body) ? vectors_respond(body) : NULL;
    if (response == NULL) {
        for (unsigned i = 0; i < body->n_maps; i++)
            munmap(body->maps[i].at, body->maps[i].n);
        free(body->maps);
        free(body->vectors);
        free(body);
        return NULL;
    }
    request->pieces = NULL;
    request->n_pieces = request->cap_pieces = 0;
    return response;
}

/* One file, nothing else: sendfile(), where there is no TLS. */
static struct MHD_Response *file_respond(struct hilum_http *request)
{
    struct http_piece *piece = request->pieces;
    struct MHD_Response *response = MHD_create_response_from_fd_at_offset64(
        piece->length, piece->fd, piece->offset + piece->skip);
    if (response != NULL)
        piece->fd = -1;
    return response;
}

static struct MHD_Response *empty_respond(void)
{
    return MHD_create_response_from_buffer(0, (void *)(uintptr_t) "", MHD_RESPMEM_PERSISTENT);
}

static struct MHD_Response *body_respond(struct hilum_http *request)
{
    if (request->has_source)
        return http_stream_respond(request);
    if (request->total == 0)
        return empty_respond();
    if (request->n_pieces == 1 && request->pieces[0].bytes == NULL)
        return file_respond(request);
    return pieces_respond(request);
}

static uint64_t pieces_total(const struct hilum_http *request)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < request->n_pieces; i++)
        total += request->pieces[i].length;
    return total;
}

/* The order matters: what has not changed is not compressed, and a range is of what is really
 * sent. */
void http_build(struct hilum_http *request)
{
    if (is_not_modified(request)) {
        http_pieces_drop(request);
        request->status = MHD_HTTP_NOT_MODIFIED;
    } else {
        compress_try(request);
        if (!request->has_source)
            request->total = pieces_total(request);
        range_apply(request);
    }
    request->response = body_respond(request);
    if (request->response == NULL) {
        request->status = MHD_HTTP_INTERNAL_SERVER_ERROR;
        request->response = empty_respond();
    }
    if (request->response != NULL)
        headers_add(request);
}
