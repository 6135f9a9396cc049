/* Which route answers a path: patterns of literals and {names}; a literal wins.
 *
 * A walk over all routes, a few hundred at most: some microseconds, and no structure that
 * would have to be kept right.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- loading ---- */

static hilum_rc bad_pattern(struct http_server *server, const char *name, const char *why)
{
    char text[256];
    snprintf(text, sizeof text, "route %s: %s", name, why);
    return server->host->fail(server->self, HILUM_EINVAL, text);
}

/* SERIAL: two requests never meet in one instance, whichever of its routes they take. */
static pthread_mutex_t *serial_of(struct http_server *server, const struct http_route *route)
{
    if (route->table->cap.threads == HILUM_PARALLEL)
        return NULL;
    for (const struct http_route *r = server->routes; r < route; r++)
        if (r->instance == route->instance && r->serial != NULL)
            return r->serial;
    pthread_mutex_t *serial = malloc(sizeof(pthread_mutex_t));
    if (serial != NULL)
        pthread_mutex_init(serial, NULL);
    return serial;
}

/* Cut at slashes in a copy: segments point into route->text. */
static hilum_rc pattern_parse(struct http_server *server, struct http_route *route)
{
    const char *name = route->table->cap.name;
    route->text = strdup(route->table->pattern);
    if (route->text == NULL || route->text[0] != '/')
        return bad_pattern(server, name, "its pattern does not begin with '/'");
    for (char *at = route->text + 1; at != NULL;) {
        char *slash = strchr(at, '/');
        if (route->n_segments == HTTP_SEGMENTS)
            return bad_pattern(server, name, "its pattern has too many segments");
        if (slash != NULL)
            *slash = '\0';
        route->segments[route->n_segments++] = at;
        at = slash != NULL ? slash + 1 : NULL;
    }
    return HILUM_OK;
}

/* A route says whom it is for, or the server does not start: one that forgot its permission
 * would be open to all. */
static hilum_rc load_one(struct http_server *server, const struct hilum_cap *cap, void *instance)
{
    const struct hilum_route *table = (const struct hilum_route *)(const void *)cap;
    if (server->n_routes == HTTP_ROUTES)
        return bad_pattern(server, cap->name, "there are too many routes");
    if (!HILUM_HAS(struct hilum_route, cap->size, run) || table->run == NULL)
        return bad_pattern(server, cap->name, "it has no run()");
    if (table->permission == NULL &&
        !(table->flags & (HILUM_ROUTE_ANONYMOUS | HILUM_ROUTE_ADMITTED)))
        return bad_pattern(server, cap->name, "it names no permission and says not whom it is for");
    struct http_route *route = &server->routes[server->n_routes];
    route->table = table;
    route->instance = instance;
    hilum_rc rc = pattern_parse(server, route);
    if (rc != HILUM_OK) {
        free(route->text);
        return rc;
    }
    route->serial = serial_of(server, route);
    server->n_routes++;
    return HILUM_OK;
}

/* provider() pins each: their plugins stay until http_routes_free. */
hilum_rc http_routes_load(struct http_server *server)
{
    const struct hilum_host *host = server->host;
    const struct hilum_cap *cap;
    void *instance;
    hilum_rc rc = HILUM_OK;
    for (uint32_t i = 0; rc == HILUM_OK; i++) {
        if (host->provider(server->self, HILUM_CAP_ROUTE, i, &cap, &instance) != HILUM_OK)
            break;
        rc = load_one(server, cap, instance);
        if (rc != HILUM_OK)
            host->unpin(server->self, cap);
    }
    return rc;
}

/* serial is shared by the routes of one plugin that is not to be called on several threads:
 * freed with the last of them. */
void http_routes_free(struct http_server *server)
{
    for (unsigned i = server->n_routes; i-- > 0;) {
        struct http_route *route = &server->routes[i];
        bool is_shared = false;
        for (unsigned j = 0; j < i; j++)
            is_shared = is_shared || server->routes[j].serial == route->serial;
        if (route->serial != NULL && !is_shared) {
            pthread_mutex_destroy(route->serial);
            free(route->serial);
        }
        free(route->text);
        server->host->unpin(server->self, &route->table->cap);
    }
    server->n_routes = 0;
}

/* ---- matching ---- */

static bool is_name(const char *segment)
{
    return segment[0] == '{';
}

/* "{path...}" takes all that is left, also nothing. */
static bool takes_rest(const char *segment)
{
    size_t n = strlen(segment);
    return is_name(segment) && n > 5 && strcmp(segment + n - 4, "...}") == 0;
}

/* Bit i of the answer: segment i is a literal, from the left; -1: it does not fit. Two bits a
 * segment, the leftmost highest: 2 for a literal, 1 for a name, so larger numbers are more
 * exact, and the first difference decides. */
static long fit(const struct http_route *route, const char *const *segments, unsigned n)
{
    long weight = 0;
    for (unsigned i = 0; i < route->n_segments; i++) {
        const char *mine = route->segments[i];
        if (takes_rest(mine))
            return i <= n ? weight : -1;
        if (i >= n || (is_name(mine) && segments[i][0] == '\0'))
            return -1;
        if (is_name(mine))
            weight |= 1L << (2 * (HTTP_SEGMENTS - i) - 2);
        else if (strcmp(mine, segments[i]) == 0)
            weight |= 2L << (2 * (HTTP_SEGMENTS - i) - 2);
        else
            return -1;
    }
    return route->n_segments == n ? weight : -1;
}

/* Methods are sensitive to case (RFC 9110 9.1). */
static bool has_method(const char *methods, const char *method)
{
    size_t n = strlen(method);
    for (const char *p = methods; *p != '\0';) {
        size_t length = strcspn(p, ", ");
        if (length == n && strncmp(p, method, n) == 0)
            return true;
        p += length;
        p += strspn(p, ", ");
    }
    return false;
}

static void allow_add(struct http_match *match, const char *methods)
{
    size_t n = strlen(match->allow);
    snprintf(match->allow + n, sizeof match->allow - n, "%s%s", n > 0 ? "," : "", methods);
}

/* False: longer than a path of a bundle may be. */
static bool rest_join(struct http_match *match, const char *const *segments, unsigned n)
{
    size_t at = 0;
    match->rest[0] = '\0';
    for (unsigned i = 0; i < n; i++) {
        int put = snprintf(match->rest + at, sizeof match->rest - at, "%s%s", i > 0 ? "/" : "",
                           segments[i]);
        at += (size_t)put;
        if (at >= sizeof match->rest)
            return false;
    }
    return true;
}

/* Values are decoded segments; {path...} is joined again, since a slash within it is a slash. */
static bool params_fill(struct http_match *match, const char *const *segments, unsigned n)
{
    const struct http_route *route = match->route;
    for (unsigned i = 0; i < route->n_segments && match->n_params < HTTP_PARAMS; i++) {
        const char *mine = route->segments[i];
        if (!is_name(mine))
            continue;
        struct http_param *param = &match->params[match->n_params++];
        bool is_rest = takes_rest(mine);
        param->name = mine + 1;
        param->n = strlen(mine) - 2 - (is_rest ? 3 : 0);
        param->value = is_rest ? match->rest : segments[i];
        if (is_rest && !rest_join(match, segments + i, n - i))
            return false;
    }
    return true;
}

/* HEAD is answered by GET's route, whose body is not sent (RFC 9110 9.3.2). */
void http_routes_match(const struct http_server *server, const char *method,
                       const char *const *segments, unsigned n, struct http_match *out)
{
    long best = -1;
    *out = (struct http_match){0};
    for (unsigned i = 0; i < server->n_routes; i++) {
        const struct http_route *route = &server->routes[i];
        long weight = fit(route, segments, n);
        if (weight < 0)
            continue;
        bool is_mine = has_method(route->table->methods, method) ||
                       (strcmp(method, "HEAD") == 0 && has_method(route->table->methods, "GET"));
        if (!is_mine) {
            out->is_other_method = true;
            allow_add(out, route->table->methods);
        } else if (weight > best || out->route == NULL) {
            best = weight;
            out->route = (struct http_route *)(uintptr_t)route;
        }
    }
    if (out->route != NULL && !params_fill(out, segments, n))
        out->route = NULL;
}
