/* One Lua state: its memory, its time, its life in the pool. A state whose rule was killed is
 * thrown away and built again from the same sources. Knows nothing of events.
 *
 * A state is used by one thread at a time: the one that took it from the pool. What bounds a
 * run: the count hook (time in Lua), hl_script_budget_check (time in C), the allocator (memory).
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/script/internal.h"

enum {
    HOOK_EVERY = 500, /* instructions between looks at the clock */
    LOOK_FROM =
        64 * 1024, /* allocations of this size look at the clock: `..` of long texts is work too */
    WALL_FACTOR = 5, /* a busy machine may stretch the processor time a rule has by this */
    LOAD_MS = 2000   /* for running all sources once */
};

/* Processor time of this thread, which runs nothing but the rule meanwhile. */
static int64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Lua reserves this space in front of every lua_State for its host (LUA_EXTRASPACE). */
struct hl_script_state *hl_script_state_of(lua_State *lua)
{
    return *(struct hl_script_state **)lua_getextraspace(lua);
}

/* The processor clock costs a system call and cannot be ahead of the wall clock: ask that one
 * first. limit_ns 0: no limit, while the state is being made. */
static bool is_out_of_time(struct hl_script_state *state)
{
    int64_t wall = hl_mono_ns() - state->wall_start_ns;
    if (state->limit_ns == 0 || wall < state->limit_ns) {
        return false;
    }
    if (wall < WALL_FACTOR * state->limit_ns && cpu_ns() - state->cpu_start_ns < state->limit_ns) {
        return false;
    }
    state->killed = HILUM_ETIMEDOUT;
    return true;
}

const char *hl_script_killed_text(const struct hl_script_state *state)
{
    return state->killed == HILUM_ENOMEM ? "used up its memory (script.memory)"
                                         : "used up its time (script.cpu, or the rule's deadline)";
}

/* Lua calls it every HOOK_EVERY instructions, never while C code works. */
static void count_hook(lua_State *lua, lua_Debug *debug)
{
    (void)debug;
    struct hl_script_state *state = hl_script_state_of(lua);
    if (!state->killed && !is_out_of_time(state)) {
        return;
    }
    /* From here every instruction raises again: __close handlers get no further than this. */
    lua_sethook(lua, count_hook, LUA_MASKCOUNT, 1);
    luaL_where(lua, 0);
    lua_pushfstring(lua, "%s%s", lua_tostring(lua, -1), hl_script_killed_text(state));
    lua_error(lua);
}

void hl_script_budget_start(struct hl_script_state *state, uint32_t ms)
{
    state->limit_ns = (int64_t)ms * 1000000;
    state->wall_start_ns = hl_mono_ns();
    state->cpu_start_ns = cpu_ns();
    lua_sethook(state->lua, count_hook, LUA_MASKCOUNT, HOOK_EVERY);
}

/* Sets the hook to every instruction, too, so that a pcall of the library's in between, if there
 * were one, could not go on. */
void hl_script_budget_check(lua_State *lua)
{
    struct hl_script_state *state = hl_script_state_of(lua);
    if (state->killed || is_out_of_time(state)) {
        lua_sethook(lua, count_hook, LUA_MASKCOUNT, 1);
        luaL_error(lua, "%s", hl_script_killed_text(state));
    }
}

/* lua_Alloc. NULL makes Lua do a full collection and try once more, then raise a memory error. A
 * smaller or equal block must never fail, which Lua assumes. */
static void *allocate(void *arg, void *block, size_t old, size_t size)
{
    struct hl_script_state *state = arg;
    old = block ? old : 0; /* without a block Lua tells its kind there */
    if (size == 0) {
        free(block);
        state->used -= old;
        return NULL;
    }
    if (size > old && state->used - old + size > state->limit) {
        return NULL;
    }
    if (size > old && size >= LOOK_FROM && (state->killed || is_out_of_time(state))) {
        return NULL;
    }
    void *grown = realloc(block, size);
    if (grown) {
        state->used += size - old;
    }
    return grown;
}

/* ---- loading ----------------------------------------------------------------------------------
 */

/* "rules/ct.lua:12: unexpected symbol" -> line 12 and the text behind it, if it is about `source`.
 */
static unsigned split_message(const struct hl_script_source *source, const char **message)
{
    size_t n = strlen(source->display);
    if (strncmp(*message, source->display, n) != 0 || (*message)[n] != ':') {
        return 0;
    }
    char *end;
    unsigned long line = strtoul(*message + n + 1, &end, 10);
    if (*end != ':') {
        return 0;
    }
    *message = end + 1 + (end[1] == ' ');
    return (unsigned)line;
}

/* The message on top of the stack, as a fault with file and line, or as hl_error(). */
static void loading_fault(struct hl_script_state *state, const struct hl_script_source *source)
{
    const char *message = luaL_tolstring(state->lua, -1, NULL);
    if (!state->faults) {
        hl_fail(HILUM_EINVAL, "%s", message);
        return;
    }
    unsigned line = split_message(source, &message);
    hl_faults_add(state->faults, source->path, line, "%s", message);
}

/* Compiles and runs one file ("t": text only, byte code can crash Lua). The globals are at index
 * 1. */
static bool source_run(struct hl_script_state *state, const struct hl_script_source *source)
{
    lua_State *lua = state->lua;
    lua_pushfstring(lua, "@%s", source->display);
    int status = luaL_loadbufferx(lua, source->text, source->size, lua_tostring(lua, -1), "t");
    if (status == LUA_OK) {
        hl_script_env_push(lua, 1);
        lua_setupvalue(lua, -2, 1);
        state->loading = source;
        status = lua_pcall(lua, 0, 0, 0);
        state->loading = NULL;
    }
    if (status != LUA_OK) {
        loading_fault(state, source);
    }
    lua_settop(lua, 1);
    return status == LUA_OK;
}

/* Protected: a state too small even for the libraries is a fault, not an abort. */
static int state_load(lua_State *lua)
{
    struct hl_script_state *state = hl_script_state_of(lua);
    lua_settop(lua, 0);
    hl_script_event_open(lua);
    hl_script_table_open(lua);
    hl_script_sandbox_push(lua);
    bool is_good = true;
    for (size_t i = 0; i < state->set->n_sources && !state->killed; i++) {
        is_good &= source_run(state, &state->set->sources[i]);
    }
    lua_pushboolean(lua, is_good && !state->killed);
    return 1;
}

/* On failure the state may still hold a lua_State: the caller closes it. */
hilum_rc hl_script_state_open(struct hl_script_state *state)
{
    state->limit = state->set->memory;
    state->used = 0;
    state->loaded = 0;
    state->killed = HILUM_OK;
    state->limit_ns = 0;
    state->lua = lua_newstate(allocate, state);
    if (!state->lua) {
        return hl_fail(HILUM_ENOMEM, "script.memory: %zu bytes are too few for a Lua state",
                       state->limit);
    }
    *(struct hl_script_state **)lua_getextraspace(state->lua) = state;
    hl_script_budget_start(state, LOAD_MS);
    lua_pushcfunction(state->lua, state_load);
    hilum_rc rc = HILUM_OK;
    if (lua_pcall(state->lua, 0, 1, 0) != LUA_OK) {
        rc = hl_fail(HILUM_EINVAL, "loading rules: %s", lua_tostring(state->lua, -1));
    } else if (!lua_toboolean(state->lua, -1)) {
        rc = HILUM_EINVAL;
    } else if (!state->faults && state->loaded != state->set->n_lua) {
        rc = hl_fail(HILUM_EINVAL, "rules differ from one load to the next");
    }
    lua_settop(state->lua, 0);
    return rc;
}

void hl_script_state_close(struct hl_script_state *state)
{
    if (state->lua) {
        lua_close(state->lua);
        state->lua = NULL;
    }
}

/* ---- pool -------------------------------------------------------------------------------------
 */

/* Last in, first out: the state used last is the one whose memory is in the caches. */
static void state_put(struct hl_script_state *state)
{
    struct hl_script_set *set = state->set;
    pthread_mutex_lock(&set->lock);
    state->next = set->free;
    set->free = state;
    pthread_cond_signal(&set->freed);
    pthread_mutex_unlock(&set->lock);
}

/* A state that could not be rebuilt has no `lua`: it is tried again here, on the time of the run
 * that needs it. */
struct hl_script_state *hl_script_state_take(struct hl_script_set *set, uint32_t ms)
{
    struct timespec until = hl_mono_timespec(hl_mono_ms() + ms);
    pthread_mutex_lock(&set->lock);
    while (!set->free && pthread_cond_timedwait(&set->freed, &set->lock, &until) != ETIMEDOUT) {
    }
    struct hl_script_state *state = set->free;
    if (state) {
        set->free = state->next;
    }
    pthread_mutex_unlock(&set->lock);
    if (!state) {
        hl_fail(HILUM_ETIMEDOUT,
                "no free Lua state within %u ms: other rules take too long, or script.states (%zu) "
                "is too small",
                ms, set->n_states);
        return NULL;
    }
    if (!state->lua && hl_script_state_open(state) < 0) {
        hl_script_state_close(state);
        state_put(state);
        return NULL;
    }
    return state;
}

/* Rebuilt by the thread whose rule was killed, before anybody else waits for it. */
void hl_script_state_give(struct hl_script_state *state)
{
    if (state->killed) {
        hl_script_state_close(state);
        if (hl_script_state_open(state) < 0) {
            hl_log(HL_WARN, "script", "a Lua state could not be rebuilt: %s", hl_error());
            hl_script_state_close(state); /* tried again when it is taken */
        }
    }
    state_put(state);
}
