/* The life of a plugin that runs in workers, and who may call which of them.
 *
 * Who may do what: `lock` guards which workers are busy, the phase and the counts; a worker that
 * was made busy belongs to that thread alone until it is given back. Nothing is sent, started or
 * waited for under the lock. SPDX-License-Identifier: Apache-2.0 */
#include "core/plugin/remote/remote.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/plugin/remote/state.h"

enum { KEEP_MEMORY = 64 * 1024 * 1024, BUSY_WHILE_IDLE_NS = 100 * 1000 * 1000 };

struct hl_arena *hl_remote_arena(struct hl_remote *remote)
{
    return &remote->plugin->arena;
}

const char *hl_remote_copy(struct hl_remote *remote, struct hl_wire *wire)
{
    const char *text = hl_wire_text(wire);
    return text ? hl_arena_strdup(&remote->plugin->arena, text) : NULL;
}

/* ---- making ---- */

/* NULL: our plugin folder is not there. Beside that folder, unless the configuration names
 * another place. */
static const char *find_program(const struct hilum_self *plugin)
{
    char path[PATH_MAX], folder[PATH_MAX];
    const char *named = hl_config_text(plugin->host->config, "worker_program");
    if (named)
        return named;
    if (!realpath(plugin->host->plugin_dir, folder))
        return NULL;
    snprintf(path, sizeof path, "%.*s/hilum-worker", (int)(strrchr(folder, '/') - folder), folder);
    return hl_arena_strdup(&plugin->host->arena, path);
}

/* plugins[].limits, with a worker per core unless it says otherwise. */
static void read_limits(struct hl_remote *remote)
{
    static const struct hl_node none = {.type = HL_NODE_GROUP};
    const struct hl_node *limits = hl_node_get(remote->plugin->entry, "limits");
    if (!limits)
        limits = &none;
    int64_t workers = hl_node_int(limits, "workers", 0), cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (workers <= 0)
        workers = cores > 0 ? cores : 1;
    remote->max_workers = workers > MAX_REMOTE_WORKERS ? MAX_REMOTE_WORKERS : (unsigned)workers;
    remote->deadline_ms = hl_node_ms(limits, "deadline", 10000);
    remote->memory = hl_node_bytes(limits, "memory", 2ull << 30);
    remote->max_crashes = (unsigned)hl_node_int(limits, "crashes", 5);
    remote->may_be_weak =
        strcmp(hl_node_text(remote->plugin->entry, "isolation", ""), "process-weak") == 0;
}

/* One worker until hl_remote_start, which knows whether the plugin may run in several. */
static struct hl_remote *remote_new(struct hilum_self *plugin)
{
    struct hl_remote *remote = calloc(1, sizeof *remote);
    if (!remote)
        return NULL;
    remote->plugin = plugin;
    remote->n_workers = 1;
    pthread_mutex_init(&remote->lock, NULL);
    hl_mono_cond_init(&remote->changed);
    read_limits(remote);
    return remote;
}

void hl_remote_free(struct hl_remote *remote)
{
    if (!remote)
        return;
    if (remote->keeper)
        hl_keeper_remove(remote->keeper, remote);
    for (unsigned i = 0; i < MAX_REMOTE_WORKERS; i++) {
        if (remote->workers[i])
            hl_process_stop(remote->workers[i], NULL);
        free(remote->workers[i]);
    }
    hl_buf_fini(&remote->description);
    hl_buf_fini(&remote->capabilities);
    pthread_cond_destroy(&remote->changed);
    pthread_mutex_destroy(&remote->lock);
    free(remote);
}

/* The record of one that does not run; 64 KiB, kept until the plugin goes. */
static struct hl_process *process_of(struct hl_remote *remote, unsigned i)
{
    if (!remote->workers[i] && (remote->workers[i] = calloc(1, sizeof **remote->workers))) {
        remote->workers[i]->remote = remote;
        remote->workers[i]->cpu_ns = -1;
    }
    return remote->workers[i];
}

/* ---- the descriptor's members ---- */

/* What fails here is left in plugin->remote, for the caller to free with the plugin. */
hilum_rc hl_remote_open(struct hilum_self *plugin, const struct hilum_plugin **out)
{
    hilum_rc rc = plugin->host->keeper ? HILUM_OK : hl_keeper_new(&plugin->host->keeper);
    struct hl_remote *remote = rc == HILUM_OK ? remote_new(plugin) : NULL;
    plugin->remote = remote;
    if (!remote || !process_of(remote, 0))
        return rc == HILUM_OK ? hl_fail(HILUM_ENOMEM, "worker: no memory") : rc;
    remote->program = find_program(plugin);
    if (!remote->program || access(remote->program, X_OK) != 0)
        return hl_fail(HILUM_ENOTFOUND,
                       "%s: this program runs isolated plugins and is not there; install it, or "
                       "name it as worker_program",
                       remote->program ? remote->program : "hilum-worker");
    rc = hl_keeper_add(plugin->host->keeper, remote);
    if (rc != HILUM_OK)
        return rc;
    remote->keeper = plugin->host->keeper;
    struct hl_process *first = remote->workers[0];
    first->busy = true;
    rc = hl_remote_boot(remote, first);
    if (rc == HILUM_OK)
        rc = hl_remote_descriptor(remote, &first->wire, out);
    pthread_mutex_lock(&remote->lock);
    first->busy = false;
    pthread_mutex_unlock(&remote->lock);
    return rc;
}

/* Brings the first worker a step further; others come when they are needed. */
static hilum_rc advance(struct hl_remote *remote, enum remote_phase phase, enum hl_wire_type step)
{
    struct hl_process *first = remote->workers[0];
    pthread_mutex_lock(&remote->lock);
    first->busy = true;
    remote->phase = phase;
    pthread_mutex_unlock(&remote->lock);
    return first->pid ? hl_remote_step(remote, first, step) : hl_remote_boot(remote, first);
}

static void rest(struct hl_remote *remote)
{
    pthread_mutex_lock(&remote->lock);
    remote->workers[0]->busy = false;
    pthread_mutex_unlock(&remote->lock);
}

/* Reads the next table of the reply and registers its proxy. A table that is not HILUM_PARALLEL
 * makes the plugin run in one worker: its calls must come one after the other. */
static hilum_rc provide_one(struct hl_remote *remote, uint32_t index, struct hl_wire *wire,
                            const struct hilum_host *table)
{
    const struct hilum_cap *cap = NULL;
    void *instance = NULL;
    uint32_t kind = hl_wire_u32(wire), threads = hl_wire_u32(wire);
    const char *name = hl_wire_text(wire);
    hilum_rc rc =
        kind == HILUM_CAP_CODEC ? hl_remote_codec(remote, index, name, wire, &cap, &instance)
        : kind == HILUM_CAP_OPERATOR
            ? hl_remote_operator(remote, index, name, wire, &cap, &instance)
        : kind == HILUM_CAP_RENDERER
            ? hl_remote_renderer(remote, index, name, wire, &cap, &instance)
        : kind == HILUM_CAP_HL7   ? hl_remote_hl7(remote, index, name, wire, &cap, &instance)
        : kind == HILUM_CAP_ROUTE ? hl_remote_route(remote, index, name, wire, &cap, &instance)
        : kind == HILUM_CAP_REPORT
            ? hl_remote_report(remote, index, name, wire, &cap, &instance)
            : hl_fail(HILUM_EUNSUP, "capability of kind %u in a worker", kind);
    if (rc == HILUM_OK && threads != HILUM_PARALLEL)
        remote->max_workers = 1;
    return rc == HILUM_OK ? table->provide(remote->plugin, cap, instance) : rc;
}

/* The reply lies in the first worker's message until rest(): proxies are built from it
 * meanwhile. */
hilum_rc hl_remote_init(const struct hilum_host *table, hilum_self *self, const void *conf,
                        void **state)
{
    struct hl_remote *remote = self->remote;
    (void)conf; /* is what write_init() sends */
    hilum_rc rc = advance(remote, REMOTE_INITIALISED, HL_WIRE_INIT);
    if (rc == HILUM_OK) {
        struct hl_wire *wire = &remote->workers[0]->wire;
        uint32_t n = hl_wire_u32(wire);
        for (uint32_t i = 0; rc == HILUM_OK && i < n; i++)
            rc = provide_one(remote, i, wire, table);
        bool is_parallel = true;
        n = rc == HILUM_OK ? hl_wire_u32(wire) : 0;
        for (uint32_t i = 0; rc == HILUM_OK && i < n; i++) {
            rc = hl_remote_hook(remote, i, wire, table, self, &is_parallel);
            if (!is_parallel)
                remote->max_workers = 1;
        }
    }
    rest(remote);
    *state = remote;
    return rc;
}

hilum_rc hl_remote_start(void *state)
{
    struct hl_remote *remote = state;
    hilum_rc rc = advance(remote, REMOTE_STARTED, HL_WIRE_START);
    rest(remote);
    pthread_mutex_lock(&remote->lock);
    remote->n_workers = remote->max_workers;
    pthread_mutex_unlock(&remote->lock);
    return rc;
}

/* drain and fini in one: nobody calls any more. A worker that does not answer is ended all the same. */
void hl_remote_fini(void *state)
{
    struct hl_remote *remote = state;
    for (unsigned i = 0; i < MAX_REMOTE_WORKERS; i++) {
        struct hl_process *process = remote->workers[i];
        pthread_mutex_lock(&remote->lock);
        bool runs = process && !process->busy && process->pid;
        if (runs)
            process->busy = true;
        pthread_mutex_unlock(&remote->lock);
        if (runs && hl_remote_step(remote, process, HL_WIRE_END) == HILUM_OK)
            hl_process_stop(process, NULL);
        if (!runs)
            continue;
        pthread_mutex_lock(&remote->lock);
        process->busy = false;
        pthread_mutex_unlock(&remote->lock);
    }
}

/* After fini, when a version leaves (swap.c): no process of it may go on. Calls under way end by
 * themselves. */
void hl_remote_shut(struct hl_remote *remote)
{
    for (unsigned i = 0; remote && i < MAX_REMOTE_WORKERS; i++) {
        pthread_mutex_lock(&remote->lock);
        struct hl_process *process = remote->workers[i];
        bool runs = process && !process->busy && process->pid;
        if (runs)
            process->busy = true;
        pthread_mutex_unlock(&remote->lock);
        if (!runs)
            continue;
        hl_process_stop(process, NULL);
        pthread_mutex_lock(&remote->lock);
        process->busy = false;
        pthread_mutex_unlock(&remote->lock);
    }
}

/* ---- calls ---- */

/* With the lock. One that runs, else one that may be started; `wanted` alone if it is given.
 * NULL: none now. */
static struct hl_process *pick(struct hl_remote *remote, struct hl_process *wanted, int64_t now)
{
    if (wanted)
        return !wanted->busy && (wanted->pid || now >= remote->not_before) ? wanted : NULL;
    for (unsigned i = 0; i < remote->n_workers; i++)
        if (remote->workers[i] && !remote->workers[i]->busy && remote->workers[i]->pid)
            return remote->workers[i];
    for (unsigned i = 0; now >= remote->not_before && i < remote->n_workers; i++)
        if (process_of(remote, i) && !remote->workers[i]->busy)
            return remote->workers[i];
    return NULL;
}

/* With the lock. false: there is nothing to wait for until the deadline. */
static bool wait_for_one(struct hl_remote *remote, int64_t now, int64_t deadline)
{
    int64_t until_ms = deadline;
    if (remote->not_before > now && remote->not_before < deadline)
        until_ms = remote->not_before;
    struct timespec until = hl_mono_timespec(until_ms);
    if (now >= deadline)
        return false;
    pthread_cond_timedwait(&remote->changed, &remote->lock, &until);
    return true;
}

/* Waits until the plugin's deadline. NULL: quarantine (HILUM_ECLOSED) or no worker in time
 * (HILUM_EAGAIN). */
static struct hl_process *lease(struct hl_remote *remote, struct hl_process *wanted, hilum_rc *rc)
{
    int64_t now = hl_mono_ms(), deadline = now + remote->deadline_ms;
    struct hl_process *process = NULL;
    pthread_mutex_lock(&remote->lock);
    while ((*rc = hl_remote_check_quarantine(remote)) == HILUM_OK &&
           !(process = pick(remote, wanted, now))) {
        if (!wait_for_one(remote, now, deadline)) {
            *rc = hl_fail(HILUM_EAGAIN, "plugin %s: all workers were busy for %" PRId64 " ms",
                          remote->plugin->id, remote->deadline_ms);
            break;
        }
        now = hl_mono_ms();
    }
    if (process)
        process->busy = true;
    pthread_mutex_unlock(&remote->lock);
    return process;
}

/* The deadline of the call itself begins in hl_remote_run, after the waiting. */
static struct hl_process *begin(struct hl_remote *remote, struct hl_process *wanted,
                                enum hl_wire_op op, uint32_t index, uint64_t memory, hilum_rc *rc)
{
    if (memory > remote->memory) {
        *rc = hl_fail(HILUM_ENOMEM,
                      "plugin %s: a call with %" PRIu64 " bytes; limits.memory is %" PRIu64,
                      remote->plugin->id, memory, remote->memory);
        return NULL;
    }
    struct hl_process *process = lease(remote, wanted, rc);
    if (!process)
        return NULL;
    *rc = process->pid ? HILUM_OK : hl_remote_boot(remote, process);
    if (*rc == HILUM_OK)
        *rc = hl_process_share(process, memory);
    if (*rc != HILUM_OK) {
        hl_remote_end(process);
        return NULL;
    }
    hl_remote_again(process, op, index);
    return process;
}

void hl_remote_again(struct hl_process *process, enum hl_wire_op op, uint32_t index)
{
    hl_wire_begin(&process->wire, HL_WIRE_CALL, ++process->number, 0);
    hl_wire_put_u32(&process->wire, op);
    hl_wire_put_u32(&process->wire, index);
    hl_wire_put_u64(&process->wire, process->memory_size);
}

struct hl_process *hl_remote_begin(struct hl_remote *remote, enum hl_wire_op op, uint32_t index,
                                   uint64_t memory, hilum_rc *rc)
{
    return begin(remote, NULL, op, index, memory, rc);
}

struct hl_process *hl_remote_begin_at(struct hl_remote *remote, const struct hl_place *place,
                                      enum hl_wire_op op, uint32_t index, uint64_t memory,
                                      hilum_rc *rc)
{
    return begin(remote, place->process, op, index, memory, rc);
}

struct hl_place hl_process_place(struct hl_process *process)
{
    return (struct hl_place){process, process->birth};
}

struct hl_wire *hl_process_wire(struct hl_process *process)
{
    return &process->wire;
}

unsigned char *hl_process_memory(struct hl_process *process)
{
    return process->memory;
}

bool hl_remote_run(struct hl_process *process, hilum_rc *rc)
{
    struct hl_remote *remote = process->remote;
    if (hl_process_exchange(process, remote->plugin->id, hl_mono_ms() + remote->deadline_ms, rc)) {
        /* What leaks must not stay at its limit: the next call finds a fresh one. Not ended before
         * hl_remote_end, because the results of this call lie in its memory. */
        if (*rc == HILUM_ENOMEM) {
            hl_log(HL_WARN, remote->plugin->id, "worker %d is out of memory and is replaced: %s",
                   (int)process->pid, hl_error());
            process->is_worn_out = true;
        }
        return true;
    }
    if (*rc == HILUM_ECANCELLED) /* its work is for nobody; that is no fault of it */
        hl_process_stop(process, NULL);
    else
        *rc = hl_remote_crashed(process, *rc, "a call");
    return false;
}

void hl_remote_while(struct hl_process *process, hilum_rc (*go_on)(void *arg), void *arg)
{
    process->go_on = go_on;
    process->go_on_arg = arg;
}

hilum_rc hl_remote_nonsense(struct hl_process *process, const char *what)
{
    hl_fail(HILUM_ECORRUPT, "%s", what);
    return hl_remote_crashed(process, HILUM_ECORRUPT, "a call");
}

void hl_remote_answers(struct hl_process *process,
                       hilum_rc (*ask)(void *arg, uint32_t what, struct hl_wire *question,
                                       struct hl_wire *answer),
                       void *arg)
{
    process->ask = ask;
    process->ask_arg = arg;
}

/* A worker that is still there has served a call well: that ends a row of crashes. */
void hl_remote_end(struct hl_process *process)
{
    struct hl_remote *remote = process->remote;
    process->ask = NULL;
    process->go_on = NULL;
    hl_remote_forget_child(process);
    if (process->is_worn_out)
        hl_process_stop(process, NULL);
    process->is_worn_out = false;
    /* One large picture must not hold its memory for ever. */
    if (process->memory_size > KEEP_MEMORY)
        fallocate(process->memory_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                  (off_t)process->memory_size);
    pthread_mutex_lock(&remote->lock);
    process->busy = false;
    process->calls++;
    if (process->pid) {
        remote->in_a_row = 0;
        remote->good++;
    }
    pthread_cond_broadcast(&remote->changed); /* not each waits for any worker */
    pthread_mutex_unlock(&remote->lock);
}

/* ---- between calls ---- */

/* With the lock. Looked at once a second: 100 ms of processor time in a second without a call is
 * no clean-up any more. */
static bool is_busy_while_idle(struct hl_process *process)
{
    int64_t cpu = hl_process_cpu_ns(process), before = process->cpu_ns;
    bool was_idle = process->calls == process->seen_calls && before >= 0;
    process->cpu_ns = cpu;
    process->seen_calls = process->calls;
    return was_idle && cpu - before > BUSY_WHILE_IDLE_NS;
}

void hl_remote_check_idle(struct hl_remote *remote)
{
    for (unsigned i = 0; i < MAX_REMOTE_WORKERS; i++) {
        pthread_mutex_lock(&remote->lock);
        struct hl_process *process = remote->workers[i];
        bool is_stray = process && !process->busy && process->pid && is_busy_while_idle(process);
        if (is_stray)
            process->busy = true;
        pthread_mutex_unlock(&remote->lock);
        if (!is_stray)
            continue;
        hl_fail(HILUM_ECORRUPT, "nothing, but went on computing after its call");
        hl_remote_crashed(process, HILUM_ECORRUPT, "idleness");
        hl_remote_end(process);
    }
}

void hl_remote_forgive(struct hl_remote *remote)
{
    pthread_mutex_lock(&remote->lock);
    remote->is_quarantined = false;
    remote->n_crashes = 0;
    remote->in_a_row = 0;
    remote->not_before = 0;
    pthread_cond_broadcast(&remote->changed);
    pthread_mutex_unlock(&remote->lock);
}

uint64_t hl_remote_crashes(struct hl_remote *remote)
{
    pthread_mutex_lock(&remote->lock);
    uint64_t n = remote->n_crashes;
    pthread_mutex_unlock(&remote->lock);
    return n;
}

void hl_remote_list(struct hl_remote *remote, struct hl_buf *json)
{
    pthread_mutex_lock(&remote->lock);
    hl_buf_text(json, ",\"workers\":[");
    for (unsigned i = 0, n = 0; i < MAX_REMOTE_WORKERS; i++)
        /* One that is being started by somebody has a number nobody else may read yet. */
        if (remote->workers[i] && !remote->workers[i]->busy && remote->workers[i]->pid)
            hl_buf_printf(json, "%s%d", n++ ? "," : "", (int)remote->workers[i]->pid);
    hl_buf_printf(json, "],\"crashes\":%" PRIu64 ",\"quarantined\":%s", remote->n_crashes,
                  remote->is_quarantined ? "true" : "false");
    if (remote->n_crashes) {
        hl_buf_text(json, ",\"last_crash\":");
        hl_buf_json_string(json, remote->last);
    }
    pthread_mutex_unlock(&remote->lock);
}
