/* fake_host.h over the plugin host, with the plugin in workers: a contract suite linked with this instead of fake_host.c runs
 * unchanged against a process of its own. SPDX-License-Identifier: Apache-2.0 */
#include "tests/fake_host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/plugin/plugin.h"

/* One at a time is enough for a suite. */
static struct {
    struct hl_bus *bus;
    struct hl_config *config;
    struct hl_plugins *plugins;
} isolated;

struct found {
    const struct hilum_cap *cap;
    void *instance;
};

static const char *first_fault(const struct hl_faults *faults)
{
    return faults->first ? faults->first->text : hl_error();
}

static int write_config(const char *path, const char *so_path)
{
    const char *slash = strrchr(so_path, '/');
    FILE *f = fopen(path, "w");
    if (!f || !slash)
        return -1;
    /* Damaged streams are part of every suite, so one that crashes on them must go on. */
    fprintf(f,
            "worker_program = \"%s\"; plugins = ( { name = \"%.*s\"; file = \"%s\"; isolation = "
            "\"process\"; allow_preview = true; limits = { crashes = 100; deadline = \"60s\"; }; } "
            ");\n",
            WORKER_PROGRAM, (int)strlen(slash + 1) - 3, slash + 1, so_path);
    return fclose(f);
}

hilum_self *fake_host_open(const char *so_path, const char *data_dir,
                           const struct fake_option *options)
{
    char path[] = "/tmp/hilum-isolated-XXXXXX";
    struct hl_faults faults = {0};
    int fd = mkstemp(path);
    (void)options;
    if (fd < 0 || close(fd) != 0 || write_config(path, so_path) != 0)
        return NULL;
    hl_log_set_level(getenv("HILUM_TEST_LOG") ? HL_DEBUG : HL_ERROR);
    struct hl_config_paths paths = {.main = path};
    hilum_rc rc = hl_config_load(&paths, &faults, &isolated.config);
    if (rc == HILUM_OK)
        rc = hl_bus_new(&isolated.bus);
    if (rc == HILUM_OK)
        rc = hl_plugins_open(isolated.config, "/nowhere", data_dir, isolated.bus, &faults,
                             &isolated.plugins);
    if (rc == HILUM_OK)
        rc = hl_plugins_init(isolated.plugins, &faults);
    if (rc == HILUM_OK)
        rc = hl_plugins_start(isolated.plugins);
    unlink(path);
    if (rc != HILUM_OK || faults.count)
        fprintf(stderr, "%s: %s\n", so_path, first_fault(&faults));
    bool is_up = rc == HILUM_OK && !faults.count;
    hl_faults_fini(&faults);
    return is_up ? calloc(1, sizeof(struct hilum_self)) : NULL;
}

static void find(void *arg, const struct hilum_cap *cap, void *instance, const char *plugin)
{
    struct found *found = arg;
    (void)plugin;
    if (!found->cap)
        *found = (struct found){cap, instance};
}

const void *fake_host_cap(hilum_self *self, uint32_t kind, void **instance)
{
    struct found found = {0};
    (void)self;
    hl_plugins_cap_each(isolated.plugins, kind, find, &found);
    if (!found.cap) {
        struct hl_buf json = {0};
        hl_plugins_list(isolated.plugins, &json);
        fprintf(stderr, "nothing of kind %u: %s\n", kind, hl_buf_str(&json));
        abort();
    }
    *instance = found.instance;
    return found.cap;
}

const void *fake_host_cap_at(hilum_self *self, uint32_t kind, uint32_t i, void **instance)
{
    const struct hilum_cap *cap = NULL;
    (void)self;
    return hl_plugins_nth(isolated.plugins, kind, i, &cap, instance) == HILUM_OK ? cap : NULL;
}

void fake_host_close(hilum_self *self)
{
    hl_plugins_drain(isolated.plugins, 5000);
    hl_plugins_close(isolated.plugins);
    hl_bus_free(isolated.bus);
    hl_config_unref(isolated.config);
    memset(&isolated, 0, sizeof isolated);
    free(self);
}

hilum_rc fake_host_error(void)
{
    return HILUM_EINVAL;
}

const char *fake_host_reason(void)
{
    return hl_error();
}

void fake_host_lend(const struct hilum_dicom_api *dicom, const struct hilum_catalog_api *catalog,
                    const struct hilum_object_api *objects)
{
    /* A worker has none of them. */
    (void)dicom;
    (void)catalog;
    (void)objects;
}
