/* Data sets written by hand for tests of the scan and the splice. For tests only.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_DATASET_BUILDER_H
#define TEST_DATASET_BUILDER_H

#include <string.h>

#include "core/base/buf.h"
#include "core/store/scan_head.h"

static inline void put16(struct hl_buf *b, uint32_t v, bool big)
{
    hl_buf_byte(b, (uint8_t)(big ? v >> 8 : v));
    hl_buf_byte(b, (uint8_t)(big ? v : v >> 8));
}

static inline void put32(struct hl_buf *b, uint32_t v, bool big)
{
    put16(b, big ? v >> 16 : v & 0xFFFF, big);
    put16(b, big ? v & 0xFFFF : v >> 16, big);
}

static inline void put_tag(struct hl_buf *b, uint32_t tag, bool big)
{
    put16(b, tag >> 16, big);
    put16(b, tag & 0xFFFF, big);
}

/* An explicit head; VRs of the long form by table. */
static inline void put_head(struct hl_buf *b, uint32_t tag, const char *vr, uint32_t n, bool big)
{
    put_tag(b, tag, big);
    hl_buf_add(b, vr, 2);
    if (hl_vr_kind(vr) == HL_VR_LONG) {
        put16(b, 0, big);
        put32(b, n, big);
    } else {
        put16(b, n, big);
    }
}

static inline void put_text(struct hl_buf *b, uint32_t tag, const char *vr, const char *text)
{
    put_head(b, tag, vr, (uint32_t)strlen(text), false);
    hl_buf_text(b, text);
}

static inline void put_us(struct hl_buf *b, uint32_t tag, uint32_t value, bool big)
{
    put_head(b, tag, "US", 2, big);
    put16(b, value, big);
}

static inline void put_implicit(struct hl_buf *b, uint32_t tag, const char *text)
{
    put_tag(b, tag, false);
    put32(b, (uint32_t)strlen(text), false);
    hl_buf_text(b, text);
}

/* An item, its end or a sequence's end. */
static inline void put_item(struct hl_buf *b, uint32_t tag, uint32_t n)
{
    put_tag(b, tag, false);
    put32(b, n, false);
}

#endif
