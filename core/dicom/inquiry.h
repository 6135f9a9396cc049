/* What rules and the audit record hear of queries and retrievals. It knows nothing of matching and sending.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_DICOM_INQUIRY_H
#define HL_DICOM_INQUIRY_H

#include "core/base/pool.h"
#include "core/dicom/exchange.h"

/* Asks the hooks of query.received or retrieve.requested about a C-FIND, C-MOVE or C-GET. true: go on. false: a hook
 * did not let it pass and the final response has been sent, or the association is over. Any other command goes on. */
bool hl_inquiry_begin(hilum_exchange *exchange, const struct hl_request *request);
/* When the final response has been sent or the association is over: the audit row, and query.answered or
 * retrieve.done where a hook waits for it. They are written by scp->after, so that the peer's next request does not
 * wait for a flush; what a crash leaves unwritten is lost. */
void hl_inquiry_end(hilum_exchange *exchange, const struct hl_request *request);

#endif
