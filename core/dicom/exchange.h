/* A request in the hands of a plugin: the body of hilum_exchange. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_DICOM_EXCHANGE_H
#define HL_DICOM_EXCHANGE_H

#include "core/dicom/scp_internal.h"
#include "hilum/service.h"

/* Reads the request's data set off the wire (a longer one than 16 MiB is read and forgotten). Fails only when
 * the association is over. The request must outlive the exchange. */
hilum_rc hl_exchange_open(const struct hl_request *request, hilum_exchange **out);
/* Frees it and what the plugin borrowed from it. The association stays. */
void hl_exchange_close(hilum_exchange *exchange);
/* Was the identifier taken whole? HILUM_EFULL, HILUM_ENOMEM: it was dropped, and is to be answered so. */
hilum_rc hl_exchange_check(const hilum_exchange *exchange);
/* Has the final response been sent? */
bool hl_exchange_is_answered(const hilum_exchange *exchange);
/* Did the association end under it? */
bool hl_exchange_is_over(const hilum_exchange *exchange);

/* What has been answered so far. Borrowed. */
struct hl_exchange_tally {
    uint64_t answers; /* pending responses with a data set */
    uint16_t status;  /* of the final response */
    struct hilum_suboperations
        counts; /* of the last response, or of what was sent when there was none */
};
const struct hl_exchange_tally *hl_exchange_tally(const hilum_exchange *exchange);
/* The number under which the failures of a retrieval are explained; "" if there were none. Borrowed. */
const char *hl_exchange_reference(const hilum_exchange *exchange);

#endif
