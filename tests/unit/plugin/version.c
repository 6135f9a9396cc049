/* One plugin, many versions: a codec, a hook and a command whose answers say which. What a version does wrong is a
 * definition of CMakeLists.txt. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hilum/codec.h"
#include "hilum/host.h"

#ifndef SWAP
#define SWAP HILUM_SWAP_BESIDE
#endif
#ifndef COMMAND
#define COMMAND "versioned ask"
#endif

struct state {
    const struct hilum_host *host;
    hilum_self *self;
    int is_alive;
};

static hilum_rc info(void *self, const struct hilum_coded *coded, struct hilum_code_info *out)
{
    (void)self;
    (void)coded;
    (void)out;
    return HILUM_EUNSUP;
}

/* The first byte says which version; a call after fini is what must never be. */
static hilum_rc decode(void *self, const struct hilum_coded *coded,
                       const struct hilum_decode *wanted, void *dst, uint64_t dst_size,
                       struct hilum_frame *out)
{
    const struct state *s = self;
    (void)wanted;
    (void)dst_size;
    *out = *coded->declared;
    if (!s->is_alive)
        abort();
#ifdef BAD
    return s->host->fail(s->self, HILUM_EIO, "this version is bad");
#endif
#ifdef REFUSES
    return s->host->fail(s->self, HILUM_EUNSUP, "this version refuses");
#endif
    *(unsigned char *)dst = VERSION;
    return HILUM_OK;
}

static const struct hilum_codec_syntax syntaxes[] = {{"1.2.3.4", HILUM_CODEC_DECODES, 10}, {0}};
static const struct hilum_codec codec = {
    .cap = {.size = sizeof codec,
            .kind = HILUM_CAP_CODEC,
#ifndef SERIAL
            .threads = HILUM_PARALLEL,
#endif
            .name = "versioned"},
    .syntaxes = syntaxes,
    .info = info,
    .decode = decode,
};

#ifndef PLAIN
static int32_t stored(void *arg, hilum_event *event)
{
    const struct state *s = arg;
    char number[16];
    snprintf(number, sizeof number, "%d", VERSION);
    s->host->event_reason(event, number);
    return HILUM_HOLD;
}

static hilum_rc ask(void *arg, struct hilum_call *call)
{
    char number[16];
    (void)arg;
    int n = snprintf(number, sizeof number, "%d", VERSION);
    return call->result.write(call->result.ctx, number, (uint64_t)n);
}

#endif

static hilum_rc init(const struct hilum_host *host, hilum_self *self, const void *conf,
                     void **state)
{
    struct state *s = calloc(1, sizeof *s);
    (void)conf;
    if (!s)
        return HILUM_ENOMEM;
    *s = (struct state){host, self, 1};
    *state = s;
#ifdef FAIL_INIT
    free(s);
    return host->fail(self, HILUM_EIO, "no init today");
#endif
#ifdef PLAIN
    return host->provide(self, &codec.cap, s);
#else
    const struct hilum_hook hook = {.size = sizeof hook,
                                    .phase = HILUM_FILTER,
                                    .event = "instance.received",
                                    .name = "versioned/received",
                                    .run = stored,
                                    .arg = s};
    const struct hilum_decl event = {.size = sizeof event,
                                     .type = HILUM_DECL_EVENT,
                                     .name = "versioned.asked",
                                     .summary = "It was asked."};
    const struct hilum_decl command = {.size = sizeof command,
                                       .type = HILUM_DECL_COMMAND,
                                       .name = COMMAND,
                                       .summary = "Says its version.",
                                       .permission = "status",
                                       .run = ask,
                                       .arg = s};
    hilum_rc rc = host->provide(self, &codec.cap, s);
    if (rc == HILUM_OK)
        rc = host->subscribe(self, &hook);
    if (rc == HILUM_OK)
        rc = host->declare(self, &event);
    return rc == HILUM_OK ? host->declare(self, &command) : rc;
#endif
}

static void fini(void *state)
{
    struct state *s = state;
    s->is_alive = 0;
    free(s);
}

static const struct hilum_plugin plugin = {
    .magic = HILUM_MAGIC,
    .size = sizeof plugin,
    .abi_major = HILUM_ABI_MAJOR,
    .id = "versioned",
    .version = VERSION_TEXT,
    .vendor = "test",
    .licence = "Apache-2.0",
    .init = init,
    .fini = fini,
    .swap = SWAP,
};

HILUM_EXPORT const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major, uint16_t host_minor)
{
    (void)host_major;
    (void)host_minor;
    return &plugin;
}
