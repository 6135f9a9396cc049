/* An object on its way out, shared by the outgoing*.c files only.
 *
 * Places are counted in three ways, which must not be mixed: in the object as the store has it
 * (its location's offset and length), in the stored data set (from dataset_offset on), and in
 * the data set as it leaves (through the pieces of a splice). hl_outgoing_shift_at and
 * hl_outgoing_place lead from one of the last two to the other.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_STORE_OUTGOING_INTERNAL_H
#define HL_STORE_OUTGOING_INTERNAL_H

#include "core/store/store_internal.h"
#include "core/store/pack.h"
#include "core/store/unpack.h"

/* What is read at once where a store cannot be mapped, and digested or converted in one go. */
enum { HL_OUTGOING_PIECE = 256 * 1024 };

/* A place in the data set as it leaves, before any conversion. */
struct hl_outgoing_cursor {
    size_t piece; /* of the splice */
    uint64_t at;  /* in the piece, or in the data set */
};

struct hl_outgoing {
    struct hl_store *store;
    const struct hl_store_provider *provider;
    struct hl_stored stored;
    struct hl_hold hold;
    uint64_t length;              /* of the stored data set */
    const struct hl_mapping *map; /* NULL: read() into buffer */
    bool is_populated;
    uint64_t stamp;       /* of it as it lies now; 0: not mapped */
    const uint8_t *bytes; /* in the map: first byte of the data set */
    uint8_t *buffer;
    struct hl_splice splice; /* count 0: the data set as stored */
    struct hl_outgoing_cursor cursor;
    XXH3_state_t *hash; /* NULL: not verified, or verified already */
    /* Elements of a deflated data set are no ranges of it: with corrections it is read inflated, and deflated anew
     * unless it leaves in another syntax. */
    struct hl_inflated *inflated;
    struct hl_deflating *deflating;
    struct hl_unpack *unpack;     /* NULL: pixels leave as they are stored */
    struct hl_frames_out *frames; /* asked for one by one (outgoing_frames.c); NULL: none yet */
    struct hl_splice under;       /* corrections, where the splice that decodes lies over them */
    struct hl_pack *pack;         /* NULL: not encoded; else all that leaves */
    struct hl_recode *recode;     /* NULL: leaves in the syntax it is stored in */
    struct hl_buf recoded;  /* by either; of the call under way, and a few bytes of the next */
    size_t n_given;         /* of them, by the last call */
    bool is_recoded;        /* the conversion has ended */
    uint64_t recode_length; /* of all that recode puts out; HILUM_LENGTH_UNKNOWN: nobody knows */
    const struct hl_cached_frame *made; /* of a frame, held until the next; NULL: none */
    struct hl_wish wish;                /* of whoever its frames are for */
};

/* Up to max bytes from the cursor on, which moves behind them. *n 0: the end. */
hilum_rc hl_outgoing_take(struct hl_outgoing *outgoing, struct hl_outgoing_cursor *cursor,
                          size_t max, const uint8_t **bytes, size_t *n);
bool hl_outgoing_at_end(const struct hl_outgoing *outgoing,
                        const struct hl_outgoing_cursor *cursor);
/* Feeds the whole stored data set to a scan, and to the digest if that is still to be checked. */
hilum_rc hl_outgoing_scan(struct hl_outgoing *outgoing, struct hl_scan *scan);

/* outgoing_pixels.c: from now on the data set is one in explicit little endian with native pixels; is_whole: all frames
 * are decoded at once, where there is room, rather than as they leave. After a failure it
 * leaves as it would have before. HILUM_EUNSUP, HILUM_ECORRUPT, HILUM_ENOTFOUND, HILUM_ENOMEM as of hl_unpack_new. */
hilum_rc hl_outgoing_unpack(struct hl_outgoing *outgoing, bool is_whole);

/* outgoing_repack.c: leaves in that syntax with its very code streams (hl_repack_can). HILUM_EUNSUP: one of them cannot be told
 * in it; after a failure it leaves as it would have before. */
hilum_rc hl_outgoing_repack(struct hl_outgoing *outgoing, const char *transfer_syntax);
/* Do the code streams of `b` come back as those of `a`, byte for byte, and are all elements but offset tables the same? Of stored
 * objects without corrections. HILUM_ECONFLICT: no. */
hilum_rc hl_verify_repacked(struct hl_outgoing *a, struct hl_outgoing *b);

/* outgoing.c: the data set as explicit little endian from its start, and back to how it leaves by itself. is_raw: one that
 * is so already stays as it lies. */
hilum_rc hl_outgoing_to_native(struct hl_outgoing *outgoing, bool is_raw);
void hl_outgoing_reset(struct hl_outgoing *outgoing);
/* Pieces before they are encoded, and whether that was the last. */
hilum_rc hl_outgoing_next_native(struct hl_outgoing *outgoing, const uint8_t **bytes, size_t *n);

/* A frame source's read() of stored bytes; arg: the object. */
hilum_rc hl_outgoing_reader(void *arg, uint64_t at, void *dst, uint64_t n);
/* Feeds the data set as it leaves, with corrections. is_digested: checks it too, where it can. */
hilum_rc hl_outgoing_scan_leaving(struct hl_outgoing *outgoing, bool is_digested,
                                  struct hl_scan *scan);
/* To be added to a place in the data set as it leaves, for the same in the stored one. */
int64_t hl_outgoing_shift_at(const struct hl_splice *splice, uint64_t place);
/* outgoing_frames.c; NULL is fine. */
void hl_frames_out_free(struct hl_frames_out *frames);

#endif
