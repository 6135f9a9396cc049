/* Memory of the pictures that are drawn at once: what does not fit in picture_memory waits for those before it, or leaves
 * with its client. Called by workers and jobs; has a lock of its own, held for no longer than a look at two numbers.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "web.h"

/* Smaller ones are not counted: all workers together need less for them than for one of the others. */
enum { SMALL = 16 * 1024 * 1024, LOOK_NS = 100000000, SECOND_NS = 1000000000 };

/* On the stack of who waits, in the order of their coming: a large one is not kept waiting by those that just fit. */
struct waiter {
    struct waiter *next;
};

struct web_drawing {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct waiter *first, **last;
    uint64_t in_use, most; /* bytes */
};

struct web_drawing *web_drawing_new(uint64_t most)
{
    struct web_drawing *drawing = calloc(1, sizeof *drawing);
    pthread_condattr_t monotonic;
    if (drawing == NULL)
        return NULL;
    drawing->most = most;
    drawing->last = &drawing->first;
    pthread_mutex_init(&drawing->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&drawing->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return drawing;
}

void web_drawing_free(struct web_drawing *drawing)
{
    if (drawing == NULL)
        return;
    pthread_cond_destroy(&drawing->changed);
    pthread_mutex_destroy(&drawing->lock);
    free(drawing);
}

/* May a mask be subtracted from it? */
static bool has_mask(const struct hilum_source *source, const struct hilum_view *view)
{
    return source->n_states > 0 ||
           (view->parameters != NULL && strstr(view->parameters, "mask") != NULL);
}

/* The frame as it is stored and as it is shown, the picture, and its encoded stream, which may be as long as that; two
 * planes of floats and another frame where a mask is subtracted. */
static uint64_t bytes_of(const struct hilum_source *source, const struct hilum_view *view)
{
    struct hilum_slice slice = {.size = sizeof slice};
    if (source->describe(source->ctx, view->slice, &slice) != HILUM_OK || slice.frame == NULL)
        return 0; /* the renderer says so too, at once */
    const struct hilum_frame *frame = slice.frame;
    uint64_t stored = (uint64_t)frame->columns * frame->rows;
    uint64_t shown =
        view->width > 0 && view->height > 0 ? (uint64_t)view->width * view->height : stored;
    return (has_mask(source, view) ? 3 : 2) * hilum_frame_bytes(frame) +
           (has_mask(source, view) ? 2 * sizeof(float) * stored : 0) +
           2 * shown * (frame->samples > 1 || source->n_states > 0 ? 3 : 1);
}

/* Lock held, which is let go meanwhile. */
static hilum_rc wait_a_moment(struct web_drawing *drawing, const struct hilum_source *source)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += LOOK_NS;
    until.tv_sec += until.tv_nsec / SECOND_NS;
    until.tv_nsec %= SECOND_NS;
    pthread_cond_timedwait(&drawing->changed, &drawing->lock, &until);
    pthread_mutex_unlock(&drawing->lock);
    hilum_rc rc = source->go_on(source->ctx);
    pthread_mutex_lock(&drawing->lock);
    return rc;
}

/* Lock held: out of the queue, from wherever in it. */
static void leave(struct web_drawing *drawing, struct waiter *own)
{
    struct waiter **at = &drawing->first;
    while (*at != own)
        at = &(*at)->next;
    *at = own->next;
    if (drawing->last == &own->next)
        drawing->last = at;
    pthread_cond_broadcast(&drawing->changed);
}

hilum_rc web_drawing_begin(struct web_drawing *drawing, const struct hilum_source *source,
                           const struct hilum_view *view, uint64_t laid, uint64_t *taken)
{
    uint64_t bytes = bytes_of(source, view) + laid;
    struct waiter own = {NULL};
    hilum_rc rc = HILUM_OK;
    *taken = 0;
    if (bytes < SMALL)
        return rc;
    pthread_mutex_lock(&drawing->lock);
    if (bytes > drawing->most)
        bytes = drawing->most; /* alone, then */
    *drawing->last = &own;
    /* cppcheck-suppress autoVariables ; leave() takes it out again */
    drawing->last = &own.next;
    while (rc == HILUM_OK && (drawing->first != &own || bytes > drawing->most - drawing->in_use))
        rc = wait_a_moment(drawing, source);
    leave(drawing, &own);
    if (rc == HILUM_OK)
        drawing->in_use += *taken = bytes;
    pthread_mutex_unlock(&drawing->lock);
    return rc;
}

void web_drawing_end(struct web_drawing *drawing, uint64_t bytes)
{
    if (bytes == 0)
        return;
    pthread_mutex_lock(&drawing->lock);
    drawing->in_use -= bytes;
    pthread_cond_broadcast(&drawing->changed);
    pthread_mutex_unlock(&drawing->lock);
}
