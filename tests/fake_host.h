/* The host as a plugin's unit test needs it: opens the .so, fills its options, keeps what it
 * provides. Knows nothing of the kernel. SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FAKE_HOST_H
#define TESTS_FAKE_HOST_H

#include "hilum/host.h"

enum { FAKE_HOST_CAPS = 64, FAKE_HOST_VALUES = 64 };

struct hilum_self {
    struct hilum_host host;
    void *library;
    const struct hilum_plugin *plugin;
    void *conf, *state;
    char data_dir[256];
    char *strings[32]; /* of the conf */
    unsigned n_strings, n_caps;
    struct {
        const struct hilum_cap *cap;
        void *instance;
    } caps[FAKE_HOST_CAPS];
    struct fake_task *tasks;
    char *keys[FAKE_HOST_VALUES], *values[FAKE_HOST_VALUES];
    uint32_t n_metrics;
};

/* One "key", "value" pair an option is set to, as in a configuration file. NULL-ended. */
struct fake_option {
    const char *key, *value;
};

/* Opens the plugin and runs init and start. Paths are below data_dir. NULL: says why on stderr. */
hilum_self *fake_host_open(const char *so_path, const char *data_dir,
                           const struct fake_option *options);
/* The capability of that kind; aborts when there is none. */
const void *fake_host_cap(hilum_self *self, uint32_t kind, void **instance);
/* The i-th of that kind, in the order they were provided; NULL past the last. */
const void *fake_host_cap_at(hilum_self *self, uint32_t kind, uint32_t i, void **instance);
void fake_host_close(hilum_self *self); /* drain, fini; the code stays mapped, as in the server */
/* What hosts opened from now on lend as host->dicom, ->catalog and ->objects; NULL: nothing, as before this call. */
void fake_host_lend(const struct hilum_dicom_api *dicom, const struct hilum_catalog_api *catalog,
                    const struct hilum_object_api *objects);
/* Why fake_host_open was NULL last on this thread: HILUM_ENOTFOUND, or what init or start said. */
hilum_rc fake_host_error(void);
/* What the plugin gave to host->fail last on this thread. */
const char *fake_host_reason(void);

#endif
