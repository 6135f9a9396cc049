/* Any bytes as a configuration file: faults or values, never a crash, a hang or an exit.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/config/schema.h"
#include "core/config/tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);

/* libconfig 1.5 leaks its scanner's text buffers on a syntax error; ours to tolerate, not to hide:
 * leaks of our own code have no libconfig frame. */
const char *__lsan_default_suppressions(void)
{
    return "leak:strbuf_append\nleak:libconfig_\n";
}

static void read_everything(const struct hl_config *config)
{
    struct hl_buf applied = {0}, restart = {0};
    for (size_t i = 0; i < hl_options_count; i++) {
        if (strchr(hl_options[i].path, '['))
            continue;
        (void)hl_config_text(config, hl_options[i].path);
        (void)hl_config_int(config, hl_options[i].path);
        (void)hl_config_bytes(config, hl_options[i].path);
        (void)hl_config_ms(config, hl_options[i].path);
    }
    hl_config_compare(config, config, &applied, &restart);
    if (applied.len + restart.len > 0)
        abort(); /* a configuration differs from itself */
    hl_buf_fini(&applied);
    hl_buf_fini(&restart);
}

static void load(const char *path)
{
    struct hl_faults faults = {0};
    struct hl_config *config = NULL;
    struct hl_config_paths paths = {.main = path};
    hilum_rc rc = hl_config_load(&paths, &faults, &config);
    if ((rc == HILUM_OK) != (faults.count == 0))
        abort();
    if (config)
        read_everything(config);
    hl_faults_fini(&faults);
    hl_config_unref(config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    int fd = size <= 1 << 16 ? memfd_create("config", MFD_CLOEXEC) : -1;
    if (fd < 0)
        return 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (write(fd, data, size) == (ssize_t)size)
        load(path);
    close(fd);
    return 0;
}
