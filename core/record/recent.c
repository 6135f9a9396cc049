/* `commits` is odd while a commit is under way, and another number after each. An answer is kept with the number of before
 * the question, and given only while that is still the number: so no commit has begun since, and whoever asked the database
 * now would hear the same. While it is odd nothing is given and nothing kept.
 *
 * Two tables of fixed size without chains: a slot that is taken over costs a question, nothing else.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/record/recent.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "core/base/error.h"

/* As many as a viewer has open at once: of instances that came one after the other each has its own, of UIDs one in forty is
 * put out by another of a hundred. Two megabytes, of which nothing is touched before it is used. */
enum { INSTANCES = 1024, OBJECTS = 4096 };

struct hl_recent {
    atomic_uint_fast64_t commits;
    pthread_mutex_t lock; /* of both */
    struct {
        uint64_t asked; /* 0: nothing */
        struct hl_stored stored;
    } stored[INSTANCES];
    struct {
        uint64_t asked;
        struct hl_recent_object object;
    } objects[OBJECTS];
};

hilum_rc hl_recent_new(struct hl_recent **out)
{
    struct hl_recent *recent = calloc(1, sizeof *recent);
    *out = recent;
    if (!recent)
        return hl_fail(HILUM_ENOMEM, "record: out of memory");
    atomic_init(&recent->commits, 2); /* 0 is that of an empty slot */
    pthread_mutex_init(&recent->lock, NULL);
    return HILUM_OK;
}

void hl_recent_free(struct hl_recent *recent)
{
    if (!recent)
        return;
    pthread_mutex_destroy(&recent->lock);
    free(recent);
}

void hl_recent_commits(struct hl_recent *recent)
{
    atomic_fetch_add(&recent->commits, 1);
}

uint64_t hl_recent_now(const struct hl_recent *recent)
{
    return atomic_load(&recent->commits);
}

/* Is what was asked for then still so? */
static bool holds(const struct hl_recent *recent, uint64_t asked)
{
    return asked % 2 == 0 && asked == atomic_load(&recent->commits);
}

bool hl_recent_stored(struct hl_recent *recent, int64_t instance, struct hl_stored *out)
{
    size_t slot = (uint64_t)instance % INSTANCES;
    pthread_mutex_lock(&recent->lock);
    bool is_known = recent->stored[slot].stored.instance_id == instance &&
                    holds(recent, recent->stored[slot].asked);
    if (is_known)
        *out = recent->stored[slot].stored;
    pthread_mutex_unlock(&recent->lock);
    return is_known;
}

void hl_recent_keep_stored(struct hl_recent *recent, uint64_t asked, const struct hl_stored *stored)
{
    size_t slot = (uint64_t)stored->instance_id % INSTANCES;
    if (!holds(recent, asked))
        return;
    pthread_mutex_lock(&recent->lock);
    recent->stored[slot].asked = asked;
    recent->stored[slot].stored = *stored;
    pthread_mutex_unlock(&recent->lock);
}

static size_t slot_of(const char *sop_instance)
{
    return (size_t)(XXH3_64bits(sop_instance, strlen(sop_instance)) % OBJECTS);
}

bool hl_recent_object(struct hl_recent *recent, const char *study_uid, const char *series_uid,
                      const char *sop_instance, struct hl_recent_object *out)
{
    size_t slot = slot_of(sop_instance);
    pthread_mutex_lock(&recent->lock);
    const struct hl_recent_object *object = &recent->objects[slot].object;
    bool is_known = holds(recent, recent->objects[slot].asked) &&
                    strcmp(object->sop_instance, sop_instance) == 0 &&
                    strcmp(object->series_uid, series_uid) == 0 &&
                    strcmp(object->study_uid, study_uid) == 0;
    if (is_known)
        *out = *object;
    pthread_mutex_unlock(&recent->lock);
    return is_known;
}

void hl_recent_keep_object(struct hl_recent *recent, uint64_t asked,
                           const struct hl_recent_object *object)
{
    size_t slot = slot_of(object->sop_instance);
    if (!holds(recent, asked))
        return;
    pthread_mutex_lock(&recent->lock);
    recent->objects[slot].asked = asked;
    recent->objects[slot].object = *object;
    pthread_mutex_unlock(&recent->lock);
}
