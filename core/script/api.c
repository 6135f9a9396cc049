/* `hilum.*`: verdicts, clock, log, peers, tables of the site, key-value. What acts on an event
 * is in event.c. Knows nothing of how rules are loaded.
 *
 * Every function here is called by Lua, on the thread that runs the rule, in the state that
 * thread has taken from the pool. So it may read the set without a lock (it is immutable), must
 * not block, and reports errors with luaL_error, which does not return.
 * SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/script/internal.h"

#define VERDICT_TYPE "hilum.verdict"

struct hl_run *hl_script_run_now(lua_State *lua, const char *what)
{
    struct hl_run *run = hl_script_state_of(lua)->run;
    if (!run) {
        luaL_error(lua, "%s can only be called from within a rule's run", what);
    }
    return run;
}

/* ---- verdicts ---------------------------------------------------------------------------------
 */

/* Where each verdict is legal, as bits of phases. */
static const struct {
    const char *name, *phases;
    int32_t verdict;
    unsigned legal;
} verdicts[] = {
    {"accept", "filter and transform", HILUM_ACCEPT, 1u << HILUM_FILTER | 1u << HILUM_TRANSFORM},
    {"reject", "filter", HILUM_REJECT, 1u << HILUM_FILTER},
    {"defer", "filter", HILUM_DEFER, 1u << HILUM_FILTER},
    {"hold", "filter and transform", HILUM_HOLD, 1u << HILUM_FILTER | 1u << HILUM_TRANSFORM},
    {"discard", "filter", HILUM_DISCARD, 1u << HILUM_FILTER},
};

/* The text of format and arguments from index 1 on the stack. One argument alone is taken as it is,
 * so that "100 % sure" is no fault. Upvalue 1: string.format. */
static const char *text_format(lua_State *lua, size_t *size)
{
    if (lua_gettop(lua) == 0) {
        lua_pushliteral(lua, "");
    } else if (lua_gettop(lua) == 1) {
        luaL_tolstring(lua, 1, NULL);
    } else {
        lua_pushvalue(lua, lua_upvalueindex(1));
        lua_insert(lua, 1);
        lua_call(lua, lua_gettop(lua) - 1, 1);
    }
    return lua_tolstring(lua, -1, size);
}

/* The longest prefix of at most `max` bytes that does not end inside a UTF-8 character. */
static size_t utf8_prefix(const char *text, size_t size, size_t max)
{
    if (size <= max) {
        return size;
    }
    while (max > 0 && ((unsigned char)text[max] & 0xC0) == 0x80) {
        max--;
    }
    return max;
}

/* hilum.reject(reason) and the like: a value that run() has to return. It carries the serial of
 * its run, so that a verdict kept in a file's local cannot answer a later object. Upvalue 1:
 * string.format. Upvalue 2: index into verdicts. */
static int verdict_new(lua_State *lua)
{
    lua_Integer which = lua_tointeger(lua, lua_upvalueindex(2));
    char name[32];
    snprintf(name, sizeof name, "hilum.%s", verdicts[which].name);
    struct hl_run *run = hl_script_run_now(lua, name);
    if (!(verdicts[which].legal & 1u << run->rule->phase)) {
        return luaL_error(lua, "%s is allowed in %s only; this rule's phase is %s%s", name,
                          verdicts[which].phases, hl_script_phase_name(run->rule->phase),
                          run->rule->phase == HILUM_NOTIFY ? ": the answer has been given already"
                                                           : "");
    }
    size_t size;
    const char *text = text_format(lua, &size);
    if (size == 0 && verdicts[which].verdict != HILUM_ACCEPT) {
        return luaL_error(lua, "%s(reason): expected a reason for people, found nothing", name);
    }
    size = utf8_prefix(text, size, sizeof run->reason - 1);
    struct hl_script_verdict *out = lua_newuserdatauv(lua, sizeof *out + size + 1, 0);
    out->verdict = verdicts[which].verdict;
    out->serial = hl_script_state_of(lua)->serial;
    memcpy(out->reason, text, size);
    out->reason[size] = '\0';
    luaL_setmetatable(lua, VERDICT_TYPE);
    run->has_verdict = true;
    return 1;
}

struct hl_script_verdict *hl_script_verdict_test(lua_State *lua, int index)
{
    return luaL_testudata(lua, index, VERDICT_TYPE);
}

/* ---- clock ------------------------------------------------------------------------------------
 */

/* One or two digits; -1 for anything else. Moves *text behind them. */
static int digits_read(const char **text)
{
    int n = 0, count = 0;
    for (; count < 2 && isdigit((unsigned char)**text); count++, ++*text)
        n = n * 10 + (**text - '0');
    return count > 0 ? n : -1;
}

/* "20:00" -> minutes since midnight. "24:00" is the end of the day. */
static int minutes_check(lua_State *lua, int index)
{
    const char *text = luaL_checkstring(lua, index);
    int hour = digits_read(&text);
    bool is_good = hour >= 0 && *text++ == ':';
    int minute = is_good ? digits_read(&text) : -1;
    if (minute < 0 || minute > 59 || *text || hour * 60 + minute > 24 * 60) {
        luaL_argerror(lua, index, "expected a time of day like \"07:30\"");
    }
    return hour * 60 + minute;
}

/* The site's time zone, as the machine has it: "after 20:00" in a rule is a time people there
 * mean. */
static void local_now(struct tm *out)
{
    time_t now = (time_t)(hl_now_us() / 1000000);
    localtime_r(&now, out);
}

/* between(from, to [, at]): the night from 20:00 to 07:00 is one interval. `from` belongs to it. */
static int clock_between(lua_State *lua)
{
    int from = minutes_check(lua, 1), to = minutes_check(lua, 2), at;
    if (lua_isnoneornil(lua, 3)) {
        struct tm now;
        local_now(&now);
        at = now.tm_hour * 60 + now.tm_min;
    } else {
        at = minutes_check(lua, 3);
    }
    bool is_in = from <= to ? from <= at && at < to : at >= from || at < to;
    lua_pushboolean(lua, is_in);
    return 1;
}

static int clock_weekday(lua_State *lua)
{
    static const char *const names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
    struct tm now;
    local_now(&now);
    lua_pushstring(lua, names[now.tm_wday % 7]);
    return 1;
}

/* "20261123", as DICOM writes dates. */
static int clock_date(lua_State *lua)
{
    struct tm now;
    char text[16];
    local_now(&now);
    strftime(text, sizeof text, "%Y%m%d", &now);
    lua_pushstring(lua, text);
    return 1;
}

/* Seconds since 1970. */
static int clock_now(lua_State *lua)
{
    lua_pushinteger(lua, hl_now_us() / 1000000);
    return 1;
}

/* ---- log, kv, peers ---------------------------------------------------------------------------
 */

/* hilum.log(format, ...), also behind print. The first lines of a run only: a rule in a loop
 * must not fill the disk. Text of a peer may come in here; hl_log makes control characters
 * harmless. */
static int api_log(lua_State *lua)
{
    size_t size;
    struct hl_script_state *state = hl_script_state_of(lua);
    const char *text = text_format(lua, &size);
    const char *who = state->run ? state->run->rule->name : "loading";
    if (state->run && ++state->run->lines > HL_SCRIPT_LINES) {
        return 0;
    }
    hl_log(HL_INFO, "rule", "%s: %.*s", who, (int)utf8_prefix(text, size, 400), text);
    return 0;
}

/* The value or nil. Rules share the space "rules"; writes are the verb kv. */
static int kv_get(lua_State *lua)
{
    const char *key = luaL_checkstring(lua, 1);
    struct hl_run *run = hl_script_run_now(lua, "hilum.kv.get");
    const struct hl_script_env *env = hl_script_state_of(lua)->set->env;
    if (!env->kv_get) {
        return luaL_error(lua, "hilum.kv is not available here");
    }
    hl_buf_clear(&run->scratch);
    hilum_rc rc = env->kv_get(env->arg, "rules", key, &run->scratch);
    if (rc == HILUM_ENOTFOUND) {
        lua_pushnil(lua);
    } else if (rc < 0) {
        return luaL_error(lua, "hilum.kv.get: %s", hl_error());
    } else {
        lua_pushlstring(lua, hl_buf_str(&run->scratch), run->scratch.len);
    }
    return 1;
}

/* Names first: the title of one peer may be the name of another. */
static const struct hl_script_peer *peer_find(const struct hl_script_set *set, const char *name)
{
    for (size_t i = 0; i < set->n_peers; i++) {
        if (strcmp(set->peers[i].name, name) == 0) {
            return &set->peers[i];
        }
    }
    for (size_t i = 0; i < set->n_peers; i++) {
        if (strcmp(set->peers[i].aet, name) == 0) {
            return &set->peers[i];
        }
    }
    return NULL;
}

/* hilum.peers[name]: by name or AE title, {name, aet, host}, or nil. */
static int peers_index(lua_State *lua)
{
    const char *name = lua_type(lua, 2) == LUA_TSTRING ? lua_tostring(lua, 2) : NULL;
    const struct hl_script_peer *peer = name ? peer_find(hl_script_state_of(lua)->set, name) : NULL;
    if (!peer) {
        lua_pushnil(lua);
        return 1;
    }
    lua_createtable(lua, 0, 3);
    lua_pushstring(lua, peer->name);
    lua_setfield(lua, -2, "name");
    lua_pushstring(lua, peer->aet);
    lua_setfield(lua, -2, "aet");
    lua_pushstring(lua, peer->host);
    lua_setfield(lua, -2, "host");
    return 1;
}

bool hl_script_peer_is_known(const struct hl_script_set *set, const char *name)
{
    if (set->env->has_peer) {
        return set->env->has_peer(set->env->arg, name);
    }
    for (size_t i = 0; i < set->n_peers; i++) {
        if (strcmp(set->peers[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Only the first 64 are compared, for the text of a fault. */
const char *hl_script_peer_nearest(const struct hl_script_set *set, const char *name)
{
    const char *names[64];
    size_t n = 0;
    for (; n < set->n_peers && n < sizeof names / sizeof *names; n++) {
        names[n] = set->peers[n].name;
    }
    return hl_nearest(name, names, n);
}

/* ---- tables of the site -----------------------------------------------------------------------
 */

/* hilum.table(name): a read-only view, the same rows for all states. */
static int api_table(lua_State *lua)
{
    const struct hl_script_set *set = hl_script_state_of(lua)->set;
    const char *name = luaL_checkstring(lua, 1), *names[64];
    size_t n = 0;
    for (size_t i = 0; i < set->n_tables; i++) {
        if (strcmp(set->tables[i].name, name) == 0) {
            hl_script_table_push(lua, &set->tables[i]);
            return 1;
        }
        if (n < sizeof names / sizeof *names) {
            names[n++] = set->tables[i].name;
        }
    }
    const char *near = hl_nearest(name, names, n);
    return luaL_error(lua, "hilum.table: there is no tables/%s.csv%s%s%s", name,
                      near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

/* ---- all of it --------------------------------------------------------------------------------
 */

/* The string.format rules have, taken from the metatable of strings. It must be there already:
 * the sandbox opens the strings first. */
static void format_push(lua_State *lua)
{
    lua_pushliteral(lua, "");
    luaL_getmetafield(lua, -1, "__index");
    lua_getfield(lua, -1, "format");
    lua_replace(lua, -3);
    lua_pop(lua, 1);
}

static void verdicts_open(lua_State *lua)
{
    luaL_newmetatable(lua, VERDICT_TYPE);
    lua_pushboolean(lua, 0);
    lua_setfield(lua, -2, "__metatable");
    lua_pop(lua, 1);
    for (size_t i = 0; i < sizeof verdicts / sizeof *verdicts; i++) {
        format_push(lua);
        lua_pushinteger(lua, (lua_Integer)i);
        lua_pushcclosure(lua, verdict_new, 2);
        lua_setfield(lua, -2, verdicts[i].name);
    }
}

/* Adds a read-only group of functions ("clock") to the table on top. */
static void group_open(lua_State *lua, const char *name, const luaL_Reg *functions)
{
    char full[32];
    snprintf(full, sizeof full, "hilum.%s", name);
    lua_newtable(lua);
    luaL_setfuncs(lua, functions, 0);
    hl_script_readonly(lua, full);
    lua_setfield(lua, -2, name);
}

static int peers_assign(lua_State *lua)
{
    return luaL_error(lua, "hilum.peers cannot be changed: peers are configured in *.cfg");
}

static void peers_open(lua_State *lua)
{
    lua_newtable(lua);
    lua_createtable(lua, 0, 3);
    lua_pushcfunction(lua, peers_index);
    lua_setfield(lua, -2, "__index");
    lua_pushcfunction(lua, peers_assign);
    lua_setfield(lua, -2, "__newindex");
    lua_pushboolean(lua, 0);
    lua_setfield(lua, -2, "__metatable");
    lua_setmetatable(lua, -2);
    lua_setfield(lua, -2, "peers");
}

void hl_script_api_open(lua_State *lua)
{
    static const luaL_Reg clock[] = {{"between", clock_between},
                                     {"weekday", clock_weekday},
                                     {"date", clock_date},
                                     {"now", clock_now},
                                     {NULL, NULL}};
    static const luaL_Reg kv[] = {{"get", kv_get}, {NULL, NULL}};
    lua_newtable(lua); /* name -> run function, by order of loading */
    lua_setfield(lua, LUA_REGISTRYINDEX, "hilum.rules");
    lua_newtable(lua);
    lua_pushcfunction(lua, hl_script_on);
    lua_setfield(lua, -2, "on");
    lua_pushcfunction(lua, api_table);
    lua_setfield(lua, -2, "table");
    format_push(lua);
    lua_pushcclosure(lua, api_log, 1);
    lua_setfield(lua, -2, "log");
    verdicts_open(lua);
    group_open(lua, "clock", clock);
    group_open(lua, "kv", kv);
    peers_open(lua);
}
