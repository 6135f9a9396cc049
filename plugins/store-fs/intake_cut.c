/* Objects of the log become files: in the background, a segment at a time, durable with their final names
 * before the segment is used again.
 *
 * One thread. It works when senders pause, or when less than a quarter of the segments is
 * free: then senders and cutter share the disk, and the log gives what the cutter can take.
 * Order within a batch: bytes, flush of the files, final names, flush of the folders; only
 * then are the entries dropped and may the segment be written over.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "intake.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A batch of 32 shares the flushes of folders and begins the writing of all files before it
 * waits for one. */
enum { RETRY_MS = 1000, CUT_BATCH = 32 };

/* fds[i] is of entries[i], open until the batch has been flushed. */
struct cut {
    struct fs_entry *entries[CUT_BATCH];
    int fds[CUT_BATCH];
    size_t n;
};

int64_t fs_mono_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- one batch ---- */

/* For file systems that cannot copy by themselves. */
static bool bytes_pass(int from, uint64_t at, int to, uint64_t n)
{
    uint8_t piece[16 * 1024];
    for (uint64_t done = 0; done < n;) {
        uint64_t want = n - done < sizeof piece ? n - done : sizeof piece;
        ssize_t got = pread(from, piece, want, (off_t)(at + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0 || !fs_write_all(to, piece, (uint64_t)got, done))
            return false;
        done += (uint64_t)got;
    }
    return true;
}

/* Records are not in the page cache unless somebody has read them: they were written past it. */
static void batch_fetch(struct fs_intake *intake, const struct cut *cut)
{
    for (size_t i = 0; i < cut->n; i++) {
        const struct fs_entry *entry = cut->entries[i];
        posix_fadvise(intake->segments[entry->segment].fd, (off_t)entry->offset,
                      (off_t)entry->length, POSIX_FADV_WILLNEED);
    }
}

/* From here on the file is read, not the record. */
static void batch_forget(struct fs_intake *intake, const struct cut *cut)
{
    for (size_t i = 0; i < cut->n; i++) {
        const struct fs_entry *entry = cut->entries[i];
        posix_fadvise(intake->segments[entry->segment].fd, (off_t)entry->offset,
                      (off_t)entry->length, POSIX_FADV_DONTNEED);
    }
}

static bool bytes_copy(int from, uint64_t at, int to, uint64_t n)
{
    off_t source = (off_t)at;
    for (uint64_t left = n; left > 0;) {
        ssize_t done = copy_file_range(from, &source, to, NULL, (size_t)left, 0);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0 &&
            (errno == ENOSYS || errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP))
            return bytes_pass(from, at, to, n);
        if (done <= 0)
            return false;
        left -= (uint64_t)done;
    }
    return true;
}

/* O_TRUNC: a part of an earlier try may be there. */
static hilum_rc part_write(struct fs_intake *intake, const struct fs_entry *entry, int *out)
{
    char part[FS_NAME_SIZE];
    struct fs *fs = intake->fs;
    fs_name_part(entry->key, part);
    *out = openat(fs->pending_fd, part, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (*out < 0)
        return fs_fail_errno(fs, "create", entry->key);
    if (!bytes_copy(intake->segments[entry->segment].fd, entry->offset, *out, entry->length))
        return fs_fail_errno(fs, "copy from the intake log", entry->key);
    sync_file_range(*out, 0, 0, SYNC_FILE_RANGE_WRITE);
    return HILUM_OK;
}

/* Straight to the final name: the object is final in the log already, so no crash can need a
 * pending one. */
static hilum_rc part_name(struct fs_intake *intake, const struct fs_entry *entry)
{
    char part[FS_NAME_SIZE];
    struct fs *fs = intake->fs;
    fs_name_part(entry->key, part);
    hilum_rc rc = fs_dirs_make(fs, entry->key);
    if (rc == HILUM_OK && fs_rename(fs->pending_fd, part, fs->objects_fd, entry->key) != 0)
        rc = fs_fail_errno(fs, "rename to its final name", entry->key);
    return rc;
}

/* A directory is flushed once a batch where its keys follow each other, as the host's do. */
static hilum_rc dirs_sync(struct fs_intake *intake, const struct cut *cut)
{
    hilum_rc rc = HILUM_OK;
    const char *last = NULL;
    for (size_t i = 0; i < cut->n && rc == HILUM_OK; i++) {
        const char *key = cut->entries[i]->key, *slash = strrchr(key, '/');
        size_t n = slash != NULL ? (size_t)(slash - key) + 1 : 0;
        if (last != NULL && strncmp(last, key, n) == 0 && strchr(last + n, '/') == NULL)
            continue;
        rc = fs_dir_sync_of(intake->fs, key);
        last = key;
    }
    return rc;
}

static hilum_rc batch_write(struct fs_intake *intake, struct cut *cut)
{
    hilum_rc rc = HILUM_OK;
    batch_fetch(intake, cut);
    for (size_t i = 0; i < cut->n && rc == HILUM_OK; i++)
        rc = part_write(intake, cut->entries[i], &cut->fds[i]);
    batch_forget(intake, cut);
    for (size_t i = 0; i < cut->n && rc == HILUM_OK; i++) {
        if (fdatasync(cut->fds[i]) != 0)
            rc = fs_fail_errno(intake->fs, "fdatasync", cut->entries[i]->key);
    }
    for (size_t i = 0; i < cut->n && rc == HILUM_OK; i++)
        rc = part_name(intake, cut->entries[i]);
    if (rc == HILUM_OK)
        rc = dirs_sync(intake, cut);
    for (size_t i = 0; i < cut->n; i++) {
        char part[FS_NAME_SIZE];
        if (cut->fds[i] >= 0)
            close(cut->fds[i]);
        fs_name_part(cut->entries[i]->key, part);
        if (rc != HILUM_OK)
            unlinkat(intake->fs->pending_fd, part, 0);
    }
    return rc;
}

/* Under lock. Final objects of the segment that are not files yet, at most a batch. */
static void batch_take(struct fs_intake *intake, int i, struct cut *cut)
{
    cut->n = 0;
    for (struct fs_entry *entry = intake->segments[i].entries; entry != NULL && cut->n < CUT_BATCH;
         entry = entry->next_in_segment) {
        if (entry->state != ENTRY_FINAL)
            continue;
        entry->is_cutting = true;
        cut->fds[cut->n] = -1;
        cut->entries[cut->n++] = entry;
    }
}

/* Under lock. Files serve from here on; what was erased meanwhile is erased as a file too. A
 * batch that was not written whole leaves its objects in the log, and takes back the names it
 * had given: the next try gives them again. */
static void batch_done(struct fs_intake *intake, struct cut *cut, hilum_rc rc)
{
    for (size_t i = 0; i < cut->n; i++) {
        struct fs_entry *entry = cut->entries[i];
        bool is_dropped = entry->is_dropped;
        entry->is_cutting = false;
        if (is_dropped)
            unlinkat(intake->fs->objects_fd, entry->key, 0);
        if (is_dropped || rc == HILUM_OK)
            fs_entry_drop(intake, entry);
        else
            unlinkat(intake->fs->objects_fd, entry->key, 0);
    }
}

/* ---- when ---- */

bool fs_intake_is_quiet(const struct fs_intake *intake)
{
    return intake->syncing == 0 && fs_mono_ms() - intake->last_sync_ms >= INTAKE_QUIET_MS;
}

/* Under lock. Segments to cut: full ones when the sender pauses or less than a quarter is
 * free; the active one too when everything must go. -1: none. Full ones first: the active one
 * is still being written to. */
static int segment_pick(const struct fs_intake *intake)
{
    int n_free = 0, full = -1, any = -1;
    for (int i = 0; i < intake->n_segments; i++) {
        const struct segment *segment = &intake->segments[i];
        bool has_final = false;
        for (const struct fs_entry *e = segment->entries; e != NULL && !has_final;
             e = e->next_in_segment)
            has_final = e->state == ENTRY_FINAL;
        n_free += segment->state == SEGMENT_FREE;
        if (has_final && segment->state == SEGMENT_FULL)
            full = i;
        if (has_final)
            any = i;
    }
    bool is_quiet = fs_intake_is_quiet(intake);
    if (intake->is_stopping || is_quiet)
        return full >= 0 ? full : any;
    return n_free * 4 < intake->n_segments ? full : -1;
}

/* Under lock. Everything in it is a file or gone, and nobody reads: it may be written over. A
 * bad one never: its pages may be called clean by a kernel that has lost them. */
static void segments_recycle(struct fs_intake *intake)
{
    for (int i = 0; i < intake->n_segments; i++) {
        struct segment *segment = &intake->segments[i];
        if (segment->state == SEGMENT_FULL && segment->live == 0 && segment->readers == 0 &&
            !segment->is_bad)
            segment->state = SEGMENT_FREE;
    }
}

void fs_intake_wait(struct fs_intake *intake, int64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_cond_timedwait(&intake->changed, &intake->lock, &until);
}

/* The lock is given up for the I/O; is_cutting keeps the entries alive meanwhile. */
static hilum_rc cut_some(struct fs_intake *intake, int i)
{
    struct cut cut;
    batch_take(intake, i, &cut);
    pthread_mutex_unlock(&intake->lock);
    hilum_rc rc = batch_write(intake, &cut);
    if (rc != HILUM_OK)
        intake->fs->host->log(intake->fs->self, HILUM_LOG_WARN,
                              intake->fs->host->reason(intake->fs->self));
    pthread_mutex_lock(&intake->lock);
    batch_done(intake, &cut, rc);
    return rc;
}

void *fs_cutter_run(void *arg)
{
    struct fs_intake *intake = arg;
    fs_segments_make(intake);
    pthread_mutex_lock(&intake->lock);
    for (;;) {
        segments_recycle(intake);
        int i = segment_pick(intake);
        if (i < 0 && intake->is_stopping)
            break;
        if (i < 0) {
            if (fs_intake_is_quiet(intake))
                fs_chunks_trim(intake);
            fs_intake_wait(intake, INTAKE_QUIET_MS);
        } else if (cut_some(intake, i) != HILUM_OK) {
            if (intake->is_stopping)
                break; /* it stays in the log: the next start serves it from there */
            fs_intake_wait(intake, RETRY_MS);
        }
    }
    pthread_mutex_unlock(&intake->lock);
    return NULL;
}
