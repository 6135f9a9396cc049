/* Asks the codec "hostile" for something with each object that arrives, in the way of its C-STORE: now and then something
 * good, mostly harm. Its command tells how it went. SPDX-License-Identifier: Apache-2.0 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hilum/codec.h"
#include "hilum/host.h"

enum { SIDE = 64, PIXELS = SIDE * SIDE };

struct state {
    const struct hilum_host *host;
    hilum_self *self;
    atomic_uint next, good, lost, wrong;
};

static const char *const words[] = {
    "work",   "null", "work",       "loop", "work",   "fork", "work",     "exec",  "work",
    "malloc", "work", "destructor", "work", "exit",   "work", "nonsense", "work",  "lie",
    "socket", "work", "kill",       "work", "thread", "work", "settle",   "tables"};

static hilum_rc decode(const struct state *s, const char *word, unsigned char *pixels)
{
    const struct hilum_cap *cap;
    void *instance;
    unsigned char stream[PIXELS];
    struct hilum_frame out = {.size = sizeof out};
    const struct hilum_frame declared = {.size = sizeof declared,
                                         .columns = SIDE,
                                         .rows = SIDE,
                                         .samples = 1,
                                         .bits_allocated = 8,
                                         .bits_stored = 8};
    const struct hilum_fragment fragment = {stream, PIXELS};
    const struct hilum_coded coded = {.size = sizeof coded,
                                      .n_fragments = 1,
                                      .fragments = &fragment,
                                      .transfer_syntax = "1.2.3.4",
                                      .declared = &declared};
    memset(stream, ' ', sizeof stream);
    memcpy(stream, word, strlen(word));
    hilum_rc rc = s->host->acquire(s->self, HILUM_CAP_CODEC, "hostile", &cap, &instance);
    if (rc != HILUM_OK)
        return rc;
    rc = ((const struct hilum_codec *)(const void *)cap)
             ->decode(instance, &coded, NULL, pixels, PIXELS, &out);
    s->host->unpin(s->self, cap);
    return rc;
}

static int32_t received(void *arg, hilum_event *event)
{
    struct state *s = arg;
    unsigned char pixels[PIXELS];
    unsigned i = atomic_fetch_add(&s->next, 1) % (sizeof words / sizeof *words);
    hilum_rc rc = decode(s, words[i], pixels);
    (void)event;
    if (rc != HILUM_OK)
        atomic_fetch_add(&s->lost, 1);
    else if (pixels[0] == (unsigned char)~words[i][0])
        atomic_fetch_add(&s->good, 1);
    if (strcmp(words[i], "work") == 0 && rc != HILUM_OK)
        atomic_fetch_add(&s->wrong, 1);
    return HILUM_PASS;
}

static hilum_rc counts(void *arg, struct hilum_call *call)
{
    struct state *s = arg;
    char text[128];
    int n = snprintf(text, sizeof text, "{\"good\": %u, \"lost\": %u, \"wrong\": %u}",
                     atomic_load(&s->good), atomic_load(&s->lost), atomic_load(&s->wrong));
    return call->result.write(call->result.ctx, text, (uint64_t)n);
}

static hilum_rc init(const struct hilum_host *host, hilum_self *self, const void *conf,
                     void **state)
{
    struct state *s = calloc(1, sizeof *s);
    (void)conf;
    if (!s)
        return HILUM_ENOMEM;
    s->host = host;
    s->self = self;
    *state = s;
    const struct hilum_hook hook = {.size = sizeof hook,
                                    .phase = HILUM_FILTER,
                                    .event = "instance.received",
                                    .name = "hostile-caller/received",
                                    .run = received,
                                    .arg = s,
                                    .deadline_ms = 60000,
                                    .threads = HILUM_PARALLEL};
    const struct hilum_decl command = {.size = sizeof command,
                                       .type = HILUM_DECL_COMMAND,
                                       .name = "hostile counts",
                                       .summary = "How the calls went.",
                                       .permission = "status",
                                       .run = counts,
                                       .arg = s};
    hilum_rc rc = host->subscribe(self, &hook);
    return rc == HILUM_OK ? host->declare(self, &command) : rc;
}

static void fini(void *state)
{
    free(state);
}

static const struct hilum_plugin plugin = {
    .magic = HILUM_MAGIC,
    .size = sizeof plugin,
    .abi_major = HILUM_ABI_MAJOR,
    .id = "hostile-caller",
    .version = "1.0",
    .vendor = "test",
    .licence = "Apache-2.0",
    .init = init,
    .fini = fini,
};

HILUM_EXPORT const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major, uint16_t host_minor)
{
    (void)host_major;
    (void)host_minor;
    return &plugin;
}
