/* init, start, drain, fini of all plugins in the order of their needs. It knows nothing of files
 * and options.
 *
 * init, start, ready, drain and fini are called on the main thread, one plugin after the other,
 * but for versions that come while the server runs (swap.c). Order: users after what they need,
 * and back in reverse. SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/plugin/host.h"
#include "core/plugin/loop.h"
#include "core/plugin/metrics.h"
#include "core/plugin/remote/remote.h"

void hl_plugins_set_services(struct hl_plugins *plugins, const struct hl_host_services *services)
{
    plugins->services = *services;
}

void hl_plugins_set_publish(struct hl_plugins *plugins,
                            hilum_rc (*publish)(void *arg, const char *plugin, const char *event,
                                                const char *fields_json),
                            void *arg)
{
    plugins->publish = publish;
    plugins->publish_arg = arg;
}

/* ---- init ---- */

/* `registering` is the window in which provide, subscribe and declare are allowed: afterwards
 * other threads read the lists without a lock. On failure init has freed what it made: its
 * fini is not called then. */
static hilum_rc run_init(struct hilum_self *plugin)
{
    hl_error_clear();
    plugin->registering = true;
    hilum_rc rc = plugin->plugin->init(&plugin->host->table, plugin, plugin->conf, &plugin->data);
    plugin->registering = false;
    /* fini is owed as soon as init said OK, whatever the host thinks of what it registered. */
    plugin->initialised = rc == HILUM_OK;
    /* A positive answer is documented for no init; taking it for success would hide a defect. */
    if (rc > 0)
        return hl_fail(HILUM_EINTERNAL, "init answered %d", rc);
    if (rc == HILUM_OK && plugin->refused != HILUM_OK)
        return hl_fail(plugin->refused, "%s", plugin->refusal);
    return rc;
}

/* The memory is the arena's and goes with the plugin; here the lists are emptied, so that look-ups and
 * cardinality no longer see it. */
static void forget_registrations(struct hilum_self *plugin)
{
    for (struct capability *c = plugin->caps; c; c = c->next)
        pthread_mutex_destroy(&c->serial);
    for (size_t i = 0; i < plugin->n_targets; i++)
        pthread_mutex_destroy(&plugin->targets[i]->serial);
    plugin->n_targets = 0;
    plugin->caps = NULL;
    plugin->last_cap = &plugin->caps;
    plugin->decls = NULL;
    plugin->last_decl = &plugin->decls;
    plugin->n_hooks = 0;
}

/* The state is published last: whoever sees PLUGIN_READY sees complete lists. */
bool hl_plugin_init_one(struct hilum_self *plugin)
{
    hilum_rc rc = run_init(plugin);
    if (rc == HILUM_OK) {
        atomic_store_explicit(&plugin->state, PLUGIN_READY, memory_order_release);
        return true;
    }
    hl_plugin_skip(plugin, NULL, "init: %s%s%s", hl_rc_name(rc), *hl_error() ? ": " : "",
                   hl_error());
    hl_log(HL_ERROR, plugin->id, "skipped: %s", plugin->reason);
    forget_registrations(plugin);
    /* It said OK but was refused something it registered: what it made is its own to free. */
    if (plugin->initialised && plugin->plugin->fini)
        plugin->plugin->fini(plugin->data);
    plugin->initialised = false;
    return false;
}

/* Soft: a want is settled when it is there or can no longer come. */
static bool all_met(const struct hilum_self *plugin, const char *const *needs, bool is_soft)
{
    for (const char *const *need = needs; need && *need; need++)
        if (!hl_need_is_met(plugin->host, *need) &&
            !(is_soft && !hl_need_may_come(plugin->host, *need)))
            return false;
    return true;
}

/* The next plugin to initialise: the first in the configuration whose needs are met and whose
 * wants are met or can no longer be; failing that, one whose wants must wait in vain. Looked
 * for again after each init, since only an init tells what is provided. Quadratic, for a few
 * dozen. */
static struct hilum_self *next_plugin(const struct hl_plugins *host)
{
    struct hilum_self *fallback = NULL;
    for (size_t i = 0; i < host->n; i++) {
        struct hilum_self *plugin = host->plugins[i];
        if (plugin->state != PLUGIN_OPENED || !all_met(plugin, plugin->plugin->needs, false))
            continue;
        if (all_met(plugin, plugin->plugin->wants, true))
            return plugin;
        if (!fallback)
            fallback = plugin;
    }
    return fallback;
}

/* For the reason of a skip. */
static const char *first_unmet(const struct hilum_self *plugin)
{
    for (const char *const *need = plugin->plugin->needs; need && *need; need++)
        if (!hl_need_is_met(plugin->host, *need))
            return *need;
    return "?";
}

/* What is left waits for something no plugin provided in its init. */
static void skip_the_rest(struct hl_plugins *host, struct hl_faults *faults)
{
    for (size_t i = 0; i < host->n; i++)
        if (host->plugins[i]->state == PLUGIN_OPENED)
            hl_plugin_skip(host->plugins[i], faults, "needs %s, which no plugin that runs provides",
                           first_unmet(host->plugins[i]));
}

/* ---- hooks ---- */

/* A plugin is an owner on the bus: its hooks come and go together. With dry_run nothing
 * changes and faults are told. */
static hilum_rc put_hooks(struct hilum_self *plugin, bool dry_run, struct hl_faults *faults)
{
    return hl_bus_replace(plugin->host->bus, plugin->owner, plugin->hooks, plugin->n_hooks, NULL,
                          NULL, dry_run, faults);
}

/* Plugins may name each other's hooks in any direction, so what fails now may pass after another's:
 * again until a round brings nothing new. */
static void put_all_hooks(struct hl_plugins *host, bool *done)
{
    for (bool progress = true; progress;) {
        progress = false;
        for (size_t i = 0; i < host->n_order; i++) {
            if (done[i] || put_hooks(host->order[i], false, NULL) != HILUM_OK)
                continue;
            done[i] = progress = true;
        }
    }
}

static hilum_rc publish_hooks(struct hl_plugins *host, struct hl_faults *faults)
{
    bool *done = calloc(host->n_order + 1, sizeof *done);
    hilum_rc rc = HILUM_OK;
    if (!done)
        return hl_fail(HILUM_ENOMEM, "plugins: no memory");
    put_all_hooks(host, done);
    for (size_t i = 0; i < host->n_order; i++) {
        struct hilum_self *plugin = host->order[i];
        if (done[i])
            continue;
        /* It stays, since others may hold what it provides, but none of its hooks runs: told. */
        hilum_rc failed = put_hooks(plugin, true, faults);
        snprintf(plugin->reason, sizeof plugin->reason, "its hooks are not in force: %s",
                 hl_error());
        hl_log(HL_ERROR, plugin->id, "%s", plugin->reason);
        if (plugin->required && rc == HILUM_OK)
            rc = hl_fail(failed, "required plugin %s: %s", plugin->id, plugin->reason);
    }
    free(done);
    return rc;
}

/* Goes on until no plugin is left whose needs are met; one round may make the next possible. */
hilum_rc hl_plugins_init(struct hl_plugins *plugins, struct hl_faults *faults)
{
    struct hilum_self *next;
    /* Stops at the first required plugin that fails: no other needs to open its files for a server that
     * will not run. */
    hilum_rc rc = hl_plugins_check_required(plugins);
    while (rc == HILUM_OK && (next = next_plugin(plugins)) != NULL) {
        if (hl_plugin_init_one(next))
            plugins->order[plugins->n_order++] = next;
        rc = hl_plugins_check_required(plugins);
    }
    if (rc != HILUM_OK)
        return rc;
    skip_the_rest(plugins, faults);
    rc = hl_plugins_check_required(plugins);
    return rc == HILUM_OK ? publish_hooks(plugins, faults) : rc;
}

/* ---- start ---- */

/* Once a life: a handover has drained it before the server's own end comes. */
void hl_plugin_drain(struct hilum_self *plugin, uint32_t ms)
{
    bool is_owed = plugin->plugin->drain && !plugin->is_drained;
    plugin->is_drained = true;
    if (is_owed)
        plugin->plugin->drain(plugin->data, ms);
}

/* Before drain: from here on no timer or watch begins anything; what runs is waited for by
 * whoever drains. */
void hl_plugin_quiet(struct hilum_self *plugin)
{
    atomic_store(&plugin->may_run, false);
    hl_timers_forget(plugin->host->timers, plugin);
    hl_loop_forget(plugin->host->loop, plugin);
}

/* Does it call what others provide when somebody outside wants it to? */
bool hl_plugin_is_door(const struct hilum_self *plugin)
{
    return HILUM_HAS(struct hilum_plugin, plugin->plugin->size, ready) && plugin->plugin->ready;
}

static hilum_rc stop_at_start(struct hilum_self *plugin, const char *step, hilum_rc rc)
{
    hl_plugin_quiet(plugin);
    snprintf(plugin->reason, sizeof plugin->reason, "%s: %s%s%s", step, hl_rc_name(rc),
             *hl_error() ? ": " : "", hl_error());
    hl_log(HL_ERROR, plugin->id, "stopped: %s", plugin->reason);
    /* fini waits until close: others may hold what it provides. */
    atomic_store_explicit(&plugin->state, PLUGIN_STOPPED, memory_order_release);
    hl_bus_replace(plugin->host->bus, plugin->owner, NULL, 0, NULL, NULL, false, NULL);
    if (plugin->required)
        return hl_fail(rc, "required plugin %s: %s", plugin->id, plugin->reason);
    return HILUM_OK;
}

hilum_rc hl_plugin_start_one(struct hilum_self *plugin)
{
    hl_error_clear();
    /* Before the call: start itself may want a worker. */
    atomic_store(&plugin->may_run, true);
    return plugin->plugin->start ? plugin->plugin->start(plugin->data) : HILUM_OK;
}

static hilum_rc start_plugin(struct hilum_self *plugin)
{
    hilum_rc rc = hl_plugin_start_one(plugin);
    if (rc != HILUM_OK)
        return stop_at_start(plugin, "start", rc);
    atomic_store_explicit(&plugin->state, PLUGIN_RUNNING, memory_order_release);
    return HILUM_OK;
}

/* After every start: requests may come in from the first door on, and all who serve them must
 * run. */
static hilum_rc open_door(struct hilum_self *plugin)
{
    if (plugin->state != PLUGIN_RUNNING || !hl_plugin_is_door(plugin))
        return HILUM_OK;
    hl_error_clear();
    hilum_rc rc = plugin->plugin->ready(plugin->data);
    return rc == HILUM_OK ? HILUM_OK : stop_at_start(plugin, "ready", rc);
}

/* Stops at the first required plugin that fails; the caller then closes what has started.
 * Doors last and on the way down first: no request comes in while somebody who would answer it
 * is not up. */
hilum_rc hl_plugins_start(struct hl_plugins *plugins)
{
    hilum_rc rc = HILUM_OK;
    /* Written before any thread of a plugin exists, so plugins read them without an atomic. */
    plugins->table.dicom = plugins->services.dicom;
    plugins->table.catalog = plugins->services.catalog;
    plugins->table.objects = plugins->services.objects;
    plugins->table.scu = plugins->services.scu;
    plugins->table.commands = plugins->services.commands;
    for (size_t i = 0; rc == HILUM_OK && i < plugins->n_order; i++)
        rc = start_plugin(plugins->order[i]);
    for (size_t i = 0; rc == HILUM_OK && i < plugins->n_order; i++)
        rc = open_door(plugins->order[i]);
    return rc;
}

/* ---- drain and close ---- */

static uint32_t left_until(int64_t deadline_ms)
{
    int64_t left = deadline_ms - hl_mono_ms();
    return left > 0 ? (uint32_t)left : 0;
}

/* Tasks on the pool, the loop and of timers, of all plugins. false: some still run. The pool
 * is shared, so one plugin's task that hangs delays this for all; the deadline bounds it. */
static bool wait_for_tasks(struct hl_plugins *host, int64_t deadline_ms)
{
    struct timespec until = hl_mono_timespec(deadline_ms);
    pthread_mutex_lock(&host->lock);
    int rc = 0;
    while (host->tasks > 0 && rc == 0)
        rc = pthread_cond_timedwait(&host->idle, &host->lock, &until);
    bool idle = host->tasks == 0;
    pthread_mutex_unlock(&host->lock);
    return idle;
}

/* Users before what they use: who came up last is drained first. What a plugin provides stays in reach until close:
 * drained plugins above may still need it. */
static void drain_those(struct hl_plugins *plugins, bool doors, int64_t deadline)
{
    for (size_t i = plugins->n_order; i > 0; i--) {
        struct hilum_self *plugin = plugins->order[i - 1];
        if (plugin->state != PLUGIN_RUNNING || hl_plugin_is_door(plugin) != doors)
            continue;
        hl_plugin_quiet(plugin);
        hl_plugin_drain(plugin, left_until(deadline));
        hl_host_unlisten(plugins, plugin->id);
    }
}

/* One that was handed over and still answers. */
static void drain_lingering(struct hilum_self *plugin, int64_t deadline)
{
    if (!plugin->lingers)
        return;
    hl_plugin_quiet(plugin);
    hl_plugin_drain(plugin, left_until(deadline));
}

/* No swap begins any more; those who watch one stop. Taken in this order once, so that a swap
 * under way is let end before is_closing shows. */
static void stop_watching(struct hl_plugins *host)
{
    pthread_mutex_lock(&host->manage);
    pthread_mutex_lock(&host->lock);
    atomic_store(&host->is_closing, true);
    pthread_cond_broadcast(&host->idle);
    pthread_mutex_unlock(&host->lock);
    pthread_mutex_unlock(&host->manage);
}

void hl_plugins_drain(struct hl_plugins *plugins, uint32_t ms)
{
    int64_t deadline = hl_mono_ms() + ms;
    stop_watching(plugins);
    drain_those(plugins, true, deadline);
    for (size_t i = 0; i < plugins->n_originals; i++)
        drain_lingering(plugins->originals[i], deadline);
    for (struct hilum_self *v = plugins->versions; v; v = v->next_version)
        drain_lingering(v, deadline);
    drain_those(plugins, false, deadline);
    if (!wait_for_tasks(plugins, deadline))
        hl_log(HL_WARN, "plugin", "tasks of plugins still run after %" PRIu32 " ms", ms);
}

static void take_hooks_off(struct hl_plugins *host)
{
    bool *done = calloc(host->n_order + 1, sizeof *done);
    if (!done)
        return;
    /* All lists are emptied first, then put again: plugins that name each other come off in some order. */
    for (size_t i = 0; i < host->n_order; i++)
        host->order[i]->n_hooks = 0;
    put_all_hooks(host, done);
    for (size_t i = 0; i < host->n_order; i++)
        if (!done[i])
            hl_log(HL_WARN, host->order[i]->id, "its hooks stay on the bus: %s", hl_error());
    free(done);
}

/* After fini; whatever it registered goes with its arena. */
static void plugin_free(struct hilum_self *plugin)
{
    forget_registrations(plugin);
    hl_remote_free(plugin->remote);
    free(plugin->hooks);
    free(plugin->targets);
    free(plugin->lent_database);
    free(plugin->file);
    hl_config_unref(plugin->config);
    hl_arena_fini(&plugin->arena);
    free(plugin);
}

/* Nobody calls any more, so state and lists are touched without a lock. */
static void end_those(struct hl_plugins *plugins, bool doors)
{
    for (size_t i = plugins->n_order; i > 0; i--) {
        struct hilum_self *plugin = plugins->order[i - 1];
        if (hl_plugin_is_door(plugin) != doors)
            continue;
        atomic_store(&plugin->state, PLUGIN_STOPPED);
        if (plugin->initialised && plugin->plugin->fini)
            plugin->plugin->fini(plugin->data);
        plugin->initialised = false;
    }
}

/* Versions that stand by, before those that took their place. One that calls are still inside
 * of is left as it is: its memory must outlast them, and the process is about to end. */
static void end_version(struct hl_plugins *host, struct hilum_self *plugin)
{
    for (size_t i = 0; i < host->n_order; i++)
        if (host->order[i] == plugin)
            return;
    if (!plugin->initialised || atomic_load(&plugin->inside))
        return;
    hl_plugin_drain(plugin, 0);
    if (plugin->plugin->fini)
        plugin->plugin->fini(plugin->data);
    plugin->initialised = false;
}

static void end_versions(struct hl_plugins *host)
{
    for (size_t i = 0; i < host->n_originals; i++)
        end_version(host, host->originals[i]);
    for (struct hilum_self *plugin = host->versions; plugin; plugin = plugin->next_version)
        end_version(host, plugin);
}

/* Code stays mapped (loader.c); this is the host's memory about plugins. */
static void free_all(struct hl_plugins *host)
{
    for (size_t i = 0; i < host->n_originals; i++)
        plugin_free(host->originals[i]);
    for (struct hilum_self *plugin = host->versions, *next; plugin; plugin = next) {
        next = plugin->next_version;
        plugin_free(plugin);
    }
}

/* In the order of who calls whom: hooks off, timers, loop and tasks quiet, then fini, then
 * memory. */
void hl_plugins_close(struct hl_plugins *plugins)
{
    if (!plugins)
        return;
    stop_watching(plugins);
    take_hooks_off(plugins);
    hl_timers_free(plugins->timers);
    plugins->timers = NULL;
    if (plugins->loop)
        hl_loop_forget(plugins->loop, NULL);
    if (!wait_for_tasks(plugins, hl_mono_ms())) {
        /* A task that runs on would use what fini frees; the process is about to end anyway. */
        hl_log(HL_ERROR, "plugin", "tasks of plugins still run: left behind without fini");
        return;
    }
    hl_host_unlisten(plugins, NULL);
    hl_loop_free(plugins->loop);
    hl_pool_free(plugins->pool);
    end_versions(plugins);
    end_those(plugins, true);
    end_those(plugins, false);
    free_all(plugins);
    hl_keeper_free(plugins->keeper);
    hl_metrics_free(plugins->metrics);
    hl_config_unref(plugins->config);
    hl_arena_fini(&plugins->arena);
    pthread_cond_destroy(&plugins->idle);
    pthread_mutex_destroy(&plugins->lock);
    pthread_mutex_destroy(&plugins->manage);
    pthread_rwlock_destroy(&plugins->registry);
    free(plugins);
}
