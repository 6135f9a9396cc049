/* The libraries by themselves, as little around them as can be. SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_BENCH_CODEC_BARE_H
#define TESTS_BENCH_CODEC_BARE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Decode into native pixels: 0, or it failed. */
int bare_jpegls(const uint8_t *stream, size_t n, void *pixels, size_t size);
int bare_jpeg2000(const uint8_t *stream, size_t n, void *pixels, size_t size);
int bare_jpeg(const uint8_t *stream, size_t n, void *pixels, size_t size);
int bare_jpegxl(const uint8_t *stream, size_t n, void *pixels, size_t size);
int bare_htj2k(const uint8_t *stream, size_t n, void *pixels, size_t size);

/* Encode, without loss: 0, or it failed. */
struct bare_picture {
    const uint16_t *pixels;
    uint32_t columns, rows, bits;
};
int bare_encode_jpegls(const struct bare_picture *picture, void *out, size_t room, size_t *n);
int bare_encode_jpeg2000(const struct bare_picture *picture, void *out, size_t room, size_t *n);
int bare_encode_jpegxl(const struct bare_picture *picture, void *out, size_t room, size_t *n);
int bare_encode_htj2k(const struct bare_picture *picture, void *out, size_t room, size_t *n);

#ifdef __cplusplus
}
#endif
#endif
