/* Tables of the site: tables/NAME.csv, first row the column names, first column the key;
 * read-only in Lua, one copy for all states. Knows nothing of rules.
 *
 * Read once per load into the set's arena; afterwards immutable, so that all threads read it
 * without a lock. A row with a fault stops the file: a table with a row too few would answer
 * wrongly. SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/text.h"
#include "core/script/internal.h"

#define TABLE_TYPE "hilum.table"
#define ROW_TYPE   "hilum.row"

enum { COLUMNS_MAX = 64, ROWS_MAX = 200000, TABLE_MAX = 16 << 20 };

/* A CSV text (RFC 4180) being read; a semicolon separates where the header has more of them, as
 * spreadsheets of half of Europe write. */
struct csv {
    struct hl_script_set *set;
    struct hl_faults *faults;
    const char *path, *at, *end;
    char separator;
    unsigned line;
};

/* Decided by the first line alone; one separator holds for the whole file. */
static char separator_of(const char *text, size_t size)
{
    size_t commas = 0, semicolons = 0;
    for (size_t i = 0; i < size && text[i] != '\n'; i++) {
        commas += text[i] == ',';
        semicolons += text[i] == ';';
    }
    return semicolons > commas ? ';' : ',';
}

/* "a ""quoted"" field" at csv->at, which is behind the first quote: it may hold separators and
 * line ends. First pass: where it ends and how long it is. NULL after a fault. */
static const char *quoted_read(struct csv *csv, size_t *size)
{
    const char *start = csv->at;
    unsigned line = csv->line;
    size_t room = 0;
    const char *p = start;
    for (; p < csv->end && !(p[0] == '"' && (p + 1 == csv->end || p[1] != '"')); p++, room++) {
        csv->line += *p == '\n';
        p += *p == '"';
    }
    char *out = p < csv->end ? hl_arena_alloc(&csv->set->arena, room + 1) : NULL;
    if (!out) {
        hl_faults_add(csv->faults, csv->path, line, "expected a closing \" before the end");
        return NULL;
    }
    for (const char *from = start; from < p; from++) {
        from += *from == '"';
        out[(*size)++] = *from;
    }
    csv->at = p + 1;
    return out;
}

/* Blanks around a field without quotes are dropped, as people align columns. */
static const char *field_read(struct csv *csv)
{
    size_t size = 0;
    if (csv->at < csv->end && *csv->at == '"') {
        csv->at++;
        return quoted_read(csv, &size);
    }
    const char *start = csv->at;
    while (csv->at < csv->end && *csv->at != csv->separator && *csv->at != '\n' &&
           *csv->at != '\r') {
        csv->at++;
    }
    const char *last = csv->at;
    while (start < last && (*start == ' ' || *start == '\t')) {
        start++;
    }
    while (last > start && (last[-1] == ' ' || last[-1] == '\t')) {
        last--;
    }
    return hl_arena_strndup(&csv->set->arena, start, (size_t)(last - start));
}

/* One row into fields; false after a fault. At the end of the text *n is 0. */
static bool row_read(struct csv *csv, const char *fields[COLUMNS_MAX], size_t *n)
{
    *n = 0;
    while (csv->at < csv->end && (*csv->at == '\n' || *csv->at == '\r')) {
        csv->line += *csv->at++ == '\n';
    }
    /* A separator promises a field even if the text ends there. */
    for (bool more = csv->at < csv->end; more;) {
        if (*n == COLUMNS_MAX) {
            hl_faults_add(csv->faults, csv->path, csv->line, "expected at most %d columns",
                          COLUMNS_MAX);
            return false;
        }
        fields[*n] = field_read(csv);
        if (!fields[(*n)++]) {
            return false;
        }
        more = csv->at < csv->end && *csv->at == csv->separator;
        if (more) {
            csv->at++;
        } else if (csv->at < csv->end && *csv->at != '\n' && *csv->at != '\r') {
            hl_faults_add(csv->faults, csv->path, csv->line, "expected '%c' after a closing \"",
                          csv->separator);
            return false;
        }
    }
    return true;
}

/* By key, bytewise: for qsort here and bsearch in hl_script_table_row. */
static int compare_rows(const void *a, const void *b)
{
    return strcmp((*(const char **const *)a)[0], (*(const char **const *)b)[0]);
}

/* Keeps a row in the arena. The line number follows the fields, for the fault about equal keys. */
static bool row_keep(struct csv *csv, struct hl_script_table *table, const char *const *fields,
                     unsigned line, size_t *cap)
{
    size_t n = table->n_columns;
    if (table->n_rows == ROWS_MAX ||
        !hl_grow(&table->rows, cap, table->n_rows, sizeof *table->rows)) {
        hl_faults_add(csv->faults, csv->path, line, "expected at most %d rows", ROWS_MAX);
        return false;
    }
    const char **row = hl_arena_alloc(&csv->set->arena, (n + 1) * sizeof *row);
    char number[16];
    snprintf(number, sizeof number, "%u", line);
    if (!row || !(row[n] = hl_arena_strdup(&csv->set->arena, number))) {
        return false;
    }
    memcpy(row, fields, n * sizeof *row);
    table->rows[table->n_rows++] = row;
    return true;
}

/* Empty lines are skipped by row_read, so the line of a row is known only after it was read. */
static bool rows_read(struct csv *csv, struct hl_script_table *table)
{
    const char *fields[COLUMNS_MAX];
    size_t n, cap = 0;
    for (;;) {
        unsigned line = csv->line;
        if (!row_read(csv, fields, &n)) {
            return false;
        }
        if (n == 0) {
            return true;
        }
        line = csv->line > line ? csv->line : line;
        if (n != table->n_columns) {
            hl_faults_add(csv->faults, csv->path, line,
                          "expected %zu columns as in the first row, found %zu", table->n_columns,
                          n);
            return false;
        }
        if (!row_keep(csv, table, fields, line, &cap)) {
            return false;
        }
    }
}

/* Sorts the rows, and finds keys that are there twice: which of the two rows answers would be
 * chance. */
static bool keys_check(struct csv *csv, struct hl_script_table *table)
{
    size_t n = table->n_columns;
    if (table->n_rows > 1) {
        qsort(table->rows, table->n_rows, sizeof *table->rows, compare_rows);
    }
    bool is_good = true;
    for (size_t i = 1; i < table->n_rows; i++) {
        if (strcmp(table->rows[i - 1][0], table->rows[i][0]) == 0) {
            hl_faults_add(
                csv->faults, csv->path, (unsigned)strtoul(table->rows[i][n], NULL, 10),
                "key \"%s\" is there twice: expected every value of the first column once",
                table->rows[i][0]);
            is_good = false;
        }
    }
    return is_good;
}

/* What is not UTF-8 would never be equal to a value of an object, and nobody would know why. */
static bool text_check(const struct csv *csv)
{
    unsigned line = 1;
    for (const char *p = csv->at; p < csv->end;) {
        size_t left = (size_t)(csv->end - p);
        const char *at = p;
        if (hl_utf8_next(&p, &left) <= 0) {
            hl_faults_add(csv->faults, csv->path, line,
                          "expected UTF-8, found the byte 0x%02X; save the file as UTF-8",
                          (unsigned char)*at);
            return false;
        }
        line += *at == '\n';
    }
    return true;
}

/* row.NAME takes the first of two columns of a name, which is not the one that was meant. */
static bool columns_check(const struct csv *csv, const struct hl_script_table *table)
{
    for (size_t i = 1; i < table->n_columns; i++) {
        for (size_t k = 0; k < i; k++) {
            if (*table->columns[i] && strcmp(table->columns[i], table->columns[k]) == 0) {
                hl_faults_add(csv->faults, csv->path, 1,
                              "column \"%s\" is there twice: expected every name once",
                              table->columns[i]);
                return false;
            }
        }
    }
    return true;
}

bool hl_script_table_parse(struct hl_script_set *set, const char *path, const char *text,
                           size_t size, struct hl_script_table *table, struct hl_faults *faults)
{
    struct csv csv = {.set = set,
                      .faults = faults,
                      .path = path,
                      .at = text,
                      .end = text + size,
                      .separator = separator_of(text, size),
                      .line = 1};
    const char *fields[COLUMNS_MAX];
    size_t n;
    if (!text_check(&csv) || !row_read(&csv, fields, &n)) {
        return false;
    }
    if (n == 0) {
        hl_faults_add(faults, path, 1, "expected a first row with the names of the columns");
        return false;
    }
    table->columns = hl_arena_alloc(&set->arena, n * sizeof *table->columns);
    if (!table->columns) {
        return false;
    }
    memcpy(table->columns, fields, n * sizeof *fields);
    table->n_columns = n;
    return columns_check(&csv, table) && rows_read(&csv, table) && keys_check(&csv, table);
}

struct reading {
    struct hl_script_set *set;
    struct hl_faults *faults;
};

/* The table's name is that of the file without ".csv". */
static void table_read(void *arg, const char *path)
{
    struct reading *reading = arg;
    struct hl_script_set *set = reading->set;
    size_t size;
    const char *text = hl_script_file_read(set, path, TABLE_MAX, reading->faults, &size);
    if (!text || !hl_grow(&set->tables, &set->cap_tables, set->n_tables, sizeof *set->tables)) {
        return;
    }
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    struct hl_script_table *table = &set->tables[set->n_tables++];
    *table = (struct hl_script_table){0};
    table->name = hl_arena_strndup(&set->arena, name, strlen(name) - strlen(".csv"));
    hl_script_table_parse(set, path, text, size, table, reading->faults);
}

void hl_script_tables_read(struct hl_script_set *set, const char *dir, struct hl_faults *faults)
{
    struct reading reading = {set, faults};
    hl_script_files(dir, ".csv", faults, table_read, &reading);
}

/* The key is dressed as a row of one column, because bsearch compares rows. */
const char **hl_script_table_row(const struct hl_script_table *table, const char *key)
{
    const char *row[] = {key};
    const char **wanted = row;
    if (table->n_rows == 0) {
        return NULL;
    }
    const char ***found =
        bsearch(&wanted, table->rows, table->n_rows, sizeof *table->rows, compare_rows);
    return found ? *found : NULL;
}

/* ---- in Lua ------------------------------------------------------------------------------------
 */

/* A table or a row as Lua holds it. It points into the set, which outlives its states. */
struct table_ref {
    const struct hl_script_table *table;
    const char **row; /* of a ROW_TYPE */
};

void hl_script_table_push(lua_State *lua, const struct hl_script_table *table)
{
    struct table_ref *ref = lua_newuserdatauv(lua, sizeof *ref, 0);
    *ref = (struct table_ref){table, NULL};
    luaL_setmetatable(lua, TABLE_TYPE);
}

/* hilum.table("x")[key]: the row, nil if there is none. */
static int table_index(lua_State *lua)
{
    const struct table_ref *ref = luaL_checkudata(lua, 1, TABLE_TYPE);
    const char **row = NULL;
    if (!lua_isnil(lua, 2)) { /* table[ev.Field] where the field is absent: no row */
        row = hl_script_table_row(ref->table, luaL_checkstring(lua, 2));
    }
    if (!row) {
        lua_pushnil(lua);
        return 1;
    }
    struct table_ref *out = lua_newuserdatauv(lua, sizeof *out, 0);
    *out = (struct table_ref){ref->table, row};
    luaL_setmetatable(lua, ROW_TYPE);
    return 1;
}

/* row.column. A column that does not exist is an error: it is a typing error, not missing data. */
static int row_index(lua_State *lua)
{
    const struct table_ref *ref = luaL_checkudata(lua, 1, ROW_TYPE);
    const struct hl_script_table *table = ref->table;
    const char *key = luaL_checkstring(lua, 2);
    for (size_t i = 0; i < table->n_columns; i++) {
        if (strcmp(table->columns[i], key) == 0) {
            lua_pushstring(lua, ref->row[i]);
            return 1;
        }
    }
    const char *near = hl_nearest(key, table->columns, table->n_columns);
    return luaL_error(lua, "tables/%s.csv has no column \"%s\"%s%s%s", table->name, key,
                      near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static int table_length(lua_State *lua)
{
    const struct table_ref *ref = luaL_checkudata(lua, 1, TABLE_TYPE);
    lua_pushinteger(lua, (lua_Integer)ref->table->n_rows);
    return 1;
}

static int table_assign(lua_State *lua)
{
    return luaL_error(lua, "a table of the site cannot be changed by a rule");
}

static void type_open(lua_State *lua, const char *type, lua_CFunction index)
{
    luaL_newmetatable(lua, type);
    lua_pushcfunction(lua, index);
    lua_setfield(lua, -2, "__index");
    lua_pushcfunction(lua, table_assign);
    lua_setfield(lua, -2, "__newindex");
    lua_pushboolean(lua, 0);
    lua_setfield(lua, -2, "__metatable");
}

void hl_script_table_open(lua_State *lua)
{
    type_open(lua, TABLE_TYPE, table_index);
    lua_pushcfunction(lua, table_length);
    lua_setfield(lua, -2, "__len");
    type_open(lua, ROW_TYPE, row_index);
    lua_pop(lua, 2);
}
