/* router: a route that does what its path's {word} asks for. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hilum/host.h"
#include "hilum/route.h"

static const struct hilum_host *host;
static hilum_self *self;
static int n_closed;

static hilum_rc put(const struct hilum_http_api *api, hilum_http *http, const char *text)
{
    return api->write(http, text ? text : "-", strlen(text ? text : "-"));
}

/* Everything that was asked, a line each. */
static hilum_rc tell(const struct hilum_http_api *api, hilum_http *http)
{
    const struct hilum_http_request *r = api->request(http);
    const char *name = NULL, *value = NULL, *second = api->query(http, "a", 1);
    char line[256], body[100000];
    uint64_t got = 0, n = 0;
    hilum_rc rc = HILUM_OK;
    while (rc == HILUM_OK && (rc = api->read(http, body, 7000, &got)) == HILUM_OK && got > 0)
        n += got;
    api->query_at(http, 1, &name, &value);
    snprintf(line, sizeof line, "%s %s %s %llu %s %s %s=%s %s %d", r->method, r->path, r->user,
             (unsigned long long)n, api->query(http, "a", 0), second ? second : "-", name, value,
             api->header(http, "Accept"), r->who != NULL);
    if (rc == HILUM_OK)
        rc = api->add_header(http, "X-Route", "yes");
    if (api->add_header(http, "X-Bad", "a\r\nb") != HILUM_EINVAL)
        return HILUM_EINTERNAL;
    if (rc == HILUM_OK)
        rc = api->begin(http, 201, "text/plain", HILUM_LENGTH_UNKNOWN);
    if (rc == HILUM_OK)
        rc = put(api, http, line);
    return rc == HILUM_OK ? api->end(http) : rc;
}

/* Longer than the window. */
static hilum_rc large(const struct hilum_http_api *api, hilum_http *http)
{
    size_t n = 3 * 1024 * 1024 + 5;
    char *bytes = malloc(n);
    if (!bytes)
        return HILUM_ENOMEM;
    for (size_t i = 0; i < n; i++)
        bytes[i] = (char)(i * 7);
    hilum_rc rc = api->respond(http, 200, "application/octet-stream", bytes, n);
    free(bytes);
    return rc;
}

struct flow {
    int left, crash_at;
    char piece[3 * 1024 * 1024];
};

static hilum_rc next(void *arg, const void **bytes, uint64_t *n)
{
    struct flow *flow = arg;
    *n = 0;
    if (flow->left == flow->crash_at)
        abort();
    if (flow->left == -7)
        return host->fail(self, HILUM_EIO, "the source ran dry");
    if (flow->left <= 0)
        return HILUM_OK;
    memset(flow->piece, 'a' + flow->left--, sizeof flow->piece);
    *bytes = flow->piece;
    *n = flow->left == 1 ? sizeof flow->piece : 10;
    return HILUM_OK;
}

static void close_flow(void *arg)
{
    n_closed++;
    free(arg);
}

static hilum_rc stream(const struct hilum_http_api *api, hilum_http *http, int left, int crash_at)
{
    struct flow *flow = calloc(1, sizeof *flow);
    if (!flow)
        return HILUM_ENOMEM;
    flow->left = left;
    flow->crash_at = crash_at;
    const struct hilum_http_source source = {
        .size = sizeof source, .next = next, .close = close_flow, .arg = flow};
    return api->stream(http, 200, "text/plain", HILUM_LENGTH_UNKNOWN, &source);
}

static hilum_rc run(void *instance, const struct hilum_http_api *api, hilum_http *http)
{
    const char *word = api->param(http, "word");
    char line[32];
    (void)instance;
    if (strcmp(word, "tell") == 0)
        return tell(api, http);
    if (strcmp(word, "large") == 0)
        return large(api, http);
    if (strcmp(word, "stream") == 0)
        return stream(api, http, 3, -1);
    if (strcmp(word, "dry") == 0)
        return stream(api, http, -7, -1);
    if (strcmp(word, "crash-in-stream") == 0)
        return stream(api, http, 3, 2);
    if (strcmp(word, "closed") == 0) {
        int n = snprintf(line, sizeof line, "%d", n_closed);
        return api->respond(http, 200, "text/plain", line, (uint64_t)n);
    }
    if (strcmp(word, "null") == 0)
        *(volatile int *)(uintptr_t)(getpid() & 0) = 1;
    if (strcmp(word, "problem") == 0)
        return api->problem(http, 422, HILUM_EINVAL, "not this way");
    if (strcmp(word, "twice") == 0) {
        api->respond(http, 200, "text/plain", "a", 1);
        return api->respond(http, 200, "text/plain", "b", 1);
    }
    if (strcmp(word, "allow") == 0)
        return host->allow(self, api->request(http)->who, "find", NULL) == HILUM_EDENIED &&
                       api->allow(http, "store", "1.2") == HILUM_OK &&
                       host->allow(self, NULL, "store", NULL) == HILUM_EDENIED
                   ? api->respond(http, 204, NULL, "", 0)
                   : HILUM_EINTERNAL;
    if (strcmp(word, "table") == 0) {
        /* A route calls what the api of its ABI has, without asking whether it is there. */
        for (size_t at = offsetof(struct hilum_http_api, request); at < api->size;
             at += sizeof(void *)) {
            const void *member;
            memcpy(&member, (const char *)api + at, sizeof member);
            if (!member)
                return host->fail(self, HILUM_EINTERNAL, "a member of the api is missing");
        }
        return api->respond_file(http, "/", "etc/passwd") == HILUM_EUNSUP
                   ? api->respond(http, 200, NULL, "", 0)
                   : HILUM_EINTERNAL;
    }
    if (strcmp(word, "silent") == 0) /* what is recorded on the way is not why it fails */
        return host->fail(self, HILUM_EIO, "of another failure") == HILUM_EIO ? HILUM_EFULL
                                                                              : HILUM_OK;
    if (strcmp(word, "mute") == 0)
        return HILUM_ENOTFOUND;
    if (strcmp(word, "later") == 0)
        return api->suspend(http, 1000, NULL, NULL);
    return host->fail(self, HILUM_ENOTFOUND, "no such word");
}

static hilum_rc init(const struct hilum_host *given, hilum_self *own, const void *conf,
                     void **state)
{
    static const struct hilum_route route = {
        .cap = {.size = sizeof route,
                .kind = HILUM_CAP_ROUTE,
                .threads = HILUM_PARALLEL,
                .name = "router/word"},
        .methods = "GET,POST",
        .pattern = "/router/{word}",
        .permission = "find",
        .summary = "Does what is asked.",
        .body_max = HILUM_LENGTH_UNKNOWN,
        .run = run,
    };
    (void)conf;
    host = given;
    self = own;
    *state = NULL;
    return host->provide(self, &route.cap, NULL);
}

HILUM_EXPORT const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major, uint16_t host_minor)
{
    static const struct hilum_plugin plugin = {.magic = HILUM_MAGIC,
                                               .size = sizeof plugin,
                                               .abi_major = HILUM_ABI_MAJOR,
                                               .abi_minor = HILUM_ABI_MINOR,
                                               .id = PLUGIN_ID,
                                               .version = "1.0",
                                               .vendor = "test",
                                               .licence = "Apache-2.0",
                                               .init = init};
    (void)host_major;
    (void)host_minor;
    return &plugin;
}
