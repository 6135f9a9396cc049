/* Times a site has given names to: when one comes, schedule.due is journaled, once, whatever the server does meanwhile.
 * Knows the record; nothing of who listens. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_JOB_SCHEDULE_H
#define HL_JOB_SCHEDULE_H

#include "core/record/record.h"

struct hl_schedule {
    const char *name;
    int64_t every_ms; /* 1 s at least */
    int at_minute; /* of the local day, for what comes every so many days; -1: counted from the last time */
};

/* The first time after `now_us`; `last_us` is when it was due last, 0 if never. Microseconds since 1970; any thread. */
int64_t hl_schedule_next(const struct hl_schedule *schedule, int64_t last_us, int64_t now_us);
/* Fires what is due; to be called every second or so. A schedule that is new waits for its first time; one that was missed
 * while the server was down is due once. */
hilum_rc hl_schedules_tick(struct hl_record *record, const struct hl_schedule *items, size_t n,
                           int64_t now_us);

#endif
