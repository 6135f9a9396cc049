/* Who must start before whom: plugin ids and "kind:name" capabilities. It knows nothing of what
 * runs.
 *
 * Needs by id are checked here, before anything runs (missing, skipped, cycles). Needs by
 * capability can only be seen as plugins come up (next_plugin in life.c).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/plugin/host.h"

bool hl_need_is_met(const struct hl_plugins *host, const char *need)
{
    const char *colon = strchr(need, ':');
    if (!colon) {
        const struct hilum_self *plugin = hl_plugin_find(host, need);
        return plugin && hl_plugin_is_ready(plugin);
    }
    bool ambiguous = false;
    uint32_t kind = hl_cap_kind(need, (size_t)(colon - need));
    /* "database:" asks for any; then several are as good as one. */
    return hl_registry_find(host, kind, colon[1] ? colon + 1 : NULL, &ambiguous) || ambiguous;
}

/* A capability may come from anybody who has not been initialised yet: names do not tell what a plugin
 * provides. */
bool hl_need_may_come(const struct hl_plugins *host, const char *need)
{
    if (strchr(need, ':')) {
        for (size_t i = 0; i < host->n; i++)
            if (host->plugins[i]->state == PLUGIN_OPENED)
                return true;
        return false;
    }
    const struct hilum_self *plugin = hl_plugin_find(host, need);
    return plugin && plugin->state == PLUGIN_OPENED;
}

/* ---- what can be said before anything runs ---- */

static bool check_need(struct hl_plugins *host, struct hilum_self *plugin, const char *need,
                       struct hl_faults *faults)
{
    const char *colon = strchr(need, ':');
    if (colon && !hl_cap_kind(need, (size_t)(colon - need))) {
        hl_plugin_skip(plugin, faults, "needs \"%s\", a kind of capability that is not built yet",
                       need);
        return false;
    }
    /* Where a descriptor does not say what init will provide, a capability cannot be judged here. */
    if (colon && !hl_promise_may_come(plugin, hl_cap_kind(need, (size_t)(colon - need)),
                                      colon[1] ? colon + 1 : NULL)) {
        hl_plugin_skip(plugin, faults, "needs %s, which no plugin that runs provides", need);
        return false;
    }
    const struct hilum_self *other = colon ? NULL : hl_plugin_find(host, need);
    if (colon || (other && other->state != PLUGIN_SKIPPED))
        return true;
    if (other)
        hl_plugin_skip(plugin, faults, "needs plugin %s, which is skipped", need);
    else
        hl_plugin_skip(plugin, faults,
                       "needs plugin %s; add { name = \"%s\"; } to plugins in the configuration",
                       need, need);
    return false;
}

static bool check_needs_of(struct hl_plugins *host, struct hilum_self *plugin,
                           struct hl_faults *faults)
{
    for (const char *const *need = plugin->plugin->needs; need && *need; need++)
        if (!check_need(host, plugin, *need, faults))
            return false;
    return true;
}

/* Does the chain of needs by id that starts at `at` come back to `target`? A cycle it comes
 * upon that does not lead back to `target` ends with the depth; each plugin of that one finds
 * it for itself. */
static bool leads_to(const struct hl_plugins *host, const struct hilum_self *at,
                     const struct hilum_self *target, size_t depth)
{
    for (const char *const *need = at->plugin->needs; need && *need && depth; need++) {
        const struct hilum_self *other = hl_plugin_find(host, *need);
        if (other == target)
            return true;
        if (other && other->plugin && leads_to(host, other, target, depth - 1))
            return true;
    }
    return false;
}

void hl_needs_check(struct hl_plugins *host, struct hl_faults *faults)
{
    for (size_t i = 0; i < host->n; i++) {
        struct hilum_self *plugin = host->plugins[i];
        /* Depth is a stop for long chains, not a limit on plugins: 16 levels of needs are nobody's design. */
        if (plugin->state == PLUGIN_OPENED && leads_to(host, plugin, plugin, 16))
            hl_plugin_skip(plugin, faults, "needs itself through what it needs: a cycle");
    }
    /* Skipping one may leave another without what it needs: again until nothing changes. */
    for (bool changed = true; changed;) {
        changed = false;
        for (size_t i = 0; i < host->n; i++)
            if (host->plugins[i]->state == PLUGIN_OPENED)
                changed = !check_needs_of(host, host->plugins[i], faults) || changed;
    }
}
