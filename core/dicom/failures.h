/* Wrong passcodes by address: who guesses is not asked for a while, whatever names he tries. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_DICOM_FAILURES_H
#define HL_DICOM_FAILURES_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* 512 addresses that failed lately: one more pushes the oldest out. */
enum { HL_FAILURES = 512, HL_FAILURES_MS = 300000 };

struct hl_failures {
    pthread_mutex_t lock;
    struct {
        char address[48];
        int64_t since_ms;
        unsigned n;
    } rows[HL_FAILURES];
    unsigned next;
};

/* Any thread. Zeroed memory first. */
void hl_failures_init(struct hl_failures *failures);
void hl_failures_fini(struct hl_failures *failures);
/* One more of this address; counted for five minutes from the first one on. */
void hl_failures_note(struct hl_failures *failures, const char *address);
/* Were there at least `max` lately? */
bool hl_failures_are_many(struct hl_failures *failures, const char *address, unsigned max);

#endif
