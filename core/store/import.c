/* Files from a disk or a medium take the same way as what arrives over the network.
 *
 * One thread a file, any number of files at once.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/store/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/dicom/uid.h"

enum { PIECE_SIZE = 256 * 1024 };

struct import {
    int fd;
    const char *path;
    uint8_t *piece; /* PIECE_SIZE */
    struct hl_part10 head;
};

/* *n less than asked only at the end of the file. */
static hilum_rc file_read(const struct import *import, uint64_t at, size_t want, size_t *n)
{
    *n = 0;
    while (*n < want) {
        ssize_t got = pread(import->fd, import->piece + *n, want - *n, (off_t)(at + *n));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return hl_fail(hl_rc_from_errno(errno), "read %s: %s", import->path, strerror(errno));
        if (got == 0)
            break;
        *n += (size_t)got;
    }
    return HILUM_OK;
}

/* The SOP class for images that name none: PS3.3 A.8 is made for what has no better one. */
static const char *secondary_capture(void)
{
    const struct hl_uid_entry *entries = NULL;
    size_t n = hl_uid_storage_classes(&entries);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(entries[i].name, "SecondaryCaptureImageStorage") == 0)
            return entries[i].uid;
    }
    return "";
}

/* false: absent, or longer than a UID can be. */
static bool uid_take(const struct hl_scan *scan, uint32_t tag, char out[65])
{
    char text[80];
    if (hl_scan_text(scan, tag, text, sizeof text) == 0 || strlen(text) > 64)
        return false;
    snprintf(out, 65, "%s", text);
    return true;
}

/* Elements ascend: past both UIDs they will not come any more. */
static bool is_past_uids(const struct hl_scan *scan)
{
    size_t n = hl_scan_count(scan);
    return n > 0 && hl_scan_at(scan, n - 1)->tag > HL_TAG(0x0008, 0x0018);
}

/* The data set's own word counts, not that of a meta header copied from another file. Files that have
 * neither (ACR-NEMA) are read whole, for a UID made of their bytes. */
static hilum_rc uids_find(struct import *import, XXH3_state_t *hash)
{
    struct hl_part10 *head = &import->head;
    struct hl_scan *scan = NULL;
    uint8_t digest[16];
    size_t n = 1;
    hilum_rc rc = hl_scan_new(head->transfer_syntax, NULL, &scan);
    XXH3_128bits_reset(hash);
    for (uint64_t at = head->dataset_offset; rc == HILUM_OK && n > 0; at += n) {
        rc = file_read(import, at, PIECE_SIZE, &n);
        if (rc != HILUM_OK || n == 0)
            break;
        XXH3_128bits_update(hash, import->piece, n);
        if (hl_scan_feed(scan, import->piece, n) != HILUM_OK)
            break; /* the ingest will say what is wrong with it */
        bool has_class = uid_take(scan, HL_TAG(0x0008, 0x0016), head->sop_class);
        bool has_instance = uid_take(scan, HL_TAG(0x0008, 0x0018), head->sop_instance);
        bool has_both = head->sop_class[0] != '\0' && head->sop_instance[0] != '\0';
        if ((has_class && has_instance) || (has_both && is_past_uids(scan)))
            break;
    }
    hl_scan_free(scan);
    hl_digest_final(hash, digest);
    if (head->sop_class[0] == '\0')
        snprintf(head->sop_class, sizeof head->sop_class, "%s", secondary_capture());
    if (head->sop_instance[0] == '\0')
        hl_derive_uid(digest, sizeof digest, head->sop_instance);
    return rc;
}

/* A DICOMDIR is refused: it would be stored and mean nothing here. */
static hilum_rc head_read(struct import *import)
{
    size_t n = 0;
    hilum_rc rc = file_read(import, 0, HL_PART10_HEAD, &n);
    if (rc == HILUM_OK)
        rc = hl_part10_read(import->piece, n, &import->head);
    if (rc != HILUM_OK)
        return rc;
    if (strcmp(import->head.sop_class, HL_UID_MEDIA_DIRECTORY) == 0)
        return hl_fail(HILUM_EINVAL,
                       "a DICOMDIR is a list of files, not an object: import the files");
    XXH3_state_t *hash = XXH3_createState();
    rc = hash != NULL ? uids_find(import, hash) : hl_fail(HILUM_ENOMEM, "no memory");
    XXH3_freeState(hash);
    return rc;
}

/* The file is read a second time from the data set on, out of the page cache: its UIDs had to
 * be known before the ingest could begin. */
static hilum_rc pieces_feed(struct import *import, struct hl_ingest *ingest)
{
    hilum_rc rc = HILUM_OK;
    size_t n = 1;
    for (uint64_t at = import->head.dataset_offset; rc == HILUM_OK && n > 0; at += n) {
        rc = file_read(import, at, PIECE_SIZE, &n);
        if (rc != HILUM_OK)
            return hl_ingest_refuse(ingest, rc, 0x0110, 0, "cannot read the file");
        if (n > 0)
            rc = hl_ingest_data(ingest, import->piece, n);
    }
    return rc; /* a refusal is remembered by the ingest */
}

/* Refusals before the ingest has begun have no reference number; their reason is the result's
 * comment. */
static hilum_rc import_run(struct import *import, struct hl_store *store,
                           const struct hl_ingest_source *source, struct hl_ingest_result *result)
{
    struct hl_ingest *ingest = NULL;
    const struct hl_part10 *head = &import->head;
    hilum_rc rc = head_read(import);
    if (rc != HILUM_OK) {
        result->status = rc == HILUM_EINVAL ? 0xC000 : 0x0110;
        snprintf(result->comment, sizeof result->comment, "%.64s", hl_error());
        return hl_fail_in(rc, "%s", import->path);
    }
    rc = hl_ingest_begin(store, source, head->sop_class, head->sop_instance, head->transfer_syntax,
                         &ingest, result);
    if (rc != HILUM_OK)
        return rc;
    ingest->may_derive = true;
    ingest->remarks = head->remarks;
    pieces_feed(import, ingest);
    return hl_ingest_end(ingest, result);
}

/* O_NONBLOCK: a pipe in the tree must not stop the import. */
hilum_rc hl_store_import_file(struct hl_store *store, const struct hl_ingest_source *source,
                              const char *path, struct hl_ingest_result *result)
{
    struct import import = {.path = path, .piece = malloc(PIECE_SIZE)};
    *result = (struct hl_ingest_result){.status = 0x0110};
    import.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    hilum_rc rc = HILUM_OK;
    if (import.piece == NULL)
        rc = hl_fail(HILUM_ENOMEM, "no memory to import %s", path);
    else if (import.fd < 0)
        rc = hl_fail(hl_rc_from_errno(errno), "open %s: %s", path, strerror(errno));
    else
        rc = import_run(&import, store, source, result);
    if (import.fd >= 0)
        close(import.fd);
    free(import.piece);
    return rc;
}
