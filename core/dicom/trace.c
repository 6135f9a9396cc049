/* Associations remembered as JSON texts, written once, in one list from the newest to the
 * oldest.
 *
 * One list under one lock: entries are small, writing one is a copy of a text made outside the
 * lock, and readers are people. Bounded per peer (by the caller's `keep`) and over all
 * (BYTES_MAX), for a peer decides how often it comes and what it proposes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/dicom/trace.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/dicom/uid.h"

enum { BYTES_MAX = 8 * 1024 * 1024 }; /* over all peers: a scanner of ports must not fill memory */
enum { NOTES_MAX = 16 };

/* The closing brace is added when read: until the association ends, members are still to come. */
struct entry {
    struct entry *newer, *older;
    uint64_t number;
    char peer[64], aet[HL_AE_MAX], address[64];
    struct hl_buf json;  /* an object without its closing brace */
    struct hl_buf notes; /* sentences, without the brackets of their list */
    unsigned n_notes;
    bool is_open, is_outbound;
};

struct hl_trace {
    pthread_mutex_t lock;
    struct entry *newest, *oldest;
    uint64_t last;
    size_t bytes;
};

hilum_rc hl_trace_new(struct hl_trace **out)
{
    struct hl_trace *trace = calloc(1, sizeof *trace);
    if (!trace)
        return hl_fail(HILUM_ENOMEM, "association trace: out of memory");
    pthread_mutex_init(&trace->lock, NULL);
    *out = trace;
    return HILUM_OK;
}

/* Lock held. An association that is still open may be dropped; what it has to say later finds no
 * entry. */
static void drop(struct hl_trace *trace, struct entry *entry)
{
    *(entry->newer ? &entry->newer->older : &trace->newest) = entry->older;
    *(entry->older ? &entry->older->newer : &trace->oldest) = entry->newer;
    trace->bytes -= sizeof *entry + entry->json.len + entry->notes.len;
    hl_buf_fini(&entry->json);
    hl_buf_fini(&entry->notes);
    free(entry);
}

void hl_trace_free(struct hl_trace *trace)
{
    if (!trace)
        return;
    while (trace->newest)
        drop(trace, trace->newest);
    pthread_mutex_destroy(&trace->lock);
    free(trace);
}

/* ---- writing ----------------------------------------------------------------------------------
 */

/* All but the first of an object; add_head begins it. */
static void member(struct hl_buf *json, const char *name, const char *text)
{
    hl_buf_printf(json, ",\"%s\":", name);
    hl_buf_json_string(json, text);
}

/* What a peer said by a number (PS3.8 9.3.3.2). */
static const char *result_text(uint8_t result)
{
    static const char *const texts[] = {
        [HL_UL_ACCEPTED] = "",
        [HL_UL_USER_REJECTION] = "the peer does not want it (user rejection)",
        [HL_UL_NO_REASON] = "the peer gives no reason (provider rejection)",
        [HL_UL_ABSTRACT_SYNTAX_NOT_SUPPORTED] =
            "the peer does not support the SOP class (abstract syntax not supported)",
        [HL_UL_TRANSFER_SYNTAXES_NOT_SUPPORTED] =
            "the peer supports none of the proposed transfer syntaxes"};
    if (result == HL_UL_NOT_ANSWERED)
        return "the peer did not answer to it";
    return result < sizeof texts / sizeof *texts ? texts[result] : "a result no standard knows";
}

static void add_context(struct hl_buf *json, const struct hl_ul_context *context, bool is_answered,
                        const char *why)
{
    hl_buf_printf(json, "{\"id\":%u", context->id);
    member(json, "sop_class", context->abstract_syntax);
    member(json, "name", hl_uid_name(context->abstract_syntax));
    hl_buf_text(json, ",\"proposed\":[");
    for (size_t i = 0; i < context->n_transfer_syntaxes; i++) {
        hl_buf_text(json, i ? "," : "");
        hl_buf_json_string(json, context->transfer_syntaxes[i]);
    }
    hl_buf_text(json, "]");
    if (context->has_roles)
        hl_buf_printf(json, ",\"scu\":%s,\"scp\":%s", context->scu_role ? "true" : "false",
                      context->scp_role ? "true" : "false");
    if (is_answered)
        hl_buf_printf(json, ",\"result\":%u", context->result);
    if (is_answered && context->result == HL_UL_ACCEPTED)
        member(json, "accepted", context->transfer_syntax);
    else if (is_answered)
        member(json, "why", why ? why : result_text(context->result));
    hl_buf_text(json, "}");
}

static void add_head(struct hl_buf *json, const char *result)
{
    char when[32];
    hl_buf_printf(json, "{\"time\":\"%s\"", hl_time_text(hl_now_us(), when, sizeof when));
    member(json, "result", result);
}

static void add_contexts(struct hl_buf *json, const struct hl_trace_note *note, bool is_answered)
{
    const struct hl_ul_params *params = note->params;
    hl_buf_text(json, ",\"contexts\":[");
    for (size_t i = 0; i < params->n_contexts; i++) {
        hl_buf_text(json, i ? "," : "");
        add_context(json, &params->contexts[i], is_answered, note->whys ? note->whys[i] : NULL);
    }
    hl_buf_text(json, "]");
}

/* Made once, at negotiation, so that a reader costs nothing but copying. */
static void describe(const struct hl_trace_note *note, struct hl_buf *json)
{
    const struct hl_ul_params *params = note->params;
    bool is_rejected = note->reject->result != 0;
    add_head(json, is_rejected ? "rejected" : note->has_failed ? "failed" : "accepted");
    member(json, "direction", note->is_outbound ? "out" : "in");
    if (note->peer)
        member(json, "peer", note->peer);
    member(json, "calling_aet", params->calling_aet);
    member(json, "called_aet", params->called_aet);
    member(json, "address", params->address);
    hl_buf_printf(json, ",\"port\":%u,\"tls\":%s,\"max_pdu\":%u", params->port,
                  params->is_tls ? "true" : "false", params->max_pdu);
    member(json, "implementation", params->implementation_version);
    if (is_rejected || note->has_failed)
        member(json, "why", note->why);
    if (is_rejected)
        hl_buf_printf(json, ",\"code\":\"%u/%u/%u\"", note->reject->result, note->reject->source,
                      note->reject->reason);
    add_contexts(json, note, !is_rejected && !note->has_failed);
}

/* Strangers are told apart by title and address, so that one scanner does not push out another
 * stranger's failure. */
static bool is_same_peer(const struct entry *a, const struct entry *b)
{
    if (a->is_outbound != b->is_outbound)
        return false;
    if (a->peer[0] || b->peer[0])
        return !strcmp(a->peer, b->peer);
    return !strcmp(a->aet, b->aet) && !strcmp(a->address, b->address);
}

/* Forgets the peer's oldest beyond `keep`, then the oldest of all beyond the budget. */
static void make_room(struct hl_trace *trace, const struct entry *newcomer, unsigned keep)
{
    unsigned seen = 0;
    for (struct entry *entry = trace->newest, *older; entry; entry = older) {
        older = entry->older;
        if (is_same_peer(entry, newcomer) && ++seen >= keep)
            drop(trace, entry);
    }
    size_t needed = sizeof *newcomer + newcomer->json.len;
    while (trace->oldest && trace->bytes + needed > BYTES_MAX)
        drop(trace, trace->oldest);
}

/* Takes the entry. Numbers ascend and are never used again. */
static uint64_t insert(struct hl_trace *trace, struct entry *entry, unsigned keep)
{
    pthread_mutex_lock(&trace->lock);
    make_room(trace, entry, keep);
    uint64_t number = entry->number = ++trace->last;
    entry->older = trace->newest;
    *(trace->newest ? &trace->newest->newer : &trace->oldest) = entry;
    trace->newest = entry;
    trace->bytes += sizeof *entry + entry->json.len;
    pthread_mutex_unlock(&trace->lock);
    return number;
}

/* Without memory the association goes on untraced. */
uint64_t hl_trace_add(struct hl_trace *trace, const struct hl_trace_note *note)
{
    struct entry *entry = note->keep ? calloc(1, sizeof *entry) : NULL;
    if (!entry)
        return 0;
    snprintf(entry->peer, sizeof entry->peer, "%s", note->peer ? note->peer : "");
    snprintf(entry->aet, sizeof entry->aet, "%s",
             note->is_outbound ? note->params->called_aet : note->params->calling_aet);
    snprintf(entry->address, sizeof entry->address, "%s", note->params->address);
    entry->is_outbound = note->is_outbound;
    entry->is_open = !note->reject->result && !note->has_failed;
    describe(note, &entry->json);
    return insert(trace, entry, note->keep);
}

void hl_trace_refused(struct hl_trace *trace, const char *address, const char *why, unsigned keep)
{
    struct entry *entry = keep ? calloc(1, sizeof *entry) : NULL;
    if (!entry)
        return;
    snprintf(entry->address, sizeof entry->address, "%s", address);
    add_head(&entry->json, "refused");
    member(&entry->json, "direction", "in");
    member(&entry->json, "address", address);
    member(&entry->json, "why", why);
    (void)insert(trace, entry, keep);
}

/* Lock held. */
static struct entry *find(struct hl_trace *trace, uint64_t number)
{
    struct entry *entry = number ? trace->newest : NULL;
    while (entry && entry->number != number)
        entry = entry->older;
    return entry;
}

void hl_trace_say(struct hl_trace *trace, uint64_t number, const char *what)
{
    pthread_mutex_lock(&trace->lock);
    struct entry *entry = find(trace, number);
    if (entry && entry->n_notes++ < NOTES_MAX) {
        size_t before = entry->notes.len;
        hl_buf_text(&entry->notes, before ? "," : "");
        hl_buf_json_string(&entry->notes, what);
        trace->bytes += entry->notes.len - before;
    }
    pthread_mutex_unlock(&trace->lock);
}

void hl_trace_end(struct hl_trace *trace, uint64_t number, const char *how, unsigned messages)
{
    pthread_mutex_lock(&trace->lock);
    struct entry *entry = find(trace, number);
    if (entry) {
        size_t before = entry->json.len;
        member(&entry->json, "ended", how);
        hl_buf_printf(&entry->json, ",\"messages\":%u", messages);
        entry->is_open = false;
        trace->bytes += entry->json.len - before;
    }
    pthread_mutex_unlock(&trace->lock);
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static bool is_wanted(const struct entry *entry, const char *peer)
{
    return !peer || !strcmp(entry->peer, peer) || !strcmp(entry->aet, peer) ||
           !strcmp(entry->address, peer);
}

/* Copied under the lock: 8 MiB at most, for a command of a person. */
void hl_trace_json(struct hl_trace *trace, const char *peer, struct hl_buf *json)
{
    bool is_first = true;
    hl_buf_text(json, "[");
    pthread_mutex_lock(&trace->lock);
    for (struct entry *entry = trace->newest; entry; entry = entry->older) {
        if (!is_wanted(entry, peer))
            continue;
        hl_buf_text(json, is_first ? "" : ",");
        hl_buf_text(json, hl_buf_str(&entry->json));
        if (entry->notes.len)
            hl_buf_printf(json, ",\"notes\":[%s]", hl_buf_str(&entry->notes));
        hl_buf_text(json, entry->is_open ? ",\"open\":true}" : "}");
        is_first = false;
    }
    pthread_mutex_unlock(&trace->lock);
    hl_buf_text(json, "]");
}
