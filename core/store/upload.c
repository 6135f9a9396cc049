/* A file that arrives in pieces, by HTTP: its head is found, the rest takes the way of every
 * object.
 *
 * One thread. The head is gathered until it can be read, at most HL_PART10_HEAD; then everything is
 * the ingest's. SPDX-License-Identifier: Apache-2.0 */
#include "core/store/store_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/dicom/uid.h"

struct hl_upload {
    struct hl_store *store;
    struct hl_ingest_source source;
    struct hl_buf head; /* until the ingest has begun */
    struct hl_part10 file;
    struct hl_ingest *ingest;
    struct hl_ingest_result refused; /* by its begin */
    bool has_begun;
};

hilum_rc hl_upload_new(struct hl_store *store, const struct hl_ingest_source *source,
                       struct hl_upload **out)
{
    struct hl_upload *upload = calloc(1, sizeof *upload);
    *out = upload;
    if (upload == NULL)
        return hl_fail(HILUM_ENOMEM, "no memory for an upload");
    upload->store = store;
    upload->source = *source;
    return HILUM_OK;
}

/* The data set's own word counts, not that of a meta header copied from another file. Both UIDs lie at the
 * beginning; where they do not, what the meta header says is checked at the end. */
static void uids_find(struct hl_upload *upload)
{
    struct hl_part10 *file = &upload->file;
    struct hl_scan *scan = NULL;
    char text[80];
    if (hl_scan_new(file->transfer_syntax, NULL, &scan) != HILUM_OK)
        return;
    (void)hl_scan_feed(scan, upload->head.data + file->dataset_offset,
                       upload->head.len - file->dataset_offset);
    if (hl_scan_text(scan, HL_TAG(0x0008, 0x0016), text, sizeof text) > 0 && strlen(text) <= 64)
        snprintf(file->sop_class, sizeof file->sop_class, "%s", text);
    if (hl_scan_text(scan, HL_TAG(0x0008, 0x0018), text, sizeof text) > 0 && strlen(text) <= 64)
        snprintf(file->sop_instance, sizeof file->sop_instance, "%s", text);
    hl_scan_free(scan);
}

/* Before the ingest: no reference number, as nobody has recorded it. */
static hilum_rc refuse(struct hl_upload *upload, hilum_rc rc, const char *what)
{
    upload->refused = (struct hl_ingest_result){.status = 0xC000};
    snprintf(upload->refused.comment, sizeof upload->refused.comment, "%.64s", what);
    return rc;
}

/* Once, with what is there by then: enough for a head, or all there was. Not may_derive, as an
 * import is: who uploads is there to be told, and may send the UIDs. */
static hilum_rc begin(struct hl_upload *upload)
{
    struct hl_part10 *file = &upload->file;
    upload->has_begun = true;
    hilum_rc rc =
        hl_part10_read((const uint8_t *)hl_buf_str(&upload->head), upload->head.len, file);
    if (rc != HILUM_OK)
        return refuse(upload, rc, hl_error());
    if (strcmp(file->sop_class, HL_UID_MEDIA_DIRECTORY) == 0)
        return refuse(upload, hl_fail(HILUM_EINVAL, "a DICOMDIR is no object"),
                      "a DICOMDIR is no object");
    uids_find(upload);
    rc = hl_ingest_begin(upload->store, &upload->source, file->sop_class, file->sop_instance,
                         file->transfer_syntax, &upload->ingest, &upload->refused);
    if (rc != HILUM_OK)
        return rc;
    upload->ingest->remarks = file->remarks;
    return hl_ingest_data(upload->ingest, upload->head.data + file->dataset_offset,
                          upload->head.len - file->dataset_offset);
}

hilum_rc hl_upload_data(struct hl_upload *upload, const void *bytes, size_t n)
{
    if (upload->has_begun)
        return upload->ingest != NULL ? hl_ingest_data(upload->ingest, bytes, n) : HILUM_OK;
    hl_buf_add(&upload->head, bytes, n);
    if (upload->head.failed)
        return hl_fail(HILUM_ENOMEM, "no memory for an upload");
    if (upload->head.len < HL_PART10_HEAD)
        return HILUM_OK;
    (void)begin(upload); /* a refusal is remembered */
    hl_buf_fini(&upload->head);
    return HILUM_OK;
}

const struct hl_part10 *hl_upload_file(const struct hl_upload *upload)
{
    return &upload->file;
}

hilum_rc hl_upload_end(struct hl_upload *upload, struct hl_ingest_result *result)
{
    hilum_rc rc = HILUM_OK;
    if (!upload->has_begun)
        (void)begin(upload);
    hl_buf_fini(&upload->head);
    if (upload->ingest != NULL) {
        rc = hl_ingest_end(upload->ingest, result);
    } else {
        *result = upload->refused;
        rc = result->status == 0 ? HILUM_OK : HILUM_EINVAL;
    }
    upload->ingest = NULL;
    return rc;
}

void hl_upload_free(struct hl_upload *upload)
{
    if (upload == NULL)
        return;
    hl_ingest_abort(upload->ingest);
    hl_buf_fini(&upload->head);
    free(upload);
}
