/* The socket: who connects, which lines he sends, when he is given up. Knows nothing of commands
 * but how to find and run one.
 *
 * One acceptor thread, and a pool thread a connection; a stop wakes all of them by an eventfd
 * that nobody reads. Everything a client can hold is bounded: connections, bytes of a request,
 * time to send one, time without reading. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/control/private.h"

/* A connection and its unread bytes. */
struct client {
    struct hl_control *control;
    int fd;
    uid_t uid;
    struct hl_buf in;
    size_t searched; /* of `in`, without a newline */
    int64_t
        deadline; /* for more bytes; begins with the first of a request: dripping gains no time */
};

/* Each request is a call of its own, with the user the kernel named at connect. */
static struct hl_call call_of(const struct client *client)
{
    struct hl_call call = {.control = client->control, .fd = client->fd};
    call.principal = (struct hl_principal){.kind = HL_PRINCIPAL_USER, .uid = client->uid};
    return call;
}

static hilum_rc parse_request(struct hl_call *call, const char *line, size_t n, json_t **root)
{
    json_error_t error;
    /* Duplicates: two readers of one object could see two different commands. */
    *root = json_loadb(line, n, JSON_REJECT_DUPLICATES, &error);
    if (!*root)
        return hl_fail(HILUM_EINVAL, "request: expected one JSON object on a line: %s", error.text);
    const char *name = json_string_value(json_object_get(*root, "command"));
    json_t *args = json_object_get(*root, "args");
    if (!name || (args && !json_is_object(args)))
        return hl_fail(HILUM_EINVAL, "request: expected {\"command\": \"...\", \"args\": {...}}");
    hilum_rc rc = hl_control_lookup(call->control, name, &call->command);
    if (rc != HILUM_OK)
        return rc;
    call->args = args ? json_incref(args) : json_object();
    /* Form before rights: a refusal then always means the right command with the right arguments. */
    rc = hl_command_check_args(call->command, call->args);
    return rc == HILUM_OK ? hl_command_allow(&call->principal, call->command) : rc;
}

/* false when the connection is of no further use. */
static bool answer(const struct client *client, const char *line, size_t n)
{
    struct hl_call call = call_of(client);
    json_t *root = NULL;
    hilum_rc rc = parse_request(&call, line, n, &root);
    if (rc == HILUM_OK)
        rc = call.command->run(call.command->ctx, &call);
    /* Positive codes are answers of a command, not failures (hilum/abi.h). */
    if (rc >= HILUM_OK)
        rc = hl_call_send_result(&call);
    if (rc < HILUM_OK)
        hl_call_send_error(&call, rc);
    json_decref(call.args);
    json_decref(call.result);
    json_decref(call.view);
    json_decref(root);
    return !call.is_gone;
}

/* Answers all whole lines. false when the connection is of no further use. */
static bool answer_lines(struct client *client)
{
    bool ok = true;
    while (ok && client->searched < client->in.len) {
        char *from = client->in.data + client->searched;
        char *end = memchr(from, '\n', client->in.len - client->searched);
        client->searched = client->in.len;
        if (!end)
            break;
        size_t n = (size_t)(end - client->in.data);
        if (n > 0)
            ok = answer(client, client->in.data, n);
        memmove(client->in.data, end + 1, client->in.len - n - 1);
        client->in.len -= n + 1;
        client->searched = 0;
        const struct hl_control_deadlines *ms = &client->control->deadlines;
        client->deadline = hl_mono_ms() + (client->in.len > 0 ? ms->request_ms : ms->silent_ms);
    }
    return ok;
}

/* Best effort: who was told to go may have gone. */
static void refuse(const struct client *client, hilum_rc rc)
{
    struct hl_call call = call_of(client);
    hl_call_send_error(&call, rc);
}

/* Waits for bytes until the deadline. false: none, the end, or the server stops. */
static bool read_some(struct client *client)
{
    struct pollfd fds[] = {{client->fd, POLLIN, 0}, {client->control->stop_fd, POLLIN, 0}};
    int64_t left = client->deadline - hl_mono_ms();
    int ready = left > 0 ? poll(fds, 2, (int)left) : 0;
    if (ready < 0 && errno == EINTR)
        return true;
    if (ready <= 0) {
        refuse(client, hl_fail(HILUM_ETIMEDOUT, "no whole request came in time"));
        return false;
    }
    if (fds[1].revents || !hl_buf_reserve(&client->in, 4096))
        return false;
    ssize_t n = recv(client->fd, client->in.data + client->in.len, 4096, MSG_DONTWAIT);
    if (n <= 0)
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    if (client->in.len == 0)
        client->deadline = hl_mono_ms() + client->control->deadlines.request_ms;
    client->in.len += (size_t)n;
    return true;
}

/* Until the client goes, is late, asks too much, or the server stops. */
static void converse(struct client *client)
{
    client->deadline = hl_mono_ms() + client->control->deadlines.silent_ms;
    while (read_some(client) && answer_lines(client)) {
        if (client->in.len > HL_CONTROL_REQUEST_MAX) {
            refuse(client, hl_fail(HILUM_EINVAL, "request: expected at most 1 MiB on a line"));
            return;
        }
    }
}

static void close_client(struct client *client)
{
    close(client->fd);
    hl_buf_fini(&client->in);
    atomic_fetch_sub(&client->control->connections, 1);
    free(client);
}

static void run_client(void *arg)
{
    struct client *client = arg;
    converse(client);
    close_client(client);
}

/* Who is not let in at all may not hold one of the few connections either. */
static hilum_rc admit(struct client *client)
{
    struct ucred peer;
    socklen_t n = sizeof peer;
    if (atomic_fetch_add(&client->control->connections, 1) >= HL_CONTROL_CONNECTIONS)
        return hl_fail(HILUM_EAGAIN, "%d control connections are open; try again",
                       HL_CONTROL_CONNECTIONS);
    if (getsockopt(client->fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) != 0)
        return hl_fail(HILUM_EIO, "control socket: SO_PEERCRED: %s", strerror(errno));
    client->uid = peer.uid;
    struct hl_principal user = {.kind = HL_PRINCIPAL_USER, .uid = peer.uid};
    return hl_allow(&user, "status", NULL);
}

/* On the acceptor's thread, so nothing here may block: the pool takes over. */
static void take_connection(struct hl_control *control, int fd)
{
    struct client *client = calloc(1, sizeof *client);
    if (!client) {
        close(fd);
        return;
    }
    client->control = control;
    client->fd = fd;
    hilum_rc rc = admit(client);
    if (rc == HILUM_OK)
        rc = hl_pool_run(control->pool, run_client, client);
    if (rc == HILUM_OK)
        return;
    hl_log(HL_WARN, "control", "connection refused: %s", hl_error());
    refuse(client, rc);
    close_client(client);
}

static void *accept_loop(void *arg)
{
    struct hl_control *control = arg;
    struct pollfd fds[] = {{control->listen_fd, POLLIN, 0}, {control->stop_fd, POLLIN, 0}};
    pthread_setname_np(pthread_self(), "control");
    for (;;) {
        (void)poll(fds, 2, -1);
        if (fds[1].revents)
            return NULL;
        int fd = accept4(control->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            take_connection(control, fd);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
            (void)poll(&fds[1], 1, 100); /* the waiting connection keeps poll ready: do not spin */
    }
}

/* On failure everything made so far is freed again. */
hilum_rc hl_control_new(struct hl_control **out)
{
    *out = NULL;
    struct hl_control *control = calloc(1, sizeof *control);
    if (!control)
        return hl_fail(HILUM_ENOMEM, "the control socket");
    atomic_init(&control->connections, 0);
    control->listen_fd = -1;
    control->deadlines = (struct hl_control_deadlines){60000, 10000, 5000};
    control->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    hilum_rc rc = HILUM_OK;
    if (control->stop_fd < 0)
        rc = hl_fail(HILUM_EIO, "control socket: eventfd: %s", strerror(errno));
    if (rc == HILUM_OK)
        rc = hl_control_register_builtins(control);
    if (rc == HILUM_OK)
        rc = hl_pool_new("control", HL_CONTROL_CONNECTIONS, &control->pool);
    if (rc == HILUM_OK)
        *out = control;
    else
        hl_control_free(control);
    return rc;
}

/* A left-over socket refuses at once; a living one accepts or has a full queue. */
static bool is_answered(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* EAGAIN: the queue of a living but busy server is full. */
    bool is = fd >= 0 && (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ||
                          errno == EAGAIN);
    if (fd >= 0)
        close(fd);
    return is;
}

/* A socket that a killed server left behind is taken away; one that answers is another server's,
 * and a file that is no socket is nobody's to remove. */
static hilum_rc bind_path(int fd, const struct sockaddr_un *address)
{
    const char *path = address->sun_path;
    struct stat st;
    if (bind(fd, (const struct sockaddr *)address, sizeof *address) == 0)
        return HILUM_OK;
    if (errno != EADDRINUSE)
        return hl_fail(hl_rc_from_errno(errno), "control socket %s: %s", path, strerror(errno));
    if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
        return hl_fail(HILUM_EEXISTS, "control socket %s: there is a file that is no socket", path);
    if (is_answered(address))
        return hl_fail(HILUM_EEXISTS, "control socket %s: another hilumd answers there", path);
    if (unlink(path) == 0 && bind(fd, (const struct sockaddr *)address, sizeof *address) == 0)
        return HILUM_OK;
    return hl_fail(hl_rc_from_errno(errno), "control socket %s: %s", path, strerror(errno));
}

hilum_rc hl_control_start(struct hl_control *control, const char *path, mode_t mode)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return hl_fail(
            HILUM_EINVAL,
            "control socket %s: expected a path of at most %zu bytes; set control.socket", path,
            sizeof address.sun_path - 1);
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return hl_fail(HILUM_EIO, "control socket: %s", strerror(errno));
    /* Before bind, so that the path never has wider rights: Linux takes them from the socket. */
    (void)fchmod(fd, mode);
    hilum_rc rc = bind_path(fd, &address);
    if (rc == HILUM_OK &&
        (listen(fd, HL_CONTROL_CONNECTIONS) != 0 || !(control->path = strdup(path))))
        rc = hl_fail(HILUM_EIO, "control socket %s: listen: %s", path, strerror(errno));
    if (rc != HILUM_OK) {
        close(fd);
        return rc;
    }
    control->listen_fd = fd;
    if (pthread_create(&control->acceptor, NULL, accept_loop, control) != 0)
        return hl_fail(HILUM_ENOMEM, "control socket %s: no thread", path);
    control->has_acceptor = true;
    return HILUM_OK;
}

void hl_control_free(struct hl_control *control)
{
    if (!control)
        return;
    if (control->stop_fd >= 0)
        (void)eventfd_write(control->stop_fd, 1);
    /* Acceptor first: after it no new task can reach the pool that is waited for next. */
    if (control->has_acceptor)
        pthread_join(control->acceptor, NULL);
    hl_pool_free(control->pool);
    if (control->listen_fd >= 0) {
        unlink(control->path);
        close(control->listen_fd);
    }
    if (control->stop_fd >= 0)
        close(control->stop_fd);
    free(control->path);
    free(control->commands);
    free(control);
}
