/* A study, series or instance from a peer by WADO-RS (PS3.18 10.4): each part takes the way of every object, as it comes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { OUT_OF_RESOURCES = 0xA7 };

/* Lives for one call; allocated for the window of body, 128 KiB. */
struct fetch {
    struct client *client;
    const struct hilum_destination *from;
    const char *study;
    struct request request;
    hilum_intake *intake;
    struct hilum_fetched *out;
    hilum_rc rc; /* of our own side of the body; curl then tells of no more than a failed writing */
    char why[200];          /* its reason */
    bool is_begun, is_full; /* full: we are, later it may fit */
    struct web_multipart_calls calls;
    struct web_multipart body;
};

/* ---- parts ---- */

/* As the peer: rules see its name as the sender. A part of another type is passed over. */
static hilum_rc part_begin(void *arg, const struct web_part_head *head)
{
    struct fetch *fetch = arg;
    const struct hilum_intake_source source = {.size = sizeof source,
                                               .kind = "WADO-RS",
                                               .user = fetch->from->name,
                                               .address = "",
                                               .study_uid = fetch->study};
    if (head->type[0] != '\0' && strcmp(head->type, WEB_DICOM) != 0)
        return HILUM_OK;
    return fetch->client->host->objects->receive(fetch->client->self, fetch->from->who, &source,
                                                 &fetch->intake);
}

static hilum_rc part_data(void *arg, const void *bytes, size_t n)
{
    struct fetch *fetch = arg;
    return fetch->intake != NULL
               ? fetch->client->host->objects->intake_write(fetch->intake, bytes, n)
               : HILUM_OK;
}

/* One refused object does not end the rest: n_failed makes the whole a failure in the end, the
 * good ones stay. */
static hilum_rc part_end(void *arg)
{
    struct fetch *fetch = arg;
    struct hilum_intake_result result = {.size = sizeof result};
    if (fetch->intake == NULL)
        return HILUM_OK;
    fetch->client->host->objects->intake_end(fetch->intake, &result);
    if (result.status == 0 || result.status >> 12 == 0xB) {
        fetch->out->n_stored++;
    } else {
        fetch->out->n_failed++;
        fetch->is_full = fetch->is_full || result.status >> 8 == OUT_OF_RESOURCES;
        snprintf(fetch->out->detail, sizeof fetch->out->detail, "refused here: %04XH %.100s",
                 result.status, result.comment);
    }
    fetch->client->host->objects->intake_close(fetch->intake);
    fetch->intake = NULL;
    return HILUM_OK;
}

/* ---- the body ---- */

static size_t body_refuse(struct fetch *fetch, hilum_rc rc, const char *why)
{
    fetch->rc = rc;
    snprintf(fetch->why, sizeof fetch->why, "%s", why);
    return 0;
}

static bool is_answered(const struct fetch *fetch)
{
    long status = 0;
    curl_easy_getinfo(fetch->request.curl, CURLINFO_RESPONSE_CODE, &status);
    return status == 200 || status == 206;
}

/* With the first piece: the head is known by then. False: it cannot be cut into parts, and no
 * piece of it may be put into the window. */
static bool body_begin(struct fetch *fetch)
{
    static const char multipart[] = "multipart/related";
    char *type = NULL;
    curl_easy_getinfo(fetch->request.curl, CURLINFO_CONTENT_TYPE, &type);
    fetch->calls = (struct web_multipart_calls){part_begin, part_data, part_end, fetch};
    fetch->is_begun = type != NULL && strncasecmp(type, multipart, sizeof multipart - 1) == 0 &&
                      web_multipart_init(&fetch->body, type, &fetch->calls);
    return fetch->is_begun;
}

/* Less than was given ends the exchange. */
static size_t body_take(char *bytes, size_t size, size_t n, void *arg)
{
    struct fetch *fetch = arg;
    size_t length = size * n;
    if (!is_answered(fetch))
        return length; /* what it says is not kept: the status is enough */
    if (!fetch->is_begun && !body_begin(fetch))
        return body_refuse(fetch, HILUM_EUNSUP,
                           "the peer's answer is no multipart/related with a boundary");
    for (size_t done = 0; done < length;) {
        size_t room = 0;
        char *to = web_multipart_room(&fetch->body, &room);
        size_t take = length - done < room ? length - done : room;
        memcpy(to, bytes + done, take);
        hilum_rc rc = web_multipart_put(&fetch->body, take);
        if (rc != HILUM_OK)
            return body_refuse(fetch, rc,
                               rc == HILUM_EINVAL
                                   ? "the peer's answer is not of the form of a multipart/related"
                                   : fetch->client->host->reason(fetch->client->self));
        done += take;
    }
    return length;
}

/* ---- fetching ---- */

/* Only UIDs: nothing of a job's arguments can make another path. */
static bool path_make(const char *study, const char *series, const char *instance, char *out,
                      size_t size)
{
    if (!web_is_uid(study) || (series != NULL && !web_is_uid(series)) ||
        (instance != NULL && (series == NULL || !web_is_uid(instance))))
        return false;
    int n = snprintf(out, size, "/studies/%s", study);
    if (series != NULL)
        n += snprintf(out + n, size - (size_t)n, "/series/%s", series);
    if (instance != NULL)
        snprintf(out + n, size - (size_t)n, "/instances/%s", instance);
    return true;
}

/* ENOTFOUND and EUNSUP end the job, EIO is tried again. */
static hilum_rc status_judge(struct fetch *fetch)
{
    const struct request *request = &fetch->request;
    struct hilum_fetched *out = fetch->out;
    hilum_rc rc = HILUM_EIO;
    if (request->status == 200 || request->status == 206)
        return HILUM_OK;
    request_explain(request, out->detail, sizeof out->detail);
    if (request->status == 404 || request->status == 204 || request->status == 410)
        rc = HILUM_ENOTFOUND;
    else if (request->status == 406 || request->status == 400)
        rc = HILUM_EUNSUP;
    return fetch->client->host->fail(fetch->client->self, rc, out->detail);
}

/* All of it, or it is asked for again: what is here already is known by then. */
static hilum_rc judge(struct fetch *fetch, hilum_rc rc)
{
    struct hilum_fetched *out = fetch->out;
    if (rc == HILUM_OK)
        rc = status_judge(fetch);
    if (rc == HILUM_OK && !web_multipart_is_whole(&fetch->body))
        rc = fetch->client->host->fail(fetch->client->self, HILUM_EIO,
                                       "the peer's answer ends in the middle");
    if (rc == HILUM_OK && out->n_failed > 0)
        return fetch->client->host->fail(fetch->client->self,
                                         fetch->is_full ? HILUM_EIO : HILUM_EINVAL, out->detail);
    if (rc == HILUM_OK)
        snprintf(out->detail, sizeof out->detail, "WADO-RS, HTTP %ld, %llu stored",
                 fetch->request.status, (unsigned long long)out->n_stored);
    return rc;
}

/* Any transfer syntax: as the peer has it, nothing is lost by conversion on its side. */
static hilum_rc fetch_run(struct fetch *fetch, const char *path)
{
    static const char accept[] =
        "Accept: multipart/related; type=\"application/dicom\"; transfer-syntax=*";
    struct request *request = &fetch->request;
    hilum_rc rc = request_open(fetch->client, fetch->from, path, request);
    if (rc != HILUM_OK)
        return rc;
    curl_easy_setopt(request->curl, CURLOPT_WRITEFUNCTION, body_take);
    curl_easy_setopt(request->curl, CURLOPT_WRITEDATA, fetch);
    rc = request_header(request, accept) ? request_run(request) : HILUM_ENOMEM;
    if (fetch->rc != HILUM_OK)
        rc = fetch->client->host->fail(fetch->client->self, fetch->rc, fetch->why);
    rc = judge(fetch, rc);
    fetch->client->host->objects->intake_close(fetch->intake);
    request_close(request);
    return rc;
}

/* Blocks the job's thread. out->n_stored counts what is here also when the whole fails. */
hilum_rc client_fetch(void *self, const struct hilum_destination *from, const char *study_uid,
                      const char *series_uid, const char *sop_instance_uid,
                      struct hilum_fetched *out)
{
    struct client *client = self;
    char path[256];
    if (!path_make(study_uid, series_uid, sop_instance_uid, path, sizeof path))
        return client->host->fail(client->self, HILUM_EINVAL,
                                  "expected UIDs of a study, then of a series, then of an object");
    struct fetch *fetch = calloc(1, sizeof *fetch);
    if (fetch == NULL)
        return HILUM_ENOMEM;
    fetch->client = client;
    fetch->from = from;
    fetch->study = study_uid;
    fetch->out = out;
    hilum_rc rc = fetch_run(fetch, path);
    free(fetch);
    return rc;
}
