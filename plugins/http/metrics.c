/* /metrics: the kernel's numbers and our own, as Prometheus reads them. SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <stdarg.h>
#include <stdio.h>

#define TEXT "text/plain; version=0.0.4; charset=utf-8"

/* Upper bounds of http_route.took, in microseconds. From a cached answer to a slow rendering. */
static const uint64_t bounds[HTTP_BUCKETS] = {1000, 5000, 20000, 100000, 500000, 2000000, 10000000};

/* Cumulative at once, as Prometheus wants them. */
void http_took(struct http_route *route, uint64_t micros)
{
    for (size_t i = 0; i < HTTP_BUCKETS; i++)
        if (micros <= bounds[i])
            atomic_fetch_add(&route->took[i], 1);
}

/* What is being answered. */
struct page {
    const struct hilum_http_api *api;
    hilum_http *http;
};

static hilum_rc put(struct page *page, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A line that does not fit is a fault of ours, not a short answer. */
static hilum_rc put(struct page *page, const char *format, ...)
{
    char line[400];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    return n > 0 && (size_t)n < sizeof line ? page->api->write(page->http, line, (uint64_t)n)
                                            : HILUM_EINTERNAL;
}

static unsigned long long number(atomic_uint_fast64_t *value)
{
    return (unsigned long long)atomic_load(value);
}

/* By the route's name and never the path, which has patients' UIDs in it. */
static hilum_rc put_route(struct page *page, struct http_route *route)
{
    const char *name = route->table->cap.name;
    hilum_rc rc =
        put(page, "hilum_http_errors_total{route=\"%s\"} %llu\n", name, number(&route->failures));
    if (rc == HILUM_OK)
        rc = put(page, "hilum_http_sent_bytes_total{route=\"%s\"} %llu\n", name,
                 number(&route->bytes));
    for (size_t i = 0; rc == HILUM_OK && i < HTTP_BUCKETS; i++)
        rc = put(page, "hilum_http_request_seconds_bucket{route=\"%s\",le=\"%g\"} %llu\n", name,
                 (double)bounds[i] / 1e6, number(&route->took[i]));
    if (rc == HILUM_OK)
        rc = put(page,
                 "hilum_http_request_seconds_bucket{route=\"%s\",le=\"+Inf\"} %llu\n"
                 "hilum_http_request_seconds_sum{route=\"%s\"} %.6f\n"
                 "hilum_http_request_seconds_count{route=\"%s\"} %llu\n",
                 name, number(&route->requests), name, (double)number(&route->micros) / 1e6, name,
                 number(&route->requests));
    return rc;
}

/* Three numbers of one moment, under the lock; counters without it. */
static hilum_rc put_server(struct page *page, struct http_server *server)
{
    pthread_mutex_lock(&server->lock);
    unsigned conns = server->n_conns, active = server->n_active, waiting = server->n_queue;
    pthread_mutex_unlock(&server->lock);
    hilum_rc rc = put(page,
                      "# TYPE hilum_http_connections gauge\nhilum_http_connections %u\n"
                      "# TYPE hilum_http_requests gauge\nhilum_http_requests %u\n"
                      "# TYPE hilum_http_requests_waiting gauge\nhilum_http_requests_waiting %u\n"
                      "# TYPE hilum_http_cut_total counter\nhilum_http_cut_total %llu\n"
                      "# TYPE hilum_http_responses_total counter\n",
                      conns, active, waiting, number(&server->cuts));
    for (unsigned i = 2; rc == HILUM_OK && i < 6; i++)
        rc = put(page, "hilum_http_responses_total{status=\"%uxx\"} %llu\n", i,
                 number(&server->statuses[i]));
    return rc;
}

static hilum_rc write_kernel(void *arg, const void *bytes, uint64_t n)
{
    const struct page *page = arg;
    return page->api->write(page->http, bytes, n);
}

/* Routes nobody asked for are left out: hundreds of lines of zeros help nobody. */
static hilum_rc metrics(void *self, const struct hilum_http_api *api, hilum_http *http)
{
    struct http_server *server = self;
    struct page page = {api, http};
    const struct hilum_sink sink = {.size = sizeof sink, .write = write_kernel, .ctx = &page};
    hilum_rc rc = api->begin(http, 200, TEXT, HILUM_LENGTH_UNKNOWN);
    if (rc == HILUM_OK)
        rc = server->host->metrics(server->self, &sink);
    if (rc == HILUM_OK)
        rc = put_server(&page, server);
    if (rc == HILUM_OK)
        rc = put(&page, "# TYPE hilum_http_errors_total counter\n"
                        "# TYPE hilum_http_sent_bytes_total counter\n"
                        "# TYPE hilum_http_request_seconds histogram\n");
    for (unsigned i = 0; rc == HILUM_OK && i < server->n_routes; i++)
        if (atomic_load(&server->routes[i].requests) > 0)
            rc = put_route(&page, &server->routes[i]);
    return rc == HILUM_OK ? api->end(http) : rc;
}

static const struct hilum_route route = {
    .cap = {.size = sizeof(struct hilum_route),
            .kind = HILUM_CAP_ROUTE,
            .threads = HILUM_PARALLEL,
            .name = "http/metrics"},
    .methods = "GET",
    .pattern = "/metrics",
    .permission = "status",
    .summary = "Numbers of the server for Prometheus.",
    .run = metrics,
};

hilum_rc http_metrics_route(struct http_server *server)
{
    return server->host->provide(server->self, &route.cap, server);
}
