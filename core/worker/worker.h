/* Inside hilum-worker: one plugin, one call at a time, on behalf of the server at the other end of the socket.
 *
 * One thread, main()'s, reads requests and makes every call of the plugin; threads the plugin
 * starts may log, count and compute, and may not ask (worker_ask_send refuses them). So
 * nothing here but the counts has a lock. When the socket closes the worker ends: it has
 * nothing that outlives the server.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_WORKER_H
#define HL_WORKER_H

#include <pthread.h>

#include "core/worker/wire.h"
#include "hilum/host.h"

/* Arrays of fixed size: a plugin of a stranger cannot make the worker grow, and the server
 * names what it means by place. */
enum {
    WORKER_MAX_CAPS = 64,
    WORKER_MAX_HOOKS = 64,
    WORKER_MAX_SCENES = 64,
    WORKER_MAX_SOURCES = 64,
    WORKER_MAX_KEPT = 1024
};

/* A table the plugin provided, and what it wants back as `instance`. */
struct worker_cap {
    const struct hilum_cap *cap;
    void *instance;
};

/* What a plugin sees as its hilum_self: the worker itself. in, out, ask: of the request under
 * way, its reply, and a question within it; 64 KiB each. */
struct hilum_self {
    struct hilum_host table;
    const struct hilum_plugin *plugin;
    const char *data_dir;
    void *conf, *state;
    struct worker_cap caps[WORKER_MAX_CAPS];
    uint32_t n_caps;
    struct hilum_hook hooks[WORKER_MAX_HOOKS];
    uint32_t n_hooks;
    struct worker_scene *scenes[WORKER_MAX_SCENES];    /* renderer.c */
    struct worker_source *sources[WORKER_MAX_SOURCES]; /* route.c */
    struct hilum_http *http;                           /* of the call under way; NULL */
    pthread_t thread;                                  /* that serves calls; only it may ask */
    bool in_call;
    hilum_rc go_on_rc;           /* what the server said last: does anybody wait for this call? */
    int64_t go_on_ms;            /* when it was asked */
    char *kept[WORKER_MAX_KEPT]; /* texts a plugin borrows until its call returns */
    uint32_t n_kept;
    bool registering;
    hilum_rc refused; /* the first registration that failed, even if init ignored it */
    char refusal[256];
    unsigned char *memory; /* shared with the server; mapped as far as it said */
    uint64_t memory_size;
    struct worker_counts *counts; /* metrics.c; NULL: it counts nothing */
    struct hl_wire in, out, ask;
};

/* table.c: struct hilum_host as far as a worker can serve it. */
void worker_table_init(struct hilum_self *self);

/* child.c: hilum_host.run_child. */
hilum_rc worker_run_child(hilum_self *self, const struct hilum_child *child, int32_t *status);

/* metrics.c. flush: what has been counted since the last time; before a reply. */
void worker_metrics_table(struct hilum_host *table);
void worker_metrics_flush(struct hilum_self *self);

/* describe.c */
/* Appends what the server must know of the descriptor. Of one that is not ours only what tells why. */
void worker_put_descriptor(struct hl_wire *out, const struct hilum_plugin *plugin);
/* Reads the values of the options into self->conf. */
hilum_rc worker_read_options(struct hilum_self *self);
/* Appends the tables provided. */
void worker_put_caps(struct hilum_self *self);

/* codec.c, operator.c, report.c, renderer.c, hl7.c, route.c: one call; arguments are read from self->in, results appended to self->out. */
hilum_rc worker_codec(const struct worker_cap *cap, uint32_t op, struct hilum_self *self);
hilum_rc worker_operator(const struct worker_cap *cap, uint32_t op, struct hilum_self *self);

hilum_rc worker_renderer(const struct worker_cap *cap, uint32_t op, struct hilum_self *self);
hilum_rc worker_hl7(const struct worker_cap *cap, uint32_t op, struct hilum_self *self);
hilum_rc worker_route(const struct worker_cap *cap, uint32_t op, struct hilum_self *self);
/* route.c: hilum_host.allow, which knows whoever asks a route. */
hilum_rc worker_allow(hilum_self *self, const hilum_principal *who, const char *action,
                      const char *resource);
hilum_rc worker_report(const struct worker_cap *cap, uint32_t op, struct hilum_self *self);
/* hook.c: runs the index-th hook; its verdict is the result. */
hilum_rc worker_hook(struct hilum_self *self, uint32_t index);
/* The event of this call, for other kinds that have one. free: NULL is fine. */
hilum_event *worker_event_new(struct hilum_self *self);
void worker_event_free(hilum_event *event);
void worker_event_table(struct hilum_host *table);

/* ask.c: a question to the server within a call. begin; arguments into self->ask; send, after which self->ask holds the
 * results. HILUM_EDENIED: outside a call or on another thread. */
void worker_ask(struct hilum_self *self, enum hl_wire_ask what);
hilum_rc worker_ask_send(struct hilum_self *self);
/* Does anybody wait for what this call makes? HILUM_ECLOSED: no. Cheap. */
hilum_rc worker_ask_go_on(struct hilum_self *self);
/* A copy of a text of self->ask that lives until the call returns. NULL: text was, or no memory. */
const char *worker_keep(struct hilum_self *self, const char *text);
void worker_forget(struct hilum_self *self);
/* Instead of send, for a question whose answer is of any length: it flows into `out`. */
hilum_rc worker_pour(struct hilum_self *self, struct hilum_sink *out);

/* A sink into shared memory: write = worker_take, ctx = one of these. */
struct worker_target {
    unsigned char *bytes;
    uint64_t n, size;
};
/* HILUM_EFULL: more than the target holds; nothing is written then. */
hilum_rc worker_take(void *ctx, const void *bytes, uint64_t n);

/* A part of the shared memory; NULL: the server named one that is not there. */
void *worker_memory(const struct hilum_self *self, uint64_t at, uint64_t size);

#endif
