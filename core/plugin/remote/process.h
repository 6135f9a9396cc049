/* One worker process, seen from the server: its socket, its shared memory, its death. It knows nothing of plugins.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_REMOTE_PROCESS_H
#define HL_REMOTE_PROCESS_H

#include <sys/types.h>

#include "core/plugin/metrics.h"
#include "core/plugin/remote/remote.h"

#define HL_METRIC_REFUSED UINT32_MAX
enum { HL_CHILD_IN, HL_CHILD_OUT, HL_CHILD_ERR, HL_CHILD_PARTS };

struct hl_process {
    struct hl_remote *remote;
    pid_t pid; /* 0: none runs */
    int pidfd, sock, memory_fd, text_fd;
    unsigned char *memory;
    uint64_t memory_size;
    uint32_t number;  /* of the last request */
    uint64_t birth;   /* counts starts */
    bool is_worn_out; /* to be ended with the call */
    /* The host's numbers of what this life has defined, or HL_METRIC_REFUSED. */
    uint32_t metrics[HL_METRICS_EACH];
    /* Guarded by the remote's lock; what is above belongs to whoever made it busy. */
    bool busy;
    uint64_t calls, seen_calls;          /* counted, and at the last look */
    int64_t cpu_ns;                      /* used at the last look; -1: never looked */
    int64_t deadline_ms;                 /* of the exchange under way; deadline.c puts it off */
    int64_t begun_ms, allowed_ms;        /* since when, and how long it was to take */
    int64_t begun_cpu_ns;                /* used by then */
    struct hl_buf child[HL_CHILD_PARTS]; /* bytes of a program run for the call; child.c */
    struct hl_wire wire, answer;
    /* Who answers what the worker asks in the middle of a call; NULL: it may ask nothing. */
    hilum_rc (*ask)(void *arg, uint32_t what, struct hl_wire *question, struct hl_wire *answer);
    void *ask_arg;
    /* Does anybody wait for what this call makes? NULL: yes. */
    hilum_rc (*go_on)(void *arg);
    void *go_on_arg;
};

/* Descriptors of one start, made before the fork and given to the child as 0 to 4. */
struct hl_spawn {
    const char *program;
    int null_fd, text_fd, sock, memory_fd;
    pid_t pid;
    int error; /* errno */
};

/* keeper.c. The worker dies with the thread that started it (PR_SET_PDEATHSIG), so one thread starts them all and
 * lives as long as the host. */
hilum_rc hl_keeper_new(struct hl_keeper **out);
/* From now on its idle workers are looked at. HILUM_ENOMEM. */
hilum_rc hl_keeper_add(struct hl_keeper *keeper, struct hl_remote *remote);
/* Returns when it is not being looked at. */
void hl_keeper_remove(struct hl_keeper *keeper, const struct hl_remote *remote);
/* Starts spawn->program; blocks until it is done. spawn->pid, or spawn->error. Any thread, no
 * lock held. */
void hl_keeper_spawn(struct hl_keeper *keeper, struct hl_spawn *spawn);
/* Once a second: is an idle worker busy? remote.c */
void hl_remote_check_idle(struct hl_remote *remote);

/* On failure nothing is left of it. Only on the thread that has made it busy, like all of
 * hl_process_*. */
hilum_rc hl_process_start(struct hl_process *process, struct hl_keeper *keeper,
                          const char *program);
/* Room for `size` bytes of shared memory. HILUM_ENOMEM. */
hilum_rc hl_process_share(struct hl_process *process, uint64_t size);
/* Sends process->wire and waits for the reply until deadline_ms; log lines on the way go to the log as `id`'s. true:
 * process->wire is the reply, after its reason; *rc is its outcome and the reason is recorded. false and HILUM_ECANCELLED:
 * process->go_on says that nobody waits. */
bool hl_process_exchange(struct hl_process *process, const char *id, int64_t deadline_ms,
                         hilum_rc *rc);
/* metrics.c: takes a HL_WIRE_METRIC in process->wire. HILUM_ECORRUPT: it makes no sense. */
hilum_rc hl_remote_count(struct hl_process *process);
/* child.c: answers HL_ASK_CHILD_INPUT and what follows it. forget: after the call. */
hilum_rc hl_remote_ask_child(struct hl_process *process, uint32_t what, struct hl_wire *answer);
void hl_remote_forget_child(struct hl_process *process);
/* deadline.c: an exchange begins, until deadline_ms (hl_mono_ms). */
void hl_process_begin(struct hl_process *process, int64_t deadline_ms);
/* The deadline has passed. HILUM_OK: it is put off, since the worker computes and has not had that long for it;
 * HILUM_ETIMEDOUT: it hangs; HILUM_EAGAIN: others kept the processors from it for too long. */
hilum_rc hl_process_more_time(struct hl_process *process);
/* Ends it, if it has not ended, and says how it ended; `why` (256 bytes) may be NULL. */
void hl_process_stop(struct hl_process *process, char *why);
int64_t hl_process_cpu_ns(const struct hl_process *process);

#endif
