/* Certificate and key, read anew when their files change: what a handshake has in hand stays valid until the end.
 *
 * The library asks for the certificate at each handshake (retrieve), so a new one needs no
 * restart and no listener of its own.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tls.h"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* RELOADS: with a look a second, a pair lives for at least a minute after it was replaced,
 * longer than handshakes last. */
enum { CHAIN = 8, RELOADS = 64 };

/* A certificate with its chain, and its key: they change together or not at all. */
struct pair {
    gnutls_pcert_st chain[CHAIN];
    unsigned n_chain;
    gnutls_privkey_t key;
};

struct http_tls {
    struct http_server *server;
    struct timespec changed[2]; /* of the files, when they were read */
    /* The last ones, the newest in use: of those before, handshakes may still read; none lasts RELOADS looks. */
    struct pair *pairs[RELOADS];
    _Atomic unsigned n_pairs; /* ever */
};

static void pair_free(struct pair *pair)
{
    if (pair == NULL)
        return;
    for (unsigned i = 0; i < pair->n_chain; i++)
        gnutls_pcert_deinit(&pair->chain[i]);
    if (pair->key != NULL)
        gnutls_privkey_deinit(pair->key);
    free(pair);
}

/* Two files are never replaced at once. */
static int belong_together(const struct pair *pair)
{
    uint8_t of_key[64], of_certificate[64];
    size_t n_key = sizeof of_key, n_certificate = sizeof of_certificate;
    gnutls_pubkey_t public = NULL;
    int rc = gnutls_pubkey_init(&public);
    if (rc == 0)
        rc = gnutls_pubkey_import_privkey(public, pair->key, 0, 0);
    if (rc == 0)
        rc = gnutls_pubkey_get_key_id(public, GNUTLS_KEYID_USE_SHA256, of_key, &n_key);
    if (rc == 0)
        rc = gnutls_pubkey_get_key_id(pair->chain[0].pubkey, GNUTLS_KEYID_USE_SHA256,
                                      of_certificate, &n_certificate);
    if (public != NULL)
        gnutls_pubkey_deinit(public);
    if (rc == 0 && (n_key != n_certificate || memcmp(of_key, of_certificate, n_key) != 0))
        rc = GNUTLS_E_CERTIFICATE_KEY_MISMATCH;
    return rc;
}

/* All into a new pair, which takes the old one's place only when every step was good: a
 * half-written file on reload changes nothing. The key's text is wiped. */
static int pair_load(const struct http_conf *conf, struct pair *pair)
{
    gnutls_datum_t cert = {0}, key = {0};
    unsigned n = CHAIN;
    int rc = gnutls_load_file(conf->certificate, &cert);
    if (rc == 0)
        rc = gnutls_load_file(conf->key, &key);
    if (rc == 0)
        rc = gnutls_pcert_list_import_x509_raw(pair->chain, &n, &cert, GNUTLS_X509_FMT_PEM, 0);
    if (rc == 0)
        pair->n_chain = n;
    if (rc == 0)
        rc = gnutls_privkey_init(&pair->key);
    if (rc == 0)
        rc = gnutls_privkey_import_x509_raw(pair->key, &key, GNUTLS_X509_FMT_PEM, NULL, 0);
    if (rc == 0)
        rc = belong_together(pair);
    if (key.data != NULL)
        gnutls_memset(key.data, 0, key.size);
    gnutls_free(cert.data);
    gnutls_free(key.data);
    return rc;
}

/* A pair that does not fit (files half replaced) is said in the log, and the one before stays
 * in use. */
static hilum_rc load(struct http_tls *tls)
{
    struct http_server *server = tls->server;
    struct pair *pair = calloc(1, sizeof *pair);
    unsigned n = atomic_load(&tls->n_pairs);
    int rc = pair != NULL ? pair_load(server->conf, pair) : GNUTLS_E_MEMORY_ERROR;
    if (rc == 0) {
        pair_free(tls->pairs[n % RELOADS]);
        tls->pairs[n % RELOADS] = pair;
        atomic_store(&tls->n_pairs, n + 1);
        return HILUM_OK;
    }
    char text[512];
    snprintf(text, sizeof text, "certificate %s and key %s: %s", server->conf->certificate,
             server->conf->key, gnutls_strerror(rc));
    pair_free(pair);
    return server->host->fail(server->self, HILUM_EINVAL, text);
}

/* Without an argument of ours: the connection's own pointer leads to the server. */
static int retrieve(gnutls_session_t session, const gnutls_datum_t *authorities, int n_authorities,
                    const gnutls_pk_algorithm_t *algorithms, int n_algorithms,
                    gnutls_pcert_st **chain, unsigned *n_chain, gnutls_privkey_t *key)
{
    (void)authorities;
    (void)n_authorities;
    (void)algorithms;
    (void)n_algorithms;
    struct MHD_Connection *connection = gnutls_session_get_ptr(session);
    const union MHD_ConnectionInfo *info =
        connection != NULL ? MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
                           : NULL;
    const struct http_conn *conn = info != NULL ? info->socket_context : NULL;
    if (conn == NULL)
        return -1;
    struct http_tls *tls = conn->server->tls;
    struct pair *pair = tls->pairs[(atomic_load(&tls->n_pairs) - 1) % RELOADS];
    *chain = pair->chain;
    *n_chain = pair->n_chain;
    *key = pair->key;
    return 0;
}

struct MHD_OptionItem http_tls_option(struct http_server *server)
{
    (void)server;
    return (struct MHD_OptionItem){MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)(uintptr_t)retrieve};
}

/* By time of change, once a second: as tools that renew certificates write them. */
static bool has_changed(struct http_tls *tls)
{
    const struct http_conf *conf = tls->server->conf;
    const char *files[2] = {conf->certificate, conf->key};
    bool is_changed = false;
    for (int i = 0; i < 2; i++) {
        struct stat st;
        if (stat(files[i], &st) != 0)
            return false; /* being replaced: looked at again in a moment */
        is_changed = is_changed || st.st_mtim.tv_sec != tls->changed[i].tv_sec ||
                     st.st_mtim.tv_nsec != tls->changed[i].tv_nsec;
        tls->changed[i] = st.st_mtim;
    }
    return is_changed;
}

/* By the watcher. A pair that cannot be read leaves the old one in use. */
void http_tls_look(struct http_server *server)
{
    if (server->tls == NULL || !has_changed(server->tls))
        return;
    if (load(server->tls) == HILUM_OK)
        server->host->log(server->self, HILUM_LOG_INFO, "certificate read anew");
    else
        server->host->log(server->self, HILUM_LOG_ERROR, server->host->reason(server->self));
}

/* has_changed() notes what the files look like now. */
hilum_rc http_tls_open(struct http_server *server)
{
    const struct http_conf *conf = server->conf;
    if (conf->certificate == NULL || conf->key == NULL)
        return HILUM_OK;
    server->tls = calloc(1, sizeof *server->tls);
    if (server->tls == NULL)
        return HILUM_ENOMEM;
    server->tls->server = server;
    has_changed(server->tls);
    return load(server->tls);
}

void http_tls_close(struct http_server *server)
{
    for (unsigned i = 0; server->tls != NULL && i < RELOADS; i++)
        pair_free(server->tls->pairs[i]);
    free(server->tls);
    server->tls = NULL;
}
