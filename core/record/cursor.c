/* Cursors over answers: a page of rows is read and the session given back, so that a peer that stops reading
 * holds nothing. Knows nothing of how a key matches.
 *
 * A position is the values of the order columns of the last answer: it needs no memory here,
 * survives a restart, and a row that was deleted meanwhile does not disturb it. Answers of one
 * cursor may come of several states of the catalogue, one a page. The order is total, so none is
 * given twice, unless an edit moved it behind the position meanwhile.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/hex.h"
#include "core/record/find.h"

/* The first page is short: the first answers should leave early, and many ask for few.
 * KEYS_MAX and RETURNS_MAX: more than any identifier has that was not made to be a burden. */
enum { PAGE_FIRST = 128, PAGE_NEXT = 512, KEYS_MAX = 128, RETURNS_MAX = 256 };

struct answer {
    struct hilum_value at[HL_ORDER_MAX]; /* order columns; texts in the page's arena */
    const char **values;                 /* n_returns; NULL: not kept */
};

/* Two arenas: the query lives as long as the cursor, a page until the next is read. */
struct hilum_cursor {
    struct hl_record *record;
    struct hl_arena arena; /* the query */
    struct hl_find find;
    unsigned left; /* answers still wanted */
    bool is_limited, is_last_page;
    struct hl_arena page;
    struct answer *answers;
    unsigned n, at; /* at: the next to be given */
    unsigned asked; /* rows the last page was to have */
    struct hilum_value after[HL_ORDER_MAX];
    bool has_after;
    struct hl_buf position;
};

/* ---- the query ---------------------------------------------------------------------------------------- */

static hilum_rc no_memory(void)
{
    return hl_fail(HILUM_ENOMEM, "query: out of memory");
}

/* Universal keys are left out: they match everything and would only hide what leads. */
static hilum_rc keys_copy(hilum_cursor *cursor, const struct hilum_catalog_query *query)
{
    struct hl_find *find = &cursor->find;
    find->keys = hl_arena_alloc(&cursor->arena, (query->n_keys + 1) * sizeof *find->keys);
    find->columns = hl_arena_alloc(&cursor->arena, (query->n_keys + 1) * sizeof *find->columns);
    if (!find->keys || !find->columns)
        return no_memory();
    for (unsigned i = 0; i < query->n_keys; i++) {
        const struct hilum_catalog_key *key = &query->keys[i];
        const struct hl_column *column = hl_column_find(query->level, key->tag);
        /* An attribute that is not kept matches all (PS3.4 C.2.2.1.3). */
        bool is_asked = column && !(column->flags & HL_COLUMN_CONSTANT);
        if (!is_asked || hl_match_is_universal(key))
            continue;
        char *value = hl_arena_strdup(&cursor->arena, key->value);
        if (!value)
            return no_memory();
        find->keys[find->n_keys] = *key;
        find->keys[find->n_keys].value = value;
        find->columns[find->n_keys++] = column;
    }
    return HILUM_OK;
}

/* Everything is copied: the caller's memory may go, and a cursor lives as long as a peer reads. */
static hilum_rc query_copy(hilum_cursor *cursor, const struct hilum_catalog_query *query)
{
    struct hl_find *find = &cursor->find;
    if (query->level < HILUM_LEVEL_PATIENT || query->level > HILUM_LEVEL_IMAGE)
        return hl_fail(HILUM_EINVAL, "query: level %u: expected 1 to 4", query->level);
    if (query->n_keys > KEYS_MAX || query->n_returns > RETURNS_MAX)
        return hl_fail(HILUM_EINVAL, "query: more than %d keys or %d return keys", KEYS_MAX,
                       RETURNS_MAX);
    find->level = query->level;
    find->order = query->order;
    find->n_returns = query->n_returns;
    find->returns = hl_arena_alloc(&cursor->arena, (query->n_returns + 1) * sizeof *find->returns);
    if (!find->returns)
        return no_memory();
    if (query->n_returns)
        memcpy(find->returns, query->returns, query->n_returns * sizeof *find->returns);
    cursor->left = query->limit;
    cursor->is_limited = query->limit > 0;
    return keys_copy(cursor, query);
}

/* ---- positions: "<signature>.<number>.t<hex of a text>..." ----------------------------------------------- */

/* Hexadecimal, since a position travels in URLs and headers. */
static void hex_add(struct hl_buf *out, const char *text, size_t n)
{
    hl_buf_byte(out, 't');
    for (size_t i = 0; i < n; i++)
        hl_buf_printf(out, "%02x", (unsigned char)text[i]);
}

static bool hex_read(struct hl_arena *arena, const char *hex, size_t n, struct hilum_value *out)
{
    char *text = hl_arena_alloc(arena, n / 2 + 1);
    if (!text || n % 2 || !hl_hex_read(hex, n / 2, text))
        return false;
    *out = (struct hilum_value){.type = HILUM_DB_TEXT, .bytes = text, .n = n / 2};
    return true;
}

/* One value of a position. A position comes back from a web client, so it is parsed like any
 * foreign input. */
static bool part_read(struct hl_arena *arena, const char *part, size_t n, bool is_text,
                      struct hilum_value *out)
{
    int64_t number = 0;
    if (is_text)
        return n > 0 && *part == 't' && hex_read(arena, part + 1, n - 1, out);
    /* HL_NO_NUMBER is a position too, and no IS. */
    if (n == 19 && strncmp(part, "9223372036854775807", n) == 0)
        number = HL_NO_NUMBER;
    else if (!hl_int_parse(part, n, &number))
        return false;
    *out = hl_value_int(number);
    return true;
}

/* The signature says in which order the position was made; in another order it would skip or
 * repeat answers. Text that was no position of ours ends here with HILUM_EINVAL, whatever it
 * holds. */
static hilum_rc position_read(hilum_cursor *cursor, const char *text)
{
    const struct hl_order *by = &cursor->find.by;
    bool is_good = text[0] == by->signature && strlen(text) < 16384;
    const char *rest = text + (text[0] != '\0');
    for (unsigned i = 0; i < by->n && is_good; i++) {
        is_good = *rest == '.';
        rest += is_good;
        size_t n = strcspn(rest, ".");
        is_good = is_good &&
                  part_read(&cursor->arena, rest, n, by->columns[i].is_text, &cursor->after[i]);
        rest += n;
    }
    cursor->has_after = true;
    return is_good && !*rest ? HILUM_OK
                             : hl_fail(HILUM_EINVAL, "query: `after` is no position of this query");
}

const char *hl_cursor_position(hilum_cursor *cursor)
{
    const struct hl_order *by = &cursor->find.by;
    hl_buf_clear(&cursor->position);
    if (cursor->at == 0)
        return "";
    const struct answer *answer = &cursor->answers[cursor->at - 1];
    hl_buf_byte(&cursor->position, (uint8_t)by->signature);
    for (unsigned i = 0; i < by->n; i++) {
        hl_buf_byte(&cursor->position, '.');
        if (by->columns[i].is_text)
            hex_add(&cursor->position, answer->at[i].bytes, answer->at[i].n);
        else
            hl_buf_printf(&cursor->position, "%lld", (long long)answer->at[i].integer);
    }
    return hl_buf_str(&cursor->position);
}

/* ---- pages ----------------------------------------------------------------------------------------------- */

/* NULL: not kept at all; "" : kept and empty. HL_NO_NUMBER is how an absent number is stored;
 * a client sees it empty. */
static const char *value_text(struct hl_arena *arena, const struct hilum_value *value)
{
    char number[24];
    if (value->type == HILUM_DB_TEXT)
        return hl_arena_strndup(arena, value->bytes, value->n);
    if (value->type != HILUM_DB_INT)
        return NULL;
    snprintf(number, sizeof number, "%lld", (long long)value->integer);
    return hl_arena_strdup(arena, value->integer == HL_NO_NUMBER ? "" : number);
}

/* The order's values are kept beside the answer: they are where the next page begins. Texts of
 * the statement live until its next step, hence the copies. */
static hilum_rc answer_read(hilum_cursor *cursor, struct hl_stmt *stmt, struct answer *out)
{
    const struct hl_order *by = &cursor->find.by;
    unsigned n = cursor->find.n_returns;
    out->values = hl_arena_alloc(&cursor->page, (n + 1) * sizeof *out->values);
    if (!out->values)
        return no_memory();
    for (unsigned i = 0; i < by->n; i++) {
        out->at[i] = hl_stmt_value(stmt, i);
        if (out->at[i].type == HILUM_DB_TEXT)
            out->at[i].bytes =
                hl_arena_strndup(&cursor->page, out->at[i].bytes, (size_t)out->at[i].n);
        if (out->at[i].type == HILUM_DB_TEXT && !out->at[i].bytes)
            return no_memory();
    }
    for (unsigned i = 0; i < n; i++) {
        struct hilum_value value = hl_stmt_value(stmt, by->n + i);
        out->values[i] = value_text(&cursor->page, &value);
    }
    return HILUM_OK;
}

/* Stops at the page's size: the LIMIT in the statement is the same number. */
static hilum_rc page_run(hilum_cursor *cursor, struct hl_session *session, struct hl_sql *sql)
{
    struct hl_stmt *stmt = NULL;
    hilum_rc rc =
        hl_session_query(session, hl_buf_str(&sql->text), sql->values, (unsigned)sql->n, &stmt);
    while (rc == HILUM_OK && cursor->n < cursor->asked && (rc = hl_stmt_step(stmt)) == 1) {
        rc = answer_read(cursor, stmt, &cursor->answers[cursor->n]);
        cursor->n += rc == HILUM_OK;
    }
    hl_stmt_done(stmt);
    return hl_search_told(rc);
}

/* Where the next page begins: copied, since the page's arena goes. */
static hilum_rc after_keep(hilum_cursor *cursor, struct hl_arena *arena)
{
    const struct hl_order *by = &cursor->find.by;
    if (cursor->n == 0)
        return HILUM_OK;
    for (unsigned i = 0; i < by->n; i++) {
        cursor->after[i] = cursor->answers[cursor->n - 1].at[i];
        if (cursor->after[i].type == HILUM_DB_TEXT)
            cursor->after[i].bytes =
                hl_arena_strndup(arena, cursor->after[i].bytes, (size_t)cursor->after[i].n);
        if (cursor->after[i].type == HILUM_DB_TEXT && !cursor->after[i].bytes)
            return no_memory();
    }
    cursor->has_after = true;
    return HILUM_OK;
}

/* A session is held from hl_readers_get to _put only, never while the caller looks at answers:
 * a peer that stops reading holds memory of one page and nothing else. The statement is
 * written anew for each page: only the values of its parameters differ, so the session has it
 * prepared. */
static hilum_rc page_read(hilum_cursor *cursor, unsigned size)
{
    struct hl_sql sql = {0};
    struct hl_arena kept = {0};
    struct hl_session *session = NULL;
    hilum_rc rc = after_keep(cursor, &kept);
    hl_arena_fini(&cursor->page);
    cursor->asked = cursor->is_limited && cursor->left < size ? cursor->left : size;
    cursor->n = cursor->at = 0;
    cursor->answers = hl_arena_alloc(&cursor->page, cursor->asked * sizeof *cursor->answers);
    if (rc == HILUM_OK && !cursor->answers)
        rc = no_memory();
    if (rc == HILUM_OK)
        rc = hl_find_write(&cursor->find, cursor->has_after ? cursor->after : NULL, cursor->asked,
                           &sql);
    if (rc == HILUM_OK)
        rc = hl_readers_search(cursor->record->readers, &session);
    if (rc == HILUM_OK) {
        rc = page_run(cursor, session, &sql);
        hl_readers_put(cursor->record->readers, session, rc);
    }
    cursor->is_last_page = cursor->n < cursor->asked;
    if (cursor->is_limited)
        cursor->left -= cursor->n;
    hl_sql_fini(&sql);
    hl_arena_fini(&kept);
    return rc;
}

/* ---- what callers see -------------------------------------------------------------------------------------- */

/* The cursor may outlive who asked. */
static void filter_keep(hilum_cursor *cursor, const struct hl_filter *filter)
{
    if (!filter)
        return;
    cursor->find.filter = *filter;
    for (unsigned i = 0; i < filter->n; i++)
        (void)hl_view_ref((struct hl_view *)(uintptr_t)filter->views[i]);
}

/* The first page is read at once, so what is wrong with the query is said here and not by the
 * first step. The extra hl_find_write only tells the order a position must be of; it is not
 * run. */
hilum_rc hl_record_find(struct hl_record *record, const struct hilum_catalog_query *query,
                        const struct hl_filter *filter, hilum_cursor **out)
{
    hilum_cursor *cursor = calloc(1, sizeof *cursor);
    struct hl_sql sql = {0};
    if (!cursor)
        return no_memory();
    cursor->record = record;
    filter_keep(cursor, filter);
    hilum_rc rc = query_copy(cursor, query);
    if (rc == HILUM_OK && query->after && *query->after) {
        rc = hl_find_write(&cursor->find, NULL, 1, &sql); /* for the order its position is in */
        if (rc == HILUM_OK)
            rc = position_read(cursor, query->after);
    }
    if (rc == HILUM_OK)
        rc = page_read(cursor, PAGE_FIRST);
    hl_sql_fini(&sql);
    if (rc != HILUM_OK) {
        hl_cursor_close(cursor);
        return rc;
    }
    *out = cursor;
    return HILUM_OK;
}

/* 1: there is one, 0: no more. Rows added meanwhile behind the position are seen, ones before
 * it are not. The limit counts answers given, over all pages. */
hilum_rc hl_cursor_next(hilum_cursor *cursor)
{
    bool has_more = !cursor->is_last_page && !(cursor->is_limited && cursor->left == 0);
    if (cursor->at == cursor->n && has_more) {
        hilum_rc rc = page_read(cursor, PAGE_NEXT);
        if (rc != HILUM_OK)
            return rc;
    }
    if (cursor->at == cursor->n)
        return 0;
    cursor->at++;
    return 1;
}

/* NULL: not asked for, or not kept. Borrowed until the next page. */
const char *hl_cursor_value(hilum_cursor *cursor, uint32_t tag)
{
    if (cursor->at == 0)
        return NULL;
    for (unsigned i = 0; i < cursor->find.n_returns; i++)
        if (cursor->find.returns[i] == tag)
            return cursor->answers[cursor->at - 1].values[i];
    return NULL;
}

void hl_cursor_close(hilum_cursor *cursor)
{
    if (!cursor)
        return;
    for (unsigned i = 0; i < cursor->find.filter.n; i++)
        hl_view_unref((struct hl_view *)(uintptr_t)cursor->find.filter.views[i]);
    hl_arena_fini(&cursor->arena);
    hl_arena_fini(&cursor->page);
    hl_buf_fini(&cursor->position);
    free(cursor);
}

/* By making the condition and throwing it away: what the matcher refuses is what it cannot do. */
int32_t hl_record_takes_key(uint32_t level, const struct hilum_catalog_key *key)
{
    const struct hl_column *column = hl_column_find(level, key->tag);
    struct hl_sql sql = {0};
    if (!column || hl_match_is_universal(key))
        return 1;
    hilum_rc rc = key->tag == HL_PATIENT_NAME ? hl_match_name_add(&sql, key, 0)
                                              : hl_match_add(&sql, column, "x", key, NULL);
    hl_sql_fini(&sql);
    return rc != HILUM_EINVAL;
}

uint32_t hl_record_attribute_at(uint32_t level, uint32_t i)
{
    for (size_t at = 0; at < hl_columns_count; at++)
        if (hl_columns[at].level <= level && i-- == 0)
            return hl_columns[at].tag;
    return 0;
}

int32_t hl_record_has_attribute(uint32_t level, uint32_t tag)
{
    return hl_column_find(level, tag) != NULL;
}
