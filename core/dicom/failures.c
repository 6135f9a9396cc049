/* SPDX-License-Identifier: Apache-2.0 */
#include "core/dicom/failures.h"

#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"

void hl_failures_init(struct hl_failures *failures)
{
    pthread_mutex_init(&failures->lock, NULL);
}

void hl_failures_fini(struct hl_failures *failures)
{
    pthread_mutex_destroy(&failures->lock);
}

/* Holds the lock. HL_FAILURES: none lately. */
static unsigned row_of(const struct hl_failures *failures, const char *address)
{
    unsigned i = 0;
    while (i < HL_FAILURES && (strcmp(failures->rows[i].address, address) != 0 ||
                               hl_mono_ms() - failures->rows[i].since_ms >= HL_FAILURES_MS))
        i++;
    return i;
}

void hl_failures_note(struct hl_failures *failures, const char *address)
{
    pthread_mutex_lock(&failures->lock);
    unsigned row = row_of(failures, address);
    if (row == HL_FAILURES) {
        row = failures->next++ % HL_FAILURES;
        snprintf(failures->rows[row].address, sizeof failures->rows[row].address, "%s", address);
        failures->rows[row].since_ms = hl_mono_ms();
        failures->rows[row].n = 0;
    }
    failures->rows[row].n++;
    pthread_mutex_unlock(&failures->lock);
}

bool hl_failures_are_many(struct hl_failures *failures, const char *address, unsigned max)
{
    pthread_mutex_lock(&failures->lock);
    unsigned row = row_of(failures, address);
    bool are_many = row < HL_FAILURES && failures->rows[row].n >= max;
    pthread_mutex_unlock(&failures->lock);
    return are_many;
}
