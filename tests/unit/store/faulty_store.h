/* A store in front of another that fails at the n-th call of a kind, once or until told otherwise.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FAULTY_STORE_H
#define TESTS_FAULTY_STORE_H

#include <stdatomic.h>

#include "hilum/plugin.h"
#include "hilum/store.h"

enum faulty_call {
    FAULTY_NONE,
    FAULTY_BEGIN,
    FAULTY_APPEND,
    FAULTY_SYNC,
    FAULTY_COMMIT,
    FAULTY_SPACE
};

struct faulty_store {
    const struct hilum_store *inner;
    void *instance;
    atomic_int call;                /* enum faulty_call */
    atomic_int countdown;           /* calls of that kind that still succeed */
    atomic_int rc;                  /* what the others return */
    atomic_int probes;              /* begins of objects below probe/ */
    atomic_int open_txns;           /* begun and neither committed nor aborted */
    atomic_int success_before_sync; /* commits of what was not synced: must stay 0 */
};

extern const struct hilum_store faulty_table; /* its instance is a struct faulty_store */

#endif
