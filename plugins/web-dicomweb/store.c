/* STOW-RS (PS3.18 10.5): objects of a request go into the store one after the other, as they come. Each is answered
 * for by what the kernel says of it, as in C-STORE.
 *
 * Bytes go from the socket through the window of the multipart reader into the intake, 128 KiB at
 * a time: an object of gigabytes needs no more memory than a small one. An object is durable when
 * intake_end() has told its status, and the answer, which lists all, is sent only then: what a
 * client reads as stored is stored.
 *
 * What goes wrong with one object is told of that object, and the others go on; what goes
 * wrong with the request (no boundary, an end in the middle) is 400 unless something was
 * stored already, for then the client has to hear of it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "web.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* Failure reasons are statuses of C-STORE (PS3.4 B.2.3): C000 cannot understand, A700 out of
 * resources. */
enum { PARTS_MAX = 100000, NOT_UNDERSTOOD = 0xC000, OUT_OF_RESOURCES = 0xA700 };

struct store {
    const struct web_call *call;
    const char *study; /* of the path; NULL: any */
    hilum_intake *intake;
    uint64_t n_parts;
    struct web_outcome outcome;
    struct web_multipart body;
};

/* ---- one object ---- */

/* As the user of the exchange: rules see who it was, from where and by which way. study: the
 * intake refuses objects of another one. */
hilum_rc web_intake_begin(const struct web_call *call, const char *study, hilum_intake **out)
{
    const struct hilum_http_request *request = call->api->request(call->http);
    const struct hilum_intake_source source = {.size = sizeof source,
                                               .kind = "STOW-RS",
                                               .user = request->user,
                                               .address = request->remote,
                                               .study_uid = study};
    return call->web->host->objects->receive(call->web->self, request->who, &source, out);
}

static hilum_rc object_begin(struct store *store)
{
    return web_intake_begin(store->call, store->study, &store->intake);
}

/* Of a part that is no DICOM object there is no intake: its bytes go nowhere, its failure was
 * noted at its beginning. */
static hilum_rc object_data(struct store *store, const void *bytes, size_t n)
{
    return store->intake != NULL
               ? store->call->web->host->objects->intake_write(store->intake, bytes, n)
               : HILUM_OK;
}

/* Where it can be had. */
static void url_of(const struct web_call *call, const struct hilum_intake_result *result, char *out,
                   size_t size)
{
    *out = '\0';
    if (result->series_uid[0] != '\0')
        snprintf(out, size, "%.300s" WEB_ROOT "/studies/%s/series/%s/instances/%s",
                 call->api->request(call->http)->base_url, result->study_uid, result->series_uid,
                 result->sop_instance);
}

hilum_rc web_intake_tell(const struct web_call *call, struct web_outcome *outcome,
                         const struct hilum_intake_result *result)
{
    char url[640];
    url_of(call, result, url, sizeof url);
    return web_outcome_add(outcome, url, result);
}

/* The only place that waits for the disk: intake_end() returns when the object is durable, or
 * refused. */
static hilum_rc object_end(struct store *store)
{
    const struct hilum_object_api *objects = store->call->web->host->objects;
    struct hilum_intake_result result = {.size = sizeof result};
    if (store->intake == NULL)
        return HILUM_OK;
    objects->intake_end(store->intake, &result);
    hilum_rc rc = web_intake_tell(store->call, &store->outcome, &result);
    objects->intake_close(store->intake);
    store->intake = NULL;
    return rc;
}

/* ---- parts ---- */

/* A part without a Content-Type is taken for DICOM: clients forget it, and the intake tells
 * soon enough. */
static hilum_rc part_begin(void *arg, const struct web_part_head *head)
{
    struct store *store = arg;
    if (++store->n_parts > PARTS_MAX)
        return store->call->web->host->fail(store->call->web->self, HILUM_EFULL,
                                            "over 100000 objects in a request");
    if (head->type[0] == '\0' || strcmp(head->type, WEB_DICOM) == 0)
        return object_begin(store);
    return web_outcome_add_other(&store->outcome, NOT_UNDERSTOOD);
}

static hilum_rc part_data(void *arg, const void *bytes, size_t n)
{
    return object_data(arg, bytes, n);
}

static hilum_rc part_end(void *arg)
{
    return object_end(arg);
}

/* ---- the body ---- */

/* read() blocks for the client's next bytes, at most as long as http has patience with a slow
 * one. */
static hilum_rc read_parts(struct store *store)
{
    const struct web_call *call = store->call;
    hilum_rc rc = HILUM_OK;
    uint64_t got = 1;
    while (rc == HILUM_OK && got > 0) {
        size_t n = 0;
        char *room = web_multipart_room(&store->body, &n);
        rc = call->api->read(call->http, room, n, &got);
        if (rc == HILUM_OK && got > 0)
            rc = web_multipart_put(&store->body, (size_t)got);
    }
    return rc;
}

/* One file as the whole body: what curl --data-binary sends. */
static hilum_rc read_one(struct store *store)
{
    const struct web_call *call = store->call;
    hilum_rc rc = object_begin(store);
    uint64_t got = 1;
    while (rc == HILUM_OK && got > 0) {
        rc = call->api->read(call->http, store->body.window, sizeof store->body.window, &got);
        if (rc == HILUM_OK && got > 0)
            rc = object_data(store, store->body.window, (size_t)got);
    }
    return rc == HILUM_OK ? object_end(store) : rc;
}

/* What ended in the middle is not kept, and the client hears of what was. ECLOSED: nobody is
 * there to answer. ENOMEM, EDENIED: of the server or the user, and would be the same for every
 * object. Whatever was stored stays stored. */
static hilum_rc finish(struct store *store, hilum_rc rc, bool is_whole)
{
    const struct web_call *call = store->call;
    if (rc == HILUM_ECLOSED || rc == HILUM_ENOMEM || rc == HILUM_EDENIED)
        return rc;
    if (rc == HILUM_OK && is_whole && store->n_parts > 0)
        return web_outcome_send(call, &store->outcome);
    if (store->outcome.n_stored == 0 && rc == HILUM_EFULL)
        return rc;
    if (store->outcome.n_stored == 0)
        return web_refuse(call, 400,
                          "the body is no multipart/related of application/dicom parts, or ends "
                          "before its last delimiter");
    rc = web_outcome_add_other(&store->outcome,
                               rc == HILUM_EFULL ? OUT_OF_RESOURCES : NOT_UNDERSTOOD);
    return rc == HILUM_OK ? web_outcome_send(call, &store->outcome) : rc;
}

/* The intake of an object cut off in the middle is closed by web_store: nothing of it is kept. */
static hilum_rc receive(struct store *store, const char *type)
{
    const struct web_multipart_calls calls = {part_begin, part_data, part_end, store};
    if (strncasecmp(type, "application/dicom", 17) == 0 && strchr("; ", type[17]) != NULL) {
        hilum_rc rc = read_one(store);
        store->n_parts = 1;
        return finish(store, rc, true);
    }
    if (!web_multipart_init(&store->body, type, &calls))
        return web_refuse(store->call, 400, "multipart/related needs a boundary");
    hilum_rc rc = read_parts(store);
    return finish(store, rc, web_multipart_is_whole(&store->body));
}

static bool is_taken(const char *type)
{
    bool is_one = strncasecmp(type, "application/dicom", 17) == 0 &&
                  (type[17] == '\0' || type[17] == ';' || type[17] == ' ');
    return is_one || strncasecmp(type, "multipart/related", 17) == 0;
}

static bool is_of_metadata(const char *type)
{
    return strncasecmp(type, "multipart/related", 17) == 0 &&
           (strcasestr(type, "dicom+json") != NULL || strcasestr(type, "dicom+xml") != NULL);
}

/* The answer's type is settled before a byte of the body is read: a client that cannot read
 * the answer would send again what is stored. */
hilum_rc web_store(const struct web_call *call)
{
    static const struct web_offer answers[] = {{WEB_JSON, NULL, NULL},
                                               {"application/json", NULL, NULL},
                                               {"application/dicom+xml", NULL, NULL}};
    const char *type = call->api->request(call->http)->content_type;
    int answer = web_accept(web_accept_of(call), answers, 3);
    if (!is_taken(type))
        return web_refuse(
            call, 415,
            "send multipart/related; type=\"application/dicom\"; boundary=..., or "
            "metadata as application/dicom+json or application/dicom+xml and bulk data");
    if (answer < 0)
        return web_refuse(call, 406,
                          "the answer is application/dicom+json or application/dicom+xml");
    if (is_of_metadata(type))
        return web_stow(call, type, answer == 2);
    struct store *store = calloc(1, sizeof *store);
    if (store == NULL)
        return HILUM_ENOMEM;
    store->call = call;
    store->study = call->uids[0];
    store->outcome.is_xml = answer == 2;
    hilum_rc rc = receive(store, type);
    call->web->host->objects->intake_close(store->intake);
    web_outcome_fini(&store->outcome);
    free(store);
    return rc;
}
