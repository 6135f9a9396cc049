/* Element heads: decoding, lenient where the length can still be told, and encoding.
 * It knows nothing of values, nesting or whole data sets. SPDX-License-Identifier: Apache-2.0 */
#include "core/store/scan_head.h"

#include <ctype.h>

#include "core/store/scan.h"

/* Both letters of a VR as one index; letters are asked for first. */
#define V(a, b) (((a) - 'A') * 26 + ((b) - 'A'))
#define S       HL_VR_SHORT
#define L       HL_VR_LONG

/* PS3.5 7.1.2, tables 7.1-1 and 7.1-2. */
static const uint8_t vr_kinds[26 * 26] = {
    [V('A', 'E')] = S, [V('A', 'S')] = S, [V('A', 'T')] = S, [V('C', 'S')] = S, [V('D', 'A')] = S,
    [V('D', 'S')] = S, [V('D', 'T')] = S, [V('F', 'D')] = S, [V('F', 'L')] = S, [V('I', 'S')] = S,
    [V('L', 'O')] = S, [V('L', 'T')] = S, [V('O', 'B')] = L, [V('O', 'D')] = L, [V('O', 'F')] = L,
    [V('O', 'L')] = L, [V('O', 'V')] = L, [V('O', 'W')] = L, [V('P', 'N')] = S, [V('S', 'H')] = S,
    [V('S', 'L')] = S, [V('S', 'Q')] = L, [V('S', 'S')] = S, [V('S', 'T')] = S, [V('S', 'V')] = L,
    [V('T', 'M')] = S, [V('U', 'C')] = L, [V('U', 'I')] = S, [V('U', 'L')] = S, [V('U', 'N')] = L,
    [V('U', 'R')] = L, [V('U', 'S')] = S, [V('U', 'T')] = L, [V('U', 'V')] = L,
};

#undef S
#undef L

enum hl_vr_kind hl_vr_kind(const char vr[2])
{
    unsigned first = (unsigned)(uint8_t)vr[0] - 'A', second = (unsigned)(uint8_t)vr[1] - 'A';
    if (first >= 26 || second >= 26)
        return HL_VR_UNKNOWN;
    return (enum hl_vr_kind)vr_kinds[first * 26 + second];
}

static bool is_delimiter(uint32_t tag)
{
    return tag >> 16 == 0xFFFE &&
           (tag == HL_TAG_ITEM || tag == HL_TAG_ITEM_END || tag == HL_TAG_SEQUENCE_END);
}

/* What stands where the VR should. New VRs are all of the long form (PS3.5 6.2, note), letters that
 * are followed by a length instead of the two reserved zeros are some maker's own short one, and
 * binary rubbish is an implicit length: makers mix the codings within one data set. */
enum vr_place { PLACE_SHORT, PLACE_LONG, PLACE_IMPLICIT };

/* Blanks (two zeros) are met from writers that left the VR out and kept the rest. */
static enum vr_place vr_place(const uint8_t *p, bool is_big_endian)
{
    enum hl_vr_kind kind = hl_vr_kind((const char *)p + 4);
    if (kind != HL_VR_UNKNOWN)
        return kind == HL_VR_LONG ? PLACE_LONG : PLACE_SHORT;
    if (isupper(p[4]) && isupper(p[5]))
        return p[6] == 0 && p[7] == 0 ? PLACE_LONG : PLACE_SHORT;
    if (isprint(p[4]) && isprint(p[5]))
        return PLACE_SHORT;
    bool is_blank = p[4] == 0 && p[5] == 0;
    return is_blank && !is_big_endian ? PLACE_SHORT : PLACE_IMPLICIT;
}

size_t hl_head_size(const uint8_t *p, struct hl_coding coding)
{
    if (coding.is_implicit || is_delimiter(hl_get_tag(p, coding.is_big_endian)))
        return 8;
    return vr_place(p, coding.is_big_endian) == PLACE_LONG ? 12 : 8;
}

/* Letters nobody knows: read in the form they have, and remarked. */
static void decode_odd_vr(const uint8_t *p, bool is_big_endian, struct hl_head *out)
{
    out->remarks |= HL_SCAN_BAD_VR;
    enum vr_place place = vr_place(p, is_big_endian);
    if (place == PLACE_IMPLICIT) {
        out->remarks |= HL_SCAN_WRONG_SYNTAX;
        out->vr[0] = '\0';
        return;
    }
    out->size = place == PLACE_LONG ? 12 : 8;
    out->length =
        place == PLACE_LONG ? hl_get32(p + 8, is_big_endian) : hl_get16(p + 6, is_big_endian);
}

static void decode_explicit(const uint8_t *p, bool is_big_endian, struct hl_head *out)
{
    out->vr[0] = (char)p[4];
    out->vr[1] = (char)p[5];
    switch (hl_vr_kind(out->vr)) {
    case HL_VR_SHORT: out->length = hl_get16(p + 6, is_big_endian); break;
    case HL_VR_LONG:
        out->size = 12;
        out->length = hl_get32(p + 8, is_big_endian);
        break;
    case HL_VR_UNKNOWN: decode_odd_vr(p, is_big_endian, out); break;
    }
}

void hl_head_decode(const uint8_t *p, struct hl_coding coding, struct hl_head *out)
{
    bool big = coding.is_big_endian;
    *out = (struct hl_head){.tag = hl_get_tag(p, big), .length = hl_get32(p + 4, big), .size = 8};
    if (!coding.is_implicit && !is_delimiter(out->tag))
        decode_explicit(p, big, out);
    if (out->length != HL_LENGTH_UNDEFINED && out->length % 2)
        out->remarks |= HL_SCAN_ODD_LENGTH;
}

/* Groups no data set begins with, whose bytes swapped are ones that many begin with. */
static bool is_swapped_group(uint16_t group)
{
    return group == 0x0200 || group == 0x0800 || group == 0x1000 || group == 0x1800 ||
           group == 0x2800;
}

/* Only where it is nearly certain: a wrong guess makes an unreadable object of a readable one.
 * An implicit length whose bytes are the letters of a known VR would be over 16 KB for the
 * first element, which is none. */
bool hl_head_sniff(const uint8_t *p, struct hl_coding *coding)
{
    struct hl_coding said = *coding;
    if (is_swapped_group(hl_get16(p, said.is_big_endian)))
        coding->is_big_endian = !said.is_big_endian;
    bool has_vr = hl_vr_kind((const char *)p + 4) != HL_VR_UNKNOWN;
    bool may_be_vr = isprint(p[4]) && isprint(p[5]);
    /* Letters decide for explicit: as an implicit length they would be over 16 KiB. */
    if (said.is_implicit ? has_vr : !may_be_vr && (p[4] || p[5] || p[6] || p[7]))
        coding->is_implicit = !said.is_implicit;
    return coding->is_implicit != said.is_implicit || coding->is_big_endian != said.is_big_endian;
}

/* ---- writing ---- */

static void put16(struct hl_buf *out, uint32_t value, bool is_big_endian)
{
    hl_buf_byte(out, (uint8_t)(is_big_endian ? value >> 8 : value));
    hl_buf_byte(out, (uint8_t)(is_big_endian ? value : value >> 8));
}

static void put32(struct hl_buf *out, uint32_t value, bool is_big_endian)
{
    put16(out, is_big_endian ? value >> 16 : value & 0xFFFF, is_big_endian);
    put16(out, is_big_endian ? value & 0xFFFF : value >> 16, is_big_endian);
}

void hl_head_put(struct hl_buf *out, uint32_t tag, const char *vr, uint32_t length,
                 struct hl_coding coding)
{
    bool big = coding.is_big_endian;
    put16(out, tag >> 16, big);
    put16(out, tag & 0xFFFF, big);
    if (coding.is_implicit || is_delimiter(tag)) {
        put32(out, length, big);
        return;
    }
    enum hl_vr_kind kind = vr[0] ? hl_vr_kind(vr) : HL_VR_UNKNOWN;
    if (kind == HL_VR_SHORT && length <= HL_SHORT_LENGTH_MAX) {
        hl_buf_add(out, vr, 2);
        put16(out, length, big);
        return;
    }
    hl_buf_add(out, kind == HL_VR_LONG ? vr : "UN", 2);
    put16(out, 0, big);
    put32(out, length, big);
}

uint8_t hl_vr_padding(const char *vr)
{
    bool is_text = vr[0] && vr[0] != 'O' && strcmp(vr, "UI") != 0 && strcmp(vr, "UN") != 0;
    return is_text ? ' ' : '\0';
}
