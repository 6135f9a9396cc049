/* Who asks, and under which name he knows us.
 *
 * The order: an Authorization header, then the session's cookie, then the client's
 * certificate, then nobody. What is shown and wrong is refused and never falls through to the
 * next. Failed attempts count by address.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <arpa/inet.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static hilum_rc deny(struct hilum_http *request, uint32_t *status, uint32_t code, const char *why)
{
    *status = code;
    return request->server->host->fail(request->server->self, HILUM_EDENIED, why);
}

/* ---- proxies ---- */

/* Addresses as they were written in the configuration, compared as text: address_text makes
 * the same form. */
static bool is_listed(const char *list, const char *address)
{
    size_t n = strlen(address);
    for (const char *p = list; *p != '\0'; p += strspn(p, ", ")) {
        size_t length = strcspn(p, ", ");
        if (length == n && strncmp(p, address, n) == 0)
            return true;
        p += length;
    }
    return false;
}

/* The last address of X-Forwarded-For: the one our own proxy wrote. Earlier addresses of the
 * list are whatever the client wrote. */
static bool forwarded_for(struct hilum_http *request)
{
    const char *list = http_shown(request, "X-Forwarded-For");
    const char *comma = list != NULL ? strrchr(list, ',') : NULL;
    const char *last = comma != NULL ? comma + 1 : list;
    struct in6_addr parsed;
    if (last == NULL)
        return false;
    last += strspn(last, " ");
    if (inet_pton(AF_INET, last, &parsed) != 1 && inet_pton(AF_INET6, last, &parsed) != 1)
        return false;
    snprintf(request->address, sizeof request->address, "%s", last);
    request->is_loopback = strncmp(last, "127.", 4) == 0 || strcmp(last, "::1") == 0;
    return true;
}

static bool is_forwarded(const struct hilum_http *request)
{
    return http_shown(request, "X-Forwarded-For") != NULL ||
           http_shown(request, "Forwarded") != NULL || http_shown(request, "Via") != NULL;
}

/* What a proxy says of its client counts where the proxy is listed. Anything else that came through a proxy is
 * not from this machine, whatever its address. */
static void proxy_apply(struct hilum_http *request)
{
    if (!is_forwarded(request))
        return;
    request->is_proxied = is_listed(request->server->conf->proxies, request->address);
    if (!request->is_proxied || !forwarded_for(request))
        request->is_loopback = false;
}

/* ---- our own name ---- */

/* Host is the client's word, so it is only used where it looks like one, and `public_url`
 * stands above it. */
static void base_url(struct hilum_http *request)
{
    const struct http_conf *conf = request->server->conf;
    const char *host = http_shown(request, "Host"), *scheme = request->is_tls ? "https" : "http";
    char url[320];
    if (*conf->public_url != '\0') {
        request->asked.base_url = conf->public_url;
        return;
    }
    if (request->is_proxied) {
        const char *proto = http_shown(request, "X-Forwarded-Proto");
        const char *forwarded = http_shown(request, "X-Forwarded-Host");
        if (proto != NULL && (strcmp(proto, "https") == 0 || strcmp(proto, "http") == 0))
            scheme = proto;
        if (forwarded != NULL)
            host = forwarded;
    }
    snprintf(url, sizeof url, "%s://%s", scheme,
             host != NULL && http_is_host(host) ? host : "localhost");
    const char *copy = http_arena_text(&request->arena, url, strlen(url));
    request->asked.base_url = copy != NULL ? copy : "";
}

/* ---- nobody in particular ---- */

/* A page of another site that made its own name point to this machine would read us with the
 * visitor's address. DNS rebinding: the attacker's page has the attacker's name in Host. */
static bool is_local_name(const char *host)
{
    char name[256];
    struct in6_addr parsed;
    snprintf(name, sizeof name, "%s", host);
    char *colon = strrchr(name, ':'), *bracket = strrchr(name, ']');
    if (colon != NULL && (bracket == NULL || colon > bracket) &&
        (bracket != NULL || strchr(name, ':') == colon))
        *colon = '\0';
    if (name[0] == '[' && bracket != NULL) {
        *bracket = '\0';
        return inet_pton(AF_INET6, name + 1, &parsed) == 1;
    }
    return strcasecmp(name, "localhost") == 0 || inet_pton(AF_INET, name, &parsed) == 1;
}

static bool is_safe_method(const char *method)
{
    return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0 ||
           strcmp(method, "OPTIONS") == 0;
}

/* A browser sends cookies, remembered passwords and certificates along whatever page asks, and
 * names the page; only pages of ours, or of those CORS lists, may change anything. Origin is
 * set by browsers and cannot be set by pages (Fetch). */
static bool is_foreign_change(const struct hilum_http *request)
{
    const char *origin = http_shown(request, "Origin"), *host = http_shown(request, "Host");
    if (is_safe_method(request->asked.method) || origin == NULL ||
        is_listed(request->server->conf->cors, origin))
        return false;
    const char *named = strstr(origin, "://");
    return named == NULL || host == NULL || strcasecmp(named + 3, host) != 0;
}

/* Why who has not signed in is not served, as a status; 0: is served. */
static uint32_t stranger_refused(const struct hilum_http *request, const char **why)
{
    const struct http_server *server = request->server;
    const char *host = http_shown(request, "Host");
    *why = "sign in, or send a token";
    if (strcmp(server->conf->unknown_clients, "accept") != 0)
        return 401;
    *why = "without signing in only clients of this machine are served";
    if (!request->is_loopback)
        return 401;
    *why = "call this server by its address or as localhost";
    return host != NULL && !is_local_name(host) ? 403 : 0;
}

/* is_admitted tells a page for strangers whether this one is served otherwise. */
static hilum_rc anonymous(struct hilum_http *request, uint32_t *status)
{
    const char *why = NULL;
    uint32_t refused = stranger_refused(request, &why);
    request->asked.is_admitted = refused == 0;
    if (refused == 0 || request->match.route->table->flags & HILUM_ROUTE_ANONYMOUS)
        return HILUM_OK;
    return deny(request, status, refused, why);
}

/* ---- somebody ---- */

/* The bytes of base64 text, terminated; false: it is none, or too long. */
static bool base64_decode(const char *text, char *out, size_t size)
{
    const gnutls_datum_t from = {(unsigned char *)(uintptr_t)text, (unsigned)strlen(text)};
    gnutls_datum_t to = {NULL, 0};
    if (gnutls_base64_decode2(&from, &to) != 0)
        return false;
    bool fits = to.size < size && memchr(to.data, 0, to.size) == NULL;
    if (fits) {
        memcpy(out, to.data, to.size);
        out[to.size] = '\0';
    }
    gnutls_memset(to.data, 0, to.size);
    gnutls_free(to.data);
    return fits;
}

/* Borrowed for the call of the providers. */
static struct hilum_credentials credentials(const struct hilum_http *request, uint32_t kind,
                                            const char *user, const char *secret)
{
    return (struct hilum_credentials){.size = sizeof(struct hilum_credentials),
                                      .kind = kind,
                                      .user = user,
                                      .secret = secret,
                                      .secret_length = strlen(secret),
                                      .remote = request->address,
                                      .service = "http",
                                      .totp = "",
                                      .state = ""};
}

/* Passwords are hashed slowly on purpose; programs send theirs with each request, hence the
 * short memory (session.c). */
static hilum_rc check_basic(struct hilum_http *request, const char *encoded,
                            struct http_identity *out)
{
    char text[1200], *colon = NULL;
    hilum_rc rc = HILUM_EDENIED;
    if (http_recall(request->server, encoded, out))
        return HILUM_OK;
    if (base64_decode(encoded, text, sizeof text) && (colon = strchr(text, ':')) != NULL) {
        *colon = '\0';
        struct hilum_credentials shown = credentials(request, HILUM_CRED_PASSWORD, text, colon + 1);
        rc = http_check(request->server, &shown, out);
    }
    gnutls_memset(text, 0, sizeof text);
    if (rc == HILUM_OK)
        http_remember(request->server, encoded, out);
    return rc;
}

/* What an Authorization header says; HILUM_ENOTFOUND: there is none. Too many failures are
 * refused before anything is hashed. */
static hilum_rc check_header(struct hilum_http *request, uint32_t *status,
                             struct http_identity *out)
{
    const char *header = http_shown(request, "Authorization");
    hilum_rc rc = HILUM_EDENIED;
    if (header == NULL)
        return HILUM_ENOTFOUND;
    if (!request->is_private)
        return deny(request, status, 403, "sign in over TLS; see plain_sign_in");
    if (http_failures_are_many(request->server, request->address))
        return deny(request, status, 429,
                    "too many failed sign-ins from this address; wait some minutes");
    if (strncasecmp(header, "Bearer ", 7) == 0) {
        const char *token = header + 7 + strspn(header + 7, " ");
        struct hilum_credentials shown = credentials(request, HILUM_CRED_BEARER, "", token);
        rc = http_check(request->server, &shown, out);
    } else if (strncasecmp(header, "Basic ", 6) == 0) {
        rc = check_basic(request, header + 6 + strspn(header + 6, " "), out);
    }
    if (rc == HILUM_OK)
        return rc;
    if (rc == HILUM_EAGAIN)
        return deny(request, status, 503, "the directory of accounts cannot be reached");
    http_failure_note(request->server, request->address);
    return deny(request, status, 401, "the token or password is refused");
}

/* The value of our cookie among the others; NULL: none. */
static const char *session_cookie(struct hilum_http *request)
{
    static const char name[] = "hilum_session=";
    const char *p = http_shown(request, "Cookie");
    for (; p != NULL && *p != '\0'; p += strspn(p, "; ")) {
        size_t n = strcspn(p, ";");
        if (strncmp(p, name, sizeof name - 1) == 0)
            return http_arena_text(&request->arena, p + sizeof name - 1, n - (sizeof name - 1));
        p += n;
    }
    return NULL;
}

/* A browser sends the cookie whatever page asks; only our own know the session's other secret.
 * In constant time, as everything that is compared with a secret. */
static bool is_forged(const struct hilum_http *request, const char *csrf)
{
    const char *shown = http_shown(request, "X-Hilum-CSRF");
    if (is_safe_method(request->asked.method) ||
        request->match.route->table->flags & HILUM_ROUTE_NO_CSRF)
        return false;
    return shown == NULL || strlen(shown) != strlen(csrf) ||
           gnutls_memcmp(shown, csrf, strlen(csrf)) != 0;
}

/* The request remembers its cookie also when it is refused for the missing secret: signing out
 * needs it. */
static hilum_rc check_session(struct hilum_http *request, uint32_t *status,
                              struct http_identity *out)
{
    char csrf[HTTP_SECRET_TEXT];
    const char *cookie = session_cookie(request);
    if (cookie == NULL || !http_session_find(request->server, cookie, out, csrf))
        return HILUM_ENOTFOUND;
    request->cookie = cookie;
    request->csrf = http_arena_text(&request->arena, csrf, strlen(csrf));
    if (is_forged(request, csrf))
        return deny(request, status, 403, "X-Hilum-CSRF is not the session's; see /auth/session");
    return HILUM_OK;
}

/* A certificate that is nobody's account is no refusal: it may only be there for the connection. */
static hilum_rc check_certificate(const struct hilum_http *request, struct http_identity *out)
{
    if (request->certificate == NULL)
        return HILUM_ENOTFOUND;
    struct hilum_credentials shown = credentials(request, HILUM_CRED_CERTIFICATE, "", "");
    shown.secret = request->certificate;
    shown.secret_length = request->certificate_length;
    return http_check(request->server, &shown, out) == HILUM_OK ? HILUM_OK : HILUM_ENOTFOUND;
}

/* server->lock: the limit of requests of one user (worker.c) reads request->user of all
 * others. */
static hilum_rc somebody(struct hilum_http *request, const struct http_identity *known)
{
    const struct http_server *server = request->server;
    const struct hilum_identity identity = {.size = sizeof identity,
                                            .flags = known->flags,
                                            .user = known->user,
                                            .display = known->display,
                                            .roles = known->roles,
                                            .departments = known->departments,
                                            .scope = known->scope,
                                            .expires = known->expires};
    pthread_mutex_lock(&request->server->lock);
    snprintf(request->user, sizeof request->user, "%s", known->user);
    pthread_mutex_unlock(&request->server->lock);
    request->asked.user = request->user;
    request->asked.is_admitted = 1;
    request->identity_flags = known->flags;
    return server->host->principal_new(server->self, &identity, request->address, &request->who);
}

/* A proxy's word counts as TLS only where it is listed. */
static bool is_private(const struct hilum_http *request)
{
    const char *proto = http_shown(request, "X-Forwarded-Proto");
    if (request->is_tls || strcmp(request->server->conf->plain_sign_in, "accept") == 0)
        return true;
    if (request->is_proxied)
        return proto != NULL && strcmp(proto, "https") == 0;
    return request->is_loopback;
}

/* Once a request, on its worker. Order: who shows a password or token in the header is that,
 * whatever cookie a browser sent along; a certificate only where neither is there. Another
 * site's page is refused before all of it: by then nothing has been looked up. */
hilum_rc http_identify(struct hilum_http *request, uint32_t *status)
{
    const struct http_server *server = request->server;
    struct http_identity identity = {0};
    proxy_apply(request);
    request->is_private = is_private(request);
    base_url(request);
    if (is_foreign_change(request))
        return deny(request, status, 403, "a page of another site may not change anything here");
    hilum_rc rc = check_header(request, status, &identity);
    if (rc == HILUM_ENOTFOUND)
        rc = check_session(request, status, &identity);
    if (rc == HILUM_ENOTFOUND)
        rc = check_certificate(request, &identity);
    if (rc == HILUM_OK) {
        rc = somebody(request, &identity);
    } else if (rc == HILUM_ENOTFOUND) {
        rc = anonymous(request, status);
        if (rc == HILUM_OK)
            rc = server->host->principal_new(server->self, NULL, request->address, &request->who);
    }
    request->asked.who = request->who;
    return rc;
}
