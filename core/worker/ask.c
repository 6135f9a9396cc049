/* Questions to the server in the middle of a call. SPDX-License-Identifier: Apache-2.0 */
#include <unistd.h>

#include "core/base/error.h"
#include "core/worker/worker.h"

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
