/* One file's tree over another's. Knows the three ways to merge and, from the schema, which lists
 * are replaced; nothing of what keys mean. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/config/schema.h"
#include "core/config/tree.h"

/* Judged by contents, not by schema: plugins' options merge by the same rule, and we do not know them. */
static bool is_list_of_groups(const struct hl_node *node)
{
    if (node->type != HL_NODE_LIST)
        return false;
    for (size_t i = 0; i < node->n_children; i++)
        if (node->children[i]->type != HL_NODE_GROUP)
            return false;
    return true;
}

/* Entries of lists are known by their `name`; one without is nobody's override and is appended. */
static struct hl_node *find_named(const struct hl_node *list, const struct hl_node *group)
{
    const char *name = hl_node_text(group, "name", NULL);
    for (size_t i = 0; name && i < list->n_children; i++) {
        const char *other = hl_node_text(list->children[i], "name", NULL);
        if (other && strcmp(name, other) == 0)
            return list->children[i];
    }
    return NULL;
}

/* Room for all children of `over` too, so that appending below never fails half way. */
static hilum_rc make_room(struct hl_config *config, struct hl_node *node,
                          const struct hl_node *over)
{
    size_t n = node->n_children + over->n_children;
    struct hl_node **children = hl_arena_alloc(&config->arena, n * sizeof *children + 1);
    if (!children)
        return hl_fail(HILUM_ENOMEM, "merging %s", over->file);
    if (node->n_children > 0)
        memcpy(children, node->children, node->n_children * sizeof *children);
    node->children = children;
    return HILUM_OK;
}

/* `list` is the earlier file's and is changed; nodes of `over` are moved into it, not copied:
 * both live in the arena of one configuration. */
static hilum_rc merge_list(struct hl_config *config, struct hl_node *list, struct hl_node *over,
                           const char *path)
{
    hilum_rc rc = make_room(config, list, over);
    for (size_t i = 0; rc == HILUM_OK && i < over->n_children; i++) {
        struct hl_node *known = find_named(list, over->children[i]);
        if (known)
            rc = hl_node_merge(config, known, over->children[i], path);
        else
            list->children[list->n_children++] = over->children[i];
    }
    return rc;
}

/* The place of a member rather than the member, so that it can be replaced without losing its
 * position. */
static struct hl_node **find_slot(struct hl_node *group, const char *name)
{
    for (size_t i = 0; i < group->n_children; i++)
        if (strcmp(group->children[i]->name, name) == 0)
            return &group->children[i];
    return NULL;
}

/* Recursion is as deep as the files are: HL_CONFIG_DEPTH_MAX, checked while they were read. */
hilum_rc hl_node_merge(struct hl_config *config, struct hl_node *group, struct hl_node *over,
                       const char *path)
{
    hilum_rc rc = make_room(config, group, over);
    for (size_t i = 0; rc == HILUM_OK && i < over->n_children; i++) {
        struct hl_node *value = over->children[i], **slot = find_slot(group, value->name);
        char below[HL_CONFIG_PATH_MAX];
        snprintf(below, sizeof below, "%s%s%s", path, *path ? "." : "", value->name);
        const struct hl_option *option = hl_option_find(below);
        bool is_replaced = option && (option->flags & HL_OPTION_REPLACE);
        if (!slot)
            group->children[group->n_children++] = value;
        else if ((*slot)->type == HL_NODE_GROUP && value->type == HL_NODE_GROUP)
            rc = hl_node_merge(config, *slot, value, below);
        /* A value of another type is taken as it is: the check after the last file names its line. */
        else if (!is_replaced && is_list_of_groups(*slot) && is_list_of_groups(value))
            rc = merge_list(config, *slot, value, below);
        else
            *slot = value;
    }
    return rc;
}

/* Order counts in lists (first match wins in many) and not in groups. */
static bool equal_members(const struct hl_node *a, const struct hl_node *b)
{
    if (a->n_children != b->n_children)
        return false;
    for (size_t i = 0; i < a->n_children; i++) {
        const struct hl_node *child = a->children[i];
        const struct hl_node *other =
            a->type == HL_NODE_GROUP ? hl_node_get(b, child->name) : b->children[i];
        if (!hl_node_equal(child, other))
            return false;
    }
    return true;
}

/* Used to tell what a reload changed: file and line are left out, moving a key is no change. */
bool hl_node_equal(const struct hl_node *a, const struct hl_node *b)
{
    if (!a || !b)
        return a == b;
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case HL_NODE_TEXT: return strcmp(a->text, b->text) == 0;
    case HL_NODE_REAL: return !(a->real < b->real) && !(a->real > b->real);
    case HL_NODE_INT:
    case HL_NODE_BOOL: return a->integer == b->integer;
    default: return equal_members(a, b);
    }
}
