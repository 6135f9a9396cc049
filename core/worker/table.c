/* struct hilum_host in a worker: logging, reasons, memory and registration. What would need the
 * server's catalogue, network or events is refused by name.
 *
 * Called on any thread of the plugin, but for provide and subscribe, which are allowed during
 * init only. Every entry is there: a plugin built against this SDK finds no NULL where the
 * server has a function. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/error.h"
#include "core/worker/worker.h"

/* Dropped when the server does not read: a talkative thread of the plugin must not stop its calls. */
static void host_log(hilum_self *self, int32_t level, const char *line)
{
    struct {
        struct hl_wire_head head;
        uint32_t length;
        char text[1024];
    } message;
    struct hl_wire head;
    (void)self;
    head.len = 0;
    hl_wire_begin(&head, HL_WIRE_LOG, 0, level);
    memcpy(&message.head, head.bytes, sizeof message.head);
    size_t n = strnlen(line, sizeof message.text - 1);
    memcpy(message.text, line, n);
    message.text[n] = '\0';
    message.length = (uint32_t)n;
    send(HL_WIRE_SOCKET, &message, offsetof(__typeof__(message), text) + n + 1,
         MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* The reason belongs to the calling thread, as in the server. */
static hilum_rc host_fail(hilum_self *self, hilum_rc code, const char *why)
{
    (void)self;
    return hl_fail(code, "%s", why);
}

static const char *host_reason(hilum_self *self)
{
    (void)self;
    return hl_error();
}

static const char *host_reason_of(hilum_self *self, hilum_rc code)
{
    (void)self;
    return hl_error_of(code);
}

static void *host_alloc(hilum_self *self, uint64_t n)
{
    (void)self;
    return n <= SIZE_MAX ? malloc(n ? (size_t)n : 1) : NULL;
}

static void host_release(void *memory)
{
    free(memory);
}

/* Remembers the first refusal during init, with its reason, for init_plugin(). */
static hilum_rc refuse(hilum_self *self, hilum_rc rc)
{
    if (self->registering && self->refused == HILUM_OK) {
        self->refused = rc;
        snprintf(self->refusal, sizeof self->refusal, "%s", hl_error());
    }
    return rc;
}

/* What would need the server: the message says what to write if it is needed. */
static hilum_rc not_here(const char *what)
{
    return hl_fail(HILUM_EUNSUP,
                   "%s is not to be had in a process of its own; isolation = \"none\" "
                   "runs the plugin in the server",
                   what);
}

static const char *kind_name(uint32_t kind)
{
    static const char *const names[] = {"?",     "store",    "database", "service",  "codec",
                                        "route", "hl7",      "renderer", "operator", "report",
                                        "auth",  "notifier", "carrier"};
    return names[kind < sizeof names / sizeof *names ? kind : 0];
}

/* Kinds whose calls core/plugin/remote can carry to a worker. The others would have to call
 * back into the server from the middle of its own work (a store, a database), or hold its
 * connections (a service). */
static bool is_served(uint32_t kind)
{
    return kind == HILUM_CAP_CODEC || kind == HILUM_CAP_OPERATOR || kind == HILUM_CAP_RENDERER ||
           kind == HILUM_CAP_REPORT || kind == HILUM_CAP_HL7 || kind == HILUM_CAP_ROUTE;
}

/* The table stays the plugin's; it lives as long as the process. */
static hilum_rc host_provide(hilum_self *self, const struct hilum_cap *cap, void *instance)
{
    if (!self->registering)
        return hl_fail(HILUM_EDENIED, "provide is allowed during init only");
    if (!cap || cap->size < sizeof *cap)
        return refuse(self, hl_fail(HILUM_EINVAL, "capability: its size is not filled in"));
    if (!is_served(cap->kind))
        return refuse(self, hl_fail(HILUM_EUNSUP,
                                    "a %s cannot run in a process of its own (codecs, operators, "
                                    "reports, renderers, hl7 handlers and routes can); write "
                                    "isolation = \"none\"",
                                    kind_name(cap->kind)));
    if (self->n_caps == WORKER_MAX_CAPS)
        return refuse(self, hl_fail(HILUM_EFULL, "more than %d capabilities", WORKER_MAX_CAPS));
    self->caps[self->n_caps++] = (struct worker_cap){cap, instance};
    return HILUM_OK;
}

/* A hook of an older SDK is shorter; what it does not have is zero. */
static hilum_rc host_subscribe(hilum_self *self, const struct hilum_hook *hook)
{
    if (!self->registering)
        return hl_fail(HILUM_EDENIED, "subscribe is allowed during init only");
    if (!hook || !HILUM_HAS(struct hilum_hook, hook->size, threads))
        return refuse(self, hl_fail(HILUM_EINVAL, "hook: its size is not filled in"));
    if (hook->phase != HILUM_NOTIFY)
        return refuse(self, not_here("a hook that can refuse or change instances"));
    if (self->n_hooks == WORKER_MAX_HOOKS)
        return refuse(self, hl_fail(HILUM_EFULL, "more than %d hooks", WORKER_MAX_HOOKS));
    memcpy(&self->hooks[self->n_hooks++], hook,
           hook->size < sizeof *hook ? hook->size : sizeof *hook);
    return HILUM_OK;
}

static hilum_rc host_declare(hilum_self *self, const struct hilum_decl *decl)
{
    (void)decl;
    return refuse(self, not_here("a declaration"));
}

/* Another plugin's table is an address in another process. */
static hilum_rc host_acquire(hilum_self *self, uint32_t kind, const char *name,
                             const struct hilum_cap **cap, void **instance)
{
    (void)self;
    (void)name;
    (void)cap;
    (void)instance;
    return not_here(kind_name(kind));
}

static void host_unpin(hilum_self *self, const struct hilum_cap *cap)
{
    (void)self;
    (void)cap;
}

static hilum_rc host_provider(hilum_self *self, uint32_t kind, uint32_t i,
                              const struct hilum_cap **cap, void **instance)
{
    (void)i;
    return host_acquire(self, kind, NULL, cap, instance);
}

static hilum_rc host_publish(hilum_self *self, const char *event, const char *fields_json)
{
    (void)self;
    (void)event;
    (void)fields_json;
    return not_here("publishing events");
}

static hilum_rc host_run_on_worker(hilum_self *self, void (*run)(void *arg), void *arg)
{
    (void)self;
    (void)run;
    (void)arg;
    return not_here("a thread of the server");
}

static hilum_rc host_store_scu(hilum_self *self, const char *address, const char *called_aet,
                               hilum_rc (*next)(void *arg, const void **part10, uint64_t *n),
                               void *arg, uint64_t *stored)
{
    (void)self;
    (void)address;
    (void)called_aet;
    (void)next;
    (void)arg;
    *stored = 0;
    return not_here("the network");
}

static const char *host_data_dir(hilum_self *self)
{
    return self->data_dir;
}

static const char *host_nothing(hilum_self *self)
{
    (void)self;
    return NULL;
}

static hilum_rc host_principal_new(hilum_self *self, const struct hilum_identity *identity,
                                   const char *address, hilum_principal **out)
{
    (void)self;
    (void)identity;
    (void)address;
    *out = NULL;
    return not_here("a principal");
}

static void host_principal_free(hilum_principal *who)
{
    (void)who;
}

static hilum_rc host_announce(hilum_self *self, const char *name, const char *value)
{
    (void)self;
    (void)name;
    (void)value;
    return HILUM_OK;
}

/* A row of the audit record speaks for the server. */
static void host_audit(hilum_self *self, const hilum_principal *who, const char *action,
                       const char *what, const char *details)
{
    (void)who;
    (void)what;
    (void)details;
    host_log(self, HILUM_LOG_WARN, action);
}

static hilum_rc host_metrics(hilum_self *self, const struct hilum_sink *sink)
{
    (void)self;
    (void)sink;
    return not_here("the server's numbers");
}

/* A suspended hook would hold the worker, and its ticket means nothing over there. */
static hilum_rc host_suspend(hilum_event *event, uint32_t deadline_ms, void (*on_cancel)(void *arg),
                             void *arg, uint64_t *ticket)
{
    (void)event;
    (void)deadline_ms;
    (void)on_cancel;
    (void)arg;
    *ticket = 0;
    return not_here("a ticket");
}

static hilum_rc host_settle(hilum_self *self, uint64_t ticket, int32_t verdict, const char *why)
{
    (void)self;
    (void)ticket;
    (void)verdict;
    (void)why;
    return not_here("a ticket");
}

static hilum_rc host_run_later(hilum_self *self, uint32_t after_ms, void (*run)(void *arg),
                               void *arg, uint64_t *timer)
{
    (void)self;
    (void)after_ms;
    (void)run;
    (void)arg;
    *timer = 0;
    return not_here("a timer");
}

static hilum_rc host_cancel_later(hilum_self *self, uint64_t timer)
{
    (void)self;
    (void)timer;
    return not_here("a timer");
}

static hilum_rc host_value_put(hilum_self *self, const char *key, const char *value)
{
    (void)self;
    (void)key;
    (void)value;
    return not_here("the server's database");
}

static hilum_rc host_value_get(hilum_self *self, const char *key, struct hilum_sink *out)
{
    (void)self;
    (void)key;
    (void)out;
    return not_here("the server's database");
}

static hilum_rc host_record(hilum_self *self, const struct hilum_record_step *steps, uint32_t n)
{
    (void)self;
    (void)steps;
    (void)n;
    return not_here("the server's database");
}

static hilum_rc host_watch(hilum_self *self, int32_t fd, uint32_t events,
                           void (*run)(void *arg, uint32_t events), void *arg, uint64_t *watch)
{
    (void)self;
    (void)fd;
    (void)events;
    (void)run;
    (void)arg;
    *watch = 0;
    return not_here("the server's loop");
}

static hilum_rc host_rewatch(hilum_self *self, uint64_t watch, uint32_t events)
{
    (void)self;
    (void)watch;
    (void)events;
    return not_here("the server's loop");
}

static hilum_rc host_unwatch(hilum_self *self, uint64_t watch)
{
    return host_rewatch(self, watch, 0);
}

static hilum_rc host_run_on_loop(hilum_self *self, void (*run)(void *arg), void *arg)
{
    (void)self;
    (void)run;
    (void)arg;
    return not_here("the server's loop");
}

static hilum_rc host_start_job(hilum_self *self, const char *type, const char *arguments_json,
                               int64_t *job)
{
    (void)self;
    (void)type;
    (void)arguments_json;
    *job = 0;
    return not_here("a job");
}

static hilum_rc host_listen(hilum_self *self, const char *address, int32_t *fd, uint16_t *port)
{
    (void)self;
    (void)address;
    *fd = -1;
    *port = 0;
    return not_here("the network");
}

static hilum_rc host_break_glass(hilum_self *self, const hilum_principal *who,
                                 const struct hilum_glass *what, int64_t *until)
{
    (void)self;
    (void)who;
    (void)what;
    (void)until;
    return not_here("breaking the glass");
}

static hilum_rc host_audit_rows(hilum_self *self, int64_t after,
                                hilum_rc (*each)(void *arg, const struct hilum_audit_row *row),
                                void *arg)
{
    (void)self;
    (void)after;
    (void)each;
    (void)arg;
    return not_here("the audit record");
}

static hilum_rc host_check_roles(hilum_self *self, const char *roles, const char *actions)
{
    (void)self;
    (void)roles;
    (void)actions;
    return not_here("the table of roles");
}

/* Metrics and events have files of their own and add their entries last. */
void worker_table_init(struct hilum_self *self)
{
    self->table = (struct hilum_host){
        .size = sizeof self->table,
        .abi_major = HILUM_ABI_MAJOR,
        .abi_minor = HILUM_ABI_MINOR,
        .version = HILUM_VERSION,
        .log = host_log,
        .fail = host_fail,
        .reason = host_reason,
        .alloc = host_alloc,
        .release = host_release,
        .provide = host_provide,
        .subscribe = host_subscribe,
        .declare = host_declare,
        .acquire = host_acquire,
        .unpin = host_unpin,
        .publish = host_publish,
        .run_on_worker = host_run_on_worker,
        .allow = worker_allow,
        .store_scu = host_store_scu,
        .data_dir = host_data_dir,
        .dicom_address = host_nothing,
        .dicom_aet = host_nothing,
        .provider = host_provider,
        .principal_new = host_principal_new,
        .principal_free = host_principal_free,
        .announce = host_announce,
        .audit = host_audit,
        .metrics = host_metrics,
        .suspend = host_suspend,
        .settle = host_settle,
        .run_later = host_run_later,
        .cancel_later = host_cancel_later,
        .value_put = host_value_put,
        .value_get = host_value_get,
        .run_child = worker_run_child,
        .record = host_record,
        .watch = host_watch,
        .rewatch = host_rewatch,
        .unwatch = host_unwatch,
        .run_on_loop = host_run_on_loop,
        .start_job = host_start_job,
        .listen = host_listen,
        .break_glass = host_break_glass,
        .audit_rows = host_audit_rows,
        .check_roles = host_check_roles,
        .reason_of = host_reason_of,
    };
    worker_metrics_table(&self->table);
    worker_event_table(&self->table);
}
