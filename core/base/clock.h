/* Time. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_BASE_CLOCK_H
#define HL_BASE_CLOCK_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* Monotonic milliseconds / nanoseconds, for deadlines and measurement only. */
int64_t hl_mono_ms(void);
int64_t hl_mono_ns(void);
/* A moment of hl_mono_ms() as condition variables on the monotonic clock take it. */
struct timespec hl_mono_timespec(int64_t ms);
/* One of these: a wait with a deadline is not stretched when somebody sets the wall clock. */
void hl_mono_cond_init(pthread_cond_t *cond);
/* Wall clock, microseconds since 1970 UTC: what is written to records. */
int64_t hl_now_us(void);
/* "2026-11-23T12:34:56.789Z" into out (>= 25 bytes). Returns out. */
char *hl_time_text(int64_t us, char *out, size_t size);

#endif
