/* Calls of an operator: plan says what comes out, apply computes it. All pictures lie in the shared
 * memory, the result behind them. SPDX-License-Identifier: Apache-2.0 */
#include "hilum/operator.h"

#include "core/base/error.h"
#include "core/worker/worker.h"

enum { MAX_INPUTS = 8 };

static hilum_rc plan(const struct hilum_operator *op, void *instance, struct hilum_self *self)
{
    struct hilum_frame in = {.size = sizeof in}, out = {.size = sizeof out};
    const char *parameters = hl_wire_text(&self->in);
    hl_wire_frame(&self->in, &in);
    if (self->in.bad)
        return hl_fail(HILUM_EINVAL, "a call that cannot be read");
    hilum_rc rc = op->plan(instance, parameters, &in, &out);
    hl_wire_put_frame(&self->out, &out);
    return rc;
}

/* Whether a picture lies in the memory is checked with the size its own frame says. */
static hilum_rc apply(const struct hilum_operator *op, void *instance, struct hilum_self *self)
{
    struct hilum_frame frames[MAX_INPUTS];
    struct hilum_image images[MAX_INPUTS];
    const char *parameters = hl_wire_text(&self->in);
    uint32_t n = hl_wire_u32(&self->in);
    if (n > MAX_INPUTS)
        return hl_fail(HILUM_EINVAL, "%u pictures; at most %d", n, MAX_INPUTS);
    for (uint32_t i = 0; i < n; i++) {
        frames[i].size = sizeof frames[i];
        hl_wire_frame(&self->in, &frames[i]);
        uint64_t at = hl_wire_u64(&self->in);
        images[i] =
            (struct hilum_image){.size = sizeof images[i],
                                 .frame = &frames[i],
                                 .pixels = worker_memory(self, at, hilum_frame_bytes(&frames[i]))};
        if (!images[i].pixels)
            return hl_fail(HILUM_EINVAL, "a picture that is not there");
    }
    uint64_t at = hl_wire_u64(&self->in), size = hl_wire_u64(&self->in);
    void *dst = worker_memory(self, at, size);
    if (self->in.bad || !dst)
        return hl_fail(HILUM_EINVAL, "a call that cannot be read");
    return op->apply(instance, parameters, images, n, dst, size);
}

hilum_rc worker_operator(const struct worker_cap *cap, uint32_t op, struct hilum_self *self)
{
    const struct hilum_operator *table = (const struct hilum_operator *)(const void *)cap->cap;
    switch (op) {
    case HL_OP_OPERATOR_PLAN: return plan(table, cap->instance, self);
    case HL_OP_OPERATOR_APPLY: return apply(table, cap->instance, self);
    default: return hl_fail(HILUM_EUNSUP, "operation %u is none of an operator", op);
    }
}
