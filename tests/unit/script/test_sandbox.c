/* What a rule cannot do, however it tries: reach out, live on after its budget, change what others
 * see. SPDX-License-Identifier: Apache-2.0 */
#include "rules.h"

/* Runs `body` as a filter rule on instance.received and returns the verdict; `ms` is what it took.
 */
static struct hl_verdict run_body(struct site *site, const char *body, int64_t *ms)
{
    char lua[8192];
    snprintf(lua, sizeof lua,
             "hilum.on { event = 'instance.received', phase = 'filter', name = 'probe', deadline = "
             "'100ms',\n"
             "  run = function(ev)\n%s\n end }\n",
             body);
    site_rules(site, lua);
    struct hl_verdict verdict;
    hilum_event *event = ct_event("instance.received");
    int64_t start = hl_mono_ms();
    hl_bus_dispatch(site->bus, event, HILUM_FILTER, &verdict);
    *ms = hl_mono_ms() - start;
    hl_event_free(event);
    return verdict;
}

/* The state that was killed must have been replaced by one that works. */
static void check_alive(struct site *site)
{
    int64_t ms;
    struct hl_verdict verdict = run_body(site, "return hilum.reject('alive')", &ms);
    assert_int_equal(verdict.verdict, HILUM_REJECT);
    assert_string_equal(verdict.reason, "alive");
}

/* Expressions that must be nil, or raise. */
static void globals__outside_world_is_absent(void **unused)
{
    (void)unused;
    static const char *const names[] = {"io.open",
                                        "os.execute",
                                        "require",
                                        "package.loadlib",
                                        "load",
                                        "loadstring",
                                        "loadfile",
                                        "dofile",
                                        "debug.sethook",
                                        "coroutine.wrap",
                                        "rawset",
                                        "_G.io",
                                        "string.dump",
                                        "math.random",
                                        "collectgarbage('stop')",
                                        "getmetatable('').__index",
                                        "setmetatable('', {})",
                                        "getmetatable(hilum).__index",
                                        "getmetatable(_ENV).__newindex",
                                        "getmetatable(string).__index",
                                        "string.pack",
                                        "hilum.on{}",
                                        "getmetatable(ev).__index",
                                        "getmetatable(hilum.peers).__index",
                                        "setmetatable({}, { __gc = function() end })",
                                        "(function() string.find = nil end)()",
                                        "(function() hilum.reject = nil end)()",
                                        "(function() x = 1 end)()",
                                        "(function() _ENV.x = 1 end)()",
                                        "(function() print = 1 end)()",
                                        "table.insert(_ENV, 1)",
                                        "(function() ev.PatientID = 'x' end)()",
                                        "(function() hilum.peers.X = 1 end)()",
                                        "(function() setmetatable(_ENV, nil) end)()",
                                        "table.move({ 1 }, 1, 1, 1, _ENV)"};
    struct site site;
    site_open(&site, NULL);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char body[512];
        int64_t ms;
        snprintf(body, sizeof body,
                 "local good, value = pcall(function() return %s end)\n"
                 "if good and value ~= nil then return hilum.reject('%%s', tostring(value)) end",
                 names[i]);
        struct hl_verdict verdict = run_body(&site, body, &ms);
        if (verdict.verdict != HILUM_PASS) {
            fail_msg("%s: %d %s", names[i], verdict.verdict, verdict.reason);
        }
    }
    site_close(&site);
}

static void globals__absent_ones_say_what_to_use(void **unused)
{
    (void)unused;
    struct site site;
    int64_t ms;
    site_open(&site, NULL);
    struct hl_verdict verdict = run_body(&site, "os.time()", &ms);
    assert_int_equal(verdict.verdict, HILUM_HOLD);
    assert_non_null(strstr(verdict.reason, "hilum.clock"));
    assert_non_null(strstr(verdict.reason, "site/probe: rules/a.lua:3:"));
    verdict = run_body(&site, "counter = 1", &ms);
    assert_non_null(strstr(verdict.reason, "hilum.kv"));
    site_close(&site);
}

static void file__is_text_only(void **unused)
{
    (void)unused;
    struct site site;
    site_open(&site, NULL);
    site_write(&site, "rules/a.lua", "\x1bLua");
    assert_int_equal(site_load(&site, false), HILUM_EINVAL);
    assert_non_null(strstr(site.text, "a.lua"));
    site_close(&site);
}

static void file__sees_no_globals_of_another(void **unused)
{
    (void)unused;
    struct site site;
    int64_t ms;
    site_open(&site, NULL);
    site_write(&site, "rules/0.lua", "secret = 1; function helper() return secret end\n");
    struct hl_verdict verdict =
        run_body(&site, "if secret or helper then return hilum.reject('leaked') end", &ms);
    assert_int_equal(verdict.verdict, HILUM_PASS);
    site_close(&site);
}

/* Each must end as a hold within a second (100 ms of processor, and the grace for a busy machine),
 * although it would run for years. */
static void runaway__is_held_and_the_state_rebuilt(void **unused)
{
    (void)unused;
    static const char *const bodies[] = {
        "while true do end",
        "repeat until pcall(error)",
        "while true do pcall(function() while true do end end) end",
        "xpcall(function() while true do end end, function() while true do end end)",
        "while true do xpcall(error, function() while true do end end) end",
        "local x <close> = setmetatable({}, { __close = function() while true do end end })\n"
        "while true do end",
        "local function f() return pcall(f) end while true do f() end",
        "local t = setmetatable({}, { __index = function(t, k) while true do end end }) return t.x",
        "for i = 1, math.huge do end",
        "return setmetatable({}, { __tostring = function() while true do end end }) .. 'x'",
        "error(setmetatable({}, { __tostring = function() while true do end end }))",
        "string.rep('', 1 << 60)",
        "table.move({}, 1, math.maxinteger - 1, 2)",
        "table.concat(setmetatable({}, { __index = table.concat }), '', 1, 1 << 60)",
        "table.insert(setmetatable({}, { __len = function() return 1 << 60 end }), 1, 1)",
        "local t = {} for i = 0, 62 do t[1 << i] = 1 end t[3] = 1 table.insert(t, 1, 1) while true "
        "do end",
        "return (('a'):rep(60)):find(('a?'):rep(60) .. ('a'):rep(60) .. 'b')",
        "return (('a'):rep(300)):find(('.-'):rep(30) .. 'b')",
        "return (('a'):rep(300)):gsub(('a*'):rep(30) .. 'b', '')",
        "local p = '[' .. ('b'):rep(1 << 20) .. ']' return (('a'):rep(1 << 20)):find(p)",
        "return (('a'):rep(1 << 20)):find('(.-)%1b')",
        "for x in (('a'):rep(300)):gmatch(('a*'):rep(30) .. 'b') do end while true do end",
        "local s = ('x'):rep(1 << 20) while true do local t = s:upper() end",
        "local s = ('x'):rep(1 << 20) while true do s:find('y', 1, true) end",
        "local s = ('x'):rep(1 << 20) local t while true do t = s .. s end",
        "local t = {} for i = 1, 90000 do t[i] = -i end while true do table.sort(t) end",
        "while true do string.format('%99.99f', 1e300) end",
        "while true do utf8.len(('x'):rep(100000)) end",
    };
    struct site site;
    site_open(&site, NULL);
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        int64_t ms;
        struct hl_verdict verdict = run_body(&site, bodies[i], &ms);
        if (verdict.verdict != HILUM_HOLD || ms > 3000) {
            fail_msg("%s: verdict %d, %lld ms, %s", bodies[i], verdict.verdict, (long long)ms,
                     verdict.reason);
        }
        assert_non_null(strstr(verdict.reason, "site/probe"));
    }
    check_alive(&site);
    site_close(&site);
}

static void memory__is_bounded_and_not_survived(void **unused)
{
    (void)unused;
    static const char *const bodies[] = {
        "local t = {} while true do t[#t + 1] = ('x'):rep(10000) .. #t end",
        "local t = {} while true do pcall(function() while true do t[#t + 1] = {} end end) end",
        "local function f(...) return f(1, ...) end f()",
        "local s = 'x' while true do s = s .. s end",
        "('x'):rep(1000000000)",
        "local t = {} for i = 1, 1 << 40 do t[i] = i end",
        "return table.unpack({}, 1, 1 << 24)",
    };
    struct site site;
    site_open(&site, NULL);
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        int64_t ms;
        struct hl_verdict verdict = run_body(&site, bodies[i], &ms);
        if (verdict.verdict != HILUM_HOLD || ms > 3000) {
            fail_msg("%s: verdict %d, %lld ms, %s", bodies[i], verdict.verdict, (long long)ms,
                     verdict.reason);
        }
    }
    check_alive(&site);
    site_close(&site);
}

static void recursion__without_end_is_an_error_not_a_crash(void **unused)
{
    (void)unused;
    static const char *const bodies[] = {
        "local function f() return 1 + f() end f()",
        "local t = {} setmetatable(t, { __index = function(t, k) return t[k] end }) return t.x",
        "local s = ('('):rep(250) .. 'a' .. (')'):rep(250) return ('a'):find(s)",
        "local t = {} t.t = t error(t)",
        "local t = setmetatable({}, {}) getmetatable(t).__index = t return t.x.y",
    };
    struct site site;
    site_open(&site, NULL);
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        int64_t ms;
        struct hl_verdict verdict = run_body(&site, bodies[i], &ms);
        assert_int_equal(verdict.verdict, HILUM_HOLD);
    }
    check_alive(&site);
    site_close(&site);
}

static void event__is_dead_after_the_run(void **unused)
{
    (void)unused;
    struct site site;
    struct hl_verdict verdict;
    site_open(&site, NULL);
    site_configure(&site, "script = { states = 1; };");
    site_rules(
        &site,
        "local kept\n"
        "hilum.on { event = 'instance.received', phase = 'filter', name = 'keep',\n"
        "  run = function(ev) if kept then return hilum.hold(kept.Modality) end kept = ev end }");
    for (int i = 0; i < 2; i++) {
        hilum_event *event = ct_event("instance.received");
        hl_bus_dispatch(site.bus, event, HILUM_FILTER, &verdict);
        hl_event_free(event);
    }
    assert_int_equal(verdict.verdict, HILUM_HOLD);
    assert_non_null(strstr(verdict.reason, "this event is over"));
    site_close(&site);
}

/* A file that never comes to its end must not stop the server from starting. */
static void load__that_loops_is_a_fault(void **unused)
{
    (void)unused;
    struct site site;
    site_open(&site, NULL);
    site_write(&site, "rules/a.lua", "while true do end");
    assert_int_equal(site_load(&site, true), HILUM_EINVAL);
    assert_non_null(strstr(site.text, "a.lua:1"));
    assert_non_null(strstr(site.text, "used up its time"));
    site_close(&site);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(globals__outside_world_is_absent),
        cmocka_unit_test(globals__absent_ones_say_what_to_use),
        cmocka_unit_test(file__is_text_only),
        cmocka_unit_test(file__sees_no_globals_of_another),
        cmocka_unit_test(runaway__is_held_and_the_state_rebuilt),
        cmocka_unit_test(memory__is_bounded_and_not_survived),
        cmocka_unit_test(recursion__without_end_is_an_error_not_a_crash),
        cmocka_unit_test(event__is_dead_after_the_run),
        cmocka_unit_test(load__that_loops_is_a_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
