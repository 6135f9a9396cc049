/* Files of objects mapped into memory, kept for a moment for who opens the same one again: a map costs its page faults and
 * an interruption of every processor when it goes, more than all else of reading a frame. Knows no object and no store; a
 * file is told by its device and inode. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_STORE_MAPPINGS_H
#define HL_STORE_MAPPINGS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "hilum/abi.h"

struct hl_mappings;

/* Read only, shared by all who have taken it. */
struct hl_mapping {
    const uint8_t *at;
    size_t size;
};

struct hl_mappings_counts {
    uint64_t kept, bytes; /* now, of what nobody has taken */
    uint64_t hits, misses;
};

hilum_rc hl_mappings_new(struct hl_mappings **out);
void hl_mappings_free(struct hl_mappings *mappings); /* all are given back; NULL is fine */

/* Any thread. `size` bytes of the open file `fd` from `start` on (a multiple of every page size), of which `st` was
 * just read; what lies beyond its end must not be touched. The descriptor may be closed. NULL: it cannot be mapped.
 * Give it back. */
const struct hl_mapping *hl_mappings_take(struct hl_mappings *mappings, int fd,
                                          const struct stat *st, uint64_t start, size_t size);
void hl_mappings_give(struct hl_mappings *mappings, const struct hl_mapping *mapping);

/* Has all of it read and its pages at hand, at the cost of one look where they are. What is large is left to come as it is
 * touched. Blocks on the medium. */
void hl_mapping_load(const struct hl_mapping *mapping);

/* Once a second or so: what nobody has taken for two seconds goes. */
void hl_mappings_age(struct hl_mappings *mappings);
/* All that nobody has taken goes: a file was erased, whose space a map would keep. */
void hl_mappings_drop(struct hl_mappings *mappings);
void hl_mappings_count(struct hl_mappings *mappings, struct hl_mappings_counts *out);

#endif
