/* The event as a rule sees it: fields, attributes, edits, and verbs that make the plan. Nothing
 * here acts: edits and steps are kept in the run until the rule has returned well. Knows nothing
 * of what verbs do.
 *
 * Called by Lua on the thread that runs the rule. No memory is owned by these functions: texts
 * go into buffers of the run, which are freed even if an error jumps over everything (see
 * README). SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/dicom/uid.h"
#include "core/script/internal.h"

#define EVENT_TYPE "hilum.event"

enum { TEXTS_MAX = 256 * 1024, JSON_DEPTH = 8 };

/* An event a rule kept in a variable is known by its serial: the memory behind it is gone. */
struct event_ref {
    uint64_t serial;
};

void hl_script_event_push(lua_State *lua)
{
    struct event_ref *ref = lua_newuserdatauv(lua, sizeof *ref, 0);
    ref->serial = hl_script_state_of(lua)->serial;
    luaL_setmetatable(lua, EVENT_TYPE);
}

/* The run behind the event at index 1. The serial tells an event kept from an earlier run, whose
 * C object is freed, from the one that is under way. */
static struct hl_run *run_check(lua_State *lua)
{
    const struct event_ref *ref = luaL_checkudata(lua, 1, EVENT_TYPE);
    struct hl_script_state *state = hl_script_state_of(lua);
    if (!state->run || state->serial != ref->serial) {
        luaL_error(lua, "this event is over: an event cannot be kept after run has returned");
    }
    return state->run;
}

/* ---- reading ----------------------------------------------------------------------------------
 */

/* What the rule itself set last; NULL if it did not. */
static const char *edit_get(const struct hl_run *run, const char *key)
{
    for (size_t i = run->n_edits; i > 0; i--) {
        if (strcmp(run->texts.data + run->edits[i - 1].key, key) == 0) {
            return run->texts.data + run->edits[i - 1].value;
        }
    }
    return NULL;
}

/* What the rule itself set is what it reads, although the event does not have it yet. */
static const char *value_get(struct hl_run *run, const char *key)
{
    const char *edit = edit_get(run, key);
    return edit ? edit : hl_event_text(run->event, key);
}

/* ev:text(key): nil where there is no such field or attribute. */
static int event_text(lua_State *lua)
{
    struct hl_run *run = run_check(lua);
    lua_pushstring(lua, value_get(run, luaL_checkstring(lua, 2)));
    return 1;
}

/* Absent and empty are the same: a type 2 attribute without a value says nothing. */
static int event_has(lua_State *lua)
{
    struct hl_run *run = run_check(lua);
    const char *text = value_get(run, luaL_checkstring(lua, 2));
    lua_pushboolean(lua, text && *text);
    return 1;
}

/* ev:int(key): nil if it is absent or no whole number. */
static int event_int(lua_State *lua)
{
    struct hl_run *run = run_check(lua);
    const char *key = luaL_checkstring(lua, 2), *edit = edit_get(run, key);
    int64_t value;
    if (edit ? hl_event_text_int(edit, &value) : hl_event_int(run->event, key, &value)) {
        lua_pushinteger(lua, value);
    } else {
        lua_pushnil(lua);
    }
    return 1;
}

/* ---- keeping what is to be done ----------------------------------------------------------------
 */

/* The line of the rule that called; 0 if it is not known. It goes into the fault when the kernel
 * refuses the step later, after the Lua call is long over. */
static unsigned line_of(lua_State *lua)
{
    lua_Debug where;
    bool is_known = lua_getstack(lua, 1, &where) && lua_getinfo(lua, "l", &where);
    return is_known && where.currentline > 0 ? (unsigned)where.currentline : 0;
}

/* Copies the text with its NUL to the end of run->texts; its offset. The limit bounds what one
 * run can make the journal keep. */
static size_t text_keep(lua_State *lua, struct hl_run *run, const char *text)
{
    size_t at = run->texts.len;
    hl_buf_add(&run->texts, text, strlen(text) + 1);
    if (run->texts.failed || run->texts.len > TEXTS_MAX) {
        luaL_error(lua, "a plan has at most %d KiB", TEXTS_MAX / 1024);
    }
    return at;
}

/* ev:set(keyword, value). Whether the attribute may be edited is decided by the kernel when the
 * run has ended well (run.c); only the phase is checked here, because it is known. */
static int event_set(lua_State *lua)
{
    struct hl_run *run = run_check(lua);
    const char *key = luaL_checkstring(lua, 2), *value = luaL_checkstring(lua, 3);
    if (run->rule->phase != HILUM_TRANSFORM) {
        return luaL_error(lua,
                          "ev:set is allowed in phase \"transform\" only; this rule's phase is "
                          "\"%s\"",
                          hl_script_phase_name(run->rule->phase));
    }
    if (run->n_edits == HL_SCRIPT_EDITS) {
        return luaL_error(lua, "ev:set: a rule edits at most %d attributes", HL_SCRIPT_EDITS);
    }
    struct hl_run_item *edit = &run->edits[run->n_edits];
    edit->key = text_keep(lua, run, key);
    edit->value = text_keep(lua, run, value);
    edit->line = line_of(lua);
    run->n_edits++;
    return 0;
}

/* A step with the arguments in run->scratch. Asks first whether this rule may use the verb. */
static int step_add(lua_State *lua, struct hl_run *run, const char *verb)
{
    const struct hl_script_env *env = hl_script_state_of(lua)->set->env;
    if (env->allow && env->allow(env->arg, run->rule->name, verb) < 0) {
        return luaL_error(lua, "ev:%s is not allowed here: %s", verb, hl_error());
    }
    if (run->n_steps == HL_SCRIPT_STEPS) {
        return luaL_error(lua, "a plan has at most %d steps", HL_SCRIPT_STEPS);
    }
    struct hl_run_item *step = &run->steps[run->n_steps];
    step->key = text_keep(lua, run, verb);
    step->value = text_keep(lua, run, hl_buf_str(&run->scratch));
    step->line = line_of(lua);
    run->n_steps++;
    return 0;
}

/* ---- JSON --------------------------------------------------------------------------------------
 */

/* Infinity and not-a-number have no form in JSON (RFC 8259, section 6). */
static void json_number(lua_State *lua, int index, struct hl_buf *out)
{
    if (lua_isinteger(lua, index)) {
        hl_buf_printf(out, "%lld", (long long)lua_tointeger(lua, index));
        return;
    }
    double value = lua_tonumber(lua, index);
    if (!isfinite(value)) {
        luaL_error(lua, "a number without a value cannot be an argument");
    }
    hl_buf_printf(out, "%.17g", value);
}

/* A table with anything at index 1 is a list; what else it holds is left out. */
static void json_list(lua_State *lua, int index, struct hl_buf *out, unsigned depth)
{
    lua_Unsigned n = lua_rawlen(lua, index);
    hl_buf_byte(out, '[');
    for (lua_Unsigned i = 1; i <= n; i++) {
        if (i > 1) {
            hl_buf_byte(out, ',');
        }
        lua_rawgeti(lua, index, (lua_Integer)i);
        hl_script_json(lua, -1, out, depth + 1);
        lua_pop(lua, 1);
    }
    hl_buf_byte(out, ']');
}

/* lua_next may not see its key converted by lua_tostring; only strings get that far. */
static void json_object(lua_State *lua, int index, struct hl_buf *out, unsigned depth)
{
    bool is_first = true;
    hl_buf_byte(out, '{');
    lua_pushnil(lua);
    while (lua_next(lua, index)) {
        if (lua_type(lua, -2) != LUA_TSTRING) {
            luaL_error(lua, "arguments: expected names as keys, found a %s",
                       luaL_typename(lua, -2));
        }
        if (!is_first) {
            hl_buf_byte(out, ',');
        }
        is_first = false;
        hl_buf_json_string(out, lua_tostring(lua, -2));
        hl_buf_byte(out, ':');
        hl_script_json(lua, -1, out, depth + 1);
        lua_pop(lua, 1);
    }
    hl_buf_byte(out, '}');
}

/* The depth also ends a table that contains itself; the length ends one that is wide. */
void hl_script_json(lua_State *lua, int index, struct hl_buf *out, unsigned depth)
{
    index = lua_absindex(lua, index);
    luaL_checkstack(lua, 4, "arguments");
    if (depth > JSON_DEPTH || out->len > TEXTS_MAX) {
        luaL_error(lua, "arguments: expected at most %d levels and %d KiB", JSON_DEPTH,
                   TEXTS_MAX / 1024);
    }
    switch (lua_type(lua, index)) {
    case LUA_TSTRING: hl_buf_json_string(out, lua_tostring(lua, index)); break;
    case LUA_TNUMBER: json_number(lua, index, out); break;
    case LUA_TBOOLEAN: hl_buf_text(out, lua_toboolean(lua, index) ? "true" : "false"); break;
    case LUA_TTABLE:
        if (lua_rawlen(lua, index) > 0) {
            json_list(lua, index, out, depth);
        } else {
            json_object(lua, index, out, depth);
        }
        break;
    default:
        luaL_error(lua, "arguments: expected texts, numbers and tables, found a %s",
                   luaL_typename(lua, index));
    }
}

/* ---- verbs -------------------------------------------------------------------------------------
 */

/* Names put together at run time are checked here; literal ones already by lint.c. */
static void peer_check(lua_State *lua, const char *peer)
{
    const struct hl_script_set *set = hl_script_state_of(lua)->set;
    if (!hl_script_peer_is_known(set, peer)) {
        const char *near = hl_script_peer_nearest(set, peer);
        luaL_error(lua, "send to \"%s\": no such peer%s%s%s", peer, near ? "; did you mean \"" : "",
                   near ? near : "", near ? "\"?" : "");
    }
}

static void priority_add(lua_State *lua, struct hl_buf *out)
{
    static const char *const names[] = {"low", "normal", "high", NULL};
    if (lua_type(lua, -1) == LUA_TSTRING) {
        for (int i = 0; names[i]; i++) {
            if (strcmp(names[i], lua_tostring(lua, -1)) == 0) {
                hl_buf_printf(out, ",\"priority\":%d", i - 1);
                return;
            }
        }
    }
    luaL_error(lua, "send: priority: expected \"low\", \"normal\" or \"high\"");
}

/* The duration on top of the stack as `name`; verb, option and example are for the error. */
static void time_add(lua_State *lua, const char *verb, const char *option, const char *example,
                     const char *name, struct hl_buf *out)
{
    int64_t ms;
    if (lua_type(lua, -1) != LUA_TSTRING || hl_parse_ms(lua_tostring(lua, -1), &ms) < 0) {
        luaL_error(lua, "%s: %s: expected a time like \"%s\", at most \"36500d\"", verb, option,
                   example);
    }
    hl_buf_printf(out, ",\"%s\":%lld", name, (long long)ms);
}

static void syntax_add(lua_State *lua, struct hl_buf *out)
{
    const struct hl_syntax *syntax =
        lua_type(lua, -1) == LUA_TSTRING ? hl_uid_syntax_named(lua_tostring(lua, -1)) : NULL;
    if (!syntax) {
        luaL_error(lua, "send: syntax: expected a name like \"jpegls\", \"htj2k\" or \"jpeg\", a "
                        "keyword or a UID of a transfer syntax");
    }
    hl_buf_text(out, ",\"syntax\":");
    hl_buf_json_string(out, syntax->uid);
}

static void quality_add(lua_State *lua, struct hl_buf *out)
{
    int is_number = 0;
    lua_Integer quality = lua_tointegerx(lua, -1, &is_number);
    if (!is_number || quality < 1 || quality > 100) {
        luaL_error(lua, "send: quality: expected 1 to 100");
    }
    hl_buf_printf(out, ",\"quality\":%d", (int)quality);
}

/* The options of ev:send at index 3. */
static void send_options(lua_State *lua, struct hl_buf *out)
{
    static const char *const names[] = {"priority", "delay", "syntax", "quality", "via"};
    luaL_checktype(lua, 3, LUA_TTABLE);
    lua_pushnil(lua);
    while (lua_next(lua, 3)) {
        const char *key = lua_type(lua, -2) == LUA_TSTRING ? lua_tostring(lua, -2) : "";
        if (strcmp(key, "priority") == 0) {
            priority_add(lua, out);
        } else if (strcmp(key, "delay") == 0) {
            time_add(lua, "send", key, "10m", "delay_ms", out);
        } else if (strcmp(key, "syntax") == 0) {
            syntax_add(lua, out);
        } else if (strcmp(key, "quality") == 0) {
            quality_add(lua, out);
        } else if (strcmp(key, "via") == 0) {
            hl_buf_text(out, ",\"via\":");
            hl_buf_json_string(out, luaL_checkstring(lua, -1));
        } else {
            const char *near = hl_nearest(key, names, sizeof names / sizeof *names);
            luaL_error(lua,
                       "send: unknown option \"%s\": expected priority, delay, syntax, quality or "
                       "via%s%s%s",
                       key, near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
        }
        lua_pop(lua, 1);
    }
}

/* ev:send(peer [, {priority = "high", delay = "10m", syntax = "jpegls", quality = 90, via = "dicomweb"}]) */
static int verb_send(lua_State *lua)
{
    struct hl_run *run = run_check(lua);
    const char *peer = luaL_checkstring(lua, 2);
    peer_check(lua, peer);
    hl_buf_clear(&run->scratch);
    hl_buf_text(&run->scratch, "{\"to\":");
    hl_buf_json_string(&run->scratch, peer);
    if (!lua_isnoneornil(lua, 3)) {
        send_options(lua, &run->scratch);
    }
    hl_buf_byte(&run->scratch, '}');
    return step_add(lua, run, "send");
}

/* ev:tag(label) */
static int verb_tag(lua_State *lua)
{
    struct hl_run *run = run_check(lua);
    size_t size;
    const char *label = luaL_checklstring(lua, 2, &size);
    luaL_argcheck(lua, size > 0 && size <= 64, 2, "expected a label of 1 to 64 bytes");
    hl_buf_clear(&run->scratch);
    hl_buf_text(&run->scratch, "{\"label\":");
    hl_buf_json_string(&run->scratch, label);
    hl_buf_byte(&run->scratch, '}');
    return step_add(lua, run, "tag");
}

/* ev:kv(key [, value]): kept for hilum.kv.get of later runs of any rule; without a value it goes. In the plan like all else,
 * so a rule that fails keeps nothing. */
static int verb_kv(lua_State *lua)
{
    struct hl_run *run = run_check(lua);
    size_t n_key, n_value = 0;
    const char *key = luaL_checklstring(lua, 2, &n_key);
    const char *value = luaL_optlstring(lua, 3, NULL, &n_value);
    luaL_argcheck(lua, n_key > 0 && n_key <= 128, 2, "expected a key of 1 to 128 bytes");
    luaL_argcheck(lua, n_value <= 4096, 3, "expected a value of at most 4096 bytes");
    hl_buf_clear(&run->scratch);
    hl_buf_text(&run->scratch, "{\"key\":");
    hl_buf_json_string(&run->scratch, key);
    if (value) {
        hl_buf_text(&run->scratch, ",\"value\":");
        hl_buf_json_string(&run->scratch, value);
    }
    hl_buf_byte(&run->scratch, '}');
    return step_add(lua, run, "kv");
}

/* How an object is kept can be chosen while it is not kept yet. */
static void keeping_check(lua_State *lua, const struct hl_run *run, const char *verb)
{
    unsigned phase = run->rule->phase;
    bool is_arrival = strcmp(run->rule->event, "instance.offered") == 0 ||
                      strcmp(run->rule->event, "instance.received") == 0;
    if (!is_arrival || (phase != HILUM_FILTER && phase != HILUM_TRANSFORM)) {
        luaL_error(lua,
                   "ev:%s is allowed on instance.offered and instance.received, in phases "
                   "\"filter\" and \"transform\"",
                   verb);
    }
}

/* A verb with one text, the value at index 2. */
static int keeping_add(lua_State *lua, struct hl_run *run, const char *verb, const char *argument)
{
    hl_buf_clear(&run->scratch);
    hl_buf_printf(&run->scratch, "{\"%s\":", argument);
    hl_buf_json_string(&run->scratch, lua_tostring(lua, 2));
    hl_buf_byte(&run->scratch, '}');
    return step_add(lua, run, verb);
}

/* ev:store(name): in this store instead of the default one. */
static int verb_store(lua_State *lua)
{
    struct hl_run *run = run_check(lua);
    const struct hl_script_env *env = hl_script_state_of(lua)->set->env;
    const char *name = luaL_checkstring(lua, 2);
    keeping_check(lua, run, "store");
    if (env->has_store && !env->has_store(env->arg, name)) {
        return luaL_error(lua, "store \"%s\": no such store", name);
    }
    return keeping_add(lua, run, "store", "store");
}

bool hl_script_policy_is_known(const char *name)
{
    return strcmp(name, "keep-first") == 0 || strcmp(name, "replace") == 0 ||
           strcmp(name, "version") == 0 || strcmp(name, "quarantine") == 0;
}

/* ev:duplicates(policy): should its UID be known with other content. */
static int verb_duplicates(lua_State *lua)
{
    struct hl_run *run = run_check(lua);
    keeping_check(lua, run, "duplicates");
    if (!hl_script_policy_is_known(luaL_checkstring(lua, 2))) {
        return luaL_error(lua, "duplicates: expected " HL_SCRIPT_POLICIES);
    }
    return keeping_add(lua, run, "duplicates", "policy");
}

/* ---- ev:compress -------------------------------------------------------------------------------
 */

static void compress_option(lua_State *lua, const char *key, bool is_object, struct hl_buf *out)
{
    static const char *const names[] = {"when",       "keep_original", "larger_than",
                                        "older_than", "modality",      "limit"};
    uint64_t bytes;
    if (strcmp(key, "when") == 0) {
        return; /* looked at before */
    } else if (strcmp(key, "keep_original") == 0) {
        time_add(lua, "compress", key, "7d", "keep_ms", out);
    } else if (strcmp(key, "older_than") == 0) {
        time_add(lua, "compress", key, "7d", is_object ? "delay_ms" : "older_ms", out);
    } else if (strcmp(key, "larger_than") == 0) {
        if (lua_type(lua, -1) != LUA_TSTRING || hl_parse_bytes(lua_tostring(lua, -1), &bytes) < 0) {
            luaL_error(lua, "compress: larger_than: expected a size like \"64KiB\"");
        }
        hl_buf_printf(out, ",\"min_bytes\":%llu", (unsigned long long)bytes);
    } else if (strcmp(key, "modality") == 0 && lua_type(lua, -1) == LUA_TSTRING) {
        hl_buf_text(out, ",\"modality\":");
        hl_buf_json_string(out, lua_tostring(lua, -1));
    } else if (strcmp(key, "limit") == 0 && lua_isinteger(lua, -1) && lua_tointeger(lua, -1) > 0) {
        hl_buf_printf(out, ",\"limit\":%lld", (long long)lua_tointeger(lua, -1));
    } else {
        const char *near = hl_nearest(key, names, sizeof names / sizeof *names);
        luaL_error(
            lua,
            "compress: option \"%s\" or its value: expected when, keep_original, larger_than, "
            "older_than, modality or limit%s%s%s",
            key, near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
}

/* "ingest" or "after", which is the default. */
static bool compress_is_ingest(lua_State *lua, const struct hl_run *run)
{
    bool is_ingest = false;
    if (lua_istable(lua, 3) && lua_getfield(lua, 3, "when") != LUA_TNIL) {
        const char *when = lua_type(lua, -1) == LUA_TSTRING ? lua_tostring(lua, -1) : "";
        is_ingest = strcmp(when, "ingest") == 0;
        if (!is_ingest && strcmp(when, "after") != 0) {
            luaL_error(lua, "compress: when: expected \"ingest\" or \"after\"");
        }
        lua_pop(lua, 1);
    }
    if (is_ingest) {
        keeping_check(lua, run, "compress{when = \"ingest\"}");
    }
    return is_ingest;
}

/* What a job about no object is about: a study, or all that its options describe. */
static void compress_about(struct hl_run *run, struct hl_buf *out)
{
    const char *study = value_get(run, "StudyInstanceUID");
    if (study && *study) {
        hl_buf_text(out, ",\"study\":");
        hl_buf_json_string(out, study);
    }
}

/* ev:compress(syntax [, {when = "ingest" | "after", keep_original = "7d", larger_than = "64KiB", older_than = "30d",
 * modality = "CT", limit = 1000}]) */
static int verb_compress(lua_State *lua)
{
    struct hl_run *run = run_check(lua);
    const char *name = luaL_checkstring(lua, 2);
    const struct hl_syntax *syntax = hl_uid_syntax_named(name);
    bool is_object = strncmp(run->rule->event, "instance.", 9) == 0;
    if (!syntax || !(syntax->flags & HL_SYNTAX_ENCAPSULATED) ||
        (syntax->flags & (HL_SYNTAX_LOSSY | HL_SYNTAX_VIDEO | HL_SYNTAX_RETIRED) &&
         strcmp(syntax->uid, HL_UID_JPEG_XL_OF_JPEG) != 0)) { /* loses nothing more */
        return luaL_error(lua,
                          "compress to \"%s\": expected what loses nothing: \"htj2k\", \"jpegls\", "
                          "\"j2k\", \"jpegxl\", \"jpegxl-jpeg\", \"jpeg-lossless\", \"rle\"",
                          name);
    }
    bool is_ingest = compress_is_ingest(lua, run);
    hl_buf_clear(&run->scratch);
    hl_buf_printf(&run->scratch, "{\"syntax\":\"%s\",\"when\":\"%s\",\"rule\":", syntax->uid,
                  is_ingest ? "ingest" : "after");
    hl_buf_json_string(&run->scratch, run->rule->name);
    if (!lua_isnoneornil(lua, 3)) {
        luaL_checktype(lua, 3, LUA_TTABLE);
        lua_pushnil(lua);
        while (lua_next(lua, 3)) {
            compress_option(lua, lua_type(lua, -2) == LUA_TSTRING ? lua_tostring(lua, -2) : "",
                            is_object, &run->scratch);
            lua_pop(lua, 1);
        }
    }
    if (!is_object) {
        compress_about(run, &run->scratch);
    }
    hl_buf_byte(&run->scratch, '}');
    return step_add(lua, run, "compress");
}

/* A verb some plugin declared: ev:verb{...}. Upvalue 1: its name. */
static int verb_other(lua_State *lua)
{
    struct hl_run *run = run_check(lua);
    const char *verb = lua_tostring(lua, lua_upvalueindex(1));
    hl_buf_clear(&run->scratch);
    if (lua_isnoneornil(lua, 2)) {
        hl_buf_text(&run->scratch, "{}");
    } else if (lua_type(lua, 2) != LUA_TTABLE || lua_rawlen(lua, 2) > 0) {
        return luaL_error(lua, "ev:%s: expected { name = value, ... }", verb);
    } else {
        lua_settop(lua, 2);
        hl_script_json(lua, 2, &run->scratch, 0);
    }
    return step_add(lua, run, verb);
}

/* A reader some plugin declared: ev:reader(path), nil where nothing is there. Upvalue 1: its name. */
static int reader_call(lua_State *lua)
{
    struct hl_run *run = run_check(lua);
    const struct hl_script_env *env = hl_script_state_of(lua)->set->env;
    const char *reader = lua_tostring(lua, lua_upvalueindex(1)), *path = luaL_optstring(lua, 2, "");
    hl_buf_clear(&run->scratch);
    hilum_rc rc = env->read(env->arg, reader, run->event, path, &run->scratch);
    if (rc == HILUM_ENOTFOUND) {
        lua_pushnil(lua);
        return 1;
    }
    if (rc < 0 || run->scratch.failed) {
        return luaL_error(lua, "ev:%s(\"%s\"): %s", reader, path,
                          rc < 0 ? hl_error() : "out of memory");
    }
    lua_pushlstring(lua, hl_buf_str(&run->scratch), run->scratch.len);
    return 1;
}

/* ---- the metatable -----------------------------------------------------------------------------
 */

/* Upvalue 1: the methods. A name is a method, a field of the event, a declared verb or reader. */
static int event_index(lua_State *lua)
{
    struct hl_run *run = run_check(lua);
    lua_pushvalue(lua, 2);
    if (lua_rawget(lua, lua_upvalueindex(1)) != LUA_TNIL) {
        return 1;
    }
    const char *key = luaL_checkstring(lua, 2), *text = value_get(run, key);
    const struct hl_script_env *env = hl_script_state_of(lua)->set->env;
    if (!text && env->has_verb && env->has_verb(env->arg, key)) {
        lua_pushvalue(lua, 2);
        lua_pushcclosure(lua, verb_other, 1);
        return 1;
    }
    if (!text && env->read && env->read(env->arg, key, NULL, "", NULL) == HILUM_OK) {
        lua_pushvalue(lua, 2);
        lua_pushcclosure(lua, reader_call, 1);
        return 1;
    }
    lua_pushstring(lua, text);
    return 1;
}

/* `ev.X = 1` would be lost without a word: rules say ev:set, whose faults are told. */
static int event_newindex(lua_State *lua)
{
    const char *key = luaL_tolstring(lua, 2, NULL);
    return luaL_error(lua, "ev.%s cannot be assigned: write ev:set(\"%s\", value)", key, key);
}

static int event_tostring(lua_State *lua)
{
    lua_pushfstring(lua, "event %s", hl_event_name(run_check(lua)->event));
    return 1;
}

/* With __metatable false a rule can neither read nor replace what an event is. */
void hl_script_event_open(lua_State *lua)
{
    static const luaL_Reg methods[] = {{"text", event_text},
                                       {"has", event_has},
                                       {"int", event_int},
                                       {"set", event_set},
                                       {"send", verb_send},
                                       {"tag", verb_tag},
                                       {"store", verb_store},
                                       {"duplicates", verb_duplicates},
                                       {"compress", verb_compress},
                                       {"kv", verb_kv},
                                       {NULL, NULL}};
    luaL_newmetatable(lua, EVENT_TYPE);
    luaL_newlib(lua, methods);
    lua_pushcclosure(lua, event_index, 1);
    lua_setfield(lua, -2, "__index");
    lua_pushcfunction(lua, event_newindex);
    lua_setfield(lua, -2, "__newindex");
    lua_pushcfunction(lua, event_tostring);
    lua_setfield(lua, -2, "__tostring");
    lua_pushboolean(lua, 0);
    lua_setfield(lua, -2, "__metatable");
    lua_pop(lua, 1);
}
