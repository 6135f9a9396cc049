/* The libraries by themselves, as little around them as can be. SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_BENCH_CODEC_BARE_H
#define TESTS_BENCH_CODEC_BARE_H

#include <stddef.h>
#include <stdint.h>

/* Decode into native pixels: 0, or it failed. */
int bare_jpegls(const uint8_t *stream, size_t n, void *pixels, size_t size);
int bare_jpeg2000(const uint8_t *stream, size_t n, void *pixels, size_t size);
int bare_jpeg(const uint8_t *stream, size_t n, void *pixels, size_t size);

#endif
