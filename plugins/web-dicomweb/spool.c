/* Bulk data of a STOW-RS of metadata, until their objects can be put together: a file without a name, gone with the
 * request. SPDX-License-Identifier: Apache-2.0 */
#include "stow.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PARTS_MAX = 100000 };

static hilum_rc fail_io(struct web_spool *spool, const char *what)
{
    char text[160];
    snprintf(text, sizeof text, "bulk data: %s: %s", what, strerror(errno));
    return spool->web->host->fail(spool->web->self, errno == ENOSPC ? HILUM_EFULL : HILUM_EIO,
                                  text);
}

/* O_TMPFILE: it has no name, so that no end of the process, however sudden, leaves it behind,
 * and nobody else can open it. In the data directory, not /tmp: there is room for it, and it
 * is under the same protection. */
static hilum_rc spool_open(struct web_spool *spool)
{
    char directory[WEB_PATH_MAX];
    if (spool->is_open)
        return HILUM_OK;
    hilum_rc rc = web_folder(spool->web, "", directory, sizeof directory);
    if (rc != HILUM_OK)
        return rc;
    spool->fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (spool->fd < 0)
        return fail_io(spool, "make a file");
    spool->is_open = true;
    return HILUM_OK;
}

/* The folder is opened with the first part: most requests of metadata have no bulk data. */
hilum_rc web_spool_begin(struct web_spool *spool, const struct web_part_head *head)
{
    if (spool->n == PARTS_MAX)
        return spool->web->host->fail(spool->web->self, HILUM_EFULL, "over 100000 parts");
    if (spool->n == spool->cap) {
        size_t cap = spool->cap > 0 ? 2 * spool->cap : 16;
        struct web_bulk *grown = realloc(spool->parts, cap * sizeof *grown);
        if (grown == NULL)
            return HILUM_ENOMEM;
        spool->parts = grown;
        spool->cap = cap;
    }
    struct web_bulk *bulk = &spool->parts[spool->n];
    *bulk = (struct web_bulk){.location = strdup(head->location), .offset = spool->length};
    if (bulk->location == NULL)
        return HILUM_ENOMEM;
    snprintf(bulk->type, sizeof bulk->type, "%s", head->type);
    snprintf(bulk->syntax, sizeof bulk->syntax, "%s", head->syntax);
    spool->n++;
    return spool_open(spool);
}

/* Not synced: it is read in this life or never. */
hilum_rc web_spool_data(struct web_spool *spool, const void *bytes, size_t n)
{
    if (n > (uint64_t)spool->web->conf->bulk_max - spool->length)
        return spool->web->host->fail(spool->web->self, HILUM_EFULL,
                                      "more bulk data than bulk_max of plugin web-dicomweb");
    for (size_t done = 0; done < n;) {
        ssize_t put = pwrite(spool->fd, (const char *)bytes + done, n - done, (off_t)spool->length);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return fail_io(spool, "write");
        done += (size_t)put;
        spool->length += (uint64_t)put;
    }
    spool->parts[spool->n - 1].length += n;
    return HILUM_OK;
}

/* One after the other: a request has few parts beside each other, frames of one image have the
 * same location and are told apart by i. */
const struct web_bulk *web_spool_find(const struct web_spool *spool, const char *uri, size_t i)
{
    for (size_t at = 0; at < spool->n; at++)
        if (strcmp(spool->parts[at].location, uri) == 0 && i-- == 0)
            return &spool->parts[at];
    return NULL;
}

hilum_rc web_spool_read(struct web_spool *spool, uint64_t at, void *out, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = pread(spool->fd, (char *)out + done, n - done, (off_t)(at + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return fail_io(spool, "read");
        done += (size_t)got;
    }
    return HILUM_OK;
}

void web_spool_fini(struct web_spool *spool)
{
    for (size_t i = 0; i < spool->n; i++)
        free(spool->parts[i].location);
    free(spool->parts);
    if (spool->is_open)
        close(spool->fd);
}
