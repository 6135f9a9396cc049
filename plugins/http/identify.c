/* Who asks, and under which name he knows us. SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <arpa/inet.h>
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

/* The last address of X-Forwarded-For: the one our own proxy wrote. */
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

/* A page of another site that made its own name point to this machine would read us with the visitor's address. */
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

/* A browser names the page that asks; only pages of ours, or of those CORS lists, may change anything. */
static bool is_cross_site(const struct hilum_http *request)
{
    const char *origin = http_shown(request, "Origin"), *host = http_shown(request, "Host");
    if (origin == NULL || is_listed(request->server->conf->cors, origin))
        return false;
    const char *named = strstr(origin, "://");
    return named == NULL || host == NULL || strcasecmp(named + 3, host) != 0;
}

static hilum_rc anonymous(struct hilum_http *request, uint32_t *status)
{
    const struct http_server *server = request->server;
    const struct hilum_route *table = request->match.route->table;
    const char *host = http_shown(request, "Host");
    if (table->flags & HILUM_ROUTE_ANONYMOUS)
        return HILUM_OK;
    if (strcmp(server->conf->unknown_clients, "accept") != 0)
        return deny(request, status, 401, "sign in, or send a token");
    if (!request->is_loopback)
        return deny(request, status, 401,
                    "without signing in only clients of this machine are served");
    if (host != NULL && !is_local_name(host))
        return deny(request, status, 403, "call this server by its address or as localhost");
    if (!is_safe_method(request->asked.method) && is_cross_site(request))
        return deny(request, status, 403, "a page of another site may not change anything here");
    return HILUM_OK;
}

hilum_rc http_identify(struct hilum_http *request, uint32_t *status)
{
    const struct http_server *server = request->server;
    proxy_apply(request);
    base_url(request);
    hilum_rc rc = anonymous(request, status);
    if (rc == HILUM_OK)
        rc = server->host->principal_new(server->self, NULL, request->address, &request->who);
    request->asked.who = request->who;
    return rc;
}
