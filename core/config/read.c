/* libconfig's tree into ours: the one file that includes libconfig.h.
 * Knows types and lines; no key. Only the API of 1.5 is used. SPDX-License-Identifier: Apache-2.0
 */
#include "core/config/tree.h"

#include <libconfig.h>
#include <string.h>

/* `depth` counts the levels above what is being converted: the recursion is bounded by it, not
 * by the file. */
struct reader {
    struct hl_config *config;
    const struct hl_source *source;
    struct hl_faults *faults;
    unsigned depth;
};

/* NULL after a fault was added; the member is then left out and its neighbours are still read. */
static struct hl_node *convert(struct reader *r, config_setting_t *setting);

static void *no_memory(struct reader *r)
{
    hl_faults_add(r->faults, r->source->file, 0,
                  "configuration: expected memory for it, found none");
    return NULL;
}

static const char *node_name(const struct hl_node *node)
{
    return node->type == HL_NODE_GROUP ? hl_node_text(node, "name", NULL) : NULL;
}

/* Within one file a repeated name is a slip; over files it is how one overrides another. */
static void check_names(struct reader *r, const struct hl_node *list)
{
    for (size_t i = 0; i < list->n_children; i++) {
        const char *name = node_name(list->children[i]);
        for (size_t j = 0; name && j < i; j++) {
            const char *earlier = node_name(list->children[j]);
            if (!earlier || strcmp(name, earlier) != 0)
                continue;
            hl_faults_add(r->faults, r->source->file, hl_node_get(list->children[i], "name")->line,
                          "name: expected a name not yet used in this list, found \"%.40s\" (first "
                          "in line %u)",
                          name, hl_node_get(list->children[j], "name")->line);
            break;
        }
    }
}

/* Bounded before anything is allocated: a file is a few kilobytes by nature, whatever it claims. */
static struct hl_node *convert_members(struct reader *r, struct hl_node *node,
                                       config_setting_t *setting)
{
    int n = config_setting_length(setting);
    if (n > HL_CONFIG_LIST_MAX || r->depth >= HL_CONFIG_DEPTH_MAX) {
        hl_faults_add(r->faults, r->source->file, node->line,
                      "%s: expected at most %d members and %d levels, found %d members in level %u",
                      node->name ? node->name : "list", HL_CONFIG_LIST_MAX, HL_CONFIG_DEPTH_MAX, n,
                      r->depth + 1);
        return NULL;
    }
    node->children = hl_arena_alloc(&r->config->arena, (size_t)n * sizeof *node->children + 1);
    if (!node->children)
        return no_memory(r);
    r->depth++;
    for (int i = 0; i < n; i++) {
        struct hl_node *child = convert(r, config_setting_get_elem(setting, (unsigned)i));
        if (child)
            node->children[node->n_children++] = child;
    }
    r->depth--;
    if (node->type == HL_NODE_LIST)
        check_names(r, node);
    return node;
}

/* Booleans get their 0 or 1 into `integer`, so that two values compare alike. false: no memory. */
static bool set_value(struct reader *r, struct hl_node *node, const config_setting_t *setting)
{
    switch (config_setting_type(setting)) {
    case CONFIG_TYPE_INT:
        node->type = HL_NODE_INT;
        node->integer = config_setting_get_int(setting);
        return true;
    case CONFIG_TYPE_INT64:
        node->type = HL_NODE_INT;
        node->integer = config_setting_get_int64(setting);
        return true;
    case CONFIG_TYPE_FLOAT:
        node->type = HL_NODE_REAL;
        node->real = config_setting_get_float(setting);
        return true;
    case CONFIG_TYPE_BOOL:
        node->type = HL_NODE_BOOL;
        node->integer = config_setting_get_bool(setting);
        return true;
    default:
        node->type = HL_NODE_TEXT;
        node->text = hl_arena_strdup(&r->config->arena, config_setting_get_string(setting));
        return node->text != NULL;
    }
}

static struct hl_node *convert(struct reader *r, config_setting_t *setting)
{
    struct hl_node *node = hl_arena_alloc(&r->config->arena, sizeof *node);
    if (!node)
        return no_memory(r);
    const char *name = config_setting_name(setting);
    node->file = r->source->file;
    node->line = config_setting_source_line(setting);
    if (name && !(node->name = hl_arena_strdup(&r->config->arena, name)))
        return no_memory(r);
    /* Arrays and lists are one to us: libconfig's difference (one type or any) is the schema's business. */
    if (config_setting_is_aggregate(setting)) {
        node->type = config_setting_is_group(setting) ? HL_NODE_GROUP : HL_NODE_LIST;
        return convert_members(r, node, setting);
    }
    return set_value(r, node, setting) ? node : no_memory(r);
}

/* "syntax error" helps nobody; the line is where the parser noticed, often one late. */
static const char *found_instead(const config_t *tree)
{
    const char *text = config_error_text(tree);
    return strcmp(text, "syntax error") == 0
               ? "something else here or at the end of the line before (a `;`, a quote, a bracket?)"
               : text;
}

/* The raw scan goes first: libconfig 1.5 ends the process on some texts, so it must not see
 * them. */
struct hl_node *hl_source_read(struct hl_config *config, const struct hl_source *source,
                               struct hl_faults *faults)
{
    if (!hl_source_scan(source, faults))
        return NULL;
    struct reader r = {config, source, faults, 0};
    struct hl_node *root = NULL;
    config_t tree;
    config_init(&tree);
    if (config_read_string(&tree, source->text) == CONFIG_TRUE)
        root = convert(&r, config_root_setting(&tree));
    else
        hl_faults_add(faults, source->file, (unsigned)config_error_line(&tree),
                      "syntax: expected `key = value;`, found %s", found_instead(&tree));
    config_destroy(&tree);
    return root;
}
