/* The host's notes about objects in the log: behind the record's head, in the same block. They cost no write of their own.
 *
 * Where the note lies: bytes 512 to 4095 of the record's first block, so it is written and
 * flushed with the object, and read back after a crash only.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "intake.h"

#include <string.h>
#include <unistd.h>

static const char note_magic[8] = "HLNOTE1";

struct note_head {
    char magic[8];
    uint64_t length, check;
};

/* Of the key too: the remains of another record are no note of this one. */
static uint64_t note_check(const char *key, const uint8_t *bytes, uint64_t n)
{
    uint64_t hash = 14695981039346656037u ^ n;
    while (*key != '\0')
        hash = (hash ^ (uint8_t)*key++) * 1099511628211u;
    for (uint64_t i = 0; i < n; i++)
        hash = (hash ^ bytes[i]) * 1099511628211u;
    return hash;
}

/* Overwritten in place: a full medium has room for it. No flush, because nobody was promised anything. */
static hilum_rc note_withdraw(struct fs *fs, struct fs_txn *txn)
{
    static const uint8_t nothing[sizeof(struct note_head)];
    struct fs_entry *entry = txn->entry;
    if (entry == NULL || txn->state != FS_SYNCED || !entry->has_note)
        return HILUM_OK;
    if (!fs_write_all(fs->intake->segments[entry->segment].fd, nothing, sizeof nothing,
                      entry->offset - INTAKE_BLOCK + INTAKE_HEAD))
        return fs_fail_errno(fs, "withdraw the note about", txn->key);
    entry->has_note = false;
    return HILUM_OK;
}

/* Before the sync, into the block in memory; n 0 afterwards takes it back on disk. */
hilum_rc fs_note(void *self, void *handle, const void *bytes, uint64_t n)
{
    struct fs *fs = self;
    struct fs_txn *txn = handle;
    if (n == 0)
        return note_withdraw(fs, txn);
    if (txn->entry == NULL || txn->state != FS_OPEN || n > INTAKE_NOTE_MAX)
        return fs_fail(fs, HILUM_EUNSUP, "no place for a note about", txn->key);
    struct note_head head = {.length = n, .check = note_check(txn->key, bytes, n)};
    uint8_t *at = txn->first->bytes + INTAKE_HEAD;
    memcpy(head.magic, note_magic, sizeof head.magic);
    memset(at, 0, INTAKE_BLOCK - INTAKE_HEAD);
    memcpy(at, &head, sizeof head);
    memcpy(at + sizeof head, bytes, n);
    txn->entry->has_note = true;
    return HILUM_OK;
}

/* What could not go to the log has become a file, without its note. */
hilum_rc fs_note_kept(void *self, void *handle)
{
    const struct fs_txn *txn = handle;
    (void)self;
    return txn->state == FS_SYNCED && txn->entry != NULL && txn->entry->has_note ? HILUM_OK
                                                                                 : HILUM_EUNSUP;
}

/* A note that does not check is none: its row was then flushed, or nobody was told. */
static hilum_rc note_take(const uint8_t *block, const char *key, void *dst, uint64_t n,
                          uint64_t *got)
{
    struct note_head head;
    memcpy(&head, block, sizeof head);
    if (memcmp(head.magic, note_magic, sizeof head.magic) != 0 || head.length > INTAKE_NOTE_MAX ||
        head.check != note_check(key, block + sizeof head, head.length))
        return HILUM_ENOTFOUND;
    *got = head.length < n ? head.length : n;
    memcpy(dst, block + sizeof head, *got);
    return HILUM_OK;
}

hilum_rc fs_note_read(void *self, const char *key, void *dst, uint64_t n, uint64_t *got)
{
    struct fs *fs = self;
    struct fs_intake *intake = fs->intake;
    uint8_t block[INTAKE_BLOCK - INTAKE_HEAD];
    ssize_t read = -1;
    *got = 0;
    if (intake == NULL)
        return HILUM_ENOTFOUND;
    pthread_mutex_lock(&intake->lock);
    const struct fs_entry *entry = fs_entry_find(intake, key);
    bool is_there = entry != NULL && entry->state == ENTRY_PENDING && entry->segment >= 0;
    if (is_there)
        read = pread(intake->segments[entry->segment].fd, block, sizeof block,
                     (off_t)(entry->offset - sizeof block));
    pthread_mutex_unlock(&intake->lock);
    if (is_there && read != (ssize_t)sizeof block)
        return fs_fail_errno(fs, "read the note about", key);
    return is_there ? note_take(block, key, dst, n, got) : HILUM_ENOTFOUND;
}
