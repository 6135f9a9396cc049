/* A plugin of which the build makes many: what it does right or wrong is a definition of
 * CMakeLists.txt. It tells the test what runs by asking host->allow(<step>).
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "hilum/host.h"
#include "hilum/store.h"

#ifndef MAGIC
#define MAGIC HILUM_MAGIC
#endif
#ifndef MAJOR
#define MAJOR HILUM_ABI_MAJOR
#endif
#ifndef MINOR
#define MINOR HILUM_ABI_MINOR
#endif
#ifndef SIZE
#define SIZE sizeof(struct hilum_plugin)
#endif
#ifndef TAG
#define TAG NULL
#endif
#ifndef CLAIM
#define CLAIM PLUGIN_ID
#endif
#ifndef CONF_SIZE
#define CONF_SIZE sizeof(struct conf)
#endif
#ifndef HOOK_RUN
#define HOOK_RUN on_stored
#endif
#ifndef HOOK_AFTER
#define HOOK_AFTER NULL
#endif

struct conf {
    const char *name, *root, *password;
    int64_t count, size, wait;
    int32_t flag;
};

struct state {
    const struct hilum_host *host;
    hilum_self *self;
    unsigned stored;
};

static void tell(struct state *s, const char *step)
{
    s->host->allow(s->self, NULL, step, NULL);
}

#if defined PROVIDE_STORE || defined PROVIDE_LATE
static const struct hilum_store store = {
    .cap = {.size = sizeof store,
            .kind = HILUM_CAP_STORE,
            .threads = HILUM_PARALLEL,
#ifdef PROVIDE_STORE
            .name = PROVIDE_STORE
#else
            .name = "late"
#endif
    },
};
#endif

#ifdef PROVIDE_KIND
static const struct hilum_cap new_kind = {
    .size = sizeof new_kind, .kind = PROVIDE_KIND, .name = "new"};
#endif

#ifdef PROVIDE_SERVICE
static hilum_rc handle(void *self, hilum_exchange *exchange)
{
    (void)self;
    (void)exchange;
    return HILUM_OK;
}
static const char *const sop_classes[] = {"1.2.840.10008.5.1.4.31", NULL};
static const struct hilum_service service = {
    .cap = {.size = sizeof service, .kind = HILUM_CAP_SERVICE, .name = PLUGIN_ID},
    .sop_classes = sop_classes,
    .handle = handle,
};
#endif

#ifdef WITH_HOOK
__attribute__((unused)) static int32_t on_stored(void *arg, hilum_event *event)
{
    struct state *s = arg;
    const char *modality;
    if (s->host->event_text(event, "Modality", &modality) != HILUM_OK)
        return s->host->fail(s->self, HILUM_EINVAL, "no modality");
    s->stored++;
    tell(s, modality);
    return s->host->event_plan(event, "good_note", "{\"seen\":1}");
}
#endif

#ifdef WITH_DECLS
static hilum_rc command(void *arg, struct hilum_call *call)
{
    struct state *s = arg;
    (void)call;
    return s->host->publish(s->self, "good.made", "{\"n\":1}");
}
static const struct hilum_decl decls[] = {
    {.size = sizeof(struct hilum_decl),
     .type = HILUM_DECL_EVENT,
     .name = "good.made",
     .fields = "n:int why?:text"},
    {.size = sizeof(struct hilum_decl),
     .type = HILUM_DECL_COMMAND,
     .name = "good make",
     .permission = "admin",
     .run = command},
};
#endif

#ifdef WITH_OPTIONS
static hilum_rc check_conf(struct state *s, const struct conf *conf)
{
    const char *data = s->host->data_dir(s->self);
    size_t n = strlen(data);
    if (strcmp(conf->name, "b") != 0 || conf->count != 7 || conf->size != 4096 ||
        conf->wait != 1500 || conf->flag != 1 || conf->password != NULL)
        return s->host->fail(s->self, HILUM_EINVAL, "options are not what the test wrote");
    if (strncmp(conf->root, data, n) != 0 || strcmp(conf->root + n, "/objects") != 0)
        return s->host->fail(s->self, HILUM_EINVAL, "path is not below the data directory");
    return HILUM_OK;
}
#endif

static hilum_rc register_all(struct state *s)
{
    hilum_rc rc = HILUM_OK;
    (void)s;
#ifdef PROVIDE_STORE
    s->host->provide(s->self, &store.cap, s); /* the result is ignored on purpose */
#endif
#ifdef PROVIDE_KIND
    rc = s->host->provide(s->self, &new_kind, s);
#endif
#ifdef PROVIDE_SERVICE
    rc = s->host->provide(s->self, &service.cap, s);
#endif
#ifdef WITH_HOOK
    struct hilum_hook hook = {.size = sizeof hook,
                              .phase = HILUM_NOTIFY,
                              .event = "instance.stored",
                              .name = PLUGIN_ID "/stored",
                              .after = HOOK_AFTER,
                              .run = HOOK_RUN,
                              .arg = s};
    rc = s->host->subscribe(s->self, &hook);
#endif
#ifdef WITH_DECLS
    for (size_t i = 0; i < sizeof decls / sizeof decls[0] && rc == HILUM_OK; i++) {
        struct hilum_decl decl = decls[i];
        decl.arg = s;
        rc = s->host->declare(s->self, &decl);
    }
#endif
    return rc;
}

static hilum_rc init(const struct hilum_host *host, hilum_self *self, const void *conf, void **out)
{
    struct state *s = calloc(1, sizeof *s);
    if (!s)
        return HILUM_ENOMEM;
    s->host = host;
    s->self = self;
    tell(s, "init");
    hilum_rc rc = register_all(s);
#ifdef FAIL_INIT
    rc = host->fail(self, HILUM_EIO, "the disk is on fire");
#endif
#ifdef WITH_OPTIONS
    if (rc == HILUM_OK)
        rc = check_conf(s, conf);
#else
    (void)conf;
#endif
    if (rc != HILUM_OK) {
        free(s);
        return rc;
    }
    *out = s;
    return HILUM_OK;
}

static hilum_rc start(void *state)
{
    struct state *s = state;
    tell(s, "start");
#ifdef PROVIDE_LATE
    if (s->host->provide(s->self, &store.cap, s) == HILUM_EDENIED)
        tell(s, "denied");
#endif
#ifdef FAIL_START
    return s->host->fail(s->self, HILUM_EIO, "the port is taken");
#else
    return HILUM_OK;
#endif
}

#ifdef IS_DOOR
static hilum_rc ready(void *state)
{
    tell(state, "ready");
    return HILUM_OK;
}
#endif

static void drain(void *state, uint32_t deadline_ms)
{
    (void)deadline_ms;
    tell(state, "drain");
}

static void fini(void *state)
{
    tell(state, "fini");
    free(state);
}

#ifdef EXPORT_MORE
HILUM_EXPORT int helper_everybody_sees(void);
int helper_everybody_sees(void)
{
    return 1;
}
#endif

HILUM_EXPORT const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major, uint16_t host_minor)
{
#ifdef WITH_OPTIONS
    static const struct hilum_option options[] = {
        {"name", HILUM_OPT_STR | HILUM_OPT_REQUIRED, offsetof(struct conf, name), "a", "a|b",
         "A choice."},
        {"root", HILUM_OPT_PATH, offsetof(struct conf, root), "objects", NULL, "A directory."},
        {"password", HILUM_OPT_SECRET, offsetof(struct conf, password), NULL, NULL, "A secret."},
        {"count", HILUM_OPT_INT | HILUM_OPT_REQUIRED, offsetof(struct conf, count), NULL, "1..64",
         "How many."},
        {"size", HILUM_OPT_BYTES, offsetof(struct conf, size), "4KiB", "1KiB..1MiB", "How big."},
        {"wait", HILUM_OPT_MSEC, offsetof(struct conf, wait), "5s", "..1m", "How long."},
        {"flag", HILUM_OPT_BOOL, offsetof(struct conf, flag), "true", NULL, "Whether."},
        {0},
    };
#endif
#ifdef NEEDS
    static const char *const needs[] = {NEEDS, NULL};
#endif
#ifdef PROMISES
    static const char *const provides[] = {PROMISES, NULL};
#endif
#ifdef WANTS
    static const char *const wants[] = {WANTS, NULL};
#endif
    static const struct hilum_plugin plugin = {
        .magic = MAGIC,
        .size = SIZE,
        .abi_major = MAJOR,
        .abi_minor = MINOR,
        .conf_size = CONF_SIZE,
        .id = CLAIM,
        .version = "1.2.3",
        .vendor = "Test",
        .licence = "Apache-2.0",
        .abi_tag = TAG,
#ifdef WITH_OPTIONS
        .options = options,
#endif
#ifdef NEEDS
        .needs = needs,
#endif
#ifdef WANTS
        .wants = wants,
#endif
        .init = init,
        .start = start,
        .drain = drain,
        .fini = fini,
#ifdef IS_DOOR
        .ready = ready,
#endif
#ifdef PROMISES
        .provides = provides,
#endif
    };
    (void)host_major;
    (void)host_minor;
#ifdef ENTRY_NULL
    return plugin.conf_size ? NULL : &plugin;
#else
    return &plugin;
#endif
}
