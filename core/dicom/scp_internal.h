/* What the files of the service class provider share. Included by core/dicom and its tests only.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_DICOM_SCP_INTERNAL_H
#define HL_DICOM_SCP_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/base/pool.h"
#include "core/dicom/dimse.h"
#include "core/dicom/holdings.h"
#include "core/dicom/identity.h"
#include "core/dicom/negotiate.h"
#include "core/dicom/scp.h"
#include "core/dicom/failures.h"
#include "core/dicom/trace.h"

/* Open associations of one peer, for its own limit. */
struct hl_peer_count {
    struct hl_peer_count *next;
    char name[64];
    uint32_t open;
};

struct hl_scp {
    struct hl_scp_parts parts;
    struct hl_services services;
    struct hl_ul_server *server; /* NULL once stopped */
    pthread_mutex_t server_lock; /* so that it is not counted while it is stopped */
    struct hl_holdings *holdings;
    pthread_mutex_t lock; /* of policy and counts */
    struct hl_policy *policy;
    struct hl_policy *started; /* whose addresses we listen at, whatever is reloaded */
    struct hl_peer_count *counts;
    char address[80];
    struct hl_failures failures; /* wrong passcodes */
    atomic_ullong associations, rejected, messages;
    atomic_ullong identifiers; /* bytes of large ones in flight */
    struct hl_pool *after;     /* writes what is recorded of a request once it is answered */
};

/* The policy of now; unref it. */
struct hl_policy *hl_scp_policy(struct hl_scp *scp);

/* An accepted association: `user` of the upper layer's handler. */
struct hl_assoc {
    struct hl_scp *scp;
    struct hl_policy *policy;
    struct hl_principal
        principal;       /* its strings are the policy's, the upper layer's and the user's */
    struct hl_user user; /* whom the peer speaks for; view NULL: nobody */
    uint64_t trace;      /* number in scp->trace */
    unsigned messages;
    uint16_t next_message_id; /* of C-STOREs we send on it (C-GET) */
};

/* Handler of the upper layer: ctx is the hl_scp, user the hl_assoc. */
void hl_assoc_negotiate(void *ctx, struct hl_ul_assoc *ul, struct hl_ul_params *params,
                        struct hl_ul_reject *reject, void **user);
void hl_assoc_closed(void *ctx, struct hl_ul_assoc *ul, void *user, const char *why);
void hl_assoc_refused(void *ctx, const char *address, const char *why);
hilum_rc hl_assoc_message(void *ctx, struct hl_ul_assoc *ul, void *user);

/* One request being dealt with. */
struct hl_request {
    struct hl_assoc *on;
    struct hl_ul_assoc *ul;
    const struct hl_ul_context *context;
    struct hl_dimse command;
};
/* Sends the final response to a request without data set. comment: ASCII, cut to 64; may be NULL. */
hilum_rc hl_request_answer(const struct hl_request *request, uint16_t status, const char *comment);
/* Reads the request's data set, if it has one, off the wire and forgets it. */
hilum_rc hl_request_skip(const struct hl_request *request);

/* hl_record_refusal for the peer of a request. */
hilum_rc hl_request_refusal(const struct hl_request *request, const char *kind, const char *what,
                            const char *why, char reference[16]);

/* services.c: look-up of plugins for negotiation. */
void hl_scp_services(struct hl_scp *scp);

hilum_rc hl_request_service(const struct hl_request *request); /* what plugins serve */

#endif
