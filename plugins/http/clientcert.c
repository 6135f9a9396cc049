/* Certificates of clients: asked for where `client_ca` names who vouches for them, verified once a connection.
 *
 * Verified on the loop thread at the connection's first request, when the handshake is over;
 * what it proves is a key. Whose account that is the `auth` providers say (identify.c).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tls.h"

#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>

/* Certificates of persons and systems have one to three KiB. */
enum { CERTIFICATE_MAX = 8192 };

hilum_rc http_client_ca_load(struct http_server *server)
{
    gnutls_datum_t pem = {0};
    char text[512];
    if (server->conf->client_ca == NULL)
        return HILUM_OK;
    int rc = gnutls_load_file(server->conf->client_ca, &pem);
    if (rc == 0) {
        server->client_ca = (char *)pem.data; /* terminated by the library */
        return HILUM_OK;
    }
    snprintf(text, sizeof text, "client_ca %s: %s", server->conf->client_ca, gnutls_strerror(rc));
    return server->host->fail(server->self, HILUM_EINVAL, text);
}

void http_client_ca_free(struct http_server *server)
{
    gnutls_free(server->client_ca);
    server->client_ca = NULL;
}

struct MHD_OptionItem http_client_ca_option(struct http_server *server)
{
    return server->client_ca != NULL
               ? (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_TRUST, 0, server->client_ca}
               : (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
}

static bool is_verified(gnutls_session_t session)
{
    unsigned faults = 0;
    return gnutls_certificate_verify_peers3(session, NULL, &faults) == 0 && faults == 0;
}

/* Chained to client_ca and within its time. NULL: none was shown, or it is not. */
static const gnutls_datum_t *shown_by(struct http_conn *conn, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    unsigned n = 0;
    if (info == NULL || conn->certificate == HTTP_CERTIFICATE_BAD)
        return NULL;
    gnutls_session_t session = info->tls_session;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &n);
    if (conn->certificate == HTTP_CERTIFICATE_NEW)
        conn->certificate =
            chain != NULL && n > 0 && chain->size <= CERTIFICATE_MAX && is_verified(session)
                ? HTTP_CERTIFICATE_GOOD
                : HTTP_CERTIFICATE_BAD;
    return conn->certificate == HTTP_CERTIFICATE_GOOD ? chain : NULL;
}

/* Copied, since the session ends with the connection and a worker may look later. Without
 * memory it is as if none was shown. */
void http_client_certificate(struct hilum_http *request)
{
    const gnutls_datum_t *shown =
        request->server->client_ca != NULL && request->is_tls && request->conn != NULL
            ? shown_by(request->conn, request->connection)
            : NULL;
    if (shown == NULL)
        return;
    void *copy = http_arena_take(&request->arena, shown->size);
    if (copy == NULL)
        return;
    memcpy(copy, shown->data, shown->size);
    request->certificate = copy;
    request->certificate_length = shown->size;
}
