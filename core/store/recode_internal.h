/* The state of a conversion, shared by the recode*.c files only. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_STORE_RECODE_INTERNAL_H
#define HL_STORE_RECODE_INTERNAL_H

#include <zlib.h>

#include "core/store/recode.h"
#include "core/store/scan_head.h"

enum recode_state { RECODE_HEAD, RECODE_VALUE, RECODE_DROP, RECODE_PADDING };
enum { RECODE_FRAMES = 128 }; /* 64 sequences, as the scan takes them */

/* A sequence or one of its items that is open. */
struct recode_frame {
    bool is_item, is_undefined;
    bool is_sniffed; /* coding of a UN item's elements is yet to be seen */
    bool is_signed;  /* Pixel Representation, inherited */
    struct hl_coding coding;
    uint32_t tag;   /* of the sequence */
    uint64_t limit; /* offset where it ends at the latest */
};

struct hl_recode {
    const char *(*vr)(uint32_t tag);
    struct hl_coding from, to;
    hilum_rc rc; /* the first failure, kept */
    enum recode_state state;
    bool has_pixel_data, is_signed;

    uint64_t offset, head_offset; /* in the (inflated) source */
    uint8_t head[HL_HEAD_MAX], head_length, head_size;

    uint32_t value_tag;
    uint64_t remaining; /* of the value, or of what is dropped */
    unsigned unit;      /* bytes whose order turns; 1: none */
    uint8_t carry[8], carried;
    uint64_t skipped; /* bytes that values left out would have been put out as */
    int padding;      /* byte that makes it even; -1: none */

    struct recode_frame frames[RECODE_FRAMES];
    uint32_t depth;

    struct hl_buf *out; /* of the call under way */
    z_stream *inflate, *deflate;
    bool is_inflated;
    struct hl_buf plain; /* on its way to be deflated */
};

/* Fails the conversion for good: "WHAT (gggg,eeee) at offset N". */
hilum_rc hl_recode_fail(struct hl_recode *recode, hilum_rc rc, const char *what, uint32_t tag);
/* Bytes of the inflated source into recode->out, and their end. */
hilum_rc hl_recode_consume(struct hl_recode *recode, const uint8_t *p, size_t n);
hilum_rc hl_recode_finish(struct hl_recode *recode);

/* Attributes of PS3.6 that are US or SS, as Pixel Representation says. */
bool hl_recode_is_us_or_ss(uint32_t tag);

hilum_rc hl_recode_inflate_init(struct hl_recode *recode);
hilum_rc hl_recode_deflate_init(struct hl_recode *recode);
void hl_recode_flate_fini(struct hl_recode *recode);

#endif
