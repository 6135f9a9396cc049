/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "j2k.h"

/* One code stream on its way to pixels. */
struct job {
    void *self;
    const struct codec_bytes *stream;
    struct j2k_part part;
    uint32_t layers;
    const struct hilum_frame *frame;
    void *dst;
    struct j2k_complaint complaint;
};

/* Components are planes of 32 bits, whatever the picture had. */
static void copy_component(const struct job *job, const opj_image_comp_t *component,
                           uint32_t sample)
{
    for (uint32_t row = 0; row < job->frame->rows; row++)
        codec_row_put(job->frame, job->dst, row, sample,
                      component->data + (size_t)row * component->w);
}

/* What the library made is held against our own reading of the header before a row is copied:
 * dst was measured by that. */
static bool is_as_expected(const struct job *job, const opj_image_t *image)
{
    if (image->numcomps != job->frame->samples)
        return false;
    for (uint32_t i = 0; i < image->numcomps; i++)
        if (!image->comps[i].data || image->comps[i].w != job->frame->columns ||
            image->comps[i].h != job->frame->rows)
            return false;
    return true;
}

static bool decode_image(struct job *job, opj_codec_t *codec, opj_stream_t *stream,
                         opj_image_t **image)
{
    const struct j2k_part *part = &job->part;
    if (!opj_read_header(stream, codec, image))
        return false;
    if (!part->is_whole &&
        !opj_set_decode_area(codec, *image, (OPJ_INT32)part->x0, (OPJ_INT32)part->y0,
                             (OPJ_INT32)part->x1, (OPJ_INT32)part->y1))
        return false;
    return opj_decode(codec, stream, *image) && opj_end_decompress(codec, stream);
}

/* Strict: what is cut short fails. Otherwise it yields what there is. What fails is copied all
 * the same where there is an image: it has the pixels up to the damage. */
static bool decode_with(struct job *job, opj_codec_t *codec, bool is_strict)
{
    opj_dparameters_t parameters;
    opj_image_t *image = NULL;
    struct j2k_stream memory = {.read = job->stream->at, .n = job->stream->n};
    opj_stream_t *stream = j2k_stream_open(&memory);
    opj_set_default_decoder_parameters(&parameters);
    parameters.cp_reduce = job->part.reduce;
    parameters.cp_layer = job->layers;
    j2k_complain_to(codec, &job->complaint);
    bool is_done = stream && opj_setup_decoder(codec, &parameters) &&
                   opj_decoder_set_strict_mode(codec, is_strict) &&
                   decode_image(job, codec, stream, &image);
    if (image && is_as_expected(job, image))
        for (uint32_t i = 0; i < image->numcomps; i++)
            copy_component(job, &image->comps[i], i);
    else
        is_done = false;
    opj_image_destroy(image);
    if (stream)
        opj_stream_destroy(stream);
    return is_done;
}

/* A codec of OpenJPEG decodes one stream once. */
static bool decode_once(struct job *job, bool is_strict)
{
    opj_codec_t *codec = opj_create_decompress(OPJ_CODEC_J2K);
    bool is_done = codec && decode_with(job, codec, is_strict);
    opj_destroy_codec(codec);
    return is_done;
}

/* Strict first: OpenJPEG's lenient mode tells success of streams that were cut. */
static hilum_rc decode_stream(struct job *job)
{
    memset(job->dst, 0, (size_t)hilum_frame_bytes(job->frame));
    if (decode_once(job, true))
        return HILUM_OK;
    struct j2k_complaint complaint = job->complaint;
    (void)decode_once(job, false);
    return codec_fail(job->self, HILUM_ECORRUPT, "JPEG 2000: %s",
                      complaint.text[0] ? complaint.text : "the stream is broken");
}

/* Everything that could make the library misbehave was checked by then (j2k_header_read,
 * j2k_check_part). */
hilum_rc j2k_decode(void *self, const struct hilum_coded *coded, const struct hilum_decode *wanted,
                    void *dst, uint64_t dst_size, struct hilum_frame *out)
{
    struct codec_bytes stream;
    struct j2k_header header;
    struct job job = {.self = self, .stream = &stream, .frame = out, .dst = dst};
    hilum_rc rc = codec_gather(self, coded, &stream);
    if (!rc)
        rc = j2k_header_read(self, &stream, &header);
    if (!rc)
        rc = j2k_check_part(self, &header, false);
    if (!rc)
        rc = j2k_part_of(self, &header, wanted, &job.part);
    if (!rc)
        rc = j2k_frame_of(self, coded, &header, &job.part, wanted, out);
    if (!rc)
        rc = codec_check_room(self, out, dst_size);
    if (!rc) {
        job.layers = wanted ? wanted->layers : 0;
        rc = decode_stream(&job);
    }
    codec_bytes_fini(&stream);
    return rc;
}
