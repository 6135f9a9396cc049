/* Negotiation as a function: proposal, peer and policy in, decisions and their reasons out.
 * It knows nothing of sockets, of storage, of what services do. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_DICOM_NEGOTIATE_H
#define HL_DICOM_NEGOTIATE_H

#include "core/access/access.h"
#include "core/dicom/policy.h"
#include "hilum/service.h"

enum { HL_WHY_MAX = 160 };

/* Answers of plugins and of the catalogue; the calls may come from any thread. */
struct hl_services {
    bool (*has)(void *arg, const char *sop_class);
    /* Answer to an extended negotiation item; *n 0: none. */
    hilum_rc (*extended)(void *arg, const char *sop_class, const uint8_t *info, uint64_t length,
                         uint8_t *answer, uint64_t capacity, uint64_t *n);
    /* How many objects of the class could leave in the syntax, as far as is known. */
    uint64_t (*leaving)(void *arg, const char *sop_class, const char *syntax);
    /* Does a provider of accounts take users of DIMSE? NULL: no. */
    bool (*checks_users)(void *arg);
    void *arg;
};

/* Who it is: sets *peer (NULL: unknown but let in) and the principal; or fills reject and why
 * (called title 1/1/7, calling title 1/1/3). The strings of `params` must outlive the principal. */
void hl_negotiate_peer(const struct hl_policy *policy, const struct hl_ul_params *params,
                       struct hl_principal *principal, struct hl_ul_reject *reject,
                       char why[HL_WHY_MAX]);

/* Decides every context, role, extended item and the user identity of a peer that was let in.
 * whys[i] says why context i was refused; "" if it was not. */
void hl_negotiate_contexts(const struct hl_policy *policy, const struct hl_services *services,
                           const struct hl_principal *principal, struct hl_ul_params *params,
                           char (*whys)[HL_WHY_MAX]);

/* The action of hl_allow that stands for asking this SOP class of us ("echo", "store", "find",
 * "move", "get"). Classes of plugins we do not know count as "store": they write. */
const char *hl_negotiate_action(const char *sop_class);

#endif
