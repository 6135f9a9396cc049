/* C-ECHO, C-FIND, C-MOVE, C-GET and N-services to others, for plugins (hilum/scu.h): one association a call.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_DICOM_SCU_QUERY_H
#define HL_DICOM_SCU_QUERY_H

#include "core/access/access.h"
#include "core/dicom/scu.h"
#include "hilum/scu.h"

/* Who asks whom. */
struct hl_query_call {
    struct hl_scu *scu;
    const struct hl_peer *peer; /* of the configuration, or made for an address */
    struct hl_principal
        sender; /* C-GET: the peer, as it would be if it stored what comes back; zero: it may nothing */
    uint32_t wait_ms; /* for the next message; after a C-CANCEL, for the end */
};

/* A peer that is no one's in the configuration. `host` (256 bytes) holds its text as long as it is used. HILUM_EINVAL. */
hilum_rc hl_query_peer(const char *address, const char *called_aet, char *host,
                       struct hl_peer *out);

/* As hilum_scu_api says, which is where errors and statuses are told; each opens an association, waits in the calling
 * thread and ends it. Any thread; `call` and all it names are borrowed for the call. An identifier stays the caller's.
 * C-FIND (PS3.7 9.1.2): an error of each() sends C-CANCEL and is returned when the peer has ended, or wait_ms later. */
hilum_rc hl_query_find(const struct hl_query_call *call, const char *sop_class,
                       hilum_dataset *identifier,
                       hilum_rc (*each)(void *arg, hilum_dataset *answer), void *arg,
                       uint16_t *status);
/* C-MOVE and C-GET (PS3.7 9.1.3, 9.1.4). */
struct hl_query_retrieve {
    const char *sop_class;
    const char *destination;        /* NULL: a C-GET */
    const char *const *sop_classes; /* C-GET: what we offer to store; NULL: the usual ones */
    hilum_send_cb progress;         /* may be NULL; an error of it sends C-CANCEL */
    void *arg;
    struct hilum_suboperations *total; /* the counts told last; zeroed first */
};
hilum_rc hl_query_retrieve(const struct hl_query_call *call,
                           const struct hl_query_retrieve *retrieve, hilum_dataset *identifier,
                           uint16_t *status);
/* An N-service (PS3.7 10.1). answer->data, if any, is the caller's to free, on success only. */
hilum_rc hl_query_request(const struct hl_query_call *call,
                          const struct hilum_dimse_request *request, hilum_dataset *data,
                          struct hilum_scu_answer *answer);

#endif
