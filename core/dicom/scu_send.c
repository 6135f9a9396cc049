/* One object over an open association, from the store's pages to the peer's answer (PS3.7 9.1.1).
 * It knows nothing of how the association came about.
 *
 * Statuses on the way: what fails before the first byte is the object's alone, what fails in
 * the middle costs the association, and an answer of the peer, whatever it says, costs
 * nothing.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/dicom/scu_internal.h"
#include "core/dicom/uid.h"

static const struct hl_send_options no_options;

static const struct hl_send_options *options_of(const struct hl_sending *sending)
{
    return sending->options ? sending->options : &no_options;
}

/* ---- contexts ---------------------------------------------------------------------------------
 */

/* By C-GET only contexts on which the requester took the SCP role may be used (PS3.4 C.5.3). */
static bool carries(const struct hl_sending *sending, const struct hl_ul_context *context,
                    const char *syntax)
{
    return context->result == HL_UL_ACCEPTED && !strcmp(context->transfer_syntax, syntax) &&
           (!sending->by_get || context->scp_role);
}

const struct hl_ul_context *hl_sending_context(const struct hl_sending *sending,
                                               const char *sop_class, const char *syntax)
{
    const struct hl_ul_params *params = hl_ul_params(sending->ul);
    bool is_known = false;
    for (size_t i = 0; i < params->n_contexts; i++) {
        const struct hl_ul_context *context = &params->contexts[i];
        if (strcmp(context->abstract_syntax, sop_class))
            continue;
        if (carries(sending, context, syntax))
            return context;
        is_known |= context->result == HL_UL_ACCEPTED;
    }
    (void)hl_fail(HILUM_EUNSUP, "%s does not take %s%s%s", sending->peer, hl_uid_name(sop_class),
                  is_known ? " in " : "", is_known ? hl_uid_name(syntax) : "");
    return NULL;
}

/* Makes the object leave in that syntax. What loses is asked for by a rule, or allowed of the
 * peer. Tried before the request leaves: it reads and decodes what it must
 * (hl_outgoing_recode), so that a failure can still choose another context. */
static hilum_rc convert(const struct hl_sending *sending, struct hl_outgoing *outgoing,
                        const struct hl_pack_wish *wish, const char *syntax)
{
    const struct hl_syntax *target = hl_uid_syntax(syntax);
    struct hl_pack_wish own = {.may_lose = sending->preference && sending->preference->may_lose};
    if (!strcmp(syntax, hl_outgoing_stored(outgoing)->transfer_syntax))
        return HILUM_OK;
    if (wish && !strcmp(wish->transfer_syntax, syntax) && target &&
        target->flags & HL_SYNTAX_ENCAPSULATED)
        return hl_outgoing_encode(outgoing, wish);
    if (!target || !(target->flags & HL_SYNTAX_LOSSY) || !own.may_lose)
        return hl_outgoing_recode(outgoing, syntax);
    snprintf(own.transfer_syntax, sizeof own.transfer_syntax, "%s", syntax);
    return hl_outgoing_encode(outgoing, &own);
}

/* By C-GET the requester has proposed and cannot be asked again, so more is tried. */
static void candidates_of(const struct hl_sending *sending, const struct hl_pack_wish *wish,
                          const char *stored, struct hl_candidates *out)
{
    hl_candidates(sending->preference, wish ? wish->transfer_syntax : NULL, stored, out);
    if (sending->by_get && !(sending->preference && sending->preference->only_listed_syntaxes))
        hl_candidates_last(stored, out);
}

/* The context an object leaves on, converted where it has to be: one whose pixels cannot be had otherwise may still leave as
 * stored. NULL: it does not, and hl_error() tells why it cannot be converted, or does not leave as stored. */
static const struct hl_ul_context *choose_context(const struct hl_sending *sending,
                                                  const struct hl_pack_wish *wish,
                                                  struct hl_outgoing *outgoing)
{
    const struct hl_stored *stored = hl_outgoing_stored(outgoing);
    const struct hl_ul_context *context = NULL;
    struct hl_candidates candidates;
    char why[512] = "";
    candidates_of(sending, wish, stored->transfer_syntax, &candidates);
    for (size_t i = 0; i < candidates.n && !context; i++) {
        const char *syntax = candidates.syntaxes[i];
        context = hl_sending_context(sending, stored->sop_class, syntax);
        if (context && convert(sending, outgoing, wish, syntax)) {
            if (!why[0])
                snprintf(why, sizeof why, "%s", hl_error());
            context = NULL;
        }
    }
    if (!candidates.n)
        (void)hl_fail(HILUM_EUNSUP, "%s is to get only its transfer_syntaxes, not %s",
                      sending->peer, hl_uid_name(stored->transfer_syntax));
    else if (!context && why[0])
        (void)hl_fail(HILUM_EUNSUP, "%s", why);
    else if (!context)
        (void)hl_sending_context(sending, stored->sop_class, stored->transfer_syntax);
    return context;
}

/* ---- the answer -------------------------------------------------------------------------------
 */

/* What a failure means to whoever may try again (PS3.4 table B.2-1). 0001, 0107 and 0116 are
 * warnings of PS3.7 C; 0111 (duplicate SOP instance) means that the peer has it. */
hilum_rc hl_store_rc(uint16_t status)
{
    if (status == 0 || (status & 0xF000) == 0xB000 || status == 1 || status == 0x0107 ||
        status == 0x0116)
        return HILUM_OK;
    if ((status & 0xFF00) == 0xA700)
        return HILUM_EFULL;
    if ((status & 0xFF00) == 0xA900 || (status & 0xF000) == 0xC000)
        return HILUM_EINVAL;
    if (status == 0x0122 || status == 0x0211)
        return HILUM_EUNSUP;
    if (status == 0x0124)
        return HILUM_EDENIED;
    return status == 0x0111 ? HILUM_EEXISTS : HILUM_EIO;
}

/* Between our request and its answer a peer that issued the C-GET may say C-CANCEL. */
hilum_rc hl_sending_answer(const struct hl_sending *sending, struct hl_dimse *response)
{
    bool *is_cancelled = options_of(sending)->is_cancelled;
    for (;;) {
        hilum_rc rc = hl_dimse_read(sending->ul, response);
        if (rc)
            return rc;
        if (response->command_field == (HL_C_STORE_RQ | HL_RSP))
            break;
        if (response->command_field != HL_C_CANCEL_RQ || !is_cancelled)
            return hl_fail(HILUM_EINVAL, "%s answers a C-STORE by command %04x", sending->peer,
                           response->command_field);
        *is_cancelled = true;
    }
    if (response->message_id_responded != sending->message_id)
        return hl_fail(HILUM_EINVAL, "%s answers message %u instead of %u", sending->peer,
                       response->message_id_responded, sending->message_id);
    return response->has_dataset ? hl_dimse_read_dataset(sending->ul, response, NULL, NULL)
                                 : HILUM_OK;
}

static void note_answer(const struct hl_dimse *response, struct hl_send_item *item)
{
    item->status = response->status;
    item->rc = hl_store_rc(response->status);
    snprintf(item->detail, sizeof item->detail, "%04X%s%s%s", response->status,
             item->rc ? " refused" : (response->status ? " accepted with a warning" : ""),
             response->comment[0] ? ": " : "", response->comment);
}

/* ---- the request ------------------------------------------------------------------------------
 */

hilum_rc hl_sending_request(const struct hl_sending *sending, const struct hl_ul_context *context,
                            const char *sop_class, const char *sop_instance)
{
    const struct hl_send_options *options = options_of(sending);
    struct hl_dimse request = {.command_field = HL_C_STORE_RQ,
                               .message_id = sending->message_id,
                               .priority = (uint16_t)options->priority,
                               .has_dataset = true,
                               .context_id = context->id,
                               .originator_id = options->originator_id};
    snprintf(request.sop_class, sizeof request.sop_class, "%s", sop_class);
    snprintf(request.sop_instance, sizeof request.sop_instance, "%s", sop_instance);
    snprintf(request.originator_aet, sizeof request.originator_aet, "%s",
             options->originator_aet ? options->originator_aet : "");
    return hl_dimse_write(sending->ul, &request, NULL, 0);
}

/* Fragments are even (PS3.7 F.1), so a deflated stream of odd length gets the NUL that PS3.5 A.5 wants behind it. */
static hilum_rc write_last_odd(const struct hl_sending *sending, uint8_t context_id,
                               const uint8_t *bytes, size_t n)
{
    uint8_t end[2] = {bytes[n - 1], 0};
    hilum_rc rc =
        n > 1 ? hl_ul_write(sending->ul, context_id, false, bytes, n - 1, false) : HILUM_OK;
    return rc ? rc : hl_ul_write(sending->ul, context_id, false, end, sizeof end, true);
}

/* An object that turns out corrupt half way leaves no way out but an abort: a data set cannot be taken back. */
static hilum_rc send_bytes(const struct hl_sending *sending, const struct hl_ul_context *context,
                           struct hl_outgoing *outgoing)
{
    bool is_deflated = !strcmp(context->transfer_syntax, HL_UID_DEFLATED_LITTLE_ENDIAN);
    bool is_last;
    do {
        const void *bytes = NULL;
        size_t n = 0;
        hilum_rc rc = hl_outgoing_next(outgoing, &bytes, &n);
        is_last = hl_outgoing_is_end(outgoing);
        if (!rc && !n && !is_last)
            rc = hl_fail(HILUM_ECORRUPT, "stored object ends earlier than recorded");
        if (!rc)
            rc = is_last && is_deflated && n % 2
                     ? write_last_odd(sending, context->id, bytes, n)
                     : hl_ul_write(sending->ul, context->id, false, bytes, n, is_last);
        if (rc)
            return rc;
    } while (!is_last);
    return HILUM_OK;
}

/* ---- ahead ------------------------------------------------------------------------------------
 */

void hl_ahead_drop(struct hl_ahead *ahead)
{
    hl_outgoing_close(ahead->outgoing);
    ahead->outgoing = NULL;
}

/* One that cannot be opened is tried again in its turn; one that is not what was stored is told then, not read again. */
static void open_ahead(const struct hl_sending *sending, struct hl_store *store)
{
    struct hl_ahead *ahead = sending->ahead;
    if (!ahead || !sending->next || ahead->outgoing)
        return;
    ahead->instance_id = sending->next->instance_id;
    ahead->rc = HILUM_OK;
    if (hl_outgoing_open(store, ahead->instance_id, options_of(sending)->as_of, &ahead->outgoing)) {
        ahead->outgoing = NULL;
        return;
    }
    ahead->rc = hl_outgoing_verify(ahead->outgoing);
    if (ahead->rc)
        snprintf(ahead->why, sizeof ahead->why, "%s", hl_error());
}

static bool take_ahead(struct hl_ahead *ahead, int64_t instance_id, struct hl_outgoing **out)
{
    if (!ahead || !ahead->outgoing || ahead->instance_id != instance_id)
        return false;
    *out = ahead->outgoing;
    ahead->outgoing = NULL;
    return true;
}

/* Corrupt objects of a moderate size are found before their first byte leaves. */
static hilum_rc open_now(const struct hl_sending *sending, struct hl_store *store,
                         int64_t instance_id, struct hl_outgoing **out)
{
    bool is_ahead = take_ahead(sending->ahead, instance_id, out);
    hilum_rc rc = HILUM_OK;
    if (!is_ahead)
        rc = hl_outgoing_open(store, instance_id, options_of(sending)->as_of, out);
    if (rc)
        return rc;
    rc = is_ahead ? sending->ahead->rc : hl_outgoing_verify(*out);
    if (rc) {
        if (is_ahead)
            (void)hl_fail(rc, "%s", sending->ahead->why);
        hl_outgoing_close(*out);
    }
    return rc;
}

/* ---- one object -------------------------------------------------------------------------------
 */

/* Request, data set, answer. An error leaves the association in the middle of a message. */
static hilum_rc exchange(const struct hl_sending *sending, const struct hl_ul_context *context,
                         struct hl_store *store, struct hl_outgoing *outgoing,
                         struct hl_dimse *response)
{
    const struct hl_stored *stored = hl_outgoing_stored(outgoing);
    hilum_rc rc =
        hl_sending_request(sending, context, stored->sop_class, hl_outgoing_sop_instance(outgoing));
    if (!rc)
        rc = send_bytes(sending, context, outgoing);
    if (rc)
        return rc;
    open_ahead(sending, store);
    return hl_sending_answer(sending, response);
}

static void note_failure(struct hl_send_item *item, hilum_rc rc)
{
    item->rc = rc;
    snprintf(item->detail, sizeof item->detail, "%s", hl_error());
}

/* Failures before the first byte (the object is gone, no context) are the item's alone; the
 * association can go on. */
hilum_rc hl_sending_object(const struct hl_sending *sending, struct hl_store *store,
                           struct hl_send_item *item)
{
    struct hl_outgoing *outgoing;
    item->status = 0;
    hilum_rc rc = open_now(sending, store, item->instance_id, &outgoing);
    if (rc) {
        note_failure(item, rc);
        return HILUM_OK;
    }
    const struct hl_ul_context *context = choose_context(sending, item->wish, outgoing);
    struct hl_dimse response = {0};
    if (!context) {
        note_failure(item, HILUM_EUNSUP);
    } else {
        rc = exchange(sending, context, store, outgoing, &response);
        if (rc)
            note_failure(item, rc);
        else
            note_answer(&response, item);
    }
    hl_outgoing_close(outgoing);
    return rc;
}

hilum_rc hl_scu_store_on(struct hl_ul_assoc *assoc, struct hl_store *store,
                         struct hl_send_item *items, size_t n,
                         const struct hl_send_options *options, uint16_t *message_id)
{
    struct hl_ahead ahead = {0};
    hilum_rc rc = HILUM_OK, stopped = HILUM_OK;
    for (size_t i = 0; i < n && !rc && !stopped; i++) {
        struct hl_sending sending = {.ul = assoc,
                                     .peer = hl_ul_params(assoc)->calling_aet,
                                     .preference = options->preference,
                                     .by_get = true,
                                     .message_id = ++*message_id,
                                     .options = options,
                                     .ahead = &ahead,
                                     .next = i + 1 < n ? &items[i + 1] : NULL};
        rc = hl_sending_object(&sending, store, &items[i]);
        if (!rc && options->progress)
            stopped = options->progress(options->arg, &items[i]);
    }
    hl_ahead_drop(&ahead);
    return rc;
}
