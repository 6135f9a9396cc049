/* application/zip (PS3.18 8.7.3.1): the same objects as in parts, as files of an archive that is made while it leaves. By
 * libarchive, which writes zip64 where a file is large or its length is not known before.
 *
 * It stands beside parts.c and asks a transaction the same three things (begin, read, and file
 * for the name), so whoever makes parts has archives for nothing. Pulled like them: each next()
 * writes until a piece is full, and no thread waits for a slow client.
 *
 * There are no ranges: what deflate makes of a file is not known before. The entity tag is
 * weak for the same reason (retrieve.c).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "web.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <archive.h>
#include <archive_entry.h>

enum {
    PIECE = 64 * 1024
}; /* an answer's piece at least, so that small files do not leave one by one */

/* out is emptied by each next(): http has taken the piece by then. */
struct zip {
    struct web_parts *parts;
    struct archive *archive;
    struct archive_entry *entry;
    struct web_text out; /* what libarchive has written and nobody has taken */
    bool is_in_file, is_over, is_gone;
};

/* libarchive's way out. An error of its own after this is what step() tells. */
static la_ssize_t keep(struct archive *archive, void *arg, const void *bytes, size_t n)
{
    struct zip *zip = arg;
    if (zip->is_gone)
        return (la_ssize_t)n;
    web_text_add(&zip->out, bytes, n);
    if (!zip->out.failed)
        return (la_ssize_t)n;
    archive_set_error(archive, ENOMEM, "no memory");
    return -1;
}

/* HILUM_ENOMEM: what is written to is memory, and lengths are known or not told. */
static hilum_rc failed(const struct zip *zip)
{
    char why[200];
    const char *said = archive_error_string(zip->archive);
    snprintf(why, sizeof why, "zip: %.180s", said != NULL ? said : "no memory");
    return zip->parts->web->host->fail(zip->parts->web->self, HILUM_ENOMEM, why);
}

/* What is compressed already is not compressed again, unless its length is not known: nobody could find its end. */
static hilum_rc file_begin(struct zip *zip)
{
    struct web_file file = {.length = HILUM_LENGTH_UNKNOWN};
    hilum_rc rc = zip->parts->file(zip->parts, &file);
    if (rc != HILUM_OK)
        return rc;
    archive_entry_clear(zip->entry);
    archive_entry_set_pathname(zip->entry, file.name);
    archive_entry_set_filetype(zip->entry, AE_IFREG);
    archive_entry_set_perm(zip->entry, 0644);
    archive_entry_set_mtime(zip->entry, 315532800,
                            0); /* 1980, the zip's own beginning: told anew, the same bytes */
    bool is_stored = file.is_compressed && file.length != HILUM_LENGTH_UNKNOWN;
    if (file.length != HILUM_LENGTH_UNKNOWN)
        archive_entry_set_size(zip->entry, (la_int64_t)file.length);
    int done = is_stored ? archive_write_zip_set_compression_store(zip->archive)
                         : archive_write_zip_set_compression_deflate(zip->archive);
    if (done == ARCHIVE_OK)
        done = archive_write_header(zip->archive, zip->entry);
    zip->is_in_file = true;
    return done == ARCHIVE_OK ? HILUM_OK : failed(zip);
}

/* One step further; what comes of it is in `out`, or not yet. */
static hilum_rc step(struct zip *zip)
{
    char type[WEB_TYPE_MAX];
    const void *bytes = NULL;
    uint64_t n = 0;
    if (!zip->is_in_file) {
        hilum_rc rc = zip->parts->begin(zip->parts, type);
        if (rc == 1)
            return file_begin(zip);
        zip->is_over = rc == 0;
        return rc == 0 && archive_write_close(zip->archive) != ARCHIVE_OK ? failed(zip) : rc;
    }
    hilum_rc rc = zip->parts->read(zip->parts, &bytes, &n);
    if (rc != HILUM_OK)
        return rc;
    zip->is_in_file = n > 0;
    if (n > 0)
        return archive_write_data(zip->archive, bytes, (size_t)n) == (la_ssize_t)n ? HILUM_OK
                                                                                   : failed(zip);
    return archive_write_finish_entry(zip->archive) == ARCHIVE_OK ? HILUM_OK : failed(zip);
}

/* An error cuts the connection: an archive without its directory at the end is seen to be
 * broken. */
static hilum_rc zip_next(void *arg, const void **bytes, uint64_t *n)
{
    struct zip *zip = arg;
    hilum_rc rc = HILUM_OK;
    zip->out.n = 0;
    while (rc == HILUM_OK && !zip->is_over && zip->out.n < PIECE)
        rc = step(zip);
    *bytes = zip->out.bytes;
    *n = rc == HILUM_OK ? zip->out.n : 0;
    return rc;
}

/* Exactly once, also when the client went away in the middle of a file. */
static void zip_close(void *arg)
{
    struct zip *zip = arg;
    archive_entry_free(zip->entry);
    zip->is_gone = true; /* in the middle the library writes an end, which nobody takes */
    archive_write_free(zip->archive);
    web_text_fini(&zip->out);
    zip->parts->free(zip->parts);
    free(zip);
}

/* Level 1: pixels shrink little more with any other, and a client waits. No blocks: libarchive
 * would fill up the last one with zeros. */
static bool zip_open(struct zip *zip)
{
    struct archive *archive = zip->archive = archive_write_new();
    zip->entry = archive_entry_new();
    return archive != NULL && zip->entry != NULL &&
           archive_write_set_format_zip(archive) == ARCHIVE_OK &&
           archive_write_set_format_option(archive, "zip", "compression-level", "1") ==
               ARCHIVE_OK &&
           archive_write_set_bytes_per_block(archive, 0) == ARCHIVE_OK &&
           archive_write_open2(archive, zip, NULL, keep, NULL, NULL) == ARCHIVE_OK;
}

/* Takes parts over in every case. name: a UID, which needs no quoting in a header. */
hilum_rc web_zip_send(const struct web_call *call, uint32_t status, const char *name,
                      struct web_parts *parts)
{
    char text[120];
    struct zip *zip = calloc(1, sizeof *zip);
    if (zip == NULL) {
        parts->free(parts);
        return HILUM_ENOMEM;
    }
    zip->parts = parts;
    if (!zip_open(zip)) {
        zip_close(zip);
        return call->web->host->fail(call->web->self, HILUM_ENOMEM, "no memory for an archive");
    }
    snprintf(text, sizeof text, "attachment; filename=\"%.64s.zip\"", name);
    call->api->add_header(call->http, "Content-Disposition", text);
    const struct hilum_http_source source = {
        .size = sizeof source, .next = zip_next, .close = zip_close, .arg = zip};
    return call->api->stream(call->http, status, WEB_ZIP, HILUM_LENGTH_UNKNOWN, &source);
}
