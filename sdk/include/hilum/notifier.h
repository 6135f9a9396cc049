/* Capability `notifier` (preview): carries a notice out of the server: audit messages to syslog, mail, a
 * message to a phone, a web hook. What is worth a notice is decided elsewhere (rules, audit).
 * SPDX-License-Identifier: MIT */
#ifndef HILUM_NOTIFIER_H
#define HILUM_NOTIFIER_H

#include "hilum/abi.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    HILUM_NOTICE_AUDIT = 1, /* fields are those of the audit record */
    HILUM_NOTICE_ALERT = 2, /* for a person: something is wrong */
    HILUM_NOTICE_EVENT = 4  /* an event of the bus, as a rule asked */
};
enum { HILUM_SEVERITY_INFO = 0, HILUM_SEVERITY_WARN = 1, HILUM_SEVERITY_ERROR = 2 };

/* Borrowed for the call. */
struct hilum_notice {
    uint32_t size;
    uint32_t kind;     /* HILUM_NOTICE_* */
    int64_t id;        /* the same when it is delivered again */
    int64_t time_ms;   /* since 1970 UTC */
    uint32_t severity; /* HILUM_SEVERITY_* */
    uint32_t reserved;
    const char *name;   /* "instance.stored", "disk.low" */
    const char *to;     /* recipient as the rule wrote it; "" for audit */
    const char *text;   /* one line for people, without patient data; UTF-8 */
    const char *fields; /* JSON object */
};

/* Threads: as cap.threads says; notices come in the order of their ids. Not isolatable: it needs the network,
 * which a worker does not have. */
struct hilum_notifier {
    struct hilum_cap cap;
    uint32_t kinds; /* sum of HILUM_NOTICE_* it takes */
    uint32_t reserved;
    /* HILUM_OK: delivered as far as the way allows to know; the notice is forgotten. HILUM_EAGAIN,
     * HILUM_EIO, HILUM_ETIMEDOUT: delivered again, later and later. Other errors: given up and reported. At
     * least once: the receiver drops a repeated id. */
    hilum_rc (*deliver)(void *self, const struct hilum_notice *notice);
};

#ifdef __cplusplus
}
#endif
#endif
