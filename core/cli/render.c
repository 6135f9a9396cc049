/* JSON for people: tables, key and value, lines. SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "core/cli/cli.h"

/* Beyond these a table or an object is for --json: nobody reads it on a terminal. */
enum { COLUMNS = 32, DEPTH = 6 };

static void render(const json_t *value, int depth, struct hl_buf *out);

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

static bool is_table(const json_t *value)
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

/* ---- tables */

/* Columns are the union of all rows' keys in the order they are first met: rows of one command need not
 * all have every key. A column is a number's only if every cell is. */
struct table {
    const char *keys[COLUMNS];
    size_t widths[COLUMNS];
    bool is_number[COLUMNS];
    size_t n;
};

static size_t column_of(struct table *table, const char *key)
{
    for (size_t i = 0; i < table->n; i++)
        if (strcmp(table->keys[i], key) == 0)
            return i;
    if (table->n == COLUMNS)
        return COLUMNS;
    table->keys[table->n] = key;
    table->widths[table->n] = hl_cli_width(key);
    table->is_number[table->n] = true;
    return table->n++;
}

static void measure_row(struct table *table, const json_t *row)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)row, key, value)
    {
        size_t column = column_of(table, key);
        if (column == COLUMNS)
            continue;
        struct hl_buf cell = {0};
        add_inline(&cell, value, 0);
        size_t width = hl_cli_width(hl_buf_str(&cell));
        hl_buf_fini(&cell);
        if (width > table->widths[column])
            table->widths[column] = width;
        if (!json_is_number(value) && !json_is_null(value))
            table->is_number[column] = false;
    }
}

static void add_cell(struct hl_buf *out, const struct table *table, size_t column, const char *text)
{
    size_t blanks = table->widths[column] - hl_cli_width(text);
    bool is_last = column + 1 == table->n;
    if (table->is_number[column])
        hl_buf_printf(out, "%*s", (int)blanks, "");
    hl_buf_text(out, text);
    if (!table->is_number[column] && !is_last)
        hl_buf_printf(out, "%*s", (int)blanks, "");
    hl_buf_text(out, is_last ? "\n" : "  ");
}

static void add_header(struct hl_buf *out, const struct table *table)
{
    for (size_t c = 0; c < table->n; c++) {
        struct hl_buf title = {0};
        for (const char *p = table->keys[c]; *p; p++)
            hl_buf_byte(&title, (uint8_t)(*p == '_' ? ' ' : toupper((unsigned char)*p)));
        add_cell(out, table, c, hl_buf_str(&title));
        hl_buf_fini(&title);
    }
}

static void add_indent(struct hl_buf *out, int depth)
{
    hl_buf_printf(out, "%*s", 2 * depth, "");
}

static void render_table(const json_t *rows, int depth, struct hl_buf *out)
{
    struct table table = {0};
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        measure_row(&table, row);
    }
    if (table.n == 0)
        return;
    add_indent(out, depth);
    add_header(out, &table);
    json_array_foreach(rows, i, row)
    {
        add_indent(out, depth);
        for (size_t c = 0; c < table.n; c++) {
            const json_t *value = json_object_get(row, table.keys[c]);
            struct hl_buf cell = {0};
            if (value)
                add_inline(&cell, value, 0);
            add_cell(out, &table, c, hl_buf_str(&cell));
            hl_buf_fini(&cell);
        }
    }
}

/* ---- objects and lists */

static void add_key(struct hl_buf *out, const char *key, int depth)
{
    add_indent(out, depth);
    for (const char *p = key; *p; p++)
        hl_buf_byte(out, (uint8_t)(*p == '_' ? ' ' : *p));
    hl_buf_text(out, ":");
}

static void render_object(const json_t *object, int depth, struct hl_buf *out)
{
    const char *key;
    json_t *value;
    size_t widest = 0;
    json_object_foreach((json_t *)object, key, value)
    {
        size_t width = hl_cli_width(key);
        widest = !is_nested(value) && width > widest ? width : widest;
    }
    json_object_foreach((json_t *)object, key, value)
    {
        /* For the shell, which has it already. */
        if (strcmp(key, "exit_code") == 0)
            continue;
        add_key(out, key, depth);
        if (is_nested(value) && depth < DEPTH) {
            hl_buf_text(out, "\n");
            render(value, depth + 1, out);
            continue;
        }
        hl_buf_printf(out, "%*s", (int)(1 + widest - hl_cli_width(key)), "");
        add_inline(out, value, 0);
        hl_buf_text(out, "\n");
    }
}

static void render(const json_t *value, int depth, struct hl_buf *out)
{
    size_t i;
    json_t *child;
    if (json_is_object(value)) {
        render_object(value, depth, out);
    } else if (is_table(value)) {
        render_table(value, depth, out);
    } else if (json_is_array(value)) {
        json_array_foreach(value, i, child)
        {
            add_indent(out, depth);
            hl_cli_render_item(child, out);
        }
    } else {
        add_indent(out, depth);
        hl_cli_render_item(value, out);
    }
}

void hl_cli_render(const json_t *value, struct hl_buf *out)
{
    if (json_is_array(value) && json_array_size(value) == 0)
        hl_buf_text(out, "none\n");
    else if (!json_is_null(value))
        render(value, 0, out);
}

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
