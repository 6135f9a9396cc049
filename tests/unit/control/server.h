/* A control server with a few commands, in this process, for tests. SPDX-License-Identifier:
 * Apache-2.0 */
#ifndef TEST_CONTROL_SERVER_H
#define TEST_CONTROL_SERVER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/control/private.h"

struct server {
    char dir[64], path[128];
    struct hl_control *control;
    atomic_int begun, cancelled;
};

static inline hilum_rc run_find(void *ctx, struct hl_call *call)
{
    (void)ctx;
    const char *keys[8];
    size_t n = hl_call_texts(call, "keys", keys, 8);
    json_t *list = json_array();
    for (int64_t i = 0; i < hl_call_int(call, "limit", 2); i++)
        json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:b}", "patient",
                                              hl_call_text(call, "patient", "王小明"), "number", i,
                                              "keys", (json_int_t)n, "exact",
                                              hl_call_bool(call, "exact")));
    return hl_call_result_json(call, list);
}

static inline hilum_rc run_refuse(void *ctx, struct hl_call *call)
{
    (void)ctx, (void)call;
    return hl_fail(HILUM_ENOTFOUND, "no study \"1.2\xFF\"; see `study find`");
}

static inline hilum_rc run_wait(void *ctx, struct hl_call *call)
{
    struct server *server = ctx;
    atomic_fetch_add(&server->begun, 1);
    hl_call_progress(call, 1, 3, "one of %d", 3);
    hl_call_progress(call, 2, 3, "dropped: too soon");
    if (hl_call_wait(call, 100000)) {
        atomic_fetch_add(&server->cancelled, 1);
        return hl_fail(HILUM_ECANCELLED, "cancelled");
    }
    return HILUM_OK;
}

static inline hilum_rc run_work(void *ctx, struct hl_call *call)
{
    (void)ctx;
    hl_call_progress(call, 1, 2, "first");
    hl_call_progress(call, 2, 2, "second");
    for (int i = 0; i < 3; i++)
        if (hl_call_item(call, json_pack("{s:i, s:s}", "row", i, "name", "x")) != HILUM_OK)
            return HILUM_ECLOSED;
    return hl_call_result_json(call, json_pack("{s:i, s:{s:s}}", "done", 2, "where", "path", "/x"));
}

/* Writes until the client's socket is full and it is given up. */
static inline hilum_rc run_flood(void *ctx, struct hl_call *call)
{
    struct server *server = ctx;
    hilum_rc rc = HILUM_OK;
    atomic_fetch_add(&server->begun, 1);
    while (rc == HILUM_OK && !hl_call_cancelled(call))
        rc = hl_call_item(call, json_string("0123456789012345678901234567890123456789"));
    atomic_fetch_add(&server->cancelled, 1);
    return rc;
}

static const struct hl_command_arg find_args[] = {
    {"patient", HL_ARG_TEXT, true, false, "patient's ID or name", NULL},
    {"keys", HL_ARG_TEXTS, true, false, "further keys", NULL},
    {"limit", HL_ARG_INT, false, false, "at most so many", NULL},
    {"exact", HL_ARG_BOOL, false, false, "no wildcards", NULL},
    {"level", HL_ARG_TEXT, false, false, "of the answers", "study|series"},
    {0},
};
static const struct hl_command_arg refuse_args[] = {
    {"uid", HL_ARG_TEXT, true, true, "study to refuse", NULL},
    {0},
};

/* NULL: the ones of a real server. */
static inline int server_setup_with(void **state, const struct hl_control_deadlines *deadlines)
{
    struct server *server = calloc(1, sizeof *server);
    strcpy(server->dir, "/tmp/hilum-control-XXXXXX");
    assert_non_null(mkdtemp(server->dir));
    snprintf(server->path, sizeof server->path, "%s/hilum.sock", server->dir);
    hl_log_set_output(-1, false);
    const struct hl_command commands[] = {
        {"study find", "find studies", "find", find_args, run_find, server},
        {"study refuse", "always fails", "admin", refuse_args, run_refuse, server},
        {"wait", "waits to be cancelled", "admin", NULL, run_wait, server},
        {"work", "progress, items and a result", "admin", NULL, run_work, server},
        {"flood", "more than anybody reads", "admin", NULL, run_flood, server},
        {0},
    };
    assert_int_equal(hl_control_new(&server->control), HILUM_OK);
    assert_int_equal(hl_control_register_all(server->control, commands), HILUM_OK);
    if (deadlines)
        server->control->deadlines = *deadlines;
    assert_int_equal(hl_control_start(server->control, server->path, 0600), HILUM_OK);
    *state = server;
    return 0;
}

static inline int server_setup(void **state)
{
    return server_setup_with(state, NULL);
}

static inline int server_teardown(void **state)
{
    struct server *server = *state;
    hl_control_free(server->control);
    assert_int_equal(access(server->path, F_OK), -1);
    assert_int_equal(rmdir(server->dir), 0);
    free(server);
    return 0;
}

#define server_test(f) cmocka_unit_test_setup_teardown(f, server_setup, server_teardown)

#endif
