/* Capability `codec`: one frame of pixels between native form and a compressed transfer syntax (PS3.5 8).
 * A codec knows code streams and pixels. It knows nothing of data sets, files, networks and of which
 * frame of which study it is given. Several codecs may serve one transfer syntax: the host takes the one
 * of the highest priority that can do what is asked, and falls back to the next on HILUM_EUNSUP.
 * SPDX-License-Identifier: MIT */
#ifndef HILUM_CODEC_H
#define HILUM_CODEC_H

#include "hilum/abi.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Photometric Interpretation (0028,0004), PS3.3 C.7.6.3.1.2. */
enum {
    HILUM_PHOTO_UNKNOWN = 0, /* in a request: whatever the codec finds best */
    HILUM_PHOTO_MONOCHROME1 = 1,
    HILUM_PHOTO_MONOCHROME2 = 2,
    HILUM_PHOTO_PALETTE = 3,
    HILUM_PHOTO_RGB = 4,
    HILUM_PHOTO_YBR_FULL = 5,
    HILUM_PHOTO_YBR_FULL_422 = 6, /* native: Y Y Cb Cr for each two pixels of a row */
    HILUM_PHOTO_YBR_PARTIAL_420 = 7,
    HILUM_PHOTO_YBR_ICT = 8, /* inside JPEG 2000 code streams only: decoding yields RGB */
    HILUM_PHOTO_YBR_RCT = 9
};

/* What a sample is. */
enum {
    HILUM_SAMPLE_UNSIGNED = 0,
    HILUM_SAMPLE_SIGNED = 1, /* two's complement in bits_stored, sign-extended to bits_allocated */
    HILUM_SAMPLE_FLOAT = 2   /* IEEE 754 of 32 or 64 bits (7FE0,0008), (7FE0,0009) */
};

/* Pixels in native form. Rows follow each other without gaps, top left first; samples of more than 8 bits
 * are little endian. bits_allocated 1: eight pixels a byte, the first in the least significant bit, rows
 * not padded, the frame padded to a whole byte (PS3.5 8.1.1). */
struct hilum_frame {
    uint32_t size;
    uint32_t columns, rows;  /* pixels, 1 or more */
    uint32_t samples;        /* a pixel: 1, 3 or 4 */
    uint32_t bits_allocated; /* 1, 8, 16, 32 or 64 */
    uint32_t
        bits_stored; /* what lies above may hold overlays or padding: a lossless codec that cannot keep
                              * those bits answers HILUM_EUNSUP when any of them is set */
    uint32_t sample_type; /* HILUM_SAMPLE_* */
    uint32_t is_planar;   /* 1: all of the first sample, then all of the second ... */
    uint32_t photometric; /* HILUM_PHOTO_* */
    uint32_t reserved;
};

/* A piece of a code stream. An element of arrays: frozen for the major. */
struct hilum_fragment {
    const void *bytes;
    uint64_t n;
};

/* One frame in compressed form. Everything is borrowed for the call. */
struct hilum_coded {
    uint32_t size;
    uint32_t n_fragments; /* 1 or more; in order they are the code stream */
    const struct hilum_fragment
        *fragments;              /* items of PS3.5 A.4, without their tags; the last one may
                                             * end with a byte of padding */
    const char *transfer_syntax; /* UID, without padding */
    /* What the data set says of the frame, which the code stream may contradict: its own word decides for
     * dimensions and depth; the data set's for signedness and meaning of colours where the stream is silent. */
    const struct hilum_frame *declared;
};

/* What a code stream says of itself. */
struct hilum_code_info {
    uint32_t size;
    int32_t is_lossless; /* 1: reversible, 0: not, -1: the stream does not tell */
    uint32_t levels;     /* times the picture can be halved by `reduce` */
    uint32_t layers;     /* quality layers, 0: no such thing */
    uint32_t tile_width; /* of the tiles, or the picture's own size */
    uint32_t tile_height;
    uint32_t photometric; /* inside the stream: YBR_RCT, YBR_FULL ... */
    uint32_t reserved;
    struct hilum_frame
        *frame; /* the caller's, its size filled in: what decode() at full size yields */
};

/* What of a frame is wanted; zero everywhere is the whole frame at full size. */
struct hilum_decode {
    uint32_t size;
    uint32_t reduce; /* halve so many times: a side of n becomes ceil(n / 2^reduce) */
    uint32_t x, y, width,
        height;      /* region in pixels of the full size; width 0: everything. With reduce the
                                   * region's corners are divided, rounding outwards up to the border */
    uint32_t layers; /* quality layers at most, 0: all */
    uint32_t
        photometric;    /* a wish: HILUM_PHOTO_UNKNOWN, RGB, or YBR_FULL as it lies in the stream */
    uint32_t is_planar; /* a wish; without it colours lie pixel by pixel */
    uint32_t reserved;
    /* For who decodes for seconds, on the thread of the call, between steps: anything but HILUM_OK is to be returned, since
     * nobody waits for the frame any more. NULL: nobody knows, as in a worker, which is ended instead. */
    hilum_rc (*go_on)(void *arg);
    void *arg;
};

/* How a frame is to be encoded. Zero is the codec's choice; a lossless transfer syntax ignores all that
 * loses. Of max_error, ratio, psnr and quality at most one is set; HILUM_EUNSUP: this codec has no such
 * control. */
struct hilum_encode {
    uint32_t size;
    uint32_t max_error;          /* largest difference of a sample (JPEG-LS NEAR) */
    const char *transfer_syntax; /* UID to encode to */
    double ratio;                /* native bytes / coded bytes, 10.0 for 10:1 */
    double psnr;                 /* decibels */
    uint32_t quality;            /* 1..100, as libjpeg counts */
    uint32_t levels, layers;     /* 0: default. HILUM_NONE: none */
    uint32_t tile_width, tile_height;
    uint32_t
        photometric; /* wanted inside the stream; UNKNOWN: what compresses best without loss of colour */
    uint32_t effort; /* 1 fast .. 9 small; 0: default */
    uint32_t reserved;
};
#define HILUM_NONE 0xFFFFFFFFu

/* What encoding did, for the data set. The caller fills in size. */
struct hilum_encoded {
    uint32_t size;
    uint32_t photometric; /* (0028,0004) to be written */
    uint32_t is_lossy;    /* (0028,2110) is to become 01 */
    uint32_t is_planar;   /* (0028,0006) to be written where samples > 1 */
    double ratio;         /* (0028,2112) native bytes / coded bytes */
    const char *method;   /* (0028,2114) "ISO_10918_1"; static, "" when lossless */
};

/* What a codec does with a transfer syntax. */
enum {
    HILUM_CODEC_DECODES = 1,
    HILUM_CODEC_ENCODES = 2,
    HILUM_CODEC_LOSSLESS = 4, /* encode() is reversible, or can be asked to be */
    HILUM_CODEC_REDUCES = 8,  /* `reduce` costs less than a whole decode */
    HILUM_CODEC_REGIONS = 16, /* so does a region */
    HILUM_CODEC_REPACKS = 32  /* streams of this syntax hold those of another: repack() */
};

/* Element of an array that ends with uid == NULL. Frozen for the major. */
struct hilum_codec_syntax {
    const char *uid;
    uint32_t flags;   /* HILUM_CODEC_* */
    int32_t priority; /* the highest is asked first; Hilum's own have 100 */
};

/* Threads: HILUM_PARALLEL codecs are called on all cores at once; keep no state between calls. Isolatable:
 * in a worker pixels lie in shared memory. Errors every member may return: HILUM_EUNSUP (a kind of stream or
 * pixel this codec does not know; another codec is asked), HILUM_ECORRUPT (the stream is broken; the reason
 * says where), HILUM_ENOMEM. A call must end: streams come from anybody. */
struct hilum_codec {
    struct hilum_cap cap;
    const struct hilum_codec_syntax *syntaxes;

    /* Reads the code stream's own header, nothing of its pixels, so that the caller can size its buffer and
     * correct the data set. Fills *out and *out->frame. */
    hilum_rc (*info)(void *self, const struct hilum_coded *coded, struct hilum_code_info *out);

    /* Decodes into dst, which has dst_size bytes. *out says what was written: its dimensions and colours
     * differ from the declared ones with `wanted` and where the stream knows better. wanted NULL: everything.
     * HILUM_EFULL: dst is too small; *out says for what. Bytes of dst past the frame stay as they are. A
     * stream cut short: as much as there is, the rest zero, and HILUM_ECORRUPT. */
    hilum_rc (*decode)(void *self, const struct hilum_coded *coded,
                       const struct hilum_decode *wanted, void *dst, uint64_t dst_size,
                       struct hilum_frame *out);

    /* Encodes one native frame of n bytes into one code stream, written to `out` in pieces. *done says
     * what must be written into the data set. NULL: this codec only decodes. HILUM_EINVAL: n is not the
     * frame's size. */
    hilum_rc (*encode)(void *self, const struct hilum_frame *frame, const void *src, uint64_t n,
                       const struct hilum_encode *wanted, struct hilum_sink *out,
                       struct hilum_encoded *done);

    /* The code stream in another syntax, or back, without pixels in between: what comes back is byte for byte what
     * went in (JPEG within JPEG XL, PS3.5 10.19). One of the two syntaxes is marked HILUM_CODEC_REPACKS. `to` is the UID
     * of the other one. *done as of encode(), never lossy. HILUM_EUNSUP: this stream cannot be told in that syntax.
     * NULL: this codec has no such syntax. */
    hilum_rc (*repack)(void *self, const struct hilum_coded *coded, const char *to,
                       struct hilum_sink *out, struct hilum_encoded *done);
};

/* Bytes of a frame in native form: what decode() needs for *frame. 0: the frame is impossible. Does not
 * overflow: the largest picture has 2^64 bytes at most and the host refuses far smaller ones. */
static inline uint64_t hilum_frame_bytes(const struct hilum_frame *frame)
{
    uint64_t pixels = (uint64_t)frame->columns * frame->rows;
    uint64_t
        halves; /* bytes a pixel, times two: 4:2:2 has two samples a pixel, 4:2:0 one and a half */
    if (!pixels || !frame->samples || frame->samples > 4 || pixels > UINT64_MAX / 64)
        return 0;
    if (frame->bits_allocated == 1)
        return frame->samples == 1 ? (pixels + 7) / 8 : 0;
    if (frame->bits_allocated % 8 || !frame->bits_allocated || frame->bits_allocated > 64)
        return 0;
    halves = frame->photometric == HILUM_PHOTO_YBR_FULL_422 ? 4u : 2u * frame->samples;
    if (frame->photometric == HILUM_PHOTO_YBR_PARTIAL_420)
        halves = 3;
    return pixels * halves / 2 * (frame->bits_allocated / 8);
}

#ifdef __cplusplus
}
#endif
#endif
