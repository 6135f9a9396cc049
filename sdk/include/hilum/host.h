/* What the kernel offers to a plugin. A plugin links nothing of the host: it calls through this table.
 * Any function from any thread unless marked "init only". SPDX-License-Identifier: MIT */
#ifndef HILUM_HOST_H
#define HILUM_HOST_H

#include "hilum/abi.h"
#include "hilum/auth.h"
#include "hilum/catalog.h"
#include "hilum/command.h"
#include "hilum/database.h"
#include "hilum/declare.h"
#include "hilum/event.h"
#include "hilum/object.h"
#include "hilum/plugin.h"
#include "hilum/scu.h"
#include "hilum/service.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { HILUM_LOG_DEBUG = 0, HILUM_LOG_INFO = 1, HILUM_LOG_WARN = 2, HILUM_LOG_ERROR = 3 };

/* A program to be run and what it is given. Borrowed for the call; zero is the default. */
struct hilum_child {
    uint32_t size;
    uint32_t deadline_ms;    /* 0: a minute; an hour at most */
    const char *const *argv; /* argv[0] is the absolute path; NULL-ended. No shell is involved */
    const void *input;       /* n bytes for its standard input, which is then closed */
    uint64_t n;
    uint64_t memory_max;       /* bytes of address space; 0: 1 GiB */
    uint64_t output_max;       /* bytes of both outputs together; 0: 64 MiB */
    struct hilum_sink *output; /* its standard output; NULL: dropped */
    struct hilum_sink *errors; /* its standard error; NULL: dropped */
    /* Asked ten times a second: anything but HILUM_OK ends it, and is returned. NULL, and in a worker: nobody is asked. */
    hilum_rc (*go_on)(void *arg);
    void *go_on_arg;
};
enum { HILUM_CHILD_SIGNAL = 256 }; /* status of a child ended by signal n: 256 + n */

/* A number of a plugin's own (metric_define). Borrowed for the call. */
struct hilum_metric {
    uint32_t size, type; /* HILUM_METRIC_* */
    const char *name;    /* "messages_total": 1 to 60 small letters, digits and '_' */
    const char *help;    /* one sentence, or NULL */
    const char *labels;  /* names of at most 4 labels, "peer,result"; NULL: none */
    const double
        *bounds; /* HISTOGRAM: upper ends of its buckets, ascending; the last, infinity, is added */
    uint32_t n_bounds, reserved; /* HISTOGRAM: 1 to 32 */
};
enum { HILUM_METRIC_COUNTER = 1, HILUM_METRIC_GAUGE = 2, HILUM_METRIC_HISTOGRAM = 3 };

/* What a watched descriptor is (watch). */
enum { HILUM_READABLE = 1, HILUM_WRITABLE = 2, HILUM_HUNG_UP = 4 };

/* One row of the audit record. Texts are borrowed for the call; before and after: JSON, or NULL. */
struct hilum_audit_row {
    uint32_t size, reserved;
    int64_t id, at_us; /* numbers grow with time; microseconds since 1970 UTC */
    const char *who, *action, *what, *before, *after;
};

/* The table a plugin is given in init; the same for as long as the process lives. Members are never NULL unless they say
 * so; `self` is what init was given. */
struct hilum_host {
    uint32_t size;
    uint16_t abi_major, abi_minor;
    const char *version; /* of the host, for messages */

    /* One line under the plugin's id. No patient data at any level. */
    void (*log)(hilum_self *self, int32_t level, const char *line);
    /* Records why, for this thread, and returns code: `return host->fail(self, HILUM_EIO, text)`. */
    hilum_rc (*fail)(hilum_self *self, hilum_rc code, const char *why);
    const char *(*reason)(hilum_self *self); /* what was recorded last on this thread */
    /* Memory the host will free. NULL: none. */
    void *(*alloc)(hilum_self *self, uint64_t n);
    void (*release)(void *memory);

    /* Init only. The table and its strings outlive the process; the instance lives until fini. */
    hilum_rc (*provide)(hilum_self *self, const struct hilum_cap *cap, void *instance);
    hilum_rc (*subscribe)(hilum_self *self, const struct hilum_hook *hook);
    hilum_rc (*declare)(hilum_self *self, const struct hilum_decl *decl);

    /* Pins a provider until unpin. name NULL: the only one. HILUM_ENOTFOUND. */
    hilum_rc (*acquire)(hilum_self *self, uint32_t kind, const char *name,
                        const struct hilum_cap **cap, void **instance);
    void (*unpin)(hilum_self *self, const struct hilum_cap *cap);

    /* Durable: when it returns HILUM_OK the event is in the journal. fields: JSON object of texts and
     * integers. The event must have been declared by this plugin. */
    hilum_rc (*publish)(hilum_self *self, const char *event, const char *fields_json);

    /* Fields of an event. Text is UTF-8, borrowed until the hook returns; HILUM_ENOTFOUND: no such field
     * or attribute. A field that is not the event's own is read as a DICOM keyword of the instance. */
    hilum_rc (*event_text)(hilum_event *event, const char *field, const char **utf8);
    hilum_rc (*event_int)(hilum_event *event, const char *field, int64_t *value);
    /* TRANSFORM only: sets an attribute of the instance. HILUM_EDENIED: a UID, pixels, a sequence; HILUM_EINVAL: no such attribute or value of it. */
    hilum_rc (*event_set)(hilum_event *event, const char *keyword, const char *utf8);
    /* Appends a verb to the event's plan; arguments as a JSON object. HILUM_ENOMEM: beyond 128 of an event. Discarded if the hook fails. */
    hilum_rc (*event_plan)(hilum_event *event, const char *verb, const char *arguments_json);
    /* The reason that goes with REJECT, DEFER, HOLD, DISCARD. */
    void (*event_reason)(hilum_event *event, const char *utf8);

    /* run(arg) on a worker thread of the host. */
    hilum_rc (*run_on_worker)(hilum_self *self, void (*run)(void *arg), void *arg);

    const struct hilum_dicom_api *dicom;     /* NULL until start */
    const struct hilum_catalog_api *catalog; /* NULL until start */
    /* One function allows or refuses. HILUM_OK or HILUM_EDENIED with a reason. */
    hilum_rc (*allow)(hilum_self *self, const hilum_principal *who, const char *action,
                      const char *resource);
    /* A C-STORE SCU over the network (PS3.4 B): sends whole Part 10 files to `address` ("127.0.0.1:11112",
     * "[::1]:104"); our own address is called as HILUM_SELF, all others as dicom.aet. next() answers 1 with an object (borrowed until its next call), 0 at the end, or an
     * error. *stored counts successes and warnings; a refused object ends the call with its status. */
    hilum_rc (*store_scu)(hilum_self *self, const char *address, const char *called_aet,
                          hilum_rc (*next)(void *arg, const void **part10, uint64_t *n), void *arg,
                          uint64_t *stored);
    /* The data directory; plugins keep files below <data>/<plugin id>/ only. */
    const char *(*data_dir)(hilum_self *self);
    /* Where this server listens for DICOM: "127.0.0.1:11112" and its AE title. NULL before start. */
    const char *(*dicom_address)(hilum_self *self);
    const char *(*dicom_aet)(hilum_self *self);
    /* Pins the i-th provider of a kind until unpin: routes, renderers, the auth chain (by its `order`; other
     * kinds in the order of the configuration). HILUM_ENOTFOUND past the last. From start on the list only
     * changes when a plugin is loaded or taken away. */
    hilum_rc (*provider)(hilum_self *self, uint32_t kind, uint32_t i, const struct hilum_cap **cap,
                         void **instance);
    /* Somebody met by another face than DICOM, for allow, the catalogue and objects: `identity` as an auth
     * provider told it, NULL: nobody in particular, who may do what an unknown DICOM peer may where those are
     * accepted. address: numeric, borrowed. Free with principal_free. HILUM_ENOMEM. */
    hilum_rc (*principal_new)(hilum_self *self, const struct hilum_identity *identity,
                              const char *address, hilum_principal **out);
    void (*principal_free)(hilum_principal *who);
    /* Adds " name=value" to the line that says the server is ready; during start, later without effect. Both without spaces. */
    hilum_rc (*announce)(hilum_self *self, const char *name, const char *value);
    /* Writes a row of the audit record soon, without waiting for it: `who` did `action` ("retrieve") to `what` (a study's
     * UID), details as a JSON object or NULL. */
    void (*audit)(hilum_self *self, const hilum_principal *who, const char *action,
                  const char *what, const char *details);
    /* The server's numbers as Prometheus text (`hilum status`, name by name). */
    hilum_rc (*metrics)(hilum_self *self, const struct hilum_sink *sink);
    const struct hilum_object_api *objects; /* NULL until start */

    /* From within a hook that cannot answer yet, which then returns HILUM_SUSPEND: settle() of this ticket answers
     * for it. deadline_ms: 60,000 at most; once it has passed, on_cancel(arg) is called (it may be NULL), settle()
     * fails, and the hook counts as failed. The event's thread waits: a peer does, too. HILUM_EDENIED: not within a
     * hook, or a second time in one. HILUM_EFULL: thousands are suspended. */
    hilum_rc (*suspend)(hilum_event *event, uint32_t deadline_ms, void (*on_cancel)(void *arg),
                        void *arg, uint64_t *ticket);
    /* Exactly once, from any thread: a verdict of the phase, or HILUM_E*; why may be NULL. HILUM_ENOTFOUND: settled
     * before, or past its deadline; nothing happens then. */
    hilum_rc (*settle)(hilum_self *self, uint64_t ticket, int32_t verdict, const char *why);
    /* run(arg) on a worker thread of the host, once, not before after_ms have passed. Between start and drain; what
     * has not gone off by drain never does. HILUM_EFULL: thousands are set. */
    hilum_rc (*run_later)(hilum_self *self, uint32_t after_ms, void (*run)(void *arg), void *arg,
                          uint64_t *timer);
    /* HILUM_OK: it will not run. HILUM_ENOTFOUND: it has run, is running, or was never set by this plugin. */
    hilum_rc (*cancel_later)(hilum_self *self, uint64_t timer);
    /* Small values of this plugin that outlive the server, in its database: key and value are UTF-8, 200 bytes and
     * 64 KiB at most. Durable when it returns HILUM_OK. Between start and fini. */
    hilum_rc (*value_put)(hilum_self *self, const char *key, const char *value);
    /* HILUM_ENOTFOUND: never put. */
    hilum_rc (*value_get)(hilum_self *self, const char *key, struct hilum_sink *out);
    /* Runs a program and waits: without a shell, in "/", with an environment of its own, without our files, its
     * children ended with it. *status: its exit status, or HILUM_CHILD_SIGNAL + n. HILUM_EDENIED: it is not one of
     * `programs` of this plugin's configuration; HILUM_ENOTFOUND; HILUM_ETIMEDOUT and HILUM_EFULL: it has been killed;
     * or what a sink returned. In a worker: within a call, on its thread and before its deadline; the sinks are written to
     * when it has ended, 256 MiB at most. */
    hilum_rc (*run_child)(hilum_self *self, const struct hilum_child *child, int32_t *status);
    /* The one way to write into the database: n statements in one transaction, on tables p_<plugin id>_* (with the
     * quotes an id with '-' needs; CREATE TABLE too). Durable when it returns HILUM_OK; otherwise nothing of it has
     * happened: HILUM_ECONFLICT: a statement changed other than `rows` rows; HILUM_ETIMEDOUT: the unit took more than
     * 50 ms; HILUM_EDENIED: another's table; or as hilum_database says. Ingest goes first. Reading: acquire
     * HILUM_CAP_DATABASE, whose sessions here are for reading one's own tables. */
    hilum_rc (*record)(hilum_self *self, const struct hilum_record_step *steps, uint32_t n);
    /* A number of this plugin's own for whoever watches the server: /metrics shows it as hilum_plugin_<id>_<name> (a '-'
     * of the id as '_'). *metric names it below. Init to fini; the same again has the same number, also after a swap.
     * HILUM_ECONFLICT: the name stands for something else; HILUM_EFULL: a plugin has 64. */
    hilum_rc (*metric_define)(hilum_self *self, const struct hilum_metric *metric,
                              uint32_t *number);
    /* Counter and gauge: adds value, to a counter not less than 0. Histogram: value has been seen. labels: a text for each
     * label, in their order, 64 bytes of it count; NULL where it has none. Never a patient's data. Of more than 256
     * combinations the others are counted as one, whose texts are "other". In a worker it is shown once the call
     * under way, or the next one, has ended. HILUM_EINVAL, HILUM_ENOTFOUND: never defined. */
    hilum_rc (*metric_add)(hilum_self *self, uint32_t number, const char *const *labels,
                           double value);
    /* Gauges only: it is value now. As metric_add. */
    hilum_rc (*metric_set)(hilum_self *self, uint32_t number, const char *const *labels,
                           double value);
    /* Calls run(arg, events) on the host's loop thread as long as fd is readable or writable, whichever `events` asks for
     * (HILUM_READABLE, HILUM_WRITABLE; 0: neither, for now), or has been hung up (HILUM_HUNG_UP). All plugins share that
     * thread: run() may not block, and more than 5 ms are logged with the plugin's id. fd remains the plugin's: unwatch
     * before close. Between start and drain, which takes away what is left. HILUM_EFULL: a plugin has 256. */
    hilum_rc (*watch)(hilum_self *self, int32_t fd, uint32_t events,
                      void (*run)(void *arg, uint32_t events), void *arg, uint64_t *watch);
    /* Asks for other events. HILUM_ENOTFOUND: no watch of this plugin. */
    hilum_rc (*rewatch)(hilum_self *self, uint64_t watch, uint32_t events);
    /* Once it has returned run() is not called any more and not under way, unless it is run() itself that calls this.
     * HILUM_ENOTFOUND: no watch of this plugin, or taken away by drain. */
    hilum_rc (*unwatch)(hilum_self *self, uint64_t watch);
    /* run(arg) once on the loop thread, between start and drain, in the order asked for. HILUM_EFULL: thousands wait. */
    hilum_rc (*run_on_loop)(hilum_self *self, void (*run)(void *arg), void *arg);
    /* Starts a job of a type this plugin declared (HILUM_DECL_JOB), not within a hook, which plans. arguments: a JSON
     * object as declared. Durable when it returns HILUM_OK: it runs at least once, is tried again with growing pauses as
     * long as it fails, and outlives the server. *job: its number, as `hilum job list` shows it. HILUM_EDENIED: not declared. */
    hilum_rc (*start_job)(hilum_self *self, const char *type, const char *arguments_json,
                          int64_t *job);
    const struct hilum_scu_api *scu; /* asking other DICOM systems; NULL until start */
    /* A TCP socket that listens on a numeric "ADDRESS:PORT" ("127.0.0.1:2575", "[::]:2575"; port 0: any free one), non-blocking. It
     * belongs to the host: *fd is a copy, to be closed in drain. A later version of this plugin (swap = handover) that
     * asks for the same address gets the same socket, in whose queue clients have waited (of port 0 asked for twice: both, in order). Between start and drain; with a
     * drain that nobody follows it is closed. HILUM_EFULL: a plugin has 16; HILUM_EINVAL, or what the system said. */
    hilum_rc (*listen)(hilum_self *self, const char *address, int32_t *fd, uint16_t *port);
    /* Opens for `who`, a person whose roles allow `access.break`, what those withhold, until *until (seconds since 1970
     * UTC); principals made from then on see it. In the audit record and published (access.glass_broken) first.
     * HILUM_EDENIED: a program, or not allowed. HILUM_EINVAL: no reason, or neither a study nor a patient, or both.
     * HILUM_EFULL: he has too many open. */
    hilum_rc (*break_glass)(hilum_self *self, const hilum_principal *who,
                            const struct hilum_glass *what, int64_t *until);
    /* Rows of the audit record beyond number `after`, in order, as many as there are until each() returns something else
     * than HILUM_OK, which is returned. Rows never change; those older than audit.keep are gone. */
    hilum_rc (*audit_rows)(hilum_self *self, int64_t after,
                           hilum_rc (*each)(void *arg, const struct hilum_audit_row *row),
                           void *arg);
    const struct hilum_command_api *commands; /* NULL until start, and in workers */
    /* Are there all these roles, parted by commas, and these actions, by commas or blanks ("*": all)? Either may be NULL. What
     * an account is given is asked here first: a role that nobody knows allows nothing, without a word. HILUM_EINVAL names
     * the first that is unknown, the nearest and those there are. */
    hilum_rc (*check_roles)(hilum_self *self, const char *roles, const char *actions);
    /* As reason() if that was recorded with this code, else "": whoever tells a stranger why something failed asks so,
     * since code may fail without saying why, and what was recorded last is then another failure's, perhaps of another
     * call. fail(self, HILUM_OK, "") forgets what was recorded. */
    const char *(*reason_of)(hilum_self *self, hilum_rc code);
    /* since 1.1: append here */
};

#ifdef __cplusplus
}
#endif
#endif
