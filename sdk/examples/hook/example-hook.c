/* example-hook: the smallest useful plugin. It counts stored instances of one modality and answers the command
 * `hilum example-hook count`. It knows the SDK only. SPDX-License-Identifier: MIT */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hilum/host.h"

/* Filled in by the host before init; read-only. */
struct conf {
    const char *greeting;
};

struct counter {
    const struct hilum_host *host;
    hilum_self *self;
    const struct conf *conf;
    atomic_ullong seen;
};

/* The host enters it for CT only (`where`). It is PARALLEL, so it may run on several threads at once. */
static int32_t on_stored(void *arg, hilum_event *event)
{
    struct counter *counter = arg;
    const char *sop_class;
    if (counter->host->event_text(event, "SOPClassUID", &sop_class) != HILUM_OK)
        return counter->host->fail(counter->self, HILUM_EINVAL, "event without SOPClassUID");
    atomic_fetch_add(&counter->seen, 1);
    return HILUM_PASS;
}

static hilum_rc count(void *arg, struct hilum_call *call)
{
    struct counter *counter = arg;
    char json[64];
    int n = snprintf(json, sizeof json, "{\"seen\":%llu}", atomic_load(&counter->seen));
    return call->result.write(call->result.ctx, json, (uint64_t)n);
}

static hilum_rc init(const struct hilum_host *host, hilum_self *self, const void *conf,
                     void **state)
{
    struct counter *counter = calloc(1, sizeof *counter);
    if (!counter)
        return host->fail(self, HILUM_ENOMEM, "no memory");
    counter->host = host;
    counter->self = self;
    counter->conf = conf;
    struct hilum_hook hook = {.size = sizeof hook,
                              .phase = HILUM_NOTIFY,
                              .event = "instance.stored",
                              .name = "example-hook/count",
                              .where = "Modality=CT",
                              .run = on_stored,
                              .arg = counter,
                              .threads = HILUM_PARALLEL};
    struct hilum_decl command = {.size = sizeof command,
                                 .type = HILUM_DECL_COMMAND,
                                 .name = "example-hook count",
                                 .summary = "CT instances stored since the start.",
                                 .permission = "status",
                                 .run = count,
                                 .arg = counter};
    hilum_rc rc = host->subscribe(self, &hook);
    if (rc == HILUM_OK)
        rc = host->declare(self, &command);
    if (rc != HILUM_OK) {
        free(counter); /* fini is not called after a failed init */
        return rc;
    }
    *state = counter;
    return HILUM_OK;
}

static hilum_rc start(void *state)
{
    struct counter *counter = state;
    counter->host->log(counter->self, HILUM_LOG_INFO, counter->conf->greeting);
    return HILUM_OK;
}

static void fini(void *state)
{
    free(state);
}

HILUM_EXPORT const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major, uint16_t host_minor)
{
    static const struct hilum_option options[] = {
        {"greeting", HILUM_OPT_STR, offsetof(struct conf, greeting), "hello", NULL,
         "What is logged at the start."},
        {0},
    };
    static const struct hilum_plugin plugin = {
        .magic = HILUM_MAGIC,
        .size = sizeof plugin,
        .abi_major = HILUM_ABI_MAJOR,
        .abi_minor = HILUM_ABI_MINOR,
        .conf_size = sizeof(struct conf),
        .id = "example-hook",
        .version = "1.0.0",
        .vendor = "Example",
        .licence = "MIT",
        .options = options,
        .init = init,
        .start = start,
        .fini = fini,
    };
    (void)host_major;
    (void)host_minor;
    return &plugin;
}
