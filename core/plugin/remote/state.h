/* Inside core/plugin/remote: a plugin that runs elsewhere. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_REMOTE_STATE_H
#define HL_REMOTE_STATE_H

#include "core/plugin/remote/process.h"

enum { MAX_REMOTE_WORKERS = 64, MAX_REMOTE_CRASHES = 100 };

/* How far each new worker is brought before it takes calls. */
enum remote_phase { REMOTE_OPENED, REMOTE_INITIALISED, REMOTE_STARTED };

struct hl_remote {
    struct hilum_self *plugin;
    struct hl_keeper *keeper;
    const char *program;
    /* Configuration: plugins[].limits. */
    int64_t deadline_ms;
    uint64_t memory;
    unsigned max_workers, max_crashes;
    bool may_be_weak;
    /* What the first worker said of itself: the others run the same file and must say the same. */
    struct hl_buf description, capabilities;

    pthread_mutex_t lock;
    pthread_cond_t changed; /* a worker is free, or may be started */
    struct hl_process *workers[MAX_REMOTE_WORKERS];
    unsigned n_workers; /* that may exist; 1 until all capabilities say HILUM_PARALLEL */
    enum remote_phase phase;
    /* Crashes: when, of late; how many without a good call between; no start before. */
    struct {
        int64_t ms;
        uint64_t good; /* calls that had gone well by then */
    } crashes[MAX_REMOTE_CRASHES];
    uint64_t good;
    uint64_t n_crashes;
    unsigned in_a_row;
    int64_t not_before;
    bool is_quarantined;
    char last[320]; /* the last crash, for people */
};

/* boot.c: from nothing to the phase the plugin is in. Any thread that has made it busy. */
hilum_rc hl_remote_boot(struct hl_remote *remote, struct hl_process *process);
/* One step of a life; HILUM_E* of the plugin, or HILUM_EINTERNAL with how it died. */
hilum_rc hl_remote_step(struct hl_remote *remote, struct hl_process *process,
                        enum hl_wire_type step);
/* Builds the descriptor from remote->description. */
hilum_rc hl_remote_descriptor(struct hl_remote *remote, struct hl_wire *wire,
                              const struct hilum_plugin **out);

/* remote.c: the descriptor's members, which run over there. */
hilum_rc hl_remote_init(const struct hilum_host *table, hilum_self *self, const void *conf,
                        void **state);
hilum_rc hl_remote_start(void *state);
void hl_remote_fini(void *state);

/* crash.c. Ends what is left of a worker, remembers why, tells, and quarantines. `doing`: "a call", "start". Leaves the
 * whole sentence as the reason and returns rc. The worker must be busy; no lock held. */
hilum_rc hl_remote_crashed(struct hl_process *process, hilum_rc rc, const char *doing);
/* With the lock: HILUM_ECLOSED with its reason while in quarantine. */
hilum_rc hl_remote_check_quarantine(const struct hl_remote *remote);

#endif
