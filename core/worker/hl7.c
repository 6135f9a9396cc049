/* Calls of an HL7 handler. The message's bytes lie in the shared memory; its fields, which the server has parsed, are asked
 * for. SPDX-License-Identifier: Apache-2.0 */
#include "hilum/hl7.h"

#include <string.h>

#include "core/base/error.h"
#include "core/worker/worker.h"

/* What a handler sees as its message. */
struct hilum_hl7_message {
    struct hilum_self *self;
    const char *type, *source;
    const void *bytes;
    uint64_t n;
};

/* ---- the message ---- */

/* NULL: no such field, or more texts than a call may keep. */
static const char *text(hilum_hl7_message *message, const char *path)
{
    worker_ask(message->self, HL_ASK_HL7_TEXT);
    hl_wire_put_text(&message->self->ask, path);
    return worker_ask_send(message->self) == HILUM_OK
               ? worker_keep(message->self, hl_wire_text(&message->self->ask))
               : NULL;
}

static uint32_t count(hilum_hl7_message *message, const char *path)
{
    worker_ask(message->self, HL_ASK_HL7_COUNT);
    hl_wire_put_text(&message->self->ask, path);
    return worker_ask_send(message->self) == HILUM_OK ? hl_wire_u32(&message->self->ask) : 0;
}

static const void *bytes(hilum_hl7_message *message, uint64_t *n)
{
    *n = message->n;
    return message->bytes;
}

static const char *type(hilum_hl7_message *message)
{
    return message->type;
}

static const char *source(hilum_hl7_message *message)
{
    return message->source;
}

/* ---- calls ---- */

/* The message at the start of the shared memory, room for the answer's segments behind it. The
 * answer is sent even if the handler failed: an HL7 peer is told why (error code and text of the
 * ACK). */
static hilum_rc receive(const struct hilum_hl7 *hl7, void *instance, struct hilum_self *self)
{
    static const struct hilum_hl7_api api = {.size = sizeof api,
                                             .text = text,
                                             .count = count,
                                             .bytes = bytes,
                                             .type = type,
                                             .source = source};
    char line[HL_WIRE_REASON + 1] = "";
    struct hilum_hl7_message message = {.self = self, .n = hl_wire_u64(&self->in)};
    message.type = hl_wire_text(&self->in);
    message.source = hl_wire_text(&self->in);
    message.bytes = worker_memory(self, 0, message.n);
    uint64_t at = hl_wire_u64(&self->in), size = hl_wire_u64(&self->in);
    struct worker_target said = {(unsigned char *)line, 0, HL_WIRE_REASON};
    struct worker_target segments = {worker_memory(self, at, size), 0, size};
    struct hilum_hl7_answer answer = {
        .size = sizeof answer,
        .text = {.size = sizeof answer.text, .write = worker_take, .ctx = &said},
        .segments = {.size = sizeof answer.segments, .write = worker_take, .ctx = &segments}};
    if (self->in.bad || !message.bytes || !segments.bytes || !message.type)
        return hl_fail(HILUM_EINVAL, "a call that cannot be read");
    hilum_rc rc = hl7->receive(instance, &api, &message, &answer);
    hl_wire_put_u32(&self->out, rc == HILUM_PASS_ON);
    hl_wire_put_u32(&self->out, answer.error);
    hl_wire_put_text(&self->out, line);
    hl_wire_put_u64(&self->out, segments.n);
    return rc == HILUM_PASS_ON ? HILUM_OK : rc;
}

/* Room for the message is at the start of the shared memory. The event that caused it, if there
 * is one, is asked for like that of a hook. */
static hilum_rc compose(const struct hilum_hl7 *hl7, void *instance, struct hilum_self *self)
{
    const char *wanted = hl_wire_text(&self->in), *arguments = hl_wire_text(&self->in);
    bool has_cause = hl_wire_u32(&self->in) != 0;
    uint64_t size = hl_wire_u64(&self->in);
    struct worker_target target = {worker_memory(self, 0, size), 0, size};
    struct hilum_sink sink = {.size = sizeof sink, .write = worker_take, .ctx = &target};
    hilum_event *cause = has_cause ? worker_event_new(self) : NULL;
    hilum_rc rc = HILUM_OK;
    if (self->in.bad || !wanted || !target.bytes || !hl7->compose || (has_cause && !cause))
        rc = hl_fail(HILUM_EINVAL, "a call that cannot be read");
    else
        rc = hl7->compose(instance, wanted, cause, arguments, &sink);
    worker_event_free(cause);
    hl_wire_put_u64(&self->out, target.n);
    return rc;
}

hilum_rc worker_hl7(const struct worker_cap *cap, uint32_t op, struct hilum_self *self)
{
    const struct hilum_hl7 *hl7 = (const struct hilum_hl7 *)(const void *)cap->cap;
    switch (op) {
    case HL_OP_HL7_RECEIVE: return receive(hl7, cap->instance, self);
    case HL_OP_HL7_COMPOSE: return compose(hl7, cap->instance, self);
    default: return hl_fail(HILUM_EUNSUP, "operation %u is none of an HL7 handler", op);
    }
}
