/* SPDX-License-Identifier: Apache-2.0 */
#include "work.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shim.h"

/* Quantisation steps that are tried, as powers of two of the sample's range. OpenJPH asserts
 * on coarser ones. Ten halvings of 16 powers of two: the step is found to a hundredth. */
enum { TRIES = 10 };
static const double finest = -20, coarsest = -4;

/* ---- decoding ---- */

/* Overshoot: an irreversible wavelet rounds, so white may come back a little whiter, which as
 * two's complement would be black. */
struct pixels {
    const struct hilum_frame *frame;
    void *dst;
    int32_t least, most; /* of the stream's samples: OpenJPH does not cut off what overshoots */
    int32_t *row;        /* NULL: nothing was lost, and nothing can overshoot */
};

static void put_row(void *arg, uint32_t row, uint32_t component, const int32_t *values)
{
    struct pixels *pixels = arg;
    if (!pixels->row) {
        codec_row_put(pixels->frame, pixels->dst, row, component, values);
        return;
    }
    for (uint32_t x = 0; x < pixels->frame->columns; x++) {
        int32_t value = values[x];
        value = value < pixels->least ? pixels->least : value;
        pixels->row[x] = value > pixels->most ? pixels->most : value;
    }
    codec_row_put(pixels->frame, pixels->dst, row, component, pixels->row);
}

static hilum_rc rc_of(int code, hilum_rc failed)
{
    return code == HT_OK ? HILUM_OK : code == HT_NO_MEMORY ? HILUM_ENOMEM : failed;
}

/* In resilient mode only after a failure: it hides damage, and damage is to be told. */
hilum_rc ht_decode_frame(struct ht_work *work, const struct ht_request *request)
{
    int64_t half = (int64_t)1 << (request->header.bits - 1);
    bool is_signed = request->header.is_signed;
    struct codec_bytes stream = {work->in, (size_t)work->in_size, NULL};
    struct pixels pixels = {.frame = &request->frame,
                            .dst = work->out,
                            .least = is_signed ? (int32_t)-half : 0,
                            .most = (int32_t)(is_signed ? half - 1 : 2 * half - 1)};
    struct ht_decode job = {.bytes = work->in,
                            .n = (size_t)work->in_size,
                            .columns = request->part.columns,
                            .rows = request->part.rows,
                            .components = request->header.components,
                            .reduce = request->part.reduce,
                            .put = put_row,
                            .arg = &pixels};
    struct ht_complaint complaint = {"the stream is cut short"};
    if (!request->header.is_reversible &&
        !(pixels.row = calloc(request->frame.columns, sizeof *pixels.row)))
        return HILUM_ENOMEM;
    int code = j2k_is_cut(&stream) ? HT_FAILED : ht_decode(&job, &complaint);
    memcpy(work->complaint, complaint.text, sizeof complaint.text);
    if (code !=
        HT_OK) /* a sound stream puts every row; of another, rows that are not put are black */
        memset(work->out, 0, (size_t)work->out_size);
    if (code == HT_FAILED) {
        job.is_resilient = true;
        (void)ht_decode(&job, &complaint);
    }
    free(pixels.row);
    return rc_of(code, HILUM_ECORRUPT);
}

/* ---- encoding ---- */

struct coding {
    const struct ht_request *request;
    struct ht_work *work;
};

static void get_row(void *arg, uint32_t row, uint32_t component, int32_t *values)
{
    const struct coding *coding = arg;
    codec_row_get(&coding->request->frame, coding->work->in, row, component, coding->request->bits,
                  values);
}

/* Other than 0 ends the encoding by an exception in the shim. */
static int keep(void *ctx, const void *bytes, size_t n)
{
    const struct coding *coding = ctx;
    struct ht_work *work = coding->work;
    if (n > work->out_size - work->written)
        return 1;
    memcpy(work->out + work->written, bytes, n);
    work->written += n;
    return 0;
}

static int encode_once(struct ht_encode *job, double delta, struct ht_complaint *complaint)
{
    struct coding *coding = job->ctx;
    coding->work->written = 0;
    job->delta = delta;
    return ht_encode(job, complaint);
}

/* The library knows a quantisation step only, so the finest one that reaches the ratio is searched, by halving the
 * interval of its logarithm. */
static int encode_to_ratio(struct ht_encode *job, double ratio, struct ht_complaint *complaint)
{
    const struct ht_work *work = ((const struct coding *)job->ctx)->work;
    double fine = finest, coarse = coarsest;
    int code = HT_OK;
    for (int i = 0; code == HT_OK && i < TRIES; i++) {
        double middle = (fine + coarse) / 2;
        code = encode_once(job, exp2(middle), complaint);
        if ((double)work->written * ratio > (double)work->in_size)
            fine = middle;
        else
            coarse = middle;
    }
    return code == HT_OK ? encode_once(job, exp2(coarse), complaint) : code;
}

static int encode_as_wanted(struct ht_encode *job, const struct ht_request *request,
                            struct ht_complaint *complaint)
{
    if (!request->is_lossy)
        return encode_once(job, 0, complaint);
    if (request->ratio > 0)
        return encode_to_ratio(job, request->ratio, complaint);
    /* The error is spread evenly within half a step. */
    double delta = sqrt(12.0) * pow(10.0, -request->psnr / 20.0);
    return encode_once(job, delta < exp2(coarsest) ? delta : exp2(coarsest), complaint);
}

hilum_rc ht_encode_frame(struct ht_work *work, const struct ht_request *request)
{
    struct coding coding = {request, work};
    struct ht_encode job = {.columns = request->frame.columns,
                            .rows = request->frame.rows,
                            .components = request->frame.samples,
                            .bits = request->bits,
                            .levels = request->levels,
                            .is_signed = request->frame.sample_type == HILUM_SAMPLE_SIGNED,
                            .is_mixed = request->is_mixed,
                            .tile_width = request->tile_width,
                            .tile_height = request->tile_height,
                            .get = get_row,
                            .arg = &coding,
                            .write = keep,
                            .ctx = &coding};
    struct ht_complaint complaint = {""};
    int code = encode_as_wanted(&job, request, &complaint);
    memcpy(work->complaint, complaint.text, sizeof complaint.text);
    return rc_of(code, HILUM_EUNSUP);
}
