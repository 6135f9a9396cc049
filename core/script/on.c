/* hilum.on{...}: a rule is checked completely when it is loaded, and every fault names its line.
 * Knows nothing of running rules.
 *
 * Runs while a file is loaded, once per Lua state of a set. The rule is built and checked in
 * the first state; in the others only its function is stored, because all that can be wrong has
 * been told and a rule is one for all states. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/script/internal.h"

enum { NAME_MAX_BYTES = 95, DEADLINE_MAX_MS = 60000, ORDER_MAX = 64 };

/* The hilum.on being checked. The table is at index 1. */
struct check {
    lua_State *lua;
    struct hl_script_state *state;
    struct hl_rule *rule;
    unsigned line;
};

static const char *const keys[] = {"event",  "name",  "run",      "phase",   "where",
                                   "before", "after", "deadline", "on_error"};

static void fault(struct check *c, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void fault(struct check *c, const char *key, const char *format, ...)
{
    char text[300];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    hl_faults_add(c->state->faults, c->state->loading->path, c->line, "hilum.on: %s: %s", key,
                  text);
}

/* A key nobody knows is a typing error ("were = ..."): the rule would match more than it should. */
static void check_keys(struct check *c)
{
    lua_pushnil(c->lua);
    while (lua_next(c->lua, 1)) {
        lua_pop(c->lua, 1);
        if (lua_type(c->lua, -1) != LUA_TSTRING) {
            fault(c, "a key", "expected a name like event = ..., found a %s",
                  luaL_typename(c->lua, -1));
            continue;
        }
        const char *key = lua_tostring(c->lua, -1);
        size_t i = 0, n = sizeof keys / sizeof *keys;
        while (i < n && strcmp(keys[i], key) != 0) {
            i++;
        }
        if (strcmp(key, "async") == 0) {
            fault(c, key, "rules that wait are not available yet");
        } else if (i == n) {
            const char *near = hl_nearest(key, keys, n);
            fault(c, key,
                  "expected event, name, run, phase, where, before, after, deadline or "
                  "on_error%s%s%s",
                  near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
        }
    }
}

/* The text of a key, copied into the set; NULL if it is absent or at fault, which is then told. */
static const char *text_get(struct check *c, const char *key, bool is_required)
{
    const char *out = NULL;
    int type = lua_getfield(c->lua, 1, key);
    if (type == LUA_TSTRING) {
        out = hl_arena_strdup(&c->state->set->arena, lua_tostring(c->lua, -1));
    } else if (type != LUA_TNIL) {
        fault(c, key, "expected a text, found a %s", lua_typename(c->lua, type));
    } else if (is_required) {
        fault(c, key, "expected a text, found nothing");
    }
    lua_pop(c->lua, 1);
    return out;
}

/* "a" or {"a", "b"} -> "a,b", as the bus wants before and after. */
static const char *names_get(struct check *c, const char *key)
{
    if (lua_getfield(c->lua, 1, key) != LUA_TTABLE) {
        lua_pop(c->lua, 1);
        return text_get(c, key, false);
    }
    char text[1024] = "";
    size_t n = 0;
    lua_Unsigned count = lua_rawlen(c->lua, -1);
    for (lua_Unsigned i = 1; i <= count && i <= ORDER_MAX; i++) {
        lua_rawgeti(c->lua, -1, (lua_Integer)i);
        const char *name = lua_type(c->lua, -1) == LUA_TSTRING ? lua_tostring(c->lua, -1) : NULL;
        if (!name) {
            fault(c, key, "expected names of rules, found a %s", luaL_typename(c->lua, -1));
        } else if (n < sizeof text) {
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", n ? "," : "", name);
        }
        lua_pop(c->lua, 1);
    }
    lua_pop(c->lua, 1);
    if (count > ORDER_MAX || n >= sizeof text) {
        fault(c, key, "expected at most %d names of together %zu bytes", ORDER_MAX,
              sizeof text - 1);
    }
    return hl_arena_strdup(&c->state->set->arena, text);
}

/* Letters that need no quoting in before, after, status and journal; "a/b" has a name space. */
static bool is_name(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-/");
    return n > 0 && name[n] == '\0' && name[0] != '/' && name[n - 1] != '/';
}

/* "ct-fanout" becomes "site/ct-fanout" (in scripts/core: "core/..."). Its length, also if it was
 * cut. */
static int name_full(const struct hl_script_state *state, const char *name,
                     char out[NAME_MAX_BYTES + 2])
{
    const char *space = state->loading->is_core ? "core/" : "site/";
    return snprintf(out, NAME_MAX_BYTES + 2, "%s%s", strchr(name, '/') ? "" : space, name);
}

/* Checks the name and stores it in full. Site rules cannot take a name of the core's. */
static void check_name(struct check *c)
{
    const char *name = text_get(c, "name", true);
    if (!name) {
        return;
    }
    bool is_core = c->state->loading->is_core;
    char full[NAME_MAX_BYTES + 2];
    int n = name_full(c->state, name, full);
    if (!is_name(name) || n > NAME_MAX_BYTES) {
        fault(c, "name",
              "expected up to 90 letters, digits and - _ . as in \"site/ct-fanout\", found \"%s\"",
              name);
    } else if (!is_core && strncmp(full, "core/", 5) == 0) {
        fault(c, "name", "\"core/\" is for Hilum's own rules; write \"site/%s\"", full + 5);
    } else {
        c->rule->name = hl_arena_strdup(&c->state->set->arena, full);
    }
}

/* Notify if nothing is said: the phase in which a mistake cannot hold an object. */
static void check_phase(struct check *c)
{
    c->rule->phase = HILUM_NOTIFY;
    const char *phase = text_get(c, "phase", false);
    if (!phase || strcmp(phase, "notify") == 0) {
        return;
    }
    if (strcmp(phase, "filter") == 0) {
        c->rule->phase = HILUM_FILTER;
    } else if (strcmp(phase, "transform") == 0) {
        c->rule->phase = HILUM_TRANSFORM;
    } else {
        fault(c, "phase", "expected \"filter\", \"transform\" or \"notify\", found \"%s\"", phase);
    }
}

/* What may happen when the rule fails depends on its phase: after a transform has begun the
 * object cannot be refused any more, and a notify rule is tried again by the journal. */
static void check_on_error(struct check *c)
{
    static const struct {
        const char *name;
        enum hl_on_error value;
        unsigned phases;
    } choices[] = {
        {"hold", HL_ON_ERROR_DEFAULT, 1u << HILUM_FILTER | 1u << HILUM_TRANSFORM},
        {"pass", HL_ON_ERROR_PASS, 1u << HILUM_FILTER | 1u << HILUM_TRANSFORM},
        {"defer", HL_ON_ERROR_DEFER, 1u << HILUM_FILTER},
        {"reject", HL_ON_ERROR_REJECT, 1u << HILUM_FILTER},
    };
    const char *text = text_get(c, "on_error", false);
    if (!text) {
        return;
    }
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
        if (strcmp(choices[i].name, text) == 0 && choices[i].phases & 1u << c->rule->phase) {
            c->rule->on_error = choices[i].value;
            return;
        }
    }
    fault(c, "on_error", "expected %s, found \"%s\"",
          c->rule->phase == HILUM_FILTER      ? "\"hold\", \"pass\", \"defer\" or \"reject\""
          : c->rule->phase == HILUM_TRANSFORM ? "\"hold\" or \"pass\""
                                              : "nothing (a failed notify rule is tried again)",
          text);
}

/* Processor time of one run; script.cpu if the rule does not say. */
static void check_deadline(struct check *c)
{
    c->rule->deadline_ms = c->state->set->cpu_ms;
    const char *text = text_get(c, "deadline", false);
    int64_t ms;
    if (!text) {
        return;
    }
    if (hl_parse_ms(text, &ms) < 0 || ms < 1 || ms > DEADLINE_MAX_MS) {
        fault(c, "deadline", "expected a time from \"1ms\" to \"60s\", found \"%s\"", text);
    } else {
        c->rule->deadline_ms = (uint32_t)ms;
    }
}

/* The function stays in Lua; hl_script_on stores it where rules are called from. */
static void check_run(struct check *c)
{
    int type = lua_getfield(c->lua, 1, "run");
    if (type != LUA_TFUNCTION) {
        fault(c, "run", "expected a function, found %s%s", type == LUA_TNIL ? "nothing" : "a ",
              type == LUA_TNIL ? "" : lua_typename(c->lua, type));
    }
    lua_pop(c->lua, 1);
}

/* The rule is complete even if it is at fault, so that one run finds all faults of all rules. */
static void rule_check(struct check *c)
{
    struct hl_script_set *set = c->state->set;
    c->rule = hl_script_rule_add(set);
    if (!c->rule) {
        luaL_error(c->lua, "no memory for another rule");
    }
    c->rule->index = (int)c->state->loaded;
    c->rule->is_core = c->state->loading->is_core;
    c->rule->line = c->line;
    c->rule->file = c->state->loading->display;
    c->rule->path = c->state->loading->path;
    check_keys(c);
    check_name(c);
    c->rule->event = text_get(c, "event", true);
    check_phase(c);
    check_run(c);
    c->rule->where = text_get(c, "where", false);
    c->rule->before = names_get(c, "before");
    c->rule->after = names_get(c, "after");
    check_deadline(c);
    check_on_error(c);
}

/* The place of this rule's function in a state that is not the first: that of the rule of the same
 * name. Not the order of the calls, because a file may make its rules in a loop over `pairs`, and
 * each state goes through a table in an order of its own. */
static int index_of(lua_State *lua, struct hl_script_state *state)
{
    char full[NAME_MAX_BYTES + 2] = "";
    if (lua_getfield(lua, 1, "name") == LUA_TSTRING) {
        name_full(state, lua_tostring(lua, -1), full);
    }
    lua_pop(lua, 1);
    for (size_t i = 0; i < state->set->n_lua; i++) {
        if (strcmp(state->set->rules[i]->name, full) == 0) {
            return state->set->rules[i]->index;
        }
    }
    return luaL_error(lua, "rules differ from one load to the next: \"%s\" was not there before",
                      full);
}

/* hilum.on{...}, the only way a rule comes to be. The function goes into the registry's list,
 * where run.c finds it by the index of the rule. */
int hl_script_on(lua_State *lua)
{
    struct hl_script_state *state = hl_script_state_of(lua);
    if (!state->loading) {
        return luaL_error(lua, "hilum.on cannot be called while a rule runs: write it at the top "
                               "level of the file");
    }
    if (lua_type(lua, 1) != LUA_TTABLE) {
        return luaL_error(lua,
                          "hilum.on: expected { event = ..., name = ..., run = ... }, found %s",
                          luaL_typename(lua, 1));
    }
    lua_settop(lua, 1);
    state->loaded++;
    int index = (int)state->loaded;
    if (state->faults) {
        lua_Debug where;
        struct check check = {.lua = lua, .state = state};
        if (lua_getstack(lua, 1, &where) && lua_getinfo(lua, "l", &where)) {
            check.line = (unsigned)where.currentline;
        }
        rule_check(&check);
    } else {
        index = index_of(lua, state);
    }
    lua_getfield(lua, LUA_REGISTRYINDEX, "hilum.rules");
    lua_getfield(lua, 1, "run");
    lua_rawseti(lua, -2, index);
    return 0;
}
