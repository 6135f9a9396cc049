/* A look at the raw text before libconfig sees it, for what libconfig 1.5 takes without a word.
 * Knows its tokens and none of its grammar. SPDX-License-Identifier: Apache-2.0 */
#include "core/config/tree.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct scan {
    const struct hl_source *source;
    const char *p, *end;
    unsigned line;
    bool is_line_start; /* only blanks so far on this line */
    bool is_readable;   /* libconfig may see it */
    struct hl_faults *faults;
};

/* Wrong only where libconfig would refuse the text anyway: it needs to know where comments and texts end,
 * no more. */
static bool at(const struct scan *s, const char *text)
{
    size_t n = strlen(text);
    return (size_t)(s->end - s->p) >= n && memcmp(s->p, text, n) == 0;
}

static void skip_to(struct scan *s, const char *closing)
{
    while (s->p < s->end && !at(s, closing)) {
        if (*s->p == '\n')
            s->line++;
        if (*s->p == '\\' && *closing == '"' && s->p + 1 < s->end)
            s->p++;
        s->p++;
    }
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '*' || c == '.';
}

/* libconfig 1.5 reads "4294967297" with atoi: it becomes 1. An L makes it 64 bits wide. */
static void scan_number(struct scan *s)
{
    char token[64], *rest;
    size_t n = 0;
    for (; s->p < s->end && is_word(*s->p); s->p++)
        if (n < sizeof token - 1)
            token[n++] = *s->p;
    token[n] = 0;
    errno = 0;
    bool is_hex = n > 2 && (token[1] == 'x' || token[1] == 'X');
    long long value = strtoll(token, &rest, is_hex ? 16 : 10);
    /* Decimal fractions and exponents are reals to libconfig, and exact enough there. */
    if (*rest == '.' || *rest == 'e' || *rest == 'E')
        return;
    bool fits = value >= INT32_MIN && value <= (is_hex ? (long long)UINT32_MAX : INT32_MAX);
    if (errno == ERANGE || (!fits && *rest != 'L'))
        hl_faults_add(s->faults, s->source->file, s->line,
                      "number: expected at most 32 bits, or an L at its end (64 bits), found %.40s",
                      token);
}

/* Order of files is the business of hl_config_paths: one mechanism, and no file read unasked. */
static void scan_include(struct scan *s)
{
    hl_faults_add(s->faults, s->source->file, s->line,
                  "@include: expected settings, found @include; put the file into conf.d or the "
                  "site directory");
    s->is_readable = false;
    s->p += strlen("@include");
}

static bool scan_comment_or_text(struct scan *s)
{
    const char *closing = at(s, "/*")                   ? "*/"
                          : (at(s, "//") || at(s, "#")) ? "\n"
                          : at(s, "\"")                 ? "\""
                                                        : NULL;
    if (!closing)
        return false;
    s->p++;
    skip_to(s, closing);
    if (*closing != '\n' && s->p < s->end)
        s->p += strlen(closing);
    s->is_line_start = false;
    return true;
}

static void scan_token(struct scan *s)
{
    if (scan_comment_or_text(s))
        return;
    char c = *s->p;
    bool is_sign = (c == '-' || c == '+') && s->p + 1 < s->end && isdigit((unsigned char)s->p[1]);
    if (is_sign)
        s->p++;
    if (isdigit((unsigned char)*s->p)) {
        scan_number(s);
    } else if (s->is_line_start && at(s, "@include")) {
        scan_include(s);
    } else if (is_word(c)) {
        while (s->p < s->end && is_word(*s->p))
            s->p++;
    } else {
        s->line += c == '\n';
        s->p++;
    }
    s->is_line_start = c == '\n' || (s->is_line_start && (c == ' ' || c == '\t'));
}

/* Bytes of the UTF-8 sequence at p, 0 if it is none (RFC 3629). */
static size_t utf8_length(const unsigned char *p, size_t n)
{
    static const struct {
        unsigned char mask, lead, length;
        uint32_t least;
    } forms[] = {
        {0x80, 0, 1, 0}, {0xE0, 0xC0, 2, 0x80}, {0xF0, 0xE0, 3, 0x800}, {0xF8, 0xF0, 4, 0x10000}};
    for (size_t f = 0; f < 4; f++) {
        if ((*p & forms[f].mask) != forms[f].lead || n < forms[f].length)
            continue;
        uint32_t code = *p & (unsigned char)~forms[f].mask;
        for (size_t i = 1; i < forms[f].length; i++) {
            if ((p[i] & 0xC0) != 0x80)
                return 0;
            code = code << 6 | (p[i] & 0x3F);
        }
        bool is_surrogate = code >= 0xD800 && code <= 0xDFFF;
        return code >= forms[f].least && code <= 0x10FFFF && !is_surrogate ? forms[f].length : 0;
    }
    return 0;
}

/* A file saved as GBK would otherwise show as garbage long after it was loaded. */
static void scan_bytes(struct scan *s)
{
    unsigned line = 1;
    const unsigned char *p = (const unsigned char *)s->source->text;
    for (size_t left = s->source->size; left > 0;) {
        size_t n = *p ? utf8_length(p, left) : 0;
        if (n == 0) {
            hl_faults_add(s->faults, s->source->file, line,
                          "text: expected UTF-8, found the byte 0x%02X; save the file as UTF-8",
                          *p);
            s->is_readable = false;
            return;
        }
        line += *p == '\n';
        p += n;
        left -= n;
    }
}

bool hl_source_scan(const struct hl_source *source, struct hl_faults *faults)
{
    struct scan s = {source, source->text, source->text + source->size, 1, true, true, faults};
    scan_bytes(&s);
    while (s.p < s.end)
        scan_token(&s);
    return s.is_readable;
}
