/* Calls of a report writer. What it reads from the report's source is asked for, a piece at a time.
 * SPDX-License-Identifier: Apache-2.0 */
#include "hilum/report.h"

#include <string.h>

#include "core/base/error.h"
#include "core/worker/worker.h"

struct target {
    unsigned char *bytes;
    uint64_t n, size;
};

static hilum_rc take(void *ctx, const void *bytes, uint64_t n)
{
    struct target *target = ctx;
    if (n > target->size - target->n)
        return hl_fail(HILUM_EFULL, "a document of more than %llu bytes",
                       (unsigned long long)target->size);
    memcpy(target->bytes + target->n, bytes, n);
    target->n += n;
    return HILUM_OK;
}

/* After the question that named it: its length, then piece by piece. */
static hilum_rc pour(struct hilum_self *self, struct hilum_sink *out)
{
    unsigned char piece[HL_WIRE_CHUNK];
    hilum_rc rc = worker_ask_send(self);
    uint64_t total = rc == HILUM_OK ? hl_wire_u64(&self->ask) : 0;
    for (uint64_t at = 0; rc == HILUM_OK && at < total;) {
        uint64_t n = total - at < sizeof piece ? total - at : sizeof piece;
        worker_ask(self, HL_ASK_MORE);
        hl_wire_put_u64(&self->ask, at);
        rc = worker_ask_send(self);
        if (rc == HILUM_OK && !hl_wire_bytes(&self->ask, piece, n))
            rc = hl_fail(HILUM_EIO, "an answer that ends early");
        if (rc == HILUM_OK)
            rc = out->write(out->ctx, piece, n);
        at += n;
    }
    return rc;
}

static hilum_rc attachment(void *ctx, const char *name, const char *media_type,
                           struct hilum_sink *out)
{
    struct hilum_self *self = ctx;
    worker_ask(self, HL_ASK_ATTACHMENT);
    hl_wire_put_text(&self->ask, name);
    hl_wire_put_text(&self->ask, media_type);
    return pour(self, out);
}

static hilum_rc style(void *ctx, const char *name, struct hilum_sink *out)
{
    struct hilum_self *self = ctx;
    worker_ask(self, HL_ASK_STYLE);
    hl_wire_put_text(&self->ask, name);
    return pour(self, out);
}

hilum_rc worker_report(const struct worker_cap *cap, uint32_t op, struct hilum_self *self)
{
    const struct hilum_report *report = (const struct hilum_report *)(const void *)cap->cap;
    const struct hilum_report_source source = {
        .size = sizeof source, .attachment = attachment, .style = style, .ctx = self};
    uint64_t n = hl_wire_u64(&self->in), at = hl_wire_u64(&self->in), size = hl_wire_u64(&self->in);
    const void *document = worker_memory(self, 0, n);
    struct target target = {worker_memory(self, at, size), 0, size};
    struct hilum_sink sink = {.size = sizeof sink, .write = take, .ctx = &target};
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
