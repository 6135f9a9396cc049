/* What isolation adds to the decoding of one 512 x 512 frame of 16 bits: the same codec in the server and in a worker, in
 * one run. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/plugin/plugin.h"

enum { SIDE = 512, BYTES = SIDE * SIDE * 2, CALLS = 3000 };

static const struct hilum_frame frame = {.size = sizeof frame,
                                         .columns = SIDE,
                                         .rows = SIDE,
                                         .samples = 1,
                                         .bits_allocated = 16,
                                         .bits_stored = 16,
                                         .photometric = HILUM_PHOTO_MONOCHROME2};

static struct hl_plugins *open_host(const char *isolation, struct hl_config **config)
{
    char path[] = "/tmp/hilum-bench-XXXXXX";
    struct hl_plugins *plugins = NULL;
    struct hl_faults faults = {0};
    struct hl_bus *bus = NULL;
    int fd = mkstemp(path);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
    if (!f || hl_bus_new(&bus) != HILUM_OK)
        exit(1);
    fprintf(f,
            "worker_program = \"%s\"; plugins = ( { name = \"hostile\"; file = \"%s\"; isolation = "
            "\"%s\"; allow_preview = true; } );\n",
            WORKER_PROGRAM, CODEC_FILE, isolation);
    fclose(f);
    struct hl_config_paths paths = {.main = path};
    if (hl_config_load(&paths, &faults, config) != HILUM_OK ||
        hl_plugins_open(*config, "/nowhere", "/tmp", bus, &faults, &plugins) != HILUM_OK ||
        hl_plugins_init(plugins, &faults) != HILUM_OK || hl_plugins_start(plugins) != HILUM_OK)
        exit(1);
    unlink(path);
    return plugins;
}

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Median and 99th percentile of one call, microseconds. */
static void measure(const char *isolation, double out[2])
{
    static unsigned char stream[BYTES], pixels[BYTES];
    static int64_t ns[CALLS];
    struct hl_config *config;
    struct hl_plugins *plugins = open_host(isolation, &config);
    void *self;
    const struct hilum_codec *codec =
        hl_plugins_codec_for(plugins, "1.2.3.4", HILUM_CODEC_DECODES, 0, &self);
    const struct hilum_fragment fragment = {stream, BYTES};
    const struct hilum_coded coded = {.size = sizeof coded,
                                      .n_fragments = 1,
                                      .fragments = &fragment,
                                      .transfer_syntax = "1.2.3.4",
                                      .declared = &frame};
    struct hilum_frame got = {.size = sizeof got};
    for (int i = 0; codec && i < CALLS; i++) {
        int64_t before = hl_mono_ns();
        if (codec->decode(self, &coded, NULL, pixels, BYTES, &got) != HILUM_OK) {
            printf("%s: %s\n", isolation, hl_error());
            exit(1);
        }
        ns[i] = hl_mono_ns() - before;
    }
    qsort(ns, CALLS, sizeof *ns, ascending);
    out[0] = (double)ns[CALLS / 2] / 1000;
    out[1] = (double)ns[CALLS * 99 / 100] / 1000;
    hl_plugins_drain(plugins, 1000);
    hl_plugins_close(plugins);
    hl_config_unref(config);
}

int main(void)
{
    double inside[2], isolated[2];
    hl_log_set_level(HL_ERROR);
    measure("none", inside);
    measure("process", isolated);
    printf("512x512x16, %d calls: in process median %.1f us (p99 %.1f), isolated %.1f us (p99 "
           "%.1f): %.1f us over\n",
           CALLS, inside[0], inside[1], isolated[0], isolated[1], isolated[0] - inside[0]);
    return 0;
}
