/* A pool of threads that grows when all are busy and shrinks when idle: a task that blocks on a
 * slow peer never delays another until `max` of them do. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_BASE_POOL_H
#define HL_BASE_POOL_H

#include "hilum/abi.h"

/* Any thread may call any function but hl_pool_free, which belongs to the owner and after which
 * nobody may call. */
struct hl_pool;

/* `name` (<= 11 bytes) names the threads. `max` threads at most; threads idle for 10 s end. None
 * is started yet. HILUM_ENOMEM. */
hilum_rc hl_pool_new(const char *name, unsigned max, struct hl_pool **out);
/* Queues run(arg), and starts a thread where all are busy and `max` allows one. HILUM_ENOMEM, or
 * HILUM_ECLOSED while stopping: then run is not called and arg stays the caller's. The queue has
 * no bound of its own: who queues for peers bounds the peers. Any thread. */
hilum_rc hl_pool_run(struct hl_pool *pool, void (*run)(void *arg), void *arg);
/* From within a task: it waits for somebody outside from now on, who may never come, and its place among
 * the `max` is another's meanwhile; resume takes it back without waiting for one. The pool then has as
 * many threads more as tasks have paused: whoever pauses must bound those. */
void hl_pool_pause(struct hl_pool *pool);
void hl_pool_resume(struct hl_pool *pool);
/* Tasks queued and not yet begun. */
unsigned hl_pool_backlog(struct hl_pool *pool);
/* Waits for all queued and running tasks, then frees. NULL is fine. */
void hl_pool_free(struct hl_pool *pool);

#endif
