/* The way most elements go: at the top level, in order, of known VR and even length, and whole
 * in the
 * chunk. Everything else is left to the state machine; what is done here is what it would do.
 * It knows nothing of nesting, remarks and failures. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "core/store/scan_internal.h"

/* False: not a plain one. */
static inline bool decode_plain(const uint8_t *p, bool is_implicit, struct hl_head *out)
{
    out->tag = hl_get_tag(p, false);
    if (is_implicit) {
        out->size = 8;
        out->length = hl_get32(p + 4, false);
        out->vr[0] = out->vr[1] = '\0';
        return true;
    }
    out->vr[0] = (char)p[4];
    out->vr[1] = (char)p[5];
    enum hl_vr_kind kind = hl_vr_kind(out->vr);
    out->size = kind == HL_VR_LONG ? 12 : 8;
    out->length = kind == HL_VR_LONG ? hl_get32(p + 8, false) : hl_get16(p + 6, false);
    return kind != HL_VR_UNKNOWN && !(p[4] == 'S' && p[5] == 'Q');
}

/* Groups from 7FE0 on are pixels or what stands behind them; a group length that is being
 * watched needs the state machine, as does a value that would begin a new block. */
static inline bool is_plain(const struct hl_scan *scan, const struct hl_head *head, size_t n)
{
    uint32_t group = head->tag >> 16;
    if (scan->elements[scan->count - 1].tag >= head->tag || (head->tag & 0xFFFF) == 0 ||
        group >= 0x7FE0 || (group != scan->group && scan->group_end))
        return false;
    return head->length <= n - head->size && head->length <= scan->room && head->length % 2 == 0;
}

/* Its budget was charged with the block and by has_room. */
static inline void take_plain(struct hl_scan *scan, const struct hl_head *head, uint64_t offset,
                              const uint8_t *value)
{
    static const uint8_t nothing[1];
    struct hl_element *e = &scan->elements[scan->count++];
    *e = (struct hl_element){.tag = head->tag,
                             .vr = {head->vr[0], head->vr[1]},
                             .offset = offset,
                             .header_length = head->size,
                             .length = head->length,
                             .value = head->length ? scan->hold : nothing};
    if (head->length) { /* before the first block there is no hold, and NULL + 0 is undefined */
        memcpy(scan->hold, value, head->length);
        scan->hold += head->length;
    }
    scan->room -= head->length;
    scan->group = head->tag >> 16;
    scan->sorted++;
}

static inline bool has_room(const struct hl_scan *scan)
{
    return scan->count < scan->cap &&
           scan->held + (scan->count + 1) * sizeof *scan->elements <= scan->limits.max_held;
}

size_t hl_scan_fast(struct hl_scan *scan, const uint8_t *p, size_t n)
{
    /* An element before tells order and group, and that its syntax was looked at. */
    if (scan->depth || scan->count == 0 || scan->sorted != scan->count ||
        scan->coding.is_big_endian)
        return 0;
    size_t used = 0;
    struct hl_head head;
    while (n - used >= HL_HEAD_MAX && has_room(scan) &&
           decode_plain(p + used, scan->coding.is_implicit, &head) &&
           is_plain(scan, &head, n - used)) {
        const uint8_t *value = p + used + head.size;
        /* An implicit sequence, which is known by place only. */
        if (scan->coding.is_implicit && head.length >= 8 && hl_get_tag(value, false) == HL_TAG_ITEM)
            break;
        take_plain(scan, &head, scan->offset + used, value);
        used += (size_t)head.size + head.length;
    }
    return used;
}
