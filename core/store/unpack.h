/* Compressed pixels become native ones, a frame at a time: what a peer needs that does not take the stored syntax, and
 * what any consumer of frames needs. Codecs do the work; this folder knows attributes (PS3.3 C.7.6.3).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_STORE_UNPACK_H
#define HL_STORE_UNPACK_H

#include "core/store/codecs.h"
#include "core/store/frame_map.h"
#include "core/store/spool.h"
#include "core/store/splice.h"
#include "core/store/wish.h"

struct hl_unpack; /* one thread at a time; a code stream, a decoded frame and a spool in memory */

/* Reads the map and decodes the first frame, and with a `place` all of them, so that what cannot be decoded is known
 * before anything leaves: up to HL_UNPACK_SPOOLED bytes are kept there, others are decoded once more as they leave.
 * Without one later frames are decoded as they leave only. The scan has ended and is not needed afterwards; `shift` as for
 * hl_frames_map. HILUM_EUNSUP: no codec, or one that does not know this stream; HILUM_ECORRUPT: a stream is broken, or contradicts the data set; HILUM_EFULL: no
 * room for frames that do not end at bytes; HILUM_ENOTFOUND: no pixels; HILUM_ENOMEM. */
#define HL_UNPACK_SPOOLED ((uint64_t)1 << 30)
hilum_rc hl_unpack_new(const struct hl_codecs *codecs, const char *transfer_syntax,
                       const struct hl_scan *scan, int64_t shift,
                       const struct hl_frame_source *source, const struct hl_spool_place *place,
                       struct hl_unpack **out);
void hl_unpack_free(struct hl_unpack *unpack);

/* What the data set has to say instead, ascending by tag, Pixel Data last and without a value. Lives as long as
 * unpack. */
size_t hl_unpack_edits(const struct hl_unpack *unpack, const struct hl_edit **out);
/* Bytes of the native pixel data, padded to be even. */
uint64_t hl_unpack_length(const struct hl_unpack *unpack);
/* Up to *n of them from `at`; *n becomes what there is at *bytes until the next call. */
hilum_rc hl_unpack_bytes(struct hl_unpack *unpack, uint64_t at, size_t *n, const uint8_t **bytes);

/* The same for consumers of frames, of native pixel data too; nothing is decoded before it is asked for. `map` is lent
 * until hl_unpack_free. Only hl_unpack_frame, hl_unpack_frames, hl_unpack_kind and hl_unpack_into may then be called. */
hilum_rc hl_unpack_view(const struct hl_codecs *codecs, const char *transfer_syntax,
                        const struct hl_frame_map *map, const struct hl_frame_source *source,
                        struct hl_unpack **out);
/* Frame i (from 0) in native form, little endian, borrowed until the next call; *out says what it is.
 * HILUM_ENOTFOUND: there is no such frame. */
hilum_rc hl_unpack_frame(struct hl_unpack *unpack, uint64_t i, struct hilum_frame *out,
                         const void **pixels, uint64_t *n);
uint64_t hl_unpack_frames(const struct hl_unpack *unpack);
/* What every frame will be; the answer says how many times it can be halved. */
uint32_t hl_unpack_kind(const struct hl_unpack *unpack, struct hilum_frame *out);
/* reduce: at 1 / 2^reduce of its size, each side rounded up. wish may be NULL. */
struct hl_unpack_wish {
    uint32_t reduce;
    const struct hl_wish *wish;
};
/* Frame i into memory of the caller's: n bytes, and two more behind them. how NULL: as it is. Any thread, several at once.
 * HILUM_EUNSUP: not to be had at that size; HILUM_ECANCELLED: nobody waits for it any more. */
hilum_rc hl_unpack_into(const struct hl_unpack *unpack, uint64_t i,
                        const struct hl_unpack_wish *how, void *dst, uint64_t n,
                        struct hilum_frame *out);

#endif
