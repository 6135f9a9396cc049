/* codec-jpegxl: JPEG XL (PS3.5 A.4.11; ISO 18181) with libjxl: lossless, with loss, and streams that a JPEG can be had
 * back from. Streams carry samples without a sign: two's complement goes through bit by bit and gets its sign back.
 * SPDX-License-Identifier: Apache-2.0 */
#include "jxl.h"

/* The header only. Whether a stream without a transform of colours has lost something it does not tell. */
static hilum_rc info(void *self, const struct hilum_coded *coded, struct hilum_code_info *out)
{
    struct codec_bytes stream;
    struct jxl_header header;
    hilum_rc rc = codec_gather(self, coded, &stream);
    if (!rc)
        rc = jxl_header_read(self, &stream, &header);
    if (!rc)
        rc = jxl_frame_of(self, coded, &header, NULL, out->frame);
    codec_bytes_fini(&stream);
    if (rc)
        return rc;
    out->is_lossless = header.is_jpeg || header.is_xyb ? 0 : -1;
    out->levels = out->layers = 0;
    out->tile_width = out->frame->columns;
    out->tile_height = out->frame->rows;
    out->photometric = out->frame->photometric;
    return HILUM_OK;
}

static const struct hilum_codec_syntax syntaxes[] = {
    {JXL_LOSSLESS, HILUM_CODEC_DECODES | HILUM_CODEC_ENCODES | HILUM_CODEC_LOSSLESS, 100},
    {JXL_OF_JPEG, HILUM_CODEC_DECODES | HILUM_CODEC_REPACKS, 100},
    {JXL_ANY, HILUM_CODEC_DECODES | HILUM_CODEC_ENCODES, 100},
    {0}};

static const struct hilum_codec table = {.cap = {.size = sizeof table,
                                                 .kind = HILUM_CAP_CODEC,
                                                 .threads = HILUM_PARALLEL,
                                                 .name = "jpegxl"},
                                         .syntaxes = syntaxes,
                                         .info = info,
                                         .decode = jxl_decode,
                                         .encode = jxl_encode,
                                         .repack = jxl_repack};

CODEC_PLUGIN("codec-jpegxl", table)
