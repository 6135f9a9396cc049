/* Plugins as JSON, for people and `hilum plugin list`.
 *
 * The answer of a command: it shows state and reasons, and never a value of an option, which
 * may be a secret.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "core/plugin/host.h"
#include "core/plugin/remote/remote.h"

static void text(struct hl_buf *json, const char *key, const char *value)
{
    hl_buf_printf(json, ",\"%s\":", key);
    if (value)
        hl_buf_json_string(json, value);
    else
        hl_buf_text(json, "null");
}

static void list_provides(const struct hilum_self *plugin, struct hl_buf *json)
{
    hl_buf_text(json, ",\"provides\":[");
    for (const struct capability *c = plugin->caps; c; c = c->next) {
        char name[96];
        snprintf(name, sizeof name, "%s:%s", hl_cap_kind_name(c->cap->kind), c->cap->name);
        hl_buf_text(json, c == plugin->caps ? "" : ",");
        hl_buf_json_string(json, name);
    }
    hl_buf_byte(json, ']');
}

static void list_needs(const struct hilum_plugin *plugin, struct hl_buf *json)
{
    hl_buf_text(json, ",\"needs\":[");
    for (const char *const *need = plugin->needs; need && *need; need++) {
        hl_buf_text(json, need == plugin->needs ? "" : ",");
        hl_buf_json_string(json, *need);
    }
    hl_buf_byte(json, ']');
}

static void list_options(const struct hilum_plugin *plugin, struct hl_buf *json)
{
    hl_buf_text(json, ",\"options\":[");
    for (const struct hilum_option *o = plugin->options; o && o->key; o++) {
        hl_buf_text(json, o == plugin->options ? "{\"key\":" : ",{\"key\":");
        hl_buf_json_string(json, o->key);
        text(json, "type", hl_option_type_name(o->type));
        text(json, "default", o->fallback);
        text(json, "range", o->range);
        text(json, "help", o->help);
        hl_buf_printf(json, ",\"required\":%s}", o->type & HILUM_OPT_REQUIRED ? "true" : "false");
    }
    hl_buf_byte(json, ']');
}

/* With `registry` read-locked. What a call counts meanwhile may be in one number and not in the
 * next. */
static void list_plugin(const struct hilum_self *plugin, struct hl_buf *json)
{
    static const char *const states[] = {"skipped", "opened",  "ready",
                                         "running", "stopped", "disabled"};
    hl_buf_text(json, "{\"id\":");
    hl_buf_json_string(json, plugin->id);
    text(json, "state", states[atomic_load(&plugin->state)]);
    text(json, "reason", plugin->reason[0] ? plugin->reason : NULL);
    text(json, "file", plugin->file);
    text(json, "sha256", plugin->digest[0] ? plugin->digest : NULL);
    hl_buf_printf(json, ",\"required\":%s", plugin->required ? "true" : "false");
    hl_tally_list((struct hl_tally *)&plugin->tally, json);
    if (plugin->remote)
        hl_remote_list(plugin->remote, json);
    if (plugin->plugin) {
        text(json, "version", plugin->plugin->version);
        text(json, "vendor", plugin->plugin->vendor);
        text(json, "licence", plugin->plugin->licence);
        text(json, "swap", hl_swap_word(plugin));
        if (atomic_load(&plugin->on_probation))
            hl_buf_text(json, ",\"on_probation\":true");
        list_provides(plugin, json);
        list_needs(plugin->plugin, json);
        list_options(plugin->plugin, json);
    }
    hl_buf_byte(json, '}');
}

void hl_plugins_list(struct hl_plugins *plugins, struct hl_buf *json)
{
    hl_buf_byte(json, '[');
    pthread_rwlock_rdlock(&plugins->registry);
    for (size_t i = 0; i < plugins->n; i++) {
        hl_buf_text(json, i ? "," : "");
        list_plugin(plugins->plugins[i], json);
    }
    pthread_rwlock_unlock(&plugins->registry);
    hl_buf_byte(json, ']');
}
