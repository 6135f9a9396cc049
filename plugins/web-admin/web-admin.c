/* web-admin: the server's commands, log and events by HTTP, and a description of everything that is served. The plugin's
 * options, its routes and its life. SPDX-License-Identifier: Apache-2.0 */
#include "admin.h"

#include <time.h>

/* After drain all streams were cut, and commands look for that each line. */
enum { RUNS_END_MS = 5000 };

static const struct hilum_option options[] = {
    {"max_runs", HILUM_OPT_INT, offsetof(struct admin_conf, max_runs), "32", "1..1000",
     "Commands at once whose answers are streamed."},
    {"max_listeners", HILUM_OPT_INT, offsetof(struct admin_conf, max_listeners), "200", "1..10000",
     "Clients at once that listen to events and the log."},
    {NULL, 0, 0, NULL, NULL, NULL},
};

#define ROUTE(label, verb, path, action, limit, function, flag, what)                              \
    .cap = {.size = sizeof(struct hilum_route),                                                    \
            .kind = HILUM_CAP_ROUTE,                                                               \
            .threads = HILUM_PARALLEL,                                                             \
            .name = "web-admin/" label},                                                           \
    .methods = (verb), .pattern = (path), .permission = (action), .summary = (what),               \
    .body_max = (limit), .flags = (flag), .run = (function)

static const struct hilum_route_param feed_params[] = {
    {"Last-Event-ID", HILUM_IN_HEADER, "integer",
     "The last number seen: what came after it is sent first.", 0},
    {NULL, 0, NULL, NULL, 0},
};
static const struct hilum_route_param log_params[] = {
    {"Last-Event-ID", HILUM_IN_HEADER, "integer",
     "The last number seen: what came after it is sent first.", 0},
    {"level", HILUM_IN_QUERY, "string",
     "Leaves out lines less important: debug, info, warn or error.", 0},
    {NULL, 0, NULL, NULL, 0},
};

/* A command asks access itself, for its own action: the route admits whoever is served at all. */
const struct hilum_route admin_routes[] = {
    {ROUTE("commands", "GET", "/api/commands", NULL, 0, admin_list, HILUM_ROUTE_ADMITTED,
           "All commands with their arguments."),
     .gives = "application/json"},
    {ROUTE("run", "POST", "/api/commands/{command...}", NULL, 1 << 20, admin_run,
           HILUM_ROUTE_ADMITTED, "Runs a command; its arguments are the body."),
     .takes = "application/json", .gives = "application/json,application/x-ndjson"},
    {ROUTE("events", "GET", "/api/events", "find", 0, admin_events, 0,
           "What happens to studies, as it happens (server-sent events)."),
     .gives = "text/event-stream", .params = feed_params},
    {ROUTE("log", "GET", "/api/log", "log.read", 0, admin_log, 0,
           "The server's log, as it is written (server-sent events)."),
     .gives = "text/event-stream", .params = log_params},
    {ROUTE("openapi", "GET", "/api/openapi.json", NULL, 0, admin_openapi, HILUM_ROUTE_ADMITTED,
           "This description (OpenAPI 3.1)."),
     .gives = "application/json"},
};
const size_t admin_n_routes = sizeof admin_routes / sizeof *admin_routes;

/* Commands under way have lost their clients by now and look for that. */
static bool runs_end(const struct admin *admin)
{
    const struct timespec tick = {0, 10000000};
    for (int i = 0; i < RUNS_END_MS / 10 && atomic_load(&admin->n_runs) > 0; i++)
        nanosleep(&tick, NULL);
    return atomic_load(&admin->n_runs) == 0;
}

/* What is left behind is memory and a thread in code that the host then may not unload: said
 * as an error, since it is one. */
static void admin_fini(void *state)
{
    struct admin *admin = state;
    if (!runs_end(admin)) {
        admin->host->log(admin->self, HILUM_LOG_ERROR, "a command does not end: it is left behind");
        return;
    }
    admin_feed_fini(admin);
    free(admin);
}

static hilum_rc admin_init(const struct hilum_host *host, hilum_self *self, const void *conf,
                           void **state)
{
    struct admin *admin = calloc(1, sizeof *admin);
    if (admin == NULL)
        return host->fail(self, HILUM_ENOMEM, "web-admin: no memory");
    admin->host = host;
    admin->self = self;
    admin->conf = conf;
    hilum_rc rc = admin_feed_init(admin);
    for (size_t i = 0; rc == HILUM_OK && i < admin_n_routes; i++)
        rc = host->provide(self, &admin_routes[i].cap, admin);
    if (rc != HILUM_OK)
        admin_fini(admin);
    else
        *state = admin;
    return rc;
}

static hilum_rc admin_start(void *state)
{
    const struct admin *admin = state;
    if (!HILUM_HAS(struct hilum_host, admin->host->size, commands) || admin->host->commands == NULL)
        return admin->host->fail(admin->self, HILUM_EUNSUP, "this host lends no commands");
    return HILUM_OK;
}

static const char *const provides[] = {"route:", NULL};

static const struct hilum_plugin plugin = {
    .magic = HILUM_MAGIC,
    .size = sizeof(struct hilum_plugin),
    .abi_major = HILUM_ABI_MAJOR,
    .abi_minor = HILUM_ABI_MINOR,
    .conf_size = sizeof(struct admin_conf),
    .id = "web-admin",
    .version = HILUM_VERSION,
    .vendor = "Hilum",
    .licence = "Apache-2.0",
    .options = options,
    .init = admin_init,
    .start = admin_start,
    .fini = admin_fini,
    .swap = HILUM_SWAP_RESTART,
    .provides = provides,
};

const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major, uint16_t host_minor)
{
    (void)host_minor;
    return host_major == HILUM_ABI_MAJOR ? &plugin : NULL;
}
