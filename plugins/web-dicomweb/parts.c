/* multipart/related (RFC 2387, PS3.18 8.6.1.2.1) as it leaves, a piece at a time.
 * SPDX-License-Identifier: Apache-2.0 */
#include "web.h"

#include <stdio.h>

/* The line between two parts, with the head of the second. */
static hilum_rc part_begin(struct web_parts *parts, const void **bytes, uint64_t *n)
{
    char type[WEB_TYPE_MAX] = "";
    hilum_rc rc = parts->begin(parts, type);
    if (rc < 0)
        return rc;
    const char *lead = parts->n_begun > 0 ? "\r\n" : "";
    parts->is_in_part = rc == 1;
    parts->is_over = rc == 0;
    parts->n_begun++;
    int length =
        rc == 1 ? snprintf(parts->text, sizeof parts->text, "%s--%s\r\nContent-Type: %s\r\n\r\n",
                           lead, parts->boundary, type)
                : snprintf(parts->text, sizeof parts->text, "%s--%s--\r\n", lead, parts->boundary);
    *bytes = parts->text;
    *n = (uint64_t)length;
    return HILUM_OK;
}

static hilum_rc parts_next(void *arg, const void **bytes, uint64_t *n)
{
    struct web_parts *parts = arg;
    *n = 0;
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
                     char whole[WEB_TYPE_MAX + 80], char head[WEB_TYPE_MAX + 80], char tail[64])
{
    head[0] = tail[0] = '\0';
    snprintf(whole, WEB_TYPE_MAX + 80, "%s", part_type);
    if (parts->is_single)
        return;
    snprintf(whole, WEB_TYPE_MAX + 80, "multipart/related; type=\"%s\"; boundary=%s", type,
             parts->boundary);
    snprintf(head, WEB_TYPE_MAX + 80, "--%s\r\nContent-Type: %s\r\n\r\n", parts->boundary,
             part_type);
    snprintf(tail, 64, "\r\n--%s--\r\n", parts->boundary);
}

static void parts_close(void *arg)
{
    struct web_parts *parts = arg;
    parts->free(parts);
}

hilum_rc web_parts_send(const struct web_call *call, uint32_t status, const char *type,
                        struct web_parts *parts)
{
    char whole[WEB_TYPE_MAX + 80], first[WEB_TYPE_MAX];
    hilum_rc rc = HILUM_OK;
    if (parts->is_single) {
        rc = parts->begin(parts, first);
        parts->is_in_part = true;
        snprintf(whole, sizeof whole, "%s", first);
    } else {
        snprintf(whole, sizeof whole, "multipart/related; type=\"%s\"; boundary=%s", type,
                 parts->boundary);
    }
    if (rc < 0) {
        parts->free(parts);
        return rc;
    }
    const struct hilum_http_source source = {
        .size = sizeof source, .next = parts_next, .close = parts_close, .arg = parts};
    return call->api->stream(call->http, status, whole, HILUM_LENGTH_UNKNOWN, &source);
}
