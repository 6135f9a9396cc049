/* struct hilum_host, continued: numbers of plugins' own and what the host counts, listening sockets, the loop thread,
 * jobs. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/plugin/host.h"
#include "core/plugin/listen.h"
#include "core/plugin/loop.h"
#include "core/plugin/metrics.h"
#include "core/plugin/remote/remote.h"

/* ---- metrics ---- */

static hilum_rc host_metric_define(hilum_self *self, const struct hilum_metric *metric,
                                   uint32_t *number)
{
    return hl_metrics_define(self->host->metrics, self->id, metric, number);
}

static hilum_rc host_metric_add(hilum_self *self, uint32_t number, const char *const *labels,
                                double value)
{
    return hl_metrics_change(self->host->metrics, self->id, number, HL_METRIC_ADD, labels, value);
}

static hilum_rc host_metric_set(hilum_self *self, uint32_t number, const char *const *labels,
                                double value)
{
    return hl_metrics_change(self->host->metrics, self->id, number, HL_METRIC_SET, labels, value);
}

/* ---- what the host counts of each of them ---- */

static unsigned long long number(atomic_uint_fast64_t *value)
{
    return (unsigned long long)atomic_load_explicit(value, memory_order_relaxed);
}

/* Buckets of the tally are powers of two; every second of them is told. By what the gate
 * counted, in seconds as Prometheus wants them. */
static void write_times(struct hilum_self *plugin, struct hl_buf *out)
{
    static const char name[] = "hilum_plugins_call_seconds";
    struct hl_tally *tally = &plugin->tally;
    unsigned long long seen = 0;
    for (unsigned i = 0; i < GATE_BUCKETS; i++) {
        seen += number(&tally->buckets[i]);
        if (i % 2)
            hl_buf_printf(out, "%s_bucket{plugin=\"%s\",le=\"%g\"} %llu\n", name, plugin->id,
                          (double)(2ull << i) / 1e6, seen);
    }
    hl_buf_printf(out, "%s_bucket{plugin=\"%s\",le=\"+Inf\"} %llu\n", name, plugin->id, seen);
    hl_buf_printf(out, "%s_sum{plugin=\"%s\"} %.6f\n%s_count{plugin=\"%s\"} %llu\n", name,
                  plugin->id, (double)number(&tally->total_ns) / 1e9, name, plugin->id, seen);
}

static void write_one(struct hilum_self *plugin, unsigned what, struct hl_buf *out)
{
    const char *id = plugin->id;
    switch (what) {
    case 0:
        hl_buf_printf(out, "hilum_plugins_running{plugin=\"%s\"} %d\n", id,
                      atomic_load(&plugin->state) == PLUGIN_RUNNING);
        break;
    case 1:
        hl_buf_printf(out, "hilum_plugins_errors_total{plugin=\"%s\"} %llu\n", id,
                      number(&plugin->tally.errors));
        break;
    case 2:
        if (plugin->remote)
            hl_buf_printf(out, "hilum_plugins_crashes_total{plugin=\"%s\"} %llu\n", id,
                          (unsigned long long)hl_remote_crashes(plugin->remote));
        break;
    default:
        if (number(&plugin->tally.calls))
            write_times(plugin, out);
    }
}

/* A family's lines stand together (Prometheus): hence plugins within families. */
static void write_tallies(struct hl_plugins *plugins, struct hl_buf *out)
{
    static const char *const families[] = {
        "hilum_plugins_running gauge", "hilum_plugins_errors_total counter",
        "hilum_plugins_crashes_total counter", "hilum_plugins_call_seconds histogram"};
    pthread_rwlock_rdlock(&plugins->registry);
    for (unsigned what = 0; what < sizeof families / sizeof *families; what++) {
        hl_buf_printf(out, "# TYPE %s\n", families[what]);
        for (size_t i = 0; i < plugins->n; i++)
            write_one(plugins->plugins[i], what, out);
    }
    pthread_rwlock_unlock(&plugins->registry);
}

void hl_plugins_metrics(struct hl_plugins *plugins, struct hl_buf *out)
{
    write_tallies(plugins, out);
    hl_metrics_write(plugins->metrics, out);
}

/* ---- the loop thread ---- */

enum { LOOP_BUDGET_MS = 5, NS_PER_MS = 1000000, TELL_AGAIN_MS = 1000 };

/* So that drain and swap wait for what runs on the loop. */
static void before(void *arg, void *owner)
{
    hl_task_began(arg, owner);
}

/* Told once a second: a plugin that is always slow would fill the log with it. */
static void after(void *arg, void *owner, int64_t ns)
{
    struct hl_plugins *host = arg;
    struct hilum_self *self = owner;
    int64_t now = hl_mono_ms();
    if (ns > (int64_t)LOOP_BUDGET_MS * NS_PER_MS && now >= self->loop_told_ms) {
        hl_log(HL_WARN, self->id,
               "held up the loop of all plugins for %lld ms, %d are allowed; it belongs on a "
               "worker thread",
               (long long)(ns / NS_PER_MS), LOOP_BUDGET_MS);
        self->loop_told_ms = now + TELL_AGAIN_MS;
    }
    hl_task_ended(host, self);
}

hilum_rc hl_host_loop_new(struct hl_plugins *host)
{
    const struct hl_loop_user user = {before, after, host};
    return hl_loop_new(&user, &host->loop);
}

static hilum_rc host_watch(hilum_self *self, int32_t fd, uint32_t events,
                           void (*run)(void *arg, uint32_t events), void *arg, uint64_t *watch)
{
    hilum_rc rc = hl_plugin_check_may_run(self);
    *watch = 0;
    return rc == HILUM_OK ? hl_loop_watch(self->host->loop, self, fd, events, run, arg, watch) : rc;
}

static hilum_rc host_rewatch(hilum_self *self, uint64_t watch, uint32_t events)
{
    return hl_loop_rewatch(self->host->loop, self, watch, events);
}

static hilum_rc host_unwatch(hilum_self *self, uint64_t watch)
{
    return hl_loop_unwatch(self->host->loop, self, watch);
}

/* Between start and drain, as all that runs on threads of the host. */
static hilum_rc host_run_on_loop(hilum_self *self, void (*run)(void *arg), void *arg)
{
    hilum_rc rc = hl_plugin_check_may_run(self);
    return rc == HILUM_OK ? hl_loop_run(self->host->loop, self, run, arg) : rc;
}

/* ---- jobs ---- */

/* A plugin starts jobs of its own types only. */
static hilum_rc host_start_job(hilum_self *self, const char *type, const char *arguments_json,
                               int64_t *job)
{
    const struct hl_host_services *s = &self->host->services;
    *job = 0;
    if (!hl_plugin_declares(self, HILUM_DECL_JOB, type))
        return hl_fail(HILUM_EDENIED, "job %s: not declared by plugin %s", type, self->id);
    hilum_rc rc = hl_plugin_check_may_run(self);
    if (rc == HILUM_OK && !s->start_job)
        rc = hl_fail(HILUM_EUNSUP, "job %s: this host runs no jobs", type);
    return rc == HILUM_OK ? s->start_job(s->arg, type, arguments_json, job) : rc;
}

/* ---- listening sockets ---- */

static hilum_rc host_listen(hilum_self *self, const char *address, int32_t *fd, uint16_t *port)
{
    struct hl_plugins *host = self->host;
    hilum_rc rc = hl_plugin_check_may_run(self);
    *fd = -1;
    if (rc != HILUM_OK)
        return rc;
    pthread_mutex_lock(&host->lock);
    rc = hl_listen(&host->listening, self->id, self, address, fd, port);
    pthread_mutex_unlock(&host->lock);
    return rc;
}

void hl_host_unlisten(struct hl_plugins *host, const char *id)
{
    pthread_mutex_lock(&host->lock);
    hl_listen_forget(&host->listening, id);
    pthread_mutex_unlock(&host->lock);
}

void hl_host_table_more(struct hilum_host *table)
{
    table->metric_define = host_metric_define;
    table->metric_add = host_metric_add;
    table->metric_set = host_metric_set;
    table->watch = host_watch;
    table->rewatch = host_rewatch;
    table->unwatch = host_unwatch;
    table->run_on_loop = host_run_on_loop;
    table->start_job = host_start_job;
    table->listen = host_listen;
}
