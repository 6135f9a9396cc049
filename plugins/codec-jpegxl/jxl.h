/* What the files of codec-jpegxl share. SPDX-License-Identifier: Apache-2.0 */
#ifndef JXL_H
#define JXL_H

#include <jxl/types.h>

#include "codec_common.h"

#define JXL_LOSSLESS CODEC_UID("4.110")
#define JXL_OF_JPEG  CODEC_UID("4.111")
#define JXL_ANY      CODEC_UID("4.112")

/* libjxl works in floats of 24 bits: deeper integers it refuses, and so does what is written here. */
enum { JXL_BITS_MAX = 24, JXL_BITS_COLOUR = 16, JXL_BITS_LOSSY = 16 };

/* What a stream says of itself. */
struct jxl_header {
    uint32_t columns, rows, samples, bits;
    bool is_jpeg; /* a JPEG stream can be had back from it */
    bool is_xyb;  /* colours were turned into the library's own, which always loses */
};

/* Reads it; nothing of the picture's size is allocated. HILUM_ECORRUPT, HILUM_EUNSUP (animations, alpha and other extra
 * channels, floats, too many bits), HILUM_ENOMEM. */
hilum_rc jxl_header_read(void *self, const struct codec_bytes *stream, struct jxl_header *out);
/* The frame that decoding yields. */
hilum_rc jxl_frame_of(void *self, const struct hilum_coded *coded, const struct jxl_header *header,
                      const struct hilum_decode *wanted, struct hilum_frame *out);

/* HILUM_EUNSUP: of more layers than are laid on each other. Decodes nothing. */
hilum_rc jxl_check_layers(void *self, const struct codec_bytes *stream);

/* How libjxl lays out samples of so many bits: by pixel, without a sign, 1, 2 or 4 bytes each. */
struct hilum_frame jxl_layout_of(const struct hilum_frame *frame, uint32_t bits);
/* The same for the library: whole numbers in little endian, what takes 4 bytes as floats of this machine. */
JxlPixelFormat jxl_format_of(const struct hilum_frame *layout);
/* Does the library's layout hold the frame's bytes as they are? */
bool jxl_is_direct(const struct hilum_frame *frame, const struct hilum_frame *layout);

/* Members of the capability. */
hilum_rc jxl_decode(void *self, const struct hilum_coded *coded, const struct hilum_decode *wanted,
                    void *dst, uint64_t dst_size, struct hilum_frame *out);
hilum_rc jxl_encode(void *self, const struct hilum_frame *frame, const void *src, uint64_t n,
                    const struct hilum_encode *wanted, struct hilum_sink *out,
                    struct hilum_encoded *done);
hilum_rc jxl_repack(void *self, const struct hilum_coded *coded, const char *to,
                    struct hilum_sink *out, struct hilum_encoded *done);

#endif
