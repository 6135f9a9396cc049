/* What a plugin in a worker counts, put with the rest of its numbers. SPDX-License-Identifier: Apache-2.0 */
#include "core/plugin/metrics.h"

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/plugin/remote/state.h"

/* Once per number and life: a worker that defined without end would fill the log with refusals. */
static hilum_rc define(struct hl_process *process, uint32_t number)
{
    struct hl_wire *wire = &process->wire;
    struct hilum_self *plugin = process->remote->plugin;
    double bounds[HL_METRIC_BOUNDS] = {0};
    struct hilum_metric metric = {.size = sizeof metric, .type = hl_wire_u32(wire)};
    metric.name = hl_wire_text(wire);
    metric.help = hl_wire_text(wire);
    metric.labels = hl_wire_text(wire);
    metric.n_bounds = hl_wire_u32(wire);
    metric.bounds = bounds;
    if (wire->bad || metric.n_bounds > HL_METRIC_BOUNDS ||
        !hl_wire_bytes(wire, bounds, metric.n_bounds * sizeof *bounds))
        return hl_fail(HILUM_ECORRUPT, "a metric that cannot be read");
    if (process->metrics[number - 1])
        return hl_fail(HILUM_ECORRUPT, "metric %u defined again", number);
    hilum_rc rc = hl_metrics_define(plugin->host->metrics, plugin->id, &metric,
                                    &process->metrics[number - 1]);
    /* Another version of it counts something else under this name: its calls are none the worse. */
    if (rc != HILUM_OK) {
        hl_log(HL_WARN, plugin->id, "%s", hl_error());
        process->metrics[number - 1] = HL_METRIC_REFUSED;
    }
    return HILUM_OK;
}

/* Values and labels are judged by hl_metrics_change, as those of a plugin in the server are. */
hilum_rc hl_remote_count(struct hl_process *process)
{
    struct hl_wire *wire = &process->wire;
    const struct hl_wire_head head = hl_wire_head(wire);
    const char *labels[HL_METRIC_LABELS];
    double value = 0;
    if (head.number == 0 || head.number > HL_METRICS_EACH)
        return hl_fail(HILUM_ECORRUPT, "a metric of number %u", head.number);
    if (head.rc == 0)
        return define(process, head.number);
    hl_wire_bytes(wire, &value, sizeof value);
    for (int i = 0; i < HL_METRIC_LABELS; i++)
        labels[i] = hl_wire_text(wire);
    if (wire->bad || (head.rc != HL_METRIC_ADD && head.rc != HL_METRIC_SET))
        return hl_fail(HILUM_ECORRUPT, "a metric that cannot be read");
    if (process->metrics[head.number - 1] && process->metrics[head.number - 1] != HL_METRIC_REFUSED)
        (void)hl_metrics_change(process->remote->plugin->host->metrics, process->remote->plugin->id,
                                process->metrics[head.number - 1], (enum hl_metric_change)head.rc,
                                labels, value);
    return HILUM_OK;
}
