/* Numbers of the plugin's own. They are kept here until the call under way is answered and then
 * go to the server in one go, so that a thread that counts never waits for the socket.
 *
 * `lock` guards changes, n_changes and n_lost, which any thread of the plugin may touch.
 * Definitions are made during init and read without it. SPDX-License-Identifier: Apache-2.0 */
#include "core/plugin/metrics.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/worker/worker.h"

enum { PENDING = 1024 };
#define OWNER "worker" /* the server knows whose it is */

/* One add, set or observation, with its labels. */
struct change {
    uint32_t number;
    enum hl_metric_change what;
    double value;
    char labels[HL_METRIC_LABELS][HL_METRIC_TEXT + 1];
};

struct definition {
    struct hilum_metric metric; /* its texts and bounds are ours */
    char name[HL_METRIC_NAME + 1], labels[HL_METRIC_LABELS * (HL_METRIC_NAME + 1)], help[201];
    double bounds[HL_METRIC_BOUNDS];
    uint32_t n_labels;
    bool is_sent;
};

struct worker_counts {
    pthread_mutex_t lock;
    struct hl_metrics *known; /* judges definitions and values as the server will */
    struct definition *definitions[HL_METRICS_EACH];
    struct change changes[PENDING], sending[PENDING];
    uint32_t n_changes, n_lost;
    struct hl_wire wire;
};

/* On the first use: most plugins count nothing. init runs on one thread. */
static struct worker_counts *counts_of(struct hilum_self *self)
{
    if (!self->counts && (self->counts = calloc(1, sizeof *self->counts))) {
        pthread_mutex_init(&self->counts->lock, NULL);
        self->counts->known = hl_metrics_new();
    }
    return self->counts && self->counts->known ? self->counts : NULL;
}

/* Cut, never without its NUL. */
static void keep_text(char *to, size_t size, const char *from)
{
    size_t n = from ? strnlen(from, size - 1) : 0;
    if (n)
        memcpy(to, from, n);
    to[n] = '\0';
}

/* A copy: the plugin may have made its texts on the stack. */
static struct definition *definition_new(const struct hilum_metric *metric)
{
    struct definition *d = calloc(1, sizeof *d);
    if (!d)
        return NULL;
    d->metric = *metric;
    keep_text(d->name, sizeof d->name, metric->name);
    keep_text(d->help, sizeof d->help, metric->help);
    keep_text(d->labels, sizeof d->labels, metric->labels);
    for (const char *c = d->labels; *c; c++)
        d->n_labels += *c == ',';
    d->n_labels += d->labels[0] != '\0';
    if (metric->n_bounds)
        memcpy(d->bounds, metric->bounds, metric->n_bounds * sizeof *d->bounds);
    return d;
}

/* Only during init: the server must know all metrics of a plugin when it decides whether to run
 * it. Defining the same one again gives the same number. */
static hilum_rc host_metric_define(hilum_self *self, const struct hilum_metric *metric,
                                   uint32_t *number)
{
    *number = 0;
    if (!self->registering)
        return hl_fail(HILUM_EDENIED,
                       "in a process of its own metrics are defined during init only");
    struct worker_counts *counts = counts_of(self);
    hilum_rc rc = counts ? hl_metrics_define(counts->known, OWNER, metric, number)
                         : hl_fail(HILUM_ENOMEM, "metrics: no memory");
    if (rc != HILUM_OK || counts->definitions[*number - 1])
        return rc;
    counts->definitions[*number - 1] = definition_new(metric);
    return counts->definitions[*number - 1] ? HILUM_OK
                                            : hl_fail(HILUM_ENOMEM, "metrics: no memory");
}

/* With the lock. What is added to one number again is one change. */
static void remember(struct worker_counts *counts, const struct change *change, bool may_merge)
{
    for (uint32_t i = 0; may_merge && i < counts->n_changes; i++) {
        struct change *old = &counts->changes[i];
        if (old->number != change->number || old->what != change->what ||
            memcmp(old->labels, change->labels, sizeof old->labels) != 0)
            continue;
        old->value = change->what == HL_METRIC_SET ? change->value : old->value + change->value;
        return;
    }
    if (counts->n_changes < PENDING)
        counts->changes[counts->n_changes++] = *change;
    else
        counts->n_lost++;
}

/* Judged here at once, so that the plugin is told of a wrong label; the server judges again. */
static hilum_rc keep_change(hilum_self *self, uint32_t number, enum hl_metric_change what,
                            const char *const *labels, double value)
{
    struct worker_counts *counts = self->counts;
    struct change change = {.number = number, .what = what, .value = value};
    hilum_rc rc = counts ? hl_metrics_change(counts->known, OWNER, number, what, labels, value)
                         : hl_fail(HILUM_ENOTFOUND, "metric %u: was never defined", number);
    if (rc != HILUM_OK)
        return rc;
    const struct definition *d = counts->definitions[number - 1];
    for (uint32_t i = 0; i < d->n_labels && i < HL_METRIC_LABELS; i++)
        keep_text(change.labels[i], sizeof change.labels[i], labels[i]);
    pthread_mutex_lock(&counts->lock);
    /* A gauge may be set and then added to: their order counts. */
    remember(counts, &change, d->metric.type == HILUM_METRIC_COUNTER);
    pthread_mutex_unlock(&counts->lock);
    return HILUM_OK;
}

static hilum_rc host_metric_add(hilum_self *self, uint32_t number, const char *const *labels,
                                double value)
{
    return keep_change(self, number, HL_METRIC_ADD, labels, value);
}

static hilum_rc host_metric_set(hilum_self *self, uint32_t number, const char *const *labels,
                                double value)
{
    return keep_change(self, number, HL_METRIC_SET, labels, value);
}

void worker_metrics_table(struct hilum_host *table)
{
    table->metric_define = host_metric_define;
    table->metric_add = host_metric_add;
    table->metric_set = host_metric_set;
}

/* ---- to the server ---- */

static void send_definition(struct worker_counts *counts, uint32_t number, struct definition *d)
{
    struct hl_wire *wire = &counts->wire;
    hl_wire_begin(wire, HL_WIRE_METRIC, number, 0);
    hl_wire_put_u32(wire, d->metric.type);
    hl_wire_put_text(wire, d->name);
    hl_wire_put_text(wire, d->help[0] ? d->help : NULL);
    hl_wire_put_text(wire, d->labels[0] ? d->labels : NULL);
    hl_wire_put_u32(wire, d->metric.n_bounds);
    hl_wire_put_bytes(wire, d->bounds, d->metric.n_bounds * sizeof *d->bounds);
    d->is_sent = hl_wire_send(HL_WIRE_SOCKET, wire) == HILUM_OK;
}

static void send_change(struct worker_counts *counts, const struct change *change)
{
    struct hl_wire *wire = &counts->wire;
    hl_wire_begin(wire, HL_WIRE_METRIC, change->number, (int32_t)change->what);
    hl_wire_put_bytes(wire, &change->value, sizeof change->value);
    for (uint32_t i = 0; i < HL_METRIC_LABELS; i++)
        hl_wire_put_text(wire, change->labels[i]);
    hl_wire_send(HL_WIRE_SOCKET, wire);
}

/* What has been counted, into `sending`: a thread that counts must not wait for the socket. */
static uint32_t take_changes(struct worker_counts *counts, bool *lost_any)
{
    pthread_mutex_lock(&counts->lock);
    uint32_t n = counts->n_changes;
    memcpy(counts->sending, counts->changes, n * sizeof *counts->sending);
    *lost_any = counts->n_lost > 0;
    counts->n_changes = counts->n_lost = 0;
    pthread_mutex_unlock(&counts->lock);
    return n;
}

/* The server reads until it has its reply, which comes after these. Definitions are made by init
 * alone, on this thread. */
void worker_metrics_flush(struct hilum_self *self)
{
    struct worker_counts *counts = self->counts;
    bool lost_any;
    if (!counts)
        return;
    for (uint32_t i = 0; i < HL_METRICS_EACH && counts->definitions[i]; i++)
        if (!counts->definitions[i]->is_sent)
            send_definition(counts, i + 1, counts->definitions[i]);
    uint32_t n = take_changes(counts, &lost_any);
    for (uint32_t i = 0; i < n; i++)
        send_change(counts, &counts->sending[i]);
    if (lost_any)
        self->table.log(self, HILUM_LOG_WARN,
                        "counted more than 1024 times between two calls: the rest was not taken");
}
