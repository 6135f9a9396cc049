/* The globals of rules: what is there, that it cannot be changed, and that no rule survives the
 * end of its budget by catching errors. Knows nothing of rules.
 *
 * All of it runs while a state is built, but for the safe_* functions, which rules call. Two
 * rules hold everywhere: no metatable of ours can be read by rules (__metatable is false), and
 * nothing shared between files can be written. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <lualib.h>

#include "core/base/log.h"
#include "core/script/internal.h"

/* What Lua has and rules have not, and what to use instead. */
static const struct {
    const char *name, *advice;
} absent[] = {
    {"io",
     "rules have no files; lists of your own go into tables/*.csv and are read by hilum.table"},
    {"os", "rules start no programs; for the time use hilum.clock"},
    {"require", "rules load no modules; put helper functions into the rule's own file"},
    {"package", "rules load no modules; put helper functions into the rule's own file"},
    {"load", "rules do not run text as code"},
    {"loadstring", "rules do not run text as code"},
    {"loadfile", "rules do not run text as code"},
    {"dofile", "rules do not run text as code"},
    {"debug", "use hilum.log to look at a value"},
    {"coroutine", "a rule runs once, to its end"},
    {"rawset", "use t[key] = value"},
    {"_G", "write the name of the global itself"},
};

/* __index of the globals: only reached for names that do not exist. */
static int global_missing(lua_State *lua)
{
    const char *name = lua_tostring(lua, 2);
    for (size_t i = 0; name && i < sizeof absent / sizeof *absent; i++) {
        if (strcmp(name, absent[i].name) == 0) {
            return luaL_error(lua, "'%s' is not available in rules: %s", name, absent[i].advice);
        }
    }
    lua_pushnil(lua);
    return 1;
}

/* __newindex of a file's environment; upvalue 1 holds the globals of the file. After loading it
 * is an error: states are many, and a global set in one of them is missing in the others. */
static int global_assign(lua_State *lua)
{
    if (!hl_script_state_of(lua)->loading) {
        return luaL_error(lua,
                          "global '%s' cannot be assigned while a rule runs: write 'local %s', or "
                          "keep values between runs with the verb kv and hilum.kv.get",
                          luaL_tolstring(lua, 2, NULL), luaL_tolstring(lua, 2, NULL));
    }
    lua_settop(lua, 3);
    lua_rawset(lua, lua_upvalueindex(1));
    return 0;
}

/* Three layers: an empty table the file sees, the globals of the file, the globals of all. */
void hl_script_env_push(lua_State *lua, int globals)
{
    globals = lua_absindex(lua, globals);
    lua_newtable(lua); /* the environment: always empty, so that every access asks the metatable */
    lua_createtable(lua, 0, 3);
    lua_newtable(lua); /* the globals of this file */
    lua_createtable(lua, 0, 1);
    lua_pushvalue(lua, globals);
    lua_setfield(lua, -2, "__index");
    lua_setmetatable(lua, -2);
    lua_pushvalue(lua, -1);
    lua_setfield(lua, -3, "__index");
    lua_pushcclosure(lua, global_assign, 1);
    lua_setfield(lua, -2, "__newindex");
    lua_pushboolean(lua, 0);
    lua_setfield(lua, -2, "__metatable");
    lua_setmetatable(lua, -2);
}

/* Upvalue 1: what is read-only, for the message. */
static int readonly_assign(lua_State *lua)
{
    return luaL_error(lua, "%s cannot be changed", lua_tostring(lua, lua_upvalueindex(1)));
}

/* The view is empty, so that pairs() of it shows nothing and every assignment asks the
 * metatable. */
void hl_script_readonly(lua_State *lua, const char *name)
{
    lua_newtable(lua);
    lua_createtable(lua, 0, 3);
    lua_rotate(lua, -3, -1); /* view, metatable, original */
    lua_setfield(lua, -2, "__index");
    lua_pushstring(lua, name);
    lua_pushcclosure(lua, readonly_assign, 1);
    lua_setfield(lua, -2, "__newindex");
    lua_pushboolean(lua, 0);
    lua_setfield(lua, -2, "__metatable");
    lua_setmetatable(lua, -2);
}

/* An error that ended the state's budget is not an error of the rule's: nobody may catch it. */
static void rethrow_if_killed(lua_State *lua, int status)
{
    struct hl_script_state *state = hl_script_state_of(lua);
    if (status == LUA_ERRMEM && !state->killed) {
        state->killed = HILUM_ENOMEM;
    }
    if (state->killed && status == LUA_OK) {
        lua_pushstring(lua, hl_script_killed_text(state));
    }
    if (state->killed) {
        lua_error(lua);
    }
}

/* pcall that does not give back control once the budget is used up: `while true do pcall(f) end`
 * would go on for ever. */
static int safe_pcall(lua_State *lua)
{
    luaL_checkany(lua, 1);
    int status = lua_pcall(lua, lua_gettop(lua) - 1, LUA_MULTRET, 0);
    rethrow_if_killed(lua, status);
    lua_pushboolean(lua, status == LUA_OK);
    lua_insert(lua, 1);
    return lua_gettop(lua);
}

/* Lua calls a message handler in the place of the error, which may be inside the count hook, where
 * no hook runs: a handler that loops would never end. So ours is called afterwards. */
static int safe_xpcall(lua_State *lua)
{
    luaL_checktype(lua, 2, LUA_TFUNCTION);
    lua_pushvalue(lua, 2);
    lua_insert(lua, 1);
    lua_remove(lua, 3); /* handler, function, arguments */
    int status = lua_pcall(lua, lua_gettop(lua) - 2, LUA_MULTRET, 0);
    rethrow_if_killed(lua, status);
    if (status != LUA_OK) {
        lua_call(lua, 1, 1);
        lua_pushboolean(lua, 0);
        lua_insert(lua, 1);
        return 2;
    }
    lua_pushboolean(lua, 1);
    lua_replace(lua, 1);
    return lua_gettop(lua);
}

/* Finalizers run with hooks off: one that loops would never end. */
static int safe_setmetatable(lua_State *lua)
{
    if (lua_type(lua, 2) == LUA_TTABLE) {
        lua_pushliteral(lua, "__gc");
        if (lua_rawget(lua, 2) != LUA_TNIL) {
            return luaL_error(lua, "setmetatable: __gc is not available in rules");
        }
        lua_pop(lua, 1);
    }
    return lua_tocfunction(lua, lua_upvalueindex(1))(lua);
}

/* A full collection takes as long as the state is large, in C; what is used may be known. */
static int safe_collectgarbage(lua_State *lua)
{
    const char *what = luaL_optstring(lua, 1, "count");
    luaL_argcheck(lua, strcmp(what, "count") == 0, 1, "rules may only ask for \"count\"");
    lua_pushnumber(lua, (lua_Number)hl_script_state_of(lua)->used / 1024.0);
    return 1;
}

/* print goes to the log, not to the server's standard output. Upvalue 1: hilum. */
static int safe_print(lua_State *lua)
{
    int n = lua_gettop(lua);
    luaL_Buffer text;
    luaL_buffinit(lua, &text);
    for (int i = 1; i <= n; i++) {
        luaL_tolstring(lua, i, NULL);
        luaL_addvalue(&text);
        luaL_addchar(&text, ' ');
    }
    luaL_pushresult(&text);
    lua_getfield(lua, lua_upvalueindex(1), "log");
    lua_pushliteral(lua, "%s");
    lua_pushvalue(lua, -3);
    lua_call(lua, 2, 0);
    return 0;
}

/* Only what is named is taken from the library: a function a new Lua brings is not there by
 * default. */
static void base_open(lua_State *lua, int globals)
{
    static const char *const kept[] = {"assert", "error",    "getmetatable", "ipairs", "next",
                                       "pairs",  "rawget",   "rawequal",     "rawlen", "select",
                                       "type",   "tostring", "tonumber"};
    static const luaL_Reg own[] = {{"pcall", safe_pcall},
                                   {"xpcall", safe_xpcall},
                                   {"collectgarbage", safe_collectgarbage},
                                   {NULL, NULL}};
    luaL_requiref(lua, "_G", luaopen_base, 0);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        lua_getfield(lua, -1, kept[i]);
        lua_setfield(lua, globals, kept[i]);
    }
    lua_getfield(lua, -1, "setmetatable");
    lua_pushcclosure(lua, safe_setmetatable, 1);
    lua_setfield(lua, globals, "setmetatable");
    lua_pop(lua, 1);
    lua_pushvalue(lua, globals);
    luaL_setfuncs(lua, own, 0);
    lua_pop(lua, 1);
}

/* Fills a table by `open` and makes a read-only global of it. */
static void library_open(lua_State *lua, int globals, const char *name,
                         void (*open)(lua_State *lua))
{
    lua_newtable(lua);
    open(lua);
    if (strcmp(name, "string") == 0) { /* ("x"):upper() finds the same functions */
        lua_pushliteral(lua, "");
        lua_createtable(lua, 0, 2);
        lua_pushvalue(lua, -3);
        lua_setfield(lua, -2, "__index");
        lua_pushboolean(lua, 0);
        lua_setfield(lua, -2, "__metatable");
        lua_setmetatable(lua, -2);
        lua_pop(lua, 1);
    }
    hl_script_readonly(lua, name);
    lua_setfield(lua, globals, name);
}

/* The named functions of a library into the table on top; the library itself is dropped. */
static void fields_copy(lua_State *lua, lua_CFunction library, const char *const *names)
{
    library(lua);
    for (; *names; names++) {
        lua_getfield(lua, -1, *names);
        lua_setfield(lua, -3, *names);
    }
    lua_pop(lua, 1);
}

/* Without random: an event that is run again after a crash must give the same plan. */
static void math_open(lua_State *lua)
{
    static const char *const names[] = {
        "abs", "ceil",       "floor", "fmod",      "huge", "log", "max",  "maxinteger",
        "min", "mininteger", "modf",  "tointeger", "type", "ult", "sqrt", NULL};
    fields_copy(lua, luaopen_math, names);
}

static void utf8_open(lua_State *lua)
{
    static const char *const names[] = {"char",        "codes",  "codepoint", "len",
                                        "charpattern", "offset", NULL};
    fields_copy(lua, luaopen_utf8, names);
}

void hl_script_sandbox_push(lua_State *lua)
{
    lua_newtable(lua);
    int globals = lua_gettop(lua);
    base_open(lua, globals);
    library_open(lua, globals, "string", hl_script_strings_open);
    library_open(lua, globals, "table", hl_script_tables_open);
    library_open(lua, globals, "math", math_open);
    library_open(lua, globals, "utf8", utf8_open);
    hl_script_api_open(lua);
    lua_pushvalue(lua, -1);
    lua_pushcclosure(lua, safe_print, 1);
    lua_setfield(lua, globals, "print");
    hl_script_readonly(lua, "hilum");
    lua_setfield(lua, globals, "hilum");
    lua_createtable(lua, 0, 1);
    lua_pushcfunction(lua, global_missing);
    lua_setfield(lua, -2, "__index");
    lua_setmetatable(lua, globals);
}
