/* test-user: a plugin that uses timers, child processes and values, and says what came of it.
 * SPDX-License-Identifier: Apache-2.0 */
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#include "hilum/host.h"

static struct {
    const struct hilum_host *host;
    hilum_self *self;
    sem_t went_off;
} user;

static void on_timer(void *arg)
{
    (void)arg;
    sem_post(&user.went_off);
}

static hilum_rc run(void *arg, struct hilum_call *call)
{
    static const char *const echo[] = {"/bin/echo", "hello", NULL}, *const sh[] = {"/bin/sh", "-c",
                                                                                   "exit", NULL};
    struct hilum_child child = {.size = sizeof child, .argv = echo, .output = &call->result};
    char line[64];
    int32_t status = -1;
    uint64_t soon, late;
    (void)arg;
    user.host->run_child(user.self, &child, &status);
    child.argv = sh;
    hilum_rc denied = user.host->run_child(user.self, &child, &status);
    user.host->run_later(user.self, 3600000, on_timer, NULL, &late);
    hilum_rc cancelled = user.host->cancel_later(user.self, late);
    hilum_rc again = user.host->cancel_later(user.self, late);
    user.host->run_later(user.self, 3600000, on_timer, NULL, &late); /* left for drain */
    user.host->run_later(user.self, 5, on_timer, NULL, &soon);
    sem_wait(&user.went_off);
    int n = snprintf(line, sizeof line, " %d timer %d %d ", denied, cancelled, again);
    call->result.write(call->result.ctx, line, (uint64_t)n);
    user.host->value_put(user.self, "last-run", "yesterday");
    return user.host->value_get(user.self, "last-run", &call->result);
}

static hilum_rc init(const struct hilum_host *host, hilum_self *self, const void *conf,
                     void **state)
{
    const struct hilum_decl command = {.size = sizeof command,
                                       .type = HILUM_DECL_COMMAND,
                                       .name = "test-user run",
                                       .summary = "Uses what the host lends.",
                                       .permission = "status",
                                       .run = run};
    (void)conf;
    user.host = host;
    user.self = self;
    sem_init(&user.went_off, 0, 0);
    *state = &user;
    return host->declare(self, &command);
}

HILUM_EXPORT const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major, uint16_t host_minor)
{
    static const struct hilum_plugin plugin = {.magic = HILUM_MAGIC,
                                               .size = sizeof plugin,
                                               .abi_major = HILUM_ABI_MAJOR,
                                               .abi_minor = HILUM_ABI_MINOR,
                                               .id = PLUGIN_ID,
                                               .version = "1",
                                               .vendor = "tests",
                                               .licence = "Apache-2.0",
                                               .init = init};
    (void)host_major;
    (void)host_minor;
    return &plugin;
}
