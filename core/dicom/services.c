/* Services of plugins as the provider sees them: looked up by SOP class, one call of a serial
 * one at a time.
 *
 * Calls into a plugin are bracketed by hl_plugins_enter and _leave, which make a serial plugin's
 * calls wait for each other and keep a version from being swapped away under one.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/dicom/exchange.h"
#include "core/dicom/inquiry.h"
#include "core/dicom/scp_internal.h"
#include "core/plugin/plugin.h"

enum { PROCESSING_FAILURE = 0x0110, CLASS_NOT_SUPPORTED = 0x0122 };

static const struct hilum_service *service_for(struct hl_scp *scp, const char *sop_class,
                                               void **instance)
{
    return scp->parts.plugins ? hl_plugins_service_for(scp->parts.plugins, sop_class, instance)
                              : NULL;
}

/* ---- for negotiation -------------------------------------------------------------------------- */

static bool has(void *arg, const char *sop_class)
{
    void *instance;
    return service_for(arg, sop_class, &instance) != NULL;
}

/* For negotiation: what the service says to an extended negotiation item (PS3.7 D.3.3.5). */
static hilum_rc extended(void *arg, const char *sop_class, const uint8_t *info, uint64_t length,
                         uint8_t *answer, uint64_t capacity, uint64_t *n)
{
    struct hl_scp *scp = arg;
    void *instance;
    const struct hilum_service *service = service_for(scp, sop_class, &instance);
    *n = 0;
    if (!service || !HILUM_HAS(struct hilum_service, service->cap.size, negotiate) ||
        !service->negotiate)
        return HILUM_OK;
    hl_plugins_enter(scp->parts.plugins, &service->cap);
    hilum_rc rc = service->negotiate(instance, sop_class, info, length, answer, capacity, n);
    hl_plugins_leave(scp->parts.plugins, &service->cap);
    return rc;
}

static uint64_t leaving(void *arg, const char *sop_class, const char *syntax)
{
    struct hl_scp *scp = arg;
    return hl_holdings_leaving(scp->holdings, sop_class, syntax);
}

static bool checks_users(void *arg)
{
    struct hl_scp *scp = arg;
    return scp->parts.plugins && hl_identity_is_checked(scp->parts.plugins);
}

void hl_scp_services(struct hl_scp *scp)
{
    scp->services = (struct hl_services){.has = has,
                                         .extended = extended,
                                         .leaving = leaving,
                                         .checks_users = checks_users,
                                         .arg = scp};
}

hilum_rc hl_request_refusal(const struct hl_request *request, const char *kind, const char *what,
                            const char *why, char reference[16])
{
    const struct hl_principal *who = &request->on->principal;
    const struct hl_refusal refusal = {
        .peer = who->peer ? who->peer->name : who->address, .kind = kind, .what = what, .why = why};
    return hl_record_refusal(request->on->scp->parts.record, &refusal, reference);
}

/* ---- for requests ----------------------------------------------------------------------------- */

/* The service did not say how it ended: the peer hears a status and a number to ask us about. */
static hilum_rc answer_failure(hilum_exchange *exchange, const struct hl_request *request,
                               hilum_rc failure)
{
    char reference[16] = "", comment[65];
    uint16_t status =
        failure ? hl_dimse_status(failure, request->command.command_field) : PROCESSING_FAILURE;
    const char *why = failure ? hl_error() : "the service sent no final response";
    if (hl_request_refusal(request, "processing failed", "request", why, reference) < 0)
        reference[0] = 0;
    hl_log(HL_WARN, "dicom", "request %04x of %s failed: %s", request->command.command_field,
           request->context->abstract_syntax, why);
    snprintf(comment, sizeof comment, "%s%sprocessing failed", reference, reference[0] ? " " : "");
    return hl_dicom_api()->respond(exchange, status, NULL, NULL, comment);
}

/* Whatever the plugin does, the peer gets exactly one final response or the association ends. */
hilum_rc hl_request_service(const struct hl_request *request)
{
    struct hl_scp *scp = request->on->scp;
    void *instance = NULL;
    const struct hilum_service *service =
        service_for(scp, request->context->abstract_syntax, &instance);
    if (!service) {
        hilum_rc rc = hl_request_skip(request);
        return rc ? rc
                  : hl_request_answer(request, CLASS_NOT_SUPPORTED,
                                      "no plugin serves this SOP class");
    }
    hilum_exchange *exchange;
    hilum_rc rc = hl_exchange_open(request, &exchange);
    if (rc)
        return rc;
    hilum_rc taken = hl_exchange_check(exchange);
    if (taken < 0) { /* no service asks for what is not there */
        char why[65];
        snprintf(why, sizeof why, "%s", hl_error());
        hl_exchange_close(exchange);
        return hl_request_answer(request, hl_dimse_status(taken, request->command.command_field),
                                 why);
    }
    if (hl_inquiry_begin(exchange, request)) {
        hl_plugins_enter(scp->parts.plugins, &service->cap);
        rc = service->handle(instance, exchange);
        hl_plugins_leave(scp->parts.plugins, &service->cap);
    }
    if (hl_exchange_is_over(exchange))
        rc = HILUM_ECLOSED;
    else
        rc = hl_exchange_is_answered(exchange) ? HILUM_OK : answer_failure(exchange, request, rc);
    hl_inquiry_end(exchange, request);
    hl_exchange_close(exchange);
    return rc;
}
