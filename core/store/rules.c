/* What rules say about an instance on its way in. An event is built only when somebody listens.
 *
 * Called on the ingest's thread; hooks run there, too, in the order the bus has found. A verdict
 * decides at once, edits and choices are collected and met when the object is written.
 *
 * Hooks may block (a script's limit bounds each), so a slow rule slows its own sender and
 * nobody else. No lock is held while they run.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/store/store_internal.h"

#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/log.h"

uint32_t hl_store_tag(const struct hl_store *store, const char *keyword, const char **vr)
{
    const struct hl_header_field *field = hl_header_field_find(keyword);
    *vr = field != NULL ? field->vr : "LO"; /* for implicit syntaxes; else the element tells */
    if (field != NULL)
        return field->tag;
    return store->options.tag != NULL ? store->options.tag(keyword) : 0;
}

/* An attribute a rule asks for: its own edit first, then what was read, then the scan. */
static bool resolve(void *arg, const char *keyword, struct hl_buf *out)
{
    const struct hl_ingest *ingest = arg;
    const char *vr = NULL;
    uint32_t tag = hl_store_tag(ingest->store, keyword, &vr);
    const char *text = tag != 0 ? hl_attrs_get(&ingest->edits, tag) : NULL;
    if (text == NULL && tag != 0)
        text = hl_attrs_get(&ingest->attrs, tag);
    if (text != NULL) {
        hl_buf_text(out, text);
        return true;
    }
    bool was_repaired = false;
    return tag != 0 && ingest->scan != NULL &&
           hl_header_text(ingest->scan, tag, vr, ingest->source.charset_repair, out, &was_repaired);
}

/* Identity of the objects may not change under the sender's feet (architecture section 2). SOP
 * Class, SOP Instance, Study and Series Instance UID: the sender's later queries and storage
 * commitments name them. Groups 0000 and 0002 are no part of a data set. */
static bool is_fixed(uint32_t tag)
{
    return tag == HL_TAG(0x0008, 0x0016) || tag == HL_TAG(0x0008, 0x0018) ||
           tag == HL_TAG(0x0020, 0x000D) || tag == HL_TAG(0x0020, 0x000E) || tag >> 16 <= 2;
}

/* The element's own VR, else the dictionary's: as overlay.c will write it. */
static const char *vr_to_write(const struct hl_ingest *ingest, uint32_t tag, const char *common)
{
    const struct hl_element *element = ingest->scan ? hl_scan_find(ingest->scan, tag) : NULL;
    if (element != NULL && element->vr[0] != '\0' && strcmp(element->vr, "UN") != 0)
        return element->vr;
    if (hl_header_field_at(tag) != NULL || ingest->store->options.vr == NULL)
        return common;
    return ingest->store->options.vr(tag);
}

/* Kept as text; rewrite.c makes bytes of it. */
static hilum_rc edit(void *arg, const char *keyword, const char *utf8)
{
    struct hl_ingest *ingest = arg;
    const char *vr = NULL;
    uint32_t tag = hl_store_tag(ingest->store, keyword, &vr);
    if (tag == 0)
        return hl_fail(HILUM_EINVAL, "%s: no such attribute", keyword);
    if (is_fixed(tag))
        return hl_fail(HILUM_EDENIED, "%s: a transform may not change it", keyword);
    hilum_rc rc = hl_value_check(keyword, tag, vr_to_write(ingest, tag, vr), utf8);
    return rc < 0 ? rc : hl_attrs_set(&ingest->edits, tag, utf8);
}

/* Texts are copied into the event; attributes are looked up when asked for. */
static hilum_event *event_new(struct hl_ingest *ingest, const char *name)
{
    const struct hl_ingest_source *source = &ingest->source;
    hilum_event *event = hl_event_new(name);
    if (event == NULL)
        return NULL;
    hl_event_set_text(event, "calling_aet", source->calling_aet);
    hl_event_set_text(event, "called_aet", source->called_aet);
    hl_event_set_text(event, "address", source->address);
    hl_event_set_text(event, "peer", source->peer);
    hl_event_set_text(event, "kind", source->kind);
    hl_event_set_text(event, "SOPClassUID", ingest->sop_class);
    hl_event_set_text(event, "SOPInstanceUID", ingest->sop_instance);
    hl_event_set_text(event, "TransferSyntaxUID", ingest->transfer_syntax);
    hl_event_set_resolver(event, resolve, edit, ingest);
    return event;
}

static void hold(struct hl_ingest *ingest, const struct hl_verdict *verdict)
{
    if (ingest->is_held)
        return; /* the first reason stands */
    ingest->is_held = true;
    snprintf(ingest->held_by, sizeof ingest->held_by, "%s", verdict->hook);
    snprintf(ingest->held_reason, sizeof ingest->held_reason, "%s", verdict->reason);
}

/* Answered with success and kept nowhere: the audit row is all there will ever be. Audited
 * before the answer and not queued as a job: nothing of the object will be left to look it up
 * by. */
static void discard(struct hl_ingest *ingest, const struct hl_verdict *verdict)
{
    struct hl_buf after = {0};
    hl_buf_text(&after, "{\"rule\":");
    hl_buf_json_string(&after, verdict->hook);
    hl_buf_text(&after, ",\"reason\":");
    hl_buf_json_string(&after, verdict->reason);
    hl_buf_text(&after, "}");
    ingest->is_discarded = true;
    atomic_fetch_add(&ingest->store->discarded, 1);
    const char *peer = ingest->source.peer;
    char who[128];
    snprintf(who, sizeof who, "%s %s (%s)", peer && *peer ? "peer" : "unknown peer",
             peer && *peer ? peer : ingest->source.calling_aet, ingest->source.address);
    if (hl_record_audit(ingest->store->record, who, "instance.discarded", ingest->sop_instance,
                        NULL, hl_buf_str(&after)) != HILUM_OK)
        hl_log(HL_ERROR, "store", "%s: discarded by %s, not audited: %s", ingest->sop_instance,
               verdict->hook, hl_error());
    hl_buf_fini(&after);
}

/* Refusal by a rule is 0124 (PS3.7 C: not authorized): final, so that a sender does not retry what will be
 * refused again; deferral is A700, which senders retry. */
static hilum_rc judge(struct hl_ingest *ingest, const struct hl_verdict *verdict)
{
    switch (verdict->verdict) {
    case HILUM_REJECT:
        hl_fail(HILUM_EDENIED, "rule %s: %s", verdict->hook, verdict->reason);
        return hl_ingest_refuse(ingest, HILUM_EDENIED, 0x0124, 0, "rejected by rule");
    case HILUM_DEFER:
        hl_fail(HILUM_EAGAIN, "rule %s: %s", verdict->hook, verdict->reason);
        return hl_ingest_refuse(ingest, HILUM_EAGAIN, 0xA700, 0, "deferred by rule");
    case HILUM_HOLD: hold(ingest, verdict); return HILUM_OK;
    case HILUM_DISCARD: discard(ingest, verdict); return HILUM_OK;
    default: return HILUM_OK;
    }
}

/* As a rule that failed: kept where objects go by default, flagged for a person. */
static void choice_fail(struct hl_ingest *ingest, const struct hl_verdict *verdict)
{
    struct hl_verdict held = {.verdict = HILUM_HOLD};
    snprintf(held.hook, sizeof held.hook, "%s", *verdict->hook ? verdict->hook : "core/choose");
    snprintf(held.reason, sizeof held.reason, "%s", hl_error());
    hl_log(HL_ERROR, "store", "%s: %s", ingest->sop_instance, held.reason);
    hold(ingest, &held);
}

/* Choices are read after the verdict: what was refused or discarded needs no store. */
static hilum_rc dispatch(struct hl_ingest *ingest, hilum_event *event, const char *name,
                         unsigned phase)
{
    struct hl_verdict verdict = {0};
    if (!hl_bus_wants(ingest->store->bus, name, phase))
        return HILUM_OK;
    hl_bus_dispatch(ingest->store->bus, event, phase, &verdict);
    hilum_rc rc = judge(ingest, &verdict);
    if (rc == HILUM_OK && !ingest->is_discarded && hl_choices_take(ingest, event) != HILUM_OK)
        choice_fail(ingest, &verdict);
    return rc;
}

/* Before the first byte: only what the command says is known. The event outlives the call: its
 * plan is recorded with the row, together with that of instance.received. */
hilum_rc hl_rules_offered(struct hl_ingest *ingest)
{
    struct hl_bus *bus = ingest->store->bus;
    if (bus == NULL || !hl_bus_wants(bus, "instance.offered", HILUM_FILTER))
        return HILUM_OK;
    ingest->offered = event_new(ingest, "instance.offered");
    if (ingest->offered == NULL)
        return hl_ingest_fail(ingest, NULL, HILUM_ENOMEM, "out of memory");
    return dispatch(ingest, ingest->offered, "instance.offered", HILUM_FILTER);
}

/* The header is known; filters see it before transforms change it. One event for both phases,
 * so that a filter's plan and a transform's stay in order; a hold by a filter does not keep
 * transforms from running, since the object is stored all the same. */
hilum_rc hl_rules_received(struct hl_ingest *ingest)
{
    static const char name[] = "instance.received";
    struct hl_bus *bus = ingest->store->bus;
    if (bus == NULL ||
        (!hl_bus_wants(bus, name, HILUM_FILTER) && !hl_bus_wants(bus, name, HILUM_TRANSFORM)))
        return HILUM_OK;
    ingest->received = event_new(ingest, name);
    if (ingest->received == NULL)
        return hl_ingest_fail(ingest, NULL, HILUM_ENOMEM, "out of memory");
    hilum_rc rc = dispatch(ingest, ingest->received, name, HILUM_FILTER);
    if (rc == HILUM_OK && !ingest->is_discarded)
        rc = dispatch(ingest, ingest->received, name, HILUM_TRANSFORM);
    return rc;
}
