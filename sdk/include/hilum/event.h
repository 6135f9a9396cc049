/* Events as a plugin sees them: hooks, phases, verdicts. Knows nothing of who publishes.
 * SPDX-License-Identifier: MIT */
#ifndef HILUM_EVENT_H
#define HILUM_EVENT_H

#include "hilum/abi.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hilum_event
    hilum_event; /* borrowed: belongs to the calling thread until the hook returns */

/* Phases run in this order. */
enum {
    HILUM_FILTER = 1,    /* may refuse, defer, hold or discard */
    HILUM_TRANSFORM = 2, /* may edit */
    HILUM_COMMIT = 3,    /* does the work */
    HILUM_NOTIFY =
        4 /* cannot change anything; durable, at least once, with an id to deduplicate by */
};

/* What a hook answers. */
enum {
    HILUM_PASS = 0,   /* no opinion: as if this hook were absent */
    HILUM_ACCEPT = 1, /* ends the site's hooks of this phase; core hooks still run */
    HILUM_REJECT =
        2, /* filter only: refuse; the reason is kept under a reference number for the peer */
    HILUM_DEFER = 3,   /* filter, commit: the peer is told to try again */
    HILUM_SUSPEND = 4, /* after host->suspend: host->settle will deliver one of the others */
    HILUM_HOLD = 5,    /* filter, transform: keep, answer success, flag in quarantine */
    HILUM_DISCARD = 6  /* filter only: answer success, do not keep; audited and counted */
};

/* A subscription. Strings are static. */
struct hilum_hook {
    uint32_t size, phase;
    const char *event; /* "instance.received" */
    const char *name;  /* "acme/dedupe": owner/what-it-does */
    const char *before,
        *after; /* hook names separated by commas, "?name" if it may be absent; or NULL */
    /* Matched by the host before the hook is entered, e.g. "Modality=CT,MR; calling_aet~ER_*": conditions
     * joined by ';' (all must hold), each `field op value[,value...]` (any may match); op is
     *   =  equal    !=  none equal    ~  glob with * and ?    !~  no glob matches
     *   < <= > >=  numeric (or, for dates, textual)
     * A field is one of the event's or a DICOM keyword of the instance concerned. NULL: always.
     * "event_id" (notify) is the event's number in the journal: the same when it is delivered again. */
    const char *where;
    /* Returns a verdict >= 0, or HILUM_E* recorded with host->fail (filter, transform: treated as
     * HILUM_HOLD; notify: retried). */
    int32_t (*run)(void *arg, hilum_event *event);
    void *arg;
    uint32_t
        deadline_ms;  /* 0: the phase's default (filter and transform 200 ms). Overrun is logged */
    uint32_t threads; /* HILUM_SERIAL or HILUM_PARALLEL */
};

#ifdef __cplusplus
}
#endif
#endif
