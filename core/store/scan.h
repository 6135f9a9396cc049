/* The hot-path header parser: an incremental scan of a DICOM data set in any transfer syntax that
 * notes where each top-level element lies and keeps the small values. Bounded memory whatever the
 * peer sends. Knows nothing of the catalogue, of files, of character sets' meaning.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_STORE_SCAN_H
#define HL_STORE_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hilum/abi.h"

enum { HL_SCAN_VALUE_MAX = 64 * 1024 }; /* longer values are recorded by place only */
#define HL_TAG(group, element) ((uint32_t)(group) << 16 | (uint32_t)(element))

/* One top-level element. Offsets are from the first byte of the data set *as scanned* (after the file
 * meta information; for deflated syntaxes: of the inflated stream). */
struct hl_element {
    uint32_t tag;
    char vr[3];             /* "" in implicit VR until looked up */
    uint64_t offset;        /* of the element's tag */
    uint32_t header_length; /* tag + VR + length field */
    uint64_t length;   /* of the value; for undefined length: up to and including the delimiter */
    bool is_undefined; /* encoded with undefined length */
    const uint8_t *value; /* NULL when longer than HL_SCAN_VALUE_MAX, a sequence, or pixel data */
};

/* What was not as PS3.5 wants it and was accepted all the same. */
enum hl_scan_remark {
    HL_SCAN_ODD_LENGTH = 1,
    HL_SCAN_BAD_VR = 2,
    HL_SCAN_WRONG_SYNTAX = 4,
    HL_SCAN_TAG_ORDER = 8,
    HL_SCAN_TRUNCATED = 16,
    HL_SCAN_GROUP_LENGTH = 32,
    HL_SCAN_DUPLICATE = 64,
    HL_SCAN_TRAILING = 128,
    HL_SCAN_ACR_NEMA = 256,
    HL_SCAN_UNKNOWN_SYNTAX = 512,
    HL_SCAN_DELIMITER = 1024 /* an item or sequence delimiter missing, stray, or with a length */
};

struct hl_scan;

struct hl_scan_limits {
    uint32_t max_held;  /* bytes of values and records held; default 4 MiB */
    uint32_t max_depth; /* nested sequences; default 64 */
    uint32_t max_ratio; /* deflated: inflated / deflated beyond 64 KiB; default 1000 */
};

/* transfer_syntax: the UID; unknown ones are read as explicit little endian (PS3.5 10; remark). The
 * scan notices an implicit/explicit mix-up in the first element and remarks HL_SCAN_WRONG_SYNTAX. */
hilum_rc hl_scan_new(const char *transfer_syntax, const struct hl_scan_limits *limits,
                     struct hl_scan **out);
/* Feeds bytes in order. HILUM_EINVAL: not DICOM (says tag and offset); HILUM_ENOMEM: over max_held;
 * HILUM_EFULL: deflate bomb. After an error every call returns it again. */
hilum_rc hl_scan_feed(struct hl_scan *scan, const void *bytes, size_t n);
/* No more bytes. A value or sequence cut short is HILUM_EINVAL unless it is pixel data or
 * trailing padding, which are accepted with HL_SCAN_TRUNCATED. */
hilum_rc hl_scan_end(struct hl_scan *scan);
void hl_scan_free(struct hl_scan *scan);

/* Elements found so far in order of appearance, and by tag (the first occurrence; NULL if absent). */
size_t hl_scan_count(const struct hl_scan *scan);
const struct hl_element *hl_scan_at(const struct hl_scan *scan, size_t i);
const struct hl_element *hl_scan_find(const struct hl_scan *scan, uint32_t tag);
unsigned hl_scan_remarks(const struct hl_scan *scan); /* enum hl_scan_remark, or-ed */
bool hl_scan_is_implicit(const struct hl_scan *scan);
bool hl_scan_is_big_endian(const struct hl_scan *scan);
bool hl_scan_is_deflated(const struct hl_scan *scan);
/* Bytes of memory held for values and records, for budgets. */
size_t hl_scan_held(const struct hl_scan *scan);
/* Bytes of the (inflated) data set seen so far. */
uint64_t hl_scan_length(const struct hl_scan *scan);

/* The value of a text element as raw bytes without padding spaces and NULs, into out (always
 * terminated). Returns the length needed; 0 when absent or empty. */
size_t hl_scan_text(const struct hl_scan *scan, uint32_t tag, char *out, size_t size);
/* US/SS/UL/SL/IS as a number. HILUM_ENOTFOUND when absent or empty. */
hilum_rc hl_scan_int(const struct hl_scan *scan, uint32_t tag, int64_t *out);

/* Reads the head of a Part 10 file (or a bare data set: ACR-NEMA, missing preamble or meta header).
 * Given the first n bytes (HL_PART10_HEAD are enough), tells where the data set begins and its syntax (guessed
 * when there is no meta header; remark HL_SCAN_ACR_NEMA). HILUM_EINVAL: not DICOM. */
struct hl_part10 {
    uint64_t dataset_offset;
    char transfer_syntax[65];
    char sop_class[65], sop_instance[65]; /* from the meta header; "" without */
    unsigned remarks;
    size_t origin_at, origin_length; /* our private information (0002,0102) in the bytes; 0: none */
};
/* A preamble, and meta information with room to spare. */
enum { HL_PART10_HEAD = 132 * 1024 };
hilum_rc hl_part10_read(const uint8_t *bytes, size_t n, struct hl_part10 *out);

#endif
