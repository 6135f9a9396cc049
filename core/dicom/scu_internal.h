/* What the files of the service class user share: connections, what they carry, one object's sending.
 * Included by core/dicom and its tests only.
 *
 * From the outside in: hl_scu_store (scu.c) cuts what is to be sent into batches whose
 * contexts fit into one association (scu_syntax.c), gets a link for each (scu_link.c: kept or
 * new), and sends object by object on it (scu_send.c). scu_shared.c lets several links do that
 * at once; scu_query.c uses links for questions; scu_part10.c sends what is no object of ours.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_DICOM_SCU_INTERNAL_H
#define HL_DICOM_SCU_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/dicom/dimse.h"
#include "core/dicom/policy.h"
#include "core/dicom/scu.h"

enum { HL_PAIRS_MAX = 128 }; /* presentation contexts of one association (PS3.8 7.1.1.13) */

/* Syntaxes an object stored in one may go to a peer in, best first: what a rule wishes, those of the peer's list, the
 * stored one, the uncompressed ones, to which compressed images are decoded. n_alone: how many of them deserve a
 * context each. */
enum { HL_CANDIDATES_MAX = 16 };
struct hl_candidates {
    const char *syntaxes[HL_CANDIDATES_MAX]; /* `stored`, the peer's, or static */
    size_t n, n_alone;
};
/* peer and wish (UID, "" likewise) may be NULL. n 0: only listed syntaxes, and it cannot become one of them. */
void hl_candidates(const struct hl_peer *peer, const char *wish, const char *stored,
                   struct hl_candidates *out);
/* What nobody asked for and every image can be encoded to, for a requestor of C-GET that takes nothing else: appended. */
void hl_candidates_last(const char *stored, struct hl_candidates *out);

/* A SOP class in the syntax it is stored in, and one it is wished in; "": none. */
struct hl_pair {
    char sop_class[HL_UID_MAX], syntax[HL_UID_MAX], wish[HL_UID_MAX];
};
struct hl_pairs {
    const struct hl_peer *peer; /* whose preference holds; NULL: none */
    bool is_exact;              /* propose nothing but the pairs */
    size_t n_contexts;          /* they come to, at most */
    size_t n;
    struct hl_pair items[HL_PAIRS_MAX];
};
/* Adds it unless it is there. false: full. */
bool hl_pairs_add(struct hl_pairs *pairs, const char *sop_class, const char *syntax,
                  const char *wish);
void hl_pairs_clear(struct hl_pairs *pairs);

/* The contexts for pairs. Zeroed before hl_propose. */
struct hl_proposal {
    struct hl_ul_params params;
    struct hl_ul_context contexts[HL_PAIRS_MAX];
    char syntaxes[HL_PAIRS_MAX][HL_CANDIDATES_MAX][HL_UID_MAX];
};
void hl_propose(const struct hl_pairs *pairs, struct hl_proposal *proposal);

/* An association to a peer. Used by one thread at a time. Owned by whoever got it; in
 * scu->kept it is the list's, under the lock. */
struct hl_link {
    struct hl_link *next;
    struct hl_ul_assoc *ul;
    char peer[64];
    unsigned generation; /* of the configuration it was opened under */
    int64_t idle_until;  /* monotonic ms, while kept */
    uint16_t last_message_id;
    unsigned answered;     /* requests */
    struct hl_pair *pairs; /* it was opened with */
    size_t n_pairs;
    struct hl_trace *trace;
    uint64_t traced; /* its number there */
    bool is_reused;  /* it was kept: the peer may have gone meanwhile */
};

struct hl_opening; /* scu_link.c */
struct hl_scu {
    struct hl_store *store;
    struct hl_record *record;
    struct hl_trace *trace;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t wake;  /* of the reaper */
    pthread_t reaper;
    bool is_stopping;
    struct hl_policy *policy; /* NULL until configured */
    unsigned generation;
    struct hl_link *kept;
    struct hl_opening *opening; /* associations being asked for */
    struct hl_peer_sent *sent;
    struct hl_scu_tls *tls; /* contexts by peer */
    struct hl_pool *pool;   /* workers of shared sendings; not under the lock */
};

/* Counts for the status. */
void hl_scu_count(struct hl_scu *scu, const char *peer, bool is_sent);

/* An association on which all pairs were proposed: a kept one, or (fresh, or none kept) a new one. */
hilum_rc hl_link_get(struct hl_scu *scu, const struct hl_peer *peer, const struct hl_pairs *pairs,
                     bool fresh, struct hl_link **out);
/* A new one with contexts of the caller's own; it is never kept: release or drop it. */
hilum_rc hl_link_open(struct hl_scu *scu, const struct hl_peer *peer, struct hl_proposal *proposal,
                      struct hl_link **out);
/* Keeps it for the peer's idle time, or releases it. */
void hl_link_put(struct hl_scu *scu, const struct hl_peer *peer, struct hl_link *link);
/* Were all pairs proposed on it? */
bool hl_link_covers(const struct hl_link *link, const struct hl_pairs *pairs);
/* Releases it, without keeping. */
void hl_link_release(struct hl_link *link);
/* Aborts it: something went wrong in the middle; `why` is for the trace, which prefers what the upper layer knows. */
void hl_link_drop(struct hl_link *link, const char *why);
/* Starts and ends the thread that releases links kept too long; the end releases all. */
hilum_rc hl_link_start(struct hl_scu *scu);
void hl_link_stop(struct hl_scu *scu);
/* Forgets TLS contexts, releases what was kept under an older configuration. Lock held. */
void hl_link_forget(struct hl_scu *scu);

/* hl_scu_store over *link (NULL: none yet), which is left open for more if it is sound. Progress is called on
 * this thread. */
hilum_rc hl_scu_store_over(struct hl_scu *scu, const struct hl_peer *peer,
                           struct hl_send_item *items, size_t n,
                           const struct hl_send_options *options, struct hl_link **link);
/* hl_scu_store with options->connections > 1. */
hilum_rc hl_scu_store_shared(struct hl_scu *scu, const struct hl_peer *peer,
                             struct hl_send_item *items, size_t n,
                             const struct hl_send_options *options);

/* The next object, opened while the peer still answers for the one before: its rows, its pages and its digest cost nobody's
 * time then. Lives in whoever sends several, who ends with hl_ahead_drop. */
struct hl_ahead {
    struct hl_outgoing *outgoing; /* NULL: none */
    int64_t instance_id;
    hilum_rc rc; /* of its digest */
    char why[160];
};
void hl_ahead_drop(struct hl_ahead *ahead);

/* One C-STORE on an open association. */
struct hl_sending {
    struct hl_ul_assoc *ul;
    const char *peer;                 /* for messages */
    const struct hl_peer *preference; /* of syntaxes; NULL: none */
    bool by_get;                      /* we are the acceptor and send as SCU by role selection */
    uint16_t message_id;
    const struct hl_send_options *options; /* may be NULL */
    struct hl_ahead *ahead;                /* NULL: nothing is opened ahead */
    const struct hl_send_item *next;       /* what to open; NULL: none */
};
/* The accepted context for what is to be sent, NULL with the reason in hl_error(). */
const struct hl_ul_context *hl_sending_context(const struct hl_sending *sending,
                                               const char *sop_class, const char *syntax);
/* Sends a stored object. The item's fields say what became of it; the result is an error only when the
 * association cannot be used any more. */
hilum_rc hl_sending_object(const struct hl_sending *sending, struct hl_store *store,
                           struct hl_send_item *item);
/* The C-STORE-RQ, and the answer to it. HILUM_OK: *status is the peer's. */
hilum_rc hl_sending_request(const struct hl_sending *sending, const struct hl_ul_context *context,
                            const char *sop_class, const char *sop_instance);
hilum_rc hl_sending_answer(const struct hl_sending *sending, struct hl_dimse *response);

/* A C-STORE status as a result: success and warnings are HILUM_OK. */
hilum_rc hl_store_rc(uint16_t status);

#endif
