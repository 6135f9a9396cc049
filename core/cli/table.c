/* A list of objects as a table that fits a terminal. Knows nothing of what the rows are about.
 *
 * Measured whole before a line is printed: columns are as wide as what is in them.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "core/cli/cli.h"

/* Beyond COLUMNS a table is for --json. Below NARROW a cut cell says nothing any more. */
enum { COLUMNS = 32, NARROW = 6, GAP = 2 };

/* Columns are the union of all rows' keys in the order they are first met: rows of one command need not
 * all have every key. A column is a number's only if every cell is. */
struct column {
    const char *key;
    size_t width;
    bool is_number, is_used;
    bool is_uid, is_below; /* what people copy is never cut: it gets a line of its own instead */
};

struct table {
    struct column columns[COLUMNS];
    size_t n, indent;
};

static bool is_uid(const char *key)
{
    size_t n = strlen(key);
    return n >= 3 && strcmp(key + n - 3, "UID") == 0;
}

/* NULL: a column too many, which is left out. */
static struct column *column_of(struct table *table, const char *key)
{
    for (size_t i = 0; i < table->n; i++)
        if (strcmp(table->columns[i].key, key) == 0)
            return &table->columns[i];
    if (table->n == COLUMNS)
        return NULL;
    table->columns[table->n] = (struct column){
        .key = key, .width = hl_cli_width(key), .is_number = true, .is_uid = is_uid(key)};
    return &table->columns[table->n++];
}

/* A list of objects within a cell is only counted: it is a table of its own, for --json. */
static void cell_text(const json_t *value, struct hl_buf *out)
{
    if (hl_cli_is_table(value))
        hl_buf_printf(out, "%zu", json_array_size(value));
    else if (value)
        hl_cli_inline(value, out);
}

static void measure_row(struct table *table, const json_t *row)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)row, key, value)
    {
        struct column *column = column_of(table, key);
        if (!column)
            continue;
        struct hl_buf cell = {0};
        cell_text(value, &cell);
        size_t width = hl_cli_width(hl_buf_str(&cell));
        hl_buf_fini(&cell);
        column->width = width > column->width ? width : column->width;
        if (hl_cli_is_empty(value))
            continue;
        column->is_used = true;
        if (!json_is_number(value) && !hl_cli_is_table(value))
            column->is_number = false;
    }
}

static void drop_unused(struct table *table)
{
    size_t kept = 0;
    for (size_t c = 0; c < table->n; c++)
        if (table->columns[c].is_used)
            table->columns[kept++] = table->columns[c];
    table->n = kept;
}

static size_t total_width(const struct table *table)
{
    size_t total = table->indent, n = 0;
    for (size_t c = 0; c < table->n; c++)
        if (!table->columns[c].is_below)
            total += table->columns[c].width + (n++ ? GAP : 0);
    return total;
}

/* Numbers and UIDs are never cut: half of one is another one. */
static struct column *widest_to_cut(struct table *table)
{
    struct column *widest = NULL;
    for (size_t c = 0; c < table->n; c++) {
        struct column *column = &table->columns[c];
        bool may_cut = !column->is_uid && !column->is_number && column->width > NARROW;
        if (may_cut && (!widest || column->width > widest->width))
            widest = column;
    }
    return widest;
}

/* UIDs go below first, then the widest column gives way, one by one. */
static void fit(struct table *table, size_t width)
{
    if (total_width(table) <= width)
        return;
    for (size_t c = 1; c < table->n; c++)
        table->columns[c].is_below = table->columns[c].is_uid;
    for (struct column *widest; total_width(table) > width && (widest = widest_to_cut(table));)
        widest->width--;
}

/* `pending` blanks are written before the next text only: no line ends in blanks. */
static void add_cell(const struct column *column, const char *text, size_t *pending,
                     struct hl_buf *out)
{
    struct hl_buf cut = {0};
    hl_cli_cut(text, column->width, &cut);
    size_t blanks = column->width - hl_cli_width(hl_buf_str(&cut));
    *pending += column->is_number ? blanks : 0;
    if (cut.len > 0) {
        hl_buf_printf(out, "%*s%s", (int)*pending, "", hl_buf_str(&cut));
        *pending = 0;
    }
    *pending += (column->is_number ? 0 : blanks) + GAP;
    hl_buf_fini(&cut);
}

static void add_header(const struct table *table, struct hl_buf *out)
{
    size_t pending = table->indent;
    for (size_t c = 0; c < table->n; c++) {
        struct hl_buf title = {0};
        if (table->columns[c].is_below)
            continue;
        for (const char *p = table->columns[c].key; *p; p++)
            hl_buf_byte(&title, (uint8_t)(*p == '_' ? ' ' : *p));
        add_cell(&table->columns[c], hl_buf_str(&title), &pending, out);
        hl_buf_fini(&title);
    }
    hl_buf_text(out, "\n");
}

static void add_below(const struct table *table, const json_t *row, struct hl_buf *out)
{
    for (size_t c = 0; c < table->n; c++) {
        const struct column *column = &table->columns[c];
        const json_t *value = json_object_get(row, column->key);
        if (!column->is_below || hl_cli_is_empty(value))
            continue;
        hl_buf_printf(out, "%*s%s ", (int)table->indent + GAP, "", column->key);
        hl_cli_inline(value, out);
        hl_buf_text(out, "\n");
    }
}

static void add_row(const struct table *table, const json_t *row, struct hl_buf *out)
{
    size_t pending = table->indent;
    for (size_t c = 0; c < table->n; c++) {
        struct hl_buf cell = {0};
        if (table->columns[c].is_below)
            continue;
        cell_text(json_object_get(row, table->columns[c].key), &cell);
        add_cell(&table->columns[c], hl_buf_str(&cell), &pending, out);
        hl_buf_fini(&cell);
    }
    hl_buf_text(out, "\n");
    add_below(table, row, out);
}

void hl_cli_table(const json_t *rows, size_t indent, size_t width, struct hl_buf *out)
{
    struct table table = {.indent = indent};
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        measure_row(&table, row);
    }
    drop_unused(&table);
    if (table.n == 0)
        return;
    if (width > 0)
        fit(&table, width);
    add_header(&table, out);
    json_array_foreach(rows, i, row)
    {
        add_row(&table, row, out);
    }
}
