/* What plugins say in their descriptors that they will provide (hilum_plugin.provides): for who has to judge a
 * configuration before any init has run, and held against what init then does. It knows nothing of what is provided.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/plugin/host.h"

enum { NAME = 64 };

/* NULL: it says nothing, as descriptors that are older than the member do. */
static const char *const *said_by(const struct hilum_self *plugin)
{
    const struct hilum_plugin *p = plugin->plugin;
    return p && HILUM_HAS(struct hilum_plugin, p->size, provides) ? p->provides : NULL;
}

/* "{store}" is the value of the text option of that name; anything else is the name itself. */
static const char *name_meant(const struct hilum_self *plugin, const char *name)
{
    char key[NAME];
    size_t n = strlen(name);
    if (n < 3 || n >= sizeof key || name[0] != '{' || name[n - 1] != '}')
        return name;
    snprintf(key, sizeof key, "%.*s", (int)n - 2, name + 1);
    const char *value = hl_plugin_option_text(plugin, key);
    return value ? value : "";
}

static void add_known(struct hl_buf *known, const char *name)
{
    if (known && *name)
        hl_buf_printf(known, "%s\"%s\"", known->len ? ", " : "", name);
}

/* name NULL: any of the kind. */
static bool promises(const struct hilum_self *plugin, uint32_t kind, const char *name,
                     struct hl_buf *known)
{
    bool does = false;
    for (const char *const *said = said_by(plugin); said && *said; said++) {
        const char *colon = strchr(*said, ':');
        if (!colon || hl_cap_kind(*said, (size_t)(colon - *said)) != kind)
            continue;
        const char *meant = name_meant(plugin, colon + 1);
        add_known(known, meant);
        does = does || !name || !colon[1] || strcmp(meant, name) == 0;
    }
    return does;
}

static bool provides(const struct hilum_self *plugin, uint32_t kind, const char *name,
                     struct hl_buf *known)
{
    bool does = false;
    for (const struct capability *c = plugin->caps; c; c = c->next) {
        if (c->cap->kind != kind)
            continue;
        add_known(known, c->cap->name);
        does = does || !name || strcmp(c->cap->name, name) == 0;
    }
    return does;
}

/* What it says holds, before its init and after, which is held to it. Of one that says nothing,
 * what init did is known; before that anything may come, but from a worker nothing that has to be in
 * this process. */
static bool may(const struct hilum_self *plugin, uint32_t kind, const char *name,
                struct hl_buf *known)
{
    int state = atomic_load(&plugin->state);
    if (!plugin->plugin || state == PLUGIN_SKIPPED)
        return false;
    if (said_by(plugin))
        return promises(plugin, kind, name, known);
    if (plugin->remote && !hl_cap_kind_is_isolatable(kind))
        return false;
    return state == PLUGIN_OPENED || provides(plugin, kind, name, known);
}

bool hl_promise_may_come(const struct hilum_self *user, uint32_t kind, const char *name)
{
    const struct hl_plugins *host = user->host;
    for (size_t i = 0; i < host->n; i++)
        if (host->plugins[i] != user && may(host->plugins[i], kind, name, NULL))
            return true;
    return false;
}

hilum_rc hl_promise_check(const struct hilum_self *plugin, const struct hilum_cap *cap)
{
    if (!said_by(plugin) || promises(plugin, cap->kind, cap->name, NULL))
        return HILUM_OK;
    return hl_fail(HILUM_EINVAL, "%s:%s is not among what its descriptor says it provides",
                   hl_cap_kind_name(cap->kind), cap->name);
}

/* Of one that was skipped the reason is told elsewhere: what it would provide is not asked for in
 * vain, and a reload is not refused for it. An entry that a newer configuration added was not
 * opened: anything may come of it. */
static bool would(const struct hilum_self *plugin, uint32_t kind, const char *name,
                  struct hl_buf *known)
{
    if (!plugin)
        return true;
    if (atomic_load(&plugin->state) != PLUGIN_SKIPPED)
        return may(plugin, kind, name, known);
    return !said_by(plugin) || promises(plugin, kind, name, known);
}

/* All are asked, so that `known` is complete. */
bool hl_plugins_may_provide(struct hl_plugins *plugins, const struct hl_config *config,
                            uint32_t kind, const char *name, struct hl_buf *known)
{
    const struct hl_node *list = hl_config_node(config, "plugins");
    bool does = false;
    pthread_rwlock_rdlock(&plugins->registry);
    for (size_t i = 0; list && i < list->n_children; i++) {
        const char *id = hl_node_text(list->children[i], "name", "");
        const struct hilum_self *plugin = hl_plugin_find(plugins, id);
        does = would(plugin, kind, name, known) || does;
    }
    pthread_rwlock_unlock(&plugins->registry);
    return does;
}
