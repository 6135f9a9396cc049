/* Texts of a request: paths, escapes, ranges, entity tags. No state and no library, so that a fuzzer can have
 * it. SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- escapes ---- */

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Bytes of the UTF-8 character that begins here; 0: none does (RFC 3629). */
static size_t utf8_length(const unsigned char *p, size_t n)
{
    if (p[0] < 0x80)
        return 1;
    size_t want = p[0] >= 0xC2 && p[0] < 0xE0   ? 2
                  : p[0] >= 0xE0 && p[0] < 0xF0 ? 3
                  : p[0] >= 0xF0 && p[0] < 0xF5 ? 4
                                                : 0;
    if (want == 0 || want > n)
        return 0;
    for (size_t i = 1; i < want; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    bool is_overlong = (p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xF0 && p[1] < 0x90);
    bool is_outside = (p[0] == 0xED && p[1] >= 0xA0) || (p[0] == 0xF4 && p[1] >= 0x90);
    return is_overlong || is_outside ? 0 : want;
}

static bool is_utf8(const char *text, size_t n)
{
    for (size_t at = 0, step; at < n; at += step) {
        step = utf8_length((const unsigned char *)text + at, n - at);
        if (step == 0)
            return false;
    }
    return true;
}

/* A NUL would end the text for some of what looks at it and not for others. */
ptrdiff_t http_decode(char *text, size_t n, bool is_form)
{
    size_t out = 0;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (c == '+' && is_form) {
            c = ' ';
        } else if (c == '%') {
            int high = i + 1 < n ? hex(text[i + 1]) : -1, low = i + 2 < n ? hex(text[i + 2]) : -1;
            if (high < 0 || low < 0)
                return -1;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (c == '\0')
            return -1;
        text[out++] = c;
    }
    return is_utf8(text, out) ? (ptrdiff_t)out : -1;
}

/* ---- paths ---- */

/* What would climb out of a folder, however it was written. Looked at after decoding, so
 * "%2e%2e" and "..%2f" are found as well. */
static bool is_segment(const char *segment)
{
    return strcmp(segment, ".") != 0 && strcmp(segment, "..") != 0 &&
           strpbrk(segment, "/\\") == NULL;
}

/* Split first and decoded then: "%2F" in a segment is a byte of it, and refused. */
bool http_path_split(char *path, const char *segments[HTTP_SEGMENTS], unsigned *n)
{
    *n = 0;
    if (path[0] != '/')
        return false;
    for (char *at = path + 1, *next; at != NULL; at = next) {
        size_t length = strcspn(at, "/");
        bool is_last = at[length] == '\0';
        next = is_last ? NULL : at + length + 1;
        if (length == 0 && !is_last)
            return false;
        ptrdiff_t decoded = http_decode(at, length, false);
        if (decoded < 0 || *n == HTTP_SEGMENTS)
            return false;
        at[decoded] = '\0';
        if (!is_segment(at))
            return false;
        segments[(*n)++] = at;
    }
    return true;
}

/* ---- ranges ---- */

/* Digits at *text; false: none, or too many. */
static bool number_read(const char **text, uint64_t *out)
{
    const char *p = *text;
    *out = 0;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (*out > (UINT64_MAX - 9) / 10)
            return false;
        *out = *out * 10 + (uint64_t)(*p - '0');
    }
    bool is_number = p != *text;
    *text = p;
    return is_number;
}

/* Several ranges are not served: all is sent, which RFC 9110 14.2 allows. */
int http_range(const char *header, uint64_t total, uint64_t *first, uint64_t *length)
{
    uint64_t last = UINT64_MAX;
    if (strncasecmp(header, "bytes=", 6) != 0)
        return 0;
    const char *p = header + 6;
    bool has_first = number_read(&p, first);
    if (*p++ != '-')
        return 0;
    bool has_last = number_read(&p, &last);
    if (*p != '\0' || (!has_first && !has_last))
        return 0;
    if (!has_first) { /* the last so many */
        *length = last < total ? last : total;
        *first = total - *length;
        return *length > 0 ? 1 : -1;
    }
    if (has_last && last < *first)
        return 0;
    if (*first >= total)
        return -1;
    *length = has_last && last - *first < total - *first ? last - *first + 1 : total - *first;
    return 1;
}

/* ---- lists in headers ---- */

static const char *strong(const char *etag)
{
    return strncmp(etag, "W/", 2) == 0 ? etag + 2 : etag;
}

/* Weakly (RFC 9110 13.1.2): "W/" is passed over on both sides. */
bool http_etag_matches(const char *header, const char *etag)
{
    const char *wanted = strong(etag);
    size_t n = strlen(wanted);
    for (const char *p = header; *p != '\0';) {
        p += strspn(p, " \t,");
        if (*p == '*')
            return true;
        const char *one = strong(p);
        const char *end = *one == '"' ? strchr(one + 1, '"') : NULL;
        if (end == NULL)
            return false;
        if ((size_t)(end + 1 - one) == n && strncmp(one, wanted, n) == 0)
            return true;
        p = end + 1;
    }
    return false;
}

/* "0.25" as 250. */
static int quality(const char *text, size_t n)
{
    int value = 0, scale = 1000;
    for (size_t i = 0; i < n && scale > 0; i++) {
        if (text[i] == '.')
            continue;
        if (text[i] < '0' || text[i] > '9')
            break;
        value += (text[i] - '0') * scale;
        scale /= 10;
    }
    return value > 1000 ? 1000 : value;
}

/* In thousandths, 0: not taken. A coding that is named goes before "*", wherever it stands. */
int http_accepts_coding(const char *header, const char *coding)
{
    int any = 0;
    for (const char *p = header; *p != '\0';) {
        p += strspn(p, " \t,");
        size_t n = strcspn(p, ","), name = strcspn(p, ",; \t");
        const char *q = memmem(p, n, "q=", 2);
        int value = q != NULL ? quality(q + 2, n - (size_t)(q + 2 - p)) : 1000;
        if (name == strlen(coding) && strncasecmp(p, coding, name) == 0)
            return value;
        if (name == 1 && *p == '*')
            any = value;
        p += n;
    }
    return any;
}

bool http_is_field_value(const char *value)
{
    for (const unsigned char *p = (const unsigned char *)value; *p; p++)
        if (*p < 0x20 || *p == 0x7F)
            return false;
    return true;
}

bool http_is_host(const char *host)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]";
    return *host != '\0' && strspn(host, allowed) == strlen(host) && strlen(host) < 256;
}
