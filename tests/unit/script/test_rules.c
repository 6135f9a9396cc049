/* Rules from file to verdict and plan: checks at load, phases, failure, routes, tables, reload.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rules.h"

static struct hl_verdict dispatch(struct site *site, hilum_event *event, unsigned phase)
{
    struct hl_verdict verdict;
    hl_bus_dispatch(site->bus, event, phase, &verdict);
    return verdict;
}

/* One event through one phase, freed. */
static struct hl_verdict run_once(struct site *site, const char *name, unsigned phase)
{
    hilum_event *event = ct_event(name);
    struct hl_verdict verdict = dispatch(site, event, phase);
    hl_event_free(event);
    return verdict;
}

/* ---- load ---------------------------------------------------------------------------------------
 */

static void load__every_fault_is_named_with_file_and_line(void **unused)
{
    (void)unused;
    struct site site;
    site_open(&site, NULL);
    site_write(
        &site, "rules/a.lua",
        "hilum.on { event = 'instance.stored', name = 'a', wehre = 'x', run = function() end }\n"
        "hilum.on { name = 'b', run = 1 }\n"
        "hilum.on { event = 'instance.stored', name = 'core/c', run = print }\n"
        "hilum.on { event = 'instance.stored', name = 'd', phase = 'later', run = print }\n"
        "hilum.on { event = 'instance.stored', name = 'e', deadline = '1h', run = print }\n"
        "hilum.on { event = 'instance.stored', name = 'f', on_error = 'hold', run = print }\n"
        "hilum.on { event = 'instance.stored', name = 'g', async = true, run = print }\n"
        "hilum.on { event = 'instance.stored', name = 'a b', run = print }\n");
    site_write(&site, "rules/b.lua", "local x = \n");
    site_write(&site, "rules/c.lua", "local x = nil\nx.y = 1\n");
    assert_int_equal(site_load(&site, true), HILUM_EINVAL);
    static const char *const expected[] = {
        "a.lua:1: hilum.on: wehre: expected",
        "did you mean \"where\"",
        "a.lua:2: hilum.on: event: expected a text, found nothing",
        "a.lua:2: hilum.on: run: expected a function, found a number",
        "a.lua:3: hilum.on: name: \"core/\"",
        "a.lua:4: hilum.on: phase: expected",
        "a.lua:5: hilum.on: deadline: expected",
        "a.lua:6: hilum.on: on_error: expected nothing",
        "a.lua:7: hilum.on: async: ",
        "a.lua:8: hilum.on: name: expected",
        "b.lua:2: unexpected symbol",
        "c.lua:2: attempt to index a nil value"};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        if (!strstr(site.text, expected[i])) {
            fail_msg("no \"%s\" in:\n%s", expected[i], site.text);
        }
    }
    site_close(&site);
}

static void load__bus_faults_are_named_with_file_and_line(void **unused)
{
    (void)unused;
    struct site site;
    site_open(&site, NULL);
    site_write(
        &site, "rules/a.lua",
        "hilum.on { event = 'instance.storde', name = 'a', run = print }\n"
        "hilum.on { event = 'instance.stored', name = 'b', where = 'Modality', run = print }\n"
        "hilum.on { event = 'instance.stored', name = 'c', after = 'site/none', run = print }\n");
    assert_int_equal(site_load(&site, true), HILUM_EINVAL);
    assert_non_null(strstr(site.text, "a.lua:1: "));
    assert_non_null(strstr(site.text, "did you mean \"instance.stored\""));
    assert_non_null(strstr(site.text, "a.lua:2: "));
    assert_int_equal(site.faults.count >= 2, true);
    site_close(&site);
}

static void load__send_to_no_peer_is_a_fault_with_the_nearest(void **unused)
{
    (void)unused;
    struct site site;
    site_open(&site, NULL);
    site_write(&site, "rules/a.lua",
               "-- ev:send(\"NOBODY\") in a comment\n"
               "--[[ ev:send('NOBODY') ]] local t = \"ev:send('NOBODY')\" local u = [[ "
               ":send('NOBODY') ]]\n"
               "hilum.on { event = 'instance.stored', name = 'a', run = function(ev)\n"
               "  ev:send('ARCHIVE') ev:send('AI_' .. 'LUNG') ev:sender('x')\n"
               "  ev:send(\"ARCHIV\")\n"
               "end }");
    assert_int_equal(site_load(&site, true), HILUM_EINVAL);
    assert_int_equal(site.faults.count, 1);
    assert_non_null(strstr(site.text,
                           "a.lua:5: send: expected the name of a configured peer (did you "
                           "mean \"ARCHIVE\"?), found \"ARCHIV\""));
    site_close(&site);
}

static bool cold_only(void *arg, const char *name)
{
    (void)arg;
    return strcmp(name, "cold") == 0;
}

static void load__names_of_stores_and_policies_are_checked(void **unused)
{
    (void)unused;
    struct site site;
    const struct hl_script_env env = {.has_store = cold_only};
    site_open(&site, &env);
    site_write(&site, "rules/a.lua",
               "hilum.on { event = 'instance.received', phase = 'filter', name = 'a',\n"
               "  run = function(ev)\n"
               "  ev:store('cold') ev:duplicates('replace')\n"
               "  ev:store('cald')\n"
               "  ev:duplicates('repalce')\n"
               "end }");
    assert_int_equal(site_load(&site, true), HILUM_EINVAL);
    assert_int_equal(site.faults.count, 2);
    assert_non_null(strstr(site.text, "a.lua:4: store: expected the name of a configured store, "
                                      "found \"cald\""));
    assert_non_null(strstr(site.text, "a.lua:5: duplicates: expected \"keep-first\""));
    site_close(&site);
}

static void run__chooses_a_store_only_while_an_object_arrives(void **unused)
{
    (void)unused;
    struct site site;
    struct hl_verdict verdict;
    const struct hl_script_env env = {.has_store = cold_only};
    site_open(&site, &env);
    site_write(&site, "rules/a.lua",
               "hilum.on { event = 'instance.received', phase = 'filter', name = 'a',\n"
               "  run = function(ev) ev:store('cold') ev:duplicates('version') end }\n"
               "hilum.on { event = 'instance.stored', name = 'b',\n"
               "  run = function(ev) ev:store('cold') end }\n");
    assert_int_equal(site_load(&site, false), HILUM_OK);
    hilum_event *event = hl_event_new("instance.received");
    hl_bus_dispatch(site.bus, event, HILUM_FILTER, &verdict);
    assert_int_equal(verdict.verdict, HILUM_PASS);
    assert_int_equal(hl_event_plan_count(event), 2);
    assert_string_equal(hl_event_plan_at(event, 0)->arguments, "{\"store\":\"cold\"}");
    assert_string_equal(hl_event_plan_at(event, 1)->arguments, "{\"policy\":\"version\"}");
    hl_event_free(event);
    event = hl_event_new("instance.stored");
    hl_bus_dispatch(site.bus, event, HILUM_NOTIFY, &verdict);
    assert_true(verdict.verdict < 0);
    assert_non_null(strstr(verdict.reason, "ev:store is allowed on instance.offered"));
    hl_event_free(event);
    site_close(&site);
}

static void load__faults_of_text_and_of_the_bus_come_together(void **unused)
{
    (void)unused;
    struct site site;
    site_open(&site, NULL);
    site_write(&site, "rules/a.lua",
               "hilum.on { event = 'instance.storde', name = 'a', run = function(ev)\n"
               "  ev:send('ARCHIV') end }");
    assert_int_equal(site_load(&site, true), HILUM_EINVAL);
    assert_non_null(strstr(site.text, "a.lua:1: "));
    assert_non_null(strstr(site.text, "a.lua:2: "));
    site_close(&site);
}

static void load__with_faults_keeps_the_running_rules(void **unused)
{
    (void)unused;
    struct site site;
    site_open(&site, NULL);
    site_rules(&site, "hilum.on { event = 'instance.received', phase = 'filter', name = 'a',\n"
                      "  run = function() return hilum.reject('first') end }");
    site_write(&site, "rules/b.lua", "syntax error");
    assert_int_equal(site_load(&site, false), HILUM_EINVAL);
    assert_string_equal(run_once(&site, "instance.received", HILUM_FILTER).reason, "first");
    site_write(&site, "rules/b.lua", "");
    site_rules(&site, "hilum.on { event = 'instance.received', phase = 'filter', name = 'a',\n"
                      "  run = function() return hilum.reject('second') end }");
    assert_string_equal(run_once(&site, "instance.received", HILUM_FILTER).reason, "second");
    site_close(&site);
}

static void load__dry_run_changes_nothing(void **unused)
{
    (void)unused;
    struct site site;
    site_open(&site, NULL);
    site_write(&site, "rules/a.lua",
               "hilum.on { event = 'instance.received', phase = 'filter', name = 'a',\n"
               "  run = function() return hilum.reject('no') end }");
    assert_int_equal(site_load(&site, true), HILUM_OK);
    assert_int_equal(run_once(&site, "instance.received", HILUM_FILTER).verdict, HILUM_PASS);
    site_close(&site);
}

static void load__core_rules_run_even_if_the_site_is_at_fault(void **unused)
{
    (void)unused;
    struct site site;
    char core[128];
    site_open(&site, NULL);
    snprintf(core, sizeof core, "%s/core", site.dir);
    assert_int_equal(mkdir(core, 0700), 0);
    site_write(&site, "core/guard.lua",
               "hilum.on { event = 'instance.received', phase = 'filter', name = 'guard',\n"
               "  run = function() return hilum.reject('core says no') end }");
    site_write(&site, "rules/a.lua", "syntax error");
    assert_int_equal(hl_script_load(site.script, site.config, core, false, &site.faults),
                     HILUM_EINVAL);
    struct hl_verdict verdict = run_once(&site, "instance.received", HILUM_FILTER);
    assert_string_equal(verdict.reason, "core says no");
    assert_string_equal(verdict.hook, "core/guard");
    /* A site rule that accepts does not keep the core's guard from running. */
    site_write(&site, "rules/a.lua",
               "hilum.on { event = 'instance.received', phase = 'filter', name = 'a',\n"
               "  before = 'core/guard', run = function() return hilum.accept() end }");
    assert_int_equal(hl_script_load(site.script, site.config, core, false, &site.faults), HILUM_OK);
    verdict = run_once(&site, "instance.received", HILUM_FILTER);
    assert_string_equal(verdict.reason, "core says no");
    site_close(&site);
}

/* ---- verdicts and plans
 * -------------------------------------------------------------------------- */

static void verdict__each_has_its_phase(void **unused)
{
    (void)unused;
    static const struct {
        const char *phase, *call;
        unsigned number;
        int32_t verdict;
        const char *reason;
    } cases[] = {
        {"filter", "return hilum.reject('no %s', ev.Modality)", HILUM_FILTER, HILUM_REJECT,
         "no CT"},
        {"filter", "return hilum.reject('100% no')", HILUM_FILTER, HILUM_REJECT, "100% no"},
        {"filter", "return hilum.defer('later')", HILUM_FILTER, HILUM_DEFER, "later"},
        {"filter", "return hilum.hold('look')", HILUM_FILTER, HILUM_HOLD, "look"},
        {"filter", "return hilum.discard('test')", HILUM_FILTER, HILUM_DISCARD, "test"},
        {"filter", "return hilum.accept()", HILUM_FILTER, HILUM_ACCEPT, ""},
        {"filter", "return nil", HILUM_FILTER, HILUM_PASS, ""},
        {"transform", "return hilum.hold('look')", HILUM_TRANSFORM, HILUM_HOLD, "look"},
        {"transform", "return hilum.discard('x')", HILUM_TRANSFORM, HILUM_HOLD,
         "hilum.discard is allowed in filter only"},
        {"transform", "return hilum.reject('x')", HILUM_TRANSFORM, HILUM_HOLD,
         "hilum.reject is allowed in filter only"},
        {"filter", "hilum.reject('forgot')", HILUM_FILTER, HILUM_HOLD, "return hilum.reject"},
        {"filter", "return true", HILUM_FILTER, HILUM_HOLD, "run returned a boolean"},
        {"filter", "return hilum.reject()", HILUM_FILTER, HILUM_HOLD, "expected a reason"},
        {"filter", "error('boom')", HILUM_FILTER, HILUM_HOLD, "site/v: rules/a.lua:1: boom"},
        {"filter", "error({})", HILUM_FILTER, HILUM_HOLD, "site/v"},
    };
    struct site site;
    site_open(&site, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char lua[512];
        snprintf(lua, sizeof lua,
                 "hilum.on { event = 'instance.received', phase = '%s', name = 'v', run = "
                 "function(ev) %s end }",
                 cases[i].phase, cases[i].call);
        site_rules(&site, lua);
        struct hl_verdict verdict = run_once(&site, "instance.received", cases[i].number);
        if (verdict.verdict != cases[i].verdict || !strstr(verdict.reason, cases[i].reason)) {
            fail_msg("%s: %d \"%s\"", cases[i].call, verdict.verdict, verdict.reason);
        }
    }
    site_close(&site);
}

static void on_error__decides_instead_of_hold(void **unused)
{
    (void)unused;
    static const struct {
        const char *choice;
        int32_t verdict;
    } cases[] = {{"hold", HILUM_HOLD},
                 {"pass", HILUM_PASS},
                 {"defer", HILUM_DEFER},
                 {"reject", HILUM_REJECT}};
    struct site site;
    site_open(&site, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char lua[512];
        snprintf(lua, sizeof lua,
                 "hilum.on { event = 'instance.received', phase = 'filter', name = 'v', on_error = "
                 "'%s', run = function(ev) ev:tag('x') error('boom') end }",
                 cases[i].choice);
        site_rules(&site, lua);
        hilum_event *event = ct_event("instance.received");
        assert_int_equal(dispatch(&site, event, HILUM_FILTER).verdict, cases[i].verdict);
        assert_int_equal(hl_event_plan_count(event), 0);
        hl_event_free(event);
    }
    site_close(&site);
}

static void plan__has_the_steps_in_order(void **unused)
{
    (void)unused;
    struct site site;
    site_open(&site, NULL);
    site_rules(&site,
               "hilum.on { event = 'instance.stored', name = 'ct-fanout', where = 'Modality=CT',\n"
               "  run = function(ev)\n"
               "    ev:send('ARCHIVE')\n"
               "    if ev:text('BodyPartExamined') == 'CHEST' then\n"
               "      ev:send('AI_LUNG', { priority = 'high', delay = '10m' })\n"
               "    end\n"
               "    ev:tag('seen \"1\"')\n"
               "  end }");
    hilum_event *event = ct_event("instance.stored");
    assert_int_equal(dispatch(&site, event, HILUM_NOTIFY).verdict, HILUM_PASS);
    assert_int_equal(hl_event_plan_count(event), 3);
    const struct hl_plan_step *step = hl_event_plan_at(event, 0);
    assert_string_equal(step->rule, "site/ct-fanout");
    assert_string_equal(step->verb, "send");
    assert_string_equal(step->arguments, "{\"to\":\"ARCHIVE\"}");
    step = hl_event_plan_at(event, 1);
    assert_non_null(strstr(step->arguments, "\"to\":\"AI_LUNG\""));
    assert_non_null(strstr(step->arguments, "\"priority\":1"));
    assert_non_null(strstr(step->arguments, "\"delay_ms\":600000"));
    step = hl_event_plan_at(event, 2);
    assert_string_equal(step->verb, "tag");
    assert_string_equal(step->arguments, "{\"label\":\"seen \\\"1\\\"\"}");
    assert_int_equal(step->ordinal, 2);
    hl_event_free(event);
    site_close(&site);
}

static void plan__keeps_and_forgets_values(void **unused)
{
    (void)unused;
    struct site site;
    site_open(&site, NULL);
    site_rules(&site,
               "hilum.on { event = 'instance.stored', name = 'a', run = function(ev)\n"
               "  ev:kv('last', '\"1\"') ev:kv('last')\n"
               "  assert(not pcall(ev.kv, ev, '')) assert(not pcall(ev.kv, ev, ('k'):rep(129)))\n"
               "  assert(not pcall(ev.kv, ev, 'k', ('v'):rep(4097))) end }");
    hilum_event *event = ct_event("instance.stored");
    assert_int_equal(dispatch(&site, event, HILUM_NOTIFY).verdict, HILUM_PASS);
    assert_int_equal(hl_event_plan_count(event), 2);
    assert_string_equal(hl_event_plan_at(event, 0)->verb, "kv");
    assert_string_equal(hl_event_plan_at(event, 0)->arguments,
                        "{\"key\":\"last\",\"value\":\"\\\"1\\\"\"}");
    assert_string_equal(hl_event_plan_at(event, 1)->arguments, "{\"key\":\"last\"}");
    hl_event_free(event);
    site_close(&site);
}

static void plan__of_a_failed_rule_is_empty_and_others_stay(void **unused)
{
    (void)unused;
    struct site site;
    site_open(&site, NULL);
    site_rules(
        &site,
        "hilum.on { event = 'instance.stored', name = 'a', run = function(ev)\n"
        "  ev:send('ARCHIVE') ev:send('AI_' .. 'LONG') end }\n"
        "hilum.on { event = 'instance.stored', name = 'b', after = 'site/a', run = function(ev)\n"
        "  ev:send('ARCHIVE') end }\n");
    assert_int_equal(site.faults.count, 0);
    (void)site;
    hilum_event *event = ct_event("instance.stored");
    struct hl_verdict verdict = dispatch(&site, event, HILUM_NOTIFY);
    assert_true(verdict.verdict < 0);
    assert_string_equal(verdict.hook, "site/a");
    assert_non_null(strstr(verdict.reason,
                           "rules/a.lua:2: send to \"AI_LONG\": no such peer; did you "
                           "mean \"AI_LUNG\"?"));
    assert_int_equal(hl_event_plan_count(event), 1);
    assert_string_equal(hl_event_plan_at(event, 0)->rule, "site/b");
    hl_event_free(event);
    site_close(&site);
}

static void plan__is_delayed_by_a_century_at_most(void **unused)
{
    (void)unused;
    struct site site;
    site_open(&site, NULL);
    site_rules(&site, "hilum.on { event = 'instance.stored', name = 'a', run = function(ev)\n"
                      "  ev:send('ARCHIVE', { delay = '106751991168d' }) end }\n");
    hilum_event *event = ct_event("instance.stored");
    struct hl_verdict verdict = dispatch(&site, event, HILUM_NOTIFY);
    assert_true(verdict.verdict < 0);
    assert_non_null(strstr(verdict.reason, "rules/a.lua:2: send: delay: expected a time like "
                                           "\"10m\", at most \"36500d\""));
    assert_int_equal(hl_event_plan_count(event), 0);
    hl_event_free(event);
    site_close(&site);
}

static void event__gives_fields_texts_and_numbers(void **unused)
{
    (void)unused;
    struct site site;
    site_open(&site, NULL);
    site_rules(
        &site,
        "hilum.on { event = 'instance.received', phase = 'filter', name = 'a', run = function(ev)\n"
        "  assert(ev.Modality == 'CT' and ev:text('Modality') == 'CT')\n"
        "  assert(ev.size == '524288' and ev:int('size') == 524288)\n"
        "  assert(not ev:has('PatientID') and not ev:has('Nothing') and ev:has('Modality'))\n"
        "  assert(ev.Nothing == nil and ev:int('Modality') == nil)\n"
        "  assert(hilum.peers.ARCHIVE.host == '127.0.0.1' and hilum.peers.ARCH.name == 'ARCHIVE')\n"
        "  assert(hilum.peers[ev.calling_aet] == nil)\n"
        "  assert(hilum.clock.between('20:00', '07:00', '23:30'))\n"
        "  assert(hilum.clock.between('20:00', '07:00', '06:59'))\n"
        "  assert(not hilum.clock.between('20:00', '07:00', '07:00'))\n"
        "  assert(hilum.clock.between('08:00', '24:00', '23:59'))\n"
        "  assert(not hilum.clock.between('08:00', '09:00', '07:59'))\n"
        "  assert(not pcall(hilum.clock.between, '8', '09:00'))\n"
        "  assert(#hilum.clock.weekday() == 3 and #hilum.clock.date() == 8)\n"
        "  hilum.log('seen %d', 1) print('x', nil)\n"
        "  return hilum.reject('good')\n"
        "end }");
    assert_string_equal(run_once(&site, "instance.received", HILUM_FILTER).reason, "good");
    site_close(&site);
}

struct edits {
    struct hl_buf text;
};

static hilum_rc edit(void *arg, const char *keyword, const char *utf8)
{
    struct edits *edits = arg;
    if (strcmp(keyword, "SOPInstanceUID") == 0) {
        return hl_fail(HILUM_EDENIED, "SOPInstanceUID may not change before commit");
    }
    hl_buf_printf(&edits->text, "%s=%s;", keyword, utf8);
    return HILUM_OK;
}

static void set__edits_in_transform_and_only_if_the_rule_ends_well(void **unused)
{
    (void)unused;
    static const struct {
        const char *body, *edits;
        int32_t verdict;
    } cases[] = {
        {"ev:set('InstitutionName', 'A') assert(ev.InstitutionName == 'A')", "InstitutionName=A;",
         0},
        {"ev:set('SeriesNumber', '12 ') assert(ev:int('SeriesNumber') == 12)", "SeriesNumber=12 ;",
         0},
        {"ev:set('InstitutionName', 'A') error('x')", "", HILUM_HOLD},
        {"ev:set('SOPInstanceUID', '1.2')", "", HILUM_HOLD},
    };
    struct site site;
    site_open(&site, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char lua[512];
        struct edits edits = {0};
        snprintf(lua, sizeof lua,
                 "hilum.on { event = 'instance.received', phase = 'transform', name = 'e', run = "
                 "function(ev) %s end }",
                 cases[i].body);
        site_rules(&site, lua);
        hilum_event *event = ct_event("instance.received");
        hl_event_set_resolver(event, NULL, edit, &edits);
        assert_int_equal(dispatch(&site, event, HILUM_TRANSFORM).verdict, cases[i].verdict);
        assert_string_equal(hl_buf_str(&edits.text), cases[i].edits);
        hl_event_free(event);
        hl_buf_fini(&edits.text);
    }
    site_close(&site);
}

static bool has_verb(void *arg, const char *verb)
{
    (void)arg;
    return strcmp(verb, "alert") == 0 || strcmp(verb, "secret") == 0;
}

static hilum_rc allow(void *arg, const char *rule, const char *verb)
{
    (void)arg;
    (void)rule;
    return strcmp(verb, "secret") == 0 ? hl_fail(HILUM_EDENIED, "rules may not") : HILUM_OK;
}

static hilum_rc kv_get(void *arg, const char *space, const char *key, struct hl_buf *out)
{
    (void)arg;
    assert_string_equal(space, "rules");
    if (strcmp(key, "there") != 0) {
        return HILUM_ENOTFOUND;
    }
    hl_buf_text(out, "value");
    return HILUM_OK;
}

static void verbs__of_plugins_take_a_table_and_need_permission(void **unused)
{
    (void)unused;
    const struct hl_script_env env = {.has_verb = has_verb, .allow = allow, .kv_get = kv_get};
    struct site site;
    site_open(&site, &env);
    site_rules(&site, "hilum.on { event = 'instance.stored', name = 'a', run = function(ev)\n"
                      "  assert(hilum.kv.get('there') == 'value' and hilum.kv.get('not') == nil)\n"
                      "  ev:alert { to = { 'a', 'b' }, n = 3, deep = { x = true } }\n"
                      "  assert(not pcall(function() ev:secret {} end))\n"
                      "  assert(not pcall(function() ev:unknown {} end))\n"
                      "  assert(not pcall(function() ev:alert('text') end))\n"
                      "  assert(not pcall(function() ev:alert { f = print } end))\n"
                      "  local loop = {} loop.x = loop\n"
                      "  assert(not pcall(function() ev:alert(loop) end))\n"
                      "end }");
    hilum_event *event = ct_event("instance.stored");
    struct hl_verdict verdict = dispatch(&site, event, HILUM_NOTIFY);
    assert_string_equal(verdict.reason, "");
    assert_int_equal(hl_event_plan_count(event), 1);
    const char *arguments = hl_event_plan_at(event, 0)->arguments;
    assert_non_null(strstr(arguments, "\"to\":[\"a\",\"b\"]"));
    assert_non_null(strstr(arguments, "\"deep\":{\"x\":true}"));
    hl_event_free(event);
    site_close(&site);
}

static void tables__are_read_by_key_and_column(void **unused)
{
    (void)unused;
    struct site site;
    site_open(&site, NULL);
    site_write(&site, "tables/procedures.csv",
               "\xEF\xBB\xBF"
               "code;aet;text\r\nCT1;ER_CT1;\"Chest; \"\"low dose\"\"\"\r\n\r\nMR1; MR ;Head\r\n");
    site_rules(
        &site,
        "local procedures = hilum.table('procedures')\n"
        "hilum.on { event = 'instance.received', phase = 'filter', name = 'a', run = function(ev)\n"
        "  assert(procedures.CT1.text == 'Chest; \"low dose\"' and procedures['MR1'].aet == 'MR')\n"
        "  assert(#procedures == 2 and procedures.X == nil and procedures[ev.Nothing] == nil)\n"
        "  assert(not pcall(function() procedures.X = 1 end))\n"
        "  local good, why = pcall(function() return procedures.CT1.txt end)\n"
        "  assert(why:find('did you mean \"text\"', 1, true), why)\n"
        "  good, why = pcall(hilum.table, 'procedure')\n"
        "  assert(why:find('did you mean \"procedures\"', 1, true), why)\n"
        "  return hilum.reject('good')\n"
        "end }");
    assert_string_equal(run_once(&site, "instance.received", HILUM_FILTER).reason, "good");
    site_write(&site, "tables/bad.csv", "a,b\n1,2\n1,3\n4\n");
    assert_int_equal(site_load(&site, true), HILUM_EINVAL);
    assert_non_null(strstr(site.text, "bad.csv:4: expected 2 columns"));
    site_write(&site, "tables/bad.csv", "a,b\n1,2\n1,3\n\"4,\n");
    assert_int_equal(site_load(&site, true), HILUM_EINVAL);
    assert_non_null(strstr(site.text, "bad.csv:4: expected a closing"));
    site_write(&site, "tables/bad.csv", "a,b\n1,2\n0,0\n1,3\n");
    assert_int_equal(site_load(&site, true), HILUM_EINVAL);
    assert_non_null(strstr(site.text, "key \"1\" is there twice"));
    site_write(&site, "tables/bad.csv", "a,b\n1,2\n3,M\xFCller\n");
    assert_int_equal(site_load(&site, true), HILUM_EINVAL);
    assert_non_null(strstr(site.text, "bad.csv:3: expected UTF-8, found the byte 0xFC"));
    site_write(&site, "tables/bad.csv", "a,b,b\n1,2,3\n");
    assert_int_equal(site_load(&site, true), HILUM_EINVAL);
    assert_non_null(strstr(site.text, "bad.csv:1: column \"b\" is there twice"));
    site_write(&site, "tables/bad.csv", "a,b\n1,2\n3,"); /* the last cell is empty, the file ends */
    assert_int_equal(site_load(&site, true), HILUM_OK);
    site_close(&site);
}

/* ---- routes, status, pool
 * ------------------------------------------------------------------------- */

static void routes__need_no_lua(void **unused)
{
    (void)unused;
    struct site site;
    site_open(&site, NULL);
    site_configure(&site,
                   "routes = ( { name = \"ct\"; where = \"Modality=CT\"; send = ( \"ARCHIVE\", "
                   "\"AI_LUNG\" ); },\n"
                   "{ where = \"Modality=MR\"; send = ( \"ARCHIVE\" ); } );\n");
    assert_int_equal(site_load(&site, false), HILUM_OK);
    hilum_event *event = ct_event("instance.stored");
    struct hl_verdict verdict = dispatch(&site, event, HILUM_NOTIFY);
    assert_int_equal(verdict.matched, 1);
    assert_int_equal(hl_event_plan_count(event), 2);
    assert_string_equal(hl_event_plan_at(event, 0)->rule, "route/ct");
    assert_string_equal(hl_event_plan_at(event, 1)->arguments, "{\"to\":\"AI_LUNG\"}");
    hl_event_free(event);
    struct hl_buf order = {0};
    hl_bus_describe(site.bus, "instance.stored", &order);
    assert_non_null(strstr(hl_buf_str(&order), "route/site.cfg:4"));
    hl_buf_fini(&order);
    site_configure(&site, "routes = ( { where = \"Modality?CT\"; send = ( \"ARCHIVE\" ); } );\n");
    assert_int_equal(site_load(&site, true), HILUM_EINVAL);
    assert_non_null(strstr(site.text, "site.cfg:3"));
    site_close(&site);
}

static void status__counts_and_versions(void **unused)
{
    (void)unused;
    struct site site;
    char version[17], second[17];
    static const char rule[] =
        "hilum.on { event = 'instance.received', phase = 'filter', name = 'a', "
        "run = function(ev) error('x') end }";
    site_open(&site, NULL);
    site_rules(&site, rule);
    run_once(&site, "instance.received", HILUM_FILTER);
    struct hl_buf json = {0};
    hl_script_status(site.script, &json);
    assert_non_null(strstr(hl_buf_str(&json), "\"name\":\"site/a\""));
    assert_non_null(strstr(hl_buf_str(&json), "\"calls\":1,\"failures\":1"));
    assert_non_null(strstr(hl_buf_str(&json), "\"line\":1"));
    hl_buf_fini(&json);
    assert_true(hl_script_version(site.script, "site/a", version));
    assert_int_equal(strlen(version), 16);
    assert_false(hl_script_version(site.script, "site/b", second));
    site_rules(&site, rule);
    assert_true(hl_script_version(site.script, "site/a", second));
    assert_string_equal(version, second);
    site_write(&site, "tables/t.csv", "a,b\n1,2\n");
    site_rules(&site, rule);
    assert_true(hl_script_version(site.script, "site/a", second));
    assert_string_not_equal(version, second);
    site_close(&site);
}

static void memory__too_small_is_a_fault(void **unused)
{
    (void)unused;
    struct site site;
    site_open(&site, NULL);
    static const char *const sizes[] = {"1024", "8192", "16384", "32768"};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char more[64];
        snprintf(more, sizeof more, "script = { memory = %s; };", sizes[i]);
        site_configure(&site, more);
        site_write(&site, "rules/a.lua",
                   "hilum.on { event = 'instance.stored', name = 'a', run = print }");
        site_load(&site, true); /* may load or not; may not crash */
    }
    site_configure(&site, "script = { memory = 4096; };");
    assert_int_equal(site_load(&site, true), HILUM_EINVAL);
    site_close(&site);
}

/* `pairs` goes through a table in another order in every state: each state has a hash seed of its
 * own. The function of a rule must be that of its name all the same. */
static void load__finds_the_function_of_a_rule_by_its_name(void **unused)
{
    (void)unused;
    struct site site;
    site_open(&site, NULL);
    site_rules(
        &site,
        "for _, half in ipairs { 'A', 'B' } do\n"
        "  for name in pairs { CT = 1, MR = 1, US = 1, CR = 1, DX = 1, MG = 1, NM = 1, PT = 1 } "
        "do\n"
        "    hilum.on { event = 'instance.received', phase = 'filter', name = name .. half,\n"
        "      where = 'Modality=' .. name .. half,\n"
        "      run = function(ev) return hilum.reject(name .. half) end }\n"
        "  end\n"
        "end");
    static const char *const names[] = {"CTA", "MRA", "USA", "CRB", "DXB", "MGB", "NMB", "PTB"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct hl_verdict verdict;
        hilum_event *event = hl_event_new("instance.received");
        hl_event_set_text(event, "Modality", names[i]);
        hl_bus_dispatch(site.bus, event, HILUM_FILTER, &verdict);
        hl_event_free(event);
        assert_string_equal(verdict.reason, names[i]);
    }
    site_close(&site);
}

static void load__of_other_rules_in_another_state_is_a_fault(void **unused)
{
    (void)unused;
    struct site site;
    site_open(&site, NULL);
    site_write(&site, "rules/a.lua",
               "hilum.on { event = 'instance.received', name = tostring({}):gsub('[^%w]', ''),\n"
               "  run = function(ev) end }");
    assert_int_equal(site_load(&site, true), HILUM_EINVAL);
    assert_non_null(strstr(site.text, "differ from one load to the next"));
    site_close(&site);
}

static void load__of_more_names_than_fit_is_a_fault(void **unused)
{
    (void)unused;
    struct site site;
    site_open(&site, NULL);
    site_write(&site, "rules/a.lua",
               "local t = {} for i = 1, 65 do t[i] = '?site/r' .. i end\n"
               "hilum.on { event = 'instance.received', name = 'a', before = t,\n"
               "  run = function(ev) end }");
    assert_int_equal(site_load(&site, true), HILUM_EINVAL);
    assert_non_null(strstr(site.text, "a.lua:2: hilum.on: before: expected at most"));
    site_close(&site);
}

struct racer {
    struct site *site;
    atomic_uint *rejected;
};

static void *race(void *arg)
{
    struct racer *racer = arg;
    for (int i = 0; i < 300; i++) {
        if (run_once(racer->site, "instance.received", HILUM_FILTER).verdict == HILUM_REJECT) {
            atomic_fetch_add(racer->rejected, 1);
        }
    }
    return NULL;
}

/* Asks for what it may find freed: the rules of a generation that is just being replaced. */
static void *ask(void *arg)
{
    struct racer *racer = arg;
    while (atomic_load(racer->rejected) < 1200) {
        struct hl_buf json = {0};
        char version[17];
        hl_script_status(racer->site->script, &json);
        hl_script_version(racer->site->script, "site/a", version);
        hl_buf_fini(&json);
    }
    return NULL;
}

/* Four threads on two states while the rules are replaced: every run finds a whole generation. */
static void reload__under_load_loses_no_run(void **unused)
{
    (void)unused;
    struct site site;
    pthread_t threads[4], asking;
    atomic_uint rejected = 0;
    struct racer racer = {&site, &rejected};
    static const char rule[] =
        "hilum.on { event = 'instance.received', phase = 'filter', name = 'a', "
        "deadline = '10s', run = function(ev) return hilum.reject('no') end }";
    site_open(&site, NULL);
    site_rules(&site, rule);
    for (int i = 0; i < 4; i++) {
        pthread_create(&threads[i], NULL, race, &racer);
    }
    pthread_create(&asking, NULL, ask, &racer);
    for (int i = 0; i < 20; i++) {
        site_rules(&site, rule);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(rejected, 1200);
    pthread_join(asking, NULL);
    site_close(&site);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(load__every_fault_is_named_with_file_and_line),
        cmocka_unit_test(load__bus_faults_are_named_with_file_and_line),
        cmocka_unit_test(load__send_to_no_peer_is_a_fault_with_the_nearest),
        cmocka_unit_test(load__names_of_stores_and_policies_are_checked),
        cmocka_unit_test(run__chooses_a_store_only_while_an_object_arrives),
        cmocka_unit_test(load__faults_of_text_and_of_the_bus_come_together),
        cmocka_unit_test(load__with_faults_keeps_the_running_rules),
        cmocka_unit_test(load__dry_run_changes_nothing),
        cmocka_unit_test(load__core_rules_run_even_if_the_site_is_at_fault),
        cmocka_unit_test(verdict__each_has_its_phase),
        cmocka_unit_test(on_error__decides_instead_of_hold),
        cmocka_unit_test(plan__has_the_steps_in_order),
        cmocka_unit_test(plan__keeps_and_forgets_values),
        cmocka_unit_test(plan__of_a_failed_rule_is_empty_and_others_stay),
        cmocka_unit_test(plan__is_delayed_by_a_century_at_most),
        cmocka_unit_test(event__gives_fields_texts_and_numbers),
        cmocka_unit_test(set__edits_in_transform_and_only_if_the_rule_ends_well),
        cmocka_unit_test(verbs__of_plugins_take_a_table_and_need_permission),
        cmocka_unit_test(tables__are_read_by_key_and_column),
        cmocka_unit_test(routes__need_no_lua),
        cmocka_unit_test(status__counts_and_versions),
        cmocka_unit_test(memory__too_small_is_a_fault),
        cmocka_unit_test(load__finds_the_function_of_a_rule_by_its_name),
        cmocka_unit_test(load__of_other_rules_in_another_state_is_a_fault),
        cmocka_unit_test(load__of_more_names_than_fit_is_a_fault),
        cmocka_unit_test(reload__under_load_loses_no_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
