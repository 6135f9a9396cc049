/* A generation of rules: what was read, what it became, and the states that run it. Immutable
 * once built, freed when the last hook of it has returned. Knows nothing of the generation
 * before.
 *
 * Built by the thread that loads, then read by every thread that dispatches. `lock` guards
 * only the list of free states. References: one from the loader while it works, one per owner on
 * the bus. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "core/base/error.h"
#include "core/base/clock.h"
#include "core/script/internal.h"

/* The rule lives in the arena and does not move: hooks on the bus point to it. */
struct hl_rule *hl_script_rule_add(struct hl_script_set *set)
{
    if (!hl_grow(&set->rules, &set->cap_rules, set->n_rules, sizeof *set->rules)) {
        return NULL;
    }
    struct hl_rule *rule = hl_arena_alloc(&set->arena, sizeof *rule);
    if (rule) {
        rule->set = set;
        set->rules[set->n_rules++] = rule;
    }
    return rule;
}

/* A copy, because the configuration may be reloaded and freed while this set still runs. */
static void peers_read(struct hl_script_set *set, const struct hl_config *config)
{
    const struct hl_node *peers = hl_config_node(config, "peers");
    size_t n = peers ? peers->n_children : 0;
    set->peers = hl_arena_alloc(&set->arena, (n + 1) * sizeof *set->peers);
    for (size_t i = 0; set->peers && i < n; i++) {
        const struct hl_node *node = peers->children[i];
        const char *name = hl_node_text(node, "name", NULL);
        const char *host = hl_node_text(node, "host", NULL);
        if (!name) {
            continue;
        }
        struct hl_script_peer *peer = &set->peers[set->n_peers++];
        peer->name = hl_arena_strdup(&set->arena, name);
        peer->aet = hl_arena_strdup(&set->arena, hl_node_text(node, "aet", name));
        peer->host = host ? hl_arena_strdup(&set->arena, host) : NULL;
    }
}

/* The condition waits on the monotonic clock: a clock that is set must not make rules wait for
 * hours. */
hilum_rc hl_script_set_new(struct hl_bus *bus, const struct hl_script_env *env,
                           const struct hl_config *config, struct hl_script_set **out)
{
    struct hl_script_set *set = calloc(1, sizeof *set);
    if (!set) {
        return hl_fail(HILUM_ENOMEM, "rules: no memory");
    }
    atomic_init(&set->refs, 1);
    set->bus = bus;
    set->env = env;
    set->memory = (size_t)hl_config_bytes(config, "script.memory");
    set->cpu_ms = (uint32_t)hl_config_ms(config, "script.cpu");
    set->n_states = (size_t)hl_config_int(config, "script.states");
    pthread_mutex_init(&set->lock, NULL);
    hl_mono_cond_init(&set->freed);
    set->states = calloc(set->n_states, sizeof *set->states);
    peers_read(set, config);
    if (!set->states || !set->peers) {
        hl_script_set_unref(set);
        return hl_fail(HILUM_ENOMEM, "rules: no memory");
    }
    *out = set;
    return HILUM_OK;
}

void hl_script_set_ref(struct hl_script_set *set)
{
    atomic_fetch_add(&set->refs, 1);
}

/* Called by the bus on the thread of the last dispatch, or by the loader. The states go first:
 * their Lua values point to tables in the arena. */
void hl_script_set_unref(void *arg)
{
    struct hl_script_set *set = arg;
    if (!set || atomic_fetch_sub(&set->refs, 1) != 1) {
        return;
    }
    for (size_t i = 0; set->states && i < set->n_states; i++) {
        hl_script_state_close(&set->states[i]);
    }
    for (size_t i = 0; i < set->n_tables; i++) {
        free(set->tables[i].rows);
    }
    pthread_cond_destroy(&set->freed);
    pthread_mutex_destroy(&set->lock);
    free(set->states);
    free(set->sources);
    free(set->tables);
    free(set->rules);
    hl_arena_fini(&set->arena);
    free(set);
}

/* What the version of a rule is: everything it was loaded with. */
static void digest(struct hl_script_set *set, XXH3_state_t *hash)
{
    for (size_t i = 0; i < set->n_sources; i++) {
        XXH3_64bits_update(hash, set->sources[i].display, strlen(set->sources[i].display) + 1);
        XXH3_64bits_update(hash, set->sources[i].text, set->sources[i].size);
    }
    for (size_t i = 0; i < set->n_tables; i++) {
        const struct hl_script_table *table = &set->tables[i];
        for (size_t cell = 0; cell < table->n_rows * table->n_columns; cell++) {
            const char *text = table->rows[cell / table->n_columns][cell % table->n_columns];
            XXH3_64bits_update(hash, text, strlen(text) + 1);
        }
    }
    for (size_t i = set->n_lua; i < set->n_rules; i++) { /* routes have no source */
        const struct hl_rule *rule = set->rules[i];
        XXH3_64bits_update(hash, rule->where, strlen(rule->where) + 1);
        for (size_t j = 0; j < rule->n_send; j++) {
            XXH3_64bits_update(hash, rule->send[j], strlen(rule->send[j]) + 1);
        }
    }
}

/* 16 hex digits. It tells versions apart in status and journal; it guards nothing. */
static void version_set(struct hl_script_set *set)
{
    XXH3_state_t *hash = XXH3_createState();
    if (!hash) {
        return;
    }
    XXH3_64bits_reset(hash);
    digest(set, hash);
    snprintf(set->version, sizeof set->version, "%016llx",
             (unsigned long long)XXH3_64bits_digest(hash));
    XXH3_freeState(hash);
}

/* The core's files come first, so that their rules are the first of the set. */
bool hl_script_set_read(struct hl_script_set *set, const struct hl_config *config,
                        const char *core_dir, bool core_only, struct hl_faults *faults)
{
    size_t before = faults->count;
    const char *site = core_only ? NULL : hl_config_site_dir(config);
    char path[4096];
    if (core_dir) {
        hl_script_sources_read(set, core_dir, true, faults);
    }
    if (site) {
        snprintf(path, sizeof path, "%s/rules", site);
        hl_script_sources_read(set, path, false, faults);
        snprintf(path, sizeof path, "%s/tables", site);
        hl_script_tables_read(set, path, faults);
    }
    return faults->count == before;
}

/* The first state collects the rules and their faults, the others must come to the same rules. */
static bool state_build(struct hl_script_set *set, size_t i, struct hl_faults *faults)
{
    size_t before = faults->count;
    struct hl_script_state *state = &set->states[i];
    state->set = set;
    state->faults = i == 0 ? faults : NULL; /* the others only have to come to the same */
    hilum_rc rc = hl_script_state_open(state);
    state->faults = NULL;
    if (rc < 0 && faults->count == before) {
        hl_faults_add(faults, "rules", 0, "%s", hl_error());
    }
    if (i == 0) {
        set->n_lua = set->n_rules;
    }
    state->next = set->free;
    set->free = state;
    return rc == HILUM_OK && faults->count == before;
}

/* A fault in the first state ends it: another would only tell the same again. */
bool hl_script_set_build(struct hl_script_set *set, const struct hl_config *config,
                         struct hl_faults *faults)
{
    bool is_good = true;
    for (size_t i = 0; i < set->n_states && is_good; i++) {
        is_good = state_build(set, i, faults);
    }
    hl_script_routes_read(set, config); /* theirs, and those of the other rules, are told too */
    version_set(set);
    return is_good;
}
