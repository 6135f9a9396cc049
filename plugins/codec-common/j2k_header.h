/* The main header of a JPEG 2000 or HTJ2K code stream (ISO 15444-1 Annex A, 15444-15), read by hand: what a codec must know
 * before it trusts a library with the stream.
 *
 * Two libraries decode what one standard defines (OpenJPEG part 1, OpenJPH part 15), and each
 * misbehaves on some damaged or foreign streams: takes gigabytes, ends the process, or reads
 * the other's blocks as noise. What is checked here is what makes them do so.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef J2K_HEADER_H
#define J2K_HEADER_H

#include "codec_common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* tile_width is on the reference grid, may be larger than the picture. levels: halvings, so
 * levels + 1 resolutions. */
struct j2k_header {
    uint32_t x0, y0, x1, y1; /* the picture on the reference grid */
    uint32_t tile_width, tile_height, n_tiles;
    uint32_t components, bits; /* all components are alike */
    bool is_signed;
    uint32_t levels, layers;
    uint32_t block_width, block_height;
    bool has_colour_transform, is_reversible, is_high_throughput;
};

/* Finds the code stream in `stream`, bare or wrapped in a JP2 file (a wrong but common thing), makes *stream that
 * alone, and reads its main header. HILUM_ECORRUPT: no such header; HILUM_EUNSUP: components that
 * differ, or a picture beyond 65535 pixels a side. */
hilum_rc j2k_header_read(void *self, struct codec_bytes *stream, struct j2k_header *out);

/* The part of the picture that is wanted: on the reference grid, and what it comes to when reduced. HILUM_EINVAL: outside; HILUM_EUNSUP: reduced
 * further than the stream goes. */
struct j2k_part {
    uint32_t x0, y0, x1, y1, columns, rows, reduce;
    bool is_whole;
};
hilum_rc j2k_part_of(void *self, const struct j2k_header *header, const struct hilum_decode *wanted,
                     struct j2k_part *out);
/* The frame that the part decodes to. */
hilum_rc j2k_frame_of(void *self, const struct hilum_coded *coded, const struct j2k_header *header,
                      const struct j2k_part *part, const struct hilum_decode *wanted,
                      struct hilum_frame *out);
/* Do the tile parts run past the end of the stream? OpenJPH says nothing of it. */
bool j2k_is_cut(const struct codec_bytes *stream);
/* The body of a codec's info(). */
hilum_rc j2k_info(void *self, const struct hilum_coded *coded, bool is_high_throughput,
                  struct hilum_code_info *out);
/* HILUM_EUNSUP where the stream is of the other part of the standard: each has its codec. */
hilum_rc j2k_check_part(void *self, const struct j2k_header *header, bool is_high_throughput);

#ifdef __cplusplus
}
#endif
#endif
