/* test-user: a plugin that uses timers, child processes and values, and says what came of it.
 * SPDX-License-Identifier: Apache-2.0 */
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "hilum/host.h"

static struct {
    const struct hilum_host *host;
    hilum_self *self;
    sem_t went_off;
    int pipe[2];
} user;

static void on_timer(void *arg)
{
    (void)arg;
    sem_post(&user.went_off);
}

static void on_loop(void *arg)
{
    (void)arg;
    sem_post(&user.went_off);
}

static void on_readable(void *arg, uint32_t events)
{
    char byte;
    (void)arg;
    if (events & HILUM_READABLE && read(user.pipe[0], &byte, 1) == 1)
        sem_post(&user.went_off);
}

/* The loop, a number, a job: the codes of each. */
static void use_more(struct hilum_call *call)
{
    const struct hilum_metric metric = {
        .size = sizeof metric, .type = HILUM_METRIC_GAUGE, .name = "depth"};
    uint32_t depth;
    uint64_t watch;
    int64_t job = 0;
    char line[96];
    hilum_rc rc = user.host->metric_define(user.self, &metric, &depth);
    if (rc == HILUM_OK)
        rc = user.host->metric_set(user.self, depth, NULL, 12);
    hilum_rc watched =
        user.host->watch(user.self, user.pipe[0], HILUM_READABLE, on_readable, NULL, &watch);
    if (write(user.pipe[1], "x", 1) != 1 ||
        user.host->run_on_loop(user.self, on_loop, NULL) != HILUM_OK)
        return;
    sem_wait(&user.went_off);
    sem_wait(&user.went_off);
    hilum_rc started = user.host->start_job(user.self, "test-user-job", "{\"a\": 1}", &job);
    hilum_rc denied = user.host->start_job(user.self, "another", NULL, &job);
    int n = snprintf(line, sizeof line, " metric %d loop %d job %d %d", rc, watched, started,
                     denied); /* the watch is left for drain */
    call->result.write(call->result.ctx, line, (uint64_t)n);
}

static hilum_rc work(void *arg, struct hilum_call *call)
{
    (void)arg;
    return call->result.write(call->result.ctx, "done", 4);
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
    hilum_rc rc = user.host->value_get(user.self, "last-run", &call->result);
    use_more(call);
    return rc;
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
    const struct hilum_decl job = {.size = sizeof job,
                                   .type = HILUM_DECL_JOB,
                                   .name = "test-user-job",
                                   .summary = "Does nothing.",
                                   .run = work};
    (void)conf;
    if (user.pipe[1] == 0 && pipe(user.pipe) != 0)
        return HILUM_EIO;
    user.host = host;
    user.self = self;
    sem_init(&user.went_off, 0, 0);
    *state = &user;
    hilum_rc rc = host->declare(self, &job);
    return rc == HILUM_OK ? host->declare(self, &command) : rc;
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
