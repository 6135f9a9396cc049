/* Schedules: when one is due next, and the event that says so. Called by one thread, the server's housekeeper.
 * When a schedule is due next is kept in the record (kv space "schedule"), written in one transaction with the event that it
 * was due: that is what makes it once, whether the server dies before or after.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/job/schedule.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/base/error.h"

enum { DAY_MINUTES = 24 * 60 };
static const int64_t second_us = 1000000, day_us = INT64_C(86400) * 1000000;

/* The time of day on the day of `now`, or `days` later: mktime knows when clocks are changed. */
static int64_t at_day(int64_t now_us, int days, int minute)
{
    time_t now = (time_t)(now_us / second_us);
    struct tm day;
    localtime_r(&now, &day);
    day.tm_mday += days;
    day.tm_hour = minute / 60;
    day.tm_min = minute % 60;
    day.tm_sec = 0;
    day.tm_isdst = -1;
    return (int64_t)mktime(&day) * second_us;
}

/* In local time, for a night is a night where clocks are changed too; so a day is counted by
 * mktime, not by 24 hours. */
int64_t hl_schedule_next(const struct hl_schedule *schedule, int64_t last_us, int64_t now_us)
{
    int64_t every_us = schedule->every_ms * 1000;
    if (every_us < second_us)
        every_us = second_us;
    if (schedule->at_minute >= 0 && schedule->at_minute < DAY_MINUTES) {
        int days = every_us > day_us ? (int)((every_us + day_us - 1) / day_us) : 1;
        int64_t next = at_day(now_us, 0, schedule->at_minute);
        /* The first time may be today; afterwards so many days lie between. */
        if (last_us > 0 && days > 1 && next < last_us + days * day_us - day_us / 2)
            next = at_day(last_us, days, schedule->at_minute);
        return next > now_us ? next : at_day(now_us, 1, schedule->at_minute);
    }
    int64_t next = (last_us > 0 ? last_us : now_us) + every_us;
    return next > now_us ? next : now_us + every_us;
}

/* 0: never seen before. */
static hilum_rc next_read(struct hl_record *record, const char *name, int64_t *next_us)
{
    struct hl_buf text = {0};
    *next_us = 0;
    hilum_rc rc = hl_record_kv_get(record, "schedule", name, &text);
    if (rc == HILUM_OK)
        *next_us = strtoll(hl_buf_str(&text), NULL, 10);
    hl_buf_fini(&text);
    return rc == HILUM_ENOTFOUND ? HILUM_OK : rc;
}

/* The next time is counted from when it was due, not from now: a late tick moves nothing. */
static hilum_rc fire(struct hl_record *record, const struct hl_schedule *schedule, int64_t due_us,
                     int64_t now_us)
{
    struct hl_buf fields = {0};
    hl_buf_text(&fields, "{\"schedule\":");
    hl_buf_json_string(&fields, schedule->name);
    hl_buf_printf(&fields, ",\"due_us\":%lld}", (long long)due_us);
    hilum_rc rc = fields.failed ? hl_fail(HILUM_ENOMEM, "schedule %s: no memory", schedule->name)
                                : hl_record_schedule_due(record, schedule->name,
                                                         hl_schedule_next(schedule, due_us, now_us),
                                                         hl_buf_str(&fields));
    hl_buf_fini(&fields);
    return rc;
}

static hilum_rc tick(struct hl_record *record, const struct hl_schedule *schedule, int64_t now_us)
{
    int64_t next_us = 0;
    hilum_rc rc = next_read(record, schedule->name, &next_us);
    if (rc != HILUM_OK)
        return rc;
    int64_t latest = hl_schedule_next(schedule, 0, now_us);
    /* New, or moved nearer by a change of the configuration. */
    if (next_us == 0 || (schedule->at_minute < 0 && next_us > latest))
        return hl_record_schedule_due(record, schedule->name, latest, NULL);
    return now_us >= next_us ? fire(record, schedule, next_us, now_us) : HILUM_OK;
}

/* The first failure ends the round: the record is in trouble, and the next second asks again. */
hilum_rc hl_schedules_tick(struct hl_record *record, const struct hl_schedule *items, size_t n,
                           int64_t now_us)
{
    hilum_rc rc = HILUM_OK;
    for (size_t i = 0; i < n && rc == HILUM_OK; i++)
        rc = tick(record, &items[i], now_us);
    return rc;
}
