/* Capability `operator` (preview): one picture in, one picture out: filters, enhancement, pseudo-colour,
 * subtraction. Found by name from rendering, printing and viewing, so that "unsharp" is the same everywhere.
 * SPDX-License-Identifier: MIT */
#ifndef HILUM_OPERATOR_H
#define HILUM_OPERATOR_H

#include "hilum/codec.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A native frame with its pixels. */
struct hilum_image {
    uint32_t size, reserved;
    const struct hilum_frame *frame;
    const void *pixels; /* hilum_frame_bytes(frame) bytes, borrowed */
};

/* Threads: HILUM_PARALLEL operators are called on all cores at once. Isolatable. Keeps nothing between calls:
 * the same input gives the same output. Errors every member may return: HILUM_EUNSUP (this kind of pixel),
 * HILUM_EINVAL (parameters; the reason is for the person), HILUM_ENOMEM. */
struct hilum_operator {
    struct hilum_cap cap; /* name: "unsharp" */
    const char *title;    /* for a menu, English; translations are keyed by the name */
    const char
        *parameters_schema; /* JSON schema of the parameters with defaults and ranges; NULL: none */
    uint32_t n_inputs;      /* pictures apply() takes: 1, or 2 for subtraction */
    uint32_t reserved;
    /* What the output will be, for the caller's buffer. */
    hilum_rc (*plan)(void *self, const char *parameters_json, const struct hilum_frame *in,
                     struct hilum_frame *out);
    /* Fills dst, dst_size is hilum_frame_bytes of what plan() said. dst never overlaps an input. */
    hilum_rc (*apply)(void *self, const char *parameters_json, const struct hilum_image *in,
                      uint32_t n, void *dst, uint64_t dst_size);
};

#ifdef __cplusplus
}
#endif
#endif
