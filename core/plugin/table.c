/* struct hilum_host: what plugins call. Every function checks what it was given and delegates.
 * It knows nothing of who serves a call.
 *
 * Called on any thread of the server or of the plugin, unless a function says otherwise. What
 * the server does not lend answers HILUM_EUNSUP; what a plugin must not do now, HILUM_EDENIED
 * with the reason. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/access/access.h"
#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/plugin/child.h"
#include "core/plugin/host.h"

/* ---- messages and memory ---- */

/* "%s": a line of a plugin is data, never a format. */
static void host_log(hilum_self *self, int32_t level, const char *line)
{
    static const enum hl_log_level levels[] = {HL_DEBUG, HL_INFO, HL_WARN, HL_ERROR};
    bool known = level >= HILUM_LOG_DEBUG && level <= HILUM_LOG_ERROR;
    hl_log(known ? levels[level] : HL_ERROR, self->id, "%s", line);
}

/* No prefix with the plugin's id: the reason may pass through several layers, and those that report it
 * know whose it is. */
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

/* ---- registration ---- */

static hilum_rc host_provide(hilum_self *self, const struct hilum_cap *cap, void *instance)
{
    return hl_registry_provide(self, cap, instance);
}

static hilum_rc host_subscribe(hilum_self *self, const struct hilum_hook *hook)
{
    return hl_registry_subscribe(self, hook);
}

static hilum_rc host_declare(hilum_self *self, const struct hilum_decl *decl)
{
    return hl_registry_declare(self, decl);
}

/* A plugin gets the database as a reader of its own tables (lend.c), anything else as it is. */
static hilum_rc host_acquire(hilum_self *self, uint32_t kind, const char *name,
                             const struct hilum_cap **cap, void **instance)
{
    hilum_rc rc = hl_plugins_acquire(self->host, kind, name, cap, instance);
    if (rc == HILUM_OK && kind == HILUM_CAP_DATABASE)
        rc = hl_lend_database(self, cap, instance);
    return rc;
}

static hilum_rc host_provider(hilum_self *self, uint32_t kind, uint32_t i,
                              const struct hilum_cap **cap, void **instance)
{
    hilum_rc rc = hl_plugins_nth(self->host, kind, i, cap, instance);
    if (rc == HILUM_OK && kind == HILUM_CAP_DATABASE)
        rc = hl_lend_database(self, cap, instance);
    return rc;
}

static void host_unpin(hilum_self *self, const struct hilum_cap *cap)
{
    hl_plugins_unpin(self->host, hl_lent_from(self, cap));
}

/* ---- events ---- */

bool hl_plugin_declares(const hilum_self *self, uint32_t type, const char *name)
{
    for (const struct declaration *d = self->decls; d; d = d->next)
        if (d->decl.type == type && strcmp(d->decl.name, name) == 0)
            return true;
    return false;
}

/* Only names it declared, and only while it runs: rules could not tell a forged event from a
 * true one. */
static hilum_rc host_publish(hilum_self *self, const char *event, const char *fields_json)
{
    struct hl_plugins *host = self->host;
    /* Otherwise any plugin could forge instance.stored. */
    if (!hl_plugin_declares(self, HILUM_DECL_EVENT, event))
        return hl_fail(HILUM_EDENIED, "event %s: not declared by plugin %s", event, self->id);
    if (!atomic_load(&self->may_run))
        return hl_fail(HILUM_EDENIED, "event %s: plugin %s may publish between start and drain",
                       event, self->id);
    if (!host->publish)
        return hl_fail(HILUM_EUNSUP, "event %s: this host keeps no journal", event);
    return host->publish(host->publish_arg, self->id, event, fields_json);
}

static hilum_rc host_event_text(hilum_event *event, const char *field, const char **utf8)
{
    /* Absence is an answer, not a failure: no reason is recorded, which would cost more than the look-up. */
    *utf8 = hl_event_text(event, field);
    return *utf8 ? HILUM_OK : HILUM_ENOTFOUND;
}

static hilum_rc host_event_int(hilum_event *event, const char *field, int64_t *value)
{
    return hl_event_int(event, field, value) ? HILUM_OK : HILUM_ENOTFOUND;
}

static hilum_rc host_event_set(hilum_event *event, const char *keyword, const char *utf8)
{
    return hl_event_edit(event, keyword, utf8);
}

static hilum_rc host_event_plan(hilum_event *event, const char *verb, const char *arguments_json)
{
    return hl_event_plan(event, verb, arguments_json);
}

static void host_event_reason(hilum_event *event, const char *utf8)
{
    hl_event_reason(event, utf8);
}

/* ---- worker threads ---- */

struct task {
    struct hl_plugins *host;
    struct hilum_self *of;
    void (*run)(void *arg);
    void *arg;
};

void hl_task_began(struct hl_plugins *host, struct hilum_self *of)
{
    pthread_mutex_lock(&host->lock);
    host->tasks++;
    if (of)
        of->tasks++;
    pthread_mutex_unlock(&host->lock);
}

/* The last one out wakes drain. */
void hl_task_ended(struct hl_plugins *host, struct hilum_self *of)
{
    pthread_mutex_lock(&host->lock);
    host->tasks--;
    if (of)
        of->tasks--;
    if (!host->tasks || (of && !of->tasks))
        pthread_cond_broadcast(&host->idle);
    pthread_mutex_unlock(&host->lock);
}

/* Of this plugin; others' go on. */
bool hl_tasks_wait(struct hilum_self *plugin, uint32_t ms)
{
    struct hl_plugins *host = plugin->host;
    int64_t deadline = hl_mono_ms() + ms;
    const struct timespec until = hl_mono_timespec(deadline);
    int rc = 0;
    pthread_mutex_lock(&host->lock);
    while (plugin->tasks > 0 && rc == 0)
        rc = pthread_cond_timedwait(&host->idle, &host->lock, &until);
    bool is_idle = plugin->tasks == 0;
    pthread_mutex_unlock(&host->lock);
    return is_idle;
}

static void run_task(void *arg)
{
    struct task task = *(struct task *)arg;
    free(arg);
    task.run(task.arg);
    hl_task_ended(task.host, task.of);
}

hilum_rc hl_plugins_run_task(struct hl_plugins *host, struct hilum_self *of, void (*run)(void *arg),
                             void *arg)
{
    struct task *task = malloc(sizeof *task);
    if (!task)
        return hl_fail(HILUM_ENOMEM, "no memory for a task");
    *task = (struct task){.host = host, .of = of, .run = run, .arg = arg};
    /* Counted before it is queued: it may have ended before hl_pool_run returns. */
    hl_task_began(host, of);
    hilum_rc rc = hl_pool_run(host->pool, run_task, task);
    if (rc != HILUM_OK) {
        hl_task_ended(host, of);
        free(task);
    }
    return rc;
}

hilum_rc hl_plugin_check_may_run(const hilum_self *self)
{
    if (atomic_load(&self->may_run))
        return HILUM_OK;
    return hl_fail(HILUM_EDENIED,
                   "plugin %s: threads, timers, watches and jobs are lent between start and drain",
                   self->id);
}

static hilum_rc host_run_on_worker(hilum_self *self, void (*run)(void *arg), void *arg)
{
    hilum_rc rc = hl_plugin_check_may_run(self);
    return rc == HILUM_OK ? hl_plugins_run_task(self->host, self, run, arg) : rc;
}

/* ---- timers ---- */

/* On the timers' thread, under its lock: only queued here. A task that cannot be queued is
 * lost and said: a timer of a plugin is no promise that outlives the memory. */
void hl_host_due(void *arg, void *owner, void (*run)(void *run_arg), void *run_arg)
{
    hilum_self *self = owner;
    if (hl_plugins_run_task(arg, self, run, run_arg) != HILUM_OK)
        hl_log(HL_ERROR, self ? self->id : "plugin", "a timer went off in vain: %s", hl_error());
}

static hilum_rc host_run_later(hilum_self *self, uint32_t after_ms, void (*run)(void *arg),
                               void *arg, uint64_t *timer)
{
    hilum_rc rc = hl_plugin_check_may_run(self);
    return rc == HILUM_OK ? hl_timers_set(self->host->timers, self, after_ms, run, arg, timer) : rc;
}

static hilum_rc host_cancel_later(hilum_self *self, uint64_t timer)
{
    return hl_timers_cancel(self->host->timers, self, timer);
}

/* ---- tickets ---- */

static hilum_rc host_suspend(hilum_event *event, uint32_t deadline_ms, void (*on_cancel)(void *arg),
                             void *arg, uint64_t *ticket)
{
    return hl_event_suspend(event, deadline_ms, on_cancel, arg, ticket);
}

static hilum_rc host_settle(hilum_self *self, uint64_t ticket, int32_t verdict, const char *why)
{
    return hl_bus_settle(self->host->bus, ticket, verdict, why);
}

/* ---- child processes ---- */

/* Compared as written: no search path, no links looked through. The list is the
 * administrator's; a plugin cannot add to it. */
static bool may_run_program(const hilum_self *self, const char *program)
{
    const struct hl_node *list = hl_node_get(self->entry, "programs");
    if (list && list->type == HL_NODE_TEXT)
        return program && strcmp(list->text, program) == 0;
    for (size_t i = 0; list && program && i < list->n_children; i++)
        if (strcmp(list->children[i]->text, program) == 0)
            return true;
    return false;
}

static hilum_rc host_run_child(hilum_self *self, const struct hilum_child *child, int32_t *status)
{
    const char *program = child->argv ? child->argv[0] : NULL;
    if (!may_run_program(self, program))
        return hl_fail(HILUM_EDENIED, "%s: is not one of plugins.%s.programs",
                       program ? program : "", self->id);
    return hl_child_run(child, status);
}

/* ---- values ---- */

/* As hilum/host.h promises. */
enum { KEY_MAX = 200, VALUE_MAX = 65536 };

static hilum_rc check_key(const char *key)
{
    size_t n = strnlen(key, KEY_MAX + 1);
    return n > 0 && n <= KEY_MAX ? HILUM_OK
                                 : hl_fail(HILUM_EINVAL, "key: expected 1 to %d bytes", KEY_MAX);
}

static hilum_rc host_value_put(hilum_self *self, const char *key, const char *value)
{
    const struct hl_host_services *s = &self->host->services;
    hilum_rc rc = check_key(key);
    if (rc == HILUM_OK && strnlen(value, VALUE_MAX + 1) > VALUE_MAX)
        rc = hl_fail(HILUM_EINVAL, "value of %s: expected at most %d bytes", key, VALUE_MAX);
    if (rc == HILUM_OK && !s->value_put)
        rc = hl_fail(HILUM_EUNSUP, "this host keeps no values");
    return rc == HILUM_OK ? s->value_put(s->arg, self->id, key, value) : rc;
}

/* The value is copied, so that the plugin's sink runs without any lock of the record. */
static hilum_rc host_value_get(hilum_self *self, const char *key, struct hilum_sink *out)
{
    const struct hl_host_services *s = &self->host->services;
    struct hl_buf value = {0};
    hilum_rc rc = check_key(key);
    if (rc == HILUM_OK)
        rc = s->value_get ? s->value_get(s->arg, self->id, key, &value) : HILUM_ENOTFOUND;
    if (rc == HILUM_OK)
        rc = out->write(out->ctx, value.data, value.len);
    hl_buf_fini(&value);
    return rc;
}

/* ---- lent by the server ---- */

static hilum_rc host_record(hilum_self *self, const struct hilum_record_step *steps, uint32_t n)
{
    const struct hl_host_services *s = &self->host->services;
    return s->record ? s->record(s->arg, self->id, steps, n)
                     : hl_fail(HILUM_EUNSUP, "this host keeps no records");
}

static hilum_rc host_allow(hilum_self *self, const hilum_principal *who, const char *action,
                           const char *resource)
{
    const struct hl_host_services *s = &self->host->services;
    if (!s->allow) /* nobody to ask is no permission */
        return hl_fail(HILUM_EDENIED, "%s: nobody here can allow it", action);
    return s->allow(s->arg, self->id, who, action, resource);
}

static hilum_rc host_store_scu(hilum_self *self, const char *address, const char *called_aet,
                               hilum_rc (*next)(void *arg, const void **part10, uint64_t *n),
                               void *arg, uint64_t *stored)
{
    const struct hl_host_services *s = &self->host->services;
    *stored = 0;
    if (!s->store_scu)
        return hl_fail(HILUM_EUNSUP, "store to %s: this host has no network", address);
    return s->store_scu(s->arg, self->id, address, called_aet, next, arg, stored);
}

static const char *host_data_dir(hilum_self *self)
{
    return self->host->data_dir;
}

static const char *host_dicom_address(hilum_self *self)
{
    const struct hl_host_services *s = &self->host->services;
    return s->dicom_address ? s->dicom_address(s->arg) : NULL;
}

static const char *host_dicom_aet(hilum_self *self)
{
    const struct hl_host_services *s = &self->host->services;
    return s->dicom_aet ? s->dicom_aet(s->arg) : NULL;
}

static hilum_rc host_principal_new(hilum_self *self, const struct hilum_identity *identity,
                                   const char *address, hilum_principal **out)
{
    const struct hl_host_services *s = &self->host->services;
    *out = NULL;
    return s->principal_new ? s->principal_new(s->arg, identity, address, out)
                            : hl_fail(HILUM_EUNSUP, "this host knows no principals");
}

static hilum_rc host_announce(hilum_self *self, const char *name, const char *value)
{
    const struct hl_host_services *s = &self->host->services;
    return s->announce ? s->announce(s->arg, name, value) : HILUM_OK;
}

static void host_audit(hilum_self *self, const hilum_principal *who, const char *action,
                       const char *what, const char *details)
{
    const struct hl_host_services *s = &self->host->services;
    if (s->audit)
        s->audit(s->arg, self->id, who, action, what, details);
}

static hilum_rc host_metrics(hilum_self *self, const struct hilum_sink *sink)
{
    const struct hl_host_services *s = &self->host->services;
    return s->metrics ? s->metrics(s->arg, sink) : HILUM_OK;
}

static hilum_rc host_break_glass(hilum_self *self, const hilum_principal *who,
                                 const struct hilum_glass *what, int64_t *until)
{
    const struct hl_host_services *s = &self->host->services;
    if (!s->break_glass)
        return hl_fail(HILUM_EUNSUP, "break glass: not before start");
    return s->break_glass(s->arg, self->id, who, what, until);
}

static hilum_rc host_audit_rows(hilum_self *self, int64_t after,
                                hilum_rc (*each)(void *arg, const struct hilum_audit_row *row),
                                void *arg)
{
    const struct hl_host_services *s = &self->host->services;
    return s->audit_rows ? s->audit_rows(s->arg, after, each, arg)
                         : hl_fail(HILUM_EUNSUP, "audit rows: not before start");
}

static hilum_rc host_check_roles(hilum_self *self, const char *roles, const char *actions)
{
    const struct hl_host_services *s = &self->host->services;
    return s->check_roles ? s->check_roles(s->arg, roles, actions)
                          : hl_fail(HILUM_EUNSUP, "roles: not before start");
}

void hl_host_table_init(struct hl_plugins *host)
{
    host->table = (struct hilum_host){
        .size = sizeof host->table,
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
        .event_text = host_event_text,
        .event_int = host_event_int,
        .event_set = host_event_set,
        .event_plan = host_event_plan,
        .event_reason = host_event_reason,
        .run_on_worker = host_run_on_worker,
        .allow = host_allow,
        .store_scu = host_store_scu,
        .data_dir = host_data_dir,
        .dicom_address = host_dicom_address,
        .dicom_aet = host_dicom_aet,
        .provider = host_provider,
        .principal_new = host_principal_new,
        .principal_free = hl_principal_free,
        .announce = host_announce,
        .audit = host_audit,
        .metrics = host_metrics,
        .suspend = host_suspend,
        .settle = host_settle,
        .run_later = host_run_later,
        .cancel_later = host_cancel_later,
        .value_put = host_value_put,
        .value_get = host_value_get,
        .run_child = host_run_child,
        .record = host_record,
        .break_glass = host_break_glass,
        .audit_rows = host_audit_rows,
        .check_roles = host_check_roles,
        .reason_of = host_reason_of,
    };
    hl_host_table_more(&host->table);
}
