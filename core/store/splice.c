/* Planning of edits over a scan. It knows nothing of files and of attributes' meaning.
 *
 * Nothing is copied but the new bytes: a plan for a gigabyte is a few pieces. The order of
 * elements is kept; what is added goes where its tag belongs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/store/splice.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/store/scan_head.h"

enum { TAG_ORIGINAL_MODIFIED = 0x04000550 };

struct plan {
    const struct hl_scan *scan;
    const struct hl_edit *edits;
    size_t n, next; /* edits[0..next) are out */
    struct hl_splice *out;
};

static struct hl_coding coding_of(const struct hl_scan *scan)
{
    return (struct hl_coding){.is_implicit = hl_scan_is_implicit(scan),
                              .is_big_endian = hl_scan_is_big_endian(scan)};
}

/* ---- encoding ---- */

hilum_rc hl_edit_encode(const struct hl_edit *edit, struct hl_coding coding, struct hl_buf *out)
{
    if (edit->length >= HL_LENGTH_UNDEFINED - 1)
        return hl_fail(HILUM_EINVAL, "(%04X,%04X): value over 4 GiB", edit->tag >> 16,
                       edit->tag & 0xFFFF);
    uint32_t length = (uint32_t)(edit->length + edit->length % 2);
    hl_head_put(out, edit->tag, edit->vr, length, coding);
    hl_buf_add(out, edit->value, edit->length);
    if (edit->length % 2)
        hl_buf_byte(out, hl_vr_padding(edit->vr));
    return out->failed ? hl_fail(HILUM_ENOMEM, "edit of a data set: no memory") : HILUM_OK;
}

/* ---- planning ---- */

/* Empty ones are left out, neighbours joined. Joined, so that most of an object with one
 * correction is one piece and leaves in large writes. */
static hilum_rc add_piece(struct hl_splice *out, struct hl_piece piece)
{
    if (piece.length == 0)
        return HILUM_OK;
    out->length += piece.length;
    struct hl_piece *last = out->count ? &out->pieces[out->count - 1] : NULL;
    if (last && !hl_piece_is_pixels(last) && !piece.bytes && !last->bytes &&
        last->offset + last->length == piece.offset) {
        last->length += piece.length;
        return HILUM_OK;
    }
    if (!hl_grow(&out->pieces, &out->cap, out->count, sizeof *out->pieces))
        return hl_fail(HILUM_ENOMEM, "edit of a data set: no memory");
    out->pieces[out->count++] = piece;
    return HILUM_OK;
}

static hilum_rc keep(struct plan *plan, uint64_t begin, uint64_t end)
{
    return add_piece(plan->out, (struct hl_piece){.offset = begin, .length = end - begin});
}

/* Each edit has memory of its own, for the growing buffer may move. */
static hilum_rc add_edit(struct plan *plan, const struct hl_edit *edit)
{
    if (edit->is_delete)
        return HILUM_OK;
    struct hl_buf coded = {0};
    hilum_rc rc = hl_edit_encode(edit, coding_of(plan->scan), &coded);
    uint8_t *bytes = rc == HILUM_OK ? hl_arena_alloc(&plan->out->arena, coded.len) : NULL;
    if (rc == HILUM_OK && !bytes)
        rc = hl_fail(HILUM_ENOMEM, "edit of a data set: no memory");
    if (rc == HILUM_OK && bytes) {
        memcpy(bytes, coded.data, coded.len);
        rc = add_piece(plan->out, (struct hl_piece){.bytes = bytes, .length = coded.len});
    }
    hl_buf_fini(&coded);
    return rc;
}

/* The edits that belong before `tag`, or at it. */
static hilum_rc add_edits_up_to(struct plan *plan, uint64_t tag)
{
    while (plan->next < plan->n && plan->edits[plan->next].tag <= tag) {
        hilum_rc rc = add_edit(plan, &plan->edits[plan->next++]);
        if (rc != HILUM_OK)
            return rc;
    }
    return HILUM_OK;
}

/* The first edit whose tag is not below `tag`. */
static const struct hl_edit *lower_bound(const struct plan *plan, uint32_t tag)
{
    size_t low = 0, high = plan->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (plan->edits[middle].tag < tag)
            low = middle + 1;
        else
            high = middle;
    }
    return low < plan->n ? &plan->edits[low] : NULL;
}

/* Every occurrence of an edited tag: readers differ in which of two they believe. The group
 * length goes with any edit in its group: it would be wrong, and nobody needs it (retired,
 * PS3.5 7.2). */
static bool is_dropped(const struct plan *plan, uint32_t tag)
{
    const struct hl_edit *edit = lower_bound(plan, tag);
    if (edit && edit->tag == tag)
        return true;
    bool is_group_length = (tag & 0xFFFF) == 0;
    return is_group_length && edit && edit->tag >> 16 == tag >> 16;
}

/* An element's range reaches to the next one, so stray delimiters stay with what they follow. */
static hilum_rc plan_element(struct plan *plan, const struct hl_element *e, uint64_t end)
{
    hilum_rc rc = add_edits_up_to(plan, e->tag);
    if (rc != HILUM_OK)
        return rc;
    return is_dropped(plan, e->tag) ? HILUM_OK : keep(plan, e->offset, end);
}

/* What follows the last element (padding) stays behind everything. */
static hilum_rc plan_end(struct plan *plan, uint64_t end)
{
    bool is_cut = hl_scan_remarks(plan->scan) & HL_SCAN_TRUNCATED;
    for (size_t i = plan->next; is_cut && i < plan->n; i++)
        if (!plan->edits[i].is_delete)
            return hl_fail(HILUM_EUNSUP, "(%04X,%04X): cannot be added behind truncated pixel data",
                           plan->edits[i].tag >> 16, plan->edits[i].tag & 0xFFFF);
    hilum_rc rc = add_edits_up_to(plan, UINT32_MAX);
    return rc == HILUM_OK ? keep(plan, end, hl_scan_length(plan->scan)) : rc;
}

/* From the first byte to the last, each element's range or its edit. */
static hilum_rc plan_all(struct plan *plan)
{
    const struct hl_scan *scan = plan->scan;
    size_t count = hl_scan_count(scan);
    hilum_rc rc = count ? keep(plan, 0, hl_scan_at(scan, 0)->offset) : HILUM_OK;
    uint64_t end = 0;
    for (size_t i = 0; i < count && rc == HILUM_OK; i++) {
        const struct hl_element *e = hl_scan_at(scan, i);
        end = i + 1 < count ? hl_scan_at(scan, i + 1)->offset
                            : e->offset + e->header_length + e->length;
        rc = plan_element(plan, e, end);
    }
    return rc == HILUM_OK ? plan_end(plan, end) : rc;
}

/* Order is the caller's business: sorting here would hide an attribute given twice. */
static hilum_rc check_edits(const struct hl_scan *scan, const struct hl_edit *edits, size_t n)
{
    if (hl_scan_is_deflated(scan))
        return hl_fail(HILUM_EUNSUP, "edit of a deflated data set: inflate it first");
    for (size_t i = 1; i < n; i++)
        if (edits[i - 1].tag >= edits[i].tag)
            return hl_fail(HILUM_EINVAL, "edits are out of order at (%04X,%04X)",
                           edits[i].tag >> 16, edits[i].tag & 0xFFFF);
    return HILUM_OK;
}

hilum_rc hl_splice_plan(const struct hl_scan *scan, const struct hl_edit *edits, size_t n,
                        struct hl_splice *out)
{
    *out = (struct hl_splice){0};
    hilum_rc rc = check_edits(scan, edits, n);
    if (rc != HILUM_OK)
        return rc;
    struct plan plan = {.scan = scan, .edits = edits, .n = n, .out = out};
    rc = plan_all(&plan);
    if (rc != HILUM_OK)
        hl_splice_fini(out);
    return rc;
}

void hl_splice_fini(struct hl_splice *splice)
{
    free(splice->pieces);
    hl_arena_fini(&splice->arena);
    *splice = (struct hl_splice){0};
}

/* ---- one over another ---- */

/* The part of `under` from `at` on, `n` bytes of it. A walk from the start each time: pieces
 * are a dozen, corrections times two and one. */
static hilum_rc add_range(const struct hl_splice *under, uint64_t at, uint64_t n,
                          struct hl_splice *out)
{
    uint64_t begin = 0;
    hilum_rc rc = HILUM_OK;
    if (!under || under->count == 0)
        return add_piece(out, (struct hl_piece){.offset = at, .length = n});
    for (size_t i = 0; i < under->count && n && rc == HILUM_OK; i++) {
        struct hl_piece piece = under->pieces[i];
        if (at < begin + piece.length) {
            uint64_t within = at - begin, left = piece.length - within;
            uint64_t used = n < left ? n : left;
            rc =
                add_piece(out, (struct hl_piece){.bytes = piece.bytes ? piece.bytes + within : NULL,
                                                 .offset = piece.bytes ? 0 : piece.offset + within,
                                                 .length = used});
            at += used;
            n -= used;
        }
        begin += piece.length;
    }
    return rc;
}

/* The head of Pixel Data in explicit little endian, with its length. */
static hilum_rc add_pixels(const struct hl_piece *head, uint64_t pixels, uint32_t length,
                           struct hl_splice *out)
{
    uint8_t *bytes = hl_arena_alloc(&out->arena, head->length);
    if (!bytes)
        return hl_fail(HILUM_ENOMEM, "edit of a data set: no memory");
    memcpy(bytes, head->bytes, head->length);
    for (unsigned i = 0; i < 4; i++)
        bytes[head->length - 4 + i] = (uint8_t)(length >> (8 * i));
    hilum_rc rc = add_piece(out, (struct hl_piece){.bytes = bytes, .length = head->length});
    if (rc != HILUM_OK)
        return rc;
    return add_piece(out, (struct hl_piece){.offset = HL_PIECE_PIXELS, .length = pixels});
}

/* A new element Pixel Data without a value is all head: OB and OW have 12 bytes (PS3.5 7.1.2). */
static bool is_pixel_head(const struct hl_piece *piece)
{
    return piece->bytes && piece->length == HL_HEAD_MAX &&
           hl_get_tag(piece->bytes, false) == HL_TAG_PIXEL_DATA;
}

/* `over`, with every range of its data set looked up in `under`. */
static hilum_rc compose(const struct hl_splice *under, uint64_t pixels, uint32_t length,
                        const struct hl_splice *over, struct hl_splice *out)
{
    hilum_rc rc = HILUM_OK;
    for (size_t i = 0; i < over->count && rc == HILUM_OK; i++) {
        const struct hl_piece *piece = &over->pieces[i];
        if (is_pixel_head(piece))
            rc = add_pixels(piece, pixels, length, out);
        else if (piece->bytes)
            rc = add_piece(out, *piece);
        else
            rc = add_range(under, piece->offset, piece->length, out);
    }
    return rc;
}

hilum_rc hl_splice_compose(const struct hl_splice *under, uint64_t pixels, bool is_fragments,
                           struct hl_splice *over)
{
    uint32_t length = is_fragments ? HL_LENGTH_UNDEFINED : (uint32_t)pixels;
    struct hl_splice out = {.arena = over->arena}; /* the edits' bytes go on living in it */
    over->arena = (struct hl_arena){0};
    hilum_rc rc =
        is_fragments || pixels < HL_LENGTH_UNDEFINED - 1
            ? compose(under, pixels, length, over, &out)
            : hl_fail(HILUM_EUNSUP, "%llu bytes of native pixels: more than one element holds",
                      (unsigned long long)pixels);
    hl_splice_fini(over);
    if (rc == HILUM_OK)
        *over = out;
    else
        hl_splice_fini(&out);
    return rc;
}

/* ---- original attributes ---- */

static hilum_rc add_text(uint32_t tag, const char *vr, const char *text, struct hl_coding coding,
                         struct hl_buf *out)
{
    struct hl_edit edit = {.tag = tag, .value = (const uint8_t *)text, .length = strlen(text)};
    memcpy(edit.vr, vr, 2);
    return hl_edit_encode(&edit, coding, out);
}

/* One item of defined length around `content`. */
static void add_item(const struct hl_buf *content, struct hl_coding coding, struct hl_buf *out)
{
    hl_head_put(out, HL_TAG_ITEM, "", (uint32_t)content->len, coding);
    hl_buf_add(out, content->data, content->len);
    out->failed |= content->failed;
}

/* One item always, even when everything changed was absent before: the sequence is type 1. */
static hilum_rc add_old_values(const struct hl_original *item, struct hl_coding coding,
                               struct hl_buf *out)
{
    struct hl_buf values = {0}, sequence = {0};
    hilum_rc rc = HILUM_OK;
    for (size_t i = 0; i < item->n_old && rc == HILUM_OK; i++)
        if (!item->old[i].is_delete)
            rc = hl_edit_encode(&item->old[i], coding, &values);
    if (rc == HILUM_OK) {
        add_item(&values, coding, &sequence);
        rc = hl_edit_encode(&(struct hl_edit){.tag = TAG_ORIGINAL_MODIFIED,
                                              .vr = "SQ",
                                              .value = (const uint8_t *)sequence.data,
                                              .length = sequence.len},
                            coding, out);
    }
    out->failed |= sequence.failed;
    hl_buf_fini(&values);
    hl_buf_fini(&sequence);
    return rc;
}

/* A value of defined length may end in bytes that look alike only if its last item is malformed. */
static size_t without_delimiter(const uint8_t *existing, size_t n, bool is_big_endian)
{
    if (n >= 8 && hl_get_tag(existing + n - 8, is_big_endian) == HL_TAG_SEQUENCE_END &&
        hl_get32(existing + n - 4, is_big_endian) == 0)
        return n - 8;
    return n;
}

/* Attributes of an item ascend by tag, as everywhere. */
hilum_rc hl_original_add(const struct hl_scan *scan, const uint8_t *existing, size_t n,
                         const struct hl_original *item, struct hl_buf *out)
{
    struct hl_coding coding = coding_of(scan);
    struct hl_buf content = {0};
    hilum_rc rc = add_old_values(item, coding, &content);
    if (rc == HILUM_OK)
        rc = add_text(0x04000562, "DT", item->datetime, coding, &content);
    if (rc == HILUM_OK)
        rc = add_text(0x04000563, "LO", item->system, coding, &content);
    if (rc == HILUM_OK)
        rc = add_text(0x04000564, "LO", item->source, coding, &content);
    if (rc == HILUM_OK)
        rc = add_text(0x04000565, "CS", item->reason, coding, &content);
    if (rc == HILUM_OK) {
        if (existing)
            hl_buf_add(out, existing, without_delimiter(existing, n, coding.is_big_endian));
        add_item(&content, coding, out);
    }
    hl_buf_fini(&content);
    if (rc == HILUM_OK && out->failed)
        return hl_fail(HILUM_ENOMEM, "original attributes: no memory");
    return rc;
}
