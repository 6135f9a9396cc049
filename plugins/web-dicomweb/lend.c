/* A whole answer from where its objects lie: opened and digested first, then sent by the kernel without a copy, with its
 * length known. What is too much for that, or made as it leaves, streams (parts.c).
 *
 * What is lent stays open until http says that it has left (lent_free, by whichever thread was
 * last at it), not until the handler returns: a client that reads slowly holds mappings, never
 * a thread. That is what the limits bound.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "web.h"

#include <stdio.h>
#include <stdlib.h>

/* Of one answer: each object is a mapping, and the client waits for the first byte until all
 * were read. Of all answers: a process has some 65,000 mappings. 65,530 is vm.max_map_count as
 * Linux has it; store-fs and SQLite need theirs. An object may be more than one mapping. */
enum { OBJECTS_MAX = 1024, BYTES_MAX = 256 * 1024 * 1024, TOTAL_MAX = 8192 };

/* reserved: what was counted for it in n_lent; n: how many are open. */
struct lent {
    struct web *web;
    size_t n, reserved;
    hilum_object *objects[];
};

static void lent_free(void *arg)
{
    struct lent *lent = arg;
    for (size_t i = 0; i < lent->n; i++)
        lent->web->host->objects->close(lent->objects[i]);
    atomic_fetch_sub(&lent->web->n_lent, lent->reserved);
    free(lent);
}

/* Counted first, then judged, and given back where it was too much: two requests at once
 * cannot both take the last. */
static struct lent *lent_new(struct web *web, size_t n)
{
    struct lent *lent =
        n <= OBJECTS_MAX ? calloc(1, sizeof *lent + n * sizeof *lent->objects) : NULL;
    if (lent == NULL)
        return NULL;
    lent->web = web;
    lent->reserved = n;
    if (atomic_fetch_add(&web->n_lent, n) + n <= TOTAL_MAX)
        return lent;
    lent_free(lent);
    return NULL;
}

/* HILUM_EUNSUP: one of them does not lie still. lends() has the object read from the disk and
 * its digest checked: an error still is an answer here, once it is begun it could only cut the
 * connection. */
static hilum_rc open_all(const struct web_call *call, const struct web_list *list,
                         struct lent *lent)
{
    const struct hilum_object_api *objects = lent->web->host->objects;
    uint64_t total = 0, length = 0;
    hilum_rc rc = HILUM_OK;
    for (size_t i = 0; rc == HILUM_OK && i < list->n; i++) {
        rc = objects->open(lent->web->self, call->api->request(call->http)->who,
                           list->items[i].instance, list->as_of, &lent->objects[i]);
        if (rc != HILUM_OK)
            return rc;
        lent->n = i + 1;
        rc = objects->lends(lent->objects[i], &length);
        total += length;
        if (rc == HILUM_OK && total > BYTES_MAX)
            rc = HILUM_EUNSUP;
    }
    return rc;
}

/* The line before a part, with its head; NULL: behind the last one. */
static hilum_rc line_write(const struct web_call *call, const char *boundary, const char *syntax,
                           size_t i)
{
    char type[WEB_TYPE_MAX], text[WEB_LINE_MAX];
    if (syntax != NULL)
        snprintf(type, sizeof type, WEB_DICOM "; transfer-syntax=%s", syntax);
    size_t n = web_multipart_line(boundary, i == 0, syntax != NULL ? type : NULL, text);
    return call->api->write(call->http, text, n);
}

/* The first piece lent carries all objects: they are closed when the answer has left. http
 * lets all pieces of an answer go together, so that one of them with a `done` is enough. */
static hilum_rc object_lend(const struct web_call *call, struct lent *lent, size_t i, bool *is_kept)
{
    const struct hilum_object_api *objects = lent->web->host->objects;
    const void *bytes = NULL;
    uint64_t n = 1;
    hilum_rc rc = HILUM_OK;
    while (rc == HILUM_OK && n > 0) {
        rc = objects->next(lent->objects[i], &bytes, &n);
        if (rc != HILUM_OK || n == 0)
            break;
        rc = call->api->lend(call->http, bytes, n, *is_kept ? NULL : lent_free, lent);
        *is_kept = true;
    }
    return rc;
}

/* From the first lend() on, lent is http's, also where a later call fails: it must not be
 * freed here then. */
static hilum_rc all_lend(const struct web_call *call, const struct web_list *list,
                         struct lent *lent, const char *boundary)
{
    bool is_kept = false;
    hilum_rc rc = HILUM_OK;
    for (size_t i = 0; rc == HILUM_OK && i < list->n; i++) {
        if (boundary != NULL)
            rc = line_write(call, boundary, list->syntaxes[list->items[i].syntax], i);
        if (rc == HILUM_OK)
            rc = object_lend(call, lent, i, &is_kept);
    }
    if (rc == HILUM_OK && boundary != NULL)
        rc = line_write(call, boundary, NULL, list->n);
    if (rc == HILUM_OK)
        rc = call->api->end(call->http);
    if (!is_kept)
        lent_free(lent);
    return rc;
}

/* HILUM_EUNSUP is the caller's sign to stream: nothing has been told to the client yet. */
hilum_rc web_lend(const struct web_call *call, uint32_t status, const struct web_list *list,
                  const char *boundary)
{
    char type[WEB_LINE_MAX];
    struct lent *lent = lent_new(call->web, list->n);
    if (lent == NULL)
        return HILUM_EUNSUP;
    hilum_rc rc = open_all(call, list, lent);
    if (boundary != NULL)
        web_multipart_type(WEB_DICOM, boundary, type);
    else
        snprintf(type, sizeof type, WEB_DICOM "; transfer-syntax=%s",
                 list->syntaxes[list->items[0].syntax]);
    if (rc == HILUM_OK)
        rc = call->api->begin(call->http, status, type, HILUM_LENGTH_UNKNOWN);
    if (rc == HILUM_OK)
        return all_lend(call, list, lent, boundary);
    lent_free(lent);
    return rc;
}
