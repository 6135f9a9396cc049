/* example-hl7: takes ADT messages about a patient who has died and says so in the log, without saying who. It
 * knows the SDK only. SPDX-License-Identifier: MIT */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "hilum/hl7.h"
#include "hilum/host.h"

struct listener {
    const struct hilum_host *host;
    hilum_self *self;
    atomic_ullong deaths;
};

static hilum_rc say(struct hilum_sink *sink, const char *text)
{
    return sink->write(sink->ctx, text, strlen(text));
}

/* Handlers of one type are asked one after the other: PASS_ON leaves the message to the next. */
static hilum_rc receive(void *instance, const struct hilum_hl7_api *api, hilum_hl7_message *message,
                        struct hilum_hl7_answer *answer)
{
    struct listener *listener = instance;
    const char *id = api->text(message, "PID-3.1"), *died = api->text(message, "PID-30");
    if (!id || !*id) {
        answer->error = 101; /* table 0357: required field missing */
        (void)say(&answer->text, "PID-3 is missing");
        return HILUM_EINVAL;
    }
    if (!died || strcmp(died, "Y") != 0)
        return HILUM_PASS_ON;
    atomic_fetch_add(&listener->deaths, 1);
    listener->host->log(listener->self, HILUM_LOG_INFO, "a patient is reported to have died");
    return HILUM_OK;
}

static hilum_rc init(const struct hilum_host *host, hilum_self *self, const void *conf,
                     void **state)
{
    static const char *const accepts[] = {"ADT^*", NULL};
    static const struct hilum_hl7 table = {
        .cap = {.size = sizeof table,
                .kind = HILUM_CAP_HL7,
                .threads = HILUM_PARALLEL,
                .name = "example-hl7"},
        .accepts = accepts,
        .receive = receive,
    };
    struct listener *listener = calloc(1, sizeof *listener);
    (void)conf;
    if (!listener)
        return host->fail(self, HILUM_ENOMEM, "no memory");
    listener->host = host;
    listener->self = self;
    hilum_rc rc = host->provide(self, &table.cap, listener);
    if (rc != HILUM_OK) {
        free(listener);
        return rc;
    }
    *state = listener;
    return HILUM_OK;
}

HILUM_EXPORT const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major, uint16_t host_minor)
{
    static const struct hilum_plugin plugin = {
        .magic = HILUM_MAGIC,
        .size = sizeof plugin,
        .abi_major = HILUM_ABI_MAJOR,
        .abi_minor = HILUM_ABI_MINOR,
        .id = "example-hl7",
        .version = "1.0.0",
        .vendor = "Example",
        .licence = "MIT",
        .init = init,
        .fini = free,
    };
    (void)host_major;
    (void)host_minor;
    return &plugin;
}
