/* Lua rules: sandboxed states in a pool, rules as hooks on the bus, verbs as plans. The only folder
 * that includes lua.h. It knows nothing of DICOM associations or SQL. SPDX-License-Identifier:
 * Apache-2.0 */
#ifndef HL_SCRIPT_H
#define HL_SCRIPT_H

#include "core/bus/bus.h"
#include "core/config/config.h"

struct hl_script;

/* What rules may know of the server; all optional (NULL). */
struct hl_script_env {
    /* Is there a peer or verb of this name? For faults at load ("send to ARCHIV: no such peer; did
     * you mean ARCHIVE?"). */
    bool (*has_peer)(void *arg, const char *name);
    bool (*has_verb)(void *arg, const char *verb);
    /* Is there a store of this name? */
    bool (*has_store)(void *arg, const char *name);
    /* May rules use this verb here (hl_allow)? HILUM_OK or HILUM_EDENIED. */
    hilum_rc (*allow)(void *arg, const char *rule, const char *verb);
    /* hilum.kv reads; writes are the verb kv. */
    hilum_rc (*kv_get)(void *arg, const char *space, const char *key, struct hl_buf *out);
    void *arg;
    /* A reader some plugin declared: appends what it reads of the event. HILUM_ENOTFOUND: nothing is there, or no such
     * reader; out NULL: only asks whether there is one. */
    hilum_rc (*read)(void *arg, const char *reader, hilum_event *event, const char *path,
                     struct hl_buf *out);
};

/* Without rules until hl_script_load. Freed by the caller. `env` is copied; what it points to
 * must outlive the script. HILUM_ENOMEM. */
hilum_rc hl_script_new(struct hl_bus *bus, const struct hl_script_env *env, struct hl_script **out);
/* Loads core rules (core_dir, may be NULL) and the site's rules (rules/ and tables/ of its
 * directory: every .lua and .csv) and the `routes` of the configuration into fresh states; then
 * replaces the owners "core-rules", "rules" and "routes" on the bus. All or nothing: with faults
 * (added to *faults as file:line: ...) the running set stays; if there is none yet, core rules
 * alone are loaded and HILUM_EINVAL is returned all the same. dry_run: checks only. One thread at a
 * time. */
hilum_rc hl_script_load(struct hl_script *script, const struct hl_config *config,
                        const char *core_dir, bool dry_run, struct hl_faults *faults);
/* Rules as a JSON array: name, event, phase, where, file, line, version (digest), calls,
 * failures, mean us. Any thread. */
void hl_script_status(struct hl_script *script, struct hl_buf *json);
/* The version (digest of all sources) a rule or route on the bus was loaded with. false: no such
 * rule. Any thread. */
bool hl_script_version(struct hl_script *script, const char *rule, char out[17]);
/* Takes its hooks from the bus. No dispatch may be under way. */
void hl_script_free(struct hl_script *script);

#endif
