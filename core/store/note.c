/* What an object's note in the store's log says: its row, so that a start after a power loss can
 * record it again. A list of fields (number, length, bytes) in the machine's byte order, since
 * logs never leave their machine; unknown ones are skipped.
 *
 * Read only by the same build or a later one, after a crash; what it says is checked by the
 * digest of the object, and texts by their length. SPDX-License-Identifier: Apache-2.0 */
#include "core/store/note.h"

#include <string.h>

#include "core/base/error.h"
#include "core/bus/bus.h"

/* Numbers on disk: none is ever given twice. */
enum field {
    FIELD_TIME = 1,
    FIELD_SYNTAX,
    FIELD_LENGTH,
    FIELD_OFFSET,
    FIELD_DIGEST_STORED,
    FIELD_DIGEST_RECEIVED,
    FIELD_PEER,
    FIELD_CALLING,
    FIELD_CALLED,
    FIELD_ADDRESS,
    FIELD_ISSUER,
    FIELD_REMARKS,
    FIELD_REMARK_TEXT,
    FIELD_HELD_BY, /* the two: there when the object is held */
    FIELD_HELD_REASON,
    FIELD_ATTRIBUTE, /* tag, text */
    FIELD_RULE,      /* begins a step of a plan */
    FIELD_ORDINAL,
    FIELD_VERB,
    FIELD_ARGUMENTS,
    FIELD_RECEIVED_AS
};

struct field_head {
    uint16_t number, length;
};

/* ---- writing ---- */

/* Fails the whole note where a value is too long for its head. */
static void add(struct hl_buf *out, enum field number, const void *bytes, size_t n)
{
    const struct field_head head = {(uint16_t)number, (uint16_t)n};
    out->failed |= n > UINT16_MAX;
    hl_buf_add(out, &head, sizeof head);
    hl_buf_add(out, bytes, n);
}

/* NULL is no field, "" is one. */
static void add_text(struct hl_buf *out, enum field number, const char *text)
{
    if (text != NULL)
        add(out, number, text, strlen(text));
}

static void add_attrs(struct hl_buf *out, const struct hl_attrs *attrs)
{
    for (size_t i = 0; i < attrs->n; i++) {
        const struct hl_attr *attr = &attrs->items[i];
        size_t n = strlen(attr->text);
        const struct field_head head = {FIELD_ATTRIBUTE, (uint16_t)(sizeof attr->tag + n)};
        out->failed |= n > UINT16_MAX - sizeof attr->tag;
        hl_buf_add(out, &head, sizeof head);
        hl_buf_add(out, &attr->tag, sizeof attr->tag);
        hl_buf_add(out, attr->text, n);
    }
}

static void add_plan(struct hl_buf *out, const struct hl_plan_step *plan, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t ordinal = plan[i].ordinal;
        add_text(out, FIELD_RULE, plan[i].rule != NULL ? plan[i].rule : "");
        add(out, FIELD_ORDINAL, &ordinal, sizeof ordinal);
        add_text(out, FIELD_VERB, plan[i].verb);
        add_text(out, FIELD_ARGUMENTS, plan[i].arguments);
    }
}

/* Store and key are not in it: the log knows where it found the note. */
bool hl_note_write(const struct hl_instance *row, int64_t time, struct hl_buf *out)
{
    uint64_t remarks = row->remarks;
    add(out, FIELD_TIME, &time, sizeof time);
    add_text(out, FIELD_SYNTAX, row->transfer_syntax);
    add(out, FIELD_LENGTH, &row->location.length, sizeof row->location.length);
    add(out, FIELD_OFFSET, &row->location.dataset_offset, sizeof row->location.dataset_offset);
    add(out, FIELD_DIGEST_STORED, row->location.digest_stored, 16);
    add(out, FIELD_DIGEST_RECEIVED, row->digest_received, 16);
    add_text(out, FIELD_PEER, row->peer);
    add_text(out, FIELD_CALLING, row->calling_aet);
    add_text(out, FIELD_CALLED, row->called_aet);
    add_text(out, FIELD_ADDRESS, row->address);
    add_text(out, FIELD_ISSUER, row->default_issuer);
    add_text(out, FIELD_RECEIVED_AS, row->received_as);
    add(out, FIELD_REMARKS, &remarks, sizeof remarks);
    add_text(out, FIELD_REMARK_TEXT, row->remark_text);
    if (row->is_held) {
        add_text(out, FIELD_HELD_BY, row->held_by != NULL ? row->held_by : "");
        add_text(out, FIELD_HELD_REASON, row->held_reason != NULL ? row->held_reason : "");
    }
    add_attrs(out, row->attrs);
    add_plan(out, row->plan, row->n_plan);
    return !out->failed;
}

/* ---- reading ---- */

/* Numbers are 64 bits; another length is damage. */
static bool take_number(const uint8_t *bytes, size_t n, void *out)
{
    if (n == sizeof(uint64_t))
        memcpy(out, bytes, n);
    return n == sizeof(uint64_t);
}

static bool take_digest(const uint8_t *bytes, size_t n, uint8_t out[16])
{
    if (n == 16)
        memcpy(out, bytes, n);
    return n == 16;
}

/* Into the note's arena, with a NUL. */
static bool take_text(struct hl_note *note, const uint8_t *bytes, size_t n, const char **out)
{
    *out = hl_arena_strndup(&note->attrs.arena, (const char *)bytes, n);
    return *out != NULL;
}

static bool take_attr(struct hl_note *note, const uint8_t *bytes, size_t n)
{
    uint32_t tag;
    const char *text = NULL;
    if (n < sizeof tag || !take_text(note, bytes + sizeof tag, n - sizeof tag, &text))
        return false;
    memcpy(&tag, bytes, sizeof tag);
    return hl_attrs_set(&note->attrs, tag, text) == HILUM_OK;
}

/* A rule begins a step; what follows belongs to the last one begun. */
static bool take_step(struct hl_note *note, enum field number, const uint8_t *bytes, size_t n)
{
    struct hl_plan_step *step = note->plan + note->row.n_plan;
    uint64_t ordinal = 0;
    if (number == FIELD_RULE) {
        note->row.n_plan++;
        return note->row.n_plan <= HL_NOTE_PLAN_MAX && take_text(note, bytes, n, &step->rule);
    }
    if (note->row.n_plan == 0)
        return false;
    step--;
    if (number == FIELD_VERB)
        return take_text(note, bytes, n, &step->verb);
    if (number == FIELD_ARGUMENTS)
        return take_text(note, bytes, n, &step->arguments);
    bool is_good = take_number(bytes, n, &ordinal);
    step->ordinal = (unsigned)ordinal;
    return is_good;
}

/* A number that is not known is of a later Hilum: skipped. */
static bool take(struct hl_note *note, enum field number, const uint8_t *bytes, size_t n)
{
    struct hl_instance *row = &note->row;
    uint64_t remarks = row->remarks;
    bool is_good = true;
    switch (number) {
    case FIELD_TIME: return take_number(bytes, n, &row->received_us);
    case FIELD_SYNTAX: return take_text(note, bytes, n, &row->transfer_syntax);
    case FIELD_LENGTH: return take_number(bytes, n, &row->location.length);
    case FIELD_OFFSET: return take_number(bytes, n, &row->location.dataset_offset);
    case FIELD_DIGEST_STORED: return take_digest(bytes, n, row->location.digest_stored);
    case FIELD_DIGEST_RECEIVED: return take_digest(bytes, n, row->digest_received);
    case FIELD_PEER: return take_text(note, bytes, n, &row->peer);
    case FIELD_CALLING: return take_text(note, bytes, n, &row->calling_aet);
    case FIELD_CALLED: return take_text(note, bytes, n, &row->called_aet);
    case FIELD_ADDRESS: return take_text(note, bytes, n, &row->address);
    case FIELD_ISSUER: return take_text(note, bytes, n, &row->default_issuer);
    case FIELD_RECEIVED_AS: return take_text(note, bytes, n, &row->received_as);
    case FIELD_REMARKS:
        is_good = take_number(bytes, n, &remarks);
        row->remarks = (unsigned)remarks;
        return is_good;
    case FIELD_REMARK_TEXT: return take_text(note, bytes, n, &row->remark_text);
    case FIELD_HELD_BY: row->is_held = true; return take_text(note, bytes, n, &row->held_by);
    case FIELD_HELD_REASON: return take_text(note, bytes, n, &row->held_reason);
    case FIELD_ATTRIBUTE: return take_attr(note, bytes, n);
    case FIELD_RULE:
    case FIELD_ORDINAL:
    case FIELD_VERB:
    case FIELD_ARGUMENTS: return take_step(note, number, bytes, n);
    }
    return true;
}

hilum_rc hl_note_read(const void *bytes, size_t n, struct hl_note *note)
{
    const uint8_t *at = bytes, *end = at + n;
    struct field_head head;
    *note = (struct hl_note){0};
    note->row.attrs = &note->attrs;
    note->row.plan = note->plan;
    while ((size_t)(end - at) >= sizeof head) {
        memcpy(&head, at, sizeof head);
        at += sizeof head;
        if (head.length > end - at || !take(note, (enum field)head.number, at, head.length))
            return hl_fail(HILUM_ECORRUPT, "note about an object: field %u", head.number);
        at += head.length;
    }
    return at == end ? HILUM_OK : hl_fail(HILUM_ECORRUPT, "note about an object: cut short");
}

void hl_note_fini(struct hl_note *note)
{
    hl_attrs_fini(&note->attrs);
}
