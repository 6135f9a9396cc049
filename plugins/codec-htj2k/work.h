/* Between native frames and OpenJPH's rows. SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_H
#define WORK_H

#include "j2k_header.h"

enum { HT_COMPLAINT_MAX = 160 };

/* Where the bytes are: a code stream and a frame, or a frame and room for a code stream. */
struct ht_work {
    const uint8_t *in;
    uint64_t in_size;
    uint8_t *out;
    uint64_t out_size;
    uint64_t written; /* of a code stream */
    char complaint[HT_COMPLAINT_MAX];
};

/* levels: halvings; ratio: native bytes to encoded; psnr: dB of the sample's range. */
struct ht_request {
    bool is_lossy, is_mixed;  /* mixed: colour transform */
    struct hilum_frame frame; /* native: what is decoded to, or encoded */
    /* decoding */
    struct j2k_header header;
    struct j2k_part part;
    /* encoding */
    uint32_t bits, levels, tile_width, tile_height;
    double ratio, psnr; /* 0: not asked for */
};

/* HILUM_ECORRUPT, HILUM_EUNSUP with a complaint, HILUM_ENOMEM. */
hilum_rc ht_decode_frame(struct ht_work *work, const struct ht_request *request);
hilum_rc ht_encode_frame(struct ht_work *work, const struct ht_request *request);

#endif
