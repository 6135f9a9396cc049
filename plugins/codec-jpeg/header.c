/* Markers of a JPEG stream up to its frame header, read by hand. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "jpeg.h"

/* Second bytes of markers (ISO 10918-1 table B.1); the first is FF. */
enum {
    SOI = 0xD8,
    EOI = 0xD9,
    SOS = 0xDA,
    SOF_BASELINE = 0xC0,
    SOF_EXTENDED = 0xC1,
    SOF_PROGRESSIVE = 0xC2,
    SOF_LOSSLESS = 0xC3,
    DHT = 0xC4,
    JPG = 0xC8,
    DAC = 0xCC,
    SOF_LAST = 0xCF,
    APP0 = 0xE0,
    APP14 = 0xEE
};

/* What says something of colours, in the order in which it is believed. ids: of components,
 * which some encoders set to 'R', 'G', 'B'. */
struct hints {
    int adobe; /* transform: 0 none, 1 YCbCr; -1: no marker */
    bool is_jfif;
    uint8_t ids[4];
};

/* C4, C8 and CC lie among the SOFs and are none (ISO 10918-1 table B.1). */
static bool is_frame_header(uint32_t marker)
{
    return marker >= SOF_BASELINE && marker <= SOF_LAST && marker != DHT && marker != JPG &&
           marker != DAC;
}

/* n is of the segment: 6 bytes, then 3 a component. A second component with another factor
 * than the first is subsampled. */
static hilum_rc read_frame_header(void *self, uint32_t marker, const uint8_t *p, size_t n,
                                  struct jpeg_header *out, struct hints *hints)
{
    if (marker > SOF_LOSSLESS)
        return codec_fail(self, HILUM_EUNSUP, "JPEG process SOF%u", marker - SOF_BASELINE);
    if (n < 6 || n < 6 + 3 * (size_t)p[5])
        return codec_fail(self, HILUM_ECORRUPT, "JPEG frame header of %zu bytes", n);
    out->bits = p[0];
    out->rows = codec_be16(p + 1);
    out->columns = codec_be16(p + 3);
    out->components = p[5];
    out->is_lossless = marker == SOF_LOSSLESS;
    if (!out->rows)
        return codec_fail(self, HILUM_EUNSUP, "JPEG whose height comes at its end");
    for (uint32_t i = 0; i < out->components && i < 4; i++) {
        const uint8_t *component = p + 6 + 3 * (size_t)i;
        hints->ids[i] = component[0];
        if (component[1] != p[7])
            out->is_subsampled = true;
    }
    return HILUM_OK;
}

static void read_hint(uint32_t marker, const uint8_t *p, size_t n, struct hints *hints)
{
    if (marker == APP14 && n >= 12 && memcmp(p, "Adobe", 5) == 0)
        hints->adobe = p[11];
    if (marker == APP0 && n >= 5 && memcmp(p, "JFIF", 5) == 0)
        hints->is_jfif = true;
}

/* The stream's own word comes first; a JFIF header only of lossy ones, since some encoders put one before
 * everything. Where it is silent the data set knows. Halved components cannot be red and blue. */
static bool is_ycc(const struct jpeg_header *header, const struct hints *hints,
                   const struct hilum_frame *declared)
{
    if (header->components != 3)
        return false;
    if (header->is_subsampled)
        return true;
    if (header->is_lossless)
        return declared && declared->photometric >= HILUM_PHOTO_YBR_FULL &&
               declared->photometric <= HILUM_PHOTO_YBR_PARTIAL_420;
    if (hints->adobe >= 0)
        return hints->adobe == 1;
    if (hints->is_jfif)
        return true;
    if (memcmp(hints->ids, "RGB", 3) == 0)
        return false;
    return !declared || declared->photometric != HILUM_PHOTO_RGB;
}

/* Up to the first frame header; what comes before (tables, comments) is stepped over by its
 * length. */
hilum_rc jpeg_header_read(void *self, const struct codec_bytes *stream,
                          const struct hilum_frame *declared, struct jpeg_header *out)
{
    struct hints hints = {.adobe = -1};
    const uint8_t *p = stream->at;
    *out = (struct jpeg_header){0};
    if (stream->n < 4 || p[0] != 0xFF || p[1] != SOI)
        return codec_fail(self, HILUM_ECORRUPT, "no JPEG stream in %zu bytes", stream->n);
    for (size_t at = 2; stream->n - at >= 4;) {
        uint32_t marker = p[at + 1];
        size_t length = codec_be16(p + at + 2);
        if (p[at] != 0xFF || marker == EOI || marker == SOS)
            break;
        if (marker == 0xFF) { /* fill bytes */
            at++;
            continue;
        }
        if (length < 2 || length > stream->n - at - 2)
            break;
        read_hint(marker, p + at + 4, length - 2, &hints);
        if (is_frame_header(marker)) {
            hilum_rc rc = read_frame_header(self, marker, p + at + 4, length - 2, out, &hints);
            if (rc)
                return rc;
            out->is_ycc = is_ycc(out, &hints, declared);
            return HILUM_OK;
        }
        at += 2 + length;
    }
    return codec_fail(self, HILUM_ECORRUPT, "JPEG stream without a frame header");
}
