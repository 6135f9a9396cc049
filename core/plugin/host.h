/* Inside core/plugin: a plugin as the host keeps it. It knows nothing of what plugins are for.
 *
 * A life, and who is on which thread: opened (open.c: file, trust, ELF, handshake, options), init
 * (registry.c takes what it provides), start, running, drain, fini. All of it on the main thread,
 * but for versions that come while the server runs: then on the thread that holds `manage`. Calls
 * come on any thread and pass a gate (gate.h). Tasks, timers and watches run on threads of the
 * host and are counted, so that drain and close can wait for them.
 *
 * Locks: manage (one change of what is in force), then registry (look-ups read, a change
 * writes), then lock (tasks, sockets). Code of a plugin is never called with registry or lock
 * held; init, start, drain and fini may be called with manage held, and so must not ask for a
 * swap.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_PLUGIN_HOST_H
#define HL_PLUGIN_HOST_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/base/arena.h"
#include "core/base/pool.h"
#include "core/plugin/gate.h"
#include "core/plugin/loader.h"
#include "core/plugin/plugin.h"
#include "core/plugin/timers.h"

enum plugin_state {
    PLUGIN_SKIPPED, /* see reason */
    PLUGIN_OPENED,  /* checked, options parsed, no code of it ran but the entry */
    PLUGIN_READY,   /* init returned HILUM_OK */
    PLUGIN_RUNNING, /* start returned HILUM_OK */
    PLUGIN_STOPPED, /* start failed or drained; fini may still be to come */
    PLUGIN_DISABLED /* switched off by hand; as it was, but nobody reaches it */
};

enum { PLUGIN_DIGEST = 65 }; /* SHA-256 in hexadecimal digits, with its NUL */

/* In the plugin's arena: it lives as long as the version it is of. */
struct capability {
    struct capability *next;
    struct hilum_self *owner;
    const struct hilum_cap *cap; /* the plugin's own table */
    const struct hilum_cap
        *shown; /* what callers get: the same through a gate, where the kind has one */
    void *instance, *shown_instance;
    atomic_uint pins;
    pthread_mutex_t serial;
};

struct declaration {
    struct declaration *next;
    struct hilum_decl decl; /* copied: an older plugin's is shorter */
};

/* Lists are written by the main thread during init only; afterwards everybody reads. One
 * version of a plugin. The plugin itself, as people know it, is an id: whoever wants the
 * version in force looks it up (hl_plugin_find). */
struct hilum_self {
    struct hl_plugins *host;
    const char *id; /* the name in the configuration; the descriptor's once checked */
    const struct hl_node *entry;
    char *file; /* absolute; NULL while unknown */
    char digest[PLUGIN_DIGEST];
    const struct hilum_plugin *plugin;
    bool required;
    bool is_foreign;   /* not from our own folder, and nobody wrote trust = "in-process" */
    bool may_preview;  /* from our own folder, or somebody wrote allow_preview = true */
    _Atomic int state; /* enum plugin_state */
    char reason[512];
    void *conf, *data; /* data: what init gave us */
    bool initialised;  /* fini is owed */
    bool registering;  /* within init: provide, subscribe and declare are allowed */
    hilum_rc refused;  /* the first registration that failed, even if init ignored it */
    char refusal[256];
    atomic_bool may_run; /* between start and drain: worker threads */
    struct capability *caps, **last_cap;
    struct declaration *decls, **last_decl;
    struct hl_hook_source *hooks;
    size_t n_hooks, cap_hooks;
    struct hl_target **targets; /* of all its gates */
    size_t n_targets, cap_targets;
    atomic_uint inside;                  /* calls under way through gates */
    struct lent_database *lent_database; /* NULL until it asks; lend.c */
    size_t tasks;        /* its own on worker threads, from timers too; under the host's lock */
    atomic_bool awaited; /* somebody waits until that is 0 */
    struct hl_tally tally;
    char owner[80]; /* on the bus */
    /* Versions: swap.c. */
    struct hilum_self *next_version; /* list of those made while the server ran, in the host */
    struct hilum_self *replaces;     /* while it comes up: whose place it will take */
    struct hilum_self *previous;     /* stands by until probation is over */
    bool is_version;                 /* opened from a private copy */
    const char *wanted_file;         /* instead of the configuration's */
    struct hl_config *config;        /* holds `entry` if the host's does not */
    atomic_bool on_probation;
    double percent_before;    /* errors of the version before */
    struct hl_remote *remote; /* runs in workers; NULL: in this process */
    bool is_drained;          /* drain has been called; once a life */
    bool lingers;             /* handed over, and its last answers go on; under `manage` */
    int64_t lingers_until_ms;
    int64_t loop_told_ms; /* on the loop thread: not told again that it is slow before */
    struct hl_arena arena;
};

struct hl_plugins {
    struct hl_config *config;
    const char *plugin_dir, *data_dir;
    struct hl_bus *bus;
    struct hilum_self **plugins; /* in the order of the configuration */
    size_t n;
    struct hilum_self **order; /* those initialised, in that order */
    size_t n_order;
    struct hilum_host table; /* what plugins see */
    struct hl_gate *gates;   /* of all plugins, never fewer */
    struct hl_host_services services;
    hilum_rc (*publish)(void *arg, const char *plugin, const char *event, const char *fields_json);
    void *publish_arg;
    size_t max;                    /* places in `plugins` and `order` */
    struct hilum_self **originals; /* `plugins` as it was at first, n_originals */
    size_t n_originals;
    struct hilum_self *versions; /* all others there ever were */
    pthread_mutex_t manage;      /* one swap, load, drain at a time; never taken by calls */
    pthread_rwlock_t registry; /* `plugins` and the state of each: look-ups read, `manage` writes */
    atomic_bool is_closing;
    struct hl_pool *pool;
    struct hl_timers *timers;
    struct hl_loop *loop;           /* loop.c */
    struct hl_listening *listening; /* listen.c; under `lock` */
    struct hl_metrics *metrics;     /* metrics.c */
    struct hl_keeper *keeper;       /* of workers; NULL until the first */
    pthread_mutex_t lock;           /* the two below */
    pthread_cond_t idle;
    size_t tasks; /* on worker threads */
    struct hl_arena arena;
};

/* trust.c: sets plugin->digest. HILUM_EDENIED: the file is not one the configuration vouches for. */
hilum_rc hl_trust_check(struct hilum_self *plugin);
/* open.c: does its file lie in Hilum's own folder? */
bool hl_plugin_is_own(const struct hilum_self *plugin);

/* elf.c: is it a shared object that binds at once and exports the entry and nothing else? Symbols
 * that begin with '_' are the compiler's and do not count. HILUM_EINVAL says how to build it. */
hilum_rc hl_elf_check(const char *path);
/* The same on bytes in memory, aligned like malloc's. `path` for messages. */
hilum_rc hl_elf_check_bytes(const char *path, const void *bytes, size_t size);

/* options.c: fills plugin->conf. Every fault is added; false if there was one. */
bool hl_plugin_parse_options(struct hilum_self *plugin, struct hl_faults *faults);
const char *hl_option_type_name(uint32_t type);
/* The value of a text option, default or set; NULL: there is none. Never a secret. */
const char *hl_plugin_option_text(const struct hilum_self *plugin, const char *key);

/* promise.c: may any plugin but `user` provide this, as far as descriptors tell? name NULL: any. */
bool hl_promise_may_come(const struct hilum_self *user, uint32_t kind, const char *name);
/* Did its descriptor say so? HILUM_EINVAL: it says what it provides, and this is not of it. */
hilum_rc hl_promise_check(const struct hilum_self *plugin, const struct hilum_cap *cap);

/* needs.c: is what `need` names ("db-sqlite", "store:fs", "database:") ready? */
bool hl_need_is_met(const struct hl_plugins *host, const char *need);
/* May the plugin named still become ready, as far as names tell? */
bool hl_need_may_come(const struct hl_plugins *host, const char *need);
/* Skips plugins whose needs cannot be met as configured, and cycles. */
void hl_needs_check(struct hl_plugins *host, struct hl_faults *faults);

/* kinds.c: what is known of each kind of capability. */
/* "store" -> HILUM_CAP_STORE; 0 if there is no such kind. */
uint32_t hl_cap_kind(const char *name, size_t n);
const char *hl_cap_kind_name(uint32_t kind);   /* NULL: not built */
bool hl_cap_kind_is_preview(uint32_t kind);    /* its table may still change */
bool hl_cap_kind_is_isolatable(uint32_t kind); /* could run in a process of its own */
/* The kind's own rules: members that must be there, two providers of one thing. HILUM_EINVAL,
 * HILUM_EEXISTS naming both plugins. cap is known to be of a kind and named. */
hilum_rc hl_cap_check(struct hilum_self *plugin, const struct hilum_cap *cap);
/* The provider of a SOP class, also among plugins still in init. NULL: none. */
struct capability *hl_service_provider(const struct hl_plugins *host, const char *sop_class);
/* The i-th ready provider of a kind; auth by its `order`. NULL: past the last. */
struct capability *hl_cap_nth(const struct hl_plugins *host, uint32_t kind, uint32_t i);

/* open.c. File, handshake, options of one plugin; false: skipped, with its reason and faults. */
bool hl_plugin_open_file(struct hilum_self *plugin, struct hl_faults *faults);
/* Another version of `old` from `file` (NULL: where the configuration says), or what a newer configuration names.
 * Not opened; kept by the host. NULL: no memory, or no such entry. */
struct hilum_self *hl_plugin_version(struct hilum_self *old, const char *file);
struct hilum_self *hl_plugin_from(struct hl_plugins *host, struct hl_config *config,
                                  const char *id);
/* trust.c: SHA-256 of a file. */
hilum_rc hl_trust_digest(const char *path, char hex[PLUGIN_DIGEST]);

/* life.c, one plugin. false: skipped with its reason. */
bool hl_plugin_init_one(struct hilum_self *plugin);
/* From here on it may have threads, timers and watches. */
hilum_rc hl_plugin_start_one(struct hilum_self *plugin);
/* It has `ready`: connections of its own come in through it. */
bool hl_plugin_is_door(const struct hilum_self *plugin);
/* table.c: run(arg) on a thread of the host, which waits for it before it closes. of: the plugin whose task it is,
 * NULL: the host's own. */
hilum_rc hl_plugins_run_task(struct hl_plugins *host, struct hilum_self *of, void (*run)(void *arg),
                             void *arg);
/* table.c: code of a plugin runs on a thread of the host, outside of a call; whoever closes waits for it. */
void hl_task_began(struct hl_plugins *host, struct hilum_self *of);
void hl_task_ended(struct hl_plugins *host, struct hilum_self *of);
hilum_rc
hl_plugin_check_may_run(const hilum_self *self); /* HILUM_EDENIED: not between start and drain */
bool hl_plugin_declares(const hilum_self *self, uint32_t type, const char *name);
/* life.c: neither timers nor watches nor tasks for the loop any more. */
void hl_plugin_quiet(struct hilum_self *plugin);
/* life.c: drain, if it has not been called in this life. */
void hl_plugin_drain(struct hilum_self *plugin, uint32_t ms);
/* services.c: closes the host's copies of its listening sockets; NULL: of all. */
void hl_host_unlisten(struct hl_plugins *host, const char *id);
/* services.c */
hilum_rc hl_host_loop_new(struct hl_plugins *host);
void hl_host_table_more(struct hilum_host *table);
/* lend.c: puts the database as this plugin may use it in the place of the provider's; the provider's of what was lent,
 * anything else as it is. */
hilum_rc hl_lend_database(struct hilum_self *self, const struct hilum_cap **cap, void **instance);
const struct hilum_cap *hl_lent_from(const struct hilum_self *self, const struct hilum_cap *cap);
/* table.c: waits until no task of this plugin is left. false: one still is. */
bool hl_tasks_wait(struct hilum_self *plugin, uint32_t ms);
/* swap.c: a call of a plugin on probation has been counted; an event about a plugin, if anybody keeps a journal. */
void hl_swap_counted(struct hilum_self *plugin);
void hl_plugin_tell(const struct hilum_self *plugin, const char *event, const char *what);
/* "restart", "beside" or "handover": how a newer version that says the same would take its place. What it provides counts
 * beside what its descriptor says. Of a plugin that has one; with `registry` read-locked. */
const char *hl_swap_word(const struct hilum_self *plugin);
/* registry.c: those among whom a name must be the only one: all plugins, with `plugin` in the place of what it
 * replaces, or last. NULL: past the end. */
struct hilum_self *hl_peer(struct hilum_self *plugin, size_t i);

/* gate.c: a call has left; wakes whoever waits for the last one. */
void hl_plugin_step_out(struct hilum_self *plugin);

/* registry.c: what plugins call during init. */
hilum_rc hl_registry_provide(struct hilum_self *plugin, const struct hilum_cap *cap,
                             void *instance);
hilum_rc hl_registry_subscribe(struct hilum_self *plugin, const struct hilum_hook *hook);
hilum_rc hl_registry_declare(struct hilum_self *plugin, const struct hilum_decl *decl);
/* A ready plugin's capability; NULL: none. name NULL: the only one. */
struct capability *hl_registry_find(const struct hl_plugins *host, uint32_t kind, const char *name,
                                    bool *ambiguous);
/* Ready or running: what it provides is found. Any thread. */
bool hl_plugin_is_ready(const struct hilum_self *plugin);
/* By id, the version in force. NULL: none. Under `registry`, or on a thread that holds `manage`. */
struct hilum_self *hl_plugin_find(const struct hl_plugins *host, const char *id);

/* table.c */
void hl_host_table_init(struct hl_plugins *host);
/* hl_timers' due(): arg is the host, owner a hilum_self, or NULL for the host itself. */
void hl_host_due(void *arg, void *owner, void (*run)(void *run_arg), void *run_arg);

/* Out of the game with a reason; adds a fault unless faults is NULL. */
void hl_plugin_skip(struct hilum_self *plugin, struct hl_faults *faults, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* HILUM_EINVAL with its reason if a required plugin is skipped. */
hilum_rc hl_plugins_check_required(const struct hl_plugins *host);

#endif
