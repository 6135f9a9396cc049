/* codec-jpeg2000: JPEG 2000 lossless and lossy (PS3.5 A.4.4; ISO 15444-1) with OpenJPEG: smaller pictures, regions
 * and quality layers cost less than the whole. High-throughput streams are codec-htj2k's, whatever UID they come
 * under. SPDX-License-Identifier: Apache-2.0 */
#include "j2k.h"

static hilum_rc info(void *self, const struct hilum_coded *coded, struct hilum_code_info *out)
{
    return j2k_info(self, coded, false, out);
}

enum {
    BOTH = HILUM_CODEC_DECODES | HILUM_CODEC_ENCODES,
    PARTS = HILUM_CODEC_REDUCES | HILUM_CODEC_REGIONS
};

static const struct hilum_codec_syntax syntaxes[] = {
    {CODEC_UID("4.90"), (uint32_t)BOTH | (uint32_t)PARTS | HILUM_CODEC_LOSSLESS, 100},
    {CODEC_UID("4.91"), (uint32_t)BOTH | (uint32_t)PARTS, 100},
    {0}};

static const struct hilum_codec table = {.cap = {.size = sizeof table,
                                                 .kind = HILUM_CAP_CODEC,
                                                 .threads = HILUM_PARALLEL,
                                                 .name = "jpeg2000"},
                                         .syntaxes = syntaxes,
                                         .info = info,
                                         .decode = j2k_decode,
                                         .encode = j2k_encode};

CODEC_PLUGIN("codec-jpeg2000", table)
