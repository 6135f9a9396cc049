/* Units of work that plugins record: statements as data, run by the one writer. A plugin never holds a transaction, so one that
 * sleeps delays nobody. SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/record/record_private.h"

/* 50 ms are what all senders may be kept waiting for one plugin; the database interrupts what
 * runs longer. */
enum { UNIT_MS = 50, STEPS_MAX = 1000 };

struct unit {
    const char *plugin;
    const struct hilum_record_step *steps;
    uint32_t n;
    bool is_denied;
};

static hilum_rc unit_write(struct hl_session *session, void *arg)
{
    struct unit *unit = arg;
    hilum_rc rc = hl_session_unit(session, unit->plugin, unit->steps, unit->n, UNIT_MS);
    /* To the writer, "denied" is a medium that takes nothing any more: a plugin's reach is no such thing. */
    unit->is_denied = rc == HILUM_EDENIED;
    return unit->is_denied ? HILUM_EINVAL : rc;
}

/* A peer's plugin that floods the writer gets no more than its turn: the lane behind ingest. */
hilum_rc hl_record_unit(struct hl_record *record, const char *plugin,
                        const struct hilum_record_step *steps, uint32_t n)
{
    struct unit unit = {plugin, steps, n, false};
    if (n > STEPS_MAX)
        return hl_fail(HILUM_EINVAL, "unit of %u statements: expected at most %d", n, STEPS_MAX);
    hilum_rc rc = hl_writer_run(record->writer, HL_LANE_OTHER, unit_write, &unit);
    /* Told here too: it is the administrator who wonders what is slow. */
    if (rc == HILUM_ETIMEDOUT)
        hl_log(HL_WARN, plugin, "a unit of %u statements took more than %d ms and was undone", n,
               UNIT_MS);
    return unit.is_denied ? HILUM_EDENIED : rc;
}
