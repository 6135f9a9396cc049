/* Start order, reload, stop.
 *
 * The order of starting is that of needing: bus, plugins' init, record, store, rules, jobs, then
 * what lets work in: plugins' start, journal runners, associations, the control socket. Stopping
 * is the reverse, from the doors inwards. All of it on the main thread, but for reload and
 * check, which also come by command.
 *
 * Durability on the way down: associations and jobs end first, so that no new work comes; then
 * the store flushes, which makes the record durable and lets the intake logs forget what it
 * has; only then are plugins (stores, databases) drained, since all of the above still writes
 * through them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/server/server.h"

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/pool.h"
#include "core/dicom/dcmtk/dataset.h"
#include "core/dicom/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* More stores than hl_store_open takes (HL_PROVIDERS_MAX), so that it is that function which
 * says so. The drain of plugins is short: what they still had to do for others ended with the
 * doors. */
enum { MAX_STORES = 16, PLUGIN_DRAIN_MS = 5000 };

/* The new file is in place before the old descriptor is closed, so no line meets a closed one.
 * A file that cannot be opened is no reason to stop: the log goes to standard error and says
 * so there. */
static void configure_log(struct hl_server *server, const struct hl_config *config)
{
    int before = server->log_fd;
    int level = hl_log_level_from_text(hl_config_text(config, "log.level"));
    hl_log_set_level(level >= 0 ? (enum hl_log_level)level : HL_INFO);
    const char *file = hl_config_text(config, "log.file");
    int fd = file && *file ? open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640) : 2;
    int number = errno;
    hl_log_set_output(fd >= 0 ? fd : 2, strcmp(hl_config_text(config, "log.format"), "json") != 0);
    if (fd < 0)
        hl_log(HL_ERROR, "server", "log.file %s: %s; the log goes to standard error", file,
               strerror(number));
    server->log_fd = fd > 2 ? fd : -1;
    if (before >= 0) /* a reload opens the file anew, which is also how it is rotated */
        close(before);
}

/* Kept for the server's life, each time it changes: a plugin that asked for it may still hold it. */
static hilum_rc keep_aet(struct hl_server *server, const struct hl_config *config)
{
    const char *aet = hl_config_text(config, "dicom.aet"), *before = atomic_load(&server->aet);
    if (before && strcmp(before, aet) == 0)
        return HILUM_OK;
    const char *kept = hl_arena_strdup(&server->arena, aet);
    if (!kept)
        return hl_fail(HILUM_ENOMEM, "out of memory");
    atomic_store(&server->aet, kept);
    return HILUM_OK;
}

/* With the faults that the configuration's own check cannot know of. *out is there in spite of faults. */
static hilum_rc read_config(const struct hl_server *server, struct hl_faults *faults,
                            struct hl_config **out)
{
    size_t before = faults->count;
    hilum_rc rc = hl_config_load(&server->options.paths, faults, out);
    if (*out)
        hl_roles_check(*out, faults);
    size_t n = faults->count - before;
    if (*out && n > 0)
        rc = hl_fail(HILUM_EINVAL, "%zu fault%s in the configuration", n, n == 1 ? "" : "s");
    return rc;
}

static hilum_rc load_config(struct hl_server *server, struct hl_faults *faults)
{
    hilum_rc rc = read_config(server, faults, &server->config);
    if (rc < 0)
        return rc;
    configure_log(server, server->config);
    rc = keep_aet(server, server->config);
    return rc < 0 ? rc : hl_peers_new(server->config, &server->peers);
}

/* What `where` conditions of hooks may name: the data dictionary is core/dicom's, which the
 * bus does not know. */
static bool is_keyword(const char *name)
{
    return hl_dict_tag(name) != 0;
}

static hilum_rc new_bus(struct hl_server *server)
{
    hilum_rc rc = hl_bus_new(&server->bus);
    if (rc == HILUM_OK)
        hl_bus_set_keywords(server->bus, is_keyword);
    return rc;
}

/* A plugin that fails is skipped and told; only a required one stops the start. */
static hilum_rc open_plugins(struct hl_server *server, struct hl_faults *faults)
{
    hilum_rc rc = hl_plugins_open(server->config, server->options.plugin_dir,
                                  server->options.data_dir, server->bus, faults, &server->plugins);
    if (rc == HILUM_OK)
        rc = hl_server_judge(server, server->config, faults);
    /* What cannot be carried waits in the outbox; it keeps nobody from being received. */
    return rc < 0 ? rc : hl_plugins_init(server->plugins, faults);
}

static struct hl_record_options record_options(const struct hl_config *config)
{
    return (struct hl_record_options){
        .default_issuer = hl_config_text(config, "identity.default_issuer"),
        .study_idle_ms = hl_config_ms(config, "storage.study_idle"),
        .erase_grace_ms = hl_config_ms(config, "storage.erase_grace"),
    };
}

static struct hl_store_limits store_limits(const struct hl_config *config)
{
    uint64_t header = hl_config_bytes(config, "storage.header_limit");
    return (struct hl_store_limits){
        .min_free = hl_config_bytes(config, "storage.min_free"),
        .max_object = hl_config_bytes(config, "storage.max_object"),
        .header_limit = header < UINT32_MAX ? (uint32_t)header : UINT32_MAX,
    };
}

/* Reads what the last run left: journal, outbox, pending objects. Here migrations run and the
 * writing session opens. The database's pin is never given back: the record lives as long as
 * its plugin. */
static hilum_rc open_record(struct hl_server *server)
{
    const struct hilum_cap *cap = NULL;
    void *instance = NULL;
    hilum_rc rc = hl_plugins_acquire(server->plugins, HILUM_CAP_DATABASE, NULL, &cap, &instance);
    if (rc < 0)
        return hl_fail_in(rc, "no database: is db-sqlite among `plugins`?");
    const struct hl_record_options options = record_options(server->config);
    return hl_record_open((const struct hilum_database *)cap, instance, &options, &server->record);
}

/* The schema lets nothing else through. */
static enum hl_duplicate_policy duplicate_policy(const struct hl_config *config)
{
    enum hl_duplicate_policy policy = HL_KEEP_FIRST;
    hl_duplicate_policy_named(hl_config_text(config, "storage.duplicates"), &policy);
    return policy;
}

struct stores {
    struct hl_store_provider items[MAX_STORES];
    size_t n;
};

/* In the order of the configuration, which is the order in which stores are looked at after
 * the default. */
static void add_store(void *arg, const struct hilum_cap *cap, void *instance, const char *plugin)
{
    struct stores *stores = arg;
    (void)plugin;
    if (stores->n < MAX_STORES)
        stores->items[stores->n++] =
            (struct hl_store_provider){cap->name, (const struct hilum_store *)cap, instance};
    else
        hl_log(HL_ERROR, "server", "store %s is not used: at most %d stores", cap->name,
               MAX_STORES);
}

/* The configured default goes first: new objects go there. By exchange, so the others keep
 * their order but one. */
static hilum_rc choose_default(struct stores *stores, const char *name)
{
    for (size_t i = 0; i < stores->n; i++) {
        if (strcmp(stores->items[i].name, name) == 0) {
            struct hl_store_provider first = stores->items[i];
            stores->items[i] = stores->items[0];
            stores->items[0] = first;
            return HILUM_OK;
        }
    }
    return hl_fail(HILUM_ENOTFOUND,
                   "storage.default_store \"%s\": no plugin provides a store of this "
                   "name",
                   name);
}

/* Where objects that were written and not yet recorded are finished or erased. `tag` and `vr`
 * come from the dictionary in core/dicom, so that core/store links no DCMTK. `derived` (frame
 * maps and the like) may be deleted at any time: it is made again. */
static hilum_rc open_store(struct hl_server *server)
{
    const struct hl_config *config = server->config;
    struct stores stores = {0};
    hl_plugins_cap_each(server->plugins, HILUM_CAP_STORE, add_store, &stores);
    hilum_rc rc = choose_default(&stores, hl_config_text(config, "storage.default_store"));
    if (rc < 0)
        return rc;
    char derived[4096];
    snprintf(derived, sizeof derived, "%.4000s/derived", server->options.data_dir);
    const struct hl_store_options options = {
        .limits = store_limits(config),
        .memory_budget = hl_config_bytes(config, "storage.memory_budget"),
        .derived = derived,
        .frame_cache = hl_config_bytes(config, "storage.frame_cache"),
        .tag = hl_dict_tag,
        .vr = hl_dict_vr,
        .duplicates = duplicate_policy(config),
        .codecs = &server->codecs,
        .spool_dir = server->options.data_dir,
    };
    hl_server_codecs(server->plugins, &server->codecs);
    return hl_store_open(stores.items, stores.n, server->record, server->bus, &options,
                         &server->store);
}

/* has_*: what the check of rules may ask, at start, at a reload and with --check. */
bool hl_server_has_peer(void *arg, const char *name)
{
    struct hl_peers *peers = hl_server_peers(arg);
    bool has = hl_peers_by_name(peers, name) != NULL;
    hl_peers_unref(peers);
    return has;
}

/* A reader answers with a value for a condition, not with an object. */
enum { READ_MAX = 64 * 1024 }; /* that one reader may answer */

static hilum_rc keep_read(void *ctx, const void *bytes, uint64_t n)
{
    struct hl_buf *out = ctx;
    if (n > READ_MAX || out->len > READ_MAX - n)
        return hl_fail(HILUM_EFULL, "more than %d bytes", READ_MAX);
    hl_buf_add(out, bytes, (size_t)n);
    return out->failed ? hl_fail(HILUM_ENOMEM, "out of memory") : HILUM_OK;
}

/* A reader of a plugin (fields of an HL7 message, say) asked by a rule, on the rule's thread.
 * `out` NULL only asks whether there is such a reader. */
static hilum_rc read_event(void *arg, const char *reader, hilum_event *event, const char *path,
                           struct hl_buf *out)
{
    struct hl_server *server = arg;
    const struct hilum_decl *decl =
        hl_plugins_decl_find(server->plugins, HILUM_DECL_READER, reader, NULL);
    struct hilum_sink sink = {.size = sizeof sink, .write = keep_read, .ctx = out};
    if (!decl)
        return HILUM_ENOTFOUND;
    return out ? decl->read(decl->arg, event, path, &sink) : HILUM_OK;
}

/* `store` and `duplicates` are not among them: they are methods of the event in core/script
 * itself, since they say how an object is kept and not what happens next. */
static bool has_verb(void *arg, const char *verb)
{
    struct hl_server *server = arg;
    static const char *const own[] = {"send", "tag", "kv", "compress", "retrieve"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strcmp(verb, own[i]) == 0)
            return true;
    return hl_plugins_decl_find(server->plugins, HILUM_DECL_VERB, verb, NULL) != NULL;
}

/* `hilumd --check` runs no init: descriptors tell the names. */
static bool has_store(void *arg, const char *name)
{
    struct hl_server *server = arg;
    if (server->store)
        return hl_store_has(server->store, name);
    return hl_plugins_may_provide(server->plugins, server->config, HILUM_CAP_STORE, name, NULL);
}

/* The actions of access for verbs of the kernel; a plugin's verb counts as sending, the most
 * it could do. Asked when rules are loaded, so that what a rule may not do is a fault of the
 * rule and not of the object that happens to reach it. */
static hilum_rc allow_verb(void *arg, const char *rule, const char *verb)
{
    static const char *const actions[][2] = {{"tag", "instance.tag"},
                                             {"kv", "instance.tag"},
                                             {"store", "instance.keep"},
                                             {"duplicates", "instance.keep"},
                                             {"compress", "instance.keep"}};
    (void)arg;
    const struct hl_principal principal = {.kind = HL_PRINCIPAL_RULE, .name = rule};
    const char *action = "study.send";
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
        if (strcmp(verb, actions[i][0]) == 0)
            action = actions[i][1];
    return hl_allow(&principal, action, NULL);
}

/* hilum.kv.get of rules. */
static hilum_rc kv_get(void *arg, const char *space, const char *key, struct hl_buf *out)
{
    struct hl_server *server = arg;
    return hl_record_kv_get(server->record, space, key, out);
}

/* A bad rule never keeps the server from receiving: it starts with core rules alone and says so. */
static hilum_rc open_script(struct hl_server *server, struct hl_faults *faults)
{
    const struct hl_script_env env = {
        hl_server_has_peer, has_verb, has_store, allow_verb, kv_get, server, read_event};
    hilum_rc rc = hl_script_new(server->bus, &env, &server->script);
    if (rc < 0)
        return rc;
    if (hl_script_load(server->script, server->config, server->options.rules_dir, false, faults) <
        0)
        hl_log(HL_ERROR, "script",
               "rules are not loaded: %zu fault(s); receiving goes on without them", faults->count);
    return HILUM_OK;
}

/* Notify hooks have two threads, since entries of one study are handled in order anyway; what
 * failed comes again after a second, then after twice as long each time (core/job/entry.c). */
static struct hl_jobs_options jobs_options(const struct hl_config *config)
{
    return (struct hl_jobs_options){
        .retry_first_ms = hl_config_ms(config, "outbox.retry_first"),
        .retry_max_ms = hl_config_ms(config, "outbox.retry_max"),
        .max_attempts = (unsigned)hl_config_int(config, "outbox.attempts"),
        .max_lanes = (unsigned)hl_config_int(config, "outbox.max_connections"),
        .notify_threads = 2,
        .notify_retry_ms = 1000,
    };
}

/* Types are registered before anything runs: a job without its type would wait for the next
 * start. */
static hilum_rc open_jobs(struct hl_server *server, struct hl_faults *faults)
{
    const struct hl_jobs_options options = jobs_options(server->config);
    const struct hl_jobs_env env = {.resolve = hl_server_resolve_entry,
                                    .arg = server,
                                    .tune = hl_server_tune_lane,
                                    .version = hl_server_rule_version};
    hilum_rc rc = hl_jobs_new(server->record, server->bus, &options, &env, &server->jobs);
    if (rc == HILUM_OK)
        rc = hl_server_register_jobs(server);
    if (rc == HILUM_OK)
        rc = hl_server_register_compress_job(server);
    if (rc == HILUM_OK)
        rc = hl_server_register_frames_job(server, faults);
    if (rc == HILUM_OK)
        rc = hl_server_register_plugin_jobs(server);
    return rc;
}

/* Before rules and jobs: both may make associations as soon as they run. */
static hilum_rc open_scu(struct hl_server *server)
{
    hilum_rc rc = hl_trace_new(&server->trace);
    if (rc == HILUM_OK)
        rc = hl_scu_new(server->store, server->record, server->trace, &server->scu);
    return rc < 0 ? rc : hl_scu_configure(server->scu, server->config);
}

/* What people meet most often at a first start, a port below 1024 and a port that is taken, is
 * explained here, where the configuration's key is known. */
static hilum_rc start_scp(struct hl_server *server)
{
    const struct hl_scp_parts parts = {server->store,   server->record, server->bus,
                                       server->plugins, server->scu,    server->trace,
                                       &server->studies};
    hilum_rc rc = hl_scp_start(&parts, server->config, &server->scp);
    if (rc == HILUM_OK)
        return rc;
    char why[512];
    snprintf(why, sizeof why, "%s", hl_error());
    bool is_privileged = strstr(why, strerror(EACCES)) != NULL;
    return hl_fail(rc, "%s (dicom.listen; %s)", why,
                   is_privileged ? "ports below 1024 need root or CAP_NET_BIND_SERVICE: "
                                   "`setcap cap_net_bind_service=ep` on hilumd, or another port"
                                 : "`ss -ltnp` tells who has a port");
}

/* Last: who can ask for something finds all of it. The mode is octal and was checked by the
 * schema; the path has it from the first moment on. */
static hilum_rc start_control(struct hl_server *server)
{
    hilum_rc rc = hl_control_new(&server->control);
    if (rc == HILUM_OK)
        rc = hl_server_register_commands(server);
    if (rc == HILUM_OK)
        rc = hl_server_register_catalog_commands(server);
    if (rc == HILUM_OK)
        rc = hl_server_register_peer_find(server);
    if (rc == HILUM_OK)
        rc = hl_server_register_archive_commands(server);
    if (rc == HILUM_OK)
        rc = hl_server_register_store_commands(server);
    if (rc == HILUM_OK)
        rc = hl_server_register_plugin_commands(server);
    if (rc == HILUM_OK)
        rc = hl_server_register_audit_commands(server);
    if (rc == HILUM_OK)
        rc = hl_server_register_manage_commands(server);
    const char *mode = hl_config_text(server->config, "control.mode");
    return rc < 0 ? rc
                  : hl_control_start(server->control, server->socket_path,
                                     (mode_t)strtoul(mode, NULL, 8));
}

/* Everything that keeps data, then what acts on it. Nothing here lets work in. The directory
 * is synced after stores and database made their folders in it: from then on no name in it can
 * be lost. */
static hilum_rc open_parts(struct hl_server *server, struct hl_faults *faults)
{
    hilum_rc rc = new_bus(server);
    if (rc == HILUM_OK)
        rc = open_plugins(server, faults);
    if (rc == HILUM_OK)
        rc = open_record(server);
    if (rc == HILUM_OK)
        rc = open_store(server);
    if (rc == HILUM_OK)
        rc = hl_server_sync_data(server);
    if (rc == HILUM_OK)
        rc = open_scu(server);
    if (rc == HILUM_OK)
        rc = open_script(server, faults);
    return rc < 0 ? rc : open_jobs(server, faults);
}

/* Stops at the first object. */
static hilum_rc object_seen(void *arg, const char *key, const struct hilum_object_info *info)
{
    (void)info;
    /* Corrections and broken objects set aside are no archive. */
    *(bool *)arg = strncmp(key, HL_LOG_KEYS, strlen(HL_LOG_KEYS)) != 0;
    return *(bool *)arg ? HILUM_ECANCELLED : HILUM_OK;
}

/* Errors count as recorded: a false alarm would send somebody to rebuild a catalogue that is
 * whole. The counter has a comma behind it, so that 0 is not the beginning of another number. */
static bool is_recorded(struct hl_record *record)
{
    struct hl_buf json = {0};
    bool is = hl_record_status(record, &json) != HILUM_OK ||
              strstr(hl_buf_str(&json), "\"instances\":0,") == NULL;
    hl_buf_fini(&json);
    return is;
}

/* Asks the default store for one object; cheap enough for each `status`. Also true while a
 * rebuild has not come to its end: what people decide then could be undone by it. */
bool hl_server_catalogue_is_lost(struct hl_server *server)
{
    const struct hilum_cap *cap = NULL;
    void *instance = NULL;
    bool has_object = false;
    if (hl_record_is_restoring(server->record))
        return true;
    if (is_recorded(server->record))
        return false;
    struct hl_config *config = hl_server_config(server);
    const char *store = hl_config_text(config, "storage.default_store"); /* there may be several */
    hilum_rc rc = hl_plugins_acquire(server->plugins, HILUM_CAP_STORE, store, &cap, &instance);
    hl_config_unref(config);
    if (rc < 0)
        return false;
    (void)((const struct hilum_store *)cap)->list(instance, "", object_seen, &has_object);
    hl_plugins_unpin(server->plugins, cap);
    return has_object;
}

/* Services are set before plugins start: their first thread may ask for them. Plugins before
 * jobs: a job may need a carrier. Associations after both: what a peer sends runs hooks of
 * plugins and makes jobs. The control socket last but one, since `hilum status` looks at all. */
static hilum_rc start_parts(struct hl_server *server)
{
    hl_server_studies(server);
    hl_server_plugin_services(server);
    if (hl_server_catalogue_is_lost(server))
        hl_log(HL_WARN, "server",
               "the catalogue was lost and is not whole again: what is missing comes back by "
               "`hilum archive rebuild`; decisions wait until then");
    hilum_rc rc = hl_pool_new("audits", 1, &server->audits);
    if (rc == HILUM_OK)
        rc = hl_glasses_new(&server->glasses);
    if (rc == HILUM_OK)
        rc = hl_plugins_start(server->plugins);
    if (rc == HILUM_OK)
        rc = hl_jobs_start(server->jobs);
    if (rc == HILUM_OK)
        rc = start_scp(server);
    if (rc == HILUM_OK)
        rc = start_control(server);
    return rc < 0 ? rc : hl_server_start_housekeeper(server);
}

/* A start once plugins run, a stop while they still do: who tells a collector of rows from now
 * on tells both. The words are those of PS3.15 A.5.3 (Application Activity, Network Entry),
 * which audit-atna makes messages of. */
static void audit_life(struct hl_server *server, const char *action)
{
    if (hl_record_audit(server->record, "kernel", action, "hilum", NULL, NULL) < 0)
        hl_log(HL_ERROR, "hilumd", "%s: not audited: %s", action, hl_error());
}

/* The reason is kept while everything is taken down, which has reasons of its own. Locks
 * first: a stop, also one after a failure in the middle, destroys all of them. */
hilum_rc hl_server_start(struct hl_server *server, const struct hl_server_options *options,
                         struct hl_faults *faults)
{
    *server = (struct hl_server){
        .options = *options, .lock_fd = -1, .log_fd = -1, .started_us = hl_now_us()};
    pthread_mutex_init(&server->lock, NULL);
    pthread_mutex_init(&server->sealing, NULL);
    pthread_mutex_init(&server->reloading, NULL);
    hilum_rc rc = load_config(server, faults);
    if (rc == HILUM_OK)
        rc = hl_server_choose_data(server);
    if (rc == HILUM_OK)
        rc = hl_server_choose_socket(server);
    if (rc == HILUM_OK)
        rc = hl_server_open_data(server);
    if (rc == HILUM_OK)
        rc = hl_dicom_init();
    if (rc == HILUM_OK)
        rc = open_parts(server, faults);
    if (rc == HILUM_OK)
        rc = start_parts(server);
    atomic_store(&server->is_started, rc == HILUM_OK);
    if (rc < 0) {
        char why[512];
        snprintf(why, sizeof why, "%s", hl_error());
        hl_server_stop(server, 0);
        return hl_fail(rc, "%s", why);
    }
    audit_life(server, "application start");
    audit_life(server, "network attach");
    return HILUM_OK;
}

/* Also after a start that failed half-way: every part takes NULL. First what lets work in,
 * then what does it, then what keeps data. `ms` is for associations and jobs each. The
 * housekeeper goes before the control socket, since it alone erases; `stopping`, which it
 * sets, also tells long jobs to give up. */
void hl_server_stop(struct hl_server *server, uint32_t ms)
{
    hl_server_stop_housekeeper(server);
    hl_control_free(server->control);
    if (server->scp)
        hl_scp_stop(server->scp, ms);
    if (server->jobs)
        hl_jobs_stop(server->jobs, ms);
    /* Everything that was answered is in the record now and flushed: the stores' logs may
     * forget it. */
    hl_store_flush(server->store);
    /* After the last association, before the plugins that tell collectors are drained. */
    if (atomic_load(&server->is_started))
        audit_life(server, "application stop");
    if (server->plugins)
        hl_plugins_drain(server->plugins, PLUGIN_DRAIN_MS);
    hl_pool_free(server->audits);
    server->audits = NULL;
    hl_scp_free(server->scp); /* plugins ask for its numbers until they are drained */
    hl_jobs_free(server->jobs);
    hl_script_free(server->script);
    hl_scu_free(server->scu);
    hl_trace_free(server->trace);
    hl_store_close(server->store);
    hl_record_close(server->record);
    hl_glasses_free(server->glasses);
    hl_plugins_close(server->plugins);
    hl_bus_free(server->bus);
    hl_peers_unref(server->peers);
    hl_config_unref(server->config);
    hl_buf_fini(&server->announced);
    hl_arena_fini(&server->arena);
    if (server->lock_fd >= 0)
        close(server->lock_fd);
    pthread_mutex_destroy(&server->reloading);
    pthread_mutex_destroy(&server->lock);
    pthread_mutex_destroy(&server->sealing);
}

/* ---- reload ---- */

/* Readers hold references; the last one frees the old configuration. Both change under one
 * lock, so that nobody sees new peers with an old configuration. The unref is outside: the
 * last one frees a tree, and nobody should wait for that. */
static void publish(struct hl_server *server, struct hl_config *config, struct hl_peers *peers)
{
    pthread_mutex_lock(&server->lock);
    struct hl_config *old_config = server->config;
    struct hl_peers *old_peers = server->peers;
    server->config = config;
    server->peers = peers;
    pthread_mutex_unlock(&server->lock);
    hl_config_unref(old_config);
    hl_peers_unref(old_peers);
}

/* All that changed and waits for a restart, from the schema: the parts know only their own.
 * What parts wrote to *notes is dropped: the schema knows of each key whether a reload applies
 * it. */
static void note_restarts(struct hl_server *server, struct hl_config *config, struct hl_buf *notes)
{
    struct hl_config *before = hl_server_config(server);
    struct hl_buf applied = {0};
    hl_buf_clear(notes);
    hl_config_compare(before, config, &applied, notes);
    hl_buf_fini(&applied);
    hl_config_unref(before);
}

/* A reload that would leave a peer without its way is refused while the old one still has it. */
static hilum_rc judge_anew(struct hl_server *server, const struct hl_config *config,
                           struct hl_faults *faults)
{
    size_t before = faults->count;
    hilum_rc rc = hl_server_judge(server, config, faults);
    size_t n = faults->count - before;
    return rc == HILUM_OK && n > 0
               ? hl_fail(HILUM_EINVAL, "%zu fault%s in the configuration", n, n == 1 ? "" : "s")
               : rc;
}

/* Everything that can refuse comes before anything is published; what has taken the new
 * configuration by then (rules, listeners) keeps it, and the next reload sets it right. The
 * caller holds the mutex of reloads. Order: what can refuse for a reason of the site's
 * (syntax, peers, rules) before what can refuse for one of the machine's (certificates,
 * sockets). */
static hilum_rc reload(struct hl_server *server, struct hl_faults *faults, struct hl_buf *notes)
{
    struct hl_config *config = NULL;
    struct hl_peers *peers = NULL;
    hilum_rc rc = read_config(server, faults, &config);
    if (rc == HILUM_OK)
        rc = judge_anew(server, config, faults);
    if (rc == HILUM_OK)
        rc = hl_peers_new(config, &peers);
    /* Rules first: they are what most often has faults, and their load is all or nothing. */
    if (rc == HILUM_OK)
        rc = hl_script_load(server->script, config, server->options.rules_dir, false, faults);
    if (rc == HILUM_OK) {
        const struct hl_record_options record = record_options(config);
        rc = hl_record_configure(server->record, &record);
    }
    if (rc == HILUM_OK)
        rc = hl_scp_reload(server->scp, config, notes);
    if (rc == HILUM_OK)
        rc = hl_scu_configure(server->scu, config);
    if (rc < 0) {
        if (config && faults->count == 0)
            hl_faults_add(faults, "configuration", 0, "%s", hl_error());
        hl_peers_unref(peers);
        hl_config_unref(config);
        return rc;
    }
    configure_log(server, config);
    (void)keep_aet(server, config); /* without memory plugins see the old one */
    const struct hl_jobs_options options = jobs_options(config);
    hl_jobs_configure(server->jobs, &options);
    const struct hl_store_limits limits = store_limits(config);
    hl_store_set_limits(server->store, &limits);
    hl_store_set_duplicates(server->store, duplicate_policy(config));
    note_restarts(server, config, notes);
    publish(server, config, peers);
    /* Rules may wait for it, to look up what changed. That it is not told is no failure of the
     * reload. */
    hl_record_journal_append(server->record, "config.reloaded", "", "{}", &(int64_t){0});
    return HILUM_OK;
}

hilum_rc hl_server_reload(struct hl_server *server, struct hl_faults *faults, struct hl_buf *notes)
{
    pthread_mutex_lock(&server->reloading);
    hilum_rc rc = reload(server, faults, notes);
    pthread_mutex_unlock(&server->reloading);
    return rc;
}

/* ---- check ---- */

/* As far as a start goes without touching data: plugins are opened, not started, and what they say
 * they provide is held against what is asked of them; certificates are read, rules are loaded and dropped. May run beside a server. Readers and key-value are NULL: there is no
 * record to ask, and a check must not read data. */
hilum_rc hl_server_check(const struct hl_server_options *options, struct hl_faults *faults)
{
    struct hl_server server = {.options = *options};
    pthread_mutex_init(&server.lock, NULL);
    hilum_rc rc = read_config(&server, faults, &server.config);
    bool is_sound = rc == HILUM_OK; /* what is half read would be told twice */
    if (server.config)
        rc = hl_peers_new(server.config, &server.peers);
    if (rc == HILUM_OK)
        rc = hl_server_choose_data(&server);
    if (rc == HILUM_OK)
        hl_server_judge_place(&server, faults);
    if (rc == HILUM_OK)
        rc = new_bus(&server);
    if (rc == HILUM_OK)
        rc = hl_plugins_open(server.config, options->plugin_dir, server.options.data_dir,
                             server.bus, faults, &server.plugins);
    if (rc == HILUM_OK && is_sound) {
        (void)hl_server_judge(&server, server.config, faults);
        hl_server_judge_listeners(server.config, faults);
    }
    const struct hl_script_env env = {
        hl_server_has_peer, has_verb, has_store, allow_verb, NULL, &server, NULL};
    if (rc == HILUM_OK && hl_script_new(server.bus, &env, &server.script) == HILUM_OK)
        rc = hl_script_load(server.script, server.config, options->rules_dir, true, faults);
    hl_script_free(server.script);
    hl_plugins_close(server.plugins);
    hl_bus_free(server.bus);
    hl_peers_unref(server.peers);
    hl_config_unref(server.config);
    hl_arena_fini(&server.arena);
    pthread_mutex_destroy(&server.lock);
    return faults->count ? HILUM_EINVAL : rc;
}
