/* Segments: made, replayed, recycled.
 *
 * Why a log: a new file costs commits of the file system's journal for its inode, its extents and
 * its names; overwriting a block that was written before costs none of them, so one flush is one
 * write of the device. Segments are therefore written in full once, and then only over.
 *
 * Replay (at the start): each segment is read from its head on until a record does not belong
 * to it. What has become a file is skipped; the rest waits as pending for the host's word.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "intake.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char segment_magic[8] = "HLSEG01";
static const char record_magic[8] = "HLREC01";
/* Behind a record's head, which is zero there when it is written: nobody wants the object any more. */
static const char dropped_mark[8] = "HLDROP1";

/* First block of a segment, and of each record. Host byte order: a segment never leaves its
 * machine. Lengths and offsets are of the bytes alone, without head and padding. */
struct head {
    char magic[8];
    uint64_t generation, length;
    int64_t mtime_ns;
    char key[FS_KEY_MAX + 8];
    uint64_t check; /* last: of all before */
};
_Static_assert(sizeof(struct head) + sizeof dropped_mark <= INTAKE_HEAD,
               "both lie before the note");

/* Its own function so that the plugin needs no library; the bytes themselves have the host's
 * digest. */
static uint64_t head_check(const struct head *head)
{
    uint64_t hash =
        14695981039346656037u; /* FNV-1a: 250 bytes, against torn and stale blocks only */
    const uint8_t *p = (const uint8_t *)head;
    for (size_t i = 0; i < offsetof(struct head, check); i++)
        hash = (hash ^ p[i]) * 1099511628211u;
    return hash;
}

static void head_write(struct head *head, const char magic[8], uint8_t block[INTAKE_BLOCK])
{
    memcpy(head->magic, magic, 8);
    head->check = head_check(head);
    memset(block, 0, INTAKE_HEAD);
    memcpy(block, head, sizeof *head);
}

static bool head_read(int fd, uint64_t at, const char magic[8], struct head *head)
{
    return pread(fd, head, sizeof *head, (off_t)at) == (ssize_t)sizeof *head &&
           memcmp(head->magic, magic, 8) == 0 && head->check == head_check(head) &&
           head->key[FS_KEY_MAX] == '\0';
}

static bool is_dropped(int fd, uint64_t at)
{
    char mark[sizeof dropped_mark];
    return pread(fd, mark, sizeof mark, (off_t)(at + INTAKE_HEAD - sizeof mark)) ==
               (ssize_t)sizeof mark &&
           memcmp(mark, dropped_mark, sizeof mark) == 0;
}

void fs_record_drop(const struct fs_intake *intake, const struct fs_entry *entry)
{
    uint64_t at = entry->offset - INTAKE_BLOCK + INTAKE_HEAD - sizeof dropped_mark;
    (void)fs_write_all(intake->segments[entry->segment].fd, dropped_mark, sizeof dropped_mark, at);
}

void fs_record_head(const struct fs_intake *intake, int segment, const struct fs_entry *entry,
                    uint8_t block[INTAKE_BLOCK])
{
    struct head head = {.generation = intake->segments[segment].generation,
                        .length = entry->length,
                        .mtime_ns = entry->mtime_ns};
    memcpy(head.key, entry->key, sizeof entry->key);
    if (!entry->has_note)
        memset(block + INTAKE_HEAD, 0, INTAKE_BLOCK - INTAKE_HEAD);
    head_write(&head, record_magic, block);
}

/* ---- entries ---- */

/* Keys of one minute differ at their end only: this mixes every byte. */
static unsigned bucket_of(const char *key)
{
    unsigned hash = 5381;
    while (*key != '\0')
        hash = hash * 33 + (uint8_t)*key++;
    return hash % INTAKE_BUCKETS;
}

struct fs_entry *fs_entry_find(struct fs_intake *intake, const char *key)
{
    struct fs_entry *entry = intake->buckets[bucket_of(key)];
    while (entry != NULL && strcmp(entry->key, key) != 0)
        entry = entry->next;
    return entry;
}

struct fs_entry *fs_entry_add(struct fs_intake *intake, const char *key)
{
    struct fs_entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL)
        return NULL;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(entry->key, sizeof entry->key, "%s", key);
    entry->segment = -1;
    entry->mtime_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    struct fs_entry **bucket = &intake->buckets[bucket_of(key)];
    entry->next = *bucket;
    *bucket = entry;
    return entry;
}

static void segment_remove(struct segment *segment, const struct fs_entry *entry)
{
    struct fs_entry **at = &segment->entries;
    while (*at != NULL && *at != entry)
        at = &(*at)->next_in_segment;
    if (*at == NULL)
        return;
    *at = entry->next_in_segment;
    segment->live--;
}

/* The segment is free once its last entry has gone and the cutter looks (segments_recycle). */
void fs_entry_drop(struct fs_intake *intake, struct fs_entry *entry)
{
    struct fs_entry **at = &intake->buckets[bucket_of(entry->key)];
    while (*at != NULL && *at != entry)
        at = &(*at)->next;
    if (*at != NULL)
        *at = entry->next;
    if (entry->is_cutting) {
        entry->is_dropped = true;
        return;
    }
    if (entry->segment >= 0)
        segment_remove(&intake->segments[entry->segment], entry);
    free(entry);
    pthread_cond_broadcast(&intake->changed);
}

/* ---- segments ---- */

/* The new generation becomes durable with the first group in it; until then its records are
 * none. One that cannot be written is passed over and tried the next time. */
bool fs_segment_activate(struct fs_intake *intake)
{
    uint8_t block[INTAKE_BLOCK] = {0};
    for (int i = 0; i < intake->n_segments; i++) {
        struct segment *segment = &intake->segments[i];
        if (segment->state != SEGMENT_FREE || segment->readers > 0)
            continue;
        struct head head = {.generation = segment->generation + 1};
        head_write(&head, segment_magic, block);
        if (!fs_write_all(segment->fd, block, sizeof block, 0))
            continue;
        segment->generation++;
        segment->used = INTAKE_BLOCK;
        segment->state = SEGMENT_ACTIVE;
        intake->active = i;
        return true;
    }
    return false;
}

/* Every block is written once now, so that later flushes have data to write and no metadata.
 * 64 MiB each: a second of a slow disk, hence one after another and in quiet moments
 * (fs_segments_make). */
static bool segment_prewrite(int fd, uint64_t size)
{
    static const uint8_t zeros[INTAKE_CHUNK];
    for (uint64_t at = 0; at < size; at += sizeof zeros) {
        if (!fs_write_all(fd, zeros, sizeof zeros, at))
            return false;
    }
    bool is_written = fsync(fd) == 0;
    int number = errno;
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); /* zeros nobody reads */
    errno = number;
    return is_written;
}

/* false: there is none. */
static bool segment_open(struct fs_intake *intake, int i)
{
    char name[32];
    struct stat st;
    struct segment *segment = &intake->segments[i];
    snprintf(name, sizeof name, "segment-%02d", i);
    int fd = openat(intake->dir_fd, name, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    segment->fd = fd;
    int direct_fd = openat(intake->dir_fd, name, O_WRONLY | O_DIRECT | O_CLOEXEC);
    segment->direct_fd = direct_fd > 0 ? direct_fd : 0;
    segment->size = (uint64_t)st.st_size; /* as it was made, whatever the option says now */
    segment->state = SEGMENT_FREE;
    return true;
}

/* Under another name until it is whole: a segment that is there has all its blocks. */
static bool segment_make(struct fs_intake *intake, int i)
{
    char name[32], part[40];
    snprintf(name, sizeof name, "segment-%02d", i);
    snprintf(part, sizeof part, "%s.new", name);
    int fd = openat(intake->dir_fd, part, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (fd < 0)
        return false;
    bool is_made = segment_prewrite(fd, (uint64_t)intake->fs->conf->segment) &&
                   renameat(intake->dir_fd, part, intake->dir_fd, name) == 0 &&
                   fsync(intake->dir_fd) == 0;
    int number = errno;
    if (!is_made)
        unlinkat(intake->dir_fd, part, 0);
    close(fd);
    errno = number;
    return is_made;
}

/* false: could not, with errno. */
static bool segment_provide(struct fs_intake *intake, int i)
{
    if (!segment_make(intake, i))
        return false;
    pthread_mutex_lock(&intake->lock);
    bool is_open = segment_open(intake, i);
    pthread_mutex_unlock(&intake->lock);
    return is_open;
}

/* Twelve of them are 768 MiB: a fresh installation has a log with its first one and grows it
 * behind the senders. */
void fs_segments_make(struct fs_intake *intake)
{
    bool is_stopping = intake->max_chunks == 0; /* nothing comes in: none are wanted */
    for (int i = 0; i < intake->n_segments && !is_stopping; i++) {
        pthread_mutex_lock(&intake->lock);
        bool is_absent = intake->segments[i].state == SEGMENT_ABSENT;
        while (is_absent && !intake->is_stopping && !fs_intake_is_quiet(intake))
            fs_intake_wait(intake, INTAKE_QUIET_MS); /* senders go first */
        is_stopping = intake->is_stopping;
        pthread_mutex_unlock(&intake->lock);
        if (!is_absent || is_stopping || segment_provide(intake, i))
            continue;
        fs_fail_errno(intake->fs, "objects go to single files: no further segment of",
                      "the intake log");
        intake->fs->host->log(intake->fs->self, HILUM_LOG_WARN,
                              intake->fs->host->reason(intake->fs->self));
        return; /* those that are there serve; files take the rest */
    }
}

/* ---- replay ---- */

/* A record whose file is there was cut; its name may be younger than the last flush of its
 * directory. A file under either name: the record has done its work, whatever its bytes say. */
static bool is_cut(struct fs *fs, const char *key)
{
    struct stat st;
    char pending[FS_NAME_SIZE];
    fs_name_pending(key, pending);
    if (fstatat(fs->pending_fd, pending, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return true;
    if (fstatat(fs->objects_fd, key, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    fs->intake->has_cut = true;
    return true;
}

/* Records follow each other without gaps, so the first that is torn or not of this generation
 * is the end: a flush covers all that was written before it. */
static hilum_rc segment_replay(struct fs_intake *intake, int i)
{
    struct segment *segment = &intake->segments[i];
    struct head head;
    if (segment->fd <= 0 || !head_read(segment->fd, 0, segment_magic, &head))
        return HILUM_OK; /* never used */
    segment->generation = head.generation;
    segment->used = INTAKE_BLOCK;
    while (segment->used + INTAKE_BLOCK <= segment->size &&
           head_read(segment->fd, segment->used, record_magic, &head) &&
           head.generation == segment->generation && head.length <= INTAKE_OBJECT_MAX) {
        uint64_t at = segment->used + INTAKE_BLOCK;
        segment->used = (at + head.length + INTAKE_BLOCK - 1) & ~(uint64_t)(INTAKE_BLOCK - 1);
        if (fs_key_check(intake->fs, head.key) != HILUM_OK ||
            is_dropped(segment->fd, at - INTAKE_BLOCK) || is_cut(intake->fs, head.key) ||
            fs_entry_find(intake, head.key) != NULL)
            continue;
        struct fs_entry *entry = fs_entry_add(intake, head.key);
        if (entry == NULL)
            return fs_fail(intake->fs, HILUM_ENOMEM, "no memory to replay", head.key);
        entry->state = ENTRY_PENDING; /* final or not: the host's rows know */
        entry->segment = i;
        entry->offset = at;
        entry->length = head.length;
        entry->mtime_ns = head.mtime_ns;
        entry->next_in_segment = segment->entries;
        segment->entries = entry;
        segment->live++;
    }
    if (segment->live > 0)
        segment->state = SEGMENT_FULL;
    return HILUM_OK;
}

/* ---- life ---- */

/* Those that are there, of an earlier and larger configuration too; the first is made at once.
 * More than configured stay open as long as they hold objects. */
static bool segments_open(struct fs_intake *intake)
{
    int wanted = (int)intake->fs->conf->segments;
    for (int i = 0; i < INTAKE_SEGMENTS_MAX; i++) {
        if (segment_open(intake, i) || i < wanted)
            intake->n_segments = i + 1;
    }
    return intake->max_chunks == 0 || intake->segments[0].state != SEGMENT_ABSENT ||
           segment_provide(intake, 0);
}

/* syncfs before a segment with cut files is used again: the file that replaced a record may
 * not have been flushed when the power went, and its record would be written over. */
static hilum_rc segments_replay(struct fs_intake *intake)
{
    hilum_rc rc = HILUM_OK;
    for (int i = 0; i < intake->n_segments && rc == HILUM_OK; i++)
        rc = segment_replay(intake, i);
    if (rc == HILUM_OK && intake->has_cut && syncfs(intake->fs->root_fd) != 0)
        rc = fs_fail_errno(intake->fs, "syncfs", "intake");
    return rc;
}

/* dir_fd and segments may be missing on a full or read-only medium; whatever is there is still
 * served. */
hilum_rc fs_intake_open(struct fs *fs)
{
    struct fs_intake *intake = calloc(1, sizeof *intake);
    if (intake == NULL)
        return fs_fail(fs, HILUM_ENOMEM, "no memory", "intake");
    intake->fs = fs;
    intake->active = -1;
    if (strcmp(fs->conf->intake, "log") ==
        0) /* else: what is in it is served, nothing new comes in */
        intake->max_chunks = (unsigned)(fs->conf->memory / INTAKE_CHUNK);
    pthread_mutex_init(&intake->lock, NULL);
    pthread_mutex_init(&intake->write_lock, NULL);
    pthread_mutex_init(&intake->sync_lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&intake->changed, &attr);
    pthread_condattr_destroy(&attr);
    hilum_rc rc = HILUM_OK;
    fs->intake = intake;
    if (mkdirat(fs->root_fd, "intake", 0750) == 0)
        fsync(fs->root_fd);
    intake->dir_fd = openat(fs->root_fd, "intake", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (intake->dir_fd < 0 || !segments_open(intake))
        rc = fs_fail_errno(fs, "objects go to single files: no segment of", "the intake log");
    /* Whatever is in the segments that could be opened is served, also where no new one can be made. */
    hilum_rc replayed = segments_replay(intake);
    if (replayed == HILUM_OK && pthread_create(&intake->cutter, NULL, fs_cutter_run, intake) != 0)
        replayed = fs_fail(fs, HILUM_ENOMEM, "no thread to cut files", "intake");
    intake->has_cutter = replayed == HILUM_OK;
    if (replayed != HILUM_OK) {
        fs->intake = NULL;
        fs_intake_close(intake);
        return replayed;
    }
    return rc;
}

/* Waits for the cutter, which ends when no final object is left in the log. Once; later calls
 * do nothing. */
void fs_intake_drain(struct fs_intake *intake)
{
    pthread_mutex_lock(&intake->lock);
    intake->is_stopping = true;
    pthread_cond_broadcast(&intake->changed);
    pthread_mutex_unlock(&intake->lock);
    if (intake->has_cutter)
        pthread_join(intake->cutter, NULL);
    intake->has_cutter = false;
}

/* After a clean stop the next start finds empty segments. Not flushed: remains are recognised as cut. */
static void segments_clear(struct fs_intake *intake)
{
    uint8_t block[INTAKE_BLOCK] = {0};
    for (int i = 0; i < intake->n_segments; i++) {
        const struct segment *segment = &intake->segments[i];
        struct head head = {.generation = segment->generation + 1};
        if (segment->fd <= 0 || segment->live > 0 || segment->used <= INTAKE_BLOCK)
            continue;
        head_write(&head, segment_magic, block);
        fs_write_all(segment->fd, block, sizeof block, 0);
    }
}

void fs_intake_close(struct fs_intake *intake)
{
    fs_intake_drain(intake);
    segments_clear(intake);
    for (unsigned b = 0; b < INTAKE_BUCKETS; b++) {
        while (intake->buckets[b] != NULL) {
            struct fs_entry *entry = intake->buckets[b];
            intake->buckets[b] = entry->next;
            free(entry);
        }
    }
    fs_chunks_close(intake);
    for (int i = 0; i < INTAKE_SEGMENTS_MAX; i++) {
        if (intake->segments[i].fd > 0)
            close(intake->segments[i].fd);
        if (intake->segments[i].direct_fd > 0)
            close(intake->segments[i].direct_fd);
    }
    if (intake->dir_fd >= 0)
        close(intake->dir_fd);
    pthread_cond_destroy(&intake->changed);
    pthread_mutex_destroy(&intake->lock);
    pthread_mutex_destroy(&intake->write_lock);
    pthread_mutex_destroy(&intake->sync_lock);
    free(intake);
}
