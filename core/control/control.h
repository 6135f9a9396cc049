/* The control socket: a Unix socket that answers the `hilum` program, one JSON object a line.
 * Knows how a command is called, allowed, watched and answered; nothing of what any command does.
 * SPDX-License-Identifier: Apache-2.0
 *
 * request   {"command": "study find", "args": {"patient": "123", "limit": 10}}\n
 * answers   {"progress": {"text": "...", "done": 3, "total": 10}}\n   any number
 *           {"item": {...}}\n                                         any number, a result that
 * streams
 * then one  {"result": ...}\n   or   {"error": {"code": "HILUM_ENOTFOUND", "text": "..."}}\n
 * Before a result made for programs comes {"view": ...}\n, which people see in its place.
 * Requests of one connection are answered in turn. */
#ifndef HL_CONTROL_H
#define HL_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

#include "core/access/access.h"
#include "hilum/abi.h"

/* PATH is text that `hilum` makes absolute, because the server runs in another directory; FILES the same, of objects a
 * command reads: from another machine `hilum` sends them itself (STOW-RS). STUDY is text that names the study a
 * command is about: run() asks hl_allow for it, so that who may act on some studies only gets that far. */
enum hl_arg_type {
    HL_ARG_TEXT,
    HL_ARG_INT,
    HL_ARG_BOOL,
    HL_ARG_TEXTS,
    HL_ARG_PATH,
    HL_ARG_STUDY,
    HL_ARG_FILES
};

/* One argument. Declared once; the server checks requests against it (unknown, missing and mistyped
 * arguments never reach run) and `hilum` builds its command line and help from it. */
struct hl_command_arg {
    const char *name; /* "patient": args.patient, and --patient on the command line */
    enum hl_arg_type
        type;           /* BOOL: --patient, without a value. TEXTS: a list; repeated, or the rest */
    bool is_positional; /* given by place, in declared order; --name works as well */
    bool is_required;
    const char *summary; /* one line for help */
    const char *choices; /* "a|b|c" or NULL */
};

struct hl_call; /* one request being answered; valid inside run() only, used from its thread */

/* A command. Everything it points to must outlive the server. */
struct hl_command {
    const char *name;                  /* one to three words: "study find" */
    const char *summary;               /* one line for help */
    const char *action;                /* what hl_allow is asked before run */
    const struct hl_command_arg *args; /* ends with a NULL name; NULL: none */
    /* Any thread, several at once. HILUM_OK with a result set (none: {}), or an error whose reason
     * was given by hl_fail: it becomes the error answer. Must look at hl_call_cancelled in loops.
     */
    hilum_rc (*run)(void *ctx, struct hl_call *call);
    void *ctx;
};

/* Has it an argument of type STUDY? */
bool hl_command_is_by_study(const struct hl_command *command);
/* May `who` run it, as far as that can be said before its arguments are read? As hl_allow. */
hilum_rc hl_command_allow(const struct hl_principal *who, const struct hl_command *command);

/* Arguments. Present, typed and among the choices as declared; absent ones give `otherwise`.
 * Asking for a name that was not declared is a programmer error (assert). */
const char *hl_call_text(struct hl_call *call, const char *name, const char *otherwise);
int64_t hl_call_int(struct hl_call *call, const char *name, int64_t otherwise);
bool hl_call_bool(struct hl_call *call, const char *name);
size_t hl_call_texts(struct hl_call *call, const char *name, const char **out,
                     size_t max);           /* how many */
json_t *hl_call_args(struct hl_call *call); /* borrowed; an object */
/* Who asks: for hl_allow on a finer action and for the audit record. */
const struct hl_principal *hl_call_principal(struct hl_call *call);

/* Tells how far it is. `total` 0: unknown. At most ten a second leave; the others are dropped. */
void hl_call_progress(struct hl_call *call, uint64_t done, uint64_t total, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* One element of a result that is too long to collect ("log --follow", exports of many rows). Takes
 * the reference. HILUM_ECLOSED when the client has gone or does not read for 5 s. */
hilum_rc hl_call_item(struct hl_call *call, json_t *item);
/* The client hung up, or the server is stopping: give up at the next good point. */
bool hl_call_cancelled(struct hl_call *call);
/* Waits until `ms` passed or the call is cancelled; true if cancelled. For commands that poll. */
bool hl_call_wait(struct hl_call *call, int ms);
/* The result; takes the reference, replaces an earlier one. A member "exit_code" of an object becomes
 * the exit status of `hilum`, for commands that end well and have found something wrong ("check": 1).
 * Returns HILUM_OK, so that a command can end with `return hl_call_result_json(call, object);`
 * (HILUM_ENOMEM for NULL). */
hilum_rc hl_call_result_json(struct hl_call *call, json_t *result);
/* What people see instead of the result; `--json` still gives the result. For results whose members are made
 * for programs. Takes the reference, replaces an earlier one; NULL: the result itself is shown. */
void hl_call_view(struct hl_call *call, json_t *view);

/* Any bytes as a JSON text, for names of files and whatever else may not be UTF-8, which jansson refuses:
 * invalid bytes become U+FFFD. New reference; NULL only without memory. NULL gives JSON null. */
json_t *hl_json_text(const char *bytes);

struct hl_control; /* registry and server */

/* Where the lines of hl_control_run go; both on the thread that runs it. */
struct hl_control_caller {
    hilum_rc (*line)(void *arg, const char *json, size_t n); /* an error: he has gone */
    bool (*is_gone)(void *arg);
    void *arg;
};

/* `log` and `commands` are registered already. */
hilum_rc hl_control_new(struct hl_control **out);
/* Before start only, one thread. HILUM_EEXISTS: the name is taken. HILUM_EINVAL: a bad table. */
hilum_rc hl_control_register(struct hl_control *control, const struct hl_command *command);
/* As above for an array that ends with a NULL name. */
hilum_rc hl_control_register_all(struct hl_control *control, const struct hl_command *commands);
/* Binds `path` with `mode` (0600) and answers. A socket left by a dead server is replaced, one that
 * is answered is not: HILUM_EEXISTS. HILUM_EINVAL: the path is too long for a Unix socket. */
hilum_rc hl_control_start(struct hl_control *control, const char *path, mode_t mode);
/* Runs a command for `who` on this thread, with `args` as JSON text ("" or NULL: none), and gives every line of its
 * answer to `caller`, an error as the last one too. HILUM_ENOTFOUND, HILUM_EDENIED, HILUM_EINVAL, or the command's. */
hilum_rc hl_control_run(const struct hl_control *control, const struct hl_principal *who,
                        const char *name, const char *args, const struct hl_control_caller *caller);
/* What `commands` answers, for whoever builds another command line; new reference, NULL: no memory. */
json_t *hl_control_describe(const struct hl_control *control);
/* Cancels calls, waits for them to return, closes and unlinks. NULL is fine. Frees. */
void hl_control_free(struct hl_control *control);

#endif
