/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/codec/bare.h"

#include <stdio.h>
#include <string.h>

#include <charls/charls_jpegls_decoder.h>
#include <jpeglib.h>
#include <openjpeg.h>

int bare_jpegls(const uint8_t *stream, size_t n, void *pixels, size_t size)
{
    charls_jpegls_decoder *decoder = charls_jpegls_decoder_create();
    int code = (int)charls_jpegls_decoder_set_source_buffer(decoder, stream, n);
    if (!code)
        code = (int)charls_jpegls_decoder_read_header(decoder);
    if (!code)
        code = (int)charls_jpegls_decoder_decode_to_buffer(decoder, pixels, size, 0);
    charls_jpegls_decoder_destroy(decoder);
    return code;
}

struct memory {
    const uint8_t *at;
    size_t n, read;
};

static OPJ_SIZE_T memory_read(void *to, OPJ_SIZE_T n, void *data)
{
    struct memory *memory = data;
    size_t left = memory->n - memory->read;
    if (!left)
        return (OPJ_SIZE_T)-1;
    n = n < left ? n : left;
    memcpy(to, memory->at + memory->read, n);
    memory->read += n;
    return n;
}

static OPJ_OFF_T memory_skip(OPJ_OFF_T by, void *data)
{
    ((struct memory *)data)->read += (size_t)by;
    return by;
}

static OPJ_BOOL memory_seek(OPJ_OFF_T to, void *data)
{
    ((struct memory *)data)->read = (size_t)to;
    return OPJ_TRUE;
}

int bare_jpeg2000(const uint8_t *stream, size_t n, void *pixels, size_t size)
{
    struct memory memory = {stream, n, 0};
    opj_dparameters_t parameters;
    opj_image_t *image = NULL;
    opj_codec_t *codec = opj_create_decompress(OPJ_CODEC_J2K);
    opj_stream_t *opj = opj_stream_default_create(OPJ_TRUE);
    opj_stream_set_user_data(opj, &memory, NULL);
    opj_stream_set_user_data_length(opj, n);
    opj_stream_set_read_function(opj, memory_read);
    opj_stream_set_skip_function(opj, memory_skip);
    opj_stream_set_seek_function(opj, memory_seek);
    opj_set_default_decoder_parameters(&parameters);
    int is_done = opj_setup_decoder(codec, &parameters) && opj_read_header(opj, codec, &image) &&
                  opj_decode(codec, opj, image);
    uint16_t *to = pixels;
    for (size_t i = 0; is_done && i < size / 2; i++)
        to[i] = (uint16_t)image->comps[0].data[i];
    opj_image_destroy(image);
    opj_destroy_codec(codec);
    opj_stream_destroy(opj);
    return !is_done;
}

int bare_jpeg(const uint8_t *stream, size_t n, void *pixels, size_t size)
{
    struct jpeg_decompress_struct decoder;
    struct jpeg_error_mgr errors;
    (void)size;
    decoder.err = jpeg_std_error(&errors);
    jpeg_create_decompress(&decoder);
    jpeg_mem_src(&decoder, stream, (unsigned long)n);
    (void)jpeg_read_header(&decoder, TRUE);
    (void)jpeg_start_decompress(&decoder);
    while (decoder.output_scanline < decoder.output_height) {
        JSAMPROW row = (JSAMPLE *)pixels + (size_t)decoder.output_scanline * decoder.output_width *
                                               (size_t)decoder.output_components;
        (void)jpeg_read_scanlines(&decoder, &row, 1);
    }
    jpeg_destroy_decompress(&decoder);
    return 0;
}
