/* Calls of a report writer. What it reads from the report's source is asked for, a piece at a time.
 * SPDX-License-Identifier: Apache-2.0 */
#include "hilum/report.h"

#include "core/base/error.h"
#include "core/worker/worker.h"

/* hilum_report_source: a piece of the report that is no text, and a style sheet of the site. */
static hilum_rc attachment(void *ctx, const char *name, const char *media_type,
                           struct hilum_sink *out)
{
    struct hilum_self *self = ctx;
    worker_ask(self, HL_ASK_ATTACHMENT);
    hl_wire_put_text(&self->ask, name);
    hl_wire_put_text(&self->ask, media_type);
    return worker_pour(self, out);
}

static hilum_rc style(void *ctx, const char *name, struct hilum_sink *out)
{
    struct hilum_self *self = ctx;
    worker_ask(self, HL_ASK_STYLE);
    hl_wire_put_text(&self->ask, name);
    return worker_pour(self, out);
}

/* The document at the start of the shared memory, room for the result behind it. */
hilum_rc worker_report(const struct worker_cap *cap, uint32_t op, struct hilum_self *self)
{
    const struct hilum_report *report = (const struct hilum_report *)(const void *)cap->cap;
    const struct hilum_report_source source = {
        .size = sizeof source, .attachment = attachment, .style = style, .ctx = self};
    uint64_t n = hl_wire_u64(&self->in), at = hl_wire_u64(&self->in), size = hl_wire_u64(&self->in);
    const void *document = worker_memory(self, 0, n);
    struct worker_target target = {worker_memory(self, at, size), 0, size};
    struct hilum_sink sink = {.size = sizeof sink, .write = worker_take, .ctx = &target};
    if (self->in.bad || !document || !target.bytes)
        return hl_fail(HILUM_EINVAL, "a call that cannot be read");
    if (op == HL_OP_REPORT_PARSE && !report->parse)
        return hl_fail(HILUM_EUNSUP, "this report is only written");
    hilum_rc rc = op == HL_OP_REPORT_PARSE
                      ? report->parse(cap->instance, document, n, &sink)
                      : report->write(cap->instance, document, n, &source, &sink);
    hl_wire_put_u64(&self->out, target.n);
    return rc;
}
