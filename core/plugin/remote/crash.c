/* What a plugin's crash costs: one call, a wait that grows, in the end the plugin.
 *
 * Counted per plugin, not per worker: it is the plugin's code that fails. The numbers are
 * guarded by the remote's lock. SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/plugin/remote/state.h"

enum { WINDOW_MS = 10 * 60 * 1000, FIRST_WAIT_MS = 100, LONGEST_WAIT_MS = 30000 };

/* How long no worker is started after so many crashes without a good call between: 0, then 100
 * ms doubled each time, at most 30 s. The first restart is at once: most crashes come of one bad
 * frame. */
static int64_t wait_ms(unsigned in_a_row)
{
    unsigned doublings = in_a_row < 2 ? 0 : in_a_row - 2;
    if (in_a_row < 2)
        return 0;
    return doublings > 8 ? LONGEST_WAIT_MS : (int64_t)FIRST_WAIT_MS << doublings;
}

/* With the lock. So many within the window, and more than a tenth of all calls since the first
 * of them: a codec that dies of damaged frames goes on serving the good ones, whoever sends the
 * others. */
static bool is_too_many(const struct hl_remote *remote, int64_t now)
{
    uint64_t kept = remote->n_crashes < MAX_REMOTE_CRASHES ? remote->n_crashes : MAX_REMOTE_CRASHES;
    uint64_t n = 0, good_before = remote->good;
    for (uint64_t i = 0; i < kept; i++) {
        if (remote->crashes[i].ms <= now - WINDOW_MS)
            continue;
        n++;
        if (remote->crashes[i].good < good_before)
            good_before = remote->crashes[i].good;
    }
    return n >= remote->max_crashes && (n == 1 || remote->good - good_before < 9 * (n - 1));
}

/* Wakes those who wait for a worker, so that they see the quarantine. true: this one was one too
 * many. */
static bool remember(struct hl_remote *remote, const char *what)
{
    int64_t now = hl_mono_ms();
    pthread_mutex_lock(&remote->lock);
    uint64_t at = remote->n_crashes++ % MAX_REMOTE_CRASHES;
    remote->crashes[at].ms = now;
    remote->crashes[at].good = remote->good;
    remote->not_before = now + wait_ms(++remote->in_a_row);
    snprintf(remote->last, sizeof remote->last, "%s", what);
    bool was = remote->is_quarantined;
    remote->is_quarantined = was || is_too_many(remote, now);
    bool is_new = remote->is_quarantined && !was;
    pthread_cond_broadcast(&remote->changed);
    pthread_mutex_unlock(&remote->lock);
    return is_new;
}

hilum_rc hl_remote_check_quarantine(const struct hl_remote *remote)
{
    if (!remote->is_quarantined)
        return HILUM_OK;
    return hl_fail(
        HILUM_ECLOSED,
        "plugin %s is in quarantine after %u crashes or more within 10 minutes, the last: "
        "%s; update it, or try again with: hilum plugin enable %s",
        remote->plugin->id, remote->max_crashes, remote->last, remote->plugin->id);
}

hilum_rc hl_remote_crashed(struct hl_process *process, hilum_rc rc, const char *doing)
{
    struct hl_remote *remote = process->remote;
    char why[256] = "", what[320];
    pid_t pid = process->pid;
    if (rc == HILUM_EAGAIN) { /* others are to blame: nothing is remembered of it */
        hl_process_stop(process, NULL);
        hl_log(HL_WARN, remote->plugin->id, "worker %d was ended in %s: %s", (int)pid, doing,
               hl_error());
        return hl_fail_in(rc, "plugin %s", remote->plugin->id);
    }
    if (rc == HILUM_ETIMEDOUT) {
        hl_process_stop(process, NULL);
        snprintf(what, sizeof what, "%s took longer than %" PRId64 " ms; its worker was ended",
                 doing, remote->deadline_ms);
    } else if (rc == HILUM_ECLOSED) {
        hl_process_stop(process, why);
        snprintf(what, sizeof what, "in %s its worker %s", doing, why);
        rc = HILUM_EINTERNAL;
    } else {
        snprintf(why, sizeof why, "%.200s", hl_error());
        hl_process_stop(process, NULL);
        snprintf(what, sizeof what, "in %s its worker sent %s", doing, why);
        rc = HILUM_EINTERNAL;
    }
    bool is_quarantined = remember(remote, what);
    hl_log(HL_WARN, remote->plugin->id, "worker %d crashed: %s%s", (int)pid, what,
           strcmp(doing, "a call") == 0 ? "; only this call is lost" : "");
    hl_plugin_tell(remote->plugin, "plugin.crashed", what);
    if (is_quarantined) {
        hl_log(HL_ERROR, remote->plugin->id,
               "in quarantine: %u crashes or more within 10 minutes, over a tenth of its calls. "
               "Nothing is sent to this plugin any "
               "more. Update or remove it, or try again with: hilum plugin enable %s",
               remote->max_crashes, remote->plugin->id);
        hl_plugin_tell(remote->plugin, "plugin.quarantined", what);
    }
    return hl_fail(rc, "plugin %s: %s", remote->plugin->id, what);
}
