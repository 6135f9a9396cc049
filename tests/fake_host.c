/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fake_host.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local char reason[1024];
static _Thread_local hilum_rc reason_code;
static _Thread_local hilum_rc error;
static const struct hilum_dicom_api *lent_dicom;
static const struct hilum_catalog_api *lent_catalog;
static const struct hilum_object_api *lent_objects;

void fake_host_lend(const struct hilum_dicom_api *dicom, const struct hilum_catalog_api *catalog,
                    const struct hilum_object_api *objects)
{
    lent_dicom = dicom;
    lent_catalog = catalog;
    lent_objects = objects;
}

static void fake_log(hilum_self *self, int32_t level, const char *line)
{
    if (level >= HILUM_LOG_ERROR)
        fprintf(stderr, "%s: %s\n", self->plugin->id, line);
}

static hilum_rc fake_fail(hilum_self *self, hilum_rc code, const char *why)
{
    (void)self;
    snprintf(reason, sizeof reason, "%s", why);
    reason_code = code;
    return code;
}

static const char *fake_reason(hilum_self *self)
{
    (void)self;
    return reason;
}

static const char *fake_reason_of(hilum_self *self, hilum_rc code)
{
    (void)self;
    return code == reason_code ? reason : "";
}

const char *fake_host_reason(void)
{
    return reason;
}

hilum_rc fake_host_error(void)
{
    return error;
}

static void *fake_alloc(hilum_self *self, uint64_t n)
{
    (void)self;
    return malloc(n);
}

static hilum_rc fake_provide(hilum_self *self, const struct hilum_cap *cap, void *instance)
{
    if (self->n_caps == FAKE_HOST_CAPS)
        return HILUM_EFULL;
    self->caps[self->n_caps].cap = cap;
    self->caps[self->n_caps++].instance = instance;
    return HILUM_OK;
}

static hilum_rc fake_subscribe(hilum_self *self, const struct hilum_hook *hook)
{
    (void)self;
    (void)hook;
    return HILUM_OK;
}

static hilum_rc fake_declare(hilum_self *self, const struct hilum_decl *decl)
{
    (void)self;
    (void)decl;
    return HILUM_OK;
}

static const char *fake_data_dir(hilum_self *self)
{
    return self->data_dir;
}

/* ---- what a plugin calls without asking whether it is there: refused as by a server without peers and records ---- */

static hilum_rc refuse(hilum_self *self, hilum_rc rc, const char *why)
{
    return self->host.fail(self, rc, why);
}

static hilum_rc no_acquire(hilum_self *self, uint32_t kind, const char *name,
                           const struct hilum_cap **cap, void **instance)
{
    (void)kind, (void)name, (void)cap, (void)instance;
    return refuse(self, HILUM_ENOTFOUND, "no plugin that runs provides it");
}

static void no_unpin(hilum_self *self, const struct hilum_cap *cap)
{
    (void)self, (void)cap;
}

static hilum_rc no_provider(hilum_self *self, uint32_t kind, uint32_t i,
                            const struct hilum_cap **cap, void **instance)
{
    (void)i;
    return no_acquire(self, kind, NULL, cap, instance);
}

static hilum_rc fake_publish(hilum_self *self, const char *event, const char *fields_json)
{
    (void)self, (void)event, (void)fields_json;
    return HILUM_OK;
}

static hilum_rc no_text(hilum_event *event, const char *field, const char **utf8)
{
    (void)event, (void)field;
    *utf8 = NULL;
    return HILUM_ENOTFOUND;
}

static hilum_rc no_int(hilum_event *event, const char *field, int64_t *value)
{
    (void)event, (void)field, (void)value;
    return HILUM_ENOTFOUND;
}

static hilum_rc fake_set(hilum_event *event, const char *keyword, const char *utf8)
{
    (void)event, (void)keyword, (void)utf8;
    return HILUM_OK;
}

static void no_reason(hilum_event *event, const char *utf8)
{
    (void)event, (void)utf8;
}

/* ---- threads: joined when the host closes ---- */

struct fake_task {
    struct fake_task *next;
    pthread_t thread;
    void (*run)(void *arg);
    void *arg;
};

static void *run_task(void *arg)
{
    const struct fake_task *task = arg;
    task->run(task->arg);
    return NULL;
}

static hilum_rc fake_run(hilum_self *self, void (*run)(void *arg), void *arg)
{
    struct fake_task *task = calloc(1, sizeof *task);
    if (!task)
        return HILUM_ENOMEM;
    *task = (struct fake_task){.next = self->tasks, .run = run, .arg = arg};
    if (pthread_create(&task->thread, NULL, run_task, task) != 0) {
        free(task);
        return refuse(self, HILUM_EAGAIN, "no thread");
    }
    self->tasks = task;
    return HILUM_OK;
}

static void end_services(hilum_self *self)
{
    while (self->tasks) {
        struct fake_task *task = self->tasks;
        self->tasks = task->next;
        pthread_join(task->thread, NULL);
        free(task);
    }
    for (unsigned i = 0; i < FAKE_HOST_VALUES; i++) {
        free(self->keys[i]);
        free(self->values[i]);
    }
}

/* Hours away, as far as a suite can tell. */
static hilum_rc fake_later(hilum_self *self, uint32_t after_ms, void (*run)(void *arg), void *arg,
                           uint64_t *timer)
{
    (void)self, (void)after_ms, (void)run, (void)arg;
    *timer = 1;
    return HILUM_OK;
}

static hilum_rc fake_cancel(hilum_self *self, uint64_t timer)
{
    (void)self, (void)timer;
    return HILUM_OK;
}

static hilum_rc fake_watch(hilum_self *self, int32_t fd, uint32_t events,
                           void (*run)(void *arg, uint32_t events), void *arg, uint64_t *watch)
{
    (void)self, (void)fd, (void)events, (void)run, (void)arg;
    *watch = 1;
    return HILUM_OK;
}

static hilum_rc fake_rewatch(hilum_self *self, uint64_t watch, uint32_t events)
{
    (void)self, (void)watch, (void)events;
    return HILUM_OK;
}

/* ---- values ---- */

static hilum_rc fake_put(hilum_self *self, const char *key, const char *value)
{
    for (unsigned i = 0; i < FAKE_HOST_VALUES; i++) {
        if (self->keys[i] && strcmp(self->keys[i], key) != 0)
            continue;
        if (!self->keys[i])
            self->keys[i] = strdup(key);
        free(self->values[i]);
        self->values[i] = strdup(value);
        return HILUM_OK;
    }
    return refuse(self, HILUM_EFULL, "too many values for a suite");
}

static hilum_rc fake_get(hilum_self *self, const char *key, struct hilum_sink *out)
{
    for (unsigned i = 0; i < FAKE_HOST_VALUES && self->keys[i]; i++)
        if (strcmp(self->keys[i], key) == 0)
            return out->write(out->ctx, self->values[i], strlen(self->values[i]));
    return refuse(self, HILUM_ENOTFOUND, "no such value");
}

/* ---- what a suite has not ---- */

static hilum_rc no_record(hilum_self *self, const struct hilum_record_step *steps, uint32_t n)
{
    (void)steps, (void)n;
    return refuse(self, HILUM_EUNSUP, "this host keeps no records");
}

static hilum_rc no_child(hilum_self *self, const struct hilum_child *child, int32_t *status)
{
    (void)child;
    *status = 0;
    return refuse(self, HILUM_EDENIED, "this host runs no programs");
}

static hilum_rc fake_allow(hilum_self *self, const hilum_principal *who, const char *action,
                           const char *resource)
{
    (void)who, (void)action, (void)resource;
    return refuse(self, HILUM_EDENIED, "nobody is here to be allowed anything");
}

static hilum_rc no_store(hilum_self *self, const char *address, const char *called_aet,
                         hilum_rc (*next)(void *arg, const void **part10, uint64_t *n), void *arg,
                         uint64_t *stored)
{
    (void)address, (void)called_aet, (void)next, (void)arg;
    *stored = 0;
    return refuse(self, HILUM_EUNSUP, "this host has no network");
}

static const char *fake_address(hilum_self *self)
{
    (void)self;
    return "127.0.0.1:11112";
}

static const char *fake_aet(hilum_self *self)
{
    (void)self;
    return "HILUM";
}

static hilum_rc no_principal(hilum_self *self, const struct hilum_identity *identity,
                             const char *address, hilum_principal **out)
{
    (void)identity, (void)address;
    *out = NULL;
    return refuse(self, HILUM_EUNSUP, "this host knows no principals");
}

static hilum_rc no_glass(hilum_self *self, const hilum_principal *who,
                         const struct hilum_glass *what, int64_t *until)
{
    (void)who, (void)what, (void)until;
    return refuse(self, HILUM_EDENIED, "this host withholds nothing");
}

static hilum_rc any_roles(hilum_self *self, const char *roles, const char *actions)
{
    (void)self;
    (void)roles;
    (void)actions;
    return HILUM_OK;
}

static hilum_rc no_rows(hilum_self *self, int64_t after,
                        hilum_rc (*each)(void *arg, const struct hilum_audit_row *row), void *arg)
{
    (void)self, (void)after, (void)each, (void)arg;
    return HILUM_OK;
}

static void no_principal_free(hilum_principal *who)
{
    (void)who;
}

static hilum_rc fake_announce(hilum_self *self, const char *name, const char *value)
{
    (void)self, (void)name, (void)value;
    return HILUM_OK;
}

static void no_audit(hilum_self *self, const hilum_principal *who, const char *action,
                     const char *what, const char *details)
{
    (void)self, (void)who, (void)action, (void)what, (void)details;
}

static hilum_rc no_metrics(hilum_self *self, const struct hilum_sink *sink)
{
    (void)self, (void)sink;
    return HILUM_OK;
}

static hilum_rc no_suspend(hilum_event *event, uint32_t deadline_ms, void (*on_cancel)(void *arg),
                           void *arg, uint64_t *ticket)
{
    (void)event, (void)deadline_ms, (void)on_cancel, (void)arg;
    *ticket = 0;
    return HILUM_EDENIED;
}

static hilum_rc no_settle(hilum_self *self, uint64_t ticket, int32_t verdict, const char *why)
{
    (void)ticket, (void)verdict, (void)why;
    return refuse(self, HILUM_ENOTFOUND, "no such ticket");
}

static hilum_rc fake_define(hilum_self *self, const struct hilum_metric *metric, uint32_t *number)
{
    (void)metric;
    *number = ++self->n_metrics;
    return HILUM_OK;
}

static hilum_rc fake_count(hilum_self *self, uint32_t number, const char *const *labels,
                           double value)
{
    (void)labels, (void)value;
    return number > 0 && number <= self->n_metrics ? HILUM_OK : HILUM_ENOTFOUND;
}

static hilum_rc no_job(hilum_self *self, const char *type, const char *arguments_json, int64_t *job)
{
    (void)type, (void)arguments_json;
    *job = 0;
    return refuse(self, HILUM_EUNSUP, "this host runs no jobs");
}

static hilum_rc no_echo(hilum_self *self, const struct hilum_scu_peer *peer, uint32_t *ms)
{
    (void)peer, (void)ms;
    return refuse(self, HILUM_ENOTFOUND, "this host has no peers");
}

static hilum_rc no_find(hilum_self *self, const struct hilum_scu_peer *peer, const char *sop_class,
                        hilum_dataset *identifier,
                        hilum_rc (*each)(void *arg, hilum_dataset *answer), void *arg,
                        uint16_t *status)
{
    (void)sop_class, (void)identifier, (void)each, (void)arg, (void)status;
    return no_echo(self, peer, NULL);
}

static hilum_rc no_move(hilum_self *self, const struct hilum_scu_peer *peer, const char *sop_class,
                        hilum_dataset *identifier, const char *destination, hilum_send_cb progress,
                        void *arg, struct hilum_suboperations *total, uint16_t *status)
{
    (void)sop_class, (void)identifier, (void)destination, (void)progress, (void)arg, (void)status;
    *total = (struct hilum_suboperations){.size = sizeof *total};
    return no_echo(self, peer, NULL);
}

static hilum_rc no_get(hilum_self *self, const struct hilum_scu_peer *peer, const char *sop_class,
                       const char *const *sop_classes, hilum_dataset *identifier,
                       hilum_send_cb progress, void *arg, struct hilum_suboperations *total,
                       uint16_t *status)
{
    (void)sop_classes;
    return no_move(self, peer, sop_class, identifier, NULL, progress, arg, total, status);
}

static hilum_rc no_request(hilum_self *self, const struct hilum_scu_peer *peer,
                           const struct hilum_dimse_request *request, hilum_dataset *data,
                           struct hilum_scu_answer *answer)
{
    (void)request, (void)data;
    *answer = (struct hilum_scu_answer){.size = sizeof *answer};
    return no_echo(self, peer, NULL);
}

static hilum_rc no_list(hilum_self *self, struct hilum_sink *out)
{
    (void)self;
    (void)out;
    return HILUM_EUNSUP;
}

static hilum_rc no_run(hilum_self *self, const struct hilum_command_run *run)
{
    (void)self;
    (void)run;
    return HILUM_EUNSUP;
}

static hilum_rc no_tail(hilum_self *self, uint64_t after, uint64_t *last,
                        void (*line)(void *arg, uint64_t number, const char *json), void *arg)
{
    (void)self;
    (void)line;
    (void)arg;
    *last = after;
    return HILUM_OK;
}

static hilum_rc no_keep(hilum_self *self, const hilum_principal *who, hilum_principal **out)
{
    (void)self;
    (void)who;
    *out = NULL;
    return HILUM_EUNSUP;
}

static const struct hilum_command_api no_commands = {.size = sizeof no_commands,
                                                     .list = no_list,
                                                     .run = no_run,
                                                     .log_tail = no_tail,
                                                     .keep = no_keep};

static const struct hilum_scu_api no_scu = {.size = sizeof no_scu,
                                            .echo = no_echo,
                                            .find = no_find,
                                            .move = no_move,
                                            .get = no_get,
                                            .request = no_request};

static hilum_rc no_listen(hilum_self *self, const char *address, int32_t *fd, uint16_t *port)
{
    (void)address;
    *fd = -1;
    *port = 0;
    return refuse(self, HILUM_EUNSUP, "this host has no network");
}

static void fill_lent(struct hilum_host *host)
{
    host->allow = fake_allow;
    host->store_scu = no_store;
    host->dicom_address = fake_address;
    host->dicom_aet = fake_aet;
    host->principal_new = no_principal;
    host->principal_free = no_principal_free;
    host->announce = fake_announce;
    host->audit = no_audit;
    host->metrics = no_metrics;
    host->value_put = fake_put;
    host->value_get = fake_get;
    host->run_child = no_child;
    host->record = no_record;
    host->metric_define = fake_define;
    host->metric_add = fake_count;
    host->metric_set = fake_count;
    host->start_job = no_job;
    host->scu = &no_scu;
    host->listen = no_listen;
    host->break_glass = no_glass;
    host->audit_rows = no_rows;
    host->check_roles = any_roles;
    host->commands = &no_commands;
}

/* A member that was appended to the table and forgotten here would be a crash in somebody's plugin. */
static void check(const struct hilum_host *host)
{
    for (size_t at = offsetof(struct hilum_host, log); at < sizeof *host; at += sizeof(void *)) {
        const void *member;
        memcpy(&member, (const char *)host + at, sizeof member);
        bool may_lack = at == offsetof(struct hilum_host, dicom) ||
                        at == offsetof(struct hilum_host, catalog) ||
                        at == offsetof(struct hilum_host, objects);
        if (!member && !may_lack) {
            fprintf(stderr, "tests/fake_host.c lacks the member at %zu of hilum_host\n", at);
            abort();
        }
    }
}

static void fill_services(struct hilum_host *host)
{
    host->acquire = no_acquire;
    host->unpin = no_unpin;
    host->provider = no_provider;
    host->publish = fake_publish;
    host->event_text = no_text;
    host->event_int = no_int;
    host->event_set = fake_set;
    host->event_plan = fake_set;
    host->event_reason = no_reason;
    host->suspend = no_suspend;
    host->settle = no_settle;
    host->run_on_worker = fake_run;
    host->run_later = fake_later;
    host->cancel_later = fake_cancel;
    host->watch = fake_watch;
    host->rewatch = fake_rewatch;
    host->unwatch = fake_cancel;
    host->run_on_loop = fake_run;
    fill_lent(host);
    check(host);
}

/* ---- options, without the host's checks: tests give good values
 * ----------------------------------- */

static int64_t number_of(const char *text)
{
    static const struct {
        const char *unit;
        int64_t factor;
    } units[] = {{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"ms", 1},
                 {"min", 60000},   {"s", 1000},      {"h", 3600000},   {"d", 86400000}};
    char *end;
    int64_t value = strtoll(text, &end, 10);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(end, units[i].unit) == 0)
            return value * units[i].factor;
    return value;
}

static const char *keep_string(hilum_self *self, const char *text, int is_path)
{
    char full[1024];
    if (self->n_strings == sizeof self->strings / sizeof *self->strings)
        abort();
    snprintf(full, sizeof full, "%s%s%s", is_path && *text != '/' ? self->data_dir : "",
             is_path && *text != '/' ? "/" : "", text);
    return self->strings[self->n_strings++] = strdup(full);
}

static void set_option(hilum_self *self, const struct hilum_option *option, const char *value)
{
    unsigned char *at = (unsigned char *)self->conf + option->offset;
    unsigned type = option->type & 0xff;
    if (type == HILUM_OPT_INT || type == HILUM_OPT_BYTES || type == HILUM_OPT_MSEC) {
        *(int64_t *)(void *)at = number_of(value);
    } else if (type == HILUM_OPT_BOOL) {
        *(int32_t *)(void *)at = strcmp(value, "true") == 0;
    } else {
        *(const char **)(void *)at = keep_string(self, value, type == HILUM_OPT_PATH);
    }
}

static void fill_conf(hilum_self *self, const struct fake_option *given)
{
    for (const struct hilum_option *o = self->plugin->options; o && o->key; o++) {
        const char *value = o->fallback;
        for (const struct fake_option *g = given; g && g->key; g++)
            if (strcmp(g->key, o->key) == 0)
                value = g->value;
        if (value)
            set_option(self, o, value);
    }
}

/* ---- life
 * ------------------------------------------------------------------------------------------ */

static void fill_host(hilum_self *self, const char *data_dir)
{
    snprintf(self->data_dir, sizeof self->data_dir, "%s", data_dir);
    self->host = (struct hilum_host){.size = sizeof self->host,
                                     .abi_major = HILUM_ABI_MAJOR,
                                     .abi_minor = HILUM_ABI_MINOR,
                                     .version = "test",
                                     .log = fake_log,
                                     .fail = fake_fail,
                                     .reason = fake_reason,
                                     .reason_of = fake_reason_of,
                                     .alloc = fake_alloc,
                                     .release = free,
                                     .provide = fake_provide,
                                     .subscribe = fake_subscribe,
                                     .declare = fake_declare,
                                     .dicom = lent_dicom,
                                     .catalog = lent_catalog,
                                     .objects = lent_objects,
                                     .data_dir = fake_data_dir};
    fill_services(&self->host);
}

hilum_self *fake_host_open(const char *so_path, const char *data_dir,
                           const struct fake_option *options)
{
    hilum_self *self = calloc(1, sizeof *self);
    const struct hilum_plugin *(*entry)(uint16_t, uint16_t) = NULL;
    if (!self)
        return NULL;
    fill_host(self, data_dir);
    self->library = dlopen(so_path, RTLD_NOW | RTLD_LOCAL);
    if (self->library)
        *(void **)(&entry) = dlsym(self->library, "hilum_plugin_entry");
    self->plugin = entry ? entry(HILUM_ABI_MAJOR, HILUM_ABI_MINOR) : NULL;
    if (!self->plugin) {
        fprintf(stderr, "%s: %s\n", so_path, entry ? "refuses this host" : dlerror());
        free(self);
        error = HILUM_ENOTFOUND;
        return NULL;
    }
    self->conf = calloc(1, self->plugin->conf_size ? self->plugin->conf_size : 1);
    fill_conf(self, options);
    hilum_rc rc = self->plugin->init(&self->host, self, self->conf, &self->state);
    if (rc == HILUM_OK && self->plugin->start)
        rc = self->plugin->start(self->state);
    if (rc == HILUM_OK)
        return self;
    fprintf(stderr, "%s: init %d: %s\n", so_path, rc, reason);
    self->plugin = NULL;
    fake_host_close(self);
    error = rc;
    return NULL;
}

const void *fake_host_cap_at(hilum_self *self, uint32_t kind, uint32_t wanted, void **instance)
{
    for (unsigned i = 0; i < self->n_caps; i++) {
        if (self->caps[i].cap->kind == kind && wanted-- == 0) {
            *instance = self->caps[i].instance;
            return self->caps[i].cap;
        }
    }
    return NULL;
}

const void *fake_host_cap(hilum_self *self, uint32_t kind, void **instance)
{
    const void *cap = fake_host_cap_at(self, kind, 0, instance);
    if (!cap)
        abort();
    return cap;
}

void fake_host_close(hilum_self *self)
{
    if (!self)
        return;
    if (self->plugin && self->plugin->drain)
        self->plugin->drain(self->state, 1000);
    end_services(self);
    if (self->plugin && self->plugin->fini)
        self->plugin->fini(self->state);
    for (unsigned i = 0; i < self->n_strings; i++)
        free(self->strings[i]);
    free(self->conf);
    free(self);
}
