/* Where each frame of an object lies: of native pixels by arithmetic, of encapsulated ones by the extended offset
 * table, the basic one, or where code streams begin (PS3.5 A.4). Knows no codec and no file.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_STORE_FRAMES_H
#define HL_STORE_FRAMES_H

#include "core/store/scan.h"

/* Bytes of the stored data set. */
struct hl_frame_source {
    hilum_rc (*read)(void *arg, uint64_t at, void *dst, uint64_t n);
    void *arg;
};

/* A fragment's bytes, without the head of its item. */
struct hl_fragment_place {
    uint64_t at, n;
};

/* Memory is 16 bytes a fragment and 8 a frame. Once made it is not changed: any number of
 * threads may read it. */
struct hl_frames {
    uint64_t n; /* frames, 1 or more */
    bool is_native;
    uint64_t first, bits; /* native: offset of the first frame; bits of each: frames of 1-bit pixels
                             begin anywhere in a byte (PS3.5 8.1.1) */
    struct hl_fragment_place *fragments; /* encapsulated: all of them in order */
    size_t n_fragments, cap_fragments;
    size_t *starts; /* of each frame the first of its fragments; one more at the end */
};

/* The map of an object whose `scan` has ended. `shift` is added to the scan's offsets where it saw the data set
 * with corrections. HILUM_ENOTFOUND: no pixel data; HILUM_EUNSUP: frames cannot be told apart;
 * HILUM_ECORRUPT: items that lead nowhere, fewer frames than promised; HILUM_ENOMEM. */
hilum_rc hl_frames_map(const struct hl_scan *scan, int64_t shift, const char *transfer_syntax,
                       const struct hl_frame_source *source, struct hl_frames *out);
/* The same with a scan that has only come to the pixel data: `end` is where the data set ends. */
hilum_rc hl_frames_map_to(const struct hl_scan *scan, int64_t shift, const char *transfer_syntax,
                          const struct hl_frame_source *source, uint64_t end,
                          struct hl_frames *out);
void hl_frames_fini(struct hl_frames *frames);

#endif
