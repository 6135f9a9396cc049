/* Commands that plugins declare, put on the control socket like our own.
 *
 * At start only: a plugin that is loaded later brings its commands with the next start.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/server/server.h"

#include "core/base/error.h"

#include <stdlib.h>
#include <string.h>

/* Of one command; a plugin that needs more should take a file. */
enum { MAX_ARGS = 12 };

/* One declared command; lives in the server's arena. */
struct plugin_command {
    const struct hilum_decl *decl;
    struct hl_command_arg args[MAX_ARGS + 1];
};

struct registration {
    struct hl_server *server;
    hilum_rc rc;
};

/* "count?:int" -> one argument. The form is hilum/declare.h's: a '?' before the colon says that
 * it may be left out. */
static hilum_rc read_arg(struct hl_arena *arena, const char *word, size_t n,
                         struct hl_command_arg *out)
{
    char *text = hl_arena_strndup(arena, word, n);
    char *colon = text ? strchr(text, ':') : NULL;
    if (!colon || colon == text)
        return hl_fail(HILUM_EINVAL, "argument \"%.*s\": expected name:type", (int)n, word);
    *colon = '\0';
    const char *type = colon + 1;
    out->is_required = colon[-1] != '?';
    if (!out->is_required)
        colon[-1] = '\0';
    out->name = text;
    out->summary = "";
    out->is_positional = strcmp(type, "bool") != 0;
    out->type = strcmp(type, "int") == 0    ? HL_ARG_INT
                : strcmp(type, "bool") == 0 ? HL_ARG_BOOL
                                            : HL_ARG_TEXT;
    return HILUM_OK;
}

/* Sentences may be fewer than arguments: the list ends where the plugin's author stopped. */
static hilum_rc read_args(struct hl_arena *arena, const struct hilum_decl *decl,
                          struct hl_command_arg *args)
{
    size_t count = 0;
    const char *const *about = decl->about;
    for (const char *at = decl->fields ? decl->fields : ""; *(at += strspn(at, " "));) {
        size_t n = strcspn(at, " ");
        if (count == MAX_ARGS)
            return hl_fail(HILUM_EINVAL, "more than %d arguments", MAX_ARGS);
        hilum_rc rc = read_arg(arena, at, n, &args[count]);
        if (rc < 0)
            return rc;
        if (about && *about)
            args[count].summary = *about++;
        count++;
        at += n;
    }
    return HILUM_OK;
}

/* Also how a command learns that nobody waits for it any more. */
static hilum_rc tell_progress(void *ctx, uint64_t done, uint64_t total, const char *what)
{
    hl_call_progress(ctx, done, total, "%s", what ? what : "");
    return hl_call_cancelled(ctx) ? hl_fail(HILUM_ECANCELLED, "cancelled") : HILUM_OK;
}

/* The permission was checked by the control socket before this. Arguments were checked against
 * the declared types; the plugin gets them as one JSON object. */
static hilum_rc run(void *ctx, struct hl_call *call)
{
    const struct plugin_command *command = ctx;
    char *arguments = json_dumps(hl_call_args(call), JSON_COMPACT);
    if (!arguments)
        return hl_fail(HILUM_ENOMEM, "out of memory");
    struct hl_buf result = {0};
    struct hilum_call plugin_call = {
        .size = sizeof plugin_call,
        .arguments = arguments,
        .result = {.size = sizeof plugin_call.result, .write = hl_buf_sink, .ctx = &result},
        .progress = tell_progress,
        .ctx = call,
    };
    hilum_rc rc = command->decl->run(command->decl->arg, &plugin_call);
    free(arguments);
    if (rc < 0 || result.len == 0) {
        hl_buf_fini(&result);
        return rc < 0 ? rc : HILUM_OK;
    }
    return hl_server_answer(call, &result);
}

/* The first failure ends it: a command two plugins declare would else be whoever came first.
 * Without a permission of its own it is the administrator's: a plugin that forgets to say so
 * opens nothing. */
static void add_command(void *arg, const struct hilum_decl *decl, const char *plugin)
{
    struct registration *registration = arg;
    struct hl_server *server = registration->server;
    if (registration->rc < 0)
        return;
    struct plugin_command *command = hl_arena_alloc(&server->arena, sizeof *command);
    if (!command) {
        registration->rc = hl_fail(HILUM_ENOMEM, "out of memory");
        return;
    }
    command->decl = decl;
    hilum_rc rc = read_args(&server->arena, decl, command->args);
    const struct hl_command entry = {
        decl->name,    decl->summary, decl->permission ? decl->permission : "admin",
        command->args, run,           command};
    if (rc == HILUM_OK)
        rc = hl_control_register(server->control, &entry);
    if (rc < 0)
        registration->rc = hl_fail_in(rc, "plugin %s: command \"%s\"", plugin, decl->name);
}

hilum_rc hl_server_register_plugin_commands(struct hl_server *server)
{
    struct registration registration = {server, HILUM_OK};
    hl_plugins_decl_each(server->plugins, HILUM_DECL_COMMAND, add_command, &registration);
    return registration.rc;
}
