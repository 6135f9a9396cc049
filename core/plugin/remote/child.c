/* A program run for a plugin in a worker: the same check and the same limits as for one in the server, and within the
 * deadline of the call. SPDX-License-Identifier: Apache-2.0 */
#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/plugin/remote/state.h"

enum { MAX_ARGUMENTS = 256, MAX_BYTES = 256 * 1024 * 1024, ANSWER_MS = 200 };

/* A sink into a buffer of the server's. The bound is per part, so a worker can hold three times
 * as much here. */
static hilum_rc keep(void *ctx, const void *bytes, uint64_t n)
{
    struct hl_buf *buf = ctx;
    if (n > MAX_BYTES || buf->len > MAX_BYTES - n)
        return hl_fail(HILUM_EFULL, "more than %d bytes of a child of a worker", MAX_BYTES);
    hl_buf_add(buf, bytes, (size_t)n);
    return buf->failed ? hl_fail(HILUM_ENOMEM, "no memory for a child's bytes") : HILUM_OK;
}

/* The rest of the question. Pieces come in order; the first begins anew. */
static hilum_rc take_input(struct hl_process *process)
{
    struct hl_wire *wire = &process->wire;
    uint64_t at = hl_wire_u64(wire);
    if (at == 0)
        hl_buf_clear(&process->child[HL_CHILD_IN]);
    if (wire->bad || at != process->child[HL_CHILD_IN].len)
        return hl_fail(HILUM_EINVAL, "input of a child out of order");
    return keep(&process->child[HL_CHILD_IN], wire->bytes + wire->at, wire->len - wire->at);
}

/* A little before the call's own deadline, so that the plugin can still say what it makes of that. */
static uint32_t until(const struct hl_process *process, uint32_t wanted_ms)
{
    int64_t left = process->deadline_ms - hl_mono_ms();
    left -= left / 10 < ANSWER_MS ? left / 10 : ANSWER_MS;
    left = left > 1 ? left : 1; /* 0 would be the default */
    return wanted_ms && wanted_ms < left ? wanted_ms : (uint32_t)left;
}

/* Blocks this thread until the program has ended, as the plugin's call would in the server.
 * Whether it may be run is decided by run_child of the host's table, which knows the plugin. */
static hilum_rc run(struct hl_process *process, struct hl_wire *answer)
{
    struct hl_wire *wire = &process->wire;
    struct hilum_self *plugin = process->remote->plugin;
    const char *argv[MAX_ARGUMENTS + 1] = {NULL};
    struct hl_buf *bytes = process->child;
    struct hilum_sink out = {.size = sizeof out, .write = keep, .ctx = &bytes[HL_CHILD_OUT]};
    struct hilum_sink err = {.size = sizeof err, .write = keep, .ctx = &bytes[HL_CHILD_ERR]};
    struct hilum_child child = {.size = sizeof child, .argv = argv, .n = hl_wire_u64(wire)};
    int32_t status = 0;
    child.deadline_ms = until(process, hl_wire_u32(wire));
    child.memory_max = hl_wire_u64(wire);
    child.output_max = hl_wire_u64(wire);
    child.output = hl_wire_u32(wire) ? &out : NULL;
    child.errors = hl_wire_u32(wire) ? &err : NULL;
    uint32_t n = hl_wire_u32(wire);
    for (uint32_t i = 0; i < n && i < MAX_ARGUMENTS; i++)
        argv[i] = hl_wire_text(wire);
    if (wire->bad || n > MAX_ARGUMENTS || (child.n && child.n != bytes[HL_CHILD_IN].len))
        return hl_fail(HILUM_EINVAL, "a child that cannot be read, or of more than %d arguments",
                       MAX_ARGUMENTS);
    child.input = child.n ? bytes[HL_CHILD_IN].data : NULL;
    hl_buf_clear(&bytes[HL_CHILD_OUT]);
    hl_buf_clear(&bytes[HL_CHILD_ERR]);
    hilum_rc rc = plugin->host->table.run_child(plugin, &child, &status);
    hl_buf_fini(&bytes[HL_CHILD_IN]);
    hl_wire_put_u32(answer, (uint32_t)status);
    return rc;
}

/* `which`: 0 output, else errors. Past the end: zero bytes, which is how the worker knows. */
static hilum_rc give_more(struct hl_process *process, struct hl_wire *answer)
{
    uint32_t which = hl_wire_u32(&process->wire);
    uint64_t at = hl_wire_u64(&process->wire);
    const struct hl_buf *buf = &process->child[which ? HL_CHILD_ERR : HL_CHILD_OUT];
    uint64_t left = at < buf->len ? buf->len - at : 0;
    uint64_t n = left < HL_WIRE_CHUNK ? left : HL_WIRE_CHUNK;
    hl_wire_put_u32(answer, (uint32_t)n);
    if (n)
        hl_wire_put_bytes(answer, buf->data + at, (size_t)n);
    return HILUM_OK;
}

hilum_rc hl_remote_ask_child(struct hl_process *process, uint32_t what, struct hl_wire *answer)
{
    switch (what) {
    case HL_ASK_CHILD_INPUT: return take_input(process);
    case HL_ASK_CHILD: return run(process, answer);
    default: return give_more(process, answer);
    }
}

void hl_remote_forget_child(struct hl_process *process)
{
    for (int i = 0; i < HL_CHILD_PARTS; i++)
        hl_buf_fini(&process->child[i]);
}
