/* One run of one rule: a state, a budget, and a plan that counts only if the rule returns well.
 * Knows nothing of what the verbs do.
 *
 * Runs on whatever thread dispatches the event, many at once, each with its own state. Order:
 * take a state, run the function in protected mode, then apply edits and plan to the event, then
 * answer. A rule that fails has changed nothing. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/script/internal.h"

const char *hl_script_phase_name(unsigned phase)
{
    static const char *const names[] = {"?", "filter", "transform", "commit", "notify"};
    return names[phase <= HILUM_NOTIFY ? phase : 0];
}

/* What run returned, at index -1. Answers that do nothing are faults: the author meant something.
 */
static void answer_take(lua_State *lua, struct hl_run *run)
{
    struct hl_script_verdict *verdict = hl_script_verdict_test(lua, -1);
    if (verdict && verdict->serial == hl_script_state_of(lua)->serial) {
        run->verdict = verdict->verdict;
        snprintf(run->reason, sizeof run->reason, "%s", verdict->reason);
        return;
    }
    if (!lua_isnil(lua, -1)) {
        luaL_error(lua,
                   "%s:%d: run returned a %s: expected nothing, or hilum.hold(reason) and the like",
                   run->rule->file, (int)run->rule->line, luaL_typename(lua, -1));
    }
    if (run->has_verdict) {
        luaL_error(lua,
                   "%s:%d: hilum.reject, hold, defer, discard or accept was called but not "
                   "returned: write 'return hilum.reject(...)'",
                   run->rule->file, (int)run->rule->line);
    }
}

/* In protected mode, with the run as its only argument. */
static int rule_call(lua_State *lua)
{
    struct hl_run *run = lua_touserdata(lua, 1);
    lua_getfield(lua, LUA_REGISTRYINDEX, "hilum.rules");
    lua_rawgeti(lua, -1, run->rule->index);
    hl_script_event_push(lua);
    lua_call(lua, 1, 1);
    answer_take(lua, run);
    return 0;
}

/* Runs the function; its plan is in `run` afterwards, not yet on the event. Leaves the state
 * with an empty stack, or killed. state->run is NULL outside, so that a closure called by nobody
 * of ours finds no event. */
static hilum_rc run_protected(struct hl_script_state *state, struct hl_run *run)
{
    const struct hl_rule *rule = run->rule;
    lua_State *lua = state->lua;
    state->run = run;
    state->serial++;
    hl_script_budget_start(state, rule->deadline_ms);
    lua_pushcfunction(lua, rule_call);
    lua_pushlightuserdata(lua, run);
    int status = lua_pcall(lua, 1, 0, 0);
    state->run = NULL;
    hilum_rc rc = HILUM_OK;
    if (status == LUA_ERRMEM) {
        state->killed = state->killed ? state->killed : HILUM_ENOMEM;
        rc = hl_fail(state->killed, "%s: %s:%u: %s", rule->name, rule->file, rule->line,
                     hl_script_killed_text(state));
    } else if (status != LUA_OK) {
        /* Not luaL_tolstring: it may call the rule's own __tostring, outside of protection. */
        const char *message = lua_type(lua, -1) == LUA_TSTRING ? lua_tostring(lua, -1) : NULL;
        rc = hl_fail(state->killed ? state->killed : HILUM_EINVAL, "%s: %s", rule->name,
                     message ? message : "raised an error that is not a text");
    }
    lua_settop(lua, 0);
    return rc;
}

/* Edits first: one that is refused fails the rule before its plan exists. */
static hilum_rc run_apply(struct hl_run *run)
{
    const struct hl_rule *rule = run->rule;
    for (size_t i = 0; i < run->n_edits; i++) {
        const struct hl_run_item *edit = &run->edits[i];
        hilum_rc rc =
            hl_event_edit(run->event, run->texts.data + edit->key, run->texts.data + edit->value);
        if (rc < 0) {
            return hl_fail_in(rc, "%s: %s:%u: set %s", rule->name, rule->file, edit->line,
                              run->texts.data + edit->key);
        }
    }
    for (size_t i = 0; i < run->n_steps; i++) {
        const struct hl_run_item *step = &run->steps[i];
        hilum_rc rc =
            hl_event_plan(run->event, run->texts.data + step->key, run->texts.data + step->value);
        if (rc < 0) {
            return hl_fail_in(rc, "%s: %s:%u", rule->name, rule->file, step->line);
        }
    }
    if (run->verdict != HILUM_PASS) {
        hl_event_reason(run->event, run->reason);
    }
    return run->verdict;
}

/* The rule's own choice when it fails. Without one the bus gets the error and does what the
 * phase asks: a hold in filter and transform, another try in notify. */
static int32_t on_error(struct hl_run *run, hilum_rc rc)
{
    static const int32_t verdicts[] = {[HL_ON_ERROR_PASS] = HILUM_PASS,
                                       [HL_ON_ERROR_DEFER] = HILUM_DEFER,
                                       [HL_ON_ERROR_REJECT] = HILUM_REJECT};
    struct hl_rule *rule = run->rule;
    atomic_fetch_add(&rule->failures, 1);
    if (rule->on_error == HL_ON_ERROR_DEFAULT) {
        return rc;
    }
    hl_log(HL_WARN, "script", "%s (on_error decides)", hl_error());
    hl_event_reason(run->event, hl_error());
    return verdicts[rule->on_error];
}

/* The hook of a Lua rule. A state that is not free within the deadline fails the rule like any
 * other error: on_error decides then, too. */
int32_t hl_script_rule_run(void *arg, hilum_event *event)
{
    struct hl_rule *rule = arg;
    int64_t start = hl_mono_ns();
    struct hl_run run; /* large: only what is read before it is written is cleared */
    run.rule = rule;
    run.event = event;
    run.n_steps = run.n_edits = 0;
    run.texts = run.scratch = (struct hl_buf){0};
    run.lines = 0;
    run.has_verdict = false;
    run.verdict = HILUM_PASS;
    run.reason[0] = '\0';

    atomic_fetch_add(&rule->calls, 1);
    struct hl_script_state *state = hl_script_state_take(rule->set, rule->deadline_ms);
    int32_t rc = state
                     ? run_protected(state, &run)
                     : hl_fail_in(HILUM_ETIMEDOUT, "%s: %s:%u", rule->name, rule->file, rule->line);
    if (rc >= 0) {
        rc = run_apply(&run);
    }
    if (rc < 0) {
        rc = on_error(&run, rc);
    }
    if (state) {
        hl_script_state_give(state);
    }
    hl_buf_fini(&run.texts);
    hl_buf_fini(&run.scratch);
    atomic_fetch_add(&rule->total_ns, (uint_fast64_t)(hl_mono_ns() - start));
    return rc;
}
