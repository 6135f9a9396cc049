/* Plugin demo-phantom: makes a few studies and sends them to this server over the real network
 * path. Knows the SDK only. SPDX-License-Identifier: Apache-2.0 */
#include "hilum/host.h"
#include "phantom.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct demo {
    const struct hilum_host *host;
    hilum_self *self;
};

/* What next() walks over: all objects of the studies that are not there yet. */
struct walk {
    struct hilum_call *call;
    struct file file;
    int picture, index;
    uint64_t done, total;
    unsigned char skip[16]; /* by picture */
};

/* Called by the host's sender when it has room for the next: one object at a time in memory. */
static hilum_rc next_object(void *arg, const void **part10, uint64_t *n)
{
    struct walk *walk = arg;
    while (walk->picture < n_pictures &&
           (walk->skip[walk->picture] || walk->index >= pictures[walk->picture].count)) {
        walk->picture++;
        walk->index = 0;
    }
    if (walk->picture == n_pictures)
        return 0;
    const struct picture *picture = &pictures[walk->picture];
    if (walk->call->progress) {
        hilum_rc rc = walk->call->progress(walk->call->ctx, walk->done, walk->total,
                                           picture->study_description);
        if (rc < 0)
            return rc;
    }
    picture_write(picture, walk->index, &walk->file);
    walk->index++;
    walk->done++;
    *part10 = walk->file.bytes;
    *n = walk->file.n;
    return walk->file.failed ? HILUM_ENOMEM : 1;
}

static hilum_rc count_one(void *arg, const struct hilum_object_ref *object)
{
    (void)object;
    ++*(int *)arg;
    return HILUM_OK;
}

/* Objects of this picture's series that the catalogue has already. An error counts as none:
 * they are sent then, and the server knows duplicates. */
static int count_stored(const struct demo *demo, const struct picture *picture)
{
    char study[UID_SIZE], series[UID_SIZE];
    make_uid(picture->study, study);
    make_uid(picture->series, series);
    const struct hilum_catalog_key keys[] = {{0x0020000D, 0, study}, {0x0020000E, 0, series}};
    int64_t as_of = 0;
    int count = 0;
    if (demo->host->catalog->objects(demo->self, NULL, keys, 2, &as_of, count_one, &count) < 0)
        return 0;
    return count;
}

/* By DICOM to our own address, as a modality would: what the demo shows is the whole way in. */
static hilum_rc send_demo(void *arg, struct hilum_call *call)
{
    const struct demo *demo = arg;
    const struct hilum_host *host = demo->host;
    struct walk walk = {.call = call};
    uint64_t present = 0;
    for (int i = 0; i < n_pictures; i++) {
        walk.skip[i] = count_stored(demo, &pictures[i]) >= pictures[i].count;
        *(walk.skip[i] ? &present : &walk.total) += (uint64_t)pictures[i].count;
    }
    uint64_t stored = 0;
    hilum_rc rc = HILUM_OK;
    if (walk.total > 0)
        rc = host->store_scu(demo->self, host->dicom_address(demo->self),
                             host->dicom_aet(demo->self), next_object, &walk, &stored);
    file_fini(&walk.file);
    if (rc < 0)
        return rc;
    char text[128];
    int n = snprintf(text, sizeof text, "{\"sent\":%llu,\"already_there\":%llu}",
                     (unsigned long long)stored, (unsigned long long)present);
    return call->result.write(call->result.ctx, text, (uint64_t)n);
}

/* `admin`: it writes studies, and into an archive with patients in it nobody wants those by
 * mistake. */
static hilum_rc init(const struct hilum_host *host, hilum_self *self, const void *conf,
                     void **state)
{
    (void)conf;
    struct demo *demo = calloc(1, sizeof *demo);
    if (!demo)
        return host->fail(self, HILUM_ENOMEM, "out of memory");
    demo->host = host;
    demo->self = self;
    const struct hilum_decl decl = {
        .size = sizeof decl,
        .type = HILUM_DECL_COMMAND,
        .name = "demo send",
        .summary = "Makes the demo studies and sends them to this server over the network.",
        .fields = "",
        .permission = "admin",
        .run = send_demo,
        .arg = demo,
    };
    hilum_rc rc = host->declare(self, &decl);
    if (rc < 0) {
        free(demo);
        return rc;
    }
    *state = demo;
    return HILUM_OK;
}

static hilum_rc start(void *state)
{
    (void)state;
    return HILUM_OK;
}

static void drain(void *state, uint32_t deadline_ms)
{
    (void)state;
    (void)deadline_ms;
}

static void fini(void *state)
{
    free(state);
}

HILUM_EXPORT const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major, uint16_t host_minor)
{
    static const struct hilum_option options[] = {{0}};
    static const char *const provides[] = {NULL};
    static const struct hilum_plugin plugin = {
        .magic = HILUM_MAGIC,
        .size = sizeof plugin,
        .abi_major = HILUM_ABI_MAJOR,
        .abi_minor = HILUM_ABI_MINOR,
        .id = "demo-phantom",
        .version = "0.1.0",
        .vendor = "Hilum",
        .licence = "Apache-2.0",
        .options = options,
        .init = init,
        .start = start,
        .drain = drain,
        .fini = fini,
        .provides = provides,
    };
    (void)host_major;
    (void)host_minor;
    return &plugin;
}
