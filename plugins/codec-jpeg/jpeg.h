/* Inside codec-jpeg.
 *
 * header.c reads what kind of stream it is; codec-jpeg.c decides by that, not by the UID, who
 * decodes: turbo_*.c (libjpeg-turbo) or deep.c by way of ijg.cc (DCMTK's IJG libraries, which
 * exist three times, for 8, 12 and 16 bits). No C++ exception and no longjmp() leaves the file it
 * comes from.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef JPEG_H
#define JPEG_H

#include "codec_common.h"

#ifdef __cplusplus
extern "C" {
#endif

#define JPEG_BASELINE     CODEC_UID("4.50")
#define JPEG_EXTENDED     CODEC_UID("4.51")
#define JPEG_LOSSLESS     CODEC_UID("4.57")
#define JPEG_LOSSLESS_SV1 CODEC_UID("4.70")

/* What the frame header says (ISO 10918-1 B.2.2), and what is known of its colours. */
struct jpeg_header {
    uint32_t columns, rows, components, bits;
    bool is_lossless, is_subsampled;
    bool is_ycc; /* three components that are luminance and colour differences */
};

/* HILUM_ECORRUPT; HILUM_EUNSUP: arithmetic coding, hierarchical, a height only known at the end. `declared` decides
 * on colours where the stream is silent. */
hilum_rc jpeg_header_read(void *self, const struct codec_bytes *stream,
                          const struct hilum_frame *declared, struct jpeg_header *out);

/* One stream to one frame; `frame` is what comes out, its photometric the one to come to. */
struct jpeg_job {
    void *self;
    const struct codec_bytes *stream;
    const struct jpeg_header *header;
    const struct hilum_frame *frame;
    uint32_t reduce;
    void *dst;
};
/* 8 bits with loss: libjpeg-turbo. */
hilum_rc jpeg_turbo_decode(const struct jpeg_job *job);
hilum_rc jpeg_turbo_encode(void *self, const struct hilum_frame *frame, const void *src,
                           const struct hilum_encode *wanted, struct hilum_sink *out,
                           uint64_t *written, uint32_t *photometric);
/* 12 bits with loss, and all that lose nothing: DCMTK's IJG libraries. */
hilum_rc jpeg_deep_decode(const struct jpeg_job *job);
hilum_rc jpeg_deep_encode(void *self, const struct hilum_frame *frame, const void *src,
                          const struct hilum_encode *wanted, struct hilum_sink *out,
                          uint64_t *written);

/* ijg.cc: `depth` is 8, 12 or 16, of which library. Samples pixel by pixel, one byte each at depth 8, else two. */
struct ijg_pixels {
    uint16_t columns, rows, samples;
    uint32_t depth;
    void *pixels;
    uint64_t size;
};
/* 0, or the text of what went wrong is in complaint. Pixels decoded before are there. */
int ijg_decode(const uint8_t *bytes, uint64_t n, const struct ijg_pixels *to, bool is_ycc,
               char complaint[160]);
/* quality 0: lossless. *bytes: ijg_free. */
int ijg_encode(const struct ijg_pixels *from, uint32_t quality, uint8_t **bytes, uint64_t *n,
               char complaint[160]);
void ijg_free(uint8_t *bytes);

#ifdef __cplusplus
}
#endif
#endif
