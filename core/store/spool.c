/* The file has no name, so it is gone with the process whatever happens. Appending and reading
 * may alternate; what is in memory is the end of it. SPDX-License-Identifier: Apache-2.0 */
#include "core/store/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/base/error.h"

/* On the first flush: most objects never need it. */
static hilum_rc file_open(struct hl_spool *spool)
{
    const char *dir = spool->place ? spool->place->dir : NULL;
    char path[4096];
    if (dir == NULL)
        return hl_fail(HILUM_EFULL, "over %d MiB made before they leave, and no folder for them",
                       HL_SPOOL_MEMORY >> 20);
    spool->fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (spool->fd < 0) { /* file systems without files that have no name */
        snprintf(path, sizeof path, "%s/spool.XXXXXX", dir);
        spool->fd = mkostemp(path, O_CLOEXEC);
        if (spool->fd >= 0)
            unlink(path);
    }
    if (spool->fd < 0)
        return hl_fail(hl_rc_from_errno(errno), "temporary file in %s: %s", dir, strerror(errno));
    spool->window = malloc(HL_SPOOL_WINDOW);
    if (spool->window != NULL)
        return HILUM_OK;
    close(spool->fd);
    return hl_fail(HILUM_ENOMEM, "no memory for a temporary file");
}

/* What leaves must not take the room of what arrives. Looked at before each 16 MiB; where it
 * cannot be asked for the write will tell. */
static hilum_rc check_room(const struct hl_spool *spool)
{
    struct statvfs st;
    if (fstatvfs(spool->fd, &st) != 0 ||
        (uint64_t)st.f_bavail * st.f_frsize >= spool->place->min_free + spool->memory.len)
        return HILUM_OK;
    return hl_fail(HILUM_EFULL, "no room in %s for a temporary file", spool->place->dir);
}

static hilum_rc write_at(const struct hl_spool *spool, const char *bytes, size_t n, uint64_t at)
{
    while (n > 0) {
        ssize_t put = pwrite(spool->fd, bytes, n, (off_t)at);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return hl_fail(hl_rc_from_errno(put == 0 ? ENOSPC : errno), "temporary file: %s",
                           strerror(put == 0 ? ENOSPC : errno));
        bytes += put;
        at += (uint64_t)put;
        n -= (size_t)put;
    }
    return HILUM_OK;
}

/* Memory to the file. After a failure all of it is still in memory. */
static hilum_rc flush(struct hl_spool *spool)
{
    hilum_rc rc = spool->in_file == 0 ? file_open(spool) : HILUM_OK;
    bool is_new = rc == HILUM_OK && spool->in_file == 0;
    if (rc == HILUM_OK)
        rc = check_room(spool);
    if (rc == HILUM_OK)
        rc = write_at(spool, spool->memory.data, spool->memory.len, spool->in_file);
    if (rc == HILUM_OK) {
        spool->in_file += spool->memory.len;
        hl_buf_clear(&spool->memory);
    } else if (is_new) {
        close(spool->fd);
        free(spool->window);
        spool->window = NULL;
    }
    return rc;
}

hilum_rc hl_spool_add(struct hl_spool *spool, const void *bytes, size_t n)
{
    if (spool->memory.len > 0 && n > HL_SPOOL_MEMORY - spool->memory.len) {
        hilum_rc rc = flush(spool);
        if (rc != HILUM_OK)
            return rc;
    }
    hl_buf_add(&spool->memory, bytes, n);
    if (spool->memory.failed)
        return hl_fail(HILUM_ENOMEM, "no memory for what is made before it leaves");
    spool->length += n;
    return spool->memory.len > HL_SPOOL_MEMORY ? flush(spool) : HILUM_OK;
}

/* A window of the file; less than asked for at its border. A window of its own and not a map:
 * the file grows while it is read. */
static hilum_rc read_file(struct hl_spool *spool, uint64_t at, size_t *n, const uint8_t **bytes)
{
    uint64_t left = spool->in_file - at;
    size_t want = *n < HL_SPOOL_WINDOW ? *n : HL_SPOOL_WINDOW;
    if (want > left)
        want = (size_t)left;
    ssize_t got = pread(spool->fd, spool->window, want, (off_t)at);
    while (got < 0 && errno == EINTR)
        got = pread(spool->fd, spool->window, want, (off_t)at);
    *bytes = spool->window;
    *n = got > 0 ? (size_t)got : 0;
    return got > 0 ? HILUM_OK
                   : hl_fail(HILUM_EIO, "temporary file: %s", got < 0 ? strerror(errno) : "short");
}

hilum_rc hl_spool_read(struct hl_spool *spool, uint64_t at, size_t *n, const uint8_t **bytes)
{
    if (*n > 0 && at < spool->in_file)
        return read_file(spool, at, n, bytes);
    uint64_t within = at - spool->in_file;
    uint64_t left = within < spool->memory.len ? spool->memory.len - within : 0;
    if (*n > left)
        *n = (size_t)left;
    *bytes = (const uint8_t *)spool->memory.data + (left > 0 ? within : 0);
    return HILUM_OK;
}

void hl_spool_fini(struct hl_spool *spool)
{
    if (spool->in_file > 0)
        close(spool->fd);
    free(spool->window);
    hl_buf_fini(&spool->memory);
    *spool = (struct hl_spool){.place = spool->place};
}
