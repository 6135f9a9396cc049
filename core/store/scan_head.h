/* The head of one data element (PS3.5 7.1): tag, VR, length, read and written in any of the three codings.
 * It knows nothing of values, nesting or whole data sets. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_STORE_SCAN_HEAD_H
#define HL_STORE_SCAN_HEAD_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/base/buf.h"

#define HL_LENGTH_UNDEFINED 0xFFFFFFFFu
#define HL_TAG_ITEM         0xFFFEE000u
#define HL_TAG_ITEM_END     0xFFFEE00Du
#define HL_TAG_SEQUENCE_END 0xFFFEE0DDu
#define HL_TAG_PIXEL_DATA   0x7FE00010u

enum { HL_HEAD_PEEK = 8, HL_HEAD_MAX = 12 };
enum { HL_SHORT_LENGTH_MAX = 0xFFFE }; /* of a VR with a 16-bit length */

struct hl_coding {
    bool is_implicit, is_big_endian;
};

struct hl_head {
    uint32_t tag;
    uint32_t length;  /* HL_LENGTH_UNDEFINED as coded */
    uint8_t size;     /* 8 or 12 bytes */
    char vr[3];       /* "" when implicit */
    unsigned remarks; /* enum hl_scan_remark */
};

/* How a VR is written in explicit codings. */
enum hl_vr_kind { HL_VR_UNKNOWN, HL_VR_SHORT, HL_VR_LONG };
enum hl_vr_kind hl_vr_kind(const char vr[2]);

/* Inline: the scan spends its time here. */
static inline uint16_t hl_get16(const uint8_t *p, bool is_big_endian)
{
    return (uint16_t)(is_big_endian ? p[0] << 8 | p[1] : p[1] << 8 | p[0]);
}

static inline uint32_t hl_get32(const uint8_t *p, bool is_big_endian)
{
    uint32_t value;
    memcpy(&value, p, sizeof value);
    return is_big_endian ? be32toh(value) : le32toh(value);
}

static inline uint32_t hl_get_tag(const uint8_t *p, bool is_big_endian)
{
    return (uint32_t)hl_get16(p, is_big_endian) << 16 | hl_get16(p + 2, is_big_endian);
}

/* Bytes this head occupies, told from its first 8. */
size_t hl_head_size(const uint8_t *p, struct hl_coding coding);
/* Decodes a head of which hl_head_size bytes are there; out->size says the same without asking. */
void hl_head_decode(const uint8_t *p, struct hl_coding coding, struct hl_head *out);
/* What the first 8 bytes of a data set, said to be in *coding, are really in; corrects *coding and
 * returns true when that differs. */
bool hl_head_sniff(const uint8_t *p, struct hl_coding *coding);

/* Appends a head. A short VR over HL_SHORT_LENGTH_MAX, an unknown one and "" become UN where the coding has VRs
 * (PS3.5 6.2.2); items and delimiters have none. */
void hl_head_put(struct hl_buf *out, uint32_t tag, const char *vr, uint32_t length,
                 struct hl_coding coding);
/* The byte that makes a value of this VR even (PS3.5 6.2): NUL for UIDs and bytes, a space for all other text. */
uint8_t hl_vr_padding(const char *vr);

#endif
