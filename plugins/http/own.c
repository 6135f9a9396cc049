/* Routes of the server itself: is it alive, is it ready. SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <stdio.h>
#include <string.h>

static hilum_rc health(void *self, const struct hilum_http_api *api, hilum_http *http)
{
    static const char body[] = "{\"status\":\"alive\"}\n";
    (void)self;
    return api->respond(http, 200, "application/json", body, sizeof body - 1);
}

/* May a load balancer send clients here? Not while draining. Stores are not asked yet. */
static hilum_rc ready(void *self, const struct hilum_http_api *api, hilum_http *http)
{
    struct http_server *server = self;
    pthread_mutex_lock(&server->lock);
    bool is_draining = server->is_draining;
    pthread_mutex_unlock(&server->lock);
    static const char yes[] = "{\"status\":\"ready\"}\n", no[] = "{\"status\":\"draining\"}\n";
    return is_draining ? api->respond(http, 503, "application/json", no, sizeof no - 1)
                       : api->respond(http, 200, "application/json", yes, sizeof yes - 1);
}

#define ROUTE(label, path, function, what)                                                         \
    {                                                                                              \
        .cap = {.size = sizeof(struct hilum_route),                                                \
                .kind = HILUM_CAP_ROUTE,                                                           \
                .threads = HILUM_PARALLEL,                                                         \
                .name = (label)},                                                                  \
        .methods = "GET", .pattern = (path), .summary = (what), .flags = HILUM_ROUTE_ANONYMOUS,    \
        .run = (function),                                                                         \
    }

static const struct hilum_route routes[] = {
    ROUTE("http/health", "/health", health, "Answers as long as the process does."),
    ROUTE("http/ready", "/ready", ready, "200 while clients may be sent here, 503 while not."),
};

hilum_rc http_own_routes(struct http_server *server)
{
    hilum_rc rc = HILUM_OK;
    for (size_t i = 0; rc == HILUM_OK && i < sizeof routes / sizeof *routes; i++)
        rc = server->host->provide(server->self, &routes[i].cap, server);
    return rc;
}
