/* The scan's state machine: heads, held values, skipped values, nesting. It knows nothing of
 * what any attribute means.
 *
 * Memory is bounded by limits.max_held, depth by max_depth, time by one pass: nothing a peer
 * sends is looked at twice. Chunks may end anywhere; the result does not depend on where.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/store/scan.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/base/error.h"
#include "core/dicom/uid.h"
#include "core/store/scan_internal.h"

#define TAG_FORMAT            "(%04X,%04X) at offset %llu"
#define TAG_ARGS(tag, offset) (tag) >> 16, (tag)&0xFFFF, (unsigned long long)(offset)

/* For most headers one allocation of elements and one or two blocks of values do.
 * DISORDER_SEARCHED bounds the work, see is_repeated. */
enum { DISORDER_SEARCHED = 256, FIRST_ELEMENTS = 96, HOLD_BLOCK = 4096 };

hilum_rc hl_scan_fail(struct hl_scan *scan, hilum_rc rc, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(scan->reason, sizeof scan->reason, format, args);
    va_end(args);
    scan->rc = rc;
    return hl_fail(rc, "%s", scan->reason);
}

/* Whatever is new is explicit little endian: PS3.5 10 wants nothing else of new syntaxes. */
static void set_syntax(struct hl_scan *scan, const struct hl_syntax *syntax)
{
    if (!syntax)
        scan->remarks |= HL_SCAN_UNKNOWN_SYNTAX;
    unsigned flags = syntax ? syntax->flags : 0;
    scan->coding.is_implicit = (flags & HL_SYNTAX_IMPLICIT) != 0;
    scan->coding.is_big_endian = (flags & HL_SYNTAX_BIG_ENDIAN) != 0;
}

/* Zero means default, so that a caller names only the limit it cares for. */
static void set_limits(struct hl_scan *scan, const struct hl_scan_limits *limits)
{
    if (limits)
        scan->limits = *limits;
    if (!scan->limits.max_held)
        scan->limits.max_held = 4u << 20;
    if (!scan->limits.max_depth)
        scan->limits.max_depth = 64;
    if (!scan->limits.max_ratio)
        scan->limits.max_ratio = 1000;
}

hilum_rc hl_scan_new(const char *transfer_syntax, const struct hl_scan_limits *limits,
                     struct hl_scan **out)
{
    struct hl_scan *scan = calloc(1, sizeof *scan);
    if (!scan)
        return hl_fail(HILUM_ENOMEM, "header scan: no memory");
    const struct hl_syntax *syntax = hl_uid_syntax(transfer_syntax);
    set_limits(scan, limits);
    set_syntax(scan, syntax);
    if (syntax && syntax->flags & HL_SYNTAX_DEFLATED) {
        hilum_rc rc = hl_scan_inflate_init(scan);
        if (rc != HILUM_OK) {
            free(scan);
            return rc;
        }
    }
    *out = scan;
    return HILUM_OK;
}

void hl_scan_free(struct hl_scan *scan)
{
    if (!scan)
        return;
    hl_scan_inflate_fini(scan);
    while (scan->blocks) {
        struct scan_block *next = scan->blocks->next;
        free(scan->blocks);
        scan->blocks = next;
    }
    free(scan->elements);
    free(scan->frames);
    free(scan);
}

/* ---- records ---- */

/* Records count as well as values: a data set of empty elements would take memory, too. */
static hilum_rc charge(struct hl_scan *scan, size_t extra)
{
    size_t held = scan->held + scan->count * sizeof *scan->elements;
    if (held + extra <= scan->limits.max_held)
        return HILUM_OK;
    return hl_scan_fail(scan, HILUM_ENOMEM, "header scan: over %u bytes of header at offset %llu",
                        scan->limits.max_held, (unsigned long long)scan->head_offset);
}

/* Only so far: a hostile data set in disorder must not cost a square of its length. */
static bool is_repeated(const struct hl_scan *scan, uint32_t tag)
{
    size_t end = scan->count < scan->sorted + DISORDER_SEARCHED ? scan->count
                                                                : scan->sorted + DISORDER_SEARCHED;
    for (size_t i = scan->sorted; i < end; i++)
        if (scan->elements[i].tag == tag)
            return true;
    size_t low = 0, high = scan->sorted;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (scan->elements[middle].tag < tag)
            low = middle + 1;
        else
            high = middle;
    }
    return low < scan->sorted && scan->elements[low].tag == tag;
}

/* Order is remarked, not required: many writers append. Look-up stays fast for the ordered part and
 * falls back to a walk for what follows the first disorder. */
static void note_order(struct hl_scan *scan, uint32_t tag)
{
    assert(scan->count == 0 || scan->elements);
    /* NOLINTBEGIN(clang-analyzer-core.UndefinedBinaryOperatorResult): elements below count are always filled. */
    bool is_disordered = scan->sorted < scan->count;
    if (!is_disordered && (scan->count == 0 || scan->elements[scan->count - 1].tag < tag)) {
        scan->sorted++;
        return;
    }
    if (tag <= scan->elements[scan->count - 1].tag)
        scan->remarks |= HL_SCAN_TAG_ORDER;
    /* NOLINTEND(clang-analyzer-core.UndefinedBinaryOperatorResult) */
    if (is_repeated(scan, tag))
        scan->remarks |= HL_SCAN_DUPLICATE;
}

/* A group length element (gggg,0000) says where its group ends; nobody needs it, some get it wrong.
 */
static void check_group(struct hl_scan *scan, uint32_t group, uint64_t offset)
{
    if (group == scan->group)
        return;
    if (scan->group_end && scan->group_end != offset)
        scan->remarks |= HL_SCAN_GROUP_LENGTH;
    scan->group_end = 0;
    scan->group = group;
}

/* Only a UL of four bytes can be a group length; other contents of (gggg,0000) say nothing. */
static void note_group_length(struct hl_scan *scan, const struct hl_element *e)
{
    if ((e->tag & 0xFFFF) == 0 && e->length == 4 && e->value)
        scan->group_end =
            e->offset + e->header_length + 4 + hl_get32(e->value, scan->coding.is_big_endian);
}

static hilum_rc push_element(struct hl_scan *scan, const struct hl_head *head)
{
    hilum_rc rc = charge(scan, sizeof *scan->elements);
    if (rc != HILUM_OK)
        return rc;
    if (scan->cap == 0) {
        /* Most headers have fewer; growing from one by one costs more than the scan. */
        scan->elements = malloc(FIRST_ELEMENTS * sizeof *scan->elements);
        scan->cap = scan->elements ? FIRST_ELEMENTS : 0;
    }
    if (scan->count == scan->cap &&
        !hl_grow(&scan->elements, &scan->cap, scan->count, sizeof *scan->elements))
        return hl_scan_fail(scan, HILUM_ENOMEM, "header scan: no memory");
    note_order(scan, head->tag);
    check_group(scan, head->tag >> 16, scan->head_offset);
    struct hl_element *e = &scan->elements[scan->count++];
    *e = (struct hl_element){.tag = head->tag,
                             .offset = scan->head_offset,
                             .header_length = head->size,
                             .length = head->length};
    memcpy(e->vr, head->vr, sizeof e->vr);
    return HILUM_OK;
}

/* ---- nesting ---- */

static bool is_pixel_data(uint32_t tag)
{
    return tag == HL_TAG_PIXEL_DATA || tag == HL_TAG(0x7FE0, 0x0008) ||
           tag == HL_TAG(0x7FE0, 0x0009);
}

/* What an image can lack its end of and still be worth keeping: pixels, and Data Set Trailing Padding. */
static bool may_end_early(uint32_t tag)
{
    return is_pixel_data(tag) || tag == HL_TAG(0xFFFC, 0xFFFC);
}

/* Needed for undefined lengths only: everything of a known length is skipped, however deep it
 * is nested. */
static hilum_rc push_frame(struct hl_scan *scan, struct scan_frame frame)
{
    /* A sequence and its item are two frames and one level. */
    if (scan->depth / 2 >= scan->limits.max_depth)
        return hl_scan_fail(scan, HILUM_EINVAL, "sequence " TAG_FORMAT " is nested over %u deep",
                            TAG_ARGS(frame.tag, frame.offset), scan->limits.max_depth);
    size_t cap = scan->frames_cap;
    if (!hl_grow(&scan->frames, &cap, scan->depth, sizeof *scan->frames))
        return hl_scan_fail(scan, HILUM_ENOMEM, "header scan: no memory");
    scan->frames_cap = (uint32_t)cap;
    scan->frames[scan->depth++] = frame;
    return HILUM_OK;
}

/* The coding elements are in at this point: a sequence's own coding holds only inside its items. */
static struct hl_coding element_coding(const struct hl_scan *scan)
{
    for (uint32_t i = scan->depth; i > 0; i--)
        if (scan->frames[i - 1].kind == FRAME_ITEM)
            return scan->frames[i - 1].coding;
    return scan->coding;
}

static hilum_rc open_undefined(struct hl_scan *scan, const struct hl_head *head)
{
    struct hl_coding coding = element_coding(scan);
    bool is_unknown = head->vr[0] == 'U' && head->vr[1] == 'N';
    if (is_unknown)
        coding = (struct hl_coding){.is_implicit = true}; /* PS3.5 6.2.2 note 4 */
    bool is_fragments = head->tag == HL_TAG_PIXEL_DATA && strcmp(head->vr, "SQ") != 0;
    return push_frame(scan,
                      (struct scan_frame){.kind = is_fragments ? FRAME_FRAGMENTS : FRAME_SEQUENCE,
                                          .is_sniffed = is_unknown,
                                          .coding = coding,
                                          .tag = head->tag,
                                          .offset = scan->head_offset});
}

/* Closes the innermost sequence, which ends before `end`. Only now the length of the element
 * is known, delimiter included. */
static void pop_sequence(struct hl_scan *scan, uint64_t end)
{
    scan->depth--;
    if (scan->depth == 0) {
        struct hl_element *e = &scan->elements[scan->count - 1];
        e->length = end - e->offset - e->header_length;
    }
}

/* No per-byte work: a long value costs one subtraction a chunk. */
static void skip(struct hl_scan *scan, uint64_t n)
{
    scan->remaining = n;
    scan->state = n ? SCAN_SKIP : SCAN_HEAD;
}

static bool is_item_tag(uint32_t tag)
{
    return tag >> 16 == 0xFFFE &&
           (tag == HL_TAG_ITEM || tag == HL_TAG_ITEM_END || tag == HL_TAG_SEQUENCE_END);
}

/* ---- heads ---- */

/* Values lie side by side in blocks: one allocation and no zeroing for each of them. */
static hilum_rc make_room(struct hl_scan *scan, uint64_t n)
{
    if (n <= scan->room)
        return HILUM_OK;
    size_t block = n > HOLD_BLOCK / 4 ? n : HOLD_BLOCK;
    hilum_rc rc = charge(scan, block);
    if (rc != HILUM_OK)
        return rc;
    struct scan_block *more = malloc(sizeof *more + block);
    if (!more)
        return hl_scan_fail(scan, HILUM_ENOMEM, "header scan: no memory");
    more->next = scan->blocks;
    scan->blocks = more;
    scan->held += block;
    scan->hold = more->bytes;
    scan->room = block;
    return HILUM_OK;
}

static hilum_rc hold(struct hl_scan *scan, struct hl_element *e)
{
    static const uint8_t nothing[1];
    e->value = nothing;
    if (e->length == 0) {
        note_group_length(scan, e);
        return HILUM_OK;
    }
    hilum_rc rc = make_room(scan, e->length);
    if (rc != HILUM_OK)
        return rc;
    e->value = scan->hold;
    scan->room -= e->length;
    scan->remaining = e->length;
    scan->state = SCAN_HOLD;
    scan->is_last_hidden = true;
    return HILUM_OK;
}

/* A delimiter at the top level is left over from a sequence closed twice, and carries nothing.
 * An item there has contents nobody can place. */
static hilum_rc stray_item(struct hl_scan *scan, const struct hl_head *head)
{
    if (head->tag == HL_TAG_ITEM)
        return hl_scan_fail(scan, HILUM_EINVAL, "item outside a sequence " TAG_FORMAT,
                            TAG_ARGS(head->tag, scan->head_offset));
    scan->remarks |= HL_SCAN_DELIMITER;
    return HILUM_OK;
}

/* Zeros of tag and length begin the padding some media writers fill blocks with. */
static hilum_rc top_element(struct hl_scan *scan, const struct hl_head *head)
{
    if (is_item_tag(head->tag))
        return stray_item(scan, head);
    if (head->tag == 0 && head->length == 0) {
        if (scan->count == 0)
            return hl_scan_fail(scan, HILUM_EINVAL, "not DICOM: zeros " TAG_FORMAT,
                                TAG_ARGS(head->tag, scan->head_offset));
        scan->remarks |= HL_SCAN_TRAILING;
        scan->state = SCAN_PADDING;
        return HILUM_OK;
    }
    hilum_rc rc = push_element(scan, head);
    if (rc != HILUM_OK)
        return rc;
    struct hl_element *e = &scan->elements[scan->count - 1];
    scan->has_pixel_data |= is_pixel_data(head->tag);
    if (head->length == HL_LENGTH_UNDEFINED) {
        e->is_undefined = true;
        e->length = 0;
        return open_undefined(scan, head);
    }
    bool is_sequence = head->vr[0] == 'S' && head->vr[1] == 'Q';
    if (e->length > HL_SCAN_VALUE_MAX || is_sequence || is_pixel_data(e->tag)) {
        skip(scan, e->length);
        return HILUM_OK;
    }
    return hold(scan, e);
}

static hilum_rc take_head(struct hl_scan *scan, const struct hl_head *head);

/* Inside items only undefined lengths matter; elements of known length are skipped whole. */
static hilum_rc item_element(struct hl_scan *scan, const struct hl_head *head)
{
    if (is_item_tag(head->tag)) {
        scan->depth--;
        if (head->tag == HL_TAG_ITEM_END) {
            if (head->length)
                scan->remarks |= HL_SCAN_DELIMITER;
            return HILUM_OK;
        }
        scan->remarks |= HL_SCAN_DELIMITER; /* the item's own delimiter is missing */
        return take_head(scan, head);
    }
    if (head->length == HL_LENGTH_UNDEFINED)
        return open_undefined(scan, head);
    skip(scan, head->length);
    return HILUM_OK;
}

/* A fragment of undefined length would have no end: fragments hold no delimiters of their own. */
static hilum_rc open_item(struct hl_scan *scan, const struct hl_head *head)
{
    struct scan_frame frame = scan->frames[scan->depth - 1];
    if (head->length != HL_LENGTH_UNDEFINED) {
        skip(scan, head->length);
        return HILUM_OK;
    }
    if (frame.kind == FRAME_FRAGMENTS)
        return hl_scan_fail(
            scan, HILUM_EINVAL, "fragment of undefined length at offset %llu in " TAG_FORMAT,
            (unsigned long long)scan->head_offset, TAG_ARGS(frame.tag, frame.offset));
    frame.kind = FRAME_ITEM;
    return push_frame(scan, frame);
}

/* Writers that forget the sequence delimiter exist; tags ascend, so a larger tag than the
 * sequence's own cannot be inside it. */
static hilum_rc sequence_element(struct hl_scan *scan, const struct hl_head *head)
{
    const struct scan_frame *frame = &scan->frames[scan->depth - 1];
    switch (head->tag) {
    case HL_TAG_ITEM: return open_item(scan, head);
    case HL_TAG_SEQUENCE_END:
        if (head->length)
            scan->remarks |= HL_SCAN_DELIMITER;
        pop_sequence(scan, scan->head_offset + head->size);
        return HILUM_OK;
    case HL_TAG_ITEM_END: scan->remarks |= HL_SCAN_DELIMITER; return HILUM_OK;
    default: break;
    }
    /* Not an item: its delimiter is missing if this can be the next element around it. */
    if (head->tag <= frame->tag)
        return hl_scan_fail(
            scan, HILUM_EINVAL, "no item but " TAG_FORMAT " in sequence " TAG_FORMAT,
            TAG_ARGS(head->tag, scan->head_offset), TAG_ARGS(frame->tag, frame->offset));
    scan->remarks |= HL_SCAN_DELIMITER;
    pop_sequence(scan, scan->head_offset);
    return take_head(scan, head);
}

static hilum_rc take_head(struct hl_scan *scan, const struct hl_head *head)
{
    if (scan->depth == 0)
        return top_element(scan, head);
    if (scan->frames[scan->depth - 1].kind == FRAME_ITEM)
        return item_element(scan, head);
    return sequence_element(scan, head);
}

/* In what coding the head that begins at p is. Looks at 8 bytes. */
static struct hl_coding head_coding(struct hl_scan *scan, const uint8_t *p)
{
    if (scan->depth == 0) {
        if (scan->head_offset == 0 && hl_head_sniff(p, &scan->coding))
            scan->remarks |= HL_SCAN_WRONG_SYNTAX;
        return scan->coding;
    }
    struct scan_frame *frame = &scan->frames[scan->depth - 1];
    if (frame->kind != FRAME_ITEM) {
        bool big = frame->coding.is_big_endian;
        return is_item_tag(hl_get_tag(p, big)) ? frame->coding : element_coding(scan);
    }
    if (frame->is_sniffed && !is_item_tag(hl_get_tag(p, false))) {
        frame->is_sniffed = false;
        if (hl_head_sniff(p, &frame->coding))
            scan->remarks |= HL_SCAN_WRONG_SYNTAX;
    }
    return frame->coding;
}

/* Returns the bytes of the head; failures are kept in the scan. */
static size_t decode(struct hl_scan *scan, const uint8_t *p, struct hl_coding coding)
{
    struct hl_head head;
    hl_head_decode(p, coding, &head);
    if (head.tag || head.length) /* zeros are padding, not an element with a bad VR */
        scan->remarks |= head.remarks;
    take_head(scan, &head);
    return head.size;
}

/* A head that a chunk's end cuts is gathered byte by byte. Returns bytes used. */
static size_t gather_head(struct hl_scan *scan, const uint8_t *p, size_t n)
{
    if (scan->head_length == 0) {
        scan->head_offset = scan->offset;
        scan->head_size = HL_HEAD_PEEK;
    }
    size_t used = 0;
    while (used < n && scan->head_length < scan->head_size)
        scan->head[scan->head_length++] = p[used++];
    if (scan->head_length == HL_HEAD_PEEK && scan->head_size == HL_HEAD_PEEK)
        scan->head_size = (uint8_t)hl_head_size(scan->head, head_coding(scan, scan->head));
    while (used < n && scan->head_length < scan->head_size)
        scan->head[scan->head_length++] = p[used++];
    if (scan->head_length == scan->head_size && scan->head_length >= HL_HEAD_PEEK) {
        scan->head_length = 0;
        decode(scan, scan->head, head_coding(scan, scan->head));
    }
    return used;
}

/* A whole head in the chunk is decoded where it lies, without being copied. */
static size_t consume_head(struct hl_scan *scan, const uint8_t *p, size_t n)
{
    if (scan->head_length || n < HL_HEAD_MAX)
        return gather_head(scan, p, n);
    size_t fast = hl_scan_fast(scan, p, n);
    if (fast)
        return fast;
    scan->head_offset = scan->offset;
    return decode(scan, p, head_coding(scan, p));
}

/* The value is complete or the chunk is; a value shows to readers only when complete. Until
 * then hl_scan_find does not see it: a rule must not read half a name. */
static size_t consume_held(struct hl_scan *scan, const uint8_t *p, size_t n)
{
    size_t take = n < scan->remaining ? n : (size_t)scan->remaining;
    memcpy(scan->hold, p, take);
    scan->hold += take;
    scan->remaining -= take;
    if (scan->remaining)
        return take;
    struct hl_element *e = &scan->elements[scan->count - 1];
    scan->state = SCAN_HEAD;
    scan->is_last_hidden = false;
    note_group_length(scan, e);
    /* An implicit sequence shows only by its first item. */
    if (!e->vr[0] && e->length >= 8 &&
        hl_get_tag(e->value, scan->coding.is_big_endian) == HL_TAG_ITEM)
        e->value = NULL;
    return take;
}

/* Anything but zeros means that it was no padding, and attributes may have been missed. */
static size_t consume_padding(struct hl_scan *scan, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] == 0)
            continue;
        hl_scan_fail(scan, HILUM_EINVAL, "bytes after padding: " TAG_FORMAT,
                     TAG_ARGS(0u, scan->offset + i));
        return i;
    }
    return n;
}

hilum_rc hl_scan_consume(struct hl_scan *scan, const uint8_t *p, size_t n)
{
    while (n && scan->rc == HILUM_OK) {
        size_t used = 0;
        switch (scan->state) {
        case SCAN_HEAD: used = consume_head(scan, p, n); break;
        case SCAN_HOLD: used = consume_held(scan, p, n); break;
        case SCAN_PADDING: used = consume_padding(scan, p, n); break;
        case SCAN_SKIP:
            used = n < scan->remaining ? n : (size_t)scan->remaining;
            skip(scan, scan->remaining - used);
            break;
        }
        scan->offset += used;
        p += used;
        n -= used;
    }
    return scan->rc;
}

/* A failure is kept and said again: a caller that goes on by mistake cannot make sense of half
 * a data set. */
hilum_rc hl_scan_feed(struct hl_scan *scan, const void *bytes, size_t n)
{
    if (scan->rc != HILUM_OK)
        return hl_fail(scan->rc, "%s", scan->reason);
    return scan->inflate ? hl_scan_inflate(scan, bytes, n) : hl_scan_consume(scan, bytes, n);
}

/* ---- the end ---- */

static bool is_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i])
            return false;
    return true;
}

/* The element at the top level that the data set ended inside of, or NULL. */
static struct hl_element *cut_element(struct hl_scan *scan)
{
    bool is_inside = scan->depth || scan->state == SCAN_HOLD || scan->state == SCAN_SKIP;
    return is_inside && scan->count ? &scan->elements[scan->count - 1] : NULL;
}

/* A few bytes behind the pixel data are padding or rubbish that hides no attribute. */
static hilum_rc end_head(struct hl_scan *scan)
{
    if (scan->has_pixel_data || (scan->count && is_zero(scan->head, scan->head_length))) {
        scan->remarks |= HL_SCAN_TRAILING;
        return HILUM_OK;
    }
    uint32_t tag = scan->head_length >= 4 ? hl_get_tag(scan->head, scan->coding.is_big_endian) : 0;
    return hl_scan_fail(scan, HILUM_EINVAL, "cut short in the head of " TAG_FORMAT,
                        TAG_ARGS(tag, scan->head_offset));
}

/* Truncated pixel data is still worth keeping, a truncated header is not: the object would be filed
 * under what happened to arrive. */
hilum_rc hl_scan_end(struct hl_scan *scan)
{
    if (scan->rc != HILUM_OK)
        return hl_fail(scan->rc, "%s", scan->reason);
    struct hl_element *e = cut_element(scan);
    if (e && may_end_early(e->tag)) {
        e->length = scan->offset - e->offset - e->header_length;
        scan->remarks |= HL_SCAN_TRUNCATED;
        return HILUM_OK;
    }
    if (e)
        return hl_scan_fail(scan, HILUM_EINVAL, "cut short after %llu bytes: in " TAG_FORMAT,
                            (unsigned long long)scan->offset, TAG_ARGS(e->tag, e->offset));
    if (scan->head_length)
        return end_head(scan);
    assert(scan->count == 0 || scan->elements);
    if (scan->inflate && !scan->is_inflated)
        return hl_scan_fail(
            scan, HILUM_EINVAL, "deflated data cut short: after " TAG_FORMAT,
            TAG_ARGS(scan->count ? scan->elements[scan->count - 1].tag : 0, scan->offset));
    check_group(scan, UINT32_MAX, scan->offset);
    return HILUM_OK;
}
