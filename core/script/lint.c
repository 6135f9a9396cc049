/* Finds ev:send("NAME") whose name is no peer, ev:store("NAME") that is no store and
 * ev:duplicates("WORD") that is no policy, by reading the text: a typing error in a rule for the
 * night is found by `hilumd --check` and not in the night. Knows only as much Lua as tells code
 * from comments.
 *
 * Runs on the thread that loads, before any state exists. Whatever it is not sure of it leaves
 * alone: a fault stops the load, so a false alarm would be worse than a miss.
 * SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <string.h>

#include "core/script/internal.h"

/* A place in a source; `line` counts from 1. */
struct lint {
    const char *at, *end;
    unsigned line;
};

/* The level of "[==[" at p: 2; -1 if there is none. */
static int long_level(const char *p, const char *end)
{
    int level = 0;
    if (p >= end || *p++ != '[') {
        return -1;
    }
    while (p < end && *p == '=') {
        level++;
        p++;
    }
    return p < end && *p == '[' ? level : -1;
}

/* Every move over text that may contain line ends goes through here. */
static void advance(struct lint *lint, const char *to)
{
    for (; lint->at < to; lint->at++) {
        lint->line += *lint->at == '\n';
    }
}

/* Past the "]==]" that closes a long bracket. */
static void long_skip(struct lint *lint, int level)
{
    const char *p = lint->at + level + 2;
    for (; p < lint->end; p++) {
        int n = 0;
        if (*p != ']') {
            continue;
        }
        while (p + 1 + n < lint->end && p[1 + n] == '=') {
            n++;
        }
        if (n == level && p + 1 + n < lint->end && p[1 + n] == ']') {
            p += n + 2;
            break;
        }
    }
    advance(lint, p < lint->end ? p : lint->end);
}

/* The text of a literal that begins with the quote at `at`: its end is returned, `at` goes
 * behind the closing quote. An unclosed one ends with its line; Lua will tell. */
static const char *string_skip(struct lint *lint)
{
    char quote = *lint->at++;
    const char *p = lint->at;
    while (p < lint->end && *p != quote && *p != '\n') {
        p += *p == '\\' && p + 1 < lint->end ? 2 : 1;
    }
    p = p < lint->end ? p : lint->end;
    advance(lint, p < lint->end ? p + 1 : p);
    return p;
}

/* `at` is at "--": a line, or a long bracket. */
static void comment_skip(struct lint *lint)
{
    lint->at += 2;
    int level = long_level(lint->at, lint->end);
    if (level >= 0) {
        long_skip(lint, level);
        return;
    }
    const char *p = lint->at;
    while (p < lint->end && *p != '\n')
        p++;
    advance(lint, p);
}

struct verb {
    const char *call; /* ":send" */
    void (*check)(struct hl_script_set *set, const char *name,
                  const struct hl_script_source *source, unsigned line, struct hl_faults *faults);
};

/* `at` is at ":send". Leaves it at the quote of a literal first argument, `ev:send("X")` or
 * `ev:send "X"`; false for anything else. */
static bool literal_find(struct lint *lint, const struct verb *verb)
{
    lint->at += strlen(verb->call);
    while (lint->at < lint->end && (isspace((unsigned char)*lint->at) || *lint->at == '(')) {
        advance(lint, lint->at + 1);
    }
    return lint->at < lint->end && (*lint->at == '"' || *lint->at == '\'');
}

/* The three checks of a name: whether the configuration knows it. */
static void peer_check(struct hl_script_set *set, const char *name,
                       const struct hl_script_source *source, unsigned line,
                       struct hl_faults *faults)
{
    if (hl_script_peer_is_known(set, name)) {
        return;
    }
    const char *near = hl_script_peer_nearest(set, name);
    hl_faults_add(faults, source->path, line,
                  "send: expected the name of a configured peer%s%s%s, found \"%s\"",
                  near ? " (did you mean \"" : "", near ? near : "", near ? "\"?)" : "", name);
}

static void store_check(struct hl_script_set *set, const char *name,
                        const struct hl_script_source *source, unsigned line,
                        struct hl_faults *faults)
{
    if (set->env->has_store && !set->env->has_store(set->env->arg, name)) {
        hl_faults_add(faults, source->path, line,
                      "store: expected the name of a configured store, found \"%s\"", name);
    }
}

static void policy_check(struct hl_script_set *set, const char *name,
                         const struct hl_script_source *source, unsigned line,
                         struct hl_faults *faults)
{
    (void)set;
    if (!hl_script_policy_is_known(name)) {
        hl_faults_add(faults, source->path, line, "duplicates: expected %s, found \"%s\"",
                      HL_SCRIPT_POLICIES, name);
    }
}

static const struct verb verbs[] = {
    {":send", peer_check}, {":store", store_check}, {":duplicates", policy_check}};

/* `at` is at the opening quote of the argument. */
static void name_check(struct hl_script_set *set, const struct hl_script_source *source,
                       struct lint *lint, const struct verb *verb, struct hl_faults *faults)
{
    unsigned line = lint->line;
    const char *start = lint->at + 1, *end = string_skip(lint);
    size_t n = (size_t)(end - start);
    char name[64];
    const char *p = lint->at;
    while (p < lint->end && isspace((unsigned char)*p)) {
        p++;
    }
    if (n >= sizeof name || (p + 1 < lint->end && p[0] == '.' && p[1] == '.')) {
        return; /* "CT_" .. site is no literal name */
    }
    memcpy(name, start, n);
    name[n] = '\0';
    verb->check(set, name, source, line, faults);
}

/* The verb at `at`, not one whose name only begins like it (":sendto"). */
static const struct verb *verb_at(const struct lint *lint)
{
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        size_t n = strlen(verbs[i].call);
        if ((size_t)(lint->end - lint->at) > n && memcmp(lint->at, verbs[i].call, n) == 0 &&
            !isalnum((unsigned char)lint->at[n]) && lint->at[n] != '_') {
            return &verbs[i];
        }
    }
    return NULL;
}

/* Strings and comments are skipped whole, so that code in them is not taken for code. */
void hl_script_lint(struct hl_script_set *set, const struct hl_script_source *source,
                    struct hl_faults *faults)
{
    struct lint lint = {source->text, source->text + source->size, 1};
    while (lint.at < lint.end) {
        int level = long_level(lint.at, lint.end);
        const struct verb *verb = verb_at(&lint);
        if (lint.end - lint.at > 1 && lint.at[0] == '-' && lint.at[1] == '-') {
            comment_skip(&lint);
        } else if (level >= 0) {
            long_skip(&lint, level);
        } else if (*lint.at == '"' || *lint.at == '\'') {
            string_skip(&lint);
        } else if (!verb) {
            advance(&lint, lint.at + 1);
        } else if (literal_find(&lint, verb)) {
            name_check(set, source, &lint, verb, faults);
        }
    }
}
