/* The state machine of the conversion: heads, values, nesting. It knows nothing of deflate.
 *
 * A stack of open sequences and items, RECODE_FRAMES deep at most, and one value in hand: memory
 * does not depend on the data set. Lengths of what is nested are checked against what is around
 * it.
 *
 * It decides as scan.c does wherever a data set is not as it should be (delimiters missing or
 * twice, UN of undefined length, the other coding than said): an object that was accepted can
 * leave converted, or is refused by recode_check before its first byte.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/store/recode_internal.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/dicom/uid.h"
#include "core/store/scan.h"

enum { TAG_LENGTH_TO_END = 0x00080001, TAG_PIXEL_REPRESENTATION = 0x00280103 };

#define TAG_FORMAT            "(%04X,%04X) at offset %llu"
#define TAG_ARGS(tag, offset) (tag) >> 16, (tag)&0xFFFF, (unsigned long long)(offset)

/* ---- life ---- */

/* One of the four uncompressed transfer syntaxes. */
static bool is_plain(const struct hl_syntax *syntax)
{
    return syntax && !(syntax->flags & (HL_SYNTAX_ENCAPSULATED | HL_SYNTAX_VIDEO |
                                        HL_SYNTAX_REFERENCED | HL_SYNTAX_PRIVATE));
}

bool hl_recode_can(const char *from, const char *to)
{
    return is_plain(hl_uid_syntax(from)) && is_plain(hl_uid_syntax(to));
}

static struct hl_coding coding_of(const struct hl_syntax *syntax)
{
    return (struct hl_coding){.is_implicit = (syntax->flags & HL_SYNTAX_IMPLICIT) != 0,
                              .is_big_endian = (syntax->flags & HL_SYNTAX_BIG_ENDIAN) != 0};
}

hilum_rc hl_recode_new(const char *from, const char *to, const char *(*vr)(uint32_t tag),
                       struct hl_recode **out)
{
    const struct hl_syntax *source = hl_uid_syntax(from), *target = hl_uid_syntax(to);
    *out = NULL;
    if (!is_plain(source) || !is_plain(target))
        return hl_fail(HILUM_EUNSUP, "%s is not converted to %s", hl_uid_name(from),
                       hl_uid_name(to));
    struct hl_recode *recode = calloc(1, sizeof *recode);
    if (!recode)
        return hl_fail(HILUM_ENOMEM, "conversion: no memory");
    recode->vr = vr;
    recode->from = coding_of(source);
    recode->to = coding_of(target);
    hilum_rc rc = source->flags & HL_SYNTAX_DEFLATED ? hl_recode_inflate_init(recode) : HILUM_OK;
    if (rc == HILUM_OK && target->flags & HL_SYNTAX_DEFLATED)
        rc = hl_recode_deflate_init(recode);
    if (rc == HILUM_OK)
        *out = recode;
    else
        hl_recode_free(recode);
    return rc;
}

void hl_recode_free(struct hl_recode *recode)
{
    if (!recode)
        return;
    hl_recode_flate_fini(recode);
    free(recode);
}

hilum_rc hl_recode_fail(struct hl_recode *recode, hilum_rc rc, const char *what, uint32_t tag)
{
    recode->rc = rc;
    return hl_fail(rc, "conversion: %s " TAG_FORMAT, what, TAG_ARGS(tag, recode->head_offset));
}

/* ---- nesting ---- */

static const struct recode_frame *top_of(const struct hl_recode *recode)
{
    return recode->depth ? &recode->frames[recode->depth - 1] : NULL;
}

/* Where the innermost thing with a length ends. */
static uint64_t limit_of(const struct hl_recode *recode)
{
    const struct recode_frame *top = top_of(recode);
    return top ? top->limit : UINT64_MAX;
}

/* Of the items and data sets around, the nearest that says it. "US or SS" needs it where the
 * source has no VRs (PS3.3 C.7.6.3.1): an item may say it for itself and inherits it
 * otherwise. */
static bool *signed_flag(struct hl_recode *recode)
{
    return recode->depth ? &recode->frames[recode->depth - 1].is_signed : &recode->is_signed;
}

/* Elements between items are in the coding of what is around their sequence. */
static struct hl_coding element_coding(const struct hl_recode *recode)
{
    for (uint32_t i = recode->depth; i > 0; i--)
        if (recode->frames[i - 1].is_item)
            return recode->frames[i - 1].coding;
    return recode->from;
}

static void put_head(struct hl_recode *recode, uint32_t tag, const char *vr, uint32_t length)
{
    hl_head_put(recode->out, tag, vr, length, recode->to);
}

/* `length` as coded; the head has been consumed by the time the frame counts. A frame's limit
 * is never beyond that of what is around it: so one comparison at each head finds whatever
 * ends. */
static hilum_rc push(struct hl_recode *recode, struct recode_frame frame, uint32_t length)
{
    uint64_t limit = limit_of(recode), begin = recode->head_offset + recode->head_size;
    frame.is_undefined = length == HL_LENGTH_UNDEFINED;
    frame.limit = frame.is_undefined ? limit : begin + length;
    frame.is_signed = *signed_flag(recode);
    if (frame.limit > limit)
        return hl_recode_fail(recode, HILUM_EINVAL, "longer than what it is in:", frame.tag);
    if (recode->depth == RECODE_FRAMES)
        return hl_recode_fail(recode, HILUM_EINVAL, "nested too deep:", frame.tag);
    recode->frames[recode->depth++] = frame;
    return HILUM_OK;
}

/* Its delimiter is written whether it had one or a length. So a defined length becomes an
 * undefined one without going back. */
static void pop(struct hl_recode *recode)
{
    bool is_item = recode->frames[--recode->depth].is_item;
    put_head(recode, is_item ? HL_TAG_ITEM_END : HL_TAG_SEQUENCE_END, "", 0);
}

/* What ends by its length ends here; what it holds and has no end of its own ends with it. */
static hilum_rc close_ended(struct hl_recode *recode)
{
    while (recode->depth && recode->offset >= limit_of(recode)) {
        const struct recode_frame *top = top_of(recode);
        if (recode->offset > top->limit)
            return hl_recode_fail(recode, HILUM_EINVAL,
                                  "its length ends inside an element:", top->tag);
        pop(recode);
    }
    return HILUM_OK;
}

/* ---- elements ---- */

/* Bytes that are read and not written. */
static void drop(struct hl_recode *recode, uint64_t n)
{
    recode->remaining = n;
    recode->state = n ? RECODE_DROP : RECODE_HEAD;
}

/* The VR to be written: the element's own, or the dictionary's where the source has none.
 * Private elements of an implicit source are UN (their creators LO): no dictionary here knows
 * them, and UN keeps their bytes. */
static const char *vr_of(struct hl_recode *recode, const struct hl_head *head)
{
    if (head->vr[0])
        return hl_vr_kind(head->vr) == HL_VR_UNKNOWN ? "UN" : head->vr;
    const char *vr = recode->vr(head->tag);
    bool may_be_signed = strcmp(vr, "US") == 0 && hl_recode_is_us_or_ss(head->tag);
    return may_be_signed && *signed_flag(recode) ? "SS" : vr;
}

/* PS3.5 6.2.2 note 4: the items of a UN of undefined length are implicit, whatever is around them. */
static hilum_rc open_sequence(struct hl_recode *recode, const struct hl_head *head)
{
    bool is_unknown = strcmp(head->vr, "UN") == 0;
    struct recode_frame frame = {
        .is_sniffed = is_unknown, .coding = element_coding(recode), .tag = head->tag};
    if (is_unknown)
        frame.coding = (struct hl_coding){.is_implicit = true};
    put_head(recode, head->tag, "SQ", HL_LENGTH_UNDEFINED);
    return push(recode, frame, head->length);
}

/* Bytes whose order turns with the byte order; 1: none. */
static unsigned unit_of(const char *vr)
{
    static const char units[][4] = {"US2", "SS2", "AT2", "OW2", "UL4", "SL4", "FL4",
                                    "OF4", "OL4", "FD8", "OD8", "SV8", "UV8", "OV8"};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strncmp(units[i], vr, 2) == 0)
            return (unsigned)(units[i][2] - '0');
    return 1;
}

/* Written before the value is seen, as all heads. Odd lengths are made even here and nowhere
 * else (PS3.5 7.1.1). */
static hilum_rc open_value(struct hl_recode *recode, const struct hl_head *head, const char *vr)
{
    bool is_odd = head->length % 2;
    uint32_t length = head->length + is_odd;
    if (recode->head_offset + recode->head_size + head->length > limit_of(recode))
        return hl_recode_fail(recode, HILUM_EINVAL, "longer than what it is in:", head->tag);
    /* Too long for its VR it is written as UN, whose bytes are little endian. */
    bool is_cut_vr =
        !recode->to.is_implicit && hl_vr_kind(vr) == HL_VR_SHORT && length > HL_SHORT_LENGTH_MAX;
    put_head(recode, head->tag, vr, length);
    recode->value_tag = head->tag;
    if (head->tag == TAG_PIXEL_REPRESENTATION)
        *signed_flag(recode) = false;
    recode->unit = element_coding(recode).is_big_endian != recode->to.is_big_endian && !is_cut_vr
                       ? unit_of(vr)
                       : 1;
    recode->padding = !is_odd ? -1 : hl_vr_padding(vr);
    recode->remaining = head->length;
    recode->state = RECODE_VALUE;
    return HILUM_OK;
}

/* Group lengths are not written: they would be wrong. */
static hilum_rc take_element(struct hl_recode *recode, const struct hl_head *head)
{
    const char *vr = vr_of(recode, head);
    bool is_sequence = strcmp(vr, "SQ") == 0;
    if (head->length == HL_LENGTH_UNDEFINED) {
        if (head->tag == HL_TAG_PIXEL_DATA && !is_sequence)
            return hl_recode_fail(recode, HILUM_EUNSUP, "in fragments:", head->tag);
        return open_sequence(recode, head);
    }
    if ((head->tag & 0xFFFF) == 0 || head->tag == TAG_LENGTH_TO_END) {
        drop(recode, head->length);
        return HILUM_OK;
    }
    if (is_sequence && head->length)
        return open_sequence(recode, head);
    return open_value(recode, head, vr);
}

/* ---- heads ---- */

static bool is_item_tag(uint32_t tag)
{
    return tag == HL_TAG_ITEM || tag == HL_TAG_ITEM_END || tag == HL_TAG_SEQUENCE_END;
}

/* Zeros of tag and length begin padding; a delimiter here was left over and carries nothing. */
static hilum_rc top_head(struct hl_recode *recode, const struct hl_head *head)
{
    if (head->tag == 0 && head->length == 0) {
        recode->state = RECODE_PADDING;
        return HILUM_OK;
    }
    if (head->tag == HL_TAG_ITEM)
        return hl_recode_fail(recode, HILUM_EINVAL, "item outside a sequence:", head->tag);
    recode->has_pixel_data |= head->tag == HL_TAG_PIXEL_DATA;
    return is_item_tag(head->tag) ? HILUM_OK : take_element(recode, head);
}

static hilum_rc take_head(struct hl_recode *recode, const struct hl_head *head);

static hilum_rc item_head(struct hl_recode *recode, const struct hl_head *head)
{
    if (!is_item_tag(head->tag))
        return take_element(recode, head);
    bool is_undefined = top_of(recode)->is_undefined;
    if (head->tag == HL_TAG_ITEM_END) {
        if (is_undefined)
            pop(recode);
        return HILUM_OK;
    }
    if (!is_undefined)
        return hl_recode_fail(recode, HILUM_EINVAL, "delimiter inside an item:", head->tag);
    pop(recode); /* the item's own delimiter is missing */
    return take_head(recode, head);
}

static hilum_rc open_item(struct hl_recode *recode, const struct hl_head *head)
{
    struct recode_frame frame = *top_of(recode);
    frame.is_item = true;
    put_head(recode, HL_TAG_ITEM, "", HL_LENGTH_UNDEFINED);
    return push(recode, frame, head->length);
}

static hilum_rc sequence_head(struct hl_recode *recode, const struct hl_head *head)
{
    const struct recode_frame *top = top_of(recode);
    switch (head->tag) {
    case HL_TAG_ITEM: return open_item(recode, head);
    case HL_TAG_ITEM_END: return HILUM_OK;
    case HL_TAG_SEQUENCE_END:
        if (top->is_undefined)
            pop(recode);
        return HILUM_OK;
    default: break;
    }
    /* Its delimiter is missing if this can be the next element around it. */
    if (!top->is_undefined || head->tag <= top->tag)
        return hl_recode_fail(recode, HILUM_EINVAL, "no item in a sequence but", head->tag);
    pop(recode);
    return take_head(recode, head);
}

static hilum_rc take_head(struct hl_recode *recode, const struct hl_head *head)
{
    const struct recode_frame *top = top_of(recode);
    if (!top)
        return top_head(recode, head);
    return top->is_item ? item_head(recode, head) : sequence_head(recode, head);
}

/* In what coding the head that begins at p is: as the scan tells it. Looks at 8 bytes. */
static struct hl_coding head_coding(struct hl_recode *recode, const uint8_t *p)
{
    struct recode_frame *top = recode->depth ? &recode->frames[recode->depth - 1] : NULL;
    if (!top) {
        if (recode->head_offset == 0)
            (void)hl_head_sniff(p, &recode->from);
        return recode->from;
    }
    if (!top->is_item)
        return is_item_tag(hl_get_tag(p, top->coding.is_big_endian)) ? top->coding
                                                                     : element_coding(recode);
    if (top->is_sniffed && !is_item_tag(hl_get_tag(p, false))) {
        top->is_sniffed = false;
        (void)hl_head_sniff(p, &top->coding);
    }
    return top->coding;
}

/* Gathered byte by byte: heads are few beside values, and chunks end anywhere. close_ended
 * comes before a head is begun: here alone the offset is that of an element. */
static size_t consume_head(struct hl_recode *recode, const uint8_t *p, size_t n)
{
    size_t used = 0;
    if (recode->head_length == 0) {
        recode->head_offset = recode->offset;
        recode->head_size = HL_HEAD_PEEK;
        if (close_ended(recode) != HILUM_OK)
            return 0;
    }
    while (used < n && recode->head_length < recode->head_size) {
        recode->head[recode->head_length++] = p[used++];
        if (recode->head_length == HL_HEAD_PEEK)
            recode->head_size =
                (uint8_t)hl_head_size(recode->head, head_coding(recode, recode->head));
    }
    if (recode->head_length == recode->head_size) {
        struct hl_head head;
        hl_head_decode(recode->head, head_coding(recode, recode->head), &head);
        recode->head_length = 0;
        (void)take_head(recode, &head);
    }
    return used;
}

/* ---- values ---- */

/* Zero or one, in either byte order. */
static void note_representation(struct hl_recode *recode, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n && recode->value_tag == TAG_PIXEL_REPRESENTATION; i++)
        if (p[i] == 1)
            *signed_flag(recode) = true;
}

/* to and p never overlap: `out` is the caller's. */
static void put_swapped(struct hl_recode *recode, const uint8_t *p, size_t n)
{
    size_t at = recode->out->len;
    if (!hl_buf_reserve(recode->out, n))
        return;
    uint8_t *to = (uint8_t *)recode->out->data + at;
    for (size_t i = 0; i < n; i += recode->unit)
        for (unsigned k = 0; k < recode->unit; k++)
            to[i + k] = p[i + recode->unit - 1 - k];
    recode->out->len = at + n;
}

/* A unit that a chunk's end cuts waits for its other half. Returns the bytes used. */
static size_t swap_carried(struct hl_recode *recode, const uint8_t *p, size_t n)
{
    size_t used = 0;
    while (used < n && recode->carried < recode->unit)
        recode->carry[recode->carried++] = p[used++];
    if (recode->carried == recode->unit) {
        put_swapped(recode, recode->carry, recode->unit);
        recode->carried = 0;
    }
    return used;
}

static void put_value(struct hl_recode *recode, const uint8_t *p, size_t n)
{
    if (recode->unit == 1) {
        hl_buf_add(recode->out, p, n);
        return;
    }
    size_t used = recode->carried ? swap_carried(recode, p, n) : 0;
    size_t whole = (n - used) / recode->unit * recode->unit;
    put_swapped(recode, p + used, whole);
    (void)swap_carried(recode, p + used + whole, n - used - whole);
}

/* What is less than a unit at the end has no order. */
static void end_value(struct hl_recode *recode)
{
    hl_buf_add(recode->out, recode->carry, recode->carried);
    recode->carried = 0;
    if (recode->padding >= 0)
        hl_buf_byte(recode->out, (uint8_t)recode->padding);
    recode->state = RECODE_HEAD;
}

static size_t consume_value(struct hl_recode *recode, const uint8_t *p, size_t n)
{
    size_t take = n < recode->remaining ? n : (size_t)recode->remaining;
    note_representation(recode, p, take);
    put_value(recode, p, take);
    recode->remaining -= take;
    if (recode->remaining == 0)
        end_value(recode);
    return take;
}

hilum_rc hl_recode_consume(struct hl_recode *recode, const uint8_t *p, size_t n)
{
    while (n && recode->rc == HILUM_OK) {
        size_t used = 0;
        switch (recode->state) {
        case RECODE_HEAD: used = consume_head(recode, p, n); break;
        case RECODE_VALUE: used = consume_value(recode, p, n); break;
        case RECODE_PADDING: used = n; break;
        case RECODE_DROP:
            used = n < recode->remaining ? n : (size_t)recode->remaining;
            drop(recode, recode->remaining - used);
            break;
        }
        recode->offset += used;
        p += used;
        n -= used;
    }
    return recode->rc;
}

/* Not Pixel Representation's, whose value decides about VRs, and nothing of a deflated source,
 * where no byte can be left out. */
uint64_t hl_recode_ahead(const struct hl_recode *recode)
{
    bool is_inside = recode->state == RECODE_VALUE || recode->state == RECODE_DROP;
    return is_inside && recode->value_tag != TAG_PIXEL_REPRESENTATION && !recode->inflate
               ? recode->remaining
               : 0;
}

void hl_recode_skip(struct hl_recode *recode, uint64_t n)
{
    bool is_value = recode->state == RECODE_VALUE;
    recode->offset += n;
    recode->remaining -= n;
    recode->skipped += is_value ? n + recode->carried : 0;
    recode->carried = 0;
    if (recode->remaining == 0 && is_value && recode->padding >= 0)
        recode->skipped++;
    if (recode->remaining == 0)
        recode->state = RECODE_HEAD;
}

uint64_t hl_recode_skipped(const struct hl_recode *recode)
{
    return recode->skipped;
}

/* ---- the end ---- */

/* Pixel data and trailing padding may end early, as at arrival. */
static hilum_rc end_inside_value(struct hl_recode *recode)
{
    bool may_end = !recode->depth && (recode->value_tag == HL_TAG_PIXEL_DATA ||
                                      recode->value_tag == HL_TAG(0xFFFC, 0xFFFC));
    if (!may_end && recode->remaining)
        return hl_recode_fail(recode, HILUM_EINVAL, "cut short:", recode->value_tag);
    recode->padding = -1;
    end_value(recode);
    return HILUM_OK;
}

hilum_rc hl_recode_finish(struct hl_recode *recode)
{
    if (recode->rc != HILUM_OK)
        return recode->rc;
    if (recode->state == RECODE_VALUE && end_inside_value(recode) != HILUM_OK)
        return recode->rc;
    if (recode->state == RECODE_DROP)
        return hl_recode_fail(recode, HILUM_EINVAL, "cut short:", 0);
    if (recode->head_length && !recode->has_pixel_data)
        return hl_recode_fail(recode, HILUM_EINVAL, "cut short in a head", 0);
    if (close_ended(recode) != HILUM_OK)
        return recode->rc;
    if (recode->depth)
        return hl_recode_fail(recode, HILUM_EINVAL, "cut short:", top_of(recode)->tag);
    return HILUM_OK;
}
