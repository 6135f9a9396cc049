/* What Hilum's codecs share: the life of a plugin that provides one codec, code streams in one piece, rows
 * of samples between native form (PS3.5 8.1.1) and the 32-bit planes that libraries work on. Linked into each
 * codec; knows no library and no compression.
 *
 * Who does what. The kernel hands a codec the fragments of one frame and what the data set
 * declares of it, and takes a native frame, or the other way round; on any thread, many frames at
 * once, also in a worker process where the codec is to be isolated (hilum/codec.h). A codec keeps
 * no state between calls: its instance is the host and itself, which is why all of them are
 * HILUM_PARALLEL.
 *
 * The three rules all keep. The stream's own header is believed before the UID and the data
 * set, but for what a stream cannot know (sign, colours where it is silent). Every size is
 * checked before memory is asked for: streams come from outside. What is damaged yields
 * HILUM_ECORRUPT and all pixels that could be had: the rest of dst is zero, so nothing of other
 * frames shows.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CODEC_COMMON_H
#define CODEC_COMMON_H

#include <stdarg.h>
#include <stdbool.h>

#include "hilum/codec.h"
#include "hilum/host.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The root of all transfer syntaxes of DICOM (PS3.6 A-1). */
#define CODEC_UID(suffix) "1.2.840.10008.1.2." suffix

/* Sides libraries agree on: PS3.3 C.7.6.3.1 has Rows and Columns in 16 bits.
 * CODEC_SAMPLES_MAX: CMYK is the most that any stream here has; plain arrays of that size are
 * used. */
enum { CODEC_SIDE_MAX = 65535, CODEC_SAMPLES_MAX = 4 };

/* The instance of every codec; `self` of its functions. Constant after init: no lock. */
struct codec {
    const struct hilum_host *host;
    hilum_self *self;
};

/* The body of a codec plugin's init and fini. */
hilum_rc codec_init(const struct hilum_host *host, hilum_self *self,
                    const struct hilum_codec *table, void **state);
void codec_fini(void *state);

/* Records why and returns rc. No pixel values, no names: only what the stream is. */
hilum_rc codec_fail(void *self, hilum_rc rc, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- code streams ---- */

/* A code stream in one piece: one fragment is borrowed, more are copied. Free with
 * codec_bytes_fini. `at` points into the fragment or into `copy`: it is good until
 * codec_bytes_fini, and in the first case only as long as the fragments are. */
struct codec_bytes {
    const uint8_t *at;
    size_t n;
    void *copy;
};
hilum_rc codec_gather(void *self, const struct hilum_coded *coded, struct codec_bytes *out);
void codec_bytes_fini(struct codec_bytes *bytes);
/* A JPEG or JPEG-LS stream that lacks its end marker gets one, in a copy: libraries wait for more of it, one for
 * ever. HILUM_ENOMEM. */
hilum_rc codec_end_with_marker(void *self, struct codec_bytes *stream);

/* Is `syntax` the transfer syntax with this end of its UID? */
bool codec_is_syntax(const char *syntax, const char *uid);

/* ---- frames ---- */

/* What a stream says of its samples becomes the frame that decoding yields: allocation as
 * declared where that is wide enough, sign as declared, planar configuration as wished.
 * HILUM_EUNSUP: more than 32 bits or four samples; HILUM_ECORRUPT: no pixels. bits: of a
 * sample in the stream. */
struct codec_shape {
    uint32_t columns, rows, samples, bits;
    bool is_signed; /* the stream's word, used where the data set is silent */
};
hilum_rc codec_frame_of(void *self, const struct hilum_coded *coded,
                        const struct codec_shape *shape, const struct hilum_decode *wanted,
                        struct hilum_frame *out);
/* HILUM_EUNSUP where a part or a smaller picture is wanted: for codecs that only know whole frames. */
hilum_rc codec_check_whole(void *self, const struct hilum_decode *wanted);
/* HILUM_EFULL: `size` bytes do not hold the frame. */
hilum_rc codec_check_room(void *self, const struct hilum_frame *frame, uint64_t size);
/* Is `n` what the frame takes, and is it of integer samples of 8, 16 or 32 bits allocated, one or
 * three or four of them, with sane bits_stored? HILUM_EINVAL, HILUM_EUNSUP. */
hilum_rc codec_check_source(void *self, const struct hilum_frame *frame, uint64_t n);
/* Bits that a reversible code stream has to keep so that every allocated bit comes back: bits_stored where
 * what lies above is only the sign (or zeros), otherwise bits_allocated. */
uint32_t codec_bits_used(const struct hilum_frame *frame, const void *src);
/* Does a signed frame hold a negative sample? Streams without a sign lose those when they lose anything. */
bool codec_has_negative(const struct hilum_frame *frame, const void *src);

/* One row of one sample, `columns` values. get: masked to `bits` and, in signed frames, extended. put: what is above bits_stored
 * is the sign in signed frames and zero in others. */
void codec_row_get(const struct hilum_frame *frame, const void *src, uint32_t row, uint32_t sample,
                   uint32_t bits, int32_t *values);
/* Neither checks bounds: row, sample and dst were checked with the frame. */
void codec_row_put(const struct hilum_frame *frame, void *dst, uint32_t row, uint32_t sample,
                   const int32_t *values);

/* The same pixels in the layout, allocation and bits_stored of another frame of the same
 * dimensions. HILUM_EUNSUP: 4:2:2 and 4:2:0; HILUM_ENOMEM. Takes a row of memory, never a
 * frame. */
hilum_rc codec_convert(void *self, const struct hilum_frame *from, const void *src,
                       const struct hilum_frame *to, void *dst);

/* Side after `reduce` halvings: ceil(n / 2^reduce). */
uint32_t codec_reduced(uint32_t side, uint32_t reduce);

/* Numbers of code streams, big endian. */
static inline uint32_t codec_be16(const uint8_t *p)
{
    return (uint32_t)p[0] << 8 | p[1];
}
static inline uint32_t codec_be32(const uint8_t *p)
{
    return codec_be16(p) << 16 | codec_be16(p + 2);
}

/* ---- output ---- */

hilum_rc codec_write(struct hilum_sink *out, const void *bytes, uint64_t n);
/* Fills *done: `written` bytes of code stream came from `native` ones. method NULL: lossless. */
void codec_done(struct hilum_encoded *done, uint32_t photometric, uint64_t native, uint64_t written,
                const char *method);

/* The entry of a codec plugin; `table` is its struct hilum_codec. */
#define CODEC_PLUGIN(name, table)                                                                  \
    static hilum_rc plugin_init(const struct hilum_host *host, hilum_self *self, const void *conf, \
                                void **state)                                                      \
    {                                                                                              \
        (void)conf;                                                                                \
        return codec_init(host, self, &(table), state);                                            \
    }                                                                                              \
    HILUM_EXPORT const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major,                \
                                                               uint16_t host_minor)                \
    {                                                                                              \
        static const char *const provides[] = {"codec:", NULL};                                    \
        static const struct hilum_plugin plugin = {.magic = HILUM_MAGIC,                           \
                                                   .size = sizeof plugin,                          \
                                                   .abi_major = HILUM_ABI_MAJOR,                   \
                                                   .abi_minor = HILUM_ABI_MINOR,                   \
                                                   .id = (name),                                   \
                                                   .version = HILUM_VERSION,                       \
                                                   .vendor = "Hilum",                              \
                                                   .licence = "Apache-2.0",                        \
                                                   .init = plugin_init,                            \
                                                   .fini = codec_fini,                             \
                                                   .provides = provides};                          \
        (void)host_major;                                                                          \
        (void)host_minor;                                                                          \
        return &plugin;                                                                            \
    }

#ifdef __cplusplus
}
#endif
#endif
