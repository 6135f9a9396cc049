/* What the files of this folder share. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_CONTROL_PRIVATE_H
#define HL_CONTROL_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/base/buf.h"
#include "core/base/pool.h"
#include "core/control/control.h"

/* At once, and bytes of one request: the socket is for a handful of people and scripts. */
enum { HL_CONTROL_CONNECTIONS = 32, HL_CONTROL_REQUEST_MAX = 1 << 20 };

/* Members, not constants, so that a test of a deadline need not wait for it. */
struct hl_control_deadlines {
    int silent_ms;  /* between requests */
    int request_ms; /* first byte of a request to its last */
    int write_ms;   /* without progress */
};

struct hl_control {
    struct hl_command *commands; /* sorted by name */
    size_t n_commands, cap_commands;
    int listen_fd;
    int stop_fd; /* an eventfd nobody reads: once written, every poll on it returns */
    char *path;
    bool has_acceptor;
    pthread_t acceptor;
    struct hl_pool *pool;
    atomic_uint connections;
    struct hl_control_deadlines deadlines; /* set before start */
};

/* A call's members belong to its thread; `control` is read only once the server has started. */
struct hl_call {
    const struct hl_control *control;
    const struct hl_command *command;
    int fd;                                 /* -1: of hl_control_run */
    const struct hl_control_caller *caller; /* NULL: the socket */
    struct hl_principal principal;
    json_t *args; /* owned */
    json_t *result, *view;
    bool is_gone; /* the client does not take what we write */
    int64_t last_progress_ms;
};

/* registry.c */
const struct hl_command *hl_control_find(const struct hl_control *control, const char *name);
/* HILUM_ENOTFOUND names the nearest. */
hilum_rc hl_control_lookup(const struct hl_control *control, const char *name,
                           const struct hl_command **out);
hilum_rc hl_command_check_args(const struct hl_command *command, json_t *args);
const char *hl_arg_type_name(enum hl_arg_type type);

/* builtin.c */
hilum_rc hl_control_register_builtins(struct hl_control *control);

/* call.c: one line of JSON to the client. HILUM_ECLOSED when it has gone or stopped reading. */
hilum_rc hl_call_send(struct hl_call *call, const struct hl_buf *line);
/* Adds "key": value as the only member of an object, and a newline. */
void hl_call_line(struct hl_buf *line, const char *key, const json_t *value);
void hl_call_send_error(struct hl_call *call, hilum_rc rc);
hilum_rc hl_call_send_result(struct hl_call *call); /* the view, if any, and the result */

#endif
