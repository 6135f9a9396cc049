/* `where`: parsed once into a flat table, matched many times without allocation. It knows the
 * grammar of sdk/include/hilum/event.h and nothing of which fields exist.
 * SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/error.h"
#include "core/bus/event.h"

enum { MAX_WHERE = 4096, MAX_CONDITIONS = 64, MAX_VALUES = 256, MAX_GLOB_SUBJECT = 64 * 1024 };

enum where_op { OP_EQ, OP_NE, OP_GLOB, OP_NOT_GLOB, OP_LT, OP_LE, OP_GT, OP_GE };

/* One alternative of a condition, with its number made once. */
struct value {
    const char *text;
    size_t n;
    double number;
    bool is_number;
};

struct condition {
    const char *field;
    uint32_t hash;
    enum where_op op;
    size_t n_values;
    struct value *values;
};

/* Immutable after parsing: any thread may match. All memory is in the arena; n 0 matches always. */
struct hl_where {
    size_t n;
    struct condition *conditions;
    struct hl_arena arena;
};

struct parser {
    const char *text, *at;
    struct hl_where *where;
};

/* Longer operators first: "<=" must not be read as "<". */
static const struct {
    const char *text;
    enum where_op op;
} operators[] = {
    {"!=", OP_NE}, {"!~", OP_NOT_GLOB}, {"<=", OP_LE}, {">=", OP_GE},
    {"=", OP_EQ},  {"~", OP_GLOB},      {"<", OP_LT},  {">", OP_GT},
};

/* Column and the text found: the condition is one string in somebody's file, and that is where to look. */
static hilum_rc expected(const struct parser *p, const char *what)
{
    return hl_fail(HILUM_EINVAL, "where: column %zu: expected %s, found \"%.20s\"",
                   (size_t)(p->at - p->text) + 1, what, p->at);
}

static void skip_blanks(struct parser *p)
{
    while (*p->at == ' ' || *p->at == '\t' || *p->at == '\n' || *p->at == '\r')
        p->at++;
}

/* strtod would take "nan", "0x1p3" and " 7"; a DICOM number (DS, IS) is none of these. */
static bool number_parse(const char *text, double *out)
{
    while (*text == ' ')
        text++;
    if (!*text || text[strspn(text, "0123456789+-.eE ")] != '\0')
        return false;
    char *end;
    *out = strtod(text, &end);
    if (end == text)
        return false;
    while (*end == ' ')
        end++;
    return *end == '\0';
}

/* Letters, digits, "_" and ".": DICOM keywords and event fields. Which keywords exist is asked by
 * hl_where_unknown; which fields, by nobody: they may belong to an event of a plugin not loaded yet. */
static hilum_rc parse_field(struct parser *p, struct condition *condition)
{
    skip_blanks(p);
    const char *start = p->at;
    while (isalnum((unsigned char)*p->at) || *p->at == '_' || *p->at == '.')
        p->at++;
    size_t n = (size_t)(p->at - start);
    if (n == 0)
        return expected(p, "a field name");
    condition->field = hl_arena_strndup(&p->where->arena, start, n);
    if (!condition->field)
        return hl_fail(HILUM_ENOMEM, "where: no memory");
    condition->hash = hl_event_hash(start, n);
    return HILUM_OK;
}

static hilum_rc parse_operator(struct parser *p, struct condition *condition)
{
    skip_blanks(p);
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++) {
        size_t n = strlen(operators[i].text);
        if (strncmp(p->at, operators[i].text, n) != 0)
            continue;
        condition->op = operators[i].op;
        p->at += n;
        if (*p->at == '=' || *p->at == '~') /* "==" and "=~" of other languages */
            return expected(p, "a value (operators are = != ~ !~ < <= > >=)");
        return HILUM_OK;
    }
    return expected(p, "an operator (= != ~ !~ < <= > >=)");
}

/* Everything up to "," or ";" is value, blanks inside included ("StationName=Room 2"). There is no
 * quoting: a value with these characters needs a glob or Lua. */
static hilum_rc parse_value(struct parser *p, struct value *value)
{
    skip_blanks(p);
    size_t n = strcspn(p->at, ",;");
    const char *start = p->at;
    p->at += n;
    while (n > 0 && isspace((unsigned char)start[n - 1]))
        n--;
    value->text = hl_arena_strndup(&p->where->arena, start, n);
    if (!value->text)
        return hl_fail(HILUM_ENOMEM, "where: no memory");
    value->n = n;
    value->is_number = number_parse(value->text, &value->number);
    return HILUM_OK;
}

static hilum_rc check_value(const struct parser *p, const struct condition *condition,
                            const struct value *value)
{
    /* "PatientID=" is a question about absence; "size<" is a slip. */
    bool may_be_empty = condition->op == OP_EQ || condition->op == OP_NE;
    if (value->n == 0 && !may_be_empty)
        return expected(p, "a value");
    return HILUM_OK;
}

static hilum_rc parse_values(struct parser *p, struct condition *condition)
{
    /* On the stack first, since their number is known at the end only. */
    struct value values[MAX_VALUES];
    size_t n = 0;
    for (;;) {
        if (n == MAX_VALUES)
            return expected(p, "at most 256 values");
        hilum_rc rc = parse_value(p, &values[n]);
        if (rc == HILUM_OK)
            rc = check_value(p, condition, &values[n]);
        if (rc != HILUM_OK)
            return rc;
        n++;
        if (*p->at != ',')
            break;
        p->at++;
    }
    condition->values = hl_arena_alloc(&p->where->arena, n * sizeof *values);
    if (!condition->values)
        return hl_fail(HILUM_ENOMEM, "where: no memory");
    memcpy(condition->values, values, n * sizeof *values);
    condition->n_values = n;
    return HILUM_OK;
}

static hilum_rc parse_conditions(struct parser *p)
{
    struct hl_where *where = p->where;
    skip_blanks(p);
    while (*p->at) {
        if (where->n == MAX_CONDITIONS)
            return expected(p, "at most 64 conditions");
        struct condition *condition = &where->conditions[where->n];
        hilum_rc rc = parse_field(p, condition);
        if (rc == HILUM_OK)
            rc = parse_operator(p, condition);
        if (rc == HILUM_OK)
            rc = parse_values(p, condition);
        if (rc != HILUM_OK)
            return rc;
        where->n++;
        /* A trailing ";" is allowed, an empty condition between two is not. */
        if (*p->at == ';')
            p->at++;
        skip_blanks(p);
    }
    return HILUM_OK;
}

hilum_rc hl_where_parse(const char *text, struct hl_where **out)
{
    *out = NULL;
    if (text && strnlen(text, MAX_WHERE + 1) > MAX_WHERE)
        return hl_fail(HILUM_EINVAL, "where: longer than %d bytes", MAX_WHERE);
    struct hl_where *where = calloc(1, sizeof *where);
    if (!where)
        return hl_fail(HILUM_ENOMEM, "where: no memory");
    if (text && *text) {
        struct parser p = {.text = text, .at = text, .where = where};
        where->conditions =
            hl_arena_alloc(&where->arena, MAX_CONDITIONS * sizeof(struct condition));
        hilum_rc rc = where->conditions ? parse_conditions(&p) : HILUM_ENOMEM;
        if (rc != HILUM_OK) {
            hl_where_free(where);
            return rc;
        }
    }
    *out = where;
    return HILUM_OK;
}

void hl_where_free(struct hl_where *where)
{
    if (!where)
        return;
    hl_arena_fini(&where->arena);
    free(where);
}

/* ---- matching ---- */

static const char *next_character(const char *s)
{
    s++;
    while (((unsigned char)*s & 0xC0) == 0x80)
        s++;
    return s;
}

/* '?' is one character, '*' any number. Only the last '*' is ever retried, so the time is bounded
 * by subject times pattern, both of which are bounded. */
static bool glob_match(const char *pattern, const char *text)
{
    const char *star = NULL, *retry = NULL;
    while (*text) {
        if (*pattern == '*') {
            star = ++pattern;
            retry = text;
        } else if (*pattern == '?') {
            pattern++;
            text = next_character(text);
        } else if (*pattern == *text) {
            pattern++;
            text++;
        } else if (star) {
            pattern = star;
            retry = next_character(retry);
            text = retry;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

/* Lengths first: nearly every comparison that fails ends there. */
static bool any_equal(const struct condition *c, const char *text, size_t n)
{
    for (size_t i = 0; i < c->n_values; i++)
        if (c->values[i].n == n && (!n || memcmp(c->values[i].text, text, n) == 0))
            return true;
    return false;
}

static bool any_glob(const struct condition *c, const char *text, size_t n)
{
    /* Bounds pattern times subject; nobody writes a rule for a value of this size. */
    if (n > MAX_GLOB_SUBJECT)
        return false;
    for (size_t i = 0; i < c->n_values; i++)
        if (glob_match(c->values[i].text, text))
            return true;
    return false;
}

/* `sign` as strcmp has it. */
static bool order_holds(enum where_op op, int sign)
{
    switch (op) {
    case OP_LT: return sign < 0;
    case OP_LE: return sign <= 0;
    case OP_GT: return sign > 0;
    default: return sign >= 0;
    }
}

static bool any_ordered(const struct condition *c, hilum_event *event, struct event_field *field)
{
    bool is_number = field->kind == FIELD_INT;
    double number = is_number ? (double)field->integer : 0;
    if (!is_number)
        is_number = number_parse(field->text, &number);
    /* Text compares dates and times right as well: DICOM writes them most significant first. */
    for (size_t i = 0; i < c->n_values; i++) {
        const struct value *value = &c->values[i];
        int sign = is_number && value->is_number
                       ? (number > value->number) - (number < value->number)
                       : strcmp(hl_event_field_text(event, field), value->text);
        if (order_holds(c->op, sign))
            return true;
    }
    return false;
}

static bool condition_holds(const struct condition *c, hilum_event *event)
{
    struct event_field *field = hl_event_field(event, c->field, c->hash);
    /* An integer needs no text to be compared with a number. */
    if (c->op >= OP_LT && field && field->kind == FIELD_INT)
        return any_ordered(c, event, field);
    const char *text = hl_event_field_text(event, field);
    size_t n = text && field ? field->length : 0;
    switch (c->op) {
    case OP_EQ: return any_equal(c, text, n);
    case OP_NE: return !any_equal(c, text, n);
    case OP_GLOB: return text && any_glob(c, text, n);
    case OP_NOT_GLOB: return !text || !any_glob(c, text, n);
    default: return n && any_ordered(c, event, field);
    }
}

bool hl_where_match(const struct hl_where *where, hilum_event *event)
{
    /* The first condition that fails ends it: a site puts the selective one first. */
    for (size_t i = 0; i < where->n; i++)
        if (!condition_holds(&where->conditions[i], event))
            return false;
    return true;
}

/* "Modalty" and "modality" are the slips that otherwise never match and never tell. */
static bool is_slip(const char *field, bool (*is_keyword)(const char *name))
{
    char capital[64] = "";
    if (strchr(field, '.') || strlen(field) >= sizeof capital)
        return false;
    if (isupper((unsigned char)field[0]))
        return !is_keyword(field);
    if (!islower((unsigned char)field[0]))
        return false;
    memcpy(capital, field, strlen(field) + 1);
    capital[0] = (char)toupper((unsigned char)field[0]);
    return is_keyword(capital);
}

const char *hl_where_unknown(const struct hl_where *where, bool (*is_keyword)(const char *name))
{
    for (size_t i = 0; where && i < where->n; i++)
        if (is_slip(where->conditions[i].field, is_keyword))
            return where->conditions[i].field;
    return NULL;
}
