/* Inside core/plugin: every call into a plugin passes a gate. A gate is what callers hold; behind it stands the version
 * of the plugin that answers now. So calls are counted, timed and serialised in one place, a plugin is replaced while others
 * hold its tables, and its memory goes only when nobody is inside. Gates live as long as the host.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_PLUGIN_GATE_H
#define HL_PLUGIN_GATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/buf.h"
#include "hilum/declare.h"
#include "hilum/host.h"

struct hl_plugins;

/* What calls of one version of a plugin came to. */
enum { GATE_BUCKETS = 28 }; /* of latency: 1, 2, 4 ... microseconds */
struct hl_tally {
    atomic_uint_fast64_t calls, errors, total_ns, buckets[GATE_BUCKETS];
};

/* What a plugin gave the host, as it gave it. `what` and `name` say which gates lead here. In
 * the arena of its owner. `cap` and `instance` are the plugin's; of the functions one is set,
 * for a hook or a declaration. */
struct hl_target {
    struct hilum_self *owner;
    uint32_t what; /* HILUM_CAP_*, or GATE_HOOK, GATE_DECL + HILUM_DECL_* */
    const char *name;
    bool is_serial;
    pthread_mutex_t serial;
    void *instance; /* self or arg of the functions below */
    const struct hilum_cap *cap;
    int32_t (*run_hook)(void *arg, hilum_event *event);
    hilum_rc (*run)(void *arg, struct hilum_call *call);
    hilum_rc (*read)(void *arg, hilum_event *event, const char *path, struct hilum_sink *out);
};
enum { GATE_HOOK = 100, GATE_DECL = 200 };

struct hl_gate {
    struct hl_gate *next;
    _Atomic(struct hl_target *) target; /* NULL: nobody answers */
    struct hl_target *home;             /* the last one that did; for whoever turns gates */
    const char *plugin;                 /* for messages */
};

/* One call under way. */
struct hl_passage {
    struct hl_target *target;
    int64_t since_ns;
    hilum_rc rc; /* why there is no passage */
};
/* false: nobody answers any more, rc and reason say so. Else leave follows on the same thread, and returns rc. */
bool hl_gate_enter(struct hl_gate *gate, struct hl_passage *out);
hilum_rc hl_gate_leave(struct hl_passage *passage, hilum_rc rc);

/* During init of the target's owner. A new gate that leads to it, kept by the host. NULL: no memory. */
struct hl_gate *hl_gate_new(struct hl_plugins *host, struct hl_target *target);
/* Gates whose home is in `from` lead to what is the same of `to` (NULL: to nobody, and stay at home where they are). One
 * caller at a time. */
void hl_gates_turn(struct hl_plugins *host, const struct hilum_self *from, struct hilum_self *to);
/* Waits until nobody is inside `plugin`, whose gates must have been turned. false: somebody still is. */
bool hl_gate_wait(struct hilum_self *plugin, uint32_t ms);

/* shims.c: the table callers see of a capability, whose functions pass the gate, as `instance`. A kind without one: cap
 * and instance themselves, and then the plugin cannot be replaced or taken away. HILUM_ENOMEM. */
hilum_rc hl_shim_new(struct hl_plugins *host, struct hl_target *target,
                     const struct hilum_cap **shown, void **instance);
/* May a plugin that provides this kind be replaced? */
bool hl_shim_has(uint32_t kind);
/* What stands in the place of a hook's and a declaration's functions; `gate` is their arg. A
 * hook that is switched off passes. */
int32_t hl_shim_hook(void *gate, hilum_event *event);
hilum_rc hl_shim_run(void *gate, struct hilum_call *call);
hilum_rc hl_shim_read(void *gate, hilum_event *event, const char *path, struct hilum_sink *out);

/* "calls", "errors", "mean_us", "p99_us" as members of a JSON object. */
void hl_tally_list(struct hl_tally *tally, struct hl_buf *json);

#endif
