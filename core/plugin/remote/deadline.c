/* Whose fault a call's lateness is. A deadline is meant for code that hangs or explodes, and is judged by what that code has done:
 * by the processor's time of its worker, as far as it wants to compute. A worker that sleeps has the clock's time only, and
 * nobody more than a multiple of it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/plugin/remote/process.h"

/* MORE_MS: given at once; LOOKS: at its threads, LOOK_NS apart: one that computes may wait for a page or a lock just then. */
enum { WALL_FACTOR = 4, MORE_MS = 50, LOOKS = 4, LOOK_NS = 5000000 };

void hl_process_begin(struct hl_process *process, int64_t deadline_ms)
{
    int64_t now = hl_mono_ms();
    process->deadline_ms = deadline_ms;
    process->begun_ms = now;
    process->allowed_ms = deadline_ms - now;
    process->begun_cpu_ns = hl_process_cpu_ns(process);
}

/* The state of a thread stands behind its name, which may hold anything. */
static bool wants_processor(int folder, const char *task)
{
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/self/fd/%d/%s/stat", folder, task);
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(line, 1, sizeof line - 1, f) : 0;
    if (f)
        fclose(f);
    line[n] = '\0';
    const char *name = strrchr(line, ')');
    return name && (strncmp(name, ") R", 3) == 0 || strncmp(name, ") D", 3) == 0);
}

/* Does one of its threads run, or would if it could? */
static bool computes(const struct hl_process *process)
{
    char path[32];
    bool is_one = false;
    snprintf(path, sizeof path, "/proc/%d/task", (int)process->pid);
    for (int look = 0; look < LOOKS && !is_one; look++) {
        DIR *tasks = opendir(path);
        for (struct dirent *e = tasks ? readdir(tasks) : NULL; e && !is_one; e = readdir(tasks))
            is_one = e->d_name[0] != '.' && wants_processor(dirfd(tasks), e->d_name);
        if (tasks)
            closedir(tasks);
        if (!is_one)
            nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
    }
    return is_one;
}

hilum_rc hl_process_more_time(struct hl_process *process)
{
    int64_t now = hl_mono_ms(), cpu = hl_process_cpu_ns(process);
    int64_t used = (cpu - process->begun_cpu_ns) / 1000000, took = now - process->begun_ms;
    bool is_known = cpu >= 0 && process->begun_cpu_ns >= 0;
    if (!is_known || used >= process->allowed_ms || !computes(process))
        return hl_fail(HILUM_ETIMEDOUT, "no answer within the deadline");
    if (took >= WALL_FACTOR * process->allowed_ms)
        return hl_fail(HILUM_EAGAIN,
                       "the machine is too busy: of %" PRId64 " ms its worker had a processor for "
                       "%" PRId64,
                       took, used);
    process->deadline_ms = now + MORE_MS;
    return HILUM_OK;
}
