/* The housekeeper: studies that went quiet, erasures that are due, pruning. One thread, once a second.
 *
 * One thread for all of it, because none of it is urgent and all of it competes with peers for
 * the disk. Units are small and in the lane behind ingest (core/record/housekeep.c), so a bulk
 * load of thousands of pages never holds up a C-STORE for longer than one page.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/server/server.h"

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/base/text.h"
#include "core/job/schedule.h"

#include <time.h>

/* Called by the record for each object whose grace period is over; its row goes afterwards.
 * HILUM_EAGAIN (somebody reads it) leaves the row for an hour later. */
static hilum_rc erase(void *arg, const char *store, const char *key)
{
    struct hl_server *server = arg;
    hilum_rc rc = hl_store_erase(server->store, store, key);
    return rc == HILUM_ENOTFOUND ? HILUM_OK : rc; /* gone already: an earlier run was cut short */
}

/* The first name costs the loading of ICU's Han rules, a tenth of a second: not while a peer waits. */
static void warm_up(void)
{
    struct hl_buf ignored = {0};
    hl_text_pinyin("王", &ignored);
    hl_text_fold("王", &ignored);
    hl_buf_fini(&ignored);
}

/* Again when it is time, and a last time at the stop. Failing is told and tried again with the
 * next interval: rows stay unsealed, nothing is lost. Pruning follows a seal only, since only
 * sealed rows may go; at the stop it waits for the next start. */
static void seal(struct hl_server *server, int64_t *sealed_ms)
{
    struct hl_config *config = hl_server_config(server);
    int64_t every = hl_config_ms(config, "audit.seal_every");
    hl_config_unref(config);
    int64_t now = hl_mono_ns() / 1000000;
    if (now - *sealed_ms < every && !atomic_load(&server->stopping))
        return;
    *sealed_ms = now;
    if (hl_server_audit_seal(server) < 0)
        hl_log(HL_ERROR, "audit", "rows are not sealed: %s", hl_error());
    else if (!atomic_load(&server->stopping) && hl_server_audit_prune(server) < 0)
        hl_log(HL_ERROR, "audit", "rows older than audit.keep stay: %s", hl_error());
}

/* Read anew each time: schedules come and go with the configuration. What cannot be read was
 * said by the check. Due times are kept in the catalogue (core/job/schedule.c): what came due
 * while the server was down happens once at the next start. */
static hilum_rc schedules(struct hl_server *server, const struct hl_config *config)
{
    const struct hl_node *list = hl_config_node(config, "schedules");
    hilum_rc rc = HILUM_OK;
    for (size_t i = 0; list && i < list->n_children && rc == HILUM_OK; i++) {
        const struct hl_node *node = list->children[i];
        struct hl_schedule schedule = {.name = hl_node_text(node, "name", ""),
                                       .every_ms = hl_node_ms(node, "every", 86400000)};
        if (!hl_node_bool(node, "enabled", true))
            continue;
        rc = hl_parse_day_minute(hl_node_text(node, "at", ""), &schedule.at_minute);
        if (rc == HILUM_OK)
            rc = hl_schedules_tick(server->record, &schedule, 1, hl_now_us());
        rc = rc == HILUM_OK ? rc : hl_fail_in(rc, "schedule %s", schedule.name);
    }
    return rc;
}

/* A failure is told when it changes, not once a second. Order of a pass: first what makes
 * events (studies that are complete, schedules), then what only tidies. A failure ends the
 * pass, not the thread. */
static void *housekeep(void *arg)
{
    struct hl_server *server = arg;
    warm_up();
    hilum_rc last = HILUM_OK;
    int64_t sealed_ms = hl_mono_ns() / 1000000;
    while (!atomic_load(&server->stopping)) {
        struct hl_config *config = hl_server_config(server);
        int64_t keep_ms = hl_config_ms(config, "journal.keep");
        hilum_rc rc = hl_record_housekeep(server->record, keep_ms, erase, server);
        if (rc >= 0)
            rc = schedules(server, config);
        hl_config_unref(config);
        if (rc >= 0)
            rc = hl_store_tidy(server->store);
        if (rc < 0 && rc != last)
            hl_log(HL_WARN, "housekeeper", "%s", hl_error());
        last = rc;
        seal(server, &sealed_ms);
        /* The interval is a pause, not a beat: after a pass that took long nothing has to be
         * caught up. */
        nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
    }
    seal(server, &sealed_ms);
    return NULL;
}

hilum_rc hl_server_start_housekeeper(struct hl_server *server)
{
    if (pthread_create(&server->housekeeper, NULL, housekeep, server) != 0)
        return hl_fail(HILUM_ENOMEM, "housekeeper: cannot start a thread");
    pthread_setname_np(server->housekeeper, "housekeeper");
    server->has_housekeeper = true;
    return HILUM_OK;
}

/* Also called when it never started. `stopping` is what jobs of plugins look at, too. The
 * record is told first: a pass in the middle of a long pruning ends with the page it is at. */
void hl_server_stop_housekeeper(struct hl_server *server)
{
    atomic_store(&server->stopping, true);
    if (server->has_housekeeper)
        hl_record_end_housekeeping(server->record);
    if (server->has_housekeeper)
        pthread_join(server->housekeeper, NULL);
    server->has_housekeeper = false;
}
