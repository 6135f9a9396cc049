/* The event inside core/bus: a small field table, cached look-ups, a plan. It knows nothing of
 * hooks. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_BUS_EVENT_H
#define HL_BUS_EVENT_H

#include "core/base/arena.h"
#include "core/bus/bus.h"
#include "core/bus/ticket.h"

enum { EVENT_INLINE_FIELDS = 24, EVENT_INLINE_BYTES = 1024, EVENT_MAX_FIELDS = 512 };

enum field_kind {
    FIELD_TEXT,   /* the event's own */
    FIELD_INT,    /* the event's own; text is made when asked for */
    FIELD_CACHED, /* read through the resolver; text NULL: known to be absent */
    FIELD_STALE   /* was cached, then edited: to be resolved again */
};

struct event_field {
    uint32_t hash;
    uint32_t kind;
    const char *name;
    const char *text;
    size_t length; /* of text */
    int64_t integer;
};

/* Field and text memory beyond the inline part comes from the arena, which is never reused before
 * the event is freed: texts handed out stay valid. */
struct hilum_event {
    const char *name;
    uint32_t name_hash;
    uint32_t n_fields, cap_fields;
    uint32_t bytes_used;
    uint32_t last; /* field found last: the hooks of an event mostly ask for the same one */
    bool out_of_memory;
    struct event_field *fields;
    hl_event_resolver resolve;
    hl_event_editor edit;
    void *arg;
    const char *rule;           /* hook now running, borrowed; NULL outside dispatch */
    const char *rule_kept;      /* its copy, made at the first step */
    unsigned phase;             /* of the dispatch now running, 0 outside */
    struct hl_tickets *tickets; /* of the bus that dispatches it, NULL outside */
    uint64_t ticket;            /* the hook now running suspended it with; 0: has not */
    struct hl_plan_step *plan;
    size_t n_plan, cap_plan;
    struct hl_arena arena;
    char reason[256];
    struct event_field inline_fields[EVENT_INLINE_FIELDS];
    char inline_bytes[EVENT_INLINE_BYTES];
};

uint32_t hl_event_hash(const char *text, size_t n);
/* The field or attribute with the hash of its name already known; NULL or text NULL: absent (but an
 * integer has no text until hl_event_field_text made it). Valid until the next field is added. */
struct event_field *hl_event_field(hilum_event *event, const char *name, uint32_t hash);
const char *hl_event_field_text(hilum_event *event, struct event_field *field);

/* Dispatch tells whose steps follow. */
void hl_event_enter(hilum_event *event, const char *rule, unsigned phase);
void hl_event_leave(hilum_event *event);
void hl_event_plan_truncate(hilum_event *event, size_t n);

#endif
