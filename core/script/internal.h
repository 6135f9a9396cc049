/* What the files of core/script share: a set of rules (one generation), its pool of Lua states, and
 * one run of one rule. Nothing outside this folder includes it. SPDX-License-Identifier: Apache-2.0
 */
#ifndef HL_SCRIPT_INTERNAL_H
#define HL_SCRIPT_INTERNAL_H

#include <lua.h>
#include <lauxlib.h>
#include <pthread.h>
#include <stdatomic.h>

#include "core/base/arena.h"
#include "core/script/script.h"

enum {
    HL_SCRIPT_LINES = 20,     /* hilum.log lines of one run; the rest is dropped */
    HL_SCRIPT_STEPS = 64,     /* verbs of one run */
    HL_SCRIPT_EDITS = 32,     /* ev:set of one run */
    HL_SCRIPT_LIST = 1000000, /* elements a function of `table` may touch in one call */
    HL_SCRIPT_TEXT = 4 << 20  /* bytes string.rep may build */
};

/* They do not come back (longjmp), which lauxlib.h tells neither compiler nor analyser. */
int luaL_error(lua_State *lua, const char *format, ...) __attribute__((noreturn));
int luaL_argerror(lua_State *lua, int arg, const char *text) __attribute__((noreturn));

/* One *.lua file. Texts live in the set's arena. */
struct hl_script_source {
    const char *path;    /* to open and for faults */
    const char *display; /* "rules/ct.lua": what Lua prints; short, because Lua cuts at 60 bytes */
    const char *text;
    size_t size;
    bool is_core;
};

enum hl_on_error { HL_ON_ERROR_DEFAULT, HL_ON_ERROR_PASS, HL_ON_ERROR_DEFER, HL_ON_ERROR_REJECT };

/* One hilum.on, or one route. Immutable after loading but for the counters. */
struct hl_rule {
    struct hl_script_set *set;
    int index; /* of its function in every state, from 1; 0: a route */
    bool is_core;
    const char *name, *event, *where, *before, *after;
    const char *path; /* for faults */
    const char *file; /* for people */
    unsigned line, phase;
    uint32_t deadline_ms;
    enum hl_on_error on_error;
    const char *const *send; /* a route's destinations as JSON arguments */
    size_t n_send;
    atomic_uint_fast64_t calls, failures, total_ns;
};

/* A peer as rules see it. */
struct hl_script_peer {
    const char *name, *aet, *host;
};

/* A table of the site: rows in order of key. Immutable. */
struct hl_script_table {
    const char *name;
    const char **columns;
    size_t n_columns;
    const char ***rows; /* rows[i][column]; column 0 is the key */
    size_t n_rows;
};

/* One Lua state with its budget. Used by one thread at a time. */
struct hl_script_state {
    struct hl_script_set *set;
    lua_State *lua;
    struct hl_script_state *next; /* free list */
    size_t used, limit;           /* bytes */
    int64_t wall_start_ns, cpu_start_ns, limit_ns;
    hilum_rc killed;    /* HILUM_ETIMEDOUT or HILUM_ENOMEM: nothing in the state may go on */
    struct hl_run *run; /* NULL outside of a rule's run */
    uint64_t serial;    /* of the run: an event kept from an earlier run is known by it */
    const struct hl_script_source *loading; /* the file at its top level; NULL afterwards */
    struct hl_faults *faults;               /* of the first load: rules are checked; else NULL */
    size_t loaded;                          /* rules seen by this load */
};

/* A generation: sources, tables, rules and the states that hold them. Reference counted. */
struct hl_script_set {
    atomic_uint refs;
    struct hl_arena arena;
    const struct hl_script_env *env;
    struct hl_script_source *sources;
    size_t n_sources, cap_sources;
    struct hl_script_table *tables;
    size_t n_tables, cap_tables;
    struct hl_script_peer *peers;
    size_t n_peers;
    struct hl_rule **rules;
    size_t n_rules, cap_rules, n_lua; /* those of Lua come first, then the routes */
    struct hl_bus *bus;
    size_t memory;
    uint32_t cpu_ms;
    char version[17];
    pthread_mutex_t lock; /* free */
    pthread_cond_t freed;
    struct hl_script_state *free;
    struct hl_script_state *states;
    size_t n_states;
};

/* A step or an edit of the run, kept back until the rule has returned well. Texts are offsets into
 * hl_run.texts, which may move while it grows. */
struct hl_run_item {
    size_t key, value;
    unsigned line;
};

struct hl_run {
    struct hl_rule *rule;
    hilum_event *event;
    struct hl_run_item steps[HL_SCRIPT_STEPS], edits[HL_SCRIPT_EDITS];
    size_t n_steps, n_edits;
    struct hl_buf texts;
    struct hl_buf
        scratch; /* owned here so that an error that jumps over a C function leaks nothing */
    unsigned lines;
    bool has_verdict; /* hilum.reject and friends were called */
    int32_t verdict;
    char reason[256];
};

/* ---- set.c ------------------------------------------------------------------------------------
 */
/* A set with one reference, the peers of `config` and no rules. `env` is borrowed for its life.
 * HILUM_ENOMEM. */
hilum_rc hl_script_set_new(struct hl_bus *bus, const struct hl_script_env *env,
                           const struct hl_config *config, struct hl_script_set **out);
/* Reads what is to be loaded. Faults are added; false then. `core_only` leaves the site out. */
bool hl_script_set_read(struct hl_script_set *set, const struct hl_config *config,
                        const char *core_dir, bool core_only, struct hl_faults *faults);
/* Runs the sources in all states and collects the rules; then the routes. */
bool hl_script_set_build(struct hl_script_set *set, const struct hl_config *config,
                         struct hl_faults *faults);
/* References may be taken and dropped on any thread. The last one frees states, tables and
 * texts; hl_script_set_unref takes a void pointer, to be given to the bus as a release function,
 * and NULL is nothing. */
void hl_script_set_ref(struct hl_script_set *set);
void hl_script_set_unref(void *set);
/* A new rule of the set, zeroed but for `set`, owned by the set. NULL without memory. Only while
 * loading. */
struct hl_rule *hl_script_rule_add(struct hl_script_set *set);

/* ---- source.c, table.c, route.c, lint.c -------------------------------------------------------
 */
/* All *.lua of `dir` into the set, by name, each read through lint.c. Faults are added. */
void hl_script_sources_read(struct hl_script_set *set, const char *dir, bool is_core,
                            struct hl_faults *faults);
/* All *.csv of `dir` into the set, by name. Faults are added. */
void hl_script_tables_read(struct hl_script_set *set, const char *dir, struct hl_faults *faults);
/* Calls each(arg, path) for the files of `dir` that end in `suffix`, by name. A missing dir is
 * empty. */
void hl_script_files(const char *dir, const char *suffix, struct hl_faults *faults,
                     void (*each)(void *arg, const char *path), void *arg);
/* The whole file into the set's arena; NULL after a fault. Text beyond `max` bytes is a fault. */
const char *hl_script_file_read(struct hl_script_set *set, const char *path, size_t max,
                                struct hl_faults *faults, size_t *size);
/* CSV text into a table. false after a fault. */
bool hl_script_table_parse(struct hl_script_set *set, const char *path, const char *text,
                           size_t size, struct hl_script_table *table, struct hl_faults *faults);
/* The row with this key, its columns in the order of the table; NULL if there is none. Borrowed
 * from the set. */
const char **hl_script_table_row(const struct hl_script_table *table, const char *key);
/* Adds a rule per entry of `routes`, after those of Lua. */
void hl_script_routes_read(struct hl_script_set *set, const struct hl_config *config);
/* The hook of a route: plans a send to each of its peers. Any thread. */
int32_t hl_script_route_run(void *rule, hilum_event *event);
/* What ev:duplicates takes. */
#define HL_SCRIPT_POLICIES "\"keep-first\", \"replace\", \"version\" or \"quarantine\""
bool hl_script_policy_is_known(const char *name);
/* Finds ev:send("NAME") with a name that is no peer, and its like, without running anything. */
void hl_script_lint(struct hl_script_set *set, const struct hl_script_source *source,
                    struct hl_faults *faults);
/* Asks the server (env->has_peer), without one the configuration's peers. */
bool hl_script_peer_is_known(const struct hl_script_set *set, const char *name);
/* The nearest peer's name, NULL if none is near. */
const char *hl_script_peer_nearest(const struct hl_script_set *set, const char *name);

/* ---- state.c ----------------------------------------------------------------------------------
 */
/* A fresh Lua state with all sources run. HILUM_EINVAL with hl_error() or faults. */
hilum_rc hl_script_state_open(struct hl_script_state *state);
/* Frees the Lua state. Nothing if there is none. */
void hl_script_state_close(struct hl_script_state *state);
/* The state behind a lua_State, in any function Lua calls. */
struct hl_script_state *hl_script_state_of(lua_State *lua);
/* Why a killed state was killed, for people. */
const char *hl_script_killed_text(const struct hl_script_state *state);
/* Starts the clock of a run: `ms` of processor time. */
void hl_script_budget_start(struct hl_script_state *state, uint32_t ms);
/* Raises a Lua error when the time is used up; for C functions that work long. */
void hl_script_budget_check(lua_State *lua);
/* A free state; waits up to ms. NULL with hl_error(). */
struct hl_script_state *hl_script_state_take(struct hl_script_set *set, uint32_t ms);
/* Gives it back, rebuilt if it was killed. */
void hl_script_state_give(struct hl_script_state *state);

/* ---- sandbox.c, strings.c, pattern.c, api.c, on.c, event.c: Lua-callable -----------------------
 */
/* Leaves the table of globals all files see on the stack. */
void hl_script_sandbox_push(lua_State *lua);
/* Replaces the table on top by a read-only view of it; `name` is for the error. */
void hl_script_readonly(lua_State *lua, const char *name);
/* The environment of one file on the stack. */
void hl_script_env_push(lua_State *lua, int globals);
/* `string` and `table` as rules have them, added to the table on top; `hilum`, left on top; the
 * types of events and tables, registered. */
void hl_script_strings_open(lua_State *lua); /* adds to the table on top */
void hl_script_tables_open(lua_State *lua);  /* adds to the table on top */
void hl_script_api_open(lua_State *lua);     /* leaves `hilum` on top */
void hl_script_event_open(lua_State *lua);   /* registers the metatable */
/* A view of the table on the stack. The table must outlive the state. */
void hl_script_table_push(lua_State *lua, const struct hl_script_table *table);
void hl_script_table_open(lua_State *lua);
/* hilum.on, as Lua calls it: one table. Stores the function; checks and adds the rule in the
 * first state of a set. Raises a Lua error while a rule runs. */
int hl_script_on(lua_State *lua);
/* The verdict at `index` or NULL. Borrowed. */
struct hl_script_verdict {
    int32_t verdict;
    uint64_t serial;
    char reason[];
};
struct hl_script_verdict *hl_script_verdict_test(lua_State *lua, int index);
/* An event for the run of this state on the stack. */
void hl_script_event_push(lua_State *lua);
/* The value at `index` as JSON. Raises a Lua error for what JSON has not. */
void hl_script_json(lua_State *lua, int index, struct hl_buf *out, unsigned depth);
/* "filter"; the run now, or an error that says `what` needs one. */
const char *hl_script_phase_name(unsigned phase);
struct hl_run *hl_script_run_now(lua_State *lua, const char *what);

/* ---- run.c ------------------------------------------------------------------------------------
 */
/* The hook of a rule in Lua (hilum_hook.run): the verdict, or a negative error that the bus
 * answers as the phase asks. Any thread, many at once. */
int32_t hl_script_rule_run(void *rule, hilum_event *event);

/* ---- pattern.c --------------------------------------------------------------------------------
 */
enum { HL_PATTERN_CAPTURES = 32 };
struct hl_capture {
    const char *start;
    ptrdiff_t size; /* HL_CAPTURE_* when negative */
};
enum { HL_CAPTURE_OPEN = -1, HL_CAPTURE_POSITION = -2 };
struct hl_pattern {
    lua_State *lua;
    const char *text, *text_end, *end; /* subject, its end, end of the pattern */
    unsigned depth, level;
    size_t steps; /* bytes looked at since the last look at the clock */
    struct hl_capture capture[HL_PATTERN_CAPTURES];
};
/* End of the match of `pattern` at `at`, NULL if there is none. Raises Lua errors: malformed
 * pattern, too deep, out of time. */
const char *hl_pattern_match(struct hl_pattern *pattern, const char *at, const char *p);

#endif
