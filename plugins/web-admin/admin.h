/* What the files of web-admin share. SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_WEB_ADMIN_H
#define PLUGIN_WEB_ADMIN_H

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hilum/host.h"
#include "hilum/route.h"

enum { FEED_EVENTS = 1000, FEED_TEXT = 1024 };

struct admin_conf {
    int64_t max_runs, max_listeners;
};

/* One event as it leaves: its number in the journal and a JSON object. */
struct feed_event {
    uint64_t number;
    char name[64], json[FEED_TEXT], study[65]; /* "": of none */
    bool is_of_object;                         /* of an instance */
};

/* The last events; the oldest gives way. Under `lock`. */
struct feed {
    pthread_mutex_t lock;
    struct feed_event *events; /* a ring of FEED_EVENTS, in the order they came */
    uint64_t n;                /* ever put: the next goes to n % FEED_EVENTS */
};

struct subscription;

struct admin {
    const struct hilum_host *host;
    hilum_self *self;
    const struct admin_conf *conf;
    struct feed feed;
    struct subscription *subscriptions; /* one an event */
    atomic_int n_runs, n_listeners;
};

extern const struct hilum_route admin_routes[];
extern const size_t admin_n_routes;

/* run.c: commands as routes */
hilum_rc admin_list(void *self, const struct hilum_http_api *api, hilum_http *http);
hilum_rc admin_run(void *self, const struct hilum_http_api *api, hilum_http *http);
/* The server's list of commands; new reference, NULL with the reason. */
json_t *admin_commands(const struct admin *admin);
/* "study find" of that list, or NULL. Borrowed. */
const json_t *admin_command(const json_t *list, const char *name);

/* feed.c: server-sent events */
hilum_rc admin_feed_init(struct admin *admin);
void admin_feed_fini(struct admin *admin);
hilum_rc admin_events(void *self, const struct hilum_http_api *api, hilum_http *http);
hilum_rc admin_log(void *self, const struct hilum_http_api *api, hilum_http *http);

/* openapi.c */
hilum_rc admin_openapi(void *self, const struct hilum_http_api *api, hilum_http *http);

#endif
