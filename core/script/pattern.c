/* Lua text patterns (reference manual 6.4.1) with a step counter: the library's own matcher runs
 * in C where no hook can stop it, and (".-"):rep(30) takes years. Knows nothing of rules.
 *
 * Backtracking as in the library (lstrlib.c), with the same answers and messages. One thread,
 * one state; the only way out besides the answer is a Lua error, and there is nothing to free.
 * Depth is bounded by DEPTH_MAX (C stack), work by the budget of the run.
 * SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <string.h>

#include "core/script/internal.h"

/* DEPTH_MAX is that of the library (MAXCCALLS). STEPS_PER_CHECK bytes are looked at between two
 * looks at the clock, about 10 us of work. */
enum { DEPTH_MAX = 200, STEPS_PER_CHECK = 4096 };

static const char *match_here(struct hl_pattern *m, const char *s, const char *p);

/* `work` is in bytes looked at: a set of a million bytes and a back reference over as many are one
 * step of the pattern, but not one of the clock. */
static void step(struct hl_pattern *m, ptrdiff_t work)
{
    m->steps += (size_t)work;
    if (m->steps >= STEPS_PER_CHECK) {
        m->steps = 0;
        hl_script_budget_check(m->lua);
    }
}

static unsigned char byte_at(const char *p)
{
    return (unsigned char)*p;
}

/* The end of the single-character class that begins at p: "a", "%d", "[^%s,]". */
static const char *class_end(struct hl_pattern *m, const char *p)
{
    char first = *p++;
    if (first == '%') {
        if (p == m->end) {
            luaL_error(m->lua, "malformed pattern (ends with '%%')");
        }
        return p + 1;
    }
    if (first != '[') {
        return p;
    }
    if (p < m->end && *p == '^') {
        p++;
    }
    do { /* a ']' in first place stands for itself */
        if (p == m->end) {
            luaL_error(m->lua, "malformed pattern (missing ']')");
        }
        if (*p++ == '%' && p < m->end) {
            p++;
        }
    } while (p == m->end || *p != ']');
    return p + 1;
}

/* %a and the like; an upper-case letter is the complement. The C locale: bytes above 127 are in
 * no class. */
static bool is_class(int c, int letter)
{
    static const struct {
        char letter;
        int (*is)(int);
    } classes[] = {{'a', isalpha}, {'c', iscntrl}, {'d', isdigit}, {'g', isgraph}, {'l', islower},
                   {'p', ispunct}, {'s', isspace}, {'u', isupper}, {'w', isalnum}, {'x', isxdigit}};
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (classes[i].letter == tolower(letter)) {
            return (classes[i].is(c) != 0) == (islower(letter) != 0);
        }
    }
    return letter == c;
}

/* p is at '[', last at the closing ']'. */
static bool is_in_set(int c, const char *p, const char *last)
{
    bool is_member = true;
    if (p[1] == '^') {
        is_member = false;
        p++;
    }
    while (++p < last) {
        if (*p == '%') {
            p++;
            if (is_class(c, byte_at(p))) {
                return is_member;
            }
        } else if (p[1] == '-' && p + 2 < last) {
            p += 2;
            if (byte_at(p - 2) <= c && c <= byte_at(p)) {
                return is_member;
            }
        } else if (byte_at(p) == c) {
            return is_member;
        }
    }
    return !is_member;
}

/* Does the one-character class p..p_end take the character at s? */
static bool is_single(struct hl_pattern *m, const char *s, const char *p, const char *p_end)
{
    if (s >= m->text_end) {
        return false;
    }
    int c = byte_at(s);
    switch (*p) {
    case '.': return true;
    case '%': return is_class(c, byte_at(p + 1));
    case '[': return is_in_set(c, p, p_end - 1);
    default: return byte_at(p) == c;
    }
}

/* %bxy at p = "xy": from x to the y that balances it. */
static const char *match_balance(struct hl_pattern *m, const char *s, const char *p)
{
    if (m->end - p < 2) {
        luaL_error(m->lua, "malformed pattern (missing arguments to '%%b')");
    }
    if (s >= m->text_end || *s != p[0]) {
        return NULL;
    }
    size_t open = 1;
    for (const char *at = s + 1; at < m->text_end; at++) {
        step(m, 1);
        if (*at == p[1]) {
            if (--open == 0) {
                return at + 1;
            }
        } else if (*at == p[0]) {
            open++;
        }
    }
    return NULL;
}

/* x*: as many as there are, then one less until the rest matches. */
static const char *expand_most(struct hl_pattern *m, const char *s, const char *p,
                               const char *p_end)
{
    ptrdiff_t n = 0;
    while (is_single(m, s + n, p, p_end)) {
        step(m, p_end - p);
        n++;
    }
    for (; n >= 0; n--) {
        const char *found = match_here(m, s + n, p_end + 1);
        if (found) {
            return found;
        }
    }
    return NULL;
}

/* x-: as few as the rest lets. */
static const char *expand_least(struct hl_pattern *m, const char *s, const char *p,
                                const char *p_end)
{
    for (;; s++) {
        step(m, p_end - p);
        const char *found = match_here(m, s, p_end + 1);
        if (found) {
            return found;
        }
        if (!is_single(m, s, p, p_end)) {
            return NULL;
        }
    }
}

/* The captures of a path that failed are taken back, in capture_end too: the caller tries the
 * next. */
static const char *capture_start(struct hl_pattern *m, const char *s, const char *p)
{
    if (m->level >= HL_PATTERN_CAPTURES) {
        luaL_error(m->lua, "too many captures");
    }
    bool is_position = p < m->end && *p == ')';
    m->capture[m->level].start = s;
    m->capture[m->level].size = is_position ? HL_CAPTURE_POSITION : HL_CAPTURE_OPEN;
    m->level++;
    const char *found = match_here(m, s, is_position ? p + 1 : p);
    if (!found) {
        m->level--;
    }
    return found;
}

static const char *capture_end(struct hl_pattern *m, const char *s, const char *p)
{
    unsigned i = m->level;
    while (i > 0 && m->capture[i - 1].size != HL_CAPTURE_OPEN) {
        i--;
    }
    if (i == 0) {
        luaL_error(m->lua, "invalid pattern capture");
    }
    struct hl_capture *capture = &m->capture[i - 1];
    capture->size = s - capture->start;
    const char *found = match_here(m, s, p);
    if (!found) {
        capture->size = HL_CAPTURE_OPEN;
    }
    return found;
}

/* %1: what the first capture matched, again. */
static const char *match_again(struct hl_pattern *m, const char *s, int digit)
{
    unsigned i = (unsigned)(digit - '1');
    if (digit == '0' || i >= m->level || m->capture[i].size == HL_CAPTURE_OPEN) {
        luaL_error(m->lua, "invalid capture index %%%c in pattern", digit);
    }
    const struct hl_capture *capture = &m->capture[i];
    ptrdiff_t size = capture->size < 0 ? 0 : capture->size;
    step(m, size);
    if (m->text_end - s < size || memcmp(capture->start, s, (size_t)size) != 0) {
        return NULL;
    }
    return s + size;
}

/* %f[set]: between a byte outside the set and one inside; the ends of the text count as '\0'. */
static const char *match_frontier(struct hl_pattern *m, const char *s, const char *p)
{
    if (p == m->end || *p != '[') {
        luaL_error(m->lua, "missing '[' after '%%f' in pattern");
    }
    const char *p_end = class_end(m, p);
    step(m, p_end - p);
    int before = s == m->text ? 0 : byte_at(s - 1);
    int after = s == m->text_end ? 0 : byte_at(s);
    if (is_in_set(before, p, p_end - 1) || !is_in_set(after, p, p_end - 1)) {
        return NULL;
    }
    return match_here(m, s, p_end);
}

/* One class with its suffix. *next is set when the match goes on at *s without recursion. */
static const char *match_class(struct hl_pattern *m, const char **s, const char *p,
                               const char **next)
{
    const char *p_end = class_end(m, p);
    char suffix = '\0';
    step(m, p_end - p);
    if (p_end < m->end) {
        suffix = *p_end;
    }
    bool is_hit;
    switch (suffix) {
    case '*': return expand_most(m, *s, p, p_end);
    case '-': return expand_least(m, *s, p, p_end);
    case '+': return is_single(m, *s, p, p_end) ? expand_most(m, *s + 1, p, p_end) : NULL;
    case '?':
        is_hit = is_single(m, *s, p, p_end);
        if (is_hit) {
            const char *found = match_here(m, *s + 1, p_end + 1);
            if (found) {
                return found;
            }
        }
        *next = p_end + 1;
        return NULL;
    default: break;
    }
    if (is_single(m, *s, p, p_end)) {
        (*s)++;
        *next = p_end;
    }
    return NULL;
}

/* %b, %f, %1 at p (after the '%'). true: handled, *found is the answer; *next as in match_class. */
static bool match_escape(struct hl_pattern *m, const char **s, const char *p, const char **next,
                         const char **found)
{
    const char *end;
    if (p == m->end) {
        return false;
    }
    if (*p == 'f') {
        *found = match_frontier(m, *s, p + 1);
        return true;
    }
    if (*p == 'b') {
        end = match_balance(m, *s, p + 1);
        p += 3;
    } else if (isdigit(byte_at(p))) {
        end = match_again(m, *s, byte_at(p));
        p += 1;
    } else {
        return false;
    }
    if (end) {
        *s = end;
        *next = p;
    }
    return true;
}

/* What can go on without a choice goes on in the loop; only choices recurse, so that the depth
 * is that of the pattern's choices and not the length of the text. */
static const char *match_loop(struct hl_pattern *m, const char *s, const char *p)
{
    while (p != m->end) {
        const char *next = NULL, *found = NULL;
        step(m, 1);
        if (*p == '(') {
            return capture_start(m, s, p + 1);
        }
        if (*p == ')') {
            return capture_end(m, s, p + 1);
        }
        if (*p == '$' && p + 1 == m->end) {
            return s == m->text_end ? s : NULL;
        }
        if (*p != '%' || !match_escape(m, &s, p + 1, &next, &found)) {
            found = match_class(m, &s, p, &next);
        }
        if (found || !next) {
            return found;
        }
        p = next;
    }
    return s;
}

/* End of the match of the pattern from p at s, NULL if there is none. */
static const char *match_here(struct hl_pattern *m, const char *s, const char *p)
{
    if (m->depth >= DEPTH_MAX) {
        luaL_error(m->lua, "pattern too complex");
    }
    m->depth++;
    const char *found = match_loop(m, s, p);
    m->depth--;
    return found;
}

const char *hl_pattern_match(struct hl_pattern *pattern, const char *at, const char *p)
{
    pattern->level = 0;
    pattern->depth = 0;
    return match_here(pattern, at, p);
}
