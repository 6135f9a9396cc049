/* Attributes of Image Pixel (PS3.3 C.7.6.3) as a scanned data set says them, for who decodes and who encodes.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_STORE_PIXELS_H
#define HL_STORE_PIXELS_H

#include "core/store/scan.h"
#include "hilum/codec.h"

enum {
    HL_TAG_SAMPLES = 0x00280002,
    HL_TAG_PHOTOMETRIC = 0x00280004,
    HL_TAG_PLANAR = 0x00280006,
    HL_TAG_FRAMES = 0x00280008,
    HL_TAG_ROWS = 0x00280010,
    HL_TAG_COLUMNS = 0x00280011,
    HL_TAG_ALLOCATED = 0x00280100,
    HL_TAG_STORED = 0x00280101,
    HL_TAG_HIGH_BIT = 0x00280102,
    HL_TAG_REPRESENTATION = 0x00280103,
    HL_TAG_LOSSY = 0x00282110,
    HL_TAG_LOSSY_RATIO = 0x00282112,
    HL_TAG_LOSSY_METHOD = 0x00282114,
    HL_TAG_EXTENDED_TABLE = 0x7FE00001,
    HL_TAG_EXTENDED_LENGTHS = 0x7FE00002,
    HL_TAG_TOTAL_LENGTH = 0x7FE00003,
    HL_TAG_FLOAT_PIXELS = 0x7FE00008,
    HL_TAG_DOUBLE_PIXELS = 0x7FE00009
};

/* What the data set says of one frame, up to the head of its pixels; 0 where it says nothing. */
void hl_pixels_declared(const struct hl_scan *scan, struct hilum_frame *out);
/* HILUM_PHOTO_* of a value of (0028,0004) and back; HILUM_PHOTO_UNKNOWN and NULL for what is none. */
uint32_t hl_photometric_of(const char *name);
const char *hl_photometric_name(uint32_t value);
/* US or the like from 0 to 65535, else the fallback. */
uint32_t hl_pixels_number(const struct hl_scan *scan, uint32_t tag, uint32_t fallback);
/* Pixel Data, else Float, else Double Float Pixel Data; NULL: it has none. */
const struct hl_element *hl_pixels_element(const struct hl_scan *scan);
/* Frames, 1 or more. */
uint64_t hl_pixels_frames(const struct hl_scan *scan);

#endif
