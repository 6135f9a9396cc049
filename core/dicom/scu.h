/* Service class user: C-ECHO and C-STORE to peers, with associations that are kept and reused.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_SCU_H
#define HL_SCU_H

#include "core/config/peers.h"
#include "core/store/ingest.h"

struct hl_ul_assoc; /* core/dicom/ul/ul.h */
struct hl_trace;    /* core/dicom/trace.h */
struct hl_policy;   /* core/dicom/policy.h */
struct hl_scu;      /* connections to peers; thread-safe */

/* trace outlives it: where each association is remembered, also one that failed. */
hilum_rc hl_scu_new(struct hl_store *store, struct hl_record *record, struct hl_trace *trace,
                    struct hl_scu **out);
/* New certificates, AE title, limits. Kept associations of changed peers are released when idle. */
hilum_rc hl_scu_configure(struct hl_scu *scu, const struct hl_config *config);
/* The policy of now and its number; unref it. NULL when not configured. */
struct hl_policy *hl_scu_policy(struct hl_scu *scu, unsigned *generation);
/* Ends the workers, releases kept associations and frees. No other call may be under way. NULL
 * is fine. */
void hl_scu_free(struct hl_scu *scu);

/* C-ECHO (PS3.7 9.1.5) over an association of its own. *ms (may be NULL): negotiation and echo
 * together. HILUM_EUNSUP: the peer takes no verification; otherwise as hl_ul_open, and HILUM_EIO
 * for another answer. Blocks; any thread. */
hilum_rc hl_scu_echo(struct hl_scu *scu, const struct hl_peer *peer, int64_t *ms);

/* One object to be sent. */
struct hl_send_item {
    int64_t instance_id;
    const struct hl_pack_wish
        *wish; /* the syntax a rule wants it sent in, before the peer's own; NULL */
    /* out */
    hilum_rc rc;      /* HILUM_OK: success or warning; else why not */
    uint16_t status;  /* the peer's; 0 with rc != HILUM_OK: never answered */
    char detail[160]; /* for the job and `explain` */
};
struct hl_send_options {
    int64_t as_of;              /* 0: now */
    const char *originator_aet; /* C-MOVE: Move Originator; NULL */
    uint16_t originator_id;
    unsigned priority;
    /* Associations to share the work, if the peer takes more than one; 0, 1: one. Only the first has to
     * come about. */
    unsigned connections;
    /* After each object (any order), on the calling thread; an error stops after the objects under way. With
     * several connections also with item NULL when none ended for a while: to ask. May be NULL. */
    hilum_rc (*progress)(void *arg, const struct hl_send_item *item);
    void *arg;
    /* hl_scu_store_on only: whose preference of syntaxes holds. May be NULL. */
    const struct hl_peer *preference;
    /* hl_scu_store_on only: set when a C-CANCEL-RQ comes between the responses. May be NULL. */
    bool *is_cancelled;
};
/* Sends the items over one association, proposing each SOP class in the syntaxes its objects may leave in: the
 * peer's transfer_syntaxes, as stored, and what uncompressed objects are converted to. Reuses a kept association that has the contexts. The call fails only when nothing could be tried:
 * no connection, rejected; each item says what became of it. */
hilum_rc hl_scu_store(struct hl_scu *scu, const struct hl_peer *peer, struct hl_send_item *items,
                      size_t n, const struct hl_send_options *options);
/* Sends over an association that is open already (C-GET sub-operations, PS3.4 C.4.3), one after another, each while the next is
 * being opened. *message_id: the last one used, in and out. The result is an error only when the association cannot be used
 * any more; what progress stopped stays as it was. */
hilum_rc hl_scu_store_on(struct hl_ul_assoc *assoc, struct hl_store *store,
                         struct hl_send_item *items, size_t n,
                         const struct hl_send_options *options, uint16_t *message_id);
/* An address that is no peer of the configuration. */
struct hl_scu_target {
    const char *address, *called_aet;
    const char *calling_aet; /* NULL: dicom.aet */
};
/* The body of hilum_host.store_scu: sends Part 10 files to an address over one association. Each object is
 * proposed alone when it does not fit the association at hand. */
hilum_rc hl_scu_store_part10(struct hl_scu *scu, const struct hl_scu_target *target,
                             hilum_rc (*next)(void *arg, const void **part10, uint64_t *n),
                             void *arg, uint64_t *stored);
/* Counts per peer: kept associations, sent, failed. */
void hl_scu_status(struct hl_scu *scu, struct hl_buf *json);

#endif
