/* One DIMSE request: checked, dispatched by command field, answered. C-ECHO and C-STORE are
 * dealt with here, all else goes to plugins.
 *
 * Runs on a message thread of the upper layer, one message of an association at a time. Whatever
 * a request is refused for, its data set is read off the wire first: a response while the peer
 * still sends would be taken for the end of the association. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/dicom/receive.h"
#include "core/dicom/scp_internal.h"
#include "core/dicom/uid.h"

enum {
    SUCCESS = 0x0000,
    CLASS_NOT_SUPPORTED = 0x0122,
    NOT_AUTHORIZED = 0x0124,
    MISSING_DATA = 0xC000
};

/* A final response without a data set; the comment is cut and cleaned by hl_dimse_set_comment. */
hilum_rc hl_request_answer(const struct hl_request *request, uint16_t status, const char *comment)
{
    struct hl_dimse response = hl_dimse_response(&request->command, status);
    hl_dimse_set_comment(&response, comment);
    return hl_dimse_write(request->ul, &response, NULL, 0);
}

hilum_rc hl_request_skip(const struct hl_request *request)
{
    if (!request->command.has_dataset)
        return HILUM_OK;
    return hl_dimse_read_dataset(request->ul, &request->command, NULL, NULL);
}

static hilum_rc refuse(const struct hl_request *request, uint16_t status, const char *comment)
{
    hilum_rc rc = hl_request_skip(request);
    return rc ? rc : hl_request_answer(request, status, comment);
}

/* ---- C-STORE ----------------------------------------------------------------------------------
 */

/* Borrowed from the association, which outlives the ingest. */
static struct hl_ingest_source source_of(const struct hl_request *request)
{
    const struct hl_ul_params *params = hl_ul_params(request->ul);
    const struct hl_peer *peer = request->on->principal.peer;
    return (struct hl_ingest_source){.peer = peer ? peer->name : "",
                                     .calling_aet = params->calling_aet,
                                     .called_aet = params->called_aet,
                                     .address = params->address,
                                     .default_issuer = peer ? peer->default_issuer : NULL,
                                     .charset_repair = peer ? peer->charset : NULL,
                                     .kind = "dimse",
                                     .may_owe = true};
}

static hilum_rc store_object(const struct hl_request *request)
{
    if (!request->command.has_dataset)
        return hl_request_answer(request, MISSING_DATA, "C-STORE without data set");
    struct hl_ingest_source source = source_of(request);
    return hl_receive_object(request->ul, request->on->scp->parts.store, &request->on->principal,
                             &source, &request->command);
}

/* ---- dispatch ---------------------------------------------------------------------------------
 */

static hilum_rc echo(const struct hl_request *request)
{
    hilum_rc rc = hl_request_skip(request);
    return rc ? rc : hl_request_answer(request, SUCCESS, NULL);
}

/* Cancels nothing: the answer was on its way already (PS3.7 9.3.2.3). */
static hilum_rc stray_cancel(const struct hl_request *request)
{
    return hl_request_skip(request);
}

static const struct {
    uint16_t command;
    hilum_rc (*run)(const struct hl_request *request);
} routes[] = {
    {HL_C_STORE_RQ, store_object},
    {HL_C_ECHO_RQ, echo},
    {HL_C_CANCEL_RQ, stray_cancel},
};

static hilum_rc dispatch(const struct hl_request *request)
{
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++)
        if (routes[i].command == request->command.command_field)
            return routes[i].run(request);
    return hl_request_service(request);
}

/* A C-STORE on a context of a service, a C-FIND on one of storage: the command and the SOP class
 * must belong together. */
static bool fits_context(const struct hl_request *request)
{
    const char *abstract = request->context->abstract_syntax;
    switch (request->command.command_field) {
    case HL_C_ECHO_RQ: return !strcmp(abstract, HL_UID_VERIFICATION);
    case HL_C_STORE_RQ:
        return !strcmp(abstract, request->command.sop_class) &&
               (!request->context->has_roles || request->context->scu_role);
    default: return true;
    }
}

/* What hl_allow is asked for; a C-STORE is one on whatever context it came. */
static const char *action_of(const struct hl_request *request)
{
    return request->command.command_field == HL_C_STORE_RQ
               ? "store"
               : hl_negotiate_action(request->context->abstract_syntax);
}

/* Asked again for each message, not only at negotiation: the answer is cheap, and a command need
 * not fit its context. */
static hilum_rc check_and_dispatch(const struct hl_request *request)
{
    if (request->command.command_field == HL_C_CANCEL_RQ)
        return stray_cancel(request);
    if (!fits_context(request))
        return refuse(request, CLASS_NOT_SUPPORTED, "SOP class is not that of the context");
    if (hl_allow(&request->on->principal, action_of(request), NULL))
        return refuse(request, NOT_AUTHORIZED, "not allowed for this peer");
    return dispatch(request);
}

/* An error here ends the association by an A-ABORT; everything that can be answered is answered
 * with HILUM_OK. */
hilum_rc hl_assoc_message(void *ctx, struct hl_ul_assoc *ul, void *user)
{
    struct hl_scp *scp = ctx;
    struct hl_request request = {.on = user, .ul = ul};
    hilum_rc rc = hl_dimse_read(ul, &request.command);
    if (rc)
        return rc;
    request.context = hl_ul_context(ul, request.command.context_id);
    if (!request.context)
        return hl_fail(HILUM_EINVAL, "message on context %u, which was not accepted",
                       request.command.context_id);
    if (request.command.command_field & HL_RSP)
        return hl_fail(HILUM_EINVAL, "response %04x to nothing", request.command.command_field);
    request.on->messages++;
    atomic_fetch_add(&scp->messages, 1);
    return check_and_dispatch(&request);
}
