/* Hooks inside core/bus: sets (what one owner registered) and generations (the order over all
 * sets). It knows nothing of what hooks do. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_BUS_HOOKS_H
#define HL_BUS_HOOKS_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/base/arena.h"
#include "core/bus/event.h"

enum { PHASES = 4, MAX_GENERATIONS = 64 };

struct hook {
    struct hilum_hook def; /* strings in the set's arena */
    struct hl_where *where;
    struct hook_set *set;
    const char *file; /* for faults: never NULL, the owner where no file is known */
    unsigned line;
    unsigned rank; /* place before names are considered */
    bool is_core;
    pthread_mutex_t serial; /* held while run() of a SERIAL hook runs */
};

/* Immutable once published, but for `release` which the replacing thread sets before it drops its
 * reference. */
struct hook_set {
    atomic_uint refs;
    char *owner;
    struct hook *hooks;
    size_t n;
    void (*release)(void *arg);
    void *release_arg;
    struct hl_arena arena;
};

struct hook_list {
    struct hook **hooks;
    size_t n;
};

struct event_hooks {
    const char *event;
    uint32_t hash;
    struct hook_list phases[PHASES];
};

struct generation {
    /* Dispatches that left, counted down from GENERATION_LIVE; see bus.c. */
    _Atomic int64_t balance;
    unsigned slot;
    struct hook_set **sets; /* in rank order, each referenced once */
    size_t n_sets;
    struct event_hooks *table; /* open addressing, mask + 1 places */
    uint32_t mask;
    struct hl_arena arena;
};

/* Is the event declared, with which phases (0: not); names of all events for "did you mean". */
struct event_catalogue {
    const char **names;
    unsigned *phases;
    size_t n;
    bool (*is_keyword)(const char *name); /* NULL: nobody knows */
};

/* Copies and compiles n hooks; every fault is added to *faults. NULL: faults or no memory. */
struct hook_set *hl_hook_set_new(const char *owner, const struct hl_hook_source *hooks, size_t n,
                                 const struct event_catalogue *events, struct hl_faults *faults);
void hl_hook_set_unref(struct hook_set *set);

/* Orders the hooks of all sets; takes references, sets[] itself is copied. NULL: faults or no
 * memory. */
struct generation *hl_generation_new(struct hook_set *const *sets, size_t n,
                                     struct hl_faults *faults);
void hl_generation_free(struct generation *generation);
/* NULL: nobody listens. */
const struct hook_list *hl_generation_find(const struct generation *generation, const char *event,
                                           uint32_t hash, unsigned phase);

/* While pinned, a generation and all its hooks stay. Wait-free. */
struct generation *hl_bus_pin(struct hl_bus *bus);
void hl_bus_unpin(struct hl_bus *bus, struct generation *generation);
struct hl_tickets *hl_bus_tickets(struct hl_bus *bus);

const char *hl_phase_name(unsigned phase);
/* "filter, transform" for the bits. */
const char *hl_phases_text(unsigned phases, char *out, size_t size);

#endif
