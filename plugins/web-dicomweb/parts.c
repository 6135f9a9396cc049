/* multipart/related (RFC 2387, PS3.18 8.6.1.2.1) as it leaves, a piece at a time.
 * SPDX-License-Identifier: Apache-2.0 */
#include "web.h"

#include <stdio.h>

/* So many parts are measured before an answer begins, whether a range is asked for or not: each is begun for it, which opens
 * an object. */
enum { MEASURED = 64 };

/* The line between two parts, with the head of the second. The line's text lies in the parts:
 * what next() returns is borrowed until the next call. */
static hilum_rc part_begin(struct web_parts *parts, const void **bytes, uint64_t *n)
{
    char type[WEB_TYPE_MAX] = "";
    hilum_rc rc = parts->begin(parts, type);
    if (rc < 0)
        return rc;
    parts->is_in_part = rc == 1;
    parts->is_over = rc == 0;
    *n = web_multipart_line(parts->boundary, parts->n_begun++ == 0, rc == 1 ? type : NULL,
                            parts->text);
    *bytes = parts->text;
    return HILUM_OK;
}

/* One call, one piece: a line, or what the transaction's read() has. A part of no bytes is no
 * end: the next line follows in the same call, since *n 0 would end the body. */
static hilum_rc parts_next(void *arg, const void **bytes, uint64_t *n)
{
    struct web_parts *parts = arg;
    *n = 0;
    if (parts->rest != NULL) {
        *bytes = parts->rest;
        *n = strlen(parts->rest);
        parts->rest = NULL;
        return HILUM_OK;
    }
    if (parts->is_over)
        return HILUM_OK;
    if (parts->is_in_part) {
        hilum_rc rc = parts->read(parts, bytes, n);
        if (rc != HILUM_OK || *n > 0)
            return rc;
        parts->is_in_part = false;
        parts->is_over = parts->is_single;
        if (parts->is_single)
            return HILUM_OK;
    }
    return part_begin(parts, bytes, n);
}

void web_parts_texts(struct web_parts *parts, const char *type, const char *part_type,
                     char whole[WEB_LINE_MAX], char head[WEB_LINE_MAX], char tail[WEB_LINE_MAX])
{
    head[0] = tail[0] = '\0';
    snprintf(whole, WEB_LINE_MAX, "%s", part_type);
    if (parts->is_single)
        return;
    web_multipart_type(type, parts->boundary, whole);
    (void)web_multipart_line(parts->boundary, true, part_type, head);
    (void)web_multipart_line(parts->boundary, false, NULL, tail);
}

static void parts_close(void *arg)
{
    struct web_parts *parts = arg;
    parts->free(parts);
}

/* ---- ranges ---- */

static void parts_rewind(struct web_parts *parts)
{
    parts->rewind(parts);
    parts->n_begun = 0;
    parts->is_in_part = parts->is_over = false;
}

/* Bytes of the whole body: lines and parts. HILUM_LENGTH_UNKNOWN: one cannot be told, or cannot be had, which is said when
 * it is its turn. */
static uint64_t parts_measure(struct web_parts *parts)
{
    const void *line = NULL;
    uint64_t total = 0, n = 0;
    hilum_rc rc = HILUM_OK;
    while (rc == HILUM_OK && !parts->is_over) {
        rc = part_begin(parts, &line, &n);
        total += n;
        if (rc == HILUM_OK && parts->is_in_part) {
            rc = parts->length(parts, &n);
            total += n;
        }
    }
    parts_rewind(parts);
    return rc == HILUM_OK ? total : HILUM_LENGTH_UNKNOWN;
}

/* Before the first next(). Parts before that byte are begun and left; a single one is begun already. */
static hilum_rc parts_seek(void *arg, uint64_t at)
{
    struct web_parts *parts = arg;
    const void *line = NULL;
    uint64_t n = 0;
    hilum_rc rc = HILUM_OK;
    if (parts->is_single)
        return parts->skip(parts, at);
    while (rc == HILUM_OK && at > 0 && !parts->is_over) {
        rc = part_begin(parts, &line, &n);
        if (rc == HILUM_OK && at < n) {
            parts->rest = parts->text + at;
            return rc;
        }
        at -= n;
        if (rc == HILUM_OK && parts->is_in_part)
            rc = parts->length(parts, &n);
        if (rc == HILUM_OK && parts->is_in_part && at < n)
            return parts->skip(parts, at);
        at -= parts->is_in_part ? n : 0;
        parts->is_in_part = false; /* its last byte is before */
    }
    return rc;
}

/* ---- the answer ---- */

/* Of a body with many parts nobody tells the length but to who asks for a range of it. */
static uint64_t length_of(const struct web_call *call, struct web_parts *parts)
{
    uint64_t n = HILUM_LENGTH_UNKNOWN;
    if (parts->length == NULL)
        return n;
    if (parts->is_single)
        return parts->length(parts, &n) == HILUM_OK ? n : HILUM_LENGTH_UNKNOWN;
    bool is_asked = call->api->header(call->http, "Range") != NULL;
    return parts->n_parts <= MEASURED || is_asked ? parts_measure(parts) : n;
}

/* A single part is begun here: its media type belongs into the head of the answer, and an
 * error is an answer still. Of several, the first is begun by the stream's first next(),
 * before which http sends no byte either. */
hilum_rc web_parts_send(const struct web_call *call, uint32_t status, const char *type,
                        struct web_parts *parts)
{
    char whole[WEB_LINE_MAX], first[WEB_TYPE_MAX] = "";
    hilum_rc rc = HILUM_OK;
    if (parts->is_single) {
        rc = parts->begin(parts, first);
        parts->is_in_part = true;
        snprintf(whole, sizeof whole, "%s", first);
    } else {
        web_multipart_type(type, parts->boundary, whole);
    }
    if (rc < 0) {
        parts->free(parts);
        return rc;
    }
    uint64_t length = length_of(call, parts);
    bool is_known = length != HILUM_LENGTH_UNKNOWN ||
                    (parts->length != NULL && !parts->is_single && parts->n_parts > MEASURED);
    const struct hilum_http_source source = {.size = sizeof source,
                                             .next = parts_next,
                                             .close = parts_close,
                                             .arg = parts,
                                             .seek = is_known ? parts_seek : NULL};
    return call->api->stream(call->http, status, whole, length, &source);
}
