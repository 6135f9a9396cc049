/* Encoding by the libraries alone: 16 bits, one sample. SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/codec/bare.h"

#include <stdio.h>
#include <string.h>

#include <charls/charls_jpegls_encoder.h>
#include <openjpeg.h>

int bare_encode_jpegls(const struct bare_picture *picture, void *out, size_t room, size_t *n)
{
    const charls_frame_info info = {picture->columns, picture->rows, (int32_t)picture->bits, 1};
    charls_jpegls_encoder *encoder = charls_jpegls_encoder_create();
    int code = (int)charls_jpegls_encoder_set_frame_info(encoder, &info);
    if (!code)
        code = (int)charls_jpegls_encoder_set_destination_buffer(encoder, out, room);
    if (!code)
        code = (int)charls_jpegls_encoder_encode_from_buffer(
            encoder, picture->pixels, (size_t)picture->columns * picture->rows * 2, 0);
    if (!code)
        code = (int)charls_jpegls_encoder_get_bytes_written(encoder, n);
    charls_jpegls_encoder_destroy(encoder);
    return code;
}

/* ---- OpenJPEG into memory ---- */

struct memory {
    unsigned char *at;
    size_t room, n, end;
};

static OPJ_SIZE_T memory_write(void *bytes, OPJ_SIZE_T n, void *data)
{
    struct memory *memory = data;
    if (n > memory->room - memory->n)
        return (OPJ_SIZE_T)-1;
    memcpy(memory->at + memory->n, bytes, n);
    memory->n += n;
    memory->end = memory->n > memory->end ? memory->n : memory->end;
    return n;
}

static OPJ_OFF_T memory_skip(OPJ_OFF_T by, void *data)
{
    ((struct memory *)data)->n += (size_t)by;
    return by;
}

static OPJ_BOOL memory_seek(OPJ_OFF_T to, void *data)
{
    ((struct memory *)data)->n = (size_t)to;
    return OPJ_TRUE;
}

static opj_image_t *image_of(const struct bare_picture *picture)
{
    opj_image_cmptparm_t component = {.dx = 1,
                                      .dy = 1,
                                      .w = picture->columns,
                                      .h = picture->rows,
                                      .prec = picture->bits,
                                      .bpp = picture->bits};
    opj_image_t *image = opj_image_create(1, &component, OPJ_CLRSPC_GRAY);
    image->x1 = picture->columns;
    image->y1 = picture->rows;
    for (size_t i = 0; i < (size_t)picture->columns * picture->rows; i++)
        image->comps[0].data[i] = picture->pixels[i];
    return image;
}

int bare_encode_jpeg2000(const struct bare_picture *picture, void *out, size_t room, size_t *n)
{
    struct memory memory = {out, room, 0, 0};
    opj_cparameters_t parameters;
    opj_image_t *image = image_of(picture);
    opj_codec_t *codec = opj_create_compress(OPJ_CODEC_J2K);
    opj_stream_t *stream = opj_stream_default_create(OPJ_FALSE);
    opj_stream_set_user_data(stream, &memory, NULL);
    opj_stream_set_write_function(stream, memory_write);
    opj_stream_set_skip_function(stream, memory_skip);
    opj_stream_set_seek_function(stream, memory_seek);
    opj_set_default_encoder_parameters(&parameters);
    int is_done = opj_setup_encoder(codec, &parameters, image) &&
                  opj_start_compress(codec, image, stream) && opj_encode(codec, stream) &&
                  opj_end_compress(codec, stream);
    *n = memory.end;
    opj_stream_destroy(stream);
    opj_destroy_codec(codec);
    opj_image_destroy(image);
    return !is_done;
}
