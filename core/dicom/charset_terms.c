/* The table of character sets, and reading through one ICU converter.
 * It knows nothing of code extension state. SPDX-License-Identifier: Apache-2.0 */
#include "core/dicom/charset_terms.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <unicode/ustring.h>

/* ISO-IR number, kind, converters for reading and for writing, the escape behind ESC, and
 * whether text that is UTF-8 by form may be taken as UTF-8 (PS3.3 C.12.1.1.2, tables C.12-2 to
 * C.12-5). */
static const struct hl_set sets[] = {
    {6, HL_SET_ASCII, "US-ASCII", "US-ASCII", "(B", false},
    {100, HL_SET_SINGLE, "ISO-8859-1", "ISO-8859-1", "-A", true},
    {101, HL_SET_SINGLE, "ISO-8859-2", "ISO-8859-2", "-B", true},
    {109, HL_SET_SINGLE, "ISO-8859-3", "ISO-8859-3", "-C", true},
    {110, HL_SET_SINGLE, "ISO-8859-4", "ISO-8859-4", "-D", true},
    {144, HL_SET_SINGLE, "ISO-8859-5", "ISO-8859-5", "-L", false},
    {127, HL_SET_SINGLE, "ISO-8859-6", "ISO-8859-6", "-G", true},
    {126, HL_SET_SINGLE, "ISO-8859-7", "ISO-8859-7", "-F", true},
    {138, HL_SET_SINGLE, "ISO-8859-8", "ISO-8859-8", "-H", true},
    {148, HL_SET_SINGLE, "ISO-8859-9", "ISO-8859-9", "-M", true},
    {203, HL_SET_SINGLE, "ISO-8859-15", "ISO-8859-15", "-b", true},
    {166, HL_SET_SINGLE, "TIS-620", "TIS-620", "-T", false},
    {13, HL_SET_KANA, NULL, NULL, ")I", false},
    {14, HL_SET_KANA, NULL, NULL, "(J", false},
    {87, HL_SET_KANJI, "EUC-JP", "EUC-JP", "$B", false},
    {159, HL_SET_KANJI2, "EUC-JP", "EUC-JP", "$(D", false},
    /* Real senders use the Windows supersets of these two. */
    {149, HL_SET_DOUBLE, "windows-949-2000", "EUC-KR", "$)C", false},
    {58, HL_SET_DOUBLE, "GBK", "ibm-1383_P110-1999", "$)A", false},
    {192, HL_SET_WHOLE, "UTF-8", "UTF-8", "", false},
    {0, HL_SET_WHOLE, "GB18030", "GB18030", "", false},
    {0, HL_SET_WHOLE, "GBK", "GBK", "", false},
};

/* Misspelt terms met in practice, without anything but letters and digits. */
static const struct {
    const char *name;
    uint16_t number;
    const char *icu;
} names[] = {
    {"UTF8", 192, NULL},   {"ISO10646", 192, NULL},   {"ISO88591", 100, NULL},
    {"LATIN1", 100, NULL}, {"GB18030", 0, "GB18030"}, {"GBK", 0, "GBK"},
    {"GB2312", 0, "GBK"},  {"ASCII", 6, NULL},
};

static const struct hl_set *set_by_number(unsigned long number)
{
    for (size_t i = 0; number && i < sizeof sets / sizeof sets[0]; i++)
        if (sets[i].number == number)
            return &sets[i];
    return NULL;
}

static const struct hl_set *set_by_icu(const char *icu)
{
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
        if (sets[i].kind == HL_SET_WHOLE && strcmp(sets[i].icu, icu) == 0)
            return &sets[i];
    return NULL;
}

/* "ISO 2022 IR 87", "iso_ir_100", "UTF-8": what counts is the number behind IR, or the name. */
static const struct hl_set *set_by_term(const char *term, size_t n)
{
    char plain[32];
    size_t length = 0;
    for (size_t i = 0; i < n && length < sizeof plain - 1; i++)
        if (isalnum((unsigned char)term[i]))
            plain[length++] = (char)toupper((unsigned char)term[i]);
    plain[length] = '\0';
    if (length == 0)
        return &sets[0];
    const char *number = strstr(plain, "IR");
    if (number && isdigit((unsigned char)number[2]))
        return set_by_number(strtoul(number + 2, NULL, 10));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i].name, plain) == 0)
            return names[i].icu ? set_by_icu(names[i].icu) : set_by_number(names[i].number);
    return NULL;
}

/* An unknown term first in the list counts as ASCII; later ones are passed over. */
void hl_terms_parse(const char *declared, struct hl_terms *out)
{
    *out = (struct hl_terms){0};
    const char *at = declared ? declared : "";
    for (bool is_last = false; !is_last && out->n < HL_CHARSET_TERMS;) {
        size_t n = strcspn(at, "\\");
        const struct hl_set *set = set_by_term(at, n);
        out->has_unknown |= !set;
        if (set || out->n == 0)
            out->sets[out->n++] = set ? set : &sets[0];
        is_last = at[n] == '\0';
        at += n + 1;
    }
}

const struct hl_set *hl_set_by_escape(const char *bytes, size_t n, size_t *length)
{
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        size_t size = strlen(sets[i].escape);
        if (size && size <= n && memcmp(bytes, sets[i].escape, size) == 0) {
            *length = size;
            return &sets[i];
        }
    }
    return NULL;
}

bool hl_charset_is_delimiter(uint8_t byte)
{
    return byte == '\\' || byte == '^' || byte == '=' || byte == '\t' || byte == '\n' ||
           byte == '\f' || byte == '\r';
}

/* Three bytes of UTF-8 are the most that one unit of UTF-16 becomes. */
static bool add_utf16(const UChar *text, int32_t n, struct hl_buf *out)
{
    int32_t size = 0;
    UErrorCode status = U_ZERO_ERROR;
    if (!hl_buf_reserve(out, (size_t)n * 3))
        return false;
    u_strToUTF8WithSub(out->data + out->len, n * 3, &size, text, n, 0xFFFD, NULL, &status);
    if (U_FAILURE(status))
        return false;
    out->len += (size_t)size;
    out->data[out->len] = '\0';
    return true;
}

/* Reads everything; false when the strict converter stopped. */
static bool convert(UConverter *converter, const char *bytes, size_t n, struct hl_buf *out)
{
    size_t start = out->len;
    const char *end = bytes + n;
    UErrorCode status;
    do {
        UChar chunk[512];
        UChar *target = chunk;
        status = U_ZERO_ERROR;
        ucnv_toUnicode(converter, &target, chunk + 512, &bytes, end, NULL, true, &status);
        add_utf16(chunk, (int32_t)(target - chunk), out);
    } while (status == U_BUFFER_OVERFLOW_ERROR);
    if (U_SUCCESS(status))
        return true;
    out->len = start;
    if (out->data)
        out->data[start] = '\0';
    return false;
}

/* Strict first: only a second pass tells clean text from text with holes. */
bool hl_charset_convert(const char *icu, const char *bytes, size_t n, bool is_strict,
                        struct hl_buf *out)
{
    UErrorCode status = U_ZERO_ERROR;
    UConverter *converter = ucnv_open(icu, &status);
    if (U_FAILURE(status))
        return false;
    ucnv_setToUCallBack(converter, UCNV_TO_U_CALLBACK_STOP, NULL, NULL, NULL, &status);
    bool is_clean = convert(converter, bytes, n, out);
    if (!is_clean && !is_strict) {
        ucnv_reset(converter);
        ucnv_setToUCallBack(converter, UCNV_TO_U_CALLBACK_SUBSTITUTE, NULL, NULL, NULL, &status);
        convert(converter, bytes, n, out);
    }
    ucnv_close(converter);
    return is_clean;
}
