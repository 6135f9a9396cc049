/* Commands that change what plugins do while the server runs.
 *
 * One at a time, by a lock of the host; from a connection's thread, which waits. A swap or
 * drain never interrupts a call under way.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/server/server.h"

#include "core/base/error.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* Whatever came of it is in the audit record: a plugin is code that may do anything. The
 * reason is copied first: writing the audit row has reasons of its own. */
static hilum_rc done(struct hl_server *server, struct hl_call *call, const char *action,
                     hilum_rc rc)
{
    char who[64], why[256];
    const char *id = hl_call_text(call, "plugin", NULL);
    bool is_named = rc != HILUM_OK && strncmp(hl_error(), id, strlen(id)) == 0;
    if (is_named)
        snprintf(why, sizeof why, "%.250s", hl_error());
    else
        snprintf(why, sizeof why, "%.60s: %.180s", id, rc == HILUM_OK ? "done" : hl_error());
    hilum_rc audited = hl_record_audit(server->record, hl_server_who(call, who, sizeof who), action,
                                       why, NULL, NULL);
    if (rc != HILUM_OK)
        return hl_fail(rc, "%s", why);
    if (audited != HILUM_OK)
        return audited;
    return hl_call_result_json(call, json_pack("{s:s, s:s}", "plugin", id, action, "done"));
}

static hilum_rc plugin_enable(void *ctx, struct hl_call *call)
{
    struct hl_server *server = ctx;
    return done(server, call, "plugin.enable",
                hl_plugins_enable(server->plugins, hl_call_text(call, "plugin", NULL)));
}

static hilum_rc plugin_disable(void *ctx, struct hl_call *call)
{
    struct hl_server *server = ctx;
    return done(server, call, "plugin.disable",
                hl_plugins_disable(server->plugins, hl_call_text(call, "plugin", NULL)));
}

static hilum_rc plugin_drain(void *ctx, struct hl_call *call)
{
    struct hl_server *server = ctx;
    return done(server, call, "plugin.drain",
                hl_plugins_drain_one(server->plugins, hl_call_text(call, "plugin", NULL)));
}

/* With the configuration as it was last reloaded. */
static hilum_rc plugin_load(void *ctx, struct hl_call *call)
{
    struct hl_server *server = ctx;
    struct hl_config *config = hl_server_config(server);
    hilum_rc rc = hl_plugins_load(server->plugins, config, hl_call_text(call, "plugin", NULL));
    hl_config_unref(config);
    return done(server, call, "plugin.load", rc);
}

/* May take as long as the old version's calls: the connection waits. */
static hilum_rc plugin_swap(void *ctx, struct hl_call *call)
{
    struct hl_server *server = ctx;
    return done(server, call, "plugin.swap",
                hl_plugins_swap(server->plugins, hl_call_text(call, "plugin", NULL),
                                hl_call_text(call, "file", NULL)));
}

static const struct hl_command_arg plugin_args[] = {
    {"plugin", HL_ARG_TEXT, true, true, "name of the plugin", NULL}, {0}};
static const struct hl_command_arg swap_args[] = {
    {"plugin", HL_ARG_TEXT, true, true, "name of the plugin", NULL},
    {"file", HL_ARG_TEXT, false, false,
     "the new version, absolute; without it the file of the configuration, which is also what the "
     "next start opens",
     NULL},
    {0}};

hilum_rc hl_server_register_manage_commands(struct hl_server *server)
{
    const struct hl_command commands[] = {
        {"plugin load", "Opens a plugin that was added to the configuration, or drained.",
         "plugin.manage", plugin_args, plugin_load, server},
        {"plugin swap", "Replaces a plugin; a version that fails goes back by itself.",
         "plugin.manage", swap_args, plugin_swap, server},
        {"plugin drain", "Ends a plugin when the calls under way have ended.", "plugin.manage",
         plugin_args, plugin_drain, server},
        {"plugin disable", "Switches a plugin off: nobody reaches it until it is enabled.",
         "plugin.manage", plugin_args, plugin_disable, server},
        {"plugin enable", "Switches a plugin on again, and takes it out of quarantine.",
         "plugin.manage", plugin_args, plugin_enable, server},
        {0}};
    return hl_control_register_all(server->control, commands);
}
