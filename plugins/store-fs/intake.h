/* The intake log: objects are appended to pre-written segments, one flush a group, and cut into files in the
 * background. What the intake*.c files share. It knows nothing of final paths but what fs.h offers.
 *
 * On disk a segment is a head with its generation and then records, each a block (head and the
 * host's note) and the bytes, everything padded to 4096 so that it can be written past the
 * page cache. A record counts only with the segment's generation: a segment is used again by
 * raising that, and whatever older records it holds are remains. In memory an entry for each
 * object that is not a file yet says where it lies.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_FS_INTAKE_H
#define STORE_FS_INTAKE_H

#include "fs.h"

#include <stddef.h>
#include <time.h>

/* INTAKE_CHUNK: most slices are one to three of these. INTAKE_BUCKETS: for a few thousand
 * entries, 12 segments of small slices. INTAKE_QUIET_MS: a sender that pauses for a second
 * leaves the disk to the cutter. */
enum {
    INTAKE_BLOCK = 4096,
    INTAKE_CHUNK = 256 * 1024,
    INTAKE_OBJECT_MAX = 4 * 1024 * 1024, /* larger ones go to a file at once: they are streams */
    INTAKE_BUCKETS = 1024,
    INTAKE_SEGMENTS_MAX = 64,
    INTAKE_QUIET_MS = 1000,
    INTAKE_HEAD = 512, /* of a record's first block; the host's note follows */
    INTAKE_NOTE_MAX = INTAKE_BLOCK - INTAKE_HEAD - 24
};

struct fs_slab;

struct fs_chunk {
    struct fs_chunk *next;
    struct fs_slab *slab; /* it is a part of */
    uint32_t used;
    uint8_t *bytes; /* INTAKE_CHUNK, aligned to INTAKE_BLOCK */
};

/* OPEN: its bytes are still in memory. PENDING: in the log, and the host has not said yet that
 * its row is durable too. FINAL: it has, and the cutter may make a file of it; what was cut
 * has no entry any more. */
enum entry_state { ENTRY_OPEN, ENTRY_PENDING, ENTRY_FINAL };

/* An object that is in the log, or whose bytes are still in memory (ENTRY_OPEN). */
struct fs_entry {
    struct fs_entry *next; /* of its bucket */
    struct fs_entry *next_in_segment;
    char key[FS_KEY_MAX + 1];
    enum entry_state state;
    int segment;             /* -1 while open */
    uint64_t offset, length; /* of the bytes in the segment */
    int64_t mtime_ns;
    bool has_note;   /* in memory or in the log; unknown after a replay */
    bool is_cutting; /* by the cutter, without the lock */
    bool is_dropped; /* meanwhile: the cutter erases the file and frees this */
};

/* ABSENT (not made yet) -> FREE -> ACTIVE (one at most) -> FULL -> (all its objects cut or dropped) -> FREE */
enum segment_state { SEGMENT_ABSENT, SEGMENT_FREE, SEGMENT_ACTIVE, SEGMENT_FULL };

struct segment {
    int fd;
    int direct_fd; /* the same file past the page cache, for records; 0: the file system cannot */
    enum segment_state state;
    uint64_t generation; /* records of another one are remains */
    uint64_t size, used;
    struct fs_entry *entries;
    unsigned live, readers;
    bool is_bad; /* under sync_lock: a flush failed; not used again by this process */
};

/* write_lock and sync_lock are taken without `lock`, which is taken for moments while
 * write_lock is held: while one group is flushed the next is written, and lists are never
 * blocked by the disk. */
struct fs_intake {
    struct fs *fs;
    int dir_fd;
    pthread_mutex_t lock; /* of all below but where said */
    pthread_cond_t changed;
    struct segment segments[INTAKE_SEGMENTS_MAX];
    int n_segments, active; /* active -1: none */
    struct fs_entry *buckets[INTAKE_BUCKETS];
    struct fs_chunk *chunks; /* free ones */
    struct fs_slab *slabs;   /* all */
    unsigned n_chunks, max_chunks;
    int64_t last_sync_ms; /* or begin */
    unsigned syncing;
    bool has_cut; /* replay met files whose names may be younger than the last flush */
    bool is_stopping, has_cutter;
    pthread_t cutter;
    pthread_mutex_t
        write_lock; /* held while records are written: they follow each other without a gap */
    pthread_mutex_t
        sync_lock; /* held while a segment is flushed: a failure is seen by all behind it */
};

/* ---- intake.c: segments and what is in them ---- */
hilum_rc
fs_intake_open(struct fs *fs); /* on failure there is no intake: files serve, and it is logged */
/* Makes segments that are not there yet, one after another; by the cutter, so that no start waits. */
void fs_segments_make(struct fs_intake *intake);
void fs_intake_drain(struct fs_intake *intake);
void fs_intake_close(struct fs_intake *intake);
/* Under lock. NULL if the key is not in the log. */
struct fs_entry *fs_entry_find(struct fs_intake *intake, const char *key);
struct fs_entry *fs_entry_add(struct fs_intake *intake, const char *key);
/* Under lock: out of the log; freed, or left to the cutter. */
void fs_entry_drop(struct fs_intake *intake, struct fs_entry *entry);
/* Under lock: takes a free segment into use; false if there is none. */
bool fs_segment_activate(struct fs_intake *intake);
/* Record header of an object of so many bytes into block; a note in it stays. */
void fs_record_head(const struct fs_intake *intake, int segment, const struct fs_entry *entry,
                    uint8_t block[INTAKE_BLOCK]);

/* Without the lock, of an entry nobody else has: a start will not find the record. Not flushed: the next group of the segment
 * does that. Best effort, for what it prevents needs a lost catalogue too. */
void fs_record_drop(const struct fs_intake *intake, const struct fs_entry *entry);

/* ---- intake_txn.c: the way in; false or HILUM_EAGAIN: use a file ---- */
bool fs_intake_begin(struct fs_intake *intake, struct fs_txn *txn);
hilum_rc fs_intake_append(struct fs_intake *intake, struct fs_txn *txn, const void *bytes,
                          uint64_t n);
void fs_intake_commit(struct fs_intake *intake, struct fs_txn *txn);
void fs_intake_abort(struct fs_intake *intake, struct fs_txn *txn);
/* The object becomes a file after all: too large, no memory, or no segment. */
hilum_rc fs_intake_spill(struct fs_intake *intake, struct fs_txn *txn);

/* ---- intake_memory.c: chunks ---- */
/* One more at the end of the list; false: the budget is used up. */
bool fs_chunk_add(struct fs_intake *intake, struct fs_txn *txn);
void fs_chunks_give(struct fs_intake *intake, struct fs_txn *txn);
/* Under lock: gives memory back that a burst has left. */
void fs_chunks_trim(struct fs_intake *intake);
/* Nobody is left who has one. */
void fs_chunks_close(struct fs_intake *intake);

/* ---- intake_sync.c ---- */
/* Writes and flushes those of the group that are in memory. Those that do not fit become files. */
hilum_rc fs_intake_sync(struct fs_intake *intake, void *const txns[], uint64_t n);

/* ---- intake_read.c: HILUM_EAGAIN: not in the log ---- */
hilum_rc fs_intake_stat(struct fs_intake *intake, const char *key, struct hilum_object_info *info);
hilum_rc fs_intake_read(struct fs_intake *intake, const char *key, uint64_t at, void *dst,
                        uint64_t n, uint64_t *got);
hilum_rc fs_intake_erase(struct fs_intake *intake, const char *key);
hilum_rc fs_intake_finish(struct fs_intake *intake, const char *key, int32_t keep);
/* Keys (sorted) of the final or of the pending objects in the log; free() them. */
struct fs_listed {
    char key[FS_KEY_MAX + 1];
    struct hilum_object_info info;
};
hilum_rc fs_intake_list(struct fs_intake *intake, bool is_final, struct fs_listed **out, size_t *n);

/* ---- intake_cut.c ---- */
void *fs_cutter_run(void *intake);
/* Under lock: has nobody begun or synced for INTAKE_QUIET_MS? */
bool fs_intake_is_quiet(const struct fs_intake *intake);
/* Under lock: until something changes, so long at most. */
void fs_intake_wait(struct fs_intake *intake, int64_t ms);
int64_t fs_mono_ms(void);

#endif
