/* QIDO-RS of a peer (PS3.18 10.6): one request, one answer of JSON. SPDX-License-Identifier: Apache-2.0 */
#include "client.h"

#include <stdio.h>
#include <string.h>

/* No answer's words: they may name patients. */
static hilum_rc refused(const struct client *client, const struct request *request)
{
    char why[192];
    request_explain(request, why, sizeof why);
    hilum_rc rc = request->status == 404                             ? HILUM_ENOTFOUND
                  : request->status == 401 || request->status == 403 ? HILUM_EDENIED
                  : request->status == 400 || request->status == 406 ? HILUM_EUNSUP
                                                                     : HILUM_EIO;
    return client->host->fail(client->self, rc, why);
}

static hilum_rc answer_give(const struct client *client, const struct request *request,
                            struct hilum_sink *answer)
{
    if (request->status == 204)
        return answer->write(answer->ctx, "[]", 2);
    if (request->status != 200)
        return refused(client, request);
    if (request->answer == NULL || request->answer[strspn(request->answer, " \t\r\n")] != '[')
        return client->host->fail(
            client->self, HILUM_EIO,
            "the peer's answer is no DICOM JSON: is its url one of DICOMweb?");
    return answer->write(answer->ctx, request->answer, request->n_answer);
}

hilum_rc client_search(void *self, const struct hilum_destination *at, const char *query,
                       struct hilum_sink *answer)
{
    struct client *client = self;
    struct request request;
    char path[900];
    if (snprintf(path, sizeof path, "/studies?%s", query) >= (int)sizeof path ||
        strlen(at->url) + strlen(path) >= sizeof request.url)
        return client->host->fail(client->self, HILUM_EINVAL, "the search is too long for a URL");
    hilum_rc rc = request_open(client, at, path, &request);
    if (rc != HILUM_OK)
        return rc;
    rc = request_header(&request, "Accept: application/dicom+json") ? request_run(&request)
                                                                    : HILUM_ENOMEM;
    if (rc == HILUM_OK)
        rc = answer_give(client, &request, answer);
    request_close(&request);
    return rc;
}
