/* Events: fields, cached look-ups, edits and plans. It knows nothing of hooks and their order.
 *
 * One thread at a time uses an event, so nothing is locked. Everything a hook was handed stays
 * valid until the event is freed. SPDX-License-Identifier: Apache-2.0 */
#include "core/bus/event.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"

enum { MAX_ATTRIBUTE_BYTES = 64 * 1024 };

/* FNV-1a: names are short and few, and the same value is computed once per `where` at load time. */
uint32_t hl_event_hash(const char *text, size_t n)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ (unsigned char)text[i]) * 16777619u;
    return hash;
}

/* Never freed alone and never moved: text handed to a hook stays where it is until the event goes. A
 * field that is set again leaves its old text behind, which is cheaper than tracking who reads it. */
static char *keep(hilum_event *event, const char *text, size_t n)
{
    char *copy;
    if (n < EVENT_INLINE_BYTES - event->bytes_used) {
        copy = event->inline_bytes + event->bytes_used;
        event->bytes_used += (uint32_t)n + 1;
    } else {
        copy = hl_arena_alloc(&event->arena, n + 1);
        if (!copy) {
            event->out_of_memory = true;
            return NULL;
        }
    }
    memcpy(copy, text, n);
    copy[n] = '\0';
    return copy;
}

hilum_event *hl_event_new(const char *name)
{
    hilum_event *event = malloc(sizeof *event);
    if (!event)
        return NULL;
    /* The inline tables are written before they are read; zeroing 2 KiB an event would be a tenth
     * of its budget. */
    memset(event, 0, offsetof(hilum_event, inline_fields));
    event->fields = event->inline_fields;
    event->cap_fields = EVENT_INLINE_FIELDS;
    size_t n = strlen(name);
    event->name_hash = hl_event_hash(name, n);
    event->name = keep(event, name, n);
    if (!event->name) {
        hl_event_free(event);
        return NULL;
    }
    return event;
}

void hl_event_free(hilum_event *event)
{
    if (!event)
        return;
    if (event->fields != event->inline_fields)
        free(event->fields);
    free(event->plan);
    hl_arena_fini(&event->arena);
    free(event);
}

const char *hl_event_name(const hilum_event *event)
{
    return event->name;
}

void hl_event_set_resolver(hilum_event *event, hl_event_resolver resolve, hl_event_editor edit,
                           void *arg)
{
    event->resolve = resolve;
    event->edit = edit;
    event->arg = arg;
    /* What the previous resolver answered says nothing about the new one. */
    for (uint32_t i = 0; i < event->n_fields; i++)
        if (event->fields[i].kind == FIELD_CACHED)
            event->fields[i].kind = FIELD_STALE;
}

/* Hooks read it like any field, to deduplicate by; the journal has it in a column of its own. */
static const char id_field[] = "event_id";

void hl_event_set_id(hilum_event *event, int64_t id)
{
    hl_event_set_int(event, id_field, id);
}

/* ---- fields ---- */

static bool is_field(const struct event_field *field, const char *name, uint32_t hash)
{
    return field->hash == hash && strcmp(field->name, name) == 0;
}

static struct event_field *field_find(hilum_event *event, const char *name, uint32_t hash)
{
    if (event->last < event->n_fields && is_field(&event->fields[event->last], name, hash))
        return &event->fields[event->last];
    for (uint32_t i = 0; i < event->n_fields; i++) {
        if (is_field(&event->fields[i], name, hash)) {
            event->last = i;
            return &event->fields[i];
        }
    }
    return NULL;
}

/* Own growth instead of hl_grow: the first table is inline and cannot be given to realloc. */
static bool fields_grow(hilum_event *event)
{
    uint32_t cap = event->cap_fields * 2;
    if (cap > EVENT_MAX_FIELDS)
        return false;
    struct event_field *fields = malloc(cap * sizeof *fields);
    if (!fields)
        return false;
    memcpy(fields, event->fields, event->n_fields * sizeof *fields);
    if (event->fields != event->inline_fields)
        free(event->fields);
    event->fields = fields;
    event->cap_fields = cap;
    return true;
}

/* A lost field is remembered, since setters return nothing; dispatch then refuses to trust the event. */
static struct event_field *field_add(hilum_event *event, const char *name, uint32_t hash)
{
    if (event->n_fields == event->cap_fields && !fields_grow(event)) {
        event->out_of_memory = true;
        return NULL;
    }
    const char *kept = keep(event, name, strlen(name));
    if (!kept)
        return NULL;
    struct event_field *field = &event->fields[event->n_fields++];
    *field = (struct event_field){.hash = hash, .kind = FIELD_STALE, .name = kept};
    return field;
}

/* The field of that name, made if there is none; NULL without memory. */
static struct event_field *field_obtain(hilum_event *event, const char *name)
{
    uint32_t hash = hl_event_hash(name, strlen(name));
    struct event_field *field = field_find(event, name, hash);
    return field ? field : field_add(event, name, hash);
}

void hl_event_set_text(hilum_event *event, const char *field, const char *utf8)
{
    struct event_field *slot = field_obtain(event, field);
    size_t n = strlen(utf8);
    const char *text = slot ? keep(event, utf8, n) : NULL;
    if (!text)
        return;
    slot->kind = FIELD_TEXT;
    slot->text = text;
    slot->length = n;
}

void hl_event_set_int(hilum_event *event, const char *field, int64_t value)
{
    struct event_field *slot = field_obtain(event, field);
    if (!slot)
        return;
    slot->kind = FIELD_INT;
    slot->integer = value;
    slot->text = NULL;
}

/* Asks the resolver once per keyword and event, also when the answer is "absent". */
static struct event_field *resolve_field(hilum_event *event, struct event_field *field,
                                         const char *name, uint32_t hash)
{
    if (!event->resolve)
        return NULL;
    struct hl_buf value = {0};
    bool found = event->resolve(event->arg, name, &value);
    if (!field)
        field = field_add(event, name, hash);
    if (field) {
        /* Longer values (UT, UN) are cut: rules compare keys, not documents, and a peer chooses the length. */
        field->length = value.len < MAX_ATTRIBUTE_BYTES ? value.len : MAX_ATTRIBUTE_BYTES;
        field->kind = FIELD_CACHED;
        field->text = found ? keep(event, hl_buf_str(&value), field->length) : NULL;
    }
    hl_buf_fini(&value);
    return field;
}

/* Own fields go before attributes of the same name: a keyword cannot shadow calling_aet. */
struct event_field *hl_event_field(hilum_event *event, const char *name, uint32_t hash)
{
    struct event_field *field = field_find(event, name, hash);
    return field && field->kind != FIELD_STALE ? field : resolve_field(event, field, name, hash);
}

const char *hl_event_field_text(hilum_event *event, struct event_field *field)
{
    if (!field)
        return NULL;
    if (field->kind == FIELD_INT && !field->text) {
        char digits[24];
        field->length = (size_t)snprintf(digits, sizeof digits, "%" PRId64, field->integer);
        field->text = keep(event, digits, field->length);
    }
    return field->text;
}

const char *hl_event_text(hilum_event *event, const char *field)
{
    return hl_event_field_text(event,
                               hl_event_field(event, field, hl_event_hash(field, strlen(field))));
}

bool hl_event_text_int(const char *text, int64_t *out)
{
    if (!*text)
        return false;
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    while (*end == ' ') /* IS is padded with blanks (PS3.5 6.2) */
        end++;
    if (*end != '\0' || errno == ERANGE)
        return false;
    *out = value;
    return true;
}

/* Texts count as integers when they are one, so that IS attributes (PS3.5 6.2) read like numbers. */
bool hl_event_int(hilum_event *event, const char *field, int64_t *out)
{
    struct event_field *slot = hl_event_field(event, field, hl_event_hash(field, strlen(field)));
    if (slot && slot->kind == FIELD_INT) {
        *out = slot->integer;
        return true;
    }
    const char *text = hl_event_field_text(event, slot);
    return text && hl_event_text_int(text, out);
}

/* ---- what hooks ask for ---- */

hilum_rc hl_event_edit(hilum_event *event, const char *keyword, const char *utf8)
{
    /* A filter has promised nothing yet and a notify hook comes too late: the object is already durable. */
    if (event->phase != HILUM_TRANSFORM)
        return hl_fail(HILUM_EDENIED, "edit of %s: only a transform hook may edit", keyword);
    if (!event->edit)
        return hl_fail(HILUM_EDENIED, "edit of %s: event %s concerns nothing that can be edited",
                       keyword, event->name);
    hilum_rc rc = event->edit(event->arg, keyword, utf8);
    struct event_field *field = field_find(event, keyword, hl_event_hash(keyword, strlen(keyword)));
    /* Read through the resolver again rather than stored here: the editor may normalise what it was given. */
    if (rc == HILUM_OK && field && field->kind == FIELD_CACHED)
        field->kind = FIELD_STALE;
    return rc;
}

/* Checked where the plan is made, so that the fault lands on the rule that wrote it and not on the job
 * that cannot read it days later. */
static bool is_json_object(const char *text, json_error_t *error)
{
    json_t *value = json_loads(text, JSON_REJECT_DUPLICATES, error);
    bool is_object = json_is_object(value);
    json_decref(value);
    return is_object;
}

/* Steps of one rule are adjacent unless it ran twice; then the kept name is the same pointer. */
static unsigned next_ordinal(const hilum_event *event)
{
    const struct hl_plan_step *last = event->n_plan ? &event->plan[event->n_plan - 1] : NULL;
    return last && last->rule == event->rule_kept ? last->ordinal + 1 : 0;
}

/* A hook that already ran once for this event keeps counting: (event, rule, ordinal) stays unique.
 */
static const char *rule_keep(hilum_event *event)
{
    for (size_t i = event->n_plan; i > 0; i--)
        if (strcmp(event->plan[i - 1].rule, event->rule) == 0)
            return event->plan[i - 1].rule;
    return keep(event, event->rule, strlen(event->rule));
}

hilum_rc hl_event_plan(hilum_event *event, const char *verb, const char *arguments_json)
{
    json_error_t error = {0};
    if (!event->rule)
        return hl_fail(HILUM_EDENIED, "verb %s: a plan is made by a running hook only", verb);
    if (event->n_plan >= HL_EVENT_PLAN_MAX)
        return hl_fail(HILUM_ENOMEM, "verb %s: a plan has at most %d steps", verb,
                       HL_EVENT_PLAN_MAX);
    if (!is_json_object(arguments_json, &error))
        return hl_fail(HILUM_EINVAL, "verb %s: arguments are not a JSON object (%s)", verb,
                       error.text);
    if (!event->rule_kept)
        event->rule_kept = rule_keep(event);
    const char *verb_kept = keep(event, verb, strlen(verb));
    const char *arguments = keep(event, arguments_json, strlen(arguments_json));
    if (!event->rule_kept || !verb_kept || !arguments ||
        !hl_grow(&event->plan, &event->cap_plan, event->n_plan, sizeof *event->plan))
        return hl_fail(HILUM_ENOMEM, "verb %s: no memory for the plan", verb);
    event->plan[event->n_plan] = (struct hl_plan_step){
        .rule = event->rule_kept,
        .ordinal = next_ordinal(event),
        .verb = verb_kept,
        .arguments = arguments,
    };
    event->n_plan++;
    return HILUM_OK;
}

void hl_event_reason(hilum_event *event, const char *utf8)
{
    size_t n = strnlen(utf8, sizeof event->reason - 1);
    /* Cut between characters, never within one. */
    if (utf8[n] != '\0')
        while (n > 0 && ((unsigned char)utf8[n] & 0xC0) == 0x80)
            n--;
    memcpy(event->reason, utf8, n);
    event->reason[n] = '\0';
}

size_t hl_event_plan_count(const hilum_event *event)
{
    return event->n_plan;
}

const struct hl_plan_step *hl_event_plan_at(const hilum_event *event, size_t i)
{
    return i < event->n_plan ? &event->plan[i] : NULL;
}

/* From here on plan, edit, reason and suspend belong to this hook. */
void hl_event_enter(hilum_event *event, const char *rule, unsigned phase)
{
    event->rule = rule;
    event->rule_kept = NULL;
    event->phase = phase;
    event->reason[0] = '\0';
    event->ticket = 0;
}

void hl_event_leave(hilum_event *event)
{
    event->rule = NULL;
    event->rule_kept = NULL;
    event->phase = 0;
}

hilum_rc hl_event_suspend(hilum_event *event, uint32_t deadline_ms, void (*on_cancel)(void *arg),
                          void *arg, uint64_t *ticket)
{
    if (!event->tickets || !event->phase)
        return hl_fail(HILUM_EDENIED, "event %s: suspended by nobody's hook", event->name);
    if (event->ticket)
        return hl_fail(HILUM_EDENIED, "event %s: suspended twice by one hook", event->name);
    hilum_rc rc = hl_ticket_new(event->tickets, deadline_ms, on_cancel, arg, &event->ticket);
    if (rc == HILUM_OK)
        *ticket = event->ticket;
    return rc;
}

/* The texts stay in the arena: dropping is rare and the event is short-lived. */
void hl_event_plan_truncate(hilum_event *event, size_t n)
{
    if (n < event->n_plan)
        event->n_plan = n;
}

/* ---- the journal's form ---- */

void hl_event_to_json(const hilum_event *event, struct hl_buf *out)
{
    const char *comma = "";
    hl_buf_byte(out, '{');
    for (uint32_t i = 0; i < event->n_fields; i++) {
        const struct event_field *field = &event->fields[i];
        bool own = field->kind == FIELD_TEXT || field->kind == FIELD_INT;
        if (!own || strcmp(field->name, id_field) == 0)
            continue;
        hl_buf_text(out, comma);
        hl_buf_json_string(out, field->name);
        hl_buf_byte(out, ':');
        if (field->kind == FIELD_INT)
            hl_buf_printf(out, "%" PRId64, field->integer);
        else
            hl_buf_json_string(out, field->text);
        comma = ",";
    }
    hl_buf_byte(out, '}');
}

/* false for lists, objects and reals: no field is one. */
static bool field_from_json(hilum_event *event, const char *key, const json_t *value)
{
    if (json_is_string(value))
        hl_event_set_text(event, key, json_string_value(value));
    else if (json_is_integer(value))
        hl_event_set_int(event, key, json_integer_value(value));
    /* Booleans become 0 and 1: `where` knows texts and numbers only. */
    else if (json_is_boolean(value))
        hl_event_set_int(event, key, json_is_true(value));
    else
        return json_is_null(value);
    return true;
}

static bool fields_from_json(hilum_event *event, json_t *object)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        if (!field_from_json(event, key, value)) {
            hl_fail(HILUM_EINVAL, "event %s: field %s is neither text nor integer", event->name,
                    key);
            return false;
        }
    }
    /* The JSON may come from a plugin: a bounded table, and a refusal instead of a field that is missing. */
    if (event->out_of_memory)
        hl_fail(HILUM_ENOMEM, "event %s: too many fields (at most %d)", event->name,
                EVENT_MAX_FIELDS);
    return !event->out_of_memory;
}

hilum_event *hl_event_from_json(const char *name, const char *json)
{
    json_error_t error;
    json_t *object = json_loads(json, 0, &error);
    if (!json_is_object(object)) {
        hl_fail(HILUM_EINVAL, "event %s: fields are not a JSON object (%s)", name,
                object ? "another value" : error.text);
        json_decref(object);
        return NULL;
    }
    hilum_event *event = hl_event_new(name);
    if (event && !fields_from_json(event, object)) {
        hl_event_free(event);
        event = NULL;
    }
    json_decref(object);
    return event;
}
