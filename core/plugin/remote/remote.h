/* Plugins that run in worker processes: what the rest of core/plugin and the proxies of each kind need. A plugin has one
 * worker for each call it may serve at once, so that a crash costs one call. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_PLUGIN_REMOTE_H
#define HL_PLUGIN_REMOTE_H

#include "core/plugin/host.h"
#include "core/worker/wire.h"

struct hl_remote;  /* one plugin, its workers, its record of crashes */
struct hl_process; /* one worker, while somebody calls it */
struct hl_keeper;  /* the thread that starts workers and looks after idle ones */

/* ---- for open.c, life.c, list.c ---- */

/* Starts a worker with plugin->file and asks it who it is; no code of the plugin runs in the server. *out: a descriptor
 * whose members run over there; in the plugin's arena. The keeper comes with the first. HILUM_EUNSUP: the kernel cannot
 * jail it; else what the plugin or its death said. */
hilum_rc hl_remote_open(struct hilum_self *plugin, const struct hilum_plugin **out);
/* Ends the workers; no call may be under way. NULL is fine. */
void hl_remote_free(struct hl_remote *remote);
void hl_keeper_free(struct hl_keeper *keeper);
/* "running", "restarting", "quarantined" and how many crashes, as members of a JSON object. */
void hl_remote_list(struct hl_remote *remote, struct hl_buf *json);
uint64_t hl_remote_crashes(struct hl_remote *remote);
/* Ends all workers nobody is calling. NULL is fine. */
void hl_remote_shut(struct hl_remote *remote);
/* Out of quarantine; the next call starts a worker. */
void hl_remote_forgive(struct hl_remote *remote);

/* ---- for the proxies ---- */

/* Takes a free worker, waiting for one until the plugin's deadline, with `memory` bytes shared, and begins the
 * message of a call of capability `index`. NULL: *rc says why. */
struct hl_process *hl_remote_begin(struct hl_remote *remote, enum hl_wire_op op, uint32_t index,
                                   uint64_t memory, hilum_rc *rc);
/* A worker in one of its lives: what a plugin keeps between calls is there and nowhere else. */
struct hl_place {
    struct hl_process *process;
    uint64_t birth;
};
struct hl_place hl_process_place(struct hl_process *process);
/* The same, but of that worker; its birth may be another by now. */
struct hl_process *hl_remote_begin_at(struct hl_remote *remote, const struct hl_place *place,
                                      enum hl_wire_op op, uint32_t index, uint64_t memory,
                                      hilum_rc *rc);
/* Begins one more call of a worker that has been taken. */
void hl_remote_again(struct hl_process *process, enum hl_wire_op op, uint32_t index);
/* The message being written, and after hl_remote_run the reply being read; the memory the call
 * shares. Both belong to the caller until hl_remote_end. */
struct hl_wire *hl_process_wire(struct hl_process *process);
unsigned char *hl_process_memory(struct hl_process *process);
/* Sends, waits. true: a reply is there to be read, *rc is what the plugin answered, its reason recorded. false: the
 * worker died, hung or talked nonsense, *rc and the reason say so; it is started anew by a later call. */
bool hl_remote_run(struct hl_process *process, hilum_rc *rc);
/* Between begin and run: who answers what the worker asks. Results go into `answer`; an error is the plugin's. */
void hl_remote_answers(struct hl_process *process,
                       hilum_rc (*ask)(void *arg, uint32_t what, struct hl_wire *question,
                                       struct hl_wire *answer),
                       void *arg);
/* Between begin and run: go_on(arg) is asked during the call whether anybody waits for it, on this thread, 20 times a second.
 * Anything but HILUM_OK ends the worker, without blame, and the call with HILUM_ECANCELLED. NULL: nobody is asked. */
void hl_remote_while(struct hl_process *process, hilum_rc (*go_on)(void *arg), void *arg);
/* A reply that makes no sense: as if it had crashed. Returns HILUM_EINTERNAL. */
hilum_rc hl_remote_nonsense(struct hl_process *process, const char *what);
/* Gives the worker back. */
void hl_remote_end(struct hl_process *process);

/* codec.c, operator.c, report.c: reads one table from a message and builds the proxy in the plugin's arena. */
hilum_rc hl_remote_codec(struct hl_remote *remote, uint32_t index, const char *name,
                         struct hl_wire *wire, const struct hilum_cap **cap, void **instance);
hilum_rc hl_remote_operator(struct hl_remote *remote, uint32_t index, const char *name,
                            struct hl_wire *wire, const struct hilum_cap **cap, void **instance);
hilum_rc hl_remote_report(struct hl_remote *remote, uint32_t index, const char *name,
                          struct hl_wire *wire, const struct hilum_cap **cap, void **instance);
hilum_rc hl_remote_renderer(struct hl_remote *remote, uint32_t index, const char *name,
                            struct hl_wire *wire, const struct hilum_cap **cap, void **instance);
hilum_rc hl_remote_hl7(struct hl_remote *remote, uint32_t index, const char *name,
                       struct hl_wire *wire, const struct hilum_cap **cap, void **instance);
hilum_rc hl_remote_route(struct hl_remote *remote, uint32_t index, const char *name,
                         struct hl_wire *wire, const struct hilum_cap **cap, void **instance);
/* hook.c: what a call that has an event is asked for; arg: one of these. */
struct hl_asked_event {
    const struct hilum_host *table;
    hilum_event *event;
};
hilum_rc hl_remote_ask_event(void *arg, uint32_t what, struct hl_wire *question,
                             struct hl_wire *answer);
/* hook.c: reads one hook and subscribes to it. *is_parallel as it says. */
hilum_rc hl_remote_hook(struct hl_remote *remote, uint32_t index, struct hl_wire *wire,
                        const struct hilum_host *table, hilum_self *self, bool *is_parallel);
/* Where proxies live: as long as the plugin. */
struct hl_arena *hl_remote_arena(struct hl_remote *remote);
/* The next text of a message, in that arena; NULL: none, or no memory. */
const char *hl_remote_copy(struct hl_remote *remote, struct hl_wire *wire);

#endif
