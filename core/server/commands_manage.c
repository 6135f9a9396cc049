/* Commands that change what plugins do while the server runs. SPDX-License-Identifier: Apache-2.0 */
#include "core/server/server.h"

#include "core/base/error.h"

#include <jansson.h>

static hilum_rc plugin_enable(void *ctx, struct hl_call *call)
{
    struct hl_server *server = ctx;
    char who[64];
    const char *id = hl_call_text(call, "plugin", NULL);
    hilum_rc rc = hl_plugins_forgive(server->plugins, id);
    if (rc == HILUM_OK)
        rc = hl_record_audit(server->record, hl_server_who(call, who, sizeof who), "plugin.enable",
                             "enabled", id, NULL);
    return rc == HILUM_OK ? hl_call_result_json(
                                call, json_pack("{s:s, s:s}", "plugin", id, "state", "enabled"))
                          : rc;
}

static const struct hl_command_arg plugin_args[] = {
    {"plugin", HL_ARG_TEXT, true, true, "name of the plugin", NULL}, {0}};

hilum_rc hl_server_register_manage_commands(struct hl_server *server)
{
    const struct hl_command commands[] = {{"plugin enable", "Takes a plugin out of quarantine.",
                                           "plugin.manage", plugin_args, plugin_enable, server},
                                          {0}};
    return hl_control_register_all(server->control, commands);
}
