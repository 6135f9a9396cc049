/* What one owner registered: copied, checked against the declared events, `where` compiled.
 * It knows nothing of the other owners. SPDX-License-Identifier: Apache-2.0 */
#include "core/bus/hooks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/config/config.h"

static const char *const phase_names[PHASES + 1] = {"?", "filter", "transform", "commit", "notify"};

const char *hl_phase_name(unsigned phase)
{
    return phase_names[phase <= PHASES ? phase : 0];
}

const char *hl_phases_text(unsigned phases, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (unsigned phase = HILUM_FILTER; phase <= PHASES; phase++)
        if ((phases & 1u << phase) && used < size)
            used += (size_t)snprintf(out + used, size - used, "%s%s", used ? ", " : "",
                                     phase_names[phase]);
    return out;
}

/* Lua rules and routes are built from memory that goes with their state; only the owner knows when. */
static bool copy_strings(struct hook_set *set, struct hook *hook)
{
    const char **strings[] = {&hook->def.event, &hook->def.name,  &hook->def.before,
                              &hook->def.after, &hook->def.where, &hook->file};
    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++) {
        if (!*strings[i])
            continue;
        *strings[i] = hl_arena_strdup(&set->arena, *strings[i]);
        if (!*strings[i])
            return false;
    }
    return true;
}

/* Adds a fault for an event that is not declared, or a phase it does not have. */
static void check_event(const struct hook *hook, const struct event_catalogue *events,
                        struct hl_faults *faults)
{
    char phases[64];
    const struct hilum_hook *def = &hook->def;
    /* Phase is judged only against an event that exists: one slip, one fault. */
    for (size_t i = 0; i < events->n; i++) {
        if (strcmp(events->names[i], def->event) != 0)
            continue;
        if (def->phase < HILUM_FILTER || def->phase > PHASES ||
            !(events->phases[i] & 1u << def->phase))
            hl_faults_add(faults, hook->file, hook->line,
                          "%s: phase: expected %s for event %s, found %s", def->name,
                          hl_phases_text(events->phases[i], phases, sizeof phases), def->event,
                          hl_phase_name(def->phase));
        return;
    }
    const char *near = hl_nearest(def->event, events->names, events->n);
    hl_faults_add(faults, hook->file, hook->line,
                  "%s: event: expected a declared event%s%s%s, found \"%s\"", def->name,
                  near ? " (did you mean \"" : "", near ? near : "", near ? "\"?)" : "",
                  def->event);
}

/* A condition that does not parse, or that names an attribute nobody has: it would never match
 * and never tell. */
static void check_where(struct hook *hook, const struct event_catalogue *events,
                        struct hl_faults *faults)
{
    const char *name = hook->def.name;
    if (hl_where_parse(hook->def.where, &hook->where) != HILUM_OK) {
        hl_faults_add(faults, hook->file, hook->line, "%s: %s", name, hl_error());
        return;
    }
    const char *unknown =
        events->is_keyword ? hl_where_unknown(hook->where, events->is_keyword) : NULL;
    if (unknown)
        hl_faults_add(faults, hook->file, hook->line,
                      "%s: where: expected a DICOM keyword such as \"Modality\" or a field of the "
                      "event, found \"%s\"",
                      name, unknown);
}

static void check_hook(struct hook *hook, const struct event_catalogue *events,
                       struct hl_faults *faults)
{
    const struct hilum_hook *def = &hook->def;
    /* A site hook under a kernel name would be taken for a guard by everyone who reads a trace. */
    if (!hook->is_core && strncmp(def->name, "core/", 5) == 0)
        hl_faults_add(faults, hook->file, hook->line,
                      "%s: name: expected owner/what-it-does, found the kernel's own \"core/\"",
                      def->name);
    /* "," and "?" are the syntax of before and after; 95 is what a verdict and the journal can hold. */
    if (strpbrk(def->name, ",? \n") || !*def->name || strlen(def->name) > 95)
        hl_faults_add(faults, hook->file, hook->line,
                      "name: expected 1 to 95 characters without blanks, ',' and '?', found \"%s\"",
                      def->name);
    if (!def->run)
        hl_faults_add(faults, hook->file, hook->line, "%s: run: expected a function, found none",
                      def->name);
    check_event(hook, events, faults);
    check_where(hook, events, faults);
}

/* false: no memory. What is filled by then is cleaned by hl_hook_set_unref. */
static bool hook_init(struct hook *hook, const struct hl_hook_source *source, struct hook_set *set)
{
    hook->def = source->hook;
    hook->set = set;
    hook->file = source->file ? source->file : set->owner;
    hook->line = source->line;
    /* The kernel's own in C, and its rules in Lua, which are reloaded apart from them. */
    hook->is_core = strcmp(set->owner, "core") == 0 || strcmp(set->owner, "core-rules") == 0;
    if (!hook->def.name)
        hook->def.name = "";
    if (!hook->def.event)
        hook->def.event = "";
    pthread_mutexattr_t kind;
    pthread_mutexattr_init(&kind);
    /* A SERIAL hook that comes round to itself must fail, not stand still for ever. */
    pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(&hook->serial, &kind);
    pthread_mutexattr_destroy(&kind);
    return copy_strings(set, hook);
}

static bool set_fill(struct hook_set *set, const struct hl_hook_source *hooks, size_t n,
                     const struct event_catalogue *events, struct hl_faults *faults)
{
    set->hooks = calloc(n ? n : 1, sizeof *set->hooks);
    if (!set->owner || !set->hooks)
        return false;
    for (size_t i = 0; i < n; i++) {
        /* Counted before it is filled, so that unref cleans up the half-made one too. */
        set->n++;
        if (!hook_init(&set->hooks[i], &hooks[i], set))
            return false;
        check_hook(&set->hooks[i], events, faults);
    }
    return true;
}

struct hook_set *hl_hook_set_new(const char *owner, const struct hl_hook_source *hooks, size_t n,
                                 const struct event_catalogue *events, struct hl_faults *faults)
{
    size_t before = faults->count;
    struct hook_set *set = calloc(1, sizeof *set);
    if (!set)
        return NULL;
    atomic_init(&set->refs, 1);
    set->owner = strdup(owner);
    if (!set_fill(set, hooks, n, events, faults))
        hl_faults_add(faults, owner, 0, "hooks: no memory for %zu hooks", n);
    /* All hooks are looked at before giving up: a person mends a file once, not line by line. */
    if (faults->count != before) {
        hl_hook_set_unref(set);
        return NULL;
    }
    return set;
}

/* Any thread: often the last one to leave a generation, in the middle of somebody's dispatch. */
void hl_hook_set_unref(struct hook_set *set)
{
    if (!set || atomic_fetch_sub_explicit(&set->refs, 1, memory_order_acq_rel) != 1)
        return;
    /* First of all: the owner may look at what its hooks were before their memory goes. */
    if (set->release)
        set->release(set->release_arg);
    for (size_t i = 0; i < set->n; i++) {
        hl_where_free(set->hooks[i].where);
        pthread_mutex_destroy(&set->hooks[i].serial);
    }
    free(set->hooks);
    free(set->owner);
    hl_arena_fini(&set->arena);
    free(set);
}
