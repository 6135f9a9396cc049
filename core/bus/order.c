/* One order out of many names: a generation is all hooks of all owners, sorted per event and
 * phase. It knows nothing of dispatch.
 *
 * Runs only when hooks are replaced, under the bus's lock, and produces something that is never
 * changed again. Faults of all places are collected before it gives up.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/bus/hooks.h"
#include "core/config/config.h"

/* The hooks of one event and phase while they are being ordered. `after[i]` lists, as pairs, what
 * must run before what. */
struct edge {
    size_t from, to;
};
struct run {
    struct hook **hooks; /* by rank */
    size_t n;
    struct hook **all; /* of every event, to tell a wrong phase from a wrong name */
    size_t n_all;
    struct edge *edges;
    size_t n_edges, cap_edges;
    size_t *waiting; /* hooks not yet placed that must run before i */
    bool *placed;
    struct hl_faults *faults;
};

static int compare_place(const void *left, const void *right)
{
    const struct hook *a = *(struct hook *const *)left, *b = *(struct hook *const *)right;
    int by_event = strcmp(a->def.event, b->def.event);
    if (by_event)
        return by_event;
    if (a->def.phase != b->def.phase)
        return a->def.phase < b->def.phase ? -1 : 1;
    return a->rank < b->rank ? -1 : a->rank > b->rank;
}

/* Rank breaks the tie so that of two hooks with one name the later one gets the fault. */
static int compare_name(const void *left, const void *right)
{
    const struct hook *a = *(struct hook *const *)left, *b = *(struct hook *const *)right;
    int by_event = strcmp(a->def.event, b->def.event);
    int by_name = by_event ? by_event : strcmp(a->def.name, b->def.name);
    return by_name ? by_name : (a->rank > b->rank) - (a->rank < b->rank);
}

/* ---- names to edges ---- */

static bool edge_add(struct run *run, size_t from, size_t to)
{
    if (!hl_grow(&run->edges, &run->cap_edges, run->n_edges, sizeof *run->edges))
        return false;
    run->edges[run->n_edges++] = (struct edge){from, to};
    run->waiting[to]++;
    return true;
}

/* Linear, as everything here: hundreds of hooks at most, and only when something is replaced. */
static size_t run_find(const struct run *run, const char *name, size_t length)
{
    for (size_t i = 0; i < run->n; i++)
        if (strncmp(run->hooks[i]->def.name, name, length) == 0 &&
            run->hooks[i]->def.name[length] == '\0')
            return i;
    return SIZE_MAX;
}

static const struct hook *other_phase(const struct run *run, const char *event, const char *name)
{
    for (size_t i = 0; i < run->n_all; i++)
        if (strcmp(run->all[i]->def.event, event) == 0 && strcmp(run->all[i]->def.name, name) == 0)
            return run->all[i];
    return NULL;
}

/* Says what is nearest, or that the name is right and the phase is not. */
static void fault_unknown(const struct run *run, const struct hook *hook, const char *key,
                          const char *name)
{
    /* The commonest slip is a right name in a wrong phase: phases already order those two. */
    const struct hook *elsewhere = other_phase(run, hook->def.event, name);
    if (elsewhere) {
        hl_faults_add(run->faults, hook->file, hook->line,
                      "%s: %s: expected a hook of phase %s, found \"%s\" of phase %s",
                      hook->def.name, key, hl_phase_name(hook->def.phase), name,
                      hl_phase_name(elsewhere->def.phase));
        return;
    }
    const char **names = calloc(run->n, sizeof *names);
    for (size_t i = 0; names && i < run->n; i++)
        names[i] = run->hooks[i]->def.name;
    const char *near = names ? hl_nearest(name, names, run->n) : NULL;
    hl_faults_add(run->faults, hook->file, hook->line,
                  "%s: %s: expected a hook of %s%s%s%s, found \"%s\" (write \"?%s\" if it may be "
                  "absent)",
                  hook->def.name, key, hook->def.event, near ? " (did you mean \"" : "",
                  near ? near : "", near ? "\"?)" : "", name, name);
    free(names);
}

static bool add_reference(struct run *run, size_t self, const char *key, const char *name,
                          size_t length)
{
    /* "?name": the hook belongs to somebody who may not be installed. */
    bool optional = length > 0 && name[0] == '?';
    size_t other = run_find(run, name + optional, length - optional);
    if (other == SIZE_MAX) {
        char *copy = strndup(name, length);
        if (!optional && copy)
            fault_unknown(run, run->hooks[self], key, copy);
        free(copy);
        return true;
    }
    /* An edge to itself is kept: the sort then reports it as the cycle it is. */
    bool is_before = key[0] == 'b';
    return edge_add(run, is_before ? self : other, is_before ? other : self);
}

/* "a, b ?c" of one hook. false: no memory; unknown names are faults and the walk goes on. */
static bool add_references(struct run *run, size_t self, const char *key, const char *names)
{
    for (const char *at = names ? names : ""; *at;) {
        at += strspn(at, ", \t\n");
        size_t length = strcspn(at, ", \t\n");
        if (length && !add_reference(run, self, key, at, length))
            return false;
        at += length;
    }
    return true;
}

/* ---- edges to an order ---- */

/* Among what is left every hook waits for another one that is left: walking back must come round.
 */
static void fault_cycle(const struct run *run)
{
    size_t at = 0;
    while (run->placed[at])
        at++;
    struct hl_buf path = {0};
    bool *seen = calloc(run->n, sizeof *seen);
    /* The first lap walks into the cycle, the second writes it down. */
    for (int lap = 0; seen && lap < 2;) {
        if (lap)
            hl_buf_printf(&path, "%s after ", run->hooks[at]->def.name);
        seen[at] = true;
        for (size_t i = 0; i < run->n_edges; i++) {
            if (run->edges[i].to == at && !run->placed[run->edges[i].from]) {
                at = run->edges[i].from;
                break;
            }
        }
        if (seen[at]) {
            memset(seen, 0, run->n * sizeof *seen);
            lap++;
        }
    }
    free(seen);
    const struct hook *hook = run->hooks[at];
    hl_faults_add(run->faults, hook->file, hook->line,
                  "%s: before/after: expected an order, found a cycle: %s%s", hook->def.name,
                  hl_buf_str(&path), hook->def.name);
    hl_buf_fini(&path);
}

static size_t next_ready(const struct run *run)
{
    for (size_t i = 0; i < run->n; i++)
        if (!run->placed[i] && run->waiting[i] == 0)
            return i;
    return SIZE_MAX;
}

/* Kahn's algorithm; of several hooks that could go next the lowest rank goes, so that the order
 * does not depend on anything but names and registration. */
static void run_sort(struct run *run, struct hook **out)
{
    for (size_t placed = 0; placed < run->n; placed++) {
        size_t next = next_ready(run);
        if (next == SIZE_MAX) {
            fault_cycle(run);
            return;
        }
        out[placed] = run->hooks[next];
        run->placed[next] = true;
        for (size_t i = 0; i < run->n_edges; i++)
            if (run->edges[i].from == next)
                run->waiting[run->edges[i].to]--;
    }
}

/* false: no memory. With faults `out` is left as it is: nothing is published then. */
static bool run_order(struct run *run, struct hook **out)
{
    size_t faults = run->faults->count;
    run->waiting = calloc(run->n, sizeof *run->waiting);
    run->placed = calloc(run->n, sizeof *run->placed);
    bool ok = run->waiting && run->placed;
    for (size_t i = 0; ok && i < run->n; i++)
        ok = add_references(run, i, "before", run->hooks[i]->def.before) &&
             add_references(run, i, "after", run->hooks[i]->def.after);
    if (ok && run->faults->count == faults)
        run_sort(run, out);
    free(run->waiting);
    free(run->placed);
    free(run->edges);
    return ok;
}

/* ---- the generation ---- */

/* Linear probing at half load: one or two compares, and no second cache line for short tables. */
static struct event_hooks *table_place(struct generation *g, const char *event)
{
    uint32_t hash = hl_event_hash(event, strlen(event));
    for (uint32_t i = hash;; i++) {
        struct event_hooks *place = &g->table[i & g->mask];
        if (place->event && (place->hash != hash || strcmp(place->event, event) != 0))
            continue;
        place->event = event;
        place->hash = hash;
        return place;
    }
}

const struct hook_list *hl_generation_find(const struct generation *g, const char *event,
                                           uint32_t hash, unsigned phase)
{
    for (uint32_t i = hash;; i++) {
        const struct event_hooks *place = &g->table[i & g->mask];
        if (!place->event)
            return NULL;
        if (place->hash != hash || strcmp(place->event, event) != 0)
            continue;
        const struct hook_list *list = &place->phases[phase - 1];
        return list->n ? list : NULL;
    }
}

/* One name per event over all phases: the plan is unique by (event, rule, ordinal), not by phase. */
static void check_duplicates(struct hook **all, size_t n, struct hl_faults *faults)
{
    qsort(all, n, sizeof *all, compare_name);
    for (size_t i = 1; i < n; i++) {
        const struct hook *a = all[i - 1], *b = all[i];
        if (strcmp(a->def.event, b->def.event) == 0 && strcmp(a->def.name, b->def.name) == 0)
            hl_faults_add(faults, b->file, b->line,
                          "%s: name: expected one hook of this name on %s, found another at %s:%u",
                          b->def.name, b->def.event, a->file, a->line);
    }
}

/* Sorted before, so hooks of one event and phase are neighbours. */
static size_t same_place(struct hook **all, size_t n)
{
    size_t i = 1;
    while (i < n && strcmp(all[i]->def.event, all[0]->def.event) == 0 &&
           all[i]->def.phase == all[0]->def.phase)
        i++;
    return i;
}

static bool order_all(struct generation *g, struct hook **all, size_t n, struct hl_faults *faults)
{
    uint32_t places = 4;
    while (places < 2 * n + 2) /* never full, so that look-ups end */
        places *= 2;
    g->mask = places - 1;
    g->table = hl_arena_alloc(&g->arena, places * sizeof *g->table);
    if (!g->table)
        return false;
    check_duplicates(all, n, faults);
    qsort(all, n, sizeof *all, compare_place);
    for (size_t at = 0, length; at < n; at += length) {
        length = same_place(all + at, n - at);
        struct run run = {.hooks = all + at, .n = length, .all = all, .n_all = n, .faults = faults};
        struct hook_list *list =
            &table_place(g, all[at]->def.event)->phases[all[at]->def.phase - 1];
        list->hooks = hl_arena_alloc(&g->arena, length * sizeof(struct hook *));
        list->n = length;
        if (!list->hooks || !run_order(&run, list->hooks))
            return false;
    }
    return true;
}

/* "core" first: guards judge before anybody else unless names say otherwise. */
static int compare_owner(const void *left, const void *right)
{
    const struct hook_set *a = *(struct hook_set *const *)left;
    const struct hook_set *b = *(struct hook_set *const *)right;
    bool a_core = strcmp(a->owner, "core") == 0, b_core = strcmp(b->owner, "core") == 0;
    return a_core != b_core ? (a_core ? -1 : 1) : strcmp(a->owner, b->owner);
}

static bool sets_take(struct generation *g, struct hook_set *const *sets, size_t n)
{
    g->sets = hl_arena_alloc(&g->arena, (n ? n : 1) * sizeof *g->sets);
    if (!g->sets)
        return false;
    for (size_t i = 0; i < n; i++) {
        atomic_fetch_add_explicit(&sets[i]->refs, 1, memory_order_relaxed);
        g->sets[g->n_sets++] = sets[i];
    }
    qsort(g->sets, n, sizeof *g->sets, compare_owner);
    return true;
}

/* The hooks of all sets by rank. Ranks are per generation but the hooks are shared with the
 * generation now running; that is safe because dispatch never reads a rank. */
static struct hook **collect(const struct generation *g, size_t *n)
{
    size_t total = 0;
    for (size_t i = 0; i < g->n_sets; i++)
        total += g->sets[i]->n;
    struct hook **all = calloc(total ? total : 1, sizeof *all);
    *n = 0;
    for (size_t i = 0; all && i < g->n_sets; i++) {
        for (size_t k = 0; k < g->sets[i]->n; k++) {
            all[*n] = &g->sets[i]->hooks[k];
            all[*n]->rank = (unsigned)*n;
            (*n)++;
        }
    }
    return all;
}

struct generation *hl_generation_new(struct hook_set *const *sets, size_t n,
                                     struct hl_faults *faults)
{
    size_t before = faults->count, n_hooks = 0;
    struct generation *g = calloc(1, sizeof *g);
    struct hook **all = NULL;
    if (!g)
        return NULL;
    bool ok = sets_take(g, sets, n);
    if (ok)
        all = collect(g, &n_hooks);
    ok = ok && all && order_all(g, all, n_hooks, faults);
    free(all);
    if (ok && faults->count == before)
        return g;
    if (!ok)
        hl_fail(HILUM_ENOMEM, "hooks: no memory for %zu hooks", n_hooks);
    hl_generation_free(g);
    return NULL;
}

/* The last reference to a hook set may go here, and with it the owner's release callback runs. */
void hl_generation_free(struct generation *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < g->n_sets; i++)
        hl_hook_set_unref(g->sets[i]);
    hl_arena_fini(&g->arena);
    free(g);
}
