/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "j2k.h"

/* OpenJPEG's coder has 32 bits for a coefficient, six of them fractions: 24 bits are what comes back from any picture, of
 * one sample; colours would need one more than that. */
enum { BITS_MAX = 24, BITS_COLOUR = 16, LEVELS_DEFAULT = 5, LAYERS_MAX = 32 };
static const double ratio_default = 10.0; /* where loss is allowed and nobody says how much */

/* ---- parameters ---- */

/* Every level halves a tile; one of a single pixel cannot be halved. */
static uint32_t levels_of(const struct hilum_frame *frame, const struct hilum_encode *wanted)
{
    uint32_t side = frame->columns < frame->rows ? frame->columns : frame->rows;
    uint32_t levels = wanted->levels == HILUM_NONE ? 0
                      : wanted->levels             ? wanted->levels
                                                   : LEVELS_DEFAULT;
    if (wanted->tile_width && wanted->tile_width < side)
        side = wanted->tile_width;
    if (wanted->tile_height && wanted->tile_height < side)
        side = wanted->tile_height;
    uint32_t most = 0;
    while (side >> (most + 1))
        most++;
    return levels < most ? levels : most;
}

/* The last layer holds everything that is kept; each before it half as much. */
static void set_layers(opj_cparameters_t *parameters, const struct hilum_encode *wanted,
                       bool is_lossy)
{
    uint32_t n = wanted->layers == HILUM_NONE || !wanted->layers ? 1 : wanted->layers;
    if (n > LAYERS_MAX)
        n = LAYERS_MAX;
    double ratio = wanted->ratio > 0 ? wanted->ratio : ratio_default;
    parameters->tcp_numlayers = (int)n;
    parameters->cp_fixed_quality = is_lossy && wanted->psnr > 0 ? 1 : 0;
    parameters->cp_disto_alloc = !parameters->cp_fixed_quality;
    for (uint32_t i = 0; i < n; i++) {
        parameters->tcp_rates[i] = (float)(ratio * (double)(1ull << (n - 1 - i)));
        parameters->tcp_distoratio[i] = (float)(wanted->psnr * (i + 1) / n);
    }
    if (!is_lossy)
        parameters->tcp_rates[n - 1] = 0;
}

/* tcp_mct: the colour transform, RCT or ICT as the wavelet is. */
static void set_parameters(opj_cparameters_t *parameters, const struct hilum_frame *frame,
                           const struct hilum_encode *wanted, bool is_lossy, bool is_rct)
{
    opj_set_default_encoder_parameters(parameters);
    parameters->numresolution = (int)levels_of(frame, wanted) + 1;
    parameters->irreversible = is_lossy;
    parameters->tcp_mct = is_rct ? 1 : 0;
    set_layers(parameters, wanted, is_lossy);
    if (wanted->tile_width && wanted->tile_height) {
        parameters->tile_size_on = OPJ_TRUE;
        parameters->cp_tdx = (int)wanted->tile_width;
        parameters->cp_tdy = (int)wanted->tile_height;
    }
}

static hilum_rc check_wanted(void *self, const struct hilum_encode *wanted)
{
    if (wanted->max_error || wanted->quality)
        return codec_fail(self, HILUM_EUNSUP, "JPEG 2000 is told its loss by ratio or psnr");
    if (wanted->ratio < 0 || wanted->ratio > 10000 || wanted->psnr < 0 || wanted->psnr > 200)
        return codec_fail(self, HILUM_EINVAL, "JPEG 2000 ratio up to 10000, psnr up to 200");
    if (wanted->tile_width > CODEC_SIDE_MAX || wanted->tile_height > CODEC_SIDE_MAX)
        return codec_fail(self, HILUM_EINVAL, "tiles of more than %d pixels a side",
                          CODEC_SIDE_MAX);
    return HILUM_OK;
}

/* ---- pixels ---- */

/* The caller destroys it. 32 bits a sample: four times the frame, as long as the encoding
 * lasts. */
static opj_image_t *image_of(const struct hilum_frame *frame, const void *src, uint32_t bits)
{
    opj_image_cmptparm_t components[CODEC_SAMPLES_MAX];
    memset(components, 0, sizeof components);
    for (uint32_t i = 0; i < frame->samples; i++) {
        components[i].dx = components[i].dy = 1;
        components[i].w = frame->columns;
        components[i].h = frame->rows;
        components[i].prec = bits;
        components[i].sgnd = frame->sample_type == HILUM_SAMPLE_SIGNED;
    }
    opj_image_t *image = opj_image_create(frame->samples, components,
                                          frame->samples > 1 ? OPJ_CLRSPC_SRGB : OPJ_CLRSPC_GRAY);
    if (!image)
        return NULL;
    image->x1 = frame->columns;
    image->y1 = frame->rows;
    for (uint32_t i = 0; i < frame->samples; i++)
        for (uint32_t row = 0; row < frame->rows; row++)
            codec_row_get(frame, src, row, i, bits,
                          image->comps[i].data + (size_t)row * frame->columns);
    return image;
}

/* In the library's order; the end writes the last marker. */
static bool compress(opj_codec_t *codec, opj_cparameters_t *parameters, opj_image_t *image,
                     struct j2k_stream *memory)
{
    opj_stream_t *stream = j2k_stream_open(memory);
    bool is_done = stream && opj_setup_encoder(codec, parameters, image) &&
                   opj_start_compress(codec, image, stream) && opj_encode(codec, stream) &&
                   opj_end_compress(codec, stream);
    if (stream)
        opj_stream_destroy(stream);
    return is_done;
}

/* The whole stream in memory before the sink gets it: the encoder goes back in it. */
static hilum_rc encode_image(void *self, opj_cparameters_t *parameters, opj_image_t *image,
                             struct hilum_sink *out, uint64_t *written)
{
    struct j2k_stream memory = {0};
    struct j2k_complaint complaint = {0};
    opj_codec_t *codec = opj_create_compress(OPJ_CODEC_J2K);
    hilum_rc rc = HILUM_OK;
    if (codec)
        j2k_complain_to(codec, &complaint);
    if (!codec || !compress(codec, parameters, image, &memory))
        rc = !codec || memory.is_out_of_memory
                 ? codec_fail(self, HILUM_ENOMEM, "no memory for JPEG 2000")
                 : codec_fail(self, HILUM_EUNSUP, "JPEG 2000: %s", complaint.text);
    if (!rc)
        rc = codec_write(out, memory.bytes, memory.n);
    *written = memory.n;
    opj_destroy_codec(codec);
    free(memory.bytes);
    return rc;
}

hilum_rc j2k_encode(void *self, const struct hilum_frame *frame, const void *src, uint64_t n,
                    const struct hilum_encode *wanted, struct hilum_sink *out,
                    struct hilum_encoded *done)
{
    opj_cparameters_t parameters;
    uint64_t written = 0;
    hilum_rc rc = codec_check_source(self, frame, n);
    if (!rc)
        rc = check_wanted(self, wanted);
    if (rc)
        return rc;
    bool is_lossy = codec_is_syntax(wanted->transfer_syntax, CODEC_UID("4.91"));
    bool is_mixed = frame->samples == 3 && frame->photometric == HILUM_PHOTO_RGB &&
                    wanted->photometric != HILUM_PHOTO_RGB;
    uint32_t bits = is_lossy ? frame->bits_stored : codec_bits_used(frame, src);
    if (bits > (frame->samples == 1 ? BITS_MAX : BITS_COLOUR))
        return codec_fail(self, HILUM_EUNSUP,
                          "JPEG 2000 encoding of %u bits: OpenJPEG keeps 24, of colours 16", bits);
    set_parameters(&parameters, frame, wanted, is_lossy, is_mixed);
    opj_image_t *image = image_of(frame, src, bits);
    rc = image ? encode_image(self, &parameters, image, out, &written)
               : codec_fail(self, HILUM_ENOMEM, "no memory for a frame");
    opj_image_destroy(image);
    if (!rc)
        codec_done(done,
                   !is_mixed  ? frame->photometric
                   : is_lossy ? HILUM_PHOTO_YBR_ICT
                              : HILUM_PHOTO_YBR_RCT,
                   n, written, is_lossy ? "ISO_15444_1" : NULL);
    return rc;
}
