/* Decoded frames kept for who asks next: least recently used go first, within a budget of bytes. Ten who ask for one frame at
 * once have it decoded once. Knows no object and no codec. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_STORE_FRAME_CACHE_H
#define HL_STORE_FRAME_CACHE_H

#include <stdbool.h>

#include "core/store/wish.h"
#include "hilum/codec.h"

struct hl_frame_cache;

/* Which frame: of the content with this digest. */
struct hl_frame_key {
    uint8_t digest[16];
    uint64_t frame; /* from 0 */
    uint64_t reduce;
    uint64_t
        form; /* 0: native pixels; else what was made of them, whoever asks for it knows what */
};

/* A frame in the cache, held until it is released. Of what is no native pixels `frame` tells nothing. */
struct hl_cached_frame {
    struct hilum_frame frame;
    void *pixels;
    uint64_t n;
};

/* Decodes: pixels by malloc, n bytes. On failure nothing, and the reason recorded. `wish` is that of all who wait: once
 * nobody does it may end with HILUM_ECANCELLED. */
typedef hilum_rc (*hl_frame_load)(void *arg, const struct hl_wish *wish,
                                  struct hl_cached_frame *out);

struct hl_frame_cache_counts {
    uint64_t bytes, frames;        /* kept now */
    uint64_t hits, misses, shared; /* shared: waited for another's decoding */
};

/* max_bytes 0: nothing is kept, decoding is shared all the same. */
hilum_rc hl_frame_cache_new(uint64_t max_bytes, struct hl_frame_cache **out);
void hl_frame_cache_free(struct hl_frame_cache *cache); /* all are released; NULL is fine */
/* Any thread. The frame as kept, or loaded by this thread, or by another while this one waits. A failed load is the failure
 * of all who wait for it, and of nobody later. wish: of this caller; NULL: always. HILUM_ECANCELLED: he is not there any
 * more; others who wait for the frame get it all the same. Release *out. */
hilum_rc hl_frame_cache_get(struct hl_frame_cache *cache, const struct hl_frame_key *key,
                            hl_frame_load load, void *arg, const struct hl_wish *wish,
                            const struct hl_cached_frame **out);
void hl_frame_cache_release(struct hl_frame_cache *cache, const struct hl_cached_frame *frame);
/* Is it kept, or on its way? A hint: it may be gone at once. */
bool hl_frame_cache_has(struct hl_frame_cache *cache, const struct hl_frame_key *key);
void hl_frame_cache_count(struct hl_frame_cache *cache, struct hl_frame_cache_counts *out);

#endif
