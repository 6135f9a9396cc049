/* How values are normalised before they are stored or compared (PS3.4 C.2.2.2, PS3.5 6.2). Knows no
 * statement. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "core/base/text.h"
#include "core/record/record_private.h"

/* Not isdigit: that asks the locale. */
static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Components that are empty at the end say nothing (PS3.5 6.2.1): "LI^LEI^^^" and "LI^LEI"
 * are one. */
void hl_name_key(const char *group, size_t n, struct hl_buf *out)
{
    struct hl_buf plain = {0};
    hl_buf_add(&plain, group, n);
    size_t start = out->len;
    hl_text_fold(hl_buf_str(&plain), out);
    while (out->len > start && (out->data[out->len - 1] == '^' || out->data[out->len - 1] == ' '))
        out->len--;
    hl_buf_byte(out, '^');
    hl_buf_fini(&plain);
}

/* '=' stands before, between and behind, so that `%=key=%` finds whole groups and no parts of
 * them. */
void hl_name_keys_joined(const char *name, struct hl_buf *out)
{
    if (!*name)
        return;
    hl_buf_byte(out, '=');
    while (*name) {
        size_t n = strcspn(name, "=\\");
        if (n > 0) {
            hl_name_key(name, n, out);
            hl_buf_byte(out, '=');
        }
        name += n + (name[n] != '\0');
    }
}

/* Days are not counted by month: 20260231 is stored and found as it is, since it was sent so. */
bool hl_date_normal(const char *text, size_t n, char out[9])
{
    size_t digits = 0;
    for (size_t i = 0; i < n; i++) {
        if (is_digit(text[i]) && digits < 8)
            out[digits++] = text[i];
        else if (text[i] != '.' || n != 10 || (i != 4 && i != 7))
            return false;
    }
    out[8] = '\0';
    int month = digits == 8 ? (out[4] - '0') * 10 + out[5] - '0' : 0;
    int day = digits == 8 ? (out[6] - '0') * 10 + out[7] - '0' : 0;
    return month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

/* TM may end after hours, minutes, seconds or any digit of the fraction (PS3.5 6.2). */
bool hl_time_normal(const char *text, size_t n, bool is_end, char out[14])
{
    /* 60 is a leap second (PS3.5 6.2). */
    static const char begin[] = "000000.000000", end[] = "235959.999999";
    size_t at = 0;
    for (size_t i = 0; i < n && at < 13; i++) {
        bool is_colon = text[i] == ':' && (at == 2 || at == 4);
        if (is_colon)
            continue;
        if (at == 6 ? text[i] != '.' : !is_digit(text[i]))
            return false;
        out[at++] = text[i];
    }
    if (at < 2 || (at < 6 && at % 2 != 0))
        return false;
    memcpy(out + at, (is_end ? end : begin) + at, 14 - at);
    return memcmp(out, "24", 2) < 0 && out[2] < '6' && memcmp(out + 4, "61", 2) < 0;
}

/* HL_NO_NUMBER is no value: it stands for an absent one. */
bool hl_int_parse(const char *text, size_t n, int64_t *out)
{
    char copy[24];
    char *end;
    while (n > 0 && *text == ' ') {
        text++;
        n--;
    }
    while (n > 0 && text[n - 1] == ' ')
        n--;
    if (n == 0 || n >= sizeof copy)
        return false;
    memcpy(copy, text, n);
    copy[n] = '\0';
    *out = strtoll(copy, &end, 10);
    return *end == '\0' && *out != HL_NO_NUMBER && (is_digit(copy[n - 1]));
}
