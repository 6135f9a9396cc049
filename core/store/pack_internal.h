/* Shared by the pack*.c files only. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_STORE_PACK_INTERNAL_H
#define HL_STORE_PACK_INTERNAL_H

#include "core/store/pack.h"
#include "core/store/pixels.h"
#include "core/store/splice.h"

enum { HL_PACK_EDITS = 24 };

/* A code stream's item: where its head is behind the offset table, and the bytes of the stream without padding. */
struct hl_pack_item {
    uint64_t at, n;
};

struct hl_pack {
    const struct hl_codecs *codecs;
    struct hl_pack_wish wish;
    struct hl_scan *scan;
    struct hl_spool rest;  /* the data set without the value of its pixel data */
    struct hl_spool coded; /* items of code streams */
    uint64_t seen;         /* bytes fed */
    /* native pixels as they come */
    bool has_pixels, is_coded; /* coded: no native pixels, but code streams by hl_pack_add_coded */
    uint64_t value_at, value_length; /* of the pixel data, in what is fed */
    struct hilum_frame frame;
    uint64_t bits, frame_bytes; /* of a frame; those of 1-bit pixels begin anywhere in a byte */
    uint64_t n_frames;
    uint8_t *pixels;
    uint64_t filled; /* bits of the frame being gathered */
    /* code streams */
    struct hl_buf stream;
    struct hl_pack_item *items;
    size_t n_items, cap_items;
    struct hilum_encoded encoded; /* as the first frame came out, and all others must */
    uint64_t native_bytes, coded_bytes;
    /* the result */
    struct hl_arena arena; /* values of edits */
    struct hl_edit edits[HL_PACK_EDITS];
    size_t n_edits;
    char sop_instance[65];
    struct hl_buf table; /* the item of the basic offset table */
    struct hl_splice splice;
    size_t piece; /* where reading is */
    uint64_t at;
};

/* pack_attributes.c: what the data set has to say of its pixels from now on; fills edits and the table. */
hilum_rc hl_pack_describe(struct hl_pack *pack);

#endif
