/* Capability `renderer` (preview): pictures and figures from the frames of a series: windowing and overlays,
 * MPR, projections, volumes, scores. A renderer is given decoded pixels; it knows nothing of stores,
 * codecs and HTTP. SPDX-License-Identifier: MIT */
#ifndef HILUM_RENDERER_H
#define HILUM_RENDERER_H

#include "hilum/codec.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One frame and where it lies in the patient (PS3.3 C.7.6.2), millimetres. Borrowed until the next call. */
struct hilum_slice {
    uint32_t size;
    uint32_t frame_number; /* from 1 */
    const char *sop_instance;
    const struct hilum_frame *frame;
    double position[3];      /* of the centre of the first pixel */
    double orientation[6];   /* direction cosines of a row, then of a column */
    double spacing[2];       /* between rows, between columns; 0: unknown */
    double thickness;        /* 0: unknown */
    double slope, intercept; /* stored value to output unit (HU ...) */
    double window, level;    /* as recorded; window 0: none */
    const char *unit;        /* "HU", "SUV", "" */
    uint32_t has_position;   /* 0: position and orientation mean nothing */
    uint32_t levels;         /* read_reduced() may halve the frame so many times; 0: it may not */
};

/* Where frames come from: lent by the host from open() to close(). Functions: one thread at a time. What lies behind
 * `ctx` may be absent (HILUM_HAS of `size`, and not NULL). */
struct hilum_source {
    uint32_t size;
    uint32_t n_slices;
    const char *study_uid, *series_uid, *modality, *frame_of_reference;
    /* The i-th slice; out->size is filled in by the caller. HILUM_EINVAL: there are fewer. */
    hilum_rc (*describe)(void *ctx, uint32_t i, struct hilum_slice *out);
    /* Decoded pixels of slice i: n must be hilum_frame_bytes of its frame. HILUM_ECORRUPT: this frame cannot
     * be decoded; draw without it or fail. */
    hilum_rc (*read)(void *ctx, uint32_t i, void *dst, uint64_t n);
    /* Text of an attribute of slice i by keyword or path, UTF-8; NULL: absent. */
    const char *(*text)(void *ctx, uint32_t i, const char *path);
    void *ctx;
    /* Presentation states to draw by (PS3.3 A.33), in order: attributes only, which text(), bytes() and items() answer
     * under the indices n_slices, n_slices + 1 ... */
    uint32_t n_states;
    uint32_t reserved;
    /* As text(), the value's bytes: little endian, whatever its length. HILUM_ENOTFOUND: absent or empty. Borrowed until
     * the next question. */
    hilum_rc (*bytes)(void *ctx, uint32_t i, const char *path, const void **bytes, uint64_t *n);
    /* Items of a sequence; 0: absent, empty or none. */
    uint64_t (*items)(void *ctx, uint32_t i, const char *path);
    /* The frame at 1 / 2^reduce of its size, each side rounded up (struct hilum_decode): n as for that size. */
    hilum_rc (*read_reduced)(void *ctx, uint32_t i, uint32_t reduce, void *dst, uint64_t n);
    /* What read() would copy, where it lies: n bytes at any address, not to be written, until close(). HILUM_EUNSUP: it lies
     * nowhere as it is wanted; read() it. */
    hilum_rc (*lend)(void *ctx, uint32_t i, const void **pixels, uint64_t n);
    /* HILUM_OK: somebody waits for what is drawn. HILUM_ECLOSED: nobody does any more: end, and return it. Cheap: to be
     * asked between the steps of a picture, and every some hundred thousand pixels. read() asks by itself. */
    hilum_rc (*go_on)(void *ctx);
};

/* What is to be drawn. Zero is the renderer's choice. */
struct hilum_view {
    uint32_t size;
    uint32_t width, height; /* of the picture, pixels */
    uint32_t slice;         /* of n_slices, for flat pictures */
    const char *mode;       /* one of `modes` */
    const char
        *media_type; /* "image/png", "image/jpeg", "application/octet-stream" (native, see frame) */
    const char *parameters;          /* JSON object as `parameters_schema` describes; NULL: {} */
    double eye[3], target[3], up[3]; /* of the patient's coordinate system; all zero: default */
    double window, level;            /* window 0: as recorded */
    double slab;                     /* millimetres; 0: one sample thick */
    double zoom;                     /* 1.0: fits; 0: 1.0 */
    uint32_t quality;                /* of image/jpeg, 1..100 */
    uint32_t reserved;
};

/* What has been drawn. The caller fills in size. */
struct hilum_rendered {
    uint32_t size;
    uint32_t width, height, reserved;
    double pixel_spacing[2]; /* of the picture, millimetres; 0: none */
};

/* Threads: calls with different scenes run in parallel with HILUM_PARALLEL; one scene is never in two calls.
 * Isolatable. Errors every member may return: HILUM_EUNSUP (kind of series, mode or media type),
 * HILUM_ENOMEM, HILUM_ECORRUPT, HILUM_EINVAL (parameters; the reason is for the person). */
struct hilum_renderer {
    struct hilum_cap cap;
    const char *modes;       /* "flat", "mpr,mip,volume": names of views, separated by commas */
    const char *media_types; /* what render() can write, by commas */
    const char
        *parameters_schema; /* JSON schema of hilum_view.parameters and of query(); NULL: none */
    /* Prepares a series. *scene is freed by close(). `source` is lent until then. */
    hilum_rc (*open)(void *self, const struct hilum_source *source, void **scene);
    /* Draws one picture into the sink. */
    hilum_rc (*render)(void *self, void *scene, const struct hilum_view *view,
                       struct hilum_sink *out, struct hilum_rendered *done);
    /* Optional. A figure or measurement: request and answer are JSON ("agatston", "centreline"). */
    hilum_rc (*query)(void *self, void *scene, const char *request_json, struct hilum_sink *out);
    void (*close)(void *self, void *scene);
};

#ifdef __cplusplus
}
#endif
#endif
