/* store-fs inside: one directory tree of immutable files and the way a file gets there. It knows
 * keys and bytes; nothing of DICOM, nothing of who asks.
 *
 * The way of an object: begun (fs_begin) in memory for the intake log, or as a part file; synced
 * (fs_sync) into a segment or under its pending name, and durable from there on; committed
 * (fs_commit) to its final name, which is not flushed, because either name is found. Reading
 * looks in the log first, then for the final name, then for the pending one.
 *
 * Threads: every function of the capability may be called on any thread, several at once; a
 * transaction belongs to one caller. Locks: fs.lock for one remembered directory, fs_intake.lock
 * for the log's lists, and that one's write_lock and sync_lock around I/O. Of these only
 * fs_intake.lock is taken with another one held (write_lock), never the other way round.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_FS_H
#define STORE_FS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "hilum/host.h"
#include "hilum/store.h"

/* 200 bytes as the contract says; a pending name is a '+' longer, below the 255 of file
 * systems. */
enum { FS_KEY_MAX = 200, FS_NAME_SIZE = FS_KEY_MAX + 2 };

/* Written by the host at the offsets of the options table. */
struct fs_conf {
    const char *root;
    const char *store;  /* the capability's name */
    const char *intake; /* "files" or "log" */
    int64_t segment;    /* bytes of one intake segment */
    int64_t segments;
    int64_t memory; /* bytes of objects held until their group is synced */
};

struct fs_intake;

/* Folders are kept open: paths below them are short, and nobody can move the tree under a
 * running server. */
struct fs {
    const struct hilum_host *host;
    hilum_self *self;
    const struct fs_conf *conf;
    struct hilum_store table; /* under this instance's name */
    int root_fd, objects_fd, pending_fd;
    pthread_mutex_t lock; /* of last_dir */
    char last_dir[FS_KEY_MAX +
                  1];         /* directory of the last committed key: it exists and is durable */
    atomic_int n_named;       /* pending names; more than there are does no harm */
    struct fs_intake *intake; /* NULL: one file per object from the first byte */
};

/* OPEN takes bytes; NAMED has its pending name and is not flushed; SYNCED is durable; BROKEN
 * can only be aborted. */
enum fs_txn_state { FS_OPEN, FS_NAMED, FS_SYNCED, FS_BROKEN };

struct fs_chunk;
struct fs_entry;

/* An object on its way. Used by one thread at a time. */
struct fs_txn {
    char key[FS_KEY_MAX + 1];
    int fd; /* -1 while the bytes are in chunks or in the log */
    enum fs_txn_state state;
    uint64_t length, flushed;      /* bytes appended; of these handed to the disk early */
    struct fs_chunk *first, *last; /* intake log: bytes not yet written anywhere */
    struct fs_entry *entry;        /* intake log: where the object is once synced */
};

/* ---- names.c: keys, paths, errors ---- */

/* Records "what key: strerror(errno)" and returns the nearest HILUM_E*. errno is read first,
 * so nothing may come between the failing call and this. */
hilum_rc fs_fail_errno(struct fs *fs, const char *what, const char *key);
hilum_rc fs_fail(struct fs *fs, hilum_rc rc, const char *what, const char *key);
/* HILUM_EINVAL with the reason. */
hilum_rc fs_key_check(struct fs *fs, const char *key);
/* Pending objects live in one directory: '/' of the key becomes '+', which no key contains. */
void fs_name_pending(const char *key, char out[FS_NAME_SIZE]);
void fs_name_part(const char *key, char out[FS_NAME_SIZE]); /* not yet named: '+' in front */
void fs_name_to_key(const char *name, char out[FS_NAME_SIZE]);
/* Erases the pending name of a key; -1 with errno. */
int fs_pending_unlink(struct fs *fs, const char *key);
/* Makes the directories of a key below objects/, each made one durable in its parent. */
hilum_rc fs_dirs_make(struct fs *fs, const char *key);
/* Makes a final name durable: flushes the directory the key is in. */
hilum_rc fs_dir_sync_of(struct fs *fs, const char *key);
/* rename that never replaces: an object is immutable. -1 with errno (EEXIST). */
int fs_rename(int from_fd, const char *from, int to_fd, const char *to);
/* All n bytes at `at`, whatever the system returns; false with errno. */
bool fs_write_all(int fd, const void *bytes, uint64_t n, uint64_t at);

/* ---- object.c: the way in ---- */
/* All of the capability's functions as hilum/store.h documents them. */
hilum_rc fs_begin(void *self, const char *key, uint64_t length_hint, void **txn);
hilum_rc fs_append(void *self, void *txn, const void *bytes, uint64_t n);
hilum_rc fs_sync(void *self, void *const txns[], uint64_t n);
hilum_rc fs_commit(void *self, void *txn);
void fs_abort(void *self, void *txn);
/* Creates the file of a transaction (so far without one). */
hilum_rc fs_part_create(struct fs *fs, struct fs_txn *txn);
/* pending -> final, directories made as needed. HILUM_ENOTFOUND: neither is there. */
hilum_rc fs_finalise(struct fs *fs, const char *key);

/* ---- settle.c: what is there ---- */
hilum_rc fs_stat(void *self, const char *key, struct hilum_object_info *info);
hilum_rc fs_read(void *self, const char *key, uint64_t at, void *dst, uint64_t n, uint64_t *got);
hilum_rc fs_open_fd(void *self, const char *key, int32_t *fd, uint64_t *offset);
hilum_rc fs_erase(void *self, const char *key);
hilum_rc fs_finish(void *self, const char *key, int32_t keep);
hilum_rc fs_space(void *self, uint64_t *available, uint64_t *total);

/* ---- intake_note.c: what the host notes about an object in the log ---- */
hilum_rc fs_note(void *self, void *txn, const void *bytes, uint64_t n);
hilum_rc fs_note_kept(void *self, void *txn);
hilum_rc fs_note_read(void *self, const char *key, void *dst, uint64_t n, uint64_t *got);

/* ---- walk.c: listing ---- */
hilum_rc fs_list(void *self, const char *prefix, hilum_key_cb each, void *arg);
hilum_rc fs_pending(void *self, hilum_key_cb each, void *arg);
/* Removes what was begun and never named by an earlier process. */
hilum_rc fs_parts_clear(struct fs *fs);

#endif
