/* Queries and retrievals as events and audit rows: who asked for what, how it ended. It knows
 * nothing of matching and sending.
 *
 * Two moments: before the plugin is asked (hl_inquiry_begin, on the message's thread, may
 * refuse) and after the answer (hl_inquiry_end, written by the pool `after`). Values of keys go
 * into the audit row, which is the place for them, and never into the log.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/dicom/inquiry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/dicom/dcmtk/dataset.h"

enum {
    SUCCESS = 0x0000,
    NOT_AUTHORIZED = 0x0124,
    FIND_RESOURCES = 0xA700,
    RETRIEVE_RESOURCES = 0xA702
};
/* Bounds on what a requester can make us write: bytes of a value, keys of a row, rows that wait
 * to be written. */
enum { VALUE_MAX = 256, KEYS_MAX = 64, BACKLOG_MAX = 256 };

/* The commands that are told, with the event before, the event after and the word for people. */
static const struct kind {
    uint16_t command;
    const char *asked, *ended, *action;
} kinds[] = {
    {HL_C_FIND_RQ, "query.received", "query.answered", "find"},
    {HL_C_MOVE_RQ, "retrieve.requested", "retrieve.done", "move"},
    {HL_C_GET_RQ, "retrieve.requested", "retrieve.done", "get"},
};

static const struct kind *kind_of(const struct hl_request *request)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].command == request->command.command_field)
            return &kinds[i];
    return NULL;
}

/* "" where the identifier does not have it or cannot be read. */
static const char *key(hilum_exchange *exchange, const char *keyword)
{
    const struct hilum_dicom_api *api = hl_dicom_api();
    hilum_dataset *identifier = api->identifier(exchange);
    const char *value = identifier ? api->get(identifier, keyword) : NULL;
    return value ? value : "";
}

/* ---- the event -------------------------------------------------------------------------------- */

static bool resolve(void *arg, const char *keyword, struct hl_buf *out)
{
    const struct hilum_dicom_api *api = hl_dicom_api();
    hilum_dataset *identifier = api->identifier(arg);
    const char *value = identifier ? api->get(identifier, keyword) : NULL;
    hl_buf_text(out, value ? value : "");
    return value != NULL;
}

/* The level decides what the other keys mean: a hook that changed it would ask another question. */
static hilum_rc edit(void *arg, const char *keyword, const char *utf8)
{
    const struct hilum_dicom_api *api = hl_dicom_api();
    hilum_dataset *identifier = api->identifier(arg);
    uint32_t tag = api->tag(keyword);
    if (!identifier || !tag)
        return hl_fail(HILUM_EINVAL, "%s: no such attribute", keyword);
    if (tag == api->tag("QueryRetrieveLevel"))
        return hl_fail(HILUM_EDENIED, "%s: a transform may not change it", keyword);
    return api->put_tag(identifier, tag, utf8);
}

/* The fields of both events. NULL: no memory. */
static hilum_event *event_new(hilum_exchange *exchange, const struct hl_request *request,
                              const char *name, const char *action)
{
    const struct hilum_dimse_request *asked = hl_dicom_api()->request(exchange);
    const struct hl_principal *who = &request->on->principal;
    hilum_event *event = hl_event_new(name);
    if (!event)
        return NULL;
    hl_event_set_text(event, "calling_aet", asked->calling_aet);
    hl_event_set_text(event, "called_aet", asked->called_aet);
    hl_event_set_text(event, "address", who->address);
    hl_event_set_text(event, "peer", who->peer ? who->peer->name : "");
    hl_event_set_text(event, "command", action);
    hl_event_set_text(event, "SOPClassUID", request->context->abstract_syntax);
    hl_event_set_text(event, "QueryRetrieveLevel", key(exchange, "QueryRetrieveLevel"));
    if (request->command.command_field == HL_C_MOVE_RQ)
        hl_event_set_text(event, "destination", asked->move_destination);
    return event;
}

/* ---- before ----------------------------------------------------------------------------------- */

/* A hook that failed has not said yes. Discard is an answer without matches: success, as if
 * there was nothing. */
static uint16_t status_of(const struct hl_request *request, int32_t verdict)
{
    if (verdict == HILUM_DISCARD)
        return SUCCESS;
    if (verdict == HILUM_REJECT)
        return NOT_AUTHORIZED;
    return request->command.command_field == HL_C_FIND_RQ ? FIND_RESOURCES : RETRIEVE_RESOURCES;
}

/* The peer hears a status and a reference; the reason with the rule's name is kept under that
 * reference. */
static void refuse(hilum_exchange *exchange, const struct hl_request *request,
                   const struct kind *kind, const struct hl_verdict *verdict)
{
    char reference[16] = "", comment[65], why[400];
    uint16_t status = status_of(request, verdict->verdict);
    snprintf(why, sizeof why, "%s: %s", verdict->hook, verdict->reason);
    if (status != SUCCESS &&
        hl_request_refusal(request, verdict->hook, kind->asked, why, reference) < 0)
        reference[0] = 0;
    hl_log(HL_WARN, "dicom", "%s: not let pass by %s: %04x", kind->asked, verdict->hook, status);
    snprintf(comment, sizeof comment, "%s%s%s", reference, reference[0] ? " " : "",
             status == SUCCESS ? "" : verdict->reason);
    (void)hl_dicom_api()->respond(exchange, status, NULL, NULL, comment);
}

/* Without memory for the event the request is refused: a guard that could not be asked has not
 * agreed. */
static bool dispatch(hilum_exchange *exchange, const struct hl_request *request,
                     const struct kind *kind, unsigned phase)
{
    struct hl_bus *bus = request->on->scp->parts.bus;
    if (!bus || !hl_bus_wants(bus, kind->asked, phase))
        return true;
    struct hl_verdict verdict = {.verdict = HILUM_HOLD, .reason = "out of memory"};
    hilum_event *event = event_new(exchange, request, kind->asked, kind->action);
    if (event) {
        hl_event_set_resolver(event, resolve, edit, exchange);
        hl_bus_dispatch(bus, event, phase, &verdict);
    }
    hl_event_free(event);
    bool passes = verdict.verdict == HILUM_PASS || verdict.verdict == HILUM_ACCEPT;
    if (!passes)
        refuse(exchange, request, kind, &verdict);
    return passes;
}

/* A retrieval has no transform: its keys are UIDs, and others would be other objects. */
bool hl_inquiry_begin(hilum_exchange *exchange, const struct hl_request *request)
{
    const struct kind *kind = kind_of(request);
    if (!kind)
        return true;
    if (!dispatch(exchange, request, kind, HILUM_FILTER))
        return false;
    return kind->command != HL_C_FIND_RQ || dispatch(exchange, request, kind, HILUM_TRANSFORM);
}

/* ---- after ------------------------------------------------------------------------------------ */

/* What is written when the peer has its answer. */
struct after {
    struct hl_record *record;
    const char *action, *event; /* event: NULL when no hook waits for it */
    char who[128], what[128], study[65];
    struct hl_buf audit, fields;
};

static void after_free(struct after *after)
{
    hl_buf_fini(&after->audit);
    hl_buf_fini(&after->fields);
    free(after);
}

static void write_after(void *arg)
{
    struct after *after = arg;
    int64_t id;
    if (hl_record_audit(after->record, after->who, after->action, after->what, NULL,
                        hl_buf_str(&after->audit)))
        hl_log(HL_ERROR, "dicom", "%s by %s was not audited: %s", after->action, after->who,
               hl_error());
    if (after->event && hl_record_journal_append(after->record, after->event, after->study,
                                                 hl_buf_str(&after->fields), &id))
        hl_log(HL_WARN, "dicom", "%s was not journaled: %s", after->event, hl_error());
    after_free(after);
}

/* A value of a key at most VALUE_MAX long, cut between characters: a peer chooses its length. */
static void add_value(struct hl_buf *json, const char *value)
{
    char text[VALUE_MAX + 4];
    size_t n = strnlen(value, VALUE_MAX);
    bool is_cut = value[n] != 0;
    while (is_cut && n && ((unsigned char)value[n] & 0xC0) == 0x80)
        n--;
    snprintf(text, sizeof text, "%.*s%s", (int)n, value, is_cut ? "..." : "");
    hl_buf_json_string(json, text);
}

/* Keys with a value: what was asked for. Those without one are only wanted in the answers.
 * (0008,0005) and (0008,0052), character set and level, are no keys. */
static void add_keys(hilum_exchange *exchange, struct hl_buf *json)
{
    const struct hilum_dicom_api *api = hl_dicom_api();
    hilum_dataset *identifier = api->identifier(exchange);
    uint32_t tag;
    char vr[3];
    unsigned n = 0;
    hl_buf_text(json, ",\"keys\":{");
    for (uint64_t i = 0; identifier && n < KEYS_MAX && !api->at(identifier, i, &tag, vr); i++) {
        const char *value = api->get_tag(identifier, tag), *name = hl_dict_keyword(tag);
        if (!value || !*value || tag == 0x00080005 || tag == 0x00080052)
            continue;
        hl_buf_printf(json, "%s\"%s\":", n++ ? "," : "", name ? name : "unknown");
        add_value(json, value);
    }
    hl_buf_byte(json, '}');
}

/* How it ended: the status, or that the association did, and what came of it. */
static void add_end(hilum_exchange *exchange, const struct kind *kind, struct hl_buf *json)
{
    const struct hl_exchange_tally *tally = hl_exchange_tally(exchange);
    if (hl_exchange_is_answered(exchange))
        hl_buf_printf(json, ",\"status\":\"%04X\"", tally->status);
    else
        hl_buf_text(json, ",\"status\":\"association ended\"");
    if (kind->command == HL_C_FIND_RQ)
        hl_buf_printf(json, ",\"answers\":%llu", (unsigned long long)tally->answers);
    else
        hl_buf_printf(json, ",\"completed\":%u,\"failed\":%u,\"warning\":%u,\"remaining\":%u",
                      tally->counts.completed, tally->counts.failed, tally->counts.warning,
                      tally->counts.remaining);
    if (*hl_exchange_reference(exchange))
        hl_buf_printf(json, ",\"reference\":\"%s\"", hl_exchange_reference(exchange));
}

static void describe_audit(hilum_exchange *exchange, const struct kind *kind, struct after *after)
{
    struct hl_buf *json = &after->audit;
    hl_buf_printf(json, "{\"command\":\"%s\",\"level\":", kind->action);
    add_value(json, key(exchange, "QueryRetrieveLevel"));
    if (kind->command == HL_C_MOVE_RQ) {
        hl_buf_text(json, ",\"destination\":");
        add_value(json, hl_dicom_api()->request(exchange)->move_destination);
    }
    add_keys(exchange, json);
    add_end(exchange, kind, json);
    hl_buf_byte(json, '}');
}

static void describe_event(hilum_exchange *exchange, const struct hl_request *request,
                           const struct kind *kind, struct after *after)
{
    const struct hl_exchange_tally *tally = hl_exchange_tally(exchange);
    char status[8] = "";
    hilum_event *event = event_new(exchange, request, kind->ended, kind->action);
    if (!event)
        return;
    if (hl_exchange_is_answered(exchange))
        snprintf(status, sizeof status, "%04X", tally->status);
    hl_event_set_text(event, "status", status);
    hl_event_set_text(event, "StudyInstanceUID", key(exchange, "StudyInstanceUID"));
    hl_event_set_text(event, "PatientID", key(exchange, "PatientID"));
    if (kind->command == HL_C_FIND_RQ) {
        hl_event_set_int(event, "answers", (int64_t)tally->answers);
    } else {
        hl_event_set_int(event, "completed", tally->counts.completed);
        hl_event_set_int(event, "failed", tally->counts.failed);
        hl_event_set_int(event, "warning", tally->counts.warning);
    }
    hl_event_to_json(event, &after->fields);
    hl_event_free(event);
    after->event = kind->ended;
}

/* The study where one was named, so that its story has the row; otherwise what comes next to it. */
static void name_what(hilum_exchange *exchange, struct after *after)
{
    const char *study = key(exchange, "StudyInstanceUID"), *patient = key(exchange, "PatientID");
    if (*study && strlen(study) < sizeof after->study && !strpbrk(study, "\\*?"))
        snprintf(after->study, sizeof after->study, "%s", study);
    if (after->study[0])
        snprintf(after->what, sizeof after->what, "%s", after->study);
    else if (*study)
        snprintf(after->what, sizeof after->what, "studies");
    else if (*patient)
        snprintf(after->what, sizeof after->what, "PatientID=%s", patient);
    else
        snprintf(after->what, sizeof after->what, "level %s", key(exchange, "QueryRetrieveLevel"));
}

/* Everything is copied out of the exchange here, since the exchange is gone when the row is
 * written. */
void hl_inquiry_end(hilum_exchange *exchange, const struct hl_request *request)
{
    struct hl_scp *scp = request->on->scp;
    const struct kind *kind = kind_of(request);
    struct after *after = kind ? calloc(1, sizeof *after) : NULL;
    if (!after)
        return;
    after->record = scp->parts.record;
    after->action = kind->command == HL_C_FIND_RQ ? "query" : "retrieve";
    hl_principal_text(&request->on->principal, after->who, sizeof after->who);
    name_what(exchange, after);
    describe_audit(exchange, kind, after);
    if (scp->parts.bus && hl_bus_wants(scp->parts.bus, kind->ended, HILUM_NOTIFY))
        describe_event(exchange, request, kind, after);
    /* Who asks faster than it can be written waits. */
    if (hl_pool_backlog(scp->after) >= BACKLOG_MAX || hl_pool_run(scp->after, write_after, after))
        write_after(after);
}
