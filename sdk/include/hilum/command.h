/* Commands of the server (preview): what `hilum` can do, for plugins that offer it by another way. Declaring one of one's
 * own: hilum/declare.h. SPDX-License-Identifier: MIT */
#ifndef HILUM_COMMAND_H
#define HILUM_COMMAND_H

#include "hilum/catalog.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One command to be run and where its answers go. Borrowed for the call. */
struct hilum_command_run {
    uint32_t size, reserved;
    const char *name;           /* "study find" */
    const char *arguments;      /* a JSON object; NULL: none */
    const hilum_principal *who; /* its rights, and its name in the audit record */
    /* One answer as a line of JSON with its newline, borrowed: {"progress": ...}, {"item": ...} and {"view": ...} any
     * number, then {"result": ...} or {"error": {"code", "text"}} once. An error ends the command as if its caller had
     * gone. On the thread of run(). */
    hilum_rc (*line)(void *arg, const char *json, uint64_t n);
    /* 1: nobody waits any more. Asked now and then, on the thread of run(). */
    int32_t (*is_gone)(void *arg);
    void *arg;
};

/* What host->commands points to. Any thread; errors as hilum/abi.h has them. */
struct hilum_command_api {
    uint32_t size, reserved;
    /* {"version": ..., "commands": [{"name", "summary", "action", "args": [{"name", "type", "positional", "required",
     * "summary", "choices"}]}]}: the same for everybody. */
    hilum_rc (*list)(hilum_self *self, struct hilum_sink *out);
    /* Runs it on this thread until it has ended, which may take a day. HILUM_OK: it has told its result. HILUM_ENOTFOUND:
     * no such command; HILUM_EDENIED: access refuses its action; HILUM_EINVAL: arguments it does not take; otherwise why
     * it failed. The error has been told as the last line, too. */
    hilum_rc (*run)(hilum_self *self, const struct hilum_command_run *run);
    /* The lines of the server's log with a number above `after`, oldest first, at most 1,000 of them; *last: the newest
     * number. line() may copy, but neither log nor block. Ask access for "log.read" first. */
    hilum_rc (*log_tail)(hilum_self *self, uint64_t after, uint64_t *last,
                         void (*line)(void *arg, uint64_t number, const char *json), void *arg);
    /* A copy of somebody that outlives the exchange he came with: for a command that runs longer. Free it with
     * host->principal_free. HILUM_ENOMEM. */
    hilum_rc (*keep)(hilum_self *self, const hilum_principal *who, hilum_principal **out);
    /* since preview 1: append here */
};

#ifdef __cplusplus
}
#endif
#endif
