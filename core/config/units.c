/* Units, nearest words, and how a value is shown. Knows nothing of keys.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/config/tree.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"

struct unit {
    const char *name;
    uint64_t factor;
};

/* No "GB": people mean both 10^9 and 2^30 by it. No bare number of seconds for the same reason. */
static const struct unit byte_units[] = {
    {"", 1},          {"B", 1},         {"KiB", 1 << 10},
    {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", (uint64_t)1 << 40},
};
static const struct unit time_units[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000},
};

/* false: no number, no such unit, or a product over `max`. */
static bool parse_quantity(const char *text, const struct unit *units, size_t n, uint64_t max,
                           uint64_t *out)
{
    uint64_t value = 0;
    const char *p = text;
    for (; isdigit((unsigned char)*p); p++) {
        unsigned digit = (unsigned)(*p - '0');
        /* Before multiplying: overflow would wrap into a plausible size. */
        if (value > (max - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    for (size_t i = 0; p > text && i < n; i++) {
        if (strcmp(p, units[i].name) != 0)
            continue;
        if (value > max / units[i].factor)
            return false;
        *out = value * units[i].factor;
        return true;
    }
    return false;
}

/* Sizes end at INT64_MAX although they are unsigned: they become off_t and SQL integers further
 * on. */
hilum_rc hl_parse_bytes(const char *text, uint64_t *out)
{
    if (text &&
        parse_quantity(text, byte_units, sizeof byte_units / sizeof *byte_units, INT64_MAX, out))
        return HILUM_OK;
    return hl_fail(HILUM_EINVAL, "expected a size such as \"64KiB\" or \"4GiB\", found \"%.40s\"",
                   text ? text : "");
}

/* A century is longer than anything here lasts, and a moment that far away is still a moment in
 * microseconds; INT64_MAX ms was not. */
hilum_rc hl_parse_ms(const char *text, int64_t *out)
{
    uint64_t value = 0;
    bool is_zero = text && strcmp(text, "0") == 0; /* the one duration that needs no unit */
    if (is_zero || (text && parse_quantity(text, time_units, sizeof time_units / sizeof *time_units,
                                           HL_MS_MAX, &value))) {
        *out = (int64_t)value;
        return HILUM_OK;
    }
    return hl_fail(HILUM_EINVAL,
                   "expected a duration such as \"200ms\", \"5s\", \"10m\", \"24h\" or \"7d\", at "
                   "most \"36500d\", found \"%.40s\"",
                   text ? text : "");
}

static char *quantity_text(uint64_t value, const struct unit *units, size_t n, char *out,
                           size_t size)
{
    size_t unit = n - 1;
    while (unit > 0 && value % units[unit].factor != 0)
        unit--;
    if (value == 0)
        snprintf(out, size, "0");
    else
        snprintf(out, size, "%" PRIu64 "%s", value / units[unit].factor, units[unit].name);
    return out;
}

char *hl_ms_text(int64_t ms, char *out, size_t size)
{
    return quantity_text((uint64_t)ms, time_units, sizeof time_units / sizeof *time_units, out,
                         size);
}

char *hl_bytes_text(int64_t bytes, char *out, size_t size)
{
    return quantity_text((uint64_t)bytes, byte_units, sizeof byte_units / sizeof *byte_units, out,
                         size);
}

/* Two digits below `limit`; -1: none such. */
static int two_digits(const char *p, int limit)
{
    if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9')
        return -1;
    int value = (p[0] - '0') * 10 + (p[1] - '0');
    return value < limit ? value : -1;
}

hilum_rc hl_parse_day_minute(const char *text, int *out)
{
    *out = -1;
    if (text == NULL || *text == '\0')
        return HILUM_OK;
    bool has_form = strlen(text) == 5 && text[2] == ':';
    int hour = has_form ? two_digits(text, 24) : -1,
        minute = has_form ? two_digits(text + 3, 60) : -1;
    if (hour < 0 || minute < 0)
        return hl_fail(HILUM_EINVAL, "\"%s\": expected a time of day like \"02:30\"", text);
    *out = hour * 60 + minute;
    return HILUM_OK;
}

/* Longer words than this are not compared. */
enum { WORD = 64 };

static bool same_letter(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Optimal string alignment: a swap of neighbours, the commonest slip, counts as one. */
static unsigned distance(const char *a, const char *b)
{
    /* Longer words are nobody's slip of a key; the rows stay on the stack. */
    size_t n = strlen(a), m = strlen(b);
    if (n >= WORD || m >= WORD)
        return WORD;
    unsigned rows[3][WORD];
    for (size_t j = 0; j <= m; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        unsigned *row = rows[i % 3], *up = rows[(i + 2) % 3], *upup = rows[(i + 1) % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned cost = same_letter(a[i - 1], b[j - 1]) ? 0 : 1;
            row[j] = least(least(row[j - 1], up[j]) + 1, up[j - 1] + cost);
            if (i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) &&
                same_letter(a[i - 2], b[j - 1]))
                row[j] = least(row[j], upup[j - 2] + 1);
        }
    }
    return rows[n % 3][m];
}

/* "idle" of "idle_timeout", "timeout" of "connect_timeout". */
static bool is_word_of(const char *part, const char *whole)
{
    size_t n = strlen(part), all = strlen(whole);
    if (n < 3 || n + 1 >= all)
        return false;
    return (strncmp(whole, part, n) == 0 && whole[n] == '_') ||
           (strcmp(whole + all - n, part) == 0 && whole[all - n - 1] == '_');
}

/* By distance first; a word that is a part of another ("timeout" for "idle_timeout") only when
 * nothing is near. */
const char *hl_nearest(const char *word, const char *const *words, size_t n)
{
    size_t best = n;
    unsigned best_distance = 4;
    for (size_t i = 0; i < n; i++) {
        unsigned d = distance(word, words[i]);
        if (d < best_distance && (size_t)d * 2 < strlen(word)) {
            best = i;
            best_distance = d;
        }
    }
    for (size_t i = 0; i < n && best == n; i++)
        if (is_word_of(word, words[i]) || is_word_of(words[i], word))
            best = i;
    return best < n ? words[best] : NULL;
}

char *hl_node_describe(const struct hl_node *node, char *out, size_t size)
{
    switch (node->type) {
    case HL_NODE_GROUP: snprintf(out, size, "a group"); break;
    case HL_NODE_LIST: snprintf(out, size, "a list of %zu", node->n_children); break;
    case HL_NODE_TEXT: snprintf(out, size, "\"%.40s\"", node->text); break;
    case HL_NODE_INT: snprintf(out, size, "%" PRId64, node->integer); break;
    case HL_NODE_REAL: snprintf(out, size, "%g", node->real); break;
    case HL_NODE_BOOL: snprintf(out, size, "%s", node->integer ? "true" : "false"); break;
    }
    return out;
}
