/* Numbers of plugins' own: counters, gauges and histograms with few labels, as Prometheus text. Owned by a plugin's id, so
 * that a newer version goes on where the older one stopped. It knows nothing of plugins but that id.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_PLUGIN_METRICS_H
#define HL_PLUGIN_METRICS_H

#include "core/base/buf.h"
#include "hilum/host.h"

enum { HL_METRICS_EACH = 64, HL_METRIC_SERIES = 256, HL_METRIC_LABELS = 4, HL_METRIC_BOUNDS = 32 };
enum {
    HL_METRIC_TEXT = 64,
    HL_METRIC_NAME = 60
}; /* bytes of a label's value that count; of a name */

struct hl_metrics; /* of all plugins; any thread */

struct hl_metrics *hl_metrics_new(void); /* NULL: no memory */
void hl_metrics_free(struct hl_metrics *metrics);
/* As hilum_host.metric_define, metric_add and metric_set of the plugin named `owner`. */
hilum_rc hl_metrics_define(struct hl_metrics *metrics, const char *owner,
                           const struct hilum_metric *metric, uint32_t *number);
enum hl_metric_change { HL_METRIC_ADD = 1, HL_METRIC_SET = 2 };
hilum_rc hl_metrics_change(struct hl_metrics *metrics, const char *owner, uint32_t number,
                           enum hl_metric_change change, const char *const *labels, double value);
/* Appends all of them as Prometheus text. */
void hl_metrics_write(struct hl_metrics *metrics, struct hl_buf *out);

#endif
