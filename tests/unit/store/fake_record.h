/* A record in memory for tests of the pipeline: keeps rows, counts, and fails when told. It stands in for
 * core/record at link time and knows no SQL. SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FAKE_RECORD_H
#define TESTS_FAKE_RECORD_H

#include <pthread.h>

#include "core/record/record.h"

enum { FAKE_ROWS = 4096 };

struct fake_row {
    struct hl_stored stored;
    bool is_quarantined;
    char remark[256], patient[128], held_by[96], peer[32];
    size_t n_plan;
};

struct hl_record {
    pthread_mutex_t lock;
    struct fake_row *rows; /* FAKE_ROWS */
    size_t n;
    hilum_rc health;    /* what hl_record_health says */
    hilum_rc fail_with; /* hl_record_instances fails ... */
    bool fail_after;    /* ... after it has written the rows, as a lost connection does */
    bool is_late;       /* what is owed is written by hl_record_settle only */
    bool is_blind;      /* hl_record_is_current finds nothing */
    struct hl_owed *owed, **last_owed;
    unsigned refusals, duplicates, repaired, audits, transactions;
    char journal[4096]; /* event names, one a line */
    char last_why[512];
    struct hl_overlay overlays[8]; /* of every instance */
    size_t n_overlays;
    bool is_restoring;
    bool has_flush; /* logged rows wait for hl_record_flush */
    uint64_t tickets, flushed;
    void (*on_durable)(void *arg, uint64_t ticket);
    void *on_durable_arg;
    char kv[64]; /* the one value */
};

struct hl_record *fake_record_new(void);
void fake_record_free(struct hl_record *record);

#endif
