/* The proxy of a notify hook: the event stays here, the hook asks for its fields. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "core/base/error.h"
#include "core/plugin/remote/remote.h"

struct remote_hook {
    struct hl_remote *remote;
    const struct hilum_host *table;
    uint32_t index;
};

/* The text is the event's and lives until it is freed; the worker gets a copy. */
static hilum_rc ask_field(const struct hl_asked_event *a, uint32_t what, const char *field,
                          struct hl_wire *answer)
{
    const char *text = NULL;
    int64_t number = 0;
    hilum_rc rc;
    if (what == HL_ASK_TEXT) {
        rc = a->table->event_text(a->event, field, &text);
        hl_wire_put_text(answer, text);
    } else {
        rc = a->table->event_int(a->event, field, &number);
        hl_wire_put_u64(answer, (uint64_t)number);
    }
    return rc;
}

/* Reads and the plan; a worker edits nothing. The host's table checks each as for a hook in the
 * server. */
hilum_rc hl_remote_ask_event(void *arg, uint32_t what, struct hl_wire *question,
                             struct hl_wire *answer)
{
    const struct hl_asked_event *a = arg;
    const char *first = hl_wire_text(question);
    const char *second = what == HL_ASK_PLAN ? hl_wire_text(question) : NULL;
    if (!first)
        return hl_fail(HILUM_EINVAL, "a question that cannot be read");
    switch (what) {
    case HL_ASK_TEXT:
    case HL_ASK_INT: return ask_field(a, what, first, answer);
    case HL_ASK_PLAN:
        return second ? a->table->event_plan(a->event, first, second)
                      : hl_fail(HILUM_EINVAL, "a question that cannot be read");
    case HL_ASK_REASON: a->table->event_reason(a->event, first); return HILUM_OK;
    default: return hl_fail(HILUM_EINVAL, "an event is not asked for that");
    }
}

/* The hook as the bus calls it. Its own failure is negative; the bus tries it again as any
 * notify hook. */
static int32_t run(void *arg, hilum_event *event)
{
    const struct remote_hook *hook = arg;
    struct hl_asked_event asked = {hook->table, event};
    hilum_rc rc = HILUM_OK;
    struct hl_process *process = hl_remote_begin(hook->remote, HL_OP_HOOK_RUN, hook->index, 0, &rc);
    if (!process)
        return rc;
    hl_remote_answers(process, hl_remote_ask_event, &asked);
    if (hl_remote_run(process, &rc) && rc == HILUM_OK) {
        struct hl_wire *wire = hl_process_wire(process);
        int32_t verdict = (int32_t)hl_wire_u32(wire);
        rc = wire->bad || verdict < 0 ? hl_remote_nonsense(process, "no verdict") : verdict;
    }
    hl_remote_end(process);
    return rc;
}

hilum_rc hl_remote_hook(struct hl_remote *remote, uint32_t index, struct hl_wire *wire,
                        const struct hilum_host *table, hilum_self *self, bool *is_parallel)
{
    struct remote_hook *hook = hl_arena_alloc(hl_remote_arena(remote), sizeof *hook);
    if (!hook)
        return hl_fail(HILUM_ENOMEM, "worker: no memory");
    *hook = (struct remote_hook){remote, table, index};
    struct hilum_hook local = {.size = sizeof local,
                               .phase = HILUM_NOTIFY,
                               .run = run,
                               .arg = hook,
                               .threads = HILUM_PARALLEL}; /* the workers do the waiting */
    local.event = hl_remote_copy(remote, wire);
    local.name = hl_remote_copy(remote, wire);
    local.before = hl_remote_copy(remote, wire);
    local.after = hl_remote_copy(remote, wire);
    local.where = hl_remote_copy(remote, wire);
    local.deadline_ms = hl_wire_u32(wire);
    *is_parallel = hl_wire_u32(wire) == HILUM_PARALLEL;
    if (wire->bad || !local.event || !local.name)
        return hl_fail(HILUM_EINVAL, "a hook that cannot be read");
    return table->subscribe(self, &local);
}
