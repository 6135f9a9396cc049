/* What the files of filter-2d share. A picture's samples become planes of single precision, a filter works on these, and
 * they become samples again. Knows nothing of rendering and of data sets.
 *
 * One call, all of it: filter_apply() (filter-2d.c) checks parameters and pictures, loads each
 * channel into a plane (plane.c), lets the filter change it, and stores it back rounded. Single
 * precision holds every sample of 16 bits exactly. On any thread, many at once; nothing is kept
 * between calls.
 *
 * Filters see stored values, not what a window makes of them: a gain means the same for every
 * viewer.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FILTER_2D_H
#define FILTER_2D_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "hilum/host.h"
#include "hilum/operator.h"

/* Three sigma of the largest (20), and some to spare. */
enum { RADIUS_MAX = 64 };

/* Who fails: the host and the plugin's own handle. Constant. */
struct filter {
    const struct hilum_host *host;
    hilum_self *self;
};

/* One channel. Rows follow each other without gaps. values NULL: there is none, plane_fini
 * takes it. */
struct plane {
    uint32_t width, height;
    float *values;
};

/* An operator as its file describes it. */
struct filter_kind {
    struct hilum_operator table;
    /* Reads and checks parameters (an object, never NULL). May be NULL: the output is as the input. */
    hilum_rc (*plan)(const struct filter *filter, const json_t *parameters,
                     const struct hilum_frame *in, struct hilum_frame *out);
    /* dst holds what plan() said; the caller has checked it. */
    hilum_rc (*apply)(const struct filter *filter, const json_t *parameters,
                      const struct hilum_image *in, void *dst);
};

/* How a file describes its table; schema is an OBJECT of members, such as NUMBER. */
#define OPERATOR(label, words, inputs, schema)                                                     \
    {                                                                                              \
        .cap = {.size = sizeof(struct hilum_operator),                                             \
                .kind = HILUM_CAP_OPERATOR,                                                        \
                .threads = HILUM_PARALLEL,                                                         \
                .name = (label)},                                                                  \
        .title = (words), .parameters_schema = (schema), .n_inputs = (inputs),                     \
        .plan = filter_plan, .apply = filter_apply,                                                \
    }
#define NUMBER(name, least, most, usual)                                                           \
    "\"" name "\":{\"type\":\"number\",\"minimum\":" least ",\"maximum\":" most                    \
    ",\"default\":" usual "}"
#define OBJECT(members) "{\"type\":\"object\",\"properties\":{" members "}}"

/* What `self` of an operator is. One for each table, in the plugin's state. */
struct filter_instance {
    struct filter filter;
    const struct filter_kind *kind;
};

extern const struct filter_kind filter_smooth, filter_sharpen, filter_unsharp, filter_edge,
    filter_clahe, filter_pseudocolour, filter_subtract;

/* plan() and apply() of every table: what all filters check before they run. */
hilum_rc filter_plan(void *self, const char *parameters_json, const struct hilum_frame *in,
                     struct hilum_frame *out);
hilum_rc filter_apply(void *self, const char *parameters_json, const struct hilum_image *in,
                      uint32_t n, void *dst, uint64_t dst_size);

/* Records why and returns code. */
hilum_rc filter_fail(const struct filter *filter, hilum_rc code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A number of the parameters; absent: `otherwise`. HILUM_EINVAL: none, or not from least to most. */
hilum_rc filter_number(const struct filter *filter, const json_t *parameters, const char *name,
                       double least, double most, double otherwise, double *out);

/* ---- planes (plane.c) ---- */

/* Whole samples of 8 or 16 bits, grey or RGB, one pixel after the other. */
bool plane_takes(const struct hilum_frame *frame);
hilum_rc plane_make(const struct filter *filter, uint32_t width, uint32_t height,
                    struct plane *out);
void plane_fini(struct plane *plane);
hilum_rc plane_load(const struct filter *filter, const struct hilum_image *image, uint32_t channel,
                    struct plane *out);
/* Rounded, and cut to what the frame's bits can say. */
void plane_store(const struct plane *plane, const struct hilum_frame *frame, uint32_t channel,
                 void *dst);
/* Least and largest stored value. */
void plane_range(const struct hilum_frame *frame, float *least, float *most);
/* Row y with its ends repeated `radius` times on both sides: width + 2 * radius values. */
void plane_widen(const struct plane *plane, uint32_t y, int radius, float *out);
/* Gaussian, sigma in pixels, over 0; borders are repeated. Two passes of one dimension: its
 * work grows with sigma, not with its square. */
hilum_rc plane_blur(const struct filter *filter, const struct plane *from, double sigma,
                    struct plane *out);

/* Runs `change` on every channel. */
hilum_rc filter_channels(const struct filter *filter, const struct hilum_image *in, void *dst,
                         hilum_rc (*change)(const struct filter *filter, struct plane *plane,
                                            const void *arg),
                         const void *arg);

#endif
