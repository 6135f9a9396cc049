/* The step-limited text patterns against those of Lua itself: same answers, same errors.
 * SPDX-License-Identifier: Apache-2.0 */
#include <lualib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "core/script/internal.h"

static const char COMPARE[] =
    "local ours, theirs = ...\n"
    "local texts = { '', 'a', 'abc', 'hello world', '1.2.840.10008', 'key = value', '  trim  ', "
    "'aaa',\n"
    "  'THE (quick) fox', 'f(a(b)c)d', '\\0x\\0y', '%d', 'a-b-c', 'CHEST^ABDOMEN', 'x=1, y=22', "
    "']]',\n"
    "  'ER_CT1', '20261123', 'caf\\xc3\\xa9' }\n"
    "local patterns = { '', '.', 'a', '%a+', '%d+', '^%s*(.-)%s*$', '(%w+)%s*=%s*(%w+)', '%b()', "
    "'%f[%w]%w+',\n"
    "  '()', '(a)(b)(c)', '(a*(.)%w(%s*))', '[^%s]+', '[]]', '[^]]', '[a-c]*', '[%d.]+', '^a-b', "
    "'a-$', '.-b',\n"
    "  '(.)%1', '%.', 'b?c', 'l+', '$', '^', '^$', '[%a_][%w_]*', '\\0', '%s?', '%%d', '[a%-]', "
    "'[a-]',\n"
    "  '%', '[', '[a', '(', ')', '%b', '%f', '(()', '%1', '[%', 'x*y', '(.-)%^(.*)', '%u%l*', "
    "'%x+', '%p',\n"
    "  '(%d%d%d%d)(%d%d)(%d%d)' }\n"
    "local repls = { '<%0>', '%1', '%%', 'x', '', '%9', '%', { a = 'A', hello = 1, x = false },\n"
    "  function(a, b) return b end, function(a) return a .. '!' end }\n"
    "local function run(f, ...) return table.pack(pcall(f, ...)) end\n"
    "local n = 0\n"
    "local function same(what, a, b, t, p)\n"
    "  n = n + 1\n"
    "  local equal = a[1] == b[1] and (not a[1] or a.n == b.n)\n"
    "  for i = 2, a[1] and a.n or 0 do equal = equal and a[i] == b[i] end\n"
    "  if not equal then error(string.format('%s(%q, %q): %s %s %s, expected %s %s %s', what, t, "
    "p, a[1], a[2],\n"
    "    a[3], b[1], b[2], b[3])) end\n"
    "end\n"
    "for _, t in ipairs(texts) do for _, p in ipairs(patterns) do\n"
    "  for _, init in ipairs { 1, 2, -1, 0, 100, -100 } do\n"
    "    same('find', run(ours.find, t, p, init), run(theirs.find, t, p, init), t, p)\n"
    "    same('plain', run(ours.find, t, p, init, true), run(theirs.find, t, p, init, true), t, "
    "p)\n"
    "    same('match', run(ours.match, t, p, init), run(theirs.match, t, p, init), t, p)\n"
    "  end\n"
    "  local function all(f) local r = {} for a, b in f(t, p) do r[#r + 1] = tostring(a) .. "
    "tostring(b) end\n"
    "    return table.concat(r, '|') end\n"
    "  same('gmatch', run(all, ours.gmatch), run(all, theirs.gmatch), t, p)\n"
    "  for _, r in ipairs(repls) do for _, max in ipairs { 100, 1, 0 } do\n"
    "    same('gsub', run(ours.gsub, t, p, r, max), run(theirs.gsub, t, p, r, max), t, p)\n"
    "  end end\n"
    "end end\n"
    "return n\n";

static void pattern__gives_the_answers_of_lua(void **unused)
{
    (void)unused;
    struct hl_script_state state = {0}; /* no limits */
    lua_State *lua = luaL_newstate();
    *(struct hl_script_state **)lua_getextraspace(lua) = &state;
    luaL_openlibs(lua);
    int rc = luaL_loadstring(lua, COMPARE);
    assert_int_equal(rc, LUA_OK);
    lua_newtable(lua);
    hl_script_strings_open(lua);
    luaopen_string(lua);
    rc = lua_pcall(lua, 2, 1, 0);
    if (rc != LUA_OK) {
        fail_msg("%s", lua_tostring(lua, -1));
    }
    assert_true(lua_tointeger(lua, -1) > 30000);
    lua_close(lua);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pattern__gives_the_answers_of_lua)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
