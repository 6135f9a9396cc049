/* `routes` of the configuration: forwarding without Lua, as notify hooks of their own. Knows
 * nothing of Lua.
 *
 * A route is a hl_rule with index 0: it shares counters, status and version with rules of Lua,
 * and needs no Lua state to run, so it goes on even if every state is busy.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/script/internal.h"

/* "route/ct"; without a name the file and line: "route/site.cfg:12". */
static const char *route_name(struct hl_script_set *set, const struct hl_node *node)
{
    char name[96];
    const char *given = hl_node_text(node, "name", NULL);
    if (given) {
        snprintf(name, sizeof name, "route/%s", given);
    } else {
        const char *file = node->file ? node->file : "configuration";
        const char *slash = strrchr(file, '/');
        snprintf(name, sizeof name, "route/%s:%u", slash ? slash + 1 : file, node->line);
    }
    for (char *p = name; *p; p++) {
        if (strchr(",? \n", *p)) {
            *p = '_'; /* separators of before and after */
        }
    }
    return hl_arena_strdup(&set->arena, name);
}

/* The step's arguments, made once at load. NULL without memory. */
static const char *send_arguments(struct hl_script_set *set, const char *peer, const char *via)
{
    struct hl_buf json = {0};
    hl_buf_text(&json, "{\"to\":");
    hl_buf_json_string(&json, peer);
    if (via) {
        hl_buf_text(&json, ",\"via\":");
        hl_buf_json_string(&json, via);
    }
    hl_buf_byte(&json, '}');
    const char *out = json.failed ? NULL : hl_arena_strdup(&set->arena, hl_buf_str(&json));
    hl_buf_fini(&json);
    return out;
}

/* Peers that do not exist are found by the check of the configuration. */
static void route_read(struct hl_script_set *set, const struct hl_node *node)
{
    const struct hl_node *send = hl_node_get(node, "send");
    size_t n = send ? send->n_children : 0;
    const char **arguments = hl_arena_alloc(&set->arena, (n + 1) * sizeof *arguments);
    struct hl_rule *rule = arguments ? hl_script_rule_add(set) : NULL;
    if (!rule) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const char *peer = send->children[i]->text;
        arguments[rule->n_send] =
            peer ? send_arguments(set, peer, hl_node_text(node, "via", NULL)) : NULL;
        rule->n_send += arguments[rule->n_send] != NULL;
    }
    rule->send = arguments;
    rule->name = route_name(set, node);
    rule->event = "instance.stored";
    rule->where = hl_arena_strdup(&set->arena, hl_node_text(node, "where", ""));
    rule->path = rule->file = node->file ? hl_arena_strdup(&set->arena, node->file) : NULL;
    rule->line = node->line;
    rule->phase = HILUM_NOTIFY;
    rule->deadline_ms = set->cpu_ms;
}

void hl_script_routes_read(struct hl_script_set *set, const struct hl_config *config)
{
    const struct hl_node *routes = hl_config_node(config, "routes");
    for (size_t i = 0; routes && i < routes->n_children; i++) {
        route_read(set, routes->children[i]);
    }
}

/* The hook of a route, on any thread of the bus. A step that is refused fails the hook, and the
 * journal tries it again. */
int32_t hl_script_route_run(void *arg, hilum_event *event)
{
    struct hl_rule *rule = arg;
    int64_t start = hl_mono_ns();
    int32_t rc = HILUM_PASS;
    atomic_fetch_add(&rule->calls, 1);
    for (size_t i = 0; rc >= 0 && i < rule->n_send; i++) {
        rc = hl_event_plan(event, "send", rule->send[i]);
    }
    if (rc < 0) {
        atomic_fetch_add(&rule->failures, 1);
        rc = hl_fail_in(rc, "%s", rule->name);
    }
    atomic_fetch_add(&rule->total_ns, (uint_fast64_t)(hl_mono_ns() - start));
    return rc;
}
