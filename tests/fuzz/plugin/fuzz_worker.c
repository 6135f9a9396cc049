/* What a worker says of its plugin comes from code nobody vouches for: any bytes give a descriptor, a table, a hook or an
 * error. The first byte chooses which. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "core/base/log.h"
#include "core/plugin/remote/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static hilum_rc subscribe(hilum_self *self, const struct hilum_hook *hook)
{
    (void)self;
    return strlen(hook->event) + strlen(hook->name) > 100000 ? HILUM_EINVAL : HILUM_OK;
}

/* What was read is kept, so that no compiler leaves the reading out. */
static volatile size_t sum;

/* Everything a table says is read, as the registry does. */
static void look_at(const struct hilum_cap *cap)
{
    size_t n = strlen(cap->name);
    const struct hilum_codec *codec = (const struct hilum_codec *)(const void *)cap;
    for (const struct hilum_codec_syntax *s = cap->kind == HILUM_CAP_CODEC ? codec->syntaxes : NULL;
         s && s->uid; s++)
        n += strlen(s->uid);
    sum = n;
}

static void look_at_descriptor(const struct hilum_plugin *p)
{
    size_t n = p && p->id ? strlen(p->id) : 0;
    for (const struct hilum_option *o = p ? p->options : NULL; o && o->key; o++)
        n += strlen(o->key) + (o->help ? strlen(o->help) : 0);
    for (const char *const *need = p ? p->needs : NULL; need && *need; need++)
        n += strlen(*need);
    sum = n;
}

static void read_as(unsigned what, struct hl_remote *remote, struct hl_wire *wire)
{
    static const struct hilum_host table = {.size = sizeof table, .subscribe = subscribe};
    const struct hilum_plugin *plugin = NULL;
    const struct hilum_cap *cap = NULL;
    void *instance;
    bool is_parallel;
    hilum_rc rc = HILUM_EINVAL;
    switch (what % 7) {
    case 0:
        if (hl_remote_descriptor(remote, wire, &plugin) == HILUM_OK)
            look_at_descriptor(plugin);
        break;
    case 1: rc = hl_remote_codec(remote, 0, "x", wire, &cap, &instance); break;
    case 2: rc = hl_remote_operator(remote, 0, NULL, wire, &cap, &instance); break;
    case 3: rc = hl_remote_report(remote, 0, "x", wire, &cap, &instance); break;
    case 6: rc = hl_remote_hl7(remote, 0, "x", wire, &cap, &instance); break;
    case 4: rc = hl_remote_renderer(remote, 0, "x", wire, &cap, &instance); break;
    default: hl_remote_hook(remote, 0, wire, &table, remote->plugin, &is_parallel);
    }
    if (rc == HILUM_OK)
        look_at(cap);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct hl_wire wire;
    struct hilum_self plugin = {.id = "fuzz"};
    struct hl_remote remote = {.plugin = &plugin};
    if (size < 1 || size > 60000)
        return 0;
    hl_log_set_level(HL_ERROR);
    hl_wire_begin(&wire, HL_WIRE_REPLY, 1, 0);
    hl_wire_put_bytes(&wire, data + 1, size - 1);
    wire.at = sizeof(struct hl_wire_head);
    read_as(data[0], &remote, &wire);
    hl_arena_fini(&plugin.arena);
    return 0;
}
