/* The `string` and `table` functions of rules: those of Lua where one call is bounded by the
 * memory of the state, our own where it is not. Each looks at the clock after its work, because
 * the count hook does not see what C does. Knows nothing of rules.
 *
 * Held to the library's answers by tests/unit/script/test_pattern.c.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <lualib.h>

#include "core/script/internal.h"

/* Pushes capture i, or the whole match if the pattern has none. */
static void capture_push(struct hl_pattern *m, unsigned i, const char *start, const char *end)
{
    if (i >= m->level) {
        if (i != 0) {
            luaL_error(m->lua, "invalid capture index %%%d", (int)i + 1);
        }
        lua_pushlstring(m->lua, start, (size_t)(end - start)); /* no captures: the whole match */
        return;
    }
    const struct hl_capture *capture = &m->capture[i];
    if (capture->size == HL_CAPTURE_OPEN) {
        luaL_error(m->lua, "unfinished capture");
    } else if (capture->size == HL_CAPTURE_POSITION) {
        lua_pushinteger(m->lua, capture->start - m->text + 1);
    } else {
        lua_pushlstring(m->lua, capture->start, (size_t)capture->size);
    }
}

/* All captures; the whole match if there is none and `start` is given. Their number. */
static int captures_push(struct hl_pattern *m, const char *start, const char *end)
{
    unsigned n = m->level == 0 && start ? 1 : m->level;
    luaL_checkstack(m->lua, (int)n, "too many captures");
    for (unsigned i = 0; i < n; i++) {
        capture_push(m, i, start, end);
    }
    return (int)n;
}

/* The subject and the pattern stay on the stack, or in upvalues, for the whole match: their
 * bytes do not move. */
static void pattern_init(lua_State *lua, int text, int text_pattern, struct hl_pattern *m,
                         const char **pattern)
{
    size_t text_size, pattern_size;
    m->lua = lua;
    m->steps = 0;
    m->text = luaL_checklstring(lua, text, &text_size);
    m->text_end = m->text + text_size;
    *pattern = luaL_checklstring(lua, text_pattern, &pattern_size);
    m->end = *pattern + pattern_size;
}

/* Where to begin: the third argument, negative from the end. */
static size_t start_offset(lua_State *lua, size_t size)
{
    lua_Integer init = luaL_optinteger(lua, 3, 1);
    if (init > 0) {
        return (size_t)init - 1;
    }
    if (init == 0 || init < -(lua_Integer)size) {
        return 0;
    }
    return size - (size_t)-init;
}

static int find_plain(lua_State *lua, const struct hl_pattern *m, const char *pattern, size_t from)
{
    size_t size = (size_t)(m->end - pattern);
    const char *found =
        size == 0 ? m->text + from
                  : memmem(m->text + from, (size_t)(m->text_end - m->text) - from, pattern, size);
    if (!found) {
        luaL_pushfail(lua);
        return 1;
    }
    lua_pushinteger(lua, found - m->text + 1);
    lua_pushinteger(lua, found - m->text + (ptrdiff_t)size);
    return 2;
}

/* Texts without any are found by memmem, which is linear. NUL is ordinary here, but not to
 * strchr. */
static bool has_specials(const char *pattern, const char *end)
{
    for (const char *p = pattern; p < end; p++) {
        if (*p != '\0' && strchr("^$*+?.([%-", *p)) {
            return true;
        }
    }
    return false;
}

/* find gives positions and captures, match captures alone. */
static int find_or_match(lua_State *lua, bool is_find)
{
    struct hl_pattern m;
    const char *p;
    pattern_init(lua, 1, 2, &m, &p);
    size_t from = start_offset(lua, (size_t)(m.text_end - m.text));
    if (from > (size_t)(m.text_end - m.text)) {
        luaL_pushfail(lua);
        return 1;
    }
    if (is_find && (lua_toboolean(lua, 4) || !has_specials(p, m.end))) {
        return find_plain(lua, &m, p, from);
    }
    bool is_anchored = p < m.end && *p == '^';
    p += is_anchored ? 1 : 0;
    for (const char *s = m.text + from; s <= m.text_end; s++) {
        const char *end = hl_pattern_match(&m, s, p);
        if (end && is_find) {
            lua_pushinteger(lua, s - m.text + 1);
            lua_pushinteger(lua, end - m.text);
            return captures_push(&m, NULL, NULL) + 2;
        }
        if (end) {
            return captures_push(&m, s, end);
        }
        if (is_anchored) {
            break;
        }
    }
    luaL_pushfail(lua);
    return 1;
}

static int string_find(lua_State *lua)
{
    return find_or_match(lua, true);
}

static int string_match(lua_State *lua)
{
    return find_or_match(lua, false);
}

/* Upvalues: text, pattern, offset to go on at, offset of the last match's end (so that an empty
 * match does not repeat it). */
static int gmatch_next(lua_State *lua)
{
    struct hl_pattern m;
    const char *p;
    pattern_init(lua, lua_upvalueindex(1), lua_upvalueindex(2), &m, &p);
    const char *last = m.text + lua_tointeger(lua, lua_upvalueindex(4));
    for (const char *s = m.text + lua_tointeger(lua, lua_upvalueindex(3)); s <= m.text_end; s++) {
        const char *end = hl_pattern_match(&m, s, p);
        if (end && end != last) {
            lua_pushinteger(lua, end - m.text);
            lua_copy(lua, -1, lua_upvalueindex(3));
            lua_replace(lua, lua_upvalueindex(4));
            return captures_push(&m, s, end);
        }
    }
    lua_pushinteger(lua, m.text_end - m.text + 1);
    lua_replace(lua, lua_upvalueindex(3));
    return 0;
}

/* An anchor has no meaning in gmatch, as in Lua 5.4. */
static int string_gmatch(lua_State *lua)
{
    luaL_checkstring(lua, 1);
    luaL_checkstring(lua, 2);
    lua_settop(lua, 2);
    lua_pushinteger(lua, 0);
    lua_pushinteger(lua, -1);
    lua_pushcclosure(lua, gmatch_next, 4);
    return 1;
}

/* Appends the replacement text at 3, in which %0 is the match and %1 the first capture. */
static void replace_text(struct hl_pattern *m, luaL_Buffer *out, const char *s, const char *end)
{
    size_t size;
    const char *text = lua_tolstring(m->lua, 3, &size);
    for (size_t i = 0; i < size; i++) {
        if (text[i] != '%') {
            luaL_addchar(out, text[i]);
            continue;
        }
        i++;
        if (i < size && text[i] == '%') {
            luaL_addchar(out, '%');
        } else if (i < size && text[i] == '0') {
            luaL_addlstring(out, s, (size_t)(end - s));
        } else if (i < size && text[i] >= '1' && text[i] <= '9') {
            capture_push(m, (unsigned)(text[i] - '1'), s, end);
            luaL_tolstring(m->lua, -1, NULL);
            lua_remove(m->lua, -2);
            luaL_addvalue(out);
        } else {
            luaL_error(m->lua, "invalid use of '%%' in replacement string");
        }
    }
}

/* The replacement of one match, as string, table or function. */
static void replace(struct hl_pattern *m, luaL_Buffer *out, const char *s, const char *end)
{
    lua_State *lua = m->lua;
    int type = lua_type(lua, 3);
    if (type == LUA_TSTRING || type == LUA_TNUMBER) {
        replace_text(m, out, s, end);
        return;
    }
    if (type == LUA_TTABLE) {
        capture_push(m, 0, s, end);
        lua_gettable(lua, 3);
    } else {
        lua_pushvalue(lua, 3);
        lua_call(lua, captures_push(m, s, end), 1);
    }
    if (!lua_toboolean(lua, -1)) {
        lua_pop(lua, 1);
        luaL_addlstring(out, s, (size_t)(end - s));
    } else if (!lua_isstring(lua, -1)) {
        luaL_error(lua, "invalid replacement value (a %s)", luaL_typename(lua, -1));
    } else {
        luaL_addvalue(out);
    }
}

/* The stack is cut to three values before the buffer is opened: luaL_Buffer keeps its own value
 * on the stack, and replace() must find its top where it left it. */
static int string_gsub(lua_State *lua)
{
    struct hl_pattern m;
    const char *p, *last = NULL;
    luaL_Buffer out;
    pattern_init(lua, 1, 2, &m, &p);
    int type = lua_type(lua, 3);
    luaL_argexpected(lua,
                     type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TTABLE ||
                         type == LUA_TFUNCTION,
                     3, "string/function/table");
    lua_Integer limit = luaL_optinteger(lua, 4, m.text_end - m.text + 1), n = 0;
    bool is_anchored = p < m.end && *p == '^';
    p += is_anchored ? 1 : 0;
    lua_settop(lua, 3);
    luaL_buffinit(lua, &out);
    const char *s = m.text;
    while (n < limit) {
        const char *end = hl_pattern_match(&m, s, p);
        if (end && end != last) {
            n++;
            replace(&m, &out, s, end);
            s = last = end;
        } else if (s < m.text_end) {
            luaL_addchar(&out, *s++);
        } else {
            break;
        }
        if (is_anchored) {
            break;
        }
    }
    luaL_addlstring(&out, s, (size_t)(m.text_end - s));
    luaL_pushresult(&out);
    lua_pushinteger(lua, n);
    return 2;
}

/* Upvalue 1: the library's function. For those whose work is bounded by the state's memory. */
static int guarded(lua_State *lua)
{
    int n = lua_tocfunction(lua, lua_upvalueindex(1))(lua);
    hl_script_budget_check(lua);
    return n;
}

/* The only function of the library whose result may be much larger than what went in. */
static int string_rep(lua_State *lua)
{
    size_t size, between;
    luaL_checklstring(lua, 1, &size);
    lua_Integer n = luaL_checkinteger(lua, 2);
    luaL_optlstring(lua, 3, "", &between);
    /* Empty text, too: the library would count to n in C. */
    if (n > HL_SCRIPT_TEXT || (n > 0 && (size + between) > (size_t)(HL_SCRIPT_TEXT / n))) {
        return luaL_error(lua, "string.rep: the result would be over %d MiB", HL_SCRIPT_TEXT >> 20);
    }
    return guarded(lua);
}

/* The list at 1 must be a plain one of bounded length: with metamethods written in C, or with a
 * border made by hand at 2^62, the library's loops end after the universe does. */
static void check_list(lua_State *lua, lua_Unsigned max)
{
    luaL_checktype(lua, 1, LUA_TTABLE);
    if (lua_getmetatable(lua, 1)) {
        luaL_argerror(lua, 1, "a table with a metatable is not a plain list");
    }
    if (lua_rawlen(lua, 1) > max) {
        luaL_argerror(lua, 1, lua_pushfstring(lua, "list of over %d elements", (int)max));
    }
}

static int table_guarded(lua_State *lua)
{
    check_list(lua, HL_SCRIPT_LIST);
    return guarded(lua);
}

/* A tenth of what others may touch: sorting compares n log n times, without a hook if the
 * elements are plain. */
static int table_sort(lua_State *lua)
{
    check_list(lua, HL_SCRIPT_LIST / 10);
    return guarded(lua);
}

/* Is first..last longer than a list may be? Unsigned, because the difference may overflow. */
static bool is_long(lua_Integer first, lua_Integer last)
{
    return last >= first && (lua_Unsigned)last - (lua_Unsigned)first >= HL_SCRIPT_LIST;
}

static int table_concat(lua_State *lua)
{
    check_list(lua, HL_SCRIPT_LIST);
    lua_Integer last = luaL_optinteger(lua, 4, (lua_Integer)lua_rawlen(lua, 1));
    if (is_long(luaL_optinteger(lua, 3, 1), last)) {
        return luaL_error(lua, "table.concat: over %d elements", HL_SCRIPT_LIST);
    }
    return guarded(lua);
}

static int table_move(lua_State *lua)
{
    check_list(lua, HL_SCRIPT_LIST);
    if (is_long(luaL_checkinteger(lua, 2), luaL_checkinteger(lua, 3))) {
        return luaL_error(lua, "table.move: over %d elements", HL_SCRIPT_LIST);
    }
    return guarded(lua);
}

struct guard {
    const char *name;
    lua_CFunction guard; /* calls the library's function of that name, its upvalue */
};

/* Puts the library's functions behind their guards into the table on top. */
static void guards_open(lua_State *lua, lua_CFunction library, const struct guard *guards)
{
    library(lua); /* leaves the library's own table on top */
    for (; guards->name; guards++) {
        lua_getfield(lua, -1, guards->name);
        lua_pushcclosure(lua, guards->guard, 1);
        lua_setfield(lua, -3, guards->name);
    }
    lua_pop(lua, 1);
}

void hl_script_strings_open(lua_State *lua)
{
    static const struct guard guards[] = {
        {"byte", guarded},  {"char", guarded},    {"format", guarded}, {"len", guarded},
        {"lower", guarded}, {"reverse", guarded}, {"rep", string_rep}, {"sub", guarded},
        {"upper", guarded}, {NULL, NULL}};
    static const luaL_Reg own[] = {{"find", string_find},
                                   {"match", string_match},
                                   {"gmatch", string_gmatch},
                                   {"gsub", string_gsub},
                                   {NULL, NULL}};
    guards_open(lua, luaopen_string, guards);
    luaL_setfuncs(lua, own, 0);
}

void hl_script_tables_open(lua_State *lua)
{
    static const struct guard guards[] = {{"concat", table_concat},  {"insert", table_guarded},
                                          {"remove", table_guarded}, {"sort", table_sort},
                                          {"unpack", guarded},       {"move", table_move},
                                          {"pack", guarded},         {NULL, NULL}};
    guards_open(lua, luaopen_table, guards);
}
