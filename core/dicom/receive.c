/* One object off the wire into the store. It knows nothing of who asked for the association.
 *
 * One thread, the association's: bytes go from the PDU to the store without a copy in between,
 * and the peer is slowed down by TCP where the store is slow.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/dicom/receive.h"

static hilum_rc feed(void *arg, const void *bytes, size_t n)
{
    /* Its error is kept by the ingest and comes out at the end; the wire goes on in step. */
    (void)hl_ingest_data(arg, bytes, n);
    return HILUM_OK;
}

/* Asked once the head of the object has been read. */
static hilum_rc study_may(void *arg, const char *study_uid)
{
    const struct hl_resource about = {.study_uid = study_uid};
    return hl_allow(arg, "store", &about);
}

/* The status comes from the ingest, which knows whether the object is durable: nothing here
 * turns a failure into a success. */
static hilum_rc answer(struct hl_ul_assoc *ul, const struct hl_dimse *command,
                       const struct hl_ingest_result *result)
{
    struct hl_dimse response = hl_dimse_response(command, result->status);
    response.offending[0] = result->offending;
    hl_dimse_set_comment(&response, result->comment);
    return hl_dimse_write(ul, &response, NULL, 0);
}

/* An ingest that could not begin leaves its status in `result`; the object is then read and dropped. */
hilum_rc hl_receive_object(struct hl_ul_assoc *ul, struct hl_store *store,
                           const struct hl_principal *sender, struct hl_ingest_source *source,
                           const struct hl_dimse *command)
{
    struct hl_ingest_result result = {0};
    struct hl_ingest *ingest = NULL;
    /* Who may store at all was asked at negotiation and by message.c; which study it is for
     * only the data set tells. */
    source->may = study_may;
    source->may_arg = (void *)(uintptr_t)sender;
    (void)hl_ingest_begin(store, source, command->sop_class, command->sop_instance,
                          hl_ul_context(ul, command->context_id)->transfer_syntax, &ingest,
                          &result);
    hilum_rc rc = hl_dimse_read_dataset(ul, command, ingest ? feed : NULL, ingest);
    if (rc && ingest)
        hl_ingest_abort(ingest);
    else if (ingest)
        (void)hl_ingest_end(ingest, &result);
    return rc ? rc : answer(ul, command, &result);
}
