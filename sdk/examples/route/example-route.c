/* example-route: GET /example/greeting/{name} answers a line of text. Hilum's plugin `http` owns the socket. It
 * knows the SDK only. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>

#include "hilum/host.h"
#include "hilum/route.h"

/* Filled in by the host before init; read-only. */
struct conf {
    const char *greeting;
};

/* On any thread, several at once. An error without a response is answered by the server as problem+json. */
static hilum_rc greet(void *instance, const struct hilum_http_api *api, hilum_http *http)
{
    const struct conf *conf = instance;
    char line[512];
    int n = snprintf(line, sizeof line, "%s, %s\n", conf->greeting, api->param(http, "name"));
    if (n < 0 || (size_t)n >= sizeof line)
        return api->problem(http, 400, HILUM_EINVAL, "name: expected at most 400 bytes");
    return api->respond(http, 200, "text/plain; charset=utf-8", line, (uint64_t)n);
}

static hilum_rc init(const struct hilum_host *host, hilum_self *self, const void *conf,
                     void **state)
{
    static const struct hilum_route table = {
        .cap = {.size = sizeof table,
                .kind = HILUM_CAP_ROUTE,
                .threads = HILUM_PARALLEL,
                .name = "example-route/greeting"},
        .methods = "GET",
        .pattern = "/example/greeting/{name}",
        .permission = "status", /* asked of access before run() */
        .summary = "Greets whoever is named.",
        .run = greet,
    };
    *state = NULL;
    /* The instance is given back to run(): here the options are all it needs. */
    return host->provide(self, &table.cap, (void *)(uintptr_t)conf);
}

HILUM_EXPORT const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major, uint16_t host_minor)
{
    static const struct hilum_option options[] = {
        {"greeting", HILUM_OPT_STR, offsetof(struct conf, greeting), "Good morning", NULL,
         "What stands before the name."},
        {0},
    };
    static const struct hilum_plugin plugin = {
        .magic = HILUM_MAGIC,
        .size = sizeof plugin,
        .abi_major = HILUM_ABI_MAJOR,
        .abi_minor = HILUM_ABI_MINOR,
        .conf_size = sizeof(struct conf),
        .id = "example-route",
        .version = "1.0.0",
        .vendor = "Example",
        .licence = "MIT",
        .options = options,
        .init = init,
    };
    (void)host_major;
    (void)host_minor;
    return &plugin;
}
