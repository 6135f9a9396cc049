/* What the files of render-2d share. Pictures are made in steps: samples, shades or colours, marks, turn and scale,
 * file. Knows nothing of stores, codecs and HTTP.
 *
 * The order of the steps (render-2d.c, draw): layout (what part, how turned, how large), samples,
 * operators of two inputs, shades or colours, another picture laid over, colour profile,
 * operators of one input, overlays; then turn and scale; then shutters, the state's graphics,
 * texts in the corners; then the file. What belongs to pixels is drawn before scaling, what
 * belongs to the eye after.
 *
 * Threads: renderings run side by side, each with its own request, samples and pictures. What
 * they share has a lock of its own: fonts (struct letters) and colour transforms (struct
 * colours). Nothing an object says is trusted: every number is bounded where it is read.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RENDER_2D_H
#define RENDER_2D_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hilum/host.h"
#include "hilum/renderer.h"

/* 16384 squared and 4 bytes a pixel are a GiB: the largest picture anybody gets. */
enum {
    SIDE_MAX = 16384,    /* pixels of a picture's side */
    OPERATORS_MAX = 8,   /* in one request */
    AVERAGED_MAX = 64,   /* frames that are averaged before a mask is subtracted, of either side */
    ATTRIBUTE_PATH = 300 /* characters */
};

struct render_conf {
    const char *fonts; /* paths, joined by ':' */
    int64_t quality;   /* of JPEG where nobody says */
};

struct letters; /* text.c */
struct colours; /* icc.c */

/* Constant after init; letters and colours have locks of their own. */
struct render {
    const struct hilum_host *host;
    hilum_self *self;
    const struct render_conf *conf;
    struct letters *letters;
    struct colours *colours;
};

/* A series being looked at. `source` is lent by the host until close; one scene may be
 * rendered by several threads only where the source allows it. */
struct scene {
    const struct render *render;
    const struct hilum_source *source;
};

/* Records why and returns code. */
hilum_rc render_fail(const struct render *render, hilum_rc code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- pictures: rows without gaps, samples of one pixel beside each other ---- */

/* Owned by who made it; picture_fini leaves it empty. */
struct picture {
    uint32_t width, height;
    uint32_t channels; /* 1 or 3 (RGB) */
    uint32_t depth;    /* 8, or 16 in the machine's byte order */
    void *pixels;
};
/* HILUM_ENOMEM; all zero. */
hilum_rc picture_make(const struct render *render, uint32_t width, uint32_t height,
                      uint32_t channels, uint32_t depth, struct picture *out);
/* The same without clearing it, for who writes every pixel. */
hilum_rc picture_room(const struct render *render, uint32_t width, uint32_t height,
                      uint32_t channels, uint32_t depth, struct picture *out);
void picture_fini(struct picture *picture);
size_t picture_bytes(const struct picture *picture);
/* Grey becomes colour; nothing happens to what has colours. */
hilum_rc picture_colour(const struct render *render, struct picture *picture);

/* ---- what is asked for (request.c) ---- */

/* PS3.3 C.11.2.1.2 and C.11.2.1.3; AS_RECORDED: what the data set says. */
enum voi_function { VOI_AS_RECORDED, VOI_LINEAR, VOI_LINEAR_EXACT, VOI_SIGMOID };

/* Spaces of colours, and what of them a picture is to have (PS3.18 8.3.5.1.5). By default sRGB without a word of it. */
enum colour_space { SPACE_SRGB, SPACE_ADOBE, SPACE_ROMM, SPACE_P3 };
enum icc_wish { ICC_DEFAULT, ICC_NO, ICC_YES, ICC_SRGB, ICC_ADOBE, ICC_ROMM, ICC_P3 };

/* Is a frame's mask subtracted? As said: by a state that has one. */
enum mask_wish { MASK_AS_SAID, MASK_ALWAYS, MASK_NEVER };

struct wanted_operator {
    char name[64];
    char *parameters; /* JSON */
    uint32_t mask;    /* slice, from 0, that a second input is; UINT32_MAX: the first */
};

/* The view and its parameters, read once and checked: what draws needs no defaults and no
 * JSON. */
struct request {
    uint32_t width, height; /* the picture is to lie within; 0: as large as it is */
    uint32_t slice, depth, quality;
    double window, level; /* window 0: as recorded */
    enum voi_function function;
    enum icc_wish icc;
    enum mask_wish mask;
    bool is_masked; /* samples are differences: no modality, no window of the image's own */
    uint32_t voi;   /* which of the recorded windows */
    bool is_suv, is_inverted, has_overlays, has_patient, has_technique, has_scale_bar;
    bool has_region, is_flipped_x, is_flipped_y; /* of the region */
    double region[4]; /* x, y, width, height; in pixels of the turned picture */
    double zoom;
    struct wanted_operator operators[OPERATORS_MAX];
    uint32_t n_operators;
    char state_item
        [32]; /* "BlendingSequence[0].": what of a state is this picture's; "": all of it */
};
/* HILUM_EINVAL: the parameters, with the reason. Free with request_fini in every case. */
hilum_rc request_read(const struct scene *scene, const struct hilum_view *view,
                      struct request *out);
void request_fini(struct request *request);

/* ---- attributes (attributes.c): of slice or presentation state i; texts borrowed until the next question ---- */

/* What the source tells of slice i. */
hilum_rc scene_describe(const struct scene *scene, uint32_t i, struct hilum_slice *out);
/* Does anybody wait for the picture? Between steps, and every hundred thousand pixels or so. HILUM_ECLOSED: nobody does. */
hilum_rc scene_go_on(const struct scene *scene);
/* NULL: absent or empty. */
const char *attribute(const struct scene *scene, uint32_t i, const char *path);
/* Of the frame's functional group, of all frames', or of the top level (PS3.3 C.7.6.16). */
const char *attribute_grouped(const struct scene *scene, uint32_t i, const char *group,
                              const char *name);
/* Up to max numbers joined by backslash; how many there are. value may be NULL. */
size_t attribute_numbers(const char *value, double *out, size_t max);
double attribute_number(const struct scene *scene, uint32_t i, const char *path, double otherwise);
bool attribute_is(const struct scene *scene, uint32_t i, const char *path, const char *value);
hilum_rc attribute_bytes(const struct scene *scene, uint32_t i, const char *path,
                         const void **bytes, uint64_t *n);
uint64_t attribute_items(const struct scene *scene, uint32_t i, const char *path);
/* Is there a presentation state? Its index then. */
bool scene_state(const struct scene *scene, uint32_t *i);
/* Does an item of a state ("SoftcopyVOILUTSequence[0].") apply to this frame? Those that name images apply to these
 * alone, and to these frames of them where they list any; the others to all (PS3.3 C.11.8, C.10.5). */
bool state_names(const struct scene *scene, uint32_t state, const char *item,
                 const struct hilum_slice *slice);

/* Is a frame, from 1, in one of the ranges (pairs of numbers) at the path? Of slice or state i; no ranges: all are.
 * (mask.c) */
bool frame_in_ranges(const struct scene *scene, uint32_t i, const char *path, uint32_t frame);

/* ---- look-up tables (table.c) ---- */

struct table {
    uint32_t n; /* 0: there is none */
    int32_t first;
    double scale; /* entry times scale: 0 to 1 */
    uint16_t *entries;
};
/* A descriptor's words: entries, bits of each, and the value the first stands for. Any VR; is_signed: what the table is
 * applied to. False: there is none. */
bool table_descriptor(const struct scene *scene, uint32_t i, const char *path, bool is_signed,
                      uint32_t *n, uint32_t *bits, int32_t *first);
/* From the paths of descriptor and data ("VOILUTSequence[0].LUTData"), of entries of 8 or 16 bits, packed or not.
 * HILUM_ENOTFOUND: there is none; HILUM_EINVAL: too few bytes. Free with table_fini. */
hilum_rc table_read(const struct scene *scene, uint32_t i, const char *descriptor, const char *data,
                    bool is_signed, struct table *out);
/* Segments of PS3.3 C.7.9.2 to n entries. */
hilum_rc table_expand(const struct scene *scene, const uint8_t *bytes, uint64_t length, uint32_t n,
                      uint16_t **out);
double table_entry(const struct table *table, double value); /* as stored in the table */
void table_fini(struct table *table);

/* ---- samples become shades (grey.c, ramp.c) or colours (colour.c, palette.c) ---- */

/* How a stored value becomes a shade: modality, VOI, presentation (PS3.4 N.2). Filled once a
 * picture, then applied to each value that can be stored, or to each sample. */
struct ramp {
    double slope, intercept;
    struct table modality, voi, presentation;
    enum voi_function function;
    double window, level; /* 0: as far as the pixels go */
    bool is_inverse;
    bool has_padding;
    double padding[2]; /* stored values from, to */
};
hilum_rc ramp_read(const struct scene *scene, const struct request *request,
                   const struct hilum_slice *slice, struct ramp *out);
void ramp_fini(struct ramp *ramp);
double ramp_value(const struct ramp *ramp, double stored); /* in output units */
double ramp_shade(const struct ramp *ramp, double stored); /* 0 black to 1 white */
bool ramp_is_padding(const struct ramp *ramp, double stored);
enum { MODALITY_ITEM = 48 };
/* Where of a state the modality's transformation of a slice is: an item of its own, or `otherwise`. */
void ramp_modality_item(const struct scene *scene, uint32_t state, const struct hilum_slice *slice,
                        const char *otherwise, char out[MODALITY_ITEM]);
/* Which values of a slice are no picture; nothing else of the ramp. */
hilum_rc ramp_padding(const struct scene *scene, uint32_t slice, struct ramp *out);

/* A frame's pixels, as read. `frame` describes `pixels`, which may be of fewer columns and
 * rows than the stored frame (reduce). */
struct samples {
    struct hilum_frame frame; /* of what is in pixels: reduced, perhaps */
    uint32_t shift;           /* below the stored bits */
    uint32_t reduce;
    bool is_difference; /* no stored values any more: what was recorded of these does not apply */
    bool is_masked;     /* differences from a mask: a state's window applies */
    const uint8_t *pixels;
    void *own; /* their memory; NULL: the source lends them */
    uint64_t n;
};
void samples_fini(struct samples *samples);
/* Others in their place, in memory that is theirs from now on. */
void samples_replace(struct samples *samples, void *pixels, uint64_t n);
/* Decoded samples of slice i, as described, halved `reduce` times. Free with samples_fini in every case. HILUM_EUNSUP:
 * also where it cannot be halved. (render-2d.c) */
hilum_rc samples_read(const struct scene *scene, uint32_t i, const struct hilum_slice *slice,
                      uint32_t reduce, struct samples *out);
/* The k-th sample, whatever its kind. */
double sample_value(const struct samples *samples, uint64_t k);
hilum_rc grey_picture(const struct scene *scene, const struct request *request,
                      const struct hilum_slice *slice, const struct samples *samples,
                      struct picture *out);
hilum_rc colour_picture(const struct scene *scene, const struct samples *samples,
                        struct picture *out);
hilum_rc palette_picture(const struct scene *scene, uint32_t slice, const struct samples *samples,
                         struct picture *out);
/* Stored values of the supplemental palette's range in its colours (PS3.3 C.7.6.23), if there is one. */
hilum_rc palette_supplement(const struct scene *scene, uint32_t slice,
                            const struct samples *samples, struct picture *picture);
/* From the profile of the data set to the space asked for; as they are with ICC_YES, or where there is nothing to turn.
 * (icc.c) */
hilum_rc icc_apply(const struct scene *scene, const struct request *request,
                   struct picture *picture);
/* The profile that the file is to hold; NULL: none. *out is the caller's to free. */
hilum_rc icc_embedded(const struct scene *scene, const struct request *request,
                      const struct picture *picture, void **out, uint32_t *n);
struct colours *colours_new(void);
void colours_free(struct colours *colours);
/* Does a state hold a palette, at the top level ("") or in an item? Shades of 16 bits in its colours then (PS3.3 A.33.3,
 * A.33.4, A.33.7). */
bool palette_is_there(const struct scene *scene, uint32_t i, const char *prefix);
hilum_rc palette_shades(const struct scene *scene, uint32_t state, const char *prefix,
                        struct picture *picture);

/* Where slices lie on each other (align.c). Millimetres from plane to plane; 0 where nobody knows. */
double align_distance(const struct hilum_slice *a, const struct hilum_slice *b);
/* Also where neither has a frame of reference. */
bool align_is_of_one_frame(const struct scene *scene, uint32_t a, uint32_t b);
/* From pixels of the slice below to those of the one above, centres at whole numbers. HILUM_EUNSUP: nobody knows. */
struct affine;
hilum_rc align_find(const struct scene *scene, uint32_t under, uint32_t over,
                    const struct picture *below, const struct picture *above, struct affine *out);

/* Two pictures in one, where a state asks for it (PS3.3 A.33.4). (blend.c) */
struct blend {
    uint32_t state, over; /* the slice that is laid over the other */
    char under_item[32], over_item[32];
    double opacity;
};
/* HILUM_EUNSUP, with `item`: the slice has more pixels than pictures are blended of. */
hilum_rc blended_check(const struct scene *scene, uint32_t slice, const char *item);
/* HILUM_ENOTFOUND: there is nothing to blend; HILUM_EUNSUP: nobody knows where one lies on the other. */
hilum_rc blend_find(const struct scene *scene, uint32_t slice, struct blend *out);
/* Lays it over the picture of the slice, of the slice's own size. */
hilum_rc blend_apply(const struct scene *scene, const struct request *request,
                     const struct blend *blend, struct picture *picture);
/* Decoded samples of request->slice as a picture; the samples as well, unless NULL, freed by the caller in every case.
 * (render-2d.c) */
hilum_rc slice_picture(const struct scene *scene, const struct request *request,
                       struct samples *samples, struct picture *out);

/* Several pictures in one, step by step, where a state asks for it (PS3.3 A.33.7). (compose.c) */
/* HILUM_ENOTFOUND: there is nothing to compose; HILUM_EUNSUP: this slice is not what the state shows the others on. */
hilum_rc compose_check(const struct scene *scene, uint32_t slice);
/* Of request->slice's size, RGB of 8 bits. HILUM_EINVAL, HILUM_EUNSUP: the state, with the attribute. */
hilum_rc compose_picture(const struct scene *scene, const struct request *request,
                         struct picture *out);
/* PET: output units times this are SUV by body weight; 0: the object does not tell. (suv.c) */
double suv_factor(const struct scene *scene, uint32_t slice);

/* ---- masks (mask.c, subtract.c) ---- */

/* How a frame is recommended to be seen (PS3.3 C.8.19.7, C.11.21). */
struct display {
    bool is_native;    /* without its mask */
    double visibility; /* of the mask that is subtracted, 0 to 1 */
    double filter;     /* edges, 0 to 1; 0 without a state */
};
void display_read(const struct scene *scene, uint32_t slice, const struct hilum_slice *described,
                  struct display *out);

/* What is subtracted from a frame. */
struct mask {
    uint32_t of;    /* slice or state whose module says so */
    char item[40];  /* "MaskSubtractionSequence[0]." */
    uint32_t slice; /* the first of the contrast frames, which follow each other */
    uint32_t frame; /* its number in the object, from 1 */
    uint32_t n_contrasts, n_masks;
    uint32_t masks[AVERAGED_MAX]; /* slices */
    double weight;                /* of the mask */
};
/* HILUM_ENOTFOUND: nothing is; HILUM_EINVAL, HILUM_EUNSUP: the module makes no sense, or nothing is and somebody asked. */
hilum_rc mask_find(const struct scene *scene, const struct request *request,
                   const struct display *display, struct mask *out);
/* Samples of the frame become differences, floats of which 0 is none. They stay as they were where it fails. */
hilum_rc subtract_mask(const struct scene *scene, const struct mask *mask, struct samples *samples);

/* ---- turn and scale (geometry.c, scale.c) ---- */

/* From pixels of the stored picture to those of what is drawn: x' = m[0] x + m[1] y + m[2].
 * Pixels are squares: the first one reaches from 0 to 1, its centre is 0.5. */
struct affine {
    double m[6];
};
void affine_apply(const struct affine *affine, double x, double y, double *out_x, double *out_y);

/* A quarter turn clockwise `turns` times, then a flip to the left and right. */
hilum_rc picture_turn(const struct render *render, struct picture *picture, uint32_t turns,
                      bool is_flipped);
/* Is this region at this size the picture itself? */
bool picture_is_all(const struct picture *from, const double region[4], uint32_t width,
                    uint32_t height);
/* x, y, width, height of the picture, fractions allowed, to a new picture; outside is black. */
hilum_rc picture_scale(const struct scene *scene, const struct picture *from,
                       const double region[4], uint32_t width, uint32_t height,
                       struct picture *out);

/* What of a frame is to be seen, and how large. */
struct layout {
    uint32_t columns, rows; /* of the stored frame */
    uint32_t turns;
    bool is_flipped;
    double region[4];                  /* of the turned frame, pixels */
    bool is_mirrored_x, is_mirrored_y; /* the region */
    uint32_t width, height;            /* of the picture */
    struct affine affine;
    double spacing[2]; /* millimetres of the picture's pixels, down and across; 0: unknown */
};
hilum_rc layout_make(const struct scene *scene, const struct request *request,
                     const struct hilum_slice *slice, struct layout *out);

/* ---- marks (draw.c, text.c, overlay.c, state.c, shutter.c, legend.c) ---- */

struct ink {
    double red, green, blue; /* 0 to 1 */
    double width;            /* of lines, pixels */
};
void draw_line(struct picture *picture, double x0, double y0, double x1, double y1,
               const struct ink *ink);
/* n points x, y, x, y ... */
void draw_lines(struct picture *picture, const double *points, size_t n, bool is_closed,
                const struct ink *ink);
hilum_rc draw_filled(struct picture *picture, const double *points, size_t n,
                     const struct ink *ink);
void draw_pixel(struct picture *picture, uint32_t x, uint32_t y, double cover,
                const struct ink *ink);

struct letters *letters_new(const char *paths);
void letters_free(struct letters *letters);
/* Where the upper left corner of a text's box lies, how high its letters are, and how lines lie in the box's width. */
struct text_place {
    double x, y, height, width;
    double align; /* 0: to the left, 1: to the right */
};
/* Lines end with LF. HILUM_EUNSUP: no font. */
hilum_rc letters_draw(const struct render *render, struct picture *picture,
                      const struct text_place *place, const char *utf8, const struct ink *ink);
hilum_rc letters_measure(const struct render *render, double height, const char *utf8,
                         double *width, double *total_height);

/* The ink of a colour in CIELab as data sets have it, three words joined by backslash (PS3.3 C.10.7.1.1); false: there is
 * none. (lab.c) */
bool ink_of_lab(const struct scene *scene, uint32_t i, const char *path, struct ink *out);
/* The colour a layer of a state recommends; what is in *out stays where it recommends none. (state.c) */
void layer_ink(const struct scene *scene, uint32_t state, const char *layer, struct ink *out);

/* Bit planes 60xx of slice or state i, into the frame's picture. With a state only what it activates (PS3.3 C.11.7). */
void overlay_draw(const struct scene *scene, uint32_t i, uint32_t frame,
                  const struct samples *samples, struct picture *picture);
/* The bitmap shutter of slice or state i, whose plane is the slice's or the state's (PS3.3 C.7.6.15). */
void overlay_shutter(const struct scene *scene, uint32_t i, const struct request *request,
                     const struct samples *samples, struct picture *picture);
/* Is any of slice i's in bits of its samples, which frames that are read reduced do not have? */
bool overlay_is_embedded(const struct scene *scene, uint32_t i);
/* What a presentation state draws on the finished picture. */
hilum_rc state_draw(const struct scene *scene, const struct hilum_slice *slice,
                    const struct layout *layout, struct picture *picture);
/* What shutters are filled with. */
struct ink shutter_ink(const struct scene *scene, uint32_t i);
/* Shutters of slice or state i for this frame, over everything. */
hilum_rc shutter_draw(const struct scene *scene, uint32_t i, const struct hilum_slice *slice,
                      const struct layout *layout, struct picture *picture);
/* Patient and technique in the corners, the bar. */
hilum_rc legend_draw(const struct scene *scene, const struct request *request,
                     const struct layout *layout, struct picture *picture);

/* ---- operators (operators.c) ---- */

/* Those of two inputs on samples, before anything else. */
hilum_rc operators_samples(const struct scene *scene, const struct request *request,
                           struct samples *samples);
/* The others on the picture. */
hilum_rc operators_picture(const struct scene *scene, const struct request *request,
                           struct picture *picture);
/* Edges as a state recommends, strength 0 to 1; without an operator that does it the picture stays, with a line in the log. */
hilum_rc operators_enhance(const struct scene *scene, double strength, struct picture *picture);

/* ---- files (encode_jpeg.c, encode_png.c, encode_gif.c) ---- */

/* What a file says beside its pixels. */
struct labels {
    double spacing[2]; /* as of struct layout */
    void *profile;     /* NULL: none */
    uint32_t n_profile;
};
hilum_rc encode_jpeg(const struct scene *scene, const struct picture *picture, uint32_t quality,
                     const struct labels *labels, struct hilum_sink *out);
hilum_rc encode_png(const struct scene *scene, const struct picture *picture,
                    const struct labels *labels, struct hilum_sink *out);
/* Shades exactly, more than 256 colours nearly (encode_gif.c); without labels. */
hilum_rc encode_gif(const struct render *render, const struct picture *picture,
                    struct hilum_sink *out);
/* Samples of 16 bits little endian. */
hilum_rc encode_raw(const struct render *render, const struct picture *picture,
                    struct hilum_sink *out);

#endif
