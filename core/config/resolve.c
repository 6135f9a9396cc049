/* Values by path, with the schema's defaults, and what changed between two configurations.
 *
 * Reading only: a configuration does not change after loading, so every function here may be
 * called on any thread. SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/config/schema.h"
#include "core/config/tree.h"

/* A misspelt path in our own code must not silently read as "absent". */
static const struct hl_option *known_option(const char *path)
{
    const struct hl_option *option = hl_option_find(path);
    assert(option && "a configuration path that is not in the schema");
    return option;
}

const struct hl_node *hl_node_get(const struct hl_node *group, const char *key)
{
    if (!group || group->type != HL_NODE_GROUP)
        return NULL;
    for (size_t i = 0; i < group->n_children; i++)
        if (strcmp(group->children[i]->name, key) == 0)
            return group->children[i];
    return NULL;
}

const struct hl_node *hl_config_node(const struct hl_config *config, const char *path)
{
    known_option(path);
    const struct hl_node *node = config->root;
    while (node && *path) {
        char key[HL_CONFIG_PATH_MAX];
        size_t n = strcspn(path, ".");
        assert(n < sizeof key);
        memcpy(key, path, n);
        key[n] = 0;
        node = hl_node_get(node, key);
        path += n + (path[n] == '.');
    }
    return node;
}

/* A value of another type is as good as none; check.c has named it already. */
static const struct hl_node *typed(const struct hl_node *node, enum hl_node_type type)
{
    return node && node->type == type ? node : NULL;
}

/* A configuration with faults can still be asked (for --check, for the log's level): values that do not
 * fit read as absent. */
static bool node_bytes(const struct hl_node *node, uint64_t *out)
{
    if (typed(node, HL_NODE_INT) && node->integer >= 0) {
        *out = (uint64_t)node->integer;
        return true;
    }
    return typed(node, HL_NODE_TEXT) && hl_parse_bytes(node->text, out) == HILUM_OK;
}

/* A bare 0 is the one number without a unit, and its callers ask for it before. */
static bool node_ms(const struct hl_node *node, int64_t *out)
{
    return typed(node, HL_NODE_TEXT) && hl_parse_ms(node->text, out) == HILUM_OK;
}

const char *hl_config_text(const struct hl_config *config, const char *path)
{
    const struct hl_node *node = typed(hl_config_node(config, path), HL_NODE_TEXT);
    return node ? node->text : known_option(path)->fallback;
}

int64_t hl_config_int(const struct hl_config *config, const char *path)
{
    const struct hl_node *node = typed(hl_config_node(config, path), HL_NODE_INT);
    const char *fallback = known_option(path)->fallback;
    return node ? node->integer : fallback ? strtoll(fallback, NULL, 10) : 0;
}

bool hl_config_bool(const struct hl_config *config, const char *path)
{
    const struct hl_node *node = typed(hl_config_node(config, path), HL_NODE_BOOL);
    const char *fallback = known_option(path)->fallback;
    return node ? node->integer != 0 : fallback && strcmp(fallback, "true") == 0;
}

uint64_t hl_config_bytes(const struct hl_config *config, const char *path)
{
    uint64_t value = 0;
    if (!node_bytes(hl_config_node(config, path), &value) && known_option(path)->fallback)
        (void)hl_parse_bytes(known_option(path)->fallback, &value);
    return value;
}

int64_t hl_config_ms(const struct hl_config *config, const char *path)
{
    int64_t value = 0;
    const struct hl_node *node = hl_config_node(config, path);
    if (!typed(node, HL_NODE_INT) && !node_ms(node, &value) && known_option(path)->fallback)
        (void)hl_parse_ms(known_option(path)->fallback, &value);
    return value;
}

const char *hl_node_text(const struct hl_node *group, const char *key, const char *otherwise)
{
    const struct hl_node *node = typed(hl_node_get(group, key), HL_NODE_TEXT);
    return node ? node->text : otherwise;
}

int64_t hl_node_int(const struct hl_node *group, const char *key, int64_t otherwise)
{
    const struct hl_node *node = typed(hl_node_get(group, key), HL_NODE_INT);
    return node ? node->integer : otherwise;
}

bool hl_node_bool(const struct hl_node *group, const char *key, bool otherwise)
{
    const struct hl_node *node = typed(hl_node_get(group, key), HL_NODE_BOOL);
    return node ? node->integer != 0 : otherwise;
}

int64_t hl_node_ms(const struct hl_node *group, const char *key, int64_t otherwise)
{
    const struct hl_node *node = hl_node_get(group, key);
    int64_t value = 0;
    return typed(node, HL_NODE_INT) ? 0 : node_ms(node, &value) ? value : otherwise;
}

uint64_t hl_node_bytes(const struct hl_node *group, const char *key, uint64_t otherwise)
{
    uint64_t value;
    return node_bytes(hl_node_get(group, key), &value) ? value : otherwise;
}

static const char *listener_address(const struct hl_node *listener)
{
    const char *text = listener->type == HL_NODE_TEXT ? listener->text : NULL;
    return text ? text : hl_node_text(listener, "address", "");
}

/* Sockets stay bound over a reload; their certificates do not matter to that. */
static bool same_listeners(const struct hl_node *a, const struct hl_node *b)
{
    bool is_same = a && b && a->n_children == b->n_children;
    for (size_t i = 0; is_same && i < a->n_children; i++)
        is_same = strcmp(listener_address(a->children[i]), listener_address(b->children[i])) == 0;
    return is_same;
}

static void add_path(struct hl_buf *list, const char *path)
{
    hl_buf_printf(list, "%s%s", list->len > 0 ? ", " : "", path);
}

void hl_config_compare(const struct hl_config *before, const struct hl_config *after,
                       struct hl_buf *applied, struct hl_buf *restart)
{
    for (size_t i = 0; i < hl_options_count; i++) {
        const struct hl_option *option = &hl_options[i];
        /* Lists are compared whole: what changed inside peers is for the log of whoever applies it. */
        if (option->kind == HL_KIND_GROUP || strchr(option->path, '['))
            continue;
        const struct hl_node *a = hl_config_node(before, option->path);
        const struct hl_node *b = hl_config_node(after, option->path);
        if (hl_node_equal(a, b))
            continue;
        bool is_reload = (option->flags & HL_OPTION_RELOAD) ||
                         (option->kind == HL_KIND_LISTEN && same_listeners(a, b));
        add_path(is_reload ? applied : restart, option->path);
    }
}
