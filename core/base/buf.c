/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void hl_buf_fini(struct hl_buf *buf)
{
    free(buf->data);
    *buf = (struct hl_buf){0};
}

void hl_buf_clear(struct hl_buf *buf)
{
    buf->len = 0;
    buf->failed = false;
    if (buf->data)
        buf->data[0] = '\0';
}

bool hl_buf_reserve(struct hl_buf *buf, size_t extra)
{
    size_t need = buf->len + extra + 1;
    if (need <= buf->cap)
        return !buf->failed;
    size_t cap = buf->cap ? buf->cap : 64;
    while (cap < need)
        cap *= 2;
    char *data = need > extra ? realloc(buf->data, cap) : NULL;
    if (!data) {
        buf->failed = true;
        return false;
    }
    buf->data = data;
    buf->cap = cap;
    return !buf->failed;
}

void hl_buf_add(struct hl_buf *buf, const void *bytes, size_t n)
{
    if (!hl_buf_reserve(buf, n))
        return;
    if (n)
        memcpy(buf->data + buf->len, bytes, n);
    buf->len += n;
    buf->data[buf->len] = '\0';
}

void hl_buf_text(struct hl_buf *buf, const char *text)
{
    hl_buf_add(buf, text, strlen(text));
}

void hl_buf_byte(struct hl_buf *buf, uint8_t byte)
{
    hl_buf_add(buf, &byte, 1);
}

void hl_buf_printf(struct hl_buf *buf, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n >= 0 && hl_buf_reserve(buf, (size_t)n)) {
        vsnprintf(buf->data + buf->len, (size_t)n + 1, format, again);
        buf->len += (size_t)n;
    }
    va_end(again);
}

const char *hl_buf_str(const struct hl_buf *buf)
{
    return buf->data && !buf->failed ? buf->data : "";
}

char *hl_buf_take(struct hl_buf *buf)
{
    hl_buf_reserve(buf, 0);
    char *data = buf->failed ? NULL : buf->data;
    if (data)
        data[buf->len] = '\0';
    else
        free(buf->data);
    *buf = (struct hl_buf){0};
    return data;
}

/* Length of the valid UTF-8 sequence at s (1-4), 0 if there is none. RFC 3629. */
static size_t utf8_length(const unsigned char *s)
{
    if (s[0] < 0x80)
        return 1;
    if (s[0] >= 0xC2 && s[0] <= 0xDF)
        return (s[1] & 0xC0) == 0x80 ? 2 : 0;
    if ((s[0] & 0xF0) == 0xE0) {
        bool overlong = s[0] == 0xE0 && s[1] < 0xA0;
        bool surrogate = s[0] == 0xED && s[1] > 0x9F;
        bool tail = (s[1] & 0xC0) == 0x80 && (s[2] & 0xC0) == 0x80;
        return tail && !overlong && !surrogate ? 3 : 0;
    }
    if (s[0] >= 0xF0 && s[0] <= 0xF4) {
        bool low = s[0] == 0xF0 && s[1] < 0x90;
        bool high = s[0] == 0xF4 && s[1] > 0x8F;
        bool tail = (s[1] & 0xC0) == 0x80 && (s[2] & 0xC0) == 0x80 && (s[3] & 0xC0) == 0x80;
        return tail && !low && !high ? 4 : 0;
    }
    return 0;
}

static void json_char(struct hl_buf *buf, unsigned char c)
{
    switch (c) {
    case '"': hl_buf_text(buf, "\\\""); break;
    case '\\': hl_buf_text(buf, "\\\\"); break;
    case '\n': hl_buf_text(buf, "\\n"); break;
    case '\r': hl_buf_text(buf, "\\r"); break;
    case '\t': hl_buf_text(buf, "\\t"); break;
    default:
        if (c < 0x20)
            hl_buf_printf(buf, "\\u%04x", c);
        else
            hl_buf_byte(buf, c);
    }
}

void hl_buf_json_string(struct hl_buf *buf, const char *text)
{
    hl_buf_byte(buf, '"');
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        size_t n = utf8_length(s);
        if (n == 0) {
            hl_buf_text(buf, "\xEF\xBF\xBD");
            s++;
        } else if (n == 1) {
            json_char(buf, *s++);
        } else {
            hl_buf_add(buf, s, n);
            s += n;
        }
    }
    hl_buf_byte(buf, '"');
}

bool hl_grow(void *array, size_t *cap, size_t count, size_t size)
{
    if (count < *cap)
        return true;
    size_t bigger = *cap ? *cap * 2 : 8;
    void **slot = array;
    void *data = reallocarray(*slot, bigger, size);
    if (!data)
        return false;
    *slot = data;
    *cap = bigger;
    return true;
}
