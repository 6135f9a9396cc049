/* Rules from files to hooks on the bus, whole generations at a time. Knows nothing of Lua.
 *
 * hl_script_load is called by one thread at a time (start, reload); status and version by any.
 * A set is referenced by each owner that has hooks of it on the bus, and by nobody else for
 * longer than a call; the bus gives the reference back when the last dispatch of the replaced
 * hooks is over. Lock order: the bus's lock is never taken under `lock`.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/script/internal.h"

/* Hooks that are replaced together. Order of replacing: site rules may name core rules, not the
 * reverse. */
enum owner { OWNER_CORE, OWNER_RULES, OWNER_ROUTES, OWNERS };
static const char *const owner_names[] = {"core-rules", "rules", "routes"};

struct hl_script {
    struct hl_bus *bus;
    struct hl_script_env env;
    pthread_mutex_t lock; /* sets */
    struct hl_script_set
        *sets[OWNERS]; /* what the owner's hooks on the bus use; a reference each */
};

hilum_rc hl_script_new(struct hl_bus *bus, const struct hl_script_env *env, struct hl_script **out)
{
    struct hl_script *script = calloc(1, sizeof *script);
    if (!script) {
        return hl_fail(HILUM_ENOMEM, "rules: no memory");
    }
    script->bus = bus;
    if (env) {
        script->env = *env;
    }
    pthread_mutex_init(&script->lock, NULL);
    *out = script;
    return HILUM_OK;
}

/* Which of the three owners on the bus a rule's hook belongs to. */
static enum owner owner_of(const struct hl_rule *rule)
{
    return rule->index == 0 ? OWNER_ROUTES : rule->is_core ? OWNER_CORE : OWNER_RULES;
}

/* The bus copies the texts of a hook; `arg` is the rule itself, which the owner's reference
 * keeps. */
static struct hl_hook_source hook_of(struct hl_rule *rule)
{
    return (struct hl_hook_source){
        .hook = {.size = sizeof(struct hilum_hook),
                 .phase = rule->phase,
                 .event = rule->event,
                 .name = rule->name,
                 .before = rule->before,
                 .after = rule->after,
                 .where = rule->where,
                 .run = rule->index == 0 ? hl_script_route_run : hl_script_rule_run,
                 .arg = rule,
                 .deadline_ms = rule->deadline_ms,
                 .threads = HILUM_PARALLEL},
        .file = rule->path,
        .line = rule->line,
    };
}

/* Publishes the owner's hooks of `set` (NULL: none), or only checks them. */
static bool owner_replace(struct hl_script *script, enum owner owner, struct hl_script_set *set,
                          bool dry_run, struct hl_faults *faults)
{
    size_t n = 0, n_rules = set ? set->n_rules : 0;
    struct hl_hook_source *hooks = calloc(n_rules + 1, sizeof *hooks);
    if (!hooks) {
        hl_faults_add(faults, owner_names[owner], 0, "no memory for %zu rules", n_rules);
        return false;
    }
    for (size_t i = 0; i < n_rules; i++) {
        if (owner_of(set->rules[i]) == owner) {
            hooks[n++] = hook_of(set->rules[i]);
        }
    }
    size_t before = faults->count;
    /* The bus lets go of the old set before `sets` names the new one: it must not be freed while
     * hl_script_status may still read it there. */
    struct hl_script_set *old = dry_run ? NULL : script->sets[owner];
    if (old) {
        hl_script_set_ref(old);
    }
    hilum_rc rc = hl_bus_replace(script->bus, owner_names[owner], hooks, n,
                                 dry_run ? NULL : hl_script_set_unref, old, dry_run, faults);
    free(hooks);
    if (rc < 0 && faults->count == before) {
        hl_faults_add(faults, owner_names[owner], 0, "%s", hl_error());
    }
    if (rc == HILUM_OK && !dry_run) {
        if (set) {
            hl_script_set_ref(set);
        }
        pthread_mutex_lock(&script->lock);
        script->sets[owner] = set;
        pthread_mutex_unlock(&script->lock);
    }
    hl_script_set_unref(old);
    return rc == HILUM_OK;
}

/* Checks all that can be checked before anything is replaced. The core's rules go first, for
 * real: site rules may name them in before and after, and the bus checks that against what is in
 * force. */
static bool set_publish(struct hl_script *script, struct hl_script_set *set, bool dry_run,
                        struct hl_faults *faults)
{
    bool is_good = owner_replace(script, OWNER_CORE, set, true, faults);
    if (is_good && !dry_run) {
        is_good = owner_replace(script, OWNER_CORE, set, false, faults);
    }
    is_good &= owner_replace(script, OWNER_RULES, set, true, faults);
    is_good &= owner_replace(script, OWNER_ROUTES, set, true, faults);
    if (!is_good || dry_run) {
        return is_good;
    }
    return owner_replace(script, OWNER_RULES, set, false, faults) &&
           owner_replace(script, OWNER_ROUTES, set, false, faults);
}

/* Reads and builds a set; NULL with faults. Even then its hooks are checked on the bus, so that
 * one run tells every fault. */
static struct hl_script_set *set_load(struct hl_script *script, const struct hl_config *config,
                                      const char *core_dir, bool core_only,
                                      struct hl_faults *faults)
{
    size_t before = faults->count;
    struct hl_script_set *set;
    if (hl_script_set_new(script->bus, &script->env, config, &set) < 0) {
        hl_faults_add(faults, "rules", 0, "%s", hl_error());
        return NULL;
    }
    hl_script_set_read(set, config, core_dir, core_only, faults);
    hl_script_set_build(set, config, faults);
    if (faults->count == before) {
        return set;
    }
    set_publish(script, set, true, faults); /* what the bus finds is told in the same run */
    hl_script_set_unref(set);
    return NULL;
}

/* Nothing was ever loaded and the site's rules are at fault: the core's own are better than none.
 */
static void core_load(struct hl_script *script, const struct hl_config *config,
                      const char *core_dir)
{
    struct hl_faults ignored = {0};
    struct hl_script_set *set = set_load(script, config, core_dir, true, &ignored);
    if (set) {
        owner_replace(script, OWNER_CORE, set, false, &ignored);
        hl_script_set_unref(set);
    }
    hl_faults_fini(&ignored);
}

/* `is_first` is read without the lock: only this function writes `sets`, on one thread at a
 * time. */
hilum_rc hl_script_load(struct hl_script *script, const struct hl_config *config,
                        const char *core_dir, bool dry_run, struct hl_faults *faults)
{
    bool is_good = false, is_first = !script->sets[OWNER_RULES];
    struct hl_script_set *set = set_load(script, config, core_dir, false, faults);
    if (set) {
        is_good = set_publish(script, set, dry_run, faults);
        if (is_good && !dry_run) {
            hl_log(HL_INFO, "script", "%zu rules and %zu routes, version %s", set->n_lua,
                   set->n_rules - set->n_lua, set->version);
        }
        hl_script_set_unref(set);
    }
    if (!is_good && !dry_run && is_first) {
        core_load(script, config, core_dir);
    }
    return is_good ? HILUM_OK
                   : hl_fail(HILUM_EINVAL, "rules have faults%s",
                             dry_run ? "" : ": the rules loaded before stay in force");
}

bool hl_script_version(struct hl_script *script, const char *rule, char out[17])
{
    bool is_found = false;
    pthread_mutex_lock(&script->lock);
    for (int owner = 0; owner < OWNERS && !is_found; owner++) {
        struct hl_script_set *set = script->sets[owner];
        for (size_t i = 0; set && i < set->n_rules && !is_found; i++) {
            if (owner_of(set->rules[i]) == (enum owner)owner &&
                strcmp(set->rules[i]->name, rule) == 0) {
                memcpy(out, set->version, sizeof set->version);
                is_found = true;
            }
        }
    }
    pthread_mutex_unlock(&script->lock);
    return is_found;
}

static void text_member(struct hl_buf *json, const char *key, const char *text)
{
    hl_buf_printf(json, "\"%s\":", key);
    hl_buf_json_string(json, text ? text : "");
    hl_buf_byte(json, ',');
}

/* The counters are read one by one: a call that ends meanwhile may be in one and not in the
 * other. */
static void rule_status(const struct hl_rule *rule, struct hl_buf *json)
{
    uint64_t calls = atomic_load(&rule->calls);
    hl_buf_byte(json, '{');
    text_member(json, "name", rule->name);
    text_member(json, "event", rule->event);
    text_member(json, "phase", hl_script_phase_name(rule->phase));
    text_member(json, "where", rule->where);
    text_member(json, "file", rule->path);
    text_member(json, "version", rule->set->version);
    hl_buf_printf(json, "\"line\":%u,\"calls\":%llu,\"failures\":%llu,\"mean_us\":%.1f}",
                  rule->line, (unsigned long long)calls,
                  (unsigned long long)atomic_load(&rule->failures),
                  calls ? (double)atomic_load(&rule->total_ns) / 1000.0 / (double)calls : 0.0);
}

void hl_script_status(struct hl_script *script, struct hl_buf *json)
{
    bool is_first = true;
    hl_buf_byte(json, '[');
    pthread_mutex_lock(&script->lock);
    for (int owner = 0; owner < OWNERS; owner++) {
        const struct hl_script_set *set = script->sets[owner];
        for (size_t i = 0; set && i < set->n_rules; i++) {
            if (owner_of(set->rules[i]) != (enum owner)owner) {
                continue;
            }
            if (!is_first) {
                hl_buf_byte(json, ',');
            }
            is_first = false;
            rule_status(set->rules[i], json);
        }
    }
    pthread_mutex_unlock(&script->lock);
    hl_buf_byte(json, ']');
}

/* In reverse order of loading: routes and site rules may name rules of the core. */
void hl_script_free(struct hl_script *script)
{
    if (!script) {
        return;
    }
    struct hl_faults ignored = {0};
    for (int owner = OWNERS - 1; owner >= 0; owner--) {
        owner_replace(script, (enum owner)owner, NULL, false, &ignored);
    }
    hl_faults_fini(&ignored);
    pthread_mutex_destroy(&script->lock);
    free(script);
}
