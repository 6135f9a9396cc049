/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "atna.h"

/* All or nothing of a piece: is_cut says that the whole is worthless, so nobody sends half an
 * element. */
static void add(struct text *text, const char *bytes, size_t n)
{
    if (n > TEXT_MAX - text->n) {
        text->is_cut = true;
        return;
    }
    memcpy(text->bytes + text->n, bytes, n);
    text->n += n;
    text->bytes[text->n] = '\0';
}

void text_add(struct text *text, const char *more)
{
    add(text, more, strlen(more));
}

/* Bytes over 127 pass: rows are UTF-8. */
void text_add_escaped(struct text *text, const char *more)
{
    for (; *more != '\0'; more++) {
        switch (*more) {
        case '<': text_add(text, "&lt;"); break;
        case '>': text_add(text, "&gt;"); break;
        case '&': text_add(text, "&amp;"); break;
        case '"': text_add(text, "&quot;"); break;
        default: add(text, (unsigned char)*more < ' ' || *more == 127 ? "?" : more, 1); break;
        }
    }
}

/* Four letters at a time, so that a text that does not fit is cut between them and is_cut says
 * so. */
void text_add_base64(struct text *text, const char *more)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = (const unsigned char *)more;
    size_t n = strlen(more);
    for (size_t i = 0; i < n; i += 3) {
        uint32_t bits = (uint32_t)p[i] << 16;
        char four[4] = {'=', '=', '=', '='};
        if (i + 1 < n)
            bits |= (uint32_t)p[i + 1] << 8;
        if (i + 2 < n)
            bits |= p[i + 2];
        for (size_t k = 0; k < 4 && k <= n - i; k++)
            four[k] = letters[bits >> (18 - 6 * k) & 63];
        add(text, four, 4);
    }
}

void text_attribute(struct text *text, const char *name, const char *value)
{
    text_add(text, " ");
    text_add(text, name);
    text_add(text, "=\"");
    text_add_escaped(text, value);
    text_add(text, "\"");
}
