/* The state of a scan, shared by the scan*.c files only. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_STORE_SCAN_INTERNAL_H
#define HL_STORE_SCAN_INTERNAL_H

#include <zlib.h>

#include "core/store/scan.h"
#include "core/store/scan_head.h"

/* HEAD: at an element's head, or gathering one. HOLD: inside a value that is kept. SKIP:
 * inside one that is not. PADDING: behind the last element, where only zeros may come. */
enum scan_state { SCAN_HEAD, SCAN_HOLD, SCAN_SKIP, SCAN_PADDING };
enum scan_frame_kind { FRAME_SEQUENCE, FRAME_FRAGMENTS, FRAME_ITEM };

/* Values side by side. */
struct scan_block {
    struct scan_block *next;
    uint8_t bytes[];
};

/* One open value of undefined length. Those of defined length are skipped whole. */
struct scan_frame {
    uint8_t kind;    /* enum scan_frame_kind */
    bool is_sniffed; /* coding of a UN item's elements is yet to be seen */
    struct hl_coding coding;
    uint32_t tag;    /* whose value this is */
    uint64_t offset; /* of that element, for messages */
};

struct hl_scan {
    struct hl_scan_limits limits;
    struct hl_coding coding; /* of the top level */
    enum scan_state state;
    unsigned remarks;
    hilum_rc rc; /* the first failure, kept */
    char reason[160];

    uint64_t offset;      /* of the next byte to consume */
    uint64_t head_offset; /* of the head being decoded */
    uint64_t remaining;   /* of the value in HOLD or SKIP */
    uint8_t *hold;        /* where the next byte of a held value goes */
    uint64_t room;        /* bytes free from there on, the value in hand taken off */
    uint8_t head[HL_HEAD_MAX];
    uint8_t head_length; /* bytes gathered in head, when a chunk ended inside one */
    uint8_t head_size;   /* bytes wanted there */

    struct hl_element *elements;
    size_t count, cap;
    size_t sorted;       /* elements[0..sorted) ascend strictly; the rest is in disorder */
    bool is_last_hidden; /* the last one's value is still arriving */
    bool has_pixel_data;
    uint32_t group;            /* group number of the last element */
    uint64_t group_end;        /* where its group length says it ends; 0: nothing said */
    struct scan_block *blocks; /* of values */
    size_t held;               /* bytes in blocks */

    struct scan_frame *frames;
    uint32_t depth, frames_cap;

    z_stream *inflate; /* NULL unless deflated */
    bool is_inflated;  /* the deflate stream has ended */
};

/* Fails the scan for good. */
hilum_rc hl_scan_fail(struct hl_scan *scan, hilum_rc rc, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Takes what elements at p are plain and whole, as most of a header are, doing what the state machine
 * does with them. Returns the bytes used; the rest is for the state machine. */
size_t hl_scan_fast(struct hl_scan *scan, const uint8_t *p, size_t n);
/* Consumes bytes of the (inflated) data set. */
hilum_rc hl_scan_consume(struct hl_scan *scan, const uint8_t *p, size_t n);

/* Deflate (PS3.5 A.5). */
hilum_rc hl_scan_inflate_init(struct hl_scan *scan);
hilum_rc hl_scan_inflate(struct hl_scan *scan, const uint8_t *p, size_t n);
void hl_scan_inflate_fini(struct hl_scan *scan);

#endif
