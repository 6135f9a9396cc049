/* Server-sent events: what happens to studies, and the log. Each client has a place of its own in what is kept; who falls
 * behind further than that is told, and nobody is waited for.
 *
 * Server-sent events (HTML living standard 9.2): text lines over one answer that never ends.
 * Whoever comes back sends Last-Event-ID and gets what is still kept after it; where something
 * is not, an event `lost` says so, and the page asks for everything anew. What is told is
 * which study changed, never a person's name: the page asks for that as its user.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "admin.h"

#include <stdio.h>
#include <time.h>

/* PIECE_MAX: what a listener takes at a time, and costs. BEAT_S: proxies close what is silent
 * for a minute or half of one. */
enum { PIECE_MAX = 256 << 10, BEAT_S = 15 };

/* ---- events into the ring ---- */

/* Of a study or of the server; one an instance would be a flood. */
static const char *const wanted[] = {"study.created",  "study.complete",     "patient.conflicted",
                                     "patient.merged", "job.done",           "job.failed",
                                     "rule.failed",    "instance.corrupted", "instance.quarantined",
                                     "config.reloaded"};
enum { WANTED = sizeof wanted / sizeof *wanted };

/* hook.arg is this: on_event learns which event it is by it. */
struct subscription {
    struct admin *admin;
    struct hilum_hook hook;
};

/* Fields that name things, not people. event_text is HILUM_OK with NULL, or an error, where
 * the event has no such field. */
static void put_fields(const struct admin *admin, hilum_event *event, json_t *out)
{
    static const char *const fields[] = {"StudyInstanceUID", "SOPInstanceUID", "lane", "rule"};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const char *text = NULL;
        if (admin->host->event_text(event, fields[i], &text) == HILUM_OK && text != NULL)
            json_object_set_new(out, fields[i], json_string(text));
    }
}

/* On the thread that tells events (HILUM_NOTIFY: after the fact, it changes nothing). No
 * listener is woken: each looks for itself within a second, so a flood of events costs one
 * copy each. */
static int32_t on_event(void *arg, hilum_event *event)
{
    const struct subscription *subscription = arg;
    struct admin *admin = subscription->admin;
    int64_t number = 0;
    json_t *object = json_object();
    put_fields(admin, event, object);
    (void)admin->host->event_int(event, "event_id", &number);
    char *text = json_dumps(object, JSON_COMPACT);
    const char *study = json_string_value(json_object_get(object, "StudyInstanceUID"));
    bool is_of_object = json_object_get(object, "SOPInstanceUID") != NULL;
    pthread_mutex_lock(&admin->feed.lock);
    struct feed_event *slot = &admin->feed.events[admin->feed.n++ % FEED_EVENTS];
    slot->number = (uint64_t)number;
    snprintf(slot->name, sizeof slot->name, "%s", subscription->hook.event);
    snprintf(slot->study, sizeof slot->study, "%s", study != NULL ? study : "");
    slot->is_of_object = is_of_object;
    snprintf(slot->json, sizeof slot->json, "%s",
             text != NULL && strlen(text) < sizeof slot->json ? text : "{}");
    pthread_mutex_unlock(&admin->feed.lock);
    json_decref(object);
    free(text);
    return HILUM_PASS;
}

/* One hook an event, since a hook has one. */
static hilum_rc subscribe(struct admin *admin, size_t i)
{
    struct subscription *subscription = &admin->subscriptions[i];
    char *name = NULL;
    if (asprintf(&name, "web-admin/%s", wanted[i]) < 0)
        return HILUM_ENOMEM;
    subscription->admin = admin;
    subscription->hook = (struct hilum_hook){.size = sizeof(struct hilum_hook),
                                             .phase = HILUM_NOTIFY,
                                             .event = wanted[i],
                                             .name = name,
                                             .run = on_event,
                                             .arg = subscription,
                                             .threads = HILUM_PARALLEL};
    return admin->host->subscribe(admin->self, &subscription->hook);
}

/* What fails half way is undone by admin_feed_fini. */
hilum_rc admin_feed_init(struct admin *admin)
{
    pthread_mutex_init(&admin->feed.lock, NULL);
    admin->feed.events = calloc(FEED_EVENTS, sizeof *admin->feed.events);
    admin->subscriptions = calloc(WANTED, sizeof *admin->subscriptions);
    hilum_rc rc =
        admin->feed.events != NULL && admin->subscriptions != NULL ? HILUM_OK : HILUM_ENOMEM;
    for (size_t i = 0; rc == HILUM_OK && i < WANTED; i++)
        rc = subscribe(admin, i);
    return rc;
}

/* After the host took the hooks back: nothing is put any more. */
void admin_feed_fini(struct admin *admin)
{
    for (size_t i = 0; admin->subscriptions != NULL && i < WANTED; i++)
        free((void *)(uintptr_t)admin->subscriptions[i].hook.name);
    free(admin->subscriptions);
    free(admin->feed.events);
    pthread_mutex_destroy(&admin->feed.lock);
}

/* ---- a client ---- */

/* 256 KiB each, 200 at most as configured: 50 MiB if all of them come. */
struct listener {
    struct admin *admin;
    const hilum_principal *who; /* of the exchange, which outlives the body */
    uint64_t
        after; /* events: how many were put when it was last up to date; log: the last number sent */
    bool has_lost; /* something before `after` is not kept any more, and it was not told yet */
    bool is_new, is_full;
    int least_level;
    time_t last;
    size_t n;
    char piece[PIECE_MAX];
};

/* False: the piece is full, for now. */
static bool add(struct listener *listener, uint64_t number, const char *event, const char *data)
{
    size_t left = sizeof listener->piece - listener->n;
    int n = snprintf(listener->piece + listener->n, left, "id: %llu\nevent: %s\ndata: %s\n\n",
                     (unsigned long long)number, event, data);
    if (n < 0 || (size_t)n >= left)
        return false;
    listener->n += (size_t)n;
    return true;
}

static time_t now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec;
}

/* What leaves: events, or a comment now and then, which finds out whether the client is still
 * there. HILUM_EAGAIN: http asks again after a second. */
static hilum_rc give(struct listener *listener, const void **bytes, uint64_t *n)
{
    if (listener->n == 0 && (listener->is_new || now() - listener->last >= BEAT_S)) {
        static const char beat[] = "retry: 2000\n: still here\n\n";
        memcpy(listener->piece, beat, sizeof beat - 1);
        listener->n = sizeof beat - 1;
    }
    if (listener->n == 0)
        return HILUM_EAGAIN;
    listener->is_new = false;
    listener->last = now();
    *bytes = listener->piece;
    *n = listener->n;
    return HILUM_OK;
}

/* Before what comes next, with the number of it. */
static void tell_lost(struct listener *listener, uint64_t number)
{
    if (listener->has_lost && add(listener, number, "lost", "{}"))
        listener->has_lost = false;
}

/* Who sees some studies only hears of those only; what names an object without its study is for who sees all. */
static bool may_hear(const struct listener *listener, const struct feed_event *event)
{
    const struct hilum_host *host = listener->admin->host;
    if (event->study[0] == '\0' && !event->is_of_object)
        return true;
    const char *study = event->study[0] != '\0' ? event->study : "0";
    return host->allow(listener->admin->self, listener->who, "find", study) == HILUM_OK;
}

/* Copies the next event, as the look-up of grants may take a while. False: there is none. */
static bool event_next(struct listener *listener, struct feed_event *out)
{
    struct feed *feed = &listener->admin->feed;
    pthread_mutex_lock(&feed->lock);
    uint64_t oldest = feed->n > FEED_EVENTS ? feed->n - FEED_EVENTS : 0;
    if (listener->after < oldest) {
        listener->after = oldest;
        listener->has_lost = true;
    }
    bool is_there = listener->after < feed->n;
    if (is_there)
        *out = feed->events[listener->after % FEED_EVENTS];
    tell_lost(listener, is_there ? out->number : 0);
    pthread_mutex_unlock(&feed->lock);
    return is_there;
}

/* A listener that is more than the ring behind is put at its oldest. */
static hilum_rc next_event(void *arg, const void **bytes, uint64_t *n)
{
    struct listener *listener = arg;
    struct feed_event event;
    listener->n = 0;
    while (event_next(listener, &event)) {
        if (may_hear(listener, &event) && !add(listener, event.number, event.name, event.json))
            break;
        listener->after++;
    }
    return give(listener, bytes, n);
}

static int level_of(const char *text)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    for (int i = 0; text != NULL && i < 4; i++)
        if (strcmp(levels[i], text) == 0)
            return i;
    return -1;
}

/* "level":"warn" of a line of the log; without a parser, as the log's lock is held. -1: none. */
static int line_level(const char *json)
{
    const char *at = strstr(json, "\"level\":");
    char level[8] = "";
    if (at != NULL)
        (void)sscanf(at + strlen("\"level\":"), " \"%7[a-z]", level);
    return level_of(level);
}

/* Under the log's lock: copies only. What does not fit comes with the next piece. Numbers have
 * no holes: one that is not the next means that lines were lost before it. Lines below the
 * level are passed over, and count as seen. */
static void log_line(void *arg, uint64_t number, const char *json)
{
    struct listener *listener = arg;
    if (listener->is_full)
        return;
    if (number > listener->after + 1)
        listener->has_lost = true;
    tell_lost(listener, number);
    if (line_level(json) >= listener->least_level && !add(listener, number, "log", json))
        listener->is_full = true;
    else
        listener->after = number;
}

/* The log's lock is held while lines are copied, not while they are sent. */
static hilum_rc next_log(void *arg, const void **bytes, uint64_t *n)
{
    struct listener *listener = arg;
    const struct admin *admin = listener->admin;
    uint64_t last = 0;
    listener->n = 0;
    listener->is_full = false;
    (void)admin->host->commands->log_tail(admin->self, listener->after, &last, log_line, listener);
    return give(listener, bytes, n);
}

static void listener_close(void *arg)
{
    struct listener *listener = arg;
    atomic_fetch_sub(&listener->admin->n_listeners, 1);
    free(listener);
}

/* NULL: too many, or no memory; to the client both are "try again". */
static struct listener *listener_new(struct admin *admin)
{
    if (atomic_fetch_add(&admin->n_listeners, 1) >= admin->conf->max_listeners) {
        atomic_fetch_sub(&admin->n_listeners, 1);
        return NULL;
    }
    struct listener *listener = calloc(1, sizeof *listener);
    if (listener == NULL) {
        atomic_fetch_sub(&admin->n_listeners, 1);
        return NULL;
    }
    listener->admin = admin;
    listener->is_new = true;
    return listener;
}

/* UINT64_MAX: none was sent. 18 digits: within 64 bits. */
static uint64_t last_seen(const struct hilum_http_api *api, hilum_http *http)
{
    const char *text = api->header(http, "Last-Event-ID");
    if (text == NULL || *text == '\0' || strspn(text, "0123456789") != strlen(text) ||
        strlen(text) > 18)
        return UINT64_MAX;
    return strtoull(text, NULL, 10);
}

static hilum_rc begin(struct listener *listener, const struct hilum_http_api *api, hilum_http *http,
                      hilum_rc (*next)(void *, const void **, uint64_t *))
{
    const struct hilum_http_source source = {
        .size = sizeof source, .next = next, .close = listener_close, .arg = listener};
    return api->stream(http, 200, "text/event-stream", HILUM_LENGTH_UNKNOWN, &source);
}

static hilum_rc too_many(const struct hilum_http_api *api, hilum_http *http)
{
    return api->problem(http, 503, HILUM_OK, "too many clients are listening; try again later");
}

/* Where in the ring is what comes after event `seen`? False: that is not known any more.
 * Backwards: who comes back was there a moment ago. */
static bool place_after(const struct feed *feed, uint64_t seen, uint64_t *place)
{
    uint64_t oldest = feed->n > FEED_EVENTS ? feed->n - FEED_EVENTS : 0;
    for (uint64_t i = feed->n; i > oldest; i--)
        if (feed->events[(i - 1) % FEED_EVENTS].number == seen) {
            *place = i;
            return true;
        }
    *place = oldest;
    return false;
}

/* Without Last-Event-ID from now on: what was before is in the page the client just loaded. */
hilum_rc admin_events(void *self, const struct hilum_http_api *api, hilum_http *http)
{
    struct admin *admin = self;
    struct listener *listener = listener_new(admin);
    uint64_t seen = last_seen(api, http);
    if (listener == NULL)
        return too_many(api, http);
    listener->who = api->request(http)->who;
    pthread_mutex_lock(&admin->feed.lock);
    listener->after = admin->feed.n;
    if (seen != UINT64_MAX)
        listener->has_lost = !place_after(&admin->feed, seen, &listener->after);
    pthread_mutex_unlock(&admin->feed.lock);
    return begin(listener, api, http, next_event);
}

static void count_line(void *arg, uint64_t number, const char *json)
{
    (void)arg;
    (void)number;
    (void)json;
}

/* Asked for what comes after the last possible number, log_tail() tells nothing but the newest
 * number. A number from another life of the server that is beyond it counts for none. */
hilum_rc admin_log(void *self, const struct hilum_http_api *api, hilum_http *http)
{
    struct admin *admin = self;
    const char *level = api->query(http, "level", 0);
    uint64_t seen = last_seen(api, http), last = 0;
    if (level != NULL && level_of(level) < 0)
        return api->problem(http, 400, HILUM_OK, "level: expected debug, info, warn or error");
    struct listener *listener = listener_new(admin);
    if (listener == NULL)
        return too_many(api, http);
    listener->least_level = level != NULL ? level_of(level) : 0;
    (void)admin->host->commands->log_tail(admin->self, UINT64_MAX - 1, &last, count_line, NULL);
    listener->after = seen != UINT64_MAX && seen <= last ? seen : last;
    return begin(listener, api, http, next_log);
}
