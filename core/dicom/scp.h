/* Service class provider: negotiates by peer and policy, answers C-ECHO and C-STORE itself and hands the
 * other SOP classes to `service` plugins.
 *
 * How the folder works together: ul/ has connections and threads, and calls association.c when
 * one is asked for or over and message.c for each message that begins. message.c answers
 * C-ECHO, hands C-STORE to receive.c (and so to the store), and all else to a plugin by
 * services.c, which gives it an exchange (exchange.c): the request's data set, a way to
 * answer, a way to send. inquiry.c tells rules and the audit of queries. The other direction
 * is scu*.c, which shares policy.c (peers, limits) and the upper layer.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_SCP_H
#define HL_SCP_H

#include "core/config/peers.h"
#include "core/dicom/scu.h"
#include "hilum/service.h"

struct hl_scp;
struct hl_plugins; /* core/plugin/plugin.h */
struct hl_trace;   /* core/dicom/trace.h */

struct hl_scp_parts {
    struct hl_store *store;
    struct hl_record *record;
    struct hl_bus *bus;
    struct hl_plugins *plugins;
    struct hl_scu *scu;
    struct hl_trace *trace;           /* outlives the provider */
    const struct hl_studies *studies; /* for grants by study; NULL: those grant nothing */
};
/* Starts the listeners of the configuration. HILUM_EINVAL names the listener and the cause.
 * What `parts` points at outlives the provider. HILUM_ENOMEM; HILUM_EIO and the like of the
 * network. Main thread. */
hilum_rc hl_scp_start(const struct hl_scp_parts *parts, struct hl_config *config,
                      struct hl_scp **out);
/* Peers, limits and certificates for associations from now on; what needs a restart (listen)
 * is said. After a failure everything is as it was. `needs_restart` gets a line for each such
 * key. Any thread, one at a time. */
hilum_rc hl_scp_reload(struct hl_scp *scp, struct hl_config *config, struct hl_buf *needs_restart);
/* First listener as "127.0.0.1:11112" with the bound port. Lives as long as the provider. */
/* Would the certificates of all listeners do? Reads files, opens no socket. HILUM_EINVAL, HILUM_EIO with the reason. */
hilum_rc hl_scp_check(struct hl_config *config);
const char *hl_scp_address(const struct hl_scp *scp);
/* No new associations, up to `ms` for messages in progress, then aborts; what the last associations left
 * to be written is written. Blocks. Status and address are still there. NULL is fine. */
void hl_scp_stop(struct hl_scp *scp, uint32_t ms);
/* After hl_scp_stop, when nobody asks for its status any more. NULL is fine. */
void hl_scp_free(struct hl_scp *scp);

/* Appends one JSON object: address, associations open, busy and connecting, and counts since
 * start. Any thread. */
void hl_scp_status(struct hl_scp *scp, struct hl_buf *json);

/* The table plugins get as host->dicom and what it stands on (struct hl_host_services). */
const struct hilum_dicom_api *hl_dicom_api(void);

#endif
