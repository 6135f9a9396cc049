/* Objects to a peer by STOW-RS (PS3.18 10.5): several a request, streamed from where they lie; what became of each is what
 * the answer says of it. SPDX-License-Identifier: Apache-2.0 */
#include "client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Upper bytes of a FailureReason (PS3.18 table I.2-1, PS3.4 B.2.3). */
enum { AT_ONCE_MAX = 64, OUT_OF_RESOURCES = 0xA7, NOT_MATCHING = 0xA9, NOT_UNDERSTOOD = 0xC };

/* A multipart body as curl takes it. objects stay open until the answer has come: they are
 * lent. Those that could not be opened are not among them. */
struct body {
    struct client *client;
    const hilum_principal *who;
    struct hilum_delivery *items; /* of those that are open */
    hilum_object *objects[AT_ONCE_MAX];
    char uids[AT_ONCE_MAX][65];
    size_t index[AT_ONCE_MAX]; /* of the delivery */
    size_t n, at;
    char boundary[33], line[WEB_LINE_MAX];
    const char *bytes;
    uint64_t left;
    bool is_in_object, is_over, is_broken;
    hilum_rc rc;
};

/* ---- the body ---- */

/* Before the first, between two and behind the last: the state of the body moves here only. */
static void line_give(struct body *body)
{
    bool is_last = body->at == body->n;
    body->left =
        web_multipart_line(body->boundary, body->at == 0, is_last ? NULL : WEB_DICOM, body->line);
    body->bytes = body->line;
    body->is_over = is_last;
    body->is_in_object = !is_last;
}

/* The next bytes; false: an object broke. */
static bool body_step(struct body *body)
{
    const void *bytes = NULL;
    if (!body->is_in_object) {
        line_give(body);
        return true;
    }
    body->rc = body->client->host->objects->next(body->objects[body->at], &bytes, &body->left);
    body->bytes = bytes;
    if (body->rc == HILUM_OK && body->left == 0) {
        body->at++;
        line_give(body);
    }
    return body->rc == HILUM_OK;
}

/* Called by curl as the peer takes bytes. 0: the end. */
static size_t body_read(char *out, size_t size, size_t n, void *arg)
{
    struct body *body = arg;
    size_t max = size * n, given = 0;
    while (given < max && (body->left > 0 || !body->is_over)) {
        if (body->left == 0 && !body_step(body)) {
            body->is_broken = true;
            return CURL_READFUNC_ABORT;
        }
        size_t take = body->left < max - given ? (size_t)body->left : max - given;
        memcpy(out + given, body->bytes, take);
        body->bytes += take;
        body->left -= take;
        given += take;
    }
    return given;
}

/* -1: some are made as they leave. Some servers take no chunked body: where all lengths are
 * known one is told. */
static curl_off_t body_length(struct body *body)
{
    uint64_t total = 0, length = 0;
    char line[WEB_LINE_MAX];
    for (size_t i = 0; i < body->n; i++) {
        if (body->client->host->objects->lends(body->objects[i], &length) != HILUM_OK)
            return -1;
        total += length + web_multipart_line(body->boundary, i == 0, WEB_DICOM, line);
    }
    return (curl_off_t)(total + web_multipart_line(body->boundary, body->n == 0, NULL, line));
}

/* ---- objects ---- */

static void item_fail(struct hilum_delivery *item, hilum_rc rc, bool is_permanent, const char *why)
{
    item->rc = rc;
    item->is_permanent = is_permanent;
    snprintf(item->detail, sizeof item->detail, "%s", why);
}

/* An object that has gone (deleted meanwhile) fails for good, alone; everything else may be
 * better next time. */
static void object_open(struct body *body, size_t i)
{
    const struct client *client = body->client;
    struct hilum_delivery *item = &body->items[i];
    struct hilum_object_names names = {.size = sizeof names};
    hilum_object *object = NULL;
    hilum_rc rc =
        client->host->objects->open(client->self, body->who, item->instance, item->as_of, &object);
    if (rc == HILUM_OK)
        rc = client->host->objects->names(object, &names);
    if (rc != HILUM_OK) {
        item_fail(item, rc, rc == HILUM_ENOTFOUND, client->host->reason(client->self));
        client->host->objects->close(object);
        return;
    }
    /* A wish that cannot be met: as stored. */
    if (item->transfer_syntax != NULL)
        (void)client->host->objects->convert(object, item->transfer_syntax);
    body->objects[body->n] = object;
    body->index[body->n] = i;
    snprintf(body->uids[body->n++], sizeof *body->uids, "%s", names.sop_instance);
}

/* A random boundary: no object can hold it on purpose. */
static bool body_open(struct client *client, const hilum_principal *who,
                      struct hilum_delivery *items, size_t n, struct body *body)
{
    unsigned char random[16];
    *body = (struct body){.client = client, .who = who, .items = items};
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return false;
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(body->boundary + 2 * i, 3, "%02x", random[i]);
    for (size_t i = 0; i < n; i++)
        object_open(body, i);
    return true;
}

static void body_close(struct body *body)
{
    for (size_t i = 0; i < body->n; i++)
        body->client->host->objects->close(body->objects[i]);
}

/* ---- the answer ---- */

/* The same meanings as C-STORE's (PS3.18 table I.2-1): what is worth another attempt? */
static bool is_final(unsigned reason)
{
    return reason >> 8 == NOT_MATCHING || reason >> 12 == NOT_UNDERSTOOD || reason == 0x0122 ||
           reason == 0x0124;
}

static bool is_final_status(long status)
{
    return status == 400 || status == 406 || status == 413 || status == 415;
}

/* What of the object itself is told goes before what the status of the whole says. */
static void item_answer(const struct request *request, struct hilum_delivery *item,
                        const char *sop_instance)
{
    unsigned reason = 0;
    int found = answer_find(request->answer, request->n_answer, sop_instance, &reason);
    bool is_good = request->status == 200 || request->status == 202;
    char why[192];
    if (found == ANSWER_STORED && is_good) {
        item->rc = HILUM_OK;
        snprintf(item->detail, sizeof item->detail, "STOW-RS, HTTP %ld", request->status);
    } else if (found == ANSWER_FAILED) {
        snprintf(why, sizeof why, "%s did not store it: FailureReason %04XH", request->peer->name,
                 reason);
        item_fail(item, HILUM_EIO, is_final(reason), why);
    } else if (is_good) {
        snprintf(why, sizeof why, "%s answers %ld but says nothing of the object",
                 request->peer->name, request->status);
        item_fail(item, HILUM_EIO, false, why);
    } else {
        request_explain(request, why, sizeof why);
        item_fail(item, HILUM_EIO, is_final_status(request->status), why);
    }
}

/* A server that refuses the whole for one bad object gets them one by one. */
static bool is_to_be_split(const struct request *request, const struct body *body)
{
    unsigned reason;
    return body->n > 1 && is_final_status(request->status) &&
           answer_find(request->answer, request->n_answer, body->uids[0], &reason) ==
               ANSWER_UNKNOWN;
}

/* ---- sending ---- */

/* The length is asked for here, when all objects are open: it is part of the head. */
static hilum_rc request_prepare(struct client *client, const struct hilum_destination *to,
                                struct body *body, struct request *request)
{
    char type[WEB_LINE_MAX], header[WEB_LINE_MAX + 16];
    hilum_rc rc = request_open(client, to, "/studies", request);
    if (rc != HILUM_OK)
        return rc;
    curl_off_t length = body_length(body);
    web_multipart_type(WEB_DICOM, body->boundary, type);
    snprintf(header, sizeof header, "Content-Type: %s", type);
    curl_easy_setopt(request->curl, CURLOPT_POST, 1L);
    curl_easy_setopt(request->curl, CURLOPT_READFUNCTION, body_read);
    curl_easy_setopt(request->curl, CURLOPT_READDATA, body);
    curl_easy_setopt(request->curl, CURLOPT_POSTFIELDSIZE_LARGE, length);
    bool is_set = request_header(request, header) &&
                  request_header(request, "Accept: application/dicom+json");
    if (is_set && length < 0)
        is_set = request_header(request, "Transfer-Encoding: chunked");
    if (is_set)
        return HILUM_OK;
    request_close(request);
    return HILUM_ENOMEM;
}

/* Which of them is at fault: the one that was being read when the body broke. The others are
 * tried again. */
static void broken(const struct client *client, struct body *body, hilum_rc rc)
{
    const char *why = client->host->reason(client->self);
    for (size_t i = 0; i < body->n; i++) {
        bool is_guilty = body->is_broken && i == body->at;
        item_fail(&body->items[body->index[i]], is_guilty ? body->rc : rc, false,
                  body->is_broken && !is_guilty ? "broken off by another object of the request"
                                                : why);
    }
}

/* At most AT_ONCE_MAX. An error: the peer was not reached. HILUM_EIO became each item's own;
 * only EAGAIN and no memory are of the call, and stop the rest. */
static hilum_rc send_some(struct client *client, const struct hilum_destination *to,
                          struct hilum_delivery *items, size_t n)
{
    struct body *body = calloc(1, sizeof *body);
    struct request request = {0};
    bool is_split = false;
    hilum_rc rc =
        body != NULL && body_open(client, to->who, items, n, body) ? HILUM_OK : HILUM_ENOMEM;
    if (rc == HILUM_OK && body->n > 0) {
        rc = request_prepare(client, to, body, &request);
        if (rc == HILUM_OK)
            rc = request_run(&request);
        is_split = rc == HILUM_OK && is_to_be_split(&request, body);
        for (size_t i = 0; rc == HILUM_OK && !is_split && i < body->n; i++)
            item_answer(&request, &items[body->index[i]], body->uids[i]);
        if (rc == HILUM_EIO) {
            broken(client, body, rc);
            rc = HILUM_OK;
        }
    }
    if (body != NULL)
        body_close(body);
    free(body);
    if (request.curl != NULL)
        request_close(&request);
    for (size_t i = 0; is_split && rc == HILUM_OK && i < n; i++)
        rc = send_some(client, to, &items[i], 1);
    return rc;
}

/* Every item has a verdict before the first is tried, so that one forgotten is a failure. */
hilum_rc client_send(void *self, const struct hilum_destination *to, struct hilum_delivery *items,
                     uint32_t n)
{
    struct client *client = self;
    size_t step = (size_t)client->conf->at_once;
    hilum_rc rc = HILUM_OK;
    for (size_t i = 0; i < n; i++)
        item_fail(&items[i], HILUM_EIO, false, "not tried");
    for (size_t i = 0; rc == HILUM_OK && i < n; i += step)
        rc = send_some(client, to, items + i, n - i < step ? n - i : step);
    if (rc != HILUM_OK && n > 0 && items[0].rc == HILUM_OK)
        rc = HILUM_OK; /* some are there: the others are tried again one by one */
    return rc;
}
