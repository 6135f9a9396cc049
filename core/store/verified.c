/* Which objects were found sound a moment ago: a study that is looked at again and again is
 * digested once. Rot that comes in between is found a little later; whoever writes into a file
 * is found at once.
 *
 * A table of fixed size without chains: a slot that is taken over costs a digest, nothing else.
 * A stamp is of the file's inode and change time, so a file that was written into has another
 * one. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/clock.h"
#include "core/store/store_internal.h"

/* 32768 slots are 512 KiB. Ten minutes: the reading of a study takes as long. */
enum { SLOTS = 32768, FOR_MS = 600 * 1000 };

struct hl_verified {
    pthread_mutex_t lock;
    struct {
        uint64_t what; /* 0: free */
        int64_t until_ms;
    } slots[SLOTS];
};

struct hl_verified *hl_verified_new(void)
{
    struct hl_verified *verified = calloc(1, sizeof *verified);
    if (verified != NULL)
        pthread_mutex_init(&verified->lock, NULL);
    return verified;
}

void hl_verified_free(struct hl_verified *verified)
{
    if (verified == NULL)
        return;
    pthread_mutex_destroy(&verified->lock);
    free(verified);
}

/* 0 is kept free for "none". Change time in nanoseconds: a write within the same second is
 * seen. */
uint64_t hl_verified_stamp(const struct hl_stored *stored, const struct stat *st)
{
    const int64_t all[] = {stored->instance_id, (int64_t)st->st_ino, st->st_size,
                           st->st_ctim.tv_sec, st->st_ctim.tv_nsec};
    XXH64_hash_t hash = XXH64(all, sizeof all, 0);
    hash = XXH64(stored->location.digest_stored, sizeof stored->location.digest_stored, hash);
    hash = XXH64(stored->location.key, strlen(stored->location.key), hash);
    return hash != 0 ? hash : 1;
}

void hl_verified_note(struct hl_verified *verified, uint64_t stamp)
{
    if (verified == NULL || stamp == 0)
        return;
    pthread_mutex_lock(&verified->lock);
    verified->slots[stamp % SLOTS].what = stamp;
    verified->slots[stamp % SLOTS].until_ms = hl_mono_ms() + FOR_MS;
    pthread_mutex_unlock(&verified->lock);
}

/* Not longer than FOR_MS: rot leaves no trace in the change time. */
bool hl_verified_knows(struct hl_verified *verified, uint64_t stamp)
{
    if (verified == NULL || stamp == 0)
        return false;
    pthread_mutex_lock(&verified->lock);
    bool is_known = verified->slots[stamp % SLOTS].what == stamp &&
                    verified->slots[stamp % SLOTS].until_ms > hl_mono_ms();
    pthread_mutex_unlock(&verified->lock);
    return is_known;
}

void hl_verified_forget(struct hl_verified *verified)
{
    if (verified == NULL)
        return;
    pthread_mutex_lock(&verified->lock);
    memset(verified->slots, 0, sizeof verified->slots);
    pthread_mutex_unlock(&verified->lock);
}
