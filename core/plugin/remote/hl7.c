/* The proxy of an HL7 handler: the message stays here, parsed; the handler asks for its fields.
 *
 * Questions are answered on the thread of the call, with the message its caller holds, so the
 * parsed message is never used by two threads. SPDX-License-Identifier: Apache-2.0 */
#include "hilum/hl7.h"

#include <string.h>

#include "core/base/error.h"
#include "core/plugin/remote/state.h"

enum { MAX_MESSAGE = 64 * 1024 * 1024, MAX_SEGMENTS = 4 * 1024 * 1024, MAX_TYPES = 256 };

struct remote_hl7 {
    struct hilum_hl7 table;
    struct hl_remote *remote;
    uint32_t index;
};

struct asked {
    const struct hilum_hl7_api *api;
    hilum_hl7_message *message;
};

/* What a handler asks while it runs; anything else is its mistake, told as an error of its call. */
static hilum_rc ask(void *arg, uint32_t what, struct hl_wire *question, struct hl_wire *answer)
{
    const struct asked *a = arg;
    const char *path = hl_wire_text(question);
    if (!path || (what != HL_ASK_HL7_TEXT && what != HL_ASK_HL7_COUNT))
        return hl_fail(HILUM_EINVAL, "a message is not asked for that");
    if (what == HL_ASK_HL7_TEXT)
        hl_wire_put_text(answer, a->api->text(a->message, path));
    else
        hl_wire_put_u32(answer, a->api->count(a->message, path));
    return HILUM_OK;
}

/* Its results explain a refusal too: they are read whatever the outcome. */
static hilum_rc take_answer(struct hl_process *process, hilum_rc rc, uint64_t at,
                            struct hilum_hl7_answer *answer)
{
    struct hl_wire *wire = hl_process_wire(process);
    bool passes = hl_wire_u32(wire) != 0;
    uint32_t error = hl_wire_u32(wire);
    const char *line = hl_wire_text(wire);
    uint64_t n = hl_wire_u64(wire);
    if (wire->bad && rc != HILUM_OK)
        return rc;
    if (wire->bad || n > MAX_SEGMENTS || !line)
        return hl_remote_nonsense(process, "an answer longer than its memory");
    answer->error = error;
    hilum_rc written = *line ? answer->text.write(answer->text.ctx, line, strlen(line)) : HILUM_OK;
    if (written == HILUM_OK && n)
        written = answer->segments.write(answer->segments.ctx, hl_process_memory(process) + at, n);
    if (rc != HILUM_OK)
        return rc;
    return written != HILUM_OK ? written : passes ? HILUM_PASS_ON : HILUM_OK;
}

/* Room for the answer's segments behind the message, at a page boundary. */
static hilum_rc receive(void *self, const struct hilum_hl7_api *api, hilum_hl7_message *message,
                        struct hilum_hl7_answer *answer)
{
    const struct remote_hl7 *hl7 = self;
    struct asked asked = {api, message};
    uint64_t n = 0;
    const void *bytes = api->bytes(message, &n);
    uint64_t at = hl_wire_align(n);
    hilum_rc rc = HILUM_OK;
    if (n > MAX_MESSAGE)
        return hl_fail(HILUM_EINVAL, "a message of more than %d bytes", MAX_MESSAGE);
    struct hl_process *process =
        hl_remote_begin(hl7->remote, HL_OP_HL7_RECEIVE, hl7->index, at + MAX_SEGMENTS, &rc);
    if (!process)
        return rc;
    struct hl_wire *wire = hl_process_wire(process);
    memcpy(hl_process_memory(process), bytes, n);
    hl_wire_put_u64(wire, n);
    hl_wire_put_text(wire, api->type(message));
    hl_wire_put_text(wire, api->source(message));
    hl_wire_put_u64(wire, at);
    hl_wire_put_u64(wire, MAX_SEGMENTS);
    hl_remote_answers(process, ask, &asked);
    if (hl_remote_run(process, &rc))
        rc = take_answer(process, rc, at, answer);
    hl_remote_end(process);
    return rc;
}

static hilum_rc compose(void *self, const char *type, hilum_event *cause,
                        const char *arguments_json, struct hilum_sink *out)
{
    const struct remote_hl7 *hl7 = self;
    struct hl_asked_event asked = {&hl7->remote->plugin->host->table, cause};
    hilum_rc rc = HILUM_OK;
    struct hl_process *process =
        hl_remote_begin(hl7->remote, HL_OP_HL7_COMPOSE, hl7->index, MAX_SEGMENTS, &rc);
    if (!process)
        return rc;
    struct hl_wire *wire = hl_process_wire(process);
    hl_wire_put_text(wire, type);
    hl_wire_put_text(wire, arguments_json);
    hl_wire_put_u32(wire, cause != NULL);
    hl_wire_put_u64(wire, MAX_SEGMENTS);
    if (cause)
        hl_remote_answers(process, hl_remote_ask_event, &asked);
    if (hl_remote_run(process, &rc) && rc == HILUM_OK) {
        uint64_t n = hl_wire_u64(wire);
        if (wire->bad || n > MAX_SEGMENTS)
            rc = hl_remote_nonsense(process, "a message longer than its memory");
        else
            rc = out->write(out->ctx, hl_process_memory(process), n);
    }
    hl_remote_end(process);
    return rc;
}

/* ---- the table ---- */

static const char *const *read_types(struct hl_arena *arena, struct hl_wire *wire)
{
    uint32_t n = hl_wire_u32(wire);
    const char **list = n <= MAX_TYPES ? hl_arena_alloc(arena, (n + 1u) * sizeof *list) : NULL;
    for (uint32_t i = 0; list && i < n; i++) {
        const char *type = hl_wire_text(wire);
        list[i] = hl_arena_strdup(arena, type ? type : "");
    }
    return list;
}

hilum_rc hl_remote_hl7(struct hl_remote *remote, uint32_t index, const char *name,
                       struct hl_wire *wire, const struct hilum_cap **cap, void **instance)
{
    struct hl_arena *arena = hl_remote_arena(remote);
    struct remote_hl7 *hl7 = hl_arena_alloc(arena, sizeof *hl7);
    bool is_whole = hl_wire_u32(wire) != 0, composes = hl_wire_u32(wire) != 0;
    if (!hl7)
        return hl_fail(HILUM_ENOMEM, "worker: no memory");
    hl7->remote = remote;
    hl7->index = index;
    hl7->table.cap = (struct hilum_cap){.size = sizeof hl7->table,
                                        .kind = HILUM_CAP_HL7,
                                        .threads = HILUM_PARALLEL,
                                        .name = hl_arena_strdup(arena, name ? name : "")};
    hl7->table.accepts = read_types(arena, wire);
    hl7->table.makes = read_types(arena, wire);
    hl7->table.receive = is_whole ? receive : NULL;
    hl7->table.compose = composes ? compose : NULL;
    if (wire->bad || !hl7->table.accepts || !hl7->table.makes || !hl7->table.cap.name)
        return hl_fail(HILUM_EINVAL, "hl7 %s: a table that cannot be read", name ? name : "");
    *cap = &hl7->table.cap;
    *instance = hl7;
    return HILUM_OK;
}
