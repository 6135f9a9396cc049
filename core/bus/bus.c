/* The bus itself: declared events, owners' hook sets, and the generation in force. It knows nothing
 * of how hooks are ordered or run. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/bus/hooks.h"
#include "core/config/config.h"

/* `state` packs the slot of the generation in force (upper 8 bits) and the number of pins taken on
 * it since it was published (lower 56). A reader therefore learns the generation and holds it in
 * one atomic addition, without a lock and without a moment in which it has the pointer and no
 * reference. The publisher swaps `state`, learns how many pins the old generation gave out, and
 * adds that number to its balance; leaving readers subtract. Whoever brings the balance to zero
 * frees it. */
#define SLOT_SHIFT      56
#define PIN_MASK        ((UINT64_C(1) << SLOT_SHIFT) - 1)
#define GENERATION_LIVE (INT64_C(1) << 60) /* no number of pins reaches it */

struct hl_bus {
    _Atomic uint64_t state;
    struct generation *_Atomic slots[MAX_GENERATIONS];
    pthread_mutex_t lock; /* everything below, and publishing */
    struct hook_set **sets;
    size_t n_sets, cap_sets;
    struct event_catalogue events;
    size_t cap_names, cap_phases;
    struct hl_tickets *tickets;
};

#define NOTIFY_ONLY (1u << HILUM_NOTIFY)
#define FILTER_ONLY (1u << HILUM_FILTER)

static const struct {
    const char *event;
    unsigned phases;
} kernel_events[] = {
    {"association.requested", FILTER_ONLY},
    {"association.accepted", NOTIFY_ONLY},
    {"association.rejected", NOTIFY_ONLY},
    {"association.released", NOTIFY_ONLY},
    {"association.aborted", NOTIFY_ONLY},
    {"instance.offered", FILTER_ONLY},
    {"instance.received", FILTER_ONLY | 1u << HILUM_TRANSFORM | 1u << HILUM_COMMIT},
    {"instance.stored", NOTIFY_ONLY},
    {"instance.duplicated", NOTIFY_ONLY},
    {"instance.quarantined", NOTIFY_ONLY},
    {"instance.edited", NOTIFY_ONLY},
    {"instance.corrupted", NOTIFY_ONLY},
    {"instance.deleted", NOTIFY_ONLY},
    {"object.erased", NOTIFY_ONLY},
    {"series.updated", NOTIFY_ONLY},
    {"study.created", NOTIFY_ONLY},
    {"study.updated", NOTIFY_ONLY},
    {"study.complete", NOTIFY_ONLY},
    {"study.deleted", NOTIFY_ONLY},
    {"patient.conflicted", NOTIFY_ONLY},
    {"patient.merged", NOTIFY_ONLY},
    {"query.received", FILTER_ONLY | 1u << HILUM_TRANSFORM},
    {"query.answered", NOTIFY_ONLY},
    {"retrieve.requested", FILTER_ONLY},
    {"retrieve.done", NOTIFY_ONLY},
    {"job.done", NOTIFY_ONLY},
    {"job.failed", NOTIFY_ONLY},
    {"plugin.started", NOTIFY_ONLY},
    {"plugin.crashed", NOTIFY_ONLY},
    {"plugin.quarantined", NOTIFY_ONLY},
    {"plugin.swapped", NOTIFY_ONLY},
    {"plugin.stopped", NOTIFY_ONLY},
    {"rule.failed", NOTIFY_ONLY},
    {"rule.reloaded", NOTIFY_ONLY},
    {"config.reloaded", NOTIFY_ONLY},
    {"access.glass_broken", NOTIFY_ONLY},
    {"user.signed_in", NOTIFY_ONLY},
    {"user.refused", NOTIFY_ONLY},
    {"disk.low", NOTIFY_ONLY},
    {"schedule.due", NOTIFY_ONLY},
};

/* ---- declared events ---- */

/* Linear: some forty names, asked when hooks are registered, never when they run. */
static size_t event_find(const struct event_catalogue *events, const char *name)
{
    for (size_t i = 0; i < events->n; i++)
        if (strcmp(events->names[i], name) == 0)
            return i;
    return SIZE_MAX;
}

/* Lock held (in hl_bus_new nobody else has the bus yet). Two parallel arrays: names alone go to
 * "did you mean". */
static hilum_rc event_add(struct hl_bus *bus, const char *name, unsigned phases)
{
    struct event_catalogue *events = &bus->events;
    if (event_find(events, name) != SIZE_MAX)
        return hl_fail(HILUM_EEXISTS, "event %s: declared already", name);
    char *copy = strdup(name);
    if (!copy || !hl_grow(&events->names, &bus->cap_names, events->n, sizeof *events->names) ||
        !hl_grow(&events->phases, &bus->cap_phases, events->n, sizeof *events->phases)) {
        free(copy);
        return hl_fail(HILUM_ENOMEM, "event %s: no memory", name);
    }
    events->names[events->n] = copy;
    events->phases[events->n++] = phases;
    return HILUM_OK;
}

hilum_rc hl_bus_declare(struct hl_bus *bus, const char *event, unsigned phases)
{
    const unsigned known =
        1u << HILUM_FILTER | 1u << HILUM_TRANSFORM | 1u << HILUM_COMMIT | 1u << HILUM_NOTIFY;
    /* The form is enforced because `where`, Lua and the journal all print and split these names. */
    const char *dot = strchr(event, '.');
    if (!dot || dot == event || !dot[1] || strpbrk(event, " ,;\n") || strlen(event) > 95)
        return hl_fail(HILUM_EINVAL, "event \"%s\": expected a name like noun.past_participle",
                       event);
    if (!phases || (phases & ~known))
        return hl_fail(HILUM_EINVAL, "event %s: phases 0x%x are not or-ed 1 << HILUM_FILTER ...",
                       event, phases);
    pthread_mutex_lock(&bus->lock);
    hilum_rc rc = event_add(bus, event, phases);
    pthread_mutex_unlock(&bus->lock);
    return rc;
}

void hl_bus_set_keywords(struct hl_bus *bus, bool (*is_keyword)(const char *name))
{
    bus->events.is_keyword = is_keyword;
}

/* Under the lock, since a plugin may declare at the same time. */
bool hl_bus_has_event(struct hl_bus *bus, const char *event)
{
    pthread_mutex_lock(&bus->lock);
    bool found = event_find(&bus->events, event) != SIZE_MAX;
    pthread_mutex_unlock(&bus->lock);
    return found;
}

/* ---- generations ---- */

/* Acquire pairs with the release of exchange(): whoever sees the new slot number sees what is in the
 * slot. The slot cannot be given to another generation before this pin is returned, so the second
 * load needs no order of its own. */
struct generation *hl_bus_pin(struct hl_bus *bus)
{
    uint64_t state = atomic_fetch_add_explicit(&bus->state, 1, memory_order_acquire);
    return atomic_load_explicit(&bus->slots[state >> SLOT_SHIFT], memory_order_relaxed);
}

/* The slot is given back before the memory: a publisher that finds it empty never touches this
 * generation again. */
static void reclaim(struct hl_bus *bus, struct generation *generation)
{
    atomic_store_explicit(&bus->slots[generation->slot], NULL, memory_order_release);
    hl_generation_free(generation);
}

/* acq_rel: everything this reader did with the hooks happens before whoever frees them. */
void hl_bus_unpin(struct hl_bus *bus, struct generation *generation)
{
    if (atomic_fetch_sub_explicit(&generation->balance, 1, memory_order_acq_rel) == 1)
        reclaim(bus, generation);
}

/* Puts `next` in force; the caller retires the one returned. Under the lock. */
static struct generation *exchange(struct hl_bus *bus, struct generation *next, unsigned slot,
                                   uint64_t *pins)
{
    next->slot = slot;
    atomic_init(&next->balance, GENERATION_LIVE);
    atomic_store_explicit(&bus->slots[slot], next, memory_order_release);
    uint64_t old =
        atomic_exchange_explicit(&bus->state, (uint64_t)slot << SLOT_SHIFT, memory_order_acq_rel);
    *pins = old & PIN_MASK;
    return atomic_load_explicit(&bus->slots[old >> SLOT_SHIFT], memory_order_relaxed);
}

/* Until this runs no leaving reader can reach zero, since the balance is 2^60 too high; afterwards
 * exactly one of them, or this call, does. */
static void retire(struct hl_bus *bus, struct generation *generation, uint64_t pins)
{
    int64_t delta = (int64_t)pins - GENERATION_LIVE;
    if (atomic_fetch_add_explicit(&generation->balance, delta, memory_order_acq_rel) + delta == 0)
        reclaim(bus, generation);
}

/* Lock held. Only reclaim() empties a slot, from any thread; acquire pairs with its release. */
static unsigned free_slot(struct hl_bus *bus)
{
    unsigned slot = 0;
    while (slot < MAX_GENERATIONS && atomic_load_explicit(&bus->slots[slot], memory_order_acquire))
        slot++;
    return slot;
}

/* ---- replacing ---- */

/* n_sets: the owner has registered nothing yet, and that is its place. */
static size_t owner_find(const struct hl_bus *bus, const char *owner)
{
    for (size_t i = 0; i < bus->n_sets; i++)
        if (strcmp(bus->sets[i]->owner, owner) == 0)
            return i;
    return bus->n_sets;
}

/* What a replacement leaves to be done when the lock is no longer held. */
struct aftermath {
    struct generation *old;
    uint64_t pins;
    struct hook_set *dropped; /* the set replaced, NULL if there was none */
};

/* Lock held. From here on readers get the new generation; the old one lives until its last
 * reader leaves. */
static hilum_rc publish(struct hl_bus *bus, struct generation *next, struct hook_set *set,
                        size_t place, struct aftermath *after)
{
    unsigned slot = free_slot(bus);
    if (slot == MAX_GENERATIONS) {
        hl_generation_free(next);
        return hl_fail(HILUM_EAGAIN, "hooks of %s: %d older generations are still in use",
                       set->owner, MAX_GENERATIONS);
    }
    atomic_fetch_add_explicit(&set->refs, 1, memory_order_relaxed);
    /* The bus and the generation hold one reference each; the caller drops the one it came with. */
    if (place < bus->n_sets)
        after->dropped = bus->sets[place];
    else
        bus->n_sets++;
    bus->sets[place] = set;
    after->old = exchange(bus, next, slot, &after->pins);
    return HILUM_OK;
}

/* Text of the fault after the first `before`: the list may hold other people's. */
static const char *new_fault(const struct hl_faults *faults, size_t before)
{
    const struct hl_fault *fault = faults->first;
    while (fault && before--)
        fault = fault->next;
    return fault ? fault->text : "no memory";
}

static hilum_rc swap_set(struct hl_bus *bus, struct hook_set *set, bool dry_run,
                         struct hl_faults *faults, struct aftermath *after)
{
    size_t place = owner_find(bus, set->owner), count = bus->n_sets + (place == bus->n_sets);
    if (!hl_grow(&bus->sets, &bus->cap_sets, bus->n_sets, sizeof *bus->sets))
        return hl_fail(HILUM_ENOMEM, "hooks of %s: no memory", set->owner);
    /* The new set stands in the table only while the order is computed: on a fault the table is as it was,
     * and a dry run is the same code without the last step. */
    struct hook_set *replaced = bus->sets[place];
    bus->sets[place] = set;
    size_t faults_before = faults->count;
    struct generation *next = hl_generation_new(bus->sets, count, faults);
    bus->sets[place] = replaced;
    if (!next && faults->count == faults_before)
        return HILUM_ENOMEM;
    if (!next)
        return hl_fail(HILUM_EINVAL, "hooks of %s: %s", set->owner,
                       new_fault(faults, faults_before));
    if (!dry_run)
        return publish(bus, next, set, place, after);
    hl_generation_free(next);
    return HILUM_OK;
}

/* References are dropped and release callbacks run outside the lock: they may use the bus. */
static void finish_swap(struct hl_bus *bus, struct aftermath *after, void (*release)(void *arg),
                        void *release_arg)
{
    /* Set before the old generation is retired. Any older generation that still holds the set cannot be
     * the last to drop it while our reference lives. */
    if (after->dropped) {
        after->dropped->release = release;
        after->dropped->release_arg = release_arg;
    }
    retire(bus, after->old, after->pins);
    if (after->dropped)
        hl_hook_set_unref(after->dropped);
    else if (release)
        release(release_arg);
}

/* Two steps under one lock are enough: readers never take it. */
static hilum_rc replace(struct hl_bus *bus, struct hook_set *set, void (*release)(void *arg),
                        void *release_arg, bool dry_run, struct hl_faults *faults)
{
    struct aftermath after = {0};
    pthread_mutex_lock(&bus->lock);
    hilum_rc rc = swap_set(bus, set, dry_run, faults, &after);
    pthread_mutex_unlock(&bus->lock);
    if (rc == HILUM_OK && !dry_run)
        finish_swap(bus, &after, release, release_arg);
    hl_hook_set_unref(set);
    return rc;
}

hilum_rc hl_bus_replace(struct hl_bus *bus, const char *owner, const struct hl_hook_source *hooks,
                        size_t n, void (*release)(void *arg), void *release_arg, bool dry_run,
                        struct hl_faults *faults)
{
    struct hl_faults ignored = {0};
    struct hl_faults *found = faults ? faults : &ignored;
    size_t before = found->count;
    pthread_mutex_lock(&bus->lock);
    struct hook_set *set = hl_hook_set_new(owner, hooks, n, &bus->events, found);
    pthread_mutex_unlock(&bus->lock);
    hilum_rc rc = set ? replace(bus, set, release, release_arg, dry_run, found)
                      : hl_fail(HILUM_EINVAL, "hooks of %s: %s", owner, new_fault(found, before));
    hl_faults_fini(&ignored);
    return rc;
}

/* ---- life ---- */

/* Generation 0 has no hooks, so that there is always one in force. */
hilum_rc hl_bus_new(struct hl_bus **out)
{
    *out = NULL;
    struct hl_faults none = {0};
    struct hl_bus *bus = calloc(1, sizeof *bus);
    struct generation *first = hl_generation_new(NULL, 0, &none);
    if (bus)
        bus->tickets = hl_tickets_new();
    if (!bus || !bus->tickets || !first) {
        hl_tickets_free(bus ? bus->tickets : NULL);
        free(bus);
        hl_generation_free(first);
        return hl_fail(HILUM_ENOMEM, "bus: no memory");
    }
    pthread_mutex_init(&bus->lock, NULL);
    atomic_init(&first->balance, GENERATION_LIVE);
    atomic_init(&bus->slots[0], first);
    hilum_rc rc = HILUM_OK;
    for (size_t i = 0; rc == HILUM_OK && i < sizeof kernel_events / sizeof kernel_events[0]; i++)
        rc = event_add(bus, kernel_events[i].event, kernel_events[i].phases);
    if (rc != HILUM_OK) {
        hl_bus_free(bus);
        return rc;
    }
    *out = bus;
    return HILUM_OK;
}

void hl_bus_free(struct hl_bus *bus)
{
    if (!bus)
        return;
    /* Nobody dispatches any more by contract, so this retirement frees the last generation. */
    uint64_t state = atomic_load_explicit(&bus->state, memory_order_acquire);
    retire(bus, atomic_load(&bus->slots[state >> SLOT_SHIFT]), state & PIN_MASK);
    for (size_t i = 0; i < bus->n_sets; i++)
        hl_hook_set_unref(bus->sets[i]);
    free(bus->sets);
    for (size_t i = 0; i < bus->events.n; i++)
        free((char *)bus->events.names[i]);
    free(bus->events.names);
    free(bus->events.phases);
    hl_tickets_free(bus->tickets);
    pthread_mutex_destroy(&bus->lock);
    free(bus);
}

struct hl_tickets *hl_bus_tickets(struct hl_bus *bus)
{
    return bus->tickets;
}

hilum_rc hl_bus_settle(struct hl_bus *bus, uint64_t ticket, int32_t verdict, const char *reason)
{
    /* Checked before anybody is woken: the plugin that settles learns of its defect, not only the log. */
    if (verdict == HILUM_SUSPEND)
        return hl_fail(HILUM_EINVAL, "a ticket cannot be settled with HILUM_SUSPEND");
    return hl_ticket_settle(bus->tickets, ticket, verdict, reason);
}
