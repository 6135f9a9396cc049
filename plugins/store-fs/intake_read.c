/* Objects served from the log until they are files. SPDX-License-Identifier: Apache-2.0 */
#include "intake.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Under lock: what others may see. */
static struct fs_entry *visible_find(struct fs_intake *intake, const char *key)
{
    struct fs_entry *entry = fs_entry_find(intake, key);
    return entry != NULL && entry->state != ENTRY_OPEN ? entry : NULL;
}

static void info_of(const struct fs_entry *entry, struct hilum_object_info *info)
{
    *info = (struct hilum_object_info){.size = sizeof *info,
                                       .flags =
                                           entry->state == ENTRY_PENDING ? HILUM_OBJECT_PENDING : 0,
                                       .length = entry->length,
                                       .mtime_ns = entry->mtime_ns};
}

hilum_rc fs_intake_stat(struct fs_intake *intake, const char *key, struct hilum_object_info *info)
{
    pthread_mutex_lock(&intake->lock);
    const struct fs_entry *entry = visible_find(intake, key);
    if (entry != NULL && info != NULL)
        info_of(entry, info);
    pthread_mutex_unlock(&intake->lock);
    return entry != NULL ? HILUM_OK : HILUM_EAGAIN;
}

static hilum_rc range_read(struct fs *fs, int fd, uint64_t at, void *dst, uint64_t n, uint64_t *got)
{
    while (*got < n) {
        ssize_t r = pread(fd, (char *)dst + *got, (size_t)(n - *got), (off_t)(at + *got));
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            return fs_fail_errno(fs, "read", "intake segment");
        *got += (uint64_t)r;
    }
    return HILUM_OK;
}

/* The segment is not recycled while it has readers. Out of the lock, with the segment held by
 * `readers`; the entry itself may be cut or dropped meanwhile, its bytes stay. */
hilum_rc fs_intake_read(struct fs_intake *intake, const char *key, uint64_t at, void *dst,
                        uint64_t n, uint64_t *got)
{
    *got = 0;
    pthread_mutex_lock(&intake->lock);
    const struct fs_entry *entry = visible_find(intake, key);
    if (entry == NULL) {
        pthread_mutex_unlock(&intake->lock);
        return HILUM_EAGAIN;
    }
    struct segment *segment = &intake->segments[entry->segment];
    uint64_t offset = entry->offset, length = entry->length;
    segment->readers++;
    pthread_mutex_unlock(&intake->lock);

    uint64_t left = at < length ? length - at : 0;
    hilum_rc rc = range_read(intake->fs, segment->fd, offset + at, dst, n < left ? n : left, got);

    pthread_mutex_lock(&intake->lock);
    segment->readers--;
    pthread_cond_broadcast(&intake->changed);
    pthread_mutex_unlock(&intake->lock);
    return rc;
}

hilum_rc fs_intake_erase(struct fs_intake *intake, const char *key)
{
    pthread_mutex_lock(&intake->lock);
    struct fs_entry *entry = visible_find(intake, key);
    if (entry != NULL)
        fs_entry_drop(intake, entry);
    pthread_mutex_unlock(&intake->lock);
    return entry != NULL ? HILUM_OK : HILUM_EAGAIN;
}

/* A final one that is asked for again stays final; one that is final is not dropped by keep 0,
 * since its row is there. */
hilum_rc fs_intake_finish(struct fs_intake *intake, const char *key, int32_t keep)
{
    pthread_mutex_lock(&intake->lock);
    struct fs_entry *entry = visible_find(intake, key);
    if (entry != NULL && keep)
        entry->state = ENTRY_FINAL;
    else if (entry != NULL && entry->state == ENTRY_PENDING)
        fs_entry_drop(intake, entry);
    pthread_cond_broadcast(&intake->changed);
    pthread_mutex_unlock(&intake->lock);
    return entry != NULL ? HILUM_OK : HILUM_EAGAIN;
}

static int listed_order(const void *a, const void *b)
{
    return strcmp(((const struct fs_listed *)a)->key, ((const struct fs_listed *)b)->key);
}

static size_t count(const struct fs_intake *intake)
{
    size_t n = 0;
    for (int i = 0; i < intake->n_segments; i++)
        n += intake->segments[i].live;
    return n;
}

/* A copy, so that no callback runs with the lock held. */
hilum_rc fs_intake_list(struct fs_intake *intake, bool is_final, struct fs_listed **out, size_t *n)
{
    enum entry_state wanted = is_final ? ENTRY_FINAL : ENTRY_PENDING;
    *n = 0;
    pthread_mutex_lock(&intake->lock);
    *out = malloc((count(intake) + 1) * sizeof **out);
    for (unsigned b = 0; *out != NULL && b < INTAKE_BUCKETS; b++) {
        for (const struct fs_entry *entry = intake->buckets[b]; entry != NULL;
             entry = entry->next) {
            if (entry->state != wanted)
                continue;
            memcpy((*out)[*n].key, entry->key, sizeof entry->key);
            info_of(entry, &(*out)[(*n)++].info);
        }
    }
    pthread_mutex_unlock(&intake->lock);
    if (*out == NULL)
        return fs_fail(intake->fs, HILUM_ENOMEM, "no memory to list", "intake");
    qsort(*out, *n, sizeof **out, listed_order);
    return HILUM_OK;
}
