/* One request while it is being answered, arguments in, lines out, on its connection's thread; nothing here is shared with other
 * calls. SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/control/private.h"

enum { PROGRESS_MS = 100, CALLER_MS = 100 };

static json_t *declared_arg(struct hl_call *call, const char *name, enum hl_arg_type type)
{
    const struct hl_command_arg *arg = call->command->args;
    while (arg && arg->name && strcmp(arg->name, name) != 0)
        arg++;
    bool is_same =
        arg && arg->name &&
        (arg->type == type ||
         ((arg->type == HL_ARG_PATH || arg->type == HL_ARG_STUDY || arg->type == HL_ARG_FILES) &&
          type == HL_ARG_TEXT));
    /* The table is what the client's help promises; reading beside it would be an undocumented option. */
    assert(is_same && "an argument that was not declared so");
    (void)is_same;
    return json_object_get(call->args, name);
}

const char *hl_call_text(struct hl_call *call, const char *name, const char *otherwise)
{
    const char *text = json_string_value(declared_arg(call, name, HL_ARG_TEXT));
    return text ? text : otherwise;
}

int64_t hl_call_int(struct hl_call *call, const char *name, int64_t otherwise)
{
    json_t *value = declared_arg(call, name, HL_ARG_INT);
    return value ? json_integer_value(value) : otherwise;
}

bool hl_call_bool(struct hl_call *call, const char *name)
{
    return json_is_true(declared_arg(call, name, HL_ARG_BOOL));
}

size_t hl_call_texts(struct hl_call *call, const char *name, const char **out, size_t max)
{
    json_t *list = declared_arg(call, name, HL_ARG_TEXTS);
    size_t n = json_array_size(list);
    for (size_t i = 0; i < n && i < max; i++)
        out[i] = json_string_value(json_array_get(list, i));
    return n;
}

json_t *hl_call_args(struct hl_call *call)
{
    return call->args;
}

const struct hl_principal *hl_call_principal(struct hl_call *call)
{
    return &call->principal;
}

/* HILUM_OK: try again. The deadline counts from the last byte that went through, so a slow
 * reader may take long, a stopped one not. */
static hilum_rc wait_writable(struct hl_call *call)
{
    struct pollfd fds[] = {{call->fd, POLLOUT, 0}, {call->control->stop_fd, POLLIN, 0}};
    int n = poll(fds, 2, call->control->deadlines.write_ms);
    if (n < 0 && errno == EINTR)
        return HILUM_OK;
    /* A stopping server still gives its last line a chance, but waits for nobody. */
    if (n <= 0 || (fds[0].revents & (POLLERR | POLLHUP)) || !(fds[0].revents & POLLOUT))
        return hl_fail(HILUM_ECLOSED, "the client does not read");
    return HILUM_OK;
}

static hilum_rc tell_caller(struct hl_call *call, const struct hl_buf *line)
{
    const struct hl_control_caller *caller = call->caller;
    if (!call->is_gone)
        call->is_gone = caller->line(caller->arg, line->data, line->len) != HILUM_OK;
    return call->is_gone ? hl_fail(HILUM_ECLOSED, "the client has gone") : HILUM_OK;
}

/* HILUM_ECLOSED once the client has gone or has not read for the whole time that is waited;
 * every later call says so at once, and the command ends itself. */
hilum_rc hl_call_send(struct hl_call *call, const struct hl_buf *line)
{
    if (line->failed)
        return hl_fail(HILUM_ENOMEM, "writing an answer");
    if (call->caller)
        return tell_caller(call, line);
    /* Never a blocking send: a client that is stopped (^Z) must not hold a thread and its command. */
    for (size_t sent = 0; !call->is_gone && sent < line->len;) {
        ssize_t n =
            send(call->fd, line->data + sent, line->len - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0)
            sent += (size_t)n;
        else if (errno == EAGAIN)
            call->is_gone = wait_writable(call) != HILUM_OK;
        else if (errno != EINTR)
            call->is_gone = true;
    }
    return call->is_gone ? hl_fail(HILUM_ECLOSED, "the client has gone") : HILUM_OK;
}

/* jansson into hl_buf without an intermediate string: results may have many rows. */
static int add_json(const char *bytes, size_t n, void *arg)
{
    hl_buf_add(arg, bytes, n);
    return 0;
}

void hl_call_line(struct hl_buf *line, const char *key, const json_t *value)
{
    hl_buf_printf(line, "{\"%s\":", key);
    if (json_dump_callback(value, add_json, line, JSON_COMPACT | JSON_ENCODE_ANY) != 0)
        line->failed = true;
    hl_buf_text(line, "}\n");
}

/* By hand: a reason may quote bytes that are not UTF-8, which jansson refuses. */
void hl_call_send_error(struct hl_call *call, hilum_rc rc)
{
    struct hl_buf line = {0};
    hl_buf_printf(&line, "{\"error\":{\"code\":\"%s\",\"text\":", hl_rc_name(rc));
    hl_buf_json_string(&line, *hl_error() ? hl_error() : "no reason was given");
    hl_buf_text(&line, "}}\n");
    (void)hl_call_send(call, &line); /* who has gone does not hear why */
    hl_buf_fini(&line);
}

/* Ten a second at most, however often a command tells: an import would otherwise spend its time
 * here. */
void hl_call_progress(struct hl_call *call, uint64_t done, uint64_t total, const char *format, ...)
{
    int64_t now = hl_mono_ms();
    bool is_last = total > 0 && done >= total;
    if (!is_last && now - call->last_progress_ms < PROGRESS_MS)
        return;
    call->last_progress_ms = now;
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    struct hl_buf line = {0};
    hl_buf_text(&line, "{\"progress\":{\"text\":");
    hl_buf_json_string(&line, text);
    hl_buf_printf(&line, ",\"done\":%llu,\"total\":%llu}}\n", (unsigned long long)done,
                  (unsigned long long)total);
    (void)hl_call_send(call, &line); /* found out by hl_call_cancelled */
    hl_buf_fini(&line);
}

/* Takes the reference also when it fails. */
hilum_rc hl_call_item(struct hl_call *call, json_t *item)
{
    if (!item)
        return hl_fail(HILUM_ENOMEM, "an item of the answer");
    struct hl_buf line = {0};
    hl_call_line(&line, "item", item);
    hilum_rc rc = hl_call_send(call, &line);
    hl_buf_fini(&line);
    json_decref(item);
    return rc;
}

/* A caller that is no socket is asked, again and again. */
static bool wait_for_caller(struct hl_call *call, int ms)
{
    struct pollfd stop = {call->control->stop_fd, POLLIN, 0};
    int64_t end = hl_mono_ms() + ms;
    for (int64_t left = ms; !call->is_gone; left = end - hl_mono_ms()) {
        call->is_gone = call->caller->is_gone(call->caller->arg);
        if (call->is_gone || left < 0)
            break;
        if (poll(&stop, 1, (int)(left < CALLER_MS ? left : CALLER_MS)) > 0)
            return true;
        if (left <= CALLER_MS)
            break;
    }
    return call->is_gone;
}

bool hl_call_wait(struct hl_call *call, int ms)
{
    if (call->caller)
        return wait_for_caller(call, ms);
    /* No POLLIN or POLLRDHUP: a client that shut down its writing side still wants the answer. */
    struct pollfd fds[] = {{call->fd, 0, 0}, {call->control->stop_fd, POLLIN, 0}};
    if (call->is_gone)
        return true;
    int n = poll(fds, 2, ms);
    if (n > 0 && (fds[0].revents & (POLLHUP | POLLERR)))
        call->is_gone = true;
    return n > 0;
}

bool hl_call_cancelled(struct hl_call *call)
{
    return hl_call_wait(call, 0);
}

hilum_rc hl_call_result_json(struct hl_call *call, json_t *result)
{
    if (!result)
        return hl_fail(HILUM_ENOMEM, "the result of %s", call->command->name);
    json_decref(call->result);
    call->result = result;
    return HILUM_OK;
}

void hl_call_view(struct hl_call *call, json_t *view)
{
    json_decref(call->view);
    call->view = view;
}

json_t *hl_json_text(const char *bytes)
{
    json_t *text = bytes ? json_string(bytes) : json_null();
    if (text)
        return text;
    struct hl_buf quoted = {0};
    hl_buf_json_string(&quoted, bytes);
    text = json_loads(hl_buf_str(&quoted), JSON_DECODE_ANY, NULL);
    hl_buf_fini(&quoted);
    return text;
}

static hilum_rc send_value(struct hl_call *call, const char *key, const json_t *value)
{
    struct hl_buf line = {0};
    hl_call_line(&line, key, value);
    hilum_rc rc = hl_call_send(call, &line);
    hl_buf_fini(&line);
    return rc;
}

hilum_rc hl_call_send_result(struct hl_call *call)
{
    json_t *result = call->result ? json_incref(call->result) : json_object();
    hilum_rc rc = call->view ? send_value(call, "view", call->view) : HILUM_OK;
    if (rc == HILUM_OK)
        rc = send_value(call, "result", result);
    json_decref(result);
    return rc;
}
