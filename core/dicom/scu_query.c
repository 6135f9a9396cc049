/* Questions to other systems and their answers (PS3.7 9.1.2-4, 10.1). It knows nothing of who asks and why.
 * Runs in the thread that asks, which waits; each call has an association of its own, opened and ended here, so nothing is
 * shared and no lock is held while a peer is waited for. What the peer feeds is bounded: an answer by ANSWER_MAX, the time
 * between two messages by the call's wait_ms, the number of answers by the asker's callback.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/dicom/scu_query.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/dicom/dataset_api.h"
#include "core/dicom/receive.h"
#include "core/dicom/scu_internal.h"
#include "core/dicom/uid.h"

/* 60 classes of two contexts each and the question's are 121 of 128. LOOK_MS: how often the
 * deadline is looked at. */
enum { ANSWER_MAX = 16 * 1024 * 1024, CLASSES_MAX = 60, LOOK_MS = 1000 };

/* One question under way. */
struct asking {
    const struct hl_query_call *call;
    struct hl_link *link;
    const struct hl_ul_context *context; /* of the question itself */
    uint16_t message_id;
    hilum_rc stopped;   /* what the asker's callback said; C-CANCEL has been sent */
    int64_t give_up_ms; /* then: when the peer must have ended (hl_mono_ms) */
    struct hl_buf bytes;
};

hilum_rc hl_query_peer(const char *address, const char *called_aet, char *host, struct hl_peer *out)
{
    enum { HOST = 256 };
    const char *colon = address ? strrchr(address, ':') : NULL;
    char *end = NULL;
    long port = colon ? strtol(colon + 1, &end, 10) : 0;
    size_t n = colon ? (size_t)(colon - address) : 0;
    if (!n || *end || port < 1 || port > 65535 || n >= HOST || !called_aet)
        return hl_fail(HILUM_EINVAL, "address \"%s\": expected HOST:PORT and an AE title",
                       address ? address : "");
    bool is_bracketed = *address == '[' && address[n - 1] == ']';
    snprintf(host, HOST, "%.*s", (int)n - 2 * is_bracketed, address + is_bracketed);
    *out =
        (struct hl_peer){.name = address, .aet = called_aet, .host = host, .port = (uint16_t)port};
    return HILUM_OK;
}

/* ---- the association -------------------------------------------------------------------------- */

static struct hl_ul_context *add_context(struct hl_proposal *proposal, const char *sop_class,
                                         const char *const *syntaxes)
{
    size_t i = proposal->params.n_contexts++;
    struct hl_ul_context *context = &proposal->contexts[i];
    context->id = (uint8_t)(2 * i + 1);
    snprintf(context->abstract_syntax, HL_UID_MAX, "%s", sop_class);
    context->transfer_syntaxes = proposal->syntaxes[i];
    for (; *syntaxes; syntaxes++)
        snprintf(proposal->syntaxes[i][context->n_transfer_syntaxes++], HL_UID_MAX, "%s",
                 *syntaxes);
    return context;
}

static const char *const plain[] = {HL_UID_EXPLICIT_LITTLE_ENDIAN, HL_UID_IMPLICIT_LITTLE_ENDIAN,
                                    NULL};

/* Where objects come back we are their provider (PS3.4 C.5.3). */
static void add_storage(struct hl_proposal *proposal, const char *sop_class,
                        const char *const *syntaxes)
{
    struct hl_ul_context *context = add_context(proposal, sop_class, syntaxes);
    context->has_roles = true;
    context->scu_role = false;
    context->scp_role = true;
}

#define PACKED                                                                                     \
    HL_UID_JPEG_2000_LOSSLESS, HL_UID_JPEG_LOSSLESS_SV1, HL_UID_JPEG_LS_LOSSLESS,                  \
        HL_UID_RLE_LOSSLESS, HL_UID_JPEG_BASELINE, HL_UID_HTJ2K_LOSSLESS

/* Contexts for all classes do not go into one association: what is retired, of other trades or hardly ever sent is left
 * to callers that name it. */
static bool is_usual(const struct hl_uid_entry *class)
{
    static const char *const odd[] = {"Standalone",
                                      "Hardcopy",
                                      "StoredPrint",
                                      "Draft",
                                      "DICOS",
                                      "DICONDE",
                                      "Implant",
                                      "Measurements",
                                      "Delivery",
                                      "RadiationRecord",
                                      "RadiationSet",
                                      "encephalo",
                                      "Administration",
                                      "Electro",
                                      "IntraocularLens",
                                      "Prescription",
                                      "HangingP",
                                      "ColorPalette",
                                      "Photoac",
                                      "RadiationSalvage",
                                      "BodyPosition",
                                      "Confocal",
                                      "TreatmentPrep",
                                      "Corneal",
                                      "PerformedProcedure",
                                      "SurfaceScan",
                                      "Tomotherapeutic",
                                      "RoboticArm",
                                      "CArmPhoton",
                                      "HeightMap",
                                      "StructuredDisplay",
                                      "PhysicianIntent",
                                      "SegmentAnnotation"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        if (strstr(class->name, odd[i]))
            return false;
    return true;
}

/* Compressed in a way that objects are stored in today. */
static bool is_packed(const struct hl_syntax *syntax)
{
    return (syntax->flags & (HL_SYNTAX_ENCAPSULATED | HL_SYNTAX_DEFLATED)) &&
           !(syntax->flags & (HL_SYNTAX_RETIRED | HL_SYNTAX_REFERENCED | HL_SYNTAX_PRIVATE));
}

/* For what is compressed a context for each syntax: a peer takes a single one of a context's, and sends what is stored in that only.
 * false: all classes together leave no room for that. */
static bool add_each(struct hl_proposal *proposal, const char *const *sop_classes, size_t n_classes)
{
    const struct hl_syntax *syntaxes;
    size_t n_syntaxes = hl_uid_syntaxes(&syntaxes), n_packed = 0;
    for (size_t i = 0; i < n_syntaxes; i++)
        n_packed += is_packed(&syntaxes[i]);
    if (proposal->params.n_contexts + n_classes * (n_packed + 1) > HL_PAIRS_MAX)
        return false;
    for (size_t n = 0; n < n_classes; n++) {
        add_storage(proposal, sop_classes[n], plain);
        for (size_t i = 0; i < n_syntaxes; i++)
            if (is_packed(&syntaxes[i]))
                add_storage(proposal, sop_classes[n], (const char *[]){syntaxes[i].uid, NULL});
    }
    return true;
}

/* Of many classes two contexts each: one that keeps what is compressed as it is stored over there, one for the rest. */
static hilum_rc add_named(struct hl_proposal *proposal, const char *const *sop_classes)
{
    static const char *const packed[] = {PACKED, NULL};
    size_t n_classes = 0;
    while (sop_classes[n_classes])
        n_classes++;
    if (n_classes > CLASSES_MAX)
        return hl_fail(HILUM_EINVAL, "more than %d storage classes", CLASSES_MAX);
    if (add_each(proposal, sop_classes, n_classes))
        return HILUM_OK;
    for (size_t n = 0; n < n_classes; n++) {
        add_storage(proposal, sop_classes[n], plain);
        add_storage(proposal, sop_classes[n], packed);
    }
    return HILUM_OK;
}

static void add_usual(struct hl_proposal *proposal)
{
    static const char *const any[] = {HL_UID_EXPLICIT_LITTLE_ENDIAN, HL_UID_IMPLICIT_LITTLE_ENDIAN,
                                      PACKED, NULL};
    const struct hl_uid_entry *known;
    size_t n_known = hl_uid_storage_classes(&known);
    for (size_t i = 0; i < n_known && proposal->params.n_contexts < HL_PAIRS_MAX; i++)
        if (is_usual(&known[i]))
            add_storage(proposal, known[i].uid, any);
}

/* On failure the link stays in `asking`, for close_association. */
static hilum_rc open_association(struct asking *asking, struct hl_proposal *proposal,
                                 const char *sop_class)
{
    const struct hl_query_call *call = asking->call;
    proposal->params.contexts = proposal->contexts;
    hilum_rc rc = hl_link_open(call->scu, call->peer, proposal, &asking->link);
    if (rc)
        return rc;
    const struct hl_ul_params *params = hl_ul_params(asking->link->ul);
    /* The question's context is the first, and stays so whatever is answered; storage may be refused freely. */
    if (params->contexts[0].result != HL_UL_ACCEPTED)
        return hl_fail(HILUM_EUNSUP, "peer %s does not serve %s", call->peer->name,
                       hl_uid_name(sop_class));
    asking->context = &params->contexts[0];
    asking->message_id = ++asking->link->last_message_id;
    return HILUM_OK;
}

/* Returns rc. is_sound: both sides are between two messages, so A-RELEASE can be answered; else A-ABORT (PS3.8 7.2, 7.3). */
static hilum_rc close_association(struct asking *asking, hilum_rc rc, bool is_sound)
{
    if (asking->link && is_sound)
        hl_link_release(asking->link);
    else if (asking->link)
        hl_link_drop(asking->link, hl_error());
    asking->link = NULL;
    hl_buf_fini(&asking->bytes);
    return rc;
}

/* ---- messages --------------------------------------------------------------------------------- */

static hilum_rc send_question(struct asking *asking, struct hl_dimse *request, hilum_dataset *data)
{
    struct hl_buf bytes = {0};
    hilum_rc rc =
        data ? hl_dataset_write(data->data, asking->context->transfer_syntax, &bytes) : HILUM_OK;
    request->message_id = asking->message_id;
    request->context_id = asking->context->id;
    request->has_dataset = data != NULL;
    if (rc >= 0)
        rc = hl_dimse_write(asking->link->ul, request, data ? bytes.data : NULL, bytes.len);
    hl_buf_fini(&bytes);
    return rc < 0 ? rc : HILUM_OK;
}

static hilum_rc cancel(struct asking *asking, hilum_rc why)
{
    struct hl_dimse request = {.command_field = HL_C_CANCEL_RQ,
                               .message_id_responded = asking->message_id,
                               .context_id = asking->context->id};
    if (asking->stopped)
        return HILUM_OK;
    asking->stopped = why;
    asking->give_up_ms = hl_mono_ms() + asking->call->wait_ms;
    return hl_dimse_write(asking->link->ul, &request, NULL, 0);
}

/* The peer may think before it speaks: a matter of its own deadline, not of a PDU's. After a C-CANCEL, which it need not
 * heed (PS3.7 9.3.2.3), one deadline counts for all that still comes: a peer that goes on would hold the asker for ever. */
static hilum_rc read_message(struct asking *asking, struct hl_dimse *message)
{
    const char *peer = asking->call->peer->name;
    int64_t deadline = asking->stopped ? asking->give_up_ms : hl_mono_ms() + asking->call->wait_ms;
    hilum_rc rc = 0;
    while (rc == 0 && hl_mono_ms() < deadline)
        rc = hl_ul_poll(asking->link->ul, LOOK_MS);
    if (rc == 0 && asking->stopped)
        return hl_fail(asking->stopped, "peer %s does not end %u ms after a C-CANCEL", peer,
                       asking->call->wait_ms);
    if (rc == 0)
        return hl_fail(HILUM_ETIMEDOUT, "peer %s says nothing for %u ms", peer,
                       asking->call->wait_ms);
    if (rc > 0)
        rc = hl_dimse_read(asking->link->ul, message);
    return rc < 0 ? hl_fail_in(rc, "peer %s", peer) : HILUM_OK;
}

/* Of hl_dimse_read_dataset: gathers an answer's data set, refuses what is too long for a question's answer. */
static hilum_rc collect(void *arg, const void *bytes, size_t n)
{
    struct hl_buf *buf = arg;
    if (n > ANSWER_MAX - buf->len)
        return hl_fail(HILUM_EFULL, "an answer of more than %d bytes", ANSWER_MAX);
    hl_buf_add(buf, bytes, n);
    return buf->failed ? hl_fail(HILUM_ENOMEM, "an answer: out of memory") : HILUM_OK;
}

/* *out NULL: it has none. */
static hilum_rc read_data(struct asking *asking, const struct hl_dimse *message,
                          hilum_dataset **out)
{
    *out = NULL;
    hl_buf_clear(&asking->bytes);
    if (!message->has_dataset)
        return HILUM_OK;
    hilum_rc rc = hl_dimse_read_dataset(asking->link->ul, message, collect, &asking->bytes);
    return rc ? rc
              : hl_dataset_api_parse(hl_buf_str(&asking->bytes), asking->bytes.len,
                                     asking->context->transfer_syntax, out);
}

/* true: *rc is how it all ended. Pending is FF00 and FF01, a warning B000-BFFF or 0001 (PS3.7 C). */
static bool is_final(struct asking *asking, const struct hl_dimse *response, hilum_rc *rc)
{
    if (hl_dimse_is_pending(response->status))
        return false;
    asking->link->answered++;
    bool is_warning = (response->status & 0xF000) == 0xB000 || response->status == 1;
    if (asking->stopped)
        *rc = asking->stopped;
    else if (response->status == 0 || is_warning)
        *rc = HILUM_OK;
    else
        *rc = hl_fail(response->status == 0x0124 ? HILUM_EDENIED : HILUM_EIO,
                      "peer %s answers with status %04X%s%s", asking->call->peer->name,
                      response->status, response->comment[0] ? ": " : "", response->comment);
    return true;
}

/* One request at a time is outstanding (no asynchronous window is proposed): anything but its response is out of step. */
static hilum_rc check_response(const struct asking *asking, const struct hl_dimse *response,
                               uint16_t command)
{
    if (response->command_field == (command | HL_RSP) &&
        response->message_id_responded == asking->message_id)
        return HILUM_OK;
    return hl_fail(HILUM_EIO, "peer %s answers command %04x by %04x, message %u by %u",
                   asking->call->peer->name, command, response->command_field, asking->message_id,
                   response->message_id_responded);
}

/* ---- C-FIND ----------------------------------------------------------------------------------- */

static hilum_rc hear_match(struct asking *asking, const struct hl_dimse *response,
                           hilum_rc (*each)(void *arg, hilum_dataset *answer), void *arg)
{
    hilum_dataset *answer;
    hilum_rc rc = read_data(asking, response, &answer);
    /* A match has an identifier (PS3.7 9.1.2.1); without one the asker would not be asked whether to go on. */
    if (!rc && !answer && hl_dimse_is_pending(response->status))
        return hl_fail(HILUM_EIO, "peer %s sends a match without identifier",
                       asking->call->peer->name);
    if (rc || !answer)
        return rc;
    /* What was on its way when the C-CANCEL left. */
    hilum_rc said = asking->stopped ? HILUM_OK : each(arg, answer);
    hl_dataset_api_free(answer);
    return said < 0 ? cancel(asking, said) : HILUM_OK;
}

/* `status` is 0 where no final response came: the result tells then. */
hilum_rc hl_query_find(const struct hl_query_call *call, const char *sop_class,
                       hilum_dataset *identifier,
                       hilum_rc (*each)(void *arg, hilum_dataset *answer), void *arg,
                       uint16_t *status)
{
    struct asking asking = {.call = call};
    struct hl_proposal *proposal = calloc(1, sizeof *proposal);
    struct hl_dimse request = {.command_field = HL_C_FIND_RQ}, response = {0};
    if (!proposal)
        return hl_fail(HILUM_ENOMEM, "peer %s: out of memory", call->peer->name);
    snprintf(request.sop_class, sizeof request.sop_class, "%s", sop_class);
    (void)add_context(proposal, sop_class, plain);
    hilum_rc rc = open_association(&asking, proposal, sop_class), end = HILUM_OK;
    if (!rc)
        rc = send_question(&asking, &request, identifier);
    bool is_over = false;
    while (!rc && !is_over) {
        rc = read_message(&asking, &response);
        if (!rc)
            rc = check_response(&asking, &response, HL_C_FIND_RQ);
        if (!rc)
            rc = hear_match(&asking, &response, each, arg);
        is_over = !rc && is_final(&asking, &response, &end);
    }
    if (status)
        *status = is_over ? response.status : 0;
    free(proposal);
    return close_association(&asking, rc ? rc : end, is_over);
}

/* ---- C-MOVE, C-GET ---------------------------------------------------------------------------- */

/* An object of a C-GET: stored as if the peer had sent it here (PS3.4 C.4.3.3), which it must be one to may. */
static hilum_rc take_object(struct asking *asking, const struct hl_dimse *command)
{
    struct hl_ul_assoc *ul = asking->link->ul;
    const struct hl_peer *peer = asking->call->peer;
    const struct hl_ul_params *params = hl_ul_params(ul);
    struct hl_ingest_source source = {.peer = peer->name,
                                      .calling_aet = peer->aet,
                                      .called_aet = params->calling_aet,
                                      .address = params->address,
                                      .default_issuer = peer->default_issuer,
                                      .charset_repair = peer->charset,
                                      .kind = "dimse"};
    if (!hl_ul_context(ul, command->context_id) || !command->has_dataset)
        return hl_fail(HILUM_EINVAL, "peer %s sends an object on no context, or none", peer->name);
    hilum_rc rc =
        hl_receive_object(ul, asking->call->scu->store, &asking->call->sender, &source, command);
    return rc ? hl_fail_in(rc, "peer %s", peer->name) : HILUM_OK;
}

/* A C-MOVE's or C-GET's response; only a pending one can still be cancelled. */
static hilum_rc hear_counts(struct asking *asking, const struct hl_query_retrieve *retrieve,
                            const struct hl_dimse *response)
{
    hilum_dataset *failed; /* the list of UIDs of a final response */
    hilum_rc rc = read_data(asking, response, &failed);
    hl_dataset_api_free(failed);
    struct hilum_suboperations *total = retrieve->total;
    if (response->has_counts)
        *total = (struct hilum_suboperations){.size = sizeof *total,
                                              .remaining = response->remaining,
                                              .completed = response->completed,
                                              .failed = response->failed,
                                              .warning = response->warning};
    hilum_rc said = !rc && !asking->stopped && retrieve->progress
                        ? retrieve->progress(retrieve->arg, total)
                        : HILUM_OK;
    return !rc && said < 0 && hl_dimse_is_pending(response->status) ? cancel(asking, said) : rc;
}

/* Until the final response. A C-GET's objects come in between as C-STORE requests (PS3.4 C.4.3.2). When it fails the
 * association is dropped here, since the peer may be in the middle of a message. */
static hilum_rc converse(struct asking *asking, const struct hl_query_retrieve *retrieve,
                         uint16_t command, struct hl_dimse *response)
{
    hilum_rc rc = HILUM_OK, end = HILUM_OK;
    while (!rc) {
        rc = read_message(asking, response);
        if (!rc && !retrieve->destination && response->command_field == HL_C_STORE_RQ) {
            rc = take_object(asking, response);
            continue;
        }
        if (!rc)
            rc = check_response(asking, response, command);
        if (!rc)
            rc = hear_counts(asking, retrieve, response);
        if (!rc && is_final(asking, response, &end))
            return end;
    }
    response->status = 0;
    hl_link_drop(asking->link, hl_error());
    asking->link = NULL;
    return rc;
}

hilum_rc hl_query_retrieve(const struct hl_query_call *call,
                           const struct hl_query_retrieve *retrieve, hilum_dataset *identifier,
                           uint16_t *status)
{
    struct asking asking = {.call = call};
    struct hl_proposal *proposal = calloc(1, sizeof *proposal);
    uint16_t command = retrieve->destination ? HL_C_MOVE_RQ : HL_C_GET_RQ;
    struct hl_dimse request = {.command_field = command}, response = {0};
    *retrieve->total = (struct hilum_suboperations){.size = sizeof *retrieve->total};
    if (!proposal)
        return hl_fail(HILUM_ENOMEM, "peer %s: out of memory", call->peer->name);
    snprintf(request.sop_class, sizeof request.sop_class, "%s", retrieve->sop_class);
    snprintf(request.move_destination, sizeof request.move_destination, "%s",
             retrieve->destination ? retrieve->destination : "");
    (void)add_context(proposal, retrieve->sop_class, plain);
    hilum_rc rc = HILUM_OK;
    if (!retrieve->destination && retrieve->sop_classes)
        rc = add_named(proposal, retrieve->sop_classes);
    else if (!retrieve->destination)
        add_usual(proposal);
    if (!rc)
        rc = open_association(&asking, proposal, retrieve->sop_class);
    if (!rc)
        rc = send_question(&asking, &request, identifier);
    if (!rc)
        rc = converse(&asking, retrieve, command, &response);
    if (status)
        *status = response.status;
    free(proposal);
    return close_association(&asking, rc, true);
}

/* ---- N-services ------------------------------------------------------------------------------- */

static hilum_rc build_request(const struct hilum_dimse_request *given, struct hl_dimse *out)
{
    switch (given->command_field) {
    case HILUM_N_EVENT_REPORT:
    case HILUM_N_GET:
    case HILUM_N_SET:
    case HILUM_N_ACTION:
    case HILUM_N_CREATE:
    case HILUM_N_DELETE: break;
    default: return hl_fail(HILUM_EINVAL, "command %04x is no N-service", given->command_field);
    }
    if (!given->sop_class || given->n_attributes > HL_DIMSE_TAGS)
        return hl_fail(HILUM_EINVAL, "an N-service without SOP class, or with more than %d tags",
                       HL_DIMSE_TAGS);
    out->command_field = given->command_field;
    out->action_type = given->action_type;
    out->event_type = given->event_type;
    out->n_attributes = (uint16_t)given->n_attributes;
    for (uint32_t i = 0; i < given->n_attributes; i++)
        out->attributes[i] = given->attributes[i];
    snprintf(out->sop_class, sizeof out->sop_class, "%s", given->sop_class);
    snprintf(out->sop_instance, sizeof out->sop_instance, "%s",
             given->sop_instance ? given->sop_instance : "");
    return HILUM_OK;
}

/* An N-service has one response, whatever its status: the asker judges it. */
static hilum_rc hear_answer(struct asking *asking, uint16_t command,
                            struct hilum_scu_answer *answer)
{
    struct hl_dimse response = {0};
    hilum_dataset *data = NULL;
    hilum_rc rc = read_message(asking, &response);
    if (!rc)
        rc = check_response(asking, &response, command);
    if (!rc)
        rc = read_data(asking, &response, &data);
    if (rc)
        return rc;
    asking->link->answered++;
    answer->status = response.status;
    answer->data = data;
    snprintf(answer->sop_instance, sizeof answer->sop_instance, "%s", response.sop_instance);
    snprintf(answer->comment, sizeof answer->comment, "%s", response.comment);
    return HILUM_OK;
}

hilum_rc hl_query_request(const struct hl_query_call *call, const struct hilum_dimse_request *given,
                          hilum_dataset *data, struct hilum_scu_answer *answer)
{
    struct asking asking = {.call = call};
    struct hl_dimse request = {0};
    *answer = (struct hilum_scu_answer){.size = sizeof *answer};
    hilum_rc rc = build_request(given, &request);
    if (rc)
        return rc;
    struct hl_proposal *proposal = calloc(1, sizeof *proposal);
    if (!proposal)
        return hl_fail(HILUM_ENOMEM, "peer %s: out of memory", call->peer->name);
    struct hl_ul_context *context = add_context(proposal, given->sop_class, plain);
    /* Who reports an event is the provider of the SOP class (PS3.4 J.3.3). */
    context->has_roles = given->command_field == HILUM_N_EVENT_REPORT;
    context->scp_role = context->has_roles;
    rc = open_association(&asking, proposal, given->sop_class);
    if (!rc)
        rc = send_question(&asking, &request, data);
    if (!rc)
        rc = hear_answer(&asking, given->command_field, answer);
    free(proposal);
    return close_association(&asking, rc, !rc);
}
