/* What the files of web-admin share.
 *
 * Three things by HTTP that the control socket has for those on the machine: commands (run.c),
 * what happens (feed.c), and a description of all routes (openapi.c). Access is the kernel's: a
 * command checks its own action as whoever runs it, as over the socket.
 *
 * Threads: http's workers run the handlers and the streams. A command whose lines are streamed
 * has a thread of its own, since it may take hours; max_runs bounds those. A listener has
 * none: it is a place in the ring or in the log, asked by a worker whether there is something
 * new.
 *
 * SPDX-License-Identifier: Apache-2.0 */
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

/* A thousand events are what a page may miss while its computer sleeps for a moment; 1 MiB in
 * all. */
enum { FEED_EVENTS = 1000, FEED_TEXT = 1024 };

/* Both are limits of things under way at once. */
struct admin_conf {
    int64_t max_runs, max_listeners;
};

/* One event as it leaves: its number in the journal and a JSON object. */
struct feed_event {
    uint64_t number;
    char name[64], json[FEED_TEXT], study[65]; /* "": of none */
    bool is_of_object;                         /* of an instance */
};

/* The last events; the oldest gives way. Under `lock`. Held for copies only, by the threads
 * events are told on and by each listener's worker. */
struct feed {
    pthread_mutex_t lock;
    struct feed_event *events; /* a ring of FEED_EVENTS, in the order they came */
    uint64_t n;                /* ever put: the next goes to n % FEED_EVENTS */
};

struct subscription;

/* subscriptions: the hooks' own memory, which the host keeps pointers to. n_runs, n_listeners:
 * counted up before anything is allocated, so that the limits hold. */
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
/* The server's list of commands; new reference, NULL with the reason. Asked anew each time:
 * plugins that come and go bring commands along. */
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
