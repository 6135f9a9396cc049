/* The connection to the control socket: lines of JSON out and in, and the words for when nobody
 * answers. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/cli/cli.h"
#include "core/cli/remote.h"

/* Bytes held of an answer: a line longer than that is no answer of ours. */
enum { ANSWER_MAX = 1 << 28 };

/* A packaged server's: in its run-time directory if the configuration says so, else with its data. */
static const char *installed_socket(void)
{
    return access("/run/hilum/hilum.sock", F_OK) == 0 ? "/run/hilum/hilum.sock"
                                                      : "/var/lib/hilum/hilum.sock";
}

void hl_client_path(const struct hl_cli_options *options, struct hl_buf *out)
{
    const char *from_env = getenv("HILUM_SOCKET");
    if (options->socket)
        hl_buf_text(out, options->socket);
    else if (options->data)
        hl_buf_printf(out, "%s/hilum.sock", options->data);
    else
        hl_buf_text(out, from_env && *from_env ? from_env : installed_socket());
}

/* The first thing a new user sees when something is missing: say what to type. */
static hilum_rc explain_connect(const char *path, int number)
{
    if (number == EACCES || number == EPERM)
        return hl_fail(HILUM_EDENIED,
                       "%s: permission denied: run hilum as root or as the user of hilumd", path);
    if (number == EAGAIN)
        return hl_fail(HILUM_ECLOSED, "hilumd at %s is too busy to answer: try again", path);
    return hl_fail(HILUM_ECLOSED,
                   "no hilumd answers at %s: start it with scripts/run.sh or name it with --data "
                   "DIR or --socket PATH",
                   path);
}

hilum_rc hl_client_open(const char *path, struct hl_client *out)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    *out = (struct hl_client){.fd = -1};
    if (strlen(path) >= sizeof address.sun_path)
        return hl_fail(HILUM_ECLOSED, "%s: expected a path of at most %zu bytes", path,
                       sizeof address.sun_path - 1);
    /* No timeout on connect: a Unix socket connects at once or not at all. */
    memcpy(address.sun_path, path, strlen(path));
    out->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (out->fd < 0)
        return hl_fail(HILUM_EIO, "socket: %s", strerror(errno));
    if (connect(out->fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return HILUM_OK;
    hilum_rc rc = explain_connect(path, errno);
    hl_client_close(out);
    return rc;
}

hilum_rc hl_client_open_remote(const struct hl_cli_options *options, struct hl_client *out)
{
    *out = (struct hl_client){.fd = -1};
    return hl_remote_new(options, &out->remote);
}

/* Hanging up is how a command is cancelled. */
void hl_client_close(struct hl_client *client)
{
    hl_remote_free(client->remote);
    client->remote = NULL;
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
    hl_buf_fini(&client->in);
}

hilum_rc hl_client_send(struct hl_client *client, const char *command, json_t *args)
{
    if (client->remote) {
        client->taken = 0;
        return hl_remote_send(client->remote, command, args, &client->in);
    }
    json_t *request = json_pack("{s:s, s:O}", "command", command, "args", args);
    char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
    json_decref(request);
    if (!text)
        return hl_fail(HILUM_EINVAL, "the arguments are not UTF-8");
    struct hl_buf line = {0};
    hl_buf_printf(&line, "%s\n", text);
    free(text);
    hilum_rc rc = line.failed ? hl_fail(HILUM_ENOMEM, "the request") : HILUM_OK;
    for (size_t sent = 0; rc == HILUM_OK && sent < line.len;) {
        ssize_t n = send(client->fd, line.data + sent, line.len - sent, MSG_NOSIGNAL);
        if (n > 0)
            sent += (size_t)n;
        else if (errno == EPIPE)
            break; /* refused already: the reason is waiting to be read */
        else if (errno != EINTR)
            rc = hl_fail(HILUM_ECLOSED, "the connection to hilumd was lost: %s", strerror(errno));
    }
    hl_buf_fini(&line);
    return rc;
}

/* deadline < 0: for ever, as for a command that runs a day. */
static hilum_rc read_more(struct hl_client *client, int64_t deadline)
{
    struct pollfd fd = {client->fd, POLLIN, 0};
    int64_t left = deadline < 0 ? -1 : deadline - hl_mono_ms();
    if (client->remote)
        return hl_remote_more(client->remote, deadline < 0 || left > 0 ? left : 0, &client->in);
    int ready = deadline >= 0 && left <= 0 ? 0 : poll(&fd, 1, (int)left);
    if (ready < 0 && errno == EINTR)
        return HILUM_OK;
    if (ready <= 0)
        return hl_fail(HILUM_ETIMEDOUT, "hilumd does not answer");
    if (client->in.len > ANSWER_MAX || !hl_buf_reserve(&client->in, 65536))
        return hl_fail(HILUM_ENOMEM, "the answer is too long");
    ssize_t n = recv(client->fd, client->in.data + client->in.len, 65536, 0);
    if (n > 0)
        client->in.len += (size_t)n;
    else if (n == 0 || errno != EINTR)
        return hl_fail(HILUM_ECLOSED, "hilumd closed the connection; see its log");
    return HILUM_OK;
}

hilum_rc hl_client_read(struct hl_client *client, int ms, json_t **out)
{
    int64_t deadline = ms < 0 ? -1 : hl_mono_ms() + ms;
    size_t searched = client->taken;
    for (;;) {
        char *end = client->in.len > searched
                        ? memchr(client->in.data + searched, '\n', client->in.len - searched)
                        : NULL;
        /* Lines are handed out from the buffer and moved only when it runs dry: results of many lines
         * would otherwise be moved once a line. */
        char *line = client->in.data + client->taken;
        if (end == line && end) { /* a sign of life */
            searched = ++client->taken;
            continue;
        }
        if (end) {
            *out = json_loadb(line, (size_t)(end - line), 0, NULL);
            client->taken = (size_t)(end + 1 - client->in.data);
            return *out ? HILUM_OK : hl_fail(HILUM_ECLOSED, "what answers is not hilumd");
        }
        if (client->taken > 0) {
            client->in.len -= client->taken;
            memmove(client->in.data, client->in.data + client->taken, client->in.len);
            client->taken = 0;
        }
        searched = client->in.len;
        hilum_rc rc = read_more(client, deadline);
        if (rc != HILUM_OK)
            return rc;
    }
}
