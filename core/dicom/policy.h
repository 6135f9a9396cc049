/* What the configuration says to associations, frozen: an association keeps the policy it began
 * with, a reload makes the next one. It knows nothing of sockets. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_DICOM_POLICY_H
#define HL_DICOM_POLICY_H

#include "core/access/view.h"
#include "core/config/peers.h"
#include "core/dicom/ul/ul.h"

/* Immutable but for its reference count; strings belong to `config`. */
struct hl_policy {
    struct hl_config *config;
    struct hl_peers *peers;
    const char *aet;   /* ours towards peers, the first of aets */
    const char **aets; /* titles we answer to */
    size_t n_aets;
    const char **private_classes; /* SOP classes to store beyond the standard's */
    size_t n_private_classes;
    struct hl_view **views;    /* of each peer, in their order; NULL: nothing narrows it */
    bool accept_unknown_peers; /* dicom.unknown_peers = "accept" */
    bool accept_unknown_classes;
    unsigned max_passcode_failures; /* of an address in five minutes */
    unsigned trace;                 /* associations remembered per peer */
    struct hl_ul_limits limits;
};

/* Types a configuration that loaded without faults. HILUM_ENOMEM. May resolve host names. */
hilum_rc hl_policy_new(struct hl_config *config, struct hl_policy **out);
struct hl_policy *hl_policy_ref(struct hl_policy *policy); /* any thread */
void hl_policy_unref(struct hl_policy *policy);            /* NULL is fine */

/* What narrows the peer of that name; NULL: nothing does. Lives as long as the policy. */
const struct hl_view *hl_policy_view(const struct hl_policy *policy, const struct hl_peer *peer);

bool hl_policy_is_our_aet(const struct hl_policy *policy, const char *aet);

/* The TLS of an entry of dicom.listen, NULL for a plain one. HILUM_EINVAL, HILUM_EIO. */
hilum_rc hl_policy_listener_tls(const struct hl_policy *policy, const struct hl_node *listener,
                                struct hl_ul_tls **out);

#endif
