/* What a data set says of its pixels, with defaults for what it leaves out. Nothing here is
 * believed to fit the pixels: codecs and frame maps check. SPDX-License-Identifier: Apache-2.0 */
#include "core/store/pixels.h"

#include <string.h>

#include "core/store/scan_head.h"

static const struct {
    const char *name;
    uint32_t value;
} photometrics[] = {
    {"MONOCHROME1", HILUM_PHOTO_MONOCHROME1},
    {"MONOCHROME2", HILUM_PHOTO_MONOCHROME2},
    {"PALETTE COLOR", HILUM_PHOTO_PALETTE},
    {"RGB", HILUM_PHOTO_RGB},
    {"YBR_FULL", HILUM_PHOTO_YBR_FULL},
    {"YBR_FULL_422", HILUM_PHOTO_YBR_FULL_422},
    {"YBR_PARTIAL_420", HILUM_PHOTO_YBR_PARTIAL_420},
    {"YBR_ICT", HILUM_PHOTO_YBR_ICT},
    {"YBR_RCT", HILUM_PHOTO_YBR_RCT},
};
enum { N_PHOTOMETRICS = sizeof photometrics / sizeof photometrics[0] };

uint32_t hl_photometric_of(const char *name)
{
    for (size_t i = 0; i < N_PHOTOMETRICS; i++)
        if (strcmp(photometrics[i].name, name) == 0)
            return photometrics[i].value;
    return HILUM_PHOTO_UNKNOWN;
}

const char *hl_photometric_name(uint32_t value)
{
    for (size_t i = 0; i < N_PHOTOMETRICS; i++)
        if (photometrics[i].value == value)
            return photometrics[i].name;
    return NULL;
}

uint32_t hl_pixels_number(const struct hl_scan *scan, uint32_t tag, uint32_t fallback)
{
    int64_t value = 0;
    if (hl_scan_int(scan, tag, &value) != HILUM_OK || value < 0 || value > UINT16_MAX)
        return fallback;
    return (uint32_t)value;
}

const struct hl_element *hl_pixels_element(const struct hl_scan *scan)
{
    static const uint32_t tags[] = {HL_TAG_PIXEL_DATA, HL_TAG_FLOAT_PIXELS, HL_TAG_DOUBLE_PIXELS};
    const struct hl_element *pixels = NULL;
    for (size_t i = 0; !pixels && i < sizeof tags / sizeof *tags; i++)
        pixels = hl_scan_find(scan, tags[i]);
    return pixels;
}

/* (0028,0008) is absent in single frames. */
uint64_t hl_pixels_frames(const struct hl_scan *scan)
{
    int64_t n = 0;
    return hl_scan_int(scan, HL_TAG_FRAMES, &n) == HILUM_OK && n > 0 ? (uint64_t)n : 1;
}

void hl_pixels_declared(const struct hl_scan *scan, struct hilum_frame *out)
{
    char photometric[17];
    const struct hl_element *pixels = hl_pixels_element(scan);
    hl_scan_text(scan, HL_TAG_PHOTOMETRIC, photometric, sizeof photometric);
    *out = (struct hilum_frame){.size = sizeof *out,
                                .columns = hl_pixels_number(scan, HL_TAG_COLUMNS, 0),
                                .rows = hl_pixels_number(scan, HL_TAG_ROWS, 0),
                                .samples = hl_pixels_number(scan, HL_TAG_SAMPLES, 1),
                                .bits_allocated = hl_pixels_number(scan, HL_TAG_ALLOCATED, 0),
                                .bits_stored = hl_pixels_number(scan, HL_TAG_STORED, 0),
                                .is_planar = hl_pixels_number(scan, HL_TAG_PLANAR, 0) == 1,
                                .photometric = hl_photometric_of(photometric)};
    if (hl_pixels_number(scan, HL_TAG_REPRESENTATION, 0) == 1)
        out->sample_type = HILUM_SAMPLE_SIGNED;
    if (pixels && pixels->tag != HL_TAG_PIXEL_DATA)
        out->sample_type = HILUM_SAMPLE_FLOAT;
    if (!out->bits_stored)
        out->bits_stored = out->bits_allocated;
}
