/* DCMTK's network layer (ASC_*, DUL_*) as one side. SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/ul/side.h"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmnet/assoc.h>
#include <dcmtk/dcmnet/dcuserid.h>
#include <dcmtk/dcmnet/dul.h>
#include <dcmtk/dcmnet/extneg.h>
#include <dcmtk/oflog/oflog.h>

#include <arpa/inet.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

namespace
{

/* ul.h has functions of these names. */
using ul_context = struct hl_ul_context;
using ul_params = struct hl_ul_params;

enum { TIMEOUT_S = 10, PORT_TRIES = 20 };

/* ---- facts: DCMTK's structures and ours -------------------------------------------------------
 */

template <size_t N> void copy_text(char (&out)[N], const char *text)
{
    snprintf(out, N, "%s", text);
}

uint8_t *copy_bytes(const void *bytes, size_t n)
{
    auto *copy = static_cast<uint8_t *>(calloc(1, n + 1));
    if (n)
        memcpy(copy, bytes, n);
    return copy;
}

T_ASC_SC_ROLE role_of(const ul_context &context)
{
    if (!context.has_roles)
        return ASC_SC_ROLE_DEFAULT;
    if (context.scu_role)
        return context.scp_role ? ASC_SC_ROLE_SCUSCP : ASC_SC_ROLE_SCU;
    return context.scp_role ? ASC_SC_ROLE_SCP : ASC_SC_ROLE_NONE;
}

void take_role(T_ASC_SC_ROLE role, ul_context &context)
{
    context.has_roles = role != ASC_SC_ROLE_DEFAULT;
    context.scu_role = role != ASC_SC_ROLE_SCP && role != ASC_SC_ROLE_NONE;
    context.scp_role = role == ASC_SC_ROLE_SCP || role == ASC_SC_ROLE_SCUSCP;
}

/* DCMTK's acceptor states what it supports and DCMTK intersects it with the proposal: none of the
 * roles is what supporting the other one comes to. */
T_ASC_SC_ROLE supported_for(const ul_context &context, T_ASC_SC_ROLE proposed)
{
    T_ASC_SC_ROLE role = role_of(context);
    if (role != ASC_SC_ROLE_NONE)
        return role;
    return proposed == ASC_SC_ROLE_SCU ? ASC_SC_ROLE_SCP : ASC_SC_ROLE_SCU;
}

void take_contexts(T_ASC_Parameters *from, bool is_answer, ul_params &out)
{
    int n = ASC_countPresentationContexts(from);
    out.contexts = static_cast<ul_context *>(calloc(size_t(n) + 1, sizeof *out.contexts));
    for (int i = 0; i < n; i++) {
        T_ASC_PresentationContext found;
        ul_context &context = out.contexts[out.n_contexts++];
        ASC_getPresentationContext(from, i, &found);
        context.id = found.presentationContextID;
        context.result =
            is_answer ? uint8_t(found.resultReason) : uint8_t(HL_UL_ABSTRACT_SYNTAX_NOT_SUPPORTED);
        copy_text(context.abstract_syntax, found.abstractSyntax);
        take_role(is_answer ? found.acceptedRole : found.proposedRole, context);
        context.n_transfer_syntaxes = found.transferSyntaxCount;
        context.transfer_syntaxes = static_cast<char(*)[HL_UID_MAX]>(
            calloc(found.transferSyntaxCount + 1u, sizeof *context.transfer_syntaxes));
        for (unsigned k = 0; k < found.transferSyntaxCount; k++)
            copy_text(context.transfer_syntaxes[k], found.proposedTransferSyntaxes[k]);
        if (is_answer && context.result == HL_UL_ACCEPTED)
            copy_text(context.transfer_syntax, found.acceptedTransferSyntax);
    }
}

void take_extended(const SOPClassExtendedNegotiationSubItemList *from, ul_params &out)
{
    if (!from)
        return;
    out.extended = static_cast<hl_ul_extended *>(calloc(from->size() + 1, sizeof *out.extended));
    for (auto at = from->begin(); at != from->end(); ++at) {
        hl_ul_extended &one = out.extended[out.n_extended++];
        copy_text(one.sop_class, (*at)->sopClassUID.c_str());
        one.length = (*at)->serviceClassAppInfoLength;
        one.info = copy_bytes((*at)->serviceClassAppInfo, one.length);
    }
}

void take_identity(UserIdentityNegotiationSubItemRQ *from, hl_ul_identity &out)
{
    char *bytes = nullptr;
    if (!from)
        return;
    out.type = uint8_t(from->getIdentityType());
    out.wants_response = from->isPosResponseRequested();
    from->getPrimField(bytes, out.primary_length);
    out.primary = copy_bytes(bytes, out.primary_length);
    delete[] bytes;
    bytes = nullptr;
    from->getSecField(bytes, out.secondary_length);
    out.secondary = copy_bytes(bytes, out.secondary_length);
    delete[] bytes;
}

void take_response(T_ASC_Parameters *from, hl_ul_identity &out)
{
    UserIdentityNegotiationSubItemAC *answer = nullptr;
    char *bytes = nullptr;
    ASC_getUserIdentAC(from, &answer);
    if (!answer)
        return;
    ASC_getCopyOfIdentResponse(from, bytes, out.response_length);
    out.response = copy_bytes(bytes, out.response_length);
    delete[] bytes;
}

void take_common(T_ASC_Parameters *from, ul_params &out)
{
    copy_text(out.calling_aet, from->DULparams.callingAPTitle);
    copy_text(out.called_aet, from->DULparams.calledAPTitle);
    out.max_pdu = uint32_t(from->DULparams.peerMaxPDU);
}

ul_params proposal_of(T_ASC_Parameters *from)
{
    ul_params out = {};
    SOPClassExtendedNegotiationSubItemList *extended = nullptr;
    UserIdentityNegotiationSubItemRQ *identity = nullptr;
    take_common(from, out);
    take_contexts(from, false, out);
    ASC_getRequestedExtNegList(from, &extended);
    take_extended(extended, out);
    ASC_getUserIdentRQ(from, &identity);
    take_identity(identity, out.identity);
    return out;
}

ul_params answer_of(T_ASC_Parameters *from)
{
    ul_params out = {};
    SOPClassExtendedNegotiationSubItemList *extended = nullptr;
    take_common(from, out);
    take_contexts(from, true, out);
    ASC_getAcceptedExtNegList(from, &extended);
    take_extended(extended, out);
    take_response(from, out.identity);
    return out;
}

SOPClassExtendedNegotiationSubItemList *extended_list(const ul_params &params, bool is_answer)
{
    auto *list = new SOPClassExtendedNegotiationSubItemList;
    for (unsigned i = 0; i < params.n_extended; i++) {
        const hl_ul_extended &one = params.extended[i];
        if (is_answer && !one.is_accepted)
            continue;
        auto *item = new SOPClassExtendedNegotiationSubItem;
        item->sopClassUID = one.sop_class;
        item->serviceClassAppInfo = new unsigned char[one.length + 1u];
        memcpy(item->serviceClassAppInfo, one.info, one.length);
        item->serviceClassAppInfoLength = one.length;
        list->push_back(item);
    }
    return list;
}

/* ---- messages ---------------------------------------------------------------------------------
 */

bool send_part(T_ASC_Association *assoc, uint8_t context, DUL_DATAPDV type, size_t n, unsigned seed,
               bool is_whole)
{
    hl_buf bytes = {};
    bool sent = true;
    side_fill(&bytes, n, seed);
    for (size_t at = 0; sent && at < n;) {
        size_t now = n - at < assoc->sendPDVLength ? n - at : assoc->sendPDVLength;
        DUL_PDV pdv = {now, context, type, is_whole && at + now == n, bytes.data + at};
        DUL_PDVLIST list = {};
        list.count = 1;
        list.pdv = &pdv;
        sent = DUL_WritePDVs(&assoc->DULassociation, &list).good();
        at += now;
    }
    hl_buf_fini(&bytes);
    return sent;
}

bool send_message(T_ASC_Association *assoc, uint8_t context, size_t n, unsigned seed, bool is_whole)
{
    return send_part(assoc, context, DUL_COMMANDPDV, SIDE_COMMAND, seed, true) &&
           send_part(assoc, context, DUL_DATASETPDV, n, seed + 1, is_whole);
}

OFCondition next_pdv(T_ASC_Association *assoc, DUL_PDV &pdv)
{
    if (DUL_NextPDV(&assoc->DULassociation, &pdv).good())
        return EC_Normal;
    OFCondition came = DUL_ReadPDVs(&assoc->DULassociation, nullptr, DUL_NOBLOCK, TIMEOUT_S);
    return came == DUL_PDATAPDUARRIVED ? DUL_NextPDV(&assoc->DULassociation, &pdv) : came;
}

OFCondition read_part(T_ASC_Association *assoc, bool is_command, hl_buf *account)
{
    hl_buf bytes = {};
    DUL_PDV pdv = {};
    OFCondition came = EC_Normal;
    do {
        came = next_pdv(assoc, pdv);
        if (came.good() && (pdv.pdvType == DUL_COMMANDPDV) != is_command)
            came = DUL_UNEXPECTEDPDU;
        if (came.good())
            hl_buf_add(&bytes, pdv.data, pdv.fragmentLength);
    } while (came.good() && !pdv.lastPDV);
    if (came.good())
        side_tell_part(pdv.presentationContextID, is_command, &bytes, account);
    hl_buf_fini(&bytes);
    return came;
}

OFCondition read_message(T_ASC_Association *assoc, hl_buf *account)
{
    OFCondition came = read_part(assoc, true, account);
    return came.good() ? read_part(assoc, false, account) : came;
}

void tell_condition(const OFCondition &why, hl_buf *account)
{
    side_tell_end(why == DUL_PEERABORTEDASSOCIATION ? "aborted" : why.text(), account);
}

/* ---- acceptor ---------------------------------------------------------------------------------
 */

struct acceptor {
    const scenario *script;
    T_ASC_Network *network;
    std::thread thread;
    hl_buf account;
};

/* Past ASC_setIdentAC, which the header declares and the library does not have (3.6.7). */
void set_response(T_ASC_Parameters *params, const hl_ul_identity &identity)
{
    auto *answer = new UserIdentityNegotiationSubItemAC;
    answer->setServerResponse(reinterpret_cast<const char *>(identity.response),
                              identity.response_length);
    params->DULparams.ackUserIdentNeg = answer;
}

void set_answer(T_ASC_Parameters *params, const ul_params &decided)
{
    for (unsigned i = 0; i < decided.n_contexts; i++) {
        const ul_context &context = decided.contexts[i];
        T_ASC_PresentationContext proposed;
        ASC_getPresentationContext(params, int(i), &proposed);
        if (context.result == HL_UL_ACCEPTED)
            ASC_acceptPresentationContext(params, context.id, context.transfer_syntax,
                                          supported_for(context, proposed.proposedRole));
        else
            ASC_refusePresentationContext(params, context.id, T_ASC_P_ResultReason(context.result));
    }
    if (decided.n_extended)
        ASC_setAcceptedExtNegList(params, extended_list(decided, true));
    if (decided.identity.wants_response && decided.identity.response)
        set_response(params, decided.identity);
}

/* Until the peer releases, aborts, or the script says that it is enough. */
void serve(const scenario &script, T_ASC_Association *assoc, hl_buf *account)
{
    for (size_t i = 0;; i++) {
        OFCondition came = read_message(assoc, account);
        if (came == DUL_PEERREQUESTEDRELEASE) {
            ASC_acknowledgeRelease(assoc);
            return side_tell_end("released", account);
        }
        if (came.bad())
            return tell_condition(came, account);
        if (i >= script.n_messages)
            return side_tell_end("a message too many", account);
        if (script.end == SIDE_ABORT_UNANSWERED && i + 1 == script.n_messages) {
            ASC_abortAssociation(assoc);
            return side_tell_end("aborted", account);
        }
        send_message(assoc, script.messages[i].context, script.messages[i].answered,
                     1000 + unsigned(i), true);
    }
}

void negotiate_and_serve(const scenario &script, T_ASC_Association *assoc, hl_buf *account)
{
    hl_ul_reject reject = {};
    ul_params params = proposal_of(assoc->params);
    side_tell_proposal(&params, account);
    script.decide(&params, &reject);
    if (reject.result) {
        T_ASC_RejectParameters words = {
            T_ASC_RejectParametersResult(reject.result),
            T_ASC_RejectParametersSource(reject.source),
            T_ASC_RejectParametersReason(reject.source << 8 | reject.reason)};
        ASC_rejectAssociation(assoc, &words);
        side_tell_reject(&reject, account);
    } else {
        set_answer(assoc->params, params);
        OFCondition sent = ASC_acknowledgeAssociation(assoc);
        if (sent.good())
            serve(script, assoc, account);
        else
            tell_condition(sent, account);
    }
    hl_ul_params_fini(&params);
}

void accept_one(acceptor *acceptor)
{
    T_ASC_Association *assoc = nullptr;
    OFCondition came =
        ASC_receiveAssociation(acceptor->network, &assoc, long(acceptor->script->acceptor_takes),
                               nullptr, nullptr, OFFalse, DUL_NOBLOCK, TIMEOUT_S);
    if (came.good())
        negotiate_and_serve(*acceptor->script, assoc, &acceptor->account);
    else
        tell_condition(came, &acceptor->account);
    if (assoc) {
        ASC_dropSCPAssociation(assoc, 1);
        ASC_destroyAssociation(&assoc);
    }
}

/* Of the moment: DCMTK does not tell which port it got for 0. */
uint16_t free_port()
{
    sockaddr_in at = {};
    socklen_t n = sizeof at;
    at.sin_family = AF_INET;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(fd, reinterpret_cast<sockaddr *>(&at), sizeof at) ||
        getsockname(fd, reinterpret_cast<sockaddr *>(&at), &n))
        at.sin_port = 0;
    close(fd);
    return ntohs(at.sin_port);
}

void *listen_here(const scenario *script, uint16_t *port)
{
    OFLog::configure(OFLogger::OFF_LOG_LEVEL);
    for (int i = 0; i < PORT_TRIES; i++) {
        T_ASC_Network *network = nullptr;
        *port = free_port();
        if (ASC_initializeNetwork(NET_ACCEPTOR, *port, TIMEOUT_S, &network).bad())
            continue;
        auto *made = new acceptor{script, network, {}, {}};
        made->thread = std::thread(accept_one, made);
        return made;
    }
    return nullptr;
}

void finish(void *arg, hl_buf *account)
{
    auto *ended = static_cast<acceptor *>(arg);
    ended->thread.join();
    ASC_dropNetwork(&ended->network);
    hl_buf_add(account, ended->account.data, ended->account.len);
    hl_buf_fini(&ended->account);
    delete ended;
}

/* ---- requestor --------------------------------------------------------------------------------
 */

void propose_identity(T_ASC_Parameters *params, const hl_ul_identity &identity)
{
    const char *primary = reinterpret_cast<const char *>(identity.primary);
    const uint16_t n = identity.primary_length;
    const OFBool response = identity.wants_response;
    switch (identity.type) {
    case 1: ASC_setIdentRQUserOnly(params, OFString(primary, n), response); break;
    case 2:
        ASC_setIdentRQUserPassword(
            params, OFString(primary, n),
            OFString(reinterpret_cast<const char *>(identity.secondary), identity.secondary_length),
            response);
        break;
    case 3: ASC_setIdentRQKerberos(params, primary, n, response); break;
    case 4: ASC_setIdentRQSaml(params, primary, n, response); break;
    case 5: ASC_setIdentRQJwt(params, primary, n, response); break;
    default: break;
    }
}

T_ASC_Parameters *propose(const scenario &script, uint16_t port)
{
    const ul_params &proposal = script.proposal;
    T_ASC_Parameters *params = nullptr;
    const std::string to = "127.0.0.1:" + std::to_string(port);
    ASC_createAssociationParameters(&params, long(script.requestor_takes));
    ASC_setAPTitles(params, proposal.calling_aet, proposal.called_aet, nullptr);
    ASC_setPresentationAddresses(params, "localhost", to.c_str());
    for (unsigned i = 0; i < proposal.n_contexts; i++) {
        const ul_context &context = proposal.contexts[i];
        std::vector<const char *> syntaxes;
        for (unsigned k = 0; k < context.n_transfer_syntaxes; k++)
            syntaxes.push_back(context.transfer_syntaxes[k]);
        ASC_addPresentationContext(params, context.id, context.abstract_syntax, syntaxes.data(),
                                   int(syntaxes.size()), role_of(context));
    }
    if (proposal.n_extended)
        ASC_setRequestedExtNegList(params, extended_list(proposal, false));
    propose_identity(params, proposal.identity);
    return params;
}

OFCondition exchange(const scenario &script, T_ASC_Association *assoc, hl_buf *account)
{
    for (size_t i = 0; i < script.n_messages; i++) {
        const side_message &message = script.messages[i];
        bool is_cut = script.end == SIDE_ABORT_HALFWAY && i + 1 == script.n_messages;
        if (!send_message(assoc, message.context, message.asked, unsigned(i), !is_cut))
            return DUL_NETWORKCLOSED;
        if (is_cut)
            return EC_Normal;
        OFCondition came = read_message(assoc, account);
        if (came.bad())
            return came;
    }
    return EC_Normal;
}

void talk(const scenario &script, T_ASC_Association *assoc, hl_buf *account)
{
    ul_params answer = answer_of(assoc->params);
    side_tell_answer(&answer, account);
    hl_ul_params_fini(&answer);
    OFCondition talked = exchange(script, assoc, account);
    if (talked.bad()) {
        tell_condition(talked, account);
    } else if (script.end == SIDE_RELEASE) {
        OFCondition released = ASC_releaseAssociation(assoc);
        side_tell_end(released.good() ? "released" : released.text(), account);
    } else {
        ASC_abortAssociation(assoc);
        side_tell_end("aborted", account);
    }
}

void request(const scenario *script, uint16_t port, hl_buf *account)
{
    T_ASC_Network *network = nullptr;
    T_ASC_Association *assoc = nullptr;
    ASC_initializeNetwork(NET_REQUESTOR, 0, TIMEOUT_S, &network);
    T_ASC_Parameters *params = propose(*script, port);
    OFCondition opened =
        ASC_requestAssociation(network, params, &assoc, nullptr, nullptr, DUL_NOBLOCK, TIMEOUT_S);
    if (opened.good()) {
        talk(*script, assoc, account);
    } else if (opened == DUL_ASSOCIATIONREJECTED) {
        T_ASC_RejectParameters words = {};
        ASC_getRejectParameters(params, &words);
        const hl_ul_reject reject = {uint8_t(words.result), uint8_t(words.source),
                                     uint8_t(words.reason & 0xff)};
        side_tell_reject(&reject, account);
    } else {
        tell_condition(opened, account);
    }
    ASC_destroyAssociation(&assoc);
    ASC_dropNetwork(&network);
}

} // namespace

extern "C" const struct side side_dcmtk = {"dcmtk", listen_here, finish, request};
