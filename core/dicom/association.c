/* The life of an accepted association: who is let in, what is remembered, what is published. It
 * knows nothing of messages.
 *
 * Runs on the control threads of the upper layer (ul/README.md), so all of it may block. The
 * hl_assoc made here belongs to the association until hl_assoc_closed frees it; each holds a
 * reference to the policy it began under, and a reload therefore changes only associations to
 * come. The lock of the provider covers the counts and the policy pointer and is never held over
 * a call into the bus, the record or the trace. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/dicom/scp_internal.h"

/* Result, source and reason of an A-ASSOCIATE-RJ (PS3.8 9.3.4). Reasons count within their
 * source. */
enum { REJECTED_PERMANENT = 1, REJECTED_TRANSIENT = 2 };
enum { BY_USER = 1, BY_PRESENTATION = 3 };
enum { NO_REASON = 1, TEMPORARY_CONGESTION = 1, LOCAL_LIMIT = 2 };

/* ---- a peer's own limit -----------------------------------------------------------------------
 */

/* Lock held. Made on first use and kept: there are as many as peers were ever configured. NULL:
 * no memory. */
static struct hl_peer_count *count_of(struct hl_scp *scp, const char *name)
{
    for (struct hl_peer_count *count = scp->counts; count; count = count->next)
        if (!strcmp(count->name, name))
            return count;
    struct hl_peer_count *count = calloc(1, sizeof *count);
    if (!count)
        return NULL;
    snprintf(count->name, sizeof count->name, "%s", name);
    count->next = scp->counts;
    return scp->counts = count;
}

/* Counts the association in; false if the peer has all it may have. */
static bool enter(struct hl_scp *scp, const struct hl_peer *peer)
{
    if (!peer)
        return true;
    pthread_mutex_lock(&scp->lock);
    struct hl_peer_count *count = count_of(scp, peer->name);
    bool fits = count && (!peer->max_associations || count->open < peer->max_associations);
    if (fits)
        count->open++;
    pthread_mutex_unlock(&scp->lock);
    return fits;
}

/* The counterpart of enter(), which ran exactly for the associations that got an hl_assoc. */
static void leave(struct hl_scp *scp, const struct hl_peer *peer)
{
    if (!peer)
        return;
    pthread_mutex_lock(&scp->lock);
    struct hl_peer_count *count = count_of(scp, peer->name);
    if (count && count->open)
        count->open--;
    pthread_mutex_unlock(&scp->lock);
}

/* ---- events -----------------------------------------------------------------------------------
 */

/* The fields every association event has. NULL: no memory, and the event is then not told. */
static hilum_event *event_of(const char *name, const struct hl_ul_params *params,
                             const struct hl_principal *principal)
{
    hilum_event *event = hl_event_new(name);
    if (!event)
        return NULL;
    hl_event_set_text(event, "calling_aet", params->calling_aet);
    hl_event_set_text(event, "called_aet", params->called_aet);
    hl_event_set_text(event, "address", params->address);
    hl_event_set_text(event, "peer", principal->peer ? principal->peer->name : "");
    return event;
}

/* Notify events are written to the journal only where a hook waits for them: a flush per
 * association would cost more than the association. */
static void publish(struct hl_scp *scp, const char *name, const struct hl_ul_params *params,
                    const struct hl_principal *principal, const char *why)
{
    if (!scp->parts.bus || !hl_bus_wants(scp->parts.bus, name, HILUM_NOTIFY))
        return;
    hilum_event *event = event_of(name, params, principal);
    struct hl_buf fields = {0};
    int64_t id;
    if (event) {
        hl_event_set_text(event, "reason", why);
        hl_event_to_json(event, &fields);
        if (hl_record_journal_append(scp->parts.record, name, "", hl_buf_str(&fields), &id))
            hl_log(HL_WARN, "dicom", "%s was not journaled: %s", name, hl_error());
    }
    hl_buf_fini(&fields);
    hl_event_free(event);
}

/* ---- letting in -------------------------------------------------------------------------------
 */

/* association.requested, phase filter. Anything but a reject or a defer lets in; when there is
 * no memory for the event, nobody is kept out for that. */
static void ask_rules(struct hl_scp *scp, const struct hl_ul_params *params,
                      const struct hl_principal *principal, struct hl_ul_reject *reject,
                      char why[HL_WHY_MAX])
{
    static const char name[] = "association.requested";
    if (!scp->parts.bus || !hl_bus_wants(scp->parts.bus, name, HILUM_FILTER))
        return;
    hilum_event *event = event_of(name, params, principal);
    if (!event)
        return;
    struct hl_verdict verdict;
    hl_bus_dispatch(scp->parts.bus, event, HILUM_FILTER, &verdict);
    if (verdict.verdict == HILUM_REJECT)
        *reject = (struct hl_ul_reject){REJECTED_PERMANENT, BY_USER, NO_REASON};
    else if (verdict.verdict == HILUM_DEFER)
        *reject = (struct hl_ul_reject){REJECTED_TRANSIENT, BY_PRESENTATION, TEMPORARY_CONGESTION};
    if (reject->result)
        snprintf(why, HL_WHY_MAX, "%s: %s", verdict.hook, verdict.reason);
    hl_event_free(event);
}

/* A user that is refused is told to the audit record: that is a sign-in, too. */
static void ask_identity(struct hl_assoc *on, const struct hl_ul_params *params,
                         struct hl_ul_reject *reject, char why[HL_WHY_MAX])
{
    char who[200];
    hilum_rc rc = HILUM_EFULL;
    bool is_guess = hl_identity_has_passcode(&params->identity);
    if (is_guess && hl_failures_are_many(&on->scp->failures, params->address,
                                         on->policy->max_passcode_failures)) {
        hl_identity_forget(&params->identity);
        hl_fail(rc, "too many wrong passcodes from this address; it waits some minutes");
    } else {
        rc = hl_identity_check(on->scp->parts.plugins, on->policy->config, params, &on->user);
    }
    if (is_guess && rc == HILUM_EDENIED)
        hl_failures_note(&on->scp->failures, params->address);
    if (rc == HILUM_OK) {
        on->principal.user_view = on->user.view;
        on->principal.user = on->user.view ? on->user.name : NULL;
        return;
    }
    snprintf(why, HL_WHY_MAX, "%s", hl_error());
    *reject = rc == HILUM_EDENIED ? (struct hl_ul_reject){REJECTED_PERMANENT, BY_USER, NO_REASON}
                                  : (struct hl_ul_reject){REJECTED_TRANSIENT, BY_PRESENTATION,
                                                          TEMPORARY_CONGESTION};
    hl_principal_text(&on->principal, who, sizeof who);
    if (hl_record_audit(on->scp->parts.record, who, "sign in refused",
                        params->identity.type <= 2 ? (const char *)params->identity.primary : "",
                        NULL, NULL) < 0)
        hl_log(HL_ERROR, "dicom", "a refused user was not audited: %s", hl_error());
}

/* Cheapest and most certain first: who it is, then what rules say, then whether there is room.
 * Only the last step counts the association in, so nothing has to be undone when an earlier one
 * refuses. */
static void let_in(struct hl_assoc *on, const struct hl_ul_params *params,
                   struct hl_ul_reject *reject, char why[HL_WHY_MAX])
{
    /* Without a lock and without I/O; only what follows may ask plugins. */
    hl_negotiate_peer(on->policy, params, &on->principal, reject, why);
    on->principal.studies = on->scp->parts.studies;
    if (!reject->result)
        ask_identity(on, params, reject, why);
    if (!reject->result)
        ask_rules(on->scp, params, &on->principal, reject, why);
    if (reject->result || enter(on->scp, on->principal.peer))
        return;
    snprintf(why, HL_WHY_MAX, "peer %s has its %u associations (max_associations)",
             on->principal.peer->name, on->principal.peer->max_associations);
    *reject = (struct hl_ul_reject){REJECTED_TRANSIENT, BY_PRESENTATION, LOCAL_LIMIT};
}

/* Into the trace, for `hilum peer trace`: the reasons are copied, `params` need not outlive the
 * call. */
static void remember(struct hl_assoc *on, const struct hl_ul_params *params,
                     const struct hl_ul_reject *reject, const char *why, char (*whys)[HL_WHY_MAX])
{
    struct hl_trace_note note = {.peer = on->principal.peer ? on->principal.peer->name : NULL,
                                 .params = params,
                                 .reject = reject,
                                 .why = why,
                                 .whys = whys,
                                 .keep = on->policy->trace};
    on->trace = hl_trace_add(on->scp->parts.trace, &note);
}

/* Everybody who asks gets the same few bytes; what exactly was wrong is for our administrator
 * (log, trace), not for the caller. */
static void reject_association(struct hl_assoc *on, const struct hl_ul_params *params,
                               const struct hl_ul_reject *reject, const char *why)
{
    atomic_fetch_add(&on->scp->rejected, 1);
    remember(on, params, reject, why, NULL);
    hl_log(HL_WARN, "dicom", "association of \"%s\" from %s rejected (%u/%u/%u): %s",
           params->calling_aet, params->address, reject->result, reject->source, reject->reason,
           why);
    publish(on->scp, "association.rejected", params, &on->principal, why);
    hl_view_unref(on->user.view);
    hl_policy_unref(on->policy);
    free(on);
}

/* Without memory for the reasons no context is decided, and all stay refused: an association
 * that carries nothing. */
static void accept_association(struct hl_assoc *on, struct hl_ul_params *params)
{
    static const struct hl_ul_reject accepted;
    char(*whys)[HL_WHY_MAX] = calloc(params->n_contexts + 1u, sizeof *whys);
    if (whys)
        hl_negotiate_contexts(on->policy, &on->scp->services, &on->principal, params, whys);
    atomic_fetch_add(&on->scp->associations, 1);
    remember(on, params, &accepted, "", whys);
    publish(on->scp, "association.accepted", params, &on->principal, "");
    free(whys);
}

void hl_assoc_negotiate(void *ctx, struct hl_ul_assoc *ul, struct hl_ul_params *params,
                        struct hl_ul_reject *reject, void **user)
{
    (void)ul;
    char why[HL_WHY_MAX] = "";
    struct hl_assoc *on = calloc(1, sizeof *on);
    *user = NULL;
    if (!on) {
        *reject = (struct hl_ul_reject){REJECTED_TRANSIENT, BY_PRESENTATION, TEMPORARY_CONGESTION};
        return;
    }
    on->scp = ctx;
    on->policy = hl_scp_policy(ctx);
    let_in(on, params, reject, why);
    if (reject->result) {
        reject_association(on, params, reject, why);
        return;
    }
    accept_association(on, params);
    *user = on;
}

/* ---- the end ----------------------------------------------------------------------------------
 */

/* `user` is NULL for an association that negotiate() rejected, which freed it itself. */
void hl_assoc_closed(void *ctx, struct hl_ul_assoc *ul, void *user, const char *why)
{
    struct hl_scp *scp = ctx;
    struct hl_assoc *on = user;
    if (!on)
        return;
    bool is_released = !strcmp(why, "released");
    hl_trace_end(scp->parts.trace, on->trace, why, on->messages);
    if (!is_released)
        hl_log(HL_INFO, "dicom", "association of \"%s\" from %s ended: %s", on->principal.aet,
               on->principal.address, why);
    publish(scp, is_released ? "association.released" : "association.aborted", hl_ul_params(ul),
            &on->principal, why);
    leave(scp, on->principal.peer);
    hl_view_unref(on->user.view);
    hl_policy_unref(on->policy);
    free(on);
}

void hl_assoc_refused(void *ctx, const char *address, const char *why)
{
    struct hl_scp *scp = ctx;
    struct hl_policy *policy = hl_scp_policy(scp);
    hl_trace_refused(scp->parts.trace, address, why, policy->trace);
    hl_policy_unref(policy);
}
