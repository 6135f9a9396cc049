/* The head of a Part 10 file (PS3.10 7.1), or of what passes for one.
 * It knows nothing of the data set that follows. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/dicom/uid.h"
#include "core/store/scan.h"
#include "core/store/scan_head.h"

enum { PREAMBLE = 128, MAGIC = 4, META_GROUP = 0x0002, IDENTIFYING_GROUP = 0x0008 };

struct meta {
    const uint8_t *bytes;
    size_t n, at;
    size_t group_end; /* as (0002,0000) has it; 0: not told */
    struct hl_coding coding;
    bool is_ours; /* whose private information it is */
};

/* Without padding. */
static void copy_uid(const uint8_t *value, size_t n, char out[65])
{
    while (n && (value[n - 1] == ' ' || value[n - 1] == '\0'))
        n--;
    /* One that does not fit is not a UID; half of it would be another object's. */
    n = n <= 64 ? n : 0;
    memcpy(out, value, n);
    out[n] = '\0';
}

/* The values everybody needs; the rest of the meta information is for the data set's
 * reader. */
static void take_value(struct meta *m, const struct hl_head *head, struct hl_part10 *out)
{
    const uint8_t *value = m->bytes + m->at + head->size;
    char creator[65];
    switch (head->tag) {
    case HL_TAG(2, 0x0000):
        if (head->length == 4)
            m->group_end = m->at + head->size + 4 + hl_get32(value, m->coding.is_big_endian);
        break;
    case HL_TAG(2, 0x0002): copy_uid(value, head->length, out->sop_class); break;
    case HL_TAG(2, 0x0003): copy_uid(value, head->length, out->sop_instance); break;
    case HL_TAG(2, 0x0010): copy_uid(value, head->length, out->transfer_syntax); break;
    case HL_TAG(2, 0x0100):
        copy_uid(value, head->length, creator);
        m->is_ours = strcmp(creator, HL_UID_IMPLEMENTATION) == 0;
        break;
    case HL_TAG(2, 0x0102):
        out->origin_at = m->at + head->size;
        out->origin_length = m->is_ours ? head->length : 0;
        break;
    default: break;
    }
}

static hilum_rc cut_short(const struct meta *m, uint32_t tag)
{
    return hl_fail(HILUM_EINVAL,
                   "not DICOM: meta information cut short in (%04X,%04X) at offset %zu", tag >> 16,
                   tag & 0xFFFF, m->at);
}

/* The meta information is told from the data set by its group, whatever the length said. */
static bool is_at_end(const struct meta *m, const struct hl_part10 *out)
{
    if (m->n - m->at < HL_HEAD_PEEK)
        return true;
    /* Deflated bytes may look like group 0002: only there is the group length believed. */
    if (m->group_end && m->at >= m->group_end &&
        strcmp(out->transfer_syntax, HL_UID_DEFLATED_LITTLE_ENDIAN) == 0)
        return true;
    return hl_get16(m->bytes + m->at, m->coding.is_big_endian) != META_GROUP;
}

/* Group length is not trusted to find the end: it is wrong more often than a group number. */
static hilum_rc read_meta(struct meta *m, struct hl_part10 *out)
{
    m->coding = (struct hl_coding){0};
    if (m->n - m->at >= HL_HEAD_PEEK && hl_head_sniff(m->bytes + m->at, &m->coding))
        out->remarks |= HL_SCAN_WRONG_SYNTAX;
    while (!is_at_end(m, out)) {
        const uint8_t *p = m->bytes + m->at;
        size_t size = hl_head_size(p, m->coding);
        if (size > m->n - m->at)
            return cut_short(m, hl_get_tag(p, m->coding.is_big_endian));
        struct hl_head head;
        hl_head_decode(p, m->coding, &head);
        if (head.length > m->n - m->at - size)
            return cut_short(m, head.tag);
        out->remarks |= head.remarks;
        take_value(m, &head, out);
        m->at += size + head.length;
    }
    if (m->group_end && m->group_end != m->at)
        out->remarks |= HL_SCAN_GROUP_LENGTH;
    return HILUM_OK;
}

/* Without a word from the file its first element tells: VR letters or not, and which byte of
 * the group. */
static void guess_syntax(const uint8_t *p, struct hl_part10 *out)
{
    struct hl_coding coding = {0};
    hl_head_sniff(p, &coding);
    const char *uid = HL_UID_EXPLICIT_LITTLE_ENDIAN;
    if (coding.is_implicit)
        uid = HL_UID_IMPLICIT_LITTLE_ENDIAN;
    else if (coding.is_big_endian)
        uid = HL_UID_EXPLICIT_BIG_ENDIAN;
    snprintf(out->transfer_syntax, sizeof out->transfer_syntax, "%s", uid);
}

/* A preamble with nothing behind it is not an object, however well it begins. */
static hilum_rc no_syntax(const struct meta *m, struct hl_part10 *out)
{
    if (m->n - m->at < HL_HEAD_PEEK)
        return hl_fail(HILUM_EINVAL,
                       "not DICOM: no transfer syntax (0002,0010) and no data set at offset %zu",
                       m->at);
    out->remarks |= HL_SCAN_UNKNOWN_SYNTAX;
    guess_syntax(m->bytes + m->at, out);
    return HILUM_OK;
}

/* A data set without anything before it: ACR-NEMA, or a PDV saved as it came. Group 0008 in
 * either byte order: Identifying Group, with which data sets of images begin. */
static hilum_rc read_bare(const struct meta *m, struct hl_part10 *out)
{
    if (m->n < HL_HEAD_PEEK)
        return hl_fail(HILUM_EINVAL, "not DICOM: %zu bytes in all", m->n);
    uint16_t group = hl_get16(m->bytes, false), swapped = hl_get16(m->bytes, true);
    if (group != IDENTIFYING_GROUP && swapped != IDENTIFYING_GROUP)
        return hl_fail(HILUM_EINVAL, "not DICOM: no DICM at offset 128 and (%04X,%04X) at offset 0",
                       group, hl_get16(m->bytes + 2, false));
    out->remarks |= HL_SCAN_ACR_NEMA;
    guess_syntax(m->bytes, out);
    return HILUM_OK;
}

hilum_rc hl_part10_read(const uint8_t *bytes, size_t n, struct hl_part10 *out)
{
    *out = (struct hl_part10){0};
    struct meta m = {.bytes = bytes, .n = n};
    if (n >= PREAMBLE + MAGIC && memcmp(bytes + PREAMBLE, "DICM", MAGIC) == 0)
        m.at = PREAMBLE + MAGIC;
    else if (n >= HL_HEAD_PEEK && hl_get16(bytes, false) == META_GROUP)
        out->remarks |= HL_SCAN_ACR_NEMA;
    else
        return read_bare(&m, out);
    hilum_rc rc = read_meta(&m, out);
    if (rc == HILUM_OK && !out->transfer_syntax[0])
        rc = no_syntax(&m, out);
    out->dataset_offset = m.at;
    return rc;
}
