/* Notify hooks: the event lies in the server; its fields are asked for when the hook reads them,
 * and kept until it returns.
 *
 * Only HILUM_NOTIFY: such a hook runs after the object is safe, so a worker that hangs or dies
 * delays a notification and nothing else. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "core/base/error.h"
#include "core/worker/worker.h"

/* What a hook sees as its event. */
struct hilum_event {
    struct hilum_self *self;
};

/* The resolver of attributes is the server's, so a field costs a round trip the first time and
 * any other time. */
static hilum_rc event_text(hilum_event *event, const char *field, const char **utf8)
{
    struct hilum_self *self = event->self;
    *utf8 = NULL;
    worker_ask(self, HL_ASK_TEXT);
    hl_wire_put_text(&self->ask, field);
    hilum_rc rc = worker_ask_send(self);
    const char *text = rc == HILUM_OK ? hl_wire_text(&self->ask) : NULL;
    if (rc != HILUM_OK)
        return rc;
    *utf8 = worker_keep(self, text);
    return *utf8 ? HILUM_OK
                 : hl_fail(HILUM_ENOMEM, "field %s: more than %d texts in a call, or no memory",
                           field, WORKER_MAX_KEPT);
}

static hilum_rc event_int(hilum_event *event, const char *field, int64_t *value)
{
    struct hilum_self *self = event->self;
    worker_ask(self, HL_ASK_INT);
    hl_wire_put_text(&self->ask, field);
    hilum_rc rc = worker_ask_send(self);
    *value = rc == HILUM_OK ? (int64_t)hl_wire_u64(&self->ask) : 0;
    return rc;
}

static hilum_rc event_set(hilum_event *event, const char *keyword, const char *utf8)
{
    (void)event;
    (void)utf8;
    return hl_fail(HILUM_EDENIED, "%s: a notify hook changes nothing", keyword);
}

/* The server checks the step as it does for hooks of its own. */
static hilum_rc event_plan(hilum_event *event, const char *verb, const char *arguments_json)
{
    struct hilum_self *self = event->self;
    worker_ask(self, HL_ASK_PLAN);
    hl_wire_put_text(&self->ask, verb);
    hl_wire_put_text(&self->ask, arguments_json);
    return worker_ask_send(self);
}

/* Without an answer that could say anything: the table has no return value here. */
static void event_reason(hilum_event *event, const char *utf8)
{
    worker_ask(event->self, HL_ASK_REASON);
    hl_wire_put_text(&event->self->ask, utf8);
    worker_ask_send(event->self);
}

void worker_event_table(struct hilum_host *table)
{
    table->event_text = event_text;
    table->event_int = event_int;
    table->event_set = event_set;
    table->event_plan = event_plan;
    table->event_reason = event_reason;
}

/* The event of the call that is under way; it knows no more than whom to ask. */
hilum_event *worker_event_new(struct hilum_self *self)
{
    hilum_event *event = calloc(1, sizeof *event);
    if (event)
        event->self = self;
    return event;
}

void worker_event_free(hilum_event *event)
{
    free(event);
}

hilum_rc worker_hook(struct hilum_self *self, uint32_t index)
{
    struct hilum_event event = {.self = self};
    if (index >= self->n_hooks)
        return hl_fail(HILUM_EINVAL, "a call of hook %u of %u", index, self->n_hooks);
    int32_t verdict = self->hooks[index].run(self->hooks[index].arg, &event);
    hl_wire_put_u32(&self->out, (uint32_t)verdict);
    return verdict < 0 ? verdict : HILUM_OK;
}
