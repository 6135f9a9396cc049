/* The plugin host: opens what the configuration names, checks it, parses its options, runs its life
 * and keeps what it provides. The only folder that opens shared objects. It knows nothing of DICOM,
 * SQL, Lua and of what a capability does. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_PLUGIN_H
#define HL_PLUGIN_H

#include "core/base/buf.h"
#include "core/bus/bus.h"
#include "core/config/config.h"
#include "hilum/codec.h"
#include "hilum/host.h"

struct hl_plugins; /* the host: all plugins of one server */

/* ---- opening and life ---- */

/* Opens every entry of `plugins` of the configuration: file (config `file`, otherwise
 * <plugin_dir>/<name>.so), ownership and mode, ELF flags and exports, handshake, options, order of
 * needs. No plugin code but hilum_plugin_entry runs; so this is also what --check does (then
 * close). Everything found is added to *faults; a plugin with a fault is skipped with its reason.
 * HILUM_OK although optional plugins were skipped (look at faults->count); HILUM_EINVAL if one with
 * `required = true` was. *out is set in both cases. Any thread; each call makes a host of its own.
 * `config` is referenced; `bus` outlives the host. */
hilum_rc hl_plugins_open(struct hl_config *config, const char *plugin_dir, const char *data_dir,
                         struct hl_bus *bus, struct hl_faults *faults, struct hl_plugins **out);

/* What the server lends to plugins through struct hilum_host; copied. `plugin` is the caller's id.
 * Absent members answer HILUM_EUNSUP or NULL. Set before hl_plugins_start; `dicom` and `catalog`
 * are seen by plugins from there on. A service's own functions learn the caller with
 * hl_plugin_id(self). */
struct hl_host_services {
    const struct hilum_dicom_api *dicom;
    const struct hilum_catalog_api *catalog;
    const struct hilum_object_api *objects;
    const struct hilum_command_api *commands;
    hilum_rc (*allow)(void *arg, const char *plugin, const hilum_principal *who, const char *action,
                      const char *resource);
    hilum_rc (*store_scu)(void *arg, const char *plugin, const char *address,
                          const char *called_aet,
                          hilum_rc (*next)(void *arg, const void **part10, uint64_t *n),
                          void *next_arg, uint64_t *stored);
    const char *(*dicom_address)(void *arg);
    const char *(*dicom_aet)(void *arg);
    hilum_rc (*principal_new)(void *arg, const struct hilum_identity *identity, const char *address,
                              hilum_principal **out);
    hilum_rc (*announce)(void *arg, const char *name, const char *value);
    void (*audit)(void *arg, const char *plugin, const hilum_principal *who, const char *action,
                  const char *what, const char *details);
    hilum_rc (*metrics)(void *arg, const struct hilum_sink *sink);
    hilum_rc (*value_put)(void *arg, const char *plugin, const char *key, const char *value);
    hilum_rc (*value_get)(void *arg, const char *plugin, const char *key, struct hl_buf *out);
    hilum_rc (*record)(void *arg, const char *plugin, const struct hilum_record_step *steps,
                       uint32_t n);
    const struct hilum_scu_api *scu;
    hilum_rc (*start_job)(void *arg, const char *type, const char *arguments_json, int64_t *job);
    hilum_rc (*break_glass)(void *arg, const char *plugin, const hilum_principal *who,
                            const struct hilum_glass *what, int64_t *until);
    hilum_rc (*audit_rows)(void *arg, int64_t after,
                           hilum_rc (*each)(void *each_arg, const struct hilum_audit_row *row),
                           void *each_arg);
    hilum_rc (*check_roles)(void *arg, const char *roles, const char *actions);
    void *arg;
};
/* On the main thread, before any plugin can call: read without a lock afterwards. */
void hl_plugins_set_services(struct hl_plugins *plugins, const struct hl_host_services *services);
/* Durable publication of an event that `plugin` declared (checked by the host). Any time
 * before start. Called on threads of plugins; blocks until the journal is durable. */
void hl_plugins_set_publish(struct hl_plugins *plugins,
                            hilum_rc (*publish)(void *arg, const char *plugin, const char *event,
                                                const char *fields_json),
                            void *arg);

/* Runs init of all plugins in the order of their needs; then puts their declared events and hooks
 * on the bus, as owner "plugin:<id>". A plugin that fails is skipped with its reason (logged);
 * HILUM_EINVAL with the reason if it is required: the server does not start. Faults of hooks are
 * added to *faults. Main thread. */
hilum_rc hl_plugins_init(struct hl_plugins *plugins, struct hl_faults *faults);
/* Runs start in the same order. A failure stops that plugin, or is returned if it is required.
 * Then `ready` of those who have one (doors), when all others run. HILUM_OK although optional
 * plugins failed. Main thread. */
hilum_rc hl_plugins_start(struct hl_plugins *plugins);
/* No new work; waits for work under way, all plugins together for at most ms. Reverse order.
 * What is not done by then is left and said in the log. Main thread. */
void hl_plugins_drain(struct hl_plugins *plugins, uint32_t ms);
/* Takes the hooks off the bus, fini in reverse order, frees the host. Objects stay mapped:
 * never dlclose. What was acquired must not be used any more. NULL is fine. On the main
 * thread, when no thread of the server is inside a plugin. A task of a plugin that does not
 * end keeps all of it in memory: nothing is freed then. */
void hl_plugins_close(struct hl_plugins *plugins);

/* The name in the configuration; lives until close. */
const char *hl_plugin_id(const hilum_self *self);
/* The services' arg: how a function of an api table that gets only `self` finds its server. */
void *hl_plugins_context(const hilum_self *self);

/* [{"id", "version", "vendor", "licence", "file", "state": "skipped|opened|ready|running|stopped",
 * "required", "reason", "provides": ["store:fs"], "needs": [...], "options": [{"key", "type",
 * "default", "range", "help", "required"}]}] for `hilum plugin list`. Any thread. */
void hl_plugins_list(struct hl_plugins *plugins, struct hl_buf *json);

/* Appends what plugins count, as Prometheus text. Any thread. */
void hl_plugins_metrics(struct hl_plugins *plugins, struct hl_buf *out);

/* ---- while the server runs: one at a time, any thread but one inside a plugin ---- */

/* Another version of a running plugin, from `file` (NULL: where the configuration says), comes up beside it and takes its
 * place; calls under way end in the old one, which stands by for 200 calls or 60 s and comes back if the new one fails
 * in five or more, over ten per cent more than before. Announced as plugin.swapped. HILUM_EUNSUP: its descriptor, or what it
 * provides, asks for a restart; errors of opening, init and start leave everything as it was. */
hilum_rc hl_plugins_swap(struct hl_plugins *plugins, const char *id, const char *file);
/* Opens and starts a plugin of `config` that was added, skipped or drained. Its commands, if
 * it is new, come with the next start. HILUM_EEXISTS: it runs; HILUM_ENOTFOUND: not in config.
 * HILUM_EFULL: 64 more than at the start are there; HILUM_EAGAIN: calls of its former life go
 * on; HILUM_ECLOSED: the server is stopping; otherwise as opening, init and start answer. */
hilum_rc hl_plugins_load(struct hl_plugins *plugins, struct hl_config *config, const char *id);
/* Nobody reaches it any more, until it is enabled. HILUM_EDENIED: required, or needed by another; HILUM_EUNSUP: the kernel
 * holds what it provides. */
hilum_rc hl_plugins_disable(struct hl_plugins *plugins, const char *id);
/* On again, and out of quarantine. HILUM_EINVAL: it is not disabled (but skipped or drained:
 * load it); HILUM_ENOTFOUND. */
hilum_rc hl_plugins_enable(struct hl_plugins *plugins, const char *id);
/* Off, then drain and fini when the calls under way have ended. HILUM_ETIMEDOUT: some have not within 10 s. */
hilum_rc hl_plugins_drain_one(struct hl_plugins *plugins, const char *id);

/* Will a plugin of `config` provide this, as far as can be told: by what its descriptor says; where that says nothing, after init by
 * what it did. One that says nothing and had no init, and one that was not opened, may provide anything. name NULL: any of the kind.
 * The names that are told are added to `known`, in quotes; NULL: not asked for. Any time after open, any thread. */
bool hl_plugins_may_provide(struct hl_plugins *plugins, const struct hl_config *config,
                            uint32_t kind, const char *name, struct hl_buf *known);

/* ---- capabilities ---- */

/* Pins a provider until unpin; name NULL: the only one of its kind. Between hl_plugins_init and
 * _close, any thread. HILUM_ENOTFOUND names what is missing; HILUM_ECONFLICT: name NULL and there
 * are several. The table may be shorter than today's struct: HILUM_HAS before members newer
 * than 1.0. SERIAL: where cap->threads is HILUM_SERIAL the caller brackets every call of the
 * instance with hl_plugins_enter/leave (no-ops for HILUM_PARALLEL). */
hilum_rc hl_plugins_acquire(struct hl_plugins *plugins, uint32_t kind, const char *name,
                            const struct hilum_cap **cap, void **instance);
void hl_plugins_unpin(struct hl_plugins *plugins, const struct hilum_cap *cap);
void hl_plugins_enter(struct hl_plugins *plugins, const struct hilum_cap *cap);
void hl_plugins_leave(struct hl_plugins *plugins, const struct hilum_cap *cap);
/* All providers of a kind in the order of the configuration. `each` is called with the
 * registry locked for reading: it must not swap, load or disable, and should only look. Any
 * thread. */
void hl_plugins_cap_each(struct hl_plugins *plugins, uint32_t kind,
                         void (*each)(void *arg, const struct hilum_cap *cap, void *instance,
                                      const char *plugin),
                         void *arg);
/* Pins the i-th provider of a kind until unpin, in the order of the configuration, `auth` by its
 * `order`. HILUM_ENOTFOUND past the last. */
hilum_rc hl_plugins_nth(struct hl_plugins *plugins, uint32_t kind, uint32_t i,
                        const struct hilum_cap **cap, void **instance);
/* The codecs that do all of `flags` (HILUM_CODEC_*) with a transfer syntax, best first: rank 0, 1
 * ... until NULL. Lives until close; instance: its `self`. */
const struct hilum_codec *hl_plugins_codec_for(struct hl_plugins *plugins,
                                               const char *transfer_syntax, uint32_t flags,
                                               uint32_t rank, void **instance);
/* The `service` that serves a SOP class; NULL: none. Lives until close; instance: its `self`. */
const struct hilum_service *hl_plugins_service_for(struct hl_plugins *plugins,
                                                   const char *sop_class, void **instance);

/* ---- declarations ---- */

/* Of plugins that are ready; in order of the configuration. Valid until close. type:
 * HILUM_DECL_*. `each` as with hl_plugins_cap_each. Any thread. */
void hl_plugins_decl_each(struct hl_plugins *plugins, uint32_t type,
                          void (*each)(void *arg, const struct hilum_decl *decl,
                                       const char *plugin),
                          void *arg);
/* NULL: none of this name. *plugin may be NULL. */
const struct hilum_decl *hl_plugins_decl_find(struct hl_plugins *plugins, uint32_t type,
                                              const char *name, const char **plugin);

#endif
