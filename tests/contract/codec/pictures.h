/* Pictures for tests of codecs: every kind of sample a data set can have, made from a seed.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_CONTRACT_CODEC_PICTURES_H
#define TESTS_CONTRACT_CODEC_PICTURES_H

#include "hilum/codec.h"

enum picture_kind {
    PICTURE_SMOOTH, /* a gradient with a little noise, as a camera sees */
    PICTURE_NOISE,  /* every value, no two alike: nothing compresses it */
    PICTURE_FLAT
};

/* All kinds of frame there are to try; ends with columns == 0. */
extern const struct hilum_frame picture_frames[];

/* Pixels of a frame; free(). Samples keep to bits_stored, with their sign above it. */
void *picture_make(const struct hilum_frame *frame, enum picture_kind kind);
/* Sets bits above bits_stored, as overlays do; false: there are none. */
int picture_soil(const struct hilum_frame *frame, void *pixels);
/* The i-th sample of the frame as a number. */
int64_t picture_sample(const struct hilum_frame *frame, const void *pixels, uint64_t i);
uint64_t picture_samples(const struct hilum_frame *frame);
/* Decibels between two pictures of one frame; 999: no difference. */
double picture_psnr(const struct hilum_frame *frame, const void *a, const void *b);

/* A JPEG baseline stream of 16 x 16 greys as it lies in a fragment. */
enum { PICTURE_JPEG = 202 };
extern const uint8_t picture_jpeg[PICTURE_JPEG];
/* What a data set says of it, and what decoders find in its corners, left and right of the first row and of the last. */
extern const struct hilum_frame picture_jpeg_frame;
extern const uint8_t picture_jpeg_corners[4];

#endif
