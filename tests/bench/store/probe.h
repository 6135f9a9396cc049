/* The durable probe: what the power-loss test demands and nothing else. SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_STORE_PROBE_H
#define BENCH_STORE_PROBE_H

#include <stddef.h>

/* n objects of these bytes below the (new) directory by so many threads: write + fdatasync + rename +
 * directory fsync each, and one SQLite FULL commit per object (per group of `threads`). Objects a second;
 * negative: could not. */
double probe_run(const char *dir, const void *bytes, size_t size, unsigned n, unsigned threads);

#endif
