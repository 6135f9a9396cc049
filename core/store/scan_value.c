/* Asking a scan: by place, by tag, as text, as a number. It knows nothing of how it was read.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/store/scan_internal.h"

size_t hl_scan_count(const struct hl_scan *scan)
{
    return scan->count - scan->is_last_hidden;
}

const struct hl_element *hl_scan_at(const struct hl_scan *scan, size_t i)
{
    return i < hl_scan_count(scan) ? &scan->elements[i] : NULL;
}

/* The ordered part by halves; disorder is rare and walked. */
const struct hl_element *hl_scan_find(const struct hl_scan *scan, uint32_t tag)
{
    size_t low = 0, high = scan->sorted, count = hl_scan_count(scan);
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (scan->elements[middle].tag < tag)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < scan->sorted && low < count && scan->elements[low].tag == tag)
        return &scan->elements[low];
    for (size_t i = scan->sorted; i < count; i++)
        if (scan->elements[i].tag == tag)
            return &scan->elements[i];
    return NULL;
}

unsigned hl_scan_remarks(const struct hl_scan *scan)
{
    return scan->remarks;
}

bool hl_scan_is_implicit(const struct hl_scan *scan)
{
    return scan->coding.is_implicit;
}

bool hl_scan_is_big_endian(const struct hl_scan *scan)
{
    return scan->coding.is_big_endian;
}

bool hl_scan_is_deflated(const struct hl_scan *scan)
{
    return scan->inflate != NULL;
}

size_t hl_scan_held(const struct hl_scan *scan)
{
    return scan->held + scan->count * sizeof *scan->elements;
}

uint64_t hl_scan_length(const struct hl_scan *scan)
{
    return scan->offset;
}

static bool is_padding(uint8_t byte)
{
    return byte == ' ' || byte == '\0';
}

/* Leading spaces go as well: they are not significant in what is looked up this way (PS3.5 6.2). */
size_t hl_scan_text(const struct hl_scan *scan, uint32_t tag, char *out, size_t size)
{
    const struct hl_element *e = hl_scan_find(scan, tag);
    const uint8_t *begin = e ? e->value : NULL;
    const uint8_t *end = begin ? begin + e->length : NULL;
    while (begin < end && is_padding(end[-1]))
        end--;
    while (begin < end && is_padding(*begin))
        begin++;
    size_t n = (size_t)(end - begin);
    if (size) {
        size_t copied = n < size ? n : size - 1;
        if (copied)
            memcpy(out, begin, copied);
        out[copied] = '\0';
    }
    return n;
}

/* Without a VR (implicit) the few numbers a server reads are told by tag: group lengths and the
 * image description are binary but for the IS ones among them (PS3.6). */
static bool is_binary(const struct hl_element *e)
{
    if (e->vr[0] && strcmp(e->vr, "UN") != 0)
        return (e->vr[0] == 'U' || e->vr[0] == 'S') && (e->vr[1] == 'S' || e->vr[1] == 'L');
    if ((e->tag & 0xFFFF) == 0)
        return true;
    uint32_t element = e->tag & 0xFFFF;
    return e->tag >> 16 == 0x0028 && element != 0x0008 && element != 0x0034 && element != 0x6040;
}

static bool is_signed(const struct hl_element *e)
{
    return e->vr[0] == 'S' && (e->vr[1] == 'S' || e->vr[1] == 'L');
}

/* Wrong lengths are read as far as they go: a US in four bytes is met in practice. An unsigned
 * one of four bytes fits, as the result has 64 bits. */
static hilum_rc binary_int(const struct hl_element *e, bool is_big_endian, int64_t *out)
{
    if (e->length >= 4 && e->vr[1] != 'S') {
        uint32_t value = hl_get32(e->value, is_big_endian);
        *out = is_signed(e) ? (int32_t)value : (int64_t)value;
        return HILUM_OK;
    }
    if (e->length < 2)
        return hl_fail(HILUM_EINVAL, "(%04X,%04X): no number of %llu bytes", e->tag >> 16,
                       e->tag & 0xFFFF, (unsigned long long)e->length);
    uint16_t value = hl_get16(e->value, is_big_endian);
    *out = is_signed(e) ? (int16_t)value : (int64_t)value;
    return HILUM_OK;
}

/* Text numbers may be followed by other values; the first is meant. */
hilum_rc hl_scan_int(const struct hl_scan *scan, uint32_t tag, int64_t *out)
{
    const struct hl_element *e = hl_scan_find(scan, tag);
    if (!e || !e->value || e->length == 0)
        return hl_fail(HILUM_ENOTFOUND, "(%04X,%04X) is absent or empty", tag >> 16, tag & 0xFFFF);
    if (is_binary(e))
        return binary_int(e, scan->coding.is_big_endian, out);
    char text[32];
    if (hl_scan_text(scan, tag, text, sizeof text) == 0)
        return hl_fail(HILUM_ENOTFOUND, "(%04X,%04X) is empty", tag >> 16, tag & 0xFFFF);
    char *end;
    errno = 0;
    *out = strtoll(text, &end, 10);
    while (*end == ' ')
        end++;
    if (errno || end == text || (*end && *end != '\\'))
        return hl_fail(HILUM_EINVAL, "(%04X,%04X) is no integer", tag >> 16, tag & 0xFFFF);
    return HILUM_OK;
}
