/* Options: from the configuration, or the descriptor's fallback, into the plugin's conf struct.
 * It knows types, units and ranges, and nothing of what an option does.
 *
 * Every fault of every option is told, with its own line; then the plugin is skipped.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/plugin/host.h"

/* Bounds on what a descriptor may claim: 256 options and 1 MiB of conf are beyond any plugin,
 * and keep a broken or hostile one from being walked for ever. */
enum { MAX_OPTIONS = 256, MAX_CONF = 1024 * 1024, TYPE_MASK = 0xFF };

/* How a value of each type is written and how wide its member is. */
static const struct {
    const char *name, *expected;
    size_t width;
} types[] = {
    [HILUM_OPT_STR] = {"text", "text in quotes", sizeof(char *)},
    [HILUM_OPT_PATH] = {"path", "a path in quotes", sizeof(char *)},
    [HILUM_OPT_INT] = {"int", "an integer", sizeof(int64_t)},
    [HILUM_OPT_BYTES] = {"bytes", "a size such as \"64KiB\"", sizeof(int64_t)},
    [HILUM_OPT_MSEC] = {"duration", "a duration such as \"5s\", at most \"36500d\"",
                        sizeof(int64_t)},
    [HILUM_OPT_BOOL] = {"bool", "true or false", sizeof(int32_t)},
    [HILUM_OPT_SECRET] = {"secret", "text in quotes", sizeof(char *)},
};

/* One option being set: where from, for faults. */
struct setting {
    struct hilum_self *plugin;
    const struct hilum_option *option;
    uint32_t type;
    const char *file;
    unsigned line;
    struct hl_faults *faults;
};

const char *hl_option_type_name(uint32_t type)
{
    type &= TYPE_MASK;
    return type >= HILUM_OPT_STR && type <= HILUM_OPT_SECRET ? types[type].name : "?";
}

/* Always false, to be returned. */
static bool fault(const struct setting *s, const char *expected, const char *found)
{
    hl_faults_add(s->faults, s->file, s->line, "plugins.%s.options.%s: expected %s, found %s",
                  s->plugin->id, s->option->key, expected, found);
    return false;
}

/* A secret's value must not reach a log. Also where its length or first letters would help. */
static const char *shown(const struct setting *s, const char *text, char *out, size_t size)
{
    if (s->type == HILUM_OPT_SECRET)
        return "another text";
    snprintf(out, size, "\"%.60s\"", text);
    return out;
}

/* ---- numbers ---- */

/* Units are those of the kernel's own keys: one way to write a size in a whole file. */
static bool number_from_text(uint32_t type, const char *text, int64_t *out)
{
    if (type == HILUM_OPT_BYTES) {
        uint64_t bytes;
        if (hl_parse_bytes(text, &bytes) != HILUM_OK || bytes > INT64_MAX)
            return false;
        *out = (int64_t)bytes;
        return true;
    }
    if (type == HILUM_OPT_MSEC)
        return hl_parse_ms(text, out) == HILUM_OK;
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end || errno == ERANGE)
        return false;
    *out = value;
    return true;
}

/* "1..64", "4KiB..", "..7": a bound that is not written does not bind. */
static bool bound(uint32_t type, const char *text, size_t n, int64_t otherwise, int64_t *out)
{
    char copy[64];
    *out = otherwise;
    if (n == 0)
        return true;
    if (n >= sizeof copy)
        return false;
    memcpy(copy, text, n);
    copy[n] = '\0';
    return number_from_text(type, copy, out);
}

static bool set_number(const struct setting *s, int64_t value, const char *found)
{
    const char *range = s->option->range, *dots = range ? strstr(range, "..") : NULL;
    int64_t low, high;
    /* A range nobody can read is the plugin's defect, told at the line where the plugin is listed. */
    if (range && (!dots || !bound(s->type, range, (size_t)(dots - range), INT64_MIN, &low) ||
                  !bound(s->type, dots + 2, strlen(dots + 2), INT64_MAX, &high)))
        return fault(s, "a range like \"1..64\" in the plugin's own description", range);
    if (range && (value < low || value > high))
        return fault(s, range, found);
    /* memcpy, not a cast: the offset comes from outside and aliasing rules do not. */
    memcpy((char *)s->plugin->conf + s->option->offset, &value, sizeof value);
    return true;
}

/* ---- texts ---- */

/* choices: "a|b|c". */
static bool is_choice(const char *choices, const char *text)
{
    size_t n = strlen(text);
    for (const char *at = choices;; at++) {
        size_t length = strcspn(at, "|");
        if (length == n && memcmp(at, text, n) == 0)
            return true;
        at += length;
        if (!*at)
            return false;
    }
}

/* Empty paths stay empty: that is how an option says "none". */
static bool set_text(const struct setting *s, const char *text)
{
    char found[80];
    if (s->option->range && !is_choice(s->option->range, text))
        return fault(s, s->option->range, shown(s, text, found, sizeof found));
    struct hl_arena *arena = &s->plugin->arena;
    char *kept;
    /* Made absolute here, so that no plugin depends on the working directory. */
    if (s->type == HILUM_OPT_PATH && text[0] && text[0] != '/') {
        size_t size = strlen(s->plugin->host->data_dir) + strlen(text) + 2;
        kept = hl_arena_alloc(arena, size);
        if (kept)
            snprintf(kept, size, "%s/%s", s->plugin->host->data_dir, text);
    } else {
        kept = hl_arena_strdup(arena, text);
    }
    if (!kept)
        return fault(s, "memory", "none");
    memcpy((char *)s->plugin->conf + s->option->offset, &kept, sizeof kept);
    return true;
}

/* ---- one option ---- */

static bool set_bool(const struct setting *s, bool value)
{
    int32_t stored = value;
    memcpy((char *)s->plugin->conf + s->option->offset, &stored, sizeof stored);
    return true;
}

/* Also for fallbacks of the descriptor, which are texts whatever the type. */
static bool set_from_text(const struct setting *s, const char *text)
{
    char found[80];
    int64_t number;
    switch (s->type) {
    case HILUM_OPT_BOOL:
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
            break;
        return set_bool(s, text[0] == 't');
    case HILUM_OPT_INT:
    case HILUM_OPT_BYTES:
    case HILUM_OPT_MSEC:
        if (!number_from_text(s->type, text, &number))
            break;
        return set_number(s, number, shown(s, text, found, sizeof found));
    default: return set_text(s, text);
    }
    return fault(s, types[s->type].expected, shown(s, text, found, sizeof found));
}

/* A plain number is a number of bytes; a duration without a unit would leave seconds or milliseconds to
 * the reader, so only 0 goes without. */
static bool takes_integer(uint32_t type, int64_t value)
{
    return type == HILUM_OPT_INT || (type == HILUM_OPT_BYTES && value >= 0) ||
           (type == HILUM_OPT_MSEC && value == 0);
}

/* A value as the configuration file has it, with its own type. */
static bool set_from_node(const struct setting *s, const struct hl_node *node)
{
    static const char *const found[] = {
        [HL_NODE_GROUP] = "a group",
        [HL_NODE_LIST] = "a list",
        [HL_NODE_TEXT] = "text",
        [HL_NODE_INT] = "an integer",
        [HL_NODE_REAL] = "a number with a point",
        [HL_NODE_BOOL] = "true or false",
    };
    char number[32];
    bool is_bool = s->type == HILUM_OPT_BOOL;
    /* "true" and "12" in quotes are texts: the file says what it means. */
    if (node->type == HL_NODE_TEXT && !is_bool && s->type != HILUM_OPT_INT)
        return set_from_text(s, node->text);
    if (node->type == HL_NODE_BOOL && is_bool)
        return set_bool(s, node->integer != 0);
    snprintf(number, sizeof number, "%" PRId64, node->integer);
    if (node->type == HL_NODE_INT && takes_integer(s->type, node->integer))
        return set_number(s, node->integer, number);
    return fault(s, types[s->type].expected,
                 node->type == HL_NODE_INT ? number : found[node->type]);
}

static const struct hl_node *child(const struct hl_node *group, const char *name)
{
    for (size_t i = 0; group && i < group->n_children; i++)
        if (group->children[i]->name && strcmp(group->children[i]->name, name) == 0)
            return group->children[i];
    return NULL;
}

/* The descriptor is foreign code's: it writes through the offset it states only after this. */
static bool is_sound(const struct setting *s)
{
    if (s->type < HILUM_OPT_STR || s->type > HILUM_OPT_SECRET)
        return fault(s, "a type this host knows (update the host)", "a newer one");
    size_t width = types[s->type].width, size = s->plugin->plugin->conf_size;
    if (s->option->offset > size || width > size - s->option->offset ||
        s->option->offset % width != 0)
        return fault(s, "an offset within conf_size in the plugin's description", "one outside");
    return true;
}

static bool set_option(struct hilum_self *plugin, const struct hilum_option *option,
                       const struct hl_node *options, struct hl_faults *faults)
{
    const struct hl_node *node = child(options, option->key);
    struct setting s = {
        .plugin = plugin,
        .option = option,
        .type = option->type & TYPE_MASK,
        .file = node ? node->file : plugin->entry->file,
        .line = node ? node->line : plugin->entry->line,
        .faults = faults,
    };
    if (!is_sound(&s))
        return false;
    if (node)
        return set_from_node(&s, node);
    /* Told at the line of the plugin: there is no line of the option. */
    if (option->type & HILUM_OPT_REQUIRED)
        return fault(&s, types[s.type].expected, "nothing (it has no default)");
    return option->fallback ? set_from_text(&s, option->fallback) : true;
}

/* ---- all of them ---- */

/* At most MAX_OPTIONS; the caller refuses more. */
static size_t count_options(const struct hilum_plugin *plugin)
{
    size_t n = 0;
    while (plugin->options && n < MAX_OPTIONS && plugin->options[n].key)
        n++;
    return n;
}

/* A mistyped key would else be an option left at its default without a word. */
static bool check_unknown(struct hilum_self *plugin, const struct hl_node *options, size_t n,
                          struct hl_faults *faults)
{
    const char *keys[MAX_OPTIONS];
    bool ok = true;
    for (size_t i = 0; i < n; i++)
        keys[i] = plugin->plugin->options[i].key;
    for (size_t i = 0; options && i < options->n_children; i++) {
        const struct hl_node *node = options->children[i];
        size_t k = 0;
        while (k < n && node->name && strcmp(keys[k], node->name) != 0)
            k++;
        if (k < n)
            continue;
        const char *near = node->name ? hl_nearest(node->name, keys, n) : NULL;
        hl_faults_add(faults, node->file, node->line,
                      "plugins.%s.options.%s: expected an option of this plugin%s%s%s, found an "
                      "unknown key",
                      plugin->id, node->name ? node->name : "?", near ? " (did you mean \"" : "",
                      near ? near : "", near ? "\"?)" : "");
        ok = false;
    }
    return ok;
}

bool hl_plugin_parse_options(struct hilum_self *plugin, struct hl_faults *faults)
{
    const struct hl_node *options = child(plugin->entry, "options");
    size_t n = count_options(plugin->plugin);
    /* A worker says what it likes; and what is not counted here is never checked. */
    if (plugin->plugin->conf_size > MAX_CONF ||
        (n == MAX_OPTIONS && plugin->plugin->options[n].key)) {
        hl_faults_add(
            faults, plugin->entry->file, plugin->entry->line,
            "plugins.%s: expected conf_size of at most %d bytes and at most %d options in "
            "the plugin's description",
            plugin->id, MAX_CONF, MAX_OPTIONS);
        return false;
    }
    /* One more byte: a plugin without options has conf_size 0 and still gets a pointer. */
    plugin->conf = hl_arena_alloc(&plugin->arena, plugin->plugin->conf_size + 1u);
    if (!plugin->conf) {
        hl_faults_add(faults, plugin->entry->file, plugin->entry->line,
                      "plugins.%s: no memory for its options", plugin->id);
        return false;
    }
    bool ok = check_unknown(plugin, options, n, faults);
    for (size_t i = 0; i < n; i++)
        ok = set_option(plugin, &plugin->plugin->options[i], options, faults) && ok;
    return ok;
}

const char *hl_plugin_option_text(const struct hilum_self *plugin, const char *key)
{
    for (const struct hilum_option *o = plugin->plugin->options; plugin->conf && o && o->key; o++) {
        const char *value = NULL;
        if ((o->type & TYPE_MASK) != HILUM_OPT_STR || strcmp(o->key, key) != 0)
            continue;
        memcpy(&value, (const char *)plugin->conf + o->offset, sizeof value);
        return value;
    }
    return NULL;
}
