/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/error.h"

hilum_rc hl_dir_sync(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool is_synced = fd >= 0 && fsync(fd) == 0;
    int number = errno;
    if (fd >= 0)
        close(fd);
    return is_synced ? HILUM_OK
                     : hl_fail(hl_rc_from_errno(number), "sync %s: %s", path, strerror(number));
}

hilum_rc hl_parent_sync(const char *path)
{
    char parent[PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (!slash)
        return hl_dir_sync(".");
    snprintf(parent, sizeof parent, "%.*s", slash > path ? (int)(slash - path) : 1, path);
    return hl_dir_sync(parent);
}
