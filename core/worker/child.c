/* Programs run by the server for a call: a worker may start none itself. What goes in and comes out crosses the socket in
 * pieces. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "core/base/error.h"
#include "core/worker/worker.h"

/* The server collects the pieces until HL_ASK_CHILD says how many bytes they must be. */
static hilum_rc send_input(struct hilum_self *self, const struct hilum_child *child)
{
    hilum_rc rc = HILUM_OK;
    for (uint64_t at = 0; rc == HILUM_OK && at < child->n;) {
        uint64_t n = child->n - at < HL_WIRE_CHUNK ? child->n - at : HL_WIRE_CHUNK;
        worker_ask(self, HL_ASK_CHILD_INPUT);
        hl_wire_put_u64(&self->ask, at);
        hl_wire_put_bytes(&self->ask, (const char *)child->input + at, (size_t)n);
        rc = worker_ask_send(self);
        at += n;
    }
    return rc;
}

/* Which programs may be run is decided by the server, from the plugin's configuration. */
static hilum_rc run(struct hilum_self *self, const struct hilum_child *child, int32_t *status)
{
    uint32_t n = 0;
    while (child->argv[n])
        n++;
    worker_ask(self, HL_ASK_CHILD);
    hl_wire_put_u64(&self->ask, child->n);
    hl_wire_put_u32(&self->ask, child->deadline_ms);
    hl_wire_put_u64(&self->ask, child->memory_max);
    hl_wire_put_u64(&self->ask, child->output_max);
    hl_wire_put_u32(&self->ask, child->output != NULL);
    hl_wire_put_u32(&self->ask, child->errors != NULL);
    hl_wire_put_u32(&self->ask, n);
    for (uint32_t i = 0; i < n; i++)
        hl_wire_put_text(&self->ask, child->argv[i]);
    hilum_rc rc = worker_ask_send(self);
    *status = rc == HILUM_OK ? (int32_t)hl_wire_u32(&self->ask) : 0;
    return rc;
}

/* which: 0 standard output, 1 standard error; the server has kept them. */
static hilum_rc fetch(struct hilum_self *self, uint32_t which, struct hilum_sink *out)
{
    unsigned char piece[HL_WIRE_CHUNK];
    uint64_t at = 0, n = HL_WIRE_CHUNK;
    hilum_rc rc = HILUM_OK;
    while (out && rc == HILUM_OK && n == HL_WIRE_CHUNK) {
        worker_ask(self, HL_ASK_CHILD_MORE);
        hl_wire_put_u32(&self->ask, which);
        hl_wire_put_u64(&self->ask, at);
        rc = worker_ask_send(self);
        n = rc == HILUM_OK ? hl_wire_u32(&self->ask) : 0;
        if (rc == HILUM_OK && (n > sizeof piece || !hl_wire_bytes(&self->ask, piece, n)))
            rc = hl_fail(HILUM_EIO, "an answer that ends early");
        if (rc == HILUM_OK && n)
            rc = out->write(out->ctx, piece, n);
        at += n;
    }
    return rc;
}

/* hilum_host.run_child: only within a call, on its thread. Blocks until the program has ended. */
hilum_rc worker_run_child(hilum_self *self, const struct hilum_child *child, int32_t *status)
{
    *status = 0;
    if (!child->argv || !child->argv[0])
        return hl_fail(HILUM_EDENIED, "a child without a program");
    hilum_rc rc = send_input(self, child);
    if (rc == HILUM_OK)
        rc = run(self, child, status);
    if (rc == HILUM_OK)
        rc = fetch(self, 0, child->output);
    return rc == HILUM_OK ? fetch(self, 1, child->errors) : rc;
}
