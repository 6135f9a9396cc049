/* Running hooks: one phase of one event on the calling thread, and what their answers add up to.
 * It knows nothing of who registered them or of how their order came about.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/bus/hooks.h"

/* What a hook of each phase may answer, and what counts as its answer when it fails. */
static const struct {
    unsigned verdicts; /* bits */
    int32_t on_failure;
    unsigned deadline_ms;
} phase_rules[PHASES + 1] = {
    [HILUM_FILTER] = {1u << HILUM_PASS | 1u << HILUM_ACCEPT | 1u << HILUM_REJECT |
                          1u << HILUM_DEFER | 1u << HILUM_HOLD | 1u << HILUM_DISCARD,
                      HILUM_HOLD, 200},
    [HILUM_TRANSFORM] = {1u << HILUM_PASS | 1u << HILUM_ACCEPT | 1u << HILUM_HOLD, HILUM_HOLD, 200},
    [HILUM_COMMIT] = {1u << HILUM_PASS | 1u << HILUM_ACCEPT | 1u << HILUM_DEFER, HILUM_DEFER, 1000},
    [HILUM_NOTIFY] = {1u << HILUM_PASS | 1u << HILUM_ACCEPT, HILUM_PASS, 10000},
};

/* One phase of one event, on the stack of the thread that dispatches. */
struct dispatch {
    hilum_event *event;
    unsigned phase;
    struct hl_verdict *out;
    bool site_ended; /* somebody accepted */
    bool ended;
    int64_t clock_ms; /* when the previous hook returned */
};

/* The coarse clock costs a fifth of the precise one and is exact to a tick (1-4 ms), which is
 * enough for deadlines of 200 ms; it is read once a hook. */
static int64_t coarse_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Cuts instead of failing: a verdict must be told even if its reason is long. */
static void copy_text(char *out, size_t size, const char *text)
{
    size_t n = strnlen(text, size - 1);
    memcpy(out, text, n);
    out[n] = '\0';
}

/* Not memset: 350 bytes an event for texts that are nearly always empty. */
static void verdict_init(struct hl_verdict *out)
{
    out->verdict = HILUM_PASS;
    out->hook[0] = '\0';
    out->reason[0] = '\0';
    out->matched = out->failed = out->overran = 0;
}

/* Who and why, for the trace and the peer; an earlier decision is overwritten. */
static void decide(struct dispatch *d, int32_t verdict, const char *hook, const char *reason)
{
    d->out->verdict = verdict;
    copy_text(d->out->hook, sizeof d->out->hook, hook);
    copy_text(d->out->reason, sizeof d->out->reason, reason);
}

/* A verdict only ever grows: PASS < ACCEPT < HOLD < what ends the phase. The first HOLD keeps its
 * reason. */
static void take_verdict(struct dispatch *d, int32_t verdict, const char *hook, const char *reason)
{
    switch (verdict) {
    case HILUM_PASS: return;
    case HILUM_ACCEPT:
        d->site_ended = true;
        if (d->out->verdict == HILUM_PASS)
            decide(d, verdict, hook, reason);
        return;
    case HILUM_HOLD:
        if (d->out->verdict != HILUM_HOLD)
            decide(d, verdict, hook, reason);
        return;
    default: d->ended = true; decide(d, verdict, hook, reason);
    }
}

static void take_failure(struct dispatch *d, const char *hook, hilum_rc code)
{
    char reason[sizeof d->out->reason];
    /* Logged here and told to the caller as well: the caller answers a peer, the log is read by whoever
     * owns the hook, and only this place knows both the hook and the event. */
    d->out->failed++;
    snprintf(reason, sizeof reason, "%s%s%s", hl_rc_name(code), *hl_error() ? ": " : "",
             hl_error());
    hl_log(HL_WARN, "bus", "hook %s failed on %s: %s", hook, d->event->name, reason);
    if (d->phase == HILUM_NOTIFY) {
        /* The first one: later failures may well be its consequences. */
        if (d->out->verdict >= 0)
            decide(d, code, hook, reason);
        return;
    }
    take_verdict(d, phase_rules[d->phase].on_failure, hook, reason);
}

/* Errors are negative and never legal; unknown numbers neither. */
static bool is_legal(unsigned phase, int32_t verdict)
{
    return verdict >= 0 && verdict < 32 && (phase_rules[phase].verdicts & 1u << verdict);
}

/* The one lock that is held while foreign code runs. ERRORCHECK makes the owning thread fail with EDEADLK
 * where a plain mutex would stand still for ever. */
static int32_t call_serial(struct dispatch *d, struct hook *hook)
{
    int busy = pthread_mutex_trylock(&hook->serial);
    if (busy) {
        int error = pthread_mutex_lock(&hook->serial);
        if (error)
            return hl_fail(HILUM_EINVAL, "hook %s entered itself again (%s): make it PARALLEL",
                           hook->def.name, strerror(error));
        d->clock_ms = coarse_ms(); /* waiting for others is not this hook's time */
    }
    int32_t verdict = hook->def.run(hook->def.arg, d->event);
    pthread_mutex_unlock(&hook->serial);
    return verdict;
}

/* Told, not enforced: C code cannot be stopped safely. Lua has limits of its own (core/script). */
static void check_deadline(struct dispatch *d, const struct hook *hook)
{
    unsigned deadline = hook->def.deadline_ms;
    if (!deadline)
        deadline = phase_rules[d->phase].deadline_ms;
    int64_t now = coarse_ms(), took = now - d->clock_ms;
    d->clock_ms = now;
    if (took <= deadline)
        return;
    d->out->overran++;
    hl_log(HL_WARN, "bus", "hook %s took %" PRId64 " ms on %s, its deadline is %u ms",
           hook->def.name, took, d->event->name, deadline);
}

/* What the hook says in the end: now, or when its ticket is settled. A ticket that nobody will ever ask for goes. */
static int32_t final_verdict(struct dispatch *d, struct hook *hook, int32_t verdict)
{
    char why[HL_TICKET_REASON];
    hilum_event *event = d->event;
    if (!event->ticket)
        return verdict;
    if (verdict != HILUM_SUSPEND) {
        hl_ticket_cancel(event->tickets, event->ticket);
        return hl_fail(HILUM_EINVAL, "suspended %s and then answered %d", event->name, verdict);
    }
    hilum_rc rc = hl_ticket_wait(event->tickets, event->ticket, &verdict, why);
    d->clock_ms = coarse_ms(); /* its deadline was the ticket's */
    if (rc != HILUM_OK)
        return rc;
    if (verdict < 0)
        return hl_fail(verdict, "%s", *why ? why : hook->def.name);
    if (*why)
        hl_event_reason(event, why);
    return verdict;
}

/* Enter and leave bracket everything a hook may ask of the event; its plan counts only if its
 * verdict does. */
static void run_hook(struct dispatch *d, struct hook *hook)
{
    size_t steps = d->event->n_plan;
    d->out->matched++;
    /* Cleared so that a hook which fails in silence is not given the reason of something older. */
    hl_error_clear();
    hl_event_enter(d->event, hook->def.name, d->phase);
    int32_t verdict = hook->def.threads == HILUM_PARALLEL ? hook->def.run(hook->def.arg, d->event)
                                                          : call_serial(d, hook);
    check_deadline(d, hook);
    verdict = final_verdict(d, hook, verdict);
    hl_event_leave(d->event);
    if (is_legal(d->phase, verdict)) {
        if (d->phase != HILUM_NOTIFY)
            take_verdict(d, verdict, hook->def.name, d->event->reason);
        return;
    }
    /* All or nothing: half a plan is a delivery somebody relies on that never happens. */
    hl_event_plan_truncate(d->event, steps);
    if (verdict >= 0)
        verdict = hl_fail(HILUM_EINVAL, "verdict %d is not one of phase %s", verdict,
                          hl_phase_name(d->phase));
    take_failure(d, hook->def.name, verdict);
}

static void dispatch_begin(struct dispatch *d, struct hl_bus *bus, hilum_event *event,
                           unsigned phase, struct hl_verdict *out)
{
    event->tickets = hl_bus_tickets(bus);
    *d = (struct dispatch){.event = event, .phase = phase, .out = out, .clock_ms = coarse_ms()};
    verdict_init(out);
    /* A rule that looked at an incomplete event might let through what it should have refused. Guards still
     * run; the outcome is at best HOLD. */
    if (!event->out_of_memory)
        return;
    hl_fail(HILUM_ENOMEM, "fields of event %s were lost", event->name);
    take_failure(d, "core/bus", HILUM_ENOMEM);
}

void hl_bus_dispatch(struct hl_bus *bus, hilum_event *event, unsigned phase, struct hl_verdict *out)
{
    struct dispatch d;
    dispatch_begin(&d, bus, event, phase, out);
    struct generation *generation = hl_bus_pin(bus);
    const struct hook_list *list =
        hl_generation_find(generation, event->name, event->name_hash, phase);
    for (size_t i = 0; list && i < list->n && !d.ended; i++) {
        struct hook *hook = list->hooks[i];
        /* Skipped before `where` is asked: attributes are not read for hooks that cannot run. */
        if (d.site_ended && !hook->is_core)
            continue;
        if (hl_where_match(hook->where, event))
            run_hook(&d, hook);
    }
    hl_bus_unpin(bus, generation);
}

hilum_rc hl_bus_dispatch_one(struct hl_bus *bus, hilum_event *event, unsigned phase,
                             const char *hook, struct hl_verdict *out)
{
    struct dispatch d;
    hilum_rc rc = HILUM_ENOTFOUND;
    dispatch_begin(&d, bus, event, phase, out);
    struct generation *generation = hl_bus_pin(bus);
    const struct hook_list *list =
        hl_generation_find(generation, event->name, event->name_hash, phase);
    for (size_t i = 0; list && i < list->n && rc != HILUM_OK; i++) {
        if (strcmp(list->hooks[i]->def.name, hook) != 0)
            continue;
        rc = HILUM_OK;
        /* Asked again: the rule may have been replaced since the journal noted that it matches. */
        if (hl_where_match(list->hooks[i]->where, event))
            run_hook(&d, list->hooks[i]);
    }
    hl_bus_unpin(bus, generation);
    return rc == HILUM_OK ? rc
                          : hl_fail(rc, "hook %s: none of this name on %s (%s)", hook, event->name,
                                    hl_phase_name(phase));
}

/* Without running anything: names only, and `where` may read attributes. */
void hl_bus_matching(struct hl_bus *bus, hilum_event *event, unsigned phase, struct hl_buf *out)
{
    struct generation *generation = hl_bus_pin(bus);
    const struct hook_list *list =
        hl_generation_find(generation, event->name, event->name_hash, phase);
    const char *separator = "";
    for (size_t i = 0; list && i < list->n; i++) {
        if (!hl_where_match(list->hooks[i]->where, event))
            continue;
        hl_buf_text(out, separator);
        hl_buf_text(out, list->hooks[i]->def.name);
        separator = "\n";
    }
    hl_bus_unpin(bus, generation);
}

bool hl_bus_wants(struct hl_bus *bus, const char *event, unsigned phase)
{
    struct generation *generation = hl_bus_pin(bus);
    bool wanted =
        hl_generation_find(generation, event, hl_event_hash(event, strlen(event)), phase) != NULL;
    hl_bus_unpin(bus, generation);
    return wanted;
}

/* As text for `hilum rule graph` and people: in the order in which they would run. */
void hl_bus_describe(struct hl_bus *bus, const char *event, struct hl_buf *out)
{
    struct generation *generation = hl_bus_pin(bus);
    uint32_t hash = hl_event_hash(event, strlen(event));
    for (unsigned phase = HILUM_FILTER; phase <= PHASES; phase++) {
        const struct hook_list *list = hl_generation_find(generation, event, hash, phase);
        for (size_t i = 0; list && i < list->n; i++) {
            const struct hook *hook = list->hooks[i];
            hl_buf_printf(out, "%s %s %s %s\n", hl_phase_name(phase), hook->def.name,
                          hook->def.where && *hook->def.where ? hook->def.where : "*",
                          hook->set->owner);
        }
    }
    hl_bus_unpin(bus, generation);
}
