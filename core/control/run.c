/* A command for somebody who did not come by the socket: the same table, the same checks, the same lines.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/base/error.h"
#include "core/control/private.h"

static hilum_rc parse_args(struct hl_call *call, const char *text)
{
    json_error_t error;
    call->args = text && *text ? json_loads(text, JSON_REJECT_DUPLICATES, &error) : json_object();
    if (!call->args)
        return hl_fail(HILUM_EINVAL, "arguments: expected a JSON object: %s", error.text);
    if (!json_is_object(call->args))
        return hl_fail(HILUM_EINVAL, "arguments: expected a JSON object");
    return HILUM_OK;
}

/* Rights before form: from afar nobody learns what a command he may not run would take. */
static hilum_rc prepare(struct hl_call *call, const char *name, const char *args)
{
    hilum_rc rc = hl_control_lookup(call->control, name, &call->command);
    if (rc == HILUM_OK)
        rc = hl_command_allow(&call->principal, call->command);
    if (rc == HILUM_OK)
        rc = parse_args(call, args);
    return rc == HILUM_OK ? hl_command_check_args(call->command, call->args) : rc;
}

hilum_rc hl_control_run(const struct hl_control *control, const struct hl_principal *who,
                        const char *name, const char *args, const struct hl_control_caller *caller)
{
    struct hl_call call = {.control = control, .fd = -1, .caller = caller, .principal = *who};
    hilum_rc rc = prepare(&call, name, args);
    if (rc == HILUM_OK)
        rc = call.command->run(call.command->ctx, &call);
    if (rc >= HILUM_OK)
        rc = hl_call_send_result(&call);
    else
        hl_call_send_error(&call, rc);
    json_decref(call.args);
    json_decref(call.result);
    json_decref(call.view);
    return rc;
}
