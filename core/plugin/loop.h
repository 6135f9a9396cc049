/* The loop thread of plugins: descriptors that are watched, tasks that run there. It knows nothing of plugins but an
 * owner. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_PLUGIN_LOOP_H
#define HL_PLUGIN_LOOP_H

#include <stdint.h>

#include "hilum/abi.h"

struct hl_loop;

/* So that a plugin that leaks watches is told instead of using up the descriptors of the
 * server. */
enum { HL_LOOP_WATCHES = 256, HL_LOOP_TASKS = 4096 }; /* of one owner; of all */

/* Around each call into an owner's code, on the loop thread. `before` is called under the loop's lock, so that after
 * hl_loop_forget() whatever is still to be waited for has been announced; `after` is not. */
struct hl_loop_user {
    void (*before)(void *arg, void *owner);
    void (*after)(void *arg, void *owner, int64_t ns);
    void *arg;
};
/* The thread begins with the first watch or task. */
hilum_rc hl_loop_new(const struct hl_loop_user *user, struct hl_loop **out);
/* Waits for a call under way. NULL is fine. */
void hl_loop_free(struct hl_loop *loop);

/* As hilum_host.watch, rewatch, unwatch, run_on_loop. Any thread. */
hilum_rc hl_loop_watch(struct hl_loop *loop, void *owner, int fd, uint32_t events,
                       void (*run)(void *arg, uint32_t events), void *arg, uint64_t *id);
hilum_rc hl_loop_rewatch(struct hl_loop *loop, void *owner, uint64_t id, uint32_t events);
hilum_rc hl_loop_unwatch(struct hl_loop *loop, void *owner, uint64_t id);
hilum_rc hl_loop_run(struct hl_loop *loop, void *owner, void (*run)(void *arg), void *arg);
/* All of one owner, NULL: of everybody. A call under way is not waited for. */
void hl_loop_forget(struct hl_loop *loop, void *owner);

#endif
