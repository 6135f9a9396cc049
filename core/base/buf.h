/* A growing byte buffer, also used as a string builder. Knows nothing of what the bytes mean.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_BASE_BUF_H
#define HL_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hilum/abi.h"

/* Zero-initialised is empty and valid. `data` is NUL-terminated beyond `len` once anything was
 * added. A failed allocation sets `failed` and keeps the contents; builders check it once, at the
 * end. Not thread-safe. */
struct hl_buf {
    char *data;
    size_t len, cap;
    bool failed;
};

/* Gives the memory back; the buffer is empty and usable again. */
void hl_buf_fini(struct hl_buf *buf);
/* Empties without giving memory back. */
void hl_buf_clear(struct hl_buf *buf);
/* Room for `extra` more bytes; false (and failed) when there is no memory. */
bool hl_buf_reserve(struct hl_buf *buf, size_t extra);
/* Appending. Without memory nothing is added and `failed` is set; what comes later is dropped
 * too, so that a text is never one with a hole in it. `bytes` may be NULL when n is 0, and may
 * not point into the buffer. */
void hl_buf_add(struct hl_buf *buf, const void *bytes, size_t n);
/* As write of a hilum_sink whose ctx is a buffer, for bytes whose number their writer bounds. HILUM_ENOMEM. */
hilum_rc hl_buf_sink(void *buf, const void *bytes, uint64_t n);
void hl_buf_text(struct hl_buf *buf, const char *text);
void hl_buf_byte(struct hl_buf *buf, uint8_t byte);
void hl_buf_printf(struct hl_buf *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The contents as a C string, "" when empty or failed. Borrowed. */
const char *hl_buf_str(const struct hl_buf *buf);
/* Hands the memory to the caller (free()); NULL if failed. The buffer is empty afterwards. */
char *hl_buf_take(struct hl_buf *buf);

/* JSON (RFC 8259) text: quotes and escapes `text`, which must be UTF-8; invalid bytes become
 * U+FFFD. */
void hl_buf_json_string(struct hl_buf *buf, const char *text);

/* Grows *array (of `size` bytes an element) so that `count + 1` elements fit. Doubling.
 * false when there is no memory: the array is as it was. */
bool hl_grow(void *array, size_t *cap, size_t count, size_t size);

#endif
