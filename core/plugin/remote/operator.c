/* The proxy of an operator. SPDX-License-Identifier: Apache-2.0 */
#include "hilum/operator.h"

#include <string.h>

#include "core/base/error.h"
#include "core/base/sized.h"
#include "core/plugin/remote/remote.h"

enum { MAX_INPUTS = 8 };

struct remote_operator {
    struct hilum_operator table;
    struct hl_remote *remote;
    uint32_t index;
};

/* The frame is checked to be possible, because the caller allocates what it says. */
static hilum_rc plan(void *self, const char *parameters, const struct hilum_frame *in,
                     struct hilum_frame *out)
{
    const struct remote_operator *op = self;
    struct hilum_frame frame = {.size = sizeof frame};
    hilum_rc rc = HILUM_OK;
    struct hl_process *process =
        hl_remote_begin(op->remote, HL_OP_OPERATOR_PLAN, op->index, 0, &rc);
    if (!process)
        return rc;
    struct hl_wire *wire = hl_process_wire(process);
    hl_wire_put_text(wire, parameters);
    hl_wire_put_frame(wire, in);
    if (hl_remote_run(process, &rc) && rc == HILUM_OK) {
        hl_wire_frame(wire, &frame);
        if (wire->bad || !hilum_frame_bytes(&frame))
            rc = hl_remote_nonsense(process, "an impossible frame");
        else
            hl_sized_give(out, &frame, sizeof frame);
    }
    hl_remote_end(process);
    return rc;
}

/* Where each input will lie, and behind them the output. */
static hilum_rc lay_out(const struct hilum_image *in, uint32_t n, uint64_t dst_size,
                        uint64_t at[MAX_INPUTS + 1], uint64_t *total)
{
    uint64_t end = 0;
    if (n > MAX_INPUTS)
        return hl_fail(HILUM_EINVAL, "%u pictures; at most %d", n, MAX_INPUTS);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t size = hilum_frame_bytes(in[i].frame);
        if (!size || size > UINT64_MAX / 64 - end)
            return hl_fail(HILUM_EINVAL, "picture %u is impossible", i);
        at[i] = end;
        end = hl_wire_align(end + size);
    }
    at[n] = end;
    *total = end + dst_size;
    return dst_size > UINT64_MAX / 64 ? hl_fail(HILUM_EINVAL, "the output is impossible")
                                      : HILUM_OK;
}

/* The result has the size the caller asked for: nothing of it is the worker's word. */
static hilum_rc apply(void *self, const char *parameters, const struct hilum_image *in, uint32_t n,
                      void *dst, uint64_t dst_size)
{
    const struct remote_operator *op = self;
    uint64_t at[MAX_INPUTS + 1], total = 0;
    hilum_rc rc = lay_out(in, n, dst_size, at, &total);
    if (rc != HILUM_OK)
        return rc;
    struct hl_process *process =
        hl_remote_begin(op->remote, HL_OP_OPERATOR_APPLY, op->index, total, &rc);
    if (!process)
        return rc;
    struct hl_wire *wire = hl_process_wire(process);
    hl_wire_put_text(wire, parameters);
    hl_wire_put_u32(wire, n);
    for (uint32_t i = 0; i < n; i++) {
        memcpy(hl_process_memory(process) + at[i], in[i].pixels, hilum_frame_bytes(in[i].frame));
        hl_wire_put_frame(wire, in[i].frame);
        hl_wire_put_u64(wire, at[i]);
    }
    hl_wire_put_u64(wire, at[n]);
    hl_wire_put_u64(wire, dst_size);
    if (hl_remote_run(process, &rc) && rc == HILUM_OK)
        memcpy(dst, hl_process_memory(process) + at[n], dst_size);
    hl_remote_end(process);
    return rc;
}

hilum_rc hl_remote_operator(struct hl_remote *remote, uint32_t index, const char *name,
                            struct hl_wire *wire, const struct hilum_cap **cap, void **instance)
{
    struct hl_arena *arena = hl_remote_arena(remote);
    struct remote_operator *op = hl_arena_alloc(arena, sizeof *op);
    bool is_whole = hl_wire_u32(wire) != 0;
    const char *title = hl_wire_text(wire), *schema = hl_wire_text(wire);
    if (!op)
        return hl_fail(HILUM_ENOMEM, "worker: no memory");
    op->remote = remote;
    op->index = index;
    op->table = (struct hilum_operator){
        .cap = {.size = sizeof op->table,
                .kind = HILUM_CAP_OPERATOR,
                .threads = HILUM_PARALLEL,
                .name = hl_arena_strdup(arena, name ? name : "")},
        .title = title ? hl_arena_strdup(arena, title) : NULL,
        .parameters_schema = schema ? hl_arena_strdup(arena, schema) : NULL,
        .n_inputs = hl_wire_u32(wire),
        .plan = is_whole ? plan : NULL,
        .apply = is_whole ? apply : NULL,
    };
    if (wire->bad || !op->table.cap.name)
        return hl_fail(HILUM_EINVAL, "operator %s: a table that cannot be read", name ? name : "");
    *cap = &op->table.cap;
    *instance = op;
    return HILUM_OK;
}
