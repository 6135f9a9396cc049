/* Inside hilum-worker: one plugin, one call at a time, on behalf of the server at the other end of the socket.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_WORKER_H
#define HL_WORKER_H

#include "core/worker/wire.h"
#include "hilum/host.h"

enum { WORKER_MAX_CAPS = 64 };

struct worker_cap {
    const struct hilum_cap *cap;
    void *instance;
};

/* What a plugin sees as its hilum_self: the worker itself. */
struct hilum_self {
    struct hilum_host table;
    const struct hilum_plugin *plugin;
    const char *data_dir;
    void *conf, *state;
    struct worker_cap caps[WORKER_MAX_CAPS];
    uint32_t n_caps;
    bool registering;
    hilum_rc refused; /* the first registration that failed, even if init ignored it */
    char refusal[256];
    unsigned char *memory; /* shared with the server; mapped as far as it said */
    uint64_t memory_size;
    struct hl_wire in, out;
};

/* table.c: struct hilum_host as far as a worker can serve it. */
void worker_table_init(struct hilum_self *self);

/* describe.c */
/* Appends what the server must know of the descriptor. Of one that is not ours only what tells why. */
void worker_put_descriptor(struct hl_wire *out, const struct hilum_plugin *plugin);
/* Reads the values of the options into self->conf. */
hilum_rc worker_read_options(struct hilum_self *self);
/* Appends the tables provided. */
void worker_put_caps(struct hilum_self *self);

/* codec.c, operator.c: one call; arguments are read from self->in, results appended to self->out. */
hilum_rc worker_codec(const struct worker_cap *cap, uint32_t op, struct hilum_self *self);
hilum_rc worker_operator(const struct worker_cap *cap, uint32_t op, struct hilum_self *self);

/* A part of the shared memory; NULL: the server named one that is not there. */
void *worker_memory(const struct hilum_self *self, uint64_t at, uint64_t size);

#endif
