/* Questions to the server in the middle of a call.
 *
 * The conversation is strictly nested: the server has asked for a call, the worker asks back,
 * gets its answer, goes on. One thread only, the one in main(); a thread of the plugin's own is
 * refused. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/worker/worker.h"

enum { GO_ON_MS = 50 };

void worker_ask(struct hilum_self *self, enum hl_wire_ask what)
{
    hl_wire_begin(&self->ask, HL_WIRE_ASK, what, 0);
}

hilum_rc worker_ask_send(struct hilum_self *self)
{
    /* The socket carries one conversation, and that is the call's. */
    if (!self->in_call || !pthread_equal(pthread_self(), self->thread))
        return hl_fail(HILUM_EDENIED,
                       "asked outside of a call, or on a thread of the plugin's own");
    hilum_rc rc = hl_wire_send(HL_WIRE_SOCKET, &self->ask);
    if (rc == HILUM_EFULL)
        return rc;
    if (rc == HILUM_OK)
        rc = hl_wire_receive(HL_WIRE_SOCKET, &self->ask, INT64_MAX);
    /* Without the server there is nothing to go on for. */
    if (rc != HILUM_OK)
        _exit(0);
    return hl_wire_outcome(&self->ask);
}

/* A question is a round trip, and what asks it a loop: every 50 ms is often enough. Once it is no, it stays no until the call
 * ends. */
hilum_rc worker_ask_go_on(struct hilum_self *self)
{
    int64_t now = hl_mono_ms();
    if (self->go_on_rc != HILUM_OK)
        return hl_fail(self->go_on_rc, "nobody waits for this any more");
    if (now - self->go_on_ms < GO_ON_MS)
        return HILUM_OK;
    self->go_on_ms = now;
    worker_ask(self, HL_ASK_GO_ON);
    self->go_on_rc = worker_ask_send(self);
    return self->go_on_rc;
}

/* The limit bounds what one call can make the worker hold; a plugin that reads fields in a loop
 * gets NULL then. */
const char *worker_keep(struct hilum_self *self, const char *text)
{
    char *copy = text && self->n_kept < WORKER_MAX_KEPT ? strdup(text) : NULL;
    if (copy)
        self->kept[self->n_kept++] = copy;
    return copy;
}

/* After every request: what a plugin borrowed is its own until its call returns, not longer. */
void worker_forget(struct hilum_self *self)
{
    while (self->n_kept)
        free(self->kept[--self->n_kept]);
}

/* ---- bytes in and out ---- */

hilum_rc worker_take(void *ctx, const void *bytes, uint64_t n)
{
    struct worker_target *target = ctx;
    if (n > target->size - target->n)
        return hl_fail(HILUM_EFULL, "a result of more than %llu bytes",
                       (unsigned long long)target->size);
    memcpy(target->bytes + target->n, bytes, n);
    target->n += n;
    return HILUM_OK;
}

/* The server keeps the whole answer until the next question that is not HL_ASK_MORE. */
hilum_rc worker_pour(struct hilum_self *self, struct hilum_sink *out)
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
