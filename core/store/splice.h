/* Edits of a stored data set as a list of pieces: new bytes, and ranges of the stored ones, so that a
 * correction reads and writes nothing it need not. It knows nothing of files and of attributes' meaning.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_STORE_SPLICE_H
#define HL_STORE_SPLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/store/scan.h"
#include "core/store/scan_head.h"

/* One element of the top level, set or deleted. `value` is raw: text in the data set's character set,
 * numbers in its byte order, for SQ the items' bytes in its coding. Odd values are padded here. */
struct hl_edit {
    uint32_t tag;
    char vr[3]; /* needed for explicit codings; "" becomes UN */
    bool is_delete;
    const uint8_t *value; /* borrowed during the call */
    size_t length;
};

struct hl_piece {
    const uint8_t
        *bytes; /* owned by the splice; NULL: `length` bytes at `offset` of the data set */
    uint64_t offset, length;
};
/* An offset that is none: `length` bytes of pixels that are made as they leave. */
#define HL_PIECE_PIXELS UINT64_MAX
static inline bool hl_piece_is_pixels(const struct hl_piece *piece)
{
    return piece->bytes == NULL && piece->offset == HL_PIECE_PIXELS;
}

/* Zero-initialised is empty. Owned by who planned it; pieces of `under` are borrowed, see
 * hl_splice_compose. Not to be copied but by moving (outgoing_pixels.c). */
struct hl_splice {
    struct hl_piece *pieces;
    size_t count, cap;
    uint64_t length; /* of the data set the pieces make */
    struct hl_arena arena;
};

/* The data set of a finished `scan` with `edits` (ascending by tag, none twice) applied; every byte not
 * edited stays. All occurrences of an edited tag go; the group lengths of edited groups are dropped
 * (retired, PS3.5 7.2). HILUM_EINVAL: edits out of order; HILUM_EUNSUP: deflated (inflate first), or an
 * element to be added behind pixel data that was cut short; HILUM_ENOMEM. On failure *out is empty. */
hilum_rc hl_splice_plan(const struct hl_scan *scan, const struct hl_edit *edits, size_t n,
                        struct hl_splice *out);
/* `over` was planned over the data set that `under` makes (NULL or count 0: the stored one itself): its ranges become
 * those of the stored one, and `pixels` bytes follow the head of its Pixel Data, which has no value yet: native ones, or
 * fragments with all their items, and then its length is undefined. `under` must outlive it. HILUM_EUNSUP: more
 * native pixels than an element can have; HILUM_ENOMEM. On failure `over` is empty. */
hilum_rc hl_splice_compose(const struct hl_splice *under, uint64_t pixels, bool is_fragments,
                           struct hl_splice *over);
/* Leaves it empty; an empty one is fine. */
void hl_splice_fini(struct hl_splice *splice);

/* Appends one element as it is coded in data sets of that kind: a short VR over 65534 bytes becomes
 * UN (PS3.5 6.2.2). For building sequence items. HILUM_EINVAL: over 4 GiB; HILUM_ENOMEM. */

hilum_rc hl_edit_encode(const struct hl_edit *edit, struct hl_coding coding, struct hl_buf *out);

/* What an Original Attributes Sequence item tells (PS3.3 C.12.1.1.9). All text ASCII or in the data
 * set's character set. */
struct hl_original {
    const struct hl_edit *old; /* previous values, ascending; deleted ones were absent: left out */
    size_t n_old;
    const char *source;   /* (0400,0564) who sent the previous values; "" unknown */
    const char *system;   /* (0400,0563) who changed them */
    const char *datetime; /* (0400,0562) DT */
    const char *reason;   /* (0400,0565) "CORRECT" or "COERCE" */
};

/* The value of (0400,0561) with one more item: `existing` (may be NULL) is the value there is, its
 * sequence delimiter included if it has one. Appends to out, to be used as the value of an hl_edit with
 * VR "SQ". HILUM_ENOMEM; HILUM_EINVAL. */
hilum_rc hl_original_add(const struct hl_scan *scan, const uint8_t *existing, size_t n,
                         const struct hl_original *item, struct hl_buf *out);

#endif
