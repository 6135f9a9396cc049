/* Timers of plugins: one thread that hands what is due to the plugins' pool. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_PLUGIN_TIMERS_H
#define HL_PLUGIN_TIMERS_H

#include <stdint.h>

#include "hilum/abi.h"

struct hl_timers;

enum { HL_TIMERS_MAX = 4096 }; /* set at once, of all plugins */

/* due(due_arg, owner, run, arg) is called on the timers' thread and must not block. The thread begins with the first
 * timer. */
hilum_rc hl_timers_new(void (*due)(void *due_arg, void *owner, void (*run)(void *arg), void *arg),
                       void *due_arg, struct hl_timers **out);
/* No timer goes off any more; waits for a due() under way. NULL is fine. */
void hl_timers_free(struct hl_timers *timers);

/* Any thread. HILUM_EFULL, HILUM_ENOMEM. *id is never 0. */
hilum_rc hl_timers_set(struct hl_timers *timers, void *owner, uint32_t after_ms,
                       void (*run)(void *arg), void *arg, uint64_t *id);
/* HILUM_ENOTFOUND: it has gone off, or never was this owner's. */
hilum_rc hl_timers_cancel(struct hl_timers *timers, void *owner, uint64_t id);
/* All of one owner; those that have gone off already are not waited for. */
void hl_timers_forget(struct hl_timers *timers, void *owner);

#endif
