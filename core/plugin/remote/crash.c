/* What a plugin's crash costs: one call, a wait that grows, in the end the plugin. SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/plugin/remote/state.h"

enum { WINDOW_MS = 10 * 60 * 1000, FIRST_WAIT_MS = 100, LONGEST_WAIT_MS = 30000 };

/* The first restart is at once: most crashes come of one bad frame. */
static int64_t wait_ms(unsigned in_a_row)
{
    unsigned doublings = in_a_row < 2 ? 0 : in_a_row - 2;
    if (in_a_row < 2)
        return 0;
    return doublings > 8 ? LONGEST_WAIT_MS : (int64_t)FIRST_WAIT_MS << doublings;
}

static unsigned crashes_of_late(const struct hl_remote *remote, int64_t now)
{
    unsigned n = 0;
    for (unsigned i = 0; i < MAX_REMOTE_CRASHES && i < remote->n_crashes; i++)
        n += remote->crashes[i] > now - WINDOW_MS;
    return n;
}

/* true: this one was one too many. */
static bool remember(struct hl_remote *remote, const char *what)
{
    int64_t now = hl_mono_ms();
    pthread_mutex_lock(&remote->lock);
    remote->crashes[remote->n_crashes++ % MAX_REMOTE_CRASHES] = now;
    remote->not_before = now + wait_ms(++remote->in_a_row);
    snprintf(remote->last, sizeof remote->last, "%s", what);
    bool was = remote->is_quarantined;
    remote->is_quarantined = was || crashes_of_late(remote, now) >= remote->max_crashes;
    bool is_new = remote->is_quarantined && !was;
    pthread_cond_broadcast(&remote->changed);
    pthread_mutex_unlock(&remote->lock);
    return is_new;
}

hilum_rc hl_remote_check_quarantine(const struct hl_remote *remote)
{
    if (!remote->is_quarantined)
        return HILUM_OK;
    return hl_fail(HILUM_ECLOSED,
                   "plugin %s is in quarantine after %u crashes within 10 minutes, the last: %s; "
                   "update it, or try again with: hilum plugin enable %s",
                   remote->plugin->id, remote->max_crashes, remote->last, remote->plugin->id);
}

hilum_rc hl_remote_crashed(struct hl_process *process, hilum_rc rc, const char *doing)
{
    struct hl_remote *remote = process->remote;
    char why[256] = "", what[320];
    pid_t pid = process->pid;
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
               "in quarantine: %u crashes within 10 minutes. Nothing is sent to this plugin any "
               "more. Update or remove it, or try again with: hilum plugin enable %s",
               remote->max_crashes, remote->plugin->id);
        hl_plugin_tell(remote->plugin, "plugin.quarantined", what);
    }
    return hl_fail(rc, "plugin %s: %s", remote->plugin->id, what);
}
