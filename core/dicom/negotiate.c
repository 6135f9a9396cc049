/* Who may associate, which contexts he gets and in which syntax (PS3.8 7.1, PS3.7 D.3).
 *
 * Pure but for what `services` asks of plugins and of the catalogue: same proposal, peer and
 * policy, same decision. It runs on a control thread and may block there.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/dicom/negotiate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/dicom/uid.h"

/* Application information that fits any answer the standard defines, with room to spare. */
enum { EXTENDED_MAX = 256 };
enum { REJECTED_PERMANENT = 1, BY_USER = 1, CALLING_NOT_RECOGNIZED = 3, CALLED_NOT_RECOGNIZED = 7 };

/* ---- peers ------------------------------------------------------------------------------------
 */

/* Permanently, by the service user (PS3.8 9.3.4): a peer that is not known now is not known in a
 * minute. */
static void refuse(struct hl_ul_reject *reject, uint8_t reason)
{
    *reject = (struct hl_ul_reject){REJECTED_PERMANENT, BY_USER, reason};
}

void hl_negotiate_peer(const struct hl_policy *policy, const struct hl_ul_params *params,
                       struct hl_principal *principal, struct hl_ul_reject *reject,
                       char why[HL_WHY_MAX])
{
    struct hl_peer_claim claim = {.address = params->address,
                                  .calling_aet = params->calling_aet,
                                  .called_aet = params->called_aet,
                                  .certificate_sha256 = params->certificate_sha256,
                                  .certificate_subject = params->certificate_subject,
                                  .certificate_names = params->certificate_names};
    *principal = (struct hl_principal){.kind = HL_PRINCIPAL_PEER,
                                       .address = params->address,
                                       .aet = params->calling_aet,
                                       .accept_unknown = policy->accept_unknown_peers};
    why[0] = 0;
    if (!hl_policy_is_our_aet(policy, params->called_aet)) {
        snprintf(why, HL_WHY_MAX, "called AE title \"%s\" is none of ours (dicom.aet, dicom.aets)",
                 params->called_aet);
        refuse(reject, CALLED_NOT_RECOGNIZED);
        return;
    }
    principal->peer = hl_peers_match(policy->peers, &claim, why, HL_WHY_MAX);
    principal->view = hl_policy_view(policy, principal->peer);
    if (!principal->peer && !policy->accept_unknown_peers)
        refuse(reject, CALLING_NOT_RECOGNIZED);
    else
        why[0] = 0;
}

/* ---- what a SOP class asks for ----------------------------------------------------------------
 */

static const struct {
    const char *sop_class, *action;
} actions[] = {
    {HL_UID_VERIFICATION, "echo"},          {HL_UID_PATIENT_ROOT_FIND, "find"},
    {HL_UID_STUDY_ROOT_FIND, "find"},       {HL_UID_MODALITY_WORKLIST_FIND, "find"},
    {HL_UID_PATIENT_ROOT_MOVE, "move"},     {HL_UID_STUDY_ROOT_MOVE, "move"},
    {HL_UID_PATIENT_ROOT_GET, "get"},       {HL_UID_STUDY_ROOT_GET, "get"},
    {HL_UID_INSTANCE_AVAILABILITY, "find"},
};

const char *hl_negotiate_action(const char *sop_class)
{
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
        if (!strcmp(actions[i].sop_class, sop_class))
            return actions[i].action;
    return "store";
}

/* Storage by the standard, or by name in the configuration. */
static bool is_stored(const struct hl_policy *policy, const char *sop_class)
{
    if (hl_uid_is_storage(sop_class))
        return true;
    for (size_t i = 0; i < policy->n_private_classes; i++)
        if (!strcmp(policy->private_classes[i], sop_class))
            return true;
    return false;
}

/* Nothing the standard gives another meaning may be stored because unknown classes are. */
static bool is_unknown_class(const char *sop_class)
{
    return hl_uid_is_valid(sop_class) && !strcmp(hl_uid_name(sop_class), sop_class);
}

/* ---- transfer syntaxes ------------------------------------------------------------------------
 */

static bool is_plain(const char *uid)
{
    const struct hl_syntax *syntax = hl_uid_syntax(uid);
    return syntax && !(syntax->flags & (HL_SYNTAX_ENCAPSULATED | HL_SYNTAX_VIDEO |
                                        HL_SYNTAX_REFERENCED | HL_SYNTAX_PRIVATE));
}

/* wanted: a UID or, from the configuration, a keyword of PS3.6. */
static bool choose(struct hl_ul_context *context, const char *wanted)
{
    for (size_t i = 0; i < context->n_transfer_syntaxes; i++) {
        const char *uid = context->transfer_syntaxes[i];
        if (strcmp(uid, wanted) && strcmp(hl_uid_name(uid), wanted))
            continue;
        snprintf(context->transfer_syntax, HL_UID_MAX, "%s", uid);
        return true;
    }
    return false;
}

/* What keeps most of a data set: VRs, then size, then what every tool can read. */
static bool choose_plain(struct hl_ul_context *context)
{
    static const char *const order[] = {HL_UID_EXPLICIT_LITTLE_ENDIAN,
                                        HL_UID_DEFLATED_LITTLE_ENDIAN, HL_UID_EXPLICIT_BIG_ENDIAN,
                                        HL_UID_IMPLICIT_LITTLE_ENDIAN};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++)
        if (choose(context, order[i]))
            return true;
    return false;
}

static bool all_plain(const struct hl_ul_context *context)
{
    for (size_t i = 0; i < context->n_transfer_syntaxes; i++)
        if (!is_plain(context->transfer_syntaxes[i]))
            return false;
    return true;
}

/* The first of the peer's list that is proposed. */
static bool choose_listed(const struct hl_peer *peer, struct hl_ul_context *context)
{
    for (size_t i = 0; peer && i < peer->n_transfer_syntaxes; i++)
        if (choose(context, peer->transfer_syntaxes[i]))
            return true;
    return false;
}

/* The order of a proposal is the sender's preference, and a compressed syntax in it means that the
 * object is compressed: choosing another would make the sender decompress. */
static void choose_for_storage(struct hl_ul_context *context)
{
    if (!all_plain(context) || !choose_plain(context))
        (void)choose(context, context->transfer_syntaxes[0]);
}

static bool choose_for_messages(struct hl_ul_context *context)
{
    return choose(context, HL_UID_EXPLICIT_LITTLE_ENDIAN) ||
           choose(context, HL_UID_IMPLICIT_LITTLE_ENDIAN) || choose_plain(context);
}

/* For objects we send over it (C-GET): one context carries one syntax, so the one most objects can leave in. Where
 * nothing is known, or nothing differs, a compressed one beside a plain one is what the peer could take, not what
 * is here. */
static void choose_for_sending(const struct hl_services *services, struct hl_ul_context *context)
{
    const char *sop_class = context->abstract_syntax;
    if (!choose_for_messages(context))
        (void)choose(context, context->transfer_syntaxes[0]);
    uint64_t most = services->leaving(services->arg, sop_class, context->transfer_syntax);
    for (size_t i = 0; i < context->n_transfer_syntaxes; i++) {
        const char *proposed = context->transfer_syntaxes[i];
        uint64_t n = services->leaving(services->arg, sop_class, proposed);
        if (n > most) {
            most = n;
            (void)choose(context, proposed);
        }
    }
}

/* ---- contexts ---------------------------------------------------------------------------------
 */

/* What every decision of one proposal needs. */
struct asking {
    const struct hl_policy *policy;
    const struct hl_services *services;
    const struct hl_principal *principal;
};

static void refuse_context(struct hl_ul_context *context, uint8_t result, const char *reason,
                           char why[HL_WHY_MAX])
{
    context->result = result;
    context->scu_role = context->scp_role = false;
    snprintf(why, HL_WHY_MAX, "%s", reason);
}

/* The reason of a refusal is left in hl_error() and told to the trace. */
static bool may(const struct asking *asking, const char *action)
{
    return hl_allow(asking->principal, action, NULL) == HILUM_OK;
}

/* Roles of a storage class: as SCU the requestor stores here, as SCP it gets objects by C-GET
 * (PS3.4 C.5.3). Without a role item it is the SCU. */
static void decide_storage(const struct asking *asking, struct hl_ul_context *context,
                           char why[HL_WHY_MAX])
{
    bool as_scu = (!context->has_roles || context->scu_role) && may(asking, "store");
    bool as_scp = context->has_roles && context->scp_role && may(asking, "get");
    if (!as_scu && !as_scp) {
        refuse_context(context, HL_UL_USER_REJECTION, hl_error(), why);
        return;
    }
    const struct hl_peer *peer = asking->principal->peer;
    bool is_listed = choose_listed(peer, context);
    if (!is_listed && peer && peer->only_listed_syntaxes) {
        refuse_context(context, HL_UL_TRANSFER_SYNTAXES_NOT_SUPPORTED,
                       "none of its transfer_syntaxes was proposed (transfer_syntaxes_only)", why);
        return;
    }
    context->scu_role = as_scu;
    context->scp_role = as_scp;
    context->result = HL_UL_ACCEPTED;
    if (!is_listed && as_scu)
        choose_for_storage(context);
    else if (!is_listed)
        choose_for_sending(asking->services, context);
}

/* Services of plugins and verification. Compressed syntaxes are refused: there are no pixels in
 * a message. */
static void decide_service(const struct asking *asking, struct hl_ul_context *context,
                           char why[HL_WHY_MAX])
{
    if (context->has_roles && !context->scu_role) {
        refuse_context(context, HL_UL_USER_REJECTION, "as SCU we do not use this service", why);
        return;
    }
    if (!may(asking, hl_negotiate_action(context->abstract_syntax))) {
        refuse_context(context, HL_UL_USER_REJECTION, hl_error(), why);
        return;
    }
    if (!choose_for_messages(context)) {
        refuse_context(context, HL_UL_TRANSFER_SYNTAXES_NOT_SUPPORTED,
                       "only compressed transfer syntaxes for a service without pixels", why);
        return;
    }
    context->scp_role = false;
    context->result = HL_UL_ACCEPTED;
}

/* Every context is decided here or refused: nothing is accepted for want of a rule. */
static void decide(const struct asking *asking, struct hl_ul_context *context, char why[HL_WHY_MAX])
{
    const char *sop_class = context->abstract_syntax;
    const struct hl_services *services = asking->services;
    why[0] = 0;
    context->transfer_syntax[0] = 0;
    if (!context->n_transfer_syntaxes)
        refuse_context(context, HL_UL_TRANSFER_SYNTAXES_NOT_SUPPORTED,
                       "no transfer syntax was proposed", why);
    else if (!strcmp(sop_class, HL_UID_VERIFICATION) || services->has(services->arg, sop_class))
        decide_service(asking, context, why);
    else if (is_stored(asking->policy, sop_class) ||
             (asking->policy->accept_unknown_classes && is_unknown_class(sop_class)))
        decide_storage(asking, context, why);
    else
        refuse_context(context, HL_UL_ABSTRACT_SYNTAX_NOT_SUPPORTED,
                       is_unknown_class(sop_class) ? "unknown SOP class (dicom.private_sop_classes)"
                                                   : "no plugin serves this SOP class",
                       why);
}

/* ---- the rest of the proposal -----------------------------------------------------------------
 */

/* Level 2 (Full) storage, no statement on signatures, no coercion (PS3.4 B.3.1). */
static const uint8_t full_storage[6] = {2, 0, 0, 0, 0, 0};

static void answer_extended(const struct hl_policy *policy, const struct hl_services *services,
                            struct hl_ul_extended *item)
{
    uint8_t answer[EXTENDED_MAX];
    uint64_t n = 0;
    if (services->has(services->arg, item->sop_class)) {
        if (services->extended(services->arg, item->sop_class, item->info, item->length, answer,
                               sizeof answer, &n))
            n = 0;
    } else if (is_stored(policy, item->sop_class)) {
        memcpy(answer, full_storage, sizeof full_storage);
        n = sizeof full_storage;
    }
    uint8_t *copy = n && n <= sizeof answer ? malloc(n) : NULL;
    if (!copy)
        return;
    memcpy(copy, answer, n);
    free(item->info);
    item->info = copy;
    item->length = (uint16_t)n;
    item->is_accepted = true;
}

/* Who was found is confirmed; without a provider of accounts a user name is taken as told, since peers, not users, are let
 * in then. Of what nobody checked (an unknown name, Kerberos, SAML, JWT) no positive answer is given (PS3.7 D.3.3.7.1). */
static void answer_identity(const struct hl_services *services, const struct hl_principal *who,
                            struct hl_ul_identity *identity)
{
    enum { USER_NAME = 1, USER_NAME_AND_PASSCODE = 2 };
    if (!identity->wants_response ||
        (identity->type != USER_NAME && identity->type != USER_NAME_AND_PASSCODE) ||
        (!who->user && services->checks_users && services->checks_users(services->arg)))
        return;
    identity->response = calloc(1, 1); /* the answer to both types is empty */
    identity->response_length = 0;
}

void hl_negotiate_contexts(const struct hl_policy *policy, const struct hl_services *services,
                           const struct hl_principal *principal, struct hl_ul_params *params,
                           char (*whys)[HL_WHY_MAX])
{
    struct asking asking = {policy, services, principal};
    for (size_t i = 0; i < params->n_contexts; i++)
        decide(&asking, &params->contexts[i], whys[i]);
    for (size_t i = 0; i < params->n_extended; i++)
        answer_extended(policy, services, &params->extended[i]);
    answer_identity(services, principal, &params->identity);
}
