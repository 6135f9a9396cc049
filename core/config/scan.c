/* A look at the raw text before libconfig sees it, for what libconfig 1.5 takes without a word.
 * Knows its tokens and none of its grammar. SPDX-License-Identifier: Apache-2.0 */
#include "core/config/tree.h"
#include "core/base/text.h"

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

/* Leaves `p` at the closing mark, or at the end where there is none. Within texts a backslash
 * hides the next character. */
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

/* What libconfig takes for a name, and the characters of numbers as well. */
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

/* false: neither begins here. */
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

/* One step ahead; every branch moves `p`, so the scan ends. */
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

/* A file saved as GBK would otherwise show as garbage long after it was loaded. */
static void scan_bytes(struct scan *s)
{
    unsigned line = 1;
    const char *p = s->source->text;
    for (size_t left = s->source->size; left > 0;) {
        const char *at = p;
        /* A NUL is valid UTF-8, but libconfig would end the file there. */
        if (hl_utf8_next(&p, &left) <= 0) {
            hl_faults_add(s->faults, s->source->file, line,
                          "text: expected UTF-8, found the byte 0x%02X; save the file as UTF-8",
                          (unsigned char)*at);
            s->is_readable = false;
            return;
        }
        line += *at == '\n';
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
