/* DIMSE messages on an association: command set and data set as fragments (PS3.7 6.3, PS3.8 annex
 * E). It knows nothing of what a message asks for. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "core/base/error.h"
#include "core/dicom/dimse.h"

/* A command set is some hundred bytes; lists of tags make the longest. */
enum { COMMAND_MAX = 64 * 1024 };

/* All fragments of a command come on one context (PS3.8 E.1); a data set instead means that the
 * peer and we count messages differently, which only an abort ends. */
static hilum_rc read_command(struct hl_ul_assoc *assoc, struct hl_buf *bytes, uint8_t *context_id)
{
    struct hl_ul_pdv piece = {0};
    bool is_first = true;
    do {
        hilum_rc rc = hl_ul_read(assoc, &piece);
        if (rc)
            return rc;
        if (!piece.is_command)
            return hl_fail(HILUM_EINVAL, "data set on context %u where a command was due",
                           piece.context_id);
        if (!is_first && piece.context_id != *context_id)
            return hl_fail(HILUM_EINVAL, "command set on contexts %u and %u", *context_id,
                           piece.context_id);
        if (piece.length > COMMAND_MAX - bytes->len)
            return hl_fail(HILUM_EINVAL, "command set longer than %d bytes", COMMAND_MAX);
        *context_id = piece.context_id;
        is_first = false;
        hl_buf_add(bytes, piece.data, piece.length);
    } while (!piece.is_last);
    return bytes->failed ? hl_fail(HILUM_ENOMEM, "command set: out of memory") : HILUM_OK;
}

hilum_rc hl_dimse_read(struct hl_ul_assoc *assoc, struct hl_dimse *out)
{
    struct hl_buf bytes = {0};
    uint8_t context_id = 0;
    hilum_rc rc = read_command(assoc, &bytes, &context_id);
    if (!rc)
        rc = hl_dimse_parse((const uint8_t *)bytes.data, bytes.len, out);
    if (!rc)
        out->context_id = context_id;
    hl_buf_fini(&bytes);
    return rc;
}

/* A failure of the wire returns at once, one of `each` at the end: only in the second case is
 * the association still in step. */
hilum_rc hl_dimse_read_dataset(struct hl_ul_assoc *assoc, const struct hl_dimse *command,
                               hilum_rc (*each)(void *arg, const void *bytes, size_t n), void *arg)
{
    struct hl_ul_pdv piece = {0};
    hilum_rc result = HILUM_OK;
    do {
        hilum_rc rc = hl_ul_read(assoc, &piece);
        if (rc)
            return rc;
        if (piece.is_command || piece.context_id != command->context_id)
            return hl_fail(HILUM_EINVAL, "%s on context %u inside the data set of context %u",
                           piece.is_command ? "command" : "data set", piece.context_id,
                           command->context_id);
        if (!result && each && piece.length)
            result = each(arg, piece.data, piece.length);
    } while (!piece.is_last);
    return result;
}

/* A data set of no bytes (dataset not NULL, n 0) is one: an empty last fragment is sent for it. */
hilum_rc hl_dimse_write(struct hl_ul_assoc *assoc, const struct hl_dimse *message,
                        const void *dataset, size_t n)
{
    struct hl_dimse copy = *message;
    if (dataset)
        copy.has_dataset = true;
    struct hl_buf bytes = {0};
    hl_dimse_encode(&copy, &bytes);
    hilum_rc rc;
    if (bytes.failed)
        rc = hl_fail(HILUM_ENOMEM, "command set: out of memory");
    else if (copy.has_dataset)
        /* Held back until the data set comes: one packet instead of two. */
        rc = hl_ul_write_command(assoc, message->context_id, bytes.data, bytes.len);
    else
        rc = hl_ul_write(assoc, message->context_id, true, bytes.data, bytes.len, true);
    hl_buf_fini(&bytes);
    if (!rc && dataset)
        rc = hl_ul_write(assoc, message->context_id, false, dataset, n, true);
    return rc;
}
