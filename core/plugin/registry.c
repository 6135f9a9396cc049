/* What plugins provide, subscribe to and declare during init, and how it is found again. It
 * knows the cardinality of each kind and nothing of what a capability does.
 *
 * Lists of a plugin are written during its init alone, before anybody sees it as ready. Look-ups
 * hold `registry` for reading and return pointers that live until close.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "core/access/access.h"
#include "core/base/error.h"
#include "core/plugin/host.h"

enum { MAX_NAME = 64 };

bool hl_plugin_is_ready(const struct hilum_self *plugin)
{
    int state = atomic_load_explicit(&plugin->state, memory_order_acquire);
    return state == PLUGIN_READY || state == PLUGIN_RUNNING;
}

struct hilum_self *hl_plugin_find(const struct hl_plugins *host, const char *id)
{
    for (size_t i = 0; i < host->n; i++)
        if (strcmp(host->plugins[i]->id, id) == 0)
            return host->plugins[i];
    return NULL;
}

struct hilum_self *hl_peer(struct hilum_self *plugin, size_t i)
{
    const struct hl_plugins *host = plugin->host;
    bool is_last = plugin->is_version && !plugin->replaces;
    if (i < host->n)
        return plugin->replaces && host->plugins[i] == plugin->replaces ? plugin : host->plugins[i];
    return i == host->n && is_last ? plugin : NULL;
}

/* Remembers the first refusal: a plugin that ignores it must not run half registered. */
static hilum_rc refuse(struct hilum_self *plugin, hilum_rc rc)
{
    /* Outside init there is no outcome left to change: the caller has its code. */
    if (plugin->registering && plugin->refused == HILUM_OK) {
        plugin->refused = rc;
        snprintf(plugin->refusal, sizeof plugin->refusal, "%s", hl_error());
    }
    return rc;
}

static hilum_rc check_registering(const struct hilum_self *plugin, const char *what)
{
    if (plugin->registering)
        return HILUM_OK;
    return hl_fail(HILUM_EDENIED, "%s: %s is allowed during init only", plugin->id, what);
}

/* What can never run in a process of its own (architecture section 4) asks for a person's
 * word. A plugin in its own process can only end that; one in ours can end everything, and
 * read all patients' data without being asked. */
static hilum_rc check_trust(const struct hilum_self *plugin, const char *what)
{
    if (!plugin->is_foreign)
        return HILUM_OK;
    return hl_fail(HILUM_EDENIED,
                   "%s from outside Hilum's own folder can stop the server; write trust = "
                   "\"in-process\" beside name = \"%s\" if you trust it",
                   what, plugin->id);
}

/* Names appear in "kind:name", in JSON and on command lines. */
static bool is_name(const char *name)
{
    return name && *name && strlen(name) < MAX_NAME && !strpbrk(name, "\"\\\n\r\t:");
}

/* What a gate leads to, remembered by the plugin so that gates can be turned to it and away.
 * NULL: no memory. On failure the target stays in the arena, unused: init fails then, and all
 * of it goes. */
static struct hl_target *target_new(struct hilum_self *plugin, uint32_t what, const char *name,
                                    bool is_serial)
{
    struct hl_target *target = hl_arena_alloc(&plugin->arena, sizeof *target);
    if (!target ||
        !hl_grow(&plugin->targets, &plugin->cap_targets, plugin->n_targets, sizeof target))
        return NULL;
    target->owner = plugin;
    target->what = what;
    target->name = name;
    target->is_serial = is_serial;
    pthread_mutex_init(&target->serial, NULL);
    plugin->targets[plugin->n_targets++] = target;
    return target;
}

/* ---- capabilities ---- */

static hilum_rc check_preview(const struct hilum_self *plugin, const struct hilum_cap *cap)
{
    if (plugin->may_preview || !hl_cap_kind_is_preview(cap->kind))
        return HILUM_OK;
    return hl_fail(HILUM_EDENIED,
                   "%s is a preview interface that may change with any release; write "
                   "allow_preview = true beside name = \"%s\" if you accept that",
                   hl_cap_kind_name(cap->kind), plugin->id);
}

static hilum_rc check_capability(struct hilum_self *plugin, const struct hilum_cap *cap)
{
    if (!cap || cap->size < sizeof *cap)
        return hl_fail(HILUM_EINVAL, "capability: its size is not filled in");
    if (!hl_cap_kind_name(cap->kind))
        return hl_fail(HILUM_EUNSUP, "capability of kind %u is not built yet in this host",
                       cap->kind);
    if (!is_name(cap->name))
        return hl_fail(HILUM_EINVAL, "capability %s: expected a name of 1 to 63 characters",
                       hl_cap_kind_name(cap->kind));
    /* HILUM_LOOP: only ever called on the loop thread. No caller here is there. */
    if (cap->threads > HILUM_PARALLEL)
        return hl_fail(HILUM_EUNSUP, "%s:%s: expected HILUM_SERIAL or HILUM_PARALLEL",
                       hl_cap_kind_name(cap->kind), cap->name);
    hilum_rc rc = check_preview(plugin, cap);
    if (rc == HILUM_OK && !hl_cap_kind_is_isolatable(cap->kind))
        rc = check_trust(plugin, hl_cap_kind_name(cap->kind));
    if (rc == HILUM_OK)
        rc = hl_promise_check(plugin, cap);
    return rc == HILUM_OK ? hl_cap_check(plugin, cap) : rc;
}

/* Callers see it through a gate, where its kind has one. */
static hilum_rc show(struct capability *c)
{
    struct hl_target *target =
        target_new(c->owner, c->cap->kind, c->cap->name, c->cap->threads == HILUM_SERIAL);
    if (!target)
        return hl_fail(HILUM_ENOMEM, "%s: no memory", c->owner->id);
    target->cap = c->cap;
    target->instance = c->instance;
    return hl_shim_new(c->owner->host, target, &c->shown, &c->shown_instance);
}

/* The table is the plugin's and must outlive it unchanged; it is not copied, but for kinds
 * with a shim. */
hilum_rc hl_registry_provide(struct hilum_self *plugin, const struct hilum_cap *cap, void *instance)
{
    hilum_rc rc = check_registering(plugin, "provide");
    if (rc == HILUM_OK)
        rc = check_capability(plugin, cap);
    if (rc != HILUM_OK)
        return refuse(plugin, rc);
    struct capability *c = hl_arena_alloc(&plugin->arena, sizeof *c);
    if (!c)
        return refuse(plugin, hl_fail(HILUM_ENOMEM, "%s: no memory", plugin->id));
    c->owner = plugin;
    c->cap = cap;
    c->instance = instance;
    rc = show(c);
    if (rc != HILUM_OK)
        return refuse(plugin, rc);
    atomic_init(&c->pins, 0);
    pthread_mutex_init(&c->serial, NULL);
    *plugin->last_cap = c;
    plugin->last_cap = &c->next;
    return HILUM_OK;
}

/* Of plugins that are ready. Several and no name: NULL, *ambiguous. Under `registry`, or on
 * the main thread before plugins have started. */
struct capability *hl_registry_find(const struct hl_plugins *host, uint32_t kind, const char *name,
                                    bool *ambiguous)
{
    struct capability *found = NULL;
    *ambiguous = false;
    for (size_t i = 0; i < host->n; i++) {
        if (!hl_plugin_is_ready(host->plugins[i]))
            continue;
        for (struct capability *c = host->plugins[i]->caps; c; c = c->next) {
            if (c->cap->kind != kind || (name && strcmp(c->cap->name, name) != 0))
                continue;
            if (found)
                *ambiguous = true;
            else
                found = c;
        }
    }
    return *ambiguous ? NULL : found;
}

hilum_rc hl_plugins_acquire(struct hl_plugins *plugins, uint32_t kind, const char *name,
                            const struct hilum_cap **cap, void **instance)
{
    bool ambiguous;
    const char *kind_name = hl_cap_kind_name(kind) ? hl_cap_kind_name(kind) : "unknown kind";
    pthread_rwlock_rdlock(&plugins->registry);
    struct capability *c = hl_registry_find(plugins, kind, name, &ambiguous);
    pthread_rwlock_unlock(&plugins->registry);
    if (ambiguous)
        return hl_fail(HILUM_ECONFLICT, "%s: provided by several plugins; say which", kind_name);
    if (!c)
        return hl_fail(HILUM_ENOTFOUND, "%s%s%s: no plugin that runs provides it", kind_name,
                       name ? ":" : "", name ? name : "");
    /* Binds nothing: gates keep versions in memory. The contract is that who acquires also unpins. */
    atomic_fetch_add_explicit(&c->pins, 1, memory_order_relaxed);
    *cap = c->shown;
    *instance = c->shown_instance;
    return HILUM_OK;
}

hilum_rc hl_plugins_nth(struct hl_plugins *plugins, uint32_t kind, uint32_t i,
                        const struct hilum_cap **cap, void **instance)
{
    pthread_rwlock_rdlock(&plugins->registry);
    struct capability *c = hl_cap_nth(plugins, kind, i);
    pthread_rwlock_unlock(&plugins->registry);
    if (!c)
        return HILUM_ENOTFOUND; /* the end of a list, not a failure */
    atomic_fetch_add_explicit(&c->pins, 1, memory_order_relaxed);
    *cap = c->shown;
    *instance = c->shown_instance;
    return HILUM_OK;
}

/* By the address of the table, which the contract makes static and unique to one provider. */
static struct capability *capability_by_table(struct hl_plugins *host, const struct hilum_cap *cap)
{
    struct capability *found = NULL;
    pthread_rwlock_rdlock(&host->registry);
    for (size_t i = 0; !found && i < host->n; i++)
        for (struct capability *c = host->plugins[i]->caps; c && !found; c = c->next)
            if (c->shown == cap)
                found = c;
    pthread_rwlock_unlock(&host->registry);
    return found;
}

void hl_plugins_unpin(struct hl_plugins *plugins, const struct hilum_cap *cap)
{
    struct capability *c = capability_by_table(plugins, cap);
    if (c)
        atomic_fetch_sub_explicit(&c->pins, 1, memory_order_relaxed);
}

void hl_plugins_enter(struct hl_plugins *plugins, const struct hilum_cap *cap)
{
    struct capability *c = cap->threads == HILUM_SERIAL ? capability_by_table(plugins, cap) : NULL;
    if (c)
        pthread_mutex_lock(&c->serial);
}

void hl_plugins_leave(struct hl_plugins *plugins, const struct hilum_cap *cap)
{
    struct capability *c = cap->threads == HILUM_SERIAL ? capability_by_table(plugins, cap) : NULL;
    if (c)
        pthread_mutex_unlock(&c->serial);
}

void hl_plugins_cap_each(struct hl_plugins *plugins, uint32_t kind,
                         void (*each)(void *arg, const struct hilum_cap *cap, void *instance,
                                      const char *plugin),
                         void *arg)
{
    pthread_rwlock_rdlock(&plugins->registry);
    for (size_t i = 0; i < plugins->n; i++) {
        if (!hl_plugin_is_ready(plugins->plugins[i]))
            continue;
        for (struct capability *c = plugins->plugins[i]->caps; c; c = c->next)
            if (c->cap->kind == kind)
                each(arg, c->shown, c->shown_instance, plugins->plugins[i]->id);
    }
    pthread_rwlock_unlock(&plugins->registry);
}

const struct hilum_service *hl_plugins_service_for(struct hl_plugins *plugins,
                                                   const char *sop_class, void **instance)
{
    pthread_rwlock_rdlock(&plugins->registry);
    const struct capability *c = hl_service_provider(plugins, sop_class);
    pthread_rwlock_unlock(&plugins->registry);
    if (!c)
        return NULL;
    *instance = c->shown_instance;
    return (const struct hilum_service *)(const void *)c->shown;
}

/* ---- subscriptions ---- */

/* The bus gets the gate's function, so that hooks can be turned to a newer version. */
hilum_rc hl_registry_subscribe(struct hilum_self *plugin, const struct hilum_hook *hook)
{
    hilum_rc rc = check_registering(plugin, "subscribe");
    if (rc == HILUM_OK && (!hook || !HILUM_HAS(struct hilum_hook, hook->size, threads)))
        rc = hl_fail(HILUM_EINVAL, "hook: its size is not filled in");
    /* Here, because the bus sees our own function in the place of the plugin's. */
    if (rc == HILUM_OK && (!hook->name || !hook->event || !hook->run))
        rc = hl_fail(HILUM_EINVAL, "hook %s: name, event or run is missing",
                     hook->name ? hook->name : "");
    if (rc == HILUM_OK && hook->threads > HILUM_PARALLEL)
        rc = hl_fail(HILUM_EUNSUP, "hook %s: expected HILUM_SERIAL or HILUM_PARALLEL", hook->name);
    if (rc == HILUM_OK && hook->phase != HILUM_NOTIFY)
        rc = check_trust(plugin, "a hook that can refuse or change instances");
    if (rc == HILUM_OK &&
        !hl_grow(&plugin->hooks, &plugin->cap_hooks, plugin->n_hooks, sizeof *plugin->hooks))
        rc = hl_fail(HILUM_ENOMEM, "hook %s: no memory", hook->name);
    if (rc != HILUM_OK)
        return refuse(plugin, rc);
    /* A newer plugin's struct is longer, an older one's shorter: what is missing reads as zero. */
    size_t size = hook->size < sizeof *hook ? hook->size : sizeof *hook;
    struct hl_hook_source *source = &plugin->hooks[plugin->n_hooks++];
    *source = (struct hl_hook_source){.file = NULL};
    memcpy(&source->hook, hook, size);
    /* The bus itself serialises a SERIAL hook. */
    struct hl_target *target = target_new(plugin, GATE_HOOK, hook->name, false);
    struct hl_gate *gate = target ? hl_gate_new(plugin->host, target) : NULL;
    if (!gate)
        return refuse(plugin, hl_fail(HILUM_ENOMEM, "hook %s: no memory", hook->name));
    target->run_hook = hook->run;
    target->instance = hook->arg;
    source->hook.run = hl_shim_hook;
    source->hook.arg = gate;
    return HILUM_OK;
}

/* ---- declarations ---- */

static const char *const decl_types[] = {
    [HILUM_DECL_EVENT] = "event", [HILUM_DECL_VERB] = "verb",       [HILUM_DECL_READER] = "reader",
    [HILUM_DECL_JOB] = "job",     [HILUM_DECL_COMMAND] = "command",
};

static const struct hilum_decl *decl_of(const struct hilum_self *plugin, uint32_t type,
                                        const char *name)
{
    for (const struct declaration *d = plugin->decls; d; d = d->next)
        if (d->decl.type == type && strcmp(d->decl.name, name) == 0)
            return &d->decl;
    return NULL;
}

/* The bus keeps the name of an event as long as it lives; a version before this one gave it. */
static bool was_ours(const struct hilum_self *plugin, const char *event)
{
    const struct hl_plugins *host = plugin->host;
    for (size_t i = 0; i < host->n_originals; i++)
        if (strcmp(host->originals[i]->id, plugin->id) == 0 &&
            decl_of(host->originals[i], HILUM_DECL_EVENT, event))
            return true;
    for (const struct hilum_self *v = host->versions; v; v = v->next_version)
        if (strcmp(v->id, plugin->id) == 0 && decl_of(v, HILUM_DECL_EVENT, event))
            return true;
    return false;
}

/* "peer:text count?:int". Checked at init, where the vendor sees it, and not when the first rule uses the verb. */
static bool are_fields(const char *fields)
{
    for (const char *at = fields ? fields : ""; *at;) {
        at += strspn(at, " ");
        size_t n = strcspn(at, " "), name = strcspn(at, ":? ");
        if (n == 0)
            break;
        const char *type = at + name + (at[name] == '?');
        size_t left = n - (size_t)(type - at);
        if (name == 0 || *type != ':' ||
            !((left == 5 && strncmp(type, ":text", 5) == 0) ||
              (left == 4 && strncmp(type, ":int", 4) == 0) ||
              (left == 5 && strncmp(type, ":bool", 5) == 0)))
            return false;
        at += n;
    }
    return true;
}

/* NULL: all is there. */
static const char *missing_part(const struct hilum_decl *decl)
{
    bool runs = decl->type == HILUM_DECL_JOB || decl->type == HILUM_DECL_COMMAND;
    if (runs && !decl->run)
        return "run";
    if (decl->type == HILUM_DECL_READER && !decl->read)
        return "read";
    if (decl->type == HILUM_DECL_VERB && !decl->job)
        return "job";
    if (decl->type == HILUM_DECL_COMMAND && !decl->permission)
        return "permission";
    return NULL;
}

static hilum_rc check_declaration(struct hilum_self *plugin, const struct hilum_decl *decl)
{
    const struct hilum_self *other;
    if (decl->type < HILUM_DECL_EVENT || decl->type > HILUM_DECL_COMMAND)
        return hl_fail(HILUM_EUNSUP, "declaration of type %u is not built yet in this host",
                       decl->type);
    const char *type = decl_types[decl->type];
    if (!is_name(decl->name))
        return hl_fail(HILUM_EINVAL, "%s: expected a name of 1 to 63 characters", type);
    if (missing_part(decl))
        return hl_fail(HILUM_EINVAL, "%s %s: %s is missing", type, decl->name, missing_part(decl));
    if (!are_fields(decl->fields))
        return hl_fail(HILUM_EINVAL,
                       "%s %s: fields: expected \"name:text other?:int\", found \"%s\"", type,
                       decl->name, decl->fields);
    /* An action nobody knows would be refused to everybody, for ever. */
    if (decl->permission && !hl_action_is_known(decl->permission))
        return hl_fail(HILUM_EINVAL, "%s %s: permission \"%s\" is no action of this host", type,
                       decl->name, decl->permission);
    for (size_t i = 0; (other = hl_peer(plugin, i)); i++)
        if (decl_of(other, decl->type, decl->name))
            return hl_fail(HILUM_EEXISTS, "%s %s is declared by plugins %s and %s; remove one",
                           type, decl->name, other->id, plugin->id);
    /* A plugin publishes through the journal, so its events have the durable phase and no other. */
    if (decl->type == HILUM_DECL_EVENT && !was_ours(plugin, decl->name))
        return hl_bus_declare(plugin->host->bus, decl->name, 1u << HILUM_NOTIFY);
    return HILUM_OK;
}

/* run, read and arg of what others see are the gate's. */
hilum_rc hl_registry_declare(struct hilum_self *plugin, const struct hilum_decl *decl)
{
    hilum_rc rc = check_registering(plugin, "declare");
    if (rc == HILUM_OK && (!decl || !HILUM_HAS(struct hilum_decl, decl->size, arg)))
        rc = hl_fail(HILUM_EINVAL, "declaration: its size is not filled in");
    if (rc == HILUM_OK)
        rc = check_declaration(plugin, decl);
    if (rc != HILUM_OK)
        return refuse(plugin, rc);
    struct declaration *d = hl_arena_alloc(&plugin->arena, sizeof *d);
    if (!d)
        return refuse(plugin, hl_fail(HILUM_ENOMEM, "%s: no memory", plugin->id));
    memcpy(&d->decl, decl, decl->size < sizeof *decl ? decl->size : sizeof *decl);
    struct hl_target *target = target_new(plugin, GATE_DECL + decl->type, decl->name, false);
    struct hl_gate *gate = target ? hl_gate_new(plugin->host, target) : NULL;
    if (!gate)
        return refuse(plugin, hl_fail(HILUM_ENOMEM, "%s: no memory", plugin->id));
    target->run = decl->run;
    target->read = decl->read;
    target->instance = decl->arg;
    d->decl.run = decl->run ? hl_shim_run : NULL;
    d->decl.read = decl->read ? hl_shim_read : NULL;
    d->decl.arg = gate;
    *plugin->last_decl = d;
    plugin->last_decl = &d->next;
    return HILUM_OK;
}

void hl_plugins_decl_each(struct hl_plugins *plugins, uint32_t type,
                          void (*each)(void *arg, const struct hilum_decl *decl,
                                       const char *plugin),
                          void *arg)
{
    pthread_rwlock_rdlock(&plugins->registry);
    for (size_t i = 0; i < plugins->n; i++) {
        if (!hl_plugin_is_ready(plugins->plugins[i]))
            continue;
        for (const struct declaration *d = plugins->plugins[i]->decls; d; d = d->next)
            if (d->decl.type == type)
                each(arg, &d->decl, plugins->plugins[i]->id);
    }
    pthread_rwlock_unlock(&plugins->registry);
}

const struct hilum_decl *hl_plugins_decl_find(struct hl_plugins *plugins, uint32_t type,
                                              const char *name, const char **plugin)
{
    const struct hilum_decl *decl = NULL;
    pthread_rwlock_rdlock(&plugins->registry);
    for (size_t i = 0; !decl && i < plugins->n; i++) {
        if (hl_plugin_is_ready(plugins->plugins[i]))
            decl = decl_of(plugins->plugins[i], type, name);
        if (decl && plugin)
            *plugin = plugins->plugins[i]->id;
    }
    pthread_rwlock_unlock(&plugins->registry);
    return decl;
}
