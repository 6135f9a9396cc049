/* example-notifier: carries notices into a file, one line each. It knows the SDK only.
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "hilum/host.h"
#include "hilum/notifier.h"

/* Filled in by the host before init; read-only. */
struct conf {
    const char *file;
};

/* The host delivers again what fails with EIO or EAGAIN, in the order of the ids. */
static hilum_rc deliver(void *instance, const struct hilum_notice *notice)
{
    const struct conf *conf = instance;
    char line[1024];
    int n = snprintf(line, sizeof line, "%lld %s %s\n", (long long)notice->id, notice->name,
                     notice->text);
    if (n < 0)
        return HILUM_EINVAL;
    if ((size_t)n >= sizeof line)
        n = (int)sizeof line - 1;
    int fd = open(conf->file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fd < 0)
        return errno == ENOSPC ? HILUM_EFULL : HILUM_EIO;
    ssize_t written = write(fd, line, (size_t)n);
    int is_durable = fdatasync(fd) == 0;
    close(fd);
    return written == n && is_durable ? HILUM_OK : HILUM_EIO;
}

static hilum_rc init(const struct hilum_host *host, hilum_self *self, const void *conf,
                     void **state)
{
    static const struct hilum_notifier table = {
        .cap = {.size = sizeof table,
                .kind = HILUM_CAP_NOTIFIER,
                .threads = HILUM_SERIAL, /* one line at a time */
                .name = "example-notifier"},
        .kinds = HILUM_NOTICE_ALERT | HILUM_NOTICE_EVENT,
        .deliver = deliver,
    };
    *state = NULL;
    return host->provide(self, &table.cap, (void *)(uintptr_t)conf);
}

HILUM_EXPORT const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major, uint16_t host_minor)
{
    static const struct hilum_option options[] = {
        {"file", HILUM_OPT_PATH, offsetof(struct conf, file), "notices.log", NULL,
         "Where the lines go; relative to the data directory."},
        {0},
    };
    static const struct hilum_plugin plugin = {
        .magic = HILUM_MAGIC,
        .size = sizeof plugin,
        .abi_major = HILUM_ABI_MAJOR,
        .abi_minor = HILUM_ABI_MINOR,
        .conf_size = sizeof(struct conf),
        .id = "example-notifier",
        .version = "1.0.0",
        .vendor = "Example",
        .licence = "MIT",
        .options = options,
        .init = init,
    };
    (void)host_major;
    (void)host_minor;
    return &plugin;
}
