/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fake_host.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local char reason[1024];
static _Thread_local hilum_rc error;
static const struct hilum_dicom_api *lent_dicom;
static const struct hilum_catalog_api *lent_catalog;
static const struct hilum_object_api *lent_objects;

static void no_audit(hilum_self *self, const hilum_principal *who, const char *action,
                     const char *what, const char *details)
{
    (void)self, (void)who, (void)action, (void)what, (void)details;
}

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
    return code;
}

static const char *fake_reason(hilum_self *self)
{
    (void)self;
    return reason;
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
                                     .alloc = fake_alloc,
                                     .release = free,
                                     .provide = fake_provide,
                                     .subscribe = fake_subscribe,
                                     .declare = fake_declare,
                                     .dicom = lent_dicom,
                                     .catalog = lent_catalog,
                                     .audit = no_audit,
                                     .objects = lent_objects,
                                     .data_dir = fake_data_dir};
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

const void *fake_host_cap(hilum_self *self, uint32_t kind, void **instance)
{
    for (unsigned i = 0; i < self->n_caps; i++) {
        if (self->caps[i].cap->kind == kind) {
            *instance = self->caps[i].instance;
            return self->caps[i].cap;
        }
    }
    abort();
}

void fake_host_close(hilum_self *self)
{
    if (!self)
        return;
    if (self->plugin && self->plugin->drain)
        self->plugin->drain(self->state, 1000);
    if (self->plugin && self->plugin->fini)
        self->plugin->fini(self->state);
    for (unsigned i = 0; i < self->n_strings; i++)
        free(self->strings[i]);
    free(self->conf);
    free(self);
}
