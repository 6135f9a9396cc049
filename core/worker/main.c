/* hilum-worker: runs one plugin in a jail and answers the server, one call at a time, until the
 * server is gone. Started by the server and by nobody else.
 *
 * One thread serves the socket: receive a request, do it, send what was counted, send the
 * reply. The plugin may have threads of its own; they can log and count, nothing else.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/plugin/loader.h"
#include "core/worker/jail.h"
#include "core/worker/worker.h"

enum { MAX_GRANTS = 64 };

/* Offsets and sizes come from the server, yet they are checked: a mistake there must not become
 * a write outside of the mapping here. */
void *worker_memory(const struct hilum_self *self, uint64_t at, uint64_t size)
{
    return at <= self->memory_size && size <= self->memory_size - at ? self->memory + at : NULL;
}

/* The server has made the file as long as it says; the mapping follows. */
static hilum_rc map_memory(struct hilum_self *self, uint64_t size)
{
    if (size == self->memory_size)
        return HILUM_OK;
    if (self->memory)
        munmap(self->memory, self->memory_size);
    self->memory_size = 0;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, HL_WIRE_MEMORY, 0);
    self->memory = memory == MAP_FAILED ? NULL : memory;
    if (!self->memory)
        return hl_fail(HILUM_ENOMEM, "shared memory of %llu bytes: %s", (unsigned long long)size,
                       strerror(errno));
    self->memory_size = size;
    return HILUM_OK;
}

/* ---- requests ---- */

/* Server and worker are of one build: messages carry structs of the SDK as they lie in memory. */
static hilum_rc open_plugin(struct hilum_self *self)
{
    const char *grants[MAX_GRANTS + 1] = {NULL};
    const char *version = hl_wire_text(&self->in);
    uint32_t flags = hl_wire_u32(&self->in), in_force = 0;
    struct hl_jail jail = {.memory = hl_wire_u64(&self->in),
                           .file = hl_wire_text(&self->in),
                           .grant = grants,
                           .may_be_weak = (flags & HL_WIRE_MAY_BE_WEAK) != 0};
    uint32_t n = hl_wire_u32(&self->in);
    for (uint32_t i = 0; i < n && i < MAX_GRANTS; i++)
        grants[i] = hl_wire_text(&self->in);
    if (self->in.bad || !version || strcmp(version, HILUM_VERSION) != 0)
        return hl_fail(HILUM_EINVAL, "hilum-worker is of version " HILUM_VERSION
                                     ", the server is not; install both from one package");
    hl_plugin_entry entry = NULL;
    /* The jail first: constructors of the shared object are the plugin's code too. */
    hilum_rc rc = hl_jail_enter(&jail, &in_force);
    if (rc == HILUM_OK)
        rc = hl_loader_open(jail.file, &entry);
    if (rc != HILUM_OK)
        return rc;
    self->plugin = entry(HILUM_ABI_MAJOR, HILUM_ABI_MINOR);
    hl_wire_put_u32(&self->out, in_force);
    worker_put_descriptor(&self->out, self->plugin);
    return HILUM_OK;
}

/* A registration that was refused fails init even if the plugin did not look: a plugin without
 * one of its hooks would seem to run. */
static hilum_rc init_plugin(struct hilum_self *self)
{
    const char *data_dir = hl_wire_text(&self->in);
    self->data_dir = data_dir ? strdup(data_dir) : NULL;
    hilum_rc rc = worker_read_options(self);
    if (rc != HILUM_OK)
        return rc;
    self->registering = true;
    rc = self->plugin->init(&self->table, self, self->conf, &self->state);
    self->registering = false;
    if (rc == HILUM_OK && self->refused != HILUM_OK)
        rc = hl_fail(self->refused, "%s", self->refusal);
    if (rc == HILUM_OK)
        worker_put_caps(self);
    return rc;
}

/* The capability is named by its place in the list worker_put_caps has sent. */
static hilum_rc call_plugin(struct hilum_self *self)
{
    uint32_t op = hl_wire_u32(&self->in), index = hl_wire_u32(&self->in);
    uint64_t size = hl_wire_u64(&self->in);
    if (op == HL_OP_HOOK_RUN)
        return worker_hook(self, index);
    if (index >= self->n_caps)
        return hl_fail(HILUM_EINVAL, "a call of capability %u of %u", index, self->n_caps);
    hilum_rc rc = map_memory(self, size);
    if (rc != HILUM_OK)
        return rc;
    const struct worker_cap *cap = &self->caps[index];
    switch (cap->cap->kind) {
    case HILUM_CAP_CODEC: return worker_codec(cap, op, self);
    case HILUM_CAP_OPERATOR: return worker_operator(cap, op, self);
    case HILUM_CAP_HL7: return worker_hl7(cap, op, self);
    case HILUM_CAP_RENDERER: return worker_renderer(cap, op, self);
    case HILUM_CAP_ROUTE: return worker_route(cap, op, self);
    default: return worker_report(cap, op, self);
    }
}

/* The server kills the worker if this takes too long. */
static hilum_rc end_plugin(struct hilum_self *self)
{
    uint32_t ms = hl_wire_u32(&self->in);
    if (self->plugin && self->plugin->drain)
        self->plugin->drain(self->state, ms);
    if (self->plugin && self->plugin->fini)
        self->plugin->fini(self->state);
    return HILUM_OK;
}

/* in_call: only then there is somebody at the other end who waits for questions. */
static hilum_rc dispatch(struct hilum_self *self, uint32_t type)
{
    hl_error_clear();
    self->in_call = type == HL_WIRE_CALL;
    self->go_on_rc = HILUM_OK;
    switch (type) {
    case HL_WIRE_OPEN: return open_plugin(self);
    case HL_WIRE_INIT: return init_plugin(self);
    case HL_WIRE_START: return self->plugin->start ? self->plugin->start(self->state) : HILUM_OK;
    case HL_WIRE_CALL: return call_plugin(self);
    case HL_WIRE_END: return end_plugin(self);
    default: return hl_fail(HILUM_EUNSUP, "request %u is unknown", type);
    }
}

/* What was borrowed is freed before the reply, and what was counted is sent before it:
 * afterwards the server may send the next call at once. */
static bool answer(struct hilum_self *self)
{
    struct hl_wire_head head = hl_wire_head(&self->in);
    hl_wire_begin_reply(&self->out, HL_WIRE_REPLY, head.number);
    hilum_rc rc = dispatch(self, head.type);
    worker_forget(self);
    worker_metrics_flush(self);
    hl_wire_finish_reply(&self->out, rc, hl_error_of(rc));
    return hl_wire_send(HL_WIRE_SOCKET, &self->out) == HILUM_OK && head.type != HL_WIRE_END;
}

/* The parent's number is an argument, because the server may die before PR_SET_PDEATHSIG is set:
 * then the parent is another one. */
int main(int argc, char **argv)
{
    struct hilum_self *self = calloc(1, sizeof *self);
    /* The server's death ends us even in the middle of an endless loop. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!self || argc != 2 || getppid() != (pid_t)strtol(argv[1], NULL, 10)) {
        fprintf(stderr,
                "hilum-worker is started by hilumd, for a plugin with isolation = \"process\"\n");
        return 2;
    }
    self->thread = pthread_self();
    worker_table_init(self);
    while (hl_wire_receive(HL_WIRE_SOCKET, &self->in, INT64_MAX) == HILUM_OK)
        if (!answer(self))
            break;
    /* No destructors: in the server the plugin's code is never unloaded either. */
    _exit(0);
}
