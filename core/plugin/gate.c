/* Passing, counting, turning.
 *
 * A call costs two atomic additions and two looks at the clock. Entering and leaving take no
 * lock (but for a SERIAL table); turning is done by one thread at a time (hl_plugins.manage, or
 * the main thread).
 *
 * Why this works without a lock: a caller counts itself in and then looks at the gate again;
 * who turns the gate first turns and then looks at the count. In any order one of the two sees
 * the other, so nobody is in a version that has been found empty.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/plugin/gate.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/plugin/host.h"

/* ---- passing ---- */

/* Entered first, looked at again afterwards: whoever turns a gate and then sees nobody inside can be sure that nobody
 * comes. Both are sequentially consistent on purpose. */
static struct hl_target *step_in(struct hl_gate *gate)
{
    for (;;) {
        struct hl_target *target = atomic_load(&gate->target);
        if (!target)
            return NULL;
        atomic_fetch_add(&target->owner->inside, 1);
        if (atomic_load(&gate->target) == target)
            return target;
        hl_plugin_step_out(target->owner);
    }
}

/* The lock of a SERIAL table is taken inside, so that who waits for it counts as being inside. */
bool hl_gate_enter(struct hl_gate *gate, struct hl_passage *out)
{
    out->target = step_in(gate);
    if (!out->target) {
        out->rc =
            hl_fail(HILUM_ECLOSED,
                    "plugin %s is switched off; hilum plugin enable %s, or load, brings it back",
                    gate->plugin, gate->plugin);
        return false;
    }
    if (out->target->is_serial)
        pthread_mutex_lock(&out->target->serial);
    out->since_ns = hl_mono_ns();
    out->rc = HILUM_OK;
    return true;
}

/* What a caller or a peer brought upon itself is no fault of the plugin. So a rule that
 * refuses, or an object that is not there, never rolls a swap back. */
static bool is_error(hilum_rc rc)
{
    switch (rc) {
    case HILUM_ENOTFOUND:
    case HILUM_EEXISTS:
    case HILUM_EAGAIN:
    case HILUM_EDENIED:
    case HILUM_EUNSUP:
    case HILUM_ECANCELLED:
    case HILUM_ECONFLICT:
    case HILUM_ECLOSED: return false;
    default: return rc < 0;
    }
}

/* Relaxed: the numbers are for people and for the probation, which needs no order among them. */
static void count(struct hl_tally *tally, int64_t ns, bool is_bad)
{
    unsigned bucket = 0;
    for (int64_t us = ns / 1000; us > 1 && bucket < GATE_BUCKETS - 1; us >>= 1)
        bucket++;
    atomic_fetch_add_explicit(&tally->calls, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&tally->total_ns, (uint64_t)ns, memory_order_relaxed);
    atomic_fetch_add_explicit(&tally->buckets[bucket], 1, memory_order_relaxed);
    if (is_bad)
        atomic_fetch_add_explicit(&tally->errors, 1, memory_order_relaxed);
}

/* Counted before stepping out: afterwards the version may be gone, tally and all. */
hilum_rc hl_gate_leave(struct hl_passage *passage, hilum_rc rc)
{
    struct hl_target *target = passage->target;
    struct hilum_self *owner = target->owner;
    count(&owner->tally, hl_mono_ns() - passage->since_ns, is_error(rc));
    if (target->is_serial)
        pthread_mutex_unlock(&target->serial);
    if (atomic_load_explicit(&owner->on_probation, memory_order_relaxed))
        hl_swap_counted(owner);
    hl_plugin_step_out(owner);
    return rc;
}

/* Wakes who waits for the last one, but only if somebody does: the lock would else be taken by
 * every call. */
void hl_plugin_step_out(struct hilum_self *plugin)
{
    /* What is needed afterwards is the host's: the last one out may have been all that kept the plugin. */
    struct hl_plugins *host = plugin->host;
    bool is_awaited = atomic_load(&plugin->awaited);
    if (atomic_fetch_sub(&plugin->inside, 1) == 1 && is_awaited) {
        pthread_mutex_lock(&host->lock);
        pthread_cond_broadcast(&host->idle);
        pthread_mutex_unlock(&host->lock);
    }
}

/* Only after its gates were turned: before, somebody new may step in at any time. */
bool hl_gate_wait(struct hilum_self *plugin, uint32_t ms)
{
    struct hl_plugins *host = plugin->host;
    int64_t deadline = hl_mono_ms() + ms;
    bool is_empty;
    atomic_store(&plugin->awaited, true);
    pthread_mutex_lock(&host->lock);
    while (!(is_empty = atomic_load(&plugin->inside) == 0) && hl_mono_ms() < deadline) {
        /* Short: one that stepped in before it could see that it is awaited wakes nobody. */
        int64_t until_ms = hl_mono_ms() + 10;
        struct timespec until = hl_mono_timespec(until_ms);
        pthread_cond_timedwait(&host->idle, &host->lock, &until);
    }
    pthread_mutex_unlock(&host->lock);
    return is_empty;
}

/* ---- making and turning ---- */

struct hl_gate *hl_gate_new(struct hl_plugins *host, struct hl_target *target)
{
    struct hl_gate *gate = hl_arena_alloc(&host->arena, sizeof *gate);
    if (!gate)
        return NULL;
    gate->plugin = target->owner->id;
    gate->home = target;
    atomic_init(&gate->target, target);
    gate->next = host->gates;
    host->gates = gate;
    return gate;
}

/* What of `plugin` has the same kind and name; NULL: it no longer provides it. */
static struct hl_target *same_of(struct hilum_self *plugin, const struct hl_target *target)
{
    for (size_t i = 0; plugin && i < plugin->n_targets; i++) {
        struct hl_target *other = plugin->targets[i];
        if (other->what == target->what && strcmp(other->name, target->name) == 0)
            return other;
    }
    return NULL;
}

/* `home` stays where it was if `to` has nothing like it, so that a later version that has it
 * again is found. With `registry` write-locked or before anybody looks; the list only grows,
 * at its head. */
void hl_gates_turn(struct hl_plugins *host, const struct hilum_self *from, struct hilum_self *to)
{
    for (struct hl_gate *gate = host->gates; gate; gate = gate->next) {
        if (gate->home->owner != from)
            continue;
        struct hl_target *target = same_of(to, gate->home);
        if (target)
            gate->home = target;
        atomic_store(&gate->target, target);
    }
}

/* ---- for people ---- */

/* The upper end of the bucket in which the 99th of a hundred calls lies. */
static uint64_t p99_us(struct hl_tally *tally, uint64_t calls)
{
    uint64_t seen = 0;
    for (unsigned i = 0; i < GATE_BUCKETS; i++) {
        seen += atomic_load_explicit(&tally->buckets[i], memory_order_relaxed);
        if (seen * 100 >= calls * 99)
            return 2ull << i;
    }
    return 2ull << GATE_BUCKETS;
}

void hl_tally_list(struct hl_tally *tally, struct hl_buf *json)
{
    uint64_t calls = atomic_load(&tally->calls), errors = atomic_load(&tally->errors);
    hl_buf_printf(json, ",\"calls\":%" PRIu64 ",\"errors\":%" PRIu64, calls, errors);
    if (calls)
        hl_buf_printf(json, ",\"mean_us\":%" PRIu64 ",\"p99_us\":%" PRIu64,
                      atomic_load(&tally->total_ns) / 1000 / calls, p99_us(tally, calls));
}
