/* Growing by doubling, one NUL always behind the contents. No bounds but memory: who takes bytes
 * from a peer bounds them before they come here. SPDX-License-Identifier: Apache-2.0 */
#include "core/base/buf.h"
#include "core/base/error.h"
#include "core/base/text.h"

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
    if (need > extra && need <= buf->cap)
        return !buf->failed;
    size_t cap = buf->cap ? buf->cap : 64;
    while (cap < need && cap <= SIZE_MAX / 2)
        cap *= 2;
    /* A sum that wrapped, or one that no doubling reaches, is more than there is. */
    char *data = need > extra && cap >= need ? realloc(buf->data, cap) : NULL;
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

hilum_rc hl_buf_sink(void *buf, const void *bytes, uint64_t n)
{
    struct hl_buf *out = buf;
    hl_buf_add(out, bytes, (size_t)n);
    return out->failed ? hl_fail(HILUM_ENOMEM, "no memory for what was given") : HILUM_OK;
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

/* RFC 8259 section 7: the short escapes where there are some, since people read these lines. */
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
    for (size_t left = strlen(text); left > 0;) {
        const char *at = text;
        int32_t c = hl_utf8_next(&text, &left);
        if (c < 0)
            hl_buf_text(buf, "\xEF\xBF\xBD");
        else if (c < 0x80)
            json_char(buf, (unsigned char)c);
        else
            hl_buf_add(buf, at, (size_t)(text - at));
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
