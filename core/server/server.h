/* The parts put together: one struct that owns them, start order, reload, stop; and the commands of
 * `hilum`. It knows every folder's header and does none of their work.
 *
 * Who runs in here. The main thread starts, stops and, on SIGHUP, reloads. Commands run on
 * threads of the control socket, many at once. Job types run on the lanes' threads of
 * core/job. Services lent to plugins (services.c, objects.c, intake.c, asking.c) run on
 * whatever thread a plugin calls from. The housekeeper is a thread of its own. What all of
 * them share is constant after the start, but for configuration and peers: those are taken by
 * reference, used, and let go.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_SERVER_H
#define HL_SERVER_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/access/access.h"
#include "core/access/glass.h"
#include "core/config/config.h"
#include "core/config/peers.h"
#include "core/control/control.h"
#include "core/dicom/scp.h"
#include "core/job/job.h"
#include "core/plugin/plugin.h"
#include "core/record/record.h"
#include "core/script/script.h"
#include "core/store/ingest.h"
#include "hilum/command.h"

/* What the command line said. Strings outlive the server. */
struct hl_server_options {
    struct hl_config_paths paths;
    const char *data_dir;   /* where everything is kept; NULL: storage.data, else /var/lib/hilum */
    const char *plugin_dir; /* Hilum's own plugins */
    const char *rules_dir;  /* scripts/core */
};

/* Owned by main(). Members are set in start order and are constant while the server runs, but
 * for `config` and `peers`, which reload replaces under `lock`. Every part is reached through
 * here and no part reaches back: what one needs of another is handed to it as a table of
 * functions with the server as `arg`, which is what keeps the folders apart. */
struct hl_server {
    struct hl_server_options options;
    pthread_mutex_t lock;
    pthread_mutex_t sealing;   /* one seal of the audit record at a time */
    pthread_mutex_t reloading; /* one at a time: by signal and by command, on several connections */
    int log_fd;                /* of log.file; -1: standard error */
    _Atomic(const char *) aet; /* dicom.aet, in `arena`: plugins keep the pointer */
    struct hl_config *config;
    struct hl_peers *peers;
    struct hl_bus *bus;
    struct hl_plugins *plugins;
    struct hl_record *record;
    struct hl_codecs codecs; /* of the plugins, for the store */
    struct hl_store *store;
    struct hl_trace *trace; /* associations of both directions */
    struct hl_scu *scu;
    struct hl_script *script;
    struct hl_jobs *jobs;
    struct hl_scp *scp;
    struct hl_control *control;
    struct hl_studies studies;  /* grants by study, looked up in the record */
    struct hl_glasses *glasses; /* broken */
    struct hl_pool *audits;     /* rows of plugins; NULL: not started, or stopped */
    pthread_t housekeeper;
    bool has_housekeeper;
    atomic_bool is_started; /* the READY line is complete */
    atomic_bool stopping;
    int64_t started_us;
    struct hl_arena arena;   /* plugins' commands */
    struct hl_buf announced; /* what plugins add to the READY line */
    int lock_fd;             /* flock on <data>/hilumd.lock */
    char socket_path[108];
};

/* Starts everything in order; on error what was started is stopped again. Faults of
 * configuration, plugins and rules are added to *faults. A bad rule does not keep the server
 * from starting. Main thread. The first error is returned with its reason; HILUM_EEXISTS:
 * another hilumd has the data directory. On HILUM_OK doors are open: peers, plugins and
 * commands may be at work already. */
hilum_rc hl_server_start(struct hl_server *server, const struct hl_server_options *options,
                         struct hl_faults *faults);
/* Stops taking associations, drains for up to ms, closes everything in reverse order. Main
 * thread, once. What was acknowledged is durable before it returns; what could not be drained
 * in time is aborted, and is journal or outbox work of the next start. */
void hl_server_stop(struct hl_server *server, uint32_t ms);
/* Loads configuration, peers, certificates and rules anew; all or nothing. What needs a
 * restart is written to *notes, one line each. Any thread; waits for a reload under way. On an
 * error, HILUM_EINVAL with *faults as a rule, configuration and peers are as they were. */
hilum_rc hl_server_reload(struct hl_server *server, struct hl_faults *faults, struct hl_buf *notes);
/* Everything hilumd --check looks at, without touching data: prints through *faults.
 * HILUM_EINVAL: there are faults. Opens plugins (their constructors run) and starts none. Any
 * thread, also beside a running server: it uses none of its parts. */
hilum_rc hl_server_check(const struct hl_server_options *options, struct hl_faults *faults);

/* References of their own; release with hl_config_unref, hl_peers_unref. Any thread. Whoever
 * compares two values takes one reference and reads both from it: between two calls a reload
 * may have come. */
struct hl_config *hl_server_config(struct hl_server *server);
struct hl_peers *hl_server_peers(struct hl_server *server);
/* Is one of this name configured? arg: the server, as rules ask for it. Any thread. */
bool hl_server_has_peer(void *arg, const char *name);

/* ---- inside of the folder ---- */
/* place.c: where the server is. The first is called once for all; a reload does not move a server. */
hilum_rc hl_server_choose_data(struct hl_server *server);
hilum_rc hl_server_choose_socket(struct hl_server *server);
/* Makes the data directory and takes its lock. HILUM_EEXISTS: another hilumd has it. */
hilum_rc hl_server_open_data(struct hl_server *server);
hilum_rc hl_server_sync_data(struct hl_server *server);
/* Adds as a fault what would keep these from it, and touches nothing. */
void hl_server_judge_place(struct hl_server *server, struct hl_faults *faults);
/* judge.c: does what plugins provide, or say they will, answer what `config` asks: a database, the default store, the way
 * to each peer? Adds a fault for each that does not; HILUM_ENOTFOUND: one without which there is no start. */
hilum_rc hl_server_judge(struct hl_server *server, const struct hl_config *config,
                         struct hl_faults *faults);
/* Adds a fault if a certificate or key of a listener will not do. Opens no socket. */
void hl_server_judge_listeners(struct hl_config *config, struct hl_faults *faults);
extern const struct hilum_command_api hl_command_api; /* command_api.c */
/* The register functions are called once, by the start, before the socket answers. */
hilum_rc hl_server_register_commands(struct hl_server *server);         /* commands.c */
hilum_rc hl_server_register_catalog_commands(struct hl_server *server); /* commands_catalog.c */
hilum_rc hl_server_register_archive_commands(struct hl_server *server); /* commands_archive.c */
hilum_rc hl_server_register_store_commands(struct hl_server *server);   /* compress_job.c */
hilum_rc hl_server_register_compress_job(struct hl_server *server);
hilum_rc hl_server_register_frames_job(struct hl_server *server, struct hl_faults *faults);
hilum_rc hl_server_register_plugin_commands(struct hl_server *server); /* commands_plugin.c */
hilum_rc hl_server_register_audit_commands(struct hl_server *server);  /* audit_commands.c */
/* The digest of all audit rows so far to the file of seals and the log; nothing where no row is new. */
hilum_rc hl_server_audit_seal(struct hl_server *server);
/* Takes away sealed rows older than audit.keep; a row says which. The housekeeper's thread. */
hilum_rc hl_server_audit_prune(struct hl_server *server);
hilum_rc hl_server_register_manage_commands(struct hl_server *server); /* commands_manage.c */
/* Before hl_plugins_start: a plugin's first thread may ask at once. */
void hl_server_plugin_services(struct hl_server *server); /* services.c */
extern const struct hilum_object_api hl_object_api;       /* objects.c */
extern const struct hilum_scu_api hl_scu_api;             /* asking.c */
/* A peer's own limits of delivery; the version of a rule: for core/job. They answer on threads
 * of core/job, for each batch anew, so that a reload is seen by the next one. */
void hl_server_tune_lane(void *arg, const char *lane, struct hl_jobs_options *options);
bool hl_server_rule_version(void *arg, const char *hook, char out[17]);
hilum_rc hl_server_register_jobs(struct hl_server *server); /* send_job.c */
/* commands.c: how many rows a command may answer, its argument `limit`. HILUM_EINVAL: not 1 or more. */
hilum_rc hl_server_limit(struct hl_call *call, uint32_t otherwise, uint32_t *out);
/* What a job's arguments say of its way: the carrier, or "dimse"; the syntax a rule wishes, if it has one. */
struct hl_job_wish {
    char via[32];
    bool has;
    struct hl_pack_wish pack;
};
void hl_server_job_wish(const struct hl_peer *peer, const struct hl_job *job,
                        struct hl_job_wish *out); /* peer may be NULL (send_job.c) */
/* Nothing was tried: the lane waits as a whole, and no job loses an attempt. No memory is no fault of the destination:
 * those jobs count an attempt and come again (send_job.c). The reason is the thread's. */
void hl_server_not_reached(struct hl_job_attempt *attempts, size_t n, hilum_rc rc);
/* carry_job.c: jobs of one way given to its carrier, wishes in the same order; jobs that fetch. */
void hl_server_carry(struct hl_server *server, const struct hl_peer *peer,
                     const struct hl_job_wish *wishes, struct hl_job_attempt *attempts, size_t n);
void hl_server_fetch(void *arg, const char *lane, struct hl_job_attempt *attempts, size_t n);
/* Asks a peer with a url for studies (hilum_carrier.search). HILUM_EUNSUP: its way cannot search. */
hilum_rc hl_server_search_peer(struct hl_server *server, const struct hl_peer *peer,
                               const char *query, struct hilum_sink *answer);
/* `hilum peer find` (peer_find.c). */
hilum_rc hl_server_register_peer_find(struct hl_server *server);
hilum_rc hl_server_register_plugin_jobs(struct hl_server *server); /* plugin_jobs.c */
/* HILUM_EINVAL: arguments that are no JSON object. Durable on return; any thread. */
hilum_rc hl_server_start_job(void *arg, const char *type, const char *arguments_json, int64_t *job);
/* struct hl_jobs_env.resolve; arg is the server. */
bool hl_server_resolve_entry(void *arg, const struct hl_journal_entry *entry, const char *keyword,
                             struct hl_buf *out); /* resolve.c */
/* Last of a start, first of a stop: it is the only one that erases. */
hilum_rc hl_server_start_housekeeper(struct hl_server *server); /* housekeep.c */
void hl_server_stop_housekeeper(struct hl_server *server);

/* hilum_host.break_glass; arg is the server (glass.c). */
hilum_rc hl_server_break_glass(void *arg, const char *plugin, const hilum_principal *who,
                               const struct hilum_glass *what, int64_t *until);
/* struct hl_studies of this server. */
void hl_server_studies(struct hl_server *server);

/* May a command write `path`, which somebody named who need not be this machine's? HILUM_EDENIED: it is within the data
 * directory or the site's configuration, where a file of any name means something. Any thread. */
hilum_rc hl_server_may_write(struct hl_server *server, const char *path);
/* The UID of the study named by UID or accession number. HILUM_ENOTFOUND, HILUM_ECONFLICT. Any
 * thread. Made for people, who type accession numbers; programs name UIDs. */
hilum_rc hl_server_find_study(struct hl_server *server, const char *which, char uid[65]);

/* The same for a command with an argument of type STUDY, its "study": whether the caller may do `action` on it is asked, and a refusal is audited.
 * HILUM_EDENIED too. */
hilum_rc hl_server_study_of(struct hl_server *server, struct hl_call *call, const char *action,
                            char uid[65]);

/* No object is recorded but some are stored: somebody removed the database. */
bool hl_server_catalogue_is_lost(struct hl_server *server);

/* What the server is doing, for people and for /metrics; a new reference (commands.c). */
json_t *hl_server_status(struct hl_server *server);
/* The same as Prometheus text; arg is the server (metrics.c). */
hilum_rc hl_server_metrics(void *arg, const struct hilum_sink *sink);

/* Results as people read them (view.c); new references. They must not fail on what is missing:
 * an answer may be of an older part, or of a remote one. */
json_t *hl_server_view_status(const json_t *status);
json_t *hl_server_view_explain(const json_t *explained);
json_t *hl_server_view_rebuilt(const json_t *record);
json_t *hl_server_view_store_report(const json_t *sums);
json_t *hl_server_view_jobs(const json_t *jobs, const json_t *lanes);
json_t *hl_server_view_trace(const json_t *associations);
json_t *hl_server_view_trace_full(const json_t *associations);
json_t *hl_server_view_plugins(const json_t *plugins);

/* Answers a call with JSON text built in a buffer; frees the buffer. HILUM_EINTERNAL: what the
 * buffer holds is no JSON, which is a defect of the part that wrote it. */
hilum_rc hl_server_answer(struct hl_call *call, struct hl_buf *json);
/* As above, shown to people as view(result). */
hilum_rc hl_server_answer_view(struct hl_call *call, struct hl_buf *json,
                               json_t *(*view)(const json_t *result));
/* "user 0" and the like for audit rows. */
const char *hl_server_who(struct hl_call *call, char *out, size_t size);

/* Codecs of plugins, for the store (codecs.c). */
void hl_server_codecs(struct hl_plugins *plugins, struct hl_codecs *out);

#endif
