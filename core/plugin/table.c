/* struct hilum_host: what plugins call. Every function checks what it was given and delegates. It
 * knows nothing of who serves a call. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "core/access/access.h"
#include "core/base/error.h"
#include "core/base/log.h"
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

static hilum_rc host_acquire(hilum_self *self, uint32_t kind, const char *name,
                             const struct hilum_cap **cap, void **instance)
{
    return hl_plugins_acquire(self->host, kind, name, cap, instance);
}

static hilum_rc host_provider(hilum_self *self, uint32_t kind, uint32_t i,
                              const struct hilum_cap **cap, void **instance)
{
    return hl_plugins_nth(self->host, kind, i, cap, instance);
}

static void host_unpin(hilum_self *self, const struct hilum_cap *cap)
{
    hl_plugins_unpin(self->host, cap);
}

/* ---- events ---- */

static bool declared(const hilum_self *self, const char *event)
{
    for (const struct declaration *d = self->decls; d; d = d->next)
        if (d->decl.type == HILUM_DECL_EVENT && strcmp(d->decl.name, event) == 0)
            return true;
    return false;
}

static hilum_rc host_publish(hilum_self *self, const char *event, const char *fields_json)
{
    struct hl_plugins *host = self->host;
    /* Otherwise any plugin could forge instance.stored. */
    if (!declared(self, event))
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
    void (*run)(void *arg);
    void *arg;
};

/* The last one out wakes drain. */
static void task_ended(struct hl_plugins *host)
{
    pthread_mutex_lock(&host->lock);
    if (--host->tasks == 0)
        pthread_cond_broadcast(&host->idle);
    pthread_mutex_unlock(&host->lock);
}

static void run_task(void *arg)
{
    struct task task = *(struct task *)arg;
    free(arg);
    task.run(task.arg);
    task_ended(task.host);
}

hilum_rc hl_plugins_run_task(struct hl_plugins *host, void (*run)(void *arg), void *arg)
{
    struct task *task = malloc(sizeof *task);
    if (!task)
        return hl_fail(HILUM_ENOMEM, "no memory for a task");
    *task = (struct task){.host = host, .run = run, .arg = arg};
    /* Counted before it is queued: it may have ended before hl_pool_run returns. */
    pthread_mutex_lock(&host->lock);
    host->tasks++;
    pthread_mutex_unlock(&host->lock);
    hilum_rc rc = hl_pool_run(host->pool, run_task, task);
    if (rc != HILUM_OK) {
        task_ended(host);
        free(task);
    }
    return rc;
}

static hilum_rc host_run_on_worker(hilum_self *self, void (*run)(void *arg), void *arg)
{
    if (!atomic_load(&self->may_run))
        return hl_fail(HILUM_EDENIED, "plugin %s: worker threads are lent between start and drain",
                       self->id);
    return hl_plugins_run_task(self->host, run, arg);
}

/* ---- lent by the server ---- */

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
    };
}
