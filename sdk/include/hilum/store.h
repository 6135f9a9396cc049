/* Capability `store`: where objects (whole DICOM files, immutable once committed) are kept.
 * A store knows keys and bytes; it knows nothing of DICOM and nothing of the catalogue.
 * SPDX-License-Identifier: MIT */
#ifndef HILUM_STORE_H
#define HILUM_STORE_H

#include "hilum/abi.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { HILUM_OBJECT_PENDING = 1 }; /* synced, not yet final */

/* What a store knows of an object. */
struct hilum_object_info {
    uint32_t size, flags; /* HILUM_OBJECT_* */
    uint64_t length;      /* bytes */
    int64_t mtime_ns;     /* since 1970 UTC */
};

/* Return other than HILUM_OK to stop the listing; the call then returns that value. */
typedef hilum_rc (*hilum_key_cb)(void *arg, const char *key, const struct hilum_object_info *info);

/* Life of an object: begin -> append* -> sync (durable under a pending key) -> [the catalogue's
 * transaction commits] -> commit (final key). abort at any point before commit leaves nothing.
 * Keys: 1-200 bytes of [A-Za-z0-9._/-], chosen by the host, unique; between and beside its '/' there is always something
 * other than "." and "..", and ".." is nowhere in it. Any other key: HILUM_EINVAL.
 * Media: a second server on the same one is refused in init; one that can be read only is opened, and only writing is
 * HILUM_EDENIED; what was full or read-only goes on when it no longer is. Objects begun and never synced are gone at start.
 * Threads: calls on different transactions and keys run in parallel (HILUM_PARALLEL). Errors every
 * member may return: HILUM_EIO, HILUM_EFULL (the medium is full), HILUM_EDENIED (read-only). */
struct hilum_store {
    struct hilum_cap cap;
    /* Starts an object; length_hint 0 if unknown. *txn is freed by commit or abort. */
    hilum_rc (*begin)(void *self, const char *key, uint64_t length_hint, void **txn);
    hilum_rc (*append)(void *self, void *txn, const void *bytes, uint64_t n);
    /* Makes n whole objects durable (data and name) under pending keys with as few flushes as the medium
     * allows. On error none of them may be taken as durable; each is then aborted. */
    hilum_rc (*sync)(void *self, void *const txns[], uint64_t n);
    /* After sync and after the catalogue's commit: the object becomes final. Idempotent, need not be
     * durable itself: start-up finishes what is pending and has a row. Frees txn. */
    hilum_rc (*commit)(void *self, void *txn);
    void (*abort)(void *self, void *txn);
    hilum_rc (*stat)(void *self, const char *key, struct hilum_object_info *info);
    /* Up to n bytes from offset `at`; *got < n only at the end. Pending objects can be read. */
    hilum_rc (*read)(void *self, const char *key, uint64_t at, void *dst, uint64_t n,
                     uint64_t *got);
    hilum_rc (*erase)(void *self, const char *key); /* HILUM_ENOTFOUND if absent */
    /* Final objects whose key begins with prefix, any order. */
    hilum_rc (*list)(void *self, const char *prefix, hilum_key_cb each, void *arg);
    /* At start: objects that were synced and never became final. */
    hilum_rc (*pending)(void *self, hilum_key_cb each, void *arg);
    /* keep 1: give the final key, 0: erase. Idempotent. */
    hilum_rc (*finish)(void *self, const char *key, int32_t keep);
    /* Optional. A read-only descriptor whose bytes *offset .. *offset+length are the object: for mmap and
     * sendfile. The caller closes it. */
    hilum_rc (*open_fd)(void *self, const char *key, int32_t *fd, uint64_t *offset);
    /* Free and total bytes of the medium. */
    hilum_rc (*space)(void *self, uint64_t *available, uint64_t *total);
    /* Optional, the three together, for stores that write a log. A note of the host's about an object, given before sync and
     * made durable with it: what the catalogue will say, should a power loss take the row away, or a crash come before it. It may outlive
     * erase and abort in what a start finds, and may be gone once the object is final: commit then means that the row is durable.
     * HILUM_EUNSUP: this object cannot carry one (too long, or not in the log).
     * With n = 0 after sync: withdraws it, so that a later start finds none. Its object was refused: a power loss may still
     * bring the note back, the end of a process does not. */
    hilum_rc (*note)(void *self, void *txn, const void *bytes, uint64_t n);
    /* After sync: HILUM_OK: the note is durable with the object. HILUM_EUNSUP: it has none after all. */
    hilum_rc (*note_kept)(void *self, void *txn);
    /* At start, of a pending object: up to n bytes of its note. HILUM_ENOTFOUND: it has none. */
    hilum_rc (*note_read)(void *self, const char *key, void *dst, uint64_t n, uint64_t *got);
};

#ifdef __cplusplus
}
#endif
#endif
