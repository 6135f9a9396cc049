/* A data set in explicit little endian with native pixels becomes one with compressed ones (PS3.5 A.4), frame by frame
 * through whatever codecs the server lends. It is whole before its first byte leaves, so that a frame that cannot be had is
 * known by then. Knows no codec and nothing of who wants the result. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_STORE_PACK_H
#define HL_STORE_PACK_H

#include <stdbool.h>

#include "core/store/codecs.h"
#include "core/store/scan.h"
#include "core/store/spool.h"

/* What is wanted. Zero is lossless by the codec's own choice. */
struct hl_pack_wish {
    char transfer_syntax[65];
    bool
        may_lose; /* then the object is a new one, derived from the stored one (PS3.3 C.7.6.1.1.5) */
    uint32_t
        quality; /* 1..100, as libjpeg counts; 0: the codec's default. Of loss at most one is set */
    uint32_t max_error; /* JPEG-LS NEAR */
    double ratio;       /* 10.0 for 10:1 */
    uint32_t effort;    /* 1 fast .. 9 small; 0: default */
    bool
        keeps_elements; /* those of explicit little endian stay as they lie, wrong or unusual ones too */
};

struct
    hl_pack; /* one thread at a time; a frame, its code stream and HL_SPOOL_MEMORY at most in memory */

/* `place` may be NULL; both outlive the pack. HILUM_EUNSUP: no such encoding; HILUM_ENOMEM. */
hilum_rc hl_pack_new(const struct hl_codecs *codecs, const struct hl_spool_place *place,
                     const struct hl_pack_wish *wish, struct hl_pack **out);
void hl_pack_free(struct hl_pack *pack); /* NULL is fine */

/* The data set in order. HILUM_ENOTFOUND: it has no pixels; HILUM_EUNSUP: a kind of pixel no codec can keep, or pixels
 * that are no frames; HILUM_ECORRUPT: fewer pixels than frames; HILUM_EFULL, HILUM_ENOMEM. After an error only
 * hl_pack_free may be called. */
hilum_rc hl_pack_feed(struct hl_pack *pack, const void *bytes, size_t n);
hilum_rc hl_pack_end(struct hl_pack *pack);

/* Instead of feeding native pixels: the data set is that of `scan`, which has ended, and its code streams are packed into the
 * wished syntax as they are (hl_repack_can). Then all of the data set is fed, whose pixels are passed over, and each frame's
 * stream is added in order, in one piece. */
hilum_rc hl_pack_open_coded(struct hl_pack *pack, const struct hl_scan *scan);
hilum_rc hl_pack_add_coded(struct hl_pack *pack, const char *transfer_syntax, const void *bytes,
                           uint64_t n);

/* After the end: pieces of the encoded data set, borrowed until the next call; *n 0 when there are no more. */
hilum_rc hl_pack_next(struct hl_pack *pack, const uint8_t **bytes, size_t *n);
bool hl_pack_is_end(const struct hl_pack *pack);
/* Leaves out the next n bytes. */
void hl_pack_skip(struct hl_pack *pack, uint64_t n);
/* Bytes of it in all. */
uint64_t hl_pack_length(const struct hl_pack *pack);
/* The UID it leaves under: "" where nothing was lost and it is the object it was. */
const char *hl_pack_sop_instance(const struct hl_pack *pack);
/* Of all frames. */
void hl_pack_sizes(const struct hl_pack *pack, uint64_t *native, uint64_t *coded);

#endif
