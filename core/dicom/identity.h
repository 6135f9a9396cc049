/* User Identity Negotiation (PS3.7 D.3.3.7): whom a peer speaks for. A user narrows what the peer may do and never widens
 * it. Knows nothing of contexts. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_DICOM_IDENTITY_H
#define HL_DICOM_IDENTITY_H

#include "core/access/access.h"
#include "core/dicom/ul/ul.h"
#include "core/plugin/plugin.h"

/* A user that was found. */
struct hl_user {
    char name[129];
    struct hl_view *view; /* NULL: no user; hl_view_unref */
};

/* Asks the auth providers that take HILUM_CRED_DIMSE. HILUM_OK: found, or nobody's concern (no identity proposed, no
 * provider, or a bare name that is no account; out->view is NULL then). HILUM_EDENIED: the association is to be
 * rejected: wrong passcode, closed account, or a kind of identity nobody here can check. May take a second. */
hilum_rc hl_identity_check(struct hl_plugins *plugins, const struct hl_config *config,
                           const struct hl_ul_params *params, struct hl_user *out);
/* Does it show a passcode, that may be a guess? */
bool hl_identity_has_passcode(const struct hl_ul_identity *identity);
/* Wipes the passcode: for who does not call hl_identity_check. */
void hl_identity_forget(const struct hl_ul_identity *identity);
/* Does a provider take HILUM_CRED_DIMSE? */
bool hl_identity_is_checked(struct hl_plugins *plugins);

#endif
