/* The commands every server has: what commands there are, and the log.
 *
 * Registered by hl_control_new, so that a server without any other command can be looked at.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/control/private.h"

/* The client's command line and help are made of this: what is left out here cannot be typed there. */
static json_t *describe_args(const struct hl_command *command)
{
    json_t *list = json_array();
    for (const struct hl_command_arg *arg = command->args; arg && arg->name; arg++) {
        json_t *entry =
            json_pack("{s:s, s:s, s:b, s:b, s:s, s:s*}", "name", arg->name, "type",
                      hl_arg_type_name(arg->type), "positional", arg->is_positional, "required",
                      arg->is_required, "summary", arg->summary, "choices", arg->choices);
        json_array_append_new(list, entry);
    }
    return list;
}

json_t *hl_control_describe(const struct hl_control *control)
{
    json_t *list = json_array();
    for (size_t i = 0; i < control->n_commands; i++) {
        const struct hl_command *command = &control->commands[i];
        json_t *entry =
            json_pack("{s:s, s:s, s:s, s:o}", "name", command->name, "summary", command->summary,
                      "action", command->action, "args", describe_args(command));
        if (hl_command_is_by_study(command))
            json_object_set_new(entry, "by_study", json_true());
        json_array_append_new(list, entry);
    }
    return json_pack("{s:s, s:o}", "version", HILUM_VERSION, "commands", list);
}

static hilum_rc run_commands(void *ctx, struct hl_call *call)
{
    return hl_call_result_json(call, hl_control_describe(ctx));
}

/* What the log's ring holds, and the pause between two looks of `log --follow`. */
enum { TAIL_MAX = 1000, FOLLOW_MS = 200 };

/* What collect_line gathers: lines of at least that level. */
struct tail {
    int least_level;
    json_t *lines;
};

/* Runs under the log's lock: collects only. */
static void collect_line(void *arg, uint64_t number, const char *json)
{
    (void)number;
    struct tail *tail = arg;
    json_t *line = json_loads(json, 0, NULL);
    const char *level = json_string_value(json_object_get(line, "level"));
    if (line && level && hl_log_level_from_text(level) >= tail->least_level)
        json_array_append_new(tail->lines, line);
    else
        json_decref(line);
}

static hilum_rc send_lines(struct hl_call *call, const json_t *lines, size_t last)
{
    size_t n = json_array_size(lines);
    hilum_rc rc = HILUM_OK;
    for (size_t i = n > last ? n - last : 0; rc == HILUM_OK && i < n; i++)
        rc = hl_call_item(call, json_incref(json_array_get(lines, i)));
    return rc;
}

static hilum_rc run_log(void *ctx, struct hl_call *call)
{
    (void)ctx;
    int64_t wanted = hl_call_int(call, "lines", 50);
    if (wanted < 0 || wanted > TAIL_MAX)
        return hl_fail(HILUM_EINVAL, "log: argument lines: expected 0 to %d", TAIL_MAX);
    struct tail tail = {hl_log_level_from_text(hl_call_text(call, "level", "debug")), json_array()};
    uint64_t seen = hl_log_tail(0, collect_line, &tail);
    hilum_rc rc = send_lines(call, tail.lines, (size_t)wanted);
    bool is_following = hl_call_bool(call, "follow");
    /* Polled: the log has no subscribers, and a line later by FOLLOW_MS troubles nobody who reads it. */
    while (rc == HILUM_OK && is_following && !hl_call_wait(call, FOLLOW_MS)) {
        json_array_clear(tail.lines);
        seen = hl_log_tail(seen, collect_line, &tail);
        rc = send_lines(call, tail.lines, TAIL_MAX);
    }
    json_decref(tail.lines);
    return rc;
}

hilum_rc hl_control_register_builtins(struct hl_control *control)
{
    static const struct hl_command_arg log_args[] = {
        {"lines", HL_ARG_INT, true, false, "how many of the last lines, at most 1000; default 50",
         NULL},
        {"follow", HL_ARG_BOOL, false, false, "go on with new lines until interrupted", NULL},
        {"level", HL_ARG_TEXT, false, false, "leave out lines less important than this",
         "debug|info|warn|error"},
        {0},
    };
    const struct hl_command builtins[] = {
        {"commands", "Lists all commands with their arguments.", "status", NULL, run_commands,
         control},
        {"log", "Shows the last lines of the server's log.", "log.read", log_args, run_log, NULL},
        {0},
    };
    return hl_control_register_all(control, builtins);
}
