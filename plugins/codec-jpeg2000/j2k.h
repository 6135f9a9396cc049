/* Inside codec-jpeg2000.
 *
 * decode.c and encode.c are each one call of OpenJPEG's with what surrounds it; stream.c gives
 * it memory in place of files. All objects of the library live within one call.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef J2K_H
#define J2K_H

#include <openjpeg.h>

#include "j2k_header.h"

/* A code stream in memory as OpenJPEG reads or writes it. */
struct j2k_stream {
    const uint8_t *read; /* NULL: written */
    uint8_t *bytes;      /* written; free */
    size_t n, at, room;
    bool is_out_of_memory;
};
opj_stream_t *j2k_stream_open(struct j2k_stream *stream);

/* OpenJPEG's last complaint, for a reason. */
struct j2k_complaint {
    char text[160];
};
void j2k_complain_to(opj_codec_t *codec, struct j2k_complaint *complaint);

hilum_rc j2k_decode(void *self, const struct hilum_coded *coded, const struct hilum_decode *wanted,
                    void *dst, uint64_t dst_size, struct hilum_frame *out);
hilum_rc j2k_encode(void *self, const struct hilum_frame *frame, const void *src, uint64_t n,
                    const struct hilum_encode *wanted, struct hilum_sink *out,
                    struct hilum_encoded *done);

#endif
