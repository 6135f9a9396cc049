/* Where a server keeps what is its own: the data directory, its lock, the control socket. It knows nothing of what is in
 * them. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/server/server.h"

/* In the same words to who starts and to who checks. */
static hilum_rc not_made(const char *dir, int number)
{
    return hl_fail(hl_rc_from_errno(number),
                   "make data directory %s: %s (make it for the user hilumd runs as, or name "
                   "another with --data)",
                   dir, strerror(number));
}

static hilum_rc not_opened(const char *path, int number)
{
    return hl_fail(hl_rc_from_errno(number),
                   "open %s: %s (the data directory must belong to the user hilumd runs as)", path,
                   strerror(number));
}

/* Once for all: a reload does not move a server. */
hilum_rc hl_server_choose_data(struct hl_server *server)
{
    const char *configured = hl_config_text(server->config, "storage.data");
    const char *dir = server->options.data_dir;
    if (!dir)
        dir = configured && *configured ? configured : "/var/lib/hilum";
    server->options.data_dir = hl_arena_strdup(&server->arena, dir);
    return server->options.data_dir ? HILUM_OK : hl_fail(HILUM_ENOMEM, "out of memory");
}

/* 108 bytes are all a sockaddr_un holds; a longer path would be cut and bind elsewhere. */
hilum_rc hl_server_choose_socket(struct hl_server *server)
{
    const char *path = hl_config_text(server->config, "control.socket");
    size_t size = sizeof server->socket_path;
    int n = path && *path
                ? snprintf(server->socket_path, size, "%s", path)
                : snprintf(server->socket_path, size, "%s/hilum.sock", server->options.data_dir);
    return n < (int)size ? HILUM_OK
                         : hl_fail(HILUM_EINVAL,
                                   "%s: too long for a Unix socket: set control.socket to "
                                   "a path below 108 bytes",
                                   server->options.data_dir);
}

/* The data directory belongs to one server at a time; its own entry is durable before anything
 * in it is. flock, not a file that exists: it goes with the process, however that ends, so
 * that a crash leaves nothing to clean up. Two servers over one directory would each finish
 * the other's pending objects as if they were left over. */
hilum_rc hl_server_open_data(struct hl_server *server)
{
    const char *dir = server->options.data_dir;
    if (mkdir(dir, 0750) != 0 && errno != EEXIST)
        return not_made(dir, errno);
    char path[4096];
    snprintf(path, sizeof path, "%s/hilumd.lock", dir);
    server->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (server->lock_fd < 0)
        return not_opened(path, errno);
    if (flock(server->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return hl_fail(HILUM_EEXISTS,
                       "%s is in use by another hilumd: stop it, or name another --data", dir);
    return HILUM_OK;
}

/* What is in it, and its own entry one level up. That one may not be ours to read: then whoever made the folder
 * for us has to have seen to it. */
hilum_rc hl_server_sync_data(struct hl_server *server)
{
    char above[4096];
    snprintf(above, sizeof above, "%s/..", server->options.data_dir);
    (void)hl_dir_sync(above);
    return hl_dir_sync(server->options.data_dir);
}

/* ---- the same, only looked at ---- */

/* The folder that a folder is made in. */
static void folder_above(const char *dir, char *out, size_t size)
{
    snprintf(out, size, "%s", dir);
    size_t n = strlen(out);
    while (n > 1 && out[n - 1] == '/')
        out[--n] = '\0';
    char *slash = strrchr(out, '/');
    if (!slash)
        snprintf(out, size, ".");
    else
        slash[slash == out] = '\0';
}

/* Neither made nor locked: a server may run there. */
static hilum_rc try_data(const char *dir)
{
    char path[4096];
    struct stat st;
    snprintf(path, sizeof path, "%.4000s/hilumd.lock", dir);
    if (stat(path, &st) == 0)
        return access(path, R_OK | W_OK) == 0 ? HILUM_OK : not_opened(path, errno);
    if (errno != ENOENT)
        return not_opened(path, errno);
    if (stat(dir, &st) == 0)
        return access(dir, W_OK | X_OK) == 0 ? HILUM_OK : not_opened(path, errno);
    folder_above(dir, path, sizeof path);
    return access(path, W_OK | X_OK) == 0 ? HILUM_OK : not_made(dir, errno);
}

void hl_server_judge_place(struct hl_server *server, struct hl_faults *faults)
{
    hilum_rc rc = hl_server_choose_socket(server);
    if (rc == HILUM_OK)
        rc = try_data(server->options.data_dir);
    if (rc != HILUM_OK)
        hl_faults_add(faults, "hilumd", 0, "%s", hl_error());
}
