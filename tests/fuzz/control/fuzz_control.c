/* Any bytes to a control socket: every line gets one answer that is JSON, and the server lives on.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/buf.h"
#include "core/base/log.h"
#include "core/control/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static hilum_rc run_echo(void *ctx, struct hl_call *call)
{
    (void)ctx;
    const char *texts[4];
    size_t n = hl_call_texts(call, "rest", texts, 4);
    hl_call_progress(call, n, 4, "%s", hl_call_text(call, "text", ""));
    for (size_t i = 0; i < n && i < 4; i++)
        if (hl_call_item(call, json_string(texts[i])) != HILUM_OK)
            return HILUM_ECLOSED;
    return hl_call_result_json(call,
                               json_pack("{s:I, s:b}", "n", (json_int_t)hl_call_int(call, "n", -1),
                                         "flag", hl_call_bool(call, "flag")));
}

static const struct hl_command_arg echo_args[] = {
    {"text", HL_ARG_TEXT, true, false, "text", NULL},
    {"rest", HL_ARG_TEXTS, true, false, "rest", NULL},
    {"n", HL_ARG_INT, false, false, "number", NULL},
    {"flag", HL_ARG_BOOL, false, false, "flag", NULL},
    {"choice", HL_ARG_TEXT, false, false, "one", "a|b"},
    {0},
};

static struct sockaddr_un address = {.sun_family = AF_UNIX};

static void remove_socket(void)
{
    unlink(address.sun_path);
}

/* One server for the whole run: a state that one input spoils shows in the next. */
static void start_server(void)
{
    static const struct hl_command echo = {"test echo", "echo", "admin", echo_args, run_echo, NULL};
    static struct hl_control *control; /* reachable to the end: no leak */
    hl_log_set_output(-1, false);
    snprintf(address.sun_path, sizeof address.sun_path, "/tmp/hilum-fuzz-%d.sock", (int)getpid());
    if (hl_control_new(&control) || hl_control_register(control, &echo) ||
        hl_control_start(control, address.sun_path, 0600) || atexit(remove_socket))
        abort();
}

static void check_lines(const char *text, size_t n)
{
    for (const char *end; n > 0 && (end = memchr(text, '\n', n));
         n -= (size_t)(end + 1 - text), text = end + 1) {
        json_t *line = json_loadb(text, (size_t)(end - text), 0, NULL);
        if (!json_is_object(line) || json_object_size(line) != 1)
            abort();
        json_decref(line);
    }
}

static int connect_server(void)
{
    struct timeval limit = {1, 0}; /* `log --follow` answers until we go */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
        abort();
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hl_buf answers = {0};
    if (!*address.sun_path)
        start_server();
    int fd = connect_server();
    if (size > 1 << 14 || send(fd, data, size, MSG_NOSIGNAL) != (ssize_t)size)
        size = 0;
    shutdown(fd, SHUT_WR);
    while (size > 0 && answers.len < 1 << 22 && hl_buf_reserve(&answers, 4096)) {
        ssize_t n = recv(fd, answers.data + answers.len, 4096, 0);
        if (n <= 0)
            break;
        answers.len += (size_t)n;
    }
    close(fd);
    check_lines(answers.data, answers.len);
    hl_buf_fini(&answers);
    return 0;
}
