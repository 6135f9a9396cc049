/* Replacing a plugin while the server runs: the new version comes up beside the old one, gates turn to it, and for a
 * while the old one stands by. It knows nothing of what a plugin is for.
 *
 * What changes which version is in force runs with `manage` held, one thread at a time; a call takes none of these
 * locks on its way in. Lock order: manage, then registry, then lock. A version that could not be ended stays in
 * memory: addresses of it may still be on some stack.
 *
 * A swap step by step: the file is copied under the name of its contents (open.c) and opened,
 * checked and initialised beside the old version, unseen. Beside: it starts, hooks are exchanged
 * on the bus, gates turn under `registry`, the old version stands by. Handover, for what can
 * exist only once (a door, a device): the old one lets go first (let_go), then the new one starts.
 * Probation then compares errors; what fails is rolled back. Whatever fails before the gates turn
 * leaves everything as it was; a handover that fails begins the old version anew.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/plugin/host.h"
#include "core/plugin/remote/remote.h"

/* 200 calls or a minute: long enough for a broken version to show, short enough that the old
 * one's memory is not held for a day. Five errors and ten per cent more: one unlucky object
 * proves nothing. */
enum {
    PROBATION_CALLS = 200,
    PROBATION_MS = 60 * 1000,
    WORSE_ERRORS = 5,   /* fewer prove nothing */
    WORSE_PERCENT = 10, /* of all calls, above the old version's */
    LEAVE_MS = 10 * 1000,
    LINGER_MS = 60 * 60 * 1000, /* for the last answers of a version that was handed over */
    LINGER_LOOK_MS = 500
};

/* ---- what may be replaced ---- */

/* The first thing it provides that cannot change under those who hold it; NULL: none. */
static const struct capability *held(const struct hilum_self *plugin, bool by_handover)
{
    const struct capability *c = plugin->caps;
    /* An answer of a route may still be on its way when its call has returned. */
    while (c && hl_shim_has(c->cap->kind) && (c->cap->kind != HILUM_CAP_ROUTE || by_handover))
        c = c->next;
    return c;
}

/* What cannot change under those who hold it: doors, kinds without a shim, routes. by_handover: it will have been drained
 * first, so that its doors are closed and its answers out. */
static hilum_rc check_held(const struct hilum_self *plugin, bool by_handover)
{
    if (hl_plugin_is_door(plugin) && !by_handover)
        return hl_fail(HILUM_EUNSUP,
                       "plugin %s holds connections of its own; it changes by a restart",
                       plugin->id);
    const struct capability *c = held(plugin, by_handover);
    return c ? hl_fail(HILUM_EUNSUP,
                       "plugin %s provides a %s, which others hold while the server runs; it "
                       "changes by a restart",
                       plugin->id, hl_cap_kind_name(c->cap->kind))
             : HILUM_OK;
}

const char *hl_swap_word(const struct hilum_self *plugin)
{
    bool by_handover = plugin->plugin->swap == HILUM_SWAP_HANDOVER;
    if (by_handover ? held(plugin, true) != NULL
                    : plugin->plugin->swap != HILUM_SWAP_BESIDE || hl_plugin_is_door(plugin) ||
                          held(plugin, false) != NULL)
        return "restart";
    return by_handover ? "handover" : "beside";
}

static hilum_rc check_swap_word(const struct hilum_plugin *p)
{
    if (p->swap == HILUM_SWAP_BESIDE || p->swap == HILUM_SWAP_HANDOVER)
        return HILUM_OK;
    return hl_fail(HILUM_EUNSUP, "version %s says swap = restart; it changes by a restart",
                   p->version);
}

/* One of the two has something that only one can have. */
static bool is_handover(const struct hilum_self *a, const struct hilum_self *b)
{
    return a->plugin->swap == HILUM_SWAP_HANDOVER || b->plugin->swap == HILUM_SWAP_HANDOVER;
}

static bool declares(const struct hilum_self *plugin, const struct hilum_decl *decl)
{
    for (const struct declaration *d = plugin->decls; d; d = d->next)
        if (d->decl.type == decl->type && strcmp(d->decl.name, decl->name) == 0 &&
            strcmp(d->decl.fields ? d->decl.fields : "", decl->fields ? decl->fields : "") == 0)
            return true;
    return false;
}

/* Commands, verbs and events are known by name all over the server: a version may do them better, not differently. */
static hilum_rc check_same_words(const struct hilum_self *a, const struct hilum_self *b)
{
    for (const struct declaration *d = a->decls; d; d = d->next)
        if (!declares(b, &d->decl))
            return hl_fail(HILUM_EUNSUP,
                           "\"%s\" is declared by version %s and not, or differently, by version "
                           "%s; it changes by a restart",
                           d->decl.name, a->plugin->version, b->plugin->version);
    return HILUM_OK;
}

/* The id of a plugin that runs and needs this one, by name or by what it provides; NULL: none. */
static const char *needed_by(const struct hilum_self *plugin)
{
    const struct hl_plugins *host = plugin->host;
    for (size_t i = 0; i < host->n; i++) {
        const struct hilum_self *other = host->plugins[i];
        bool counts = other != plugin && other->plugin && hl_plugin_is_ready(other);
        for (const char *const *need = counts ? other->plugin->needs : NULL; need && *need;
             need++) {
            const char *colon = strchr(*need, ':');
            if (!colon && strcmp(*need, plugin->id) == 0)
                return other->id;
            for (const struct capability *c = colon ? plugin->caps : NULL; c; c = c->next)
                if (hl_cap_kind(*need, (size_t)(colon - *need)) == c->cap->kind &&
                    (!colon[1] || strcmp(colon + 1, c->cap->name) == 0))
                    return other->id;
        }
    }
    return NULL;
}

/* ---- coming and going ---- */

/* Under one lock, so that a look-up sees the one or the other. */
static void make_current(struct hilum_self *from, struct hilum_self *to)
{
    struct hl_plugins *host = to->host;
    pthread_rwlock_wrlock(&host->registry);
    for (size_t i = 0; i < host->n; i++)
        if (host->plugins[i] == from)
            host->plugins[i] = to;
    for (size_t i = 0; i < host->n_order; i++)
        if (host->order[i] == from)
            host->order[i] = to;
    hl_gates_turn(host, from, to);
    hl_gates_turn(host, to, to); /* what `from` no longer had and `to` has again */
    pthread_rwlock_unlock(&host->registry);
}

/* Its gates lead elsewhere. What cannot be waited for keeps its memory until the server ends.
 * true: it has been drained and ended. Order: nobody inside, nothing of its own begins, what
 * it has begun ends, then fini. Each step has LEAVE_MS, so at most 30 s with `manage` held;
 * calls do not wait for that. */
static bool retire(struct hilum_self *plugin)
{
    if (!plugin->initialised)
        return true;
    if (!hl_gate_wait(plugin, LEAVE_MS)) {
        hl_log(HL_WARN, plugin->id,
               "version %s: %u calls have not returned within %d s; it stays in memory until the "
               "server ends",
               plugin->plugin->version, atomic_load(&plugin->inside), LEAVE_MS / 1000);
        return false;
    }
    hl_plugin_quiet(plugin);
    hl_plugin_drain(plugin, LEAVE_MS);
    if (!hl_tasks_wait(plugin, LEAVE_MS)) {
        hl_log(HL_WARN, plugin->id,
               "version %s: its tasks go on after %d s; it stays in memory "
               "until the server ends",
               plugin->plugin->version, LEAVE_MS / 1000);
        return false;
    }
    if (plugin->plugin->fini)
        plugin->plugin->fini(plugin->data);
    plugin->initialised = false;
    hl_remote_shut(plugin->remote);
    atomic_store(&plugin->state, PLUGIN_STOPPED);
    return true;
}

/* The owner on the bus is the plugin, not the version: putting one's hooks replaces the other's. */
static hilum_rc put_hooks(struct hilum_self *plugin, bool dry_run)
{
    return hl_bus_replace(plugin->host->bus, plugin->owner, plugin->hooks, plugin->n_hooks, NULL,
                          NULL, dry_run, NULL);
}

/* Not before start and not after drain, when the journal may not be there. Failing is told in
 * the log and changes nothing. */
void hl_plugin_tell(const struct hilum_self *plugin, const char *event, const char *what)
{
    const struct hl_plugins *host = plugin->host;
    struct hl_buf fields = {0};
    if (!host->publish || !atomic_load(&plugin->may_run))
        return;
    hl_buf_text(&fields, "{\"plugin\":");
    hl_buf_json_string(&fields, plugin->id);
    hl_buf_text(&fields, ",\"reason\":");
    hl_buf_json_string(&fields, what);
    hl_buf_byte(&fields, '}');
    if (fields.failed ||
        host->publish(host->publish_arg, plugin->id, event, hl_buf_str(&fields)) < 0)
        hl_log(HL_WARN, plugin->id, "event %s is not in the journal: %s", event, hl_error());
    hl_buf_fini(&fields);
}

/* ---- probation ---- */

static double error_percent(const struct hl_tally *tally)
{
    uint64_t calls = atomic_load(&tally->calls);
    return calls ? 100.0 * (double)atomic_load(&tally->errors) / (double)calls : 0;
}

/* Compared with what the version before has come to in its whole life. */
static bool is_worse(const struct hilum_self *plugin)
{
    return atomic_load(&plugin->tally.errors) >= WORSE_ERRORS &&
           error_percent(&plugin->tally) > plugin->percent_before + WORSE_PERCENT;
}

/* Wakes whoever watches. */
static void end_probation(struct hilum_self *plugin)
{
    struct hl_plugins *host = plugin->host;
    if (!atomic_exchange(&plugin->on_probation, false))
        return;
    pthread_mutex_lock(&host->lock);
    pthread_cond_broadcast(&host->idle);
    pthread_mutex_unlock(&host->lock);
}

/* On the thread of a call, which must not take `manage`: the watcher is woken, and it decides. */
void hl_swap_counted(struct hilum_self *plugin)
{
    if (is_worse(plugin) || atomic_load(&plugin->tally.calls) >= PROBATION_CALLS)
        end_probation(plugin);
}

static void hand_back(struct hilum_self *plugin, struct hilum_self *previous);

/* Beside: the old version goes on as if nothing had been; after a handover its file begins anew. */
static void roll_back(struct hilum_self *plugin, struct hilum_self *previous)
{
    char what[256];
    snprintf(what, sizeof what,
             "version %s rolled back to %s: %" PRIu64 " errors in %" PRIu64
             " calls (%.0f %%), before %.0f %%",
             plugin->plugin->version, previous->plugin->version,
             (uint64_t)atomic_load(&plugin->tally.errors),
             (uint64_t)atomic_load(&plugin->tally.calls), error_percent(&plugin->tally),
             plugin->percent_before);
    if (is_handover(plugin, previous)) {
        hl_log(HL_ERROR, plugin->id, "%s", what);
        hl_plugin_tell(plugin, "plugin.swapped", what);
        hand_back(plugin, previous);
        return;
    }
    if (put_hooks(previous, false) != HILUM_OK)
        hl_log(HL_ERROR, plugin->id, "hooks of version %s: %s", previous->plugin->version,
               hl_error());
    make_current(plugin, previous);
    hl_log(HL_ERROR, plugin->id, "%s", what);
    hl_plugin_tell(previous, "plugin.swapped", what);
    retire(plugin);
}

/* With `manage` held. Either way there is no `previous` afterwards: probation happens once a
 * swap. */
static void conclude(struct hilum_self *plugin)
{
    struct hilum_self *previous = plugin->previous;
    plugin->previous = NULL;
    if (!previous)
        return;
    end_probation(plugin);
    if (is_worse(plugin))
        roll_back(plugin, previous);
    else if (!previous->lingers && retire(previous))
        hl_log(HL_INFO, plugin->id, "version %s is kept; %s has ended", plugin->plugin->version,
               previous->plugin->version);
}

/* A task of the host's pool, for up to PROBATION_MS. It holds no lock while it waits. It keeps
 * a thread of the pool; several swaps at once keep several, and a swap without one has no
 * probation (take_over). */
static void watch(void *arg)
{
    struct hilum_self *plugin = arg;
    struct hl_plugins *host = plugin->host;
    int64_t end_ms = hl_mono_ms() + PROBATION_MS;
    struct timespec end = hl_mono_timespec(end_ms);
    int rc = 0;
    pthread_mutex_lock(&host->lock);
    while (atomic_load(&plugin->on_probation) && !host->is_closing && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&host->idle, &host->lock, &end);
    bool is_closing = host->is_closing;
    pthread_mutex_unlock(&host->lock);
    pthread_mutex_lock(&host->manage);
    /* Whoever closes ends all versions there are. */
    if (!is_closing)
        conclude(plugin);
    pthread_mutex_unlock(&host->manage);
}

/* ---- a new version ---- */

/* The first fault as the reason; faults are freed. */
static hilum_rc failure_of(const struct hilum_self *plugin, struct hl_faults *faults)
{
    hilum_rc rc = hl_fail(HILUM_EINVAL, "%s", faults->first ? faults->first->text : plugin->reason);
    hl_faults_fini(faults);
    return rc;
}

/* Up to init, seen by nobody. What fails is ended and kept as memory: gates know it. */
static hilum_rc prepare(struct hilum_self *plugin)
{
    struct hl_faults faults = {0};
    if (!hl_plugin_open_file(plugin, &faults))
        return failure_of(plugin, &faults);
    hl_faults_fini(&faults);
    hilum_rc rc = HILUM_OK;
    for (const char *const *need = plugin->plugin->needs; rc == HILUM_OK && need && *need; need++)
        if (!hl_need_is_met(plugin->host, *need))
            rc = hl_fail(HILUM_ENOTFOUND, "needs %s, which no plugin that runs provides", *need);
    if (rc == HILUM_OK && !hl_plugin_init_one(plugin))
        return hl_fail(HILUM_EINVAL, "%s", plugin->reason);
    return rc;
}

static hilum_rc bring_up(struct hilum_self *plugin)
{
    hilum_rc rc = prepare(plugin);
    return rc == HILUM_OK ? hl_plugin_start_one(plugin) : rc;
}

/* The version stays in the host's list as memory: gates it made lead nowhere. */
static void give_up(struct hilum_self *plugin)
{
    char reason[512];
    /* fini may fail too; what is told is why it came to that. */
    snprintf(reason, sizeof reason, "%s", hl_error());
    hl_gates_turn(plugin->host, plugin, NULL);
    retire(plugin);
    hl_remote_shut(plugin->remote);
    hl_fail(HILUM_EINVAL, "%s", reason);
}

/* Words must be the same in both directions, so that a roll-back finds everything, too. */
static hilum_rc fits(const struct hilum_self *plugin, const struct hilum_self *old)
{
    hilum_rc rc = check_swap_word(plugin->plugin);
    if (rc == HILUM_OK)
        rc = check_held(plugin, is_handover(plugin, old));
    if (rc == HILUM_OK)
        rc = check_same_words(plugin, old);
    return rc == HILUM_OK ? check_same_words(old, plugin) : rc;
}

/* ---- handover ---- */

static hilum_rc linger(struct hilum_self *plugin);

/* A timer of the host's: has its last answer left? Blocks for `manage`, as nobody waits for it. */
static void linger_look(void *arg)
{
    struct hilum_self *plugin = arg;
    struct hl_plugins *host = plugin->host;
    pthread_mutex_lock(&host->manage);
    bool goes_on = !host->is_closing && hl_mono_ms() < plugin->lingers_until_ms &&
                   plugin->plugin->hand_over(plugin->data, 0) == HILUM_EAGAIN &&
                   linger(plugin) == HILUM_OK;
    /* Whoever closes drains and ends it. */
    if (!goes_on && !host->is_closing) {
        plugin->lingers = false;
        if (retire(plugin))
            hl_log(HL_INFO, plugin->id, "version %s: its last answers are out; it has ended",
                   plugin->plugin->version);
    }
    pthread_mutex_unlock(&host->manage);
}

static hilum_rc linger(struct hilum_self *plugin)
{
    uint64_t timer;
    hilum_rc rc =
        hl_timers_set(plugin->host->timers, NULL, LINGER_LOOK_MS, linger_look, plugin, &timer);
    plugin->lingers = rc == HILUM_OK;
    return rc;
}

/* Its doors are closed and its work is done, or goes on beside whoever comes next. */
static hilum_rc let_go(struct hilum_self *old)
{
    const struct hilum_plugin *p = old->plugin;
    bool may_linger = HILUM_HAS(struct hilum_plugin, p->size, hand_over) && p->hand_over;
    if (may_linger && p->hand_over(old->data, LEAVE_MS) == HILUM_EAGAIN) {
        old->lingers_until_ms = hl_mono_ms() + LINGER_MS;
        if (linger(old) == HILUM_OK)
            return HILUM_OK;
    }
    hl_plugin_quiet(old);
    hl_plugin_drain(old, LEAVE_MS);
    return hl_tasks_wait(old, LEAVE_MS)
               ? HILUM_OK
               : hl_fail(HILUM_ETIMEDOUT, "version %s: its tasks have not ended", p->version);
}

static void end(struct hilum_self *plugin)
{
    if (!plugin->lingers)
        retire(plugin);
}

/* Started and, if it is a door, opened, when the one before has let go; gates turn in between. */
static hilum_rc step_in_place(struct hilum_self *plugin, struct hilum_self *from)
{
    hilum_rc rc = hl_plugin_start_one(plugin);
    if (rc == HILUM_OK)
        rc = put_hooks(plugin, false);
    if (rc != HILUM_OK)
        return rc;
    atomic_store(&plugin->state, PLUGIN_RUNNING);
    make_current(from, plugin);
    if (!hl_plugin_is_door(plugin))
        return HILUM_OK;
    hl_error_clear();
    return plugin->plugin->ready(plugin->data);
}

/* What the old version had begins anew, from its file: a life that has been drained cannot go on. */
static void hand_back(struct hilum_self *plugin, struct hilum_self *previous)
{
    struct hilum_self *current = hl_plugin_find(plugin->host, plugin->id);
    struct hilum_self *again = hl_plugin_version(current, previous->file);
    (void)let_go(plugin);
    hilum_rc rc = again ? prepare(again) : hl_fail(HILUM_ENOMEM, "no memory");
    if (rc == HILUM_OK)
        rc = step_in_place(again, current);
    if (again)
        again->replaces = NULL;
    if (rc == HILUM_OK && again)
        hl_log(HL_WARN, plugin->id, "version %s has begun anew", again->plugin->version);
    else
        hl_log(HL_ERROR, plugin->id, "version %s cannot begin anew, and nobody answers: %s",
               previous->plugin->version, hl_error());
    end(plugin);
    end(previous);
}

/* Its doors are closed before the next one opens them; clients wait in the host's sockets. */
static hilum_rc hand_over(struct hilum_self *plugin, struct hilum_self *old)
{
    char reason[512];
    hilum_rc rc = let_go(old);
    if (rc == HILUM_OK)
        rc = step_in_place(plugin, old);
    if (rc == HILUM_OK) {
        end(old);
        return HILUM_OK;
    }
    snprintf(reason, sizeof reason, "%s", hl_error());
    hand_back(plugin, old);
    return hl_fail(rc, "%s", reason);
}

/* Hooks first: they are what can fail. From make_current on callers meet the new version. */
static hilum_rc take_over(struct hilum_self *plugin, struct hilum_self *old)
{
    bool by_handover = is_handover(plugin, old);
    hilum_rc rc = by_handover ? hand_over(plugin, old) : put_hooks(plugin, false);
    if (rc != HILUM_OK)
        return rc;
    plugin->previous = old;
    plugin->percent_before = error_percent(&old->tally);
    atomic_store(&plugin->on_probation, true);
    if (!by_handover) {
        atomic_store(&plugin->state, PLUGIN_RUNNING);
        make_current(old, plugin);
    }
    char what[128];
    snprintf(what, sizeof what, "version %.40s after %.40s", plugin->plugin->version,
             old->plugin->version);
    hl_log(HL_INFO, plugin->id, "swapped: %s, which %s for %d calls or %d s", what,
           by_handover ? "can begin anew" : "stands by", PROBATION_CALLS, PROBATION_MS / 1000);
    hl_plugin_tell(plugin, "plugin.swapped", what);
    /* Without a thread to watch it there is no way back, and the old one ends now. */
    if (hl_plugins_run_task(plugin->host, NULL, watch, plugin) != HILUM_OK)
        conclude(plugin);
    return HILUM_OK;
}

/* A probation under way is concluded first: there is one version to go back to, not two. */
static hilum_rc swap_locked(struct hl_plugins *host, const char *id, const char *file)
{
    struct hilum_self *old = hl_plugin_find(host, id), *plugin;
    if (!old)
        return hl_fail(HILUM_ENOTFOUND, "%s: no such plugin (see `hilum plugin list`)", id);
    if (atomic_load(&old->state) != PLUGIN_RUNNING)
        return hl_fail(HILUM_EINVAL, "%s does not run; hilum plugin load %s opens it", id, id);
    conclude(old);
    /* It may have been rolled back just now. */
    old = hl_plugin_find(host, id);
    hilum_rc rc = check_held(old, is_handover(old, old));
    if (rc == HILUM_OK)
        rc = check_swap_word(old->plugin);
    if (rc != HILUM_OK)
        return rc;
    plugin = hl_plugin_version(old, file);
    if (!plugin)
        return hl_fail(HILUM_ENOMEM, "%s: no memory", id);
    rc = prepare(plugin);
    if (rc == HILUM_OK)
        rc = fits(plugin, old);
    if (rc == HILUM_OK && !is_handover(plugin, old))
        rc = hl_plugin_start_one(plugin);
    if (rc == HILUM_OK)
        rc = take_over(plugin, old);
    plugin->replaces = NULL;
    if (rc != HILUM_OK)
        give_up(plugin);
    return rc;
}

hilum_rc hl_plugins_swap(struct hl_plugins *plugins, const char *id, const char *file)
{
    pthread_mutex_lock(&plugins->manage);
    hilum_rc rc = plugins->is_closing ? hl_fail(HILUM_ECLOSED, "the server is stopping")
                                      : swap_locked(plugins, id, file);
    pthread_mutex_unlock(&plugins->manage);
    return rc;
}

/* ---- off, on, away, back ---- */

/* *out: the version in force of a plugin that may be taken away. */
static hilum_rc running(struct hl_plugins *host, const char *id, struct hilum_self **out)
{
    *out = hl_plugin_find(host, id);
    if (!*out)
        return hl_fail(HILUM_ENOTFOUND, "%s: no such plugin (see `hilum plugin list`)", id);
    if (atomic_load(&(*out)->state) != PLUGIN_RUNNING)
        return hl_fail(HILUM_EINVAL, "%s does not run", id);
    conclude(*out);
    *out = hl_plugin_find(host, id);
    if ((*out)->required)
        return hl_fail(HILUM_EDENIED, "%s is required = true; the server cannot be without it", id);
    const char *other = needed_by(*out);
    if (other)
        return hl_fail(HILUM_EDENIED, "%s is needed by %s", id, other);
    return hl_plugin_is_door(*out) ? check_held(*out, false) : HILUM_OK;
}

/* Hooks off the bus, then gates to nobody: a caller hears HILUM_ECLOSED. State and gates
 * change under one lock, so that a look-up never finds a plugin whose gates are closed. */
static void switch_off(struct hilum_self *plugin, int state)
{
    struct hl_plugins *host = plugin->host;
    hl_bus_replace(host->bus, plugin->owner, NULL, 0, NULL, NULL, false, NULL);
    pthread_rwlock_wrlock(&host->registry);
    atomic_store(&plugin->state, state);
    hl_gates_turn(host, plugin, NULL);
    pthread_rwlock_unlock(&host->registry);
    hl_plugin_tell(plugin, "plugin.stopped", state == PLUGIN_DISABLED ? "disabled" : "drained");
}

hilum_rc hl_plugins_disable(struct hl_plugins *plugins, const char *id)
{
    struct hilum_self *plugin;
    pthread_mutex_lock(&plugins->manage);
    hilum_rc rc = running(plugins, id, &plugin);
    for (const struct capability *c = rc == HILUM_OK ? plugin->caps : NULL; c; c = c->next)
        if (rc == HILUM_OK && !hl_shim_has(c->cap->kind))
            rc = check_held(plugin, false);
    if (rc == HILUM_OK)
        switch_off(plugin, PLUGIN_DISABLED);
    pthread_mutex_unlock(&plugins->manage);
    return rc;
}

hilum_rc hl_plugins_drain_one(struct hl_plugins *plugins, const char *id)
{
    struct hilum_self *plugin;
    pthread_mutex_lock(&plugins->manage);
    hilum_rc rc = running(plugins, id, &plugin);
    if (rc == HILUM_OK)
        rc = check_held(plugin, false);
    if (rc == HILUM_OK) {
        switch_off(plugin, PLUGIN_STOPPED);
        hl_host_unlisten(plugins, plugin->id);
        if (!retire(plugin))
            rc = hl_fail(HILUM_ETIMEDOUT, "%s takes no new calls; those under way have not ended",
                         id);
    }
    pthread_mutex_unlock(&plugins->manage);
    return rc;
}

/* Also ends a quarantine, of a plugin that runs in workers and was never disabled. */
static hilum_rc enable_locked(struct hl_plugins *host, const char *id)
{
    struct hilum_self *plugin = hl_plugin_find(host, id);
    if (!plugin)
        return hl_fail(HILUM_ENOTFOUND, "%s: no such plugin (see `hilum plugin list`)", id);
    if (plugin->remote)
        hl_remote_forgive(plugin->remote);
    if (atomic_load(&plugin->state) == PLUGIN_RUNNING)
        return HILUM_OK;
    if (atomic_load(&plugin->state) != PLUGIN_DISABLED)
        return hl_fail(HILUM_EINVAL, "%s is not disabled; hilum plugin load %s opens it", id, id);
    hilum_rc rc = put_hooks(plugin, false);
    if (rc != HILUM_OK)
        return rc;
    pthread_rwlock_wrlock(&host->registry);
    atomic_store(&plugin->state, PLUGIN_RUNNING);
    hl_gates_turn(host, plugin, plugin);
    pthread_rwlock_unlock(&host->registry);
    hl_plugin_tell(plugin, "plugin.started", "enabled");
    return HILUM_OK;
}

hilum_rc hl_plugins_enable(struct hl_plugins *plugins, const char *id)
{
    pthread_mutex_lock(&plugins->manage);
    hilum_rc rc = enable_locked(plugins, id);
    pthread_mutex_unlock(&plugins->manage);
    return rc;
}

/* ---- load ---- */

/* Hooks first, as they can fail; then visible to look-ups. */
static hilum_rc make_known(struct hilum_self *plugin, struct hilum_self *before)
{
    struct hl_plugins *host = plugin->host;
    hilum_rc rc = put_hooks(plugin, false);
    if (rc != HILUM_OK)
        return rc;
    if (before) {
        make_current(before, plugin);
    } else {
        pthread_rwlock_wrlock(&host->registry);
        host->plugins[host->n++] = plugin;
        pthread_rwlock_unlock(&host->registry);
    }
    /* One that never came up is in no order yet. */
    bool is_ordered = false;
    for (size_t i = 0; i < host->n_order; i++)
        is_ordered = is_ordered || host->order[i] == plugin;
    if (!is_ordered)
        host->order[host->n_order++] = plugin;
    atomic_store(&plugin->state, PLUGIN_RUNNING);
    hl_log(HL_INFO, plugin->id, "loaded: version %s", plugin->plugin->version);
    hl_plugin_tell(plugin, "plugin.started", plugin->plugin->version);
    return HILUM_OK;
}

static hilum_rc load_locked(struct hl_plugins *host, struct hl_config *config, const char *id)
{
    struct hilum_self *before = hl_plugin_find(host, id);
    int state = before ? atomic_load(&before->state) : PLUGIN_STOPPED;
    if (state != PLUGIN_STOPPED && state != PLUGIN_SKIPPED)
        return hl_fail(HILUM_EEXISTS, "%s is loaded; hilum plugin swap %s replaces it", id, id);
    if (host->n == host->max)
        return hl_fail(HILUM_EFULL, "more plugins than this server has places for; restart it");
    struct hilum_self *plugin = hl_plugin_from(host, config, id);
    if (!plugin)
        return hl_fail(HILUM_ENOTFOUND,
                       "%s: not in the configuration; add { name = \"%s\"; } to plugins and run: "
                       "hilum config reload",
                       id, id);
    plugin->replaces = before;
    /* One whose start failed is still up, as others may have found it. */
    hilum_rc rc = before && before->initialised ? check_held(before, false) : HILUM_OK;
    if (rc == HILUM_OK && before && !retire(before))
        rc = hl_fail(HILUM_EAGAIN, "%s: calls of its former life have not ended", id);
    if (rc == HILUM_OK)
        rc = bring_up(plugin);
    if (rc == HILUM_OK)
        rc = make_known(plugin, before);
    plugin->replaces = NULL;
    if (rc != HILUM_OK)
        give_up(plugin);
    return rc;
}

hilum_rc hl_plugins_load(struct hl_plugins *plugins, struct hl_config *config, const char *id)
{
    pthread_mutex_lock(&plugins->manage);
    hilum_rc rc = plugins->is_closing ? hl_fail(HILUM_ECLOSED, "the server is stopping")
                                      : load_locked(plugins, config, id);
    pthread_mutex_unlock(&plugins->manage);
    return rc;
}
