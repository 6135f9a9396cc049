/* What a plugin can do with a request: read it, answer it, see whether it was cancelled, send
 * objects. It knows nothing of what the SOP class means.
 *
 * One exchange belongs to one message task and is handed to one plugin call, whose
 * thread alone uses it. After any failure on the wire `is_over` is set and everything answers
 * HILUM_ECLOSED: the association is out of step and ends. SPDX-License-Identifier: Apache-2.0 */
#include "core/dicom/exchange.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/sized.h"
#include "core/dicom/charset.h"
#include "core/dicom/dataset_api.h"
#include "core/dicom/uid.h"

/* Queries of up to IDENTIFIER_SMALL are always heard; of larger ones, all peers' together, only so much is held at a
 * time, for a crowd that sends them slowly would hold them for hours. */
#define IDENTIFIERS_MAX (UINT64_C(64) << 20)
enum { IDENTIFIER_SMALL = 64 * 1024 };

/* The first responses of a C-FIND go at once, later ones up to GATHER_EVERY together; an
 * identifier is a query, not an object; a C-MOVE shares up to SUB_ASSOCIATIONS. GATHER_MS:
 * three milliseconds nobody notices, and a peer that is far away gets a stream of full
 * packets. SUB_ASSOCIATIONS: more would take the places of others at the destination. */
enum {
    GATHER_FIRST = 4,
    GATHER_EVERY = 16,
    GATHER_MS = 3,
    IDENTIFIER_MAX = 16 * 1024 * 1024,
    SUB_ASSOCIATIONS = 4,
    CHARSET_MAX = 128,
};

struct hilum_exchange {
    const struct hl_request *wire;
    struct hilum_dimse_request request;
    struct hl_buf bytes; /* of the identifier */
    hilum_dataset *identifier;
    char charset[CHARSET_MAX]; /* (0008,0005) of the identifier */
    struct hl_buf failed;      /* UIDs for the plugin */
    char why_failed[400];      /* objects were not sent; "" if all were */
    char reference[16];        /* of that; "" before it was given out */
    struct hl_exchange_tally tally;
    uint32_t offending[HL_OFFENDING_MAX];
    int64_t sent_ms;  /* monotonic; the last answer that was not to wait for more */
    uint64_t charged; /* bytes of scp->identifiers */
    bool is_answered, is_over, is_cancelled, is_too_long, is_crowded;
};

/* ---- life ------------------------------------------------------------------------------------- */

static void uncharge(hilum_exchange *exchange)
{
    atomic_fetch_sub(&exchange->wire->on->scp->identifiers, exchange->charged);
    exchange->charged = 0;
}

/* false: others hold so much already. */
static bool charge(hilum_exchange *exchange, uint64_t n)
{
    atomic_ullong *all = &exchange->wire->on->scp->identifiers;
    if (n <= IDENTIFIER_SMALL || n <= exchange->charged)
        return true;
    uint64_t more = n - exchange->charged;
    if (atomic_fetch_add(all, more) + more > IDENTIFIERS_MAX) {
        atomic_fetch_sub(all, more);
        return false;
    }
    exchange->charged = n;
    return true;
}

/* A longer identifier, or one too many, is read to its end and dropped, so that the peer gets a status instead of
 * an abort. */
static hilum_rc collect(void *arg, const void *bytes, size_t n)
{
    hilum_exchange *exchange = arg;
    exchange->is_too_long |= n > IDENTIFIER_MAX - exchange->bytes.len;
    exchange->is_crowded |= !exchange->is_too_long && !charge(exchange, exchange->bytes.len + n);
    if (!exchange->is_too_long && !exchange->is_crowded) {
        hl_buf_add(&exchange->bytes, bytes, n);
        return HILUM_OK;
    }
    hl_buf_fini(&exchange->bytes);
    uncharge(exchange);
    return HILUM_OK;
}

/* What was negotiated for this SOP class (relational queries and the like, PS3.4 C.5.1.1), as
 * answered. */
static const struct hl_ul_extended *extended_of(const struct hl_request *wire)
{
    const struct hl_ul_params *params = hl_ul_params(wire->ul);
    for (size_t i = 0; i < params->n_extended; i++)
        if (params->extended[i].is_accepted &&
            !strcmp(params->extended[i].sop_class, wire->context->abstract_syntax))
            return &params->extended[i];
    return NULL;
}

/* The request as plugins see it. Everything in it is borrowed from the wire, which outlives the
 * exchange. */
static void describe(hilum_exchange *exchange)
{
    const struct hl_request *wire = exchange->wire;
    const struct hl_dimse *command = &wire->command;
    const struct hl_ul_params *params = hl_ul_params(wire->ul);
    const struct hl_ul_extended *extended = extended_of(wire);
    exchange->request = (struct hilum_dimse_request){
        .size = sizeof exchange->request,
        .command_field = command->command_field,
        .message_id = command->message_id,
        .priority = command->priority,
        .has_dataset = command->has_dataset,
        .sop_class = command->sop_class,
        .sop_instance = command->sop_instance,
        .move_destination = command->move_destination,
        .calling_aet = params->calling_aet,
        .called_aet = params->called_aet,
        .transfer_syntax = wire->context->transfer_syntax,
        .extended = extended ? extended->info : NULL,
        .extended_length = extended ? extended->length : 0,
        .action_type = command->action_type,
        .event_type = command->event_type,
        .n_attributes = command->n_attributes,
        .attributes = command->attributes,
    };
}

hilum_rc hl_exchange_open(const struct hl_request *request, hilum_exchange **out)
{
    hilum_exchange *exchange = calloc(1, sizeof *exchange);
    if (!exchange)
        return hl_fail(HILUM_ENOMEM, "request: out of memory");
    exchange->wire = request;
    describe(exchange);
    hilum_rc rc = request->command.has_dataset
                      ? hl_dimse_read_dataset(request->ul, &request->command, collect, exchange)
                      : HILUM_OK;
    if (rc)
        hl_exchange_close(exchange);
    else
        *out = exchange;
    return rc;
}

void hl_exchange_close(hilum_exchange *exchange)
{
    uncharge(exchange);
    if (exchange->identifier)
        hl_dataset_api_free(exchange->identifier);
    hl_buf_fini(&exchange->bytes);
    hl_buf_fini(&exchange->failed);
    free(exchange);
}

bool hl_exchange_is_answered(const hilum_exchange *exchange)
{
    return exchange->is_answered;
}

bool hl_exchange_is_over(const hilum_exchange *exchange)
{
    return exchange->is_over;
}

const struct hl_exchange_tally *hl_exchange_tally(const hilum_exchange *exchange)
{
    return &exchange->tally;
}

const char *hl_exchange_reference(const hilum_exchange *exchange)
{
    return exchange->reference;
}

/* Whatever failed on the wire, the association is over: its messages are out of step. */
static hilum_rc over(hilum_exchange *exchange)
{
    exchange->is_over = true;
    return HILUM_ECLOSED;
}

hilum_rc hl_exchange_check(const hilum_exchange *exchange)
{
    if (exchange->is_crowded)
        return hl_fail(HILUM_EFULL, "large queries are on their way: ask again, or for less");
    if (exchange->is_too_long)
        return hl_fail(HILUM_EFULL, "identifier longer than %d bytes", IDENTIFIER_MAX);
    return exchange->bytes.failed ? hl_fail(HILUM_ENOMEM, "out of memory") : HILUM_OK;
}

/* ---- the request ------------------------------------------------------------------------------ */

static const struct hilum_dimse_request *request(hilum_exchange *exchange)
{
    return &exchange->request;
}

/* The principal of core/access under the name plugins know. */
static const hilum_principal *principal(hilum_exchange *exchange)
{
    return (const hilum_principal *)&exchange->wire->on->principal;
}

/* Parsed on first use: C-GETs and commands of some services never look. NULL with a reason in
 * hl_error(). */
static hilum_dataset *identifier(hilum_exchange *exchange)
{
    struct hl_dataset *data;
    if (exchange->identifier || !exchange->request.has_dataset)
        return exchange->identifier;
    if (hl_dataset_parse(exchange->bytes.data, exchange->bytes.len,
                         exchange->request.transfer_syntax, &data))
        return NULL;
    hl_dataset_text(data, "SpecificCharacterSet", exchange->charset, sizeof exchange->charset);
    exchange->identifier = hl_dataset_api_wrap(data);
    return exchange->identifier;
}

/* ---- answering -------------------------------------------------------------------------------- */

/* In the requester's character set if it can say the text, otherwise in UTF-8, which (0008,0005) then says.
 * A data set of ASCII only needs no (0008,0005). The plugin's data set stays in UTF-8. */
static hilum_rc encode(const hilum_exchange *exchange, const hilum_dataset *data,
                       struct hl_buf *bytes)
{
    struct hl_dataset *copy;
    char charset[CHARSET_MAX];
    hilum_rc rc = hl_dataset_copy(data->data, &copy);
    if (rc)
        return rc;
    rc = hl_dataset_set_charset(copy, hl_charset_is_known(exchange->charset) ? exchange->charset
                                                                             : "ISO_IR 192");
    if (rc >= 0 && !*hl_dataset_text(copy, "SpecificCharacterSet", charset, sizeof charset))
        (void)hl_dataset_remove(copy, "SpecificCharacterSet");
    if (rc >= 0)
        rc = hl_dataset_write(copy, exchange->request.transfer_syntax, bytes);
    hl_dataset_free(copy);
    return rc >= 0 && bytes->failed ? hl_fail(HILUM_ENOMEM, "response: out of memory") : rc;
}

/* The counts are US (PS3.7 9.1.4.1.6 to 9): 65,535 stands for all that is more, since a wrapped one would look like few. */
static uint16_t as_count(uint32_t n)
{
    return n > UINT16_MAX ? UINT16_MAX : (uint16_t)n;
}

static void set_counts(struct hl_dimse *response, const struct hilum_suboperations *counts)
{
    response->has_counts = true;
    response->remaining = as_count(counts->remaining);
    response->completed = as_count(counts->completed);
    response->failed = as_count(counts->failed);
    response->warning = as_count(counts->warning);
}

/* For the audit row: how many answers, the final status, the last counts. */
static void note_response(struct hl_exchange_tally *tally, uint16_t status, bool has_data,
                          const struct hilum_suboperations *counts)
{
    bool is_pending = hl_dimse_is_pending(status);
    tally->answers += is_pending && has_data;
    if (!is_pending)
        tally->status = status;
    if (counts)
        tally->counts = *counts;
}

/* What could not be sent is told to the peer in few words with a number that `hilum explain` knows, and to the
 * trace of the association. */
static void tell_failures(hilum_exchange *exchange, struct hl_dimse *response)
{
    const struct hl_request *wire = exchange->wire;
    char comment[sizeof response->comment], what[96];
    snprintf(what, sizeof what, "%s by %s",
             wire->command.command_field == HL_C_GET_RQ ? "C-GET" : "C-MOVE",
             exchange->request.calling_aet);
    hl_trace_say(wire->on->scp->parts.trace, wire->on->trace, exchange->why_failed);
    if (hl_request_refusal(wire, "not sent", what, exchange->why_failed, exchange->reference) < 0)
        exchange->reference[0] = 0;
    snprintf(comment, sizeof comment, "%u not sent%s%s", exchange->tally.counts.failed,
             exchange->reference[0] ? ", ref " : "", exchange->reference);
    if (!response->comment[0])
        hl_dimse_set_comment(response, comment);
}

/* Neither success, nor pending, cancelled or a warning (PS3.7 C). */
static bool is_failure(uint16_t status)
{
    return status && (status & 0xFF00) != 0xFF00 && status != 0xFE00 && (status & 0xF000) != 0xB000;
}

/* C-services name offending elements (0000,0901), N-services a list of attributes (0000,1005); PS3.7 9.1
 * and 10.1. */
static void set_offending(struct hl_dimse *response, const uint32_t *tags, uint32_t n)
{
    bool is_normalized = response->command_field & 0x0100;
    for (uint32_t i = 0; !is_normalized && i < n && i < HL_OFFENDING_MAX; i++)
        response->offending[i] = tags[i];
    for (uint32_t i = 0; is_normalized && i < n && i < HL_DIMSE_TAGS; i++)
        response->attributes[response->n_attributes++] = tags[i];
}

/* A status without elements of its own names what the plugin found offending before (offend). */
static void set_details(hilum_exchange *exchange, const struct hilum_dimse_response *answer,
                        struct hl_dimse *response)
{
    hl_dimse_set_comment(response, answer->comment);
    response->error_id = answer->error_id;
    if (answer->counts)
        set_counts(response, answer->counts);
    if (answer->sop_instance)
        snprintf(response->sop_instance, sizeof response->sop_instance, "%s", answer->sop_instance);
    if (is_failure(answer->status) && !answer->n_offending)
        memcpy(response->offending, exchange->offending, sizeof response->offending);
    else
        set_offending(response, answer->offending, answer->n_offending);
    if (exchange->why_failed[0] && answer->status && !hl_dimse_is_pending(answer->status))
        tell_failures(exchange, response);
}

/* A UID cut to fit would be another UID. */
static hilum_rc check_answer(const hilum_exchange *exchange,
                             const struct hilum_dimse_response *answer)
{
    if (exchange->is_over)
        return HILUM_ECLOSED;
    if (exchange->is_answered)
        return hl_fail(HILUM_EINVAL, "the final response has been sent already");
    if (!HILUM_HAS(struct hilum_dimse_response, answer->size, n_offending))
        return hl_fail(HILUM_EINVAL, "response: its size is not filled in");
    if (answer->sop_instance && !hl_uid_is_valid(answer->sop_instance))
        return hl_fail(HILUM_EINVAL, "response: \"%s\" is no UID", answer->sop_instance);
    return HILUM_OK;
}

/* Pending answers of a C-FIND come many at a time; each by itself costs a packet and wakes the peer. The first go at once,
 * of a stream every sixteenth, and whenever the last one is some time ago. */
static bool may_gather(hilum_exchange *exchange, const struct hilum_dimse_response *answer)
{
    int64_t now = hl_mono_ms();
    bool is_pending = hl_dimse_is_pending(answer->status) &&
                      exchange->wire->command.command_field == HL_C_FIND_RQ;
    uint64_t n = exchange->tally.answers;
    bool may = is_pending && n >= GATHER_FIRST && n % GATHER_EVERY != GATHER_EVERY - 1 &&
               now - exchange->sent_ms < GATHER_MS;
    exchange->sent_ms = may ? exchange->sent_ms : now;
    return may;
}

/* One response, with the checks that keep a plugin from breaking the protocol: none after the
 * final one, no invalid UID. */
static hilum_rc answer(hilum_exchange *exchange, const struct hilum_dimse_response *answer)
{
    const struct hl_request *wire = exchange->wire;
    struct hl_buf bytes = {0};
    hilum_rc rc = check_answer(exchange, answer);
    if (rc)
        return rc;
    struct hl_dimse response = hl_dimse_response(&wire->command, answer->status);
    set_details(exchange, answer, &response);
    rc = answer->data ? encode(exchange, answer->data, &bytes) : HILUM_OK;
    if (rc >= 0) {
        hl_ul_more(wire->ul, may_gather(exchange, answer));
        rc = hl_dimse_write(wire->ul, &response, answer->data ? hl_buf_str(&bytes) : NULL,
                            bytes.len);
        hl_ul_more(wire->ul, false);
        /* Also when the writing failed: there is nobody to answer any more. */
        exchange->is_answered = !hl_dimse_is_pending(answer->status);
        note_response(&exchange->tally, answer->status, answer->data != NULL, answer->counts);
        if (rc)
            rc = over(exchange);
    }
    hl_buf_fini(&bytes);
    return rc;
}

/* Once each, up to as many as are told. */
static void offend(hilum_exchange *exchange, uint32_t tag)
{
    for (size_t i = 0; i < HL_OFFENDING_MAX; i++) {
        if (exchange->offending[i] && exchange->offending[i] != tag)
            continue;
        exchange->offending[i] = tag;
        return;
    }
}

static hilum_rc respond(hilum_exchange *exchange, uint16_t status, hilum_dataset *data,
                        const struct hilum_suboperations *counts, const char *comment)
{
    const struct hilum_dimse_response response = {.size = sizeof response,
                                                  .status = status,
                                                  .data = data,
                                                  .counts = counts,
                                                  .comment = comment};
    return answer(exchange, &response);
}

/* Between two responses only a cancel may come; anything else is a peer that does not wait for
 * answers, which nobody agreed to (PS3.7 D.3.3.3). Looks without waiting (poll 0): a plugin
 * asks between two matches. */
static hilum_rc cancelled(hilum_exchange *exchange)
{
    struct hl_ul_assoc *ul = exchange->wire->ul;
    while (!exchange->is_cancelled && !exchange->is_over) {
        struct hl_dimse message;
        hilum_rc rc = hl_ul_poll(ul, 0);
        if (rc == 0)
            return 0;
        if (rc < 0 || hl_dimse_read(ul, &message) || message.command_field != HL_C_CANCEL_RQ)
            return over(exchange);
        exchange->is_cancelled = message.message_id_responded == exchange->request.message_id;
    }
    return exchange->is_over ? HILUM_ECLOSED : 1;
}

/* ---- sending ---------------------------------------------------------------------------------- */

/* A call of send(): how its progress comes back to the plugin, and whether the plugin stopped
 * it. */
struct sending {
    hilum_exchange *exchange;
    hilum_send_cb progress;
    void *arg;
    struct hilum_suboperations *counts;
    hilum_rc stopped;
};

/* Sub-operations end as completed, failed or warning (PS3.4 C.4.2.1.6 to 9): a status other than
 * 0 that is no failure is a warning. */
static void count(struct hilum_suboperations *counts, const struct hl_send_item *item)
{
    counts->remaining--;
    if (item->rc != HILUM_OK)
        counts->failed++;
    else if (item->status)
        counts->warning++;
    else
        counts->completed++;
}

/* At the end, from the items themselves: of those that were under way when the plugin stopped, progress was not told any
 * more, and they have been sent all the same. */
static void count_all(struct hilum_suboperations *counts, const struct hl_send_item *items,
                      uint64_t n)
{
    *counts = (struct hilum_suboperations){.size = sizeof *counts, .remaining = (uint32_t)n};
    for (uint64_t i = 0; i < n; i++)
        if (items[i].rc != HILUM_ECANCELLED)
            count(counts, &items[i]);
}

/* On the thread of the exchange. item NULL: nothing ended, the plugin is only asked whether to
 * go on. */
static hilum_rc on_progress(void *arg, const struct hl_send_item *item)
{
    struct sending *sending = arg;
    if (item)
        count(sending->counts, item);
    if (sending->progress && !sending->stopped)
        sending->stopped = sending->progress(sending->arg, sending->counts);
    return sending->stopped;
}

/* Sub-operations of a C-GET come back over the association they were asked on (PS3.4 C.4.3). */
static hilum_rc send_back(struct sending *sending, struct hl_send_item *items, uint64_t n,
                          const struct hl_send_options *options)
{
    const struct hl_request *wire = sending->exchange->wire;
    if (hl_scu_store_on(wire->ul, wire->on->scp->parts.store, items, n, options,
                        &wire->on->next_message_id))
        return over(sending->exchange);
    return sending->stopped;
}

/* May `who` have every study these objects are of? One look-up a study that is not like the
 * one before. Asked again here although the plugin has asked what it found: a plugin's mistake
 * must not send a study to somebody who may not have it. */
static hilum_rc may_all(hilum_exchange *exchange, const struct hl_principal *who,
                        const char *action, const struct hl_send_item *items, uint64_t n)
{
    struct hl_record *record = exchange->wire->on->scp->parts.record;
    char last[65] = "";
    hilum_rc rc = hl_allow(who, action, NULL);
    bool is_narrowed = hl_filter_of(who, action).n > 0;
    for (uint64_t i = 0; rc == HILUM_OK && is_narrowed && i < n; i++) {
        struct hl_stored stored;
        const struct hl_resource about = {.study_uid = stored.study_uid};
        rc = hl_record_stored_by_id(record, items[i].instance_id, &stored);
        /* Gone since it was found: nothing to withhold, and its sending tells. */
        if (rc == HILUM_ENOTFOUND) {
            rc = HILUM_OK;
            continue;
        }
        if (rc != HILUM_OK || !strcmp(stored.study_uid, last))
            continue;
        rc = hl_allow(who, action, &about);
        snprintf(last, sizeof last, "%s", stored.study_uid);
    }
    return rc;
}

/* Over associations of our own to the destination (C-MOVE). The place in the message pool is
 * lent meanwhile: the destination may take minutes. */
static hilum_rc send_to(struct sending *sending, const char *destination,
                        struct hl_send_item *items, uint64_t n,
                        const struct hl_send_options *options)
{
    const struct hl_assoc *on = sending->exchange->wire->on;
    const struct hl_peer *peer = hl_peers_by_aet(on->policy->peers, destination);
    if (!peer || !peer->host)
        return hl_fail(HILUM_ENOTFOUND, "no peer with a host has the AE title \"%s\"", destination);
    const struct hl_principal to = {.kind = HL_PRINCIPAL_PEER,
                                    .peer = peer,
                                    .address = peer->host,
                                    .view = hl_policy_view(on->policy, peer),
                                    .studies = on->scp->parts.studies};
    hilum_rc rc = may_all(sending->exchange, &to, "receive", items, n);
    if (rc)
        return rc;
    /* What became of it is in the items; that nobody could be reached is their failure too. */
    struct hl_ul_assoc *ul = sending->exchange->wire->ul;
    /* Or a few slow destinations would hold all threads of the message pool. */
    hl_ul_wait_elsewhere(ul, true);
    (void)hl_scu_store(on->scp->parts.scu, peer, items, n, options);
    hl_ul_wait_elsewhere(ul, false);
    return sending->stopped;
}

/* The first failure stands for the others: mostly they are of one kind. */
static void note_why(hilum_exchange *exchange, const struct hl_stored *stored,
                     const struct hl_send_item *item, uint64_t n)
{
    if (!exchange->why_failed[0])
        snprintf(exchange->why_failed, sizeof exchange->why_failed, "%u of %llu not sent; %s: %s",
                 exchange->tally.counts.failed, (unsigned long long)n, stored->sop_instance,
                 item->detail);
}

/* UIDs of what was not sent, for the Failed SOP Instance UID List (PS3.4 C.4.2.1.4.2). What was
 * only not reached before a cancel is no failure. */
static void note_failed(hilum_exchange *exchange, const struct hl_send_item *items, uint64_t n)
{
    struct hl_stored stored;
    hl_buf_clear(&exchange->failed);
    exchange->why_failed[0] = 0;
    for (uint64_t i = 0; i < n; i++) {
        if (items[i].rc == HILUM_OK || items[i].rc == HILUM_ECANCELLED ||
            hl_record_stored_by_id(exchange->wire->on->scp->parts.record, items[i].instance_id,
                                   &stored))
            continue;
        hl_buf_text(&exchange->failed, exchange->failed.len ? "\\" : "");
        hl_buf_text(&exchange->failed, stored.sop_instance);
        note_why(exchange, &stored, &items[i], n);
    }
}

static hilum_rc send_items(struct sending *sending, const char *destination,
                           struct hl_send_item *items, uint64_t n, int64_t as_of)
{
    hilum_exchange *exchange = sending->exchange;
    struct hl_send_options options = {.as_of = as_of,
                                      .connections = SUB_ASSOCIATIONS,
                                      .priority = exchange->request.priority,
                                      .progress = on_progress,
                                      .arg = sending};
    if (!destination) {
        options.preference = exchange->wire->on->principal.peer;
        options.is_cancelled = &exchange->is_cancelled;
        return send_back(sending, items, n, &options);
    }
    options.originator_aet = exchange->request.calling_aet;
    options.originator_id = exchange->request.message_id;
    return send_to(sending, destination, items, n, &options);
}

/* Counts begin with everything remaining, so that a failure before the first object leaves a
 * true sum. */
static hilum_rc send(hilum_exchange *exchange, const char *destination, const int64_t *instances,
                     uint64_t n, int64_t as_of, hilum_send_cb progress, void *arg,
                     struct hilum_suboperations *total, const char **failed)
{
    struct hl_send_item *items = calloc(n + 1, sizeof *items);
    if (!items)
        return hl_fail(HILUM_ENOMEM, "%llu objects: out of memory", (unsigned long long)n);
    struct hilum_suboperations counts = {.size = sizeof counts, .remaining = (uint32_t)n};
    struct sending sending = {exchange, progress, arg, &counts, HILUM_OK};
    for (uint64_t i = 0; i < n; i++)
        items[i] = (struct hl_send_item){.instance_id = instances[i], .rc = HILUM_ECANCELLED};
    hilum_rc rc =
        may_all(exchange, &exchange->wire->on->principal, destination ? "move" : "get", items, n);
    if (rc == HILUM_OK)
        rc = send_items(&sending, destination, items, n, as_of);
    count_all(&counts, items, n);
    hl_sized_give(total, &counts, sizeof counts);
    exchange->tally.counts = counts;
    note_failed(exchange, items, n);
    *failed = hl_buf_str(&exchange->failed);
    free(items);
    return exchange->is_over ? HILUM_ECLOSED : rc;
}

/* ---- the table -------------------------------------------------------------------------------- */

const struct hilum_dicom_api *hl_dicom_api(void)
{
    static const struct hilum_dicom_api api = {
        .size = sizeof api,
        .request = request,
        .principal = principal,
        .identifier = identifier,
        .respond = respond,
        .cancelled = cancelled,
        .send = send,
        .dataset_new = hl_dataset_api_new,
        .dataset_free = hl_dataset_api_free,
        .get = hl_dataset_api_get,
        .put = hl_dataset_api_put,
        .at = hl_dataset_api_at,
        .get_tag = hl_dataset_api_get_tag,
        .put_tag = hl_dataset_api_put_tag,
        .vr = hl_dict_vr,
        .keyword = hl_dict_keyword,
        .json = hl_dataset_api_json,
        .tag = hl_dict_tag,
        .offend = offend,
        .answer = answer,
        .items = hl_dataset_api_items,
        .parse = hl_dataset_api_parse,
        .write = hl_dataset_api_write,
    };
    return &api;
}
