/* sleeper: a plugin that would keep everybody waiting if it could: it asks for a writing session, holds a reading transaction
 * open and sleeps in it, and records units all the time. SPDX-License-Identifier: Apache-2.0 */
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "hilum/host.h"

static struct {
    const struct hilum_host *host;
    hilum_self *self;
    atomic_int is_over, denied, units, failed;
} sleeper;

static hilum_rc record_one(void)
{
    static const struct hilum_record_step steps[] = {
        {.sql = "CREATE TABLE IF NOT EXISTS p_sleeper_seen (n BIGINT)", .rows = -1},
        {.sql = "INSERT INTO p_sleeper_seen VALUES (1)", .rows = 1}};
    return sleeper.host->record(sleeper.self, steps, 2);
}

static void work(void *arg)
{
    const struct hilum_cap *cap;
    void *instance, *session = NULL, *statement = NULL;
    (void)arg;
    if (sleeper.host->acquire(sleeper.self, HILUM_CAP_DATABASE, NULL, &cap, &instance) != HILUM_OK)
        return;
    const struct hilum_database *db = (const struct hilum_database *)(const void *)cap;
    sleeper.denied = db->open(instance, HILUM_DB_WRITE, NULL, &session);
    atomic_fetch_add(record_one() == HILUM_OK ? &sleeper.units : &sleeper.failed, 1);
    if (db->open(instance, HILUM_DB_READ, NULL, &session) == HILUM_OK &&
        db->begin(session) == HILUM_OK &&
        db->prepare(session, "SELECT n FROM p_sleeper_seen", &statement) == HILUM_OK)
        (void)db->step(statement);
    while (!atomic_load(&sleeper.is_over)) {
        usleep(10000); /* in the middle of it all */
        atomic_fetch_add(record_one() == HILUM_OK ? &sleeper.units : &sleeper.failed, 1);
    }
    if (statement)
        db->finish(statement);
    if (session)
        db->close(session);
    sleeper.host->unpin(sleeper.self, cap);
}

static hilum_rc tell(void *arg, struct hilum_call *call)
{
    char json[96];
    (void)arg;
    int n = snprintf(json, sizeof json, "{\"denied\":%d,\"units\":%d,\"failed\":%d}",
                     sleeper.denied, sleeper.units, sleeper.failed);
    return call->result.write(call->result.ctx, json, (uint64_t)n);
}

static hilum_rc init(const struct hilum_host *host, hilum_self *self, const void *conf,
                     void **state)
{
    const struct hilum_decl command = {.size = sizeof command,
                                       .type = HILUM_DECL_COMMAND,
                                       .name = "sleeper tell",
                                       .summary = "What came of it.",
                                       .permission = "status",
                                       .run = tell};
    (void)conf;
    sleeper.host = host;
    sleeper.self = self;
    *state = &sleeper;
    return host->declare(self, &command);
}

static hilum_rc start(void *state)
{
    (void)state;
    return sleeper.host->run_on_worker(sleeper.self, work, NULL);
}

static void drain(void *state, uint32_t deadline_ms)
{
    (void)state;
    (void)deadline_ms;
    atomic_store(&sleeper.is_over, 1);
}

HILUM_EXPORT const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major, uint16_t host_minor)
{
    static const struct hilum_plugin plugin = {.magic = HILUM_MAGIC,
                                               .size = sizeof plugin,
                                               .abi_major = HILUM_ABI_MAJOR,
                                               .abi_minor = HILUM_ABI_MINOR,
                                               .id = "sleeper",
                                               .version = "1",
                                               .vendor = "tests",
                                               .licence = "Apache-2.0",
                                               .init = init,
                                               .start = start,
                                               .drain = drain};
    (void)host_major;
    (void)host_minor;
    return &plugin;
}
