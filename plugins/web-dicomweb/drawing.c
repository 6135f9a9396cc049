/* Memory of the pictures that are drawn at once: what does not fit in picture_memory waits for those before it. Called by
 * workers and jobs; has a lock of its own, held for no longer than a look at two numbers.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "web.h"

/* Smaller ones are not counted: all workers together need less for them than for one of the others. */
enum { SMALL = 16 * 1024 * 1024 };

/* In the order of their coming, so that a large one is not kept waiting by those that just fit. */
struct web_drawing {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t next, served; /* tickets */
    uint64_t in_use, most; /* bytes */
};

struct web_drawing *web_drawing_new(uint64_t most)
{
    struct web_drawing *drawing = calloc(1, sizeof *drawing);
    if (drawing == NULL)
        return NULL;
    drawing->most = most;
    pthread_mutex_init(&drawing->lock, NULL);
    pthread_cond_init(&drawing->changed, NULL);
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

uint64_t web_drawing_begin(struct web_drawing *drawing, const struct hilum_source *source,
                           const struct hilum_view *view)
{
    uint64_t bytes = bytes_of(source, view);
    if (bytes < SMALL)
        return 0;
    pthread_mutex_lock(&drawing->lock);
    if (bytes > drawing->most)
        bytes = drawing->most; /* alone, then */
    for (uint64_t ticket = drawing->next++;
         ticket != drawing->served || bytes > drawing->most - drawing->in_use;)
        pthread_cond_wait(&drawing->changed, &drawing->lock);
    drawing->served++;
    drawing->in_use += bytes;
    pthread_cond_broadcast(&drawing->changed);
    pthread_mutex_unlock(&drawing->lock);
    return bytes;
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
