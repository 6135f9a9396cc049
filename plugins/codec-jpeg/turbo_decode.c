/* 8 bits with loss, decoded by libjpeg-turbo. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#include "jpeg.h"

/* A progressive stream may repeat its scans without end; nobody needs so many. */
enum { SCANS_MAX = 200 };

/* The library's error manager, and what we keep with it. */
struct turbo {
    struct jpeg_error_mgr errors; /* first: the library only knows this */
    struct jpeg_source_mgr source;
    struct jpeg_progress_mgr progress;
    jmp_buf way_out;
    char text[JMSG_LENGTH_MAX];
    bool is_damaged;
};

static _Noreturn void fail(j_common_ptr info)
{
    struct turbo *turbo = (struct turbo *)(void *)info->err;
    info->err->format_message(info, turbo->text);
    longjmp(turbo->way_out, 1);
}

/* Warnings that mean pixels were made up. Rubbish between markers is none of them. */
static void note(j_common_ptr info, int level)
{
    struct turbo *turbo = (struct turbo *)(void *)info->err;
    int code = info->err->msg_code;
    if (level >= 0 || code == JWRN_EXTRANEOUS_DATA || code == JWRN_ADOBE_XFORM ||
        code == JWRN_JFIF_MAJOR || code == JWRN_TOO_MUCH_DATA)
        return;
    if (!turbo->is_damaged)
        info->err->format_message(info, turbo->text);
    turbo->is_damaged = true;
}

/* A progressive stream may repeat scans without end: each is work over the whole picture (a
 * known way to keep a decoder busy). */
static void watch(j_common_ptr info)
{
    const struct jpeg_decompress_struct *decoder =
        (const struct jpeg_decompress_struct *)(const void *)info;
    if (decoder->input_scan_number > SCANS_MAX) {
        snprintf(((struct turbo *)(void *)info->err)->text, JMSG_LENGTH_MAX, "over %d scans",
                 SCANS_MAX);
        longjmp(((struct turbo *)(void *)info->err)->way_out, 1);
    }
}

/* ---- the stream in memory ---- */

static void nothing(j_decompress_ptr decoder)
{
    (void)decoder;
}

/* Past the end there is an end marker: whoever wants more than that is told so by a warning. */
static boolean fill(j_decompress_ptr decoder)
{
    static const JOCTET end[2] = {0xFF, JPEG_EOI};
    decoder->src->next_input_byte = end;
    decoder->src->bytes_in_buffer = sizeof end;
    return TRUE;
}

/* Past the end: the same as reading past it. */
static void skip(j_decompress_ptr decoder, long n)
{
    size_t left = decoder->src->bytes_in_buffer;
    if (n > 0 && (size_t)n > left) {
        (void)fill(decoder);
    } else if (n > 0) {
        decoder->src->next_input_byte += n;
        decoder->src->bytes_in_buffer -= (size_t)n;
    }
}

static void set_source(struct jpeg_decompress_struct *decoder, struct turbo *turbo,
                       const struct codec_bytes *stream)
{
    turbo->source = (struct jpeg_source_mgr){.next_input_byte = stream->at,
                                             .bytes_in_buffer = stream->n,
                                             .init_source = nothing,
                                             .fill_input_buffer = fill,
                                             .skip_input_data = skip,
                                             .resync_to_restart = jpeg_resync_to_restart,
                                             .term_source = nothing};
    turbo->progress.progress_monitor = watch;
    decoder->src = &turbo->source;
    decoder->progress = &turbo->progress;
}

/* ---- pixels ---- */

/* As we read it from the header: the library's own guess would differ for streams without
 * markers. */
static J_COLOR_SPACE stream_space(const struct jpeg_header *header)
{
    switch (header->components) {
    case 1: return JCS_GRAYSCALE;
    case 3: return header->is_ycc ? JCS_YCbCr : JCS_RGB;
    default: return JCS_CMYK;
    }
}

static J_COLOR_SPACE wanted_space(const struct jpeg_job *job)
{
    J_COLOR_SPACE stream = stream_space(job->header);
    return stream == JCS_YCbCr && job->frame->photometric == HILUM_PHOTO_RGB ? JCS_RGB : stream;
}

/* For frames that are not laid out as the library writes: 16 bits allocated, or planes. */
static void put_line(const struct jpeg_job *job, uint32_t row, const JSAMPLE *line, int32_t *values)
{
    const struct hilum_frame *frame = job->frame;
    for (uint32_t sample = 0; sample < frame->samples; sample++) {
        for (uint32_t x = 0; x < frame->columns; x++)
            values[x] = line[(size_t)x * frame->samples + sample];
        codec_row_put(frame, job->dst, row, sample, values);
    }
}

/* `line` and `values` are NULL where lines go straight to their place. */
static void read_lines(const struct jpeg_job *job, struct jpeg_decompress_struct *decoder,
                       JSAMPLE *line, int32_t *values)
{
    size_t bytes = (size_t)job->frame->columns * job->frame->samples;
    while (decoder->output_scanline < decoder->output_height) {
        uint32_t row = decoder->output_scanline;
        JSAMPROW to = line ? line : (JSAMPLE *)job->dst + row * bytes;
        if (jpeg_read_scanlines(decoder, &to, 1) != 1)
            break;
        if (line)
            put_line(job, row, line, values);
    }
}

/* Errors jump out of here; what is changed in between is in memory, not in registers. */
static bool run(const struct jpeg_job *job, struct jpeg_decompress_struct *decoder,
                struct turbo *turbo, JSAMPLE *line, int32_t *values)
{
    if (setjmp(turbo->way_out))
        return false;
    jpeg_create_decompress(decoder);
    set_source(decoder, turbo, job->stream);
    (void)jpeg_read_header(decoder, TRUE);
    decoder->jpeg_color_space = stream_space(job->header);
    decoder->out_color_space = wanted_space(job);
    decoder->scale_num = 1;
    decoder->scale_denom = 1u << job->reduce;
    (void)jpeg_start_decompress(decoder);
    if (decoder->output_width != job->frame->columns ||
        decoder->output_height != job->frame->rows ||
        (uint32_t)decoder->output_components != job->frame->samples) {
        snprintf(turbo->text, sizeof turbo->text, "picture size contradicts itself");
        return false;
    }
    read_lines(job, decoder, line, values);
    return true;
}

/* What was allocated is freed here, on this side of setjmp(). */
hilum_rc jpeg_turbo_decode(const struct jpeg_job *job)
{
    struct jpeg_decompress_struct decoder = {0};
    struct turbo turbo = {0};
    const struct hilum_frame *frame = job->frame;
    bool is_direct = frame->bits_allocated == 8 && !frame->is_planar;
    JSAMPLE *line = is_direct ? NULL : calloc(frame->columns, frame->samples);
    int32_t *values = is_direct ? NULL : calloc(frame->columns, sizeof *values);
    if (!is_direct && (!line || !values)) {
        free(line);
        free(values);
        return codec_fail(job->self, HILUM_ENOMEM, "no memory for a row of JPEG");
    }
    decoder.err = jpeg_std_error(&turbo.errors);
    turbo.errors.error_exit = fail;
    turbo.errors.emit_message = note;
    bool is_done = run(job, &decoder, &turbo, line, values);
    jpeg_destroy_decompress(&decoder);
    free(line);
    free(values);
    if (is_done && !turbo.is_damaged)
        return HILUM_OK;
    return codec_fail(job->self, HILUM_ECORRUPT, "JPEG: %s", turbo.text);
}
