/* JSON for people: key and value, lines; tables are table.c's. Everything that is printed passes add_clean or is a number of ours: values
 * come out of DICOM objects and must not command a terminal. SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>
#include <wchar.h>

#include "core/cli/cli.h"

/* Beyond it an object is for --json: nobody reads it on a terminal. */
enum { DEPTH = 6 };

/* Where to and how wide. */
struct view {
    struct hl_buf *out;
    size_t width; /* 0: no limit */
};

static void render(const struct view *view, const json_t *value, int depth);

/* Decodes one character; a byte that is none counts as U+FFFD. */
static wchar_t next_char(const char **p)
{
    wchar_t c;
    mbstate_t state = {0};
    size_t n = mbrtowc(&c, *p, 8, &state);
    if (n == 0 || n > 8) {
        (*p)++;
        return 0xFFFD;
    }
    *p += n;
    return c;
}

size_t hl_cli_width(const char *text)
{
    size_t width = 0;
    while (*text) {
        int w = wcwidth(next_char(&text));
        width += w > 0 ? (size_t)w : 0;
    }
    return width;
}

/* C0, DEL, C1 and the marks that reorder text on a terminal. */
static bool is_harmful(wchar_t c)
{
    return c < 0x20 || (c >= 0x7F && c < 0xA0) || (c >= 0x202A && c <= 0x202E) ||
           (c >= 0x2066 && c <= 0x2069) || c == 0xFFFD;
}

void hl_cli_cut(const char *text, size_t width, struct hl_buf *out)
{
    size_t used = 0;
    bool is_longer = hl_cli_width(text) > width;
    while (*text) {
        const char *start = text;
        int w = wcwidth(next_char(&text));
        used += w > 0 ? (size_t)w : 0;
        if (is_longer && used >= width) {
            hl_buf_text(out, "\xE2\x80\xA6");
            return;
        }
        hl_buf_add(out, start, (size_t)(text - start));
    }
}

static void add_clean(struct hl_buf *out, const char *text)
{
    while (*text) {
        const char *start = text;
        if (is_harmful(next_char(&text)))
            hl_buf_text(out, "\xEF\xBF\xBD");
        else
            hl_buf_add(out, start, (size_t)(text - start));
    }
}

/* On one line, whatever is inside; deeper than DEPTH it is cut. */
static void add_inline(struct hl_buf *out, const json_t *value, int depth)
{
    size_t i;
    const char *key;
    json_t *child;
    switch (json_typeof(value)) {
    case JSON_STRING: add_clean(out, json_string_value(value)); break;
    case JSON_INTEGER:
        hl_buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;
    case JSON_REAL: hl_buf_printf(out, "%g", json_real_value(value)); break;
    case JSON_TRUE: hl_buf_text(out, "yes"); break;
    case JSON_FALSE: hl_buf_text(out, "no"); break;
    case JSON_NULL: break;
    case JSON_ARRAY:
        json_array_foreach(value, i, child)
        {
            hl_buf_text(out, i ? ", " : "");
            if (depth < DEPTH)
                add_inline(out, child, depth + 1);
        }
        break;
    case JSON_OBJECT:
        json_object_foreach((json_t *)value, key, child)
        {
            hl_buf_text(
                out, json_object_iter((json_t *)value) == json_object_key_to_iter(key) ? "" : " ");
            add_clean(out, key);
            hl_buf_text(out, "=");
            if (depth < DEPTH)
                add_inline(out, child, depth + 1);
        }
        break;
    }
}

void hl_cli_inline(const json_t *value, struct hl_buf *out)
{
    add_inline(out, value, 0);
}

bool hl_cli_is_empty(const json_t *value)
{
    if (json_is_string(value))
        return json_string_length(value) == 0;
    if (json_is_array(value))
        return json_array_size(value) == 0;
    return !value || json_is_null(value) || (json_is_object(value) && json_object_size(value) == 0);
}

/* What cannot stand behind its key on one line. */
static bool is_nested(const json_t *value)
{
    if (json_is_object(value))
        return json_object_size(value) > 0;
    size_t i;
    json_t *child;
    json_array_foreach(value, i, child)
    {
        if (json_is_object(child) || json_is_array(child))
            return true;
    }
    return false;
}

bool hl_cli_is_table(const json_t *value)
{
    size_t i;
    json_t *child;
    json_array_foreach(value, i, child)
    {
        if (!json_is_object(child))
            return false;
    }
    return json_array_size(value) > 0;
}

static void add_indent(struct hl_buf *out, int depth)
{
    hl_buf_printf(out, "%*s", 2 * depth, "");
}

/* ---- objects and lists */

static void add_key(struct hl_buf *out, const char *key, int depth)
{
    add_indent(out, depth);
    for (const char *p = key; *p; p++)
        hl_buf_byte(out, (uint8_t)(*p == '_' ? ' ' : *p));
    hl_buf_text(out, ":");
}

/* For the shell, which has it already; or nothing to be said. */
static bool is_left_out(const char *key, const json_t *value)
{
    return strcmp(key, "exit_code") == 0 || hl_cli_is_empty(value);
}

static void render_object(const struct view *view, const json_t *object, int depth)
{
    const char *key;
    json_t *value;
    size_t widest = 0;
    json_object_foreach((json_t *)object, key, value)
    {
        size_t width = hl_cli_width(key);
        if (!is_left_out(key, value) && !is_nested(value) && width > widest)
            widest = width;
    }
    json_object_foreach((json_t *)object, key, value)
    {
        if (is_left_out(key, value))
            continue;
        add_key(view->out, key, depth);
        if (is_nested(value) && depth < DEPTH) {
            hl_buf_text(view->out, "\n");
            render(view, value, depth + 1);
            continue;
        }
        hl_buf_printf(view->out, "%*s", (int)(1 + widest - hl_cli_width(key)), "");
        add_inline(view->out, value, 0);
        hl_buf_text(view->out, "\n");
    }
}

/* By shape: object, table, list, single value. */
static void render(const struct view *view, const json_t *value, int depth)
{
    size_t i, indent = 2 * (size_t)depth;
    json_t *child;
    if (json_is_object(value)) {
        render_object(view, value, depth);
    } else if (hl_cli_is_table(value)) {
        hl_cli_table(value, indent, view->width, view->out);
    } else if (json_is_array(value)) {
        json_array_foreach(value, i, child)
        {
            add_indent(view->out, depth);
            hl_cli_render_item(child, view->out);
        }
    } else {
        add_indent(view->out, depth);
        hl_cli_render_item(value, view->out);
    }
}

void hl_cli_render(const json_t *value, size_t width, struct hl_buf *out)
{
    const struct view view = {out, width};
    if (json_is_array(value) && json_array_size(value) == 0)
        hl_buf_text(out, "none\n");
    else if (!json_is_null(value))
        render(&view, value, 0);
}

/* Values of an object side by side without their keys: a stream of items has the same ones in
 * each. */
void hl_cli_render_item(const json_t *item, struct hl_buf *out)
{
    const char *key, *sep = "";
    json_t *value;
    if (json_is_object(item)) {
        json_object_foreach((json_t *)item, key, value)
        {
            hl_buf_text(out, sep);
            add_inline(out, value, 0);
            sep = "  ";
        }
    } else {
        add_inline(out, item, 0);
    }
    hl_buf_text(out, "\n");
}
