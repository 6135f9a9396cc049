/* WADO-URI (PS3.18 9.4): one DICOM object by query parameters, as it is or as a picture. What would have to be made
 * anonymous is refused, never sent as it is. SPDX-License-Identifier: Apache-2.0 */
#include "web.h"

#include <stdio.h>

static const char *query(const struct web_call *call, const char *name)
{
    const char *value = call->api->query(call->http, name, 0);
    return value != NULL ? value : "";
}

/* What it asks for and is not here; NULL: nothing. Before anything is looked up: a client that
 * asks for an anonymous object must not get as far as an object. */
static const char *not_here(const struct web_call *call, uint32_t *status)
{
    *status = 400;
    if (strcmp(query(call, "requestType"), "WADO") != 0)
        return "requestType=WADO is wanted";
    if (!web_is_uid(query(call, "studyUID")) || !web_is_uid(query(call, "seriesUID")) ||
        !web_is_uid(query(call, "objectUID")))
        return "studyUID, seriesUID and objectUID are wanted, each a UID";
    *status = 406;
    if (*query(call, "anonymize") != '\0' && strcmp(query(call, "anonymize"), "no") != 0)
        return "objects are not made anonymous here";
    return NULL;
}

/* Parameters become what WADO-RS has in paths and headers, and go its way from there: access,
 * audit, negotiation and tags are the same. The UIDs are the query's own text, which lives as
 * long as the exchange. */
hilum_rc web_uri(struct web_call *call)
{
    static const struct web_offer offer = {WEB_DICOM, NULL, NULL};
    const char *type = query(call, "contentType");
    char accept[120];
    uint32_t status = 0;
    const char *syntax = query(call, "transferSyntax"), *why = not_here(call, &status);
    if (why == NULL && *syntax != '\0' && !web_is_uid(syntax)) {
        status = 400;
        why = "transferSyntax is wanted as a UID";
    }
    if (why != NULL)
        return web_refuse(call, status, why);
    call->uids[0] = query(call, "studyUID");
    call->uids[1] = query(call, "seriesUID");
    call->uids[2] = query(call, "objectUID");
    if (*type == '\0' ||
        web_accept(type, &offer, 1) < 0) /* PS3.18 9.4.1.1.1: a picture if nobody says */
        return web_uri_rendered(call, type);
    snprintf(accept, sizeof accept, "application/dicom%s%s",
             *syntax != '\0' ? "; transfer-syntax=" : "", syntax);
    return web_retrieve(call, accept);
}
