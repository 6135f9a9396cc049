/* struct hilum_command_api: the server's commands and log for plugins that offer them by another way than the socket.
 *
 * The same table of commands, rights and forms as for the socket; only the way in differs.
 * `who` is a person who signed in, so rows of the audit name him and not the plugin.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/server/server.h"

static int write_sink(const char *bytes, size_t n, void *arg)
{
    struct hilum_sink *out = arg;
    return out->write(out->ctx, bytes, n) == HILUM_OK ? 0 : -1;
}

static hilum_rc list(hilum_self *self, struct hilum_sink *out)
{
    const struct hl_server *server = hl_plugins_context(self);
    json_t *all = server->control ? hl_control_describe(server->control) : NULL;
    if (!all)
        return hl_fail(HILUM_ENOMEM, "the list of commands");
    int failed = json_dump_callback(all, write_sink, out, JSON_COMPACT);
    json_decref(all);
    return failed ? hl_fail(HILUM_EIO, "the list of commands was not taken") : HILUM_OK;
}

static hilum_rc tell(void *arg, const char *json, size_t n)
{
    const struct hilum_command_run *run = arg;
    return run->line(run->arg, json, n);
}

static bool is_gone(void *arg)
{
    const struct hilum_command_run *run = arg;
    return run->is_gone && run->is_gone(run->arg);
}

/* On the plugin's thread until the command has ended; every line goes to run->line as it
 * comes. */
static hilum_rc run_command(hilum_self *self, const struct hilum_command_run *run)
{
    const struct hl_server *server = hl_plugins_context(self);
    const struct hl_control_caller caller = {tell, is_gone, (void *)(uintptr_t)run};
    if (!server->control || !run->who || !run->name || !run->line)
        return hl_fail(HILUM_EINVAL, "a command needs a name, somebody, and where to answer");
    return hl_control_run(server->control, (const struct hl_principal *)run->who, run->name,
                          run->arguments, &caller);
}

/* Under the log's lock (core/base/log.h): `line` may copy and nothing else. */
static hilum_rc log_tail(hilum_self *self, uint64_t after, uint64_t *last,
                         void (*line)(void *arg, uint64_t number, const char *json), void *arg)
{
    (void)self;
    *last = hl_log_tail(after, line, arg);
    return HILUM_OK;
}

/* For work that outlives the exchange somebody asked in; freed as any principal. */
static hilum_rc keep(hilum_self *self, const hilum_principal *who, hilum_principal **out)
{
    (void)self;
    return hl_principal_copy((const struct hl_principal *)who, (struct hl_principal **)out);
}

const struct hilum_command_api hl_command_api = {
    .size = sizeof hl_command_api,
    .list = list,
    .run = run_command,
    .log_tail = log_tail,
    .keep = keep,
};
